"""Looks at the records of delimited text before it is parsed: their lengths, their quotation marks, their line breaks.

A parser takes a stray quotation mark as it comes: two of them, far apart, make one well-formed cell of all the rows
between. What the cells hold is for `cells`; how many a row has is for the parser.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Whole = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

# In pieces: the places of all marks of a hostile file would take eight times its size.
_PIECE = 1 << 22
_LF, _CR = b"\n"[0], b"\r"[0]
_LINE_END = re.compile(rb"\r\n|\n|\r")
_MOST_COUNTED = 10_000
_MOST_MARKS = 100_000
_MOST_WORK = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What stands out. Rows are data rows, numbered from 1; `None` or 0 where there is no such thing.

    `too_long`: the first row that is longer than one may be. `open`: the row in which a quotation mark is opened
    and never closed. `misplaced` and `misplaced_row`: how many marks neither open nor close a whole cell, nor are
    doubled within one (RFC 4180, section 2, rules 5 to 7), and the row of the first. `blank`: blank lines between
    rows. `broken`: some cell holds a line break.
    """

    too_long: int | None = None
    open: int | None = None
    misplaced: int = 0
    misplaced_row: int | None = None
    blank: int = 0
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Marks and line ends of one piece of a text, at their places in the whole of it.

    `odd`: the piece begins within quotation marks. By line end, CR LF being one: whether it lies within quotation
    marks, whether it is such a pair, and how many bytes the line has.
    """

    odd: int
    marks: Places
    ends: Places
    inside: Mask
    pairs: Mask
    lengths: Places


def survey(data: bytes, start: int, *, quote: bytes, delimiter: bytes, longest: int) -> Survey:
    """Looks through `data` from `start` on, where the rows begin. `quote` is empty when nothing is quoted.

    A row longer than `longest` bytes is too long; line breaks within its cells count.
    """
    quoted = bool(quote) and data.find(quote, start) >= 0
    if not quoted and len(data) - start <= longest:
        return Survey()
    text = np.frombuffer(data, np.uint8, offset=start)
    beside = np.zeros(256, bool)
    beside[[*quote, *delimiter, _LF, _CR]] = True
    tally = _Tally(longest=longest)
    for piece in _pieces(text, quote if quoted else b""):
        tally.add(piece, _misplaced(text, piece, beside) if quoted else piece.marks)
    return tally.survey(len(text))


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What was seen in the pieces so far. `gaps` are blank lines that no row has followed yet."""

    longest: int
    rows: int = 0
    begin: int = 0
    blank: int = 0
    gaps: int = 0
    misplaced: int = 0
    misplaced_row: int | None = None
    too_long: int | None = None
    broken: bool = False
    odd: int = 0

    def add(self, piece: _Piece, misplaced: Places) -> None:
        self.broken |= bool(piece.inside.any())
        self.odd = (piece.odd + len(piece.marks)) & 1
        ends, lengths = piece.ends[~piece.inside], piece.lengths[~piece.inside]
        full = lengths > 0
        # A row with a line break in a cell is longer than its last line.
        rows = np.diff(ends, prepend=self.begin - 1) - 1 - piece.pairs[~piece.inside]
        long = np.flatnonzero(rows > self.longest)
        if self.too_long is None and len(long):
            self.too_long = self._row(full, int(long[0]))
        if not self.misplaced and len(misplaced):
            self.misplaced_row = self._row(full, int(np.searchsorted(ends, misplaced[0])))
        self.misplaced += len(misplaced)
        followed = int(np.flatnonzero(full)[-1]) if full.any() else 0
        if full.any():
            self.blank += self.gaps + int(np.count_nonzero(~full[:followed]))
            self.gaps = 0
        self.gaps += int(np.count_nonzero(~full[followed:]))
        self.rows += int(np.count_nonzero(full))
        self.begin = int(ends[-1]) + 1 if len(ends) else self.begin

    def _row(self, full: Mask, before: int) -> int:
        return self.rows + int(np.count_nonzero(full[:before])) + 1

    def survey(self, size: int) -> Survey:
        rest = size - self.begin
        return Survey(
            too_long=self.rows + 1 if self.too_long is None and rest > self.longest else self.too_long,
            open=self.rows + 1 if self.odd else None,
            misplaced=self.misplaced,
            misplaced_row=self.misplaced_row,
            blank=self.blank + (self.gaps if rest else 0),
            broken=self.broken,
        )


def swallowed(data: bytes, start: int, *, width: int, quote: bytes, delimiter: bytes) -> tuple[int, int | None]:
    """How many rows with a line break in a cell read as several rows just as well, and the first of them.

    In doubt is a row that falls into rows of `width` cells when two of its marks are taken away, or all of them: two
    stray marks, far apart, make such a row. Of the rows that it falls into the first, the last and one between count:
    the others may be damaged too. At most 10,000 are counted.
    `data` has passed `survey`, so that its marks are well placed.
    """
    text = np.frombuffer(data, np.uint8, offset=start)
    ends, inside, delimiters = _lines(text, quote, delimiter)
    lasts = np.flatnonzero(~inside)
    # A quick look first: two rows need twice as many delimiters as one.
    several = np.diff(lasts, prepend=-1) > 1
    doubtful = np.flatnonzero(several & (np.diff(delimiters[lasts], prepend=0) >= 2 * (width - 1)))
    doubt = _Doubt(width=width, quote=quote, delimiter=delimiter)
    count, first = 0, None
    for row in doubtful.tolist():
        begin = int(ends[lasts[row - 1]]) + 1 if row else 0
        if doubt.about(data[start + begin : start + int(ends[lasts[row]])]):
            first = row + 1 if first is None else first
            count += 1
        if count >= _MOST_COUNTED:
            break
    return count, first


