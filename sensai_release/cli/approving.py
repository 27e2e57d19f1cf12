"""The command of the second person: approve."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensai_release.cli.render import Screen
from sensai_release.errors import ConfigurationError, GateError

if TYPE_CHECKING:
    from sensai_release.pipeline.approving import Review


def register(app: typer.Typer) -> None:
    app.command()(approve)


def approve(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A release directory.")],
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The reviewer's private key file.")] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", metavar="FILE", help="Whose signature as steward you accept.")
    ] = None,
) -> None:
    """Show a reviewer what a release changes, and sign it as the second person."""
    from sensai_release.pipeline import approving
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    workspace = open_workspace(screen.root) if (screen.root / "params.yaml").is_file() else None
    today = datetime.now(UTC).date()
    try:
        with screen.progress("Hashing") as progress:
            shown = approving.review(path, trust=trust, today=today, on_progress=progress)
    except GateError as error:
        approving.refused(workspace, path, error)
        raise
    _show(screen, shown)
    _ask(screen)
    done = approving.approve(path, shown, key=key, trust=trust, workspace=workspace, today=today)
    screen.document({"ok": True, **shown.to_dict(), **done})
    screen.verdict(f"Approved {shown.name}: signed over manifest {shown.manifest_sha256[:16]}.", ok=True)
    if not done["logged"]:
        screen.say(f"  Send {path.name}/manifest.dsse.json back to the steward: it holds both signatures now.")


def _show(screen: Screen, shown: Review) -> None:
    screen.say(f"{shown.name}, manifest {shown.manifest_sha256}")
    if shown.previous is not None:
        screen.say(f"  follows {shown.previous['version']}, manifest {shown.previous['manifest_sha256']}")
    for note in shown.notes:
        screen.say(f"  {note}")
    screen.table(
        "Gates",
        ("gate", "of", "value", "before", "limit", "passed"),
        [
            (g["name"], g.get("scope") or g.get("table"), g["value"], g["before"], g["limit"], g["ok"])
            for g in shown.gates
        ],
    )
    if shown.difference is not None:
        screen.table(
            "What changed",
            ("table", "rows added", "rows removed", "columns added", "columns removed", "columns with changed cells"),
            [
                (
                    name,
                    table["rows_added"],
                    table["rows_removed"],
                    ", ".join(table["columns_added"]),
                    ", ".join(table["columns_removed"]),
                    len(table["cells_changed"]),
                )
                for name, table in shown.difference["tables"].items()
            ],
        )


def _ask(screen: Screen) -> None:
    """People are asked once more; a script that names the key has decided."""
    if screen.quiet or screen.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if not typer.confirm("Sign this release?", err=True):
        raise ConfigurationError("approve", "was not confirmed, so nothing was signed", "Run it again when you like.")
