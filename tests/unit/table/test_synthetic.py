"""The synthetic source folder: true to the schemas and to the tools' dialects, and the same for the same seed."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from other_study_kit import SCHEMAS

from sensai_release.errors import ConfigurationError, OutputExistsError
from sensai_release.table import synthetic_face, synthetic_voice
from sensai_release.table.schema import SchemaSet, load_schemas, parse_table
from sensai_release.table.synthetic import MARKER, generate_source, left_out
from sensai_release.table.synthetic_cohort import Cohort
from sensai_release.table.synthetic_draws import Draws, pick

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / "shared" / "data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the real tool output (../shared/data) is not here")

SECONDS = 2


@pytest.fixture(scope="module")
def schemas() -> SchemaSet:
    return load_schemas(ROOT / "schemas")


@pytest.fixture(scope="module")
def source(schemas: SchemaSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "source"
    generate_source(folder, schemas, participants=40, sessions=3, seconds=SECONDS, seed=11)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(source: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(source / f"{name}.csv")


def recordings(source: Path) -> list[pd.DataFrame]:
    return [pd.read_csv(path, skipinitialspace=True) for path in sorted((source / "face").iterdir())[:12]]


# Determinism and atomicity


def test_the_same_seed_gives_the_same_bytes(schemas: SchemaSet, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate_source(tmp_path / name, schemas, participants=4, sessions=2, seconds=2, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    first, other = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert first["participants.csv"] != other["participants.csv"]
    assert first["face/SYN0001-S1.csv"] != other["face/SYN0001-S1.csv"]


def test_more_participants_leave_the_first_ones_as_they_are(schemas: SchemaSet, tmp_path: Path) -> None:
    generate_source(tmp_path / "few", schemas, participants=3, sessions=2, seconds=1, seed=5)
    generate_source(tmp_path / "many", schemas, participants=30, sessions=2, seconds=1, seed=5)
    few, many = contents(tmp_path / "few"), contents(tmp_path / "many")
    for name, made in few.items():
        assert many[name].startswith(made), name


def test_a_folder_in_use_is_left_alone(schemas: SchemaSet, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("mine")
    with pytest.raises(OutputExistsError, match="already there"):
        generate_source(tmp_path / "there", schemas, participants=2, sessions=1, seconds=1, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["mine"]


def test_an_empty_folder_is_taken(schemas: SchemaSet, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    generate_source(tmp_path / "there", schemas, participants=2, sessions=1, seconds=1, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there" / "participants.csv").is_file()


def test_nothing_is_left_after_a_failure(schemas: SchemaSet, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        assert (done, total > 1) == (1, True)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_source(tmp_path / "out", schemas, participants=3, sessions=1, seconds=1, seed=1, on_progress=stop)
    assert not list(tmp_path.iterdir())


def test_progress_counts_every_recording(schemas: SchemaSet, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate_source(
        tmp_path / "out", schemas, participants=3, sessions=2, seconds=1, seed=2,
        on_progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    total = len(list((tmp_path / "out" / "face").iterdir()))
    assert seen == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("--participants", {"participants": 0}),
        ("--sessions", {"sessions": 0}),
        ("--seconds", {"seconds": 0}),
        ("--seconds", {"seconds": 3601}),
        ("--seed", {"seed": -1}),
    ],
)
def test_an_option_out_of_range_is_refused(
    schemas: SchemaSet, tmp_path: Path, option: str, arguments: dict[str, int]
) -> None:
    with pytest.raises(ConfigurationError, match=option):
        generate_source(
            tmp_path / "out",
            schemas,
            participants=arguments.get("participants", 2),
            sessions=arguments.get("sessions", 1),
            seconds=arguments.get("seconds", 1),
            seed=arguments.get("seed", 1),
        )
    assert not (tmp_path / "out").exists()


# What is in the folder


def test_every_file_and_column_is_claimed_by_a_schema(source: Path, schemas: SchemaSet) -> None:
    patterns = {schema.source.file: schema for schema in schemas.values() if schema.source is not None}
    left = {path.relative_to(source).as_posix() for path in source.rglob("*.*")} - {MARKER}
    for pattern, schema in patterns.items():
        files = [path for path in sorted(source.glob(pattern)) if path.is_file()]
        assert files, pattern
        left -= {path.relative_to(source).as_posix() for path in files}
        for path in files[:3]:
            header = [name.strip() for name in path.read_text(encoding="utf-8").split("\n", 1)[0].split(",")]
            assert [name for name in header if schema.match(name) is None] == [], path.name
            required = {spec.name for spec in schema.columns if spec.required and spec.name and not spec.is_derived}
            assert required <= set(header)
    assert not left


def test_the_folder_says_that_it_is_synthetic(source: Path) -> None:
    assert "SYNTHETIC" in (source / MARKER).read_text(encoding="utf-8")
    assert table(source, "participants").participant_id.str.fullmatch(r"SYN\d{4}").all()
    assert table(source, "sessions").session_id.str.fullmatch(r"SYN\d{4}-S\d").all()
    texts = [table(source, "pain_scores").pain_description.dropna(), table(source, "sessions").device]
    assert all(text.str.startswith("Synthetic: ").all() and len(text) for text in texts)
    assert table(source, "voice_functionals").file.str.startswith("/recordings/synthetic/SYN").all()


def test_sessions_per_group(source: Path) -> None:
    persons = table(source, "participants").set_index("participant_id")
    counts = table(source, "sessions").participant_id.value_counts().reindex(persons.index)
    assert persons.group.value_counts().to_dict() == {"pain": 24, "control": 16}
    assert (counts[persons.group == "control"] == 1).all()
    assert set(counts[persons.group == "pain"]) == {1, 2, 3}
    every = set(table(source, "sessions").session_id)
    for folder in ("face", "voice_lld"):
        assert {path.stem for path in (source / folder).iterdir()} == every
    for name in ("pain_scores", "questionnaire"):
        assert sorted(table(source, name).session_id) == sorted(every)
    assert set(table(source, "voice_functionals").file.map(lambda path: Path(path).stem)) == every


def test_the_rules_across_tables_hold(source: Path) -> None:
    persons, consent = table(source, "participants"), table(source, "consent")
    sessions = table(source, "sessions").merge(persons, on="participant_id").merge(consent, on="participant_id")
    assert len(sessions) == len(table(source, "sessions"))
    assert (pd.to_datetime(sessions.recorded_at) > pd.to_datetime(sessions.consented_at)).all()
    withdrawn = sessions.dropna(subset="withdrawn_at")
    assert (pd.to_datetime(withdrawn.withdrawn_at) > pd.to_datetime(withdrawn.recorded_at)).all()
    ordered = sessions.groupby("participant_id").recorded_at.apply(lambda times: times.is_monotonic_increasing)
    assert ordered.all()
    scores = table(source, "pain_scores").merge(sessions, on="session_id")
    assert (scores.nrs_self[scores.group == "control"] == 0).all()
    assert scores.nrs_self[scores.group == "pain"].max() >= 7
    assert table(source, "analgesics").session_id.isin(set(sessions.session_id)).all()


@pytest.mark.parametrize("seed", range(8))
def test_refusals_and_withdrawals_are_in_every_cohort_of_forty(schemas: SchemaSet, seed: int) -> None:
    cohort = Cohort(schemas, participants=40, sessions=1, seconds=1, seed=seed)
    consent = cohort.tables["consent"].texts()
    assert consent["share_features"].count("no") == 2
    assert sum(text != "" for text in consent["withdrawn_at"]) == 2


def test_values_lie_in_their_declared_ranges(source: Path, schemas: SchemaSet) -> None:
    names = ("participants", "sessions", "pain_scores", "analgesics", "questionnaire", "consent", "voice_functionals")
    frames = {name: table(source, name) for name in names}
    frames |= {"face": pd.concat(recordings(source))}
    for name, frame in frames.items():
        for column in frame.columns:
            spec = schemas[name].match(column)
            assert spec is not None
            values = frame[column].dropna()
            assert spec.nullable or len(values) == len(frame), column
            if spec.minimum is not None:
                assert values.min() >= spec.minimum, column
            if spec.maximum is not None:
                assert values.max() <= spec.maximum, column
            if spec.step is not None:
                assert (values % spec.step == 0).all(), column
            if spec.dtype == "integer":
                assert (values == values.round()).all(), column
            if spec.categories:
                assert set(values.astype(str)) <= set(spec.categories), column
            if spec.identifier is not None:
                assert values.str.fullmatch(spec.identifier.pattern).all(), column


def test_some_cells_are_missing(schemas: SchemaSet) -> None:
    cohort = Cohort(schemas, participants=200, sessions=2, seconds=1, seed=1)
    cells = cohort.tables["pain_scores"].texts()
    assert 0.01 < cells["nrs_observer"].count("") / len(cells["nrs_observer"]) < 0.1
    assert "" in cohort.tables["participants"].texts()["karnofsky"]


def test_pain_shows_in_scores_faces_and_voices(schemas: SchemaSet) -> None:
    cohort = Cohort(schemas, participants=200, sessions=3, seconds=1, seed=1)
    scores = cohort.tables["pain_scores"].texts()
    both = np.array(
        [[one, two] for one, two in zip(scores["nrs_self"], scores["nrs_observer"], strict=True) if one and two]
    )
    assert np.corrcoef(both.astype(float).T)[0, 1] > 0.6
    pain = cohort.tables["sessions"].columns["trait pain"].astype(float)
    face = cohort.levels(schemas["face"], synthetic_face.INTENSITIES)
    brow, outer = (synthetic_face.INTENSITIES.index(name) for name in ("AU04_r", "AU02_r"))
    assert np.corrcoef(pain, face[:, brow])[0, 1] > 0.3
    assert abs(np.corrcoef(pain, face[:, outer])[0, 1]) < 0.15
    voice = cohort.levels(schemas["voice_functionals"], ("loudness_sma3_amean",))
    assert np.corrcoef(pain, voice[:, 0])[0, 1] > 0.25


# OpenFace


@needs_real
def test_the_openface_header_is_the_real_one(source: Path) -> None:
    real = (REAL / "openface" / "odbm_subj01_timepoint01.csv").read_bytes().split(b"\n", 1)[0]
    for path in sorted((source / "face").iterdir())[:3]:
        assert path.read_bytes().split(b"\n", 1)[0] == real


@needs_real
def test_openface_cells_are_padded_and_rounded_as_the_real_ones(source: Path) -> None:
    def shapes(line: bytes) -> list[bytes]:
        return [re.sub(rb"-?\d+(?=\.)|(?<!\.)-?\b\d+$", b"#", re.sub(rb"(?<=\.)\d+", lambda m: b"0" * len(m[0]), cell))
                for cell in line.split(b",")]  # fmt: skip

    real = (REAL / "openface" / "odbm_subj01_timepoint01.csv").read_bytes().split(b"\n")
    for path in sorted((source / "face").iterdir())[:3]:
        lines = path.read_bytes().split(b"\n")
        assert lines[-1] == b""
        assert {tuple(shapes(line)) for line in lines[1:-1]} == {tuple(shapes(real[1]))}


def test_openface_frames(source: Path) -> None:
    failures = 0
    for frame in recordings(source):
        assert frame.shape == (30 * SECONDS, 714)
        assert frame.frame.tolist() == list(range(1, 30 * SECONDS + 1))
        assert frame.timestamp.iloc[-1] == round((30 * SECONDS - 1) / 30, 3)
        lost = frame[frame.success == 0]
        failures += len(lost)
        assert (lost.confidence <= 0.3).all()
        assert (lost.loc[:, "gaze_0_x":] == 0).all(axis=None)
        kept = frame[frame.success == 1]
        assert (kept.confidence >= 0.8).all()
        assert np.allclose(kept.filter(regex="gaze_0_[xyz]").pow(2).sum(axis=1), 1, atol=1e-5)
    assert 0 < failures < 0.1 * 30 * SECONDS * len(recordings(source))


def test_intensities_are_smooth_in_time() -> None:
    frame = _face_frame(person=0, session=0)
    series = frame.loc[frame.success == 1, "AU06_r"].to_numpy()
    assert np.corrcoef(series[:-1], series[1:])[0, 1] > 0.6


def test_faces_can_be_linked_across_sessions() -> None:
    shapes = [f"p_{mode}" for mode in range(34)]
    first, second = (
        np.stack([_face_frame(person=person, session=session)[shapes].mean() for person in range(8)])
        for session in (0, 1)
    )
    distance = np.linalg.norm(first[:, None] - second[None], axis=2)
    assert distance.argmin(axis=1).tolist() == list(range(8))


@pytest.mark.parametrize(
    ("columns", "low", "high"),
    [
        ("mfcc", 0.30, 0.60),
        ("F[123]", 0.30, 0.60),
        ("F0", 0.08, 0.25),
        ("loudness_", 0.08, 0.25),
        (".*(PerSec|SegmentLength)", 0.0, 0.06),
        ("", 0.75, 0.95),
    ],
)
def test_voices_are_found_as_often_as_real_ones(schemas: SchemaSet, columns: str, low: float, high: float) -> None:
    """Nearest neighbour in another session: MFCC find 45 % of 75 real speakers, timing 3 %, all together 84 %."""
    levels, persons = _seventy_five(schemas, "voice_functionals", synthetic_voice.FUNCTIONALS)
    values = np.stack([_functionals_of(row) for row in levels])
    chosen = [number for number, name in enumerate(synthetic_voice.FUNCTIONALS) if re.match(columns, name)]
    assert low <= _found(values[:, chosen], persons) <= high


def test_action_units_find_nobody_across_sessions(schemas: SchemaSet) -> None:
    levels, persons = _seventy_five(schemas, "face", synthetic_face.INTENSITIES)
    assert _found(levels, persons) < 0.06


def _seventy_five(schemas: SchemaSet, name: str, columns: tuple[str, ...]) -> tuple[Any, Any]:
    """Levels in two sessions of each of 75 persons, and the numbers of the persons."""
    cohort = Cohort(schemas, participants=400, sessions=2, seconds=1, seed=1)
    persons = cohort.tables["sessions"].person
    several = np.flatnonzero(np.bincount(persons) == 2)[:75]
    rows = np.flatnonzero(np.isin(persons, several))
    assert len(rows) == 150
    return cohort.levels(schemas[name], columns)[rows], persons[rows]


def _functionals_of(levels: Any) -> list[float]:
    line = synthetic_voice.functionals_line(levels, "name", seconds=1)
    return [float(cell) for cell in line.split(",")[3:]]


def _found(values: Any, persons: Any) -> float:
    """The share of sessions whose nearest session, by the cosine of standardised columns, is of the same person."""
    unit = (values - values.mean(axis=0)) / values.std(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    return float((persons[likeness.argmax(axis=1)] == persons).mean())


def _face_frame(*, person: int, session: int) -> pd.DataFrame:
    made = synthetic_face.openface_csv(np.zeros(17), seed=1, person=person, session=session, seconds=SECONDS)
    return pd.read_csv(io.BytesIO(made), skipinitialspace=True)


@pytest.mark.parametrize("decimals", [0, 1, 2, 3, 6])
def test_fixed_lines_write_what_python_writes(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    values = np.concatenate([rng.normal(0, 10.0 ** rng.integers(-3, 4, 200)), [0.0, -0.0, 0.5, 9.96, -1e-9, 1234.5]])
    # Cells exactly between two roundings are left out: both are right.
    values = np.round(values, decimals)
    made = synthetic_face.fixed_lines([(values[:, None], decimals, b""), (values[:, None], decimals, b",  ")])
    expected = [f"{value + 0.0:.{decimals}f}" for value in values]
    assert made.decode() == "".join(f"{text},  {text}\n" for text in expected)


# openSMILE


@needs_real
def test_opensmile_headers_are_the_real_ones(source: Path) -> None:
    made = {"egemapsv02_functionals.csv": source / "voice_functionals.csv",
            "egemapsv02_lld.csv": next((source / "voice_lld").iterdir())}  # fmt: skip
    for name, path in made.items():
        real = (REAL / "opensmile" / name).read_text(encoding="utf-8").split("\n", 1)[0]
        assert path.read_text(encoding="utf-8").split("\n", 1)[0] == real


def test_functionals_hang_together(source: Path) -> None:
    frame = table(source, "voice_functionals")
    assert frame.shape[1] == 91
    for name in ("F0semitoneFrom27.5Hz_sma3nz", "loudness_sma3"):
        low, middle, high = (frame[f"{name}_percentile{share}.0"] for share in (20, 50, 80))
        assert ((low <= middle) & (middle <= high)).all()
        assert np.allclose(frame[f"{name}_pctlrange0-2"], high - low, rtol=1e-4)
    assert (frame.start == "0 days").all()
    assert (frame.end == f"0 days 00:00:{SECONDS:02d}").all()


def test_low_level_descriptors(source: Path) -> None:
    frame = pd.read_csv(next((source / "voice_lld").iterdir()))
    assert frame.shape == (SECONDS * 100, 28)
    assert frame.start.tolist()[:2] == ["0 days 00:00:00", "0 days 00:00:00.010000"]
    assert frame.start.iloc[100] == "0 days 00:00:01"
    silent = frame["F0semitoneFrom27.5Hz_sma3nz"] == 0
    assert 0 < silent.mean() < 1
    assert (frame.F1amplitudeLogRelF0_sma3nz[silent] == -201).all()


def test_long_times_carry_over_to_minutes() -> None:
    line = synthetic_voice.functionals_line(np.zeros(88), "X", seconds=125)
    assert line.split(",")[2] == "0 days 00:02:05"


# The declarations


def small(*, person: dict[str, Any], session: dict[str, Any] | None = None) -> SchemaSet:
    def column(name: str, **entry: Any) -> dict[str, Any]:
        return {"name": name, "dtype": "number", "description": "d", "role": "insensitive", "class": "C",
                "action": "drop", "justification": "j", **entry}  # fmt: skip

    key = column("a_id", dtype="string", synthetic={"sequence": "SYN{n}", "traits": {"strong": {}}})
    tables = {"a": {"columns": [key, column("value", **person)], "primary_key": ["a_id"]}}
    if session is not None:
        own = column("b_id", dtype="string", synthetic={"sequence": "{parent}-{n:02d}", "traits": {"late": {}}})
        link = column("a_id", dtype="string", synthetic={"rows": [2, 2]})
        tables["b"] = {"columns": [own, link, column("value", **session)], "primary_key": ["b_id"],
                       "foreign_keys": [{"column": "a_id", "references": "a.a_id"}]}  # fmt: skip
    parsed = {
        name: parse_table(
            {"table": name, "title": "t", "description": "d",
             "source": {"file": f"{name}.csv", "reader": "delimited", "row": "r"}, **document}, name,
        )
        for name, document in tables.items()
    }  # fmt: skip
    return SchemaSet(tables=parsed, hierarchies={})


def values(schemas: SchemaSet, name: str = "a", participants: int = 400) -> list[str]:
    return Cohort(schemas, participants=participants, sessions=3, seconds=7, seed=1).tables[name].texts()["value"]


@pytest.mark.parametrize(
    ("column", "check"),
    [
        ({"synthetic": {"constant": 2.5}}, lambda v: set(v) == {2.5}),
        ({"synthetic": {"option": "seconds"}}, lambda v: set(v) == {7.0}),
        ({"synthetic": {"uniform": [1, 2]}}, lambda v: v.min() >= 1 and v.max() <= 2 and 1.4 < v.mean() < 1.6),
        ({"synthetic": {"normal": {"mean": 5, "sd": 2}}}, lambda v: 4.7 < v.mean() < 5.3 and 1.8 < v.std() < 2.2),
        ({"synthetic": {"normal": {"mean": 0, "sd": 9}}, "minimum": -1, "maximum": 1}, lambda v: {-1.0, 1.0} < set(v)),
        ({"synthetic": {"normal": {"mean": 0, "sd": 9}}, "minimum": 0, "step": 5}, lambda v: set(v % 5) == {0.0}),
        ({"synthetic": {"choice": {"1": 3, "2": 1}}}, lambda v: 0.2 < (v == 2).mean() < 0.3),
        ({"synthetic": {"choice": {"1": 19, "2": 1}, "spread": True}}, lambda v: (v == 2).sum() == 20),
        ({"synthetic": {"choice": {"1": 1, "2": 1}, "loadings": {"strong": 1}}}, lambda v: 0.4 < (v == 2).mean() < 0.6),
        ({"synthetic": {"normal": {"mean": 0, "sd": 1}, "decimals": 1}}, lambda v: np.allclose(v, np.round(v, 1))),
    ],
)
def test_a_declaration_makes_what_it_says(column: dict[str, Any], check: Any) -> None:
    assert check(np.array(values(small(person=column)), dtype=float))


def test_when_and_missing() -> None:
    entry = {
        "constant": 1,
        "when": [{"where": {"a.a_id": "SYN3"}, "constant": 9}, {"where": {"a.a_id": "SYN4"}, "missing": 1}],
    }
    assert values(small(person={"synthetic": entry, "nullable": True}), participants=5) == ["1", "1", "9", "", "1"]


def test_a_person_share_of_one_repeats_in_every_session() -> None:
    session = {"synthetic": {"normal": {"mean": 0, "sd": 1, "person": 1}}}
    made = values(small(person={"synthetic": {"constant": 1}}, session=session), "b", 50)
    assert made[::2] == made[1::2]
    assert len(set(made)) == 50


def test_dates_follow_each_other() -> None:
    session = {"dtype": "datetime", "synthetic": {
        "date": {"start": "2026-01-05", "days": [3, 3], "step_days": [2, 2], "hours": [9, 10]}}}  # fmt: skip
    made = values(small(person={"synthetic": {"constant": 1}}, session=session), "b", 3)
    assert [text[:13] for text in made] == ["2026-01-08T09", "2026-01-10T09"] * 3


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"synthetic": {"normal": {"mean": 1}}}, "sd"),
        ({"synthetic": {"gamma": 1}}, "value.synthetic"),
        ({"synthetic": {"text": ["A dull pain"]}}, "value.synthetic"),
        ({"synthetic": {"sequence": "{n.__class__}"}}, "value.synthetic"),
        ({"synthetic": {"when": [{"constant": 1}]}}, "where"),
        ({}, "may not be empty"),
        ({"synthetic": {"constant": 1, "missing": 1}}, "may not be empty"),
        ({"synthetic": {"normal": {"mean": 0, "sd": 1, "loadings": {"strong": 0.9}, "person": 0.5}}}, "whole variance"),
        ({"synthetic": {"normal": {"mean": 0, "sd": 1, "loadings": {"weak": 0.9}}}}, "not made before"),
        ({"synthetic": {"constant": 1, "when": [{"where": {"a.later": "x"}, "constant": 2}]}}, "not made before"),
    ],
)
def test_a_wrong_declaration_is_refused(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        values(small(person=entry))


def test_tables_that_need_each_other_are_refused() -> None:
    person = {"synthetic": {"constant": 1, "when": [{"where": {"b.value": "1"}, "constant": 2}]}}
    with pytest.raises(ConfigurationError, match="circle"):
        values(small(person=person, session={"synthetic": {"constant": 1}}))


def test_draws_are_uniform_and_independent_of_each_other() -> None:
    draws, numbers = Draws(seed=1), np.arange(20_000, dtype=np.int64)
    one, two = draws.uniform("one", numbers), draws.uniform("two", numbers)
    assert 0 < one.min() < one.max() < 1
    assert np.histogram(one, 10, (0, 1))[0].min() > 1800
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.03
    assert np.array_equal(draws.uniform("one", numbers[5:9]), one[5:9])
    normal = draws.normal("z", numbers)
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.02


def test_pick_keeps_to_the_edges() -> None:
    assert pick({"a": 1, "b": 1}, np.array([1e-12, 0.4999, 0.5, 1 - 1e-12])).tolist() == ["a", "a", "b", "b"]


def test_session_rows_are_csv(source: Path) -> None:
    with (source / "pain_scores.csv").open(encoding="utf-8", newline="") as rows:
        assert {len(row) for row in csv.reader(rows)} == {6}


def test_recordings_of_an_unknown_tool_are_named_as_left_out(schemas: SchemaSet) -> None:
    study = SchemaSet(tables={t["table"]: parse_table(t, "schemas/x.yaml") for t in SCHEMAS}, hierarchies={})
    assert left_out(study) == ("wrist",)
    assert left_out(schemas) == ()
