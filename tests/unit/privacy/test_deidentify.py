from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable

import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError, IdentifierError, InputError
from sensai_release.privacy.deidentify import apply_plan, search_levels, sort_by_key
from sensai_release.privacy.keyfile import RootKey
from sensai_release.privacy.policy import plan_table
from sensai_release.privacy.pseudonyms import Pseudonymiser
from sensai_release.table.schema import Hierarchy, Identifier, TableSchema

from .conftest import column, key

Make = Callable[..., TableSchema]
Levels = dict[str, Hierarchy]
MAKER = Pseudonymiser(RootKey(secret=hashlib.sha256(b"k").digest(), key_id="0" * 16), "S", "s")


def pseudonyms(count: int) -> list[str]:
    raw = pa.array([f"A{n}" for n in range(count)])
    mapping = MAKER.table_for(raw, Identifier(kind="participant", prefix="P", pattern="[A-Z][0-9]+"), "people.id")
    return MAKER.replace(raw, mapping).to_pylist()  # type: ignore[no-any-return]


def schema_with(make_schema: Make) -> TableSchema:
    tier1 = {"role": "quasi_identifier", "tier": 1}
    return make_schema(
        [
            key("id"),
            column("age", **tier1, action={"do": "generalise", "hierarchy": "age", "as": "age_band"}),
            column("sex", **tier1, dtype="category", categories=["F", "M"]),
            column("w", action="drop"),
            column("", derive={"name": "double", "expression": "w * 2"}, action={"do": "round", "digits": 1}),
            column("drug", dtype="category", categories=["m", "p"], action=[
                {"do": "map", "hierarchy": "drug", "level": 2},
                {"do": "generalise", "hierarchy": "drug", "as": "finest"},
            ]),
            column("score", action={"do": "bin", "edges": [5], "missing": "refuse"}),
            column("day", dtype="date", action=[
                {"do": "ordinal", "within": "id", "as": "nth"}, {"do": "relative_day", "within": "id", "days": 1}
            ]),
        ],
        primary_key=["id"],
    )  # fmt: skip


def table(count: int = 12) -> pa.Table:
    return pa.table(
        {
            "id": pseudonyms(count),
            "age": pa.array([35] * (count - 1) + [77], pa.float64()),
            "sex": ["F"] * count,
            "w": pa.array([7.0] * (count - 1) + [None]),
            "drug": ["m"] * count,
            "score": [5.0] * count,
            "day": pa.array([dt.date(2025, 1, 1)] * count),
        }
    )


def test_every_action_in_its_place(make_schema: Make, hierarchies: Levels) -> None:
    schema = schema_with(make_schema)
    source = table()
    plan = plan_table(schema, schema.releases[0], "controlled", source.column_names, hierarchies)
    choice = search_levels(source, plan, k=5, max_suppressed=0.05)
    assert choice.levels == {"age_band": 2}
    made = apply_plan(source, plan, choice)
    assert made.column_names == ["id", "age_band", "sex", "double", "drug", "finest", "score", "nth", "day"]
    assert made.to_pylist()[0] == {
        "id": source["id"][0].as_py(), "age_band": "*", "sex": "F", "double": 10.0, "drug": "drug",
        "finest": "opioid", "score": ">=5", "nth": 1, "day": 0,
    }  # fmt: skip
    assert made["double"].to_pylist()[-1] is None
    assert source.equals(table())


def test_suppression_reaches_the_released_cells(make_schema: Make, hierarchies: Levels) -> None:
    schema = schema_with(make_schema)
    source = table(40)
    ages = [35] * 20 + [45] * 15 + [29, 29, 55, 55, 55]
    source = source.set_column(1, "age", pa.array(ages, pa.float64()))
    plan = plan_table(schema, schema.releases[0], "controlled", source.column_names, hierarchies)
    choice = search_levels(source, plan, k=5, max_suppressed=0.2)
    assert choice.levels == {"age_band": 0}
    assert choice.suppressed == (35, 36, 37, 38, 39)
    assert apply_plan(source, plan, choice)["age_band"].to_pylist() == ["[30,40)"] * 20 + ["[40,50)"] * 15 + [None] * 5


def test_fixed_tier_1_columns_count_in_the_search(make_schema: Make, hierarchies: Levels) -> None:
    schema = schema_with(make_schema)
    source = table().set_column(2, "sex", pa.array(["F"] * 8 + ["M"] * 4))
    plan = plan_table(schema, schema.releases[0], "controlled", source.column_names, hierarchies)
    assert not search_levels(source, plan, k=5, max_suppressed=0.0).found
    assert search_levels(source, plan, k=4, max_suppressed=0.0).found


def test_nothing_is_released_without_levels(make_schema: Make, hierarchies: Levels) -> None:
    schema = schema_with(make_schema)
    source = table(4)
    plan = plan_table(schema, schema.releases[0], "controlled", source.column_names, hierarchies)
    for choice in (None, search_levels(source, plan, k=5, max_suppressed=0.0)):
        with pytest.raises(ConfigurationError, match="no choice of levels"):
            apply_plan(source, plan, choice)


@pytest.mark.parametrize("raw", ["A1", "P123", "SYN0001", None, "P" + "0" * 17 + "\n", "S" + "0" * 17])
def test_a_raw_identifier_goes_no_further(make_schema: Make, hierarchies: Levels, raw: str | None) -> None:
    schema = make_schema([key("id")])
    plan = plan_table(schema, schema.releases[0], "controlled", ["id"], hierarchies)
    with pytest.raises(IdentifierError, match="no pseudonym") as caught:
        apply_plan(pa.table({"id": pa.array([*pseudonyms(3), raw])}), plan)
    assert raw is None or raw not in str(caught.value)
    assert apply_plan(pa.table({"id": pseudonyms(3)}), plan).num_rows == 3


def test_missing_refused(make_schema: Make, hierarchies: Levels) -> None:
    schema = make_schema([column("a", action={"do": "keep", "missing": "refuse"})])
    plan = plan_table(schema, schema.releases[0], "controlled", ["a"], hierarchies)
    with pytest.raises(InputError, match=r"people\.a: 1 cells are missing"):
        apply_plan(pa.table({"a": [1.0, None]}), plan)


def test_a_recording_has_no_key_of_its_own(make_schema: Make, hierarchies: Levels) -> None:
    schema = make_schema(
        [key("rec", "session", "S"), column("a")],
        source={"file": "r/*.csv", "reader": "delimited", "row": "frame", "recording_key": "rec"},
    )
    plan = plan_table(schema, schema.releases[0], "controlled", ["a"], hierarchies)
    assert [c.output for c in plan.columns] == ["rec", "a"]
    assert apply_plan(pa.table({"a": [1.0]}), plan).column_names == ["a"]


def test_order_is_that_of_the_key() -> None:
    shuffled = pa.table({"id": ["b", "a", "c", "B"], "v": [1, 2, 3, 4]})
    assert sort_by_key(shuffled, ["id"])["id"].to_pylist() == ["B", "a", "b", "c"]
    same = pa.table({"id": ["b", "a", "b"], "v": [2.0, 9.0, None]})
    assert sort_by_key(same, ["id"]).to_pylist() == sort_by_key(same.take([2, 1, 0]), ["id"]).to_pylist()
    assert sort_by_key(same, []).to_pylist() == sort_by_key(same.take([1, 0, 2]), []).to_pylist()
