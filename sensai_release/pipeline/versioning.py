"""git and DVC, the only module that starts them: set-up, the pipeline run, and the record of a release.

DVC's analytics and update check stay off, and its site cache stays inside the workspace. What goes into a release
is decided elsewhere.
"""

from __future__ import annotations

import configparser
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensai_release.errors import ConfigurationError, ToolError
from sensai_release.table.documents import load_yaml

JOURNAL_VARIABLE = "SENSAI_RELEASE_JOURNAL"
"""Names the file in which a stage, started by DVC for `build`, notes how it ended."""

STAGES = ("intake", "validate", "pseudonymise", "deidentify", "risk", "datasheet", "package", "scan")


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRun:
    """Which stages ran, and the exit code of the one that ended the run (0 when none did)."""

    ran: tuple[str, ...]
    failed: str | None
    exit_code: int


def set_up(root: Path, *, name: str) -> None:
    """Makes a git repository with DVC in `root` where there is none, with a local default remote.

    Raises `ToolError` when git is missing or refuses.
    """
    if not (root / ".git").exists():
        _git(root, "init", "--quiet", "--initial-branch=main")
    if not (root / ".dvc").exists():
        inside = Path(_git(root, "rev-parse", "--show-toplevel").strip()).resolve() != root.resolve()
        _dvc(root, ["init", "--quiet", *(["--subdir"] if inside else [])])
        config = root / ".dvc" / "config"
        config.write_text(
            "[core]\n    analytics = false\n    check_update = false\n    remote = store\n"
            "['remote \"store\"']\n    url = ../release-store\n",
            encoding="utf-8",
        )
        # The source folder is no output of DVC, and walking a thousand recordings would slow every command.
        (root / ".dvcignore").write_text("/data/\n", encoding="utf-8")
    made = [".dvcignore", ".dvc/config", ".dvc/.gitignore", *_definition(root)]
    _commit(root, f"Set up the release workspace of {name}", made)


def _refuse_absent_parameters(root: Path) -> None:
    """Raises `ConfigurationError` for a key that dvc.yaml names and params.yaml lacks: DVC's words help nobody."""
    stages = (load_yaml(root / "dvc.yaml", "dvc.yaml") or {}).get("stages") or {}
    held = load_yaml(root / "params.yaml", "params.yaml")
    for stage, entry in stages.items():
        named = entry.get("params") if isinstance(entry, dict) else None
        for name in (name for name in named or () if isinstance(name, str)):
            if name.split(".")[0] not in held:
                cure = (
                    f"Add it ('{name}: {{}}' states nothing), or take it out of the params of that stage in dvc.yaml."
                )
                raise ConfigurationError(
                    "params.yaml", f"lacks {name}, which the stage {stage} in dvc.yaml names", cure
                )


def run_pipeline(root: Path, *, workers: int | None, quiet: bool) -> PipelineRun:
    """`dvc repro` in the workspace. The stages write to this process's stderr; DVC itself stays silent.

    Raises `ToolError` when DVC fails for a reason of its own, and `ConfigurationError` when params.yaml lacks what
    dvc.yaml asks for.
    """
    _refuse_absent_parameters(root)
    with _temporary_folder() as folder:
        journal = folder / "journal"
        journal.touch()
        environment = _environment(root) | {JOURNAL_VARIABLE: str(journal)}
        if workers is not None:
            environment["SENSAI_RELEASE_JOBS"] = str(workers)
        if quiet:
            environment["SENSAI_RELEASE_QUIET"] = "1"
        done = subprocess.run(  # the stages' stdout is for people too, and ours may be promised to a JSON document
            [sys.executable, "-c", _REPRO], cwd=root, env=environment, stdout=sys.stderr, check=False
        )
        # A stage that was killed while it wrote leaves a torn last line; DVC's own exit code tells of it.
        lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
        entries = [json.loads(line) for line in lines if line.endswith("\n")]
    ran = tuple(entry["stage"] for entry in entries)
    failed = next((entry for entry in entries if entry["exit"] != 0), None)
    if failed is not None:
        return PipelineRun(ran=ran, failed=failed["stage"], exit_code=failed["exit"])
    if done.returncode != 0:
        _refuse_full_disk(root, "dvc repro")
        raise ToolError("dvc repro", "could not run the pipeline", "Run 'dvc repro' in the workspace to see why.")
    return PipelineRun(ran=ran, failed=None, exit_code=0)


