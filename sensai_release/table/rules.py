"""Rules across tables: foreign keys, and the `rules` of the schemas.

Works on whole tables that the readers gave; a table with one file per recording is represented by one column, its
keys. Values within a table are for `table.checks`; who is in a release is for `privacy` and `governance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError
from sensai_release.table.checks import Mask, canonical, repeats
from sensai_release.table.findings import Finding
from sensai_release.table.schema import ForeignKey, SchemaSet, TableSchema

_FORMS = (r"(^|[^0-9])0+([0-9])", r"\1\2"), (r"\.0+$", "")
_SAME_FILE = "Files whose names differ by letter case or form alone are one recording. Keep one of them."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hop:
    """From a column of one table to the row of another whose key column has the same value."""

    column: str
    table: str
    key: str


def check_rules(tables: Mapping[str, pa.Table], schemas: SchemaSet) -> tuple[Finding, ...]:
    """Findings `key.unknown`, `key.forms`, `rule.rows_per`, `rule.equals`, `rule.after`; of recordings `key.duplicate`.

    They come by table, then in the order of the schema. A key of another form (`07`, `7`) is unknown as well: whether
    the two are one person nobody can tell.

    Identifiers are compared in canonical form. A missing value never matches a `where` and never breaks a rule. A rule
    that needs a table or column that is not in `tables` is passed over: why it is not there has its own finding.
    For tables with a file per recording the rows are the files, in the byte order of their names.
    Raises `ConfigurationError` when a rule names what no schema declares, or tables that no keys join.
    """
    findings: list[Finding] = []
    study = _Study(tables=tables, schemas=schemas)
    for name in sorted(schemas):
        schema = schemas[name]
        if schema.source is not None and schema.source.per_recording and schema.source.recording_key is not None:
            keys = study.column(name, schema.source.recording_key)
            mask = None if keys is None else repeats([keys])
            findings += _finding(schema, schema.source.recording_key, "key.duplicate", mask, _SAME_FILE)
        for key in schema.foreign_keys:
            mask = study.unknown(name, key)
            text = f"The key is not in the table '{key.table}'. Add its row there, or correct the key."
            findings += _finding(schema, key.column, "key.unknown", mask, text)
            mask = study.of_another_form(name, key)
            text = f"The table '{key.table}' writes the same number in another way (01, 1, 1.0). Write it in one way."
            findings += _finding(schema, key.column, "key.forms", mask, text)
        for number, rule in enumerate(schema.rules):
            column, mask = study.broken(name, rule, f"schemas/{name}.yaml: rules.{number}")
            findings += _finding(schema, column, f"rule.{rule['rule']}", mask, _explain(rule))
    return tuple(findings)


def _explain(rule: Mapping[str, Any]) -> str:
    where = "".join(f" where {column} is {value}" for column, value in rule.get("where", {}).items())
    if rule["rule"] == "rows_per":
        text = f"At most {rule['maximum']} row(s) per {rule['by']}{where}"
    elif rule["rule"] == "equals":
        text = f"{rule['column']} must be {rule['value']}{where}"
    else:
        text = f"{rule['column']} must lie after {rule['after']}"
    return f"{text}. Correct the rows at the source."


def _finding(schema: TableSchema, column: str, code: str, mask: Mask | None, text: str) -> list[Finding]:
    count = 0 if mask is None else int(np.count_nonzero(mask))
    if mask is None or not count:
        return []
    row: int | None = int(mask.argmax()) + 1
    file = schema.source.file if schema.source is not None else None
    if schema.source is not None and schema.source.per_recording:
        file, row = f"{schema.source.file}#{row}", None
    return [Finding(table=schema.name, file=file, column=column, code=code, row=row, count=count, message=text)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Study:
    """The tables with their schemas, and how keys join them."""

    tables: Mapping[str, pa.Table]
    schemas: SchemaSet

    def column(self, table: str, name: str) -> pa.ChunkedArray | None:
        """A column, identifiers in canonical form; `None` when the table or the column was not read."""
        data = self.tables.get(table)
        if data is None or name not in data.column_names:
            return None
        values = data.column(name)
        spec = self.schemas[table].match(name)
        is_identifier = spec is not None and spec.identifier is not None and pa.types.is_string(values.type)
        return canonical(values) if is_identifier else values

    def unknown(self, table: str, key: ForeignKey) -> Mask | None:
        values, known = self.column(table, key.column), self.column(key.table, key.key)
        if values is None or known is None:
            return None
        return _array(pc.and_not(values.is_valid(), pc.is_in(values, value_set=known.combine_chunks())))

    def of_another_form(self, table: str, key: ForeignKey) -> Mask | None:
        """Unknown keys that are known but for leading zeros of a number, or a spreadsheet's final `.0`."""
        values, known = self.column(table, key.column), self.column(key.table, key.key)
        if values is None or known is None or not pa.types.is_string(values.type) or values.type != known.type:
            return None
        alike = pc.is_in(_one_form(values), value_set=_one_form(known).combine_chunks(), skip_nulls=True)
        return _array(pc.and_not(alike, pc.is_in(values, value_set=known.combine_chunks())))

    def broken(self, table: str, rule: Mapping[str, Any], place: str) -> tuple[str, Mask | None]:
        """The column that a rule is about, and the rows that break it; no mask when the rule cannot be applied."""
        applies = self._where(table, rule, place)
        if rule["rule"] == "rows_per":
            column = self._declared(table, rule["by"], place)
            values = self.column(table, column)
            if values is None or applies is None:
                return column, None
            present = pc.if_else(pa.array(applies), values.combine_chunks(), pa.scalar(None, values.type))
            return column, repeats([pa.chunked_array([present])], rule["maximum"])
        column = self._declared(table, rule["column"], place)
        values = self.column(table, column)
        if values is None or applies is None:
            return column, None
        if rule["rule"] == "equals":
            differs = pc.not_equal(values, _scalar(rule["value"], values.type, f"{place}.value"))
            return column, _array(differs) & applies
        other = self._reach(table, rule["after"], f"{place}.after")
        if other is None:
            return column, None
        return column, _array(pc.less_equal(*_comparable(values, other, place)))

    def _declared(self, table: str, column: str, place: str) -> str:
        if self.schemas[table].match(column) is None:
            raise ConfigurationError(place, f"names the column '{column}', which is not declared", "Mend the rule.")
        return column

    def _where(self, table: str, rule: Mapping[str, Any], place: str) -> Mask | None:
        """The rows that a rule is about; all of them when it says no `where`."""
        data = self.tables.get(table)
        if data is None:
            return None
        applies = np.ones(data.num_rows, dtype=bool)
        for reference, value in rule.get("where", {}).items():
            found = self._reach(table, reference, f"{place}.where")
            if found is None:
                return None
            applies &= _array(pc.equal(found, _scalar(value, found.type, f"{place}.where")))
        return applies

    def _reach(self, table: str, reference: str, place: str) -> pa.ChunkedArray | None:
        """The values of `other_table.column`, one for each row of `table`, joined through keys."""
        target, _, column = reference.partition(".")
        if target not in self.schemas:
            raise ConfigurationError(place, f"names the table '{target}', which is not declared", "Mend the rule.")
        self._declared(target, column, place)
        hops = self._path(table, target, place)
        data = self.tables.get(table)
        if data is None:
            return None
        rows = pa.chunked_array([pa.array(np.arange(data.num_rows), pa.int64())])
        at = table
        for hop in hops:
            values, keys = self.column(at, hop.column), self.column(hop.table, hop.key)
            if values is None or keys is None:
                return None
            # `index_in` gives the first row with that key; that there is only one is the primary key's affair.
            rows = pc.index_in(values.take(rows), value_set=keys.combine_chunks(), skip_nulls=True)
            at = hop.table
        found = self.column(target, column)
        return None if found is None else found.take(rows)

    def _path(self, start: str, target: str, place: str) -> Sequence[_Hop]:
        """The shortest way from table to table; of equally short ones the first in the order of the schemas."""
        ways: dict[str, list[_Hop]] = {start: []}
        queue = [start]
        while queue:
            at = queue.pop(0)
            for hop in self._hops(at):
                if hop.table not in ways:
                    ways[hop.table] = [*ways[at], hop]
                    queue.append(hop.table)
        if target not in ways:
            raise ConfigurationError(
                place, f"needs the table '{target}', to which no keys lead from '{start}'", "Declare 'foreign_keys'."
            )
        return ways[target]

    def _hops(self, table: str) -> list[_Hop]:
        """The tables of which each row of `table` has at most one row: its parents, and those that extend it."""
        hops = [_Hop(column=key.column, table=key.table, key=key.key) for key in self.schemas[table].foreign_keys]
        for name in sorted(self.schemas):
            hops += [
                _Hop(column=key.key, table=name, key=key.column)
                for key in self.schemas[name].foreign_keys
                if key.table == table and self.schemas[name].primary_key == (key.column,)
            ]
        return hops


