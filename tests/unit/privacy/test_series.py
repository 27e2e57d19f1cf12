from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.privacy.persons import PersonKeys
from sensai_release.privacy.series import PersonRows, SeriesRelease, SeriesReport, assess_series, crowd_sizes

Cells = Mapping[str, tuple[str | None, ...]]


def release(
    name: str,
    persons: Cells,
    *,
    columns: tuple[str, ...] = ("age", "sex"),
    tier2: tuple[str, ...] = (),
    key_id: str | None = "one",
    forms: Mapping[str, str] | None = None,
    rows: Mapping[str, PersonRows] | None = None,
) -> SeriesRelease:
    """Persons by pseudonym, each with its cells in the order of `columns`."""
    names = sorted(persons)
    data: dict[str, Any] = {"participant_id": pa.array(names, pa.string())}
    for place, column in enumerate(columns):
        data[column] = pa.array([persons[person][place] for person in names], pa.string())
    tier1 = tuple(column for column in columns if column not in tier2)
    keys = PersonKeys(table=pa.table(data), tier1=tier1, tier2=tier2)
    return SeriesRelease(name=name, key_id=key_id, keys=keys, forms=forms or {}, rows=rows or {})


def crowd_of(*values: tuple[str | None, ...], size: int = 12, first: int = 0) -> dict[str, tuple[str | None, ...]]:
    """`size` persons for each combination of values."""
    cells = [value for value in values for _ in range(size)]
    return {f"P{first + number:04d}": value for number, value in enumerate(cells)}


def codes(report: SeriesReport) -> set[str]:
    return {finding["code"] for finding in report.findings}


def only(report: SeriesReport) -> Mapping[str, Any]:
    (entry,) = report.releases
    return entry


BASE = crowd_of(("old", "F"), ("old", "M"), ("young", "F"), ("young", "M"))


def test_the_first_release_has_no_gate() -> None:
    report = assess_series(release("candidate", BASE), [], k=5)
    assert report.ok
    assert (report.gate, report.findings, report.together) == ((), (), None)


def test_the_same_persons_and_values_change_nothing() -> None:
    report = assess_series(release("candidate", BASE), [release("1.0.0", BASE)], k=5)
    assert only(report)["k_min"] == 12
    assert report.gate == ({"name": "series_k_min", "value": 12, "limit": 5, "ok": True},)
    assert report.findings == ()


def test_two_coarse_forms_that_single_out_together_stop_the_release() -> None:
    """Each release alone has k 5; joined by pseudonym a person stands alone."""
    ages = ["old"] * 6 + ["young"] * 6
    sexes = ["F"] * 1 + ["M"] * 5 + ["F"] * 5 + ["M"] * 1
    by_age = {f"P{n:02d}": (age, "*") for n, age in enumerate(ages)}
    by_sex = {f"P{n:02d}": ("*", sex) for n, sex in enumerate(sexes)}
    old, new = release("1.0.0", by_age, forms={"age": "a0", "sex": "s1"}), release("candidate", by_sex)
    assert assess_series(old, [old], k=5).ok
    assert assess_series(new, [new], k=5).ok
    report = assess_series(new, [old], k=5)
    assert not report.ok
    assert report.gate[0]["value"] == 1
    assert only(report)["below_k"] == "<10"
    # A third release that is harmless beside the second one does not hide what the first one tells.
    third = assess_series(new, [old, release("2.0.0", by_sex)], k=5)
    assert third.gate[0]["value"] == 1
    assert third.together is not None
    assert third.together["releases"] == ["1.0.0", "2.0.0", "candidate"]


