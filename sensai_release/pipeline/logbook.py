"""The governance log on disk: log/log.jsonl and its signed head, log/checkpoint. Both are kept in git.

Lines are only ever added, each brought to disk before what it announces is done. What an entry is, and what makes a log
whole, is `governance.log`'s; what is logged is decided by the commands.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.governance.log import (
    PLACE,
    LogEntry,
    LogFault,
    ParsedLog,
    check_checkpoint,
    checkpoint_of,
    leaf_hashes,
    next_entry,
    parse_log,
    unfinished,
)
from sensai_release.pipeline.workspace import Workspace, earlier_releases
from sensai_release.privacy.keyfile import public_key_id
from sensai_release.release.dsse import SigningKey
from sensai_release.release.layout import MANIFEST, PROOF
from sensai_release.release.merkle import inclusion_proof
from sensai_release.release.publish import sync_folder, write_atomic
from sensai_release.release.tlog import LogProof, SignedCheckpoint, sign_checkpoint
from sensai_release.release.trust import Trust

CHECKPOINT_PLACE = "log/checkpoint"
_MAXIMUM_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What `log verify` found. `signers` are trusted people whose signature the head bears."""

    ok: bool
    entries: int
    signed: int | None
    signers: tuple[str, ...]
    faults: tuple[LogFault, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "entries": self.entries,
            "signed_entries": self.signed,
            "signers": list(self.signers),
            "faults": [fault.to_dict() for fault in self.faults],
            "notes": list(self.notes),
        }


def origin_of(workspace: Workspace) -> str:
    """The name of the log, the first line of its checkpoint."""
    return f"sensai-release/{workspace.params.series}"


def record(workspace: Workspace, event: str, facts: Mapping[str, Any]) -> LogEntry:
    """Adds an entry and brings it to disk. A last line torn by a power cut is cut off first, and that is logged too.

    Raises `ConfigurationError` when the log that is there is not whole: nothing is ever added behind a fault.
    """
    path = workspace.root / PLACE
    path.parent.mkdir(exist_ok=True)
    with _locked(path) as descriptor:
        parsed = parse_log(_read(path))
        _refuse_faults(parsed)
        entries = list(parsed.entries)
        if parsed.torn:
            os.ftruncate(descriptor, sum(len(entry.to_line()) for entry in entries))
            _append(descriptor, entries, "log.repaired", {"cut_bytes": len(parsed.torn)})
        size = os.fstat(descriptor).st_size
        try:
            entry = _append(descriptor, entries, event, facts)
            os.fsync(descriptor)
            sync_folder(path.parent)
        except OSError:
            # What may not be on disk was not logged, and a full disk must not leave half a line behind.
            os.ftruncate(descriptor, size)
            raise
    return entry


def _append(descriptor: int, entries: list[LogEntry], event: str, facts: Mapping[str, Any]) -> LogEntry:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    entry = next_entry(entries, event, facts, at=now, salt=secrets.token_hex(16))
    _write_all(descriptor, entry.to_line())
    entries.append(entry)
    return entry


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_log(workspace: Workspace) -> ParsedLog:
    """The log as it lies there; without one, an empty log."""
    return parse_log(_read(workspace.root / PLACE))


def sign_head(workspace: Workspace, key: SigningKey) -> SignedCheckpoint:
    """Signs the log as it stands and writes log/checkpoint. Raises as `record` does."""
    parsed = read_log(workspace)
    _refuse_faults(parsed)
    head = sign_checkpoint(checkpoint_of(parsed.entries, origin_of(workspace)), key)
    write_atomic(workspace.root / CHECKPOINT_PLACE, head.to_text().encode())
    return head


def proof_of_release(workspace: Workspace, manifest_sha256: str, head: SignedCheckpoint) -> LogProof | None:
    """That the release with this manifest is in the log whose signed head is given; `None` when it is not logged."""
    entries = read_log(workspace).entries[: head.checkpoint.size]
    for entry in entries:
        if entry.event == "release" and entry.facts.get("manifest_sha256") == manifest_sha256:
            hashes = inclusion_proof(leaf_hashes(entries), entry.index)
            return LogProof(entry=entry.leaf, index=entry.index, hashes=hashes, head=head)
    return None


