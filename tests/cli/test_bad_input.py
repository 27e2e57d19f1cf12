"""Broken and hostile input: one clear line, the right exit code, nothing half-written, never a value."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Story, run_tool

PLANTED = "Zz-Planted-Value-77"


@pytest.fixture
def workspace(story: Story, tmp_path: Path) -> Path:
    """A workspace with the demonstration's source, nothing built."""
    root = tmp_path / "workspace"
    shutil.copytree(
        story.workspace, root, ignore=shutil.ignore_patterns("work", "releases", "reports", "release-store", "tmp")
    )
    return root


def first_recording(source: Path) -> Path:
    return min((source / "face").glob("*.csv"))


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def add_column(text: str) -> str:
    lines = text.splitlines()
    return "\n".join([lines[0] + ",home_town", *(f"{line},{PLANTED}" for line in lines[1:])]) + "\n"


def duplicate_first_row(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join([*lines, lines[1]])


def replace_first_key(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join([lines[0], re.sub(r"^[^,]*", PLANTED + " 17.0", lines[1]), *lines[2:]])


def break_number(text: str) -> str:
    lines = text.splitlines(keepends=True)
    cells = lines[1].split(",")
    cells[lines[0].split(",").index("age_years")] = PLANTED
    return "".join([lines[0], ",".join(cells), *lines[2:]])


def without_time(text: str) -> str:
    rows = [line.split(",") for line in text.splitlines()]
    at = [name.strip() for name in rows[0]].index("timestamp")
    return "\n".join(",".join(cell for number, cell in enumerate(row) if number != at) for row in rows) + "\n"


def cut_last_row(text: str) -> str:
    return text[: -len(text.splitlines()[-1]) // 2]


def link_the_ledger(source: Path) -> None:
    (source / "consent.csv").rename(source.parent / "elsewhere")
    (source / "consent.csv").symlink_to(source.parent / "elsewhere")


PNG = b"\x89PNG\r\n\x1a\n" + bytes(99)
SOURCE_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an unknown file": (lambda s: (s / f"{PLANTED}.mp4").write_bytes(b"\0\0\0\x18ftypmp42"), "source.unclaimed"),
    "a missing file": (lambda s: (s / "questionnaire.csv").unlink(), "file.missing"),
    "an unknown column": (lambda s: rewrite(s / "participants.csv", add_column), "column.undeclared"),
    "a duplicate key": (lambda s: rewrite(s / "participants.csv", duplicate_first_row), "key.duplicate"),
    "an id off the pattern": (lambda s: rewrite(s / "participants.csv", replace_first_key), "identifier.pattern"),
    "a text in a number column": (lambda s: rewrite(s / "participants.csv", break_number), "value.type"),
    "a cut recording": (lambda s: rewrite(first_recording(s), cut_last_row), "row.ragged"),
    "a recording without its time": (lambda s: rewrite(first_recording(s), without_time), "column.missing"),
    "an empty recording": (lambda s: first_recording(s).write_bytes(b""), "file.empty"),
    "a recording that is a picture": (lambda s: first_recording(s).write_bytes(PNG), "file.media"),
    "a link": (link_the_ledger, "source.not_a_file"),
}


@pytest.mark.parametrize("name", SOURCE_FAULTS)
def test_a_fault_in_the_source_is_a_finding(workspace: Path, name: str) -> None:
    spoil, code = SOURCE_FAULTS[name]
    spoil(workspace / "data" / "source")
    outcome = run_tool("-C", workspace, "--json", "validate")
    assert outcome.code == 1, outcome.said
    findings = outcome.document["findings"]
    assert code in {finding["code"] for finding in findings if finding["severity"] == "error"}
    assert outcome.document["ok"] is False
    written = "".join(path.read_text() for path in (workspace / "reports").rglob("*") if path.is_file())
    assert PLANTED not in outcome.said + written
    assert "SYN0" not in outcome.said + written


def test_all_faults_are_found_in_one_run(workspace: Path) -> None:
    source = workspace / "data" / "source"
    for name in ("a missing file", "an unknown column", "a cut recording"):
        SOURCE_FAULTS[name][0](source)
    codes = {f["code"] for f in run_tool("-C", workspace, "--json", "validate").document["findings"]}
    assert {"file.missing", "column.undeclared", "row.ragged"} <= codes


def test_an_invalid_source_stops_the_build(workspace: Path, story: Story) -> None:
    rewrite(workspace / "data" / "source" / "participants.csv", add_column)
    outcome = run_tool("-C", workspace, "--json", "build", key_dir=story.keys)
    assert outcome.code == 1
    assert outcome.document["stages"]["validate"] == "refused"
    assert not (workspace / "work" / "pseudonymised").exists()


def test_a_missing_source_folder(workspace: Path, story: Story) -> None:
    shutil.rmtree(workspace / "data")
    for command in (["validate"], ["build"]):
        outcome = run_tool("-C", workspace, *command, key_dir=story.keys)
        assert outcome.code == 2
        assert "source folder" in outcome.err
        assert str(workspace) not in outcome.said


def test_a_folder_that_is_no_workspace(tmp_path: Path) -> None:
    outcome = run_tool("-C", tmp_path, "build")
    assert outcome.code == 2
    assert "params.yaml" in outcome.err


def test_a_missing_root_key(workspace: Path, tmp_path: Path) -> None:
    assert run_tool("-C", workspace, "build").code == 2
    (tmp_path / "none").mkdir()
    outcome = run_tool("-C", workspace, "build", key_dir=tmp_path / "none")
    assert outcome.code == 2
    assert "keygen" in outcome.err
    assert not (workspace / "work" / "pseudonymised").exists()


def test_a_root_key_that_others_can_read(workspace: Path, story: Story, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    shutil.copytree(story.keys, keys)
    (keys / "root.key").chmod(0o644)
    outcome = run_tool("-C", workspace, "build", key_dir=keys)
    assert outcome.code == 2
    assert "root.key" in outcome.err
    assert str(keys) not in outcome.said


@pytest.mark.parametrize("size", [0, 100])
def test_a_damaged_root_key_is_told_though_nothing_has_changed(
    workspace_copy: Path, story: Story, tmp_path: Path, size: int
) -> None:
    """DVC would ask for the key only when there is work to do: perhaps when no good copy of it is left."""
    keys = tmp_path / "keys"
    shutil.copytree(story.keys, keys)
    os.truncate(keys / "root.key", size)
    (workspace_copy / "dvc.yaml").write_text("stages: {}\n")  # DVC finds nothing that has changed
    outcome = run_tool("-C", workspace_copy, "build", key_dir=keys)
    assert outcome.code == 2
    assert re.fullmatch(r"sensai-release: key file root\.key: .+ Restore it from its backup, .+\n", outcome.err)


def test_keygen_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    assert run_tool("keygen", path, "--role", "root").code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    assert run_tool("keygen", path, "--role", "root").code == 2
    assert path.read_bytes() == before


def test_a_release_is_never_written_twice_nor_backwards(workspace_copy: Path, story: Story) -> None:
    key = story.keys / "steward.key"
    listing = sorted((workspace_copy / "releases").iterdir())
    for version in ("2.0.0", "1.5.0", "not-a-version", "../3.0.0"):
        assert run_tool("-C", workspace_copy, "release", version, "--key", key).code == 2
    assert sorted((workspace_copy / "releases").iterdir()) == listing


def test_a_release_needs_a_steward_key(workspace_copy: Path, story: Story, tmp_path: Path) -> None:
    assert run_tool("-C", workspace_copy, "release", "3.0.0").code == 2
    assert run_tool("-C", workspace_copy, "release", "3.0.0", "--key", story.keys / "root.key").code == 2
    assert run_tool("-C", workspace_copy, "release", "3.0.0", "--key", tmp_path / "none").code == 2
    assert not (workspace_copy / "releases" / "sensai-dbd-3.0.0").exists()


def test_a_release_of_a_stale_candidate_is_refused(workspace_copy: Path, story: Story) -> None:
    rewrite(workspace_copy / "data" / "source" / "questionnaire.csv", lambda text: text + "\n")
    outcome = run_tool("-C", workspace_copy, "release", "3.0.0", "--key", story.keys / "steward.key")
    assert outcome.code == 2
    assert "build" in outcome.err


def test_verify_and_diff_of_what_is_no_release(story: Story, tmp_path: Path) -> None:
    assert run_tool("verify", tmp_path / "nothing").code == 2
    assert run_tool("verify", tmp_path).code == 2
    assert run_tool("verify", story.releases[0], "--trust", tmp_path / "none.json").code == 2
    assert run_tool("diff", tmp_path, story.releases[0]).code == 2


def test_a_schema_typo_names_file_path_and_words(workspace: Path) -> None:
    rewrite(
        workspace / "schemas" / "participants.yaml", lambda text: text.replace("dtype: integer", "dtype: intger", 1)
    )
    outcome = run_tool("-C", workspace, "schema", "check")
    assert outcome.code == 2
    assert "schemas/participants.yaml" in outcome.err
    assert "integer" in outcome.err


def test_init_overwrites_nothing(workspace: Path) -> None:
    before = (workspace / "params.yaml").read_bytes()
    assert run_tool("init", workspace).code == 2
    (workspace / "params.yaml").write_bytes(before + b"# mine\n")
    (workspace / "schemas" / "consent.yaml").unlink()
    assert run_tool("init", workspace, "--force").code == 0
    assert (workspace / "params.yaml").read_bytes() == before + b"# mine\n"
    assert (workspace / "schemas" / "consent.yaml").is_file()


def test_json_is_one_document_and_people_read_stderr(story: Story) -> None:
    outcome = run_tool("--json", "verify", story.releases[0])
    assert outcome.document["ok"] is False
    assert "Verification" in outcome.err


def test_a_bug_is_one_line_without_a_traceback() -> None:
    from sensai_release.cli import app

    assert app._where(ValueError(PLANTED)) == "an unknown place"


@pytest.mark.parametrize("name", ["nowhere", "../nowhere", "folds"])
def test_validating_a_table_that_is_not_there_is_no_pass(workspace: Path, name: str) -> None:
    outcome = run_tool("-C", workspace, "validate", "--table", name)
    assert outcome.code == 2
    assert "--table" in outcome.err
    assert not list(workspace.rglob("validation-*"))


def test_a_parameter_that_only_dvc_asks_for(workspace: Path, story: Story) -> None:
    rewrite(workspace / "params.yaml", lambda text: re.sub(r"(?m)^catalogue:.*\n(?:[ #].*\n|\n)*", "", text))
    outcome = run_tool("-C", workspace, "build", key_dir=story.keys)
    assert outcome.code == 2
    assert "params.yaml: lacks catalogue" in outcome.err
    assert "catalogue: {}" in outcome.err
