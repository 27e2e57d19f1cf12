from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sensai_release.errors import KeyFileError, OutputExistsError
from sensai_release.privacy.key_rotation import find_root_key, rotate_root_key
from sensai_release.privacy.keyfile import find_key, load_root_key, write_private_key


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root.key"
    write_private_key(path, role="root", name="Data Office")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_key_is_found_and_the_old_one_kept(root: Path) -> None:
    old = load_root_key(root)
    rotation = rotate_root_key(root)
    assert rotation.old_key_id == old.key_id
    assert rotation.kept_as == f"root.{old.key_id}.key"
    assert names(root.parent) == sorted(["root.key", rotation.kept_as])
    new = load_root_key(find_key(root.parent, "root"))
    assert (new.key_id, new.name) == (rotation.info.key_id, "Data Office")
    assert new.key_id != old.key_id
    assert new.secret != old.secret
    kept = find_root_key(root.parent, old.key_id)
    assert kept.stat().st_mode & 0o777 == root.stat().st_mode & 0o777 == 0o600
    assert load_root_key(kept).secret == old.secret
    assert find_root_key(root.parent, new.key_id) == root


def test_every_old_key_is_kept(root: Path) -> None:
    secrets = {load_root_key(root).key_id: load_root_key(root).secret}
    for number in range(3):
        info = rotate_root_key(root, name=f"Office {number}").info
        secrets[info.key_id] = load_root_key(root).secret
    assert load_root_key(root).name == "Office 2"
    assert len(secrets) == 4
    for key_id, secret in secrets.items():
        assert load_root_key(find_root_key(root.parent, key_id)).secret == secret


def test_a_key_that_is_not_there_is_not_found(root: Path) -> None:
    with pytest.raises(KeyFileError, match="no root key 0123456789abcdef"):
        find_root_key(root.parent, "0123456789abcdef")


def test_only_a_sound_root_key_in_use_is_rotated(root: Path) -> None:
    folder = root.parent
    write_private_key(folder / "steward.key", role="steward", name="A")
    old = load_root_key(root).key_id
    rotate_root_key(root)
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    (folder / "link.key").symlink_to(root)
    refused = {
        "steward.key": "made for the role steward",
        f"root.{old}.key": "is an old key already",
        "absent.key": "not there",
        "link.key": "symbolic link",
    }
    for name, words in refused.items():
        with pytest.raises(KeyFileError, match=words):
            rotate_root_key(folder / name)
    with pytest.raises(KeyFileError, match="not there"):
        rotate_root_key(folder / "no folder" / "root.key")
    with pytest.raises(KeyFileError, match="--name"):
        rotate_root_key(root, name="two\nlines")
    root.chmod(0o640)
    with pytest.raises(KeyFileError, match="read by others"):
        rotate_root_key(root)
    (folder / "link.key").unlink()
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before


def test_what_has_the_name_of_the_old_key_is_not_overwritten(root: Path) -> None:
    before = root.read_bytes()
    taken = root.with_name(f"root.{load_root_key(root).key_id}.key")
    taken.write_text("precious")
    with pytest.raises(OutputExistsError, match="is already there"):
        rotate_root_key(root)
    assert taken.read_text() == "precious"
    assert root.read_bytes() == before
    assert names(root.parent) == sorted(["root.key", taken.name])


def test_a_failure_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = root.read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(KeyFileError, match="file system refuses"):
        rotate_root_key(root)
    assert names(root.parent) == ["root.key"]
    assert root.read_bytes() == before


# Dies at the n-th call of the system that changes or settles something, for every n until one rotation comes through.
_DYING = """
import os, sys
from pathlib import Path
from sensai_release.privacy.key_rotation import rotate_root_key
from sensai_release.privacy.keyfile import find_key, load_root_key, write_private_key

base = Path(sys.argv[1])
deaths = 0
while True:
    folder = base / str(deaths)
    folder.mkdir()
    path = folder / "root.key"
    write_private_key(path, role="root", name="A")
    old = load_root_key(path)
    child = os.fork()
    if child == 0:
        left = [deaths]
        for name in ("open", "fsync", "link", "replace", "rename", "unlink", "fchmod"):
            def dying(*arguments, _real=getattr(os, name), **named):
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return _real(*arguments, **named)
            setattr(os, name, dying)
        rotate_root_key(path)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    current = load_root_key(find_key(folder, "root"))
    kept = folder / f"root.{old.key_id}.key"
    assert current.key_id == old.key_id or load_root_key(kept).secret == old.secret
    assert status == 9 or current.key_id != old.key_id
    again = rotate_root_key(path)  # what was left behind is in nobody's way
    assert load_root_key(find_key(folder, "root")).key_id == again.info.key_id
    assert load_root_key(kept).secret == old.secret
    assert not [each.name for each in folder.iterdir() if each.name.startswith(".")]
    assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o600}
    if status == 0:
        break
    assert status == 9
    deaths += 1
print(deaths)
"""


def test_a_rotation_that_dies_anywhere_leaves_a_whole_key(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _DYING, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10


def test_two_rotations_at_once(root: Path) -> None:
    import fcntl

    descriptor = os.open(root.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(KeyFileError, match="replaced by another command"):
            rotate_root_key(root)
    finally:
        os.close(descriptor)
    rotate_root_key(root)
