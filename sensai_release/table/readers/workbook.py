"""Reads an XLSX workbook that holds one plain table: one sheet, a header in its first row, one value in each cell.

Takes values only, by openpyxl; anything that a table cannot say (formulas, merged cells, titles, several sheets,
pictures, macros) is refused with its reason. Format: ECMA-376, https://ecma-international.org/publications-and-standards/standards/ecma-376/
"""

from __future__ import annotations

import datetime
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from sensai_release.table.findings import Finding
from sensai_release.table.readers.cells import Converted
from sensai_release.table.readers.files import ReadLimits
from sensai_release.table.readers.header import PlannedColumn, plan_names
from sensai_release.table.readers.parsed import Parsed, Spot, typed_columns

_MOST_PARTS = 2000
_MOST_CELLS = 5_000_000
_MOST_BESIDE = 2 << 20
_EXACT = 10**15
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_STREAMED = re.compile(r"xl/(?:worksheets/[^/]+|sharedStrings)\.xml")
# Thumbnails and printer settings say nothing about the table and are never read.
_HARMLESS = re.compile(
    r"(?:.*\.(?:xml|rels|vml)|docProps/thumbnail\.\w+|xl/printerSettings/.*\.bin|.*/)", re.IGNORECASE
)
_NOTES = re.compile(r"xl/(?:threadedComments|comments|persons)[^/]*(?:/.*)?")
_REASONS = {
    "sheet.formula": (
        rb"<(?:\w+:)?f[ >/]",
        "The sheet holds formulas, whose results may be out of date. Save a copy with values only.",
    ),
    "sheet.merged": (
        rb"<(?:\w+:)?mergeCell ",
        "The sheet has merged cells, which leave in doubt where a value belongs. Undo them.",
    ),
    "sheet.error": (rb"""<(?:\w+:)?c [^>]*\bt=["']e["']""", "Cells hold errors such as a division by zero. Mend them."),
}


@dataclass(slots=True)
class _Rows:
    """The cells of one sheet as text, row by row; `blank` counts the empty rows between others."""

    header: tuple[str, ...] = ()
    rows: list[list[str | None]] = field(default_factory=list)
    blank: int = 0
    wide: int = 0
    inexact: list[tuple[int, int]] = field(default_factory=list)


def read_workbook(data: bytes, spot: Spot, needed: frozenset[str] | None, limits: ReadLimits) -> Parsed:
    """The planned columns of the one table in a workbook; findings name what is refused."""
    try:
        refused = _inspect(data, spot, limits)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, NotImplementedError, EOFError):
        refused = _damaged(spot)
    if any(finding.severity == "error" for finding in refused):
        return Parsed(findings=tuple(refused))
    found = _rows(data)
    if found is None:
        return Parsed(findings=tuple(_damaged(spot)))
    if isinstance(found, str):
        return Parsed(findings=(spot.finding("file.too_large", found),))
    if not found.header:
        return Parsed(findings=(spot.finding("file.empty", "The workbook has no cells. Export it again."),))
    if found.wide:
        text = "Rows are wider than the first one: titles above the header, or cells beside the table. Take them out."
        return Parsed(findings=(*refused, spot.finding("sheet.title", text, row=found.wide)))
    return _table(found, refused, spot, needed, limits)


def _damaged(spot: Spot) -> list[Finding]:
    return [spot.finding("file.damaged", "The workbook is damaged or of an unknown kind. Save it again, or as CSV.")]


