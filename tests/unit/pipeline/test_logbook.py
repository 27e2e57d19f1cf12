"""The log on disk: appended whole or not at all, repaired after a torn line, refused after any other change."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from release_kit import REVIEWER, STEWARD, TRUST, trust_in

from sensai_release.errors import ConfigurationError
from sensai_release.governance.log import PLACE
from sensai_release.pipeline.logbook import (
    CHECKPOINT_PLACE,
    open_intent,
    proof_of_release,
    read_log,
    record,
    sign_head,
    verify_log,
)
from sensai_release.pipeline.workspace import Workspace, init_workspace, open_workspace
from sensai_release.release.layout import MANIFEST, PROOF

DIGEST = "ab" * 32


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    init_workspace(tmp_path / "workspace")
    return open_workspace(tmp_path / "workspace")


@pytest.fixture
def logged(workspace: Workspace) -> Workspace:
    record(workspace, "build", {"ok": True})
    record(workspace, "release.intent", {"name": "synthetic-1.0.0"})
    record(workspace, "release", {"name": "synthetic-1.0.0", "manifest_sha256": DIGEST})
    return workspace


def test_what_is_recorded_is_read_back_with_its_time(logged: Workspace) -> None:
    entries = read_log(logged).entries
    assert [entry.event for entry in entries] == ["build", "release.intent", "release"]
    assert all(len(entry.at) == len("2026-03-14T10:32:00Z") for entry in entries)
    assert len({entry.salt for entry in entries}) == len(entries)


def test_a_workspace_without_a_log_has_an_empty_one(workspace: Workspace) -> None:
    report = verify_log(workspace, TRUST)
    assert report.ok
    assert report.entries == 0
    assert not (workspace.root / "log").exists()


def test_the_proof_of_a_release_holds_without_the_log(logged: Workspace) -> None:
    head = sign_head(logged, STEWARD)
    record(logged, "approve", {"name": "synthetic-1.0.0"})
    proof = proof_of_release(logged, DIGEST, head)
    assert proof is not None
    assert proof.holds()
    assert proof.head.signers({STEWARD.public}) == {STEWARD.public}
    assert proof_of_release(logged, "cd" * 32, head) is None


def test_a_signed_head_and_later_entries_verify(logged: Workspace) -> None:
    sign_head(logged, STEWARD)
    record(logged, "status", {})
    report = verify_log(logged, TRUST)
    assert report.ok
    assert report.signers == (STEWARD.name,)
    assert (report.entries, report.signed) == (4, 3)
    assert any("later than the signed head" in note for note in report.notes)
    stranger = verify_log(logged, trust_in(REVIEWER, reviewer=1))
    assert [fault.code for fault in stranger.faults] == ["log.signer"]


def test_the_end_cut_off(logged: Workspace) -> None:
    sign_head(logged, STEWARD)
    path = logged.root / PLACE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert [fault.code for fault in verify_log(logged, TRUST).faults] == ["log.cut"]


def with_release(workspace: Workspace) -> None:
    """A logged, proved release, and then an entry and a head that its proof does not know."""
    folder = workspace.releases / f"{workspace.params.series}-1.0.0"
    folder.mkdir()
    folder.joinpath(MANIFEST).write_bytes(b"{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    record(workspace, "build", {})
    record(workspace, "release", {"name": folder.name, "manifest_sha256": digest})
    sign_head(workspace, STEWARD)
    shutil.copytree(workspace.root / "log", workspace.root / "older")
    record(workspace, "approve", {"name": folder.name})
    proof = proof_of_release(workspace, digest, sign_head(workspace, REVIEWER))
    assert proof is not None
    folder.joinpath(PROOF).write_bytes(proof.to_bytes())


def put_back_an_older_log(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / "log")
    workspace.root.joinpath("older").rename(workspace.root / "log")


def write_another_log(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / "log")
    for _ in range(5):
        record(workspace, "build", {})
    sign_head(workspace, STEWARD)


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (put_back_an_older_log, ["log.cut"]),
        (write_another_log, ["log.release", "log.rewritten"]),
        (lambda workspace: shutil.rmtree(workspace.root / "log"), ["log.release", "log.cut"]),
    ],
)
def test_a_log_that_is_whole_in_itself_must_hold_the_releases_that_are_here(
    workspace: Workspace, spoil: Callable[[Workspace], object], codes: list[str]
) -> None:
    with_release(workspace)
    trust = trust_in(STEWARD, REVIEWER)
    assert verify_log(workspace, trust).ok
    spoil(workspace)
    report = verify_log(workspace, trust)
    assert [fault.code for fault in report.faults] == codes
    assert f"{workspace.params.series}-1.0.0" in report.faults[0].message


def test_a_torn_last_line_is_cut_off_and_logged(logged: Workspace) -> None:
    path = logged.root / PLACE
    path.write_bytes(path.read_bytes()[:-7])
    assert [fault.code for fault in verify_log(logged, None).faults] == ["log.torn"]
    record(logged, "build", {"ok": True})
    assert [entry.event for entry in read_log(logged).entries] == ["build", "release.intent", "log.repaired", "build"]
    assert verify_log(logged, None).ok


def test_nothing_is_added_to_a_changed_log(logged: Workspace) -> None:
    path = logged.root / PLACE
    changed = path.read_bytes().replace(b'"ok":true', b'"ok":false', 1)
    path.write_bytes(changed)
    with pytest.raises(ConfigurationError, match=r"log/log\.jsonl, line 2: does not follow"):
        record(logged, "build", {"ok": True})
    with pytest.raises(ConfigurationError):
        sign_head(logged, STEWARD)
    assert path.read_bytes() == changed


def test_a_link_in_the_place_of_the_log(workspace: Workspace) -> None:
    (workspace.root / "log").mkdir()
    elsewhere = workspace.root / "elsewhere"
    elsewhere.write_bytes(b"kept")
    (workspace.root / PLACE).symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"loop|links|symbolic"):
        record(workspace, "build", {"ok": True})
    assert elsewhere.read_bytes() == b"kept"


def test_a_damaged_head(logged: Workspace) -> None:
    sign_head(logged, STEWARD)
    path = logged.root / CHECKPOINT_PLACE
    path.write_text(path.read_text().replace("\n3\n", "\n2\n"))
    assert {fault.code for fault in verify_log(logged, TRUST).faults} == {"log.rewritten", "log.signer"}


def test_an_intent_without_its_end(workspace: Workspace) -> None:
    assert open_intent(workspace) is None
    intent = record(workspace, "release.intent", {"name": "synthetic-1.0.0"})
    assert open_intent(workspace) == intent
    record(workspace, "release", {"name": "synthetic-1.0.0", "manifest_sha256": DIGEST})
    assert open_intent(workspace) is None


def _write_many(root: str, name: str) -> None:
    for number in range(10):
        record(open_workspace(Path(root)), "build", {"name": name, "number": number})


def test_two_processes_write_one_whole_log(workspace: Workspace) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(os.fspath(workspace.root), name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    parsed = read_log(workspace)
    assert parsed.whole
    for name in "ab":
        numbers = [entry.facts["number"] for entry in parsed.entries if entry.facts["name"] == name]
        assert numbers == list(range(10))
