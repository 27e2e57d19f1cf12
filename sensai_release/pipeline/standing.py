"""Withdrawal and freshness: the status documents that a workspace signs, and the memory of those that were seen.

The document of a workspace is releases/<series>-status.json; every change of it is in the governance log, and nothing
is built upon one that the log does not know. What a document means is for `release.status` to say.
The memory belongs to whoever verifies, lies in their own state directory, and never in a release.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from sensai_release.errors import ConfigurationError, ReleaseFormatError, VerificationError
from sensai_release.pipeline import versioning
from sensai_release.pipeline.logbook import CHECKPOINT_PLACE, read_log, record, sign_head
from sensai_release.pipeline.trusting import key_path
from sensai_release.pipeline.workspace import Workspace, earlier_releases, parse_version
from sensai_release.privacy.keyfile import SigningKey, load_signing_key
from sensai_release.release.documents import canonical_json, parse_strict
from sensai_release.release.dsse import Envelope, add_signature, sign
from sensai_release.release.inventory import read_file
from sensai_release.release.layout import MANIFEST
from sensai_release.release.publish import write_atomic
from sensai_release.release.status import (
    MAXIMUM_BYTES,
    MAXIMUM_VERSION,
    Reason,
    Seen,
    Standing,
    StatusDocument,
    read_envelope,
    sign_status,
)
from sensai_release.release.trust import Trust
from sensai_release.release.verify import VerificationReport, verify_release

VALID_DAYS = 90
"""How long a document is good when nobody says otherwise: short, since old ones are what an attacker has."""

SigningRole = Literal["steward", "reviewer"]
_SIGNING_ROLES: tuple[SigningRole, ...] = ("steward", "reviewer")
_LOG = "log/log.jsonl"
_SEEN_KIND = "sensai-release/seen"
_SEEN_FILE = "seen.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A status document as it was written: its path in the workspace, what it says, and how many keys have signed."""

    path: str
    document: StatusDocument
    signatures: int

    def to_dict(self) -> dict[str, Any]:
        stated: dict[str, Any] = self.document.to_dict()["predicate"]
        return {"ok": True, "file": self.path, "signatures": self.signatures} | stated


# --- the documents of a workspace ------------------------------------------------------------------------------------


def announce(workspace: Workspace, *, key: Path | None, as_of: date, expires: date | None = None) -> Announcement:
    """A new document: the newest release active, earlier ones superseded, those withdrawn as they were.

    Each release is verified when it is listed for the first time. Raises `VerificationError` for one that is not
    intact or not the one that is listed, `ConfigurationError` when there is none, or the document is not the log's.
    """

    def change(before: StatusDocument | None) -> list[Standing]:
        listed = _checked(workspace, before)
        known = {standing.version for standing in listed}
        added = [
            _verified(workspace, path, as_of) for path in _here(workspace) if _version_of(workspace, path) not in known
        ]
        return _in_order(sorted([*listed, *added], key=lambda standing: standing.order), as_of)

    return _write(workspace, "announce", key, as_of, expires, change)


def withdraw(
    workspace: Workspace, version: str, *, reason: Reason, key: Path | None, as_of: date, expires: date | None = None
) -> Announcement:
    """A new document in which one release is withdrawn; no earlier one becomes active in its place.

    Nothing is asked of the other releases, so that a damaged one is never in the way. Raises as `announce` does, and
    `ConfigurationError` for a version that is not there or is withdrawn already.
    """

    def change(before: StatusDocument | None) -> list[Standing]:
        releases = list(before.releases) if before is not None else []
        if all(standing.version != version for standing in releases):
            here = [path for path in _here(workspace) if _version_of(workspace, path) == version]
            releases = sorted(
                [*releases, *(_verified(workspace, path, as_of) for path in here)], key=lambda standing: standing.order
            )
        index = _index_of(releases, version)
        if releases[index].state == "withdrawn":
            raise ConfigurationError("VERSION", "is withdrawn already", "Nothing needs to be done.")
        releases[index] = replace(releases[index], state="withdrawn", reason=reason, since=as_of)
        return releases

    return _write(workspace, "withdraw", key, as_of, expires, change, release=version, reason=reason)


