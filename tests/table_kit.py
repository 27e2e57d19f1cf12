"""Builds small table schemas for tests, through the same door as real ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from sensai_release.table.documents import check_document
from sensai_release.table.schema import SchemaSet, TableSchema, parse_table

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_real_files = pytest.mark.skipif(not SHARED.is_dir(), reason="the collection of real tool output is not here")

PARTICIPANT = {"kind": "participant", "prefix": "P", "pattern": "[A-Z]{1,8}-?[0-9]{1,8}"}


def column(label: str, dtype: str = "number", **more: Any) -> dict[str, Any]:
    """One column entry; a label with a character that no name has is a pattern."""
    entry = {
        "dtype": dtype,
        "description": "A column.",
        "role": "insensitive",
        "class": "C",
        "action": "keep",
        "justification": "A test.",
        **more,
    }
    entry["pattern" if set(label) & set("\\+*^|") else "name"] = label
    return entry


def table_schema(*columns: dict[str, Any], name: str = "thing", reader: str = "delimited", **more: Any) -> TableSchema:
    source = {"file": f"{name}.csv", "reader": reader, "row": "thing", **more.pop("source", {})}
    document: dict[str, Any] = {
        "table": name,
        "title": "Things",
        "description": "Things.",
        "source": source,
        "columns": list(columns),
        **more,
    }
    text = files("sensai_release.table").joinpath("table.schema.json").read_text(encoding="utf-8")
    check_document(document, json.loads(text), name)
    return parse_table(document, name)


def schema_set(*schemas: TableSchema) -> SchemaSet:
    tables: Mapping[str, TableSchema] = {schema.name: schema for schema in schemas}
    return SchemaSet(tables=tables, hierarchies={})
