"""JSON and YAML of another shape than this tool writes, in every place and for every reader: exit code 0, 1 or 2.

The documents are well-formed (`test_json_faults` has those that are not) and, where the tool asks for that, signed:
whoever holds a trusted key can sign anything. One part at a time is replaced (`wrong_shapes`). No reader may end as a
bug (101), with a traceback, or quote the document. Faults are drawn by lot, few in the short form; in the long one 300
a document, or as many as SENSAI_RELEASE_TEST_SHAPES says.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from attacks import whole_release
from attacks.malformed_json import PLANTED
from attacks.whole_release import Place
from attacks.wrong_shapes import faults, spoilt, wrong_shapes
from release_kit import REVIEWER, STEWARD, trust_in

from sensai_release.cli.app import run
from sensai_release.errors import SensaiReleaseError
from sensai_release.governance.log import next_entry, parse_log
from sensai_release.pipeline.build import source_changed
from sensai_release.pipeline.describe import check_datasheet
from sensai_release.pipeline.waiving import candidate_facts
from sensai_release.pipeline.workspace import Workspace, open_workspace
from sensai_release.privacy.escrow import Escrow
from sensai_release.privacy.keyfile import load_signing_key
from sensai_release.release.datasheet.attestation import load_attestations
from sensai_release.release.documents import canonical_json, parse_strict
from sensai_release.release.dsse import Envelope, sign
from sensai_release.release.manifest import parse_statement
from sensai_release.release.sealing import seal_release
from sensai_release.release.status import Standing, StatusDocument, check_status
from sensai_release.release.trust import load_trust
from sensai_release.release.waivers import Waiver, check_waiver

_SHORT = 6
# A large report has some ten thousand parts; each takes a command.
_LONG = int(os.environ.get("SENSAI_RELEASE_TEST_SHAPES", "300"))
Files = Mapping[str, bytes]
Say = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A released workspace to read from, and a copy of its release to spoil."""

    place: Place
    release: Path
    capture: pytest.CaptureFixture[str]

    @property
    def workspace(self) -> Path:
        return self.place.workspace

    @property
    def trust(self) -> Path:
        return self.place.root / "trust.json"

    def run(self, *arguments: object) -> None:
        """Runs a command; what it may not do is refused here."""
        code = run([str(word) for word in arguments])
        said = "".join(self.capture.readouterr())
        assert code in (0, 1, 2), (arguments, said)
        # What changed between two releases is for `diff` to tell.
        assert PLANTED not in said or "diff" in arguments
        assert "Traceback" not in said

    def read(self, reader: Callable[[], object]) -> None:
        """Calls a reader that is part of a longer command."""
        said = ""
        try:
            reader()
        except SensaiReleaseError as error:
            said = str(error)
        assert PLANTED not in said


@pytest.fixture(scope="module")
def released(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Path]]:
    place.restore()
    done = place.run("release", whole_release.VERSION)
    assert done.returncode == 0, done.stderr
    yield place, tmp_path_factory.mktemp("spoilt")
    place.restore()


