"""Decides from a header which column is what, and how the rest of the file is to be read.

The result is a plan that all files with the same header share. Knows no cell; a header that lacks, doubles or adds
columns is described by findings.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sensai_release.table.findings import Finding
from sensai_release.table.matching import SchemaMemo, key_from_file
from sensai_release.table.readers.files import ReadLimits
from sensai_release.table.schema import ColumnSpec, Dtype, TableSchema

# Possessive: no byte is looked at twice, whatever the file.
_RECORD = re.compile(rb'(?:[^"\r\n]++|"[^"]*+(?:"|\Z))*+(?:\r\n|\n|\r|\Z)')
_SAFE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.()\[\] -]{0,63}")
_NAMED_UNDECLARED = 20
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedColumn:
    """A column to be read: its place in the file (0-based), its name and its entry. `kept`: it is in the result."""

    position: int
    name: str
    spec: ColumnSpec
    kept: bool
    duration: bool = False

    @property
    def dtype(self) -> Dtype:
        return self.spec.dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to read all files with one header. `findings` name no file yet; not `readable`: there is no point in it.

    `quote` is empty when nothing is quoted in the usual way. `path_column` gives the key by the stems of its paths.
    """

    delimiter: str
    quote: str
    findings: tuple[Finding, ...]
    readable: bool
    width: int
    columns: tuple[PlannedColumn, ...] = ()
    names: tuple[str, ...] = ()
    dropped: int = 0
    path_column: str | None = None


_PLANS: SchemaMemo[Plan] = SchemaMemo()


def header_end(data: bytes, start: int) -> int:
    """Where the first record ends, its line end included; line breaks inside quotation marks do not count."""
    match = _RECORD.match(data, start)
    return match.end() if match is not None else len(data)


def plan_for(header: bytes, schema: TableSchema, needed: frozenset[str] | None, limits: ReadLimits) -> Plan:
    """The plan for a header line (UTF-8, without byte order mark), remembered by its bytes."""
    return _PLANS.get(schema, (header, needed, limits), lambda: _plan(header.decode("utf-8"), schema, needed, limits))


def plan_names(
    names: Sequence[str], schema: TableSchema, needed: frozenset[str] | None, limits: ReadLimits, *, quote: str = '"'
) -> Plan:
    """The plan for a container that tells the names of its columns itself; its rows, if text, stand between commas."""
    names = [name.strip() for name in names]
    specs = [schema.match(name) for name in names]
    return _plan_columns(",", quote, names, specs, schema, needed, limits)


def _plan(header: str, schema: TableSchema, needed: frozenset[str] | None, limits: ReadLimits) -> Plan:
    # Before it is split: millions of names would take gigabytes.
    most = max(map(header.count, _DELIMITERS)) + 1
    if most > limits.columns:
        return Plan(delimiter="", quote="", findings=(_too_wide(schema, limits),), readable=False, width=most)
    delimiter, names, specs = _split(header.rstrip("\r\n"), schema)
    quote = "" if _is_native_opensmile(schema, delimiter, names) else '"'
    return _plan_columns(delimiter, quote, names, specs, schema, needed, limits)


def _plan_columns(
    delimiter: str,
    quote: str,
    names: list[str],
    specs: list[ColumnSpec | None],
    schema: TableSchema,
    needed: frozenset[str] | None,
    limits: ReadLimits,
) -> Plan:
    refusal = _refusal(delimiter, names, schema, limits)
    if refusal is not None:
        return Plan(delimiter=delimiter, quote=quote, findings=refusal, readable=False, width=len(names))
    path_column = _path_column(schema, names)
    columns = _columns(names, specs, schema, needed, path_column)
    declared = sum(spec is not None for spec in specs)
    findings = (*_undeclared(names, specs, schema), *_missing(names, specs, schema, path_column))
    return Plan(
        delimiter=delimiter,
        quote=quote,
        findings=(*findings, *_other_tool(names, schema, doubtful=bool(findings))),
        readable=True,
        width=len(names),
        columns=columns,
        names=_result_names(columns, schema, path_column),
        dropped=declared - len([column for column in columns if column.kept or column.name == path_column]),
        path_column=path_column,
    )


