"""Which tenths of a range may be shown: counted in persons, and never one masked alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensai_release.pipeline.portrait import column_ranges, mask_tenths
from sensai_release.pipeline.source import SourceFile
from sensai_release.pipeline.workspace import Workspace
from sensai_release.table.findings import MASKED, ColumnRange

ROOT = Path(__file__).parents[3]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    return Workspace(root=tmp_path)


@pytest.mark.parametrize(
    ("cells", "persons", "shown"),
    [
        ([50, 50, 0], [20, 20, 0], (50, 50, 0)),
        ([90, 5, 5], [20, 2, 3], (90, MASKED, MASKED)),
        ([60, 35, 5], [20, 12, 9], (60, MASKED, MASKED)),
        ([95, 5, 0], [20, 9, 0], (MASKED, MASKED, 0)),
        ([0, 5, 0], [0, 9, 0], (MASKED, MASKED, 0)),
        ([10_000, 1, 0], [20, 10, 0], (100, 1, 0)),
        ([0, 0, 0], [0, 0, 0], (0, 0, 0)),
    ],
    ids=["none", "two", "a second", "the only other", "an empty one", "at least one", "nothing"],
)
def test_masking(cells: list[int], persons: list[int], shown: tuple[int | str, ...]) -> None:
    assert mask_tenths(np.array(cells), np.array(persons), 10) == shown


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 50)), min_size=10, max_size=10))
def test_a_small_tenth_is_never_shown_nor_masked_alone(pairs: list[tuple[int, int]]) -> None:
    persons = np.array([people for people, _ in pairs])
    cells = np.array([people * each for people, each in pairs])
    shown = mask_tenths(cells, persons, 10)
    small = [place for place, people in enumerate(persons) if 0 < people < 10]
    assert all(shown[place] == MASKED for place in small)
    assert len([share for share in shown if share == MASKED]) >= (2 if small else 0)
    assert small or MASKED not in shown


def sessions(persons: int, each: int) -> pa.Table:
    names = [f"P{person}" for person in range(persons) for _ in range(each)]
    keys = [f"S{number}" for number in range(persons * each)]
    return pa.table({"session_id": pa.chunked_array([keys]), "participant_id": pa.chunked_array([names])})


def scores(table: pa.Table) -> pa.Table:
    cells = pa.chunked_array([pa.array([3] * table.num_rows, pa.int64())])
    return pa.table({"session_id": table.column("session_id"), "nrs_self": cells})


def the_range(found: tuple[ColumnRange, ...], column: str) -> ColumnRange:
    return next(entry for entry in found if entry.column == column)


@pytest.mark.parametrize(
    ("persons", "each", "shown"),
    [(12, 1, (0, 0, 0, 100, 0, 0, 0, 0, 0, 0)), (9, 4, (MASKED, 0, 0, MASKED, 0, 0, 0, 0, 0, 0))],
)
def test_sessions_of_a_table_are_counted_by_their_persons(
    workspace: Workspace, persons: int, each: int, shown: tuple[int | str, ...]
) -> None:
    linking = sessions(persons, each)
    tables = {"sessions": linking, "pain_scores": scores(linking)}
    assert the_range(column_ranges(workspace, tables, {}, {}), "nrs_self").tenths == shown


def test_nothing_is_shown_while_the_persons_are_unknown(workspace: Workspace) -> None:
    found = column_ranges(workspace, {"pain_scores": scores(sessions(30, 1))}, {}, {})
    assert set(the_range(found, "nrs_self").tenths) == {MASKED, 0}


def test_the_persons_own_key_needs_no_sessions(workspace: Workspace) -> None:
    ages = pa.chunked_array([pa.array([40.0] * 15, pa.float64())])
    names = pa.chunked_array([[f"P{number}" for number in range(15)]])
    found = column_ranges(workspace, {"participants": pa.table({"participant_id": names, "height_cm": ages})}, {}, {})
    assert found == ()  # 40 cm lies below the range: no cell is left to show
    tall = pa.chunked_array([pa.array([170.0] * 15, pa.float64())])
    found = column_ranges(workspace, {"participants": pa.table({"participant_id": names, "height_cm": tall})}, {}, {})
    assert 100 in the_range(found, "height_cm").tenths


def test_recordings_are_counted_by_the_persons_of_their_sessions(workspace: Workspace) -> None:
    files = [
        SourceFile(table="face", path=Path(f"s{number}.csv"), place=f"#{number}", unit=str(number), signature="")
        for number in range(22)
    ]
    low, high = [30] + [0] * 9, [10, 0, 0, 0, 0, 0, 0, 0, 0, 20]
    outcomes = {
        file.unit: {"stored": number != 21, "tenths": {"AU01_r": high if number < 3 else low}}
        for number, file in enumerate(files)
    }
    found = column_ranges(workspace, {"sessions": sessions(11, 2)}, {"face": files}, outcomes)
    # Two persons reach the last tenth; with the first masked beside it nothing is left to subtract from.
    assert the_range(found, "AU01_r").tenths == (MASKED, *[0] * 8, MASKED)
    assert the_range(found, "AU01_r").unit == workspace.schemas["face"].named("AU01_r").unit
