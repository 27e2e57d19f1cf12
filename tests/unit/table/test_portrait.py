"""Tenths of ranges and facts of recordings: right at the edges, and set by no single cell."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_kit import column, table_schema

from sensai_release.table.checks import column_profile
from sensai_release.table.portrait import OUTSIDE, TENTHS, places, ranged_columns, recording_facts, tenths
from sensai_release.table.schema import TableSchema, WindowSpec

SCORE = column("score", minimum=0, maximum=10, nullable=True)
WINDOW = WindowSpec(seconds=5, time="time", valid="ok")


def numbers(**cells: list[Any]) -> pa.Table:
    return pa.table({name: pa.chunked_array([pa.array(values, pa.float64())]) for name, values in cells.items()})


@pytest.mark.parametrize(
    ("value", "place"),
    [(0, 0), (0.99, 0), (1, 1), (9.99, 9), (10, 9), (10.01, OUTSIDE), (-0.01, OUTSIDE), (None, OUTSIDE)],
)
def test_the_place_of_a_cell(value: float | None, place: int) -> None:
    spec = table_schema(SCORE).columns[0]
    assert places(numbers(score=[value]).column("score"), spec).tolist() == [place]


def test_integers_with_missing_cells_are_placed_too() -> None:
    schema = table_schema(column("score", "integer", minimum=-5, maximum=5, nullable=True))
    table = pa.table({"score": pa.chunked_array([pa.array([-5, None, 0], pa.int64()), pa.array([5, 6], pa.int64())])})
    assert tenths(table, schema) == {"score": [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]}


def test_an_empty_table_has_empty_tenths() -> None:
    assert tenths(numbers(score=[]), table_schema(SCORE)) == {"score": [0] * TENTHS}


@pytest.mark.parametrize(
    "entry",
    [
        column("score"),
        column("score", minimum=0),
        column("score", maximum=1),
        column("score", "string"),
    ],
)
def test_columns_without_two_bounds_have_no_tenths(entry: dict[str, Any]) -> None:
    table = pa.table({"score": ["a"]}) if entry["dtype"] == "string" else numbers(score=[1])
    assert ranged_columns(table, table_schema(entry)) == {}


def test_a_column_of_another_type_than_declared_has_none() -> None:
    assert tenths(pa.table({"score": ["4"]}), table_schema(SCORE)) == {}


@given(st.lists(st.none() | st.floats(-20, 20), max_size=50))
def test_every_cell_in_range_is_in_one_tenth(cells: list[float | None]) -> None:
    counts = tenths(numbers(score=cells), table_schema(SCORE))["score"]
    assert sum(counts) == sum(cell is not None and 0 <= cell <= 10 for cell in cells)


def facts_of(table: pa.Table, window: WindowSpec | None = WINDOW) -> dict[str, Any]:
    schema: TableSchema = table_schema(column("time"), column("ok", nullable=True), column("au", nullable=True))
    return recording_facts(table, window, column_profile(table, schema))


def test_facts_of_a_recording() -> None:
    table = numbers(time=[0, 1, 2, 3], ok=[1, 0, 1, None], au=[0.5, None, 1, None])
    assert facts_of(table) == {"seconds": 4, "lost": 0.5, "missing": 0.25}


def test_no_single_cell_sets_the_seconds() -> None:
    planted = 987_654.25
    assert facts_of(numbers(time=[0, 1, 2, 3, planted]))["seconds"] == 5
    assert facts_of(numbers(time=[0, planted, 2, 3]))["seconds"] is None
    assert facts_of(numbers(time=[0, planted]))["seconds"] is None
    assert facts_of(numbers(time=[planted, planted + 1, planted + 2, planted + 3]))["seconds"] == 4


@pytest.mark.parametrize("times", [[], [4], [0, 0, 0], [None, None]])
def test_time_that_does_not_pass_gives_no_seconds(times: list[float | None]) -> None:
    assert facts_of(numbers(time=times))["seconds"] is None


def test_what_a_table_does_not_tell_is_unknown() -> None:
    unknown = {"seconds": None, "lost": None, "missing": 0.0}
    assert facts_of(numbers(au=[1, 2])) == unknown
    assert facts_of(numbers(time=[0, 1]), window=None) == unknown
    assert facts_of(numbers(au=[])) == {"seconds": None, "lost": None, "missing": None}
