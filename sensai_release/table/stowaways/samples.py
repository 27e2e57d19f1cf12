"""Samples of sound and pixels in columns of numbers.

Two shapes are known: one sample a row (a long column), and one sample a column (a wide table: rows of a grey picture,
`pixel_0 … pixel_4095`, a waveform cut into lines). Evidence is asked for twice: the numbers lie on the lattice that
8-bit or 16-bit samples lie on, whole or scaled to ±1, and neighbours resemble each other as in sound or in a
picture. Features of tools are rounded to decimals, drift or never go below nought, and so lack one or the other.
Not seen: samples that were rescaled by an odd factor, compressed, or put in another order. Such columns still have to
keep within the declared ranges, and frame-level columns leave only as statistics of windows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from sensai_release.table.findings import Finding
from sensai_release.table.schema import TableSchema

Floats = npt.NDArray[np.float64]

LONG = 1024
"""Fewest rows of a column that is looked at: an eighth of a second of telephone sound, a picture of 32 by 32."""
WIDE = 32
"""Fewest columns side by side that are looked at as one picture or waveform."""
_CELLS = 1024
_GLANCE = 64
_SCALES = (255.0, 128.0, 127.0, 32768.0, 32767.0)
# Six decimals leave a 16-bit sample so far from a whole number.
_ROUNDED = 0.02
_DISTINCT = 48
_SPREAD = 16
_TEXT = "Numbers look like samples of sound or of a picture, not like features. Take the columns out of the table."


def sample_findings(table: pa.Table, schema: TableSchema, *, place: str) -> tuple[Finding, ...]:
    """`stowaway.samples` for each long column, and one for each run of columns, that holds samples."""
    fields = [field for field in table.schema if pt.is_integer(field.type) or pt.is_floating(field.type)]
    names = [field.name for field in fields]
    if not names or not table.num_rows or (len(names) < WIDE and table.num_rows < LONG):
        return ()
    columns = [_numbers(table.column(name)) for name in names]
    # An odd step does not keep pace with the lines of a picture.
    step = (table.num_rows // _GLANCE) | 1
    glances = np.array([column[::step][:_GLANCE] for column in columns], np.float64)
    likely = _on_lattice(glances)
    found = []
    if table.num_rows >= LONG:
        finite = np.isfinite(glances)
        spread = glances.max(axis=1, initial=-np.inf, where=finite) - glances.min(axis=1, initial=np.inf, where=finite)
        # Truth values and grades are whole numbers too, and most columns of whole numbers are those.
        for number in np.flatnonzero(likely & ((spread >= _SPREAD) | (spread < 1) & (spread > 0))):
            values = columns[number].astype(np.float64)
            if _are_samples(values[np.isfinite(values)]):
                found.append(_finding(schema, place, names[number], table.num_rows))
    edges = np.flatnonzero(np.diff(np.r_[0, likely.astype(np.int8), 0]))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= WIDE and _is_block(np.column_stack([column[:_GLANCE] for column in columns[start:end]])):
            found.append(_finding(schema, place, names[start], table.num_rows * int(end - start)))
    return tuple(found)


def _finding(schema: TableSchema, place: str, column: str, count: int) -> Finding:
    return Finding(
        table=schema.name, file=place, column=column, code="stowaway.samples", row=1, count=count, message=_TEXT
    )


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The cells as they are, floats with NaN for the missing ones; no copy is made of a column without any."""
    if column.num_chunks == 1:
        numbers: npt.NDArray[Any] = column.chunk(0).to_numpy(zero_copy_only=False)
        return numbers
    whole: npt.NDArray[Any] = column.to_numpy()
    return whole


def _on_lattice(glances: Floats) -> npt.NDArray[np.bool_]:
    """Which lines of a matrix of a few cells per column could be samples; nearly every feature fails here."""
    cells = np.nan_to_num(glances, nan=0.0, posinf=0.5, neginf=0.5)
    lattice: npt.NDArray[np.bool_] = (cells == np.rint(cells)).all(axis=1)
    left = np.flatnonzero(~lattice & (np.abs(cells).max(axis=1) <= 1))
    for scale in _SCALES:
        scaled = cells[left] * scale
        lattice[left] |= (np.abs(scaled - np.rint(scaled)) <= _ROUNDED).all(axis=1)
    return lattice


