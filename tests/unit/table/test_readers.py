"""What the readers make of files: dialects, types, refusals. Real tool output is in test_readers_real.py."""

from __future__ import annotations

import datetime
import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from table_kit import column, table_schema

from sensai_release.errors import InputError
from sensai_release.table.readers import Reading, ReadLimits, arrow_type, read_file, read_recording
from sensai_release.table.schema import TableSchema

THINGS = table_schema(
    column("id", "string"),
    column("n", "integer", required=False, nullable=True),
    column("x", "number", required=False, nullable=True),
    column("flag", "boolean", required=False),
    column("day", "date", required=False),
    column("at", "datetime", required=False),
    column("kind", "category", required=False),
)


def read(folder: Path, content: str | bytes, schema: TableSchema = THINGS, **more: Any) -> Reading:
    path = folder / "SECRET-name.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(path, schema, place="things.csv", **more)


def found(reading: Reading) -> list[tuple[str, str | None, int | None, int]]:
    return [(finding.code, finding.column, finding.row, finding.count) for finding in reading.findings]


def values(reading: Reading) -> dict[str, list[Any]]:
    assert reading.table is not None
    result: dict[str, list[Any]] = reading.table.to_pydict()
    return result


class TestDialects:
    @pytest.mark.parametrize(
        "content",
        [
            "id,x\na,1.5\nb,2\n",
            "id,x\r\na,1.5\r\nb,2",
            "id,x\ra,1.5\rb,2\r",
            "\ufeffid;x\na;1,5\nb;2\n",
            "id\tx\na\t1,5\nb\t2\n",
            "id;x\na;1.5\nb;2\n",
            ' id ,  x\n"a", 1.5 \n  b  ,2\n',
            'id,x\na,"1.5"\nb,+2.0e0\n\n',
            "id;x\na;1,5\nb;2\n".encode("utf-16"),
            b"\xfe\xff" + "id\tx\r\na\t1,5\r\nb\t2\r\n".encode("utf-16-be"),
            "@RELATION r\n% note\n@attribute id string\n@ATTRIBUTE 'x' numeric\n\n@data\n\na,1.5\n'b',2\n",
        ],
    )
    def test_the_same_table_in_eleven_forms(self, tmp_path: Path, content: str | bytes) -> None:
        reading = read(tmp_path, content)
        assert found(reading) == []
        assert values(reading) == {"id": ["a", "b"], "x": [1.5, 2.0]}
        assert (reading.rows, reading.columns_read, reading.columns_dropped) == (2, 2, 0)

    def test_quoted_line_breaks_and_delimiters(self, tmp_path: Path) -> None:
        reading = read(tmp_path, 'id,x\n"Main\nStreet, ""1""",1\n')
        assert values(reading) == {"id": ['Main\nStreet, "1"'], "x": [1.0]}

    def test_a_header_over_two_lines(self, tmp_path: Path) -> None:
        schema = table_schema(column("long name"), column("id", "string"))
        assert found(read(tmp_path, '"long name",id\n1,a\n', schema)) == []
        assert [code for code, *_ in found(read(tmp_path, '"long\nname",id\n1,a\n', schema))] == [
            "column.undeclared",
            "column.missing",
        ]

    def test_two_delimiters_that_fit_equally_are_refused(self, tmp_path: Path) -> None:
        reading = read(tmp_path, "id;x,n\n1;2,3\n")
        assert reading.table is None
        assert found(reading) == [("file.delimiter", None, None, 1)]

    def test_columns_come_in_schema_order_then_patterns_in_file_order(self, tmp_path: Path) -> None:
        schema = table_schema(column("AU\\d+", required=False), column("b"), column("a"))
        reading = read(tmp_path, "AU2,a,AU1,b\n1,2,3,4\n", schema)
        assert list(values(reading)) == ["b", "a", "AU2", "AU1"]

    def test_only_needed_columns_are_parsed(self, tmp_path: Path) -> None:
        reading = read(tmp_path, "id,n,x\na,not a number,1\n", needed=frozenset({"id", "x"}))
        assert found(reading) == []
        assert list(values(reading)) == ["id", "x"]
        assert (reading.columns_read, reading.columns_dropped) == (2, 1)

    def test_no_column_needed_still_counts_the_rows(self, tmp_path: Path) -> None:
        reading = read(tmp_path, "id,n\na,1\nb,2\n", needed=frozenset())
        assert (reading.rows, reading.columns_read, reading.columns_dropped) == (2, 0, 2)
        assert found(read(tmp_path, "id,n\na,1\nb\n", needed=frozenset())) == [("row.ragged", None, 2, 1)]

    def test_a_header_alone_is_an_empty_table_of_the_right_types(self, tmp_path: Path) -> None:
        for content in ("id,n,x,at", "id,n,x,at\n", "id,n,x,at\n\n"):
            reading = read(tmp_path, content)
            assert reading.table is not None
            assert reading.table.schema == pa.schema(
                [("id", pa.string()), ("n", pa.int64()), ("x", pa.float64()), ("at", pa.timestamp("us"))]
            )
            assert reading.table.num_rows == reading.rows == 0

    def test_no_schema_metadata(self, tmp_path: Path) -> None:
        reading = read(tmp_path, "id\na\n")
        assert reading.table is not None
        assert reading.table.schema.metadata is None


