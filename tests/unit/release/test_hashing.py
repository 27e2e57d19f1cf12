"""Hashing many files at once: every size, every kind of thing that is not the file expected, in any company."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sensai_release.release.digests import ANSWER, GREETING, request, serve
from sensai_release.release.hashing import Digest, hash_files
from sensai_release.release.inventory import open_folder

MIB = 1 << 20
SIZES = [0, 1, 2, 4095, MIB - 2, MIB - 1, MIB, MIB + 1, 2 * MIB, 4 * MIB - 1, 4 * MIB, 5 * MIB]


def content(number: int, size: int) -> bytes:
    return (hashlib.sha256(b"%d" % number).digest() * (size // 32 + 1))[:size]


Hashed = Callable[[Path, dict[str, int]], list[Digest]]


@pytest.fixture(params=[False, True], ids=["threads", "helpers"])
def hashed(request: pytest.FixtureRequest) -> Hashed:
    """All digests of some files, by threads or by helpers."""

    def run(root: Path, sizes: dict[str, int]) -> list[Digest]:
        with open_folder(root) as folder:
            return list(hash_files(folder, sizes, helpers=request.param))

    return run


def write(root: Path, files: dict[str, bytes]) -> dict[str, int]:
    for path, data in files.items():
        root.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
        root.joinpath(path).write_bytes(data)
    return {path: len(data) for path, data in files.items()}


def test_files_of_every_size_in_the_order_given(tmp_path: Path, hashed: Hashed) -> None:
    folders = ["", "a/", "a/b/", "a/", ""]
    files = {
        f"{folder}{place}-{number}": content(number, size)
        for place, folder in enumerate(folders)
        for number, size in enumerate(SIZES[place:])
    }
    sizes = write(tmp_path, files)
    assert hashed(tmp_path, sizes) == [
        Digest(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest()) for path, data in files.items()
    ]


def test_more_small_files_than_a_batch_holds(tmp_path: Path, hashed: Hashed) -> None:
    files = {f"{number % 3}/{number:04d}": content(number, number) for number in range(800)}
    sizes = write(tmp_path, dict(sorted(files.items())))
    found = {digest.path: digest.sha256 for digest in hashed(tmp_path, sizes)}
    assert found == {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


@pytest.mark.parametrize("size", SIZES)
def test_a_file_that_is_longer_than_expected_is_not_hashed(tmp_path: Path, hashed: Hashed, size: int) -> None:
    write(tmp_path, {"a": b"x", "b": content(1, size + 1), "c": b"z"})
    first, second, third = hashed(tmp_path, {"a": 1, "b": size, "c": 1})
    assert second == Digest(path="b", size=size + 1, sha256=None)
    assert (first.sha256, third.sha256) == (hashlib.sha256(b"x").hexdigest(), hashlib.sha256(b"z").hexdigest())


@pytest.mark.parametrize("size", SIZES[1:])
def test_a_file_that_is_shorter_than_expected_is_told_by_size_and_digest(
    tmp_path: Path, hashed: Hashed, size: int
) -> None:
    data = content(1, size - 1)
    write(tmp_path, {"b": data})
    assert hashed(tmp_path, {"b": size}) == [Digest(path="b", size=size - 1, sha256=hashlib.sha256(data).hexdigest())]


def spoil(root: Path, kind: str) -> None:
    path = root / "folder" / "b"
    path.unlink()
    if kind == "link":
        path.symlink_to(root / "folder" / "a")
    elif kind == "link to nothing":
        path.symlink_to("nothing")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize("kind", ["missing", "link", "link to nothing", "pipe", "folder"])
def test_what_is_no_plain_file_fails_alone(tmp_path: Path, hashed: Hashed, kind: str) -> None:
    sizes = write(tmp_path, {f"folder/{name}": content(1, 100) for name in "abc"})
    spoil(tmp_path, kind)
    good = hashlib.sha256(content(1, 100)).hexdigest()
    assert [(digest.path, digest.sha256) for digest in hashed(tmp_path, sizes)] == [
        ("folder/a", good),
        ("folder/b", None),
        ("folder/c", good),
    ]


@pytest.mark.parametrize("linked", ["one", "one/two"])
def test_no_file_is_read_through_a_linked_folder(tmp_path: Path, hashed: Hashed, linked: str) -> None:
    sizes = write(tmp_path / "r", {"one/two/a": b"x", "one/two/b": b"y", "other/a": b"z"})
    tmp_path.joinpath("r", linked).rename(tmp_path / "aside")
    tmp_path.joinpath("r", linked).symlink_to(tmp_path / "aside", target_is_directory=True)
    assert hashed(tmp_path / "r", sizes) == [
        Digest(path="one/two/a", size=0, sha256=None),
        Digest(path="one/two/b", size=0, sha256=None),
        Digest(path="other/a", size=1, sha256=hashlib.sha256(b"z").hexdigest()),
    ]


def test_every_descriptor_is_closed(tmp_path: Path, hashed: Hashed) -> None:
    sizes = write(tmp_path, {f"a/b/{number}": b"x" * number for number in range(100)})
    tmp_path.joinpath("a", "b", "5").unlink()
    os.mkfifo(tmp_path / "a" / "b" / "5")
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - as text, and nothing else open
    hashed(tmp_path, {**sizes, "absent/x": 1, "a/absent": 1, "a/b/7": 3})
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


@pytest.mark.parametrize("helpers", [False, True])
def test_progress_is_told_after_every_file(tmp_path: Path, helpers: bool) -> None:
    sizes = write(tmp_path, {f"{number:03d}": b"x" * number for number in range(150)})
    seen: list[tuple[int, int]] = []
    with open_folder(tmp_path) as folder:
        for _ in hash_files(folder, sizes, lambda done, total: seen.append((done, total)), helpers=helpers):
            pass
    total = sum(range(150))
    assert seen == [(sum(range(number + 1)), total) for number in range(150)]


def test_no_files_give_no_digests(tmp_path: Path, hashed: Hashed) -> None:
    assert hashed(tmp_path, {}) == []


ODD = ["plain", "two\nlines", "a b\t'c'", "\udcff\udcfe", "é", "-x", "x" * 255]


def test_names_of_any_kind_reach_a_helper(tmp_path: Path, hashed: Hashed) -> None:
    (tmp_path / "odd\nfolder").mkdir()
    files = {f"odd\nfolder/{name}": name.encode("utf-8", "surrogateescape") for name in ODD}
    sizes = write(tmp_path, files)
    assert [digest.sha256 for digest in hashed(tmp_path, sizes)] == [
        hashlib.sha256(data).hexdigest() for data in files.values()
    ]


PROGRAMS = {
    "none": "",
    "absent": "/absent/program",
    "ends": "#!/bin/sh\nexit 0\n",
    "another program": "#!/bin/sh\nwhile :; do echo something else; done\n",
    "greets and ends": f"#!/bin/sh\necho '{GREETING.decode().strip()}'\n",
    "greets and says less": f"#!/bin/sh\necho '{GREETING.decode().strip()}'\nhead -c 100 /dev/zero\n",
    "says nothing": "#!/bin/sh\nexec sleep 60\n",
    "can read nothing": f"#!/bin/sh\necho '{GREETING.decode().strip()}'\ncat /dev/zero\n",
    "closes its ears": f"#!/bin/sh\nexec 0<&-\necho '{GREETING.decode().strip()}'\n",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_threads_do_the_work_of_a_helper_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    sizes = write(tmp_path / "r", {f"{number:03d}": content(number, number) for number in range(400)})
    path = tmp_path / "program"
    if program in ("none", "absent"):
        monkeypatch.setattr(sys, "executable", PROGRAMS[program])
    else:
        path.write_text(PROGRAMS[program])
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
    with open_folder(tmp_path / "r") as folder:
        found = list(hash_files(folder, sizes, helpers=True))
    assert [digest.sha256 for digest in found] == [
        hashlib.sha256(content(number, number)).hexdigest() for number in range(400)
    ]


LIMITED = """
import os, resource, sys
from pathlib import Path
from sensai_release.release.hashing import hash_files
from sensai_release.release.inventory import open_folder

