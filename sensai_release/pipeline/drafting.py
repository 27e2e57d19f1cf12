"""`schema draft`: profiles a file of the steward and writes a first schema for it, with no value in it.

Chooses the place, writes, and masks counts for the screen. What a column is said to be comes from `table.draft`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sensai_release.errors import ConfigurationError, InputError, OutputExistsError
from sensai_release.pipeline.workspace import Workspace
from sensai_release.privacy.masking import MINIMUM, masked
from sensai_release.table.documents import check_document, parse_yaml
from sensai_release.table.draft import Draft, DraftEntry, KnownKey, draft_schema
from sensai_release.table.profiling import profile_file
from sensai_release.table.schema import SchemaSet, parse_table

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SUFFIXES = (".csv", ".tsv", ".txt", ".arff", ".parquet", ".xlsx")
_PLACE = "the file to draft from"
_HEADER = """\
# Drafted by 'schema draft'. Nothing here has been decided: read every entry.
# Known columns follow the catalogue (docs/catalogue.md). A column of class `undecided` stops every build until a person
# has set its class, role and action, and said why. Keys, foreign keys and the place of the files are guesses.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftOutcome:
    """What was written, and where; `document` is fit to be shown: its counts are masked."""

    path: Path
    document: Mapping[str, Any]


def draft(root: Path, file: Path, *, table: str, output: Path | None = None) -> DraftOutcome:
    """Profiles `file` and writes `schemas/<table>.yaml` of the workspace `root`, or `output`, which needs none.

    Raises `ConfigurationError` for a table name that cannot be one, `InputError` for a file that cannot be profiled,
    `OutputExistsError` when the schema is already there.
    """
    if not _NAME.fullmatch(table):
        raise ConfigurationError(
            "--table", "is no name of a table", "Use lower-case letters, digits and underscores, a letter first."
        )
    workspace = Workspace(root=root) if output is None or (root / "params.yaml").is_file() else None
    target = output if output is not None else root / "schemas" / f"{table}.yaml"
    if not file.exists():
        raise InputError(_PLACE, "is not there", "Give its path as it is from here, such as data/source/NAME.csv.")
    # Looked at before the long work; the exclusive creation below is what counts.
    if target.exists() or target.is_symlink():
        raise _exists(target)
    minimum = workspace.params.masking_minimum if workspace is not None else MINIMUM
    keys = _known_keys(workspace.schemas, table) if workspace is not None else {}
    found = draft_schema(
        profile_file(file, place=_PLACE),
        table=table,
        suffix=file.suffix.lower() if file.suffix.lower() in _SUFFIXES else ".csv",
        profiles=tuple(workspace.params.raw["profiles"]) if workspace is not None else ("controlled",),
        keys=keys,
        session_key=workspace.params.session_key if workspace is not None else None,
    )
    text = render(found)
    _write_new(target, text)
    return DraftOutcome(path=target, document=_summary(found, table, minimum))


def render(found: Draft) -> str:
    """The draft as YAML text that reads back as itself and passes the JSON Schema of tables."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """One line for small mappings and lists, one line an entry for the rest, as people write schemas."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - the base's
            super().increase_indent(flow, False)

    def small(dumper: yaml.SafeDumper, value: _OneLine) -> yaml.Node:
        return dumper.represent_mapping("tag:yaml.org,2002:map", value.content.items(), flow_style=True)

    def words(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
        plain = all(isinstance(item, str) for item in value)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=plain)

    Dumper.add_representer(_OneLine, small)
    Dumper.add_representer(list, words)
    body = yaml.dump(_folded(found.document), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=116)
    text = _HEADER + body
    schema = json.loads(files("sensai_release.table").joinpath("table.schema.json").read_text(encoding="utf-8"))
    document = parse_yaml(text, "the draft")
    check_document(document, schema, "the draft")
    parse_table(document, "the draft")
    return text


@dataclass(frozen=True, slots=True)
class _OneLine:
    """A mapping to be written on one line."""

    content: Mapping[str, Any]


def _folded(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the small mappings marked that people write on one line."""
    return {name: _folded_entry(name, value) for name, value in document.items()}


def _folded_entry(name: str, value: Any) -> Any:
    if name in ("source", "identifier", "action", "window") and isinstance(value, Mapping):
        return _OneLine(value)
    if name == "foreign_keys":
        return [_OneLine(entry) for entry in value]
    if isinstance(value, Mapping):
        return _folded(value)
    return (
        [_folded(entry) if isinstance(entry, Mapping) else entry for entry in value]
        if isinstance(value, list)
        else value
    )


def _known_keys(schemas: SchemaSet, table: str) -> dict[str, KnownKey]:
    """The single keys with an identifier of the workspace's tables; a key's own table before one that refers to it."""
    found: dict[str, KnownKey] = {}
    for schema in schemas.values():
        referring = {key.column for key in schema.foreign_keys}
        if schema.name == table or len(schema.primary_key) != 1 or schema.primary_key[0] in referring:
            continue
        name = schema.primary_key[0]
        spec = schema.named(name)
        if spec.identifier is not None:
            found.setdefault(name, KnownKey(spec=spec, references=f"{schema.name}.{name}"))
    return found


def _write_new(path: Path, text: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        raise ConfigurationError(path.name, "cannot be written there", "Choose a folder that is there.") from None
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)


def _exists(path: Path) -> OutputExistsError:
    return OutputExistsError(
        path.name, "is already there", "Choose another --table or --output; nothing is overwritten."
    )


def _summary(found: Draft, table: str, minimum: int) -> dict[str, Any]:
    match = found.match
    return {
        "ok": True,
        "table": table,
        "tool": match.describe if match is not None else None,
        "rows": masked(found.rows, minimum),
        "columns": sum(len(entry.columns) for entry in found.entries),
        "undecided": found.undecided,
        "entries": [_entry(entry, minimum) for entry in found.entries],
    }


def _entry(entry: DraftEntry, minimum: int) -> dict[str, Any]:
    action = entry.document["action"]
    return {
        "entry": entry.label,
        "column": entry.columns[0].name if entry.columns else entry.label,
        "columns": len(entry.columns),
        "type": entry.document["dtype"],
        "missing": masked(sum(column.missing for column in entry.columns), minimum),
        "distinct": masked(entry.columns[0].distinct, minimum) if len(entry.columns) == 1 else None,
        "out_of_range": None if entry.outside is None else masked(entry.outside, minimum),
        "known_as": entry.known_as,
        "class": entry.document["class"],
        "action": action if isinstance(action, str) else action["do"],
    }
