"""The entries of the catalogue: loads the YAML files of this folder, and finds the one that speaks for a column.

Which tool wrote a table is for `signatures`; what becomes of a column is for its schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import PurePath
from typing import Any, Literal

from sensai_release.errors import ConfigurationError
from sensai_release.table.documents import check_document, parse_yaml
from sensai_release.table.schema import Dtype, IdentifiabilityClass, Role

COMMON = "clinical"
"""The file of names that any table may use; consulted after that of the tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """What is known of one column, or of all columns whose name the pattern matches in full.

    `layouts` limits it to some layouts of its tool (empty: all). Bounds are those of the definition, never of data.
    `statistics` are those that make sense in a window of frames; `advice` drop: nothing a user of a release needs.
    """

    tool: str
    dtype: Dtype
    idclass: IdentifiabilityClass
    role: Role
    description: str
    reason: str
    source: str
    name: str | None = None
    pattern: str | None = None
    layouts: tuple[str, ...] = ()
    versions: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    tier: Literal[1, 2] | None = None
    statistics: tuple[str, ...] = ()
    advice: Literal["drop"] | None = None
    ignore_case: bool = False

    @property
    def label(self) -> str:
        return self.name or self.pattern or "?"

    def matches(self, column: str) -> bool:
        if not self.ignore_case:
            return column == self.name if self.name is not None else bool(re.fullmatch(self.pattern or "", column))
        # Spreadsheets of people: `Year of birth`, `year-of-birth` and `year_of_birth` are one name.
        plain = re.sub(r"[\s.\-]+", "_", column.strip())
        return re.fullmatch(self.pattern or re.escape(self.name or ""), plain, re.IGNORECASE) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One form of a tool's table. `has` are patterns with the number of columns that must match, `lacks` those that
    none may; `per_recording`: one file a recording, its rows are frames; `time` and `valid` are columns of frames.
    """

    name: str
    title: str
    versions: str
    row: str
    per_recording: bool
    has: tuple[tuple[str, int], ...]
    lacks: tuple[str, ...] = ()
    time: str | None = None
    valid: str | None = None
    key_from_stem_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCatalogue:
    """One file of the catalogue. Without layouts it describes no tool, only names in common use."""

    tool: str
    title: str
    versions: str
    reader: Literal["delimited", "openface", "opensmile"]
    sources: Mapping[str, str]
    layouts: tuple[Layout, ...]
    columns: tuple[CatalogueEntry, ...]

    def match(self, column: str, layout: str | None = None) -> CatalogueEntry | None:
        """The entry for a column: an exact name before a pattern, patterns in their order.

        Entries limited to other layouts than `layout` are passed over.
        """
        return self.match_all((column,), layout)[0]

    def match_all(self, columns: Sequence[str], layout: str | None = None) -> tuple[CatalogueEntry | None, ...]:
        """`match` for many columns."""
        entries = [entry for entry in self.columns if not entry.layouts or layout in entry.layouts]
        entries.sort(key=lambda entry: entry.name is None)
        return tuple(next((entry for entry in entries if entry.matches(column)), None) for column in columns)


@lru_cache(maxsize=1)
def load_catalogue() -> Mapping[str, ToolCatalogue]:
    """The whole catalogue by tool, in the order of the names.

    Raises `ConfigurationError` when a file of the package breaks `catalogue.schema.json`.
    """
    folder = files("sensai_release.table.catalogue")
    schema = json.loads(folder.joinpath("catalogue.schema.json").read_text(encoding="utf-8"))
    found = {}
    for path in sorted(folder.iterdir(), key=lambda item: item.name):
        if path.name.endswith(".yaml"):
            found[PurePath(path.name).stem] = parse_tool(
                parse_yaml(path.read_text(encoding="utf-8"), path.name), schema, path.name
            )
    return found


def parse_tool(document: Any, json_schema: Mapping[str, Any], place: str) -> ToolCatalogue:
    """One document as a `ToolCatalogue`; raises `ConfigurationError` naming `place` and the path inside it."""
    check_document(document, json_schema, place)
    layouts = tuple(
        _layout(entry, f"{place}: layouts.{number}") for number, entry in enumerate(document.get("layouts", ()))
    )
    known = {layout.name for layout in layouts}
    columns = tuple(
        _entry(entry, document, known, f"{place}: columns.{n}") for n, entry in enumerate(document["columns"])
    )
    return ToolCatalogue(
        tool=document["tool"],
        title=document["title"],
        versions=document["versions"],
        reader=document["reader"],
        sources=document["sources"],
        layouts=layouts,
        columns=columns,
    )


def classify(column: str, tool: str | None = None, layout: str | None = None) -> CatalogueEntry | None:
    """What is known of a column: by the tool that wrote the table, else by names in common use; `None`: nothing."""
    catalogue = load_catalogue()
    found = catalogue[tool].match(column, layout) if tool is not None else None
    return found if found is not None else catalogue[COMMON].match(column)


def _layout(entry: Mapping[str, Any], place: str) -> Layout:
    has = tuple((_pattern(each["pattern"], place), int(each.get("at_least", 1))) for each in entry["has"])
    rest = {key: value for key, value in entry.items() if key not in ("layout", "has", "lacks")}
    lacks = tuple(_pattern(text, place) for text in entry.get("lacks", ()))
    return Layout(name=entry["layout"], has=has, lacks=lacks, **rest)


def _entry(entry: Mapping[str, Any], document: Mapping[str, Any], layouts: set[str], place: str) -> CatalogueEntry:
    if entry["source"] not in document["sources"]:
        raise ConfigurationError(
            f"{place}.source", "names no entry of 'sources'", f"Accepted: {', '.join(document['sources'])}."
        )
    unknown = sorted(set(entry.get("layouts", ())) - layouts)
    if unknown:
        raise ConfigurationError(
            f"{place}.layouts", "names no layout of the file", f"Accepted: {', '.join(sorted(layouts))}."
        )
    if "pattern" in entry:
        _pattern(entry["pattern"], place)
    rest = {key: value for key, value in entry.items() if key not in ("class", "layouts", "statistics", "source")}
    return CatalogueEntry(
        tool=document["tool"],
        idclass=entry["class"],
        source=document["sources"][entry["source"]],
        layouts=tuple(entry.get("layouts", ())),
        statistics=tuple(entry.get("statistics", ())),
        ignore_case=document.get("ignore_case", False),
        **rest,
    )


def _pattern(text: str, place: str) -> str:
    try:
        re.compile(text)
    except re.error:
        raise ConfigurationError(f"{place}.pattern", "is not a regular expression", "Mend the pattern.") from None
    return text
