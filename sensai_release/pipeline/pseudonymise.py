"""`pseudonymise`: from validated tables to tables that know pseudonyms only, of the persons who may be released.

Reads work/validated/, writes work/pseudonymised/. Recordings hold no identifier but their name, so they are linked
under their pseudonym, not written again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError, InputError, KeyFileError
from sensai_release.governance.consent import ConsentRule, Inclusion, included_persons
from sensai_release.pipeline.trusting import key_path
from sensai_release.pipeline.validate import RECORDINGS
from sensai_release.pipeline.workspace import Params, Workspace, earlier_releases, fresh_folder, write_json
from sensai_release.privacy.keyfile import RootKey, load_root_key
from sensai_release.privacy.keys import check_value
from sensai_release.privacy.persons import refuse_tables_without_persons
from sensai_release.privacy.pseudonyms import Pseudonymiser
from sensai_release.release.layout import MANIFEST
from sensai_release.release.tables import read_json_object
from sensai_release.table.schema import Identifier, SchemaSet, TableSchema
from sensai_release.table.store import read_parquet, write_parquet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """One identifier column of one table, with the raw values found in it."""

    table: str
    column: str
    identifier: Identifier
    values: pa.ChunkedArray


def note_key(workspace: Workspace) -> None:
    """Writes work/key.json, which key pseudonyms are made with: another key makes other pseudonyms, so DVC must see it.

    Without a usable key the note stays as it was; the stage that needs the key says what is wrong with it.
    """
    note = workspace.work / "key.json"
    try:
        write_json(note, key_facts(workspace, load_root()))
    except KeyFileError:
        if not note.exists():
            write_json(note, {"id": None})


def key_facts(workspace: Workspace, root: RootKey) -> dict[str, str]:
    """What a manifest says of the key: its random id, and a check value that tells nothing about it."""
    params = workspace.params
    return {"id": root.key_id, "check_value": check_value(root, str(params.study["id"]), params.series)}


def load_root() -> RootKey:
    """The study's root key. Raises `KeyFileError` when it is missing or unsafe; nothing is read before it is there."""
    return load_root_key(key_path("root", None))


def refuse_other_pseudonyms(workspace: Workspace) -> None:
    """Raises `ConfigurationError` when the pseudonyms would not be those of the last release of the series.

    Raises `KeyFileError` without a usable root key, even if nothing is left to be done with it: whoever learns of a
    damaged key only when the source has changed may have no good copy of it any more.
    """
    _refuse_other_pseudonyms(workspace, load_root())


def pseudonymise(workspace: Workspace) -> dict[str, int | str]:
    """Returns the number of persons left out, by reason, masked.

    Raises `KeyFileError` for a missing or unsafe root key, `ConfigurationError` for one that would give everybody
    another pseudonym within a series and for a table that leads to no person, `IdentifierError` for identifiers that
    cannot be trusted, and `InputError` when nobody is there or nobody may be released. An empty table beside persons is
    no error: it is released with its columns and no row.
    """
    params = workspace.params
    schemas = workspace.schemas
    root = load_root()
    _refuse_other_pseudonyms(workspace, root)
    pseudonymiser = Pseudonymiser(root, str(params.study["id"]), params.series)
    refuse_tables_without_persons(schemas, params.links)
    tables, recordings = _read_validated(workspace)
    if params.person_table in tables:
        _refuse_nobody(schemas[params.person_table], tables[params.person_table], "holds no person: it has no row")
    keys = list(_keys(schemas, tables, recordings))
    mappings = _mappings(pseudonymiser, keys)
    for key in keys:
        pseudonyms = pseudonymiser.replace(key.values, mappings[key.identifier.kind], f"{key.table}.{key.column}")
        held = recordings if key.table in recordings else tables
        table = held[key.table]
        name = "key" if key.table in recordings else key.column
        held[key.table] = table.set_column(table.column_names.index(name), name, pseudonyms)
    inclusion = _inclusion(params, tables)
    _refuse_nobody(schemas[params.raw["consent"]["table"]], inclusion.persons, "lets nobody be released")
    sessions = _sessions_of(params, tables, inclusion.persons)
    state = hashlib.sha256()
    with fresh_folder(workspace.pseudonymised) as folder:
        for name, table in tables.items():
            if not schemas[name].releases:
                continue
            path = folder / f"{name}.parquet"
            write_parquet(_keep(table, params, inclusion.persons, sessions), path)
            state.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        for name, table in recordings.items():
            kept = table.filter(pc.is_in(table["key"], value_set=sessions)).sort_by("key")
            _link(kept, workspace.validated / name, folder / name)
            for key, digest in zip(kept["key"].to_pylist(), kept["sha256"].to_pylist(), strict=True):
                state.update(f"{name}\0{key}\0{digest}\n".encode())
    excluded = inclusion.counts(params.masking_minimum)
    write_json(
        workspace.work / "pseudonymised.json",
        {
            "state": state.hexdigest(),
            "persons": len(inclusion.persons),
            "excluded": excluded,
            "key": key_facts(workspace, root),
        },
    )
    return excluded


