"""How often each attacker finds another session of the same person, for the real identities and for permuted ones.

An attacker ranks, for one session (the probe), all other sessions of everybody (the gallery). Attackers whose ranking
needs no identities (one column, cosine, distance) rank once; those that learn a metric learn it on other people only,
again for every permutation. What the hits mean is `audit`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sensai_release.privacy.actions import Floats

Codes = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Matrix: TypeAlias = npt.NDArray[np.floating[Any]]
FOLDS = 5
LEARNED = ("wccn", "plda")
_BLOCK = 400_000
"""Pairs looked up at once, so that a lookup stays in the cache."""
_RIDGE = 1e-6
"""Added to variances within persons, which are 0 in a column that is constant in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Who is compared with whom.

    Slots hold sessions, and the slots of a person lie together. `orders[k]` says which session lies in which slot:
    `orders[0]` really, the others at random, which permutes identities and keeps the numbers of sessions. Probes are
    the slots of persons with several sessions; `mates` counts the other sessions of the person. Pairs of a probe
    (`pair_probe`) and a mate (the slot `pair_mate`) start at `pair_start`. `people` have several sessions,
    `person_probes` each, from `person_start` on; the metric for a person is learnt without those of the same fold.
    """

    orders: Codes
    slot_person: Codes
    probe_slot: Codes
    mates: Codes
    pair_start: Codes
    pair_probe: Codes
    pair_mate: Codes
    person_start: Codes
    person_probes: Codes
    person_fold: Codes
    slot_fold: Codes

    @property
    def sessions(self) -> int:
        return len(self.slot_person)

    @property
    def people(self) -> int:
        return len(self.person_start)

    def chance(self) -> float:
        """Rank-1 of an attacker who guesses: the mean over probes of mates / other sessions. Exact."""
        return float((self.mates / (self.sessions - 1)).mean())


def layout(persons: Codes, *, permutations: int, seed: int) -> Layout:
    """The layout for persons numbered from 0, of whom there are two or more, and one or more with several sessions."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    order = np.argsort(persons, kind="stable")
    slot_person = persons[order]
    sizes = np.bincount(persons)
    orders = np.stack([order, *(rng.permutation(len(persons)) for _ in range(permutations))])
    first = np.r_[0, np.cumsum(sizes)[:-1]]
    probe_slot = np.flatnonzero(sizes[slot_person] > 1)
    mates = sizes[slot_person[probe_slot]] - 1
    pair_start = np.r_[0, np.cumsum(mates)[:-1]]
    pair_probe = np.repeat(np.arange(len(probe_slot)), mates)
    within = np.arange(len(pair_probe)) - pair_start[pair_probe]
    start = first[slot_person[probe_slot]][pair_probe]
    own = probe_slot[pair_probe] - start
    several = np.flatnonzero(sizes > 1)
    person_fold = rng.permutation(len(several)) % FOLDS
    fold = np.full(len(sizes), -1)
    fold[several] = person_fold
    return Layout(
        orders=orders,
        slot_person=slot_person,
        probe_slot=probe_slot,
        mates=mates,
        pair_start=pair_start,
        pair_probe=pair_probe,
        pair_mate=start + within + (within >= own),
        person_start=np.r_[0, np.cumsum(sizes[several])[:-1]],
        person_probes=sizes[several],
        person_fold=person_fold,
        slot_fold=fold[slot_person],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Sums over each person's probes (orders, people): hits of the nearest and of the farthest session, ties shared
    fairly, and area under the curve of mates against others, ties counted half.
    """

    nearest: Floats
    farthest: Floats
    area: Floats


def standardised(values: Floats) -> Floats:
    """Columns with mean 0 and standard deviation 1; constant ones are 0."""
    centred = values - values.mean(axis=0)
    spread = np.sqrt((centred * centred).mean(axis=0))
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0))


def nearest_in_column(values: Floats, plan: Layout) -> Outcomes:
    """Nearest neighbour by the distance in one column; equal values are looked at once."""
    distinct, inverse, counts = np.unique(standardised(values[:, None])[:, 0], return_inverse=True, return_counts=True)
    return _ranked(-np.abs(distinct[:, None] - distinct[None, :]), inverse.reshape(-1), counts, plan)


def nearest_in_digits(shares: Floats, plan: Layout) -> Outcomes:
    """Nearest neighbour by the last digits of one column: `shares` (sessions, 16), and their parity."""
    parity = shares[:, 1::2].sum(axis=1, keepdims=True) - shares[:, ::2].sum(axis=1, keepdims=True)
    rows, inverse, counts = np.unique(np.hstack([shares, parity]), axis=0, return_inverse=True, return_counts=True)
    return _ranked(_minus_distance(rows), inverse.reshape(-1), counts, plan)


def cosine(values: Floats, plan: Layout) -> Outcomes:
    """Nearest neighbour by the cosine of standardised columns."""
    return _each_once(cosine_scores(values), plan)


def distance(values: Floats, plan: Layout) -> Outcomes:
    """Nearest neighbour by the Euclidean distance of standardised columns."""
    return _each_once(distance_scores(values), plan)


def cosine_scores(values: Floats) -> Floats:
    unit = _unit(standardised(values))
    return np.asarray(unit @ unit.T)


def distance_scores(values: Floats) -> Floats:
    return _minus_distance(standardised(values))


def _minus_distance(values: Floats) -> Floats:
    squares = (values * values).sum(axis=1)
    return np.asarray(2.0 * values @ values.T - squares[:, None] - squares[None, :])


def _unit(values: Matrix) -> Matrix:
    length = np.sqrt((values * values).sum(axis=-1, keepdims=True))
    return np.asarray(np.divide(values, length, out=np.zeros_like(values), where=length > 0))


def circular(digits: Floats, bases: Floats) -> Floats:
    """Last digits as numbers: (sessions, columns, 16) shares to parity, cosine and sine of the digit on its circle."""
    number = np.arange(digits.shape[2])
    sign = np.where(number % 2, 1.0, -1.0)
    angle = 2.0 * np.pi * number / bases[:, None]
    parts = [digits @ sign, (digits * np.cos(angle)).sum(axis=2), (digits * np.sin(angle)).sum(axis=2)]
    return np.concatenate(parts, axis=1)


def _each_once(scores: Floats, plan: Layout) -> Outcomes:
    return _ranked(scores, np.arange(plan.sessions), np.ones(plan.sessions, dtype=np.int64), plan)


def _ranked(scores: Floats, inverse: Codes, counts: Codes, plan: Layout) -> Outcomes:
    """Outcomes of fixed scores (distinct, distinct); `inverse` is the row of each session, `counts` their numbers.

    Ranks are taken over all sessions but the probe: twice the mean rank, so that ties have whole numbers.
    """
    doubled, ties = _doubled_ranks(scores.astype(np.float32), counts)
    highest, lowest = doubled[:, -2], doubled[:, -1]
    ranks = doubled[:, :-2]
    top, bottom = ties[:, 0], ties[:, 1]
    probes, mates = plan.probe_slot[plan.pair_probe], plan.pair_mate
    block = max(1, _BLOCK // max(len(mates), 1))
    pieces = []
    for start in range(0, len(plan.orders), block):
        at = inverse[plan.orders[start : start + block]]
        row = at[:, probes]
        found = ranks[row, at[:, mates]]
        near = np.where(found == highest[row], 1.0 / top[row], 0.0)
        far = np.where(found == lowest[row], 1.0 / bottom[row], 0.0)
        pieces.append(_summed(near, far, 0.5 * found, plan))
    return _joined(pieces)


def _doubled_ranks(scores: Scores, counts: Codes) -> tuple[npt.NDArray[np.int32], Floats]:
    """Twice the mean rank (1 is the lowest score) of every entry in its row, the probe itself left out; then the
    highest and the lowest of a row in two more columns. And how many sessions share these.
    """
    size = len(scores)
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    # Whose own value it is lies at `own`; that session is not in its own gallery.
    weight = counts[order]
    weight -= order == np.arange(size)[:, None]
    ends = np.cumsum(weight, axis=1)
    starts = ends - weight
    place = np.arange(size)
    new = np.ones((size, size), dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    last = np.ones((size, size), dtype=bool)
    last[:, :-1] = new[:, 1:]
    below = np.take_along_axis(starts, np.maximum.accumulate(np.where(new, place, 0), axis=1), axis=1)
    upto = np.where(last, place, size - 1)[:, ::-1]
    above = np.take_along_axis(ends, np.minimum.accumulate(upto, axis=1)[:, ::-1], axis=1)
    result = np.empty((size, size + 2), dtype=np.int32)
    np.put_along_axis(result[:, :size], order, (below + above + 1).astype(np.int32), axis=1)
    total = ends[:, -1]
    top = np.where(above == total[:, None], above - below, 0).max(axis=1)
    bottom = np.where(below == 0, above - below, 0)
    bottom_size = np.where((below == 0) & (above > 0), bottom, 0).max(axis=1)
    result[:, size] = 2 * total - top + 1
    result[:, size + 1] = bottom_size + 1
    return result, np.stack([np.maximum(top, 1), np.maximum(bottom_size, 1)], axis=1).astype(np.float64)


def _summed(near: Matrix, far: Matrix, ranks: Matrix, plan: Layout) -> Outcomes:
    """Pairs (orders, pairs) to sums over each person's probes."""
    hits = [np.add.reduceat(part, plan.pair_start, axis=1) for part in (near, far)]
    held = np.add.reduceat(ranks, plan.pair_start, axis=1)
    own = plan.mates * (plan.mates + 1) / 2.0
    others = plan.sessions - 1 - plan.mates
    area = (held - own) / (plan.mates * others)
    sums = [np.add.reduceat(part, plan.person_start, axis=1) for part in (*hits, area)]
    return Outcomes(nearest=sums[0], farthest=sums[1], area=sums[2])


def _joined(pieces: list[Outcomes]) -> Outcomes:
    return Outcomes(
        nearest=np.concatenate([piece.nearest for piece in pieces]),
        farthest=np.concatenate([piece.farthest for piece in pieces]),
        area=np.concatenate([piece.area for piece in pieces]),
    )


def can_learn(plan: Layout) -> bool:
    """Whether every probe leaves at least three other people with several sessions to learn from."""
    return plan.people - int(np.bincount(plan.person_fold, minlength=FOLDS).max()) >= 3


def learned(values: Floats, plan: Layout, *, names: Sequence[str] = LEARNED) -> dict[str, Outcomes]:
    """`wccn` (cosine after whitening by the covariance within persons, Hatch et al.,
    https://www.isca-archive.org/interspeech_2006/hatch06_interspeech.pdf) and `plda` (the ratio of likelihoods of the
    two-covariance model, Brümmer and de Villiers, Odyssey 2010), both learnt on people of the other folds.
    """
    whole = standardised(values)
    pieces: dict[str, list[Outcomes]] = {name: [] for name in names}
    block = max(1, _BLOCK // (plan.sessions * max(plan.sessions, values.shape[1])))
    for start in range(0, len(plan.orders), block):
        for name, scores in learned_scores(whole[plan.orders[start : start + block]], plan, names=names).items():
            pieces[name].append(_counted(scores, plan))
    return {name: _joined(found) for name, found in pieces.items()}


def learned_scores(slots: Floats, plan: Layout, *, names: Sequence[str] = LEARNED) -> dict[str, Scores]:
    """Scores (orders, probes, slots) of standardised values (orders, slots, columns)."""
    shape = (len(slots), len(plan.probe_slot), plan.sessions)
    found = {name: np.empty(shape, dtype=np.float32) for name in names}
    probe_fold = plan.slot_fold[plan.probe_slot]
    for fold in range(FOLDS):
        probes = np.flatnonzero(probe_fold == fold)
        if len(probes):
            known = _Known.outside(fold, slots, plan)
            made = _by_slots if slots.shape[2] >= plan.sessions else _by_columns
            for name, scores in made(known, slots, plan.probe_slot[probes], names).items():
                found[name][:, probes] = scores
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What people outside a fold teach (orders, sessions, columns): `values` of their sessions less the mean of all,
    and `apart`, those of people with several less the person's mean. `freedom` and `persons` say what that is worth.
    """

    apart: Floats
    values: Floats
    freedom: int
    persons: int

    @classmethod
    def outside(cls, fold: int, slots: Floats, plan: Layout) -> _Known:
        inside = plan.slot_fold != fold
        values, owner = slots[:, inside], plan.slot_person[inside]
        starts = np.flatnonzero(np.r_[True, np.diff(owner) > 0])
        sizes = np.diff(np.r_[starts, len(owner)])
        several = np.repeat(sizes > 1, sizes)
        means = np.repeat(np.add.reduceat(values, starts, axis=1) / sizes[:, None], sizes, axis=1)
        return cls(
            apart=(values - means)[:, several],
            values=values - values.mean(axis=1, keepdims=True),
            freedom=max(len(owner) - len(starts), 1),
            persons=len(starts),
        )


def _by_columns(known: _Known, slots: Floats, probes: Codes, names: Sequence[str]) -> dict[str, Scores]:
    """Scores by covariances of the columns. Both, within and between persons, are shrunk towards their diagonals."""
    columns = slots.shape[2]
    inner = known.apart.transpose(0, 2, 1) @ known.apart / known.freedom
    outer = known.values.transpose(0, 2, 1) @ known.values / known.values.shape[1]
    inner = _shrunk(inner, columns / (columns + known.freedom))
    outer = _shrunk(outer - inner, columns / (columns + known.persons))
    inner[:, np.arange(columns), np.arange(columns)] += _RIDGE
    root = np.linalg.inv(np.linalg.cholesky(inner))
    variance, axes = np.linalg.eigh(root @ outer @ root.transpose(0, 2, 1))
    between = np.maximum(variance, 0.0)[:, None, :]
    seen = (slots @ (root.transpose(0, 2, 1) @ axes)).astype(np.float32)
    own = seen[:, probes]
    found: dict[str, Scores] = {}
    if "wccn" in names:
        found["wccn"] = (_unit(own) @ _unit(seen).transpose(0, 2, 1)).astype(np.float32)
    if "plda" in names:
        total, ratio = 1.0 + between, 1.0 + 2.0 * between
        offset = (seen * seen * (-0.5 * between**2 / (total * ratio)).astype(np.float32)).sum(axis=2)
        scores = (own * (between / ratio).astype(np.float32)) @ seen.transpose(0, 2, 1)
        found["plda"] = (scores + offset[:, None, :] + offset[:, probes, None]).astype(np.float32)
    return found


def _by_slots(known: _Known, slots: Floats, probes: Codes, names: Sequence[str]) -> dict[str, Scores]:
    """The same where columns outnumber sessions, from products of sessions (Woodbury's identity), which are smaller.

    The covariance between persons would there be shrunk to its diagonal nearly, and is taken as its diagonal.
    """
    columns = slots.shape[2]
    share = columns / (columns + known.freedom)
    within = (known.apart**2).sum(axis=1) / known.freedom
    between = np.maximum((known.values**2).mean(axis=1) - within, 0.0)
    rows = np.concatenate([slots, np.sqrt((1.0 - share) / known.freedom) * known.apart], axis=1)
    forms = [
        _inverse_form(rows, share * within + _RIDGE + times * between, slots.shape[1])
        for times in ((0.0, 1.0, 2.0) if "plda" in names else (0.0,))
    ]
    found: dict[str, Scores] = {}
    if "wccn" in names:
        length = np.sqrt(np.diagonal(forms[0], axis1=1, axis2=2))
        lengths = length[:, probes, None] * length[:, None, :]
        found["wccn"] = np.divide(forms[0][:, probes], lengths, out=np.zeros_like(lengths), where=lengths > 0).astype(
            np.float32
        )
    if "plda" in names:
        none, once, twice = forms
        offset = -0.25 * np.diagonal(none + twice - 2.0 * once, axis1=1, axis2=2)
        scores = 0.5 * (none[:, probes] - twice[:, probes])
        found["plda"] = (scores + offset[:, None, :] + offset[:, probes, None]).astype(np.float32)
    return found


def _inverse_form(rows: Floats, diagonal: Floats, count: int) -> Floats:
    """Products x' C^-1 y of the first `count` rows, where C is a diagonal plus the squares of the other rows."""
    scaled = rows / np.sqrt(diagonal)[:, None, :]
    product = scaled @ scaled.transpose(0, 2, 1)
    cross, inner = product[:, count:, :count], product[:, count:, count:] + np.eye(rows.shape[1] - count)
    return np.asarray(product[:, :count, :count] - cross.transpose(0, 2, 1) @ np.linalg.solve(inner, cross))


def _shrunk(covariance: Floats, share: float) -> Floats:
    """Covariances (orders, columns, columns) with all but their diagonals made smaller."""
    shrunk = (1.0 - share) * covariance
    place = np.arange(covariance.shape[1])
    shrunk[:, place, place] = covariance[:, place, place]
    return shrunk


def _counted(scores: Scores, plan: Layout) -> Outcomes:
    """Outcomes of some orders from scores (orders, probes, slots): mates are counted against the rest, nothing is
    sorted.
    """
    probes = np.arange(len(plan.probe_slot))
    scores[:, probes, plan.probe_slot] = np.inf
    below = np.empty((len(scores), len(plan.pair_mate)))
    upto = np.empty_like(below)
    for number in range(int(plan.mates.max())):
        pairs = plan.pair_start[plan.mates > number] + number
        rows = plan.pair_probe[pairs]
        part = scores if len(rows) == scores.shape[1] else scores[:, rows]
        mine = part[:, np.arange(len(rows)), plan.pair_mate[pairs]][:, :, None]
        below[:, pairs] = np.count_nonzero(part < mine, axis=2)
        upto[:, pairs] = np.count_nonzero(part <= mine, axis=2)
    tied = upto - below
    near = np.where(upto == plan.sessions - 1, 1.0 / tied, 0.0)
    far = np.where(below == 0, 1.0 / tied, 0.0)
    return _summed(near, far, 0.5 * (below + upto + 1.0), plan)


def scores_of(name: str, values: Floats, plan: Layout) -> Scores:
    """The scores (probes, slots) of an attacker for the real identities, for the error rates; own sessions are NaN."""
    if name in LEARNED:
        scores: Scores = learned_scores(standardised(values)[plan.orders[:1]], plan, names=(name,))[name][0]
    else:
        made: Callable[[Floats], Any] = cosine_scores if name == "cosine" else distance_scores
        order = plan.orders[0]
        scores = made(values[order])[plan.probe_slot].astype(np.float32)
    scores[np.arange(len(plan.probe_slot)), plan.probe_slot] = np.nan
    return scores
