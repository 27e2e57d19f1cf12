"""Whose signatures count: the trust file that the person verifying brings along, never one from the release itself.

Answers which roles a set of verified public keys fills. Checking a signature is left to `dsse`, a release to `verify`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from sensai_release.errors import SensaiReleaseError, TrustError
from sensai_release.privacy.keyfile import check_public_key
from sensai_release.privacy.names import identity, looks, name_fault
from sensai_release.release.documents import canonical_json, parse_strict
from sensai_release.release.manifest import check_schema
from sensai_release.release.publish import write_atomic

SIGNING_ROLES = ("steward", "reviewer")
_MAXIMUM_BYTES = 1 << 20
_CURE = "Make it again with the public key files of the people you trust."
_ALIKE = "Write the name of one person the same each time; two people need names that differ to the eye."


class PublicKey(Protocol):
    """A public key as `privacy.keyfile.load_public_key_file` gives it; `raw` holds 32 bytes."""

    @property
    def role(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def raw(self) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One key of one person. Days are inclusive and in UTC; from the day of `revoked` on, the key counts no more."""

    name: str
    roles: tuple[str, ...]
    public_key: bytes
    valid_from: date | None = None
    valid_until: date | None = None
    revoked: date | None = None

    @property
    def identity(self) -> str:
        """Two spellings of one name are one person."""
        return identity(self.name)

    def fault_on(self, today: date | None) -> str | None:
        """Why the key does not count today, or None. Without a day, any revocation counts; validity is not looked at.

        The day of verification decides: a signature carries no time of its own that a thief could not choose.
        """
        if self.revoked is not None and (today is None or self.revoked <= today):
            return "revoked"
        if today is not None and self.valid_from is not None and today < self.valid_from:
            return "not valid yet"
        if today is not None and self.valid_until is not None and today > self.valid_until:
            return "no longer valid"
        return None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "roles": sorted(self.roles),
            "public_key": base64.b64encode(self.public_key).decode("ascii"),
            "valid_from": self.valid_from and self.valid_from.isoformat(),
            "valid_until": self.valid_until and self.valid_until.isoformat(),
            "revoked": self.revoked and self.revoked.isoformat(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Person:
        days = {
            name: data[name] and date.fromisoformat(data[name]) for name in ("valid_from", "valid_until", "revoked")
        }
        raw = base64.b64decode(data["public_key"], validate=True)
        return cls(name=data["name"], roles=tuple(sorted(data["roles"])), public_key=raw, **days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """`threshold` says how many people of each role must have signed; a role that it does not name is not needed."""

    threshold: Mapping[str, int]
    people: tuple[Person, ...] = ()

    @property
    def public_keys(self) -> frozenset[bytes]:
        return frozenset(person.public_key for person in self.people)

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": "sensai-release/trust",
            "version": 1,
            "threshold": dict(self.threshold),
            "people": [person.to_dict() for person in self.people],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], place: str = "trust file") -> Trust:
        """Raises `TrustError` when the document breaks trust.schema.json, names an unsafe key or one key twice, has a
        name that cannot be read for what it is, or two names that look alike and are not written alike.
        """
        try:
            check_schema(data, "trust.schema.json", place)
            people = tuple(Person.from_dict(item) for item in data["people"])
        except SensaiReleaseError as error:
            raise TrustError(error.place, error.cause, _CURE) from None
        except ValueError:
            raise TrustError(place, "has a day that is in no calendar, or a key that is not base64", _CURE) from None
        # For JSON Schema 1.0 is an integer; for those who count with it, and for the other verifiers, it is not.
        if any(type(count) is not int for count in (data["version"], *data["threshold"].values())):
            raise TrustError(place, "has a number that is not written as a whole one", _CURE)
        for number, person in enumerate(people, start=1):
            check_public_key(person.public_key, f"{place}: key {number}")
            if fault := name_fault(person.name):
                raise TrustError(place, f"has a name at number {number} that {fault}", _CURE)
        if alike := _look_alikes([person.name for person in people]):
            first, second = alike
            raise TrustError(
                place, f"has names at numbers {first} and {second} that look alike and are written otherwise", _ALIKE
            )
        if len({person.public_key for person in people}) != len(people):
            raise TrustError(place, "has the same key twice; each key stands for one person", _CURE)
        return cls(threshold=dict(data["threshold"]), people=people)


