"""How many persons come, go or differ between two releases, over all tables together and by group, masked.

A person differs when any of their rows does: rows are compared per person as a multiset, so neither keys nor the order
of rows matter. Which rows and cells differ is told by `tablediff`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sensai_release.privacy.masking import mask_counts
from sensai_release.release.comparison.arrays import refined
from sensai_release.release.tables import (
    Codes,
    Count,
    ReleasedTables,
    codes_of,
    holders,
    in_order,
    label_columns,
    mask_persons,
)

MOST_ROWS = 2_000_000
"""In larger tables (frames) persons are not counted here: it would take all rows of a column in memory at once."""

WAYS = ("added", "removed", "changed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """Persons in both releases who differ, and each way by group. `not_counted` names tables that are too large.

    `groups` maps `table.column` to its values, and each to a count for every one of `WAYS`.
    """

    changed: Count
    groups: Mapping[str, Mapping[str, Mapping[str, Count]]]
    not_counted: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        groups = {name: {value: dict(ways) for value, ways in cells.items()} for name, cells in self.groups.items()}
        return {"changed": self.changed, "groups": groups, "not_counted": list(self.not_counted)}


def persons_affected(old: ReleasedTables, new: ReleasedTables, tables: Sequence[str], *, minimum: int) -> Affected:
    """Counts over the named tables, which both releases have; `minimum` persons must stand behind a printed count.

    Groups are the label columns of the tables with one row a person. Raises `ReleaseFormatError` for a table that
    cannot be read.
    """
    before, after = old.everyone(), new.everyone()
    kept = before & after
    large = tuple(name for name in tables if max(old.rows(name), new.rows(name)) > MOST_ROWS)
    by_table = {name: kept & _differing(old, new, name) for name in tables if name not in large}
    changed = kept & set().union(*by_table.values())
    involved = {"added": after - before, "removed": before - after, "changed": changed}
    groups = {}
    for name in new.names:
        dictionary = new.dictionaries.get(name, {})
        own = dictionary.get("person_key")
        if own and dictionary.get("primary_key") == [own]:
            for column in label_columns(dictionary):
                groups[f"{name}.{column}"] = _by_group(old, new, name, column, involved, minimum)
    shown = mask_persons(len(changed), len(kept - changed), minimum)
    counted = (part for name, persons in by_table.items() for part in _counted_elsewhere(old, new, name, persons))
    if isinstance(shown, int) and any(0 < len(changed - part) < minimum for part in counted):
        shown = f">={minimum}"
        for ways in (ways for cells in groups.values() for ways in cells.values()):
            ways["changed"] = shown if isinstance(ways["changed"], int) and ways["changed"] else ways["changed"]
    return Affected(changed=shown, groups=groups, not_counted=large)


def _counted_elsewhere(
    old: ReleasedTables, new: ReleasedTables, name: str, changed: frozenset[str]
) -> Iterator[frozenset[str]]:
    """Where each person has one row, the persons behind changed rows and cells: `tablediff` prints how many.

    `changed` are those of both releases who differ in the table.
    """
    for side in (old, new):
        people = side.persons(name)
        if people is None or len(people.unique()) < len(people):
            return
    yield changed
    for column in old.schema(name).names:
        yield changed & _differing(old, new, name, (column,))


def _differing(old: ReleasedTables, new: ReleasedTables, name: str, columns: Sequence[str] | None = None) -> set[str]:
    """The persons whose rows of a table are not the same, over the columns that both have in one type (or of these)."""
    known = [side.persons(name) for side in (old, new)]
    people = [side for side in known if side is not None]
    if len(people) < 2 or people[0].type != people[1].type:
        return set()
    schemas = [side.schema(name) for side in (old, new)]
    wanted = schemas[0].names if columns is None else columns
    common = [column for column in wanted if column in schemas[1].names]
    same = [column for column in common if schemas[0].field(column).type == schemas[1].field(column).type]
    split = len(people[0])
    persons = np.concatenate(codes_of(people))
    codes: Codes = persons
    for column in same:
        ours = np.concatenate(codes_of([old.column(name, column), new.column(name, column)]))
        codes = refined(codes, ours)
    size = int(codes.max(initial=-1)) + 1
    surplus = np.bincount(codes[split:], minlength=size) != np.bincount(codes[:split], minlength=size)
    rows = np.flatnonzero(surplus[codes])
    whole = pa.chunked_array([chunk for side in people for chunk in side.chunks], type=people[0].type)
    return set(whole.take(pa.array(rows)).drop_null().unique().to_pylist())


def _by_group(
    old: ReleasedTables,
    new: ReleasedTables,
    name: str,
    column: str,
    involved: Mapping[str, frozenset[str] | set[str]],
    minimum: int,
) -> dict[str, dict[str, Count]]:
    """Each value's persons who came, left or differ. While few did, even a zero would say what they did not have."""
    sides = [holders(side, name, column) if name in side.names else {} for side in (old, new)]
    entry = next(entry for entry in new.dictionaries[name]["columns"] if entry["name"] == column)
    values = in_order(sides[0].keys() | sides[1].keys(), entry.get("categories") or ())
    result: dict[str, dict[str, Count]] = {value: {} for value in values}
    for way in WAYS:
        held = sides[0] if way == "removed" else sides[1]
        counts = {value: len(held.get(value, set()) & involved[way]) for value in values}
        few = 0 < len(involved[way]) < minimum
        shown = dict.fromkeys(values, f"<{minimum}") if few else mask_counts(counts, minimum)
        for value in values:
            others = len(held.get(value, set())) - counts[value]
            count = shown[value]
            result[value][way] = mask_persons(counts[value], others, minimum) if isinstance(count, int) else count
    return result
