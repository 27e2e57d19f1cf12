"""The governance log: what was done with a series of releases, in order, so that nothing can be changed unseen.

One line of canonical JSON (RFC 8785) an entry: `{"leaf": {…}, "time": {"at", "salt"}}`. The leaf holds the event, its
facts, its index, the leaf hash of the entry before (a hash chain), and a salted SHA-256 that commits to the time of
day: a proof for strangers shows the leaf and so no time, while the log's own times cannot be changed either. Leaves are
those of a Merkle tree (`release.merkle`), whose signed head is a checkpoint (`release.tlog`).

A pure core: text in, entries out. Files and locks are `pipeline.logbook`'s. Facts hold names of releases, digests,
verdicts, masked counts and names of gates; never a value, a raw identifier, a path or the name of a user.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensai_release.errors import ReleaseFormatError, SensaiReleaseError
from sensai_release.release.documents import canonical_json, parse_strict
from sensai_release.release.merkle import leaf_hash, root_hash
from sensai_release.release.tlog import Checkpoint

PLACE = "log/log.jsonl"
EVENTS = (
    "build",
    "build.refused",
    "release.intent",
    "release",
    "release.refused",
    "release.abandoned",
    "approve",
    "approve.refused",
    "waiver",
    "attest",
    "status",
    "key",
    "log.repaired",
)
MAXIMUM_LINE_BYTES = 64 << 10

_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_SALT = re.compile(r"[0-9a-f]{32}")
_CURE = "Take the log back from git; never edit it. Its checkpoint tells which copy is whole."


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry. `at` is a time in UTC (`2026-03-14T10:32:00Z`), `salt` 32 hexadecimal digits made at random."""

    index: int
    event: str
    facts: Mapping[str, Any]
    previous: str | None
    at: str
    salt: str

    @property
    def leaf(self) -> bytes:
        """The bytes that are hashed into the tree, and shown in a proof."""
        return canonical_json(
            {
                "event": self.event,
                "facts": dict(self.facts),
                "index": self.index,
                "previous": self.previous,
                "time_sha256": hashlib.sha256(f"{self.salt}{self.at}".encode("ascii")).hexdigest(),
            }
        )

    @property
    def digest(self) -> bytes:
        return leaf_hash(self.leaf)

    def to_line(self) -> bytes:
        leaf = parse_strict(self.leaf, PLACE)
        return canonical_json({"leaf": leaf, "time": {"at": self.at, "salt": self.salt}}) + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFault:
    """Something that is wrong with a log. `line` counts from 1; `message` completes "line 3 …" and holds no value."""

    code: str
    line: int
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {"code": self.code, "line": self.line, "message": self.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedLog:
    """`entries` up to the first fault; `torn` is what follows the last line end: the trace of a power cut."""

    entries: tuple[LogEntry, ...]
    faults: tuple[LogFault, ...] = ()
    torn: bytes = b""

    @property
    def whole(self) -> bool:
        return not self.faults and not self.torn


def next_entry(entries: Sequence[LogEntry], event: str, facts: Mapping[str, Any], *, at: str, salt: str) -> LogEntry:
    """The entry that follows. Raises `ReleaseFormatError` for facts that are no JSON, or too many of them."""
    if event not in EVENTS:
        raise ValueError("no such event")
    entry = LogEntry(
        index=len(entries),
        event=event,
        facts=facts,
        previous=entries[-1].digest.hex() if entries else None,
        at=at,
        salt=salt,
    )
    if len(entry.to_line()) > MAXIMUM_LINE_BYTES:
        raise ReleaseFormatError(PLACE, f"would get a line of more than {MAXIMUM_LINE_BYTES} bytes", "Log less.")
    return entry


def parse_log(data: bytes) -> ParsedLog:
    """Reads a log and checks its chain, line by line. A fault ends it, since nothing after it can be trusted."""
    *lines, torn = data.split(b"\n")
    entries: list[LogEntry] = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = _parse_line(line)
        except (SensaiReleaseError, KeyError, TypeError, ValueError):
            fault = LogFault(code="log.malformed", line=number, message="is no entry in its canonical form")
            return ParsedLog(entries=tuple(entries), faults=(fault,), torn=torn)
        expected = entries[-1].digest.hex() if entries else None
        if entry.index != number - 1 or entry.previous != expected:
            fault = LogFault(code="log.chain", line=number, message="does not follow from the line before it")
            return ParsedLog(entries=tuple(entries), faults=(fault,), torn=torn)
        entries.append(entry)
    return ParsedLog(entries=tuple(entries), torn=torn)


def _parse_line(line: bytes) -> LogEntry:
    document = parse_strict(line, PLACE, maximum_bytes=MAXIMUM_LINE_BYTES)
    leaf, time = document["leaf"], document["time"]
    entry = LogEntry(
        index=leaf["index"],
        event=leaf["event"],
        facts=leaf["facts"],
        previous=leaf["previous"],
        at=time["at"],
        salt=time["salt"],
    )
    well_formed = isinstance(entry.index, int) and entry.event in EVENTS and isinstance(entry.facts, dict)
    if not well_formed or not _AT.fullmatch(entry.at) or not _SALT.fullmatch(entry.salt):
        raise ValueError
    # The time's digest is computed anew, so a changed time shows as a line in another form than this.
    if entry.to_line() != line + b"\n":
        raise ValueError
    return entry


def leaf_hashes(entries: Sequence[LogEntry]) -> list[bytes]:
    return [entry.digest for entry in entries]


def checkpoint_of(entries: Sequence[LogEntry], origin: str) -> Checkpoint:
    """The head of the log as it stands; signing it is `release.tlog.sign_checkpoint`'s."""
    return Checkpoint(origin=origin, size=len(entries), root=root_hash(leaf_hashes(entries)))


def check_checkpoint(entries: Sequence[LogEntry], checkpoint: Checkpoint) -> LogFault | None:
    """What is wrong when a checkpoint that was signed once is no head of the log's first entries."""
    if checkpoint.size > len(entries):
        missing = checkpoint.size - len(entries)
        return LogFault(code="log.cut", line=len(entries), message=f"is the last, but {missing} signed entries follow")
    if root_hash(leaf_hashes(entries[: checkpoint.size])) != checkpoint.root:
        return LogFault(code="log.rewritten", line=checkpoint.size, message="or one before it is not what was signed")
    return None


def unfinished(entries: Sequence[LogEntry]) -> LogEntry | None:
    """The last intent to release that neither a release nor its abandonment follows."""
    for entry in reversed(entries):
        if entry.event in ("release", "release.abandoned"):
            return None
        if entry.event == "release.intent":
            return entry
    return None
