"""Special uniques: the smallest sets of attributes that already single a person out.

A minimal sample unique (MSU) is a set of attributes in which a person is alone, though in no part of it. Scores are
Elliot, Manning and Ford's (2002, International Journal of Uncertainty, Fuzziness and Knowledge-Based Systems 10(5),
493-509), the search uses the subset property as Manning, Haglin and Keane's SUDA2 does
(https://doi.org/10.1007/s10618-007-0078-6): a set that holds an MSU of a person is no MSU of that person. Counted in
persons, one row each; missing is a value. What a report shows is a distribution and the share of each attribute, never
a person.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.classes import Codes, class_sizes, combine
from sensai_release.privacy.masking import MINIMUM

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Subset = tuple[int, ...]

DEFAULT_SIZE = 3
# Sets of attributes times distinct rows: a second or so, and about a minute.
_CHEAP = 20_000_000
_MAXIMUM = 2_000_000_000
# Of a population of unknown size, data intrusion simulation takes this share to be in the sample, as sdcMicro does.
ASSUMED_FRACTION = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialUniques:
    """The MSUs of up to `size` attributes of a table with one row a person.

    `uniques`: persons with that MSU, for each set of attributes that is one of somebody. `smallest`: the size of each
    person's smallest MSU, 0 without. `alone`: who is alone over all attributes. `scores` and `dis_scores` are SUDA and
    DIS-SUDA scores, per person, 0 without an MSU. `contributions`: the share of the sum of scores that comes from MSUs
    with that attribute. `dis`: the chance that a match with a unique is right, `None` without uniques.
    """

    attributes: tuple[str, ...]
    size: int
    uniques: Mapping[tuple[str, ...], int]
    contributions: Mapping[str, float]
    dis: float | None
    smallest: Codes = field(repr=False)
    alone: Flags = field(repr=False)
    scores: Floats = field(repr=False)
    dis_scores: Floats = field(repr=False)

    def describe(self, minimum: int = MINIMUM) -> dict[str, Any]:
        """What may be published. Nonzero counts all hide when one of them is small: their sum is published elsewhere.

        Quartiles of scores are given when at least four times `minimum` persons have one.
        """
        found = self.smallest[self.alone]
        counts = {str(size): int((found == size).sum()) for size in range(1, self.size + 1)}
        counts["more"] = int((found == 0).sum())
        hide = any(0 < n < minimum for n in (*counts.values(), int((~self.alone).sum())))
        texts = {True: f"<{minimum}", False: f">={minimum}"}
        return {
            "attributes": list(self.attributes),
            "size": self.size,
            "sizes": [{"size": name, "persons": texts[n < minimum] if hide and n else n} for name, n in counts.items()],
            "score": _quartiles(self.scores, minimum),
            "dis": None if self.dis is None else round(self.dis, 2),
            "dis_suda": _quartiles(self.dis_scores, minimum),
            "contributions": [{"name": name, "share": round(share, 2)} for name, share in self.contributions.items()],
        }


def special_uniques(
    columns: Mapping[str, Codes], rows: int, *, size: int | None = None, fraction: float = ASSUMED_FRACTION
) -> SpecialUniques:
    """All MSUs of up to `size` attributes; without `size` of all sizes where that is cheap, else of up to three.

    `columns` are codes of one row a person (`classes.encode`); `fraction` is the share of the population that is in the
    table, for data intrusion simulation (Skinner and Elliot, https://doi.org/10.1111/1467-9868.00365). Raises
    `ConfigurationError` when there are too many sets of attributes for so many persons.
    """
    names = tuple(columns)
    ids = combine(list(columns.values()), rows)
    _, first, weights = np.unique(ids, return_index=True, return_counts=True)
    codes = [column[first] for column in columns.values()]
    size = _affordable(len(names), len(first), size)
    alone = weights == 1
    found = _search(codes, weights.astype(np.int64), np.flatnonzero(alone), size)
    smallest = np.zeros(rows, dtype=np.int64)
    scores = np.zeros(rows)
    shares = dict.fromkeys(names, 0.0)
    people = first[alone]
    for subset, having in found.items():
        weight = _weight(len(subset), len(names), size)
        scores[people[having]] += weight
        for column in subset:
            shares[names[column]] += weight * int(having.sum())
        fresh = people[having]
        smallest[fresh] = np.where(smallest[fresh] == 0, len(subset), smallest[fresh])
    total = float(scores.sum())
    unique, pairs = int(alone.sum()), int((weights == 2).sum())
    dis = unique * fraction / (unique * fraction + 2 * pairs * (1 - fraction)) if unique else None
    single = np.zeros(rows, dtype=bool)
    single[people] = True
    return SpecialUniques(
        attributes=names,
        size=size,
        uniques={tuple(names[n] for n in subset): int(having.sum()) for subset, having in found.items()},
        contributions={name: share / total if total else 0.0 for name, share in shares.items()},
        dis=dis,
        smallest=smallest,
        alone=single,
        scores=scores,
        dis_scores=_dis_scores(scores, dis, unique, len(names)),
    )


def _affordable(attributes: int, rows: int, size: int | None) -> int:
    def work(largest: int) -> int:
        return rows * sum(math.comb(attributes, n) for n in range(1, largest + 1))

    if size is None:
        size = attributes if work(attributes) <= _CHEAP else min(DEFAULT_SIZE, attributes)
    size = min(size, attributes)
    if work(size) > _MAXIMUM:
        sets = sum(math.comb(attributes, n) for n in range(1, size + 1))
        raise ConfigurationError(
            "schemas",
            f"{attributes} quasi-identifiers make {sets} sets of up to {size}, too many for so many persons",
            "Drop quasi-identifiers, or look for smaller sets.",
        )
    return size


def _search(columns: list[Codes], weights: Codes, singles: Codes, size: int) -> dict[Subset, Flags]:
    """For each set of columns, smaller ones first, which of the rows `singles` have it as an MSU; empty ones left out.

    Only rows that are alone over all columns can be alone over some of them.
    """
    found: dict[Subset, Flags] = {}
    before: dict[Subset, Flags] = {(): np.zeros(len(singles), dtype=bool)}
    for length in range(1, size + 1):
        alone: dict[Subset, Flags] = {}
        for subset in itertools.combinations(range(len(columns)), length):
            known = np.logical_or.reduce([before[subset[:n] + subset[n + 1 :]] for n in range(length)])
            if not known.all():
                ids = combine([columns[n] for n in subset], len(weights))
                now = class_sizes(ids, weights)[singles] == 1
                fresh = now & ~known
                if fresh.any():
                    found[subset] = fresh
                known = now
            alone[subset] = known
        before = alone
    return found


def _weight(length: int, attributes: int, size: int) -> float:
    """What an MSU adds to a score: the smaller, the more. With all sizes searched it is (attributes - length)!."""
    return float(math.prod(attributes - n for n in range(length, min(size, attributes - 1) + 1)))


def _dis_scores(scores: Floats, dis: float | None, unique: int, attributes: int) -> Floats:
    """DIS-SUDA as sdcMicro computes it: scores spread the chance of a right match over those who have one.

    The odds of a right match grow with the score to the power 1 + (8 - attributes) / 20, such that equal scores give
    `dis` to everybody. Set to 0 without an MSU.
    """
    result = np.zeros(len(scores))
    having = scores > 0
    if dis is None or not having.any():
        return result
    # From the largest score down, so that powers of large scores do not overflow.
    relative = (scores[having] / scores.max()) ** (1 + (8 - attributes) / 20)
    result[having] = 1 / (1 + unique * (1 / dis - 1) / (relative * float((1 / relative).sum())))
    return result


def _quartiles(values: Floats, minimum: int) -> dict[str, float] | None:
    """To two significant digits, over those above zero; `None` when they are few."""
    some = values[values > 0]
    if len(some) < 4 * minimum:
        return None
    quartiles = np.quantile(some, [0.25, 0.5, 0.75], method="lower")
    return {name: float(f"{value:.1e}") for name, value in zip(("p25", "p50", "p75"), quartiles, strict=True)}
