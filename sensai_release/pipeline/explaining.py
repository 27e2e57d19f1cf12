"""`explain`: where a column comes from, the rule that it falls under, why, and what the rule did to it.

Reads the declarations; the effect is measured on work/pseudonymised and work/candidate where both are there. No cell
value is shown, and no count of fewer persons than params.yaml masks.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sensai_release.errors import ConfigurationError
from sensai_release.pipeline.effect import candidate_entry, column_effect, present_columns
from sensai_release.pipeline.risk import POLICY
from sensai_release.pipeline.workspace import Workspace
from sensai_release.privacy.actions import TOP
from sensai_release.privacy.dictionary import data_dictionary
from sensai_release.privacy.policy import WINDOW_COLUMNS, PlannedColumn, TablePlan, plan_table
from sensai_release.privacy.wording import MISSING, in_words
from sensai_release.release.tables import read_json_object
from sensai_release.table.catalogue import classify, identify_tool, load_catalogue
from sensai_release.table.schema import ColumnSpec, ReleaseSpec, TableSchema, released_tables

Document = dict[str, Any]

_NEVER_AS_IT_IS = "the class of the source column, which never leaves as it is; only what an action makes of it may"
_LISTED = 12

_FORM = ("dtype", "unit", "nullable", "minimum", "maximum", "categories", "pattern")


def explain(workspace: Workspace, name: str) -> Document:
    """Everything about `table.column`, a released column or one of the source.

    A released column has `released` true, and `effect` or the reason why there is none; a source column that leaves
    under other names has `released_as`; a dropped one says so. Raises `ConfigurationError` with near names when the
    declarations know no such column.
    """
    profile = workspace.params.profile.name
    table, _, column = name.partition(".")
    asked = _Asked(workspace, profile, table, column)
    for schema, release in asked.released():
        plan = asked.plan(schema, release)
        for planned in plan.columns:
            if release.table == table and column in planned.outputs:
                return _released(workspace, plan, planned, column)
        if release.table == table and release.window is not None and column in WINDOW_COLUMNS:
            return _of_the_windows_own(workspace, plan, column)
    for schema in workspace.schemas.values():
        tables = [release.table for release in schema.releases if profile in release.profiles]
        spec = next((s for s in schema.columns if s.name == column), None) or schema.match(column)
        if table in (schema.name, *tables) and spec is not None:
            return _of_source(workspace, schema, spec, column, tables if table == schema.name else [table])
    raise ConfigurationError("TABLE.COLUMN", "names no column that the schemas know", asked.near())


class _Asked:
    """A question, and the columns that could have been meant."""

    def __init__(self, workspace: Workspace, profile: str, table: str, column: str) -> None:
        self._workspace = workspace
        self._profile = profile
        self._table = table
        self._column = column

    def released(self) -> Sequence[tuple[TableSchema, ReleaseSpec]]:
        return released_tables(self._workspace.schemas, self._profile)

    def plan(self, schema: TableSchema, release: ReleaseSpec) -> TablePlan:
        """The plan over the columns that are there; before a build, over those that are declared or asked for."""
        names = present_columns(self._workspace, schema)
        if not names:
            names = [spec.name for spec in schema.columns if spec.name is not None and not spec.is_derived]
            stems = (self._column, self._column.rpartition("_")[0])
            names += [stem for stem in stems if stem not in names and schema.match(stem) is not None]
        return plan_table(schema, release, self._profile, names, self._workspace.schemas.hierarchies)

    def near(self) -> str:
        known = [
            f"{release.table}.{output}"
            for schema, release in self.released()
            for planned in self.plan(schema, release).columns
            for output in planned.outputs
        ]
        known += [f"{s.name}.{spec.name}" for s in self._workspace.schemas.values() for spec in s.columns if spec.name]
        # Only names of the declarations are shown, never what was typed: it may have been pasted from a source file.
        if not self._column and (own := [name for name in dict.fromkeys(known) if name.startswith(f"{self._table}.")]):
            more = f" and {len(own) - _LISTED} more" if len(own) > _LISTED else ""
            return f"Name a column too: {', '.join(own[:_LISTED])}{more}."
        found = difflib.get_close_matches(f"{self._table}.{self._column}", list(dict.fromkeys(known)), n=5, cutoff=0.5)
        if found:
            return f"Near it: {', '.join(found)}."
        tables = [release.table for _, release in self.released()]
        return f"Write TABLE.COLUMN; released tables: {', '.join(tables)}."


def _common(workspace: Workspace, schema: TableSchema, spec: ColumnSpec, column: str) -> Document:
    source = schema.source
    return {
        "source": {
            "table": schema.name,
            "column": column,
            "entry": spec.label,
            "file": source.file if source is not None else None,
            "derived_as": spec.expression,
        },
        "tool": _tool(workspace, schema, column),
        "description": spec.description,
        "role": spec.role,
        "tier": spec.tier,
        "class": spec.idclass,
        "class_note": _NEVER_AS_IT_IS if spec.idclass == "X" else None,
        "justification": spec.justification,
        "profile": workspace.params.profile.name,
    }


def _tool(workspace: Workspace, schema: TableSchema, column: str) -> Document | None:
    """What the catalogue knows of the column, and of the tool that wrote it."""
    source = schema.source
    if source is None:
        return None
    tool: str | None = source.reader if source.reader in load_catalogue() else None
    if tool is None and (match := identify_tool(present_columns(workspace, schema))) is not None:
        tool = match.tool
    entry = classify(column, tool)
    if entry is None and tool is None:
        return None
    title = load_catalogue()[entry.tool if entry is not None else tool].title  # type: ignore[index]
    return {
        "name": entry.tool if entry is not None else tool,
        "title": title,
        "class": entry.idclass if entry is not None else None,
        "reason": entry.reason if entry is not None else None,
    }


def _of_source(
    workspace: Workspace, schema: TableSchema, spec: ColumnSpec, column: str, tables: Sequence[str]
) -> Document:
    """A column under its name in the source: dropped, or released as something else."""
    profile = workspace.params.profile.name
    released_as: dict[str, str] = {}
    for target, action in ((name, action) for name in tables for action in spec.actions_for(name, profile) or ()):
        if action.do != "drop":
            names = [f"{column}_{s}" for s in action.parameters["statistics"]] if action.do == "window" else None
            released_as |= {f"{target}.{name}": in_words(action) for name in names or [action.output or column]}
    document: Document = {"table": schema.name, "name": column, "released": False, "released_as": list(released_as)}
    if released_as:
        document["actions_in_words"] = released_as
    else:
        why = "" if tables else f"its table is not released under the profile {profile}: "
        document["dropped"] = f"{why}class {spec.idclass}. {spec.justification}"
    return document | _common(workspace, schema, spec, column)


def _released(workspace: Workspace, plan: TablePlan, planned: PlannedColumn, column: str) -> Document:
    spec, action = planned.spec, planned.action
    effect, reason = column_effect(workspace, plan, planned, column)
    profiles = [
        name
        for name in workspace.params.raw["profiles"]
        if name in plan.release.profiles and any(a.do != "drop" for a in spec.actions_for(plan.table, name) or ())
    ]
    entry = _dictionary_entry(workspace, plan, column)
    return {
        "table": plan.table,
        "name": column,
        "released": True,
        **_common(workspace, plan.schema, spec, planned.source),
        "description": entry["description"],
        "profiles": profiles,
        "action": action.describe(),
        "action_in_words": in_words(action),
        "parameters": dict(action.parameters),
        "missing": MISSING[action.missing],
        "hierarchy": _hierarchy(workspace, plan, planned),
        "effect": effect,
        "no_effect": reason,
        "form": {name: entry[name] for name in _FORM},
    }


def _of_the_windows_own(workspace: Workspace, plan: TablePlan, column: str) -> Document:
    """A column that says where a window lies: it stands for no column of the source."""
    entry = _dictionary_entry(workspace, plan, column)
    taken = ("description", "role", "tier", "class", "justification", "action")
    return {
        "table": plan.table,
        "name": column,
        "released": True,
        "source": {"table": plan.schema.name, "column": entry["source"]},
        **{name: entry[name] for name in taken},
        "profile": plan.profile,
        "effect": None,
        "no_effect": "the column is made by the tool; it has no source",
        "form": {name: entry[name] for name in _FORM},
    }


def _dictionary_entry(workspace: Workspace, plan: TablePlan, column: str) -> Document:
    """The entry of the data dictionary: the candidate's, whose levels are chosen, else as the plan has it."""
    entry = candidate_entry(workspace, plan.table, column)
    if entry is None:
        dictionary = data_dictionary(plan, person_key=workspace.params.person_key, schemas=workspace.schemas)
        entry = next(entry for entry in dictionary["columns"] if entry["name"] == column)
    return entry


