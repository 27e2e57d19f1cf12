"""Whatever the bytes are, the reader answers with a table or with findings, and its two ways read numbers alike."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_kit import column, table_schema

from sensai_release.table.readers import Reading, ReadLimits, read_file
from sensai_release.table.readers.gather import gather
from sensai_release.table.schema import TableSchema

SCHEMAS = {
    reader: table_schema(
        column("file", "string", nullable=True),
        column("n", "integer", required=False),
        column("x", required=False),
        column("start", required=False),
        column("flag", "boolean", required=False),
        column("day", "date", required=False),
        column("at", "datetime", required=False),
        column("success", "integer", required=False),
        column("face_id", "integer", required=False),
        reader=reader,
        source={"recording_key": "key", "key_from_stem_of": "file"} if reader == "opensmile" else {},
    )
    for reader in ("delimited", "openface", "opensmile")
}
ARFF = b"@relation r\n@attribute file string\n@attribute x real\n@data"
HEADERS = st.sampled_from(
    [b"file,n,x", b"file;x;start;at", b"\xef\xbb\xbffile\tday\tflag", b"file,face_id,success,x", ARFF, b"name;x;n"]
)
CELLS = st.sampled_from(
    [
        *(b"1", b" 2.5", b"1,5", b"nan", b"inf", b"1e309", b"0x1", b"2025-01-01", b"true", b"/a/b.wav"),
        *(b"0 days 00:00:01", b"9223372036854775808", "\u00e9".encode(), b"", b'"', b'""'),
        *(b"05-03-2021", b"25-03-2021 10:00", b"5;16-03-2021", b"?", b"'", b"unknown", b"%", b"{", b"01"),
        *(b"\n", b"\r", b",", b";", b"\t", b"\xff", b"\0"),
    ]
)


def read(content: bytes, schema: TableSchema, limits: ReadLimits) -> Reading:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(content)
        return read_file(path, schema, place="t.csv", limits=limits)


@pytest.mark.parametrize("reader", sorted(SCHEMAS))
@settings(max_examples=150, deadline=None)
@given(
    header=st.one_of(HEADERS, st.binary(max_size=12)),
    cells=st.lists(CELLS, max_size=24),
    glue=st.sampled_from([b",", b";", b"\t", b""]),
    block=st.sampled_from([16, 64, 1 << 20]),
)
def test_any_bytes(reader: str, header: bytes, cells: list[bytes], glue: bytes, block: int) -> None:
    reading = read(header + b"\n" + glue.join(cells), SCHEMAS[reader], ReadLimits(line_bytes=block))
    assert reading.table is not None or reading.findings
    for finding in reading.findings:
        assert finding.message
        assert finding.row is None or finding.row >= 1
        assert finding.count >= 1
    if reading.table is not None:
        assert reading.table.num_columns == reading.columns_read
        assert not any(field.type == pa.null() for field in reading.table.schema)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.lists(st.sampled_from(["", "1", " 2.5", "x", "\r", '"', ",", "\n"]), min_size=2), max_size=6),
    needed=st.sets(st.integers(0, 69), min_size=1, max_size=17),
    end=st.sampled_from(["\n", "\r\n", ""]),
)
def test_what_is_gathered_is_what_splitting_gives(rows: list[list[str]], needed: set[int], end: str) -> None:
    """Each drawn list is spread over a row of 70 cells; some of them break the plain form."""
    lines = [",".join(cells[at % len(cells)] for at in range(70)) for cells in rows]
    data = ("\n".join(lines) + end).encode()
    found = gather(data, 0, width=70, delimiter=",", needed=sorted(needed), block=1 << 20)
    split = [line.rstrip("\r").split(",") for line in data.decode().removesuffix("\n").split("\n")]
    if found is None:
        broken = {'"', "\r", ",", "\n"} & {cell for cells in rows for cell in cells} or end == "\r\n"
        assert broken or not lines
        return
    assert [line.rstrip("\r") for line in found.decode().removesuffix("\n").split("\n")] == [
        ",".join(row[at] for at in sorted(needed)) for row in split
    ]


@settings(max_examples=40, deadline=None)
@given(damage=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4), cut=st.integers(0, 300))
@pytest.mark.parametrize("kind", ["parquet", "xlsx"])
def test_damaged_containers(kind: str, damage: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(CONTAINERS[kind])
    for at, value in damage:
        content[at % len(content)] = value
    reading = read(bytes(content[: len(content) - cut]), SCHEMAS["delimited"], ReadLimits(unfolded_bytes=1 << 22))
    assert reading.table is not None or reading.findings


def containers() -> dict[str, bytes]:
    columns = {"file": ["a", "b"] * 5, "x": [1.5, None] * 5, "n": [1, 2] * 5}
    out, sheet = io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table(columns), out, write_page_checksum=True)
    book = openpyxl.Workbook()
    for row in (list(columns), *map(list, zip(*columns.values(), strict=True))):
        book.worksheets[0].append(row)
    book.save(sheet)
    return {"parquet": out.getvalue(), "xlsx": sheet.getvalue()}


CONTAINERS = containers()
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.text("0123456789.eE+- ", min_size=1, max_size=6),
    st.sampled_from(["nan", "-nan(ind)", " NaN ", "NA", "inf", "1e400", ".5", "5.", "+1", "1e-400"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=6), st.sampled_from(["x", "n"]))
def test_the_fast_and_the_careful_way_agree(cells: list[str], name: str) -> None:
    """A wrong truth value stops no fast way; `oops` in a column of integers does."""
    schema = SCHEMAS["delimited"]
    spoiler = {"x": "n", "n": "x"}[name]
    rows = "".join(f"a,{cell},{{}}\n" for cell in cells)
    header = f"file,{name},{spoiler}\n"
    fast = read((header + rows.replace("{}", "1")).encode(), schema, ReadLimits())
    careful = read((header + rows.replace("{}", "oops")).encode(), schema, ReadLimits())
    assert [f for f in fast.findings if f.column == name] == [f for f in careful.findings if f.column == name]
    assert fast.table is not None
    assert careful.table is not None
    assert (name in fast.table.column_names) == (name in careful.table.column_names)
    if name in fast.table.column_names:
        assert fast.table.column(name).to_pylist() == careful.table.column(name).to_pylist()
