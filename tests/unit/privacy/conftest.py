from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sensai_release.table.schema import Hierarchy, TableSchema, parse_table

Document = dict[str, Any]


def column(name: str, **entries: Any) -> Document:
    """A column of a schema document, harmless unless told otherwise."""
    document: Document = {
        "name": name,
        "dtype": "number",
        "description": f"The {name}.",
        "role": "insensitive",
        "class": "C",
        "action": "keep",
        "justification": "For a test.",
    }
    if "pattern" in entries or "derive" in entries:
        del document["name"]
    return document | entries


def key(name: str, kind: str = "participant", prefix: str = "P") -> Document:
    identifier = {"kind": kind, "prefix": prefix, "pattern": "[A-Z][0-9]+"}
    return column(
        name, dtype="string", role="direct_identifier", action="pseudonymise", identifier=identifier, **{"class": "X"}
    )


@pytest.fixture
def make_schema() -> Callable[..., TableSchema]:
    def make(columns: list[Document], **entries: Any) -> TableSchema:
        document = {
            "table": "people",
            "title": "People",
            "description": "People.",
            "source": {"file": "people.csv", "reader": "delimited", "row": "person"},
            "release": {"people": {"profiles": ["controlled"]}},
            "columns": columns,
        }
        return parse_table(document | entries, "schemas/people.yaml")

    return make


@pytest.fixture
def hierarchies() -> dict[str, Hierarchy]:
    age = Hierarchy(name="age", kind="intervals", level_names=("ten", "coarse"), edges=((30, 40, 50), (40,)))
    drug = Hierarchy(
        name="drug",
        kind="categories",
        level_names=("class", "any"),
        table={"m": ("opioid", "drug"), "p": ("other", "drug")},
    )
    return {"age": age, "drug": drug}
