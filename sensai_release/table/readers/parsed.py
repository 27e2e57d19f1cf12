"""What every container of a table comes down to: the planned columns with their types, or findings that say why not.

Also turns columns of text into typed ones, which delimited files, ARFF files and workbooks share. Knows no container.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.table.findings import Finding, Severity
from sensai_release.table.readers.cells import Converted, convert, count_and_first, decimal_marks, trim
from sensai_release.table.readers.header import Plan, PlannedColumn
from sensai_release.table.schema import TableSchema

MESSAGES: Mapping[str, str] = {
    "number.mixed_decimal": "The file has decimal points and decimal commas. Save it with one of them.",
    "value.type": "Cells cannot be read as the declared type. Correct them at the source, or mend the schema.",
    "value.not_finite": "Numbers must be finite. Correct the cells at the source, or leave them empty.",
    "value.mixed_offset": "Times with different offsets cannot be compared. Write them all with the same offset.",
    "value.mixed_date": "Dates stand in two forms in one column. Write them all as yyyy-mm-dd.",
    "value.ambiguous_date": "No date tells whether the day or the month comes first. Write them as yyyy-mm-dd.",
    "value.two_in_one": "Cells hold a value and a date, as Castor joins them. Export the two as separate columns.",
    "value.inexact": "Numbers have more digits than a spreadsheet keeps. Store the column as text, and export again.",
    "key.forms": "The same number is written in several ways (1, 1.0, 01). Write each key in one way only.",
    "key.unknown": "The tool was not told which recording it read ('unknown'). Run it again with the file's name.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Whose findings these are: a table, and the declared name of a file."""

    schema: TableSchema
    place: str

    def finding(
        self,
        code: str,
        message: str | None = None,
        *,
        column: str | None = None,
        row: int | None = None,
        count: int = 1,
        severity: Severity = "error",
    ) -> Finding:
        return Finding(
            table=self.schema.name,
            file=self.place,
            column=column,
            code=code,
            severity=severity,
            row=row,
            count=count,
            message=MESSAGES[code] if message is None else message,
        )

    @property
    def reader(self) -> Literal["delimited", "openface", "opensmile"]:
        return self.schema.source.reader if self.schema.source is not None else "delimited"

    @property
    def decimals(self) -> bool:
        """OpenFace prints whole numbers with decimals (`AU01_c` is 0.00 or 1.00); in other tools that is a mistake."""
        return self.reader == "openface"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The planned columns by name; `None` when the file as a whole is refused. `rows` are those of the file."""

    plan: Plan | None = None
    rows: int = 0
    columns: Mapping[str, Converted] | None = None
    findings: tuple[Finding, ...] = ()


def typed_column(
    column: PlannedColumn, cells: pa.ChunkedArray, spot: Spot, *, decimal: str = ".", missing: str | None = None
) -> Converted:
    """One column of text as the declared type. `missing` is a text that stands for no value (ARFF's `?`)."""
    texts = trim(cells)
    if missing is not None:
        texts = pc.if_else(pc.equal(texts, missing), pa.scalar(None, pa.string()), texts)
    return convert(texts, column.dtype, decimal=decimal, duration=column.duration, decimals=spot.decimals)


def typed_columns(
    plan: Plan,
    texts: Callable[[PlannedColumn], pa.ChunkedArray],
    spot: Spot,
    *,
    points: bool,
    missing: str | None = None,
) -> tuple[dict[str, Converted], Finding | None]:
    """Every planned column, or a finding when the decimal mark is in doubt.

    `points`: only a decimal point is possible, as in a file whose cells stand between commas.
    """
    decimal = "."
    if not points:
        decimal, mixed = _decimal_mark(plan, texts, spot)
        if mixed is not None:
            return {}, mixed
    return {
        column.name: typed_column(column, texts(column), spot, decimal=decimal, missing=missing)
        for column in plan.columns
    }, None


def _decimal_mark(
    plan: Plan, texts: Callable[[PlannedColumn], pa.ChunkedArray], spot: Spot
) -> tuple[str, Finding | None]:
    """The mark that the numbers use, with a finding about the rarer one when they use both."""
    seen = {".": 0, ",": 0}
    first: dict[str, tuple[str, int]] = {}
    for column in plan.columns:
        if column.dtype != "number" or column.duration:
            continue
        masks = decimal_marks(trim(texts(column)))
        for mark, (count, row) in zip(seen, map(count_and_first, masks), strict=True):
            seen[mark] += count
            if count:
                first.setdefault(mark, (column.name, row))
    if len(first) < 2:
        return ("," if "," in first else "."), None
    rarer = min(seen, key=lambda mark: seen[mark])
    name, row = first[rarer]
    return ".", spot.finding("number.mixed_decimal", column=name, row=row, count=seen[rarer])
