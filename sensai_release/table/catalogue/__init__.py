"""What is known of the columns that tools write: type, unit, range, class, reason and source, as YAML that people read.

`entries` loads the files beside it and answers what speaks for a column; `signatures` says which tool wrote a table,
from its column names alone. Values are not looked at here, and nothing is decided: the schema of a table decides.
"""

from __future__ import annotations

from sensai_release.table.catalogue.entries import (
    CatalogueEntry,
    Layout,
    ToolCatalogue,
    classify,
    load_catalogue,
)
from sensai_release.table.catalogue.signatures import ToolMatch, identify_tool

__all__ = [
    "CatalogueEntry",
    "Layout",
    "ToolCatalogue",
    "ToolMatch",
    "classify",
    "identify_tool",
    "load_catalogue",
]
