"""One row of numbers a session: what an attacker who holds a release would compare, table by table.

Columns of class A, B and C and clinical ones, from every released table that has the key of sessions; keys, counters
and tables with one row a person are left out, as a release names a person's sessions openly and the audit asks what
the features tell without that. Tables with several rows a session are taken as means and standard deviations. Beside
the values stand the last digits of the released precision, where a watermark could hide. Attacks are `attackers`'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.actions import Floats, floats, round_significant
from sensai_release.privacy.links import Links
from sensai_release.privacy.persons import Dictionary

Batches: TypeAlias = pa.Table | Iterable[pa.Table | pa.RecordBatch]
Codes = npt.NDArray[np.int64]

CLASSES = ("A", "B", "C", "clinical")
MAXIMUM_CATEGORIES = 30
_DIGITS = re.compile(r"digits=(\d+)")
_BASE = 16
"""Bins of a last digit: ten for decimal digits, all of them for the last four bits of an unrounded number."""
_PRECISION = 12
"""Significant digits of an aggregate, so that the order of rows, which changes a sum's last bits, changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureColumn:
    """A column of the matrix: a released column of `table` and what was made of it.

    `kind` is value, mean, sd or category (the one numbered `number`), each also with `_missing`; or rows. `group` is
    the index of its `Group`.
    """

    table: str
    column: str
    kind: str
    idclass: str
    group: int
    number: int = 0

    @property
    def name(self) -> str:
        suffix = {"value": "", "category": f"={self.number}"}.get(self.kind, f":{self.kind}")
        return f"{self.table}.{self.column}{suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The released columns that one entry of a schema made; a steward changes them together."""

    name: str
    table: str
    idclass: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFeatures:
    """`values` (sessions, columns) without gaps; `digits` (sessions, low columns, 16) holds the share of a session's
    cells with each last digit; `persons` numbers the person of each session. The order of sessions, columns and persons
    follows from the values alone, never from identifiers. `one_row` are the tables with at most one row a session.
    """

    persons: Codes
    values: Floats
    columns: tuple[FeatureColumn, ...]
    digits: Floats
    digit_columns: tuple[FeatureColumn, ...]
    groups: tuple[Group, ...]
    one_row: frozenset[str]
    left_out: tuple[str, ...]


def session_features(
    tables: Mapping[str, Batches], dictionaries: Mapping[str, Dictionary], links: Links | None = None
) -> SessionFeatures:
    """The features of every session in the table of sessions, which leads to persons.

    A table is an Arrow table, or an iterable of its batches (read once, one at a time). Missing cells get the mean of
    their column, and where 1 to 99 % are missing a column says so. Constant columns are left out, as are categories
    beyond 30 and columns of text (`left_out`). Raises `ConfigurationError` when the table of sessions or its keys are
    absent, or when rows of another table lead to no session.
    """
    links = links or Links()
    sessions = tables.get(links.sessions)
    if not isinstance(sessions, pa.Table) or not {links.session_key, links.person_key} <= set(sessions.column_names):
        raise ConfigurationError("params.yaml: sessions", "names no released table of sessions", "Mend 'sessions'.")
    keys = sessions[links.session_key].combine_chunks()
    persons = pc.rank(sessions[links.person_key].combine_chunks(), tiebreaker="dense").to_numpy().astype(np.int64) - 1
    parts = []
    for name in sorted(tables):
        wanted = _wanted(dictionaries[name], links)
        if wanted is not None:
            parts.append(_aggregate(name, tables[name], wanted, keys, links))
    return _assembled(parts, persons)


def _wanted(dictionary: Dictionary, links: Links) -> list[dict[str, Any]] | None:
    """The columns to compare; `None` for a table that does not lead to sessions."""
    if links.session_key not in [column["name"] for column in dictionary["columns"]]:
        return None
    keys = {*(dictionary.get("primary_key") or ()), *(key["column"] for key in dictionary.get("foreign_keys", ()))}
    return [
        dict(column)
        for column in sorted(dictionary["columns"], key=lambda column: str(column["name"]))
        if column["class"] in CLASSES and column["role"] != "direct_identifier" and column["name"] not in keys
    ]


@dataclass(slots=True, kw_only=True)
class _Part:
    """What one table says about each session."""

    values: list[Floats]
    columns: list[FeatureColumn]
    digits: list[Floats]
    digit_columns: list[FeatureColumn]
    groups: list[Group]
    left_out: list[str]
    one_row: bool
    table: str


