"""Whole or not at all: a directory or a file appears under its name complete and on disk, or does not appear.

Knows nothing of what is inside. What was left by a process that died is found by its name and by its lock being free.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sensai_release.errors import OutputExistsError, ReleaseFormatError

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_LEFTOVER = re.compile(r"\.tmp-(?P<name>.+)-[0-9a-f]{16}", re.DOTALL)

Step = Callable[[Path], None]


def publish_directory(build: Step, target: Path, *, check: Step | None = None) -> None:
    """Lets `build` fill a folder nobody else can look into, and renames it to `target` when all of it is on disk.

    Files become 0644 and folders 0755, whatever the umask. `check` gets the finished folder, whose files are then read
    from the disk where the system allows that, and refuses it by raising.

    Raises `OutputExistsError` when there is a `target` (`build` is not even started), `ReleaseFormatError` when `build`
    left a link or a special file, and whatever `build` and `check` raise; after any of these, and after an interrupt,
    there is neither a target nor anything temporary.
    """
    _refuse_existing(target)
    clear_leftovers(target.parent)
    with _private_folder(target) as private:
        # One level down, so that the modes of a release are set while the folder around it is still closed.
        root = private / target.name
        root.mkdir(mode=0o700)
        build(root)
        _settle(root)
        if check is not None:
            check(root)
        try:
            _rename_without_replacing(root, target)
            sync_folder(target.parent)
        except BaseException:
            # What may not be on disk is not published: nobody has been told of it yet.
            if not root.exists():
                with suppress(OSError):
                    target.rename(root)
            raise


def write_atomic(
    path: Path,
    data: bytes,
    *,
    mode: int = 0o644,
    outside: Path | None = None,
    announce: Callable[[], object] | None = None,
) -> None:
    """Writes a temporary file, brings it to disk, and puts it in the place of `path`: readers see old or new bytes.

    After an error the old bytes are there. With `outside`, a folder around `path`, the temporary file lies beside that
    folder where this is possible: a process that dies must not leave a stray file in a release. `announce` is called
    when the new bytes are on disk and nobody sees them yet: what must be told before, and only if there was room.
    """
    folder = path.parent if outside is None else room_beside(outside)
    clear_leftovers(folder, path.name)
    temporary = folder / f".tmp-{path.name}-{secrets.token_hex(8)}"
    with _locked(folder):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        _lock(descriptor)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
            if announce is not None:
                announce()
            with _locked(path.parent):
                _replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def clear_leftovers(parent: Path, name: str | None = None) -> int:
    """Removes what `publish_directory` and `write_atomic` of dead processes left in `parent`; returns how many.

    With `name`, only what was to become a file or folder of that name. A living process holds a lock on its own; where
    the file system has no locks, nothing is removed.
    """
    removed = 0
    with _locked(parent):
        for leftover in sorted(parent.glob(".tmp-*")):
            match = _LEFTOVER.fullmatch(leftover.name)
            if match is None or name not in (None, match["name"]):
                continue
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
                removed += not os.path.lexists(leftover)
            finally:
                os.close(descriptor)
    return removed


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to disk, and its own name, in case it has only just been made."""
    _sync(folder)
    # The folder above may be closed to us; then it was not we who made this one.
    with suppress(PermissionError):
        _sync(folder.absolute().parent)


@contextmanager
def _private_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, open to its owner alone, locked while it is in use and gone afterwards."""
    private = target.with_name(f".tmp-{target.name}-{secrets.token_hex(8)}")
    descriptor = None
    try:
        # Made and locked under the parent's lock: between the two, another process would take it for a leftover.
        with _locked(target.parent):
            private.mkdir(mode=0o700)
            descriptor = os.open(private, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            _lock(descriptor)
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def room_beside(folder: Path) -> Path:
    """The folder above, where a file may be made there and moved from there into `folder`; otherwise `folder`."""
    above = folder.resolve().parent
    usable = os.access(above, os.W_OK | os.X_OK) and above.stat().st_dev == folder.stat().st_dev
    return above if usable else folder


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
        if hasattr(os, "posix_fadvise"):
            # Whoever checks these bytes next must get them from the disk, not from memory.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
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
        raise _already_there(target)


def _already_there(target: Path) -> OutputExistsError:
    return OutputExistsError(target.name, "is already there", "Choose another name, or remove it first.")


def _rename_without_replacing(source: Path, target: Path) -> None:
    """`os.rename` would silently replace an empty directory (rename(2)); Linux can be asked not to (renameat2(2))."""
    code = _renameat2(source, target, _RENAME_NOREPLACE)
    if code in (errno.EEXIST, errno.ENOTEMPTY):
        raise _already_there(target)
    if code in _UNSUPPORTED:
        with _locked(target.parent):
            _refuse_existing(target)
            source.rename(target)
    elif code:
        raise OSError(code, os.strerror(code))


def _replace(source: Path, target: Path) -> None:
    """Puts `source` in the place of `target` and brings that to disk; where this fails, the old file comes back."""
    try:
        old = target.lstat().st_mode
    except FileNotFoundError:
        old = None
    # An exchange keeps the old file until the new one is safe (renameat2(2)); a folder must not be exchanged.
    exchange = old is not None and stat.S_ISREG(old) and _renameat2(source, target, _RENAME_EXCHANGE) == 0
    if not exchange:
        source.replace(target)
    try:
        sync_folder(target.parent)
    except BaseException:
        with suppress(OSError):
            if exchange:
                source.replace(target)
            elif old is None:
                target.unlink()
        raise


def _renameat2(source: Path, target: Path, flags: int) -> int:
    """0, or the error number; ENOSYS where the C library has no such call."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return errno.ENOSYS
    result = function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags)
    return ctypes.get_errno() if result else 0