class TestCells:
    @pytest.mark.parametrize("word", ["", " ", "nan", "NaN", " NA", "-nan(ind)", "  nan(ind)", "-nan", '""'])
    @pytest.mark.parametrize("name", ["n", "x"])
    def test_missing_numbers(self, tmp_path: Path, word: str, name: str) -> None:
        reading = read(tmp_path, f"id,{name}\na,{word}\nb,7\n")
        assert found(reading) == []
        assert values(reading)[name] == [None, 7]

    def test_only_empty_text_is_missing(self, tmp_path: Path) -> None:
        reading = read(tmp_path, 'id,kind\nNA,nan\n  ,""\nnull,None\n')
        assert values(reading) == {"id": ["NA", None, "null"], "kind": ["nan", None, "None"]}

    @pytest.mark.parametrize(
        ("name", "cell", "value"),
        [
            ("n", "007", 7),
            ("n", "-9223372036854775808", -9223372036854775808),
            ("n", "+5", 5),
            ("x", ".5", 0.5),
            ("x", "5.", 5.0),
            ("x", "1E-3", 0.001),
            ("flag", "TRUE", True),
            ("flag", "0", False),
            ("day", "2024-02-29", datetime.date(2024, 2, 29)),
            ("at", "2025-01-31T23:59:58.5", datetime.datetime(2025, 1, 31, 23, 59, 58, 500000)),  # noqa: DTZ001
            ("at", "2025-01-31 08:30", datetime.datetime(2025, 1, 31, 8, 30)),  # noqa: DTZ001
            ("at", "2025-01-31T08:30:00+02:00", datetime.datetime(2025, 1, 31, 8, 30)),  # noqa: DTZ001
            ("at", "1969-12-31", datetime.datetime(1969, 12, 31)),  # noqa: DTZ001
        ],
    )
    def test_forms_that_are_read(self, tmp_path: Path, name: str, cell: str, value: object) -> None:
        reading = read(tmp_path, f"id,{name}\na,{cell}\n")
        assert found(reading) == []
        assert values(reading)[name] == [value]
        assert reading.table is not None
        assert reading.table.schema.field(name).type == arrow_type(THINGS.named(name).dtype)

    @pytest.mark.parametrize(
        ("name", "cell"),
        [
            ("n", "1.0"),
            ("n", "0x10"),
            ("n", "0X10"),
            ("n", "1e3"),
            ("n", "9223372036854775808"),
            ("n", "-9223372036854775809"),
            ("n", "1 2"),
            ("n", "\uff11"),
            ("x", "0x10"),
            ("x", "1_000"),
            ("x", "twelve"),
            ("x", "NULL"),
            ("x", '"1,5"'),
            ("x", "1.2.3"),
            ("flag", "yes"),
            ("flag", "17"),
            ("day", "2023-02-29"),
            ("day", "1900-02-29"),
            ("day", "31/01/2025"),
            ("day", "2025-01"),
            ("day", "2003"),
            ("day", "2025-13-01"),
            ("day", "0000-01-01"),
            ("day", "2025-01-01T00:00"),
            ("at", "2025-01-01T24:00"),
            ("at", "2025-01-01T10:60"),
            ("at", "10:00"),
        ],
    )
    def test_cells_of_the_wrong_type(self, tmp_path: Path, name: str, cell: str) -> None:
        good = {"n": "1", "x": "1", "flag": "1", "day": "2025-01-01", "at": "2025-01-01"}[name]
        reading = read(tmp_path, f"id,{name}\na,{good}\nb,{cell}\nc,\nd,{cell}\n")
        assert found(reading) == [("value.type", name, 2, 2)]
        assert list(values(reading)) == ["id"], "an unreadable column is left out"
        assert cell not in reading.findings[0].message

    @pytest.mark.parametrize("cell", ["1e309", "-1e309", "inf", "-Infinity"])
    def test_infinite_numbers(self, tmp_path: Path, cell: str) -> None:
        for other in ("1", "oops"):  # the fast and the careful way
            reading = read(tmp_path, f"id,x,n\na,1,1\nb,{cell},{other}\n")
            assert ("value.not_finite", "x", 2, 1) in found(reading)
            assert "x" not in values(reading)

    def test_offsets_must_agree(self, tmp_path: Path) -> None:
        content = "id,at\na,2025-01-01T10:00+01:00\nb,{}\n"
        assert found(read(tmp_path, content.format("2025-01-01T11:00+01:00"))) == []
        for other in ("2025-01-01T11:00Z", "2025-01-01T11:00"):
            assert found(read(tmp_path, content.format(other))) == [("value.mixed_offset", "at", 1, 2)]

    @pytest.mark.parametrize(
        ("name", "cells", "code", "row", "count"),
        [
            ("day", ["05-03-2021", "2021-03-06"], "value.mixed_date", 1, 1),
            ("day", ["2021-03-06", "25-03-2021", "2021-03-07"], "value.mixed_date", 2, 1),
            ("day", ["05-03-2021", "06-03-2021"], "value.ambiguous_date", 1, 2),
            ("day", ["03-25-2021", "03-26-2021"], "value.type", 1, 2),
            ("day", ["31-03-2021", "31-02-2021"], "value.type", 2, 1),
            ("at", ["05-03-2021 10:00", "2021-03-06 10:00"], "value.mixed_date", 1, 1),
            ("at", ["05-03-2021 10:00"], "value.ambiguous_date", 1, 1),
            ("x", ["1.5", "5;16-03-2021"], "value.two_in_one", 2, 1),
            ("n", ["5;16-03-2021", "7"], "value.two_in_one", 1, 1),
        ],
    )
    def test_dates_in_doubt(self, tmp_path: Path, name: str, cells: list[str], code: str, row: int, count: int) -> None:
        reading = read(tmp_path, f"id,{name}\n" + "".join(f"a,{cell}\n" for cell in cells))
        assert found(reading) == [(code, name, row, count)]
        assert list(values(reading)) == ["id"]

    def test_days_before_months(self, tmp_path: Path) -> None:
        reading = read(tmp_path, "id,day,at\na,05-03-2021,25-03-2021 08:30\nb,31-12-2020,05-03-2021\nc,,\n")
        assert found(reading) == []
        assert values(reading)["day"] == [datetime.date(2021, 3, 5), datetime.date(2020, 12, 31), None]
        assert values(reading)["at"] == [
            datetime.datetime(2021, 3, 25, 8, 30),  # noqa: DTZ001
            datetime.datetime(2021, 3, 5),  # noqa: DTZ001
            None,
        ]
        only_equal = read(tmp_path, "id,day\na,05-05-2021\n")
        assert values(only_equal)["day"] == [datetime.date(2021, 5, 5)]

    @pytest.mark.parametrize(
        ("keys", "row", "count"),
        [
            (["1", "2", "1.0"], 1, 1),
            (["01", "1", "1.0", "7"], 1, 2),
            (["P1", "007", "7"], 2, 1),
            (["1", "10", "100", "0"], None, 0),
            (["1", "1"], None, 0),
            (["P01", "P1"], None, 0),
            ([], None, 0),
        ],
    )
    def test_one_number_as_several_keys(self, tmp_path: Path, keys: list[str], row: int | None, count: int) -> None:
        schema = table_schema(column("id", "string"), primary_key=["id"])
        reading = read(tmp_path, "id\n" + "".join(f"{key}\n" for key in keys), schema)
        assert found(reading) == ([("key.forms", "id", row, count)] if count else [])

    def test_mixed_decimals_refuse_the_file(self, tmp_path: Path) -> None:
        schema = table_schema(column("a"), column("b"))
        reading = read(tmp_path, "a;b\n1,5;2\n2,5;2,5\n3;1.5\n", schema)
        assert reading.table is None
        assert found(reading) == [("number.mixed_decimal", "b", 3, 1)]

    def test_wrong_cells_beside_decimal_commas(self, tmp_path: Path) -> None:
        schema = table_schema(column("a"), column("b"))
        reading = read(tmp_path, "a;b\n1,5;x\n2,5;2,5\n1.234,5;1\n", schema)
        assert found(reading) == [("value.type", "a", 3, 1), ("value.type", "b", 1, 1)]


