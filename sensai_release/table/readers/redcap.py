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
from sensai_release.table.schema import TableSchema

_FIELD, _MARK = "Variable / Field Name", "Identifier?"
_ALLOWED = ("drop", "pseudonymise")


def marked_identifiers(path: Path, *, place: str, limits: ReadLimits | None = None) -> frozenset[str]:
    """The fields with `y` in the column *Identifier?*.

    Raises `InputError`, named `place`, when the file is no data dictionary of REDCap: then nothing is known to be free.
    """
    bounds = limits or ReadLimits()
    text = text_of(read_bytes(path, place, bounds), bounds)
    cure = "Export the data dictionary again, as CSV."
    if isinstance(text, tuple):
        raise InputError(place, "is no text", cure)
    try:
        rows = list(csv.DictReader(io.StringIO(text.decode("utf-8"), newline=""), strict=True))
    except csv.Error:
        raise InputError(place, "cannot be read as CSV", cure) from None
    if not rows or _FIELD not in rows[0] or _MARK not in rows[0]:
        raise InputError(place, f"lacks the column '{_FIELD}' or '{_MARK}', or has no rows", cure)
    if any(None in row or None in row.values() or not row[_FIELD].strip() for row in rows):
        raise InputError(place, "has rows of different lengths or a field without a name", cure)
    marks = {row[_MARK].strip().lower() for row in rows}
    if not marks <= {"", "y", "n"}:
        raise InputError(place, f"has other words than 'y' in the column '{_MARK}'", cure)
    return frozenset(row[_FIELD].strip() for row in rows if row[_MARK].strip().lower() == "y")


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
