"""`validate`: every source table against its schema, all findings of all files in one run.

Reads each source file once and leaves the columns that later stages need as Parquet in work/validated/, so that
no later stage parses text again. Recordings that have not changed since the last run are not read again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from sensai_release import __version__
from sensai_release.errors import ConfigurationError, InputError, ReleaseFormatError
from sensai_release.pipeline.portrait import column_ranges, recording_counts
from sensai_release.pipeline.source import SourceFile, list_source, workspace_secret
from sensai_release.pipeline.units import map_units
from sensai_release.pipeline.workspace import Workspace, write_json, write_text
from sensai_release.privacy.needed import needed_columns
from sensai_release.privacy.windows import time_findings
from sensai_release.release.tables import read_json_object
from sensai_release.table.checks import check_and_profile, column_profile, merge_profiles
from sensai_release.table.findings import ColumnRange, Finding, TableCount, ValidationReport, sort_findings
from sensai_release.table.portrait import recording_facts, tenths
from sensai_release.table.readers import read_file
from sensai_release.table.rules import check_rules
from sensai_release.table.schema import SchemaSet, TableSchema
from sensai_release.table.store import read_parquet, taking_place_of, write_parquet, write_shard
from sensai_release.table.stowaways import stowaway_findings

Progress = Callable[[int, int], None]

RECORDINGS = "_recordings.parquet"
"""In each folder of recordings: which unit is which raw key (columns `unit`, `key`, and `sha256` of the shard)."""

_INDEX_FORMAT = 2
"""Rises when an outcome in the index gets other entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What a worker needs to read one recording of any table."""

    schemas: Mapping[str, TableSchema]
    needed: Mapping[str, frozenset[str]]
    folder: Path


def validate(
    workspace: Workspace, *, only: str | None = None, workers: int = 1, on_progress: Progress | None = None
) -> ValidationReport:
    """Validates the source folder and, when all tables were asked for, fills work/validated/.

    The report holds counts and places, never a value. Raises `InputError` when the source folder cannot be read, and
    `ConfigurationError` when `only` is no table that is read from it.
    """
    schemas = workspace.schemas
    readable = {name: table for name, table in schemas.items() if table.source is not None and table.source.read}
    if only is not None and only not in readable:
        raise ConfigurationError(
            "--table",
            "names no table that is read from the source folder",
            f"Give one of: {', '.join(sorted(readable))}.",
        )
    listing = list_source(workspace)
    context = _Context(
        schemas=readable,
        needed={name: _needed(workspace, table) for name, table in readable.items()},
        folder=workspace.validated,
    )
    index = _load_index(workspace, context)
    workspace.validated.mkdir(mode=0o700, exist_ok=True)
    files = [
        file for name, found in listing.files.items() if name in readable and only in (None, name) for file in found
    ]
    outcomes = _run(files, context, index, workers, on_progress)
    findings = [] if only else list(listing.findings)
    for file in files:
        findings += [replace(Finding.from_dict(entry), file=file.place) for entry in outcomes[file.unit]["findings"]]
    recordings = {name: found for name, found in _by_table(files).items() if _is_recording(context, found[0])}
    ranges: tuple[ColumnRange, ...] = ()
    if only is None:
        _finish_folder(workspace, context, files, outcomes)
        tables = _tables_for_rules(workspace, schemas, listing.files, outcomes)
        findings += check_rules(tables, schemas)
        single = {name: table for name, table in tables.items() if name in readable and name not in recordings}
        ranges = column_ranges(workspace, single, recordings, outcomes)
    return ValidationReport(
        findings=sort_findings(findings),
        tables=tuple(_count(name, found, outcomes) for name, found in _by_table(files).items()),
        columns=tuple(merge_profiles([outcomes[file.unit]["profile"] for file in files])),
        recordings=recording_counts([file for found in recordings.values() for file in found], outcomes, findings),
        ranges=ranges,
    )


def _needed(workspace: Workspace, table: TableSchema) -> frozenset[str]:
    """The columns that later stages use: those of the policy, and what the consent ledger is read for."""
    needed = needed_columns(table, workspace.params.profile.name, schemas=workspace.schemas)
    consent = workspace.params.raw["consent"]
    if table.name == consent["table"]:
        needed |= {consent["person"], consent["grant"]["column"], consent["withdrawn"]}
    return needed


def _run(
    files: list[SourceFile], context: _Context, index: Mapping[str, Any], workers: int, on_progress: Progress | None
) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    todo = []
    for file in files:
        known = index.get(file.unit)
        if known and known["signature"] == file.signature and _shard(context, file).exists() == known["stored"]:
            outcomes[file.unit] = known
        else:
            todo.append(file)
    recordings = [file for file in todo if _is_recording(context, file)]
    results = map_units(_read_one, context, recordings, workers=workers, on_progress=on_progress)
    # The clinical tables need pandera, which takes a worker longer to import than to use: this process does them.
    for file in todo:
        if not _is_recording(context, file):
            outcomes[file.unit] = _read_one(context, file)
    for file, outcome in zip(recordings, results, strict=True):
        outcomes[file.unit] = outcome
    return outcomes


def _read_one(context: _Context, file: SourceFile) -> dict[str, Any]:
    """Reads, checks and stores one source file; the outcome is plain data, free of values."""
    schema = context.schemas[file.table]
    try:
        # A recording has hundreds of columns that never leave, so only the needed ones are parsed. The clinical
        # tables are small: all of their columns are checked, and the unneeded ones go no further than this function.
        needed = context.needed[file.table] if _is_recording(context, file) else None
        reading = read_file(file.path, schema, place=file.place, needed=needed)
    except InputError as error:
        refused = Finding(
            table=file.table, file=file.place, code="file.refused", message=f"{error.cause}. {error.cure}"
        )
        return _outcome(file, stored=False, findings=[refused])
    findings = list(reading.findings)
    table = reading.table
    shard = _shard(context, file)
    if table is None:
        shard.unlink(missing_ok=True)
        return _outcome(file, stored=False, findings=findings, rows=reading.rows)
    findings += stowaway_findings(table, schema, place=file.place)
    if _is_recording(context, file):
        found, profile = check_and_profile(table, schema, place=file.place)
        findings += found
        for release in schema.releases:
            # Without its time column the reader has said so already.
            if release.window is not None and release.window.time in table.column_names:
                findings += time_findings(table, release.window, table=file.table, place=file.place)
    else:
        from sensai_release.table.pandera_gate import validate_with_pandera

        findings += validate_with_pandera(table, schema, place=file.place)
        profile = column_profile(table, schema)
    shard.parent.mkdir(mode=0o700, exist_ok=True)
    kept = _only_needed(table, schema, context.needed[file.table])
    with taking_place_of(shard) as temporary:
        (write_shard if _is_recording(context, file) else write_parquet)(kept, temporary)
        with temporary.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
    outcome = _outcome(file, stored=True, findings=findings, rows=reading.rows)
    outcome["sha256"] = digest
    outcome["profile"] = profile
    if _is_recording(context, file):
        window = next((release.window for release in schema.releases if release.window is not None), None)
        outcome["facts"] = recording_facts(table, window, profile)
        outcome["tenths"] = tenths(table, schema)
    outcome["read"] = reading.columns_read
    outcome["dropped"] = reading.columns_dropped
    return outcome


def _only_needed(table: pa.Table, schema: TableSchema, needed: frozenset[str]) -> pa.Table:
    specs = {name: schema.match(name) for name in table.column_names}
    key = schema.source.recording_key if schema.source is not None else None
    return table.select(
        [name for name, spec in specs.items() if name == key or (spec is not None and spec.label in needed)]
    )


def _outcome(file: SourceFile, *, stored: bool, findings: list[Finding], rows: int = 0) -> dict[str, Any]:
    return {
        "signature": file.signature,
        "stored": stored,
        "sha256": None,
        "rows": rows,
        "read": 0,
        "dropped": 0,
        "profile": [],
        "facts": {},
        "tenths": {},
        # The file's number can change when others come and go, so the place is put in again on each run.
        "findings": [replace(finding, file=None).to_dict() for finding in findings],
    }


def _is_recording(context: _Context, file: SourceFile) -> bool:
    source = context.schemas[file.table].source
    return source is not None and source.per_recording


def _shard(context: _Context, file: SourceFile) -> Path:
    if _is_recording(context, file):
        return context.folder / file.table / f"{file.unit}.arrow"
    return context.folder / f"{file.table}.parquet"


def _context_key(context: _Context) -> str:
    """Changes when anything but the source files would change a reading: schemas, needed columns, this program."""
    needed = [(name, sorted(columns)) for name, columns in context.needed.items()]
    text = repr((__version__, _INDEX_FORMAT, sorted(context.schemas.items()), needed))
    return hashlib.sha256(text.encode()).hexdigest()


def _load_index(workspace: Workspace, context: _Context) -> Mapping[str, Any]:
    try:
        index = read_json_object(workspace.validated / "index.json", "work/validated/index.json")
        units: Mapping[str, Any] = index["units"]
        # What is not as it was written, in any part, is not made sense of.
        if index["key"] == _context_key(context) and index["sha256"] == _digest(units):
            return units
    except (ReleaseFormatError, KeyError):
        pass  # a missing or torn index only means that every file is read again
    return {}


def _compact(document: Any) -> str:
    """JSON without indents: no person reads it, and they would take five times as long to write."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _digest(units: Any) -> str:
    return hashlib.sha256(_compact(units).encode()).hexdigest()


