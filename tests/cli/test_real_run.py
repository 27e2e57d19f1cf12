"""The main job on real files: OpenFace and openSMILE output, and published clinical tables, by examples/real_run.py.

docs/real-run.md tells of the same run; the numbers here and there are the same.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import sensai_release as sr

from .conftest import Outcome, Story, run_tool

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(not (DATA / "SOURCES.md").is_file(), reason="the real files are not on this machine")

RECORDINGS = {
    "syn01_nl_s1": "odbm_subj01_timepoint01.csv",
    "syn01_nl_s2": "odbm_subj01_timepoint02.csv",
    "syn02_nl_s1": "facsvatar_head_test_raw.csv",
    "syn03_nl_s1": "pyfeat_OpenFace_Test.csv",
    "syn04_nl_s1": "facsvatar_2people_60fps_p0_clean.csv",
}
WITHOUT_WINDOW = "syn03_nl_s1"


@dataclass(frozen=True, kw_only=True)
class RealRun(Story):
    """The folders of a story, and what its commands answered."""

    refused: Outcome
    built: Outcome
    released: Outcome

    @property
    def release(self) -> Path:
        return self.workspace / "releases" / "sensai-dbd-1.0.0"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    root = tmp_path_factory.mktemp("real") / "run"
    keys = root / "keys"
    workspace = root / "workspace"
    keys.mkdir(parents=True, mode=0o700)
    assert run_tool("init", workspace).code == 0
    assert run_tool("keygen", keys / "root.key", "--role", "root").code == 0
    assert run_tool("keygen", keys / "steward.key", "--role", "steward").code == 0
    assert run_tool("trust", "add", root / "trust.json", keys / "steward.key.pub").code == 0
    source = workspace / "data" / "source"
    source.parent.mkdir()
    mapping = [sys.executable, str(ROOT / "examples" / "real_run.py"), str(DATA), str(source), "--with-refused"]
    subprocess.run(mapping, check=True, capture_output=True)
    refused = run_tool("-C", workspace, "--json", "validate")
    (source / "face" / "syn05_nl_s1.csv").unlink()
    built = run_tool("-C", workspace, "--json", "build", key_dir=keys)
    released = run_tool("-C", workspace, "--json", "release", "1.0.0", key_dir=keys)
    return RealRun(root=root, refused=refused, built=built, released=released)


def rows(path: Path) -> list[dict[str, str]]:
    """OpenFace pads names with spaces; some of its files have no final newline."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        return [{str(name).strip(): value for name, value in row.items()} for row in reader]


def released_column(run: RealRun, table: str, column: str) -> list[Any]:
    values: list[Any] = sr.open_release(run.release, trust=run.trust).table(table)[column].to_pylist()
    return values


def test_the_tools_files_are_copied_byte_for_byte(run: RealRun) -> None:
    for session, original in RECORDINGS.items():
        copy = run.source / "face" / f"{session}.csv"
        assert copy.read_bytes() == (DATA / "openface" / original).read_bytes()
    voices = DATA / "opensmile" / "egemapsv02_functionals.csv"
    assert (run.source / "voice_functionals.csv").read_bytes() == voices.read_bytes()


def test_a_file_that_only_looks_like_openface_is_refused(run: RealRun) -> None:
    assert run.refused.code == 1
    errors = [finding for finding in run.refused.document["findings"] if finding["severity"] == "error"]
    assert {(error["code"], error["column"]) for error in errors} == {
        ("column.missing", "frame"),
        ("column.undeclared", "AU28_r"),
        ("column.undeclared", "#1"),
    }
    assert {error["file"] for error in errors} == {"face/*.csv#6"}


def test_the_recording_without_a_frame_rate_is_a_warning(run: RealRun) -> None:
    warnings = [finding for finding in run.refused.document["findings"] if finding["severity"] == "warning"]
    assert [(warning["code"], warning["file"]) for warning in warnings] == [("time.short", "face/*.csv#4")]


def test_everything_else_goes_the_whole_way(run: RealRun) -> None:
    assert run.built.code == 0, run.built.said
    assert run.released.code == 0, run.released.said
    verified = run_tool("--json", "verify", run.release, "--trust", run.trust)
    assert verified.code == 0, verified.said
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=run.release, check=True)


