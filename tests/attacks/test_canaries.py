"""What is planted in a release, a report, a DVC file or the history stops the scan; and the scan shows none of it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from release_kit import make_release

from sensai_release.errors import ConfigurationError, InputError
from sensai_release.pipeline.scan import GIT_LOG, scan_path, scan_workspace
from sensai_release.pipeline.workspace import TEMPLATE_PARTS, Workspace, template_root
from sensai_release.table.store import read_parquet, write_parquet
from sensai_release.table.synthetic import generate_source

PLANTED = {
    "leak.identifier": "SYN0003",
    "leak.free_text": "came with her cousin Fictiefsma",
    "leak.bsn": "BSN 111222333",
    "leak.iban": "NL91ABNA0417164300",
    "leak.phone": "06-12345678",
    "leak.postcode": "Dorpsstraat 1, 1234 AB Utrecht",
    "leak.email": "j.fictief@mail.example.nl",
    "leak.path": "/home/fictief/a.csv",
    "leak.datetime": "2026-03-14T10:32",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a synthetic source, and a finished package that is a small release."""
    root = tmp_path_factory.mktemp("canaries") / "workspace"
    root.mkdir()
    for part in TEMPLATE_PARTS:
        origin = template_root() / part
        (shutil.copytree if origin.is_dir() else shutil.copyfile)(origin, root / part)
    workspace = Workspace(root=root)
    generate_source(workspace.source, workspace.schemas, participants=6, sessions=2, seconds=1, seed=5)
    scores = (workspace.source / "pain_scores.csv").read_text()
    described = scores.replace("Synthetic: ", "Synthetic: came with her cousin Fictiefsma; ", 1)
    assert described != scores
    (workspace.source / "pain_scores.csv").write_text(described)
    make_release(workspace.package)
    shutil.copytree(workspace.package / "data", workspace.candidate / "data")
    (workspace.reports / "validation.json").write_text("{}")
    return root


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(made, tmp_path / "workspace")
    return Workspace(root=tmp_path / "workspace")


def plant(path: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + f"\n{text}\n".encode())


def found_in(document: dict[str, object], code: str) -> set[str]:
    findings = document["findings"]
    assert isinstance(findings, list)
    return {item["file"] for item in findings if item["code"] == code}


def test_a_clean_package_passes_and_stays(workspace: Workspace) -> None:
    document = scan_workspace(workspace)
    assert document == {"ok": True, "canaries": True, "identifiers_too_short": False, "findings": []}
    assert workspace.package.is_dir()
    assert json.loads((workspace.reports / "scan.json").read_text()) == document


@pytest.mark.parametrize("file", ["work/package/README.md", "reports/validation.json", "work/candidate/data/note"])
def test_planted_texts_stop_the_build_and_are_not_shown(workspace: Workspace, file: str) -> None:
    (workspace.root / file).touch()
    plant(workspace.root / file, "\n".join(PLANTED.values()))
    document = scan_workspace(workspace)
    assert not document["ok"]
    assert {code: found_in(document, code) for code in PLANTED} == {code: {file} for code in PLANTED}
    assert not workspace.package.exists()
    shown = json.dumps(document) + (workspace.reports / "scan.json").read_text()
    assert not any(text in shown for text in PLANTED.values())
    assert "ictief" not in shown


def test_planted_cells_are_found_with_their_column(workspace: Workspace) -> None:
    path = workspace.candidate / "data" / "participants" / "part-00000.parquet"
    table = read_parquet(path)
    cells = [base64.b64encode(text.encode()).decode() for text in PLANTED.values()]
    cells += ["[40,50)"] * (table.num_rows - len(cells))
    write_parquet(table.set_column(1, "age_band", pa.array(cells)), path)
    found = {(item["code"], item["table"], item["column"]) for item in scan_workspace(workspace)["findings"]}
    assert found >= {(code, "participants", "age_band") for code in PLANTED}


def in_dvc_lock(root: Path) -> None:
    (root / "dvc.lock").write_text("stages:\n  x:\n    deps:\n    - path: data/source/face/SYN0003-S1.csv\n")


def in_a_dvc_file(root: Path) -> None:
    (root / "releases").mkdir(exist_ok=True)
    (root / "releases" / "a.dvc").write_text("outs:\n- path: syn_0003\n")


def in_the_history(root: Path) -> None:
    git = ["git", "-c", "user.name=Synthetic", "-c", "user.email=synthetic@localhost"]
    subprocess.run([*git, "init", "--quiet"], cwd=root, check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "Leave out SYN0003"], cwd=root, check=True)


@pytest.mark.parametrize(
    ("place", "file"), [(in_dvc_lock, "dvc.lock"), (in_a_dvc_file, "releases/a.dvc"), (in_the_history, GIT_LOG)]
)
def test_dvc_files_and_history_are_scanned(workspace: Workspace, place: Callable[[Path], None], file: str) -> None:
    place(workspace.root)
    assert found_in(scan_workspace(workspace), "leak.identifier") == {file}


def test_the_machine_at_work_is_not_in_a_release(workspace: Workspace) -> None:
    plant(workspace.package / "README.md", f"made in {workspace.root.resolve()}")
    assert found_in(scan_workspace(workspace), "leak.machine") == {"work/package/README.md"}


def test_people_without_consent_are_looked_for_too(workspace: Workspace) -> None:
    consent = (workspace.source / "consent.csv").read_text().replace(",yes,", ",no,")
    (workspace.source / "consent.csv").write_text(consent)
    plant(workspace.package / "README.md", "SYN0003")
    assert not scan_workspace(workspace)["ok"]


def test_an_address_that_the_workspace_declares_may_stand(workspace: Workspace) -> None:
    plant(workspace.root / "datasheets" / "terms.md", "Write to data-steward@example.org.")
    plant(workspace.package / "README.md", "Write to data-steward@example.org.")
    assert scan_workspace(workspace)["ok"]


def test_a_path_elsewhere_is_scanned_for_forms_alone(workspace: Workspace, tmp_path: Path) -> None:
    release = tmp_path / "release"
    make_release(release)
    assert scan_path(release)["ok"]
    plant(release / "README.md", "SYN0003 stood here")
    assert scan_path(release)["ok"]
    assert not scan_path(release, workspace=workspace)["ok"]
    assert not scan_path(release / "README.md", workspace=workspace, source=workspace.source)["ok"]
    plant(release / "README.md", PLANTED["leak.email"])
    assert found_in(scan_path(release), "leak.email") == {"README.md"}


def test_a_source_that_cannot_be_read_is_no_clean_scan(workspace: Workspace) -> None:
    (workspace.source / "sessions.csv").write_bytes(b"")
    with pytest.raises(InputError, match=r"sessions\.csv"):
        scan_workspace(workspace)


def test_what_is_not_there_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        scan_path(tmp_path / "nothing")
    with pytest.raises(ConfigurationError):
        scan_path(tmp_path, source=workspace.source)
    shutil.rmtree(workspace.package)
    with pytest.raises(ConfigurationError):
        scan_workspace(workspace)