def _scale(values: Floats) -> float | None:
    """The factor that makes whole numbers of numbers between -1 and 1; `None` when there is none, or no need of one."""
    if np.abs(values).max() > 1 or (values == np.rint(values)).all():
        return None
    for scale in _SCALES:
        scaled = values * scale
        if (np.abs(scaled - np.rint(scaled)) <= _ROUNDED).all():
            return scale
    return None


def _whole(values: Floats) -> Floats | None:
    """Samples as whole numbers; `None` when the values lie on no lattice of samples or are too few kinds."""
    scale = _scale(values)
    whole = np.rint(values * scale) if scale else values
    if not (whole == np.rint(whole)).all() or np.abs(whole).max() > 8388608:
        return None
    return whole if len(np.unique(whole)) >= _DISTINCT else None


def _are_samples(values: Floats) -> bool:
    """Whether a long column is a waveform, or a picture read line by line."""
    if len(values) < LONG:
        return False
    whole = _whole(values)
    if whole is None:
        return False
    steps = np.sign(np.diff(whole))
    rising, falling = int((steps > 0).sum()), int((steps < 0).sum())
    ascent = rising / max(rising + falling, 1)
    # Counters and sorted days go one way; pictures go up as often as down, and sound nearly so.
    return (0.25 < ascent < 0.75 and _is_sound(whole)) or (0.4 < ascent < 0.6 and _is_picture(whole))


def _correlation(values: Floats) -> Floats:
    """The autocorrelation at every lag, by FFT."""
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    raw = np.fft.irfft(spectrum * spectrum.conj())[: len(centred)]
    result: Floats = raw / raw[0] if raw[0] > 0 else np.zeros(len(centred))
    return result


def _is_sound(whole: Floats) -> bool:
    """Whether whole numbers swing about the middle of 8-bit or of signed samples, again and again and smoothly."""
    middle = 128.0 if whole.min() >= 0 and whole.max() <= 255 else 0.0
    swing = whole.std()
    if swing == 0 or abs(whole.mean() - middle) > 0.1 * swing + 2:
        return False
    if middle == 0 and whole.min() >= 0:
        return False
    crossings = np.count_nonzero(np.diff(whole > middle)) / len(whole)
    if not 0.003 < crossings < 0.6:
        return False
    lags = _correlation(whole)
    # Beyond what a first-order process has: sound is oscillation, so the second lag is told by more than the first.
    second = (lags[2] - lags[1] ** 2) / max(1 - lags[1] ** 2, 1e-9)
    return bool(second < -0.15)


def _is_picture(whole: Floats) -> bool:
    """Whether bytes repeat line by line: the correlation comes back at the width of the picture, and at twice it."""
    if whole.min() < 0 or whole.max() > 255 or np.ptp(whole) < 64:
        return False
    lags = _correlation(whole)
    if lags[1] < 0.5:
        return False
    widths = np.arange(16, min(len(lags) // 16, 2048))
    here, twice, thrice = (lags[times * widths] for times in (1, 2, 3))
    peaks = (here >= lags[widths - 1]) & (here >= lags[widths + 1])
    peaks &= (here > 0.3) & (twice > 0.15) & (thrice > 0.05)
    for number, peak in enumerate((here, twice, thrice)):
        peaks &= peak - lags[number * widths + widths // 2] > 0.08
    return bool(peaks.any())


def _is_block(block: Floats) -> bool:
    """Whether neighbours in a row resemble each other far more than other cells of the block do."""
    block = np.nan_to_num(block.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if block.size < _CELLS:
        return False
    whole = _whole(block.ravel())
    if whole is None:
        return False
    byte_like = whole.min() >= 0 and whole.max() <= 255 and np.ptp(whole) >= 64
    sound_like = whole.min() < 0 and whole.max() <= 32768 and abs(whole.mean()) <= 0.1 * whole.std() + 2
    if not (byte_like or sound_like):
        return False
    lines: Floats = whole.reshape(block.shape)
    near = np.abs(lines[:, 1:] - lines[:, :-1]).mean()
    # Two cells half a block apart, taken in a fixed order, stand for cells that have nothing to do with each other.
    far = np.abs(whole - np.roll(whole, whole.size // 2 + 7)).mean()
    # Answers of one person to many questions are alike too, but in any order of the questions.
    across = np.abs(lines - np.roll(lines, lines.shape[1] // 2, axis=1)).mean()
    return bool(near < 0.6 * min(far, across))