class _Doubt:
    """Tries whether one row with line breaks in its cells can be read as several."""

    def __init__(self, *, width: int, quote: bytes, delimiter: bytes) -> None:
        mark, between = re.escape(quote), re.escape(delimiter)
        self._width, self._quote, self._delimiter = width, quote, delimiter
        self._cell = re.compile(
            b"(%b(?:[^%b]++|%b%b)*+%b|[^%b%b\\r\\n]*+)(%b|\\r\\n|[\\r\\n]|\\Z)"
            % (mark, mark, mark, mark, mark, mark, between, between)
        )
        self._beside = frozenset(b"\r\n" + delimiter + quote)
        self._work = _MOST_WORK

    def about(self, row: bytes) -> bool:
        """Whether nobody can tell if these bytes are one row or several."""
        size = sum(map(row.count, (self._quote, b"\n", b"\r")))
        if size > _MOST_MARKS or not self._affords(len(row) >> 4):
            return True
        plain = [line.count(self._delimiter) for line in _LINE_END.split(row) if line]
        if len(plain) > 1 and set(plain) == {self._width - 1}:
            return True
        marks = [found.start() for found in re.finditer(re.escape(self._quote), row)]
        breaks = [found.start() for found in _LINE_END.finditer(row)]
        turnable = [self._turnable(row, at) for at in marks]
        for number, first in enumerate(marks):
            for other in range(number + 1, len(marks)):
                second = marks[other]
                if not self._affords(1):
                    return True
                if bisect(breaks, first) < bisect(breaks, second) and self._without(row, first, second):
                    return True
                # Between the two every mark opens where it closed: where it cannot, no later one will do.
                near = second == first + 1 or marks[other + 1 : other + 2] == [second + 1]
                if not turnable[other] and not near:
                    break
        return False

    def _affords(self, work: int) -> bool:
        """What takes too much work stays in doubt; honest tables come nowhere near."""
        self._work -= work
        return self._work >= 0

    def _turnable(self, row: bytes, at: int) -> bool:
        """Whether a mark could both open and close a cell."""
        return (at == 0 or row[at - 1] in self._beside) and (at == len(row) - 1 or row[at + 1] in self._beside)

    def _without(self, row: bytes, first: int, second: int) -> bool:
        """Whether the row falls into several without these two marks."""
        if not self._affords(20 + (len(row) >> 4)):
            return True
        text = row[:first] + row[first + 1 : second] + row[second + 1 :]
        parts = self._cell.findall(text)
        if sum(len(cell) + len(end) for cell, end in parts) != len(text):
            return False
        widths, cells = [], 0
        for cell, end in parts:
            cells += 1
            if end != self._delimiter:
                # A blank line is no row.
                widths += [cells] if cells > 1 or cell else []
                cells = 0
        return len(widths) > 1 and widths[0] == widths[-1] == self._width in (widths[1:-1] or widths)


def _pieces(text: Bytes, quote: bytes) -> Iterator[_Piece]:
    odd, last = 0, -1
    for at in range(0, len(text), _PIECE):
        piece = text[at : at + _PIECE]
        marks = np.flatnonzero(piece == quote[0]) + at if quote else np.zeros(0, np.int64)
        ends = np.flatnonzero((piece == _LF) | (piece == _CR)) + at
        follows = text[np.minimum(ends + 1, len(text) - 1)]
        ends = ends[(text[ends] == _LF) | (follows != _LF) | (ends == len(text) - 1)]
        pairs = (text[ends] == _LF) & (text[np.maximum(ends - 1, 0)] == _CR)
        inside = ((np.searchsorted(marks, ends) + odd) & 1).astype(bool)
        lengths = np.diff(ends, prepend=last) - 1 - pairs
        yield _Piece(odd=odd, marks=marks, ends=ends, inside=inside, pairs=pairs, lengths=lengths)
        last = int(ends[-1]) if len(ends) else last
        odd = (odd + len(marks)) & 1


def _misplaced(text: Bytes, piece: _Piece, beside: Mask) -> Places:
    """The places, in order, of the marks that stand neither at the edge of a cell nor beside another mark."""
    opening, closing = piece.marks[piece.odd :: 2], piece.marks[1 - piece.odd :: 2]
    opening, closing = opening[opening > 0], closing[closing < len(text) - 1]
    wrong: Places = np.sort(np.r_[opening[~beside[text[opening - 1]]], closing[~beside[text[closing + 1]]]])
    return wrong


def _lines(text: Bytes, quote: bytes, delimiter: bytes) -> tuple[Whole, Mask, Whole]:
    """Where each line that is not blank ends, whether within quotation marks, and the delimiters up to there."""
    ends, inside, delimiters, before = [], [], [], 0
    for number, piece in enumerate(_pieces(text, quote)):
        marks = np.flatnonzero(text[number * _PIECE : (number + 1) * _PIECE] == delimiter[0]) + number * _PIECE
        told = piece.ends[piece.lengths > 0]
        ends.append(told.astype(np.int32))
        inside.append(piece.inside[piece.lengths > 0])
        delimiters.append((np.searchsorted(marks, told) + before).astype(np.int32))
        before += len(marks)
    # The last line may have no end; when it has one, an empty line more does no harm.
    return (
        np.concatenate([*ends, np.array([len(text)], np.int32)]),
        np.concatenate([*inside, np.array([False])]),
        np.concatenate([*delimiters, np.array([before], np.int32)]),
    )
