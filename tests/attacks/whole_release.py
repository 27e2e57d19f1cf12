"""The whole command `release`, with DVC, git and escrow, that dies after a system call that the test chooses.

strace lets each call that changes something on disk be followed by SIGSTOP, in whichever of the command's processes it
happens; the test counts the stops and lets the process go on, until the call is reached at which all of them, or that
one alone, are killed. So no point depends on time. Started as a program this file makes the workspace: a candidate,
built from synthetic data, that can be released. Needs strace and the right to trace one's own processes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

VERSION = "1.0.0"
NAME = f"sensai-dbd-{VERSION}"
# Without sendfile(2) and its like: these make no step while a signal waits, and so would be stopped for ever.
CALLS = (
    "write,pwrite64,writev,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,"
    "rmdir,symlink,symlinkat,fsync,fdatasync,ftruncate,chmod,fchmod,fchmodat"
)
PLANTED = "Planted text of the synthetic steward"
_STAGES = "intake validate pseudonymise deidentify risk datasheet package scan"
_PATIENCE = 120

Who = Literal["all", "one"]
Point: TypeAlias = tuple[str, int]
"""After the n-th such call, from 1, of a program that the command starts, or of itself (`release`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A workspace that is run in and restored, never copied: its source files must stay the very files that were read.

    `kept` is everything else of the workspace, as it was before the release.
    """

    root: Path

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def release(self) -> Path:
        return self.workspace / "releases" / NAME

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def scratch(self) -> Path:
        """Where the command puts its temporary files."""
        return self.root / "scratch"

    def restore(self) -> None:
        for folder, content in ((self.workspace, self.root / "kept"), (self.scratch, None)):
            for path in folder.iterdir():
                if path.name != "data":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            if content is not None:
                shutil.copytree(content, folder, symlinks=True, dirs_exist_ok=True)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SENSAI_RELEASE")}
        # The first of several runs would write its bytecode too, and so make other calls than the next.
        quiet = {"PYTHONDONTWRITEBYTECODE": "1"}
        return kept | quiet | {"SENSAI_RELEASE_KEY_DIR": str(self.keys), "TMPDIR": str(self.scratch)}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "sensai_release", "-C", str(self.workspace), *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environment(), capture_output=True, text=True, check=False
        )


@dataclass(slots=True, kw_only=True)
class Ended:
    """How a traced release ended: after which calls it was stopped (program, call), in order, whether it was killed
    where that was asked for, and its exit code.
    """

    stops: list[tuple[str, str]] = field(default_factory=list)
    killed: bool = False
    code: int = 0
    errors: str = ""


def traced(place: Place, point: Point | None = None, who: Who = "all") -> Ended:
    """Runs `release`; at the point all its processes die, or the one alone that made the call."""
    read, write = os.pipe()
    strace = ["strace", "-f", "-y", "-s", "90", "-o", f"/dev/fd/{write}", "-e", f"trace={CALLS},execve"]
    process = subprocess.Popen(
        [*strace, "-e", f"inject={CALLS}:signal=STOP", *place.command("release", VERSION)],
        env=place.environment(),
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    os.close(write)
    watch = threading.Timer(_PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    watch.start()
    ended = Ended()
    made: Counter[str] = Counter()
    with os.fdopen(read, encoding="utf-8", errors="replace") as lines:
        for thread, stop in _stopped(lines):
            if stop is not None:
                ended.stops.append(stop)
                made[stop[0]] += 1
                if point == (stop[0], made[stop[0]]):
                    ended.killed = True
                    os.killpg(process.pid, signal.SIGKILL) if who == "all" else os.kill(thread, signal.SIGKILL)
                    continue
            with suppress(ProcessLookupError):
                os.kill(thread, signal.SIGCONT)
    _, ended.errors = process.communicate()
    watch.cancel()
    ended.code = process.returncode
    return ended


def _stopped(lines: Iterator[str]) -> Iterator[tuple[int, tuple[str, str] | None]]:
    """Each thread that has just been stopped, with the program and its call; without these where another thread of the
    same process made the call.
    """
    programs: dict[str, str] = {}
    called: dict[str, str] = {}
    for line in lines:
        number, _, rest = line.strip().partition(" ")
        rest = rest.lstrip()
        if rest.startswith("execve("):
            if rest.endswith("= 0"):
                programs[number] = _program(rest)
        elif rest.startswith("--- stopped by SIGSTOP"):
            call = called.pop(number, None)
            yield int(number), (programs.get(number, "thread"), call) if call is not None else None
        elif not rest.startswith(("---", "+++")):
            called[number] = rest


def _program(execve: str) -> str:
    if "dvc.cli" in execve:
        return "dvc"
    words = execve.split('"')[3::2]
    if not words or not words[0].endswith("git"):
        return "release"
    # `git -c name=value … add`
    plain = (word for before, word in pairwise(words) if word != "-c" and before != "-c")
    return f"git {next(plain, '')}"


def make(root: Path) -> Place:
    """A place with a candidate that can be released; everything in it is synthetic."""
    root.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([sys.executable, __file__, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Place(root=root)


def _make(root: Path) -> int:
    from sensai_release.cli.app import run

    place = Place(root=root)
    os.environ |= place.environment()
    for folder in (place.keys, place.scratch):
        folder.mkdir(mode=0o700, parents=True)
    workspace = ["--quiet", "-C", str(place.workspace)]
    commands = [
        ["init", str(place.workspace)],
        [*workspace, "synth", str(place.workspace / "data" / "source"), "--participants", "24", "--seconds", "6"],
        *(
            ["keygen", str(place.keys / f"{role}.key"), "--role", role, "--name", f"Synthetic {role}"]
            for role in ("root", "steward", "escrow")
        ),
        ["trust", "add", str(root / "trust.json"), str(place.keys / "steward.key.pub")],
    ]
    for command in commands:
        if code := run(command):
            return code
    terms = place.workspace / "datasheets" / "terms.md"
    terms.write_text(f"{terms.read_text()}\n{PLANTED}\n")
    for stage in _STAGES.split():
        if code := run([*workspace, stage, *(["--report-only"] if stage == "risk" else [])]):
            return code
    shutil.copytree(place.workspace, root / "kept", symlinks=True, ignore=_but_source)
    return 0


def _but_source(folder: str, names: list[str]) -> list[str]:
    return ["data"] if Path(folder).name == "workspace" and "data" in names else []


if __name__ == "__main__":
    sys.exit(_make(Path(sys.argv[1])))
