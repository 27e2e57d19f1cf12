"""The facts that a datasheet states: counted from the released tables, masked, and named.

An answer never holds a number typed by hand: it names a fact (`{persons}`), and this module is where the fact comes
from. What is asked and answered is `datasheet`'s; what is measured about risk is `privacy.risk`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow.compute as pc

from sensai_release.privacy.masking import mask_counts, rounded
from sensai_release.release.datasheet.signals import Signal, compute_signals
from sensai_release.release.published import published_risk
from sensai_release.release.tables import (
    Codes,
    Count,
    Flags,
    ReleasedTables,
    band_names,
    holders,
    in_order,
    label_columns,
    mask_rows,
    splits_table,
    tenths_of,
)

Value: TypeAlias = int | float | str

QUERIES = ("tables", "missing", "labels", "subpopulations", "sessions_per_person", "splits", "errors", "gate")
"""The groups of facts that an answer can print as tables."""

_POORLY_TRACKED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`context` is what params.yaml says, `values` what was counted; both can be named in an answer.

    `tables`: `table`, `title`, `rows`, `columns` (a number). `missing`: `table`, `column`, `missing` cells and their
    `share` of the rows in steps of 5 % (`None` where few persons stand behind), for columns with any. `labels` and
    `subpopulations`: for `table.column` the number of persons who have each value at least once; a number that models
    are to predict (`targets` of the context) counts by tenths of its declared range.
    `sessions_per_person`: persons by number of sessions. `splits`: persons by recommended fold. `errors`: `table`,
    `what` is wrong, `rows` and their `share` as for missing cells. `gate`: the risk gate. `signals`: what the tables
    say of themselves, for the rules (`signals.compute_signals`). Counts below `minimum` persons read
    `<10`, those that would reveal one `>=10`, and all others are rounded down, so that the datasheets of two releases
    do not tell of those who came or went (`privacy.masking.rounded`).
    """

    minimum: int
    context: Mapping[str, Value]
    values: Mapping[str, Value]
    tables: tuple[Mapping[str, Any], ...] = ()
    missing: tuple[Mapping[str, Any], ...] = ()
    labels: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)
    subpopulations: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)
    sessions_per_person: Mapping[str, Count] = field(default_factory=dict)
    splits: Mapping[str, Count] = field(default_factory=dict)
    errors: tuple[Mapping[str, Any], ...] = ()
    gate: tuple[Mapping[str, Any], ...] = ()
    signals: Mapping[str, Signal] = field(default_factory=dict)

    def named(self) -> dict[str, Value]:
        """Every fact that a placeholder can name."""
        return {**self.context, **self.values}

    def to_dict(self) -> dict[str, Any]:
        return {
            "minimum": self.minimum,
            "context": dict(self.context),
            "values": dict(self.values),
            "tables": [dict(entry) for entry in self.tables],
            "missing": [dict(entry) for entry in self.missing],
            "labels": {name: dict(cells) for name, cells in self.labels.items()},
            "subpopulations": {name: dict(cells) for name, cells in self.subpopulations.items()},
            "sessions_per_person": dict(self.sessions_per_person),
            "splits": dict(self.splits),
            "errors": [dict(entry) for entry in self.errors],
            "gate": [dict(entry) for entry in self.gate],
            "signals": dict(self.signals),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Facts:
        values = {name: data[name] for name in cls.__dataclass_fields__}
        for name in ("tables", "missing", "errors", "gate"):
            values[name] = tuple(values[name])
        return cls(**values)


def study_context(params: Mapping[str, Any]) -> dict[str, Value]:
    """The named facts that params.yaml holds: the study, the series, the profile and its thresholds."""
    profile = params["profiles"][params["profile"]]
    study = {name: value for name, value in params["study"].items() if name != "id"}
    consent, stated = params.get("consent", {}), params.get("datasheet", {})
    return {
        "study": params["study"]["id"],
        **study,
        "series": params["series"],
        "profile": params["profile"],
        "profile_description": profile["description"],
        "k": profile["k"],
        "max_suppressed_percent": round(100 * profile["max_suppressed"], 6),
        "folds": params["folds"]["count"],
        "sessions_table": params["sessions"]["table"],
        "consent_recorded": _yes(consent.get("grant")),
        "withdrawal_recorded": _yes(consent.get("withdrawn")),
        "recipients": stated.get("recipients", "not stated"),
        "targets": ", ".join(params.get("utility", {}).get("targets", ())),
    }


def _yes(value: object) -> str:
    return "yes" if value else "no"


def compute_facts(
    tables: ReleasedTables,
    *,
    context: Mapping[str, Value],
    risk: Mapping[str, Any] | None = None,
    minimum: int = 10,
) -> Facts:
    """Counts the facts of a candidate or a release; `risk` is its risk report as JSON.

    Raises `ReleaseFormatError` when a table cannot be read.
    """
    names = [name for name in tables.names if name in tables.dictionaries]
    sessions = str(context.get("sessions_table", ""))
    overview = tuple(_overview(tables, name, minimum) for name in names)
    missing = tuple(entry for name in names for entry in _missing(tables, name, minimum))
    if risk is not None:
        risk = published_risk(risk, minimum=minimum)
    values: dict[str, Value] = {
        "minimum": minimum,
        "persons": _at_least(rounded(len(tables.everyone()), minimum)),
        "tables": len(names),
        "columns": sum(entry["columns"] for entry in overview),
        "columns_with_missing_values": len(missing),
        **{f"rows.{entry['table']}": _at_least(entry["rows"]) for entry in overview},
        **{f"columns.{entry['table']}": entry["columns"] for entry in overview},
    }
    if sessions in names:
        values["sessions"] = values[f"rows.{sessions}"]
    if risk is not None:
        values["k_min"] = risk["k_min"]
        values["gate_verdict"] = _gate_verdict(risk)
    return Facts(
        minimum=minimum,
        context=dict(context),
        values=values,
        tables=overview,
        missing=missing,
        labels=_distributions(tables, names, minimum)
        | _targets(tables, names, minimum, str(context.get("targets", ""))),
        subpopulations=_distributions(tables, names, minimum, labels=False),
        sessions_per_person=_sessions_per_person(tables, sessions, minimum) if sessions in names else {},
        splits=_splits(tables, names, minimum),
        errors=tuple(entry for name in names for entry in _errors(tables, name, sessions, minimum)),
        signals=compute_signals(tables, names, risk, minimum),
        gate=tuple(
            {key: gate[key] for key in ("name", "value", "limit", "ok")} for gate in (risk or {}).get("gate", ())
        ),
    )


def _gate_verdict(risk: Mapping[str, Any]) -> str:
    if not risk["ok"]:
        return "not passed"
    parts = (risk, risk.get("linkability") or {}, risk.get("series") or {})
    unknown = sum(entry.get("status") == "cannot_assess" for part in parts for entry in part.get("gate") or ())
    measures = "1 measure" if unknown == 1 else f"{unknown} measures"
    return f"passed, as far as it could be assessed ({measures} could not)" if unknown else "passed"


def _overview(tables: ReleasedTables, name: str, minimum: int) -> dict[str, Any]:
    rows = tables.masked_rows(name, minimum)
    title = tables.dictionaries[name]["title"]
    return {"table": name, "title": title, "rows": rows, "columns": len(tables.schema(name).names)}


def _missing(tables: ReleasedTables, name: str, minimum: int) -> list[dict[str, Any]]:
    """The columns of a table that have missing cells (null or NaN), one column in memory at a time."""
    rows, people = tables.rows(name), tables.person_codes(name)
    found = []
    for column in tables.schema(name).names:
        absent = np.asarray(pc.is_null(tables.column(name, column), nan_is_null=True).to_numpy())
        count = mask_rows(absent, people, minimum, coarse=True)
        if count != 0:
            share = _share(absent, people, rows, minimum)
            found.append({"table": name, "column": column, "missing": count, "share": share})
    return found


def _share(flags: Flags, people: Codes | None, rows: int, minimum: int) -> float | None:
    """The share of flagged rows in steps of 5 %, where enough persons stand behind them."""
    enough = isinstance(mask_rows(flags, people, minimum), int)
    return round(round(20 * int(flags.sum()) / rows) / 20, 2) if enough and rows else None


def _splits(tables: ReleasedTables, names: list[str], minimum: int) -> dict[str, Count]:
    """Persons by fold, of the table that gives each person one."""
    name = splits_table({name: tables.dictionaries[name] for name in names})
    held = {} if name is None else holders(tables, name, "fold")
    return _cells({fold: len(held[fold]) for fold in in_order(held, ())}, minimum)


def _errors(tables: ReleasedTables, name: str, sessions: str, minimum: int) -> Iterator[dict[str, Any]]:
    """What is known to be wrong with a table of features: sessions of which it has nothing, and poor tracking."""
    dictionary = tables.dictionaries[name]
    key = {str(k["references"]).partition(".")[0]: k for k in dictionary.get("foreign_keys", ())}.get(sessions)
    if key and tables.parts(sessions) and any(column["class"] in ("A", "B") for column in dictionary["columns"]):
        there = tables.column(name, key["column"]).unique()
        known = tables.column(sessions, str(key["references"]).partition(".")[2])
        lost = ~np.asarray(pc.is_in(known, value_set=there).to_numpy())
        yield _error(tables, sessions, name, "sessions without features (recording absent or unusable)", lost, minimum)
    if "valid_share" in tables.schema(name).names:
        share = tables.column(name, "valid_share")
        poor = np.asarray(pc.fill_null(pc.less(share, _POORLY_TRACKED), fill_value=True).to_numpy())
        yield _error(tables, name, name, "windows tracked in less than half of their frames", poor, minimum)


def _error(tables: ReleasedTables, counted: str, table: str, what: str, flags: Flags, minimum: int) -> dict[str, Any]:
    people = tables.person_codes(counted)
    rows = mask_rows(flags, people, minimum, coarse=True)
    return {"table": table, "what": what, "rows": rows, "share": _share(flags, people, len(flags), minimum)}


def _distributions(
    tables: ReleasedTables, names: list[str], minimum: int, *, labels: bool = True
) -> dict[str, dict[str, Count]]:
    """Persons by value, for the label columns or for the quasi-identifiers that are categories."""
    result = {}
    for name in names:
        dictionary = tables.dictionaries[name]
        chosen = label_columns(dictionary) if labels else _quasi_identifiers(dictionary)
        declared = {column["name"]: column.get("categories") or () for column in dictionary["columns"]}
        for column in chosen:
            held = holders(tables, name, column)
            values = in_order({*held, *declared[column]}, declared[column])
            counts = {value: len(held.get(value, ())) for value in values}
            result[f"{name}.{column}"] = _cells(counts, minimum)
    return result


def _targets(tables: ReleasedTables, names: list[str], minimum: int, targets: str) -> dict[str, dict[str, Count]]:
    """The distributions of what models are to predict, where that is no label column: a score with many values, say."""
    result = {}
    for name in names:
        dictionary = tables.dictionaries[name]
        for column in dictionary["columns"]:
            target = f"{name}.{column['name']}"
            if target in targets.split(", ") and column["name"] not in label_columns(dictionary):
                result[target] = _cells(_persons_by_part(tables, name, column), minimum)
    return {target: cells for target, cells in result.items() if cells}


def _persons_by_part(tables: ReleasedTables, name: str, column: Mapping[str, Any]) -> dict[str, int]:
    """Persons by tenth of the declared range of a number, or by category."""
    edges = tenths_of(column)
    parts = band_names(edges) if edges else list(column.get("categories") or ())
    held = holders(tables, name, column["name"], edges)
    return {part: len(held.get(part, ())) for part in in_order({*parts, *held}, parts)} if held else {}


def _quasi_identifiers(dictionary: Mapping[str, Any]) -> list[str]:
    return [
        column["name"]
        for column in dictionary["columns"]
        if column["role"] == "quasi_identifier" and column["dtype"] == "category"
    ]


def _sessions_per_person(tables: ReleasedTables, sessions: str, minimum: int) -> dict[str, Count]:
    people = tables.person_codes(sessions)
    if people is None or not len(people):
        return {}
    sizes = np.bincount(np.bincount(people))
    return _cells({str(size): int(count) for size, count in enumerate(sizes) if size}, minimum)


def _cells(counts: Mapping[str, int], minimum: int) -> dict[str, Count]:
    return {name: rounded(count, minimum) for name, count in mask_counts(counts, minimum).items()}


def _at_least(count: Count) -> Value:
    """A rounded count as a sentence names it."""
    return f"at least {count}" if isinstance(count, int) and count else count
