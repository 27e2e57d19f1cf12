"""Cuts the needed columns out of a wide file without quotation marks, before anything is parsed.

A parser tokenises every cell of a row, also the 650 of 700 that nobody needs. Where a file has one plain form, the
places of its delimiters say where each cell lies. Files of any other form, and ragged ones, are left to the parser.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_LEAST_WIDTH = 64
_MOST_BYTES = 64 << 20
_MOST_NEEDED = 0.25
_PIECE = 1 << 18

Places = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

# For each byte the places of its set bits, in order; what stands behind them is never asked for.
_BITS_OF_BYTE = np.argsort(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little") ^ 1, axis=1, kind="stable"
)


class _Marks:
    """The places of one byte in a text, as a bit vector with counts: a list of millions of places would cost more
    time than all the rest (rank and select, Jacobson 1989, https://doi.org/10.1109/SFCS.1989.63533).
    """

    def __init__(self, text: Bytes, mark: int) -> None:
        # One word more than the text fills, so that the place behind its end has a word too.
        self._bytes = np.zeros((len(text) // 64 + 1, 8), np.uint8)
        flat = self._bytes.reshape(-1)
        # In pieces that stay in a processor's cache.
        for start in range(0, len(text), _PIECE):
            packed = np.packbits(text[start : start + _PIECE] == mark, bitorder="little")
            flat[start // 8 : start // 8 + len(packed)] = packed
        self._words = self._bytes.view("<u8")[:, 0]
        self._before = np.r_[0, np.cumsum(np.bitwise_count(self._words), dtype=np.int64)]

    def __len__(self) -> int:
        return int(self._before[-1])

    def before(self, places: Places) -> Places:
        """How many marks stand before each place."""
        word = places >> 6
        behind = np.bitwise_count(self._words[word] >> (places & 63).astype(np.uint64))
        counts: Places = self._before[word + 1] - behind
        return counts

    def places(self, numbers: Places) -> Places:
        """Where the marks of these numbers (0-based) stand. There must be as many."""
        word = np.searchsorted(self._before, numbers, side="right") - 1
        rest = numbers - self._before[word]
        group = self._bytes[word]
        counts = np.cumsum(np.bitwise_count(group), axis=1, dtype=np.int64)
        byte = np.sum(counts <= rest[:, None], axis=1)
        row = np.arange(len(numbers))
        inside = group[row, byte]
        rest -= counts[row, byte] - np.bitwise_count(inside)
        places: Places = word * 64 + byte * 8 + _BITS_OF_BYTE[inside, rest]
        return places


def gather(data: bytes, start: int, *, width: int, delimiter: str, needed: Sequence[int], block: int) -> bytes | None:
    """The rows of `data` from `start` on, with the cells at the positions `needed` (0-based, ascending) alone.

    The cells keep their bytes and their order. `None` when the way is not open: too few columns, too many of them
    needed, a quotation mark, blank or ragged rows, line ends other than LF or CRLF, or a row longer than `block`.
    """
    size = len(data) - start
    if width < _LEAST_WIDTH or not needed or len(needed) > _MOST_NEEDED * width or not 0 < size <= _MOST_BYTES:
        return None
    if data.find(b'"', start) >= 0:
        return None
    text = np.frombuffer(data, np.uint8, offset=start)
    lines = _Marks(text, ord("\n"))
    ends = lines.places(np.arange(len(lines)))
    if text[-1] != ord("\n"):
        ends = np.r_[ends, size]
    if int(np.diff(ends, prepend=-1).max()) > block or not _plain_line_ends(data, start, text, ends):
        return None
    marks = _Marks(text, ord(delimiter))
    # As many delimiters before each line end as there should be: so no row is ragged or blank.
    if not np.array_equal(marks.before(ends), np.arange(1, len(ends) + 1) * (width - 1)):
        return None
    return _cells(text, marks, ends, width, needed)


def _plain_line_ends(data: bytes, start: int, text: Bytes, ends: Places) -> bool:
    if data.find(b"\r", start) < 0:
        return True
    before = text[ends[ends > 0] - 1]
    return int(np.count_nonzero(text == ord("\r"))) == int(np.count_nonzero(before == ord("\r")))


def _cells(text: Bytes, marks: _Marks, ends: Places, width: int, needed: Sequence[int]) -> bytes:
    """Neighbouring cells are copied as one run, with the delimiter or line end behind them."""
    position = np.asarray(needed)
    breaks = np.flatnonzero(np.diff(position) != 1)
    firsts, lasts = position[np.r_[0, breaks + 1]], position[np.r_[breaks, len(position) - 1]]
    rows = np.arange(len(ends))[:, None] * (width - 1)
    places = np.empty((len(ends), len(firsts), 2), np.int64)
    # Neither the first cell of a row has a delimiter before it, nor the last one behind it.
    inner = np.stack([np.maximum(firsts - 1, 0), np.minimum(lasts, width - 2)], axis=1)
    places[:] = marks.places((rows + inner.ravel()).ravel()).reshape(places.shape)
    if firsts[0] == 0:
        places[:, 0, 0] = np.r_[-1, ends[:-1]]
    if lasts[-1] == width - 1:
        places[:, -1, 1] = ends
    lengths = (places[:, :, 1] - places[:, :, 0]).ravel()
    stops = np.cumsum(lengths)
    index = np.repeat(places[:, :, 0].ravel() + 1 - (stops - lengths), lengths)
    index += np.arange(len(index))
    # The last row may have no line end to copy; every row gets its own below.
    index[-1] = 0
    cells = text[index]
    cells[stops.reshape(len(ends), -1)[:, -1] - 1] = ord("\n")
    gathered: bytes = cells.tobytes()
    return gathered
