"""Folds that those who left have made uneven: the utility report says so."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sensai_release.pipeline.utility import assess_utility
from sensai_release.pipeline.workspace import Workspace

SENTENCE = "The folds are uneven for group"


def folds_of(workspace: Path) -> Path:
    (part,) = (workspace / "work" / "candidate" / "data" / "folds").glob("*.parquet")
    return part


def test_uneven_folds_are_a_warning(workspace_copy: Path) -> None:
    part = folds_of(workspace_copy)
    table = pq.read_table(part)
    # Two of three persons in the first fold, the others spread.
    uneven = pa.array([1 if n % 3 else 2 + n // 3 % 4 for n in range(table.num_rows)])
    part.unlink()
    pq.write_table(table.set_column(table.column_names.index("fold"), "fold", uneven), part)
    found = [line for line in assess_utility(Workspace(root=workspace_copy)).warnings if line.startswith(SENTENCE)]
    assert any(line.startswith(f"{SENTENCE} pain: from ") for line in found)
    # Of 24 persons none of the counts may be shown as it is, but a zero.
    for line in found:
        low, _, high = line.removeprefix(SENTENCE).split(": from ")[1].split(" persons")[0].partition(" to ")
        assert {low, high} <= {"0", "<10", "10"}, line
