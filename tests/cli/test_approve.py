"""Four eyes: a release counts when a second person has looked at it and signed; the log holds what was done."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Outcome, Story, run_tool

PROOF = "manifest.tlog-proof"


@pytest.fixture(scope="module")
def cut(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the story's workspace with one more release that nobody has approved."""
    workspace = tmp_path_factory.mktemp("approve") / "workspace"
    shutil.copytree(story.workspace, workspace, symlinks=True)
    # A copied source is a new one: its files have other time stamps.
    assert run_tool("-C", workspace, "build", key_dir=story.keys).code == 0
    outcome = run_tool("-C", workspace, "release", "3.0.0", "--key", story.keys / "steward.key", key_dir=story.keys)
    assert outcome.code == 0, outcome.said
    return workspace


@pytest.fixture
def workspace(cut: Path, tmp_path: Path) -> Path:
    shutil.copytree(cut, tmp_path / "workspace", symlinks=True)
    return tmp_path / "workspace"


def newest(workspace: Path) -> Path:
    return max(path for path in (workspace / "releases").iterdir() if path.is_dir())


def approve(story: Story, workspace: Path, *more: object, key: str = "reviewer.key") -> Outcome:
    path = newest(workspace)
    return run_tool(
        "-C", workspace, "--json", "approve", path, "--key", story.keys / key, "--trust", story.trust, *more
    )


def events(workspace: Path) -> list[str]:
    document = run_tool("-C", workspace, "--json", "log", "show").document
    return [entry["event"] for entry in document["entries"]]


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_signature_is_no_approval_and_two_are(story: Story, workspace: Path) -> None:
    release = newest(workspace)
    before = bytes_of(release)
    assert run_tool("verify", release, "--trust", story.trust).code == 1
    outcome = approve(story, workspace)
    assert outcome.code == 0, outcome.said
    document = outcome.document
    assert document["logged"]
    assert document["proof"]
    assert document["signers"] == ["Demonstration data steward"]
    assert document["previous"]["version"] == "2.0.0"
    assert set(document["difference"]["tables"]) >= {"participants", "face_windows"}
    assert {gate["name"] for gate in document["gates"] if gate["before"] is not None} >= {"k_min", "l_min"}
    # The cohort is too small for the audit: what cannot be assessed is not shown as passed.
    shown = [line for line in outcome.err.splitlines() if line.split()[:1] == ["linkability_rank1"]]
    assert shown
    assert all(line.rstrip().endswith("cannot be assessed") for line in shown)
    verified = run_tool("--json", "verify", release, "--trust", story.trust)
    assert verified.code == 0, verified.said
    assert verified.document["signers"] == ["Demonstration data steward", "Demonstration reviewer"]
    after = bytes_of(release)
    changed = {path.as_posix() for path in after if before.get(path) != after[path]}
    assert changed == {"manifest.dsse.json", PROOF}


