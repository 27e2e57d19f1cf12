"""`risk`: disclosure risk and linkability of the candidate, or of a release, from its own bytes.

The candidate is also held against every earlier release of its series, and its utility against its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.pipeline.linkability import assess_linkability
from sensai_release.pipeline.series import assess_candidate
from sensai_release.pipeline.utility import assess_utility
from sensai_release.pipeline.workspace import Workspace
from sensai_release.privacy.linkability.limits import Limits
from sensai_release.privacy.links import Links
from sensai_release.privacy.masking import MINIMUM
from sensai_release.privacy.persons import person_keys, tells_of_persons
from sensai_release.privacy.risk import assess as measure
from sensai_release.release.manifest import check_schema
from sensai_release.release.tables import ReleasedTables, load_dictionaries, read_json_object
from sensai_release.release.told_links import told_links
from sensai_release.release.waived import predicate_gates

POLICY = "policy.json"


def assess(workspace: Workspace) -> dict[str, Any]:
    """The risk report of the workspace's candidate, as JSON-ready data."""
    if not workspace.candidate.is_dir():
        raise ConfigurationError("the candidate", "is not there", "Run 'sensai-release build' first.")
    params = workspace.params
    document = _assess(workspace.candidate, workspace.candidate / POLICY, params.links, minimum=params.masking_minimum)
    document["series"] = assess_candidate(workspace).to_dict()
    document["utility"] = assess_utility(workspace).to_dict()
    return _judged(document)


def _judged(document: dict[str, Any]) -> dict[str, Any]:
    """`ok` over all gates, those of the sections included."""
    return {**document, "ok": all(entry["ok"] for entry in all_gates(document))}


def all_gates(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every gate of a risk report in one list, as `release` and waivers count them."""
    return predicate_gates(document, waiver_required=False)


def assess_release(path: Path) -> dict[str, Any]:
    """The risk report of a release or candidate directory, by the thresholds that it states.

    Raises `ReleaseFormatError` when the directory is neither, holds no person, or has a table that leads to none.
    """
    policy = path / "reports" / POLICY if (path / "reports" / POLICY).is_file() else path / POLICY
    dictionaries = load_dictionaries(path / "schemas")
    if not policy.is_file() or not dictionaries:
        raise ReleaseFormatError("PATH", "is neither a release nor a candidate", "Name a folder made by 'release'.")
    links = told_links(path, dictionaries)
    if links is None:
        raise ReleaseFormatError(
            "schemas", "describe no table with one row a person", "Build it again with a released table of persons."
        )
    return _judged(_assess(path, policy, links))


def _refuse_without_persons(held: ReleasedTables, persons: str) -> None:
    """Raises `ReleaseFormatError` when there is nobody to count, or a table of which nobody knows whose rows they are.

    A table without rows beside persons is none of these: it says of nobody anything.
    """
    if held.rows(persons) == 0:
        raise ReleaseFormatError(
            f"data/{persons}", "holds no person, so there is no risk to count", "Build it again from persons."
        )
    for name in held.names:
        if held.person_link(name) is None:
            raise ReleaseFormatError(
                f"schemas/{name}.json",
                "describes rows that lead to no person: no column is a person's key, or a key that leads to one",
                f"Release the key in schemas/{name}.yaml, or leave the table out, and build again.",
            )


def _assess(folder: Path, policy_path: Path, links: Links, minimum: int = MINIMUM) -> dict[str, Any]:
    policy = read_json_object(policy_path, POLICY)
    check_schema(policy, "policy.schema.json", POLICY)
    dictionaries = load_dictionaries(folder / "schemas")
    for name, dictionary in dictionaries.items():
        check_schema(dictionary, "dictionary.schema.json", f"schemas/{name}.json")
    held = ReleasedTables(folder / "data", dictionaries)
    _refuse_without_persons(held, links.persons)
    tables = {name: held.read(name) for name, entry in dictionaries.items() if tells_of_persons(entry, links)}
    keys = person_keys(tables, dictionaries, links)
    persons = keys.table
    for name, column in keys.labels.items():
        persons = persons.append_column(name, column)
    generalisation = policy["generalisation"].get(links.persons)
    report = measure(
        persons,
        keys.tier1,
        keys.tier2,
        k=int(policy["k"]),
        max_suppressed=float(policy["max_suppressed"]),
        # Releases of the first version state no limits for diversity.
        l=int(policy.get("l", 1)),
        t=policy.get("t"),
        l_exceptions=policy.get("l_exceptions"),
        sensitive=keys.sensitive,
        labels=tuple(keys.labels),
        order=keys.order,
        population=policy.get("population"),
        suppressed=None if generalisation else 0,
        generalisation=generalisation,
    )
    stated = policy.get("linkability") or {}
    linkability = assess_linkability(
        held,
        dictionaries,
        links,
        limits=Limits(**{name: stated[name] for name in ("rank1", "auc") if name in stated}),
        cannot_assess=stated.get("cannot_assess", "report"),
        minimum=minimum,
    )
    return report.to_dict() | {"linkability": linkability}
