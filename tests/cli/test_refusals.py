"""What a command says that does nothing: one line for people, one JSON document for scripts, nothing that was typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer

from sensai_release.cli import usage
from sensai_release.cli.app import run

from .conftest import Story, run_tool

PLANTED = "/home/jan/SYN0001"

USAGE = {
    "no such command": (["SYN0001"], "names no command"),
    "a command with a slip": (["verfy", "x"], "verfy: is no command here"),
    "no such option": (["verify", "x", "--nope"], "--nope: is no option here"),
    "an option that is a value": (["verify", "x", f"--{PLANTED}"], "has an option that is none here"),
    "too many words": (["verify", "x", PLANTED, PLANTED], "has more words"),
    "a missing word": (["verify"], "PATH: is missing"),
    "a missing option": (["withdraw", "1.0.0"], "--reason: is missing: one of withdrawal_of_consent"),
    "none of the choices": (["keygen", "x", "--role", PLANTED], "--role: is not one of 'root', 'steward'"),
    "a value with the words of the message": (
        ["keygen", "x", "--role", f"a is not one of {PLANTED}"],
        "--role: is not one of 'root', 'steward'",
    ),
    "no number": (["synth", "x", "--participants", PLANTED], "--participants: is no whole number"),
    "too small a number": (["synth", "x", "--participants", "0"], "must be greater than or equal to 1"),
    "no day": (["datasheet", "--attest", "U4", "--as-of", PLANTED], "--as-of: is not of the form"),
    "an option without its value": (["-C"], "-C: needs a value"),
    "a flag with a value": ([f"--debug={PLANTED}"], "--debug: takes no value"),
    "a group and no command": (["log"], "names no command"),
    "a value with a line end": (["keygen", "x", "--role", "a\nb\x1b[31m"], "--role: is not one of"),
}


@pytest.mark.parametrize("name", USAGE)
def test_a_usage_error_is_one_line_and_one_document(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = USAGE[name]
    assert run(["--json", *arguments]) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1, said.err
    assert words in said.err
    assert "--help'" in said.err
    assert json.loads(said.out) == {
        "ok": False,
        "exit": 2,
        "error": said.err.removeprefix("sensai-release: ").rstrip("\n"),
    }
    assert "SYN0001" not in said.out + said.err
    assert "jan" not in said.out + said.err


@pytest.mark.parametrize("name", USAGE)
def test_without_json_stdout_stays_empty(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, _ = USAGE[name]
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1, said.err


@pytest.mark.parametrize("arguments", [["schema"], []])
def test_a_group_alone_shows_its_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Commands:" in capsys.readouterr().err
    assert run(["--json", *arguments]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False


REFUSED = [
    ["status"],
    ["verify", "nothing"],
    ["diff", "nothing", "nothing"],
    ["review", "nothing"],
    ["approve", "nothing"],
    ["history", "nothing"],
    ["risk", "nothing"],
    ["datasheet", "nothing", "--check"],
    ["scan", "nothing"],
    ["trust", "add", "trust.json", "nothing"],
    ["keygen", "nothing/root.key", "--role", "root"],
    ["escrow", "show", "nothing"],
]


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_a_refusal_is_one_line_and_one_document(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*arguments, "--json"]) == 2
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["ok"], document["exit"]) == (False, 2)
    assert said.err == f"sensai-release: {document['error']}\n"
    assert str(tmp_path) not in said.err + said.out


def test_a_name_with_a_line_end_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "a\nb\x1b[31m\u202e"]) == 2
    assert capsys.readouterr().err.startswith(r"sensai-release: a\nb\x1b[31m\u202e: is not a directory")


def test_what_may_not_be_read_is_said_so_without_its_name() -> None:
    said = usage.one_line(typer.BadParameter(f"Directory '{PLANTED}' is not readable."))
    assert said == "the command line: cannot be read. 'sensai-release --help' says what there is."


def test_a_verdict_that_comes_as_a_refusal(story: Story, tmp_path: Path) -> None:
    release = tmp_path / story.releases[0].name
    shutil.copytree(story.releases[0], release)
    (release / "TERMS.md").write_text("changed", encoding="utf-8")
    outcome = run_tool("--json", "approve", release, "--trust", story.trust, "--key", story.keys / "reviewer.key")
    assert outcome.code == 1
    assert (outcome.document["ok"], outcome.document["exit"]) == (False, 1)
    assert "does not verify" in outcome.document["error"]


def test_a_schema_that_nobody_has_built_with(workspace_copy: Path) -> None:
    text = (workspace_copy / "schemas" / "questionnaire.yaml").read_text(encoding="utf-8")
    more = text.replace("questionnaire", "diary")
    assert more != text
    (workspace_copy / "schemas" / "diary.yaml").write_text(more, encoding="utf-8")
    outcome = run_tool("-C", workspace_copy, "--json", "risk")
    assert outcome.code == 2, outcome.said
    assert "diary" in outcome.document["error"]
    assert "build" in outcome.document["error"]


def test_status_says_what_may_run_after_a_withdrawal(workspace_copy: Path) -> None:
    consent = workspace_copy / "data" / "source" / "consent.csv"
    head, first, *rest = consent.read_text(encoding="utf-8").splitlines()
    consent.write_text("\n".join([head, f"{first.rsplit(',', 1)[0]},2027-01-01", *rest, ""]), encoding="utf-8")
    stages = run_tool("-C", workspace_copy, "--json", "status").document["stages"]
    assert stages.pop("validate") == "would run"
    assert set(stages.values()) == {"may run"}


def test_a_draft_of_a_file_that_is_elsewhere(workspace_copy: Path, tmp_path: Path) -> None:
    outcome = run_tool("-C", workspace_copy, "schema", "draft", "participants.csv", "--table", "more", cwd=tmp_path)
    assert outcome.code == 2
    assert "path" in outcome.err
    assert "data/source/NAME.csv" in outcome.err