def _aggregate(table: str, batches: Batches, wanted: list[dict[str, Any]], keys: pa.Array, links: Links) -> _Part:
    numeric: _Numbers | None = None
    categories: dict[str, tuple[pa.Array, Floats]] = {}
    left_out: list[str] = []
    rows = np.zeros(len(keys), dtype=np.int64)
    for batch in [batches] if isinstance(batches, pa.Table) else batches:
        found = pc.index_in(batch.column(links.session_key), value_set=keys)
        if found.null_count:
            raise ConfigurationError(
                f"the released table {table}", "has rows that do not lead to a session", "Add it, or drop the rows."
            )
        at = np.asarray(found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy())
        at = at.astype(np.int64)
        if numeric is None:
            names = [column for column in wanted if _is_numeric(batch.schema.field(column["name"]).type)]
            numeric = _Numbers.empty(names, batch, len(keys))
            categories, left_out = _categories(wanted, batch, len(keys))
        rows += np.bincount(at, minlength=len(keys))
        numeric.add(batch, at)
        for name, (labels, counts) in categories.items():
            codes = pc.index_in(pc.cast(batch.column(name), pa.string()), value_set=labels)
            filled = np.asarray(pc.fill_null(codes, len(labels)).to_numpy(zero_copy_only=False)).astype(np.int64)
            width = len(labels) + 1
            counts += np.bincount(at * width + filled, minlength=counts.size).reshape(counts.shape)
    return _part(table, wanted, numeric, categories, left_out, rows)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _categories(
    wanted: list[dict[str, Any]], batch: Any, sessions: int
) -> tuple[dict[str, tuple[pa.Array, Floats]], list[str]]:
    """Labels and empty counts (sessions, labels and missing) of every categorical column, and what has too many."""
    found: dict[str, tuple[pa.Array, Floats]] = {}
    left_out = []
    for column in wanted:
        name = column["name"]
        if _is_numeric(batch.schema.field(name).type):
            continue
        declared = column.get("categories")
        values = pc.unique(pc.cast(batch.column(name), pa.string())).drop_null()
        labels = pa.array(sorted(declared if declared is not None else values.to_pylist()), pa.string())
        if column["dtype"] not in ("category", "boolean") or len(labels) > MAXIMUM_CATEGORIES:
            left_out.append(name)
            continue
        found[name] = (labels, np.zeros((sessions, len(labels) + 1)))
    return found, left_out


@dataclass(slots=True, kw_only=True)
class _Numbers:
    """Running number, mean, sum of squared deviations and last digits of each numeric column in each session.

    Batches are merged by the formulas of Chan, Golub and LeVeque (https://doi.org/10.1080/00031305.1983.10483115).
    """

    columns: list[dict[str, Any]]
    rules: list[tuple[str, int]]
    count: Floats
    mean: Floats
    squares: Floats
    digits: Floats

    @classmethod
    def empty(cls, columns: list[dict[str, Any]], batch: Any, sessions: int) -> _Numbers:
        shape = (sessions, len(columns))
        rules = [_precision(column, floats(batch.column(column["name"]))) for column in columns]
        return cls(
            columns=columns,
            rules=rules,
            count=np.zeros(shape),
            mean=np.zeros(shape),
            squares=np.zeros(shape),
            digits=np.zeros((*shape, _BASE)),
        )

    def add(self, batch: Any, at: Codes) -> None:
        if len(at) == 0:
            return
        order = np.argsort(at, kind="stable")
        sorted_at = at[order]
        starts = np.flatnonzero(np.r_[True, sorted_at[1:] != sorted_at[:-1]])
        seen, sizes = sorted_at[starts], np.diff(np.r_[starts, len(at)])
        for position, (column, rule) in enumerate(zip(self.columns, self.rules, strict=True)):
            cells = floats(batch.column(column["name"]))[order]
            there = np.isfinite(cells)
            filled = np.where(there, cells, 0.0)
            count = np.add.reduceat(there.astype(np.float64), starts)
            mean = np.add.reduceat(filled, starts) / np.maximum(count, 1.0)
            apart = np.where(there, filled - np.repeat(mean, sizes), 0.0)
            squares = np.add.reduceat(apart * apart, starts)
            self._merge(position, seen, count, mean, squares)
            digit = last_digits(filled[there], rule)
            cell = sorted_at[there] * _BASE + digit
            self.digits[:, position] += np.bincount(cell, minlength=len(self.count) * _BASE).reshape(-1, _BASE)

    def _merge(self, position: int, seen: Codes, count: Floats, mean: Floats, squares: Floats) -> None:
        before, held = self.count[seen, position], self.mean[seen, position]
        total = before + count
        share = count / np.maximum(total, 1.0)
        self.squares[seen, position] += squares + (mean - held) ** 2 * before * share
        self.mean[seen, position] = np.where(before == 0, mean, held + (mean - held) * share)
        self.count[seen, position] = total


