from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.classes import encode
from sensai_release.privacy.suda import special_uniques

Row = tuple[Any, ...]


def brute(rows: list[Row], size: int) -> list[set[tuple[int, ...]]]:
    """The minimal sample uniques of every row, by the definition."""
    width = len(rows[0])

    def alone(row: Row, chosen: tuple[int, ...]) -> bool:
        return sum(all(other[n] == row[n] for n in chosen) for other in rows) == 1

    found: list[set[tuple[int, ...]]] = []
    for row in rows:
        own: set[tuple[int, ...]] = set()
        for length in range(1, size + 1):
            for chosen in itertools.combinations(range(width), length):
                if not any(set(part) <= set(chosen) for part in own) and alone(row, chosen):
                    own.add(chosen)
        found.append(own)
    return found


def table(seed: int) -> tuple[dict[str, Any], list[Row]]:
    rng = np.random.default_rng(seed)
    width, count = int(rng.integers(1, 6)), int(rng.integers(1, 40))
    columns = {
        f"c{n}": [("a", "b", "c", None)[v] for v in rng.choice(4, count, p=rng.dirichlet(np.ones(4)))]
        for n in range(width)
    }
    return columns, list(zip(*columns.values(), strict=True))


def check(seed: int) -> None:
    columns, rows = table(seed)
    names, width = list(columns), len(columns)
    size = 1 + seed % width if seed % 3 else width
    found = special_uniques(
        {name: encode(pa.array(values, pa.string())) for name, values in columns.items()}, len(rows), size=size
    )
    expected = brute(rows, size)
    counts: dict[tuple[str, ...], int] = {}
    for own in expected:
        for chosen in own:
            key = tuple(names[n] for n in chosen)
            counts[key] = counts.get(key, 0) + 1
    assert dict(found.uniques) == counts
    assert found.smallest.tolist() == [min(map(len, own), default=0) for own in expected]
    largest = min(size, width - 1)
    scores = [sum(math.prod(width - i for i in range(len(m), largest + 1)) for m in own) for own in expected]
    assert found.scores.tolist() == scores
    for n, name in enumerate(names):
        part = sum(math.prod(width - i for i in range(len(m), largest + 1)) for own in expected for m in own if n in m)
        assert found.contributions[name] == pytest.approx(part / sum(scores) if sum(scores) else 0)


@pytest.mark.parametrize("seed", range(60))
def test_equals_brute_force(seed: int) -> None:
    check(seed)


@pytest.mark.long
@pytest.mark.parametrize("block", range(10))
def test_equals_brute_force_on_many_tables(block: int) -> None:
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        check(seed)


def test_scores_by_hand() -> None:
    # Four attributes, sets of up to three. The last person alone has "rare" (weight 3 * 2 * 1), and is alone in
    # "x" with "p" (2 * 1) though neither is rare.
    columns = {
        "one": ["common"] * 4 + ["rare"],
        "two": ["x", "y", "x", "y", "x"],
        "three": ["q", "p", "q", "p", "p"],
        "four": ["n"] * 5,
    }
    found = special_uniques({name: encode(pa.array(v)) for name, v in columns.items()}, 5, size=3)
    assert dict(found.uniques) == {("one",): 1, ("two", "three"): 1}
    assert found.scores.tolist() == [0, 0, 0, 0, 8]
    assert found.contributions == {"one": 0.75, "two": 0.25, "three": 0.25, "four": 0.0}
    assert found.smallest.tolist() == [0, 0, 0, 0, 1]


def test_data_intrusion_simulation() -> None:
    # Three uniques and one pair: with a tenth sampled, 3 * 0.1 / (3 * 0.1 + 2 * 0.9).
    columns = {"one": ["a", "b", "c", "d", "d", "e", "e", "e"]}
    found = special_uniques({name: encode(pa.array(v)) for name, v in columns.items()}, 8, fraction=0.1)
    assert found.dis == pytest.approx(0.3 / 2.1)
    # Equal scores share it equally.
    assert found.dis_scores.tolist() == pytest.approx([0.3 / 2.1] * 3 + [0] * 5)
    assert special_uniques({"one": encode(pa.array(["a", "a"]))}, 2).dis is None


def test_higher_scores_have_higher_chances_that_average_out() -> None:
    rng = np.random.default_rng(5)
    columns = {f"c{n}": encode(pa.array(rng.choice(5, 150))) for n in range(5)}
    found = special_uniques(columns, 150)
    having = found.scores > 0
    assert np.array_equal(having, found.alone)
    order = np.argsort(found.scores[having], kind="stable")
    assert (np.diff(found.dis_scores[having][order]) >= -1e-12).all()
    assert found.dis is not None
    assert float(np.mean(1 / found.dis_scores[having])) == pytest.approx(1 / found.dis)


def test_the_report_tells_of_no_few() -> None:
    rng = np.random.default_rng(2)
    columns = {f"c{n}": encode(pa.array(rng.choice(4, 60))) for n in range(4)}
    report = special_uniques(columns, 60).describe(10)
    counts = [entry["persons"] for entry in report["sizes"]]
    assert "<10" in counts
    assert all(isinstance(count, str) or count == 0 for count in counts)
    assert report["score"] is None or set(report["score"]) == {"p25", "p50", "p75"}
    many = {f"c{n}": encode(pa.array(rng.choice(30, 400))) for n in range(4)}
    report = special_uniques(many, 400, size=2).describe(10)
    assert report["dis_suda"]["p25"] <= report["dis_suda"]["p75"]
    json.dumps(report, allow_nan=False)


def test_too_many_sets_are_refused() -> None:
    columns = {f"c{n}": np.arange(1, 3001) for n in range(40)}
    with pytest.raises(ConfigurationError, match="40 quasi-identifiers make 760098 sets of up to 5"):
        special_uniques(columns, 3000, size=5)
    # Without a size it looks at as many as are cheap.
    assert special_uniques({name: c[:20] for name, c in columns.items()}, 20).size == 3


def test_nobody_and_nothing() -> None:
    assert special_uniques({"a": np.zeros(0, dtype=np.int64)}, 0).describe()["dis"] is None
    assert special_uniques({}, 1).describe()["contributions"] == []
