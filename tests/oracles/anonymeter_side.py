"""What anonymeter says of the tables that run.py wrote. Runs in an environment of its own; imports nothing of ours.

anonymeter attacks synthetic data. One part of it can be held against ours: which predicates on one or two columns match
exactly one row of a table. Its evaluators drop repeated rows first, which would make singles of twins, so the functions
below them are called. A missing cell becomes a text of its own, and all columns are texts, so that predicates are
equalities. Predicates on two columns are drawn: twenty times as many as there are, so that none is left out.
"""

import json
import logging
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl  # type: ignore[import-not-found]
from anonymeter.evaluators.singling_out_evaluator import (  # type: ignore[import-not-found]
    multivariate_singling_out_queries,
    univariate_singling_out_queries,
)


def measure(table: dict[str, Any]) -> dict[str, int]:
    columns = {
        name: ["(missing)" if cell is None else str(cell) for cell in table["columns"][name]] for name in table["quasi"]
    }
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Utf8))
    rng = np.random.default_rng(0)
    found = {"1": len(univariate_singling_out_queries(frame, n_queries=10**6, rng=rng))}
    if len(columns) > 1:
        attempts = 20 * frame.height * math.comb(len(columns), 2)
        found["2"] = len(
            multivariate_singling_out_queries(frame, n_queries=10**6, n_cols=2, max_attempts=attempts, rng=rng)
        )
    return found


logging.disable(logging.WARNING)
tables = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
Path(sys.argv[2]).write_text(json.dumps([measure(table) for table in tables]), encoding="utf-8")
