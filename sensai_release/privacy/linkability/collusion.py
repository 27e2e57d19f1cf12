"""What two recipients of one study could match although their pseudonyms and the order of their rows differ.

Four ways: the values of a row, the number of a person's sessions, the gaps between them, and all of these. Only what is
alone on both sides counts as matched. Whether values may differ between recipients (noise) is for the policy to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.privacy.classes import combine, encode
from sensai_release.privacy.links import Links
from sensai_release.privacy.masking import MINIMUM, masked
from sensai_release.privacy.persons import Dictionary, person_keys

Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collusion:
    """Shares that can be matched. `rows` by table; `persons` by `values`, `counts`, `gaps` and `all`. Each measure is
    `{"share": number or text}`, where few persons lie on either side a bound instead of the number.
    """

    rows: Mapping[str, Mapping[str, Any]]
    persons: Mapping[str, Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": {name: dict(entry) for name, entry in self.rows.items()},
            "persons": {name: dict(entry) for name, entry in self.persons.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Collusion:
        return cls(rows=data["rows"], persons=data["persons"])


def collusion(
    tables: Mapping[str, pa.Table],
    dictionaries: Mapping[str, Dictionary],
    links: Links | None = None,
    *,
    other: Mapping[str, pa.Table] | None = None,
    minimum: int = MINIMUM,
) -> Collusion:
    """How much of `tables` can be matched to those of another recipient (`other`; by default the same values).

    Keys and pseudonyms are never compared. Needs the tables of persons and of sessions; raises `ConfigurationError`
    where `persons.person_keys` does.
    """
    links = links or Links()
    ours = person_keys(_only(tables, links), dictionaries, links).table
    theirs = ours if other is None else person_keys(_only(other, links), dictionaries, links).table
    people = ours[links.person_key].combine_chunks()
    rows: dict[str, Mapping[str, Any]] = {}
    by_values = np.zeros(ours.num_rows, dtype=bool)
    for name in sorted(tables):
        columns = _compared(dictionaries[name], tables[name], links)
        if not columns or (other is not None and name not in other):
            continue
        found = _alone_in_both(tables[name], None if other is None else other[name], columns)
        owner = _owners(name, tables, people, links)
        if owner is None:
            continue
        by_values[owner[found]] = True
        rows[name] = _share(found, owner, minimum)
    count, gaps = f"{links.sessions}.rows", _gap_columns(dictionaries, links)
    known = [name for name in (count, *gaps) if name in ours.column_names]
    ways = {
        "values": by_values,
        "counts": _alone(ours, theirs, [name for name in known if name == count]),
        "gaps": _alone(ours, theirs, [name for name in known if name != count]),
    }
    ways["all"] = by_values | _alone(ours, theirs, known)
    everybody = np.arange(ours.num_rows)
    return Collusion(rows=rows, persons={name: _share(flags, everybody, minimum) for name, flags in ways.items()})


def _only(tables: Mapping[str, pa.Table], links: Links) -> dict[str, pa.Table]:
    return {name: tables[name] for name in (links.persons, links.sessions) if name in tables}


def _gap_columns(dictionaries: Mapping[str, Dictionary], links: Links) -> list[str]:
    return [
        f"{links.sessions}.{column['name']}"
        for column in dictionaries.get(links.sessions, {}).get("columns", ())
        if str(column["action"]).startswith("relative_day(")
    ]


def _compared(dictionary: Dictionary, table: pa.Table, links: Links) -> list[str]:
    keys = {links.person_key, links.session_key}
    return [
        column["name"]
        for column in dictionary["columns"]
        if column["role"] != "direct_identifier" and column["name"] not in keys and column["name"] in table.column_names
    ]


def _alone_in_both(table: pa.Table, other: pa.Table | None, columns: list[str]) -> Flags:
    """Which rows have values that no other row has, and that exactly one row of the other side has."""
    sides = [table.select(columns)] + ([] if other is None else [other.select(columns)])
    whole = pa.concat_tables(sides)
    codes = combine([encode(whole[name]) for name in columns], whole.num_rows)
    return _matched(codes, table.num_rows, same=other is None)


def _matched(codes: Codes, rows: int, *, same: bool) -> Flags:
    ours = codes[:rows]
    size = int(codes.max(initial=0)) + 1
    held = np.bincount(ours, minlength=size)
    found = held if same else np.bincount(codes[rows:], minlength=size)
    return np.asarray((held[ours] == 1) & (found[ours] == 1))


def _alone(ours: pa.Table, theirs: pa.Table, columns: list[str]) -> Flags:
    if not columns:
        return np.zeros(ours.num_rows, dtype=bool)
    return _alone_in_both(ours, None if theirs is ours else theirs, columns)


def _owners(name: str, tables: Mapping[str, pa.Table], people: pa.Array, links: Links) -> Codes | None:
    """The position of the person behind each row; `None` for a table that does not lead to persons."""
    table = tables[name]
    if links.person_key in table.column_names:
        owners: Any = table[links.person_key]
    elif links.session_key in table.column_names and links.sessions in tables:
        sessions = tables[links.sessions]
        at = pc.index_in(table[links.session_key], value_set=sessions[links.session_key].combine_chunks())
        owners = pc.take(sessions[links.person_key], at)
    else:
        return None
    found = pc.index_in(owners, value_set=people)
    return None if found.null_count else np.asarray(found.to_numpy()).astype(np.int64)


def _share(flags: Flags, owner: Codes, minimum: int) -> dict[str, Any]:
    """The share of flagged rows, if enough persons stand behind them and behind the rest."""
    if not flags.any() or flags.all():
        return {"share": float(flags.all() and len(flags) > 0)}
    inside, outside = len(np.unique(owner[flags])), len(np.unique(owner[~flags]))
    persons = len(np.unique(owner))
    if isinstance(masked(inside, minimum), str):
        return {"share": f"<{min(minimum / persons, 1.0):.2f}"}
    if isinstance(masked(outside, minimum), str):
        return {"share": f">{max(persons - minimum, 0) / persons:.2f}"}
    return {"share": round(float(flags.mean()), 4)}
