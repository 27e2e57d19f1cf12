"""What a disk may hold after a power cut, in every order that POSIX allows: a model, fed with a trace of strace (1).

What was brought to disk by fsync is there. Of the rest, a folder shows any number of its later changes, in their order,
whatever other folders show; a file whose last bytes were not brought to disk is torn. This is weaker than what ext4
with data=ordered promises (one journal orders the changes of all folders), so what holds here holds there.
"""

from __future__ import annotations

import copy
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "openat,mkdir,mkdirat,write,pwrite64,writev,sendfile,copy_file_range,ftruncate,fsync,fdatasync,"
    "rename,renameat,renameat2,unlink,unlinkat,rmdir"
)
Tree = dict[str, int]
"""The files by path; for each the number of writes that made its content. A torn file has a negative number."""


def settled_of(torn: int) -> int:
    """How many writes of a torn file are on disk for sure."""
    return -1 - torn


@dataclass(eq=False)
class File:
    writes: int = 0
    settled: int = 0


@dataclass(eq=False)
class Folder:
    """`changes` holds the entries set (or removed, None) by each call; the first `settled` of them are on disk."""

    changes: list[dict[str, File | Folder | None]] = field(default_factory=list)
    settled: int = 0

    def entries(self, count: int | None = None) -> dict[str, File | Folder]:
        found: dict[str, File | Folder | None] = {}
        for change in self.changes[:count]:
            found |= change
        return {name: node for name, node in found.items() if node is not None}


class Disk:
    """The file system below one folder, which starts out whole and on disk."""

    def __init__(self, root: Path) -> None:
        self._base = root
        self.root = self._settled(root)

    @classmethod
    def copy_of(cls, other: Disk) -> Disk:
        return copy.deepcopy(other)

    def _settled(self, path: Path) -> Folder:
        entries: dict[str, File | Folder | None] = {
            child.name: self._settled(child) if child.is_dir() else File() for child in path.iterdir()
        }
        return Folder(changes=[entries], settled=1)

    def _node(self, path: str) -> File | Folder | None:
        node: File | Folder | None = self.root
        for name in Path(path).relative_to(self._base).parts:
            node = node.entries().get(name) if isinstance(node, Folder) else None
        return node

    def _change(self, *changes: tuple[str, File | Folder | None]) -> None:
        """One call; what it does within one folder happens at once."""
        by_folder: dict[str, dict[str, File | Folder | None]] = {}
        for path, node in changes:
            folder, name = os.path.split(path)
            by_folder.setdefault(folder, {})[name] = node
        for folder, entries in by_folder.items():
            parent = self._node(folder)
            assert isinstance(parent, Folder), folder
            parent.changes.append(entries)

    def apply(self, call: str, arguments: str) -> None:
        """Plays one successful call of the trace."""
        paths = [path for path in _paths(arguments) if Path(path).is_relative_to(self._base)]
        if not paths:
            return
        node = self._node(paths[0])
        if call == "openat" and "O_CREAT" in arguments and node is None:
            self._change((paths[0], File()))
        elif call == "openat" and "O_TRUNC" in arguments and isinstance(node, File):
            node.writes += 1
        elif call in ("mkdir", "mkdirat"):
            self._change((paths[0], Folder()))
        elif call in ("write", "pwrite64", "writev", "sendfile", "copy_file_range", "ftruncate"):
            if isinstance(node, File):
                node.writes += 1
        elif call in ("fsync", "fdatasync"):
            if isinstance(node, File):
                node.settled = node.writes
            elif isinstance(node, Folder):
                node.settled = len(node.changes)
        elif call.startswith("rename"):
            other = self._node(paths[1]) if "RENAME_EXCHANGE" in arguments else None
            self._change((paths[1], node), (paths[0], other))
        elif call in ("unlink", "unlinkat", "rmdir"):
            self._change((paths[0], None))

    def whole(self) -> Tree:
        """What a reader sees while the power is on."""
        return {path: file.writes for path, file in self._walk(self.root, None)}

    def after_power_cut(self, generator: random.Random | None, *, keep: bool = False) -> Tree:
        """A state that a power cut now may leave: nothing that was not brought to disk, or with `keep` all names, or
        at random a part of the names.
        """
        return {
            path: file.writes if file.settled == file.writes else -1 - file.settled
            for path, file in self._walk(self.root, generator, bare=generator is None and not keep)
        }

    def _walk(
        self, folder: Folder, generator: random.Random | None, prefix: str = "", *, bare: bool = False
    ) -> Iterator[tuple[str, File]]:
        count = folder.settled if bare else len(folder.changes)
        if generator is not None:
            count = generator.randint(folder.settled, len(folder.changes))
        for name, node in folder.entries(count).items():
            if isinstance(node, File):
                yield prefix + name, node
            else:
                yield from self._walk(node, generator, f"{prefix}{name}/", bare=bare)


_LINE = re.compile(r"\d+ +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
_ARGUMENT = re.compile(r'(?:AT_FDCWD|\d+)<(?P<at>[^>]*)>(?:, "(?P<name>[^"]*)")?|"(?P<path>[^"]*)"')


def calls(trace: str) -> Iterator[tuple[str, str]]:
    """The calls that succeeded, in order. Where a thread came in between, strace has cut a call in two."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        thread, _, rest = line.partition(" ")
        if line.endswith(" <unfinished ...>"):
            begun[thread] = line.removesuffix(" <unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest.strip())
        match = _LINE.match(begun.pop(thread, "") + resumed[1] if resumed else line)
        if match is not None and int(match["result"]) >= 0:
            yield match["call"], match["arguments"]


def _paths(arguments: str) -> list[str]:
    return [
        match["path"] if match["path"] is not None else str(Path(match["at"], match["name"] or ""))
        for match in _ARGUMENT.finditer(arguments)
    ]
