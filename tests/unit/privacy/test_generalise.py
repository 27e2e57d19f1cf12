from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

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
            "stage": pick(["I", "II", None], pa.string()),
        }
    )


Cell = str | None
Row = tuple[Cell, ...]


def faulty_rows(rows: Sequence[Row], values: Sequence[Row], k: int, l: int) -> set[int]:  # noqa: E741
    """Rows of classes with fewer than k rows, or fewer than l values of an attribute."""
    classes: dict[Row, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        classes[row].append(number)
    return {
        number
        for members in classes.values()
        for number in members
        if len(members) < k or any(len({values[m][a] for m in members}) < l for a in range(len(values[0])))
    }


def brute(
    persons: pa.Table,
    columns: Sequence[GeneralisedColumn],
    fixed: Sequence[str],
    k: int,
    share: float,
    l: int,  # noqa: E741
) -> tuple[tuple[int, ...], set[int]] | None:
    """Every node, straight from the definition, with plain Python tuples."""
    best: tuple[Fraction, int, tuple[int, ...], set[int]] | None = None
    kept = [persons[name].to_pylist() for name in fixed]
    values: list[Row] = [(value,) for value in persons["stage"].to_pylist()]
    levels_of = [
        [generalise_column(persons[c.source], c.hierarchy, level).to_pylist() for level in range(c.hierarchy.height)]
        for c in columns
    ]
    for levels in itertools.product(*(range(c.hierarchy.height) for c in columns)):
        cells = [cell[level] for cell, level in zip(levels_of, levels, strict=True)]
        rows: list[Row] = list(zip(*kept, *cells, strict=True))
        if not rows:
            continue
        out = faulty_rows(rows, values, k, l)
        more = others_needed(rows, values, out, len(fixed), k, l)
        if more is None or len(out) + more > share * len(rows) + 1e-9:
            continue
        loss = sum(
            (Fraction(c.weight * level, c.hierarchy.height - 1) for c, level in zip(columns, levels, strict=True)),
            Fraction(0),
        )
        if best is None or (loss, len(out) + more, levels) < best[:3]:
            best = (loss, len(out) + more, levels, out)
    return None if best is None else (best[2], best[3])


def others_needed(
    rows: Sequence[Row],
    values: Sequence[Row],
    out: set[int],
    fixed: int,
    k: int,
    l: int,  # noqa: E741
) -> int | None:
    """The fewest persons of sound classes who must lose cells too; `None` where none can help."""
    total = 0
    for part in {row[:fixed] for row in rows}:
        here = [n for n, row in enumerate(rows) if row[:fixed] == part]
        mine = [n for n in here if n in out]
        if not mine or mendable(rows, values, set(mine), here, fixed, k, l):
            continue
        classes: dict[Row, list[Cell]] = defaultdict(list)
        for n in here:
            if n not in out:
                classes[rows[n]].append(values[n][0])
        needed = fewest_leaving(list(classes.values()), [values[n][0] for n in mine], k, l)
        if needed is None:
            return None
        total += needed
    return total


def mendable(
    rows: Sequence[Row],
    values: Sequence[Row],
    out: set[int],
    here: Sequence[int],
    fixed: int,
    k: int,
    l: int,  # noqa: E741
) -> bool:
    """Blank all that is no star, or else let each join a sound class of which it lacks nothing but blanks."""
    after = [
        tuple(c if n < fixed or c == "*" else None for n, c in enumerate(rows[number]))
        if number in out
        else rows[number]
        for number in here
    ]
    bad = {here[n] for n in faulty_rows(after, [values[number] for number in here], k, l)} & out
    sound = {rows[number] for number in here if number not in out}
    return all(
        any(all(c in (d, None) for c, d in zip(row[fixed:], rows[n][fixed:], strict=True)) for row in sound)
        for n in bad
    )


def fewest_leaving(classes: Sequence[Sequence[Cell]], group: Sequence[Cell], k: int, l: int) -> int | None:  # noqa: E741
    """Tries which values the group still lacks could come from which class; the rest comes from whoever can go."""
    lacking = max(0, l - len(set(group)))
    offers = sorted({(n, value) for n, members in enumerate(classes) for value in members}, key=str)
    best: int | None = None
    for chosen in itertools.combinations([offer for offer in offers if offer[1] not in group], lacking):
        left = [list(members) for members in classes]
        for n, value in chosen:
            left[n].remove(value)
        if len({value for _, value in chosen}) < lacking:
            continue
        if any(len(members) < k or len(set(members)) < l for members in left):
            continue
        # From a class of more than k, with no fewer values than l, somebody can always go who is not its last value.
        spare = sum(len(members) - max(k, l) for members in left)
        rest = max(0, k - len(group) - lacking)
        if rest <= spare and (best is None or lacking + rest < best):
            best = lacking + rest
    return best


@pytest.mark.parametrize("seed", range(60))
def test_search_equals_brute_force(seed: int) -> None:
    check_against_brute_force(seed)


@pytest.mark.long
@pytest.mark.parametrize("block", range(20))
def test_search_equals_brute_force_on_many_tables(block: int) -> None:
    for seed in range(1000 + block * 50, 1050 + block * 50):
        check_against_brute_force(seed)


def check_against_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    persons = people(int(rng.integers(1, 120)), seed)
    fixed = ["lang"] if seed % 2 else []
    k, share = int(rng.choice([2, 3, 5, 11])), float(rng.choice([0.0, 0.05, 0.2, 1.0]))
    l = int(rng.choice([1, 2, 3]))  # noqa: E741
    columns = [replace(c, weight=int(rng.integers(1, 5))) for c in COLUMNS[: int(rng.integers(1, 4))]]
    found = search(persons, columns, fixed=fixed, k=k, max_suppressed=share, sensitive=["stage"], l=l)
    expected = brute(persons, columns, fixed, k, share, l)
    assert found.nodes == math.prod(column.hierarchy.height for column in columns)
    if expected is None:
        assert not found.found
        return
    levels, out = expected
    assert found.levels == {column.output: level for column, level in zip(columns, levels, strict=True)}
    assert out <= set(found.suppressed)
    assert len(found.suppressed) <= share * persons.num_rows + 1e-9
    made = generalised(persons, columns, found)
    rows = list(zip(*(persons[name].to_pylist() for name in fixed), *(c.to_pylist() for c in made), strict=True))
    assert not faulty_rows(rows, [(value,) for value in persons["stage"].to_pylist()], k, l)
    whole = generalised(persons, columns, replace(found, suppressed=(), blanked={}))
    for number, (row, full) in enumerate(zip(made.to_pylist(), whole.to_pylist(), strict=True)):
        assert row == full or number in found.suppressed
        assert all(
            value in (full[name], None) and (value is not None or full[name] != "*") for name, value in row.items()
        )


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
    found = search(persons, columns, k=3, max_suppressed=0.2)
    assert (found.levels, found.suppressed) == ({"site_group": 0}, (20, 21, 22))
    # One of the twenty loses the cell with them, as long as four may.
    found = search(persons, columns, k=4, max_suppressed=0.2)
    assert (found.levels, found.suppressed) == ({"site_group": 0}, (0, 20, 21, 22))
    assert generalised(persons, columns, found)["site_group"].to_pylist() == [None] + ["a"] * 19 + [None] * 3
    found = search(persons, columns, k=4, max_suppressed=0.15)
    assert (found.levels, found.suppressed) == ({"site_group": 2}, ())
    # Nor may the class of those who help become too small.
    few = pa.table({"site": pa.array(["a"] * 4 + ["b", "c", "d"])})
    assert search(few, columns, k=4, max_suppressed=0.9).levels == {"site_group": 2}
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
        levels={}, suppressed=(), loss=0.0, nodes=1, checked=1, allowed=3
    )
    assert not search(persons, [], fixed=["lang"], k=4, max_suppressed=1.0).found


