"""`explain`, the policy in a release, and the actions that need more than their table, as their users meet them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from .conftest import Story, run_tool

PASTED = "Zz-Planted-Value-77"


def explained(workspace: Path, name: str) -> dict[str, Any]:
    outcome = run_tool("-C", workspace, "--json", "explain", name)
    assert outcome.code == 0, outcome.said
    document: dict[str, Any] = outcome.document
    return document


def test_a_released_column_is_explained_with_its_effect(story: Story) -> None:
    found = explained(story.workspace, "participants.age_band")
    assert found["released"] is True
    assert (found["source"]["table"], found["source"]["column"]) == ("participants", "age_years")
    assert (found["role"], found["tier"], found["class"]) == ("quasi_identifier", 1, "clinical")
    assert found["action"].startswith("generalise(hierarchy=age")
    assert found["profiles"] == ["controlled", "strict", "frame_level"]
    assert found["missing"] == "a missing cell stays missing"
    assert 0 <= found["hierarchy"]["level"] < found["hierarchy"]["height"]
    assert found["justification"]
    effect = found["effect"]
    assert effect["distinct_after"] < effect["distinct_before"]
    assert 0 < effect["entropy_lost"] <= 1
    assert 0 < effect["variance_lost"] <= 1


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("face_windows.AU04_r_mean", "openface"),
        ("voice_functionals.loudnessPeaksPerSec", "opensmile"),
        ("folds.fold", None),
    ],
)
def test_it_tells_the_tool(story: Story, name: str, tool: str | None) -> None:
    found = explained(story.workspace, name)
    assert (found["tool"] or {"name": None})["name"] == tool
    assert (found["effect"] is None) is (tool is None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("face.x_5", "class X"),
        ("face_windows.eye_lmk_X_55", "class X"),
        ("participants.height_cm", "class clinical"),
        ("consent.withdrawn_at", "its table is not released"),
    ],
)
def test_a_dropped_column_says_so_and_why(story: Story, name: str, words: str) -> None:
    found = explained(story.workspace, name)
    assert found["released"] is False
    assert found["released_as"] == []
    assert words in found["dropped"]
    assert found["justification"] in found["dropped"]


def test_a_source_column_leads_to_what_it_became(story: Story) -> None:
    found = explained(story.workspace, "sessions.recorded_at")
    assert found["released_as"] == ["sessions.session_ordinal", "sessions.relative_day"]
    assert found["actions_in_words"]["sessions.relative_day"].startswith("replaced by days since the first")
    assert found["class"] == "X"
    assert "never leaves as it is" in found["class_note"]
    assert explained(story.workspace, "face.AU01_r")["released_as"][0] == "face_windows.AU01_r_mean"
    assert explained(story.workspace, "participants.bmi")["source"]["derived_as"]


def test_an_unknown_column_gets_near_names_and_no_echo(story: Story) -> None:
    outcome = run_tool("-C", story.workspace, "explain", "participants.agee_band")
    assert outcome.code == 2
    assert "participants.age_band" in outcome.err
    for table in ("participants", "participants."):
        outcome = run_tool("-C", story.workspace, "explain", table)
        assert outcome.code == 2
        assert "Name a column too: participants.participant_id, participants.group" in outcome.err
    outcome = run_tool("-C", story.workspace, "explain", f"participants.{PASTED}")
    assert outcome.code == 2
    assert PASTED not in outcome.said


def test_no_count_of_few_persons_is_shown(story: Story) -> None:
    """A missing cell or two is one person or two: of 24 participants some cells are missing, few enough to mask."""
    shown = [
        explained(story.workspace, f"participants.{name}")["effect"]
        for name in ("tumour_stage", "karnofsky_band", "treatment_class", "bmi_band", "age_band")
    ]
    for effect in shown:
        for name in ("rows", "rows_changed", "missing_before", "missing_added"):
            count = effect[name]
            assert count == 0 or isinstance(count, str) or count >= 10


def test_before_a_build_it_explains_the_rule(story: Story, workspace_copy: Path) -> None:
    shutil.rmtree(workspace_copy / "work")
    for name in ("participants.age_band", "face_windows.AU04_r_mean", "face_windows.pose_Rx_sd"):
        found = explained(workspace_copy, name)
        assert found["effect"] is None
        assert "build" in found["no_effect"]
        assert found["form"]["dtype"]


def test_a_release_carries_its_policy_for_people_and_machines(story: Story) -> None:
    reports = story.releases[1] / "reports"
    policy = json.loads((reports / "policy.json").read_text())
    page = (reports / "policy.html").read_text()
    for table, columns in policy["columns"].items():
        dictionary = json.loads((story.releases[1] / "schemas" / f"{table}.json").read_text())
        assert set(columns) == {column["name"] for column in dictionary["columns"]}
        for entry in columns.values():
            assert entry["in_words"]
            assert entry["justification"]
    dropped = {entry["columns"] for entry in policy["dropped"]["face_windows"]}
    assert "[xyXYZ]_([0-9]|[1-5][0-9]|6[0-7])" in dropped
    # Hundreds of columns, some dozens of lines.
    assert page.count("<tr>") < 120
    assert {entry["table"] for entry in policy["kept_back"]} == {"consent", "voice_lld"}
    assert "(reports/policy.html)" in (story.releases[1] / "README.md").read_text()


NEW_ACTIONS = {
    "voice_functionals": [
        (
            r"(pattern: loudnessPeaksPerSec.*?)action: .*?\n",
            r"\1action: {do: difference_from_reference, reference: first, within: participant_id, digits: 4}\n",
        ),
    ],
    "pain_scores": [
        (r"(name: quality_of_life.*?)action: .*?\n", r"\1action: {do: noise, sigma: 5, digits: 4}\n"),
    ],
    "sessions": [
        (r"(name: duration_s.*?)action: .*?\n", r"\1action: {do: top_bottom_code, lower: 5, upper: 12}\n"),
        (
            r"(name: language.*?)action: .*?\n",
            r"\1action: {do: suppress_local, when: {fewer_than: 10}, within: participant_id}\n",
        ),
    ],
}


def test_the_actions_that_look_beyond_their_table(story: Story, workspace_copy: Path) -> None:
    for name, changes in NEW_ACTIONS.items():
        path = workspace_copy / "schemas" / f"{name}.yaml"
        text = path.read_text()
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text, count=1, flags=re.DOTALL)
            assert count == 1
        path.write_text(text)
    built = run_tool("-C", workspace_copy, "--json", "build", "--jobs", "1", key_dir=story.keys)
    assert built.code == 0, built.said
    data = workspace_copy / "work" / "candidate" / "data"
    before = story.releases[1] / "data"
    sessions = pq.read_table(data / "sessions").to_pandas().set_index("session_id")
    voice = pq.read_table(data / "voice_functionals").to_pandas().set_index("session_id")
    levels = pq.read_table(before / "voice_functionals").to_pandas().set_index("session_id")

    # The change from the first session, and nothing in the first session itself.
    rate = "loudnessPeaksPerSec"
    first = sessions["session_ordinal"] == 1
    assert voice.loc[voice.index.isin(sessions.index[first]), rate].isna().all()
    owners = sessions["participant_id"]
    reference = {owners[session]: levels[rate].get(session) for session in sessions.index[first]}
    later = voice[voice[rate].notna()]
    assert len(later) >= 5
    for session, row in later.iterrows():
        assert row[rate] == pytest.approx(levels.loc[session, rate] - reference[owners[session]], abs=0.02)

    quality = "quality_of_life"
    noisy, plain = (
        pq.read_table(folder / "pain_scores").to_pandas().set_index("session_id")[quality] for folder in (data, before)
    )
    moved = (noisy - plain).dropna()
    assert 1.5 < moved.std() < 10
    assert sessions["duration_s"].dropna().between(5, 12).all()
    # English is spoken by few of 24 participants, so it goes.
    assert set(sessions["language"].dropna()) <= {"nl"}
    assert explained(workspace_copy, f"pain_scores.{quality}")["effect"]["nrmse"] > 0.05


FAULTS = {
    "an action that does not exist": ("do: round, digits: 2", "do: blur, digits: 2", "difference_from_reference"),
    "a profile that does not exist": ("[controlled, strict, frame_level]", "[controlled, strct]", "strct"),
    "a column that is not there": ("within: participant_id, days", "within: patient, days", "within"),
    "two actions to one output": ("as: session_ordinal", "as: relative_day", "two columns named relative_day"),
    "an unsuitable action": (
        "action: {do: round, digits: 2}",
        "action: {do: top_bottom_code, upper: 90}",
        "outside the declared range",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_unsound_policy_is_refused_by_check_and_build(story: Story, tmp_path: Path, name: str) -> None:
    root = tmp_path / "workspace"
    shutil.copytree(
        story.workspace, root, ignore=shutil.ignore_patterns("work", "releases", "reports", "release-store", "tmp")
    )
    old, new, words = FAULTS[name]
    path = root / "schemas" / "sessions.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    for command in (["schema", "check"], ["build"]):
        outcome = run_tool("-C", root, *command, key_dir=story.keys)
        assert outcome.code == 2, outcome.said
        assert "schemas/sessions.yaml" in outcome.err
        assert words in outcome.err
    assert not (root / "work" / "candidate").exists()
