"""`schema draft`: what a draft says of a file, what it must never say, and that nothing undecided can be released."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_kit import SHARED, needs_real_files

from sensai_release.cli.app import run
from sensai_release.errors import ConfigurationError, InputError, OutputExistsError, SensaiReleaseError
from sensai_release.pipeline.build import build
from sensai_release.pipeline.drafting import draft, render
from sensai_release.pipeline.workspace import init_workspace, open_workspace
from sensai_release.privacy.policy import plan_table, refuse_undecided, undecided_columns
from sensai_release.table.checks import check_table
from sensai_release.table.documents import parse_yaml
from sensai_release.table.draft import draft_schema
from sensai_release.table.profiling import profile_file
from sensai_release.table.readers import read_file
from sensai_release.table.schema import TableSchema, load_schemas, parse_table


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    init_workspace(root)
    return root


def write(folder: Path, text: str, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def drafted(path: Path) -> TableSchema:
    return parse_table(parse_yaml(render(draft_schema(profile_file(path, place="file"), table="thing")), "x"), "x")


def actions(schema: TableSchema, column: str) -> list[str]:
    spec = schema.match(column)
    assert spec is not None
    return [action.do for action in spec.actions["default"]]


PEOPLE = "participant_id,age,bsn,nrs_self,favourite,remarks\n" + "".join(
    f"SYN{n:04d},{40 + n % 30},1234567{n:02d},{n % 11},colour {n % 3},said so {n}\n" for n in range(30)
)


def test_known_columns_are_classified_and_all_others_wait_for_a_person(tmp_path: Path, workspace: Path) -> None:
    outcome = draft(workspace, write(tmp_path, PEOPLE), table="people")
    assert outcome.path == workspace / "schemas" / "people.yaml"
    schema = load_schemas(workspace / "schemas")["people"]
    classes = {spec.label: (spec.idclass, spec.role) for spec in schema.columns}
    assert classes == {
        "participant_id": ("X", "direct_identifier"),
        "bsn": ("X", "direct_identifier"),
        "remarks": ("X", "sensitive"),
        "age": ("undecided", "quasi_identifier"),
        "nrs_self": ("undecided", "sensitive"),
        "favourite": ("undecided", "direct_identifier"),
    }
    nrs = schema.named("nrs_self")
    assert (nrs.minimum, nrs.maximum, nrs.unit) == (0, 10, "NRS")
    assert all(actions(schema, name) == ["drop"] for name in ("bsn", "remarks", "age", "nrs_self", "favourite"))
    assert actions(schema, "participant_id") == ["pseudonymise"]
    assert [(key.column, key.table, key.key) for key in schema.foreign_keys] == [
        ("participant_id", "participants", "participant_id")
    ]
    assert outcome.document["undecided"] == 3


def test_a_draft_names_the_entry_of_the_catalogue_and_repeats_no_range(tmp_path: Path, workspace: Path) -> None:
    draft(workspace, write(tmp_path, PEOPLE), table="people")
    document = parse_yaml((workspace / "schemas" / "people.yaml").read_text(), "people")
    entries = {entry["name"]: entry for entry in document["columns"]}
    assert {name: entry["catalogue"] for name, entry in entries.items() if "catalogue" in entry} == {
        "age": "clinical.age",
        "nrs_self": "instruments.nrs_self",
    }
    assert not any({"unit", "minimum", "maximum", "step"} & entry.keys() for entry in entries.values())


@needs_real_files
def test_a_draft_names_the_tool_that_its_reader_does_not_tell() -> None:
    sources = {
        file: draft_schema(profile_file(SHARED / file, place="file"), table="thing").document["source"]
        for file in ("pyfeat/fex_v0_001.csv", "openface/odbm_subj01_timepoint01.csv", "librosa/librosa_frames.csv")
    }
    assert [source.get("tool") for source in sources.values()] == ["pyfeat", None, "librosa"]
    found = draft_schema(profile_file(SHARED / "pyfeat/fex_v0_001.csv", place="file"), table="thing")
    schema = parse_table(parse_yaml(render(found), "x"), "x")
    happiness, pitch = schema.match("happiness"), schema.match("Pitch")
    assert happiness is not None
    assert pitch is not None
    assert (happiness.maximum, happiness.unit, happiness.catalogue) == (1, "proportion", "pyfeat")
    # Layouts differ in the unit of this one, so the draft says the range of the file's own layout.
    assert (pitch.minimum, pitch.maximum, pitch.catalogue) == (-180, 180, None)


def test_an_undecided_column_stops_the_build_and_every_plan(tmp_path: Path, workspace: Path) -> None:
    refuse_undecided(open_workspace(workspace).schemas)
    draft(workspace, write(tmp_path, PEOPLE), table="people")
    schemas = open_workspace(workspace).schemas
    assert undecided_columns(schemas) == ["people.age", "people.nrs_self", "people.favourite"]
    with pytest.raises(
        ConfigurationError, match=r"schemas/people.yaml: nobody has decided on age, nrs_self, favourite"
    ):
        refuse_undecided(schemas)
    with pytest.raises(ConfigurationError, match="nobody has decided"):
        build(open_workspace(workspace))
    schema = schemas["people"]
    header = PEOPLE.split("\n")[0].split(",")
    for profile in schema.releases[0].profiles:
        with pytest.raises(ConfigurationError, match="nobody has decided its class"):
            plan_table(schema, schema.releases[0], profile, header, schemas.hierarchies)


def test_a_class_without_a_role_still_lets_nothing_out(tmp_path: Path) -> None:
    document = parse_yaml(
        render(draft_schema(profile_file(write(tmp_path, "mood,x\n1,a\n2,b\n"), place="f"), table="t")), "t"
    )
    for column in document["columns"]:
        column |= {"class": "C", "action": "keep"}
    schema = parse_table(document, "t")
    with pytest.raises(ConfigurationError, match="is a direct identifier"):
        plan_table(schema, schema.releases[0], "controlled", ["mood", "x"], {})


def test_counts_are_masked_and_no_cell_shows(tmp_path: Path, workspace: Path) -> None:
    text = "code,score,note\n" + "".join(f"zebra{n},{987600 + n},walrus{n}\n" for n in range(25)) + ",,\n"
    document = draft(workspace, write(tmp_path, text), table="things").document
    assert document["rows"] == 26
    by_name = {entry["column"]: entry for entry in document["entries"]}
    assert (by_name["code"]["missing"], by_name["code"]["distinct"]) == ("<10", 25)
    assert by_name["score"]["type"] == "integer"
    said = json.dumps(document) + (workspace / "schemas" / "things.yaml").read_text()
    assert not [word for word in ("zebra", "walrus", "9876") if word in said]
    assert "26" not in (workspace / "schemas" / "things.yaml").read_text()


def test_values_outside_the_range_of_the_catalogue_are_counted_but_not_told(tmp_path: Path, workspace: Path) -> None:
    text = "participant_id,nrs_self\n" + "".join(f"SYN{n},{n}\n" for n in range(31))
    (entry,) = [
        e
        for e in draft(workspace, write(tmp_path, text), table="pain").document["entries"]
        if e["column"] == "nrs_self"
    ]
    assert entry["out_of_range"] == 20
    assert load_schemas(workspace / "schemas")["pain"].named("nrs_self").maximum == 10


def test_a_known_name_over_cells_of_another_type_is_undecided(tmp_path: Path) -> None:
    header = "frame,timestamp,confidence,success," + ",".join(f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6))
    schema = drafted(write(tmp_path, f"{header}\n1,0.0,0.9,1,0.1,0.2,high,0.4,0.5\n"))
    assert schema.named("AU04_r").idclass == "undecided"
    assert schema.named("AU04_r").dtype == "string"
    found = schema.match("AU05_r")
    assert found is not None
    assert found.idclass == "B"


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (["1", "2", ""], "integer"),
        (["1", "2.5"], "number"),
        (["01", "x"], "string"),
        (["true", "false"], "boolean"),
        (["2026-01-05", "2026-02-28"], "date"),
        (["2026-01-05T10:00:00", "2026-01-06T11:30:00"], "datetime"),
        (["2026-01-05", "soon"], "string"),
        (["", ""], "string"),
        (["99999999999999999999", "1"], "number"),
    ],
)
def test_the_type_is_the_narrowest_that_every_cell_has(tmp_path: Path, cells: list[str], dtype: str) -> None:
    profile = profile_file(
        write(tmp_path, "k,v\n" + "".join(f"a{n},{cell}\n" for n, cell in enumerate(cells))), place="f"
    )
    column = profile.columns[1]
    assert column.dtype == dtype
    assert column.missing == cells.count("")


def test_decimal_commas_of_a_spreadsheet_are_numbers(tmp_path: Path) -> None:
    profile = profile_file(write(tmp_path, "\ufeffk;v\na;1,5\nb;2,25\n"), place="f")
    assert [column.dtype for column in profile.columns] == ["string", "number"]


def test_parquet_is_profiled_by_its_stored_types(tmp_path: Path) -> None:
    table = pa.table(
        {"k": ["a", None], "n": [1, 2], "x": [0.5, float("nan")], "d": pa.array(["u", "u"]).dictionary_encode()}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    profile = profile_file(tmp_path / "t.parquet", place="f")
    assert [(c.name, c.dtype, c.missing) for c in profile.columns] == [
        ("k", "string", 1), ("n", "integer", 0), ("x", "number", 1), ("d", "string", 0),
    ]  # fmt: skip


SECRET = "hippopotamus"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"{SECRET},17\n{SECRET},18\n", "column 2|repeats the name"),
        (f"a@b.nl,{SECRET}\nx,y\n", "column 1"),
        (f"/home/{SECRET}/x.wav,b\n1,2\n", "column 1"),
        (f"a,a\n{SECRET},2\n", "column.duplicate|names column 2"),
        (f"a,b\n{SECRET}\n1,2\n", "row.ragged"),
        (f"a,\n{SECRET},2\n", "column without a name"),
        ("", "file.empty"),
        (f"a,b\n{SECRET},\x00\n", "file.not_text|stowaway"),
        (f"RIFF\x24\x00\x00\x00WAVEfmt {SECRET}", "file.media|stowaway|file."),
        (f"PAR1{SECRET}", "damaged Parquet"),
        (f"a,b\nb,{SECRET}\na,2\n", "repeats the name"),
    ],
)
def test_a_file_that_is_no_clear_table_is_refused_without_quoting_it(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        profile_file(write(tmp_path, content, f"{SECRET}.csv"), place="the file")
    assert SECRET not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_nested_and_binary_parquet_columns_are_refused(tmp_path: Path) -> None:
    for number, values in enumerate(([b"RIFF"], [[1, 2]], [{"a": 1}])):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"v": values}), path)
        with pytest.raises(InputError, match="nested or binary"):
            profile_file(path, place="f")


def test_a_link_and_a_folder_are_refused(tmp_path: Path) -> None:
    real = write(tmp_path, "a,b\n1,2\n")
    (tmp_path / "link.csv").symlink_to(real)
    with pytest.raises(InputError, match="symbolic link"):
        profile_file(tmp_path / "link.csv", place="f")
    with pytest.raises(InputError, match=r"cannot be read|not a regular file"):
        profile_file(tmp_path, place="f")


def test_nothing_is_ever_overwritten(tmp_path: Path, workspace: Path) -> None:
    source = write(tmp_path, "a,b\n1,x\n")
    before = (workspace / "schemas" / "sessions.yaml").read_bytes()
    with pytest.raises(OutputExistsError, match=r"sessions\.yaml"):
        draft(workspace, source, table="sessions")
    assert (workspace / "schemas" / "sessions.yaml").read_bytes() == before
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExistsError):
        draft(workspace, source, table="thing", output=tmp_path / "dangling.yaml")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["", "Thing", "a-b", "../x", "a/b", "1a", "a" * 65])
def test_a_table_name_that_is_none_is_refused(tmp_path: Path, workspace: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="--table"):
        draft(workspace, write(tmp_path, "a,b\n1,x\n"), table=name)


def test_an_output_elsewhere_needs_no_workspace(tmp_path: Path) -> None:
    outcome = draft(tmp_path, write(tmp_path, "a,b\n1,x\n"), table="thing", output=tmp_path / "thing.yaml")
    assert parse_yaml(outcome.path.read_text(), "x")["release"] == {"thing": {"profiles": ["controlled"]}}
    with pytest.raises(SensaiReleaseError, match=r"params.yaml"):
        draft(tmp_path, tmp_path / "file.csv", table="other")


def test_the_name_of_the_file_is_not_taken_over(tmp_path: Path, workspace: Path) -> None:
    draft(workspace, write(tmp_path, PEOPLE, f"{SECRET}_jansen.TSV"), table="people")
    text = (workspace / "schemas" / "people.yaml").read_text()
    assert SECRET not in text
    assert "file: people.tsv" in text


def test_the_command_says_what_to_decide_and_no_value(tmp_path: Path, workspace: Path) -> None:
    source = write(tmp_path, PEOPLE.replace("colour", SECRET))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["-C", str(workspace), "--json", "schema", "draft", str(source), "--table", "people"])
    assert code == 0
    assert json.loads(out.getvalue())["undecided"] == 3
    assert SECRET not in out.getvalue() + err.getvalue()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(
            st.text(alphabet="abcxyz019.,;'\" -", min_size=5, max_size=12).filter(str.strip), min_size=3, max_size=3
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_cell_stands_in_a_draft_whatever_the_cells(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("cells")
    quoted = [",".join('"' + f"Q{cell}Q".replace('"', '""') + '"' for cell in row) for row in rows]
    path = write(folder, "\n".join(["first,remarks,height_cm", *quoted]) + "\n")
    try:
        text = render(draft_schema(profile_file(path, place="file"), table="thing"))
    except InputError as error:
        text = str(error)
    assert not [cell for row in rows for cell in row if f"Q{cell}Q" in text]


# --- real files ----------------------------------------------------------------------------------------------------

REAL = {
    "openface/odbm_subj01_timepoint01.csv": 0,
    "opensmile/egemapsv02_functionals.csv": 0,
    "opensmile/egemapsv02_dutch_excel.csv": 0,
    "opensmile/native_egemapsv02_functionals.csv": 0,
    "opensmile/egemapsv02_functionals.parquet": 0,
    "opensmile/egemapsv02_lld.csv": 0,
    "pyfeat/fex_v0_001.csv": 0,
    "librosa/librosa_frames.csv": 0,
    "odbm_derived/subj01_timepoint01_facau.csv": 0,
    "clinical/redcap_simple_data.csv": 12,
    "clinical/cdisc_pilot_dm.csv": 15,
    "clinical/lung_ncctg_lifelines.csv": 10,
}
OUT_OF_RANGE = {"clinical/redcap_simple_data.csv": {("value.above", "bmi")}}
"""What the catalogue's ranges find in them: invented people with an impossible body mass index."""


