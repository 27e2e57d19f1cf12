"""What `validate` leaves for people and scripts: whole, held to its schema, without a value, and after all faults."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from browser_kit import CHROMIUM, browser

from .conftest import TOOL, Story, run_tool

PLANTED = "Zz-Planted-Value-77"
PLANTED_NUMBER = "98765.4321"
SCHEMA = Path(__file__).parents[2] / "sensai_release" / "release" / "validation.schema.json"


@pytest.fixture
def workspace(story: Story, tmp_path: Path) -> Path:
    """A workspace with the demonstration's source, nothing built."""
    root = tmp_path / "workspace"
    shutil.copytree(
        story.workspace, root, ignore=shutil.ignore_patterns("work", "releases", "reports", "release-store", "tmp")
    )
    return root


def recordings_of(workspace: Path) -> list[Path]:
    return sorted((workspace / "data" / "source" / "face").glob("*.csv"))


def with_cell(path: Path, row: int, column: str, text: str) -> None:
    lines = path.read_text().splitlines()
    cells = lines[row].split(",")
    cells[[name.strip() for name in lines[0].split(",")].index(column)] = text
    lines[row] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")


def report_of(workspace: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((workspace / "reports" / "validation.json").read_text())
    return document


def check(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)


def test_the_published_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


def test_the_report_keeps_its_schema_and_stdout_says_the_same(story: Story) -> None:
    outcome = run_tool("-C", story.workspace, "--json", "validate")
    assert outcome.code == 0
    check(outcome.document)
    assert outcome.document == report_of(story.workspace)


def test_dvc_follows_no_report_whose_size_tells_the_number_of_recordings(story: Story) -> None:
    lock = (story.workspace / "dvc.lock").read_text()
    assert "work/validation.json" in lock
    assert not re.search(r"path: reports/validation\.json", lock)
    assert len(json.loads((story.workspace / "work" / "validation.json").read_text())["state"]) == 64


def test_the_copy_in_a_release_keeps_the_schema_too(story: Story) -> None:
    document = json.loads((story.releases[0] / "reports" / "validation.json").read_text())
    check(document)
    assert "recordings" not in document
    assert "ranges" not in document
    assert "#" not in json.dumps(document)


def test_one_table_alone_has_recordings_but_no_ranges(workspace: Path) -> None:
    outcome = run_tool("-C", workspace, "--json", "validate", "--table", "face")
    check(outcome.document)
    assert len(outcome.document["recordings"]) == len(recordings_of(workspace))
    assert outcome.document["ranges"] == []


def test_facts_of_recordings_are_those_of_the_files(story: Story) -> None:
    entries = report_of(story.workspace)["recordings"]
    files = recordings_of(story.workspace)
    assert [entry["file"] for entry in entries] == [f"face/*.csv#{number}" for number in range(1, len(files) + 1)]
    with files[0].open() as text:
        rows = list(csv.DictReader(text, skipinitialspace=True))
    lost = sum(row["success"].strip() != "1" for row in rows)
    assert entries[0]["rows"] == len(rows)
    assert entries[0]["lost"] == round(lost / len(rows), 3)
    assert abs(entries[0]["seconds"] - float(rows[-1]["timestamp"])) <= 1


def test_ranges_are_those_of_the_source_counted_in_persons(story: Story) -> None:
    source = story.source
    with (source / "sessions.csv").open() as text:
        person_of = {row["session_id"]: row["participant_id"] for row in csv.DictReader(text)}
    cells: dict[int, int] = defaultdict(int)
    persons: dict[int, set[str]] = defaultdict(set)
    with (source / "questionnaire.csv").open() as text:
        for row in csv.DictReader(text):
            if row["mood"].strip():
                tenth = min(int(float(row["mood"])), 9)
                cells[tenth] += 1
                persons[tenth].add(person_of[row["session_id"]])
    shown = next(entry for entry in report_of(story.workspace)["ranges"] if entry["column"] == "mood")["tenths"]
    assert "masked" in shown
    for tenth, share in enumerate(shown):
        if share != "masked":
            assert len(persons[tenth]) >= 10 or not cells[tenth]
            assert share == (max(1, round(100 * cells[tenth] / sum(cells.values()))) if cells[tenth] else 0)


def test_a_report_is_the_same_from_memory_and_for_any_number_of_workers(workspace: Path) -> None:
    runs = [["--jobs", "1"], ["--jobs", "2"]]
    texts = []
    for options in runs:
        run_tool("-C", workspace, "--quiet", "validate", *options)
        texts.append([(workspace / "reports" / f"validation.{kind}").read_bytes() for kind in ("json", "html")])
        again = run_tool("-C", workspace, "--quiet", "validate", *options)  # nothing is read a second time
        assert again.code == 0
        texts.append([(workspace / "reports" / f"validation.{kind}").read_bytes() for kind in ("json", "html")])
        shutil.rmtree(workspace / "work")
    assert texts[0] == texts[1] == texts[2] == texts[3]


def test_one_bad_recording_does_not_stop_the_look_at_the_others(workspace: Path) -> None:
    files = recordings_of(workspace)
    files[0].write_bytes(b"RIFF\x24\x08\x00\x00WAVEfmt ")
    files[1].write_bytes(b"")
    files[2].write_text(files[2].read_text()[:-40])
    files[3].unlink()
    files[3].symlink_to(files[4])
    with_cell(files[5], 3, "AU01_r", "7")
    outcome = run_tool("-C", workspace, "--json", "validate", "--jobs", "2")
    assert outcome.code in (1, 2)
    check(outcome.document)
    by_file = {entry["file"]: entry for entry in outcome.document["recordings"]}
    # The link is claimed by no table, so the files after it move up by one.
    assert [by_file[f"face/*.csv#{number}"]["read"] for number in (1, 2, 3, 4, 5)] == [False, False, False, True, True]
    assert by_file["face/*.csv#5"]["errors"] == 1
    others = [entry for entry in by_file.values() if int(entry["file"].partition("#")[2]) not in (1, 2, 3, 5)]
    assert others
    assert all(entry["read"] and not entry["errors"] for entry in others)
    assert "value.above" in {finding["code"] for finding in outcome.document["findings"]}


def test_no_planted_value_reaches_a_report_or_data_docs(workspace: Path) -> None:
    source = workspace / "data" / "source"
    with_cell(source / "participants.csv", 1, "sex", PLANTED)
    with_cell(source / "participants.csv", 2, "height_cm", PLANTED_NUMBER)
    with_cell(source / "participants.csv", 3, "participant_id", PLANTED)
    with_cell(source / "pain_scores.csv", 2, "pain_description", PLANTED)
    last = len(recordings_of(workspace)[0].read_text().splitlines()) - 1
    with_cell(recordings_of(workspace)[0], last, "timestamp", PLANTED_NUMBER)
    with_cell(recordings_of(workspace)[1], 9, "AU01_r", PLANTED_NUMBER)
    outcome = run_tool("-C", workspace, "validate", "--data-docs")
    assert outcome.code == 1
    assert "work/data-docs/index.html" in outcome.out
    pages = sorted((workspace / "work" / "data-docs").rglob("*.html"))
    assert len(pages) > 10
    for path in [*pages, *(path for path in (workspace / "reports").rglob("*") if path.is_file())]:
        text = path.read_text()
        for planted in (PLANTED, PLANTED.upper(), "98765", "98,765", "98\u202f765"):
            assert planted not in text, path.name
    assert "98765" not in outcome.said
    assert PLANTED not in outcome.said


def test_data_docs_load_nothing_and_stay_out_of_git(workspace: Path) -> None:
    assert run_tool("-C", workspace, "--quiet", "validate", "--data-docs").code == 0
    folder = workspace / "work" / "data-docs"
    index = (folder / "index.html").read_text()
    assert "SYNTHETIC DATA" in index
    links = re.findall(r'href="([^"]+)"', index)
    assert len(links) == 14
    assert all((folder / link).is_file() for link in links)
    assert not [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".html"]
    for page in folder.rglob("*.html"):
        text = page.read_text()
        assert "default-src 'none'" in text
        assert not re.search(r"<script|<link|<img|<iframe|<form|https?://|@import", text)
        assert str(workspace) not in text
    assert subprocess.run(["git", "check-ignore", "-q", str(folder)], cwd=workspace, check=False).returncode == 0
    assert not (folder.stat().st_mode & 0o077)


def test_data_docs_need_a_table_that_could_be_read(workspace: Path) -> None:
    outcome = run_tool("-C", workspace, "validate", "--table", "face", "--data-docs")
    assert outcome.code == 2
    assert "--data-docs" in outcome.err
    assert not (workspace / "work" / "data-docs").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no browser here")
def test_the_page_fits_every_screen_and_its_orders_work_without_a_script(story: Story, tmp_path: Path) -> None:
    run_tool("-C", story.workspace, "--quiet", "validate")
    with browser(tmp_path / "profile") as page:
        for width in (360, 800, 1400):
            page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
            page.open(story.workspace / "reports" / "validation.html")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        shown = "[...document.querySelectorAll('.panel')].map(p => getComputedStyle(p).display != 'none')"
        tabs = page.evaluate("document.querySelectorAll('.tabs label').length")
        for tab in range(tabs):
            page.evaluate(f"document.querySelectorAll('.tabs label')[{tab}].click()")
            assert page.evaluate(shown) == [tab == number for number in range(tabs)]
        assert [url for url in page.requests if not url.startswith("file:")] == []


def test_a_build_shows_the_progress_of_its_stages(workspace: Path, story: Story) -> None:
    """DVC runs the stages; their bars must come through to the terminal of the one who waits."""
    screen, inside = pty.openpty()
    environment = os.environ | {
        "SENSAI_RELEASE_KEY_DIR": str(story.keys),
        "PATH": f"{TOOL.parent}{os.pathsep}{os.environ['PATH']}",
        "TERM": "xterm-256color",
        "COLUMNS": "100",
    }
    command = [str(TOOL), "-C", str(workspace), "build", "--jobs", "1"]
    process = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env=environment)
    os.close(inside)
    seen = b""
    try:
        while chunk := os.read(screen, 65536):
            seen += chunk
    except OSError:  # Linux says so when the last writer has gone
        pass
    os.close(screen)
    assert process.wait() == 0, seen.decode(errors="replace")
    total = len(recordings_of(workspace))
    assert b"Validating recordings" in seen
    assert f"{total}/{total}".encode() in seen
    assert b"De-identifying recordings" in seen
