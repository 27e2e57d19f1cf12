"""`datasheet` as a command: what may be given together, and the files that a release has of it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from .conftest import Story, run_tool


@pytest.mark.parametrize(
    "arguments",
    [
        ("--check", "--pdf", "x.pdf"),
        ("--attest", "C14"),
        ("--attest", "C14", "--by", "data steward"),
        ("--by", "data steward", "--as-of", "2026-06-30"),
        ("somewhere", "--pdf", "x.pdf"),
        ("--attest", "C14", "--by", "data steward", "--as-of", "yesterday"),
    ],
)
def test_a_mixture_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    outcome = run_tool("-C", tmp_path, "datasheet", *arguments)
    assert outcome.code == 2
    assert list(tmp_path.iterdir()) == []


def test_the_datasheets_of_releases_keep_to_the_published_schema(story: Story) -> None:
    schema = json.loads(files("sensai_release.release").joinpath("datasheet.schema.json").read_text(encoding="utf-8"))
    for release in story.releases:
        document = json.loads((release / "datasheet.json").read_text(encoding="utf-8"))
        assert [error.json_path for error in jsonschema.Draft202012Validator(schema).iter_errors(document)] == []
        assert (release / "CARD.md").is_file()
        assert "<script" not in (release / "card.html").read_text(encoding="utf-8")


def test_open_answers_that_are_known_are_listed_and_stop_nothing(story: Story) -> None:
    outcome = run_tool("--json", "datasheet", story.releases[1], "--check")
    assert outcome.code == 0
    assert {finding["severity"] for finding in outcome.document["findings"]} == {"warning"}
    assert len([f for f in outcome.document["findings"] if f["code"] == "datasheet.open"]) == 13
