"""Every attacker against counting by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sensai_release.privacy.linkability import attackers
from sensai_release.privacy.linkability.attackers import Layout, Outcomes
from sensai_release.privacy.linkability.intervals import draws, equal_error_rate, never_seen, rates

SIZES = [1, 2, 3, 4, 1, 2, 5, 1, 2, 2, 3, 4]


def people(seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(SIZES)), SIZES)).astype(np.int64)


def by_hand(scores: npt.NDArray[Any], persons: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """Nearest, farthest and AUC, each the mean over the sessions of persons with several."""
    found = []
    for probe in range(len(persons)):
        others = [n for n in range(len(persons)) if n != probe]
        mate = persons[others] == persons[probe]
        if mate.any():
            own = scores[probe, others]
            pairs = np.subtract.outer(own[mate], own[~mate])
            highest, lowest = own == own.max(), own == own.min()
            found.append((mate[highest].mean(), mate[lowest].mean(), ((pairs > 0) + 0.5 * (pairs == 0)).mean()))
    nearest, farthest, area = np.mean(found, axis=0)
    return float(nearest), float(farthest), float(area)


def shares(outcomes: Outcomes, plan: Layout, order: int) -> tuple[float, float, float]:
    probes = plan.person_probes.sum()
    nearest, farthest, area = (
        part[order].sum() / probes for part in (outcomes.nearest, outcomes.farthest, outcomes.area)
    )
    return float(nearest), float(farthest), float(area)


def in_order(plan: Layout, order: int) -> npt.NDArray[np.int64]:
    persons = np.empty(plan.sessions, dtype=np.int64)
    persons[plan.orders[order]] = plan.slot_person
    return persons


@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize("kind", ["continuous", "few values", "two values"])
@pytest.mark.parametrize("seed", range(4))
def test_one_column_equals_counting_by_hand(kind: str, order: int, seed: int) -> None:
    persons = people(seed)
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(30) if kind == "continuous" else rng.integers(0, 4 if kind == "few values" else 2, 30)
    plan = attackers.layout(persons, permutations=3, seed=seed)
    whole = attackers.standardised(values.astype(np.float64)[:, None])
    scores = -np.abs(whole - whole.T).astype(np.float32)
    found = shares(attackers.nearest_in_column(values.astype(np.float64), plan), plan, order)
    assert found == pytest.approx(by_hand(scores, in_order(plan, order)))


@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_many_columns_equal_counting_by_hand(order: int, seed: int) -> None:
    persons = people(seed)
    values = np.random.default_rng(seed).integers(0, 3, (30, 4)).astype(np.float64)
    plan = attackers.layout(persons, permutations=3, seed=seed)
    named = in_order(plan, order)
    for made, scores in (
        (attackers.cosine, attackers.cosine_scores(values)),
        (attackers.distance, attackers.distance_scores(values)),
    ):
        assert shares(made(values, plan), plan, order) == pytest.approx(by_hand(scores.astype(np.float32), named))
    slots = attackers.standardised(values)[plan.orders[order]][None]
    for name, learnt in attackers.learned_scores(slots, plan).items():
        whole = np.zeros((30, 30), dtype=np.float32)
        whole[plan.probe_slot] = learnt[0]
        found = shares(attackers.learned(values, plan)[name], plan, order)
        assert found == pytest.approx(by_hand(whole, plan.slot_person))


@pytest.mark.parametrize("columns", [3, 40])
@pytest.mark.parametrize("name", attackers.LEARNED)
def test_nothing_is_learnt_of_the_probe(columns: int, name: str) -> None:
    persons = people(1)
    plan = attackers.layout(persons, permutations=0, seed=1)
    slots = np.random.default_rng(1).standard_normal((1, 30, columns))
    fold = int(plan.person_fold[0])
    own = plan.slot_fold == fold
    probe = int(np.flatnonzero(own[plan.probe_slot])[0])
    moving = own & (np.arange(30) != plan.probe_slot[probe])
    moved = slots.copy()
    moved[:, moving] += 5.0 * np.random.default_rng(2).standard_normal((1, int(moving.sum()), columns))
    before, after = (attackers.learned_scores(part, plan, names=(name,))[name][0] for part in (slots, moved))
    others = np.flatnonzero(~own)
    # The others of its fold have changed, and the metric by which the probe is compared has not.
    assert np.allclose(before[probe][others], after[probe][others], rtol=1e-4, atol=1e-4)
    assert not np.allclose(before[probe][moving], after[probe][moving], rtol=1e-2)
    elsewhere = int(np.flatnonzero(~own[plan.probe_slot])[0])
    assert not np.allclose(before[elsewhere][others], after[elsewhere][others], rtol=1e-2)


@pytest.mark.parametrize("columns", [29, 30, 40])
def test_whitening_is_by_the_shrunk_covariance_within_persons(columns: int) -> None:
    """Below and above the number of sessions, where other products of matrices lead to the same scores."""
    persons = people(1)
    plan = attackers.layout(persons, permutations=0, seed=1)
    slots = np.random.default_rng(1).standard_normal((30, columns))
    made = attackers.learned_scores(slots[None], plan, names=("wccn",))["wccn"][0]
    for probe, slot in enumerate(plan.probe_slot):
        known = np.flatnonzero(plan.slot_fold != plan.slot_fold[slot])
        named = plan.slot_person[known]
        apart = np.concatenate([slots[known][named == who] - slots[known][named == who].mean(axis=0)
                                for who in np.unique(named)])  # fmt: skip
        freedom = len(known) - len(np.unique(named))
        share = columns / (columns + freedom)
        within = apart.T @ apart / freedom
        within = (1.0 - share) * within + share * np.diag(np.diag(within)) + 1e-6 * np.eye(columns)
        product = slots @ np.linalg.solve(within, slots[slot])
        length = np.sqrt(np.einsum("ij,ji->i", slots, np.linalg.solve(within, slots.T)))
        expected = product / (length * length[slot])
        assert np.allclose(made[probe], expected, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_chance_equals_guessing(seed: int) -> None:
    persons = people(seed)
    plan = attackers.layout(persons, permutations=0, seed=0)
    flat = np.zeros((30, 30), dtype=np.float32)
    assert plan.chance() == pytest.approx(by_hand(flat, persons)[0])


def test_a_permutation_keeps_the_numbers_of_sessions() -> None:
    plan = attackers.layout(people(0), permutations=5, seed=7)
    for order in range(6):
        assert sorted(np.bincount(in_order(plan, order))) == sorted(SIZES)
    assert np.array_equal(in_order(plan, 0), people(0))
    assert not np.array_equal(in_order(plan, 1), people(0))


@pytest.mark.parametrize("seed", range(4))
def test_equal_error_rate_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plan = attackers.layout(people(seed), permutations=0, seed=0)
    scores = rng.standard_normal((len(plan.probe_slot), 30))
    scores[plan.pair_probe, plan.pair_mate] += seed
    if seed == 2:
        scores = np.round(scores, 0)
    scores[np.arange(len(scores)), plan.probe_slot] = np.nan
    rate = equal_error_rate(scores, plan, draws(plan, count=50, seed=1))
    same = np.zeros(scores.shape, dtype=bool)
    same[plan.pair_probe, plan.pair_mate] = True
    genuine, impostor = scores[same], scores[~same & np.isfinite(scores)]
    points = [
        ((genuine < level).mean(), (impostor >= level).mean())
        for level in [*np.unique(scores[np.isfinite(scores)]), np.inf]
    ]
    assert min(max(point) for point in points) + 1e-12 >= rate.value >= max(min(point) for point in points) - 1e-12
    assert rate.low <= rate.value + 0.02
    assert rate.high >= rate.value - 0.02


def test_bootstrap_draws_persons() -> None:
    plan = attackers.layout(people(0), permutations=0, seed=0)
    drawn = draws(plan, count=200, seed=3)
    assert (drawn.sum(axis=1) == plan.people).all()
    assert np.array_equal(drawn, draws(plan, count=200, seed=3))
    # One person gives every hit: the share of the draws without that person is about 1/e, so the low bound is 0.
    hits = np.zeros((1, plan.people))
    hits[0, 0] = plan.person_probes[0]
    found = rates(Outcomes(nearest=hits, farthest=0 * hits, area=0 * hits), plan, drawn)
    assert found["nearest"].low[0] == 0.0
    assert found["nearest"].high[0] > found["nearest"].value[0] > 0.0
    assert found["farthest"].high[0] == never_seen(plan.people)
    assert (1.0 - never_seen(plan.people)) ** plan.people == pytest.approx(0.025)
