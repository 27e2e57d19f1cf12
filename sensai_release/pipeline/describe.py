"""What people read about a candidate or a release: the datasheet, the payload, the difference.

Gathers facts and texts and puts them in place; how each is made is for `release`. What goes from the steward's own
reports into a release is chosen here, and holds no row number, no file and no count that would tell who was left out.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from sensai_release.errors import ConfigurationError, GateError
from sensai_release.pipeline.built import DATASHEET, PACKAGE, note_made
from sensai_release.pipeline.logbook import record
from sensai_release.pipeline.reports import is_synthetic
from sensai_release.pipeline.risk import POLICY
from sensai_release.pipeline.workspace import Workspace, fresh_folder, write_json, write_text
from sensai_release.privacy.masking import rounded
from sensai_release.release.comparison.diff import ReleaseDiff, restate
from sensai_release.release.datasheet.answers import load_answers, questions
from sensai_release.release.datasheet.attestation import attest, load_attestations
from sensai_release.release.datasheet.check import check_datasheet as check
from sensai_release.release.datasheet.facts import Facts, compute_facts, study_context
from sensai_release.release.datasheet.pages import (
    render_card_html,
    render_card_markdown,
    render_html,
    render_markdown,
    render_pdf,
)
from sensai_release.release.datasheet.sheet import Datasheet, build_datasheet
from sensai_release.release.documents import expecting_shape
from sensai_release.release.manifest import check_schema
from sensai_release.release.metadata import Description, describe_release, documents, gaps
from sensai_release.release.pages import render_page
from sensai_release.release.publish import write_atomic
from sensai_release.release.published import published_risk
from sensai_release.release.readme import render_readme
from sensai_release.release.tables import ReleasedTables, load_dictionaries, read_json_object
from sensai_release.release.waivers import Waiver

PAYLOAD = "payload.json"
"""What the package knows of itself until it is sealed: the manifest's predicate but for the version."""

# Without these, a document is none of ours; the rest of it is for the pages to print.
RISK_KEYS = ("ok", "gate", "k", "k_min", "persons", "attributes", "generalisation")
POLICY_KEYS = ("profile", "k", "max_suppressed", "columns", "dropped", "generalisation", "pseudonym_key")


def write_datasheet(workspace: Workspace) -> dict[str, Any]:
    """Answers the datasheet's questions for the candidate; returns how many answers are of each kind."""
    sheet = _datasheet(workspace, workspace.candidate, version=None)
    with fresh_folder(workspace.datasheet) as folder:
        _write_datasheet_files(folder, sheet, workspace.params.study)
    note_made(workspace, DATASHEET)
    kinds: dict[str, int] = {}
    for answer in sheet.answers:
        kinds[answer.kind] = kinds.get(answer.kind, 0) + 1
    unsettled = [finding.to_dict() for finding in check(sheet) if finding.severity == "error"]
    return {"answers": dict(sorted(kinds.items())), "open": list(sheet.open_questions), "findings": unsettled}


def check_datasheet(folder: Path) -> list[dict[str, Any]]:
    """What is wrong with the datasheet of a payload or a release; its numbers are counted again from the tables."""
    sheet = Datasheet.from_dict(read_json_object(folder / "datasheet.json", "datasheet.json"))
    with expecting_shape("datasheet.json or reports/risk.json", "Take a fresh copy of the release, or build again."):
        facts = _facts(folder, folder / "reports" / "risk.json", sheet.facts.context, sheet.facts.minimum)
        return [finding.to_dict() for finding in check(sheet, facts)]


def check_answers(workspace: Workspace) -> list[dict[str, Any]]:
    """What is wrong with the answers as they stand now, held against the candidate, built since or not.

    And the numbers of the package, where there is one: it may be older than the candidate.
    """
    sheet = _datasheet(workspace, workspace.candidate, version=None)
    found = [finding.to_dict() for finding in check(sheet)]
    if not (workspace.package / "datasheet.json").exists():
        return found
    return found + [old for old in check_datasheet(workspace.package) if old["code"] == "datasheet.number"]


def refuse_unsettled(folder: Path) -> None:
    """The gate of the datasheet. Raises `GateError` naming the questions that stop a release (`datasheet.check`)."""
    sheet = Datasheet.from_dict(read_json_object(folder / "datasheet.json", "datasheet.json"))
    stopped: dict[str, list[str]] = {}
    for finding in check(sheet):
        if finding.severity == "error":
            what = finding.code.split(".")[1].replace("_", " ")
            stopped.setdefault(what, []).append(str(finding.column))
    if stopped:
        named = "; ".join(f"{what}: {', '.join(dict.fromkeys(ids))}" for what, ids in sorted(stopped.items()))
        cure = "'sensai-release datasheet --check' says how to settle each; then build again."
        raise GateError("the datasheet", f"has answers that stop a release ({named})", cure)


