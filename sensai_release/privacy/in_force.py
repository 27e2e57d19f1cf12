"""The policy in force for one release: what became of every column, dropped ones by entry, for machines and for people.

Follows from the plans and dictionaries alone; nothing is read from data. Thresholds and chosen levels are put beside it
by `pipeline`, and how it looks on a page is for `release.pages`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sensai_release.privacy.policy import TablePlan
from sensai_release.privacy.wording import MISSING, in_words
from sensai_release.table.schema import SchemaSet

Entry = dict[str, Any]

_FROM_DICTIONARY = ("source", "role", "tier", "class", "action", "justification")


def released_columns(plan: TablePlan, dictionary: Mapping[str, Any]) -> dict[str, Entry]:
    """Every released column with its source, role, tier, class, action, justification, and the action in words."""
    planned = {output: column for column in plan.columns for output in column.outputs}
    found = {}
    for column in dictionary["columns"]:
        entry: Entry = {name: column[name] for name in _FROM_DICTIONARY}
        origin = planned.get(column["name"])
        entry["in_words"] = in_words(origin.action) if origin is not None else "made by the tool for each window"
        entry["missing"] = MISSING[origin.action.missing] if origin is not None else None
        found[column["name"]] = entry
    return found


def dropped_entries(plan: TablePlan) -> list[Entry]:
    """The entries of the schema that leave nothing in a released table: a name, or the pattern of many columns."""
    found = []
    for spec in plan.schema.columns:
        actions = spec.actions_for(plan.table, plan.profile) or ()
        if all(action.do == "drop" for action in actions):
            found.append(
                {
                    "columns": spec.label,
                    "many": spec.pattern is not None,
                    "description": spec.description,
                    "role": spec.role,
                    "class": spec.idclass,
                    "justification": spec.justification,
                }
            )
    return found


def tables_kept_back(schemas: SchemaSet, profile: str) -> list[Entry]:
    """The source tables of which nothing is released under a profile."""
    return [
        {"table": schema.name, "title": schema.title, "description": schema.description}
        for schema in schemas.values()
        if not any(profile in release.profiles for release in schema.releases)
    ]


def grouped(columns: Mapping[str, Mapping[str, Any]]) -> Sequence[Entry]:
    """Released columns that fall under one rule, as one entry each with their `names`, in the order given.

    Hundreds of features are a few rules: this is what people read.
    """
    groups: dict[tuple[Any, ...], Entry] = {}
    for name, entry in columns.items():
        key = tuple(entry[part] for part in ("role", "tier", "class", "action", "justification", "missing"))
        group = groups.setdefault(key, {**entry, "names": [], "sources": []})
        group["names"].append(name)
        if entry["source"] not in group["sources"]:
            group["sources"].append(entry["source"])
    return list(groups.values())
