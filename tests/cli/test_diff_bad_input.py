"""`diff` and what it must not trust, through the command itself: refused in one line, or told as it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from release_kit import PREDICATE, STEWARD, TABLES, fill, make_release

from sensai_release.release.sealing import seal_release
from sensai_release.table.store import write_parquet

from .conftest import Outcome, Story, run_tool

Alter = Callable[[Path], object]
PLANTED = "PLANTED-3141592653"
MARKUP = "<script>alert(1)</script>"
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("releases") / "old"
    make_release(root)
    return root


def remade(root: Path, alter: Alter = lambda _: None, **predicate: Any) -> Path:
    """A later release of the kit's series, with a valid signature over whatever `alter` did to it."""
    root.mkdir()
    fill(root)
    alter(root)
    seal_release(root, PREDICATE | {"version": "1.1.0"} | predicate, STEWARD)
    return root


def rewrite_json(path: Path, change: Callable[[Any], Any]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(document)), encoding="utf-8")


def rewrite_table(root: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    write_parquet(change(TABLES["participants"]), root / "data/participants/part-00000.parquet")


def refused(outcome: Outcome, *words: str) -> None:
    """Exit 2, one line that says where, why and what to do, and nothing on stdout."""
    assert outcome.code == 2, outcome.said
    assert outcome.out == ""
    assert len(outcome.err.strip().splitlines()) == 1, outcome.err
    assert PLANTED not in outcome.said
    for word in words:
        assert word in outcome.err


def test_two_things_that_are_no_releases(old: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    file = tmp_path / "file"
    file.write_text(PLANTED, encoding="utf-8")
    refused(run_tool("diff", tmp_path / "empty", tmp_path / "empty"), "OLD", "is not a release directory")
    refused(run_tool("diff", file, old), "OLD", "is not a release directory")
    refused(run_tool("diff", old, file), "NEW", "is not a release directory")
    refused(run_tool("diff", old, tmp_path / "absent"), "NEW", "is not a release directory")


def test_another_series(old: Path, tmp_path: Path) -> None:
    refused(run_tool("diff", old, remade(tmp_path / "new", series="another-series")), "another series")


def test_the_same_release_twice(old: Path, tmp_path: Path) -> None:
    outcome = run_tool("--json", "diff", old, shutil.copytree(old, tmp_path / "copy"))
    assert outcome.code == 0
    assert outcome.document["identical"] is True
    assert outcome.document["intact"] == {"old": True, "new": True}


def test_a_release_that_was_altered_is_said_so(old: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(old, tmp_path / "copy")
    rewrite_table(copy, lambda table: table.slice(1))
    outcome = run_tool("diff", old, copy, "--html", tmp_path / "page.html")
    assert outcome.code == 1
    assert "NEW is not intact" in outcome.said
    assert "is not intact" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_changed_schema_is_told(old: Path, tmp_path: Path) -> None:
    def alter(root: Path) -> None:
        rewrite_table(root, lambda table: table.rename_columns(["participant_id", "age"]))
        rewrite_json(
            root / "schemas/participants.json",
            lambda held: held | {"columns": [held["columns"][0], {"name": "age", "dtype": "string"}]},
        )

    outcome = run_tool("--json", "diff", old, remade(tmp_path / "new", alter))
    table = outcome.document["tables"]["participants"]
    assert (outcome.code, table["columns_added"], table["columns_removed"]) == (1, ["age"], ["age_band"])
    assert (table["rows_added"], table["rows_removed"], table["cells_changed"]) == (0, 0, {})


def test_an_empty_table_is_told(old: Path, tmp_path: Path) -> None:
    new = remade(tmp_path / "new", lambda root: rewrite_table(root, lambda table: table.slice(0, 0)))
    outcome = run_tool("--json", "diff", old, new)
    assert outcome.code == 1
    # No key of these tables leads to a person, so any number of rows may be one person's.
    assert outcome.document["tables"]["participants"]["rows_removed"] == "<10"
    assert outcome.document["tables"]["folds"]["rows_removed"] == 0


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda table: table.drop_columns(["participant_id"]), "a key column is missing"),
        (lambda table: table.set_column(0, "participant_id", pa.array(range(20))), "a key column has another type"),
        (lambda table: pa.concat_tables([table, table]), "the primary key is not unique"),
    ],
    ids=["missing", "retyped", "twice"],
)
def test_a_key_that_cannot_be_used_is_said_so(
    old: Path, tmp_path: Path, change: Callable[[pa.Table], pa.Table], note: str
) -> None:
    new = remade(tmp_path / "new", lambda root: rewrite_table(root, change))
    outcome = run_tool("--json", "diff", old, new)
    table = outcome.document["tables"]["participants"]
    assert (outcome.code, table["keyed_by"]) == (1, [])
    assert note in table["note"]


