"""Holds the footer of a Parquet file against itself and against its pages, before Arrow reads a cell.

Arrow takes most of a footer at its word: it reads fewer rows than there are, one column in the place of another, or
ends the whole process over statistics that do not fit. Knows flat tables only; nested ones are refused elsewhere.
Format: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from sensai_release.table.readers.pages import read_pages
from sensai_release.table.readers.thrift import Fields, read_struct, struct, structs, whole

# FileMetaData, SchemaElement, RowGroup, ColumnChunk, ColumnMetaData and Statistics
_SCHEMA, _ROWS, _GROUPS = 2, 3, 4
_TYPE, _REPETITION, _NAME, _CHILDREN = 1, 3, 4, 5
_COLUMNS, _GROUP_ROWS = 1, 3
_FILE_PATH, _META = 1, 3
_META_TYPE, _PATH, _VALUES, _UNFOLDED, _STORED, _DATA, _DICTIONARY, _STATISTICS = 1, 3, 5, 6, 7, 9, 11, 12
_NULLS = 3
_REQUIRED, _OPTIONAL = 0, 1
_INT96 = 3
_WIDTHS = {1: 4, 2: 8, 4: 4, 5: 8}
_MAGIC = 4
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The cells of one column in one row group: where their pages are, and what the footer says that they unfold to.

    `nulls`: the missing ones among them, where the statistics say. `width`: the bytes of a cell, where none may be
    missing and each has as many.
    """

    start: int
    length: int
    unfolded: int
    cells: int
    nulls: int | None
    width: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a flat table. `int96`: its times are of 96 bits, for which Arrow's have no room."""

    name: bytes
    int96: bool
    chunks: tuple[Chunk, ...]

    def fits(self, nulls: int) -> bool:
        """Whether so many cells of the whole column may be missing."""
        told = [chunk.nulls for chunk in self.chunks if chunk.nulls is not None]
        return sum(told) == nulls or len(told) < len(self.chunks)

    def unfolded(self, data: bytes) -> int:
        """The bytes that the column unfolds to, by its pages or by the footer, whichever says more.

        Raises `ValueError` when the pages do not hold as many cells as the footer says.
        """
        total = 0
        for chunk in self.chunks:
            if not chunk.cells:
                continue
            pages = read_pages(data, chunk.start, chunk.length, width=chunk.width)
            if pages.cells != chunk.cells:
                raise ValueError
            total += max(pages.unfolded, chunk.unfolded)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """The rows of a flat table, and its columns in their order."""

    rows: int
    columns: tuple[Column, ...]


def read_footer(data: bytes) -> Footer:
    """The footer of a flat table. Raises `ValueError` where it contradicts itself or the size of the file."""
    length = int.from_bytes(data[-8:-4], "little")
    end = len(data) - 8 - length
    if length > _MOST_BYTES or end < _MAGIC:
        raise ValueError
    fields = read_struct(data, end)[1]
    leaves = _leaves(structs(fields, _SCHEMA))
    groups = structs(fields, _GROUPS)
    rows = [whole(group, _GROUP_ROWS) for group in groups]
    if any(number < 0 for number in rows) or sum(rows) != whole(fields, _ROWS):
        raise ValueError
    chunks = [
        [_chunk(column, leaf, number) for column, leaf in zip(structs(group, _COLUMNS), leaves, strict=True)]
        for group, number in zip(groups, rows, strict=True)
    ]
    _apart(chunks, end)
    return Footer(
        rows=sum(rows),
        columns=tuple(
            Column(
                name=leaf[_NAME],
                int96=leaf[_TYPE] == _INT96,
                chunks=tuple(group[number] for group in chunks),
            )
            for number, leaf in enumerate(leaves)
        ),
    )


def _leaves(schema: list[Fields]) -> list[Fields]:
    if not schema or whole(schema[0], _CHILDREN) != len(schema) - 1:
        raise ValueError
    for leaf in schema[1:]:
        whole(leaf, _TYPE)
        named = isinstance(leaf.get(_NAME), bytes)
        if not named or leaf.get(_CHILDREN) or whole(leaf, _REPETITION) not in (_REQUIRED, _OPTIONAL):
            raise ValueError
    return schema[1:]


def _chunk(column: Fields, leaf: Fields, rows: int) -> Chunk:
    meta = struct(column, _META)
    # The cells of another file, of another column, of another type, or of more or fewer rows.
    if column.get(_FILE_PATH) or meta.get(_PATH) != [leaf[_NAME]] or whole(meta, _META_TYPE) != leaf[_TYPE]:
        raise ValueError
    if whole(meta, _VALUES) != rows:
        raise ValueError
    required = leaf[_REPETITION] == _REQUIRED
    nulls = struct(meta, _STATISTICS).get(_NULLS) if _STATISTICS in meta else None
    if required and nulls:
        raise ValueError
    start, dictionary = whole(meta, _DATA), meta.get(_DICTIONARY)
    if isinstance(dictionary, int) and 0 < dictionary < start:
        start = dictionary
    return Chunk(
        start=start,
        length=whole(meta, _STORED),
        unfolded=max(whole(meta, _UNFOLDED), 0),
        cells=rows,
        nulls=nulls if isinstance(nulls, int) else None,
        width=_WIDTHS.get(leaf[_TYPE]) if required else None,
    )


def _apart(groups: list[list[Chunk]], end: int) -> None:
    """No two columns share a byte, and none leaves the pages."""
    places = sorted((chunk.start, chunk.start + chunk.length) for group in groups for chunk in group if chunk.cells)
    if any(not _MAGIC <= start < stop <= end for start, stop in places):
        raise ValueError
    if any(stop > start for (_, stop), (start, _) in pairwise(places)):
        raise ValueError
