"""What data loaders read: a Croissant 1.1 description with the fields for responsible AI, at metadata/croissant.json.

Croissant 1.1 (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html), RAI 1.0
(https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html). The RAI fields are the datasheet's answers; an open
answer leaves its field out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensai_release.release.metadata.description import Description, Organisation, Table
from sensai_release.release.metadata.terms_of_use import DUO_ONTOLOGY, PREFIXES, policy

PATH = "metadata/croissant.json"
VERSION = "http://mlcommons.org/croissant/1.1"
RAI_VERSION = "http://mlcommons.org/croissant/RAI/1.0"

# Croissant's own name for Parquet: loaders know the file by it, not by the registered media type.
_PARQUET = "application/x-parquet"
_TYPES = {
    "string": "sc:Text",
    "category": "sc:Text",
    "integer": "sc:Integer",
    "number": "sc:Float",
    "boolean": "sc:Boolean",
}
# Which questions of Gebru et al. (release/gebru2021.yaml) answer a field, in order.
_RAI = {
    "rai:dataCollection": ("L1", "L2"),
    "rai:dataCollectionMissingData": ("C6",),
    "rai:dataCollectionRawData": ("P2",),
    "rai:dataPreprocessingProtocol": ("P1", "P3"),
    "rai:dataAnnotationProtocol": ("C5",),
    "rai:dataUseCases": ("U3",),
    "rai:dataLimitations": ("C9", "U5"),
    "rai:dataBiases": ("C3", "U4"),
    "rai:personalSensitiveInformation": ("C11", "C14", "C15"),
    "rai:dataReleaseMaintenancePlan": ("T3", "T4"),
}
# Fields that the specification allows once only.
_SINGLE = frozenset(
    {
        "rai:dataCollection",
        "rai:dataCollectionMissingData",
        "rai:dataCollectionRawData",
        "rai:dataReleaseMaintenancePlan",
    }
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "excludes": "cr:excludes",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
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


def croissant(release: Description) -> dict[str, Any]:
    """A Croissant document (JSON-LD): files with SHA-256, record sets, typed fields, RAI fields, conditions of use.

    Addresses are relative to metadata/. The root has no `@id`: the policy's target names it, and mlcroissant 1.1 cannot
    read a node that is reached twice. A table in several files is a record set per file: mlcroissant 1.1 accepts a
    file set of single Parquet files and cannot load it.
    """
    document: dict[str, Any] = {
        "@context": _CONTEXT | PREFIXES,
        "@type": "sc:Dataset",
        "conformsTo": [VERSION, RAI_VERSION],
        "name": release.series,
        "alternateName": release.title,
        "description": release.text,
        "version": release.version,
        "identifier": release.identifier,
        "citeAs": release.citation,
        "conditionsOfAccess": release.conditions,
        "license": "TERMS.md",
        "isLiveDataset": False,
        "keywords": release.keywords,
        "inLanguage": release.languages,
        "url": release.landing_page,
        "datePublished": release.published,
        "usageInfo": _usage(release),
        "distribution": [_file(table, number) for table in release.tables for number in range(len(table.parts))],
        "recordSet": [_record_set(table, number) for table in release.tables for number in range(len(table.parts))],
    }
    if release.publisher:
        document["creator"] = document["publisher"] = _organisation(release.publisher)
    return {key: value for key, value in (document | _responsible(release)).items() if value not in (None, [])}


def _responsible(release: Description) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, questions in _RAI.items():
        if found := release.answered(*questions):
            fields[name] = " ".join(found) if name in _SINGLE else found
    # As the specification writes it; mlcroissant 1.1 looks for `dataCollectionTimeFrame` and passes over this one.
    collected = release.stated.get("collected", {})
    if collected.keys() >= {"start", "end"}:
        fields["rai:dataCollectionTimeframe"] = [collected["start"], collected["end"]]
    return fields


def _usage(release: Description) -> list[dict[str, Any]]:
    codes: list[dict[str, Any]] = [
        {
            "@type": "sc:DefinedTerm",
            "name": label,
            "termCode": code,
            "url": f"{PREFIXES['obo']}{code}",
            "inDefinedTermSet": DUO_ONTOLOGY,
        }
        for code, label in release.terms.codes
    ]
    assigner = release.publisher.identifier if release.publisher else None
    rules = policy(release.terms, target=release.identifier, assigner=assigner)
    if rules:
        named = {"@type": ["sc:CreativeWork", rules["@type"]], "name": "Data-use terms for programs"}
        codes.append(rules | named)
    return codes


def _organisation(organisation: Organisation) -> dict[str, Any]:
    node = {
        "@type": "sc:Organization",
        "name": organisation.name,
        "identifier": organisation.identifier,
        "url": organisation.homepage,
    }
    return {key: value for key, value in node.items() if value}


def _file(table: Table, number: int) -> dict[str, Any]:
    part = table.parts[number]
    return {
        "@type": "cr:FileObject",
        "@id": part.path,
        "name": part.path,
        "contentUrl": f"../{part.path}",
        "contentSize": f"{part.size} B",
        "encodingFormat": _PARQUET,
        "sha256": part.sha256,
    }


def _record_set(table: Table, number: int) -> dict[str, Any]:
    dictionary, count = table.dictionary, len(table.parts)
    name, said = table.name, dictionary["description"]
    if count > 1:
        name, said = f"{name}/{number + 1}", f"{said} Part {number + 1} of {count} of the table {name}."
    # No `references`: mlcroissant 1.1 then yields names instead of records. The data package has the foreign keys.
    record_set: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": said,
        "field": [_field(name, column, table.parts[number].path) for column in dictionary["columns"]],
    }
    if dictionary["primary_key"]:
        record_set["key"] = [{"@id": f"{name}/{column}"} for column in dictionary["primary_key"]]
    return record_set


def _field(record_set: str, column: Mapping[str, Any], path: str) -> dict[str, Any]:
    unit = f" Unit: {column['unit']}." if column.get("unit") else ""
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{column['name']}",
        "name": f"{record_set}/{column['name']}",
        "description": f"{column['description']}{unit}",
        "dataType": _TYPES[column["dtype"]],
        "source": {"fileObject": {"@id": path}, "extract": {"column": column["name"]}},
    }
