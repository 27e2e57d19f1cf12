"""What is kept of a column while two versions of a table are compared: counts and sums per person, no cell.

Which cells differ is found in `walk`; what may be printed of the counts is decided in `tablediff`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.release.comparison.arrays import Floats, floats_of, numbers_of
from sensai_release.release.tables import Codes

WAYS: Final = ("up", "down", "appeared", "vanished", "other")
"""A changed cell: a larger or smaller number, one that was missing, one that now is, or another value of a kind that
has no order."""


class People:
    """The person behind each of some rows, as runs: rows of one person mostly stand together."""

    def __init__(self, each: Codes) -> None:
        self.each = each
        self.starts = np.flatnonzero(np.r_[True, each[1:] != each[:-1]]) if len(each) else np.zeros(0, dtype=np.int64)
        self.whose = each[self.starts]
        self.lengths = np.diff(np.r_[self.starts, len(each)])
        self._parts: dict[tuple[int, int], People] = {(0, len(each)): self}

    def between(self, start: int, end: int) -> People:
        if (start, end) not in self._parts:
            self._parts[start, end] = People(self.each[start:end])
        return self._parts[start, end]


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

    def add(self, behind: Codes, before: Floats, after: Floats) -> None:
        """Counts changed cells, with the person behind each; of values without an order, 0 stands for one there."""
        persons = len(self.cells)
        was, now = np.isnan(before), np.isnan(after)
        way = np.full(len(behind), WAYS.index("other"), dtype=np.int64)
        for number, flags in enumerate((after > before, after < before, was & ~now, now & ~was)):
            way[flags] = number
        counted = np.bincount(way * persons + behind, minlength=len(WAYS) * persons).reshape(len(WAYS), persons)
        self.cells += counted.sum(axis=0)
        for name, cells in zip(WAYS, counted, strict=True):
            self.ways[name] += cells
        with np.errstate(invalid="ignore", over="ignore"):
            by = after - before
        known = np.isfinite(by)
        by, behind = by[known], behind[known]
        self.distance += np.bincount(behind, weights=np.abs(by), minlength=persons)
        self.difference += np.bincount(behind, weights=by, minlength=persons)


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

    def add(self, values: pa.ChunkedArray, people: People) -> None:
        """Counts cells of the column, with the person behind each; of numbers the finite ones."""
        start = 0
        for chunk in values.chunks:
            end = start + len(chunk)
            if self.categories is None:
                self._add_numbers(floats_of(chunk), people.between(start, end))
            else:
                self._add_categories(chunk, people.each[start:end])
            start = end

    def _add_categories(self, values: pa.Array, each: Codes) -> None:
        width = self.counts.shape[1]
        place = numbers_of(pc.index_in(values, value_set=self.categories, skip_nulls=True), width - 1)
        self.counts += np.bincount(each * width + place, minlength=self.counts.size).reshape(self.counts.shape)

    def _add_numbers(self, numbers: Floats, people: People) -> None:
        if not len(numbers):
            return
        with np.errstate(invalid="ignore", over="ignore"):
            sums, counts = np.add.reduceat(numbers, people.starts), people.lengths
            if not np.isfinite(sums).all():
                there = np.isfinite(numbers)
                sums = np.add.reduceat(np.where(there, numbers, 0.0), people.starts)
                counts = np.add.reduceat(there, people.starts, dtype=np.int64)
        self.sums += np.bincount(people.whose, weights=sums, minlength=len(self.sums))
        np.add.at(self.counts, people.whose, counts)
