"""What is known of the columns that tools write: type, unit, range, class, reason and source, as YAML that people read.

`entries` loads the files beside it and answers what speaks for a column; `signatures` says which tool wrote a table,
from its column names alone; `ranges` gives a schema's columns the range and unit that it leaves to the catalogue.
Values are not looked at here, and what becomes of a column is for the schema of its table.
"""

from __future__ import annotations

from sensai_release.table.catalogue.entries import (
    CatalogueEntry,
    Layout,
    ToolCatalogue,
    catalogue_digest,
    classify,
    load_catalogue,
    load_tool,
)
from sensai_release.table.catalogue.signatures import ToolMatch, identify_tool

__all__ = [
    "CatalogueEntry",
    "Layout",
    "ToolCatalogue",
    "ToolMatch",
    "catalogue_digest",
    "classify",
    "identify_tool",
    "load_catalogue",
    "load_tool",
]
