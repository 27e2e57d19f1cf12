"""Rotation of the root key and the escrow as a steward uses them, on copies of the finished workspace."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sensai_release.pipeline.escrow import write_escrow
from sensai_release.pipeline.workspace import Workspace

from .conftest import TOOL, Outcome, Story, run_tool


def show(workspace: Path, target: object, line: bytes, *options: object, key_dir: Path | None = None) -> Outcome:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SENSAI_RELEASE")}
    if key_dir is not None:
        environment["SENSAI_RELEASE_KEY_DIR"] = str(key_dir)
    command = [TOOL, "-C", workspace, "escrow", "show", target, *options]
    done = subprocess.run(
        [str(part) for part in command], input=line, capture_output=True, env=environment, check=False
    )
    outcome = Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert "Traceback" not in outcome.said, outcome.said
    return outcome


@pytest.fixture
def keys(story: Story, tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    shutil.copytree(story.keys, folder)
    for path in folder.glob("escrow.key*"):
        path.unlink()
    return folder


@pytest.fixture
def sealed(workspace_copy: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace with an escrow for each of its releases."""
    shutil.rmtree(workspace_copy / "escrow", ignore_errors=True)
    assert run_tool("keygen", keys / "escrow.key", "--role", "escrow", "--name", "Steward").code == 0
    monkeypatch.setenv("SENSAI_RELEASE_KEY_DIR", str(keys))
    for version in ("1.0.0", "2.0.0"):
        assert write_escrow(Workspace(root=workspace_copy), version).file
    return workspace_copy


def withdrawn(story: Story) -> str:
    """The one who is in the first release alone: the demonstration writes this day of withdrawal for one person."""
    with (story.source / "consent.csv").open(newline="") as file:
        [person] = [row["participant_id"] for row in csv.DictReader(file) if row["withdrawn_at"] == "2026-06-30"]
    return person


def test_a_withdrawal_is_traced_in_either_direction(story: Story, sealed: Path, keys: Path) -> None:
    first, second = (path.name for path in story.releases)
    person = withdrawn(story)
    found = show(sealed, second, f"{person}\n".encode(), "--json", key_dir=keys)
    assert found.code == 0, found.said
    [pair] = found.document["pairs"]
    assert (pair["kind"], pair["raw"]) == ("participant", person)
    [held] = found.document["releases"]
    assert (held["release"], held["by"], held["here"]) == (first, "both", True)
    back = show(sealed, f"releases/{first}", pair["pseudonym"].encode(), key_dir=keys)
    assert back.code == 0
    assert person in back.out
    assert first in back.out
    assert second not in back.out
    table = story.releases[0] / "data" / "participants"
    assert pair["pseudonym"] in pq.read_table(table)["participant_id"].to_pylist()


def test_the_escrow_key_may_lie_in_a_safe(story: Story, sealed: Path, keys: Path, tmp_path: Path) -> None:
    shutil.move(keys / "escrow.key", tmp_path / "safe.key")
    line = withdrawn(story).encode()
    assert show(sealed, story.releases[0].name, line, key_dir=keys).code == 2
    assert show(sealed, story.releases[0].name, line, "--key", tmp_path / "safe.key", key_dir=keys).code == 0
    [file] = (sealed / "escrow").glob("*-1.0.0.*.age")
    alone = show(tmp_path, file, line, "--key", tmp_path / "safe.key")
    assert alone.code == 0
    assert "escrow" in alone.out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "one line of text"),
        (b"SYN0001\nSYN0002\n", "one line of text"),
        (b"\xff\xfe", "one line of text"),
        (b"S" * 5000, "one line of text"),
        (b"S" * 300, "visible characters"),
        (b"SYN\x000001", "visible characters"),
        ("SYN\u200b0001".encode(), "visible characters"),
        (b"  \n", "visible characters"),
    ],
)
def test_what_is_no_identifier(story: Story, sealed: Path, keys: Path, line: bytes, words: str) -> None:
    outcome = show(sealed, story.releases[0].name, line, key_dir=keys)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1


