"""Measures `verify`: its hashing against the floor, and the whole of it against `sha256sum -c` and bagit.

    python benchmarks/verify.py FOLDER [--rounds 7] [--big 2048] [--small 20000] [--skip-bagit]

Two releases of bytes by chance are made in FOLDER and kept for the next run: 40 large files, and 20,000 small ones of 4
to 40 KiB. The floor is hashlib over the same files on all cores, by threads and by forked processes, the faster of the
two. bagit (https://github.com/LibraryOfCongress/bagit-python) checks the same bytes as a bag of hard links, on all
cores. Everything is in the page cache; each round runs all of it in another order, and medians are given, with their
ratios. The load of the machine is printed, because it makes single times worth little.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from release_kit import PREDICATE, STEWARD, TRUST, fill

from sensai_release.release.hashing import hash_files
from sensai_release.release.inventory import open_folder
from sensai_release.release.layout import MANIFEST
from sensai_release.release.manifest import Statement, parse_statement
from sensai_release.release.sealing import seal_release
from sensai_release.release.trust import write_trust
from sensai_release.release.verify import verify_release

CORES = os.cpu_count() or 1
BAGIT = "bagit==1.9.0"
Timed = dict[str, Callable[[], object]]


def make_release(root: Path, sizes: Iterable[int]) -> None:
    """A sealed release with files of these sizes in bytes, a thousand to a folder; made once."""
    if (root / MANIFEST).exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    fill(root)
    dice = random.Random(11)  # noqa: S311 - the same bytes every time
    for number, size in enumerate(sizes):
        folder = root / "files" / f"{number // 1000:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        with folder.joinpath(f"{number:06d}.bin").open("wb") as file:
            for start in range(0, size, 1 << 24):
                file.write(dice.randbytes(min(1 << 24, size - start)))
    seal_release(root, PREDICATE, STEWARD)


def make_bag(bag: Path, root: Path, statement: Statement) -> None:
    """The payload of a release as a BagIt bag (RFC 8493) of hard links, without tag manifest."""
    if (bag / "bagit.txt").exists():
        return
    shutil.rmtree(bag, ignore_errors=True)
    for name in statement.resources:
        target = bag / "data" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(root / name, target)
    lines = (f"{resource.digest}  data/{resource.name}\n" for resource in statement.subject)
    bag.joinpath("manifest-sha256.txt").write_text("".join(lines))
    bag.joinpath("bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")


def bagit_program(folder: Path) -> Path | None:
    """bagit in an environment of its own, or None when it cannot be had."""
    program = folder / "bagit-venv" / "bin" / "bagit.py"
    if not program.exists():
        try:
            venv.create(folder / "bagit-venv", with_pip=True, clear=True)
            pip: list[str | Path] = [
                program.with_name("python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                BAGIT,
                "setuptools<80",
            ]
            subprocess.run(pip, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
    return program if program.exists() else None


def floor_hash(paths: list[str]) -> list[str]:
    digests = []
    for path in paths:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path would cost more than the opening
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests


def chunks(paths: list[str]) -> list[list[str]]:
    """Sixteen shares for each core at most."""
    size = -(-len(paths) // (16 * CORES))
    return [paths[start : start + size] for start in range(0, len(paths), size)]


def floor_threads(paths: list[str]) -> None:
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(floor_hash, chunks(paths)))


def floor_processes(paths: list[str]) -> None:
    with multiprocessing.get_context("fork").Pool(CORES) as pool:
        pool.map(floor_hash, chunks(paths), chunksize=1)


def hash_ours(root: Path, sizes: dict[str, int]) -> None:
    with open_folder(root) as folder:
        if any(digest.sha256 is None for digest in hash_files(folder, sizes)):
            raise SystemExit("a file could not be read")


def verify_ours(root: Path) -> None:
    report = verify_release(root, trust=TRUST)
    if not report.ok:
        raise SystemExit(report.explanation)


def quiet(*command: str | Path, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def contestants(root: Path, trust: Path, bagit: Path | None) -> Timed:
    statement = parse_statement(root.joinpath(MANIFEST).read_bytes())
    sizes = {name: resource.size for name, resource in statement.resources.items()}
    paths = [str(root / name) for name in sizes]
    cli = (Path(sys.executable).with_name("sensai-release"), "verify", root, "--trust", trust)
    timed: Timed = {
        "floor, threads": lambda: floor_threads(paths),
        "floor, processes": lambda: floor_processes(paths),
        "hash_files": lambda: hash_ours(root, sizes),
        "verify_release": lambda: verify_ours(root),
        "sensai-release verify": lambda: quiet(*cli, folder=root.parent),
        "verify.py": lambda: quiet(sys.executable, root / "verify.py", "--key", STEWARD.text, folder=root.parent),
        "sha256sum -c": lambda: quiet("sha256sum", "-c", "--quiet", "SHA256SUMS", folder=root),
    }
    if bagit is not None:
        bag = root.with_name(f"{root.name}-bag")
        make_bag(bag, root, statement)
        command = (bagit.with_name("python"), bagit, "--validate", "--processes", str(CORES), "--quiet", bag)
        timed["bagit --validate"] = lambda: quiet(*command, folder=root.parent)
    return timed


def measure(timed: Timed, rounds: int) -> dict[str, float]:
    """The median of each, in seconds; one round before is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds + 1):
        order = list(timed) if number % 2 else list(reversed(timed))
        for name in order:
            start = time.perf_counter()
            timed[name]()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(title: str, medians: dict[str, float]) -> None:
    floor = min(medians["floor, threads"], medians["floor, processes"])
    others = {name: medians[name] for name in ("sha256sum -c", "bagit --validate") if name in medians}
    print(f"\n{title}; load {os.getloadavg()[0]:.1f} on {CORES} cores")
    print(f"{'':<24}{'seconds':>9}{'x floor':>9}" + "".join(f"{'x ' + name.split()[0]:>13}" for name in others))
    for name, seconds in medians.items():
        ratios = "".join(f"{seconds / other:>13.2f}" for other in others.values())
        print(f"{name:<24}{seconds:>9.3f}{seconds / floor:>9.2f}{ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--big", type=int, default=2048, help="MiB of the release of large files")
    parser.add_argument("--small", type=int, default=20_000, help="files of the release of small files")
    parser.add_argument("--skip-bagit", action="store_true")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    write_trust(TRUST, folder / "trust.json")
    bagit = None if options.skip_bagit else bagit_program(folder)
    if bagit is None:
        print("bagit: left out, since " + ("nobody asked for it" if options.skip_bagit else "it cannot be installed"))
    dice = random.Random(5)  # noqa: S311 - the same sizes every time
    releases = {
        f"{options.big} MiB in 40 files": ("big", [options.big * (1 << 20) // 40] * 40),
        f"{options.small} files": ("small", [dice.randrange(4 << 10, 40 << 10) for _ in range(options.small)]),
    }
    for title, (name, sizes) in releases.items():
        root = folder / f"{name}-{len(sizes)}-{sum(sizes)}"
        make_release(root, sizes)
        report(title, measure(contestants(root, folder / "trust.json", bagit), options.rounds))


if __name__ == "__main__":
    main()
