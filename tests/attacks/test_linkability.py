"""Traces of a person hidden among harmless columns stop the audit, and harmless data do not."""

from __future__ import annotations

import numpy as np
import pytest
from linkability_kit import Floats, noise, release, watermark

from sensai_release.privacy.linkability.audit import Effort, audit
from sensai_release.privacy.linkability.features import session_features

QUICK = Effort(permutations=20, bootstraps=100)


def status(persons: object, values: Floats, effort: Effort = QUICK) -> str:
    tables, dictionaries = release(persons, values)  # type: ignore[arg-type]
    return audit(session_features(tables, dictionaries), effort=effort).status


def constant(values: Floats, persons: Floats) -> Floats:
    """One column that is a fixed random number of the person."""
    return np.random.default_rng(5).standard_normal(int(persons.max()) + 1)[persons.astype(np.int64)]


def offset(values: Floats, persons: Floats) -> Floats:
    """One column that looks constant: 1, and a millionth for each person before."""
    return 1.0 + 1e-6 * persons


@pytest.mark.parametrize("made", [constant, offset])
@pytest.mark.parametrize("at", [0, 17, 39])
def test_one_column_that_is_constant_in_a_person_is_found(made: object, at: int) -> None:
    persons, values = noise(60, 3, 40, seed=at)
    assert status(persons, values) == "passed"
    values[:, at] = made(values, persons.astype(np.float64))  # type: ignore[operator]
    assert status(persons, values) == "failed"


def test_low_bit_watermark_is_found() -> None:
    persons, values = noise(80, 3, 50, seed=1)
    marked = watermark(values, persons, seed=2)
    assert np.abs(marked - values).max() <= 2e-4
    assert status(persons, marked) == "failed"
    assert status(persons, watermark(values, np.random.default_rng(3).permutation(persons), seed=2)) == "passed"


def test_low_bits_of_unrounded_numbers_are_found() -> None:
    persons, values = noise(60, 3, 30, seed=4)
    values = values + np.random.default_rng(4).uniform(0, 1e-5, values.shape)
    assert status(persons, values) == "passed"
    code = np.random.default_rng(6).integers(0, 2, (60, 30)).astype(np.uint64)[persons]
    marked = ((values.view(np.uint64) & ~np.uint64(1)) | code).view(np.float64)
    assert np.abs(marked - values).max() < 1e-14
    assert status(persons, marked) == "failed"


def permuted_passes(people: int, sessions: int, columns: int, runs: int, effort: Effort) -> int:
    """How many of the runs pass when the identities of a linkable cohort are permuted."""
    passed = 0
    for run in range(runs):
        persons, values = noise(people, sessions, columns, seed=run, person=0.4)
        shuffled = np.random.default_rng(1000 + run).permutation(persons)
        passed += status(shuffled, values, effort) == "passed"
    return passed


def test_permuted_identities_pass() -> None:
    assert permuted_passes(80, 3, 12, 6, Effort(permutations=0, bootstraps=100)) == 6


@pytest.mark.long
def test_permuted_identities_pass_in_95_of_100() -> None:
    assert permuted_passes(200, 5, 60, 100, Effort(permutations=0, bootstraps=200)) >= 95


@pytest.mark.long
@pytest.mark.parametrize("trace", ["constant", "offset", "watermark"])
def test_a_trace_among_150_columns_is_found(trace: str) -> None:
    persons, values = noise(200, 5, 150, seed=8)
    if trace == "watermark":
        values = watermark(values, persons, seed=9)
    else:
        made = constant if trace == "constant" else offset
        values[:, 77] = made(values, persons.astype(np.float64))
    assert status(persons, values, Effort(permutations=10, bootstraps=200)) == "failed"