def test_three_releases_single_out_where_no_pair_does() -> None:
    """Three attributes, one in each release: pairs leave 5 persons or more, all three leave one."""
    cells = [(a, b, c) for a in "xy" for b in "xy" for c in "xy" for _ in range(5)]
    cells[:5] = [("x", "x", "x"), ("x", "x", "y"), ("x", "x", "y"), ("x", "x", "y"), ("x", "x", "y")]
    cells += [("x", "y", "x")] * 4 + [("y", "x", "x")] * 4
    names = [f"P{n:03d}" for n in range(len(cells))]
    held = [
        release(f"{n}.0.0", {p: (c[n],) for p, c in zip(names, cells, strict=True)}, columns=(column,))
        for n, column in enumerate(("a", "b", "c"))
    ]
    report = assess_series(held[2], held[:2], k=5)
    assert [entry["k_min"] >= 5 for entry in report.releases] == [True, True]
    assert report.together is not None
    assert report.together["k_min"] == 1
    assert not report.ok


def test_a_withdrawal_is_a_finding_and_no_gate() -> None:
    old = crowd_of(("old", "F"), ("old", "M"), size=5)
    new = {person: cells for person, cells in old.items() if person != "P0000"}
    report = assess_series(release("candidate", new), [release("1.0.0", old)], k=5)
    # Who has left may still be the one: the crowd is what it was. Who knows better sees a class of four.
    assert report.ok
    assert codes(report) == {"series.vanished_few", "series.thinned"}
    assert only(report)["vanished"] == {"persons": "<10", "k_min": "<10"}
    assert only(report)["appeared"] == {"persons": 0, "k_min": None}
    (vanished,) = (found for found in report.findings if found["code"] == "series.vanished_few")
    assert vanished["severity"] == "warning"
    assert vanished["count"] == "<10"
    assert "must be honoured" in vanished["advice"]


@pytest.mark.parametrize("comers", [1, 4, 9])
def test_few_who_appear_are_a_finding_that_does_not_say_how_few(comers: int) -> None:
    new = BASE | {f"Q{n}": ("old", "F") for n in range(comers)}
    report = assess_series(release("candidate", new), [release("1.0.0", BASE)], k=5)
    assert codes(report) == {"series.appeared_few"}
    one = assess_series(release("candidate", BASE | {"Q0": ("old", "F")}), [release("1.0.0", BASE)], k=5)
    assert report.to_dict() == one.to_dict()


def test_many_who_appear_and_do_not_hide_each_other() -> None:
    cells = [("old", "F")] * 12 + [("young", "M")] * 2
    report = assess_series(
        release("candidate", BASE | {f"Q{n:02d}": cell for n, cell in enumerate(cells)}),
        [release("1.0.0", BASE)],
        k=5,
    )
    assert codes(report) == {"series.appeared_k"}
    assert only(report)["appeared"] == {"persons": 14, "k_min": "<10"}
    assert report.ok


def test_a_lone_change_of_value_is_a_finding() -> None:
    new = BASE | {"P0000": ("young", "F")}
    report = assess_series(release("candidate", new), [release("1.0.0", BASE)], k=5)
    assert "series.changed_few" in codes(report)
    assert [entry for entry in only(report)["changed"] if entry["persons"] != 0] == [
        {"column": "age", "same_form": True, "persons": "<10"}
    ]
    # The intersection holds the changed person alone; that is a gate, since the candidate could say nothing of it.
    assert report.gate[0]["value"] == 1


@pytest.mark.parametrize("swapped", [False, True])
def test_a_change_of_level_is_no_change_of_value(swapped: bool) -> None:
    fine = crowd_of(("18", "F"), ("30", "F"), ("60", "F"), ("70", "M"))
    coarse = {person: ("young" if cells[0] in ("18", "30") else "old", cells[1]) for person, cells in fine.items()}
    sides = [release("1.0.0", fine, forms={"age": "0"}), release("candidate", coarse, forms={"age": "1"})]
    old, new = sides[::-1] if swapped else sides
    report = assess_series(new, [old], k=5)
    assert codes(report) == set()
    assert only(report)["k_min"] == 12
    odd = coarse | {"P0000": ("old", "F")}
    sides[1] = release("candidate", odd, forms={"age": "1"})
    old, new = sides[::-1] if swapped else sides
    assert "series.changed_few" in codes(assess_series(new, [old], k=5))


