"""Which row groups and columns of two Parquet tables are the same on disk, so that nobody has to decode them.

A chunk's bytes hold its values, levels, dictionary and encodings; its codec and type are compared beside them. Bytes
that differ prove nothing: the values may be the same, and `walk` looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import BinaryIO, Self

import pyarrow.parquet as pq

from sensai_release.release.comparison.rowmatch import TableRows


def compare_bytes(
    old: TableRows, new: TableRows, pairs: Sequence[tuple[int, int]], columns: Sequence[str]
) -> tuple[set[int], set[str]]:
    """The old row groups that are the same on disk as their partner, and the columns that differ in any other pair.

    `pairs` are row groups (numbers of `TableRows.groups`) that hold the same rows.
    """
    same: set[int] = set()
    undecided = {column for column in columns if old.schema.field(column) == new.schema.field(column)}
    differing = set(columns) - undecided
    places = [{name: place for place, name in enumerate(side.schema.names)} for side in (old, new)]
    with ExitStack() as stack:
        sides = [stack.enter_context(_Bytes(side)) for side in (old, new)]
        for group, partner in pairs:
            one, other = sides[0].chunks(group), sides[1].chunks(partner)
            if old.schema == new.schema and one.is_like(other):
                same.add(group)
                continue
            unlike = {name for name in undecided if one.of(places[0][name]) != other.of(places[1][name])}
            differing |= unlike
            undecided -= unlike
    return same, differing


class _Bytes:
    """The files of a table, of which one is open at a time: a large table has more parts than a process may open."""

    def __init__(self, rows: TableRows) -> None:
        self._rows = rows
        self._open: tuple[int, BinaryIO] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open[1].close()

    def chunks(self, number: int) -> _Chunks:
        part, group = self._rows.groups[number]
        if self._open is None or self._open[0] != part:
            self.__exit__()
            self._open = part, self._rows.parts[part].open("rb")
        return _Chunks(self._open[1], self._rows.file(part).metadata.row_group(group))


class _Chunks:
    """The column chunks of one row group, as they lie on disk."""

    def __init__(self, file: BinaryIO, about: pq.RowGroupMetaData) -> None:
        self._file = file
        self._columns = [about.column(place) for place in range(about.num_columns)]
        self._first = min((_extent(column)[0] for column in self._columns), default=0)

    def of(self, place: int) -> tuple[str, str, bytes]:
        """Type, codec and bytes of one column's chunk."""
        column = self._columns[place]
        return column.physical_type, column.compression, self._read(*_extent(column))

    def is_like(self, other: _Chunks) -> bool:
        """Whether all chunks are the same. Where they lie is looked at first: it tells most differences."""
        mine = self._layout()
        if mine != other._layout():
            return False
        size = max((end for *_, end in mine), default=0)
        return self._read(self._first, self._first + size) == other._read(other._first, other._first + size)

    def _layout(self) -> list[tuple[str, str, int, int]]:
        return [
            (column.physical_type, column.compression, *(end - self._first for end in _extent(column)))
            for column in self._columns
        ]

    def _read(self, start: int, end: int) -> bytes:
        self._file.seek(max(start, 0))
        return self._file.read(max(end - start, 0))


def _extent(column: pq.ColumnChunkMetaData) -> tuple[int, int]:
    start = column.dictionary_page_offset or column.data_page_offset
    return start, start + column.total_compressed_size
