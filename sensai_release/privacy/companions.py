"""Who loses cells along with those who stand out, where these are too few to hide among themselves.

One person alone in a rare value cannot be hidden by blanking that value: the blank would stand alone in its turn. Then
some who hide well lose the same cell, from classes that have more persons than they need. They count as suppressed like
the others. Without a demand for diversity they are the fewest there can be while no sound class dissolves: those who
stand out lose cells in any case, and together with their companions they must be k. Which cells go is
`privacy.suppression`'s; whether the share of suppressed persons allows it, `privacy.generalise`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sensai_release.privacy.classes import Codes, class_sizes, combine, cross
from sensai_release.privacy.suppression import Demand, Flags, Rows, can_be_mended


def companions(rows: Rows, faulty: Flags, demand: Demand, costs: Sequence[int], most: int) -> Flags | None:
    """Which rows in sound classes have to lose cells too; `None` where more than `most` would have to.

    `rows` has one row a person, each of weight 1; `faulty` are those that do not meet the demand. Nobody is chosen
    where the faulty can be mended without. Those come first who add most values that diversity still lacks, then those
    who differ from the faulty in the cheapest columns, then the earlier row. No class falls below the demand.
    """
    result = np.zeros(len(rows.fixed), dtype=bool)
    for value in np.unique(rows.fixed[faulty]).tolist():
        here = np.flatnonzero(rows.fixed == value)
        part, out = rows.take(here), faulty[here]
        if can_be_mended(part, out, demand):
            continue
        chosen = _chosen(part, out, demand, costs, most - int(result.sum()))
        if chosen is None:
            return None
        result[here[chosen]] = True
    return result


def _chosen(rows: Rows, out: Flags, demand: Demand, costs: Sequence[int], most: int) -> list[int] | None:
    group = out.copy()
    chosen: list[int] = []
    far = _distance(rows, out, costs)
    while True:
        lacking = _values_of(rows, group, demand)
        short = int(group.sum()) < demand.k
        if not short and not lacking:
            return chosen
        free = _can_leave(rows, group, demand)
        gain = np.zeros(len(group), dtype=np.int64)
        for held, values in lacking:
            gain += ~np.isin(values, held)
        best = int(gain[free].max(initial=0))
        if len(chosen) == most or not free.any() or (lacking and best == 0):
            return None
        able = np.flatnonzero(free & (gain == best))
        row = int(able[np.argmin(far[able])])
        chosen.append(row)
        group[row] = True


def _values_of(rows: Rows, group: Flags, demand: Demand) -> list[tuple[Codes, Codes]]:
    """For each attribute of which the group has fewer than l values: those that it has, and everybody's."""
    found = []
    for owner, value in rows.sensitive if demand.l > 1 else ():
        values = np.empty(len(group), dtype=np.int64)
        values[owner] = value
        held = np.unique(values[group])
        if len(held) < demand.l:
            found.append((held, values))
    return found


def _can_leave(rows: Rows, group: Flags, demand: Demand) -> Flags:
    """Who can leave a class outside of the group without making it too small or too uniform."""
    stay = np.flatnonzero(~group)
    left = rows.take(stay)
    ids = left.classes()
    free = class_sizes(ids) > demand.k
    for owner, value in left.sensitive if demand.l > 1 else ():
        values = np.empty(len(stay), dtype=np.int64)
        values[owner] = value
        distinct = np.bincount(cross(ids, values).owner, minlength=int(ids.max(initial=0)) + 1)[ids]
        free &= (distinct > demand.l) | (class_sizes(combine([ids, values], len(ids))) > 1)
    result = np.zeros(len(group), dtype=bool)
    result[stay] = free
    return result


def _distance(rows: Rows, out: Flags, costs: Sequence[int]) -> Codes:
    """What it costs to blank the cells in which a row differs from the rows that are out, over all of these."""
    far = np.zeros(len(out), dtype=np.int64)
    for column, cost in zip(rows.columns, costs, strict=True):
        same = np.bincount(column[out], minlength=int(column.max(initial=0)) + 1)[column]
        far += cost * (int(out.sum()) - same)
    return far
