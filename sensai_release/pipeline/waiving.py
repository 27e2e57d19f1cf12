"""`waive`, and what `release` asks of waivers: which gates the candidate failed, and whether each is waived.

The waivers of a workspace lie in waivers/, one file for each gate and version. What a waiver is, and when it holds, is
for `release.waivers` to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sensai_release.errors import ConfigurationError, GateError, OutputExistsError, ReleaseFormatError
from sensai_release.pipeline.built import refuse_changed
from sensai_release.pipeline.describe import PAYLOAD
from sensai_release.pipeline.logbook import record
from sensai_release.pipeline.scan import scan_path
from sensai_release.pipeline.trusting import key_path
from sensai_release.pipeline.workspace import Workspace, parse_version
from sensai_release.privacy.keyfile import load_signing_key
from sensai_release.release.documents import expecting_shape
from sensai_release.release.hashing import hash_files
from sensai_release.release.inventory import list_entries, open_folder
from sensai_release.release.publish import write_atomic
from sensai_release.release.tables import read_json_object
from sensai_release.release.trust import Trust
from sensai_release.release.waived import RISK, predicate_gates, release_facts
from sensai_release.release.waivers import (
    FOLDER,
    QUOTED_GATE,
    WAIVING_ROLES,
    Waiver,
    WaiverFacts,
    check_waiver,
    draft_waiver,
    sign_waiver,
)

_REASON_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """A waiver that holds for the release about to be made: its file's name, its bytes, and what they say."""

    name: str
    data: bytes
    waiver: Waiver

    def to_dict(self) -> dict[str, Any]:
        """The entry of `waivers` in the manifest's predicate."""
        return {
            "gate": self.waiver.gate,
            "file": f"{FOLDER}/{self.name}",
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "expires": self.waiver.expires.isoformat(),
        }


def candidate_payload(workspace: Workspace) -> dict[str, Any]:
    """What the built package knows of itself. Refuses one of other inputs, or that is not as the build left it."""
    if not (workspace.package / PAYLOAD).is_file():
        raise ConfigurationError("the candidate", "is not there", "Run 'sensai-release build' first.")
    refuse_changed(workspace)
    return candidate_document(workspace.package)


def candidate_document(folder: Path) -> dict[str, Any]:
    """What `package` wrote of a candidate. Raises `ConfigurationError` when that is damaged."""
    try:
        document = read_json_object(folder / PAYLOAD, PAYLOAD)
        if isinstance(document["predicate"]["risk"], dict):
            return document
    except (ReleaseFormatError, KeyError, TypeError):
        pass
    raise ConfigurationError("the candidate", "is damaged", "Run 'sensai-release build' again.")


def candidate_facts(
    workspace: Workspace, version: str, *, stewards: frozenset[str] = frozenset()
) -> tuple[WaiverFacts, list[dict[str, Any]]]:
    """What a waiver for the candidate must fit, and the gates as the manifest will state them.

    Raises `ConfigurationError` when there is no candidate, or it is out of date.
    """
    predicate = candidate_payload(workspace)["predicate"] | {"version": version}
    risk = read_json_object(workspace.package / RISK, RISK, "ok", "gate")
    required = workspace.params.profile.waiver_required
    with expecting_shape("the candidate", "Run 'sensai-release build' again."):
        facts = release_facts(predicate, _digests(workspace.package), risk, waiver_required=required, stewards=stewards)
        gates = predicate_gates(risk, waiver_required=required)
    if risk["ok"] is not True and not facts.gates:
        raise GateError("the risk gate", "is not passed", "Read reports/risk.html and change the policy or thresholds.")
    return facts, gates


def waivers_in_force(
    workspace: Workspace, facts: WaiverFacts, *, trust: Trust | None, as_of: date | None
) -> tuple[HeldFile, ...]:
    """The waiver of every gate that the candidate failed, in order of gate; empty when it failed none.

    Raises `GateError` when a gate has no waiver or one that does not hold, and `ConfigurationError` when there are
    waivers and nobody said whom to trust, or for which day the release speaks.
    """
    paths = {gate: _path(workspace, gate, facts.version) for gate in sorted(facts.gates)}
    if unwaived := [gate for gate, path in paths.items() if not path.is_file()]:
        raise GateError(
            "the release",
            f"fails {'; '.join(_in_words(gate, facts) for gate in unwaived)}",
            "Read reports/risk.html and change the policy, or have a reviewer give a waiver for each: "
            f"'sensai-release waive GATE --version {facts.version}'.",
        )
    if paths and trust is None:
        raise ConfigurationError(
            "--trust", "is missing: it says whose waivers count", "Name the trust file that names the reviewer."
        )
    if paths and as_of is None:
        raise ConfigurationError(
            "--as-of", "is missing: a waiver holds until a day", "State the day that the release speaks for."
        )
    held = []
    for gate, path in paths.items():
        data = path.read_bytes()
        verdict = check_waiver(data, trust=trust, facts=facts, on=as_of)
        if not verdict.ok or verdict.waiver is None or verdict.waiver.gate != gate:
            words = verdict.message if not verdict.ok else "is for another gate than its name says"
            raise GateError(
                f"{FOLDER}/{path.name}",
                words,
                f"The gate {gate} is failed: change the policy, or ask for a new waiver.",
            )
        held.append(HeldFile(name=path.name, data=data, waiver=verdict.waiver))
    return tuple(held)


