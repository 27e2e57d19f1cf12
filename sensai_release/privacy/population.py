"""What a stranger with a register could do: prosecutor, journalist and marketer risk, and uniqueness in the population.

The three attackers are El Emam's (the first two in https://doi.org/10.1197/jamia.M2716): one who knows that somebody is
in the release, one who looks somebody up in a register of the whole population, and one who matches all rows to it.
Beyond the release itself everything is an estimate from the sizes of its classes and the size of the population, and
estimators differ by an order of magnitude. So uniqueness is given as the range of all that can be computed; the rule of
Dankar et al. (https://doi.org/10.1186/1472-6947-12-66) names one of them, and replaces none. Without the size of the
population nothing is estimated. Counted in persons, one row each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.classes import Codes, class_sizes, combine

Floats = npt.NDArray[np.float64]

SOURCES = {
    "Zayatz": "Zayatz 1991, US Census Bureau research report 91/08",
    "Poisson-gamma": "Bethlehem, Keller and Pannekoek 1990, https://doi.org/10.1080/01621459.1990.10475304",
    "log-linear": "Skinner and Holmes 1998, Journal of Official Statistics 14(4); independent attributes",
    "SNB": "Chen and Keller-McNulty 1998, Journal of Official Statistics 14(1); fitted by moments",
    "Ewens": "Hoshino and Takemura 1998, Journal of the Japan Statistical Society 28(2)",
    "Pitman": "Hoshino 2001, Journal of Official Statistics 17(4)",
}
_LANCZOS = (
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
)  # fmt: skip
UNKNOWN = "cannot be estimated: params.yaml declares no population"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackRisk:
    """Chances of a right match, from 0 to 1.

    Prosecutor: the largest, the mean, and how many persons have a chance above `threshold`. The mean is also the
    marketer's chance within the release. Journalist: the largest and the mean over the estimated classes of the
    population; the mean is also the marketer's chance there. `None` without a population.
    """

    maximum: float
    mean: float
    threshold: float
    above: int
    journalist_maximum: float | None
    journalist_mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniqueness:
    """Estimated shares of the population that are unique in it, by name of the estimator; `None` where one fails."""

    estimates: dict[str, float | None]
    recommended: str | None

    @property
    def range(self) -> tuple[float, float] | None:
        known = [share for share in self.estimates.values() if share is not None]
        return (min(known), max(known)) if known else None

    def to_dict(self) -> dict[str, Any]:
        span = self.range
        return {
            "estimators": [
                {"name": name, "source": SOURCES[name], "share": None if share is None else round(share, 2)}
                for name, share in self.estimates.items()
            ],
            "range": None if span is None else [round(span[0], 2), round(span[1], 2)],
            "recommended": self.recommended,
        }


def sampling_fraction(persons: int, population: int | None) -> float | None:
    """The share of the population that is in the release. Raises `ConfigurationError` when it would be above 1."""
    if population is None:
        return None
    if population < max(persons, 1):
        raise ConfigurationError(
            "params.yaml: population", "is smaller than the release", "State how many persons could have been in it."
        )
    return persons / population


def attack_risk(sizes: Codes, *, threshold: float, population: int | None = None) -> AttackRisk:
    """`sizes` is the size of each person's class (`classes.class_sizes`); `threshold` a chance, as 1 / k."""
    fraction = sampling_fraction(len(sizes), population)
    chances = 1.0 / sizes if len(sizes) else np.zeros(1)
    known: dict[int, float] = {}
    if fraction is not None:
        known = {size: expected_inverse(size, fraction) for size in np.unique(sizes).tolist()}
    expected = np.array([known[size] for size in sizes.tolist()]) if known else None
    return AttackRisk(
        maximum=float(chances.max()),
        mean=float(chances.mean()),
        threshold=threshold,
        # Equal chances must not differ in the last bit.
        above=int((chances > threshold * (1 + 1e-9)).sum()) if len(sizes) else 0,
        journalist_maximum=None if expected is None else float(expected.max()),
        journalist_mean=None if expected is None else float(expected.mean()),
    )


