"""`history`: the releases of a folder, series by series, each verified; and a page that lists them.

Works offline for whoever holds a folder of releases, with or without a workspace, and writes nothing but the page. It
reads the memory of status documents seen before and leaves it as it is. What a row holds is for `release.history`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.pipeline.logbook import read_log
from sensai_release.pipeline.standing import highest_seen
from sensai_release.pipeline.workspace import Workspace
from sensai_release.release.history import (
    NOBODY,
    PAGES,
    Row,
    Shown,
    Signed,
    in_series,
    read_signed,
    row_of,
    shown_claim,
    shown_freshness,
    tables_of,
)
from sensai_release.release.inventory import printable
from sensai_release.release.layout import ENVELOPE, MANIFEST
from sensai_release.release.manifest import Statement
from sensai_release.release.pages import render_page
from sensai_release.release.publish import write_atomic
from sensai_release.release.status import (
    FreshnessVerdict,
    StatusDocument,
    check_status,
    read_envelope,
    read_status,
)
from sensai_release.release.trust import Trust
from sensai_release.release.verdict import is_refused
from sensai_release.release.verify import StatusFile, verify_release

Progress = Callable[[int, int], None]
Json = dict[str, Any]

_MAXIMUM_FOLDERS = 10_000
# What a series may show in the course of its life, without a fault.
_KNOWN = frozenset({"withdrawn", "not approved", "intact, signer unknown", "signer unknown"})
_QUICK = {
    "good": "The signatures over the manifest hold. Whether the files are those that it lists, nobody has looked.",
    "unknown": "Nobody can say who signed: give a trust file (--trust). The files were not looked at.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A folder of which nothing is shown: no release, or one that nobody trusted has signed."""

    folder: str
    verdict: str
    reason: str

    def to_dict(self) -> Json:
        return {"folder": self.folder, "verdict": self.verdict, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The releases of a folder, by series, as they were on a day (UTC). `quick`: their files were not looked at."""

    day: date
    series: Mapping[str, tuple[Row, ...]]
    refused: tuple[Refused, ...]
    status: Mapping[str, Json]
    quick: bool
    trusted: bool
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Every folder holds a release that is what its manifest says, and none contradicts another.

        A release that was withdrawn, or waits for its second signature, is no fault of the folder.
        """
        return not self.refused and all(holds(row) for of in self.series.values() for row in of)

    @property
    def synthetic(self) -> bool:
        """All of it is synthetic; where only some is, the rows say so."""
        rows = [row for of in self.series.values() for row in of]
        return bool(rows) and all(row.stated["synthetic"] for row in rows)

    def to_dict(self) -> Json:
        return {
            "ok": self.ok,
            "day": self.day.isoformat(),
            "checked": "signatures" if self.quick else "files",
            "trusted": self.trusted,
            "series": [
                {"series": name, "status": self.status.get(name), "releases": [row.to_dict() for row in rows]}
                for name, rows in self.series.items()
            ],
            "refused": [refused.to_dict() for refused in self.refused],
            "notes": list(self.notes),
        }


def holds(row: Row) -> bool:
    """Whether nothing speaks against a release but what is known of it: taken back, unapproved, signer unknown."""
    if row.chain.state == "broken" or is_refused(set(row.problems)):
        return False
    return row.ok or row.verdict in _KNOWN


def history(
    folder: Path,
    *,
    trust: Trust | None,
    today: date,
    status: Path | None = None,
    quick: bool = False,
    on_progress: Progress | None = None,
) -> History:
    """Looks at every folder in `folder`; hidden ones are left out, links are refused.

    How a series stands is told by `status`, or else by `<series>-status.json` in the folder itself. `quick` checks the
    signatures and the manifest alone. The `ok` of a release is that of `verify`, so False without `trust`.
    Raises `ConfigurationError` when `folder` is no folder of releases that can be read, for `status` without `trust`,
    and for a damaged memory of status documents.
    """
    if status is not None and trust is None:
        raise ConfigurationError("--status", "means nothing without a trust file", "Name one with --trust.")
    given = read_status(status) if status is not None else None
    names, notes = _folders(folder)
    signed = {name: _signed(folder / name, trust, today) for name in names}
    run = _Run(folder, trust, today, quick, given, on_progress, signed)
    found = [run.look(name) for name in names]
    rows = [entry for entry in found if isinstance(entry, Row)]
    logged, note = _checklists(folder)
    if logged is not None:
        rows = [replace(row, checklist=logged.get(row.manifest_sha256)) for row in rows]
    return History(
        day=today,
        series=in_series(rows),
        refused=tuple(entry for entry in found if isinstance(entry, Refused)),
        status=run.status,
        quick=quick,
        trusted=trust is not None,
        notes=tuple(filter(None, (*notes, note, *run.notes))),
    )


def _folders(folder: Path) -> tuple[list[str], list[str]]:
    """The names of the folders and links to look at, sorted, and notes on what was left out."""
    if any(os.path.lexists(folder / name) for name in (MANIFEST, ENVELOPE)):
        raise ConfigurationError("FOLDER", "is a release, not a folder of them", "Name the folder in which it lies.")
    try:
        with os.scandir(folder) as scan:
            entries = list(islice(scan, _MAXIMUM_FOLDERS + 1))
            found = sorted(e.name for e in entries if e.is_symlink() or e.is_dir(follow_symlinks=False))
    except (OSError, ValueError):
        raise ConfigurationError("FOLDER", "is no folder that can be read", "Name a folder of releases.") from None
    if len(entries) > _MAXIMUM_FOLDERS:
        raise ConfigurationError("FOLDER", "holds absurdly many entries", "Name a folder of releases.")
    shown = [name for name in found if not name.startswith(".")]
    hidden = len(found) - len(shown)
    return shown, [f"{hidden} hidden folders were left out."] if hidden else []


def _signed(path: Path, trust: Trust | None, today: date) -> Signed | None:
    if path.is_symlink() or not any(os.path.lexists(path / name) for name in (MANIFEST, ENVELOPE)):
        return None
    try:
        return read_signed(path, trust=trust, today=today)
    except ReleaseFormatError:
        return None


class _Run:
    """One look at a folder: what is known of the series, and how far the hashing has come."""

    def __init__(
        self,
        folder: Path,
        trust: Trust | None,
        today: date,
        quick: bool,
        given: bytes | None,
        on_progress: Progress | None,
        signed: Mapping[str, Signed | None],
    ) -> None:
        self._folder = folder
        self._trust = trust
        self._today = today
        self._quick = quick
        self._signed = signed
        self._on_progress = on_progress
        self._total = sum(_bytes(found) for found in signed.values())
        self._done = 0
        self.notes: list[str] = []
        self.status: dict[str, Json] = {}
        self._documents = self._read_documents(given)
        self._seen = self._memory()

    def _read_documents(self, given: bytes | None) -> dict[str, bytes]:
        """The status document of each series. One that is there and cannot be read is refused as malformed."""
        found: dict[str, bytes] = {}
        for series in sorted(
            {str(s.statement.predicate["series"]) for s in self._signed.values() if s and s.statement}
        ):
            path = self._folder / f"{printable(series)}-status.json"
            if given is not None:
                found[series] = given
            elif os.path.lexists(path):
                try:
                    found[series] = read_status(path, path.name)
                except ConfigurationError:
                    found[series] = b""
        return found

    def _memory(self) -> Mapping[str, Any]:
        if self._trust is None or not self._documents:
            return {}
        seen, note = highest_seen(self._trust)
        self.notes += [note] if note else []
        return seen

    def look(self, name: str) -> Row | Refused:
        """One folder: a row, or why it has none."""
        path, signed = self._folder / name, self._signed[name]
        if path.is_symlink():
            return Refused(folder=printable(name), verdict="not a release", reason="It is a link, and not followed.")
        if signed is None:
            return _no_release(name)
        return self._look_quickly(name, signed) if self._quick else self._verify(name, signed)

    def _verify(self, name: str, signed: Signed) -> Row | Refused:
        data = self._document_of(signed.statement)
        document = StatusFile(data=data, seen=self._seen) if data is not None and self._trust is not None else None
        try:
            report = verify_release(
                self._folder / name,
                trust=self._trust,
                on_progress=self._progress,
                today=self._today,
                status=document,
            )
        except ReleaseFormatError:
            return _no_release(name)
        self._done += _bytes(signed)
        if report.statement is None or report.manifest_sha256 != signed.manifest_sha256:
            return Refused(folder=printable(name), verdict=report.verdict, reason=report.explanation)
        codes = sorted({problem.code for step in report.steps for problem in step.problems})
        return row_of(
            name,
            signed,
            report.statement,
            ok=report.ok,
            verdict=report.verdict,
            explanation=report.explanation,
            problems=tuple(codes),
            standing=self._standing(report.statement, signed, report.freshness),
        )

    def _look_quickly(self, name: str, signed: Signed) -> Row | Refused:
        if signed.statement is None:
            verdict = "not approved" if signed.fault == NOBODY else "invalid"
            return Refused(folder=printable(name), verdict=verdict, reason=str(signed.fault))
        freshness, stated = None, signed.statement.predicate
        data = self._document_of(signed.statement)
        if data is not None and self._trust is not None:
            freshness = check_status(
                data,
                trust=self._trust,
                series=stated["series"],
                version=stated["version"],
                manifest_sha256=str(signed.manifest_sha256),
                today=self._today,
                seen=self._seen.get(stated["series"]),
            )
        codes = {code for code, _ in freshness.problems} if freshness else set()
        verdict, explanation = self._quick_verdict(signed, freshness, codes)
        return row_of(
            name,
            signed,
            signed.statement,
            ok=verdict == "signed" and not is_refused(codes),
            verdict=verdict,
            explanation=explanation,
            problems=tuple(sorted(codes)),
            standing=self._standing(signed.statement, signed, freshness),
        )

    def _quick_verdict(self, signed: Signed, freshness: FreshnessVerdict | None, codes: set[str]) -> tuple[str, str]:
        if signed.fault or "status.other_release" in codes:
            return "invalid", signed.fault or "The status document knows another release under this version."
        if self._trust is None:
            return "signer unknown", _QUICK["unknown"]
        if signed.missing:
            return "not approved", f"The signature of a {' and a '.join(signed.missing)} is missing."
        if freshness is not None and freshness.state == "withdrawn":
            return "withdrawn", " ".join(freshness.notes)
        return "signed", _QUICK["good"]

    def _document_of(self, statement: Statement | None) -> bytes | None:
        return self._documents.get(statement.predicate["series"]) if statement is not None else None

    def _standing(self, statement: Statement, signed: Signed, freshness: FreshnessVerdict | None) -> Shown:
        stated = statement.predicate
        series, version = str(stated["series"]), str(stated["version"])
        if freshness is not None:
            if freshness.document is not None and freshness.document.series == series:
                self.status[series] = _document(freshness, checked=True)
            return shown_freshness(freshness, version)
        data = self._document_of(statement)
        if data is None:
            return Shown()
        try:
            document = StatusDocument.from_bytes(read_envelope(data).payload)
        except ReleaseFormatError:
            return Shown(notes=("The status document is none of this form.",))
        if document.series == series:
            self.status[series] = _document(FreshnessVerdict(state="unknown", document=document), checked=False)
        return shown_claim(document, series, version, signed.manifest_sha256)

    def _progress(self, done: int, _total: int) -> None:
        if self._on_progress is not None:
            self._on_progress(self._done + done, self._total)


def _document(freshness: FreshnessVerdict, *, checked: bool) -> Json:
    stated = freshness.to_dict()
    return {name: stated[name] for name in ("status_version", "issued", "expires", "signers")} | {"checked": checked}


def _no_release(name: str) -> Refused:
    reason = f"It holds no {MANIFEST} that can be read."
    return Refused(folder=printable(name), verdict="not a release", reason=reason)


def _bytes(signed: Signed | None) -> int:
    resources = signed.statement.resources if signed is not None and signed.statement is not None else {}
    return sum(resource.size for resource in resources.values())


def _checklists(folder: Path) -> tuple[dict[str, bool] | None, str | None]:
    """For each manifest that the workspace's log says was approved: whether with a checklist. None without a log."""
    root = folder.resolve().parent
    if folder.resolve().name != "releases" or not (root / "params.yaml").is_file():
        return None, None
    try:
        parsed = read_log(Workspace(root=root))
    except ConfigurationError:
        return None, "The governance log cannot be read: see 'log verify'."
    found: dict[str, bool] = {}
    for entry in parsed.entries:
        if entry.event == "approve":
            digest = str(entry.facts.get("manifest_sha256"))
            found[digest] = found.get(digest, False) or "checklist_sha256" in entry.facts
    return found, None if parsed.whole else "The governance log is not whole: see 'log verify'."


# --- the page --------------------------------------------------------------------------------------------------------


def refuse_page(page: Path) -> None:
    """Raises `ConfigurationError` where an index page must not or cannot be written: above all, inside a release."""
    try:
        # The name itself is not followed: a link there is replaced, and what it leads to is left alone.
        home = page.parent.resolve()
        usable = home.is_dir() and not (home / page.name).is_dir()
    except (OSError, RuntimeError):
        usable = False
    if not usable:
        raise ConfigurationError(
            "--html", "names no file in a folder that is there", "Name a file, such as index.html."
        )
    if any(os.path.lexists(above / name) for above in (home, *home.parents) for name in (MANIFEST, ENVELOPE)):
        raise ConfigurationError(
            "--html", "lies inside a release, which nothing may be added to", "Name another place."
        )


def write_page(found: History, folder: Path, page: Path) -> None:
    """The index page. It links to the releases where it lies in or above their folder. Raises as `refuse_page` does."""
    refuse_page(page)
    links = _links(found, folder.resolve(), page.parent.resolve())
    tables = {series: tables_of(rows) for series, rows in found.series.items()}
    text = render_page("history.html.j2", synthetic=found.synthetic, report=found, links=links, tables=tables)
    write_atomic(page, text.encode("utf-8"))


def _links(found: History, folder: Path, home: Path) -> dict[str, list[tuple[str, str]]]:
    """For each row's folder, the pages that its manifest lists: their name and address, relative to the page.

    None for a release that does not verify: its pages may be anybody's.
    """
    if not folder.is_relative_to(home):
        return {}
    rows = [row for of in found.series.values() for row in of if row.verdict != "invalid" and _is_itself(row.folder)]
    return {row.folder: list(_pages(row, folder.relative_to(home) / row.folder)) for row in rows}


def _is_itself(printed: str) -> bool:
    """Whether the printed form of a folder's name is its name: escaped ones hold a backslash, and long ones are cut."""
    return "\\" not in printed and len(printed) < 200


def _pages(row: Row, place: Path) -> Iterator[tuple[str, str]]:
    for name in PAGES:
        if name in row.files:
            yield name, "./" + quote(os.fsencode(place / name))
