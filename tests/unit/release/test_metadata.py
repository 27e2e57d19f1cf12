"""Catalogue descriptions say what the bytes and the dictionaries say; the reference tools accept them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.metadata import croissant, data_package

Tables = dict[str, pa.Table]
Write = Callable[..., Path]

STUDY = {"id": "SENSAI-DBD", "title": "A synthetic study", "institution": "An institution", "registration": "NCT0"}
PREDICATE = {"series": "sensai-dbd", "version": "1.0.0", "synthetic": True}


@pytest.fixture
def folder(tables: Tables, write_candidate: Write) -> Path:
    return write_candidate(tables, parts=2)


def test_croissant_names_every_file_with_its_hash(folder: Path) -> None:
    document = croissant(folder, study=STUDY, predicate=PREDICATE)
    files = {entry["@id"]: entry for entry in document["distribution"] if entry["@type"] == "cr:FileObject"}
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.glob("data/*/*.parquet"))
    assert sorted(files) == paths
    for path in paths:
        assert files[path]["sha256"] == hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert files[path]["contentSize"] == f"{(folder / path).stat().st_size} B"


def test_croissant_types_every_column(folder: Path, dictionaries: Any) -> None:
    document = croissant(folder, study=STUDY, predicate=PREDICATE)
    sets = {entry["@id"]: entry for entry in document["recordSet"]}
    assert sets.keys() == dictionaries.keys()
    for name, dictionary in dictionaries.items():
        assert [field["source"]["extract"]["column"] for field in sets[name]["field"]] == [
            column["name"] for column in dictionary["columns"]
        ]
    fields = {field["@id"]: field for entry in sets.values() for field in entry["field"]}
    assert fields["face_windows/AU04_r_mean"]["dataType"] == "sc:Float"
    assert sets["face_windows"]["key"] == [{"@id": "face_windows/session_id"}, {"@id": "face_windows/window"}]


def test_nothing_is_invented(folder: Path) -> None:
    document = croissant(folder, study={"title": "T"}, predicate=PREDICATE | {"synthetic": False})
    assert not {"url", "datePublished", "creator", "citeAs", "identifier"} & document.keys()
    assert "SYNTHETIC" not in document["description"]
    assert "SYNTHETIC" in croissant(folder, study=STUDY, predicate=PREDICATE)["description"]
    assert not any("://" in entry["contentUrl"] for entry in document["distribution"] if "contentUrl" in entry)


def test_data_package(folder: Path, tables: Tables, write_candidate: Write) -> None:
    document = data_package(folder, study=STUDY, predicate=PREDICATE)
    resources = {entry["name"]: entry for entry in document["resources"]}
    scores = resources["pain_scores"]
    assert scores["hashes"].keys() == set(scores["path"])
    assert scores["schema"]["foreignKeys"] == [
        {"fields": ["session_id"], "reference": {"resource": "sessions", "fields": ["session_id"]}}
    ]
    nrs = scores["schema"]["fields"][1]
    assert (nrs["type"], nrs["constraints"]) == ("integer", {"required": False, "minimum": 0, "maximum": 10})
    single = write_candidate(tables, name="single")
    one = data_package(single, study=STUDY, predicate=PREDICATE)["resources"][0]
    assert one["hash"] == f"sha256:{hashlib.sha256((single / one['path']).read_bytes()).hexdigest()}"
    assert one["bytes"] == (single / one["path"]).stat().st_size


def test_a_table_without_files_is_refused(folder: Path) -> None:
    for part in (folder / "data" / "sessions").iterdir():
        part.unlink()
    for make in (croissant, data_package):
        with pytest.raises(ReleaseFormatError, match="data/sessions: holds no Parquet file"):
            make(folder, study=STUDY, predicate=PREDICATE)


@pytest.mark.filterwarnings("default")
def test_mlcroissant_reads_the_records(tables: Tables, write_candidate: Write) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    root = write_candidate(tables)
    path = root / "metadata" / "croissant.json"
    path.parent.mkdir()
    path.write_text(json.dumps(croissant(root, study=STUDY, predicate=PREDICATE)), encoding="utf-8")
    dataset = mlcroissant.Dataset(jsonld=path)
    for name, table in tables.items():
        records = list(dataset.records(name))
        assert len(records) == len(table)
        assert records[0].keys() == {f"{name}/{column}" for column in table.column_names}


@pytest.mark.filterwarnings("default")
def test_mlcroissant_accepts_several_parts(folder: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    (folder / "metadata").mkdir()
    path = folder / "metadata" / "croissant.json"
    path.write_text(json.dumps(croissant(folder, study=STUDY, predicate=PREDICATE)), encoding="utf-8")
    assert not mlcroissant.Dataset(jsonld=path).metadata.ctx.issues.errors


def test_frictionless_accepts_the_package(tables: Tables, write_candidate: Write) -> None:
    frictionless = pytest.importorskip("frictionless", reason="frictionless is not installed")
    document = data_package(write_candidate(tables), study=STUDY, predicate=PREDICATE)
    frictionless.Package.from_descriptor(document)
    assert not list(frictionless.Package.metadata_validate(document))
