from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest
from table_kit import PARTICIPANT, column, schema_set, table_schema

from sensai_release.errors import ConfigurationError
from sensai_release.table.rules import check_rules
from sensai_release.table.schema import SchemaSet

CONTROL = {"participants.group": "control"}
PARTICIPANTS = table_schema(
    column("participant_id", "string", identifier=PARTICIPANT),
    column("group", "category", categories=["pain", "control"]),
    name="participants",
    primary_key=["participant_id"],
)


def key(name: str, table: str) -> dict[str, str]:
    return {"column": name, "references": f"{table}.{name}"}


def study(
    session_rules: tuple[dict[str, Any], ...] = (),
    score_rules: tuple[dict[str, Any], ...] = (),
) -> SchemaSet:
    sessions = table_schema(
        column("session_id", "string"),
        column("participant_id", "string", identifier=PARTICIPANT),
        column("recorded_at", "datetime"),
        name="sessions",
        primary_key=["session_id"],
        foreign_keys=[key("participant_id", "participants")],
        rules=list(session_rules),
    )
    scores = table_schema(
        column("session_id", "string"),
        column("nrs", "integer"),
        name="scores",
        primary_key=["session_id"],
        foreign_keys=[key("session_id", "sessions")],
        rules=list(score_rules),
    )
    consent = table_schema(
        column("participant_id", "string", identifier=PARTICIPANT),
        column("consented_at", "date"),
        name="consent",
        primary_key=["participant_id"],
        foreign_keys=[key("participant_id", "participants")],
    )
    face = table_schema(
        column("session_id", "string", required=False),
        column("frame", "integer"),
        name="face",
        reader="openface",
        source={"file": "face/*.csv", "recording_key": "session_id"},
        foreign_keys=[key("session_id", "sessions")],
    )
    alone = table_schema(column("x"), name="alone")
    return schema_set(PARTICIPANTS, sessions, scores, consent, face, alone)


def at(day: int, hour: int = 12) -> datetime.datetime:
    return datetime.datetime(2025, 1, day, hour)  # noqa: DTZ001


def tables(**changed: dict[str, Any] | None) -> dict[str, pa.Table]:
    columns: dict[str, dict[str, Any] | None] = {
        "participants": {"participant_id": ["P1", "P2", "C1"], "group": ["pain", "pain", "control"]},
        "sessions": {
            "session_id": ["S1", "S2", "S3", "S4"],
            "participant_id": ["P1", "P1", "p2 ", "C1"],
            "recorded_at": [at(3), at(4), at(5), at(6)],
        },
        "scores": {"session_id": ["S4", "S1", "S2", "S3"], "nrs": [0, 5, 6, 0]},
        "consent": {"participant_id": ["C1", "P1", "P2"], "consented_at": [at(6).date(), at(2).date(), at(2).date()]},
        "face": {"session_id": ["S1", "S4"]},
        **changed,
    }
    return {name: pa.table(data) for name, data in columns.items() if data is not None}


def found(findings: Any) -> list[tuple[str, str, str | None, str | None, int | None, int]]:
    return [(f.code, f.table, f.column, f.file, f.row, f.count) for f in findings]


EQUALS = {"rule": "equals", "column": "nrs", "value": 0, "where": CONTROL}
ROWS_PER = {"rule": "rows_per", "by": "participant_id", "maximum": 1, "where": CONTROL}
AFTER = {"rule": "after", "column": "recorded_at", "after": "consent.consented_at"}


def test_a_study_that_keeps_all_rules() -> None:
    assert check_rules(tables(), study((ROWS_PER, AFTER), (EQUALS,))) == ()


class TestForeignKeys:
    def test_unknown_keys(self) -> None:
        sessions = {
            "session_id": ["S1", "S2", "S3", "S4"],
            "participant_id": ["P1", "P9", None, "P9"],
            "recorded_at": [at(9)] * 4,
        }
        assert found(check_rules(tables(sessions=sessions), study())) == [
            ("key.unknown", "sessions", "participant_id", "sessions.csv", 2, 2)
        ]

    def test_recordings_are_named_by_their_number(self) -> None:
        faces = {"session_id": ["S1", "S4", "S7", "S8"]}
        assert found(check_rules(tables(face=faces), study())) == [
            ("key.unknown", "face", "session_id", "face/*.csv#3", None, 2)
        ]

    def test_two_files_of_one_recording(self) -> None:
        assert found(check_rules(tables(face={"session_id": ["S1", "S4", "S1"]}), study())) == [
            ("key.duplicate", "face", "session_id", "face/*.csv#3", None, 1)
        ]

    def test_a_table_that_was_not_read_makes_no_findings(self) -> None:
        assert check_rules(tables(participants=None), study((ROWS_PER, AFTER), (EQUALS,))) == ()

    def test_an_empty_parent_knows_no_key(self) -> None:
        empty = {"session_id": pa.array([], pa.string()), "nrs": pa.array([], pa.int64())}
        none = {
            "session_id": pa.array([], pa.string()),
            "participant_id": pa.array([], pa.string()),
            "recorded_at": pa.array([], pa.timestamp("us")),
        }
        findings = check_rules(tables(sessions=none, scores=empty), study((ROWS_PER, AFTER), (EQUALS,)))
        assert [(finding.code, finding.count) for finding in findings] == [("key.unknown", 2)]