@pytest.fixture
def desk(
    released: tuple[Place, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    place, folder = released
    monkeypatch.setenv("SENSAI_RELEASE_KEY_DIR", str(place.keys))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setenv("SENSAI_RELEASE_QUIET", "1")
    copy = folder / "release"
    shutil.copytree(place.release, copy)
    yield Desk(place=place, release=copy, capture=capsys)
    shutil.rmtree(copy)


def chosen(document: Any, name: str, *, everything: bool = False, most: int | None = None) -> Iterator[Any]:
    """Wrong documents, drawn by lot: `most` of them, or as many as the form of the test allows."""
    found = list(faults(document))
    if most is None:
        most = _LONG if everything else _SHORT
    if len(found) > most:
        found = random.Random(name).sample(found, most)  # noqa: S311 - a test must be the same every time
    return (spoilt(document, at, kind) for at, kind in found)


# Documents of a release, signed anew.

_RELEASE: dict[str, tuple[tuple[str, ...], ...]] = {
    "manifest.json": (("verify",), ("diff",), ("datasheet",), ("history",)),
    "reports/risk.json": (("verify",), ("diff",), ("datasheet",), ("history",)),
    "reports/policy.json": (("diff",),),
    "datasheet.json": (("datasheet",), ("diff",)),
    "schemas/participants.json": (("verify",), ("diff",)),
}


def sign_anew(desk: Desk, name: str, document: Any) -> None:
    key = load_signing_key(desk.place.keys / "steward.key")
    if name == "manifest.json":
        data = canonical_json(document)
        (desk.release / name).write_bytes(data)
        envelope = Envelope(payload=data, signatures=(sign(data, key),))
        (desk.release / "manifest.dsse.json").write_bytes(envelope.to_bytes())
        return
    predicate = parse_statement((desk.place.release / "manifest.json").read_bytes()).predicate
    for written in ("manifest.json", "manifest.dsse.json", "SHA256SUMS", "verify.py", "verify.html"):
        (desk.release / written).unlink()
    (desk.release / name).write_text(json.dumps(document))
    seal_release(desk.release, predicate, key)


def check_release(desk: Desk, name: str, *, everything: bool) -> None:
    document = json.loads((desk.place.release / name).read_bytes())
    commands: dict[str, list[object]] = {
        "verify": ["verify", desk.release, "--trust", desk.trust],
        "diff": ["diff", desk.release, desk.place.release],
        "datasheet": ["datasheet", desk.release, "--check"],
        "history": ["history", desk.release.parent],
    }
    for wrong in chosen(document, name, everything=everything):
        sign_anew(desk, name, wrong)
        for (command,) in _RELEASE[name]:
            desk.run(*commands[command])


@pytest.mark.parametrize("name", _RELEASE)
def test_some_documents_of_a_release(desk: Desk, name: str) -> None:
    check_release(desk, name, everything=False)


@pytest.mark.long
@pytest.mark.parametrize("name", _RELEASE)
def test_all_documents_of_a_release(desk: Desk, name: str) -> None:
    check_release(desk, name, everything=True)


# The same before the readers that count everything anew: each takes about a second, so fewer documents are tried.

_COUNTED: dict[str, tuple[str, ...]] = {
    "reports/policy.json": ("risk", "deep"),
    "schemas/participants.json": ("risk", "deep"),
    "datasheet.json": ("deep",),
    "reports/risk.json": ("deep",),
    "manifest.json": ("deep",),
}


def check_counted(desk: Desk, name: str, *, most: int) -> None:
    document = json.loads((desk.place.release / name).read_bytes())
    commands: dict[str, list[object]] = {
        "risk": ["risk", desk.release],
        "deep": ["verify", desk.release, "--trust", desk.trust, "--deep"],
    }
    for wrong in chosen(document, f"{name} counted", most=most):
        sign_anew(desk, name, wrong)
        for command in _COUNTED[name]:
            desk.run(*commands[command])


@pytest.mark.parametrize("name", _COUNTED)
def test_some_documents_whose_numbers_are_counted_anew(desk: Desk, name: str) -> None:
    # The policy is refused before anything is counted.
    check_counted(desk, name, most=4 if name == "reports/policy.json" else 1)


@pytest.mark.long
@pytest.mark.parametrize("name", _COUNTED)
def test_many_documents_whose_numbers_are_counted_anew(desk: Desk, name: str) -> None:
    check_counted(desk, name, most=max(1, _LONG // 6))


@pytest.mark.parametrize("wrong", [{"categories": True}, {"action": None}, {"role": []}, {"tier": "1"}])
def test_a_dictionary_from_which_nothing_can_be_counted(desk: Desk, wrong: dict[str, Any]) -> None:
    """Entries that `verify` has no use for, and `risk` has."""
    path = desk.release / "schemas" / "participants.json"
    document = json.loads(path.read_bytes())
    column = next(column for column in document["columns"] if column["role"] == "quasi_identifier")
    column.update(wrong)
    path.write_text(json.dumps(document))
    assert run(["risk", str(desk.release)]) == 2
    assert "schemas/participants.json" in desk.capture.readouterr().err


def test_an_index_of_validated_files_that_was_changed(desk: Desk) -> None:
    """A cache is not made sense of when it is not as it was written: every file is read again."""
    path = desk.workspace / "work" / "validated" / "index.json"
    before = path.read_bytes()
    index = json.loads(before)
    unit = next(unit for unit in index["units"].values() if unit["tenths"])
    unit["tenths"] = {column: [1, [PLANTED]] for column in unit["tenths"]}
    path.write_text(json.dumps(index))
    assert run(["-C", str(desk.workspace), "--quiet", "validate"]) == 0
    assert path.read_bytes() == before


# Documents that are no part of a release, and readers inside longer commands.


def _read_candidate(desk: Desk) -> None:
    candidate_facts(open_workspace(desk.workspace), "1.0.1")


def _settings(desk: Desk) -> None:
    assert Workspace(root=desk.workspace).params


_WORKSPACE: dict[str, Callable[[Desk], object]] = {
    "work/intake.json": lambda desk: source_changed(open_workspace(desk.workspace)),
    "work/package/payload.json": _read_candidate,
    "work/package/reports/risk.json": _read_candidate,
    "work/package/datasheet.json": lambda desk: check_datasheet(desk.workspace / "work" / "package"),
    "work/candidate/policy.json": lambda desk: desk.run("-C", desk.workspace, "explain", "participants.age_years"),
    "reports/risk.json": lambda desk: desk.run("-C", desk.workspace, "package"),
    "reports/validation.json": lambda desk: desk.run("-C", desk.workspace, "package"),
    "work/datasheet/datasheet.json": lambda desk: desk.run("-C", desk.workspace, "package"),
    "work/pseudonymised.json": lambda desk: desk.run("-C", desk.workspace, "deidentify"),
    "work/validated/index.json": lambda desk: desk.run("-C", desk.workspace, "validate"),
}
_SLOW = {name for name in _WORKSPACE if name.startswith(("reports/", "work/datasheet", "work/ps", "work/validated"))}


def check_workspace(desk: Desk, name: str, *, everything: bool) -> None:
    kept = desk.workspace.parent / "kept-for-one-test"
    shutil.copytree(desk.workspace / "work", kept / "work")
    shutil.copytree(desk.workspace / "reports", kept / "reports")
    path = desk.workspace / name
    try:
        for wrong in chosen(json.loads(path.read_bytes()), name, everything=everything):
            path.write_text(json.dumps(wrong))
            desk.read(lambda: _WORKSPACE[name](desk))
            # A stage clears or writes more than this document.
            for part in ("work", "reports") if name in _SLOW else ():
                shutil.rmtree(desk.workspace / part)
                shutil.copytree(kept / part, desk.workspace / part)
    finally:
        for part in ("work", "reports"):
            shutil.rmtree(desk.workspace / part)
            (kept / part).rename(desk.workspace / part)
        kept.rmdir()


@pytest.mark.parametrize("name", sorted(set(_WORKSPACE) - _SLOW))
def test_some_documents_of_a_workspace(desk: Desk, name: str) -> None:
    check_workspace(desk, name, everything=False)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(_WORKSPACE))
def test_all_documents_of_a_workspace(desk: Desk, name: str) -> None:
    check_workspace(desk, name, everything=name not in _SLOW)


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_trust_file(desk: Desk, tmp_path: Path, everything: bool) -> None:
    path = tmp_path / "trust.json"
    for wrong in chosen(json.loads(desk.trust.read_bytes()), "trust", everything=everything):
        path.write_text(json.dumps(wrong))
        desk.run("verify", desk.release, "--trust", path)


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.long)])
def test_entries_of_the_log(desk: Desk, everything: bool) -> None:
    """Lines that follow from one another, with facts of another shape: the chain holds, the facts alone are wrong."""
    path = desk.workspace / "log" / "log.jsonl"
    good = path.read_bytes()
    entries = list(parse_log(good).entries)
    facts = {"event": "release.intent", "facts": {"name": whole_release.NAME, "profile": "controlled"}}
    shapes = list(chosen(facts, "log", everything=everything))
    for event in ("release.intent", "release", "status", "approve"):
        for wrong in shapes:
            said = wrong["facts"] if isinstance(wrong, dict) and isinstance(wrong.get("facts"), dict) else {}
            entry = next_entry(entries, event, said, at="2026-01-31T10:00:00Z", salt="0" * 32)
            path.write_bytes(good + entry.to_line())
            for command in (["log", "show"], ["log", "verify"], ["history"]):
                desk.run("-C", desk.workspace, *command)
    last = parse_strict(good.splitlines()[-1], "log")
    for wrong in chosen(last, "line", everything=everything):
        path.write_bytes(b"".join(good.splitlines(keepends=True)[:-1]) + canonical_json(wrong) + b"\n")
        desk.run("-C", desk.workspace, "log", "verify")
    path.write_bytes(good)


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.long)])
def test_signed_status_documents_and_the_memory_of_them(desk: Desk, tmp_path: Path, everything: bool) -> None:
    document = StatusDocument(
        study="SYNTHETIC",
        series="synthetic-series",
        version=3,
        issued=date(2026, 1, 1),
        expires=date(2026, 3, 1),
        releases=(
            Standing(
                version="1.0.0", manifest_sha256="0" * 64, state="withdrawn", reason="other", since=date(2026, 1, 2)
            ),
        ),
    ).to_dict()
    trust = trust_in(STEWARD, REVIEWER)
    for wrong in chosen(document, "status", everything=everything):
        data = canonical_json(wrong)
        envelope = Envelope(payload=data, signatures=(sign(data, STEWARD),))
        verdict = check_status(
            envelope.to_bytes(),
            trust=trust,
            series="synthetic-series",
            version="1.0.0",
            manifest_sha256="0" * 64,
            today=date(2026, 1, 31),
        )
        assert PLANTED not in json.dumps(verdict.to_dict()) + str(verdict.problems) + str(verdict.notes)
    announced = tmp_path / "status.dsse.json"
    announced.write_bytes(Envelope(payload=b"{}", signatures=(sign(b"{}", STEWARD),)).to_bytes())
    memory = desk.release.parent / "state" / "sensai-release" / "seen.json"
    memory.parent.mkdir(parents=True, exist_ok=True)
    known = {
        "type": "urn:sensai-release:seen:1",
        "version": 2,
        "seen": {"a" * 64: {"s": {"version": 3, "sha256": "b"}}},
    }
    for wrong in chosen(known, "seen", everything=everything):
        memory.write_text(json.dumps(wrong))
        desk.run("verify", desk.release, "--trust", desk.trust, "--status", announced)
    memory.unlink()


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.long)])
def test_signed_waivers(everything: bool) -> None:
    waiver = Waiver(
        **dict.fromkeys(("study", "series", "version", "profile", "gate", "reason"), "x"),
        policy_sha256="0" * 64,
        candidate_sha256="1" * 64,
        numbers=({"name": "x", "value": 1, "limit": 2, "ok": False},),
        issued=date(2026, 1, 1),
        expires=date(2026, 3, 1),
    ).to_dict()
    facts = _Facts()
    for wrong in chosen(waiver, "waiver", everything=everything):
        data = canonical_json(wrong)
        envelope = Envelope(payload=data, signatures=(sign(data, REVIEWER),))
        verdict = check_waiver(envelope.to_bytes(), trust=trust_in(REVIEWER), facts=facts, on=None)  # type: ignore[arg-type]
        assert not verdict.ok
        assert PLANTED not in verdict.message


