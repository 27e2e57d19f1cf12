from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from table_kit import PARTICIPANT, column, table_schema

from sensai_release.errors import ConfigurationError
from sensai_release.table.checks import (
    canonical,
    check_and_profile,
    check_table,
    column_profile,
    merge_profiles,
)
from sensai_release.table.findings import Finding
from sensai_release.table.pandera_gate import validate_with_pandera
from sensai_release.table.schema import TableSchema


@pytest.fixture(params=[check_table, validate_with_pandera], ids=["fast", "pandera"])
def check(request: pytest.FixtureRequest) -> Any:
    """Both gates must pass every case below."""
    return request.param


def found(findings: tuple[Finding, ...]) -> list[tuple[str, str | None, int | None, int]]:
    return [(finding.code, finding.column, finding.row, finding.count) for finding in findings]


def one(values: list[Any], kind: pa.DataType, name: str = "x") -> pa.Table:
    return pa.table({name: pa.array(values, kind)})


BIG = 2**62 + 1


@pytest.mark.parametrize(
    ("entry", "kind", "values", "expected"),
    [
        (column("x"), pa.float64(), [1.0, None, float("nan"), None], [("value.missing", "x", 2, 3)]),
        (column("x", nullable=True), pa.float64(), [None, float("nan")], []),
        (column("x", "string"), pa.string(), ["a", None], [("value.missing", "x", 2, 1)]),
        (column("x", minimum=0, maximum=5), pa.float64(), [0.0, 5.0, 2.5], []),
        (
            column("x", minimum=0, maximum=5, nullable=True),
            pa.float64(),
            [None, -0.1, 5.1, 7.0, float("nan")],
            [("value.below", "x", 2, 1), ("value.above", "x", 3, 2)],
        ),
        (column("x", minimum=0.5, maximum=1.5), pa.float64(), [float("-inf"), 1.0], [("value.below", "x", 1, 1)]),
        (
            column("x", "integer", minimum=18, maximum=120),
            pa.int64(),
            [18, 120, 17, 121],
            [
                ("value.below", "x", 3, 1),
                ("value.above", "x", 4, 1),
            ],
        ),
        (column("x", "integer", minimum=0.5, nullable=True), pa.int64(), [BIG, 0, None], [("value.below", "x", 2, 1)]),
        (
            column("x", "integer", maximum=BIG - 1, nullable=True),
            pa.int64(),
            [None, BIG - 1, BIG],
            [
                ("value.above", "x", 3, 1),
            ],
        ),
        (column("x", "integer", minimum=0, maximum=100, step=10), pa.int64(), [0, 70, 75], [("value.step", "x", 3, 1)]),
        (
            column("x", minimum=0.05, step=0.1, nullable=True),
            pa.float64(),
            [0.05, 0.35, None, 0.1],
            [
                ("value.step", "x", 4, 1),
            ],
        ),
        (
            column("x", "category", categories=["F", "M"], nullable=True),
            pa.string(),
            ["F", None, "m", "X"],
            [
                ("value.category", "x", 3, 2),
            ],
        ),
        (column("x", "string", identifier=PARTICIPANT), pa.string(), ["P1", " p-1 ", "\uff301", "ABC00017"], []),
        (
            column("x", "string", identifier=PARTICIPANT, nullable=True),
            pa.string(),
            ["P1", None, "17.0", "P1\n", "P1 x", "", "P\u0661"],
            [("identifier.characters", "x", 4, 1), ("identifier.pattern", "x", 3, 4)],
        ),
        (
            column("x", "string", identifier=PARTICIPANT),
            pa.string(),
            ["P\u200b1", "\ufeffP1", "P1\u00ad", "P\t1", "P\u202e1"],
            [("identifier.characters", "x", 1, 5)],
        ),
        (column("x", "integer"), pa.string(), ["1", "2"], [("value.type", "x", 1, 2)]),
        (column("x", "boolean"), pa.bool_(), [True, False], []),
        (column("x", "date"), pa.date32(), [1, None], [("value.missing", "x", 2, 1)]),
        (column("x", "datetime", nullable=True), pa.timestamp("us"), [1, None], []),
        (column("x", minimum=1), pa.float64(), [], []),
        (column("x", minimum=1, nullable=True), pa.float64(), [None, None], []),
    ],
)
def test_values(check: Any, entry: dict[str, Any], kind: pa.DataType, values: list[Any], expected: Any) -> None:
    findings = check(one(values, kind), table_schema(entry), place="things.csv")
    assert found(findings) == expected
    assert all(finding.table == "thing" and finding.file == "things.csv" and finding.message for finding in findings)


def test_patterns_speak_for_their_columns_after_names(check: Any) -> None:
    schema = table_schema(
        column("AU45_r", maximum=9),
        column("AU\\d\\d_r", maximum=5),
        column("AU.*", maximum=1),
    )
    table = pa.table({name: [0.0, 7.0] for name in ("AU01_r", "AU45_r", "AU01_c", "other")})
    assert found(check(table, schema, place="f")) == [("value.above", "AU01_r", 2, 1), ("value.above", "AU01_c", 2, 1)]


