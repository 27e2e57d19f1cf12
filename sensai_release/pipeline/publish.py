"""`release`: freezes the candidate into releases/, signs it, and records it in DVC and git.

The directory appears whole or not at all; what comes after (DVC, commit, tag, push) can be repeated after an
interruption by giving the same command again.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from sensai_release import __version__
from sensai_release.errors import ConfigurationError, GateError, OutputExistsError
from sensai_release.pipeline import versioning
from sensai_release.pipeline.describe import PAYLOAD, finish_payload, refuse_unsettled, write_waivers_page
from sensai_release.pipeline.escrow import EscrowOutcome, write_escrow
from sensai_release.pipeline.logbook import is_logged, open_intent, record, sign_head
from sensai_release.pipeline.scan import scan_path
from sensai_release.pipeline.trusting import key_path
from sensai_release.pipeline.waiving import HeldFile, candidate_document, candidate_facts, waivers_in_force
from sensai_release.pipeline.workspace import Workspace, earlier_releases, parse_version
from sensai_release.privacy.keyfile import SigningKey, load_signing_key
from sensai_release.release.comparison import versions
from sensai_release.release.comparison.diff import ReleaseDiff, diff_releases
from sensai_release.release.layout import MANIFEST
from sensai_release.release.manifest import parse_statement
from sensai_release.release.publish import clear_leftovers, publish_directory
from sensai_release.release.sealing import seal_release
from sensai_release.release.trust import Person, Trust, load_trust
from sensai_release.release.verify import verify_release
from sensai_release.release.waivers import FOLDER, WAIVING_ROLES

Progress = Callable[[int, int], None]

# The libraries whose version can change the bytes of a release.
_RECORDED = ("cryptography", "numpy", "pandas", "pandera", "great-expectations", "pyarrow", "rfc8785")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOutcome:
    """A published release: its directory (as the workspace names it), its signer's key id, and where it went."""

    name: str
    path: str
    files: int
    signer: str
    pushed: bool
    escrow: EscrowOutcome

    def to_dict(self) -> dict[str, Any]:
        named = ("name", "path", "files", "signer", "pushed")
        return {"ok": True, "escrow": self.escrow.to_dict()} | {name: getattr(self, name) for name in named}


def release(
    workspace: Workspace,
    version: str,
    *,
    key: Path | None = None,
    as_of: date | None = None,
    trust: Path | None = None,
    on_progress: Progress | None = None,
) -> ReleaseOutcome:
    """Publishes the candidate as `version`. `trust`, a trust file, says whose waivers count.

    Raises `ConfigurationError` when the version does not rise, or rises too little for what changed, or the candidate
    is not up to date, `GateError` when a gate refused it and no waiver holds, `KeyFileError` for an unusable key,
    `TrustError` for an unusable trust file, `OutputExistsError` when the release is already there.
    """
    number = parse_version(version)
    name = f"{workspace.params.series}-{version}"
    signer = load_signing_key(key_path("steward", key), roles=("steward",))
    given = load_trust(trust) if trust is not None else None
    own = _own_trust(signer, given)
    with workspace.lock():
        target = workspace.releases / name
        clear_leftovers(target.parent)
        if target.exists():
            _resume(workspace, target, own)
            escrow = write_escrow(workspace, version)
        else:
            _close_intent(workspace)
            try:
                stated = _state(workspace, version, number, own=own, given=given, as_of=as_of, signer=signer)
                record(workspace, "release.intent", {"name": name, "profile": workspace.params.profile.name})
                escrow = _publish(workspace, target, stated, signer, own, on_progress)
            except GateError as error:
                record(workspace, "release.refused", {"name": name, "by": error.place})
                raise
        _log_release(workspace, target, signer)
        pushed = versioning.record_release(workspace.root, name, f"Release {name}")
    count = sum(1 for path in target.rglob("*") if path.is_file())
    return ReleaseOutcome(
        name=name, path=f"releases/{name}", files=count, signer=signer.key_id, pushed=pushed, escrow=escrow
    )


def _state(
    workspace: Workspace,
    version: str,
    number: tuple[int, int, int],
    *,
    own: Trust,
    given: Trust | None,
    as_of: date | None,
    signer: SigningKey,
) -> _Stated:
    """What the release will say of itself, after all that can refuse it before anything is written."""
    earlier = earlier_releases(workspace)
    if earlier and earlier[-1][0] >= number:
        raise ConfigurationError(
            "VERSION", "does not rise above every earlier release", f"The last one is {earlier[-1][1].name}."
        )
    stewards = frozenset(person.identity for person in own.people if person.public_key == signer.public)
    facts, gates = candidate_facts(workspace, version, stewards=stewards)
    refuse_unsettled(workspace.package)
    held = waivers_in_force(workspace, facts, trust=given, as_of=as_of)
    return _Stated(
        version=version,
        as_of=as_of,
        previous=earlier[-1][1] if earlier else None,
        difference=_refuse_understatement(workspace, earlier[-1], number) if earlier else None,
        gates=gates,
        waivers=held,
    )


def _refuse_understatement(
    workspace: Workspace, last: tuple[tuple[int, int, int], Path], number: tuple[int, int, int]
) -> ReleaseDiff:
    """A recipient goes by the number: one that says less than what changed since the last release is refused.

    Returns that change, rounded as the report in the release tells it: nothing that did change is rounded to 0.
    """
    change = diff_releases(last[1], workspace.package, minimum=workspace.params.masking_minimum, coarse=True)
    required, why = versions.reasons(change)
    if versions.understates(last[0], number, required):
        raise ConfigurationError(
            "VERSION",
            f"understates the change since {last[1].name}: {why}, which asks for a {required} step",
            f"Give {versions.smallest(last[0], required)} or higher.",
        )
    return change