class _Facts:
    study = series = version = profile = policy_sha256 = candidate_sha256 = "x"
    gates: dict[str, Any] = {}  # noqa: RUF012 - stands for an object with these attributes
    stewards = frozenset({"somebody else"})


def test_escrows_and_attestations(desk: Desk, tmp_path: Path) -> None:
    escrow = Escrow(
        study="S",
        series="s",
        version="1.0.0",
        manifest_sha256="0" * 64,
        key_id="0" * 16,
        check_value="0" * 16,
        kinds={"participant": (("SYN01", "P1"),)},
    ).to_dict()
    for wrong in wrong_shapes(escrow):
        desk.read(lambda wrong=wrong: Escrow.from_dict(wrong, "escrow"))  # type: ignore[misc]
    note = {
        "attested": {"C14": {"by": "steward", "as_of": "2026-01-31", "facts": {}, "digest": "0", "text_sha256": "0"}}
    }
    for wrong in wrong_shapes(note):
        (tmp_path / "attested.json").write_text(json.dumps(wrong))
        desk.read(lambda: load_attestations(tmp_path))


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["params.yaml", "schemas/participants.yaml", "datasheets/answers.yaml"])
def test_settings(desk: Desk, name: str, everything: bool) -> None:
    """The steward's own words may be named, or nobody would find the mistake; nothing else is different."""
    path = desk.workspace / name
    good = path.read_bytes()
    try:
        for wrong in chosen(yaml.safe_load(good), name, everything=everything):
            path.write_text(yaml.safe_dump(wrong))
            code = run(["-C", str(desk.workspace), "schema", "check"])
            said = "".join(desk.capture.readouterr())
            assert code in (0, 1, 2), said
            assert "Traceback" not in said
    finally:
        path.write_bytes(good)


def test_the_good_documents_are_read(desk: Desk) -> None:
    """What is refused above is refused for its shape."""
    _read_candidate(desk)
    assert load_trust(desk.trust).people
    assert run(["verify", str(desk.release), "--trust", str(desk.trust)]) == 0
    assert run(["-C", str(desk.workspace), "log", "verify"]) == 0
