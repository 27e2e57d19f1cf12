"""The floor: the fastest plain reader of the needed columns, a Parquet write and a hash, in two processes.

    python benchmarks/floor.py SOURCE OUTPUT_FOLDER

No validation, no pseudonyms, no policy: nothing that curates data can be faster than this.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from steward_script import KEPT

SHARD = 50


def work(job: tuple[int, list[str], str]) -> str:
    pa.set_cpu_count(1)
    number, paths, output = job
    tables = []
    for path in paths:
        data = Path(path).read_bytes()
        names = [name.strip() for name in data[: data.index(b"\n")].decode().split(",")]
        needed = [name for name in names if KEPT.fullmatch(name)]
        tables.append(
            pyarrow.csv.read_csv(
                pa.BufferReader(data),
                read_options=pyarrow.csv.ReadOptions(
                    use_threads=False, column_names=names, skip_rows=1, block_size=1 << 22
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=needed, column_types=dict.fromkeys(needed, pa.float64())
                ),
            )
        )
    target = Path(output) / f"{number:05d}.parquet"
    pq.write_table(pa.concat_tables(tables), target, compression="snappy")
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> None:
    source, output = Path(sys.argv[1]), Path(sys.argv[2])
    output.mkdir(parents=True, exist_ok=True)
    paths = sorted(map(str, (source / "face").glob("*.csv")))
    jobs = [
        (number, paths[start : start + SHARD], str(output)) for number, start in enumerate(range(0, len(paths), SHARD))
    ]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(hashlib.sha256("".join(pool.map(work, jobs)).encode()).hexdigest())


if __name__ == "__main__":
    main()
