"""What a reviewer is shown, put in order for its page: the verdict, what to look at first, before beside after.

Takes the content that `pipeline.reviewing` gathered as it is, and decides nothing: gates and verdicts come with it.
Numbers of persons that a failed gate states are masked here, because a page is passed on more easily than a report.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import lru_cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from sensai_release.privacy.masking import masked
from sensai_release.release.pages.risk import GateLine, gates

Json = Mapping[str, Any]

_PERSONS = frozenset({"persons", "suppressed_persons", "minimal_sample_uniques"})
_WORD = re.compile(r"\s*\S+")
_MOST_WORDS = 4000
_WENT, _CAME = Markup("{}<del>{}</del>"), Markup("{}<ins>{}</ins>")


@lru_cache(maxsize=1)
def script() -> Markup:
    """The page's one script, exactly as it stands between its tags."""
    path = files("sensai_release.release.pages").joinpath("templates", "review", "review.js")
    return Markup(path.read_text(encoding="utf-8"))  # noqa: S704 - a file of the package, no data


def script_hash() -> str:
    """The script's source expression for the Content Security Policy: no other script runs, whoever wrote it."""
    digest = hashlib.sha256(str(script()).encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The first thing a reviewer reads: `kind` is its colour, `sign` says the same without colour."""

    kind: str
    sign: str
    headline: str
    text: str


def verdict(report: Json) -> Verdict:
    """What a reviewer may do with this release. Never that it is good: that is for the reviewer to say."""
    if report["refused"]:
        return Verdict(kind="bad", sign="✗", headline="Do not approve", text=f"{_sentence(report['refused'])}")
    lines = [pair.now for pair in pairs(report)]
    failed = [line.title for line in lines if line.stops and not line.waived]
    unknown = sum(line.state == "cannot_assess" for line in lines)
    if failed:
        text = f"It does not pass: {'; '.join(failed)}."
        return Verdict(kind="bad", sign="✗", headline=f"Gates not passed: {len(failed)}", text=text)
    if report["candidate"]:
        text = "Nobody has signed it yet. Look at it as the release that it may become; it cannot be approved before."
        return Verdict(kind="note", sign="?", headline="A candidate: no gate stops it", text=text)
    if report["waivers"]:
        text = "A reviewer waived what it did not pass. Read the reasons below before you add your name."
        return Verdict(kind="bad", sign="!", headline=f"Intact, with gates waived: {len(report['waivers'])}", text=text)
    if not report["trusted"]:
        text = (
            "Every byte is as it was signed, but nobody checked by whom. Make this page with your trust file (--trust)."
        )
        return Verdict(kind="note", sign="?", headline="Intact, signer unknown", text=text)
    signers = " and ".join(report["signers"])
    if unknown:
        text = f"Signed by {signers}. Gates that could not be assessed, which is not the same as passed: {unknown}."
        return Verdict(kind="note", sign="?", headline="It verifies, and no gate stops it", text=text)
    text = f"Signed by {signers}. Every gate is passed. Whether it should leave is yours to say."
    return Verdict(kind="good", sign="✓", headline="It verifies, and every gate is passed", text=text)


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A gate as it is now, and its value in the release before (`None` where that had none, or none is there)."""

    now: GateLine
    before: Any

    @property
    def numbers(self) -> tuple[float | None, float, float] | None:
        """Before, now and limit where they can be drawn; `None` where they are masked, or no numbers."""
        now, limit = _number(self.now.value), _number(self.now.limit)
        return None if now is None or limit is None else (_number(self.before), now, limit)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def pairs(report: Json) -> list[Pair]:
    """Every gate beside its value before; what does not pass comes first, then what could not be assessed."""
    sides = report.get("risk") or {}
    # What is waived is told by the manifest's own list, which `verify` has held against the waivers.
    after = {**(sides.get("after") or {"gate": report["gates"]}), "waived": [w["gate"] for w in report["waivers"]]}
    earlier = {(line.name, line.of): line.value for line in gates(sides["before"])} if sides.get("before") else {}
    found = [
        Pair(
            now=replace(line, value=shown(line.name, line.value, report["minimum"])),
            before=shown(line.name, earlier.get((line.name, line.of)), report["minimum"]),
        )
        for line in gates(after)
    ]
    order = {"failed": 0, "cannot_assess": 1, "passed": 2}
    return sorted(found, key=lambda pair: order[pair.now.state])


def shown(name: str, value: Any, minimum: int) -> Any:
    """The value of a gate as a page may show it: a number of persons is masked."""
    return masked(value, minimum) if name in _PERSONS and type(value) is int else value


def find(report: Json, name: str) -> Pair | None:
    """One gate by name."""
    return next((pair for pair in pairs(report) if pair.now.name == name), None)


def attention(report: Json) -> list[tuple[str, str, str]]:
    """What to look at first: a colour, a sentence, and the section that tells more."""
    return list(_attention(report))


def _attention(report: Json) -> Iterator[tuple[str, str, str]]:
    lines = [pair.now for pair in pairs(report)]
    difference, findings = report["difference"], report["findings"]
    expired = sum(waiver["expired"] for waiver in report["waivers"])
    yield from _some("bad", sum(line.stops for line in lines), "gate", "not passed", "risk")
    yield from _some("bad", expired, "waiver", "expired since", "waivers")
    yield from _some("note", sum(line.state == "cannot_assess" for line in lines), "gate", "not assessed", "risk")
    if difference is not None:
        attack = difference["attack"]
        if attack is None:
            yield "note", "What both releases tell together could not be assessed", "people"
        else:
            yield from _some("note", len(attack["findings"]), "finding", "about few persons, across releases", "people")
        looser = sum(change["loosened"] for change in difference["policy"])
        yield from _some("note", looser, "policy change", "that may let more out", "policy")
        columns = sum(len(table["columns_added"]) for table in difference["tables"].values())
        yield from _some("note", columns, "column", "added", "policy")
        shifted = sum(entry["shifted"] for entry in difference["shifts"]["columns"])
        yield from _some("note", shifted, "distribution", "shifted", "changed")
    failed = sum(entry["status"] == "failed" for entry in groups_of((report["risk"]["after"] or {}).get("linkability")))
    yield from _some("note", failed, "group of columns", "linkable beyond a limit by itself", "linkability")
    yield from _some("note", len(report["answers"]["changed"]), "datasheet answer", "changed", "answers")
    yield from _some("note", len(report["answers"]["open"]), "datasheet answer", "open", "answers")
    for name, words in (("validation", "of the validation"), ("datasheet", "against the datasheet")):
        worst = "bad" if any(item["severity"] == "error" for item in findings[name]) else "note"
        yield from _some(worst, len(findings[name]), "finding", words, "findings")
    yield from _some("note", len(findings["series"]), "finding", "about few persons, over all releases", "findings")
    if findings["scan"] is not None and not findings["scan"]["ok"]:
        yield "bad", "The leak scan found something", "findings"
    if report["terms"] is None:
        yield "bad", "There are no terms", "terms"
    elif report["terms"]["same"] is False:
        yield "note", "The terms changed", "terms"


def _some(kind: str, count: int, what: str, how: str, section: str) -> Iterator[tuple[str, str, str]]:
    if count:
        plural = what if count == 1 else what.replace("group of", "groups of") if " of " in what else f"{what}s"
        yield kind, f"{count} {plural} {how}", section


def groups_of(audit: Json | None) -> list[Json]:
    """The column groups of a linkability audit, the most telling first."""
    entries = [entry for entry in (audit or {}).get("sets", ()) if entry["kind"] == "group"]
    return sorted(entries, key=lambda entry: (entry["status"] != "failed", -entry["rank1"]["value"], entry["name"]))


def earlier_sets(report: Json) -> dict[str, Json]:
    """The column sets of the audit of the release before, by name."""
    audit = ((report["risk"]["before"] or {}).get("linkability")) or {}
    return {entry["name"]: entry for entry in audit.get("sets", ())}


def movement(pair: Pair) -> Markup:
    """A gate drawn: where it stood (ring), where it stands (dot), and the side of the limit that is not allowed."""
    numbers = pair.numbers
    if numbers is None:
        return Markup("")
    before, now, limit = numbers
    most = max(value for value in (before, now, limit) if value is not None) * 1.12 or 1.0

    def at(value: float) -> str:
        return f"{100 * min(max(value / most, 0.0), 1.0):.2f}"

    low, high = (0.0, limit) if pair.now.way == "at least" else (limit, most)
    width = f"{float(at(high)) - float(at(low)):.2f}"
    pieces = [
        Markup('<rect class="barred" x="{}%" y="12%" width="{}%" height="76%"/>').format(at(low), width),
        Markup('<line class="axis" x1="0%" x2="100%" y1="50%" y2="50%"/>'),
        Markup('<line class="limit" x1="{}%" x2="{}%" y1="0%" y2="100%"/>').format(at(limit), at(limit)),
    ]
    spoken = f"{pair.now.title}: now {now:g}, limit {pair.now.way} {limit:g}"
    if before is not None:
        spoken += f", before {before:g}"
        pieces.append(Markup('<line class="whisker" x1="{}%" x2="{}%" y1="50%" y2="50%"/>').format(at(before), at(now)))
        pieces.append(Markup('<circle class="was" cx="{}%" cy="50%" r="6.5"/>').format(at(before)))
    pieces.append(Markup('<circle class="dot" cx="{}%" cy="50%" r="4"/>').format(at(now)))
    return Markup('<svg class="interval is-{}" role="img" aria-label="{}">{}</svg>').format(
        pair.now.kind, spoken, Markup("").join(pieces)
    )


def compared(before: str | None, after: str | None) -> tuple[Markup, Markup]:
    """Two texts with the words that went (`del`) and came (`ins`) marked. Everything is escaped."""
    words: list[list[str]] = [_WORD.findall(text or "") for text in (before, after)]
    if sum(map(len, words)) > _MOST_WORDS:
        return Markup("{}").format(before or ""), Markup("{}").format(after or "")
    matcher = SequenceMatcher(a=words[0], b=words[1], autojunk=False)
    old: list[Markup] = []
    new: list[Markup] = []
    for kind, start, end, begin, stop in matcher.get_opcodes():
        plain = kind == "equal" or not all(words)
        old.append(_marked(_WENT, words[0][start:end], plain=plain))
        new.append(_marked(_CAME, words[1][begin:stop], plain=plain))
    return Markup("").join(old), Markup("").join(new)


def _marked(frame: Markup, words: Sequence[str], *, plain: bool) -> Markup:
    text = "".join(words)
    if plain or not text:
        return Markup("{}").format(text)
    space = text[: len(text) - len(text.lstrip())]
    return frame.format(space, text.lstrip())
