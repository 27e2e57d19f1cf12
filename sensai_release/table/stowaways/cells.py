"""Encoded files in columns of text: in one cell, or cut into pieces over many.

Works on whole columns with Arrow's regular expressions; only the first few cells that a mask has found are decoded, to
name what they hold. Columns of numbers are for `samples`; the meaning of honest text is for the leak scan.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.table.findings import Finding
from sensai_release.table.schema import TableSchema
from sensai_release.table.stowaways.signatures import blob_kind, in_words, kind_inside
from sensai_release.table.stowaways.walls import SHORTEST_WALL, decodings, kind_of_run

_CURE = "Take it out of the table."
# In the order in which they are asked: the first that a column answers to names the finding.
_SHAPES: tuple[tuple[str, str, str], ...] = (
    (
        "stowaway.binary",
        # Vertical tabs and form feeds are soft line breaks of spreadsheets.
        "[\\x00-\\x08\\x0e-\\x1f]|(?:[\\x{80}-\\x{9f}].{0,8}){4}",
        "Text cells hold control characters: bytes of another file, or text saved in a wrong encoding.",
    ),
    (
        "stowaway.data_uri",
        r"(?i)data:[a-z]+/[a-z0-9.+-]{1,80}[;,]",
        "Text cells hold a whole file as a 'data:' address.",
    ),
    (
        "stowaway.array",
        r"^\s*[\[({]*\s*(?:[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?[\])}]*[\s,;|]+[\[({]*\s*){32}",
        "Text cells hold long lists of numbers: samples, a picture or a template.",
    ),
    (
        "stowaway.markup",
        r"(?i)%PDF-1\.|<(?:svg|img|object|embed|script|iframe)[\s>]|-----BEGIN |(?:^|\n)begin [0-7]{3} \S|=ybegin ",
        "Text cells hold a document, a drawing or a program as text.",
    ),
)
# Base64 or base64url without a break, wrapped as mail wraps it, other printable encodings, and bytes spelt out.
_WALL = rf"[A-Za-z0-9+/_=-]{{{SHORTEST_WALL}}}"
_ENCODED = "|".join(
    (
        _WALL,
        r"(?:[A-Za-z0-9+/]{60,76}\s+){3}",
        r"[!-~]{400}",
        r"(?:[0-9A-Fa-f]{2}[\s:,-]){64}",
        r"(?:\\x[0-9a-fA-F]{2}[^\\]{0,16}){16}",
        r"(?:%[0-9A-Fa-f]{2}){32}",
    )
)
_DRAWN = r"[-_=*#.~+]{3,}"
_RUN = re.compile(rb"[A-Za-z0-9+/_=-]{60,}")
_PIECE = r"^(?:[A-Za-z0-9+/_-]+={0,2}|=+)$"
_DECODED_CELLS = 16
_CELL_CHARACTERS = 1 << 16
# Pieces beyond this many bytes are not put together: what they are shows long before, and memory stays small.
_JOINED_BYTES = 1 << 23
_LEAST_BYTES = 512
_LEAST_PIECE = 8
# Base64 has 6 bits a character, base 85 has 6.4; 32 letters and digits at random have 5, prose and paths less.
_ENTROPY = 5.5
_FOR_ENTROPY = 2048
_LINE_BYTES = 24


def text_findings(table: pa.Table, schema: TableSchema, *, place: str) -> tuple[Finding, ...]:
    """At most one finding a column of text: `stowaway.<kind>`, with how many cells and the first row of them.

    Kinds are those of `signatures.KINDS` where the decoded bytes tell, else `encoded`, `binary`, `data_uri`, `array`
    or `markup`. Cells are missing or text; other types are passed over.
    """
    found = []
    for name in table.column_names:
        column = table.column(name)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        spec = schema.match(name)
        finding = _in_column(column, is_identifier=spec is not None and spec.identifier is not None)
        if finding is not None:
            code, mask, text = finding
            count, row = (pc.sum(mask, min_count=0).as_py(), pc.index(mask, True).as_py() + 1)
            found.append(
                Finding(
                    table=schema.name,
                    file=place,
                    column=name,
                    code=code,
                    row=row,
                    count=count,
                    message=f"{text} {_CURE}",
                )
            )
    return tuple(found)


def _in_column(column: pa.ChunkedArray, *, is_identifier: bool) -> tuple[str, pa.ChunkedArray, str] | None:
    """Code, mask of the cells and text of the first thing that is wrong with a column."""
    size = pc.sum(pc.binary_length(column), min_count=0).as_py()
    if not size:
        return None
    # Whatever repeats is looked at once: a column of few different texts costs nothing, however long it is.
    values = pa.chunked_array([pc.unique(column)])
    for code, pattern, text in _SHAPES:
        if pc.any(_matches(values, pattern)).as_py():
            return code, _matches(column, pattern), text
    walls = _walls(values)
    if pc.any(walls).as_py():
        kind = _kind_of_cells(values.filter(walls))
        return f"stowaway.{kind}", _walls(column), _words(kind, "unbroken runs")
    pieces = _pieces(column, size, is_identifier=is_identifier)
    if pieces is not None:
        return f"stowaway.{pieces}", column.is_valid(), _words(pieces, "pieces over many rows")
    return None


def _matches(column: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.match_substring_regex(column, pattern), False)


def _walls(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Marks the cells with encoded bytes; a line that someone drew with dashes is none."""
    marked = _matches(column, _ENCODED)
    if not pc.any(marked).as_py():
        return marked
    return _matches(pc.replace_substring_regex(column, _DRAWN, " "), _ENCODED)


