"""Faults of Parquet files, one by one: each is refused by a finding; none crashes, hangs or gives a wrong table.

The kinds are those of apache/parquet-testing's `bad_data` and of the reports that its page names, and what a hostile
writer would try. The files themselves are made here: pyarrow writes one, and one thing in it is changed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from parquet_kit import (
    BINARY,
    CHILDREN,
    CODEC,
    COLUMNS,
    COUNT,
    DATA_HEADER,
    DATA_OFFSET,
    DICTIONARY_HEADER,
    DICTIONARY_OFFSET,
    ENCODING,
    FILE_PATH,
    GROUP_ROWS,
    I32,
    I64,
    MAGIC,
    NAME,
    PAGE_CRC,
    PAGE_STORED,
    PAGE_TYPE,
    PAGE_UNFOLDED,
    PATH,
    REPETITION,
    ROWS,
    SCHEMA,
    STORED,
    STRUCT,
    TYPE,
    UNFOLDED,
    VALUES,
    Parquet,
    take_apart,
    varint,
    write_struct,
    written,
)
from table_kit import column, table_schema

from sensai_release.table.readers import read_file

SCHEMA_OF_IT = table_schema(
    column("id", "string", nullable=True),
    column("n", "integer", nullable=True),
    column("m", "integer", nullable=True),
    column("x", nullable=True),
)
TABLE = pa.table(
    {
        "id": ["a", "b", "c", "b", "a", "c"] * 4,
        "n": pa.array([1, None, 3, 4, 5, 6] * 4, pa.int64()),
        "m": pa.array(range(24), pa.int64()),
        "x": [0.5, 1.5, 2.5, None, 4.5, 5.5] * 4,
    }
)
REQUIRED = TABLE.cast(pa.schema([field.with_nullable(field.name != "m") for field in TABLE.schema]))
PLAIN = written(TABLE, use_dictionary=False)
DICTIONARY = written(TABLE, use_dictionary=["id"])
TWO_GROUPS = written(TABLE, use_dictionary=False, row_group_size=12)
SEVERAL_PAGES = written(TABLE, use_dictionary=False, data_page_size=1, write_batch_size=6)
PACKED = written(TABLE, use_dictionary=False, compression="zstd")
CHECKED = written(TABLE, use_dictionary=False, write_page_checksum=True)
SECOND_VERSION = written(TABLE, use_dictionary=False, data_page_version="2.0")
FORMS = [PLAIN, DICTIONARY, TWO_GROUPS, SEVERAL_PAGES, PACKED, CHECKED, SECOND_VERSION, written(REQUIRED)]


def outcome(folder: Path, content: bytes) -> tuple[dict[str, list[Any]] | None, list[str]]:
    path = folder / "thing.parquet"
    path.write_bytes(content)
    reading = read_file(path, SCHEMA_OF_IT, place="thing.parquet")
    errors = [finding.code for finding in reading.findings if finding.severity == "error"]
    return (None if reading.table is None or errors else reading.table.to_pydict()), errors


@pytest.mark.parametrize("content", FORMS)
def test_taken_apart_and_put_together_it_is_the_same_table(tmp_path: Path, content: bytes) -> None:
    file = take_apart(content)
    assert outcome(tmp_path, file.seal(file.settle())) == (TABLE.to_pydict(), [])


def patched(content: bytes, change: Callable[[Parquet], object]) -> Callable[[], bytes]:
    """The file with something changed in its pages or footer; the footer's offsets are put right again."""

    def make() -> bytes:
        file = take_apart(content)
        change(file)
        return file.seal(file.settle())

    return make


def lied(content: bytes, change: Callable[[Parquet], object]) -> Callable[[], bytes]:
    """The file with something changed in its footer alone, its offsets not excepted."""

    def make() -> bytes:
        file = take_apart(content)
        body = file.settle()
        change(file)
        return file.seal(body)

    return make


def put(fields: dict[int, list[Any]], number: int, value: Any, kind: int = I64) -> None:
    """Another value for a field, or a new field of the type `kind`."""
    fields[number] = [fields[number][0] if number in fields else kind, value]


def data_header(file: Parquet, number: int, page: int = -1) -> dict[int, list[Any]]:
    header: dict[int, list[Any]] = file.chunks[number][page].header[DATA_HEADER][1]
    return header


