"""`scan`: the leak scan of what is about to leave, with canaries from the workspace's own source.

Gathers the canaries (raw identifiers, names and free text of the source, this machine's folders and names) and the
texts that the workspace declares, and says which folders and documents are scanned. How is for `privacy.leakscan`.
"""

from __future__ import annotations

import getpass
import re
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError, InputError
from sensai_release.pipeline import versioning
from sensai_release.pipeline.built import SCAN, note_made
from sensai_release.pipeline.source import list_source
from sensai_release.pipeline.workspace import Workspace, write_json
from sensai_release.privacy.leakscan import Canaries, CanaryBuilder, ScanLimits, scan_bytes, scan_tree
from sensai_release.privacy.leakscan.patterns import texts_of
from sensai_release.table.findings import Finding, sort_findings
from sensai_release.table.readers import read_file
from sensai_release.table.schema import SchemaSet, TableSchema

Progress = Callable[[int, int], None]

REPORT = "scan.json"
GIT_LOG = "the git log"

_DVC_FILES = (
    "dvc.yaml",
    "dvc.lock",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "releases/*.dvc",
    "releases/.gitignore",
    "log/*",
)
_DECLARED = ("params.yaml", "datasheets/*", "schemas/*.yaml", "schemas/hierarchies/*.yaml")
_TEXT_SUFFIXES = (".py", ".j2", ".css", ".html", ".yaml", ".json")


def scan_workspace(workspace: Workspace, *, on_progress: Progress | None = None) -> dict[str, Any]:
    """Scans candidate, package, reports, DVC files, the governance log and git's; writes reports/scan.json.

    With an error among the findings work/package is taken away, so that nothing can be released from it. DVC files and
    the logs hold the steward's own words and remotes: there only canaries are looked for. Raises
    `ConfigurationError` when there is no package, and `InputError` when the source cannot be read.
    """
    if not workspace.package.is_dir():
        raise ConfigurationError("the package", "is not there", "Run 'sensai-release build' first.")
    canaries = source_canaries(workspace)
    declared = _declared_matches(workspace)
    findings: list[Finding] = []
    for folder in (workspace.candidate, workspace.package, workspace.reports):
        found = scan_tree(folder, canaries=canaries, declared=declared, on_progress=on_progress)
        name = folder.relative_to(workspace.root).as_posix()
        # The report of the scan before this one speaks of leaks, but holds none; it is about to be replaced.
        findings += [replace(item, file=f"{name}/{item.file}") for item in found if item.file != REPORT]
    for pattern in _DVC_FILES:
        for path in sorted(workspace.root.glob(pattern)):
            name = path.relative_to(workspace.root).as_posix()
            found = scan_tree(path, canaries=canaries, patterns=False)
            findings += [replace(item, file=name if item.file == path.name else item.file) for item in found]
    log = scan_bytes(versioning.log_text(workspace.root).encode(), canaries=canaries, patterns=False)
    findings += [replace(item, file=GIT_LOG) for item in log]
    document = _document(findings, canaries)
    write_json(workspace.reports / REPORT, document)
    note_made(workspace, SCAN)
    if not document["ok"]:
        shutil.rmtree(workspace.package, ignore_errors=True)
    return document


def scan_path(
    path: Path, *, workspace: Workspace | None = None, source: Path | None = None, on_progress: Progress | None = None
) -> dict[str, Any]:
    """Scans any file or folder; with a workspace that has its source, for the canaries of that source too.

    `source` names another source folder with the same tables. Raises `InputError` when `path` is not there or the
    source cannot be read.
    """
    if not path.exists():
        raise InputError("PATH", "is not there", "Name a file or a folder.")
    canaries = CanaryBuilder().build()
    declared: frozenset[bytes] = frozenset()
    if workspace is not None:
        declared = _declared_matches(workspace)
        if source is not None or workspace.source.is_dir():
            canaries = source_canaries(workspace, source)
    elif source is not None:
        raise ConfigurationError("--source", "needs a workspace, whose schemas say what is in it", "Name one with -C.")
    found = scan_tree(path, canaries=canaries, declared=declared, on_progress=on_progress)
    return _document(list(found), canaries)


