"""A status document: which releases of a series are active, superseded or withdrawn, signed, and good until a day.

An in-toto Statement v1 in canonical JSON inside a DSSE envelope, as the manifest is, with a predicate type of its own
(status.schema.json). One person's signature is enough to withdraw a release; that a release is active or superseded is
believed only when a steward and a reviewer say so, two people, and only until the document expires. A release never
holds one: whoever verifies brings the newest they can get. Making one, and remembering which was seen, are left to
`pipeline.standing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.privacy.keyfile import public_key_id
from sensai_release.release.documents import canonical_json, parse_canonical
from sensai_release.release.dsse import PAYLOAD_TYPE, Envelope, SigningKey, sign, verify_signatures
from sensai_release.release.manifest import STATEMENT_TYPE, check_schema
from sensai_release.release.trust import Person, Trust, unfilled_roles

PREDICATE_TYPE = "urn:sensai-release:predicate:status:1"
MAXIMUM_BYTES = 1 << 20
MAXIMUM_VERSION = 1_000_000
PLACE = "status document"

ReleaseState = Literal["active", "superseded", "withdrawn"]
Freshness = Literal["current", "unknown", "superseded", "withdrawn"]
Reason = Literal["withdrawal_of_consent", "error_in_data", "disclosure_risk", "replaced", "end_of_term", "other"]
REASONS: tuple[Reason, ...] = get_args(Reason)

Fault: TypeAlias = tuple[str, str]
"""A code, and a sentence that completes "the status document …"."""

_NEEDED = {"steward": 1, "reviewer": 1}
_WHY: Mapping[str | None, str] = {
    "withdrawal_of_consent": "somebody withdrew their consent",
    "error_in_data": "there is an error in the data",
    "disclosure_risk": "it could tell who somebody is",
    "replaced": "a newer release takes its place",
    "end_of_term": "the time for which it could be used has ended",
    "other": "ask the steward why",
    None: "no reason is given",
}
_MEANINGS = {
    "status.malformed": "is no status document of this form, or has changed since it was signed",
    "status.unknown_signer": "is not signed by anybody whom the trust file names and whose key counts",
    "status.signature_broken": "has a signature under a trusted key that does not fit: something in it has changed",
    "status.rollback": "is older than one that was shown here before, so something newer may be held back",
    "status.two_documents": (
        "is not the one with its number that was shown here before: there are two different documents with one number, "
        "and one of them was not issued by the people you trust"
    ),
    "status.other_release": "speaks of another manifest under this version, or of this manifest under another version",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What became of one release. `reason` is one of `REASONS`, None for an active one; `since` is a day in UTC."""

    version: str
    manifest_sha256: str
    state: ReleaseState
    reason: Reason | None
    since: date

    @property
    def order(self) -> tuple[int, ...]:
        """Versions in their order."""
        return tuple(map(int, self.version.split(".")))

    @property
    def why(self) -> str:
        """The reason in words."""
        return _WHY[self.reason]

    def to_dict(self) -> dict[str, Any]:
        named = ("version", "manifest_sha256", "state", "reason")
        return {**{name: getattr(self, name) for name in named}, "since": self.since.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Standing:
        """Raises `ValueError` for a day in no calendar. The form is the schema's to check."""
        return cls(**{**data, "since": date.fromisoformat(data["since"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDocument:
    """What is signed. `version` counts the documents of a series from 1; both days are inclusive, in UTC."""

    study: str
    series: str
    version: int
    issued: date
    expires: date
    releases: tuple[Standing, ...]

    def release(self, version: str) -> Standing | None:
        return next((standing for standing in self.releases if standing.version == version), None)

    def to_dict(self) -> dict[str, Any]:
        """The in-toto Statement; its subjects are the manifests of the releases."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [
                {
                    "name": f"{self.series}-{standing.version}/manifest.json",
                    "digest": {"sha256": standing.manifest_sha256},
                }
                for standing in self.releases
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                **{name: getattr(self, name) for name in ("study", "series", "version")},
                "issued": self.issued.isoformat(),
                "expires": self.expires.isoformat(),
                "releases": [standing.to_dict() for standing in self.releases],
            },
        }

    @property
    def sha256(self) -> str:
        """The digest of the signed bytes, in hex: the same whoever has signed them."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The bytes that are signed. Raises `ReleaseFormatError` for what `from_dict` would refuse."""
        document = self.to_dict()
        StatusDocument.from_dict(document)
        return canonical_json(document)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StatusDocument:
        """Raises `ReleaseFormatError` for what breaks the schema, or contradicts itself."""
        check_schema(data, "status.schema.json", PLACE)
        stated = dict(data["predicate"])
        try:
            issued, expires = (date.fromisoformat(stated.pop(name)) for name in ("issued", "expires"))
            releases = tuple(Standing.from_dict(entry) for entry in stated.pop("releases"))
        except ValueError:
            raise _malformed("has a day that is in no calendar") from None
        document = cls(**stated, issued=issued, expires=expires, releases=releases)
        if document.to_dict() != data:
            raise _malformed("has other manifests as its subject than it lists")
        if not issued <= expires:
            raise _malformed("expires before it was issued")
        orders = [standing.order for standing in releases]
        if any(later <= earlier for earlier, later in pairwise(orders)):
            raise _malformed("lists its releases out of order, or one twice")
        if sum(standing.state == "active" for standing in releases) > 1:
            raise _malformed("has more than one active release")
        if any((standing.state == "active") is not (standing.reason is None) for standing in releases):
            raise _malformed("gives a reason for an active release, or none for another")
        return document

    @classmethod
    def from_bytes(cls, payload: bytes) -> StatusDocument:
        """Reads the signed bytes; call it only once a signature over them holds, or knowing that none is asked for."""
        return cls.from_dict(parse_canonical(payload, PLACE, maximum_bytes=MAXIMUM_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The newest document of a series that was accepted before; `sha256` is None where only its number was kept."""

    version: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessVerdict:
    """How a release stands. `problems` are why a document is refused; `notes` are sentences for whoever verifies.

    `document` is what was signed, once it could be read, and `signers` the trusted people who signed it.
    """

    state: Freshness
    problems: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    document: StatusDocument | None = None
    signers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        known = self.document
        return {
            "state": self.state,
            "status_version": known.version if known else None,
            "issued": known.issued.isoformat() if known else None,
            "expires": known.expires.isoformat() if known else None,
            "signers": list(self.signers),
        }


def sign_status(document: StatusDocument, key: SigningKey) -> bytes:
    """The envelope of a status document, in its only byte form, with one signature."""
    payload = document.to_bytes()
    return Envelope(payload=payload, signatures=(sign(payload, key),)).to_bytes()


def read_status(path: Path, place: str = "--status") -> bytes:
    """The bytes of a status document, which nobody has looked at yet.

    Raises `ConfigurationError`, naming `place`, when they cannot be read, or are absurdly many.
    """
    try:
        if not path.is_file():
            raise OSError
        with path.open("rb") as file:
            data = file.read(2 * MAXIMUM_BYTES + 1)
    except (OSError, ValueError):
        raise ConfigurationError(place, "cannot be read", "Give the path of a status document.") from None
    if len(data) > 2 * MAXIMUM_BYTES:
        raise ConfigurationError(place, "is too large for a status document", "Give the path of one.")
    return data


def read_envelope(data: bytes) -> Envelope:
    """The envelope of a status document, whose signatures nobody has checked. Raises `ReleaseFormatError`."""
    if len(data) > 2 * MAXIMUM_BYTES:
        raise _malformed(f"is larger than {2 * MAXIMUM_BYTES} bytes")
    envelope = Envelope.from_bytes(data, PLACE)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise _malformed("is an envelope for something else")
    return envelope


def check_status(
    data: bytes,
    *,
    trust: Trust,
    series: str,
    version: str,
    manifest_sha256: str,
    today: date | None,
    seen: Seen | None = None,
) -> FreshnessVerdict:
    """How the release with this manifest stands, by the envelope of a status document in `data`.

    `today` (UTC) decides which keys count and whether the document has expired; without it nothing is current. `seen`
    is the newest of the series' documents that was accepted here before: an older one is refused, and so is another one
    with its number, but for what it withdraws. Nothing of the payload is interpreted before a trusted signature holds.
    Signatures are counted by person, as for a release.
    """
    try:
        envelope = read_envelope(data)
    except ReleaseFormatError:
        return _refused("status.malformed")
    signed = verify_signatures(envelope, trust.public_keys)
    counting = [p for p in trust.people if p.public_key in signed and p.fault_on(today) is None]
    if not counting:
        return _refused("status.signature_broken" if _broken(envelope, trust) else "status.unknown_signer")
    try:
        document = StatusDocument.from_bytes(envelope.payload)
    except ReleaseFormatError:
        return _refused("status.malformed")
    problems = [_fault("status.signature_broken")] if _broken(envelope, trust) else []
    found = _standing_of(document, series, version, manifest_sha256)
    if found == "other":
        problems.append(_fault("status.other_release"))
    if document.series == series and seen is not None:
        problems += _against(document, seen)
    known = FreshnessVerdict(
        state="unknown",
        problems=tuple(problems),
        document=document,
        signers=tuple(sorted({person.name for person in counting})),
    )
    if isinstance(found, str) or _fault("status.rollback") in problems:
        return known if problems else replace(known, notes=(f"The status document does not list this release{found}.",))
    if found.state == "withdrawn":
        return replace(known, state="withdrawn", notes=(f"Withdrawn since {found.since}: {found.why}.",))
    if doubt := _doubt(document, trust, counting, today):
        return replace(known, notes=(f"The status document calls this release {found.state}, but {doubt}.",))
    if problems:
        return known
    if found.state == "superseded":
        return replace(known, state="superseded", notes=(_newer(document, found),))
    return replace(known, state="current", notes=(f"Active by the status document, good until {document.expires}.",))


def _against(document: StatusDocument, seen: Seen) -> list[Fault]:
    """Why a document cannot follow the newest one seen before."""
    if document.version < seen.version:
        return [_fault("status.rollback")]
    if document.version == seen.version and seen.sha256 not in (None, document.sha256):
        return [_fault("status.two_documents")]
    return []


def _standing_of(document: StatusDocument, series: str, version: str, manifest_sha256: str) -> Standing | str:
    """The entry of this release; else "other" when the document contradicts it, or why it is not listed."""
    if document.series != series:
        return ": it is for another series"
    entry = document.release(version)
    listed = any(standing.manifest_sha256 == manifest_sha256 for standing in document.releases)
    if entry is not None and entry.manifest_sha256 == manifest_sha256:
        return entry
    return "other" if entry is not None or listed else ""


def _doubt(document: StatusDocument, trust: Trust, counting: list[Person], today: date | None) -> str | None:
    """Why a document cannot make a release current, completing "…, but …"; None when it can."""
    # Whatever a trust file asks for, one person alone never calls a release current.
    asked = {role: max(trust.threshold.get(role, 0), count) for role, count in _NEEDED.items()}
    keys = [person.public_key for person in counting]
    if missing := unfilled_roles(replace(trust, threshold=asked), keys, today):
        return f"the signature of a {' and a '.join(sorted(missing))} is missing"
    if today is None:
        return "without a day nobody can say whether it has expired"
    if today < document.issued:
        return "it is dated in the future: check the clock of this machine"
    if today > document.expires:
        return f"it has expired on {document.expires}: get a newer one"
    return None


def _newer(document: StatusDocument, found: Standing) -> str:
    active = next((standing for standing in document.releases if standing.state == "active"), None)
    instead = f"the active release is {active.version}" if active else "no release of the series is active now"
    return f"Superseded since {found.since}: {found.why}; {instead}."


def _broken(envelope: Envelope, trust: Trust) -> bool:
    """Whether a signature stands under a trusted key id and does not fit, or fits a trusted key under another id."""
    ids = {public_key_id(public): public for public in trust.public_keys}
    for signature in envelope.signatures:
        alone = replace(envelope, signatures=(signature,))
        if signature.key_id in ids:
            if not verify_signatures(alone, [ids[signature.key_id]]):
                return True
            continue
        for key_id, public in ids.items():
            renamed = replace(envelope, signatures=(replace(signature, key_id=key_id),))
            if verify_signatures(renamed, [public]):
                return True
    return False


def _refused(code: str) -> FreshnessVerdict:
    return FreshnessVerdict(state="unknown", problems=(_fault(code),))


def _fault(code: str) -> Fault:
    return code, _MEANINGS[code]


def _malformed(cause: str) -> ReleaseFormatError:
    return ReleaseFormatError(PLACE, cause, "Get the newest one from the people who made the release.")