def _one_form(keys: pa.ChunkedArray) -> pa.ChunkedArray:
    for pattern, replacement in _FORMS:
        keys = pc.replace_substring_regex(keys, pattern, replacement)
    return keys


def _array(mask: pa.ChunkedArray) -> Mask:
    values: Mask = pc.fill_null(mask, False).to_numpy()
    return values


def _scalar(value: Any, kind: pa.DataType, place: str) -> pa.Scalar:
    """A value of a rule in the type of its column."""
    accepted: tuple[type, ...] = (int, float)
    if pa.types.is_boolean(kind):
        accepted = (bool,)
    elif pa.types.is_string(kind) or pa.types.is_temporal(kind):
        accepted = (str,)
    # In Python a truth value is an integer too.
    if not isinstance(value, accepted) or isinstance(value, bool) is not (accepted == (bool,)):
        raise ConfigurationError(place, "has a value of another type than its column", "Write it as the column's type.")
    try:
        return pc.cast(pa.scalar(value), kind)
    except pa.ArrowInvalid:
        raise ConfigurationError(place, "has a value that its column cannot hold", "Mend the rule.") from None


def _comparable(left: pa.ChunkedArray, right: pa.ChunkedArray, place: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Two columns of which one can lie after the other; a date counts as its midnight."""
    kinds = (left.type, right.type)
    if all(pa.types.is_temporal(kind) for kind in kinds):
        return pc.cast(left, pa.timestamp("us")), pc.cast(right, pa.timestamp("us"))
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        return left, right
    raise ConfigurationError(place, "compares columns that have no common order", "Declare both as dates or numbers.")
