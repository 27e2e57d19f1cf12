"""A new root key in the place of an old one, which is kept: earlier releases can be looked up with no other.

The old key stays in the folder as `root.<key id>.key`. At every moment the path holds one whole key, the old or the
new, and the old one is never without a name. What a new root key means for a series of releases is decided by
`pipeline.pseudonymise`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sensai_release.errors import KeyFileError, OutputExistsError
from sensai_release.privacy.key_storage import create_files, place_of, sync_folder
from sensai_release.privacy.keyfile import (
    KeyInfo,
    RootKey,
    check_name,
    is_retired,
    key_files,
    load_root_key,
    new_root_text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The new key, the id of the old one, and the name under which the old one is kept beside it."""

    info: KeyInfo
    old_key_id: str
    kept_as: str


def rotate_root_key(path: Path, *, name: str | None = None) -> Rotation:
    """Puts a new root key at `path` and keeps the old one beside it; `name` is the old one's unless given.

    Raises `KeyFileError` when `path` holds no sound root key in use or another rotation is at work, and
    `OutputExistsError` when something else has the name for the old key. After a failure nothing has changed.
    """
    if name is not None:
        check_name(name)
    with _locked(path):
        old = load_root_key(path)
        if is_retired(path, old.key_id):
            raise KeyFileError(place_of(path), "is an old key already", "Name the root key that is in use.")
        kept = path.with_name(f"{path.stem}.{old.key_id}{path.suffix}")
        info, text = new_root_text(name if name is not None else old.name)
        temporary = path.with_name(f".new-{path.name}")
        # Left by a rotation that died: nobody has ever used that key.
        temporary.unlink(missing_ok=True)
        create_files([(temporary, text, 0o600)])
        try:
            _keep(path, kept, old)
            temporary.replace(path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                cause = "cannot be kept under a second name: the file system refuses"
                raise KeyFileError(place_of(path), cause, "Use a folder on a local disk.") from None
            raise
        sync_folder(path.parent)
    return Rotation(info=info, old_key_id=old.key_id, kept_as=kept.name)


def find_root_key(directory: Path, key_id: str) -> Path:
    """The root key with this id in a folder, in use or kept. Raises `KeyFileError` when it is not there."""
    for path, header in key_files(directory, "root"):
        if header.key_id == key_id:
            return path
    raise KeyFileError("the key folder", f"holds no root key {key_id}", "Put it back from its backup.")


def _keep(path: Path, kept: Path, old: RootKey) -> None:
    """Gives the old key its second name; a link is whole or not there, which a copy is not."""
    # The name is there when an earlier rotation died between its two steps.
    with contextlib.suppress(FileExistsError):
        os.link(path, kept, follow_symlinks=False)
    try:
        same = load_root_key(kept).secret == old.secret
    except KeyFileError:
        same = False
    if not same:
        raise OutputExistsError(place_of(kept), "is already there and is not the old key", "Move it away.")
    sync_folder(path.parent)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise KeyFileError(place_of(path), "is not there", "Name the root key that is in use.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KeyFileError(place_of(path), "is being replaced by another command", "Wait for it.") from None
        except OSError:  # some network file systems cannot lock a folder
            pass
        yield
    finally:
        os.close(descriptor)
