"""A risk report put in order for its page: gates in words, column groups by what they tell, long lists cut short.

Takes the report as it is and measures nothing. What the numbers mean is told where they are computed: `privacy.risk`,
`privacy.linkability`, `privacy.series`, `privacy.utility`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Json = Mapping[str, Any]

SECTIONS = {
    "diversity": "what a class gives away (l and t)",
    "suda": "special uniques (SUDA)",
    "attack_risk": "chances of an attacker",
    "population": "uniqueness in the population",
    "linkability": "linkability of sessions",
    "series": "risk across releases",
    "utility": "utility",
}
"""Parts of a report that an older one, or one of a release by itself, does not have."""

_GATES = {
    "persons": ("Persons in the release", "Fewer could not hide among one another.", "at least"),
    "k_min": (
        "Smallest class (k)",
        "Everybody shares all that an acquaintance can know with so many persons, oneself included.",
        "at least",
    ),
    "suppressed_persons": ("Persons with blanked cells", "Their cells were blanked to hide them.", "at most"),
    "minimal_sample_uniques": (
        "Persons singled out by one or two facts",
        "One or two things that an acquaintance can know point to this person alone.",
        "at most",
    ),
    "l_min": (
        "Fewest values of a sensitive attribute in a class (l)",
        "With one value only, whoever finds the class knows it of everybody in it.",
        "at least",
    ),
    "t_max": (
        "Class furthest from all persons (t)",
        "How much more the values of a class tell than those of all persons; 0 is nothing.",
        "at most",
    ),
    "linkability_rank1": (
        "Sessions matched at the first guess (rank-1)",
        "The upper 95 % bound of the strongest attacker: the right session of the same person comes first.",
        "at most",
    ),
    "linkability_auc": (
        "Telling same from other persons (AUC, distance from one half)",
        "The upper 95 % bound: 0 is guessing, 0.5 never wrong.",
        "at most",
    ),
    "series_k_min": (
        "Smallest class over all releases together",
        "The same as k, for somebody who holds the earlier releases too.",
        "at least",
    ),
}
_KINDS = {"passed": "good", "failed": "bad", "cannot_assess": "note"}
_WORDS = {"passed": "passed", "failed": "not passed", "cannot_assess": "cannot be assessed"}
_SHORT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLine:
    """One gate in words. `name` and `of` (a table or a set of columns) are those of the report.

    `state` is passed, failed or cannot_assess; `stops` whether it stops a release.
    """

    name: str
    of: str
    title: str
    meaning: str
    way: str
    value: Any
    limit: Any
    state: str
    stops: bool
    waived: bool

    @property
    def kind(self) -> str:
        return _KINDS[self.state]

    @property
    def verdict(self) -> str:
        return _WORDS[self.state]


def gates(report: Json) -> tuple[GateLine, ...]:
    """Every gate of a report, those of its sections included. What could not be assessed is never passed."""
    waived = frozenset(report.get("waived") or ())
    return tuple(_line(entry, name in waived) for name, entry in _entries(report))


def _entries(report: Json) -> Iterator[tuple[str, Json]]:
    """Each entry with the name under which a waiver would speak of it."""
    for entry in report["gate"]:
        yield entry["name"], entry
    for name, section in report.items():
        if not isinstance(section, Mapping):
            continue
        for entry in section.get("gate") or ():
            yield name, entry
        if name == "series" and not section.get("gate") and (section["releases"] or section["findings"]):
            # Earlier releases there are, but none that could be joined.
            limit = section.get("k", report["k"])
            yield name, {"name": "series_k_min", "value": None, "limit": limit, "ok": True, "status": "cannot_assess"}


def _line(entry: Json, waived: bool) -> GateLine:
    name, ok = entry["name"], entry["ok"]
    title, meaning, way = _GATES.get(name, (name.replace("_", " "), "", ""))
    open_question = ok is None or entry.get("status") == "cannot_assess"
    return GateLine(
        name=name,
        of=str(entry.get("scope") or entry.get("table") or ""),
        title=title,
        meaning=meaning,
        way=way,
        value=entry["value"],
        limit=entry["limit"],
        state="cannot_assess" if open_question else "passed" if ok else "failed",
        stops=ok is False,
        waived=waived and ok is False,
    )


def absent(report: Json) -> tuple[str, ...]:
    """What this report says nothing of, in words."""
    return tuple(words for name, words in SECTIONS.items() if not report.get(name))


def kind_of(status: str) -> str:
    """The colour of a status."""
    return _KINDS.get(status, "note")


def in_words(status: str) -> str:
    """A status of the linkability audit as it may be read: `cannot_assess` never reads like passed."""
    return _WORDS.get(status, status.replace("_", " "))


def sets_of(linkability: Json, *kinds: str) -> list[Json]:
    """The column sets of some kinds; groups of columns with the most telling first: failed ones, then by rank-1."""
    found = [entry for entry in linkability["sets"] if entry["kind"] in kinds]
    if "group" not in kinds:
        return found
    return sorted(found, key=lambda entry: (entry["status"] != "failed", -entry["rank1"]["value"], entry["name"]))


def steps(sizes: Sequence[Json]) -> list[tuple[str, int | str]]:
    """The cells of a plot of sizes, without the empty ones at its end."""
    last = max((place for place, cell in enumerate(sizes) if cell["persons"] != 0), default=-1)
    return [(cell["size"], cell["persons"]) for cell in sizes[: last + 1]]


def reach(values: Iterable[float | None], *, ends: Sequence[float] = (0.0,)) -> tuple[float, float]:
    """A span for `interval` plots that holds all values: from 0, or -0.5 or -1, to 0.05, 0.1, 0.25, 0.5 or 1.

    `ends` are further places that it is to hold.
    """
    known = [*ends, *(value for value in values if value is not None)]
    lowest, highest = min(known), max(known)
    least = 0.0 if lowest >= 0 else -0.5 if lowest >= -0.5 else -1.0
    return least, next((top for top in (0.05, 0.1, 0.25, 0.5) if highest <= top), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How far the intervals of one estimate agree over the columns; `tenths` are shares of the columns in per cent."""

    estimate: str
    columns: int
    middle: float
    least: float
    tenths: tuple[int, ...]
    lowest: tuple[Json, ...]


def overlaps(intervals: Sequence[Json]) -> tuple[Overlap, ...]:
    """The overlaps of a utility report, one entry an estimate, with the few columns that agree least."""
    by_estimate: dict[str, list[Json]] = {}
    for entry in intervals:
        by_estimate.setdefault(entry["estimate"], []).append(entry)
    found = []
    for estimate, entries in by_estimate.items():
        values = [entry["overlap"] for entry in entries]
        counts = [0] * 10
        for value in values:
            counts[min(int(value * 10), 9)] += 1
        ranked = sorted(entries, key=lambda entry: (entry["overlap"], entry["column"]))
        found.append(
            Overlap(
                estimate=estimate,
                columns=len(entries),
                middle=median(values),
                least=min(values),
                tenths=tuple(round(100 * count / len(entries)) for count in counts),
                lowest=tuple(ranked[:_SHORT]),
            )
        )
    return tuple(found)


def losses(loss: Sequence[Json]) -> list[Json]:
    """The columns that lost something, most first."""
    changed = [entry for entry in loss if entry["value"]]
    return sorted(changed, key=lambda entry: (-entry["value"], entry["table"], entry["column"]))
