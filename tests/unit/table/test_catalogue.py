"""The catalogue: is it well-formed, does it know the real tools, does it agree with the schemas of the workspace?"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from table_kit import SHARED, needs_real_files

from sensai_release.errors import ConfigurationError
from sensai_release.table.catalogue import CatalogueEntry, classify, identify_tool, load_catalogue
from sensai_release.table.catalogue.entries import parse_tool
from sensai_release.table.documents import parse_yaml
from sensai_release.table.schema import ColumnSpec, load_schemas

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ("openface", "opensmile", "pyfeat", "mediapipe", "librosa", "odbm_derived")
NATIVE = r"^(native|.*dutch)"

LAYOUTS = {
    "openface/odbm_subj01_timepoint01.csv": ("openface", "frames_2_1"),
    "openface/odbm_subj01_timepoint02.csv": ("openface", "frames_2_1"),
    "openface/facsvatar_head_test_raw.csv": ("openface", "frames_2_0"),
    "openface/facsvatar_2people_60fps_p0_clean.csv": ("openface", "frames_2_0"),
    "openface/pyfeat_OpenFace_Test.csv": ("openface", "frames_1"),
    "openface/exploface_au_only_indexed.csv": ("openface", "frames_1"),
    "opensmile/egemapsv02_functionals.csv": ("opensmile", "egemaps_functionals"),
    "opensmile/egemapsv02_functionals.parquet": ("opensmile", "egemaps_functionals"),
    "opensmile/egemapsv02_dutch_excel.csv": ("opensmile", "egemaps_functionals"),
    "opensmile/egemapsv02_identifying_filenames.csv": ("opensmile", "egemaps_functionals"),
    "opensmile/native_egemapsv02_functionals.csv": ("opensmile", "egemaps_functionals"),
    "opensmile/native_egemapsv02.arff": ("opensmile", "egemaps_functionals"),
    "opensmile/egemapsv02_lld.csv": ("opensmile", "egemaps_lld"),
    "opensmile/native_egemapsv02_syn01_nl_s1_lld.csv": ("opensmile", "egemaps_lld"),
    "opensmile/compare2016_functionals.csv": ("opensmile", "compare_functionals"),
    "opensmile/emobase_functionals.csv": ("opensmile", "emobase_functionals"),
    "pyfeat/news_sample_001.csv": ("pyfeat", "fex_2"),
    "pyfeat/news_sample_003.csv": ("pyfeat", "fex_2"),
    "pyfeat/fex_v0_001.csv": ("pyfeat", "fex_0"),
    "pyfeat/fex_v0_home_path_in_input.csv": ("pyfeat", "fex_0"),
    "pyfeat/clip_attrs.csv": None,
    "mediapipe/facemesh468_wide.csv": ("mediapipe", "face_mesh"),
    "librosa/librosa_summary.csv": ("librosa", "summary"),
    "librosa/librosa_frames.csv": ("librosa", "frames"),
    "odbm_derived/derived_output.csv": ("opendbm", "derived"),
    "odbm_derived/metadata.csv": None,
    **{
        f"odbm_derived/subj01_timepoint01_{name}.csv": ("opendbm", "raw")
        for name in ("facau", "faclmk", "headpose", "jitter", "mfcc", "nlp", "pitch")
    },
}
UNKNOWN = {
    # The index column of pandas, and an action unit whose intensity OpenFace does not give.
    "openface/exploface_au_only_indexed.csv": {"", "AU28_r"},
    # The class label that an ARFF file may end with.
    "opensmile/native_egemapsv02.arff": {"session"},
    # Tables about clips and files that no tool wrote.
    "pyfeat/clip_attrs.csv": {"clipN", "class", "phraseN", "phrase_txt"},
    "odbm_derived/metadata.csv": {"id", "attr"},
}
CLINICAL_UNKNOWN = {
    "cdisc_pilot_cm.csv": 1,
    "cdisc_pilot_dm.csv": 1,
    "lung_ncctg_lifelines.csv": 5,
    "medicaldata_licorice_gargle.csv": 9,
    "medicaldata_supraclavicular.csv": 12,
    "redcap_decimal_comma_data.csv": 0,
    "redcap_longitudinal_data.csv": 85,
    "redcap_simple_data.csv": 0,
    "redcap_simple_dictionary.csv": 17,
}
"""How many columns the catalogue does not know: names of a study's own, which a person has to decide on."""


