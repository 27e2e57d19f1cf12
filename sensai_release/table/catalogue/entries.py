"""The entries of the catalogue: loads the YAML files of this folder, and finds the one that speaks for a column.

Which tool wrote a table is for `signatures`; what becomes of a column is for its schema.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import PurePath
from typing import Any, Literal

from sensai_release.errors import ConfigurationError
from sensai_release.table.columns import Dtype, IdentifiabilityClass, Role, range_text
from sensai_release.table.documents import check_document, parse_yaml

COMMON = ("clinical", "instruments")
"""The files of names that any table may use; consulted after that of the tool, in this order."""


_FOLDER = "sensai_release.table.catalogue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where meanings and ranges come from: a work with its address, and what of it was read when the entries were made.

    `page`: itself (a stored copy); `abstract`: the beginning of a paper; `quoted`: others who cite it; `unseen`: none.
    """

    cite: str
    opened: Literal["page", "abstract", "quoted", "unseen"]


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

    @property
    def range_text(self) -> str:
        """The range with its unit, for messages."""
        return range_text(self.minimum, self.maximum, self.step, self.unit)

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
    sources: Mapping[str, Source]
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

    def of_one_range(self, column: str) -> CatalogueEntry | None:
        """The entry for a column, whatever the layout; `None` when layouts give it different ranges or units."""
        layouts: list[str | None] = [layout.name for layout in self.layouts]
        return _if_one_range([self.match(column, layout) for layout in layouts or [None]])

    def of_pattern(self, pattern: str) -> CatalogueEntry | None:
        """`of_one_range` for all columns of a pattern that stands here word for word."""
        return _if_one_range([entry for entry in self.columns if entry.pattern == pattern])


@lru_cache(maxsize=1)
def catalogue_names() -> tuple[str, ...]:
    """The files of the catalogue, without their suffix, in the order of the names."""
    names = (path.name for path in files(_FOLDER).iterdir())
    return tuple(sorted(PurePath(name).stem for name in names if name.endswith(".yaml")))


@lru_cache(maxsize=1)
def catalogue_digest() -> str:
    """SHA-256 of the catalogue's files: what was checked and released under other ranges has to be made anew."""
    state = hashlib.sha256()
    for name in catalogue_names():
        state.update(f"{name}\0{hashlib.sha256(_text(f'{name}.yaml').encode()).hexdigest()}\n".encode())
    return state.hexdigest()


def load_catalogue() -> Mapping[str, ToolCatalogue]:
    """The whole catalogue by tool, in the order of the names. Raises as `load_tool`."""
    return {name: load_tool(name) for name in catalogue_names()}


@lru_cache
def load_tool(name: str) -> ToolCatalogue:
    """One file of the catalogue. Raises `ConfigurationError` when it breaks `catalogue.schema.json`."""
    place = f"{name}.yaml"
    return parse_tool(parse_yaml(_text(place), place), _json_schema(), place)


@lru_cache(maxsize=1)
def _json_schema() -> Mapping[str, Any]:
    document: dict[str, Any] = json.loads(_text("catalogue.schema.json"))
    return document


def _text(name: str) -> str:
    return files(_FOLDER).joinpath(name).read_text(encoding="utf-8")


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
        sources={name: Source(**entry) for name, entry in document["sources"].items()},
        layouts=layouts,
        columns=columns,
    )


def classify(column: str, tool: str | None = None, layout: str | None = None) -> CatalogueEntry | None:
    """What is known of a column: by the tool that wrote the table, else by names in common use; `None`: nothing."""
    found = load_tool(tool).match(column, layout) if tool is not None else None
    for name in COMMON:
        found = found if found is not None else load_tool(name).match(column)
    return found


def _if_one_range(entries: Sequence[CatalogueEntry | None]) -> CatalogueEntry | None:
    known = [entry for entry in entries if entry is not None]
    ranges = {(entry.unit, entry.minimum, entry.maximum, entry.step) for entry in known}
    return known[0] if len(ranges) == 1 else None


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
        source=document["sources"][entry["source"]]["cite"],
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
