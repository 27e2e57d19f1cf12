"""What is released is what `build` made: nothing that was changed by hand, nothing that it would make anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import Outcome, Story, run_tool


@pytest.fixture(scope="module")
def workspace(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, built once: its source folder has other time stamps, which is all that a build has to look at.

    Every test leaves it as a build does.
    """
    target = tmp_path_factory.mktemp("built") / "workspace"
    shutil.copytree(story.workspace, target, symlinks=True)
    assert run(story, target, "build").code == 0
    return target


def run(story: Story, workspace: Path, *arguments: object) -> Outcome:
    return run_tool("-C", workspace, *arguments, key_dir=story.keys)


def refused(outcome: Outcome, what: str) -> None:
    assert outcome.code == 2, outcome.said
    assert outcome.err.count("\n") == 1
    assert what in outcome.err
    assert "Run 'sensai-release build' again." in outcome.err


def test_what_was_changed_by_hand_is_neither_released_nor_shown(story: Story, workspace: Path) -> None:
    releases = sorted((workspace / "releases").iterdir())
    for name in ("work/candidate/policy.json", "work/package/TERMS.md", "reports/scan.json"):
        path = workspace / name
        built = path.read_bytes()
        path.write_bytes(built + b"\n")
        place = name if name.startswith("reports") else "/".join(name.split("/")[:2])
        for command in (("release", "9.0.0"), ("review",), ("diff", story.releases[-1])):
            refused(run(story, workspace, *command), f"is no longer as 'build' made it: {place}")
        path.write_bytes(built)
    assert sorted((workspace / "releases").iterdir()) == releases
    assert run(story, workspace, "review").code == 0


def test_a_build_after_it_makes_it_anew(story: Story, workspace: Path) -> None:
    terms = workspace / "work" / "package" / "TERMS.md"
    built = terms.read_bytes()
    terms.write_bytes(b"Anything goes.\n")
    assert run(story, workspace, "build").code == 0
    assert terms.read_bytes() == built
    assert run(story, workspace, "release", "9.0.0").code == 0


def test_a_remark_in_an_input_needs_no_more_than_a_build(story: Story, workspace: Path) -> None:
    with (workspace / "params.yaml").open("a", encoding="utf-8") as file:
        file.write("# A remark that changes nothing.\n")
    refused(run(story, workspace, "release", "9.1.0"), "was built before a change of: params.yaml")
    built = run(story, workspace, "build")
    assert "up to date" in built.out
    assert run(story, workspace, "release", "9.1.0").code == 0
