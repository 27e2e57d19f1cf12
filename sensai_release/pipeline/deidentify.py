"""`deidentify`: every column under its declared action; what comes out is the candidate.

Reads work/pseudonymised/, writes work/candidate/: data/<table>/part-*.parquet, schemas/<table>.json, policy.json.
Levels of generalisation are searched here, over persons; whether the result may leave is for the risk gate.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release import __version__
from sensai_release.errors import ConfigurationError
from sensai_release.pipeline.built import CANDIDATE, note_made
from sensai_release.pipeline.pseudonymise import key_facts, load_root
from sensai_release.pipeline.units import map_units
from sensai_release.pipeline.workspace import Workspace, earlier_releases, fresh_folder, write_json
from sensai_release.privacy.context import Context, Sessions, session_times
from sensai_release.privacy.deidentify import apply_plan, generalised_columns, search_levels, sort_by_key
from sensai_release.privacy.dictionary import data_dictionary
from sensai_release.privacy.folds import folds_table
from sensai_release.privacy.generalise import Choice
from sensai_release.privacy.in_force import dropped_entries, released_columns, tables_kept_back
from sensai_release.privacy.keyfile import RootKey
from sensai_release.privacy.keys import derive
from sensai_release.privacy.masking import rounded
from sensai_release.privacy.persons import PersonKeys, person_keys, tells_of_persons
from sensai_release.privacy.policy import TablePlan, plan_table
from sensai_release.privacy.windows import window_table
from sensai_release.release.tables import Count, ReleasedTables, read_json_object
from sensai_release.table.catalogue import catalogue_digest
from sensai_release.table.readers import arrow_type
from sensai_release.table.schema import ReleaseSpec, TableSchema, released_tables
from sensai_release.table.store import (
    read_parquet,
    read_shard,
    shard_columns,
    taking_place_of,
    write_parquet,
    write_pieces,
)

Progress = Callable[[int, int], None]

_RECORDINGS_IN_A_PART = 64
_MASKED = re.compile(r"(<|>=)[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    key: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frames:
    """What the workers know of a table that is released row by row."""

    plan: TablePlan
    context: Context


def deidentify(workspace: Workspace, *, workers: int = 1, on_progress: Progress | None = None) -> dict[str, Count]:
    """Returns the rows of each released table, masked.

    Raises `ConfigurationError` when the policy does not decide about every column, `KeyFileError` for the root key.
    """
    root = load_root()
    place = "work/pseudonymised.json"
    inclusion = read_json_object(workspace.root / place, place, "key", "excluded", "persons")
    excluded = inclusion["excluded"]
    counts = [inclusion["persons"], *excluded.values()] if isinstance(excluded, dict) else [None]
    if not all(type(count) is int or (isinstance(count, str) and _MASKED.fullmatch(count)) for count in counts):
        raise ConfigurationError(place, "is of another shape than this tool writes", "Run 'build' again.")
    if inclusion["key"] != key_facts(workspace, root):
        raise ConfigurationError("the root key", "is not the one that made the pseudonyms", "Run 'build' again.")
    maker = _Maker(workspace, root, workers, on_progress)
    with fresh_folder(workspace.candidate) as folder:
        (folder / "schemas").mkdir()
        # What other tables tell of a person counts when levels are chosen, so the table of persons comes last.
        for schema, release in sorted(
            released_tables(workspace.schemas, workspace.params.profile.name),
            key=lambda pair: pair[1].table == workspace.params.person_table,
        ):
            target = folder / "data" / release.table
            target.mkdir(parents=True)
            maker.make(schema, release, target)
        for name, dictionary in maker.dictionaries.items():
            write_json(folder / "schemas" / f"{name}.json", dictionary)
        write_json(folder / "policy.json", maker.policy())
    note_made(workspace, CANDIDATE)
    minimum = workspace.params.masking_minimum
    tables = ReleasedTables(workspace.candidate / "data", maker.dictionaries)
    shown = {name: tables.masked_rows(name, minimum) for name in tables.names}
    left_out = {name: rounded(count, minimum) for name, count in inclusion["excluded"].items()}
    write_json(
        workspace.reports / "metrics" / "candidate.json",
        {"rows": shown, "persons": rounded(inclusion["persons"], minimum), "left_out": left_out},
    )
    return shown


class _Maker:
    """Makes the released tables of one candidate, and remembers what the policy turned out to be."""

    def __init__(self, workspace: Workspace, root: RootKey, workers: int, on_progress: Progress | None) -> None:
        self._workspace = workspace
        self._root = root
        self._workers = workers
        self._on_progress = on_progress
        self._generalisation: dict[str, Any] = {}
        self._plans: dict[str, TablePlan] = {}
        self.dictionaries: dict[str, dict[str, Any]] = {}

    def make(self, schema: TableSchema, release: ReleaseSpec, target: Path) -> None:
        """Writes one released table into the folder `target`."""
        if schema.generated == "folds":
            self._whole(schema, release, self._folds(release), target)
        elif schema.source is None or not schema.source.read:
            raise ConfigurationError(
                f"schemas/{schema.name}.yaml", "releases a table whose files are not read", "Do not release it."
            )
        elif schema.source.per_recording:
            self._recordings(schema, release, target)
        else:
            self._whole(schema, release, self._source(schema.name), target)

    def policy(self) -> dict[str, Any]:
        """The policy in force, for readers of the release: thresholds, chosen levels, and each column's action."""
        params = self._workspace.params
        profile = params.profile
        return {
            "profile": profile.name,
            "description": profile.description,
            "k": profile.k,
            "max_suppressed": profile.max_suppressed,
            "l": profile.l,
            "t": profile.t,
            "l_exceptions": dict(profile.l_exceptions),
            "linkability": {
                "rank1": profile.linkability.rank1,
                "auc": profile.linkability.auc,
                "cannot_assess": profile.cannot_assess,
            },
            "population": profile.population,
            "generalisation": self._generalisation,
            "pseudonym_key": key_facts(self._workspace, self._root),
            "catalogue": catalogue_digest(),
            "columns": {name: released_columns(self._plans[name], self.dictionaries[name]) for name in self._plans},
            "dropped": {name: dropped_entries(plan) for name, plan in self._plans.items()},
            "kept_back": tables_kept_back(self._workspace.schemas, profile.name),
        }

    def _whole(self, schema: TableSchema, release: ReleaseSpec, table: pa.Table, target: Path) -> None:
        plan = self._plan(schema, release, table.column_names)
        choice = self._choose(table, plan, target.parent) if generalised_columns(plan) else None
        released = apply_plan(table, plan, choice, self._context)
        dictionary = self._describe(plan, choice)
        write_parquet(sort_by_key(released, dictionary["primary_key"]), target / "part-00000.parquet")

    def _choose(self, table: pa.Table, plan: TablePlan, data: Path) -> Choice:
        params = self._workspace.params
        if params.person_key not in table.column_names or len(pc.unique(table[params.person_key])) != table.num_rows:
            raise ConfigurationError(
                f"schemas/{plan.schema.name}.yaml",
                "generalises columns of a table that has not one row per person",
                "Put them in the table of persons, or use bin or map.",
            )
        profile = params.profile
        columns = generalised_columns(plan)
        choice = search_levels(
            table,
            plan,
            k=profile.k,
            max_suppressed=profile.max_suppressed,
            l=profile.l,
            exceptions=profile.l_exceptions,
            beside=self._beside(table, plan, data),
            context=self._context,
            keep=self._levels_before(plan.table),
        )
        self._generalisation[plan.table] = choice.describe(columns, params.masking_minimum)
        if not choice.found:
            # Not even the coarsest form reaches k. That is a verdict, and the risk gate will speak it.
            return Choice(levels={column.output: column.hierarchy.height - 1 for column in columns})
        return choice

    def _levels_before(self, table: str) -> dict[str, int] | None:
        """The levels of the last release of the series, as its own policy states them; `None` before the first."""
        here = earlier_releases(self._workspace)
        policy = here[-1][1] / "reports" / "policy.json" if here else None
        if policy is None or not policy.is_file():
            return None
        chosen = read_json_object(policy, "policy.json", "generalisation")["generalisation"].get(table) or {}
        levels = {entry["column"]: entry["level"] for entry in chosen.get("levels", ())}
        return levels if levels and None not in levels.values() else None

    def _beside(self, table: pa.Table, plan: TablePlan, data: Path) -> PersonKeys | None:
        """What the other released tables tell of the persons of `table`, in its order; `None` for another table."""
        links = self._workspace.params.links
        if plan.table != links.persons:
            return None
        held = ReleasedTables(data, self.dictionaries)
        tables = {
            name: held.read(name) for name in self.dictionaries if tells_of_persons(self.dictionaries[name], links)
        }
        tables[links.persons] = table.select([links.person_key])
        keys = person_keys(tables, self.dictionaries | {links.persons: {"columns": []}}, links)
        order = pc.index_in(table[links.person_key], value_set=keys.table[links.person_key].combine_chunks())
        return replace(keys, table=keys.table.take(order))

    def _recordings(self, schema: TableSchema, release: ReleaseSpec, target: Path) -> None:
        recordings = [
            _Recording(key=path.stem, path=path)
            for path in sorted((self._workspace.pseudonymised / schema.name).glob("*.arrow"))
        ]
        names = list(dict.fromkeys(name for item in recordings for name in shard_columns(item.path)))
        plan = self._plan(schema, release, names)
        dictionary = self._describe(plan, None)
        key = dictionary["columns"][0]["name"]
        if release.window is None:
            self._frames(plan, recordings, key, target)
            return
        table = self._windows(plan, recordings, key)
        write_parquet(table.select([column["name"] for column in dictionary["columns"]]), target / "part-00000.parquet")

    def _windows(self, plan: TablePlan, recordings: Sequence[_Recording], key: str) -> pa.Table:
        """The windows of all recordings; those of unchanged recordings are taken from the last run."""
        cache = _WindowCache(self._workspace.work / "windows", plan)
        known = cache.load()
        todo = [item for item in recordings if known.get(item.key, ("",))[0] != cache.state(item)]
        made = map_units(_one_window_table, plan, todo, workers=self._workers, on_progress=self._on_progress)
        fresh = dict(zip((item.key for item in todo), made, strict=True))
        tables = {item.key: fresh[item.key] if item.key in fresh else known[item.key][1] for item in recordings}
        cache.save({item.key: (cache.state(item), tables[item.key]) for item in recordings})
        if not tables:
            raise ConfigurationError(
                f"the table {plan.table}",
                "would be empty: nobody's recordings may be released",
                "Check the consent table, or do not release this table.",
            )
        return pa.concat_tables(
            table.add_column(0, key, pa.repeat(pa.scalar(name, pa.string()), table.num_rows))
            for name, table in tables.items()
        )

    def _frames(self, plan: TablePlan, recordings: Sequence[_Recording], key: str, target: Path) -> None:
        """Row by row tables, in parts of some recordings each, so that memory does not grow with the study."""
        context = _Frames(plan=plan, context=replace(self._context, sessions=None))
        tables = map_units(_one_frame_table, context, recordings, workers=self._workers, on_progress=self._on_progress)
        for number, part in enumerate(_in_parts(tables, _RECORDINGS_IN_A_PART)):
            first = number * _RECORDINGS_IN_A_PART
            keyed = (
                table.add_column(0, key, pa.repeat(pa.scalar(item.key, pa.string()), table.num_rows))
                for item, table in zip(recordings[first:], part, strict=False)
            )
            write_pieces(keyed, target / f"part-{number:05d}.parquet")

    @cached_property
    def _context(self) -> Context:
        """What actions may need beside their table; the table of sessions is read once."""
        params = self._workspace.params
        name = params.session_table
        path = self._workspace.pseudonymised / f"{name}.parquet"
        sessions = None
        if path.exists():
            sessions = Sessions(
                name=name,
                key=params.session_key,
                person=str(params.raw["sessions"]["person"]),
                times=session_times(self._workspace.schemas[name]),
                table=read_parquet(path),
            )
        key = derive(self._root, study=str(params.study["id"]), series=params.series, purpose="noise")
        return Context(sessions=sessions, noise_key=key)

    def _folds(self, release: ReleaseSpec) -> pa.Table:
        params = self._workspace.params
        persons = self._source(params.person_table)
        entry = params.raw["folds"]
        key = derive(self._root, study=str(params.study["id"]), series=params.series, purpose="folds")
        strata = persons[entry["stratify"]] if "stratify" in entry else None
        return folds_table(
            persons[params.person_key],
            strata,
            entry["count"],
            key,
            previous=self._folds_before(release),
            person_key=params.person_key,
        )

    def _folds_before(self, release: ReleaseSpec) -> pa.Table:
        """The folds of the last release, which everybody in it keeps; an empty table before the first.

        No dependency for DVC: a release holds what this very stage made, so it changes nothing for the next build.
        """
        workspace = self._workspace
        recorded = {path.stem for path in workspace.releases.glob(f"{workspace.params.series}-*.dvc")}
        here = earlier_releases(workspace)
        absent = sorted(recorded - {path.name for _, path in here})
        if absent:
            raise ConfigurationError(
                f"releases/{absent[-1]}", "is not here, and its folds must be kept", "Fetch it with 'dvc pull'."
            )
        if here and (folder := here[-1][1] / "data" / release.table).is_dir():
            return pa.concat_tables(read_parquet(part) for part in sorted(folder.glob("*.parquet")))
        return pa.table({workspace.params.person_key: pa.array([], pa.string()), "fold": pa.array([], pa.int64())})

    def _source(self, name: str) -> pa.Table:
        path = self._workspace.pseudonymised / f"{name}.parquet"
        if not path.exists():
            raise ConfigurationError(f"the table {name}", "has no pseudonymised data", "Run 'pseudonymise' first.")
        return read_parquet(path)

    def _plan(self, schema: TableSchema, release: ReleaseSpec, columns: Sequence[str]) -> TablePlan:
        profile = self._workspace.params.profile.name
        return plan_table(schema, release, profile, columns, self._workspace.schemas.hierarchies)

    def _describe(self, plan: TablePlan, choice: Choice | None) -> dict[str, Any]:
        dictionary = data_dictionary(
            plan,
            person_key=self._workspace.params.person_key,
            schemas=self._workspace.schemas,
            levels=choice.levels if choice is not None else None,
        )
        self.dictionaries[plan.table] = dictionary
        self._plans[plan.table] = plan
        return dictionary


