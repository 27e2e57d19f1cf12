"""The number of a release may not say less than what changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sensai_release.release.comparison.diff import diff_releases
from sensai_release.release.comparison.versions import Version, bump_of, reasons, required_bump, smallest, understates

Tables = dict[str, pa.Table]
Change = Callable[[Tables], Tables]


def dropped(tables: Tables, name: str, column: str) -> Tables:
    return tables | {name: tables[name].drop_columns([column])}


def moved(tables: Tables) -> Tables:
    scores = tables["pain_scores"]
    values = pa.array([(value + 1) % 11 for value in scores["nrs_self"].to_pylist()], pa.int64())
    return tables | {"pain_scores": scores.set_column(1, "nrs_self", values)}


def retyped(tables: Tables) -> Tables:
    scores = tables["pain_scores"]
    return tables | {"pain_scores": scores.set_column(1, "nrs_self", scores["nrs_self"].cast(pa.float64()))}


@pytest.mark.parametrize(
    ("change", "bump"),
    [
        (lambda tables: tables, "patch"),
        (moved, "minor"),
        (retyped, "major"),
        (lambda tables: dropped(tables, "participants", "age_band"), "major"),
        (lambda tables: {name: table for name, table in tables.items() if name != "face_windows"}, "major"),
        (lambda tables: tables | {"face_windows": tables["face_windows"].slice(3)}, "minor"),
    ],
)
def test_what_a_change_asks_for(tables: Tables, write_release: Any, change: Change, bump: str) -> None:
    assert required_bump(diff_releases(write_release(tables), write_release(change(tables), "9.0.0"))) == bump


def test_persons_who_come_and_go(tables: Tables, write_release: Any, shrink: Any) -> None:
    many, few = write_release(tables), write_release(shrink(tables, 1), "1.1.0")
    assert reasons(diff_releases(many, few, tests=False)) == ("major", "persons were removed")
    assert reasons(diff_releases(few, many))[0] == "minor"
    # What a published report says, rounded, asks for the same.
    assert required_bump(diff_releases(many, few, coarse=True)) == "major"


@pytest.mark.parametrize(("k", "bump"), [(3, "major"), (11, "minor")])
def test_a_policy_that_changed(tables: Tables, write_release: Any, k: int, bump: str) -> None:
    releases: list[Path] = [write_release(tables), write_release(tables, "1.1.0")]
    for root, value in zip(releases, (5, k), strict=True):
        (root / "reports").mkdir()
        (root / "reports" / "policy.json").write_text(f'{{"k": {value}}}', encoding="utf-8")
    assert required_bump(diff_releases(*releases)) == bump


@pytest.mark.parametrize(
    ("old", "new", "required", "refused"),
    [
        ((1, 0, 0), (1, 0, 1), "patch", False),
        ((1, 0, 0), (1, 0, 1), "minor", True),
        ((1, 0, 0), (1, 1, 0), "minor", False),
        ((1, 0, 0), (1, 9, 9), "major", True),
        ((1, 9, 9), (2, 0, 0), "major", False),
        ((1, 0, 0), (3, 0, 0), "patch", False),
        ((0, 1, 0), (0, 2, 0), "major", True),
    ],
)
def test_a_number_that_says_too_little(old: Version, new: Version, required: Any, refused: bool) -> None:
    assert understates(old, new, required) is refused
    assert not understates(old, tuple(map(int, smallest(old, required).split("."))), required)  # type: ignore[arg-type]


def test_the_first_number_that_rises() -> None:
    assert [bump_of((1, 2, 3), new) for new in ((2, 0, 0), (1, 3, 0), (1, 2, 4))] == ["major", "minor", "patch"]
    assert [smallest((1, 2, 3), step) for step in ("major", "minor", "patch")] == ["2.0.0", "1.3.0", "1.2.4"]
