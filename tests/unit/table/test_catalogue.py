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
from table_kit import SHARED, column, needs_real_files, table_schema

from sensai_release.errors import ConfigurationError
from sensai_release.table.catalogue import CatalogueEntry, catalogue_digest, classify, identify_tool, load_catalogue
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
SEVERAL_UNITS = {"Pitch|Roll|Yaw", "AGE", "[a-z]\\w*_complete"}
"""Two ends without a unit: radian or degree by version, the unit in another column, a code."""
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
    labels = [(known.label, known.layouts) for known in entry.columns]
    assert len(labels) == len(set(labels))
    for known in entry.columns:
        closed = known.minimum is not None and known.maximum is not None
        assert not closed or bounds(known) == tuple(sorted(bounds(known), key=lambda bound: bound or 0))
        # A range with two ends says in which unit; an open one may be a count, or of several units.
        assert not closed or known.unit or known.label in SEVERAL_UNITS
        assert known.idclass != "X" or not known.statistics
        assert known.dtype in ("integer", "number") or bounds(known) == (None, None)
        assert "http" in known.source


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
FEATURES = {
    "face": ("openface/odbm_subj01_timepoint01.csv", "openface/pyfeat_OpenFace_Test.csv"),
    "voice_functionals": ("opensmile/egemapsv02_functionals.csv", "opensmile/native_egemapsv02_functionals.csv"),
    "voice_lld": ("opensmile/egemapsv02_lld.csv", "opensmile/native_egemapsv02_syn01_nl_s1_lld.csv"),
}


def bounds(entry: CatalogueEntry | ColumnSpec) -> tuple[float | None, float | None]:
    return entry.minimum, entry.maximum


@needs_real_files
@pytest.mark.parametrize("table", sorted(FEATURES))
def test_feature_schemas_have_the_class_range_unit_and_role_of_the_catalogue(table: str) -> None:
    schema = load_schemas(ROOT / "schemas")[table]
    for file in FEATURES[table]:
        for name, entry in known(header(SHARED / file)).items():
            spec = schema.match(name)
            assert spec is not None
            assert entry is not None
            assert (spec.idclass, spec.role) == (entry.idclass, entry.role), name
            if spec.dtype in ("integer", "number"):
                assert (spec.dtype, bounds(spec), spec.unit) == (entry.dtype, bounds(entry), entry.unit), name


@pytest.mark.parametrize("table", sorted(FEATURES))
def test_feature_schemas_repeat_no_range_of_the_catalogue(table: str) -> None:
    text = (ROOT / "schemas" / f"{table}.yaml").read_text(encoding="utf-8")
    assert re.findall(r"^ +(?:unit|minimum|maximum|step):", text, re.MULTILINE) == []


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
            if spec.dtype in ("integer", "number"):
                assert spec.unit == entry.unit, place
            if bounds(spec) != bounds(entry) and spec.dtype in ("integer", "number"):
                stricter[place] = (bounds(spec), bounds(entry))
                low, high = bounds(entry)
                assert low is None or (spec.minimum is not None and spec.minimum >= low)
                assert high is None or (spec.maximum is not None and spec.maximum <= high)
    assert stricter == SCHEMA_STRICTER
    assert len(compared) > 15


# --- the range in force ---------------------------------------------------------------------------------------------


def in_force(spec: ColumnSpec | None) -> tuple[float | None, float | None, float | None, str | None]:
    assert spec is not None
    return spec.minimum, spec.maximum, spec.step, spec.unit


def test_a_tool_of_the_reader_gives_its_columns_their_ranges_by_name_and_by_pattern() -> None:
    actions = "AU(01|02|04|05|06|07|09|10|12|14|15|17|20|23|25|26|28)_c"
    schema = table_schema(
        column("AU12_r"), column("confidence"), column(actions, "integer"), column("own"), reader="openface"
    )
    assert in_force(schema.match("AU12_r")) == (0, 5, None, "FACS intensity")
    assert in_force(schema.match("confidence")) == (0, 1, None, "proportion")
    assert in_force(schema.match("AU28_c")) == (0, 1, None, "flag")
    assert in_force(schema.match("own")) == (None, None, None, None)
    spec = schema.named("AU12_r")
    assert (spec.catalogue, spec.from_catalogue) == ("openface", ("unit", "minimum", "maximum"))


def test_a_table_names_its_tool_and_a_column_its_entry() -> None:
    schema = table_schema(
        column("happiness"),
        column("gaze_pitch"),
        column("pijn", "integer", catalogue="instruments.nrs"),
        column("kps", "integer", catalogue="instruments.karnofsky"),
        column("AU\\d\\d", catalogue="pyfeat.AU12"),
        source={"tool": "pyfeat"},
    )
    assert in_force(schema.match("happiness")) == (0, 1, None, "proportion")
    assert in_force(schema.match("gaze_pitch")) == (-3.15, 3.15, None, "rad")
    assert in_force(schema.match("pijn")) == (0, 10, None, "NRS")
    assert in_force(schema.match("kps")) == (0, 100, 10, "percent")
    assert in_force(schema.match("AU43")) == (0, 1, None, "proportion")