def body(file: Parquet, number: int, change: Callable[[bytes], bytes], page: int = -1) -> None:
    """A page with other bytes; its header tells its new size."""
    at = file.chunks[number][page]
    at.body = change(at.body)
    put(at.header, PAGE_STORED, len(at.body))
    put(at.header, PAGE_UNFOLDED, len(at.body))


def cut_schema(file: Parquet) -> None:
    file.schema().pop()
    put(file.schema()[0], CHILDREN, len(file.schema()) - 1)


def deep_schema(depth: int) -> bytes:
    """Groups within groups, as deep as told, with one column at the bottom."""
    file = take_apart(written(pa.table({"id": ["a"]}), use_dictionary=False))
    root, leaf = file.schema()
    groups = [{REPETITION: [I32, 0], NAME: [BINARY, b"g"], CHILDREN: [I32, 1]} for _ in range(depth)]
    file.footer[SCHEMA][1] = (12, [root, *groups, leaf])
    (meta,) = file.columns()
    meta[PATH][1] = (BINARY, [*[b"g"] * depth, b"id"])
    return file.seal(file.settle())


def swap(file: Parquet, first: int, second: int) -> None:
    chunks = file.groups()[0][COLUMNS][1][1]
    chunks[first], chunks[second] = chunks[second], chunks[first]


def fewer_rows(file: Parquet) -> None:
    put(file.footer, ROWS, 23)
    put(file.groups()[0], GROUP_ROWS, 23)
    for meta in file.columns():
        put(meta, VALUES, 23)


def group_twice(file: Parquet) -> None:
    file.groups().append(copy.deepcopy(file.groups()[0]))
    put(file.footer, ROWS, 36)


def one_place(file: Parquet) -> None:
    _, meta, other, _ = file.columns()
    for number in (DATA_OFFSET, STORED, UNFOLDED):
        put(meta, number, other[number][1])


def bad_length(length: int) -> Callable[[], bytes]:
    return lambda: PLAIN[:-8] + (length & 0xFFFFFFFF).to_bytes(4, "little") + MAGIC


def flipped(content: bytes, number: int) -> bytes:
    """One bit changed in the last page of a column, whose checksum stays."""
    file = take_apart(content)
    page = file.chunks[number][-1]
    page.body = page.body[:-3] + bytes([page.body[-3] ^ 4]) + page.body[-2:]
    return file.seal(file.settle())


LEVELS = bytes([2, 0, 0, 0, 48, 1])  # 24 values that are there, run-length encoded

