"""Risk across releases: finds the earlier releases of the workspace's series, and holds the candidate against them.

Only releases whose bytes verify are used, and of these only the tables that say something an acquaintance could know.
What is measured is `privacy.series`'s; the exit code is the risk gate's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensai_release.errors import ReleaseFormatError
from sensai_release.pipeline.workspace import Workspace, earlier_releases, write_json
from sensai_release.privacy.links import Links
from sensai_release.privacy.persons import person_keys, tells_of_persons
from sensai_release.privacy.series import PersonRows, SeriesRelease, SeriesReport, assess_series, finding
from sensai_release.release.layout import MANIFEST
from sensai_release.release.tables import ReleasedTables, load_dictionaries, read_json_object
from sensai_release.release.told_links import told_links
from sensai_release.release.verify import verify_release

CANDIDATE = "candidate"
_POLICY = "policy.json"


def note_series(workspace: Workspace) -> None:
    """Writes work/series.json, the earlier releases that lie here: a new one makes the stage `risk` run again."""
    state = {}
    for _, path in earlier_releases(workspace):
        manifest = path / MANIFEST
        state[path.name] = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else None
    write_json(workspace.work / "series.json", state)


def assess_candidate(workspace: Workspace) -> SeriesReport:
    """The candidate against every earlier release of its series that lies here; the first release has none.

    A release that does not verify, is recorded but not here, or cannot be read is left out, and a finding says so.
    Raises `ReleaseFormatError` when the candidate itself cannot be read.
    """
    params, links = workspace.params, workspace.params.links
    held: list[SeriesRelease] = []
    here = earlier_releases(workspace)
    recorded = {path.stem for path in workspace.releases.glob(f"{params.series}-*.dvc")}
    skipped = [
        _left_out("absent", name, "is recorded here but not in releases/", "Fetch it with 'dvc pull'.")
        for name in sorted(recorded - {path.name for _, path in here})
    ]
    for _, path in here:
        try:
            if not verify_release(path, trust=None, integrity_only=True).ok:
                advice = "Run 'verify' on it and fetch an intact copy with 'dvc pull'."
                skipped.append(_left_out("unverified", path.name, "does not verify", advice))
                continue
            held.append(read_release(path, path / "reports" / _POLICY, path.name))
        except ReleaseFormatError:
            skipped.append(_left_out("unreadable", path.name, "cannot be read", "Run 'verify' on it."))
    candidate = read_release(workspace.candidate, workspace.candidate / _POLICY, CANDIDATE, links)
    report = assess_series(candidate, held, k=params.profile.k, minimum=params.masking_minimum)
    return SeriesReport.from_dict({**report.to_dict(), "findings": [*skipped, *report.findings]})


def _left_out(code: str, name: str, what: str, advice: str) -> dict[str, Any]:
    return finding(code, name, f"{what}, so the risk across releases says nothing of it", advice)


def read_release(folder: Path, policy_path: Path, name: str, links: Links | None = None) -> SeriesRelease:
    """What the measure needs of the candidate or release in `folder`; feature tables are not read.

    Without `links` the release itself tells which tables lead to its persons: earlier ones may have had other names.
    Raises `ReleaseFormatError` when a document or a table is not what it should be.
    """
    policy = read_json_object(policy_path, _POLICY)
    dictionaries = load_dictionaries(folder / "schemas")
    links = links or told_links(folder, dictionaries)
    if links is None:
        raise ReleaseFormatError(f"{name}: schemas", "describe no table with one row a person", "Run 'verify' on it.")
    held = ReleasedTables(folder / "data", dictionaries)
    names = [name for name, dictionary in dictionaries.items() if tells_of_persons(dictionary, links)]
    tables = {name: held.read(name) for name in names}
    rows = {}
    for table_name, table in tables.items():
        person = held.persons(table_name)
        if person is not None:
            rows[table_name] = PersonRows(table=table, person=person)
    return SeriesRelease(
        name=name,
        key_id=policy.get("pseudonym_key", {}).get("id"),
        keys=person_keys(tables, dictionaries, links),
        forms=_forms({name: dictionaries[name] for name in names}, policy, links.persons),
        rows=rows,
    )


def _forms(dictionaries: Mapping[str, Mapping[str, Any]], policy: Mapping[str, Any], persons: str) -> dict[str, str]:
    """The action and level of every column, by `table.column`, and for the table of persons by the bare name too."""
    forms = {}
    for table, dictionary in dictionaries.items():
        chosen = (policy.get("generalisation") or {}).get(table) or {}
        levels = {entry["column"]: entry["level"] for entry in chosen.get("levels", ())}
        for column in dictionary["columns"]:
            form = f"{column['action']} level {levels.get(column['name'])}"
            forms[f"{table}.{column['name']}"] = form
            if table == persons:
                forms[column["name"]] = form
    return forms
