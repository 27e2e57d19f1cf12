"""How the tables of two releases differ: rows, cells by column, columns, declarations, participants and labels.

Rows are matched by primary key and walked in step (`rowmatch`, `walk`); a table without a usable key is compared as a
multiset of rows. Every count is masked by the persons behind it, and no distribution is spoken of in which few persons
differ. Files, risk reports and the verdict are `diff`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from sensai_release.privacy.masking import mask_counts, rounded
from sensai_release.release.comparison.arrays import is_number, refined
from sensai_release.release.comparison.rowmatch import TableRows, match_rows, person_numbers
from sensai_release.release.comparison.shift import Shift, compare_categories, compare_numbers, holm
from sensai_release.release.comparison.tally import WAYS, Changes, Distribution
from sensai_release.release.comparison.walk import Walk, Walked
from sensai_release.release.tables import (
    Codes,
    Count,
    Flags,
    ReleasedTables,
    band_names,
    codes_of,
    holders,
    in_order,
    label_columns,
    mask_counted,
    mask_persons,
    mask_rows,
    size_of,
    tenths_of,
)

SIGNIFICANT = 0.05

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
    `changes` tells of each column with changed cells which way they went (`ways`: the cells of each of `tally.WAYS`),
    and how far numbers moved: `mean_size` without and `mean_difference` with its sign, in the column's unit.
    `columns_retyped` holds `column`, `old`, `new`; `columns_redeclared` also the `field` of the data dictionary.
    """

    status: str
    keyed_by: tuple[str, ...] = ()
    note: str | None = None
    rows_added: Count = 0
    rows_removed: Count = 0
    rows_changed: Count = 0
    cells_changed: Mapping[str, Count] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
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
    """Compares the tables of two releases and masks what it finds.

    `coarse` also rounds counts down (`mask_rows`); without `tests` distributions are not compared. `targets` names
    further labels as `table.column`: what models are to predict, if it has more values than a label column.
    """

    def __init__(
        self,
        old: ReleasedTables,
        new: ReleasedTables,
        minimum: int,
        *,
        coarse: bool = False,
        tests: bool = True,
        targets: frozenset[str] = frozenset(),
    ) -> None:
        self._old = old
        self._new = new
        self._sides = (old, new)
        self._minimum = minimum
        self._coarse = coarse
        self._tests = tests
        self._targets = targets
        self._shifts: list[tuple[str, str, bool, Shift]] = []
        self._withheld: list[str] = []

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
            "added": mask_persons(len(after - before), kept, self._minimum, coarse=self._coarse),
            "removed": mask_persons(len(before - after), kept, self._minimum, coarse=self._coarse),
        }

    def labels(self) -> dict[str, dict[str, dict[str, Count]]]:
        """For each label column that changed: persons who gained a value and persons who lost it.

        Values before and after are not printed: their difference would undo the mask. While few persons changed in all,
        even a zero would say what they did not have, so every cell is masked.
        """
        result = {}
        for name in sorted(set(self._old.names) & set(self._new.names)):
            for column, edges in self._label_columns(name).items():
                changed = self._label(name, column, edges)
                if changed is not None:
                    result[f"{name}.{column}"] = changed
        return result

    def _label_columns(self, name: str) -> dict[str, list[float]]:
        """The labels that both releases have, each with the edges of its bands if it has too many values to list."""
        few = [label_columns(side.dictionaries[name]) for side in self._sides]
        schemas = [side.schema(name) for side in self._sides]
        found: dict[str, list[float]] = {}
        for entry in self._new.dictionaries[name]["columns"]:
            column = entry["name"]
            if all(column in labels for labels in few):
                found[column] = []
            elif f"{name}.{column}" in self._targets and all(column in schema.names for schema in schemas):
                edges = tenths_of(entry)
                numbers = all(is_number(schema.field(column).type) for schema in schemas)
                if numbers if edges else entry.get("categories"):
                    found[column] = edges
        return found

    def _label(self, name: str, column: str, edges: Sequence[float]) -> dict[str, dict[str, Count]] | None:
        before, after = (holders(side, name, column, edges) for side in self._sides)
        entry = next(entry for entry in self._new.dictionaries[name]["columns"] if entry["name"] == column)
        declared = band_names(edges) if edges else entry.get("categories") or ()
        ways: dict[str, dict[str, Count]] = {}
        for way, source, other in (("gained", after, before), ("lost", before, after)):
            persons = {
                value: source.get(value, set()) - other.get(value, set())
                for value in in_order(before.keys() | after.keys(), declared)
            }
            involved = len(set().union(*persons.values()))
            if 0 < involved < self._minimum:
                ways[way] = dict.fromkeys(persons, f"<{self._minimum}")
            else:
                ways[way] = self._apart(self._cells({value: len(held) for value, held in persons.items()}), persons)
        return ways if any(count != 0 for cells in ways.values() for count in cells.values()) else None

    def _cells(self, counts: Mapping[str, int]) -> dict[str, Count]:
        shown = mask_counts(counts, self._minimum)
        return {name: rounded(count, self._minimum) for name, count in shown.items()} if self._coarse else shown

    def _apart(self, shown: Mapping[str, Count], persons: Mapping[str, set[str]]) -> dict[str, Count]:
        """Without an exact count of those who came or left and those who changed, where either are few: how many came
        or left is told elsewhere.
        """
        result = dict(shown)
        if self._coarse:
            return result
        stayed = self._old.everyone() & self._new.everyone()
        for value, held in persons.items():
            parts = len(held & stayed), len(held - stayed)
            if isinstance(result[value], int) and any(0 < part < self._minimum for part in parts):
                result[value] = f">={self._minimum}"
        return result

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
        """Rows matched by key and walked in step; `None` when the key is not unique."""
        old, new = TableRows(self._old, name), TableRows(self._new, name)
        match = match_rows(old, new, key)
        if match is None:
            return None
        people = person_numbers(old, new)
        known = [
            np.zeros(side.rows, dtype=np.int64) if numbers is None else numbers
            for side, numbers in zip((old, new), people, strict=True)
        ]
        persons = max(size_of(numbers) for numbers in known)
        left, come = match.left(old.rows), match.come(new.rows)
        moved = np.bincount(known[0][left], minlength=persons) + np.bincount(known[1][come], minlength=persons)
        spread = self._spread(name, columns) if self._tests and not any(side is None for side in people) else {}
        walk = Walk(old, new, match, (known[0], known[1]), persons, spread)
        found = walk.run(columns)
        if spread:
            self._measure(name, walk, moved, spread)
        in_common = None if people[1] is None else np.bincount(known[1][match.new], minlength=persons)
        cells = {
            column: self._counted(found.columns[column].cells, in_common)
            for column in columns
            if column in found.columns
        }
        return {
            "rows_added": mask_rows(come, people[1], self._minimum, coarse=self._coarse),
            "rows_removed": mask_rows(left, people[0], self._minimum, coarse=self._coarse),
            "rows_changed": self._rows_changed(found, cells, in_common),
            "cells_changed": cells,
            "changes": {
                column: self._change(found.columns[column], in_common) for column in columns if column in found.columns
            },
        }

    def _counted(self, flagged: Codes, total: Codes | None) -> Count:
        if total is None:
            return f"<{self._minimum}" if flagged.any() else 0
        return mask_counted(flagged, total, self._minimum, coarse=self._coarse)

    def _rows_changed(self, found: Walked, cells: Mapping[str, Count], total: Codes | None) -> Count:
        """Less the changed cells of a column, these are the rows in which only others changed: not those of few."""
        shown = self._counted(found.rows, total)
        if self._coarse or not isinstance(shown, int):
            return shown
        exact = (found.columns[column] for column, count in cells.items() if isinstance(count, int))
        rests = [int((found.rows > changes.cells).sum()) for changes in exact]
        return f">={self._minimum}" if any(0 < rest < self._minimum for rest in rests) else shown

    def _change(self, changes: Changes, total: Codes | None) -> dict[str, Any]:
        """Which way cells went and how far, where enough persons stand behind it; otherwise `ways` is empty."""
        result: dict[str, Any] = {"ways": {}, "mean_size": None, "mean_difference": None}
        if total is None or int((changes.cells > 0).sum()) < self._minimum:
            return result
        held = {way: changes.ways[way] for way in WAYS if changes.ways[way].any()}
        shown = {way: self._counted(cells, total) for way, cells in held.items()}
        if len(shown) > 1 and any(isinstance(count, str) for count in shown.values()):
            # With the number of changed cells beside them, one that is masked would follow from the others.
            small = {way: int((cells > 0).sum()) < self._minimum for way, cells in held.items()}
            shown = {way: f"<{self._minimum}" if small[way] else f">={self._minimum}" for way in held}
        result["ways"] = shown
        moved = changes.ways["up"] + changes.ways["down"]
        behind = moved > 0
        if int(behind.sum()) >= self._minimum:
            # The mean over persons of each person's mean: nobody's many rows weigh more than another's few.
            for key, sums in (("mean_size", changes.distance), ("mean_difference", changes.difference)):
                result[key] = self._short(float((sums[behind] / moved[behind]).mean()))
        return result

    def _short(self, value: float) -> float:
        """Few digits, so that no single cell follows from a mean; fewer still in a published report."""
        return float(f"{value:.{0 if self._coarse else 1}e}")

    def _spread(self, name: str, columns: Sequence[str]) -> dict[str, tuple[Any, ...] | None]:
        """The columns whose distributions can be compared: numbers (`None`), and what has declared categories."""
        entries = [{entry["name"]: entry for entry in side.dictionaries[name]["columns"]} for side in self._sides]
        found: dict[str, tuple[Any, ...] | None] = {}
        for column in columns:
            kinds = [side.schema(name).field(column).type for side in self._sides]
            if any(held.get(column, {}).get("role", "direct_identifier") == "direct_identifier" for held in entries):
                continue
            if all(is_number(kind) for kind in kinds):
                found[column] = None
            elif all(pa.types.is_boolean(kind) for kind in kinds):
                found[column] = (False, True)
            elif all(pa.types.is_string(kind) and held[column].get("categories") for kind, held in
                     zip(kinds, entries, strict=True)):  # fmt: skip
                values = [str(value) for held in entries for value in held[column]["categories"]]
                found[column] = tuple(dict.fromkeys(values))
        return found

    def _measure(self, name: str, walk: Walk, moved: Codes, spread: Mapping[str, Any]) -> None:
        """Tests the columns in which enough persons differ; the others are named, or nothing differs in them."""
        differing = {}
        for column in spread:
            changes = walk.found.columns.get(column)
            flags = moved > 0 if changes is None else (moved > 0) | (changes.cells > 0)
            flags[0] = False  # Rows that lead to nobody.
            differing[column] = flags
        wanted = [column for column, flags in differing.items() if int(flags.sum()) >= self._minimum]
        self._withheld += [
            f"{name}.{column}" for column, flags in differing.items() if 0 < int(flags.sum()) < self._minimum
        ]
        walk.complete(wanted)
        labels = self._label_columns(name)
        for column in wanted:
            sides = (walk.found.before[column], walk.found.after[column])
            found = _test(*sides, differing[column], self._minimum)
            if found is None:
                self._withheld.append(f"{name}.{column}")
            else:
                self._shifts.append((name, column, column in labels, found))

    def shifts(self) -> dict[str, Any]:
        """Distributions that were tested (`columns`, the most certain first), and of too few persons (`withheld`).

        Each with `table`, `column`, `label` (a label column), `test`, `measure`, `effect`, `p` and `p_holm`, corrected
        over all tests. To be asked after the tables.
        """
        corrected = holm([found.p for *_, found in self._shifts])
        entries = [
            {
                "table": table,
                "column": column,
                "label": label,
                "test": found.test,
                "measure": found.measure,
                "statistic": None if self._coarse else float(f"{found.statistic:.2g}"),
                "effect": round(found.effect, 1 if self._coarse else 2) + 0.0,
                "p": self._chance(found.p),
                "p_holm": self._chance(chance),
                "shifted": chance < SIGNIFICANT,
            }
            for (table, column, label, found), chance in sorted(
                zip(self._shifts, corrected, strict=True),
                key=lambda pair: (pair[1], -abs(pair[0][3].effect), pair[0][:2]),
            )
        ]
        return {"columns": entries, "withheld": sorted(self._withheld), "significant_below": SIGNIFICANT}

    def _chance(self, chance: float) -> float | str:
        """A p-value; in a published report its range only."""
        if not self._coarse:
            return float(f"{chance:.2g}")
        return next((f"<{limit}" for limit in (0.001, 0.01, SIGNIFICANT) if chance < limit), f">={SIGNIFICANT}")

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
            codes = refined(codes, ours)
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
        return mask_rows(rows, side.person_codes(name), self._minimum, coarse=self._coarse)