def _finish_folder(
    workspace: Workspace, context: _Context, files: list[SourceFile], outcomes: Mapping[str, Any]
) -> None:
    """Removes what no file stands behind any more and writes the index last, so that it never promises too much."""
    wanted = {_shard(context, file) for file in files if outcomes[file.unit]["stored"]}
    for name, found in _by_table(files).items():
        source = context.schemas[name].source
        if source is None or not source.per_recording:
            continue
        (workspace.validated / name).mkdir(mode=0o700, exist_ok=True)
        kept = [file for file in found if outcomes[file.unit]["stored"]]
        recordings = workspace.validated / name / RECORDINGS
        columns = {
            "unit": [file.unit for file in kept],
            "key": [file.path.stem for file in kept],
            "sha256": [outcomes[file.unit]["sha256"] for file in kept],
        }
        write_parquet(pa.table({column: pa.array(cells, pa.string()) for column, cells in columns.items()}), recordings)
        wanted.add(recordings)
    for path in sorted(workspace.validated.rglob("*")):
        if path.is_file() and path not in wanted:
            path.unlink()
    index = {"key": _context_key(context), "sha256": _digest(outcomes), "units": outcomes}
    write_text(workspace.validated / "index.json", _compact(index))
    # What DVC follows is one keyed digest of all that lies here: it would store the number of files, and beside the
    # number of released recordings that tells how many were left out.
    content = [(file.table, file.unit, outcomes[file.unit]["sha256"]) for file in files]
    state = hmac.new(workspace_secret(workspace), repr(sorted(content)).encode(), hashlib.sha256).hexdigest()
    write_json(workspace.work / "validated.json", {"state": state})


