"""Times the search for the least lossy levels: many persons, eight quasi-identifiers, seconds per 1,000 nodes.

    python benchmarks/generalise.py [--persons 200000] [--runs 3]

The persons are drawn at random with a fixed seed: age, body mass index and so on in skewed distributions, 1 % missing.
Prints a line for each demand: nodes of the lattice, how many were looked at, seconds, seconds per 1,000 nodes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import pyarrow as pa

from sensai_release.privacy.generalise import GeneralisedColumn, search
from sensai_release.table.schema import Hierarchy

SEED = 20240501


def persons(count: int) -> tuple[pa.Table, list[GeneralisedColumn]]:
    rng = np.random.default_rng(SEED)
    data: dict[str, Any] = {}
    columns = []
    for number, (mean, spread) in enumerate([(63, 12), (27, 5), (170, 9), (78, 14)]):
        low, high = mean - 3 * spread, mean + 3 * spread
        edges = [tuple(np.linspace(low, high, parts + 1)[1:-1].tolist()) for parts in (16, 8, 4, 2)]
        name = f"number{number}"
        hierarchy = Hierarchy(name=name, kind="intervals", level_names=("16", "8", "4", "2"), edges=tuple(edges))
        columns.append(GeneralisedColumn(source=name, output=name, hierarchy=hierarchy, weight=1 + number % 3))
        data[name] = pa.array(rng.normal(mean, spread, count), mask=rng.random(count) < 0.01)
    for number, width in enumerate((2, 8, 30, 12)):
        values = [f"v{n}" for n in range(width)]
        table = {value: tuple(f"{step}-{n // step}" for step in (1, 4)) for n, value in enumerate(values)}
        name = f"category{number}"
        hierarchy = Hierarchy(name=name, kind="categories", level_names=("each", "fours"), table=table)
        columns.append(GeneralisedColumn(source=name, output=name, hierarchy=hierarchy, weight=2))
        picked = rng.choice(width, count, p=rng.dirichlet(np.full(width, 0.7)))
        data[name] = pa.array([values[n] for n in picked.tolist()], mask=rng.random(count) < 0.01)
    data["stage"] = pa.array(["I", "II", "III", "IV"]).take(pa.array(rng.integers(0, 4, count)))
    return pa.table(data), columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    table, columns = persons(options.persons)
    print(f"{options.persons} persons, {len(columns)} quasi-identifiers (median of {options.runs} runs)")
    print(f"{'k':>4}{'l':>4}{'suppressed':>12}{'nodes':>9}{'looked at':>11}{'seconds':>9}{'s / 1,000 nodes':>17}")
    for k, l, share in ((5, 1, 0.05), (5, 2, 0.05), (11, 2, 0.01), (5, 1, 0.0)):  # noqa: E741
        times = []
        for _ in range(options.runs):
            start = time.perf_counter()
            found = search(table, columns, k=k, max_suppressed=share, sensitive=["stage"], l=l)
            times.append(time.perf_counter() - start)
        seconds = statistics.median(times)
        per_thousand = seconds / found.nodes * 1000
        print(f"{k:4}{l:4}{share:12.0%}{found.nodes:9}{found.checked:11}{seconds:9.2f}{per_thousand:17.3f}", flush=True)


if __name__ == "__main__":
    main()
