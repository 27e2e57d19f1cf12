"""Two versions of a table, walked in step: which cells differ, for how many persons, which way and by how much.

First the bytes of the column chunks are compared: what is the same on disk need not be read. The rest is decoded in
blocks of row groups, so that memory does not grow with the table. What is kept are counts per person, no cell. What may
be printed of them is decided in `tablediff`, whether distributions shifted in `shift`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.release.comparison.arrays import Floats, flags_of, floats_of, numbers_of, rows_of
from sensai_release.release.comparison.chunks import compare_bytes
from sensai_release.release.comparison.rowmatch import RowMatch, TableRows
from sensai_release.release.comparison.tally import Changes, Distribution, People
from sensai_release.release.tables import Codes, Flags

_BLOCK_ROWS = 1 << 15

Plain: TypeAlias = npt.NDArray[Any]


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
        same, differing = compare_bytes(
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
                spans = [self._people[0][self._old.starts[g] : self._old.starts[g + 1]] for g in run]
                people = People(np.concatenate(spans))
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
        if not columns or not (old_groups or new_groups):
            return
        old = _Part(self._old, old_groups, self._people[0])
        new = _Part(self._new, new_groups, self._people[1])
        before, after = old.places(self._match.old), new.places(self._match.new)
        done = base = 0
        # One thread for each table: an open Parquet file must not be read by two at a time.
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
            tables = _ahead(other, self._new, columns, new_groups)
            held = next(tables) if new_groups else self._new.read(columns, [])
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
                people = People(new.people[base : base + table.num_rows])
                base += table.num_rows
                for column in (name for name in columns if name in self._spread):
                    self.found.after[column].add(table.column(column), people)

    def _out_of_step(self, columns: Sequence[str]) -> None:
        """Tables that are not sorted by key: one column in memory at a time."""
        changed = np.zeros(len(self._match.old), dtype=bool)
        behind = self._people[1][self._match.new]
        people = [People(each) for each in self._people]
        for column in columns:
            whole = [side.read([column], range(len(side.groups))).combine_chunks() for side in (self._old, self._new)]
            sides = [
                _Side(table, rows, each)
                for table, rows, each in zip(whole, (self._match.old, self._match.new), people, strict=True)
            ]
            self._column(column, sides, behind, changed)
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
        sides = [_Side(table, at, People(each)) for table, at, each in zip(tables, rows, people, strict=True)]
        for column in columns:
            self._column(column, sides, behind, changed)
        self.found.rows += np.bincount(behind[changed], minlength=self._persons)

    def _column(self, name: str, sides: Sequence[_Side], behind: Codes, changed: Flags) -> None:
        """Counts one column of one block, and marks the matched rows that differ in it."""
        before, after = (side.plain(name) for side in sides)
        if before is not None and after is not None and before.dtype == after.dtype:
            at = np.flatnonzero(before != after)
            taken = [np.asarray(values[at], dtype=np.float64) for values in (before, after)]
            known = ~(np.isnan(taken[0]) & np.isnan(taken[1]))
            at, taken = at[known], [values[known] for values in taken]
        else:
            chosen = [side.chosen(name) for side in sides]
            at = np.flatnonzero(unequal(*chosen))
            numeric = all(_is_number(values.type) for values in chosen)
            taken = [
                floats_of(held) if numeric else _presence(held)
                for held in (values.take(rows_of(at)) for values in chosen)
            ]
        if len(at):
            changed[at] = True
            if name not in self.found.columns:
                self.found.columns[name] = Changes.of(self._persons)
            self.found.columns[name].add(behind[at], *taken)
        if name in self._spread:
            for held, side in zip((self.found.before, self.found.after), sides, strict=True):
                held[name].add(side.table.column(name), side.people)


class _Side:
    """One block of a table: `rows` are those of it that the other table has too, in the order of the match."""

    def __init__(self, table: pa.Table, rows: Codes, people: People) -> None:
        self.table = table
        self.people = people
        self._rows = None if _is_all(rows, table.num_rows) else rows
        self._count = len(rows)
        self._pieces: dict[tuple[int, ...], list[tuple[slice, Codes]]] = {}

    def chosen(self, name: str) -> pa.ChunkedArray:
        """The matched cells of a column."""
        values = self.table.column(name)
        return values if self._rows is None else values.take(rows_of(self._rows))

    def plain(self, name: str) -> Plain | None:
        """The matched cells of a column of numbers as they lie in memory; `None` where that cannot be compared.

        Missing floats are NaN. Integers with missing cells, texts and truth values are left to Arrow.
        """
        values = self.table.column(name)
        if values.type == pa.float64():
            chunks = [floats_of(chunk) for chunk in values.chunks]
        elif pa.types.is_integer(values.type) and not values.null_count:
            chunks = [numbers_of(chunk) for chunk in values.chunks]
        else:
            return None
        if self._rows is None and len(chunks) == 1:
            return chunks[0]
        out = np.empty(self._count, dtype=values.type.to_pandas_dtype())
        for chunk, (inside, places) in zip(chunks, self._cut(chunks), strict=True):
            # Rows are inside by construction; clipping spares numpy a copy.
            np.take(chunk, places, out=out[inside], mode="clip")
        return out

    def _cut(self, chunks: Sequence[Plain]) -> list[tuple[slice, Codes]]:
        """For each chunk, which of the matched rows lie in it and where."""
        sizes = tuple(len(chunk) for chunk in chunks)
        if sizes not in self._pieces:
            rows = np.arange(self._count) if self._rows is None else self._rows
            ends = np.cumsum(sizes)
            found = []
            for start, end in zip(ends - sizes, ends, strict=True):
                # More than one chunk there is only where rows ascend.
                low, high = (0, len(rows)) if len(sizes) == 1 else np.searchsorted(rows, (start, end))
                found.append((slice(low, high), rows[low:high] - start))
            self._pieces[sizes] = found
        return self._pieces[sizes]


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
    missing = [flags_of(pc.is_null(array, nan_is_null=True)) for array in (old, new)]
    either, both = missing[0] | missing[1], missing[0] & missing[1]
    if old.type != new.type and not all(_is_number(array.type) for array in (old, new)):
        return np.asarray(~both)
    differs = flags_of(pc.not_equal(old, new))
    return np.asarray(np.where(either, ~both, differs))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _presence(values: pa.ChunkedArray) -> Floats:
    """0 where there is a value and NaN where there is none."""
    return np.where(flags_of(pc.is_null(values, nan_is_null=True)), np.nan, 0.0)


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
