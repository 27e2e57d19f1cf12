"""The declared truth about every table: `schemas/<table>.yaml` and `schemas/hierarchies/<name>.yaml`.

Loads and checks the YAML files and answers "which entry speaks for this column?". Words about one column are in
`columns`, coarser forms in `hierarchies`; ranges and units that a schema leaves to the catalogue of known columns are
filled in here. It does not look at data: `table.checks` does that. A column that no entry matches is for the caller to
refuse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from sensai_release.errors import ConfigurationError
from sensai_release.table.catalogue.ranges import in_force, tool_of
from sensai_release.table.columns import (
    ActionSpec,
    ColumnSpec,
    Dtype,
    IdentifiabilityClass,
    Identifier,
    Role,
    parse_column,
)
from sensai_release.table.documents import check_document, load_yaml
from sensai_release.table.hierarchies import Hierarchy, load_hierarchy

__all__ = [
    "ActionSpec",
    "ColumnSpec",
    "Dtype",
    "ForeignKey",
    "Hierarchy",
    "IdentifiabilityClass",
    "Identifier",
    "ReleaseSpec",
    "Role",
    "SchemaSet",
    "SourceSpec",
    "TableSchema",
    "WindowSpec",
    "load_schemas",
    "parse_table",
    "released_tables",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """Where a table comes from.

    `file` is a path below the source folder; with one `*` it stands for one file per recording, and then
    `recording_key` names the key column that the file's stem gives. `key_from_stem_of` names a column of paths whose
    stem gives `recording_key` (openSMILE's `file`). `read` false: the files are claimed, but never opened.
    `dictionary` is REDCap's data dictionary of the table; what it marks as an identifier is not released as it is.
    `tool` names the file of the catalogue that speaks for the columns, where the reader does not tell it.
    """

    file: str
    reader: Literal["delimited", "openface", "opensmile"]
    row: str
    optional: bool = False
    recording_key: str | None = None
    key_from_stem_of: str | None = None
    read: bool = True
    dictionary: str | None = None
    tool: str | None = None

    @property
    def per_recording(self) -> bool:
        return "*" in self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    column: str
    table: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpec:
    """Windows of `seconds` over the column `time`; rows where `valid` is not 1 are left out, and a window with a
    smaller share of valid rows than `minimum_valid` has missing statistics.
    """

    seconds: float
    time: str
    valid: str | None = None
    minimum_valid: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSpec:
    """One released table made from this source table, and the profiles in which it is released."""

    table: str
    profiles: tuple[str, ...]
    title: str
    description: str
    window: WindowSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """`schemas/<table>.yaml`, checked."""

    name: str
    title: str
    description: str
    columns: tuple[ColumnSpec, ...]
    source: SourceSpec | None = None
    generated: str | None = None
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    rules: tuple[Mapping[str, Any], ...] = ()
    releases: tuple[ReleaseSpec, ...] = ()

    def match(self, column: str) -> ColumnSpec | None:
        """The entry that speaks for a source column: an exact name before a pattern, patterns in their order."""
        by_pattern: ColumnSpec | None = None
        for spec in self.columns:
            if spec.name == column and not spec.is_derived:
                return spec
            if by_pattern is None and spec.pattern is not None and spec.matches(column):
                by_pattern = spec
        return by_pattern

    def named(self, column: str) -> ColumnSpec:
        """The entry for a column that the schema itself refers to. Raises `KeyError` when there is none."""
        for spec in self.columns:
            if spec.name == column:
                return spec
        found = self.match(column)
        if found is None:
            raise KeyError(column)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaSet(Mapping[str, TableSchema]):
    """All tables of a workspace, by name, with the hierarchies that they use."""

    tables: Mapping[str, TableSchema]
    hierarchies: Mapping[str, Hierarchy]

    def __getitem__(self, name: str) -> TableSchema:
        return self.tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)


@lru_cache(maxsize=1)
def _table_json_schema() -> dict[str, Any]:
    text = files("sensai_release.table").joinpath("table.schema.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def load_schemas(folder: Path) -> SchemaSet:
    """All `*.yaml` of a workspace's `schemas/` and `schemas/hierarchies/`.

    Raises `ConfigurationError` naming the file and the path inside it when one is malformed, when two files
    describe the same table or release the same table, or when a reference leads nowhere.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise ConfigurationError("schemas/", "holds no table schema (*.yaml)", "Make a workspace with 'init'.")
    hierarchies = {}
    for path in sorted((folder / "hierarchies").glob("*.yaml")):
        hierarchy = load_hierarchy(path)
        hierarchies[hierarchy.name] = hierarchy
    tables: dict[str, TableSchema] = {}
    for path in paths:
        place = f"schemas/{path.name}"
        document = load_yaml(path, place)
        check_document(document, _table_json_schema(), place)
        table = parse_table(document, place)
        if table.name != path.stem:
            raise ConfigurationError(place, "the entry 'table' differs from the file name", "Give both the same name.")
        tables[table.name] = table
    schemas = SchemaSet(tables=tables, hierarchies=hierarchies)
    _check_references(schemas)
    return schemas


def parse_table(document: Mapping[str, Any], place: str) -> TableSchema:
    """A checked document as a `TableSchema`; raises `ConfigurationError` for what JSON Schema cannot say."""
    source = document.get("source")
    tool = tool_of(source, f"{place}: source.tool") if source else None
    columns = tuple(
        in_force(parse_column(entry, at), tool=tool, reference=entry.get("catalogue"), place=at)
        for entry, at in ((entry, f"{place}: columns.{index}") for index, entry in enumerate(document["columns"]))
    )
    labels = [column.label for column in columns]
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    if doubled:
        raise ConfigurationError(place, f"describes {', '.join(doubled)} more than once", "Keep one entry each.")
    return TableSchema(
        name=document["table"],
        title=document["title"],
        description=document["description"],
        columns=columns,
        source=SourceSpec(**source) if source else None,
        generated=document.get("generated"),
        primary_key=tuple(document.get("primary_key", ())),
        foreign_keys=tuple(
            ForeignKey(column=entry["column"], table=table, key=key)
            for entry in document.get("foreign_keys", ())
            for table, key in [entry["references"].split(".")]
        ),
        rules=tuple(document.get("rules", ())),
        releases=tuple(
            ReleaseSpec(
                table=name,
                profiles=tuple(entry["profiles"]),
                title=entry.get("title", document["title"]),
                description=entry.get("description", document["description"]),
                window=WindowSpec(**entry["window"]) if "window" in entry else None,
            )
            for name, entry in document.get("release", {}).items()
        ),
    )


def _check_references(schemas: SchemaSet) -> None:
    released: dict[str, str] = {}
    for table in schemas.values():
        place = f"schemas/{table.name}.yaml"
        for release in table.releases:
            other = released.setdefault(release.table, table.name)
            if other != table.name:
                raise ConfigurationError(place, f"releases '{release.table}', as {other}.yaml does", "Rename one.")
        for key in table.foreign_keys:
            if key.table not in schemas or key.key not in schemas[key.table].primary_key:
                raise ConfigurationError(
                    place, f"refers to {key.table}.{key.key}, which is no primary key", "Mend 'foreign_keys'."
                )
        names = {column.name for column in table.columns}
        for name in (*table.primary_key, *(key.column for key in table.foreign_keys)):
            if name not in names:
                raise ConfigurationError(place, f"has no column '{name}' for its key", "Describe the column.")
        _check_actions(schemas, table, place)


def _check_actions(schemas: SchemaSet, table: TableSchema, place: str) -> None:
    released = {release.table for release in table.releases}
    for column in table.columns:
        where = f"{place}: {column.label}"
        for key, actions in column.actions.items():
            target = key.split("@")[0]
            if target != "default" and target not in released:
                raise ConfigurationError(
                    where,
                    f"has an action for '{target}', which this table does not release",
                    f"Accepted: {', '.join(sorted(released)) or 'default'}.",
                )
            for action in actions:
                name = action.parameters.get("hierarchy")
                if name is not None and name not in schemas.hierarchies:
                    raise ConfigurationError(
                        where,
                        f"uses the hierarchy '{name}', which is not there",
                        f"Accepted: {', '.join(sorted(schemas.hierarchies)) or 'none yet'}.",
                    )
        if column.idclass == "X" and any(
            action.do not in ("drop", "pseudonymise", "ordinal", "relative_day")
            for actions in column.actions.values()
            for action in actions
        ):
            raise ConfigurationError(where, "is of class X and must never leave", "Give it the action drop.")


def released_tables(schemas: SchemaSet, profile: str) -> Sequence[tuple[TableSchema, ReleaseSpec]]:
    """The tables released under a profile, with the source table of each, by name of the released table."""
    found = [(table, spec) for table in schemas.values() for spec in table.releases if profile in spec.profiles]
    return sorted(found, key=lambda pair: pair[1].table)
