"""The frame-level profile: built and looked at, but released behind a signed waiver only."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from .conftest import Story, run_tool

OPTIONAL = "AU28_c"


def without_column(text: str, name: str) -> str:
    rows = [line.split(",") for line in text.splitlines()]
    at = [cell.strip() for cell in rows[0]].index(name)
    return "\n".join(",".join(row[:at] + row[at + 1 :]) for row in rows) + "\n"


def test_recordings_of_different_layouts_make_one_table_and_no_release(workspace_copy: Path, story: Story) -> None:
    source = workspace_copy / "data" / "source" / "face"
    recordings = sorted(source.glob("*.csv"))
    for recording in recordings[::2]:
        recording.write_text(without_column(recording.read_text(), OPTIONAL))
    params = workspace_copy / "params.yaml"
    params.write_text(params.read_text().replace("\nprofile: controlled", "\nprofile: frame_level"))
    built = run_tool("-C", workspace_copy, "--json", "build", key_dir=story.keys)
    # Frames and levels of the voice link the sessions of a person: the candidate is there to be judged, and refused.
    assert built.code == 1, built.said
    assert built.document["stages"]["scan"] == "done"
    assert "linkability" in built.document["verdict"]
    parts = sorted((workspace_copy / "work" / "candidate" / "data" / "face_frames").glob("*.parquet"))
    table = pq.read_table(parts[0], columns=["session_id", OPTIONAL]).to_pandas()
    complete = table.groupby("session_id")[OPTIONAL].count()
    assert (complete == 0).any()
    assert (complete > 0).any()
    refused = run_tool("-C", workspace_copy, "release", "3.0.0", "--key", story.keys / "steward.key")
    assert refused.code == 1
    assert "waiver" in refused.err
    assert not (workspace_copy / "releases" / "sensai-dbd-3.0.0").exists()