def _surplus_rows(codes: Codes, surplus: Codes) -> Flags:
    """Flags, for each code with a surplus of n, its last n rows."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    last = np.searchsorted(ordered, ordered, side="right")
    flags = np.zeros(len(codes), dtype=bool)
    flags[order] = last - np.arange(len(codes)) <= surplus[ordered]
    return flags


def _test(before: Distribution, after: Distribution, differing: Flags, minimum: int) -> Shift | None:
    """One test over persons; `None` where fewer than `minimum` persons have a value in one of the releases."""
    if before.categories is not None:
        tables = [
            np.bincount(held.counts[1:].argmax(axis=1)[held.counts[1:].any(axis=1)], minlength=held.counts.shape[1])
            for held in (before, after)
        ]
        if min(table.sum() for table in tables) < minimum:
            return None
        return compare_categories(tables[0], tables[1])
    there = [held.counts > 0 for held in (before, after)]
    for flags in there:
        flags[0] = False
    means = [held.sums / np.maximum(held.counts, 1) for held in (before, after)]
    # Sums of the same cells in other blocks can differ in their last digit, and would break ties.
    means[1] = np.where(differing, means[1], means[0])
    if min(int(flags.sum()) for flags in there) < minimum:
        return None
    return compare_numbers(means[0][there[0]], means[1][there[1]])
