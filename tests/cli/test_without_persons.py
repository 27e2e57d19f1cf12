"""What cannot be protected is refused: sources, schemas and releases without persons, and policies with a hole.

Each refusal names file or place, cause and next step, exits 2, leaves nothing behind and shows no value. An empty table
beside persons is none of these: it is a result.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from .conftest import Story, run_tool

TABLES = ("participants", "sessions", "pain_scores", "analgesics", "questionnaire", "consent", "voice_functionals")


@pytest.fixture
def workspace(story: Story, tmp_path: Path) -> Path:
    """A workspace with the demonstration's source, nothing built."""
    root = tmp_path / "workspace"
    shutil.copytree(
        story.workspace, root, ignore=shutil.ignore_patterns("work", "releases", "reports", "release-store", "tmp")
    )
    return root


@pytest.fixture
def validated(workspace: Path, story: Story) -> Path:
    """The same, its source validated."""
    shutil.copytree(story.workspace / "work" / "validated", workspace / "work" / "validated")
    return workspace


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text(encoding="utf-8")
    after = change(before)
    assert after != before
    path.write_text(after, encoding="utf-8")


def header_only(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").splitlines(keepends=True)[0], encoding="utf-8")


def nobody_at_all(workspace: Path) -> None:
    source = workspace / "data" / "source"
    for name in TABLES:
        header_only(source / f"{name}.csv")
    for folder in ("face", "voice_lld"):
        shutil.rmtree(source / folder, ignore_errors=True)
    rewrite(workspace / "schemas" / "face.yaml", lambda text: text.replace("source: {", "source: {optional: true, ", 1))


def nobody_consents(workspace: Path) -> None:
    rewrite(workspace / "data" / "source" / "consent.csv", lambda text: text.replace(",yes,", ",no,"))


def another_word_for_yes(workspace: Path) -> None:
    rewrite(workspace / "params.yaml", lambda text: text.replace('equals: "yes"', 'equals: "ja"'))


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (nobody_at_all, "participants.csv (table participants): holds no person"),
        (nobody_consents, "consent.csv (table consent): lets nobody be released"),
        (another_word_for_yes, "consent.csv (table consent): lets nobody be released"),
    ],
)
def test_a_source_that_leaves_nobody(workspace: Path, story: Story, spoil: Callable[[Path], None], place: str) -> None:
    spoil(workspace)
    assert run_tool("-C", workspace, "validate").code == 0
    outcome = run_tool("-C", workspace, "pseudonymise", key_dir=story.keys)
    assert outcome.code == 2, outcome.said
    assert place in outcome.err
    assert "params.yaml" in outcome.err
    assert "SYN0" not in outcome.said
    assert not (workspace / "work" / "pseudonymised").exists()
    assert not (workspace / "work" / "pseudonymised.json").exists()


def without_foreign_keys(workspace: Path) -> None:
    rewrite(
        workspace / "schemas" / "questionnaire.yaml",
        lambda text: re.sub(r"foreign_keys:\n(  - .*\n)+", "", text),
    )


@pytest.mark.parametrize("command", [["schema", "check"], ["build"]])
def test_a_schema_without_a_path_to_persons(workspace: Path, story: Story, command: list[str]) -> None:
    without_foreign_keys(workspace)
    outcome = run_tool("-C", workspace, *command, key_dir=story.keys)
    assert outcome.code == 2, outcome.said
    assert "schemas/questionnaire.yaml: releases rows that lead to no person" in outcome.err
    assert "the foreign key session_id" in outcome.err


def emptied(release: Path) -> None:
    for part in (release / "data" / "participants").glob("*.parquet"):
        pq.write_table(pq.read_table(part).slice(0, 0), part)


def unlinked(release: Path) -> None:
    path = release / "schemas" / "questionnaire.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | {"foreign_keys": []}), encoding="utf-8")


def without_a_table_of_persons(release: Path) -> None:
    (release / "schemas" / "participants.json").unlink()
    shutil.rmtree(release / "data" / "participants")


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (emptied, "data/participants: holds no person"),
        (unlinked, "schemas/questionnaire.json: describes rows that lead to no person"),
        (without_a_table_of_persons, "schemas: describe no table with one row a person"),
    ],
)
def test_the_risk_of_a_release_without_persons(
    story: Story, tmp_path: Path, spoil: Callable[[Path], None], place: str
) -> None:
    release = tmp_path / "release"
    shutil.copytree(story.releases[0], release)
    spoil(release)
    outcome = run_tool("--json", "risk", release)
    assert outcome.code == 2, outcome.said
    assert outcome.document == {"ok": False, "exit": 2, "error": outcome.err.strip().removeprefix("sensai-release: ")}
    assert place in outcome.err
    assert "again" in outcome.err