def test_without_a_tool_a_name_alone_gives_no_range() -> None:
    schema = table_schema(column("AU12_r"), column("nrs_self", "integer"), column("karnofsky", "integer"))
    assert [in_force(spec) for spec in schema.columns] == [(None, None, None, None)] * 3


def test_layouts_that_differ_leave_the_range_open() -> None:
    # Early Py-Feat wrote the rotation of the head in degrees, later versions in radians.
    schema = table_schema(column("Pitch"), column("Pitch|Roll|Yaw"), source={"tool": "pyfeat"})
    assert [in_force(spec) for spec in schema.columns] == [(None, None, None, None)] * 2
    with pytest.raises(
        ConfigurationError, match=r"columns\.0\.catalogue: names a column .* different ranges by layout"
    ):
        table_schema(column("x", catalogue="pyfeat.Pitch"))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (column("AU12_r", minimum=1), (1, 5, None, "FACS intensity")),
        (column("AU12_r", maximum=3.5), (0, 3.5, None, "FACS intensity")),
        (column("AU12_r", unit="FACS intensity", minimum=0, maximum=5), (0, 5, None, "FACS intensity")),
        (column("AU12_r", step=0.01), (0, 5, 0.01, "FACS intensity")),
        (column("own", "integer", catalogue="instruments.karnofsky", minimum=40), (40, 100, 10, "percent")),
        (column("own", "integer", catalogue="instruments.karnofsky", step=20), (0, 100, 20, "percent")),
    ],
)
def test_a_schema_may_be_narrower(entry: dict[str, object], expected: tuple[float | None, ...]) -> None:
    assert in_force(table_schema(entry, reader="openface").columns[0]) == expected


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (column("AU12_r", maximum=6), r"\.maximum: is 6, outside the range 0 to 5 FACS intensity of the catalogue"),
        (column("AU12_r", minimum=-1), r"\.minimum: is -1, outside the range 0 to 5 FACS intensity"),
        (column("AU12_r", minimum=7), r"\.minimum: is 7, outside the range 0 to 5"),
        (column("AU12_r", unit="percent"), r"\.unit: is 'percent', another unit than in 0 to 5 FACS intensity"),
        (column("timestamp", minimum=-0.5), r"\.minimum: is -0.5, outside the range at least 0 s"),
        (column("own", catalogue="instruments.nrs", maximum=100), r"\.maximum: is 100, outside the range 0 to 10 NRS"),
        (
            column("own", "integer", catalogue="instruments.karnofsky", minimum=45),
            r"\.minimum: is 45, between the steps",
        ),
        (column("own", "integer", catalogue="instruments.karnofsky", step=5), r"\.step: is 5, no multiple of the step"),
    ],
)
def test_a_wider_range_or_another_unit_is_refused_with_both(entry: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^thing: columns\.0{says}") as caught:
        table_schema(entry, reader="openface")
    assert ".yaml: " in str(caught.value)
    assert "the catalogue's holds" in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "source", "says"),
    [
        (column("x", catalogue="gadget.x"), {}, r"columns\.0\.catalogue: names no file of the catalogue.*openface"),
        (
            column("x", catalogue="openface.AU99_r"),
            {},
            r"columns\.0\.catalogue: names a column for which openface.yaml",
        ),
        (
            column("x", "string", catalogue="instruments.nrs"),
            {},
            r"columns\.0\.catalogue: stands at a column that is no",
        ),
        (column("x"), {"tool": "gadget"}, r"source\.tool: names no tool of the catalogue.*Accepted: .*pyfeat"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(entry: dict[str, object], source: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        table_schema(entry, source=source)


def test_a_derived_column_is_no_column_of_the_tool() -> None:
    derived = {**column("x"), "derive": {"name": "timestamp", "expression": "frame"}}
    del derived["name"]
    assert in_force(table_schema(column("frame", "integer"), derived, reader="openface").columns[1]) == (None,) * 4


def test_the_digest_of_the_catalogue_is_one_of_its_content() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", catalogue_digest())
    assert catalogue_digest() == catalogue_digest()


# --- the documents themselves --------------------------------------------------------------------------------------

FOLDER = files("sensai_release.table.catalogue")
GOOD = """
tool: gadget
title: Gadget
versions: any
reader: delimited
sources: {manual: {cite: https://example.org/manual, opened: page}}
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
        ("opened: page", "opened: maybe", "page, abstract, quoted, unseen"),
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
    opened = [source.opened for tool in load_catalogue().values() for source in tool.sources.values()]
    for word in ("page", "abstract", "quoted", "unseen"):
        assert f"| `{word}` | {opened.count(word)} |" in page
    for place, (ours, theirs) in SCHEMA_STRICTER.items():
        assert f"| `{place}` | {ours[0]} to {ours[1]} | {theirs[0]} to {theirs[1]} |" in page
