"""The difference of two tables against a comparison in plain Python, whatever way they lie on disk."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensai_release.release.comparison.diff import diff_releases
from sensai_release.release.comparison.tablediff import TableDiff
from sensai_release.table.store import writer

Row = tuple[Any, ...]

KEY = ("s", "i")
TYPES = {
    "s": pa.string(),
    "i": pa.int64(),
    "x": pa.float64(),
    "n": pa.int64(),
    "t": pa.string(),
    "b": pa.bool_(),
}
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "s": st.sampled_from([None, "P", "Q", "R", "É", "a long one"]),
    "i": st.sampled_from([None, -(2**62), -1, 0, 1, 2, 3, 2**62]),
    "x": st.sampled_from([None, 0.0, -0.0, 1.5, -2.0, float("nan"), float("inf"), -float("inf"), 1e308, -1e308]),
    "n": st.sampled_from([None, 0, 7, 2**53, 2**53 + 1]),
    "t": st.sampled_from([None, "", "a", "b"]),
    "b": st.sampled_from([None, True, False]),
}
ROW = st.tuples(*CELLS.values())
NAMES = list(TYPES)


def written(root: Path, rows: Sequence[Row], names: Sequence[str], key: Sequence[str], groups: Sequence[int]) -> Path:
    """A release of one table in row groups of these sizes and one more, two to a part."""
    folder = root / "data" / "t"
    folder.mkdir(parents=True)
    schema = pa.schema([(name, TYPES[name]) for name in names])
    columns = [pa.array([row[NAMES.index(name)] for row in rows], TYPES[name]) for name in names]
    table = pa.table(columns, schema=schema)
    start = 0
    sizes = [*groups, len(rows)]
    for number in range(0, len(sizes), 2):
        with writer(folder / f"part-{number // 2:05d}.parquet", schema) as out:
            for size in sizes[number : number + 2]:
                out.write_table(table.slice(start, size))
                start += size
    entries = [{"name": name, "dtype": "string", "role": "direct_identifier"} for name in names]
    document = {"table": "t", "person_key": "s", "primary_key": list(key), "foreign_keys": [], "columns": entries}
    (root / "schemas").mkdir()
    (root / "schemas" / "t.json").write_text(json.dumps(document), encoding="utf-8")
    predicate = {"series": "synthetic", "version": root.name, "synthetic": True}
    (root / "manifest.json").write_text(json.dumps({"predicate": predicate}), encoding="utf-8")
    return root


def plain(cell: Any) -> Any:
    """A cell as it is compared: NaN is missing, and -0.0 is 0.0."""
    return None if isinstance(cell, float) and math.isnan(cell) else cell


def by_hand(old: Sequence[Row], new: Sequence[Row], columns: Sequence[str], *, keyed: bool) -> dict[str, Any]:
    """What a comparison row by row finds in these columns."""
    places = [NAMES.index(name) for name in columns]
    if keyed and all(len({row[:2] for row in rows}) == len(rows) for rows in (old, new)):
        before, after = ({row[:2]: row for row in rows} for rows in (old, new))
        changed = Counter(
            NAMES[place]
            for key in before.keys() & after.keys()
            for place in places
            if place > 1 and plain(before[key][place]) != plain(after[key][place])
        )
        rows = sum(
            any(plain(before[key][place]) != plain(after[key][place]) for place in places)
            for key in before.keys() & after.keys()
        )
        return {"added": len(after.keys() - before.keys()), "removed": len(before.keys() - after.keys()),
                "changed": rows, "cells": dict(changed)}  # fmt: skip
    held = [Counter(tuple(plain(row[place]) for place in places) for row in rows) for rows in (old, new)]
    return {"added": (held[1] - held[0]).total(), "removed": (held[0] - held[1]).total(), "changed": 0, "cells": {}}


def told(found: TableDiff) -> dict[str, Any]:
    return {"added": found.rows_added, "removed": found.rows_removed, "changed": found.rows_changed,
            "cells": dict(found.cells_changed)}  # fmt: skip


def in_order(rows: list[Row], order: str, random: Random) -> list[Row]:
    rows = sorted(rows, key=lambda row: [(cell is not None, cell if cell is not None else 0) for cell in row[1:2]])
    rows = sorted(rows, key=lambda row: (row[0] is not None, row[0] or ""))
    if order == "shuffled":
        random.shuffle(rows)
    return rows[::-1] if order == "reversed" else rows


ORDER = st.sampled_from(["sorted", "sorted", "reversed", "shuffled"])
GROUPS = st.lists(st.integers(0, 5), max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    old=st.lists(ROW, max_size=12),
    other=st.lists(ROW, max_size=6),
    kept=st.lists(st.booleans(), min_size=12, max_size=12),
    unique=st.sampled_from([True, True, True, False]),
    keyed=st.sampled_from([True, True, False]),
    orders=st.tuples(ORDER, ORDER),
    groups=st.tuples(GROUPS, GROUPS),
    without=st.tuples(*[st.sampled_from([None, None, "x", "n", "t"])] * 2),
    random=st.randoms(use_true_random=False),
)
def test_any_two_tables(
    tmp_path_factory: pytest.TempPathFactory,
    old: list[Row],
    other: list[Row],
    kept: list[bool],
    unique: bool,
    keyed: bool,
    orders: tuple[str, str],
    groups: tuple[list[int], list[int]],
    without: tuple[str | None, str | None],
    random: Random,
) -> None:
    # Most rows stay, some go, and what comes may have the key of another: a changed row.
    new = other + [row for row, stays in zip(old, kept, strict=False) if stays]
    sides = [list({row[:2]: row for row in rows[::-1]}.values()) if unique else rows for rows in (old, new)]
    sides = [in_order(rows, order, random) for rows, order in zip(sides, orders, strict=True)]
    names = [[name for name in NAMES if name != gone] for gone in without]
    key = KEY if keyed else ()
    root = tmp_path_factory.mktemp("exact")
    releases = [
        written(root / place, rows, held, key, sizes)
        for place, rows, held, sizes in zip(("old", "new"), sides, names, groups, strict=True)
    ]
    found = diff_releases(*releases, minimum=1).tables["t"]
    common = [name for name in NAMES if name not in without]
    expected = by_hand(sides[0], sides[1], common, keyed=keyed)
    assert told(found) == expected
    assert set(found.columns_added) == set(names[1]) - set(names[0])
    assert set(found.columns_removed) == set(names[0]) - set(names[1])
    # The other way round, what was added was removed.
    back = told(diff_releases(*releases[::-1], minimum=1).tables["t"])
    assert back == expected | {"added": expected["removed"], "removed": expected["added"]}
    check_ways(found, sides, expected)


def check_ways(found: TableDiff, sides: Sequence[list[Row]], expected: dict[str, Any]) -> None:
    before, after = ({row[:2]: row for row in rows} for rows in sides)
    # Which way an integer beyond 2^53 went is told of the nearest 64-bit float, so the column `n` is left out.
    for column in expected["cells"].keys() - {"n"}:
        pairs = [
            (plain(before[key][NAMES.index(column)]), plain(after[key][NAMES.index(column)]))
            for key in before.keys() & after.keys()
        ]
        ways = Counter(way(*pair, ordered=column == "x") for pair in pairs if pair[0] != pair[1])
        assert found.changes[column]["ways"] == dict(ways)


def way(before: Any, after: Any, *, ordered: bool) -> str:
    if before is None or after is None:
        return "appeared" if before is None else "vanished"
    return ("up" if after > before else "down") if ordered else "other"


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize("rows", [0, 3])
def test_a_table_of_one_release_only(tmp_path: Path, side: str, rows: int) -> None:
    held: list[Row] = [("P", number, 1.0, 2, "a", True) for number in range(rows)]
    releases = {place: written(tmp_path / place, held, NAMES, KEY, []) for place in ("old", "new")}
    missing = releases["new" if side == "old" else "old"]
    for path in sorted((missing / "data" / "t").iterdir()):
        path.unlink()
    (missing / "data" / "t").rmdir()
    (missing / "schemas" / "t.json").unlink()
    found = diff_releases(releases["old"], releases["new"], minimum=1).tables["t"]
    assert found.status == ("removed" if side == "old" else "added")
    assert (found.rows_removed, found.rows_added) == ((rows, 0) if side == "old" else (0, rows))


@pytest.mark.parametrize("cell", [None, 2.5, float("nan"), 2.0])
def test_one_cell_in_a_large_table_of_many_parts(tmp_path: Path, cell: float | None) -> None:
    # More rows than a block, so that what is found does not hang on where one ends.
    rows: list[Row] = [(f"P{person}", frame, 2.0, 1, "a", True) for person in range(5) for frame in range(20_000)]
    changed = [*rows[:61_234], ("P3", 1_234, cell, 1, "a", True), *rows[61_235:]]
    old = written(tmp_path / "old", rows, NAMES, KEY, [20_000] * 4)
    new = written(tmp_path / "new", changed[1:], NAMES, KEY, [33_000] * 2)
    found = told(diff_releases(old, new, minimum=1).tables["t"])
    count = 0 if cell == 2.0 else 1
    assert found == {"added": 0, "removed": 1, "changed": count, "cells": {"x": 1} if count else {}}
