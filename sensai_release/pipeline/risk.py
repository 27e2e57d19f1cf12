"""`risk`: disclosure risk of the candidate, or of a release, from its own bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.pipeline.workspace import Workspace
from sensai_release.privacy.persons import Links, person_keys
from sensai_release.privacy.risk import assess as measure
from sensai_release.release.tables import ReleasedTables, load_dictionaries, read_json_object

POLICY = "policy.json"


def assess(workspace: Workspace) -> dict[str, Any]:
    """The risk report of the workspace's candidate, as JSON-ready data."""
    if not workspace.candidate.is_dir():
        raise ConfigurationError("the candidate", "is not there", "Run 'sensai-release build' first.")
    params = workspace.params
    links = Links(
        persons=params.person_table,
        person_key=params.person_key,
        sessions=params.session_table,
        session_key=params.session_key,
    )
    return _assess(workspace.candidate, workspace.candidate / POLICY, links)


def assess_release(path: Path) -> dict[str, Any]:
    """The risk report of a release or candidate directory, by the thresholds that it states.

    Raises `ReleaseFormatError` when the directory is neither.
    """
    policy = path / "reports" / POLICY if (path / "reports" / POLICY).is_file() else path / POLICY
    dictionaries = load_dictionaries(path / "schemas")
    owner = next((d for d in dictionaries.values() if d["person_key"] and d["primary_key"] == [d["person_key"]]), None)
    if not policy.is_file() or owner is None:
        raise ReleaseFormatError("PATH", "is neither a release nor a candidate", "Name a folder made by 'release'.")
    persons = next(
        d for d in dictionaries.values() if d["primary_key"] == [owner["person_key"]] and not d["foreign_keys"]
    )
    sessions = next(
        (
            d
            for d in dictionaries.values()
            if any(key["references"] == f"{persons['table']}.{persons['person_key']}" for key in d["foreign_keys"])
            and d["primary_key"] != [persons["person_key"]]
        ),
        None,
    )
    links = Links(
        persons=persons["table"],
        person_key=persons["person_key"],
        sessions=sessions["table"] if sessions else "",
        session_key=sessions["primary_key"][0] if sessions else "",
    )
    return _assess(path, policy, links)


def _assess(folder: Path, policy_path: Path, links: Links) -> dict[str, Any]:
    policy = read_json_object(policy_path, POLICY)
    dictionaries = load_dictionaries(folder / "schemas")
    held = ReleasedTables(folder / "data", dictionaries)
    # Only tables that say something an acquaintance could know; feature tables can be large and say nothing of it.
    wanted = [
        name
        for name, dictionary in dictionaries.items()
        if name in (links.persons, links.sessions)
        or any(column["role"] == "quasi_identifier" for column in dictionary["columns"])
    ]
    tables = {name: held.read(name) for name in wanted}
    keys = person_keys(tables, dictionaries, links)
    generalised = [
        column["name"]
        for column in dictionaries[links.persons]["columns"]
        if column["tier"] == 1 and column["action"].startswith("generalise(")
    ]
    report = measure(
        keys.table,
        keys.tier1,
        keys.tier2,
        k=int(policy["k"]),
        max_suppressed=float(policy["max_suppressed"]),
        suppressed=_suppressed(keys.table, generalised),
        generalisation=policy["generalisation"].get(links.persons),
    )
    return report.to_dict()


def _suppressed(persons: pa.Table, generalised: list[str]) -> int:
    """Persons whose generalised cells are all missing: suppressed, or without any value from the start."""
    if not generalised:
        return 0
    empty = np.ones(persons.num_rows, dtype=bool)
    for name in generalised:
        empty &= pc.is_null(persons[name]).to_numpy()
    return int(empty.sum())
