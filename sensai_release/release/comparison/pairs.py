"""Which row of the new table belongs to which row of the old one, piece by piece, and the cells in that order.

Who matched the rows is `rowmatch`; who compares them is `walk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensai_release.release.comparison.arrays import numbers_of, rows_of
from sensai_release.release.comparison.rowmatch import RowMatch, TableRows
from sensai_release.release.tables import Codes, Flags

Plain: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The rows of a piece of the old table, each with its partner in a piece of the new one.

    One entry for each row of the old piece: its `partner` (for a row without one, any row), whether it is `matched`
    (`None` when all are), the person `behind` it in the new table, and whether a cell of it has `changed`, which is
    written while columns are compared. `people` stand behind the rows of the old and of the new piece.
    """

    partner: Codes
    matched: Flags | None
    behind: Codes
    changed: Flags
    people: tuple[Codes, Codes]

    @classmethod
    def of(
        cls,
        old: tuple[TableRows, list[int]],
        new: tuple[TableRows, list[int]],
        match: RowMatch,
        people: tuple[Codes, Codes],
    ) -> Pairs:
        """Some row groups of either table, as if they were all of it. Partners ascend."""
        parts = [_part(*side) for side in (old, new)]
        rows = [_places(flags, rows) for flags, rows in zip(parts, (match.old, match.new), strict=True)]
        inside = tuple(each if flags is None else each[flags] for flags, each in zip(parts, people, strict=True))
        pairs = cls._put_together(rows[0], rows[1], (inside[0], inside[1]))
        np.maximum.accumulate(pairs.partner, out=pairs.partner)
        return pairs

    @classmethod
    def out_of_step(cls, match: RowMatch, people: tuple[Codes, Codes]) -> Pairs:
        """Both tables whole; partners in any order."""
        return cls._put_together(match.old, match.new, people)

    @classmethod
    def _put_together(cls, old: Codes, new: Codes, people: tuple[Codes, Codes]) -> Pairs:
        count = len(people[0])
        partner, behind = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        partner[old], behind[old] = new, people[1][new]
        matched = None
        if len(old) < count:
            matched = np.zeros(count, dtype=bool)
            matched[old] = True
        changed = np.zeros(count, dtype=bool)
        return cls(partner=partner, matched=matched, behind=behind, changed=changed, people=people)

    @property
    def any_matched(self) -> bool:
        return bool(len(self.partner)) if self.matched is None else bool(self.matched.any())

    def matched_of(self, rows: Codes) -> Codes:
        """Those of some rows that have a partner."""
        return rows if self.matched is None else rows[self.matched[rows]]

    def until(self, end: int, base: int) -> int:
        """The row of the new piece behind the partner of the last matched row before `end`; `base` without one."""
        some = end > 0 and (self.matched is None or bool(self.matched[:end].any()))
        # Partners ascend, and a row without one repeats the partner before it.
        return int(self.partner[end - 1]) + 1 if some else base

    def between(self, start: int, end: int, base: int) -> Pairs:
        """Rows of the old piece with partners in the new one from `base` on. What they mark is marked here too."""
        matched = None if self.matched is None else self.matched[start:end]
        until = self.until(end, base)
        return Pairs(
            partner=np.maximum(self.partner[start:end] - base, 0),
            matched=None if matched is None or matched.all() else matched,
            behind=self.behind[start:end],
            changed=self.changed[start:end],
            people=(self.people[0][start:end], self.people[1][base:until]),
        )


class Cut:
    """The cells of a block of the new table in the order of their partners in the old one."""

    def __init__(self, partner: Codes, count: int) -> None:
        self._partner = None if _is_all(partner, count) else partner
        self._count = len(partner)
        self._pieces: dict[tuple[int, ...], list[tuple[slice, Codes]]] = {}

    def cells(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        return values if self._partner is None else values.take(rows_of(self._partner))

    def numbers(self, values: pa.ChunkedArray) -> Plain:
        """Numbers as they lie in memory; missing floats are NaN."""
        chunks = [numbers_of(chunk, np.nan) for chunk in values.chunks]
        if self._partner is None and len(chunks) == 1:
            return chunks[0]
        out = np.empty(self._count, dtype=values.type.to_pandas_dtype())
        for chunk, (inside, places) in zip(chunks, self._of(chunks), strict=True):
            # Rows are inside by construction; clipping spares numpy a copy.
            np.take(chunk, places, out=out[inside], mode="clip")
        return out

    def _of(self, chunks: Sequence[Plain]) -> list[tuple[slice, Codes]]:
        """For each chunk, which of the partners lie in it and where."""
        sizes = tuple(len(chunk) for chunk in chunks)
        if sizes not in self._pieces:
            rows = np.arange(self._count) if self._partner is None else self._partner
            ends = np.cumsum(sizes)
            found = []
            for start, end in zip(ends - sizes, ends, strict=True):
                # More than one chunk there is only where rows ascend.
                low, high = (0, len(rows)) if len(sizes) == 1 else np.searchsorted(rows, (start, end))
                found.append((slice(low, high), rows[low:high] - start))
            self._pieces[sizes] = found
        return self._pieces[sizes]


def _part(rows: TableRows, groups: list[int]) -> Flags | None:
    """Which rows of a table lie in some of its row groups; `None` when all do."""
    kept = np.zeros(len(rows.groups), dtype=bool)
    kept[groups] = True
    return None if kept.all() else np.repeat(kept, rows.sizes)


def _places(part: Flags | None, rows: Codes) -> Codes:
    """Where rows of a table stand among the rows of a part; those that are not in it are left out."""
    if part is None:
        return rows
    return (np.cumsum(part) - 1)[rows[part[rows]]]


def _is_all(rows: Codes, count: int) -> bool:
    """Whether rows are all of `count` rows, in order."""
    return len(rows) == count and (count == 0 or bool((np.diff(rows) == 1).all() and rows[0] == 0))