def _words(kind: str, shape: str) -> str:
    return f"Text cells hold {in_words(kind)}, written as {shape}."


def _kind_of_cells(walls: pa.ChunkedArray) -> str:
    for cell in pc.utf8_slice_codeunits(walls.slice(0, _DECODED_CELLS), 0, _CELL_CHARACTERS).to_pylist():
        packed = re.sub(rb"\\x|[\s:,%]", b"", cell.encode())
        for run in (*_RUN.findall(cell.encode()), packed):
            kind = kind_of_run(run)
            if kind not in (None, "encoded"):
                return str(kind)
    return "encoded"


def _pieces(column: pa.ChunkedArray, size: int, *, is_identifier: bool) -> str | None:
    """The kind of file that the cells make when they are put together in the order of the rows."""
    present = column.drop_null()
    if size < _LEAST_BYTES:
        return None
    if size > _JOINED_BYTES:
        present = present.slice(0, max(1, len(present) * _JOINED_BYTES // size))
        size = pc.sum(pc.binary_length(present), min_count=0).as_py()
    alphabet = _matches(present, _PIECE)
    texts = present.filter(alphabet)
    if len(texts) * 10 < len(present) * 9:
        return "encoded" if not is_identifier and _is_dense(present, size) else None
    lengths = pc.binary_length(texts)
    if pc.mean(lengths).as_py() < _LEAST_PIECE:
        return None
    joined = _bytes_of(texts)
    bounds = pc.min_max(lengths)
    # All but the last piece are of one length.
    equal = bounds["max"].as_py() * (len(texts) - 1) < len(joined) <= bounds["max"].as_py() * len(texts)
    for decoded in decodings(joined):
        # Pieces of one length start where the blob starts; among others only a long signature says anything.
        kind = kind_inside(decoded) or (blob_kind(decoded) if equal else None)
        if kind is not None:
            return kind
    return "encoded" if not is_identifier and _is_dense(texts, len(joined)) else None


def _bytes_of(texts: pa.ChunkedArray) -> bytes:
    pieces = texts.combine_chunks()
    whole = pc.binary_join(pa.LargeListArray.from_arrays(pa.array([0, len(pieces)], pa.int64()), pieces), "")[0]
    return bytes(whole.as_buffer())


def _is_dense(texts: pa.ChunkedArray, size: int) -> bool:
    """Whether the characters are used as evenly as only encoded bytes use them. Only lines of ASCII are judged."""
    if size < _FOR_ENTROPY or pc.mean(pc.binary_length(texts)).as_py() < _LINE_BYTES:
        return False
    joined = _bytes_of(texts.slice(0, 1 << 16))
    counts = np.bincount(np.frombuffer(joined, np.uint8), minlength=256)
    shares = counts[counts > 0] / len(joined)
    return bool(joined.isascii() and -(shares * np.log2(shares)).sum() >= _ENTROPY)
