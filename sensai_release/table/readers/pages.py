"""How many bytes the pages of a Parquet column say that they unfold to.

The footer's own sum may lie, and Arrow unfolds what each page says. Reads the page headers alone (Thrift compact
protocol, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md) and decodes no page.
"""

from __future__ import annotations

_UNCOMPRESSED, _COMPRESSED = 2, 3
_DEEPEST = 8


def unfolded_pages(data: bytes, start: int, length: int) -> int:
    """The sum over the pages in `length` bytes from `start` on.

    Raises `ValueError` when these bytes are no chain of pages.
    """
    total, at, end = 0, start, start + length
    if not 0 <= start <= end <= len(data):
        raise ValueError
    try:
        while at < end:
            at, sizes = _struct(data, at, 0)
            unfolded, stored = sizes[_UNCOMPRESSED], sizes[_COMPRESSED]
            if unfolded < 0 or stored < 0:
                raise ValueError
            total += unfolded
            at += stored
    except (IndexError, KeyError):
        raise ValueError from None
    return total


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return at, value
        if shift > 63:
            raise ValueError


def _struct(data: bytes, at: int, depth: int) -> tuple[int, dict[int, int]]:
    """The place behind a structure, and its integer fields by number."""
    if depth > _DEEPEST:
        raise ValueError
    found: dict[int, int] = {}
    field = 0
    while True:
        byte = data[at]
        at += 1
        if byte == 0:
            return at, found
        kind = byte & 15
        if byte >> 4:
            field += byte >> 4
        else:
            at, number = _varint(data, at)
            field = number >> 1 ^ -(number & 1)
        if kind in (4, 5, 6):
            at, number = _varint(data, at)
            found[field] = number >> 1 ^ -(number & 1)
        elif kind not in (1, 2):
            at = _skip(data, at, kind, depth + 1)


def _skip(data: bytes, at: int, kind: int, depth: int) -> int:
    if kind == 3:
        return at + 1
    if kind == 7:
        return at + 8
    if kind == 8:
        at, length = _varint(data, at)
        return at + length
    if kind == 12:
        return _struct(data, at, depth)[0]
    # Page headers hold no lists, sets or maps.
    raise ValueError