def reactivate(
    workspace: Workspace, version: str, *, key: Path | None, as_of: date, expires: date | None = None
) -> Announcement:
    """A new document in which one release counts again: active, or superseded when a newer one is not withdrawn.

    Raises as `announce` does, and `ConfigurationError` for a version that is not there or is active already.
    """

    def change(before: StatusDocument | None) -> list[Standing]:
        releases = _checked(workspace, before)
        index = _index_of(releases, version)
        if releases[index].state == "active":
            raise ConfigurationError("VERSION", "is active already", "Nothing needs to be done.")
        newer = any(standing.state != "withdrawn" for standing in releases[index + 1 :])
        if newer and releases[index].state == "superseded":
            raise ConfigurationError("VERSION", "has a newer release in its place", "Withdraw that one first.")
        releases[index] = _superseded(releases[index], as_of) if newer else _active(releases[index], as_of)
        if not newer:
            releases[:index] = [_superseded(s, as_of) if s.state == "active" else s for s in releases[:index]]
        return releases

    return _write(workspace, "reactivate", key, as_of, expires, change, release=version)


def countersign(workspace: Workspace, *, key: Path | None) -> Announcement:
    """Adds a signature to the document that is there, once it fits the releases of this workspace and the log.

    Raises `OutputExistsError` when this key has signed already.
    """
    signer = load_signing_key(key_path("reviewer", key), roles=_SIGNING_ROLES)
    with workspace.lock():
        envelope = _present(workspace)
        if envelope is None:
            raise ConfigurationError(_place(workspace), "is not there", "Run 'announce' first.")
        document = StatusDocument.from_bytes(envelope.payload)
        _checked(workspace, document)
        signed = add_signature(envelope, sign(envelope.payload, signer))
        return _put(workspace, "countersign", document, signed, signer, {})


def stated_standing(workspace: Workspace) -> tuple[StatusDocument | None, dict[str, Standing]]:
    """The workspace's document as it lies there, and the standing of each release that it lists, by name.

    Nothing of it is checked. Raises `ConfigurationError` when it is no status document.
    """
    try:
        document = StatusDocument.from_bytes(read_envelope(_path(workspace).read_bytes()).payload)
    except FileNotFoundError:
        return None, {}
    except ReleaseFormatError as error:
        raise ConfigurationError(_place(workspace), error.cause, "Take it back from git.") from None
    return document, {f"{document.series}-{standing.version}": standing for standing in document.releases}


def _write(
    workspace: Workspace,
    action: str,
    key: Path | None,
    as_of: date,
    expires: date | None,
    change: Callable[[StatusDocument | None], list[Standing]],
    **facts: Any,
) -> Announcement:
    if expires is not None and expires < as_of:
        raise ConfigurationError("--expires", "lies before the day of issue", "Name a later day.")
    signer = load_signing_key(key_path("steward", key), roles=_SIGNING_ROLES)
    with workspace.lock():
        envelope = _present(workspace)
        before = StatusDocument.from_bytes(envelope.payload) if envelope is not None else None
        document = StatusDocument(
            study=str(workspace.params.study["id"]),
            series=workspace.params.series,
            version=before.version + 1 if before is not None else 1,
            issued=as_of,
            expires=expires or as_of + timedelta(days=VALID_DAYS),
            releases=tuple(change(before)),
        )
        signed = read_envelope(sign_status(document, signer))
        return _put(workspace, action, document, signed, signer, facts)


def _put(
    workspace: Workspace,
    action: str,
    document: StatusDocument,
    envelope: Envelope,
    signer: SigningKey,
    facts: Mapping[str, Any],
) -> Announcement:
    """The file first, then the log: of a document that a power cut kept from the log, the next command tells it."""
    path = _path(workspace)
    write_atomic(path, envelope.to_bytes())
    record(workspace, "status", {"action": action, **_logged(document, envelope), **facts})
    sign_head(workspace, signer)
    _commit(workspace, document, action)
    return Announcement(path=_place(workspace), document=document, signatures=len(envelope.signatures))


def _commit(workspace: Workspace, document: StatusDocument, action: str) -> None:
    """Brings the document and the log into git, where there is one."""
    if not (workspace.root / ".git").exists():
        return
    paths = [name for name in (_place(workspace), _LOG, CHECKPOINT_PLACE) if (workspace.root / name).exists()]
    versioning.record_files(workspace.root, f"Status {document.series} {document.version}: {action}", paths)


def _commit_left(workspace: Workspace, document: StatusDocument) -> None:
    """Commits a document that a full disk kept from git: what is said next may be that nothing needs to be done."""
    if (workspace.root / ".git").exists() and versioning.is_uncommitted(workspace.root, _place(workspace)):
        _commit(workspace, document, "recovered")


def _logged(document: StatusDocument, envelope: Envelope) -> dict[str, Any]:
    return {
        "status_version": document.version,
        "status_sha256": hashlib.sha256(envelope.payload).hexdigest(),
        "signers": sorted(signature.key_id for signature in envelope.signatures),
    }


