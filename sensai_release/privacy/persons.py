"""One row per person: what a release tells about each, gathered from all its tables.

A quasi-identifier in a table with several rows a person becomes its whole trajectory, as one key: an acquaintance knows
the course, not a row of it. The number of rows a person has in the table of sessions is a quasi-identifier too. Risk
over these keys is `privacy.risk`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.links import Links
from sensai_release.table.schema import SchemaSet, TableSchema

Dictionary = Mapping[str, Any]
_BETWEEN = "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonKeys:
    """`table`: one row a person, ordered by the person's key, with a column for every quasi-identifier; `tier1` and
    `tier2` are the names of these columns. Trajectories are texts that only serve to be compared. `sensitive` are those
    of tier 2 that say something of a person's health (class clinical). `labels` are the sensitive columns of the table
    of persons, which nobody is found by. `order` gives the values of ordered columns, lowest first.
    """

    table: pa.Table
    tier1: tuple[str, ...]
    tier2: tuple[str, ...]
    sensitive: tuple[str, ...] = ()
    labels: Mapping[str, pa.ChunkedArray] = field(default_factory=dict)
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def person_keys(
    tables: Mapping[str, pa.Table], dictionaries: Mapping[str, Dictionary], links: Links | None = None
) -> PersonKeys:
    """The quasi-identifiers of every person in the released `tables`, as their dictionaries declare them.

    Columns of the table of persons keep their names, others read `table.column`, and `sessions.rows` counts sessions.
    A quasi-identifier without a tier counts as tier 2. Raises `ConfigurationError` when there is no table of persons,
    or a table with a quasi-identifier does not lead to them.
    """
    links = links or Links()
    if links.persons not in tables or links.person_key not in tables[links.persons].column_names:
        raise ConfigurationError("params.yaml: persons", "names no released table of persons", "Mend 'persons'.")
    persons = tables[links.persons].sort_by(links.person_key)
    result: dict[str, pa.Array | pa.ChunkedArray] = {links.person_key: persons[links.person_key]}
    tiers: dict[str, int] = {}
    clinical: set[str] = set()
    for name in sorted(tables, key=lambda name: (name != links.persons, name)):
        columns = list(_quasi_identifiers(dictionaries[name]))
        prefix = "" if name == links.persons else f"{name}."
        clinical |= {f"{prefix}{c['name']}" for c in dictionaries[name]["columns"] if c.get("class") == "clinical"}
        if name == links.persons:
            result |= {column: persons[column] for column, _ in columns}
            tiers |= dict(columns)
            continue
        if columns:
            rows = _rows(tables, dictionaries, name, persons[links.person_key], links)
            for column, tier in columns:
                result[f"{name}.{column}"] = rows.trajectories(tables[name][column], persons.num_rows)
                tiers[f"{name}.{column}"] = tier
        if name == links.sessions:
            rows = _rows(tables, dictionaries, name, persons[links.person_key], links)
            result[f"{name}.rows"] = pa.array(np.bincount(rows.person, minlength=persons.num_rows), pa.int64())
            tiers[f"{name}.rows"] = 2
    own = dictionaries[links.persons]["columns"]
    return PersonKeys(
        table=pa.table(result),
        tier1=tuple(name for name, tier in tiers.items() if tier == 1),
        tier2=tuple(name for name, tier in tiers.items() if tier != 1),
        sensitive=tuple(name for name, tier in tiers.items() if tier != 1 and name in clinical),
        labels={column["name"]: persons[column["name"]] for column in own if column["role"] == "sensitive"},
        order={
            column["name"]: tuple(column["categories"])
            for column in own
            if column["name"] in result and column.get("categories") and column.get("action", "").startswith("bin(")
        },
    )


def tells_of_persons(dictionary: Dictionary, links: Links) -> bool:
    """Whether `person_keys` has something to take from a table; feature tables can be large and say nothing here."""
    return dictionary["table"] in (links.persons, links.sessions) or any(_quasi_identifiers(dictionary))


def refuse_tables_without_persons(schemas: SchemaSet, links: Links) -> None:
    """Raises `ConfigurationError` for a table that would be released although its schema leads to no person.

    Whose rows they are is not known then, so neither can consent be honoured nor risk be counted in persons.
    """
    for schema in schemas.values():
        if schema.releases and schema.generated is None and not _leads_to_persons(schema, links):
            raise ConfigurationError(
                f"schemas/{schema.name}.yaml",
                "releases rows that lead to no person",
                f"Declare the column {links.person_key} or the foreign key {links.session_key}, or do not release it.",
            )


def _leads_to_persons(schema: TableSchema, links: Links) -> bool:
    if schema.source is not None and schema.source.per_recording:
        return schema.source.recording_key == links.session_key
    keys = {key.column for key in schema.foreign_keys}
    return schema.match(links.person_key) is not None or links.session_key in keys


def _quasi_identifiers(dictionary: Dictionary) -> Iterator[tuple[str, int]]:
    for column in dictionary["columns"]:
        if column["role"] == "quasi_identifier":
            yield column["name"], column["tier"] or 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """For every row of a table the position of its person, and its place among the person's sessions (from 1)."""

    person: np.ndarray[Any, np.dtype[np.int64]]
    place: np.ndarray[Any, np.dtype[np.int64]]

    def trajectories(self, column: pa.ChunkedArray, persons: int) -> pa.Array:
        """A text per person: place and value of each of the person's rows; missing for a person without rows."""
        values = pc.cast(column.combine_chunks(), pa.string())
        cells = pc.binary_join_element_wise(
            pc.cast(pa.array(self.place), pa.string()),
            pc.if_else(pc.is_valid(values), "=", "?"),
            pc.fill_null(values, ""),
            "",
        )
        # Within a session the rows have no order of their own, so the cells are put in order.
        table = pa.table({"person": pa.array(self.person), "place": pa.array(self.place), "cell": cells})
        ordered = table.sort_by([("person", "ascending"), ("place", "ascending"), ("cell", "ascending")])
        sizes = np.bincount(self.person, minlength=persons)
        offsets = pa.array(np.r_[0, np.cumsum(sizes)], pa.int32())
        lists = pa.ListArray.from_arrays(offsets, ordered["cell"].combine_chunks())
        return pc.if_else(pa.array(sizes > 0), pc.binary_join(lists, _BETWEEN), pa.scalar(None, pa.string()))


