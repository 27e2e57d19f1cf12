"""JSON as this project signs and reads it: one byte form on writing, no freedom on reading.

Writing follows the JSON Canonicalization Scheme (RFC 8785, https://www.rfc-editor.org/rfc/rfc8785); reading accepts
I-JSON only (RFC 7493). What a document must contain is left to its own module.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import rfc8785

from sensai_release.errors import ReleaseFormatError

MAXIMUM_DEPTH = 32
MAXIMUM_BYTES = 64 << 20
_MAXIMUM_INTEGER = 2**53 - 1
_WRITTEN_WITH_EXPONENT = 1e21

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_A_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def canonical_json(document: Any) -> bytes:
    """The RFC 8785 form of a document of mappings with text keys, sequences, text, numbers, booleans and None.

    Raises `ReleaseFormatError`, without quoting the document, for NaN, infinities, integers beyond 2^53 - 1, text
    that is no Unicode, other types, and nesting deeper than `MAXIMUM_DEPTH`.
    """
    _check_writable(document, MAXIMUM_DEPTH)
    try:
        return bytes(rfc8785.dumps(document))
    except rfc8785.CanonicalizationError:
        raise _unwritable("a number or a text outside what JSON can carry exactly") from None


def _unwritable(cause: str) -> ReleaseFormatError:
    return ReleaseFormatError("document", f"has {cause}", "Correct the part that computes it.")


def _check_writable(document: Any, depth: int) -> None:
    match document:
        case float() if _MAXIMUM_INTEGER < abs(document) < _WRITTEN_WITH_EXPONENT:
            raise _unwritable("a number that would be written as a whole number beyond 2^53 - 1")
        case None | bool() | int() | float() | str():
            return
        case dict():
            children = list(document.values())
            if not all(isinstance(key, str) for key in document):
                raise _unwritable("a key that is not text")
        case list() | tuple():
            children = list(document)
        case _:
            raise _unwritable("a value that JSON has no form for")
    if depth == 0:
        raise _unwritable(f"more than {MAXIMUM_DEPTH} levels")
    for child in children:
        _check_writable(child, depth - 1)


def parse_strict(data: bytes, place: str, *, maximum_bytes: int = MAXIMUM_BYTES) -> Any:
    """Parses UTF-8 JSON that leaves nothing to interpretation.

    Refuses (`ReleaseFormatError`, naming `place` and never the content): more than `maximum_bytes`, nesting deeper than
    `MAXIMUM_DEPTH`, a byte order mark, duplicate keys, NaN and infinities, integers beyond 2^53 - 1, lone surrogates.
    """
    if len(data) > maximum_bytes:
        raise _refusal(place, f"is larger than {maximum_bytes} bytes")
    if _depth(data) > MAXIMUM_DEPTH:
        raise _refusal(place, f"is nested deeper than {MAXIMUM_DEPTH} levels")
    try:
        document = json.loads(data.decode("utf-8"), **_hooks(place))
        if b"\\u" in data:
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise _refusal(place, "is not Unicode text in UTF-8") from None
    except json.JSONDecodeError:
        raise _refusal(place, "is not JSON; it may have been cut short") from None
    return document


def parse_canonical(data: bytes, place: str, *, maximum_bytes: int = MAXIMUM_BYTES) -> Any:
    """`parse_strict` for signed bytes: refuses also what is not in the one form that `canonical_json` gives."""
    document = parse_strict(data, place, maximum_bytes=maximum_bytes)
    if canonical_json(document) != data:
        raise _refusal(place, "is not in canonical form (RFC 8785)")
    return document


@contextmanager
def expecting_shape(place: str, cure: str) -> Iterator[None]:
    """For what is read out of a parsed document that no schema has checked: whatever fails inside for its shape, a
    missing entry or one of another kind, is refused as a document of another shape (`ReleaseFormatError`).
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        # Their messages may quote the document.
        raise ReleaseFormatError(place, "is of another shape than this tool writes", cure) from None


def _refusal(place: str, cause: str) -> ReleaseFormatError:
    return ReleaseFormatError(place, cause, "Get the file again from where it was published.")


def _hooks(place: str) -> dict[str, Any]:
    """What the standard parser must do differently: it keeps the last of two equal keys, and takes NaN for a number."""

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _refusal(place, "has the same key twice in one object")
        return found

    def whole_number(text: str) -> int:
        # The length comes first: int() itself refuses very long digit strings, with a message that quotes them.
        if len(text) > 17 or abs(number := int(text)) > _MAXIMUM_INTEGER:
            raise _refusal(place, "has a whole number beyond 2^53 - 1")
        return number

    def real_number(text: str) -> float:
        if not math.isfinite(number := float(text)):
            raise _refusal(place, "has a number too large for JSON")
        return number

    def no_constant(_: str) -> NoReturn:
        raise _refusal(place, "has NaN or an infinity, which JSON does not know")

    return {
        "object_pairs_hook": unique_keys,
        "parse_int": whole_number,
        "parse_float": real_number,
        "parse_constant": no_constant,
    }


def _depth(data: bytes) -> int:
    """The deepest nesting, found without recursion: the standard parser would overflow the stack first."""
    deepest = depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NOT_A_BRACKET):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