def attest_answer(workspace: Workspace, question: str, *, by: str, as_of: date) -> dict[str, Any]:
    """Notes in datasheets/attested.json and in the governance log that a role stands by an answer, for the facts of the
    candidate.

    Raises `ConfigurationError` for an unknown question, an answer that is not attested, or another role.
    """
    if question not in {known.id for known in questions()}:
        raise ConfigurationError("--attest", "names no question", "Questions have ids such as M1 or C14.")
    sheet = _datasheet(workspace, workspace.candidate, version=None)
    answer = next(answer for answer in sheet.answers if answer.question == question)
    note = attest(answer, sheet.facts, by=by, as_of=as_of.isoformat())
    folder = workspace.root / "datasheets"
    with workspace.lock():
        held = {**load_attestations(folder), question: note.to_dict()}
        write_json(folder / "attested.json", {"attested": dict(sorted(held.items()))})
        record(workspace, "attest", {"question": question, "role": by, "digest": note.digest})
    return {"question": question, "by": by, "as_of": note.as_of, "digest": note.digest, "facts": list(note.facts)}


def write_pdf(workspace: Workspace, path: Path) -> None:
    """The candidate's datasheet as PDF, beside the release and no part of it (extra `pdf`)."""
    write_atomic(path, render_pdf(_datasheet(workspace, workspace.candidate, version=None)))


def package(workspace: Workspace) -> list[dict[str, Any]]:
    """Assembles work/package; returns the findings of the second gate, and leaves no package when there are any."""
    from sensai_release.release.gate import check_candidate

    dictionaries = load_dictionaries(workspace.candidate / "schemas")
    findings = [finding.to_dict() for finding in check_candidate(workspace.candidate / "data", dictionaries)]
    if findings:
        shutil.rmtree(workspace.package, ignore_errors=True)
        return findings
    # A candidate that fails the risk gate is packaged all the same: a waiver is for these bytes, and `release` asks.
    risk = read_json_object(workspace.reports / "risk.json", "reports/risk.json", *RISK_KEYS)
    check_schema(risk, "risk.schema.json", "reports/risk.json")
    profile, minimum = workspace.params.profile, workspace.params.masking_minimum
    risk = published_risk(risk, max_suppressed=profile.max_suppressed, minimum=minimum)
    synthetic = is_synthetic(workspace)
    with fresh_folder(workspace.package) as folder:
        for part in ("data", "schemas"):
            shutil.copytree(workspace.candidate / part, folder / part)
        shutil.copytree(workspace.datasheet, folder, dirs_exist_ok=True)
        shutil.copyfile(workspace.root / "datasheets" / "terms.md", folder / "TERMS.md")
        reports = folder / "reports"
        reports.mkdir()
        policy = read_json_object(workspace.candidate / POLICY, POLICY, *POLICY_KEYS)
        read_json_object(folder / "datasheet.json", "work/datasheet/datasheet.json", "answers", "facts")
        _write_report(reports, "policy", policy, workspace, synthetic=synthetic)
        _write_report(reports, "risk", risk, workspace, synthetic=synthetic)
        _write_report(reports, "validation", _public_validation(workspace, synthetic), workspace, synthetic=synthetic)
        predicate = _predicate(workspace, folder, risk, synthetic=synthetic)
        write_json(folder / PAYLOAD, {"predicate": predicate})
    note_made(workspace, PACKAGE, inputs=True)
    return []


def finish_payload(
    folder: Path,
    workspace: Workspace,
    predicate: Mapping[str, Any],
    previous: Path | None,
    difference: ReleaseDiff | None,
) -> None:
    """Adds what depends on the version: datasheet, README.md, metadata, and the difference from the release before.

    `difference` is the candidate's, with counts rounded down.
    """
    study = workspace.params.study
    _write_datasheet_files(folder, _datasheet(workspace, folder, version=str(predicate["version"])), study)
    dictionaries = load_dictionaries(folder / "schemas")
    name = f"{predicate['series']}-{predicate['version']}"
    params = workspace.params
    text = render_readme(
        name, str(study["title"]), predicate, dictionaries, terms=params.terms, public=params.recipients == "public"
    )
    write_text(folder / "README.md", text)
    if previous is not None and difference is not None:
        told = restate(difference, previous, folder, version=str(predicate["version"])).to_dict()
        # Files are for whoever holds both releases to compare: this one is not complete yet.
        told = {key: value for key, value in told.items() if key != "files"}
        _write_report(folder / "reports", "diff", told, workspace, synthetic=bool(predicate["synthetic"]))
    (folder / "metadata").mkdir()
    for path, text in documents(catalogue_facts(folder, workspace, predicate)).items():
        write_text(folder / path, text)


