"""A release tells by itself which of its tables hold persons and sessions, whatever a study calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sensai_release.errors import ReleaseFormatError
from sensai_release.privacy.links import Links
from sensai_release.release.comparison.diff import diff_releases
from sensai_release.release.told_links import told_links

Tables = dict[str, pa.Table]
NAMES = {
    "participants": "patients",
    "participant_id": "study_number",
    "sessions": "visits",
    "session_id": "visit_number",
}


def renamed(dictionaries: dict[str, Any]) -> dict[str, Any]:
    """The same study as another hospital would have named it."""
    text = json.dumps(dictionaries)
    for old, new in NAMES.items():
        text = text.replace(f'"{old}', f'"{new}').replace(f".{old}", f".{new}")
    return {document["table"]: document for document in json.loads(text).values()}


def renamed_tables(tables: Tables) -> Tables:
    return {
        NAMES.get(name, name): table.rename_columns([NAMES.get(column, column) for column in table.column_names])
        for name, table in tables.items()
    }


def test_the_names_of_the_default_study(dictionaries: Any, tmp_path: Path) -> None:
    assert told_links(tmp_path, dictionaries) == Links()


def test_other_names(dictionaries: Any, tmp_path: Path) -> None:
    found = told_links(tmp_path, renamed(dictionaries))
    assert found == Links(persons="patients", person_key="study_number", sessions="visits", session_key="visit_number")


def test_sessions_gained_and_lost_under_other_names(
    tables: Tables, dictionaries: Any, write_release: Any, shrink: Callable[[Tables, int], Tables]
) -> None:
    other = renamed(dictionaries)
    old = write_release(renamed_tables(tables), dictionaries=other)
    new = write_release(renamed_tables(shrink(tables, 12)), "2.0.0", dictionaries=other)
    found = diff_releases(old, new)
    assert (found.participants, found.sessions) == ({"added": 0, "removed": 12}, {"added": 0, "removed": 24})


def test_a_table_of_sessions_that_got_another_name(tables: Tables, dictionaries: Any, write_release: Any) -> None:
    old = write_release(tables)
    new = write_release(renamed_tables(tables), "2.0.0", dictionaries=renamed(dictionaries))
    assert diff_releases(old, new).sessions == {"added": 48, "removed": 48}


def test_without_any_session_nothing_is_said_of_them(tables: Tables, dictionaries: Any, write_release: Any) -> None:
    only = {"participants": tables["participants"]}
    own = {"participants": dictionaries["participants"]}
    roots = [write_release(only, version, dictionaries=own) for version in ("1.0.0", "2.0.0")]
    assert diff_releases(*roots).sessions == {}


def test_folds_are_not_the_table_of_persons(dictionaries: Any, tmp_path: Path) -> None:
    folds = dictionaries["participants"] | {
        "table": "a_fold",
        "foreign_keys": [{"column": "participant_id", "references": "participants.participant_id"}],
    }
    assert told_links(tmp_path, {"a_fold": folds, **dictionaries}) == Links()


def admissions(dictionaries: dict[str, Any]) -> dict[str, Any]:
    """A second table with rows of persons and a key of its own, to which as many tables refer."""
    own = dictionaries["sessions"] | {"table": "admissions", "primary_key": ["admission_id"]}
    follow = [{"column": "admission_id", "references": "admissions.admission_id"}]
    more = {
        name: dictionaries["pain_scores"] | {"table": name, "foreign_keys": follow, "primary_key": []}
        for name in ("bills", "meals")
    }
    return {"admissions": own, **more, **dictionaries}


def test_the_datasheet_says_which_of_two_tables_holds_the_sessions(dictionaries: Any, tmp_path: Path) -> None:
    both = admissions(dictionaries)
    guessed = told_links(tmp_path, both)
    assert guessed is not None
    assert guessed.sessions == "admissions"
    stated = {"facts": {"context": {"sessions_table": "sessions"}}}
    (tmp_path / "datasheet.json").write_text(json.dumps(stated), encoding="utf-8")
    assert told_links(tmp_path, both) == Links()


@pytest.mark.parametrize(
    "sheet",
    [{}, {"facts": []}, {"facts": {"context": 3}}, {"facts": {"context": {"sessions_table": ["sessions"]}}},
     {"facts": {"context": {"sessions_table": "pain_scores"}}}, {"facts": {"context": {"sessions_table": "nothing"}}}],
)  # fmt: skip
def test_a_datasheet_that_does_not_help_is_passed_over(dictionaries: Any, tmp_path: Path, sheet: Any) -> None:
    (tmp_path / "datasheet.json").write_text(json.dumps(sheet), encoding="utf-8")
    assert told_links(tmp_path, dictionaries) == Links()


def test_a_datasheet_that_cannot_be_read(dictionaries: Any, tmp_path: Path) -> None:
    (tmp_path / "datasheet.json").write_text("[", encoding="utf-8")
    with pytest.raises(ReleaseFormatError, match=r"datasheet\.json"):
        told_links(tmp_path, dictionaries)


@pytest.mark.parametrize("odd", [None, "x", 3, [3], [None], {}, [{"references": 3}], [[]]])
def test_dictionaries_of_any_shape(dictionaries: Any, tmp_path: Path, odd: Any) -> None:
    for name in dictionaries:
        for key in ("primary_key", "person_key", "foreign_keys", "columns"):
            changed = dictionaries | {name: dictionaries[name] | {key: odd}}
            found = told_links(tmp_path, changed)
            assert found is None or found.persons in changed
    assert told_links(tmp_path, {}) is None
