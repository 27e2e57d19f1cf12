"""What people read about a candidate or a release: the datasheet, the payload, the difference, the explanation.

Gathers facts and texts and puts them in place; how each is made is for `release`. What goes from the steward's own
reports into a release is chosen here, and holds no row number, no file and no count that would tell who was left out.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensai_release import __version__
from sensai_release.errors import ConfigurationError, GateError
from sensai_release.pipeline.reports import is_synthetic
from sensai_release.pipeline.risk import POLICY
from sensai_release.pipeline.source import intake_document
from sensai_release.pipeline.workspace import TEMPLATE_PARTS, Workspace, fresh_folder, write_json, write_text
from sensai_release.privacy.masking import masked
from sensai_release.release.datasheet import (
    Datasheet,
    build_datasheet,
    load_answers,
    render_html,
    render_markdown,
)
from sensai_release.release.datasheet import (
    check_datasheet as check,
)
from sensai_release.release.diff import diff_releases
from sensai_release.release.documents import canonical_json
from sensai_release.release.facts import Facts, compute_facts, study_context
from sensai_release.release.manifest import MANIFEST
from sensai_release.release.metadata import croissant, data_package
from sensai_release.release.pages import render_page
from sensai_release.release.readme import render_readme
from sensai_release.release.tables import ReleasedTables, load_dictionaries, read_json_object

PAYLOAD = "payload.json"
"""What the package knows of itself until it is sealed: the manifest's predicate but for the version, and its inputs."""


def inputs_of(workspace: Workspace) -> dict[str, str]:
    """The state of everything that a candidate is made from, each as one digest: equal when nothing has changed."""
    digests = {"the source folder": str(intake_document(workspace)["state"]), "the tool": __version__}
    for name in TEMPLATE_PARTS:
        path = workspace.root / name
        state = hashlib.sha256()
        for file in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file()):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            state.update(f"{file.relative_to(workspace.root).as_posix()}\0{content}\n".encode())
        digests[name] = state.hexdigest()
    return digests


def write_datasheet(workspace: Workspace) -> dict[str, Any]:
    """Answers the datasheet's questions for the candidate; returns how many answers are of each kind."""
    sheet = _datasheet(workspace, workspace.candidate, version=None)
    with fresh_folder(workspace.datasheet) as folder:
        _write_datasheet_files(folder, sheet, workspace.params.study)
    kinds: dict[str, int] = {}
    for answer in sheet.answers:
        kinds[answer.kind] = kinds.get(answer.kind, 0) + 1
    return {"answers": dict(sorted(kinds.items())), "open": list(sheet.open_questions)}


def check_datasheet(folder: Path) -> list[dict[str, Any]]:
    """What is wrong with the datasheet of a payload or a release; its numbers are counted again from the tables."""
    sheet = Datasheet.from_dict(read_json_object(folder / "datasheet.json", "datasheet.json"))
    facts = _facts(folder, folder / "reports" / "risk.json", sheet.facts.context, sheet.facts.minimum)
    return [finding.to_dict() for finding in check(sheet, facts) if finding.severity == "error"]


def package(workspace: Workspace) -> list[dict[str, Any]]:
    """Assembles work/package; returns the findings of the second gate, and leaves no package when there are any."""
    from sensai_release.release.gate import check_candidate

    dictionaries = load_dictionaries(workspace.candidate / "schemas")
    findings = [finding.to_dict() for finding in check_candidate(workspace.candidate / "data", dictionaries)]
    if findings:
        shutil.rmtree(workspace.package, ignore_errors=True)
        return findings
    risk = read_json_object(workspace.reports / "risk.json", "reports/risk.json")
    if not risk["ok"]:
        raise GateError("the risk gate", "is not passed", "Read reports/risk.html and change policy or thresholds.")
    synthetic = is_synthetic(workspace)
    with fresh_folder(workspace.package) as folder:
        for part in ("data", "schemas"):
            shutil.copytree(workspace.candidate / part, folder / part)
        shutil.copytree(workspace.datasheet, folder, dirs_exist_ok=True)
        shutil.copyfile(workspace.root / "datasheets" / "terms.md", folder / "TERMS.md")
        reports = folder / "reports"
        reports.mkdir()
        shutil.copyfile(workspace.candidate / POLICY, reports / POLICY)
        _write_report(reports, "risk", risk, workspace, synthetic=synthetic)
        _write_report(reports, "validation", _public_validation(workspace, synthetic), workspace, synthetic=synthetic)
        predicate = _predicate(workspace, folder, risk, synthetic=synthetic)
        write_json(folder / PAYLOAD, {"predicate": predicate, "inputs": inputs_of(workspace)})
    return []


def finish_payload(folder: Path, workspace: Workspace, predicate: Mapping[str, Any], previous: Path | None) -> None:
    """Adds what depends on the version: datasheet, README.md, metadata, and the difference from the release before."""
    study = workspace.params.study
    _write_datasheet_files(folder, _datasheet(workspace, folder, version=str(predicate["version"])), study)
    dictionaries = load_dictionaries(folder / "schemas")
    name = f"{predicate['series']}-{predicate['version']}"
    write_text(folder / "README.md", render_readme(name, str(study["title"]), predicate, dictionaries))
    if previous is not None:
        # The difference is itself a part of the payload, so it is computed before there is a manifest to sign.
        (folder / MANIFEST).write_bytes(canonical_json({"predicate": dict(predicate)}))
        difference = diff_releases(previous, folder, minimum=workspace.params.masking_minimum).to_dict()
        (folder / MANIFEST).unlink()
        # Files are for whoever holds both releases to compare: this one is not complete yet.
        difference = {key: value for key, value in difference.items() if key != "files"}
        _write_report(folder / "reports", "diff", difference, workspace, synthetic=bool(predicate["synthetic"]))
    (folder / "metadata").mkdir()
    write_json(folder / "metadata" / "croissant.json", croissant(folder, study=study, predicate=predicate))
    # A Data Package may not point above itself, so it lies beside the data.
    write_json(folder / "datapackage.json", data_package(folder, study=study, predicate=predicate))


