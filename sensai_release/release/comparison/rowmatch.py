"""Which rows of a table in one release belong to which rows in another: by key, from the key columns alone.

Reads a table by runs of row groups, so that a table of any size can be walked. Keys become whole numbers that sort as
the rows do; what the other columns hold is `walk`'s.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sensai_release.release.comparison.arrays import numbers_of
from sensai_release.release.tables import Codes, Flags, ReleasedTables, codes_of, guarded

_MOST = 1 << 62


class TableRows:
    """One table of one release, for one thread at a time. Errors as in `ReleasedTables`."""

    def __init__(self, side: ReleasedTables, name: str) -> None:
        self.side = side
        self.name = name
        self.schema = side.schema(name)
        self.parts = side.parts(name)
        self._open: tuple[int, pq.ParquetFile] | None = None
        self._encoded: tuple[str, Codes, pa.Array] | None = None
        about = [self.file(part).metadata for part in range(len(self.parts))]
        self.groups = [(part, group) for part, held in enumerate(about) for group in range(held.num_row_groups)]
        self.sizes = np.array([about[part].row_group(group).num_rows for part, group in self.groups], dtype=np.int64)
        self.starts = np.r_[0, np.cumsum(self.sizes)]

    @property
    def rows(self) -> int:
        return int(self.starts[-1])

    def reopened(self) -> TableRows:
        """The same table for another thread."""
        again = copy.copy(self)
        again._open = None  # noqa: SLF001 - one of our own
        return again

    def file(self, part: int) -> pq.ParquetFile:
        """One part, open until another is asked for: the footers of a frame table together take tens of megabytes."""
        if self._open is None or self._open[0] != part:
            self._open = part, guarded(_open, self.parts[part], self.name)
        return self._open[1]

    def read(self, columns: Sequence[str], groups: Sequence[int]) -> pa.Table:
        """Some columns of some row groups (ascending), in their order."""
        pieces = []
        for part in dict.fromkeys(self.groups[number][0] for number in groups):
            inside = [self.groups[number][1] for number in groups if self.groups[number][0] == part]
            file = self.file(part)
            read = partial(_read_groups, file=file, groups=inside, columns=list(columns))
            pieces.append(guarded(read, self.parts[part], self.name))
        table = pa.concat_tables(pieces) if pieces else self.schema.empty_table().select(list(columns))
        return table.replace_schema_metadata(None)

    def encoded(self, column: str) -> tuple[Codes, pa.Array]:
        """A text column as the place of each cell in an array of its values (-1 where it is missing)."""
        if self._encoded is not None and self._encoded[0] == column:
            return self._encoded[1:]
        pieces: list[pa.Array] = []
        for number, part in enumerate(self.parts):
            file = self.file(number)
            pieces += guarded(partial(_read_encoded, file=file, column=column), part, self.name).chunks
        if not pieces:
            return np.zeros(0, dtype=np.int64), pa.array([], self.schema.field(column).type)
        whole = pa.chunked_array(pieces).unify_dictionaries()
        places = numbers_of(pa.chunked_array([chunk.indices for chunk in whole.chunks]), -1)
        # The first key column mostly leads to the person too, and is asked for twice.
        self._encoded = column, places, whole.chunk(0).dictionary
        return places, whole.chunk(0).dictionary


def _open(path: Path) -> pq.ParquetFile:
    # Reading ahead is for stores far away: here it only makes the threads wait for others.
    return pq.ParquetFile(path, page_checksum_verification=True, memory_map=False, pre_buffer=False)


def _read_groups(_: Path, *, file: pq.ParquetFile, groups: list[int], columns: list[str]) -> pa.Table:
    return file.read_row_groups(groups, columns=columns, use_threads=False)


def _read_encoded(path: Path, *, file: pq.ParquetFile, column: str) -> pa.ChunkedArray:
    metadata = file.metadata
    with pq.ParquetFile(
        path, metadata=metadata, read_dictionary=[column], page_checksum_verification=True, memory_map=False
    ) as held:
        return held.read(columns=[column], use_threads=False).column(column)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMatch:
    """Rows of two tables that have the same key: row `old[i]` of the one is row `new[i]` of the other.

    `in_step`: both tables are sorted by the key, so both arrays ascend.
    """

    old: Codes
    new: Codes
    in_step: bool

    def left(self, rows: int) -> Flags:
        """The rows of the old table that the new one lacks."""
        return _all_but(self.old, rows)

    def come(self, rows: int) -> Flags:
        """The rows of the new table that the old one lacked."""
        return _all_but(self.new, rows)


def match_rows(old: TableRows, new: TableRows, key: Sequence[str]) -> RowMatch | None:
    """Rows matched by key columns of one type in both; `None` when a key is not unique in one of them."""
    sides = key_numbers(old, new, key)
    orders: list[Codes | None] = []
    for number, codes in enumerate(sides):
        order = None
        if not bool((codes[1:] > codes[:-1]).all()):
            order = np.argsort(codes, kind="stable")
            sides[number] = codes[order]
            if bool((sides[number][1:] == sides[number][:-1]).any()):
                return None
        orders.append(order)
    before, after = sides
    place = np.searchsorted(after, before)
    # A place behind the last row is taken for the last row, whose key is then another.
    found = after.take(place, mode="clip") == before if len(after) else np.zeros(len(before), dtype=bool)
    old_rows, new_rows = np.flatnonzero(found), place[found]
    if orders[0] is not None:
        old_rows = orders[0][old_rows]
    if orders[1] is not None:
        new_rows = orders[1][new_rows]
    return RowMatch(old=old_rows, new=new_rows, in_step=all(order is None for order in orders))


def key_numbers(old: TableRows, new: TableRows, key: Sequence[str]) -> list[Codes]:
    """Every row's key as one number: equal for equal keys in both tables, and in the order of the key columns."""
    sides, size = [np.zeros(rows.rows, dtype=np.int64) for rows in (old, new)], 1
    for column in key:
        count, numbers = _numbers(old, new, column)
        if size * count >= _MOST:
            distinct, codes = np.unique(np.concatenate(sides), return_inverse=True)
            sides, size = list(np.split(codes, [old.rows])), len(distinct)
        # One side after the other and in place: a frame table has millions of keys.
        for side, ours in zip(sides, numbers, strict=True):
            side *= count
            side += ours
        size *= count
    return sides


