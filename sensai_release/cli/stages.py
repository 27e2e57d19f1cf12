"""The pipeline's steps as commands: dvc.yaml calls each of them, and a steward may."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from sensai_release.cli.render import Screen, passed
from sensai_release.errors import ConfigurationError

NAMES = frozenset({"intake", "validate", "pseudonymise", "deidentify", "risk", "datasheet", "package", "scan"})

Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Worker processes (default: all processors).")]


def register(app: typer.Typer) -> None:
    app.command()(validate)
    app.command()(risk)
    app.command()(datasheet)
    app.command()(scan)
    for command in (intake, pseudonymise, deidentify, package):
        app.command(hidden=True)(command)


def note(stage: str, code: int) -> None:
    """Tells the `build` that started this stage how it ended."""
    from sensai_release.pipeline.versioning import note_stage

    note_stage(stage, code)


def intake(context: typer.Context) -> None:
    """Note the keyed state of the source folder, and which root key is in use (a stage of the pipeline)."""
    from sensai_release.pipeline import source
    from sensai_release.pipeline.pseudonymise import note_key
    from sensai_release.pipeline.series import note_series
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    workspace = open_workspace(screen.root)
    source.intake(workspace)
    note_key(workspace)
    note_series(workspace)
    screen.document({"ok": True})


def validate(
    context: typer.Context,
    table: Annotated[str | None, typer.Option("--table", help="Only this table; no rules across tables.")] = None,
    data_docs: Annotated[
        bool, typer.Option("--data-docs", help="Also Great Expectations' Data Docs, in work/: for your machine alone.")
    ] = False,
    jobs: Jobs = None,
) -> int:
    """Check the source tables against their schemas; report every finding, never a value."""
    from sensai_release.pipeline import reports
    from sensai_release.pipeline.units import worker_count
    from sensai_release.pipeline.validate import validate as run
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    workspace = open_workspace(screen.root)
    with screen.progress("Validating recordings") as progress:
        report = run(workspace, only=table, workers=worker_count(jobs), on_progress=progress)
    document = reports.validation_document(workspace, report)
    written = reports.write_validation(workspace, document, only=table)
    screen.document(document)
    screen.table(
        "What came in",
        ("table", "files", "rows", "columns read", "left unread"),
        [(count.table, count.files, count.rows, count.columns_read, count.columns_dropped) for count in report.tables],
    )
    for finding in report.findings[:40]:
        place = [finding.table, finding.file, finding.column, f"row {finding.row}" if finding.row else None]
        screen.say(f"{finding.severity}: {finding.code}: {', '.join(filter(None, place))} ({finding.count})")
        screen.say(f"    {finding.message}")
    if len(report.findings) > 40:
        screen.say(f"... and {len(report.findings) - 40} more findings in the report.")
    errors = sum(finding.severity == "error" for finding in report.findings)
    screen.verdict("Valid." if report.ok else f"Not valid: {errors} finding(s) to settle.", ok=report.ok)
    for path in written:
        screen.say(f"  {path}")
    if data_docs:
        # Last, so that all findings are told even when no table is there to make Data Docs of.
        from sensai_release.pipeline.datadocs import write_data_docs

        screen.say(f"  {write_data_docs(workspace, only=table, synthetic=reports.is_synthetic(workspace))}")
    if any(finding.code == "file.refused" for finding in report.findings):
        return 2
    return 0 if report.ok else 1


def pseudonymise(context: typer.Context) -> None:
    """Replace identifiers by keyed pseudonyms; persons without consent leave (a stage of the pipeline)."""
    from sensai_release.pipeline.pseudonymise import pseudonymise as run
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    excluded = run(open_workspace(screen.root))
    screen.document({"ok": True, "excluded": excluded})
    screen.table("Persons left out", ("reason", "persons"), list(excluded.items()))


def deidentify(context: typer.Context, jobs: Jobs = None) -> None:
    """Apply the declared action to every column (a stage of the pipeline)."""
    from sensai_release.pipeline.deidentify import deidentify as run
    from sensai_release.pipeline.units import worker_count
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    with screen.progress("De-identifying recordings") as progress:
        counts = run(open_workspace(screen.root), workers=worker_count(jobs), on_progress=progress)
    screen.document({"ok": True, "rows": counts})
    screen.table("The candidate", ("released table", "rows"), list(counts.items()))


def risk(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A release or a candidate; default: this workspace's.")
    ] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Exit 0 whatever the gate says; 'build' and 'release' ask it again.")
    ] = False,
) -> int:
    """Measure disclosure risk, counted in persons, and hold it against the gate."""
    from sensai_release.pipeline import reports
    from sensai_release.pipeline import risk as risks
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    if path is None:
        workspace = open_workspace(screen.root)
        document = risks.assess(workspace)
        written = reports.write_risk(workspace, document)
    else:
        document = risks.assess_release(path)
        written = []
    gates = risks.all_gates(document)
    screen.document({**document, "gate": gates})
    screen.table(
        "Disclosure risk: the gates",
        ("measure", "value", "limit", "passed"),
        [(gate["name"], gate["value"], gate["limit"], passed(gate)) for gate in gates],
    )
    screen.table(
        "Across releases",
        ("release", "what", "what to do"),
        [(f["release"], f["message"], f["advice"]) for f in document.get("series", {}).get("findings", ())],
    )
    ok = bool(document["ok"])
    unknown = any(passed(gate) is not gate["ok"] for gate in gates)
    good = "The gate is passed, as far as it could be assessed." if unknown else "The gate is passed."
    screen.verdict(good if ok else "Too risky: the gate is not passed.", ok=ok)
    for name in written:
        screen.say(f"  {name}")
    return 0 if ok or report_only else 1


def datasheet(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A release; default: this workspace's candidate.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check the answers and their numbers; write nothing.")] = False,
    attest: Annotated[
        str | None, typer.Option("--attest", metavar="QUESTION", help="Note that a role stands by this answer.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="ROLE", help="With --attest: the role.")] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], metavar="DATE", help="With --attest: the day (YYYY-MM-DD)."),
    ] = None,
    pdf: Annotated[
        Path | None, typer.Option("--pdf", metavar="FILE", help="Write the candidate's datasheet as PDF (extra 'pdf').")
    ] = None,
) -> int:
    """Render the datasheet of the candidate, check that of a candidate or a release, or attest an answer."""
    from sensai_release.pipeline import describe
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    _refuse_mixture(check=check, attest=attest, pdf=pdf, path=path, by=by, as_of=as_of)
    if attest is not None and by is not None and as_of is not None:
        note = describe.attest_answer(open_workspace(screen.root), attest, by=by, as_of=as_of.date())
        screen.document({"ok": True, **note})
        screen.say(f"{attest} is attested by the {by}. Build again, so that the datasheet says so.")
        return 0
    if pdf is not None:
        describe.write_pdf(open_workspace(screen.root), pdf)
        screen.document({"ok": True, "pdf": str(pdf)})
        screen.say(f"Written: {pdf}")
        return 0
    if path is None and not check:
        summary = describe.write_datasheet(open_workspace(screen.root))
        screen.document({"ok": True, **summary})
        screen.say("Datasheet: " + ", ".join(f"{count} {kind}" for kind, count in summary["answers"].items()))
        if summary["findings"]:
            screen.say(f"{len(summary['findings'])} finding(s) stop a release: 'sensai-release datasheet --check'.")
        return 0
    findings = describe.check_answers(open_workspace(screen.root)) if path is None else describe.check_datasheet(path)
    ok = not any(finding["severity"] == "error" for finding in findings)
    known = [f for f in findings if f["code"] == "datasheet.open" and f["severity"] == "warning"]
    screen.document({"ok": ok, "findings": findings})
    screen.table(
        "Datasheet",
        ("code", "question", "where", "what to do"),
        [(f["code"], f["column"], f["file"], f["message"]) for f in findings if f not in known],
    )
    if known:
        screen.say(f"Open, knowingly (params.yaml says why): {', '.join(f['column'] for f in known)}")
    screen.verdict("The datasheet holds." if ok else "The datasheet does not hold.", ok=ok)
    return 0 if ok else 1


def _refuse_mixture(
    *,
    check: bool,
    attest: str | None,
    pdf: Path | None,
    path: Path | None,
    by: str | None,
    as_of: datetime | None,
) -> None:
    if check + (attest is not None) + (pdf is not None) > 1:
        raise ConfigurationError("--check, --attest and --pdf", "go one at a time", "Give one of them.")
    if path is not None and (attest is not None or pdf is not None):
        raise ConfigurationError("PATH", "goes with --check only", "Leave it out: the candidate is meant.")
    if (attest is None) != (by is None) or (attest is None) != (as_of is None):
        raise ConfigurationError("--attest, --by and --as-of", "go together", "Give all three of them.")


def package(context: typer.Context) -> int:
    """Assemble the payload of a release behind the second gate (a stage of the pipeline)."""
    from sensai_release.pipeline import describe
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    workspace = open_workspace(screen.root)
    findings = describe.package(workspace)
    unstated = [] if findings else describe.unstated(workspace)
    screen.document({"ok": not findings, "findings": findings, "unstated": unstated})
    screen.table(
        "Second gate over the candidate",
        ("code", "table", "column", "count"),
        [(f["code"], f["table"], f["column"], f["count"]) for f in findings],
    )
    if findings:
        screen.verdict("The second gate refuses the candidate.", ok=False)
    if unstated:
        screen.say("Catalogues ask for what params.yaml does not state under `catalogue` (left out, not made up):")
        for fact in unstated:
            screen.say(f"  {fact}")
    return 1 if findings else 0


def scan(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A file or a folder; default: what this workspace releases.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--source", metavar="DIR", help="The source folder whose identifiers to look for.")
    ] = None,
) -> int:
    """Look for identifiers, names, numbers and paths of people in every byte; show what kind, never what."""
    from sensai_release.pipeline import scan as scanning
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    if path is None and source is not None:
        raise ConfigurationError("--source", "goes with a PATH", "Name the file or folder to scan.")
    with screen.progress("Scanning files") as progress:
        if path is None:
            document = scanning.scan_workspace(open_workspace(screen.root), on_progress=progress)
        else:
            inside = (screen.root / "params.yaml").is_file()
            workspace = open_workspace(screen.root) if inside else None
            document = scanning.scan_path(path, workspace=workspace, source=source, on_progress=progress)
    screen.document(document)
    screen.table(
        "Leak scan",
        ("severity", "code", "file", "column", "count"),
        [(f["severity"], f["code"], f["file"], f["column"], f["count"]) for f in document["findings"]],
    )
    if not document["canaries"]:
        screen.say("No source folder is at hand: only forms were looked for, no identifiers of the study.")
    if document["identifiers_too_short"]:
        screen.say("Some identifiers have fewer than four characters: they cannot be told from chance.")
    ok = bool(document["ok"])
    screen.verdict("No leak was found." if ok else "A leak was found: nothing can be released from this.", ok=ok)
    return 0 if ok else 1
