"""Whole or not at all: a directory or a file appears under its name complete and on disk, or does not appear.

Knows nothing of what is inside. What was left by a process that died is found by its name and by its lock being free.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sensai_release.errors import OutputExistsError, ReleaseFormatError

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def publish_directory(build: Callable[[Path], None], target: Path) -> None:
    """Lets `build` fill a private temporary directory beside `target`, and renames it to `target` when all is on disk.

    Files become 0644 and folders 0755, whatever the umask. Raises `OutputExistsError` when there is a `target`
    (`build` is not even started), `ReleaseFormatError` when `build` left a link or a special file, and whatever `build`
    raises; after any of these, and after an interrupt, there is neither a target nor a temporary directory.
    """
    _refuse_existing(target)
    clear_leftovers(target.parent)
    temporary, lock = _make_temporary_directory(target)
    try:
        build(temporary)
        _settle(temporary)
        _rename_without_replacing(temporary, target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Writes beside `path`, brings it to disk, renames it over `path`: readers see the old or the new bytes."""
    temporary = path.with_name(f".tmp-{path.name}-{secrets.token_hex(8)}")
    with _parent_locked(path.parent):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        _lock(descriptor)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
            temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def clear_leftovers(parent: Path) -> int:
    """Removes what `publish_directory` and `write_atomic` of dead processes left in `parent`; returns how many.

    A living process holds a lock on its own; where the file system has no locks, nothing is removed.
    """
    removed = 0
    with _parent_locked(parent):
        for leftover in sorted(parent.glob(".tmp-*-????????????????")):
            try:
                descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                if not _lock(descriptor):
                    continue
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink(missing_ok=True)
                removed += 1
            finally:
                os.close(descriptor)
    return removed


def _make_temporary_directory(target: Path) -> tuple[Path, int]:
    temporary = target.with_name(f".tmp-{target.name}-{secrets.token_hex(8)}")
    # Made and locked under the parent's lock: between the two, another process would take it for a leftover.
    with _parent_locked(target.parent):
        temporary.mkdir(mode=0o700)
        descriptor = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _lock(descriptor)
    return temporary, descriptor


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _parent_locked(parent: Path) -> Iterator[None]:
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Some network file systems cannot lock a directory; the exclusive rename still holds there.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _settle(root: Path) -> None:
    """Sets the modes and brings every file, and then every folder from the inside out, to disk."""
    for folder, _, names in os.walk(root, topdown=False, onerror=_raise):
        for name in names:
            _settle_file(Path(folder, name))
        with os.scandir(folder) as entries:
            if any(entry.is_symlink() for entry in entries):
                raise ReleaseFormatError("release", "holds a link", "Put plain files there.")
        Path(folder).chmod(0o755)
        _sync(Path(folder))


def _settle_file(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        raise ReleaseFormatError(
            "release", "holds a link or a file that cannot be opened", "Put plain files there."
        ) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ReleaseFormatError("release", "holds a special file", "Put plain files there.")
        os.fchmod(descriptor, 0o644)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise OutputExistsError(target.name, "is already there", "Choose another name, or remove it first.")


def _rename_without_replacing(source: Path, target: Path) -> None:
    """`os.rename` would silently replace an empty directory (rename(2)); Linux can be asked not to (renameat2(2))."""
    code = _renameat2(source, target)
    if code == errno.EEXIST:
        _refuse_existing(target)
    elif code in _UNSUPPORTED:
        with _parent_locked(target.parent):
            _refuse_existing(target)
            source.rename(target)
    elif code:
        raise OSError(code, os.strerror(code))


def _renameat2(source: Path, target: Path) -> int:
    """0, or the error number; ENOSYS where the C library has no such call."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return errno.ENOSYS
    result = function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
    return ctypes.get_errno() if result else 0
