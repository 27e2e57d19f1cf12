"""Every kind of bad input that intake must stop, by its name, as `validate` meets it in a workspace.

An index: a file that changes while it is read and the bombs cannot be told so, and stand in `test_readers` and in
`test_bombs`. Each kind has deeper tests beside the module that stops it (`test_csv_faults`, `test_parquet_faults`,
`test_media`, `tests/unit/table`). All files are made here, so that nothing outside the project is needed.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import os
import pickle
import shutil
import tarfile
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sensai_release.pipeline.validate import validate
from sensai_release.pipeline.workspace import Workspace, init_workspace, open_workspace
from sensai_release.table.readers import read_file
from sensai_release.table.synthetic import generate_source

Rows = list[list[str]]
SECRET = "Zq7Planted"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("index") / "workspace"
    init_workspace(root)
    workspace = open_workspace(root)
    generate_source(workspace.source, workspace.schemas, participants=4, sessions=1, seconds=6, seed=1)
    found = validate(workspace).findings
    assert [finding for finding in found if finding.severity == "error"] == []
    return root


@pytest.fixture
def workspace(clean: Path, tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    shutil.copytree(clean, root, ignore=shutil.ignore_patterns(".git", ".dvc", "work", "reports"))
    return open_workspace(root)


def codes(workspace: Workspace) -> set[str]:
    report = validate(workspace)
    assert SECRET not in repr(report)
    return {finding.code for finding in report.findings if finding.severity == "error"}


def rows_of(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as text:
        return list(csv.reader(text))


def change(name: str, edit: Callable[[Rows], object], *, delimiter: str = ",") -> Callable[[Path], None]:
    """Rewrites one source file after an edit of its rows."""

    def spoil(source: Path) -> None:
        rows = rows_of(source / name)
        edit(rows)
        with (source / name).open("w", newline="", encoding="utf-8") as out:
            csv.writer(out, delimiter=delimiter).writerows(rows)

    return spoil


def cell(column: str, *values: str, name: str = "participants.csv") -> Callable[[Path], None]:
    """The first cells of one column of a clinical table, replaced."""

    def edit(rows: Rows) -> None:
        for row, value in zip(rows[1:], values, strict=False):
            row[rows[0].index(column)] = value

    return change(name, edit)


def twin(title: Callable[[str], str]) -> Callable[[Path], None]:
    """A second column of one name, but for what `title` makes of it."""

    def edit(rows: Rows) -> None:
        at = rows[0].index("height_cm")
        for number, row in enumerate(rows):
            row.append(row[at] if number else title("height_cm"))

    return change("participants.csv", edit)


def mixed_decimals(rows: Rows) -> None:
    at = rows[0].index("height_cm"), rows[0].index("weight_kg")
    for row in rows[1:]:
        row[at[0]], row[at[1]] = "170,5", "70.5"


def with_index(rows: Rows) -> None:
    for number, row in enumerate(rows[1:]):
        row.insert(0, str(number))


def instead(name: str, make: Callable[[], bytes]) -> Callable[[Path], None]:
    def spoil(source: Path) -> None:
        (source / name).write_bytes(make())

    return spoil


def behind(name: str, make: Callable[[], bytes]) -> Callable[[Path], None]:
    """A file of two kinds: a table, and something else behind it."""

    def spoil(source: Path) -> None:
        (source / name).write_bytes((source / name).read_bytes() + make())

    return spoil


def wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(voice(4000).astype("<i2").tobytes())
    return out.getvalue()


def voice(count: int) -> Any:
    """A made-up voice: harmonics of a gliding pitch under syllables, with breath noise, 16-bit samples at 16 kHz."""
    rng = np.random.default_rng(5)
    time = np.arange(count) / 16_000
    phase = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.5 * time)) / 16_000
    tone = sum(np.sin(order * phase + rng.uniform(0, 6)) / order for order in range(1, 12))
    loud = 0.2 + np.abs(np.sin(2 * np.pi * 4 * time))
    return np.rint(5000 * loud * (tone + 0.02 * rng.normal(size=count))).clip(-32768, 32767)


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def tarred(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("participants.csv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def png() -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + np.random.default_rng(2).bytes(3000)


def chunked(rows: Rows) -> None:
    """A picture as base64, in pieces of 76 characters, one piece to a row of the free text."""
    text = base64.b64encode(png()).decode()
    at = rows[0].index("pain_description")
    first = list(rows[1])
    pieces = [text[start : start + 76] for start in range(0, len(text), 76)]
    rows[1:] = [[*first[:at], piece, *first[at + 1 :]] for piece in pieces]


def described(text: str) -> Callable[[Path], None]:
    return cell("pain_description", text, name="pain_scores.csv")


def parquet(**columns: Any) -> Callable[[Path], None]:
    """The table of pain scores as Parquet, with columns replaced or added."""

    def spoil(source: Path) -> None:
        path = source / "pain_scores.csv"
        header, *rows = rows_of(path)
        cells = {name: pa.array(list(values)) for name, values in zip(header, zip(*rows, strict=True), strict=True)}
        cells |= {name: make(len(rows)) for name, make in columns.items()}
        pq.write_table(pa.table(cells), path)

    return spoil


def waveform(source: Path) -> None:
    """Samples of speech in a column of numbers, one to a frame, in place of a feature."""
    path = min((source / "face").glob("*.csv"))
    header, first, *_ = rows_of(path)
    names = [name.strip() for name in header]
    at, frame, time = (names.index(name) for name in ("gaze_angle_x", "frame", "timestamp"))
    rows = []
    for number, value in enumerate(voice(4000).tolist()):
        row = list(first)
        row[at], row[frame], row[time] = f"{value / 32768:.6f}", str(number + 1), f"{number / 30:.3f}"
        rows.append(row)
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([header, *rows])


def link(source: Path) -> None:
    (source / "consent.csv").rename(source.parent / "elsewhere.csv")
    (source / "consent.csv").symlink_to(source.parent / "elsewhere.csv")


def device(source: Path) -> None:
    """A link to one: making a device itself needs the rights of root."""
    (source / "consent.csv").unlink()
    (source / "consent.csv").symlink_to("/dev/zero")


def fifo(source: Path) -> None:
    (source / "consent.csv").unlink()
    os.mkfifo(source / "consent.csv")


def gzipped(source: Path) -> None:
    path = source / "participants.csv"
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def swallow(source: Path) -> None:
    """Two marks in the free text of two rows: one well-formed cell, and the rows between are gone."""
    path = source / "pain_scores.csv"
    header, *rows = rows_of(path)
    at = header.index("pain_description")
    for row in rows:
        row[at] = "dull"
    rows[0][at], rows[2][at] = '"dull', 'dull"'
    path.write_text("".join(",".join(row) + "\n" for row in [header, *rows]))


MEDIUM = {"file.media"}
BAD: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "mixed decimal comma and point": (
        change("participants.csv", mixed_decimals, delimiter=";"),
        {"number.mixed_decimal"},
    ),
    "ragged rows": (change("participants.csv", lambda rows: rows[2].pop()), {"row.ragged"}),
    "two headers that become equal after trimming": (twin(lambda name: f" {name} "), {"column.duplicate"}),
    "two headers that become equal after Unicode normalisation": (
        twin(lambda name: name.replace("h", "\uff48")),
        {"column.duplicate"},
    ),
    "1 beside 1.0 beside 01 as keys": (cell("participant_id", "1", "1.0", "01"), {"key.forms"}),
    "2^63 as an integer": (cell("age_years", str(2**63)), {"value.type"}),
    "1e309 as a number": (cell("weight_kg", "1e309"), {"value.not_finite"}),
    "more values than names": (
        change("participants.csv", with_index),
        {"row.unnamed"},
    ),
    "rows swallowed by two stray quotation marks": (swallow, {"row.swallowed"}),
    "a WAV named .csv": (instead("participants.csv", wav), MEDIUM),
    "a PDF named .csv": (instead("participants.csv", lambda: b"%PDF-1.7\n1 0 obj\n" + bytes(99)), MEDIUM),
    "a DICOM file named .csv": (instead("participants.csv", lambda: bytes(128) + b"DICM\2\0\0\0UL"), MEDIUM),
    "a zip archive named .csv": (instead("participants.csv", lambda: zipped("participants.csv", b"a,b\n")), MEDIUM),
    "a tar archive named .csv": (instead("participants.csv", lambda: tarred(b"a,b\n")), MEDIUM),
    "an archive in an archive": (
        instead("participants.csv", lambda: zipped("a.zip", zipped("participants.csv", b"a,b\n"))),
        MEDIUM,
    ),
    "a compressed table": (gzipped, MEDIUM),
    "a pickle named .csv": (instead("participants.csv", lambda: pickle.dumps({"a": [1, 2.5]})), MEDIUM),
    "a polyglot of a table and a picture": (behind("participants.csv", png), MEDIUM | {"file.not_text"}),
    "a polyglot of a table and an archive": (
        behind("participants.csv", lambda: zipped("a.bin", np.random.default_rng(3).bytes(999))),
        MEDIUM | {"file.not_text"},
    ),
    "a base64 cell": (described(base64.b64encode(png()).decode()), {"stowaway.image"}),
    "a data URI cell": (
        described("data:image/png;base64," + base64.b64encode(png()).decode()),
        {"stowaway.data_uri"},
    ),
    "a hex cell": (described(png().hex()), {"stowaway.image"}),
    "a file chunked over rows": (change("pain_scores.csv", chunked), {"stowaway.image", "stowaway.encoded"}),
    "a nested Parquet column": (
        parquet(pain_description=lambda rows: pa.array([[1, 2]] * rows)),
        {"column.nested"},
    ),
    "a binary Parquet column": (
        parquet(pain_description=lambda rows: pa.array([png()] * rows, pa.binary())),
        {"column.binary"},
    ),
    "an array of pixels in a list": (
        parquet(pain_description=lambda rows: pa.array([list(range(256))] * rows, pa.list_(pa.uint8()))),
        {"column.nested"},
    ),
    "a waveform in a column of numbers": (waveform, {"stowaway.samples"}),
    "a symbolic link": (link, {"source.not_a_file"}),
    "a device": (device, {"source.not_a_file"}),
    "a FIFO": (fifo, {"source.not_a_file"}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(workspace: Workspace, name: str) -> None:
    spoil, expected = BAD[name]
    spoil(workspace.source)
    assert codes(workspace) & expected


def test_key_value_metadata_is_reported_and_left_behind(workspace: Workspace) -> None:
    path = workspace.source / "pain_scores.csv"
    header, *rows = rows_of(path)
    table = pa.table(dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)))
    pq.write_table(table.replace_schema_metadata({"thumbnail": SECRET}), path)
    report = validate(workspace)
    assert ("file.metadata", "warning") in {(finding.code, finding.severity) for finding in report.findings}
    assert SECRET not in repr(report)
    reading = read_file(path, workspace.schemas["pain_scores"], place="pain_scores.csv")
    assert reading.table is not None
    assert not reading.table.schema.metadata


def test_the_identifier_column_of_a_redcap_dictionary_is_obeyed(workspace: Workspace) -> None:
    schema = workspace.root / "schemas" / "participants.yaml"
    text = schema.read_text()
    assert "file: participants.csv," in text
    schema.write_text(text.replace("file: participants.csv,", "file: participants.csv, dictionary: redcap.csv,", 1))
    (workspace.source / "redcap.csv").write_text(
        "Variable / Field Name,Form Name,Identifier?\nparticipant_id,a,y\nage_years,a,y\n"
    )
    report = validate(open_workspace(workspace.root))
    assert [finding.column for finding in report.findings if finding.code == "identifier.marked"] == ["age_years"]
