"""The declared truth about every table: `schemas/<table>.yaml` and `schemas/hierarchies/<name>.yaml`.

Loads and checks the YAML files and answers "which entry speaks for this column?". It does not look at data:
`table.checks` does that. A column that no entry matches is for the caller to refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from sensai_release.errors import ConfigurationError
from sensai_release.table.documents import check_document, load_yaml

Dtype = Literal["string", "category", "integer", "number", "boolean", "date", "datetime"]
Role = Literal["direct_identifier", "quasi_identifier", "sensitive", "insensitive"]
IdentifiabilityClass = Literal["X", "A", "B", "C", "clinical", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """One transformation of one column: its name, the name of the column it makes, its parameters."""

    do: str
    output: str | None = None
    missing: Literal["keep", "refuse"] = "keep"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """A short, stable text for data dictionaries and reports, for example `bin(edges=[0, 5])`."""
        inside = ", ".join(f"{key}={self.parameters[key]}" for key in sorted(self.parameters))
        return f"{self.do}({inside})" if inside else self.do


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """What identifiers of one kind look like: `pattern` must match the whole canonical form (NFKC, trimmed, upper)."""

    kind: str
    prefix: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """Everything declared about one column, or about all columns whose name a pattern matches in full.

    `actions` maps `default`, a released table, or `<released table>@<profile>` to the actions taken there; several
    actions make several released columns. `step` means that values are whole multiples of it above `minimum`.
    """

    dtype: Dtype
    description: str
    role: Role
    idclass: IdentifiabilityClass
    actions: Mapping[str, tuple[ActionSpec, ...]]
    justification: str
    name: str | None = None
    pattern: str | None = None
    expression: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    categories: tuple[str, ...] = ()
    nullable: bool = False
    required: bool = True
    identifier: Identifier | None = None
    tier: Literal[1, 2] | None = None
    synthetic: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name or the pattern, for messages."""
        return self.name or self.pattern or "?"

    @property
    def is_derived(self) -> bool:
        return self.expression is not None

    def matches(self, column: str) -> bool:
        if self.is_derived:
            return False
        return column == self.name if self.name is not None else bool(re.fullmatch(self.pattern or "", column))

    def actions_for(self, released_table: str, profile: str) -> tuple[ActionSpec, ...] | None:
        """The most specific actions declared for a released table under a profile; `None` means: refuse."""
        for key in (f"{released_table}@{profile}", released_table, "default"):
            if key in self.actions:
                return self.actions[key]
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """Where a table comes from.

    `file` is a path below the source folder; with one `*` it stands for one file per recording, and then
    `recording_key` names the key column that the file's stem gives. `key_from_stem_of` names a column of paths whose
    stem gives `recording_key` (openSMILE's `file`). `read` false: the files are claimed, but never opened.
    `dictionary` is REDCap's data dictionary of the table; what it marks as an identifier is not released as it is.
    """

    file: str
    reader: Literal["delimited", "openface", "opensmile"]
    row: str
    optional: bool = False
    recording_key: str | None = None
    key_from_stem_of: str | None = None
    read: bool = True
    dictionary: str | None = None

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
class Hierarchy:
    """Ever coarser forms of a column; above the last level stands `*` (everything in one class), always.

    `intervals`: each level is a sorted list of inner cut points; a value v falls in the interval [a, b).
    `categories`: `table` maps each source value to its label at every level, finest first.
    """

    name: str
    kind: Literal["intervals", "categories"]
    level_names: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...] = ()
    table: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """The number of levels, the top `*` included."""
        return len(self.level_names) + 1


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
        hierarchy = _hierarchy(load_yaml(path, f"schemas/hierarchies/{path.name}"), path)
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
    columns = tuple(_column(entry, f"{place}: columns.{index}") for index, entry in enumerate(document["columns"]))
    labels = [column.label for column in columns]
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    if doubled:
        raise ConfigurationError(place, f"describes {', '.join(doubled)} more than once", "Keep one entry each.")
    source = document.get("source")
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