def source_canaries(workspace: Workspace, source: Path | None = None) -> Canaries:
    """The canaries of a source folder. Raises `InputError` when a table of it cannot be read."""
    schemas = workspace.schemas
    builder = CanaryBuilder(_vocabulary(workspace, schemas))
    listed = list_source(_elsewhere(workspace, source) if source is not None else workspace)
    for name, found in listed.files.items():
        schema = schemas[name]
        if schema.source is not None and schema.source.per_recording:
            builder.add_identifiers((file.path.stem for file in found), column=schema.source.recording_key)
        elif schema.source is not None and schema.source.read:
            for file in found:
                table = read_file(file.path, schema, place=file.place).table
                if table is None:
                    raise InputError(file.place, "cannot be read, so its identifiers are not known", "Run 'validate'.")
                _add_table(builder, schema, table)
    folder = source if source is not None else workspace.source
    builder.add_machine(_machine(workspace.root, folder))
    return builder.build()


def _elsewhere(workspace: Workspace, source: Path) -> Workspace:
    """The same workspace with another source folder."""

    class Elsewhere(Workspace):
        @property
        def source(self) -> Path:
            return source

    return Elsewhere(root=workspace.root)


def _add_table(builder: CanaryBuilder, schema: TableSchema, table: pa.Table) -> None:
    key = schema.source.recording_key if schema.source is not None else None
    for column in table.column_names:
        spec = schema.match(column)
        if spec is not None and spec.dtype in ("date", "datetime", "boolean"):
            continue  # a pattern of its own looks for times; a yes or no proves nothing
        identifier = column == key or (spec is not None and spec.identifier is not None)
        direct = spec is not None and spec.role == "direct_identifier"
        if not (identifier or direct or (spec is not None and spec.idclass == "X" and spec.dtype == "string")):
            continue
        cells = pc.cast(pc.unique(table[column]).drop_null(), pa.string()).to_pylist()
        if identifier or (direct and spec is not None and spec.dtype in ("integer", "number")):
            builder.add_identifiers(cells, column=column)
        elif direct:
            builder.add_names(cells)
        else:
            builder.add_free_text(cells)


def _machine(root: Path, source: Path) -> Iterator[str]:
    yield from (str(path.resolve()) for path in (root, source))
    yield str(Path.home())
    yield socket.gethostname()
    try:
        yield getpass.getuser()
    except (OSError, KeyError):
        return


def _vocabulary(workspace: Workspace, schemas: SchemaSet) -> Iterator[str]:
    """Every text that may stand in a release because somebody wrote it for that: declarations, pages, programs."""
    for schema in schemas.values():
        yield from (schema.name, schema.title, schema.description)
        for column in schema.columns:
            yield from (column.label, column.description, column.justification, *column.categories)
        for release in schema.releases:
            yield from (release.table, release.title, release.description)
    for hierarchy in schemas.hierarchies.values():
        yield from (*hierarchy.level_names, *(label for labels in hierarchy.table.values() for label in labels))
    yield from _strings(workspace.params.raw)
    for path in sorted((workspace.root / "datasheets").glob("*")):
        if path.is_file():
            yield path.read_text(encoding="utf-8", errors="replace")
    for part in ("release", "table", "privacy"):
        yield from _package_texts(files("sensai_release").joinpath(part))


def _package_texts(folder: Traversable) -> Iterator[str]:
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.is_dir():
            yield from _package_texts(entry)
        elif entry.name.endswith(_TEXT_SUFFIXES) and not entry.name.startswith("synthetic"):
            yield entry.read_text(encoding="utf-8")


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)
    else:
        yield str(value)


def _declared_matches(workspace: Workspace) -> frozenset[bytes]:
    """What the patterns find in the workspace's declared documents: a role's mailbox, the date of an approval.

    A declared day may also stand as its first moment: catalogues of health data ask for days in that form.
    """
    found: frozenset[bytes] = frozenset()
    for pattern in _DECLARED:
        for path in sorted(workspace.root.glob(pattern)):
            if path.is_file():
                data = path.read_bytes()
                found |= texts_of(data)
                found |= {day + b"T00:00" for day in re.findall(rb"(?<![\w-])\d{4}-\d\d-\d\d(?![\w-])", data)}
    return found


def _document(findings: list[Finding], canaries: Canaries) -> dict[str, Any]:
    ordered = sort_findings(findings)
    return {
        "ok": not any(finding.severity == "error" for finding in ordered),
        "canaries": bool(canaries),
        "identifiers_too_short": canaries.too_short,
        "findings": [finding.to_dict() for finding in ordered],
    }


__all__ = ["ScanLimits", "scan_path", "scan_workspace", "source_canaries"]
