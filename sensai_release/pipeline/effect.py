"""What the policy did to a released column: work/pseudonymised and work/candidate side by side.

No cell value leaves this module, and no count of fewer persons than params.yaml masks. Measures are `privacy.effect`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sensai_release.pipeline.workspace import Workspace
from sensai_release.privacy.actions import floats
from sensai_release.privacy.effect import Effect, measure
from sensai_release.privacy.expression import derive
from sensai_release.privacy.policy import PlannedColumn, TablePlan
from sensai_release.release.tables import Codes, ReleasedTables, load_dictionaries, mask_rows
from sensai_release.table.schema import TableSchema
from sensai_release.table.store import read_parquet, read_shard, shard_columns

Document = dict[str, Any]

_OTHER_SCALE = ("difference_from_reference", "relative_day", "ordinal")
_NO_CANDIDATE = "there is no candidate: run 'sensai-release build'"
_CHANGED = "the policy has changed since the last build: run 'sensai-release build'"


def column_effect(
    workspace: Workspace, plan: TablePlan, planned: PlannedColumn, column: str
) -> tuple[Document | None, str | None]:
    """The effect of the action of a released column, or why there is none to tell."""
    entry = candidate_entry(workspace, plan.table, column)
    if entry is None:
        return None, _NO_CANDIDATE if not workspace.candidate.is_dir() else _CHANGED
    if entry["action"] != planned.action.describe() or entry["source"] != planned.source:
        return None, _CHANGED
    if plan.schema.generated is not None:
        return None, "the column is made by the tool; it has no source"
    tables = ReleasedTables(workspace.candidate / "data", load_dictionaries(workspace.candidate / "schemas"))
    minimum = workspace.params.masking_minimum
    if planned.source == plan.recording_key:
        return None, "the key stands in the names of the recordings' files, and is replaced in every row"
    if plan.release.window is not None:
        return _of_windows(workspace, plan, planned, column, tables), None
    pair = _side_by_side(workspace, plan, planned, column, tables)
    if pair is None:
        return None, "the table has no key by which to put source and released rows side by side"
    source, released = pair
    people = tables.person_codes(plan.table)
    if planned.action.do == "pseudonymise":
        count = mask_rows(np.ones(len(released), dtype=bool), people, minimum)
        return {"rows": count, "rows_changed": count, "share_changed": 1.0}, None
    same_scale = planned.action.do not in _OTHER_SCALE
    return _shown(measure(source, released, same_scale=same_scale), people, minimum), None


def _side_by_side(
    workspace: Workspace, plan: TablePlan, planned: PlannedColumn, column: str, tables: ReleasedTables
) -> tuple[pa.ChunkedArray, pa.ChunkedArray] | None:
    """The column before and after, in the order of the released rows."""
    if plan.recording_key is not None:
        # Row by row tables keep the order of each recording's rows, and recordings stand in the order of their keys.
        cells = [_source_column(read_shard(shard), planned) for shard in _shards(workspace, plan.schema)]
        return pa.chunked_array([chunk for part in cells for chunk in part.chunks]), tables.column(plan.table, column)
    key = tables.dictionaries[plan.table]["primary_key"]
    if len(key) != 1:
        return None
    source = read_parquet(workspace.pseudonymised / f"{plan.schema.name}.parquet")
    raw_key = next(c.source for c in plan.columns if c.output == key[0])
    released = tables.read(plan.table, [key[0], column] if column != key[0] else [column])
    order = pc.index_in(released[key[0]], value_set=source[raw_key].combine_chunks())
    return _source_column(source, planned).take(order), released[column]


def _source_column(table: pa.Table, planned: PlannedColumn) -> pa.ChunkedArray:
    if planned.spec.expression is not None:
        return pa.chunked_array([derive(table, planned.spec.expression, planned.spec.label)])
    if planned.source not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, pa.float64())])
    return table[planned.source]


def _of_windows(
    workspace: Workspace, plan: TablePlan, planned: PlannedColumn, column: str, tables: ReleasedTables
) -> Document:
    """Rows before and after; of a mean, the share of the variance that lay within windows and is gone."""
    minimum = workspace.params.masking_minimum
    people = tables.person_codes(plan.table)
    moments = _Moments()
    for shard in _shards(workspace, plan.schema):
        frames = read_shard(shard)
        if planned.source in frames.column_names:
            moments.add(frames, planned.source, plan)
    windows = tables.read(plan.table, [column, "frames", "valid_share"])
    shown = mask_rows(np.ones(windows.num_rows, dtype=bool), people, minimum)
    lost = moments.lost(windows, column) if column == f"{planned.source}_mean" else None
    missing = np.asarray(pc.is_null(windows[column]).to_numpy(), dtype=bool)
    return {
        "rows_before": moments.rows if isinstance(shown, int) else shown,
        "rows": shown,
        "distinct_after": int(pc.count_distinct(windows[column], mode="only_valid").as_py()),
        "missing_after": mask_rows(missing, people, minimum),
        "variance_lost": None if lost is None else round(lost, 3),
    }


class _Moments:
    """Rows, sum and sum of squares of a column over recordings, of the rows that windows count."""

    def __init__(self) -> None:
        self.rows = 0
        self._cells: list[tuple[int, float, float]] = []

    def add(self, frames: pa.Table, column: str, plan: TablePlan) -> None:
        self.rows += frames.num_rows
        values = floats(frames[column])
        window = plan.release.window
        if window is not None and window.valid is not None:
            values = values[floats(frames[window.valid]) == 1]
        values = values[np.isfinite(values)]
        if len(values):
            self._cells.append((len(values), float(values.mean()), float(values.var())))

    def lost(self, windows: pa.Table, column: str) -> float | None:
        """1 - variance between windows / variance of the rows; None where there is no variance."""
        if not self._cells:
            return None
        sizes, means, variances = map(np.array, zip(*self._cells, strict=True))
        centre = np.average(means, weights=sizes)
        total = float(np.average(variances + (means - centre) ** 2, weights=sizes))
        weights = floats(windows["frames"]) * floats(windows["valid_share"])
        values = floats(windows[column])
        there = np.isfinite(values) & (weights > 0)
        if total <= 0 or not there.any():
            return None
        middle = np.average(values[there], weights=weights[there])
        between = float(np.average((values[there] - middle) ** 2, weights=weights[there]))
        return float(np.clip(1 - between / total, 0, 1))


def _shown(effect: Effect, people: Codes | None, minimum: int) -> Document:
    rows = len(effect.changed)
    changed = mask_rows(effect.changed, people, minimum)
    return {
        "rows": mask_rows(np.ones(rows, dtype=bool), people, minimum),
        "rows_changed": changed,
        # A share beside a masked count would give it away.
        "share_changed": round(changed / max(rows, 1), 4) if isinstance(changed, int) else None,
        "missing_before": mask_rows(effect.missing_before, people, minimum),
        "missing_added": mask_rows(effect.missing_after & ~effect.missing_before, people, minimum),
        "distinct_before": effect.distinct_before,
        "distinct_after": effect.distinct_after,
        "entropy_before_bits": round(effect.entropy_before, 2),
        "entropy_after_bits": round(effect.entropy_after, 2),
        "entropy_lost": round(effect.entropy_lost, 3),
        "variance_lost": None if effect.variance_lost is None else round(effect.variance_lost, 3),
        "nrmse": None if effect.nrmse is None else float(f"{effect.nrmse:.3g}"),
    }


def candidate_entry(workspace: Workspace, table: str, column: str) -> Document | None:
    """The entry of a released column in the candidate's data dictionary; None when there is none."""
    folder = workspace.candidate / "schemas"
    dictionary = load_dictionaries(folder).get(table) if folder.is_dir() else None
    columns: list[Document] = dictionary["columns"] if dictionary is not None else []
    return next((entry for entry in columns if entry["name"] == column), None)


def present_columns(workspace: Workspace, schema: TableSchema) -> list[str]:
    """The columns of the pseudonymised source, in their order; nothing before it is made."""
    path = workspace.pseudonymised / f"{schema.name}.parquet"
    if schema.generated is not None:
        return [spec.name for spec in schema.columns if spec.name is not None]
    if path.is_file():
        return list(pq.read_schema(path).names)
    return list(dict.fromkeys(name for shard in _shards(workspace, schema) for name in shard_columns(shard)))


def _shards(workspace: Workspace, schema: TableSchema) -> list[Path]:
    """The pseudonymised recordings, in the order in which they are released."""
    return sorted((workspace.pseudonymised / schema.name).glob("*.arrow"))
