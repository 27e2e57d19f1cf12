"""The commands of the second person: review and approve."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensai_release.cli.render import Screen, passed
from sensai_release.errors import ConfigurationError, GateError

if TYPE_CHECKING:
    from sensai_release.pipeline.approving import Review
    from sensai_release.pipeline.workspace import Workspace
    from sensai_release.release.checklist import Completed


def register(app: typer.Typer) -> None:
    for command in (review, approve):
        app.command()(command)


def review(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A release directory; by default the workspace's candidate.")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", metavar="FILE", help="Whose signature as steward you accept.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Where the page goes; for a candidate reports/review.html."),
    ] = None,
) -> int:
    """Make the page that a reviewer reads before signing: what changed, for whom, at which risk, and a checklist."""
    from sensai_release.pipeline import reviewing
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    if html is not None:
        reviewing.refuse_release_folder(html)
    shown = html
    if path is None:
        workspace = open_workspace(screen.root)
        content = reviewing.review_candidate(workspace)
        shown = html if html is not None else Path(workspace.reports.name) / reviewing.PAGE
        html = html if html is not None else workspace.reports / reviewing.PAGE
    else:
        with screen.progress("Hashing") as progress:
            content = reviewing.review_release(path, trust=trust, today=datetime.now(UTC).date(), on_progress=progress)
    if html is not None:
        reviewing.write_page(content, html)
    screen.document(content)
    _summarise(screen, content)
    if html is not None:
        screen.say(f"  {shown}")
    else:
        screen.say("  No page was written: name one with --html FILE.")
    return 0 if content["ok"] else 1


def _summarise(screen: Screen, content: dict[str, Any]) -> None:
    seen = content["verdict"]
    screen.table(
        f"{content['name']}: look at these first",
        ("", "what", "section of the page"),
        [("stop" if p["kind"] == "bad" else "look", p["text"], p["section"]) for p in content["attention"]],
    )
    for note in content["notes"]:
        screen.say(f"  {note}")
    screen.verdict(f"{seen['headline']}. {seen['text']}", ok=content["ok"] and seen["kind"] != "bad")
    if not content["ok"]:
        screen.say(f"  {content['cure']}")


def approve(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A release directory.")],
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The reviewer's private key file.")] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", metavar="FILE", help="Whose signature as steward you accept.")
    ] = None,
    checklist: Annotated[
        Path | None, typer.Option("--checklist", metavar="FILE", help="The checklist that the review page saved.")
    ] = None,
) -> None:
    """Show a reviewer what a release changes, and sign it as the second person."""
    from sensai_release.pipeline import approving
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    workspace = open_workspace(screen.root) if (screen.root / "params.yaml").is_file() else None
    today = datetime.now(UTC).date()
    approving.check_signer(path, key=key, trust=trust, today=today)
    try:
        with screen.progress("Hashing") as progress:
            shown = approving.review(path, trust=trust, today=today, on_progress=progress)
    except GateError as error:
        approving.refused(workspace, path, error)
        raise
    _show(screen, shown)
    completed = _complete(screen, shown, checklist, workspace)
    _ask(screen)
    done = approving.approve(path, shown, key=key, trust=trust, workspace=workspace, today=today, completed=completed)
    screen.document({"ok": True, **shown.to_dict(), **done})
    screen.verdict(f"Approved {shown.name}: signed over manifest {shown.manifest_sha256[:16]}.", ok=True)
    if completed is None:
        screen.say("  Checklist: not given, and recorded as such; an approval stays as it is, so none can be added.")
    else:
        screen.say(f"  Checklist: version {completed.version}, complete, SHA-256 {completed.sha256}.")
    if not done["logged"]:
        screen.say(f"  Send {path.name}/manifest.dsse.json back to the steward: it holds both signatures now.")
        if completed is not None:
            screen.say("  No log is here: send the line on the checklist along, for the steward to keep.")


def _complete(screen: Screen, shown: Review, checklist: Path | None, workspace: Workspace | None) -> Completed | None:
    """The reviewer's checklist: from a file, or asked for; `None` where there is neither a file nor anybody to ask."""
    from sensai_release.pipeline import approving
    from sensai_release.release.checklist import parse_checklist, read_checklist, refuse_open

    try:
        if checklist is not None:
            data = read_checklist(checklist)
            return parse_checklist(data, release=shown.name, manifest_sha256=shown.manifest_sha256, items=shown.items)
        if not _is_watched(screen):
            return None
        screen.say("To read it all on one page first: sensai-release review PATH --trust FILE --html FILE")
        for item in shown.items:
            refuse_open([] if typer.confirm(item.text, err=True) else [item.id])
    except GateError as error:
        approving.refused(workspace, shown.path, error)
        raise
    return shown.ticked()


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
            (g["name"], g.get("scope") or g.get("table"), g["value"], g["before"], g["limit"], passed(g))
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
    if _is_watched(screen) and not typer.confirm("Sign this release?", err=True):
        raise ConfigurationError("approve", "was not confirmed, so nothing was signed", "Run it again when you like.")


def _is_watched(screen: Screen) -> bool:
    """Whether somebody sits there who can be asked."""
    return not screen.quiet and not screen.as_json and sys.stdin.isatty() and sys.stderr.isatty()