FAULTS: dict[str, Callable[[], bytes]] = {
    # The frame of the file
    "another magic number at the beginning": lambda: b"PAR2" + PLAIN[4:],
    "another magic number at the end": lambda: PLAIN[:-4] + b"PAR2",
    "the magic number of an encrypted file": lambda: b"PARE" + PLAIN[4:-4] + b"PARE",
    "magic numbers alone": lambda: MAGIC + MAGIC,
    "a footer of no length": bad_length(0),
    "a footer longer than the file": bad_length(len(PLAIN)),
    "a footer of negative length": bad_length(-1),
    "a footer one byte short": bad_length(int.from_bytes(PLAIN[-8:-4], "little") - 1),
    "a footer of zeros": lambda: PLAIN[:-108] + bytes(100) + PLAIN[-8:],
    "a footer of ones": lambda: PLAIN[:-108] + b"\xff" * 100 + PLAIN[-8:],
    # The schema
    "a physical type that is none": lied(PLAIN, lambda f: put(f.schema()[1], TYPE, 99)),
    "a negative physical type": lied(PLAIN, lambda f: put(f.schema()[1], TYPE, -7)),
    "another physical type than the column's own": lied(PLAIN, lambda f: put(f.schema()[3], TYPE, 5)),
    "a repetition that is none": lied(PLAIN, lambda f: put(f.schema()[1], REPETITION, 9)),
    "a repeated column": lied(PLAIN, lambda f: put(f.schema()[3], REPETITION, 2)),
    "a schema without columns": lied(PLAIN, lambda f: put(f.schema()[0], CHILDREN, 0)),
    "a schema with a negative number of columns": lied(PLAIN, lambda f: put(f.schema()[0], CHILDREN, -1)),
    "a schema with fewer columns than it says": lied(PLAIN, lambda f: put(f.schema()[0], CHILDREN, 2**31 - 1)),
    "a schema that lacks a column": lied(PLAIN, cut_schema),
    "a schema of two roots": lied(PLAIN, lambda f: put(f.schema()[0], CHILDREN, 2)),
    "a schema without an element": lied(PLAIN, lambda f: f.schema().clear()),
    "a schema 40 groups deep": lambda: deep_schema(40),
    "a schema 20,000 groups deep": lambda: deep_schema(20_000),
    "a name that is no UTF-8": lied(PLAIN, lambda f: put(f.schema()[1], NAME, b"\xff\xfe")),
    "two columns of one name": lied(PLAIN, lambda f: put(f.schema()[3], NAME, b"n")),
    # Counts
    "more rows than there are": lied(PLAIN, lambda f: put(f.footer, ROWS, 25)),
    "fewer rows than there are": lied(PLAIN, lambda f: put(f.footer, ROWS, 23)),
    "a negative number of rows": lied(PLAIN, lambda f: put(f.footer, ROWS, -1)),
    "2^62 rows": lied(PLAIN, lambda f: put(f.footer, ROWS, 2**62)),
    "more rows in a group": lied(PLAIN, lambda f: put(f.groups()[0], GROUP_ROWS, 25)),
    "fewer rows in a group": lied(PLAIN, lambda f: put(f.groups()[0], GROUP_ROWS, 23)),
    "a negative number of rows in a group": lied(PLAIN, lambda f: put(f.groups()[0], GROUP_ROWS, -24)),
    "more values in a column": lied(PLAIN, lambda f: put(f.columns()[1], VALUES, 25)),
    "fewer values in a column": lied(PLAIN, lambda f: put(f.columns()[1], VALUES, 23)),
    "no values in a column": lied(PLAIN, lambda f: put(f.columns()[1], VALUES, 0)),
    "a negative number of values in a column": lied(PLAIN, lambda f: put(f.columns()[1], VALUES, -1)),
    "fewer rows everywhere but in the pages": lied(PLAIN, fewer_rows),
    "a row group lost": lied(TWO_GROUPS, lambda f: f.groups().pop()),
    "the first row group lost": lied(TWO_GROUPS, lambda f: f.groups().pop(0)),
    "a row group twice": lied(TWO_GROUPS, group_twice),
    "no row group": lied(PLAIN, lambda f: f.groups().clear()),
    "a row group that lacks a column": lied(PLAIN, lambda f: f.groups()[0][COLUMNS][1][1].pop()),
    "a row group with a column too many": lied(
        PLAIN, lambda f: f.groups()[0][COLUMNS][1][1].append(copy.deepcopy(f.groups()[0][COLUMNS][1][1][0]))
    ),
    "columns of different lengths": patched(SEVERAL_PAGES, lambda f: f.chunks[1].pop()),
    "a page twice": patched(SEVERAL_PAGES, lambda f: f.chunks[1].insert(0, copy.deepcopy(f.chunks[1][0]))),
    "a column without a page": patched(PLAIN, lambda f: f.chunks[1].clear()),
    # Places
    "columns in another order than the schema": lied(PLAIN, lambda f: swap(f, 1, 2)),
    "a column with the path of another": lied(PLAIN, lambda f: put(f.columns()[1], PATH, (BINARY, [b"m"]))),
    "two columns in one place": lied(PLAIN, one_place),
    "a column in another file": lied(
        PLAIN, lambda f: put(f.groups()[0][COLUMNS][1][1][1], FILE_PATH, b"other.parquet", BINARY)
    ),
    "pages before the file": lied(PLAIN, lambda f: put(f.columns()[1], DATA_OFFSET, -1)),
    "pages behind the file": lied(PLAIN, lambda f: put(f.columns()[1], DATA_OFFSET, 10**9)),
    "pages in the magic number": lied(PLAIN, lambda f: put(f.columns()[1], DATA_OFFSET, 0)),
    "pages in the footer": lied(PLAIN, lambda f: put(f.columns()[1], DATA_OFFSET, len(PLAIN) - 200)),
    "pages one byte off": lied(PLAIN, lambda f: put(f.columns()[1], DATA_OFFSET, f.columns()[1][DATA_OFFSET][1] + 1)),
    "pages of no length": lied(PLAIN, lambda f: put(f.columns()[1], STORED, 0)),
    "pages of negative length": lied(PLAIN, lambda f: put(f.columns()[1], STORED, -1)),
    "pages of endless length": lied(PLAIN, lambda f: put(f.columns()[1], STORED, 2**62)),
    "a codec that is none": lied(PLAIN, lambda f: put(f.columns()[1], CODEC, 42)),
    "another codec": lied(PLAIN, lambda f: put(f.columns()[1], CODEC, 6)),
    "no codec": lied(PACKED, lambda f: put(f.columns()[1], CODEC, 0)),
    # Dictionaries
    "a dictionary of negative length": patched(
        DICTIONARY, lambda f: put(f.chunks[0][0].header[DICTIONARY_HEADER][1], COUNT, -3)
    ),
    "a dictionary longer than its page": patched(
        DICTIONARY, lambda f: put(f.chunks[0][0].header[DICTIONARY_HEADER][1], COUNT, 4)
    ),
    "a dictionary of 2^31 - 1 words": patched(
        DICTIONARY, lambda f: put(f.chunks[0][0].header[DICTIONARY_HEADER][1], COUNT, 2**31 - 1)
    ),
    "a dictionary without the words that are used": patched(
        DICTIONARY, lambda f: put(f.chunks[0][0].header[DICTIONARY_HEADER][1], COUNT, 2)
    ),
    "a dictionary lost": patched(DICTIONARY, lambda f: (f.chunks[0].pop(0), f.columns()[0].pop(DICTIONARY_OFFSET))),
    "a dictionary twice": patched(DICTIONARY, lambda f: f.chunks[0].insert(0, copy.deepcopy(f.chunks[0][0]))),
    "an index beyond the dictionary": patched(
        DICTIONARY, lambda f: body(f, 0, lambda b: LEVELS + bytes([2, 7]) + b"\xff" * 6)
    ),
    "indices of 33 bits": patched(DICTIONARY, lambda f: body(f, 0, lambda b: LEVELS + bytes([33]) + b[7:])),
    "indices of 255 bits": patched(DICTIONARY, lambda f: body(f, 0, lambda b: LEVELS + bytes([255]) + b[7:])),
    "a word longer than the dictionary": patched(
        DICTIONARY, lambda f: body(f, 0, lambda b: (2**31 - 1).to_bytes(4, "little") + b[4:], page=0)
    ),
    "a word of negative length": patched(DICTIONARY, lambda f: body(f, 0, lambda b: b"\xff" * 4 + b[4:], page=0)),
    # Pages
    "a page of a kind that is none": patched(PLAIN, lambda f: put(f.chunks[1][0].header, PAGE_TYPE, 9)),
    "a page without its own header": patched(PLAIN, lambda f: f.chunks[1][0].header.pop(DATA_HEADER)),
    "a page of fewer values": patched(PLAIN, lambda f: put(data_header(f, 1), COUNT, 23)),
    "a page of more values": patched(PLAIN, lambda f: put(data_header(f, 1), COUNT, 25)),
    "a page of a negative number of values": patched(PLAIN, lambda f: put(data_header(f, 1), COUNT, -24)),
    "a page of 2^31 - 1 values": patched(PLAIN, lambda f: put(data_header(f, 1), COUNT, 2**31 - 1)),
    "an encoding that is none": patched(PLAIN, lambda f: put(data_header(f, 1), ENCODING, 77)),
    "another encoding": patched(PLAIN, lambda f: put(data_header(f, 1), ENCODING, 5)),
    "indices without a dictionary": patched(PLAIN, lambda f: put(data_header(f, 1), ENCODING, 8)),
    "levels longer than the page": patched(PLAIN, lambda f: body(f, 1, lambda b: b"\xff\xff\xff\x7f" + b[4:])),
    "levels of negative length": patched(PLAIN, lambda f: body(f, 1, lambda b: b"\xff" * 4 + b[4:])),
    "fewer levels than values": patched(PLAIN, lambda f: body(f, 2, lambda b: bytes([2, 0, 0, 0, 20, 1]) + b[6:])),
    "levels of no length": patched(PLAIN, lambda f: body(f, 2, lambda b: bytes(4) + b[6:])),
    "fewer values than levels": patched(PLAIN, lambda f: body(f, 2, lambda b: b[:-8])),
    "half a value": patched(PLAIN, lambda f: body(f, 2, lambda b: b[:-4])),
    "a page without a byte": patched(PLAIN, lambda f: body(f, 2, lambda b: b"")),
    "missing cells in a column that has none": lied(PLAIN, lambda f: put(f.schema()[2], REPETITION, 0)),
    "a column that should have missing cells": lied(written(REQUIRED), lambda f: put(f.schema()[3], REPETITION, 1)),
    "a page that tells 2 GiB": patched(PACKED, lambda f: put(f.chunks[2][0].header, PAGE_UNFOLDED, 2**31 - 1)),
    "a page that tells a negative size": patched(PLAIN, lambda f: put(f.chunks[2][0].header, PAGE_UNFOLDED, -1)),
    "a page that is stored in a negative size": lambda: _stored(-5),
    "a page that is stored beyond the file": lambda: _stored(10**6),
    "a packed page that unfolds to less": patched(PACKED, lambda f: put(f.chunks[2][0].header, PAGE_UNFOLDED, 300)),
    "a packed page that unfolds to more": patched(PACKED, lambda f: put(f.chunks[2][0].header, PAGE_UNFOLDED, 100)),
    "a packed page of other bytes": patched(PACKED, lambda f: f.chunks[2].__setitem__(0, _spoiled(f.chunks[2][0]))),
    "a wrong checksum": patched(CHECKED, lambda f: put(f.chunks[2][0].header, PAGE_CRC, 12345)),
    "a bit flipped below a checksum": lambda: flipped(CHECKED, 2),
}


