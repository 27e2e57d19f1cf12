from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.privacy.utility import (
    ColumnPair,
    SessionData,
    Target,
    UtilityReport,
    assess_utility,
    entropy_loss,
    interval_overlap,
    mean_interval,
    normalised_rmse,
    propensity,
    slope_interval,
)

Floats = np.ndarray[Any, np.dtype[np.float64]]


def chunked(values: list[Any]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values)])


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ((0, 2), (0, 2), 1.0),
        ((0, 2), (1, 3), 0.5),
        ((0, 4), (1, 2), (1 / 4 + 1) / 2),
        ((0, 1), (2, 3), 0.0),
        ((0, 1), (1, 2), 0.0),
        ((1, 1), (0, 2), 0.5),
        ((1, 1), (1, 1), 1.0),
    ],
)
def test_interval_overlap(one: tuple[float, float], other: tuple[float, float], overlap: float) -> None:
    assert interval_overlap(one, other) == pytest.approx(overlap)
    assert interval_overlap(other, one) == pytest.approx(overlap)


def test_intervals_by_hand() -> None:
    values, alone = np.array([1.0, 2, 3, 6]), np.arange(4)
    # With one session a person: standard deviation (n - 1) over the root of n.
    error = values.std(ddof=1) / 2
    assert mean_interval(values, alone) == pytest.approx((3 - 1.959964 * error, 3 + 1.959964 * error))
    # Sessions that repeat a person say nothing new.
    assert mean_interval(np.repeat(values, 5), np.repeat(alone, 5)) == pytest.approx(mean_interval(values, alone))
    low, high = slope_interval(values, 2 * values + 1, alone)
    assert (low, high) == pytest.approx((2, 2))


@pytest.mark.parametrize("seed", range(5))
def test_s_pmse_is_about_one_for_rows_drawn_from_the_source(seed: int) -> None:
    random = np.random.default_rng(seed)
    source = random.normal(size=(400, 4))
    # The ratio times the columns is about chi-squared with as many degrees: the mean of 100 has an error of 0.07.
    drawn = [propensity(source, source[random.integers(0, 400, 400)])[1] for _ in range(100)]
    assert np.mean(drawn) == pytest.approx(1, abs=0.3)
    anew = [propensity(random.normal(size=(400, 4)), random.normal(size=(400, 4)))[1] for _ in range(100)]
    assert np.mean(anew) == pytest.approx(2, abs=0.6)


def test_s_pmse_is_large_for_a_shift_and_nothing_for_the_same_rows() -> None:
    random = np.random.default_rng(1)
    source = random.normal(size=(300, 4))
    assert propensity(source, source)[1] == pytest.approx(0, abs=1e-9)
    assert propensity(source, source + np.array([0.5, 0, 0, 0]))[1] > 5
    assert 0 <= propensity(source, source + 100)[0] <= 0.25


def test_entropy_loss_by_hand() -> None:
    source = chunked(["a", "b", "c", "d"])
    assert entropy_loss(source, source) == 0
    assert entropy_loss(source, chunked(["x", "x", "x", "x"])) == 1
    assert entropy_loss(source, chunked(["x", "x", "y", "y"])) == pytest.approx(0.5)
    assert entropy_loss(source, chunked([None, None, None, None])) == 1
    assert entropy_loss(chunked(["a", "a"]), chunked(["x", "y"])) == 0


def test_normalised_rmse_by_hand() -> None:
    source = np.array([0.0, 2, 0, 2])
    assert normalised_rmse(source, source) == 0
    assert normalised_rmse(source, source + 1) == 1
    assert normalised_rmse(source, np.array([0, np.nan, 0, 2])) == 0
    assert normalised_rmse(np.ones(3), np.ones(3)) == 0
    assert normalised_rmse(np.ones(3), np.zeros(3)) == 1


def sessions(persons: int, each: int = 4, noise: float = 0.0, seed: int = 7) -> SessionData:
    """Features that tell who somebody is, and a target that is a person's own level: random folds cheat."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(persons), each)
    marks = random.normal(size=(persons, 12))[person] + 0.05 * random.normal(size=(len(person), 12))
    level = random.normal(size=persons)[person]
    source = {f"c{n}": marks[:, n] for n in range(12)}
    released = {name: values + noise * random.normal(size=len(person)) for name, values in source.items()}
    targets = (
        Target(name="level", kind="ridge", values=level),
        Target(name="group", kind="logistic", values=(person % 2).astype(np.float64)),
    )
    return SessionData(
        persons=person,
        folds=person % 5,
        source=source,
        released=released,
        comparable=tuple(source),
        targets=targets,
    )


def test_random_folds_are_shown_beside_grouped_ones_with_a_warning() -> None:
    report = assess_utility(sessions(25, each=8))
    model = report.models[0]
    assert model["target"] == "level"
    grouped, random = model["released"]["grouped"], model["released"]["random"]
    assert random["value"] > 0.2 > grouped["value"]
    assert grouped["low"] <= grouped["value"] <= grouped["high"]
    assert any(str(random["value"]) in line and str(grouped["value"]) in line for line in report.warnings)


def test_the_same_data_on_both_sides_lose_nothing() -> None:
    report = assess_utility(sessions(30))
    for model in report.models:
        assert model["source"] == model["released"]
    assert {entry["overlap"] for entry in report.intervals} == {1.0}
    assert {entry["estimate"] for entry in report.intervals} == {"mean", "slope of level", "slope of group"}
    assert report.propensity is not None
    assert report.propensity["s_pmse"] == pytest.approx(0, abs=1e-3)


def test_noise_costs_utility() -> None:
    clean, noisy = assess_utility(sessions(30)), assess_utility(sessions(30, noise=3.0))
    overlap = [np.mean([entry["overlap"] for entry in report.intervals]) for report in (clean, noisy)]
    assert overlap[1] < overlap[0]


def test_fewer_than_ten_persons_are_not_reported() -> None:
    report = assess_utility(sessions(9))
    assert (report.persons, report.sessions) == ("<10", "<10")
    assert (report.models, report.intervals, report.loss, report.propensity) == ((), (), (), None)
    assert report.skipped[0]["reason"] == "fewer than 10 persons"


def test_small_groups_and_columns_of_few_are_skipped_with_a_reason() -> None:
    data = sessions(30)
    rare = Target(name="rare", kind="logistic", values=(data.persons < 4).astype(np.float64))
    data = SessionData(
        persons=data.persons,
        folds=data.folds,
        source=data.source,
        released=data.released,
        comparable=data.comparable,
        targets=(rare,),
    )
    few = ColumnPair(table="t", column="few", source=chunked([1]), released=chunked([1]), persons=np.zeros(1, np.int64))
    many = ColumnPair(
        table="t",
        column="band",
        source=chunked(list(range(12))),
        released=chunked(["a", "b"] * 6),
        persons=np.arange(12),
    )
    report = assess_utility(data, [few, many])
    assert [entry["what"] for entry in report.skipped] == ["rare", "t.few"]
    assert [(entry["column"], entry["measure"]) for entry in report.loss] == [("band", "entropy")]


def test_the_report_is_the_same_twice_and_survives_a_round_trip() -> None:
    report = assess_utility(sessions(20))
    assert report == assess_utility(sessions(20))
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert UtilityReport.from_dict(document).to_dict() == document
