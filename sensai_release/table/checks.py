"""Fast checks of one Arrow table against its schema, and counts per column for the report.

Vectorised NumPy and Arrow; nothing here needs pandas. `table.pandera_gate` says the same in pandera and is its oracle.
Types were settled by `table.readers`; rules across tables are for `table.rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError
from sensai_release.table.findings import Finding
from sensai_release.table.matching import specs_for
from sensai_release.table.readers.cells import arrow_type
from sensai_release.table.schema import ColumnSpec, TableSchema

MESSAGES: Mapping[str, str] = {
    # Of a range this is the beginning: `finding_of` adds which range, and whose.
    "value.type": "The column has not the declared type. Read it anew from its source.",
    "value.missing": "The column must not have missing cells. Fill them in, or declare it 'nullable: true'.",
    "value.below": "Values lie below the range",
    "value.above": "Values lie above the range",
    "value.step": "Values lie between the steps of the range",
    "value.category": "Values are none of the declared categories. Correct them at the source, or declare them.",
    "identifier.characters": "Identifiers hold control or zero-width characters. Type them anew at the source.",
    "identifier.pattern": "Identifiers do not match the declared pattern in full. Correct them at the source.",
    "key.duplicate": "Rows repeat the primary key of an earlier row. Keep one row per key.",
}
_BOUND_OF = {"value.below": "minimum", "value.above": "maximum", "value.step": "step"}
FORBIDDEN_CHARACTERS = r"[\p{Cc}\p{Cf}]"
"""Unicode's control and format characters, zero-width ones among them; the eye cannot tell such identifiers apart."""

Mask = npt.NDArray[np.bool_]


def check_table(table: pa.Table, schema: TableSchema, *, place: str) -> tuple[Finding, ...]:
    """All findings about the values of `table`, column by column, then about its primary key.

    The table has the Arrow types of `readers.arrow_type`; NaN counts as missing. Columns without an entry are passed
    over: the reader has refused them. Missing cells break nothing but `nullable`.
    """
    return _findings(list(_violations(table, schema)), schema, place)


def column_profile(table: pa.Table, schema: TableSchema) -> list[dict[str, Any]]:
    """Per column: `table`, `column`, `rows`, `missing` and, for columns with bounds, `out_of_range` (else `None`)."""
    return _profile(list(_violations(table, schema)), table, schema)


def check_and_profile(
    table: pa.Table, schema: TableSchema, *, place: str
) -> tuple[tuple[Finding, ...], list[dict[str, Any]]]:
    """`check_table` and `column_profile` in one go over the values."""
    violations = list(_violations(table, schema))
    return _findings(violations, schema, place), _profile(violations, table, schema)


def finding_of(code: str, column: str | None, schema: TableSchema, *, place: str, row: int, count: int) -> Finding:
    """A finding of this module's codes. One about a range says which, with its unit, and who set it."""
    message = MESSAGES[code]
    spec = schema.match(column) if column is not None and code in _BOUND_OF else None
    if spec is not None:
        own = _BOUND_OF[code] not in spec.from_catalogue
        origin = f"of schemas/{schema.name}.yaml" if own else f"of the catalogue ({spec.catalogue})"
        cure = "Correct them at the source, or mend the schema." if own else "Correct them at the source."
        message = f"{message} {spec.range_text} {origin}. {cure}"
    return Finding(table=schema.name, file=place, column=column, code=code, row=row, count=count, message=message)


