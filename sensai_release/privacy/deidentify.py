"""Carries the plan of a table out: every planned column through its action, in the order of the released table.

Windows are made by `privacy.windows`; excluded persons are gone and pseudonyms are in place before (`pipeline`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError, IdentifierError
from sensai_release.privacy import actions
from sensai_release.privacy.classes import encode
from sensai_release.privacy.context import Context
from sensai_release.privacy.diversity import is_constant
from sensai_release.privacy.expression import derive
from sensai_release.privacy.generalise import Choice, GeneralisedColumn, generalised, search
from sensai_release.privacy.noise import standard_normal
from sensai_release.privacy.persons import PersonKeys
from sensai_release.privacy.policy import PlannedColumn, TablePlan
from sensai_release.privacy.pseudonyms import pseudonym_pattern


def generalised_columns(plan: TablePlan) -> tuple[GeneralisedColumn, ...]:
    """The tier-1 columns of a plan whose levels are to be searched."""
    return tuple(
        GeneralisedColumn(
            source=column.source,
            output=column.output,
            hierarchy=column.hierarchy,
            weight=int(column.action.parameters.get("weight", 1)),
        )
        for column in plan.columns
        if column.action.do == "generalise" and column.spec.tier == 1 and column.hierarchy is not None
    )


def search_levels(
    table: pa.Table,
    plan: TablePlan,
    *,
    k: int,
    max_suppressed: float,
    l: int = 1,  # noqa: E741 - the letter that the literature uses
    exceptions: Collection[str] = (),
    beside: PersonKeys | None = None,
    context: Context | None = None,
    keep: Mapping[str, int] | None = None,
) -> Choice:
    """`generalise.search` over a table with one row a person; its other tier-1 columns count in their released form.

    Its clinical tier-2 columns must have `l` values in every class, save for the `exceptions`. `beside` holds what
    other tables say of the same persons, in the same order, and counts likewise. `keep` as in `generalise.search`.
    """
    columns = generalised_columns(plan)
    fixed = {
        column.output: _act(table, column, plan, context or Context())
        for column in plan.columns
        if column.spec.tier == 1 and column.action.do != "generalise"
    }
    sensitive = {
        column.output: _act(table, column, plan, context or Context())
        for column in plan.columns
        if _is_sensitive(column) and column.output not in exceptions
    }
    if beside is not None:
        fixed |= {f"beside {name}": beside.table[name] for name in beside.tier1}
        sensitive |= {f"beside {name}": beside.table[name] for name in beside.sensitive if name not in exceptions}
    sources = {column.source: _source(table, plan_column) for column, plan_column in _pairs(plan, columns)}
    renamed = [replace(column, source=f"source {column.source}") for column in columns]
    sensitive = {name: column for name, column in sensitive.items() if not is_constant(encode(column))}
    arrays = {f"source {name}": array for name, array in sources.items()} | fixed | sensitive
    # Without columns a table would forget how many persons it has.
    persons = pa.table(arrays | {"row": pa.nulls(table.num_rows)})
    return search(
        persons,
        renamed,
        fixed=list(fixed),
        k=k,
        max_suppressed=max_suppressed,
        sensitive=list(sensitive),
        l=l,
        keep=keep,
    )


def _is_sensitive(column: PlannedColumn) -> bool:
    """As `privacy.persons` tells it of a released column."""
    spec = column.spec
    return spec.role == "quasi_identifier" and spec.tier != 1 and spec.idclass == "clinical"


def apply_plan(
    table: pa.Table, plan: TablePlan, choice: Choice | None = None, context: Context | None = None
) -> pa.Table:
    """The released columns of a table, row for row. `table` holds pseudonyms already and is not changed.

    `choice` gives the levels of generalised columns, `context` the key of noise and the persons behind sessions, for
    actions that need them. The key that a recording's file name gives may be absent. Raises `ConfigurationError` when
    levels or context are wanting, `InputError` for missing cells that the policy refuses, and `IdentifierError` when a
    key column holds anything but pseudonyms.
    """
    searched = {column.output: column for column in generalised_columns(plan)}
    if searched and (choice is None or choice.levels is None):
        raise ConfigurationError(
            plan.table, "no choice of levels reaches k", "Coarsen the hierarchies, or allow more persons suppressed."
        )
    arrays: dict[str, pa.Array | pa.ChunkedArray] = {}
    for column in plan.columns:
        if column.source == plan.recording_key and column.source not in table.column_names:
            continue
        if column.output in searched and choice is not None:
            # Suppression applies to all generalised cells of a person alike.
            source = pa.table({column.source: _checked(table, column, plan)})
            arrays[column.output] = generalised(source, [searched[column.output]], choice)[column.output]
        else:
            arrays[column.output] = _act(table, column, plan, context or Context())
    return pa.table(arrays)


def sort_by_key(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The table in the order of its key (bytes of the texts), so that order says nothing of enrolment.

    Where the key does not tell rows apart, the other columns decide, in their order.
    """
    distinct = table.select(list(keys)).group_by(list(keys)).aggregate([]).num_rows if keys else 0
    others = [name for name in table.column_names if name not in keys] if distinct < table.num_rows else []
    names = [*keys, *others]
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names])) if names else table