def _column(entry: Mapping[str, Any], place: str) -> ColumnSpec:
    if "pattern" in entry:
        try:
            re.compile(entry["pattern"])
        except re.error:
            raise ConfigurationError(f"{place}.pattern", "is not a regular expression", "Mend the pattern.") from None
    derive = entry.get("derive")
    identifier = entry.get("identifier")
    return ColumnSpec(
        name=derive["name"] if derive else entry.get("name"),
        pattern=entry.get("pattern"),
        expression=derive["expression"] if derive else None,
        dtype=entry["dtype"],
        unit=entry.get("unit"),
        minimum=entry.get("minimum"),
        maximum=entry.get("maximum"),
        step=entry.get("step"),
        categories=tuple(entry.get("categories", ())),
        nullable=entry.get("nullable", False),
        required=entry.get("required", "pattern" not in entry),
        identifier=Identifier(**identifier) if identifier else None,
        description=entry["description"],
        role=entry["role"],
        tier=entry.get("tier"),
        idclass=entry["class"],
        actions=_actions(entry["action"]),
        justification=entry["justification"],
        synthetic=entry.get("synthetic", {}),
    )


def _actions(entry: Any) -> dict[str, tuple[ActionSpec, ...]]:
    if isinstance(entry, (str, list)) or "do" in entry:
        return {"default": _action_list(entry)}
    return {key: _action_list(value) for key, value in entry.items()}


def _action_list(entry: Any) -> tuple[ActionSpec, ...]:
    if isinstance(entry, list):
        return tuple(spec for item in entry for spec in _action_list(item))
    if isinstance(entry, str):
        return (ActionSpec(do=entry),)
    parameters = {key: value for key, value in entry.items() if key not in ("do", "as", "missing")}
    return (
        ActionSpec(do=entry["do"], output=entry.get("as"), missing=entry.get("missing", "keep"), parameters=parameters),
    )


def _hierarchy(document: Any, path: Path) -> Hierarchy:
    place = f"schemas/hierarchies/{path.name}"
    check_document(document, _HIERARCHY_JSON_SCHEMA, place)
    if document["hierarchy"] != path.stem:
        raise ConfigurationError(place, "the entry 'hierarchy' differs from the file name", "Give both the same name.")
    names = tuple(level["name"] for level in document["levels"])
    if document["kind"] == "intervals":
        edges = tuple(tuple(float(edge) for edge in level.get("edges", ())) for level in document["levels"])
        for index, level in enumerate(edges):
            if list(level) != sorted(set(level)) or not level:
                raise ConfigurationError(f"{place}: levels.{index}.edges", "must rise strictly", "Sort the cut points.")
            # Coarser cut points that are not also finer ones would cut intervals apart: not a hierarchy.
            if index and not set(level) <= set(edges[index - 1]):
                raise ConfigurationError(
                    f"{place}: levels.{index}.edges",
                    "has cut points that the level before lacks",
                    "Keep only cut points of the finer level.",
                )
        return Hierarchy(name=path.stem, kind="intervals", level_names=names, edges=edges)
    table = {str(value): tuple(map(str, labels)) for value, labels in document.get("values", {}).items()}
    for value_number, labels in enumerate(table.values(), start=1):
        if len(labels) != len(names):
            raise ConfigurationError(
                f"{place}: values, entry {value_number}",
                f"has {len(labels)} labels for {len(names)} levels",
                "Give one label for each level.",
            )
    for depth in range(1, len(names)):
        parents: dict[str, str] = {}
        for labels in table.values():
            if parents.setdefault(labels[depth - 1], labels[depth]) != labels[depth]:
                raise ConfigurationError(
                    f"{place}: level {names[depth]}",
                    "puts one class of the finer level into two classes",
                    "Give every finer class one coarser class.",
                )
    return Hierarchy(name=path.stem, kind="categories", level_names=names, table=table)


_HIERARCHY_JSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["hierarchy", "kind", "description", "levels"],
    "properties": {
        "hierarchy": {"type": "string"},
        "description": {"type": "string"},
        "kind": {"enum": ["intervals", "categories"]},
        "levels": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "edges": {"type": "array", "items": {"type": "number"}},
                },
            },
        },
        "values": {
            "type": "object",
            "additionalProperties": {"type": "array", "minItems": 1, "items": {"type": "string"}},
        },
    },
}


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
