"""Death and power cut at every moment: old or new and nothing in between, and what was said to be done is done.

A run is killed at one system call after another (`crash_kit`); then what lies there is looked at, and the next run has
to end well. Power cuts are looked at twice: on real ext4 images, copied at the moment of death and mounted again, and
in a model of all the orders in which a disk may keep what was not brought to it (`disk_model`).
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from attacks import crash_kit as kit
from attacks.disk_model import CALLS, Disk, Tree, calls, settled_of
from release_kit import REVIEWER, STEWARD, trust_in

from sensai_release.errors import OutputExistsError
from sensai_release.pipeline.logbook import read_log
from sensai_release.privacy.keyfile import load_public_key_file, load_signing_key
from sensai_release.release.verify import verify_release

SIGKILL = 9

States = dict[str, Path]
Files = dict[str, str]


@pytest.fixture(scope="module")
def released(states: States) -> Files:
    """The one release that there may be: the same inputs give the same bytes."""
    return kit.tree(kit.release_in(states["countersign"]))


Look = Callable[[Path, str, Files], None]


def log_is_sound(root: Path) -> None:
    assert read_log(kit.workspace_in(root)).faults == ()


def look_at_release(root: Path, said: str, released: Files) -> None:
    log_is_sound(root)
    target = kit.release_in(root)
    if target.exists():
        assert kit.tree(target) == released
        assert verify_release(target, trust=kit.TRUST).ok
    logged = kit.events(root)
    assert "released" not in said or "release" in logged
    assert "release" not in logged or target.exists()
    assert not target.exists() or "release.intent" in logged


def look_at_countersignature(root: Path, said: str, released: Files) -> None:
    target = kit.release_in(root)
    found = kit.tree(target)
    assert {name: digest for name, digest in found.items() if name != "manifest.dsse.json"} == {
        name: digest for name, digest in released.items() if name != "manifest.dsse.json"
    }
    signed = verify_release(target, trust=trust_in(STEWARD, REVIEWER, steward=1, reviewer=1)).ok
    assert signed or (verify_release(target, trust=kit.TRUST).ok and "countersigned" not in said)


def look_at_file(root: Path, said: str, released: Files) -> None:
    data = (root / "settled" / "trust.json").read_bytes()
    assert data == kit.NEW if said else data in (kit.OLD, kit.NEW)


def look_at_new_file(root: Path, said: str, released: Files) -> None:
    path = root / "settled" / "other.json"
    assert path.read_bytes() == kit.NEW if said or path.exists() else True
    assert (root / "settled" / "trust.json").read_bytes() == kit.OLD


def look_at_log(root: Path, said: str, released: Files) -> None:
    log_is_sound(root)
    logged = kit.events(root)
    assert logged[: len(said.split())] == said.split()
    assert logged == ["build", "waiver"][: len(logged)]


def look_at_key(root: Path, said: str, released: Files) -> None:
    private, public = root / "keys" / "steward.key", root / "keys" / "steward.key.pub"
    assert {path.name for path in (root / "keys").iterdir()} <= {private.name, public.name}
    assert private.exists() or not public.exists()
    if private.exists():
        assert private.stat().st_mode & 0o777 == 0o600
        key = load_signing_key(private, roles=("steward",))
        assert not public.exists() or load_public_key_file(public).raw == key.public
    assert not said or public.exists()


LOOKS: dict[str, Look] = {
    "release": look_at_release,
    "countersign": look_at_countersignature,
    "file": look_at_file,
    "new file": look_at_new_file,
    "log": look_at_log,
    "key": look_at_key,
}


def run_again(scenario: str, root: Path, released: Files) -> None:
    """The next run ends well, and clears what was left."""
    if scenario == "key":
        try:
            kit.run_key(root)
        except OutputExistsError:
            # A whole pair is there: nothing is written over it.
            assert (root / "keys" / "steward.key.pub").exists()
        look_at_key(root, "key", released)
    elif scenario == "countersign":
        try:
            kit.run_countersign(root)
        except OutputExistsError:
            look_at_countersignature(root, "countersigned", released)
    elif scenario == "log":
        before = kit.events(root)
        kit.run_log(root)
        assert [event for event in kit.events(root) if event != "log.repaired"] == [*before, "build", "waiver"]
        assert read_log(kit.workspace_in(root)).whole
    else:
        kit.SCENARIOS[scenario](root)
        LOOKS[scenario](root, "released" if scenario == "release" else "written", released)
    if scenario == "release":
        assert kit.events(root).count("release") == 1
        assert read_log(kit.workspace_in(root)).whole
    assert kit.leftovers(root) == []
    assert kit.exposed(root) == []


# How often a run waits for a thread or asks for memory differs from run to run.
VARYING = ("futex", "mmap", "munmap", "mprotect", "madvise", "brk", "rt_sig", "sched_")


def spread(points: list[str], number: int) -> list[str]:
    """`number` of the points at even distances, the last among them."""
    points = [point for point in points if not point.startswith(VARYING)]
    return [points[round((n + 1) * len(points) / number) - 1] for n in range(min(number, len(points)))]


def points_of(runner: kit.Runner, states: States, scenario: str, folder: Path, which: str = "all") -> list[str]:
    shutil.copytree(states[scenario], folder)
    found = runner.points(scenario, folder, which)
    shutil.rmtree(folder)
    return [point.format("signal=KILL") for point in found]


def kill_at(
    runner: kit.Runner,
    states: States,
    scenario: str,
    points: list[str],
    folder: Path,
    released: Files,
) -> int:
    killed = 0
    for point in points:
        shutil.copytree(states[scenario], folder)
        run = runner.run(scenario, folder, inject=point)
        killed += run.signal == SIGKILL
        assert run.signal == SIGKILL or run.code == 0, point
        LOOKS[scenario](folder, run.said, released)
        assert kit.exposed(folder) == [], point
        run_again(scenario, folder, released)
        shutil.rmtree(folder)
    return killed


SHORT = {"release": 20, "countersign": 5, "file": 4, "new file": 3, "log": 4, "key": 4}


@pytest.mark.parametrize("scenario", kit.SCENARIOS)
def test_death_at_some_system_calls(
    runner: kit.Runner, states: States, released: Files, tmp_path: Path, scenario: str
) -> None:
    points = spread(points_of(runner, states, scenario, tmp_path / "case"), SHORT[scenario])
    # A run may make one call less than the run whose calls were counted; then it comes to its end.
    assert kill_at(runner, states, scenario, points, tmp_path / "case", released) >= 0.6 * SHORT[scenario]


@pytest.mark.long
@pytest.mark.parametrize("scenario", kit.SCENARIOS)
def test_death_at_every_system_call(
    runner: kit.Runner,
    states: States,
    released: Files,
    tmp_path: Path,
    scenario: str,
    record_property: Callable[[str, object], None],
) -> None:
    points = points_of(runner, states, scenario, tmp_path / "case")
    killed = kill_at(runner, states, scenario, points, tmp_path / "case", released)
    print(f"{scenario}: killed at {killed} of {len(points)} system calls")
    record_property("killed", killed)
    # Waiting for another thread (futex) takes another number of calls each time.
    assert killed >= 0.95 * len(points)
    assert scenario != "release" or killed >= 500


def test_what_is_half_built_is_closed_to_others(
    runner: kit.Runner, states: States, released: Files, tmp_path: Path
) -> None:
    """At each change of modes and at the rename: the moments at which a finished folder could lie open unpublished."""
    points = points_of(runner, states, "release", tmp_path / "case", "chmod,renameat2")
    seen = 0
    for point in points[-2:]:
        shutil.copytree(states["release"], tmp_path / "case")
        runner.run("release", tmp_path / "case", inject=point)
        private = [path for path in kit.leftovers(tmp_path / "case") if path.is_dir()]
        assert [path.stat().st_mode & 0o777 for path in private] == [0o700]
        seen += sum(kit.PLANTED in path.read_text("latin-1") for path in private[0].rglob("NOTE.txt"))
        shutil.rmtree(tmp_path / "case")
    assert seen == 2


# Power cuts, on real file systems.


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, states: States) -> Path:
    folder = tmp_path_factory.mktemp("images")
    if reason := kit.why_no_images(folder):
        pytest.skip(reason)
    kit.make_image(folder / "start.img")
    with kit.ext4(folder / "start.img", folder / "start") as mounted:
        for state in set(states.values()):
            shutil.copytree(state, mounted / state.name)
    return folder / "start.img"


def cut_power_at(
    runner: kit.Runner,
    image: Path,
    states: States,
    scenario: str,
    points: list[str | None],
    folder: Path,
    released: Files,
) -> int:
    """`None` cuts the power when the run has ended by itself, with nothing written back since.

    Returns how often the power was cut at a point; a run that makes a call less than was counted ends by itself too.
    """
    running, crashed = folder / "running.img", folder / "crashed.img"
    cut = 0
    for point in points:
        shutil.copyfile(image, running)
        with kit.ext4(running, folder / "running") as mounted:
            run = runner.run(scenario, mounted / states[scenario].name, inject=point)
            # What the device holds now; what the kernel still has in memory is not in it.
            shutil.copyfile(running, crashed)
        cut += run.signal == SIGKILL
        assert run.signal == SIGKILL or run.code == 0, point
        with kit.ext4(crashed, folder / "crashed") as mounted:
            root = mounted / states[scenario].name
            LOOKS[scenario](root, run.said, released)
            assert kit.exposed(root) == []
            run_again(scenario, root, released)
    return cut


@pytest.mark.parametrize("scenario", ["release", "countersign", "file", "log", "key"])
def test_some_power_cuts_on_ext4(
    runner: kit.Runner,
    image: Path,
    states: States,
    released: Files,
    tmp_path: Path,
    scenario: str,
) -> None:
    points = spread(points_of(runner, states, scenario, tmp_path / "case"), 8)
    assert cut_power_at(runner, image, states, scenario, [points[6], None], tmp_path, released) == 1


@pytest.mark.long
@pytest.mark.parametrize("scenario", kit.SCENARIOS)
def test_many_power_cuts_on_ext4(
    runner: kit.Runner,
    image: Path,
    states: States,
    released: Files,
    tmp_path: Path,
    scenario: str,
) -> None:
    changing = points_of(runner, states, scenario, tmp_path / "case", f"{CALLS},linkat,chmod,fchmod")
    print(f"{scenario}: power cut at {len(changing)} system calls that change or settle something, and at the end")
    cut = cut_power_at(runner, image, states, scenario, [*changing, None], tmp_path, released)
    assert cut >= 0.9 * len(changing)


# Power cuts, in every order that POSIX allows.


def model_release(state: Tree, start: Tree, final: Tree, done: int) -> None:
    inside = f"workspace/releases/{kit.NAME}/"
    wanted = {path: writes for path, writes in final.items() if path.startswith(inside)}
    found = {path: writes for path, writes in state.items() if path.startswith(inside)}
    log = "workspace/log/log.jsonl"
    assert found in ({}, wanted)
    if done:
        assert found == wanted
        assert (state[log], state["workspace/log/checkpoint"]) == (final[log], final["workspace/log/checkpoint"])
    elif state.get(log, 0) >= final[log]:
        assert found == wanted, "the log tells of a release that is not there"


def model_countersignature(state: Tree, start: Tree, final: Tree, done: int) -> None:
    inside = f"workspace/releases/{kit.NAME}/"
    envelope = f"{inside}manifest.dsse.json"
    kept = {path for path in start if path.startswith(inside)}
    assert {path for path in state if path.startswith(inside)} == kept, "a stray file makes a release invalid"
    assert all(state[path] == start[path] for path in kept - {envelope})
    assert state[envelope] == final[envelope] if done else state[envelope] in (start[envelope], final[envelope])


def model_file(state: Tree, start: Tree, final: Tree, done: int) -> None:
    path = "settled/trust.json"
    assert state[path] == final[path] if done else state[path] in (start[path], final[path])


def model_new_file(state: Tree, start: Tree, final: Tree, done: int) -> None:
    path = "settled/other.json"
    assert state.get(path) == final[path] if done else state.get(path) in (None, final[path])


def model_log(state: Tree, start: Tree, final: Tree, done: int) -> None:
    written = state.get("workspace/log/log.jsonl", 0)
    # A torn end is cut off by the next run; the lines that were announced come before it.
    assert (written if written >= 0 else settled_of(written)) >= done


MODELS = {
    "release": model_release,
    "countersign": model_countersignature,
    "file": model_file,
    "new file": model_new_file,
    "log": model_log,
}


def watch(disk: Disk, scenario: str, root: Path, trace: str) -> int:
    """Looks at every moment of a run for what a power cut may leave then; returns how many states that were."""
    moments, start = list(calls(trace)), disk.whole()
    after = Disk.copy_of(disk)
    for call, arguments in moments:
        after.apply(call, arguments)
    final = after.whole()
    assert set(final) == set(kit.tree(root)), "the model and the disk have come apart"
    generator = random.Random(scenario)  # noqa: S311 - a test must be the same every time
    done = looked = 0
    for call, arguments in moments:
        disk.apply(call, arguments)
        done += call == "write" and arguments.startswith("1<")
        states = [disk.after_power_cut(None), disk.after_power_cut(None, keep=True)]
        for state in [*states, *(disk.after_power_cut(generator) for _ in range(10))]:
            MODELS[scenario](state, start, final, done)
            looked += 1
    assert done >= 1
    return looked


@pytest.mark.parametrize("scenario", MODELS)
def test_power_cuts_in_every_order(runner: kit.Runner, states: States, tmp_path: Path, scenario: str) -> None:
    root = tmp_path / "case"
    shutil.copytree(states[scenario], root)
    disk = Disk(root)
    trace = runner.run(scenario, root, trace=CALLS).trace
    assert watch(disk, scenario, root, trace) > 100


def is_folder(path: str) -> bool:
    # Folders have no suffix here, but for the version at the end of a release's name; temporary files are of files.
    return not re.search(r"\.(json|jsonl|md|txt|html|py|parquet)(-[0-9a-f]{16})?$|(SHA256SUMS|checkpoint-\w+)$", path)


@pytest.mark.parametrize("scenario", ["release", "countersign", "log"])
@pytest.mark.parametrize("lost", ["file", "folder"])
def test_the_model_misses_no_fsync(
    runner: kit.Runner, states: States, tmp_path: Path, scenario: str, lost: str
) -> None:
    """Without the fsyncs of files, or of folders, the same runs would be found out: the model can fail."""
    root = tmp_path / "case"
    shutil.copytree(states[scenario], root)
    disk = Disk(root)
    kept = []
    for line in runner.run(scenario, root, trace=CALLS).trace.splitlines():
        match = re.search(r"fsync\(\d+<([^>]*)>", line)
        if match is None or is_folder(match[1]) != (lost == "folder"):
            kept.append(line)
    with pytest.raises(AssertionError):
        watch(disk, scenario, root, "\n".join(kept))
