"""What a look through the records of a text tells: held against a plain reading of the same text, line by line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensai_release.table.readers.records import Survey, survey, swallowed

LONG = 1 << 20
# Rows of 32 bytes: the first piece of four mebibytes ends within a cell with line breaks.
FILLING = b'A1,"a note, with\r\ntwo lines",1\r\n\n' * 140_000


def seen(text: bytes, *, longest: int = LONG) -> Survey:
    return survey(text, 0, quote=b'"', delimiter=b",", longest=longest)


def plainly(text: str, *, longest: int) -> tuple[int | None, int, bool]:
    """The first row that is too long, the blank lines between rows, and whether a cell is broken."""
    records = re.findall(r'((?:[^"\r\n]|"[^"]*"?)*)(?:\r\n|\n|\r|\Z)', text)
    rows = [record for record in records if record]
    long = next((number for number, row in enumerate(rows, start=1) if len(row) > longest), None)
    last = max(number for number, record in enumerate(records) if record)
    return long, records[:last].count(""), any(re.search(r'"[^"]*[\r\n]', row) for row in rows)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('ab,"\n\r'), max_size=30).map(lambda text: text + 'x,"y"'), st.integers(3, 12))
def test_what_is_seen_is_what_is_there(text: str, longest: int) -> None:
    found = seen(text.encode(), longest=longest)
    long, blank, broken = plainly(text, longest=longest)
    assert (found.too_long, found.broken, found.open is not None) == (long, broken, text.count('"') % 2 == 1)
    assert found.open is not None or found.blank == blank


def test_a_long_text_is_looked_at_in_pieces() -> None:
    """Nothing that stands behind the first piece is seen otherwise than before it."""
    rows, marks = 140_000, FILLING
    assert seen(marks) == Survey(blank=rows - 1, broken=True)
    assert seen(marks + b"x" * 40 + b"\n", longest=39) == Survey(too_long=rows + 1, blank=rows, broken=True)
    wrong = seen(marks + b'A2,a"b"c,1\n')
    assert (wrong.misplaced, wrong.misplaced_row) == (2, rows + 1)
    assert seen(marks + b'A2,"a,1\n').open == rows + 1
    joined = marks + b'A2,"a,1\nA3,b",2\n'
    assert swallowed(joined, 0, width=3, quote=b'"', delimiter=b",") == (1, rows + 1)
    assert swallowed(marks, 0, width=3, quote=b'"', delimiter=b",") == (0, None)


@pytest.mark.parametrize("text", [b"", b"\n", b'"', b'""', b'"\n"', b"\r\n", b'"\n"\r'])
def test_short_texts(text: bytes) -> None:
    found = seen(text)
    assert found.too_long is None
    assert found.blank == 0
    assert (found.open is not None) == (text.count(b'"') == 1)


def test_a_plain_short_text_is_not_looked_at() -> None:
    assert seen(b"a,b\n\n\nc,d\n") == Survey()
