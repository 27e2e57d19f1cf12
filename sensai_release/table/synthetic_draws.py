"""Random numbers and column values for the synthetic cohort.

Every number is a hash of the seed, a purpose and counters (person, session, row), so a value depends on nothing that
was drawn before it: more participants, more columns or another order leave it as it is. Which tables there are and
how they hang together is left to `table.synthetic`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BLOCK = 20
"""Rows over which `spread` holds the declared shares; one in twenty, 5 %, is the smallest share that it can keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Random numbers by counter: SplitMix64 (https://doi.org/10.1145/2660193.2660195) of seed, purpose and counters."""

    seed: int

    def uniform(self, purpose: str, *counters: Integers) -> Floats:
        """Numbers in (0, 1), one for each element of the counters, which are arrays of one shape."""
        digest = hashlib.blake2b(f"{self.seed}\0{purpose}".encode(), digest_size=8).digest()
        state = np.full(counters[0].shape, int.from_bytes(digest, "little"), dtype=np.uint64)
        for counter in counters:
            state = _mix(state + (counter.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
        return ((_mix(state) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, purpose: str, *counters: Integers) -> Floats:
        """Standard normal numbers (Box and Muller)."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(f"{purpose}\0radius", *counters)))
        return np.asarray(radius * np.cos(2.0 * np.pi * self.uniform(f"{purpose}\0angle", *counters)))

    def whole(self, purpose: str, bounds: Sequence[int], *counters: Integers) -> Integers:
        """Whole numbers from `bounds[0]` to `bounds[1]`, both included."""
        low, high = bounds
        return (low + np.floor(self.uniform(purpose, *counters) * (high - low + 1))).astype(np.int64)

    def spread(self, purpose: str, rows: int) -> Floats:
        """Like `uniform`, but every twenty rows have one number in every twentieth: shares hold in a small cohort."""
        number = np.arange(-(-rows // _BLOCK) * _BLOCK, dtype=np.int64)
        order = np.lexsort((self.uniform(f"{purpose}\0order", number), number // _BLOCK))
        rank = np.empty_like(number)
        rank[order] = number % _BLOCK
        return np.asarray((rank + self.uniform(purpose, number)) / _BLOCK)[:rows]


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))


def share_of_normal(z: Floats) -> Floats:
    """The share of a standard normal below `z`, by the logistic curve (within 0.01; numpy has no erf)."""
    return np.asarray(1.0 / (1.0 + np.exp(-1.702 * z)))


def pick(shares: Mapping[str, float], uniform: Floats) -> NDArray[np.object_]:
    """The label whose part of (0, 1) a number falls in; parts are in proportion to `shares`, in their order."""
    edges = np.cumsum(list(shares.values()))
    labels = np.array(list(shares), dtype=object)
    return np.asarray(labels[np.searchsorted(edges / edges[-1], uniform, side="right").clip(max=len(labels) - 1)])


def dates(
    entry: Mapping[str, Any],
    base: NDArray[np.datetime64],
    draws: Draws,
    purpose: str,
    person: Integers,
    number: Integers,
) -> NDArray[np.datetime64]:
    """Times of day `hours`, some `days` after the day of `base`, and each further row of a person `step_days` later.

    Rows of one person stand together, `number` counts them from 0.
    """
    first = draws.whole(f"{purpose}\0days", entry["days"], person)
    step = np.where(number > 0, draws.whole(f"{purpose}\0step", entry.get("step_days", (0, 0)), person, number), 0)
    total = np.cumsum(step)
    starts = np.flatnonzero(number == 0)
    since = total - np.repeat(total[starts], np.diff(np.append(starts, len(number)))) if len(number) else total
    low, high = entry["hours"]
    minutes = draws.whole(f"{purpose}\0minute", (low * 60, max(low * 60, high * 60 - 1)), person, number)
    day = base.astype("datetime64[D]") + (first + since).astype("timedelta64[D]")
    return np.asarray(day.astype("datetime64[s]") + minutes.astype("timedelta64[m]"))


def smooth(rng: np.random.Generator, frames: int, columns: int) -> Floats:
    """Smooth series of about unit variance, an array (frames, columns): splines through random knots."""
    weights = _spline(frames)
    return np.asarray(weights @ rng.standard_normal((weights.shape[1], columns)))


@lru_cache(maxsize=4)
def _spline(frames: int, spacing: int = 12) -> Floats:
    """Weights (frames, knots) of a cubic B-spline with a knot every `spacing` frames, scaled to unit variance."""
    position = np.arange(frames) / spacing
    knot, t = np.floor(position).astype(np.int64), position % 1.0
    pieces = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1)
    weights = np.zeros((frames, int(knot[-1]) + 4))
    np.put_along_axis(weights, knot[:, None] + np.arange(4), pieces, axis=1)
    return np.asarray(weights / np.sqrt((pieces**2).sum(axis=1, keepdims=True)))
