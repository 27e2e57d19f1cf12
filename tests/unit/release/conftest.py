"""A small synthetic cohort as a candidate or a release on disk, for the modules that read one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.table.store import write_parquet

Tables = dict[str, pa.Table]
ReleaseWriter = Callable[..., Path]

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def column(name: str, dtype: str, **more: Any) -> dict[str, Any]:
    entry = {
        "name": name, "dtype": dtype, "unit": None, "nullable": False, "minimum": None, "maximum": None,
        "categories": None, "pattern": None, "description": f"The column {name}.", "role": "insensitive", "tier": None,
        "class": "clinical", "source": name, "action": "keep", "justification": "Needed.",
    }  # fmt: skip
    return entry | more


def pseudonym(prefix: str, number: int) -> str:
    return prefix + "".join(ALPHABET[(number * 7 + place * 3) % 32] for place in range(14)) + f"{number:03d}"


PERSON = {"pattern": "P[0-9A-HJKMNP-TV-Z]{17}", "role": "direct_identifier", "class": "X", "action": "pseudonymise"}
SESSION = {"pattern": "S[0-9A-HJKMNP-TV-Z]{17}", "role": "direct_identifier", "class": "X", "action": "pseudonymise"}


def dictionary(table: str, person_key: str | None, key: list[str], foreign: dict[str, str], columns: list[Any]) -> Any:
    return {
        "table": table, "title": table.capitalize(), "description": f"The table {table}.", "person_key": person_key,
        "primary_key": key,
        "foreign_keys": [{"column": name, "references": target} for name, target in foreign.items()],
        "columns": columns,
    }  # fmt: skip


DICTIONARIES: dict[str, dict[str, Any]] = {
    "participants": dictionary("participants", "participant_id", ["participant_id"], {}, [
        column("participant_id", "string", **PERSON),
        column("group", "category", categories=["pain", "control"], role="sensitive"),
        column("age_band", "category", categories=["[18,60)", "[60,120)"], nullable=True, role="quasi_identifier",
               tier=1, action="generalise(hierarchy=age)"),
    ]),
    "sessions": dictionary("sessions", "participant_id", ["session_id"],
                           {"participant_id": "participants.participant_id"}, [
        column("session_id", "string", **SESSION),
        column("participant_id", "string", **PERSON),
        column("session_ordinal", "integer", minimum=1),
    ]),
    "pain_scores": dictionary("pain_scores", None, ["session_id"], {"session_id": "sessions.session_id"}, [
        column("session_id", "string", **SESSION),
        column("nrs_self", "integer", minimum=0, maximum=10, nullable=True, role="sensitive"),
    ]),
    "face_windows": dictionary("face_windows", None, ["session_id", "window"], {"session_id": "sessions.session_id"}, [
        column("session_id", "string", **SESSION),
        column("window", "integer", minimum=0),
        column("AU04_r_mean", "number", minimum=0, maximum=5, nullable=True, **{"class": "B"}),
        column("tracked", "boolean", nullable=True, **{"class": "C"}),
    ]),
}  # fmt: skip


def cohort(persons: int = 24, sessions: int = 2, windows: int = 3, seed: int = 1) -> Tables:
    random = np.random.default_rng(seed)
    people = [pseudonym("P", number) for number in range(persons)]
    visits = [pseudonym("S", number) for number in range(persons * sessions)]
    count = len(visits) * windows
    return {
        "participants": pa.table({
            "participant_id": people,
            "group": ["pain" if number % 2 else "control" for number in range(persons)],
            "age_band": pa.array([None if number == 3 else "[60,120)" for number in range(persons)], pa.string()),
        }),
        "sessions": pa.table({
            "session_id": visits,
            "participant_id": [people[number // sessions] for number in range(len(visits))],
            "session_ordinal": pa.array([number % sessions + 1 for number in range(len(visits))], pa.int64()),
        }),
        "pain_scores": pa.table({
            "session_id": visits,
            "nrs_self": pa.array(random.integers(0, 11, len(visits)), pa.int64()),
        }),
        "face_windows": pa.table({
            "session_id": np.repeat(np.array(visits), windows).tolist(),
            "window": pa.array(list(range(windows)) * len(visits), pa.int64()),
            "AU04_r_mean": pa.array(np.round(random.uniform(0, 5, count), 3)),
            "tracked": pa.array([None if number % 5 == 0 else number % 2 == 0 for number in range(count)]),
        }),
    }  # fmt: skip


def without_persons(tables: Tables, gone: int) -> Tables:
    """The same cohort after the last `gone` persons have withdrawn."""
    import pyarrow.compute as pc

    people = tables["participants"].slice(0, len(tables["participants"]) - gone)
    sessions = tables["sessions"].filter(pc.is_in(tables["sessions"]["participant_id"], people["participant_id"]))
    kept = {"participants": people, "sessions": sessions}
    for name in tables.keys() - kept.keys():
        kept[name] = tables[name].filter(pc.is_in(tables[name]["session_id"], sessions["session_id"]))
    return kept


def write_data(root: Path, tables: Mapping[str, pa.Table], dictionaries: Mapping[str, Any], parts: int = 1) -> Path:
    for name, table in tables.items():
        folder = root / "data" / name
        folder.mkdir(parents=True)
        size = max(1, -(-len(table) // parts))
        for part in range(max(1, -(-len(table) // size))):
            write_parquet(table.slice(part * size, size), folder / f"part-{part:05d}.parquet")
    (root / "schemas").mkdir(parents=True)
    for name, document in dictionaries.items():
        (root / "schemas" / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return root


@pytest.fixture
def tables() -> Tables:
    return cohort()


@pytest.fixture
def dictionaries() -> dict[str, dict[str, Any]]:
    return json.loads(json.dumps(DICTIONARIES))  # type: ignore[no-any-return]


@pytest.fixture
def shrink() -> Callable[[Tables, int], Tables]:
    return without_persons


@pytest.fixture
def write_candidate(tmp_path: Path, dictionaries: Any) -> Callable[..., Path]:
    def write(tables: Tables, name: str = "candidate", dictionaries: Any = dictionaries, parts: int = 1) -> Path:
        return write_data(tmp_path / name, tables, dictionaries, parts)

    return write


@pytest.fixture
def write_release(tmp_path: Path, dictionaries: Any) -> ReleaseWriter:
    def write(
        tables: Tables,
        version: str = "1.0.0",
        *,
        name: str | None = None,
        dictionaries: Any = dictionaries,
        series: str = "sensai-dbd",
        risk: Mapping[str, Any] | None = None,
    ) -> Path:
        root = write_data(tmp_path / (name or f"{series}-{version}"), tables, dictionaries)
        predicate = {"series": series, "version": version, "study": "SENSAI-DBD", "synthetic": True}
        (root / "manifest.json").write_text(json.dumps({"predicate": predicate}), encoding="utf-8")
        (root / "README.md").write_text("A synthetic release.\n", encoding="utf-8")
        if risk is not None:
            (root / "reports").mkdir()
            (root / "reports" / "risk.json").write_text(json.dumps(risk), encoding="utf-8")
        return root

    return write
