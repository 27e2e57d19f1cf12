from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.actions import generalise_column
from sensai_release.privacy.generalise import Choice, GeneralisedColumn, generalised, search
from sensai_release.table.schema import Hierarchy

AGE = Hierarchy(name="age", kind="intervals", level_names=("five", "ten", "half"), edges=((5, 10, 15), (10,), (10,)))
SITE = Hierarchy(
    name="site",
    kind="categories",
    level_names=("organ", "system"),
    table={"a": ("a", "ab"), "b": ("b", "ab"), "c": ("c", "cd"), "d": ("d", "cd")},
)
SEX = Hierarchy(name="sex", kind="categories", level_names=("sex",), table={"F": ("F",), "M": ("M",)})
COLUMNS = (
    GeneralisedColumn(source="age", output="age_band", hierarchy=AGE),
    GeneralisedColumn(source="site", output="site_group", hierarchy=SITE),
    GeneralisedColumn(source="sex", output="sex", hierarchy=SEX),
)


def people(count: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)

    def pick(values: Sequence[object], type_: pa.DataType) -> pa.Array:
        weights = rng.dirichlet(np.ones(len(values)))
        return pa.array([values[n] for n in rng.choice(len(values), count, p=weights)], type_)

    return pa.table(
        {
            "age": pick([*range(0, 20, 2), None], pa.int64()),
            "site": pick(["a", "b", "c", "d", None], pa.string()),
            "sex": pick(["F", "M", None], pa.string()),
            "lang": pick(["nl", "en"], pa.string()),
        }
    )


def brute(
    persons: pa.Table, columns: Sequence[GeneralisedColumn], fixed: Sequence[str], k: int, share: float
) -> tuple[tuple[int, ...], set[int]] | None:
    """Every node, straight from the definition, with plain Python tuples."""
    best: tuple[float, int, tuple[int, ...], set[int]] | None = None
    kept = [persons[name].to_pylist() for name in fixed]
    levels_of = [
        [generalise_column(persons[c.source], c.hierarchy, level).to_pylist() for level in range(c.hierarchy.height)]
        for c in columns
    ]
    for levels in itertools.product(*(range(c.hierarchy.height) for c in columns)):
        cells = [cell[level] for cell, level in zip(levels_of, levels, strict=True)]
        rows = list(zip(*kept, *cells, strict=True))
        sizes = Counter(rows)
        out = {n for n, row in enumerate(rows) if sizes[row] < k}
        if len(out) > share * len(rows) + 1e-9 or not rows:
            continue
        after = [(*row[: len(fixed)], *[None] * len(columns)) if n in out else row for n, row in enumerate(rows)]
        if min(Counter(after).values()) < k:
            continue
        loss = sum(level / (c.hierarchy.height - 1) for c, level in zip(columns, levels, strict=True))
        rank = (round(loss, 9), len(out), levels, out)
        if best is None or rank[:3] < best[:3]:
            best = rank
    return None if best is None else (best[2], best[3])


@pytest.mark.parametrize("seed", range(40))
def test_search_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    persons = people(int(rng.integers(1, 120)), seed)
    fixed = ["lang"] if seed % 2 else []
    k, share = int(rng.choice([2, 3, 5, 11])), float(rng.choice([0.0, 0.05, 0.2, 1.0]))
    columns = COLUMNS[: int(rng.integers(1, 4))]
    found = search(persons, columns, fixed=fixed, k=k, max_suppressed=share)
    expected = brute(persons, columns, fixed, k, share)
    assert found.nodes == math.prod(column.hierarchy.height for column in columns)
    if expected is None:
        assert not found.found
        return
    levels, out = expected
    assert found.levels == {column.output: level for column, level in zip(columns, levels, strict=True)}
    assert set(found.suppressed) == out
    made = generalised(persons, columns, found)
    rows = list(zip(*(persons[name].to_pylist() for name in fixed), *(c.to_pylist() for c in made), strict=True))
    assert min(Counter(rows).values()) >= k
    for number, row in enumerate(made.to_pylist()):
        assert number not in out or set(row.values()) == {None}


