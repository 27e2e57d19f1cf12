"""The tables of a candidate or a release on disk, read as sparingly as the question allows.

Knows where the parts of a table lie (`<data>/<table>/*.parquet`), which data dictionary speaks for it
(`schemas/<table>.json`), and which person stands behind a row. It judges nothing: `gate` does that for a candidate
and `verify` for a release.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sensai_release.errors import ReleaseFormatError
from sensai_release.privacy.masking import masked, rounded, rounding_base
from sensai_release.release.documents import parse_strict

Count: TypeAlias = int | str
"""A count as it may be printed: itself, `<10`, or `>=10` (a larger count that would reveal a small one)."""

Flags: TypeAlias = npt.NDArray[np.bool_]
Codes: TypeAlias = npt.NDArray[np.int64]

MISSING = "(missing)"

_MAXIMUM_BYTES = 256 << 20
_BANDS = 10

_CURE = "Take a fresh copy of the release, or run 'verify' to see what is wrong with it."


def read_json_object(path: Path, place: str, *keys: str) -> dict[str, Any]:
    """A JSON document of a release or of the workspace.

    Raises `ReleaseFormatError` when it is absent, no JSON object (`release.documents.parse_strict`), or lacks one of
    `keys`.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ReleaseFormatError(place, "is not a regular file", _CURE)
        document = parse_strict(path.read_bytes(), place, maximum_bytes=_MAXIMUM_BYTES)
    except OSError as error:
        cause = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise ReleaseFormatError(place, cause, _CURE) from None
    except ReleaseFormatError as error:
        raise ReleaseFormatError(place, error.cause, _CURE) from None
    if not isinstance(document, dict):
        raise ReleaseFormatError(place, "is not a JSON object", _CURE)
    if missing := [key for key in keys if key not in document]:
        raise ReleaseFormatError(place, f"lacks {', '.join(missing)}", _CURE)
    return document


def load_dictionaries(folder: Path) -> dict[str, dict[str, Any]]:
    """The data dictionaries of a candidate or a release: `schemas/*.json` that describe a table, by table name."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        document = read_json_object(path, f"{folder.name}/{path.name}")
        if isinstance(document.get("columns"), list) and document.get("table") == path.stem:
            found[path.stem] = document
    return found


class ReleasedTables:
    """Read-only access to the tables below one data folder; columns are read when they are asked for.

    `dictionaries` maps a table's name to its data dictionary. Every method raises `ReleaseFormatError` for a table or
    a file that cannot be read; no message holds anything of its content.
    """

    def __init__(self, data: Path, dictionaries: Mapping[str, Mapping[str, Any]]) -> None:
        self._data = data
        self.dictionaries = dictionaries
        self._persons: dict[str, pa.ChunkedArray | None] = {}
        self._schemas: dict[str, pa.Schema] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the folders below the data folder, sorted."""
        return tuple(sorted(path.name for path in self._data.iterdir() if path.is_dir())) if self._data.is_dir() else ()

    def parts(self, table: str) -> tuple[Path, ...]:
        """The Parquet files of a table, by name."""
        return tuple(sorted((self._data / table).glob("*.parquet")))

    def schema(self, table: str) -> pa.Schema:
        """The Arrow schema that all parts share."""
        # A frame table has tens of thousands of column chunks, all of them in its footers: these are read once.
        if table not in self._schemas:
            schemas = [guarded(pq.read_schema, part, table).remove_metadata() for part in self.parts(table)]
            if not schemas:
                raise ReleaseFormatError(f"data/{table}", "holds no Parquet file", _CURE)
            if any(schema != schemas[0] for schema in schemas[1:]):
                raise ReleaseFormatError(f"data/{table}", "has parts with different columns or types", _CURE)
            self._schemas[table] = schemas[0]
        return self._schemas[table]

    def rows(self, table: str) -> int:
        return sum(guarded(pq.read_metadata, part, table).num_rows for part in self.parts(table))

    def read(self, table: str, columns: list[str] | None = None) -> pa.Table:
        """The named columns (all of them by default) of all parts, in the order of the parts."""
        schema = self.schema(table)
        names = schema.names if columns is None else columns
        pieces = [guarded(lambda path: _read(path, names), part, table) for part in self.parts(table)]
        return pa.concat_tables(pieces)

    def read_part(self, table: str, part: Path) -> pa.Table:
        """All columns of one part."""
        return guarded(lambda path: _read(path, None), part, table)

    def column(self, table: str, column: str) -> pa.ChunkedArray:
        return self.read(table, [column]).column(column)

    def persons(self, table: str) -> pa.ChunkedArray | None:
        """The person behind each row, as the person's released key; `None` when no key leads to a person.

        A table's own `person_key` comes first, then its foreign keys, over as many tables as it takes. A row whose key
        leads nowhere has a null.
        """
        if table not in self._persons:
            self._persons[table] = None  # Foreign keys that run in a circle end here.
            self._persons[table] = self._find_persons(table)
        return self._persons[table]

    def person_codes(self, table: str) -> Codes | None:
        """The person behind each row as a number from 0 on; rows whose key leads nowhere share one."""
        people = self.persons(table)
        return None if people is None else codes_of([people])[0]

    def masked_rows(self, table: str, minimum: int) -> Count:
        """The number of rows for a document: masked by the persons behind them, one can have hundreds, and rounded."""
        return mask_rows(np.ones(self.rows(table), dtype=bool), self.person_codes(table), minimum, coarse=True)

    def everyone(self) -> frozenset[str]:
        """The keys of all persons, over the tables with one row a person."""
        people: set[str] = set()
        for name in self.names:
            dictionary = self.dictionaries.get(name, {})
            key = dictionary.get("person_key")
            if key and dictionary.get("primary_key") == [key]:
                people.update(self.column(name, key).unique().drop_null().to_pylist())
        return frozenset(people)

    def person_link(self, table: str) -> tuple[str, str | None] | None:
        """The column that leads to a row's person, and the `table.column` it points to; `None` when none does.

        The second is `None` where the column is the person's key itself.
        """
        dictionary = self.dictionaries.get(table, {})
        names = self.schema(table).names
        own = dictionary.get("person_key")
        if own in names:
            return str(own), None
        for key in dictionary.get("foreign_keys", ()):
            parent, _, parent_key = str(key["references"]).partition(".")
            if key["column"] not in names or not self.parts(parent) or parent_key not in self.schema(parent).names:
                continue
            same_type = self.schema(parent).field(parent_key).type == self.schema(table).field(key["column"]).type
            if same_type and self.persons(parent) is not None:
                return key["column"], key["references"]
        return None

    def persons_of(self, values: pa.Array | pa.ChunkedArray, target: str | None) -> pa.Array | pa.ChunkedArray:
        """The persons behind values of a column that `person_link` named with this target."""
        if target is None:
            return values
        parent, _, parent_key = target.partition(".")
        keys = self.column(parent, parent_key).combine_chunks()
        return pc.take(self.persons(parent), pc.index_in(values, value_set=keys, skip_nulls=True))

    def _find_persons(self, table: str) -> pa.ChunkedArray | None:
        link = self.person_link(table)
        return None if link is None else self.persons_of(self.column(table, link[0]), link[1])


