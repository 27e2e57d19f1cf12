"""Schemas as pandera schemas, and validation by pandera. The only module that imports pandera.

pandera's errors hold cell values: here they are turned into codes, counts and rows, and nothing else leaves. Says the
same as `table.checks`, which is faster; a property test holds both against each other.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.table.checks import MESSAGES, finding_of, off_step
from sensai_release.table.findings import Finding
from sensai_release.table.matching import key_from_file
from sensai_release.table.readers.cells import arrow_type
from sensai_release.table.schema import ColumnSpec, Identifier, TableSchema

if TYPE_CHECKING:
    import pandas as pd

_NAMES_OF_PANDERA = {"not_nullable": "value.missing"}
_ABOUT_COLUMNS = ("column_in_dataframe", "column_in_schema")


def to_pandera(schema: TableSchema) -> Any:
    """The `pandera.pandas.DataFrameSchema` of a table.

    Patterns become regex columns that match what `TableSchema.match` gives them. The governance part of an entry
    (label, role, class, tier, unit, action per released table, justification) stands in the `metadata` of its column,
    so that `get_metadata()` gives it back. Data come with pandas' Arrow types (`ArrowDtype`).
    """
    import pandera.pandas as pandera

    entries = [spec for spec in schema.columns if not spec.is_derived]
    names = [re.escape(spec.name) for spec in entries if spec.name is not None]
    before: list[str] = []
    columns = {}
    for spec in entries:
        column = spec.name
        if column is None:
            column = _exclusive(spec.pattern or "", names, before)
            before.append(spec.pattern or "")
        columns[column] = _column(spec, required=spec.required and spec.name != key_from_file(schema))
    return pandera.DataFrameSchema(
        columns,
        checks=_primary_key(schema),
        name=schema.name,
        title=schema.title,
        description=schema.description,
        strict=True,
        metadata={"table": schema.name, "primary_key": list(schema.primary_key)},
    )


def validate_with_pandera(table: pa.Table, schema: TableSchema, *, place: str) -> tuple[Finding, ...]:
    """The findings of `checks.check_table`, in the same order, found by pandera.

    Which columns there are is the reader's matter: missing and undeclared ones are passed over here.
    """
    import pandas as pd

    frame = _without_nan(table).to_pandas(types_mapper=pd.ArrowDtype)
    with suppress(pa.ArrowInvalid):
        return _findings(_failure_cases(frame, schema), table, schema, place)
    # pandera puts the cases of all columns into one, which whole numbers beyond 2**53 do not survive beside fractions.
    key = [name for name in schema.primary_key if name in frame.columns]
    groups = [key, *([name] for name in frame.columns if name not in key)]
    cases = pd.concat([_failure_cases(frame[group], schema) for group in groups if group], ignore_index=True)
    return _findings(cases, table, schema, place)


def _failure_cases(frame: pd.DataFrame, schema: TableSchema) -> pd.DataFrame:
    """Check, column and row of what pandera finds; its column `failure_case`, which holds the values, is left out."""
    import pandas as pd
    from pandera.errors import SchemaErrors

    about = ["check", "column", "index"]
    cases = pd.DataFrame(columns=about)
    try:
        to_pandera(schema).validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases[about]
    # Outside the `except`, so that no later error carries the one with the values as its context.
    return cases


def _without_nan(table: pa.Table) -> pa.Table:
    """NaN counts as missing; pandas' Arrow types would tell the two apart."""
    for index, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table.column(index)
            missing = pa.scalar(None, field.type)
            table = table.set_column(index, field.name, pc.if_else(pc.is_nan(column), missing, column))
    return table


