"""The last step of making a release directory: verifiers, manifest, first signature, checksums; and later signatures.

What is in the directory before is the caller's; putting it under its final name is left to `publish`.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.dsse import (
    MAXIMUM_ENVELOPE_BYTES,
    Envelope,
    SigningKey,
    add_signature,
    sign,
)
from sensai_release.release.hashing import Progress
from sensai_release.release.inventory import open_file, open_folder, read_file
from sensai_release.release.layout import CHECKSUMS, ENVELOPE, MANIFEST
from sensai_release.release.manifest import Statement, build_statement, sha256sums
from sensai_release.release.publish import clear_leftovers, room_beside, write_atomic

STANDALONE_VERIFIERS = ("verify.html", "verify.py")


def seal_release(
    root: Path, predicate: Mapping[str, Any], key: SigningKey, on_progress: Progress | None = None
) -> Statement:
    """Completes `root`, a directory still being built, into a signed release and returns what was signed.

    Adds verify.py and verify.html, then manifest.json, manifest.dsse.json and SHA256SUMS. The same files, predicate and
    key give the same bytes (Ed25519 signatures are deterministic). Raises as `build_statement` does.
    """
    for name in STANDALONE_VERIFIERS:
        source = files("sensai_release.release").joinpath("standalone", name)
        root.joinpath(name).write_bytes(source.read_bytes())
    statement = build_statement(root, predicate, on_progress)
    manifest = statement.to_bytes()
    envelope = Envelope(payload=manifest, signatures=(sign(manifest, key),))
    root.joinpath(MANIFEST).write_bytes(manifest)
    root.joinpath(ENVELOPE).write_bytes(envelope.to_bytes())
    root.joinpath(CHECKSUMS).write_text(sha256sums(statement, manifest), encoding="ascii", newline="\n")
    return statement


def countersign_release(root: Path, key: SigningKey, *, announce: Callable[[], object] | None = None) -> Envelope:
    """Adds a signature over the same payload. The caller has verified the release before, and says so by calling this.

    Who signs at the same time waits. `announce` is called when nothing but a rename is left to be done.

    Raises `OutputExistsError` when the key has signed already, `ReleaseFormatError` when the envelope cannot be read or
    is not one over the manifest.json beside it.
    """
    with open_folder(root) as folder, ExitStack() as held:
        try:
            # Of two who read the same envelope, one would write over the other's signature. The manifest stays.
            manifest = held.enter_context(open_file(folder, MANIFEST))
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(manifest.fileno(), fcntl.LOCK_EX)
            envelope = Envelope.from_bytes(read_file(folder, ENVELOPE, limit=MAXIMUM_ENVELOPE_BYTES), ENVELOPE)
            same = read_file(folder, MANIFEST, limit=len(envelope.payload)) == envelope.payload
        except OSError:
            raise ReleaseFormatError(ENVELOPE, "cannot be read with its manifest", "Get the release again.") from None
        if not same:
            raise ReleaseFormatError(MANIFEST, "is not what the envelope holds", "Verify the release first.")
        clear_leftovers(room_beside(root), ENVELOPE)
        signed = add_signature(envelope, sign(envelope.payload, key, envelope.payload_type))
        write_atomic(root / ENVELOPE, signed.to_bytes(), outside=root, announce=announce)
    return signed