class _WindowCache:
    """The windows of each recording from the last run, valid as long as recording, plan and program are the same."""

    def __init__(self, folder: Path, plan: TablePlan) -> None:
        self._path = folder / f"{plan.table}.parquet"
        self._plan = hashlib.sha256(repr((__version__, plan)).encode()).hexdigest()

    def state(self, recording: _Recording) -> str:
        status = recording.path.stat()
        return f"{self._plan} {status.st_ino} {status.st_size} {status.st_mtime_ns}"

    def load(self) -> dict[str, tuple[str, pa.Table]]:
        try:
            table = read_parquet(self._path)
            states = (
                table.select(["recording", "state"]).group_by(["recording", "state"], use_threads=False).aggregate([])
            )
            return {
                name: (state, table.filter(pc.equal(table["recording"], name)).drop_columns(["recording", "state"]))
                for name, state in zip(states["recording"].to_pylist(), states["state"].to_pylist(), strict=True)
            }
        except (OSError, KeyError, pa.ArrowException):
            return {}  # a missing or torn cache only means that the windows are made again

    def save(self, tables: Mapping[str, tuple[str, pa.Table]]) -> None:
        if not tables:
            return
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        windows = pa.concat_tables(
            table.append_column("recording", pa.repeat(pa.scalar(name, pa.string()), table.num_rows)).append_column(
                "state", pa.repeat(pa.scalar(state, pa.string()), table.num_rows)
            )
            for name, (state, table) in tables.items()
        )
        with taking_place_of(self._path) as temporary:
            write_parquet(windows, temporary)


def _one_window_table(plan: TablePlan, recording: _Recording) -> pa.Table:
    assert plan.release.window is not None  # noqa: S101 - called for tables of windows only
    return window_table(read_shard(recording.path), plan, plan.release.window)


def _one_frame_table(frames: _Frames, recording: _Recording) -> pa.Table:
    table, plan = read_shard(recording.path), frames.plan
    wanted = [column for column in plan.columns if column.source != plan.recording_key]
    for column in wanted:
        if column.source not in table.column_names:
            # A tool version that does not write this column: missing throughout, as in the table of windows.
            table = table.append_column(column.source, pa.nulls(table.num_rows, arrow_type(column.spec.dtype)))
    return apply_plan(table, plan, context=replace(frames.context, recording=recording.key))


def _in_parts(items: Iterator[pa.Table], size: int) -> Iterator[Iterator[pa.Table]]:
    """Successive runs of up to `size` items; each must be used up before the next is asked for."""
    for first in items:
        yield _run(first, items, size)


def _run(first: pa.Table, rest: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    yield first
    for _ in range(size - 1):
        following = next(rest, None)
        if following is None:
            return
        yield following
