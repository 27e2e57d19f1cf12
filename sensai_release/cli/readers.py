"""The commands of those who receive or audit a release: verify, diff, explain. They never write to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from sensai_release.cli.render import Screen
from sensai_release.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    for command in (verify, diff, explain):
        app.command()(command)


def verify(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A release directory.")],
    trust: Annotated[Path | None, typer.Option("--trust", metavar="FILE", help="Whose signatures you accept.")] = None,
    integrity_only: Annotated[
        bool, typer.Option("--integrity-only", help="Accept an unknown signer: only the bytes are checked.")
    ] = False,
    status: Annotated[
        Path | None, typer.Option("--status", metavar="FILE", help="The newest status document of the series.")
    ] = None,
    require_current: Annotated[
        bool, typer.Option("--require-current", help="Only the verdict 'valid and current' is good enough.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Count the numbers of the datasheet and the risk report anew.")
    ] = False,
) -> int:
    """Check a release: signatures, file set, checksums, tables, freshness. Offline; writes nothing into it."""
    from sensai_release.release.trust import load_trust
    from sensai_release.release.verify import StatusFile, verify_release

    screen: Screen = context.obj
    known = load_trust(trust) if trust is not None else None
    document, notes = None, []
    if status is not None:
        from sensai_release.pipeline.standing import highest_seen
        from sensai_release.release.status import read_status

        if known is None:
            raise ConfigurationError("--status", "means nothing without a trust file", "Name one with --trust.")
        seen, note = highest_seen(known)
        document, notes = StatusFile(data=read_status(status), seen=seen), [note]
    with screen.progress("Hashing") as progress:
        report = verify_release(
            path,
            trust=known,
            integrity_only=integrity_only,
            on_progress=progress,
            today=datetime.now(UTC).date(),
            status=document,
            require_current=require_current,
            deep=_deep if deep else None,
        )
    if known is not None and document is not None:
        from sensai_release.pipeline.standing import remember

        notes.append(remember(known, report, path))
        report = replace(report, notes=(*report.notes, *filter(None, notes)))
    screen.document(report.to_dict())
    screen.table(
        "Verification",
        ("step", "what", "ok"),
        [(step.step, step.name, "not run" if step.skipped and step.ok else step.ok) for step in report.steps],
    )
    screen.table(
        "Problems",
        ("step", "code", "file", "what was found"),
        [(step.step, p.code, p.path, p.message) for step in report.steps for p in step.problems[:20]],
    )
    for note in report.notes:
        screen.say(note)
    if report.release is not None:
        by = f", signed by {', '.join(report.signers)}" if report.signers else ""
        screen.say(f"By its manifest this is {report.release}{by}.")
    screen.verdict(f"{report.verdict}: {report.explanation}" if report.explanation else report.verdict, ok=report.ok)
    return 0 if report.ok else 1


def _deep(path: Path) -> list[tuple[str, str, str]]:
    from sensai_release.pipeline.deep import deep_faults

    return deep_faults(path)


def diff(
    context: typer.Context,
    old: Annotated[
        Path | None, typer.Argument(metavar="[OLD]", help="The earlier release; by default the workspace's last one.")
    ] = None,
    new: Annotated[
        Path | None, typer.Argument(metavar="[NEW]", help="The later release; by default the workspace's candidate.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page.")] = None,
) -> int:
    """What changed between two releases, without any person's values; counts under 10 persons are masked."""
    from sensai_release.pipeline import comparing

    screen: Screen = context.obj
    if old is not None and new is not None:
        document = comparing.compare(old, new, html=html)
    else:
        from sensai_release.pipeline.workspace import open_workspace

        document = comparing.compare_candidate(open_workspace(screen.root), old, html=html)
    screen.document(document)
    _show_people(screen, document)
    screen.table(
        "Tables",
        ("table", "rows added", "rows removed", "cells changed", "columns added", "columns removed"),
        [
            (
                name,
                table["rows_added"],
                table["rows_removed"],
                ", ".join(f"{column}: {count}" for column, count in table["cells_changed"].items()),
                ", ".join(table["columns_added"]),
                ", ".join(table["columns_removed"]),
            )
            for name, table in document["tables"].items()
        ],
    )
    screen.table(
        "Files",
        ("change", "files"),
        [
            (kind.replace("_", " "), len(found) if isinstance(found, list) else found)
            for kind, found in document["files"].items()
        ],
    )
    _show_findings(screen, document)
    identical, altered = bool(document["identical"]), [n for n, ok in document["intact"].items() if ok is False]
    for name in altered:
        screen.say(f"  {name.upper()} is not intact: it does not hold what was signed. Run 'verify' on it.")
    screen.verdict("Identical." if identical else "Different.", ok=identical and not altered)
    if html is not None:
        screen.say(f"  {html}")
    return 0 if identical and not altered else 1


def _show_people(screen: Screen, document: Mapping[str, Any]) -> None:
    reasons = ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in (document["reasons"] or {}).items())
    screen.table(
        "Persons and sessions",
        ("what", "added", "removed", "reasons"),
        [
            (name, document[name]["added"], document[name]["removed"], reasons if name == "participants" else "")
            for name in ("participants", "sessions")
            if document[name]
        ],
    )


def _show_findings(screen: Screen, document: Mapping[str, Any]) -> None:
    screen.table(
        "Policy",
        ("table", "column", "what", "old", "new", "tells more"),
        [
            (
                *(change[key] for key in ("table", "column", "field", "old", "new")),
                "yes" if change["loosened"] else "no",
            )
            for change in document["policy"]
        ],
    )
    shifted = [entry for entry in document["shifts"]["columns"] if entry["shifted"]]
    screen.table(
        "Distributions that shifted",
        ("column", "measure", "effect", "p (Holm)"),
        [(f"{e['table']}.{e['column']}", e["measure"].replace("_", " "), e["effect"], e["p_holm"]) for e in shifted],
    )
    if document["attack"] is not None:
        screen.table(
            "What both releases tell together",
            ("code", "where", "persons", "what was found"),
            [
                (entry["code"], entry["table"] or entry["column"], entry["count"], entry["message"])
                for entry in document["attack"]["findings"]
            ],
        )


def explain(
    context: typer.Context,
    column: Annotated[str, typer.Argument(metavar="TABLE.COLUMN", help="A column of a release or of the source.")],
) -> None:
    """Where a column comes from, the rule it falls under, why, and what the rule did to it."""
    from sensai_release.pipeline.explaining import explain as run
    from sensai_release.pipeline.explaining import flat
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    document = run(open_workspace(screen.root), column)
    screen.document(document)
    screen.table(f"{document['table']}.{document['name']}", ("what", "answer"), list(flat(document)))
