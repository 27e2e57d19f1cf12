from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.classes import combine, cross, encode
from sensai_release.privacy.diversity import (
    CONSTANT,
    distinct_l,
    entropy_l,
    measure_diversity,
    t_closeness,
    value_ranks,
)

Values = list[Any]


def by_class(classes: Values, values: Values) -> list[Values]:
    found: dict[Any, Values] = defaultdict(list)
    for owner, value in zip(classes, values, strict=True):
        found[owner].append(value)
    return list(found.values())


def share(values: Values, value: Any) -> float:
    return values.count(value) / len(values)


def entropy(values: Values) -> float:
    return -sum(n / len(values) * math.log(n / len(values)) for n in Counter(values).values())


def variational(part: Values, whole: Values) -> float:
    return sum(abs(share(part, v) - share(whole, v)) for v in set(whole)) / 2


def ordered(part: Values, whole: Values) -> float:
    levels = sorted(set(whole))
    steps = [sum(share(part, v) - share(whole, v) for v in levels[: n + 1]) for n in range(len(levels))]
    return sum(map(abs, steps)) / max(len(levels) - 1, 1)


def measured(classes: Values, values: Values, order: Values | None = None) -> tuple[int, float, float]:
    column = pa.array(values)
    ranks = value_ranks(column, order)
    cells = cross(combine([encode(pa.array(classes))], len(classes)), encode(column) if ranks is None else ranks)
    return distinct_l(cells), entropy_l(cells), t_closeness(cells, ordered=ranks is not None)


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_definitions(seed: int) -> None:
    check(seed)


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_equals_the_definitions_on_many_tables(block: int) -> None:
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check(seed)


