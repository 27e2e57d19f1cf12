"""What a reviewer is shown before signing, and the checklist that an approval records."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from browser_kit import CHROMIUM, browser

from sensai_release.release.checklist import checklist
from sensai_release.release.documents import canonical_json

from .conftest import TOOL, Outcome, Story, run_tool

PROOF = "manifest.tlog-proof"


def unsigned(release: Path, target: Path) -> Path:
    """A copy of a release as it was before the reviewer signed it."""
    copy = target / release.name
    shutil.copytree(release, copy, dirs_exist_ok=True)
    envelope = copy / "manifest.dsse.json"
    document = json.loads(envelope.read_bytes())
    steward = steward_id(release.parents[1])
    document["signatures"] = [one for one in document["signatures"] if one["keyid"] == steward]
    envelope.write_bytes(canonical_json(document))
    (copy / PROOF).unlink()
    return copy


def steward_id(workspace: Path) -> str:
    entries = map(json.loads, (workspace / "log" / "log.jsonl").read_text().splitlines())
    return str(next(e["leaf"]["facts"]["signer"] for e in entries if e["leaf"]["event"] == "release"))


@pytest.fixture
def release(story: Story, tmp_path: Path) -> Path:
    """The newest release with the one before it beside it, and no workspace."""
    folder = tmp_path / "received"
    shutil.copytree(story.releases[0], folder / story.releases[0].name)
    return unsigned(story.releases[-1], folder)


def review(story: Story, path: Path, page: Path, *more: object) -> Outcome:
    return run_tool("--json", "review", path, "--trust", story.trust, "--html", page, *more)


def approve(story: Story, path: Path, *more: object) -> Outcome:
    return run_tool("--json", "approve", path, "--key", story.keys / "reviewer.key", "--trust", story.trust, *more)


def filled(path: Path, **changes: Any) -> dict[str, Any]:
    manifest = (path / "manifest.json").read_bytes()
    predicate = json.loads(manifest)["predicate"]
    digest = hashlib.sha256(manifest).hexdigest()
    items = {item.id: True for item in checklist().for_release(predicate)}
    return {"checklist": 1, "release": path.name, "manifest_sha256": digest, "items": items} | changes


def written(folder: Path, document: Any) -> Path:
    path = folder / "ticks.json"
    path.write_bytes(document if isinstance(document, bytes) else canonical_json(document))
    return path


def bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestReview:
    def test_a_release_and_the_one_before_it(self, story: Story, release: Path, tmp_path: Path) -> None:
        before = bytes_of(release.parent)
        outcome = review(story, release, tmp_path / "page.html")
        assert outcome.code == 0, outcome.said
        document = outcome.document
        assert document["ok"] is True
        assert document["signers"] == ["Demonstration data steward"]
        assert document["previous"]["version"] == "1.0.0"
        assert document["people"]["participants"] == {"added": 0, "removed": "<10"}
        assert set(document["people"]["groups"]["participants.group"]) == {"pain", "control"}
        assert [item["id"] for item in document["checklist"]["items"]][:3] == ["verified", "changed", "people"]
        assert {"k_min", "linkability_rank1"} <= {gate["name"] for gate in document["gates"]}
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert document["manifest_sha256"] in text
        assert "SYNTHETIC DATA" in text
        assert bytes_of(release.parent) == before
        again = review(story, release, tmp_path / "again.html")
        assert again.out == outcome.out
        assert (tmp_path / "again.html").read_text(encoding="utf-8") == text

    def test_without_a_page_it_says_how_to_get_one(self, story: Story, release: Path) -> None:
        outcome = run_tool("review", release, "--trust", story.trust)
        assert outcome.code == 0, outcome.said
        assert "--html FILE" in outcome.out
        assert "look at these first" in outcome.out

    def test_the_first_release(self, story: Story, tmp_path: Path) -> None:
        outcome = review(story, story.releases[0], tmp_path / "page.html")
        assert outcome.code == 0, outcome.said
        assert outcome.document["difference"] is None
        assert "changed" not in {item["id"] for item in outcome.document["checklist"]["items"]}
        assert "This is the first release of its series" in (tmp_path / "page.html").read_text(encoding="utf-8")

    def test_a_release_alone(self, story: Story, release: Path, tmp_path: Path) -> None:
        shutil.rmtree(release.parent / story.releases[0].name)
        outcome = review(story, release, tmp_path / "page.html")
        assert outcome.code == 0, outcome.said
        assert "does not lie beside" in (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "changed" in {item["id"] for item in outcome.document["checklist"]["items"]}

    def test_the_candidate(self, story: Story, tmp_path: Path) -> None:
        outcome = run_tool("-C", story.workspace, "--json", "review", "--html", tmp_path / "page.html")
        assert outcome.code == 0, outcome.said
        assert outcome.document["candidate"] is True
        assert outcome.document["previous"]["version"] == "2.0.0"
        assert outcome.document["findings"]["scan"] == {"ok": True, "findings": 0}
        assert "<form" not in (tmp_path / "page.html").read_text(encoding="utf-8")

    def test_no_workspace_and_no_candidate(self, tmp_path: Path) -> None:
        assert run_tool("-C", tmp_path, "review").code == 2
        assert run_tool("init", tmp_path / "new").code == 0
        outcome = run_tool("-C", tmp_path / "new", "review")
        assert outcome.code == 2
        assert "candidate" in outcome.err
        assert not (tmp_path / "new" / "reports" / "review.html").exists()

    def test_what_does_not_verify_is_not_read(self, story: Story, release: Path, tmp_path: Path) -> None:
        sheet = release / "datasheet.json"
        sheet.write_bytes(sheet.read_bytes().replace(b"registration", b"REGISTRATION"))
        outcome = review(story, release, tmp_path / "page.html")
        assert outcome.code == 1
        assert outcome.document["ok"] is False
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "Do not approve" in text
        assert "datasheet.json" in text
        assert "REGISTRATION" not in text
        assert "<form" not in text

    def test_a_release_before_that_is_another(self, story: Story, release: Path, tmp_path: Path) -> None:
        other = release.parent / story.releases[0].name
        shutil.rmtree(other)
        shutil.copytree(release, other)
        outcome = review(story, release, tmp_path / "page.html")
        assert outcome.code == 1
        assert "is not the release that this one says it follows" in outcome.document["refused"]

    def test_signed_by_a_stranger(self, release: Path, tmp_path: Path) -> None:
        assert run_tool("keygen", tmp_path / "other.key", "--role", "steward", "--name", "Another").code == 0
        assert run_tool("trust", "add", tmp_path / "trust.json", tmp_path / "other.key.pub").code == 0
        outcome = run_tool("--json", "review", release, "--trust", tmp_path / "trust.json")
        assert outcome.code == 1
        assert outcome.document["ok"] is False
        assert outcome.document["signers"] == []

    def test_without_a_trust_file_the_signer_is_unknown(self, release: Path, tmp_path: Path) -> None:
        outcome = run_tool("review", release, "--html", tmp_path / "page.html")
        assert outcome.code == 0
        assert "signer unknown" in outcome.out
        assert "Nobody checked who signed" in (tmp_path / "page.html").read_text(encoding="utf-8")

    @pytest.mark.parametrize("place", ["reports/page.html"])
    def test_the_page_never_lies_in_a_release(self, story: Story, release: Path, place: str) -> None:
        before = bytes_of(release)
        outcome = review(story, release, release / place)
        assert outcome.code == 2
        assert "inside a release" in outcome.err
        assert bytes_of(release) == before

    def test_what_is_no_release(self, tmp_path: Path) -> None:
        assert run_tool("review", tmp_path, "--html", tmp_path / "page.html").code == 2
        assert run_tool("review", tmp_path / "nowhere").code == 2
        assert not (tmp_path / "page.html").exists()

    def test_nothing_of_a_person_is_told(self, story: Story, release: Path, tmp_path: Path) -> None:
        outcome = review(story, release, tmp_path / "page.html")
        text = outcome.out + (tmp_path / "page.html").read_text(encoding="utf-8")
        part = release / "data" / "participants" / "part-00000.parquet"
        assert not any(key in text for key in pq.read_table(part)["participant_id"].to_pylist())
        assert "SYN0" not in text
        assert str(tmp_path) not in text


class TestChecklist:
    def test_a_complete_one_is_recorded(self, story: Story, release: Path, tmp_path: Path) -> None:
        document = filled(release)
        outcome = approve(story, release, "--checklist", written(tmp_path, document))
        assert outcome.code == 0, outcome.said
        assert outcome.document["checklist"] == 1
        digest = hashlib.sha256(canonical_json(document)).hexdigest()
        assert outcome.document["checklist_sha256"] == digest
        assert digest in outcome.err
        assert "send the line on the checklist along" in outcome.err
        assert run_tool("verify", release, "--trust", story.trust).code == 0

    def test_a_script_without_one_is_recorded_as_such(self, story: Story, release: Path) -> None:
        outcome = approve(story, release)
        assert outcome.code == 0, outcome.said
        assert outcome.document["checklist"] == "not given"
        assert "not given" in outcome.err

    def test_none_can_be_added_to_an_approval(self, story: Story, release: Path, tmp_path: Path) -> None:
        assert "none can be added" in approve(story, release).err
        before = bytes_of(release)
        again = approve(story, release, "--checklist", written(tmp_path, filled(release)))
        assert again.code == 2
        assert "has a signature by this key already, so the checklist that was given now is not recorded" in again.err
        assert "have another reviewer approve with one" in again.err
        assert bytes_of(release) == before

    def test_in_a_workspace_the_log_holds_it(self, story: Story, workspace_copy: Path, tmp_path: Path) -> None:
        path = workspace_copy / "releases" / story.releases[-1].name
        shutil.rmtree(path)
        unsigned(story.releases[-1], path.parent)
        ticks = written(tmp_path, filled(path))
        outcome = run_tool(
            "-C", workspace_copy, "--json", "approve", path, "--key", story.keys / "reviewer.key",
            "--trust", story.trust, "--checklist", ticks,
        )  # fmt: skip
        assert outcome.code == 0, outcome.said
        entry = run_tool("-C", workspace_copy, "--json", "log", "show").document["entries"][-1]
        assert entry["event"] == "approve"
        assert entry["facts"]["checklist"] == 1
        assert entry["facts"]["checklist_sha256"] == outcome.document["checklist_sha256"]
        checked = run_tool("-C", workspace_copy, "--json", "log", "verify", "--trust", story.trust)
        assert checked.code == 0, checked.said
        assert checked.document["signers"] == ["Demonstration reviewer"]
        assert checked.document["signed_entries"] == checked.document["entries"]

    def test_an_open_point_stops_it_and_is_logged(self, story: Story, workspace_copy: Path, tmp_path: Path) -> None:
        path = workspace_copy / "releases" / story.releases[-1].name
        shutil.rmtree(path)
        unsigned(story.releases[-1], path.parent)
        document = filled(path)
        document["items"]["people"] = False
        before = bytes_of(path)
        outcome = run_tool(
            "-C", workspace_copy, "approve", path, "--key", story.keys / "reviewer.key",
            "--trust", story.trust, "--checklist", written(tmp_path, document),
        )  # fmt: skip
        assert outcome.code == 1
        assert "not complete: people" in outcome.err
        assert bytes_of(path) == before
        entry = run_tool("-C", workspace_copy, "--json", "log", "show").document["entries"][-1]
        assert (entry["event"], entry["facts"]["by"]) == ("approve.refused", "the checklist")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"release": "sensai-dbd-1.0.0"}, "another release"),
            (b'{"checklist":1,"checklist":1}', "same key twice"),
            (b" " * 100_000, "too large"),
        ],
    )  # fmt: skip
    def test_one_that_does_not_fit_is_refused(
        self, story: Story, release: Path, tmp_path: Path, changes: Any, words: str
    ) -> None:
        before = bytes_of(release)
        document = changes if isinstance(changes, bytes) else filled(release, **changes)
        outcome = approve(story, release, "--checklist", written(tmp_path, document))
        assert outcome.code == 2
        assert words in outcome.err
        assert len(outcome.err.splitlines()[-1]) < 400
        assert bytes_of(release) == before

    def test_an_unknown_point_and_a_missing_file(self, story: Story, release: Path, tmp_path: Path) -> None:
        document = filled(release)
        document["items"]["unheard_of"] = True
        assert approve(story, release, "--checklist", written(tmp_path, document)).code == 2
        assert approve(story, release, "--checklist", tmp_path / "nowhere.json").code == 2


def answer(command: list[object], answers: str) -> tuple[int, str]:
    """Runs a command on a terminal where somebody types one letter after each question."""
    master, slave = pty.openpty()
    words = [str(TOOL), *map(str, command)]
    process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, close_fds=True)
    os.close(slave)
    said, left, end = "", list(answers), time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([master], [], [], 0.2)[0]:
            try:
                data = os.read(master, 1 << 16)
            except OSError:
                break
            if not data:
                break
            said += data.decode("utf-8", "replace")
            while left and said.count("[y/N]:") > len(answers) - len(left):
                os.write(master, f"{left.pop(0)}\n".encode())
    process.wait(timeout=30)
    os.close(master)
    return process.returncode, said


class TestOnATerminal:
    def test_each_point_is_asked(self, story: Story, release: Path) -> None:
        count = len(filled(release)["items"])
        command = ["approve", release, "--key", story.keys / "reviewer.key", "--trust", story.trust]
        code, said = answer(command, "y" * (count + 1))
        assert code == 0, said
        assert "sensai-release review" in said
        assert said.count("[y/N]:") == count + 1
        assert "Checklist: version 1, complete" in said

    @pytest.mark.parametrize("answers", ["n", "yyyyyyyyyn"])
    def test_one_no_ends_it(self, story: Story, release: Path, answers: str) -> None:
        before = bytes_of(release)
        command = ["approve", release, "--key", story.keys / "reviewer.key", "--trust", story.trust]
        code, said = answer(command, answers)
        assert code in (1, 2), said
        assert said.count("[y/N]:") == len(answers)
        assert bytes_of(release) == before


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_from_the_page_to_the_signature(story: Story, release: Path, tmp_path: Path) -> None:
    page_file = tmp_path / "page.html"
    assert review(story, release, page_file).code == 0
    with browser(tmp_path / "profile") as page:
        page.call("Runtime.enable")
        page.call("Log.enable")
        page.open(page_file)
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        page.evaluate("for (const box of document.querySelectorAll('#checklist-form input')) box.click()")
        # Browsers let a page start a download only when somebody has clicked.
        page.call("Runtime.evaluate", expression="document.getElementById('save').click()", userGesture=True)
        saved = tmp_path / f"{release.name}-checklist.json"
        end = time.monotonic() + 20
        while not saved.exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert page.complaints == []
        assert {url.partition(":")[0] for url in page.requests} <= {"file", "blob"}
        for width in (360, 768, 1280):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            page.call("Emulation.setDeviceMetricsOverride", **size)
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), width
    outcome = approve(story, release, "--checklist", saved)
    assert outcome.code == 0, outcome.said
    assert outcome.document["checklist"] == 1
