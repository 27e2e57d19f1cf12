"""The 228 lung cancer patients of a trial (North Central Cancer Treatment Group), as lifelines ships them.

Runs in the oracle's own environment. The rows go into the temporary folder of that run and nowhere else.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from lifelines.datasets import load_lung  # type: ignore[import-not-found]


def cells(column: pd.Series, prefix: str = "") -> list[Any]:
    return [None if pd.isna(value) else f"{prefix}{int(value)}" for value in column.tolist()]


lung = load_lung()
decade = cells(lung["age"] // 10 * 10)
karnofsky = cells(lung["ph.karno"], "k")
tables = [
    {
        "columns": {"age": cells(lung["age"]), "sex": cells(lung["sex"]), "karno": karnofsky},
        "quasi": ["age", "sex"],
        "sensitive": "karno",
    },
    {
        "columns": {"decade": decade, "sex": cells(lung["sex"]), "status": [int(v) for v in lung["status"].tolist()]},
        "quasi": ["decade", "sex"],
        "sensitive": "status",
    },
    {
        "columns": {
            "inst": cells(lung["inst"]),
            "decade": decade,
            "sex": cells(lung["sex"]),
            "ecog": cells(lung["ph.ecog"]),
            "own": cells(lung["pat.karno"]),
            "status": [int(v) for v in lung["status"].tolist()],
        },
        "quasi": ["inst", "decade", "sex", "ecog", "own"],
        "sensitive": "status",
    },
]
Path(sys.argv[2]).write_text(json.dumps(tables), encoding="utf-8")