def _publish(
    workspace: Workspace, target: Path, stated: _Stated, signer: SigningKey, own: Trust, on_progress: Progress | None
) -> EscrowOutcome:
    """Puts the release under its name, when it verifies as the disk holds it. Its escrow comes first: a release that
    nobody can trace must not be there.
    """
    outcome = EscrowOutcome()

    def fill(folder: Path) -> None:
        nonlocal outcome
        _fill(folder, workspace, stated, signer, on_progress)
        outcome = write_escrow(workspace, stated.version, folder=folder)

    def check(folder: Path) -> None:
        if not verify_release(folder, trust=own).ok:
            place = f"releases/{target.name}"
            cure = "Run 'sensai-release build' again, in case work/ was changed by hand; else check the disk."
            raise GateError(place, "does not verify after it was written", cure)

    publish_directory(fill, target, check=check)
    return outcome


def _close_intent(workspace: Workspace) -> None:
    """A release that was announced in the log and never came about is said to be abandoned."""
    intent = open_intent(workspace)
    if intent is not None and not (workspace.releases / str(intent.facts["name"])).exists():
        record(workspace, "release.abandoned", {"name": intent.facts["name"]})


def _log_release(workspace: Workspace, target: Path, signer: SigningKey) -> None:
    """The entry that the release's proof will be about, and the head over it; once for each release."""
    manifest = hashlib.sha256((target / MANIFEST).read_bytes()).hexdigest()
    if not is_logged(workspace, manifest):
        predicate = parse_statement((target / MANIFEST).read_bytes()).predicate
        record(
            workspace,
            "release",
            {
                "name": target.name,
                "manifest_sha256": manifest,
                "profile": predicate["profile"],
                "signer": signer.key_id,
                "waivers": sorted(waiver["gate"] for waiver in predicate["waivers"]),
            },
        )
    sign_head(workspace, signer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """What a release says of itself beyond its payload."""

    version: str
    as_of: date | None
    previous: Path | None
    difference: ReleaseDiff | None
    gates: list[dict[str, Any]]
    waivers: tuple[HeldFile, ...]


def _fill(
    folder: Path, workspace: Workspace, stated: _Stated, signer: SigningKey, on_progress: Progress | None
) -> None:
    """Everything that a release holds, in the order in which one part depends on another."""
    shutil.copytree(workspace.package, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    facts = candidate_document(folder)
    (folder / PAYLOAD).unlink()
    if stated.waivers:
        (folder / FOLDER).mkdir()
    for held in stated.waivers:
        (folder / FOLDER / held.name).write_bytes(held.data)
    predicate = {
        **facts["predicate"],
        "version": stated.version,
        "as_of": stated.as_of.isoformat() if stated.as_of else None,
        "previous": _previous(stated.previous),
        "risk": {**facts["predicate"]["risk"], "gates": stated.gates},
        "waivers": [held.to_dict() for held in stated.waivers],
        "tool": {"name": "sensai-release", "version": __version__},
        "dependencies": {name: installed_version(name) for name in _RECORDED},
    }
    finish_payload(folder, workspace, predicate, stated.previous, stated.difference)
    if stated.waivers:
        write_waivers_page(folder, workspace, [held.waiver for held in stated.waivers], predicate)
    _refuse_leaks(folder, workspace)
    seal_release(folder, predicate, signer, on_progress)


def _refuse_leaks(folder: Path, workspace: Workspace) -> None:
    """The last look before the signature: pages, metadata and the difference were made after the stage `scan`."""
    leaks = [
        finding for finding in scan_path(folder, workspace=workspace)["findings"] if finding["severity"] == "error"
    ]
    if leaks:
        places = sorted({str(finding["file"]) for finding in leaks})
        raise GateError(
            "the leak scan",
            f"finds {len(leaks)} leak(s) in the finished release: {', '.join(places[:3])}",
            "Look for identifiers in datasheets/, params.yaml and schemas/, mend them, build again.",
        )


def _previous(previous: Path | None) -> dict[str, str] | None:
    if previous is None:
        return None
    data = (previous / MANIFEST).read_bytes()
    return {
        "version": parse_statement(data).predicate["version"],
        "manifest_sha256": hashlib.sha256(data).hexdigest(),
    }


def _own_trust(signer: SigningKey, given: Trust | None) -> Trust:
    """The steward's own trust in the release just made: the steward, and the people of the trust file who may waive."""
    people = given.people if given is not None else ()
    name = next((person.name for person in people if person.public_key == signer.public), signer.name)
    others = (
        person for person in people if set(WAIVING_ROLES) & set(person.roles) and person.public_key != signer.public
    )
    return Trust(
        threshold={"steward": 1}, people=(Person(name=name, roles=("steward",), public_key=signer.public), *others)
    )


def _resume(workspace: Workspace, target: Path, own: Trust) -> None:
    """A release that was published but not tagged was interrupted half-way: the rest may be done. Others are final."""
    if versioning.is_tagged(workspace.root, target.name) or not verify_release(target, trust=own).ok:
        raise OutputExistsError(f"releases/{target.name}", "is already there", "Choose a higher version.")