class TestHeader:
    def test_undeclared_columns_are_named_below_a_header(self, tmp_path: Path) -> None:
        reading = read(tmp_path, "id,extra,Jansen <j@x.nl>\na,1,2\n")
        assert found(reading) == [("column.undeclared", "extra", None, 1), ("column.undeclared", "#3", None, 1)]
        assert list(values(reading)) == ["id"]

    def test_values_in_the_place_of_a_header_are_not_shown(self, tmp_path: Path) -> None:
        schema = table_schema(column("id", "string"), column("name", "string"), column("age", "integer"))
        reading = read(tmp_path, "P17,Jansen,61\nP18,Smit,50\n", schema)
        assert [finding.column for finding in reading.findings] == ["#1", "#2", "#3", "id", "name", "age"]
        assert "Jansen" not in str(reading.findings)

    def test_missing_columns(self, tmp_path: Path) -> None:
        schema = table_schema(column("id", "string"), column("AU\\d+", required=True), column("x", required=False))
        assert found(read(tmp_path, "id\na\n", schema)) == [("column.missing", "AU\\d+", None, 1)]

    @pytest.mark.parametrize(
        "header",
        ["id,x,x", "id,x, x ", "id,x,\uff58"],
        ids=["at once", "after trimming", "after Unicode normalisation"],
    )
    def test_a_column_that_stands_twice(self, tmp_path: Path, header: str) -> None:
        reading = read(tmp_path, f"{header}\na,1,2\n")
        assert reading.table is None
        assert found(reading) == [("column.duplicate", "x", None, 1)]

    def test_many_undeclared_columns_make_few_findings(self, tmp_path: Path) -> None:
        header = ",".join(f"v{number}" for number in range(500))
        reading = read(tmp_path, f"id,{header}\n")
        assert len(reading.findings) == 21
        assert sum(finding.count for finding in reading.findings) == 500

    def test_limits(self, tmp_path: Path) -> None:
        content = "id,x\n" + "a" * 300 + ",1\n" + "b,2\n" * 50
        assert found(read(tmp_path, content)) == []
        assert found(read(tmp_path, content, limits=ReadLimits(line_bytes=100))) == [("line.too_long", None, 1, 1)]
        assert found(read(tmp_path, content, limits=ReadLimits(cells=104))) == []
        assert found(read(tmp_path, content, limits=ReadLimits(cells=103))) == [("file.too_large", None, None, 1)]
        utf16 = content.encode("utf-16")
        assert found(read(tmp_path, utf16, limits=ReadLimits(utf16_bytes=100))) == [("file.encoding", None, None, 1)]
        assert found(read(tmp_path, content, limits=ReadLimits(columns=1))) == [("file.too_wide", None, None, 1)]
        with pytest.raises(InputError, match="larger than 10 bytes"):
            read(tmp_path, content, limits=ReadLimits(file_bytes=10))

    def test_a_header_longer_than_a_line_may_be(self, tmp_path: Path) -> None:
        assert found(read(tmp_path, "a" * 99, limits=ReadLimits(line_bytes=50))) == [("line.too_long", None, None, 1)]


