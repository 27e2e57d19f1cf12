"""What catalogues and data loaders read: Croissant and Frictionless descriptions of a release, from its own files.

Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html) and Data Package 2.0
(https://datapackage.org). Both say what the data dictionaries and the bytes say and invent nothing: no address, date
or identifier that the release does not have. The controlled vocabulary of catalogues and a citation are not made here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.tables import load_dictionaries

_SYNTHETIC = "SYNTHETIC DATA: made by a program, no participant stands behind any value."
_ACCESS = "Controlled access under the data-use terms in TERMS.md and a data sharing agreement."
_CROISSANT_TYPES = {
    "string": "sc:Text",
    "category": "sc:Text",
    "integer": "sc:Integer",
    "number": "sc:Float",
    "boolean": "sc:Boolean",
}
_TABLE_SCHEMA_TYPES = {
    "string": "string",
    "category": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}
# The context of the Croissant 1.0 specification, word for word: loaders compare it.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    path: str
    size: int
    sha256: str


def croissant(folder: Path, *, study: Mapping[str, Any], predicate: Mapping[str, Any]) -> dict[str, Any]:
    """A Croissant description (JSON-LD) of the tables below `folder`: files with SHA-256, record sets, typed fields.

    Addresses are relative to where it is kept, `metadata/croissant.json`. `study` is the study of params.yaml
    (`title`, `institution`, `registration`), `predicate` that of the manifest (`series`, `version`, `synthetic`).
    Raises `ReleaseFormatError` when a table has no file. A table in several files is described as a file set, which
    mlcroissant 1.1 accepts and cannot load.
    """
    tables = _tables(folder)
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": predicate["series"],
        "description": _description(study, predicate),
        "version": predicate["version"],
        "conditionsOfAccess": _ACCESS,
        "license": "TERMS.md",
        "isLiveDataset": False,
        "distribution": [entry for name, (_, parts) in tables.items() for entry in _distribution(name, parts)],
        "recordSet": [_record_set(dictionary, parts) for dictionary, parts in tables.values()],
    }
    if study.get("institution"):
        document["creator"] = {"@type": "sc:Organization", "name": study["institution"]}
    return document


def data_package(folder: Path, *, study: Mapping[str, Any], predicate: Mapping[str, Any]) -> dict[str, Any]:
    """A Frictionless Data Package of the tables below `folder`; arguments and errors as for `croissant`.

    Paths are relative to the release, where it must be kept as `datapackage.json`: the standard forbids `../`. A table
    in several files has no single hash; `hashes` (ours) then gives that of each file.
    """
    document: dict[str, Any] = {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": predicate["series"],
        "title": study["title"],
        "description": _description(study, predicate),
        "version": predicate["version"],
        "licenses": [{"name": "data-use-terms", "path": "TERMS.md", "title": "Data-use terms"}],
        "resources": [_resource(name, dictionary, parts) for name, (dictionary, parts) in _tables(folder).items()],
    }
    if study.get("institution"):
        document["contributors"] = [{"title": study["institution"], "roles": ["publisher"]}]
    return document


def _tables(folder: Path) -> dict[str, tuple[Mapping[str, Any], tuple[_Part, ...]]]:
    found: dict[str, tuple[Mapping[str, Any], tuple[_Part, ...]]] = {}
    for name, dictionary in load_dictionaries(folder / "schemas").items():
        paths = sorted((folder / "data" / name).glob("*.parquet"))
        if not paths:
            raise ReleaseFormatError(f"data/{name}", "holds no Parquet file", "Build the candidate again.")
        found[name] = (dictionary, tuple(_part(path, folder) for path in paths))
    return found


def _part(path: Path, folder: Path) -> _Part:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _Part(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=digest)


def _description(study: Mapping[str, Any], predicate: Mapping[str, Any]) -> str:
    text = f"{study['title']}: derived features about people, for research."
    if study.get("registration"):
        text += f" Registration {study['registration']}."
    return f"{_SYNTHETIC} {text}" if predicate.get("synthetic") else text


def _distribution(table: str, parts: tuple[_Part, ...]) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": part.path,
            "name": part.path,
            "contentUrl": f"../{part.path}",
            "contentSize": f"{part.size} B",
            "encodingFormat": "application/x-parquet",
            "sha256": part.sha256,
        }
        for part in parts
    ]
    if len(parts) > 1:
        files.append(
            {
                "@type": "cr:FileSet",
                "@id": f"{table}-files",
                "name": f"{table}-files",
                "containedIn": [{"@id": part.path} for part in parts],
                "encodingFormat": "application/x-parquet",
                "includes": "*.parquet",
            }
        )
    return files


def _record_set(dictionary: Mapping[str, Any], parts: tuple[_Part, ...]) -> dict[str, Any]:
    name = dictionary["table"]
    source = {"fileObject": {"@id": parts[0].path}} if len(parts) == 1 else {"fileSet": {"@id": f"{name}-files"}}
    # No `references`: mlcroissant 1.1 then yields names instead of records. The data package has the foreign keys.
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column['name']}",
            "name": f"{name}/{column['name']}",
            "description": _column_text(column),
            "dataType": _CROISSANT_TYPES[column["dtype"]],
            "source": {**source, "extract": {"column": column["name"]}},
        }
        for column in dictionary["columns"]
    ]
    record_set: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": dictionary["description"],
        "field": fields,
    }
    if dictionary["primary_key"]:
        record_set["key"] = [{"@id": f"{name}/{column}"} for column in dictionary["primary_key"]]
    return record_set


def _column_text(column: Mapping[str, Any]) -> str:
    return f"{column['description']} Unit: {column['unit']}." if column.get("unit") else str(column["description"])


def _resource(name: str, dictionary: Mapping[str, Any], parts: tuple[_Part, ...]) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "name": name,
        "title": dictionary["title"],
        "description": dictionary["description"],
        "path": parts[0].path if len(parts) == 1 else [part.path for part in parts],
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "bytes": sum(part.size for part in parts),
        "schema": {
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
        },
    }
    if len(parts) == 1:
        resource["hash"] = f"sha256:{parts[0].sha256}"
    else:
        resource["hashes"] = {part.path: f"sha256:{part.sha256}" for part in parts}
    for empty in ("primaryKey", "foreignKeys"):
        if not resource["schema"][empty]:
            del resource["schema"][empty]
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
        "type": _TABLE_SCHEMA_TYPES[column["dtype"]],
        "description": str(column["description"]),
        "constraints": {key: value for key, value in constraints.items() if value is not None},
    }
    if column.get("unit"):
        field["unit"] = column["unit"]
    return field
