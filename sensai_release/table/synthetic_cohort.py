"""The tables of a synthetic study in memory, made as the schemas say.

The package knows no study. The tables follow from keys and foreign keys: the table without a foreign key holds the
persons, a table with a key of its own and a foreign key holds several rows for each row it refers to, any other table
one (or `rows`). Each column says under `synthetic` how its values are made (checked by `synthetic.schema.json`):

    sequence: 'SYN{n:04d}'      identifiers; {n} counts from 1 (within {parent}, the identifier referred to)
    rows: [0, 3]                on a foreign key: rows for each row referred to; the word `sessions` is the option
    traits: {effort: {between: 0.4, when: […]}}   on an identifier: hidden normal traits; `between` is the share of the
                                variance that lies between persons
    normal: {mean, sd, person: 0.3, loadings: {effort: 0.9}}   `person` is the share of the variance that is constant in
                                a person, loadings are correlations with traits; cut at the declared range
    level: {person, loadings}   as normal, where the tool that writes the file knows mean and sd (openface, opensmile)
    uniform: [0, 1]   choice: {a: 0.7, b: 0.3} (+ loadings)   constant: x   option: seconds   text: ['Synthetic: …']
    date: {start: 2026-01-05 | after: table.column, days: [0, 9], step_days: [1, 3], hours: [9, 17]}
    decimals: 1   missing: 0.02   spread: true (shares hold in every 20 rows)
    when: [{where: {table.column: value}, …}]   the first that matches replaces what it names

Writing is left to `table.synthetic`, random numbers to `table.synthetic_draws`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensai_release.errors import ConfigurationError
from sensai_release.table.documents import check_document
from sensai_release.table.schema import ColumnSpec, SchemaSet, TableSchema
from sensai_release.table.synthetic_draws import Draws, Floats, Integers, dates, pick, share_of_normal

_TRAIT = "trait "
_VALUES = ("sequence", "normal", "level", "uniform", "choice", "constant", "option", "text", "date")


@dataclass(slots=True, kw_only=True)
class MadeTable:
    """A table under construction. `person` numbers the person of each row, `number` counts the rows of a person from 0
    and `within` those of the row referred to; `parents` holds the row referred to in every table above.
    """

    schema: TableSchema
    person: Integers
    number: Integers
    within: Integers
    parents: Mapping[str, Integers] = field(default_factory=dict)
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)

    def texts(self) -> dict[str, list[str]]:
        """The columns as they stand in a CSV file, without the hidden traits."""
        return {name: _as_text(values) for name, values in self.columns.items() if not name.startswith(_TRAIT)}


class Cohort:
    """The tables of a synthetic study, in memory, and the levels from which tool files are made."""

    def __init__(self, schemas: SchemaSet, *, participants: int, sessions: int, seconds: int, seed: int) -> None:
        self.schemas = schemas
        self.draws = Draws(seed=seed)
        self.options = {"sessions": sessions, "seconds": seconds}
        self.participants = participants
        self.tables: dict[str, MadeTable] = {}
        self._traits: dict[str, str] = {}
        check_declarations(schemas)
        for schema in _in_order(schemas):
            self.tables[schema.name] = self._table(schema)

    def _table(self, schema: TableSchema) -> MadeTable:
        table = self._rows(schema)
        for spec in schema.columns:
            if not spec.is_derived and spec.name is not None:
                table.columns[spec.name] = self._column(table, spec)
                self._add_traits(table, spec)
        return table

    def _rows(self, schema: TableSchema) -> MadeTable:
        if not schema.foreign_keys:
            person = np.arange(self.participants, dtype=np.int64)
            zero = np.zeros_like(person)
            return MadeTable(schema=schema, person=person, number=zero, within=zero)
        key = schema.foreign_keys[0]
        above = self.tables[key.table]
        probe = MadeTable(
            schema=schema,
            person=above.person,
            number=above.number,
            within=above.within,
            parents={**above.parents, key.table: np.arange(len(above.person), dtype=np.int64)},
        )
        place = f"{schema.name}.{key.column}"
        counts = np.ones(len(above.person), dtype=np.int64)
        for mask, entry in self._alternatives(probe, schema.named(key.column)):
            if "rows" in entry:
                low, high = (self.options.get(bound, bound) for bound in entry["rows"])
                drawn = self.draws.whole(f"{place}\0rows", (low, max(low, high)), above.person, above.number)
                counts[mask] = drawn[mask]
        parent = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        person = above.person[parent]
        return MadeTable(
            schema=schema,
            person=person,
            number=_count_runs(person),
            within=_count_runs(parent),
            parents={name: rows[parent] for name, rows in probe.parents.items()},
        )

    def _alternatives(
        self, table: MadeTable, spec: ColumnSpec
    ) -> Iterator[tuple[NDArray[np.bool_], Mapping[str, Any]]]:
        """The entry of a column, split by `when`: rows (as a mask) and what holds for them."""
        base = {key: value for key, value in spec.synthetic.items() if key != "when"}
        left = np.ones(len(table.person), dtype=np.bool_)
        for case in spec.synthetic.get("when", ()):
            ((reference, wanted),) = case["where"].items()
            mask = left & _equals(self.lookup(table, reference), wanted)
            left = left & ~mask
            own = {key: value for key, value in case.items() if key != "where"}
            replaced = _VALUES if any(key in own for key in _VALUES) else ()
            yield mask, {**{key: value for key, value in base.items() if key not in replaced}, **own}
        yield left, base

    def lookup(self, table: MadeTable, reference: str) -> NDArray[Any]:
        """The values of `other.column` for the rows of a table, through the keys, or through the person when the other
        table has one row for each. Raises `ConfigurationError` when neither leads there.
        """
        name, column = reference.split(".", 1)
        other = table if name == table.schema.name else self.tables.get(name)
        if other is None or column not in other.columns:
            raise ConfigurationError(
                f"schemas/{table.schema.name}.yaml", f"'synthetic' needs {reference}, which is not made before it",
                "Refer to a column further up, or to a table that this one refers to.",
            )  # fmt: skip
        values = other.columns[column]
        if other is table:
            return values
        if name in table.parents:
            return np.asarray(values[table.parents[name]])
        if np.array_equal(other.person, np.arange(self.participants)):
            return np.asarray(values[table.person])
        raise ConfigurationError(
            f"schemas/{table.schema.name}.yaml", f"'synthetic' needs {reference}, which has several rows for one here",
            "Refer to a table with one row a person, or to one that this table refers to.",
        )  # fmt: skip

    def _add_traits(self, table: MadeTable, spec: ColumnSpec) -> None:
        for trait, entry in spec.synthetic.get("traits", {}).items():
            between = entry.get("between", 1.0)
            values = np.sqrt(between) * self.draws.normal(f"{_TRAIT}{trait}\0person", table.person) + np.sqrt(
                1.0 - between
            ) * self.draws.normal(f"{_TRAIT}{trait}", table.person, table.number)
            for case in entry.get("when", ()):
                ((reference, wanted),) = case["where"].items()
                values = np.where(_equals(self.lookup(table, reference), wanted), case["constant"], values)
            table.columns[_TRAIT + trait] = values
            self._traits[trait] = table.schema.name

    def normal(self, table: MadeTable, purpose: str, entry: Mapping[str, Any]) -> Floats:
        """Standard normal values that load on traits, partly constant in a person, for every row of a table."""
        loadings = entry.get("loadings", {})
        person = entry.get("person", 0.0)
        rest = 1.0 - person - sum(weight**2 for weight in loadings.values())
        if rest < -1e-9:
            raise ConfigurationError(
                f"schemas/{table.schema.name}.yaml", "a 'synthetic' entry explains more than the whole variance",
                "Keep 'person' plus the squares of 'loadings' at 1 or below.",
            )  # fmt: skip
        z = np.sqrt(max(rest, 0.0)) * self.draws.normal(purpose, table.person, table.number)
        z = z + np.sqrt(person) * self.draws.normal(f"{purpose}\0person", table.person)
        for trait, weight in loadings.items():
            home = self._traits.get(trait, "?")
            z = z + weight * self.lookup(table, f"{home}.{_TRAIT}{trait}")
        return np.asarray(z)

    def _column(self, table: MadeTable, spec: ColumnSpec) -> NDArray[Any]:
        key = next((key for key in table.schema.foreign_keys if key.column == spec.name), None)
        if key is not None:
            return np.asarray(self.tables[key.table].columns[key.key][table.parents[key.table]])
        purpose = f"{table.schema.name}.{spec.name}"
        empty = np.datetime64("NaT") if spec.dtype in ("date", "datetime") else None
        dtype = "datetime64[s]" if empty is not None else object
        values: NDArray[Any] = np.full(len(table.person), empty, dtype=dtype)
        for mask, entry in self._alternatives(table, spec):
            made = self._values(table, spec, purpose, entry)
            if made is None:
                continue
            share = entry.get("missing", 0.0)
            u = self._uniform(table, f"{purpose}\0missing", entry)
            values[mask] = np.where(u < share, values, made)[mask]
        if not spec.nullable and np.any(_empty(values)):
            raise ConfigurationError(
                f"schemas/{table.schema.name}.yaml: {spec.label}", "may not be empty, but 'synthetic' leaves it empty",
                f"Say how it is made, with one of: {', '.join(_VALUES)}.",
            )  # fmt: skip
        return values

    def _uniform(self, table: MadeTable, purpose: str, entry: Mapping[str, Any]) -> Floats:
        if entry.get("spread"):
            return self.draws.spread(purpose, len(table.person))
        return self.draws.uniform(purpose, table.person, table.number)

    def _values(
        self, table: MadeTable, spec: ColumnSpec, purpose: str, entry: Mapping[str, Any]
    ) -> NDArray[Any] | None:
        if "sequence" in entry:
            return self._identifiers(table, entry["sequence"])
        if "date" in entry:
            moment = entry["date"]
            start = self.lookup(table, moment["after"]) if "after" in moment else np.datetime64(moment["start"])
            base = np.broadcast_to(start, table.person.shape).astype("datetime64[s]")
            return dates(moment, base, self.draws, purpose, table.person, table.number)
        if "normal" in entry:
            normal = entry["normal"]
            return _formatted(spec, entry, normal["mean"] + normal["sd"] * self.normal(table, purpose, normal))
        if "uniform" in entry:
            low, high = entry["uniform"]
            return _formatted(spec, entry, low + (high - low) * self._uniform(table, purpose, entry))
        if "text" in entry:
            return pick(dict.fromkeys(entry["text"], 1.0), self._uniform(table, purpose, entry))
        if "choice" in entry:
            loaded = "loadings" in entry
            u = share_of_normal(self.normal(table, purpose, entry)) if loaded else self._uniform(table, purpose, entry)
            return pick(entry["choice"], u)
        if "constant" in entry or "option" in entry:
            constant = self.options[entry["option"]] if "option" in entry else entry["constant"]
            if spec.dtype == "number":
                return _formatted(spec, entry, np.full(len(table.person), float(constant)))
            text = str(constant).lower() if isinstance(constant, bool) else str(constant)
            return np.full(len(table.person), text, dtype=object)
        return None

    def _identifiers(self, table: MadeTable, template: str) -> NDArray[np.object_]:
        counter = (table.within if table.parents else table.person) + 1
        parents = [""] * len(counter)
        if table.schema.foreign_keys:
            key = table.schema.foreign_keys[0]
            parents = list(self.tables[key.table].columns[key.key][table.parents[key.table]])
        made = [template.format(n=n, parent=parent) for n, parent in zip(counter.tolist(), parents, strict=True)]
        return np.array(made, dtype=object)

    def levels(self, schema: TableSchema, columns: tuple[str, ...]) -> Floats:
        """Standard normal levels of tool columns: an array (recordings, columns), in the order of their table.

        A column without a `level` is half constant in a person.
        """
        table = self.tables[schema.foreign_keys[0].table]
        half = {"person": 0.5}
        made = []
        for column in columns:
            spec = schema.match(column)
            entry = spec.synthetic.get("level", half) if spec is not None else half
            made.append(self.normal(table, f"{schema.name}.{column}", entry))
        return np.stack(made, axis=1)


def check_declarations(schemas: SchemaSet) -> None:
    """Raises `ConfigurationError` for a `synthetic` entry that breaks `synthetic.schema.json`, naming file and path."""
    for schema in schemas.values():
        for spec in schema.columns:
            if spec.synthetic:
                check_document(spec.synthetic, _json_schema(), f"schemas/{schema.name}.yaml: {spec.label}.synthetic")


def _in_order(schemas: SchemaSet) -> list[TableSchema]:
    """The tables that are plain files, each after the tables it refers to, by keys or in `synthetic`."""
    plain = {
        schema.name: schema for schema in schemas.values()
        if schema.source is not None and schema.source.reader == "delimited" and not schema.source.per_recording
    }  # fmt: skip
    needs = {name: _references(schema) & plain.keys() - {name} for name, schema in plain.items()}
    ordered: list[TableSchema] = []
    while needs:
        ready = sorted(name for name, others in needs.items() if not others & needs.keys())
        if not ready:
            raise ConfigurationError("schemas/", "tables refer to each other in a circle", "Break the circle.")
        for name in ready:
            ordered.append(plain[name])
            del needs[name]
    return ordered


def _references(schema: TableSchema) -> set[str]:
    found = {key.table for key in schema.foreign_keys}
    for spec in schema.columns:
        entries = [spec.synthetic, *spec.synthetic.get("when", ())]
        for entry in entries:
            found |= {reference.split(".")[0] for reference in entry.get("where", {})}
            if "after" in entry.get("date", {}):
                found.add(entry["date"]["after"].split(".")[0])
        for trait in spec.synthetic.get("traits", {}).values():
            found |= {reference.split(".")[0] for case in trait.get("when", ()) for reference in case["where"]}
    return found


def _count_runs(groups: Integers) -> Integers:
    """0, 1, 2 … within each run of equal numbers."""
    if not len(groups):
        return groups
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    return np.asarray(np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups)))))


def _equals(values: NDArray[Any], wanted: object) -> NDArray[np.bool_]:
    text = str(wanted).lower() if isinstance(wanted, bool) else str(wanted)
    return np.asarray(np.equal(values, text), dtype=np.bool_)


def _formatted(spec: ColumnSpec, entry: Mapping[str, Any], values: Floats) -> NDArray[np.object_]:
    """Numbers inside the declared range and on its steps, as text."""
    if spec.step is not None:
        low = spec.minimum or 0.0
        values = low + spec.step * np.rint((values - low) / spec.step)
    values = np.clip(values, spec.minimum, spec.maximum)
    if spec.dtype == "integer":
        return np.array([f"{value:.0f}" for value in values.tolist()], dtype=object)
    style = f".{entry['decimals']}f" if "decimals" in entry else ".6g"
    return np.array([format(value, style) for value in values.tolist()], dtype=object)


def _empty(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "M":
        return np.asarray(np.isnat(values), dtype=np.bool_)
    nothing: Any = None
    return np.asarray(np.equal(values, nothing), dtype=np.bool_)


def _as_text(values: NDArray[Any]) -> list[str]:
    made = np.datetime_as_string(values, unit="s") if values.dtype.kind == "M" else values
    texts: list[str] = np.where(_empty(values), "", made).tolist()
    return texts


@lru_cache(maxsize=1)
def _json_schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        files("sensai_release.table").joinpath("synthetic.schema.json").read_text(encoding="utf-8")
    )
    return document
