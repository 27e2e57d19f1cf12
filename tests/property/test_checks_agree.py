"""pandera as the oracle of the fast checks: both find the same on random tables."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_kit import PARTICIPANT, column, table_schema

from sensai_release.table.checks import check_table, column_profile, merge_profiles
from sensai_release.table.pandera_gate import validate_with_pandera

SCHEMA = table_schema(
    column("id", "string", identifier=PARTICIPANT),
    column("visit", "integer", minimum=1, maximum=3, nullable=True),
    column("karnofsky", "integer", minimum=0, maximum=100, step=10),
    column("sex", "category", categories=["F", "M", "X"], nullable=True),
    column("AU01_r", nullable=True),
    column("AU\\d\\d_r", minimum=0, maximum=5),
    column("seen", "boolean"),
    column("day", "date", nullable=True),
    primary_key=["id", "visit"],
)
IDENTIFIERS = st.sampled_from(["P1", "p1", " P1", "P-2", "P\u200b1", "17", "\uff30\uff11", "P3", "P1\n", "\u00df1", ""])
TEXT = st.text(max_size=3)
INTEGERS = st.one_of(st.integers(-2, 4), st.integers(-(2**63), 2**63 - 1))
FLOATS = st.one_of(st.floats(), st.sampled_from([0.0, 5.0, -1e-9, 5.000001]))
KINDS = {
    "id": (pa.string(), st.one_of(IDENTIFIERS, TEXT)),
    "visit": (pa.int64(), INTEGERS),
    "karnofsky": (pa.int64(), st.one_of(st.sampled_from([0, 70, 100, 75, -10, 110]), INTEGERS)),
    "sex": (pa.string(), st.one_of(st.sampled_from(["F", "M", "X", "f"]), TEXT)),
    "AU01_r": (pa.float64(), FLOATS),
    "AU02_r": (pa.float64(), FLOATS),
    "seen": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.integers(-1000, 1000)),
}


@st.composite
def things(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 8))
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), unique=True))
    columns = {}
    for name in names:
        kind, values = KINDS[name]
        cells = st.lists(st.one_of(st.none(), values), min_size=rows, max_size=rows)
        columns[name] = pa.array(draw(cells), kind, from_pandas=False)
    return pa.table(columns)


@settings(max_examples=120, deadline=None)
@given(things())
def test_both_gates_find_the_same(table: pa.Table) -> None:
    assert check_table(table, SCHEMA, place="f") == validate_with_pandera(table, SCHEMA, place="f")


@settings(max_examples=60, deadline=None)
@given(things(), st.integers(0, 8))
def test_profiles_of_parts_merge_into_that_of_the_whole(table: pa.Table, cut: int) -> None:
    parts = [column_profile(part, SCHEMA) for part in (table.slice(0, cut), table.slice(cut))]
    assert merge_profiles(parts) == merge_profiles([column_profile(table, SCHEMA)])


@pytest.mark.parametrize("visits", [[2**53 + 1], [2**53 + 1] * 2, [2**53 + 1, 2**53 + 2], [-(2**63), 2**63 - 1]])
def test_whole_numbers_that_no_float_holds(visits: list[int]) -> None:
    # With one row of all of these columns, in this order, pandera fails over its own failure cases.
    cells = {"AU01_r": None, "AU02_r": None, "id": "P1", "visit": 0, "sex": None, "day": None, "karnofsky": None}
    columns = {name: pa.array([cell] * len(visits), KINDS[name][0]) for name, cell in cells.items()}
    table = pa.table({**columns, "visit": pa.array(visits, pa.int64()), "seen": pa.array([False] * len(visits))})
    found = validate_with_pandera(table, SCHEMA, place="f")
    assert found == check_table(table, SCHEMA, place="f")
    assert ("key.duplicate" in {finding.code for finding in found}) == (len(set(visits)) < len(visits))