def _precision(column: Mapping[str, Any], sample: Floats) -> tuple[str, int]:
    """How a column was rounded: to `significant` digits, to `decimals`, or not, where the last `bits` are looked at.

    The dictionary's action says so, else a sample of the column does.
    """
    stated = _DIGITS.search(str(column.get("action", "")))
    if stated is not None:
        return "significant", int(stated.group(1))
    finite = sample[np.isfinite(sample)]
    for decimals in range(8):
        if np.array_equal(np.round(finite, decimals), finite):
            return "decimals", decimals
    for digits in range(2, 10):
        if np.array_equal(round_significant(finite, digits), finite):
            return "significant", digits
    return "bits", 32 if np.array_equal(finite.astype(np.float32).astype(np.float64), finite) else 64


def last_digits(values: Floats, rule: tuple[str, int]) -> Codes:
    """The last digit of each finite value by its `_precision`: 0 to 9, or the last four bits of an unrounded number."""
    kind, size = rule
    magnitude = np.abs(values)
    if kind == "bits":
        bits = values.astype(np.float32).view(np.uint32) if size == 32 else values.view(np.uint64)
        return np.asarray(bits & 15).astype(np.int64)
    exponent = np.full(len(values), size, dtype=np.float64)
    if kind == "significant":
        safe = np.where(magnitude > 0, magnitude, 1.0)
        leading = np.floor(np.log10(safe))
        leading += (safe >= 10.0 ** (leading + 1)).astype(np.float64) - (safe < 10.0**leading).astype(np.float64)
        exponent = size - 1 - leading
    scaled = np.rint(magnitude * 10.0 ** np.clip(exponent, -300, 300))
    return np.asarray(np.mod(scaled, 10.0)).astype(np.int64)


def _part(
    table: str,
    wanted: list[dict[str, Any]],
    numeric: _Numbers | None,
    categories: Mapping[str, tuple[pa.Array, Floats]],
    left_out: list[str],
    rows: Codes,
) -> _Part:
    one_row = bool(rows.max(initial=0) <= 1)
    groups, group_of = _groups(table, wanted)
    part = _Part(
        values=[],
        columns=[],
        digits=[],
        digit_columns=[],
        groups=groups,
        left_out=[f"{table}.{name}" for name in left_out],
        one_row=one_row,
        table=table,
    )

    def put(column: Mapping[str, Any], kind: str, values: Floats, number: int = 0) -> None:
        part.values.append(values)
        part.columns.append(_feature(table, column, kind, group_of, number))

    if numeric is not None:
        for position, column in enumerate(numeric.columns):
            count = numeric.count[:, position]
            mean = np.where(count > 0, numeric.mean[:, position], np.nan)
            put(column, "value" if one_row else "mean", mean if one_row else round_significant(mean, _PRECISION))
            if not one_row:
                spread = np.sqrt(numeric.squares[:, position] / np.maximum(count - 1, 1))
                put(column, "sd", round_significant(np.where(count > 1, spread, np.nan), _PRECISION))
            part.digits.append(numeric.digits[:, position] / np.maximum(count, 1.0)[:, None])
            part.digit_columns.append(_feature(table, column, "digit", group_of, 0))
    for name, (labels, counts) in categories.items():
        column = next(column for column in wanted if column["name"] == name)
        held = counts[:, :-1].sum(axis=1)
        for number in range(len(labels)):
            share = counts[:, number] / np.maximum(held, 1.0)
            put(column, "category", np.where(held > 0, share, np.nan), number + 1)
    if not one_row and part.columns:
        classes = sorted({column["class"] for column in wanted}, key=CLASSES.index)
        groups.append(Group(name=f"{table}: number of rows", table=table, idclass=classes[-1], columns=()))
        part.values.append(rows.astype(np.float64))
        part.columns.append(
            FeatureColumn(table=table, column="", kind="rows", idclass=classes[-1], group=len(groups) - 1)
        )
    return part


