"""Escrows and rotated keys in a workspace of a few invented persons, without a pipeline run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pytest
from release_kit import PREDICATE, STEWARD

from sensai_release.errors import ConfigurationError, IdentifierError, InputError, KeyFileError, ReleaseFormatError
from sensai_release.pipeline.escrow import FOLDER, NOT_WRITTEN, write_escrow
from sensai_release.pipeline.pseudonymise import refuse_other_pseudonyms
from sensai_release.pipeline.tracing import look_up
from sensai_release.pipeline.trusting import KEY_DIR_VARIABLE
from sensai_release.pipeline.workspace import Workspace, init_workspace
from sensai_release.privacy.age import decrypt, encrypt
from sensai_release.privacy.escrow import Escrow, load_escrow_private_key, load_escrow_public_key
from sensai_release.privacy.key_rotation import rotate_root_key
from sensai_release.privacy.keyfile import load_root_key, write_private_key
from sensai_release.privacy.keys import check_value
from sensai_release.privacy.pseudonyms import Pseudonymiser
from sensai_release.release.documents import canonical_json
from sensai_release.release.sealing import seal_release
from sensai_release.table.store import write_parquet

STUDY, SERIES = "SENSAI-DBD", "sensai-dbd"
PERSONS = [f"SYN{number:04}" for number in range(1, 7)]
SESSIONS = [f"{person}-S1" for person in PERSONS]
WITHDRAWN = PERSONS[-1]


class Place:
    """A workspace, its key folder, and the escrow key in a place of its own."""

    def __init__(self, base: Path) -> None:
        self.keys = base / "keys"
        self.safe = base / "safe" / "escrow.key"
        self.keys.mkdir(mode=0o700)
        self.safe.parent.mkdir(mode=0o700)
        write_private_key(self.keys / "root.key", role="root", name="Synthetic")
        write_private_key(self.safe, role="escrow", name="Synthetic")
        shutil.copy2(self.safe.with_name("escrow.key.pub"), self.keys)
        self.workspace = Workspace(root=base / "workspace")
        init_workspace(self.workspace.root)
        self.workspace.validated.mkdir()
        write_parquet(pa.table({"participant_id": PERSONS}), self.workspace.validated / "participants.parquet")
        sessions = pa.table({"session_id": SESSIONS, "participant_id": PERSONS})
        write_parquet(sessions, self.workspace.validated / "sessions.parquet")

    def release(self, version: str, persons: list[str], *, series: str = SERIES) -> Path:
        """A sealed release of these persons and their sessions, with the root key in use."""
        root = load_root_key(self.keys / "root.key")
        maker = Pseudonymiser(root, STUDY, series)
        folder = self.workspace.releases / f"{series}-{version}"
        columns = {
            name: next(c.identifier for c in self.workspace.schemas[table].columns if c.name == name)
            for table, name in (("participants", "participant_id"), ("sessions", "session_id"))
        }
        kinds = {name: identifier for name, identifier in columns.items() if identifier is not None}
        people = [maker.pseudonym_of(person, kinds["participant_id"]) for person in persons]
        recorded = [maker.pseudonym_of(f"{person}-S1", kinds["session_id"]) for person in persons]
        tables = {
            "participants": pa.table({"participant_id": people, "sex": ["F"] * len(people)}),
            "sessions": pa.table({"session_id": recorded, "participant_id": people}),
        }
        for name, table in tables.items():
            (folder / "data" / name).mkdir(parents=True)
            write_parquet(table, folder / "data" / name / "part-00000.parquet")
        key = {"id": root.key_id, "check_value": check_value(root, STUDY, series)}
        facts = {"study": STUDY, "series": series, "version": version, "pseudonym_key": key}
        seal_release(folder, PREDICATE | facts, STEWARD)
        return folder

    def escrow_file(self, version: str, series: str = SERIES) -> Path:
        [file] = (self.workspace.root / FOLDER).glob(f"{series}-{version}.*.age")
        return file

    def open(self, file: Path) -> Escrow:
        plain = decrypt(file.read_bytes(), load_escrow_private_key(self.safe).identity, "escrow")
        return Escrow.from_dict(json.loads(plain), "escrow")

    def seal(self, escrow: Escrow, file: Path) -> None:
        """As anybody can who reads the public key: age does not tell who wrote a file."""
        recipient = load_escrow_public_key(self.keys / "escrow.key.pub").recipient
        file.write_bytes(encrypt(canonical_json(escrow.to_dict()), recipient))

    def new_series(self, series: str) -> None:
        params = self.workspace.root / "params.yaml"
        params.write_text(params.read_text().replace(f"series: {self.workspace.params.series}", f"series: {series}"))
        self.workspace = Workspace(root=self.workspace.root)

    def find(self, identifier: str, target: str = f"{SERIES}-1.0.0") -> list[tuple[str, str, str, bool]]:
        found = look_up(self.workspace, target, identifier, key=self.safe)
        return [(held.release, held.kind, held.by, held.here) for held in found.releases]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.setenv(KEY_DIR_VARIABLE, str(place.keys))
    return place


@pytest.fixture
def two(place: Place) -> Place:
    """Two releases with their escrows; the last person is in the first one alone."""
    place.release("1.0.0", PERSONS)
    place.release("2.0.0", PERSONS[:-1])
    for version in ("1.0.0", "2.0.0"):
        assert write_escrow(place.workspace, version).file is not None
    return place


# --- writing ---------------------------------------------------------------------------------------------------------


def test_an_escrow_holds_those_who_are_in_the_release(two: Place) -> None:
    escrow = two.open(two.escrow_file("2.0.0"))
    assert [raw for raw, _ in escrow.kinds["participant"]] == PERSONS[:-1]
    assert [raw for raw, _ in escrow.kinds["session"]] == SESSIONS[:-1]
    root = load_root_key(two.keys / "root.key")
    assert (escrow.key_id, escrow.check_value) == (root.key_id, check_value(root, STUDY, SERIES))
    assert escrow.file_name == two.escrow_file("2.0.0").name


def test_an_escrow_lies_on_the_private_side(two: Place) -> None:
    file = two.escrow_file("1.0.0")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in file.parent.iterdir() if path.suffix != ".age") == [".gitignore"]
    subprocess.run(["git", "init", "--quiet"], cwd=two.workspace.root, check=True)
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    status = subprocess.run(command, cwd=two.workspace.root, capture_output=True, text=True, check=True).stdout
    assert "params.yaml" in status
    assert FOLDER not in status
    for path in two.workspace.root.rglob("*"):
        if path.is_file() and path.parent.name != "validated":
            assert b"SYN0001" not in path.read_bytes()


def test_an_escrow_is_written_once(two: Place) -> None:
    before = two.escrow_file("1.0.0").read_bytes()
    outcome = write_escrow(two.workspace, "1.0.0")
    assert outcome.file == f"{FOLDER}/{two.escrow_file('1.0.0').name}"
    assert outcome.said == f"Escrow for key {outcome.key_id}: {outcome.file}"
    assert outcome.to_dict() == {"file": outcome.file, "key_id": outcome.key_id}
    assert two.escrow_file("1.0.0").read_bytes() == before


def test_a_release_made_anew_gets_an_escrow_of_its_own(two: Place) -> None:
    shutil.rmtree(two.workspace.releases / f"{SERIES}-2.0.0")
    two.release("2.0.0", PERSONS[:3])
    write_escrow(two.workspace, "2.0.0")
    assert len(list((two.workspace.root / FOLDER).glob("*-2.0.0.*.age"))) == 2
    assert (f"{SERIES}-2.0.0", "participant", "both", False) in two.find(PERSONS[4])
    assert (f"{SERIES}-2.0.0", "participant", "both", True) in two.find(PERSONS[0])


def test_the_folder_of_a_release_may_lie_elsewhere(place: Place, tmp_path: Path) -> None:
    shutil.move(place.release("1.0.0", PERSONS), tmp_path / "unfinished")
    assert write_escrow(place.workspace, "1.0.0", folder=tmp_path / "unfinished").file is not None


def test_without_an_escrow_key_nothing_is_written_and_that_is_said(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.release("1.0.0", PERSONS)
    (place.keys / "escrow.key.pub").unlink()
    outcome = write_escrow(place.workspace, "1.0.0")
    assert (outcome.file, outcome.said) == (None, NOT_WRITTEN)
    monkeypatch.delenv(KEY_DIR_VARIABLE)
    assert write_escrow(place.workspace, "1.0.0").file is None
    assert not (place.workspace.root / FOLDER).exists()


def test_the_root_key_of_the_release_is_found_after_a_rotation(place: Place) -> None:
    place.release("1.0.0", PERSONS)
    rotate_root_key(place.keys / "root.key")
    write_escrow(place.workspace, "1.0.0")
    assert place.find(PERSONS[0]) == [(f"{SERIES}-1.0.0", "participant", "both", True)]


def test_an_escrow_that_cannot_be_right_is_not_written(place: Place) -> None:
    place.release("1.0.0", [*PERSONS, "SYN9999"])
    with pytest.raises(ConfigurationError, match="no longer explains the release"):
        write_escrow(place.workspace, "1.0.0")
    (place.keys / "root.key").rename(place.safe.with_name("root.key"))
    with pytest.raises(KeyFileError, match="holds no root key"):
        write_escrow(place.workspace, "1.0.0")
    with pytest.raises(ReleaseFormatError, match="has no manifest"):
        write_escrow(place.workspace, "3.0.0")
    # Another key under the id of the first.
    lost = place.safe.with_name("root.key").read_text()
    write_private_key(place.keys / "root.key", role="root", name="Synthetic")
    old, new = (re.findall("key-id: (.*)", text)[0] for text in (lost, (place.keys / "root.key").read_text()))
    (place.keys / "root.key").write_text((place.keys / "root.key").read_text().replace(new, old))
    with pytest.raises(KeyFileError, match="is not the one that the release was made with"):
        write_escrow(place.workspace, "1.0.0")
    assert not list((place.workspace.root / FOLDER).glob("*.age"))


def test_two_public_escrow_keys_are_one_too_many(place: Place) -> None:
    place.release("1.0.0", PERSONS)
    write_private_key(place.keys / "second.key", role="escrow", name="Synthetic")
    with pytest.raises(KeyFileError, match="2 public escrow keys"):
        write_escrow(place.workspace, "1.0.0")


# --- looking up ------------------------------------------------------------------------------------------------------


def test_either_name_finds_every_release(two: Place) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in two.workspace.root.rglob("*"))
    both = [(f"{SERIES}-{version}", "participant", "both", True) for version in ("1.0.0", "2.0.0")]
    assert two.find(PERSONS[0]) == two.find(f" {PERSONS[0].lower()}") == both
    answer = look_up(two.workspace, f"{SERIES}-1.0.0", PERSONS[0], key=two.safe)
    [pair] = answer.pairs
    assert (pair.kind, pair.raw) == ("participant", PERSONS[0])
    assert two.find(pair.pseudonym) == both
    assert two.find(pair.pseudonym.lower(), target=f"releases/{SERIES}-2.0.0") == both
    assert two.find(WITHDRAWN, target=f"{SERIES}-2.0.0") == both[:1]
    assert two.find(SESSIONS[0])[0][1] == "session"
    assert two.find("SYN9999") == []
    document = answer.to_dict()
    assert document["ok"] is True
    assert document["pairs"] == [{"kind": "participant", "raw": PERSONS[0], "pseudonym": pair.pseudonym}]
    assert document["not_searched"] == []
    assert sorted((path, path.stat().st_mtime_ns) for path in two.workspace.root.rglob("*")) == before


def test_an_escrow_file_is_enough(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_DIR_VARIABLE)
    answer = look_up(None, str(two.escrow_file("2.0.0")), WITHDRAWN, key=two.safe)
    assert [(held.release, held.by, held.here) for held in answer.releases] == [(f"{SERIES}-1.0.0", "escrow", False)]
    with pytest.raises(ConfigurationError, match="is no workspace"):
        look_up(None, f"{SERIES}-1.0.0", WITHDRAWN, key=two.safe)


def test_other_series_and_older_keys_are_searched(two: Place) -> None:
    """After a rotation the pseudonyms are others, and the raw identifier leads from one to the other."""
    rotate_root_key(two.keys / "root.key")
    two.new_series("second")
    two.release("1.0.0", PERSONS, series="second")
    write_escrow(two.workspace, "1.0.0")
    old, new = (two.open(two.escrow_file("1.0.0", series)) for series in (SERIES, "second"))
    assert old.key_id != new.key_id
    assert not {p for pairs in old.kinds.values() for _, p in pairs} & {p for ps in new.kinds.values() for _, p in ps}
    pseudonym = dict(old.kinds["participant"])[WITHDRAWN]
    assert two.find(pseudonym) == [(f"{name}-1.0.0", "participant", "both", True) for name in ("second", SERIES)]


def test_a_release_without_an_escrow_is_searched_with_its_root_key(two: Place) -> None:
    two.escrow_file("1.0.0").unlink()
    rotate_root_key(two.keys / "root.key")
    assert two.find(WITHDRAWN, target=f"{SERIES}-2.0.0") == [(f"{SERIES}-1.0.0", "participant", "root key", True)]
    two.escrow_file("2.0.0").unlink()
    answer = look_up(two.workspace, f"{SERIES}-1.0.0", WITHDRAWN)  # no escrow, so no escrow key either
    assert [(pair.kind, pair.raw) for pair in answer.pairs] == [("participant", WITHDRAWN)]
    shutil.rmtree(two.keys)
    two.keys.mkdir()
    blind = look_up(two.workspace, f"{SERIES}-1.0.0", WITHDRAWN)
    assert blind.to_dict()["ok"] is False
    assert [name for name, _ in blind.not_searched] == [f"{SERIES}-1.0.0", f"{SERIES}-2.0.0"]


def test_a_damaged_or_foreign_escrow_is_named_and_never_passed_over(two: Place) -> None:
    file = two.escrow_file("1.0.0")
    good = file.read_bytes()
    write_private_key(two.safe.with_name("other.key"), role="escrow", name="Other")
    with pytest.raises(InputError, match="made for another key"):
        look_up(two.workspace, f"{SERIES}-1.0.0", PERSONS[0], key=two.safe.with_name("other.key"))
    for data in (good[:-1], good[:100], b"", good[:-1] + bytes([good[-1] ^ 1]), b"plain text"):
        file.write_bytes(data)
        with pytest.raises(InputError, match="does not open"):
            two.find(PERSONS[0])
        (two.keys / "root.key").rename(two.keys / ".root.key")
        answer = look_up(two.workspace, f"{SERIES}-2.0.0", PERSONS[0], key=two.safe)
        (two.keys / ".root.key").rename(two.keys / "root.key")
        assert [name for name, _ in answer.not_searched] == [f"{SERIES}-1.0.0", file.name]


def test_swapped_files_are_refused(two: Place) -> None:
    one, other = two.escrow_file("1.0.0"), two.escrow_file("2.0.0")
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    for version in ("1.0.0", "2.0.0"):
        with pytest.raises(InputError, match="its name is not its own"):
            two.find(PERSONS[0], target=f"{SERIES}-{version}")


def test_a_forged_escrow_is_contradicted_by_the_root_key(two: Place) -> None:
    """Else somebody could have the steward withdraw the wrong person."""
    file = two.escrow_file("1.0.0")
    true = two.open(file)
    persons = true.kinds["participant"]
    crossed = ((persons[0][0], persons[1][1]), (persons[1][0], persons[0][1]), *persons[2:])
    values = {name: getattr(true, name) for name in Escrow.__dataclass_fields__}
    two.seal(Escrow(**values | {"kinds": dict(true.kinds) | {"participant": crossed}}), file)
    for identifier in (persons[0][0], persons[0][1]):
        with pytest.raises(InputError, match="is contradicted by the root key"):
            two.find(identifier)
        answer = look_up(two.workspace, f"{SERIES}-2.0.0", identifier, key=two.safe)
        assert (file.name, "is contradicted by the root key: it was not written by 'release'") in answer.not_searched
    two.seal(Escrow(**values | {"check_value": "0" * 16}), file)
    assert ("1.0.0", "escrow") in [(r.rpartition("-")[2], by) for r, _, by, _ in two.find(persons[0][0])]


def test_content_that_is_no_canonical_escrow_is_refused(two: Place) -> None:
    file = two.escrow_file("1.0.0")
    recipient = load_escrow_public_key(two.keys / "escrow.key.pub").recipient
    for plain in (b"", b"{}", b"[", b'{"format": NaN}', b"\xff", b'{"a":1,"a":2}', b"[" * 5000):
        file.write_bytes(encrypt(plain, recipient))
        with pytest.raises(InputError):
            two.find(PERSONS[0])


@pytest.mark.parametrize("kind", ["link", "folder", "absent"])
def test_what_is_no_plain_file_is_refused(two: Place, kind: str) -> None:
    file = two.escrow_file("1.0.0")
    file.rename(two.safe.with_name("moved"))
    if kind == "link":
        file.symlink_to(two.safe.with_name("moved"))
    if kind == "folder":
        file.mkdir()
    with pytest.raises(InputError, match=r"cannot be read|is not there"):
        two.find(PERSONS[0], target=str(file))


@pytest.mark.parametrize("identifier", ["", "A\u200b1", "A\nB", "x" * 257, "\x00", "\u202eA"])
def test_what_is_no_identifier_is_refused(two: Place, identifier: str) -> None:
    with pytest.raises(IdentifierError, match="visible characters"):
        two.find(identifier)


def test_a_slip_of_the_pen_is_noticed(two: Place) -> None:
    pseudonym = dict(two.open(two.escrow_file("1.0.0")).kinds["participant"])[PERSONS[0]]
    wrong = pseudonym[:-1] + ("0" if pseudonym[-1] != "0" else "1")
    with pytest.raises(IdentifierError, match="check character does not fit") as caught:
        two.find(wrong)
    assert wrong not in str(caught.value)


@pytest.mark.parametrize("target", ["sensai-dbd-9.9.9", "..", "nowhere", f"{SERIES}-1", "*", f"{SERIES}-1.0.[01]"])
def test_a_target_that_is_nothing(two: Place, target: str) -> None:
    with pytest.raises(ConfigurationError, match="names no release and no escrow file"):
        two.find(PERSONS[0], target=target)


# --- one key for a series --------------------------------------------------------------------------------------------


def test_a_series_keeps_its_root_key(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_other_pseudonyms(place.workspace)  # nothing has been released
    place.release("1.0.0", PERSONS)
    refuse_other_pseudonyms(place.workspace)
    old = load_root_key(place.keys / "root.key").key_id
    new = rotate_root_key(place.keys / "root.key").info.key_id
    with pytest.raises(ConfigurationError) as caught:
        refuse_other_pseudonyms(place.workspace)
    for word in (old, new, f"{SERIES}-1.0.0", "new pseudonym", "change 'series'"):
        assert word in str(caught.value)
    place.new_series("second")
    refuse_other_pseudonyms(place.workspace)
    place.new_series(SERIES)
    monkeypatch.delenv(KEY_DIR_VARIABLE)
    with pytest.raises(KeyFileError, match="the root key: was not named"):
        refuse_other_pseudonyms(place.workspace)


def test_a_series_keeps_its_study_id(place: Place) -> None:
    place.release("1.0.0", PERSONS)
    params = place.workspace.root / "params.yaml"
    params.write_text(params.read_text().replace(f"id: {STUDY}", "id: OTHER"))
    with pytest.raises(ConfigurationError, match=r"study\.id"):
        refuse_other_pseudonyms(Workspace(root=place.workspace.root))


def test_the_last_release_of_the_series_counts(place: Place) -> None:
    place.release("1.0.0", PERSONS)
    rotate_root_key(place.keys / "root.key")
    place.release("2.0.0", PERSONS)
    refuse_other_pseudonyms(place.workspace)
    (place.workspace.releases / f"{SERIES}-2.0.0" / "manifest.json").write_text("{")
    with pytest.raises(ReleaseFormatError, match=r"manifest\.json"):
        refuse_other_pseudonyms(place.workspace)
