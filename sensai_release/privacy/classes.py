"""Equivalence classes (ISO/IEC 20889): which rows share all values of some columns. Missing is a value of its own.

Shared by the search for levels and by all measures of risk. It counts rows: one row a person is for its callers to see
to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Codes = npt.NDArray[np.int64]
MISSING = 0
_DENSE = 1 << 16
_LARGEST = 1 << 62


class Cells(NamedTuple):
    """The cells of a cross table that are not empty: class, value and weight of each."""

    owner: Codes
    value: Codes
    weight: Codes


def encode(column: pa.Array | pa.ChunkedArray) -> Codes:
    """A code per row: 0 for missing, from 1 for the values in order of first appearance."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    indices = pc.dictionary_encode(column).indices
    codes: Codes = pc.fill_null(pc.add(pc.cast(indices, pa.int64()), 1), MISSING).to_numpy(zero_copy_only=False)
    return codes


def combine(columns: Sequence[Codes], rows: int) -> Codes:
    """A class id per row, from 0 to fewer than 2^16 or than twice the rows: equal where all `columns` are equal."""
    ids = np.zeros(rows, dtype=np.int64)
    if rows == 0:
        return ids
    size = 1
    for codes in columns:
        width = int(codes.max()) + 1
        if size > _LARGEST // width:
            ids, size = dense(ids)
        ids = ids * width + codes
        size *= width
    return ids if size <= max(_DENSE, 2 * rows) else dense(ids)[0]


def dense(ids: Codes) -> tuple[Codes, int]:
    """The ids renumbered from 0 in order of first appearance, and how many there are."""
    encoded = pc.dictionary_encode(pa.array(ids))
    renumbered: Codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return renumbered, len(encoded.dictionary)


def class_sizes(ids: Codes, weights: Codes | None = None) -> Codes:
    """For every row the number of rows (or their total weight) in its class."""
    if len(ids) == 0:
        return np.zeros(0, dtype=np.int64)
    sizes: Codes = np.bincount(ids, weights).astype(np.int64)[ids]
    return sizes


def cross(ids: Codes, values: Codes, weights: Codes | None = None) -> Cells:
    """How often each value occurs in each class, without the empty cells: as sparse as the rows are."""
    if len(ids) == 0:
        empty = np.zeros(0, dtype=np.int64)
        return Cells(empty, empty, empty)
    width = int(values.max()) + 1
    encoded = pc.dictionary_encode(pa.array(ids * width + values))
    keys: Codes = encoded.dictionary.to_numpy(zero_copy_only=False)
    counts = np.bincount(encoded.indices.to_numpy(zero_copy_only=False), weights, minlength=len(keys))
    return Cells(keys // width, keys % width, counts.astype(np.int64))