def test_the_lattice_has_a_bound() -> None:
    columns = [GeneralisedColumn(source="age", output=f"o{n}", hierarchy=AGE) for n in range(11)]
    with pytest.raises(ConfigurationError, match="4194304 ways"):
        search(pa.table({"age": [1]}), columns, k=2, max_suppressed=0.0)


def test_description_masks_small_counts() -> None:
    persons = pa.table({"site": pa.array(["a"] * 20 + ["b", "c", "d"])})
    found = search(persons, COLUMNS[1:2], k=3, max_suppressed=0.2)
    description = found.describe(COLUMNS[1:2])
    # Entropy: 23 persons, 20 of them alike and three alone; the three become one class, of which log2(3) bits go.
    before = -(20 / 23) * math.log2(20 / 23) + 3 / 23 * math.log2(23)
    assert description == {
        "found": True,
        "kept": False,
        "loss": 0.0,
        "suppressed": "<10",
        "suppressed_within_limit": True,
        "nodes": 3,
        "levels": [
            {"column": "site_group", "level": 0, "height": 3, "name": "organ", "weight": 1, "loss": 0.0,
             "entropy_loss": round(3 / 23 * math.log2(3) / before, 2), "blanked": "<10"}
        ],
    }  # fmt: skip
    assert "20" not in repr(found)


