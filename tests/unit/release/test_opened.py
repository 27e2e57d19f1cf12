from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from release_kit import STEWARD, STRANGER, TABLES, TRUST, make_release, trust_in

import sensai_release
from sensai_release.errors import ReleaseFormatError, TrustError, VerificationError
from sensai_release.release.opened import open_release
from sensai_release.release.trust import write_trust


@pytest.fixture
def release(tmp_path: Path) -> Path:
    make_release(tmp_path / "release")
    return tmp_path / "release"


def test_tables_are_what_was_released(release: Path) -> None:
    opened = open_release(release, trust=TRUST)
    assert opened.tables == ("folds", "participants")
    for name, table in TABLES.items():
        assert opened.table(name).equals(table)
    assert opened.dictionary("folds")["columns"][1] == {"name": "fold", "dtype": "integer"}
    assert opened.manifest["predicate"]["series"] == "synthetic-series"
    assert opened.report.signers == (STEWARD.name,)


def test_trust_may_be_a_path(release: Path, tmp_path: Path) -> None:
    write_trust(TRUST, tmp_path / "trust.json")
    assert sensai_release.open_release(str(release), trust=str(tmp_path / "trust.json")).tables
    assert sensai_release.open_release(release, trust=tmp_path / "trust.json").tables
    with pytest.raises(TrustError):
        open_release(release, trust=tmp_path / "absent.json")


def test_without_trust_it_is_refused_unless_the_signer_does_not_matter(release: Path) -> None:
    with pytest.raises(VerificationError, match="signer unknown"):
        open_release(release)
    assert open_release(release, integrity_only=True).table("folds").num_rows == 20


def test_trust_is_not_overruled_by_integrity_only(release: Path) -> None:
    with pytest.raises(VerificationError, match="not approved"):
        open_release(release, trust=trust_in(STRANGER), integrity_only=True)


def test_a_tampered_release_is_refused(release: Path) -> None:
    release.joinpath("README.md").write_text("changed")
    with pytest.raises(VerificationError, match="invalid") as caught:
        open_release(release, trust=TRUST)
    assert str(release.parent) not in str(caught.value)


def test_a_change_after_opening_is_noticed(release: Path) -> None:
    opened = open_release(release, trust=TRUST)
    part = release / "data" / "folds" / "part-00000.parquet"
    other = release / "data" / "folds" / "part-00001.parquet"
    part.write_bytes(other.read_bytes())
    with pytest.raises(VerificationError, match="changed since"):
        opened.table("folds")
    part.unlink()
    with pytest.raises(VerificationError, match="changed since"):
        opened.table("folds")
    assert opened.table("participants").num_rows == 20


def test_what_is_not_there(release: Path, tmp_path: Path) -> None:
    opened = open_release(release, trust=TRUST)
    for ask in (opened.table, opened.dictionary):
        with pytest.raises(ReleaseFormatError, match="folds, participants"):
            ask("faces")
    for path in (tmp_path / "absent", tmp_path, release / "README.md"):
        with pytest.raises(ReleaseFormatError):
            open_release(path, trust=TRUST)


def test_the_current_day_is_the_default(release: Path) -> None:
    person = TRUST.people[0]
    expired = type(TRUST)(
        threshold=TRUST.threshold,
        people=(
            type(person)(
                name=person.name, roles=person.roles, public_key=person.public_key, valid_until=date(2020, 1, 1)
            ),
        ),
    )
    with pytest.raises(VerificationError, match="not approved"):
        open_release(release, trust=expired)
    assert open_release(release, trust=expired, today=date(2019, 1, 1)).tables


def test_the_working_directory_may_change(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(release.parent)
    opened = open_release("release", trust=TRUST)
    monkeypatch.chdir("/")
    assert opened.table("folds").num_rows == 20
