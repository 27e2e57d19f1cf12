"""Malformed documents in place of every file that is read as JSON or YAML: refused in one line that quotes nothing.

A document that only saves work (a cache) counts as absent when it is malformed; all others raise an error of ours.
"""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Callable, Mapping
from datetime import date
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
from attacks.malformed_json import PLANTED, interpreted, malformed, misplaced
from release_kit import STEWARD, TRUST, fill, make_release

from sensai_release.errors import SensaiReleaseError
from sensai_release.governance.log import parse_log
from sensai_release.pipeline.build import source_changed
from sensai_release.pipeline.describe import PAYLOAD, check_datasheet
from sensai_release.pipeline.logbook import record
from sensai_release.pipeline.series import read_release
from sensai_release.pipeline.standing import highest_seen
from sensai_release.pipeline.tracing import look_up
from sensai_release.pipeline.waiving import candidate_document
from sensai_release.pipeline.workspace import Workspace, init_workspace, open_workspace
from sensai_release.privacy.age import encrypt
from sensai_release.privacy.escrow import load_escrow_public_key
from sensai_release.privacy.keyfile import load_public_key_file, load_root_key, load_signing_key, write_private_key
from sensai_release.privacy.links import Links
from sensai_release.release.checklist import parse_checklist
from sensai_release.release.comparison.diff import diff_releases
from sensai_release.release.conformance import read_dictionary
from sensai_release.release.datasheet.answers import load_answers
from sensai_release.release.datasheet.attestation import load_attestations
from sensai_release.release.documents import parse_strict
from sensai_release.release.dsse import PAYLOAD_TYPE, Envelope, sign
from sensai_release.release.manifest import parse_statement
from sensai_release.release.opened import open_release
from sensai_release.release.standalone import verify as standalone
from sensai_release.release.status import StatusDocument, check_status, read_envelope
from sensai_release.release.tables import load_dictionaries, read_json_object
from sensai_release.release.tlog import LogProof, SignedCheckpoint
from sensai_release.release.trust import load_trust
from sensai_release.release.verify import verify_release
from sensai_release.release.waivers import Waiver
from sensai_release.table.documents import load_yaml
from sensai_release.table.hierarchies import load_hierarchy
from sensai_release.table.schema import load_schemas

STRICT = malformed() | interpreted()
ALL = STRICT | misplaced()
LINKS = Links(persons="participants", person_key="participant_id", sessions="sessions", session_key="session_id")


class NotRefusedError(AssertionError):
    pass


def refused(read: Callable[[], object], *, names_keys: bool = False) -> None:
    """One line, an error of ours, with nothing of the document in it nor in the traceback.

    With `names_keys`, the steward's own settings: a misspelt entry is named, or nobody would find it.
    """
    try:
        read()
    except SensaiReleaseError as error:
        caught = error
    else:
        raise NotRefusedError
    said = "".join(traceback.format_exception(caught))
    assert PLANTED not in said or (names_keys and "unknown entry" in said)
    assert "\n" not in str(caught)
    assert len(str(caught)) < 1000


def survivors(
    read: Callable[[bytes], object], documents: Mapping[str, bytes], *, names_keys: bool = False
) -> list[str]:
    """The documents that were not refused."""
    kept = []
    for name, data in documents.items():
        try:
            refused(lambda data=data: read(data), names_keys=names_keys)  # type: ignore[misc]
        except NotRefusedError:
            kept.append(name)
    return kept


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len(malformed()) >= 180
    assert len(set(ALL.values())) == len(ALL)
    assert sum(PLANTED.encode() in data for data in ALL.values()) > 80
    for data in [*interpreted().values(), *misplaced().values()]:
        if len(data) < 4000:
            json.loads(data)  # By its grammar, this is JSON.


IN_MEMORY: dict[str, tuple[Callable[[bytes], object], dict[str, bytes]]] = {
    "any document": (lambda data: parse_strict(data, "document"), STRICT),
    "manifest": (parse_statement, ALL),
    "envelope": (lambda data: Envelope.from_bytes(data, "manifest.dsse.json"), ALL),
    "data dictionary": (lambda data: read_dictionary(data, "participants"), ALL),
    "waiver": (Waiver.from_bytes, ALL),
    "status": (StatusDocument.from_bytes, ALL),
    "envelope of a status": (read_envelope, ALL),
    "log proof": (LogProof.from_bytes, ALL),
    "checklist": (lambda data: parse_checklist(data, release="x", manifest_sha256="0" * 64, items=()), ALL),
    "checkpoint": (lambda data: SignedCheckpoint.from_text(data.decode("latin-1"), "log/checkpoint"), ALL),
}


@pytest.mark.parametrize("name", IN_MEMORY)
def test_documents_in_memory(name: str) -> None:
    read, documents = IN_MEMORY[name]
    assert survivors(read, documents) == []