def test_weights_decide_what_is_given_up() -> None:
    # Two columns that mirror each other in pairs: one of them has to go one level up, and either would do.
    persons = pa.table({"one": ["a", "b", "a", "b"], "two": ["a", "a", "b", "b"]})
    columns = [GeneralisedColumn(source=name, output=name, hierarchy=SITE, weight=1) for name in ("one", "two")]
    for heavy in (0, 1):
        weighted = [replace(c, weight=3) if n == heavy else c for n, c in enumerate(columns)]
        found = search(persons, weighted, k=2, max_suppressed=0.0)
        assert found.levels == {weighted[heavy].output: 0, weighted[1 - heavy].output: 1}
        assert found.loss == 0.5
        assert found.costs[weighted[1 - heavy].output].loss == 0.5
        assert found.costs[weighted[1 - heavy].output].entropy_loss == 1.0
        assert found.costs[weighted[heavy].output].entropy_loss == 0.0


def test_losses_are_compared_exactly() -> None:
    # 1/3 + 1/3 + 1/3 and 1 are the same loss; as floats in another order they need not be.
    thirds = Hierarchy(name="thirds", kind="intervals", level_names=("x", "y", "z"), edges=((1, 2, 3), (1, 2), (1,)))
    columns = [GeneralisedColumn(source=n, output=n, hierarchy=thirds, weight=7) for n in ("p", "q", "r")]
    persons = pa.table({name: [0.5] * 4 for name in ("p", "q", "r")})
    assert search(persons, columns, k=2, max_suppressed=0.0).loss == 0.0
    huge = [replace(column, weight=1 << 61) for column in columns]
    with pytest.raises(ConfigurationError, match="too large to be added exactly"):
        search(persons, huge, k=2, max_suppressed=0.0)


def test_diversity_is_a_condition_of_the_search() -> None:
    persons = pa.table({"sex": ["F"] * 4 + ["M"] * 4, "stage": ["I"] * 4 + ["I", "II"] * 2})
    assert search(persons, COLUMNS[2:], k=2, max_suppressed=0.0, sensitive=["stage"], l=1).levels == {"sex": 0}
    assert search(persons, COLUMNS[2:], k=2, max_suppressed=0.0, sensitive=["stage"], l=2).levels == {"sex": 1}
    assert not search(persons, COLUMNS[2:], k=2, max_suppressed=0.0, sensitive=["stage"], l=3).found


def test_an_attribute_named_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the attribute sex twice"):
        search(pa.table({"sex": ["F"]}), [COLUMNS[2], COLUMNS[2]], k=2, max_suppressed=0.0)
    with pytest.raises(ConfigurationError, match="the attribute sex twice"):
        search(pa.table({"sex": ["F"]}), COLUMNS[2:], fixed=["sex"], k=2, max_suppressed=0.0)


def test_a_hierarchy_that_does_not_cover_the_column_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"schemas/hierarchies/sex\.yaml: does not cover") as caught:
        search(pa.table({"sex": ["F", "secret"]}), COLUMNS[2:], k=2, max_suppressed=0.0)
    assert "Add every category" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_fewer_nodes_are_looked_at_than_there_are() -> None:
    persons = people(400, 3)
    columns = [replace(column, output=f"{column.output}{n}") for n in range(2) for column in COLUMNS]
    found = search(persons, columns, k=5, max_suppressed=0.05)
    assert found.found
    assert found.checked * 4 < found.nodes == (4 * 3 * 2) ** 2


def test_levels_of_an_earlier_release_are_kept_while_they_pass() -> None:
    persons = people(80, 3)
    best = search(persons, COLUMNS, k=5, max_suppressed=0.05)
    assert best.levels is not None
    coarser = {**best.levels, "age_band": AGE.height - 1, "site_group": SITE.height - 1}
    assert coarser != best.levels
    kept = search(persons, COLUMNS, k=5, max_suppressed=0.05, keep=coarser)
    assert kept.kept
    assert kept.levels == coarser
    assert kept.describe(COLUMNS)["kept"] is True
    assert not best.kept


@pytest.mark.parametrize(
    "keep",
    [
        {"age_band": 0, "site_group": 0, "sex": 0},  # does not reach k
        {"age_band": 99, "site_group": 0, "sex": 0},  # a level that the hierarchy no longer has
        {"age_band": AGE.height - 1, "sex": 0},  # other columns than those of today
        {},
    ],
)
def test_levels_that_pass_no_longer_are_not_kept(keep: dict[str, int]) -> None:
    persons = people(80, 3)
    best = search(persons, COLUMNS, k=5, max_suppressed=0.05)
    assert search(persons, COLUMNS, k=5, max_suppressed=0.05, keep=keep) == best
