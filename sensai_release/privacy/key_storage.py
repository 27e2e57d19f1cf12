"""Key files on disk: made exclusively and whole, read only where that is safe.

Knows nothing of what a key file says (`key_text`) or of what its key is worth (`keyfile`). No message holds the folder
of a file or anything of its content.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from sensai_release.errors import KeyFileError, OutputExistsError

_LIMIT = 16 * 1024
RESTORE = "Restore it from its backup, or make a new key with 'keygen'."


def place_of(path: Path) -> str:
    """How messages name a key file."""
    return f"key file {path.name}"


def create_files(outputs: Sequence[tuple[Path, bytes, int]]) -> None:
    """Creates files of one folder (path, content, mode) and brings them to disk; after a failure none is left.

    Where the file system has files without a name, each gets its name when it is whole, so a process that dies leaves
    no torn key. Raises `OutputExistsError` when one of them is there, also when it has just been made by another
    process, and `KeyFileError` when the folder takes no file.
    """
    created: list[Path] = []
    try:
        for path, data, mode in outputs:
            if not _create_whole(path, data, mode):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(path, flags, 0o600)
                created.append(path)
                with os.fdopen(descriptor, "wb") as out:
                    _write(out, data, mode)
            created.append(path)
        sync_folder(outputs[0][0].parent)
    except BaseException as error:
        for path in created:
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            raise OutputExistsError("key file", "is already there", "Choose another path.") from None
        if isinstance(error, OSError):
            raise _unwritten(outputs[0][0], error) from None
        raise


def _unwritten(path: Path, error: OSError) -> KeyFileError:
    """Why a key file could not be made, without its folder, which the message of the system would hold."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR) or error.errno is None:
        return KeyFileError(place_of(path), "cannot be written", "Give a path in a folder that is there.")
    cause = f"cannot be written: {os.strerror(error.errno)}; no part of it was left"
    return KeyFileError(place_of(path), cause, "Mend this, or give a path in another folder.")


def _create_whole(path: Path, data: bytes, mode: int) -> bool:
    """Writes a file without a name (O_TMPFILE, open(2)), then names it; False where the system cannot do that."""
    if not hasattr(os, "O_TMPFILE"):
        return False
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    with os.fdopen(descriptor, "wb") as out:
        _write(out, data, mode)
        try:
            # With a src_dir_fd, linkat(2) is asked to follow the link to the open file; it never replaces.
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
        except FileExistsError:
            raise
        except OSError:
            return False
    return True


def _write(out: BinaryIO, data: bytes, mode: int) -> None:
    os.fchmod(out.fileno(), mode)  # a lax or odd umask must not decide who reads a key
    out.write(data)
    out.flush()
    os.fsync(out.fileno())


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """One process at a time makes keys in a folder; the next one waits. Where a folder cannot be opened or locked, what
    is done in it goes on, or fails, by itself.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_key_file(path: Path, *, refused: int, complaint: str, cure: str) -> bytes:
    """The bytes of a small regular file. Raises `KeyFileError` otherwise, and with `complaint` when its mode has one of
    the bits `refused`.
    """
    place = place_of(path)
    try:
        # O_NONBLOCK: a named pipe must not hang the open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        cause = {errno.ENOENT: "is not there", errno.ELOOP: "is a symbolic link"}.get(error.errno or 0, "is unreadable")
        raise KeyFileError(place, cause, "Name the key file itself, or make one with 'keygen'.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(place, "is not a regular file", "Name the key file itself.")
        if status.st_mode & refused:
            raise KeyFileError(place, complaint, cure)
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(_LIMIT + 1)
    except OSError:
        raise KeyFileError(place, "is unreadable", RESTORE) from None
    finally:
        os.close(descriptor)
    if len(data) > _LIMIT:
        raise KeyFileError(place, "is too large for a key file", RESTORE)
    return data


def read_private_file(path: Path) -> bytes:
    """A file that nobody but its owner may read or change."""
    return read_key_file(
        path,
        refused=0o077,
        complaint="can be read by others",
        cure="Run chmod 600 on it; if others had access, replace it.",
    )


def read_public_file(path: Path, *, guarded: bool = False) -> bytes:
    """A file that everybody may read; with `guarded`, one that nobody but its owner may change."""
    return read_key_file(
        path,
        refused=0o022 if guarded else 0,
        complaint="can be changed by others",
        cure="Compare its key id with the one that 'keygen' showed, then run chmod 644 on it.",
    )


def read_head(path: Path) -> bytes:
    """The first bytes of a regular file, enough for the headers of a key file; none where that cannot be read."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return b""
        with path.open("rb") as stream:
            return stream.read(1024)
    except OSError:
        return b""
