"""Times a full-size build against the steward's script and against the floor, as whole processes in one run.

    python benchmarks/full_size.py FOLDER [--participants 200] [--sessions 17] [--seconds 60] [--runs 3]

FOLDER gets the synthetic cohort (about 8 GB at full size) and is kept for the next run. Prints one table: wall and
CPU seconds (median), peak memory of the largest process, and each as a ratio to the floor and to the script.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds of the process and its children, and the peak memory of the largest one in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command[:3])} ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def prepare(folder: Path, options: argparse.Namespace) -> tuple[Path, Path]:
    source = folder / "source"
    tool = str(BIN / "sensai-release")
    if not source.exists():
        sizes = [f"--{name}={getattr(options, name)}" for name in ("participants", "sessions", "seconds")]
        subprocess.run([tool, "synth", str(source), *sizes, "--seed=7"], check=True)
    keys = folder / "keys"
    if not keys.exists():
        keys.mkdir(mode=0o700)
        subprocess.run([tool, "keygen", str(keys / "root.key"), "--role=root"], check=True)
    return source, keys


def fresh_workspace(folder: Path, source: Path) -> Path:
    workspace = folder / "workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    subprocess.run([str(BIN / "sensai-release"), "--quiet", "init", str(workspace)], check=True)
    (workspace / "data").mkdir()
    # Hard links: the build must see real files, and the benchmark should not write the cohort a second time.
    shutil.copytree(source, workspace / "data" / "source", copy_function=os.link)
    return workspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--participants", type=int, default=200)
    parser.add_argument("--sessions", type=int, default=17)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    source, keys = prepare(options.folder, options)
    recordings = list((source / "face").glob("*.csv"))
    size = sum(path.stat().st_size for path in recordings)
    print(f"{len(recordings)} recordings, {size / 1e9:.2f} GB, {os.cpu_count()} processors")

    environment = dict(os.environ, SENSAI_RELEASE_KEY_DIR=str(keys), PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    tool = str(BIN / "sensai-release")
    script = [sys.executable, str(HERE / "steward_script.py"), str(source), str(options.folder / "script.parquet")]

    def build() -> list[list[str]]:
        workspace = str(fresh_workspace(options.folder, source))
        return [[tool, "--quiet", "-C", workspace, "build"]]

    def engine() -> list[list[str]]:
        workspace = str(fresh_workspace(options.folder, source))
        return [[tool, "--quiet", "-C", workspace, stage] for stage in ("validate", "pseudonymise", "deidentify")]

    contestants: dict[str, Callable[[], list[list[str]]]] = {
        "floor": lambda: [[sys.executable, str(HERE / "floor.py"), str(source), str(options.folder / "floor")]],
        "engine (validate to deidentify)": engine,
        "build (all stages, DVC, both gates)": build,
        "script": lambda: [script],
        "script with usecols": lambda: [[*script, "--usecols"]],
    }
    figures: dict[str, list[tuple[float, float, float]]] = {}
    for round_number in range(options.runs):
        for name, commands in contestants.items():
            if name.startswith("script") and round_number:
                continue  # minutes long, and its spread does not matter for the ratio
            parts = [timed(command, environment) for command in commands()]
            total = (sum(p[0] for p in parts), sum(p[1] for p in parts), max(p[2] for p in parts))
            figures.setdefault(name, []).append(total)
            print(f"  {name}: {total[0]:.1f} s wall, {total[1]:.1f} s CPU, {total[2]:.0f} MiB", flush=True)
    median = {
        name: tuple(statistics.median(column) for column in zip(*runs, strict=True)) for name, runs in figures.items()
    }
    print(f"\n{'':38}{'wall s':>8}{'CPU s':>8}{'MiB':>8}{'x floor':>9}{'script x':>10}{'usecols x':>11}")
    for name, (wall, cpu, memory) in median.items():
        to_floor = wall / median["floor"][0]
        to_script = median["script"][0] / wall
        to_usecols = median["script with usecols"][0] / wall
        print(f"{name:38}{wall:8.1f}{cpu:8.1f}{memory:8.0f}{to_floor:9.2f}{to_script:10.1f}{to_usecols:11.1f}")
    print(f"(peak memory of the benchmark itself: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB)")


if __name__ == "__main__":
    main()
