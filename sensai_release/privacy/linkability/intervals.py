"""Rates with 95 % intervals from a bootstrap over persons, and equal error rates.

Whole persons are drawn with replacement, as the sessions of one person are no independent evidence; the gallery stays
as it is, since a person drawn twice would otherwise be found in the copy (cluster bootstrap: Field and Welsh,
https://doi.org/10.1111/j.1467-9868.2007.00593.x). Which attacker made the outcomes is of no concern here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sensai_release.privacy.actions import Floats
from sensai_release.privacy.linkability.attackers import Layout, Outcomes

_TAIL = 0.025
_BINS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """A rate for the real identities (first) and for each permutation, with the bounds of its 95 % interval."""

    value: Floats
    low: Floats
    high: Floats


def draws(plan: Layout, *, count: int, seed: int) -> Floats:
    """How often each person is drawn: (count, people)."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
    people = plan.people
    drawn = rng.integers(0, people, (count, people)) + np.arange(count)[:, None] * people
    return np.bincount(drawn.reshape(-1), minlength=count * people).reshape(count, people).astype(np.float64)


def rates(outcomes: Outcomes, plan: Layout, drawn: Floats) -> dict[str, Rates]:
    """`nearest` and `farthest` (share of probes whose nearest or farthest session is of the same person) and `auc`."""
    probes = drawn @ plan.person_probes.astype(np.float64)
    total = float(plan.person_probes.sum())
    floor = never_seen(plan.people)
    made = {}
    for name, sums in (("nearest", outcomes.nearest), ("farthest", outcomes.farthest), ("auc", outcomes.area)):
        low, high = _bounds((sums @ drawn.T) / probes)
        high = high if name == "auc" else np.maximum(high, floor)
        made[name] = Rates(value=sums.sum(axis=1) / total, low=low, high=high)
    return made


def never_seen(people: int) -> float:
    """The exact upper 97.5 % bound of a rate that was 0 among so many people: not once is no proof of never."""
    return float(1.0 - _TAIL ** (1.0 / people))


def _bounds(samples: Floats) -> tuple[Floats, Floats]:
    """The 2.5 % and 97.5 % quantiles of each row, the outer one of two neighbours."""
    count = samples.shape[1]
    low = int(np.floor(_TAIL * (count - 1)))
    ordered = np.partition(samples, (low, count - 1 - low), axis=1)
    return ordered[:, low], ordered[:, count - 1 - low]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRate:
    value: float
    low: float
    high: float


def equal_error_rate(scores: npt.NDArray[np.floating], plan: Layout, drawn: Floats) -> ErrorRate:
    """The rate at which as many pairs of one person are refused as pairs of two persons are taken for one.

    `scores` (probes, slots) has NaN for a probe itself. All pairs count alike; between two thresholds the rates are
    taken as straight lines. The interval is made from scores in a thousand bins.
    """
    same = np.zeros(scores.shape, dtype=bool)
    same[plan.pair_probe, plan.pair_mate] = True
    other = ~same & np.isfinite(scores)
    genuine, impostor = np.sort(scores[same]), np.sort(scores[other])
    value = _crossing(*_roc(genuine, impostor))
    edges = np.quantile(impostor, np.linspace(0.0, 1.0, _BINS + 1)[1:-1])
    person = np.repeat(np.arange(plan.people), plan.person_probes)
    counts = []
    for kind in (same, other):
        rows, _ = np.nonzero(kind)
        cell = person[rows] * _BINS + np.searchsorted(edges, scores[kind], side="right")
        counts.append(np.bincount(cell, minlength=plan.people * _BINS).reshape(plan.people, _BINS))
    mates, others = (np.cumsum(drawn @ part, axis=1) for part in counts)
    zero = np.zeros((len(drawn), 1))
    refused = np.hstack([zero, mates / mates[:, -1:]])
    taken = 1.0 - np.hstack([zero, others / others[:, -1:]])
    samples = np.array([_crossing(*pair) for pair in zip(refused, taken, strict=True)])
    low, high = _bounds(samples[None])
    return ErrorRate(value=value, low=float(low[0]), high=float(high[0]))


def _roc(genuine: npt.NDArray[np.floating], impostor: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Share of sorted genuine scores refused and of impostors taken, at every threshold from the lowest on."""
    levels = np.unique(np.concatenate([genuine, impostor]))
    refused = np.r_[0.0, np.searchsorted(genuine, levels, side="right") / len(genuine)]
    taken = np.r_[1.0, 1.0 - np.searchsorted(impostor, levels, side="right") / len(impostor)]
    return refused, taken


def _crossing(refused: Floats, taken: Floats) -> float:
    """Where the rising `refused` meets the falling `taken`."""
    gap = refused - taken
    after = int(np.argmax(gap >= 0))
    if after == 0:
        return float(refused[0])
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(refused[after - 1] + share * (refused[after] - refused[after - 1]))
