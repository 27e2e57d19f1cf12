"""Status documents: one person withdraws, two make current, nobody holds back a newer one unseen."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from release_kit import PREDICATE, REVIEWER, STEWARD, STRANGER, Key, make_key, make_release, trust_in

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.documents import canonical_json
from sensai_release.release.dsse import Envelope, Signature, sign
from sensai_release.release.sealing import countersign_release
from sensai_release.release.status import (
    REASONS,
    Freshness,
    FreshnessVerdict,
    ReleaseState,
    Seen,
    Standing,
    StatusDocument,
    check_status,
    sign_status,
)
from sensai_release.release.trust import Person, Trust
from sensai_release.release.verdict import decide, explain
from sensai_release.release.verify import STEP_NAMES, StatusFile, VerificationReport, verify_release

ISSUED, TODAY, EXPIRES, LATER = date(2026, 3, 1), date(2026, 3, 10), date(2026, 5, 30), date(2026, 5, 31)
SERIES, VERSION, DIGEST = str(PREDICATE["series"]), "1.0.0", "ab" * 32
BOTH = trust_in(STEWARD, REVIEWER, steward=1, reviewer=1)
SECOND_KEY = make_key("Synthetic Steward, at home")


def standing(state: ReleaseState = "active", version: str = VERSION, digest: str = DIGEST) -> Standing:
    reason = {"active": None, "superseded": "replaced", "withdrawn": "error_in_data"}[state]
    return Standing(version=version, manifest_sha256=digest, state=state, reason=reason, since=ISSUED)  # type: ignore[arg-type]


def document(*releases: Standing, version: int = 5, **named: Any) -> StatusDocument:
    made = StatusDocument(
        study="SYNTHETIC", series=SERIES, version=version, issued=ISSUED, expires=EXPIRES, releases=releases
    )
    return replace(made, **named)


def signed(payload: StatusDocument | bytes, *keys: Key) -> bytes:
    data = payload if isinstance(payload, bytes) else payload.to_bytes()
    return Envelope(payload=data, signatures=tuple(sign(data, key) for key in keys)).to_bytes()


def check(data: bytes, trust: Trust = BOTH, **named: Any) -> FreshnessVerdict:
    given: dict[str, Any] = {"series": SERIES, "version": VERSION, "manifest_sha256": DIGEST, "today": TODAY}
    return check_status(data, trust=trust, **(given | named))


def codes(found: FreshnessVerdict) -> list[str]:
    return [code for code, _ in found.problems]


ACTIVE = document(standing())
SUPERSEDED = document(standing("superseded"), standing("active", "2.0.0", "cd" * 32))
WITHDRAWN = document(standing("withdrawn"))
TWO = (STEWARD, REVIEWER)


# Who has to sign


@pytest.mark.parametrize(
    ("made", "keys", "state"),
    [
        (ACTIVE, TWO, "current"),
        (SUPERSEDED, TWO, "superseded"),
        (WITHDRAWN, TWO, "withdrawn"),
        (ACTIVE, (STEWARD,), "unknown"),
        (ACTIVE, (REVIEWER,), "unknown"),
        (SUPERSEDED, (STEWARD,), "unknown"),
        (SUPERSEDED, (REVIEWER,), "unknown"),
        (WITHDRAWN, (STEWARD,), "withdrawn"),
        (WITHDRAWN, (REVIEWER,), "withdrawn"),
        (ACTIVE, (STEWARD, STRANGER), "unknown"),
        (ACTIVE, (*TWO, STRANGER), "current"),
        (WITHDRAWN, (STEWARD, STRANGER), "withdrawn"),
    ],
)
def test_one_person_withdraws_and_two_make_current(made: StatusDocument, keys: tuple[Key, ...], state: str) -> None:
    found = check(signed(made, *keys))
    assert (found.state, codes(found)) == (state, [])
    assert found.document == made
    assert found.signers == tuple(sorted(key.name for key in keys if key is not STRANGER))
    assert len(found.notes) == 1
    assert (state == "unknown") is ("is missing" in found.notes[0])


def test_a_trust_file_that_asks_for_one_steward_still_needs_two_people() -> None:
    trust = trust_in(STEWARD, REVIEWER, steward=1)
    assert check(signed(ACTIVE, STEWARD), trust).state == "unknown"
    assert check(signed(ACTIVE, *TWO), trust).state == "current"


def test_a_trust_file_that_asks_for_more_gets_more() -> None:
    other = make_key("Another Reviewer", "reviewer")
    trust = trust_in(STEWARD, REVIEWER, other, steward=1, reviewer=2)
    assert check(signed(ACTIVE, *TWO), trust).state == "unknown"
    assert check(signed(ACTIVE, *TWO, other), trust).state == "current"


def test_one_person_with_two_keys_and_both_roles_is_one_person() -> None:
    people = tuple(
        Person(name=name, roles=("reviewer", "steward"), public_key=key.public)
        for name, key in (("Synthetic Steward", STEWARD), ("synthetic  STEWARD", SECOND_KEY))
    )
    trust = Trust(threshold={"steward": 1, "reviewer": 1}, people=people)
    found = check(signed(ACTIVE, STEWARD, SECOND_KEY), trust)
    assert (found.state, codes(found)) == ("unknown", [])


def test_one_key_under_two_key_ids_is_one_signature() -> None:
    payload = ACTIVE.to_bytes()
    twice = Envelope(
        payload=payload,
        signatures=(sign(payload, STEWARD), Signature(key_id="0" * 16, value=sign(payload, STEWARD).value)),
    )
    found = check(twice.to_bytes())
    assert (found.state, codes(found)) == ("unknown", ["status.signature_broken"])


def test_the_same_signature_twice_is_one_signature() -> None:
    payload = ACTIVE.to_bytes()
    twice = Envelope(payload=payload, signatures=(sign(payload, STEWARD),) * 2)
    assert check(twice.to_bytes()).state == "unknown"


@pytest.mark.parametrize("days", [{"revoked": ISSUED}, {"valid_until": ISSUED}, {"valid_from": LATER}])
def test_a_key_that_does_not_count_today_does_not_sign(days: dict[str, Any]) -> None:
    people = (replace(BOTH.people[0], **days), BOTH.people[1])
    trust = replace(BOTH, people=people)
    assert check(signed(ACTIVE, *TWO), trust).state == "unknown"
    assert check(signed(WITHDRAWN, *TWO), trust).state == "withdrawn"
    assert codes(check(signed(WITHDRAWN, STEWARD), trust)) == ["status.unknown_signer"]


def test_strangers_say_nothing() -> None:
    found = check(signed(WITHDRAWN, STRANGER))
    assert (found.state, codes(found), found.document) == ("unknown", ["status.unknown_signer"], None)


# What else must fit


@pytest.mark.parametrize(
    ("made", "today", "word"),
    [
        (ACTIVE, LATER, "expired"),
        (SUPERSEDED, LATER, "expired"),
        (ACTIVE, date(2026, 2, 28), "clock"),
        (ACTIVE, None, "without a day"),
    ],
)
def test_out_of_its_time_a_document_makes_nothing_current(made: StatusDocument, today: date | None, word: str) -> None:
    found = check(signed(made, *TWO), today=today)
    assert (found.state, codes(found)) == ("unknown", [])
    assert word in found.notes[0]


@pytest.mark.parametrize("today", [ISSUED, EXPIRES])
def test_both_days_are_inclusive(today: date) -> None:
    assert check(signed(ACTIVE, *TWO), today=today).state == "current"


@pytest.mark.parametrize("today", [LATER, date(2030, 1, 1), None])
def test_a_withdrawal_never_expires(today: date | None) -> None:
    assert check(signed(WITHDRAWN, STEWARD), today=today).state == "withdrawn"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (None, []),
        (Seen(version=4, sha256=DIGEST), []),
        (Seen(version=5), []),
        (Seen(version=5, sha256=DIGEST), ["status.two_documents"]),
        (Seen(version=6), ["status.rollback"]),
    ],
)
@pytest.mark.parametrize("made", [ACTIVE, SUPERSEDED])
def test_an_older_document_than_one_seen_before_is_refused(
    made: StatusDocument, seen: Seen | None, expected: list[str]
) -> None:
    found = check(signed(made, *TWO), seen=seen)
    assert codes(found) == expected
    assert (found.state == "unknown") is bool(expected)


@pytest.mark.parametrize("made", [ACTIVE, WITHDRAWN])
def test_a_document_of_another_series_says_nothing_of_this_release(made: StatusDocument) -> None:
    found = check(signed(replace(made, series="another-series"), *TWO), seen=Seen(version=9))
    assert (found.state, codes(found)) == ("unknown", [])
    assert "another series" in found.notes[0]


def test_a_release_that_is_not_listed_is_of_unknown_freshness() -> None:
    found = check(signed(document(standing("active", "2.0.0", "cd" * 32)), *TWO))
    assert (found.state, codes(found)) == ("unknown", [])
    assert "does not list this release" in found.notes[0]


@pytest.mark.parametrize(
    "other", [standing(digest="cd" * 32), standing("withdrawn", digest="cd" * 32), standing("active", "2.0.0")]
)
def test_another_manifest_under_this_version_is_a_contradiction(other: Standing) -> None:
    found = check(signed(document(other), STEWARD))
    assert (found.state, codes(found)) == ("unknown", ["status.other_release"])


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_words(reason: Any) -> None:
    entry = replace(standing("withdrawn"), reason=reason)
    assert entry.why in check(signed(document(entry), STEWARD)).notes[0]
    assert reason not in entry.why


# Bytes


@pytest.mark.parametrize("keys", [(STEWARD,), TWO])
def test_every_single_byte_flip_is_refused(keys: tuple[Key, ...]) -> None:
    made = WITHDRAWN if len(keys) == 1 else ACTIVE
    data = signed(made, *keys)
    assert codes(check(data)) == []
    accepted = []
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << (position % 8)
        if not codes(check(bytes(changed))):
            accepted.append(position)
    assert accepted == []


@pytest.mark.parametrize(
    "change",
    [lambda data: b"", lambda data: data[:-1], lambda data: data + b"\n", lambda data: b"\xef\xbb\xbf" + data,
     lambda data: data.replace(b":", b": ", 1), lambda data: data + data, lambda data: b"[" * 100_000,
     lambda data: b"null", lambda data: b"[]", lambda data: b"{}", lambda data: b"\xff" + data[1:],
     lambda data: data.replace(b'"payload":', b'"payload":"","payload":', 1),
     lambda data: data.replace(b'"signatures":[', b'"signatures":[1,', 1),
     lambda data: b'{"payload":1,"payloadType":2,"signatures":3}', lambda data: b" " * (3 << 20)],
)  # fmt: skip
def test_what_is_no_envelope_is_refused(change: Callable[[bytes], bytes]) -> None:
    assert codes(check(change(signed(ACTIVE, *TWO)))) == ["status.malformed"]


def test_another_kind_of_signed_document_is_no_status_document() -> None:
    payload = canonical_json({**ACTIVE.to_dict(), "predicateType": "urn:sensai-release:predicate:waiver:1"})
    assert codes(check(signed(payload, *TWO))) == ["status.malformed"]
    other = Envelope(payload=ACTIVE.to_bytes(), payload_type="text/plain", signatures=(sign(b"", STEWARD),))
    assert codes(check(other.to_bytes())) == ["status.malformed"]


def predicate(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda whole: change(whole["predicate"])


def entry(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda whole: change(whole["predicate"]["releases"][0])


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no releases": predicate(lambda p: p.update(releases=[])),
    "more": predicate(lambda p: p.update(more=1)),
    "version 0": predicate(lambda p: p.update(version=0)),
    "version true": predicate(lambda p: p.update(version=True)),
    "version too high": predicate(lambda p: p.update(version=1_000_001)),
    "version as text": predicate(lambda p: p.update(version="5")),
    "no such day": predicate(lambda p: p.update(issued="2026-02-30")),
    "a week": predicate(lambda p: p.update(issued="2026-W01-1")),
    "expires before": predicate(lambda p: p.update(expires="2026-02-01")),
    "series": predicate(lambda p: p.update(series="../x")),
    "twice": predicate(lambda p: p["releases"].append(p["releases"][0])),
    "state": entry(lambda e: e.update(state="fine")),
    "reason of an active one": entry(lambda e: e.update(reason="other")),
    "no reason": entry(lambda e: e.update(state="withdrawn")),
    "a reason of its own": entry(lambda e: e.update(state="withdrawn", reason="P00000001 left")),
    "since": entry(lambda e: e.update(since="2026-13-01")),
    "short version": entry(lambda e: e.update(version="1.0")),
    "subject": lambda whole: whole["subject"][0]["digest"].update(sha256="0" * 64),
    "subject's name": lambda whole: whole["subject"][0].update(name="x"),
    "list": lambda whole: whole.update(predicate=[]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_trusted_people_signed_can_still_be_wrong(name: str) -> None:
    whole = json.loads(ACTIVE.to_bytes())
    WRONG[name](whole)
    found = check(signed(canonical_json(whole), *TWO))
    assert (found.state, codes(found)) == ("unknown", ["status.malformed"])


def test_two_active_releases_or_a_wrong_order_are_refused() -> None:
    for releases in (
        (standing(), standing("active", "2.0.0", "cd" * 32)),
        (standing("superseded", "10.0.0", "cd" * 32), standing("superseded", "9.0.0", "ef" * 32)),
    ):
        with pytest.raises(ReleaseFormatError):
            document(*releases).to_bytes()
    document(standing("superseded", "9.0.0", "cd" * 32), standing("active", "10.0.0", "ef" * 32)).to_bytes()


FAULTY_JSON = [
    b"", b"[", b"]", b"{", b'{"a":1,"a":2}', b"[NaN]", b"[Infinity]", b"[1e999]", b"[01]", b"[1.]", b"[.5]", b"[+1]",
    b"[0x1]",     b"['a']", b'["\\x00"]', b'["\\ud800"]', b"[\xff]", b"[1,]", b'{"a":}', b"{1:2}", b"[1]x", b"nul",
    b"[99999999999999999999]",
    b"\xef\xbb\xbf{}", b"/**/{}", b"[" * 40 + b"]" * 40, "\u00a0{}".encode(), b'"\t"', b"\xfe\xff\x00{",
]  # fmt: skip


@pytest.mark.parametrize("text", FAULTY_JSON)
def test_faulty_json_is_refused_without_and_with_a_signature(text: bytes) -> None:
    assert codes(check(text)) == ["status.malformed"]
    assert codes(check(signed(text, *TWO))) == ["status.malformed"]


def test_nothing_is_interpreted_before_a_trusted_signature_holds() -> None:
    assert codes(check(signed(b"{", STRANGER))) == ["status.unknown_signer"]
    data = json.loads(signed(ACTIVE, STEWARD))
    data["payload"] = base64.b64encode(b"{").decode()
    assert codes(check(canonical_json(data))) == ["status.signature_broken"]


def test_messages_hold_nothing_of_the_document() -> None:
    whole = json.loads(ACTIVE.to_bytes())
    whole["predicate"]["study"] = "PLANTED"
    whole["predicate"]["version"] = -1
    found = check(signed(canonical_json(whole), *TWO))
    assert "PLANTED" not in repr((found.problems, found.notes))


def test_signing_gives_the_one_byte_form() -> None:
    data = sign_status(ACTIVE, STEWARD)
    assert data == signed(ACTIVE, STEWARD)
    assert StatusDocument.from_bytes(Envelope.from_bytes(data, "x").payload) == ACTIVE


# In `verify`


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("status") / "release"
    make_release(root)
    countersign_release(root, REVIEWER)
    return root


def manifest_digest(release: Path) -> str:
    return hashlib.sha256((release / "manifest.json").read_bytes()).hexdigest()


def verified(release: Path, data: bytes | None, trust: Trust | None = BOTH, **named: Any) -> VerificationReport:
    seen = named.pop("seen", {})
    status = StatusFile(data=data, seen=seen) if data is not None else None
    return verify_release(release, trust=trust, today=TODAY, status=status, **named)


def listing(release: Path, *states: ReleaseState, digest: str | None = None, version: int = 5) -> StatusDocument:
    digests = [digest or manifest_digest(release), "cd" * 32]
    versions = [VERSION, "2.0.0"]
    return document(*(standing(s, v, d) for s, v, d in zip(states, versions, digests, strict=False)), version=version)


@pytest.mark.parametrize(
    ("states", "keys", "verdict", "ok", "current"),
    [
        ((), (), "valid, freshness unknown", True, False),
        (("active",), TWO, "valid and current", True, True),
        (("active",), (STEWARD,), "valid, freshness unknown", True, False),
        (("superseded", "active"), TWO, "superseded", True, False),
        (("superseded", "active"), (REVIEWER,), "valid, freshness unknown", True, False),
        (("withdrawn",), (REVIEWER,), "withdrawn", False, False),
        (("withdrawn", "active"), TWO, "withdrawn", False, False),
        (("active",), (STRANGER,), "valid, freshness unknown", False, False),
    ],
)
def test_each_verdict(
    release: Path, states: tuple[ReleaseState, ...], keys: tuple[Key, ...], verdict: str, ok: bool, current: bool
) -> None:
    data = signed(listing(release, *states), *keys) if states else None
    report = verified(release, data)
    assert (report.verdict, report.ok) == (verdict, ok)
    assert report.explanation
    strict = verified(release, data, require_current=True)
    assert (strict.verdict, strict.ok) == (verdict, current)
    shown = report.to_dict()
    assert (shown["freshness"] is None) is (data is None)
    assert len(shown["steps"]) == len(STEP_NAMES)


def test_a_rollback_is_refused_though_the_release_is_valid(release: Path) -> None:
    report = verified(
        release, signed(listing(release, "active"), *TWO), seen={SERIES: Seen(version=6), "another": Seen(version=1)}
    )
    assert (report.verdict, report.ok) == ("valid, freshness unknown", False)
    assert [p.code for p in report.steps[-1].problems] == ["status.rollback"]
    assert "newer" in report.explanation


def test_a_contradiction_makes_the_release_invalid(release: Path) -> None:
    report = verified(release, signed(listing(release, "active", digest="00" * 32), *TWO))
    assert (report.verdict, report.ok) == ("invalid", False)
    assert "other one" in report.explanation


def test_a_withdrawal_does_not_hide_that_a_release_was_changed(release: Path, tmp_path: Path) -> None:
    make_release(tmp_path / "r")
    data = signed(listing(tmp_path / "r", "withdrawn"), STEWARD)
    (tmp_path / "r" / "README.md").write_text("changed")
    report = verified(tmp_path / "r", data, trust_in(STEWARD))
    assert (report.verdict, report.ok) == ("invalid", False)
    assert any("Withdrawn since" in note for note in report.notes)


def test_without_a_trust_file_a_status_document_means_nothing(release: Path) -> None:
    report = verified(release, signed(listing(release, "active"), *TWO), None, integrity_only=True)
    assert (report.verdict, report.ok) == ("intact, signer unknown", False)
    assert verified(release, None, None, integrity_only=True).ok
    assert not verified(release, None, None, integrity_only=True, require_current=True).ok


def test_not_approved_stays_not_approved(tmp_path: Path) -> None:
    make_release(tmp_path / "r")
    report = verified(tmp_path / "r", signed(listing(tmp_path / "r", "active"), *TWO))
    assert (report.verdict, report.ok) == ("not approved", False)


CASES: list[tuple[set[str], Freshness]] = [
    (set(), "current"), (set(), "unknown"), (set(), "superseded"), (set(), "withdrawn"),
    ({"status.rollback"}, "unknown"), ({"status.malformed"}, "unknown"), ({"status.other_release"}, "unknown"),
    ({"status.two_documents"}, "unknown"), ({"log.signer"}, "current"),
    ({"log.broken"}, "current"), ({"facts.differ"}, "current"),
]  # fmt: skip


def test_every_verdict_is_explained() -> None:
    said = {explain(decide(found, True, state), found) for found, state in CASES}
    assert len(said) == len(CASES)
