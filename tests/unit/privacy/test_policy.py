from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.dictionary import data_dictionary
from sensai_release.privacy.policy import TablePlan, needed_columns, plan_table
from sensai_release.table.schema import Hierarchy, SchemaSet, TableSchema, load_schemas

from .conftest import column, key

Make = Callable[..., TableSchema]
Levels = dict[str, Hierarchy]
WINDOWS = {"people": {"profiles": ["controlled"], "window": {"seconds": 5, "time": "t", "valid": "ok"}}}
TWICE = column("", derive={"name": "d", "expression": "a * 2"})
ROUND = {"do": "round", "digits": 3, "missing": "refuse"}
AGE = {"do": "generalise", "hierarchy": "age", "as": "age_band"}


def plan(schema: TableSchema, columns: list[str], hierarchies: Levels, profile: str = "controlled") -> TablePlan:
    return plan_table(schema, schema.releases[0], profile, columns, hierarchies)


def test_plan_follows_the_schema_and_drops_what_it_says(make_schema: Make, hierarchies: Levels) -> None:
    schema = make_schema(
        [
            key("id"),
            column("secret", action="drop"),
            column("age", action=AGE),
            column("", pattern="f[0-9]"),
            column(
                "day",
                dtype="datetime",
                action=[
                    {"do": "ordinal", "within": "id", "as": "nth"},
                    {"do": "relative_day", "within": "id", "days": 2},
                ],
            ),
        ]
    )
    made = plan(schema, ["f2", "day", "secret", "age", "f1", "id"], hierarchies)
    assert [(c.source, c.output, c.action.do) for c in made.columns] == [
        ("id", "id", "pseudonymise"),
        ("age", "age_band", "generalise"),
        ("f2", "f2", "keep"),
        ("f1", "f1", "keep"),
        ("day", "nth", "ordinal"),
        ("day", "day", "relative_day"),
    ]
    assert made.columns[1].hierarchy is hierarchies["age"]


BAD: list[tuple[str, list[dict[str, Any]], list[str], dict[str, Any]]] = [
    ("no entry matches", [key("id")], ["id", "Jansen, P."], {}),
    ("nobody has decided", [key("id"), column("a", **{"class": "undecided"}, action="drop")], ["id", "a"], {}),
    ("has no action for 'people' under 'controlled'", [column("a", action={"people@strict": "keep"})], ["a"], {}),
    ("must never leave", [column("a", **{"class": "X"})], ["a"], {}),
    ("is a direct identifier", [column("a", role="direct_identifier")], ["a"], {}),
    ("two columns named b", [column("a", action={"do": "keep", "as": "b"}), column("b")], ["a", "b"], {}),
    ("would have no column", [column("a", action="drop")], ["a"], {}),
    ("is no number", [column("a", dtype="category", categories=["x"], action={"do": "round", "digits": 2})], ["a"], {}),
    ("is no number", [column("a", dtype="string", action={"do": "bin", "edges": [1]})], ["a"], {}),
    ("edges that do not rise", [column("a", action={"do": "bin", "edges": [2, 1]})], ["a"], {}),
    ("edges that do not rise", [column("a", action={"do": "bin", "edges": [1, 1]})], ["a"], {}),
    ("which is not there", [column("a", action={"do": "map", "hierarchy": "none"})], ["a"], {}),
    ("has intervals", [column("a", dtype="string", action=AGE)], ["a"], {}),
    ("has categories", [column("a", action={"do": "map", "hierarchy": "drug"})], ["a"], {}),
    (
        "lacks 1 of the column's categories",
        [column("a", dtype="category", categories=["m", "new"], action={"do": "map", "hierarchy": "drug"})],
        ["a"],
        {},
    ),
    (
        "level that its hierarchy lacks",
        [column("a", dtype="category", categories=["m"], action={"do": "map", "hierarchy": "drug", "level": 3})],
        ["a"],
        {},
    ),
    ("no 'identifier' entry", [column("a", dtype="string", action="pseudonymise")], ["a"], {}),
    ("absolute time", [column("a", dtype="datetime")], ["a"], {}),
    ("absolute time", [column("a", dtype="date")], ["a"], {}),
    ("is no date", [column("a", action={"do": "ordinal", "within": "a"})], ["a"], {}),
    ("is ordered within", [column("a", dtype="date", action={"do": "ordinal", "within": "b"})], ["a"], {}),
    ("needs windows", [column("a", action={"do": "window", "statistics": ["mean"]})], ["a"], {}),
    ("in a table of windows", [column("a")], ["a"], {"release": WINDOWS}),
    ("which is not there", [TWICE], [], {}),
    (
        "which is no number",
        [column("", derive={"name": "d", "expression": "a * 2"}), column("a", dtype="string")],
        ["a"],
        {},
    ),
    (
        "which must never leave",
        [TWICE, column("a", **{"class": "X"}, action="drop")],
        ["a"],
        {},
    ),
    ("not arithmetic", [column("", derive={"name": "d", "expression": "open(a)"}), column("a")], ["a"], {}),
]


