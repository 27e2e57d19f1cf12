"""The range and unit in force for a column of a schema: those of the catalogue, or narrower ones of the schema.

A column that a tool writes is recognised by its name, or by a pattern that stands in the catalogue word for word; any
other entry may name a column whose entry is meant (`catalogue: instruments.nrs`). Values are not looked at here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sensai_release.errors import ConfigurationError
from sensai_release.table.catalogue.entries import CatalogueEntry, catalogue_names, load_tool
from sensai_release.table.columns import ColumnSpec

_FIELDS = ("unit", "minimum", "maximum", "step")
_NUMBERS = ("integer", "number")


def tool_of(source: Mapping[str, Any], place: str) -> str | None:
    """The file of the catalogue for a table's `source`: its `tool`, else that of a reader made for one tool.

    Raises `ConfigurationError` when `tool` names no file of the catalogue.
    """
    names = catalogue_names()
    tool = source.get("tool")
    if tool is None:
        return str(source["reader"]) if source["reader"] in names else None
    if tool not in names:
        raise ConfigurationError(place, "names no tool of the catalogue", f"Accepted: {', '.join(names)}.")
    return str(tool)


def in_force(spec: ColumnSpec, *, tool: str | None, reference: str | None, place: str) -> ColumnSpec:
    """`spec` with the range and unit of its catalogue entry where it gives none itself.

    `tool` is the file of the catalogue for the whole table, `reference` what the entry itself names
    (`<file>.<column>`). Raises `ConfigurationError`, naming both ranges, when the schema's is wider than the
    catalogue's or its unit another one, and when `reference` leads nowhere.
    """
    entry = _referenced(spec, reference, f"{place}.catalogue") if reference else _recognised(spec, tool)
    if entry is None or spec.dtype not in _NUMBERS:
        return spec
    known = {name: getattr(entry, name) for name in _FIELDS if getattr(entry, name) is not None}
    taken = tuple(name for name in known if getattr(spec, name) is None)
    found = replace(spec, catalogue=entry.tool, from_catalogue=taken, **{name: known[name] for name in taken})
    for name in (name for name in known if name not in taken):
        problem = _problem(name, getattr(spec, name), entry)
        if problem is not None:
            raise ConfigurationError(
                f"{place}.{name}",
                f"is {_shown(getattr(spec, name))}, {problem} {entry.range_text} of the catalogue "
                f"({entry.tool}.yaml: {entry.label})",
                "Narrow it, or leave it out: then the catalogue's holds.",
            )
    return found


def _referenced(spec: ColumnSpec, reference: str, place: str) -> CatalogueEntry:
    name, _, column = reference.partition(".")
    if name not in catalogue_names():
        raise ConfigurationError(
            place, "names no file of the catalogue", f"Write FILE.COLUMN; files: {', '.join(catalogue_names())}."
        )
    if spec.dtype not in _NUMBERS:
        raise ConfigurationError(place, "stands at a column that is no number", "Ranges are for integer and number.")
    entry = load_tool(name).of_one_range(column)
    if entry is None:
        raise ConfigurationError(
            place,
            f"names a column for which {name}.yaml has no entry, or different ranges by layout",
            "Name another column, or give the range and unit here.",
        )
    return entry


def _recognised(spec: ColumnSpec, tool: str | None) -> CatalogueEntry | None:
    if tool is None or spec.is_derived:
        return None
    return load_tool(tool).of_one_range(spec.name) if spec.name is not None else load_tool(tool).of_pattern(spec.label)


def _problem(name: str, value: Any, entry: CatalogueEntry) -> str | None:
    """What is wrong with a declared field beside the entry's, as words that its range can follow; `None`: nothing."""
    if name == "unit":
        return None if value == entry.unit else "another unit than in"
    if name == "step":
        return None if _is_multiple(value, entry.step) else "no multiple of the step in"
    if (entry.minimum is not None and value < entry.minimum) or (entry.maximum is not None and value > entry.maximum):
        return "outside the range"
    if name == "minimum" and entry.step is not None and not _is_multiple(value - (entry.minimum or 0), entry.step):
        return "between the steps of"
    return None


def _is_multiple(value: float, step: float | None) -> bool:
    return step is None or abs(value / step - round(value / step)) < 1e-9


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else f"{value:g}"
