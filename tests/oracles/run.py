"""k, l, entropy l and t against pycanon, an implementation that is not ours.

    python tests/oracles/run.py [--tables 1000] [--seed 0]

Makes a virtual environment of its own under the user's cache folder (pycanon pins numpy and pandas, so it cannot share
ours), installs requirements.txt into it, writes random tables, an Adult-like and a lung-like one, lets
`pycanon_side.py` measure them there, and compares. Needs a package index the first time. Exits 1 on any difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sensai_release.privacy.classes import class_sizes, combine, cross, encode
from sensai_release.privacy.diversity import distinct_l, entropy_l, t_closeness, value_ranks

HERE = Path(__file__).parent
Table = dict[str, Any]


def environment() -> Path:
    """The Python of the oracle's environment, made when it is not there or requirements.txt has changed."""
    requirements = HERE / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "sensai-release" / f"oracles-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)
        (folder / "complete").touch()
    return python


def tables(number: int, seed: int) -> Iterator[Table]:
    """Columns, the quasi-identifiers among them, and one sensitive column; some rows repeat, the order is shuffled."""
    rng = np.random.default_rng(seed)
    yield adult(rng)
    yield lung(rng)
    for _ in range(number):
        count, width = int(rng.integers(2, 60)), int(rng.integers(1, 4))
        columns = {
            f"q{n}": [("a", "b", "c", None)[v] for v in rng.choice(4, count, p=rng.dirichlet(np.ones(4))).tolist()]
            for n in range(width)
        }
        numeric = bool(rng.random() < 0.5)
        values = rng.choice(6, count, p=rng.dirichlet(np.ones(6))).tolist()
        columns["s"] = values if numeric else [None if v == 0 else f"v{v}" for v in values]
        rows = np.r_[np.arange(count), rng.integers(0, count, count // 3)]
        rng.shuffle(rows)
        columns = {name: [column[r] for r in rows.tolist()] for name, column in columns.items()}
        yield {"columns": columns, "quasi": [f"q{n}" for n in range(width)], "sensitive": "s"}


def adult(rng: np.random.Generator) -> Table:
    """The size and the columns of the census table that the literature measures on; the persons are drawn."""
    count = 5000
    columns = {
        "age": [f"{10 * (v // 10)}s" for v in np.clip(rng.normal(39, 13, count), 17, 90).astype(int).tolist()],
        "education": [f"e{v}" for v in rng.choice(8, count, p=rng.dirichlet(np.full(8, 2.0))).tolist()],
        "sex": rng.choice(["Male", "Female"], count, p=[0.67, 0.33]).tolist(),
        "race": rng.choice(["r0", "r1", "r2", None], count, p=[0.85, 0.1, 0.03, 0.02]).tolist(),  # type: ignore[arg-type]
        "occupation": [f"o{v}" for v in rng.choice(14, count, p=rng.dirichlet(np.full(14, 2.0))).tolist()],
    }
    return {"columns": columns, "quasi": ["age", "education", "sex", "race"], "sensitive": "occupation"}


def lung(rng: np.random.Generator) -> Table:
    """The shape of a trial of 228 patients: age, sex, institution; a performance score in tens as the ordered value."""
    count = 228
    columns: dict[str, list[Any]] = {
        "inst": [None if v == 0 else str(v) for v in rng.integers(0, 6, count).tolist()],
        "age": [str(10 * (v // 10)) for v in np.clip(rng.normal(62, 9, count), 39, 82).astype(int).tolist()],
        "sex": rng.choice(["1", "2"], count, p=[0.6, 0.4]).tolist(),
        "karno": (10 * np.clip(rng.normal(8, 1.2, count).round(), 5, 10)).astype(int).tolist(),
    }
    return {"columns": columns, "quasi": ["inst", "age", "sex"], "sensitive": "karno"}


def ours(table: Table) -> dict[str, float]:
    columns = {name: pa.array(values) for name, values in table["columns"].items()}
    # Dictionaries with levels that nobody has must not matter.
    columns = {
        name: pa.DictionaryArray.from_arrays(
            column.dictionary_encode().indices,
            pa.concat_arrays([column.dictionary_encode().dictionary, pa.array(["unused"])]),
        )
        if pa.types.is_string(column.type)
        else column
        for name, column in columns.items()
    }
    count = len(columns[table["sensitive"]])
    ids = combine([encode(columns[name]) for name in table["quasi"]], count)
    ranks = value_ranks(columns[table["sensitive"]], None)
    cells = cross(ids, encode(columns[table["sensitive"]]) if ranks is None else ranks)
    return {
        "k": int(class_sizes(ids).min()),
        "l": distinct_l(cells),
        "entropy_l": entropy_l(cells),
        "t": t_closeness(cells, ordered=ranks is not None),
    }


def differ(mine: dict[str, float], other: dict[str, Any]) -> list[str]:
    """pycanon rounds entropy l down to a whole number, which a last bit can tip."""
    found = [name for name in ("k", "l") if mine[name] != other[name]]
    if not math.isclose(mine["t"], 0.0 if other["t"] is None else other["t"], abs_tol=1e-9):
        found.append("t")
    if other["entropy_l"] not in (math.floor(mine["entropy_l"] - 1e-9), math.floor(mine["entropy_l"] + 1e-9)):
        found.append("entropy_l")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    python = environment()
    made = list(tables(options.tables, options.seed))
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "tables.json", Path(folder) / "measures.json"
        source.write_text(json.dumps(made), encoding="utf-8")
        subprocess.run([str(python), str(HERE / "pycanon_side.py"), str(source), str(result)], check=True)
        measured = json.loads(result.read_text(encoding="utf-8"))
    wrong = 0
    for number, (table, other) in enumerate(zip(made, measured, strict=True)):
        names = differ(ours(table), other)
        wrong += bool(names)
        if names:
            print(f"table {number}: {', '.join(names)} differ: {ours(table)} and {other}")
    print(f"{len(made)} tables, {wrong} with a difference")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
