"""What pycanon says of the tables that run.py wrote. Runs in the oracle's own environment; imports nothing of ours.

pycanon drops rows with missing quasi-identifiers and cannot compare missing values, so a missing cell becomes a text of
its own: a value like any other, which is how we count it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from pycanon import anonymity  # type: ignore[import-not-found]


def measure(table: dict[str, Any]) -> dict[str, Any]:
    frame = pd.DataFrame(table["columns"]).astype(object)
    frame = frame.where(frame.notna(), "(missing)")
    quasi, sensitive = table["quasi"], [table["sensitive"]]
    if all(isinstance(value, int) for value in frame[table["sensitive"]]):
        frame[table["sensitive"]] = frame[table["sensitive"]].astype(int)
    # With one number only pycanon divides by zero; there is nothing to be far from.
    one = frame[table["sensitive"]].nunique() == 1
    return {
        "k": int(anonymity.k_anonymity(frame, quasi)),
        "l": int(anonymity.l_diversity(frame, quasi, sensitive)),
        "entropy_l": float(anonymity.entropy_l_diversity(frame, quasi, sensitive)),
        "t": None if one else float(anonymity.t_closeness(frame, quasi, sensitive)),
    }


tables = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
Path(sys.argv[2]).write_text(json.dumps([measure(table) for table in tables]), encoding="utf-8")