def _path_column(schema: TableSchema, names: Sequence[str]) -> str | None:
    """The column of paths. SMILExtract calls `name` what the Python package calls `file`, and it writes no other."""
    source = schema.source
    if source is None or source.key_from_stem_of is None:
        return None
    native = source.reader == "opensmile" and source.key_from_stem_of == "file" and "file" not in names
    return "name" if native and "name" in names and schema.match("name") is not None else source.key_from_stem_of


def _other_tool(names: Sequence[str], schema: TableSchema, *, doubtful: bool) -> tuple[Finding, ...]:
    """A hint, when something is wrong with the columns, that the file comes from another tool than the declared one."""
    if not doubtful:
        return ()
    from sensai_release.table.catalogue import identify_tool

    match = identify_tool(names)
    if match is None or (schema.source is not None and match.tool == schema.source.reader):
        return ()
    text = f"The columns are those of {match.describe}. Check that the file belongs to this table."
    return (Finding(table=schema.name, code="file.other_tool", severity="warning", message=text),)


def _is_native_opensmile(schema: TableSchema, delimiter: str, names: Sequence[str]) -> bool:
    """SMILExtract's own sink: semicolons, first the instance name in single quotes, then a frame time or index."""
    opensmile = schema.source is not None and schema.source.reader == "opensmile"
    return opensmile and delimiter == ";" and names[:1] == ["name"]


def _split(header: str, schema: TableSchema) -> tuple[str, list[str], list[ColumnSpec | None]]:
    """The delimiter that yields the most declared columns (empty when two yield as many), with names and entries."""
    tried = []
    for delimiter in [mark for mark in _DELIMITERS if mark in header] or [","]:
        try:
            raw = next(csv.reader([header], delimiter=delimiter), [""])
        except csv.Error:
            raw = header.split(delimiter)
        names = [name.strip() for name in raw]
        specs = [schema.match(name) for name in names]
        tried.append((sum(spec is not None for spec in specs), len(names), delimiter, names, specs))
    # Where no declared column is in sight, the delimiter with the most columns only serves the message.
    tried.sort(key=lambda entry: entry[:2], reverse=True)
    declared, _, delimiter, names, specs = tried[0]
    if declared and len(tried) > 1 and tried[1][0] == declared:
        delimiter = ""
    return delimiter, names, specs


def _refusal(delimiter: str, names: list[str], schema: TableSchema, limits: ReadLimits) -> tuple[Finding, ...] | None:
    if not delimiter:
        text = "Two delimiters fit the header equally well. Save the file with one of comma, semicolon or tab."
        return (Finding(table=schema.name, code="file.delimiter", message=text),)
    if len(names) > limits.columns:
        return (_too_wide(schema, limits),)
    seen: set[str] = set()
    doubled: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        folded = unicodedata.normalize("NFKC", name).strip()
        if folded and folded in seen:
            # The name itself is shown only where the schema knows it; a headerless file has values for names.
            shown = folded if schema.match(folded) is not None else f"#{position}"
            doubled[shown] = doubled.get(shown, 0) + 1
        seen.add(folded)
    key = key_from_file(schema)
    if key is not None and key in seen:
        doubled[key] = doubled.get(key, 0) + 1
    if not doubled:
        return None
    text = "The column stands twice, or the file's name already gives it. Keep one."
    return tuple(
        Finding(table=schema.name, code="column.duplicate", column=name, count=count, message=text)
        for name, count in doubled.items()
    )


def _too_wide(schema: TableSchema, limits: ReadLimits) -> Finding:
    text = f"The header has more than {limits.columns} columns. Check what the file is."
    return Finding(table=schema.name, code="file.too_wide", message=text)


