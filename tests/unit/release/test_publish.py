from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sensai_release.errors import OutputExistsError, ReleaseFormatError
from sensai_release.release import publish
from sensai_release.release.publish import clear_leftovers, publish_directory, write_atomic


def build(root: Path) -> None:
    root.joinpath("a", "b").mkdir(parents=True)
    root.joinpath("a", "b", "deep.txt").write_text("deep")
    root.joinpath("top.txt").write_text("top")
    root.joinpath("top.txt").chmod(0o600)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_it_appears_whole_with_fixed_modes(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        publish_directory(build, tmp_path / "out")
    finally:
        os.umask(before)
    assert names(tmp_path) == ["out"]
    assert tmp_path.joinpath("out", "a", "b", "deep.txt").read_text() == "deep"
    for path in [tmp_path / "out", *tmp_path.joinpath("out").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)


def test_nobody_else_sees_it_while_it_is_built(tmp_path: Path) -> None:
    seen: list[int] = []

    def look(root: Path) -> None:
        seen.append(stat.S_IMODE(root.parent.stat().st_mode))
        assert root.parent.parent == tmp_path
        assert not tmp_path.joinpath("out").exists()

    publish_directory(look, tmp_path / "out")
    assert seen == [0o700]


def make_file(path: Path) -> None:
    path.write_text("mine")


def make_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("occupy", [Path.mkdir, make_file, make_link])
def test_an_existing_target_is_left_alone(tmp_path: Path, occupy: Callable[[Path], None]) -> None:
    occupy(tmp_path / "out")
    started: list[Path] = []
    with pytest.raises(OutputExistsError):
        publish_directory(started.append, tmp_path / "out")
    assert started == []
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("without_renameat2", [False, True])
def test_a_target_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, without_renameat2: bool
) -> None:
    if without_renameat2:
        monkeypatch.setattr(publish, "_renameat2", lambda *_: errno.ENOSYS)

    def race(root: Path) -> None:
        build(root)
        tmp_path.joinpath("out").mkdir()

    with pytest.raises(OutputExistsError):
        publish_directory(race, tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == []


def test_it_works_without_renameat2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_renameat2", lambda *_: errno.ENOSYS)
    publish_directory(build, tmp_path / "out")
    assert names(tmp_path / "out") == ["a", "top.txt"]


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, Stop])
def test_after_a_failure_there_is_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(root: Path) -> None:
        build(root)
        raise error

    with pytest.raises(error):
        publish_directory(fail, tmp_path / "out")
    assert names(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="no space"):
        publish_directory(build, tmp_path / "out")
    assert names(tmp_path) == []


def test_everything_is_synced_inside_out_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.name, tmp_path.joinpath("out").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    publish_directory(build, tmp_path / "out")
    order = [name for name, _ in synced]
    assert sorted(order) == sorted(["deep.txt", "b", "a", "top.txt", "out", tmp_path.name, tmp_path.parent.name])
    assert order.index("deep.txt") < order.index("b") < order.index("a") < order.index("out")
    assert order.index("top.txt") < order.index("out")
    assert [published for _, published in synced] == [False] * 5 + [True] * 2


def test_what_does_not_stand_the_check_is_not_published(tmp_path: Path) -> None:
    def refuse(root: Path) -> None:
        assert stat.S_IMODE(root.joinpath("top.txt").stat().st_mode) == 0o644
        assert not tmp_path.joinpath("out").exists()
        raise ValueError

    with pytest.raises(ValueError):
        publish_directory(build, tmp_path / "out", check=refuse)
    assert names(tmp_path) == []


def break_sync_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets fsync of `folder` fail: the disk breaks when the new name should be made to last."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == folder:
            raise OSError(errno.EIO, "broken")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_what_may_not_be_on_disk_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_sync_of(tmp_path, monkeypatch)
    with pytest.raises(OSError, match="broken"):
        publish_directory(build, tmp_path / "out")
    assert names(tmp_path) == []


