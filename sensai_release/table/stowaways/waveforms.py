"""Sound in a column of numbers, told by its structure alone: scaled, shifted, resampled or with noise added.

Three things set recorded sound apart from what tools measure of people. It has next to no power at the lowest
frequencies, where posture, expression and pitch have most of theirs. Its power lies in a few bands. And it comes in
bursts: the level rises and falls with the syllables, so that the samples have heavy tails. Oscillations of the body
(pulse, breath, tremor) share the first two, but go on evenly. Sound of a constant level (a tone, a hum, music that was
compressed) is therefore not seen, nor are samples that were encrypted, put in another order or mixed into other
numbers. The limits were set on real feature tables and recordings: benchmarks/stowaways.py measures them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SHORTEST = 1024
"""Fewest samples that are judged: an eighth of a second of telephone sound."""
_SEGMENTS = (256, 8192)
_LEVELS = 512
_LOW = 0.15
_GLANCE_LOW = 0.4
_GLANCE_NEAR = 0.1
_GLANCE_DRIFT = 0.1
_COMPANDED_LOW = 0.35
_FLAT = 0.45
_TAILS = 4.0
_NORMAL = (2.6, 3.4)
_BURSTS = 0.5
_KINDS = 48
_COMPANDED_FLAT = 0.05
_MU = 255.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a series looks like, without its values.

    `low`: power density at the lowest frequencies as a share of the highest peak; `flat`: spectral flatness (1 white
    noise, 0 a tone); `tails`: kurtosis (3 normal); `bursts`: coefficient of variation of the short-time power.
    """

    low: float
    flat: float
    tails: float
    bursts: float


def may_be_sound(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Which of several columns of one length, of at least `SHORTEST` rows, deserve a closer look, by a part of each."""
    likely = _swings(_pieces(columns, (0.3, 0.7)))
    left = np.flatnonzero(likely).tolist()
    if left:
        power = _power(_pieces([columns[number] for number in left], (0.1, 0.5, 0.9, 1.0)))
        # A piece with a missing cell has no power at all, and says nothing: its column is looked at as a whole.
        likely[left] = ~(power[:, :2].mean(axis=1) >= _GLANCE_LOW * power.max(axis=1))
    return likely


def _swings(pieces: Floats) -> npt.NDArray[np.bool_]:
    """Which columns neither drift within their pieces nor jump from cell to cell; cheaper than a spectrum."""
    centred = pieces - pieces.mean(axis=2, keepdims=True)
    power = np.einsum("cps,cps->c", centred, centred)
    near = np.einsum("cps,cps->c", centred[:, :, 1:], centred[:, :, :-1])
    drift = ((centred @ _slowest(pieces.shape[2])) ** 2).sum(axis=(1, 2))
    swings: npt.NDArray[np.bool_] = ~((np.abs(near) < _GLANCE_NEAR * power) | (drift > _GLANCE_DRIFT * power))
    return swings


@lru_cache
def _slowest(size: int) -> Floats:
    """The two lowest frequencies of a segment, to be multiplied with it: the sum of the squares is their power."""
    angle = 2 * np.pi * np.outer(np.arange(size) / size, (1, 2))
    waves: Floats = np.hstack([np.cos(angle), np.sin(angle)]) * np.sqrt(2 / size)
    waves.flags.writeable = False
    return waves


def _pieces(columns: Sequence[npt.NDArray[Any]], places: Sequence[float]) -> Floats:
    """One segment of each column at each of the places, given as a share of its length."""
    rows = len(columns[0]) if columns else SHORTEST
    size = _segment(rows)
    starts = [int((rows - size) * place) for place in places]
    pieces = np.empty((len(columns), len(places), size))
    for number, column in enumerate(columns):
        for piece, start in enumerate(starts):
            pieces[number, piece] = column[start : start + size]
    return pieces


def is_sound(values: Floats) -> bool:
    """Whether a series of finite numbers in the order of time is recorded sound."""
    if len(values) < SHORTEST:
        return False
    low, flat = _spectrum(values)
    if low >= _COMPANDED_LOW or flat >= _FLAT or len(np.unique(values)) < _KINDS:
        return False
    tails = _tails(values)
    # Companding (mu-law) takes the tails away; undone, whatever the scale, it is judged again. Normal tails are left
    # alone: tremor and other oscillations of many causes have them, and would look like sound when they are expanded.
    if tails <= _TAILS and not _NORMAL[0] < tails < _NORMAL[1] and flat > _COMPANDED_FLAT:
        values = _expanded(values)
        low, flat = _spectrum(values)
        tails = _tails(values)
    return low < _LOW and flat < _FLAT and tails > _TAILS and _bursts(values) > _BURSTS


def shape_of(values: Floats) -> Shape:
    """The shape of at least `SHORTEST` finite numbers that are not all equal."""
    low, flat = _spectrum(values)
    return Shape(low=low, flat=flat, tails=_tails(values), bursts=_bursts(values))


def _segment(rows: int) -> int:
    smallest, largest = _SEGMENTS
    return int(np.clip(1 << int(np.log2(rows / 4)), smallest, largest))


@lru_cache
def _window(size: int) -> Floats:
    window: Floats = np.hanning(size)
    window.flags.writeable = False
    return window


def _power(pieces: Floats) -> Floats:
    """Welch's periodogram (1967, https://doi.org/10.1109/TAU.1967.1161901) of the segments, without bin 0."""
    centred = (pieces - pieces.mean(axis=-1, keepdims=True)) * _window(pieces.shape[-1])
    bins = np.fft.rfft(centred)[..., 1:]
    power: Floats = (bins.real**2 + bins.imag**2).mean(axis=-2)
    return power


def _spectrum(values: Floats) -> tuple[float, float]:
    """`low` and `flat` of `Shape`."""
    size = _segment(len(values))
    power = _power(np.lib.stride_tricks.sliding_window_view(values, size)[:: size // 2])
    mean = power.mean()
    if not mean > 0:
        return 1.0, 1.0
    peak = np.convolve(power, np.full(3, 1 / 3), "valid").max()
    flat = np.exp(np.log(power + 1e-9 * mean).mean()) / mean
    return float(power[:2].mean() / peak), float(flat)


def _tails(values: Floats) -> float:
    centred = values - values.mean()
    square = centred**2
    return float((square**2).mean() / max(square.mean() ** 2, 1e-300))


def _bursts(values: Floats) -> float:
    size = min(_LEVELS, len(values) // 16)
    power = values[: len(values) // size * size].reshape(-1, size).var(axis=1)
    return float(power.std() / max(power.mean(), 1e-300))


def _expanded(values: Floats) -> Floats:
    """The samples before companding by mu-law (ITU-T G.711), up to their scale."""
    centred = values - np.median(values)
    share = np.abs(centred) / max(np.abs(centred).max(), 1e-300)
    expanded: Floats = np.sign(centred) * ((1 + _MU) ** share - 1) / _MU
    return expanded
