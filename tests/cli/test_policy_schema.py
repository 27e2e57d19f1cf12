"""The policies of a real candidate, package and releases obey their schema; `risk` refuses one that does not."""

from __future__ import annotations

import copy
import json
import shutil
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from .conftest import Story, run_tool


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(files("sensai_release.release").joinpath("policy.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def policies(story: Story) -> dict[str, dict[str, Any]]:
    work = story.workspace / "work"
    paths = {"candidate": work / "candidate" / "policy.json", "package": work / "package" / "reports" / "policy.json"}
    paths |= {path.name: path / "reports" / "policy.json" for path in story.releases}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items()}


def faults(validator: Draft202012Validator, policy: dict[str, Any]) -> list[str]:
    return [f"{list(error.absolute_path)}: {error.validator}" for error in validator.iter_errors(policy)]


def test_real_policies_are_valid(story: Story, validator: Draft202012Validator) -> None:
    found = policies(story)
    assert len(found) == 2 + len(story.releases) >= 4
    for name, policy in found.items():
        assert (name, faults(validator, policy)) == (name, [])


def test_a_policy_of_the_first_version_is_valid(story: Story, validator: Draft202012Validator) -> None:
    policy = policies(story)["candidate"]
    first = ("profile", "description", "k", "max_suppressed", "generalisation", "pseudonym_key", "columns")
    old = {name: policy[name] for name in first}
    kept = ("source", "role", "tier", "class", "action")
    old["columns"] = {
        table: {name: {key: entry[key] for key in kept} for name, entry in columns.items()}
        for table, columns in policy["columns"].items()
    }
    assert faults(validator, old) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("k",), "five"),
        (("k",), 0),
        (("max_suppressed",), 1.5),
        (("linkability", "auc"), 0.7),
        (("linkability", "cannot_assess"), "ignore"),
        (("pseudonym_key", "id"), "root"),
        (("catalogue",), "new"),
        (("population",), 0),
        (("generalisation", "participants", "suppressed"), "few"),
        (("generalisation", "participants", "levels", 0, "entropy_loss"), 1.1),
        (("columns", "participants", "age_band", "tier"), 3),
        (("columns", "participants", "age_band", "class"), "undecided"),
        (("dropped", "participants", 0, "role"), "unknown"),
        (("kept_back", 0, "table"), ""),
    ],
)
def test_what_cannot_be_is_refused(
    story: Story, validator: Draft202012Validator, path: tuple[Any, ...], value: Any
) -> None:
    policy = copy.deepcopy(policies(story)["candidate"])
    reduce(lambda held, key: held[key], path[:-1], policy)[path[-1]] = value
    assert faults(validator, policy)


def test_no_key_may_be_strange(story: Story, validator: Draft202012Validator) -> None:
    policy = policies(story)["candidate"]
    assert faults(validator, policy | {"persons": 54})
    for place in (("linkability",), ("pseudonym_key",), ("generalisation", "participants"), ("kept_back", 0)):
        changed = copy.deepcopy(policy)
        reduce(lambda held, key: held[key], place, changed)["persons"] = 54
        assert faults(validator, changed), place


def test_risk_refuses_a_malformed_policy(story: Story, tmp_path: Path) -> None:
    release = tmp_path / "release"
    shutil.copytree(story.releases[0], release)
    path = release / "reports" / "policy.json"
    policy = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(policy | {"k": "Zz-Planted-Value-77"}), encoding="utf-8")
    outcome = run_tool("risk", release)
    assert outcome.code == 2
    assert "policy.json: $.k breaks the rule 'type' of policy.schema.json" in outcome.err
    assert "Zz-Planted" not in outcome.said
