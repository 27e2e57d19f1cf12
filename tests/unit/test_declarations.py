"""The study's own declarations (schemas/, params.yaml): complete, coherent, and true to what the tools write."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from sensai_release.privacy.dictionary import data_dictionary
from sensai_release.privacy.policy import plan_table
from sensai_release.table.documents import load_yaml
from sensai_release.table.schema import ColumnSpec, SchemaSet, load_schemas, released_tables
from sensai_release.table.synthetic_cohort import check_declarations
from sensai_release.table.synthetic_face import openface_columns
from sensai_release.table.synthetic_voice import FUNCTIONALS

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data"
PROFILES = ("controlled", "strict", "frame_level")
DEFAULT_TABLES = {
    "participants", "sessions", "pain_scores", "analgesics", "questionnaire", "face_windows", "voice_functionals",
    "folds",
}  # fmt: skip


@pytest.fixture(scope="module")
def schemas() -> SchemaSet:
    return load_schemas(ROOT / "schemas")


@pytest.fixture(scope="module")
def params() -> dict[str, Any]:
    document: dict[str, Any] = load_yaml(ROOT / "params.yaml", "params.yaml")
    return document


def columns(schemas: SchemaSet) -> list[tuple[str, ColumnSpec]]:
    return [(schema.name, spec) for schema in schemas.values() for spec in schema.columns]


def of(schemas: SchemaSet, table: str, column: str) -> ColumnSpec:
    spec = schemas[table].match(column)
    assert spec is not None, f"{table}.{column} is not declared"
    return spec


def does(spec: ColumnSpec, table: str, profile: str = "controlled") -> list[str]:
    actions = spec.actions_for(table, profile)
    assert actions is not None, f"{spec.label} has no action for {table}"
    return [action.do for action in actions]


@pytest.mark.parametrize("profile", PROFILES)
def test_released_tables(schemas: SchemaSet, profile: str) -> None:
    extra = {"face_frames"} if profile == "frame_level" else set()
    assert {release.table for _, release in released_tables(schemas, profile)} == DEFAULT_TABLES | extra


@pytest.mark.parametrize("profile", PROFILES)
def test_every_column_has_an_action_wherever_its_table_is_released(schemas: SchemaSet, profile: str) -> None:
    for table, release in released_tables(schemas, profile):
        for spec in table.columns:
            assert does(spec, release.table, profile), f"{table.name}.{spec.label}"


def test_source_files_are_those_of_the_contract(schemas: SchemaSet) -> None:
    found = {schema.source.file for schema in schemas.values() if schema.source is not None}
    assert found == {
        "participants.csv", "sessions.csv", "pain_scores.csv", "analgesics.csv", "questionnaire.csv", "consent.csv",
        "face/*.csv", "voice_functionals.csv", "voice_lld/*.csv",
    }  # fmt: skip


def test_identifiers_of_one_kind_look_alike_everywhere(schemas: SchemaSet) -> None:
    found = [spec.identifier for _, spec in columns(schemas) if spec.identifier is not None]
    assert {(identifier.kind, identifier.prefix) for identifier in found} == {("participant", "P"), ("session", "S")}
    assert len({identifier.pattern for identifier in found}) == 1


@pytest.mark.parametrize("name", ["SYN0001", "SYN0001-S3", "P1", "ODBM_SUBJ01_TIMEPOINT01"])
def test_identifier_pattern_accepts(schemas: SchemaSet, name: str) -> None:
    identifier = of(schemas, "participants", "participant_id").identifier
    assert identifier is not None
    assert re.fullmatch(identifier.pattern, name)


@pytest.mark.parametrize("name", ["", "17", "17.0", "1A", "P 1", "P1\u200b", "P/1", "P.1", "É1", "p1", "A" * 33])
def test_identifier_pattern_refuses(schemas: SchemaSet, name: str) -> None:
    identifier = of(schemas, "participants", "participant_id").identifier
    assert identifier is not None
    assert not re.fullmatch(identifier.pattern, name)


def test_hierarchies_are_total_and_used(schemas: SchemaSet) -> None:
    used = set()
    for table, spec in columns(schemas):
        for actions in spec.actions.values():
            for action in actions:
                name = action.parameters.get("hierarchy")
                if name is None:
                    continue
                used.add(name)
                hierarchy = schemas.hierarchies[name]
                if hierarchy.kind == "categories":
                    assert set(spec.categories) == set(hierarchy.table), f"{table}.{spec.label}"
                else:
                    assert spec.dtype in ("integer", "number")
                if action.do == "map":
                    assert 1 <= action.parameters["level"] <= len(hierarchy.level_names)
    assert used == set(schemas.hierarchies)


def test_tier_one_is_what_an_acquaintance_knows_and_can_be_generalised(schemas: SchemaSet) -> None:
    tier = {actions[0].output or spec.name: [action.do for action in actions]
            for _, spec in columns(schemas) if spec.tier == 1 for actions in spec.actions.values()}  # fmt: skip
    assert tier == {name: ["generalise"] for name in ("age_band", "sex", "bmi_band", "tumour_group")}


def test_tier_two(schemas: SchemaSet) -> None:
    tier = {spec.name for _, spec in columns(schemas) if spec.tier == 2}
    assert {"tumour_stage", "karnofsky", "current_treatment", "drug_name"} <= tier


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("participants", "height_cm"), ("participants", "weight_kg"), ("sessions", "device"),
        ("pain_scores", "pain_description"), ("analgesics", "dose"), ("analgesics", "dose_unit"),
        ("consent", "withdrawn_at"), ("voice_functionals", "file"), ("voice_functionals", "end"),
    ],
)  # fmt: skip
def test_what_never_leaves(schemas: SchemaSet, table: str, column: str) -> None:
    assert {action.do for actions in of(schemas, table, column).actions.values() for action in actions} == {"drop"}


def test_absolute_times_become_order_and_days(schemas: SchemaSet) -> None:
    actions = of(schemas, "sessions", "recorded_at").actions["default"]
    assert [(action.do, action.output) for action in actions] == [
        ("ordinal", "session_ordinal"), ("relative_day", "relative_day"),
    ]  # fmt: skip
    assert of(schemas, "sessions", "recorded_at").idclass == "X"


# OpenFace


@pytest.mark.parametrize("column", openface_columns())
def test_every_openface_column_is_claimed_and_templates_of_the_face_are_dropped(
    schemas: SchemaSet, column: str
) -> None:
    spec = of(schemas, "face", column)
    template = re.match(r"(eye_lmk_|p_|pose_T|[xyzXYZ]_)", column) is not None
    assert (spec.idclass == "X") is template
    if template:
        assert does(spec, "face_windows") == does(spec, "face_frames", "frame_level") == ["drop"]


def test_every_openface_column_is_claimed_by_one_entry(schemas: SchemaSet) -> None:
    for column in openface_columns():
        assert len([spec for spec in schemas["face"].columns if spec.matches(column)]) == 1, column


@pytest.mark.parametrize(
    "column",
    ["", "Unnamed: 0", "AU28_r", "AU61_r", "AU62_r", "AU63_r", "AU64_r", "AU43_r", "AU61_c", "x_68", "X_100",
     "eye_lmk_x_56", "p_34", "gaze_2_x", "gaze_angle_z", "pose_Rw", "AU1_r", "AU01", "frame ", "detected"],
)  # fmt: skip
def test_columns_that_openface_does_not_make_are_not_claimed(schemas: SchemaSet, column: str) -> None:
    assert schemas["face"].match(column) is None


@pytest.mark.parametrize(
    ("column", "idclass", "windows", "frames"),
    [
        ("AU04_r", "B", ["window"], ["keep"]),
        ("AU04_c", "C", ["window"], ["keep"]),
        ("AU28_c", "C", ["window"], ["keep"]),
        ("AU45_r", "B", ["window"], ["keep"]),
        ("AU45_c", "A", ["drop"], ["drop"]),
        ("gaze_angle_x", "A", ["window"], ["drop"]),
        ("gaze_0_x", "A", ["drop"], ["drop"]),
        ("pose_Rx", "A", ["window"], ["drop"]),
        ("confidence", "C", ["window"], ["keep"]),
        ("timestamp", "C", ["drop"], ["keep"]),
        ("frame", "C", ["drop"], ["keep"]),
    ],
)
def test_classes_and_actions_of_the_face(
    schemas: SchemaSet, column: str, idclass: str, windows: list[str], frames: list[str]
) -> None:
    spec = of(schemas, "face", column)
    assert spec.idclass == idclass
    assert does(spec, "face_windows") == windows
    assert does(spec, "face_frames", "frame_level") == frames


def test_class_a_of_the_face_leaves_as_spread_only(schemas: SchemaSet) -> None:
    for spec in schemas["face"].columns:
        if spec.idclass == "A":
            for action in spec.actions_for("face_windows", "controlled") or ():
                assert action.do == "drop" or action.parameters["statistics"] == ["sd"]


def test_windows(schemas: SchemaSet) -> None:
    (release,) = [release for release in schemas["face"].releases if release.table == "face_windows"]
    assert release.window is not None
    assert (release.window.seconds, release.window.time, release.window.valid) == (5, "timestamp", "success")
    assert release.window.minimum_valid == 0.5


# openSMILE


def test_every_functional_is_claimed_by_one_entry(schemas: SchemaSet) -> None:
    assert len(FUNCTIONALS) == 88
    for column in FUNCTIONALS:
        assert len([spec for spec in schemas["voice_functionals"].columns if spec.matches(column)]) == 1, column


@pytest.mark.parametrize(
    ("pattern", "count", "idclass", "controlled", "under_waiver"),
    [
        (r"mfcc.*", 16, "A", "drop", "drop"),
        (r"F[123](frequency|bandwidth|amplitude).*", 18, "A", "drop", "drop"),
        (r"F0.*(amean|percentile.*)", 4, "A", "drop", "round"),
        (r"F0.*(stddevNorm|pctlrange.*|Slope)", 6, "B", "drop", "round"),
        (r"(jitter|shimmer|HNR|logRel).*", 10, "A", "drop", "round"),
        (r"(alphaRatio|hammarberg|slope).*", 12, "A", "drop", "round"),
        (r"(loudness_|spectralFlux).*", 15, "B", "drop", "round"),
        (r"(loudnessPeaks|Voiced|Mean).*", 4, "C", "round", "round"),
        (r"Stddev.*", 2, "C", "drop", "round"),
        (r"equivalentSoundLevel_dBp", 1, "B", "drop", "round"),
    ],
)
def test_classes_and_actions_of_the_voice(
    schemas: SchemaSet, pattern: str, count: int, idclass: str, controlled: str, under_waiver: str
) -> None:
    found = [name for name in FUNCTIONALS if re.fullmatch(pattern, name)]
    assert len(found) == count
    for name in found:
        spec = of(schemas, "voice_functionals", name)
        assert spec.idclass == idclass, name
        assert does(spec, "voice_functionals", "controlled") == [controlled], name
        assert does(spec, "voice_functionals", "strict") == [controlled], name
        assert does(spec, "voice_functionals", "frame_level") == [under_waiver], name


def test_low_level_descriptors_are_never_opened_and_never_released(schemas: SchemaSet) -> None:
    table = schemas["voice_lld"]
    assert table.source is not None
    assert not table.source.read
    assert not table.releases
    assert {spec.idclass for spec in table.columns} == {"X"}
    assert {action.do for spec in table.columns for actions in spec.actions.values() for action in actions} == {
        "drop", "pseudonymise",
    }  # fmt: skip


# Real files


def real_files(pattern: str) -> list[Any]:
    found = sorted(REAL.glob(pattern))
    absent = pytest.mark.skip(reason="the real tool output (../shared/data) is not here")
    return [pytest.param(path, id=path.name) for path in found] or [pytest.param(REAL, marks=absent)]


def header(path: Path) -> list[str]:
    line = path.read_text(encoding="utf-8-sig").split("\n", 1)[0]
    return [name.strip() for name in next(csv.reader([line], delimiter=";" if line.count(";") > 3 else ","))]


def unclaimed(schemas: SchemaSet, table: str, path: Path) -> list[str]:
    return [name for name in header(path) if schemas[table].match(name) is None]


@pytest.mark.parametrize("path", real_files("openface/*.csv"))
def test_real_openface_files(schemas: SchemaSet, path: Path) -> None:
    refused = ["", "AU28_r"] if path.name == "exploface_au_only_indexed.csv" else []
    assert unclaimed(schemas, "face", path) == refused


@pytest.mark.parametrize("path", real_files("opensmile/*egemapsv02*.csv"))
def test_real_opensmile_files(schemas: SchemaSet, path: Path) -> None:
    assert unclaimed(schemas, "voice_lld" if path.stem.endswith("lld") else "voice_functionals", path) == []


@pytest.mark.parametrize("path", real_files("opensmile/[ce][om][mo][pb]a*.csv"))
def test_other_real_feature_sets_are_not_claimed(schemas: SchemaSet, path: Path) -> None:
    assert unclaimed(schemas, "voice_functionals", path)


# The range in force, as a release shows it


@pytest.mark.parametrize(
    ("table", "release", "profile", "column", "unit", "minimum", "maximum"),
    [
        ("pain_scores", "pain_scores", "controlled", "nrs_self", "NRS", 0, 10),
        ("questionnaire", "questionnaire", "controlled", "mood", "point", 0, 10),
        ("face", "face_frames", "frame_level", "AU12_r", "FACS intensity", 0, 5),
        ("face", "face_frames", "frame_level", "confidence", "proportion", 0, 1),
        ("face", "face_windows", "controlled", "AU12_r_mean", "FACS intensity", 0, 5),
    ],
)
def test_the_data_dictionary_shows_the_range_and_unit_of_the_catalogue(
    schemas: SchemaSet, table: str, release: str, profile: str, column: str, unit: str, minimum: int, maximum: int
) -> None:
    schema = schemas[table]
    (spec,) = [spec for spec in schema.releases if spec.table == release]
    names = [entry.name for entry in schema.columns if entry.name is not None and not entry.is_derived]
    dictionary = data_dictionary(plan_table(schema, spec, profile, names, schemas.hierarchies))
    (found,) = [entry for entry in dictionary["columns"] if entry["name"] == column]
    assert (found["unit"], found["minimum"], found["maximum"]) == (unit, minimum, maximum)


def test_a_change_of_the_catalogue_or_the_tool_runs_the_stages_that_use_it_again() -> None:
    stages = load_yaml(ROOT / "dvc.yaml", "dvc.yaml")["stages"]
    assert [name for name, stage in stages.items() if "work/catalogue.json" in stage.get("deps", ())] == [
        "validate", "deidentify", "risk", "datasheet", "package", "scan",
    ]  # fmt: skip


# params.yaml


def test_how_synthetic_values_are_made_is_well_formed(schemas: SchemaSet) -> None:
    check_declarations(schemas)


def test_params_name_tables_and_columns_that_exist(schemas: SchemaSet, params: dict[str, Any]) -> None:
    persons, sessions, consent = params["persons"], params["sessions"], params["consent"]
    assert schemas[persons["table"]].primary_key == (persons["key"],)
    assert schemas[sessions["table"]].primary_key == (sessions["key"],)
    assert of(schemas, sessions["table"], sessions["person"])
    assert schemas[consent["table"]].primary_key == (consent["person"],)
    assert consent["grant"]["equals"] in of(schemas, consent["table"], consent["grant"]["column"]).categories
    assert of(schemas, consent["table"], consent["withdrawn"]).nullable
    assert of(schemas, persons["table"], params["folds"]["stratify"])


def test_params_profiles(schemas: SchemaSet, params: dict[str, Any]) -> None:
    declared = {profile for schema in schemas.values() for release in schema.releases for profile in release.profiles}
    assert declared == set(params["profiles"]) == set(PROFILES)
    assert params["profile"] == "controlled"
    assert {name: profile["k"] for name, profile in params["profiles"].items()} == {
        "controlled": 5, "strict": 11, "frame_level": 5,
    }  # fmt: skip
    assert {profile["max_suppressed"] for profile in params["profiles"].values()} == {0.05}
    assert [name for name, profile in params["profiles"].items() if profile.get("waiver") == "required"] == [
        "frame_level"
    ]
    assert params["masking"]["minimum"] == 10


def test_actions_name_profiles_that_exist(schemas: SchemaSet, params: dict[str, Any]) -> None:
    named = {key.split("@")[1] for _, spec in columns(schemas) for key in spec.actions if "@" in key}
    assert named <= set(params["profiles"])
