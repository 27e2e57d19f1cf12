"""The data dictionary of a released table: what each column is, computed from its plan, as JSON-ready data.

It is what the second gate, `verify`, the datasheet and `diff` hold the bytes against, so every range and category list
in it follows from the declared source range and the action; nothing is read from the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sensai_release.privacy.actions import interval_labels, level_labels, round_significant
from sensai_release.privacy.policy import PlannedColumn, TablePlan
from sensai_release.privacy.pseudonyms import pseudonym_pattern
from sensai_release.table.schema import ForeignKey, SchemaSet

Entry = dict[str, Any]

_WITHIN_RANGE = ("mean", "min", "max", "median", "p10", "p90")
_STATISTIC_TEXTS = {
    "mean": "mean",
    "sd": "standard deviation (n - 1)",
    "min": "smallest value",
    "max": "largest value",
    "median": "median",
    "p10": "10th percentile",
    "p90": "90th percentile",
    "rate": "share of the frames above zero",
}


def data_dictionary(
    plan: TablePlan,
    *,
    person_key: str | None = None,
    schemas: SchemaSet | None = None,
    levels: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The dictionary of a released table.

    `person_key` is the name of the key of persons, listed when the table has it. Foreign keys name the source table, or
    with `schemas` the table released of it under the profile, and are left out when it is not released. `levels` gives
    the chosen level of each generalised column, by output name; without it their categories are unknown (`None`).
    """
    columns = [entry for column in plan.columns for entry in _entries(plan, column, levels or {})]
    if plan.release.window is not None:
        key = [entry for entry in columns if entry["source"] == plan.recording_key]
        columns = [*key, *_window_entries(plan), *(entry for entry in columns if entry not in key)]
    names = [entry["name"] for entry in columns]
    return {
        "table": plan.table,
        "title": plan.release.title,
        "description": plan.release.description,
        "person_key": person_key if person_key in names else None,
        "primary_key": _primary_key(plan),
        "foreign_keys": _foreign_keys(plan, schemas),
        "columns": columns,
    }


def _primary_key(plan: TablePlan) -> list[str]:
    """Released names of the key; empty when part of it is not released."""
    if plan.release.window is not None:
        return [plan.recording_key, "window"] if plan.recording_key is not None else ["window"]
    released = {column.source: column.output for column in plan.columns if column.action.do in ("keep", "pseudonymise")}
    key = [released.get(name) for name in plan.schema.primary_key]
    return [name for name in key if name is not None] if None not in key else []


def _foreign_keys(plan: TablePlan, schemas: SchemaSet | None) -> list[dict[str, str]]:
    released = {column.source: column.output for column in plan.columns if column.action.do == "pseudonymise"}
    found = []
    for key in plan.schema.foreign_keys:
        target = _target(key, plan, schemas)
        if key.column in released and target is not None:
            found.append({"column": released[key.column], "references": target})
    return found


def _target(key: ForeignKey, plan: TablePlan, schemas: SchemaSet | None) -> str | None:
    if schemas is None:
        return f"{key.table}.{key.key}"
    for release in schemas[key.table].releases:
        if release.window is None and plan.profile in release.profiles:
            return f"{release.table}.{key.key}"
    return None


def _entries(plan: TablePlan, column: PlannedColumn, levels: Mapping[str, int]) -> list[Entry]:
    if column.action.do != "window":
        return [_entry(column, column.output, **_kind(column, levels))]
    return [
        _entry(column, name, **_statistic(column, statistic), description=_statistic_text(column, statistic, plan))
        for name, statistic in zip(column.outputs, column.action.parameters["statistics"], strict=True)
    ]


def _entry(column: PlannedColumn, name: str, **kind: Any) -> Entry:
    spec = column.spec
    entry: Entry = {
        "name": name,
        "dtype": "number",
        "unit": None,
        "nullable": spec.nullable and column.action.missing != "refuse",
        "minimum": None,
        "maximum": None,
        "categories": None,
        "pattern": None,
        "description": spec.description,
        "role": spec.role,
        "tier": spec.tier,
        "class": spec.idclass,
        "source": column.source,
        "action": column.action.describe(),
        "justification": spec.justification,
    }
    return entry | kind


