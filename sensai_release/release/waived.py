"""Whether a release has a valid waiver for every gate that it failed, and no other.

Compares the release's own risk report, the waivers in it, and what its signed manifest says of both. What one waiver
must be is for `waivers` to say; call this for files whose SHA-256 is known to be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.documents import canonical_json, parse_strict
from sensai_release.release.layout import MANIFEST
from sensai_release.release.manifest import Statement
from sensai_release.release.trust import Trust
from sensai_release.release.waivers import (
    FOLDER,
    MAXIMUM_BYTES,
    PROFILE_GATE,
    WaiverFacts,
    WaiverVerdict,
    candidate_digest,
    check_waiver,
    failing_gates,
    gate_entries,
)

RISK = "reports/risk.json"
_GATE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")

Fault = tuple[str, str, str]
"""A code, the release-relative path it is about, and a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldWaiver:
    """A waiver that the manifest lists: its gate, its file, what became of it."""

    gate: str
    file: str
    verdict: WaiverVerdict

    def note(self, today: date | None) -> str:
        """One line for whoever verifies. The reason is in the waiver itself."""
        waiver = self.verdict.waiver
        if not self.verdict.ok or waiver is None:
            return f"The gate {self.gate} was not passed, and {self.file} {self.verdict.message}."
        by = f" by {self.verdict.signer}" if self.verdict.signer else ""
        now = ", which has passed" if today is not None and today > waiver.expires else ""
        return f"The gate {self.gate} was not passed; it is waived{by} until {waiver.expires}{now}."


def predicate_gates(risk: Mapping[str, Any], *, waiver_required: bool) -> list[dict[str, Any]]:
    """The `risk.gates` of the manifest's predicate: every entry of the risk report, and the profile's own gate."""
    entries = gate_entries(risk, waiver_required=False).values()
    flat = [dict(entry) for numbers in entries for entry in numbers]
    profile = {"name": PROFILE_GATE, "value": "required", "limit": "a signed waiver", "ok": False}
    return [*flat, profile] if waiver_required else flat


def release_facts(
    predicate: Mapping[str, Any],
    digests: Mapping[str, str],
    risk: Mapping[str, Any],
    *,
    waiver_required: bool,
    stewards: frozenset[str],
) -> WaiverFacts:
    """What a waiver must fit. `digests` maps the paths of a release to SHA-256; only those below data/ count.

    Raises `ReleaseFormatError` for a gate whose name is no plain word: it is shown, and names a file.
    """
    named = ("study", "series", "version", "profile", "policy_sha256")
    gates = failing_gates(risk, waiver_required=waiver_required)
    if not all(isinstance(name, str) and _GATE_NAME.fullmatch(name) for name in gates):
        raise ReleaseFormatError(RISK, "has a gate whose name is no plain word", "Measure the risk again.")
    return WaiverFacts(
        **{name: predicate[name] for name in named},
        candidate_sha256=candidate_digest({path: digests[path] for path in digests if path.startswith("data/")}),
        gates=gates,
        stewards=stewards,
    )


def check_waivers(
    statement: Statement,
    read: Callable[[str], bytes],
    *,
    trust: Trust | None,
    stewards: frozenset[str],
    today: date | None,
) -> tuple[list[Fault], tuple[HeldWaiver, ...]]:
    """What is wrong with the waivers of a release, and the waivers that its manifest lists.

    `read` gives a file of the release or raises `OSError`; `stewards` are the identities of the trusted stewards who
    signed it. A release without risk report (none of ours) is held against the gates of its manifest.
    """
    stated = statement.predicate["risk"]["gates"]
    listed = statement.predicate.get("waivers", [])
    required = any(entry["name"] == PROFILE_GATE for entry in stated)
    faults: list[Fault] = []
    try:
        risk = parse_strict(read(RISK), RISK) if RISK in statement.resources else {"ok": True, "gate": stated}
        facts = release_facts(
            statement.predicate,
            {name: resource.digest for name, resource in statement.resources.items()},
            risk,
            waiver_required=required,
            stewards=stewards,
        )
        if RISK in statement.resources:
            faults += _report_faults(risk, stated, facts, waiver_required=required)
    except (OSError, ReleaseFormatError, KeyError, TypeError, AttributeError):
        return [("risk.unreadable", RISK, "is no risk report, so nobody can tell which gates were passed")], ()
    day = statement.predicate["as_of"]
    try:
        on = date.fromisoformat(day) if day else None
    except ValueError:
        on = None
    held = tuple(_hold(entry, read, trust=trust, facts=facts, on=on, today=today) for entry in listed)
    faults += _coverage_faults(statement, facts, held)
    faults += [(f"waiver.{item.verdict.code}", item.file, item.verdict.message) for item in held if not item.verdict.ok]
    return faults, held


def _report_faults(
    risk: Mapping[str, Any], stated: Any, facts: WaiverFacts, *, waiver_required: bool
) -> Iterator[Fault]:
    if canonical_json(predicate_gates(risk, waiver_required=waiver_required)) != canonical_json(stated):
        yield "risk.differs", RISK, "holds other gates than the manifest says"
    if risk["ok"] is not True and not facts.gates.keys() - {PROFILE_GATE}:
        yield "risk.differs", RISK, "says that it is not passed, and names no gate that is not"


def _hold(
    entry: Mapping[str, Any],
    read: Callable[[str], bytes],
    *,
    trust: Trust | None,
    facts: WaiverFacts,
    on: date | None,
    today: date | None,
) -> HeldWaiver:
    gate, file = entry["gate"], entry["file"]
    try:
        data = read(file)
    except OSError:
        return HeldWaiver(gate=gate, file=file, verdict=WaiverVerdict(code="malformed"))
    if len(data) > 2 * MAXIMUM_BYTES:
        return HeldWaiver(gate=gate, file=file, verdict=WaiverVerdict(code="malformed"))
    return HeldWaiver(gate=gate, file=file, verdict=check_waiver(data, trust=trust, facts=facts, on=on, today=today))


def _coverage_faults(statement: Statement, facts: WaiverFacts, held: tuple[HeldWaiver, ...]) -> Iterator[Fault]:
    """The manifest's list of waivers must be the files in waivers/, one for each gate that was failed."""
    entries = {item["file"]: item for item in statement.predicate.get("waivers", [])}
    files = {name for name in statement.resources if name.startswith(f"{FOLDER}/")}
    for name in sorted(files ^ entries.keys()):
        yield "waiver.unlisted", name, "is in the release or in its list of waivers, not in both"
    for name in sorted(files & entries.keys()):
        if statement.resources[name].digest != entries[name]["sha256"]:
            yield "waiver.unlisted", name, "is not the waiver that the manifest lists"
    for gate in sorted(facts.gates.keys() - {item.gate for item in held}):
        yield (
            "gate.not_waived",
            RISK if RISK in statement.resources else MANIFEST,
            f"fails {gate}, and nothing waives it",
        )
    for item in held:
        waiver = item.verdict.waiver
        if waiver is not None and (waiver.gate, waiver.expires.isoformat()) != (
            item.gate,
            entries[item.file]["expires"],
        ):
            yield "waiver.unlisted", item.file, "is for another gate, or another time, than the manifest lists"
