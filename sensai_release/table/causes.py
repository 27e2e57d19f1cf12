"""The codes of findings about source tables, each with its cause in one line. A public list: scripts rely on the codes.

What was expected and what to do stands in each finding's message, since it depends on the place.
"""

from __future__ import annotations

from collections.abc import Mapping

CAUSES: Mapping[str, str] = {
    "column.binary": "A column holds bytes",
    "column.duplicate": "Two columns have the same name",
    "column.missing": "A required column is missing",
    "column.nested": "A column holds lists or records",
    "column.undeclared": "A column is not declared",
    "face.several": "Several faces in one recording",
    "face.success": "The column that tells lost faces cannot be used",
    "file.arff": "An ARFF file breaks the form of such files",
    "file.damaged": "A file is damaged",
    "file.delimiter": "A file has no clear delimiter",
    "file.empty": "A file is empty",
    "file.encoding": "A file has the wrong encoding",
    "file.media": "A media file stands where a table should be",
    "file.metadata": "A file carries notes beside its table",
    "file.missing": "A file is missing",
    "file.not_text": "A file is no text",
    "file.other_tool": "A file looks like that of another tool",
    "file.refused": "A file cannot be read at all",
    "file.too_large": "A file is too large, or unfolds to too much",
    "file.too_wide": "A file has too many columns",
    "identifier.characters": "An identifier holds invisible characters",
    "identifier.marked": "The export marks a column as an identifier, and the schema lets it through",
    "identifier.pattern": "An identifier does not have the declared form",
    "key.duplicate": "A key stands in more than one row",
    "key.forms": "One key is written in several forms",
    "key.unknown": "A key leads to no row of the table that it refers to",
    "line.too_long": "A line is too long",
    "number.mixed_decimal": "Decimal points and commas are mixed",
    "row.blank": "Blank rows were left out",
    "row.quote": "Quotation marks do not fit the cells",
    "row.ragged": "A row has too many or too few cells",
    "row.swallowed": "A cell with line breaks may be rows that stray quotation marks have joined",
    "row.unnamed": "Rows have more cells than the header has names",
    "rule.after": "A time lies before the one that it must follow",
    "rule.equals": "A value differs from the one that a rule demands",
    "rule.rows_per": "There are more rows than a rule allows",
    "sheet.error": "Cells of a workbook hold errors",
    "sheet.formula": "Cells of a workbook hold formulas",
    "sheet.merged": "Cells of a workbook are merged",
    "sheet.notes": "A workbook holds notes beside its cells",
    "sheet.several": "A workbook has several sheets with data",
    "sheet.title": "A workbook has a title above its header",
    "source.not_a_file": "Something in the source folder is no plain file",
    "source.unclaimed": "No table claims a file",
    "time.backwards": "Time goes backwards",
    "time.missing": "A row has no time",
    "time.short": "A recording is too short for a window",
    "value.above": "A value lies above its range",
    "value.ambiguous_date": "No date tells day and month apart",
    "value.below": "A value lies below its range",
    "value.category": "A value is not in the declared set",
    "value.inexact": "A number has more digits than could be kept",
    "value.missing": "A value is missing where none may be",
    "value.mixed_date": "Dates are written in several forms",
    "value.mixed_offset": "Times have different offsets",
    "value.not_finite": "A number is infinite",
    "value.step": "A value is no whole multiple of its step",
    "value.two_in_one": "A cell holds two values",
    "value.type": "A value has the wrong type",
}
FAMILIES: Mapping[str, str] = {
    "stowaway": "Something other than a table's own data travels along",
}
"""Causes of codes that are open-ended, by the part before the point."""


def cause(code: str) -> str:
    """The cause in one line; the code itself when it is not in the list."""
    return CAUSES.get(code) or FAMILIES.get(code.partition(".")[0], code)
