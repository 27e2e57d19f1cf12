"""Utility of the candidate: brings its source and its released data to one row a session, and has them compared.

The source side is work/pseudonymised/, the released side work/candidate/, both restricted to the sessions of the
candidate. Recordings are read one at a time and reduced to means at once, so memory does not grow with their length.
What is measured is `privacy.utility`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError
from sensai_release.pipeline.workspace import Params, Workspace
from sensai_release.privacy.folds import fold_balance
from sensai_release.privacy.models import Codes, Floats
from sensai_release.privacy.utility import ColumnPair, SessionData, Target, UtilityReport
from sensai_release.privacy.utility import assess_utility as measure
from sensai_release.release.tables import ReleasedTables, codes_of, label_columns, load_dictionaries
from sensai_release.table.schema import ReleaseSpec, TableSchema, released_tables
from sensai_release.table.store import read_parquet, read_shard

_Features = dict[str, Floats]
_STATISTICS = ("mean", "rate")


def assess_utility(workspace: Workspace, *, targets: Sequence[str] | None = None) -> UtilityReport:
    """The utility report of the candidate.

    `targets` are released columns (`table.column`, one value a session or a person): numbers, or categories of two
    values. By default those of params.yaml, `utility.targets`, or else the first label column of each kind. Raises
    `ConfigurationError` when there is no candidate, or a target is not such a column.
    """
    if not workspace.candidate.is_dir():
        raise ConfigurationError("the candidate", "is not there", "Run 'sensai-release build' first.")
    side = _Candidate(workspace)
    entry = workspace.params.raw.get("utility") or {}
    names = targets if targets is not None else entry.get("targets")
    if names is None:
        names = side.default_targets()
    data = SessionData(
        persons=codes_of([side.persons])[0],
        folds=side.folds(),
        **side.features(),
        targets=tuple(side.target(name) for name in names),
    )
    report = measure(data, tuple(side.pairs()), minimum=workspace.params.masking_minimum)
    return replace(report, warnings=(*report.warnings, *side.uneven_folds()))


class _Candidate:
    """The candidate and its source, by the sessions of the candidate in the order of their keys."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._params: Params = workspace.params
        self._dictionaries = load_dictionaries(workspace.candidate / "schemas")
        self._tables = ReleasedTables(workspace.candidate / "data", self._dictionaries)
        self._specs = {
            release.table: (schema, release)
            for schema, release in released_tables(workspace.schemas, self._params.profile.name)
        }
        if absent := sorted(set(self._specs) - set(self._dictionaries)):
            raise ConfigurationError(
                "the candidate", f"was built before the schemas named the table {absent[0]}", "Run 'build' first."
            )
        sessions = self._tables.read(
            self._params.session_table, [self._params.session_key, self._params.raw["sessions"]["person"]]
        )
        self.sessions: pa.Array = sessions.column(0).combine_chunks()
        self.persons: pa.ChunkedArray = sessions.column(1)

    def folds(self) -> Codes:
        """The fold of every session; everybody in one where no folds are released."""
        for table, (schema, _) in self._specs.items():
            if schema.generated == "folds":
                held = self._tables.read(table)
                at = pc.index_in(self.persons, value_set=held[self._params.person_key].combine_chunks())
                return np.asarray(pc.fill_null(held["fold"].take(at), 0).to_numpy()).astype(np.int64)
        return np.zeros(len(self.sessions), dtype=np.int64)

    def uneven_folds(self) -> Iterator[str]:
        """A sentence for each stratum of which one fold has more persons than another by more than one."""
        params = self._params
        stratum = params.raw["folds"].get("stratify")
        for table, (schema, _) in self._specs.items():
            if schema.generated != "folds":
                continue
            held, persons = self._tables.read(table), self._tables.read(params.person_table)
            labels = None
            if stratum in persons.column_names:
                at = pc.index_in(held[params.person_key], value_set=persons[params.person_key].combine_chunks())
                labels = persons[stratum].take(at)
            balance = fold_balance(held["fold"], labels, params.raw["folds"]["count"], params.masking_minimum)
            for entry in (entry for entry in balance["strata"] if entry["uneven"]):
                yield (
                    f"The folds are uneven for {stratum or 'persons'} {entry['stratum']}: from {entry['smallest']} to"
                    f" {entry['largest']} persons, rounded down. Who has a fold keeps it, also when others leave; weigh"
                    " the folds by their size."
                )

    def default_targets(self) -> list[str]:
        """The first label column with numbers, and the first with two categories."""
        labels = [
            (column["dtype"], len(column.get("categories") or ()), f"{table}.{column['name']}")
            for table, dictionary in self._dictionaries.items()
            for column in dictionary["columns"]
            if column["name"] in label_columns(dictionary)
        ]
        numbers = [name for dtype, _, name in labels if dtype == "integer"]
        groups = [name for dtype, categories, name in labels if dtype == "category" and categories == 2]
        return [*numbers[:1], *groups[:1]]

    def target(self, name: str) -> Target:
        """A released column as one value a session."""
        table, _, column = name.partition(".")
        dictionary = self._dictionaries.get(table, {"columns": (), "primary_key": ()})
        entry = next((item for item in dictionary["columns"] if item["name"] == column), None)
        key = dictionary["primary_key"]
        place = {self._params.session_key: self.sessions, self._params.person_key: self.persons}
        if entry is None or len(key) != 1 or key[0] not in place:
            raise _no_target(name)
        held = self._tables.read(table, [key[0], column])
        values = held[column].take(pc.index_in(place[key[0]], value_set=held[key[0]].combine_chunks()))
        if entry["dtype"] in ("integer", "number"):
            return Target(name=name, kind="ridge", values=_floats(values))
        categories: Sequence[str] = entry.get("categories") or []
        if len(categories) != 2:
            raise _no_target(name)
        flags = pc.if_else(pc.is_valid(values), pc.equal(values, categories[0]).cast(pa.float64()), None)
        return Target(name=name, kind="logistic", values=_floats(flags))

    def features(self) -> dict[str, Any]:
        """What `SessionData` wants: means a session of every feature column, on both sides."""
        source: _Features = {}
        released: _Features = {}
        comparable: list[str] = []
        for table, (schema, release) in self._specs.items():
            columns = self._feature_columns(table)
            if not columns:
                continue
            held = self._tables.read(table, [self._params.session_key, *columns])
            means = self._means(held, columns)
            released |= {f"{table}.{name}": values for name, values in means.items()}
            origin = self._source_means(schema, release, [columns[name]["source"] for name in columns])
            source |= {f"{table}.{name}": values for name, values in origin.items()}
            for name, entry in columns.items():
                # A window's mean and rate, and a column that was kept or rounded, mean the same on both sides.
                if name in origin and (name == entry["source"] or name in _statistics_of(entry["source"])):
                    comparable.append(f"{table}.{name}")
        return {"source": source, "released": released, "comparable": tuple(comparable)}

    def pairs(self) -> Iterator[ColumnPair]:
        """Released columns beside their source, for tables with the same rows on both sides."""
        for table, (schema, _) in self._specs.items():
            path = self._workspace.pseudonymised / f"{schema.name}.parquet"
            dictionary = self._dictionaries[table]
            key, people = dictionary["primary_key"], self._tables.persons(table)
            if len(key) != 1 or not path.is_file() or schema.generated or people is None:
                continue
            entries = [item for item in dictionary["columns"] if item["role"] != "direct_identifier"]
            wanted = sorted({item["source"] for item in entries} & set(_columns(path)))
            origin = read_parquet(path, [key[0], *wanted])
            held = self._tables.read(table)
            at = pc.index_in(held[key[0]], value_set=origin[key[0]].combine_chunks())
            for item in entries:
                if item["source"] in wanted and not at.null_count:
                    yield ColumnPair(
                        table=table,
                        column=item["name"],
                        source=origin[item["source"]].take(at),
                        released=held[item["name"]],
                        persons=codes_of([people])[0],
                    )

    def _feature_columns(self, table: str) -> dict[str, Mapping[str, Any]]:
        """Numbers that are neither keys, labels nor about the person, in a table whose rows belong to sessions."""
        dictionary = self._dictionaries[table]
        key = dictionary["primary_key"]
        if table == self._params.session_table or not key or key[0] != self._params.session_key:
            return {}
        return {
            column["name"]: column
            for column in dictionary["columns"]
            if column["role"] == "insensitive" and column["dtype"] == "number" and column["name"] not in key
        }

    def _means(self, table: pa.Table, columns: Sequence[str] | Mapping[str, Any]) -> _Features:
        """Means a session of some columns of a table, missing cells left out."""
        at = pc.fill_null(pc.index_in(table[self._params.session_key], value_set=self.sessions), -1)
        place = np.asarray(at.to_numpy()).astype(np.int64)
        count = len(self.sessions)
        found = {}
        for name in columns:
            values = _floats(table[name])
            there = np.isfinite(values) & (place >= 0)
            sums = np.bincount(place[there], values[there], minlength=count)
            rows = np.bincount(place[there], minlength=count)
            found[name] = np.divide(sums, rows, out=np.full(count, np.nan), where=rows > 0)
        return found

    def _source_means(self, schema: TableSchema, release: ReleaseSpec, columns: Sequence[str]) -> _Features:
        """The source columns a session: as they are where a session has one row, else mean, rate and deviation."""
        path = self._workspace.pseudonymised / f"{schema.name}.parquet"
        wanted = list(dict.fromkeys(columns))
        if path.is_file():
            there = [name for name in wanted if name in _columns(path)]
            table = read_parquet(path, [self._params.session_key, *there])
            return self._means(table, [name for name in there if _is_number(table[name].type)])
        found: _Features = {}
        valid = release.window.valid if release.window is not None else None
        for number, session in enumerate(self.sessions.to_pylist()):
            shard = self._workspace.pseudonymised / schema.name / f"{session}.arrow"
            if not shard.is_file():
                continue
            for name, value in reduced(read_shard(shard), wanted, valid):
                found.setdefault(name, np.full(len(self.sessions), np.nan))[number] = value
        return found


def reduced(table: pa.Table, columns: Sequence[str], valid: str | None) -> Iterator[tuple[str, float]]:
    """Mean, rate (share above zero) and standard deviation of each column of one recording, over its valid rows."""
    usable = np.ones(table.num_rows, dtype=bool)
    if valid is not None and valid in table.column_names:
        usable = _floats(table[valid]) == 1
    for name in columns:
        if name not in table.column_names or not _is_number(table[name].type):
            continue
        values = _floats(table[name])[usable]
        values = values[np.isfinite(values)]
        if len(values):
            statistics = (values.mean(), (values > 0).mean(), values.std())
            yield from zip((f"{name}_mean", f"{name}_rate", f"{name}_sd"), map(float, statistics), strict=True)


def _statistics_of(source: str) -> tuple[str, ...]:
    return tuple(f"{source}_{statistic}" for statistic in _STATISTICS)


def _columns(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    names: list[str] = pq.read_schema(path).names
    return names


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _floats(column: pa.Array | pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _no_target(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"params.yaml: utility.targets: {name}",
        "is no released number or category of two values with one value a session or a person",
        "Name a released column as table.column.",
    )
