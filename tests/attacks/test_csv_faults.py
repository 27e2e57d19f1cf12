"""Faults of delimited files, one by one: each polluted file reads right or is refused, and none gives a wrong table.

The kinds are those of the Pollock benchmark (Vitagliano et al. 2023, https://doi.org/10.14778/3594512.3594518), of
csv-spectrum and of frictionless' bad files; the files themselves are made here, from one clean table.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_kit import column, schema_set, table_schema

from sensai_release.errors import InputError
from sensai_release.table.checks import check_and_profile
from sensai_release.table.readers import read_file
from sensai_release.table.rules import check_rules

SCHEMA = table_schema(
    column("visit", "string", identifier={"kind": "session", "prefix": "S", "pattern": "[A-Z][0-9]{3}"}),
    column("group", "category", categories=["pain", "control"]),
    column("note", "string", nullable=True),
    column("age", "integer", minimum=18, maximum=120),
    column("score", minimum=0, maximum=100, nullable=True),
    column("seen", "date"),
    column("remark", "string", nullable=True),
    primary_key=["visit"],
)
NAMES = ["visit", "group", "note", "age", "score", "seen", "remark"]
CELLS = [
    ["A001", "pain", "dull, worse at night", "63", "41.5", "2025-03-01", "none"],
    ["A002", "control", "", "47", "", "2025-03-02", 'said "fine", left'],
    ["A003", "pain", "two\nlines", "85", "7.25", "2025-03-14", ""],
    ["A004", "pain", "caf\u00e9", "52", "100", "2025-04-30", "x, y"],
]
Table = dict[str, list[Any]]


def written(rows: list[list[str]], *, delimiter: str = ",", end: str = "\n", **more: Any) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end, **more).writerows(rows)
    return out.getvalue()


CLEAN = written([NAMES, *CELLS])
LINES = [written([row]) for row in [NAMES, *CELLS]]


def read(folder: Path, content: str | bytes) -> Table | None:
    """The table, as plain values, or `None` when there is any error: then a build stops."""
    path = folder / "thing.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        reading = read_file(path, SCHEMA, place="thing.csv")
    except InputError:
        return None
    findings = list(reading.findings)
    if reading.table is not None:
        findings += check_and_profile(reading.table, SCHEMA, place="thing.csv")[0]
        findings += check_rules({"thing": reading.table}, schema_set(SCHEMA))
    if any(finding.severity == "error" for finding in findings):
        return None
    assert reading.table is not None
    table: Table = reading.table.to_pydict()
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def truth(folder: Path) -> Table:
    table = read(folder, CLEAN)
    assert table is not None
    assert table["note"] == ["dull, worse at night", None, "two\nlines", "caf\u00e9"]
    assert table["remark"] == ["none", 'said "fine", left', None, "x, y"]
    assert table["score"] == [41.5, None, 7.25, 100.0]
    return table


def semicolons(decimal: str) -> str:
    rows = [[cell.replace(".", decimal) if at == 4 else cell for at, cell in enumerate(row)] for row in CELLS]
    return written([NAMES, *rows], delimiter=";")


READ_RIGHT: dict[str, str | bytes] = {
    "no line end at the end": CLEAN.rstrip("\n"),
    "two line ends at the end": CLEAN + "\n",
    "many line ends at the end": CLEAN + "\n\n\n",
    "CRLF": written([NAMES, *CELLS], end="\r\n"),
    "CR": written([NAMES, *CELLS], end="\r", quoting=csv.QUOTE_ALL),
    "one CRLF among LF": LINES[0] + LINES[1].replace("\n", "\r\n") + "".join(LINES[2:]),
    "semicolon": semicolons("."),
    "semicolon, decimal comma": semicolons(","),
    "tab": written([NAMES, *CELLS], delimiter="\t"),
    "all quoted": written([NAMES, *CELLS], quoting=csv.QUOTE_ALL),
    "byte order mark": CLEAN.encode("utf-8-sig"),
    "UTF-16": CLEAN.encode("utf-16"),
    "UTF-16 BE": b"\xfe\xff" + CLEAN.encode("utf-16-be"),
    "padded header": CLEAN.replace("group,note", " group , note", 1),
    "padded numbers": CLEAN.replace(",63,", ", 63 ,"),
    "columns in another order": written([row[::-1] for row in [NAMES, *CELLS]]),
}
REFUSED: dict[str, str | bytes] = {
    "no payload": "",
    "only a byte order mark": b"\xef\xbb\xbf",
    "only line ends": "\n\n\n",
    "no header": "".join(LINES[1:]),
    "half a header": LINES[0][:20] + "\n" + "".join(LINES[1:]),
    "a header twice": LINES[0] + CLEAN,
    "a header of two rows": LINES[0] + "id,text,text,year,point,day,text\n" + "".join(LINES[1:]),
    "a preamble": "Export of today\n\n" + CLEAN,
    "a comment above": "# made by a tool\n" + CLEAN,
    "a comment below": CLEAN + "# the end\n",
    "a footer": CLEAN + "Total,,,4,,,\n",
    "two tables": CLEAN + "\n" + CLEAN,
    "two columns of one name": CLEAN.replace("remark", "note", 1),
    "two columns of one name but for padding": CLEAN.replace("remark", " note", 1),
    "two names of one form": CLEAN.replace("remark", "\uff4e\uff4fte", 1),
    "a name too many": CLEAN.replace("remark", "remark,more", 1),
    "a name too few": CLEAN.replace(",remark", "", 1),
    "a nameless column": CLEAN.replace("remark", "", 1),
    "a delimiter of two characters": CLEAN.replace(",", ",,"),
    "a space as delimiter": written([NAMES, *CELLS], delimiter=" "),
    "a bar as delimiter": written([NAMES, *CELLS], delimiter="|"),
    "a single quote for a quotation mark": written([NAMES, *CELLS], quotechar="'"),
    "a backslash for a doubled mark": written([NAMES, *CELLS], doublequote=False, escapechar="\\"),
    "nothing quoted": written([NAMES, *CELLS], quoting=csv.QUOTE_NONE, escapechar="\\"),
    "Latin-1": CLEAN.encode("latin-1"),
    "UTF-16 without a mark": CLEAN.encode("utf-16-le"),
    "UTF-32": CLEAN.encode("utf-32"),
    "a NUL": CLEAN.replace("none", "no\0ne"),
    "the end mark of DOS": CLEAN + "\x1a",
    "a thousand's mark": CLEAN.replace(",63,", ',"1,063",'),
    "both decimal marks": semicolons(",").replace("7,25", "7.25"),
    "an index without a name": LINES[0] + "".join(f"{at},{line}" for at, line in enumerate(LINES[1:])),
    "an infinite number": CLEAN.replace("41.5", "1e309"),
    "an integer beyond 64 bits": CLEAN.replace(",63,", f",{2**63},"),
    "a number with a unit": CLEAN.replace("41.5", "41.5 mm"),
    "a date of another form": CLEAN.replace("2025-03-14", "14-03-2025"),
    "a day that is none": CLEAN.replace("2025-03-14", "2025-02-30"),
    "the same row twice": CLEAN + LINES[-1],
}


@pytest.mark.parametrize("name", READ_RIGHT)
def test_a_harmless_fault_reads_right(folder: Path, truth: Table, name: str) -> None:
    assert read(folder, READ_RIGHT[name]) == truth


@pytest.mark.parametrize("name", REFUSED)
def test_a_fault_that_leaves_doubt_is_refused(folder: Path, name: str) -> None:
    assert read(folder, REFUSED[name]) is None


def splits(line: str) -> list[int]:
    """Where the delimiters of a record stand; those within quotation marks do not count."""
    return [match.start() for match in re.finditer(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', line)]


def row_faults(number: int) -> Iterator[tuple[str, str]]:
    """Every fault of one record at each of its places, as Pollock has them."""
    line = LINES[number].removesuffix("\n")
    for at in splits(line):
        yield f"no delimiter at {at}", line[:at] + line[at + 1 :] + "\n"
        yield f"two delimiters at {at}", line[:at] + "," + line[at:] + "\n"
        yield f"another delimiter at {at}", line[:at] + ";" + line[at + 1 :] + "\n"
        yield f"a tab at {at}", line[:at] + "\t" + line[at + 1 :] + "\n"
        yield f"a line end at {at}", line[:at] + "\n" + line[at + 1 :] + "\n"
        yield f"a mark before {at}", line[:at] + '"' + line[at:] + "\n"
        yield f"a mark behind {at}", line[: at + 1] + '"' + line[at + 1 :] + "\n"
        yield f"two marks around {at}", line[:at] + '","' + line[at + 1 :] + "\n"
        yield f"a backslash before {at}", line[:at] + "\\" + line[at:] + "\n"
    yield "no delimiter at all", line.replace(",", "") + "\n"
    yield "semicolons alone", line.replace(",", ";") + "\n"
    yield "one cell more", line + ",\n"
    yield "one cell less", line[: splits(line)[-1]] + "\n"
    yield "no line end", line
    yield "marks lost", line.replace('"', "") + "\n"
    yield "single quotes", line.replace('"', "'") + "\n"
    yield "all in one mark", f'"{line}"\n'


def wrongly_read(table: Table | None, truth: Table) -> bool:
    """A table of other rows, or of other values in a column that has a declared form; free text is looked at below."""
    if table is None:
        return False
    return any(table.get(name) != truth[name] for name in NAMES if name not in ("note", "remark"))


@pytest.mark.parametrize("number", range(len(LINES)))
def test_no_fault_of_a_row_makes_a_wrong_table(folder: Path, truth: Table, number: int) -> None:
    """Only text without a declared form may differ, and then by the very characters that were put in or taken."""
    wrong, tried = [], 0
    for name, line in row_faults(number):
        table = read(folder, "".join([*LINES[:number], line, *LINES[number + 1 :]]))
        tried += 1
        if wrongly_read(table, truth):
            wrong.append(name)
        for text in ("note", "remark"):
            if table is not None and name not in ("marks lost", "single quotes"):
                pairs = zip(table[text], truth[text], strict=True)
                wrong += [name for got, right in pairs if (got or "").strip("\\") != (right or "")]
    assert wrong == []
    assert tried >= 60


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_two_stray_quotation_marks_never_swallow_a_row(data: st.DataObject) -> None:
    """An even number of marks is what a parser does not notice by itself."""
    import tempfile

    plain = [NAMES, *(["A001", "pain", "ab", "63", "1.5", "2025-03-01", "cd"] for _ in range(6))]
    plain = [[f"A{at:03d}", *row[1:]] if at else row for at, row in enumerate(plain)]
    text = written(plain)
    start = text.index("\n") + 1
    places = data.draw(st.lists(st.integers(start, len(text) - 1), min_size=2, max_size=4, unique=True))
    spoiled = text
    for place in sorted(places, reverse=True):
        spoiled = spoiled[:place] + '"' + spoiled[place:]
    with tempfile.TemporaryDirectory() as name:
        table = read(Path(name), spoiled)
    # A mark before a cell and one behind another make one well-formed cell: by RFC 4180 that is what the file says.
    if table is not None and re.search(r'(?:^|,)"[^"]*[,\n][^"]*"(?:,|$)', spoiled, re.MULTILINE) is None:
        assert table["visit"] == [row[0] for row in plain[1:]]
        assert [f"{cell}" for cell in table["age"]] == [row[3] for row in plain[1:]]
        assert set(map(str, table["note"] + table["remark"])) <= {"ab", "cd"}


def test_a_file_cut_anywhere(folder: Path, truth: Table) -> None:
    """A cut leaves whole rows, or is refused. Only in the last cell of all, without a line end, nothing tells of it."""
    content = CLEAN.encode()
    for end in range(len(content)):
        table = read(folder, content[:end])
        if table is None:
            continue
        rows = len(table["visit"])
        for name in NAMES:
            whole = max(rows - 1, 0) if name == "remark" else rows
            assert table[name][:whole] == truth[name][:whole], end
        last = (table["remark"][-1] or "") if rows else ""
        assert not rows or (truth["remark"][rows - 1] or "").startswith(last), end


@pytest.mark.long
def test_every_pair_of_row_faults(folder: Path, truth: Table) -> None:
    """Faults that hide one another: one cell too many beside one too few, a mark here and a mark there."""
    faults = {number: list(row_faults(number)) for number in range(1, len(LINES))}
    wrong = []
    for first in faults:
        for second in range(first + 1, len(LINES)):
            for name, line in faults[first]:
                for other, follower in faults[second]:
                    lines = list(LINES)
                    lines[first], lines[second] = line, follower
                    if wrongly_read(read(folder, "".join(lines)), truth):
                        wrong.append((first, name, second, other))
    assert wrong == []


SPECTRUM: dict[str, tuple[str, list[str | None]]] = {
    "comma in quotes": ('a,"x, y"\n', ["x, y"]),
    "empty": ("a,\n", [None]),
    "empty in quotes": ('a,""\n', [None]),
    "CRLF and empty": ("a,\r\nb,\r\n", [None, None]),
    "escaped quotes": ('a,"x ""y"" z"\n', ['x "y" z']),
    "a quote alone": ('a,""""\n', ['"']),
    "JSON": ('a,"{""type"": 1}"\n', ['{"type": 1}']),
    "newline": ('a,"x\ny"\n', ["x\ny"]),
    "CRLF in a cell": ('a,"x\r\ny"\r\n', ["x\r\ny"]),
    "quotes and newlines": ('a,"x\n""y"""\n', ['x\n"y"']),
    "UTF-8": ("a,\u02a4\n", ["\u02a4"]),
    "next line and line separator are no line ends": ("a,x\u2028y\u0085z\n", ["x\u2028y\u0085z"]),
    "form feed is no line end": ("a,x\x0cy\n", ["x\x0cy"]),
}


