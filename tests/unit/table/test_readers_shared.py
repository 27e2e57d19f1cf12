"""Every file of the collection of real tool output reads right or is refused: the table in docs/formats.md is true."""

from __future__ import annotations

import csv
import datetime
import re
from pathlib import Path
from typing import Any

import pytest
from table_kit import SHARED, column, needs_real_files, table_schema

from sensai_release.table.readers import Reading, read_file
from sensai_release.table.schema import TableSchema

pytestmark = needs_real_files

FORMATS = Path(__file__).resolve().parents[3] / "docs" / "formats.md"
FACE = table_schema(
    column("frame", "integer"),
    column("face_id", "integer", required=False),
    column("(timestamp|confidence)"),
    column("success", "integer"),
    column("AU\\d\\d_r"),
    column("AU\\d\\d_c", "integer", required=False),
    column("(pose|gaze|eye_lmk|p)_.*"),
    column("[xyzXYZ]_\\d+", required=False),
    reader="openface",
)
VOICE = table_schema(
    column("recording", "string", required=False),
    column("file", "string"),
    column("name", "string", required=False),
    column("session", "category", required=False),
    column("(start|end)", "number", required=False),
    column(".*[A-Za-z].*", "number"),
    reader="opensmile",
    source={"recording_key": "recording", "key_from_stem_of": "file"},
)
# Types that a steward would declare, where the cells themselves suggest another one.
DECLARED = {
    "redcap_decimal_comma_data.csv": {"height": "number", "weight": "number"},
    "castor_data_file_study_labels.xlsx": {"factor V Leiden": "number", "date baseline blood sample": "date"},
    "castor_data_file_report_medication_labels.xlsx": {"startdate": "date", "stopdate": "date", "dose": "number"},
    "cdisc_pilot_cm.csv": {"CMSTDTC": "date"},
}
TABLES = sorted(
    str(path.relative_to(SHARED)) for path in SHARED.rglob("*") if path.suffix in (".csv", ".arff", ".parquet", ".xlsx")
)
ALL = sorted(str(path.relative_to(SHARED)) for path in SHARED.rglob("*") if path.is_file() and path.parent != SHARED)


def documented() -> dict[str, str]:
    row = re.compile(r"^\| `([^`]+)` \|.*\| (read|refused: [a-z_., ]+) \|[^|]*\|$", re.MULTILINE)
    return dict(row.findall(FORMATS.read_text("utf-8")))


def plain(path: Path) -> tuple[list[str], list[list[Any]]]:
    """The oracles: Python's own csv module, and openpyxl in its other mode. Cells of text are trimmed."""
    if path.suffix == ".xlsx":
        import openpyxl

        sheet = openpyxl.load_workbook(path, data_only=True).worksheets[0]
        rows = [list(row) for row in sheet.iter_rows(values_only=True) if any(cell is not None for cell in row)]
        return [str(name or "") for name in rows[0]], rows[1:]
    data = path.read_text("utf-8-sig")
    delimiter = ";" if data.count(";", 0, 200) > data.count(",", 0, 200) else ","
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.reader(file, delimiter=delimiter))
    return [name.strip() for name in table[0]], [[cell.strip() for cell in row] for row in table[1:] if row]


def is_number(cell: Any) -> bool:
    form = r"(?i)[+-]?\d*\.?\d+(?:e[+-]?\d+)?"
    return isinstance(cell, int | float) or re.fullmatch(form, str(cell)) is not None


def own_schema(path: Path) -> TableSchema:
    """Declares what the cells of the file suggest: numbers where all of them are, text elsewhere."""
    if path.suffix == ".parquet" or path.parent == SHARED / "media":
        return VOICE
    names, rows = plain(path)
    declared = DECLARED.get(path.name, {})
    columns = []
    for position, name in enumerate(names):
        cells = [row[position] for row in rows if position < len(row) and row[position] not in ("", None)]
        dtype = declared.get(name, "number" if cells and all(map(is_number, cells)) else "string")
        entry = column("x", dtype, nullable=True)
        entry["name"] = name or f"unnamed {position}"
        columns.append(entry)
    return table_schema(*columns)


def read(name: str) -> tuple[Reading, TableSchema]:
    path = SHARED / name
    schema = {"openface": FACE, "opensmile": VOICE, "media": VOICE}.get(path.parent.name) or (
        own_schema(path) if path.suffix in (".csv", ".xlsx") else VOICE
    )
    return read_file(path, schema, place="file"), schema


def outcome(reading: Reading) -> str:
    codes = sorted({finding.code for finding in reading.findings if finding.severity == "error"})
    assert codes or reading.table is not None
    return f"refused: {', '.join(codes)}" if codes else "read"


def test_every_file_is_in_the_documentation() -> None:
    assert sorted(documented()) == ALL
    assert len(ALL) == 77


@pytest.mark.parametrize("name", ALL)
def test_what_the_documentation_says_is_true(name: str) -> None:
    reading, _ = read(name)
    assert outcome(reading) == documented()[name]


def as_declared(cell: Any, dtype: str) -> Any:
    if cell in ("", None):
        return None
    if dtype == "number":
        return float(str(cell).replace(",", "."))
    if dtype == "integer":
        return int(float(cell))
    if dtype == "date":
        return datetime.datetime.strptime(cell, "%d-%m-%Y").date()  # noqa: DTZ007
    return str(cell).strip()


@pytest.mark.parametrize("name", [name for name in TABLES if name.endswith((".csv", ".xlsx"))])
def test_what_is_read_is_what_the_file_says(name: str) -> None:
    reading, schema = read(name)
    if outcome(reading) != "read":
        pytest.skip("refused; the test above holds why")
    assert reading.table is not None
    names, rows = plain(SHARED / name)
    assert reading.table.num_rows == len(rows)
    left_out = {"file", "start", "end", "name"} if schema is VOICE else set()
    seen = [label for label in names if label not in left_out]
    assert set(reading.table.column_names) - {"recording"} - left_out == set(seen)
    for label in seen[:: max(1, len(seen) // 60)]:
        position, spec = names.index(label), schema.match(label)
        assert spec is not None
        assert reading.table.column(label).to_pylist() == [as_declared(row[position], spec.dtype) for row in rows]


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("egemapsv02_functionals.parquet", "egemapsv02_functionals.csv"),
        ("egemapsv02_dutch_excel.csv", "egemapsv02_functionals.csv"),
        ("native_egemapsv02.arff", "native_egemapsv02_functionals.csv"),
    ],
)
def test_the_same_features_in_two_containers(name: str, twin: str) -> None:
    first, second = (read(f"opensmile/{file}")[0].table for file in (name, twin))
    assert first is not None
    assert second is not None
    for label in second.column_names:
        left, right = first.column(label).to_pylist(), second.column(label).to_pylist()
        assert left == (pytest.approx(right, rel=1e-6) if isinstance(right[0], float) else right), label
