"""CITATION.cff before cffconvert and the crate before roc-validator, which cannot share our environment.

    python tests/validators/run.py [RELEASE] [--shapes FILE.ttl]

Makes a virtual environment of its own under the user's cache folder and installs requirements.txt into it (needs a
package index that once; nothing is fetched after that). Without RELEASE a synthetic one is made first, by `demo`. What
a release itself names as missing in metadata/README.md is no fault; anything else is. Then both documents are broken on
purpose, and must be refused. `--shapes` checks metadata/health-dcat-ap.jsonld against other shapes, such as the
official ones, and prints what violates them. Exits 1 on any fault.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import catalogue_kit as kit  # noqa: E402 - they lie beside this folder
from own_environment import environment  # noqa: E402


@contextmanager
def release(given: Path | None) -> Iterator[Path]:
    """A private copy of the release given, or of the newest one of a synthetic story."""
    with tempfile.TemporaryDirectory() as folder:
        if given is None:
            tool = Path(sys.executable).with_name("sensai-release")
            command = [str(tool), "--quiet", "demo", f"{folder}/demo", "--participants", "24"]
            # The story starts dvc by name, which lies beside the tool.
            path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": path})
            releases = Path(folder) / "demo" / "workspace" / "releases"
            given = max(path.parent for path in releases.glob("*/manifest.json"))
        copy = Path(folder) / "release"
        shutil.copytree(given, copy)
        yield copy


def citation_problems(python: Path, root: Path) -> list[str]:
    command = [str(python.with_name("cffconvert")), "--validate", "-i", str(root / "CITATION.cff")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip().splitlines()[-1]]


def crate_problems(python: Path, root: Path) -> list[str]:
    command = [str(python), str(HERE / "crate_side.py"), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [str(problem) for problem in json.loads(done.stdout.splitlines()[-1])]


def faults(python: Path, root: Path) -> Iterator[str]:
    missing = kit.stated(root)
    for standard, problems in (
        ("Citation File Format 1.2.0", citation_problems(python, root)),
        ("RO-Crate 1.2", crate_problems(python, root)),
    ):
        allowed = missing.get(standard, set())
        print(f"{standard}: {len(problems)} problems, {len(allowed)} facts stated as missing")
        if len(problems) != len(allowed):
            yield f"{standard}: {'; '.join(problems) or 'accepted, though facts are said to be missing'}"


def blind_spots(python: Path, root: Path) -> Iterator[str]:
    """Faults that a validator passes over: each has to find one more problem in a document that was broken."""
    before = len(citation_problems(python, root))
    text = (root / "CITATION.cff").read_text(encoding="utf-8")
    (root / "CITATION.cff").write_text(text.replace("type: dataset", "type: thing"), encoding="utf-8")
    if len(citation_problems(python, root)) <= before:
        yield "cffconvert accepts a citation of an unknown type"
    before = len(crate_problems(python, root))
    crate = kit.document(root, "ro-crate-metadata.json")
    next(entity for entity in crate["@graph"] if entity["@id"] == "./").pop("license")
    (root / "ro-crate-metadata.json").write_text(json.dumps(crate), encoding="utf-8")
    if len(crate_problems(python, root)) <= before:
        yield "roc-validator accepts a crate without a licence"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", nargs="?", type=Path)
    parser.add_argument("--shapes", type=Path)
    options = parser.parse_args()
    python = environment(HERE / "requirements.txt")
    with release(options.release) as root:
        found = list(faults(python, root))
        if options.shapes:
            for name in sorted(kit.shacl_problems(root, options.shapes)):
                print(f"{options.shapes.name}: {name}")
        found += blind_spots(python, root)
    for fault in found:
        print(f"FAULT {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
