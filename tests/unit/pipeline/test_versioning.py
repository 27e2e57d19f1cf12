"""What a git or DVC that was killed leaves behind, and what is left alone. `test_whole_release` kills real ones."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensai_release.errors import ToolError
from sensai_release.pipeline import versioning


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "params.yaml").write_text("x: 1\n")
    versioning.record_files(tmp_path, "First", ["params.yaml"])
    (tmp_path / "params.yaml").write_text("x: 2\n")
    return tmp_path


def messages(root: Path) -> list[str]:
    done = subprocess.run(["git", "log", "--format=%s"], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.split()


def left_by_a_dead_git(root: Path) -> list[Path]:
    """The marker of a program of ours that came to no end, and then the lock files of a git."""
    (root / "work" / ".at-work").write_text("at work\n")
    locks = [root / ".git" / "index.lock", root / ".git" / "refs" / "heads" / "x.lock"]
    for lock in locks:
        lock.touch()
    return locks


def test_the_locks_of_a_git_of_ours_that_died_are_cleared(root: Path) -> None:
    locks = left_by_a_dead_git(root)
    site = root / ".dvc" / "tmp" / "site"
    site.mkdir(parents=True)
    versioning.record_files(root, "Second", ["params.yaml"])
    assert messages(root) == ["Second", "First"]
    assert not any(lock.exists() for lock in locks)
    assert not site.exists()
    assert (root / "work" / ".at-work").read_bytes() == b""


def test_the_lock_of_somebody_elses_git_is_respected(root: Path) -> None:
    lock = root / ".git" / "index.lock"
    lock.touch()
    for _ in range(2):
        with pytest.raises(ToolError, match="git add"):
            versioning.record_files(root, "Second", ["params.yaml"])
        assert lock.exists()
    lock.unlink()
    versioning.record_files(root, "Second", ["params.yaml"])
    assert messages(root) == ["Second", "First"]


def test_a_lock_from_before_our_git_was_started_is_not_ours(root: Path) -> None:
    lock, _ = left_by_a_dead_git(root)
    before = (root / "work" / ".at-work").stat().st_mtime_ns - 10**9
    os.utime(lock, ns=(before, before))
    with pytest.raises(ToolError, match="git add"):
        versioning.record_files(root, "Second", ["params.yaml"])
    assert lock.exists()


def test_a_git_that_is_killed_is_named_and_the_next_one_clears_up(root: Path, tmp_path: Path) -> None:
    """A filter that git runs on adding the file kills its git, which holds the lock on the index by then."""
    (root / ".gitattributes").write_text("params.yaml filter=death\n")
    settings = ["git", "config", "filter.death.clean", "kill -9 $PPID; cat"]
    subprocess.run(settings, cwd=root, check=True)
    with pytest.raises(ToolError, match="was killed"):
        versioning.record_files(root, "Second", ["params.yaml"])
    assert (root / ".git" / "index.lock").exists()
    (root / ".gitattributes").unlink()
    versioning.record_files(root, "Second", ["params.yaml"])
    assert messages(root) == ["Second", "First"]


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files may grow to 100 bytes only, as on a disk that takes no more; programs that are started inherit that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_git_that_failed_on_a_disk_that_takes_no_more(root: Path, small_files: None) -> None:
    """It ends with an exit code of its own, and in words of its own."""
    with pytest.raises(ToolError, match="git add: could not write to the disk of the workspace: File too large"):
        versioning.record_files(root, "Second", ["no such file"])


def test_a_git_that_is_killed_for_a_file_that_is_too_large(root: Path, small_files: None) -> None:
    with pytest.raises(ToolError, match=r"git add: was killed: a file grew larger than the limit"):
        versioning.record_files(root, "Second", ["params.yaml"])


def test_what_is_not_committed(root: Path) -> None:
    assert versioning.is_uncommitted(root, "params.yaml")
    versioning.record_files(root, "Second", ["params.yaml"])
    assert not versioning.is_uncommitted(root, "params.yaml")
    assert not versioning.is_recorded(root, "synthetic-1.0.0")
