"""The data dictionary for programs: a Frictionless Data Package 2.0 (https://datapackage.org), at datapackage.json.

The standard forbids `../`, so it lies beside the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensai_release.release.metadata.description import PARQUET, Description, Table

PATH = "datapackage.json"
PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"

_TYPES = {
    "string": "string",
    "category": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}


def data_package(release: Description) -> dict[str, Any]:
    """A Data Package with a resource per table: columns with types, constraints, units, keys.

    A table in several files has no single hash; `hashes` (ours) then gives that of each file.
    """
    document: dict[str, Any] = {
        "$schema": PROFILE,
        "name": release.series,
        "id": release.identifier,
        "title": release.title,
        "description": release.text,
        "version": release.version,
        "keywords": release.keywords,
        "homepage": release.landing_page,
        "licenses": [{"name": "data-use-terms", "path": "TERMS.md", "title": "Data-use terms"}],
        "resources": [_resource(table) for table in release.tables],
    }
    if release.publisher:
        contributor = {"title": release.publisher.name, "path": release.publisher.homepage, "roles": ["publisher"]}
        document["contributors"] = [{key: value for key, value in contributor.items() if value}]
    return {key: value for key, value in document.items() if value}


def _resource(table: Table) -> dict[str, Any]:
    dictionary, parts = table.dictionary, table.parts
    schema: dict[str, Any] = {
        "fields": [_field(column) for column in dictionary["columns"]],
        "primaryKey": list(dictionary["primary_key"]),
        "foreignKeys": [
            {
                "fields": [key["column"]],
                "reference": {
                    "resource": key["references"].split(".")[0],
                    "fields": [key["references"].split(".", 1)[1]],
                },
            }
            for key in dictionary["foreign_keys"]
        ],
    }
    resource: dict[str, Any] = {
        "name": table.name,
        "title": dictionary["title"],
        "description": dictionary["description"],
        "path": parts[0].path if len(parts) == 1 else [part.path for part in parts],
        "format": "parquet",
        "mediatype": PARQUET,
        "bytes": sum(part.size for part in parts),
        "schema": {key: value for key, value in schema.items() if value},
    }
    if len(parts) == 1:
        resource["hash"] = f"sha256:{parts[0].sha256}"
    else:
        resource["hashes"] = {part.path: f"sha256:{part.sha256}" for part in parts}
    return resource


def _field(column: Mapping[str, Any]) -> dict[str, Any]:
    constraints = {
        "required": not column["nullable"],
        "minimum": column.get("minimum"),
        "maximum": column.get("maximum"),
        "enum": column.get("categories"),
        "pattern": column.get("pattern"),
    }
    field: dict[str, Any] = {
        "name": column["name"],
        "type": _TYPES[column["dtype"]],
        "description": str(column["description"]),
        "constraints": {key: value for key, value in constraints.items() if value is not None},
    }
    if column.get("unit"):
        field["unit"] = column["unit"]
    return field
