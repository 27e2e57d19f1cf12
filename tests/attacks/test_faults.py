"""A full or broken disk, at every write, fsync and rename: the old state stays, and one line says what happened.

Each run goes through the command line's own error path (`crash_kit`). Whatever fails, the exit code is 2, the message
is one line without a path, nothing is left over, and the next run ends well.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from attacks import crash_kit as kit

from sensai_release.pipeline.logbook import read_log
from sensai_release.release.verify import verify_release

ERRORS = {
    "write": ("ENOSPC", "EIO", "EFBIG", "EDQUOT"),
    "fsync": ("EIO", "ENOSPC", "EDQUOT"),
    "rename": ("ENOSPC", "EIO", "EDQUOT"),
}
Files = dict[str, str]
States = dict[str, Path]


def changed(before: Files, after: Files) -> Files:
    """What is new or other than before, but for the log, which also tells of what did not come about."""
    return {path: digest for path, digest in after.items() if before.get(path) != digest and "/log/" not in path}


def old_state_is_intact(scenario: str, before: Files, root: Path) -> None:
    after = kit.tree(root)
    assert set(before) <= set(after)
    new = changed(before, after)
    if scenario == "release" and kit.release_in(root).exists():
        # The release was out, and whole, before the log or its signed head failed; the next run makes up for these.
        assert all(path.startswith(f"workspace/releases/{kit.NAME}/") for path in new)
        assert verify_release(kit.release_in(root), trust=kit.TRUST).ok
    else:
        assert new == {}
    if scenario == "log":
        assert kit.events(root) in ([], ["build"])
    assert read_log(kit.workspace_in(root)).whole
    assert kit.leftovers(root) == []


def message_is_clear(errors: str, root: Path) -> None:
    assert errors.startswith("sensai-release: ")
    assert errors.count("\n") == 1
    assert "Traceback" not in errors
    assert "a bug" not in errors
    assert str(root) not in errors
    assert kit.PLANTED not in errors


def fail_at(runner: kit.Runner, states: States, scenario: str, faults: list[str], folder: Path) -> int:
    """Returns how many faults made the run fail; the others must have been made up for."""
    failed = 0
    for fault in faults:
        shutil.copytree(states[scenario], folder)
        before = kit.tree(folder)
        run = runner.run(scenario, folder, inject=fault)
        assert "INJECTED" in run.trace, fault
        if run.code == 0:
            assert kit.leftovers(folder) == [], fault
        else:
            assert run.code == 2, (fault, run.errors)
            message_is_clear(run.errors, folder)
            old_state_is_intact(scenario, before, folder)
            failed += 1
            kit.SCENARIOS[scenario](folder)
        if scenario == "release":
            assert verify_release(kit.release_in(folder), trust=kit.TRUST).ok
            assert kit.events(folder).count("release") == 1
        assert kit.leftovers(folder) == []
        shutil.rmtree(folder)
    return failed


def faults_of(runner: kit.Runner, states: States, scenario: str, kind: str, folder: Path) -> list[str]:
    """Every call of this kind that the scenario makes; what it says when it is done is no part of its work."""
    shutil.copytree(states[scenario], folder)
    points = runner.points(scenario, folder, kit.CHANGES[kind], but=r"\(1<")
    shutil.rmtree(folder)
    return points


# The log is only ever added to: nothing is renamed.
CASES = [(scenario, kind) for scenario in kit.SCENARIOS for kind in ERRORS if (scenario, kind) != ("log", "rename")]


@pytest.mark.parametrize(("scenario", "kind"), CASES)
def test_some_faults(runner: kit.Runner, states: States, tmp_path: Path, scenario: str, kind: str) -> None:
    points = faults_of(runner, states, scenario, kind, tmp_path / "case")
    step = max(1, len(points) // 4)
    errors = ERRORS[kind]
    faults = [point.format(f"error={errors[n % len(errors)]}") for n, point in enumerate(points[::-step])]
    failed = fail_at(runner, states, scenario, faults, tmp_path / "case")
    assert failed > 0 or kind == "rename"


@pytest.mark.long
@pytest.mark.parametrize(("scenario", "kind"), CASES)
def test_every_fault(
    runner: kit.Runner,
    states: States,
    tmp_path: Path,
    scenario: str,
    kind: str,
    record_property: Callable[[str, object], None],
) -> None:
    points = faults_of(runner, states, scenario, kind, tmp_path / "case")
    faults = [point.format(f"error={error}") for point in points for error in ERRORS[kind]]
    failed = fail_at(runner, states, scenario, faults, tmp_path / "case")
    print(f"{scenario}, {kind}: {len(faults)} faults, {failed} runs refused, {len(faults) - failed} got round it")
    record_property("faults", len(faults))


@pytest.mark.parametrize("kind", ["write", "fsync"])
def test_an_interrupted_call_is_made_again(runner: kit.Runner, states: States, tmp_path: Path, kind: str) -> None:
    points = faults_of(runner, states, "file", kind, tmp_path / "case")
    for point in points:
        shutil.copytree(states["file"], tmp_path / "case")
        run = runner.run("file", tmp_path / "case", inject=point.format("error=EINTR"))
        assert (run.code, run.said) == (0, "written\n")
        assert (tmp_path / "case" / "settled" / "trust.json").read_bytes() == kit.NEW
        shutil.rmtree(tmp_path / "case")
