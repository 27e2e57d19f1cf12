"""What the pages of a Parquet column say of themselves: how much they unfold to, and how many cells they hold.

The footer's own sums may lie, and Arrow unfolds what each page says. Reads the page headers alone and decodes no page.
Format: https://parquet.apache.org/docs/file-format/data-pages/
"""

from __future__ import annotations

from dataclasses import dataclass

from sensai_release.table.readers.thrift import Fields, read_struct, struct, whole

_TYPE, _UNFOLDED, _STORED, _DATA_HEADER, _DATA_HEADER_2 = 1, 2, 3, 5, 8
_DATA_PAGE, _DATA_PAGE_2 = 0, 3
_COUNT, _ENCODING, _ENCODING_2, _PLAIN = 1, 2, 4, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The bytes that the pages of one column unfold to, and the cells in them, missing ones included."""

    unfolded: int
    cells: int


def read_pages(data: bytes, start: int, length: int, *, width: int | None = None) -> Pages:
    """What the pages in `length` bytes from `start` on say, one after another.

    `width` is the number of bytes of a cell where each cell has as many, and none may be missing: then a page that
    is not packed in any way must have room for its cells and nothing else.
    Raises `ValueError` when these bytes are no chain of pages.
    """
    unfolded, cells, at, end = 0, 0, start, start + length
    if not 0 <= start <= end <= len(data):
        raise ValueError
    while at < end:
        at, header = read_struct(data, at)
        size, stored = whole(header, _UNFOLDED), whole(header, _STORED)
        if size < 0 or stored < 0:
            raise ValueError
        count, plain = _cells(header)
        if count < 0 or (plain and width is not None and size != count * width):
            raise ValueError
        unfolded, cells, at = unfolded + size, cells + count, at + stored
    if at != end:
        raise ValueError
    return Pages(unfolded=unfolded, cells=cells)


def _cells(header: Fields) -> tuple[int, bool]:
    """How many cells a page holds, and whether they stand there one after another."""
    kind = whole(header, _TYPE)
    if kind == _DATA_PAGE:
        inner = struct(header, _DATA_HEADER)
        return whole(inner, _COUNT), whole(inner, _ENCODING) == _PLAIN
    if kind == _DATA_PAGE_2:
        inner = struct(header, _DATA_HEADER_2)
        return whole(inner, _COUNT), whole(inner, _ENCODING_2) == _PLAIN
    return 0, False
