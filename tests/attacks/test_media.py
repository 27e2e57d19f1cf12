"""Sound, pictures, archives and programs put where tables belong: under their own names and in every disguise."""

from __future__ import annotations

import base64
import csv
import os
import pickle
import shutil
import socket
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from table_kit import SHARED, column, needs_real_files, table_schema

from sensai_release.errors import InputError
from sensai_release.pipeline.validate import validate
from sensai_release.pipeline.workspace import Workspace, init_workspace, open_workspace
from sensai_release.table.findings import Finding
from sensai_release.table.readers import read_file
from sensai_release.table.stowaways import hidden_in_text, media_kind, stowaway_findings
from sensai_release.table.synthetic import generate_source

MEDIA = sorted((SHARED / "media").glob("*")) if SHARED.is_dir() else []
each_medium = pytest.mark.parametrize("medium", MEDIA, ids=lambda path: path.name)
pytestmark = needs_real_files

ANYTHING = table_schema(column("a", "string", nullable=True), column("b", "string", nullable=True, required=False))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stowaways") / "workspace"
    init_workspace(root)
    workspace = open_workspace(root)
    generate_source(workspace.source, workspace.schemas, participants=6, sessions=2, seconds=6, seed=1)
    return root


@pytest.fixture(scope="module")
def opened(clean: Path) -> Workspace:
    """The clean workspace, for looking only."""
    return open_workspace(clean)


