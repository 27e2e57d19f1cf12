"""What the reader must know of OpenFace and openSMILE, beyond the form of their text.

References: OpenFace 2.2 output format (https://github.com/TadasBaltrusaitis/OpenFace/wiki/Output-Format), openSMILE's
cCsvSink and the `file, start, end` index of the Python package.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.table.findings import Finding
from sensai_release.table.readers.cells import count_and_first


def unquote(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """SMILExtract's sink writes names in single quotes, and doubles none inside."""
    return pc.replace_substring_regex(column, "(?s)^'(.*)'$", r"\1")


def stems(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """The last part of each path, after its last slash or backslash, without its extension."""
    names = pc.replace_substring_regex(paths, r"(?s)^.*[/\\]", "")
    stem = pc.replace_substring_regex(names, r"(?s)^(.+)\.[^.]*$", r"\1")
    return pc.if_else(pc.equal(stem, ""), pa.scalar(None, pa.string()), stem)


def unknown(keys: pa.ChunkedArray) -> tuple[int, int]:
    """How many keys are what SMILExtract writes when nobody named the recording, and the first such row."""
    return count_and_first(pc.fill_null(pc.equal(keys, "unknown"), False))


def check_success(success: pa.ChunkedArray, *, table: str, place: str) -> tuple[Finding, ...]:
    """OpenFace's `success` says 0 or 1 and nothing else; anything else is another column under its name."""
    good = pc.is_in(pc.cast(success, pa.float64()), value_set=pa.array([0.0, 1.0]))
    count, row = count_and_first(pc.and_not(pc.is_valid(success), good))
    if not count:
        return ()
    text = "'success' must be 0 or 1. Check that OpenFace itself wrote the file."
    return (
        Finding(table=table, file=place, column="success", code="face.success", row=row, count=count, message=text),
    )


def main_face(face_id: pa.ChunkedArray, success: pa.ChunkedArray | None) -> pa.ChunkedArray | None:
    """A mask of the rows of the main face, or `None` when there is one face only.

    The main face is the one tracked (`success` 1) in the most frames, then the one with the most rows, then the
    lowest id. The other faces are left out: their owners have not consented.
    """
    bounds = pc.min_max(face_id)
    if face_id.null_count == 0 and bounds["min"] == bounds["max"]:
        return None
    present = pc.fill_null(face_id, -1).to_numpy()
    tracked = np.ones(len(present)) if success is None else pc.fill_null(pc.cast(success, pa.float64()), 0).to_numpy()
    ids, index, rows = np.unique(present, return_inverse=True, return_counts=True)
    frames = np.bincount(index, weights=tracked == 1, minlength=len(ids))
    main = ids[np.lexsort((ids, -rows, -frames))[0]]
    return pa.chunked_array([pa.array(present == main)])


def several_faces(mask: pa.ChunkedArray, *, table: str, place: str) -> Finding:
    """The warning that rows of other faces were left out."""
    count, row = count_and_first(pc.invert(mask))
    text = "The file holds several faces; only the rows of the one tracked most often are used. Check who it is."
    return Finding(
        table=table,
        file=place,
        column="face_id",
        code="face.several",
        severity="warning",
        row=row,
        count=count,
        message=text,
    )