def mappings_of(workspace: Workspace, pseudonymiser: Pseudonymiser) -> dict[str, pa.Table]:
    """The tables `raw`, `pseudonym` of every kind of identifier that was validated, consent or not."""
    return _mappings(pseudonymiser, list(_keys(workspace.schemas, *_read_validated(workspace))))


def _refuse_other_pseudonyms(workspace: Workspace, root: RootKey) -> None:
    earlier = earlier_releases(workspace)
    if not earlier:
        return
    _, last = earlier[-1]
    manifest = read_json_object(last / MANIFEST, f"releases/{last.name}/{MANIFEST}")
    before, now = manifest.get("predicate", {}).get("pseudonym_key"), key_facts(workspace, root)
    if before == now:
        return
    if not isinstance(before, dict) or before.get("id") != now["id"]:
        old = before.get("id") if isinstance(before, dict) else "unknown"
        cause = f"is {now['id']}, but {last.name} was made with {old}: everybody would get a new pseudonym"
        cure = "Put that key back, or start a new series: change 'series' in params.yaml."
        raise ConfigurationError("the root key", cause, cure)
    raise ConfigurationError(
        "params.yaml: study.id",
        f"or the root key is not the one of {last.name}: everybody would get a new pseudonym",
        "Put it back, or start a new series: change 'series' in params.yaml.",
    )


def _read_validated(workspace: Workspace) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """The validated tables by name, and the lists of recordings by the name of their table."""
    sources = {name: schema.source for name, schema in workspace.schemas.items() if schema.source is not None}
    tables = {
        name: read_parquet(workspace.validated / f"{name}.parquet")
        for name, source in sources.items()
        if not source.per_recording and (workspace.validated / f"{name}.parquet").exists()
    }
    recordings = {
        name: read_parquet(workspace.validated / name / RECORDINGS)
        for name, source in sources.items()
        if source.per_recording and (workspace.validated / name).is_dir()
    }
    return tables, recordings


def _keys(schemas: SchemaSet, tables: Mapping[str, pa.Table], recordings: Mapping[str, pa.Table]) -> Iterator[_Key]:
    """Every identifier column of every table, the tables that own a kind of identifier first."""
    for name, table in tables.items():
        for column in table.column_names:
            spec = schemas[name].match(column)
            identifier = spec.identifier if spec is not None else None
            source = schemas[name].source
            if identifier is None and source is not None and column == source.recording_key:
                identifier = _identifier_of(schemas, column)
            if identifier is not None:
                yield _Key(table=name, column=column, identifier=identifier, values=table[column])
    for name, table in recordings.items():
        source = schemas[name].source
        if source is None or source.recording_key is None:
            raise ConfigurationError(
                f"schemas/{name}.yaml: source", "has one file per recording but no 'recording_key'", "Name the key."
            )
        yield _Key(
            table=name,
            column=source.recording_key,
            identifier=_identifier_of(schemas, source.recording_key),
            values=table["key"],
        )