def _required(schema: TableSchema) -> list[ColumnSpec]:
    key = key_from_file(schema)
    return [spec for spec in schema.columns if spec.required and not spec.is_derived and spec.label != key]


def _undeclared(names: Sequence[str], specs: Sequence[ColumnSpec | None], schema: TableSchema) -> tuple[Finding, ...]:
    required = [spec.name for spec in _required(schema) if spec.name is not None]
    present = sum(name in names for name in required)
    total = len(required)
    if not total:
        present, total = sum(spec is not None for spec in specs), len(specs)
    is_header = present > 0 and 2 * present >= total
    text = "No entry of the schema speaks for this column. Declare it, or take it out of the export."
    findings = [
        Finding(
            table=schema.name,
            code="column.undeclared",
            column=name if is_header and _SAFE_NAME.fullmatch(name) else f"#{position}",
            message=text,
        )
        for position, (name, spec) in enumerate(zip(names, specs, strict=True), start=1)
        if spec is None
    ]
    if len(findings) <= _NAMED_UNDECLARED:
        return tuple(findings)
    rest = Finding(
        table=schema.name,
        code="column.undeclared",
        count=len(findings) - _NAMED_UNDECLARED,
        message="Further columns that no entry of the schema speaks for. Check that the file belongs to this table.",
    )
    return (*findings[:_NAMED_UNDECLARED], rest)


def _missing(
    names: Sequence[str], specs: Sequence[ColumnSpec | None], schema: TableSchema, path_column: str | None
) -> tuple[Finding, ...]:
    found = {spec.label for spec in specs if spec is not None}
    if schema.source is not None and path_column is not None and path_column in names:
        # The native name stands in for the declared column of paths.
        found.add(schema.source.key_from_stem_of or path_column)
    text = "The schema requires this column. Export it too, or declare it 'required: false'."
    return tuple(
        Finding(table=schema.name, code="column.missing", column=spec.label, message=text)
        for spec in _required(schema)
        if spec.label not in found and spec.name not in names
    )


def _columns(
    names: Sequence[str],
    specs: Sequence[ColumnSpec | None],
    schema: TableSchema,
    needed: frozenset[str] | None,
    path_column: str | None,
) -> tuple[PlannedColumn, ...]:
    """The columns to be read: named entries in the order of the schema, then those of patterns, as in the file."""
    reader = schema.source.reader if schema.source is not None else "delimited"
    # OpenFace writes one row per face: without these two nobody can tell whose row it is.
    always = {"face_id", "success"} if reader == "openface" else {path_column}
    order = {spec.label: number for number, spec in enumerate(schema.columns)}
    columns = []
    for position, (name, spec) in enumerate(zip(names, specs, strict=True)):
        if spec is None:
            continue
        wanted = spec.label in needed if needed is not None else name != path_column
        if wanted or name in always:
            duration = reader == "opensmile" and name in ("start", "end") and spec.dtype == "number"
            columns.append(PlannedColumn(position=position, name=name, spec=spec, kept=wanted, duration=duration))
    named = [column for column in columns if column.spec.name is not None]
    by_pattern = [column for column in columns if column.spec.name is None]
    return (*sorted(named, key=lambda column: order[column.spec.label]), *by_pattern)


def _result_names(columns: Sequence[PlannedColumn], schema: TableSchema, path_column: str | None) -> tuple[str, ...]:
    """The columns of the result in their order; the key that a column of paths gives stands where the schema has it."""
    kept = [column.name for column in columns if column.kept]
    key = key_from_file(schema)
    if key is None or path_column is None or all(column.name != path_column for column in columns):
        return tuple(kept)
    before = []
    for spec in schema.columns:
        if spec.label == key:
            break
        before.append(spec.label)
    else:
        before = []
    place = sum(name in before for name in kept)
    return (*kept[:place], key, *kept[place:])