Reader = Callable[[Path], object]

FILES: dict[str, Reader] = {
    "trust.json": load_trust,
    "reports/risk.json": lambda path: read_json_object(path, "reports/risk.json", "ok", "gate"),
    "root.key": load_root_key,
    "steward.key": load_signing_key,
    "steward.key.pub": load_public_key_file,
    PAYLOAD: lambda path: candidate_document(path.parent),
    "datasheet.json": lambda path: check_datasheet(path.parent),
    "hierarchy.yaml": load_hierarchy,
    "answers.yaml": lambda path: load_answers(path.parent),
    "attested.json": lambda path: load_attestations(path.parent),
}


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return FILES[name](path)

    assert survivors(read, ALL, names_keys=name.endswith(".yaml")) == []


def test_the_memory_of_status_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = tmp_path / "sensai-release" / "seen.json"
    path.parent.mkdir()

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return highest_seen(TRUST)

    assert survivors(read, ALL) == []
    path.unlink()
    assert highest_seen(TRUST) == ({}, None)


def test_escrows(tmp_path: Path) -> None:
    """In place of the sealed file, whose header is text, and of what is sealed in it."""
    info = write_private_key(tmp_path / "escrow.key", role="escrow", name="Synthetic")
    assert info.public is not None
    recipient = load_escrow_public_key(tmp_path / "escrow.key.pub").recipient
    path = tmp_path / "synthetic-series-1.0.0.0000000000000000.age"

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return look_up(None, str(path), "SYN01", key=tmp_path / "escrow.key")

    assert survivors(read, ALL) == []
    assert survivors(lambda data: read(encrypt(data, recipient)), ALL) == []
    # A long line in the header would keep the library busy for minutes.
    header = b"age-encryption.org/v1\n-> X25519 "
    assert survivors(lambda data: read(header + data), ALL) == []


def test_params_and_schemas_of_a_workspace(tmp_path: Path) -> None:
    init_workspace(tmp_path / "workspace")
    workspace = open_workspace(tmp_path / "workspace")
    assert workspace.params
    for path, read in {
        workspace.root / "params.yaml": lambda: Workspace(root=workspace.root).params,
        workspace.root / "schemas" / "participants.yaml": lambda: load_schemas(workspace.root / "schemas"),
    }.items():
        before = path.read_bytes()
        # The schemas are read in their order, and the good ones before this take their time.
        documents = ALL if path.name == "params.yaml" else dict(list(ALL.items())[::12])

        def attempt(data: bytes, path: Path = path, read: Callable[[], object] = read) -> object:
            path.write_bytes(data)
            return read()

        assert survivors(attempt, documents, names_keys=True) == []
        path.write_bytes(before)


YAML = {
    "deep flow": "[" * 100_000,
    "deep block": "- " * 50_000,
    "deep mapping": "\n".join(" " * level + "a:" for level in range(2000)),
    "alias": f"a: &x {PLANTED}\nb: *x",
    "aliases of aliases": "a: &a [1,1]\nb: &b [*a,*a]\nc: &c [*b,*b]",
    "recursive": "a: &x [*x]",
    "merge": "a: &x {b: 1}\nc:\n  <<: *x",
    "a list as a key": f"{{[{PLANTED}]: 1}}",
    "a mapping as a key": f"? {{{PLANTED}: 1}}\n: 2",
    "equal keys": f"{PLANTED}: 1\n{PLANTED}: 2",
    "infinity": "a: .inf",
    "no number": "a: .nan",
    "many digits": "a: " + "9" * 10_000,
    "a program": f"!!python/object/apply:os.system [{PLANTED}]",
    "unknown tag": f"!{PLANTED} x",
    "wrong tag": f"!!int {PLANTED}",
    "wrong float": f"!!float {PLANTED}",
    "wrong bool": f"!!bool {PLANTED}",
    "wrong time": f"!!timestamp {PLANTED}",
    "two documents": f"a: 1\n---\nb: {PLANTED}",
    "tab": f"\ta: {PLANTED}",
    "NUL": f"a: {PLANTED}\0",
    "surrogate": 'a: "\\ud800"',
    "unknown alias": f"a: *{PLANTED}",
    "unclosed": f'a: "{PLANTED}',
    "directive": f"%{PLANTED} 9\n---\na: 1",
    "indentation": f"a:\n  b: 1\n c: {PLANTED}",
}


