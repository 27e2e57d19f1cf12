"""The release as a research object: RO-Crate 1.2 (https://w3id.org/ro/crate/1.2), at ro-crate-metadata.json.

An attached crate: the release directory is its root. Entities are the tables' files, the data dictionaries, the terms
and the documents that a user opens; the manifest lists every file with its digest, and is not repeated here.
"""

from __future__ import annotations

from typing import Any

from sensai_release.release.metadata import croissant, data_package, datacite, health_dcat
from sensai_release.release.metadata.description import PARQUET, Description

PATH = "ro-crate-metadata.json"
CONTEXT = "https://w3id.org/ro/crate/1.2/context"
PROFILE = "https://w3id.org/ro/crate/1.2"

_DOCUMENTS = {
    "README.md": ("What this release is, and how to verify and load it", "text/markdown"),
    "DATASHEET.md": ("Datasheet", "text/markdown"),
    "datasheet.json": ("Datasheet for programs", "application/json"),
    "CITATION.cff": ("How to cite this release", "application/yaml"),
    data_package.PATH: ("Data dictionary as a Data Package", "application/json"),
    croissant.PATH: ("Croissant description", "application/ld+json"),
    datacite.PATH: ("DataCite metadata", "application/json"),
    health_dcat.PATH: ("HealthDCAT-AP description", "application/ld+json"),
}


def ro_crate(release: Description) -> dict[str, Any]:
    """The crate's metadata document: the descriptor, the root data set, and an entity per file named above."""
    files = _files(release)
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{release.title}, version {release.version}",
        "alternateName": release.name,
        "identifier": release.identifier,
        "description": release.text,
        "version": release.version,
        "datePublished": release.published,
        "license": {"@id": "TERMS.md"},
        "conditionsOfAccess": release.conditions,
        "keywords": ", ".join(release.keywords),
        "url": release.landing_page,
        "hasPart": [{"@id": entity["@id"]} for entity in files],
    }
    graph: list[dict[str, Any]] = [
        {
            "@id": PATH,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": PROFILE},
        },
        root,
        *files,
    ]
    if release.publisher:
        who = release.publisher.identifier or release.publisher.homepage or "#publisher"
        root["publisher"] = root["author"] = {"@id": who}
        entity = {
            "@id": who,
            "@type": "Organization",
            "name": release.publisher.name,
            "url": release.publisher.homepage,
        }
        graph.append({key: value for key, value in entity.items() if value})
        if release.contact and (release.contact.email or release.contact.page):
            graph[-1]["contactPoint"] = {"@id": "#contact"}
            graph.append(_contact(release))
    graph[1] = {key: value for key, value in root.items() if value}
    return {"@context": CONTEXT, "@graph": graph}


def _contact(release: Description) -> dict[str, Any]:
    assert release.contact is not None  # noqa: S101 - for the type checker
    entity = {
        "@id": "#contact",
        "@type": "ContactPoint",
        "contactType": release.contact.name,
        "email": release.contact.email,
        "url": release.contact.page,
    }
    return {key: value for key, value in entity.items() if value}


def _files(release: Description) -> list[dict[str, Any]]:
    entities = [_file("TERMS.md", "Data-use terms", "text/markdown")]
    entities += [_file(path, name, form) for path, (name, form) in sorted(_DOCUMENTS.items())]
    for table in release.tables:
        title = str(table.dictionary["title"])
        entities.append(
            _file(f"schemas/{table.name}.json", f"Data dictionary of the table {table.name}", "application/json")
        )
        for part in table.parts:
            said = {"description": str(table.dictionary["description"]), "sha256": part.sha256}
            entities.append(_file(part.path, title, PARQUET) | said)
    return entities


def _file(path: str, name: str, form: str) -> dict[str, Any]:
    return {"@id": path, "@type": "File", "name": name, "encodingFormat": form}