class TestDamage:
    def test_ragged_rows(self, tmp_path: Path) -> None:
        for wrong in ("1", "oops"):  # with and without a cell that stops the fast way
            reading = read(tmp_path, f"id,x\na,1\nb\nc,1,2\nd,{wrong}\n")
            assert reading.table is None
            assert found(reading) == [("row.ragged", None, 2, 2)]

    def test_one_value_more_than_names_in_every_row(self, tmp_path: Path) -> None:
        """Py-Feat files that pandas wrote with its row index have 160 names and 161 values."""
        reading = read(tmp_path, "id,x\n0,a,1\n1,b,2\n")
        assert reading.table is None
        assert found(reading) == [("row.unnamed", None, 1, 2)]

    def test_blank_lines_are_counted(self, tmp_path: Path) -> None:
        for end in ("\n", "\r\n"):
            reading = read(tmp_path, end.join(["id,x", "", "a,1", "", "", "b,2", "", ""]))
            assert values(reading) == {"id": ["a", "b"], "x": [1.0, 2.0]}
            assert [(f.code, f.severity, f.count) for f in reading.findings] == [("row.blank", "warning", 3)]

    @pytest.mark.parametrize("row", ["{0 a, 1 1}", "% note", "'a\\'b',1", "'a',\"1\""])
    def test_arff_that_is_not_plain(self, tmp_path: Path, row: str) -> None:
        content = f"@relation r\n@attribute id string\n@attribute x real\n@data\na,1\n{row}\n"
        assert found(read(tmp_path, content)) == [("file.arff", None, None, 1)]

    def test_arff_missing_and_undeclared(self, tmp_path: Path) -> None:
        head = "@relation r\n@attribute id string\n@attribute x real\n"
        reading = read(tmp_path, head + "@data\n?,?\n")
        assert found(reading) == []
        assert values(reading) == {"id": [None], "x": [None]}
        assert found(read(tmp_path, head + "@attribute\n@data\na,1\n")) == [("file.arff", None, None, 1)]
        assert found(read(tmp_path, head + "@attribute z {a,b}\n@data\na,1,b\n"))[0][:2] == ("column.undeclared", "z")

    def test_a_last_row_that_was_cut(self, tmp_path: Path) -> None:
        assert found(read(tmp_path, "id,n,x\na,1,2\nb,1")) == [("row.ragged", None, 2, 1)]

    def test_a_quotation_mark_never_closed(self, tmp_path: Path) -> None:
        reading = read(tmp_path, 'id,x\na,1\n"b,2\nc,3\n')
        assert reading.table is None
        assert found(reading) == [("row.ragged", None, 2, 1)]

    def test_blocks_do_not_change_what_is_read(self, tmp_path: Path) -> None:
        content = "id,n\n" + "".join(f'"r\n{number}",{number}\n' for number in range(100)) + "last\n"
        reading = read(tmp_path, content, limits=ReadLimits(line_bytes=64))
        assert found(reading) == [("row.ragged", None, 101, 1)]
        whole = read(tmp_path, content.removesuffix("last\n"), limits=ReadLimits(line_bytes=64))
        assert values(whole)["id"][7] == "r\n7"
        assert whole.rows == 100

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"", "file.empty"),
            (b"\xef\xbb\xbf", "file.empty"),
            (b"\n\n", "file.empty"),
            (b"id,x\na,\x00\n", "file.not_text"),
            (b"id,x\n\xe9,1\n", "file.not_text"),
            ("id,x\na,1\n".encode("utf-32"), "file.encoding"),
            (b"\xff\xfei\0d\0\n", "file.not_text"),
            (b"\xff\xfe\x00\xd8", "file.not_text"),
            ("id,x\na,1\n".encode("utf-16-le"), "file.not_text"),
            (b"RIFF\x24\x00\x00\x00WAVEfmt ", "file.media"),
            (b"%PDF-1.7\n", "file.media"),
            (b"\x93NUMPY\x01\x00", "file.media"),
            (pickle.dumps([1, 2]), "file.media"),
            (pickle.dumps({"a": 1}, protocol=2), "file.media"),
            (gzip.compress(b"id,x\na,1\n", mtime=0), "file.media"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "file.media"),
        ],
    )
    def test_what_is_no_table(self, tmp_path: Path, content: bytes, code: str) -> None:
        reading = read(tmp_path, content)
        assert reading.table is None
        assert [finding.code for finding in reading.findings] == [code]

    @pytest.mark.parametrize("name", ["ID3", "BMI", "RIFF", "FORM", "PK"])
    def test_a_header_that_begins_like_a_recording_is_read(self, tmp_path: Path, name: str) -> None:
        reading = read(tmp_path, f"{name},other\n1,2\n", table_schema(column(name), column("other")))
        assert found(reading) == []


