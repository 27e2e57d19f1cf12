"""`datasheet --attest`: the note beside the answers, and the entry in the governance log."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from .conftest import run_tool


def test_an_attestation_is_logged_with_its_role_and_no_name(workspace_copy: Path) -> None:
    path = workspace_copy / "datasheets" / "answers.yaml"
    document = yaml.safe_load(path.read_text())
    answer = {"kind": "attested", "author": "data steward", "text": "Synthetic recordings, by nobody."}
    document["answers"]["C14"] = answer
    path.write_text(yaml.safe_dump(document))
    before = run_tool("-C", workspace_copy, "--json", "log", "show").document["entries"]
    done = run_tool(
        *("-C", workspace_copy, "--json", "datasheet", "--attest", "C14"),
        *("--by", "data steward", "--as-of", "2026-01-31"),
    )
    assert done.code == 0, done.said
    *kept, entry = run_tool("-C", workspace_copy, "--json", "log", "show").document["entries"]
    assert kept == before
    assert entry["event"] == "attest"
    held = json.loads((workspace_copy / "datasheets" / "attested.json").read_text())["attested"]["C14"]
    assert entry["facts"] == {"question": "C14", "role": "data steward", "digest": held["digest"]}
    refused = run_tool(
        *("-C", workspace_copy, "datasheet", "--attest", "C14"), *("--by", "somebody else", "--as-of", "2026-01-31")
    )
    assert refused.code == 2
    assert len(run_tool("-C", workspace_copy, "--json", "log", "show").document["entries"]) == len(before) + 1
