"""A waiver: a signed document that lets one release pass one gate which it failed, for a reason and until a day.

An in-toto Statement v1 in canonical JSON inside a DSSE envelope, as the manifest is, with a predicate type of its own
(waiver.schema.json). It quotes the numbers of the gate, and names the release, the policy and the candidate's data, so
that it fits nothing else. Only a reviewer may sign one, and never the person who signed the release as steward.
Which gates a release failed is read from its risk report; looking for the waivers of a whole release is left to
`waived`, making one to `pipeline.waiving`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.release.documents import canonical_json, parse_canonical
from sensai_release.release.dsse import PAYLOAD_TYPE, Envelope, SigningKey, sign, verify_signatures
from sensai_release.release.manifest import STATEMENT_TYPE, check_schema
from sensai_release.release.trust import Person, Trust

FOLDER = "waivers"
PREDICATE_TYPE = "urn:sensai-release:predicate:waiver:1"
WAIVING_ROLES: tuple[Literal["reviewer"], ...] = ("reviewer",)
PROFILE_GATE = "profile_waiver"
"""The gate of a profile that is released behind a waiver only; its waiver quotes the numbers of `QUOTED_GATE`."""
QUOTED_GATE = "linkability"
MAXIMUM_BYTES = 1 << 20

Json = Mapping[str, Any]
Numbers = tuple[Json, ...]
WaiverCode = Literal[
    "ok",
    "malformed",
    "unknown_signer",
    "wrong_role",
    "same_person",
    "other_release",
    "gate_not_failing",
    "numbers_differ",
    "other_candidate",
    "undated",
    "not_yet_valid",
    "expired",
]

_PLACE = "waiver"
_MEANINGS: Mapping[WaiverCode, str] = {
    "ok": "holds",
    "malformed": "is no waiver of this form, or has changed since it was signed",
    "unknown_signer": "is not signed by anybody whom the trust file names and whose key counts",
    "wrong_role": "is signed by a person who is no reviewer in the trust file",
    "same_person": "needs two people: a trusted steward signs the release, and somebody else the waiver",
    "other_release": "is for another study, series, version or profile",
    "gate_not_failing": "is for a gate that this release does not fail",
    "numbers_differ": "quotes other numbers than the risk report holds",
    "other_candidate": "was signed for other data, or another policy",
    "undated": "cannot be held against a release that states no day",
    "not_yet_valid": "was issued after the day that the release states",
    "expired": "had expired on the day that the release states",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverFacts:
    """What is known of the release that a waiver must fit. Digests are SHA-256 in lower-case hex.

    `gates` holds the numbers of each gate that was failed (`failing_gates`); `stewards` the identities (`Person`) of
    those who sign the release as steward.
    """

    study: str
    series: str
    version: str
    profile: str
    policy_sha256: str
    candidate_sha256: str
    gates: Mapping[str, Numbers]
    stewards: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """What is signed. `numbers` are the gate's entries as the risk report holds them; both days are inclusive."""

    study: str
    series: str
    version: str
    profile: str
    policy_sha256: str
    candidate_sha256: str
    gate: str
    numbers: Numbers
    reason: str
    issued: date
    expires: date

    def to_dict(self) -> dict[str, Any]:
        """The in-toto Statement; its subject is the candidate."""
        named = ("study", "series", "version", "profile", "policy_sha256", "gate", "reason")
        return {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": "data", "digest": {"sha256": self.candidate_sha256}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                **{name: getattr(self, name) for name in named},
                "numbers": [dict(entry) for entry in self.numbers],
                "issued": self.issued.isoformat(),
                "expires": self.expires.isoformat(),
            },
        }

    def to_bytes(self) -> bytes:
        """The bytes that are signed. Raises `ReleaseFormatError` when they would break the schema."""
        document = self.to_dict()
        data = canonical_json(document)
        check_schema(document, "waiver.schema.json", _PLACE)
        return data

    @classmethod
    def from_dict(cls, data: Json) -> Waiver:
        """Raises `ReleaseFormatError` for what breaks the schema, a day in no calendar, or too long a validity."""
        check_schema(data, "waiver.schema.json", _PLACE)
        stated = dict(data["predicate"])
        try:
            issued, expires = (date.fromisoformat(stated.pop(name)) for name in ("issued", "expires"))
        except ValueError:
            raise _malformed("has a day that is in no calendar") from None
        if not issued <= expires <= last_day(issued):
            raise _malformed("does not expire within a year after it was issued")
        return cls(
            **stated | {"numbers": tuple(stated["numbers"])},
            candidate_sha256=data["subject"][0]["digest"]["sha256"],
            issued=issued,
            expires=expires,
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> Waiver:
        """Reads the signed bytes; call it only once a signature over them holds, or knowing that none is asked for."""
        return cls.from_dict(parse_canonical(payload, _PLACE, maximum_bytes=MAXIMUM_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverVerdict:
    """Whether a waiver holds for a release. `waiver` is what was signed, once it could be read; `signer` is a name."""

    code: WaiverCode
    signer: str | None = None
    waiver: Waiver | None = None

    @property
    def ok(self) -> bool:
        return self.code == "ok"

    @property
    def message(self) -> str:
        """Completes "<file> …"; holds nothing of the waiver."""
        return _MEANINGS[self.code]


def last_day(issued: date) -> date:
    """The last day on which a waiver issued on a day may expire: that day a year later, or February 28."""
    if issued.year == date.max.year:
        return date.max
    try:
        return issued.replace(year=issued.year + 1)
    except ValueError:
        return issued.replace(year=issued.year + 1, day=28)


def candidate_digest(digests: Mapping[str, str]) -> str:
    """One digest for all data files of a candidate or a release; `digests` maps each path (`data/…`) to its SHA-256."""
    return hashlib.sha256(canonical_json(dict(digests))).hexdigest()


def gate_entries(risk: Json, *, waiver_required: bool) -> dict[str, Numbers]:
    """The numbers of each gate of a risk report.

    An entry of `gate` is a gate by itself; all entries of a section's `gate` (`risk["linkability"]["gate"]`) are one
    gate with the section's name. A profile that asks for a waiver adds the gate `PROFILE_GATE`, whose numbers are those
    of the linkability audit: none when the report has no audit.
    """
    found: dict[str, list[Json]] = {}
    for entry in risk["gate"]:
        found.setdefault(entry["name"], []).append(entry)
    for name, section in risk.items():
        if isinstance(section, Mapping) and section.get("gate"):
            found.setdefault(name, []).extend(section["gate"])
    if waiver_required:
        found[PROFILE_GATE] = list(found.get(QUOTED_GATE, []))
    return {name: tuple(entries) for name, entries in found.items()}


def failing_gates(risk: Json, *, waiver_required: bool) -> dict[str, Numbers]:
    """The gates that stop a release unless they are waived. What is not plainly passed (`ok` is true) is failed."""
    return {
        name: entries
        for name, entries in gate_entries(risk, waiver_required=waiver_required).items()
        if name == PROFILE_GATE or not all(entry["ok"] is True for entry in entries)
    }


def draft_waiver(facts: WaiverFacts, gate: str, *, reason: str, issued: date, expires: date) -> Waiver:
    """The waiver of a failed gate, ready to be signed.

    Raises `ConfigurationError` when the gate is not among those failed, when it has no numbers to quote, when the
    validity is longer than a year, or when the reason is empty, too long or unprintable.
    """
    if gate not in facts.gates:
        failed = f"Accepted: {', '.join(sorted(facts.gates))}." if facts.gates else "Nothing needs a waiver here."
        raise ConfigurationError("GATE", "names no gate that this candidate fails", failed)
    if not facts.gates[gate]:
        raise ConfigurationError(
            gate, f"has no numbers to quote: the risk report holds no {QUOTED_GATE} audit", "Build again with one."
        )
    if not issued <= expires <= last_day(issued):
        raise ConfigurationError(
            "--expires", "is not within a year after the day of issue", f"The last day is {last_day(issued)}."
        )
    if not reason.strip() or len(reason) > 4000 or not all(part.isprintable() for part in reason.splitlines()):
        raise ConfigurationError(
            "--reason-file", "is empty, unprintable, or longer than 4000 characters", "Write a few plain sentences."
        )
    named = ("study", "series", "version", "profile", "policy_sha256", "candidate_sha256")
    return Waiver(
        **{name: getattr(facts, name) for name in named},
        gate=gate,
        numbers=facts.gates[gate],
        reason=reason.strip(),
        issued=issued,
        expires=expires,
    )


def sign_waiver(waiver: Waiver, key: SigningKey) -> bytes:
    """The envelope of a waiver, in its only byte form."""
    payload = waiver.to_bytes()
    return Envelope(payload=payload, signatures=(sign(payload, key),)).to_bytes()


def check_waiver(
    envelope_bytes: bytes, *, trust: Trust | None, facts: WaiverFacts, on: date | None, today: date | None = None
) -> WaiverVerdict:
    """Whether a waiver holds for the release that `facts` describe, whose own day is `on`.

    `today` decides which keys count (`Person.fault_on`). Nothing of the payload is interpreted before a trusted
    signature holds; without `trust`, the signature is not looked at, and "ok" says nothing of the signer. Exactly one
    signature is accepted, so one key under two key ids never counts as two.
    """
    try:
        envelope = Envelope.from_bytes(envelope_bytes, _PLACE)
    except ReleaseFormatError:
        return WaiverVerdict(code="malformed")
    if len(envelope.signatures) != 1 or envelope.payload_type != PAYLOAD_TYPE:
        return WaiverVerdict(code="malformed")
    signer: Person | None = None
    if trust is not None:
        signed = verify_signatures(envelope, trust.public_keys)
        signer = next((person for person in trust.people if person.public_key in signed), None)
        if signer is None or signer.fault_on(today) is not None:
            return WaiverVerdict(code="unknown_signer")
        if not set(WAIVING_ROLES) & set(signer.roles):
            return WaiverVerdict(code="wrong_role", signer=signer.name)
    try:
        waiver = Waiver.from_bytes(envelope.payload)
    except ReleaseFormatError:
        return WaiverVerdict(code="malformed")
    # Two people: somebody else than the waiver's signer must stand for the release as steward.
    if signer is not None and not facts.stewards - {signer.identity}:
        return WaiverVerdict(code="same_person", signer=signer.name, waiver=waiver)
    return WaiverVerdict(
        code=_fit(waiver, facts, on), signer=signer.name if signer is not None else None, waiver=waiver
    )


def _fit(waiver: Waiver, facts: WaiverFacts, on: date | None) -> WaiverCode:
    if any(getattr(waiver, name) != getattr(facts, name) for name in ("study", "series", "version", "profile")):
        return "other_release"
    if waiver.gate not in facts.gates:
        return "gate_not_failing"
    if canonical_json(list(waiver.numbers)) != canonical_json(list(facts.gates[waiver.gate])):
        return "numbers_differ"
    if any(getattr(waiver, name) != getattr(facts, name) for name in ("policy_sha256", "candidate_sha256")):
        return "other_candidate"
    if on is None:
        return "undated"
    if on < waiver.issued:
        return "not_yet_valid"
    return "expired" if on > waiver.expires else "ok"


def _malformed(cause: str) -> ReleaseFormatError:
    return ReleaseFormatError(_PLACE, cause, "Ask for a new one.")
