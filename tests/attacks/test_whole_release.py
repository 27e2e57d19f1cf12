"""Death of the whole command `release`, with DVC, git and escrow, and the same command again.

`test_crash` kills what `release` does with disk and log at every system call; here the real process and the programs
that it starts die (`whole_release`), all together, or one of them alone. Whatever lies there then, the release is
absent or whole under its name, and the same command completes it: one release, logged, tagged, in DVC, with its escrow.

The long form (`pytest -m long tests/attacks/test_whole_release.py`) takes about ten seconds a point;
SENSAI_RELEASE_TEST_POINTS sets how many points there are (60 by default), with other ones for each
SENSAI_RELEASE_TEST_SEED.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import stat
import subprocess
from collections.abc import Callable, Iterator

import pytest
from attacks import crash_kit, whole_release
from attacks.whole_release import NAME, PLANTED, Place, Point, Who

from sensai_release.pipeline.logbook import read_log, verify_log
from sensai_release.pipeline.workspace import open_workspace
from sensai_release.privacy.age import decrypt
from sensai_release.privacy.escrow import Escrow, load_escrow_private_key
from sensai_release.release.trust import load_trust
from sensai_release.release.verify import verify_release

PROGRAMS = ("release", "dvc", "git add", "git commit", "git tag")
Files = dict[str, str]


@pytest.fixture(scope="module")
def points(place: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Every call of each program at which it can die, in a run that nobody disturbs."""
    if reason := crash_kit.why_not(tmp_path_factory.mktemp("scratch")):
        pytest.skip(reason)
    place.restore()
    ended = whole_release.traced(place)
    assert ended.code == 0, ended.errors
    return {program: [call for name, call in ended.stops if name == program] for program in PROGRAMS}


@pytest.fixture(scope="module")
def released(place: Place, points: dict[str, list[str]]) -> Files:
    """The one release that there may be: the same candidate gives the same bytes."""
    assert all(points.values())
    look_when_done(place, crash_kit.tree(place.release))
    return crash_kit.tree(place.release)


def git(place: Place, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=place.workspace, capture_output=True, text=True, check=True)
    return done.stdout


def raw_identifiers(place: Place) -> list[str]:
    lines = (place.workspace / "data" / "source" / "participants.csv").read_text().splitlines()
    return [line.partition(",")[0] for line in lines[1:]]


def exposed(place: Place) -> list[str]:
    """Files where there must be no plaintext: of the release outside its places, of an identifier anywhere."""
    found = []
    before = crash_kit.tree(place.root / "kept")
    raw = raw_identifiers(place)
    own = (place.release, *(place.workspace / name for name in (".dvc/cache", "release-store", "data")))
    for path in [p for folder in (place.workspace, place.scratch) for p in folder.rglob("*") if p.is_file()]:
        name = path.relative_to(place.root).as_posix()
        if path.is_relative_to(place.workspace) and path.relative_to(place.workspace).as_posix() in before:
            continue
        text = path.read_text("latin-1")
        if any(word in text for word in raw) and not path.is_relative_to(place.workspace / "data"):
            found.append(name)
        closed = any(p.name.startswith(".tmp-") and stat.S_IMODE(p.stat().st_mode) == 0o700 for p in path.parents)
        if PLANTED in text and not closed and not any(path.is_relative_to(folder) for folder in own):
            found.append(name)
    return found


def look_after_death(place: Place, released: Files) -> None:
    """Absent, or whole and the one that there may be; logged only if it is there."""
    if os.path.lexists(place.release):
        assert crash_kit.tree(place.release) == released
        assert verify_release(place.release, trust=load_trust(place.root / "trust.json")).ok
    workspace = open_workspace(place.workspace)
    log = read_log(workspace)
    assert log.faults == ()
    logged = [entry.event for entry in log.entries]
    assert ("release" in logged) <= place.release.exists()
    assert place.release.exists() <= ("release.intent" in logged)
    assert not git(place, "tag").split() or "release" in logged
    assert exposed(place) == []


