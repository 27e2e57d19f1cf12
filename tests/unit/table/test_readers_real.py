"""Every file of real tool output is read right, or refused with a reason."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from table_kit import SHARED, column, needs_real_files, table_schema

from sensai_release.table.readers import Reading, read_file
from sensai_release.table.schema import TableSchema

pytestmark = needs_real_files

FACE = table_schema(
    column("frame", "integer"),
    column("face_id", "integer", required=False),
    column("timestamp"),
    column("confidence"),
    column("success", "integer"),
    column("AU\\d\\d_r"),
    column("AU\\d\\d_c", "integer"),
    column("(pose|gaze|eye_lmk|p)_.*"),
    column("[xyzXYZ]_\\d+"),
    reader="openface",
)
VOICE = table_schema(
    column("session", "string", required=False),
    column("file", "string", required=False),
    column("name", "string", required=False),
    column("(start|end)", "number"),
    column(".*[A-Za-z].*", "number"),
    reader="opensmile",
    source={"recording_key": "session", "key_from_stem_of": "file"},
)


def read(path: Path, schema: TableSchema) -> Reading:
    return read_file(path, schema, place="file")


def plain(path: Path, delimiter: str = ",") -> tuple[list[str], list[list[str]]]:
    """The oracle: Python's own csv module."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter=delimiter))
    return [name.strip() for name in rows[0]], rows[1:]


def numbers(cells: list[str]) -> list[float | None]:
    return [float(cell.replace(",", ".")) if cell.strip() else None for cell in cells]


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("odbm_subj01_timepoint01", 714),
        ("odbm_subj01_timepoint02", 714),
        ("facsvatar_head_test_raw", 713),
        ("pyfeat_OpenFace_Test", 431),
        ("facsvatar_2people_60fps_p0_clean", 26),
    ],
)
def test_openface(name: str, width: int) -> None:
    path = SHARED / "openface" / f"{name}.csv"
    header, rows = plain(path)
    reading = read(path, FACE)
    assert reading.findings == ()
    assert reading.table is not None
    assert (reading.rows, reading.columns_read) == (len(rows), width)
    assert set(reading.table.column_names) == set(header)
    for label in header[:: max(1, width // 30)]:
        position = header.index(label)
        assert reading.table.column(label).to_pylist() == numbers([row[position] for row in rows]), label


def test_openface_with_an_unnamed_index_is_refused() -> None:
    reading = read(SHARED / "openface" / "exploface_au_only_indexed.csv", FACE)
    assert ("column.undeclared", "#1") in [(finding.code, finding.column) for finding in reading.findings]


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [
        ("egemapsv02_functionals", ","),
        ("egemapsv02_lld", ","),
        ("egemapsv02_dutch_excel", ";"),
        ("egemapsv02_identifying_filenames", ","),
        ("compare2016_functionals", ","),
        ("emobase_functionals", ","),
        ("native_egemapsv02_functionals", ";"),
        ("native_egemapsv02_syn01_nl_s1_lld", ";"),
    ],
)
def test_opensmile(name: str, delimiter: str) -> None:
    path = SHARED / "opensmile" / f"{name}.csv"
    header, rows = plain(path, delimiter)
    reading = read(path, VOICE)
    assert reading.findings == ()
    assert reading.table is not None
    assert reading.rows == len(rows)
    result = reading.table.to_pydict()
    assert set(result) == (set(header) - {"file", "name"}) | {"session"}
    first = 3 if "file" in header else 1
    for position in range(first, len(header), max(1, len(header) // 30)):
        assert result[header[position]] == numbers([row[position] for row in rows])
    if "file" in header:
        assert result["session"] == [row[header.index("file")].split("/")[-1].removesuffix(".wav") for row in rows]
        assert all(end > start for start, end in zip(result["start"], result["end"], strict=True))
    else:
        assert result["session"] == [row[0].strip("'") for row in rows]


@pytest.mark.parametrize("path", sorted((SHARED / "clinical").glob("*.csv")), ids=lambda path: path.stem)
def test_clinical_tables_as_text(path: Path) -> None:
    header, rows = plain(path)
    reading = read(path, table_schema(*(column(name, "string") for name in header)))
    assert reading.findings == ()
    assert reading.table is not None
    for position, name in enumerate(header):
        cells = reading.table.column(name).to_pylist()
        # Line ends within a cell are kept as they are by both.
        assert cells == [row[position].strip() or None for row in rows], name


def test_clinical_numbers() -> None:
    lung = table_schema(
        *(column(name, "integer") for name in ("time", "status", "age", "sex")),
        *(column(name, nullable=True) for name in ("inst", "ph.ecog", "ph.karno", "pat.karno", "meal.cal", "wt.loss")),
    )
    path = SHARED / "clinical" / "lung_ncctg_lifelines.csv"
    header, rows = plain(path)
    reading = read(path, lung)
    assert reading.findings == ()
    assert reading.table is not None
    for position, name in enumerate(header):
        assert reading.table.column(name).to_pylist() == numbers([row[position] for row in rows])


def test_decimal_commas_between_commas_are_wrong_cells() -> None:
    schema = table_schema(
        *(column(name, "string") for name in ("record_id", "name", "demographics_complete")),
        *(column(name) for name in ("height", "weight", "bmi")),
    )
    reading = read(SHARED / "clinical" / "redcap_decimal_comma_data.csv", schema)
    assert {(finding.code, finding.column) for finding in reading.findings} == {
        ("value.type", "height"),
        ("value.type", "weight"),
    }


@pytest.mark.parametrize("path", sorted((SHARED / "media").glob("*")), ids=lambda path: path.name)
def test_media_are_refused_whatever_they_are_called(path: Path) -> None:
    assert [finding.code for finding in read(path, FACE).findings] == ["file.media"]