limit, helpers, closed = sys.argv[2], sys.argv[3] == "helpers", sys.argv[4:]
for number in closed:
    os.close(int(number))
root = Path(sys.argv[1])
sizes = {path.name: path.stat().st_size for path in sorted(root.iterdir())}
with open_folder(root) as folder:
    if limit != "none":
        kind = getattr(resource, limit)
        # No descriptor more than are open now; no thread and no process more for a user who is not root.
        free = os.dup(folder)
        os.close(free)
        resource.setrlimit(kind, (free if limit == "RLIMIT_NOFILE" else 0, resource.getrlimit(kind)[1]))
        if limit == "RLIMIT_NPROC" and os.getuid() == 0:
            os.setresuid(65534, 65534, 65534)
    try:
        found = [digest.sha256 for digest in hash_files(folder, sizes, helpers=helpers)]
        said = "unread" if None in found else f"read {len(found)}"
    except OSError as error:
        said = error.strerror
os.write(int(os.environ["ANSWER"]), said.encode())
"""


def limited(root: Path, *arguments: str) -> str:
    """What a process of its own says that lacks something. Arrow and the like are loaded before it does."""
    write(root, {f"{number:03d}": content(number, number) for number in range(300)})
    root.chmod(0o755)
    ours, theirs = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(root), *arguments],
        env={**os.environ, "ANSWER": str(theirs)}, pass_fds=(theirs,), capture_output=True, check=False,
    )  # fmt: skip
    os.close(theirs)
    with os.fdopen(ours) as answers:
        return answers.read() or done.stderr.decode()


@pytest.mark.parametrize("closed", [["0"], ["1"], ["0", "1"], ["0", "1", "2"]], ids="".join)
def test_helpers_work_where_standard_streams_are_closed(tmp_path: Path, closed: list[str]) -> None:
    """The directory's descriptor then has the number of one of the helper's pipes."""
    assert limited(tmp_path / "r", "none", "helpers", *closed) == "read 300"


@pytest.mark.parametrize("workers", ["helpers", "threads"])
def test_a_lack_of_descriptors_says_nothing_about_the_files(tmp_path: Path, workers: str) -> None:
    assert limited(tmp_path / "r", "RLIMIT_NOFILE", workers) == os.strerror(errno.EMFILE)


@pytest.mark.parametrize("workers", ["helpers", "threads"])
def test_a_user_who_may_start_nothing_still_hashes(tmp_path: Path, workers: str) -> None:
    assert limited(tmp_path / "r", "RLIMIT_NPROC", workers) == "read 300"


def test_a_frozen_program_is_not_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = write(tmp_path / "r", {"a": b"x"})
    mark = tmp_path / "started"
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with open_folder(tmp_path / "r") as folder:
        assert [digest.size for digest in hash_files(folder, sizes, helpers=True)] == [1]
    assert not mark.exists()


def test_what_a_helper_says(tmp_path: Path) -> None:
    write(tmp_path, {"f/a": b"x", "f/b": b"yy"})
    questions = io.BytesIO(request("f", [("a", 1), ("b", 1), ("c", 1)]) + request("", [])[:3])
    answers = io.BytesIO()
    with open_folder(tmp_path) as folder:
        serve(folder, questions, answers)
    said = answers.getvalue()
    assert said.startswith(GREETING)
    assert list(ANSWER.iter_unpack(said[len(GREETING) :])) == [
        (True, 1, hashlib.sha256(b"x").digest()),
        (False, 2, bytes(32)),
        (False, 0, bytes(32)),
    ]
