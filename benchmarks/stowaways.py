"""Sound hidden in columns of numbers: how much of it is found, what it is mistaken for, and what looking costs.

    python benchmarks/stowaways.py MEDIA TABLES [TABLES …] [--recording FILE]

MEDIA holds recorded speech (16-bit WAV). Each file is written as one column in every form below, whole and in cuts of
several lengths. TABLES are folders of honest tables (CSV, searched with their subfolders): every finding there is a
false alarm. FILE is one recording of OpenFace; the looks at its numbers are set against the reading of it.
"""

from __future__ import annotations

import argparse
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.types as pt

from sensai_release.privacy.needed import needed_columns
from sensai_release.table.readers import read_file
from sensai_release.table.schema import TableSchema, load_schemas, parse_table
from sensai_release.table.stowaways import stowaway_findings
from sensai_release.table.stowaways.samples import LONG, sample_findings

Samples = npt.NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[1]
LENGTHS = (1024, 1800, 4096, 8192, 16384)
CUTS = 8


def resampled(samples: Samples, ratio: float) -> Samples:
    """At `ratio` times the rate: a windowed low pass where it is lower, then straight lines."""
    if ratio < 1:
        length = int(16 / ratio) | 1
        at = np.arange(length) - length // 2
        samples = np.convolve(samples, np.sinc(at * ratio) * ratio * np.hamming(length), "same")
    places: Samples = np.arange(0, len(samples) - 1, 1 / ratio)
    return np.interp(places, np.arange(len(samples)), samples)


def companded(samples: Samples) -> Samples:
    share = samples / 32768
    result: Samples = np.sign(share) * np.log1p(255 * np.abs(share)) / np.log(256)
    return result


def forms(rng: np.random.Generator) -> Mapping[str, Callable[[Samples], Samples]]:
    def noise(share: float) -> Callable[[Samples], Samples]:
        return lambda samples: samples + rng.normal(0, samples.std() * share, len(samples))

    def unit(samples: Samples) -> Samples:
        result: Samples = (samples - samples.min()) / np.ptp(samples)
        return result

    return {
        "16-bit": lambda samples: samples,
        "8-bit": lambda samples: samples // 256 + 128,
        "float (1/32768)": lambda samples: samples / 32768,
        "odd factor": lambda samples: samples * 2.23e-5,
        "0 to 1": unit,
        "0 to 5, 3 decimals": lambda samples: np.round(unit(samples) * 5, 3),
        "24-bit": lambda samples: np.rint(samples * 256 + rng.normal(0, 40, len(samples))),
        "4 kHz": lambda samples: resampled(samples, 0.25),
        "8 kHz": lambda samples: resampled(samples, 0.5),
        "11 kHz": lambda samples: resampled(samples, 0.689),
        "22 kHz": lambda samples: resampled(samples, 1.378),
        "44 kHz": lambda samples: resampled(samples, 2.756),
        "noise, 30 dB": noise(10**-1.5),
        "noise, 20 dB": noise(0.1),
        "noise, 10 dB": noise(10**-0.5),
        "differences": lambda samples: np.diff(samples) * 1.3e-5,
        "mu-law": companded,
    }


def one_column() -> TableSchema:
    return parse_table(
        {
            "table": "t",
            "title": "T",
            "description": "T",
            "columns": [],
            "source": {"reader": "delimited", "row": "r", "file": "t"},
        },
        "benchmark",
    )


def found(column: Samples, schema: TableSchema) -> bool:
    return bool(sample_findings(pa.table({"v": column}), schema, place="v"))


def speech(folder: Path) -> Iterator[Samples]:
    for path in sorted(folder.glob("*.wav")):
        try:
            with wave.open(str(path)) as file:
                if file.getsampwidth() == 2 and file.getnchannels() == 1:
                    yield np.frombuffer(file.readframes(-1), "<i2").astype(np.float64)
        except wave.Error:
            continue


def recall(folder: Path) -> None:
    schema = one_column()
    recordings = list(speech(folder))
    print(f"Recall, {len(recordings)} recordings (share found; cuts start at {CUTS} places, in pauses too)")
    print(f"{'form':20}" + "".join(f"{length:>8}" for length in LENGTHS) + "   whole")
    for name, form in forms(np.random.default_rng(1)).items():
        shares = []
        for length in (*LENGTHS, None):
            hits = []
            for samples in recordings:
                column = form(samples)
                starts = [0] if length is None else np.linspace(0, max(len(column) - length, 0), CUTS).astype(int)
                hits += [found(column[start : None if length is None else start + length], schema) for start in starts]
            shares.append(np.mean(hits))
        print(f"{name:20}" + "".join(f"{share:8.2f}" for share in shares))


def false_alarms(folders: list[Path]) -> None:
    schema = one_column()
    columns = judged = 0
    wrong: list[str] = []
    for path in (path for folder in folders for path in sorted(folder.rglob("*.csv"))):
        table = read_numbers(path)
        if table is None:
            continue
        numeric = [field for field in table.schema if pt.is_integer(field.type) or pt.is_floating(field.type)]
        columns += len(numeric)
        judged += len(numeric) if table.num_rows >= LONG else 0
        wrong += [f"{path.name}: {finding.column}" for finding in sample_findings(table, schema, place="x")]
    print(f"\nFalse alarms: {len(wrong)} in {columns} numeric columns, {judged} of them of {LONG} rows and more")
    for line in wrong:
        print(f"  {line}")


def read_numbers(path: Path) -> pa.Table | None:
    for delimiter in (",", ";"):
        try:
            table = pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter))
        except pa.ArrowInvalid:
            continue
        if table.num_columns > 1:
            return table
    return None


def cost(recording: Path) -> None:
    schemas = load_schemas(ROOT / "schemas")
    face = schemas["face"]
    needed = needed_columns(face, "controlled", schemas=schemas)
    table = read_file(recording, face, place="x", needed=needed).table
    if table is None:
        raise SystemExit("the recording cannot be read")

    def least(work: Callable[[], Any], times: int) -> float:
        """Processor time of all threads, in milliseconds: other work on the machine does not count."""
        spent = []
        for _ in range(times):
            start = time.process_time()
            work()
            spent.append(time.process_time() - start)
        return min(spent) * 1000

    reading = least(lambda: read_file(recording, face, place="x", needed=needed), 20)
    numbers = least(lambda: sample_findings(table, face, place="x"), 200)
    everything = least(lambda: stowaway_findings(table, face, place="x"), 200)
    print(f"\nCost, {recording.stat().st_size / 1e6:.1f} MB, {table.num_rows} rows, {table.num_columns} columns read")
    print(f"reading {reading:.2f} ms; looking at numbers {numbers:.2f} ms ({numbers / reading:.1%})", end="")
    print(f"; at all cells {everything:.2f} ms ({everything / reading:.1%})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("media", type=Path)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--recording", type=Path)
    options = parser.parse_args()
    recall(options.media)
    false_alarms(options.tables)
    if options.recording is not None:
        cost(options.recording)


if __name__ == "__main__":
    main()