def is_logged(workspace: Workspace, manifest_sha256: str) -> bool:
    """Whether the release with this manifest has its entry."""
    entries = read_log(workspace).entries
    return any(e.event == "release" and e.facts.get("manifest_sha256") == manifest_sha256 for e in entries)


def open_intent(workspace: Workspace) -> LogEntry | None:
    """An intent to release whose end was never logged."""
    return unfinished(read_log(workspace).entries)


def verify_log(workspace: Workspace, trust: Trust | None) -> LogReport:
    """Checks the chain, that the signed head is the head of the log's first entries, and that the releases that lie
    here are in it, below the heads of their proofs: an older log with its older head is whole in itself.

    Without `trust` nobody can say who signed the head; that is noted, as is a log without a head.
    """
    parsed = read_log(workspace)
    faults, notes = list(parsed.faults), []
    if parsed.torn:
        message = "is not complete; the next command that writes to the log cuts it off and says so"
        faults.append(LogFault(code="log.torn", line=len(parsed.entries) + 1, message=message))
    head, signers = None, frozenset[bytes]()
    path = workspace.root / CHECKPOINT_PLACE
    if path.is_file():
        head = SignedCheckpoint.from_text(path.read_bytes().decode("utf-8", "replace"), CHECKPOINT_PLACE)
        faults += _head_faults(workspace, parsed, head, trust)
        signers = head.signers(trust.public_keys) if trust is not None else signers
    elif parsed.entries:
        notes.append("No head has been signed yet, so lines could be cut off the end unseen.")
    faults += _release_faults(workspace, parsed)
    if trust is None and head is not None:
        notes.append("Without a trust file (--trust) nobody can say who signed the head.")
    if head is not None and len(parsed.entries) > head.checkpoint.size:
        later = len(parsed.entries) - head.checkpoint.size
        notes.append(f"{later} entries are later than the signed head; the next release or approval signs them.")
    people = trust.people if trust is not None else ()
    return LogReport(
        ok=not faults,
        entries=len(parsed.entries),
        signed=head.checkpoint.size if head is not None else None,
        signers=tuple(sorted(person.name for person in people if person.public_key in signers)),
        faults=tuple(faults),
        notes=tuple(notes),
    )


def _release_faults(workspace: Workspace, parsed: ParsedLog) -> Iterator[LogFault]:
    """What the releases know of the log. Whether a release is intact, and who signed its proof, is for `verify`."""
    entries, last = parsed.entries, len(parsed.entries)
    logged = {entry.facts.get("manifest_sha256") for entry in entries if entry.event == "release"}
    for _, path in earlier_releases(workspace):
        with suppress(OSError):
            if hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest() not in logged:
                yield LogFault(code="log.release", line=last, message=f"is the last, and none is of {path.name}")
        with suppress(OSError, ReleaseFormatError):
            proof = LogProof.from_bytes((path / PROOF).read_bytes())
            if (fault := check_checkpoint(entries, proof.head.checkpoint)) is not None:
                yield replace(fault, message=f"{fault.message}, by the proof of {path.name}")


def _head_faults(
    workspace: Workspace, parsed: ParsedLog, head: SignedCheckpoint, trust: Trust | None
) -> Iterator[LogFault]:
    size = head.checkpoint.size
    if head.checkpoint.origin != origin_of(workspace):
        yield LogFault(code="log.origin", line=size, message="ends a head that was signed for another log")
    if (fault := check_checkpoint(parsed.entries, head.checkpoint)) is not None:
        yield fault
    if trust is not None and not head.signers(trust.public_keys):
        ids = ", ".join(sorted(public_key_id(key) for key in trust.public_keys)) or "none"
        yield LogFault(code="log.signer", line=size, message=f"ends a head that no trusted key signed (known: {ids})")


def _read(path: Path) -> bytes:
    try:
        if path.is_symlink() or path.stat().st_size > _MAXIMUM_BYTES:
            raise ConfigurationError(PLACE, "is a link, or absurdly large", "Take the log back from git.")
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _refuse_faults(parsed: ParsedLog) -> None:
    if parsed.faults:
        fault = parsed.faults[0]
        raise ConfigurationError(
            f"{PLACE}, line {fault.line}",
            fault.message,
            "'log verify' says more. Take the log back from git: nothing is added to one that was changed.",
        )


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The log, open for adding, held by this process alone."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
