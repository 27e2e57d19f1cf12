from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError, InputError
from sensai_release.privacy import actions
from sensai_release.table.schema import Hierarchy

AGE = Hierarchy(name="age", kind="intervals", level_names=("ten", "coarse"), edges=((30, 40, 50), (40,)))
DRUG = Hierarchy(
    name="drug",
    kind="categories",
    level_names=("class", "any"),
    table={"m": ("opioid", "drug"), "p": ("other", "drug")},
)


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (1234.5, 3, 1230.0),
        (0.00012345, 3, 0.000123),
        (-99.96, 3, -100.0),
        (999.95, 4, 1000.0),
        (0.1 + 0.2, 3, 0.3),
        (1000.0, 1, 1000.0),
        (0.25, 1, 0.2),
        (2.5, 1, 2.0),
        (3.5, 1, 4.0),
        (0.0, 5, 0.0),
        (5e-324, 3, 0.0),
        (1.7976931348623157e308, 3, 1.7976931348623157e308),
        (123456789.0, 15, 123456789.0),
        (1e22, 3, 1e22),
        (1e-5, 2, 1e-5),
    ],
)
def test_round_significant(value: float, digits: int, expected: float) -> None:
    found = actions.round_significant(np.array([value]), digits)[0]
    assert found == expected


def test_rounding_leaves_nan_infinity_and_input_alone() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1.23456])
    before = values.copy()
    found = actions.round_significant(values, 2)
    assert np.array_equal(found, [np.nan, np.inf, -np.inf, 1.2], equal_nan=True)
    assert np.array_equal(values, before, equal_nan=True)


def test_round_column_of_whole_numbers_is_exact() -> None:
    column = pa.array([1234, -1250, 1350, 5, None, 0, -(2**63), 2**62, 995], pa.int64())
    found = actions.round_column(column, 2)
    assert found.type == pa.int64()
    assert found.to_pylist() == [1200, -1200, 1400, 5, None, 0, -9200000000000000000, 4600000000000000000, 1000]
    for value in (15, 25, 115, 125, 99999, 1000001):
        exponent = max(len(str(value)) - 1, 0)
        expected = int(Decimal(value).quantize(Decimal(f"1e{exponent}"), rounding="ROUND_HALF_EVEN"))
        assert actions.round_column(pa.array([value]), 1).to_pylist() == [expected]


def test_round_column_of_numbers_keeps_missing() -> None:
    column = pa.chunked_array([[1.2345, None], [9.876]])
    assert actions.round_column(column, 2).to_pylist() == [1.2, None, 9.9]


def test_bins_are_half_open_and_bounded_on_both_sides() -> None:
    assert actions.interval_labels([30, 40.5, 50]) == ("<30", "[30,40.5)", "[40.5,50)", ">=50")
    assert actions.interval_labels([5]) == ("<5", ">=5")
    found = actions.bin_column(pa.array([29.999, 30, 40.5, 50, None, -1e9, 1e9]), [30, 40.5, 50])
    assert found.to_pylist() == ["<30", "[30,40.5)", "[40.5,50)", ">=50", None, "<30", ">=50"]
    assert actions.bin_column(pa.array([3, None], pa.int64()), [3]).to_pylist() == [">=3", None]


def test_levels_of_intervals() -> None:
    column = pa.array([29, 30, None, 77], pa.int64())
    assert actions.generalise_column(column, AGE, 0).to_pylist() == ["<30", "[30,40)", None, ">=50"]
    assert actions.generalise_column(column, AGE, 1).to_pylist() == ["<40", "<40", None, ">=40"]
    # Above all stands one class: even missing is no exception there.
    assert actions.generalise_column(column, AGE, 2).to_pylist() == ["*", "*", "*", "*"]
    assert actions.level_labels(AGE, 1) == ("<40", ">=40")
    assert actions.level_labels(AGE, 2) == ("*",)
    for level in (-1, 3):
        with pytest.raises(ConfigurationError, match="has no level"):
            actions.generalise_column(column, AGE, level)


def test_levels_of_categories_must_be_total() -> None:
    column = pa.chunked_array([["m", None], ["p"]], pa.string())
    assert actions.generalise_column(column, DRUG, 0).to_pylist() == ["opioid", None, "other"]
    assert actions.generalise_column(column, DRUG, 1).to_pylist() == ["drug", None, "drug"]
    assert actions.level_labels(DRUG, 0) == ("opioid", "other")
    assert actions.level_labels(DRUG, 1) == ("drug",)
    with pytest.raises(ConfigurationError, match="2 cells") as caught:
        actions.generalise_column(pa.array(["m", "secret", "secret"]), DRUG, 0)
    assert "secret" not in str(caught.value)


def moments(*texts: str | None) -> pa.Array:
    return pa.array([dt.datetime.fromisoformat(text) if text else None for text in texts], pa.timestamp("us"))


def test_ordinal_ranks_within_a_person() -> None:
    times = moments("2025-01-03T08:00", "2025-01-01T09:00", None, "2024-01-02T23:00", "2025-01-02")
    assert actions.ordinal(times, pa.array(["a", "a", "a", "b", "a"])).to_pylist() == [3, 1, None, 1, 2]
    assert actions.ordinal(times[:0], pa.array([], pa.string())).to_pylist() == []


def test_equal_times_need_a_tie_break() -> None:
    times = moments("2025-01-01T09:00", "2025-01-01T09:00", "2025-01-01T09:00")
    within = pa.array(["a", "a", "b"])
    with pytest.raises(InputError, match="1 times of one person are equal"):
        actions.ordinal(times, within)
    assert actions.ordinal(times, within, pa.array(["y", "x", "z"])).to_pylist() == [2, 1, 1]
    # Missing times have no order to be unsure of.
    assert actions.ordinal(moments(None, None), pa.array(["a", "a"])).to_pylist() == [None, None]
    assert actions.ordinal(moments("1970-01-01", None), pa.array(["a", "a"])).to_pylist() == [1, None]


def test_relative_day_counts_calendar_days_in_bins() -> None:
    times = moments("2025-01-03T08:00", "2025-01-01T23:59", None, "2020-06-01", "2025-01-08T00:00", "1969-12-31T12:00")
    within = pa.array(["a", "a", "a", "b", "a", "c"])
    assert actions.relative_day(times, within, 1).to_pylist() == [2, 0, None, 0, 7, 0]
    assert actions.relative_day(times, within, 2).to_pylist() == [2, 0, None, 0, 6, 0]
    dates = pa.array([dt.date(2025, 1, 3), dt.date(2025, 1, 1)], pa.date32())
    assert actions.relative_day(dates, pa.array(["a", "a"]), 1).to_pylist() == [2, 0]
    assert actions.relative_day(moments(None, "2025-01-02"), pa.array(["a", "a"]), 1).to_pylist() == [None, 0]


def test_refuse_missing() -> None:
    actions.refuse_missing(pa.array([1, 2]), "t.c")
    with pytest.raises(InputError, match="2 cells are missing"):
        actions.refuse_missing(pa.array([1, None, None]), "t.c")
