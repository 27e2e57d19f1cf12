from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.documents import MAXIMUM_DEPTH, canonical_json, parse_strict

SECRET = "do-not-quote-me"


def test_canonical_json_gives_the_example_of_rfc_8785() -> None:
    # RFC 8785, section 3.2.2 and 3.2.4
    source = (
        '{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        '"string": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/", "literals": [null, true, false]}'
    )
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical_json(json.loads(source)) == expected.encode()


def test_canonical_json_sorts_keys_by_utf_16_units() -> None:
    # RFC 8785, section 3.2.3: U+1F600 sorts before U+FB33, though its code point is higher.
    document = {"\ufb33": 1, "\U0001f600": 2, "1": 3}
    assert list(json.loads(canonical_json(document))) == ["1", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(
    "document",
    [
        {"x": math.nan},
        {"x": math.inf},
        {"x": 2**53},
        {"x": 2.0**53},
        {"x": -(2**53)},
        {1: SECRET},
        {"x": {SECRET}},
        {"x": b"bytes"},
        {"x": "\ud800"},
    ],
)
def test_canonical_json_refuses_what_json_cannot_carry(document: Any) -> None:
    with pytest.raises(ReleaseFormatError) as caught:
        canonical_json(document)
    assert SECRET not in str(caught.value)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_depth_is_limited_on_both_sides() -> None:
    assert parse_strict(nested(MAXIMUM_DEPTH), "x") is not None
    document: Any = []
    for _ in range(MAXIMUM_DEPTH + 1):
        document = [document]
    with pytest.raises(ReleaseFormatError, match="levels"):
        canonical_json(document)


def test_brackets_inside_text_are_no_depth() -> None:
    text = '[{"' * 100 + '\\"'
    assert parse_strict(json.dumps([text]).encode(), "x") == [text]


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"x": {"a": 1, "\\u0061": 2}}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 9007199254740992}', "2\\^53"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "2\\^53"),
        (b'{"a": "\\ud800"}', "Unicode"),
        (b'{"a": "\xff"}', "Unicode"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
        (b'{"a": 1', "cut short"),
        (b'{"a": 1} {}', "not JSON"),
        (b"", "not JSON"),
        (nested(MAXIMUM_DEPTH + 1), "nested"),
        (b"[" * 1_000_000, "nested"),
        (b'{"a":' * 1_000_000, "nested"),
    ],
)
def test_parse_strict_refuses(data: bytes, cause: str) -> None:
    with pytest.raises(ReleaseFormatError, match=cause) as caught:
        parse_strict(data, "place.json")
    assert str(caught.value).startswith("place.json: ")
    assert caught.value.__cause__ is None


def test_parse_strict_refuses_what_is_too_large() -> None:
    assert parse_strict(b'"1234"', "x", maximum_bytes=6) == "1234"
    with pytest.raises(ReleaseFormatError, match="larger than 6 bytes"):
        parse_strict(b'"12345"', "x", maximum_bytes=6)


def test_errors_never_quote_the_content() -> None:
    for data in (f'{{"{SECRET}": 1, "{SECRET}": 2}}', f'{{"{SECRET}"', f'"{SECRET}" 1', f'["{SECRET}", NaN]'):
        with pytest.raises(ReleaseFormatError) as caught:
            parse_strict(data.encode(), "x")
        assert SECRET not in str(caught.value)


json_documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_documents)
def test_what_is_written_is_read_back_and_written_the_same(document: Any) -> None:
    try:
        data = canonical_json(document)
    except ReleaseFormatError:
        # A float from 2^53 up would be written without a point, as RFC 8785 demands, and be read as a whole number.
        assert any(2**53 - 1 < abs(number) < 1e21 for number in numbers(document))
        return
    again = parse_strict(data, "x")
    assert again == document
    assert canonical_json(again) == data


def numbers(document: Any) -> list[float]:
    if isinstance(document, dict):
        return [number for child in document.values() for number in numbers(child)]
    if isinstance(document, list):
        return [number for child in document for number in numbers(child)]
    return [document] if isinstance(document, int | float) else []


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse_strict(data, "x")
    except ReleaseFormatError:
        return
    json.loads(data)
