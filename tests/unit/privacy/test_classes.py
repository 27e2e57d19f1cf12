from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.privacy.classes import class_sizes, combine, encode


@pytest.mark.parametrize(("columns", "values"), [(0, 2), (1, 3), (3, 3), (9, 40), (40, 1000)])
@pytest.mark.parametrize("rows", [0, 1, 50, 3000])
def test_classes_are_those_of_equal_rows(columns: int, values: int, rows: int) -> None:
    """40 columns of 1,000 values would need 400 bits: ids have to be packed on the way without merging classes."""
    rng = np.random.default_rng(rows + columns)
    base = rng.integers(0, values, (max(rows // 3, 1), columns))
    cells = base[rng.integers(0, len(base), rows)]
    ids = combine([np.ascontiguousarray(cells[:, n]) for n in range(columns)], rows)
    expected = Counter(map(tuple, cells.tolist()))
    assert class_sizes(ids).tolist() == [expected[tuple(row)] for row in cells.tolist()]
    assert len(set(ids.tolist())) == len(expected)
    assert rows == 0 or ids.max() < max(1 << 16, 2 * rows)


def test_weights_count_persons_behind_a_row() -> None:
    assert class_sizes(np.array([0, 1, 0]), np.array([2, 5, 3])).tolist() == [5, 5, 5]


def test_codes_set_missing_apart_over_chunks() -> None:
    column = pa.chunked_array([["b", None], [], ["a", "b", ""]], pa.string())
    assert encode(column).tolist() == [1, 0, 2, 1, 3]
    assert encode(pa.array([None, None], pa.null())).tolist() == [0, 0]
    assert encode(pa.array([2.5, None, 2.5])).tolist() == [1, 0, 1]