@pytest.mark.parametrize("name", SPECTRUM)
def test_what_csv_allows_reads_right(tmp_path: Path, name: str) -> None:
    rows, expected = SPECTRUM[name]
    schema = table_schema(column("id", "string"), column("text", "string", nullable=True))
    (tmp_path / "t.csv").write_text("id,text\n" + rows, newline="")
    reading = read_file(tmp_path / "t.csv", schema, place="t.csv")
    assert reading.table is not None, reading.findings
    assert reading.table["text"].to_pylist() == expected
    assert not reading.findings


READERS: tuple[Callable[[bytes], bytes], ...] = (
    lambda line: b'a,"x' + line,
    lambda line: b'a,x"y"' + line,
    lambda line: b'a, "x"' + line,
    lambda line: b'a,"x" y' + line,
    lambda line: b'a,"x"y"z"' + line,
    lambda line: b'a,"x,1\nb,"y' + line,
)


@pytest.mark.parametrize("make", READERS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_quotation_mark_within_a_cell_is_refused_with_its_row(
    tmp_path: Path, make: Callable[[bytes], bytes], end: bytes
) -> None:
    schema = table_schema(column("id", "string"), column("text", "string", nullable=True))
    (tmp_path / "t.csv").write_bytes(b'id,text\nz,"a ""b"", c\nd"\n' + make(end))
    reading = read_file(tmp_path / "t.csv", schema, place="t.csv")
    assert reading.table is None
    (finding,) = reading.findings
    assert finding.code in ("row.quote", "row.ragged")
    assert finding.code == "row.ragged" or (finding.row is not None and finding.row >= 2)
