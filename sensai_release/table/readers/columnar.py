"""Reads a Parquet file: flat columns only, within bounds, each turned into its declared type without loss.

Key-value metadata (pandas' index, a whole data frame's attributes, anything) is reported and left behind. Nested and
binary columns are refused: no declared type needs them, and they are where a recording would hide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sensai_release.table.readers.cells import Converted, arrow_type, convert, finite, trim, whole
from sensai_release.table.readers.files import ReadLimits
from sensai_release.table.readers.footer import Footer, read_footer
from sensai_release.table.readers.header import PlannedColumn, plan_names
from sensai_release.table.readers.parsed import Parsed, Spot
from sensai_release.table.schema import Dtype

_NOT_READABLE = "The Parquet file is damaged or of an unknown kind. Write it again."
_CONTRADICTS = "The Parquet file contradicts itself: its footer, its pages and its columns do not fit. Write it again."
_TOO_LARGE = "The Parquet file unfolds to more than a table of this kind can hold. Check what it is."


def read_parquet_file(data: bytes, spot: Spot, needed: frozenset[str] | None, limits: ReadLimits) -> Parsed:
    """The planned columns of a Parquet file; findings name what is refused."""
    try:
        file = _open(data)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError, ValueError):
        return Parsed(findings=(spot.finding("file.damaged", _NOT_READABLE),))
    refused = [
        spot.finding(code, text, column=f"#{number}")
        for number, field in enumerate(schema, start=1)
        for code, text in _refusal(field.type)
    ]
    if refused:
        return Parsed(findings=tuple(refused[:20]))
    plan = plan_names(schema.names, spot.schema, needed, limits)
    findings = tuple(replace(finding, file=spot.place) for finding in plan.findings)
    entries = set(file.metadata.metadata or {}) - {b"ARROW:schema"}
    if entries:
        text = "The Parquet file carries key-value metadata (such as pandas writes); it is left behind."
        findings += (spot.finding("file.metadata", text, count=len(entries), severity="warning"),)
    if not plan.readable:
        return Parsed(plan=plan, findings=findings)
    try:
        footer = read_footer(data)
    except ValueError:
        return Parsed(plan=plan, findings=(*findings, spot.finding("file.damaged", _CONTRADICTS)))
    table = _table(data, file, footer, [column.position for column in plan.columns], limits)
    if isinstance(table, str):
        code = "file.too_large" if table is _TOO_LARGE else "file.damaged"
        return Parsed(plan=plan, findings=(*findings, spot.finding(code, table)))
    columns = {
        column.name: _wrong(column, cells) if footer.columns[column.position].int96 else _typed(column, cells, spot)
        for column, cells in zip(plan.columns, table.columns, strict=True)
    }
    return Parsed(plan=plan, rows=footer.rows, columns=columns, findings=findings)


def _refusal(kind: pa.DataType) -> list[tuple[str, str]]:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        return [("column.nested", "The column holds lists, records or arrays. Write plain columns, or leave it out.")]
    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    if any(test(kind) for test in binary):
        return [("column.binary", "The column holds bytes, as recordings and images are stored. Leave it out.")]
    return []


def _open(data: bytes, texts: list[str] | None = None) -> pq.ParquetFile:
    return pq.ParquetFile(
        pa.BufferReader(data),
        read_dictionary=texts,
        page_checksum_verification=True,
        thrift_string_size_limit=16 << 20,
        thrift_container_size_limit=1 << 20,
    )


def _table(
    data: bytes, file: pq.ParquetFile, footer: Footer, positions: list[int], limits: ReadLimits
) -> pa.Table | str:
    """The columns, or why not. Texts come as dictionaries: one long text for a million rows must not be unfolded."""
    if footer.rows * max(len(positions), 1) * 8 > limits.unfolded_bytes:
        return _TOO_LARGE
    try:
        if sum(footer.columns[position].unfolded(data) for position in positions) > limits.unfolded_bytes:
            return _TOO_LARGE
    except ValueError:
        return _CONTRADICTS
    schema = file.schema_arrow
    names = [schema.names[position] for position in positions]
    texts = [schema.names[position] for position in positions if _is_text(schema.field(position).type)]
    try:
        table = _open(data, texts).read(columns=names, use_threads=False)
        # Arrow looks neither at the indices of a dictionary nor at the encoding of its texts.
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, IndexError):
        return _NOT_READABLE
    fits = [footer.columns[at].fits(cells.null_count) for at, cells in zip(positions, table.columns, strict=True)]
    if (table.num_rows != footer.rows and names) or not all(fits):
        return _CONTRADICTS
    if sum(map(_unfolded, table.columns)) > limits.unfolded_bytes:
        return _TOO_LARGE
    return table


def _is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _unfolded(column: pa.ChunkedArray) -> int:
    """The bytes that the texts of a dictionary column take when they are written out."""
    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return 0
    return sum(
        pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices), min_count=0).as_py()
        for chunk in column.chunks
    )


def _typed(column: PlannedColumn, cells: pa.ChunkedArray, spot: Spot) -> Converted:
    if pa.types.is_dictionary(cells.type):
        cells = pc.cast(cells, cells.type.value_type)
    if pa.types.is_null(cells.type):
        return Converted(values=pc.cast(cells, arrow_type(column.dtype)))
    if _is_text(cells.type):
        texts = trim(pc.cast(cells, pa.string()))
        return convert(texts, column.dtype, duration=column.duration, decimals=spot.decimals)
    if pa.types.is_duration(cells.type):
        # No two tools agree on more than microseconds, which a float holds exactly for years.
        cells = pc.divide(pc.cast(pc.cast(cells, pa.duration("ns")), pa.int64()).cast(pa.float64()), 1e9)
        return finite(cells) if column.dtype == "number" else _as(column, pc.cast(cells, pa.string()), cells)
    return _BY_DTYPE[column.dtype](column, cells)


def _as(column: PlannedColumn, values: pa.ChunkedArray, cells: pa.ChunkedArray) -> Converted:
    return Converted(values=values) if column.dtype in ("string", "category") else _wrong(column, cells)


def _wrong(column: PlannedColumn, cells: pa.ChunkedArray) -> Converted:
    nothing = pa.chunked_array([pa.nulls(len(cells), arrow_type(column.dtype))])
    return Converted(values=nothing, wrong=(("value.type", pc.is_valid(cells)),))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _exact(column: PlannedColumn, cells: pa.ChunkedArray) -> Converted:
    """The declared type where the cast loses nothing in any cell."""
    try:
        return Converted(values=pc.cast(cells, arrow_type(column.dtype)))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _wrong(column, cells)


def _number(column: PlannedColumn, cells: pa.ChunkedArray) -> Converted:
    if pa.types.is_floating(cells.type):
        return finite(pc.cast(cells, pa.float64()))
    return _exact(column, cells) if pa.types.is_integer(cells.type) else _wrong(column, cells)


def _integer(column: PlannedColumn, cells: pa.ChunkedArray) -> Converted:
    # pandas stores whole numbers as floats as soon as one is missing.
    if pa.types.is_floating(cells.type):
        numbers = finite(pc.cast(cells, pa.float64()))
        converted = whole(numbers.values)
        return Converted(values=converted.values, wrong=(*converted.wrong, *numbers.wrong))
    return _exact(column, cells) if pa.types.is_integer(cells.type) else _wrong(column, cells)


def _boolean(column: PlannedColumn, cells: pa.ChunkedArray) -> Converted:
    if pa.types.is_boolean(cells.type):
        return Converted(values=cells)
    return convert(pc.cast(cells, pa.string()), "boolean") if _is_number(cells.type) else _wrong(column, cells)


def _text(column: PlannedColumn, cells: pa.ChunkedArray) -> Converted:
    # A float would print 17.0 as 17: whether a key was 17, 17.0 or 017 is lost already.
    plain = pa.types.is_integer(cells.type) or pa.types.is_boolean(cells.type) or pa.types.is_date(cells.type)
    if plain or pa.types.is_timestamp(cells.type):
        return Converted(values=pc.cast(cells, pa.string()))
    return _wrong(column, cells)


def _time(column: PlannedColumn, cells: pa.ChunkedArray) -> Converted:
    if pa.types.is_timestamp(cells.type) and cells.type.tz is not None:
        cells = pc.local_timestamp(cells)
    if not pa.types.is_date(cells.type) and not pa.types.is_timestamp(cells.type):
        return _wrong(column, cells)
    converted = _exact(column, cells)
    if column.dtype == "date" and pa.types.is_timestamp(cells.type) and not converted.wrong:
        # Arrow drops the time of day without a word.
        timed = pc.not_equal(pc.cast(converted.values, cells.type), cells)
        return Converted(values=converted.values, wrong=(("value.type", timed),))
    return converted


_BY_DTYPE: dict[Dtype, Callable[[PlannedColumn, pa.ChunkedArray], Converted]] = {
    "string": _text,
    "category": _text,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "date": _time,
    "datetime": _time,
}
