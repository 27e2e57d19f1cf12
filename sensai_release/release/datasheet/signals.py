"""What the tables and their dictionaries say about themselves, in the few words that a datasheet's rules ask for.

A signal is a number of columns or tables, a masked number of rows, or yes and no; none is a number of persons. Rules
hold them against what an answer claims (`contradictions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.release.tables import Count, ReleasedTables, mask_rows

Signal: TypeAlias = bool | int | str | None

_PERSONAL = ("X", "A", "B")
_FEWEST_SCORES = 3


def compute_signals(
    tables: ReleasedTables, names: list[str], risk: Mapping[str, Any] | None, minimum: int = 10
) -> dict[str, Signal]:
    """The signals of a candidate or a release; `risk` is its published risk report.

    `health_columns`, `feature_columns` (classes X, A and B that are no pseudonyms), `quasi_identifier_columns` and
    `changed_columns` (not released as recorded) are numbers of columns; `related_tables` have a foreign key.
    `linkable`: sessions of one person were matched better than by chance (`None`: nobody has measured).
    `population_larger`: params.yaml names more persons than there are here (`None`: it names none).
    `several_sessions`: a person stands in more than one row of a table.
    `zero_filled`: rows in which all of at least three scores are zero, in tables where no such score is missing.
    """
    columns = [(name, column) for name in names for column in tables.dictionaries[name]["columns"]]
    features = [column for _, column in columns if column["role"] != "direct_identifier"]
    return {
        "health_columns": sum(c["role"] == "sensitive" or c["class"] == "clinical" for c in features),
        "feature_columns": sum(c["class"] in _PERSONAL for c in features),
        "quasi_identifier_columns": sum(c["role"] == "quasi_identifier" for c in features),
        "changed_columns": sum(c["action"] != "keep" for _, c in columns),
        "related_tables": sum(bool(tables.dictionaries[name].get("foreign_keys")) for name in names),
        "linkable": _linkable(risk),
        "population_larger": _population_larger(risk, len(tables.everyone())),
        "several_sessions": any(_repeats(tables, name) for name in names),
        "zero_filled": _zero_filled(tables, names, minimum),
    }


def _linkable(risk: Mapping[str, Any] | None) -> bool | None:
    """Whether the lower bound of rank-1 of any set of columns lies above chance (`privacy.linkability`)."""
    audit = (risk or {}).get("linkability") or {}
    bounds = [entry["rank1"].get("low") for entry in audit.get("sets") or () if entry.get("rank1")]
    bounds = [bound for bound in bounds if isinstance(bound, int | float)]
    chance = audit.get("chance")
    return any(bound > chance for bound in bounds) if bounds and isinstance(chance, int | float) else None


def _population_larger(risk: Mapping[str, Any] | None, persons: int) -> bool | None:
    population = ((risk or {}).get("population") or {}).get("population")
    return population > persons if isinstance(population, int) else None


def _repeats(tables: ReleasedTables, name: str) -> bool:
    people = tables.person_codes(name)
    return people is not None and len(people) > 0 and int(np.bincount(people).max()) > 1


def _zero_filled(tables: ReleasedTables, names: list[str], minimum: int) -> Count:
    found: list[Count] = [count for name in names for count in _zero_rows(tables, name, minimum)]
    return next((count for count in found if count != 0), 0)


def _zero_rows(tables: ReleasedTables, name: str, minimum: int) -> Iterator[Count]:
    present = tables.schema(name).names
    scores = [
        column["name"]
        for column in tables.dictionaries[name]["columns"]
        if column["role"] == "sensitive" and column["dtype"] in ("integer", "number") and column["name"] in present
    ]
    if len(scores) < _FEWEST_SCORES:
        return
    zero: Any = True
    for score in scores:
        values = tables.column(name, score)
        if values.null_count or (pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py()):
            # Where a missing score is a missing cell, a row of zeros was answered with zeros.
            return
        zero = np.asarray(pc.equal(values, 0).to_numpy()) & zero
    yield mask_rows(zero, tables.person_codes(name), minimum, coarse=True)