class TestHostileFiles:
    def test_absent(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"^things\.csv: is not there") as caught:
            read_file(tmp_path / "SECRET.csv", THINGS, place="things.csv")
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        assert "SECRET" not in str(caught.value)

    def test_symbolic_link(self, tmp_path: Path) -> None:
        (tmp_path / "target").write_text("id\na\n")
        (tmp_path / "link").symlink_to(tmp_path / "target")
        with pytest.raises(InputError, match="symbolic link"):
            read_file(tmp_path / "link", THINGS, place="things.csv")

    def test_folder_and_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path, tmp_path / "pipe"):
            with pytest.raises(InputError, match=r"^things\.csv: (is not a regular file|cannot be read)"):
                read_file(path, THINGS, place="things.csv")

    def test_a_file_that_changes_while_it_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "t.csv"
        path.write_text("id\na\n")
        real = os.fstat
        calls: list[int] = []

        def fstat(descriptor: int) -> os.stat_result:
            if calls:
                path.write_text("id\na\nb\n")
            calls.append(descriptor)
            return real(descriptor)

        monkeypatch.setattr(os, "fstat", fstat)
        with pytest.raises(InputError, match="changed while it was read"):
            read_file(path, THINGS, place="things.csv")


FACE = table_schema(
    column("session", "string"),
    column("frame", "integer"),
    column("face_id", "integer", required=False),
    column("success", "integer"),
    column("AU\\d\\d_[rc]", required=False),
    name="face",
    reader="openface",
    source={"file": "face/*.csv", "recording_key": "session"},
)