def test_rows_out(run: RealRun) -> None:
    release = sr.open_release(run.release, trust=run.trust)
    expected = {
        "participants": 228,
        "sessions": 552,
        "pain_scores": 552,
        "analgesics": 28,
        "questionnaire": 0,
        "face_windows": 4,
        "voice_functionals": 24,
        "folds": 228,
    }
    assert {name: release.table(name).num_rows for name in expected} == expected


def test_risk(run: RealRun) -> None:
    risk = run_tool("--json", "risk", run.release)
    assert risk.code == 0
    assert risk.document["persons"] == 228
    assert risk.document["k_min"] == 6
    gate = {entry["name"]: entry["value"] for entry in risk.document["gate"]}
    assert gate["suppressed_persons"] == "<10"
    assert risk.document["linkability"]["status"] == "passed"


def test_windows_are_those_of_the_frames(run: RealRun) -> None:
    """The first five seconds of each real recording, averaged here by hand."""
    expected = []
    for session, original in RECORDINGS.items():
        if session == WITHOUT_WINDOW:
            continue
        frames = [
            float(row["AU06_r"])
            for row in rows(DATA / "openface" / original)
            if float(row["timestamp"]) < 5 and float(row["success"]) == 1
        ]
        expected.append(sum(frames) / len(frames))
    assert sorted(released_column(run, "face_windows", "AU06_r_mean")) == pytest.approx(sorted(expected), rel=5e-3)


def test_scores_and_voices_are_those_of_the_tables(run: RealRun) -> None:
    scores = [int(row["nrs_self"]) for row in rows(run.source / "pain_scores.csv")]
    assert sorted(released_column(run, "pain_scores", "nrs_self")) == sorted(scores)
    rate = "loudnessPeaksPerSec"
    voices = [float(row[rate]) for row in rows(run.source / "voice_functionals.csv")]
    assert sorted(released_column(run, "voice_functionals", rate)) == pytest.approx(sorted(voices), rel=5e-4)


def test_two_sessions_of_a_person_meet_under_one_pseudonym(run: RealRun) -> None:
    release = sr.open_release(run.release, trust=run.trust)
    sessions = release.table("sessions").to_pandas().set_index("session_id")["participant_id"]
    by_person = sessions[release.table("voice_functionals")["session_id"].to_pylist()].value_counts()
    assert list(by_person) == [2] * 12


def streams(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file's name and bytes, and what a Parquet file says when it is decoded."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield path, path.relative_to(folder).as_posix().encode()
        yield path, path.read_bytes()
        if path.read_bytes().startswith(b"PAR1"):  # DVC keeps files under their digests
            yield path, pq.read_table(path).to_pandas().to_csv().encode()
            yield path, str(pq.ParquetFile(path).metadata.to_dict()).encode()


# Fewer characters would be found by chance in packed numbers and in base64.
CANARIES = re.compile(
    rb"ncctg|syn\d\d_|odbm_|subj01|facsvatar|pyfeat_openface|exploface|egemapsv02_func|2000-01-0", re.IGNORECASE
)
ENDINGS = re.compile(rb"\.wav", re.IGNORECASE)


def test_no_identifier_file_name_time_or_path_is_in_any_byte(run: RealRun) -> None:
    identifiers = [row["session_id"] for row in rows(run.source / "sessions.csv")]
    identifiers += [row["participant_id"] for row in rows(run.source / "participants.csv")]
    # The pattern knows every identifier, so that finding nothing below means something.
    assert all(CANARIES.search(text.encode()) for text in (*identifiers, *RECORDINGS.values()))
    workspace = run.workspace
    places = [str(run.root).encode(), str(DATA).encode()]
    for folder in (run.release, workspace / "reports", workspace / "release-store", workspace / ".dvc" / "cache"):
        assert folder.is_dir()
        for path, data in streams(folder):
            assert not CANARIES.search(data), path.relative_to(folder)
            assert data.startswith(b"PAR1") or not ENDINGS.search(data), path.relative_to(folder)
            assert not any(place in data for place in places), path.relative_to(folder)
    said = "".join(outcome.said for outcome in (run.refused, run.built, run.released))
    written = [(workspace / name).read_text() for name in ("dvc.lock", "releases/sensai-dbd-1.0.0.dvc")]
    for text in (said, *written):
        assert not CANARIES.search(text.encode())
        assert not ENDINGS.search(text.encode())
