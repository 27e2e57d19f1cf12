"""How the tables of two releases differ: rows, cells by column, columns, declarations, participants and labels.

Rows are matched by primary key, one column in memory at a time; a table without a usable key is compared as a multiset
of rows. Every count is masked by the persons behind it. Files, risk reports and the verdict are `diff`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.privacy.masking import mask_counts
from sensai_release.release.tables import (
    Codes,
    Count,
    Flags,
    ReleasedTables,
    codes_of,
    holders,
    in_order,
    label_columns,
    mask_persons,
    mask_rows,
)

_DECLARED = (
    "action",
    "categories",
    "class",
    "dtype",
    "maximum",
    "minimum",
    "nullable",
    "pattern",
    "role",
    "tier",
    "unit",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDiff:
    """One table. `keyed_by` is empty where rows were compared as a multiset; `note` then says why.

    Counts are numbers, `<10` (fewer than `minimum` persons) or `>=10` (a larger count that would reveal a small one).
    `columns_retyped` holds `column`, `old`, `new`; `columns_redeclared` also the `field` of the data dictionary.
    """

    status: str
    keyed_by: tuple[str, ...] = ()
    note: str | None = None
    rows_added: Count = 0
    rows_removed: Count = 0
    rows_changed: Count = 0
    cells_changed: Mapping[str, Count] = field(default_factory=dict)
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()
    columns_retyped: tuple[Mapping[str, str], ...] = ()
    columns_redeclared: tuple[Mapping[str, Any], ...] = ()

    @property
    def same(self) -> bool:
        return self == TableDiff(status="both", keyed_by=self.keyed_by, note=self.note)

    def to_dict(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


class Comparer:
    """Compares the tables of two releases and masks what it finds."""

    def __init__(self, old: ReleasedTables, new: ReleasedTables, minimum: int) -> None:
        self._old = old
        self._new = new
        self._minimum = minimum

    def table(self, name: str, *, unchanged: bool) -> TableDiff:
        if name not in self._old.names or name not in self._new.names:
            return self._one_sided(name)
        key, note = self._key(name)
        if unchanged:
            return TableDiff(status="both", keyed_by=key, note=note)
        before, after = self._old.schema(name), self._new.schema(name)
        common = [column for column in before.names if column in after.names]
        if key:
            found = self._keyed(name, key, [column for column in common if column not in key])
            if found is None:
                key, note = (), "the primary key is not unique, so whole rows were compared"
        if not key:
            found = self._multiset(name, common)
        assert found is not None  # noqa: S101 - a multiset comparison always has a result
        return TableDiff(
            status="both",
            keyed_by=key,
            note=note,
            columns_added=tuple(column for column in after.names if column not in before.names),
            columns_removed=tuple(column for column in before.names if column not in after.names),
            columns_retyped=tuple(
                {"column": column, "old": str(before.field(column).type), "new": str(after.field(column).type)}
                for column in common
                if before.field(column).type != after.field(column).type
            ),
            columns_redeclared=self._redeclared(name, common),
            **found,
        )

    def participants(self) -> dict[str, Count]:
        """Persons who came and who went, over the tables with one row a person."""
        before, after = self._old.everyone(), self._new.everyone()
        kept = len(before & after)
        return {
            "added": mask_persons(len(after - before), kept, self._minimum),
            "removed": mask_persons(len(before - after), kept, self._minimum),
        }

    def labels(self) -> dict[str, dict[str, dict[str, Count]]]:
        """For each label column that changed: persons who gained a value and persons who lost it.

        Values before and after are not printed: their difference would undo the mask. While few persons changed in all,
        even a zero would say what they did not have, so every cell is masked.
        """
        result = {}
        for name in sorted(set(self._old.names) & set(self._new.names)):
            old_labels = label_columns(self._old.dictionaries[name])
            for column in label_columns(self._new.dictionaries[name]):
                changed = self._label(name, column) if column in old_labels else None
                if changed is not None:
                    result[f"{name}.{column}"] = changed
        return result

    def _label(self, name: str, column: str) -> dict[str, dict[str, Count]] | None:
        before, after = holders(self._old, name, column), holders(self._new, name, column)
        entry = next(entry for entry in self._new.dictionaries[name]["columns"] if entry["name"] == column)
        ways: dict[str, dict[str, Count]] = {}
        for way, source, other in (("gained", after, before), ("lost", before, after)):
            persons = {
                value: source.get(value, set()) - other.get(value, set())
                for value in in_order(before.keys() | after.keys(), entry.get("categories") or ())
            }
            involved = len(set().union(*persons.values()))
            if 0 < involved < self._minimum:
                ways[way] = dict.fromkeys(persons, f"<{self._minimum}")
            else:
                ways[way] = mask_counts({value: len(held) for value, held in persons.items()}, self._minimum)
        return ways if any(count != 0 for cells in ways.values() for count in cells.values()) else None

    def _one_sided(self, name: str) -> TableDiff:
        added = name in self._new.names
        side = self._new if added else self._old
        rows = self._count(side, name, np.ones(side.rows(name), dtype=bool))
        columns = tuple(side.schema(name).names)
        return TableDiff(
            status="added" if added else "removed",
            keyed_by=tuple(side.dictionaries[name].get("primary_key") or ()),
            rows_added=rows if added else 0,
            rows_removed=0 if added else rows,
            columns_added=columns if added else (),
            columns_removed=() if added else columns,
        )

    def _key(self, name: str) -> tuple[tuple[str, ...], str | None]:
        keys = [tuple(side.dictionaries[name].get("primary_key") or ()) for side in (self._old, self._new)]
        if keys[0] != keys[1]:
            return (), "the primary keys differ, so whole rows were compared"
        if not keys[0]:
            return (), "the table has no primary key, so whole rows were compared"
        schemas = [side.schema(name) for side in (self._old, self._new)]
        if any(column not in schema.names for schema in schemas for column in keys[0]):
            return (), "a key column is missing, so whole rows were compared"
        if any(schemas[0].field(column).type != schemas[1].field(column).type for column in keys[0]):
            return (), "a key column has another type, so whole rows were compared"
        return keys[0], None

    def _keyed(self, name: str, key: Sequence[str], columns: Sequence[str]) -> dict[str, Any] | None:
        """Rows matched by key, then one column at a time; `None` when the key is not unique."""
        old_codes, new_codes = self._row_codes(name, key)
        matched, old_rows, new_rows = np.intersect1d(old_codes, new_codes, return_indices=True)
        if len(np.unique(old_codes)) != len(old_codes) or len(np.unique(new_codes)) != len(new_codes):
            return None
        cells: dict[str, Count] = {}
        any_changed = np.zeros(len(matched), dtype=bool)
        behind = self._new.person_codes(name)
        in_common = None if behind is None else behind[new_rows]
        for column in columns:
            changed = _unequal(
                self._old.column(name, column).take(pa.array(old_rows)),
                self._new.column(name, column).take(pa.array(new_rows)),
            )
            if changed.any():
                cells[column] = mask_rows(changed, in_common, self._minimum)
                any_changed |= changed
        removed = ~np.isin(old_codes, new_codes, assume_unique=True)
        added = ~np.isin(new_codes, old_codes, assume_unique=True)
        return {
            "rows_added": self._count(self._new, name, added),
            "rows_removed": self._count(self._old, name, removed),
            "rows_changed": mask_rows(any_changed, in_common, self._minimum),
            "cells_changed": cells,
        }

    def _multiset(self, name: str, columns: Sequence[str]) -> dict[str, Any]:
        """Whole rows over the common columns of one type; of equal rows, the surplus was added or removed."""
        schemas = [side.schema(name) for side in (self._old, self._new)]
        same_type = [column for column in columns if schemas[0].field(column).type == schemas[1].field(column).type]
        old_codes, new_codes = self._row_codes(name, same_type)
        size = int(max(old_codes.max(initial=-1), new_codes.max(initial=-1))) + 1
        surplus = np.bincount(new_codes, minlength=size) - np.bincount(old_codes, minlength=size)
        return {
            "rows_added": self._count(self._new, name, _surplus_rows(new_codes, surplus)),
            "rows_removed": self._count(self._old, name, _surplus_rows(old_codes, -surplus)),
        }

    def _row_codes(self, name: str, columns: Sequence[str]) -> tuple[Codes, Codes]:
        """Each row as one number over the given columns: equal rows have equal numbers in both releases."""
        split = self._old.rows(name)
        codes = np.zeros(split + self._new.rows(name), dtype=np.int64)
        for column in columns:
            ours = np.concatenate(codes_of([self._old.column(name, column), self._new.column(name, column)]))
            # Numbered anew after each column, so that the product of two ranges never overflows.
            _, codes = np.unique(codes * (int(ours.max(initial=0)) + 1) + ours, return_inverse=True)
        return codes[:split], codes[split:]

    def _redeclared(self, name: str, common: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
        sides = [
            {entry["name"]: entry for entry in side.dictionaries[name]["columns"]} for side in (self._old, self._new)
        ]
        return tuple(
            {"column": column, "field": key, "old": sides[0][column].get(key), "new": sides[1][column].get(key)}
            for column in common
            if column in sides[0] and column in sides[1]
            for key in _DECLARED
            if sides[0][column].get(key) != sides[1][column].get(key)
        )

    def _count(self, side: ReleasedTables, name: str, rows: Flags) -> Count:
        return mask_rows(rows, side.person_codes(name), self._minimum)


def _surplus_rows(codes: Codes, surplus: Codes) -> Flags:
    """Flags, for each code with a surplus of n, its last n rows."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    last = np.searchsorted(ordered, ordered, side="right")
    flags = np.zeros(len(codes), dtype=bool)
    flags[order] = last - np.arange(len(codes)) <= surplus[ordered]
    return flags


def _unequal(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Flags:
    """Where two columns differ; a missing value (null or NaN) equals a missing one. Numbers are compared by value."""
    numeric = [pa.types.is_integer(array.type) or pa.types.is_floating(array.type) for array in (old, new)]
    missing = [np.asarray(pc.is_null(array, nan_is_null=True).to_numpy()) for array in (old, new)]
    either, both = missing[0] | missing[1], missing[0] & missing[1]
    if old.type != new.type and not all(numeric):
        return np.asarray(~both)
    differs = np.asarray(pc.fill_null(pc.not_equal(old, new), False).to_numpy())
    return np.asarray(np.where(either, ~both, differs))
