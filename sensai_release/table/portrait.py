"""What a table looks like, without a value of it: cells per tenth of a declared range, and the facts of a recording.

Counts only; how many persons stand behind a count, and whether it may be shown, is for `pipeline.portrait`. What is
wrong with a table is for `table.checks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensai_release.table.matching import specs_for
from sensai_release.table.schema import ColumnSpec, TableSchema, WindowSpec

TENTHS = 10
OUTSIDE = TENTHS
"""The place of a cell that is missing or out of range."""

_LEAST_STEPS = 3
"""Fewer have no median that a single wrong time leaves alone."""

Places = npt.NDArray[np.intp]


def ranged_columns(table: pa.Table, schema: TableSchema) -> dict[str, ColumnSpec]:
    """The columns of numbers with a declared minimum and a larger declared maximum, in the order of the table."""
    names = tuple(table.column_names)
    return {
        name: spec
        for name, spec in zip(names, specs_for(schema, names), strict=True)
        if spec is not None
        and spec.dtype in ("number", "integer")
        and spec.minimum is not None
        and spec.maximum is not None
        and spec.minimum < spec.maximum
        and (pa.types.is_floating(table.schema.field(name).type) or pa.types.is_integer(table.schema.field(name).type))
    }


def places(column: pa.ChunkedArray, spec: ColumnSpec) -> Places:
    """For every cell its tenth of the declared range, 0 to 9 (the maximum itself lies in 9), else `OUTSIDE`."""
    if spec.minimum is None or spec.maximum is None:
        return np.full(len(column), OUTSIDE, dtype=np.intp)
    values = column.to_numpy()
    scaled = (values - spec.minimum) * (TENTHS / (spec.maximum - spec.minimum))
    # Written so that NaN is outside too.
    inside = (scaled >= 0) & (scaled <= TENTHS)
    if inside.all():
        whole: Places = np.minimum(scaled.astype(np.intp), TENTHS - 1)
        return whole
    found = np.full(len(values), OUTSIDE, dtype=np.intp)
    found[inside] = np.minimum(scaled[inside].astype(np.intp), TENTHS - 1)
    return found


def tenths(table: pa.Table, schema: TableSchema) -> dict[str, list[int]]:
    """Per column of `ranged_columns`: ten counts of cells, one per tenth of the declared range."""
    return {
        name: np.bincount(places(table.column(name), spec), minlength=TENTHS + 1)[:TENTHS].tolist()
        for name, spec in ranged_columns(table, schema).items()
    }


def recording_facts(
    table: pa.Table, window: WindowSpec | None, profile: Sequence[Mapping[str, Any]]
) -> dict[str, float | int | None]:
    """`seconds` (whole), `lost` and `missing` (shares, three decimals) of one recording; `None` where unknown.

    `seconds` is the number of different times multiplied by the usual step between them, so that no single cell sets
    it; three steps must be there. `lost` is the share of rows in which the tracker says that it lost the face.
    `missing` is the share of missing cells in all columns that were read; `profile` is the table's, from
    `checks.column_profile`.
    """
    cells = sum(entry["rows"] for entry in profile)
    facts: dict[str, float | int | None] = {
        "seconds": None,
        "lost": None,
        "missing": round(sum(entry["missing"] for entry in profile) / cells, 3) if cells else None,
    }
    if window is None or not table.num_rows:
        return facts
    if window.time in table.column_names:
        steps = np.diff(table.column(window.time).to_numpy())
        forward = steps[steps > 0]
        if len(forward) >= _LEAST_STEPS:
            facts["seconds"] = round(float(np.median(forward)) * (len(forward) + 1))
    if window.valid is not None and window.valid in table.column_names:
        valid = np.count_nonzero(table.column(window.valid).to_numpy() == 1)
        facts["lost"] = round(1 - int(valid) / table.num_rows, 3)
    return facts
