from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from release_kit import REVIEWER, STEWARD, STRANGER, Key, make_key, trust_in

from sensai_release.errors import TrustError
from sensai_release.privacy.key_strength import SMALL_ORDER_ENCODINGS
from sensai_release.release.trust import Person, Trust, add_person, load_trust, unfilled_roles, write_trust

EMPTY = Trust(threshold={"steward": 1})


def test_round_trip_through_a_file(tmp_path: Path) -> None:
    trust = add_person(add_person(EMPTY, STEWARD), REVIEWER)
    write_trust(trust, tmp_path / "trust.json")
    assert load_trust(tmp_path / "trust.json") == trust
    first = tmp_path.joinpath("trust.json").read_bytes()
    write_trust(trust, tmp_path / "trust.json")
    assert tmp_path.joinpath("trust.json").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["trust.json"]


def test_days_survive_the_round_trip() -> None:
    person = Person(
        name="A", roles=("steward",), public_key=STEWARD.public,
        valid_from=date(2026, 1, 1), valid_until=date(2026, 12, 31), revoked=date(2026, 6, 1),
    )  # fmt: skip
    assert Person.from_dict(person.to_dict()) == person


def test_add_person_does_not_change_its_input_and_ignores_order() -> None:
    one = add_person(add_person(EMPTY, STEWARD), REVIEWER)
    other = add_person(add_person(EMPTY, REVIEWER), STEWARD)
    assert one == other
    assert EMPTY.people == ()


def test_the_same_key_under_the_same_name_gains_a_role() -> None:
    trust = add_person(add_person(EMPTY, STEWARD), replace(STEWARD, role="reviewer"))
    assert [person.roles for person in trust.people] == [("reviewer", "steward")]


def test_the_same_key_under_another_name_is_refused() -> None:
    with pytest.raises(TrustError, match="another name"):
        add_person(add_person(EMPTY, STEWARD), replace(STEWARD, name="Somebody Else"))


def test_two_spellings_of_a_name_are_one_person() -> None:
    again = replace(STEWARD, name="  synthetic   STEWARD ", role="reviewer")
    assert len(add_person(add_person(EMPTY, STEWARD), again).people) == 1


@pytest.mark.parametrize("role", ["root", "recipient", ""])
def test_only_signing_roles_can_be_added(role: str) -> None:
    with pytest.raises(TrustError, match="signing key"):
        add_person(EMPTY, replace(STEWARD, role=role))


class WeakKey:
    role, name = "steward", "Weak"

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


@pytest.mark.parametrize("raw", sorted(SMALL_ORDER_ENCODINGS))
def test_small_order_keys_are_refused(raw: bytes) -> None:
    with pytest.raises(TrustError):
        add_person(EMPTY, WeakKey(raw))


def entry(**changes: Any) -> dict[str, Any]:
    base = Person(name="A", roles=("steward",), public_key=STEWARD.public).to_dict()
    return base | changes


def trust_document(*people: dict[str, Any], **changes: Any) -> dict[str, Any]:
    base = {"type": "sensai-release/trust", "version": 1, "threshold": {"steward": 1}, "people": list(people)}
    return base | changes


@pytest.mark.parametrize(
    "document",
    [
        trust_document(entry(), type="other"),
        trust_document(entry(), version=2),
        trust_document(entry(), extra=1),
        trust_document(entry(), threshold={}),
        trust_document(entry(), threshold={"steward": 0}),
        trust_document(entry(), threshold={"steward": True}),
        trust_document(entry(), threshold={"steward": -1}),
        trust_document(entry(), threshold={"steward": 1.0}),
        trust_document(entry(), version=1.0),
        trust_document(entry(), threshold={"boss": 1}),
        trust_document(entry(), entry()),
        trust_document(entry(), entry(name="B")),
        trust_document(entry(roles=[])),
        trust_document(entry(roles=["root"])),
        trust_document(entry(name="")),
        trust_document(entry(name="  ")),
        trust_document(entry(name="a\nb")),
        trust_document(entry(name="a\u202eb")),
        trust_document(entry(name="a\u200bb")),
        trust_document(entry(name="a\u034fb")),
        trust_document(entry(name="P\u0430ul")),
        trust_document(entry(valid_until="2026-13-01")),
        trust_document(entry(valid_until="01-01-2026")),
        trust_document(entry(public_key="A" * 43 + "=")),
        trust_document(entry(public_key="AQ" + "A" * 41 + "=")),
        trust_document(entry(public_key=STEWARD.text[:-1])),
        trust_document({key: value for key, value in entry().items() if key != "revoked"}),
    ],
)
def test_malformed_trust_files_are_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(trust_document(entry())))
    assert load_trust(path)
    path.write_text(json.dumps(document))
    with pytest.raises(TrustError) as caught:
        load_trust(path)
    assert str(tmp_path) not in str(caught.value)


ALIKE = [
    ("Anna Kos", "anna  KOS"),
    ("Anna Kos", "\uff21nna Kos"),
    ("Jos\u00e9", "Jose\u0301"),
    ("Oca", "\u041e\u0441\u0430"),
]


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_names_that_look_alike_and_are_written_otherwise_are_refused(tmp_path: Path, first: str, second: str) -> None:
    """Whoever counts people by their names must not be shown one name for two people, nor two for one."""
    document = trust_document(entry(name=first), entry(name="Somebody Else", public_key=STRANGER.text))
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(document))
    trust = load_trust(path)
    document["people"].append(entry(name=second, public_key=REVIEWER.text))
    path.write_text(json.dumps(document))
    with pytest.raises(TrustError, match="numbers 1 and 3 that look alike"):
        load_trust(path)
    with pytest.raises(TrustError, match="looks like one in the trust file"):
        add_person(trust, replace(REVIEWER, name=second))


