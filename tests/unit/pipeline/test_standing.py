"""Announcing, withdrawing and re-activating in a workspace, and the memory of whoever verifies."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from release_kit import PREDICATE, REVIEWER, STEWARD, TRUST, fill, trust_in

from sensai_release.cli.app import run
from sensai_release.errors import (
    ConfigurationError,
    KeyFileError,
    OutputExistsError,
    SensaiReleaseError,
    VerificationError,
)
from sensai_release.pipeline import standing
from sensai_release.pipeline.logbook import read_log, record, verify_log
from sensai_release.pipeline.trusting import add_people
from sensai_release.pipeline.workspace import Workspace, init_workspace, open_workspace
from sensai_release.privacy.keyfile import load_signing_key, write_private_key
from sensai_release.release.dsse import add_signature, sign
from sensai_release.release.sealing import countersign_release, seal_release
from sensai_release.release.status import Seen, StatusDocument, check_status, read_envelope, sign_status
from sensai_release.release.trust import Trust, load_trust, write_trust
from sensai_release.release.verify import StatusFile, VerificationReport, verify_release

DAY = date(2026, 3, 10)


def payload_sha256(envelope: bytes) -> str:
    return hashlib.sha256(base64.b64decode(json.loads(envelope)["payload"])).hexdigest()


class Place:
    """A workspace with two small releases, and two people's keys outside it."""

    def __init__(self, root: Path) -> None:
        init_workspace(root / "workspace")
        self.workspace = open_workspace(root / "workspace")
        self.series = self.workspace.params.series
        self.keys = {role: root / f"{role}.key" for role in ("steward", "reviewer")}
        for role, path in self.keys.items():
            write_private_key(path, role=role, name=f"Synthetic {role}")  # type: ignore[arg-type]
        self.trust_file = root / "trust.json"
        add_people(self.trust_file, [Path(f"{path}.pub") for path in self.keys.values()])
        write_trust(replace(load_trust(self.trust_file), threshold={"steward": 1, "reviewer": 1}), self.trust_file)

    @property
    def trust(self) -> Trust:
        return load_trust(self.trust_file)

    @property
    def file(self) -> Path:
        return self.workspace.releases / f"{self.series}-status.json"

    def release(self, version: str) -> Path:
        path = self.workspace.releases / f"{self.series}-{version}"
        path.mkdir()
        fill(path)
        made = seal_release(path, {**PREDICATE, "series": self.series, "version": version}, self.key("steward"))
        digest = hashlib.sha256(made.to_bytes()).hexdigest()
        record(self.workspace, "release", {"name": path.name, "manifest_sha256": digest})
        countersign_release(path, self.key("reviewer"))
        return path

    def key(self, role: str) -> Any:
        return load_signing_key(self.keys[role])

    def announce(self, **named: Any) -> standing.Announcement:
        return standing.announce(self.workspace, key=self.keys["steward"], **({"as_of": DAY} | named))

    def withdraw(self, version: str, role: str = "steward", **named: Any) -> standing.Announcement:
        given: dict[str, Any] = {"reason": "error_in_data", "as_of": DAY, "key": self.keys[role]}
        return standing.withdraw(self.workspace, version, **(given | named))

    def reactivate(self, version: str) -> standing.Announcement:
        return standing.reactivate(self.workspace, version, key=self.keys["steward"], as_of=DAY)

    def countersign(self, role: str = "reviewer") -> standing.Announcement:
        return standing.countersign(self.workspace, key=self.keys[role])

    def states(self) -> dict[str, str]:
        document = StatusDocument.from_bytes(read_envelope(self.file.read_bytes()).payload)
        return {entry.version: entry.state for entry in document.releases}

    def verdict(self, version: str, today: date = DAY) -> str:
        return self.verify(version, today).verdict

    def verify(self, version: str, today: date = DAY, data: bytes | None = None) -> VerificationReport:
        seen, _ = standing.highest_seen(self.trust)
        status = StatusFile(data=data or self.file.read_bytes(), seen=seen)
        path = self.workspace.releases / f"{self.series}-{version}"
        return verify_release(path, trust=self.trust, today=today, status=status)

    def events(self) -> list[tuple[str, int]]:
        entries = [entry for entry in read_log(self.workspace).entries if entry.event == "status"]
        return [(entry.facts["action"], entry.facts["status_version"]) for entry in entries]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("standing")
    place = Place(root)
    place.release("1.0.0")
    place.release("2.0.0")
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Place:
    """A copy: making keys and releases takes longer than a test."""
    root = tmp_path / "place"
    shutil.copytree(made, root)
    copy = object.__new__(Place)
    copy.workspace = open_workspace(root / "workspace")
    copy.series = copy.workspace.params.series
    copy.keys = {role: root / f"{role}.key" for role in ("steward", "reviewer")}
    copy.trust_file = root / "trust.json"
    return copy


