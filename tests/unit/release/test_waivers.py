"""One waiver: every verdict has a waiver that earns it, and nothing but a whole one is ok."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from release_kit import REVIEWER, STEWARD, STRANGER, Key, make_key, trust_in

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.release.documents import canonical_json
from sensai_release.release.dsse import Envelope, Signature, sign
from sensai_release.release.trust import Person, Trust
from sensai_release.release.waivers import (
    PROFILE_GATE,
    Waiver,
    WaiverFacts,
    candidate_digest,
    check_waiver,
    draft_waiver,
    failing_gates,
    gate_entries,
    last_day,
    sign_waiver,
)

ISSUED, EXPIRES, DAY = date(2026, 1, 10), date(2026, 6, 30), date(2026, 1, 31)
AUDIT = [
    {"name": "rank1_upper", "scope": "face_windows", "value": 0.31, "limit": 0.09, "ok": False, "status": "failed"},
    {"name": "auc_upper", "scope": "face_windows", "value": 0.12, "limit": 0.2, "ok": True, "status": "passed"},
]
RISK: dict[str, Any] = {
    "ok": False,
    "gate": [
        {"name": "k_min", "value": 3, "limit": 5, "ok": False},
        {"name": "persons", "value": 24, "limit": 5, "ok": True},
    ],
    "linkability": {"gate": AUDIT},
    "generalisation": None,
}
TRUST = trust_in(STEWARD, REVIEWER)
FACTS = WaiverFacts(
    study="SYNTHETIC",
    series="synthetic-series",
    version="1.0.0",
    profile="frame_level",
    policy_sha256="0" * 64,
    candidate_sha256="1" * 64,
    gates=failing_gates(RISK, waiver_required=True),
    stewards=frozenset({Person(name=STEWARD.name, roles=("steward",), public_key=STEWARD.public).identity}),
)


def drafted(gate: str = "k_min", facts: WaiverFacts = FACTS) -> Waiver:
    return draft_waiver(facts, gate, reason="Asked for by the board.\n", issued=ISSUED, expires=EXPIRES)


def verdict(data: bytes, *, facts: WaiverFacts = FACTS, trust: Trust | None = TRUST, on: date | None = DAY) -> str:
    found = check_waiver(data, trust=trust, facts=facts, on=on)
    assert found.ok is (found.code == "ok")
    assert found.message
    return found.code


def signed_payload(payload: bytes, *keys: Key) -> bytes:
    return Envelope(payload=payload, signatures=tuple(sign(payload, key) for key in keys or (REVIEWER,))).to_bytes()


@pytest.mark.parametrize("gate", ["k_min", "linkability", PROFILE_GATE])
def test_a_waiver_of_a_failed_gate_holds(gate: str) -> None:
    waiver = drafted(gate)
    data = sign_waiver(waiver, REVIEWER)
    found = check_waiver(data, trust=TRUST, facts=FACTS, on=DAY)
    assert (found.code, found.signer, found.waiver) == ("ok", REVIEWER.name, waiver)
    assert Waiver.from_dict(waiver.to_dict()) == waiver
    assert data == sign_waiver(waiver, REVIEWER)


def test_it_quotes_the_entries_of_the_risk_report_as_they_stand() -> None:
    assert drafted("linkability").to_dict()["predicate"]["numbers"] == AUDIT
    assert drafted(PROFILE_GATE).to_dict()["predicate"]["numbers"] == AUDIT
    assert drafted("k_min").to_dict()["predicate"]["numbers"] == [RISK["gate"][0]]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": "1.0.1"}, "other_release"),
        ({"series": "other-series"}, "other_release"),
        ({"study": "OTHER"}, "other_release"),
        ({"profile": "controlled"}, "other_release"),
        ({"gates": {"persons": RISK["gate"][1:]}}, "gate_not_failing"),
        ({"gates": {"k_min": ({**RISK["gate"][0], "value": 2},)}}, "numbers_differ"),
        ({"gates": {"k_min": ({**RISK["gate"][0], "limit": 4},)}}, "numbers_differ"),
        ({"gates": {"k_min": (RISK["gate"][0], RISK["gate"][0])}}, "numbers_differ"),
        ({"candidate_sha256": "2" * 64}, "other_candidate"),
        ({"policy_sha256": "2" * 64}, "other_candidate"),
        ({"stewards": frozenset({"synthetic reviewer"})}, "same_person"),
        ({"stewards": frozenset()}, "same_person"),
    ],
)
def test_it_fits_one_release_only(change: dict[str, Any], code: str) -> None:
    assert verdict(sign_waiver(drafted(), REVIEWER), facts=replace(FACTS, **change)) == code


@pytest.mark.parametrize(
    ("on", "code"),
    [
        (ISSUED, "ok"),
        (EXPIRES, "ok"),
        (date(2026, 1, 9), "not_yet_valid"),
        (date(2026, 7, 1), "expired"),
        (None, "undated"),
    ],
)
def test_both_days_are_inclusive(on: date | None, code: str) -> None:
    assert verdict(sign_waiver(drafted(), REVIEWER), on=on) == code


# Who may sign


def test_a_stranger_and_an_unknown_reviewer_are_nobody() -> None:
    assert verdict(sign_waiver(drafted(), STRANGER)) == "unknown_signer"
    assert verdict(sign_waiver(drafted(), REVIEWER), trust=trust_in(STEWARD)) == "unknown_signer"
    assert verdict(sign_waiver(drafted(), STRANGER), trust=None) == "ok", "without trust, the signer is not looked at"


def test_a_steward_may_not_waive_even_for_another_steward() -> None:
    other = make_key("Second Synthetic Steward")
    assert verdict(sign_waiver(drafted(), STEWARD)) == "wrong_role"
    assert verdict(sign_waiver(drafted(), other), trust=trust_in(STEWARD, REVIEWER, other)) == "wrong_role"


def test_the_releases_own_steward_may_not_waive_as_reviewer_under_a_second_key() -> None:
    second = replace(make_key("second key", "reviewer"), name=STEWARD.name.upper())
    trust = trust_in(STEWARD, second)
    assert verdict(sign_waiver(drafted(), second), trust=trust) == "same_person"
    with_other = replace(FACTS, stewards=FACTS.stewards | {"another steward"})
    assert verdict(sign_waiver(drafted(), second), trust=trust, facts=with_other) == "ok"


def test_one_key_with_both_roles_is_one_person() -> None:
    both = Trust(
        threshold={"steward": 1},
        people=(Person(name=STEWARD.name, roles=("reviewer", "steward"), public_key=STEWARD.public),),
    )
    assert verdict(sign_waiver(drafted(), STEWARD), trust=both) == "same_person"


@pytest.mark.parametrize(
    ("change", "today", "code"),
    [
        ({"revoked": date(2026, 2, 1)}, None, "unknown_signer"),
        ({"revoked": date(2026, 2, 1)}, date(2026, 2, 1), "unknown_signer"),
        ({"revoked": date(2026, 2, 1)}, date(2026, 1, 31), "ok"),
        ({"valid_until": date(2026, 1, 1)}, date(2026, 1, 31), "unknown_signer"),
    ],
)
def test_a_key_that_counts_no_more_waives_nothing(change: dict[str, Any], today: date | None, code: str) -> None:
    reviewer = Person(name=REVIEWER.name, roles=("reviewer",), public_key=REVIEWER.public, **change)
    trust = Trust(threshold={"steward": 1}, people=(*trust_in(STEWARD).people, reviewer))
    data = sign_waiver(drafted(), REVIEWER)
    assert check_waiver(data, trust=trust, facts=FACTS, on=DAY, today=today).code == code


# The form


def test_every_flipped_byte_is_refused() -> None:
    data = sign_waiver(drafted(), REVIEWER)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        assert verdict(bytes(changed)) in ("malformed", "unknown_signer"), place


def test_one_key_under_two_key_ids_is_refused_and_so_are_two_signers() -> None:
    envelope = Envelope.from_bytes(sign_waiver(drafted(), REVIEWER), "x")
    (one,) = envelope.signatures
    twice = replace(envelope, signatures=(one, Signature(key_id="0" * 16, value=one.value)))
    assert verdict(twice.to_bytes()) == "malformed"
    alias = replace(envelope, signatures=(Signature(key_id="0" * 16, value=one.value),))
    assert verdict(alias.to_bytes()) == "unknown_signer"
    assert verdict(signed_payload(envelope.payload, REVIEWER, STEWARD)) == "malformed"


def test_an_envelope_of_another_type_is_refused_with_and_without_trust() -> None:
    payload = drafted().to_bytes()
    other = Envelope(
        payload=payload, payload_type="application/json", signatures=(sign(payload, REVIEWER, "application/json"),)
    )
    assert verdict(other.to_bytes(), trust=None) == verdict(other.to_bytes()) == "malformed"


PAYLOADS: dict[str, Callable[[bytes], bytes]] = {
    "a key twice": lambda data: data.replace(b'"gate":', b'"gate":"persons","gate":'),
    "NaN": lambda data: data.replace(b'"value":3', b'"value":NaN'),
    "infinity": lambda data: data.replace(b'"value":3', b'"value":1e999'),
    "a number beyond JSON": lambda data: data.replace(b'"value":3', b'"value":9007199254740993'),
    "deep nesting": lambda data: data.replace(b'"value":3', b'"value":' + b"[" * 40 + b"]" * 40),
    "a space": lambda data: data.replace(b'"value":3', b'"value": 3'),
    "an unknown member": lambda data: data.replace(b'"expires":', b'"also":1,"expires":'),
    "no reason": lambda data: data.replace(b"Asked for by the board.", b""),
    "an empty reason": lambda data: data.replace(b"Asked for by the board.", b" "),
    "no numbers": lambda data: data.replace(b'[{"limit":5,"name":"k_min","ok":false,"value":3}]', b"[]"),
    "a day in no calendar": lambda data: data.replace(b"2026-06-30", b"2026-06-31"),
    "longer than a year": lambda data: data.replace(b"2026-06-30", b"2027-01-11"),
    "expired before it was issued": lambda data: data.replace(b"2026-06-30", b"2026-01-09"),
    "the last year there is": lambda data: data.replace(b"2026-01-10", b"9999-12-31"),
    "a predicate of another type": lambda data: data.replace(b"predicate:waiver:1", b"predicate:release:1"),
    "a path for a gate": lambda data: data.replace(b'"gate":"k_min"', b'"gate":"../k_min"'),
    "not JSON": lambda data: data[:-1],
    "not Unicode": lambda data: data.replace(b"Asked", b"\xff\xfe"),
}


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("trust", [TRUST, None])
def test_a_malformed_payload_is_refused_though_its_signature_holds(name: str, trust: Trust | None) -> None:
    payload = drafted().to_bytes()
    changed = PAYLOADS[name](payload)
    assert changed != payload
    assert verdict(signed_payload(changed), trust=trust) == "malformed"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"payload":1,"payloadType":2,"signatures":3}', b"\xff"])
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    assert verdict(data) == "malformed"


def test_nothing_is_interpreted_that_no_trusted_person_signed() -> None:
    assert verdict(signed_payload(b"not JSON", STRANGER)) == "unknown_signer"
    assert verdict(signed_payload(b"not JSON")) == "malformed"


def test_the_messages_hold_nothing_of_the_waiver() -> None:
    data = sign_waiver(drafted(), REVIEWER)
    for facts in (FACTS, replace(FACTS, version="9.9.9"), replace(FACTS, gates={})):
        message = check_waiver(data, trust=TRUST, facts=facts, on=DAY).message
        assert not {"board", "9.9.9", "1.0.0", REVIEWER.name} & set(message.split())


# Drafting


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"gate": "persons"}, "GATE"),
        ({"gate": "no_such_gate"}, "GATE"),
        ({"expires": date(2027, 1, 11)}, "--expires"),
        ({"expires": date(2026, 1, 9)}, "--expires"),
        ({"reason": " \n"}, "--reason-file"),
        ({"reason": "a\x1b[2Jb"}, "--reason-file"),
        ({"reason": "x" * 4001}, "--reason-file"),
    ],
)
def test_what_cannot_be_waived_is_said_before_anything_is_signed(change: dict[str, Any], place: str) -> None:
    arguments: dict[str, Any] = {"gate": "k_min", "reason": "Because.", "issued": ISSUED, "expires": EXPIRES} | change
    with pytest.raises(ConfigurationError) as error:
        draft_waiver(FACTS, **arguments)
    assert error.value.place == place


def test_an_unknown_gate_is_answered_with_those_that_fail() -> None:
    with pytest.raises(ConfigurationError, match=r"Accepted: k_min, linkability, profile_waiver\."):
        drafted("persons")


def test_a_profile_that_needs_a_waiver_needs_an_audit_to_quote() -> None:
    risk = {name: part for name, part in RISK.items() if name != "linkability"}
    facts = replace(FACTS, gates=failing_gates(risk, waiver_required=True))
    assert facts.gates[PROFILE_GATE] == ()
    with pytest.raises(ConfigurationError, match="no numbers to quote"):
        drafted(PROFILE_GATE, facts)
    empty = replace(drafted("k_min"), gate=PROFILE_GATE, numbers=())
    with pytest.raises(ReleaseFormatError):
        sign_waiver(empty, REVIEWER)
    assert verdict(signed_payload(canonical_json(empty.to_dict())), facts=facts) == "malformed"


@pytest.mark.parametrize(
    ("issued", "last"),
    [
        (date(2026, 1, 10), date(2027, 1, 10)),
        (date(2028, 2, 29), date(2029, 2, 28)),
        (date(9999, 3, 1), date(9999, 12, 31)),
    ],
)
def test_a_waiver_holds_for_a_year_at_most(issued: date, last: date) -> None:
    assert last_day(issued) == last


# Which gates are failed


@pytest.mark.parametrize("ok", [False, None, "yes", 1, 0])
def test_what_is_not_plainly_passed_is_failed(ok: object) -> None:
    risk = {"gate": [{"name": "k_min", "value": 5, "limit": 5, "ok": ok}]}
    assert list(failing_gates(risk, waiver_required=False)) == ["k_min"]


def test_a_section_is_one_gate_and_fails_with_any_of_its_entries() -> None:
    assert list(gate_entries(RISK, waiver_required=False)) == ["k_min", "persons", "linkability"]
    assert list(failing_gates(RISK, waiver_required=False)) == ["k_min", "linkability"]
    passed = RISK | {"linkability": {"gate": AUDIT[1:]}}
    assert list(failing_gates(passed, waiver_required=False)) == ["k_min"]
    assert failing_gates(passed, waiver_required=True)[PROFILE_GATE] == (AUDIT[1],)


def test_the_candidate_digest_covers_names_and_contents() -> None:
    one = candidate_digest({"data/a/1": "0" * 64, "data/b/1": "1" * 64})
    assert one == candidate_digest({"data/b/1": "1" * 64, "data/a/1": "0" * 64})
    assert one != candidate_digest({"data/a/1": "1" * 64, "data/b/1": "0" * 64})
    assert one != candidate_digest({"data/a/1": "0" * 64})


def test_the_envelope_verifies_without_our_tool() -> None:
    """The payload is in-toto's, as plain `openssl pkeyutl` reads it; see `dsse.openssl_recipe`."""
    document = json.loads(sign_waiver(drafted(), REVIEWER))
    statement = json.loads(base64.b64decode(document["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "urn:sensai-release:predicate:waiver:1"
    assert statement["subject"] == [{"name": "data", "digest": {"sha256": "1" * 64}}]
