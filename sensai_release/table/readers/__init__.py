"""Readers: source files, in the dialect that their tool wrote them, as Arrow tables and findings.

`files` opens a file safely and says by its bytes what it is; `delimited`, `arff`, `columnar` and `workbook` each know
one container; `header` decides which column is what, `cells` turns text into typed values, `gather` cuts the needed
columns out of wide files, `tools` knows the habits of OpenFace and openSMILE, `redcap` obeys its data dictionary, and
`reading` puts them together. Whether values are *plausible* is for `table.checks`.
"""

from __future__ import annotations

from sensai_release.table.readers.cells import arrow_type
from sensai_release.table.readers.files import ReadLimits
from sensai_release.table.readers.reading import Reading, read_file, read_recording
from sensai_release.table.readers.redcap import check_marked, marked_identifiers

__all__ = [
    "ReadLimits",
    "Reading",
    "arrow_type",
    "check_marked",
    "marked_identifiers",
    "read_file",
    "read_recording",
]
