"""A raw identifier typed into a document of the workspace must not leave with the release."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Story, run_tool


@pytest.mark.parametrize("document", ["datasheets/terms.md", "datasheets/answers.yaml", "schemas/sessions.yaml"])
def test_an_identifier_in_a_document_stops_the_build(workspace_copy: Path, story: Story, document: str) -> None:
    raw = (story.source / "participants.csv").read_text().splitlines()[3].split(",")[0]
    path = workspace_copy / document
    text = path.read_text()
    if document.endswith("terms.md"):
        path.write_text(f"{text}\nAsk about {raw}.\n")
    elif document.endswith("answers.yaml"):
        path.write_text(text.replace("Pain is", f"Pain of {raw} is", 1))
    else:
        path.write_text(text.replace("What was spoken:", f"What {raw} said:", 1))
    assert raw in path.read_text()
    outcome = run_tool("-C", workspace_copy, "--json", "build", key_dir=story.keys)
    assert outcome.code == 1, outcome.said
    assert outcome.document["stages"]["scan"] == "refused"
    assert raw not in outcome.said
    assert run_tool("-C", workspace_copy, "release", "3.0.0", "--key", story.keys / "steward.key").code == 2
    assert not (workspace_copy / "releases" / "sensai-dbd-3.0.0").exists()
