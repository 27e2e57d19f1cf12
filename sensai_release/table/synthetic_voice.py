"""Synthetic recordings as openSMILE's Python package writes them: eGeMAPSv02 functionals and low-level descriptors.

Names, order and time stamps are the tool's own. How far each functional of a recording lies from its usual value comes
from the caller, as standard normal levels; a voice that keeps its levels from session to session can be linked.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.table.synthetic_draws import Floats, smooth

_AUDIO_FOLDER = "/recordings/synthetic"

# Per descriptor: usual mean, its spread over people, and the usual normalised standard deviation within a
# recording. Means are round numbers in the usual range of adult speech.
_DESCRIPTORS: dict[str, tuple[float, float, float]] = {
    "F0semitoneFrom27.5Hz_sma3nz": (28.0, 4.5, 0.08),
    "loudness_sma3": (0.8, 0.2, 0.7),
    "spectralFlux_sma3": (0.4, 0.12, 0.8),
    "mfcc1_sma3": (20.0, 5.0, 0.8),
    "mfcc2_sma3": (4.0, 5.0, 3.0),
    "mfcc3_sma3": (12.0, 6.0, 1.1),
    "mfcc4_sma3": (4.0, 6.0, 3.0),
    "jitterLocal_sma3nz": (0.025, 0.007, 1.2),
    "shimmerLocaldB_sma3nz": (1.2, 0.25, 0.7),
    "HNRdBACF_sma3nz": (6.0, 2.0, 0.6),
    "logRelF0-H1-H2_sma3nz": (4.0, 3.0, 1.5),
    "logRelF0-H1-A3_sma3nz": (20.0, 5.0, 0.5),
    "F1frequency_sma3nz": (530.0, 55.0, 0.35),
    "F1bandwidth_sma3nz": (1150.0, 90.0, 0.18),
    "F1amplitudeLogRelF0_sma3nz": (-80.0, 15.0, -1.1),
    "F2frequency_sma3nz": (1560.0, 90.0, 0.17),
    "F2bandwidth_sma3nz": (850.0, 90.0, 0.3),
    "F2amplitudeLogRelF0_sma3nz": (-84.0, 15.0, -1.0),
    "F3frequency_sma3nz": (2570.0, 110.0, 0.1),
    "F3bandwidth_sma3nz": (740.0, 90.0, 0.4),
    "F3amplitudeLogRelF0_sma3nz": (-86.0, 15.0, -1.0),
    "alphaRatioV_sma3nz": (-11.0, 3.0, -0.6),
    "hammarbergIndexV_sma3nz": (19.0, 4.0, 0.4),
    "slopeV0-500_sma3nz": (0.04, 0.02, 0.8),
    "slopeV500-1500_sma3nz": (-0.015, 0.006, -1.2),
    "spectralFluxV_sma3nz": (0.5, 0.14, 0.6),
    "mfcc1V_sma3nz": (25.0, 5.0, 0.4),
    "mfcc2V_sma3nz": (3.0, 5.5, 4.0),
    "mfcc3V_sma3nz": (14.0, 6.5, 1.0),
    "mfcc4V_sma3nz": (3.0, 6.5, 4.0),
}
_ENDS: dict[str, tuple[float, float]] = {
    "alphaRatioUV_sma3nz_amean": (-4.0, 3.0),
    "hammarbergIndexUV_sma3nz_amean": (12.0, 4.0),
    "slopeUV0-500_sma3nz_amean": (0.02, 0.015),
    "slopeUV500-1500_sma3nz_amean": (0.003, 0.006),
    "spectralFluxUV_sma3nz_amean": (0.2, 0.07),
    "loudnessPeaksPerSec": (4.2, 0.8),
    "VoicedSegmentsPerSec": (2.3, 0.5),
    "MeanVoicedSegmentLengthSec": (0.24, 0.07),
    "StddevVoicedSegmentLengthSec": (0.2, 0.06),
    "MeanUnvoicedSegmentLength": (0.19, 0.07),
    "StddevUnvoicedSegmentLength": (0.2, 0.09),
    "equivalentSoundLevel_dBp": (-26.0, 4.0),
}
_SHAPES = ("percentile20.0", "percentile50.0", "percentile80.0", "pctlrange0-2", "meanRisingSlope", "stddevRisingSlope",
           "meanFallingSlope", "stddevFallingSlope")  # fmt: skip
_SHAPED = {"F0semitoneFrom27.5Hz_sma3nz": 60.0, "loudness_sma3": 10.0}
"""Descriptors with percentiles and slopes, and the usual slope per second."""


@lru_cache(maxsize=1)
def _functionals() -> dict[str, tuple[float, float]]:
    """Usual mean and spread over recordings of the 88 functionals, in the order of openSMILE."""
    table: dict[str, tuple[float, float]] = {}
    for name, (mean, sd, spread) in _DESCRIPTORS.items():
        table[f"{name}_amean"] = (mean, sd)
        table[f"{name}_stddevNorm"] = (spread, abs(spread) / 6)
        if name in _SHAPED:
            width = abs(mean * spread)
            slope = _SHAPED[name]
            # Percentiles are made from mean and spread below; their own level is a small departure.
            table |= {f"{name}_{shape}": (0.0, width / 10) for shape in _SHAPES[:4]}
            table |= {f"{name}_{shape}": (slope, slope / 5) for shape in _SHAPES[4:]}
    return table | _ENDS


FUNCTIONALS = tuple(_functionals())


def functionals_header() -> str:
    return ",".join(("file", "start", "end", *FUNCTIONALS)) + "\n"


def functionals_line(levels: Floats, name: str, *, seconds: int) -> str:
    """One recording as a line of functionals; `levels` are 88 standard normal levels, as `FUNCTIONALS`."""
    values = dict(zip(FUNCTIONALS, _functional_values(levels).tolist(), strict=True))
    cells = [str(np.float32(value)) for value in values.values()]
    return ",".join((f"{_AUDIO_FOLDER}/{name}.wav", "0 days", _duration(seconds * 1_000_000), *cells)) + "\n"


def _functional_values(levels: Floats) -> Floats:
    usual = np.array(list(_functionals().values()))
    values = usual[:, 0] + usual[:, 1] * levels
    # What cannot be negative stays above a tenth of its usual value.
    values = np.where(usual[:, 0] > 0, np.maximum(values, 0.1 * usual[:, 0]), values)
    for name, (mean, _, _) in _DESCRIPTORS.items():
        at = FUNCTIONALS.index(f"{name}_amean")
        if mean > 0 and name.startswith(("mfcc", "logRel")):
            values[at] = mean + usual[at, 1] * levels[at]
        if name in _SHAPED:
            half = 0.84 * values[at] * values[at + 1]
            middle = np.sort(values[at] + np.array([-half, 0.0, half]) + values[at + 2 : at + 5])
            values[at + 2 : at + 5] = np.maximum(middle, 0.05 * values[at])
            values[at + 5] = values[at + 4] - values[at + 2]
    return values


_FRAME_DESCRIPTORS = (
    "Loudness_sma3", "alphaRatio_sma3", "hammarbergIndex_sma3", "slope0-500_sma3", "slope500-1500_sma3",
    "spectralFlux_sma3", "mfcc1_sma3", "mfcc2_sma3", "mfcc3_sma3", "mfcc4_sma3", "F0semitoneFrom27.5Hz_sma3nz",
    "jitterLocal_sma3nz", "shimmerLocaldB_sma3nz", "HNRdBACF_sma3nz", "logRelF0-H1-H2_sma3nz", "logRelF0-H1-A3_sma3nz",
    "F1frequency_sma3nz", "F1bandwidth_sma3nz", "F1amplitudeLogRelF0_sma3nz",
    "F2frequency_sma3nz", "F2bandwidth_sma3nz", "F2amplitudeLogRelF0_sma3nz",
    "F3frequency_sma3nz", "F3bandwidth_sma3nz", "F3amplitudeLogRelF0_sma3nz",
)  # fmt: skip
# The functional whose level a descriptor follows, where the names differ.
_FOLLOWS = {
    "Loudness_sma3": "loudness_sma3", "alphaRatio_sma3": "alphaRatioV_sma3nz", "slope0-500_sma3": "slopeV0-500_sma3nz",
    "hammarbergIndex_sma3": "hammarbergIndexV_sma3nz", "slope500-1500_sma3": "slopeV500-1500_sma3nz",
}  # fmt: skip


def egemaps_lld_csv(levels: Floats, name: str, *, seed: int, person: int, session: int, seconds: int) -> bytes:
    """One recording as openSMILE's 25 low-level descriptors, every 10 ms, with unvoiced stretches.

    `levels` are the 88 standard normal levels of `FUNCTIONALS` of this recording.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(person, session + 1, 1)))
    rows = seconds * 100
    means = dict(zip(FUNCTIONALS, _functional_values(levels).tolist(), strict=True))
    voiced = smooth(rng, rows, 1)[:, 0] > -0.3
    moves = smooth(rng, rows, len(_FRAME_DESCRIPTORS))
    cells = []
    for at, descriptor in enumerate(_FRAME_DESCRIPTORS):
        source = _FOLLOWS.get(descriptor, descriptor)
        mean, spread = means[f"{source}_amean"], _DESCRIPTORS[source][2]
        series = mean + abs(mean * spread) * 0.6 * moves[:, at]
        if descriptor.endswith("_sma3nz"):
            # openSMILE gives no pitch, quality or formant amplitude to an unvoiced frame.
            series = np.where(voiced, series, -201.0 if "amplitude" in descriptor else 0.0)
        cells.append(pc.cast(pa.array(series.astype(np.float32)), pa.string()))
    path = pa.scalar(f"{_AUDIO_FOLDER}/{name}.wav")
    lines = pc.binary_join_element_wise(path, *_spans(rows), *cells, ",")
    header = ",".join(("file", "start", "end", *_FRAME_DESCRIPTORS))
    return ("\n".join((header, *lines.to_pylist())) + "\n").encode()


@lru_cache(maxsize=2)
def _spans(rows: int) -> tuple[pa.Array, pa.Array]:
    """Start and end of windows of 20 ms every 10 ms."""
    return (
        pa.array([_duration(row * 10_000) for row in range(rows)]),
        pa.array([_duration(row * 10_000 + 20_000) for row in range(rows)]),
    )


def _duration(microseconds: int) -> str:
    """A time as openSMILE's Python package writes it, for example `0 days 00:00:03.370000`."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = f"0 days {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}" if fraction else text
