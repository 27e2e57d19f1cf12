"""Every byte of a release is covered: whatever is flipped, cut, renamed, added or linked is refused.

One release is made, changed in place and put back, so that thousands of changes take seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from release_kit import REVIEWER, STEWARD, TRUST, make_release, trust_in

from sensai_release.release.sealing import countersign_release
from sensai_release.release.trust import Trust
from sensai_release.release.verify import verify_release

SIGNED = ("manifest.json", "manifest.dsse.json")


def seeded(seed: object) -> random.Random:
    return random.Random(str(seed))  # noqa: S311 - a test must be the same every time


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("attack") / "release"
    make_release(root)
    return root


@contextmanager
def holding(path: Path, data: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def refused(release: Path, trust: Trust = TRUST) -> bool:
    report = verify_release(release, trust=trust)
    assert report.ok == (report.verdict == "valid")
    return not report.ok


def flips(data: bytes, positions: list[int], generator: random.Random) -> Iterator[bytes]:
    for position in positions:
        changed = bytearray(data)
        changed[position] ^= 1 << generator.randrange(8)
        yield bytes(changed)


def survivors(release: Path, name: str, positions: list[int] | None = None, trust: Trust = TRUST) -> list[int]:
    """The positions whose change is *not* noticed."""
    path = release / name
    data = path.read_bytes()
    tried = list(range(len(data))) if positions is None else positions
    unnoticed = []
    for position, changed in zip(tried, flips(data, tried, seeded(name)), strict=True):
        with holding(path, changed):
            if not refused(release, trust):
                unnoticed.append(position)
    return unnoticed


def test_the_release_is_valid_before_and_after(release: Path) -> None:
    assert not refused(release)


@pytest.mark.parametrize("name", SIGNED)
def test_sampled_flips_of_what_is_signed(release: Path, name: str) -> None:
    size = release.joinpath(name).stat().st_size
    edges = [*range(40), *range(size - 160, size)]
    assert survivors(release, name, edges + seeded(1).sample(range(40, size - 160), 150)) == []
    assert not refused(release)


@pytest.mark.long
@pytest.mark.parametrize("name", [*SIGNED, "SHA256SUMS"])
def test_every_flip_of_what_is_signed(release: Path, name: str) -> None:
    assert survivors(release, name) == []


def test_every_flip_of_the_second_signature_when_it_is_asked_for(tmp_path: Path) -> None:
    make_release(tmp_path)
    countersign_release(tmp_path, REVIEWER)
    trust = trust_in(STEWARD, REVIEWER, steward=1, reviewer=1)
    assert not refused(tmp_path, trust)
    size = tmp_path.joinpath("manifest.dsse.json").stat().st_size
    assert survivors(tmp_path, "manifest.dsse.json", list(range(size - 260, size)), trust) == []


def payload_files(release: Path) -> list[Path]:
    return sorted(path for path in release.rglob("*") if path.is_file())


def test_random_flips_of_every_file(release: Path) -> None:
    generator = seeded(2)
    for path in payload_files(release):
        name = path.relative_to(release).as_posix()
        size = path.stat().st_size
        assert survivors(release, name, [0, size - 1, *generator.choices(range(size), k=8)]) == [], name


CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": lambda data, generator: data[: generator.randrange(len(data))],
    "cut one": lambda data, _: data[:-1],
    "empty": lambda data, _: b"",
    "longer": lambda data, _: data + b"\0",
    "newline": lambda data, _: data + b"\n",
    "twice": lambda data, _: data + data,
    "zeros": lambda data, _: bytes(len(data)),
    "from the middle": lambda data, generator: data[(cut := generator.randrange(1, len(data))) :] + data[:cut],
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_changed_content_of_every_file(release: Path, change: str) -> None:
    generator = seeded(change)
    for path in payload_files(release):
        with holding(path, CHANGES[change](path.read_bytes(), generator)):
            assert refused(release), path.name
    assert not refused(release)


def test_every_file_missing_renamed_or_linked(release: Path) -> None:
    for path in payload_files(release):
        aside = release.parent / "aside"
        path.rename(aside)
        try:
            assert refused(release), f"{path.name} missing"
            path.symlink_to(aside)
            assert refused(release), f"{path.name} linked"
            path.unlink()
            path.mkdir()
            assert refused(release), f"{path.name} a folder"
            path.rmdir()
        finally:
            aside.rename(path)
        renamed = path.with_name(f"{path.stem}-2{path.suffix}")
        path.rename(renamed)
        try:
            assert refused(release), f"{path.name} renamed"
        finally:
            renamed.rename(path)
    assert not refused(release)


def test_something_added_in_every_folder(release: Path) -> None:
    for folder in [release, *(path for path in sorted(release.rglob("*")) if path.is_dir())]:
        for name in ("part-00009.parquet", "._README.md", ".DS_Store", "Thumbs.db", "__init__.py"):
            extra = folder / name
            extra.write_bytes(b"")
            try:
                assert refused(release), name
            finally:
                extra.unlink()
    assert not refused(release)


def test_files_swapped_for_one_another(release: Path) -> None:
    files = payload_files(release)
    for one, other in zip(files, [*files[1:], files[0]], strict=True):
        first, second = one.read_bytes(), other.read_bytes()
        if first != second:
            with holding(one, second), holding(other, first):
                assert refused(release), (one.name, other.name)
    assert not refused(release)
