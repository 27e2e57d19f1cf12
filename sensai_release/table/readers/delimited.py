"""Reads the rows of delimited text below its header: comma, semicolon or tab, with a decimal point or comma.

Parses only the planned columns. What the header means was settled by `header`; encodings and other containers are
for `files` and `reading`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv

from sensai_release.table.findings import Finding
from sensai_release.table.readers import tools
from sensai_release.table.readers.cells import MISSING_NUMBERS, Converted, finite, whole
from sensai_release.table.readers.files import ReadLimits
from sensai_release.table.readers.gather import gather
from sensai_release.table.readers.header import Plan, PlannedColumn
from sensai_release.table.readers.parsed import Parsed, Spot, typed_column, typed_columns
from sensai_release.table.readers.records import Survey, survey, swallowed

_NUMERIC = ("integer", "number")
_SWALLOWED = (
    "Cells with line breaks read as whole rows just as well: two stray quotation marks make such a cell. "
    "Take the stray marks out, or the line breaks within the cell."
)
_BLANK_LINE = re.compile(rb"\n(?=\r?\n)|\r(?=\r)|\A(?=\r?\n)")


def read_rows(
    data: bytes, start: int, plan: Plan, spot: Spot, limits: ReadLimits, *, missing: str | None = None
) -> Parsed:
    """The rows of `data` from `start` on. `missing` is a text that means no value."""
    block = limits.line_bytes
    quote, delimiter = plan.quote.encode(), plan.delimiter.encode()
    seen = survey(data, start, quote=quote, delimiter=delimiter, longest=block)
    refused = _refused(seen, spot, block)
    if refused is not None:
        return Parsed(plan=plan, findings=(refused,))
    positions = sorted({column.position for column in plan.columns})
    narrow = None
    if quote in (b'"', b""):
        narrow = gather(data, start, width=plan.width, delimiter=plan.delimiter, needed=positions, block=block)
    content = data if narrow is None else narrow
    # Every cell takes up to 20 bytes on its way; a line end alone makes a row.
    if len(content) > limits.cells and _line_ends(content) * max(len(positions), 1) > limits.cells:
        message = f"The file has more than {limits.cells} cells to read. Split it, or check what it is."
        return Parsed(plan=plan, findings=(spot.finding("file.too_large", message),))
    if seen.broken:
        count, row = swallowed(data, start, width=plan.width, quote=quote, delimiter=delimiter)
        if count:
            return Parsed(plan=plan, findings=(spot.finding("row.swallowed", _SWALLOWED, row=row, count=count),))
    body = _Body(
        data=content,
        start=start if narrow is None else 0,
        fields=tuple(map(_field, range(plan.width) if narrow is None else positions)),
        plan=plan,
        spot=spot,
        block=block,
        missing=missing,
    )
    parsed = body.read()
    if narrow is not None or parsed.columns is None:
        return parsed
    blank = seen.blank or _blank_lines(data, start, quote, parsed.rows)
    if not blank:
        return parsed
    message = "Blank lines stand between the rows; they are left out. Check that no row was lost."
    skipped = spot.finding("row.blank", message, count=blank, severity="warning")
    return Parsed(plan=plan, rows=parsed.rows, columns=parsed.columns, findings=(*parsed.findings, skipped))


def _refused(seen: Survey, spot: Spot, longest: int) -> Finding | None:
    if seen.too_long is not None:
        text = f"A line is longer than {longest} bytes. Check what the file is."
        return spot.finding("line.too_long", text, row=seen.too_long)
    if seen.open is not None:
        text = "A quotation mark is opened and never closed: the file may be cut off. Export it again."
        return spot.finding("row.ragged", text, row=seen.open)
    if seen.misplaced:
        text = (
            "Quotation marks stand within cells and are not doubled, so nobody can tell where a cell ends. Mend them."
        )
        return spot.finding("row.quote", text, row=seen.misplaced_row, count=seen.misplaced)
    return None


def _field(position: int) -> str:
    """The name that the parser sees: real ones may be empty, or differ by their padding alone."""
    return f"c{position}"


def _line_ends(data: bytes) -> int:
    return data.count(b"\n") + data.count(b"\r")


def _blank_lines(data: bytes, start: int, quote: bytes, rows: int) -> int:
    # Where anything is quoted, they are counted already.
    if quote and data.find(quote, start) >= 0:
        return 0
    ends = data.count(b"\n", start)
    if ends in (rows, rows - 1) and data.find(b"\r", start) < 0:
        return 0
    return len(_BLANK_LINE.findall(data[start:].rstrip()))


@dataclass(slots=True)
class _Ragged:
    """Counts rows whose number of cells is wrong, and skips them; Arrow numbers rows from 1."""

    count: int = 0
    one_more: int = 0
    first: int | None = None

    def __call__(self, row: Any) -> Literal["skip"]:
        self.count += 1
        self.one_more += row.actual_columns == row.expected_columns + 1
        if self.first is None or (row.number is not None and row.number < self.first):
            self.first = row.number
        return "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """The rows of one file, whole or with the planned columns alone; `fields` names the columns that are there."""

    data: bytes
    start: int
    fields: tuple[str, ...]
    plan: Plan
    spot: Spot
    block: int
    missing: str | None

    def read(self) -> Parsed:
        ragged = _Ragged()
        parsed: tuple[pa.Table, dict[str, Converted]] | None = None
        if self._plain_integers():
            marks = "." if self.plan.delimiter == "," else ".,"
            parsed = next((found for mark in marks if (found := self._fast(mark, ragged)) is not None), None)
        if parsed is None:
            ragged = _Ragged()
            try:
                texts = self._parse(typed=False, decimal=".", ragged=ragged)
            except pa.ArrowInvalid:
                # The parser's message quotes the text.
                text = "A line cannot be cut into cells. Check what the file is."
                return Parsed(plan=self.plan, findings=(self.spot.finding("line.too_long", text),))
            if ragged.count:
                return self._ragged(ragged, texts.num_rows)
            converted, mixed = typed_columns(
                self.plan,
                lambda column: self._unquoted(texts.column(_field(column.position))),
                self.spot,
                points=self.plan.delimiter == ",",
                missing=self.missing,
            )
            if mixed is not None:
                return Parsed(plan=self.plan, rows=texts.num_rows, findings=(mixed,))
            parsed = texts, converted
        if ragged.count:
            return self._ragged(ragged, parsed[0].num_rows)
        return Parsed(plan=self.plan, rows=parsed[0].num_rows, columns=parsed[1])

    def _plain_integers(self) -> bool:
        """Arrow reads `0x1F` as an integer; a file with such text takes the careful way."""
        if self.spot.decimals or all(column.dtype != "integer" for column in self.plan.columns):
            return True
        return self.data.find(b"0x", self.start) < 0 and self.data.find(b"0X", self.start) < 0

    def _parse(self, *, typed: bool, decimal: str, ragged: _Ragged) -> pa.Table:
        numbers = {"number": pa.float64(), "integer": pa.float64() if self.spot.decimals else pa.int64()}
        types = {
            _field(column.position): numbers[column.dtype] if typed and _is_typed(column) else pa.string()
            for column in self.plan.columns
        }
        # No column at all would mean every column to Arrow; one is enough to count the rows.
        types = types or {self.fields[0]: pa.string()}
        size = len(self.data) - self.start
        if not self.data[self.start : self.start + 64].strip() and not self.data[self.start :].strip():
            return pa.table({name: pa.array([], kind) for name, kind in types.items()})
        quote = self.plan.quote
        return pa_csv.read_csv(
            pa.BufferReader(pa.py_buffer(self.data).slice(self.start)),
            read_options=pa_csv.ReadOptions(
                use_threads=False,
                # One block as a rule: then a column is one chunk, and a quoted line break never spans two blocks.
                block_size=min(size + 1, self.block),
                column_names=self.fields,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.plan.delimiter,
                quote_char=quote or False,
                double_quote=bool(quote),
                newlines_in_values=bool(quote) and size >= self.block,
                invalid_row_handler=ragged,
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(types),
                column_types=types,
                null_values=[*MISSING_NUMBERS, *([self.missing] if self.missing is not None else [])],
                strings_can_be_null=False,
                check_utf8=False,
                decimal_point=decimal,
            ),
        )

    def _fast(self, decimal: str, ragged: _Ragged) -> tuple[pa.Table, dict[str, Converted]] | None:
        """Numbers by Arrow's parser: for files in which every cell is what it should be; `None` for the others."""
        ragged.count, ragged.one_more, ragged.first = 0, 0, None
        try:
            table = self._parse(typed=True, decimal=decimal, ragged=ragged)
        except pa.ArrowInvalid:
            return None
        converted = {}
        for column in self.plan.columns:
            cells = table.column(_field(column.position))
            if not _is_typed(column):
                converted[column.name] = typed_column(column, self._unquoted(cells), self.spot, missing=self.missing)
            elif column.dtype == "number":
                converted[column.name] = finite(cells)
            else:
                converted[column.name] = whole(cells) if self.spot.decimals else Converted(values=cells)
        return table, converted

    def _unquoted(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        return cells if self.plan.quote else tools.unquote(cells)

    def _ragged(self, ragged: _Ragged, even_rows: int) -> Parsed:
        text = f"Rows do not have {self.plan.width} cells: the file is damaged or cut off. Export it again."
        code = "row.ragged"
        if not even_rows and ragged.one_more == ragged.count:
            code = "row.unnamed"
            text = (
                "Every row has one cell more than the header has names, so nobody can tell which is which. "
                "Export it again without a row index."
            )
        finding: Finding = self.spot.finding(code, text, row=ragged.first, count=ragged.count)
        return Parsed(plan=self.plan, findings=(finding,))


def _is_typed(column: PlannedColumn) -> bool:
    return column.dtype in _NUMERIC and not column.duration
