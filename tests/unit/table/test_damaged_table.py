"""A table in work/ that was damaged is bad input, no bug; its name, perhaps that of a recording, is not told."""

from __future__ import annotations

import errno
from pathlib import Path

import pyarrow as pa
import pytest

from sensai_release.errors import InputError
from sensai_release.table.store import read_parquet, taking_place_of, write_parquet


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


def test_a_table_that_could_not_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_parquet(pa.table({"x": [1]}), path)

    def fail_half_way() -> None:
        with taking_place_of(path) as temporary:
            temporary.write_bytes(b"PAR1 half")
            raise OSError(errno.ENOSPC, "")

    with pytest.raises(OSError):
        fail_half_way()
    assert [item.name for item in tmp_path.iterdir()] == ["table.parquet"]
    assert read_parquet(path)["x"].to_pylist() == [1]
    with taking_place_of(path) as temporary:
        write_parquet(pa.table({"x": [2]}), temporary)
    assert [item.name for item in tmp_path.iterdir()] == ["table.parquet"]
    assert read_parquet(path)["x"].to_pylist() == [2]
