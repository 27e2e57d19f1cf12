"""The risk reports of a real workspace and of real releases obey their published schema."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, Protocol

import pytest
import risk_kit
from jsonschema import Draft202012Validator

from sensai_release.release.published import published_risk

SCHEMA = Path(__file__).parents[2] / "sensai_release" / "release" / "risk.schema.json"


class _Story(Protocol):
    @property
    def workspace(self) -> Path: ...
    @property
    def releases(self) -> list[Path]: ...


@pytest.fixture(scope="module")
def reports(story: _Story) -> dict[str, dict[str, Any]]:
    paths = {"workspace": story.workspace / "reports" / "risk.json"}
    paths |= {path.name: path / "reports" / "risk.json" for path in story.releases}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items()}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(validator: Draft202012Validator, report: dict[str, Any]) -> list[str]:
    return [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(report)]


def test_real_reports_are_valid(reports: dict[str, dict[str, Any]], validator: Draft202012Validator) -> None:
    assert len(reports) == 3
    for name, report in reports.items():
        assert (name, faults(validator, report)) == (name, [])


@pytest.mark.parametrize("make", [risk_kit.report, risk_kit.old_form, risk_kit.unassessed])
def test_made_up_reports_are_valid_and_so_are_their_coarse_copies(
    make: Callable[[], dict[str, Any]], validator: Draft202012Validator
) -> None:
    assert faults(validator, make()) == []
    assert faults(validator, json.loads(json.dumps(published_risk(make(), max_suppressed=0.05)))) == []


SECTIONS = ("linkability", "series", "utility")


def required(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every key below a section, of each list its first entry alone."""
    if isinstance(value, list):
        return required(value[0], (*path, 0)) if value else []
    if not isinstance(value, dict):
        return []
    return [place for key, item in value.items() for place in ((*path, key), *required(item, (*path, key)))]


def at(report: Any, path: tuple[Any, ...]) -> Any:
    return reduce(lambda held, key: held[key], path, report)


@pytest.mark.parametrize("section", SECTIONS)
def test_no_key_of_a_section_may_be_missing_or_strange(section: str, validator: Draft202012Validator) -> None:
    report = risk_kit.report()
    places = required(report[section], (section,))
    assert len(places) > 20
    # Tables have names of their own.
    free = [place for place in places if "rows" in place and len(place) == 4]
    for place in (place for place in places if place not in free):
        less, more = copy.deepcopy(report), copy.deepcopy(report)
        del at(less, place[:-1])[place[-1]]
        assert faults(validator, less), place
        at(more, place[:-1])[place[-1]] = [{"strange": 1}]
        assert faults(validator, more), place


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("linkability", "status"), "fine"),
        (("linkability", "sets", 0, "rank1", "high"), 1.2),
        (("linkability", "gate", 0, "status"), "waived"),
        (("linkability", "persons", "one_session"), "many"),
        (("linkability", "collusion", "rows", "features", "share"), "P0001"),
        (("series", "releases", 0, "joined_by"), "values"),
        (("series", "releases", 0, "appeared", "persons"), -1),
        (("series", "findings", 0, "code"), "other"),
        (("utility", "intervals", 0, "overlap"), 1.5),
        (("utility", "models", 0, "kind"), "forest"),
        (("utility", "loss", 0, "value"), -0.1),
    ],
)
def test_values_that_cannot_be_are_refused(path: tuple[Any, ...], value: Any, validator: Draft202012Validator) -> None:
    report = risk_kit.report()
    at(report, path[:-1])[path[-1]] = value
    assert faults(validator, report)


@pytest.mark.parametrize("section", SECTIONS)
def test_nothing_more_may_stand_in_a_section(section: str, validator: Draft202012Validator) -> None:
    report = risk_kit.report()
    report[section]["value_of_a_person"] = 1
    assert faults(validator, report)


def test_they_say_what_classes_give_away(reports: dict[str, dict[str, Any]]) -> None:
    for report in reports.values():
        limited = [entry for entry in report["diversity"]["attributes"] if entry["limited"]]
        names = {entry["name"].split(".")[-1] for entry in limited}
        assert names == {"tumour_stage", "karnofsky_band", "treatment_class", "analgesic_class"}
        assert all(entry["distinct_l"] >= report["diversity"]["l"] for entry in limited)
        assert [entry["ok"] for entry in report["gate"] if entry["name"] == "l_min"] == [True]
