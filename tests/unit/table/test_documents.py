"""Our own YAML documents: what an error says of a document that breaks its JSON Schema."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from table_kit import column

from sensai_release.errors import ConfigurationError
from sensai_release.table.documents import check_document, parse_yaml

PLAIN = "drop, keep, pseudonymise"
ALL = (
    f"{PLAIN}, round, bin, map, generalise, ordinal, relative_day, noise, top_bottom_code, suppress_local, "
    "difference_from_reference, window"
)
SCHEMA = json.loads(files("sensai_release.table").joinpath("table.schema.json").read_text(encoding="utf-8"))


def table(*columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    document = {
        "table": "thing",
        "title": "Things",
        "description": "Things.",
        "source": {"file": "thing.csv", "reader": "delimited", "row": "thing"},
        "columns": list(columns) or [column("a")],
        **more,
    }
    return {name: value for name, value in document.items() if value is not None}


def complaint(document: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_document(document, SCHEMA, "schemas/thing.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("action", "where", "says"),
    [
        ("drp", "action", f"accepted words: {PLAIN}; with settings: {{do: round, …}}, {{do: bin, …}}"),
        ("bin", "action", "{do: bin, …}"),
        ({"do": "binn"}, "action", f"'do' that is not one of the accepted words: {ALL}"),
        ({"do": "bin", "edge": [1]}, "action", "unknown entry edge; accepted: do, edges, as, missing"),
        ({"do": "bin"}, "action", "lacks edges"),
        ({"do": "bin", "edges": "1"}, "action.edges", "must be of type array"),
        ({"do": "round", "digits": 0}, "action.digits", "minimum: 1"),
        ({"do": "drop", "digits": 3}, "action", "unknown entry digits; accepted: do, as, missing"),
        ({"do": "window", "statistics": ["men"]}, "action.statistics.0", "mean, sd, min, max, median, p10, p90, rate"),
        ({"default": "drp"}, "action.default", PLAIN),
        ({"default": "drop", "x@strict": {"do": "rund"}}, "action.x@strict", ALL),
        ({"Default": "drop"}, "action", "name breaks the rule"),
        (["drop", {"do": "rund", "digits": 2}], "action.1", ALL),
        (3, "action", PLAIN),
    ],
)
def test_an_error_inside_an_action_names_its_path_and_the_accepted_words(action: Any, where: str, says: str) -> None:
    text = complaint(table(column("a", action=action)))
    assert text.startswith(f"schemas/thing.yaml: columns.0.{where}: "), text
    assert says in text


@pytest.mark.parametrize(
    ("document", "where", "says"),
    [
        (table(column("a", **{"class": "Z"})), "columns.0.class", "X, A, B, C, clinical, undecided"),
        (table(column("a", pattern="b")), "columns.0", "name and pattern, where only one may stand"),
        (table({k: v for k, v in column("a").items() if k != "name"}), "columns.0", "one of: name, pattern, derive"),
        (table(source=None), "the top level", "one of: source, generated"),
        (table(generated="folds"), "the top level", "source and generated, where only one may stand"),
        (table(rules=[{"rule": "equal"}]), "rules.0", "accepted words: rows_per, equals, after"),
        (table(rules=[{"rule": "rows_per", "by": "a"}]), "rules.0", "lacks maximum"),
        (table(rules=[{}]), "rules.0", "lacks rule"),
        (table(column("a", naem=1)), "columns.0", "unknown entry naem; accepted: name, pattern, derive"),
        ("text", "the top level", "must be of type object"),
    ],
)
def test_an_error_elsewhere_names_its_path_and_the_accepted_words(document: Any, where: str, says: str) -> None:
    text = complaint(document)
    assert text.startswith(f"schemas/thing.yaml: {where}: "), text
    assert says in text


def test_a_key_that_stands_twice_and_text_that_is_no_yaml_are_refused() -> None:
    for text in ("a: 1\na: 2\n", "a: [1\n"):
        with pytest.raises(ConfigurationError, match="line"):
            parse_yaml(text, "x.yaml")
    assert parse_yaml("a: no\nb: 2025-01-01\n", "x.yaml") == {"a": "no", "b": "2025-01-01"}
