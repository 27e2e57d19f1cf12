from __future__ import annotations

import itertools
import json
from collections import Counter
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from jsonschema import Draft202012Validator

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.classes import encode
from sensai_release.privacy.risk import RiskReport, assess
from sensai_release.privacy.sizes import wildcard_k

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


def test_diversity_is_part_of_the_gate() -> None:
    persons = pa.table({"a": ["x"] * 6 + ["y"] * 6, "stage": ["I"] * 6 + ["I", "II"] * 3, "visits": [1] * 12})

    def of(**more: Any) -> RiskReport:
        return assess(
            persons, ["a"], ["stage", "visits"], k=5, max_suppressed=0, suppressed=0, sensitive=["stage"], **more
        )

    report = of(l=2)
    assert {"name": "l_min", "value": 1, "limit": 2, "ok": False} in report.gate
    assert not report.ok
    assert of(l=1).ok
    excepted = of(l=2, l_exceptions={"stage": "The same for nearly everybody."})
    assert excepted.ok
    assert "l_min" not in gate(excepted)
    assert excepted.diversity is not None
    assert excepted.diversity["attributes"][0]["exception"] == "The same for nearly everybody."
    assert report.diversity is not None
    assert [entry["limited"] for entry in report.diversity["attributes"]] == [True, False]
    # A class of I alone lies a quarter from three quarters of I.
    assert {"name": "t_max", "value": 0.25, "limit": 0.2, "ok": False} in of(t=0.2).gate
    assert gate(of(t=0.25))["t_max"] is True
    with pytest.raises(ConfigurationError, match="l_exceptions"):
        of(l_exceptions={"visits": "No limit holds for it anyway."})


def test_what_was_suppressed_is_told_by_the_search() -> None:
    persons = pa.table({"a": ["x"] * 40})

    def of(stated: dict[str, Any] | None) -> RiskReport:
        return assess(persons, ["a"], [], k=5, max_suppressed=0.1, generalisation=stated)

    report = of({"suppressed": "<10", "suppressed_within_limit": True})
    assert report.ok
    assert report.suppressed["persons"] == "<10"
    assert {"name": "suppressed_persons", "value": "<10", "limit": 4, "ok": True} in report.gate
    assert not of({"suppressed": "<10", "suppressed_within_limit": False}).ok
    # A statement that does not say whether it is within the limit is none.
    assert not of({"suppressed": "<10"}).ok
    assert of({"suppressed": 0}).ok
    assert of(None).ok


def test_a_quasi_identifier_named_twice_is_refused() -> None:
    persons = pa.table({"a": ["x"] * 12, "b": ["y"] * 12})
    with pytest.raises(ConfigurationError, match="the quasi-identifier a twice"):
        assess(persons, ["a", "b"], ["a"], k=5, max_suppressed=0, suppressed=0)


def test_the_population_is_a_range_or_nothing() -> None:
    persons = people(200, 3)
    without = assess(persons, ["c0", "c1"], ["c2", "c3"], k=3, max_suppressed=0.1, suppressed=0)
    assert without.population is not None
    assert without.population["tier1"] is None
    assert "cannot be estimated" in without.population["note"]
    assert without.attack_risk is not None
    assert without.attack_risk["all"]["journalist"] is None
    known = assess(persons, ["c0", "c1"], ["c2", "c3"], k=3, max_suppressed=0.1, suppressed=0, population=4000)
    assert known.population is not None
    low, high = known.population["all"]["range"]
    assert 0 <= low <= high <= 1
    assert known.population["sampling_fraction"] == 0.05
    assert known.attack_risk is not None
    assert 0 < known.attack_risk["all"]["journalist"]["mean"] <= known.attack_risk["all"]["journalist"]["max"] <= 1
    with pytest.raises(ConfigurationError, match="smaller than the release"):
        assess(persons, ["c0"], [], k=3, max_suppressed=0.1, suppressed=0, population=199)


@pytest.mark.parametrize("count", [0, 3, 40, 300])
@pytest.mark.parametrize("population", [None, 3000])
def test_the_report_obeys_its_schema(count: int, population: int | None) -> None:
    text = files("sensai_release.release").joinpath("risk.schema.json").read_text(encoding="utf-8")
    validator = Draft202012Validator(json.loads(text))
    validator.check_schema(json.loads(text))
    report = assess(
        people(count, count),
        ["c0", "c1"],
        ["c2", "c3"],
        k=3,
        max_suppressed=0.1,
        suppressed=0,
        sensitive=["c2"],
        l=2,
        t=0.5,
        population=population,
    )
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert [error.message for error in validator.iter_errors(document)] == []
    assert list(validator.iter_errors(document | {"extra": 1}))
    assert RiskReport.from_dict(document).to_dict() == document


def test_a_report_of_an_earlier_version_can_be_read() -> None:
    report = assess(people(50, 1), ["c0"], ["c1"], k=3, max_suppressed=0.1, suppressed=0)
    new = ("diversity", "suda", "attack_risk", "population")
    document = {name: value for name, value in report.to_dict().items() if name not in new}
    old = RiskReport.from_dict(document)
    assert old.ok is report.ok
    assert old.suda is None
    assert RiskReport.from_dict(document | {"linkability": {"ok": True}}) == old


def test_the_number_of_classes_does_not_tell_of_few() -> None:
    persons = pa.table({"a": [str(n) for n in range(37)] + ["same"] * 3})
    report = assess(persons, ["a"], [], k=2, max_suppressed=0, suppressed=0)
    assert report.attack_risk is not None
    assert report.attack_risk["tier1"]["prosecutor"] == {"max": 1.0, "mean": ">0.75", "above_threshold": ">30"}
    assert report.attack_risk["tier1"]["marketer"]["within_release"] == ">0.75"
