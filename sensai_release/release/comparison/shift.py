"""Did a distribution shift between two releases? Two-sample tests over persons, with corrected p-values and sizes.

Every person counts once, because rows of one person are not independent: a number stands for the person's mean, a
category for the one the person has most often. Most persons are in both releases, so p-values are too large rather
than too small; the size of the effect is what a reader should look at. Who may be told of is decided in `tablediff`.

Kolmogorov-Smirnov: asymptotic p with the correction of Stephens 1970, https://doi.org/10.1111/j.2517-6161.1970.tb00821.x.
Cliff's delta: Cliff 1993, https://doi.org/10.1037/0033-2909.114.3.494. Holm 1979, https://www.jstor.org/stable/4615733.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_EXPECTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One test: `kolmogorov_smirnov` with the effect `cliffs_delta` (-1 to 1, above 0 where values rose), or
    `chi_square` with `cramers_v` (0 to 1). `p` is not corrected.
    """

    test: str
    statistic: float
    p: float
    measure: str
    effect: float


def compare_numbers(before: Floats, after: Floats) -> Shift:
    """Two samples of at least one finite number each."""
    before, after = np.sort(before), np.sort(after)
    values = np.concatenate([before, after])
    below = np.searchsorted(before, values, side="right") / len(before)
    above = np.searchsorted(after, values, side="right") / len(after)
    distance = float(np.abs(below - above).max())
    size = math.sqrt(len(before) * len(after) / len(values))
    wins = np.searchsorted(before, after, side="left").sum() - (len(before) * len(after) - np.searchsorted(
        before, after, side="right").sum())  # fmt: skip
    return Shift(
        test="kolmogorov_smirnov",
        statistic=distance,
        p=kolmogorov(distance * (size + 0.12 + 0.11 / size)),
        measure="cliffs_delta",
        effect=float(wins) / (len(before) * len(after)),
    )


def compare_categories(before: Counts, after: Counts) -> Shift:
    """Counts of the same categories in two samples of at least one each.

    Categories are pooled from the rarest on until each expected count is at least 5, as the test needs.
    """
    table = np.array([before, after], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    table = table[:, np.argsort(-table.sum(axis=0), kind="stable")]
    share = table.sum(axis=1).min() / table.sum()
    while table.shape[1] > 1 and table[:, -1].sum() * share < _EXPECTED:
        table = np.column_stack([table[:, :-2], table[:, -2] + table[:, -1]])
    if table.shape[1] == 1:
        return Shift(test="chi_square", statistic=0.0, p=1.0, measure="cramers_v", effect=0.0)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return Shift(
        test="chi_square",
        statistic=statistic,
        p=chi_square(statistic, table.shape[1] - 1),
        measure="cramers_v",
        effect=math.sqrt(statistic / float(table.sum())),
    )


def kolmogorov(value: float) -> float:
    """The chance that Kolmogorov's limit distribution exceeds a value."""
    if value < 0.2:
        return 1.0  # The series does not converge there; the chance is above 1 - 1e-12.
    terms = ((-1) ** (k - 1) * math.exp(-2.0 * k * k * value * value) for k in range(1, 101))
    return min(max(2.0 * math.fsum(terms), 0.0), 1.0)


def chi_square(value: float, freedom: int) -> float:
    """The chance that a chi-square variable with so many degrees of freedom exceeds a value (finite sums, exact)."""
    half = value / 2.0
    if freedom % 2 == 0:
        first, total, start = math.exp(-half), 0.0, 1.0
        term = first
    else:
        total, start = math.erfc(math.sqrt(half)), 1.5
        term = math.exp(-half) * math.sqrt(half) / math.gamma(1.5)
    for step in range(freedom // 2):
        total += term
        term *= half / (start + step)
    return min(total, 1.0)


def holm(chances: Sequence[float]) -> list[float]:
    """P-values corrected for their number by Holm's step-down method, in the order given."""
    result = [1.0] * len(chances)
    highest = 0.0
    for place, number in enumerate(sorted(range(len(chances)), key=lambda number: chances[number])):
        highest = max(highest, min((len(chances) - place) * chances[number], 1.0))
        result[number] = highest
    return result
