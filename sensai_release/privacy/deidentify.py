"""Carries the plan of a table out: every planned column through its action, in the order of the released table.

Windows are made by `privacy.windows`; excluded persons are gone and pseudonyms are in place before (`pipeline`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError, IdentifierError
from sensai_release.privacy import actions
from sensai_release.privacy.expression import derive
from sensai_release.privacy.generalise import Choice, GeneralisedColumn, generalised, search
from sensai_release.privacy.policy import PlannedColumn, TablePlan
from sensai_release.privacy.pseudonyms import pseudonym_pattern


def generalised_columns(plan: TablePlan) -> tuple[GeneralisedColumn, ...]:
    """The tier-1 columns of a plan whose levels are to be searched."""
    return tuple(
        GeneralisedColumn(source=column.source, output=column.output, hierarchy=column.hierarchy)
        for column in plan.columns
        if column.action.do == "generalise" and column.spec.tier == 1 and column.hierarchy is not None
    )


def search_levels(table: pa.Table, plan: TablePlan, *, k: int, max_suppressed: float) -> Choice:
    """`generalise.search` over a table with one row a person; its other tier-1 columns count in their released form."""
    columns = generalised_columns(plan)
    fixed = {
        column.output: _act(table, column, plan)
        for column in plan.columns
        if column.spec.tier == 1 and column.action.do != "generalise"
    }
    sources = {column.source: _source(table, plan_column) for column, plan_column in _pairs(plan, columns)}
    renamed = [
        GeneralisedColumn(source=f"source {column.source}", output=column.output, hierarchy=column.hierarchy)
        for column in columns
    ]
    arrays = {f"source {name}": array for name, array in sources.items()} | fixed
    # Without columns a table would forget how many persons it has.
    persons = pa.table(arrays | {"row": pa.nulls(table.num_rows)})
    return search(persons, renamed, fixed=list(fixed), k=k, max_suppressed=max_suppressed)


def apply_plan(table: pa.Table, plan: TablePlan, choice: Choice | None = None) -> pa.Table:
    """The released columns of a table, row for row. `table` holds pseudonyms already and is not changed.

    `choice` gives the levels of generalised columns. The key that a recording's file name gives may be absent. Raises
    `ConfigurationError` when levels are wanting, `InputError` for missing cells that the policy refuses, and
    `IdentifierError` when a key column holds anything but pseudonyms.
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
            arrays[column.output] = _act(table, column, plan)
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


def _act(table: pa.Table, column: PlannedColumn, plan: TablePlan) -> pa.Array | pa.ChunkedArray:
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
    raise ConfigurationError(
        f"{plan.schema.name}.{column.spec.label}", f"the action {column.action.do} makes no column", "Mend the schema."
    )


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
