"""k, l, entropy l, t and special uniques against implementations that are not ours.

    python tests/oracles/run.py [--tables 1000] [--seed 0] [--anonymeter 100]

Writes random tables, an Adult-like and a lung-like one, and the real lung table of lifelines; lets the others measure
them in environments of their own, and compares:

- pycanon: k, l, entropy l (rounded down) and t.
- suda: who has which minimal sample uniques, the size of each person's smallest, and the score that follows from these
  by Elliot's formula. The score of the package adds up all sets in which a person is alone, not the minimal ones alone;
  that sum is compared too, with the same sum by us. Its DIS score is another than sdcMicro's, and is not compared.
- anonymeter, on the first tables: how many predicates on one column, and on two, single somebody out.

What each of them needs to have cleaned is said in its `*_side.py`. The environments are made under the user's cache
folder and need a package index the first time. No row of the lung table stays. Exits 1 on any difference.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sensai_release.privacy.classes import class_sizes, combine, cross, encode
from sensai_release.privacy.diversity import distinct_l, entropy_l, t_closeness, value_ranks
from sensai_release.privacy.suda import Flags, special_uniques

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from own_environment import environment  # noqa: E402 - it lies beside this folder

Table = dict[str, Any]


def asked(python: Path, script: str, made: Sequence[Table]) -> list[dict[str, Any]]:
    """What a script in another environment answers, one entry a table."""
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "tables.json", Path(folder) / "measures.json"
        source.write_text(json.dumps(made), encoding="utf-8")
        # Our own folders must not reach into the other environment.
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run([str(python), str(HERE / script), str(source), str(result)], check=True, env=clean)
        answers: list[dict[str, Any]] = json.loads(result.read_text(encoding="utf-8"))
        return answers


def tables(number: int, seed: int) -> Iterator[Table]:
    """Columns, the quasi-identifiers among them, and one sensitive column; some rows repeat, the order is shuffled."""
    rng = np.random.default_rng(seed)
    yield adult(rng)
    yield lung(rng)
    for _ in range(number):
        count, width = int(rng.integers(2, 60)), int(rng.integers(1, 5))
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


def coded(table: Table) -> dict[str, pa.Array]:
    """The columns as Arrow arrays; dictionaries with levels that nobody has must not matter."""
    columns = {name: pa.array(values) for name, values in table["columns"].items()}
    return {
        name: pa.DictionaryArray.from_arrays(
            column.dictionary_encode().indices,
            pa.concat_arrays([column.dictionary_encode().dictionary, pa.array(["unused"])]),
        )
        if pa.types.is_string(column.type)
        else column
        for name, column in columns.items()
    }


def classes(table: Table) -> dict[str, float]:
    columns = coded(table)
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


def against_pycanon(table: Table, other: dict[str, Any]) -> list[str]:
    """pycanon rounds entropy l down to a whole number, which a last bit can tip."""
    mine = classes(table)
    found = [name for name in ("k", "l") if mine[name] != other[name]]
    if not math.isclose(mine["t"], 0.0 if other["t"] is None else other["t"], abs_tol=1e-9):
        found.append("t")
    if other["entropy_l"] not in (math.floor(mine["entropy_l"] - 1e-9), math.floor(mine["entropy_l"] + 1e-9)):
        found.append("entropy l")
    return found


def singles(table: Table) -> dict[tuple[str, ...], Flags]:
    """For every set of quasi-identifiers who is alone over it."""
    columns = coded(table)
    codes = {name: encode(columns[name]) for name in table["quasi"]}
    count = len(columns[table["sensitive"]])
    return {
        subset: class_sizes(combine([codes[name] for name in subset], count)) == 1
        for size in range(1, len(codes) + 1)
        for subset in itertools.combinations(codes, size)
    }


def against_suda(table: Table, other: dict[str, Any]) -> list[str]:
    columns = coded(table)
    codes = {name: encode(columns[name]) for name in table["quasi"]}
    width, count = len(codes), len(columns[table["sensitive"]])
    mine = special_uniques(codes, count, size=width)
    minimal = {tuple(name.split(",")): np.array(flags) for name, flags in other["minimal"].items()}
    scores = sum(math.factorial(width - len(subset)) * flags for subset, flags in minimal.items())
    alone = singles(table)
    found = []
    if not np.array_equal(mine.smallest, other["smallest"]):
        found.append("smallest MSU")
    if mine.uniques != {subset: int(flags.sum()) for subset, flags in minimal.items() if flags.any()}:
        found.append("MSUs")
    if not np.allclose(mine.scores, scores):
        found.append("score")
    if not np.array_equal(sum(flags.astype(int) for flags in alone.values()), other["sets"]):
        found.append("sets in which a person is alone")
    every = sum(math.factorial(width - len(subset)) * flags for subset, flags in alone.items())
    if not np.allclose(every, other["score"]):
        found.append("score over all such sets")
    return found


def against_anonymeter(table: Table, other: dict[str, Any]) -> list[str]:
    alone = singles(table)
    mine = {
        size: sum(int(flags.sum()) for subset, flags in alone.items() if len(subset) == int(size)) for size in other
    }
    return [f"predicates on {size} columns" for size in other if mine[size] != other[size]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--anonymeter", type=int, default=100, metavar="TABLES")
    options = parser.parse_args()
    python = environment(HERE / "requirements.txt")
    real = asked(python, "lung_side.py", [])
    made = [*real, *tables(options.tables, options.seed)]
    # Thousands of rows make more predicates than can be drawn.
    small = [table for table in made if len(table["columns"][table["sensitive"]]) < 100][: options.anonymeter]
    wrong = 0
    for name, where, script, chosen, compare in (
        ("pycanon", python, "pycanon_side.py", made, against_pycanon),
        ("suda", python, "suda_side.py", made, against_suda),
        (
            "anonymeter",
            environment(HERE / "requirements-anonymeter.txt"),
            "anonymeter_side.py",
            small,
            against_anonymeter,
        ),
    ):
        bad = 0
        for number, (table, other) in enumerate(zip(chosen, asked(where, script, chosen), strict=True)):
            if differing := compare(table, other):
                bad += 1
                print(f"{name}, table {number}: differs in {', '.join(differing)}")
        print(f"{name}: {len(chosen)} tables, {bad} with a difference")
        wrong += bad
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
