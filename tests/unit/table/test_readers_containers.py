"""Parquet, workbooks, wide files and REDCap's dictionary: what is taken, and what is refused for which reason."""

from __future__ import annotations

import datetime
import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl.comments import Comment
from table_kit import SHARED, column, needs_real_files, table_schema

from sensai_release.errors import InputError
from sensai_release.table.readers import Reading, ReadLimits, check_marked, marked_identifiers, read_file
from sensai_release.table.readers.gather import gather
from sensai_release.table.schema import TableSchema

THINGS = table_schema(
    column("id", "string"),
    column("n", "integer", required=False, nullable=True),
    column("x", "number", required=False, nullable=True),
    column("flag", "boolean", required=False),
    column("day", "date", required=False),
    column("at", "datetime", required=False),
)


def read(folder: Path, content: bytes, schema: TableSchema = THINGS, **more: Any) -> Reading:
    path = folder / "SECRET-name.csv"
    path.write_bytes(content)
    return read_file(path, schema, place="things.csv", **more)


def codes(reading: Reading) -> list[tuple[str, str | None, str]]:
    return [(finding.code, finding.column, finding.severity) for finding in reading.findings]


def values(reading: Reading) -> dict[str, list[Any]]:
    assert reading.table is not None
    result: dict[str, list[Any]] = reading.table.to_pydict()
    return result


def parquet(table: pa.Table, **more: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **more)
    return out.getvalue()


