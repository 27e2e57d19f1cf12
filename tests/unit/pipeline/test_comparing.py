"""`compare`: beside the difference, whether both are what was signed, and what both tell of few persons."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from release_kit import PREDICATE, STEWARD, fill, make_release

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.pipeline.comparing import compare, compare_candidate
from sensai_release.pipeline.workspace import init_workspace, open_workspace
from sensai_release.release.sealing import seal_release


@pytest.fixture
def old(tmp_path: Path) -> Path:
    make_release(tmp_path / "old")
    return tmp_path / "old"


def test_a_release_and_its_copy(old: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(old, tmp_path / "copy")
    found = compare(old, copy, html=tmp_path / "page.html")
    assert found["identical"]
    assert found["intact"] == {"old": True, "new": True}
    assert "is not intact" not in (tmp_path / "page.html").read_text(encoding="utf-8")
    # These releases hold no policy, so nobody can say what both tell together.
    assert (found["attack"], found["reasons"]) == (None, None)


def test_a_release_that_does_not_verify_is_said_so_loudly(old: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(old, tmp_path / "copy")
    (copy / "README.md").write_text("Another text.\n", encoding="utf-8")
    found = compare(old, copy, html=tmp_path / "page.html")
    assert found["intact"] == {"old": True, "new": False}
    assert "1.0.0 is not intact" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert compare(old, copy, check=False)["intact"] == {"old": None, "new": None}


def test_another_series_is_refused(old: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    fill(other)
    seal_release(other, PREDICATE | {"series": "another"}, STEWARD)
    with pytest.raises(ReleaseFormatError, match="another series"):
        compare(old, other)


def _with_one_person_less(tmp_path: Path, *, persons_table: str = "participants") -> list[Path]:
    """Two releases; of twenty persons in the first, one is not in the second."""
    roots = []
    for version, persons in (("1.0.0", 20), ("2.0.0", 19)):
        root = tmp_path / version
        root.mkdir()
        fill(root)
        _with_policy(root, persons)
        if persons_table != "participants":
            shutil.move(root / "data" / "participants", root / "data" / persons_table)
            document = json.loads((root / "schemas" / "participants.json").read_text(encoding="utf-8"))
            (root / "schemas" / "participants.json").unlink()
            text = json.dumps(document | {"table": persons_table})
            (root / "schemas" / f"{persons_table}.json").write_text(text, encoding="utf-8")
        seal_release(root, PREDICATE | {"version": version}, STEWARD)
        roots.append(root)
    return roots


def test_who_left_alone_is_a_finding(tmp_path: Path) -> None:
    found = compare(*_with_one_person_less(tmp_path))
    assert found["participants"] == {"added": 0, "removed": "<10"}
    assert found["attack"]["ok"] is False
    assert [entry["code"] for entry in found["attack"]["findings"]] == ["series.vanished_few"]
    assert found["attack"]["findings"][0]["count"] == "<10"


def test_who_left_alone_is_a_finding_whatever_the_tables_are_called(tmp_path: Path) -> None:
    attack = compare(*_with_one_person_less(tmp_path, persons_table="patients"))["attack"]
    assert attack is not None
    assert [entry["code"] for entry in attack["findings"]] == ["series.vanished_few"]


def _with_policy(root: Path, persons: int) -> None:
    import pyarrow.parquet as pq

    from sensai_release.table.store import write_parquet

    (root / "reports").mkdir()
    policy: dict[str, Any] = {"k": 5, "pseudonym_key": {"id": "one"}, "generalisation": {}, "columns": {}}
    (root / "reports" / "policy.json").write_text(json.dumps(policy), encoding="utf-8")
    for name in ("participants", "folds"):
        parts = sorted((root / "data" / name).iterdir())
        table = pq.read_table(root / "data" / name).slice(0, persons)
        for part in parts:
            part.unlink()
        write_parquet(table.replace_schema_metadata(None), parts[0])
        path = root / "schemas" / f"{name}.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        document |= {"person_key": "participant_id", "foreign_keys": []}
        for column in document["columns"]:
            quasi = column["name"] == "age_band"
            column |= {"role": "quasi_identifier" if quasi else "direct_identifier", "tier": 1 if quasi else None}
            column |= {"action": "keep", "class": "clinical"}
        path.write_text(json.dumps(document), encoding="utf-8")


def test_a_candidate_that_is_not_there(tmp_path: Path) -> None:
    init_workspace(tmp_path / "workspace")
    with pytest.raises(ConfigurationError, match="the candidate: is not there"):
        compare_candidate(open_workspace(tmp_path / "workspace"))