def _kind(column: PlannedColumn, levels: Mapping[str, int]) -> Entry:
    """What the action makes of the source's type, unit and range."""
    spec, action = column.spec, column.action
    match action.do:
        case "pseudonymise":
            pattern = pseudonym_pattern(spec.identifier) if spec.identifier is not None else None
            return {"dtype": "string", "pattern": pattern, "nullable": False}
        case "bin":
            return {
                "dtype": "category",
                "unit": spec.unit,
                "categories": list(interval_labels(action.parameters["edges"])),
            }
        case "map":
            return {"dtype": "category", "unit": spec.unit, **_labels(column, action.parameters.get("level", 1) - 1)}
        case "generalise":
            level = levels.get(column.output, None if spec.tier == 1 else 0)
            return {"dtype": "category", "unit": spec.unit, "nullable": True, **_labels(column, level)}
        case "ordinal":
            return {"dtype": "integer", "minimum": 1}
        case "relative_day":
            return {"dtype": "integer", "unit": "day", "minimum": 0}
        case "round" | "noise":
            digits = action.parameters["digits"]
            low, high = (_rounded(bound, digits) for bound in (spec.minimum, spec.maximum))
            dtype = "integer" if spec.dtype == "integer" and action.do == "round" else "number"
            return {"dtype": dtype, "unit": spec.unit, "minimum": low, "maximum": high}
        case "difference_from_reference":
            span = None if spec.minimum is None or spec.maximum is None else spec.maximum - spec.minimum
            high = _rounded(span, action.parameters["digits"])
            return {
                "unit": spec.unit,
                "nullable": True,
                "minimum": None if high is None else -high,
                "maximum": high,
                "description": f"{spec.description} Here: the difference from the person's own reference session.",
            }
        case "top_bottom_code":
            low, high = action.parameters.get("lower", spec.minimum), action.parameters.get("upper", spec.maximum)
            return {"dtype": spec.dtype, "unit": spec.unit, "minimum": low, "maximum": high}
        case "suppress_local":
            when = action.parameters["when"]
            hidden = {str(value) for value in when.get("values", ())}
            return {
                "dtype": spec.dtype,
                "unit": spec.unit,
                "nullable": True,
                "minimum": when.get("below", spec.minimum),
                "maximum": when.get("above", spec.maximum),
                "categories": [c for c in spec.categories if c not in hidden] if spec.dtype == "category" else None,
            }
    categories = list(spec.categories) if spec.dtype == "category" else None
    bounds = {"minimum": spec.minimum, "maximum": spec.maximum}
    return {"dtype": spec.dtype, "unit": spec.unit, "categories": categories, **bounds}


def _labels(column: PlannedColumn, level: int | None) -> Entry:
    if column.hierarchy is None or level is None:
        return {"categories": None}
    return {"categories": list(level_labels(column.hierarchy, level))}


def _statistic(column: PlannedColumn, statistic: str) -> Entry:
    spec = column.spec
    digits = column.action.parameters.get("digits")
    # Missing where too few frames of a window are valid, whatever the source says.
    entry: Entry = {"nullable": True, "unit": spec.unit}
    if statistic in _WITHIN_RANGE:
        return entry | {"minimum": _rounded(spec.minimum, digits), "maximum": _rounded(spec.maximum, digits)}
    if statistic == "sd":
        return entry | {"minimum": 0}
    return entry | {"unit": None, "minimum": 0, "maximum": 1}


def _statistic_text(column: PlannedColumn, statistic: str, plan: TablePlan) -> str:
    seconds = plan.release.window.seconds if plan.release.window is not None else 0
    return f"{column.spec.description} Here: {_STATISTIC_TEXTS[statistic]} in a window of {seconds:g} s."


def _rounded(bound: float | None, digits: int | None) -> float | None:
    """Rounding is monotone, so the rounded bound holds for rounded values."""
    if bound is None or digits is None:
        return bound
    rounded = float(round_significant(np.array([float(bound)]), digits)[0])
    return int(rounded) if isinstance(bound, int) and rounded.is_integer() else rounded


def _window_entries(plan: TablePlan) -> list[Entry]:
    window = plan.release.window
    if window is None:
        return []
    common: Entry = {
        "unit": None,
        "nullable": False,
        "minimum": 0,
        "maximum": None,
        "categories": None,
        "pattern": None,
        "role": "insensitive",
        "tier": None,
        "class": "C",
        "source": window.time,
        "action": f"window(seconds={window.seconds:g})",
    }
    texts = (
        (
            "window",
            "integer",
            f"Number of the window of {window.seconds:g} s, from 0, since the first frame.",
        ),
        ("frames", "integer", "Frames in the window, valid or not."),
        ("valid_share", "number", "Share of these frames that are valid; only they enter the statistics."),
    )
    entries = [common | {"name": name, "dtype": dtype, "description": text} for name, dtype, text in texts]
    for entry in entries:
        entry["justification"] = "Says where a window lies and how far it can be trusted; says nothing of the person."
    entries[1]["minimum"] = 1
    entries[2] |= {"maximum": 1, "source": window.valid or window.time}
    return entries
