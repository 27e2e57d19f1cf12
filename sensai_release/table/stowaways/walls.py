"""Long encoded runs in the text of a file that is not read whole.

Of a recording only the needed columns are parsed, so a picture in a dropped one would stay unseen. This look at the raw
bytes costs a small part of the parsing. What is read is looked at more closely by `cells` and `samples`.
"""

from __future__ import annotations

import base64
import binascii
import re

import numpy as np

from sensai_release.table.stowaways.signatures import blob_kind

SHORTEST_WALL = 200
"""Unbroken characters of an encoding's alphabet that no honest cell has; a picture of 150 bytes needs as many."""
_GLANCE = 41
_STRIDE = 25
_WINDOW = 7
_LETTERS_IN_WINDOW = 2
# What columns of numbers, truth values and times are written with; the letters are those of nan, ind, e and NA.
_OF_NUMBERS = b"0123456789.,;:+-eE \t\r\nnaNidA()\"'"
# 0: a digit or sign; 1: any other character of an encoding; _BREAK: a character that ends a run.
_BREAK = 64
_CLASSES = np.full(256, _BREAK, np.int32)
_CLASSES[list(b"0123456789+-")] = 0
_CLASSES[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/_=")] = 1
_BREAKS = (b",", b";", b"\t", b"\n", b" ", b'"', b"'", b":", b".")
_WALL = re.compile(rb"[A-Za-z0-9+/_=-]{%d,}" % SHORTEST_WALL)
_HEAD = 1024


def hidden_in_text(data: bytes, start: int = 0) -> str | None:
    """The kind (a key of `signatures.KINDS`) of the first encoded run in `data` from `start` on; `None` without one.

    Looks at a few bytes in a hundred: a run of 200 is met seven times over, and a shorter one goes unseen.
    """
    if not data[start::_GLANCE].translate(None, _OF_NUMBERS):
        return None
    classes = np.cumsum(_CLASSES[np.frombuffer(data[start::_STRIDE], np.uint8)])
    inside = classes[_WINDOW:] - classes[:-_WINDOW]
    likely = start + _STRIDE * (1 + np.flatnonzero((inside >= _LETTERS_IN_WINDOW) & (inside <= _WINDOW)))
    text = np.frombuffer(data, np.uint8)
    for step in range(1, _STRIDE * (_WINDOW - 1)):
        if not len(likely):
            return None
        # Nearly all places drop out within a few steps.
        likely = likely[_CLASSES[text[likely + step]] < _BREAK]
    if not len(likely):
        return None
    first = int(likely[0])
    run_start = 1 + max(data.rfind(mark, start, first) for mark in _BREAKS)
    for wall in _WALL.finditer(data, max(start, run_start)):
        kind = kind_of_run(wall[0])
        if kind is not None:
            return kind
    return None


def kind_of_run(run: bytes) -> str | None:
    """The kind of one unbroken run of base64, base64url or hexadecimal text, `encoded` when its bytes tell nothing.

    `None` for a run of few different characters, such as dashes that someone drew.
    """
    for decoded in decodings(run[:_HEAD]):
        kind = blob_kind(decoded)
        if kind is not None:
            return kind
    return "encoded" if len(set(run)) >= 8 else None


def decodings(text: bytes) -> list[bytes]:
    """What `text` may stand for: as hexadecimal digits, and as base64 from each of its first four characters on.

    Text is cut to whole groups; what cannot be decoded gives nothing. RFC 4648, sections 4, 5 and 8.
    """
    found = []
    for shift in (0, 1):
        try:
            found.append(binascii.unhexlify(text[shift : shift + (len(text) - shift) // 2 * 2]))
        except binascii.Error:
            break
    plain = text.translate(bytes.maketrans(b"-_", b"+/"), b"=")
    for shift in range(4):
        part = plain[shift : shift + (len(plain) - shift) // 4 * 4]
        try:
            found.append(base64.b64decode(part, validate=True))
        except binascii.Error:
            break
    return found
