"""Obeys a REDCap data dictionary: what the project marked as an identifier must not be released as it is.

Reads the dictionary's own CSV export and holds it against a schema. Which file is the dictionary of which table is for
the caller to say. Columns of the export: REDCap help, "Data Dictionary" (https://projectredcap.org/resources/).
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sensai_release.errors import InputError
from sensai_release.table.findings import Finding
from sensai_release.table.readers.files import ReadLimits, read_bytes, text_of
from sensai_release.table.readers.header import header_end
from sensai_release.table.readers.records import survey, swallowed
from sensai_release.table.schema import TableSchema

_FIELD, _MARK = "Variable / Field Name", "Identifier?"
_ALLOWED = ("drop", "pseudonymise")
_CURE = "Export the data dictionary again, as CSV."
# The largest real ones have some thousand fields.
_LIMITS = ReadLimits(file_bytes=16 << 20)


def marked_identifiers(path: Path, *, place: str, limits: ReadLimits = _LIMITS) -> frozenset[str]:
    """The fields with `y` in the column *Identifier?*.

    Raises `InputError`, named `place`, when the file is no data dictionary of REDCap, or when a row of it may be lost
    within another: then nothing is known to be free.
    """
    text = text_of(read_bytes(path, place, limits), limits)
    if isinstance(text, tuple):
        raise InputError(place, "is no text", _CURE)
    rows = csv.reader(io.StringIO(text.decode("utf-8"), newline=""), strict=True)
    marked = set()
    try:
        names = [name.strip() for name in next(rows, [])]
        if names.count(_FIELD) != 1 or names.count(_MARK) != 1:
            raise InputError(place, f"must have the columns '{_FIELD}' and '{_MARK}' once each", _CURE)
        _check_marks(text, place, width=len(names), limits=limits)
        field, mark = names.index(_FIELD), names.index(_MARK)
        number = 0
        for number, row in enumerate(filter(None, rows), start=1):
            if len(row) != len(names) or not row[field].strip():
                raise InputError(place, f"has another length in row {number}, or no name of a field there", _CURE)
            word = row[mark].strip().lower()
            if word not in ("", "y", "n"):
                raise InputError(place, f"has another word than 'y' in the column '{_MARK}', row {number}", _CURE)
            if word == "y":
                marked.add(row[field].strip())
    except csv.Error:
        raise InputError(place, "cannot be read as CSV", _CURE) from None
    if not number:
        raise InputError(place, "has no rows", _CURE)
    return frozenset(marked)


def _check_marks(text: bytes, place: str, *, width: int, limits: ReadLimits) -> None:
    """Stray quotation marks would join rows, and a mark of an identifier would be lost with them."""
    start = header_end(text, 0)
    seen = survey(text, start, quote=b'"', delimiter=b",", longest=limits.line_bytes)
    row = next((row for row in (seen.too_long, seen.open, seen.misplaced_row) if row is not None), None)
    if row is None and seen.broken:
        row = swallowed(text, start, width=width, quote=b'"', delimiter=b",")[1]
    if row is not None:
        raise InputError(place, f"has quotation marks in row {row} that may join rows", _CURE)


def check_marked(schema: TableSchema, marked: frozenset[str]) -> tuple[Finding, ...]:
    """A finding for each entry that would release a marked field, or a check box of one, but by a pseudonym."""
    text = "The REDCap dictionary marks this column as an identifier. Drop or pseudonymise it in the schema."
    found = []
    for spec in schema.columns:
        actions = {action.do for chosen in spec.actions.values() for action in chosen}
        if spec.is_derived or actions <= set(_ALLOWED):
            continue
        speaks = (
            spec.name.split("___")[0] in marked if spec.name is not None else any(map(spec.matches, sorted(marked)))
        )
        if speaks:
            found.append(Finding(table=schema.name, code="identifier.marked", column=spec.label, message=text))
    return tuple(found)
