"""Two versions of a table, walked in step: which cells differ, for how many persons, which way and by how much.

First the bytes of the column chunks are compared: what is the same on disk need not be read. The rest is decoded in
blocks of row groups, so that memory does not grow with the table. What is kept are counts per person, no cell. What may
be printed of them is decided in `tablediff`, whether distributions shifted in `shift`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.release.rowmatch import RowMatch, TableRows
from sensai_release.release.tables import Codes, Flags

Floats = npt.NDArray[np.float64]

_BLOCK_ROWS = 1 << 15
WAYS: Final = ("up", "down", "appeared", "vanished", "other")
"""A changed cell: a larger or smaller number, one that was missing, one that now is, or another value of a kind that
has no order."""


@dataclass(slots=True, kw_only=True)
class Changes:
    """The changed cells of one column, per person (arrays with one entry a person)."""

    cells: Codes
    ways: dict[str, Codes]
    distance: Floats
    difference: Floats

    @classmethod
    def of(cls, persons: int) -> Changes:
        return cls(
            cells=np.zeros(persons, dtype=np.int64),
            ways={way: np.zeros(persons, dtype=np.int64) for way in WAYS},
            distance=np.zeros(persons),
            difference=np.zeros(persons),
        )


@dataclass(slots=True, kw_only=True)
class Distribution:
    """What one column holds in one release, per person: sum and number of its numbers, or how often each category.

    `categories` is `None` for numbers. Otherwise `counts` has a column for each, and a last one for missing cells.
    """

    categories: pa.Array | None
    sums: Floats
    counts: Codes

    @classmethod
    def of(cls, persons: int, categories: Sequence[Any] | None, kind: pa.DataType) -> Distribution:
        if categories is None:
            return cls(categories=None, sums=np.zeros(persons), counts=np.zeros(persons, dtype=np.int64))
        values = pa.array(categories, kind)
        return cls(categories=values, sums=np.zeros(0), counts=np.zeros((persons, len(values) + 1), dtype=np.int64))

    def add(self, values: pa.ChunkedArray | Floats, people: Codes) -> None:
        """Counts cells of the column, with the person behind each."""
        if self.categories is not None:
            width = self.counts.shape[1]
            place = pc.fill_null(pc.index_in(values, value_set=self.categories, skip_nulls=True), width - 1).to_numpy()
            flat = np.bincount(people * width + place, minlength=self.counts.size)
            self.counts += flat.reshape(self.counts.shape)
            return
        numbers = values if isinstance(values, np.ndarray) else _floats(values)
        there = np.isfinite(numbers)
        if not there.all():
            numbers, people = numbers[there], people[there]
        self.sums += np.bincount(people, weights=numbers, minlength=len(self.sums))
        self.counts += np.bincount(people, minlength=len(self.counts))


@dataclass(slots=True, kw_only=True)
class Walked:
    """What the walk found: changed `rows` per person, and per column its changes and the distributions asked for."""

    rows: Codes
    columns: dict[str, Changes] = field(default_factory=dict)
    before: dict[str, Distribution] = field(default_factory=dict)
    after: dict[str, Distribution] = field(default_factory=dict)


class Walk:
    """The comparison of the matched rows of two tables.

    `people` is the person behind each row of the old and of the new table, numbered alike below `persons`.
    `spread` names the columns whose distributions are wanted; a category's values, or `None` for a number.
    """

    def __init__(
        self,
        old: TableRows,
        new: TableRows,
        match: RowMatch,
        people: tuple[Codes, Codes],
        persons: int,
        spread: Mapping[str, Sequence[Any] | None],
    ) -> None:
        self._old, self._new, self._match, self._people = old, new, match, people
        self._persons = persons
        self._spread = spread
        self.found = Walked(rows=np.zeros(persons, dtype=np.int64))
        for name, categories in spread.items():
            self.found.before[name] = Distribution.of(persons, categories, old.schema.field(name).type)
            self.found.after[name] = Distribution.of(persons, categories, new.schema.field(name).type)
        self._unread: list[tuple[list[int], frozenset[str]]] = []

    def run(self, columns: Sequence[str]) -> Walked:
        """Compares these columns; both tables have them."""
        if not self._match.in_step:
            self._out_of_step(columns)
            return self.found
        alone, paired, partner = self._pair_groups()
        same, differing = _compare_bytes(
            self._old, self._new, [(group, int(partner[group])) for group in paired], columns
        )
        kept = [column for column in columns if column in differing]
        pairs = [group for group in paired if group not in same]
        if same:
            self._unread.append((sorted(same), frozenset(columns)))
        if pairs and len(kept) < len(columns):
            self._unread.append((pairs, frozenset(columns) - differing))
        self._walk(pairs, [int(partner[group]) for group in pairs], kept)
        taken = {int(partner[group]) for group in paired}
        self._walk(alone, [group for group in np.flatnonzero(self._new.sizes).tolist() if group not in taken], columns)
        return self.found

    def complete(self, columns: Sequence[str]) -> None:
        """Reads what the comparison of bytes left unread, for the distributions of these columns: both had it."""
        for groups, unread in self._unread:
            wanted = [column for column in columns if column in unread]
            for run in _runs(self._old, groups) if wanted else ():
                table = self._old.read(wanted, run)
                people = np.concatenate([self._people[0][self._old.starts[g] : self._old.starts[g + 1]] for g in run])
                for column in wanted:
                    self.found.before[column].add(table.column(column), people)
                    self.found.after[column].add(table.column(column), people)

    def _pair_groups(self) -> tuple[list[int], list[int], Codes]:
        """Row groups of the old table that hold the same keys as one of the new, and those that do not."""
        old, new, match = self._old, self._new, self._match
        low = np.searchsorted(match.old, old.starts[:-1])
        high = np.searchsorted(match.old, old.starts[1:])
        partner = np.full(len(old.groups), -1, dtype=np.int64)
        whole = (high - low == old.sizes) & (old.sizes > 0)
        first, last = match.new[low[whole]], match.new[high[whole] - 1]
        group = np.searchsorted(new.starts, first, side="right") - 1
        fits = (
            (new.starts[group] == first) & (new.starts[group + 1] == last + 1) & (last - first + 1 == old.sizes[whole])
        )
        partner[np.flatnonzero(whole)[fits]] = group[fits]
        paired = np.flatnonzero(partner >= 0).tolist()
        return np.flatnonzero((partner < 0) & (old.sizes > 0)).tolist(), paired, partner

    def _walk(self, old_groups: list[int], new_groups: list[int], columns: Sequence[str]) -> None:
        """Blocks of row groups of the old table, each with the rows of the new one that belong to it."""
        if not columns:
            return
        old = _Part(self._old, old_groups, self._people[0])
        new = _Part(self._new, new_groups, self._people[1])
        before, after = old.places(self._match.old), new.places(self._match.new)
        done = base = 0
        # One thread for each table: an open Parquet file must not be read by two at a time.
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
            held = self._new.read(columns, [])
            tables = _ahead(other, self._new, columns, new_groups)
            for table in _ahead(one, self._old, columns, old_groups):
                end = done + table.num_rows
                low, high = np.searchsorted(before, (done, end))
                until = int(after[high - 1]) + 1 if high > low else base
                while base + held.num_rows < until:
                    held = pa.concat_tables([held, next(tables)])
                self._block(
                    columns,
                    (table, held.slice(0, until - base)),
                    (before[low:high] - done, after[low:high] - base),
                    (old.people[done:end], new.people[base:until]),
                )
                held = held.slice(until - base)
                base, done = until, end
            # What lies behind the last matched row counts for the distributions only.
            for table in itertools.chain([held], tables) if self._spread else ():
                people = new.people[base : base + table.num_rows]
                base += table.num_rows
                for column in (name for name in columns if name in self._spread):
                    self.found.after[column].add(table.column(column), people)

    def _out_of_step(self, columns: Sequence[str]) -> None:
        """Tables that are not sorted by key: one column in memory at a time."""
        changed = np.zeros(len(self._match.old), dtype=bool)
        behind = self._people[1][self._match.new]
        for column in columns:
            sides = [side.read([column], range(len(side.groups))).column(column) for side in (self._old, self._new)]
            changed |= self._column(column, sides, (self._match.old, self._match.new), self._people, behind)
        self.found.rows += np.bincount(behind[changed], minlength=self._persons)

    def _block(
        self,
        columns: Sequence[str],
        tables: tuple[pa.Table, pa.Table],
        rows: tuple[Codes, Codes],
        people: tuple[Codes, Codes],
    ) -> None:
        changed = np.zeros(len(rows[0]), dtype=bool)
        behind = people[1][rows[1]]
        places = tuple(None if _is_all(at, table.num_rows) else at for at, table in zip(rows, tables, strict=True))
        for column in columns:
            changed |= self._column(column, [table.column(column) for table in tables], places, people, behind)
        self.found.rows += np.bincount(behind[changed], minlength=self._persons)

    def _column(
        self,
        name: str,
        sides: Sequence[pa.ChunkedArray],
        rows: Sequence[Codes | None],
        people: tuple[Codes, Codes],
        behind: Codes,
    ) -> Flags:
        """Counts one column of one block; returns which matched rows differ in it."""
        flags = np.zeros(len(behind), dtype=bool)
        plain = [_plain(side) for side in sides]
        if plain[0] is not None and plain[1] is not None:
            before = plain[0] if rows[0] is None else plain[0][rows[0]]
            after = plain[1] if rows[1] is None else plain[1][rows[1]]
            at = np.flatnonzero(before != after)
            at = at[~(np.isnan(before[at]) & np.isnan(after[at]))]
            if len(at):
                flags[at] = True
                self._count(name, behind[at], before[at], after[at])
        else:
            chosen = [side if at is None else side.take(pa.array(at)) for side, at in zip(sides, rows, strict=True)]
            flags = unequal(*chosen)
            at = np.flatnonzero(flags)
            if len(at):
                numeric = all(_is_number(side.type) for side in sides)
                taken = [values.take(pa.array(at)) for values in chosen]
                self._count(name, behind[at], *(_floats(values) if numeric else _presence(values) for values in taken))
        if name in self._spread:
            for held, values, number in zip((self.found.before, self.found.after), sides, (0, 1), strict=True):
                known = plain[number]
                held[name].add(values if known is None else known, people[number])
        return flags

    def _count(self, name: str, behind: Codes, before: Floats, after: Floats) -> None:
        """Adds changed cells; of values without an order, 0 stands for one that is there."""
        held = self.found.columns.setdefault(name, Changes.of(self._persons))
        size = self._persons
        held.cells += np.bincount(behind, minlength=size)
        was, now = np.isnan(before), np.isnan(after)
        flags = {"up": after > before, "down": after < before, "appeared": was & ~now, "vanished": now & ~was}
        flags["other"] = ~(flags["up"] | flags["down"] | flags["appeared"] | flags["vanished"])
        for way, marked in flags.items():
            if marked.any():
                held.ways[way] += np.bincount(behind[marked], minlength=size)
        moved = (flags["up"] | flags["down"]) & np.isfinite(before) & np.isfinite(after)
        by = after[moved] - before[moved]
        held.distance += np.bincount(behind[moved], weights=np.abs(by), minlength=size)
        held.difference += np.bincount(behind[moved], weights=by, minlength=size)


class _Part:
    """Some row groups of a table as if they were all of it."""

    def __init__(self, rows: TableRows, groups: list[int], people: Codes) -> None:
        kept = np.zeros(len(rows.groups), dtype=bool)
        kept[groups] = True
        self._place: Codes | None = None
        self.people = people
        if not kept.all():
            flags = np.repeat(kept, rows.sizes)
            self._place = np.where(flags, np.cumsum(flags) - 1, -1)
            self.people = people[flags]

    def places(self, rows: Codes) -> Codes:
        """Where rows of the table stand in the part; rows that are not in it are left out."""
        if self._place is None:
            return rows
        place = self._place[rows]
        return place[place >= 0]


def unequal(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Flags:
    """Where two columns differ; a missing value (null or NaN) equals a missing one. Numbers are compared by value."""
    missing = [np.asarray(pc.is_null(array, nan_is_null=True).to_numpy()) for array in (old, new)]
    either, both = missing[0] | missing[1], missing[0] & missing[1]
    if old.type != new.type and not all(_is_number(array.type) for array in (old, new)):
        return np.asarray(~both)
    differs = np.asarray(pc.fill_null(pc.not_equal(old, new), False).to_numpy())
    return np.asarray(np.where(either, ~both, differs))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _plain(values: pa.ChunkedArray) -> Floats | None:
    """A column of 64-bit floats as an array in which missing cells are NaN; `None` for other types."""
    return np.asarray(values.to_numpy()) if values.type == pa.float64() else None


def _floats(values: pa.ChunkedArray) -> Floats:
    return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _presence(values: pa.ChunkedArray) -> Floats:
    """0 where there is a value and NaN where there is none."""
    return np.where(np.asarray(pc.is_null(values, nan_is_null=True).to_numpy()), np.nan, 0.0)


def _is_all(rows: Codes, count: int) -> bool:
    """Whether rows are all of `count` rows, in order."""
    return len(rows) == count and (count == 0 or bool((np.diff(rows) == 1).all() and rows[0] == 0))


def _ahead(
    thread: ThreadPoolExecutor, rows: TableRows, columns: Sequence[str], groups: Sequence[int]
) -> Iterator[pa.Table]:
    """The groups of a table in runs of about a block of rows; the next one is decoded while this one is compared."""
    coming: Future[pa.Table] | None = None
    for run in _runs(rows, groups):
        ready, coming = coming, thread.submit(rows.read, columns, run)
        if ready is not None:
            yield ready.result()
    if coming is not None:
        yield coming.result()


def _runs(rows: TableRows, groups: Sequence[int]) -> Iterator[list[int]]:
    """The groups in runs of about a block of rows."""
    run: list[int] = []
    size = 0
    for group in groups:
        run.append(group)
        size += int(rows.sizes[group])
        if size >= _BLOCK_ROWS:
            yield run
            run, size = [], 0
    if run:
        yield run


def _compare_bytes(
    old: TableRows, new: TableRows, pairs: Sequence[tuple[int, int]], columns: Sequence[str]
) -> tuple[set[int], set[str]]:
    """The old row groups that are the same on disk as their partner, and the columns that differ in any other pair.

    A chunk's bytes hold its values, levels, dictionary and encodings; its codec and type are compared beside them.
    """
    same: set[int] = set()
    undecided = {column for column in columns if old.schema.field(column) == new.schema.field(column)}
    differing = set(columns) - undecided
    places = [{name: place for place, name in enumerate(side.schema.names)} for side in (old, new)]
    with ExitStack() as stack:
        handles = [[stack.enter_context(path.open("rb")) for path in side.parts] for side in (old, new)]
        for group, partner in pairs:
            one = _Chunks(old, handles[0], group)
            other = _Chunks(new, handles[1], partner)
            if old.schema == new.schema and one.is_like(other):
                same.add(group)
                continue
            unlike = {name for name in undecided if one.of(places[0][name]) != other.of(places[1][name])}
            differing |= unlike
            undecided -= unlike
    return same, differing


class _Chunks:
    """The column chunks of one row group, as they lie on disk."""

    def __init__(self, rows: TableRows, files: Sequence[BinaryIO], number: int) -> None:
        part, group = rows.groups[number]
        self._file = files[part]
        self._about = rows.file(part).metadata.row_group(group)

    def of(self, place: int) -> tuple[str, str, bytes]:
        """Type, codec and bytes of one column's chunk."""
        start, end = self.extent(place)
        return (*self.form(place), self.bytes(start, end))

    def is_like(self, other: _Chunks) -> bool:
        """Whether all chunks are the same. Their sizes are looked at first: they tell most differences."""
        last = self._about.num_columns - 1
        extents = [(chunks.extent(0)[0], chunks.extent(last)[1]) for chunks in (self, other)]
        if extents[0][1] - extents[0][0] != extents[1][1] - extents[1][0]:
            return False
        if self.bytes(*extents[0]) != other.bytes(*extents[1]):
            return False
        return all(self.form(place) == other.form(place) for place in range(last + 1))

    def form(self, place: int) -> tuple[str, str]:
        about = self._about.column(place)
        return about.physical_type, about.compression

    def extent(self, place: int) -> tuple[int, int]:
        about = self._about.column(place)
        start = about.dictionary_page_offset or about.data_page_offset
        return start, start + about.total_compressed_size

    def bytes(self, start: int, end: int) -> bytes:
        self._file.seek(max(start, 0))
        return self._file.read(max(end - start, 0))
