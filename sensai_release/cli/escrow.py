"""`escrow show`: who is behind a pseudonym, and which releases hold a person. For the steward's screen alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sensai_release.cli.render import Screen
from sensai_release.errors import IdentifierError

escrow = typer.Typer(help="Work with the escrow of a release.", no_args_is_help=True, rich_markup_mode=None)

# More than any identifier, less than what somebody pipes in by mistake.
_LIMIT = 4096


def register(app: typer.Typer) -> None:
    escrow.command("show")(escrow_show)
    # A group of one command would swallow the command's name.
    escrow.callback()(_group)
    app.add_typer(escrow, name="escrow")


def _group() -> None:
    """Work with the escrow of a release."""


def escrow_show(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="RELEASE_OR_FILE", help="A release, or an escrow file (*.age).")],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The escrow key; else the one of the key folder.")
    ] = None,
) -> int:
    """Look up one identifier, read from standard input: raw id or pseudonym, and every release that holds it."""
    from sensai_release.pipeline.tracing import look_up
    from sensai_release.pipeline.workspace import Workspace

    screen: Screen = context.obj
    workspace = Workspace(root=screen.root) if (screen.root / "params.yaml").is_file() else None
    answer = look_up(workspace, target, _identifier(), key=key)
    screen.document(answer.to_dict())
    screen.table("Pairs", ("kind", "raw", "pseudonym"), [(p.kind, p.raw, p.pseudonym) for p in answer.pairs])
    screen.table(
        "Releases that hold it",
        ("release", "kind", "pseudonym", "known by", "here"),
        [(held.release, held.kind, held.pseudonym, held.by, held.here) for held in answer.releases],
    )
    screen.table("Not searched", ("what", "why"), answer.not_searched)
    found = len({held.release for held in answer.releases})
    text = f"Held by {found} release(s)." if found else "No release that could be searched holds it."
    if answer.not_searched:
        text += f" Not searched: {len(answer.not_searched)}, so there may be more."
    screen.verdict(text, ok=bool(found) and not answer.not_searched)
    return 0 if found else 1


def _identifier() -> str:
    """One line of standard input: an argument would stay in the shell's history and be seen by every user."""
    if sys.stdin.isatty():
        sys.stderr.write("Identifier: ")
        sys.stderr.flush()
        data = sys.stdin.buffer.readline(_LIMIT)
    else:
        data = sys.stdin.buffer.read(_LIMIT)
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        lines = []
    if len(data) == _LIMIT or len(lines) != 1:
        cause = "is not one line of text on standard input"
        raise IdentifierError("the identifier", cause, "Give one raw identifier or pseudonym.")
    return lines[0].strip()
