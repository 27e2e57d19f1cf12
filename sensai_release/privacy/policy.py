"""Which column may leave, and how: a schema and a profile become the plan of one released table. Default: refuse.

A plan is made before any row is read, and everything that is not plainly allowed stops it with the entry to mend.
Which source columns it takes is `privacy.needed`'s, carrying it out `privacy.deidentify`'s and `privacy.windows`',
describing it `privacy.dictionary`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.expression import expression_columns
from sensai_release.privacy.fit import check_fit
from sensai_release.privacy.needed import entry_place, needed_columns
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
    place = entry_place(schema, spec)
    for name in sorted(expression_columns(spec.expression or "", place)):
        operand = schema.match(name)
        if operand is None or name not in present:
            raise ConfigurationError(place, f"is derived of '{name}', which is not there", "Mend the expression.")
        if operand.dtype not in _NUMERIC:
            raise ConfigurationError(place, f"is derived of '{name}', which is no number", "Mend the expression.")
        if operand.idclass == "X" or operand.role == "direct_identifier":
            raise ConfigurationError(place, f"is derived of '{name}', which must never leave", "Drop it.")


def _actions(schema: TableSchema, spec: ColumnSpec, release: ReleaseSpec, profile: str) -> tuple[ActionSpec, ...]:
    place = entry_place(schema, spec)
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
    place = entry_place(schema, spec)
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
                raise ConfigurationError(entry_place(schema, spec), cause, cure)


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
