"""The commands that show and check the governance log: log show, log verify."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sensai_release.cli.render import Screen


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="What was done in this workspace, in order, and whether that record is whole.")
    group.command()(show)
    group.command()(verify)
    app.add_typer(group, name="log")


def show(context: typer.Context) -> None:
    """Print the governance log: builds, releases, approvals, waivers, refusals, with their times."""
    from sensai_release.pipeline.logbook import read_log
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    parsed = read_log(open_workspace(screen.root))
    screen.document(
        {
            "ok": parsed.whole,
            "entries": [
                {"index": e.index, "at": e.at, "event": e.event, "facts": dict(e.facts), "leaf_sha256": e.digest.hex()}
                for e in parsed.entries
            ],
        }
    )
    screen.table(
        "The governance log",
        ("entry", "time (UTC)", "event", "facts"),
        [(entry.index, entry.at, entry.event, _words(entry.facts)) for entry in parsed.entries],
    )
    count = len(parsed.entries)
    words = f"{count} entries." if parsed.whole else f"{count} entries, then the log is broken: see 'log verify'."
    screen.verdict(words, ok=parsed.whole)
    if not parsed.whole:
        raise typer.Exit(1)


def verify(
    context: typer.Context,
    trust: Annotated[
        Path | None, typer.Option("--trust", metavar="FILE", help="The people whose signature on the head counts.")
    ] = None,
) -> None:
    """Check that no entry of the governance log was changed, moved, added or cut off."""
    from sensai_release.pipeline.logbook import verify_log
    from sensai_release.pipeline.workspace import open_workspace
    from sensai_release.release.trust import load_trust

    screen: Screen = context.obj
    report = verify_log(open_workspace(screen.root), load_trust(trust) if trust is not None else None)
    screen.document(report.to_dict())
    screen.table(
        "What is wrong", ("code", "line", "what"), [(fault.code, fault.line, fault.message) for fault in report.faults]
    )
    for note in report.notes:
        screen.say(f"  {note}")
    if report.signers:
        screen.say(f"  The head over {report.signed} entries is signed by {', '.join(report.signers)}.")
    screen.verdict(
        f"The log is whole: {report.entries} entries." if report.ok else "The log is not what was written.",
        ok=report.ok,
    )
    if not report.ok:
        raise typer.Exit(1)


def _words(facts: Mapping[str, Any]) -> str:
    return "  ".join(f"{name}={_short(value)}" for name, value in sorted(facts.items()) if value not in (None, [], {}))


def _short(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_short, value))
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
