"""Which column may leave, and how: a schema and a profile become the plan of one released table. Default: refuse.

A plan is made before any row is read, and everything that is not plainly allowed stops it with the entry to mend.
Carrying a plan out is `privacy.deidentify`'s and `privacy.windows`', describing it `privacy.dictionary`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.context import condition, session_times
from sensai_release.privacy.expression import expression_columns
from sensai_release.privacy.fit import ORDERED, check_fit
from sensai_release.table.schema import ActionSpec, ColumnSpec, Hierarchy, ReleaseSpec, SchemaSet, TableSchema

_NUMERIC = ("integer", "number", "boolean")
_NEVER_LEAVING = ("drop", "pseudonymise", "ordinal", "relative_day")
WINDOW_COLUMNS = ("window", "frames", "valid_share")
"""The columns that every window table has beside its key and its statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedColumn:
    """One action on one source column. `outputs` are the released columns: one, or one for each window statistic."""

    source: str
    spec: ColumnSpec
    action: ActionSpec
    outputs: tuple[str, ...]
    hierarchy: Hierarchy | None = None

    @property
    def output(self) -> str:
        return self.outputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """What becomes of a source table in one released table; `columns` stand in the order of the released table."""

    schema: TableSchema
    release: ReleaseSpec
    profile: str
    columns: tuple[PlannedColumn, ...]

    @property
    def table(self) -> str:
        return self.release.table

    @property
    def recording_key(self) -> str | None:
        """The key that the name of each recording's file gives, and that its rows lack."""
        source = self.schema.source
        return source.recording_key if source is not None and source.per_recording else None


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
        found |= expression_columns(spec.expression, _place(schema, spec))
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
            _place(schema, spec),
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


def undecided_columns(schemas: SchemaSet) -> list[str]:
    """The columns that nobody has classified, as `table.column`, whether or not their table is released."""
    return [
        f"{schema.name}.{spec.label}"
        for schema in schemas.values()
        for spec in schema.columns
        if spec.idclass == "undecided"
    ]


def refuse_undecided(schemas: SchemaSet) -> None:
    """Raises `ConfigurationError` naming the first columns of class `undecided`: a build without a decision is none."""
    for schema in schemas.values():
        found = [spec.label for spec in schema.columns if spec.idclass == "undecided"]
        if found:
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            raise ConfigurationError(
                f"schemas/{schema.name}.yaml",
                f"nobody has decided on {', '.join(found[:5])}{more}",
                "Set 'class' to X, A, B, C or clinical, with role, action and justification.",
            )


def plan_table(
    schema: TableSchema,
    release: ReleaseSpec,
    profile: str,
    columns: Sequence[str],
    hierarchies: Mapping[str, Hierarchy],
) -> TablePlan:
    """The plan of one released table over the source columns that are really there (`columns`, in their order).

    The key that a recording's file name gives is planned whether or not it is among them. Released columns follow the
    order of the schema, those of one pattern the order of `columns`. Raises `ConfigurationError` naming the entry for:
    a profile in which the table is not released, a column that no entry matches, one nobody classified, one without an
    action here, an action that does not fit its column, two outputs of one name, a derived column of what must never
    leave.
    """
    place = f"schemas/{schema.name}.yaml"
    if profile not in release.profiles:
        raise ConfigurationError(
            f"{place}: release.{release.table}", f"is not released under '{profile}'", "Name the profile there."
        )
    return _plan(schema, release, profile, _sources(schema, columns, place), hierarchies)


def _plan(
    schema: TableSchema,
    release: ReleaseSpec,
    profile: str,
    sources: Sequence[tuple[str, ColumnSpec]],
    hierarchies: Mapping[str, Hierarchy],
) -> TablePlan:
    planned = [
        PlannedColumn(
            source=source,
            spec=spec,
            action=action,
            outputs=_outputs(source, action),
            hierarchy=_hierarchy(schema, spec, action, hierarchies),
        )
        for source, spec in sources
        for action in _actions(schema, spec, release, profile)
        if action.do != "drop"
    ]
    for column in planned:
        check_fit(schema, release, column.spec, column.action)
    _check_names(release, planned, f"schemas/{schema.name}.yaml")
    return TablePlan(schema=schema, release=release, profile=profile, columns=tuple(planned))


def _sources(schema: TableSchema, columns: Sequence[str], place: str) -> list[tuple[str, ColumnSpec]]:
    """Source columns and derived ones with their entries, in the order of the schema."""
    key = schema.source.recording_key if schema.source is not None and schema.source.per_recording else None
    present = [*columns, key] if key is not None and key not in columns else list(columns)
    position = {id(spec): number for number, spec in enumerate(schema.columns)}
    found: list[tuple[int, str, ColumnSpec]] = []
    for column in present:
        spec = schema.match(column)
        if spec is None:
            raise ConfigurationError(
                place, "no entry matches one of the source's columns", "Add an entry under 'columns' with an action."
            )
        found.append((position[id(spec)], column, spec))
    for spec in schema.columns:
        if spec.expression is not None and spec.name is not None:
            _check_derived(schema, spec, present)
            found.append((position[id(spec)], spec.name, spec))
    return [(column, spec) for _, column, spec in sorted(found, key=lambda entry: entry[0])]


