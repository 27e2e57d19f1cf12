"""Which schema entry speaks for which column, remembered from one file to the next.

A study has a thousand recordings with one and the same header; matching 714 names against the patterns of a schema
takes longer than reading the file. What an entry means is for the readers and the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from sensai_release.table.schema import ColumnSpec, TableSchema

Value = TypeVar("Value")


class SchemaMemo(Generic[Value]):
    """The last `size` results of a function of a schema and a key."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        # Schemas hold mappings and cannot be hashed, so identity is the key. Each entry keeps its schema alive:
        # otherwise a new schema could get the identity of a forgotten one.
        self._entries: dict[tuple[int, Hashable], tuple[TableSchema, Value]] = {}

    def get(self, schema: TableSchema, key: Hashable, make: Callable[[], Value]) -> Value:
        entry = self._entries.get((id(schema), key))
        if entry is not None:
            return entry[1]
        value = make()
        while len(self._entries) >= self._size:
            self._entries.pop(next(iter(self._entries)))
        self._entries[(id(schema), key)] = (schema, value)
        return value


_SPECS: SchemaMemo[tuple[ColumnSpec | None, ...]] = SchemaMemo()


def specs_for(schema: TableSchema, names: tuple[str, ...]) -> tuple[ColumnSpec | None, ...]:
    """The entry for each of the columns `names`, `None` where there is none."""
    return _SPECS.get(schema, names, lambda: tuple(schema.match(name) for name in names))


def key_from_file(schema: TableSchema) -> str | None:
    """The key column that no source file holds as such: the file's name or a column of paths gives it."""
    return schema.source.recording_key if schema.source is not None else None