def session_rows(persons: Cells, days: Mapping[str, list[int]] | None = None) -> dict[str, PersonRows]:
    people = [person for person in persons for _ in (days or {}).get(person, [0])]
    values = [day for person in persons for day in (days or {}).get(person, [0])]
    table = pa.table({"participant_id": people, "day": pa.array(values, pa.int64())})
    return {"sessions": PersonRows(table=table, person=table["participant_id"])}


@pytest.mark.parametrize(
    ("days", "persons", "found"),
    [
        ({}, 0, False),
        ({"P0003": [0, 2]}, "<10", True),
        ({"P0003": [1]}, "<10", True),
        ({"P0003": []}, "<10", True),
        ({f"P{n:04d}": [0, 1] for n in range(11)}, 11, False),
    ],
)
def test_rows_that_change_for_few(days: dict[str, list[int]], persons: int | str, found: bool) -> None:
    old = release("1.0.0", BASE, rows=session_rows(BASE))
    # Newcomers and their rows are a difference of their own, not a change.
    new_cells = BASE | {"Q0": ("old", "F")}
    new = release("candidate", new_cells, rows=session_rows(new_cells, days))
    report = assess_series(new, [old], k=5)
    assert only(report)["rows_changed"] == [{"table": "sessions", "persons": persons}]
    assert ("series.rows_changed_few" in codes(report)) is found


def test_the_order_of_rows_is_no_change() -> None:
    rows = session_rows(BASE)
    turned = {
        name: PersonRows(table=held.table.take(order), person=held.person.take(order))
        for name, held in rows.items()
        for order in [pa.array(np.arange(held.table.num_rows)[::-1])]
    }
    report = assess_series(release("candidate", BASE, rows=turned), [release("1.0.0", BASE, rows=rows)], k=5)
    assert only(report)["rows_changed"] == [{"table": "sessions", "persons": 0}]


def test_other_pseudonyms_are_said_and_values_are_compared() -> None:
    others = {f"Z{person}": cells for person, cells in BASE.items() if person != "P0000"}
    report = assess_series(release("candidate", others), [release("1.0.0", BASE, key_id="two")], k=5)
    assert report.gate == ()
    assert only(report)["joined_by"] == "values"
    assert only(report)["classes"] == 4
    assert only(report)["classes_differing_by_few"] == 1
    assert codes(report) == {"series.not_joinable", "series.classes_differ_few"}


def test_persons_alone_on_the_same_values_are_joined_without_pseudonyms() -> None:
    cells = {person: (*values, "common") for person, values in BASE.items()} | {"P0000": ("old", "F", "rare")}
    columns, tier2 = ("age", "sex", "drug"), ("drug",)
    old = release("1.0.0", cells, columns=columns, tier2=tier2, key_id="two")
    others = {f"Z{person}": values for person, values in cells.items()}
    report = assess_series(release("candidate", others, columns=columns, tier2=tier2), [old], k=5)
    assert only(report)["alone_in_both"] == "<10"
    assert codes(report) == {"series.not_joinable", "series.joined_by_values"}


@pytest.mark.parametrize(("common", "shown"), [(0, 40), (3, ">=10"), (12, 40), (35, "<10")])
def test_the_few_who_are_not_alone_do_not_follow_from_those_who_are(common: int, shown: int | str) -> None:
    """Of 40 persons, or 52, all are alone but a few: the total is known, so the larger count would tell the smaller."""
    extra = common if common == 12 else 0
    cells: dict[str, tuple[str | None, ...]] = {
        f"P{n:03d}": ("old", "F", "common" if n < common - extra or n >= 40 else f"drug {n}") for n in range(40 + extra)
    }
    columns, tier2 = ("age", "sex", "drug"), ("drug",)
    old = release("1.0.0", cells, columns=columns, tier2=tier2, key_id="two")
    report = assess_series(release("candidate", cells, columns=columns, tier2=tier2), [old], k=5)
    assert only(report)["alone_in_both"] == shown
    assert [entry["count"] for entry in report.findings if entry["code"] == "series.joined_by_values"] == [shown]


def test_the_few_who_are_left_in_the_other_release_count_too() -> None:
    """Alone are the 40 of one release; the other has 3 more, and its total is known as well."""
    cells: dict[str, tuple[str | None, ...]] = {f"P{n:03d}": ("old", "F", f"drug {n}") for n in range(40)}
    more = {**cells, **{f"Q{n:03d}": ("old", "F", "common") for n in range(3)}}
    columns, tier2 = ("age", "sex", "drug"), ("drug",)
    old = release("1.0.0", more, columns=columns, tier2=tier2, key_id="two")
    report = assess_series(release("candidate", cells, columns=columns, tier2=tier2), [old], k=5)
    assert only(report)["alone_in_both"] == ">=10"


def test_the_few_who_stayed_or_did_not_change_hide_too() -> None:
    kept = dict(list(BASE.items())[:3])
    fresh = {f"Q{n:02d}": ("young", "M") for n in range(30)}
    entry = only(assess_series(release("candidate", kept | fresh), [release("1.0.0", BASE)], k=5))
    assert (entry["appeared"]["persons"], entry["vanished"]["persons"]) == (">=10", ">=10")
    swapped: dict[str, tuple[str | None, ...]] = {
        name: ("old" if age == "young" else "young", sex) for name, (age, sex) in BASE.items()
    }
    swapped |= dict(list(BASE.items())[:3])
    report = assess_series(release("candidate", swapped), [release("1.0.0", BASE)], k=5)
    changed = {change["column"]: change["persons"] for change in only(report)["changed"]}
    assert changed == {"age": ">=10", "sex": 0}


def test_without_a_key_id_nothing_is_joined() -> None:
    report = assess_series(release("candidate", BASE, key_id=None), [release("1.0.0", BASE, key_id=None)], k=5)
    assert only(report)["joined_by"] == "values"


@pytest.mark.parametrize("seed", range(40))
def test_crowds_equal_counting_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, number = int(rng.integers(1, 30)), int(rng.integers(1, 4))
    ids = rng.integers(0, 3, (number, count))
    present = rng.random((number, count)) < 0.7
    crowd = crowd_sizes(list(zip(ids, present, strict=True)))
    for one in range(count):
        agree = sum(
            all(ids[r, one] == ids[r, two] for r in range(number) if present[r, one] and present[r, two])
            for two in range(count)
        )
        assert crowd[one] == agree


@pytest.mark.parametrize("seed", range(10))
def test_the_union_equals_counting_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ages, sexes = ["a", "b", None], ["F", "M"]
    people = [f"P{n:03d}" for n in range(60)]
    sides = [
        {person: (ages[rng.integers(3)], sexes[rng.integers(2)]) for person in people if rng.random() < 0.8}
        for _ in range(2)
    ]
    report = assess_series(release("candidate", sides[1]), [release("1.0.0", sides[0])], k=5)
    crowds = [
        sum(
            all(side[one] == side[two] for side in sides if one in side and two in side)
            for two in people
            if two in sides[0] or two in sides[1]
        )
        for one in sides[1]
    ]
    assert only(report)["k_min"] == min(crowds)


def test_round_trip_and_no_small_count() -> None:
    new = BASE | {"P0000": ("young", "F"), "Q0": ("old", "F")}
    report = assess_series(release("candidate", new), [release("1.0.0", BASE, rows=session_rows(BASE))], k=5)
    document = json.loads(json.dumps(report.to_dict()))
    assert SeriesReport.from_dict(document).to_dict() == document
    for entry in document["releases"]:
        for part in (entry["appeared"], entry["vanished"], *entry["changed"], *entry["rows_changed"]):
            assert part["persons"] == 0 or isinstance(part["persons"], str) or part["persons"] >= 10
