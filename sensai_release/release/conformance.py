"""Whether the Parquet files of a release have the columns and types that their data dictionaries promise.

Reads Parquet footers only; what the cells hold is checked before a release, by `gate`. Call it for files whose
SHA-256 is known to be right: a footer made to do harm is then not a stranger's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.documents import parse_strict

ARROW_TYPES: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "category": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
}
"""The Arrow type of each declared dtype in a released table."""

Fault = tuple[str, str, str]
"""A code, the release-relative path it is about, and a sentence."""

_FOOTER_LIMIT = 64 << 20


def table_parts(names: Sequence[str]) -> dict[str, list[str]]:
    """The Parquet files below data/ by table, sorted; any other file there stands under its own table as well."""
    parts: dict[str, list[str]] = {}
    for name in sorted(names):
        match name.split("/"):
            case ["data", table, _]:
                parts.setdefault(table, []).append(name)
    return parts


def dictionary_path(table: str) -> str:
    return f"schemas/{table}.json"


def read_dictionary(data: bytes, table: str) -> dict[str, Any]:
    """A data dictionary. Raises `ReleaseFormatError` when it is not one, or is one of another table."""
    place = dictionary_path(table)
    document = parse_strict(data, place, maximum_bytes=16 << 20)
    try:
        complete = document["table"] == table and all(
            isinstance(column["name"], str) and column["dtype"] in ARROW_TYPES for column in document["columns"]
        )
    except (KeyError, TypeError):
        complete = False
    if not complete:
        raise ReleaseFormatError(place, "is no data dictionary of this table", "Get the release again.")
    return dict(document)


def table_faults(
    names: Sequence[str],
    read: Callable[[str], bytes],
    open_part: Callable[[str], AbstractContextManager[BinaryIO]],
) -> Iterator[Fault]:
    """Everything about the tables that differs from schemas/<table>.json, in order of table and file.

    `names` are the files of the release; `read` and `open_part` open one of them and may raise `OSError`.
    """
    parts = table_parts(names)
    promised = [name.split("/")[1][:-5] for name in names if name.startswith("schemas/") and name.endswith(".json")]
    for table in sorted({*promised} - {*parts}):
        yield "table.missing", dictionary_path(table), "describes a table that the release does not hold"
    for table in sorted(parts):
        try:
            columns = read_dictionary(read(dictionary_path(table)), table)["columns"]
        except (OSError, ReleaseFormatError):
            yield "dictionary.malformed", dictionary_path(table), "is missing, or is no data dictionary of its table"
            continue
        expected = pa.schema([(column["name"], ARROW_TYPES[column["dtype"]]) for column in columns])
        for part in parts[table]:
            yield from _part_faults(part, expected, open_part)


def _part_faults(
    part: str, expected: pa.Schema, open_part: Callable[[str], AbstractContextManager[BinaryIO]]
) -> Iterator[Fault]:
    try:
        with open_part(part) as file:
            footer = pq.ParquetFile(
                pa.PythonFile(file, mode="r"),
                thrift_string_size_limit=_FOOTER_LIMIT,
                thrift_container_size_limit=_FOOTER_LIMIT,
            )
            schema, metadata = footer.schema_arrow, footer.metadata.metadata
    except (OSError, ValueError, pa.ArrowException):
        yield "table.unreadable", part, "is no Parquet file that can be read"
        return
    if metadata or schema.metadata or any(field.metadata and field.metadata != _field_id(field) for field in schema):
        yield "table.metadata", part, "carries hidden key-value metadata; a release has none"
    if schema.names != expected.names:
        yield "table.columns", part, "has other columns, or another order, than its data dictionary"
    elif schema.types != expected.types:
        wrong = sum(found != wanted for found, wanted in zip(schema.types, expected.types, strict=True))
        yield "table.types", part, f"has {wrong} column(s) of another type than its data dictionary says"


def _field_id(field: pa.Field) -> dict[bytes, bytes]:
    """The column number that pyarrow itself adds on reading when the file numbers its columns."""
    return {b"PARQUET:field_id": field.metadata.get(b"PARQUET:field_id", b"")}
