from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.privacy.persons import PersonKeys
from sensai_release.privacy.risk import assess
from sensai_release.privacy.series import SeriesRelease, assess_series
from sensai_release.release.published import published_risk


def persons(count: int) -> pa.Table:
    rng = np.random.default_rng(3)
    return pa.table(
        {
            "participant_id": [f"P{n:04d}" for n in range(count)],
            "age": [["young", "old"][n] for n in rng.integers(0, 2, count)],
            "stage": [f"{n}" for n in rng.integers(0, 30, count)],
        }
    )


def report(count: int, *, k: int = 5, suppressed: int = 0) -> dict[str, Any]:
    held = assess(persons(count), ["age"], ["stage"], k=k, max_suppressed=0.05, suppressed=suppressed)
    keys = PersonKeys(table=persons(count), tier1=("age",), tier2=("stage",))
    before = PersonKeys(table=persons(count - 1), tier1=("age",), tier2=("stage",))
    series = assess_series(
        SeriesRelease(name="candidate", key_id="one", keys=keys),
        [SeriesRelease(name="1", key_id="one", keys=before)],
        k=k,
    )
    return {**held.to_dict(), "series": series.to_dict()}


def numbers(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {p: v for key, item in value.items() for p, v in numbers(item, f"{path}/{key}").items()}
    if isinstance(value, list | tuple):
        return {p: v for n, item in enumerate(value) for p, v in numbers(item, f"{path}/{n}").items()}
    return {path: value}


@pytest.mark.parametrize("count", [23, 54, 61, 119, 200])
def test_every_count_of_persons_is_rounded_or_masked(count: int) -> None:
    shown = published_risk(report(count), max_suppressed=0.05)
    for path, value in numbers(shown).items():
        if path.split("/")[-1] in ("persons", "missing", "unique", "below_k") and isinstance(value, int):
            assert value % 10 == 0, path
    assert str(count) not in {str(value) for value in numbers(shown).values()} or count % 10 == 0
    assert shown["persons"] == count - count % 10


def test_publishing_twice_changes_nothing() -> None:
    once = published_risk(report(57, suppressed=12), max_suppressed=0.05)
    assert published_risk(json.loads(json.dumps(once)), max_suppressed=0.05) == json.loads(json.dumps(once))


def test_shares_are_never_shown_too_small() -> None:
    exact = report(57)
    shown = published_risk(exact)
    share = exact["unique_all"]["share"]
    assert isinstance(share, float)
    assert shown["unique_all"]["share"].startswith("<")
    assert float(shown["unique_all"]["share"][1:]) >= share


def test_the_smallest_class_says_no_more_than_that_k_is_reached() -> None:
    exact = report(30)
    assert exact["k_min"] > 10
    assert published_risk(exact)["k_min"] == 10
    small = {**exact, "k_min": 7, "gate": [{"name": "k_min", "value": 7, "limit": 5, "ok": True}]}
    assert published_risk(small)["k_min"] == 5
    assert published_risk(small)["gate"][0]["value"] == 5


def test_a_gate_that_was_not_passed_keeps_its_numbers() -> None:
    gate = {"name": "k_min", "value": 3, "limit": 5, "ok": False}
    assert published_risk({**report(54), "k_min": 3, "gate": [gate]})["gate"] == [gate]


def test_the_limit_of_suppressed_persons_does_not_tell_how_many_there_are() -> None:
    limits = {published_risk(report(count), max_suppressed=0.05)["gate"][2]["limit"] for count in (210, 211, 215, 219)}
    assert limits == {10}


def test_the_input_is_not_changed() -> None:
    exact = report(54)
    before = json.dumps(exact)
    published_risk(exact, max_suppressed=0.05)
    assert json.dumps(exact) == before


@pytest.mark.parametrize(
    ("chance", "shown"), [(1.0, 1.0), (0.5, ">0.20"), (0.1429, 0.2), (0.0476, 0.05), (0.05, 0.05), (0.0, 0.0)]
)
def test_the_greatest_chance_is_as_coarse_as_the_smallest_class(chance: float, shown: float | str) -> None:
    exact = report(54)
    exact["attack_risk"]["all"]["prosecutor"] = {"max": chance, "mean": 0.31, "above_threshold": ">44"}
    prosecutor = published_risk(exact)["attack_risk"]["all"]["prosecutor"]
    assert prosecutor == {"max": shown, "mean": 0.35, "above_threshold": ">40"}


def test_the_sampled_fraction_is_that_of_the_rounded_number() -> None:
    exact = report(54)
    exact["population"] = {"population": 1000, "sampling_fraction": 0.054, "note": None, "tier1": {}, "all": {}}
    assert published_risk(exact)["population"]["sampling_fraction"] == 0.05


@pytest.mark.parametrize(
    ("held", "shown"),
    [(11 / 36, 0.35), (12 / 35, 0.35), ("<0.34", "<0.35"), (">0.72", ">0.00"), (0.0, 0.0), (1.0, 1.0)],
)
def test_what_recipients_could_match_does_not_tell_how_many_there_are(held: float | str, shown: float | str) -> None:
    ways = {"rows": {"participants": {"share": held}}, "persons": {"all": {"share": held}}}
    once = published_risk({**report(36), "linkability": {"collusion": ways}})
    assert once["linkability"]["collusion"]["rows"]["participants"]["share"] == shown
    assert once["linkability"]["collusion"]["persons"]["all"]["share"] == shown
    assert published_risk(once)["linkability"] == once["linkability"]


@pytest.mark.parametrize(
    ("several", "rank1", "shown"),
    [
        (30, 8 / 39, 0.25),
        (30, 7 / 39, 0.2),
        (30, 3 / 39, 0.09),  # within the limit, so no coarse number may lie beyond it
        (">=100", 8 / 39, 0.25),
        (200, 8 / 39, 0.21),
        (200, 3 / 39, 0.08),
    ],
)
def test_a_share_of_right_guesses_does_not_tell_out_of_how_many(several: int, rank1: float, shown: float) -> None:
    measure = {"value": rank1, "low": 0.0278, "high": rank1, "null": {"value": rank1, "high": rank1}, "p": 0.0123}
    gate = {"name": "linkability_rank1", "value": rank1, "limit": 0.09, "ok": True, "status": "cannot_assess"}
    audit = {
        "persons": {"one_session": 20, "several_sessions": several},
        "limits": {"rank1": 0.09, "auc": 0.2},
        "gate": [gate],
        "sets": [{"name": "joined", "rank1": measure, "auc": None, "eer": {"value": 0.4179, "low": 0.3, "high": 0.51}}],
    }
    exact = report(200) | {"linkability": audit}
    once = published_risk({**exact, "gate": [*exact["gate"], gate]})
    found = once["linkability"]["sets"][0]
    assert found["rank1"]["high"] == once["linkability"]["gate"][0]["value"] == once["gate"][-1]["value"] == shown
    assert (found["rank1"]["low"], found["rank1"]["p"], found["eer"]["value"]) == (0.02, 0.0123, 0.41)
    assert found["rank1"]["null"]["value"] >= rank1
    assert published_risk(once)["linkability"] == once["linkability"]
    failed = {**exact, "gate": [{**gate, "ok": False}]}
    assert published_risk(failed)["gate"][0]["value"] == rank1