def expected_inverse(size: int, fraction: float) -> float:
    """E[1/F] for a class of `size` persons in a sample: F is `size` plus a negative binomial of those not sampled.

    Benedetti and Franconi's measure, as in mu-Argus (https://doi.org/10.18637/jss.v067.i04, section 3). With v the
    variable of integration it is the integral of v^(size-1) f / (f + (1-f) v) from 0 to 1.
    """
    if fraction >= 1:
        return 1.0 / size
    odds = fraction / (1 - fraction)
    if odds <= 1 and size <= 200:
        value = -odds * math.log(fraction)
        for n in range(1, size):
            value = odds * (1 / n - value)
        return value
    nodes, weights = np.polynomial.legendre.leggauss(200)
    v = (nodes + 1) / 2
    return float((weights / 2 * v ** (size - 1) * fraction / (fraction + (1 - fraction) * v)).sum())


def uniqueness(columns: Sequence[Codes], rows: int, population: int) -> Uniqueness:
    """The share of the population that is unique over `columns` (codes of one row a person), by every estimator.

    The persons are taken to be a simple random sample of `population`.
    """
    fraction = sampling_fraction(rows, population) or 0.0
    if rows == 0:
        return Uniqueness(estimates=dict.fromkeys(SOURCES), recommended=None)
    ids = combine(columns, rows)
    sizes = class_sizes(ids)
    values, persons = np.unique(sizes, return_counts=True)
    spread = _Spread(rows, population, fraction, values.astype(float), persons / values)
    shares: dict[str, float | None] = {
        "Zayatz": _zayatz(spread),
        "Poisson-gamma": _poisson_gamma(columns, spread),
        "log-linear": _log_linear(columns, sizes, spread),
        "SNB": _slide_negative_binomial(spread),
        "Ewens": _ewens(spread),
        "Pitman": _pitman(spread),
    }
    if fraction >= 1:
        shares = dict.fromkeys(SOURCES, spread.singles / rows)
    estimates = {name: None if share is None else min(max(share, 0.0), 1.0) for name, share in shares.items()}
    return Uniqueness(estimates=estimates, recommended=_recommended(estimates, fraction))


def _recommended(estimates: dict[str, float | None], fraction: float) -> str | None:
    """Dankar et al.: Pitman's for samples of up to a tenth, else the smaller of Zayatz's and SNB."""
    if fraction <= 0.1:
        return "Pitman" if estimates["Pitman"] is not None else "Zayatz"
    zayatz, snb = estimates["Zayatz"], estimates["SNB"]
    return "SNB" if snb is not None and (zayatz is None or snb <= zayatz) else "Zayatz"


@dataclass(frozen=True, slots=True)
class _Spread:
    """`classes[i]` classes of `values[i]` persons each in a sample of n of N."""

    n: int
    population: int
    fraction: float
    values: Floats
    classes: Floats

    @property
    def singles(self) -> float:
        return float(self.classes[self.values == 1].sum())

    @property
    def count(self) -> float:
        return float(self.classes.sum())


def _zayatz(s: _Spread) -> float:
    """Bayes' rule with the sample's own class sizes as those of the population; samples without replacement."""
    outside = s.population - s.n

    def exactly_one(size: float) -> float:
        if size - 1 > outside:
            return 0.0
        logs = _log_choose(outside, size - 1) - _log_choose(s.population, size) + math.log(s.n)
        return math.exp(logs)

    once = np.array([exactly_one(size) for size in s.values.tolist()])
    total = float((s.classes * once).sum())
    return s.singles * (s.singles * exactly_one(1.0) / total) / s.n if total else 0.0


def _poisson_gamma(columns: Sequence[Codes], s: _Spread) -> float | None:
    """Every combination of values a cell, with gamma distributed means of shape a; fitted to n, cells and singles."""
    if not 0 < s.singles < s.n:
        return 0.0 if s.singles == 0 else None
    cells = math.prod(float(len(np.unique(codes))) for codes in columns)

    def excess(x: float) -> float:
        a = math.exp(x)
        return -(a + 1) * math.log1p(s.n / (cells * a)) - math.log(s.singles / s.n)

    x = _root(excess, -40.0, 20.0)
    return None if x is None else math.exp(-(math.exp(x) + 1) * math.log1p(s.population / (cells * math.exp(x))))


def _log_linear(columns: Sequence[Codes], sizes: Codes, s: _Spread) -> float:
    """Poisson classes whose means are the products of the attributes' shares: exp(-mean not sampled) if alone."""
    alone = sizes == 1
    means = np.full(int(alone.sum()), float(s.n))
    for codes in columns:
        means *= np.bincount(codes)[codes[alone]] / s.n
    return float(np.exp(-means * (1 - s.fraction) / s.fraction).sum()) / s.n


