"""What probably happened to a file that is not the one that was signed, told from where it begins and ends.

Nobody has signed such a file, so nothing of it is interpreted: the first and last bytes say whether a program wrote it
to its end. That it differs is found by `verify`; what follows from it is said by `verdict`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import BinaryIO

EDGE_BYTES = 32

# ZIP (xlsx, ods) and the compound file of older workbooks (xls).
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_EDGES = {
    ".html": (b"<", b"</html>"),
    ".json": (b"{", b"}"),
    ".jsonld": (b"{", b"}"),
    ".parquet": (b"PAR1", b"PAR1"),
}


def read_edges(file: BinaryIO, size: int) -> tuple[bytes, bytes]:
    """The first and the last bytes of a file, up to `EDGE_BYTES` each. Raises `OSError`."""
    head = file.read(EDGE_BYTES)
    file.seek(max(0, size - EDGE_BYTES))
    return head, file.read(EDGE_BYTES)


def is_workbook(head: bytes) -> bool:
    """Whether a file begins as what a spreadsheet program saves; no file of a release does."""
    return head.startswith(_WORKBOOKS)


def is_whole(name: str, head: bytes, tail: bytes, size: int) -> bool:
    """Whether a file begins and ends as its kind does, so that no transfer was cut off; False for kinds unknown."""
    begin, end = _EDGES.get(PurePosixPath(name).suffix, (b"", b""))
    return bool(end) and size >= len(begin) + len(end) and head.startswith(begin) and tail.rstrip().endswith(end)
