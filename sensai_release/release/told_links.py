"""How the tables of a release lead to its persons, as the release itself tells: no study's names are taken for granted.

Reads the data dictionaries and, for the table of sessions, what the datasheet was told. Neither is trusted to be of any
shape; where a release tells nothing, nothing is guessed. Following the links row by row is `tables`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sensai_release.privacy.links import Links
from sensai_release.release.tables import read_json_object

Dictionaries = Mapping[str, Mapping[str, Any]]

_DATASHEET = "datasheet.json"


def told_links(folder: Path, dictionaries: Dictionaries) -> Links | None:
    """The tables of persons and of sessions of the release or candidate in `folder`; `None` without one of persons.

    The table of persons has one row for each and follows no other one. The table of sessions is the one that the
    datasheet names, or else, of the tables with rows of persons and a key of their own, the one that most others refer
    to. Its names are empty where there is none. Raises `ReleaseFormatError` when the datasheet cannot be read.
    """
    persons = _persons(dictionaries)
    if persons is None:
        return None
    key = str(dictionaries[persons]["person_key"])
    sessions = _sessions(dictionaries, persons, key, _stated(folder))
    return Links(
        persons=persons,
        person_key=key,
        sessions=sessions or "",
        session_key=str(_key_of(dictionaries[sessions])) if sessions else "",
    )


def _persons(dictionaries: Dictionaries) -> str | None:
    own = {
        name: about
        for name, about in dictionaries.items()
        if _key_of(about) is not None and _key_of(about) == about.get("person_key")
    }
    # Folds too have a row for each person, and lead to another table of persons, be it here or not.
    first = [name for name, about in own.items() if about["person_key"] not in _columns_that_lead(about)]
    return min(first, key=lambda name: (-_followers(dictionaries, name), -_told(own[name]), name), default=None)


def _sessions(dictionaries: Dictionaries, persons: str, key: str, stated: str | None) -> str | None:
    found = [
        name
        for name, about in dictionaries.items()
        if name != persons and _key_of(about) not in (None, key) and _leads(about, persons, key)
    ]
    if stated in found:
        return stated
    return min(found, key=lambda name: (-_followers(dictionaries, name), name), default=None)


def _stated(folder: Path) -> str | None:
    """The table of sessions by the facts that the datasheet was made from."""
    path = folder / _DATASHEET
    held: Any = read_json_object(path, _DATASHEET) if path.exists() else {}
    for name in ("facts", "context", "sessions_table"):
        held = held.get(name) if isinstance(held, Mapping) else None
    return held if isinstance(held, str) else None


def _key_of(about: Mapping[str, Any]) -> str | None:
    """The key of a table whose key is one column."""
    key = about.get("primary_key")
    return key[0] if isinstance(key, list) and len(key) == 1 and isinstance(key[0], str) else None


def _leads(about: Mapping[str, Any], persons: str, key: str) -> bool:
    return about.get("person_key") == key or f"{persons}.{key}" in _targets(about)


def _followers(dictionaries: Dictionaries, name: str) -> int:
    target = f"{name}.{_key_of(dictionaries[name])}"
    return sum(target in _targets(about) for about in dictionaries.values())


def _told(about: Mapping[str, Any]) -> int:
    """How many columns an acquaintance could know."""
    columns = about.get("columns")
    entries = columns if isinstance(columns, list) else []
    return sum(isinstance(entry, Mapping) and entry.get("role") == "quasi_identifier" for entry in entries)


def _targets(about: Mapping[str, Any]) -> list[str]:
    """The `table.column` that a table's foreign keys point to."""
    return [str(entry.get("references")) for entry in _foreign_keys(about)]


def _columns_that_lead(about: Mapping[str, Any]) -> list[str]:
    """The columns of a table that are foreign keys."""
    return [str(entry.get("column")) for entry in _foreign_keys(about)]


def _foreign_keys(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    keys = about.get("foreign_keys")
    return [entry for entry in keys if isinstance(entry, Mapping)] if isinstance(keys, list) else []