def _read(path: Path, columns: list[str] | None) -> pa.Table:
    # Not `pq.read_table`: that one goes through data sets, and imports pandas.
    with pq.ParquetFile(path, page_checksum_verification=True, memory_map=False) as file:
        table = file.read(columns=columns, use_threads=False)
    if columns is not None and table.column_names != columns:
        if not set(columns) <= set(table.column_names):
            raise pa.ArrowInvalid("a column is missing")
        table = table.select(columns)
    return table.replace_schema_metadata(None)


def guarded(read: Any, path: Path, table: str) -> Any:
    """`read(path)` of one part of a table. Errors of pyarrow quote paths and cells, so none of them gets out."""
    try:
        return read(path)
    except (OSError, pa.ArrowException):
        raise ReleaseFormatError(f"data/{table}/{path.name}", "cannot be read as Parquet", _CURE) from None


def codes_of(arrays: list[pa.ChunkedArray]) -> list[Codes]:
    """Each value of several arrays of one type as a number: equal values get equal numbers across the arrays.

    All missing values, a float's NaN included, are one value; -0.0 equals 0.0.
    """
    whole = pa.chunked_array([chunk for array in arrays for chunk in array.chunks], type=arrays[0].type)
    if pa.types.is_floating(whole.type):
        values = np.asarray(whole.to_numpy(), dtype=np.float64) + 0.0
        _, codes = np.unique(values, return_inverse=True, equal_nan=True)
    else:
        encoded = whole.combine_chunks().dictionary_encode(null_encoding="encode")
        codes = np.asarray(encoded.indices.to_numpy(zero_copy_only=False))
    ends = np.cumsum([len(array) for array in arrays])[:-1]
    return list(np.split(codes.astype(np.int64).reshape(-1), ends))


def mask_persons(persons: int, others: int, minimum: int, *, coarse: bool = False) -> Count:
    """A number of persons: `<10` when it is small, `>=10` when `others`, the rest of the partition, are few.

    `coarse` rounds it down, for a document that others can be held against.
    """
    shown = masked(persons, minimum)
    if persons and isinstance(shown, int) and 0 < others < minimum:
        return f">={minimum}"
    return rounded(shown, minimum) if coarse else shown


