from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from sensai_release.privacy.classes import MISSING
from sensai_release.privacy.companions import companions
from sensai_release.privacy.suppression import Demand, Flags, Rows, blanks

Table = Sequence[tuple[int, ...]]


def rows_of(table: Table, values: Sequence[int] | None = None, fixed: Sequence[int] | None = None) -> Rows:
    count = len(table)
    return Rows(
        columns=[np.array(column, dtype=np.int64) for column in zip(*table, strict=True)],
        fixed=np.array(fixed or [0] * count, dtype=np.int64),
        weights=np.ones(count, dtype=np.int64),
        sensitive=[] if values is None else [(np.arange(count), np.array(values, dtype=np.int64))],
    )


def faulty(table: Table, k: int) -> Flags:
    return np.array([list(table).count(row) < k for row in table])


def fewest(table: Table, k: int) -> int | None:
    """Every way to blank cells of anybody: the fewest persons who lose some, the faulty ones counted always.

    A sound class may shrink to k but not dissolve: that is a coarser level's to do.
    """
    count, width = len(table), len(table[0])
    out = faulty(table, k)
    sound = {row for row, bad in zip(table, out.tolist(), strict=True) if not bad}
    best: int | None = None
    for chosen in itertools.product(itertools.product((False, True), repeat=width), repeat=count):
        after = [
            tuple(MISSING if blank else cell for blank, cell in zip(pattern, row, strict=True))
            for pattern, row in zip(chosen, table, strict=True)
        ]
        losing = sum(bool(bad) or row != then for bad, row, then in zip(out.tolist(), table, after, strict=True))
        if (best is None or losing < best) and sound <= set(after) and not faulty(after, k).any():
            best = losing
    return best


@pytest.mark.parametrize("seed", range(60))
def test_no_other_blanks_would_do_with_fewer_persons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, width = (int(rng.integers(3, 7)), 2) if seed % 3 else (int(rng.integers(4, 11)), 1)
    table: Table = [tuple(row) for row in rng.choice(4, (count, width), p=[0.1, 0.6, 0.2, 0.1]).tolist()]
    k = int(rng.integers(2, 5))
    out = faulty(table, k)
    expected = fewest(table, k) if out.any() else 0
    found = companions(rows_of(table), out, Demand(k=k), [1] * width, count)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert int((out | found).sum()) == expected
    needed = int(found.sum())
    if needed:
        assert companions(rows_of(table), out, Demand(k=k), [1] * width, needed - 1) is None


def test_both_outcomes_and_some_help_occur_among_the_random_cases() -> None:
    outcomes = set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        table: Table = [tuple(row) for row in rng.choice(4, (8, 1), p=[0.1, 0.6, 0.2, 0.1]).tolist()]
        found = companions(rows_of(table), faulty(table, 3), Demand(k=3), [1], 8)
        outcomes.add(None if found is None else bool(found.any()))
    assert outcomes == {None, True, False}


@pytest.mark.parametrize("seed", range(40))
def test_every_class_is_sound_afterwards(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table: Table = [tuple(row) for row in rng.choice(5, (120, 3), p=[0.02, 0.5, 0.45, 0.02, 0.01]).tolist()]
    values, fixed = rng.choice(4, 120, p=[0.7, 0.2, 0.05, 0.05]).tolist(), rng.integers(0, 2, 120).tolist()
    rows, demand = rows_of(table, values, fixed), Demand(k=4, l=1 + seed % 3)
    out = rows.faulty(rows.classes(), demand)
    found = companions(rows, out, demand, [3, 1, 2], 120)
    if found is None:
        return
    assert not (found & out).any()
    marks = blanks(rows, out, demand, [3, 1, 2], found)
    assert marks is not None
    after = [
        tuple(MISSING if blank else cell for blank, cell in zip(pattern, row, strict=True))
        for pattern, row in zip(marks.tolist(), table, strict=True)
    ]
    classes: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, group, value in zip(after, fixed, values, strict=True):
        classes[(group, *row)].append(value)
    assert all(len(members) >= demand.k and len(set(members)) >= demand.l for members in classes.values())
    assert not marks[~(out | found)].any()


def test_those_who_are_most_alike_lose_least() -> None:
    # One person has a rare sex: four of the same tumour lose that cell with her, and keep the tumour.
    table: Table = [(1, 1)] * 9 + [(1, 2)] * 9 + [(2, 2)] * 9 + [(3, 2)]
    out = faulty(table, 5)
    found = companions(rows_of(table), out, Demand(k=5), [1, 1], 28)
    assert found is not None
    assert {table[n] for n in np.flatnonzero(found).tolist()} <= {(1, 2), (2, 2)}
    marks = blanks(rows_of(table), out, Demand(k=5), [1, 1], found)
    assert marks is not None
    assert marks.sum(axis=0).tolist() == [5, 0]


def test_they_bring_the_values_that_diversity_lacks() -> None:
    table: Table = [(1,)] * 8 + [(2,)] * 3
    values = [1] * 6 + [2, 2] + [1, 1, 1]
    found = companions(rows_of(table, values), faulty(table, 4), Demand(k=4, l=2), [1], 11)
    assert found is not None
    assert [values[n] for n in np.flatnonzero(found).tolist()] == [2]
    # The last person with another value cannot leave the class that needs it.
    values = [1] * 7 + [2] + [1, 1, 1]
    assert companions(rows_of(table, values), faulty(table, 4), Demand(k=4, l=2), [1], 11) is None