@pytest.fixture
def workspace(clean: Path, tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    shutil.copytree(clean, root, ignore=shutil.ignore_patterns(".git", ".dvc", "work"))
    return open_workspace(root)


def errors(workspace: Workspace) -> list[Finding]:
    return [finding for finding in validate(workspace).findings if finding.severity == "error"]


def is_refusal(code: str) -> bool:
    return code in ("file.media", "file.not_text", "file.encoding") or code.startswith("stowaway.")


def with_cell(path: Path, name: str, cell: str) -> None:
    """The first data row of a small file with `cell` in the column `name`."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    rows[1][[title.strip() for title in rows[0]].index(name)] = cell
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_the_clean_workspace_is_clean(workspace: Workspace) -> None:
    assert errors(workspace) == []


class TestFiles:
    @each_medium
    def test_under_its_own_name(self, medium: Path) -> None:
        data = medium.read_bytes()
        assert media_kind(data[:1024], data[-65_557:]) is not None

    def test_all_of_them_in_one_source_folder(self, workspace: Workspace) -> None:
        for medium in MEDIA:
            shutil.copyfile(medium, workspace.source / medium.name)
        found = errors(workspace)
        assert [finding.code for finding in found] == ["source.unclaimed"] * len(MEDIA)
        assert all("by its content" in finding.message for finding in found)
        assert not any(medium.stem in finding.message for finding in found for medium in MEDIA)

    @each_medium
    def test_under_the_name_of_a_table(self, medium: Path, tmp_path: Path, opened: Workspace) -> None:
        path = tmp_path / "participants.csv"
        shutil.copyfile(medium, path)
        reading = read_file(path, opened.schemas["participants"], place="participants.csv")
        assert reading.table is None
        assert [finding.code for finding in reading.findings] == ["file.media"]

    def test_validation_goes_on_after_one(self, workspace: Workspace) -> None:
        recordings = sorted((workspace.source / "face").glob("*.csv"))
        shutil.copyfile(SHARED / "media" / "renamed_wav.csv", workspace.source / "participants.csv")
        shutil.copyfile(SHARED / "media" / "face.png", recordings[0])
        shutil.copyfile(SHARED / "media" / "testsrc.mp4", recordings[2])
        found = {(finding.code, finding.file) for finding in errors(workspace)}
        assert {
            ("file.media", "participants.csv"),
            ("file.media", "face/*.csv#1"),
            ("file.media", "face/*.csv#3"),
        } <= found

    @each_medium
    def test_under_the_name_of_a_recording(self, medium: Path, tmp_path: Path, opened: Workspace) -> None:
        path = tmp_path / "S1.csv"
        shutil.copyfile(medium, path)
        face = opened.schemas["face"]
        reading = read_file(path, face, place="face/*.csv#1", needed=frozenset({"timestamp"}))
        assert reading.table is None
        assert [finding.code for finding in reading.findings] == ["file.media"]

    @each_medium
    @pytest.mark.parametrize("before", [b"a,b\n1,2\n", b"a,b\n" + b"1,2\n" * 5000], ids=["short", "long"])
    def test_appended_to_a_table(self, medium: Path, before: bytes, tmp_path: Path) -> None:
        path = tmp_path / "thing.csv"
        path.write_bytes(before + medium.read_bytes())
        reading = read_file(path, ANYTHING, place="thing.csv")
        assert reading.table is None
        assert is_refusal(reading.findings[0].code)

    @each_medium
    def test_compressed_or_in_an_archive(self, medium: Path, tmp_path: Path) -> None:
        path = tmp_path / "thing.csv"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(medium, "a.csv")
        outer = tmp_path / "outer.csv"
        with zipfile.ZipFile(outer, "w") as archive:
            archive.write(path, "inner.zip")
        for wrapped in (path, outer):
            assert [f.code for f in read_file(wrapped, ANYTHING, place="thing.csv").findings] == ["file.media"]

    @pytest.mark.parametrize("protocol", range(6))
    @pytest.mark.parametrize("name", ["thing.csv", "thing.parquet", "thing.xlsx"])
    def test_a_pickle_is_never_loaded(self, protocol: int, name: str, tmp_path: Path) -> None:
        witness = tmp_path / "it-ran"
        path = tmp_path / name
        path.write_bytes(pickle.dumps(_Runs(witness), protocol))
        reading = read_file(path, ANYTHING, place="thing")
        assert reading.table is None or any(finding.severity == "error" for finding in reading.findings)
        assert not witness.exists()
        pickle.loads(path.read_bytes())  # noqa: S301 - shows that the witness would have told
        assert witness.exists()


class _Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.witness),)


class TestCells:
    @each_medium
    @pytest.mark.parametrize("form", ["base64", "base64url", "hex", "data URI"])
    def test_as_text_in_a_clinical_table(self, medium: Path, form: str, tmp_path: Path, opened: Workspace) -> None:
        data = medium.read_bytes()
        cell = {
            "base64": base64.b64encode(data).decode(),
            "base64url": base64.urlsafe_b64encode(data).decode(),
            "hex": data.hex(),
            "data URI": "data:application/octet-stream;base64," + base64.b64encode(data).decode(),
        }[form]
        schema = opened.schemas["pain_scores"]
        path = tmp_path / "pain_scores.csv"
        shutil.copyfile(opened.source / "pain_scores.csv", path)
        with_cell(path, "pain_description", cell)
        table = read_file(path, schema, place="pain_scores.csv").table
        assert table is not None
        (found,) = stowaway_findings(table, schema, place="pain_scores.csv")
        assert (found.column, found.row, found.count) == ("pain_description", 1, 1)
        assert found.code != "stowaway.encoded", "the kind should be told"

    def test_a_stowaway_in_a_cell_stops_validation(self, workspace: Workspace) -> None:
        cell = base64.b64encode((SHARED / "media" / "face.png").read_bytes()).decode()
        with_cell(workspace.source / "pain_scores.csv", "pain_description", cell)
        found = errors(workspace)
        assert [(f.code, f.file, f.column) for f in found] == [
            ("stowaway.image", "pain_scores.csv", "pain_description")
        ]
        assert cell[:16] not in repr(found)

    @each_medium
    @pytest.mark.parametrize("length", [60, 76])
    def test_cut_over_the_rows(self, medium: Path, length: int) -> None:
        text = base64.b64encode(medium.read_bytes()).decode()
        cells = [text[at : at + length] for at in range(0, len(text), length)]
        found = stowaway_findings(pa.table({"a": cells}), ANYTHING, place="thing.csv")
        assert [finding.column for finding in found] == ["a"]

    @each_medium
    def test_in_a_column_of_a_recording_that_nobody_reads(
        self, medium: Path, tmp_path: Path, opened: Workspace
    ) -> None:
        recording = min((opened.source / "face").glob("*.csv"))
        path = tmp_path / "S1.csv"
        shutil.copyfile(recording, path)
        with_cell(path, "p_scale", base64.b64encode(medium.read_bytes()).decode())
        needed = frozenset({"timestamp", "success"})
        reading = read_file(path, opened.schemas["face"], place="face/*.csv#1", needed=needed)
        assert reading.table is None
        assert [finding.code.split(".")[0] for finding in reading.findings] == ["stowaway"]


SOUNDS = [path for path in MEDIA if path.suffix == ".wav" and path.stem.startswith("syn")]


class TestNumbers:
    @pytest.mark.parametrize("sound", SOUNDS, ids=lambda path: path.name)
    @pytest.mark.parametrize("form", ["8-bit", "16-bit", "float", "six decimals"])
    @pytest.mark.parametrize("width", [1, 64, 256])
    def test_speech_as_samples(self, sound: Path, form: str, width: int) -> None:
        with wave.open(str(sound)) as file:
            samples = np.frombuffer(file.readframes(-1), "<i2").astype(np.int64)
        made = {
            "8-bit": samples // 256 + 128,
            "16-bit": samples,
            "float": samples / 32768,
            "six decimals": np.round(samples / 32768, 6),
        }[form]
        lines = made[: len(made) // width * width].reshape(-1, width)
        table = pa.table({f"s{number}": lines[:, number] for number in range(width)})
        assert [f.code for f in stowaway_findings(table, ANYTHING, place="x.csv")] == ["stowaway.samples"]

    @pytest.mark.parametrize("shape", ["lines", "one column", "one row"])
    def test_a_portrait_as_pixels(self, shape: str) -> None:
        data = (SHARED / "media" / "face.bmp").read_bytes()
        start, width, height = (int.from_bytes(data[at : at + 4], "little") for at in (10, 18, 22))
        colours = np.frombuffer(data, np.uint8, width * height * 3, start).reshape(height, width, 3)
        grey = colours.mean(axis=2).astype(np.int64)
        matrix = {"lines": grey, "one column": grey.reshape(-1, 1), "one row": grey.reshape(1, -1)}[shape]
        table = pa.table({f"pixel_{number}": matrix[:, number] for number in range(matrix.shape[1])})
        assert [f.code for f in stowaway_findings(table, ANYTHING, place="x.csv")] == ["stowaway.samples"]


class TestParquet:
    def refused(self, table: pa.Table, folder: Path) -> list[str]:
        path = folder / "thing.csv"
        pq.write_table(table, path)
        reading = read_file(path, ANYTHING, place="thing.csv")
        found = list(reading.findings)
        if reading.table is not None:
            found += stowaway_findings(reading.table, ANYTHING, place="thing.csv")
        return [finding.code for finding in found if finding.severity == "error"]

    @each_medium
    def test_in_a_cell(self, medium: Path, tmp_path: Path) -> None:
        data = medium.read_bytes()
        text = base64.b64encode(data).decode()
        assert self.refused(pa.table({"a": ["x"], "b": pa.array([data], pa.binary())}), tmp_path) == ["column.binary"]
        assert self.refused(pa.table({"a": ["x"], "b": [list(data[:64])]}), tmp_path) == ["column.nested"]
        (code,) = self.refused(pa.table({"a": ["x", text], "b": ["y", "z"]}), tmp_path)
        assert code.startswith("stowaway.")
        assert self.refused(pa.table({"a": ["x", data.decode("latin-1")]}), tmp_path) == ["stowaway.binary"]

    def test_metadata_is_reported_and_left_behind(self, tmp_path: Path) -> None:
        picture = base64.b64encode((SHARED / "media" / "face.png").read_bytes())
        table = pa.table({"a": ["x"], "b": ["y"]}).replace_schema_metadata({"thumbnail": picture})
        path = tmp_path / "thing.csv"
        pq.write_table(table, path)
        reading = read_file(path, ANYTHING, place="thing.csv")
        assert reading.table is not None
        assert [(finding.code, finding.severity) for finding in reading.findings] == [("file.metadata", "warning")]
        assert not reading.table.schema.metadata
        assert all(not field.metadata for field in reading.table.schema)


class TestOddFiles:
    @pytest.fixture(params=["link", "link to nowhere", "link to a device", "pipe", "socket"])
    def odd(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
        path = tmp_path / "odd"
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "socket":
            with socket.socket(socket.AF_UNIX) as server:
                here = Path.cwd()
                os.chdir(tmp_path)  # a socket's path is short
                try:
                    server.bind("odd")
                finally:
                    os.chdir(here)
                yield path
            return
        else:
            target = tmp_path / "target.csv"
            if request.param == "link":
                target.write_text("a,b\n1,2\n")
            path.symlink_to("/dev/zero" if request.param == "link to a device" else target)
        yield path

    # A pipe without a writer would hold the reader for ever; the suite has no time limit of its own to tell.
    def test_is_refused_at_once_by_the_reader(self, odd: Path) -> None:
        with pytest.raises(InputError) as caught:
            read_file(odd, ANYTHING, place="thing.csv")
        assert str(odd) not in str(caught.value)

    @pytest.mark.parametrize("name", ["participants.csv", "face/S1.csv", "stray.csv"])
    def test_is_refused_at_once_by_validate(self, odd: Path, name: str, workspace: Workspace) -> None:
        target = workspace.source / name
        target.unlink(missing_ok=True)
        odd.rename(target)
        assert "source.not_a_file" in [finding.code for finding in errors(workspace)]


def real_tables() -> list[Path]:
    return sorted(
        path for kind in ("csv", "parquet") for path in SHARED.glob(f"*/*.{kind}") if path.parent.name != "media"
    )


@pytest.mark.parametrize("path", real_tables(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_real_table_is_taken_for_a_stowaway(path: Path) -> None:
    data = path.read_bytes()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
    else:
        assert media_kind(data[:1024], data[-65_557:]) is None
        assert hidden_in_text(data, data.index(b"\n")) is None
        delimiter = ";" if data.split(b"\n")[0].count(b";") else ","
        width = data.split(b"\n")[0].count(delimiter.encode()) + 1
        options = pa.csv.ReadOptions(
            block_size=1 << 24, skip_rows=1, column_names=[f"c{number}" for number in range(width)]
        )
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            options,
            pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=lambda row: "skip"),
        )
    assert table.num_columns > 1
    assert stowaway_findings(table, ANYTHING, place="thing.csv") == ()