def strange(values: Any) -> Alter:
    """A column of a type that no release has, in place of one that was declared as a text."""
    return lambda root: rewrite_table(root, lambda table: table.set_column(1, "age_band", values))


def no_parquet(root: Path) -> None:
    (root / "data/participants/part-00000.parquet").write_text(PLANTED, encoding="utf-8")


def two_kinds_of_parts(root: Path) -> None:
    pq.write_table(pa.table({PLANTED: [1]}), root / "data/folds/part-00001.parquet")


@pytest.mark.parametrize(
    ("alter", "where"),
    [
        (strange(pa.array([[PLANTED]] * 20)), "data/participants"),
        (strange(pa.array([{"a": PLANTED}] * 20)), "data/participants"),
        (strange(pa.array([PLANTED.encode()] * 20)), "data/participants"),
        (no_parquet, "data/participants"),
        (two_kinds_of_parts, "data/folds"),
        (lambda root: rewrite_json(root / "schemas/folds.json", lambda held: held | {"columns": [PLANTED]}), "folds"),
        (lambda root: rewrite_json(root / "schemas/folds.json", lambda held: held | {"primary_key": 7}), "folds"),
        (lambda root: rewrite_json(root / "schemas/folds.json", lambda held: held | {"foreign_keys": [7]}), "folds"),
        (lambda root: (root / "datasheet.json").write_text('{"answers": [7]}'), "datasheet.json"),
    ],
    ids=["list", "struct", "binary", "no-parquet", "parts", "columns", "key", "links", "datasheet"],
)
def test_what_is_no_release_inside_is_refused(old: Path, tmp_path: Path, alter: Alter, where: str) -> None:
    new = tmp_path / "new"
    new.mkdir()
    fill(new)
    alter(new)
    shutil.copyfile(old / "manifest.json", new / "manifest.json")
    refused(run_tool("diff", old, new), where)


def test_hostile_texts_stay_texts(old: Path, tmp_path: Path) -> None:
    def alter(root: Path) -> None:
        name = f"{MARKUP}{FORMULA}"
        rewrite_table(root, lambda table: table.append_column(name, pa.array([MARKUP] * 20)))
        rewrite_json(
            root / "schemas/participants.json",
            lambda held: (
                held
                | {
                    "columns": [
                        held["columns"][0] | {"unit": FORMULA},
                        held["columns"][1] | {"categories": [MARKUP, FORMULA]},
                        {"name": name, "dtype": "string"},
                    ]
                }
            ),
        )

    page = tmp_path / "page.html"
    outcome = run_tool("diff", old, remade(tmp_path / "new", alter), "--html", page)
    assert outcome.code == 1
    text = page.read_text(encoding="utf-8")
    assert MARKUP not in text
    assert "&lt;script&gt;" in text
    assert "\x1b" not in outcome.said


def test_a_workspace_without_release_or_candidate(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    assert run_tool("init", workspace).code == 0
    refused(run_tool("-C", workspace, "diff"))
    refused(run_tool("-C", tmp_path, "diff"))


def test_the_candidate_against_the_last_release(story: Story) -> None:
    last, first = story.releases[-1], story.releases[0]
    outcome = run_tool("--json", "-C", story.workspace, "diff")
    assert (outcome.code, outcome.document["new"], outcome.document["identical"]) == (0, "candidate", True)
    assert last.name.endswith(outcome.document["old"])
    earlier = run_tool("--json", "-C", story.workspace, "diff", first)
    assert (earlier.code, earlier.document["participants"]["removed"]) == (1, "<10")