def _hierarchy(workspace: Workspace, plan: TablePlan, planned: PlannedColumn) -> Document | None:
    """The hierarchy of a column and the level that it is released at; None before a search has chosen one."""
    hierarchy = planned.hierarchy
    if hierarchy is None:
        return None
    level: int | None = planned.action.parameters.get("level", 1) - 1
    if planned.action.do == "generalise" and planned.spec.tier == 1:
        path = workspace.candidate / POLICY
        policy = read_json_object(path, POLICY, "generalisation") if path.is_file() else {"generalisation": {}}
        chosen = policy["generalisation"].get(plan.table, {})
        levels = {entry["column"]: entry["level"] for entry in chosen.get("levels", ())}
        level = levels.get(planned.output)
    names = [*hierarchy.level_names, f"{TOP} (the whole column is left out)"]
    return {
        "name": hierarchy.name,
        "level": level,
        "height": hierarchy.height,
        "level_name": None if level is None else names[level],
    }


def flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The answers of an explanation one below the other, for people; what has no answer is left out."""
    for key, value in document.items():
        # A name of a column stays as it is: it is for the next 'explain'.
        name = f"{prefix}{key if '.' in key else key.replace('_', ' ')}"
        if isinstance(value, Mapping) and key != "parameters":
            yield from flat(value, f"{name}: ")
        elif isinstance(value, Mapping):
            yield from ((f"{name}: {k}", _shown(v)) for k, v in value.items())
        elif value not in (None, [], {}):
            yield name, _shown(value)


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else value
