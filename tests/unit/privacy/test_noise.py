"""The noise: normal, the same for one cell in every build, and never shared by two cells."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.errors import InputError
from sensai_release.privacy.noise import standard_normal

KEY = hashlib.sha256(b"a working key").digest()
KNOWN = [1.6652055064349196, 0.17764591690038636]


def draws(count: int, *, key: bytes = KEY, address: tuple[str, ...] = ("t", "c", "1.0")) -> np.ndarray:
    rows = pa.array([f"P{number:06d}" for number in range(count)])
    return standard_normal(key, address, rows, pa.repeat(pa.scalar(0), count))


def test_known_answer() -> None:
    # Computed once with the openssl command line: a change here changes the noise of every series in use.
    found = standard_normal(bytes(32), ("t", "c", "1.0"), pa.array(["P1", "P1"]), pa.array([0, 7]))
    assert np.allclose(found, KNOWN, rtol=1e-12)


def test_moments_and_quantiles_are_those_of_the_normal_distribution() -> None:
    found = np.sort(draws(40_000))
    assert abs(found.mean()) < 0.02
    assert abs(found.std() - 1) < 0.02
    for quantile, share in ((-1.959964, 0.025), (-0.674490, 0.25), (0.674490, 0.75), (1.959964, 0.975)):
        assert abs(np.searchsorted(found, quantile) / len(found) - share) < 0.01


@pytest.mark.parametrize(
    ("key", "address"),
    [
        (hashlib.sha256(b"another").digest(), ("t", "c", "1.0")),
        (KEY, ("t", "d", "1.0")),
        (KEY, ("u", "c", "1.0")),
        (KEY, ("t", "c", "2.0")),
        (KEY, ("tc", "", "1.0")),
    ],
    ids=["key", "column", "table", "sigma", "other fields of the same letters"],
)
def test_another_address_has_other_noise(key: bytes, address: tuple[str, ...]) -> None:
    one, other = draws(20_000), draws(20_000, key=key, address=address)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
    assert not np.isclose(one, other, rtol=0, atol=1e-9).any()


def test_rows_of_one_key_are_told_apart_by_their_number() -> None:
    rows = pa.array(["S1"] * 1000)
    found = standard_normal(KEY, ("t", "c"), rows, pa.array(range(1000)))
    assert len(np.unique(found)) == 1000
    part = standard_normal(KEY, ("t", "c"), rows[:3], pa.array([999, 0, 5]))
    assert part.tolist() == [found[999], found[0], found[5]]


@pytest.mark.parametrize(
    ("rows", "numbers", "words"),
    [
        (["S1", "S1"], [0, 0], "share one key"),
        (["S1", None], [0, 0], "missing"),
        (["S1"], [None], "missing"),
        (["S1"], [-1], "negative or above"),
        (["S1"], [2**32], "negative or above"),
    ],
)
def test_refused(rows: list[str | None], numbers: list[int | None], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        standard_normal(KEY, ("t", "c"), pa.array(rows, pa.string()), pa.array(numbers, pa.int64()))
    assert "S1" not in str(caught.value)


def test_no_rows() -> None:
    assert draws(0).tolist() == []
