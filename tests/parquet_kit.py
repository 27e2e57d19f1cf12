"""Takes small Parquet files apart and puts them together again with one thing changed: for tests of damaged files.

Knows the Thrift compact protocol, in which footers and page headers are written, and the numbers of a few fields
(https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"PAR1"
# FileMetaData, SchemaElement, RowGroup, ColumnChunk, ColumnMetaData
SCHEMA, ROWS, GROUPS = 2, 3, 4
TYPE, REPETITION, NAME, CHILDREN = 1, 3, 4, 5
COLUMNS, GROUP_ROWS = 1, 3
FILE_PATH, META = 1, 3
PATH, CODEC, VALUES, UNFOLDED, STORED, DATA_OFFSET, DICTIONARY_OFFSET, STATISTICS = 3, 4, 5, 6, 7, 9, 11, 12
# PageHeader and the two headers within it
PAGE_TYPE, PAGE_UNFOLDED, PAGE_STORED, PAGE_CRC, DATA_HEADER, DICTIONARY_HEADER = 1, 2, 3, 4, 5, 7
COUNT, ENCODING = 1, 2

BOOLEANS, I8, I16, I32, I64, DOUBLE, BINARY, LIST, SET, STRUCT = (1, 2), 3, 4, 5, 6, 7, 8, 9, 10, 12

Struct = dict[int, list[Any]]
"""The fields of a structure by number: each a list of its type and its value."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (I16, I32, I64):
        number, at = _varint(data, at)
        return number >> 1 ^ -(number & 1), at
    if kind == BINARY:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind in (LIST, SET):
        size, inner = data[at] >> 4, data[at] & 15
        at += 1
        if size == 15:
            size, at = _varint(data, at)
        items = []
        for _ in range(size):
            item, at = (bool(data[at] == 1), at + 1) if inner in BOOLEANS else _value(data, at, inner)
            items.append(item)
        return (inner, items), at
    if kind == STRUCT:
        return read_struct(data, at)
    length = {I8: 1, DOUBLE: 8}[kind]
    return data[at : at + length], at + length


def read_struct(data: bytes, at: int) -> tuple[Struct, int]:
    """The structure at a place, and the place behind it."""
    fields: Struct = {}
    number = 0
    while data[at]:
        kind, step = data[at] & 15, data[at] >> 4
        at += 1
        if step:
            number += step
        else:
            number, at = _value(data, at, I16)
        if kind in BOOLEANS:
            fields[number] = [kind, kind == 1]
        else:
            value, at = _value(data, at, kind)
            fields[number] = [kind, value]
    return fields, at + 1


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def zigzag(number: int) -> bytes:
    """A signed integer as the protocol writes it."""
    return varint(number * 2 if number >= 0 else -number * 2 - 1)


def _written(kind: int, value: Any) -> bytes:
    if kind in (I16, I32, I64):
        return zigzag(value)
    if kind == BINARY:
        return varint(len(value)) + bytes(value)
    if kind in (LIST, SET):
        inner, items = value
        head = bytes([len(items) << 4 | inner]) if len(items) < 15 else bytes([15 << 4 | inner]) + varint(len(items))
        if inner in BOOLEANS:
            return head + bytes(1 if item else 2 for item in items)
        return head + b"".join(_written(inner, item) for item in items)
    return write_struct(value) if kind == STRUCT else bytes(value)


def write_struct(fields: Mapping[int, list[Any]]) -> bytes:
    out, last = bytearray(), 0
    for number, (kind, value) in sorted(fields.items()):
        kind = (1 if value else 2) if kind in BOOLEANS else kind
        step = number - last
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + zigzag(number)
        out += b"" if kind in BOOLEANS else _written(kind, value)
        last = number
    return bytes([*out, 0])


@dataclass(slots=True)
class Page:
    header: Struct
    body: bytes


@dataclass(slots=True)
class Parquet:
    """A file taken apart: its footer, and the pages of each column chunk, the row groups one after another."""

    footer: Struct
    chunks: list[list[Page]] = field(default_factory=list)

    def groups(self) -> list[Struct]:
        groups: list[Struct] = self.footer[GROUPS][1][1]
        return groups

    def schema(self) -> list[Struct]:
        elements: list[Struct] = self.footer[SCHEMA][1][1]
        return elements

    def columns(self) -> list[Struct]:
        """The ColumnMetaData of every chunk."""
        return [chunk[META][1] for group in self.groups() for chunk in group[COLUMNS][1][1]]

    def settle(self) -> bytes:
        """The pages, one after another; makes the footer say where they are. The footer may be changed after it."""
        body = bytearray(MAGIC)
        for column, pages in zip(self.columns(), self.chunks, strict=True):
            begin, places = len(body), []
            for page in pages:
                places.append((page.header[PAGE_TYPE][1] == 2, len(body)))
                body += write_struct(page.header) + page.body
            data = [place for is_dictionary, place in places if not is_dictionary]
            column[DATA_OFFSET] = [I64, data[0] if data else begin]
            if places and places[0][0]:
                column[DICTIONARY_OFFSET] = [I64, begin]
            column[STORED] = [I64, len(body) - begin]
        return bytes(body)

    def seal(self, body: bytes) -> bytes:
        """The whole file: pages, footer, its length, the magic number."""
        footer = write_struct(self.footer)
        return body + footer + len(footer).to_bytes(4, "little") + MAGIC


def take_apart(data: bytes) -> Parquet:
    length = int.from_bytes(data[-8:-4], "little")
    made = Parquet(footer=read_struct(data, len(data) - 8 - length)[0])
    for column in made.columns():
        at = min(column[number][1] for number in (DATA_OFFSET, DICTIONARY_OFFSET) if number in column)
        end, pages = at + column[STORED][1], []
        while at < end:
            header, body = read_struct(data, at)
            at = body + header[PAGE_STORED][1]
            pages.append(Page(header, data[body:at]))
        made.chunks.append(pages)
    return made


def written(table: pa.Table, **options: Any) -> bytes:
    """A Parquet file, as pyarrow writes it: uncompressed unless told otherwise, without pandas or Arrow metadata."""
    out = io.BytesIO()
    pq.write_table(table, out, **{"compression": "none", "store_schema": False, **options})
    return out.getvalue()
