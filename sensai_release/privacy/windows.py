"""Frames into windows: statistics of each column over windows of some seconds, per recording.

Rules. Time counts from the recording's first row. A row belongs to window floor(t / seconds), counted in whole
microseconds. Rows with the same time (several faces, a clock that stands still for a while) all count. Only rows whose
`valid` column is 1 enter the statistics, and of these only finite cells; a window with a smaller share of valid rows
than `minimum_valid` has missing statistics. The last window counts as long as from its start to the last row plus the
median step, and is left out when that is less than half a window; a window without rows is not listed. So a recording
that is shorter than half a window, or whose clock stands still throughout, gives no window at all: `time_findings`
says so, and refuses time that is missing or goes backwards.
Who reads the frames and adds the key of the recording is `pipeline`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensai_release.errors import InputError
from sensai_release.privacy.actions import Floats, floats, round_significant
from sensai_release.privacy.policy import WINDOW_COLUMNS, PlannedColumn, TablePlan
from sensai_release.table.findings import Finding
from sensai_release.table.schema import WindowSpec

Counts = npt.NDArray[np.int64]
_QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}


def time_findings(frames: pa.Table, window: WindowSpec, *, table: str, place: str | None = None) -> tuple[Finding, ...]:
    """What is wrong with the time of a recording: `time.missing`, `time.backwards` (errors, no windows can be made) and
    `time.short` (a warning: it gives no window). `place` is the declared name of the file.
    """
    times = floats(frames[window.time])
    finite = np.isfinite(times)
    backwards = np.r_[False, np.diff(times) < 0][: len(times)]
    checks = (
        ("time.missing", ~finite, "every row needs its time; write the file again from the video"),
        ("time.backwards", backwards, "time must not go backwards; do not join files"),
    )
    found = [
        Finding(
            table=table, file=place, column=window.time, code=code, row=int(np.argmax(wrong)) + 1,
            count=int(wrong.sum()), message=message,
        )
        for code, wrong, message in checks
        if wrong.any()
    ]  # fmt: skip
    if not found and len(_kept_rows(times, window)[1]) == 0:
        message = f"shorter than half a window of {window.seconds:g} s by its own clock, so it gives no window"
        found.append(
            Finding(table=table, file=place, column=window.time, code="time.short", severity="warning", message=message)
        )
    return tuple(found)


def window_table(frames: pa.Table, plan: TablePlan, window: WindowSpec) -> pa.Table:
    """One row per window: `window` (int64, from 0), `frames` (int64), `valid_share`, then `<column>_<statistic>`.

    Statistics are float64, rounded to the action's significant digits: mean, sd (n - 1; missing for one value), min,
    max, quantiles (linear interpolation, Hyndman and Fan's type 7) and rate (share of values above zero). A planned
    column that the recording lacks is missing throughout. Raises `InputError` for time that `time_findings` refuses.
    """
    times = floats(frames[window.time])
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise InputError(plan.schema.name, "the time of a recording is missing or goes backwards", "Run 'validate'.")
    kept, starts, numbers = _kept_windows(times, window)
    valid = np.ones(kept, dtype=bool) if window.valid is None else floats(frames[window.valid])[:kept] == 1
    counts = np.diff(np.r_[starts, kept])
    usable = np.add.reduceat(valid.astype(np.int64), starts) if len(starts) else np.zeros(0, dtype=np.int64)
    share = usable / counts
    arrays = [pa.array(numbers, pa.int64()), pa.array(counts, pa.int64()), pa.array(share, pa.float64())]
    names = list(WINDOW_COLUMNS)
    columns = [column for column in plan.columns if column.action.do == "window"]
    values = _statistics(frames.slice(0, kept), columns, valid, usable)
    missing = np.isnan(values) | ~(share >= window.minimum_valid)
    names += [name for column in columns for name in column.outputs]
    arrays += [pa.array(row, pa.float64(), mask=absent) for row, absent in zip(values, missing, strict=True)]
    return pa.table(arrays, names=names)


def _kept_rows(times: Floats, window: WindowSpec) -> tuple[int, Counts]:
    kept, starts, _ = _kept_windows(times, window)
    return kept, starts


def _kept_windows(times: Floats, window: WindowSpec) -> tuple[int, Counts, Counts]:
    """The number of rows that lie in windows, the first row of each window, and the window's number."""
    # Whole microseconds: 5.033 - 0.033 must fall in the second window of five seconds, as its decimals say.
    ticks = np.rint((times - times[:1]) * 1e6).astype(np.int64)
    length = round(window.seconds * 1e6)
    numbers = ticks // length
    starts = np.flatnonzero(np.r_[True, np.diff(numbers) > 0][: len(numbers)])
    kept = len(ticks)
    if kept:
        steps = np.diff(ticks)
        steps = steps[steps > 0]
        end = ticks[-1] + (int(np.median(steps)) if len(steps) else 0)
        if (end - numbers[-1] * length) * 2 < length:
            kept = int(starts[-1])
            starts = starts[:-1]
    return kept, starts, numbers[starts]


def _statistics(
    frames: pa.Table, columns: Sequence[PlannedColumn], valid: npt.NDArray[np.bool_], usable: Counts
) -> Floats:
    """Planned statistics by windows, in the order of the released columns; NaN where there is none."""
    filled = usable > 0
    ends = np.cumsum(usable)
    starts = (ends - usable)[filled]
    bounds = list(zip(starts.tolist(), ends[filled].tolist(), strict=True))
    statistic = _Statistics(_block(frames, columns, valid), starts, bounds, usable[filled])
    wanted = [tuple(column.action.parameters["statistics"]) for column in columns]
    for name in dict.fromkeys(name for names in wanted for name in names):
        statistic.compute(name, [row for row, names in enumerate(wanted) if name in names])
    values = np.full((sum(map(len, wanted)), len(usable)), np.nan)
    results = [statistic.result(name, row) for row, names in enumerate(wanted) for name in names]
    if results:
        values[:, filled] = np.stack(results)
    digits = np.array([column.action.parameters.get("digits", 0) for column in columns for _ in column.outputs])
    for number in np.unique(digits[digits > 0]):
        values[digits == number] = round_significant(values[digits == number], int(number))
    return values


def _block(frames: pa.Table, columns: Sequence[PlannedColumn], valid: npt.NDArray[np.bool_]) -> Floats:
    """Columns by valid rows, one column after another in memory; what is not finite is NaN."""
    block = np.full((len(columns), int(valid.sum())), np.nan)
    everything = bool(valid.all())
    present = set(frames.column_names)
    for row, column in enumerate(columns):
        if column.source in present:
            values = floats(frames[column.source])
            block[row] = values if everything else values[valid]
    block[np.isinf(block)] = np.nan
    return block


class _Statistics:
    """Segment statistics of a block, each computed once for the columns (rows of the block) that ask for it."""

    def __init__(self, block: Floats, starts: Counts, bounds: list[tuple[int, int]], lengths: Counts) -> None:
        self._block = block
        self._starts = starts
        self._bounds = bounds
        self._lengths = lengths
        self._gap = np.isnan(block)
        self._gappy = bool(self._gap.any())
        self._sizes = self._reduce(np.add, (~self._gap).astype(np.float64)) if self._gappy else self._full_sizes()
        self._results: dict[tuple[str, int], Floats] = {}
        self._sorted: tuple[list[int], Floats] | None = None

    def result(self, name: str, row: int) -> Floats:
        return self._results[name, row]

    def compute(self, name: str, rows: list[int]) -> None:
        methods: dict[str, Callable[[list[int]], Floats]] = {
            "mean": self._mean,
            "sd": self._deviation,
            "min": lambda rows: self._extreme(rows, np.minimum, np.inf),
            "max": lambda rows: self._extreme(rows, np.maximum, -np.inf),
            "rate": self._rate,
        }
        if len(self._starts) == 0:
            values = np.zeros((len(rows), 0))
        elif name in _QUANTILES:
            values = self._quantile(rows, _QUANTILES[name])
        else:
            values = methods[name](rows)
        for position, row in enumerate(rows):
            self._results[name, row] = values[position]

    def _full_sizes(self) -> Floats:
        return np.broadcast_to(self._lengths.astype(np.float64), (len(self._block), len(self._lengths)))

    def _reduce(self, operation: np.ufunc, values: Floats) -> Floats:
        if len(self._starts) == 0:
            return np.zeros((len(values), 0))
        reduced: Floats = operation.reduceat(values, self._starts, axis=1)
        return reduced

    def _filled(self, rows: list[int], value: float) -> Floats:
        part = self._block[rows]
        if self._gappy:
            part[self._gap[rows]] = value
        return part

    def _mean(self, rows: list[int]) -> Floats:
        return _divide(self._reduce(np.add, self._filled(rows, 0.0)), self._sizes[rows])

    def _deviation(self, rows: list[int]) -> Floats:
        # Two passes: the textbook difference of sums loses all digits of a nearly constant column.
        distance = self._block[rows] - np.repeat(self._mean(rows), self._lengths, axis=1)
        if self._gappy:
            distance[self._gap[rows]] = 0.0
        distance *= distance
        return np.sqrt(_divide(self._reduce(np.add, distance), self._sizes[rows] - 1))

    def _extreme(self, rows: list[int], operation: np.ufunc, neutral: float) -> Floats:
        values = self._reduce(operation, self._filled(rows, neutral))
        return np.where(self._sizes[rows] > 0, values, np.nan)

    def _rate(self, rows: list[int]) -> Floats:
        above = (self._filled(rows, 0.0) > 0).astype(np.float64)
        return _divide(self._reduce(np.add, above), self._sizes[rows])

    def _quantile(self, rows: list[int], share: float) -> Floats:
        if self._sorted is None or self._sorted[0] != rows:
            part = self._block[rows]
            for start, end in self._bounds:  # a dozen windows; NaN sorts last
                part[:, start:end].sort(axis=1)
            self._sorted = (rows, part)
        part, sizes = self._sorted[1], self._sizes[rows]
        position = np.maximum(sizes - 1, 0) * share
        low = np.floor(position).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(sizes.astype(np.int64) - 1, 0))
        below = np.take_along_axis(part, low + self._starts, axis=1)
        above = np.take_along_axis(part, high + self._starts, axis=1)
        return np.where(sizes > 0, below + (above - below) * (position - low), np.nan)


def _divide(total: Floats, sizes: Floats) -> Floats:
    quotient: Floats = np.full(total.shape, np.nan)
    np.divide(total, sizes, out=quotient, where=sizes > 0)
    return quotient
