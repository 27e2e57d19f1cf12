"""Ever coarser forms of a column: `schemas/hierarchies/<name>.yaml`, read and checked.

How a hierarchy is applied to values, and which level is chosen, is for `privacy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sensai_release.errors import ConfigurationError
from sensai_release.table.documents import check_document, load_yaml


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


def load_hierarchy(path: Path) -> Hierarchy:
    """One file; raises `ConfigurationError` naming the path inside it when its levels are no hierarchy."""
    place = f"schemas/hierarchies/{path.name}"
    document = load_yaml(path, place)
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
