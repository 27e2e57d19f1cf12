"""A release directory as bytes on disk: what lies in it.

Every file is opened relative to the directory's own descriptor, one path component at a time and never through a
link, so that nothing outside the directory is ever read. What should be there is for `manifest` and `verify` to say.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.digests import OPEN_FILE, OPEN_FOLDER, open_parent

EntryKind = Literal["file", "folder", "link", "other"]

_MAXIMUM_ENTRIES = 200_000
_MAXIMUM_FOLDERS_DEEP = 16
_COMPONENT = (
    r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:[./]|\Z))"  # names of devices
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}(?<!\.)"
)
_PLAIN_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT}){{0,{_MAXIMUM_FOLDERS_DEEP - 1}}}", re.ASCII)
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing in the directory: `path` is relative, with `/`; `size` is in bytes (0 unless a file)."""

    path: str
    kind: EntryKind
    size: int


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
            below = os.open(name, OPEN_FOLDER, dir_fd=folder)
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
    with open_parent(folder, parent) as descriptor:
        opened = os.open(name, OPEN_FILE, dir_fd=descriptor)
    with os.fdopen(opened, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError("not a regular file")
        yield file


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