def _identifier_of(schemas: SchemaSet, column: str) -> Identifier:
    """What identifiers of a key column look like, as declared where it is a table's primary key."""
    for schema in schemas.values():
        if schema.primary_key == (column,) and (identifier := schema.named(column).identifier):
            return identifier
    raise ConfigurationError(
        f"schemas: {column}",
        "is the key of recordings, but no table declares it as its identifier",
        "Give the table whose primary key it is an 'identifier' entry.",
    )


def _mappings(pseudonymiser: Pseudonymiser, keys: list[_Key]) -> dict[str, pa.Table]:
    """One mapping per kind, over the identifiers of all tables at once, so that no two spellings pass as two people."""
    mappings = {}
    for kind in dict.fromkeys(key.identifier.kind for key in keys):
        of_kind = [key for key in keys if key.identifier.kind == kind]
        chunks = [chunk for key in of_kind for chunk in key.values.chunks]
        place = f"the {kind} identifiers of all tables together"
        mappings[kind] = pseudonymiser.table_for(pa.chunked_array(chunks, pa.string()), of_kind[0].identifier, place)
    return mappings


def _inclusion(params: Params, tables: Mapping[str, pa.Table]) -> Inclusion:
    entry = params.raw["consent"]
    for role, name in (("consent", entry["table"]), ("persons", params.person_table)):
        if name not in tables:
            raise ConfigurationError(
                f"params.yaml: {role}", f"needs the table {name}, which was not validated", "Run 'validate' first."
            )
    return included_persons(tables[params.person_table][params.person_key], tables[entry["table"]], _rule(entry))


def _refuse_nobody(schema: TableSchema, rows: pa.Table | pa.Array, cause: str) -> None:
    """Raises `InputError` for a table, or for what it leaves, without a row: there would be nobody to release."""
    if len(rows):
        return
    file = schema.source.file if schema.source is not None else schema.name
    cure = "Fill it, or mend 'persons' in params.yaml."
    if "released" in cause:
        cure = "Wait for consent, or mend 'consent' in params.yaml: 'grant' must name the column and the text of a yes."
    raise InputError(f"the source folder: {file} (table {schema.name})", cause, cure)


def _rule(entry: Mapping[str, Any]) -> ConsentRule:
    return ConsentRule(
        person=entry["person"],
        grant_column=entry["grant"]["column"],
        grant_value=entry["grant"]["equals"],
        withdrawn_column=entry["withdrawn"],
    )


def consent_of(workspace: Workspace) -> tuple[pa.Table, ConsentRule]:
    """The validated consent ledger, under raw identifiers, and how it says yes."""
    entry = workspace.params.raw["consent"]
    return read_parquet(workspace.validated / f"{entry['table']}.parquet"), _rule(entry)


def _sessions_of(params: Params, tables: Mapping[str, pa.Table], persons: pa.Array) -> pa.Array:
    sessions = tables[params.session_table]
    person = params.raw["sessions"]["person"]
    return sessions.filter(pc.is_in(sessions[person], value_set=persons))[params.session_key].combine_chunks()


def _keep(table: pa.Table, params: Params, persons: pa.Array, sessions: pa.Array) -> pa.Table:
    """The rows of included persons."""
    if params.person_key in table.column_names:
        return table.filter(pc.is_in(table[params.person_key], value_set=persons))
    return table.filter(pc.is_in(table[params.session_key], value_set=sessions))


def _link(recordings: pa.Table, source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for unit, pseudonym in zip(recordings["unit"].to_pylist(), recordings["key"].to_pylist(), strict=True):
        shard = source / f"{unit}.arrow"
        link = target / f"{pseudonym}.arrow"
        try:
            os.link(shard, link)
        except OSError:  # a file system without hard links
            shutil.copyfile(shard, link)
