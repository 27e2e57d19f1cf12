"""What the command says when a standard stream is closed or full, or when somebody stops it: exit codes stand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from release_kit import TRUST, make_release

from sensai_release.release.trust import write_trust

from .conftest import TOOL


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("streams")
    for name in ("good", "bad"):
        make_release(root / name)
    root.joinpath("bad", "TERMS.md").unlink()
    write_trust(TRUST, root / "trust.json")
    return root


@pytest.mark.parametrize(("name", "code"), [("good", 0), ("bad", 1)])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_no_verdict(made: Path, name: str, code: int, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", str(TOOL), "--json", "verify", name, "--trust", "trust.json"],
        cwd=made, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if ">&-" not in closed.replace("2>&-", ""):
        assert json.loads(done.stdout)["ok"] is (code == 0)


@pytest.mark.parametrize("full", [">", "--json 2>"])
def test_a_verdict_that_cannot_be_written_is_no_verdict(made: Path, full: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {full}/dev/full', "sh", str(TOOL), "verify", "good", "--trust", "trust.json"],
        cwd=made, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["good", "bad"])
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_verdict_that_nobody_heard_is_neither(made: Path, name: str, words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run(
            [TOOL, *words, "verify", name, "--trust", "trust.json"],
            cwd=made, stdout=gone, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (141, False)


def test_whoever_stops_it_is_told_what_was_left(made: Path, tmp_path: Path) -> None:
    """A trust file that nobody writes: the command waits for it, so it is known where it is stopped."""
    os.mkfifo(tmp_path / "trust")
    command = [str(TOOL), "verify", str(made / "good"), "--trust", str(tmp_path / "trust")]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        tmp_path.joinpath("trust").open("wb"),  # opens when the command has
    ):
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (
        said.strip() == "sensai-release: stopped: nothing half-written was left. Run the command again when you like."
    )
