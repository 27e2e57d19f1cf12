from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from sensai_release.privacy.suppression import Demand, Flags, Rows, blanks, can_be_mended

Table = Sequence[tuple[int, ...]]


def rows_of(table: Table, fixed: Sequence[int], values: Sequence[int]) -> Rows:
    count = len(table)
    return Rows(
        columns=[np.array(column, dtype=np.int64) for column in zip(*table, strict=True)],
        fixed=np.array(fixed, dtype=np.int64),
        weights=np.ones(count, dtype=np.int64),
        sensitive=[(np.arange(count), np.array(values, dtype=np.int64))],
    )


def bad(table: Table, fixed: Sequence[int], values: Sequence[int], demand: Demand) -> set[int]:
    classes: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, row in enumerate(table):
        classes[(fixed[number], *row)].append(number)
    found: set[int] = set()
    for members in classes.values():
        if len(members) < demand.k or len({values[m] for m in members}) < demand.l:
            found.update(members)
    return found


def cheapest(
    table: Table, fixed: Sequence[int], values: Sequence[int], demand: Demand, costs: Sequence[int]
) -> int | None:
    """Every way to blank cells of the faulty rows."""
    out = sorted(bad(table, fixed, values, demand))
    width = len(table[0])
    best: int | None = None
    for chosen in itertools.product(itertools.product((False, True), repeat=width), repeat=len(out)):
        after, price = list(table), 0
        for number, pattern in zip(out, chosen, strict=True):
            after[number] = tuple(0 if blank else cell for blank, cell in zip(pattern, table[number], strict=True))
            price += sum(c for blank, cell, c in zip(pattern, table[number], costs, strict=True) if blank and cell)
        if (best is None or price < best) and not bad(after, fixed, values, demand):
            best = price
    return best


def price_of(found: Flags, table: Table, costs: Sequence[int]) -> int:
    cells = np.array(table)
    return int(((found & (cells != 0)) * costs).sum())


@pytest.mark.parametrize("seed", range(150))
def test_few_persons_get_the_cheapest_blanks_there_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, count = int(rng.integers(1, 4)), int(rng.integers(2, 13))
    table: Table = [tuple(row) for row in rng.choice(4, (count, width), p=[0.2, 0.5, 0.2, 0.1]).tolist()]
    fixed = rng.integers(0, 2, count).tolist() if seed % 3 == 0 else [0] * count
    values = rng.integers(0, 3, count).tolist()
    demand = Demand(k=int(rng.integers(2, 4)), l=int(rng.integers(1, 3)))
    costs = rng.integers(1, 5, width).tolist()
    out = bad(table, fixed, values, demand)
    if len(out) * width > 12:
        table, fixed, values = table[:4], fixed[:4], values[:4]
        out = bad(table, fixed, values, demand)
    faulty = np.isin(np.arange(len(table)), sorted(out))
    expected = cheapest(table, fixed, values, demand, costs)
    rows = rows_of(table, fixed, values)
    found = blanks(rows, faulty, demand, costs)
    assert can_be_mended(rows, faulty, demand) == (expected is not None)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert price_of(found, table, costs) == expected
    assert not found[~faulty].any()


@pytest.mark.parametrize("seed", range(40))
def test_many_persons_are_never_worse_off_than_all_blank(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, width = 300, 4
    table: Table = [tuple(row) for row in rng.choice(6, (count, width), p=[0.1, 0.5, 0.2, 0.1, 0.05, 0.05]).tolist()]
    fixed, values = [0] * count, rng.integers(0, 3, count).tolist()
    demand = Demand(k=5, l=1 + seed % 2)
    costs = rng.integers(1, 5, width).tolist()
    out = bad(table, fixed, values, demand)
    assert len(out) > 10
    faulty = np.isin(np.arange(count), sorted(out))
    found = blanks(rows_of(table, fixed, values), faulty, demand, costs)
    assert found is not None
    after: Table = [
        tuple(0 if blank else cell for blank, cell in zip(marks, row, strict=True))
        for marks, row in zip(found.tolist(), table, strict=True)
    ]
    assert not bad(after, fixed, values, demand)
    everything = np.repeat(faulty[:, None], width, axis=1)
    # With 300 persons in skewed columns, much less than everything has to go.
    assert price_of(found, table, costs) < 0.8 * price_of(everything, table, costs)
    assert not found[~faulty].any()
    again = blanks(rows_of(table, fixed, values), faulty, demand, costs)
    assert np.array_equal(found, again if again is not None else [])


def test_a_person_joins_those_who_lack_the_cell_anyway() -> None:
    table: Table = [(1, 1)] * 5 + [(1, 0)] * 5 + [(1, 2)]
    rows = rows_of(table, [0] * 11, [0] * 11)
    faulty = np.arange(11) == 10
    found = blanks(rows, faulty, Demand(k=5), [1, 1])
    assert found is not None
    assert found.sum() == 1
    assert found[10, 1]
    # Without them one person has nobody to hide among.
    assert blanks(rows_of([*table[:5], (1, 2)], [0] * 6, [0] * 6), np.arange(6) == 5, Demand(k=5), [1, 1]) is None


def test_persons_meet_in_what_they_share() -> None:
    # Three persons who share all but the last cell, and three who share nothing: nine cells less three.
    table: Table = [(1, 1, 1)] * 9 + [(2, 2, 1), (2, 2, 2), (2, 2, 3), (3, 1, 1), (1, 3, 1), (4, 4, 4)]
    faulty = np.arange(15) >= 9
    found = blanks(rows_of(table, [0] * 15, [0] * 15), faulty, Demand(k=3), [1, 1, 1])
    assert found is not None
    assert found[9:].tolist() == [[False, False, True]] * 3 + [[True] * 3] * 3


def test_many_columns_and_nothing_to_do() -> None:
    rng = np.random.default_rng(1)
    table: Table = [(1,) * 12] * 30 + [tuple(row) for row in rng.integers(1, 3, (14, 12)).tolist()]
    faulty = np.arange(44) >= 30
    rows = rows_of(table, [0] * 44, [0] * 44)
    found = blanks(rows, faulty, Demand(k=4), [1] * 12)
    assert found is not None
    assert not blanks(rows, np.zeros(44, dtype=bool), Demand(k=1), [1] * 12).any()  # type: ignore[union-attr]