# Of a failure of its own DVC says, even when it is to be quiet, that strangers are happy to help, and nothing else.
_REPRO = """
import sys
from dvc.cli import main
from dvc.ui import ui

ui.error_write = lambda *_, **__: None
sys.exit(main(["repro", "--quiet"]))
"""


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Raises `ToolError` where nothing can be written: Python would say that there is no such file."""
    try:
        folder = tempfile.TemporaryDirectory()
    except FileNotFoundError:
        cure = "Make room there, or set TMPDIR to another folder."
        raise ToolError("the folder for temporary files", "takes no file", cure) from None
    with folder as name:
        yield Path(name)


def note_stage(stage: str, exit_code: int) -> None:
    """Called at the end of a stage: tells the `build` that started it how it went."""
    path = os.environ.get(JOURNAL_VARIABLE)
    if path:
        with Path(path).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps({"stage": stage, "exit": exit_code}) + "\n")


def changed_stages(root: Path) -> list[str]:
    """The stages that `dvc repro` would run again, the always-run intake left out."""
    answer = _dvc(root, ["status", "--json"])
    return [stage for stage in STAGES if stage != "intake" and stage in json.loads(answer or "{}")]


def following_stages(root: Path, stages: Sequence[str]) -> list[str]:
    """The stages that read what one of `stages` writes, at any remove: they run again when it comes out different."""
    held = (load_yaml(root / "dvc.yaml", "dvc.yaml") or {}).get("stages") or {}
    written = {name for stage in stages for name in _written(held.get(stage) or {})}
    found: list[str] = []
    for stage in (stage for stage in STAGES if stage not in stages):
        entry = held.get(stage) or {}
        if written & set(entry.get("deps") or ()):
            found.append(stage)
            written |= _written(entry)
    return found


def _written(entry: Mapping[str, Any]) -> set[str]:
    """The names under `outs` and `metrics` of a stage in dvc.yaml, where each is a name or a mapping of one."""
    listed = [*(entry.get("outs") or ()), *(entry.get("metrics") or ())]
    return {name for item in listed for name in ([item] if isinstance(item, str) else item)}


def record_release(root: Path, name: str, message: str) -> bool:
    """`dvc add`, `dvc push` to the default remote, one git commit and an annotated tag for a published release.

    Safe to repeat after an interruption: what is already done is left as it is, and the lock files of a git that died
    are cleared. Returns whether it was pushed, which
    needs a remote in .dvc/config.
    """
    remote = _has_remote(root)
    added = ["add", "--quiet", f"releases/{name}"]
    _dvc(root, added, *([["push", "--quiet", f"releases/{name}.dvc"]] if remote else []))
    _commit(root, message, [f"releases/{name}.dvc", "reports/metrics", *_definition(root)])
    # The tag says that all is done, and DVC leaves it to the system when its copies reach the disk.
    os.sync()
    if not is_tagged(root, name):
        _git(root, "tag", "--annotate", "--message", message, name)
    return remote


def is_recorded(root: Path, name: str) -> bool:
    """Whether DVC and the last commit hold the release as it lies there: a full disk may have come in between."""
    pointer = f"releases/{name}.dvc"
    if not (root / pointer).exists() or is_uncommitted(root, pointer):
        return False
    return not json.loads(_dvc(root, ["status", "--json", pointer]) or "{}")


def is_uncommitted(root: Path, path: str) -> bool:
    """Whether a file is there that the last commit does not hold as it is."""
    return bool(_git(root, "status", "--porcelain", "--", path).strip())


def record_files(root: Path, message: str, paths: Sequence[str]) -> None:
    """One git commit of these files of a workspace, and of nothing else."""
    _commit(root, message, paths)


def log_text(root: Path) -> str:
    """What git's history and tags say in words, and the names of all files in it; empty where there is no history."""
    if not (root / ".git").exists() or not _git(root, "rev-list", "--all", "--max-count=1").strip():
        return ""
    # No authors and dates: whose history it is, is meant to be known.
    history = _git(root, "log", "--all", "--name-only", "--format=%s%n%b")
    return history + _git(root, "for-each-ref", "--format=%(refname) %(contents)")


def is_tagged(root: Path, name: str) -> bool:
    return bool(_git(root, "tag", "--list", name).strip())


def _has_remote(root: Path) -> bool:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    return bool(settings.get("core", "remote", fallback=""))


