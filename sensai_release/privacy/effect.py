"""What an action did to a column: rows changed and information lost, source and released cells side by side.

Entropy is Shannon's, in bits, over cells with missing as a category. Of numbers, also the share of the variance that
the released column no longer tells, and the root mean square error in standard deviations of the source. Counts are
raw: masking them is for whoever prints them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.privacy.actions import Floats, floats
from sensai_release.privacy.classes import encode

Column: TypeAlias = pa.Array | pa.ChunkedArray
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """`changed`, `missing_before` and `missing_after` are flags by row. `entropy_*` in bits; `variance_lost` is 1 - R²
    of the source on the released column, 0 to 1; `nrmse` is None unless both are numbers of one scale.
    """

    changed: Flags = field(repr=False)
    missing_before: Flags = field(repr=False)
    missing_after: Flags = field(repr=False)
    distinct_before: int
    distinct_after: int
    entropy_before: float
    entropy_after: float
    variance_lost: float | None
    nrmse: float | None

    @property
    def entropy_lost(self) -> float:
        """The share of the source's entropy that is gone, 0 to 1; 0 where the released column has more."""
        return max(0.0, 1 - self.entropy_after / self.entropy_before) if self.entropy_before > 0 else 0.0


def measure(source: Column, released: Column, *, same_scale: bool = True) -> Effect:
    """Two columns of one length, row for row. `same_scale` false: a number of another meaning, such as a rank."""
    before, after = ~_valid(source), ~_valid(released)
    variance_lost, nrmse = None, None
    if _is_number(source):
        both = ~before & ~after
        values = floats(source)[both]
        if _is_number(released):
            told = floats(released)[both]
            variance_lost = _uncorrelated(values, told)
            nrmse = _error(values, told) if same_scale else None
        elif pa.types.is_string(released.type):
            variance_lost = _within_classes(values, encode(released)[both])
    return Effect(
        changed=_changed(source, released, before, after),
        missing_before=before,
        missing_after=after,
        distinct_before=_distinct(source),
        distinct_after=_distinct(released),
        entropy_before=entropy(source),
        entropy_after=entropy(released),
        variance_lost=variance_lost,
        nrmse=nrmse,
    )


def entropy(column: Column) -> float:
    """Shannon's entropy of the cells in bits; missing is a category."""
    counts = np.bincount(encode(column))
    shares = counts[counts > 0] / max(len(column), 1)
    # Written so that a constant column has 0, not -0.
    return float((shares * np.log2(1 / shares)).sum())


def _changed(source: Column, released: Column, before: Flags, after: Flags) -> Flags:
    """Rows whose cell is not what it was. Where the types cannot be compared every cell that was there has changed."""
    different = ~before & ~after
    if _is_number(source) and _is_number(released):
        different &= floats(source) != floats(released)
    elif source.type == released.type:
        different &= ~_flags(pc.fill_null(pc.equal(source, released), False))
    changed: Flags = different | (before != after)
    return changed


def _valid(column: Column) -> Flags:
    return _flags(pc.is_valid(column))


def _flags(column: Column) -> Flags:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    flags: Flags = np.asarray(whole.to_numpy(zero_copy_only=False), dtype=bool)
    return flags


def _is_number(column: Column) -> bool:
    kind = column.type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _distinct(column: Column) -> int:
    return int(pc.count_distinct(column, mode="only_valid").as_py())


def _uncorrelated(values: Floats, told: Floats) -> float | None:
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    if np.ptp(told) == 0:
        return 1.0
    return float(np.clip(1 - np.corrcoef(values, told)[0, 1] ** 2, 0, 1))


def _error(values: Floats, told: Floats) -> float | None:
    spread = values.std() if len(values) else 0.0
    return float(np.sqrt(np.mean((told - values) ** 2)) / spread) if spread > 0 else None


def _within_classes(values: Floats, codes: npt.NDArray[np.int64]) -> float | None:
    """The share of the variance that lies within classes."""
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    sizes = np.maximum(np.bincount(codes), 1)
    means = np.bincount(codes, values) / sizes
    return float(np.clip(((values - means[codes]) ** 2).sum() / ((values - values.mean()) ** 2).sum(), 0, 1))