def header(path: Path) -> tuple[str, ...]:
    if path.suffix == ".parquet":
        return tuple(pq.read_schema(path).names)
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".arff":
        return tuple(line.split()[1] for line in text.splitlines() if line.startswith("@attribute"))
    delimiter = ";" if re.match(NATIVE, path.name) else ","
    return tuple(name.strip() for name in next(csv.reader([text.splitlines()[0]], delimiter=delimiter)))


def known(names: tuple[str, ...]) -> dict[str, CatalogueEntry | None]:
    match = identify_tool(names)
    return {name: classify(name, match.tool, match.layout.name) if match else classify(name) for name in names}


def tables(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (
            path for path in sorted((SHARED / folder).glob("*")) if path.suffix in (".csv", ".parquet", ".arff")
        )


@needs_real_files
@pytest.mark.parametrize("file", sorted(LAYOUTS))
def test_each_real_file_shows_the_signature_of_its_tool_and_has_no_unlisted_unknown_column(file: str) -> None:
    names = header(SHARED / file)
    match = identify_tool(names)
    assert (None if match is None else (match.tool, match.layout.name)) == LAYOUTS[file]
    assert {name for name, entry in known(names).items() if entry is None} == UNKNOWN.get(file, set())


@needs_real_files
def test_every_table_of_a_tool_is_in_the_list_and_the_numbers_are_these() -> None:
    found = {f"{path.parent.name}/{path.name}" for path in tables(*TOOLS)}
    assert found == set(LAYOUTS)
    columns = sum(len(header(SHARED / file)) for file in found)
    assert (columns, sum(map(len, UNKNOWN.values()))) == (17_656, 9)


@needs_real_files
def test_clinical_exports_keep_their_own_columns_unknown() -> None:
    found = {path.name: sum(entry is None for entry in known(header(path)).values()) for path in tables("clinical")}
    assert found == CLINICAL_UNKNOWN
    columns = sum(len(header(path)) for path in tables("clinical"))
    page = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    assert f"Nine clinical exports with {columns} columns leave {sum(found.values())} of them unknown" in page


@needs_real_files
def test_what_the_redcap_export_holds_of_a_person_is_class_x() -> None:
    entries = known(header(SHARED / "clinical" / "redcap_simple_data.csv"))
    identifying = {name for name, entry in entries.items() if entry is not None and entry.idclass == "X"}
    assert identifying == {
        "record_id", "name_first", "name_last", "address", "telephone", "email", "dob", "comments", "mugshot",
    }  # fmt: skip


@pytest.mark.parametrize("tool", sorted(load_catalogue()))
def test_a_file_is_named_after_its_tool_and_every_entry_speaks_for_some_column(tool: str) -> None:
    entry = load_catalogue()[tool]
    assert entry.tool == tool
    labels = [(column.label, column.layouts) for column in entry.columns]
    assert len(labels) == len(set(labels))
    for column in entry.columns:
        assert column.minimum is None or column.maximum is None or column.minimum < column.maximum
        assert column.idclass != "X" or not column.statistics
        assert column.dtype in ("integer", "number") or (column.minimum is None and column.maximum is None)
        assert "http" in column.source


@pytest.mark.parametrize(
    ("tool", "layout", "column", "expected"),
    [
        # PRIVACY.md: what must never leave, and what is kept.
        ("openface", "frames_2_1", "p_scale", "X"),
        ("openface", "frames_2_1", "X_67", "X"),
        ("openface", "frames_2_1", "x_68", None),
        ("openface", "frames_2_1", "eye_lmk_Z_55", "X"),
        ("openface", "frames_2_1", "pose_Tz", "X"),
        ("openface", "frames_2_1", "pose_Rz", "A"),
        ("openface", "frames_2_1", "AU12_r", "B"),
        ("openface", "frames_2_1", "AU12_c", "C"),
        ("openface", "frames_2_1", "AU45_c", "A"),
        ("openface", "frames_2_1", "AU28_r", None),
        ("opensmile", "egemaps_functionals", "mfcc1_sma3_amean", "A"),
        ("opensmile", "egemaps_lld", "mfcc1_sma3", "X"),
        ("opensmile", "egemaps_lld", "Loudness_sma3", "X"),
        ("opensmile", "egemaps_lld", "frameTime", "X"),
        ("opensmile", "egemaps_functionals", "frameTime", "C"),
        ("opensmile", "compare_lld", "audSpec_Rfilt_sma[3]", "X"),
        ("opensmile", "compare_lld", "F0final_sma_de", "X"),
        ("opensmile", "compare_functionals", "F0final_sma_amean", "A"),
        ("opensmile", "emobase_lld", "lspFreq_sma_de[7]", "X"),
        ("opensmile", "emobase_functionals", "pcm_loudness_sma_max", "B"),
        ("pyfeat", "fex_2", "Identity_512", "X"),
        ("pyfeat", "fex_2", "Identity_513", None),
        ("pyfeat", "fex_2", "mesh_z_477", "X"),
        ("pyfeat", "fex_2", "mesh_z_478", None),
        ("pyfeat", "fex_2", "jawOpen", "B"),
        ("pyfeat", "fex_2", "gaze_yaw", "A"),
        ("mediapipe", "face_mesh", "z_467", "X"),
        ("librosa", "frames", "mfcc1", "X"),
        ("librosa", "summary", "mfcc1_mean", "A"),
        ("opendbm", "raw", "aco_mfcc3", "X"),
        ("opendbm", "derived", "aco_mfcc3_mean", "A"),
        ("opendbm", "derived", "mov_blink_count", "A"),
        (None, None, "BSN", "X"),
        (None, None, "Geboortedatum", "X"),
        (None, None, "Date of birth", "X"),
        (None, None, "achternaam", "X"),
        (None, None, "ec_phone", "X"),
        (None, None, "nrs_self", "clinical"),
        (None, None, "Karnofsky", "clinical"),
        (None, None, "age_years", "clinical"),
        (None, None, "language", None),
        (None, None, "damage", None),
    ],
)
def test_the_class_of_a_column_is_that_of_the_privacy_page(
    tool: str | None, layout: str | None, column: str, expected: str | None
) -> None:
    entry = classify(column, tool, layout)
    assert (entry.idclass if entry is not None else None) == expected


def test_blendshapes_are_the_52_of_the_face_landmarker() -> None:
    sides = [
        "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp",
        "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile",
        "mouthStretch", "mouthUpperUp", "noseSneer",
    ]  # fmt: skip
    single = [
        "_neutral", "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose",
        "mouthFunnel", "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
        "mouthShrugLower", "mouthShrugUpper",
    ]  # fmt: skip
    names = [*single, *(f"{name}{side}" for name in sides for side in ("Left", "Right"))]
    assert len(names) == 52
    match = identify_tool(["frame", "timestamp", *names])
    assert match is not None
    assert (match.tool, match.layout.name, match.known) == ("mediapipe", "blendshapes", 54)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["frame", "timestamp", "confidence"],
        ["file", "start", "end"],
        ["participant_id", "age_years"],
        ["mfcc1_mean", "age"],
        ["FaceScore"],
    ],
)
def test_a_few_common_names_are_no_signature(names: list[str]) -> None:
    assert identify_tool(names) is None