class TestParquet:
    def test_every_type(self, tmp_path: Path) -> None:
        table = pa.table(
            {
                "id": pa.array([" a", "b", ""]).dictionary_encode(),
                "n": pa.array([1.0, None, float("nan")]),
                "x": pa.array([1, 2, None], pa.int16()),
                "flag": [True, False, None],
                "day": pa.array([datetime.date(2021, 3, 5)] * 3, pa.date64()),
                "at": pa.array([1_614_900_000_000_001_000, None, 0], pa.timestamp("ns")),
            }
        )
        reading = read(tmp_path, parquet(table))
        assert codes(reading) == []
        assert reading.table is not None
        assert reading.table.schema.types == [
            *(pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us"))
        ]
        result = values(reading)
        assert result["id"] == ["a", "b", None]
        assert result["n"] == [1, None, None]
        assert result["x"] == [1.0, 2.0, None]
        assert result["at"][0].microsecond == 1

    @pytest.mark.parametrize(
        ("name", "cells"),
        [
            ("id", pa.array([17.0])),
            ("n", pa.array([1.5])),
            ("n", pa.array([2**63], pa.uint64())),
            ("n", pa.array([True])),
            ("n", pa.array(["1.0"])),
            ("x", pa.array([datetime.date(2021, 3, 5)])),
            ("x", pa.array(["1,5"])),
            ("day", pa.array([86_400_001], pa.timestamp("ms"))),
            ("at", pa.array([1], pa.timestamp("ns"))),
            ("day", pa.array([5])),
        ],
    )
    def test_nothing_is_lost_on_the_way_to_a_type(self, tmp_path: Path, name: str, cells: pa.Array) -> None:
        table = pa.table({"id": pa.array(["a"]), name: cells}) if name != "id" else pa.table({"id": cells})
        reading = read(tmp_path, parquet(table))
        assert codes(reading) == [("value.type", name, "error")]
        assert name not in values(reading)

    def test_infinite_numbers(self, tmp_path: Path) -> None:
        reading = read(tmp_path, parquet(pa.table({"id": ["a"], "x": [float("inf")]})))
        assert codes(reading) == [("value.not_finite", "x", "error")]
        whole = read(tmp_path, parquet(pa.table({"id": ["a", "b"], "n": [float("inf"), float("nan")]})))
        assert codes(whole) == [("value.not_finite", "n", "error")]

    @pytest.mark.parametrize(
        ("cells", "code"),
        [
            (pa.array([[1, 2]]), "column.nested"),
            (pa.array([{"a": 1}]), "column.nested"),
            (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), "column.nested"),
            (pa.array([b"RIFF"]), "column.binary"),
            (pa.array([b"RIFF"], pa.binary(4)), "column.binary"),
            (pa.array([b"RIFF"], pa.large_binary()), "column.binary"),
        ],
    )
    def test_nested_and_binary_columns(self, tmp_path: Path, cells: pa.Array, code: str) -> None:
        reading = read(tmp_path, parquet(pa.table({"id": ["a"], "Jansen": cells})))
        assert reading.table is None
        assert codes(reading) == [(code, "#2", "error")]

    def test_metadata_is_left_behind_and_reported(self, tmp_path: Path) -> None:
        table = pa.table({"id": ["a"]}).replace_schema_metadata({"pandas": "{}", "patient": "SECRET"})
        reading = read(tmp_path, parquet(table))
        assert codes(reading) == [("file.metadata", None, "warning")]
        assert reading.findings[0].count == 2
        assert reading.table is not None
        assert reading.table.schema.metadata is None

    def test_columns_by_name(self, tmp_path: Path) -> None:
        table = pa.table([["a"], [1.0], [2.0]], names=["id", "x", "x "])
        assert codes(read(tmp_path, parquet(table))) == [("column.duplicate", "x", "error")]
        extra = pa.table({"id": ["a"], "__index_level_0__": [0]})
        assert codes(read(tmp_path, parquet(extra))) == [("column.undeclared", "__index_level_0__", "error")]
        needed = read(tmp_path, parquet(pa.table({"x": [1.0], "id": ["a"]})), needed=frozenset({"x"}))
        assert values(needed) == {"x": [1.0]}

    def test_damage(self, tmp_path: Path) -> None:
        content = bytearray(parquet(pa.table({"id": ["abcdefgh"] * 50}), write_page_checksum=True, compression="none"))
        at = content.index(b"abcdefgh")
        content[at] ^= 1
        assert codes(read(tmp_path, bytes(content))) == [("file.damaged", None, "error")]
        assert codes(read(tmp_path, b"PAR1 and no more PAR1")) == [("file.damaged", None, "error")]

    def test_bounds(self, tmp_path: Path) -> None:
        small = ReadLimits(unfolded_bytes=1 << 20)
        rows = pa.table({"id": pa.array(["a"] * 200_000).dictionary_encode()})
        assert codes(read(tmp_path, parquet(rows), limits=small)) == [("file.too_large", None, "error")]
        long_text = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 5000]))
        folded = parquet(pa.table({"id": long_text}))
        assert len(folded) < 20_000
        assert codes(read(tmp_path, folded, limits=small)) == [("file.too_large", None, "error")]
        assert len(values(read(tmp_path, folded))["id"]) == 1000


