"""Two-sample tests against published critical values, exact small cases and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensai_release.release.comparison.shift import chi_square, compare_categories, compare_numbers, holm, kolmogorov


@pytest.mark.parametrize(
    ("value", "freedom", "chance"),
    [
        (3.841, 1, 0.05),
        (6.635, 1, 0.01),
        (5.991, 2, 0.05),
        (7.815, 3, 0.05),
        (12.592, 6, 0.05),
        (18.307, 10, 0.05),
        (37.566, 20, 0.01),
        (0.0, 1, 1.0),
        (0.0, 4, 1.0),
    ],
)
def test_chi_square_at_the_critical_values_of_the_tables(value: float, freedom: int, chance: float) -> None:
    assert chi_square(value, freedom) == pytest.approx(chance, rel=2e-3)


@pytest.mark.parametrize(("value", "chance"), [(1.2238, 0.10), (1.3581, 0.05), (1.6276, 0.01), (0.1, 1.0)])
def test_kolmogorov_at_the_critical_values_of_the_tables(value: float, chance: float) -> None:
    assert kolmogorov(value) == pytest.approx(chance, rel=1e-3)


def test_numbers_that_do_not_overlap() -> None:
    found = compare_numbers(np.arange(20.0), np.arange(20.0) + 100)
    assert (found.statistic, found.effect) == (1.0, 1.0)
    assert found.p < 1e-6
    assert compare_numbers(np.arange(20.0) + 100, np.arange(20.0)).effect == -1.0


def test_ties_count_for_neither_side() -> None:
    found = compare_numbers(np.array([1.0, 1, 2, 2]), np.array([1.0, 2, 2, 3]))
    # Of 16 pairs eight are higher, two lower and six equal.
    assert found.effect == pytest.approx((8 - 2) / 16)
    assert found.statistic == pytest.approx(0.25)


def test_a_table_of_two_by_two() -> None:
    found = compare_categories(np.array([30, 10]), np.array([10, 30]))
    assert found.statistic == pytest.approx(20.0)
    assert found.effect == pytest.approx(0.5)
    assert found.p == pytest.approx(7.744e-6, rel=1e-3)


def test_rare_categories_are_pooled() -> None:
    # Without pooling two persons in a category of their own would make the result.
    pooled = compare_categories(np.array([20, 20, 2, 0]), np.array([20, 20, 0, 2]))
    assert pooled.p > 0.5
    assert compare_categories(np.array([12, 0]), np.array([12, 0])).p == 1.0


def test_holm_steps_down_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


NUMBERS = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30)


@given(before=NUMBERS, after=NUMBERS)
def test_the_two_samples_are_treated_alike(before: list[float], after: list[float]) -> None:
    one, other = (compare_numbers(*map(np.array, pair)) for pair in ((before, after), (after, before)))
    assert one.effect == pytest.approx(-other.effect)
    assert (one.statistic, one.p) == pytest.approx((other.statistic, other.p))
    below = np.sign(np.subtract.outer(np.array(after), np.array(before))).mean()
    assert one.effect == pytest.approx(below)
    # A shift of scale changes nothing.
    scaled = compare_numbers(np.array(before) * 3, np.array(after) * 3)
    assert scaled.p == one.p
