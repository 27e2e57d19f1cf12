"""What several suites share: the server in which processes are killed, the states that they start from, a workspace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import crash_kit as kit
from attacks import whole_release


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kit.Runner]:
    scratch = tmp_path_factory.mktemp("scratch")
    if reason := kit.why_not(scratch):
        pytest.skip(reason)
    runner = kit.Runner(scratch)
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What each scenario starts from: mostly a workspace without a release."""
    folder = tmp_path_factory.mktemp("states")
    kit.prepare(folder / "before")
    shutil.copytree(folder / "before", folder / "after")
    kit.run_release(folder / "after")
    return {name: folder / ("after" if name == "countersign" else "before") for name in kit.SCENARIOS}


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> whole_release.Place:
    """A workspace with a candidate, made once; whoever uses it restores it first."""
    return whole_release.make(tmp_path_factory.mktemp("whole") / "place")
