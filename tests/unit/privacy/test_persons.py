from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.links import Links
from sensai_release.privacy.persons import person_keys, refuse_tables_without_persons
from sensai_release.table.schema import ForeignKey, SchemaSet, load_schemas


def entry(name: str, role: str = "quasi_identifier", tier: int | None = 2, action: str = "keep") -> dict[str, Any]:
    return {"name": name, "role": role, "tier": tier, "action": action}


DICTIONARIES: dict[str, dict[str, Any]] = {
    "participants": {
        "columns": [
            entry("participant_id", "direct_identifier", None),
            entry("age_band", tier=1),
            entry("stage"),
            entry("group", "sensitive", None),
        ]
    },
    "sessions": {
        "columns": [
            entry("session_id", "direct_identifier", None),
            entry("participant_id", "direct_identifier", None),
            entry("nth", tier=None, action="ordinal(within=participant_id)"),
            entry("visible", tier=1),
        ]
    },
    "drugs": {"columns": [entry("session_id", "direct_identifier", None), entry("drug")]},
    "pain": {"columns": [entry("session_id", "direct_identifier", None), entry("score", "sensitive", None)]},
}


def tables(order: list[int] | None = None) -> dict[str, pa.Table]:
    found = {
        "participants": pa.table(
            {
                "participant_id": ["P3", "P1", "P2"],
                "age_band": ["old", "young", None],
                "stage": ["I", None, "II"],
                "group": ["a", "b", "a"],
            }
        ),
        "sessions": pa.table(
            {
                "session_id": ["S9", "S1", "S2", "S3"],
                "participant_id": ["P1", "P1", "P2", "P2"],
                "nth": [1, 2, 1, 2],
                "visible": ["x", "y", "x", None],
            }
        ),
        "drugs": pa.table({"session_id": ["S1", "S9", "S9", "S3"], "drug": ["m", "q", "m", "m"]}),
        "pain": pa.table({"session_id": ["S1"], "score": [3]}),
    }
    return {name: table.take(order) if order and name != "pain" and name != "participants" else table
            for name, table in found.items()}  # fmt: skip


def test_a_trajectory_is_one_key() -> None:
    keys = person_keys(tables(), DICTIONARIES)
    assert keys.tier1 == ("age_band", "sessions.visible")
    assert keys.tier2 == ("stage", "drugs.drug", "sessions.nth", "sessions.rows")
    assert keys.table["participant_id"].to_pylist() == ["P1", "P2", "P3"]
    assert keys.table["age_band"].to_pylist() == ["young", None, "old"]
    assert keys.table["sessions.rows"].to_pylist() == [2, 2, 0]
    split = [None if text is None else text.split("\x1f") for text in keys.table["sessions.visible"].to_pylist()]
    assert split == [["1=x", "2=y"], ["1=x", "2?"], None]
    split = [None if text is None else text.split("\x1f") for text in keys.table["drugs.drug"].to_pylist()]
    # P2 took the drug at the second session, P1 at both: an acquaintance who knows the course can tell.
    assert split == [["1=m", "1=q", "2=m"], ["2=m"], None]


def test_the_order_of_rows_does_not_matter() -> None:
    assert person_keys(tables([3, 2, 1, 0]), DICTIONARIES).table == person_keys(tables(), DICTIONARIES).table


def test_rows_that_lead_to_nobody_are_refused() -> None:
    orphan = tables() | {"drugs": pa.table({"session_id": ["S1", "S77"], "drug": ["m", "m"]})}
    with pytest.raises(ConfigurationError, match="drugs: has rows that do not lead to a person") as caught:
        person_keys(orphan, DICTIONARIES)
    assert "S77" not in str(caught.value)
    loose = tables() | {"drugs": pa.table({"drug": ["m", "m"]})}
    with pytest.raises(ConfigurationError, match="rows that do not lead to a person"):
        person_keys(loose, DICTIONARIES)
    with pytest.raises(ConfigurationError, match="no released table of persons"):
        person_keys({}, {}, Links(persons="patients"))


def test_tables_keyed_by_person_directly() -> None:
    extra = tables() | {"visits": pa.table({"participant_id": ["P1", "P1"], "ward": ["b", "a"]})}
    keys = person_keys(extra, DICTIONARIES | {"visits": {"columns": [entry("ward")]}})
    assert keys.table["visits.ward"].to_pylist() == ["1=a\x1f1=b", None, None]


def test_no_rows_at_all() -> None:
    empty = {name: table.slice(0, 0) for name, table in tables().items()}
    assert person_keys(empty, DICTIONARIES).table.num_rows == 0


@pytest.mark.parametrize(
    ("change", "leads"),
    [
        ({}, True),
        ({"foreign_keys": ()}, False),
        ({"foreign_keys": (ForeignKey(column="session_id", table="visits", key="session_id"),)}, True),
        ({"foreign_keys": (ForeignKey(column="ward", table="wards", key="ward"),)}, False),
        ({"foreign_keys": (), "releases": ()}, True),
        ({"foreign_keys": (), "generated": "folds"}, True),
    ],
)
def test_a_released_table_must_lead_to_persons(change: dict[str, Any], leads: bool) -> None:
    schemas = load_schemas(Path(__file__).parents[3] / "schemas")
    changed = SchemaSet(
        tables={**schemas.tables, "questionnaire": replace(schemas["questionnaire"], **change)},
        hierarchies=schemas.hierarchies,
    )
    if leads:
        refuse_tables_without_persons(changed, Links())
        return
    with pytest.raises(ConfigurationError, match=r"schemas/questionnaire\.yaml: releases rows that lead to no person"):
        refuse_tables_without_persons(changed, Links())


def test_recordings_are_named_by_their_session() -> None:
    schemas = load_schemas(Path(__file__).parents[3] / "schemas")
    with pytest.raises(ConfigurationError, match=r"schemas/\w+\.yaml: releases rows that lead to no person"):
        refuse_tables_without_persons(schemas, Links(session_key="visit", person_key="nobody"))
