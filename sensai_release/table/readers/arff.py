"""The header of an ARFF file, as SMILExtract's cArffSink and Weka write it; the rows below it are delimited text.

No library: those that are kept read row by row or know no text columns. Sparse rows, comments between rows and
escaped quotation marks are refused. Format: https://waikato.github.io/weka-wiki/formats_and_processing/arff_stable/
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Possessive: a file that begins with nothing but blanks is looked at once.
_START = re.compile(rb"(?:\s++|%[^\n]*+\n)*+@relation\b", re.IGNORECASE)
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_ATTRIBUTE = re.compile(
    r"@attribute\s+(?:'(?P<single>[^'\\]*)'|\"(?P<double>[^\"\\]*)\"|(?P<bare>[^\s'\"]+))\s+\S.*", re.IGNORECASE
)
_BLANK = re.compile(rb"(?:[ \t]*[\r\n]+)*")
MISSING = "?"
_LINES_BESIDE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArffHeader:
    """The names of the attributes, where the first row begins, and the quotation mark that the rows use."""

    names: tuple[str, ...]
    rows: int
    quote: str


def is_arff(data: bytes, start: int) -> bool:
    return _START.match(data, start, start + 65536) is not None


def arff_header(data: bytes, start: int, *, columns: int) -> ArffHeader | str:
    """The header, or what to say about it when it cannot be read. At most `columns` + 1 names are collected."""
    names: list[str] = []
    at, lines = start, 0
    while at < len(data):
        lines += 1
        if lines > _LINES_BESIDE + columns:
            return "The ARFF header goes on without rows. Export the file again, or save it as CSV."
        match = _LINE.match(data, at)
        assert match is not None  # noqa: S101 - the pattern matches the empty text
        line = match.group().decode("utf-8").strip()
        at = match.end()
        lower = line[:10].lower()
        if not line or line.startswith("%") or lower.startswith("@relation"):
            continue
        if lower.startswith("@data"):
            return _rows(data, at, tuple(names))
        attribute = _ATTRIBUTE.fullmatch(line)
        if attribute is None:
            return "A line of the ARFF header is no attribute. Export the file again, or save it as CSV."
        names.append(next(text for text in attribute.group("single", "double", "bare") if text is not None).strip())
        if len(names) > columns:
            break
    return ArffHeader(names=tuple(names), rows=len(data), quote='"')


def _rows(data: bytes, at: int, names: tuple[str, ...]) -> ArffHeader | str:
    blank = _BLANK.match(data, at)
    at = blank.end() if blank is not None else at
    if re.compile(rb"^[ \t]*[{%]", re.MULTILINE).search(data, at):
        return "The ARFF file has sparse rows or comments between its rows. Save it as CSV."
    single, double = data.find(b"'", at) >= 0, data.find(b'"', at) >= 0
    if (single and double) or data.find(b"\\'", at) >= 0 or data.find(b'\\"', at) >= 0:
        return "The ARFF file mixes or escapes quotation marks. Save it as CSV."
    return ArffHeader(names=names, rows=at, quote="'" if single else '"')
