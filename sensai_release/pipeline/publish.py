"""`release`: freezes the candidate into releases/, signs it, and records it in DVC and git.

The directory appears whole or not at all; what comes after (DVC, commit, tag, push) can be repeated after an
interruption by giving the same command again.
"""

from __future__ import annotations

import hashlib
import json
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
from sensai_release.pipeline.describe import PAYLOAD, finish_payload, inputs_of
from sensai_release.pipeline.scan import scan_path
from sensai_release.pipeline.trusting import key_path
from sensai_release.pipeline.workspace import Workspace, earlier_releases, parse_version
from sensai_release.privacy.keyfile import SigningKey, load_signing_key
from sensai_release.release.manifest import MANIFEST
from sensai_release.release.publish import publish_directory
from sensai_release.release.sealing import seal_release
from sensai_release.release.trust import Person, Trust
from sensai_release.release.verify import verify_release

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

    def to_dict(self) -> dict[str, Any]:
        return {"ok": True} | {name: getattr(self, name) for name in self.__dataclass_fields__}


def release(
    workspace: Workspace,
    version: str,
    *,
    key: Path | None = None,
    as_of: date | None = None,
    on_progress: Progress | None = None,
) -> ReleaseOutcome:
    """Publishes the candidate as `version`.

    Raises `ConfigurationError` when the version does not rise or the candidate is not up to date, `GateError` when a
    gate refused it, `KeyFileError` for an unusable key, `OutputExistsError` when the release is already there.
    """
    number = parse_version(version)
    name = f"{workspace.params.series}-{version}"
    signer = load_signing_key(key_path("steward", key), roles=("steward",))
    with workspace.lock():
        target = workspace.releases / name
        if target.exists():
            _resume(workspace, target, signer)
        else:
            earlier = earlier_releases(workspace)
            if earlier and earlier[-1][0] >= number:
                raise ConfigurationError(
                    "VERSION", "does not rise above every earlier release", f"The last one is {earlier[-1][1].name}."
                )
            _require_current(workspace)
            previous = earlier[-1][1] if earlier else None
            publish_directory(
                lambda folder: _fill(folder, workspace, version, signer, as_of, previous, on_progress), target
            )
        report = verify_release(target, trust=_own_trust(signer))
        if not report.ok:
            raise GateError(f"releases/{name}", "does not verify after it was written", "Check the disk; use another.")
        pushed = versioning.record_release(workspace.root, name, f"Release {name}")
    count = sum(1 for path in target.rglob("*") if path.is_file())
    return ReleaseOutcome(name=name, path=f"releases/{name}", files=count, signer=signer.key_id, pushed=pushed)


def _require_current(workspace: Workspace) -> None:
    """Refuses a candidate that was built from other inputs than those that lie here now."""
    if not (workspace.package / PAYLOAD).is_file():
        raise ConfigurationError("the candidate", "is not there", "Run 'sensai-release build' first.")
    facts = json.loads((workspace.package / PAYLOAD).read_text(encoding="utf-8"))
    now = inputs_of(workspace)
    changed = sorted(name for name in now if now[name] != facts["inputs"].get(name))
    if changed:
        raise ConfigurationError(
            "the candidate", f"was built before a change of: {', '.join(changed)}", "Run 'sensai-release build' again."
        )
    if workspace.params.profile.waiver_required:
        raise GateError(
            f"profile {workspace.params.profile.name}",
            "is released behind a signed waiver only",
            "Choose another profile in params.yaml.",
        )
    if not facts["predicate"]["risk"]["ok"]:
        raise GateError("the risk gate", "is not passed", "Read reports/risk.html and change the policy or thresholds.")


def _fill(
    folder: Path,
    workspace: Workspace,
    version: str,
    signer: SigningKey,
    as_of: date | None,
    previous: Path | None,
    on_progress: Progress | None,
) -> None:
    """Everything that a release holds, in the order in which one part depends on another."""
    shutil.copytree(workspace.package, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    facts = json.loads((folder / PAYLOAD).read_text(encoding="utf-8"))
    (folder / PAYLOAD).unlink()
    predicate = {
        **facts["predicate"],
        "version": version,
        "as_of": as_of.isoformat() if as_of else None,
        "previous": _previous(previous),
        "tool": {"name": "sensai-release", "version": __version__},
        "dependencies": {name: installed_version(name) for name in _RECORDED},
    }
    finish_payload(folder, workspace, predicate, previous)
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
        "version": json.loads(data)["predicate"]["version"],
        "manifest_sha256": hashlib.sha256(data).hexdigest(),
    }


def _own_trust(signer: SigningKey) -> Trust:
    person = Person(name=signer.name, roles=("steward",), public_key=signer.public)
    return Trust(threshold={"steward": 1}, people=(person,))


def _resume(workspace: Workspace, target: Path, signer: SigningKey) -> None:
    """A release that was published but not tagged was interrupted half-way: the rest may be done. Others are final."""
    if versioning.is_tagged(workspace.root, target.name) or not verify_release(target, trust=_own_trust(signer)).ok:
        raise OutputExistsError(f"releases/{target.name}", "is already there", "Choose a higher version.")
