"""What Dutch and European health-data catalogues read: HealthDCAT-AP as JSON-LD, at metadata/health-dcat-ap.jsonld.

HealthDCAT-AP release 8 for data that are not public (https://data.health.europa.eu/healthdcat-ap/releases/release-8/),
over DCAT-AP 3, and the Health-RI core model 2 (https://w3id.org/health-ri/metadata). One data set with its variables;
a catalogue wraps it. The context stands in the document, so that nothing has to be fetched to read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sensai_release.release.metadata.description import PARQUET, Contact, Description, Organisation, Table
from sensai_release.release.metadata.terms_of_use import PREFIXES, policy

PATH = "metadata/health-dcat-ap.jsonld"
HEALTH_DCAT_AP = "https://data.health.europa.eu/healthdcat-ap/releases/release-8/"
HEALTH_RI = "https://w3id.org/health-ri/metadata"

_EU = "http://publications.europa.eu/resource/authority"
_IANA = "https://www.iana.org/assignments/media-types"
_MEGABYTE = 1_000_000
_CONTEXT = {
    "csvw": "http://www.w3.org/ns/csvw#",
    "cv": "http://data.europa.eu/m8g/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "healthdcatap": "http://healthdataportal.eu/ns/health#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
# Names of the built-in datatypes of CSV on the Web (https://www.w3.org/TR/tabular-data-primer/).
_DATATYPES = {
    "string": "string",
    "category": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}
# The official languages of the European Union: ISO 639-1 to the codes of its authority table.
_LANGUAGES = {
    "bg": "BUL", "cs": "CES", "da": "DAN", "de": "DEU", "el": "ELL", "en": "ENG", "es": "SPA", "et": "EST",
    "fi": "FIN", "fr": "FRA", "ga": "GLE", "hr": "HRV", "hu": "HUN", "it": "ITA", "lt": "LIT", "lv": "LAV",
    "mt": "MLT", "nl": "NLD", "pl": "POL", "pt": "POR", "ro": "RON", "sk": "SLK", "sl": "SLV", "sv": "SWE",
}  # fmt: skip


def health_dcat(release: Description) -> dict[str, Any]:
    """A `dcat:Dataset` as JSON-LD. What nobody has stated is left out, and `overview.gaps` names it.

    Numbers of persons and records are rounded down, the size up to whole megabytes: a catalogue is read in public.
    """
    stated, iri = release.stated, release.identifier
    contact = _kind(release.contact)
    publisher = _agent(release.publisher, release.contact, f"{iri}#publisher")
    document: dict[str, Any] = {
        "@context": _CONTEXT | PREFIXES,
        "@id": iri,
        "@type": "dcat:Dataset",
        "dct:identifier": {"@value": iri, "@type": "xsd:anyURI"},
        "dct:title": _text(release.title),
        "dct:alternative": _text(release.name),
        "dct:description": _text(release.text),
        "dcat:version": release.version,
        "dcat:previousVersion": _previous(release),
        "dct:issued": _moment(stated.get("published", {}).get(release.version, {}).get("date")),
        "dct:accessRights": _iri(f"{_EU}/access-right/{'PUBLIC' if release.public else 'NON_PUBLIC'}"),
        "dct:type": _iri(f"{_EU}/dataset-type/{'SYNTHETIC_DATA' if release.synthetic else 'PERSONAL_DATA'}"),
        "dcatap:applicableLegislation": _iris(stated.get("legislation")),
        "dcat:theme": _iris(stated.get("themes")),
        "dcat:keyword": [_text(keyword) for keyword in release.keywords],
        "dct:language": [_iri(f"{_EU}/language/{_LANGUAGES[code]}") for code in release.languages],
        "dct:spatial": _iris(stated.get("places")),
        "dct:temporal": _period(stated.get("collected", {})),
        "dct:provenance": _provenance(release),
        "dct:publisher": publisher,
        "dct:creator": _iri(publisher["@id"]) if publisher else None,
        "dcat:contactPoint": contact,
        "dcat:landingPage": _iri(release.landing_page) | {"@type": "foaf:Document"} if release.landing_page else None,
        "healthdcatap:hdab": _agent(release.access_body, None, f"{iri}#access-body"),
        "healthdcatap:healthCategory": _iris(stated.get("health_categories")),
        "healthdcatap:healthTheme": _iris(stated.get("health_themes")),
        "healthdcatap:hasStructuredData": {"@value": "true", "@type": "xsd:boolean"},
        "healthdcatap:hasVariables": _variables(release),
        "healthdcatap:numberOfUniqueIndividuals": _count(release.persons),
        "healthdcatap:numberOfRecords": _count(release.records),
        "healthdcatap:populationCoverage": [_text(said) for said in release.answered("C3")],
        "healthdcatap:minTypicalAge": _count(stated.get("ages", {}).get("minimum")),
        "healthdcatap:maxTypicalAge": _count(stated.get("ages", {}).get("maximum")),
        "healthdcatap:retentionPeriod": _period(stated.get("retention", {})),
        "dpv:hasPersonalData": _iris(() if release.synthetic else stated.get("personal_data")),
        "dpv:hasPurpose": _iris(stated.get("purposes")),
        "dpv:hasLegalBasis": _iris(stated.get("legal_basis")),
        "dcat:distribution": _distribution(release),
        "odrl:hasPolicy": policy(release.terms, target=iri, assigner=_name(release.publisher)),
    }
    return _filled(document)


def _filled(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if value not in (None, [], {})}


def _iri(value: str) -> dict[str, str]:
    return {"@id": value}


def _iris(values: Iterable[str] | None) -> list[dict[str, str]]:
    return [_iri(value) for value in values or ()]


def _text(value: str) -> dict[str, str]:
    return {"@value": value, "@language": "en"}


def _count(value: object) -> dict[str, str] | None:
    return {"@value": str(value), "@type": "xsd:nonNegativeInteger"} if isinstance(value, int) else None


def _moment(day: str | None) -> dict[str, str] | None:
    """A day as Health-RI wants it, with a time. Only for days of params.yaml: the leak scan takes any other for one of
    a person's.
    """
    return {"@value": f"{day}T00:00:00Z", "@type": "xsd:dateTime"} if day else None


def _period(stated: Mapping[str, str]) -> dict[str, Any]:
    period = _filled(
        {"dcat:startDate": _moment(stated.get("start")), "dcat:endDate": _moment(stated.get("end"))},
    )
    return {"@type": "dct:PeriodOfTime"} | period if period else {}


def _previous(release: Description) -> dict[str, str] | None:
    return _iri(f"urn:sensai-release:release:{release.series}:{release.previous}") if release.previous else None


def _provenance(release: Description) -> dict[str, Any] | None:
    said = release.answered("L1", "P1")
    return {"@type": "dct:ProvenanceStatement", "rdfs:label": _text(" ".join(said))} if said else None


def _name(organisation: Organisation | None) -> str | None:
    return (organisation.identifier or organisation.homepage) if organisation else None


def _kind(contact: Contact | None) -> dict[str, Any] | None:
    """A vcard, for the data set itself; `None` where nobody could be reached by it."""
    if contact is None or not (contact.email or contact.page):
        return None
    return _filled(
        {
            "@type": "vcard:Kind",
            "vcard:fn": contact.name,
            "vcard:hasEmail": _iri(f"mailto:{contact.email}") if contact.email else None,
            "vcard:hasURL": _iri(contact.page) if contact.page else None,
        }
    )


def _agent(organisation: Organisation | None, contact: Contact | None, unnamed: str) -> dict[str, Any] | None:
    """An agent under its own address, or else `unnamed`: it is described once and referred to after that."""
    if organisation is None:
        return None
    email = organisation.email or (contact.email if contact else None)
    page = organisation.page or (contact.page if contact else None)
    reached = _filled({"cv:email": email, "cv:contactPage": _iri(page) if page else None})
    return _filled(
        {
            "@id": _name(organisation) or unnamed,
            "@type": "foaf:Agent",
            "foaf:name": organisation.name,
            "foaf:homepage": _iri(organisation.homepage) if organisation.homepage else None,
            "foaf:mbox": _iri(f"mailto:{organisation.email}") if organisation.email else None,
            "dct:identifier": organisation.identifier,
            "dct:type": _iri(organisation.type) if organisation.type else None,
            "cv:contactPoint": {"@type": "cv:ContactPoint"} | reached if reached else None,
        }
    )


def _distribution(release: Description) -> dict[str, Any] | None:
    """How the data are asked for. Without a page that says how, there is none: the standard wants its address."""
    page = release.stated.get("access_page")
    if not page:
        return None
    size = sum(part.size for table in release.tables for part in table.parts)
    terms, rights = f"{release.identifier}#terms", f"{release.identifier}#rights"
    return _filled(
        {
            "@id": f"{release.identifier}#distribution",
            "@type": "dcat:Distribution",
            "dct:title": _text(f"{release.name} as a signed directory of Parquet files"),
            "dct:description": _text(release.conditions),
            "dcat:accessURL": _iri(page),
            "dcatap:applicableLegislation": _iris(release.stated.get("legislation")),
            "dct:format": _iri(f"{_EU}/file-type/PARQUET"),
            "dcat:mediaType": _iri(f"{_IANA}/{PARQUET}"),
            "dcat:byteSize": _count(-(-size // _MEGABYTE) * _MEGABYTE),
            "dct:license": {"@id": terms, "@type": "dct:LicenseDocument", "dct:title": _text("Data-use terms")},
            "dct:rights": {
                "@id": rights,
                "@type": "dct:RightsStatement",
                "rdfs:label": _text(release.conditions),
            },
        }
    )


def _variables(release: Description) -> dict[str, Any]:
    return {
        "@id": f"{release.identifier}#variables",
        "@type": "csvw:TableGroup",
        "dct:title": _text(f"Variables of {release.name}"),
        "csvw:table": [_table(release, table) for table in release.tables],
    }


def _table(release: Description, table: Table) -> dict[str, Any]:
    return {
        "@id": f"{release.identifier}#table-{table.name}",
        "@type": "csvw:Table",
        "dct:title": _text(str(table.dictionary["title"])),
        "dct:description": _text(str(table.dictionary["description"])),
        "csvw:column": [
            {
                "@id": f"{release.identifier}#column-{table.name}.{column['name']}",
                "@type": "csvw:Column",
                "csvw:name": column["name"],
                # Release 8 has `title` where CSVW itself and the releases before have `titles`.
                "csvw:title": _text(column["name"]),
                "csvw:titles": _text(column["name"]),
                "dct:description": _text(str(column["description"])),
                "csvw:datatype": _DATATYPES[column["dtype"]],
            }
            for column in table.dictionary["columns"]
        ],
    }