class TestOpenFace:
    def test_padding_and_whole_numbers_with_decimals(self, tmp_path: Path) -> None:
        schema = table_schema(column("frame", "integer"), column("AU01_c", "integer"), reader="openface")
        reading = read(tmp_path, "frame,  AU01_c\r\n1,   1.00\r\n2,  -nan(ind)", schema)
        assert found(reading) == []
        assert values(reading) == {"frame": [1, 2], "AU01_c": [1, None]}
        assert found(read(tmp_path, "frame,AU01_c\n1,0.50\n2,1.00\n", schema)) == [("value.type", "AU01_c", 1, 1)]
        careful = read(tmp_path, "frame,AU01_c\nx,0.50\n2,1.00\n", schema)
        assert found(careful) == [("value.type", "frame", 1, 1), ("value.type", "AU01_c", 1, 1)]

    def test_rows_of_other_faces_are_left_out_with_a_warning(self, tmp_path: Path) -> None:
        rows = ["1,0,1,0.1", "1,1,1,0.9", "2,0,1,0.2", "2,1,0,0.8", "3,1,0,0.7"]
        content = "frame, face_id, success, AU01_r\n" + "\n".join(rows)
        reading = read_recording_of(tmp_path, content, {"frame", "AU\\d\\d_[rc]"})
        assert values(reading) == {"frame": [1, 2], "AU01_r": [0.1, 0.2]}
        assert found(reading) == [("face.several", "face_id", 2, 3)]
        assert reading.findings[0].severity == "warning"
        assert reading.rows == 5

    def test_success_is_a_truth_value(self, tmp_path: Path) -> None:
        reading = read_recording_of(tmp_path, "frame,success\n1,1\n2,2\n3,0\n4,-1\n", {"frame"})
        assert found(reading) == [("face.success", "success", 2, 2)]

    def test_the_key_comes_from_the_name_of_the_file_alone(self, tmp_path: Path) -> None:
        reading = read_recording_of(tmp_path, "frame,success\n1,1\n", {"frame"})
        assert found(reading) == []
        assert found(read_recording_of(tmp_path, "session,frame,success\ns,1,1\n", {"frame"})) == [
            ("column.duplicate", "session", None, 1)
        ]

    def test_plans_of_different_schemas_are_not_mixed(self, tmp_path: Path) -> None:
        for dtype, value in (("integer", 1), ("string", "1"), ("number", 1.0)):
            reading = read(tmp_path, "frame\n1\n", table_schema(column("frame", dtype), reader="openface"))
            assert values(reading) == {"frame": [value]}


