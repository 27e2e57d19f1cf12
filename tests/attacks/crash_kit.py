"""Runs a scenario in a process of its own that dies, or whose system calls fail, at a call that the test chooses.

Started as a program this file is a server: it loads everything once, then forks a child for each run. strace (1) is put
on the child before the scenario begins, so that call number 1 is the scenario's first. Needs strace and the right to
trace one's own processes; where these are missing, `why_not` says so. All data are synthetic.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from release_kit import PREDICATE, REVIEWER, STEWARD, fill, trust_in

from sensai_release.errors import VerificationError
from sensai_release.pipeline.logbook import is_logged, open_intent, record, sign_head
from sensai_release.pipeline.workspace import Workspace, init_workspace, open_workspace
from sensai_release.privacy.keyfile import write_private_key
from sensai_release.release.publish import clear_leftovers, publish_directory, write_atomic
from sensai_release.release.sealing import countersign_release, seal_release
from sensai_release.release.verify import verify_release

NAME = "synthetic-series-1.0.0"
PLANTED = "PLANTED-PLAINTEXT-OF-NOBODY"
TRUST = trust_in(STEWARD)
OLD, NEW = b"old " * 3000, b"new " * 4000
CHANGES = {
    "write": "write,pwrite64,writev,sendfile,copy_file_range",
    "fsync": "fsync,fdatasync",
    "rename": "rename,renameat,renameat2,linkat",
}


def workspace_in(root: Path) -> Workspace:
    return open_workspace(root / "workspace")


def release_in(root: Path) -> Path:
    return root / "workspace" / "releases" / NAME


def prepare(root: Path) -> None:
    """A folder to run any of the scenarios in: a workspace, a finished payload, and the old state of a file."""
    root.mkdir(parents=True, exist_ok=True)
    init_workspace(root / "workspace")
    payload = root / "workspace" / "payload"
    payload.mkdir()
    fill(payload)
    payload.joinpath("NOTE.txt").write_text(f"{PLANTED}\n" * 20)
    root.joinpath("settled").mkdir()
    root.joinpath("settled", "trust.json").write_bytes(OLD)
    root.joinpath("keys").mkdir()


def announce(done: str) -> None:
    """Says that something is done, in one system call."""
    os.write(1, f"{done}\n".encode())


def run_release(root: Path) -> None:
    """What `release` does with disk and log, in its order: repair, intent, publication, entry, signed head."""
    workspace, target = workspace_in(root), release_in(root)
    clear_leftovers(workspace.releases)
    if not target.exists():
        if open_intent(workspace) is not None:
            record(workspace, "release.abandoned", {"name": NAME})
        record(workspace, "release.intent", {"name": NAME})
        publish_directory(_build(root), target, check=_check)
    digest = hashlib.sha256(target.joinpath("manifest.json").read_bytes()).hexdigest()
    if not is_logged(workspace, digest):
        record(workspace, "release", {"name": NAME, "manifest_sha256": digest})
    sign_head(workspace, STEWARD)
    announce("released")


def _build(root: Path) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        shutil.copytree(root / "workspace" / "payload", folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
        seal_release(folder, PREDICATE, STEWARD)

    return build


def _check(folder: Path) -> None:
    if not verify_release(folder, trust=TRUST).ok:
        raise VerificationError("release", "does not verify", "Check the disk.")


def run_countersign(root: Path) -> None:
    countersign_release(release_in(root), REVIEWER)
    announce("countersigned")


def run_file(root: Path) -> None:
    write_atomic(root / "settled" / "trust.json", NEW)
    announce("written")


def run_new_file(root: Path) -> None:
    write_atomic(root / "settled" / "other.json", NEW)
    announce("written")


def run_log(root: Path) -> None:
    workspace = workspace_in(root)
    for event in ("build", "waiver"):
        record(workspace, event, {"name": NAME})
        announce(event)


def run_key(root: Path) -> None:
    write_private_key(root / "keys" / "steward.key", role="steward", name="Synthetic Steward")
    announce("key")


SCENARIOS: dict[str, Callable[[Path], None]] = {
    "release": run_release,
    "countersign": run_countersign,
    "file": run_file,
    "new file": run_new_file,
    "log": run_log,
    "key": run_key,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run ended. `signal` is that of its death, 0 without; `trace` what strace saw."""

    code: int
    signal: int
    said: str
    errors: str
    trace: str


