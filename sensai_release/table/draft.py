"""Drafts the schema of a table from a profile: what the catalogue knows is classified, all else is `undecided`.

A draft is a beginning, made to be refused: every column that a person must decide on has the class `undecided`, which
stops a build. It holds no value, no bound and no count taken from the data. Writing it is for `pipeline.drafting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sensai_release.table.catalogue import (
    CatalogueEntry,
    Layout,
    ToolMatch,
    classify,
    identify_tool,
    load_catalogue,
    load_tool,
)
from sensai_release.table.columns import ColumnSpec
from sensai_release.table.profiling import ColumnProfile, FileProfile

_UNDECIDED = "Nobody has decided yet. Set class, role and action, and say why."
_LATER = {
    "A": "Dropped until a person decides: aggregate it per session under the linkability audit, or relate it to the "
    "person's own reference recording.",
    "B": "Dropped: a table of frames without a column of time has no windows to aggregate it in.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A key that another schema of the workspace describes: its entry there, and what a foreign key refers to."""

    spec: ColumnSpec
    references: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftEntry:
    """One entry of the drafted schema, with the profiles of the columns that it speaks for.

    `outside` counts the cells outside the catalogue's range; `None` where it gives none.
    """

    label: str
    document: Mapping[str, Any]
    columns: tuple[ColumnProfile, ...]
    known_as: str | None
    outside: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A drafted schema as the document that goes into `schemas/`, and what it rests on."""

    document: Mapping[str, Any]
    entries: tuple[DraftEntry, ...]
    match: ToolMatch | None
    rows: int

    @property
    def undecided(self) -> int:
        return sum(entry.document["class"] == "undecided" for entry in self.entries)


@dataclass(slots=True, kw_only=True)
class _Sorted:
    """The columns of a file by what speaks for them."""

    keys: dict[str, ColumnProfile] = field(default_factory=dict)
    known: list[tuple[CatalogueEntry, list[ColumnProfile]]] = field(default_factory=list)
    unknown: list[tuple[ColumnProfile, CatalogueEntry | None]] = field(default_factory=list)


def draft_schema(
    profile: FileProfile,
    *,
    table: str,
    suffix: str = ".csv",
    profiles: Sequence[str] = ("controlled",),
    keys: Mapping[str, KnownKey] | None = None,
    session_key: str | None = None,
) -> Draft:
    """The draft of `table`. `profiles` are the release profiles, `keys` the keys that other tables describe.

    `session_key` (one of `keys`) is what the name of a recording's file gives: a table of frames gets it so.
    Columns keep the names of the file; those of one pattern of the catalogue share an entry when the tool is certain.
    """
    keys = keys or {}
    match = identify_tool(profile.names)
    layout = match.layout if match is not None else None
    found = _sort(profile, match, keys)
    by_file = _key_by_file(layout, profile, keys, session_key)
    time = layout.time if layout is not None and layout.per_recording and layout.time in profile.names else None
    frames = layout is not None and layout.per_recording
    entries = [_key_entry(name, keys[name], found.keys.get(name)) for name in _first(by_file, found.keys)]
    tool = match.tool if match is not None else None
    entries += [_known_entry(entry, columns, tool=tool, frames=frames, time=time) for entry, columns in found.known]
    entries += [_undecided_entry(column, entry, tool=tool) for column, entry in found.unknown]
    document: dict[str, Any] = {
        "table": table,
        "title": table.replace("_", " ").capitalize(),
        "description": f"A draft, made of one file: {match.describe if match else 'no known tool wrote it'}.",
        "source": _source(table, suffix, match, by_file),
    }
    unique = [name for name, column in found.keys.items() if not column.missing and column.distinct == profile.rows]
    if unique:
        document["primary_key"] = unique[:1]
    references = [{"column": name, "references": keys[name].references} for name in _first(by_file, found.keys)]
    if references:
        document["foreign_keys"] = references
    # Without this section nothing would be released, and so nobody would ever be asked about the undecided columns.
    if any(entry.document["class"] != "X" for entry in entries):
        document["release"] = {table: _release(profiles, layout, time)}
    document["columns"] = [dict(entry.document) for entry in entries]
    return Draft(document=document, entries=tuple(entries), match=match, rows=profile.rows)


def _sort(profile: FileProfile, match: ToolMatch | None, keys: Mapping[str, KnownKey]) -> _Sorted:
    found = _Sorted()
    decimals = match is not None and load_catalogue()[match.tool].reader == "openface"
    groups: dict[int, list[ColumnProfile]] = {}
    by_identity: dict[int, CatalogueEntry] = {}
    for column in profile.columns:
        entry = classify(column.name, match.tool, match.layout.name) if match else classify(column.name)
        if column.name in keys:
            found.keys[column.name] = column
        elif (
            entry is None
            or entry.idclass == "clinical"
            or not (entry.idclass == "X" or column.fits(entry.dtype, decimals=decimals))
        ):
            # A known name over cells of another type is no known column.
            found.unknown.append((column, entry))
        else:
            groups.setdefault(id(entry), []).append(column)
            by_identity[id(entry)] = entry
    order = {id(entry): number for number, entry in enumerate(_all_entries())}
    for key in sorted(groups, key=lambda key: order[key]):
        entry = by_identity[key]
        # A pattern that holds in any case of letters, or for a name in common use, is too wide for a schema.
        parts = [[column] for column in groups[key]] if entry.ignore_case else [groups[key]]
        found.known += [(entry, columns) for columns in parts]
    return found


def _all_entries() -> list[CatalogueEntry]:
    return [entry for tool in load_catalogue().values() for entry in tool.columns]


def _key_by_file(
    layout: Layout | None, profile: FileProfile, keys: Mapping[str, KnownKey], session_key: str | None
) -> tuple[str, str | None] | None:
    """The key that the files give, and the column of paths that gives it (`None`: the file's own name)."""
    if layout is None or session_key is None or session_key not in keys or session_key in profile.names:
        return None
    if layout.per_recording:
        return session_key, None
    return (session_key, layout.key_from_stem_of) if layout.key_from_stem_of in profile.names else None


def _first(by_file: tuple[str, str | None] | None, present: Mapping[str, ColumnProfile]) -> list[str]:
    return [*([by_file[0]] if by_file else []), *present]


def _source(table: str, suffix: str, match: ToolMatch | None, by_file: tuple[str, str | None] | None) -> dict[str, Any]:
    # The name of the file that was profiled is not taken over: such names hold identifiers.
    frames = by_file is not None and by_file[1] is None
    source: dict[str, Any] = {
        "file": f"{table}/*{suffix}" if frames else f"{table}{suffix}",
        "reader": load_catalogue()[match.tool].reader if match is not None else "delimited",
        "row": match.layout.row if match is not None else "row",
    }
    if match is not None and match.tool != source["reader"]:
        source["tool"] = match.tool
    if by_file is not None:
        source["recording_key"] = by_file[0]
        if by_file[1] is not None:
            source["key_from_stem_of"] = by_file[1]
    return source


def _release(profiles: Sequence[str], layout: Layout | None, time: str | None) -> dict[str, Any]:
    release: dict[str, Any] = {"profiles": list(profiles)}
    if time is not None and layout is not None:
        release["window"] = {"seconds": 5, "time": time}
        if layout.valid is not None:
            release["window"] |= {"valid": layout.valid, "minimum_valid": 0.5}
    return release


def _key_entry(name: str, key: KnownKey, column: ColumnProfile | None) -> DraftEntry:
    spec = key.spec
    document: dict[str, Any] = {"name": name, "dtype": "string"}
    if column is None:
        document["required"] = False
    document |= {"description": spec.description, "role": spec.role, "class": spec.idclass}
    if spec.identifier is not None:
        identifier = spec.identifier
        document["identifier"] = {"kind": identifier.kind, "prefix": identifier.prefix, "pattern": identifier.pattern}
    document |= {"action": "pseudonymise", "justification": spec.justification}
    columns = (column,) if column is not None else ()
    return DraftEntry(label=name, document=document, columns=columns, known_as=f"schemas: {key.references}")


def _known_entry(
    entry: CatalogueEntry, columns: Sequence[ColumnProfile], *, tool: str | None, frames: bool, time: str | None
) -> DraftEntry:
    alone = entry.name is not None or entry.ignore_case
    label = columns[0].name if alone else entry.label
    action, note = _action(entry, frames=frames, time=time)
    document: dict[str, Any] = {"name" if alone else "pattern": label, "dtype": entry.dtype}
    document |= _range(entry, label, tool=tool, alone=alone)
    if frames or any(column.missing for column in columns):
        document["nullable"] = True
    document |= {"description": entry.description, "role": entry.role, "class": entry.idclass, "action": action}
    document["justification"] = " ".join(part for part in (entry.reason, note, f"({entry.source})") if part)
    return DraftEntry(
        label=label,
        document=document,
        columns=tuple(columns),
        known_as=entry.tool,
        outside=_outside(entry, columns),
    )


def _range(entry: CatalogueEntry, label: str, *, tool: str | None, alone: bool = True) -> dict[str, Any]:
    """Where the range of an entry comes from: nothing when the table's tool tells, else a word that names it."""
    fields = {name: getattr(entry, name) for name in ("unit", "minimum", "maximum", "step")}
    fields = {name: value for name, value in fields.items() if value is not None}
    if not fields or entry.dtype not in ("integer", "number"):
        return fields
    catalogue = load_tool(entry.tool)
    # Layouts that differ leave the question open: then the draft says it, by the layout of the file.
    if (catalogue.of_one_range(label) if alone else catalogue.of_pattern(label)) is None:
        return fields
    return {} if entry.tool == tool else {"catalogue": f"{entry.tool}.{label}"}


def _outside(entry: CatalogueEntry, columns: Sequence[ColumnProfile]) -> int | None:
    if entry.minimum is None and entry.maximum is None:
        return None
    return sum(column.outside(entry.minimum, entry.maximum) for column in columns)


def _action(entry: CatalogueEntry, *, frames: bool, time: str | None) -> tuple[Any, str]:
    """The action by class (X and A: drop; B: window or round; C: keep), with a note where a person should look."""
    numeric = entry.dtype in ("integer", "number", "boolean")
    if entry.idclass == "A":
        return "drop", _LATER["A"]
    if entry.idclass not in ("B", "C") or entry.advice == "drop" or not numeric:
        return "drop", ""
    if time is not None:
        statistics = list(entry.statistics) or (["mean", "sd"] if entry.idclass == "B" else [])
        return ({"do": "window", "statistics": statistics, "digits": 3}, "") if statistics else ("drop", "")
    if entry.idclass == "C":
        return "keep", ""
    return ("drop", _LATER["B"]) if frames else ({"do": "round", "digits": 4}, "")


def _undecided_entry(column: ColumnProfile, entry: CatalogueEntry | None, *, tool: str | None) -> DraftEntry:
    known = entry if entry is not None and column.fits(entry.dtype) else None
    document: dict[str, Any] = {"name": column.name, "dtype": known.dtype if known else column.dtype}
    if known is not None:
        document |= _range(known, column.name, tool=tool)
    if column.missing:
        document["nullable"] = True
    document["description"] = known.description if known else "Not described yet."
    # The strictest role: whoever sets a class and forgets the role gets a column that cannot leave.
    document["role"] = known.role if known else "direct_identifier"
    if known is not None and known.tier is not None:
        document["tier"] = known.tier
    hint = f" By its name: {known.reason} ({known.source})" if known else ""
    if entry is not None and known is None:
        hint = f" The name is known ({entry.tool}), but the cells are of another type."
    document |= {"class": "undecided", "action": "drop", "justification": _UNDECIDED + hint}
    return DraftEntry(
        label=column.name,
        document=document,
        columns=(column,),
        known_as=known.tool if known else None,
        outside=_outside(known, (column,)) if known else None,
    )
