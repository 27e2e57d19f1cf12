"""Class sizes as a report tells them: k with missing as a wildcard, who stands alone in what, masked counts and shares.

Counted in persons, one row each (`privacy.persons`). What a gate makes of the figures is `privacy.risk`'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sensai_release.privacy.classes import MISSING, Codes, class_sizes, combine
from sensai_release.privacy.masking import mask_counts, masked

Json = Mapping[str, Any]


def wildcard_k(columns: Sequence[Codes], rows: int) -> int:
    """The smallest number of persons, oneself included, that a person agrees with when a missing cell fits anything.

    Exact: persons are grouped by which cells they lack, and each pair of groups is compared on what both have.
    """
    if rows == 0:
        return 0
    patterns = combine([(codes == MISSING).astype(np.int64) for codes in columns], rows)
    groups = [np.flatnonzero(patterns == pattern) for pattern in np.unique(patterns)]
    smallest = rows
    for own in groups:
        agreeing = np.zeros(len(own), dtype=np.int64)
        for other in groups:
            shared = [codes for codes in columns if codes[own[0]] != MISSING and codes[other[0]] != MISSING]
            both = np.r_[own, other]
            ids = combine([codes[both] for codes in shared], len(both))
            sizes = np.bincount(ids[len(own) :], minlength=int(ids.max()) + 1)
            agreeing += sizes[ids[: len(own)]]
        smallest = min(smallest, int(agreeing.min()))
    return smallest


def pair_uniques(columns: Mapping[str, Codes], rows: int) -> list[tuple[tuple[str, ...], int]]:
    """Persons alone in one or two attributes, and in no part of them, for every such set of attributes."""
    alone = {name: class_sizes(combine([codes], rows)) == 1 for name, codes in columns.items()}
    found: list[tuple[tuple[str, ...], int]] = [((name,), int(single.sum())) for name, single in alone.items()]
    for first, second in itertools.combinations(columns, 2):
        together = class_sizes(combine([columns[first], columns[second]], rows)) == 1
        found.append(((first, second), int((together & ~alone[first] & ~alone[second]).sum())))
    return found


def histogram(sizes: Codes, k: int, minimum: int) -> tuple[Json, ...]:
    """Persons by the size of their class; the cells partition all persons, so small ones are masked together."""
    steps = sorted({1, 2, k, 2 * k, 4 * k, 8 * k})
    bounds = [*itertools.pairwise(steps), (steps[-1], None)]
    counts = {_range(low, high): int(((sizes >= low) & (sizes < (high or np.inf))).sum()) for low, high in bounds}
    return tuple({"size": name, "persons": number} for name, number in mask_counts(counts, minimum).items())


def _range(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} or more"
    return str(low) if high == low + 1 else f"{low} to {high - 1}"


def describe_attribute(name: str, codes: Codes, tier: int, minimum: int) -> Json:
    alone = int((class_sizes(combine([codes], len(codes))) == 1).sum())
    return {
        "name": name,
        "tier": tier,
        "categories": len(np.unique(codes[codes != MISSING])),
        "missing": masked(int((codes == MISSING).sum()), minimum),
        "unique": masked(alone, minimum),
    }


def measure(number: int, total: int, minimum: int) -> Json:
    """Count and share. The total is published, so the rest must not be small either."""
    if 0 < number < minimum:
        return {"persons": f"<{minimum}", "share": f"<{min(minimum / total, 1):.2f}"}
    if 0 < total - number < minimum:
        return {"persons": f">{max(total - minimum, 0)}", "share": f">{max(total - minimum, 0) / total:.2f}"}
    return {"persons": number, "share": round(number / total, 4) if total else 0.0}