class Runner:
    """The other end of the server."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        if self._read() != "ready":
            raise RuntimeError("the server did not start")

    def run(self, scenario: str, root: Path, *, inject: str | None = None, trace: str = "all") -> Run:
        """`inject` and `trace` are strace's own expressions; a fault is put only into calls that are traced."""
        if inject is not None:
            trace = inject.partition(":")[0]
        out, err, log = (self._scratch / name for name in ("out", "err", "trace"))
        self._write(json.dumps([scenario, str(root), str(out), str(err)]))
        pid = self._read()
        options = ["-f", "-y", "-s", "0", "-o", str(log), "-e", f"trace={trace}", "-e", "signal=none"]
        if inject is not None:
            options += ["-e", f"inject={inject}"]
        tracer = subprocess.Popen(["strace", *options, "-p", pid], stderr=subprocess.PIPE, text=True)
        attached = "attached" in _pipe(tracer.stderr).readline()
        self._write("go")
        status = int(self._read())
        _pipe(tracer.stderr).read()
        tracer.wait()
        _pipe(tracer.stderr).close()
        if not attached:
            raise PermissionError("strace may not trace our own processes")
        return Run(
            code=os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else -1,
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            said=out.read_text(),
            errors=err.read_text(),
            trace=log.read_text(),
        )

    def points(self, scenario: str, root: Path, calls: str = "all", *, but: str | None = None) -> list[str]:
        """Every system call of the scenario's own thread, in order, as strace counts them: `write:{}:when=3`.

        Lines of the trace in which the pattern `but` is found are counted and left out.
        """
        found: list[str] = []
        seen: Counter[str] = Counter()
        thread = None
        for line in self.run(scenario, root, trace=calls).trace.splitlines():
            match = re.match(r"(\d+) +(\w+)\(", line)
            if match is None or thread not in (None, match[1]):
                continue
            thread, name = match[1], match[2]
            seen[name] += 1
            if but is None or re.search(but, line) is None:
                found.append(f"{name}:{{}}:when={seen[name]}")
        return [point for point in found if not point.startswith("exit")]

    def close(self) -> None:
        _pipe(self._server.stdin).close()
        _pipe(self._server.stdout).close()
        self._server.wait()

    def _read(self) -> str:
        return _pipe(self._server.stdout).readline().strip()

    def _write(self, line: str) -> None:
        stdin = _pipe(self._server.stdin)
        stdin.write(line + "\n")
        stdin.flush()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def why_not(scratch: Path) -> str | None:
    """Why nothing can be traced here, if so."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    log = scratch / "probe"
    probe = subprocess.run(["strace", "-o", str(log), "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "this machine forbids tracing (ptrace)"


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, by path, with the digest of its content."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def leftovers(root: Path) -> list[Path]:
    return list(root.rglob(".tmp-*"))


def exposed(root: Path) -> list[str]:
    """Files with the planted text that lie neither in the release nor in a folder that is closed to others."""
    found = []
    own = (release_in(root), root / "workspace" / "payload")
    for path in root.rglob("*"):
        if (
            path.is_file()
            and not any(folder in path.parents for folder in own)
            and PLANTED in path.read_text("latin-1")
        ):
            closed = [p for p in path.parents if p.name.startswith(".tmp-") and stat.S_IMODE(p.stat().st_mode) == 0o700]
            if not closed:
                found.append(path.relative_to(root).as_posix())
    return found


@contextmanager
def ext4(image: Path, point: Path) -> Iterator[Path]:
    """Mounts an image; nothing reaches it of its own accord, only what a program brings to disk."""
    point.mkdir(exist_ok=True)
    # The journal is committed when fsync asks for it; the next commit of its own comes after ten minutes.
    subprocess.run(["mount", "-o", "loop,commit=600,data=ordered", str(image), str(point)], check=True)
    try:
        yield point
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(point)], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)


def why_no_images(scratch: Path) -> str | None:
    """Why no file system can be mounted here, if so."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        return "mounting an ext4 image needs root and mkfs.ext4"
    image = scratch / "probe.img"
    make_image(image)
    try:
        with ext4(image, scratch / "probe-mount"):
            return None
    except subprocess.CalledProcessError:
        return "this machine mounts no loop devices"
    finally:
        image.unlink()


def make_image(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "1024", str(path)], check=True)


# The server.


def _serve() -> None:
    from sensai_release.cli import app

    for name, scenario in SCENARIOS.items():
        app.app.command(name=f"crash-{name.replace(' ', '-')}")(_command(scenario))
    _warm_up(app)
    print("ready", flush=True)
    for line in sys.stdin:
        _run_child(app, *json.loads(line))


def _warm_up(app: Any) -> None:
    """What is loaded on first use is loaded now, once for all children, and no call of the scenarios is spent on it."""
    root = Path(tempfile.mkdtemp())
    kept = os.dup(1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    prepare(root)
    for name in SCENARIOS:
        if app.run([f"crash-{name.replace(' ', '-')}", str(root)]) != 0:
            raise SystemExit(f"the scenario '{name}' does not work")
    os.dup2(kept, 1)
    os.close(kept)
    shutil.rmtree(root)


def _command(scenario: Callable[[Path], None]) -> Callable[[str], None]:
    def command(root: str) -> None:
        scenario(Path(root))

    return command


def _run_child(app: Any, scenario: str, root: str, out: str, err: str) -> None:
    wait, go = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            for descriptor, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
            os.umask(0o022)
            # Where only ancestors may trace (Yama), the tracer is allowed by name.
            ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
            os.read(wait, 1)
            code = app.run([f"crash-{scenario.replace(' ', '-')}", root])
        finally:
            os._exit(code)
    print(child, flush=True)
    sys.stdin.readline()
    os.write(go, b"g")
    _, status = os.waitpid(child, 0)
    os.close(wait)
    os.close(go)
    print(status, flush=True)


def events(root: Path) -> list[str]:
    """The events of the log, in order; a torn line is not one of them."""
    path = root / "workspace" / "log" / "log.jsonl"
    text = path.read_text("latin-1") if path.exists() else ""
    return re.findall(r'"event":"([a-z.]+)"[^\n]*\n', text)


if __name__ == "__main__":
    _serve()
