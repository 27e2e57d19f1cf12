"""Tables of many parts and row groups, walked in step: what the bytes spare must not change what is found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensai_release.release.comparison.rowmatch import TableRows, match_rows, person_numbers
from sensai_release.release.comparison.walk import Walk, Walked
from sensai_release.release.tables import ReleasedTables
from sensai_release.table.store import write_pieces, writer

ENTRIES = [{"name": name} for name in ("s", "i", "x", "n", "t")]
DICTIONARY = {"person_key": "s", "primary_key": ["s", "i"], "foreign_keys": [], "columns": ENTRIES}
SCHEMA = pa.schema([("s", pa.string()), ("i", pa.int64()), ("x", pa.float64()), ("n", pa.int64()), ("t", pa.string())])
ROW = st.tuples(
    st.sampled_from([None, 0.0, 1.5, -2.0, float("nan")]),
    st.sampled_from([None, 0, 7]),
    st.sampled_from([None, "a", "b"]),
)
KEYS = st.tuples(st.sampled_from(["P", "Q", "R", "É"]), st.integers(-1, 4))
TABLE = st.dictionaries(KEYS, ROW, max_size=14)


def write(root: Path, rows: dict[Any, Any], groups: Sequence[int], *, order: int = 1) -> ReleasedTables:
    """Rows sorted by key (or against it) in row groups of these sizes, two groups a part."""
    folder = root / "t"
    folder.mkdir(parents=True)
    table = pa.Table.from_pylist(
        [dict(zip(SCHEMA.names, (*key, *rows[key]), strict=True)) for key in sorted(rows)[::order]], SCHEMA
    )
    start = 0
    for number in range(0, max(len(groups), 1), 2):
        with writer(folder / f"part-{number:05d}.parquet", SCHEMA) as out:
            for size in groups[number : number + 2]:
                out.write_table(table.slice(start, size))
                start += size
            if number + 2 >= len(groups):
                out.write_table(table.slice(start))
    return ReleasedTables(root, {"t": DICTIONARY})


def walked(old: ReleasedTables, new: ReleasedTables) -> tuple[Walked, Any, Any]:
    rows = TableRows(old, "t"), TableRows(new, "t")
    match = match_rows(*rows, ["s", "i"])
    people = person_numbers(*rows)
    assert match is not None
    assert people[0] is not None
    assert people[1] is not None
    persons = 8
    walk = Walk(*rows, match, (people[0], people[1]), persons, {"x": None, "t": ("a", "b")})
    found = walk.run(["x", "n", "t"])
    walk.complete(["x", "t"])
    return found, match, people


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    old=TABLE,
    changes=TABLE,
    gone=st.sets(KEYS, max_size=4),
    groups=st.tuples(*[st.lists(st.integers(1, 5), max_size=4)] * 2),
    order=st.sampled_from([1, -1]),
)
def test_any_layout_gives_what_a_merge_gives(
    tmp_path_factory: Any, old: Any, changes: Any, gone: Any, groups: Any, order: int
) -> None:
    new = {key: row for key, row in (old | changes).items() if key not in gone}
    root = tmp_path_factory.mktemp("walk")
    sides = [write(root / "old", old, groups[0]), write(root / "new", new, groups[1], order=order)]
    found, match, _ = walked(*sides)
    assert sorted(np.array(sorted(old), dtype=object)[match.old].tolist()) == sorted(map(list, old.keys() & new.keys()))
    frames = [side.read("t").to_pandas().astype({"t": object, "s": object}) for side in sides]
    merged = frames[0].merge(frames[1], on=["s", "i"], suffixes=("", "_new"))
    for column in ("x", "n", "t"):
        left, right = merged[column], merged[f"{column}_new"]
        differ = ~((left == right) | (left.isna() & right.isna()))
        changed = found.columns.get(column)
        assert (0 if changed is None else int(changed.cells.sum())) == differ.sum()
        if changed is not None:
            ways = {way: int(cells.sum()) for way, cells in changed.ways.items()}
            assert sum(ways.values()) == differ.sum()
            assert ways["vanished"] == (right.isna() & left.notna()).sum()
            if column != "t":
                assert ways["up"] == (right > left).sum()
                assert changed.difference.sum() == pytest.approx((right - left)[differ].sum())
    for held, frame in zip((found.before, found.after), frames, strict=True):
        assert held["x"].sums.sum() == pytest.approx(frame["x"].sum())
        assert held["x"].counts.sum() == frame["x"].notna().sum()
        assert held["t"].counts.sum(axis=0).tolist() == [(frame["t"] == "a").sum(), (frame["t"] == "b").sum(),
                                                         frame["t"].isna().sum()]  # fmt: skip


def test_what_is_the_same_on_disk_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {(key, i): (float(i), i, "a") for key in "PQRS" for i in range(5)}
    changed = rows | {("R", 2): (9.0, 2, "a")}
    sides = [write(tmp_path / name, held, [5] * 4) for name, held in (("old", rows), ("new", changed))]
    read: list[tuple[tuple[str, ...], tuple[int, ...]]] = []
    plain = TableRows.read

    def noted(self: TableRows, columns: Sequence[str], groups: Sequence[int]) -> pa.Table:
        read.append((tuple(columns), tuple(groups)))
        return plain(self, columns, groups)

    pairs = TableRows(sides[0], "t"), TableRows(sides[1], "t")
    match = match_rows(*pairs, ["s", "i"])
    people = person_numbers(*pairs)
    assert match is not None
    assert people[0] is not None
    assert people[1] is not None
    monkeypatch.setattr(TableRows, "read", noted)
    found = Walk(*pairs, match, (people[0], people[1]), 5, {}).run(["x", "n", "t"])
    assert {name: int(held.cells.sum()) for name, held in found.columns.items()} == {"x": 1}
    # Of four row groups one, and of its columns the one that differs, in both tables.
    assert [entry for entry in read if entry[1]] == [(("x",), (2,))] * 2


@pytest.mark.parametrize("workers", [1, 4])
def test_pieces_are_put_together_to_row_groups(tmp_path: Path, workers: int) -> None:
    rows = {("P", i): (float(i), i, "a") for i in range(30)}
    table = write(tmp_path, rows, []).read("t")
    sizes = [4, 0, 4, 1, 9, 2, 10]
    ends = np.cumsum(sizes)
    pieces = [table.slice(end - size, size) for size, end in zip(sizes, ends, strict=True)]
    with ThreadPoolExecutor(workers) as pool:
        write_pieces(pool.map(lambda piece: piece, pieces), tmp_path / "pieces.parquet", rows=8)
    held = pq.read_metadata(tmp_path / "pieces.parquet")
    assert [held.row_group(number).num_rows for number in range(held.num_row_groups)] == [8, 10, 12]
    assert pq.read_table(tmp_path / "pieces.parquet").equals(table)
    write_pieces([table.slice(0, 8), table.slice(8, 10), table.slice(18)], tmp_path / "other.parquet", rows=8)
    assert (tmp_path / "other.parquet").read_bytes() == (tmp_path / "pieces.parquet").read_bytes()
    write_pieces([], tmp_path / "none.parquet")
    assert not (tmp_path / "none.parquet").exists()


def test_row_groups_that_differ_in_layout_alone_hold_no_change(tmp_path: Path) -> None:
    rows = {(key, i): (float(i), i, "a") for key in "PQRS" for i in range(5)}
    sides = [write(tmp_path / name, rows, groups) for name, groups in (("old", [5] * 4), ("new", [20]))]
    found, match, _ = walked(*sides)
    assert (found.columns, len(match.old), int(found.rows.sum())) == ({}, 20, 0)


def test_a_key_that_is_not_unique_is_told(tmp_path: Path) -> None:
    table = pa.table({"s": ["P", "P"], "i": [1, 1], "x": [1.0, 2.0], "n": [1, 2], "t": ["a", "b"]}, SCHEMA)
    (tmp_path / "t").mkdir()
    with writer(tmp_path / "t" / "part-00000.parquet", SCHEMA) as out:
        out.write_table(table)
    rows = [TableRows(ReleasedTables(tmp_path, {"t": DICTIONARY}), "t") for _ in range(2)]
    assert match_rows(rows[0], rows[1], ["s", "i"]) is None
    assert pd.notna(rows[0].rows)


def test_nothing_that_is_found_depends_on_the_number_of_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    old = {(key, i): (float(random.normal()), i, "a") for key in "PQRS" for i in range(40)}
    new = {key: (row[0] + float(random.normal()), *row[1:]) for key, row in old.items() if random.random() < 0.9}
    sides = [write(tmp_path / name, held, [30] * 5) for name, held in (("old", old), ("new", new))]
    results = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found, _, _ = walked(*sides)
        results.append({
            "rows": found.rows.tolist(),
            "x": [found.columns["x"].distance.tolist(), found.columns["x"].difference.tolist()],
            "sums": [found.before["x"].sums.tolist(), found.after["x"].sums.tolist()],
        })  # fmt: skip
    assert results[0] == results[1] == results[2]
    assert sum(results[0]["rows"]) == len(new)
