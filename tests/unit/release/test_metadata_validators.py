"""Every catalogue document before its standard's own package, without a network: whole it passes, broken it does not.

Needs the extra `metadata`: pytest -m metadata. A package that is not there is a failure, not a skip.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import catalogue_kit as kit
import pyarrow as pa
import pytest

from sensai_release.release.metadata import describe_release, documents, gaps

Tables = dict[str, pa.Table]
Write = Callable[..., Path]
Change = Callable[[Any], object]

pytestmark = [pytest.mark.metadata, pytest.mark.filterwarnings("default")]

STUDY = {"id": "S-1", "title": "A study", "institution": "An institution", "registration": "NCT0", "contact": "a desk"}
PREDICATE = {
    "series": "made-up",
    "version": "1.2.0",
    "synthetic": True,
    "as_of": "2027-06-01",
    "previous": {"version": "1.1.0"},
    "counts": {"persons": 20, "rows": {"sessions": 40}},
}
QUESTIONS = (
    "C1",
    "C3",
    "C5",
    "C6",
    "C9",
    "C11",
    "C14",
    "C15",
    "L1",
    "L2",
    "P1",
    "P2",
    "P3",
    "T3",
    "T4",
    "U3",
    "U4",
    "U5",
)
HDEU = "https://hdeu-dcat.data.health.europa.eu/resource/authority"
EVERYTHING = {
    "keywords": ["pain", "voice"],
    "languages": ["nl", "en"],
    "landing_page": "https://example.org/data",
    "access_page": "https://example.org/ask",
    "publisher": {
        "homepage": "https://example.org",
        "identifier": "https://ror.org/012345a67",
        "type": f"{HDEU}/publisher-type/HEALTHCARE_PROVIDER",
        "email": "publisher@example.org",
    },
    "contact": {"email": "desk@example.org", "page": "https://example.org/desk"},
    "access_body": {
        "name": "An access body",
        "homepage": "https://example.org/body",
        "identifier": "https://example.org/body",
        "email": "body@example.org",
    },
    "legislation": ["http://data.europa.eu/eli/reg/2016/679/oj", "http://data.europa.eu/eli/reg/2025/327/oj"],
    "legal_basis": ["https://w3id.org/dpv#Consent"],
    "purposes": ["https://w3id.org/dpv#NonCommercialResearch"],
    "personal_data": ["https://w3id.org/dpv/pd#Health"],
    "themes": ["http://publications.europa.eu/resource/authority/data-theme/HEAL"],
    "health_categories": [f"{HDEU}/healthcategories/RQSH"],
    "health_themes": [f"{HDEU}/health-theme/NONCOMMUNICABLE_DISEASES"],
    "places": ["http://publications.europa.eu/resource/authority/country/NLD"],
    "ages": {"minimum": 18, "maximum": 99},
    "collected": {"start": "2025-12-01", "end": "2027-12-31"},
    "retention": {"start": "2028-01-01", "end": "2033-01-01"},
    "published": {"1.2.0": {"doi": "10.5072/made-up", "date": "2027-06-01"}},
    "terms": {
        "permission": "DUO_0000006",
        "modifiers": ["DUO_0000026", "DUO_0000027", "DUO_0000046"],
        "prohibitions": ["re-identification", "relinking", "commercial-use", "passing-on"],
    },
}


@pytest.fixture(autouse=True)
def _offline() -> Iterator[None]:
    with kit.no_network():
        yield


@pytest.fixture(params=[1, 3], ids=["one part", "three parts"])
def parts(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def write(tables: Tables, write_candidate: Write, *, parts: int = 1, catalogue: Any = EVERYTHING) -> Path:
    folder = write_candidate(tables, parts=parts)
    answers = [{"question": name, "kind": "recorded", "text": f"Yes. Told in {name}."} for name in QUESTIONS]
    (folder / "datasheet.json").write_text(json.dumps({"answers": answers}), encoding="utf-8")
    release = describe_release(folder, study=STUDY, catalogue=catalogue, predicate=PREDICATE, records="sessions")
    (folder / "metadata").mkdir()
    for path, text in documents(release).items():
        (folder / path).write_text(text, encoding="utf-8")
    for name in ("TERMS.md", "README.md", "DATASHEET.md"):
        (folder / name).write_text("Synthetic.\n", encoding="utf-8")
    assert catalogue is not EVERYTHING or not gaps(release)
    return folder


def broken(folder: Path, path: str, change: Change) -> Path:
    document = kit.document(folder, path)
    change(document)
    (folder / path).write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.fixture
def whole(tables: Tables, write_candidate: Write) -> Path:
    return write(tables, write_candidate)


def test_whole_documents_pass(tables: Tables, write_candidate: Write, parts: int) -> None:
    folder = write(tables, write_candidate, parts=parts)
    assert kit.stated(folder) == {}
    assert kit.croissant_problems(folder) == set()
    assert kit.data_package_problems(folder) == set()
    assert kit.datacite_problems(folder) == set()
    assert kit.crate_problems(folder) == set()
    for shapes in (kit.HEALTHDCAT_AP, kit.HEALTH_RI, kit.ODRL):
        assert kit.shacl_problems(folder, shapes) == set(), shapes.name


def test_a_workspace_that_states_nothing_has_the_gaps_that_it_names(tables: Tables, write_candidate: Write) -> None:
    folder = write(tables, write_candidate, catalogue={})
    stated = kit.stated(folder)
    assert kit.shacl_problems(folder, kit.HEALTHDCAT_AP) == stated["HealthDCAT-AP release 8"]
    assert kit.shacl_problems(folder, kit.HEALTH_RI) == {
        *stated["Health-RI core 2"] - {"e-mail of the contact point"},
        "contact point",
    }
    assert kit.croissant_problems(folder) == set()
    assert kit.datacite_problems(folder) == set()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document["distribution"][0].update(sha256="0" * 64), "not identical with the"),
        (lambda document: document["recordSet"][0]["field"][0]["source"]["extract"].update(column="x"), "records of"),
        (lambda document: document["recordSet"].pop(), "rows of"),
        (lambda document: document["recordSet"][0]["field"][0].pop("dataType"), "dataType"),
        (lambda document: document.update(conformsTo="http://mlcommons.org/croissant/1.0"), "not read as"),
        (lambda document: document.pop("license"), "license"),
        (lambda document: document["recordSet"][0]["field"][0]["source"]["fileObject"].update({"@id": "x"}), "refused"),
    ],
)
def test_mlcroissant_refuses(whole: Path, change: Change, said: str) -> None:
    problems = kit.croissant_problems(broken(whole, "metadata/croissant.json", change))
    assert any(said in problem for problem in problems), problems


def test_mlcroissant_reads_the_rai_fields_and_the_terms(whole: Path) -> None:
    import mlcroissant

    read = mlcroissant.Dataset(jsonld=whole / "metadata" / "croissant.json").metadata
    assert read.data_collection == "Told in L1. Told in L2."
    assert read.data_biases == ["Told in C3.", "Told in U4."]
    assert read.personal_sensitive_information == ["Told in C11.", "Told in C14.", "Told in C15."]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document["resources"][0].pop("name"), "name"),
        (lambda document: document["resources"][0].update(hash="sha256:00"), "hash of"),
        (lambda document: document["resources"][0].update(bytes=1), "bytes of"),
        (lambda document: document["resources"][0]["schema"]["fields"][3].update(type="date"), "Type Error"),
        (lambda document: document["resources"][1]["schema"]["fields"].pop(), "Label"),
        (
            lambda document: document["resources"][1]["schema"]["fields"][1]["constraints"].update(maximum=1),
            "Constraint",
        ),
    ],
)
def test_frictionless_refuses(whole: Path, change: Change, said: str) -> None:
    problems = kit.data_package_problems(broken(whole, "datapackage.json", change))
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("publicationYear"),
        lambda document: document.pop("creators"),
        lambda document: document["types"].update(resourceTypeGeneral="Data"),
        lambda document: document.update(doi="made-up"),
        lambda document: document["rightsList"][0].update(extra="x"),
        lambda document: document["dates"][0].update(dateType="Then"),
    ],
)
def test_datacite_refuses(whole: Path, change: Change) -> None:
    assert kit.datacite_problems(broken(whole, "metadata/datacite.json", change))


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["@graph"].pop(1),
        lambda document: document["@graph"][0].update(about={"@id": "./other/"}),
        lambda document: document["@graph"][0].update(conformsTo={"@id": "https://w3id.org/ro/crate/1.1"}),
        lambda document: (
            document["@graph"][2].update({"@id": "absent.md"})
            or document["@graph"][1]["hasPart"].append({"@id": "absent.md"})
        ),
    ],
)
def test_rocrate_refuses(whole: Path, change: Change) -> None:
    assert kit.crate_problems(broken(whole, "ro-crate-metadata.json", change))


MANDATORY = (
    ("dct:title", "title"),
    ("dct:description", "description"),
    ("dct:identifier", "identifier"),
    ("dct:accessRights", "access rights"),
    ("dcatap:applicableLegislation", "applicable legislation"),
    ("dcat:theme", "theme"),
    ("dcat:keyword", "keyword"),
    ("dct:type", "type"),
    ("dct:provenance", "provenance"),
    ("dcat:contactPoint", "contact point"),
    ("healthdcatap:hdab", "health data access body"),
    ("healthdcatap:healthCategory", "health category"),
    ("healthdcatap:hasStructuredData", "structured data"),
    ("healthdcatap:hasVariables", "variables"),
    ("dcat:distribution", "distribution"),
)


@pytest.mark.parametrize(("key", "name"), MANDATORY)
def test_pyshacl_asks_for_what_healthdcat_ap_makes_mandatory(whole: Path, key: str, name: str) -> None:
    folder = broken(whole, "metadata/health-dcat-ap.jsonld", lambda document: document.pop(key))
    assert kit.shacl_problems(folder, kit.HEALTHDCAT_AP) == {name}


@pytest.mark.parametrize(
    ("change", "shapes", "name"),
    [
        (lambda one: one["dct:publisher"].pop("cv:contactPoint"), kit.HEALTHDCAT_AP, "contact point of the publisher"),
        (
            lambda one: one["healthdcatap:numberOfRecords"].update({"@value": "<10"}),
            kit.HEALTHDCAT_AP,
            "number of records",
        ),
        (lambda one: one["dcat:distribution"].pop("dcat:accessURL"), kit.HEALTHDCAT_AP, "access URL"),
        (
            lambda one: one["healthdcatap:hasVariables"]["csvw:table"][0]["csvw:column"][0].pop("csvw:datatype"),
            kit.HEALTHDCAT_AP,
            "datatype of a column",
        ),
        (lambda one: one["dct:publisher"].pop("foaf:mbox"), kit.HEALTH_RI, "e-mail of every agent"),
        (lambda one: one["healthdcatap:hdab"].pop("foaf:homepage"), kit.HEALTH_RI, "home page of every agent"),
        (lambda one: one.pop("dct:creator"), kit.HEALTH_RI, "creator"),
        (lambda one: one["dcat:distribution"].pop("dcat:byteSize"), kit.HEALTH_RI, "byte size"),
        (lambda one: one.update({"dct:issued": "2027"}), kit.HEALTH_RI, "release date"),
        (lambda one: one.pop("odrl:hasPolicy"), kit.ODRL, "policy"),
        (lambda one: one["odrl:hasPolicy"]["odrl:prohibition"].pop(0), kit.ODRL, "no re-identification"),
        (lambda one: one["odrl:hasPolicy"]["odrl:prohibition"].pop(1), kit.ODRL, "no relinking"),
        (lambda one: one["odrl:hasPolicy"]["odrl:prohibition"].pop(2), kit.ODRL, "no commercial use"),
        (lambda one: one["odrl:hasPolicy"]["odrl:permission"][0].pop("odrl:target"), kit.ODRL, "target"),
        (
            lambda one: one["odrl:hasPolicy"]["odrl:prohibition"][0]["odrl:action"].pop("odrl:includedIn"),
            kit.ODRL,
            "included in",
        ),
    ],
)
def test_pyshacl_refuses(whole: Path, change: Change, shapes: Path, name: str) -> None:
    assert name in kit.shacl_problems(broken(whole, "metadata/health-dcat-ap.jsonld", change), shapes)


def test_the_block_without_network_has_none() -> None:
    import socket

    with pytest.raises(OSError, match="asked for the network"):
        socket.create_connection(("127.0.0.1", 9), timeout=1)
