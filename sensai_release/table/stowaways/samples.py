"""Samples of sound and pixels in columns of numbers.

Two shapes are known: one sample a row (a long column), and one sample a column (a wide table: rows of a grey picture,
`pixel_0 … pixel_4095`, a waveform cut into lines). Whole numbers, and shares of 255 or 32768, lie on the lattice of
8-bit and 16-bit samples; there it is enough that neighbours resemble each other as in sound or in a picture. All other
numbers are judged by `waveforms`, as sound alone. Features of tools are rounded, drift, or go on evenly.
Not seen: a picture that was rescaled by an odd factor, and what `waveforms` says of sound. Such columns still have to
keep within the ranges in force, and frame-level columns leave only as statistics of windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from sensai_release.table.findings import Finding
from sensai_release.table.matching import specs_for
from sensai_release.table.schema import ColumnSpec, TableSchema
from sensai_release.table.stowaways.waveforms import SHORTEST, is_sound, may_be_sound, shape_of

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LONG = SHORTEST
"""Fewest rows of a column that is looked at: an eighth of a second of telephone sound, a picture of 32 by 32."""
WIDE = 32
"""Fewest columns side by side that are looked at as one picture or waveform."""
_CELLS = 1024
_GLANCE = 64
_SCALES = (255.0, 128.0, 127.0, 32768.0, 32767.0)
# Six decimals leave a 16-bit sample so far from a whole number.
_ROUNDED = 0.02
_DISTINCT = 48
_FEW = 8
_SPREAD = 16
_BEATS = 1.28
# One row a picture needs this many columns; a table of landmarks has 68 or 136 that hardly move from row to row.
_STILL_WIDTH = 256
# A longer block is judged by its first cells: what they are shows long before, and memory stays small.
_BLOCK_CELLS = 1 << 17
_TEXT = "Numbers look like samples of sound or of a picture, not like features. Take the columns out of the table."


def sample_findings(table: pa.Table, schema: TableSchema, *, place: str) -> tuple[Finding, ...]:
    """`stowaway.samples` for each long column, and one for each run of columns, that holds samples."""
    fields = [field for field in table.schema if pt.is_integer(field.type) or pt.is_floating(field.type)]
    names = tuple(field.name for field in fields)
    if not names or not table.num_rows or (len(names) < WIDE and table.num_rows < LONG):
        return ()
    columns = [_numbers(table.column(name)) for name in names]
    # An odd step does not keep pace with the lines of a picture.
    step = (table.num_rows // _GLANCE) | 1
    glances = np.array([column[::step][:_GLANCE] for column in columns], np.float64)
    lattice = _on_lattice(glances)
    found = []
    if table.num_rows >= LONG:
        long = _long(columns, glances, lattice)
        found += [_finding(schema, place, names[number], table.num_rows) for number in long]
    for start, end in _runs(lattice):
        landmarks = all(_never_leaves(spec) for spec in specs_for(schema, names)[start:end])
        if not landmarks and _is_block(columns[start:end], glances[start:end]):
            found.append(_finding(schema, place, names[start], table.num_rows * (end - start)))
    for start, end in _alike(glances, ~lattice):
        if _is_cut_sound(columns[start:end]):
            found.append(_finding(schema, place, names[start], table.num_rows * (end - start)))
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


def _never_leaves(spec: ColumnSpec | None) -> bool:
    """Whether a column is a template of a face or voice by its schema, and dropped in every release."""
    if spec is None or spec.idclass != "X":
        return False
    return all(action.do == "drop" for actions in spec.actions.values() for action in actions)


def _long(columns: list[npt.NDArray[Any]], glances: Floats, lattice: Mask) -> Iterator[int]:
    """The long columns that hold samples, each by its number."""
    finite = np.isfinite(glances)
    spread = glances.max(axis=1, initial=-np.inf, where=finite) - glances.min(axis=1, initial=np.inf, where=finite)
    # Truth values and grades are whole numbers too, and most columns of whole numbers are those.
    whole = lattice & ((spread >= _SPREAD) | (spread < 1) & (spread > 0))
    swinging = np.zeros(len(columns), dtype=bool)
    floats = np.array([column.dtype.kind == "f" for column in columns])
    several = np.flatnonzero((spread >= _FEW) | floats & (spread > 0))
    if len(several):
        swinging[several] = may_be_sound([columns[number] for number in several])
    for number in np.flatnonzero(whole | swinging):
        values = columns[number].astype(np.float64)
        values = values[np.isfinite(values)]
        if (whole[number] and _are_samples(values)) or (swinging[number] and is_sound(values)):
            yield int(number)


def _kinds(lines: Floats) -> npt.NDArray[np.int_]:
    """How many different values each line has, less one."""
    found: npt.NDArray[np.int_] = np.count_nonzero(np.diff(np.sort(lines, axis=1), axis=1) > 0, axis=1)
    return found


def _on_lattice(glances: Floats) -> Mask:
    """Which lines of a matrix of a few cells per column could be samples; nearly every feature fails here."""
    cells = np.nan_to_num(glances, nan=0.0, posinf=0.5, neginf=0.5)
    lattice: Mask = (cells == np.rint(cells)).all(axis=1)
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
    if 0.25 < ascent < 0.75 and (_is_whole_sound(whole) or _is_telephone(whole)):
        return True
    return 0.4 < ascent < 0.6 and _is_picture(whole)


def _correlation(values: Floats) -> Floats:
    """The autocorrelation at every lag, by FFT."""
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 2 * len(centred))
    raw = np.fft.irfft(spectrum * spectrum.conj())[: len(centred)]
    result: Floats = raw / raw[0] if raw[0] > 0 else np.zeros(len(centred))
    return result


def _is_whole_sound(whole: Floats) -> bool:
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
    if second >= -0.15:
        return False
    # Pulse and breath, counted by a device, are whole numbers that swing too; they do so evenly, or drift. The lattice
    # is evidence of its own, so the limits are wider than those of `waveforms`.
    shape = shape_of(whole)
    return shape.low < 0.5 and shape.bursts > 0.4


def _is_telephone(whole: Floats) -> bool:
    """Whether bytes are sound once they are decoded by mu-law or A-law (ITU-T G.711)."""
    if whole.min() < 0 or whole.max() > 255:
        return False
    codes = whole.astype(np.int64)
    mu = codes ^ 0xFF
    mu_steps = ((((mu & 15) << 3) + 132) << ((mu >> 4) & 7)) - 132
    a = codes ^ 0x55
    segment = (a >> 4) & 7
    a_steps = np.where(segment > 0, (((a & 15) << 4) + 264) << np.maximum(segment - 1, 0), ((a & 15) << 4) + 8)
    signed = (np.where(mu & 128, -mu_steps, mu_steps), np.where(a & 128, a_steps, -a_steps))
    return any(is_sound(steps.astype(np.float64)) for steps in signed)


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
    # The beats of a pulse are more alike than the lines of a picture, and further from what lies half a beat away.
    contrast = (here - lags[widths + widths // 2]) * len(whole) / (len(whole) - widths)
    return bool((peaks & (contrast < _BEATS)).any() and not (peaks & (contrast >= _BEATS)).any())


def _runs(marked: Mask) -> list[tuple[int, int]]:
    """The runs of at least `WIDE` marked columns, as first and end."""
    edges = np.flatnonzero(np.diff(np.r_[0, marked.astype(np.int8), 0]))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, end) for start, end in pairs if end - start >= WIDE]


def _is_block(columns: list[npt.NDArray[Any]], glances: Floats) -> bool:
    """Whether rows through the whole table, or the first ones, look like lines of samples."""
    first = np.column_stack([column[:_GLANCE] for column in columns])
    return _are_lines(glances.T) or _are_lines(first)


def _are_lines(block: Floats) -> bool:
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
    if np.median(_kinds(lines)) < _FEW:
        return False
    near = np.abs(lines[:, 1:] - lines[:, :-1]).mean()
    # Two cells half a block apart, taken in a fixed order, stand for cells that have nothing to do with each other.
    far = np.abs(whole - np.roll(whole, whole.size // 2 + 7)).mean()
    # Answers of one person to many questions are alike too, but in any order of the questions.
    across = np.abs(lines - np.roll(lines, lines.shape[1] // 2, axis=1)).mean()
    down = np.abs(lines - np.roll(lines, lines.shape[0] // 2, axis=0)).mean()
    if len(lines) > 1 and lines.shape[1] < _STILL_WIDTH and down < 0.25 * across:
        return False
    return bool(near < 0.6 * min(far, across))


def _alike(glances: Floats, marked: Mask) -> list[tuple[int, int]]:
    """The runs of marked columns that have one level and one spread, as the samples of a waveform cut into lines."""
    if np.count_nonzero(marked) < WIDE:
        return []
    rows = glances.shape[1]
    if rows < _FEW:
        # Too few rows to compare columns; then the lines have to be long.
        return [(start, end) for start, end in _runs(marked) if end - start >= SHORTEST]
    cells = np.nan_to_num(glances, nan=0.0, posinf=0.0, neginf=0.0)
    level, spread = cells.mean(axis=1), cells.std(axis=1)
    marked = marked & (spread > 0)
    wider, narrower = np.maximum(spread[1:], spread[:-1]), np.minimum(spread[1:], spread[:-1])
    joined = marked[1:] & marked[:-1] & (wider < 4 * narrower) & (np.abs(np.diff(level)) < 0.75 * wider)
    # A run of n columns has n - 1 joints. Joined two by two, the columns may still be features of many levels.
    runs = [(start, end + 1) for start, end in _runs(np.r_[joined, False])]
    return [run for run in runs if _is_one_process(cells[slice(*run)])]


def _is_one_process(cells: Floats) -> bool:
    """Whether columns differ in level and spread no more than parts of one series do by chance."""
    level, spread = cells.mean(axis=1), cells.std(axis=1)
    if np.median(_kinds(cells)) < _FEW:
        return False
    return bool(level.var() < 4 / cells.shape[1] * (spread**2).mean() and spread.std() < 0.5 * spread.mean())


def _is_cut_sound(columns: list[npt.NDArray[Any]]) -> bool:
    """Whether the rows, one after the other, are recorded sound."""
    rows = max(1, _BLOCK_CELLS // len(columns))
    cells = np.column_stack([column[:rows] for column in columns]).astype(np.float64).ravel()
    cells = cells[np.isfinite(cells)]
    return len(cells) >= SHORTEST and bool(may_be_sound([cells])[0]) and is_sound(cells)
