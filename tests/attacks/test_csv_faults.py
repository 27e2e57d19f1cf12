"""Faults of delimited files, one by one: each polluted file reads right or is refused, and none gives a wrong table.

The kinds are those of the Pollock benchmark (Vitagliano et al. 2023, https://doi.org/10.14778/3594512.3594518), of
csv-spectrum and of frictionless' bad files; the files themselves are made here, from one clean table.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
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
    "a blank header": "\n" * 2 + "".join(LINES[1:]),
    "a header of nothing but commas": "," * 6 + "\n" + "".join(LINES[1:]),
    "a label in capitals": CLEAN.replace("visit", "VISIT", 1),
    "a label for another": CLEAN.replace("age", "years", 1),
    "labels in quotation marks of another kind": CLEAN.replace("note", "'note'", 1),
    "two labels changed for one another": CLEAN.replace("age,score", "score,age", 1),
    "an extra cell": CLEAN.replace(LINES[2], LINES[2][:-1] + ",x\n"),
    "a missing cell": CLEAN.replace(",47,", ","),
    "a row of empty cells": CLEAN + "," * 6 + "\n",
    "a row of one space": CLEAN + " \n",
    "a missing value in a required column": CLEAN.replace(",63,", ",,"),
    "a value below its range": CLEAN.replace(",63,", ",6,"),
    "a value off its list": CLEAN.replace("control", "Control"),
    "an identifier off its pattern": CLEAN.replace("A002", "A02"),
    "a table drawn with lines": CLEAN.replace(LINES[1], "+---+---+\n" + LINES[1]),
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


EVEN = [NAMES, *([f"A{at:03d}", "pain", "ab", "63", "1.5", "2025-03-01", "cd"] for at in range(1, 7))]


def with_marks(text: str, places: Iterable[int]) -> str:
    for place in sorted(places, reverse=True):
        text = text[:place] + '"' + text[place:]
    return text


def check_no_row_is_swallowed(table: Table | None, rows: list[list[str]]) -> None:
    assert table is None or table["visit"] == [row[0] for row in rows[1:]]
    assert table is None or [f"{cell}" for cell in table["age"]] == [row[3] for row in rows[1:]]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_stray_quotation_marks_never_swallow_a_row(data: st.DataObject) -> None:
    """An even number of marks is what a parser does not notice by itself."""
    text = written(EVEN)
    # A mark amid the letters of a cell is no danger: draw from the edges of cells more often.
    edges = [at for at in range(text.index("\n") + 1, len(text)) if text[at - 1] in ",\n" or text[at] in ",\n"]
    place = st.one_of(st.sampled_from(edges), st.integers(text.index("\n") + 1, len(text) - 1))
    places = data.draw(st.lists(place, min_size=2, max_size=4, unique=True))
    with tempfile.TemporaryDirectory() as name:
        table = read(Path(name), with_marks(text, places))
    check_no_row_is_swallowed(table, EVEN)
    assert table is None or set(map(str, table["note"] + table["remark"])) <= {"ab", "cd"}


def test_two_stray_marks_at_the_edges_of_cells_never_swallow_a_row(folder: Path) -> None:
    """Every pair in the first rows that a parser would take for one cell with line breaks."""
    text = written(EVEN[:4])
    begin = text.index("\n") + 1
    opening = [at for at in range(begin, len(text)) if text[at - 1] in ",\n"]
    closing = [at for at in range(begin, len(text)) if text[at] in ",\n"]
    refused = 0
    for first in opening:
        for second in (at for at in closing if "\n" in text[first:at]):
            table = read(folder, with_marks(text, (first, second)))
            check_no_row_is_swallowed(table, EVEN[:4])
            refused += table is None
    assert refused > 100


@pytest.mark.long
@pytest.mark.parametrize("content", [written(EVEN[:5]), CLEAN], ids=["plain", "with quoted cells"])
def test_two_stray_marks_anywhere_never_swallow_a_row(folder: Path, content: str) -> None:
    rows = list(csv.reader(io.StringIO(content)))
    for pair in combinations(range(content.index("\n") + 1, len(content)), 2):
        check_no_row_is_swallowed(read(folder, with_marks(content, pair)), rows)


SWALLOWED: dict[str, tuple[str, int]] = {
    "one row": ('A1,"x,1\nA2,x",2\nA3,x,3\n', 1),
    "two rows": ('A1,x,1\nA2,"x,2\nA3,x,3\nA4,x",4\n', 2),
    "many rows": ('A1,"x,1\n' + "A2,x,2\n" * 50 + 'A3,x",3\n', 1),
    "rows of which one is damaged": ('A1,"x,1\nA2,x,2\nA3\nA4,x",4\n', 1),
    "rows between blank lines": ('A1,"x,1\n\nA2,x",2\n', 1),
    "rows with CR LF": ('A1,"x,1\r\nA2,x",2\r\n', 1),
    "rows with CR": ('A1,"x,1\rA2,x",2\r', 1),
    "from the first cell": ('"A1,x,1\nA2",x,2\n', 1),
    "to the end of the file": ('A1,x,"1\nA2,x,2"', 1),
    "beside a quoted cell": ('A1,"x, y"",1\nA2,",2\n', 1),
    "up to a quoted cell": ('A1,"x,1\nA2,""x, y",2\n', 1),
    "an empty quoted cell": ('A1,"x,1\nA2,"",2\nA3,x",3\n', 1),
    "below a note with a line break": ('A1,"a\nb",1\nA2,"x,2\nA3,x",3\n', 2),
    "within a note with a line break": ('A1,"a\nb"",1\nA2,x",2\n', 1),
    "twice in one row": ('A1,"x,1\nA2,x","2\nA3,x,3"\n', 1),
}


@pytest.mark.parametrize("name", SWALLOWED)
def test_a_swallowed_row_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    content, row = SWALLOWED[name]
    schema = table_schema(*(column(label, "string", nullable=True) for label in ("id", "note", "more")))
    (tmp_path / "t.csv").write_bytes(b"id,note,more\n" + content.encode())
    reading = read_file(tmp_path / "t.csv", schema, place="t.csv")
    assert reading.table is None
    assert [(found.code, found.file, found.row) for found in reading.findings] == [("row.swallowed", "t.csv", row)]


NOTES = [
    "Pijn bij het opstaan.\nNa het ontbijt minder, maar 's avonds weer erger.",
    "J. de Synthetic\nVoorbeeldstraat 1\n1234 AB Nergens, NL",
    "first\n\nthird",
    "\nbegins and ends with one\n",
    'she said "a bit", then "no"\nand left',
    "a, b, c, d, e, f, g, h, i\nj, k, l, m, n, o, p",
    "one, two\r\nthree, four",
    '"quoted"\n"quoted, too"',
    "semicolons; tabs\tand so on;\nagain; again",
]


@pytest.mark.parametrize("note", NOTES)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_notes_with_line_breaks_read_right(folder: Path, truth: Table, note: str, delimiter: str, end: str) -> None:
    """As REDCap and Castor export them: what a person wrote is not taken for rows."""
    cells = [[*row[:2], note, *row[3:]] for row in CELLS]
    table = read(folder, written([NAMES, *cells], delimiter=delimiter, end=end))
    assert table == {**truth, "note": [note.strip()] * len(CELLS)}


TEXTS = st.text(st.sampled_from('ab ,"\n'), max_size=12)
WIDE = table_schema(column("id", "string"), column("text|note|x[0-9]", "string", nullable=True))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3), st.integers(0, 6))
def test_a_cell_with_line_breaks_reads_right_or_stays_in_doubt(texts: list[tuple[str, str]], more: int) -> None:
    """It is never in doubt where it has fewer delimiters than a row."""
    names = ["id", "text", "note", *(f"x{number}" for number in range(more))]
    rows = [[f"A{number}", *pair, *["1"] * more] for number, pair in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(written([names, *rows]).encode())
        reading = read_file(path, WIDE, place="t.csv")
    if reading.table is None:
        assert [found.code for found in reading.findings] == ["row.swallowed"]
        assert max(sum(cell.count(",") for cell in row) for row in rows) >= len(names) - 1
        return
    for at, name in enumerate(names):
        assert reading.table[name].to_pylist() == [row[at].strip() or None for row in rows]


NARROW: dict[str, tuple[str, str, bool]] = {
    "one column": ("note", '"a\nb"', False),
    "one column with a comma in each line": ("note", '"a, b\nc, d"', True),
    "two columns": ("id,note", '1,"a\nb"', True),
    "two columns, two commas": ("id,note", '1,"a\nb, c, d"', True),
    "two columns, one comma below": ("id,note", '1,"a\nb, c"', False),
    "two columns, a comma in each line": ("id,note", '1,"a, b\nc, d"', True),
}


@pytest.mark.parametrize("name", NARROW)
def test_line_breaks_in_narrow_tables(tmp_path: Path, name: str) -> None:
    """Where a note reads as rows just as well, nobody can tell: in a narrow table that is soon so."""
    header, row, is_read = NARROW[name]
    schema = table_schema(column("note", "string", nullable=True), column("id", "string", required=False))
    (tmp_path / "t.csv").write_text(f"{header}\n{row}\n")
    reading = read_file(tmp_path / "t.csv", schema, place="t.csv")
    assert (reading.table is not None) == is_read
    assert [found.code for found in reading.findings] == ([] if is_read else ["row.swallowed"])


def test_blank_lines_beside_quoted_cells_are_counted(tmp_path: Path) -> None:
    schema = table_schema(column("id", "string"), column("text", "string", nullable=True))
    for end in ("\n", "\r\n", "\r"):
        text = end.join(["id,text", "", 'a,"x', "", 'y"', "", "", "b,", "", ""])
        (tmp_path / "t.csv").write_bytes(text.encode())
        reading = read_file(tmp_path / "t.csv", schema, place="t.csv")
        assert reading.table is not None
        assert reading.table["id"].to_pylist() == ["a", "b"]
        assert [(found.code, found.severity, found.count) for found in reading.findings] == [
            ("row.blank", "warning", 3)
        ]


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
    "coordinates": ('a,"32\u00b0 18\u2032 N, 64\u00b0 47\u2032 W"\n', ["32\u00b0 18\u2032 N, 64\u00b0 47\u2032 W"]),
    "JSON over several lines": (
        'a,"{\n  ""type"": ""x"",\n  ""n"": [1, 2]\n}"\n',
        ['{\n  "type": "x",\n  "n": [1, 2]\n}'],
    ),
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
