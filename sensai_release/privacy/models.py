"""Two small models in numpy, their scores, and grouped cross-validation: enough to ask what a release is good for.

Ridge regression (Hoerl and Kennard 1970, https://doi.org/10.1080/00401706.1970.10488634) and logistic regression by
iteratively reweighted least squares. Penalties are fixed, not tuned: two versions of the same data are compared, and no
contest is won. What is compared, and how it is told, is `privacy.utility`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Kind = Literal["ridge", "logistic"]

_ITERATIONS = 50
_TOLERANCE = 1e-10


def ridge(features: Floats, target: Floats, penalty: float) -> Floats:
    """Intercept and coefficients that minimise ||y - a - Xb||² + penalty · ||b||²; the intercept is not penalised."""
    centre, mean = features.mean(axis=0), target.mean()
    x = features - centre
    gram = x.T @ x + penalty * np.eye(x.shape[1])
    slopes = _solved(gram, x.T @ (target - mean))
    coefficients: Floats = np.r_[mean - centre @ slopes, slopes]
    return coefficients


def logistic(features: Floats, target: Floats, penalty: float) -> Floats:
    """Intercept and coefficients that maximise the log-likelihood of a target of 0 and 1, less penalty/2 · ||b||².

    Newton's method as reweighted least squares, each step halved until the objective does not fall. Perfectly separated
    data have no maximum without a penalty: the result is then that of the last step.
    """
    x = np.c_[np.ones(len(features)), features]
    shrink = np.r_[0.0, np.full(features.shape[1], penalty)]
    beta = np.zeros(x.shape[1])
    best = _objective(x, target, beta, shrink)
    for _ in range(_ITERATIONS):
        share = _expit(x @ beta)
        weight = np.maximum(share * (1 - share), 1e-12)
        hessian = (x * weight[:, None]).T @ x + np.diag(shrink)
        step = _solved(hessian, x.T @ (target - share) - shrink * beta)
        for _ in range(30):
            value = _objective(x, target, beta + step, shrink)
            if value >= best - _TOLERANCE:
                break
            step = step / 2
        beta = beta + step
        if abs(value - best) < _TOLERANCE * (1 + abs(best)):
            break
        best = value
    return beta


def predict(features: Floats, coefficients: Floats, kind: Kind) -> Floats:
    linear = coefficients[0] + features @ coefficients[1:]
    return _expit(linear) if kind == "logistic" else linear


def cross_validated(features: Floats, target: Floats, folds: Codes, kind: Kind) -> Floats:
    """The prediction of every row by a model of the other folds; NaN where these hold one value of the target only.

    Features are standardised, and missing cells filled with the mean, by the training rows alone. The penalty is the
    number of training rows: a direction in which standardised features vary less than each alone hardly counts.
    """
    predicted = np.full(len(target), np.nan)
    fit = ridge if kind == "ridge" else logistic
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        if not train.any() or np.ptp(target[train]) == 0:
            continue
        scale = Scale.of(features[train])
        coefficients = fit(scale(features[train]), target[train], float(train.sum()))
        predicted[test] = predict(scale(features[test]), coefficients, kind)
    return predicted


class Scale:
    """Standardises columns by the rows it was made of; a missing cell becomes the mean, a constant column zero."""

    def __init__(self, mean: Floats, deviation: Floats) -> None:
        self._mean = mean
        self._deviation = deviation

    @classmethod
    def of(cls, features: Floats) -> Scale:
        there = np.isfinite(features)
        count = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, features, 0.0).sum(axis=0) / count
        distance = np.where(there, features - mean, 0.0)
        return cls(mean, np.sqrt((distance**2).sum(axis=0) / count))

    def __call__(self, features: Floats) -> Floats:
        usable = self._deviation > 1e-12 * (1 + np.abs(self._mean))
        scaled = (features - self._mean) / np.where(usable, self._deviation, 1.0)
        return np.where(np.isfinite(scaled) & usable, scaled, 0.0)


def r_squared(target: Floats, predicted: Floats, weight: Floats) -> float:
    """1 - residual / total sum of squares, rows weighted; NaN for a constant target."""
    mean = np.average(target, weights=weight)
    total = float(weight @ (target - mean) ** 2)
    return 1 - float(weight @ (target - predicted) ** 2) / total if total > 0 else float("nan")


def area_under_curve(target: Floats, predicted: Floats, weight: Floats) -> float:
    """The weighted share of pairs of a 1 and a 0 that the prediction puts in order, ties counting half."""
    values, place = np.unique(predicted, return_inverse=True)
    positive = np.bincount(place, weight * (target == 1), minlength=len(values))
    negative = np.bincount(place, weight * (target == 0), minlength=len(values))
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / pairs) if pairs > 0 else float("nan")


def bootstrap(
    score: Callable[[Floats, Floats, Floats], float],
    target: Floats,
    predicted: Floats,
    persons: Codes,
    *,
    draws: int,
    seed: int,
) -> tuple[float, float]:
    """The 95 % percentile interval of a score when persons, with all their rows, are drawn with replacement."""
    random = np.random.default_rng(seed)
    _, person = np.unique(persons, return_inverse=True)
    count = int(person.max()) + 1
    scores = []
    for _ in range(draws):
        times = np.bincount(random.integers(0, count, count), minlength=count)
        scores.append(score(target, predicted, times[person].astype(np.float64)))
    finite = np.array(scores)[np.isfinite(scores)]
    if len(finite) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, (0.025, 0.975))
    return float(low), float(high)


def _solved(matrix: Floats, right: Floats) -> Floats:
    """The solution of least length where columns depend on each other, as they can without a penalty."""
    try:
        return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(matrix, right, rcond=None)[0], dtype=np.float64)


def _expit(values: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return result


def _objective(x: Floats, target: Floats, beta: Floats, shrink: Floats) -> float:
    linear = x @ beta
    return float(target @ linear - np.logaddexp(0, linear).sum() - (shrink @ beta**2) / 2)