# The life of a series


def test_two_people_make_the_newest_release_current(place: Place) -> None:
    first = place.announce()
    assert (first.signatures, first.document.version) == (1, 1)
    assert first.document.expires == DAY + timedelta(days=standing.VALID_DAYS)
    assert place.verdict("2.0.0") == "valid, freshness unknown"
    assert place.countersign().signatures == 2
    assert place.states() == {"1.0.0": "superseded", "2.0.0": "active"}
    assert (place.verdict("1.0.0"), place.verdict("2.0.0")) == ("superseded", "valid and current")
    assert place.verdict("2.0.0", first.document.expires) == "valid and current"
    assert place.verdict("2.0.0", first.document.expires + timedelta(days=1)) == "valid, freshness unknown"


@pytest.mark.parametrize("role", ["steward", "reviewer"])
def test_one_person_withdraws_and_two_re_activate(place: Place, role: str) -> None:
    place.announce()
    place.countersign()
    assert place.withdraw("2.0.0", role).signatures == 1
    assert place.verdict("2.0.0") == "withdrawn"
    assert place.states() == {"1.0.0": "superseded", "2.0.0": "withdrawn"}
    place.reactivate("2.0.0")
    assert place.verdict("2.0.0") == "valid, freshness unknown"
    place.countersign()
    assert place.verdict("2.0.0") == "valid and current"
    assert place.events() == [
        ("announce", 1), ("countersign", 1), ("withdraw", 2), ("reactivate", 3), ("countersign", 3),
    ]  # fmt: skip


def test_an_earlier_release_can_take_the_place_of_a_withdrawn_one(place: Place) -> None:
    place.announce()
    place.withdraw("2.0.0")
    place.announce()
    assert place.states() == {"1.0.0": "superseded", "2.0.0": "withdrawn"}
    place.reactivate("1.0.0")
    assert place.states() == {"1.0.0": "active", "2.0.0": "withdrawn"}
    place.announce()
    assert place.states() == {"1.0.0": "active", "2.0.0": "withdrawn"}
    place.reactivate("2.0.0")
    assert place.states() == {"1.0.0": "superseded", "2.0.0": "active"}
    place.withdraw("1.0.0")
    place.reactivate("1.0.0")
    assert place.states() == {"1.0.0": "superseded", "2.0.0": "active"}


def test_a_new_release_supersedes_and_a_withdrawn_one_stays_withdrawn(place: Place) -> None:
    place.withdraw("1.0.0")
    assert place.states() == {"1.0.0": "withdrawn"}
    place.announce()
    place.release("10.0.0")
    place.announce(expires=DAY)
    assert place.states() == {"1.0.0": "withdrawn", "2.0.0": "superseded", "10.0.0": "active"}
    assert [entry["version"] for entry in place.announce().to_dict()["releases"]] == ["1.0.0", "2.0.0", "10.0.0"]


def test_every_change_is_logged_and_the_head_is_signed(place: Place) -> None:
    place.announce()
    place.withdraw("1.0.0", "reviewer")
    report = verify_log(place.workspace, place.trust)
    assert (report.ok, report.signed, report.signers) == (True, report.entries, ("Synthetic reviewer",))
    last = read_log(place.workspace).entries[-1].facts
    assert (last["release"], last["reason"]) == ("1.0.0", "error_in_data")
    assert str(place.workspace.root) not in (place.workspace.root / "log" / "log.jsonl").read_text()