def test_one_person_may_have_two_keys_under_one_name() -> None:
    trust = add_person(add_person(EMPTY, STEWARD), replace(REVIEWER, name=STEWARD.name))
    assert [person.identity for person in trust.people] == ["synthetic steward"] * 2


@pytest.mark.parametrize("name", ["P\u0430ul", "Paul\u200b", "Paul\u3164", "\u202ePaul"])
def test_a_name_that_cannot_be_read_is_not_registered(name: str) -> None:
    with pytest.raises(TrustError, match=r"public key: has a name that .*plain name"):
        add_person(EMPTY, replace(STEWARD, name=name))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b'{"a":1,"a":2}', b"\xff", b"[" * 10_000, b" " * (2 << 20)]
)
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    tmp_path.joinpath("trust.json").write_bytes(data)
    with pytest.raises(TrustError):
        load_trust(tmp_path / "trust.json")


def test_a_missing_trust_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(TrustError, match="cannot be read"):
            load_trust(path)


def test_an_unsafe_trust_is_not_written(tmp_path: Path) -> None:
    trust = Trust(threshold={"steward": 1}, people=(Person(name="A", roles=("steward",), public_key=bytes(32)),))
    with pytest.raises(TrustError):
        write_trust(trust, tmp_path / "trust.json")
    assert list(tmp_path.iterdir()) == []


SECOND = make_key("Second Steward")


def both_roles(key: Key) -> Person:
    return Person(name=key.name, roles=("reviewer", "steward"), public_key=key.public)


@pytest.mark.parametrize(
    ("trust", "signed", "missing"),
    [
        (trust_in(STEWARD), [STEWARD], {}),
        (trust_in(STEWARD), [], {"steward": 1}),
        (trust_in(STEWARD), [STRANGER], {"steward": 1}),
        (trust_in(STEWARD, SECOND, steward=2), [STEWARD], {"steward": 1}),
        (trust_in(STEWARD, SECOND, steward=2), [STEWARD, SECOND], {}),
        (trust_in(STEWARD, REVIEWER, steward=1, reviewer=1), [STEWARD], {"reviewer": 1}),
        (trust_in(STEWARD, REVIEWER, steward=1, reviewer=1), [STEWARD, REVIEWER], {}),
        (trust_in(STEWARD, REVIEWER, steward=2), [STEWARD, REVIEWER], {"steward": 1}),
        # one person may hold two roles, and still has two eyes
        (Trust(threshold={"steward": 1, "reviewer": 1}, people=(both_roles(STEWARD),)), [STEWARD], {"steward": 1}),
        # a second person frees the first one for the other role, in whichever order they are looked at
        (
            Trust(threshold={"steward": 1, "reviewer": 1}, people=(both_roles(STEWARD), *trust_in(SECOND).people)),
            [STEWARD, SECOND],
            {},
        ),
        (
            Trust(threshold={"steward": 1, "reviewer": 1}, people=(both_roles(STEWARD), *trust_in(REVIEWER).people)),
            [STEWARD, REVIEWER],
            {},
        ),
        # two keys of one person are one person
        (trust_in(STEWARD, replace(SECOND, name=STEWARD.name), steward=2), [STEWARD, SECOND], {"steward": 1}),
        (trust_in(STEWARD, replace(SECOND, name="SYNTHETIC  steward"), steward=2), [STEWARD, SECOND], {"steward": 1}),
    ],
)
def test_thresholds_count_people(trust: Trust, signed: list[Key], missing: dict[str, int]) -> None:
    assert unfilled_roles(trust, [key.public for key in signed], None) == missing


@pytest.mark.parametrize(
    ("days", "today", "fault"),
    [
        ({"revoked": date(2026, 3, 1)}, date(2026, 2, 28), None),
        ({"revoked": date(2026, 3, 1)}, date(2026, 3, 1), "revoked"),
        ({"revoked": date(2026, 3, 1)}, None, "revoked"),
        ({"valid_from": date(2026, 3, 1)}, date(2026, 2, 28), "not valid yet"),
        ({"valid_from": date(2026, 3, 1)}, date(2026, 3, 1), None),
        ({"valid_until": date(2026, 3, 1)}, date(2026, 3, 1), None),
        ({"valid_until": date(2026, 3, 1)}, date(2026, 3, 2), "no longer valid"),
        ({"valid_until": date(2026, 3, 1)}, None, None),
    ],
)
def test_days(days: dict[str, Any], today: date | None, fault: str | None) -> None:
    person = replace(trust_in(STEWARD).people[0], **days)
    assert person.fault_on(today) == fault
    trust = Trust(threshold={"steward": 1}, people=(person,))
    assert unfilled_roles(trust, [STEWARD.public], today) == ({} if fault is None else {"steward": 1})


def test_write_is_atomic_for_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_trust(trust_in(STEWARD), tmp_path / "trust.json")
    before = tmp_path.joinpath("trust.json").read_bytes()

    def fail(*_: object) -> Callable[[], None]:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_trust(trust_in(STRANGER), tmp_path / "trust.json")
    assert tmp_path.joinpath("trust.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["trust.json"]
