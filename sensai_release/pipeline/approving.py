"""`approve`: a reviewer's signature over a release that its own verification passed, after a look at what changed.

Signs the payload that the steward signed, so it covers the release and, by its digest in the manifest, the release
before it. In a workspace the approval is logged with the reviewer's checklist, below a head of the log that the
reviewer signs; the release gets its proof of the log, and DVC and git take both in. A reviewer with nothing but the
release signs the same. The page that a reviewer reads before is made by `reviewing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from sensai_release.errors import ConfigurationError, GateError, OutputExistsError, ReleaseFormatError
from sensai_release.pipeline import versioning
from sensai_release.pipeline.comparing import compare
from sensai_release.pipeline.logbook import proof_of_release, read_log, record, sign_head
from sensai_release.pipeline.trusting import key_path
from sensai_release.pipeline.workspace import Workspace
from sensai_release.privacy.keyfile import SigningKey, load_signing_key
from sensai_release.release.checklist import NOT_GIVEN, Completed, Item, checklist
from sensai_release.release.dsse import MAXIMUM_ENVELOPE_BYTES, Envelope, verify_signatures
from sensai_release.release.hashing import Progress
from sensai_release.release.inventory import open_folder, read_file
from sensai_release.release.layout import ENVELOPE, MANIFEST, PROOF
from sensai_release.release.publish import write_atomic
from sensai_release.release.sealing import countersign_release
from sensai_release.release.trust import Trust, load_trust
from sensai_release.release.verify import VerificationReport, verify_release

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a reviewer is shown before signing. `difference` is None for the first release, or without the one before.

    `gates` are those of this release, and beside them what the release before it had, where it is there. `path` and
    `before` are the two directories, `report` is what `verify` found, `compared` the difference in full.
    """

    name: str
    manifest_sha256: str
    previous: Json | None
    difference: Json | None
    gates: tuple[Json, ...]
    signers: tuple[str, ...]
    notes: tuple[str, ...]
    path: Path
    before: Path | None
    report: VerificationReport
    compared: Json | None

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What the manifest says of the release."""
        assert self.report.statement is not None  # noqa: S101 - it verified
        return self.report.statement.predicate

    @property
    def items(self) -> tuple[Item, ...]:
        """The checklist, as far as it applies to this release."""
        return checklist().for_release(self.predicate)

    def ticked(self) -> Completed:
        """The checklist with every item ticked, for whoever has asked them one after another."""
        return Completed(
            version=checklist().version,
            release=self.name,
            manifest_sha256=self.manifest_sha256,
            items=tuple(sorted(item.id for item in self.items)),
        )

    def to_dict(self) -> Json:
        return {
            "name": self.name,
            "manifest_sha256": self.manifest_sha256,
            "previous": self.previous,
            "difference": self.difference,
            "gates": [dict(gate) for gate in self.gates],
            "signers": list(self.signers),
            "notes": list(self.notes),
        }


def check_signer(path: Path, *, key: Path | None, trust: Path | None, today: date) -> None:
    """Refuses who cannot approve this release, before it is hashed and compared; `approve` asks again.

    Raises `KeyFileError` for an unusable key, `TrustError` for the trust file, `ConfigurationError` when the signer is
    no reviewer in the trust file whose key counts today, or is the steward.
    """
    signer = load_signing_key(key_path("reviewer", key), roles=("reviewer",))
    given = load_trust(trust) if trust is not None else None
    _refuse_other_signer(signer, given, today)
    # What is wrong with the envelope is for `verify` to say.
    with suppress(OSError, ReleaseFormatError):
        _refuse_same_person(path, signer, given)


def review(path: Path, *, trust: Path | None, today: date, on_progress: Progress | None = None) -> Review:
    """Verifies the release and gathers what changed since the release before it, which is looked for beside it.

    Raises `GateError` when the release does not verify, `ReleaseFormatError` when it is none, `TrustError` for the
    trust file.
    """
    given = load_trust(trust) if trust is not None else None
    report = _verified(path, given, today, on_progress)
    assert report.statement is not None and report.manifest_sha256 is not None  # noqa: S101, PT018 - it verified
    predicate = report.statement.predicate
    notes = [note for note in report.notes if "freshness" not in note]
    if given is None:
        notes.append("Nobody checked who signed this as steward: give the trust file (--trust).")
    before, previous = _before(path, predicate, given, today, notes)
    compared = compare(before, path, check=False) if before is not None else None
    return Review(
        name=f"{predicate['series']}-{predicate['version']}",
        manifest_sha256=report.manifest_sha256,
        previous=predicate["previous"],
        difference=_short(compared) if compared is not None else None,
        gates=tuple(_gates(predicate, previous)),
        signers=report.signers,
        notes=tuple(notes),
        path=path,
        before=before,
        report=report,
        compared=compared,
    )


def look(path: Path, *, trust: Trust | None, today: date, on_progress: Progress | None = None) -> VerificationReport:
    """What `verify` finds on a release that waits for an approval: nobody but the steward has to have signed it."""
    if trust is not None:
        trust = replace(trust, threshold={"steward": max(1, trust.threshold.get("steward", 1))})
    return verify_release(path, trust=trust, integrity_only=trust is None, today=today, on_progress=on_progress)


def approve(
    path: Path,
    shown: Review,
    *,
    key: Path | None,
    trust: Path | None,
    workspace: Workspace | None,
    today: date,
    completed: Completed | None = None,
) -> Json:
    """Signs the release that `review` has shown, and refuses when it is no longer that one.

    `completed` is the reviewer's checklist; its version and digest are recorded, or that none was given. Raises
    `OutputExistsError` when this key has signed already and nothing is left to do, `ConfigurationError` when the signer
    is no reviewer in the trust file whose key counts today, or is the steward, `KeyFileError` for an unusable key.
    """
    signer = load_signing_key(key_path("reviewer", key), roles=("reviewer",))
    given = load_trust(trust) if trust is not None else None
    _refuse_other_signer(signer, given, today)
    report = _verified(path, given, today, None)
    if report.manifest_sha256 != shown.manifest_sha256:
        raise GateError(shown.name, "has changed since it was shown", "Run 'approve' again and read it anew.")
    _refuse_same_person(path, signer, given)
    ticks = _ticks(shown, completed)
    if workspace is None or not _is_here(workspace, path):
        if _has_signed(path, signer):
            raise _signed_already(completed)
        countersign_release(path, signer)
        return {"logged": False, "proof": False, **ticks}
    with workspace.lock():
        signed = _has_signed(path, signer)
        if signed and (path / PROOF).exists() and versioning.is_recorded(workspace.root, path.name):
            raise _signed_already(completed)
        if not signed:
            facts = {"name": shown.name, "manifest_sha256": shown.manifest_sha256, "signer": signer.key_id, **ticks}
            # The log comes first: an approval that nobody logged must not be there.
            countersign_release(path, signer, announce=lambda: _log_once(workspace, facts))
        head = sign_head(workspace, signer)
        proof = proof_of_release(workspace, shown.manifest_sha256, head)
        if proof is not None:
            write_atomic(path / PROOF, proof.to_bytes(), outside=path)
        versioning.record_release(workspace.root, path.name, f"Approve {path.name}")
    return {"logged": True, "proof": proof is not None, **ticks}


def _log_once(workspace: Workspace, facts: Json) -> None:
    """An approval whose signature did not follow its entry (the power failed between the two) has one already."""
    if not any(entry.event == "approve" and entry.facts == facts for entry in read_log(workspace).entries[-1:]):
        record(workspace, "approve", facts)


def refused(workspace: Workspace | None, path: Path, error: GateError) -> None:
    """Logs that a release was not fit to be approved."""
    if workspace is not None and _is_here(workspace, path):
        with workspace.lock():
            record(workspace, "approve.refused", {"name": path.name, "by": error.place})


def _signed_already(completed: Completed | None) -> OutputExistsError:
    if completed is None:
        return OutputExistsError(ENVELOPE, "has a signature by this key already", "Nothing needs to be done.")
    return OutputExistsError(
        ENVELOPE,
        "has a signature by this key already, so the checklist that was given now is not recorded",
        "An approval stays as it was recorded: keep the file beside it, or have another reviewer approve with one.",
    )


def _ticks(shown: Review, completed: Completed | None) -> Json:
    """What is recorded of the checklist: digest and version, which tell a reader what was confirmed for what."""
    if completed is None:
        return {"checklist": NOT_GIVEN}
    if (completed.release, completed.manifest_sha256) != (shown.name, shown.manifest_sha256):
        raise ConfigurationError("--checklist", "is for another release", "Fill in the one of this release.")
    return {"checklist": completed.version, "checklist_sha256": completed.sha256}


def _verified(path: Path, trust: Trust | None, today: date, on_progress: Progress | None) -> VerificationReport:
    """The report of a release that is fit to be approved: everything holds but the approval that is to come."""
    report = look(path, trust=trust, today=today, on_progress=on_progress)
    if not report.ok:
        raise GateError(path.name, f"does not verify: {report.verdict}", "Run 'verify' on it; do not approve it.")
    return report


def _before(
    path: Path, predicate: Any, trust: Trust | None, today: date, notes: list[str]
) -> tuple[Path | None, VerificationReport | None]:
    """The last release before this one that a reviewer approved, so that nothing goes by unseen.

    Looked for beside this one, along the digests in the manifests; it is the release just before where nobody says who
    approves, or none was approved.
    """
    stated = predicate["previous"]
    if stated is None:
        notes.append("This is the first release of its series: there is nothing to compare it with.")
    nearest: tuple[Path | None, VerificationReport | None] = (None, None)
    while stated is not None:
        before = path.parent / f"{predicate['series']}-{stated['version']}"
        if not (before / MANIFEST).is_file():
            lost = "what changed cannot be shown" if nearest[0] is None else "nobody looks further back"
            notes.append(f"The release before it, {before.name}, does not lie beside it: {lost}.")
            break
        report = verify_release(before, trust=None, integrity_only=True, today=today)
        if not report.ok or report.manifest_sha256 != stated["manifest_sha256"]:
            raise GateError(
                before.name, "is not the release that this one says it follows", "Get it again, or do not approve."
            )
        if trust is None or _approved(before, trust):
            if nearest[0] is not None:
                notes.append(f"What changed is shown since {before.name}, the last release that was approved.")
            return before, report
        notes.append(f"The release before it, {before.name}, was not approved by a reviewer of your trust file.")
        nearest = (before, report) if nearest[0] is None else nearest
        assert report.statement is not None  # noqa: S101 - it verified
        stated = report.statement.predicate["previous"]
    return nearest


def _envelope(path: Path) -> Envelope:
    """Raises `OSError` or `ReleaseFormatError`; nothing is followed or waited for, so it may be unverified."""
    with open_folder(path) as folder:
        return Envelope.from_bytes(read_file(folder, ENVELOPE, limit=MAXIMUM_ENVELOPE_BYTES), ENVELOPE)


def _approved(path: Path, trust: Trust) -> bool:
    envelope = _envelope(path)
    signed = verify_signatures(envelope, trust.public_keys)
    return any("reviewer" in person.roles and person.public_key in signed for person in trust.people)


def _gates(predicate: Any, previous: VerificationReport | None) -> list[Json]:
    earlier = {}
    if previous is not None and previous.statement is not None:
        earlier = {_identity(gate): gate["value"] for gate in previous.statement.predicate["risk"]["gates"]}
    return [{**gate, "before": earlier.get(_identity(gate))} for gate in predicate["risk"]["gates"]]


def _identity(gate: Json) -> tuple[str, str]:
    return str(gate["name"]), str(gate.get("scope") or gate.get("table") or "")


def _short(difference: Json) -> Json:
    """The difference without its lists of files: what a reviewer is asked to look at is in its page."""
    return {"identical": difference["identical"], "tables": difference["tables"]}


def _refuse_other_signer(signer: SigningKey, trust: Trust | None, today: date) -> None:
    if trust is None:
        return
    own = next((person for person in trust.people if person.public_key == signer.public), None)
    if own is None or "reviewer" not in own.roles:
        raise ConfigurationError("--key", "is not that of a reviewer in the trust file", "Ask who keeps that file.")
    if fault := own.fault_on(today):
        raise ConfigurationError("--key", f"is {fault}, by the trust file", "Sign with a key that counts.")


def _refuse_same_person(path: Path, signer: SigningKey, trust: Trust | None) -> None:
    if trust is None:
        return
    people = {person.public_key: person for person in trust.people}
    own = people[signer.public]
    envelope = _envelope(path)
    signed = verify_signatures(envelope, trust.public_keys) - {signer.public}
    if any(people[public].identity == own.identity for public in signed):
        raise ConfigurationError(
            "--key", "belongs to a person who has signed as steward", "Two people are needed: ask another reviewer."
        )


def _has_signed(path: Path, signer: SigningKey) -> bool:
    envelope = _envelope(path)
    return signer.public in verify_signatures(envelope, {signer.public})


def _is_here(workspace: Workspace, path: Path) -> bool:
    return path.resolve().parent == workspace.releases.resolve()
