"""A synthetic source folder: tables, links between them, and the tools' own files.

Everything in it says that it is synthetic: a marker file, identifiers and texts. How values are made is declared in the
schemas and left to `table.synthetic_cohort`; what OpenFace and openSMILE files look like is left to
`table.synthetic_face` and `table.synthetic_voice`.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sensai_release.errors import ConfigurationError, OutputExistsError
from sensai_release.table import synthetic_face as face_files
from sensai_release.table import synthetic_voice as voice_files
from sensai_release.table.schema import SchemaSet, TableSchema
from sensai_release.table.synthetic_cohort import Cohort, MadeTable

MARKER = "SYNTHETIC.txt"
"""The file that marks a synthetic source folder; no schema has to claim it."""

_MARKER_TEXT = """SYNTHETIC DATA

Every person, recording, date, score and text in this folder is made up by a random number generator. Nobody was
recorded, and no finding about people can be drawn from it. Identifiers and texts say so too.
"""


def generate_source(
    folder: Path,
    schemas: SchemaSet,
    *,
    participants: int,
    sessions: int,
    seconds: int,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes a synthetic source folder; the same arguments give the same bytes.

    `sessions` is the largest number of sessions of a person and `seconds` the length of every recording.
    `on_progress(done, total)` is called after each recording. The folder appears whole or not at all.

    Raises `OutputExistsError` when `folder` is there already, `ConfigurationError` when an option is out of range or a
    schema cannot be followed.
    """
    for option, value, low, high in (
        ("--participants", participants, 1, 100_000),
        ("--sessions", sessions, 1, 100),
        ("--seconds", seconds, 1, 3600),
        ("--seed", seed, 0, 2**63 - 1),
    ):
        if not low <= value <= high:
            raise ConfigurationError(option, f"must lie between {low} and {high}", "Give another number.")
    cohort = Cohort(schemas, participants=participants, sessions=sessions, seconds=seconds, seed=seed)
    with _fresh(folder) as target:
        (target / MARKER).write_text(_MARKER_TEXT, encoding="utf-8")
        for table in cohort.tables.values():
            _write_table(table, target)
        _write_recordings(cohort, target, on_progress)


def left_out(schemas: SchemaSet) -> tuple[str, ...]:
    """The tables of recordings that `generate_source` does not write: those of no tool whose files it knows."""
    return tuple(
        name
        for name, schema in schemas.items()
        if schema.source is not None and schema.source.per_recording and not _is_tool_table(schema)
    )


def _write_recordings(cohort: Cohort, target: Path, on_progress: Callable[[int, int], None] | None) -> None:
    tables = [schema for schema in cohort.schemas.values() if _is_tool_table(schema)]
    writers = [_tool_writer(cohort, schema, target) for schema in tables]
    if not tables:
        return
    if len({schema.foreign_keys[0].table for schema in tables}) > 1:
        raise ConfigurationError("schemas/", "tool tables refer to different tables of recordings", "Refer to one.")
    recordings = cohort.tables[tables[0].foreign_keys[0].table]
    key = tables[0].foreign_keys[0].key
    names = recordings.columns[key].tolist()
    for row, name in enumerate(names):
        for write in writers:
            write(row, name, int(recordings.person[row]), int(recordings.number[row]))
        if on_progress is not None:
            on_progress(row + 1, len(names))


def _tool_writer(cohort: Cohort, schema: TableSchema, target: Path) -> Callable[[int, str, int, int], None]:
    """What writes one recording of a table: called with its row and name, and the numbers of person and session."""
    source = schema.source
    seconds, seed = cohort.options["seconds"], cohort.draws.seed
    if source is None or not schema.foreign_keys or (source.reader == "openface") > source.per_recording:
        raise ConfigurationError(
            f"schemas/{schema.name}.yaml", "is a tool's table that cannot be made up",
            "Refer to the table of recordings under 'foreign_keys'; OpenFace files need a '*' in 'source.file'.",
        )  # fmt: skip
    path = target / source.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if source.reader == "openface":
        intensities = cohort.levels(schema, face_files.INTENSITIES)

        def face(row: int, name: str, person: int, session: int) -> None:
            made = face_files.openface_csv(intensities[row], seed=seed, person=person, session=session, seconds=seconds)
            path.with_name(path.name.replace("*", name)).write_bytes(made)

        return face
    levels = cohort.levels(schema, voice_files.FUNCTIONALS)
    if source.per_recording:

        def descriptors(row: int, name: str, person: int, session: int) -> None:
            made = voice_files.egemaps_lld_csv(
                levels[row], name, seed=seed, person=person, session=session, seconds=seconds
            )
            path.with_name(path.name.replace("*", name)).write_bytes(made)

        return descriptors
    path.write_text(voice_files.functionals_header(), encoding="utf-8")

    def functionals(row: int, name: str, person: int, session: int) -> None:  # noqa: ARG001 - one shape for all three
        with path.open("a", encoding="utf-8") as out:
            out.write(voice_files.functionals_line(levels[row], name, seconds=seconds))

    return functionals


def _is_tool_table(schema: TableSchema) -> bool:
    return schema.source is not None and schema.source.reader != "delimited"


def _write_table(table: MadeTable, target: Path) -> None:
    if table.schema.source is None:
        return
    path = target / table.schema.source.file
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = table.texts()
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name when the block succeeds, and is gone when it fails.

    An empty folder may be there already: it is what people make first.
    """
    if not _is_free(folder):
        raise OutputExistsError("DIR", "is already there and not an empty folder", "Name a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        yield made
        made.chmod(0o755)
        # rename() replaces an empty folder and refuses one that has been filled meanwhile.
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _is_free(folder: Path) -> bool:
    if not os.path.lexists(folder):
        return True
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())
