"""What some actions must know beside the table they work on: the key of noise, and whose a session is.

Tables of features name a session only; who was recorded, and in which order, stands in the table of sessions.
Everything here is pseudonymous already. Reading that table and deriving the key is `pipeline`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.actions import earliest, ordinal
from sensai_release.table.schema import TableSchema

Column: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The table of sessions, one row a session: the names of its `key` and of its `person` column, its `table` of
    pseudonyms, and `times`, the column by which a person's sessions are ordered (None: their order is unknown).
    """

    name: str
    key: str
    person: str
    times: str | None
    table: pa.Table = field(repr=False)

    def of(self, sessions: Column, column: str) -> Column:
        """The cell of a column for each session; missing for a session that is not there."""
        return pc.take(self.table[column], pc.index_in(sessions, value_set=self.table[self.key].combine_chunks()))

    @property
    def places(self) -> pa.Array:
        """The place (from 1) of each session among those of its person. Raises `ConfigurationError` without `times`."""
        if self.times is None or self.times not in self.table.column_names:
            raise ConfigurationError(
                f"schemas/{self.name}.yaml",
                "has no column with the action ordinal, so no session of a person is the first",
                "Give the time of the session the action ordinal.",
            )
        return ordinal(self.table[self.times], self.table[self.person], self.table[self.key])


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`noise_key` is the working key of purpose `noise`; `recording` the key of the recording whose rows a table holds,
    where its file's name gives it.
    """

    sessions: Sessions | None = None
    noise_key: bytes | None = field(default=None, repr=False)
    recording: str | None = None

    def persons(self, table: pa.Table, within: str, place: str) -> Column:
        """The person behind each row: the column `within` of the table itself, or of its sessions."""
        if within in table.column_names:
            return table[within]
        if self.sessions is not None and within == self.sessions.person:
            return self.sessions.of(self._sessions_of(table, place), within)
        raise ConfigurationError(place, f"has rows that do not lead to '{within}'", "Name the key of persons.")

    def reference(self, table: pa.Table, name: str, reference: str | Mapping[str, Any], within: str) -> pa.Array:
        """True for each row that is its person's reference (at most one a person).

        `first`: the row of the person's first session. A condition `{table.column: value}` on the table of sessions:
        the row of the person's first session that meets it. One on the table itself (`name`): of the person's rows that
        meet it the one of the earliest session. A person whose reference session has no row here has no reference.
        """
        place = f"schemas/{name}.yaml"
        if self.sessions is None:
            raise ConfigurationError(place, "has references, but there is no table of sessions", "Mend params.yaml.")
        owner, column, value = condition(reference)
        here = self._sessions_of(table, place)
        places = self.sessions.places
        if owner == name and name != self.sessions.name:
            at = pc.index_in(here, value_set=self.sessions.table[self.sessions.key].combine_chunks())
            return earliest(self.persons(table, within, place), pc.take(places, at), _equal(table[column], value))
        if owner not in (None, self.sessions.name):
            raise ConfigurationError(place, f"has a reference in '{owner}'", f"Use {name} or {self.sessions.name}.")
        everywhere = self.sessions.table
        eligible = None if column is None else _equal(everywhere[column], value)
        marked = earliest(everywhere[self.sessions.person], places, eligible)
        chosen = everywhere[self.sessions.key].combine_chunks().filter(marked)
        return pc.is_in(here.combine_chunks() if isinstance(here, pa.ChunkedArray) else here, value_set=chosen)

    def _sessions_of(self, table: pa.Table, place: str) -> Column:
        if self.sessions is not None and self.sessions.key in table.column_names:
            return table[self.sessions.key]
        raise ConfigurationError(place, "has rows that do not lead to a session", "Give it the key of sessions.")


def session_times(schema: TableSchema) -> str | None:
    """The column of the table of sessions by which a person's sessions are ordered: the one with the action ordinal."""
    return next(
        (
            spec.name
            for spec in schema.columns
            if any(a.do == "ordinal" for acts in spec.actions.values() for a in acts)
        ),
        None,
    )


def condition(reference: str | Mapping[str, Any]) -> tuple[str | None, str | None, Any]:
    """Table, column and value of the condition that a reference must meet; nothing for `first`."""
    if isinstance(reference, str):
        return None, None, None
    ((path, value),) = reference.items()
    owner, column = path.split(".")
    return owner, column, value


def _equal(column: Column, value: Any) -> pa.Array:
    """True where a cell holds the value; a missing cell does not."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pc.fill_null(pc.equal(whole, pa.scalar(value, whole.type)), False)