def would_be_tracked(path: Path) -> bool:
    """True when a file there would lie in a git work tree that does not ignore it."""
    folder = path.resolve().parent
    if not folder.is_dir():
        return False
    try:
        inside = subprocess.run(
            ["git", "rev-parse", "--is-inside-work-tree"], cwd=folder, capture_output=True, check=False
        )
        ignored = subprocess.run(
            ["git", "check-ignore", "--quiet", path.name], cwd=folder, capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return inside.stdout.strip() == b"true" and ignored.returncode == 1


def _definition(root: Path) -> list[str]:
    names = ("params.yaml", "dvc.yaml", "dvc.lock", "schemas", "datasheets", ".gitignore", "releases/.gitignore", "log")
    return [name for name in names if (root / name).exists()]


def _commit(root: Path, message: str, paths: Sequence[str]) -> None:
    """Commits these paths and nothing else that may be staged."""
    _git(root, "add", "--", *paths)
    staged = subprocess.run(
        ["git", "diff", "--cached", "--quiet", "--", *paths], cwd=root, env=_environment(root), check=False
    )
    if staged.returncode:
        _git(root, "commit", "--quiet", "--no-verify", "--message", message, "--only", "--", *paths)


def _environment(root: Path) -> dict[str, str]:
    environment = dict(os.environ)
    environment["DVC_NO_ANALYTICS"] = "1"
    # DVC's default is a world-writable folder in /var/tmp, where file names of this workspace would lie open.
    environment["DVC_SITE_CACHE_DIR"] = str(_site_cache(root))
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return environment


def _site_cache(root: Path) -> Path:
    """What DVC finds out again when it is gone."""
    return root.resolve() / ".dvc" / "tmp" / "site"


def _git(root: Path, *arguments: str) -> str:
    if arguments[0] not in _WRITING:
        return _run(root, ["git", *arguments], f"git {arguments[0]}")
    identity: list[str] = []
    if arguments[0] != "add" and not _has_identity(root):
        identity = ["-c", "user.name=sensai-release", "-c", "user.email=sensai-release@localhost"]
    with _at_work(root) as held:
        return _run(root, ["git", *_DURABLE, *identity, *arguments], f"git {arguments[0]}", held=held)


_WRITING = ("add", "commit", "tag")
# What is committed is on disk when git ends, and no process of git's goes on working behind our back.
_DURABLE = ("-c", "core.fsync=all", "-c", "gc.auto=0", "-c", "maintenance.auto=false")


@contextmanager
def _at_work(root: Path) -> Iterator[int]:
    """A descriptor to hand to a program that writes: while one of its processes lives, the next one waits here.

    A git that is killed leaves its lock files, and from then on git refuses to work. A DVC that is killed may leave an
    index that knows half of a release, and would push that half only. When the last program that we started came to no
    end, both are removed; the lock files of somebody else's git, running before ours, would have stopped ours.
    """
    marker = root / "work" / ".at-work"
    marker.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_size:
            _clear_git_locks(root, since=os.fstat(descriptor).st_mtime_ns)
            shutil.rmtree(_site_cache(root), ignore_errors=True)
        os.pwrite(descriptor, b"at work\n", 0)
        try:
            yield descriptor
        except _KilledError:
            raise
        except ToolError:
            os.ftruncate(descriptor, 0)
            raise
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _clear_git_locks(root: Path, *, since: int) -> None:
    folders = _run(root, ["git", "rev-parse", "--absolute-git-dir", "--git-common-dir"], "git rev-parse").splitlines()
    for folder in {(root / text).resolve() for text in folders}:
        for lock in [*folder.glob("*.lock"), *folder.glob("refs/**/*.lock")]:
            if lock.stat().st_mtime_ns >= since:
                lock.unlink()


class _KilledError(ToolError):
    """A program came to no end of its own: what it cleans up at its end still lies there."""


def _has_identity(root: Path) -> bool:
    answer = subprocess.run(
        ["git", "config", "user.email"], cwd=root, env=_environment(root), capture_output=True, check=False
    )
    return answer.returncode == 0 or "GIT_AUTHOR_EMAIL" in os.environ


# Several commands in one process: starting DVC takes longer than what it does here.
_DVC = "import json, sys; from dvc.cli import main; sys.exit(next(filter(None, map(main, json.loads(sys.argv[1]))), 0))"


def _dvc(root: Path, *commands: Sequence[str]) -> str:
    names = " and ".join(f"dvc {command[0]}" for command in commands)
    started = [sys.executable, "-c", _DVC, json.dumps(commands)]
    if commands[0][0] != "add":
        return _run(root, started, names)
    with _at_work(root) as held:
        try:
            return _run(root, started, names, held=held)
        except ToolError:
            shutil.rmtree(_site_cache(root), ignore_errors=True)
            raise


def _run(root: Path, command: Sequence[str], name: str, *, held: int | None = None) -> str:
    environment: Mapping[str, str] = _environment(root)
    kept = () if held is None else (held,)
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, check=False, pass_fds=kept
        )
    except FileNotFoundError:
        raise ToolError(name, "is not installed", "Install git, then try again.") from None
    if done.returncode < 0:
        how = ": a file grew larger than the limit (ulimit -f)" if done.returncode == -signal.SIGXFSZ else ""
        raise _KilledError(name, f"was killed{how}", "Give the same command again: it goes on from there.")
    if done.returncode != 0:
        _refuse_full_disk(root, name)
        # The tool's own words can hold paths of this machine; the exit code and the command are enough to go on.
        raise ToolError(
            name, f"ended with exit code {done.returncode}", f"Run '{name}' by hand in the workspace to see why."
        )
    return done.stdout


# git and DVC write copies of what they take in, an index and a database.
_ROOM = 8 << 20


def _refuse_full_disk(root: Path, name: str) -> None:
    """Raises `ToolError` when a program may have failed because the disk takes no more: DVC would not say so.

    Tried out with a file that has no name, since neither free bytes nor the words of a program tell of every limit.
    """
    try:
        with tempfile.TemporaryFile(dir=root, buffering=0) as file:
            room = memoryview(bytes(_ROOM))
            while room:
                room = room[file.write(room) :]
            os.fsync(file.fileno())
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        cure = "Mend this, then give the same command again: it goes on from there."
        raise ToolError(name, f"could not write to the disk of the workspace: {reason}", cure) from None
