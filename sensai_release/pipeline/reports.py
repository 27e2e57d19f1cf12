"""The reports of a workspace: JSON for scripts, a page for people, and the few numbers that DVC follows.

The steward's own reports stay in reports/. What of them goes into a release is `describe`'s to choose.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from sensai_release.pipeline.source import workspace_secret
from sensai_release.pipeline.workspace import Workspace, write_json, write_text
from sensai_release.table.findings import ValidationReport
from sensai_release.table.synthetic import MARKER


def validation_document(workspace: Workspace, report: ValidationReport) -> dict[str, Any]:
    """The report as JSON-ready data, held against its published schema (`release/validation.schema.json`)."""
    import jsonschema

    document = report.to_dict() | {"synthetic": is_synthetic(workspace)}
    text = files("sensai_release.release").joinpath("validation.schema.json").read_text(encoding="utf-8")
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(json.loads(text)).iter_errors(document))
    if error is not None:
        # Scripts rely on the schema, so a report that breaks it is a bug. The path holds names and numbers only.
        raise AssertionError(f"the validation report breaks its own schema at {list(error.absolute_path)}") from None
    return document


def write_validation(workspace: Workspace, document: Mapping[str, Any], *, only: str | None = None) -> list[str]:
    """Writes reports/validation.json and .html, and the metrics; for one table alone reports/validation-<table>.*.

    The report of all tables also leaves its keyed digest in work/validation.json, on which later stages depend.
    `document` comes from `validation_document`.
    """
    from sensai_release.release.pages import render_page

    name = "validation" if only is None else f"validation-{only}"
    write_json(workspace.reports / f"{name}.json", document)
    page = render_page(
        "validation.html.j2", report=document, synthetic=document["synthetic"], study=workspace.params.study
    )
    write_text(workspace.reports / f"{name}.html", page)
    if only is None:
        # No rows of the source here: beside the rows of the candidate they would tell who was left out.
        metrics = {
            "errors": sum(finding["severity"] == "error" for finding in document["findings"]),
            "warnings": sum(finding["severity"] == "warning" for finding in document["findings"]),
            "tables": len(document["tables"]),
        }
        write_json(workspace.reports / "metrics" / "validation.json", metrics)
        # What DVC follows: the report's own size, which it would store, grows with every recording.
        content = json.dumps(document, sort_keys=True).encode()
        state = hmac.new(workspace_secret(workspace), content, hashlib.sha256).hexdigest()
        write_json(workspace.work / "validation.json", {"state": state})
    return [f"reports/{name}.html", f"reports/{name}.json"]


def write_risk(workspace: Workspace, document: Mapping[str, Any]) -> list[str]:
    """Writes reports/risk.json and .html, and the metrics."""
    from sensai_release.pipeline.built import RISK, note_made
    from sensai_release.release.pages import render_page
    from sensai_release.release.published import published_risk

    write_json(workspace.reports / "risk.json", document)
    note_made(workspace, RISK)
    page = render_page("risk.html.j2", report=document, synthetic=is_synthetic(workspace), study=workspace.params.study)
    write_text(workspace.reports / "risk.html", page)
    # Metrics lie in git beside those of every other revision.
    shown = published_risk(document, minimum=workspace.params.masking_minimum)
    write_json(
        workspace.reports / "metrics" / "risk.json",
        {
            "passed": document["ok"],
            "persons": shown["persons"],
            "gate": {gate["name"]: gate["value"] for gate in shown["gate"]},
        },
    )
    return ["reports/risk.html", "reports/risk.json"]


def is_synthetic(workspace: Workspace) -> bool:
    return (workspace.source / MARKER).is_file()
