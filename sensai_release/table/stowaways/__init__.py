"""Stowaways: what is no table, or hides in one. Sound, pictures, archives, programs, and bytes written as text.

`signatures` names a file by its bytes, `walls` looks for long encoded runs in a text file that is not read whole,
`cells` looks into columns of text and `samples` into columns of numbers. What Parquet files and workbooks carry beside
their cells is refused by their readers. Nothing here decodes a picture, unpacks an archive or unpickles anything, and
no finding quotes a cell.
"""

from __future__ import annotations

import pyarrow as pa

from sensai_release.table.findings import Finding
from sensai_release.table.schema import TableSchema
from sensai_release.table.stowaways.cells import text_findings
from sensai_release.table.stowaways.samples import sample_findings
from sensai_release.table.stowaways.signatures import (
    HEAD_BYTES,
    TAIL_BYTES,
    in_words,
    kind_inside,
    media_kind,
)
from sensai_release.table.stowaways.walls import hidden_in_text

__all__ = [
    "HEAD_BYTES",
    "TAIL_BYTES",
    "hidden_in_text",
    "in_words",
    "kind_inside",
    "media_kind",
    "stowaway_findings",
]


def stowaway_findings(table: pa.Table, schema: TableSchema, *, place: str) -> tuple[Finding, ...]:
    """What hides in the cells of a table that was read: `stowaway.<kind>`, at most one finding a column or block."""
    return (*text_findings(table, schema, place=place), *sample_findings(table, schema, place=place))
