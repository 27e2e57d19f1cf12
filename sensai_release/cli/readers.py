"""The commands of those who receive or audit a release: verify, diff, explain. They never write to it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sensai_release.cli.render import Screen


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
) -> int:
    """Check a release: signatures, file set, checksums, tables. Offline; writes nothing."""
    from sensai_release.release.trust import load_trust
    from sensai_release.release.verify import verify_release

    screen: Screen = context.obj
    known = load_trust(trust) if trust is not None else None
    today = datetime.now(UTC).date()
    with screen.progress("Hashing") as progress:
        report = verify_release(path, trust=known, integrity_only=integrity_only, on_progress=progress, today=today)
    screen.document(report.to_dict())
    screen.table("Verification", ("step", "what", "ok"), [(step.step, step.name, step.ok) for step in report.steps])
    screen.table(
        "Problems",
        ("step", "code", "file", "what was found"),
        [(step.step, p.code, p.path, p.message) for step in report.steps for p in step.problems[:20]],
    )
    screen.verdict(f"{report.verdict}: {report.explanation}" if report.explanation else report.verdict, ok=report.ok)
    return 0 if report.ok else 1


def diff(
    context: typer.Context,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The earlier release.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The later release.")],
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page.")] = None,
) -> int:
    """What changed between two releases, without any person's values; counts under 10 persons are masked."""
    from sensai_release.pipeline import describe

    screen: Screen = context.obj
    document = describe.compare(old, new, html=html)
    screen.document(document)
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
    identical = bool(document["identical"])
    screen.verdict("Identical." if identical else "Different.", ok=identical)
    if html is not None:
        screen.say(f"  {html}")
    return 0 if identical else 1


def explain(
    context: typer.Context,
    column: Annotated[str, typer.Argument(metavar="TABLE.COLUMN", help="A released column.")],
) -> None:
    """Where a released column comes from, the rule that made it, and why it may leave."""
    from sensai_release.pipeline.describe import explain as run
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    entry = run(open_workspace(screen.root), column)
    screen.document(entry)
    screen.table(column, ("what", "answer"), [(key, value) for key, value in entry.items() if value is not None])
