"""Another study goes the whole way, with nothing but params.yaml, schemas/ and datasheets/ changed."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import other_study_kit as kit
import pytest

import sensai_release as sr

from .conftest import Story, run_tool

TEMPLATE_WORDS = re.compile(
    r"participant_id|session_id|\bpain|questionnaire|hospital|\btumou?r|analges|face_|voice_|sensai-dbd", re.IGNORECASE
)


@dataclass(frozen=True)
class Other:
    workspace: Path
    keys: Path
    trust: Path
    release: Path

    def read(self, name: str) -> Any:
        return json.loads((self.release / name).read_text(encoding="utf-8"))


def make_keys(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    for role in ("root", "steward", "reviewer"):
        made = run_tool("keygen", folder / f"{role}.key", "--role", role, "--name", f"Synthetic {role}")
        assert made.code == 0, made.said
    return folder


def make_workspace(root: Path) -> Path:
    workspace = root / "workspace"
    assert run_tool("init", workspace).code == 0
    kit.make_study(workspace)
    return workspace


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Other:
    root = tmp_path_factory.mktemp("other")
    workspace, keys = make_workspace(root), make_keys(root / "keys")
    trust, release = root / "trust.json", workspace / "releases" / "gait-home-1.0.0"
    for role in ("steward", "reviewer"):
        assert run_tool("trust", "add", trust, keys / f"{role}.key.pub").code == 0
    for command in (
        ["build"],
        ["release", "1.0.0", "--as-of", "2026-06-30", "--key", keys / "steward.key"],
        ["approve", release, "--key", keys / "reviewer.key", "--trust", trust],
    ):
        outcome = run_tool("-C", workspace, *command, key_dir=keys)
        assert outcome.code == 0, outcome.said
    return Other(workspace=workspace, keys=keys, trust=trust, release=release)


def test_it_is_verified_with_its_numbers_counted_again(other: Other) -> None:
    outcome = run_tool("--json", "verify", other.release, "--deep", "--trust", other.trust)
    assert outcome.code == 0, outcome.said
    counted = next(step for step in outcome.document["steps"] if step["name"].startswith("The datasheet"))
    assert counted["ok"] is True
    assert run_tool("-C", other.workspace, "datasheet", "--check").code == 0
    assert run_tool("datasheet", other.release, "--check").code == 0


def test_its_readme_speaks_of_its_own_tables(other: Other) -> None:
    text = (other.release / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r'table\("(\w+)"\)', text)) | set(re.findall(r"\bdata/(\w+)", text))
    assert named == {"patients", "ratings", "splits", "visits", "wrist_windows"}
    release = sr.open_release(other.release, trust=other.trust)
    assert all(release.table(name).num_rows for name in named)


def test_no_word_of_the_template_is_in_it(other: Other) -> None:
    texts = [path for path in other.release.rglob("*") if path.suffix in (".md", ".json", ".jsonld", ".cff", ".html")]
    assert len(texts) > 20
    # Both check any release, and are the same in all of them.
    shared = {other.release / "verify.html", other.release / "verify.py"}
    questions = (other.release / "DATASHEET.md").read_text(encoding="utf-8").count("###")
    assert questions == 57
    for path in set(texts) - shared:
        assert not TEMPLATE_WORDS.search(path.read_text(encoding="utf-8")), path.name


def test_a_score_with_many_values_is_a_label(other: Other) -> None:
    facts = other.read("datasheet.json")["facts"]
    cells = facts["labels"]["ratings.motor_score"]
    assert min(cells) == "[0,13)"
    assert len(cells) == 10
    assert all(cell in ("<10", ">=10") or cell % 10 == 0 for cell in cells.values())
    assert facts["values"]["sessions"].startswith("at least")


@pytest.mark.parametrize(
    ("question", "claim", "code"),
    [("C15", "sensitive", "contradiction.sensitive"), ("D4", "terms", "contradiction.terms")],
)
def test_a_contradiction_stops_its_release(other: Other, tmp_path: Path, question: str, claim: str, code: str) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(other.workspace, workspace, symlinks=True)
    answers = kit.answers()
    answers[question]["claims"][claim] = False
    kit.write(workspace / "datasheets" / "answers.yaml", {"answers": answers})
    # The answers as they stand count, built or not.
    outcome = run_tool("--json", "-C", workspace, "datasheet", "--check")
    assert outcome.code == 1
    found = {(f["code"], f["column"]): f["file"] for f in outcome.document["findings"] if f["severity"] == "error"}
    assert found == {(f"datasheet.{code}", question): f"datasheets/answers.yaml#/answers/{question}/claims/{claim}"}
    assert run_tool("-C", workspace, "build", key_dir=other.keys).code == 0
    outcome = run_tool("-C", workspace, "release", "1.0.1", "--key", other.keys / "steward.key", key_dir=other.keys)
    assert outcome.code == 1
    assert f"contradiction: {question}" in outcome.err
    assert not (workspace / "releases" / "gait-home-1.0.1").exists()


def test_a_number_as_identifier_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    path = workspace / "schemas" / "patients.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace('"string"', '"integer"', 1), encoding="utf-8")
    for command in (["schema", "check"], ["validate"]):
        outcome = run_tool("-C", workspace, *command)
        assert outcome.code == 2, outcome.said
        assert "schemas/patients.yaml: columns.0.dtype: declares an identifier that is no text" in outcome.err
        assert "Declare it a string." in outcome.err


def test_a_datasheet_before_any_build_says_what_to_do(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    for command in (["datasheet"], ["datasheet", "--check"]):
        outcome = run_tool("-C", workspace, *command)
        assert outcome.code == 2
        assert "the candidate: is not there. Build it first: 'sensai-release build'." in outcome.err


def test_the_readme_of_the_template_study_keeps_its_terms(story: Story) -> None:
    text = (story.releases[0] / "README.md").read_text(encoding="utf-8")
    assert "Prohibited: find out who a person in the data is; link the data" in text
    assert 'release.table("folds")' in text
