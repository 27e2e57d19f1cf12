"""The command that lists the releases of a folder: history. It writes nothing but the page that was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensai_release.cli.render import Screen

if TYPE_CHECKING:
    from sensai_release.pipeline.history import History
    from sensai_release.release.history import Row

_VERSIONS_SHOWN = 6
_UNKNOWN = ("intact, signer unknown", "signer unknown")


def register(app: typer.Typer) -> None:
    app.command()(history)


def history(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="A folder of releases; by default the workspace's.")
    ] = None,
    trust: Annotated[Path | None, typer.Option("--trust", metavar="FILE", help="Whose signatures you accept.")] = None,
    status: Annotated[
        Path | None,
        typer.Option(
            "--status", metavar="FILE", help="A status document; by default SERIES-status.json in the folder."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write an index page, in or above the folder.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Check signatures and manifests only; the files are not looked at.")
    ] = False,
) -> int:
    """List the releases of a folder, by series: counts, risk, signers, status, and whether each follows the last."""
    from sensai_release.pipeline import history as run
    from sensai_release.pipeline.workspace import open_workspace
    from sensai_release.release.trust import load_trust

    screen: Screen = context.obj
    if folder is None:
        folder = open_workspace(screen.root).releases
    if html is not None:
        run.refuse_page(html)
    known = load_trust(trust) if trust is not None else None
    with screen.progress("Hashing") as progress:
        found = run.history(
            folder,
            trust=known,
            today=datetime.now(UTC).date(),
            status=status,
            quick=quick,
            on_progress=progress,
        )
    if html is not None:
        run.write_page(found, folder, html)
    screen.document(found.to_dict())
    _show(screen, found)
    if html is not None:
        screen.say(f"  {html}")
    return 0 if found.ok else 1


def _show(screen: Screen, found: History) -> None:
    for series, rows in found.series.items():
        synthetic = all(row.stated["synthetic"] for row in rows)
        screen.table(
            f"Releases of {series}, all synthetic" if synthetic else f"Releases of {series}",
            ("release", "persons", "profile", "k (limit)", "gates", "rank-1 (limit)"),
            [(_release(row, synthetic), row.stated["persons"], row.stated["profile"], *_risk(row)) for row in rows],
        )
        screen.table(
            _titled("Who signed, and how they stand", found.status.get(series)),
            ("release", "verdict", "signed by", "standing", "follows"),
            [(row.version, row.verdict, _signers(row), _standing(row), _follows(row)) for row in rows],
        )
        _show_rows(screen, rows)
    screen.table("Not shown", ("folder", "verdict", "why"), [(r.folder, r.verdict, r.reason) for r in found.refused])
    for series, rows in found.series.items():
        for row in rows:
            for text in _remarks(row):
                screen.say(f"  {series}-{row.version}: {text}")
    for note in found.notes:
        screen.say(f"  {note}")
    if found.quick:
        screen.say("  Only signatures and manifests were checked; without --quick every file is.")
    _show_verdict(screen, found)


def _show_verdict(screen: Screen, found: History) -> None:
    from sensai_release.pipeline.history import holds

    rows = [row for of in found.series.values() for row in of]
    good = sum(holds(row) for row in rows)
    if not rows and not found.refused:
        screen.verdict("No release is here.", ok=True)
    elif not found.ok:
        screen.verdict(
            f"{good} of {len(rows) + len(found.refused)} releases hold; the others are named above.", ok=False
        )
    elif not found.trusted:
        words = "signer unknown: give the trust file that you received another way (--trust)."
        screen.verdict(f"{good} of {len(rows)} releases are intact, {words}", ok=True)
    else:
        known = Counter(row.verdict for row in rows if not row.ok)
        besides = "".join(f"; {count} {verdict}" for verdict, count in sorted(known.items()))
        screen.verdict(f"{good} of {len(rows)} releases hold{besides}.", ok=True)


def _show_rows(screen: Screen, rows: Sequence[Row]) -> None:
    from sensai_release.release.history import tables_of

    shown = rows[-_VERSIONS_SHOWN:]
    title = "Rows by table" if len(shown) == len(rows) else f"Rows by table, the last {len(shown)} releases"
    screen.table(title, ("table", *(row.version for row in shown)), [(name, *n) for name, n in tables_of(shown)])


def _titled(title: str, document: Mapping[str, Any] | None) -> str:
    if document is None:
        return f"{title} (no status document)"
    checked = "" if document["checked"] else ", not checked"
    return f"{title} (status {document['status_version']}, good until {document['expires']}{checked})"


def _release(row: Row, told: bool) -> str:
    parts = [row.version]
    if row.folder != row.name:
        parts.append(f"in {row.folder}")
    if row.stated["synthetic"] and not told:
        parts.append("synthetic")
    return ", ".join(parts)


def _risk(row: Row) -> tuple[str, str, str]:
    risk = row.stated["risk"]
    k = "not stated" if risk["k_min"] is None else f"{risk['k_min']} ({risk['k_limit'] or 'no limit'})"
    audit = risk["linkability"]
    if audit is None:
        return k, row.gates, "not stated"
    return k, row.gates, f"{audit['rank1']} ({audit['limit']})" if audit["assessed"] else "cannot be assessed"


def _signers(row: Row) -> str:
    if not row.signers:
        return f"{row.signatures} unknown"
    shown = "; ".join(f"{signer.name} ({', '.join(signer.roles)})" for signer in row.signers)
    return f"{shown}; checklist recorded" if row.checklist else shown


def _standing(row: Row) -> str:
    standing = row.standing
    text = f"{standing.state} since {standing.since}" if standing.since else standing.state
    text = f"{text}: {standing.why}" if standing.why else text
    return text if standing.believed or standing.state == "unknown" else f"{text} (not checked)"


def _follows(row: Row) -> str:
    chain = row.chain
    if chain.state == "first":
        return "the first"
    return str(chain.previous) if chain.state == "linked" else f"{chain.state}: {chain.previous or 'nothing stated'}"


def _remarks(row: Row) -> list[str]:
    """What is wrong with a release, in sentences."""
    found = [] if row.ok or row.verdict in _UNKNOWN else [row.explanation]
    if row.standing.state == "unknown":
        found += row.standing.notes
    return [*found, *([row.chain.reason] if row.chain.reason else [])]