def catalogue_facts(folder: Path, workspace: Workspace, predicate: Mapping[str, Any]) -> Description:
    """What catalogues are told of a payload: params.yaml, the predicate, the datasheet and the data dictionaries."""
    params = workspace.params
    return describe_release(
        folder,
        study=params.study,
        catalogue=params.catalogue,
        predicate=predicate,
        recipients=params.recipients,
        records=params.session_table,
    )


def unstated(workspace: Workspace) -> list[str]:
    """What catalogue standards demand of every release and params.yaml does not say; reads work/package."""
    payload = read_json_object(workspace.package / PAYLOAD, f"work/package/{PAYLOAD}", "predicate")
    predicate = payload["predicate"] | {"version": "0.0.0"}
    return [str(gap) for gap in gaps(catalogue_facts(workspace.package, workspace, predicate)) if not gap.of_version]


def write_waivers_page(
    folder: Path, workspace: Workspace, waivers: Sequence[Waiver], predicate: Mapping[str, Any]
) -> None:
    """Adds reports/waivers.html, and says in reports/risk.html that waivers are in force."""
    reports, synthetic, study = folder / "reports", bool(predicate["synthetic"]), workspace.params.study
    shown = {"name": f"{predicate['series']}-{predicate['version']}", "waivers": [item.to_dict() for item in waivers]}
    page = render_page("waivers.html.j2", report=shown, synthetic=synthetic, study=study)
    write_text(reports / "waivers.html", page)
    risk = read_json_object(reports / "risk.json", "risk.json", *RISK_KEYS) | {
        "waived": [item.gate for item in waivers]
    }
    write_text(reports / "risk.html", render_page("risk.html.j2", report=risk, synthetic=synthetic, study=study))


def _datasheet(workspace: Workspace, folder: Path, *, version: str | None) -> Datasheet:
    if version is None and not folder.exists():
        raise ConfigurationError("the candidate", "is not there", "Build it first: 'sensai-release build'.")
    risk = workspace.reports / "risk.json" if version is None else folder / "reports" / "risk.json"
    facts = _facts(folder, risk, study_context(workspace.params.raw), workspace.params.masking_minimum)
    return build_datasheet(
        load_answers(workspace.root / "datasheets"),
        facts,
        title=str(workspace.params.study["title"]),
        synthetic=is_synthetic(workspace),
        version=version,
        knowingly_open=workspace.params.raw["datasheet"]["open"],
        attested=load_attestations(workspace.root / "datasheets"),
    )


def _facts(folder: Path, risk: Path, context: Mapping[str, Any], minimum: int) -> Facts:
    tables = ReleasedTables(folder / "data", load_dictionaries(folder / "schemas"))
    report = read_json_object(risk, "risk.json", "ok", "k_min")
    return compute_facts(tables, context=context, risk=report, minimum=minimum)


def _write_datasheet_files(folder: Path, sheet: Datasheet, study: Mapping[str, Any]) -> None:
    write_text(folder / "DATASHEET.md", render_markdown(sheet))
    write_json(folder / "datasheet.json", sheet.to_dict())
    write_text(folder / "datasheet.html", render_html(sheet, study=study))
    write_text(folder / "CARD.md", render_card_markdown(sheet))
    write_text(folder / "card.html", render_card_html(sheet, study=study))


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
    report = read_json_object(
        workspace.reports / "validation.json", "reports/validation.json", "ok", "findings", "tables"
    )
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
                # Cells, not persons: a number of them could be one person's, and two such numbers subtracted.
                "count": f"<{minimum}" if 0 < count < minimum else f">={minimum}" if count else 0,
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
    policy = read_json_object(folder / "reports" / POLICY, POLICY, *POLICY_KEYS)
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
            "persons": rounded(len(tables.everyone()), minimum),
            "rows": {name: tables.masked_rows(name, minimum) for name in tables.names},
        },
    }