def load_trust(path: Path) -> Trust:
    """Reads a trust file. Raises `TrustError` when it is missing, unreadable, malformed, or holds an unsafe key."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAXIMUM_BYTES + 1)
        document = parse_strict(data, path.name, maximum_bytes=_MAXIMUM_BYTES)
    except (OSError, ValueError):
        raise TrustError(path.name, "cannot be read", "Give the path of your trust file with --trust.") from None
    except SensaiReleaseError as error:
        raise TrustError(error.place, error.cause, _CURE) from None
    return Trust.from_dict(document, path.name)


def add_person(trust: Trust, key: PublicKey) -> Trust:
    """The trust with one more key; a key that is known under the same name gains the role instead.

    Raises `TrustError` for a key of another kind, an unsafe key, a key that stands under another name already, a name
    that cannot be read for what it is, or one that looks like a name there and is written otherwise.
    """
    if key.role not in SIGNING_ROLES:
        raise TrustError("public key", "is no steward's or reviewer's key", "Add the .pub file of a signing key.")
    if fault := name_fault(key.name):
        raise TrustError("public key", f"has a name that {fault}", "Ask its owner for a key under a plain name.")
    people = list(trust.people)
    for index, person in enumerate(people):
        if person.public_key == key.raw:
            if person.identity != identity(key.name):
                raise TrustError(
                    "public key", "is already there under another name", "Ask its owner for their own key."
                )
            people[index] = replace(person, roles=tuple(sorted({*person.roles, key.role})))
            break
    else:
        if _look_alikes([*{person.name for person in people}, key.name]):
            raise TrustError(
                "public key", "has a name that looks like one in the trust file, written otherwise", _ALIKE
            )
        people.append(Person(name=key.name, roles=(key.role,), public_key=key.raw))
    changed = replace(trust, people=tuple(sorted(people, key=lambda person: (person.identity, person.public_key))))
    return Trust.from_dict(changed.to_dict())


def write_trust(trust: Trust, path: Path) -> None:
    """Writes canonical JSON in one step; an existing trust file is replaced. Raises as `Trust.from_dict` does."""
    Trust.from_dict(trust.to_dict())
    write_atomic(path, canonical_json(trust.to_dict()) + b"\n")


def unfilled_roles(trust: Trust, keys: Iterable[bytes], today: date | None) -> dict[str, int]:
    """How many people of each role are still missing, given the raw public keys whose signatures hold.

    Counts people, not keys, and each person for one role only: four eyes need two people, even where one may do both.
    """
    signed = frozenset(keys)
    roles_of: dict[str, set[str]] = {}
    for person in trust.people:
        if person.public_key in signed and person.fault_on(today) is None:
            roles_of.setdefault(person.identity, set()).update(person.roles)
    seats = [role for role in sorted(trust.threshold) for _ in range(trust.threshold[role])]
    taken: dict[str, int] = {}
    missing: dict[str, int] = {}
    for index, role in enumerate(seats):
        if not _seat(index, seats, roles_of, taken, set()):
            missing[role] = missing.get(role, 0) + 1
    return missing


def _seat(
    index: int, seats: list[str], roles_of: Mapping[str, set[str]], taken: dict[str, int], asked: set[str]
) -> bool:
    """Gives a seat to somebody, moving others to another seat of theirs where needed (augmenting paths)."""
    for person in sorted(roles_of):
        if seats[index] in roles_of[person] and person not in asked:
            asked.add(person)
            if person not in taken or _seat(taken[person], seats, roles_of, taken, asked):
                taken[person] = index
                return True
    return False


def _look_alikes(names: list[str]) -> tuple[int, int] | None:
    """The first two places, counted from 1, with names that a reader cannot tell apart though they are not the same."""
    seen: dict[tuple[str, str], int] = {}
    for number, name in enumerate(names, start=1):
        for look in sorted(looks(name)):
            other = seen.setdefault(look, number)
            if names[other - 1] != name:
                return other, number
    return None