@pytest.mark.parametrize("old", [b"old", None])
def test_the_old_file_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bytes | None) -> None:
    path = tmp_path / "file.json"
    if old is not None:
        path.write_bytes(old)
    break_sync_of(tmp_path, monkeypatch)
    with pytest.raises(OSError, match="broken"):
        write_atomic(path, b"new")
    assert names(tmp_path) == ([] if old is None else ["file.json"])
    assert old is None or path.read_bytes() == old


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: root.joinpath("link").symlink_to("top.txt"),
        lambda root: root.joinpath("a", "link").symlink_to("/etc", target_is_directory=True),
        lambda root: os.mkfifo(root / "pipe"),
    ],
)
def test_links_and_pipes_are_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    def build_spoilt(root: Path) -> None:
        build(root)
        spoil(root)

    with pytest.raises(ReleaseFormatError) as caught:
        publish_directory(build_spoilt, tmp_path / "out")
    assert str(tmp_path) not in str(caught.value)
    assert names(tmp_path) == []


KILLED = """
import os, sys, time
from pathlib import Path
from sensai_release.release.publish import publish_directory
def build(root):
    (root / "half.txt").write_text("half")
    print(root.parent.name, flush=True)
    time.sleep(60)
publish_directory(build, Path(sys.argv[1]) / "out")
"""


def test_leftovers_of_the_dead_are_cleared_and_those_of_the_living_kept(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert child.stdout is not None
        temporary = child.stdout.readline().strip()
        assert names(tmp_path) == [temporary]
        assert clear_leftovers(tmp_path) == 0
        assert names(tmp_path) == [temporary]
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    assert names(tmp_path) == [temporary]
    publish_directory(build, tmp_path / "out")
    assert names(tmp_path) == ["out"]


def test_leftovers_of_write_atomic_are_cleared_and_other_files_kept(tmp_path: Path) -> None:
    for name in (".tmp-trust.json-0123456789abcdef", ".tmp-mine", ".tmp-x-short", "tmp-x-0123456789abcdef"):
        tmp_path.joinpath(name).write_text("x")
    tmp_path.joinpath(".tmp-link-0123456789abcdef").symlink_to("tmp-x-0123456789abcdef")
    assert clear_leftovers(tmp_path) == 1
    assert ".tmp-trust.json-0123456789abcdef" not in names(tmp_path)
    assert len(names(tmp_path)) == 4


def test_write_atomic_leaves_nothing_inside_a_release(tmp_path: Path) -> None:
    release = tmp_path / "release"
    release.mkdir()
    stray = tmp_path / ".tmp-envelope.json-0123456789abcdef"
    stray.write_text("of a process that died")
    write_atomic(release / "envelope.json", b"one", outside=release)
    write_atomic(release / "envelope.json", b"two", outside=release)
    assert names(tmp_path) == ["release"]
    assert names(release) == ["envelope.json"]
    assert release.joinpath("envelope.json").read_bytes() == b"two"


def test_write_atomic_replaces_no_folder(tmp_path: Path) -> None:
    tmp_path.joinpath("file.json").mkdir()
    with pytest.raises(OSError):
        write_atomic(tmp_path / "file.json", b"one")
    assert names(tmp_path) == ["file.json"]
    assert names(tmp_path / "file.json") == []


def test_write_atomic_replaces_with_mode(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomic(path, b"one")
    write_atomic(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["file.json"]


def test_what_is_announced_comes_before_the_new_bytes_and_after_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen: list[bytes] = []

    def announce() -> None:
        (temporary,) = tmp_path.glob(".tmp-*")
        seen.extend([path.read_bytes(), temporary.read_bytes()])

    write_atomic(path, b"new", announce=announce)
    assert seen == [b"old", b"new"]
    assert path.read_bytes() == b"new"


def test_what_cannot_be_announced_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def announce() -> None:
        raise OSError(errno.ENOSPC, "")

    with pytest.raises(OSError):
        write_atomic(path, b"new", announce=announce)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]
