"""Two processes that publish under one name at the same time: one wins, the other is told, and nothing is mixed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from sensai_release.errors import OutputExistsError
from sensai_release.release.publish import publish_directory

FILES = [f"{folder}/part-{number}.txt" for folder in "abc" for number in range(4)]
_PATIENCE = 120


def build_all(name: str, root: str, rounds: int, start: Barrier, results: Queue[list[str]]) -> None:
    """Publishes once a round; in every second round the two have filled their folders before either renames one."""
    outcomes = []
    for number in range(rounds):

        def build(folder: Path, meet: bool = number % 2 == 0) -> None:
            for file in FILES:
                folder.joinpath(file).parent.mkdir(exist_ok=True)
                folder.joinpath(file).write_text(name)
            if meet:
                start.wait(_PATIENCE)

        start.wait(_PATIENCE)
        try:
            publish_directory(build, Path(root, f"release-{number}"))
            outcomes.append("won")
        except OutputExistsError:
            outcomes.append("lost")
    results.put([name, *outcomes])


def race(root: Path, rounds: int) -> dict[str, list[str]]:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    builders = [context.Process(target=build_all, args=(name, str(root), rounds, start, results)) for name in "xy"]
    for builder in builders:
        builder.start()
    found = {name: outcomes for name, *outcomes in (results.get(timeout=600) for _ in builders)}
    for builder in builders:
        builder.join()
    return found


def check(root: Path, rounds: int) -> dict[str, int]:
    outcomes = race(root, rounds)
    wins = {name: found.count("won") for name, found in outcomes.items()}
    for number in range(rounds):
        winners = [name for name, found in outcomes.items() if found[number] == "won"]
        assert len(winners) == 1, number
        release = root / f"release-{number}"
        assert sorted(p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()) == sorted(FILES)
        assert {release.joinpath(file).read_text() for file in FILES} == set(winners)
    assert sorted(path.name for path in root.iterdir()) == sorted(f"release-{number}" for number in range(rounds))
    return wins


def test_ten_rounds(tmp_path: Path) -> None:
    assert sum(check(tmp_path, 10).values()) == 10


@pytest.mark.long
def test_two_hundred_rounds(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    wins = check(tmp_path, 200)
    print(f"200 rounds: {wins}")
    record_property("wins", str(wins))
    assert sum(wins.values()) == 200
