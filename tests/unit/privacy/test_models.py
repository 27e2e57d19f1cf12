from __future__ import annotations

import itertools

import numpy as np
import pytest

from sensai_release.privacy.models import (
    Scale,
    area_under_curve,
    bootstrap,
    cross_validated,
    logistic,
    predict,
    r_squared,
    ridge,
)


@pytest.mark.parametrize("penalty", [0.0, 0.5, 20.0])
def test_ridge_equals_its_closed_form(penalty: float) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(40, 3))
    y = x @ [1.0, -2.0, 0.5] + 3 + random.normal(size=40)
    whole = np.c_[np.ones(40), x]
    expected = np.linalg.inv(whole.T @ whole + penalty * np.diag([0.0, 1, 1, 1])) @ whole.T @ y
    assert ridge(x, y, penalty) == pytest.approx(expected, rel=1e-9)


def test_ridge_with_equal_columns_still_answers() -> None:
    x = np.c_[np.arange(5.0), np.arange(5.0)]
    coefficients = ridge(x, np.arange(5.0) * 2, 0.0)
    assert predict(x, coefficients, "ridge") == pytest.approx(np.arange(5.0) * 2)


def test_logistic_of_a_two_by_two_table_is_the_log_odds() -> None:
    x = np.repeat([0.0, 0.0, 1.0, 1.0], [30, 10, 15, 45])[:, None]
    y = np.repeat([0.0, 1.0, 0.0, 1.0], [30, 10, 15, 45])
    assert logistic(x, y, 0.0) == pytest.approx([np.log(10 / 30), np.log(45 / 15) - np.log(10 / 30)], abs=1e-6)


@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_logistic_stands_at_a_maximum(penalty: float) -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(80, 4))
    y = (random.random(80) < predict(x, np.array([0.3, 1, -1, 0.5, 0]), "logistic")).astype(np.float64)
    beta = logistic(x, y, penalty)
    share = predict(x, beta, "logistic")
    gradient = np.c_[np.ones(80), x].T @ (y - share) - penalty * np.r_[0.0, beta[1:]]
    assert np.abs(gradient).max() < 1e-4


def test_logistic_of_separated_data_ends() -> None:
    x = np.arange(10.0)[:, None]
    beta = logistic(x, (x[:, 0] > 4).astype(np.float64), 0.0)
    assert np.isfinite(beta).all()


def test_scores_by_hand() -> None:
    ones = np.ones(4)
    assert r_squared(np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 3, 4]), ones) == 1
    assert r_squared(np.array([1.0, 2, 3, 4]), np.full(4, 2.5), ones) == 0
    assert r_squared(np.array([0.0, 2]), np.array([0.0, 0]), np.array([1.0, 3])) == pytest.approx(1 - 12 / 3)
    assert np.isnan(r_squared(ones, ones, ones))
    assert np.isnan(area_under_curve(ones, ones, ones))


@pytest.mark.parametrize("seed", range(10))
def test_area_under_curve_counts_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    target, predicted = random.integers(0, 2, 15).astype(float), random.integers(0, 5, 15).astype(float)
    target[:2] = 0, 1
    weight = random.integers(0, 3, 15).astype(float) + 1
    total = right = 0.0
    for i, j in itertools.product(range(15), repeat=2):
        if target[i] == 1 and target[j] == 0:
            total += weight[i] * weight[j]
            right += weight[i] * weight[j] * (0.5 if predicted[i] == predicted[j] else predicted[i] > predicted[j])
    assert area_under_curve(target, predicted, weight) == pytest.approx(right / total)


def test_a_fold_is_predicted_by_the_others_alone() -> None:
    x = np.random.default_rng(3).normal(size=(20, 1))
    folds = np.arange(20) % 4
    y = x[:, 0] * 2
    whole = cross_validated(x, y, folds, "ridge")
    y[folds == 0] = 1e6
    assert cross_validated(x, y, folds, "ridge")[folds == 0] == pytest.approx(whole[folds == 0])


def test_folds_whose_training_rows_are_all_alike_are_not_predicted() -> None:
    predicted = cross_validated(np.ones((4, 1)), np.array([0.0, 0, 1, 1]), np.array([0, 0, 1, 1]), "logistic")
    assert np.isnan(predicted).all()


def test_scale_knows_the_training_rows_only() -> None:
    scale = Scale.of(np.array([[1.0, 5, np.nan], [3.0, 5, np.nan]]))
    assert scale(np.array([[5.0, 7, 1], [np.nan, 5, np.nan]])).tolist() == [[3, 0, 0], [0, 0, 0]]


def test_the_bootstrap_draws_persons() -> None:
    """Rows of a person repeated a hundred times give the interval of the persons, not a narrower one."""
    random = np.random.default_rng(4)
    y = random.normal(size=30)
    predicted = y + random.normal(size=30)
    few = bootstrap(r_squared, y, predicted, np.arange(30), draws=200, seed=1)
    many = bootstrap(
        r_squared, np.repeat(y, 100), np.repeat(predicted, 100), np.repeat(np.arange(30), 100), draws=200, seed=1
    )
    assert many == pytest.approx(few)
    assert few == bootstrap(r_squared, y, predicted, np.arange(30), draws=200, seed=1)
    assert few[0] < r_squared(y, predicted, np.ones(30)) < few[1]