GEMAPS = ["F0semitoneFrom27.5Hz_sma3nz_amean", "jitterLocal_sma3nz_amean", "HNRdBACF_sma3nz_amean"]


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (GEMAPS, "gemaps_functionals"),
        ([*GEMAPS, "equivalentSoundLevel_dBp"], "egemaps_functionals"),
        (["Loudness_sma3", "F0semitoneFrom27.5Hz_sma3nz"], "gemaps_lld"),
        (["Loudness_sma3", "spectralFlux_sma3", "F0semitoneFrom27.5Hz_sma3nz"], "egemaps_v01_lld"),
        (["Loudness_sma3", "spectralFlux_sma3", "F0semitoneFrom27.5Hz_sma3nz", "F2bandwidth_sma3nz"], "egemaps_lld"),
        (["audspec_lengthL1norm_sma", "F0final_sma", "pcm_zcr_sma"], "compare_lld"),
        ([*(f"lspFreq_sma[{n}]" for n in range(8)), "F0env_sma"], "emobase_lld"),
    ],
)
def test_the_sets_of_opensmile_are_told_apart(names: list[str], layout: str) -> None:
    match = identify_tool([" file", *names])
    assert match is not None
    assert (match.tool, match.layout.name, match.known) == ("opensmile", layout, len(names) + 1)


# --- the schemas of the workspace ----------------------------------------------------------------------------------

SCHEMA_STRICTER = {
    # The study takes adults, and what its own records allow.
    "participants.age_years": ((18, 120), (0, 125)),
    "participants.height_cm": ((100, 230), (30, 250)),
    "participants.weight_kg": ((25, 300), (0.3, 400)),
}
CATALOGUE_STRICTER = {("voice_functionals", "frameTime")}
"""Dropped by the schema, which so has no need of bounds."""
FEATURES = {
    "face": ("openface/odbm_subj01_timepoint01.csv", "openface/pyfeat_OpenFace_Test.csv"),
    "voice_functionals": ("opensmile/egemapsv02_functionals.csv", "opensmile/native_egemapsv02_functionals.csv"),
    "voice_lld": ("opensmile/egemapsv02_lld.csv", "opensmile/native_egemapsv02_syn01_nl_s1_lld.csv"),
}