def test_the_log_and_git_hold_the_approval(story: Story, workspace: Path) -> None:
    assert approve(story, workspace).code == 0
    assert events(workspace)[-2:] == ["release", "approve"]
    outcome = run_tool("-C", workspace, "--json", "log", "verify", "--trust", story.trust)
    assert outcome.code == 0, outcome.said
    assert outcome.document["signers"] == ["Demonstration reviewer"]
    left = subprocess.run(
        ["git", "status", "--porcelain", "--", "log", "releases"],
        cwd=workspace, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert left.stdout == ""
    again = approve(story, workspace)
    assert again.code == 2
    assert "already" in again.err


def test_a_changed_log_is_seen_and_stops_the_next_entry(story: Story, workspace: Path) -> None:
    log = workspace / "log" / "log.jsonl"
    log.write_text(log.read_text().replace('"name":"sensai-dbd-1.0.0"', '"name":"sensai-dbd-9.0.0"', 1))
    outcome = run_tool("-C", workspace, "--json", "log", "verify", "--trust", story.trust)
    assert outcome.code == 1
    assert outcome.document["faults"][0]["code"] == "log.chain"
    envelope = (newest(workspace) / "manifest.dsse.json").read_bytes()
    assert approve(story, workspace).code == 2
    assert (newest(workspace) / "manifest.dsse.json").read_bytes() == envelope


def test_a_proof_of_another_release_is_refused(story: Story, workspace: Path) -> None:
    assert approve(story, workspace).code == 0
    older = sorted(path for path in (workspace / "releases").iterdir() if path.is_dir())[1]
    shutil.copyfile(older / PROOF, newest(workspace) / PROOF)
    outcome = run_tool("--json", "verify", newest(workspace), "--trust", story.trust)
    assert outcome.code == 1
    assert any(p["path"] == PROOF for step in outcome.document["steps"] for p in step["problems"])


def test_what_does_not_verify_is_not_signed_and_the_refusal_is_logged(story: Story, workspace: Path) -> None:
    victim = newest(workspace) / "TERMS.md"
    victim.write_bytes(victim.read_bytes() + b"\n")
    before = bytes_of(newest(workspace))
    outcome = approve(story, workspace)
    assert outcome.code == 1
    assert "does not verify" in outcome.err
    assert bytes_of(newest(workspace)) == before
    assert events(workspace)[-1] == "approve.refused"


def test_a_release_that_follows_another_one_than_it_says(story: Story, workspace: Path) -> None:
    before = sorted(path for path in (workspace / "releases").iterdir() if path.is_dir())
    shutil.rmtree(before[1])
    shutil.copytree(before[0], before[1])
    outcome = approve(story, workspace)
    assert outcome.code == 1
    assert "follows" in outcome.err


@pytest.mark.parametrize("key", ["steward.key", "root.key", "escrow.key"])
def test_only_a_reviewers_key_approves(story: Story, workspace: Path, key: str) -> None:
    before = bytes_of(newest(workspace))
    assert approve(story, workspace, key=key).code == 2
    assert bytes_of(newest(workspace)) == before


def test_a_reviewer_whom_the_trust_file_does_not_name(story: Story, workspace: Path, tmp_path: Path) -> None:
    assert run_tool("keygen", tmp_path / "other.key", "--role", "reviewer", "--name", "Another").code == 0
    before = bytes_of(newest(workspace))
    command = ("approve", newest(workspace), "--key", tmp_path / "other.key", "--trust", story.trust)
    outcome = run_tool("-C", workspace, *command)
    assert outcome.code == 2
    assert "trust file" in outcome.err
    assert bytes_of(newest(workspace)) == before


def test_the_steward_under_another_key_is_still_the_steward(story: Story, workspace: Path, tmp_path: Path) -> None:
    name = "Demonstration data steward"
    assert run_tool("keygen", tmp_path / "second.key", "--role", "reviewer", "--name", name).code == 0
    trust = tmp_path / "trust.json"
    people = (story.keys / "steward.key.pub", tmp_path / "second.key.pub")
    assert run_tool("trust", "add", trust, *people).code == 0
    command = ("approve", newest(workspace), "--key", tmp_path / "second.key", "--trust", trust)
    outcome = run_tool("-C", workspace, *command)
    assert outcome.code == 2
    assert "Two people" in outcome.err


REFUSED_SIGNERS = {
    "absent": "key file absent.key: ",
    "open": "key file open.key: ",
    "cut": "key file cut.key: ",
    "steward": "key file steward.key: was made for the role steward",
    "unregistered": "--key: is not that of a reviewer in the trust file",
    "revoked": "--key: is revoked",
    "the steward's own": "--key: belongs to a person who has signed as steward",
}


@pytest.mark.parametrize("kind", REFUSED_SIGNERS)
def test_who_cannot_approve_is_told_before_anything_is_read(story: Story, cut: Path, tmp_path: Path, kind: str) -> None:
    """A damaged release says whether it was looked at: then the verdict on it, exit 1, would come first."""
    release = tmp_path / newest(cut).name
    shutil.copytree(newest(cut), release)
    release.joinpath("TERMS.md").unlink()
    trust, key = tmp_path / "trust.json", tmp_path / f"{kind}.key"
    document = json.loads(story.trust.read_text())
    people = {person["name"]: person for person in document["people"]}
    if kind in ("open", "cut", "revoked"):
        text = (story.keys / "reviewer.key").read_text()
        key.write_text(text[:-60] if kind == "cut" else text)
        key.chmod(0o644 if kind == "open" else 0o600)
    elif kind == "steward":
        key = story.keys / "steward.key"
    elif kind != "absent":
        name = "Demonstration data steward" if "own" in kind else "Another"
        made = run_tool("--json", "keygen", key, "--role", "reviewer", "--name", name)
        assert made.code == 0
    if kind == "revoked":
        people["Demonstration reviewer"]["revoked"] = "2020-01-01"
    trust.write_text(json.dumps(document))
    if "own" in kind:
        assert run_tool("trust", "add", trust, f"{key}.pub").code == 0
    outcome = run_tool("approve", release, "--key", key, "--trust", trust, cwd=tmp_path)
    assert outcome.code == 2, outcome.said
    assert outcome.err.startswith(f"sensai-release: {REFUSED_SIGNERS[kind]}")
    assert outcome.err.count("\n") == 1
    sound = run_tool("approve", release, "--key", story.keys / "reviewer.key", "--trust", story.trust, cwd=tmp_path)
    assert sound.code == 1
    assert "does not verify" in sound.err


@pytest.mark.parametrize("name", ["Demonstration  DATA steward", "Demonstr\u0430tion data steward"])
def test_a_name_like_that_of_the_steward_is_not_registered(story: Story, tmp_path: Path, name: str) -> None:
    trust = tmp_path / "trust.json"
    shutil.copyfile(story.trust, trust)
    assert run_tool("keygen", tmp_path / "k.key", "--role", "reviewer", "--name", "Placeholder").code == 0
    public = tmp_path / "k.key.pub"
    public.write_text(public.read_text().replace("Placeholder", name))
    outcome = run_tool("trust", "add", trust, public)
    assert outcome.code == 2
    assert outcome.err.startswith("sensai-release: public key: has a name that ")
    assert outcome.err.count("\n") == 1
    assert trust.read_bytes() == story.trust.read_bytes()


def test_a_reviewer_with_nothing_but_the_release(story: Story, cut: Path, tmp_path: Path) -> None:
    copy = tmp_path / newest(cut).name
    shutil.copytree(newest(cut), copy)
    outcome = run_tool("approve", copy, "--key", story.keys / "reviewer.key", cwd=tmp_path)
    assert outcome.code == 0, outcome.said
    assert "Nobody checked who signed this as steward" in outcome.said
    assert "Send" in outcome.said
    assert not (copy / PROOF).exists()
    assert run_tool("verify", copy, "--trust", story.trust).code == 0
    assert json.loads((copy / "manifest.dsse.json").read_text())["signatures"].__len__() == 2


def test_a_key_made_in_a_workspace_that_is_in_use_is_logged(workspace: Path, tmp_path: Path) -> None:
    made = run_tool("-C", workspace, "--json", "keygen", tmp_path / "r.key", "--role", "recipient")
    assert made.code == 0, made.said
    last = run_tool("-C", workspace, "--json", "log", "show").document["entries"][-1]
    assert last["event"] == "key"
    assert last["facts"] == {"role": "recipient", "id": made.document["key_id"], "rotated": False}