# What is refused


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda p: p.withdraw("3.0.0"), ConfigurationError),
        (lambda p: p.withdraw("x"), ConfigurationError),
        (lambda p: p.reactivate("2.0.0"), ConfigurationError),
        (lambda p: p.reactivate("1.0.0"), ConfigurationError),
        (lambda p: (p.withdraw("1.0.0"), p.withdraw("1.0.0")), ConfigurationError),
        (lambda p: p.announce(expires=DAY - timedelta(days=1)), ConfigurationError),
        (lambda p: p.countersign("steward"), OutputExistsError),
        (lambda p: p.withdraw("1.0.0", key=p.keys["steward"].with_name("absent")), KeyFileError),
        (lambda p: (p.file.unlink(), p.announce()), ConfigurationError),
        (lambda p: (p.file.write_bytes(b"{}"), p.announce()), ConfigurationError),
        (lambda p: ((p.workspace.root / "log" / "log.jsonl").write_text("x\n"), p.announce()), ConfigurationError),
        (lambda p: ((p.workspace.root / "log" / "log.jsonl").write_text("x\n"), p.countersign()), ConfigurationError),
    ],
)
def test_what_cannot_be_done_says_why_without_a_path(
    place: Place, act: Callable[[Place], Any], error: type[SensaiReleaseError]
) -> None:
    place.announce()
    with pytest.raises(error) as caught:
        act(place)
    assert str(place.workspace.root) not in str(caught.value)


def test_without_releases_or_a_document_there_is_nothing_to_sign(place: Place) -> None:
    with pytest.raises(ConfigurationError):
        place.countersign()
    with pytest.raises(ConfigurationError):
        place.reactivate("1.0.0")
    for path in place.workspace.releases.iterdir():
        shutil.rmtree(path)
    with pytest.raises(ConfigurationError):
        place.announce()
    assert not place.file.exists()
    assert place.events() == []


def test_a_release_that_is_not_intact_is_not_announced_and_never_stops_a_withdrawal(place: Place) -> None:
    (place.workspace.releases / f"{place.series}-2.0.0" / "README.md").write_text("changed")
    with pytest.raises(VerificationError):
        place.announce()
    place.withdraw("1.0.0")
    assert place.states() == {"1.0.0": "withdrawn"}


def test_another_release_under_an_announced_version_is_noticed(place: Place) -> None:
    place.announce()
    path = place.workspace.releases / f"{place.series}-2.0.0"
    shutil.rmtree(path)
    path.mkdir()
    fill(path)
    (path / "TERMS.md").write_text("other")
    seal_release(path, {**PREDICATE, "series": place.series, "version": "2.0.0"}, place.key("steward"))
    acts: list[Callable[[], Any]] = [place.announce, place.countersign, lambda: place.reactivate("1.0.0")]
    for act in acts:
        with pytest.raises(VerificationError):
            act()
    place.withdraw("2.0.0")
    assert place.verdict("2.0.0") == "invalid"


def test_an_older_document_put_back_is_noticed(place: Place) -> None:
    place.announce()
    older = place.file.read_bytes()
    place.withdraw("2.0.0")
    place.file.write_bytes(older)
    with pytest.raises(ConfigurationError, match="not the one that the log records last"):
        place.announce()


def test_a_document_that_a_power_cut_kept_from_the_log_is_told_by_the_next_command(place: Place) -> None:
    place.announce()
    log = (place.workspace.root / "log" / "log.jsonl").read_bytes()
    place.withdraw("2.0.0")
    (place.workspace.root / "log" / "log.jsonl").write_bytes(log)
    place.announce()
    assert place.events() == [("announce", 1), ("recovered", 2), ("announce", 3)]
    assert place.states()["2.0.0"] == "withdrawn"
    log = (place.workspace.root / "log" / "log.jsonl").read_bytes()
    place.countersign()
    (place.workspace.root / "log" / "log.jsonl").write_bytes(log)
    with pytest.raises(OutputExistsError):
        place.countersign()
    assert place.events()[-1] == ("recovered", 3)


