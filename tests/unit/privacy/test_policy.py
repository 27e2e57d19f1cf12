from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.dictionary import data_dictionary
from sensai_release.privacy.in_force import dropped_entries, released_columns, tables_kept_back
from sensai_release.privacy.needed import needed_columns
from sensai_release.privacy.policy import TablePlan, check_policies, plan_table
from sensai_release.privacy.wording import in_words
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


def noise(**entries: Any) -> dict[str, Any]:
    return {"do": "noise", "sigma": 1.0, "digits": 3, **entries}


def when(**entries: Any) -> dict[str, Any]:
    return {"do": "suppress_local", "when": entries}


def difference(**entries: Any) -> dict[str, Any]:
    return {"do": "difference_from_reference", "reference": "first", "within": "id", "digits": 3, **entries}


RARE = {"do": "suppress_local", "when": {"fewer_than": 5}, "within": "id"}
KINDS = {"dtype": "category", "categories": ["m", "p"]}
KEYED = {"primary_key": ["id"]}
FRAMES = {
    "source": {"file": "r/*.csv", "reader": "delimited", "row": "frame", "recording_key": "id"},
    "primary_key": ["id", "n"],
}
NEW: list[tuple[str, list[dict[str, Any]], list[str], dict[str, Any]]] = [
    ("is no number, so noise", [key("id"), column("a", **KINDS, action=noise())], ["id", "a"], KEYED),
    ("is no number, so noise", [key("id"), column("a", dtype="boolean", action=noise())], ["id", "a"], KEYED),
    ("has noise, but its table no primary key", [key("id"), column("a", action=noise())], ["id", "a"], {}),
    ("begins with an identifier", [column("n"), column("a", action=noise())], ["n", "a"], {"primary_key": ["n"]}),
    (
        "is no whole number",
        [key("id"), column("n"), column("a", action=noise())],
        ["id", "n", "a"],
        {"primary_key": ["id", "n"]},
    ),
    ("is no number, so top_bottom", [column("a", **KINDS, action={"do": "top_bottom_code", "upper": 1})], ["a"], {}),
    ("not below the upper", [column("a", action={"do": "top_bottom_code", "lower": 2, "upper": 2})], ["a"], {}),
    ("outside the declared range", [column("a", maximum=5, action={"do": "top_bottom_code", "upper": 6})], ["a"], {}),
    ("outside the declared range", [column("a", minimum=5, action=when(below=4))], ["a"], {}),
    ("no whole number", [column("a", dtype="integer", action={"do": "top_bottom_code", "upper": 1.5})], ["a"], {}),
    ("no whole number", [column("a", dtype="integer", action=when(above=1.5))], ["a"], {}),
    ("have no meaning", [column("a", **KINDS, action=when(above=1))], ["a"], {}),
    ("1 values that are none", [column("a", **KINDS, action=when(values=["m", "q"]))], ["a"], {}),
    ("are no number", [column("a", action=when(values=["m"]))], ["a"], {}),
    ("are no number", [column("a", action=when(values=[True]))], ["a"], {}),
    ("are no category", [column("a", **KINDS, action=when(values=[1]))], ["a"], {}),
    ("absolute time", [column("a", dtype="date", action=when(values=["2025-01-01"]))], ["a"], {}),
    ("needs 'within'", [column("a", **KINDS, action=when(fewer_than=5))], ["a"], {}),
    ("and only then", [column("a", **KINDS, action={**when(values=["m"]), "within": "a"})], ["a"], {}),
    ("hardly repeats", [key("id"), column("a", action=RARE)], ["id", "a"], KEYED),
    ("within 'id', which is not there", [column("a", **KINDS, action=RARE)], ["a"], {}),
    ("is no number, so difference", [key("id"), column("a", **KINDS, action=difference())], ["id", "a"], KEYED),
    ("not one row a session", [key("id"), column("a", action=difference())], ["id", "a"], {}),
    (
        "a column that is not there",
        [key("id"), column("a", action=difference(reference={"people.b": 1}))],
        ["id", "a"],
        KEYED,
    ),
    (
        "rows of a recording are one person's",
        [key("id"), column("n", dtype="integer"), column("a", action=difference())],
        ["n", "a"],
        FRAMES,
    ),
    (
        "for every row of a recording",
        [key("id"), column("n", dtype="integer"), column("a", **{"class": "A"})],
        ["n", "a"],
        FRAMES,
    ),
    (
        "in a table of windows",
        [column("t", action="drop"), column("ok", action="drop"), column("a", action=noise())],
        ["t", "ok", "a"],
        {"release": WINDOWS},
    ),
]
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
    *NEW,
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


