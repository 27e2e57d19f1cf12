"""`build`, `status` and `locate`: drive the pipeline through DVC and say what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.pipeline import versioning
from sensai_release.pipeline.built import note_built
from sensai_release.pipeline.logbook import record
from sensai_release.pipeline.pseudonymise import refuse_other_pseudonyms
from sensai_release.pipeline.source import intake_document, list_source, unclaimed_paths
from sensai_release.pipeline.standing import stated_standing
from sensai_release.pipeline.workspace import Workspace, earlier_releases
from sensai_release.privacy.persons import refuse_tables_without_persons
from sensai_release.privacy.policy import check_policies, refuse_undecided
from sensai_release.release.tables import read_json_object
from sensai_release.release.waivers import failing_gates

_REPORTS = {
    "validate": ("reports/validation.html", "reports/validation.json"),
    "risk": ("reports/risk.html", "reports/risk.json"),
    "scan": ("reports/scan.json",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOutcome:
    """What a build did: the state of each stage, the exit code of the stage that ended it, reports to read."""

    stages: dict[str, str]
    exit_code: int
    verdict: str
    reports: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.exit_code == 0,
            "stages": self.stages,
            "verdict": self.verdict,
            "reports": list(self.reports),
        }


def build(workspace: Workspace, *, workers: int | None = None, quiet: bool = False) -> BuildOutcome:
    """Runs what has changed.

    Raises `ConfigurationError`, `InputError`, `KeyFileError` or `ToolError` when it cannot start.
    """
    # What can be known before DVC starts is said before it: a wrong schema or source folder in one clear line.
    refuse_undecided(workspace.schemas)
    check_policies(workspace.schemas, workspace.params.raw["profiles"])
    refuse_tables_without_persons(workspace.schemas, workspace.params.links)
    list_source(workspace)
    refuse_other_pseudonyms(workspace)
    if not (workspace.root / ".dvc").is_dir():
        raise ConfigurationError(
            "the workspace", "is not under DVC", "Run 'sensai-release init --force' on it: nothing is overwritten."
        )
    with workspace.lock():
        run = versioning.run_pipeline(workspace.root, workers=workers, quiet=quiet)
        if run.failed is None:
            note_built(workspace)
    states = {}
    for stage in versioning.STAGES:
        if stage == run.failed:
            states[stage] = "refused" if run.exit_code == 1 else "failed"
        elif stage in run.ran:
            states[stage] = "done"
        else:
            states[stage] = "not reached" if run.failed else "up to date"
    gates = _failed_gates(workspace) if run.failed is None else []
    if gates:
        states["risk"] = "refused"
    if set(run.ran) - {"intake"}:
        refused = bool(gates) or run.failed is not None
        facts = {"profile": workspace.params.profile.name, "ended_at": run.failed, "gates": gates}
        record(workspace, "build.refused" if refused else "build", facts)
    return BuildOutcome(
        stages=states,
        exit_code=1 if gates else run.exit_code,
        verdict=_refusal(gates) if gates else _verdict(run),
        reports=tuple(name for name in _reports(run) if (workspace.root / name).exists()),
    )


def _verdict(run: versioning.PipelineRun) -> str:
    if run.failed is not None:
        return f"The build ended at {run.failed}."
    worked = [stage for stage in run.ran if stage != "intake"]
    if not worked:
        return "Nothing has changed: the candidate is up to date."
    return "The candidate is ready: read the reports, then 'release VERSION'."


def _failed_gates(workspace: Workspace) -> list[str]:
    """The gates that the candidate fails. The stage only measures: a waiver can be given for what is there to see."""
    risk = read_json_object(workspace.reports / "risk.json", "reports/risk.json", "ok", "gate")
    return sorted(failing_gates(risk, waiver_required=False)) or ([] if risk["ok"] else ["risk"])


def _refusal(gates: list[str]) -> str:
    return f"The candidate fails {', '.join(gates)}: read reports/risk.html; 'release' refuses it without a waiver."


def _reports(run: versioning.PipelineRun) -> tuple[str, ...]:
    if run.failed is not None:
        return _REPORTS.get(run.failed, ())
    return ("reports/validation.html", "reports/risk.html", "work/datasheet/datasheet.html")


def status(workspace: Workspace) -> dict[str, Any]:
    """Which stages a build would run again, the releases that lie here, and how they stand by the status document.

    A stage that reads what one of these writes `may run`: it does when that comes out different.
    The document is the workspace's own, as it lies there: 'verify --status' is what checks one.
    """
    stale = versioning.changed_stages(workspace.root)
    if source_changed(workspace) and "validate" not in stale:
        stale.insert(0, "validate")
    states = dict.fromkeys(versioning.following_stages(workspace.root, stale), "may run")
    states |= dict.fromkeys(stale, "would run")
    names = [path.name for _, path in earlier_releases(workspace)]
    document, stated = stated_standing(workspace)
    return {
        "stages": {stage: states.get(stage, "up to date") for stage in versioning.STAGES if stage != "intake"},
        "releases": names,
        "standing": {name: stated[name].to_dict() if name in stated else None for name in names},
        "status_document": document and {"version": document.version, "expires": document.expires.isoformat()},
    }


def source_changed(workspace: Workspace) -> bool:
    """True when the source folder is no longer as the last build saw it."""
    try:
        known = read_json_object(workspace.work / "intake.json", "work/intake.json")
    except ReleaseFormatError:
        return True
    return bool(known != intake_document(workspace))


def locate(workspace: Workspace, place: str) -> str:
    """The name, below the source folder, of a file that a report calls `place`."""
    pattern, _, number = place.rpartition("#")
    if number.isdigit() and pattern == "unclaimed":
        names = unclaimed_paths(workspace)
        if 1 <= int(number) <= len(names):
            return names[int(number) - 1]
    for files in list_source(workspace).files.values():
        for file in files:
            if file.place == place:
                return file.path.relative_to(workspace.source).as_posix()
    raise ConfigurationError("PLACE", "names no file of the source folder", "Copy it from the report, in quotes.")