def draft(workspace: Workspace, gate: str, *, version: str, reason_file: Path, issued: date, expires: date) -> Waiver:
    """The waiver of a failed gate of the candidate, not signed yet.

    Raises `ConfigurationError` as `draft_waiver` does, and for a reason that the leak scan refuses;
    `OutputExistsError` when the version is released, or the gate has a waiver for it.
    """
    parse_version(version)
    if (workspace.releases / f"{workspace.params.series}-{version}").exists():
        raise OutputExistsError("VERSION", "is released already", "Name the version that is to be released.")
    facts, _ = candidate_facts(workspace, version)
    waiver = draft_waiver(facts, gate, reason=_reason(workspace, reason_file), issued=issued, expires=expires)
    _refuse_existing(_path(workspace, gate, version))
    return waiver


def sign_and_write(workspace: Workspace, waiver: Waiver, *, key: Path | None) -> str:
    """Signs a waiver with a reviewer's key, writes it into waivers/, and returns its path in the workspace.

    Raises `KeyFileError` for a key of another role, `OutputExistsError` when there is one for this gate and version.
    """
    data = sign_waiver(waiver, load_signing_key(key_path("reviewer", key), roles=WAIVING_ROLES))
    path = _path(workspace, waiver.gate, waiver.version)
    with workspace.lock():
        path.parent.mkdir(exist_ok=True)
        _refuse_existing(path)
        write_atomic(path, data)
        record(
            workspace,
            "waiver",
            {
                "gate": waiver.gate,
                "name": f"{waiver.series}-{waiver.version}",
                "expires": waiver.expires.isoformat(),
                "sha256": hashlib.sha256(data).hexdigest(),
            },
        )
    return f"{FOLDER}/{path.name}"


def _path(workspace: Workspace, gate: str, version: str) -> Path:
    return workspace.root / FOLDER / f"{gate}-{version}.dsse.json"


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise OutputExistsError(f"{FOLDER}/{path.name}", "is already there", "Move it away first, if it is void.")


def _digests(package: Path) -> dict[str, str]:
    with open_folder(package) as folder:
        sizes = {
            entry.path: entry.size
            for entry in list_entries(folder)
            if entry.kind == "file" and entry.path.startswith("data/")
        }
        digests = {digest.path: digest.sha256 for digest in hash_files(folder, sizes)}
    if None in digests.values():
        raise ConfigurationError("the candidate", "cannot be read", "Run 'sensai-release build' again.")
    return {path: str(digest) for path, digest in digests.items()}


def _in_words(gate: str, facts: WaiverFacts) -> str:
    numbers = facts.gates[gate]
    if not numbers:
        return f"{gate} (it needs a signed waiver, which must quote a {QUOTED_GATE} audit; the risk report has none)"
    failed = [entry for entry in numbers if entry["ok"] is not True]
    shown = ", ".join(_entry_in_words(entry, gate) for entry in (failed or numbers)[:3])
    return f"{gate} ({shown}{', …' if len(failed or numbers) > 3 else ''})"


def _entry_in_words(entry: Mapping[str, Any], gate: str) -> str:
    name = "" if entry["name"] == gate else f"{entry['name']} "
    return f"{name}{entry['value']}, limit {entry['limit']}"


def _reason(workspace: Workspace, path: Path) -> str:
    """The authored text. It goes into a signed document, so it is scanned before and not only with the release."""
    try:
        with path.open("rb") as file:
            text = file.read(_REASON_LIMIT).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError("--reason-file", "cannot be read as UTF-8 text", "Name a plain text file.") from None
    found = scan_path(path, workspace=workspace)["findings"]
    kinds = sorted({str(finding["code"]) for finding in found if finding["severity"] == "error"})
    if kinds:
        raise ConfigurationError(
            "--reason-file", f"holds what can point to a person: {', '.join(kinds)}", "Write it without."
        )
    return text.replace("\r\n", "\n")