def _present(workspace: Workspace) -> Envelope | None:
    """The document that is there, if it is the last one that the log knows, or the next, cut off from its entry."""
    parsed = read_log(workspace)
    if parsed.faults:
        raise ConfigurationError(_LOG, "is not whole", "'log verify' says more. Take it back from git.")
    last = next((entry.facts for entry in reversed(parsed.entries) if entry.event == "status"), None)
    try:
        envelope = read_envelope(_path(workspace).read_bytes())
        document = StatusDocument.from_bytes(envelope.payload)
    except FileNotFoundError:
        if last is None:
            return None
        raise ConfigurationError(
            _place(workspace), "is gone, and the log knows one", "Take it back from git."
        ) from None
    except ReleaseFormatError as error:
        raise ConfigurationError(_place(workspace), error.cause, "Take it back from git.") from None
    facts = _logged(document, envelope)
    if document.series != workspace.params.series:
        raise ConfigurationError(_place(workspace), "is for another series", "Take it back from git.")
    same = last is not None and last["status_sha256"] == facts["status_sha256"]
    if same and last is not None and last["signers"] == facts["signers"]:
        _commit_left(workspace, document)
        return envelope
    if not same and document.version != (last["status_version"] if last is not None else 0) + 1:
        raise ConfigurationError(
            _place(workspace), "is not the one that the log records last", "Take the newest one back from git."
        )
    record(workspace, "status", {"action": "recovered", **facts})
    _commit_left(workspace, document)
    return envelope


def _here(workspace: Workspace) -> list[Path]:
    return [path for _, path in earlier_releases(workspace)]


def _version_of(workspace: Workspace, release: Path) -> str:
    return release.name.removeprefix(f"{workspace.params.series}-")


def _checked(workspace: Workspace, document: StatusDocument | None) -> list[Standing]:
    """The releases of a document; those that are here too must be the very ones."""
    listed = list(document.releases) if document is not None else []
    digests = {standing.version: standing.manifest_sha256 for standing in listed}
    for path in _here(workspace):
        version = _version_of(workspace, path)
        if version in digests and digests[version] != _manifest_sha256(path):
            raise VerificationError(f"releases/{path.name}", "is not the release that was announced", "Run 'verify'.")
    return listed


def _verified(workspace: Workspace, release: Path, as_of: date) -> Standing:
    """The entry of a release that is listed for the first time, once its bytes are known to be those signed."""
    version = _version_of(workspace, release)
    report = verify_release(release, trust=None, integrity_only=True)
    stated = report.statement.predicate if report.statement is not None else {}
    digest = report.manifest_sha256
    if not report.ok or digest is None or (stated["series"], stated["version"]) != (workspace.params.series, version):
        raise VerificationError(f"releases/{release.name}", "is not intact, so it is not listed", "Run 'verify' on it.")
    return Standing(version=version, manifest_sha256=digest, state="superseded", reason="replaced", since=as_of)


