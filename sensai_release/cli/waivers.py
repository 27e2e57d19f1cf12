"""The command of a reviewer who lets one release pass a gate that it failed: waive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sensai_release.cli.days import day
from sensai_release.cli.render import Screen


def register(app: typer.Typer) -> None:
    app.command()(waive)


def waive(
    context: typer.Context,
    gate: Annotated[str, typer.Argument(metavar="GATE", help="A gate that the candidate fails.")],
    version: Annotated[str, typer.Option("--version", metavar="VERSION", help="The release it is for.")],
    reason_file: Annotated[Path, typer.Option("--reason-file", metavar="FILE", help="Why, as plain text.")],
    issued: Annotated[str, typer.Option("--as-of", metavar="DATE", help="The day of issue (YYYY-MM-DD).")],
    expires: Annotated[
        str, typer.Option("--expires", metavar="DATE", help="The last day it holds; within a year of issue.")
    ],
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The reviewer's private key file.")] = None,
) -> None:
    """Sign, as reviewer, that one release may pass a gate which it failed; quotes the gate's numbers."""
    from sensai_release.pipeline.waiving import draft, sign_and_write
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    workspace = open_workspace(screen.root)
    waiver = draft(
        workspace,
        gate,
        version=version,
        reason_file=reason_file,
        issued=day(issued, "--as-of"),
        expires=day(expires, "--expires"),
    )
    screen.table(
        f"What is waived: {waiver.gate} of {waiver.series}-{waiver.version}",
        ("measure", "of", "value", "limit", "passed"),
        [
            (entry["name"], entry.get("scope") or entry.get("table"), entry["value"], entry["limit"], entry["ok"])
            for entry in waiver.numbers
        ],
    )
    name = sign_and_write(workspace, waiver, key=key)
    screen.document({"ok": True, "file": name} | waiver.to_dict()["predicate"])
    screen.verdict(f"The gate {waiver.gate} is waived for {waiver.version} until {waiver.expires}.", ok=True)
    screen.say(f"  {name}")
    screen.say("  The steward goes on with 'release --trust FILE --as-of DATE'.")
