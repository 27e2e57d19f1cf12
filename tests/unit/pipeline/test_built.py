"""A candidate is what the build made of the inputs that lie there: of any other, nothing is released."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.pipeline.built import MADE, PACKAGE, SCAN, note_built, note_made, refuse_changed
from sensai_release.pipeline.workspace import Workspace, init_workspace, open_workspace

FILES = (
    "work/candidate/data/participants/part-00000.parquet",
    "work/candidate/policy.json",
    "work/datasheet/DATASHEET.md",
    "work/package/payload.json",
    "work/package/reports/risk.html",
    "reports/risk.json",
    "reports/scan.json",
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    init_workspace(tmp_path / "workspace")
    made = open_workspace(tmp_path / "workspace")
    made.source.mkdir(parents=True)
    for name in FILES:
        path = made.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Synthetic: {name}\n", encoding="utf-8")
    note_built(made)
    return made


def place_of(name: str) -> str:
    return next(place for place in MADE if name == place or name.startswith(f"{place}/"))


def test_what_was_built_is_accepted(workspace: Workspace) -> None:
    refuse_changed(workspace)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("way", ["edited", "removed", "added"])
def test_what_was_changed_since_is_refused_by_its_place(workspace: Workspace, name: str, way: str) -> None:
    path = workspace.root / name
    if way == "edited":
        path.write_bytes(path.read_bytes().replace(b"S", b"s"))
    elif way == "removed":
        path.unlink()
    elif path.parent.name == "reports" and path.parent.parent == workspace.root:
        # Pages lie beside these two; they are not what a release is made from.
        (path.parent / "mine.html").write_text("", encoding="utf-8")
        refuse_changed(workspace)
        return
    else:
        (path.parent / "mine.txt").write_text("", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="Run 'sensai-release build' again") as refused:
        refuse_changed(workspace)
    assert refused.value.cause == f"is no longer as 'build' made it: {place_of(name)}"


def test_a_folder_or_a_link_in_place_of_a_file_is_seen(workspace: Workspace, tmp_path: Path) -> None:
    path = workspace.root / FILES[1]
    path.rename(tmp_path / "aside")
    path.symlink_to(tmp_path / "aside")
    with pytest.raises(ConfigurationError, match="work/candidate"):
        refuse_changed(workspace)


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml", "datasheets/terms.md", "schemas/sessions.yaml"])
def test_an_input_that_changed_is_named_until_the_build_has_looked_at_it(workspace: Workspace, name: str) -> None:
    path = workspace.root / name
    path.write_text(path.read_text(encoding="utf-8") + "\n# A remark.\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"was built before a change of: {name.split('/')[0]}"):
        refuse_changed(workspace)
    # The stages make the same of it, so none of them runs; `build` says so, and that has to be enough.
    note_built(workspace)
    refuse_changed(workspace)


def test_a_stage_notes_what_it_made_and_nothing_else(workspace: Workspace) -> None:
    for name in (FILES[0], FILES[3], FILES[6]):
        (workspace.root / name).write_text("Made anew.\n", encoding="utf-8")
    note_made(workspace, PACKAGE, inputs=True)
    note_made(workspace, SCAN)
    with pytest.raises(ConfigurationError, match=r"made it: work/candidate\."):
        refuse_changed(workspace)


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"made": [], "inputs": 3}', '{"made": {}, "inputs": {}}'])
def test_without_a_record_nobody_knows_what_was_built(workspace: Workspace, text: str | None) -> None:
    record = workspace.work / "built.json"
    record.unlink()
    if text is not None:
        record.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="Run 'sensai-release build' again"):
        refuse_changed(workspace)
    note_built(workspace)
    refuse_changed(workspace)
