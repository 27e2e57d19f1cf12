"""A table in work/ that was damaged is bad input, no bug; its name, perhaps that of a recording, is not told."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from sensai_release.errors import InputError
from sensai_release.table.store import read_parquet, write_parquet


@pytest.mark.parametrize("cut", [0, 1, 200])
def test_a_damaged_table_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "PLANTED.parquet"
    write_parquet(pa.table({"x": list(range(500))}), path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="build") as caught:
        read_parquet(path)
    assert "PLANTED" not in str(caught.value)


def test_a_table_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_parquet(tmp_path / "none.parquet")
