from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.classes import Codes, class_sizes, combine
from sensai_release.privacy.population import SOURCES, attack_risk, expected_inverse, sampling_fraction, uniqueness

WIDTHS = (2, 6, 8, 12, 9, 5)


def population(count: int, seed: int) -> list[Codes]:
    rng = np.random.default_rng(seed)
    return [rng.choice(width, count, p=rng.dirichlet(np.full(width, 0.8))).astype(np.int64) + 1 for width in WIDTHS]


def sample(columns: Sequence[Codes], share: float, seed: int) -> tuple[list[Codes], Codes]:
    count = len(columns[0])
    chosen = np.random.default_rng(seed).choice(count, int(share * count), replace=False)
    return [column[chosen] for column in columns], chosen


def test_prosecutor_by_hand() -> None:
    # Classes of 5, 2 and 1: the mean is the number of classes over that of persons.
    sizes = np.array([5] * 5 + [2] * 2 + [1])
    found = attack_risk(sizes, threshold=0.2)
    assert (found.maximum, found.above) == (1.0, 3)
    assert found.mean == pytest.approx(3 / 8)
    assert found.journalist_maximum is None
    assert attack_risk(sizes, threshold=0.5).above == 1
    assert attack_risk(np.array([5] * 5), threshold=1 / 5).above == 0
    assert attack_risk(np.zeros(0, dtype=np.int64), threshold=0.2).mean == 0.0


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.4, 0.5, 0.6, 0.95])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 30])
def test_expected_inverse_is_that_of_the_negative_binomial(fraction: float, size: int) -> None:
    total, more, term = 0.0, 0, fraction**size
    while more < 400_000 and (term > 1e-18 or more < size / fraction):
        total += term / (size + more)
        term *= (size + more) / (more + 1) * (1 - fraction)
        more += 1
    assert expected_inverse(size, fraction) == pytest.approx(total, rel=1e-6)


def test_a_register_of_exactly_the_sample() -> None:
    assert expected_inverse(4, 1.0) == 0.25
    sizes = np.array([4] * 4 + [1])
    found = attack_risk(sizes, threshold=0.2, population=5)
    assert (found.journalist_maximum, found.journalist_mean) == (found.maximum, found.mean)


def test_a_larger_population_hides_better() -> None:
    sizes = np.array([1] * 5 + [3] * 3)
    means = [attack_risk(sizes, threshold=0.2, population=n).journalist_mean or 0.0 for n in (8, 16, 80, 8000)]
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("share", "slack"), [(0.2, 0.12), (0.5, 0.06), (0.9, 0.04)])
def test_the_range_holds_the_truth(seed: int, share: float, slack: float) -> None:
    everyone = population(8000, seed)
    truth = float((class_sizes(combine(everyone, 8000)) == 1).mean())
    drawn, _ = sample(everyone, share, seed)
    found = uniqueness(drawn, len(drawn[0]), 8000)
    span = found.range
    assert span is not None
    assert span[0] - 0.005 <= truth <= span[1] + 0.005
    assert found.recommended is not None
    assert found.estimates[found.recommended] == pytest.approx(truth, abs=slack)


def test_a_census_is_no_estimate() -> None:
    everyone = population(500, 1)
    truth = float((class_sizes(combine(everyone, 500)) == 1).mean())
    found = uniqueness(everyone, 500, 500)
    assert set(found.estimates.values()) == {truth}
    assert found.range == (truth, truth)


def test_zayatz_by_hand() -> None:
    # Four persons of eight: two alone, one pair. A class of one is in the sample with 1/2; of one of two exactly one
    # person is with 2 * 4 * 4 / (8 * 7) = 4/7. So P(alone | one sampled) = 2/2 / (2/2 + 4/7), over half the population.
    codes = np.array([1, 2, 3, 3])
    once = 4 / 8
    expected = 2 * (2 * once / (2 * once + 4 / 7)) / once / 8
    assert uniqueness([codes], 4, 8).estimates["Zayatz"] == pytest.approx(expected)


def test_log_linear_by_hand() -> None:
    # Two persons alone, each in a cell of expected 4 * 1/4 * 1/4 persons per sample of a half.
    one, two = np.array([1, 2, 3, 3]), np.array([1, 2, 3, 3])
    expected = 2 * math.exp(-4 / 16 * 1) / 4
    assert uniqueness([one, two], 4, 8).estimates["log-linear"] == pytest.approx(expected)


def test_ewens_solves_its_equation() -> None:
    rng = np.random.default_rng(3)
    codes = rng.choice(40, 100, p=rng.dirichlet(np.ones(40))).astype(np.int64)
    share = uniqueness([codes], 100, 5000).estimates["Ewens"]
    assert share is not None
    theta = share * 4999 / (1 - share)
    assert (theta / (theta + np.arange(100))).sum() == pytest.approx(len(np.unique(codes)), rel=1e-6)


def test_everybody_alone_and_nobody_alone() -> None:
    alone = uniqueness([np.arange(1, 51)], 50, 5000)
    assert alone.range is not None
    assert alone.range[1] == 1.0
    crowd = uniqueness([np.repeat(np.arange(1, 6), 40)], 200, 5000)
    assert crowd.range is not None
    assert crowd.range[1] < 0.02
    assert uniqueness([np.zeros(0, dtype=np.int64)], 0, 10).range is None


def test_dankars_rule() -> None:
    everyone = population(6000, 2)
    small, _ = sample(everyone, 0.05, 0)
    assert uniqueness(small, len(small[0]), 6000).recommended == "Pitman"
    large, _ = sample(everyone, 0.4, 0)
    found = uniqueness(large, len(large[0]), 6000)
    assert found.recommended in ("Zayatz", "SNB")
    assert found.estimates[str(found.recommended)] == min(
        share for name in ("Zayatz", "SNB") if (share := found.estimates[name]) is not None
    )


def test_report_and_refusal() -> None:
    drawn, _ = sample(population(2000, 4), 0.1, 0)
    report = uniqueness(drawn, 200, 2000).to_dict()
    assert [entry["name"] for entry in report["estimators"]] == list(SOURCES)
    assert all(entry["source"] for entry in report["estimators"])
    json.dumps(report, allow_nan=False)
    assert sampling_fraction(5, None) is None
    with pytest.raises(ConfigurationError, match=r"params\.yaml: population: is smaller than the release"):
        uniqueness(drawn, 200, 199)
