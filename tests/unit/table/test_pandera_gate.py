"""What is pandera's own; that both gates find the same is tested in test_checks.py and in tests/property."""

from __future__ import annotations

import subprocess
import sys
import traceback

import pyarrow as pa
import pytest
from table_kit import PARTICIPANT, column, table_schema

from sensai_release.table import pandera_gate
from sensai_release.table.pandera_gate import to_pandera, validate_with_pandera

SCHEMA = table_schema(
    column("key", "string", required=True),
    column("id", "string", identifier=PARTICIPANT, role="direct_identifier", **{"class": "X"}, action="pseudonymise"),
    column("age", "integer", minimum=18, maximum=120, unit="year", role="quasi_identifier", tier=1, nullable=True),
    column("AU\\d\\d_r", maximum=5, action={"do": "round", "digits": 3}),
    source={"file": "thing/*.csv", "recording_key": "key"},
    primary_key=["id"],
)


def test_the_governance_part_comes_back() -> None:
    schema = to_pandera(SCHEMA)
    metadata = schema.get_metadata()["thing"]
    assert metadata["dataframe"] == {"table": "thing", "primary_key": ["id"]}
    back = {entry["label"]: entry for entry in metadata["columns"].values()}
    assert set(back) == {spec.label for spec in SCHEMA.columns}
    for spec in SCHEMA.columns:
        assert back[spec.label] == {
            "label": spec.label,
            "role": spec.role,
            "class": spec.idclass,
            "tier": spec.tier,
            "unit": spec.unit,
            "action": {key: [action.describe() for action in actions] for key, actions in spec.actions.items()},
            "justification": spec.justification,
        }


def test_the_columns_are_those_of_the_schema() -> None:
    columns = {column.metadata["label"]: column for column in to_pandera(SCHEMA).columns.values()}
    assert str(columns["age"].dtype) == "int64[pyarrow]"
    assert columns["age"].nullable
    assert not columns["id"].nullable
    assert columns["AU\\d\\d_r"].regex
    assert not columns["AU\\d\\d_r"].required
    assert columns["id"].required
    assert not columns["key"].required, "the file's name gives it"


def test_columns_too_few_and_too_many_are_the_readers_matter() -> None:
    assert validate_with_pandera(pa.table({"age": [20], "other": ["x"]}), SCHEMA, place="f") == ()


def test_no_value_leaves_by_any_door(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "CANARY_4711"
    table = pa.table({"id": [secret, secret], "age": [4711, 4711]})
    findings = validate_with_pandera(table, SCHEMA, place="f")
    assert {finding.code for finding in findings} == {"identifier.pattern", "value.above", "key.duplicate"}
    assert "4711" not in repr(findings)

    def fail(*_: object) -> None:
        raise RuntimeError("a bug behind the gate")

    monkeypatch.setattr(pandera_gate, "_findings", fail)
    with pytest.raises(RuntimeError) as caught:
        validate_with_pandera(table, SCHEMA, place="f")
    assert caught.value.__context__ is None
    assert "4711" not in "".join(traceback.format_exception(caught.value))


def test_pandera_is_loaded_only_when_it_is_used() -> None:
    code = "import sys, sensai_release.table.pandera_gate; print({'pandera', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
