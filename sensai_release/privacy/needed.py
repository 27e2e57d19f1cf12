"""Which columns of a source have to be parsed: what a release, a key, a rule or another table reads. The rest never is.

Follows from the declarations alone. Whether a column may leave is `privacy.policy`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.context import condition, session_times
from sensai_release.privacy.expression import expression_columns
from sensai_release.privacy.fit import ORDERED
from sensai_release.table.schema import ActionSpec, ColumnSpec, SchemaSet, TableSchema


def needed_columns(schema: TableSchema, profile: str, *, schemas: SchemaSet | None = None) -> frozenset[str]:
    """The labels (`ColumnSpec.label`) of the source columns that have to be parsed for a profile.

    Those that some table released under it uses, keys, the columns of windows, rules and ordered actions, and the
    operands of derived columns. With `schemas` also what the rules and keys of other tables read here.
    """
    names: set[str] = {*schema.primary_key, *(key.column for key in schema.foreign_keys)}
    labels: set[str] = set()
    for release in schema.releases:
        if profile not in release.profiles:
            continue
        if release.window is not None:
            names.update(name for name in (release.window.time, release.window.valid) if name is not None)
        for spec in schema.columns:
            actions = [action for action in spec.actions_for(release.table, profile) or () if action.do != "drop"]
            names |= _read_by_actions(schema, spec, actions, schemas)
            if actions and not spec.is_derived:
                labels.add(spec.label)
    for rule in schema.rules:
        names.update(rule[entry] for entry in ("by", "column") if entry in rule)
    for other in schemas.values() if schemas is not None else (schema,):
        names |= _read_by(other, schema.name)
        names |= _read_for_references(other, schema, profile)
    for name in sorted(names):
        found = schema.match(name)
        if found is None:
            raise ConfigurationError(f"schemas/{schema.name}.yaml", f"has no column '{name}'", "Describe the column.")
        labels.add(found.label)
    return frozenset(labels)


def _read_by_actions(
    schema: TableSchema, spec: ColumnSpec, actions: Sequence[ActionSpec], schemas: SchemaSet | None
) -> set[str]:
    """The columns of its own table that a released column is made of, beside its own."""
    found: set[str] = set()
    if actions and spec.expression is not None:
        found |= expression_columns(spec.expression, entry_place(schema, spec))
    for action in actions:
        within = action.parameters.get("within")
        if within is not None and schemas is not None:
            _check_leads(schema, spec, within, schemas)
        # What leads to persons by way of the sessions is not here.
        if within is not None and (action.do in ORDERED or schema.match(within) is not None):
            found.add(within)
        owner, column, _ = condition(action.parameters.get("reference", "first"))
        if owner == schema.name and column is not None:
            found.add(column)
    return found


def _read_for_references(other: TableSchema, schema: TableSchema, profile: str) -> set[str]:
    """The columns of `schema` that differences from references in `other` read: person, order, conditions."""
    leads_here = other.name == schema.name or any(key.table == schema.name for key in other.foreign_keys)
    found: set[str] = set()
    for release in other.releases if leads_here else ():
        for spec in other.columns if profile in release.profiles else ():
            for action in spec.actions_for(release.table, profile) or ():
                owner, column, _ = condition(action.parameters.get("reference", "first"))
                if owner == schema.name and column is not None:
                    found.add(column)
                if "within" in action.parameters and action.do not in ORDERED:
                    found.update(name for name in (action.parameters["within"],) if schema.match(name) is not None)
                if action.do == "difference_from_reference" and (times := session_times(schema)) is not None:
                    found.add(times)
    return found


def _check_leads(schema: TableSchema, spec: ColumnSpec, within: str, schemas: SchemaSet) -> None:
    """Refuses `within` when neither the table nor one that its keys refer to has such a column."""
    tables = [schema, *(schemas[key.table] for key in schema.foreign_keys if key.table in schemas)]
    if all(table.match(within) is None for table in tables):
        raise ConfigurationError(
            entry_place(schema, spec),
            f"is taken within '{within}', which neither this table nor one that it refers to has",
            "Name the key of persons.",
        )


def _read_by(other: TableSchema, table: str) -> set[str]:
    """The columns of `table` that the rules and foreign keys of another table (or its own rules) read."""
    found = {key.key for key in other.foreign_keys if key.table == table}
    for rule in other.rules:
        for reference in (*rule.get("where", ()), *([rule["after"]] if "after" in rule else ())):
            owner, column = reference.split(".")
            if owner == table:
                found.add(column)
    return found


def entry_place(schema: TableSchema, spec: ColumnSpec) -> str:
    """How errors name a column entry of a schema."""
    return f"schemas/{schema.name}.yaml: {spec.label}"