@needs_real_files
@pytest.mark.parametrize("file", sorted(REAL))
def test_a_draft_of_a_real_file_fits_it_and_leaves_so_many_columns_to_decide(file: str) -> None:
    profile = profile_file(SHARED / file, place="file")
    found = draft_schema(profile, table="thing")
    assert found.undecided == REAL[file]
    schema = parse_table(parse_yaml(render(found), "thing"), "thing")
    planned = {entry.label: len(entry.columns) for entry in found.entries}
    counted = dict.fromkeys(planned, 0)
    for name in profile.names:
        spec = schema.match(name)
        assert spec is not None, name
        counted[spec.label] += 1
    assert counted == planned
    if not REAL[file]:
        for release in schema.releases:
            plan = plan_table(schema, release, "controlled", profile.names, {})
            assert all(
                column.spec.idclass in ("B", "C") or column.action.do == "pseudonymise" for column in plan.columns
            )
    else:
        assert schema.releases
    reading = read_file(SHARED / file, schema, place="thing")
    assert reading.table is not None
    findings = [*reading.findings, *check_table(reading.table, schema, place="thing")]
    errors = {(finding.code, finding.column) for finding in findings if finding.severity == "error"}
    assert errors == OUT_OF_RANGE.get(file, set())


@needs_real_files
def test_frames_become_windows_and_descriptors_are_not_released_at_all(workspace: Path) -> None:
    draft(workspace, SHARED / "openface" / "odbm_subj01_timepoint01.csv", table="frames")
    draft(workspace, SHARED / "opensmile" / "egemapsv02_lld.csv", table="descriptors")
    schemas = load_schemas(workspace / "schemas")
    frames, descriptors = schemas["frames"], schemas["descriptors"]
    assert frames.source is not None
    assert (frames.source.file, frames.source.reader, frames.source.recording_key) == (
        "frames/*.csv", "openface", "session_id",
    )  # fmt: skip
    assert frames.releases[0].window is not None
    assert frames.releases[0].window.seconds == 5
    assert actions(frames, "AU12_r") == ["window"]
    assert actions(frames, "p_scale") == ["drop"]
    assert descriptors.releases == ()
    assert {spec.idclass for spec in descriptors.columns} == {"X"}