def check(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, width = int(rng.integers(1, 80)), int(rng.integers(1, 9))
    classes = rng.integers(0, rng.integers(1, 8), count).tolist()
    numbers = rng.choice(width, count, p=rng.dirichlet(np.ones(width))).tolist()
    texts = [None if n == 0 and seed % 2 else f"v{n}" for n in numbers]
    parts = by_class(classes, texts)
    distinct, exponential, distance = measured(classes, texts)
    assert distinct == min(len(set(part)) for part in parts)
    assert exponential == pytest.approx(min(math.exp(entropy(part)) for part in parts), abs=1e-9)
    assert distance == pytest.approx(max(variational(part, texts) for part in parts), abs=1e-9)
    assert 1 <= exponential <= distinct + 1e-9
    distance = measured(classes, numbers)[2]
    assert distance == pytest.approx(max(ordered(part, numbers) for part in by_class(classes, numbers)), abs=1e-9)


def test_the_example_of_the_t_closeness_paper() -> None:
    # Li, Li and Venkatasubramanian 2007: nine salaries; the class {3k,4k,5k} lies at 0.375, {6k,8k,11k} at 0.167.
    classes = [1, 1, 1, 2, 2, 2, 3, 3, 3]
    salaries = [3, 4, 5, 6, 8, 11, 7, 9, 10]
    apart = {n: ordered(part, salaries) for n, part in zip((1, 2, 3), by_class(classes, salaries), strict=True)}
    assert apart[1] == pytest.approx(0.375)
    assert apart[2] == pytest.approx(0.167, abs=5e-4)
    assert measured(classes, salaries)[2] == pytest.approx(0.375)


def test_the_example_of_the_l_diversity_paper() -> None:
    # Machanavajjhala et al. 2007: a class in which everybody has cancer, and classes of three conditions each.
    classes = [1] * 4 + [2] * 4 + [3] * 4
    conditions = ["heart", "heart", "viral", "viral", "cancer", "heart", "viral", "viral", *["cancer"] * 4]
    assert measured(classes, conditions)[:2] == (1, 1.0)
    mended = [
        "heart",
        "viral",
        "cancer",
        "cancer",
        "cancer",
        "heart",
        "viral",
        "viral",
        "heart",
        "viral",
        "cancer",
        "cancer",
    ]
    distinct, exponential, _ = measured(classes, mended)
    assert distinct == 3
    assert exponential == pytest.approx(2 * math.sqrt(2))


def test_missing_is_a_value_without_a_place_in_the_order() -> None:
    # The class has no missing cells, of which a quarter of all is; the rest agrees: a quarter moves at full distance.
    assert measured([1, 1, 2, 2, 2, 2, 2, 2], [1, 2, 1, 2, 1, 2, None, None])[2] == pytest.approx(0.25)
    assert measured([1, 1, 2, 2], [None, None, 1, 2])[2] == pytest.approx(0.5)
    assert measured([1, 1], [None, None]) == (1, 1.0, 0.0)


@pytest.mark.parametrize("seed", range(30))
def test_the_distance_with_missing_cells_is_never_too_small(seed: int) -> None:
    """Against the least cost over all ways to move equal lots: shares in sixths, so that six lots make a whole."""
    rng = np.random.default_rng(seed)
    part = rng.choice(4, 6).tolist()
    whole = [*part, *rng.choice(4, 6).tolist()]
    levels = sorted({v for v in whole if v > 0})
    doubled = sorted(part * 2)

    def cost(one: int, two: int) -> float:
        if one == two:
            return 0.0
        if 0 in (one, two):
            return 1.0
        return abs(levels.index(one) - levels.index(two)) / max(len(levels) - 1, 1)

    least = assignment([[cost(a, b) / 12 for b in whole] for a in doubled])
    values = [None if v == 0 else v for v in whole]
    if not levels:
        return
    found = measured([1] * 6 + [2] * 6, pa.array(values, pa.int64()).to_pylist())[2]
    assert found >= least - 1e-9


def assignment(costs: list[list[float]]) -> float:
    """The least total of a complete matching, over sets of columns taken by the first rows."""
    best = {0: 0.0}
    for row in costs:
        after: dict[int, float] = {}
        for taken, price in best.items():
            for column, extra in enumerate(row):
                if not taken >> column & 1:
                    key = taken | 1 << column
                    after[key] = min(after.get(key, math.inf), price + extra)
        best = after
    return min(best.values())


def test_order_may_be_declared() -> None:
    classes, texts = [1, 1, 2, 2], ["low", "mid", "mid", "high"]
    assert measured(classes, texts, ["low", "mid", "high", "never seen"])[2] == pytest.approx(0.25)
    assert measured(classes, texts)[2] == pytest.approx(0.25)
    assert measured([1, 2, 3], ["low", "mid", "high"], ["low", "mid", "high"])[2] == pytest.approx(0.5)
    with pytest.raises(ConfigurationError, match="1 values outside its declared order"):
        measured([1, 1], ["low", "secret"], ["low", "high"])


def test_report() -> None:
    persons = pa.table(
        {"a": ["x"] * 4 + ["y"] * 4, "stage": ["I", "II", "I", None] + ["I"] * 4, "score": [1, 2, 3, 4] * 2,
         "group": ["p"] * 8}
    )  # fmt: skip
    entries = measure_diversity(persons, ["a"], ["stage", "score"], shown=["group"], exceptions={"stage": "Known."})
    assert [entry.to_dict() for entry in entries] == [
        {"name": "stage", "distinct_l": 1, "entropy_l": 1.0, "t": 0.25, "distance": "variational", "limited": False,
         "exception": "Known."},
        {"name": "score", "distinct_l": 4, "entropy_l": 4.0, "t": 0.0, "distance": "ordered", "limited": True,
         "exception": None},
        {"name": "group", "distinct_l": 1, "entropy_l": 1.0, "t": 0.0, "distance": "variational", "limited": False,
         "exception": None},
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="names absent, which is no tier 2 attribute"):
        measure_diversity(persons, ["a"], ["stage"], exceptions={"absent": "Why."})


def test_nobody() -> None:
    empty = pa.table({"a": pa.array([], pa.string()), "s": pa.array([], pa.string()), "n": pa.array([], pa.int64())})
    entries = measure_diversity(empty, ["a"], ["s", "n"])
    assert [(entry.distinct, entry.entropy, entry.t) for entry in entries] == [(0, 0.0, 0.0)] * 2


def test_many_classes_and_values_stay_sparse() -> None:
    rng = np.random.default_rng(0)
    classes, values = np.arange(60_000) // 3, rng.permutation(60_000) % 20_000
    cells = cross(classes, values + 1)
    assert distinct_l(cells) >= 1
    assert 0.99 < t_closeness(cells, ordered=False) <= 1.0
    few = cross(classes, values % 50 + 1)
    direct = max(
        ordered(part, (values % 50).tolist())
        for part in itertools.islice(by_class(classes.tolist(), (values % 50).tolist()), 3)
    )
    assert direct <= t_closeness(few, ordered=True) + 1e-9


def test_what_is_the_same_for_everybody_is_not_limited() -> None:
    persons = pa.table({"sex": ["F"] * 5 + ["M"] * 5, "stage": pa.nulls(10, pa.string()), "site": ["lung"] * 10})
    found = {entry.name: entry for entry in measure_diversity(persons, ["sex"], ["stage", "site"])}
    assert [entry.distinct for entry in found.values()] == [1, 1]
    assert not any(entry.limited for entry in found.values())
    assert all(entry.exception == CONSTANT for entry in found.values())
    one_other = persons.set_column(2, "site", pa.array(["lung"] * 9 + ["skin"]))
    (site,) = measure_diversity(one_other, ["sex"], ["site"])
    assert site.limited
    assert site.exception is None
