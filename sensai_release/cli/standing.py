"""The commands that say how releases stand: announce, withdraw, reactivate."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from sensai_release.cli.days import day_or_none
from sensai_release.cli.render import Screen
from sensai_release.errors import ConfigurationError

if TYPE_CHECKING:
    from sensai_release.pipeline.standing import Announcement

Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Your private key, steward's or reviewer's.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="DATE", help="The day of issue (YYYY-MM-DD); default: today.")
]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="DATE", help="The last day it is good; default: 90 days on.")
]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="A release of this series.")]


class Why(StrEnum):
    """Why a release is withdrawn. No free text: a reason that names somebody would be published."""

    withdrawal_of_consent = "withdrawal_of_consent"
    error_in_data = "error_in_data"
    disclosure_risk = "disclosure_risk"
    replaced = "replaced"
    end_of_term = "end_of_term"
    other = "other"


def register(app: typer.Typer) -> None:
    for command in (announce, withdraw, reactivate):
        app.command()(command)


def announce(
    context: typer.Context,
    countersign: Annotated[
        bool, typer.Option("--countersign", help="Add your signature to the status document that is there.")
    ] = False,
    key: Key = None,
    as_of: AsOf = None,
    expires: Expires = None,
) -> None:
    """Sign which release is the one to use: the newest active, earlier ones superseded. It takes two people."""
    from sensai_release.pipeline import standing
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    workspace = open_workspace(screen.root)
    if countersign and (as_of or expires):
        raise ConfigurationError("--countersign", "signs what is there, with its days", "Leave the days out.")
    if countersign:
        _show(screen, standing.countersign(workspace, key=key))
        return
    _show(screen, standing.announce(workspace, key=key, as_of=_today(as_of), expires=day_or_none(expires, "--expires")))


def withdraw(
    context: typer.Context,
    version: Version,
    reason: Annotated[Why, typer.Option("--reason", help="Why; the status document says so in plain words.")],
    key: Key = None,
    as_of: AsOf = None,
    expires: Expires = None,
) -> None:
    """Sign that a release is not to be used any more. One person's signature is enough."""
    from sensai_release.pipeline import standing
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    workspace, last = open_workspace(screen.root), day_or_none(expires, "--expires")
    made = standing.withdraw(workspace, version, reason=reason.value, key=key, as_of=_today(as_of), expires=last)
    _show(screen, made, withdrawn=version)


def reactivate(
    context: typer.Context, version: Version, key: Key = None, as_of: AsOf = None, expires: Expires = None
) -> None:
    """Sign that a release counts again. It takes two people: one runs this, the other 'announce --countersign'."""
    from sensai_release.pipeline import standing
    from sensai_release.pipeline.workspace import open_workspace

    screen: Screen = context.obj
    workspace = open_workspace(screen.root)
    last = day_or_none(expires, "--expires")
    _show(screen, standing.reactivate(workspace, version, key=key, as_of=_today(as_of), expires=last))


def _show(screen: Screen, made: Announcement, *, withdrawn: str | None = None) -> None:
    document = made.document
    screen.document(made.to_dict())
    screen.table(
        f"Status {document.version} of {document.series}, good until {document.expires}",
        ("release", "state", "since", "why"),
        [(s.version, s.state, s.since, s.why if s.reason else None) for s in document.releases],
    )
    if withdrawn is not None:
        screen.verdict(f"{withdrawn} is withdrawn. Tell everybody who holds a copy at once.", ok=True)
    elif made.signatures > 1:
        screen.verdict(f"Status {document.version} has {made.signatures} signatures.", ok=True)
    else:
        screen.verdict(f"Status {document.version} is signed by one of two people.", ok=True)
    if made.signatures < 2:
        screen.say("  Until somebody else has run 'announce --countersign', it makes no release current.")
    if made.signatures > 1 or withdrawn is not None:
        _hand_over(screen, made, withdrawn)
    screen.say(f"  {made.path}")


def _hand_over(screen: Screen, made: Announcement, withdrawn: str | None) -> None:
    """What recipients need, in the order in which a steward gives it to them."""
    document, name = made.document, PurePosixPath(made.path).name
    screen.say("Hand over to every recipient of a release of this series:")
    screen.say(f"  1  {made.path}, in place of the one they have; it holds no secret.")
    screen.say(f"  2  by another way, such as the telephone: that its number is {document.version}.")
    screen.say(f"  3  what to run: sensai-release verify RELEASE --trust TRUST --status {name} --require-current")
    if withdrawn is not None:
        screen.say(f"  4  that they delete their copies of {document.series}-{withdrawn}, as the terms ask.")
    screen.say(f"Give them a new one by {document.expires}: after that day, nothing is current by this one.")


def _today(given: str | None) -> date:
    return day_or_none(given, "--as-of") or datetime.now(UTC).date()