def mask_rows(rows: Flags, people: Codes | None, minimum: int, *, coarse: bool = False) -> Count:
    """How many rows are flagged, if enough persons stand behind them, and none or enough behind the others only.

    `people` is the person behind each row. Without it any number of rows may be one person's: nothing but 0 is printed.
    `coarse` rounds down to what ten persons of the table can have (`privacy.masking.rounding_base`), so that two
    such counts do not tell the rows of a few.
    """
    if people is None:
        return f"<{minimum}" if rows.any() else 0
    return mask_counted(
        np.bincount(people[rows], minlength=size_of(people)), np.bincount(people), minimum, coarse=coarse
    )


def size_of(people: Codes) -> int:
    """How many numbers of persons there are."""
    return int(people.max(initial=-1)) + 1


def mask_counted(flagged: Codes, total: Codes, minimum: int, *, coarse: bool = False) -> Count:
    """`mask_rows` from the number of flagged rows and of all rows per person (both with one entry a person)."""
    count = int(flagged.sum())
    if count == 0:
        return 0
    inside = flagged > 0
    shown = mask_persons(int(inside.sum()), int((~inside & (total > 0)).sum()), minimum)
    if isinstance(shown, str):
        return shown
    if coarse:
        base = rounding_base(total, minimum)
        return count - count % base or f"<{base}"
    return count


def label_columns(dictionary: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that say what a model would learn: sensitive, no quasi-identifier, and of few values.

    A category, or an integer with a declared range of at most 21 values, in a table that is not cut into windows.
    """
    return tuple(
        column["name"]
        for column in dictionary["columns"]
        if len(dictionary.get("primary_key") or ()) == 1 and _is_label(column)
    )


def _is_label(column: Mapping[str, Any]) -> bool:
    low, high = column.get("minimum"), column.get("maximum")
    few = bool(column.get("categories")) or (
        column.get("dtype") == "integer" and low is not None and high is not None and high - low <= 20
    )
    return column.get("role") == "sensitive" and column.get("tier") is None and few


def band_names(edges: Sequence[float]) -> list[str]:
    """`[0,50)`, `[50,100]` for the edges 0, 50, 100."""
    last = len(edges) - 2
    return [f"[{low:g},{edges[n + 1]:g}{']' if n == last else ')'}" for n, low in enumerate(edges[:-1])]


def tenths_of(column: Mapping[str, Any]) -> list[float]:
    """The edges of ten bands of a number's declared range, of one band where it declares none; else empty."""
    if column["dtype"] not in ("integer", "number"):
        return []
    low, high = column.get("minimum"), column.get("maximum")
    if low is None or high is None or low >= high:
        return [-np.inf, np.inf]
    return [low + (high - low) * step / _BANDS for step in range(_BANDS + 1)]


def _in_bands(values: pa.ChunkedArray, edges: Sequence[float]) -> pa.Array:
    numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    return pa.array(band_names(edges)).take(pa.array(place, pa.int64(), mask=np.isnan(numbers)))


def splits_table(dictionaries: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The table that gives each person a fold for cross-validation; `None` where no table does."""
    for name, dictionary in sorted(dictionaries.items()):
        person = dictionary.get("person_key")
        columns = [column["name"] for column in dictionary.get("columns", ())]
        if person and dictionary.get("primary_key") == [person] and "fold" in columns:
            return name
    return None


def in_order(values: Iterable[str], declared: Sequence[str]) -> list[str]:
    """Values as a reader expects them: in their declared order, then numbers by size and texts by length."""
    place = {value: number for number, value in enumerate(declared)}
    return sorted(values, key=lambda value: (place.get(value, len(place)), len(value), value))


def holders(tables: ReleasedTables, table: str, column: str, bands: Sequence[float] = ()) -> dict[str, set[str]]:
    """The persons who have each value of a column at least once; empty when no key leads to a person.

    Missing is a value of its own: without it, the persons left over would follow from the total. With `bands`, the
    edges of half-open bands of which the last holds its end too, a number counts as its band (`band_names`).
    """
    people = tables.persons(table)
    if people is None or column not in tables.schema(table).names:
        return {}
    values = tables.column(table, column)
    values = _in_bands(values, bands) if bands else values.cast(pa.string())
    labels = pc.fill_null(values, MISSING)
    pairs = pa.table({"value": labels, "person": people}).drop_null()
    grouped = pairs.group_by("value").aggregate([("person", "list")])
    values, held = grouped["value"].to_pylist(), grouped["person_list"].to_pylist()
    return {value: set(persons) for value, persons in zip(values, held, strict=True)}
