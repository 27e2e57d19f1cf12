"""Persons who came, left or differ: counted per person, by group, and never so that few are told."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sensai_release.release.comparison import affected
from sensai_release.release.comparison.affected import persons_affected
from sensai_release.release.tables import ReleasedTables

Tables = dict[str, pa.Table]
NAMES = ("participants", "sessions", "pain_scores", "face_windows")


@pytest.fixture
def count(write_candidate: Callable[..., Path], dictionaries: Any) -> Callable[..., dict[str, Any]]:
    numbers = itertools.count()

    def run(old: Tables, new: Tables, minimum: int = 10) -> dict[str, Any]:
        sides = [
            ReleasedTables(write_candidate(tables, f"side-{next(numbers)}") / "data", dictionaries)
            for tables in (old, new)
        ]
        return persons_affected(sides[0], sides[1], NAMES, minimum=minimum).to_dict()

    return run


def scores_of(tables: Tables, persons: int) -> Tables:
    """The scores of the first persons changed; each has two sessions."""
    scores = tables["pain_scores"]
    values = scores["nrs_self"].to_pylist()
    moved = [(value + 1) % 11 if row < 2 * persons else value for row, value in enumerate(values)]
    return tables | {"pain_scores": scores.set_column(1, "nrs_self", pa.array(moved, pa.int64()))}


def test_nothing_differs(tables: Tables, count: Any) -> None:
    reversed_rows = {name: table.take(pa.array(range(len(table) - 1, -1, -1))) for name, table in tables.items()}
    found = count(tables, reversed_rows)
    assert found["changed"] == 0
    assert found["groups"] == {
        "participants.group": {value: {"added": 0, "removed": 0, "changed": 0} for value in ("pain", "control")}
    }


@pytest.mark.parametrize(("persons", "shown"), [(1, "<10"), (9, "<10"), (10, 10), (14, 14), (15, ">=10"), (24, 24)])
def test_persons_who_differ(tables: Tables, count: Any, persons: int, shown: Any) -> None:
    assert count(tables, scores_of(tables, persons))["changed"] == shown


def test_while_few_differ_every_group_is_masked(tables: Tables, count: Any) -> None:
    one = count(tables, scores_of(tables, 1))["groups"]["participants.group"]
    assert {ways["changed"] for ways in one.values()} == {"<10"}


def test_a_group_is_counted_where_many_differ(tables: Tables, count: Any) -> None:
    everybody = count(tables, scores_of(tables, 24))["groups"]["participants.group"]
    assert {value: ways["changed"] for value, ways in everybody.items()} == {"pain": 12, "control": 12}


def test_no_group_that_few_are_left_of_is_counted(tables: Tables, count: Any) -> None:
    """22 of 24: eleven of twelve in each group, so that each number would give away the one who did not change."""
    groups = count(tables, scores_of(tables, 22))["groups"]["participants.group"]
    assert {ways["changed"] for ways in groups.values()} == {">=10"}


def test_who_left_and_who_came(tables: Tables, shrink: Any, count: Any) -> None:
    fewer = shrink(tables, 3)
    assert count(tables, fewer)["groups"]["participants.group"]["pain"]["removed"] == "<10"
    assert count(fewer, tables)["groups"]["participants.group"]["pain"]["added"] == "<10"
    # Who is gone is not among those who stayed and changed.
    assert count(tables, fewer)["changed"] == 0


def test_rows_of_nobody_are_no_person(tables: Tables, count: Any) -> None:
    orphan = tables["face_windows"].slice(0, 1)
    orphan = orphan.set_column(0, "session_id", pa.array(["S" + "0" * 17]))
    more = tables | {"face_windows": pa.concat_tables([tables["face_windows"], orphan])}
    assert count(tables, more)["changed"] == 0


def test_a_row_twice_is_a_difference(tables: Tables, count: Any) -> None:
    windows = tables["face_windows"]
    again = tables | {"face_windows": pa.concat_tables([windows, windows.slice(0, 36)])}
    # 36 windows: six persons with two sessions of three.
    assert count(tables, again)["changed"] == "<10"
    assert count(tables, again, minimum=2)["changed"] == 6


def test_a_large_table_is_named_and_not_counted(tables: Tables, count: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affected, "MOST_ROWS", 100)
    found = count(tables, scores_of(tables, 24))
    assert found["not_counted"] == ["face_windows"]
    assert found["changed"] == 24


def test_no_key_is_in_the_result(tables: Tables, count: Any) -> None:
    text = json.dumps(count(tables, scores_of(tables, 3)))
    people = pc.unique(tables["participants"]["participant_id"]).to_pylist()
    assert not any(person in text for person in people)


@pytest.mark.parametrize(("elsewhere", "shown"), [(0, 10), (1, ">=10"), (4, ">=10")])
def test_no_few_persons_are_left_when_counts_are_subtracted(
    tables: Tables, count: Any, elsewhere: int, shown: int | str
) -> None:
    """Ten have another group, which the difference of that table counts; some more differ in another table alone."""
    sides = []
    for group in ("pain", "control"):
        groups = pa.array([group if number < 10 else "control" for number in range(24)])
        sides.append(tables | {"participants": tables["participants"].set_column(1, "group", groups)})
    scores = tables["pain_scores"]["nrs_self"].to_pylist()
    for person in range(10, 10 + elsewhere):
        scores[2 * person] = (scores[2 * person] + 1) % 11
    sides[1]["pain_scores"] = tables["pain_scores"].set_column(1, "nrs_self", pa.array(scores, pa.int64()))
    found = count(*sides)
    assert found["changed"] == shown
    # Everybody is in one group, so that the groups tell the number of all.
    assert found["groups"]["participants.group"]["control"]["changed"] == shown
