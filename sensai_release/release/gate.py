"""The second gate: great-expectations over the candidate release, from its data dictionaries alone.

It shares no code with the first gate (pandera over the source tables): what a released table must look like is read
from `schemas/<table>.json` and checked on the Parquet files as a recipient would load them. This is the only module
that imports great-expectations. It asks for yes or no (`BOOLEAN_ONLY`) and reads nothing else from a result, because
every other result format, and every exception text, can hold cell values. Which tables and columns are released at all
is decided by `privacy.policy`; the disclosure risk is measured by `privacy.risk`.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.tables import ReleasedTables
from sensai_release.table.findings import Finding, sort_findings

if TYPE_CHECKING:
    import pandas as pd

# What `_frame` makes of a declared type: the scalar type of the pandas column, and the name of its dtype.
_TYPES = {"string": "str", "category": "str", "integer": "int64", "number": "float64", "boolean": "bool"}
_DTYPES = {"string": "str", "category": "str", "integer": "Int64", "number": "float64", "boolean": "boolean"}
_MESSAGES = {
    "table_columns_to_match_ordered_list": "the columns differ from the data dictionary in name, number or order",
    "column_values_to_be_of_type": "the type differs from the data dictionary",
    "column_values_to_not_be_null": "values are missing where none may be",
    "column_values_to_match_regex": "values do not have the declared form",
    "column_values_to_be_in_set": "values are not in the declared set",
    "column_values_to_be_between": "values lie outside the declared range, or are infinite",
    "column_values_to_be_unique": "the key stands in more than one row",
    "compound_columns_to_be_unique": "the key stands in more than one row",
    "foreign_key_to_exist": "keys lead to no row of the table that they refer to",
}
_CURE = "Correct the schema or the stage that made the table, then build again."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """One expectation and the words in which its failure is reported."""

    code: str
    column: str | None
    expectation: Any


def check_candidate(data_dir: Path, dictionaries: Mapping[str, Mapping[str, Any]]) -> tuple[Finding, ...]:
    """What of a candidate release differs from its data dictionaries; empty when nothing does.

    `data_dir` holds one folder a table, `dictionaries` one data dictionary a table. For every table: the exact columns
    in their order, their types, missing values, forms of pseudonyms, category sets, ranges (infinite numbers are always
    out of range), primary keys, foreign keys. A finding's code is `gate.<expectation>`, its count the number of Parquet
    files in which the expectation failed. Writes no file, sends nothing, prints nothing.
    """
    tables = ReleasedTables(data_dir, dictionaries)
    present = {name for name in tables.names if tables.parts(name)}
    findings = [
        _finding(name, None, "table_to_exist", "the data dictionary describes a table that is not there")
        for name in sorted(set(dictionaries) - present)
    ]
    findings += [
        _finding(name, None, "table_to_be_declared", "a table has no data dictionary")
        for name in sorted(set(tables.names) - set(dictionaries))
    ]
    checked = sorted(present & set(dictionaries))
    if not checked:
        return sort_findings(findings)
    with _silent_great_expectations() as gx:
        runner = _Runner(gx)
        sound = []
        for name in checked:
            found, usable = _check_parts(runner, tables, name)
            findings += found
            if usable:
                sound.append(name)
        for name in sound:
            findings += _check_keys(runner, tables, name, sound)
    return sort_findings(findings)


def _check_parts(runner: _Runner, tables: ReleasedTables, name: str) -> tuple[list[Finding], bool]:
    """Findings of the columns, part by part, and whether the table's keys can be looked at."""
    columns: Sequence[Mapping[str, Any]] = tables.dictionaries[name]["columns"]
    counts: dict[tuple[str, str | None], int] = {}
    usable = True
    for part in tables.parts(name):
        try:
            table = tables.read_part(name, part)
        except ReleaseFormatError:
            return [_finding(name, None, "file_to_be_readable", "a file cannot be read as Parquet")], False
        frame = _frame(table)
        failed = runner.failed_structure(frame, columns)
        if failed:
            usable = False
        else:
            failed = runner.failed(frame, [check for column in columns for check in runner.column(column)])
        for check in failed:
            counts[check.code, check.column] = counts.get((check.code, check.column), 0) + 1
    return [
        _finding(name, column, code, _MESSAGES[code], count=count) for (code, column), count in counts.items()
    ], usable


def _check_keys(runner: _Runner, tables: ReleasedTables, name: str, sound: Sequence[str]) -> list[Finding]:
    """Primary keys over all parts of a table, and foreign keys into other tables."""
    dictionary = tables.dictionaries[name]
    key = list(dictionary.get("primary_key") or ())
    declared = {entry["column"]: str(entry["references"]) for entry in dictionary.get("foreign_keys") or ()}
    unknown = [column for column, target in declared.items() if target.split(".")[0] not in tables.dictionaries]
    foreign = {column: target for column, target in declared.items() if target.split(".")[0] in sound}
    findings = [_finding(name, column, "foreign_key_to_exist", _MESSAGES["foreign_key_to_exist"]) for column in unknown]
    needed = list(dict.fromkeys([*key, *foreign]))
    if not needed:
        return findings
    checks = runner.key(key) if key else []
    for column, target in foreign.items():
        parent, _, parent_column = target.partition(".")
        known = tables.column(parent, parent_column).unique().drop_null().to_pylist()
        checks.append(runner.foreign_key(column, known))
    return findings + [
        _finding(name, check.column, check.code, _MESSAGES[check.code])
        for check in runner.failed(_frame(tables.read(name, needed)), checks)
    ]


