from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.privacy.actions import bin_column, round_column
from sensai_release.privacy.effect import entropy, measure


def test_a_kept_column_loses_nothing() -> None:
    column = pa.chunked_array([[1.0, 2.0], [None, 2.0]])
    found = measure(column, column)
    assert not found.changed.any()
    assert found.missing_before.tolist() == found.missing_after.tolist() == [False, False, True, False]
    assert (found.distinct_before, found.distinct_after) == (2, 2)
    assert (found.entropy_lost, found.variance_lost, found.nrmse) == (0, 0, 0)


def test_entropy_is_shannons_with_missing_as_a_category() -> None:
    assert entropy(pa.array(["a", "b", "c", None])) == pytest.approx(2.0)
    assert entropy(pa.array(["a", "a", "a", "b"])) == pytest.approx(0.8112781, abs=1e-6)
    assert entropy(pa.array(["a"] * 9)) == 0
    assert entropy(pa.array([], pa.string())) == 0


def test_numbers_into_bands() -> None:
    values = pa.array([0.0, 2.0, 10.0, 12.0])
    found = measure(values, bin_column(values, [5]))
    assert found.changed.all()
    assert (found.distinct_before, found.distinct_after) == (4, 2)
    assert found.entropy_lost == pytest.approx(0.5)
    # Within the bands 1 + 1 + 1 + 1, in all 36 + 16 + 16 + 36.
    assert found.variance_lost == pytest.approx(4 / 104)
    assert found.nrmse is None
    assert measure(values, pa.array(["*"] * 4)).variance_lost == 1


def test_rounding_by_hand() -> None:
    values = pa.array([1.04, 2.0, 3.0])
    found = measure(values, round_column(values, 2))
    assert found.changed.tolist() == [True, False, False]
    assert found.nrmse == pytest.approx(np.sqrt(0.04**2 / 3) / np.std([1.04, 2, 3]))
    assert measure(values, values, same_scale=False).nrmse is None


def test_suppressed_cells_count_as_changed_and_not_as_error() -> None:
    found = measure(pa.array([1, 2, 3, None], pa.int64()), pa.array([1, 2, None, None], pa.int64()))
    assert found.changed.tolist() == [False, False, True, False]
    assert (found.missing_after & ~found.missing_before).sum() == 1
    assert found.nrmse == 0


def test_what_cannot_be_compared_has_changed_and_constants_have_no_variance_to_lose() -> None:
    times = pa.array([dt.date(2025, 1, 1), None], pa.date32())
    assert measure(times, pa.array([1, None], pa.int64())).changed.tolist() == [True, False]
    assert measure(pa.array([1.0, 1.0]), pa.array(["a", "a"])).variance_lost is None
    assert measure(pa.array([1.0, 1.0]), pa.array([2.0, 3.0])).variance_lost is None
    assert measure(pa.array([1.0, 2.0]), pa.array([2.0, 2.0])).variance_lost == 1
    empty = measure(pa.array([], pa.float64()), pa.array([], pa.float64()))
    assert (empty.distinct_before, empty.entropy_lost, empty.nrmse) == (0, 0, None)