UNPARSED: list[tuple[str, Any]] = [
    ("accepted words", "blur"),
    ("accepted words: .*noise, top_bottom_code, suppress_local, difference_from_reference", {"do": "blur"}),
    ("lacks sigma", {"do": "noise", "digits": 3}),
    ("sigma", {"do": "noise", "sigma": 0, "digits": 3}),
    ("lacks digits", {"do": "noise", "sigma": 1}),
    ("digits", {"do": "noise", "sigma": 1, "digits": 12}),
    ("lower|upper", {"do": "top_bottom_code"}),
    ("unknown entry rare; accepted: fewer_than, values, below, above", when(rare=5)),
    ("when", {"do": "suppress_local", "when": {}}),
    ("fewer_than", when(fewer_than=1)),
    ("reference", difference(reference="last")),
    ("lacks within", {"do": "difference_from_reference", "reference": "first", "digits": 3}),
]


@pytest.mark.parametrize(("words", "action"), UNPARSED, ids=range(len(UNPARSED)))
def test_actions_that_the_schema_of_schemas_refuses(tmp_path: Path, words: str, action: Any) -> None:
    document = {
        "table": "people", "title": "People", "description": "People.",
        "source": {"file": "people.csv", "reader": "delimited", "row": "person"},
        "release": {"people": {"profiles": ["controlled"]}}, "columns": [column("a", action=action)],
    }  # fmt: skip
    (tmp_path / "people.yaml").write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_schemas(tmp_path)
    assert str(caught.value).startswith("schemas/people.yaml: columns.0.action")


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


def test_the_policies_of_the_default_workspace_are_sound() -> None:
    check_policies(load_schemas(Path(__file__).parents[3] / "schemas"), ("controlled", "strict", "frame_level"))


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("names the profile 'strikt', which params.yaml lacks", {"release": {"people": {"profiles": ["strikt"]}}}),
        ("has an action for the profile 'strct'", {"columns": [column("a", action={"people@strct": "drop"})]}),
        ("must never leave", {"columns": [column("b"), column("", pattern="f[0-9]", **{"class": "X"})]}),
        ("which is not there", {"columns": [column("b"), TWICE]}),
        ("two columns named b", {"columns": [column("b"), column("c", action={"do": "keep", "as": "b"})]}),
    ],
)  # fmt: skip
def test_unsound_policies_are_refused_before_any_data(make_schema: Make, words: str, changes: dict[str, Any]) -> None:
    schema = make_schema(**({"columns": [column("a")]} | changes))
    with pytest.raises(ConfigurationError, match=words) as caught:
        check_policies(SchemaSet(tables={"people": schema}, hierarchies={}), ("controlled", "strict"))
    assert str(caught.value).startswith("schemas/people.yaml: ")


def test_a_hierarchy_that_is_not_total_is_refused_before_any_data(make_schema: Make, hierarchies: Levels) -> None:
    generalised = column(
        "drug", dtype="category", categories=["m", "q"], action={"do": "generalise", "hierarchy": "drug"}
    )
    schemas = SchemaSet(tables={"people": make_schema([generalised])}, hierarchies=hierarchies)
    with pytest.raises(ConfigurationError, match=r"hierarchies/drug\.yaml: lacks 1 of the column's categories"):
        check_policies(schemas, ("controlled",))


def sessions_and_voice(make_schema: Make, within: str = "id", reference: Any = "first") -> SchemaSet:
    sessions = make_schema(
        [
            key("visit", "session", "S"),
            key("id"),
            column("at", dtype="datetime", action={"do": "ordinal", "within": "id", "as": "nth"}),
            column("prompt", dtype="category", categories=["m"], action="drop"),
        ],
        table="visits",
        primary_key=["visit"],
        release={"visits": {"profiles": ["strict"]}},
    )
    voice = make_schema(
        [key("visit", "session", "S"), column("f", action=difference(within=within, reference=reference))],
        table="voice",
        primary_key=["visit"],
        foreign_keys=[{"column": "visit", "references": "visits.visit"}],
        release={"voice": {"profiles": ["controlled"]}},
    )
    return SchemaSet(tables={"visits": sessions, "voice": voice}, hierarchies={})


def test_a_reference_needs_persons_order_and_condition_of_the_sessions(make_schema: Make) -> None:
    schemas = sessions_and_voice(make_schema)
    assert needed_columns(schemas["voice"], "controlled", schemas=schemas) == {"visit", "f"}
    # Not released under this profile, but read for the differences.
    assert needed_columns(schemas["visits"], "controlled", schemas=schemas) == {"visit", "id", "at"}
    schemas = sessions_and_voice(make_schema, reference={"visits.prompt": "m"})
    assert needed_columns(schemas["visits"], "controlled", schemas=schemas) == {"visit", "id", "at", "prompt"}
    schemas = sessions_and_voice(make_schema, within="nobody")
    with pytest.raises(ConfigurationError, match=r"voice\.yaml: f: is taken within 'nobody'"):
        needed_columns(schemas["voice"], "controlled", schemas=schemas)