def bounds(entry: CatalogueEntry | ColumnSpec) -> tuple[float | None, float | None]:
    return entry.minimum, entry.maximum


@needs_real_files
@pytest.mark.parametrize("table", sorted(FEATURES))
def test_feature_schemas_agree_with_the_catalogue_on_class_range_unit_and_role(table: str) -> None:
    schema = load_schemas(ROOT / "schemas")[table]
    for file in FEATURES[table]:
        for name, entry in known(header(SHARED / file)).items():
            spec = schema.match(name)
            assert spec is not None
            assert entry is not None
            assert (spec.idclass, spec.role) == (entry.idclass, entry.role), name
            if spec.idclass != "X" and (table, name) not in CATALOGUE_STRICTER:
                assert (spec.dtype, bounds(spec), spec.unit) == (entry.dtype, bounds(entry), entry.unit), name


def test_clinical_schemas_agree_with_the_catalogue_and_are_stricter_only_where_listed() -> None:
    stricter = {}
    compared = []
    for table in load_schemas(ROOT / "schemas").values():
        if table.name in FEATURES:
            continue
        for spec in table.columns:
            entry = classify(spec.name or "")
            if entry is None or spec.is_derived:
                continue
            place = f"{table.name}.{spec.name}"
            compared.append(place)
            assert spec.idclass == entry.idclass, place
            if bounds(spec) != bounds(entry) and spec.dtype in ("integer", "number"):
                stricter[place] = (bounds(spec), bounds(entry))
                low, high = bounds(entry)
                assert low is None or (spec.minimum is not None and spec.minimum >= low)
                assert high is None or (spec.maximum is not None and spec.maximum <= high)
    assert stricter == SCHEMA_STRICTER
    assert len(compared) > 15


# --- the documents themselves --------------------------------------------------------------------------------------

FOLDER = files("sensai_release.table.catalogue")
GOOD = """
tool: gadget
title: Gadget
versions: any
reader: delimited
sources: {manual: https://example.org/manual}
layouts:
  - {layout: rows, title: rows, versions: any, row: row, per_recording: false, has: [{pattern: 'g_\\d'}]}
columns:
  - {pattern: 'g_\\d', dtype: number, class: C, role: insensitive, description: D, reason: R, source: manual}
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("class: C", "class: D", "X, A, B, C, clinical"),
        ("class: C", "class: undecided", "X, A, B, C, clinical"),
        ("source: manual", "source: paper", "Accepted: manual"),
        ("pattern: 'g_\\d', dtype", "pattern: 'g_(', dtype", "no regular expression|not a regular expression"),
        ("dtype: number", "dtype: number, layouts: [columns]", "Accepted: rows"),
        ("reason: R, ", "", "lacks reason"),
        ("reader: delimited", "reader: gadget", "delimited, openface, opensmile"),
    ],
)
def test_a_malformed_catalogue_file_is_refused_with_the_accepted_words(old: str, new: str, says: str) -> None:
    schema = json.loads(FOLDER.joinpath("catalogue.schema.json").read_text(encoding="utf-8"))
    assert parse_tool(parse_yaml(GOOD, "gadget.yaml"), schema, "gadget.yaml").match("g_1") is not None
    assert old in GOOD
    with pytest.raises(ConfigurationError, match=says) as caught:
        parse_tool(parse_yaml(GOOD.replace(old, new), "gadget.yaml"), schema, "gadget.yaml")
    assert "gadget.yaml" in str(caught.value)


def test_the_page_about_the_catalogue_has_its_numbers() -> None:
    page = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    for tool in load_catalogue().values():
        classes = [entry.idclass for entry in tool.columns]
        by_class = ", ".join(
            f"{name} {classes.count(name)}" for name in ("X", "A", "B", "C", "clinical") if name in classes
        )
        row = [f"`{tool.tool}`", tool.title, tool.versions, str(len(tool.layouts)), str(len(tool.columns)), by_class]
        assert f"| {' | '.join(row)} |" in page
    assert (
        f"{len(LAYOUTS)} tables of the tools with 17,656 columns: all are known but {sum(map(len, UNKNOWN.values()))}"
        in page
    )
    assert f"{sum(CLINICAL_UNKNOWN.values())} of them unknown" in page
    for place, (ours, theirs) in SCHEMA_STRICTER.items():
        assert f"| `{place}` | {ours[0]} to {ours[1]} | {theirs[0]} to {theirs[1]} |" in page
