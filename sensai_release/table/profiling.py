"""Profiles one file without a schema: names, types, missing and distinct cells, and never a value.

Reads with the readers of the package, every cell as text, and finds for each column the narrowest type that all cells
can be read as. What the columns mean is for the catalogue and for `table.draft`; masking of counts is for the caller.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sensai_release.errors import InputError
from sensai_release.table.readers import ReadLimits, read_file
from sensai_release.table.readers.cells import convert, trim
from sensai_release.table.readers.files import read_bytes
from sensai_release.table.schema import ColumnSpec, Dtype, SourceSpec, TableSchema

_LIMITS = ReadLimits(file_bytes=512 << 20)
_MAX_CELLS = 200_000_000
_CANDIDATES: tuple[Dtype, ...] = ("integer", "number", "boolean", "date", "datetime")
# A headerless file has cells for names; these are no names that anybody gives to a column.
_LOOKS_LIKE_A_CELL = re.compile(
    r"[+-]?[0-9.,]+(?:[eE][+-]?[0-9]+)?|[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(?:[T ].*)?|.*@.*|(?:[A-Za-z]:)?[/\\].*"
    r"|(?i:nan|true|false|yes|no)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """One column: its name, the type that all its cells have, how many are missing, and how many differ.

    `values` are the typed cells, for range checks inside the package; nothing may show them.
    """

    name: str
    dtype: Dtype
    missing: int
    distinct: int
    texts: pa.ChunkedArray | None
    values: pa.ChunkedArray

    def outside(self, minimum: float | None, maximum: float | None) -> int:
        """How many cells lie outside the bounds; 0 for a column that is no number."""
        if self.dtype not in ("integer", "number"):
            return 0
        below = pc.less(self.values, minimum) if minimum is not None else None
        above = pc.greater(self.values, maximum) if maximum is not None else None
        return sum(pc.sum(mask).as_py() or 0 for mask in (below, above) if mask is not None)

    def fits(self, dtype: Dtype, *, decimals: bool = False) -> bool:
        """Whether every cell can be read as `dtype`; `decimals`: the reader takes `1.00` for the integer 1."""
        if dtype in ("string", "category", self.dtype) or (dtype == "number" and self.dtype == "integer"):
            return True
        return self.texts is not None and _typed(self.texts, dtype, decimals=decimals) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProfile:
    """A file's rows and columns, in their order."""

    rows: int
    columns: tuple[ColumnProfile, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def profile_file(path: Path, *, place: str) -> FileProfile:
    """Profiles a file that a reader takes (delimited text in its dialects, Parquet). `place` names it in errors.

    Raises `InputError` when the file cannot be read, when it is damaged or ambiguous, or when its first line does not
    look like names of columns; the message holds neither a cell nor a name.
    """
    head = read_bytes(path, place, _LIMITS)
    table = _parquet(head, place) if head.startswith(b"PAR1") else _text(path, place)
    _check_names(table.column_names, place)
    return FileProfile(
        rows=table.num_rows, columns=tuple(_profile(name, table.column(name), place) for name in table.column_names)
    )


def _text(path: Path, place: str) -> pa.Table:
    anything = ColumnSpec(
        pattern=".+",
        dtype="string",
        description="Any column.",
        role="direct_identifier",
        idclass="undecided",
        actions={},
        justification="Nobody has decided.",
        nullable=True,
        required=False,
    )
    source = SourceSpec(file="any", reader="delimited", row="row")
    schema = TableSchema(name="draft", title="Draft", description="Draft.", columns=(anything,), source=source)
    reading = read_file(path, schema, place=place, limits=_LIMITS)
    errors = [finding for finding in reading.findings if finding.severity == "error"]
    if errors or reading.table is None:
        first = min(errors, key=lambda finding: (finding.code, finding.column or ""), default=None)
        if first is not None and first.code == "column.undeclared":
            raise InputError(place, "has a column without a name", "Name it, or take it out of the export.")
        row = f", row {first.row}" if first is not None and first.row is not None else ""
        code = first.code if first is not None else "file.empty"
        cure = first.message if first is not None else "Export it again."
        raise InputError(place, f"cannot be profiled ({code}{row})", cure)
    return reading.table


def _parquet(data: bytes, place: str) -> pa.Table:
    try:
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            shape = file.metadata
            if shape.num_rows * max(shape.num_columns, 1) > _MAX_CELLS:
                raise InputError(place, f"has more than {_MAX_CELLS} cells", "Profile a part of it.")
            flat = all(_is_flat(field.type) for field in file.schema_arrow)
            table = file.read(use_threads=False) if flat else None
    except (pa.ArrowException, OSError):
        raise InputError(place, "is a damaged Parquet file", "Export it again.") from None
    if table is None:
        raise InputError(place, "has nested or binary columns", "Export plain columns only.")
    return table


def _is_flat(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_string,
        pa.types.is_large_string,
    )
    others = (pa.types.is_date, pa.types.is_timestamp, pa.types.is_duration, pa.types.is_null)
    return any(test(kind) for test in (*tests, *others))


def _check_names(names: Sequence[str], place: str) -> None:
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name.strip() or len(name) > 128 or _LOOKS_LIKE_A_CELL.fullmatch(name.strip()):
            raise InputError(
                place,
                f"has no usable name for column {position}: empty, too long, or like a cell",
                "Give the file a line with the names of its columns.",
            )
        folded = unicodedata.normalize("NFKC", name).strip()
        if folded in seen:
            raise InputError(place, f"names column {position} as an earlier one", "Give every column its own name.")
        seen.add(folded)


def _profile(name: str, column: pa.ChunkedArray, place: str) -> ColumnProfile:
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_null(column.type):
        column = pc.cast(column, pa.string())
    if not pa.types.is_string(column.type):
        return _of(name, _stored_dtype(column.type), None, _without_nan(column))
    texts = trim(column)
    if pc.any(pc.equal(texts, name)).as_py():
        raise InputError(
            place,
            "repeats the name of a column among its cells",
            "Check that the first line, and it alone, has the names.",
        )
    for dtype in _CANDIDATES if texts.null_count < len(texts) else ():
        values = _typed(texts, dtype)
        if values is not None:
            return _of(name, dtype, texts, values)
    return _of(name, "string", texts, texts)


def _of(name: str, dtype: Dtype, texts: pa.ChunkedArray | None, values: pa.ChunkedArray) -> ColumnProfile:
    return ColumnProfile(
        name=name,
        dtype=dtype,
        missing=values.null_count,
        distinct=pc.count_distinct(values, mode="only_valid").as_py(),
        texts=texts,
        values=values,
    )


def _typed(texts: pa.ChunkedArray, dtype: Dtype, *, decimals: bool = False) -> pa.ChunkedArray | None:
    """The cells as `dtype`, `None` unless all of them can be read so; all numbers have the same decimal mark."""
    for decimal in (".", ",") if dtype == "number" else (".",):
        result = convert(texts, dtype, decimal=decimal, decimals=decimals)
        if not any(pc.any(mask).as_py() for _, mask in result.wrong):
            return result.values
    return None


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.fill_null(pc.is_finite(column), False), column, pa.scalar(None, column.type))


def _stored_dtype(kind: pa.DataType) -> Dtype:
    kinds: tuple[tuple[object, Dtype], ...] = (
        (pa.types.is_integer, "integer"),
        (pa.types.is_floating, "number"),
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_date, "date"),
        (pa.types.is_timestamp, "datetime"),
    )
    return next((dtype for test, dtype in kinds if callable(test) and test(kind)), "string")