@pytest.mark.parametrize(("words", "columns", "present", "entries"), BAD, ids=range(len(BAD)))
def test_default_is_to_refuse(
    make_schema: Make,
    hierarchies: Levels,
    words: str,
    columns: list[dict[str, Any]],
    present: list[str],
    entries: dict[str, Any],
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        plan(make_schema(columns, **entries), present, hierarchies)
    assert "Jansen" not in str(caught.value)
    assert "schemas/" in str(caught.value)


def test_a_profile_that_does_not_release_the_table(make_schema: Make, hierarchies: Levels) -> None:
    with pytest.raises(ConfigurationError, match="is not released under 'open'"):
        plan(make_schema([column("a")]), ["a"], hierarchies, profile="open")


def test_the_most_specific_action_wins(make_schema: Make, hierarchies: Levels) -> None:
    entry = {"default": "drop", "people": {"do": "round", "digits": 2}, "people@strict": "keep"}
    schema = make_schema([column("a", action=entry)], release={"people": {"profiles": ["controlled", "strict"]}})
    assert [c.action.do for c in plan(schema, ["a"], hierarchies).columns] == ["round"]
    assert [c.action.do for c in plan(schema, ["a"], hierarchies, "strict").columns] == ["keep"]


def test_needed_columns(make_schema: Make) -> None:
    schema = make_schema(
        [
            key("id"),
            key("other"),
            column("a"),
            column("b", action="drop"),
            column("c", action={"people@strict": "keep", "default": "drop"}),
            column("w", action="drop"),
            column("h", action="drop"),
            column("", derive={"name": "bmi", "expression": "w / h"}),
            column("x", action="drop"),
            column("y", action="drop"),
            column("group", dtype="string", action="drop"),
            column("when", dtype="datetime", action={"do": "ordinal", "within": "other"}),
            column("", pattern="f[0-9]"),
            column("", pattern="g[0-9]", action="drop"),
        ],
        primary_key=["id"],
        release={"people": {"profiles": ["controlled", "strict"]}},
        rules=[
            {"rule": "rows_per", "by": "x", "maximum": 1, "where": {"people.group": "control"}},
            {"rule": "equals", "column": "y", "value": 0},
        ],
    )
    expected = {"id", "other", "a", "w", "h", "x", "y", "group", "when", "f[0-9]"}
    assert needed_columns(schema, "controlled") == expected
    assert needed_columns(schema, "strict") == expected | {"c"}
    assert needed_columns(schema, "unknown") == {"id", "x", "y", "group"}


def test_needed_columns_of_windows_and_of_other_tables_rules(make_schema: Make) -> None:
    schema = make_schema(
        [
            column("t", action="drop"),
            column("ok", action="drop"),
            column("a", action={"do": "window", "statistics": ["mean"]}),
            column("joined", dtype="date", action="drop"),
        ],
        release=WINDOWS,
    )
    assert needed_columns(schema, "controlled") == {"t", "ok", "a"}
    other = make_schema(
        [column("seen", dtype="date", action="drop"), column("id")],
        table="visits",
        rules=[{"rule": "after", "column": "seen", "after": "people.joined"}],
    )
    both = SchemaSet(tables={"people": schema, "visits": other}, hierarchies={})
    assert needed_columns(schema, "controlled", schemas=both) == {"t", "ok", "a", "joined"}


def test_needed_columns_refuses_a_window_over_nothing(make_schema: Make) -> None:
    with pytest.raises(ConfigurationError, match="has no column 'ok'"):
        needed_columns(make_schema([column("a")], release=WINDOWS), "controlled")


def entries(schema: TableSchema, columns: list[str], hierarchies: Levels, **options: Any) -> dict[str, dict[str, Any]]:
    made = data_dictionary(plan(schema, columns, hierarchies), **options)
    return {entry["name"]: entry for entry in made["columns"]}


def test_dictionary_says_what_the_actions_make(make_schema: Make, hierarchies: Levels) -> None:
    schema = make_schema(
        [
            key("id"),
            column(
                "age", dtype="integer", role="quasi_identifier", tier=1, unit="year", minimum=18, maximum=99, action=AGE
            ),
            column("sex", dtype="category", categories=["F", "M"], nullable=True),
            column(
                "score",
                minimum=0,
                maximum=99.96,
                nullable=True,
                action={"do": "round", "digits": 3, "missing": "refuse"},
            ),
            column("count", dtype="integer", minimum=0, maximum=995, action={"do": "round", "digits": 2}),
            column("dose", unit="mg", action={"do": "bin", "edges": [5, 10]}),
            column("drug", dtype="category", categories=["m", "p"], action={"do": "map", "hierarchy": "drug"}),
            column(
                "day",
                dtype="date",
                action=[
                    {"do": "ordinal", "within": "id", "as": "nth"},
                    {"do": "relative_day", "within": "id", "days": 2},
                ],
            ),
        ],
        primary_key=["id"],
    )
    names = ["id", "age", "sex", "score", "count", "dose", "drug", "day"]
    made = entries(schema, names, hierarchies, levels={"age_band": 1})
    assert set(made["id"]) == {
        "name",
        "dtype",
        "unit",
        "nullable",
        "minimum",
        "maximum",
        "categories",
        "pattern",
        "description",
        "role",
        "tier",
        "class",
        "source",
        "action",
        "justification",
    }
    assert made["id"]["pattern"] == "P[0-9A-HJKMNP-TV-Z]{17}"
    assert (made["age_band"]["source"], made["age_band"]["tier"], made["age_band"]["unit"]) == ("age", 1, "year")
    assert made["age_band"]["categories"] == ["<40", ">=40"]
    assert made["age_band"]["nullable"] is True
    assert made["age_band"]["action"] == "generalise(hierarchy=age)"
    assert made["sex"]["categories"] == ["F", "M"]
    assert (made["score"]["minimum"], made["score"]["maximum"], made["score"]["nullable"]) == (0, 100, False)
    assert (made["count"]["dtype"], made["count"]["maximum"]) == ("integer", 1000)
    assert made["dose"]["categories"] == ["<5", "[5,10)", ">=10"]
    assert made["drug"]["categories"] == ["opioid", "other"]
    assert (made["nth"]["dtype"], made["nth"]["minimum"]) == ("integer", 1)
    assert (made["day"]["dtype"], made["day"]["minimum"], made["day"]["unit"]) == ("integer", 0, "day")
    assert entries(schema, names, hierarchies)["age_band"]["categories"] is None
    whole = data_dictionary(plan(schema, names, hierarchies), person_key="id")
    assert (whole["table"], whole["person_key"], whole["primary_key"]) == ("people", "id", ["id"])
    assert data_dictionary(plan(schema, names, hierarchies), person_key="other")["person_key"] is None


def test_dictionary_of_windows(make_schema: Make, hierarchies: Levels) -> None:
    statistics = ["mean", "sd", "min", "max", "median", "p10", "p90", "rate"]
    schema = make_schema(
        [
            column("t", action="drop"),
            column("ok", action="drop"),
            column(
                "au", minimum=0, maximum=5, unit="au", action={"do": "window", "statistics": statistics, "digits": 3}
            ),
            key("rec", "session", "S"),
        ],
        release=WINDOWS,
        source={"file": "r/*.csv", "reader": "delimited", "row": "frame", "recording_key": "rec"},
        primary_key=["rec", "t"],
    )
    made = data_dictionary(plan(schema, ["ok", "t", "au"], hierarchies))
    assert [entry["name"] for entry in made["columns"]] == [
        "rec",
        "window",
        "frames",
        "valid_share",
        *(f"au_{name}" for name in statistics),
    ]
    assert made["primary_key"] == ["rec", "window"]
    ranges = {entry["name"]: (entry["minimum"], entry["maximum"], entry["nullable"]) for entry in made["columns"]}
    for name in ("mean", "min", "max", "median", "p10", "p90"):
        assert ranges[f"au_{name}"] == (0, 5, True)
    assert ranges["au_sd"] == (0, None, True)
    assert ranges["au_rate"] == (0, 1, True)
    assert ranges["valid_share"] == (0, 1, False)
    assert ranges["frames"] == (1, None, False)


def test_the_default_workspace_can_be_planned_whole() -> None:
    schemas = load_schemas(Path(__file__).parents[3] / "schemas")
    for profile in ("controlled", "strict", "frame_level"):
        for schema in schemas.values():
            needed_columns(schema, profile, schemas=schemas)
            names = [spec.name for spec in schema.columns if spec.name is not None and not spec.is_derived]
            for release in schema.releases:
                if profile not in release.profiles:
                    continue
                made = plan_table(schema, release, profile, names, schemas.hierarchies)
                dictionary = data_dictionary(made, person_key="participant_id", schemas=schemas)
                released = [entry["name"] for entry in dictionary["columns"]]
                assert set(dictionary["primary_key"]) <= set(released)
                assert not {entry["class"] for entry in dictionary["columns"]} & {"undecided"}
                for entry in dictionary["columns"]:
                    assert entry["class"] != "X" or entry["action"].startswith(("pseudonymise", "ordinal", "relative"))


def test_foreign_keys_lead_only_to_what_is_released(make_schema: Make, hierarchies: Levels) -> None:
    visits = make_schema(
        [key("visit", "session", "S"), key("id")],
        table="visits",
        primary_key=["visit"],
        foreign_keys=[{"column": "id", "references": "people.id"}],
        release={"visits": {"profiles": ["controlled"]}},
    )
    made = plan_table(visits, visits.releases[0], "controlled", ["visit", "id"], hierarchies)
    assert data_dictionary(made)["foreign_keys"] == [{"column": "id", "references": "people.id"}]
    for release, expected in (
        ({"persons": {"profiles": ["controlled"]}}, [{"column": "id", "references": "persons.id"}]),
        ({"persons": {"profiles": ["strict"]}}, []),
    ):
        people = make_schema([key("id")], primary_key=["id"], release=release)
        schemas = SchemaSet(tables={"people": people, "visits": visits}, hierarchies={})
        assert data_dictionary(made, schemas=schemas)["foreign_keys"] == expected


def test_a_key_that_is_not_released_is_no_key(make_schema: Make, hierarchies: Levels) -> None:
    schema = make_schema([column("n", dtype="integer", action="drop"), column("a")], primary_key=["n"])
    assert data_dictionary(plan(schema, ["n", "a"], hierarchies))["primary_key"] == []
