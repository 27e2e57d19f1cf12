"""Which tool wrote a table, told by its column names alone.

A guess for people and for drafts, strict enough never to hit by one name; readers go by their own evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sensai_release.table.catalogue.entries import Layout, ToolCatalogue, load_catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolMatch:
    """The tool and layout whose signature a header shows, and how many of its `columns` the tool's entries know."""

    tool: str
    title: str
    layout: Layout
    known: int
    columns: int

    @property
    def describe(self) -> str:
        """For messages, for example `OpenFace (all columns, several faces; 2.1 to 2.2)`."""
        return f"{self.title} ({self.layout.title}; {self.layout.versions})"


def identify_tool(column_names: Sequence[str]) -> ToolMatch | None:
    """The tool whose signature holds and that knows most of the columns; `None` when no signature holds.

    Names are compared without padding. Two tools that know equally many columns leave the question open: `None`.
    """
    names = tuple(name.strip() for name in column_names)
    found = [match for tool in load_catalogue().values() if (match := _match(tool, names)) is not None]
    found.sort(key=lambda match: match.known, reverse=True)
    if not found or (len(found) > 1 and found[0].known == found[1].known):
        return None
    return found[0]


def _match(tool: ToolCatalogue, names: tuple[str, ...]) -> ToolMatch | None:
    layout = next((layout for layout in tool.layouts if _shows(layout, names)), None)
    if layout is None:
        return None
    known = sum(entry is not None for entry in tool.match_all(names, layout.name))
    return ToolMatch(tool=tool.tool, title=tool.title, layout=layout, known=known, columns=len(names))


def _shows(layout: Layout, names: tuple[str, ...]) -> bool:
    if any(_count(pattern, names, 1) for pattern in layout.lacks):
        return False
    return all(_count(pattern, names, at_least) for pattern, at_least in layout.has)


def _count(pattern: str, names: tuple[str, ...], at_least: int) -> bool:
    compiled = re.compile(pattern)
    return len({name for name in names if compiled.fullmatch(name)}) >= at_least
