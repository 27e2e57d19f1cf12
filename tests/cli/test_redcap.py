"""A workspace whose schema names a REDCap data dictionary: what it marks stops the build unless it is hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Outcome, run_tool

HEADER = "Variable / Field Name,Form Name,Identifier?\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    assert run_tool("init", root).code == 0
    assert run_tool("synth", root / "data" / "source", "--participants", "6", "--seconds", "6").code == 0
    path = root / "schemas" / "participants.yaml"
    text = path.read_text()
    assert "file: participants.csv," in text
    path.write_text(text.replace("file: participants.csv,", "file: participants.csv, dictionary: redcap.csv,", 1))
    return root


def validate(workspace: Path, dictionary: str | None) -> Outcome:
    if dictionary is not None:
        (workspace / "data" / "source" / "redcap.csv").write_text(dictionary)
    return run_tool("-C", workspace, "--json", "validate")


def about_the_dictionary(outcome: Outcome) -> list[tuple[str, str | None]]:
    found = outcome.document["findings"]
    return [(entry["code"], entry["column"]) for entry in found if entry["file"] == "redcap.csv"]


def test_a_marked_column_that_the_schema_hides_is_fine(workspace: Path) -> None:
    outcome = validate(workspace, HEADER + "participant_id,a,y\nage_years,a,\n")
    assert about_the_dictionary(outcome) == []
    assert "source.unclaimed" not in outcome.out


def test_a_marked_column_that_the_schema_releases_stops_the_build(workspace: Path) -> None:
    outcome = validate(workspace, HEADER + "participant_id,a,y\nage_years,a,y\n")
    assert outcome.code == 1
    assert about_the_dictionary(outcome) == [("identifier.marked", "age_years")]


@pytest.mark.parametrize("content", [None, "SECRET,b\n1,2\n"])
def test_without_its_dictionary_nothing_is_known_to_be_free(workspace: Path, content: str | None) -> None:
    outcome = validate(workspace, content)
    assert outcome.code == 2
    assert about_the_dictionary(outcome) == [("file.refused", None)]
    assert "SECRET" not in outcome.said