def look_when_done(place: Place, released: Files) -> None:
    assert crash_kit.tree(place.release) == released
    assert verify_release(place.release, trust=load_trust(place.root / "trust.json")).ok
    workspace = open_workspace(place.workspace)
    assert verify_log(workspace, load_trust(place.root / "trust.json")).ok
    assert [entry.event for entry in read_log(workspace).entries].count("release") == 1
    assert git(place, "tag").split() == [NAME]
    assert git(place, "cat-file", "-t", NAME).strip() == "tag"
    assert git(place, "status", "--porcelain") == ""
    assert f"releases/{NAME}.dvc" in git(place, "ls-tree", "-r", "--name-only", NAME).split()
    git(place, "fsck", "--strict")
    assert list((place.workspace / ".git").rglob("*.lock")) == []
    assert crash_kit.leftovers(place.workspace) == []
    assert list(place.scratch.iterdir()) == []
    stored_in_dvc(place, released)
    escrow_opens(place)
    assert exposed(place) == []


def stored_in_dvc(place: Place, released: Files) -> None:
    """The remote holds every file of the release that the file in git names, whole."""
    words = (place.workspace / "releases" / f"{NAME}.dvc").read_text().split()
    (listing,) = [word for word in words if word.endswith(".dir")]
    store = place.workspace / "release-store" / "files" / "md5"
    entries = json.loads((store / listing[:2] / listing[2:]).read_text())
    assert {
        entry["relpath"]: hashlib.sha256((store / entry["md5"][:2] / entry["md5"][2:]).read_bytes()).hexdigest()
        for entry in entries
    } == released


def escrow_opens(place: Place) -> None:
    (sealed,) = (place.workspace / "escrow").glob("*.age")
    key = load_escrow_private_key(place.keys / "escrow.key")
    plain = decrypt(sealed.read_bytes(), key.identity, sealed.name)
    escrow = Escrow.from_dict(json.loads(plain), sealed.name)
    assert escrow.file_name == sealed.name
    assert len(escrow.kinds) == 2


def die_and_go_on(place: Place, point: Point, who: Who, released: Files) -> str:
    """Returns how it went on: "done", "was done" where nothing was left to do, or "not reached"."""
    place.restore()
    ended = whole_release.traced(place, point, who)
    assert "Traceback" not in ended.errors
    if not ended.killed:
        # How often threads wait for one another differs, so the last calls of a run are not always made.
        assert ended.code == 0, (point, ended.errors)
        look_when_done(place, released)
        return "not reached"
    look_after_death(place, released)
    tagged = NAME in git(place, "tag").split()
    again = place.run("release", whole_release.VERSION)
    assert again.stderr.count("\n") <= 1
    if tagged and again.returncode == 2:
        assert "is already there" in again.stderr
    else:
        assert again.returncode == 0, (point, who, again.stderr)
    look_when_done(place, released)
    return "done" if again.returncode == 0 else "was done"


def test_death_in_each_program(place: Place, points: dict[str, list[str]], released: Files) -> None:
    """In the middle of DVC's work, while git holds the lock on its index, and between commit and tag."""
    locked = next(n for n, call in enumerate(points["git add"], start=1) if "index.lock" in call)
    # Threads of DVC make more calls in one run than in another: where half-way is not reached, an earlier one is.
    halfway = (("dvc", len(points["dvc"]) // share) for share in (2, 4, 8))
    assert any(die_and_go_on(place, point, "all", released) == "done" for point in halfway)
    assert die_and_go_on(place, ("git add", locked), "one", released) == "done"
    # git makes folders for its objects by their hashes, which hold the time: the last calls are not always made either.
    at_the_end = (("git commit", len(points["git commit"]) - back) for back in (1, 4, 8, 16))
    assert any(die_and_go_on(place, point, "all", released) == "done" for point in at_the_end)


def drawn(points: dict[str, list[str]]) -> Iterator[tuple[Point, Who]]:
    """Points by lot, as many in each program as in any other; half of them the death of that program alone."""
    generator = random.Random(os.environ.get("SENSAI_RELEASE_TEST_SEED", "whole"))  # noqa: S311 - the same every time
    for number in range(int(os.environ.get("SENSAI_RELEASE_TEST_POINTS", "60"))):
        program = PROGRAMS[number % len(PROGRAMS)]
        yield (program, generator.randint(1, len(points[program]))), generator.choice(("all", "one"))


@pytest.mark.long
def test_death_at_many_points(
    place: Place,
    points: dict[str, list[str]],
    released: Files,
    record_property: Callable[[str, object], None],
) -> None:
    outcomes = [die_and_go_on(place, point, who, released) for point, who in drawn(points)]
    killed = len(outcomes) - outcomes.count("not reached")
    all_points = sum(map(len, points.values()))
    print(f"killed at {killed} of {all_points} points; {outcomes.count('was done')} times all was done")
    record_property("killed", killed)
    assert killed >= 0.9 * len(outcomes)