def _tables_for_rules(
    workspace: Workspace,
    schemas: SchemaSet,
    listed: Mapping[str, tuple[SourceFile, ...]],
    outcomes: Mapping[str, Any],
) -> dict[str, pa.Table]:
    """The single-file tables, and of a table with one file per recording its key column alone."""
    tables = {}
    for name, files in listed.items():
        source = schemas[name].source
        if source is None:
            continue
        if source.per_recording:
            if source.recording_key is not None:
                tables[name] = pa.table({source.recording_key: pa.array([f.path.stem for f in files], pa.string())})
        elif outcomes.get(files[0].unit, {}).get("stored"):
            tables[name] = read_parquet(workspace.validated / f"{name}.parquet")
    return tables


def _by_table(files: list[SourceFile]) -> dict[str, list[SourceFile]]:
    grouped: dict[str, list[SourceFile]] = {}
    for file in files:
        grouped.setdefault(file.table, []).append(file)
    return grouped


def _count(name: str, files: list[SourceFile], outcomes: Mapping[str, Any]) -> TableCount:
    found = [outcomes[file.unit] for file in files]
    return TableCount(
        table=name,
        files=len(found),
        rows=sum(outcome["rows"] for outcome in found),
        columns_read=max(outcome["read"] for outcome in found),
        columns_dropped=max(outcome["dropped"] for outcome in found),
    )
