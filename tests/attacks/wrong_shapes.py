"""JSON documents of which one part is of another kind than it should be: a list for a text, a text for a number.

Every part of a document is tried: mappings by all their keys, of a list the first entry only, since the others have the
same form. What is put in its place holds `PLANTED` wherever a text can stand.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from attacks.malformed_json import PLANTED

INSTEAD: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "minus one": -1,
    "half": 0.5,
    "empty text": "",
    "text": PLANTED,
    "long text": PLANTED * 500,
    "empty list": [],
    "empty mapping": {},
    "list of lists": [[PLANTED, {PLANTED: []}]],
    "mapping of mappings": {PLANTED: {PLANTED: [PLANTED]}},
    "the largest number": 2**53 - 1,
}
Step = str | int
_LEFT_OUT = "left out"


def parts(document: Any, *, at: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Where the parts of a document are, the whole of it first."""
    yield at
    if isinstance(document, dict):
        for key, value in document.items():
            yield from parts(value, at=(*at, key))
    elif isinstance(document, list) and document:
        yield from parts(document[0], at=(*at, 0))


def replaced(document: Any, at: tuple[Step, ...], value: Any) -> Any:
    """The document with another value in one place."""
    if not at:
        return value
    changed = copy.deepcopy(document)
    holder = changed
    for step in at[:-1]:
        holder = holder[step]
    holder[at[-1]] = value
    return changed


def without(document: Any, at: tuple[Step, ...]) -> Any:
    """The document without one of its parts."""
    changed = copy.deepcopy(document)
    holder = changed
    for step in at[:-1]:
        holder = holder[step]
    del holder[at[-1]]
    return changed


def faults(document: Any) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Every part, with every kind of fault that it can have."""
    for at in parts(document):
        for kind in INSTEAD:
            yield at, kind
        if at:
            yield at, _LEFT_OUT


def spoilt(document: Any, at: tuple[Step, ...], kind: str) -> Any:
    """The document with one fault."""
    return without(document, at) if kind == _LEFT_OUT else replaced(document, at, INSTEAD[kind])


def wrong_shapes(document: Any) -> Iterator[Any]:
    """Each wrong document, one after the other: all of them together would not fit into memory."""
    return (spoilt(document, at, kind) for at, kind in faults(document))
