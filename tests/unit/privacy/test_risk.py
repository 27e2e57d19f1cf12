from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.privacy.classes import encode
from sensai_release.privacy.risk import RiskReport, assess, wildcard_k

Row = tuple[Any, ...]


def people(count: int, seed: int, columns: int = 4) -> pa.Table:
    rng = np.random.default_rng(seed)
    data: dict[str, Any] = {}
    for number in range(columns):
        picked = rng.choice(4, count, p=rng.dirichlet(np.ones(4)))
        data[f"c{number}"] = pa.chunked_array([pa.array([("a", "b", "c", None)[n] for n in picked], pa.string())])
    return pa.table(data)


def agree(one: Row, two: Row) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_equals_counting_by_hand(seed: int) -> None:
    count = 1 + seed * 4
    persons = people(count, seed)
    tier1, tier2 = ["c0", "c1", "c2"], ["c3"]
    report = assess(persons, tier1, tier2, k=4, max_suppressed=0.05, suppressed=0, minimum=1)
    rows: list[Row] = list(zip(*(persons[name].to_pylist() for name in tier1), strict=True))
    whole: list[Row] = list(zip(*(persons[name].to_pylist() for name in persons.column_names), strict=True))
    sizes, sizes_all = Counter(rows), Counter(whole)
    assert report.persons == count
    assert report.k_min == min(sizes.values())
    assert report.k_min_missing_as_wildcard == min(sum(agree(one, two) for two in rows) for one in rows)
    assert report.below_k["persons"] == sum(sizes[row] < 4 for row in rows)
    assert report.unique_tier1["persons"] == sum(sizes[row] == 1 for row in rows)
    assert report.unique_all["persons"] == sum(sizes_all[row] == 1 for row in whole)
    assert report.unique_all["share"] == pytest.approx(report.unique_all["persons"] / count, abs=1e-4)
    found = {tuple(e["attributes"]): e["persons"] for e in report.minimal_sample_uniques}
    assert found == minimal(rows, tier1)
    for name, attribute in zip(persons.column_names, report.attributes, strict=True):
        values = persons[name].to_pylist()
        assert attribute["unique"] == sum(values.count(value) == 1 for value in values)
        assert attribute["missing"] == values.count(None)
        assert attribute["categories"] == len(set(values) - {None})
    spread = {entry["size"]: entry["persons"] for entry in report.class_sizes}
    assert sum(spread.values()) == count
    assert spread["1"] == report.unique_tier1["persons"]
    assert spread["1"] + spread["2 to 3"] == report.below_k["persons"]


def minimal(rows: list[Row], names: list[str]) -> dict[tuple[str, ...], int]:
    def alone(row: Row, chosen: tuple[int, ...]) -> bool:
        return sum(all(other[n] == row[n] for n in chosen) for other in rows) == 1

    found: dict[tuple[str, ...], int] = {}
    for size in (1, 2):
        for chosen in itertools.combinations(range(len(names)), size):
            parts = [part for less in range(1, size) for part in itertools.combinations(chosen, less)]
            number = sum(alone(row, chosen) and not any(alone(row, part) for part in parts) for row in rows)
            if number:
                found[tuple(names[n] for n in chosen)] = number
    return found


def gate(report: RiskReport) -> dict[str, bool]:
    return {entry["name"]: entry["ok"] for entry in report.gate}


def test_gate() -> None:
    persons = pa.table({"a": ["x"] * 6 + ["y"] * 5, "b": ["z"] * 11})
    good = assess(persons, ["a", "b"], [], k=5, max_suppressed=0.1, suppressed=1)
    assert good.ok
    assert gate(good) == {"persons": True, "k_min": True, "suppressed_persons": True, "minimal_sample_uniques": True}
    assert {"name": "k_min", "value": 5, "limit": 5, "ok": True} in good.gate
    assert gate(assess(persons, ["a"], [], k=6, max_suppressed=0.1, suppressed=0))["k_min"] is False
    assert gate(assess(persons, ["a"], [], k=5, max_suppressed=0.1, suppressed=2))["suppressed_persons"] is False
    lonely = pa.table({"a": ["x"] * 6 + ["y"], "b": ["z"] * 7})
    assert gate(assess(lonely, ["a", "b"], [], k=1, max_suppressed=0, suppressed=0))["minimal_sample_uniques"] is False


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_than_k_persons_fail(count: int) -> None:
    report = assess(
        pa.table({"a": pa.array(["x"] * count, pa.string())}), ["a"], [], k=5, max_suppressed=1, suppressed=0
    )
    assert not report.ok
    assert (report.persons, report.k_min) == (count, count)
    assert gate(report)["persons"] is False
    json.dumps(report.to_dict(), allow_nan=False)


def test_tier_2_does_not_count_towards_k() -> None:
    persons = pa.table({"a": ["x"] * 12, "b": [str(n) for n in range(12)]})
    report = assess(persons, ["a"], ["b"], k=5, max_suppressed=0, suppressed=0)
    assert report.ok
    assert report.k_min == 12
    assert report.unique_all == {"persons": 12, "share": 1.0}


def counts_in(document: Any) -> list[int]:
    if isinstance(document, dict):
        own = [document[name] for name in ("persons", "missing", "unique", "suppressed") if name in document]
        return [n for n in own if type(n) is int] + [n for value in document.values() for n in counts_in(value)]
    return [n for value in document for n in counts_in(value)] if isinstance(document, list) else []


@pytest.mark.parametrize("seed", range(20))
def test_no_small_count_is_told(seed: int) -> None:
    report = assess(people(40, seed), ["c0", "c1"], ["c2", "c3"], k=3, max_suppressed=0.1, suppressed=seed % 12)
    document = report.to_dict()
    assert not [n for n in counts_in(document) if 0 < n < 10]
    for name in ("below_k", "unique_tier1", "unique_all", "suppressed"):
        measure = document[name]
        if isinstance(measure["persons"], int):
            # The total is told as well, so the rest must not be small either.
            assert not 0 < 40 - measure["persons"] < 10
        else:
            assert isinstance(measure["share"], str)


def test_measures_next_to_everybody_are_masked_from_above() -> None:
    persons = pa.table({"a": [str(n) for n in range(36)] + ["same"] * 4})
    report = assess(persons, ["a"], [], k=2, max_suppressed=0, suppressed=0)
    assert report.unique_tier1 == {"persons": ">30", "share": ">0.75"}


def test_round_trip() -> None:
    report = assess(people(50, 1), ["c0"], ["c1"], k=3, max_suppressed=0.1, suppressed=0, generalisation={"loss": 0.5})
    document = json.loads(json.dumps(report.to_dict()))
    again = RiskReport.from_dict(document)
    assert again == report
    assert again.to_dict() == document
    assert RiskReport.from_dict(document | {"ok": not report.ok}).ok is report.ok
    assert "anonymous" not in json.dumps(document).lower()


def test_wildcard_k_by_hand() -> None:
    table = pa.table({"a": ["x", "x", None, "y"], "b": ["1", None, "1", "2"]})
    # y,2 agrees with nobody else; x,1 with three.
    assert wildcard_k([encode(table["a"]), encode(table["b"])], 4) == 1
    assert wildcard_k([encode(table["a"])], 4) == 2
    assert wildcard_k([], 4) == 4
    assert wildcard_k([], 0) == 0
