"""The two releases of the story differ by one person: what do their published documents say, held side by side?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from .conftest import Story

DOCUMENTS = (
    "datasheet.json",
    "reports/risk.json",
    "reports/validation.json",
    "reports/diff.json",
    "reports/policy.json",
    "metadata/croissant.json",
    "datapackage.json",
)
TEXTS = ("README.md", "DATASHEET.md", "datasheet.html", "reports/risk.html", "reports/diff.html")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, f"{path}/{place}")
    else:
        yield path, value


def documents(release: Path) -> dict[str, dict[str, Any]]:
    found = {name: json.loads((release / name).read_text()) for name in DOCUMENTS if (release / name).is_file()}
    predicate = json.loads((release / "manifest.json").read_text())["predicate"]
    return {name: dict(leaves(document)) for name, document in (found | {"manifest": predicate}).items()}


def exact_counts(release: Path) -> set[int]:
    """Rows and persons of the release, those that no rounded count can be mistaken for."""
    return {
        count
        for path in (release / "data").glob("*/*.parquet")
        if (count := pq.read_metadata(path).num_rows) >= 10 and count % 10
    }


def test_no_number_tells_how_many_there_are(story: Story) -> None:
    for release in story.releases:
        exact = exact_counts(release)
        assert exact
        for name, document in documents(release).items():
            for path, value in document.items():
                count_like = isinstance(value, int) and not isinstance(value, bool)
                # Sizes of files are needed to verify them; columns, categories and nodes are no persons.
                if count_like and not re.search(
                    r"bytes|columns|categories|nodes|limit$|version|maximum|minimum|distinct_l|size$", path
                ):
                    assert value not in exact, f"{name}{path}"


def test_numbers_differ_by_a_whole_step_or_not_at_all(story: Story) -> None:
    first, second = (documents(release) for release in story.releases)
    for name in first.keys() & second.keys():
        for path in first[name].keys() & second[name].keys():
            before, after = first[name][path], second[name][path]
            counts = [value for value in (before, after) if isinstance(value, int) and not isinstance(value, bool)]
            in_persons = re.search(
                r"persons|rows|missing|unique|labels|subpopulations|sessions|below_k|/gate/\d+/value", path
            )
            # Of the smallest class a document says that k is reached, or a multiple of ten.
            if len(counts) == 2 and in_persons and not re.search(r"bytes|/columns|distinct_l|/limit$", path):
                assert before == after or all(value == 5 or value % 10 == 0 for value in counts), f"{name}{path}"


def test_no_page_shows_an_exact_number_of_persons(story: Story) -> None:
    for release in story.releases:
        persons = pq.read_metadata(release / "data" / "participants" / "part-00000.parquet").num_rows
        for name in TEXTS:
            if (release / name).is_file() and persons % 10:
                text = (release / name).read_text().split("</style>")[-1]
                assert not re.search(rf"[>|]\s*{persons}\s*[<|]", text), name
                assert f"{persons} participants" not in text, name
