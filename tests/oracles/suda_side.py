"""What the package `suda` says of the tables of run.py. Runs in the oracle's own environment; imports nothing of ours.

Cleaned beforehand: a missing cell becomes a text of its own, since rows with one are passed over otherwise; the index
is 0 to n - 1, since rows with equal labels are added up otherwise. The package counts every set of columns in which a
row is alone, not the minimal ones, so its score is larger than Elliot's. It is therefore asked set by set, and the
minimal ones follow: alone over the set, and over no set with one column less.
"""

import itertools
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from suda import suda  # type: ignore[import-not-found]


def ask(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The package's columns `msu`, `suda` and `fM` for up to all of `columns`; zeros where nobody is alone."""
    result: pd.DataFrame = suda(frame[columns].copy(), max_msu=len(columns))
    return result[["msu", "suda", "fM"]].fillna(0).astype(float)


def measure(table: dict[str, Any]) -> dict[str, Any]:
    frame = pd.DataFrame(table["columns"])[table["quasi"]].astype(object)
    frame = frame.where(frame.notna(), "(missing)").astype(str).reset_index(drop=True)
    whole = ask(frame, table["quasi"])
    alone = {
        subset: ask(frame, list(subset))["msu"] > 0
        for size in range(1, len(table["quasi"]) + 1)
        for subset in itertools.combinations(table["quasi"], size)
    }
    minimal = {}
    for subset, flags in alone.items():
        below = [alone[part] for part in itertools.combinations(subset, len(subset) - 1) if part]
        for part in below:
            flags = flags & ~part
        minimal[",".join(subset)] = flags.tolist()
    return {
        "smallest": whole["msu"].astype(int).tolist(),
        "score": whole["suda"].tolist(),
        "sets": whole["fM"].astype(int).tolist(),
        "minimal": minimal,
    }


warnings.simplefilter("ignore")
tables = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
Path(sys.argv[2]).write_text(json.dumps([measure(table) for table in tables]), encoding="utf-8")