def canonical(identifiers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Identifiers in the form in which they are compared: Unicode NFKC, no padding, upper case."""
    return pc.utf8_upper(pc.utf8_trim_whitespace(pc.utf8_normalize(identifiers, form="NFKC")))


def key_columns(table: pa.Table, schema: TableSchema) -> list[pa.ChunkedArray] | None:
    """The columns of the primary key, identifiers in canonical form; `None` unless all of them are in the table."""
    present = set(table.column_names)
    if not schema.primary_key or not present.issuperset(schema.primary_key):
        return None
    return [
        canonical(table.column(name)) if schema.named(name).identifier is not None else table.column(name)
        for name in schema.primary_key
    ]


def repeats(columns: Sequence[pa.ChunkedArray], allowed: int = 1) -> Mask:
    """Marks the rows that come after the first `allowed` ones with the same values; rows with a missing one never."""
    complete = np.ones(len(columns[0]), dtype=bool)
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        complete &= column.is_valid().to_numpy()
        encoded = column.combine_chunks().dictionary_encode()
        indices = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
        # Renumbered after each column: products of many dictionary sizes would overflow.
        _, code = np.unique(code * max(len(encoded.dictionary), 1) + indices, return_inverse=True)
    rows = np.flatnonzero(complete)
    order = rows[np.argsort(code[rows], kind="stable")]
    sorted_codes = code[order]
    starts = np.flatnonzero(np.r_[True, sorted_codes[1:] != sorted_codes[:-1]]) if len(order) else order
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    marked = np.zeros(len(complete), dtype=bool)
    marked[order[rank >= allowed]] = True
    return marked


def merge_profiles(profiles: Iterable[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The sums of the profiles of several files, in the order of table and column, whatever the order of the files."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for profile in profiles:
        for entry in profile:
            key = (entry["table"], entry["column"])
            if key not in merged:
                merged[key] = dict(entry)
                continue
            total = merged[key]
            total["rows"] += entry["rows"]
            total["missing"] += entry["missing"]
            if entry["out_of_range"] is not None:
                total["out_of_range"] = (total["out_of_range"] or 0) + entry["out_of_range"]
    return [merged[key] for key in sorted(merged)]


Violation = tuple[tuple[str, str | None], tuple[int, int]]


def _findings(violations: Sequence[Violation], schema: TableSchema, place: str) -> tuple[Finding, ...]:
    return tuple(
        finding_of(code, column, schema, place=place, row=row, count=count)
        for (code, column), (count, row) in violations
    )


def _profile(violations: Sequence[Violation], table: pa.Table, schema: TableSchema) -> list[dict[str, Any]]:
    bad: dict[str | None, int] = {}
    for (code, column), (count, _) in violations:
        if code in ("value.below", "value.above"):
            bad[column] = bad.get(column, 0) + count
    profile = []
    names = tuple(table.column_names)
    for name, spec in zip(names, specs_for(schema, names), strict=True):
        bounded = spec is not None and (spec.minimum is not None or spec.maximum is not None)
        profile.append(
            {
                "table": schema.name,
                "column": name,
                "rows": table.num_rows,
                "missing": _missing(table.column(name)),
                "out_of_range": bad.get(name, 0) if bounded else None,
            }
        )
    return profile


def _violations(table: pa.Table, schema: TableSchema) -> Iterator[Violation]:
    """Code and column, then count and first row, of all that is wrong."""
    names = tuple(table.column_names)
    for name, spec in zip(names, specs_for(schema, names), strict=True):
        if spec is None:
            continue
        column = table.column(name)
        if column.type != arrow_type(spec.dtype):
            if table.num_rows:
                yield ("value.type", name), (table.num_rows, 1)
            continue
        if _is_clean(column, spec):
            continue
        missing = _missing(column)
        if missing and not spec.nullable:
            mask = column.is_null(nan_is_null=True).to_numpy()
            yield ("value.missing", name), (missing, int(mask.argmax()) + 1)
        for code, mask in _masks(column, spec, schema):
            count = int(np.count_nonzero(mask))
            if count:
                yield (code, name), (count, int(mask.argmax()) + 1)
    keys = key_columns(table, schema)
    if keys is not None and table.num_rows:
        mask = repeats(keys)
        count = int(np.count_nonzero(mask))
        if count:
            yield ("key.duplicate", "+".join(schema.primary_key)), (count, int(mask.argmax()) + 1)


def _is_clean(column: pa.ChunkedArray, spec: ColumnSpec) -> bool:
    """Whether two looks at the numbers prove that nothing is wrong: so it is with nearly every column."""
    if spec.dtype not in ("number", "integer") or spec.step is not None or column.null_count or not len(column):
        return False
    values = column.to_numpy()
    low, high = values.min(), values.max()
    below = spec.minimum is not None and not low >= spec.minimum
    above = spec.maximum is not None and not high <= spec.maximum
    # NaN is what is not equal to itself; a minimum or maximum of values with a NaN is one.
    return bool(low == low) and not below and not above


def _missing(column: pa.ChunkedArray) -> int:
    if not pa.types.is_floating(column.type):
        return int(column.null_count)
    if column.null_count == 0 and len(column) and not np.isnan(column.to_numpy().min()):
        return 0
    return int(pc.sum(column.is_null(nan_is_null=True), min_count=0).as_py())


def _masks(column: pa.ChunkedArray, spec: ColumnSpec, schema: TableSchema) -> Iterator[tuple[str, Mask]]:
    if pa.types.is_string(column.type):
        if spec.categories:
            known = pc.is_in(column, value_set=pa.array(spec.categories, pa.string()), skip_nulls=True)
            yield "value.category", pc.and_not(column.is_valid(), known).to_numpy()
        if spec.identifier is not None:
            yield from _identifier_masks(column, spec.identifier.pattern, f"schemas/{schema.name}.yaml: {spec.label}")
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        yield from _number_masks(column, spec)


def _number_masks(column: pa.ChunkedArray, spec: ColumnSpec) -> Iterator[tuple[str, Mask]]:
    if spec.minimum is None and spec.maximum is None and spec.step is None:
        return
    bounds = pc.min_max(column)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low is None:
        return
    present = column.is_valid().to_numpy()
    values = pc.fill_null(column, 0).to_numpy()
    if spec.minimum is not None and low < spec.minimum:
        yield "value.below", present & (values < spec.minimum)
    if spec.maximum is not None and high > spec.maximum:
        yield "value.above", present & (values > spec.maximum)
    if spec.step is not None:
        yield "value.step", present & off_step(values, spec.step, spec.minimum or 0)


def off_step(values: npt.NDArray[Any], step: float, start: float) -> Mask:
    """Marks the values that are no whole multiples of `step` above `start`."""
    steps = (values - float(start)) / step
    # Decimal steps such as 0.1 have no exact form: a millionth of a step is no error of the data.
    off: Mask = np.abs(steps - np.round(steps)) > 1e-6
    return off


def _identifier_masks(column: pa.ChunkedArray, pattern: str, place: str) -> Iterator[tuple[str, Mask]]:
    present = column.is_valid()
    hidden = pc.fill_null(pc.match_substring_regex(column, FORBIDDEN_CHARACTERS), False)
    try:
        matching = pc.fill_null(pc.match_substring_regex(canonical(column), rf"\A(?:{pattern})\z"), False)
    except pa.ArrowInvalid:
        raise ConfigurationError(
            f"{place}.identifier.pattern",
            "is no regular expression of RE2 (it may look around or refer back)",
            "Write it without look-around and back references.",
        ) from None
    yield "identifier.characters", hidden.to_numpy()
    # A cell with a hidden character is reported once, by its cause.
    yield "identifier.pattern", pc.and_not(pc.and_not(present, hidden), matching).to_numpy()
