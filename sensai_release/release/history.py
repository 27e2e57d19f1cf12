"""What a folder of releases tells, once each was looked at: who signed, what was measured, what follows what.

One row per release, in the order of its series. Reads signatures and manifests; whether the bytes of a release are
right is `verify`'s to say, and which folders there are, `pipeline.history`'s. Texts of a manifest are safe to print.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sensai_release.errors import ReleaseFormatError
from sensai_release.privacy.keyfile import public_key_id
from sensai_release.release.documents import MAXIMUM_BYTES
from sensai_release.release.dsse import MAXIMUM_ENVELOPE_BYTES, PAYLOAD_TYPE, Envelope, verify_signatures
from sensai_release.release.inventory import open_folder, printable, read_file
from sensai_release.release.layout import ENVELOPE, MANIFEST
from sensai_release.release.manifest import Statement, parse_statement
from sensai_release.release.status import FreshnessVerdict, StatusDocument
from sensai_release.release.trust import Trust, unfilled_roles

Json: TypeAlias = dict[str, Any]
ChainState = Literal["first", "linked", "missing", "broken"]
GateState = Literal["passed", "failed", "waived", "cannot_assess"]
_GATE_WORDS: Mapping[GateState, str] = {
    "passed": "passed",
    "failed": "failed",
    "waived": "failed and waived",
    "cannot_assess": "not assessed",
}

LINKABILITY_GATE = "linkability_rank1"
NOBODY = "Nobody whom the trust file names has signed it."
PAGES = ("README.md", "datasheet.html", "card.html", "verify.html")
"""What an index page leads to, where a release has it."""

_NUMBER = re.compile(r"[0-9]+")


# --- one release -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A trusted person whose signature counts, with the roles that the trust file gives them."""

    name: str
    roles: tuple[str, ...]

    def to_dict(self) -> Json:
        return {"name": self.name, "roles": list(self.roles)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A manifest and who signed it. `fault` is a sentence on what does not hold, `missing` the roles not filled.

    With a trust file, a manifest that nobody trusted has signed is not read, and `statement` is None.
    """

    manifest_sha256: str | None = None
    statement: Statement | None = None
    signatures: int = 0
    signers: tuple[Signer, ...] = ()
    missing: tuple[str, ...] = ()
    fault: str | None = None


def read_signed(path: Path, *, trust: Trust | None, today: date | None) -> Signed:
    """The signed manifest of a release directory, with nothing else of it. Bad input is a `fault`.

    Raises `ReleaseFormatError` when `path` is no directory that can be read.
    """
    with open_folder(path) as folder:
        try:
            envelope = Envelope.from_bytes(read_file(folder, ENVELOPE, limit=MAXIMUM_ENVELOPE_BYTES), ENVELOPE)
            manifest = read_file(folder, MANIFEST, limit=MAXIMUM_BYTES)
        except (OSError, ReleaseFormatError):
            return Signed(fault=f"{MANIFEST} or {ENVELOPE} is missing, or cannot be read.")
    found = Signed(manifest_sha256=hashlib.sha256(envelope.payload).hexdigest(), signatures=len(envelope.signatures))
    if envelope.payload_type != PAYLOAD_TYPE or manifest != envelope.payload:
        return replace(found, fault=f"{MANIFEST} is not what was signed.")
    if trust is not None:
        found = _signed_by(found, envelope, trust, today)
        if not found.signers:
            return replace(found, fault=found.fault or NOBODY)
    try:
        return replace(found, statement=parse_statement(envelope.payload))
    except ReleaseFormatError:
        return replace(found, fault=f"{MANIFEST} is no manifest of this form.")


def _signed_by(found: Signed, envelope: Envelope, trust: Trust, today: date | None) -> Signed:
    keys = verify_signatures(envelope, trust.public_keys)
    known = {public_key_id(public): public for public in trust.public_keys}
    broken = any(known.get(item.key_id) not in (None, *keys) for item in envelope.signatures)
    roles: dict[str, set[str]] = {}
    for person in trust.people:
        if person.public_key in keys and person.fault_on(today) is None:
            roles.setdefault(person.name, set()).update(person.roles)
    return replace(
        found,
        signers=tuple(Signer(name=name, roles=tuple(sorted(roles[name]))) for name in sorted(roles)),
        missing=tuple(unfilled_roles(trust, keys, today)),
        fault="A signature under a trusted key does not fit." if broken else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a release stands. `believed`: the people who must sign the status document for that have done so."""

    state: Literal["active", "superseded", "withdrawn", "unknown"] = "unknown"
    reason: str | None = None
    why: str | None = None
    since: date | None = None
    believed: bool = False
    notes: tuple[str, ...] = ()

    def to_dict(self) -> Json:
        return {
            "state": self.state,
            "reason": self.reason,
            "since": self.since.isoformat() if self.since else None,
            "believed": self.believed,
            "notes": list(self.notes),
        }


def shown_freshness(verdict: FreshnessVerdict | None, version: str) -> Shown:
    """How a release stands by a status document that was checked; without one, unknown."""
    if verdict is None:
        return Shown()
    problems = tuple(f"The status document {message}." for _, message in verdict.problems)
    entry = verdict.document.release(version) if verdict.document is not None else None
    if verdict.state == "unknown" or entry is None:
        return Shown(notes=(*problems, *verdict.notes))
    return Shown(
        state=entry.state,
        reason=entry.reason,
        why=entry.why if entry.reason else None,
        since=entry.since,
        believed=True,
        notes=(*problems, *verdict.notes),
    )


def shown_claim(document: StatusDocument, series: str, version: str, manifest_sha256: str | None) -> Shown:
    """What a status document says that nobody has checked, since nobody said whom to trust."""
    entry = document.release(version) if document.series == series else None
    if entry is None or entry.manifest_sha256 != manifest_sha256:
        return Shown()
    note = "Nobody has checked the status document: give a trust file (--trust)."
    why = entry.why if entry.reason else None
    return Shown(state=entry.state, reason=entry.reason, why=why, since=entry.since, notes=(note,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Whether a release follows the one before it in its series; `reason` is a sentence on what is wrong."""

    state: ChainState = "first"
    previous: str | None = None
    reason: str | None = None

    def to_dict(self) -> Json:
        return {"state": self.state, "previous": self.previous, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One release. `ok` is the verdict of its own check; `chain` is about its neighbours in the folder.

    Counts are as the manifest has them, masked and rounded. `checklist` is None where no log tells.
    """

    folder: str
    series: str
    version: str
    manifest_sha256: str
    stated: Mapping[str, Any]
    files: frozenset[str]
    previous: tuple[str, str] | None
    signatures: int
    signers: tuple[Signer, ...]
    ok: bool
    verdict: str
    explanation: str
    problems: tuple[str, ...] = ()
    standing: Shown = Shown()
    chain: Chain = Chain()
    checklist: bool | None = None

    @property
    def order(self) -> tuple[Any, ...]:
        return version_order(self.version)

    @property
    def name(self) -> str:
        return f"{self.series}-{self.version}"

    @property
    def gates(self) -> str:
        """How many gates ended how, in words."""
        found = self.stated["risk"]["gates"]
        return ", ".join(f"{len(found[state])} {words}" for state, words in _GATE_WORDS.items() if found[state])

    def to_dict(self) -> Json:
        plain = ("folder", "version", "manifest_sha256", "signatures", "checklist", "ok", "verdict", "explanation")
        return {
            **{name: getattr(self, name) for name in plain},
            **self.stated,
            "signers": [signer.to_dict() for signer in self.signers],
            "problems": list(self.problems),
            "standing": self.standing.to_dict(),
            "chain": self.chain.to_dict(),
        }


def row_of(folder: str, signed: Signed, statement: Statement, **judged: Any) -> Row:
    """The row of a release whose manifest could be read; `judged` are `ok`, `verdict` and what goes with them."""
    stated = statement.predicate
    previous = stated["previous"]
    return Row(
        folder=printable(folder),
        series=printable(stated["series"]),
        version=printable(stated["version"]),
        manifest_sha256=str(signed.manifest_sha256),
        stated=_facts(stated),
        files=frozenset(statement.resources),
        previous=(printable(previous["version"]), previous["manifest_sha256"]) if previous else None,
        signatures=signed.signatures,
        signers=signed.signers,
        **judged,
    )


def _facts(stated: Mapping[str, Any]) -> Json:
    """What the predicate tells of the release. Its schema leaves some members open, so any of these may be missing."""
    counts, gates = stated["counts"], stated["risk"]["gates"]
    rows = counts.get("rows")
    return {
        "study": printable(stated["study"]),
        "profile": printable(stated["profile"]),
        "as_of": printable(stated["as_of"]) if stated["as_of"] else None,
        "synthetic": stated["synthetic"],
        "persons": _measure(counts.get("persons")),
        "rows": {printable(name): count for name, count in sorted(rows.items())} if isinstance(rows, Mapping) else {},
        "risk": {
            "k_min": stated["risk"]["k_min"],
            "k_limit": next((_measure(gate["limit"]) for gate in gates if gate["name"] == "k_min"), None),
            "gates": _gates(gates, [waiver["gate"] for waiver in stated.get("waivers", ())]),
            "linkability": _linkability(gates),
        },
    }


def _gates(gates: Sequence[Mapping[str, Any]], waived: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {state: [] for state in _GATE_WORDS}
    for gate in gates:
        found[_gate_state(gate, waived)].append(printable(gate["name"]))
    return found


def _gate_state(gate: Mapping[str, Any], waived: Sequence[str]) -> GateState:
    name = gate["name"]
    if gate["ok"] is True:
        return "cannot_assess" if gate.get("status") == "cannot_assess" else "passed"
    # A waiver is for a gate, or for a section of the risk report, which gives the first part of its gates' names.
    return "waived" if any(name == gate_of or name.startswith(f"{gate_of}_") for gate_of in waived) else "failed"


def _linkability(gates: Sequence[Mapping[str, Any]]) -> Json | None:
    """The audit's headline: the upper bound of the rank-1 rate, the worst where there are several."""
    found = [gate for gate in gates if gate["name"] == LINKABILITY_GATE]
    if not found:
        return None
    worst = max(found, key=lambda gate: _size(gate["value"]))
    assessed = worst.get("status") != "cannot_assess"
    return {"rank1": _measure(worst["value"]), "limit": _measure(worst["limit"]), "assessed": assessed}


def _size(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("inf")


def _measure(value: Any) -> int | float | str | None:
    """A number or a masked one; anything else that a manifest may hold there is left out."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return printable(value) if isinstance(value, str) else None


# --- the series ------------------------------------------------------------------------------------------------------


def version_order(version: str) -> tuple[Any, ...]:
    """Versions by number, as Semantic Versioning 2.0.0 (section 11) orders them; a pre-release comes before."""
    core, _, before = version.partition("-")
    parts = tuple((0, int(part), "") if _NUMBER.fullmatch(part) else (1, 0, part) for part in before.split("."))
    return (*map(int, core.split(".")), not before, parts if before else ())


def in_series(rows: Iterable[Row]) -> dict[str, tuple[Row, ...]]:
    """The rows by series, lowest version first, each held against the release before it."""
    grouped: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.series, row.order, row.folder)):
        grouped.setdefault(row.series, []).append(row)
    return {
        series: tuple(replace(row, chain=chain_of(row, of)) for row in of) for series, of in sorted(grouped.items())
    }


def chain_of(row: Row, series: Sequence[Row]) -> Chain:
    """What `previous` in the manifest comes to among the releases of the series that lie here."""
    earlier = [other for other in series if other.order < row.order]
    last = max(earlier, key=lambda other: other.order) if earlier else None
    stated = row.previous[0] if row.previous else None
    if any(other.order == row.order and other.manifest_sha256 != row.manifest_sha256 for other in series):
        return Chain(state="broken", previous=stated, reason=f"Two different releases here are called {row.name}.")
    if row.previous is None:
        if last is None:
            return Chain()
        return Chain(state="broken", reason=f"It says that it is the first, but {last.name} lies here too.")
    version, digest = row.previous
    if version_order(version) >= row.order:
        return Chain(
            state="broken", previous=stated, reason=f"It says that it follows {version}, which is not before it."
        )
    if last is not None and last.order > version_order(version):
        reason = f"It says that it follows {version}, but {last.version} lies between."
        return Chain(state="broken", previous=stated, reason=reason)
    if last is None or last.order < version_order(version):
        return Chain(state="missing", previous=stated, reason=f"The release before it, {version}, is not here.")
    if all(other.manifest_sha256 != digest for other in earlier if other.order == last.order):
        reason = f"The {version} that lies here is not the one that it follows: its manifest is another."
        return Chain(state="broken", previous=stated, reason=reason)
    return Chain(state="linked", previous=stated)


def tables_of(rows: Sequence[Row]) -> list[tuple[str, list[Any]]]:
    """How many rows each table has, one entry per release; None where a release has no such table."""
    tables = sorted({table for row in rows for table in row.stated["rows"]})
    return [(table, [row.stated["rows"].get(table) for row in rows]) for table in tables]