def _pairs(plan: TablePlan, columns: Sequence[GeneralisedColumn]) -> list[tuple[GeneralisedColumn, PlannedColumn]]:
    planned = {column.output: column for column in plan.columns}
    return [(column, planned[column.output]) for column in columns]


def _source(table: pa.Table, column: PlannedColumn) -> pa.Array | pa.ChunkedArray:
    if column.spec.expression is not None:
        return derive(table, column.spec.expression, column.spec.label)
    return table[column.source]


def _checked(table: pa.Table, column: PlannedColumn, plan: TablePlan) -> pa.Array | pa.ChunkedArray:
    source = _source(table, column)
    if column.action.missing == "refuse":
        actions.refuse_missing(source, f"{plan.schema.name}.{column.spec.label}")
    return source


def _act(table: pa.Table, column: PlannedColumn, plan: TablePlan, context: Context) -> pa.Array | pa.ChunkedArray:
    source = _checked(table, column, plan)
    parameters = column.action.parameters
    match column.action.do:
        case "keep":
            return source
        case "pseudonymise":
            return _only_pseudonyms(source, column, plan)
        case "round":
            return actions.round_column(source, parameters["digits"])
        case "bin":
            return actions.bin_column(source, parameters["edges"])
        case "map" if column.hierarchy is not None:
            return actions.generalise_column(source, column.hierarchy, parameters.get("level", 1) - 1)
        case "generalise" if column.hierarchy is not None:  # of tier 2: nothing asks for more than the finest level
            return actions.generalise_column(source, column.hierarchy, 0)
        case "ordinal":
            key = plan.schema.primary_key
            tie_break = table[key[0]] if len(key) == 1 and key[0] in table.column_names else None
            return actions.ordinal(source, table[parameters["within"]], tie_break)
        case "relative_day":
            return actions.relative_day(source, table[parameters["within"]], parameters["days"])
        case "top_bottom_code":
            return actions.top_bottom_code(source, parameters.get("lower"), parameters.get("upper"))
        case "noise" | "suppress_local" | "difference_from_reference":
            return _act_in_context(source, table, column, plan, context)
    raise ConfigurationError(
        f"{plan.schema.name}.{column.spec.label}", f"the action {column.action.do} makes no column", "Mend the schema."
    )


def _act_in_context(
    source: pa.Array | pa.ChunkedArray, table: pa.Table, column: PlannedColumn, plan: TablePlan, context: Context
) -> pa.Array:
    """The actions that need to know more than their table."""
    parameters, place = column.action.parameters, f"schemas/{plan.schema.name}.yaml: {column.spec.label}"
    if column.action.do == "noise":
        return _noisy(source, table, column, plan, context)
    persons = context.persons(table, parameters["within"], place) if "within" in parameters else None
    if column.action.do == "suppress_local" or persons is None:
        return actions.suppress_local(source, **parameters["when"], persons=persons)
    reference = context.reference(table, plan.schema.name, parameters["reference"], parameters["within"])
    return actions.difference_from_reference(source, persons, reference, parameters["digits"])


def _noisy(
    source: pa.Array | pa.ChunkedArray, table: pa.Table, column: PlannedColumn, plan: TablePlan, context: Context
) -> pa.Array:
    """Noise by the source's own names, so that one cell has the same in every released table and release of a series.

    Sigma is part of the address: two releases with one draw and two sigmas would give the value away.
    """
    if context.noise_key is None:
        raise ConfigurationError(plan.table, "has a column with noise, but no key for it", "Give the root key.")
    key, *rest = plan.schema.primary_key
    rows = table[key] if key in table.column_names else pa.repeat(context.recording or "", table.num_rows)
    numbers = table[rest[0]] if rest else pa.repeat(pa.scalar(0, pa.int64()), table.num_rows)
    parameters, spec = column.action.parameters, column.spec
    sigma = float(parameters["sigma"])
    draws = standard_normal(context.noise_key, (plan.schema.name, column.source, repr(sigma)), rows, numbers)
    return actions.add_noise(source, draws, sigma, parameters["digits"], minimum=spec.minimum, maximum=spec.maximum)


def _only_pseudonyms(
    column: pa.Array | pa.ChunkedArray, planned: PlannedColumn, plan: TablePlan
) -> pa.Array | pa.ChunkedArray:
    """The last fence: a raw identifier that came this far by mistake goes no further."""
    identifier = planned.spec.identifier
    pattern = f"^{pseudonym_pattern(identifier)}$" if identifier is not None else "^$"
    if not pc.all(pc.match_substring_regex(pc.unique(column), pattern), min_count=0, skip_nulls=False).as_py():
        raise IdentifierError(
            f"{plan.schema.name}.{planned.spec.label}", "holds something that is no pseudonym", "Run 'pseudonymise'."
        )
    return column