def _numbers(old: TableRows, new: TableRows, column: str) -> tuple[int, Iterator[Codes]]:
    """How many values a column can have, and the number of each cell, table by table."""
    kind = old.schema.field(column).type
    if pa.types.is_string(kind):
        held = [old.encoded(column), new.encoded(column)]
        texts = np.array([text for _, values in held for text in values.to_pylist()], dtype=object)
        # Python compares texts by code point, as the bytes of a sorted release do.
        distinct, rank = np.unique(texts, return_inverse=True) if len(texts) else (texts, np.zeros(0, dtype=np.int64))
        ranks = np.split(rank + 1, [len(held[0][1])])
        # -1, a missing cell, picks the last entry.
        tables = [np.r_[ours, 0] for ours in ranks]
        return len(distinct) + 1, (
            table.take(places, mode="wrap") for table, (places, _) in zip(tables, held, strict=True)
        )
    whole = [side.read([column], range(len(side.groups))).column(column) for side in (old, new)]
    if pa.types.is_signed_integer(kind) and not any(values.null_count for values in whole):
        ends = [pc.min_max(values).as_py() for values in whole if len(values)]
        low, high = min((end["min"] for end in ends), default=0), max((end["max"] for end in ends), default=0)
        if high - low < _MOST:
            return high - low + 1, (numbers_of(values).astype(np.int64) - low for values in whole)
    codes = codes_of(whole)
    return max(int(part.max(initial=0)) for part in codes) + 1, iter(codes)


def person_numbers(old: TableRows, new: TableRows) -> tuple[Codes | None, Codes | None]:
    """The person behind each row, as numbers that are the same in both tables; 0 where a key leads to nobody.

    `None` for a table whose rows lead to no person.
    """
    found: list[tuple[Codes, list[Any]] | None] = []
    for rows in (old, new):
        link = rows.side.person_link(rows.name)
        if link is None or not pa.types.is_string(rows.schema.field(link[0]).type):
            people = rows.side.persons(rows.name)
            found.append(None if people is None else _places(people))
        else:
            places, values = rows.encoded(link[0])
            found.append((places, rows.side.persons_of(values, link[1]).to_pylist()))
    names = {name for entry in found if entry is not None for name in entry[1] if name is not None}
    numbers: dict[Any, int] = {name: number for number, name in enumerate(sorted(names, key=str), 1)}
    sides: list[Codes | None] = []
    for entry in found:
        if entry is None:
            sides.append(None)
            continue
        table = np.array([*(numbers.get(name, 0) for name in entry[1]), 0], dtype=np.int64)
        sides.append(table[entry[0]])
    return sides[0], sides[1]


def _places(people: pa.ChunkedArray) -> tuple[Codes, list[Any]]:
    encoded = people.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return numbers_of(encoded.indices, -1), encoded.dictionary.to_pylist()


def _all_but(rows: Codes, count: int) -> Flags:
    flags = np.ones(count, dtype=bool)
    flags[rows] = False
    return flags
