"""The standards' own packages over the catalogue documents of a release: each function returns what is wrong with one.

Needs the extra `metadata`. Nothing here fetches anything: contexts and schemas come with the packages.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

SHAPES = Path(__file__).parent / "data" / "shacl"
HEALTHDCAT_AP = SHAPES / "healthdcat-ap-8-non-public.ttl"
HEALTH_RI = SHAPES / "health-ri-core-2.ttl"
ODRL = SHAPES / "odrl-2.2.ttl"


@contextmanager
def no_network() -> Iterator[None]:
    """Any use of a socket in the block fails."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("a validator asked for the network")

    kept = socket.socket.connect, socket.getaddrinfo
    socket.socket.connect, socket.getaddrinfo = refuse, refuse  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = kept  # type: ignore[method-assign]


def stated(release: Path) -> dict[str, set[str]]:
    """What the release itself says is missing: properties by standard, from the table of metadata/README.md."""
    page = (release / "metadata" / "README.md").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for line in page.partition("## What is missing")[2].splitlines():
        if (match := re.fullmatch(r"\| (.+?) \| (.+?) \| .+ \|", line)) and match[1] != "Standard":
            found.setdefault(match[1].partition(" (")[0], set()).add(match[2])
    return found


def document(release: Path, path: str) -> Any:
    return json.loads((release / path).read_text(encoding="utf-8"))


def croissant_problems(release: Path) -> set[str]:
    """mlcroissant: errors and warnings, and every record of every record set; loading a file checks its hash."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant

        try:
            dataset = mlcroissant.Dataset(jsonld=release / "metadata" / "croissant.json")
        except mlcroissant.ValidationError as error:
            return {f"refused: {error}"}
        issues = dataset.metadata.ctx.issues
        problems = set(issues.errors) | set(issues.warnings)
        if not dataset.metadata.ctx.is_v1_1():
            problems.add("not read as Croissant 1.1")
        rows: dict[str, int] = {}
        for record_set in dataset.metadata.record_sets:
            table = record_set.uuid.partition("/")[0]
            try:
                rows[table] = rows.get(table, 0) + _records(dataset, record_set)
            except (mlcroissant.GenerationError, ValueError) as error:
                problems.add(f"records of {record_set.uuid}: {error.__cause__ or error}")
        for folder in (release / "data").iterdir():
            if rows.get(folder.name) != sum(pq.read_metadata(path).num_rows for path in folder.iterdir()):
                problems.add(f"rows of {folder.name}")
    return problems


def _records(dataset: Any, record_set: Any) -> int:
    names = {field.uuid for field in record_set.fields}
    count = 0
    for record in dataset.records(record_set.uuid):
        if record.keys() != names:
            raise ValueError("a record has other fields")
        count += 1
    return count


def data_package_problems(release: Path) -> set[str]:
    """frictionless: the package against its profile, and each table's rows against its schema; sizes and hashes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import frictionless

        described = document(release, "datapackage.json")
        # Release 5 of frictionless knows a list of paths by its first and its `extrapaths`.
        for resource in described["resources"]:
            if isinstance(resource.get("path"), list):
                resource["path"], resource["extrapaths"] = resource["path"][0], resource["path"][1:]
        problems = {error.message for error in frictionless.Package.metadata_validate(described)}
        if problems:
            return problems
        for resource in described["resources"]:
            paths = [resource["path"], *resource.get("extrapaths", ())]
            hashes = resource.get("hashes") or {paths[0]: resource["hash"]}
            for path in paths:
                if hashes[path] != f"sha256:{hashlib.sha256((release / path).read_bytes()).hexdigest()}":
                    problems.add(f"hash of {path}")
            if resource["bytes"] != sum((release / path).stat().st_size for path in paths):
                problems.add(f"bytes of {resource['name']}")
            table = pq.read_table(release / "data" / resource["name"])
            rows = [table.column_names, *(list(row.values()) for row in table.to_pylist())]
            schema = frictionless.Schema.from_descriptor({**resource["schema"], "foreignKeys": []})
            report = frictionless.Resource(data=rows, schema=schema).validate()
            problems |= {f"{resource['name']}: {row[0]}" for row in report.flatten(["title"])}
    return problems


def datacite_problems(release: Path) -> set[str]:
    """The JSON Schema of kernel 4.5, and the XML that repositories register."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datacite import schema45

        described = document(release, "metadata/datacite.json")
        problems = {error.message for error in schema45.validator.iter_errors(described)}
        if not problems:
            schema45.tostring(described)
    return problems


def crate_problems(release: Path) -> set[str]:
    """ro-crate-py reads the crate, and every file that it names is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rocrate.rocrate import ROCrate

        try:
            crate = ROCrate(release)
        except ValueError as error:
            return {f"refused: {error}"}
        if crate.version != "1.2":
            return {f"read as version {crate.version}"}
        return {f"no {one.id}" for one in crate.data_entities if not (release / one.id).exists()}


def shacl_problems(release: Path, *shapes: Path) -> set[str]:
    """pyshacl over metadata/health-dcat-ap.jsonld: the names of the properties that violate the shapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyshacl
        import rdflib
        from rdflib.namespace import RDF, SH

        data = rdflib.Graph().parse(release / "metadata" / "health-dcat-ap.jsonld", format="json-ld")
        constraints = rdflib.Graph()
        for path in shapes:
            constraints.parse(path)
        _, report, _ = pyshacl.validate(data, shacl_graph=constraints)
        found = set()
        for result in report.subjects(RDF.type, SH.ValidationResult):
            # What fails because a node within it fails is reported with that node.
            if report.value(result, SH.sourceConstraintComponent) == SH.NodeConstraintComponent:
                inner = set(report.objects(result, SH.detail))
                if inner:
                    continue
            name = constraints.value(report.value(result, SH.sourceShape), SH.name)
            found.add(str(name or report.value(result, SH.resultPath) or report.value(result, SH.sourceShape)))
    return found
