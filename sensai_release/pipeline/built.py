"""What the last build made, and from what: a candidate that is another by now, or is of other inputs, is not released.

Every stage notes the state of what it leaves in work/built.json as soon as it is written; whatever is changed by hand
afterwards differs from its note. When DVC has found every stage up to date, `build` notes all of it, inputs included:
an input can change without any effect on what is made (a comment, the time stamp of a file).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from sensai_release import __version__
from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.pipeline.source import intake_document
from sensai_release.pipeline.workspace import TEMPLATE_PARTS, Workspace, write_json
from sensai_release.release.hashing import hash_files
from sensai_release.release.inventory import list_entries, open_folder
from sensai_release.release.tables import read_json_object
from sensai_release.table.catalogue import catalogue_digest

CANDIDATE: Final = "work/candidate"
DATASHEET: Final = "work/datasheet"
PACKAGE: Final = "work/package"
RISK: Final = "reports/risk.json"
SCAN: Final = "reports/scan.json"

MADE = (CANDIDATE, DATASHEET, RISK, PACKAGE, SCAN)
"""What a release is made from, and what its reviewer is shown of the candidate."""

_RECORD = "built.json"
_AGAIN = "Run 'sensai-release build' again."


def note_made(workspace: Workspace, place: str, *, inputs: bool = False) -> None:
    """Called by a stage that has just written `place`, one of `MADE`; with `inputs` those of now are noted too."""
    held = _held(workspace)
    held["made"][place] = _state(workspace.root / place)
    if inputs:
        held["inputs"] = _inputs(workspace)
    write_json(workspace.work / _RECORD, held)


def note_built(workspace: Workspace) -> None:
    """Called when every stage is known to be up to date."""
    made = {place: _state(workspace.root / place) for place in MADE}
    write_json(workspace.work / _RECORD, {"made": made, "inputs": _inputs(workspace)})


def refuse_changed(workspace: Workspace) -> None:
    """Raises `ConfigurationError` when an input is another than it was, or what was made is not as it was left."""
    held = _held(workspace)
    now = _inputs(workspace)
    if changed := sorted(name for name in now if now[name] != held["inputs"].get(name)):
        raise ConfigurationError("the candidate", f"was built before a change of: {', '.join(changed)}", _AGAIN)
    if touched := [place for place in MADE if _state(workspace.root / place) != held["made"].get(place)]:
        raise ConfigurationError("the candidate", f"is no longer as 'build' made it: {', '.join(touched)}", _AGAIN)


def _held(workspace: Workspace) -> dict[str, Any]:
    """The record; an empty one where there is none, or none of ours: it then fits nothing."""
    try:
        held = read_json_object(workspace.work / _RECORD, f"work/{_RECORD}", "made", "inputs")
    except ReleaseFormatError:
        return {"made": {}, "inputs": {}}
    return {name: held[name] if isinstance(held[name], dict) else {} for name in ("made", "inputs")}


def _state(path: Path) -> str | None:
    """One digest of a file, or of all that lies below a folder; `None` for what is not there."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if not path.is_dir():
        return None
    state = hashlib.sha256()
    with open_folder(path) as folder:
        entries = list_entries(folder)
        sizes = {entry.path: entry.size for entry in entries if entry.kind == "file"}
        for entry in entries:
            state.update(f"{entry.kind}\0{entry.path}\n".encode(errors="surrogateescape"))
        for digest in hash_files(folder, sizes):
            state.update(f"{digest.path}\0{digest.sha256}\n".encode(errors="surrogateescape"))
    return state.hexdigest()


def _inputs(workspace: Workspace) -> dict[str, str]:
    """The state of everything that a candidate is made from, each as one digest: equal when nothing has changed."""
    digests = {
        "the source folder": str(intake_document(workspace)["state"]),
        "the tool": __version__,
        "the catalogue": catalogue_digest(),
    }
    for name in TEMPLATE_PARTS:
        path = workspace.root / name
        state = hashlib.sha256()
        for file in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file()):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            state.update(f"{file.relative_to(workspace.root).as_posix()}\0{content}\n".encode())
        digests[name] = state.hexdigest()
    return digests
