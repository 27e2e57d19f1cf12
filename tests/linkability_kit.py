"""Made-up releases with several sessions a person, for the tests and the benchmark of the linkability audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]


def column(name: str, **entries: Any) -> dict[str, Any]:
    return {
        "name": name,
        "dtype": "number",
        "role": "insensitive",
        "tier": None,
        "class": "B",
        "source": name,
        "action": "keep",
        "categories": None,
        "description": f"The {name}.",
    } | entries


def dictionary(table: str, columns: Sequence[dict[str, Any]], **entries: Any) -> dict[str, Any]:
    key = column("session_id", role="direct_identifier", dtype="string", **{"class": "X"})
    return {
        "table": table,
        "person_key": None,
        "primary_key": ["session_id"],
        "foreign_keys": [{"column": "session_id", "references": "sessions.session_id"}],
        "columns": [key, *columns],
    } | entries


def release(
    persons: Sequence[int] | npt.NDArray[np.int64],
    values: Floats,
    columns: Sequence[dict[str, Any]] | None = None,
    *,
    names: Mapping[int, str] | None = None,
) -> tuple[dict[str, pa.Table], dict[str, dict[str, Any]]]:
    """Tables of persons, sessions and features, with their dictionaries; `values` is (sessions, columns)."""
    called = names or {int(person): f"P{person}" for person in persons}
    owner = [called[int(person)] for person in persons]
    keys = [f"S{number}" for number in range(len(owner))]
    columns = columns or [column(f"c{number:03d}") for number in range(values.shape[1])]
    person_key = column("participant_id", role="direct_identifier", dtype="string", **{"class": "X"})
    tables = {
        "participants": pa.table({"participant_id": sorted(set(owner))}),
        "sessions": pa.table({"session_id": keys, "participant_id": owner}),
        "features": pa.table({"session_id": keys} | {entry["name"]: values[:, n] for n, entry in enumerate(columns)}),
    }
    dictionaries = {
        "participants": dictionary("participants", [], primary_key=["participant_id"], foreign_keys=[])
        | {"columns": [person_key], "person_key": "participant_id"},
        "sessions": dictionary("sessions", [person_key], person_key="participant_id"),
        "features": dictionary("features", list(columns)),
    }
    return tables, dictionaries


def noise(people: int, sessions: int, columns: int, seed: int, *, person: float = 0.0) -> tuple[Any, Floats]:
    """Standard normal values of which the share `person` of the variance is constant in a person, to four decimals."""
    rng = np.random.default_rng(seed)
    persons = np.repeat(np.arange(people), sessions)
    own = rng.standard_normal((people, columns))[persons]
    values = np.sqrt(person) * own + np.sqrt(1.0 - person) * rng.standard_normal((len(persons), columns))
    return persons, np.round(values, 4)


def watermark(values: Floats, persons: npt.NDArray[np.int64], seed: int, columns: int = 40) -> Floats:
    """The last of four decimals made odd or even in the first columns, by a random code of each person."""
    code = np.random.default_rng(seed).integers(0, 2, (int(persons.max()) + 1, columns))[persons]
    whole = np.rint(values[:, :columns] * 1e4)
    marked = values.copy()
    marked[:, :columns] = (whole + (np.abs(whole) % 2 != code)) / 1e4
    return np.round(marked, 4)
