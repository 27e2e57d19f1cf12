from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from release_kit import PREDICATE, REVIEWER, STEWARD, STRANGER, TABLES, TRUST, Key, make_release, trust_in

import sensai_release
from sensai_release.errors import ConfigurationError, ReleaseFormatError, TrustError, VerificationError
from sensai_release.release.dsse import Envelope, sign
from sensai_release.release.opened import open_release
from sensai_release.release.status import ReleaseState, Standing, StatusDocument
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


DAY = date(2026, 3, 10)
BOTH = trust_in(STEWARD, REVIEWER, steward=1)


def status_file(release: Path, state: ReleaseState, *keys: Key, expires: date = DAY) -> Path:
    """A status document beside the release, signed by the given keys; the release is its only one."""
    entry = Standing(
        version=str(PREDICATE["version"]),
        manifest_sha256=hashlib.sha256((release / "manifest.json").read_bytes()).hexdigest(),
        state=state,
        reason=None if state == "active" else "error_in_data",
        since=DAY,
    )
    payload = StatusDocument(
        study="SYNTHETIC", series=str(PREDICATE["series"]), version=3, issued=DAY, expires=expires, releases=(entry,)
    ).to_bytes()
    path = release.parent / "status.json"
    path.write_bytes(Envelope(payload=payload, signatures=tuple(sign(payload, key) for key in keys)).to_bytes())
    return path


def test_a_status_document_says_how_it_stands(release: Path) -> None:
    path = status_file(release, "active", STEWARD, REVIEWER)
    opened = open_release(release, trust=BOTH, status=str(path), require_current=True, today=DAY)
    assert opened.report.verdict == "valid and current"
    assert opened.report.freshness is not None
    assert opened.report.freshness.to_dict()["status_version"] == 3


@pytest.mark.parametrize("keys", [(STEWARD,), (REVIEWER,), (STEWARD, REVIEWER)])
def test_a_withdrawn_release_is_refused_whoever_withdrew_it(release: Path, keys: tuple[Key, ...]) -> None:
    path = status_file(release, "withdrawn", *keys)
    with pytest.raises(VerificationError, match="is withdrawn"):
        open_release(release, trust=BOTH, status=path, today=DAY)
    assert open_release(release, trust=BOTH, today=DAY).tables


@pytest.mark.parametrize(
    ("state", "keys", "today", "opens"),
    [
        ("superseded", (STEWARD, REVIEWER), DAY, True),
        ("active", (STEWARD,), DAY, True),
        ("active", (STEWARD, REVIEWER), date(2026, 3, 11), True),
        ("active", (STRANGER,), DAY, False),
    ],
)
def test_only_the_release_to_use_is_current(
    release: Path, state: ReleaseState, keys: tuple[Key, ...], today: date, opens: bool
) -> None:
    given: dict[str, Any] = {"trust": BOTH, "status": status_file(release, state, *keys), "today": today}
    if opens:
        assert open_release(release, **given).tables
    else:
        with pytest.raises(VerificationError, match="not one that the people you trust have signed"):
            open_release(release, **given)
    with pytest.raises(VerificationError):
        open_release(release, **given, require_current=True)


def test_without_a_status_document_nothing_is_current(release: Path) -> None:
    with pytest.raises(VerificationError, match="freshness unknown"):
        open_release(release, trust=TRUST, require_current=True)


def test_a_status_document_needs_trust_and_a_file(release: Path, tmp_path: Path) -> None:
    path = status_file(release, "active", STEWARD, REVIEWER)
    with pytest.raises(ConfigurationError, match="trust="):
        open_release(release, integrity_only=True, status=path)
    for wrong in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read") as caught:
            open_release(release, trust=BOTH, status=wrong)
        assert str(tmp_path) not in str(caught.value)
    path.write_bytes(b"{}")
    with pytest.raises(VerificationError):
        open_release(release, trust=BOTH, status=path)
