from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from release_kit import PREDICATE, STEWARD, make_release

from sensai_release.pipeline.series import assess_candidate
from sensai_release.pipeline.workspace import TEMPLATE_PARTS, Workspace, template_root
from sensai_release.release.layout import ENVELOPE, MANIFEST
from sensai_release.release.sealing import seal_release
from sensai_release.table.store import write_parquet


def column(name: str, role: str, tier: int | None = None) -> dict[str, Any]:
    return {"name": name, "dtype": "string", "role": role, "tier": tier, "action": "keep"}


def fill(root: Path, names: list[str], *, policy: Path, key: str = "one") -> None:
    """A table of persons of two sexes, as a candidate or a release holds it."""
    table = pa.table({"participant_id": names, "sex": ["F" if int(name[1:]) % 2 else "M" for name in names]})
    (root / "data" / "participants").mkdir(parents=True)
    write_parquet(table, root / "data" / "participants" / "part-00000.parquet")
    (root / "schemas").mkdir()
    dictionary = {
        "table": "participants", "person_key": "participant_id", "primary_key": ["participant_id"], "foreign_keys": [],
        "columns": [column("participant_id", "direct_identifier"), column("sex", "quasi_identifier", 1)],
    }  # fmt: skip
    (root / "schemas" / "participants.json").write_text(json.dumps(dictionary))
    policy.parent.mkdir(exist_ok=True)
    policy.write_text(json.dumps({"pseudonym_key": {"id": key}, "generalisation": {}}))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for part in TEMPLATE_PARTS:
        origin = template_root() / part
        (shutil.copytree if origin.is_dir() else shutil.copyfile)(origin, tmp_path / part)
    found = Workspace(root=tmp_path)
    fill(found.candidate, [f"P{n:03d}" for n in range(30)], policy=found.candidate / "policy.json")
    return found


def release(workspace: Workspace, version: str, names: list[str], **more: Any) -> Path:
    root = workspace.releases / f"sensai-dbd-{version}"
    make_release(root)
    for name in ("data", "schemas"):
        shutil.rmtree(root / name)
    for name in (MANIFEST, ENVELOPE, "SHA256SUMS"):
        (root / name).unlink()
    fill(root, names, policy=root / "reports" / "policy.json", **more)
    predicate = {
        **PREDICATE,
        "series": "sensai-dbd",
        "version": version,
    }
    seal_release(root, predicate, STEWARD)
    return root


def test_the_first_candidate_has_nothing_to_be_held_against(workspace: Workspace) -> None:
    report = assess_candidate(workspace)
    assert (report.releases, report.gate, report.findings) == ((), (), ())


def test_earlier_releases_are_joined_by_their_key(workspace: Workspace) -> None:
    release(workspace, "1.0.0", [f"P{n:03d}" for n in range(31)])
    release(workspace, "2.0.0", [f"Z{n:03d}" for n in range(30)], key="two")
    report = assess_candidate(workspace)
    assert [entry["joined_by"] for entry in report.releases] == ["pseudonym", "values"]
    assert report.gate[0]["ok"]
    assert {(found["code"], found["release"]) for found in report.findings} == {
        ("series.vanished_few", "sensai-dbd-1.0.0"),
        ("series.not_joinable", "sensai-dbd-2.0.0"),
    }


def test_what_cannot_be_trusted_or_read_is_left_out_and_said(workspace: Workspace) -> None:
    changed = release(workspace, "1.0.0", [f"P{n:03d}" for n in range(31)])
    (changed / "README.md").write_text("Another text.\n")
    make_release(workspace.releases / "sensai-dbd-2.0.0")
    (workspace.releases / "sensai-dbd-3.0.0.dvc").write_text("outs: []\n")
    report = assess_candidate(workspace)
    assert report.releases == ()
    assert [(found["code"], found["release"]) for found in report.findings] == [
        ("series.absent", "sensai-dbd-3.0.0"),
        ("series.unverified", "sensai-dbd-1.0.0"),
        ("series.unreadable", "sensai-dbd-2.0.0"),
    ]
