"""Findings: what validation has to say about the data, without ever quoting it.

Holds the result types and their JSON form. It does not read files and does not decide exit codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One cause of trouble in one place.

    `file` is the *declared* name of a source file, or `<pattern>#<n>` for the n-th file (1-based, in byte order
    of the names) of a table with one file per recording, because such names hold raw identifiers.
    `row` is the first data row concerned (1-based, header not counted); `count` is the number of cells, rows
    or files concerned. `message` says what was expected and what to do, and never holds a cell value.
    """

    table: str
    file: str | None = None
    column: str | None = None
    code: str
    severity: Severity = "error"
    row: int | None = None
    count: int = 1
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "table": self.table,
            "column": self.column,
            "file": self.file,
            "row": self.row,
            "count": self.count,
            "message": self.message,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, then by table, file, column, code and row: the same order on every run."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (f.severity, f.table, *_by_number(f.file or ""), f.column or "", f.code, f.row or 0),
        )
    )


def _by_number(place: str) -> tuple[str, int]:
    """`face/*.csv#9` comes before `face/*.csv#10`."""
    name, _, number = place.rpartition("#")
    return (name, int(number)) if number.isdecimal() else (place, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCount:
    """What came in for one table: files, rows and columns read, and columns left unread because they are dropped."""

    table: str
    files: int
    rows: int
    columns_read: int
    columns_dropped: int

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingCount:
    """What came in with one recording; `read` false when nothing of it could be used.

    `file` is a place as in `Finding`. `seconds` is whole; `lost` (rows in which the tracker lost the face) and
    `missing` (cells) are shares. `None` stands for what the table does not tell.
    """

    table: str
    file: str
    read: bool
    rows: int
    seconds: int | None = None
    lost: float | None = None
    missing: float | None = None
    errors: int = 0
    warnings: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


MASKED = "masked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRange:
    """Where the cells of a column lie in its declared range.

    `tenths` holds one entry per tenth: whole per cent of the cells in range (at least 1 where there is any), or
    `"masked"` where too few persons stand behind it, or where it would give a masked one away.
    """

    table: str
    column: str
    minimum: float
    maximum: float
    unit: str | None
    tenths: tuple[int | str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"tenths": list(self.tenths)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """The outcome of `validate`: all findings of all files of one run."""

    findings: tuple[Finding, ...] = ()
    tables: tuple[TableCount, ...] = ()
    columns: tuple[Mapping[str, Any], ...] = field(default=())
    """Per table and column: rows, missing (and for numbers the share out of range); no values."""
    recordings: tuple[RecordingCount, ...] = ()
    ranges: tuple[ColumnRange, ...] = ()

    @property
    def ok(self) -> bool:
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "findings": [finding.to_dict() for finding in self.findings],
            "tables": [table.to_dict() for table in self.tables],
            "columns": [dict(column) for column in self.columns],
            "recordings": [recording.to_dict() for recording in self.recordings],
            "ranges": [column.to_dict() for column in self.ranges],
        }
