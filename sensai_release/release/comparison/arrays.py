"""Arrow's cells as numpy arrays and back, over the memory they lie in.

pyarrow's own conversions import pandas, which takes as long as comparing two small releases and 40 MiB. Here nothing
but numbers is converted; what other kinds of cells hold is asked of Arrow's compute functions.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensai_release.release.tables import Codes, Flags

Floats: TypeAlias = npt.NDArray[np.float64]


def numbers_of(values: pa.Array | pa.ChunkedArray, missing: float = 0) -> npt.NDArray[Any]:
    """Integers or floats, with `missing` for cells that are; a copy only where it takes one. Read-only."""
    kind = np.dtype(values.type.to_pandas_dtype())
    if isinstance(values, pa.ChunkedArray):
        chunks = [numbers_of(chunk, missing) for chunk in values.chunks]
        return chunks[0] if len(chunks) == 1 else np.concatenate([np.zeros(0, dtype=kind), *chunks])
    data = values.buffers()[1]
    if data is None or not len(values):
        return np.full(len(values), missing, dtype=kind)
    numbers = np.frombuffer(data, dtype=kind, count=len(values), offset=values.offset * kind.itemsize)
    return np.where(flags_of(values.is_valid()), numbers, kind.type(missing)) if values.null_count else numbers


def floats_of(values: pa.Array | pa.ChunkedArray) -> Floats:
    """Numbers as 64-bit floats in which missing cells are NaN."""
    return numbers_of(values if values.type == pa.float64() else values.cast(pa.float64(), safe=False), np.nan)


def flags_of(values: pa.Array | pa.ChunkedArray) -> Flags:
    """Truth values; a missing one is not true."""
    return numbers_of(values.cast(pa.uint8())).astype(bool)


def rows_of(places: Codes) -> pa.Array:
    """Row numbers for Arrow's `take`."""
    return pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(np.ascontiguousarray(places))])


def refined(codes: Codes, ours: Codes) -> Codes:
    """Rows numbered by two numberings at once: equal numbers where both were equal.

    Numbered anew from 0, so that the product of two ranges never overflows however often this is done.
    """
    _, numbers = np.unique(codes * (int(ours.max(initial=0)) + 1) + ours, return_inverse=True)
    return np.asarray(numbers)


def is_number(kind: pa.DataType) -> bool:
    """Whether cells of this type are numbers; truth values are none."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
