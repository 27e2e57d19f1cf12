"""A reviewer lets a release pass the gates that it failed, and nothing less than that lets it pass.

The frame-level profile with a k that the small cohort cannot reach fails a measure and the profile's own gate. The
gate of the linkability audit, which a waiver must quote, is put into the built package: its numbers are invented.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sensai_release.pipeline.built import PACKAGE, note_made
from sensai_release.pipeline.workspace import Workspace

from .conftest import Outcome, Story, run_tool

VERSION = "3.0.0"
SERIES = "sensai-dbd"
AUDIT = {
    "gate": [
        {"name": "rank1_upper", "scope": "face_frames", "value": 0.42, "limit": 0.09, "ok": True, "status": "passed"},
        {"name": "auc_upper", "scope": "face_frames", "value": 0.11, "limit": 0.2, "ok": True, "status": "passed"},
    ]
}
REASON = "The approved question is about single frames. Decided by the board, recorded in its minutes."


@dataclass(frozen=True)
class Waived:
    """A built workspace that fails gates, the keys of three people, and what the first commands said."""

    workspace: Path
    keys: Path
    trust: Path
    built: Outcome
    without_audit: tuple[Outcome, Outcome]
    refused: Outcome

    @property
    def risk(self) -> Path:
        return self.workspace / "work" / "package" / "reports" / "risk.json"

    def waive(self, gate: str, *more: object, key: str = "reviewer.key", version: str = VERSION) -> Outcome:
        days = () if "--as-of" in more else ("--as-of", "2026-07-01")
        until = () if "--expires" in more else ("--expires", "2026-12-31")
        reason = () if "--reason-file" in more else ("--reason-file", self.keys / "reason.txt")
        arguments = (gate, "--version", version, *days, *until, *reason, "--key", self.keys / key, *more)
        return run_tool("-C", self.workspace, "--json", "waive", *arguments)

    def release(self, *more: object, version: str = VERSION) -> Outcome:
        return run_tool("-C", self.workspace, "release", version, "--key", self.keys / "steward.key", *more)

    def put(self, path: Path, data: bytes) -> None:
        """Another file in the package, as if the build had made it."""
        path.write_bytes(data)
        note_made(Workspace(root=self.workspace), PACKAGE)

    def restate(self, risk: dict[str, Any]) -> None:
        self.put(self.risk, json.dumps(risk).encode())

    def trusting(self, name: str, people: dict[str, list[str]]) -> Path:
        """The trust file with other roles, by the name of a person."""
        document = json.loads(self.trust.read_text())
        document["people"] = [
            person | {"roles": people[person["name"]]} for person in document["people"] if person["name"] in people
        ]
        path = self.keys / name
        path.write_text(json.dumps(document))
        return path


@pytest.fixture(scope="module")
def waived(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Waived:
    root = tmp_path_factory.mktemp("waived")
    workspace, keys, trust = root / "workspace", root / "keys", root / "trust.json"
    shutil.copytree(story.workspace, workspace, symlinks=True)
    shutil.copytree(story.keys, keys)
    for name, role, person in (
        ("own", "reviewer", "Demonstration data steward"),
        ("stranger", "reviewer", "Stranger"),
    ):
        assert run_tool("keygen", keys / f"{name}.key", "--role", role, "--name", person).code == 0
    public = (keys / f"{name}.key.pub" for name in ("steward", "reviewer", "own"))
    assert run_tool("trust", "add", trust, *public).code == 0
    (keys / "reason.txt").write_text(REASON)
    params = workspace / "params.yaml"
    head, tail = params.read_text().replace("\nprofile: controlled", "\nprofile: frame_level").split("  frame_level:")
    params.write_text(head + "  frame_level:" + tail.replace("k: 5", "k: 30", 1))
    built = run_tool("-C", workspace, "--json", "build", key_dir=story.keys)
    assert built.code == 1, built.said
    made = Waived(workspace, keys, trust, built, (built, built), built)
    risk = json.loads(made.risk.read_text())
    made.restate({name: part for name, part in risk.items() if name != "linkability"})
    without_audit = (made.release(), made.waive("profile_waiver"))
    made.restate(risk | {"linkability": risk["linkability"] | AUDIT})
    return Waived(workspace, keys, trust, built, without_audit, made.release())


@pytest.fixture(scope="module")
def gates(waived: Waived) -> list[str]:
    """The failed gates, each with a waiver by the reviewer."""
    risk = json.loads(waived.risk.read_text())
    failed = {entry["name"] for entry in risk["gate"] if entry["ok"] is not True}
    # The frames of earlier releases are not there, but the k that nobody reaches holds across releases too.
    failed |= {name for name in ("series", "linkability") if not all(entry["ok"] for entry in risk[name]["gate"])}
    assert {"k_min", "series"} <= failed
    named = sorted({*failed, "profile_waiver"})
    for gate in named:
        outcome = waived.waive(gate)
        assert outcome.code == 0, outcome.said
    return named


@pytest.fixture(scope="module")
def released(waived: Waived, gates: list[str]) -> Path:
    outcome = waived.release("--trust", waived.trust, "--as-of", "2026-08-01")
    assert outcome.code == 0, outcome.said
    path = waived.workspace / "releases" / f"{SERIES}-{VERSION}"
    command = ("approve", path, "--key", waived.keys / "reviewer.key", "--trust", waived.trust)
    approved = run_tool("-C", waived.workspace, *command)
    assert approved.code == 0, approved.said
    return path


def test_the_build_says_no_and_leaves_a_candidate_to_judge(waived: Waived) -> None:
    assert waived.built.document["stages"]["risk"] == "refused"
    assert waived.built.document["stages"]["package"] == "done"
    assert "k_min" in waived.built.document["verdict"]
    again = run_tool("-C", waived.workspace, "--json", "risk", waived.workspace / "work" / "candidate")
    assert (again.code, again.document["ok"]) == (1, False)


def test_a_release_without_waivers_is_refused_and_told_what_to_do(waived: Waived) -> None:
    assert waived.refused.code == 1
    for words in ("k_min", "limit 30", "profile_waiver", "rank1_upper 0.42", f"waive GATE --version {VERSION}"):
        assert words in waived.refused.err
    assert waived.refused.err.count("\n") == 1


def test_without_an_audit_there_is_nothing_to_quote(waived: Waived) -> None:
    released, signed = waived.without_audit
    assert released.code == 1
    assert "must quote a linkability audit" in released.err
    assert signed.code == 2
    assert "no numbers to quote" in signed.err


def test_the_waiver_shows_and_holds_the_numbers(waived: Waived, gates: list[str]) -> None:
    files = sorted(path.name for path in (waived.workspace / "waivers").iterdir())
    assert files == sorted(f"{gate}-{VERSION}.dsse.json" for gate in gates)
    again = waived.waive("k_min")
    assert again.code == 2
    assert "already there" in again.err
    other = waived.waive("profile_waiver", version="5.0.0")
    assert other.code == 0
    assert other.document["numbers"] == AUDIT["gate"]
    assert (other.document["gate"], other.document["version"]) == ("profile_waiver", "5.0.0")
    assert "0.42" in other.err, "the numbers are shown to whoever signs"
    assert REASON not in other.err


@pytest.mark.parametrize(
    ("gate", "more", "said"),
    [
        ("suppressed_person", (), "Accepted: "),
        ("../k_min", (), "Accepted: "),
        ("k_min", ("--expires", "2027-07-02"), "The last day is 2027-07-01"),
        ("k_min", ("--expires", "soon"), "is no date"),
        ("k_min", ("--as-of", "2026-02-30"), "is no date"),
        ("k_min", ("--reason-file", "not/there.txt"), "cannot be read"),
        ("k_min", ("--key", "not/there.key"), "there"),
    ],
)
def test_a_waiver_that_cannot_be_given_writes_nothing(waived: Waived, gate: str, more: Any, said: str) -> None:
    before = sorted((waived.workspace / "waivers").glob("*"))
    outcome = waived.waive(gate, *more, version="7.0.0")
    assert (outcome.code, said in outcome.err) == (2, True), outcome.said
    assert sorted((waived.workspace / "waivers").glob("*")) == before
    assert str(waived.keys) not in outcome.said


def test_a_stewards_key_cannot_sign_one(waived: Waived) -> None:
    outcome = waived.waive("k_min", key="steward.key", version="7.0.0")
    assert outcome.code == 2
    assert "was made for the role steward" in outcome.err


def test_a_reason_that_points_to_a_person_is_not_signed(waived: Waived, story: Story) -> None:
    study_number = (story.source / "participants.csv").read_text().splitlines()[1].split(",")[0]
    reason = waived.keys / "telling.txt"
    reason.write_text(f"Participant {study_number} asked for it.")
    outcome = waived.waive("k_min", "--reason-file", reason, version="7.0.0")
    assert outcome.code == 2
    assert "point to a person" in outcome.err
    assert study_number not in outcome.said


def test_every_void_waiver_stops_the_release(waived: Waived, gates: list[str]) -> None:
    """One after the other on the same workspace: what is said, and that nothing was published."""
    folder = waived.workspace / "waivers"
    file = folder / f"k_min-{VERSION}.dsse.json"
    good = file.read_bytes()
    day = ("--as-of", "2026-08-01")
    trusted = ("--trust", waived.trust)
    reviewer, steward = "Demonstration reviewer", "Demonstration data steward"
    own = waived.waive("k_min", key="own.key", version="6.0.0")
    assert own.code == 0
    (folder / "profile_waiver-6.0.0.dsse.json").write_bytes(good)

    def refused(said: str, *more: object, code: int = 1, version: str = VERSION) -> None:
        outcome = waived.release(*more, version=version)
        assert (outcome.code, said in outcome.err) == (code, True), outcome.said
        assert REASON not in outcome.said
        assert not (waived.workspace / "releases" / f"{SERIES}-{version}").exists()

    refused("--trust: is missing", *day, code=2)
    refused("--as-of: is missing", *trusted, code=2)
    refused("had expired", *trusted, "--as-of", "2027-01-01")
    refused("was issued after", *trusted, "--as-of", "2026-06-30")
    stewards_only = waived.trusting("stewards.json", {reviewer: ["steward"], steward: ["steward"]})
    refused("is no reviewer", "--trust", stewards_only, *day)
    nobody = waived.trusting("nobody.json", {steward: ["steward"]})
    refused("not signed by anybody", "--trust", nobody, *day)
    for gate in gates:
        if gate not in ("k_min", "profile_waiver"):
            shutil.copyfile(folder / f"{gate}-{VERSION}.dsse.json", folder / f"{gate}-6.0.0.dsse.json")
    refused("somebody else the waiver", *trusted, *day, version="6.0.0")
    (folder / "k_min-6.0.0.dsse.json").write_bytes(good)
    refused("is for another study, series, version", *trusted, *day, version="6.0.0")
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for data in (bytes(flipped), b'{"payload":"a","payload":"b"}', b'{"payload":NaN}', good + b"\n"):
        file.write_bytes(data)
        refused("waivers/k_min", *trusted, *day)
    file.write_bytes((folder / f"profile_waiver-{VERSION}.dsse.json").read_bytes())
    refused("is for another gate", *trusted, *day)
    file.write_bytes(good)
    risk = waived.risk.read_bytes()
    document = json.loads(risk)
    next(entry for entry in document["gate"] if entry["name"] == "k_min")["value"] = 1
    waived.restate(document)
    refused("quotes other numbers", *trusted, *day)
    waived.put(waived.risk, risk)
    part = min((waived.workspace / "work" / "package" / "data" / "folds").iterdir())
    data = part.read_bytes()
    waived.put(part, data + b"\0")
    refused("other data", *trusted, *day)
    part.write_bytes(data + b"\1")
    refused("is no longer as 'build' made it: work/package", *trusted, *day, code=2)
    waived.put(part, data)


def test_a_release_with_all_its_waivers_verifies_and_names_them(
    waived: Waived, released: Path, gates: list[str]
) -> None:
    outcome = run_tool("--json", "verify", released, "--trust", waived.trust)
    assert outcome.code == 0, outcome.said
    assert outcome.document["verdict"] == "valid, freshness unknown"
    notes = outcome.document["notes"]
    assert len(notes) == len(gates)
    assert all("waived by Demonstration reviewer until 2026-12-31" in note for note in notes)
    predicate = json.loads((released / "manifest.json").read_text())["predicate"]
    assert [entry["gate"] for entry in predicate["waivers"]] == gates
    assert predicate["risk"]["ok"] is False
    assert {entry["name"] for entry in predicate["risk"]["gates"]} >= {"k_min", "rank1_upper", "profile_waiver"}
    assert sorted(path.name for path in (released / "waivers").iterdir()) == sorted(
        f"{gate}-{VERSION}.dsse.json" for gate in gates
    )
    page = (released / "reports" / "waivers.html").read_text()
    assert REASON in page
    assert "Not all gates are passed" in (released / "reports" / "risk.html").read_text()
    assert "## Waivers in force" in (released / "README.md").read_text()


def test_whoever_does_not_trust_the_reviewer_does_not_get_a_valid_release(
    waived: Waived, released: Path, tmp_path: Path
) -> None:
    trust = tmp_path / "trust.json"
    assert run_tool("trust", "add", trust, waived.keys / "steward.key.pub").code == 0
    outcome = run_tool("--json", "verify", released, "--trust", trust)
    assert (outcome.code, outcome.document["verdict"]) == (1, "not approved")
    # The reviewer signed the waivers, and with the approval the head of the log.
    codes = {p["code"] for step in outcome.document["steps"] for p in step["problems"]}
    assert codes == {"waiver.unknown_signer", "log.signer"}


def test_the_same_command_again_is_refused_and_changes_nothing(waived: Waived, released: Path) -> None:
    before = (released / "manifest.dsse.json").read_bytes()
    assert waived.release("--trust", waived.trust, "--as-of", "2026-08-01").code == 2
    assert (released / "manifest.dsse.json").read_bytes() == before
