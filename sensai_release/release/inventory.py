"""A release directory as bytes on disk: what lies in it, and the SHA-256 of each file.

Every file is opened relative to the directory's own descriptor, one path component at a time and never through a
link, so that nothing outside the directory is ever read. What should be there is for `manifest` and `verify` to say.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from sensai_release.errors import ReleaseFormatError

Progress = Callable[[int, int], None]
"""Called with the bytes hashed so far and the bytes to hash in all."""

EntryKind = Literal["file", "folder", "link", "other"]

_MAXIMUM_ENTRIES = 200_000
_MAXIMUM_FOLDERS_DEEP = 16
_COMPONENT = (
    r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:[./]|\Z))"  # names of devices
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}(?<!\.)"
)
_PLAIN_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT}){{0,{_MAXIMUM_FOLDERS_DEEP - 1}}}", re.ASCII)
_CHUNK = 1 << 20
# Handing a file over to a thread costs more than hashing a small one, so small ones go in batches.
_BATCH_FILES = 64
_BATCH_BYTES = 4 << 20
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing in the directory: `path` is relative, with `/`; `size` is in bytes (0 unless a file)."""

    path: str
    kind: EntryKind
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What was read of one file. `sha256` is None when the file could not be read, or is longer than expected."""

    path: str
    size: int
    sha256: str | None


def is_plain_path(path: str) -> bool:
    """Whether every component of a relative path is plain ASCII that all common file systems keep as it is."""
    return _PLAIN_PATH.fullmatch(path) is not None


@contextmanager
def open_folder(root: Path) -> Iterator[int]:
    """The descriptor of a release directory. Raises `ReleaseFormatError` when `root` is no readable directory."""
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise ReleaseFormatError(
            root.name or "release",
            "is not a directory that can be read",
            "Give the path of a release directory (the folder that holds manifest.json); unpack an archive first.",
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def list_entries(folder: int) -> tuple[Entry, ...]:
    """Everything below an open directory, sorted by path; links are listed and never followed.

    Raises `OSError` when a folder cannot be listed, or when there are absurdly many entries or levels.
    """
    found: list[Entry] = []
    _list_below(folder, "", found)
    return tuple(sorted(found, key=lambda entry: entry.path))


def _list_below(folder: int, prefix: str, found: list[Entry]) -> None:
    if prefix.count("/") > _MAXIMUM_FOLDERS_DEEP:
        raise OSError("too many levels of folders")
    with os.scandir(folder) as scan:
        entries = [(entry.name, entry.stat(follow_symlinks=False)) for entry in islice(scan, _MAXIMUM_ENTRIES + 1)]
    if len(found) + len(entries) > _MAXIMUM_ENTRIES:
        raise OSError("too many entries")
    for name, status in entries:
        path, kind = prefix + name, _kind(status.st_mode)
        found.append(Entry(path=path, kind=kind, size=status.st_size if kind == "file" else 0))
        if kind == "folder":
            below = os.open(name, _OPEN_FOLDER, dir_fd=folder)
            try:
                _list_below(below, f"{path}/", found)
            finally:
                os.close(below)


def _kind(mode: int) -> EntryKind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


@contextmanager
def open_file(folder: int, path: str) -> Iterator[BinaryIO]:
    """A regular file below an open directory, unbuffered. Raises `OSError` for links, devices and what is not there."""
    parent, _, name = path.rpartition("/")
    with _open_parent(folder, parent) as descriptor:
        opened = os.open(name, _OPEN_FILE, dir_fd=descriptor)
    with os.fdopen(opened, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError("not a regular file")
        yield file


@contextmanager
def _open_parent(folder: int, path: str) -> Iterator[int]:
    """The descriptor of a folder below an open directory, reached through no link; `folder` itself for no path."""
    opened: list[int] = []
    try:
        for name in path.split("/") if path else ():
            opened.append(os.open(name, _OPEN_FOLDER, dir_fd=opened[-1] if opened else folder))
        yield opened[-1] if opened else folder
    finally:
        for descriptor in opened:
            os.close(descriptor)


def read_file(folder: int, path: str, *, limit: int) -> bytes:
    """The whole of a file below an open directory. Raises `OSError`, also when it is longer than `limit` bytes."""
    with open_file(folder, path) as file:
        blocks: list[bytes] = []
        left = limit + 1
        while left > 0 and (block := file.read(min(_CHUNK, left))):
            blocks.append(block)
            left -= len(block)
    if left <= 0:
        raise OSError("longer than allowed")
    return b"".join(blocks)


def hash_files(
    folder: int,
    sizes: Mapping[str, int],
    on_progress: Progress | None = None,
    *,
    meanwhile: Callable[[], object] | None = None,
) -> Iterator[Digest]:
    """SHA-256 of each file, in the order given; `sizes` holds the expected size of each, in bytes.

    At most one byte more than the expected size is read. Uses one thread for each core (hashing releases the
    interpreter lock) and a fixed amount of memory. `meanwhile` is called when the threads have their work, for what
    this one can do instead of waiting.
    """
    total = sum(sizes.values())
    done = 0
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="sha256") as pool:
        found = pool.map(lambda batch: _hash_batch(folder, *batch), _batches(sizes))
        if meanwhile is not None:
            meanwhile()
        for digests in found:
            for digest in digests:
                yield digest
                done += sizes[digest.path]
                if on_progress is not None:
                    on_progress(done, total)


def _batches(sizes: Mapping[str, int]) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """A folder, with names and expected sizes of files in it that follow one another; few and small, or one alone."""
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


def _hash_batch(folder: int, parent: str, files: list[tuple[str, int]]) -> list[Digest]:
    prefix = f"{parent}/" if parent else ""
    buffer = memoryview(bytearray(min(_CHUNK, 1 + max(size for _, size in files))))
    try:
        with _open_parent(folder, parent) as opened:
            return [_hash_file(opened, name, prefix + name, expected, buffer) for name, expected in files]
    except OSError:
        return [Digest(path=prefix + name, size=0, sha256=None) for name, _ in files]


def _hash_file(parent: int, name: str, path: str, expected: int, buffer: memoryview) -> Digest:
    state, size = hashlib.sha256(), 0
    try:
        # Plain descriptors: a file object would cost as much as hashing a small file.
        descriptor = os.open(name, _OPEN_FILE, dir_fd=parent)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Digest(path=path, size=0, sha256=None)
            while count := os.readv(descriptor, [buffer[: expected + 1 - size]]):
                state.update(buffer[:count])
                size += count
                if size > expected:
                    return Digest(path=path, size=os.fstat(descriptor).st_size, sha256=None)
                if size == expected == status.st_size and count < len(buffer):
                    break  # room was left for one byte more, and none came: this is the end
        finally:
            os.close(descriptor)
    except OSError:
        return Digest(path=path, size=size, sha256=None)
    return Digest(path=path, size=size, sha256=state.hexdigest())


def folders_of(paths: Iterable[str]) -> frozenset[str]:
    """Every folder that the given files lie in, at any depth."""
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(folders)


def printable(path: str) -> str:
    """A path that is safe to print: control, bidirectional and undecodable characters are escaped, long ones cut."""
    shown = path if path.isascii() and path.isprintable() else ascii(path)[1:-1]
    return shown if len(shown) <= 200 else f"{shown[:197]}..."
