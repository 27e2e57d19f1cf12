"""Two versions of a table, walked in step: which cells differ, for how many persons, which way and by how much.

First the bytes of the column chunks are compared: what is the same on disk need not be read. The rest is decoded in
blocks of row groups, so that memory does not grow with the table. Every core walks columns of its own, so that nothing
that is found depends on their number. What is kept are counts per person, no cell. What may be printed of them is
decided in `tablediff`, whether distributions shifted in `shift`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.release.comparison.arrays import Floats, flags_of, floats_of, is_number, numbers_of, rows_of
from sensai_release.release.comparison.chunks import compare_bytes
from sensai_release.release.comparison.pairs import Cut, Pairs
from sensai_release.release.comparison.rowmatch import RowMatch, TableRows
from sensai_release.release.comparison.tally import Changes, Distribution, People
from sensai_release.release.tables import Codes, Flags

_BLOCK_ROWS = 1 << 15
# More columns at a time fall out of the processor's cache before they are compared; fewer cost more calls.
_COLUMNS = 12
_MOST_THREADS = 8


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
        pairs = Pairs.of((self._old, old_groups), (self._new, new_groups), self._match, self._people)
        threads = min(len(columns), os.cpu_count() or 1, _MOST_THREADS)
        with ThreadPoolExecutor(threads) as pool:
            for done in [
                pool.submit(self._stride, pairs, (old_groups, new_groups), columns[start::threads])
                for start in range(threads)
            ]:
                done.result()
        self.found.rows += np.bincount(pairs.behind[pairs.changed], minlength=self._persons)

    def _stride(self, pairs: Pairs, groups: tuple[list[int], list[int]], columns: Sequence[str]) -> None:
        """Walks some of the columns from end to end, a few of them at a time over each block."""
        # An open Parquet file must not be read by two threads at a time.
        sides = self._old.reopened(), self._new.reopened()
        few = [columns[start : start + _COLUMNS] for start in range(0, len(columns), _COLUMNS)]
        walks = [self._steps(pairs, sides, groups, part) for part in few]
        # In turn, so that each part of the tables is opened once.
        for _ in itertools.zip_longest(*walks):
            pass

    def _steps(
        self,
        pairs: Pairs,
        sides: tuple[TableRows, TableRows],
        groups: tuple[list[int], list[int]],
        columns: Sequence[str],
    ) -> Iterator[None]:
        """Walks a few columns: one step for each block, then one for each piece that only distributions need."""
        old, new = sides
        tables = (new.read(columns, run) for run in _runs(new, groups[1]))
        held = next(tables) if groups[1] else new.read(columns, [])
        done = base = 0
        for run in _runs(old, groups[0]):
            table = old.read(columns, run)
            end = done + table.num_rows
            until = pairs.until(end, base)
            while base + held.num_rows < until:
                held = pa.concat_tables([held, next(tables)])
            self._block((table, held.slice(0, until - base)), pairs.between(done, end, base))
            held = held.slice(until - base)
            base, done = until, end
            yield
        # What lies behind the last matched row counts for the distributions only.
        for table in itertools.chain([held], tables) if self._spread else ():
            people = People(pairs.people[1][base : base + table.num_rows])
            base += table.num_rows
            for column in (name for name in columns if name in self._spread):
                self.found.after[column].add(table.column(column), people)
            yield

    def _out_of_step(self, columns: Sequence[str]) -> None:
        """Tables that are not sorted by key: one column in memory at a time."""
        pairs = Pairs.out_of_step(self._match, self._people)
        for column in columns:
            old, new = (
                side.read([column], range(len(side.groups))).combine_chunks() for side in (self._old, self._new)
            )
            self._block((old, new), pairs)
        self.found.rows += np.bincount(pairs.behind[pairs.changed], minlength=self._persons)

    def _block(self, tables: tuple[pa.Table, pa.Table], pairs: Pairs) -> None:
        """Compares two pieces of the tables that hold each other's rows, column by column."""
        old, new = tables
        cut = Cut(pairs.partner, new.num_rows)
        behind = [People(each) for each in pairs.people] if self._spread else []
        any_matched = pairs.any_matched
        for name in old.column_names:
            if any_matched:
                self._column(name, old.column(name), new.column(name), cut, pairs)
            if name in self._spread:
                self.found.before[name].add(old.column(name), behind[0])
                self.found.after[name].add(new.column(name), behind[1])

    def _column(self, name: str, old: pa.ChunkedArray, new: pa.ChunkedArray, cut: Cut, pairs: Pairs) -> None:
        """Counts one column of one block, and marks the matched rows that differ in it."""
        plain = old.type == new.type and _is_plain(old) and _is_plain(new)
        if plain:
            before, after = numbers_of(old, np.nan), cut.numbers(new)
            at = pairs.matched_of(np.flatnonzero(before != after))
            taken = [np.asarray(values[at], dtype=np.float64) for values in (before, after)]
            known = ~(np.isnan(taken[0]) & np.isnan(taken[1]))
            at, taken = at[known], [values[known] for values in taken]
        else:
            chosen = (old, cut.cells(new))
            at = pairs.matched_of(np.flatnonzero(unequal(*chosen)))
            numeric = all(is_number(values.type) for values in chosen)
            taken = [
                floats_of(held) if numeric else _presence(held)
                for held in (values.take(rows_of(at)) for values in chosen)
            ]
        if len(at):
            pairs.changed[at] = True
            if name not in self.found.columns:
                self.found.columns[name] = Changes.of(self._persons)
            self.found.columns[name].add(pairs.behind[at], *taken)


def unequal(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Flags:
    """Where two columns differ; a missing value (null or NaN) equals a missing one. Numbers are compared by value."""
    missing = [flags_of(pc.is_null(array, nan_is_null=True)) for array in (old, new)]
    either, both = missing[0] | missing[1], missing[0] & missing[1]
    if old.type != new.type and not all(is_number(array.type) for array in (old, new)):
        return np.asarray(~both)
    differs = flags_of(pc.not_equal(old, new))
    return np.asarray(np.where(either, ~both, differs))


def _is_plain(values: pa.ChunkedArray) -> bool:
    """Whether cells can be compared as they lie in memory: integers with missing ones, texts, truth values cannot."""
    return bool(values.type == pa.float64() or (pa.types.is_integer(values.type) and not values.null_count))


def _presence(values: pa.ChunkedArray) -> Floats:
    """0 where there is a value and NaN where there is none."""
    return np.where(flags_of(pc.is_null(values, nan_is_null=True)), np.nan, 0.0)


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
