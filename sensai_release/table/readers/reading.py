"""Reads one source file against its schema: an Arrow table, and findings about all that could not be read.

Says by the content which container the file is and hands it to the module that knows it. Whether the values are
plausible is for `table.checks`; which columns are needed is for the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from sensai_release.table.findings import Finding
from sensai_release.table.matching import key_from_file
from sensai_release.table.readers import tools
from sensai_release.table.readers.arff import MISSING, arff_header, is_arff
from sensai_release.table.readers.cells import Converted, count_and_first, key_forms
from sensai_release.table.readers.columnar import read_parquet_file
from sensai_release.table.readers.delimited import read_rows
from sensai_release.table.readers.files import ReadLimits, container, read_bytes, text_of
from sensai_release.table.readers.header import Plan, header_end, plan_for, plan_names
from sensai_release.table.readers.parsed import Parsed, Spot
from sensai_release.table.readers.workbook import read_workbook
from sensai_release.table.schema import TableSchema
from sensai_release.table.stowaways import hidden_in_text, in_words

_LIMITS = ReadLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One file as it was read.

    `table` is `None` when the file as a whole is refused. A column with a cell that cannot be read is left out of
    `table`, so that no later check takes that cell for a missing one; a finding says so. `rows` counts the data
    rows of the file, `columns_read` the columns of `table`, `columns_dropped` the declared ones left unread.
    """

    table: pa.Table | None
    findings: tuple[Finding, ...]
    rows: int
    columns_read: int
    columns_dropped: int


def read_recording(path: Path, schema: TableSchema, *, place: str, needed: frozenset[str]) -> Reading:
    """`read_file` for one recording of a table with a file per recording: the hot path, so `needed` must be said."""
    return read_file(path, schema, place=place, needed=needed)


def read_file(
    path: Path,
    schema: TableSchema,
    *,
    place: str,
    needed: frozenset[str] | None = None,
    limits: ReadLimits = _LIMITS,
) -> Reading:
    """Reads one delimited, OpenFace or openSMILE text file (RFC 4180 and its spreadsheet dialects).

    `place` names the file in findings and errors; the real path never does. `needed` holds the labels of the entries
    whose columns are parsed; `None` stands for all, but for a column of paths that only gives the key.
    The result has the named columns in the order of the schema, then those matched by patterns as in the file, with
    the Arrow types of `arrow_type`; text is trimmed, empty cells are missing, and no cell is NaN or infinite. Of an
    OpenFace file with several faces only the rows of the main one are kept.
    Raises `InputError` when the file cannot be read at all, is no regular file, or changes meanwhile.
    """
    data = read_bytes(path, place, limits)
    spot = Spot(schema=schema, place=place)
    kind = container(data)
    if kind == "parquet":
        return _finish(read_parquet_file(data, spot, needed, limits), spot)
    if kind == "xlsx":
        return _finish(read_workbook(data, spot, needed, limits), spot)
    text = text_of(data, limits)
    if isinstance(text, tuple):
        return _finish(Parsed(findings=(spot.finding(*text),)), spot)
    # What is parsed is looked at cell by cell later; this is for the columns of a recording that are not.
    hidden = hidden_in_text(text, text.find(b"\n") + 1) if needed is not None else None
    if hidden is not None:
        message = f"The file has {in_words(hidden)} written as text in a column. Take the column out."
        return _finish(Parsed(findings=(spot.finding(f"stowaway.{hidden}", message),)), spot)
    read_text = _read_arff if is_arff(text, 0) else _read_delimited
    return _finish(read_text(text, spot, needed, limits), spot)


def _read_delimited(data: bytes, spot: Spot, needed: frozenset[str] | None, limits: ReadLimits) -> Parsed:
    end = header_end(data, 0)
    header = data[:end]
    if not header.strip():
        text = "The file has no header line. Export it again."
        return Parsed(findings=(spot.finding("file.empty", text),))
    if len(header) > limits.line_bytes:
        text = f"A line is longer than {limits.line_bytes} bytes."
        return Parsed(findings=(spot.finding("line.too_long", text),))
    return _read_rows(data, end, plan_for(header, spot.schema, needed, limits), spot, limits)