def compare(old: Path, new: Path, *, html: Path | None = None) -> dict[str, Any]:
    """The difference of two releases as JSON-ready data; also as a page when `html` names one."""
    document = diff_releases(old, new).to_dict()
    if html is not None:
        write_text(html, render_page("diff.html.j2", report=document, synthetic=document["synthetic"]))
    return document


def explain(workspace: Workspace, column: str) -> dict[str, Any]:
    """The data dictionary's entry of `table.column`. Raises `ConfigurationError` when no such column is released."""
    table, _, name = column.partition(".")
    dictionaries = load_dictionaries(workspace.candidate / "schemas") if workspace.candidate.is_dir() else {}
    if not dictionaries:
        raise ConfigurationError("the candidate", "is not there", "Run 'sensai-release build' first.")
    if table not in dictionaries:
        raise ConfigurationError("TABLE.COLUMN", "names no released table", f"Released: {', '.join(dictionaries)}.")
    entries = {entry["name"]: entry for entry in dictionaries[table]["columns"]}
    if name not in entries:
        raise ConfigurationError(
            "TABLE.COLUMN", f"names no released column of {table}", f"Released: {', '.join(entries)}."
        )
    return {"table": table, **entries[name]}


def _datasheet(workspace: Workspace, folder: Path, *, version: str | None) -> Datasheet:
    risk = workspace.reports / "risk.json" if version is None else folder / "reports" / "risk.json"
    facts = _facts(folder, risk, study_context(workspace.params.raw), workspace.params.masking_minimum)
    return build_datasheet(
        load_answers(workspace.root / "datasheets"),
        facts,
        title=str(workspace.params.study["title"]),
        synthetic=is_synthetic(workspace),
        version=version,
    )


def _facts(folder: Path, risk: Path, context: Mapping[str, Any], minimum: int) -> Facts:
    tables = ReleasedTables(folder / "data", load_dictionaries(folder / "schemas"))
    return compute_facts(tables, context=context, risk=read_json_object(risk, "risk.json"), minimum=minimum)


def _write_datasheet_files(folder: Path, sheet: Datasheet, study: Mapping[str, Any]) -> None:
    write_text(folder / "DATASHEET.md", render_markdown(sheet))
    write_json(folder / "datasheet.json", sheet.to_dict())
    write_text(folder / "datasheet.html", render_html(sheet, study=study))


def _write_report(
    folder: Path, name: str, document: Mapping[str, Any], workspace: Workspace, *, synthetic: bool
) -> None:
    write_json(folder / f"{name}.json", document)
    page = render_page(f"{name}.html.j2", report=document, synthetic=synthetic, study=workspace.params.study)
    write_text(folder / f"{name}.html", page)


def _public_validation(workspace: Workspace, synthetic: bool) -> dict[str, Any]:
    """The steward's validation report without rows, files and places: source counts beside released ones would tell
    how many persons were left out.
    """
    report = read_json_object(workspace.reports / "validation.json", "reports/validation.json")
    minimum = workspace.params.masking_minimum
    grouped: dict[tuple[str, str, str, str], int] = {}
    for finding in report["findings"]:
        key = (finding["severity"], finding["code"], finding["table"], finding["column"] or "")
        grouped[key] = grouped.get(key, 0) + int(finding["count"])
    return {
        "ok": report["ok"],
        "synthetic": synthetic,
        "findings": [
            {
                "severity": severity,
                "code": code,
                "table": table,
                "column": column or None,
                "file": None,
                "row": None,
                "count": masked(count, minimum),
                "message": "",
            }
            for (severity, code, table, column), count in sorted(grouped.items())
        ],
        "tables": [
            {
                "table": table["table"],
                "files": None,
                "rows": None,
                "columns_read": table["columns_read"],
                "columns_dropped": table["columns_dropped"],
            }
            for table in report["tables"]
        ],
        "columns": [],
    }


def _predicate(workspace: Workspace, folder: Path, risk: Mapping[str, Any], *, synthetic: bool) -> dict[str, Any]:
    """What the manifest will say of this payload, all but the version."""
    policy = read_json_object(folder / "reports" / POLICY, POLICY)
    minimum = workspace.params.masking_minimum
    tables = ReleasedTables(folder / "data", load_dictionaries(folder / "schemas"))
    return {
        "study": workspace.params.study["id"],
        "series": workspace.params.series,
        "profile": policy["profile"],
        "policy_sha256": hashlib.sha256((folder / "reports" / POLICY).read_bytes()).hexdigest(),
        "terms_sha256": hashlib.sha256((folder / "TERMS.md").read_bytes()).hexdigest(),
        "risk": {"ok": risk["ok"], "k_min": risk["k_min"], "gates": risk["gate"]},
        "synthetic": synthetic,
        "pseudonym_key": policy["pseudonym_key"],
        "counts": {
            "persons": masked(len(tables.everyone()), minimum),
            "rows": {name: tables.masked_rows(name, minimum) for name in tables.names},
        },
    }