def _feature(
    table: str, column: Mapping[str, Any], kind: str, group_of: Mapping[str, int], number: int
) -> FeatureColumn:
    return FeatureColumn(
        table=table,
        column=column["name"],
        kind=kind,
        idclass=column["class"],
        group=group_of[column["name"]],
        number=number,
    )


def _groups(table: str, wanted: Sequence[Mapping[str, Any]]) -> tuple[list[Group], dict[str, int]]:
    """Columns of one entry share its description; a window adds only which statistic it is."""
    members: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for column in wanted:
        description = str(column.get("description") or column["name"])
        members.setdefault((column["class"], description.partition(" Here: ")[0]), []).append(column)
    groups: list[Group] = []
    group_of: dict[str, int] = {}
    for number, ((idclass, _), columns) in enumerate(members.items()):
        names = tuple(str(column["name"]) for column in columns)
        groups.append(Group(name=f"{table}: {_stem(names)}", table=table, idclass=idclass, columns=names))
        group_of |= dict.fromkeys(names, number)
    return groups, group_of


def _stem(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    length = next((n for n, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), len(min(names)))
    stem = names[0][:length].rstrip("_.-")
    return f"{stem}* ({len(names)} columns)" if len(stem) >= 4 else f"{names[0]} and {len(names) - 1} more"


def _assembled(parts: Sequence[_Part], persons: Codes) -> SessionFeatures:
    groups: list[Group] = []
    columns: list[FeatureColumn] = []
    values: list[Floats] = []
    digits: list[Floats] = []
    digit_columns: list[FeatureColumn] = []
    for part in parts:
        gaps: set[bytes] = set()
        for column, cells in zip(part.columns, part.values, strict=True):
            for made, filled in _filled(column, cells, gaps):
                columns.append(_moved(made, len(groups)))
                values.append(filled)
        for column, shares in zip(part.digit_columns, part.digits, strict=True):
            if np.ptp(shares, axis=0).max() > 0:
                digit_columns.append(_moved(column, len(groups)))
                digits.append(shares)
        groups += part.groups
    count = len(persons)
    matrix = np.stack(values, axis=1) if values else np.zeros((count, 0))
    low = np.stack(digits, axis=1) if digits else np.zeros((count, 0, _BASE))
    # Order by content: neither the order of rows nor the spelling of a pseudonym may move a result.
    order = np.lexsort(matrix.T[::-1]) if matrix.shape[1] else np.arange(count)
    _, first, inverse = np.unique(persons[order], return_index=True, return_inverse=True)
    ranked = np.argsort(np.argsort(first))
    return SessionFeatures(
        persons=ranked[inverse.reshape(-1)].astype(np.int64),
        values=matrix[order],
        columns=tuple(columns),
        digits=low[order],
        digit_columns=tuple(digit_columns),
        groups=tuple(groups),
        one_row=frozenset(part.table for part in parts if part.one_row),
        left_out=tuple(sorted(name for part in parts for name in part.left_out)),
    )


def _moved(column: FeatureColumn, by: int) -> FeatureColumn:
    return FeatureColumn(
        table=column.table,
        column=column.column,
        kind=column.kind,
        idclass=column.idclass,
        group=column.group + by,
        number=column.number,
    )


def _filled(column: FeatureColumn, cells: Floats, gaps: set[bytes]) -> list[tuple[FeatureColumn, Floats]]:
    """The column with its mean where it is missing, and a column that says where, once for each pattern in a table."""
    missing = ~np.isfinite(cells)
    if missing.all():
        return []
    mean = float(np.sort(cells[~missing]).mean())
    filled = np.where(missing, mean, cells)
    made = [(column, filled)] if np.ptp(cells[~missing]) > 0 else []
    if 0.01 <= missing.mean() <= 0.99 and missing.tobytes() not in gaps:
        gaps.add(missing.tobytes())
        flag = FeatureColumn(
            table=column.table,
            column=column.column,
            kind=f"{column.kind}_missing",
            idclass=column.idclass,
            group=column.group,
            number=column.number,
        )
        made.append((flag, missing.astype(np.float64)))
    return made