class TestEquals:
    @pytest.mark.parametrize(
        ("scores", "expected"),
        [
            ({"session_id": ["S1", "S4"], "nrs": [5, 3]}, [(2, 1)]),
            ({"session_id": ["S4", "S4"], "nrs": [3, 4]}, [(1, 2)]),
            ({"session_id": ["S4"], "nrs": pa.array([None], pa.int64())}, []),
            ({"session_id": pa.array([None], pa.string()), "nrs": [4]}, []),
        ],
    )
    def test_two_hops_to_the_group(self, scores: dict[str, Any], expected: list[tuple[int, int]]) -> None:
        findings = check_rules(tables(scores=scores), study(score_rules=(EQUALS,)))
        assert [(finding.row, finding.count) for finding in findings] == expected
        assert all((finding.code, finding.column) == ("rule.equals", "nrs") for finding in findings)

    def test_without_where_it_holds_for_all(self) -> None:
        findings = check_rules(tables(), study(score_rules=({"rule": "equals", "column": "nrs", "value": 0},)))
        assert [(finding.row, finding.count) for finding in findings] == [(2, 2)]

    @pytest.mark.parametrize(
        ("rule", "cause"),
        [
            ({**EQUALS, "value": "nought"}, "another type"),
            ({**EQUALS, "value": True}, "another type"),
            ({**EQUALS, "value": 0.5}, "cannot hold"),
            ({**EQUALS, "where": {"participants.group": 1}}, "another type"),
            ({**EQUALS, "where": {"alone.x": 1}}, "no keys lead"),
            ({**EQUALS, "where": {"nowhere.x": 1}}, "not declared"),
            ({**EQUALS, "where": {"participants.colour": "red"}}, "not declared"),
            ({**EQUALS, "column": "other"}, "not declared"),
        ],
    )
    def test_rules_that_make_no_sense(self, rule: dict[str, Any], cause: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^schemas/scores.yaml: rules.0") as caught:
            check_rules(tables(), study(score_rules=(rule,)))
        assert cause in str(caught.value)


class TestRowsPer:
    def test_a_control_with_three_sessions(self) -> None:
        sessions = {
            "session_id": ["S1", "S2", "S3", "S4", "S5"],
            "participant_id": ["C1", "P1", "c1", "P1", "C1"],
            "recorded_at": [at(9)] * 5,
        }
        findings = check_rules(tables(sessions=sessions, face=None, scores=None), study((ROWS_PER,)))
        assert found(findings) == [("rule.rows_per", "sessions", "participant_id", "sessions.csv", 3, 2)]

    def test_more_rows_allowed_and_rows_without_a_key(self) -> None:
        sessions = {
            "session_id": ["S1", "S2", "S3", "S4", "S5"],
            "participant_id": ["P1", None, "P1", None, "P1"],
            "recorded_at": [at(9)] * 5,
        }
        rule = {"rule": "rows_per", "by": "participant_id", "maximum": 2}
        findings = check_rules(tables(sessions=sessions, face=None, scores=None), study((rule,)))
        assert [(finding.row, finding.count) for finding in findings] == [(5, 1)]


class TestAfter:
    def test_a_recording_before_consent(self) -> None:
        consent = {"participant_id": ["P1", "P2", "C1"], "consented_at": [at(4).date(), None, at(7).date()]}
        findings = check_rules(tables(consent=consent), study((AFTER,)))
        assert found(findings) == [("rule.after", "sessions", "recorded_at", "sessions.csv", 1, 2)]

    def test_the_same_moment_is_not_after(self) -> None:
        sessions = {"session_id": ["S4"], "participant_id": ["C1"], "recorded_at": [at(6, hour=0)]}
        findings = check_rules(tables(sessions=sessions, face=None, scores=None), study((AFTER,)))
        assert [finding.count for finding in findings] == [1]

    def test_columns_without_a_common_order(self) -> None:
        with pytest.raises(ConfigurationError, match="no common order"):
            check_rules(tables(), study(({**AFTER, "after": "participants.group"},)))


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ("P07", "P7", 1),
        ("P7", "P007", 1),
        ("P7", "P7.0", 1),
        ("P0-07", "P0-7", 1),
        ("P10", "P1", 0),
        ("P07", "P08", 0),
        ("P07", " p07 ", 0),
    ],
)
def test_a_key_that_another_table_writes_in_another_form_is_told_as_such(theirs: str, ours: str, expected: int) -> None:
    tables = {
        "participants": pa.table({"participant_id": [theirs, "P99"], "group": ["pain", "pain"]}),
        "consent": pa.table({"participant_id": ["P99", ours], "consented_at": pa.array([1, 2], pa.date32())}),
    }
    found = [finding for finding in check_rules(tables, study()) if finding.code == "key.forms"]
    assert [(f.table, f.column, f.row, f.count) for f in found] == [("consent", "participant_id", 2, 1)] * expected
    assert not any(key in finding.message for finding in found for key in (theirs, ours))
    # It stays unknown: whether the two are one person is not for a program to guess.
    unknown = [finding.code for finding in check_rules(tables, study()) if finding.code == "key.unknown"]
    assert len(unknown) == (expected or theirs == "P10" or ours == "P08")