def _check_derived(schema: TableSchema, spec: ColumnSpec, present: Sequence[str]) -> None:
    place = _place(schema, spec)
    for name in sorted(expression_columns(spec.expression or "", place)):
        operand = schema.match(name)
        if operand is None or name not in present:
            raise ConfigurationError(place, f"is derived of '{name}', which is not there", "Mend the expression.")
        if operand.dtype not in _NUMERIC:
            raise ConfigurationError(place, f"is derived of '{name}', which is no number", "Mend the expression.")
        if operand.idclass == "X" or operand.role == "direct_identifier":
            raise ConfigurationError(place, f"is derived of '{name}', which must never leave", "Drop it.")


def _actions(schema: TableSchema, spec: ColumnSpec, release: ReleaseSpec, profile: str) -> tuple[ActionSpec, ...]:
    place = _place(schema, spec)
    if spec.idclass == "undecided":
        raise ConfigurationError(place, "nobody has decided its class", "Set 'class' to X, A, B, C or clinical.")
    actions = spec.actions_for(release.table, profile)
    if actions is None:
        entry = f"'default', '{release.table}' or '{release.table}@{profile}'"
        raise ConfigurationError(place, f"has no action for '{release.table}' under '{profile}'", f"Add {entry}.")
    if spec.idclass == "X" and any(action.do not in _NEVER_LEAVING for action in actions):
        raise ConfigurationError(place, "is of class X and must never leave", "Give it the action drop.")
    if spec.role == "direct_identifier" and any(action.do not in ("drop", "pseudonymise") for action in actions):
        raise ConfigurationError(place, "is a direct identifier", "Give it the action drop or pseudonymise.")
    return actions


def _outputs(source: str, action: ActionSpec) -> tuple[str, ...]:
    if action.do == "window":
        return tuple(f"{source}_{statistic}" for statistic in action.parameters["statistics"])
    return (action.output or source,)


def _hierarchy(
    schema: TableSchema, spec: ColumnSpec, action: ActionSpec, hierarchies: Mapping[str, Hierarchy]
) -> Hierarchy | None:
    if action.do not in ("map", "generalise"):
        return None
    place = _place(schema, spec)
    name = action.parameters["hierarchy"]
    found = hierarchies.get(name)
    if found is None:
        raise ConfigurationError(place, f"uses the hierarchy '{name}', which is not there", "Add or rename it.")
    if found.kind == "intervals" and spec.dtype not in ("integer", "number"):
        raise ConfigurationError(place, "is no number, but its hierarchy has intervals", "Use one of categories.")
    if found.kind == "categories" and spec.dtype not in ("category", "string"):
        raise ConfigurationError(place, "is no category, but its hierarchy has categories", "Use one of intervals.")
    if found.kind == "categories" and not set(spec.categories) <= set(found.table):
        lacking = len(set(spec.categories) - set(found.table))
        raise ConfigurationError(
            f"schemas/hierarchies/{name}.yaml", f"lacks {lacking} of the column's categories", "Add them to 'values'."
        )
    if not 1 <= action.parameters.get("level", 1) < found.height:
        raise ConfigurationError(place, "maps to a level that its hierarchy lacks", f"Use 1 to {found.height - 1}.")
    return found


def check_policies(schemas: SchemaSet, profiles: Collection[str]) -> None:
    """Plans every released table under every profile, from the declarations alone, before there are any data.

    Raises `ConfigurationError` for what `plan_table` and `needed_columns` refuse, and for a profile that is named in a
    schema and not among `profiles`: its entries would be passed over in silence.
    """
    for schema in schemas.values():
        _check_profiles(schema, profiles)
        for profile in profiles:
            for release in schema.releases:
                if profile in release.profiles:
                    _plan(schema, release, profile, _declared(schema), schemas.hierarchies)
            needed_columns(schema, profile, schemas=schemas)


def _check_profiles(schema: TableSchema, profiles: Collection[str]) -> None:
    cure = f"Accepted: {', '.join(profiles)}."
    for release in schema.releases:
        for profile in sorted(set(release.profiles) - set(profiles)):
            place = f"schemas/{schema.name}.yaml: release.{release.table}"
            raise ConfigurationError(place, f"names the profile '{profile}', which params.yaml lacks", cure)
    for spec in schema.columns:
        for key in spec.actions:
            _, at, profile = key.partition("@")
            if at and profile not in profiles:
                cause = f"has an action for the profile '{profile}', which params.yaml lacks"
                raise ConfigurationError(_place(schema, spec), cause, cure)


def _declared(schema: TableSchema) -> list[tuple[str, ColumnSpec]]:
    """Every entry under its own label, as if each declared column were there once."""
    names = [spec.name for spec in schema.columns if spec.name is not None and not spec.is_derived]
    for spec in schema.columns:
        if spec.is_derived:
            _check_derived(schema, spec, names)
    return [(spec.label, spec) for spec in schema.columns]


def _check_names(release: ReleaseSpec, planned: Sequence[PlannedColumn], place: str) -> None:
    names = [name for column in planned for name in column.outputs]
    if release.window is not None:
        names += WINDOW_COLUMNS
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigurationError(
            f"{place}: release.{release.table}", f"would have two columns named {', '.join(doubled)}", "Add 'as'."
        )
    if not planned:
        raise ConfigurationError(f"{place}: release.{release.table}", "would have no column", "Release some, or none.")


def _place(schema: TableSchema, spec: ColumnSpec) -> str:
    return f"schemas/{schema.name}.yaml: {spec.label}"
