"""What a DOI is registered with: DataCite Metadata Schema 4.5 as JSON (https://schema.datacite.org/meta/kernel-4.5/).

At metadata/datacite.json. The DOI itself is registered by the institution's repository; it is here once it is stated.
"""

from __future__ import annotations

from typing import Any

from sensai_release.release.metadata.description import PARQUET, Description
from sensai_release.release.metadata.terms_of_use import DUO, DUO_ONTOLOGY

PATH = "metadata/datacite.json"
KERNEL = "http://datacite.org/schema/kernel-4"


def datacite(release: Description) -> dict[str, Any]:
    """The DataCite document, with DUO codes in `rightsList`; `sizes` are rounded as everywhere."""
    document: dict[str, Any] = {
        "schemaVersion": KERNEL,
        "doi": release.doi,
        "types": {"resourceType": "De-identified features about people", "resourceTypeGeneral": "Dataset"},
        "titles": [{"title": release.title, "lang": "en"}],
        "publicationYear": release.published[:4] if release.published else None,
        "subjects": [{"subject": keyword, "lang": "en"} for keyword in release.keywords],
        "dates": _dates(release),
        "alternateIdentifiers": _identifiers(release),
        "url": release.landing_page,
        "version": release.version,
        "formats": [PARQUET],
        "sizes": [*_sizes(release), f"{len(release.tables)} tables"],
        "rightsList": _rights(release),
        "descriptions": _descriptions(release),
    }
    if release.publisher:
        document |= _publisher(release)
    return {key: value for key, value in document.items() if value not in (None, [])}


def _publisher(release: Description) -> dict[str, Any]:
    assert release.publisher is not None  # noqa: S101 - for the type checker
    publisher: dict[str, Any] = {"name": release.publisher.name}
    creator: dict[str, Any] = {"name": release.publisher.name, "nameType": "Organizational"}
    if release.publisher.identifier:
        scheme = {"schemeUri": "https://ror.org"}
        publisher |= {"publisherIdentifier": release.publisher.identifier, "publisherIdentifierScheme": "ROR"} | scheme
        named = {"nameIdentifier": release.publisher.identifier, "nameIdentifierScheme": "ROR"} | scheme
        creator["nameIdentifiers"] = [named]
    return {"creators": [creator], "publisher": publisher}


def _dates(release: Description) -> list[dict[str, str]]:
    dates = [{"date": release.published, "dateType": "Issued"}] if release.published else []
    collected = release.stated.get("collected", {})
    if collected:
        span = f"{collected.get('start', '')}/{collected.get('end', '')}"
        dates.append({"date": span, "dateType": "Collected"})
    return dates


def _identifiers(release: Description) -> list[dict[str, str]]:
    found = [{"alternateIdentifier": release.name, "alternateIdentifierType": "Series and version"}]
    if release.registration:
        study = {"alternateIdentifier": release.registration, "alternateIdentifierType": "Registration of the study"}
        found.append(study)
    return found


def _sizes(release: Description) -> list[str]:
    if release.persons is None:
        return []
    return [f"{'at least ' if isinstance(release.persons, int) else ''}{release.persons} participants"]


def _rights(release: Description) -> list[dict[str, str]]:
    codes = [
        {
            "rights": label,
            "rightsUri": f"{DUO}{code}",
            "rightsIdentifier": code,
            "rightsIdentifierScheme": "DUO",
            "schemeUri": DUO_ONTOLOGY,
            "lang": "en",
        }
        for code, label in release.terms.codes
    ]
    return [{"rights": release.conditions, "lang": "en"}, *codes]


def _descriptions(release: Description) -> list[dict[str, str]]:
    said = [{"description": release.text, "descriptionType": "Abstract", "lang": "en"}]
    for kind, questions in (("Methods", ("L1", "P1")), ("TechnicalInfo", ("C4",))):
        if found := release.answered(*questions):
            said.append({"description": " ".join(found), "descriptionType": kind, "lang": "en"})
    return said
