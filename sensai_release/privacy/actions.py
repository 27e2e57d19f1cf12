"""What may be done to a column: pure functions from Arrow columns to Arrow arrays. Inputs are never changed.

Which action a column gets is `privacy.policy`'s, windows are `privacy.windows`', the choice of levels is
`privacy.generalise`'s. Terms as in ISO/IEC 20889: rounding, bottom and top coding, generalisation. Missing cells stay
missing everywhere, save that the top level `*` of a hierarchy holds everything. Where a random number or a person is
needed it comes as an argument (`privacy.noise`, `privacy.context`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError, InputError
from sensai_release.table.schema import Hierarchy

Column: TypeAlias = pa.Array | pa.ChunkedArray
Floats = npt.NDArray[np.float64]

TOP = "*"
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(-307, 309)])
_DAY_MICROSECONDS = 86_400_000_000


def refuse_missing(column: Column, place: str) -> None:
    """For `missing: refuse`. Raises `InputError` with the number of missing cells."""
    if column.null_count:
        cause = f"{column.null_count} cells are missing, and the policy says 'missing: refuse'"
        raise InputError(place, cause, "Fill them in at the source, or change the action in the schema.")


def round_significant(values: Floats, digits: int) -> Floats:
    """Each value rounded to `digits` (1 to 15) significant decimal digits; NaN and infinities stay.

    The value is scaled by a power of ten in binary64, rounded half to even, and scaled back. Where that power is at
    most 10^22, and so exact, this gives the binary64 number nearest to a decimal of at most `digits` digits: it prints
    short, and rounding it again changes nothing; beyond, it may be off by a unit in the last place. A value within a
    unit in the last place of a half may round either way. Below 10^-290 fewer digits are kept, and what would round
    beyond the largest number stays.
    """
    magnitude = np.abs(values)
    usable = np.isfinite(values) & (magnitude > 0)
    safe = np.where(usable, magnitude, 1.0)
    exponent = np.clip(np.floor(np.log10(safe)).astype(np.int64), -290, 307)
    # log10 is off by one next to powers of ten.
    exponent += (safe >= _power(exponent + 1)).astype(np.int64) * (exponent < 307)
    exponent -= (safe < _power(exponent)).astype(np.int64) * (exponent > -290)
    shift = digits - 1 - exponent
    up, down = _power(np.maximum(shift, 0)), _power(np.maximum(-shift, 0))
    # One of `up` and `down` is 1. Dividing by an exact power of ten is correctly rounded, multiplying by 0.1 is not.
    with np.errstate(over="ignore"):
        rounded = np.rint(np.where(usable, values, 0.0) * up / down) * down / up
    return np.where(usable & np.isfinite(rounded), rounded, values)


def _power(exponent: npt.NDArray[np.int64]) -> Floats:
    return _POWERS[np.minimum(exponent + 307, len(_POWERS) - 1)]


def round_column(column: Column, digits: int) -> pa.Array:
    """`round_significant` of a column; integers stay int64 and are rounded exactly, half to even."""
    column = _one_chunk(column)
    missing = _missing(column)
    if pa.types.is_integer(column.type):
        whole = _whole_numbers(column)
        return pa.array(_round_whole(whole, digits), pa.int64(), mask=missing)
    return pa.array(round_significant(floats(column), digits), pa.float64(), mask=missing)


def _round_whole(values: npt.NDArray[np.int64], digits: int) -> npt.NDArray[np.int64]:
    magnitude = np.abs(values).astype(np.uint64)
    powers = np.array([10**exponent for exponent in range(20)], dtype=np.uint64)
    length = np.searchsorted(powers, magnitude, side="right")
    unit = powers[np.maximum(length - digits, 0)]
    quotient, rest = np.divmod(magnitude, unit)
    twice = rest * np.uint64(2)
    quotient += ((twice > unit) | ((twice == unit) & (unit > 1) & (quotient % 2 == 1))).astype(np.uint64)
    return np.sign(values) * (quotient * unit).astype(np.int64)


def interval_labels(edges: Sequence[float]) -> tuple[str, ...]:
    """The labels of the intervals between inner cut points, lowest first: `<30`, `[30,40)`, `>=40`."""
    texts = [_number(edge) for edge in edges]
    inner = [f"[{low},{high})" for low, high in itertools.pairwise(texts)]
    return (f"<{texts[0]}", *inner, f">={texts[-1]}")


def bin_column(column: Column, edges: Sequence[float]) -> pa.Array:
    """The label of the interval [a, b) of each number; `edges` are the inner cut points, rising."""
    values = floats(column)
    return _labelled(np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right"), edges, values)


def _labelled(codes: npt.NDArray[np.int64], edges: Sequence[float], values: Floats) -> pa.Array:
    labels = pa.array(interval_labels(edges), pa.string())
    return pc.take(labels, pa.array(codes, pa.int64(), mask=np.isnan(values)))


def level_labels(hierarchy: Hierarchy, level: int) -> tuple[str, ...]:
    """All labels of a level: 0 is the finest that is declared, `height` - 1 the top, which is `*` alone."""
    if level == hierarchy.height - 1:
        return (TOP,)
    if hierarchy.kind == "intervals":
        return interval_labels(hierarchy.edges[level])
    return tuple(dict.fromkeys(labels[level] for labels in hierarchy.table.values()))


def generalise_column(column: Column, hierarchy: Hierarchy, level: int) -> pa.Array:
    """Each cell at a level of the hierarchy (0 is the finest declared). At the top every cell is `*`, missing or not.

    Raises `ConfigurationError` when cells hold categories that the hierarchy lacks, with their number.
    """
    if not 0 <= level < hierarchy.height:
        raise ConfigurationError(_place(hierarchy), f"has no level {level}", f"It has {hierarchy.height} levels.")
    if level == hierarchy.height - 1:
        return pa.repeat(pa.scalar(TOP, pa.string()), len(column))
    if hierarchy.kind == "intervals":
        return bin_column(column, hierarchy.edges[level])
    keys = pa.array(list(hierarchy.table), pa.string())
    labels = pa.array([labels[level] for labels in hierarchy.table.values()], pa.string())
    texts = pc.cast(_one_chunk(column), pa.string())
    positions = pc.index_in(texts, value_set=keys)
    uncovered = positions.null_count - texts.null_count
    if uncovered:
        cause = f"does not cover the categories of {uncovered} cells"
        raise ConfigurationError(_place(hierarchy), cause, "Add every category that the schema accepts.")
    return pc.take(labels, positions)


def ordinal(times: Column, within: Column, tie_break: Column | None = None) -> pa.Array:
    """The rank (int64, from 1) of each time among the times of its person; a missing time has none.

    Equal times of one person are ranked by `tie_break`; without it they raise `InputError`, as their order is unknown.
    """
    ticks, missing = _ticks(times)
    persons = _codes(within)
    tie = np.zeros(len(ticks), dtype=np.int64) if tie_break is None else _codes(tie_break)
    order = np.lexsort((tie, ticks, missing, persons))
    starts = _starts(persons[order])
    if tie_break is None:
        same = (np.diff(ticks[order]) == 0) & ~starts[1:] & ~missing[order][1:]
        if same.any():
            cause = f"{int(same.sum())} times of one person are equal, so their order is unknown"
            raise InputError("ordinal", cause, "Give the exact times, or a primary key to order by.")
    position = np.arange(len(order))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = position - np.maximum.accumulate(np.where(starts, position, 0)) + 1
    return pa.array(rank, pa.int64(), mask=missing)


def relative_day(times: Column, within: Column, days: int) -> pa.Array:
    """Calendar days (int64) since the person's first day, floored to multiples of `days`; missing stays missing."""
    ticks, missing = _ticks(times)
    day = ticks // _DAY_MICROSECONDS
    persons = _codes(within)
    order = np.lexsort((day, missing, persons))
    starts = _starts(persons[order])
    first = day[order][np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))]
    elapsed = np.empty_like(day)
    elapsed[order] = day[order] - first
    return pa.array(elapsed // days * days, pa.int64(), mask=missing)


def add_noise(
    column: Column,
    draws: Floats,
    sigma: float,
    digits: int,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
) -> pa.Array:
    """Each number plus `sigma` times its draw from N(0, 1), clipped into the range, then rounded; as float64.

    `sigma` is in the unit of the column; `draws` has one number a row (`noise.standard_normal`). Clipping comes first,
    so that the rounded bounds hold. Rounding to `digits` significant digits is part of it: the last digits of a binary
    sum can tell the terms (Mironov, https://doi.org/10.1145/2382196.2382264). Missing stays missing.
    """
    column = _one_chunk(column)
    noisy = floats(column) + sigma * draws
    if minimum is not None or maximum is not None:
        noisy = np.clip(noisy, minimum, maximum)
    return pa.array(round_significant(noisy, digits), pa.float64(), mask=_missing(column))


def top_bottom_code(column: Column, lower: float | None = None, upper: float | None = None) -> pa.Array:
    """Top and bottom coding: a number below `lower` becomes `lower`, one above `upper` becomes `upper`.

    The type stays (bounds of whole numbers must be whole). Missing stays missing. How many cells are changed is
    `count_beyond`'s.
    """
    column = _one_chunk(column)
    if lower is not None:
        column = pc.if_else(pc.less(column, pa.scalar(lower, column.type)), pa.scalar(lower, column.type), column)
    if upper is not None:
        column = pc.if_else(pc.greater(column, pa.scalar(upper, column.type)), pa.scalar(upper, column.type), column)
    return column


def count_beyond(column: Column, lower: float | None = None, upper: float | None = None) -> tuple[int, int]:
    """How many cells lie below `lower`, and how many above `upper`."""
    values = floats(column)
    below = 0 if lower is None else int((values < lower).sum())
    return below, 0 if upper is None else int((values > upper).sum())


def suppress_local(
    column: Column,
    *,
    values: Sequence[object] = (),
    below: float | None = None,
    above: float | None = None,
    fewer_than: int | None = None,
    persons: Column | None = None,
) -> pa.Array:
    """Local suppression: a cell becomes missing where any of the conditions holds; the others stay as they are.

    Conditions: it is one of `values`; it lies `below` or `above` a bound; it is held by `fewer_than` that many
    `persons` (one for each row), each counted once. Missing stays missing.
    """
    column = _one_chunk(column)
    conditions = [pc.is_in(column, value_set=pa.array(list(values), column.type))] if values else []
    if below is not None:
        conditions.append(pc.less(column, pa.scalar(below, column.type)))
    if above is not None:
        conditions.append(pc.greater(column, pa.scalar(above, column.type)))
    if fewer_than is not None and persons is not None:
        held = pa.table({"value": column, "person": _one_chunk(persons)})
        counts = held.group_by("value", use_threads=False).aggregate([("person", "count_distinct")])
        rare = counts.filter(pc.less(counts["person_count_distinct"], fewer_than))["value"].combine_chunks()
        conditions.append(pc.is_in(column, value_set=rare))
    hidden = np.zeros(len(column), dtype=bool)
    for condition in conditions:
        hidden |= pc.fill_null(condition, False).to_numpy(zero_copy_only=False)
    return pc.if_else(pa.array(hidden), pa.scalar(None, column.type), column)


def earliest(within: Column, order: Column, eligible: Column | None = None) -> pa.Array:
    """True for the row of each person with the lowest `order` among those `eligible` (Boolean; None: all).

    A row without a person or without an order is never chosen. Equal orders of one person raise `InputError`.
    """
    usable = pc.and_(pc.is_valid(_one_chunk(within)), pc.is_valid(_one_chunk(order)))
    if eligible is not None:
        usable = pc.and_(usable, pc.fill_null(_one_chunk(eligible), False))
    rows = np.flatnonzero(usable.to_numpy(zero_copy_only=False))
    persons, places = _codes(within)[rows], floats(order)[rows]
    sequence = np.lexsort((places, persons))
    starts = np.flatnonzero(_starts(persons[sequence]))
    followers = starts[starts + 1 < len(sequence)]
    pairs = sequence[followers], sequence[followers + 1]
    if ((persons[pairs[0]] == persons[pairs[1]]) & (places[pairs[0]] == places[pairs[1]])).any():
        raise InputError("reference", "two rows of one person come first", "Use a table with one row a session.")
    chosen = np.zeros(len(usable), dtype=bool)
    chosen[rows[sequence[starts]]] = True
    return pa.array(chosen)


def difference_from_reference(column: Column, within: Column, reference: Column, digits: int) -> pa.Array:
    """Each number minus that of its person's `reference` row (Boolean, at most one a person), rounded; as float64.

    Missing where the cell, the person or the reference's cell is missing, where a person has no reference, and in the
    reference row itself: a 0 there would tell which one it is, and would count as a measurement. Rounding to `digits`
    significant digits keeps the last digits of a binary difference from telling its terms. Raises `InputError` for two
    references of one person.
    """
    values, persons = floats(column), _codes(within)
    marked = pc.fill_null(_one_chunk(reference), False).to_numpy(zero_copy_only=False)
    known = pc.is_valid(_one_chunk(within)).to_numpy(zero_copy_only=False)
    owners = persons[marked & known]
    if len(np.unique(owners)) < len(owners):
        raise InputError("reference", "one person has two reference rows", "Use a table with one row a session.")
    base = np.full(int(persons.max(initial=0)) + 1, np.nan)
    base[owners] = values[marked & known]
    with np.errstate(invalid="ignore", over="ignore"):
        difference = round_significant(values - base[persons], digits)
    return pa.array(difference, pa.float64(), mask=marked | ~known | ~np.isfinite(difference))


def floats(column: Column) -> Floats:
    """A numeric or boolean column as float64, missing as NaN. May share memory with the column: do not write to it."""
    column = _one_chunk(column)
    if column.type != pa.float64():
        column = pc.cast(column, pa.float64())
    values: Floats = column.to_numpy(zero_copy_only=False)
    return values


def _whole_numbers(column: pa.Array) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = pc.fill_null(pc.cast(column, pa.int64()), 0).to_numpy(zero_copy_only=False)
    return values


def _missing(column: pa.Array) -> npt.NDArray[np.bool_]:
    missing: npt.NDArray[np.bool_] = pc.is_null(column).to_numpy(zero_copy_only=False)
    return missing


def _ticks(times: Column) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Microseconds, 0 where missing, and what is missing."""
    column = _one_chunk(times)
    missing = _missing(column)
    return _whole_numbers(pc.cast(column, pa.timestamp("us"))), missing


def _codes(column: Column) -> npt.NDArray[np.int64]:
    """Ranks of the texts, so that equal cells have equal codes and codes are ordered as the texts are."""
    codes: npt.NDArray[np.int64] = pc.rank(_one_chunk(column), tiebreaker="dense").to_numpy().astype(np.int64)
    return codes


def _starts(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    starts: npt.NDArray[np.bool_] = np.r_[True, codes[1:] != codes[:-1]][: len(codes)]
    return starts


def _one_chunk(column: Column) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _place(hierarchy: Hierarchy) -> str:
    return f"schemas/hierarchies/{hierarchy.name}.yaml"