# The memory


def test_the_highest_version_is_remembered_and_an_older_one_refused(place: Place, state: Path, tmp_path: Path) -> None:
    place.announce()
    place.countersign()
    old = place.file.read_bytes()
    place.withdraw("1.0.0")
    release = place.workspace.releases / f"{place.series}-2.0.0"
    before = sorted((path, path.stat().st_mtime_ns) for path in release.rglob("*"))
    assert standing.highest_seen(place.trust) == ({}, None)
    assert standing.remember(place.trust, place.verify("2.0.0"), release) is None
    newest = Seen(version=2, sha256=payload_sha256(place.file.read_bytes()))
    assert standing.highest_seen(place.trust) == ({place.series: newest}, None)
    report = place.verify("2.0.0", data=old)
    assert (report.verdict, report.ok) == ("valid, freshness unknown", False)
    assert standing.remember(place.trust, report, release) is None
    assert standing.highest_seen(place.trust) == ({place.series: newest}, None)
    assert sorted((path, path.stat().st_mtime_ns) for path in release.rglob("*")) == before
    assert stat.S_IMODE((state / "sensai-release" / "seen.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "sensai-release").stat().st_mode) == 0o700
    assert str(tmp_path) not in (state / "sensai-release" / "seen.json").read_text()


def test_the_memory_is_of_one_trust_and_starts_anew_when_a_key_is_revoked(place: Place) -> None:
    place.announce()
    report = place.verify("2.0.0")
    standing.remember(place.trust, report, place.workspace.releases)
    other = trust_in(STEWARD, REVIEWER)
    assert standing.highest_seen(other) == ({}, None)
    people = (replace(place.trust.people[0], revoked=DAY), place.trust.people[1])
    assert standing.highest_seen(replace(place.trust, people=people)) == ({}, None)
    people = (replace(place.trust.people[0], valid_until=DAY), place.trust.people[1])
    assert standing.highest_seen(replace(place.trust, people=people))[0][place.series].version == 1


def test_a_refused_document_is_not_remembered(place: Place) -> None:
    place.announce()
    report = verify_release(
        place.workspace.releases / f"{place.series}-2.0.0",
        trust=TRUST,
        today=DAY,
        status=StatusFile(data=place.file.read_bytes()),
    )
    standing.remember(TRUST, report, place.workspace.releases)
    assert standing.highest_seen(TRUST) == ({}, None)


def memory(entry: str, version: int = 2) -> bytes:
    return b'{"seen":{"a":{"series":' + entry.encode() + b'}},"type":"sensai-release/seen","version":%d}' % version


FAULTY = [
    b"", b"{", b"[]", b"null", b"{}", b'{"seen":1,"type":"sensai-release/seen","version":1}', b"\xff", b"[" * 1000,
    b'{"seen":{"a":[1]},"type":"sensai-release/seen","version":1}',
    b'{"seen":{},"type":"sensai-release/seen","version":3}',
    b'{"seen":{},"type":"sensai-release/seen","version":true}',
    b'{"seen":{},"type":"something else","version":2}',
    b'{"seen":{},"seen":{},"type":"sensai-release/seen","version":2}',
    memory('"1"', 1), memory("0", 1), memory("1.5", 1), memory("true", 1), memory("1000001", 1), memory("null", 1),
    memory('{"sha256":null}'), memory('{"version":"1"}'), memory('{"version":1,"sha256":1}'), memory("[1]"),
    memory('{"version":1,"sha256":"AB"}'), memory('{"version":-1}'), memory('{"version":1,"more":1}'), memory("7"),
]  # fmt: skip


@pytest.mark.parametrize("data", FAULTY)
def test_a_damaged_memory_stops_what_would_forget_it(
    place: Place, state: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "sensai-release").mkdir(parents=True)
    (state / "sensai-release" / "seen.json").write_bytes(data)
    place.announce()
    release = place.workspace.releases / f"{place.series}-2.0.0"
    report = verify_release(release, trust=place.trust, today=DAY, status=StatusFile(data=place.file.read_bytes()))
    for act in (lambda: standing.highest_seen(place.trust), lambda: standing.remember(place.trust, report, release)):
        with pytest.raises(ConfigurationError, match=r"seen\.json"):
            act()
    words = ["verify", str(release), "--trust", str(place.trust_file), "--status", str(place.file)]
    assert run(words) == 2
    said = capsys.readouterr().err
    assert "move the file away" in said
    assert str(state) not in said
    assert (state / "sensai-release" / "seen.json").read_bytes() == data
    assert run(words[:-2]) == 0


def a_link(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(b"{}")
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, a_link, lambda path: path.write_bytes(b" " * (1 << 20) + b"{}")]
)
def test_a_memory_that_is_no_plain_file_is_not_read(place: Place, state: Path, make: Callable[[Path], object]) -> None:
    (state / "sensai-release").mkdir(parents=True)
    make(state / "sensai-release" / "seen.json")
    with pytest.raises(ConfigurationError, match=r"seen\.json"):
        standing.highest_seen(place.trust)


def test_two_documents_with_one_number_are_told_apart(place: Place) -> None:
    place.announce()
    one_signature = place.verify("2.0.0")
    assert standing.remember(place.trust, one_signature, place.workspace.releases) is None
    place.countersign()
    assert place.verdict("2.0.0") == "valid and current"
    document = StatusDocument.from_bytes(read_envelope(place.file.read_bytes()).payload)
    other = replace(document, expires=document.expires + timedelta(days=9))
    first = read_envelope(sign_status(other, place.key("steward")))
    data = add_signature(first, sign(first.payload, place.key("reviewer"))).to_bytes()
    report = place.verify("2.0.0", data=data)
    assert (report.verdict, report.ok) == ("valid, freshness unknown", False)
    assert [problem.code for problem in report.steps[-1].problems] == ["status.two_documents"]
    assert "two different status documents" in report.explanation
    before = standing.highest_seen(place.trust)
    assert standing.remember(place.trust, report, place.workspace.releases) is None
    assert standing.highest_seen(place.trust) == before
    # As two runs at the same time would have it: both were right about a memory that knew nothing.
    unaware = verify_release(
        place.workspace.releases / f"{place.series}-2.0.0", trust=place.trust, today=DAY, status=StatusFile(data=data)
    )
    assert "meanwhile" in str(standing.remember(place.trust, unaware, place.workspace.releases))
    assert standing.highest_seen(place.trust) == before


def test_another_document_with_the_same_number_still_withdraws(place: Place) -> None:
    place.announce()
    assert standing.remember(place.trust, place.verify("2.0.0"), place.workspace.releases) is None
    document = StatusDocument.from_bytes(read_envelope(place.file.read_bytes()).payload)
    entry = replace(document.releases[1], state="withdrawn", reason="disclosure_risk")
    other = replace(document, releases=(document.releases[0], entry))
    report = place.verify("2.0.0", data=sign_status(other, place.key("reviewer")))
    assert (report.verdict, report.ok) == ("withdrawn", False)


def test_the_first_form_of_the_memory_is_read_and_gets_its_digest(place: Place, state: Path) -> None:
    place.announce()
    assert standing.remember(place.trust, place.verify("2.0.0"), place.workspace.releases) is None
    path = state / "sensai-release" / "seen.json"
    known = json.loads(path.read_bytes())
    known["seen"] = {trust: {place.series: 1, "another": 4} for trust in known["seen"]}
    path.write_text(json.dumps(known | {"version": 1}))
    old = {place.series: Seen(version=1), "another": Seen(version=4)}
    assert standing.highest_seen(place.trust) == (old, None)
    assert standing.remember(place.trust, place.verify("2.0.0"), place.workspace.releases) is None
    new = Seen(version=1, sha256=payload_sha256(place.file.read_bytes()))
    assert standing.highest_seen(place.trust) == (old | {place.series: new}, None)
    assert json.loads(path.read_bytes())["version"] == 2


def test_the_memory_is_never_inside_the_release(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.announce()
    report = place.verify("2.0.0")
    release = place.workspace.releases / f"{place.series}-2.0.0"
    monkeypatch.setenv("XDG_STATE_HOME", str(release / "data"))
    assert "could not be remembered" in str(standing.remember(place.trust, report, release))
    assert not (release / "data" / "sensai-release").exists()
    monkeypatch.setenv("XDG_STATE_HOME", str(place.trust_file))
    assert "could not be remembered" in str(standing.remember(place.trust, report, release))


def test_a_relative_state_home_is_ignored(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place.announce()
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    standing.remember(place.trust, place.verify("2.0.0"), place.workspace.releases)
    assert (tmp_path / "home" / ".local" / "state" / "sensai-release" / "seen.json").is_file()


# The commands


@pytest.fixture
def tool(place: Place, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    def call(*words: object) -> tuple[int, Any]:
        capsys.readouterr()
        code = run(["--json", "-C", str(place.workspace.root), *map(str, words)])
        document = json.loads(capsys.readouterr().out)
        # That of a refusal says why, and nothing else.
        return code, None if document.keys() == {"ok", "exit", "error"} else document

    return call


def test_the_whole_path_by_command(place: Place, tool: Callable[..., tuple[int, Any]], state: Path) -> None:
    key, other = place.keys["steward"], place.keys["reviewer"]
    release = place.workspace.releases / f"{place.series}-2.0.0"
    check = ("verify", release, "--trust", place.trust_file)
    assert tool(*check)[1]["verdict"] == "valid, freshness unknown"
    assert tool(*check, "--require-current")[0] == 1
    assert not state.exists()
    status = (*check, "--status", place.file)
    assert tool("announce", "--key", key)[1]["signatures"] == 1
    assert tool(*status, "--require-current")[0] == 1
    assert tool("announce", "--countersign", "--key", other)[1]["signatures"] == 2
    code, document = tool(*status, "--require-current")
    assert (code, document["verdict"], document["freshness"]["status_version"]) == (0, "valid and current", 1)
    old = place.trust_file.with_name("old.json")
    shutil.copyfile(place.file, old)
    code, document = tool("withdraw", "2.0.0", "--reason", "withdrawal_of_consent", "--key", other)
    assert (code, document["releases"][1]["state"]) == (0, "withdrawn")
    code, document = tool(*status)
    assert (code, document["verdict"]) == (1, "withdrawn")
    assert any("withdrew their consent" in note for note in document["notes"])
    code, document = tool(*check, "--status", old)
    assert (code, document["verdict"]) == (1, "valid, freshness unknown")
    assert document["steps"][-1]["problems"][0]["code"] == "status.rollback"
    assert tool("reactivate", "2.0.0", "--key", key)[0] == 0
    assert tool("log", "verify", "--trust", place.trust_file)[1]["ok"] is True
    assert [e["event"] for e in tool("log", "show")[1]["entries"]] == ["release"] * 2 + ["status"] * 4


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "RELEASE", "--status", "FILE"),
        ("verify", "RELEASE", "--trust", "TRUST", "--status", "absent"),
        ("verify", "RELEASE", "--trust", "TRUST", "--status", "."),
        ("verify", "RELEASE", "--trust", "TRUST", "--status", "/dev/null"),
        ("withdraw", "1.0.0", "--key", "KEY"),
        ("withdraw", "1.0.0", "--reason", "because", "--key", "KEY"),
        ("withdraw", "9.0.0", "--reason", "other", "--key", "KEY"),
        ("announce", "--key", "KEY", "--as-of", "yesterday"),
        ("announce", "--key", "KEY", "--as-of", "2026-03-10", "--expires", "2026-03-09"),
        ("announce", "--countersign", "--key", "KEY", "--as-of", "2026-03-10"),
        ("announce", "--countersign", "--key", "KEY"),
        ("announce", "--key", "TRUST"),
        ("announce",),
    ],
)
def test_what_cannot_be_done_ends_with_2(
    place: Place, tool: Callable[..., tuple[int, Any]], words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SENSAI_RELEASE_KEY_DIR", raising=False)
    names = {
        "RELEASE": place.workspace.releases / f"{place.series}-2.0.0",
        "TRUST": place.trust_file,
        "KEY": place.keys["steward"],
        "FILE": place.trust_file,
    }
    assert tool(*(names.get(word, word) for word in words)) == (2, None)
    assert not place.file.exists()


# Somebody with no rights at all

ALONE = """
import sys
from sensai_release.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def aside() -> Iterator[Path]:
    """A folder that everybody may look into; the ones that pytest makes are for their owner alone."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_an_unprivileged_user_verifies_a_read_only_tree(place: Place, aside: Path) -> None:
    place.announce()
    place.countersign()
    shutil.copytree(place.workspace.releases / f"{place.series}-2.0.0", aside / "release")
    shutil.copyfile(place.file, aside / "status.json")
    shutil.copyfile(place.trust_file, aside / "trust.json")
    for path in [*aside.rglob("*"), aside]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    command = [sys.executable, "-c", ALONE, "--json", "verify", "release", "--trust", "trust.json"]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv to give up root's rights")
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG")}
    environment |= {"HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    before = sorted((path, path.stat().st_mtime_ns) for path in aside.rglob("*"))
    done = subprocess.run(
        [*command, "--status", "status.json"], cwd=aside, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and "ermission denied" in done.stderr and "sensai-release:" not in done.stderr:
        pytest.skip("another user may not read this Python")
    document = json.loads(done.stdout)
    # The days of this document are over or not, as the clock says; what counts is that it was read.
    assert document["freshness"]["status_version"] == 1, done.stderr
    assert document["ok"], done.stderr
    assert any("could not be remembered" in note for note in document["notes"])
    assert sorted((path, path.stat().st_mtime_ns) for path in aside.rglob("*")) == before


def test_the_document_is_committed_where_there_is_a_history(place: Place) -> None:
    root = place.workspace.root
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    place.announce()
    place.countersign()
    done = subprocess.run(
        ["git", "log", "--format=%s", "--name-only"], cwd=root, capture_output=True, text=True, check=True
    )
    assert f"releases/{place.series}-status.json" in done.stdout
    assert "log/checkpoint" in done.stdout
    assert f"Status {place.series} 1: countersign" in done.stdout


def test_a_status_document_says_nothing_of_the_workspace(place: Place) -> None:
    made = place.announce()
    assert isinstance(place.workspace, Workspace)
    assert str(place.workspace.root).encode() not in place.file.read_bytes()
    assert check_status(
        place.file.read_bytes(),
        trust=place.trust,
        series=place.series,
        version="2.0.0",
        manifest_sha256=made.document.releases[1].manifest_sha256,
        today=DAY,
    ).signers == ("Synthetic steward",)


@pytest.mark.parametrize(
    ("act", "said", "unsaid"),
    [
        (("announce",), ["announce --countersign"], ["Hand over"]),
        (("announce", "--countersign"), ["Hand over", "-status.json --require-current", "number is 1"], ["delete"]),
        (("withdraw", "1.0.0", "--reason", "other"), ["Hand over", "number is 2", "delete", "countersign"], []),
    ],
)
def test_the_steward_is_told_what_to_hand_over(
    place: Place, act: tuple[str, ...], said: list[str], unsaid: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if act != ("announce",):
        place.announce()
    capsys.readouterr()
    key = place.keys["reviewer" if "--countersign" in act else "steward"]
    assert run(["-C", str(place.workspace.root), *act, "--key", str(key)]) == 0
    out = capsys.readouterr().out
    assert all(words in out for words in said)
    assert not any(words in out for words in unsaid)


def test_the_workspace_tells_how_its_releases_stand(place: Place) -> None:
    assert standing.stated_standing(place.workspace) == (None, {})
    place.announce()
    place.withdraw("2.0.0")
    document, known = standing.stated_standing(place.workspace)
    assert document is not None
    assert document.version == 2
    assert {name: entry.state for name, entry in known.items()} == {
        f"{place.series}-1.0.0": "superseded",
        f"{place.series}-2.0.0": "withdrawn",
    }
    place.file.write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match=r"status\.json"):
        standing.stated_standing(place.workspace)