def read_recording_of(folder: Path, content: str, needed: set[str]) -> Reading:
    path = folder / "S1.csv"
    path.write_text(content)
    return read_recording(path, FACE, place="face/*.csv#1", needed=frozenset(needed))


ARFF = "@relation r\n@attribute name string\n@attribute frameTime numeric\n@data\n'/rec/S1.wav',1\n"


def voice(*columns: dict[str, Any], path: str = "file") -> TableSchema:
    return table_schema(
        column("session", "string", required=False),
        column(path, "string"),
        *columns,
        name="voice",
        reader="opensmile",
        source={"recording_key": "session", "key_from_stem_of": path},
    )


class TestOpenSmile:
    @pytest.mark.parametrize(
        ("path", "key"),
        [
            ("/home/u/rec/S1.wav", "S1"),
            ("C:\\rec\\S1.v2.wav", "S1.v2"),
            ("S1", "S1"),
            ("rec\\sub/S1.wav", "S1"),
            ("/rec/.hidden", ".hidden"),
            ("/rec/", None),
        ],
    )
    def test_the_stem_of_the_path_is_the_key(self, tmp_path: Path, path: str, key: str | None) -> None:
        schema = voice(column("F0"))
        for needed in (None, frozenset({"F0"}), frozenset({"session", "F0"})):
            reading = read(tmp_path, f"file,F0\n{path},1.5\n", schema, needed=needed)
            assert found(reading) == []
            assert values(reading) == {"session": [key], "F0": [1.5]}
        kept = read(tmp_path, f"file,F0\n{path},1.5\n", schema, needed=frozenset({"file"}))
        assert values(kept) == {"session": [key], "file": [path]}

    def test_times_of_the_python_package(self, tmp_path: Path) -> None:
        schema = voice(column("start"), column("end"))
        content = "file,start,end\na.wav,three days,0 days 00:00:03.375\n"
        assert found(read(tmp_path, content, schema)) == [("value.type", "start", 1, 1)]
        content = "file,start,end\na.wav,0 days,1 days 01:01:03.375\nb.wav,1.5,\n"
        assert values(read(tmp_path, content, schema)) == {
            "session": ["a", "b"],
            "start": [0.0, 1.5],
            "end": [90063.375, None],
        }

    def test_the_native_sink(self, tmp_path: Path) -> None:
        schema = voice(column("frameTime"), path="name")
        reading = read(tmp_path, "name;frameTime\n'S\"1.wav';1.5e-01\n'S2';0\n", schema)
        assert found(reading) == []
        assert values(reading) == {"session": ['S"1', "S2"], "frameTime": [0.15, 0.0]}

    def test_the_native_name_stands_in_for_the_file(self, tmp_path: Path) -> None:
        schema = voice(column("frameTime"), column("name", "string", required=False))
        for content in ("name;frameTime\n'S1.wav';1\n", ARFF):
            reading = read(tmp_path, content, schema, needed=frozenset({"frameTime", "session"}))
            assert found(reading) == []
            assert values(reading) == {"session": ["S1"], "frameTime": [1.0]}

    def test_a_recording_that_nobody_named_has_no_key(self, tmp_path: Path) -> None:
        schema = voice(column("frameTime"), column("name", "string", required=False))
        reading = read(tmp_path, "name;frameTime\n'unknown';1\n'unknown';2\n", schema)
        assert found(reading) == [("key.unknown", "session", 1, 2)]
        assert values(reading) == {"frameTime": [1.0, 2.0]}

    def test_saved_by_a_dutch_spreadsheet(self, tmp_path: Path) -> None:
        reading = read(tmp_path, "\ufefffile;F0\r\nrec\\S1.wav;1,5e-2\r\n", voice(column("F0")))
        assert values(reading) == {"session": ["S1"], "F0": [0.015]}
