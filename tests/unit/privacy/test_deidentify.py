from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError, IdentifierError, InputError
from sensai_release.privacy.context import Context, Sessions
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


def session_names(count: int) -> list[str]:
    raw = pa.array([f"B{n}" for n in range(count)])
    mapping = MAKER.table_for(raw, Identifier(kind="session", prefix="S", pattern="[A-Z][0-9]+"), "visits.id")
    return MAKER.replace(raw, mapping).to_pylist()  # type: ignore[no-any-return]


VISITS = session_names(6)
PERSONS = pseudonyms(3)
# Two sessions of the first person, three of the second (out of order), one of the third.
SESSIONS = Sessions(
    name="visits", key="visit", person="id", times="at",
    table=pa.table({
        "visit": VISITS, "id": [PERSONS[n] for n in (0, 0, 1, 1, 1, 2)],
        "at": pa.array([dt.date(2025, 1, day) for day in (1, 2, 9, 7, 8, 1)]),
        "prompt": ["a", "b", "b", "a", "b", "a"],
    }),
)  # fmt: skip
CONTEXT = Context(sessions=SESSIONS, noise_key=hashlib.sha256(b"noise").digest())


def voice(make_schema: Make, action: Mapping[str, object], **entries: object) -> TableSchema:
    return make_schema(
        [key("visit", "session", "S"), column("f", action=action, nullable=True, **entries)],
        table="voice",
        primary_key=["visit"],
        foreign_keys=[{"column": "visit", "references": "visits.visit"}],
        release={"voice": {"profiles": ["controlled"]}},
    )


def applied(schema: TableSchema, source: pa.Table, context: Context | None) -> list[object]:
    plan = plan_table(schema, schema.releases[0], "controlled", source.column_names, {})
    return apply_plan(source, plan, context=context)["f"].to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        # The second person's first session is the fourth row, which has no value in `f`.
        ("first", [None, 1.0, None, None, None, None]),
        ({"visits.prompt": "b"}, [-1.0, None, 3.0, None, None, None]),
        ({"voice.kind": "x"}, [None, 1.0, None, None, -3.0, None]),
    ],
    ids=["first", "condition on the sessions", "condition on the table"],
)
def test_differences_find_persons_and_order_through_the_sessions(
    make_schema: Make, reference: object, expected: list[float | None]
) -> None:
    action = {"do": "difference_from_reference", "reference": reference, "within": "id", "digits": 3}
    schema = voice(make_schema, action)
    if isinstance(reference, dict) and "voice.kind" in reference:
        kind = column("kind", dtype="string", action="drop")
        document = [key("visit", "session", "S"), column("f", action=action, nullable=True), kind]
        schema = make_schema(
            document, table="voice", primary_key=["visit"], release={"voice": {"profiles": ["controlled"]}},
            foreign_keys=[{"column": "visit", "references": "visits.visit"}],
        )  # fmt: skip
    source = pa.table({
        "visit": VISITS, "f": pa.array([1.0, 2.0, 7.0, None, 4.0, 5.0]), "kind": ["x", "y", "x", "y", "y", "x"],
    })  # fmt: skip
    if "kind" not in [spec.name for spec in schema.columns]:
        source = source.drop_columns(["kind"])
    assert applied(schema, source, CONTEXT) == expected
    shuffled = [3, 5, 0, 4, 1, 2]
    assert applied(schema, source.take(shuffled), CONTEXT) == [expected[n] for n in shuffled]


def test_rare_values_are_counted_in_persons_behind_sessions(make_schema: Make) -> None:
    action = {"do": "suppress_local", "when": {"fewer_than": 2}, "within": "id"}
    schema = voice(make_schema, action, dtype="category", categories=["m", "p"])
    # Three sessions with "p", all of one person; "m" is held by two.
    source = pa.table({"visit": VISITS, "f": ["m", "m", "p", "p", "p", "m"]})
    assert applied(schema, source, CONTEXT) == ["m", "m", None, None, None, "m"]


def test_noise_stays_with_the_cell_and_goes_with_key_sigma_and_series(make_schema: Make) -> None:
    source = pa.table({"visit": VISITS, "f": pa.array([1.0] * 5 + [None])})

    def noisy(sigma: float, key: bytes = b"noise", rows: list[int] | None = None) -> list[object]:
        schema = voice(make_schema, {"do": "noise", "sigma": sigma, "digits": 6})
        context = Context(noise_key=hashlib.sha256(key).digest())
        return applied(schema, source if rows is None else source.take(rows), context)

    once = noisy(1)
    assert once == noisy(1.0)
    assert len(set(once)) == 6
    assert once[5] is None
    assert noisy(1, rows=[4, 0]) == [once[4], once[0]]
    doubled = [2 * (value - 1) + 1 for value in once[:5]]  # type: ignore[operator]
    assert not set(doubled) & set(noisy(2))
    assert not set(once[:5]) & set(noisy(1, b"another series"))


def test_frames_have_noise_by_recording_and_frame(make_schema: Make) -> None:
    schema = make_schema(
        [
            key("rec", "session", "S"),
            column("n", dtype="integer", action="drop"),
            column("f", action={"do": "noise", "sigma": 1, "digits": 6}),
        ],
        source={"file": "r/*.csv", "reader": "delimited", "row": "frame", "recording_key": "rec"},
        primary_key=["rec", "n"],
    )
    frames = pa.table({"n": pa.array([1, 2, 3], pa.int64()), "f": [0.0, 0.0, 0.0]})

    def noisy(table: pa.Table, recording: str) -> list[object]:
        return applied(schema, table, Context(noise_key=b"k" * 32, recording=recording))

    whole = noisy(frames, VISITS[0])
    assert len(set(whole)) == 3
    assert noisy(frames.slice(1), VISITS[0]) == whole[1:]
    assert not set(noisy(frames, VISITS[1])) & set(whole)


@pytest.mark.parametrize(
    ("action", "context", "words"),
    [
        ({"do": "noise", "sigma": 1, "digits": 3}, None, "no key for it"),
        (
            {"do": "difference_from_reference", "reference": "first", "within": "id", "digits": 3},
            None,
            "do not lead to",
        ),
        (
            {"do": "difference_from_reference", "reference": "first", "within": "id", "digits": 3},
            Context(sessions=replace(SESSIONS, times=None)),
            "no column with the action ordinal",
        ),
        (
            {"do": "difference_from_reference", "reference": {"people.sex": "F"}, "within": "id", "digits": 3},
            CONTEXT,
            "has a reference in 'people'",
        ),
    ],
)
def test_an_action_without_what_it_needs(
    make_schema: Make, action: dict[str, object], context: Context | None, words: str
) -> None:
    source = pa.table({"visit": VISITS, "f": [1.0] * 6})
    with pytest.raises(ConfigurationError, match=words):
        applied(voice(make_schema, action), source, context)
