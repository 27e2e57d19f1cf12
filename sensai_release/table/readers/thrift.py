"""Reads structures of the Thrift compact protocol, in which Parquet writes its footer and its page headers.

Trusts nothing: every length is held against the bytes that are there, and structures nest to a small depth. What the
fields mean is for `footer` and `pages`.
Protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

Fields = dict[int, Any]
"""The fields of a structure by number: whole numbers, truth values, bytes, lists and structures."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_DEEPEST = 16


def read_struct(data: bytes, at: int, depth: int = 0) -> tuple[int, Fields]:
    """The place behind the structure at `at`, and its fields. Raises `ValueError` when there is none."""
    if depth > _DEEPEST:
        raise ValueError
    fields: Fields = {}
    number = 0
    try:
        while head := data[at]:
            at += 1
            if head >> 4:
                number += head >> 4
            else:
                at, number = _integer(data, at)
            kind = head & 15
            if kind in (_TRUE, _FALSE):
                fields[number] = kind == _TRUE
            else:
                at, fields[number] = _value(data, at, kind, depth)
    except IndexError:
        raise ValueError from None
    return at + 1, fields


def whole(fields: Fields, number: int) -> int:
    """A field that must be there and be a whole number; else `ValueError`."""
    value = fields.get(number)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - the file is wrong, not the caller
    return value


def structs(fields: Fields, number: int) -> list[Fields]:
    """A field that must be a list of structures; else `ValueError`."""
    values = fields.get(number)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ValueError
    return values


def struct(fields: Fields, number: int) -> Fields:
    """A field that must be a structure; else `ValueError`."""
    value = fields.get(number)
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - the file is wrong, not the caller
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    value, shift = byte & 127, 7
    while byte > 127:
        if shift > 63:
            raise ValueError
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
    return at, value


def _integer(data: bytes, at: int) -> tuple[int, int]:
    at, number = _varint(data, at)
    return at, number >> 1 ^ -(number & 1)


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[int, Any]:
    if kind in _INTEGERS:
        return _integer(data, at)
    if kind == _BINARY:
        at, length = _varint(data, at)
        if at + length > len(data):
            raise ValueError
        return at + length, data[at : at + length]
    if kind == _STRUCT:
        return read_struct(data, at, depth + 1)
    if kind in (_LIST, _SET):
        return _items(data, at, depth)
    if kind in (_BYTE, _DOUBLE):
        length = 1 if kind == _BYTE else 8
        return at + length, data[at : at + length]
    # Parquet has no maps.
    raise ValueError


def _items(data: bytes, at: int, depth: int) -> tuple[int, list[Any]]:
    size, kind = data[at] >> 4, data[at] & 15
    at += 1
    if size == 15:
        at, size = _varint(data, at)
    # An item takes one byte at least.
    if at + size > len(data) or depth > _DEEPEST:
        raise ValueError
    if kind in (_TRUE, _FALSE):
        return at + size, [byte == _TRUE for byte in data[at : at + size]]
    items = []
    for _ in range(size):
        at, item = _value(data, at, kind, depth + 1)
        items.append(item)
    return at, items