def test_both_outcomes_occur_among_the_random_cases() -> None:
    outcomes = {
        (found.found, bool(found.suppressed))
        for seed in range(40)
        for found in [search(people(60, seed), COLUMNS, fixed=["lang"], k=8, max_suppressed=0.2 * (seed % 2))]
    }
    assert outcomes == {(True, True), (True, False), (False, False)}


def test_missing_is_a_category_until_the_top() -> None:
    persons = pa.table({"sex": pa.array(["F"] * 5 + ["M"] * 5 + [None])})
    found = search(persons, COLUMNS[2:], k=5, max_suppressed=0.0)
    assert found.levels == {"sex": 1}
    assert generalised(persons, COLUMNS[2:], found)["sex"].to_pylist() == ["*"] * 11


def test_suppressed_persons_must_hide_among_k_too() -> None:
    # Three persons stand alone; alone they would form a class of three.
    persons = pa.table({"site": pa.array(["a"] * 20 + ["b", "c", "d"])})
    columns = COLUMNS[1:2]
    assert search(persons, columns, k=3, max_suppressed=0.2).levels == {"site_group": 0}
    found = search(persons, columns, k=4, max_suppressed=0.2)
    assert found.levels == {"site_group": 2}
    assert found.suppressed == ()
    # With persons whose site was missing before, they are enough.
    more = pa.table({"site": pa.array(["a"] * 20 + ["b", "c", "d", None])})
    found = search(more, columns, k=4, max_suppressed=0.2)
    assert found.levels == {"site_group": 0}
    assert set(found.suppressed) == {20, 21, 22, 23}


def test_fixed_columns_count() -> None:
    persons = pa.table({"sex": ["F", "F", "M", "M"], "lang": ["nl", "nl", "nl", "en"]})
    assert search(persons, COLUMNS[2:], k=2, max_suppressed=0.0).levels == {"sex": 0}
    assert not search(persons, COLUMNS[2:], fixed=["lang"], k=2, max_suppressed=0.0).found


def test_no_person_and_no_choice() -> None:
    empty = pa.table({"sex": pa.array([], pa.string())})
    assert not search(empty, COLUMNS[2:], k=2, max_suppressed=1.0).found
    none = search(pa.table({"sex": ["F"]}), COLUMNS[2:], k=2, max_suppressed=1.0)
    assert (none.levels, none.loss, none.suppressed) == (None, None, ())
    with pytest.raises(ValueError, match="no choice"):
        generalised(pa.table({"sex": ["F"]}), COLUMNS[2:], none)


def test_without_columns_the_fixed_ones_decide() -> None:
    persons = pa.table({"lang": ["nl"] * 3 + ["en"] * 3})
    assert search(persons, [], fixed=["lang"], k=3, max_suppressed=0.5) == Choice(
        levels={}, suppressed=(), loss=0.0, nodes=1, checked=1
    )
    assert not search(persons, [], fixed=["lang"], k=4, max_suppressed=1.0).found


def test_the_lattice_has_a_bound() -> None:
    columns = [GeneralisedColumn(source="age", output=f"o{n}", hierarchy=AGE) for n in range(11)]
    with pytest.raises(ConfigurationError, match="4194304 ways"):
        search(pa.table({"age": [1]}), columns, k=2, max_suppressed=0.0)


def test_description_masks_small_counts() -> None:
    persons = pa.table({"site": pa.array(["a"] * 20 + ["b", "c", "d"])})
    found = search(persons, COLUMNS[1:2], k=3, max_suppressed=0.2)
    assert found.describe(COLUMNS[1:2]) == {
        "found": True,
        "loss": 0.0,
        "suppressed": "<10",
        "nodes": 3,
        "levels": [{"column": "site_group", "level": 0, "height": 3, "name": "organ"}],
    }
    assert "20" not in repr(found)
