"""The leak scan of a folder: every byte of every file, and every name, against canaries and patterns.

Findings name a file, a kind, a column and a count, and never what was found, nor where in the file: an offset would
lead to it. A file or a column whose own name is the leak is called by its number. What is scanned is only read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from sensai_release.privacy.leakscan.canaries import FREE_TEXT, IDENTIFIER, MACHINE, NAME, Canaries, CanaryBuilder
from sensai_release.privacy.leakscan.patterns import count_bsn_cells, count_patterns, holds_places, is_bsn_column
from sensai_release.privacy.leakscan.unwrap import Passage, ScanLimits, unwrap
from sensai_release.table.findings import Finding, sort_findings

Progress = Callable[[int, int], None]

UNSCANNED = "leak.unscanned"
KINDS: Mapping[str, str] = {
    IDENTIFIER: "a raw identifier of the source",
    NAME: "a name of the source",
    FREE_TEXT: "words of the source's free text",
    MACHINE: "a folder, user or host name of this machine",
    "leak.bsn": "a citizen service number (BSN)",
    "leak.iban": "a bank account number (IBAN)",
    "leak.phone": "a telephone number",
    "leak.postcode": "a post code",
    "leak.email": "an e-mail address",
    "leak.path": "a path of somebody's machine",
    "leak.date": "a calendar date",
    "leak.datetime": "a date with a time of day",
    "leak.ip": "an IP address",
    "leak.mac": "a hardware (MAC) address",
    "leak.gps": "a geographic position",
    UNSCANNED: "a part that cannot be looked into",
}
"""Every kind of finding, and what it says was found."""

_CURE = "Find out which stage or text lets it through, correct that, and build again."
_NOBODY = CanaryBuilder().build()


def scan_tree(
    root: Path,
    *,
    canaries: Canaries = _NOBODY,
    declared: frozenset[bytes] = frozenset(),
    patterns: bool = True,
    limits: ScanLimits | None = None,
    on_progress: Progress | None = None,
) -> tuple[Finding, ...]:
    """Scans a file, or every file below a folder; symbolic links are not followed but reported.

    `declared` holds pattern matches that the workspace itself declares (a role's mailbox in a datasheet). Without
    `patterns` only canaries are looked for. Writes nothing, prints nothing; the same tree gives the same findings.
    """
    limits = limits or ScanLimits()
    paths = [root] if root.is_file() else sorted(_walk(root), key=lambda path: os.fsencode(path.relative_to(root)))
    findings: list[Finding] = []
    for number, path in enumerate(paths, start=1):
        relative = path.name if path == root else path.relative_to(root).as_posix()
        named = _counts(Passage(data=os.fsencode(relative)), canaries, declared, patterns=patterns)
        place = f"file #{number} in name order" if named else relative
        table = _table_of(relative) if not named else ""
        findings += [_finding(table, place, code, count, None, "the file's name") for code, count in named.items()]
        data = _read(path, limits)
        if data is None:
            findings.append(_finding(table, place, UNSCANNED, 1, None, ""))
        else:
            for finding in scan_bytes(data, canaries=canaries, declared=declared, patterns=patterns, limits=limits):
                findings.append(_placed(finding, table, place))
        if on_progress is not None:
            on_progress(number, len(paths))
    return sort_findings(findings)


def scan_bytes(
    data: bytes,
    *,
    canaries: Canaries = _NOBODY,
    declared: frozenset[bytes] = frozenset(),
    patterns: bool = True,
    limits: ScanLimits | None = None,
) -> tuple[Finding, ...]:
    """Scans the content of one file; findings have no file. The same thing seen in two ways counts once."""
    found: dict[tuple[str, str | None], tuple[int, str]] = {}
    scraps: dict[str, int] = {}
    for passage in unwrap(data, limits or ScanLimits(), canaries.key_columns):
        if passage.form == "unscanned":
            counts = {UNSCANNED: 1}
        else:
            counts = _counts(passage, canaries, declared, patterns=patterns)
        if passage.form == "scraps" and not passage.view:
            scraps |= {code: max(count, scraps.get(code, 0)) for code, count in counts.items()}
            continue
        column = _column_name(passage.column, canaries)
        for code, count in counts.items():
            if count > found.get((code, column), (0, ""))[0]:
                found[code, column] = count, passage.view
    # The raw bytes of a container can show what its members have shown already.
    seen = {code for code, _ in found}
    found |= {(code, None): (count, "") for code, count in scraps.items() if code not in seen}
    if data.startswith(b"PAR1") and patterns and _has_places(data):
        found.setdefault(("leak.gps", None), (1, "column names"))
    return sort_findings(
        _finding("", None, code, count, column, view) for (code, column), (count, view) in found.items()
    )


def _counts(passage: Passage, canaries: Canaries, declared: frozenset[bytes], *, patterns: bool) -> dict[str, int]:
    counts = canaries.count(passage.data, cells=passage.form == "cells") if canaries else {}
    if patterns:
        seen = count_patterns(passage.data, thin=passage.thin, scraps=passage.form == "scraps", declared=declared)
        if passage.form == "cells" and passage.column is not None and is_bsn_column(passage.column):
            seen["leak.bsn"] = max(seen.get("leak.bsn", 0), count_bsn_cells(passage.data))
        counts |= {code: count for code, count in seen.items() if count}
    return counts


def _column_name(column: str | None, canaries: Canaries) -> str | None:
    if column is None or not (canaries.count(column.encode()) or count_patterns(column.encode())):
        return column
    return "a column whose name is a leak itself"


def _has_places(data: bytes) -> bool:
    import pyarrow as pa

    try:
        return holds_places(pq.read_schema(pa.BufferReader(data)).names)
    except (OSError, pa.ArrowException):
        return False


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            else:
                yield Path(entry.path)


def _read(path: Path, limits: ScanLimits) -> bytes | None:
    """The content of a regular file within the limits; of everything else, nothing."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > limits.file_bytes:
                return None
            return file.read()
    except OSError:
        return None


def _table_of(relative: str) -> str:
    match = re.match(r"data/([^/]+)/", relative)
    return match[1] if match else ""


def _placed(finding: Finding, table: str, place: str) -> Finding:
    return Finding(
        table=table,
        file=place,
        column=finding.column,
        code=finding.code,
        severity=finding.severity,
        count=finding.count,
        message=finding.message,
    )


def _finding(table: str, file: str | None, code: str, count: int, column: str | None, view: str) -> Finding:
    way = f" (seen through: {view})" if view else ""
    return Finding(
        table=table,
        file=file,
        column=column,
        code=code,
        # A lone calendar day is often a version's or a document's; the report shows it and a person decides.
        severity="warning" if code == "leak.date" and column is None else "error",
        count=count,
        message=f"Holds {KINDS[code]}{way}. {_CURE}",
    )
