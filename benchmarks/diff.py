"""The semantic difference of two full-size releases, against joins in other engines.

    python benchmarks/diff.py FOLDER [--recordings N] [--group-rows N] [--rounds N]

Writes two synthetic releases (1.8 million rows of 50 columns; 1 % of the cells changed, 1 % of the rows gone and as
many new) and a third in which one recording alone differs from the first. Then every contender runs as a whole process,
in turn, several times: seconds, peak memory, ratios. datacompy, pandas and duckdb live in an environment of their own
below FOLDER, made on the first run, and so does pandas 2, whose texts take more time and memory; one that cannot be
installed is left out. Rows and cells must be the same in all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

KEY = ("session_id", "frame")
FEATURES = 48
SEED = 20_260_131
OTHERS = {
    "pandas": "environment",
    "pandas 2": "environment-2",
    "datacompy": "environment",
    "duckdb": "environment",
}
PACKAGES = {"environment": ("pyarrow pandas", "datacompy", "duckdb"), "environment-2": ("pyarrow pandas<3",)}
NAMES = [f"AU{number:02d}_r" for number in range(FEATURES)]


def generate(folder: Path, recordings: int, rows: int, frames: int = 1800) -> None:
    """Releases `old`, `new` and `near` below `folder`: 64 recordings a part, row groups of at least so many rows."""
    import pyarrow as pa

    from sensai_release.table.store import write_parquet, write_pieces

    sessions = sorted(f"S{number:010d}{(number * 7919) % 10**7:07d}" for number in range(recordings))
    people = [f"P{number // 3:017d}" for number in range(recordings)]
    columns = [{"name": name, "dtype": "number", "role": "insensitive", "class": "B"} for name in NAMES]
    document = {"person_key": None, "primary_key": list(KEY), "columns": [
        {"name": "session_id", "dtype": "string", "role": "direct_identifier"},
        {"name": "frame", "dtype": "integer", "role": "insensitive"}, *columns],
        "foreign_keys": [{"column": "session_id", "references": "sessions.session_id"}]}  # fmt: skip
    about = {
        "person_key": "participant_id",
        "primary_key": ["session_id"],
        "foreign_keys": [],
        "columns": [
            {"name": name, "dtype": "string", "role": "direct_identifier"} for name in ("session_id", "participant_id")
        ],
    }
    for release in ("old", "new", "near"):
        root = folder / release
        (root / "data" / "sessions").mkdir(parents=True)
        (root / "data" / "face_frames").mkdir()
        (root / "schemas").mkdir()
        write_parquet(
            pa.table({"session_id": sessions, "participant_id": people}), root / "data/sessions/part-00000.parquet"
        )
        for name, entry in (("face_frames", document), ("sessions", about)):
            (root / "schemas" / f"{name}.json").write_text(json.dumps({"table": name, **entry}))
        predicate = {"series": "synthetic", "version": release, "synthetic": True}
        (root / "manifest.json").write_text(json.dumps({"predicate": predicate}))
        for start in range(0, recordings, 64):
            path = root / "data" / "face_frames" / f"part-{start // 64:05d}.parquet"
            numbers = range(start, min(start + 64, recordings))
            write_pieces((recording(release, n, recordings, frames, sessions[n]) for n in numbers), path, rows=rows)


def recording(release: str, number: int, recordings: int, frames: int, session: str) -> Any:
    """The frames of one recording in one of the three releases."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng([SEED, number])
    walk = np.cumsum(random.normal(0, 0.05, (frames + frames // 50, FEATURES)), axis=0)
    values = np.round(np.abs(walk) % 5, 2)
    rows = np.arange(frames)
    if release == "new":
        hit = random.random(values.shape) < 0.01
        values = np.where(hit, np.round(values + 0.37, 2), values)
        keep = random.random(frames) >= 0.01
        extra = frames + np.flatnonzero(random.random(frames // 50) < 0.5)
        rows = np.r_[rows[keep], extra]
    elif release == "near" and number == recordings // 2:
        values[:, 3] += 0.01
    cells = [pa.repeat(pa.scalar(session), len(rows)), pa.array(rows), *map(pa.array, values[rows].T)]
    return pa.table(cells, names=[*KEY, *NAMES])


def ours(old: Path, new: Path, *, tests: bool) -> dict[str, Any]:
    from sensai_release.release.comparison.diff import diff_releases

    found = diff_releases(old, new, minimum=1, tests=tests).tables["face_frames"]
    return {"added": found.rows_added, "removed": found.rows_removed, "cells": dict(found.cells_changed)}


def with_pandas(old: Path, new: Path) -> dict[str, Any]:
    """An outer merge on the keys, then column by column."""
    import pandas as pd

    frames = [pd.read_parquet(root / "data" / "face_frames") for root in (old, new)]
    merged = frames[0].merge(frames[1], on=list(KEY), how="outer", suffixes=("", "_new"), indicator=True)
    both = merged[merged["_merge"] == "both"]
    cells = {}
    for name in frames[0].columns.difference(list(KEY)):
        left, right = both[name].to_numpy(), both[f"{name}_new"].to_numpy()
        count = int(((left != right) & ~((left != left) & (right != right))).sum())
        if count:
            cells[name] = count
    sides = merged["_merge"].value_counts()
    return {"added": int(sides["right_only"]), "removed": int(sides["left_only"]), "cells": cells}


def with_datacompy(old: Path, new: Path) -> dict[str, Any]:
    import datacompy  # type: ignore[import-not-found]
    import pandas as pd

    frames = [pd.read_parquet(root / "data" / "face_frames") for root in (old, new)]
    compare = getattr(datacompy, "PandasCompare", None) or datacompy.Compare
    found = compare(*frames, join_columns=list(KEY), cast_column_names_lower=False)
    cells = {entry["column"]: int(entry["unequal_cnt"]) for entry in found.column_stats if entry["unequal_cnt"]}
    return {"added": len(found.df2_unq_rows), "removed": len(found.df1_unq_rows), "cells": cells}


def with_duckdb(old: Path, new: Path) -> dict[str, Any]:
    import duckdb  # type: ignore[import-not-found]

    base = duckdb.connect()
    base.execute("SET threads = 2")
    sides = [str(root / "data" / "face_frames" / "*.parquet") for root in (old, new)]
    described = base.execute("DESCRIBE SELECT * FROM read_parquet(?)", [sides[0]]).fetchall()
    names = [entry[0] for entry in described if entry[0] not in KEY]
    both = "o.frame IS NOT NULL AND n.frame IS NOT NULL"
    counted = ", ".join(f'count(*) FILTER ({both} AND o."{name}" IS DISTINCT FROM n."{name}")' for name in names)
    row = base.execute(
        f"SELECT count(*) FILTER (o.frame IS NULL), count(*) FILTER (n.frame IS NULL), {counted} "  # noqa: S608
        "FROM read_parquet(?) o FULL JOIN read_parquet(?) n ON o.session_id = n.session_id AND o.frame = n.frame",
        sides,
    ).fetchone()
    assert row is not None
    cells = {name: count for name, count in zip(names, row[2:], strict=True) if count}
    return {"added": row[0], "removed": row[1], "cells": cells}


CONTENDERS = {
    "ours": lambda old, new: ours(old, new, tests=False),
    "ours with tests": lambda old, new: ours(old, new, tests=True),
    "pandas": with_pandas,
    "pandas 2": with_pandas,
    "datacompy": with_datacompy,
    "duckdb": with_duckdb,
}


def environment(folder: Path, name: str) -> Path:
    """The interpreter of an environment for others."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        venv.create(folder / name, with_pip=True)
        for packages in PACKAGES[name]:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages.split()], check=False)
    return python


def measure(python: Path | str, contender: str, old: Path, new: Path) -> tuple[float, float, Any]:
    """Seconds, peak memory in MiB and the result of one process; the result is `None` when it failed."""
    command = [str(python), __file__, "--run", contender, str(old), str(new)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"})
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    return seconds, usage.ru_maxrss / 1024, json.loads(text) if status == 0 else None


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        contender, old, new = sys.argv[2:]
        print(json.dumps(CONTENDERS[contender](Path(old), Path(new)), sort_keys=True))
        return
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--recordings", type=int, default=1000)
    arguments.add_argument("--group-rows", type=int, help="Rows in a row group; by default as many as `release` puts.")
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    from sensai_release.table.store import GROUP_ROWS

    rows = given.group_rows or GROUP_ROWS
    data = given.folder / f"releases-{given.recordings}-{rows}"
    if not data.exists():
        generate(data.with_name("unfinished"), given.recordings, rows)
        data.with_name("unfinished").rename(data)
    environments = {name: environment(given.folder, name) for name in PACKAGES}
    for label, new in (("1 % of cells and rows changed", "new"), ("one recording changed", "near")):
        best: dict[str, tuple[float, float]] = {}
        results = {}
        for _ in range(given.rounds):
            for contender in CONTENDERS:
                python = environments[OTHERS[contender]] if contender in OTHERS else sys.executable
                seconds, peak, results[contender] = measure(python, contender, data / "old", data / new)
                if results[contender] is not None:
                    known = best.get(contender, (seconds, peak))
                    best[contender] = (min(known[0], seconds), max(known[1], peak))
        print(f"\n{label}")
        for contender, (seconds, peak) in best.items():
            same = "the same" if results[contender] == results["ours"] else "ANOTHER RESULT"
            ratio = seconds / best["ours"][0]
            print(f"  {contender:16} {seconds:7.2f} s  {peak:7.0f} MiB  {ratio:6.1f} x ours  {same}")


if __name__ == "__main__":
    main()
