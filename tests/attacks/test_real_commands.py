"""The commands themselves on a disk that takes no more, and two of them at the same time.

`test_faults` and `test_two_builders` do the same with single functions. Here whole processes run, with the git and DVC
that they start: the old state stays or the new one is whole, one line says what happened, and the same command given
again ends well. What must hold is asked for whatever the order in which two processes get their turn.
"""

from __future__ import annotations

import hashlib
import re
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from attacks import crash_kit, whole_release
from attacks.whole_release import NAME, Place
from release_kit import REVIEWER, STEWARD, STRANGER, make_release

from sensai_release.pipeline import versioning
from sensai_release.pipeline.logbook import read_log, verify_log
from sensai_release.pipeline.workspace import Workspace, open_workspace
from sensai_release.privacy.keyfile import write_private_key
from sensai_release.release.dsse import Envelope, verify_signatures
from sensai_release.release.sealing import countersign_release
from sensai_release.release.trust import load_trust
from sensai_release.release.verify import verify_release

STATUS = "releases/sensai-dbd-status.json"
REVIEWERS = ("reviewer", "second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A workspace with one release that waits for its approval, and who may sign: a steward and two reviewers."""

    workspace: Path
    keys: Path
    place: Place

    @property
    def release(self) -> Path:
        return self.workspace / "releases" / NAME

    @property
    def trust(self) -> Path:
        return self.keys / "trust.json"

    @property
    def opened(self) -> Workspace:
        return open_workspace(self.workspace)

    @property
    def page(self) -> Path:
        return self.workspace / "page.html"

    @property
    def new_key(self) -> Path:
        return self.keys / "new.key"

    def approve(self, reviewer: str = "reviewer") -> list[str]:
        return ["approve", str(self.release), "--key", str(self.keys / f"{reviewer}.key"), "--trust", str(self.trust)]

    def command(self, name: str) -> list[str]:
        return {
            "approve": self.approve(),
            "announce": ["announce"],
            "withdraw": ["withdraw", whole_release.VERSION, "--reason", "other"],
            "review": ["review", str(self.release), "--trust", str(self.trust), "--html", str(self.page)],
            "keygen": ["keygen", str(self.new_key), "--role", "steward", "--name", "Synthetic"],
            "build": ["build"],
            "release": ["release", whole_release.VERSION],
        }[name]

    def start(self, words: Sequence[str], *, limit: int | None = None) -> subprocess.Popen[str]:
        """Starts a command; `limit` is the most bytes that a file may have which it writes (setrlimit(2))."""

        def confine() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.Popen(
            [*self.place.command()[:-1], str(self.workspace), *words],
            env=self.place.environment() | {"SENSAI_RELEASE_KEY_DIR": str(self.keys)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=confine,
        )

    def run(self, words: Sequence[str], *, limit: int | None = None) -> tuple[int, str]:
        return ended(self.start(words, limit=limit))

    def events(self, event: str) -> int:
        return sum(entry.event == event for entry in read_log(self.opened).entries)

    def signatures(self) -> int:
        return len(Envelope.from_bytes((self.release / "manifest.dsse.json").read_bytes(), "envelope").signatures)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors
    return process.returncode, errors


@pytest.fixture(scope="module")
def released(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What `release` leaves, without the source folder; and the keys."""
    place.restore()
    done = place.run("release", whole_release.VERSION)
    assert done.returncode == 0, done.stderr
    kept = tmp_path_factory.mktemp("released")
    shutil.copytree(place.keys, kept / "keys")
    for name in REVIEWERS:
        write_private_key(kept / "keys" / f"{name}.key", role="reviewer", name=f"Synthetic {name}")
    people = [str(kept / "keys" / f"{name}.key.pub") for name in ("steward", *REVIEWERS)]
    done = place.run("trust", "add", str(kept / "keys" / "trust.json"), *people)
    assert done.returncode == 0, done.stderr
    shutil.copytree(place.workspace, kept / "workspace", symlinks=True, ignore=shutil.ignore_patterns("source"))
    yield kept
    place.restore()


def desk_in(folder: Path, released: Path, place: Place) -> Desk:
    shutil.copytree(released, folder, symlinks=True, dirs_exist_ok=True)
    return Desk(workspace=folder / "workspace", keys=folder / "keys", place=place)


@pytest.fixture
def desk(released: Path, place: Place, tmp_path: Path) -> Desk:
    return desk_in(tmp_path / "desk", released, place)


def look(desk: Desk) -> None:
    """Nothing torn, nothing half-written, and the log knows every signature and every status."""
    assert read_log(desk.opened).whole
    assert verify_log(desk.opened, load_trust(desk.trust)).ok
    assert verify_release(desk.release, trust=None, integrity_only=True).ok
    assert leftovers(desk.workspace) == leftovers(desk.keys) == []
    assert desk.signatures() - 1 <= desk.events("approve")
    assert desk.new_key.exists() or not desk.new_key.with_name("new.key.pub").exists()
    assert not desk.page.exists() or desk.page.read_text().rstrip().endswith("</html>")


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if re.search(r"^\.(tmp|new|old)-|\.new$", path.name)]


def look_when_done(desk: Desk) -> None:
    look(desk)
    done = subprocess.run(
        ["git", "status", "--porcelain", "--", "log", "releases"],
        cwd=desk.workspace, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ""
    assert versioning.is_recorded(desk.workspace, NAME)


def message_is_clear(desk: Desk, errors: str, reason: str) -> None:
    assert errors.startswith("sensai-release: ")
    assert errors.count("\n") == 1
    assert reason in errors
    assert str(desk.workspace.parent) not in errors


def settled(root: Path) -> dict[str, str]:
    """What a command that failed must have left as it was: all but what git and DVC keep for themselves."""
    own = ("workspace/.git/", "workspace/.dvc/", "workspace/release-store/", "workspace/work/.")
    return {name: digest for name, digest in crash_kit.tree(root).items() if not name.startswith(own)}


def fail(desk: Desk, name: str, reason: str, limit: int | None = None) -> dict[str, str]:
    """Runs a command that cannot write; returns what is another file than before, or new."""
    before = settled(desk.workspace.parent)
    code, errors = desk.run(desk.command(name), limit=limit)
    assert code == 2, errors
    message_is_clear(desk, errors, reason)
    look(desk)
    after = settled(desk.workspace.parent)
    assert set(before) <= set(after)
    return {path: digest for path, digest in after.items() if before.get(path) != digest}


def go_on(desk: Desk, name: str) -> None:
    """The same command again ends well; there may be nothing left for it to do."""
    code, errors = desk.run(desk.command(name))
    assert code == 0 or (code == 2 and name == "withdraw" and "is withdrawn already" in errors), errors
    if name == "keygen":
        look(desk)
        return
    look_when_done(desk)
    if name == "approve":
        assert verify_release(desk.release, trust=load_trust(desk.trust)).ok
        assert desk.events("approve") == 1
    elif name in ("announce", "withdraw"):
        countersigned = desk.run(["announce", "--countersign", "--key", str(desk.keys / "reviewer.key")])
        assert countersigned[0] == 0, countersigned[1]
        look_when_done(desk)


# How large a file may be, so that it is the command, git or DVC that can write no further; and whether what was there
# must then be just as it was. What is announced after it was written is made up for by the next run.
@pytest.mark.parametrize(
    ("name", "limit", "untouched"),
    [
        pytest.param("approve", 2000, True, marks=pytest.mark.long),
        ("approve", 30_000, False),
        pytest.param("announce", 100, True, marks=pytest.mark.long),
        pytest.param("announce", 3000, False, marks=pytest.mark.long),
        ("withdraw", 3000, False),
        ("review", 5000, True),
        ("keygen", 100, True),
    ],
)
def test_a_file_that_may_grow_no_larger(desk: Desk, name: str, limit: int, untouched: bool) -> None:
    changed = fail(desk, name, "large", limit)
    assert not untouched or changed == {}
    go_on(desk, name)


@pytest.mark.parametrize("limit", [0, 300])
def test_a_build_that_can_write_nothing(released: Path, place: Place, limit: int) -> None:
    """Neither the file that it keeps for itself, nor those of DVC."""
    desk = Desk(workspace=place.workspace, keys=released / "keys", place=place)
    before = settled(place.root)
    code, errors = desk.run(["build"], limit=limit)
    assert code == 2
    message_is_clear(desk, errors, "File too large" if limit else "the folder for temporary files: takes no file")
    assert settled(place.root) == before


@contextmanager
def small_disk(point: Path) -> Iterator[Callable[[int | None], None]]:
    """A file system of its own; what it yields leaves so many KiB free, or plenty."""
    point.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", str(point)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine mounts no tmpfs")

    def leave(free: int | None) -> None:
        used = shutil.disk_usage(point).used
        size = 2 << 30 if free is None else used + (free << 10)
        subprocess.run(["mount", "-o", f"remount,size={size}", str(point)], check=True)

    try:
        yield leave
    finally:
        subprocess.run(["umount", str(point)], check=True)


# KiB: from no room at all to that for all but the last file.
FREE = {
    "approve": (0, 4, 8, 12, 64, 512, 1024),
    "announce": (0, 4, 8, 12, 16, 24),
    "withdraw": (0, 4, 8, 12, 16, 24),
    "review": (0, 16),
    "keygen": (0, 4),
}


@pytest.mark.long
@pytest.mark.parametrize(("name", "free"), [(name, free) for name, sizes in FREE.items() for free in sizes])
def test_a_full_disk(released: Path, place: Place, tmp_path: Path, name: str, free: int) -> None:
    with small_disk(tmp_path / "disk") as leave:
        desk = desk_in(tmp_path / "disk", released, place)
        leave(free)
        before = settled(desk.workspace.parent)
        code, errors = desk.run(desk.command(name))
        look(desk)
        if code:
            assert code == 2
            message_is_clear(desk, errors, "No space left on device")
            # Whatever is there in place of something else is whole; that it is new may not have been told.
            assert set(before) <= set(settled(desk.workspace.parent))
        leave(None)
        if code:
            go_on(desk, name)


@pytest.mark.long
@pytest.mark.parametrize("free", [0, 64, 256, 400, 512])
def test_a_build_on_a_full_disk(place: Place, tmp_path: Path, free: int) -> None:
    place.restore()
    with small_disk(tmp_path / "disk") as leave:
        workspace = tmp_path / "disk" / "workspace"
        shutil.copytree(place.workspace, workspace, symlinks=True)
        desk = Desk(workspace=workspace, keys=place.keys, place=place)
        package = crash_kit.tree(workspace / "work" / "package")
        leave(free)
        code, errors = desk.run(["--quiet", "build"])
        # How much a build needs is not for this test to say; a few hundred KiB may be enough.
        assert code == 2 or (code == 0 and free > 100)
        if code:
            # A stage that DVC has started says its own line.
            assert "No space left on device" in errors
            assert {line.partition(":")[0] for line in errors.splitlines()} == {"sensai-release"}
        assert str(workspace) not in errors
        assert leftovers(workspace) == []
        assert read_log(desk.opened).whole
        # The same source and key: what is packaged is what was, or has gone until the next build has made it again.
        assert crash_kit.tree(workspace / "work" / "package") in (package, {})
        leave(None)
        code, errors = desk.run(["--quiet", "build"])
        assert code == 0, errors
        data = [name for name in package if name.startswith("data/")]
        again = crash_kit.tree(workspace / "work" / "package")
        assert data
        assert [again[name] for name in data] == [package[name] for name in data]


# Two at the same time.


def both(desk: Desk, first: Sequence[str], second: Sequence[str]) -> list[int]:
    """The exit codes of two commands started together. One that lost was told so in one line."""
    codes = []
    for process in [desk.start(first), desk.start(second)]:
        code, errors = ended(process)
        codes.append(code)
        if code:
            assert code == 2, errors
            assert errors.count("\n") == 1
            assert "another command is at work" in errors or "has a signature by this key already" in errors
    assert 0 in codes
    look_when_done(desk)
    return codes


def test_two_approvals_by_one_person(desk: Desk) -> None:
    assert sorted(both(desk, desk.approve(), desk.approve())) == [0, 2]
    assert desk.signatures() == 2
    assert desk.events("approve") == 1


@pytest.mark.long
def test_two_approvals_by_two_people(desk: Desk) -> None:
    codes = both(desk, desk.approve(), desk.approve("second"))
    assert desk.signatures() - 1 == desk.events("approve") == codes.count(0)
    for name, code in zip(REVIEWERS, codes, strict=True):
        assert code == 0 or desk.run(desk.approve(name))[0] == 0
    assert desk.signatures() == 3
    assert desk.events("approve") == 2
    look_when_done(desk)


def test_two_status_documents(desk: Desk) -> None:
    """One after the other, or one of them alone: there is one document of each number, and the log knows the last."""
    codes = both(desk, desk.command("announce"), desk.command("announce"))
    stated = [entry.facts for entry in read_log(desk.opened).entries if entry.event == "status"]
    assert [facts["status_version"] for facts in stated] == list(range(1, codes.count(0) + 1))
    payload = Envelope.from_bytes((desk.workspace / STATUS).read_bytes(), "status").payload
    assert stated[-1]["status_sha256"] == hashlib.sha256(payload).hexdigest()


@pytest.mark.long
@pytest.mark.parametrize("first", ["build", "release"])
def test_a_release_and_a_build(released: Path, place: Place, first: str) -> None:
    """In the workspace itself: a release is of the very source files that its build has read."""
    place.restore()
    desk = Desk(workspace=place.workspace, keys=released / "keys", place=place)
    second = "release" if first == "build" else "build"
    for round_ in range(3):
        place.restore()
        processes = {name: desk.start(["--quiet", *desk.command(name)]) for name in (first, second)}
        codes = {}
        for name, process in processes.items():
            codes[name], errors = ended(process)
            assert codes[name] == 0 or (codes[name] == 2 and "another command is at work" in errors), (round_, errors)
        assert 0 in codes.values()
        assert read_log(desk.opened).whole
        assert desk.release.exists() == (codes["release"] == 0)
        if not desk.release.exists():
            assert desk.run(desk.command("release"))[0] == 0
        assert verify_release(desk.release, trust=load_trust(desk.trust)).verdict == "not approved"
        assert desk.events("release") == 1
        assert leftovers(desk.workspace) == []
    place.restore()


def test_two_signatures_at_once_without_a_workspace(tmp_path: Path) -> None:
    """The second one comes while the first has read the envelope and has yet to write it: neither is lost."""
    make_release(tmp_path / "release")
    second = threading.Thread(target=countersign_release, args=(tmp_path / "release", STRANGER))

    def meanwhile() -> None:
        second.start()
        second.join(0.5)

    countersign_release(tmp_path / "release", REVIEWER, announce=meanwhile)
    second.join()
    envelope = Envelope.from_bytes((tmp_path / "release" / "manifest.dsse.json").read_bytes(), "envelope")
    assert len(verify_signatures(envelope, {key.public for key in (STEWARD, REVIEWER, STRANGER)})) == 3