class _Runner:
    """Runs expectations in an in-memory context that nothing outlives."""

    def __init__(self, gx: Any) -> None:
        self._gx = gx
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
        source = context.data_sources.add_pandas("candidate")
        self._batch = source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("whole")
        self._number = 0

    def failed(self, frame: pd.DataFrame, checks: Sequence[_Check]) -> list[_Check]:
        """The checks that failed. One that could not be computed counts as failed."""
        if not checks:
            return []
        suite = self._gx.ExpectationSuite(name="candidate", expectations=[check.expectation for check in checks])
        batch = self._batch.get_batch(batch_parameters={"dataframe": frame})
        outcome = batch.validate(suite, result_format="BOOLEAN_ONLY")
        passed = {result.expectation_config.meta["check"] for result in outcome.results if result.success is True}
        return [check for check in checks if check.expectation.meta["check"] not in passed]

    def failed_structure(self, frame: pd.DataFrame, columns: Sequence[Mapping[str, Any]]) -> list[_Check]:
        """The columns in their order, and the type of each declared column that is there.

        One expectation over a header of names and types first: only where that fails is each column asked by itself.
        """
        import pandas as pd

        header = pd.DataFrame(columns=[f"{name} {dtype}" for name, dtype in frame.dtypes.items()])
        expected = [f"{entry['name']} {_DTYPES[entry['dtype']]}" for entry in columns]
        if not self.failed(header, [self._check("table_columns_to_match_ordered_list", column_list=expected)]):
            return []
        order = self._check("table_columns_to_match_ordered_list", column_list=[entry["name"] for entry in columns])
        if not frame.columns.is_unique:
            return [order]
        types = [
            self._check("column_values_to_be_of_type", entry["name"], type_=_TYPES[entry["dtype"]])
            for entry in columns
            if entry["name"] in frame.columns
        ]
        # Of an object column great-expectations asks each value for its type; here the column itself is wrong.
        objects = [check for check in types if frame[check.column].dtype == object]
        return objects + self.failed(frame, [order, *(check for check in types if check not in objects)])

    def column(self, column: Mapping[str, Any]) -> list[_Check]:
        """What one column of the right type must hold."""
        name, dtype, low, high = column["name"], column["dtype"], column.get("minimum"), column.get("maximum")
        checks = [] if column["nullable"] else [self._check("column_values_to_not_be_null", name)]
        if column.get("pattern"):
            # The dictionary's pattern is for a full match; `$` alone would let a final line break pass.
            checks.append(self._check("column_values_to_match_regex", name, regex=rf"\A(?:{column['pattern']})\Z"))
        if column.get("categories") is not None:
            checks.append(self._check("column_values_to_be_in_set", name, value_set=list(column["categories"])))
        if dtype == "number":
            # An open range still keeps infinities out.
            low = -sys.float_info.max if low is None else low
            high = sys.float_info.max if high is None else high
        if dtype in ("number", "integer") and (low is not None or high is not None):
            checks.append(self._check("column_values_to_be_between", name, min_value=low, max_value=high))
        return checks

    def key(self, columns: Sequence[str]) -> list[_Check]:
        """No part of the primary key is missing, and no two rows share it."""
        checks = [self._check("column_values_to_not_be_null", column) for column in columns]
        if len(columns) == 1:
            return [*checks, self._check("column_values_to_be_unique", columns[0])]
        return [*checks, self._check("compound_columns_to_be_unique", column_list=list(columns))]

    def foreign_key(self, column: str, known: Sequence[Any]) -> _Check:
        in_set = self._check("column_values_to_be_in_set", column, value_set=list(known))
        return _Check(code="foreign_key_to_exist", column=column, expectation=in_set.expectation)

    def _check(self, code: str, column: str | None = None, **arguments: Any) -> _Check:
        self._number += 1
        expectation = getattr(self._gx.expectations, "Expect" + code.title().replace("_", ""))
        if column is not None:
            arguments["column"] = column
        return _Check(code=code, column=column, expectation=expectation(**arguments, meta={"check": self._number}))


def _frame(table: pa.Table) -> pd.DataFrame:
    """The table as pandas holds it when missing values may not change a column's type."""
    import pandas as pd

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def _finding(table: str, column: str | None, code: str, cause: str, *, count: int = 1) -> Finding:
    message = f"{cause[0].upper()}{cause[1:]}. {_CURE}"
    return Finding(table=table, column=column, code=f"gate.{code}", count=count, message=message)


@contextmanager
def _silent_great_expectations() -> Iterator[Any]:
    """great-expectations without analytics, warnings or log lines; the caller's settings come back afterwards.

    Its log lines and warnings can quote cells. Analytics must be off before the import, or an event is sent.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import great_expectations as gx
            import great_expectations.data_context.types.base
            import great_expectations.expectations

            yield gx
    finally:
        logging.disable(level)