def _stored(size: int) -> bytes:
    file = take_apart(PLAIN)
    pages = file.settle()
    header = file.chunks[2][0].header
    before = write_struct(header)
    put(header, PAGE_STORED, size)
    changed = write_struct(header)
    return file.seal(pages.replace(before, changed[: len(before)].ljust(len(before), b"\0")))


def _spoiled(page: Any) -> Any:
    made = copy.deepcopy(page)
    made.body = made.body[:6] + bytes(len(made.body) - 6)
    return made


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused(tmp_path: Path, name: str) -> None:
    table, errors = outcome(tmp_path, FAULTS[name]())
    assert table is None
    assert errors
    assert set(errors) <= {"file.damaged", "file.media", "file.too_large", "column.nested", "column.duplicate"}


HARMLESS: dict[str, Callable[[], bytes]] = {
    "bytes behind the last value": patched(PLAIN, lambda f: body(f, 2, lambda b: b + bytes(8))),
    "a page that is not packed and tells a smaller size": patched(
        PLAIN, lambda f: put(f.chunks[2][0].header, PAGE_UNFOLDED, 8)
    ),
    "a footer that tells a smaller size": lied(PLAIN, lambda f: put(f.columns()[2], UNFOLDED, 8)),
    "bytes between the pages and the footer": lambda: _padded(PLAIN),
    "several pages, a dictionary and row groups": lambda: written(
        TABLE, use_dictionary=["id"], data_page_size=1, write_batch_size=5, row_group_size=11
    ),
    "fields that nobody knows": lied(
        PLAIN, lambda f: put(f.columns()[2], 99, {1: [STRUCT, {5: [STRUCT, {1: [I32, 7]}]}]}, STRUCT)
    ),
    "page indexes": lambda: written(TABLE, write_page_index=True),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_leaves_no_doubt_reads_right(tmp_path: Path, name: str) -> None:
    assert outcome(tmp_path, HARMLESS[name]()) == (TABLE.to_pydict(), [])


def _padded(content: bytes) -> bytes:
    file = take_apart(content)
    return file.seal(file.settle() + bytes(40))


def test_one_word_for_all_rows_takes_indices_of_no_bits(tmp_path: Path) -> None:
    same = pa.table({"id": ["a"] * 24, "n": [1] * 24, "m": [1] * 24, "x": [0.5] * 24})
    file = take_apart(written(same, use_dictionary=["id"]))
    body(file, 0, lambda b: LEVELS + bytes([0]) + varint(24 << 1))
    assert outcome(tmp_path, file.seal(file.settle())) == (same.to_pydict(), [])
    body(file, 0, lambda b: LEVELS + bytes([0]) + varint(20 << 1))
    assert outcome(tmp_path, file.seal(file.settle()))[0] is None


def test_a_cell_that_is_missing_by_the_levels_and_there_by_the_statistics(tmp_path: Path) -> None:
    """One level too few, and every value behind it moves up by a row."""
    file = take_apart(PLAIN)
    levels = bytes([4, 0, 0, 0, 20, 0, 28, 1])  # ten cells that are missing, fourteen that are there
    body(file, 2, lambda b: levels + b[6:])
    assert outcome(tmp_path, file.seal(file.settle())) == (None, ["file.damaged"])


def test_texts_that_are_no_text(tmp_path: Path) -> None:
    file = take_apart(PLAIN)
    body(file, 0, lambda b: b.replace(b"c", b"\xff"))
    assert outcome(tmp_path, file.seal(file.settle())) == (None, ["file.damaged"])


def test_missing_cells_in_a_required_column_without_statistics(tmp_path: Path) -> None:
    """Read as cells, the bytes that tell which cells are missing shift every value."""
    file = take_apart(written(TABLE, use_dictionary=False, write_statistics=False))
    for meta in file.columns():
        for number in [number for number in meta if number > DICTIONARY_OFFSET]:
            del meta[number]
    body_of_pages = file.settle()
    put(file.schema()[3], REPETITION, 0)
    assert outcome(tmp_path, file.seal(body_of_pages)) == (None, ["file.damaged"])


def test_times_of_96_bits_overflow_and_are_refused(tmp_path: Path) -> None:
    """Arrow reads the year 9999 as 1816; another column of the file is not the worse for it."""
    schema = table_schema(column("id", "string"), column("at", "datetime"), column("also_at", "string"))
    path = tmp_path / "thing.parquet"
    times = pa.array([0, 1], pa.timestamp("us"))
    table = pa.table({"id": ["a", "b"], "at": times, "also_at": times})
    path.write_bytes(written(table, use_deprecated_int96_timestamps=True))
    reading = read_file(path, schema, place="thing.parquet")
    assert [(found.code, found.column, found.row, found.count) for found in reading.findings] == [
        ("value.type", "at", 1, 2),
        ("value.type", "also_at", 1, 2),
    ]
    assert reading.table is not None
    assert reading.table.to_pydict() == {"id": ["a", "b"]}


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    for end in (*range(0, len(PLAIN) - 40, 11), *range(len(PLAIN) - 40, len(PLAIN))):
        assert outcome(tmp_path, PLAIN[:end])[0] is None, end


@pytest.mark.parametrize(
    "content", [PLAIN, pytest.param(DICTIONARY, marks=pytest.mark.long)], ids=["plain", "dictionary"]
)
def test_no_changed_byte_of_a_footer_makes_a_wrong_table(tmp_path: Path, content: bytes) -> None:
    """Most changes are refused; the others are of no weight, such as the writer's name."""
    begin = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    refused = 0
    for at in range(begin, len(content) - 8):
        spoiled = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        table, errors = outcome(tmp_path, spoiled)
        assert table == TABLE.to_pydict() or errors, at - begin
        refused += table is None
    assert refused > 100


@pytest.mark.parametrize(
    "form", [DICTIONARY, pytest.param(SEVERAL_PAGES, marks=pytest.mark.long)], ids=["dictionary", "several pages"]
)
def test_no_changed_byte_of_a_page_header_makes_a_wrong_table(tmp_path: Path, form: bytes) -> None:
    file = take_apart(form)
    content, at = file.seal(file.settle()), len(MAGIC)
    for page in [page for pages in file.chunks for page in pages]:
        end = at + len(write_struct(page.header))
        for place in range(at, end):
            spoiled = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
            table, errors = outcome(tmp_path, spoiled)
            assert table == TABLE.to_pydict() or errors, place - at
        at = end + len(page.body)