def test_an_empty_table_beside_persons_is_a_result(workspace: Path, story: Story) -> None:
    header_only(workspace / "data" / "source" / "analgesics.csv")
    outcome = run_tool("-C", workspace, "--json", "build", key_dir=story.keys)
    assert outcome.code == 0, outcome.said
    candidate, package = workspace / "work" / "candidate", workspace / "work" / "package"
    parts = [pq.read_table(part) for part in (candidate / "data" / "analgesics").glob("*.parquet")]
    assert [part.num_rows for part in parts] == [0]
    assert "analgesic_class" in parts[0].column_names
    risk = json.loads((workspace / "reports" / "risk.json").read_text(encoding="utf-8"))
    shown = {entry["name"]: entry for entry in risk["attributes"]}["analgesics.analgesic_class"]
    assert shown["categories"] == 0
    datasheet = (package / "DATASHEET.md").read_text(encoding="utf-8")
    assert re.search(r"analgesics.*\| 0 \|", datasheet)


def short_hierarchy(workspace: Path) -> None:
    rewrite(workspace / "schemas" / "hierarchies" / "tumour.yaml", lambda text: re.sub(r"\n  lung: .*", "", text))


def absent_operand(workspace: Path) -> None:
    rewrite(workspace / "schemas" / "participants.yaml", lambda text: text.replace("weight_kg /", "weight_lb /"))


def absent_session_column(workspace: Path) -> None:
    rewrite(workspace / "params.yaml", lambda text: text.replace("withdrawn: withdrawn_at", "withdrawn: withdrawn_on"))


def unclassified(workspace: Path) -> None:
    rewrite(
        workspace / "schemas" / "participants.yaml",
        lambda text: text.replace("class: clinical", "class: undecided", 1),
    )


def undescribed(workspace: Path) -> None:
    rewrite(
        workspace / "data" / "source" / "questionnaire.csv",
        lambda text: "\n".join(f"{line},{'ward' if not n else 'w'}" for n, line in enumerate(text.splitlines())) + "\n",
    )


@pytest.mark.parametrize(
    ("spoil", "place", "code"),
    [
        (short_hierarchy, "schemas/hierarchies/tumour.yaml", 2),
        (absent_operand, "schemas/participants.yaml: bmi", 2),
        (absent_session_column, "params.yaml: consent", 2),
        (unclassified, "schemas", 2),
        # A column of the data that no entry speaks for is a finding like other faults of the source.
        (undescribed, "questionnaire.csv", 1),
    ],
)
def test_a_policy_with_a_hole(
    workspace: Path, story: Story, spoil: Callable[[Path], None], place: str, code: int
) -> None:
    spoil(workspace)
    outcome = run_tool("-C", workspace, "build", key_dir=story.keys)
    assert outcome.code == code, outcome.said
    assert place in outcome.said
    assert not (workspace / "work" / "candidate").exists()


def headed(secret: bytes) -> str:
    """A well-formed key file of a root key that nobody drew at random."""
    lines = ["sensai-release-key: 1", "role: root", "name: root", "key-id: 0123456789abcdef"]
    label = "SENSAI RELEASE ROOT KEY"
    body = base64.b64encode(secret).decode("ascii")
    return "\n".join([*lines, f"-----BEGIN {label}-----", body, f"-----END {label}-----", ""])


@pytest.mark.parametrize(
    "content",
    ["", "correct horse battery staple\n", headed(bytes(32)), headed(bytes(range(16))), headed(b"correct horse " * 2)],
    ids=["empty", "passphrase", "zeros", "short", "text"],
)
def test_a_weak_or_malformed_root_key(validated: Path, story: Story, tmp_path: Path, content: str) -> None:
    keys = tmp_path / "keys"
    shutil.copytree(story.keys, keys)
    (keys / "root.key").write_text(content)
    (keys / "root.key").chmod(0o600)
    outcome = run_tool("-C", validated, "pseudonymise", key_dir=keys)
    assert outcome.code == 2
    assert "root.key" in outcome.err
    assert str(keys) not in outcome.said
    lines = content.strip().splitlines()
    assert not lines or (lines[5] if len(lines) > 1 else lines[0]) not in outcome.said
    assert not (validated / "work" / "pseudonymised").exists()