def test_the_identifier_is_no_argument(story: Story, sealed: Path, keys: Path) -> None:
    assert show(sealed, story.releases[0].name, b"", withdrawn(story), key_dir=keys).code == 2


def test_nobody_held_is_a_verdict(story: Story, sealed: Path, keys: Path) -> None:
    outcome = show(sealed, story.releases[0].name, b"SYN9999\n", "--json", key_dir=keys)
    assert outcome.code == 1
    assert outcome.document == {"ok": False, "pairs": [], "releases": [], "not_searched": []}


def test_a_wrong_key_and_a_changed_file_end_in_one_line(story: Story, sealed: Path, keys: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    assert run_tool("keygen", other, "--role", "escrow").code == 0
    line = withdrawn(story).encode()
    before = sorted(tmp_path.rglob("*"))
    wrong = [show(sealed, story.releases[0].name, line, "--key", other, key_dir=keys)]
    wrong.append(show(sealed, story.releases[0].name, line, "--key", keys / "root.key", key_dir=keys))
    [file] = (sealed / "escrow").glob("*-1.0.0.*.age")
    good = file.read_bytes()
    for data in (good[: len(good) // 2], good[:-5] + b"xxxxx", b""):
        file.write_bytes(data)
        wrong.append(show(sealed, story.releases[0].name, line, key_dir=keys))
    for outcome in wrong:
        assert outcome.code == 2
        assert outcome.out == ""
        assert len(outcome.err.splitlines()) == 1
        assert line.decode() not in outcome.err
        assert str(tmp_path) not in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(shutil.which("age") is None, reason="the command age is not installed")
def test_debians_age_opens_an_escrow(story: Story, sealed: Path, keys: Path) -> None:
    [file] = (sealed / "escrow").glob("*-2.0.0.*.age")
    done = subprocess.run(["age", "--decrypt", "-i", keys / "escrow.key", file], capture_output=True, check=True)
    document = json.loads(done.stdout)
    assert done.stdout == json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert f"{document['series']}-{document['version']}" == story.releases[1].name
    assert withdrawn(story) not in dict(document["kinds"]["participant"])


def test_a_rotated_key_stops_the_series_and_not_the_look_up(story: Story, sealed: Path, keys: Path) -> None:
    done = run_tool("--json", "keygen", keys / "root.key", "--role", "root", "--rotate")
    assert done.code == 0, done.said
    old = done.document["replaced"]
    assert old["kept_as"] == f"root.{old['key_id']}.key"
    assert done.document["key_id"] != old["key_id"]
    assert (keys / old["kept_as"]).read_bytes() == (story.keys / "root.key").read_bytes()
    for command in ("build", "pseudonymise"):
        refused = run_tool("-C", sealed, command, key_dir=keys)
        assert refused.code == 2
        assert "change 'series' in params.yaml" in refused.err
    assert (sealed / "work" / "pseudonymised").exists()
    found = show(sealed, story.releases[0].name, withdrawn(story).encode(), "--json", key_dir=keys)
    assert [held["by"] for held in found.document["releases"]] == ["both"]
    params = sealed / "params.yaml"
    params.write_text(params.read_text().replace("series: sensai-dbd", "series: sensai-dbd-second"))
    assert run_tool("-C", sealed, "pseudonymise", key_dir=keys).code == 0


@pytest.mark.parametrize("role", ["steward", "reviewer", "recipient", "escrow"])
def test_only_root_keys_are_rotated(tmp_path: Path, role: str) -> None:
    assert run_tool("keygen", tmp_path / "key", "--role", role).code == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    outcome = run_tool("keygen", tmp_path / "key", "--role", role, "--rotate")
    assert outcome.code == 2
    assert "--rotate" in outcome.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_keygen_overwrites_no_public_half(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text("precious")
    for role in ("steward", "reviewer", "recipient", "escrow", "root"):
        assert run_tool("keygen", tmp_path / "key", "--role", role).code == 2
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("key.pub", "precious")]