def _read_arff(data: bytes, spot: Spot, needed: frozenset[str] | None, limits: ReadLimits) -> Parsed:
    header = arff_header(data, 0, columns=limits.columns)
    if isinstance(header, str):
        return Parsed(findings=(spot.finding("file.arff", header),))
    plan = plan_names(header.names, spot.schema, needed, limits, quote=header.quote)
    return _read_rows(data, header.rows, plan, spot, limits, missing=MISSING)


def _read_rows(
    data: bytes, start: int, plan: Plan, spot: Spot, limits: ReadLimits, *, missing: str | None = None
) -> Parsed:
    findings = tuple(replace(finding, file=spot.place) for finding in plan.findings)
    if not plan.readable:
        return Parsed(plan=plan, findings=findings)
    parsed = read_rows(data, start, plan, spot, limits, missing=missing)
    return replace(parsed, findings=(*findings, *parsed.findings))


def _finish(parsed: Parsed, spot: Spot) -> Reading:
    """The table of the columns in which every cell could be read, with the key that the file's paths give."""
    plan, found = parsed.plan, list(parsed.findings)
    dropped = plan.dropped if plan is not None and plan.readable else 0
    if plan is None or parsed.columns is None:
        return Reading(table=None, findings=tuple(found), rows=parsed.rows, columns_read=0, columns_dropped=dropped)
    good: dict[str, pa.ChunkedArray] = {}
    for column in plan.columns:
        result: Converted = parsed.columns[column.name]
        counts = [(code, *count_and_first(mask)) for code, mask in result.wrong]
        found += [spot.finding(code, column=column.name, row=row, count=count) for code, count, row in counts if count]
        if not any(count for _, count, _ in counts):
            good[column.name] = result.values
    mask = _faces(good, found, spot) if spot.reader == "openface" else None
    _key(good, found, plan, spot)
    found += _key_forms(good, spot)
    names = [name for name in plan.names if name in good]
    table = pa.table([good[name] for name in names], names=names)
    if mask is not None and names:
        table = table.filter(mask)
    return Reading(
        table=table,
        findings=tuple(found),
        rows=parsed.rows,
        columns_read=table.num_columns,
        columns_dropped=dropped,
    )


def _faces(good: dict[str, pa.ChunkedArray], found: list[Finding], spot: Spot) -> pa.ChunkedArray | None:
    success, face_id = _numeric(good, "success"), _numeric(good, "face_id")
    if success is not None:
        found += tools.check_success(success, table=spot.schema.name, place=spot.place)
    mask = tools.main_face(face_id, success) if face_id is not None and len(face_id) else None
    if mask is not None:
        found.append(tools.several_faces(mask, table=spot.schema.name, place=spot.place))
    return mask


def _key(good: dict[str, pa.ChunkedArray], found: list[Finding], plan: Plan, spot: Spot) -> None:
    key = key_from_file(spot.schema)
    if key is None or plan.path_column is None or plan.path_column not in good:
        return
    stems = tools.stems(good[plan.path_column])
    count, row = tools.unknown(stems)
    if count:
        found.append(spot.finding("key.unknown", column=key, row=row, count=count))
        return
    good[key] = stems


def _key_forms(good: dict[str, pa.ChunkedArray], spot: Spot) -> list[Finding]:
    """Keys that are one number and several texts: whether they are one person nobody can tell."""
    schema = spot.schema
    keys = {*schema.primary_key, *(foreign.column for foreign in schema.foreign_keys)}
    keys |= {spec.name for spec in schema.columns if spec.identifier is not None and spec.name is not None}
    found = []
    for name in sorted(keys & good.keys()):
        if pa.types.is_string(good[name].type):
            count, row = key_forms(good[name])
            if count:
                found.append(spot.finding("key.forms", column=name, row=row, count=count))
    return found


def _numeric(columns: dict[str, pa.ChunkedArray], name: str) -> pa.ChunkedArray | None:
    values = columns.get(name)
    if values is None or pa.types.is_string(values.type):
        return None
    return values
