"""Properties of the privacy actions on whatever numbers and texts there are."""

from __future__ import annotations

import hashlib
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sensai_release.errors import IdentifierError
from sensai_release.privacy.actions import bin_column, interval_labels, round_column, round_significant
from sensai_release.privacy.keyfile import RootKey
from sensai_release.privacy.pseudonyms import Pseudonymiser, canonical, verify_check_character
from sensai_release.table.schema import Identifier

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e280, max_value=1e280).filter(
    lambda value: value == 0 or abs(value) > 1e-280
)
MAKER = Pseudonymiser(RootKey(secret=hashlib.sha256(b"k").digest(), key_id="0" * 16), "S", "s")
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
