"""The second gate finds what differs from the data dictionaries, and says nothing of the values."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sensai_release.release.gate import check_candidate
from sensai_release.table.findings import Finding

Tables = dict[str, pa.Table]
Write = Callable[..., Path]


def codes(findings: tuple[Finding, ...]) -> set[tuple[str, str | None, str]]:
    return {(finding.table, finding.column, finding.code.removeprefix("gate.")) for finding in findings}


def replace(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    values = table[column].to_pylist()
    values[row] = value
    place = table.column_names.index(column)
    return table.set_column(place, column, pa.array(values, table.schema.field(column).type))


def only(tables: Tables, dictionaries: Any, *names: str) -> Any:
    """Fewer tables, for fewer expectations: great-expectations takes milliseconds for each."""
    for name in set(tables) - set(names):
        del tables[name], dictionaries[name]
    for document in dictionaries.values():
        kept = [key for key in document["foreign_keys"] if key["references"].split(".")[0] in tables]
        document["foreign_keys"] = kept
    return dictionaries


def test_a_candidate_as_declared_has_no_finding(tables: Tables, dictionaries: Any, write_candidate: Write) -> None:
    assert check_candidate(write_candidate(tables, parts=3) / "data", dictionaries) == ()


@pytest.mark.parametrize(
    ("table", "column", "value", "code"),
    [
        ("participants", "participant_id", "SECRET-17", "column_values_to_match_regex"),
        ("participants", "participant_id", None, "column_values_to_not_be_null"),
        ("participants", "group", "SECRET", "column_values_to_be_in_set"),
        ("participants", "group", None, "column_values_to_not_be_null"),
        ("pain_scores", "nrs_self", 11, "column_values_to_be_between"),
        ("pain_scores", "nrs_self", -1, "column_values_to_be_between"),
        ("sessions", "session_ordinal", 0, "column_values_to_be_between"),
        ("face_windows", "AU04_r_mean", 5.001, "column_values_to_be_between"),
        ("face_windows", "AU04_r_mean", float("inf"), "column_values_to_be_between"),
        ("face_windows", "session_id", "S" + "0" * 17, "foreign_key_to_exist"),
    ],
)
def test_one_bad_cell_is_one_finding_more(
    tables: Tables, dictionaries: Any, write_candidate: Write, table: str, column: str, value: Any, code: str
) -> None:
    only(tables, dictionaries, *(("participants",) if table == "participants" else ("sessions", table)))
    tables[table] = replace(tables[table], column, 5, value)
    findings = check_candidate(write_candidate(tables, parts=2) / "data", dictionaries)
    assert (table, column, code) in codes(findings)
    assert all(finding.severity == "error" and finding.count == 1 for finding in findings)
    assert "SECRET" not in repr(findings)


@pytest.mark.parametrize("suffix", ["\n", " ", "\u200b"])
def test_a_pseudonym_with_something_behind_it_is_found(
    tables: Tables, dictionaries: Any, write_candidate: Write, suffix: str
) -> None:
    only(tables, dictionaries, "sessions")
    good = tables["sessions"]["session_id"][4].as_py()
    changed = pc.replace_substring(tables["sessions"]["session_id"], good, good + suffix)
    tables["sessions"] = tables["sessions"].set_column(0, "session_id", changed)
    findings = check_candidate(write_candidate(tables) / "data", dictionaries)
    assert ("sessions", "session_id", "column_values_to_match_regex") in codes(findings)


def test_infinity_is_found_where_no_range_is_declared(
    tables: Tables, dictionaries: Any, write_candidate: Write
) -> None:
    only(tables, dictionaries, "face_windows")
    dictionaries["face_windows"]["columns"][2].update(minimum=None, maximum=None)
    tables["face_windows"] = replace(tables["face_windows"], "AU04_r_mean", 0, -float("inf"))
    findings = check_candidate(write_candidate(tables) / "data", dictionaries)
    assert codes(findings) == {("face_windows", "AU04_r_mean", "column_values_to_be_between")}


def test_missing_numbers_pass_where_they_may(tables: Tables, dictionaries: Any, write_candidate: Write) -> None:
    only(tables, dictionaries, "face_windows", "pain_scores")
    table = replace(tables["face_windows"], "AU04_r_mean", 0, None)
    tables["face_windows"] = replace(table, "AU04_r_mean", 1, float("nan"))
    tables["pain_scores"] = replace(tables["pain_scores"], "nrs_self", 1, None)
    assert check_candidate(write_candidate(tables) / "data", dictionaries) == ()


def test_keys_are_unique_over_all_parts(tables: Tables, dictionaries: Any, write_candidate: Write) -> None:
    only(tables, dictionaries, "participants", "face_windows")
    for name in tables:
        tables[name] = pa.concat_tables([tables[name], tables[name].slice(0, 1)])
    findings = check_candidate(write_candidate(tables, parts=2) / "data", dictionaries)
    assert codes(findings) == {
        ("participants", "participant_id", "column_values_to_be_unique"),
        ("face_windows", None, "compound_columns_to_be_unique"),
    }


def _drop(table: pa.Table) -> pa.Table:
    return table.drop_columns(["group"])


def _add(table: pa.Table) -> pa.Table:
    return table.append_column("name", pa.array(["SECRET"] * len(table)))


def _turn(table: pa.Table) -> pa.Table:
    return table.select(["group", "participant_id", "age_band"])


@pytest.mark.parametrize("change", [_drop, _add, _turn])
def test_columns_are_exactly_those_declared(
    tables: Tables, dictionaries: Any, write_candidate: Write, change: Callable[[pa.Table], pa.Table]
) -> None:
    only(tables, dictionaries, "participants")
    tables["participants"] = change(tables["participants"])
    findings = check_candidate(write_candidate(tables) / "data", dictionaries)
    assert codes(findings) == {("participants", None, "table_columns_to_match_ordered_list")}


@pytest.mark.parametrize(
    "array",
    [
        pa.array(np.zeros(48, dtype=np.float64)),
        pa.array(np.zeros(48, dtype=np.int32)),
        pa.array(["7"] * 48),
        pa.array([b"7"] * 48),
        pa.array([[7]] * 48),
        pa.array([True] * 48),
        pa.nulls(48),
    ],
    ids=lambda array: str(array.type),
)
def test_a_type_other_than_declared_is_found(
    tables: Tables, dictionaries: Any, write_candidate: Write, array: pa.Array
) -> None:
    only(tables, dictionaries, "pain_scores")
    tables["pain_scores"] = tables["pain_scores"].set_column(1, "nrs_self", array)
    findings = check_candidate(write_candidate(tables) / "data", dictionaries)
    assert codes(findings) == {("pain_scores", "nrs_self", "column_values_to_be_of_type")}


def test_tables_are_exactly_those_declared(tables: Tables, dictionaries: Any, write_candidate: Write) -> None:
    only(tables, dictionaries, "participants", "pain_scores")
    tables["extra"] = tables.pop("pain_scores")
    findings = check_candidate(write_candidate(tables) / "data", dictionaries)
    assert codes(findings) == {("pain_scores", None, "table_to_exist"), ("extra", None, "table_to_be_declared")}


def test_a_broken_file_is_a_finding(tables: Tables, dictionaries: Any, write_candidate: Write) -> None:
    only(tables, dictionaries, "sessions")
    root = write_candidate(tables)
    part = root / "data" / "sessions" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-9])
    findings = check_candidate(root / "data", dictionaries)
    assert ("sessions", None, "file_to_be_readable") in codes(findings)


def test_a_key_into_a_table_that_is_not_released_is_found(
    tables: Tables, dictionaries: Any, write_candidate: Write
) -> None:
    del tables["sessions"], dictionaries["sessions"], tables["face_windows"], dictionaries["face_windows"]
    findings = check_candidate(write_candidate(tables) / "data", dictionaries)
    assert codes(findings) == {("pain_scores", "session_id", "foreign_key_to_exist")}


def test_an_empty_table_passes(tables: Tables, dictionaries: Any, write_candidate: Write) -> None:
    empty = {name: table.slice(0, 0) for name, table in tables.items()}
    assert check_candidate(write_candidate(empty) / "data", dictionaries) == ()


def test_it_leaves_no_trace(
    tables: Tables,
    dictionaries: Any,
    write_candidate: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tables["participants"] = replace(tables["participants"], "group", 5, "SECRET")
    root = write_candidate(tables)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    caplog.set_level(logging.DEBUG)
    before = sorted(root.rglob("*"))
    assert check_candidate(root / "data", dictionaries)
    assert list(home.rglob("*")) == []
    assert sorted(root.rglob("*")) == before
    assert capfd.readouterr() == ("", "")
    assert "SECRET" not in caplog.text
    assert not logging.root.manager.disable
