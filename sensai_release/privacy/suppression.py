"""Local suppression: blank as few cells as possible so that everybody hides among at least k persons.

Only cells of persons in classes that are too small, or too uniform, are blanked, and of companions where these persons
are too few (`privacy.companions`). Missing is a value, so persons with blanks hide among others with the same blanks:
among each other, or in a sound class that had these cells missing all along (an anchor). Up to ten such persons get the
cheapest blanks there are; for more it is a greedy choice, kept only while it is no dearer than blanking everything (the
problem is NP-hard: Meyerson and Williams, https://doi.org/10.1145/1055558.1055591). Which levels columns have is
`privacy.generalise`'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sensai_release.privacy.classes import MISSING, Codes, class_sizes, combine, cross

Flags = npt.NDArray[np.bool_]
_EXACT = 10
_ALL_PATTERNS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What every class must have: at least `k` persons, and at least `l` values of each sensitive attribute."""

    k: int
    l: int = 1  # noqa: E741 - the letter that the literature uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of persons as codes: the columns that may be blanked, one column of what cannot be, sensitive ones, weights.

    A row stands for `weights` persons; `sensitive` has one pair of arrays per attribute: row and value.
    """

    columns: Sequence[Codes]
    fixed: Codes
    weights: Codes
    sensitive: Sequence[tuple[Codes, Codes]] = ()

    def faulty(self, ids: Codes, demand: Demand) -> Flags:
        """Which rows lie in a class, given by `ids`, that does not meet the demand."""
        found: Flags = class_sizes(ids, self.weights) < demand.k
        if demand.l > 1 and len(ids):
            for owner, value in self.sensitive:
                found |= (np.bincount(cross(ids[owner], value).owner, minlength=int(ids.max()) + 1) < demand.l)[ids]
        return found

    def classes(self) -> Codes:
        return combine([self.fixed, *self.columns], len(self.fixed))

    def take(self, rows: Codes) -> Rows:
        place = np.full(len(self.fixed), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        return Rows(
            columns=[column[rows] for column in self.columns],
            fixed=self.fixed[rows],
            weights=self.weights[rows],
            sensitive=[(place[owner][place[owner] >= 0], value[place[owner] >= 0]) for owner, value in self.sensitive],
        )


def can_be_mended(rows: Rows, faulty: Flags, demand: Demand) -> bool:
    """Whether blanking cells of the `faulty` rows alone can make every class meet the demand.

    Exactly so when, among the rows that share what cannot be blanked, the faulty ones meet the demand together, or each
    of them has an anchor: any other group of them is part of the first.
    """
    if not faulty.any():
        return True
    out = rows.take(np.flatnonzero(faulty))
    alone = out.faulty(out.fixed, demand)
    if not alone.any():
        return True
    sound = rows.take(np.flatnonzero(~faulty))
    loose = out.take(np.flatnonzero(alone))
    anchored = np.zeros(len(loose.fixed), dtype=bool)
    for pattern in _patterns_of(sound):
        anchored |= _among(loose, sound, pattern)
    return bool(anchored.all())


def blanks(
    rows: Rows, faulty: Flags, demand: Demand, costs: Sequence[int], companions: Flags | None = None
) -> Flags | None:
    """Which cells to blank, rows by columns; `None` when nothing helps. `rows` has one row a person, each of weight 1.

    `costs` is the cost of a blank in each column; `companions` are sound rows whose cells may be blanked too, and whose
    classes are sound without them. After it every class meets the demand; it never costs more than blanking every cell
    of the faulty rows and their companions, where that would do.
    """
    result = np.zeros((len(rows.fixed), len(rows.columns)), dtype=bool)
    leaving = faulty if companions is None else faulty | companions
    if not can_be_mended(rows, leaving, demand):
        return None
    for value in np.unique(rows.fixed[leaving]).tolist():
        out, sound = np.flatnonzero(leaving & (rows.fixed == value)), np.flatnonzero(~leaving & (rows.fixed == value))
        result[out] = _mend(rows.take(out), rows.take(sound), demand, costs)
    ids = _blanked(rows, result).classes()
    if rows.faulty(ids, demand).any():
        raise AssertionError("local suppression left a class that does not meet the demand")
    return result


def _mend(out: Rows, sound: Rows, demand: Demand, costs: Sequence[int]) -> Flags:
    choices = list(_choices(out, sound, demand, costs))
    best = min((_cost(choice, out, costs), number) for number, choice in enumerate(choices))
    return choices[best[1]]


def _choices(out: Rows, sound: Rows, demand: Demand, costs: Sequence[int]) -> Iterator[Flags]:
    everything = np.ones((len(out.fixed), len(out.columns)), dtype=bool)
    if not out.faulty(np.zeros(len(out.fixed), dtype=np.int64), demand).any():
        yield everything
    options = [_Option(out, sound, pattern, costs) for pattern in _patterns(len(out.columns), out, sound)]
    options.sort(key=lambda option: option.order)
    if len(out.fixed) <= _EXACT and len(out.columns) <= _ALL_PATTERNS:
        yield _exact(out, options, demand)
        return
    for anchors in (True, False):
        if (found := _greedy(out, options, demand, anchors=anchors)) is not None:
            yield found
    if (found := _only_anchors(out, options)) is not None:
        yield found


class _Option:
    """One set of columns to blank: the groups that the rows then form, which of them have an anchor, and the cost."""

    def __init__(self, out: Rows, sound: Rows, pattern: Flags, costs: Sequence[int]) -> None:
        self.pattern = pattern
        masked = [np.where(blank, MISSING, column) for blank, column in zip(pattern, out.columns, strict=True)]
        self.groups = combine(masked, len(out.fixed))
        # A cell that is missing already costs nothing.
        self.cost = np.zeros(len(out.fixed), dtype=np.int64)
        for blank, column, cost in zip(pattern, out.columns, costs, strict=True):
            self.cost += cost * (blank & (column != MISSING))
        self.anchored = _among(out, sound, pattern)
        weight = sum(cost for blank, cost in zip(pattern, costs, strict=True) if blank)
        self.order = (weight, int(pattern.sum()), tuple(pattern.tolist()))


def _exact(out: Rows, options: Sequence[_Option], demand: Demand) -> Flags:
    """The cheapest partition of the rows into groups that meet the demand, by dynamic programming over sets of rows.

    A group blanks the columns on which its rows differ, and a row with an anchor is a group of its own.
    """
    count, groups = len(out.fixed), dict(_groups(out, options, demand))
    by_lowest: list[list[int]] = [[] for _ in range(count)]
    for key in sorted(groups):
        by_lowest[(key & -key).bit_length() - 1].append(key)
    prices = {key: int(option[0]) for key, option in groups.items()}
    total: list[tuple[int, int] | None] = [(0, 0)] + [None] * ((1 << count) - 1)
    for covered in range(1, 1 << count):
        for key in by_lowest[(covered & -covered).bit_length() - 1]:
            before = total[covered ^ key] if key & covered == key else None
            here = total[covered]
            if before is not None and (here is None or before[0] + prices[key] < here[0]):
                total[covered] = (before[0] + prices[key], key)
    result = np.zeros((count, len(out.columns)), dtype=bool)
    left = (1 << count) - 1
    while left and (step := total[left]) is not None:
        for row in range(count):
            if step[1] >> row & 1:
                result[row] = groups[step[1]][1]
        left ^= step[1]
    return result


def _groups(out: Rows, options: Sequence[_Option], demand: Demand) -> Iterator[tuple[int, tuple[int, Flags]]]:
    """Sets of rows (as bits) that can be made to meet the demand, with the cost and the columns to blank."""
    anchored = {}
    for row in range(len(out.fixed)):
        possible = [(int(option.cost[row]), n) for n, option in enumerate(options) if option.anchored[row]]
        if possible:
            price, number = min(possible)
            anchored[1 << row] = (price, options[number].pattern)
    yield from anchored.items()
    costs = {option.pattern.tobytes(): option.cost for option in options}
    columns = np.array(out.columns).reshape(len(out.columns), len(out.fixed))
    for size in range(demand.k, len(out.fixed) + 1):
        for chosen in itertools.combinations(range(len(out.fixed)), size):
            if not _meets(out, chosen, demand):
                continue
            part = columns[:, list(chosen)]
            pattern = (part != part[:, :1]).any(axis=1)
            price = int(costs[pattern.tobytes()][list(chosen)].sum())
            key = sum(1 << row for row in chosen)
            if key not in anchored or price < anchored[key][0]:
                yield key, (price, pattern)


def _meets(out: Rows, chosen: Sequence[int], demand: Demand) -> bool:
    if len(chosen) < demand.k:
        return False
    if demand.l <= 1:
        return True
    part = out.take(np.array(chosen, dtype=np.int64))
    return not part.faulty(np.zeros(len(chosen), dtype=np.int64), demand).any()


def _greedy(out: Rows, options: Sequence[_Option], demand: Demand, *, anchors: bool) -> Flags | None:
    """From the cheapest blanks on: whoever meets the demand so far is done. `None` when somebody is left over.

    Those left over take the cheapest finished group with them into the blanks that unite them.
    """
    count = len(out.fixed)
    done = np.full(count, -1, dtype=np.int64)
    for number, option in enumerate(options):
        if anchors:
            done[(done < 0) & option.anchored] = number
        left = np.flatnonzero(done < 0)
        if not len(left):
            break
        good = ~out.take(left).faulty(option.groups[left], demand)
        done[left[good]] = number
    left = np.flatnonzero(done < 0)
    if len(left):
        joined: list[tuple[int, int, Codes]] = []
        for number, option in enumerate(options):
            same = option.groups == option.groups[left[0]]
            if not same[left].all():
                continue
            for other in np.unique(done[same & (done >= 0)]).tolist():
                for group in np.unique(options[other].groups[same & (done == other)]).tolist():
                    union = np.flatnonzero((done == other) & (options[other].groups == group) | (done < 0))
                    if same[union].all() and _meets(out, union.tolist(), demand):
                        joined.append((int(option.cost[union].sum()), number, union))
        if not joined:
            return None
        _, number, union = min(joined, key=lambda entry: entry[:2])
        done[union] = number
    return np.array([options[number].pattern for number in done.tolist()])


def _only_anchors(out: Rows, options: Sequence[_Option]) -> Flags | None:
    done = np.full(len(out.fixed), -1, dtype=np.int64)
    for number, option in enumerate(options):
        done[(done < 0) & option.anchored] = number
    return None if (done < 0).any() else np.array([options[number].pattern for number in done.tolist()])


def _patterns(columns: int, out: Rows, sound: Rows) -> list[Flags]:
    """Sets of columns to blank: all of them, or for many columns those of up to two, all but one, and what is missing.

    Rows that lack cells already look as if these had been blanked.
    """
    if columns <= _ALL_PATTERNS:
        return [np.array(bits, dtype=bool) for bits in itertools.product((False, True), repeat=columns)]
    sizes = (0, 1, 2, columns - 1, columns)
    found = {chosen for size in sizes for chosen in itertools.combinations(range(columns), size)}
    found |= {tuple(np.flatnonzero(pattern).tolist()) for rows in (out, sound) for pattern in _patterns_of(rows)}
    return [np.isin(np.arange(columns), chosen) for chosen in sorted(found)]


def _patterns_of(rows: Rows) -> list[Flags]:
    """Which columns are missing together, each combination once."""
    if not rows.columns or not len(rows.fixed):
        return [np.zeros(len(rows.columns), dtype=bool)] if len(rows.fixed) else []
    missing = np.stack([column == MISSING for column in rows.columns], axis=1)
    return list(np.unique(missing, axis=0))


def _among(out: Rows, sound: Rows, pattern: Flags) -> Flags:
    """Which rows equal a sound one once the columns of `pattern` are blank."""
    masked = [
        np.r_[np.where(blank, MISSING, own), other]
        for blank, own, other in zip(pattern, out.columns, sound.columns, strict=True)
    ]
    count = len(out.fixed)
    ids = combine([np.r_[out.fixed, sound.fixed], *masked], count + len(sound.fixed))
    return np.isin(ids[:count], ids[count:])


def _blanked(rows: Rows, cells: Flags) -> Rows:
    columns = [np.where(cells[:, n], MISSING, column) for n, column in enumerate(rows.columns)]
    return Rows(columns=columns, fixed=rows.fixed, weights=rows.weights, sensitive=rows.sensitive)


def _cost(choice: Flags, rows: Rows, costs: Sequence[int]) -> int:
    return sum(
        cost * int((choice[:, n] & (column != MISSING)).sum())
        for n, (cost, column) in enumerate(zip(costs, rows.columns, strict=True))
    )