class TestPrimaryKey:
    SCHEMA = table_schema(
        column("id", "string", identifier=PARTICIPANT, nullable=True),
        column("n", "integer", nullable=True),
        primary_key=["id", "n"],
    )

    def test_repeated_keys_in_canonical_form(self, check: Any) -> None:
        table = pa.table({"id": ["P1", "p1", "P2", " P1", "P1"], "n": [1, 1, 1, 2, 1]})
        assert found(check(table, self.SCHEMA, place="f")) == [("key.duplicate", "id+n", 2, 2)]

    def test_incomplete_keys_repeat_nothing(self, check: Any) -> None:
        table = pa.table({"id": pa.array(["P1", "P1", None, None]), "n": pa.array([None, None, 1, 1], pa.int64())})
        assert found(check(table, self.SCHEMA, place="f")) == []

    def test_a_key_that_is_not_all_there(self, check: Any) -> None:
        assert found(check(pa.table({"n": [1, 1]}), self.SCHEMA, place="f")) == []

    def test_two_chunks(self, check: Any) -> None:
        part = pa.table({"id": ["P1"], "n": [1]})
        assert found(check(pa.concat_tables([part, part]), self.SCHEMA, place="f")) == [("key.duplicate", "id+n", 2, 1)]


def test_a_pattern_that_looks_around_is_a_mistake_of_the_schema() -> None:
    schema = table_schema(column("x", "string", identifier={**PARTICIPANT, "pattern": "(?=P)P1"}))
    with pytest.raises(ConfigurationError, match=r"schemas/thing.yaml: x.identifier.pattern"):
        check_table(one(["P1"], pa.string()), schema, place="f")


def test_canonical_form() -> None:
    raw = pa.chunked_array([["\u2003\uff30\uff11 ", "p-1", None, "\u00e9"]])
    assert canonical(raw).to_pylist() == ["P1", "P-1", None, "\u00c9"]


class TestProfile:
    SCHEMA: TableSchema = table_schema(column("x", minimum=0, maximum=1), column("y"), column("t", "string"))

    def profile(self, xs: list[float | None], ts: list[str | None]) -> list[dict[str, Any]]:
        return column_profile(
            pa.table({"x": pa.array(xs, pa.float64()), "y": pa.array(xs, pa.float64()), "t": ts}), self.SCHEMA
        )

    def test_counts(self) -> None:
        assert self.profile([0.5, None, 3.0, -1.0, float("nan")], ["a", "b", None, "c", "d"]) == [
            {"table": "thing", "column": "x", "rows": 5, "missing": 2, "out_of_range": 2},
            {"table": "thing", "column": "y", "rows": 5, "missing": 2, "out_of_range": None},
            {"table": "thing", "column": "t", "rows": 5, "missing": 1, "out_of_range": None},
        ]

    def test_both_in_one_go(self) -> None:
        table = pa.table({"x": [0.5, 2.0, float("nan")]})
        findings, profile = check_and_profile(table, self.SCHEMA, place="f")
        assert findings == check_table(table, self.SCHEMA, place="f")
        assert [finding.code for finding in findings] == ["value.missing", "value.above"]
        assert profile == column_profile(table, self.SCHEMA)

    def test_profiles_of_parts_merge_into_that_of_the_whole(self) -> None:
        first, second = self.profile([0.5, 2.0], ["a", None]), self.profile([None], ["b"])
        whole = self.profile([0.5, 2.0, None], ["a", None, "b"])
        for parts in ([first, second], [second, first]):
            assert merge_profiles(parts) == sorted(whole, key=lambda entry: str(entry["column"]))
        assert first == self.profile([0.5, 2.0], ["a", None]), "the input is not changed"


@pytest.mark.parametrize(
    ("entry", "value", "code", "says"),
    [
        (column("AU12_r"), 5.5, "value.above", "above the range 0 to 5 FACS intensity of the catalogue (openface)."),
        (
            column("AU12_r", maximum=3),
            4.0,
            "value.above",
            "above the range 0 to 3 FACS intensity of schemas/thing.yaml.",
        ),
        (column("AU12_r", maximum=3), -1.0, "value.below", "below the range 0 to 3 FACS intensity of the catalogue"),
        (column("timestamp"), -1.0, "value.below", "below the range at least 0 s of the catalogue (openface)."),
        (column("x", unit="kg", maximum=3), 4.0, "value.above", "above the range at most 3 kg of schemas/thing.yaml."),
        (
            column("x", minimum=0, maximum=1),
            2.0,
            "value.above",
            "above the range 0 to 1 (no unit) of schemas/thing.yaml.",
        ),
        (
            column("x", catalogue="instruments.karnofsky"),
            75.0,
            "value.step",
            "between the steps of the range 0 to 100 percent in steps of 10 of the catalogue (instruments).",
        ),
    ],
)
def test_a_finding_says_which_range_with_its_unit_and_whose_it_is(
    check: Any, entry: dict[str, Any], value: float, code: str, says: str
) -> None:
    schema = table_schema(entry, reader="openface")
    (finding,) = check(one([value], pa.float64(), entry["name"]), schema, place="things.csv")
    assert finding.code == code
    assert says in finding.message
    assert str(value) not in finding.message
    # Nobody can widen what the catalogue gives.
    assert ("mend the schema" in finding.message) is ("schemas/" in finding.message)