def _slide_negative_binomial(s: _Spread) -> float | None:
    """Classes of the population of 1 plus a negative binomial (a, b) persons; fitted to N, classes and singles."""
    if not 0 < s.singles < s.n:
        return 0.0 if s.singles == 0 else None

    def misfit(x: Floats, y: Floats) -> Floats:
        a, b = np.exp(x), 1 / (1 + np.exp(-y))
        total = s.population / (1 + a * (1 - b) / b)
        d = (1 - s.fraction) * (1 - b)
        none = (1 - s.fraction) * (b / (1 - d)) ** a
        once = s.fraction * (b / (1 - d)) ** a * (1 + a * d / (1 - d))
        return (total * (1 - none) / s.count - 1) ** 2 + (total * once / s.singles - 1) ** 2

    x, y, value = _minimise(misfit, (-12.0, 8.0), (-16.0, 8.0))
    if value > 1e-4:
        return None
    a, b = math.exp(x), 1 / (1 + math.exp(-y))
    return float(b**a / (1 + a * (1 - b) / b))


def _ewens(s: _Spread) -> float | None:
    if s.count >= s.n:
        return 1.0
    if s.count <= 1:
        return 0.0
    steps = np.arange(s.n, dtype=float)

    def excess(x: float) -> float:
        theta = math.exp(x)
        return float((theta / (theta + steps)).sum()) - s.count

    x = _root(excess, -30.0, 40.0)
    return None if x is None else math.exp(x) / (math.exp(x) + s.population - 1)


def _pitman(s: _Spread) -> float | None:
    """The two-parameter sampling formula at its likelihood's maximum; the expected uniques of a sample of N."""
    if s.count >= s.n:
        return 1.0
    if s.count <= 1:
        return 0.0
    large = s.values > 1

    def misfit(x: Floats, y: Floats) -> Floats:
        theta, alpha = np.exp(x), 1 / (1 + np.exp(-y))
        logs = (s.count - 1) * np.log(alpha) + _lgamma(theta / alpha + s.count) - _lgamma(theta / alpha + 1)
        logs -= _lgamma(theta + s.n) - _lgamma(theta + 1)
        within = _lgamma(s.values[large] - alpha[..., None]) - _lgamma(1 - alpha)[..., None]
        result: Floats = -(logs + within @ s.classes[large])
        return result

    x, y, _ = _minimise(misfit, (-7.0, 16.0), (-7.0, 7.0))
    theta, alpha = math.exp(x), 1 / (1 + math.exp(-y))
    logs = math.lgamma(theta + 1) - math.lgamma(theta + alpha)
    logs += math.lgamma(theta + alpha + s.population - 1) - math.lgamma(theta + s.population)
    return math.exp(logs)


def _lgamma(values: Floats) -> Floats:
    """Log Gamma of positive numbers by Lanczos' series, good to about 14 digits; numpy has none of its own."""
    total = np.full(np.shape(values), _LANCZOS[0])
    for n, coefficient in enumerate(_LANCZOS[1:]):
        total = total + coefficient / (values + n)
    base = values + 6.5
    result: Floats = (values - 0.5) * np.log(base) - base + np.log(math.sqrt(2 * math.pi) * total)
    return result


def _log_choose(n: float, k: float) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _root(function: Callable[[float], float], low: float, high: float) -> float | None:
    """Bisection; `None` when the ends have one sign."""
    sign = function(low) > 0
    if sign == (function(high) > 0):
        return None
    for _ in range(200):
        middle = (low + high) / 2
        if (function(middle) > 0) == sign:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _minimise(
    function: Callable[[Floats, Floats], Floats], x: tuple[float, float], y: tuple[float, float]
) -> tuple[float, float, float]:
    """The least value on a grid that closes in on it: no start to choose, and the same result everywhere."""
    box = (x, y)
    spans = [high - low for low, high in box]
    centre = [(low + high) / 2 for low, high in box]
    value = math.inf
    for _ in range(60):
        axes = [
            np.linspace(max(c - span / 2, low), min(c + span / 2, high), 13)
            for c, span, (low, high) in zip(centre, spans, box, strict=True)
        ]
        first, second = np.meshgrid(*axes, indexing="ij")
        with np.errstate(all="ignore"):
            values = np.nan_to_num(function(first.astype(float), second.astype(float)), nan=np.inf, posinf=np.inf)
        best = np.unravel_index(int(np.argmin(values)), values.shape)
        centre, value = [float(first[best]), float(second[best])], float(values[best])
        spans = [span * 0.6 for span in spans]
    return centre[0], centre[1], value