def _inspect(data: bytes, spot: Spot, limits: ReadLimits) -> list[Finding]:
    """Looks at the archive and its XML before any of it is taken for a table."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        # zipfile reads no more of a part than its entry says, so these sizes are an upper bound.
        if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > limits.workbook_bytes:
            text = f"The workbook unfolds to more than {limits.workbook_bytes} bytes. Save the table as CSV."
            return [spot.finding("file.too_large", text)]
        # Sheets and shared texts are read as a stream; of each style or link openpyxl makes a large object.
        if any(part.file_size > _MOST_BESIDE and not _STREAMED.fullmatch(part.filename) for part in parts):
            text = f"A part of the workbook beside its cells unfolds to more than {_MOST_BESIDE} bytes. Save it as CSV."
            return [spot.finding("file.too_large", text)]
        names = [part.filename for part in parts]
        if len(set(names)) < len(names):
            return _damaged(spot)
        if not all(_HARMLESS.fullmatch(name) for name in names):
            text = "The workbook holds pictures, macros or other documents. Save the table alone."
            return [spot.finding("file.media", text)]
        found, filled = [], 0
        for name in names:
            content = archive.read(name) if name.endswith((".xml", ".rels", ".vml")) else b""
            # Office writes no document types; an entity is a bomb or a door to other files.
            if b"<!DOCTYPE" in content or b"<!ENTITY" in content or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
                return _damaged(spot)
            if _SHEET.fullmatch(name):
                filled += re.search(rb"<(?:\w+:)?(?:v|is)[ >]", content) is not None
                for code, (pattern, text) in _REASONS.items():
                    count = len(re.findall(pattern, content))
                    if count:
                        found.append(spot.finding(code, text, count=count))
    if filled > 1:
        text = "Several sheets hold data (hidden ones count). Save each table in a file of its own."
        found.append(spot.finding("sheet.several", text, count=filled))
    if any(_NOTES.fullmatch(name) for name in names):
        text = "The workbook has notes beside its cells; they are left behind. Check that nobody needs them."
        found.append(spot.finding("sheet.notes", text, severity="warning"))
    return found


def _rows(data: bytes) -> _Rows | str | None:
    """The cells of the one sheet that has any; `None` when openpyxl cannot read the file."""
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
            for sheet in book.worksheets:
                # The declared size of a sheet may be a lie of a billion cells.
                sheet.reset_dimensions()
                found = _collect(sheet.iter_rows(values_only=True))
                if isinstance(found, str) or found.header:
                    return found
    except Exception:  # noqa: BLE001 - a damaged workbook makes openpyxl raise nearly anything, with cells in the text
        return None
    return _Rows()


def _collect(rows: Iterable[tuple[Any, ...]]) -> _Rows | str:
    found = _Rows()
    cells = waiting = 0
    for values in rows:
        cells += len(values) + 1
        if cells > _MOST_CELLS:
            return f"The sheet has more than {_MOST_CELLS} cells. Save the table as CSV."
        texts = [_text(value) for value in values]
        while texts and texts[-1] is None:
            texts.pop()
        if not texts:
            waiting += 1
            continue
        found.blank, waiting = found.blank + waiting, 0
        if not found.header:
            found.header = tuple(text or "" for text in texts)
            continue
        if len(texts) > len(found.header) and not found.wide:
            found.wide = len(found.rows) + 1
        for position, value in enumerate(values):
            if isinstance(value, int | float) and abs(value) >= _EXACT:
                found.inexact.append((len(found.rows), position))
        found.rows.append(texts)
    return found


def _text(value: Any) -> str | None:
    """A cell as the text that a CSV export in ISO forms would have."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value).strip() or None


def _table(
    found: _Rows, findings: list[Finding], spot: Spot, needed: frozenset[str] | None, limits: ReadLimits
) -> Parsed:
    plan = plan_names(found.header, spot.schema, needed, limits)
    findings = [*findings, *(replace(finding, file=spot.place) for finding in plan.findings)]
    if found.blank:
        text = "Empty rows stand above or between the others; they are left out. Check that no row was lost."
        findings.append(spot.finding("row.blank", text, count=found.blank, severity="warning"))
    if not plan.readable:
        return Parsed(plan=plan, findings=tuple(findings))

    def texts(column: PlannedColumn) -> pa.ChunkedArray:
        at = column.position
        cells = [row[at] if at < len(row) else None for row in found.rows]
        return pa.chunked_array([pa.array(cells, pa.string())])

    columns, mixed = typed_columns(plan, texts, spot, points=False)
    if mixed is not None:
        return Parsed(plan=plan, rows=len(found.rows), findings=(*findings, mixed))
    for column in plan.columns:
        columns[column.name] = _mark_inexact(columns[column.name], column, found)
    return Parsed(plan=plan, rows=len(found.rows), columns=columns, findings=tuple(findings))


def _mark_inexact(converted: Converted, column: PlannedColumn, found: _Rows) -> Converted:
    rows = [row for row, position in found.inexact if position == column.position]
    if not rows or column.dtype == "number":
        return converted
    mask = np.zeros(len(found.rows), dtype=bool)
    mask[rows] = True
    return Converted(values=converted.values, wrong=(*converted.wrong, ("value.inexact", pa.chunked_array([mask]))))
