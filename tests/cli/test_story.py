"""The whole path as its users walk it: real commands on the files that the demonstration left."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import sensai_release as sr

from .conftest import TOOL, Story, run_tool

TABLES = {
    "participants",
    "sessions",
    "pain_scores",
    "analgesics",
    "questionnaire",
    "face_windows",
    "voice_functionals",
    "folds",
}


def git(story: Story, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=story.workspace, capture_output=True, text=True, check=True)
    return done.stdout


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def raw_ids(story: Story) -> set[str]:
    found = set()
    for name, column in (("participants.csv", 0), ("sessions.csv", 0)):
        for line in (story.source / name).read_text().splitlines()[1:]:
            found.add(line.split(",")[column])
    return found


def test_the_demo_leaves_two_releases_and_a_trust_file(story: Story) -> None:
    assert [path.name.rpartition("-")[2] for path in story.releases] == ["1.0.0", "2.0.0"]
    assert story.trust.is_file()


def test_a_stranger_verifies_with_the_directory_and_a_trust_file(story: Story, tmp_path: Path) -> None:
    copy = tmp_path / story.releases[1].name
    shutil.copytree(story.releases[1], copy)
    outcome = run_tool("--json", "verify", copy, "--trust", story.trust, cwd=tmp_path)
    assert outcome.code == 0, outcome.said
    assert outcome.document["ok"] is True
    assert [step["step"] for step in outcome.document["steps"]] == list(range(1, len(outcome.document["steps"]) + 1))
    assert run_tool("verify", copy).code == 1
    elsewhere = copy.rename(tmp_path / "another-name-9.9.9")
    outcome = run_tool("verify", elsewhere, "--integrity-only")
    assert outcome.code == 0
    assert f"By its manifest this is {copy.name}." in outcome.said


@pytest.mark.parametrize("part", ["data", "schemas", "README.md", "manifest.json", "SHA256SUMS", "TERMS.md"])
def test_one_changed_byte_is_refused(story: Story, tmp_path: Path, part: str) -> None:
    copy = tmp_path / "release"
    shutil.copytree(story.releases[1], copy)
    victim = copy / part if (copy / part).is_file() else min(p for p in (copy / part).rglob("*") if p.is_file())
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    outcome = run_tool("--json", "verify", copy, "--trust", story.trust)
    assert outcome.code == 1
    assert any(step["problems"] for step in outcome.document["steps"])


def test_the_release_holds_what_the_contract_names(story: Story) -> None:
    release = story.releases[1]
    written = {path.name for path in release.iterdir()}
    assert {"README.md", "DATASHEET.md", "datasheet.html", "datasheet.json", "TERMS.md", "SHA256SUMS"} <= written
    assert {"manifest.json", "manifest.dsse.json", "verify.py", "verify.html", "metadata", "schemas"} <= written
    assert {path.name for path in (release / "data").iterdir()} == TABLES
    for name in ("validation", "risk", "diff"):
        assert (release / "reports" / f"{name}.json").is_file()
        assert (release / "reports" / f"{name}.html").is_file()
    assert (release / "metadata" / "croissant.json").is_file()


def test_no_raw_identifier_in_any_byte(story: Story) -> None:
    needles = [text.encode() for text in sorted(raw_ids(story))]
    private = {story.source, story.workspace / "work", story.workspace / ".dvc" / "tmp"}
    for path in sorted(story.root.rglob("*")):
        if not path.is_file() or any(folder in path.parents for folder in private) or ".git" in path.parts:
            continue
        data = path.read_bytes()
        texts = [data]
        if path.suffix == ".parquet":
            texts.append(pq.read_table(path).to_pandas().to_csv().encode())
        for text in texts:
            for needle in (*needles, b"SYN00", str(story.root).encode()):
                assert needle not in text, path.relative_to(story.root)


def test_checksums_hold_without_our_tool(story: Story) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=story.releases[1], check=False).returncode == 0


def test_consent_decides_who_is_in(story: Story) -> None:
    ledger = [line.split(",") for line in (story.source / "consent.csv").read_text().splitlines()]
    header, rows = ledger[0], ledger[1:]
    grants = sum(
        row[header.index("share_features")] == "yes" and row[header.index("withdrawn_at")] == "" for row in rows
    )
    first, second = (sr.open_release(path, trust=story.trust) for path in story.releases)
    assert second.table("participants").num_rows == grants
    assert first.table("participants").num_rows == grants + 1


def test_key_columns_hold_pseudonyms_and_relations_hold(story: Story) -> None:
    release = sr.open_release(story.releases[1], trust=story.trust)
    participants = set(release.table("participants")["participant_id"].to_pylist())
    sessions = release.table("sessions").to_pandas()
    assert set(sessions["participant_id"]) <= participants
    for name in ("pain_scores", "analgesics", "questionnaire", "face_windows", "voice_functionals"):
        assert set(release.table(name)["session_id"].to_pylist()) <= set(sessions["session_id"])
    assert set(release.table("folds")["participant_id"].to_pylist()) == participants


def test_a_person_keeps_pseudonym_and_fold_across_releases(story: Story) -> None:
    first, second = (sr.open_release(path, trust=story.trust).table("folds").to_pandas() for path in story.releases)
    merged = second.merge(first, on="participant_id", suffixes=("_new", "_old"))
    assert len(merged) == len(second)
    assert (merged["fold_new"] == merged["fold_old"]).all()


def test_diff_masks_the_one_who_left(story: Story) -> None:
    outcome = run_tool("--json", "diff", *story.releases)
    assert outcome.code == 1
    document = outcome.document
    assert document["identical"] is False
    assert document["tables"]["participants"]["rows_removed"] == "<10"
    assert document["tables"]["participants"]["rows_added"] == 0
    same = run_tool("--json", "diff", story.releases[0], story.releases[0])
    assert same.code == 0
    assert same.document["identical"] is True


def test_risk_and_datasheet_of_a_release(story: Story) -> None:
    risk = run_tool("--json", "risk", story.releases[1])
    assert risk.code == 0, risk.said
    assert risk.document["k_min"] >= 5
    assert {"persons", "gate", "ok"} <= set(risk.document)
    assert run_tool("datasheet", story.releases[1], "--check").code == 0


def test_git_and_dvc_know_the_releases(story: Story) -> None:
    tags = git(story, "tag").split()
    assert tags == [path.name for path in story.releases]
    assert git(story, "cat-file", "-t", tags[0]).strip() == "tag"
    assert all((story.workspace / "releases" / f"{path.name}.dvc").is_file() for path in story.releases)
    assert any((story.workspace / "release-store").rglob("*.dir"))
    assert git(story, "status", "--porcelain") == ""


def test_the_same_inputs_give_the_same_bytes(story: Story, workspace_copy: Path) -> None:
    """Built again from nothing in another folder with another worker count: the same release, byte for byte."""
    shutil.rmtree(workspace_copy / "work")
    shutil.rmtree(workspace_copy / "releases" / story.releases[1].name)
    (workspace_copy / "releases" / f"{story.releases[1].name}.dvc").unlink()
    subprocess.run(["git", "tag", "-d", story.releases[1].name], cwd=workspace_copy, check=True, capture_output=True)
    built = run_tool("-C", workspace_copy, "--json", "build", "--jobs", "1", key_dir=story.keys)
    assert built.code == 0, built.said
    done = run_tool("-C", workspace_copy, "--json", "release", "2.0.0", "--key", story.keys / "steward.key")
    assert done.code == 0, done.said
    again = workspace_copy / "releases" / story.releases[1].name
    before, after = bytes_of(story.releases[1]), bytes_of(again)
    # What a reviewer adds afterwards: the second signature, and the proof of the log.
    assert before.keys() - after.keys() == {Path("manifest.tlog-proof")}
    assert after.keys() <= before.keys()
    assert {name.as_posix() for name in after if before[name] != after[name]} == {"manifest.dsse.json"}


def test_a_second_build_does_no_work_and_one_changed_recording_redoes_one(story: Story, workspace_copy: Path) -> None:
    first = run_tool("-C", workspace_copy, "--json", "build", key_dir=story.keys)
    assert first.code == 0, first.said
    again = run_tool("-C", workspace_copy, "--json", "build", key_dir=story.keys)
    assert {state for stage, state in again.document["stages"].items() if stage != "intake"} == {"up to date"}
    shards = workspace_copy / "work" / "validated" / "face"
    before = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.arrow")}
    recording = min((workspace_copy / "data" / "source" / "face").glob("*.csv"))
    lines = recording.read_bytes().splitlines(keepends=True)
    recording.write_bytes(b"".join(lines[:-20]))
    changed = run_tool("-C", workspace_copy, "--json", "build", key_dir=story.keys)
    assert changed.code == 0, changed.said
    assert changed.document["stages"]["validate"] == "done"
    after = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.arrow")}
    redone = [name for name in before if before[name] != after[name]]
    assert len(redone) == 1


def test_metrics_diff_shows_risk_and_rows_between_revisions(story: Story) -> None:
    first, second = (path.name for path in story.releases)
    command = [str(TOOL.with_name("dvc")), "metrics", "diff", "--json", first, second]
    done = subprocess.run(command, cwd=story.workspace, capture_output=True, text=True, check=True)
    assert {"reports/metrics/candidate.json", "reports/metrics/risk.json"} <= json.loads(done.stdout).keys()
