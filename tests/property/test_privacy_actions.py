"""Properties of the privacy actions on whatever numbers and texts there are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sensai_release.errors import IdentifierError
from sensai_release.privacy.actions import (
    add_noise,
    bin_column,
    count_beyond,
    difference_from_reference,
    earliest,
    interval_labels,
    round_column,
    round_significant,
    suppress_local,
    top_bottom_code,
)
from sensai_release.privacy.keyfile import RootKey
from sensai_release.privacy.noise import standard_normal
from sensai_release.privacy.pseudonyms import Pseudonymiser, canonical, verify_check_character
from sensai_release.table.schema import Identifier

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e280, max_value=1e280).filter(
    lambda value: value == 0 or abs(value) > 1e-280
)
MAKER = Pseudonymiser(RootKey(secret=hashlib.sha256(b"k").digest(), key_id="0" * 16), "S", "s")
NUMBERS = st.lists(st.floats(-1e6, 1e6) | st.none(), max_size=30)
WHOLE = st.lists(st.integers(-1000, 1000) | st.none(), max_size=30)
NOISE_KEY = hashlib.sha256(b"noise").digest()
ANYTHING = Identifier(kind="participant", prefix="P", pattern="(?s).+")


@given(FINITE, st.integers(1, 15))
def test_rounding_is_near_short_and_done_once(value: float, digits: int) -> None:
    found = float(round_significant(np.array([value]), digits)[0])
    again = float(round_significant(np.array([found]), digits)[0])
    if value == 0:
        assert found == 0
        return
    unit = Decimal(10) ** (Decimal(value).adjusted() - digits + 1)
    assert abs(Decimal(found) - Decimal(value)) <= unit / 2 * (1 + Decimal("1e-9")) + abs(Decimal(value)) * Decimal(
        "1e-15"
    )
    assert math.isclose(again, found, rel_tol=1e-15, abs_tol=0)
    if abs(Decimal(value).adjusted() - digits + 1) < 22:
        assert again == found
        assert len(Decimal(repr(found)).normalize().as_tuple().digits) <= digits


@given(st.lists(FINITE, min_size=2), st.integers(1, 15))
def test_rounding_keeps_order(values: list[float], digits: int) -> None:
    found = round_significant(np.sort(np.array(values)), digits)
    assert (np.diff(found) >= 0).all()


@given(st.lists(st.integers(-(2**62), 2**62) | st.none()), st.integers(1, 15))
def test_whole_numbers_round_exactly(values: list[int | None], digits: int) -> None:
    def by_hand(value: int) -> int:
        unit: int = 10 ** max(len(str(abs(value))) - digits, 0)
        return round(Fraction(value, unit)) * unit  # Python rounds a fraction half to even

    found = round_column(pa.array(values, pa.int64()), digits).to_pylist()
    assert found == [None if value is None else by_hand(value) for value in values]


@given(
    st.lists(st.floats(-1e6, 1e6) | st.none()), st.lists(st.integers(-1000, 1000), min_size=1, max_size=8, unique=True)
)
def test_every_number_falls_in_its_bin(values: list[float | None], edges: list[int]) -> None:
    edges.sort()
    labels = interval_labels(edges)
    for value, label in zip(values, bin_column(pa.array(values, pa.float64()), edges).to_pylist(), strict=True):
        if value is None:
            assert label is None
        else:
            assert labels.index(label) == sum(value >= edge for edge in edges)


@settings(max_examples=300)
@given(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6))
def test_pseudonyms_are_one_to_one_or_refused(raw: list[str]) -> None:
    try:
        column = pa.array(raw, pa.string())
    except UnicodeEncodeError:  # lone surrogates never come out of a UTF-8 file
        return
    try:
        table = MAKER.table_for(column, ANYTHING, "t.c")
    except IdentifierError:
        return
    made = table["pseudonym"].to_pylist()
    assert len(set(made)) == len(made) == len({canonical(text) for text in raw}) == len(set(raw))
    assert all(verify_check_character(text) for text in made)


def shuffled(values: Sequence[Any], order: Sequence[int]) -> list[Any]:
    return [values[position] for position in order]


@given(NUMBERS, st.floats(1e-3, 1e3), st.integers(1, 9), st.randoms(use_true_random=False))
def test_noise_belongs_to_the_row_and_stays_in_range(
    values: list[float | None], sigma: float, digits: int, random: Random
) -> None:
    keys = [f"P{number}" for number in range(len(values))]
    order = list(range(len(values)))
    random.shuffle(order)

    def noisy(cells: list[float | None], rows: list[str]) -> list[float | None]:
        column = pa.array(cells, pa.float64())
        draws = standard_normal(NOISE_KEY, ("t", "c"), pa.array(rows, pa.string()), pa.array([0] * len(rows)))
        made = add_noise(column, draws, sigma, digits, minimum=-500, maximum=500).to_pylist()
        assert column.to_pylist() == cells
        return made  # type: ignore[no-any-return]

    made = noisy(values, keys)
    assert [value is None for value in made] == [value is None for value in values]
    assert all(value is None or -500 <= value <= 500 for value in made)
    assert noisy(shuffled(values, order), shuffled(keys, order)) == shuffled(made, order)
    assert noisy(values[:5], keys[:5]) == made[:5]


@given(WHOLE, st.integers(-900, 0), st.integers(1, 900))
def test_coded_cells_lie_within_the_bounds_and_once_is_enough(values: list[int | None], lower: int, upper: int) -> None:
    column = pa.array(values, pa.int64())
    found = top_bottom_code(column, lower, upper)
    assert found.type == column.type
    assert found.to_pylist() == [None if value is None else min(max(value, lower), upper) for value in values]
    assert top_bottom_code(found, lower, upper).equals(found)
    below, above = count_beyond(column, lower, upper)
    assert below + above == sum(a != b for a, b in zip(values, found.to_pylist(), strict=True))
    assert column.to_pylist() == values


@given(
    st.lists(st.tuples(st.sampled_from("abcd") | st.none(), st.sampled_from("PQRST")), max_size=30),
    st.integers(2, 4),
    st.randoms(use_true_random=False),
)
def test_what_few_persons_hold_is_blanked_and_nothing_else(
    cells: list[tuple[str | None, str]], fewer_than: int, random: Random
) -> None:
    def hidden(pairs: list[tuple[str | None, str]]) -> list[str | None]:
        column = pa.array([value for value, _ in pairs], pa.string())
        persons = pa.array([person for _, person in pairs], pa.string())
        made = suppress_local(column, fewer_than=fewer_than, persons=persons)
        assert column.to_pylist() == [value for value, _ in pairs]
        assert suppress_local(made, fewer_than=fewer_than, persons=persons).equals(made)
        return made.to_pylist()  # type: ignore[no-any-return]

    holders = {value: {person for other, person in cells if other == value} for value, _ in cells}
    expected = [value if value is not None and len(holders[value]) >= fewer_than else None for value, _ in cells]
    assert hidden(cells) == expected
    order = list(range(len(cells)))
    random.shuffle(order)
    assert hidden(shuffled(cells, order)) == shuffled(expected, order)


@given(WHOLE, st.lists(st.integers(-1000, 1000), max_size=3), st.integers(-1000, 0), st.integers(0, 1000))
def test_no_suppressed_value_is_left(values: list[int | None], named: list[int], below: int, above: int) -> None:
    found = suppress_local(pa.array(values, pa.int64()), values=named, below=below, above=above).to_pylist()
    for value, left in zip(values, found, strict=True):
        hide = value is None or value in named or value < below or value > above
        assert left == (None if hide else value)


@given(
    st.lists(st.tuples(st.sampled_from("PQR"), st.floats(-1e3, 1e3) | st.none(), st.booleans()), max_size=20),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_differences_are_from_the_persons_own_reference(
    cells: list[tuple[str, float | None, bool]], digits: int, random: Random
) -> None:
    rows = [(*cell, place) for place, cell in enumerate(cells)]

    def differences(of: list[tuple[str, float | None, bool, int]]) -> list[float | None]:
        persons, values = pa.array([row[0] for row in of], pa.string()), pa.array([row[1] for row in of], pa.float64())
        order, eligible = pa.array([row[3] for row in of], pa.int64()), pa.array([row[2] for row in of], pa.bool_())
        made = difference_from_reference(values, persons, earliest(persons, order, eligible), digits)
        assert values.to_pylist() == [row[1] for row in of]
        return made.to_pylist()  # type: ignore[no-any-return]

    first = {person: next((row for row in rows if row[0] == person and row[2]), None) for person in "PQR"}
    expected: list[float | None] = []
    for row in rows:
        reference = first[row[0]]
        if reference is None or reference is row or row[1] is None or reference[1] is None:
            expected.append(None)
        else:
            expected.append(float(round_significant(np.array([row[1] - reference[1]]), digits)[0]))
    assert differences(rows) == expected
    order = list(range(len(rows)))
    random.shuffle(order)
    assert differences(shuffled(rows, order)) == shuffled(expected, order)
