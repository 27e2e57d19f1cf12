"""`review`: everything that a reviewer has to look at before signing, on one page.

Gathers what lies in a release (or in the candidate), in the release before it and in the difference of the two; it
measures one thing itself, which is how many persons differ. A release is verified first, and of one that does not
verify nothing is shown but what is wrong. How it looks is for `release.pages`; signing is for `approving`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import jinja2

from sensai_release.errors import ConfigurationError, GateError, ReleaseFormatError
from sensai_release.pipeline.approving import look, review
from sensai_release.pipeline.comparing import compare_candidate
from sensai_release.pipeline.waiving import candidate_payload
from sensai_release.pipeline.workspace import Workspace, earlier_releases
from sensai_release.privacy.masking import MINIMUM
from sensai_release.release.checklist import Item, checklist
from sensai_release.release.comparison.affected import persons_affected
from sensai_release.release.datasheet.answers import questions
from sensai_release.release.datasheet.check import check_datasheet
from sensai_release.release.datasheet.sheet import Datasheet
from sensai_release.release.documents import parse_strict
from sensai_release.release.dsse import Envelope
from sensai_release.release.hashing import Progress
from sensai_release.release.layout import ENVELOPE, MANIFEST
from sensai_release.release.pages import render_page
from sensai_release.release.pages.review import attention, verdict
from sensai_release.release.publish import write_atomic
from sensai_release.release.tables import ReleasedTables, load_dictionaries, read_json_object
from sensai_release.release.trust import load_trust
from sensai_release.release.verify import VerificationReport

Json = dict[str, Any]

PAGE = "review.html"
TEMPLATE = "review.html.j2"
_TERMS_LIMIT = 1 << 20


def review_release(path: Path, *, trust: Path | None, today: date, on_progress: Progress | None = None) -> Json:
    """What a reviewer is shown of a release; `ok` is false, and `refused` says why, when it must not be approved.

    Raises `ReleaseFormatError` when `path` is no release directory, or holds a document of an unknown form, and
    `TrustError` for the trust file.
    """
    try:
        shown = review(path, trust=trust, today=today, on_progress=on_progress)
    except GateError as error:
        known = load_trust(trust) if trust is not None else None
        return _refused(path, error, look(path, trust=known, today=today))
    predicate = shown.predicate
    content = {
        "ok": True,
        "refused": None,
        "candidate": False,
        **shown.to_dict(),
        "difference": shown.compared,
        "verification": _verification(shown.report),
        "trusted": trust is not None,
        **{name: predicate.get(name) for name in ("series", "version", "study", "profile", "as_of")},
        "synthetic": predicate["synthetic"] is True,
        "minimum": MINIMUM,
        "waivers": _waivers(path, predicate, today),
        "checklist": _checklist(shown.items),
    }
    return _gathered(content, path, shown.before, MINIMUM)


def review_candidate(workspace: Workspace) -> Json:
    """What a reviewer is shown of the candidate, against the last release of its series.

    Raises `ConfigurationError` when there is no candidate, or it is out of date.
    """
    predicate = candidate_payload(workspace)["predicate"]
    earlier = earlier_releases(workspace)
    before = earlier[-1][1] if earlier else None
    minimum = workspace.params.masking_minimum
    notes = ["This is a candidate. Nobody has signed it, and it has no manifest that could be approved."]
    if before is None:
        notes.append("There is no release of its series yet: there is nothing to compare it with.")
    content = {
        "ok": True,
        "refused": None,
        "candidate": True,
        "name": f"{predicate['series']}, candidate",
        "manifest_sha256": None,
        "previous": {"version": before.name.removeprefix(f"{predicate['series']}-")} if before is not None else None,
        "difference": compare_candidate(workspace, before) if before is not None else None,
        "gates": predicate["risk"]["gates"],
        "signers": [],
        "notes": notes,
        "verification": None,
        "trusted": False,
        **{name: predicate.get(name) for name in ("series", "study", "profile")},
        "version": None,
        "as_of": None,
        "synthetic": predicate["synthetic"] is True,
        "minimum": minimum,
        "waivers": [],
        "checklist": _checklist(checklist().for_release({"previous": before})),
    }
    return _gathered(content, workspace.package, before, minimum, scan=workspace.reports / "scan.json")


def refuse_release_folder(html: Path) -> None:
    """Raises `ConfigurationError` when a page would lie inside a release directory."""
    if any((folder / name).is_file() for folder in html.resolve().parents for name in (MANIFEST, ENVELOPE)):
        raise ConfigurationError("--html", "lies inside a release", "Name a file outside: a release is never changed.")


def write_page(content: Mapping[str, Any], html: Path) -> None:
    """Renders the page to `html`. Raises as `refuse_release_folder` does, and for a document of an unknown form."""
    refuse_release_folder(html)
    try:
        text = render_page(TEMPLATE, report=content, synthetic=content["synthetic"])
    except (jinja2.UndefinedError, KeyError, TypeError, ValueError, AttributeError):
        raise _unknown_form() from None
    write_atomic(html, text.encode())


def _refused(path: Path, error: GateError, report: VerificationReport) -> Json:
    """Of a release that must not be approved nothing is read: who made it may have wanted it to be read."""
    predicate = report.statement.predicate if report.ok and report.statement is not None else {}
    return _summarised(
        {
            "ok": False,
            "refused": f"{error.place} {error.cause}",
            "cure": error.cure,
            "candidate": False,
            "name": path.resolve().name,
            "manifest_sha256": report.manifest_sha256,
            "previous": None,
            "difference": None,
            "gates": [],
            "signers": list(report.signers),
            "notes": list(report.notes),
            "verification": _verification(report),
            "synthetic": predicate.get("synthetic") is True,
        }
    )


def _summarised(content: Json) -> Json:
    """With the first lines of the page, for a terminal and for scripts."""
    seen = verdict(content)
    points = attention(content) if content["ok"] else []
    return content | {
        "verdict": {"kind": seen.kind, "headline": seen.headline, "text": seen.text},
        "attention": [{"kind": kind, "text": text, "section": section} for kind, text, section in points],
    }


def _verification(report: VerificationReport) -> Json:
    document = report.to_dict()
    return {name: document[name] for name in ("verdict", "explanation", "steps")}


def _checklist(items: tuple[Item, ...]) -> Json:
    known = checklist()
    entries = [{"id": item.id, "text": item.text, "look": item.look} for item in items]
    return {"version": known.version, "sha256": known.sha256, "items": entries}


def _gathered(content: Json, path: Path, before: Path | None, minimum: int, *, scan: Path | None = None) -> Json:
    """The parts that are read from documents and tables. A document that is of no form of ours stops it."""
    try:
        sheets = [_document(folder, "datasheet.json") for folder in (before, path)]
        risks = [_document(folder, "reports/risk.json") for folder in (before, path)]
        return _summarised(
            content
            | {
                "people": _people(content["difference"], before, path, minimum),
                "risk": {"before": risks[0] or None, "after": risks[1] or None},
                "answers": {"changed": _answers(*sheets), "open": _open_answers(sheets[1])},
                "findings": {
                    "validation": list(_document(path, "reports/validation.json").get("findings", ())),
                    "datasheet": _contradictions(sheets[1]),
                    "series": list((risks[1].get("series") or {}).get("findings", ())),
                    "scan": _scan(scan),
                },
                "policy": _policy(_document(path, "reports/policy.json"), content["difference"]),
                "terms": _terms(path, before),
            }
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _unknown_form() from None


def _unknown_form() -> ReleaseFormatError:
    return ReleaseFormatError(
        "a report of the release", "has a form that this version does not know", "Use the version that made it."
    )


def _document(root: Path | None, name: str) -> Json:
    """A document of a release; empty where it has none."""
    return read_json_object(root / name, name) if root is not None and (root / name).exists() else {}


def _people(difference: Json | None, before: Path | None, after: Path, minimum: int) -> Json | None:
    if difference is None or before is None:
        return None
    sides = [ReleasedTables(root / "data", load_dictionaries(root / "schemas")) for root in (before, after)]
    differing = [
        name
        for name, table in difference["tables"].items()
        if table["status"] == "both" and any(table[way] != 0 for way in ("rows_added", "rows_removed", "rows_changed"))
    ]
    found = persons_affected(sides[0], sides[1], differing, minimum=minimum)
    counts = {name: difference[name] for name in ("participants", "sessions")}
    return counts | found.to_dict() | {"reasons": difference.get("reasons")}


def _answers(old: Json, new: Json) -> list[Json]:
    """The questions whose answer is another, with both: kind, text, and what an open one waits for."""
    sides = [{entry["question"]: entry for entry in sheet.get("answers", ())} for sheet in (old, new)]
    if not all(sides):
        return []
    asked = {question.id: question.text for question in questions()}
    shown = ("kind", "text", "source", "settle")
    found = []
    for name in dict.fromkeys((*sides[1], *sides[0])):
        before, after = (
            {key: side[name].get(key) for key in shown} if name in side else dict.fromkeys(shown) for side in sides
        )
        if before != after:
            found.append({"question": name, "asks": asked.get(name), "before": before, "after": after})
    return found


def _open_answers(sheet: Json) -> list[Json]:
    asked = {question.id: question.text for question in questions()}
    return [
        {"question": entry["question"], "asks": asked.get(entry["question"])}
        | {key: entry.get(key) for key in ("settle", "reason")}
        for entry in sheet.get("answers", ())
        if entry["kind"] == "open"
    ]


def _contradictions(sheet: Json) -> list[Json]:
    """What is wrong with the datasheet by its own numbers. That a question is open is told elsewhere."""
    if not sheet:
        return []
    try:
        found = check_datasheet(Datasheet.from_dict(sheet))
    except ConfigurationError:
        raise _unknown_form() from None
    return [
        {"code": item.code, "severity": item.severity, "question": item.column, "message": item.message}
        for item in found
        if item.code != "datasheet.open"
    ]


def _scan(path: Path | None) -> Json | None:
    """The verdict of the leak scan, which stays with the steward; `None` without its report."""
    if path is None or not path.is_file():
        return None
    document = read_json_object(path, path.name, "ok", "findings")
    return {"ok": document["ok"], "findings": len(document["findings"])}


def _waivers(path: Path, predicate: Mapping[str, Any], today: date) -> list[Json]:
    """The waivers that the manifest lists; `verify` has read and held them against it before."""
    found = []
    for entry in predicate.get("waivers", ()):
        envelope = Envelope.from_bytes((path / entry["file"]).read_bytes(), entry["file"])
        stated = parse_strict(envelope.payload, entry["file"])["predicate"]
        expired = today > date.fromisoformat(stated["expires"])
        found.append({key: stated[key] for key in ("gate", "reason", "issued", "expires", "numbers")})
        found[-1] |= {"file": entry["file"], "expired": expired}
    return found


def _policy(policy: Json, difference: Json | None) -> Json | None:
    """Every released column with its rule, and whether the rule or the column is another than before."""
    if not policy:
        return None
    rows = [
        {"table": table, "column": column, "changes": _changes(difference, table, column)}
        | {key: entry.get(key) for key in ("class", "role", "tier", "action", "in_words", "justification", "source")}
        for table, columns in sorted(policy["columns"].items())
        for column, entry in columns.items()
    ]
    dropped = [
        {"table": table, **{key: entry[key] for key in ("columns", "class", "justification")}}
        for table, entries in sorted(policy["dropped"].items())
        for entry in entries
    ]
    gone = [
        {"table": name, "column": column}
        for name, table in (difference or {"tables": {}})["tables"].items()
        for column in table["columns_removed"]
    ]
    profile = [entry for entry in (difference or {"policy": ()})["policy"] if entry["column"] is None]
    kept_back = [{key: entry[key] for key in ("table", "title")} for entry in policy.get("kept_back", ())]
    return {"columns": rows, "dropped": dropped, "gone": gone, "profile": profile, "kept_back": kept_back}


def _changes(difference: Json | None, table: str, column: str) -> list[Json]:
    if difference is None:
        return []
    held = difference["tables"].get(table)
    if held is not None and column in held["columns_added"]:
        return [{"field": "column", "old": None, "new": "released", "loosened": True}]
    return [
        {key: entry[key] for key in ("field", "old", "new", "loosened")}
        for entry in difference["policy"]
        if (entry["table"], entry["column"]) == (table, column)
    ]


def _terms(path: Path, before: Path | None) -> Json | None:
    """The terms that govern the release, and whether they are those of the release before it."""
    texts = [root / "TERMS.md" if root is not None else None for root in (before, path)]
    held = [text.read_bytes()[:_TERMS_LIMIT] if text is not None and text.is_file() else None for text in texts]
    if held[1] is None:
        return None
    return {
        "text": held[1].decode("utf-8", "replace"),
        "sha256": hashlib.sha256(held[1]).hexdigest(),
        "same": held[0] == held[1] if held[0] is not None else None,
    }
