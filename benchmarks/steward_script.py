"""The baseline: what a competent steward would write with pandas in an afternoon.

    python benchmarks/steward_script.py SOURCE OUTPUT [--usecols]

Reads every OpenFace file, checks ranges with pandera, replaces the session by a keyed hash row by row, writes one
Parquet file and its SHA-256. `--usecols` parses only the columns that are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sys
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

KEY = b"\x07" * 32
KEPT = re.compile(r"(timestamp|confidence|success|gaze_angle_[xy]|pose_R[xyz]|AU\d\d_[rc])")


def main() -> None:
    source, output = Path(sys.argv[1]), Path(sys.argv[2])
    usecols = (lambda name: bool(KEPT.fullmatch(name.strip()))) if "--usecols" in sys.argv else None
    schema = pa.DataFrameSchema(
        {
            "confidence": pa.Column(float, pa.Check.in_range(0, 1)),
            "success": pa.Column(int, pa.Check.isin([0, 1])),
            r"AU\d\d_r": pa.Column(float, pa.Check.in_range(0, 5), regex=True),
            r"AU\d\d_c": pa.Column(float, pa.Check.isin([0, 1]), regex=True),
        },
        coerce=True,
    )
    frames = []
    for path in sorted((source / "face").glob("*.csv")):
        frame = pd.read_csv(path, skipinitialspace=True, usecols=usecols)
        frame.columns = frame.columns.str.strip()
        frame = frame[[name for name in frame.columns if KEPT.fullmatch(name)]]
        frame["session_id"] = path.stem
        frames.append(schema.validate(frame, lazy=True))
    table = pd.concat(frames, ignore_index=True)
    table["session_id"] = table["session_id"].map(lambda raw: hmac.new(KEY, raw.encode(), hashlib.sha256).hexdigest())
    table.to_parquet(output, index=False)
    print(hashlib.sha256(output.read_bytes()).hexdigest())


if __name__ == "__main__":
    main()
