"""Tables on disk: the same table gives the same bytes, and nothing rides along.

Parquet for what stays (no pandas index, no schema metadata, no Arrow schema copy, checksummed pages); Arrow's own file
format for the shards between two stages, which are written once, read once and never leave the workspace. What a table
may hold is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from sensai_release.errors import InputError

_ROW_GROUP = 1 << 17
GROUP_ROWS = 1 << 16
"""Rows at least in a row group of a table that is written piece by piece, but for the last one of a file."""


def writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet writer whose bytes depend on the data alone. `schema` must carry no metadata worth keeping."""
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    others = [field.name for field in schema if not pa.types.is_floating(field.type)]
    return pq.ParquetWriter(
        path,
        schema.remove_metadata(),
        version="2.6",
        # What other writers use by default is what every reader has; see docs/adr/0027.
        compression="snappy",
        # Tool output has few distinct values a column (two or three decimals): dictionaries shrink it best. The
        # writer falls back to plain pages by itself where a dictionary grows too large.
        use_dictionary=[*others, *floats],
        write_statistics=False,
        store_schema=False,
        write_page_checksum=True,
    )


@contextmanager
def taking_place_of(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block succeeds, and is gone when it fails."""
    temporary = path.with_suffix(".new")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_parquet(table: pa.Table, path: Path) -> None:
    """Writes a whole table. The caller chooses a temporary `path` and renames it."""
    table = table.replace_schema_metadata(None)
    with writer(path, table.schema) as out:
        out.write_table(table, row_group_size=_ROW_GROUP)


def write_pieces(pieces: Iterable[pa.Table], path: Path, *, rows: int = GROUP_ROWS) -> None:
    """Writes tables of one schema one after another, several to a row group, so that memory does not grow with them.

    A row group of each piece would make every reader slow: a group of 50 columns has 50 dictionaries and 150 headers.
    A piece is never cut, so a group holds whole recordings. Without a piece there is no file.
    """
    out: pq.ParquetWriter | None = None
    waiting: list[pa.Table] = []
    try:
        for piece in pieces:
            table = piece.replace_schema_metadata(None)
            out = out or writer(path, table.schema)
            waiting.append(table)
            if sum(held.num_rows for held in waiting) >= rows:
                out.write_table(pa.concat_tables(waiting))
                waiting = []
        if out is not None and waiting:
            out.write_table(pa.concat_tables(waiting))
    finally:
        if out is not None:
            out.close()


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Reads a table written by `write_parquet`, checking the checksum of every page.

    Raises `FileNotFoundError` when it is not there, and `InputError` when the bytes are not those that were written.
    The name of the file can be that of a recording: it is not told.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, memory_map=False) as file:
            return file.read(columns=columns, use_threads=False)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowInvalid):
        raise InputError(
            f"a table in {path.parent.name}/",
            "is damaged: it is not what an earlier step wrote",
            "Remove the folder work/ of the workspace and run 'sensai-release build' again.",
        ) from None


def write_shard(table: pa.Table, path: Path) -> None:
    """Writes one recording for the next stage: several times faster than Parquet, at twice the size."""
    table = table.replace_schema_metadata(None).combine_chunks()
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_file(path, table.schema, options=options) as out:
        out.write_table(table)


def read_shard(path: Path) -> pa.Table:
    """Reads what `write_shard` wrote. Raises `OSError` or `pyarrow.ArrowInvalid` when the bytes are not a shard."""
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as shard:
        return shard.read_all()


def shard_columns(path: Path) -> list[str]:
    """The names of a shard's columns, without reading them."""
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as shard:
        names: list[str] = shard.schema.names
        return names
