"""Every byte of a release is covered: whatever is flipped, cut, renamed, added or linked is refused.

One release is made, changed in place and put back, so that thousands of changes take seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from release_kit import REVIEWER, STEWARD, TRUST, make_release, trust_in

from sensai_release.errors import SensaiReleaseError
from sensai_release.pipeline.logbook import record, sign_head, verify_log
from sensai_release.pipeline.workspace import init_workspace, open_workspace
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
    assert report.ok == (report.verdict == "valid, freshness unknown")
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


@dataclass(frozen=True)
class Target:
    """A data file that is attacked, another one, and a name that is free."""

    path: Path
    other: Path
    free: Path
    generator: random.Random

    @property
    def place(self) -> int:
        return self.generator.randrange(self.path.stat().st_size)


def flip_one(target: Target) -> None:
    changed, place = bytearray(target.path.read_bytes()), target.place
    changed[place] ^= target.generator.randrange(1, 256)
    target.path.write_bytes(changed)


def swap(target: Target) -> None:
    one, other = target.path.read_bytes(), target.other.read_bytes()
    target.path.write_bytes(other)
    target.other.write_bytes(one)


def splice(target: Target) -> None:
    place = target.place
    target.path.write_bytes(target.path.read_bytes()[:place] + target.other.read_bytes()[place:] + b"\0")


def link(target: Target) -> None:
    target.path.rename(target.free)
    target.path.symlink_to(target.generator.choice((target.free.name, str(target.other), "/dev/null", "..", "nowhere")))


def add(target: Target) -> None:
    target.free.write_bytes(target.generator.choice((b"", target.path.read_bytes(), target.generator.randbytes(99))))


TAMPERING: dict[str, Callable[[Target], object]] = {
    "flip": flip_one,
    "swap": swap,
    "splice": splice,
    "link": link,
    "add": add,
    "cut": lambda target: target.path.write_bytes(target.path.read_bytes()[: target.place]),
    "longer": lambda target: target.path.write_bytes(target.path.read_bytes() + target.generator.randbytes(9)),
    "rename": lambda target: target.path.rename(target.free),
    "hard link": lambda target: target.free.hardlink_to(target.path),
    "move": lambda target: target.path.rename(target.path.parents[2] / target.path.name),
}


@contextmanager
def tampered(release: Path, generator: random.Random) -> Iterator[str]:
    """One change of the data, of a kind, at a place and with a value drawn by lot; put back afterwards."""
    before = {path: path.read_bytes() for path in sorted((release / "data").rglob("*.parquet"))}
    path, other = generator.sample(list(before), 2)
    free = path.with_name(f"part-{generator.randrange(2, 99999):05d}.parquet")
    kind = generator.choice(list(TAMPERING))
    TAMPERING[kind](Target(path=path, other=other, free=free, generator=generator))
    try:
        yield kind
    finally:
        for stray in [*release.glob("*.parquet"), *(release / "data").rglob("*.parquet")]:
            if stray not in before or stray.is_symlink():
                stray.unlink()
        for file, content in before.items():
            if not file.exists() or file.read_bytes() != content:
                file.write_bytes(content)


def tamper(release: Path, number: int) -> dict[str, int]:
    """How many changes of each kind were refused. All must be."""
    generator = seeded(number)
    found: dict[str, int] = {}
    for _ in range(number):
        with tampered(release, generator) as kind:
            assert refused(release), kind
        found[kind] = found.get(kind, 0) + 1
    assert not refused(release)
    return found


def test_three_hundred_changes_of_the_data(release: Path) -> None:
    assert set(tamper(release, 300)) == set(TAMPERING)


@pytest.mark.long
def test_ten_thousand_changes_of_the_data(release: Path) -> None:
    found = tamper(release, 10_000)
    print(found)
    assert sum(found.values()) == 10_000


def log_survivors(tmp_path: Path, step: int) -> tuple[int, list[int]]:
    """Bits flipped in a log whose head is signed: how many were tried, and the places where nobody noticed."""
    init_workspace(tmp_path / "workspace")
    workspace = open_workspace(tmp_path / "workspace")
    for name in ("build", "release.intent", "release"):
        record(workspace, name, {"name": "synthetic-1.0.0", "manifest_sha256": "ab" * 32})
    sign_head(workspace, STEWARD)
    assert verify_log(workspace, TRUST).ok
    tried, unnoticed = 0, []
    for place in ("log/log.jsonl", "log/checkpoint"):
        path = workspace.root / place
        data = path.read_bytes()
        positions = list(range(0, len(data), step))
        for position, changed in zip(positions, flips(data, positions, seeded(place)), strict=True):
            with holding(path, changed):
                try:
                    noticed = not verify_log(workspace, TRUST).ok
                except SensaiReleaseError:
                    noticed = True
            tried += 1
            if not noticed:
                unnoticed.append(position)
    assert verify_log(workspace, TRUST).ok
    return tried, unnoticed


def test_sampled_flips_of_the_log(tmp_path: Path) -> None:
    tried, unnoticed = log_survivors(tmp_path, 7)
    assert tried > 100
    assert unnoticed == []


@pytest.mark.long
def test_every_flip_of_the_log(tmp_path: Path) -> None:
    tried, unnoticed = log_survivors(tmp_path, 1)
    assert tried > 1000
    assert unnoticed == []
