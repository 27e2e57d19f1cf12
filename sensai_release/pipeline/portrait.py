"""What the validation report shows of tables and recordings beside the findings: facts and ranges, never a value.

A tenth of a range in which fewer persons than the masking minimum have a cell is masked, and with it a second one, so
that it does not follow from the others. Persons are found through the keys of sessions; where they cannot be found,
nothing is shown. The counts themselves come from `table.portrait`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.pipeline.source import SourceFile
from sensai_release.pipeline.workspace import Workspace
from sensai_release.privacy.classes import encode
from sensai_release.table.checks import canonical
from sensai_release.table.findings import MASKED, ColumnRange, Finding, RecordingCount
from sensai_release.table.portrait import TENTHS, places, ranged_columns

Counts = npt.NDArray[np.int64]
Persons = npt.NDArray[np.int64]
"""A code per row, from 1; 0 where nobody is known."""


def recording_counts(
    files: Iterable[SourceFile], outcomes: Mapping[str, Any], findings: Iterable[Finding]
) -> tuple[RecordingCount, ...]:
    """One entry per recording in the order of `files`: by table, then by number."""
    found: dict[tuple[str | None, str], int] = {}
    for finding in findings:
        key = (finding.file, finding.severity)
        found[key] = found.get(key, 0) + 1
    return tuple(
        RecordingCount(
            table=file.table,
            file=file.place,
            read=outcomes[file.unit]["stored"],
            rows=outcomes[file.unit]["rows"],
            errors=found.get((file.place, "error"), 0),
            warnings=found.get((file.place, "warning"), 0),
            **outcomes[file.unit]["facts"],
        )
        for file in files
    )


def column_ranges(
    workspace: Workspace,
    tables: Mapping[str, pa.Table],
    recordings: Mapping[str, Sequence[SourceFile]],
    outcomes: Mapping[str, Any],
) -> tuple[ColumnRange, ...]:
    """The ranges of all columns with declared bounds, by table and column.

    `tables` are the single-file tables that could be read, `recordings` the files of the others.
    """
    minimum = workspace.params.masking_minimum
    people = _People(workspace, tables)
    ranges = []
    for name, table in tables.items():
        persons = people.of_rows(table)
        for column, spec in ranged_columns(table, workspace.schemas[name]).items():
            place = places(table.column(column), spec)
            cells = np.bincount(place, minlength=TENTHS + 1)[:TENTHS]
            ranges.append((name, column, cells, _persons_in_places(place, persons)))
    for name, files in recordings.items():
        kept = [file for file in files if outcomes[file.unit]["stored"]]
        persons = people.of_sessions(pa.chunked_array([pa.array([file.path.stem for file in kept], pa.string())]))
        for column, rows in _by_column([outcomes[file.unit]["tenths"] for file in kept]).items():
            counts = np.array([cells for _, cells in rows], dtype=np.int64)
            behind = persons[[number for number, _ in rows]]
            ranges.append((name, column, counts.sum(axis=0), _persons_in_counts(counts, behind)))
    entries = []
    for name, column, cells, behind in sorted(ranges, key=lambda entry: entry[:2]):
        spec = workspace.schemas[name].named(column)
        if spec.minimum is not None and spec.maximum is not None and cells.any():
            entries.append(
                ColumnRange(
                    table=name, column=column, minimum=spec.minimum, maximum=spec.maximum, unit=spec.unit,
                    tenths=mask_tenths(cells, behind, minimum),
                )
            )  # fmt: skip
    return tuple(entries)


def mask_tenths(cells: Counts, persons: Counts, minimum: int) -> tuple[int | str, ...]:
    """Ten counts of cells as whole per cent, `"masked"` where 1 to `minimum` - 1 `persons` stand behind one.

    A lone masked tenth would follow from the rest and the number of cells, so a second one is masked with it: the one
    with fewest persons, an empty one only when there is no other. Rounded per cent leave the two too wide to tell.
    """
    hidden = set(np.flatnonzero((cells > 0) & (persons < minimum)).tolist())
    if len(hidden) == 1:
        others = [place for place in range(len(cells)) if place not in hidden]
        hidden.add(min(others, key=lambda place: (cells[place] == 0, persons[place], place)))
    total = int(cells.sum())
    return tuple(
        MASKED if place in hidden else max(1, round(100 * int(count) / total)) if count else 0
        for place, count in enumerate(cells)
    )


class _People:
    """Codes for the persons behind rows, by the persons' own key or by that of their sessions."""

    def __init__(self, workspace: Workspace, tables: Mapping[str, pa.Table]) -> None:
        sessions = workspace.params.raw["sessions"]
        self._person, self._session = workspace.params.person_key, workspace.params.session_key
        linking = tables.get(workspace.params.session_table)
        wanted = {self._session, sessions["person"]}
        if linking is None or not wanted <= set(linking.column_names):
            self._sessions, self._codes = pa.array([], pa.string()), np.zeros(0, dtype=np.int64)
            return
        self._sessions = canonical(linking.column(self._session)).combine_chunks()
        self._codes = encode(canonical(linking.column(sessions["person"])))

    def of_rows(self, table: pa.Table) -> Persons:
        if self._person in table.column_names:
            return encode(canonical(table.column(self._person)))
        if self._session in table.column_names:
            return self.of_sessions(table.column(self._session))
        return np.zeros(table.num_rows, dtype=np.int64)

    def of_sessions(self, keys: pa.ChunkedArray) -> Persons:
        found = pc.index_in(canonical(keys), value_set=self._sessions, skip_nulls=True)
        rows = pc.fill_null(found, -1).to_numpy()
        codes: Persons = np.r_[self._codes, 0][rows]
        return codes


def _persons_in_places(place: npt.NDArray[np.intp], persons: Persons) -> Counts:
    """How many persons have a cell in each tenth; rows without a known person count for nobody."""
    known = persons > 0
    pairs = np.unique(persons[known] * (TENTHS + 1) + place[known])
    return np.bincount(pairs % (TENTHS + 1), minlength=TENTHS + 1)[:TENTHS]


def _persons_in_counts(counts: Counts, persons: Persons) -> Counts:
    """The same for ten counts per recording."""
    recording, tenth = np.nonzero(counts)
    return _persons_in_places(tenth, persons[recording])


def _by_column(outcomes: Sequence[Mapping[str, list[int]]]) -> dict[str, list[tuple[int, list[int]]]]:
    """Per column the recordings that have it, by number, with their ten counts."""
    columns: dict[str, list[tuple[int, list[int]]]] = {}
    for number, outcome in enumerate(outcomes):
        for column, cells in outcome.items():
            columns.setdefault(column, []).append((number, cells))
    return columns
