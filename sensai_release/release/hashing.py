"""SHA-256 of the files of a release on all cores.

Few files are hashed by threads: hashing releases the interpreter lock. With many small files, threads wait for that
lock more than they hash, and while other work is done meanwhile, they wait for that; then each core gets a helper, an
interpreter of its own. Should a helper not start or not answer, threads do its work. What is read is `digests`'.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Self

from sensai_release.release import digests
from sensai_release.release.digests import ANSWER, GREETING, Read, hash_batch

Progress = Callable[[int, int], None]
"""Called with the bytes hashed so far and the bytes to hash in all."""

Batch = tuple[str, list[tuple[str, int]]]
"""A folder, with names and expected sizes of files in it."""

_MOST_WORKERS = 8
# Handing a file over costs more than hashing a small one, so small ones go in batches.
_BATCH_FILES = 128
_BATCH_BYTES = 4 << 20
# Starting helpers takes some 15 ms, as long as threads lose on so much.
_HELPERS_FROM_FILES = 2_000
_HELPERS_FROM_BYTES = 256 << 20
_SECONDS_TO_GREET = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What was read of one file. `sha256` is None when the file could not be read, or is longer than expected."""

    path: str
    size: int
    sha256: str | None


def hash_files(
    folder: int,
    sizes: Mapping[str, int],
    on_progress: Progress | None = None,
    *,
    meanwhile: Callable[[], object] | None = None,
    helpers: bool | None = None,
) -> Iterator[Digest]:
    """SHA-256 of each file below an open directory, in the order given; `sizes` holds the expected size of each, in
    bytes.

    At most one byte more than the expected size is read. Takes all cores and a fixed amount of memory. `meanwhile` is
    called when all have their work, for what this thread can do instead of waiting. `helpers` says whether each core
    gets an interpreter of its own; by default where that is faster. Raises `OSError` where this machine lacks
    descriptors or memory.
    """
    total = sum(sizes.values())
    done = 0
    workers = min(_MOST_WORKERS, os.cpu_count() or 1)
    if helpers is None:
        helpers = len(sizes) >= _HELPERS_FROM_FILES or total >= _HELPERS_FROM_BYTES
    with ExitStack() as stack:
        idle: SimpleQueue[_Helper | None] = SimpleQueue()
        for _ in range(workers):
            started = _start_helper(folder) if helpers else None
            idle.put(started if started is None else stack.enter_context(started))

        def hashed(batch: Batch) -> tuple[Batch, Sequence[Read]]:
            helper = idle.get()
            found = None if helper is None else helper.hash(*batch)
            idle.put(helper if found is not None else None)
            # A helper may be denied what this process is not, so what it could not read is looked at again.
            if found is None or not all(whole for whole, _, _ in found):
                found = hash_batch(folder, *batch)
            return batch, found

        pool = stack.enter_context(ThreadPoolExecutor(max_workers=workers, thread_name_prefix="sha256"))
        try:
            found = pool.map(hashed, _batches(sizes))
        except RuntimeError:  # no more threads for this user: this one does all the work
            pool.shutdown(cancel_futures=True)
            found = map(hashed, _batches(sizes))
        if meanwhile is not None:
            meanwhile()
        for (parent, files), reads in found:
            prefix = f"{parent}/" if parent else ""
            for (name, expected), (whole, size, digest) in zip(files, reads, strict=True):
                yield Digest(path=prefix + name, size=size, sha256=digest.hex() if whole else None)
                done += expected
                if on_progress is not None:
                    on_progress(done, total)


def _batches(sizes: Mapping[str, int]) -> Iterator[Batch]:
    """Files in one folder that follow one another; few and small, or one alone."""
    batch: list[tuple[str, int]] = []
    current, left = "", 0
    for path, size in sizes.items():
        parent, _, name = path.rpartition("/")
        if batch and (parent != current or len(batch) == _BATCH_FILES or size > left):
            yield current, batch
            batch = []
        if not batch:
            current, left = parent, _BATCH_BYTES
        batch.append((name, size))
        left -= size
    if batch:
        yield current, batch


class _Helper:
    """An interpreter that hashes, and its two pipes; one batch at a time."""

    def __init__(self, process: subprocess.Popen[bytes], questions: IO[bytes], answers: IO[bytes]) -> None:
        self._process, self._questions, self._answers = process, questions, answers
        self._greeted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._questions.close()
        self._process.kill()
        self._process.wait()
        self._answers.close()

    def hash(self, parent: str, files: Sequence[tuple[str, int]]) -> list[Read] | None:
        """What `hash_batch` gives; `None` when the helper does not answer as it should."""
        try:
            if not self._greeted and not self._greets():
                return None
            self._greeted = True
            self._questions.write(digests.request(parent, files))
            self._questions.flush()
            answer = self._answers.read(ANSWER.size * len(files))
        except (OSError, ValueError):
            return None
        return list(ANSWER.iter_unpack(answer)) if len(answer) == ANSWER.size * len(files) else None

    def _greets(self) -> bool:
        """Where Python is part of another program, `sys.executable` may be that program, which never says a word."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            return bool(selector.select(_SECONDS_TO_GREET)) and self._answers.read(len(GREETING)) == GREETING


def _start_helper(folder: int) -> _Helper | None:
    """A helper that sees the open directory; `None` where this program is no plain interpreter, or may start none."""
    if getattr(sys, "frozen", False) or not sys.executable or not Path(digests.__file__).is_file():
        return None
    try:
        # Where a standard stream was closed, `folder` may have its number, which the helper needs for its pipes.
        passed = fcntl.fcntl(folder, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError:
        return None
    # Isolated, without site-packages, writing no bytecode: nothing of the user's can get into it.
    command = [sys.executable, "-I", "-S", "-B", digests.__file__, str(passed)]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(passed,),
        )
    except OSError:
        return None
    finally:
        os.close(passed)
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101
    return _Helper(process, process.stdin, process.stdout)
