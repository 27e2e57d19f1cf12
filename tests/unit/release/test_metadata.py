"""Catalogue documents say what the bytes, the dictionaries and the steward say, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.pipeline.scan import scan_path
from sensai_release.pipeline.workspace import open_workspace, template_root
from sensai_release.release.metadata import describe_release, documents, gaps
from sensai_release.release.metadata.terms_of_use import MODIFIERS, PERMISSIONS, policy, read_terms

Tables = dict[str, pa.Table]
Write = Callable[..., Path]

STUDY = {"id": "S-1", "title": "A study", "institution": "An institution", "registration": "NCT0", "contact": "a desk"}
PREDICATE = {
    "series": "made-up",
    "version": "1.2.0",
    "synthetic": False,
    "as_of": None,
    "previous": {"version": "1.1.0"},
    "counts": {"persons": 20, "rows": {"sessions": 40}},
}
TERMS = {
    "permission": "DUO_0000006",
    "modifiers": ["DUO_0000046", "DUO_0000026"],
    "prohibitions": ["relinking", "re-identification", "commercial-use"],
}
ANSWERS = {"L1": "Yes. Recorded on paper.", "P1": "Cleaned.", "C1": "People.", "U4": "One centre."}


def write_sheet(folder: Path) -> None:
    answers = [{"question": name, "kind": "recorded", "text": text} for name, text in ANSWERS.items()]
    answers.append({"question": "T3", "kind": "open", "text": "Nobody knows."})
    (folder / "datasheet.json").write_text(json.dumps({"answers": answers}), encoding="utf-8")


@pytest.fixture
def folder(tables: Tables, write_candidate: Write) -> Path:
    made = write_candidate(tables, parts=2)
    write_sheet(made)
    return made


def made(folder: Path, catalogue: Any = None, **changed: Any) -> dict[str, str]:
    release = describe_release(
        folder, study=STUDY, catalogue=catalogue or {}, predicate=PREDICATE | changed, records="sessions"
    )
    return documents(release)


def loaded(folder: Path, path: str, catalogue: Any = None, **changed: Any) -> Any:
    return yaml.safe_load(made(folder, catalogue, **changed)[path])


def test_every_file_is_named_with_its_hash(folder: Path) -> None:
    files = {entry["@id"]: entry for entry in loaded(folder, "metadata/croissant.json")["distribution"]}
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.glob("data/*/*.parquet"))
    assert sorted(files) == paths
    assert len(paths) == 8
    for path in paths:
        assert files[path]["sha256"] == hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert files[path]["contentSize"] == f"{(folder / path).stat().st_size} B"
    named = {entry["@id"] for entry in loaded(folder, "ro-crate-metadata.json")["@graph"]}
    assert named >= {*paths, "TERMS.md", "schemas/sessions.json", "CITATION.cff", "./"}


def test_croissant_types_every_column(folder: Path, dictionaries: Any) -> None:
    sets = {entry["@id"]: entry for entry in loaded(folder, "metadata/croissant.json")["recordSet"]}
    assert sets.keys() == {f"{name}/{part}" for name in dictionaries for part in (1, 2)}
    for name, dictionary in dictionaries.items():
        columns = [column["name"] for column in dictionary["columns"]]
        assert [field["source"]["extract"]["column"] for field in sets[f"{name}/2"]["field"]] == columns
    fields = {field["@id"]: field for entry in sets.values() for field in entry["field"]}
    assert fields["face_windows/1/AU04_r_mean"]["dataType"] == "sc:Float"
    assert sets["face_windows/1"]["key"] == [{"@id": "face_windows/1/session_id"}, {"@id": "face_windows/1/window"}]


def test_a_table_in_one_file_is_one_record_set(tables: Tables, write_candidate: Write, dictionaries: Any) -> None:
    single = write_candidate(tables)
    write_sheet(single)
    assert {entry["@id"] for entry in loaded(single, "metadata/croissant.json")["recordSet"]} == dictionaries.keys()
    resource = loaded(single, "datapackage.json")["resources"][0]
    assert resource["hash"] == f"sha256:{hashlib.sha256((single / resource['path']).read_bytes()).hexdigest()}"
    assert resource["bytes"] == (single / resource["path"]).stat().st_size


def test_rai_fields_are_the_answers_that_are_not_open(folder: Path) -> None:
    document = loaded(folder, "metadata/croissant.json", {"collected": {"start": "2025-12-01", "end": "2027-12-31"}})
    told = {key: value for key, value in document.items() if key.startswith("rai:")}
    assert told == {
        "rai:dataCollection": "Recorded on paper.",
        "rai:dataPreprocessingProtocol": ["Cleaned."],
        "rai:dataBiases": ["One centre."],
        "rai:dataCollectionTimeframe": ["2025-12-01", "2027-12-31"],
    }
    assert "Nobody knows" not in "".join(made(folder).values())


def test_data_package(folder: Path) -> None:
    resources = {entry["name"]: entry for entry in loaded(folder, "datapackage.json")["resources"]}
    scores = resources["pain_scores"]
    assert scores["hashes"].keys() == set(scores["path"])
    assert scores["schema"]["foreignKeys"] == [
        {"fields": ["session_id"], "reference": {"resource": "sessions", "fields": ["session_id"]}}
    ]
    nrs = scores["schema"]["fields"][1]
    assert (nrs["type"], nrs["constraints"]) == ("integer", {"required": False, "minimum": 0, "maximum": 10})


def test_a_table_without_files_is_refused(folder: Path) -> None:
    for part in (folder / "data" / "sessions").iterdir():
        part.unlink()
    with pytest.raises(ReleaseFormatError, match="data/sessions: holds no Parquet file"):
        made(folder)


def test_nothing_is_made_up(folder: Path) -> None:
    texts = made(folder)
    # Without a catalogue there is no address but those of standards and vocabularies, no day and no e-mail.
    known = (
        r"schema\.org|w3\.org|w3id\.org|mlcommons\.org|purl\.org|obolibrary\.org|creativecommons\.org|datapackage\.org"
    )
    known += r"|datacite\.org|xmlns\.com|europa\.eu|healthdataportal\.eu|iana\.org"
    for path, text in texts.items():
        for address in re.findall(r"https?://[^\s\"'<>)]+", text):
            assert re.match(rf"https?://[a-z.]*({known})[/#]", address), (path, address)
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text), path
        assert not re.search(r"\w@\w+\.\w", text), path
    assert not {"datePublished", "url", "usageInfo"} & json.loads(texts["metadata/croissant.json"]).keys()
    assert not {"doi", "publicationYear"} & json.loads(texts["metadata/datacite.json"]).keys()
    assert "odrl:hasPolicy" not in json.loads(texts["metadata/health-dcat-ap.jsonld"])


def test_what_is_missing_is_named(folder: Path) -> None:
    release = describe_release(folder, study=STUDY, catalogue={}, predicate=PREDICATE)
    missing = {(gap.standard.split()[0], gap.fact) for gap in gaps(release)}
    assert {("DataCite", "publication year"), ("Health-RI", "contact point")} <= missing
    assert {("HealthDCAT-AP", "health data access body"), ("HealthDCAT-AP", "distribution")} <= missing
    page = made(folder)["metadata/README.md"]
    assert all(f"| {gap.standard} | {gap.fact} | {gap.fill} |" in page for gap in gaps(release))
    dated = describe_release(folder, study=STUDY, catalogue={}, predicate=PREDICATE | {"as_of": "2027-06-01"})
    assert {gap.fact for gap in gaps(release)} - {gap.fact for gap in gaps(dated)} == {
        "date of publication",
        "publication year",
    }


@pytest.mark.parametrize("stated", [False, True])
def test_terms_that_no_program_can_read_are_said_to_be_missing(folder: Path, stated: bool) -> None:
    texts = made(folder, {"terms": TERMS} if stated else {})
    assert ("catalogue.terms" in texts["metadata/README.md"]) is not stated
    assert any("DUO_" in text for path, text in texts.items() if path != "metadata/README.md") is stated


def test_a_version_has_its_own_doi_and_day(folder: Path) -> None:
    published = {"1.2.0": {"doi": "10.5072/x", "date": "2028-01-31"}, "1.1.0": {"doi": "10.5072/before"}}
    texts = made(folder, {"published": published}, as_of="2027-06-01")
    datacite = json.loads(texts["metadata/datacite.json"])
    assert (datacite["doi"], datacite["publicationYear"]) == ("10.5072/x", "2028")
    assert json.loads(texts["metadata/croissant.json"])["identifier"] == "https://doi.org/10.5072/x"
    assert not any("10.5072/before" in text for text in texts.values())
    other = loaded(folder, "metadata/datacite.json", {"published": {"9.9.9": {"doi": "10.5072/x"}}})
    assert "doi" not in other


def test_synthetic_data_say_so_in_every_document(folder: Path) -> None:
    for path, text in made(folder, {"personal_data": ["https://w3id.org/dpv/pd#Health"]}, synthetic=True).items():
        assert path == "metadata/README.md" or "[Synthetic data] A study" in text, path
        assert path == "metadata/README.md" or "SYNTHETIC DATA: made by a program" in " ".join(text.split()), path
        assert "pd#Health" not in text
    assert not any("ynthetic data" in text for text in made(folder).values())


def test_numbers_are_those_of_the_predicate(folder: Path) -> None:
    health = loaded(folder, "metadata/health-dcat-ap.jsonld", {"access_page": "https://example.org/ask"})
    assert health["healthdcatap:numberOfUniqueIndividuals"]["@value"] == "20"
    assert health["healthdcatap:numberOfRecords"]["@value"] == "40"
    assert health["dcat:distribution"]["dcat:byteSize"]["@value"] == "1000000"
    few = loaded(folder, "metadata/health-dcat-ap.jsonld", counts={"persons": "<10", "rows": {"sessions": "<10"}})
    assert not {"healthdcatap:numberOfUniqueIndividuals", "healthdcatap:numberOfRecords"} & few.keys()
    assert "<10 participants" in loaded(folder, "metadata/datacite.json", counts={"persons": "<10"})["sizes"]
    # 24 persons and 48 sessions are in the tables.
    for path, text in made(folder).items():
        assert path in ("metadata/croissant.json", "datapackage.json") or not re.search(r"\b(24|48)\b", text), path


def test_the_same_facts_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    catalogue = {"keywords": ["b", "a"], "terms": TERMS}
    first = made(folder, catalogue)
    folder.rename(moved)
    shuffled = {"terms": TERMS | {"modifiers": TERMS["modifiers"][::-1]}, "keywords": ["b", "a"]}
    assert made(moved, shuffled) == first
    assert not any(str(tmp_path) in text for text in first.values())


def test_terms_stand_where_they_are_looked_for(folder: Path) -> None:
    texts = made(folder, {"terms": TERMS, "publisher": {"identifier": "https://ror.org/012345a67"}})
    croissant = json.loads(texts["metadata/croissant.json"])
    codes = [entry["termCode"] for entry in croissant["usageInfo"] if "termCode" in entry]
    assert codes == ["DUO_0000006", "DUO_0000026", "DUO_0000046"]
    rights = json.loads(texts["metadata/datacite.json"])["rightsList"]
    assert [entry.get("rightsIdentifier") for entry in rights] == [None, *codes]
    rules = json.loads(texts["metadata/health-dcat-ap.jsonld"])["odrl:hasPolicy"]
    assert [rule["odrl:action"]["@id"] for rule in rules["odrl:prohibition"]] == [
        "urn:sensai-release:action:re-identify:1",
        "urn:sensai-release:action:relink:1",
        "cc:CommercialUse",
    ]
    assert rules["odrl:permission"][0]["odrl:assigner"] == {"@id": "https://ror.org/012345a67"}


def test_a_policy_without_an_assigner_is_a_set() -> None:
    rules = policy(read_terms(TERMS, public=False), target="urn:x", assigner=None)
    assert rules is not None
    assert rules["@type"] == "odrl:Set"
    assert policy(read_terms({}, public=False), target="urn:x", assigner=None) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"permission": "DUO_0000046"}, "names no data use permission of DUO"),
        ({"modifiers": ["DUO_0000006", "DUO_0000046"]}, "names no data use modifier of DUO"),
        ({"modifiers": ["DUO_0000026"]}, "contradicts itself about commercial use"),
        ({"prohibitions": ["relinking"]}, "contradicts itself about commercial use"),
        ({"permission": "DUO_0000004"}, "says that there is no restriction, and there is one"),
        ({"permission": "DUO_0000007"}, "has a disease without its permission, or the reverse"),
        ({"disease": "http://purl.obolibrary.org/obo/MONDO_0004992"}, "has a disease without its permission"),
    ],
)
def test_terms_that_contradict_each_other_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_terms(TERMS | changed, public=False)


def test_the_codes_are_those_of_duo() -> None:
    assert not PERMISSIONS.keys() & MODIFIERS.keys()
    assert all(re.fullmatch(r"DUO_\d{7}", code) for code in PERMISSIONS | MODIFIERS)
    disease = {"permission": "DUO_0000007", "disease": "http://purl.obolibrary.org/obo/MONDO_0004992"}
    rules = policy(read_terms(TERMS | disease, public=False), target="urn:x", assigner="urn:y")
    assert rules is not None
    operands = [one["odrl:rightOperand"]["@id"] for one in rules["odrl:permission"][0]["odrl:constraint"]]
    assert operands == ["obo:DUO_0000007", "obo:DUO_0000026", "obo:DUO_0000046", disease["disease"]]


def test_the_workspace_that_we_ship_says_what_its_terms_say() -> None:
    params = open_workspace(template_root()).params
    terms = (template_root() / "datasheets" / "terms.md").read_text(encoding="utf-8")
    said = {
        "re-identification": "No re-identification.",
        "relinking": "No linking.",
        "commercial-use": "non-commercial research",
        "passing-on": "Nobody else may receive the data",
        "decisions-about-individuals": "No decisions about individuals.",
    }
    assert set(params.terms.prohibitions) == said.keys()
    assert all(sentence in terms for sentence in said.values())
    assert {"DUO_0000026", "DUO_0000027", "DUO_0000046"} == set(params.terms.modifiers)
    assert "approved proposal" in terms
    assert "General Data Protection Regulation" in terms
    assert params.catalogue["legislation"] == ["http://data.europa.eu/eli/reg/2016/679/oj"]


def test_a_workspace_may_state_nothing_and_not_a_wrong_thing(tmp_path: Path) -> None:
    text = (template_root() / "params.yaml").read_text(encoding="utf-8")
    before = text.partition("\n# What only catalogues ask for")[0] + "\n"
    (tmp_path / "params.yaml").write_text(before, encoding="utf-8")
    assert open_workspace(tmp_path).params.catalogue == {}
    assert not open_workspace(tmp_path).params.terms
    for wrong in (
        "contact: {email: nobody}",
        "landing_page: erasmus",
        "published: {1.0: {doi: '10.1/x'}}",
        "terms: {prohibitions: [fun]}",
        "terms: {permission: DUO_0000004}",
        "publisher: {identifier: 'https://ror.org/x'}",
    ):
        (tmp_path / "params.yaml").write_text(f"{before}\ncatalogue:\n  {wrong}\n", encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"params\.yaml"):
            _ = open_workspace(tmp_path).params


def test_the_leak_scan_knows_the_first_moment_of_a_declared_day(tmp_path: Path) -> None:
    text = (template_root() / "params.yaml").read_text(encoding="utf-8")
    declared = '\ncatalogue:\n  published: {1.0.0: {date: "2028-01-31"}}\n'
    (tmp_path / "params.yaml").write_text(text.replace("\ncatalogue:\n", declared, 1), encoding="utf-8")
    shutil.copytree(template_root() / "schemas", tmp_path / "schemas")
    found = {}
    for moment in ("2028-01-31T00:00:00Z", "2028-01-31T09:30:00Z", "2028-02-01T00:00:00Z"):
        (tmp_path / "document.json").write_text(json.dumps({"dct:issued": moment}), encoding="utf-8")
        found[moment] = scan_path(tmp_path / "document.json", workspace=open_workspace(tmp_path))["ok"]
    assert list(found.values()) == [True, False, False]