def _rows(
    tables: Mapping[str, pa.Table],
    dictionaries: Mapping[str, Dictionary],
    name: str,
    persons: pa.ChunkedArray,
    links: Links,
) -> _Rows:
    table = tables[name]
    value_set = persons.combine_chunks()
    place = pa.array(np.ones(table.num_rows, dtype=np.int64))
    if links.session_key in table.column_names and links.sessions in tables:
        sessions = tables[links.sessions]
        at = pc.index_in(table[links.session_key], value_set=sessions[links.session_key].combine_chunks())
        owners = pc.take(sessions[links.person_key], at)
        place = pc.take(_places(sessions, dictionaries[links.sessions], links), at)
    elif links.person_key in table.column_names:
        owners = table[links.person_key]
    else:
        owners = pa.nulls(table.num_rows, pa.string())
    found = pc.index_in(owners, value_set=value_set)
    if found.null_count:
        raise ConfigurationError(
            f"the released table {name}", "has rows that do not lead to a person", "Add the person's key, or drop it."
        )
    return _Rows(person=_integers(found), place=_integers(place))


def _places(sessions: pa.Table, dictionary: Dictionary, links: Links) -> pa.Array:
    """The place of each session among those of its person: by the released ordinal, else by the session's key."""
    ordinals = [column["name"] for column in dictionary["columns"] if column["action"].startswith("ordinal(")]
    keys = [
        (links.person_key, "ascending"),
        *((name, "ascending") for name in ordinals),
        (links.session_key, "ascending"),
    ]
    order = pc.sort_indices(sessions, sort_keys=keys).to_numpy()
    person = pc.rank(sessions[links.person_key].combine_chunks(), tiebreaker="dense").to_numpy()[order]
    position = np.arange(len(order))
    starts = np.r_[True, person[1:] != person[:-1]][: len(order)]
    places = np.empty(len(order), dtype=np.int64)
    places[order] = position - np.maximum.accumulate(np.where(starts, position, 0)) + 1
    return pa.array(places)


def _integers(column: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    numbers: np.ndarray[Any, np.dtype[np.int64]] = column.to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers
