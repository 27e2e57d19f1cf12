"""The difference of two releases: exact where many persons stand behind a number, masked where few do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.comparison.diff import diff_releases, restate
from sensai_release.release.pages import render_page

Tables = dict[str, pa.Table]
Write = Callable[..., Path]
Shrink = Callable[[Tables, int], Tables]


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def test_a_copy_is_identical(tables: Tables, write_release: Write, tmp_path: Path) -> None:
    old = write_release(tables)
    new = shutil.copytree(old, tmp_path / "copy")
    found = diff_releases(old, new)
    assert found.identical
    assert found.same_data
    assert found.to_dict()["participants"] == {"added": 0, "removed": 0}
    assert found.files.unchanged == len([path for path in old.rglob("*") if path.is_file()])
    (new / "manifest.tlog-proof").write_text("x", encoding="utf-8")
    assert not diff_releases(old, new).files.signatures_changed
    (new / "manifest.dsse.json").write_text("{}", encoding="utf-8")
    signed = diff_releases(old, new)
    assert signed.identical
    assert signed.files.signatures_changed


def test_a_change_outside_the_data_is_not_identical(tables: Tables, write_release: Write, tmp_path: Path) -> None:
    old = write_release(tables)
    new = shutil.copytree(old, tmp_path / "copy")
    (new / "README.md").write_text("Another text.\n", encoding="utf-8")
    (new / "NOTE.md").write_text("New.\n", encoding="utf-8")
    found = diff_releases(old, new)
    assert not found.identical
    assert found.same_data
    assert (found.files.changed, found.files.added, found.files.removed) == (("README.md",), ("NOTE.md",), ())


def test_one_withdrawal_is_masked_everywhere(tables: Tables, write_release: Write, shrink: Shrink) -> None:
    found = diff_releases(write_release(tables), write_release(shrink(tables, 1), "1.1.0")).to_dict()
    assert found["identical"] is False
    assert found["participants"] == {"added": 0, "removed": "<10"}
    for table in found["tables"].values():
        assert (table["rows_added"], table["rows_removed"], table["cells_changed"]) == (0, "<10", {})
    assert found["labels"]["participants.group"] == {
        "gained": {"control": 0, "pain": 0},
        "lost": {"control": "<10", "pain": "<10"},
    }


def test_labels_of_many_are_counted(tables: Tables, write_release: Write) -> None:
    old = write_release(tables)
    groups = ["pain" if number < 22 else "control" for number in range(24)]
    tables["participants"] = with_column(tables["participants"], "group", pa.array(groups))
    found = diff_releases(old, write_release(tables, "1.1.0")).labels
    # Eleven controls became pain patients, one pain patient a control.
    assert found == {
        "participants.group": {
            "gained": {"pain": ">=10", "control": "<10"},
            "lost": {"pain": "<10", "control": ">=10"},
        }
    }


def test_many_withdrawals_are_counted(tables: Tables, write_release: Write, shrink: Shrink) -> None:
    found = diff_releases(write_release(tables), write_release(shrink(tables, 12), "1.1.0"))
    assert found.participants == {"added": 0, "removed": 12}
    assert found.tables["sessions"].rows_removed == 24
    assert found.tables["face_windows"].rows_removed == 72


def test_a_small_remainder_hides_a_large_number(tables: Tables, write_release: Write, shrink: Shrink) -> None:
    found = diff_releases(write_release(shrink(tables, 20)), write_release(tables, "1.1.0"))
    assert found.participants == {"added": ">=10", "removed": 0}
    assert found.tables["participants"].rows_added == ">=10"


@pytest.mark.parametrize(("persons", "shown"), [(1, "<10"), (9, "<10"), (10, 30), (14, 42), (15, ">=10"), (24, 72)])
def test_changed_cells_are_masked_by_persons(
    tables: Tables, write_release: Write, persons: int, shown: int | str
) -> None:
    old = write_release(tables)
    scores = tables["face_windows"]["AU04_r_mean"].to_numpy().copy()
    # Half of each person's six windows.
    scores[[row for row in range(persons * 6) if row % 2]] += 0.5
    tables["face_windows"] = with_column(tables["face_windows"], "AU04_r_mean", pa.array(scores))
    found = diff_releases(old, write_release(tables, "1.1.0")).tables["face_windows"]
    assert found.cells_changed == {"AU04_r_mean": shown}
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (0, 0, shown)


@pytest.mark.parametrize(("others", "shown"), [(0, 10), (1, ">=10"), (4, ">=10")])
def test_rows_less_cells_are_no_few_persons(
    tables: Tables, write_release: Write, others: int, shown: int | str
) -> None:
    """In ten of the changed rows the group is another; less these, the rows in which only the age is are left."""
    tables["participants"] = with_column(tables["participants"], "age_band", pa.array(["[60,120)"] * 24))
    old = write_release(tables)
    groups = ["control" if number % 2 == (number < 10) else "pain" for number in range(24)]
    ages = ["[18,60)" if 10 <= number < 10 + others else "[60,120)" for number in range(24)]
    tables["participants"] = with_column(tables["participants"], "group", pa.array(groups))
    tables["participants"] = with_column(tables["participants"], "age_band", pa.array(ages))
    new = write_release(tables, "1.1.0")
    found = diff_releases(old, new).tables["participants"]
    assert found.cells_changed == {"group": 10} | ({"age_band": "<10"} if others else {})
    assert found.rows_changed == shown
    # A report that is part of a release rounds, which keeps few persons out of any difference.
    assert diff_releases(old, new, coarse=True).tables["participants"].rows_changed == 10


@pytest.mark.parametrize(
    ("gone", "switched", "lost"), [(12, 0, 12), (0, 12, 12), (10, 10, 20), (12, 1, ">=10"), (2, 11, ">=10")]
)
def test_who_left_and_who_changed_are_not_told_apart(
    tables: Tables, write_release: Write, shrink: Shrink, gone: int, switched: int, lost: int | str
) -> None:
    """Those who lost a label are those who left, whose number stands beside it, and those who have another one."""
    tables["participants"] = with_column(tables["participants"], "group", pa.array(["pain"] * 24))
    old = write_release(tables)
    groups = ["control" if number < switched else "pain" for number in range(24)]
    tables["participants"] = with_column(tables["participants"], "group", pa.array(groups))
    found = diff_releases(old, write_release(shrink(tables, gone), "2.0.0"))
    assert found.participants["removed"] == (gone if gone in (0, 10, 12) else "<10")
    assert found.labels["participants.group"]["lost"]["pain"] == lost


@pytest.mark.parametrize("told", [(True, True), (True, False), (False, False)])
def test_a_target_of_many_values_is_a_label_by_bands(
    tables: Tables, dictionaries: Any, write_release: Write, told: tuple[bool, bool]
) -> None:
    entry = next(entry for entry in dictionaries["pain_scores"]["columns"] if entry["name"] == "nrs_self")
    entry["maximum"] = 100
    roots = []
    for score, version, known in ((5, "1.0.0", told[0]), (95, "1.1.0", told[1])):
        scores = pa.array([score if number < 24 else 100 for number in range(48)], pa.int64())
        tables["pain_scores"] = with_column(tables["pain_scores"], "nrs_self", scores)
        roots.append(write_release(tables, version))
        facts: dict[str, Any] = {"labels": {"pain_scores.nrs_self": {}} if known else {}}
        (roots[-1] / "datasheet.json").write_text(json.dumps({"answers": [], "facts": facts}), encoding="utf-8")
    found = diff_releases(*roots)
    shifted = {(entry["column"], entry["label"]) for entry in found.shifts["columns"] if entry["shifted"]}
    assert shifted == {("nrs_self", all(told))}
    bands = {"gained": {"[0,10)": 0, "[90,100]": 12}, "lost": {"[0,10)": 12, "[90,100]": 0}}
    assert found.labels == ({"pain_scores.nrs_self": bands} if all(told) else {})


def test_missing_equals_missing_and_order_means_nothing(tables: Tables, write_release: Write) -> None:
    values = tables["face_windows"]["AU04_r_mean"].to_pylist()
    old_table = with_column(tables["face_windows"], "AU04_r_mean", pa.array([None, float("nan"), *values[2:]]))
    new_table = with_column(tables["face_windows"], "AU04_r_mean", pa.array([float("nan"), None, *values[2:]]))
    shuffled = new_table.take(pa.array(np.random.default_rng(3).permutation(len(new_table))))
    old = write_release(tables | {"face_windows": old_table})
    found = diff_releases(old, write_release(tables | {"face_windows": shuffled}, "1.1.0"))
    assert found.same_data
    assert not found.identical


def test_columns_that_come_go_and_change(tables: Tables, dictionaries: Any, write_release: Write) -> None:
    old = write_release(tables)
    scores = tables["pain_scores"]
    tables["pain_scores"] = with_column(scores, "nrs_self", scores["nrs_self"].cast(pa.float64())).append_column(
        "nrs_observer", scores["nrs_self"]
    )
    tables["participants"] = tables["participants"].drop_columns(["age_band"])
    dictionaries["pain_scores"]["columns"][1].update({"dtype": "number", "class": "C", "action": "round(digits=2)"})
    found = diff_releases(old, write_release(tables, "2.0.0", dictionaries=dictionaries)).to_dict()["tables"]
    assert found["participants"]["columns_removed"] == ["age_band"]
    assert found["pain_scores"]["columns_added"] == ["nrs_observer"]
    assert found["pain_scores"]["columns_retyped"] == [{"column": "nrs_self", "old": "int64", "new": "double"}]
    assert {entry["field"] for entry in found["pain_scores"]["columns_redeclared"]} == {"action", "class", "dtype"}
    assert found["pain_scores"]["cells_changed"] == {}


def test_a_retyped_column_that_is_no_number_counts_as_changed(tables: Tables, write_release: Write) -> None:
    old = write_release(tables)
    tables["pain_scores"] = with_column(
        tables["pain_scores"], "nrs_self", tables["pain_scores"]["nrs_self"].cast(pa.string())
    )
    found = diff_releases(old, write_release(tables, "1.1.0"))
    assert found.tables["pain_scores"].cells_changed == {"nrs_self": 48}


def test_tables_of_one_release_only(tables: Tables, dictionaries: Any, write_release: Write) -> None:
    old = write_release({name: table for name, table in tables.items() if name != "face_windows"})
    new = write_release({name: table for name, table in tables.items() if name != "pain_scores"}, "1.1.0")
    found = diff_releases(old, new).tables
    assert (found["face_windows"].status, found["face_windows"].rows_added) == ("added", 144)
    assert (found["pain_scores"].status, found["pain_scores"].rows_removed) == ("removed", 48)
    assert found["pain_scores"].columns_removed == ("session_id", "nrs_self")


def test_without_a_unique_key_whole_rows_are_compared(tables: Tables, dictionaries: Any, write_release: Write) -> None:
    old = write_release(tables)
    scores = tables["pain_scores"]
    tables["pain_scores"] = pa.concat_tables([scores.slice(1), scores.slice(2, 30)])
    found = diff_releases(old, write_release(tables, "1.1.0")).tables["pain_scores"]
    assert found.keyed_by == ()
    assert "not unique" in (found.note or "")
    assert (found.rows_added, found.rows_removed, found.cells_changed) == (">=10", "<10", {})
    dictionaries["pain_scores"]["primary_key"] = []
    keyless = diff_releases(old, write_release(tables, "1.2.0", dictionaries=dictionaries)).tables["pain_scores"]
    assert keyless.keyed_by == ()
    assert (keyless.rows_added, keyless.rows_removed) == (">=10", "<10")


def test_rows_that_lead_to_no_person_are_masked(tables: Tables, dictionaries: Any, write_release: Write) -> None:
    dictionaries["pain_scores"]["foreign_keys"] = []
    old = write_release(tables, dictionaries=dictionaries)
    tables["pain_scores"] = tables["pain_scores"].slice(0, 20)
    found = diff_releases(old, write_release(tables, "1.1.0", dictionaries=dictionaries))
    assert found.tables["pain_scores"].rows_removed == "<10"


def test_empty_tables(tables: Tables, write_release: Write) -> None:
    old = write_release(tables)
    empty = {name: table.slice(0, 0) for name, table in tables.items()}
    found = diff_releases(old, write_release(empty, "1.1.0"))
    assert found.participants == {"added": 0, "removed": 24}
    assert found.tables["face_windows"].rows_removed == 144
    assert diff_releases(write_release(empty, "1.2.0"), write_release(empty, "1.3.0")).same_data


def test_risk_before_and_after(tables: Tables, write_release: Write) -> None:
    gate = [
        {"name": "k_min", "value": 5, "limit": 5, "ok": True},
        {"name": "persons", "value": 24, "limit": 5, "ok": True},
    ]
    old = write_release(tables, risk={"ok": True, "persons": 24, "k_min": 5, "gate": gate})
    new = write_release(tables, "1.1.0", risk={"ok": False, "persons": 24, "k_min": 3, "gate": []})
    found = diff_releases(old, new).to_dict()["risk"]
    assert found["after"] == {"ok": False, "k_min": 3, "gate": []}
    assert (found["before"]["ok"], found["before"]["k_min"]) == (True, 5)
    # Persons before and after would tell how many came and went.
    assert {entry["name"]: entry["value"] for entry in found["before"]["gate"]} == {"k_min": 5, "persons": None}


def test_the_report_holds_no_value(tables: Tables, write_release: Write, shrink: Shrink) -> None:
    text = json.dumps(diff_releases(write_release(tables), write_release(shrink(tables, 2), "1.1.0")).to_dict())
    for pseudonym in (
        tables["participants"]["participant_id"].to_pylist() + tables["sessions"]["session_id"].to_pylist()
    ):
        assert pseudonym not in text


def with_scores(tables: Tables, change: Callable[[int, float], float], persons: int = 24) -> Tables:
    """The windows after a change of the first persons' scores (six windows a person)."""
    scores = tables["face_windows"]["AU04_r_mean"].to_numpy().copy()
    for row in range(persons * 6):
        scores[row] = change(row, scores[row])
    return tables | {"face_windows": with_column(tables["face_windows"], "AU04_r_mean", pa.array(scores))}


def test_which_way_cells_went_and_how_far(tables: Tables, write_release: Write) -> None:
    new = with_scores(tables, lambda row, score: score + (0.5 if row % 2 else -0.25))
    change = diff_releases(write_release(tables), write_release(new, "1.1.0")).tables["face_windows"].changes
    assert change == {
        "AU04_r_mean": {"ways": {"up": 72, "down": 72}, "mean_size": 0.38, "mean_difference": 0.12}
    }  # fmt: skip


@pytest.mark.parametrize(("few", "shown"), [(9, {"up": ">=10", "vanished": "<10"}), (24, {"up": 72, "vanished": 72})])
def test_a_way_of_few_persons_hides_the_others(
    tables: Tables, write_release: Write, few: int, shown: dict[str, Any]
) -> None:
    new = with_scores(tables, lambda row, score: float("nan") if row % 2 and row < few * 6 else score + 1)
    change = diff_releases(write_release(tables), write_release(new, "1.1.0")).tables["face_windows"].changes
    assert change["AU04_r_mean"]["ways"] == shown


def test_no_way_and_no_size_where_few_persons_changed(tables: Tables, write_release: Write) -> None:
    new = with_scores(tables, lambda _, score: score + 1, persons=9)
    found = diff_releases(write_release(tables), write_release(new, "1.1.0"))
    assert found.tables["face_windows"].changes == {
        "AU04_r_mean": {"ways": {}, "mean_size": None, "mean_difference": None}
    }
    assert found.shifts["columns"] == []
    assert found.shifts["withheld"] == ["face_windows.AU04_r_mean"]


@pytest.mark.parametrize("coarse", [False, True])
def test_a_distribution_that_shifted(tables: Tables, write_release: Write, coarse: bool) -> None:
    new = with_scores(tables, lambda _, score: score + 3)
    found = diff_releases(write_release(tables), write_release(new, "1.1.0"), coarse=coarse).shifts
    (entry,) = found["columns"]
    assert (entry["table"], entry["column"], entry["label"]) == ("face_windows", "AU04_r_mean", False)
    assert (entry["test"], entry["measure"], entry["shifted"]) == ("kolmogorov_smirnov", "cliffs_delta", True)
    assert entry["effect"] > 0.8
    # A published report gives ranges: an exact statistic is a ratio of small numbers of persons.
    assert (entry["p"], entry["statistic"]) == ("<0.001", None) if coarse else entry["p"] < 0.001


def test_a_label_that_shifted(tables: Tables, write_release: Write) -> None:
    old = write_release(tables)
    tables["participants"] = with_column(tables["participants"], "group", pa.array(["pain"] * 24))
    found = diff_releases(old, write_release(tables, "1.1.0")).shifts["columns"]
    assert [(entry["column"], entry["label"], entry["test"]) for entry in found] == [("group", True, "chi_square")]
    assert found[0]["effect"] == pytest.approx(0.58)  # sqrt(16 / 48), 24 and 12 persons of 24
    assert found[0]["shifted"]


@pytest.mark.parametrize("gone", [1, 9, 15])
def test_no_shift_where_few_differ_or_few_are_left(
    tables: Tables, write_release: Write, shrink: Shrink, gone: int
) -> None:
    found = diff_releases(write_release(tables), write_release(shrink(tables, gone), "2.0.0")).shifts
    assert found["columns"] == []
    assert "participants.group" in found["withheld"]


def test_sessions_policy_and_answers(tables: Tables, write_release: Write, shrink: Shrink) -> None:
    releases = [write_release(tables), write_release(shrink(tables, 12), "2.0.0")]
    for number, root in enumerate(releases):
        (root / "reports").mkdir()
        (root / "reports" / "policy.json").write_text(json.dumps({"k": 5 - number}), encoding="utf-8")
        answers = [
            {"question": "M1", "kind": "recorded", "text": "The same.", "source": None},
            {"question": "C2", "kind": "computed", "text": f"{number}", "source": None},
            {"question": f"N{number}", "kind": "open", "text": "", "source": None},
        ]
        (root / "datasheet.json").write_text(json.dumps({"answers": answers}), encoding="utf-8")
    found = diff_releases(*releases).to_dict()
    assert found["sessions"] == {"added": 0, "removed": 24}
    assert [(change["field"], change["loosened"]) for change in found["policy"]] == [("k", True)]
    assert found["answers"] == [
        {"question": "C2", "old": "computed", "new": "computed"},
        {"question": "N1", "old": None, "new": "open"},
        {"question": "N0", "old": "open", "new": None},
    ]


def test_linkability_before_and_after(tables: Tables, write_release: Write) -> None:
    gate = {"name": "linkability_rank1", "ok": False, "status": "failed", "value": 0.3, "limit": 0.09}
    risk = {"ok": False, "k_min": 5, "gate": [], "linkability": {"gate": [gate], "sets": []}}
    old = write_release(tables, risk={"ok": True, "k_min": 5, "gate": [], "linkability": None})
    found = diff_releases(old, write_release(tables, "1.1.0", risk=risk)).risk
    assert "linkability" not in found["before"]
    assert found["after"]["linkability"] == [gate]


def test_a_candidate_can_be_the_later_one(tables: Tables, write_release: Write, shrink: Shrink) -> None:
    old, new = write_release(tables), write_release(shrink(tables, 12), "2.0.0")
    (new / "manifest.json").unlink()
    payload = {"predicate": {"series": "sensai-dbd", "synthetic": True}, "inputs": {}}
    (new / "payload.json").write_text(json.dumps(payload), encoding="utf-8")
    found = diff_releases(old, new)
    assert (found.old, found.new, found.participants["removed"]) == ("1.0.0", "candidate", 12)
    assert "payload.json" not in found.files.added
    with pytest.raises(ReleaseFormatError, match="not a release directory"):
        diff_releases(new, old)


def test_a_candidate_restated_reads_as_the_release_does(tables: Tables, write_release: Write, shrink: Shrink) -> None:
    old, new = write_release(tables), write_release(shrink(tables, 12), "2.0.0")
    for root, text in ((old, "1.0.0"), (new, "the candidate")):
        answers = [{"question": "M1", "kind": "computed", "text": text, "source": None}]
        (root / "datasheet.json").write_text(json.dumps({"answers": answers}), encoding="utf-8")
    manifest = (new / "manifest.json").read_bytes()
    (new / "manifest.json").unlink()
    payload = {"predicate": {"series": "sensai-dbd", "synthetic": True}, "inputs": {}}
    (new / "payload.json").write_text(json.dumps(payload), encoding="utf-8")
    candidate = diff_releases(old, new, coarse=True)
    (new / "payload.json").unlink()
    (new / "datasheet.json").write_text((old / "datasheet.json").read_text(encoding="utf-8"), encoding="utf-8")
    told = restate(candidate, old, new, version="2.0.0").to_dict()
    assert (candidate.answers != (), told["answers"]) == (True, [])
    (new / "manifest.json").write_bytes(manifest)
    # What a release says of itself must not depend on when the difference was taken.
    assert told | {"files": None} == diff_releases(old, new, coarse=True).to_dict() | {"files": None}


def test_numbers_are_compared_without_pandas(tables: Tables, write_release: Write) -> None:
    del tables["participants"], tables["sessions"], tables["pain_scores"]
    tables["face_windows"] = tables["face_windows"].drop_columns(["tracked"])
    roots = write_release(tables), write_release(with_scores(tables, lambda _, score: score + 1), "1.1.0")
    program = (
        "import sys; from pathlib import Path; from sensai_release.release.comparison.diff import diff_releases; "
        "found = diff_releases(*map(Path, sys.argv[1:])); print('pandas' in sys.modules, found.same_data)"
    )
    done = subprocess.run([sys.executable, "-c", program, *roots], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_page_shows_markup_as_text(tables: Tables, dictionaries: Any, write_release: Write) -> None:
    old = write_release(tables)
    hostile = "<script>alert(1)</script>"
    dictionaries["face_windows"]["columns"][2]["unit"] = hostile
    new = write_release(with_scores(tables, lambda _, score: score + 1), "1.1.0", dictionaries=dictionaries)
    page = render_page("diff.html.j2", report=diff_releases(old, new).to_dict(), synthetic=True)
    assert hostile not in page
    assert "&lt;script&gt;" in page
    assert "AU04_r_mean" in page


class TestRefusals:
    def test_another_series(self, tables: Tables, write_release: Write) -> None:
        with pytest.raises(ReleaseFormatError, match="another series"):
            diff_releases(write_release(tables), write_release(tables, series="other"))

    def test_no_release(self, tables: Tables, write_release: Write, tmp_path: Path) -> None:
        old = write_release(tables)
        for path in (tmp_path / "absent", tmp_path, old / "README.md"):
            with pytest.raises(ReleaseFormatError, match="not a release directory"):
                diff_releases(old, path)

    @pytest.mark.parametrize("text", ["[]", "{", '{"predicate": 7}', '{"predicate": {"series": "x"}}', "\udc80"])
    def test_a_broken_manifest(self, tables: Tables, write_release: Write, text: str) -> None:
        old, new = write_release(tables), write_release(tables, "1.1.0")
        (new / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(ReleaseFormatError, match=r"NEW: manifest\.json"):
            diff_releases(old, new)

    def test_a_broken_table(self, tables: Tables, write_release: Write, tmp_path: Path) -> None:
        old, new = write_release(tables), write_release(tables, "1.1.0")
        part = new / "data" / "sessions" / "part-00000.parquet"
        part.write_bytes(part.read_bytes()[: -(1 << 4)])
        with pytest.raises(ReleaseFormatError, match="cannot be read as Parquet") as error:
            diff_releases(old, new)
        assert str(tmp_path) not in str(error.value)
        assert error.value.__cause__ is None

    def test_a_table_without_dictionary(self, tables: Tables, write_release: Write) -> None:
        old, new = write_release(tables), write_release(tables, "1.1.0")
        (new / "schemas" / "sessions.json").unlink()
        with pytest.raises(ReleaseFormatError, match="no data dictionary"):
            diff_releases(old, new)

    @pytest.mark.parametrize("broken", [
        {"dtype": None}, {"dtype": []}, {"dtype": "text"}, {"minimum": "0"}, {"maximum": [1]}, {"categories": "pain"},
        {"categories": [["pain"]]}, {"categories": {"pain": 1}},
    ])  # fmt: skip
    def test_a_dictionary_of_another_shape(
        self, tables: Tables, dictionaries: Any, write_release: Write, broken: dict[str, Any]
    ) -> None:
        old = write_release(tables)
        next(entry for entry in dictionaries["pain_scores"]["columns"] if entry["name"] == "nrs_self").update(broken)
        new = write_release(tables, "1.1.0")
        for pair in ((old, new), (new, old)):
            with pytest.raises(ReleaseFormatError, match=r"^schemas/pain_scores\.json: is not a data dictionary"):
                diff_releases(*pair)

    def test_a_target_beyond_what_a_float_can_hold(
        self, tables: Tables, dictionaries: Any, write_release: Write
    ) -> None:
        entry = next(entry for entry in dictionaries["pain_scores"]["columns"] if entry["name"] == "nrs_self")
        entry["maximum"] = 100
        roots = []
        for version, score in (("1.0.0", 2**62 + 1), ("1.1.0", 5)):
            scores = pa.array([score] * 48, pa.int64())
            tables["pain_scores"] = with_column(tables["pain_scores"], "nrs_self", scores)
            roots.append(write_release(tables, version))
            facts: dict[str, Any] = {"labels": {"pain_scores.nrs_self": {}}}
            (roots[-1] / "datasheet.json").write_text(json.dumps({"answers": [], "facts": facts}), encoding="utf-8")
        found = diff_releases(*roots)
        assert found.tables["pain_scores"].cells_changed == {"nrs_self": 48}
        assert found.labels["pain_scores.nrs_self"]["gained"] == {"[0,10)": 24, "[90,100]": 0}

    def test_a_link(self, tables: Tables, write_release: Write) -> None:
        old, new = write_release(tables), write_release(tables, "1.1.0")
        (new / "link.md").symlink_to(old / "README.md")
        with pytest.raises(ReleaseFormatError, match="link"):
            diff_releases(old, new)


CELLS = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf")]))
TEXTS = st.one_of(st.none(), st.sampled_from(["a", "b", ""]))
ROW = st.tuples(st.integers(0, 6), st.sampled_from(["x", "y"]), CELLS, TEXTS)
ROWS = st.lists(ROW, max_size=14)
UNIQUE_ROWS = st.lists(ROW, max_size=14, unique_by=lambda row: (row[0], row[1]))


def as_table(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * 4
    types = (pa.int64(), pa.string(), pa.float64(), pa.string())
    return pa.table({name: pa.array(values, kind) for name, values, kind in zip("ijvt", columns, types, strict=True)})


def as_frame(rows: list[Any]) -> pd.DataFrame:
    frame: pd.DataFrame = as_table(rows).to_pandas()
    frame["v"] = frame["v"].astype("float64") + 0.0
    # An empty merge on pandas' own text type fails inside pandas.
    return frame.astype({"j": object, "t": object})


@pytest.fixture
def pair(tmp_path: Path, dictionaries: Any, write_release: Write) -> Callable[..., Any]:
    """Compares two random tables, every row of which has a person of its own, with no masking."""
    entries = [
        {"name": name, "dtype": kind, "role": "insensitive", "nullable": True}
        for name, kind in zip("ijvt", ("integer", "string", "number", "string"), strict=True)
    ]

    def compare(old: list[Any], new: list[Any], key: list[str]) -> Any:
        document = {"table": "t", "person_key": "i", "primary_key": key, "foreign_keys": [], "columns": entries}
        for name in ("old", "new"):
            shutil.rmtree(tmp_path / name, ignore_errors=True)
        roots = [
            write_release({"t": as_table(rows)}, name=name, dictionaries={"t": document})
            for name, rows in (("old", old), ("new", new))
        ]
        return diff_releases(*roots, minimum=1).tables["t"]

    return compare


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=UNIQUE_ROWS, new=UNIQUE_ROWS)
def test_keyed_comparison_agrees_with_pandas(pair: Any, old: list[Any], new: list[Any]) -> None:
    found = pair(old, new, ["i", "j"])
    merged = as_frame(old).merge(as_frame(new), on=["i", "j"], how="outer", suffixes=("", "_new"), indicator=True)
    assert found.rows_added == (merged["_merge"] == "right_only").sum()
    assert found.rows_removed == (merged["_merge"] == "left_only").sum()
    both = merged[merged["_merge"] == "both"]
    cells = {}
    for column in ("v", "t"):
        left, right = both[column], both[f"{column}_new"]
        changed = ~((left == right) | (left.isna() & right.isna()))
        if changed.any():
            cells[column] = int(changed.sum())
    assert found.cells_changed == cells


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=ROWS, new=ROWS)
def test_multiset_comparison_agrees_with_pandas(pair: Any, old: list[Any], new: list[Any]) -> None:
    found = pair(old, new, [])
    frames = [
        as_frame(rows).fillna({"v": -1.0, "t": "missing"}).assign(side=side) for side, rows in ((-1, old), (1, new))
    ]
    change = pd.concat(frames).groupby(["i", "j", "v", "t"])["side"].sum()
    assert found.rows_added == change[change > 0].sum()
    assert found.rows_removed == -change[change < 0].sum()
