"""Files that are small, or plain, and would fill the memory: each is refused below 1 GiB, measured in a process."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

GIB = 1 << 30
MIB = 1 << 20
# The high-water mark of the resident set; that of getrusage would be inherited from this process.
PROGRAM = """
import re, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from table_kit import column, table_schema
from sensai_release.errors import InputError
from sensai_release.table.readers import read_file
try:
    reading = read_file(Path(sys.argv[1]), table_schema(column("id", "string")), place="f")
    code = "read" if reading.table is not None else reading.findings[-1].code
except InputError:
    code = "refused"
print(code, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured by /proc")


def measured(path: Path) -> tuple[str, int]:
    """What became of the file, and the most bytes that were resident."""
    kit = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-c", PROGRAM, str(path), kit]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    code, kibibytes = done.stdout.split()
    return code, int(kibibytes) << 10


def zipped(*parts: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return out.getvalue()


def nested_zip() -> bytes:
    content = bytes(32 * MIB)
    for level in range(5):
        content = zipped(*((f"{level}-{number}.zip", content) for number in range(8 if level else 1)))
    return content


def workbook_with(name: str, change: Callable[[bytes], bytes]) -> bytes:
    book, plain = openpyxl.Workbook(), io.BytesIO()
    book.worksheets[0].append(["id"])
    book.worksheets[0].append(["a"])
    book.save(plain)
    with zipfile.ZipFile(plain) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    parts[name] = change(parts.get(name, b""))
    return zipped(*parts.items())


def varint(number: int) -> bytes:
    """A signed integer as the Thrift compact protocol writes it."""
    number, out = number * 2, bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def lying_parquet(size: int) -> bytes:
    """Two long texts in one page; the footer says that the column unfolds to a thousand bytes."""
    out = io.BytesIO()
    table = pa.table({"id": ["x" * (size // 2), "y" * (size // 2)]})
    pq.write_table(table, out, compression="zstd", use_dictionary=False, write_statistics=False)
    data = out.getvalue()
    group = pq.read_metadata(io.BytesIO(data)).row_group(0)
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    end = data[footer:]
    for real in {group.total_byte_size, group.column(0).total_uncompressed_size}:
        told = varint(1000)
        # As many bytes as before: a number may be written with more groups than it needs.
        told = told[:-1] + bytes([told[-1] | 128, *[128] * (len(varint(real)) - len(told) - 1), 0])
        assert varint(real) in end
        end = end.replace(varint(real), told)
    changed = data[:footer] + end
    assert pq.read_metadata(io.BytesIO(changed)).row_group(0).column(0).total_uncompressed_size == 1000
    return changed


def dictionary_bomb() -> bytes:
    """One long word that 200,000 rows point to."""
    out = io.BytesIO()
    indices = pa.array(np.zeros(200_000, np.int32))
    word = pa.array(["x" * MIB])
    pq.write_table(pa.table({"id": pa.DictionaryArray.from_arrays(indices, word)}), out, compression="zstd")
    return out.getvalue()


def columns(number: int) -> bytes:
    return (",".join(["id", *(f"c{at}" for at in range(1, number))]) + "\n" + "1," * (number - 1) + "1\n").encode()


SMALL: dict[str, tuple[Callable[[], bytes], str]] = {
    "gzip": (lambda: gzip.compress(bytes(64 * MIB), mtime=0), "file.media"),
    "a dictionary": (dictionary_bomb, "file.too_large"),
    "20,001 columns": (lambda: columns(20_001), "file.too_wide"),
    "nested zip": (nested_zip, "file.media"),
    "a zip that calls itself a workbook": (
        lambda: zipped(("xl/workbook.xml", b"<a/>"), ("a.xml", bytes(100 * MIB))),
        "file.too_large",
    ),
    "a zip within a workbook": (lambda: workbook_with("xl/a.zip", lambda _: nested_zip()), "file.media"),
    "a workbook of styles": (
        lambda: workbook_with(
            "xl/styles.xml", lambda old: old.replace(b"</cellXfs>", b"<xf/>" * 2_000_000 + b"</cellXfs>")
        ),
        "file.too_large",
    ),
    "a workbook of links": (
        lambda: workbook_with(
            "[Content_Types].xml",
            lambda old: old.replace(b"</Types>", b'<Override ContentType="a" PartName="b"/>' * 500_000 + b"</Types>"),
        ),
        "file.too_large",
    ),
    "Parquet whose footer lies about its pages": (lambda: lying_parquet(300 * MIB), "file.too_large"),
}


@pytest.mark.parametrize("name", SMALL)
def test_what_unfolds(tmp_path: Path, name: str) -> None:
    make, expected = SMALL[name]
    content = make()
    assert len(content) < MIB
    (tmp_path / "bomb").write_bytes(content)
    code, resident = measured(tmp_path / "bomb")
    assert code == expected
    assert resident < GIB


PLAIN: dict[str, tuple[bytes, bytes, bytes, str]] = {
    "one line": (b"id\n", b"x", b"", "line.too_long"),
    "one cell in quotes": (b'id\n"', b"x", b'"\n', "line.too_long"),
    "a header": (b"", b"x", b"\n", "line.too_long"),
    "a header of columns": (b"", b"x,", b"\n", "line.too_long"),
    "quotation marks": (b"id\n", b'"', b"", "line.too_long"),
    "blank lines": (b"id\n", b"\n", b"", "file.too_large"),
    "short rows": (b"id\n", b"1\n", b"", "file.too_large"),
    "marks and line ends": (b"id\n", b'"\n"\n', b"", "file.too_large"),
}


def plain(path: Path, name: str, size: int) -> str:
    head, body, tail, code = PLAIN[name]
    path.write_bytes(head + body * (size // len(body)) + tail)
    return code


def test_a_line_of_300_megabytes(tmp_path: Path) -> None:
    """Larger than any file may be, so that nothing of it is read."""
    plain(tmp_path / "bomb", "one line", 300 * MIB)
    code, resident = measured(tmp_path / "bomb")
    assert code == "refused"
    assert resident < GIB // 4


@pytest.mark.parametrize("name", ["one line", "a header of columns"])
def test_a_long_line_within_the_size_of_a_file(tmp_path: Path, name: str) -> None:
    code = plain(tmp_path / "bomb", name, 160 * MIB)
    found, resident = measured(tmp_path / "bomb")
    assert found == code
    assert resident < GIB


def test_a_cell_of_80_megabytes_among_short_ones(tmp_path: Path) -> None:
    """Longer than a line may be, and shorter than two blocks of the parser."""
    (tmp_path / "bomb").write_bytes(b"id\n" + b"a\n" * MIB + b"x" * (80 * MIB) + b"\nb\n")
    found, resident = measured(tmp_path / "bomb")
    assert found == "line.too_long"
    assert resident < GIB


def test_20_000_columns_are_read(tmp_path: Path) -> None:
    """As many as may be, all of them undeclared but one."""
    (tmp_path / "bomb").write_bytes(columns(20_000))
    found, resident = measured(tmp_path / "bomb")
    assert found == "read"
    assert resident < GIB // 4


# What would take hours, or gigabytes, where each line, blank or mark is looked at again and again.
SLOW: dict[str, tuple[bytes, bytes, bytes, int, str]] = {
    "blanks before anything": (b"", b" ", b"", 80, "file.empty"),
    "a header that is opened and never closed": (b'"', b"\n", b"", 80, "line.too_long"),
    "a long header of three delimiters": (b"", b"x,y;\t", b"", 80, "line.too_long"),
    "a header of three delimiters": (b"", b"x,y;\t", b"\n", 24, "file.too_wide"),
    "comments in an ARFF header": (b"@relation a\n", b"%\n", b"", 80, "file.arff"),
    "blank lines in an ARFF header": (b"@relation a\n", b"\n", b"", 80, "file.arff"),
    "one cell of quotation marks": (b'id\n"', b'""', b'\n"\n', 24, "row.swallowed"),
    "rows in quotation marks": (b"id\n", b'"\n"\n', b"", 8, "row.swallowed"),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_is_looked_at_once_takes_little(tmp_path: Path, name: str) -> None:
    head, part, tail, size, code = SLOW[name]
    (tmp_path / "bomb").write_bytes(head + part * (size * MIB // len(part)) + tail)
    found, resident = measured(tmp_path / "bomb")
    assert found == code
    assert resident < GIB


@pytest.mark.long
@pytest.mark.parametrize("name", PLAIN)
def test_the_largest_plain_files(tmp_path: Path, name: str) -> None:
    code = plain(tmp_path / "bomb", name, 250 * MIB)
    found, resident = measured(tmp_path / "bomb")
    assert resident < GIB
    assert found == code