def _manifest_sha256(release: Path) -> str | None:
    try:
        return hashlib.sha256((release / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return None


def _in_order(releases: list[Standing], as_of: date) -> list[Standing]:
    """The newest active, the earlier ones superseded; where the newest is withdrawn, an earlier active one stays so."""
    if not releases:
        raise ConfigurationError("releases/", "holds no release of this series", "Make one with 'release' first.")
    newest = releases[-1]
    if newest.state == "withdrawn":
        return releases
    earlier = [_superseded(standing, as_of) if standing.state == "active" else standing for standing in releases[:-1]]
    return [*earlier, newest if newest.state == "active" else _active(newest, as_of)]


def _active(standing: Standing, as_of: date) -> Standing:
    return replace(standing, state="active", reason=None, since=as_of)


def _superseded(standing: Standing, as_of: date) -> Standing:
    return replace(standing, state="superseded", reason="replaced", since=as_of)


def _index_of(releases: Sequence[Standing], version: str) -> int:
    parse_version(version)
    for index, standing in enumerate(releases):
        if standing.version == version:
            return index
    raise ConfigurationError("VERSION", "is no release of this series", "'status' lists the releases that are here.")


def _place(workspace: Workspace) -> str:
    return f"releases/{workspace.params.series}-status.json"


def _path(workspace: Workspace) -> Path:
    return workspace.releases / f"{workspace.params.series}-status.json"


# --- the memory of whoever verifies ----------------------------------------------------------------------------------


def highest_seen(trust: Trust) -> tuple[dict[str, Seen], str | None]:
    """The newest document accepted here for each series under this trust, and a note when there is no looking it up.

    Raises `ConfigurationError` for a memory that is there and is none: what it knew is not to be forgotten in silence.
    """
    try:
        return _load_seen(_state_folder()).get(_trust_id(trust), {}), None
    except FileNotFoundError:
        return {}, None
    except (OSError, RuntimeError):
        return {}, "The memory of status documents seen before cannot be read, so an older one would not be noticed."


def remember(trust: Trust, report: VerificationReport, release: Path) -> str | None:
    """Remembers an accepted document; returns a note when that was not possible. Raises as `highest_seen` does.

    Never writes into the release, wherever the state directory may be.
    """
    document = report.freshness.document if report.freshness else None
    if document is None or report.statement is None or (report.freshness and report.freshness.problems):
        return None
    if document.series != report.statement.predicate["series"]:
        return None
    try:
        folder = _state_folder()
        if folder.resolve().is_relative_to(release.resolve()):
            raise OSError
        return _raise_seen(folder, _trust_id(trust), document)
    except (OSError, RuntimeError):
        return "The version of the status document could not be remembered, so an older one would not be noticed here."


def _raise_seen(folder: Path, trust: str, document: StatusDocument) -> str | None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _held(folder / ".lock"):
        try:
            memory = _load_seen(folder)
        except FileNotFoundError:
            memory = {}
        known, new = memory.get(trust, {}).get(document.series), Seen(version=document.version, sha256=document.sha256)
        if known is not None and known.version == new.version and known.sha256 not in (None, new.sha256):
            return "Another status document with this number was accepted here meanwhile. Run 'verify' again."
        if known is not None and (known.version > new.version or known == new):
            return None
        memory.setdefault(trust, {})[document.series] = new
        write_atomic(folder / _SEEN_FILE, _seen_bytes(memory), mode=0o600)
    return None


def _seen_bytes(memory: Mapping[str, Mapping[str, Seen]]) -> bytes:
    seen = {trust: {series: asdict(entry) for series, entry in of.items()} for trust, of in memory.items()}
    return canonical_json({"type": _SEEN_KIND, "version": 2, "seen": seen}) + b"\n"


def _load_seen(folder: Path) -> dict[str, dict[str, Seen]]:
    """The memory, by trust and series. Raises `OSError` when the folder cannot be looked into, or holds none."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        data = read_file(descriptor, _SEEN_FILE, limit=MAXIMUM_BYTES)
    except FileNotFoundError:
        raise
    except OSError:
        raise _no_memory("is no plain file that can be read") from None
    finally:
        os.close(descriptor)
    try:
        document = parse_strict(data, _SEEN_FILE, maximum_bytes=MAXIMUM_BYTES)
        return _seen_in(document)
    except (ReleaseFormatError, KeyError, TypeError, ValueError, AttributeError):
        raise _no_memory("is no memory of status documents: it was damaged, or written by something else") from None


def _seen_in(document: Any) -> dict[str, dict[str, Seen]]:
    """Of a memory in either form: the first kept the numbers of the documents alone. Raises for what is none."""
    form = document["version"]
    if document["type"] != _SEEN_KIND or type(form) is not int or form not in (1, 2):
        raise ValueError
    return {
        trust: {series: _seen_entry({"version": entry} if form == 1 else entry) for series, entry in of.items()}
        for trust, of in document["seen"].items()
    }


def _seen_entry(entry: Mapping[str, Any]) -> Seen:
    seen = Seen(**entry)
    if type(seen.version) is not int or not 1 <= seen.version <= MAXIMUM_VERSION:
        raise ValueError
    if seen.sha256 is not None and _SHA256.fullmatch(seen.sha256) is None:
        raise ValueError
    return seen


def _no_memory(cause: str) -> ConfigurationError:
    return ConfigurationError(
        f"{_SEEN_FILE} in the state folder (XDG_STATE_HOME, or ~/.local/state)",
        cause,
        "Restore it from a backup. Or compare the number of the newest status document with the steward, move the file "
        "away, and verify again: until then older documents would go unnoticed.",
    )


def _trust_id(trust: Trust) -> str:
    """Stands for the keys that count.

    Revoking one starts the memory anew: its owner may have signed a version so high that none could follow.
    """
    keys = sorted(person.public_key.hex() for person in trust.people if person.revoked is None)
    return hashlib.sha256(json.dumps(keys).encode()).hexdigest()


def _state_folder() -> Path:
    """As the XDG Base Directory Specification says: a relative path is to be ignored."""
    given = os.environ.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return base / "sensai-release"


@contextmanager
def _held(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
