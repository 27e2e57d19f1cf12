"""Recordings put in order for a page that has no script to sort them: one short list per question a steward asks.

Takes the entries of a validation report as they are; what they mean is told by `table.findings.RecordingCount`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHORT = 20
"""The length of every list but the one of all recordings."""

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One tab: its `label`, its `entries`, and of how many it shows the first ones."""

    label: str
    entries: tuple[Entry, ...]
    of: int


def orders(recordings: Sequence[Entry]) -> tuple[Order, ...]:
    """The recordings of one table: those with findings, by lost rows, by missing cells, by length, and all by number.

    Unusable ones lead those with findings. An empty list is left out. Equal entries stay in the order of their numbers.
    """
    found = sorted(
        (r for r in recordings if r["errors"] or r["warnings"]),
        key=lambda r: (r["read"], -r["errors"], -r["warnings"]),
    )
    lost = sorted((r for r in recordings if r["lost"]), key=lambda r: -r["lost"])
    missing = sorted((r for r in recordings if r["missing"]), key=lambda r: -r["missing"])
    short = sorted((r for r in recordings if r["seconds"] is not None), key=lambda r: r["seconds"])
    lists = {"Findings first": found, "Most lost": lost, "Most missing": missing, "Shortest first": short}
    shown = [Order(label=label, entries=tuple(e[:SHORT]), of=len(e)) for label, e in lists.items() if e]
    return (*shown, Order(label="All, by number", entries=tuple(recordings), of=len(recordings)))


def tally(findings: Sequence[Entry], table: str, severity: str) -> int:
    """How many findings of one severity a table has."""
    return sum(finding["table"] == table and finding["severity"] == severity for finding in findings)