@pytest.mark.parametrize("name", YAML)
def test_malformed_yaml(tmp_path: Path, name: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(YAML[name])
    refused(lambda: load_yaml(path, "params.yaml"))


def test_yaml_that_is_no_text_or_too_much_of_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for data in (b"a: \xff", "a: 1".encode("utf-16"), b"a: 1\n" + b"#" * (17 << 20)):
        path.write_bytes(data)
        refused(lambda: load_yaml(path, "params.yaml"))


def test_lines_of_the_log(tmp_path: Path) -> None:
    init_workspace(tmp_path / "workspace")
    workspace = open_workspace(tmp_path / "workspace")
    record(workspace, "build", {"ok": True})
    path = workspace.root / "log" / "log.jsonl"
    good = path.read_bytes()
    for name, data in ALL.items():
        parsed = parse_log(good + data + b"\n")
        assert parsed.faults, name
        assert PLANTED not in str(parsed.faults)
        assert len(parsed.entries) == 1
    for data in list(ALL.values())[::40]:
        path.write_bytes(good + data + b"\n")
        refused(lambda: record(workspace, "build", {"ok": True}))
        assert path.read_bytes() == good + data + b"\n"


def test_what_was_signed_is_read_as_strictly(tmp_path: Path) -> None:
    """Whoever holds a trusted key can sign anything: a signature must not open the door to a lax parser."""
    for name, data in list(ALL.items())[::3]:
        envelope = Envelope(payload_type=PAYLOAD_TYPE, payload=data, signatures=(sign(data, STEWARD, PAYLOAD_TYPE),))
        verdict = check_status(
            envelope.to_bytes(),
            trust=TRUST,
            series="synthetic-series",
            version="1.0.0",
            manifest_sha256="0" * 64,
            today=date(2026, 1, 31),
        )
        assert verdict.state == "unknown"
        assert [code for code, *_ in verdict.problems] == ["status.malformed"], name


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("release") / "release"
    make_release(root)
    return root


def check_release(release: Path, documents: Mapping[str, bytes]) -> None:
    """Every JSON file of a release; manifest and envelope also with a signature that holds for the malformed one."""
    names = ["manifest.json", "manifest.dsse.json", "schemas/participants.json"]
    before = {name: release.joinpath(name).read_bytes() for name in names}
    for kind, data in documents.items():
        signed = Envelope(payload=data, signatures=(sign(data, STEWARD),)).to_bytes()
        for change in (*({name: data} for name in names), {names[0]: data, names[1]: signed}):
            for name, content in change.items():
                release.joinpath(name).write_bytes(content)
            report = verify_release(release, trust=TRUST)
            assert report.verdict == "invalid", (kind, list(change))
            assert PLANTED not in json.dumps(report.to_dict())
            refused(lambda: open_release(release, trust=TRUST, today=date(2026, 1, 31)))
            for name, content in before.items():
                release.joinpath(name).write_bytes(content)
    assert verify_release(release, trust=TRUST).ok


def test_documents_of_a_release(release: Path) -> None:
    check_release(release, dict(list(ALL.items())[::16]))


@pytest.mark.long
def test_all_documents_of_a_release(release: Path) -> None:
    check_release(release, ALL)


def test_documents_of_two_releases_to_compare(release: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(release, other)
    for name in ("manifest.json", "schemas/participants.json", "reports/risk.json"):
        path = other / name
        path.parent.mkdir(exist_ok=True)
        before = path.read_bytes() if path.exists() else None
        for data in list(STRICT.values())[::8]:
            path.write_bytes(data)
            refused(lambda: diff_releases(release, other))
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


def test_dictionaries_and_policy_of_a_candidate(tmp_path: Path) -> None:
    fill(tmp_path)
    policy, dictionary = tmp_path / "policy.json", tmp_path / "schemas" / "participants.json"
    for data in list(STRICT.values())[::4]:
        policy.write_bytes(data)
        refused(lambda: read_release(tmp_path, policy, "candidate", LINKS))
    policy.write_text("{}")
    for data in list(STRICT.values())[::4]:
        dictionary.write_bytes(data)
        refused(lambda: load_dictionaries(tmp_path / "schemas"))
        refused(lambda: read_release(tmp_path, policy, "candidate", LINKS))


def test_a_damaged_cache_counts_as_absent(tmp_path: Path) -> None:
    init_workspace(tmp_path / "workspace")
    workspace = open_workspace(tmp_path / "workspace")
    for data in list(ALL.values())[::4]:
        (workspace.work / "intake.json").write_bytes(data)
        assert source_changed(workspace) is True


def test_the_verifier_that_stands_alone() -> None:
    for name, data in malformed().items():
        with pytest.raises(standalone.MalformedError) as caught:
            standalone.parse_json(data)
        assert PLANTED not in str(caught.value), name


def test_our_own_documents_are_read() -> None:
    """The readers can say yes: what is refused above is refused for being malformed."""
    with as_file(files("sensai_release.release").joinpath("trust.schema.json")) as path:
        document: Any = read_json_object(path, path.name, "type")
    assert document["type"] == "object"