def _findings(cases: pd.DataFrame, table: pa.Table, schema: TableSchema, place: str) -> tuple[Finding, ...]:
    """Counts of `_failure_cases`."""
    positions = {name: number for number, name in enumerate(table.column_names)}
    found: dict[tuple[int, int, str, str], tuple[int, int]] = {}
    mistyped = {
        str(column)
        for column, check in zip(cases["column"], cases["check"], strict=True)
        if str(check).startswith("dtype(")
    }
    order = list(MESSAGES)
    for (check, column), rows in cases.groupby(["check", "column"], dropna=False)["index"]:
        code = _NAMES_OF_PANDERA.get(str(check), str(check))
        name = str(column)
        if code in _ABOUT_COLUMNS or (name in mistyped and code != "key.duplicate"):
            continue
        if code == "key.duplicate":
            name = "+".join(schema.primary_key)
        indices = rows.dropna().unique()
        place_in_order = (positions.get(name, len(positions)), order.index(code), code, name)
        found[place_in_order] = (len(indices), int(indices.min()) + 1)
    for name in mistyped:
        found[positions[name], 0, "value.type", name] = (table.num_rows, 1)
    return tuple(
        finding_of(code, name, schema, place=place, row=row, count=count)
        for (_, _, code, name), (count, row) in sorted(found.items())
    )


def _exclusive(pattern: str, names: list[str], before: list[str]) -> str:
    """A pattern that leaves out what an exact name or an earlier pattern claims."""
    claimed = "".join(f"(?!(?:{other})$)" for other in (*names, *before))
    return f"^{claimed}(?:{pattern})$"


def _column(spec: ColumnSpec, *, required: bool) -> Any:
    import pandas as pd
    import pandera.pandas as pandera

    return pandera.Column(
        pd.ArrowDtype(arrow_type(spec.dtype)),
        checks=_checks(spec),
        nullable=spec.nullable,
        required=required,
        regex=spec.pattern is not None,
        description=spec.description,
        metadata={
            "label": spec.label,
            "role": spec.role,
            "class": spec.idclass,
            "tier": spec.tier,
            "unit": spec.unit,
            "action": {key: [action.describe() for action in actions] for key, actions in spec.actions.items()},
            "justification": spec.justification,
        },
    )


def _checks(spec: ColumnSpec) -> list[Any]:
    from pandera.pandas import Check

    checks = []
    if spec.dtype in ("integer", "number"):
        if spec.minimum is not None:
            checks.append(Check.ge(spec.minimum, error="value.below"))
        if spec.maximum is not None:
            checks.append(Check.le(spec.maximum, error="value.above"))
        if spec.step is not None:
            step, start = spec.step, spec.minimum or 0
            checks.append(Check(lambda values: ~_off_step(values, step, start), error="value.step"))
    if spec.dtype in ("string", "category"):
        if spec.categories:
            checks.append(Check.isin(spec.categories, error="value.category"))
        if spec.identifier is not None:
            kind = spec.identifier
            checks.append(Check(lambda values: ~_hidden(values), error="identifier.characters"))
            checks.append(
                Check(lambda values: _well_formed(values, kind) | _hidden(values), error="identifier.pattern")
            )
    return checks


def _primary_key(schema: TableSchema) -> Any:
    from pandera.pandas import Check

    def first_of_its_key(frame: pd.DataFrame) -> pd.Series[bool]:
        import pandas as pd

        if not schema.primary_key or not set(schema.primary_key) <= set(frame.columns):
            return pd.Series(True, index=frame.index)
        keys = frame[list(schema.primary_key)].dropna()
        for name in schema.primary_key:
            if schema.named(name).identifier is not None:
                keys[name] = keys[name].map(_canonical)
        repeated = keys.duplicated(keep="first").reindex(frame.index, fill_value=False)
        return ~repeated

    return Check(first_of_its_key, error="key.duplicate", ignore_na=False)


def _off_step(values: pd.Series[Any], step: float, start: float) -> pd.Series[bool]:
    import pandas as pd

    return pd.Series(off_step(values.to_numpy(dtype="float64"), step, start), index=values.index)


def _canonical(identifier: str) -> str:
    """As `checks.canonical`, by Python's own Unicode tables; there, upper case never lengthens a text."""
    text = unicodedata.normalize("NFKC", identifier).strip()
    return "".join(upper if len(upper := character.upper()) == 1 else character for character in text)


def _hidden(values: pd.Series[str]) -> pd.Series[bool]:
    return values.map(lambda text: any(unicodedata.category(character) in ("Cc", "Cf") for character in text)).astype(
        bool
    )


def _well_formed(values: pd.Series[str], identifier: Identifier) -> pd.Series[bool]:
    pattern = re.compile(identifier.pattern, re.ASCII)
    return values.map(lambda text: pattern.fullmatch(_canonical(text)) is not None).astype(bool)