def test_dictionary_of_what_changes_ranges(make_schema: Make, hierarchies: Levels) -> None:
    bounds = {"minimum": 0, "maximum": 99.96}
    schema = make_schema(
        [
            key("id"),
            column("n", **bounds, unit="ms", action=noise()),
            column("i", dtype="integer", minimum=0, maximum=10, action=noise(digits=2)),
            column("t", **bounds, action={"do": "top_bottom_code", "upper": 90}),
            column("s", **bounds, action=when(below=5, above=90)),
            column("c", dtype="category", categories=["m", "p", "q"], action=when(values=["q"])),
            column("d", **bounds, action=difference()),
            column("u", action=difference()),
        ],
        primary_key=["id"],
    )
    made = entries(schema, ["id", "n", "i", "t", "s", "c", "d", "u"], hierarchies)
    shown = {name: (e["dtype"], e["minimum"], e["maximum"], e["nullable"]) for name, e in made.items()}
    assert shown["n"] == ("number", 0, 100, False)
    assert made["n"]["unit"] == "ms"
    assert shown["i"] == ("number", 0, 10, False)
    assert shown["t"] == ("number", 0, 90, False)
    assert shown["s"] == ("number", 5, 90, True)
    assert made["c"]["categories"] == ["m", "p"]
    assert shown["d"] == ("number", -100, 100, True)
    assert shown["u"] == ("number", None, None, True)
    assert made["n"]["action"] == "noise(digits=3, sigma=1.0)"


POLICY_PAGE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", re.findall(r"```yaml\naction: (.*)\n```", POLICY_PAGE))
def test_every_example_of_the_documentation_is_accepted(tmp_path: Path, example: str) -> None:
    names = {"people": ["controlled"]} | ({"voice_functionals": ["strict"]} if "@" in example else {})
    document = (
        "table: people\ntitle: People\ndescription: People.\n"
        "source: {file: people.csv, reader: delimited, row: person}\n"
        f"release: {json.dumps({name: {'profiles': profiles} for name, profiles in names.items()})}\n"
        "columns:\n- {name: a, dtype: number, description: A., role: insensitive, class: A, justification: None.,"
        f" action: {example}}}\n"
    )
    (tmp_path / "people.yaml").write_text(document)
    (spec,) = load_schemas(tmp_path)["people"].columns
    assert all(in_words(action) for actions in spec.actions.values() for action in actions)


def test_the_documentation_names_every_action() -> None:
    listed = re.findall(r"^\| `([a-z_]+)` \| [^|]*\| [^|]*\| [^|]*\|$", POLICY_PAGE, re.MULTILINE)
    text = files("sensai_release.table").joinpath("table.schema.json").read_text(encoding="utf-8")
    branches = json.loads(text)["$defs"]["action"]["oneOf"][1]["oneOf"]
    words = [branch["properties"]["do"] for branch in branches]
    known = {word for entry in words for word in (entry.get("enum") or [entry["const"]])}
    assert {name for name in listed if name in known} == known


WORDED = [
    ({"do": "round", "digits": 1}, "rounded to 1 significant digit"),
    ({"do": "bin", "edges": [2, 4]}, "put into 3 bands, cut at 2 and 4"),
    (
        {"do": "suppress_local", "when": {"fewer_than": 5, "values": ["m", "p"], "below": 1}, "within": "id"},
        "left out where fewer than 5 persons share the value or the value is m or p or it is below 1",
    ),
    (
        difference(reference={"visits.prompt": "m"}),
        "difference from the person's own first session with visits.prompt = m, rounded to 3 significant digits",
    ),
    (
        {"do": "top_bottom_code", "lower": 1, "upper": 9},
        "what is below 1 becomes 1, what is above 9 becomes 9",
    ),
    (noise(), "Gaussian noise of standard deviation 1 added, rounded to 3 significant digits"),
    ({"do": "window", "statistics": ["mean", "sd"]}, "mean and sd in each window"),
]


@pytest.mark.parametrize(("action", "words"), WORDED, ids=range(len(WORDED)))
def test_actions_in_words(make_schema: Make, action: dict[str, Any], words: str) -> None:
    ((found,),) = make_schema([column("a", action=action)]).columns[0].actions.values()
    assert in_words(found) == words


def test_the_policy_in_force_lists_what_leaves_and_what_stays(make_schema: Make, hierarchies: Levels) -> None:
    schema = make_schema(
        [
            key("id"),
            column("age", role="quasi_identifier", tier=1, action=AGE),
            column("b", action=ROUND),
            column("", pattern="x_[0-9]", **{"class": "X"}, action="drop", justification="A template."),
        ]
    )
    made = plan(schema, ["id", "age", "b", "x_1", "x_2"], hierarchies)
    found = released_columns(made, data_dictionary(made))
    assert list(found) == ["id", "age_band", "b"]
    assert found["age_band"]["source"] == "age"
    assert found["b"]["in_words"] == "rounded to 3 significant digits"
    assert found["b"]["missing"] == "a missing cell stops the build"
    assert found["b"]["justification"] == "For a test."
    (dropped,) = dropped_entries(made)
    assert (dropped["columns"], dropped["many"], dropped["class"], dropped["justification"]) == (
        "x_[0-9]", True, "X", "A template.",
    )  # fmt: skip
    schemas = SchemaSet(tables={"people": schema}, hierarchies={})
    assert tables_kept_back(schemas, "controlled") == []
    assert [entry["table"] for entry in tables_kept_back(schemas, "strict")] == ["people"]