def workbook(*rows: Sequence[Any], change: Callable[[Any], None] | None = None) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(list(row))
    if change is not None:
        change(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def repacked(content: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    """The workbook with one part of its archive altered, or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
        if part not in old.namelist():
            new.writestr(part, change(b""))
    return out.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


class TestWorkbook:
    def test_a_plain_table(self, tmp_path: Path) -> None:
        day = datetime.date(2021, 3, 5)
        moment = datetime.datetime(2021, 3, 5, 8, 30)  # noqa: DTZ001
        rows: list[list[Any]] = [
            ["007", 1, 1.5, True, day, moment],
            ["b ", None, "2.5", False, "2021-03-06", "2021-03-06"],
            [None, 3],
        ]
        reading = read(tmp_path, workbook(["id", " n", "x", "flag", "day", "at"], *rows))
        assert codes(reading) == []
        result = values(reading)
        assert result["id"] == ["007", "b", None]
        assert result["n"] == [1, None, 3]
        assert result["x"] == [1.5, 2.5, None]
        assert result["flag"] == [True, False, None]
        assert result["day"] == [day, datetime.date(2021, 3, 6), None]
        assert result["at"][0] == moment
        assert reading.rows == 3

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda book: book.active.__setitem__("B2", "=1+1"), "sheet.formula"),
            (lambda book: book.active.merge_cells("A2:B2"), "sheet.merged"),
            (lambda book: book.active.__setitem__("B2", "#N/A"), "sheet.error"),
            (lambda book: book.create_sheet("two").append(["id"]), "sheet.several"),
            (lambda book: book.active.insert_rows(1) or book.active.__setitem__("A1", "Title"), "sheet.title"),
            (lambda book: book.active.__setitem__("E2", "beside"), "sheet.title"),
        ],
    )
    def test_what_a_table_cannot_say(self, tmp_path: Path, change: Callable[[Any], None], code: str) -> None:
        reading = read(tmp_path, workbook(["id", "n"], ["a", 1], change=change))
        assert reading.table is None
        assert codes(reading) == [(code, None, "error")]

    def test_a_hidden_sheet_counts(self, tmp_path: Path) -> None:
        def hide(book: Any) -> None:
            sheet = book.create_sheet("two")
            sheet.append(["Jansen"])
            sheet.sheet_state = "veryHidden"

        assert codes(read(tmp_path, workbook(["id"], ["a"], change=hide))) == [("sheet.several", None, "error")]
        empty = workbook(["id"], ["a"], change=lambda book: book.create_sheet("two"))
        assert values(read(tmp_path, empty)) == {"id": ["a"]}

    def test_blank_rows_and_notes_are_reported(self, tmp_path: Path) -> None:
        def note(book: Any) -> None:
            book.active["A2"].comment = Comment("SECRET", "Someone")

        reading = read(tmp_path, workbook(["id", "n"], ["a", 1], [None, None], ["b", 2], [None], change=note))
        assert sorted(codes(reading)) == [("row.blank", None, "warning"), ("sheet.notes", None, "warning")]
        assert values(reading) == {"id": ["a", "b"], "n": [1, 2]}
        assert "SECRET" not in str(reading.findings)

    def test_numbers_of_more_digits_than_a_sheet_holds(self, tmp_path: Path) -> None:
        reading = read(tmp_path, workbook(["id", "x"], ["a", 1e300], [1234567890123456, 1]))
        assert codes(reading) == [("value.inexact", "id", "error")]

    def test_both_decimal_marks(self, tmp_path: Path) -> None:
        assert codes(read(tmp_path, workbook(["id", "x"], ["a", 1.5], ["b", "2,5"]))) == [
            ("number.mixed_decimal", "x", "error")
        ]

    @pytest.mark.parametrize("part", ["xl/media/image1.png", "xl/vbaProject.bin", "xl/embeddings/a.docx", "clip.wav"])
    def test_stowaways(self, tmp_path: Path, part: str) -> None:
        content = repacked(workbook(["id"], ["a"]), part, lambda _: b"RIFF")
        assert codes(read(tmp_path, content)) == [("file.media", None, "error")]

    def test_hostile_archives(self, tmp_path: Path) -> None:
        plain = workbook(["id"], ["a"])
        assert codes(read(tmp_path, plain[:-200])) == [("file.damaged", None, "error")]
        entity = repacked(plain, SHEET, lambda old: old.replace(b"<worksheet", b"<!DOCTYPE x []><worksheet", 1))
        assert codes(read(tmp_path, entity)) == [("file.damaged", None, "error")]
        large = repacked(plain, "xl/more.xml", lambda _: bytes(70 << 20))
        assert codes(read(tmp_path, large)) == [("file.too_large", None, "error")]
        torn = repacked(plain, SHEET, lambda old: old[: len(old) // 2])
        assert codes(read(tmp_path, torn)) == [("file.damaged", None, "error")]

    def test_a_sheet_that_lies_about_its_size(self, tmp_path: Path) -> None:
        lie = repacked(
            workbook(["id"], ["a"]),
            SHEET,
            lambda old: re.sub(rb'ref="[A-Z0-9:]+"', b'ref="A1:XFD1048576"', old, count=1),
        )
        assert values(read(tmp_path, lie)) == {"id": ["a"]}

    def test_an_empty_workbook(self, tmp_path: Path) -> None:
        assert codes(read(tmp_path, workbook())) == [("file.empty", None, "error")]


@pytest.mark.parametrize("bomb", ["rows", "columns", "zip"])
def test_bombs_stay_below_one_gibibyte(tmp_path: Path, bomb: str) -> None:
    if bomb == "rows":
        indices = pa.array(np.zeros(20_000_000, np.int32))
        content = parquet(pa.table({"id": pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 100]))}))
    elif bomb == "columns":
        content = (",".join(f"c{number}" for number in range(20_001)) + "\n" + "1," * 20_000 + "1\n").encode()
    else:
        row = b'<row><c r="XFD1"><v>1</v></c></row>'
        content = repacked(
            workbook(["id"], ["a"]), SHEET, lambda old: old.replace(b"</sheetData>", row * 100_000 + b"</sheetData>")
        )
    assert len(content) < 1 << 20
    (tmp_path / "bomb").write_bytes(content)
    program = (
        "import re, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from table_kit import column, table_schema\n"
        "from sensai_release.table.readers import read_file\n"
        "reading = read_file(Path(sys.argv[1]), table_schema(column('id', 'string')), place='f')\n"
        "assert reading.table is None, reading\n"
        # Not getrusage: a child's maximum there begins with its parent's.
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    kit = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", program, str(tmp_path / "bomb"), kit]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) * 1024 < 1 << 30


class TestGather:
    WIDTH = 80

    def rows(self, number: int = 5) -> list[list[str]]:
        return [[f"{'x' * ((row * 7 + at) % 4)}{row}.{at}" for at in range(self.WIDTH)] for row in range(number)]

    @pytest.mark.parametrize("needed", [[0], [79], [0, 79], [1, 2, 3], [0, 1, 5, 6, 78, 79], [40], list(range(20))])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("final", [True, False])
    def test_the_needed_cells_alone(self, needed: list[int], end: str, final: bool) -> None:
        rows = self.rows()
        data = ("header" + end + end.join(map(",".join, rows)) + (end if final else "")).encode()
        start = len("header" + end)
        found = gather(data, start, width=self.WIDTH, delimiter=",", needed=needed, block=1 << 20)
        assert found is not None
        assert found.decode().splitlines() == [",".join(row[at] for at in needed) for row in rows]

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.replace("0.3", '"0.3"', 1),
            lambda text: text.replace("\n", "\n\n", 1),
            lambda text: text.replace(",", "", 1),
            lambda text: text.replace(",", ",,", 1),
            lambda text: text.replace(",", "", 1)[::-1].replace(",", ",,", 1)[::-1],
            lambda text: text.replace("0.3", "0\r3", 1),
            lambda text: text.replace("\n", "\r\n", 1)[:-2] + "\r5\n",
            lambda text: text + ",",
            lambda text: text.replace("\n", "\r"),
            lambda _: "",
        ],
    )
    def test_any_other_form_is_left_to_the_parser(self, change: Callable[[str], str]) -> None:
        text = change("\n".join(map(",".join, self.rows())) + "\n")
        assert gather(text.encode(), 0, width=self.WIDTH, delimiter=",", needed=[1], block=1 << 20) is None

    def test_it_changes_nothing_that_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        schema = table_schema(column("c1"), column("c5", "integer"), column("c[0-9]+", "string"))
        header = ",".join(f"c{at}" for at in range(self.WIDTH))
        for cell in ("1", "oops", " nan", "1e309"):
            rows = [["7"] * self.WIDTH for _ in range(3)]
            rows[1][1] = cell
            content = "\n".join([header, *map(",".join, rows)]).encode()
            fast = read(tmp_path, content, schema, needed=frozenset({"c1", "c5"}))
            with monkeypatch.context() as patch:
                patch.setattr("sensai_release.table.readers.delimited.gather", lambda *_, **__: None)
                assert read(tmp_path, content, schema, needed=frozenset({"c1", "c5"})) == fast


DICTIONARY = "Variable / Field Name,Form Name,Identifier?\nrecord_id,a,\nname_last,a,y\ngym,a,Y\nage,a,n\n"


class TestRedcap:
    def test_marks(self, tmp_path: Path) -> None:
        (tmp_path / "d.csv").write_text(DICTIONARY)
        assert marked_identifiers(tmp_path / "d.csv", place="d.csv") == {"name_last", "gym"}

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "a,b\n1,2\n",
            DICTIONARY.replace("Identifier?", "Identifier"),
            DICTIONARY.replace(",a,y", ",a,SECRET"),
            DICTIONARY.replace(",a,y", ",y"),
            DICTIONARY.replace("name_last", ""),
            DICTIONARY.replace("name_last", 'na"me"x'),
            DICTIONARY.replace("record_id,a", 'record_id,"a').replace("name_last,a", 'name_last,a"'),
            DICTIONARY.replace("Form Name", "Identifier?"),
            DICTIONARY.splitlines()[0],
            "\0",
        ],
    )
    def test_what_is_no_dictionary_is_refused(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "d.csv").write_text(content)
        with pytest.raises(InputError, match=r"^d\.csv: ") as caught:
            marked_identifiers(tmp_path / "d.csv", place="d.csv")
        assert "SECRET" not in str(caught.value)

    def test_labels_with_line_breaks(self, tmp_path: Path) -> None:
        text = DICTIONARY.replace("gym,a", 'gym,"Which sports,\nif any?\n\n(""gym"" too)"')
        (tmp_path / "d.csv").write_text(text + "\n")
        assert marked_identifiers(tmp_path / "d.csv", place="d.csv") == {"name_last", "gym"}

    def test_a_dictionary_larger_than_any(self, tmp_path: Path) -> None:
        (tmp_path / "d.csv").write_bytes(DICTIONARY.encode() + b",,\n" * (6 << 20))
        with pytest.raises(InputError, match="larger than 16777216 bytes"):
            marked_identifiers(tmp_path / "d.csv", place="d.csv")

    def test_a_schema_must_obey(self) -> None:
        schema = table_schema(
            column("record_id", "string"),
            column("name_last", "string"),
            column("age"),
            column("gym___1", "integer"),
            column("gym___2", "integer", action="drop"),
            column("name_.*", "string"),
        )
        found = check_marked(schema, frozenset({"name_last", "gym"}))
        assert [finding.column for finding in found] == ["name_last", "gym___1", "name_.*"]
        assert {finding.code for finding in found} == {"identifier.marked"}

    @needs_real_files
    def test_the_real_dictionary(self) -> None:
        path = SHARED / "clinical" / "redcap_simple_dictionary.csv"
        marked = marked_identifiers(path, place="d.csv")
        assert {"name_first", "name_last", "address", "telephone"} <= marked
        assert "record_id" not in marked


@needs_real_files
@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("pyfeat/fex_v0_001.csv", "Py-Feat"),
        ("opensmile/egemapsv02_functionals.csv", "openSMILE"),
        ("opensmile/egemapsv02_functionals.parquet", "openSMILE"),
        ("openface/odbm_subj01_timepoint01.csv", "OpenFace"),
        ("odbm_derived/metadata.csv", None),
    ],
)
def test_the_output_of_another_tool_is_named(name: str, tool: str | None) -> None:
    reading = read_file(SHARED / name, THINGS, place="things.csv")
    hints = [finding.message for finding in reading.findings if finding.code == "file.other_tool"]
    assert len(hints) == (tool is not None)
    assert all(tool is not None and tool in hint for hint in hints)


@needs_real_files
def test_the_declared_tool_is_no_hint() -> None:
    schema = table_schema(column("id", "string"), reader="openface")
    reading = read_file(SHARED / "openface" / "odbm_subj01_timepoint01.csv", schema, place="things.csv")
    assert "column.undeclared" in {finding.code for finding in reading.findings}
    assert "file.other_tool" not in {finding.code for finding in reading.findings}
