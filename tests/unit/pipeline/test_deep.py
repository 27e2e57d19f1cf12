"""`verify --deep`: a number that the tables do not give is found, named by its place, and never shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from linkability_kit import column, dictionary
from release_kit import PREDICATE, STEWARD, TRUST

from sensai_release.pipeline.deep import deep_faults
from sensai_release.pipeline.risk import assess_release
from sensai_release.privacy.masking import rounded
from sensai_release.release.datasheet.answers import Answer
from sensai_release.release.datasheet.facts import compute_facts
from sensai_release.release.datasheet.sheet import build_datasheet
from sensai_release.release.published import published_risk
from sensai_release.release.sealing import seal_release
from sensai_release.release.tables import ReleasedTables, load_dictionaries
from sensai_release.release.verify import verify_release
from sensai_release.release.waived import predicate_gates
from sensai_release.table.store import write_parquet

STEP = 9
PERSONS = 60
IDS = [f"P{number:017d}" for number in range(PERSONS)]
KEY = column("participant_id", role="direct_identifier", dtype="string", **{"class": "X"})
SESSION = column("session_id", role="direct_identifier", dtype="string", **{"class": "X"})
TABLES = {
    "participants": pa.table({"participant_id": IDS, "band": [f"band {number % 3}" for number in range(PERSONS)]}),
    "sessions": pa.table({"session_id": [f"S{name}" for name in IDS], "participant_id": IDS}),
    "scores": pa.table(
        {
            "session_id": [f"S{name}" for name in IDS],
            "score": pa.array([None if number % 2 else 0.25 for number in range(PERSONS)], pa.float64()),
        }
    ),
}
BAND = column("band", role="quasi_identifier", dtype="category", tier=1, categories=["band 0", "band 1", "band 2"])
OWN = {"person_key": "participant_id", "primary_key": ["participant_id"], "foreign_keys": []}
TO_PERSONS = [{"column": "participant_id", "references": "participants.participant_id"}]
DICTIONARIES = {
    "participants": dictionary("participants", [], **OWN) | {"columns": [KEY, BAND]},
    "sessions": dictionary("sessions", [KEY], person_key="participant_id", foreign_keys=TO_PERSONS),
    "scores": dictionary("scores", [column("score", dtype="number")]),
}


def write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def unsealed(root: Path) -> dict[str, Any]:
    """A small payload with everything that is counted; returns its predicate."""
    for name, table in TABLES.items():
        (root / "data" / name).mkdir(parents=True)
        write_parquet(table, root / "data" / name / "part-00000.parquet")
        write(root / "schemas" / f"{name}.json", DICTIONARIES[name] | {"title": name})
    policy = {
        "profile": "controlled",
        "description": "",
        "k": 5,
        "l": 1,
        "max_suppressed": 0.05,
        "generalisation": {},
        "pseudonym_key": {"id": "0" * 16, "check_value": "0" * 16},
        "columns": {},
    }
    write(root / "reports" / "policy.json", policy)
    risk = published_risk(assess_release(root), max_suppressed=0.05)
    write(root / "reports" / "risk.json", risk)
    tables = ReleasedTables(root / "data", load_dictionaries(root / "schemas"))
    facts = compute_facts(tables, context={"sessions_table": "sessions"}, risk=risk)
    answers = (Answer(question="composition.2", kind="computed", template="There are {persons} persons."),)
    sheet = build_datasheet(answers, facts, title="Synthetic", synthetic=True, version="1.0.0")
    write(root / "datasheet.json", sheet.to_dict())
    counts = {"persons": rounded(PERSONS, 10), "rows": {name: tables.masked_rows(name, 10) for name in tables.names}}
    stated = {"ok": risk["ok"], "k_min": risk["k_min"], "gates": predicate_gates(risk, waiver_required=False)}
    return {**PREDICATE, "counts": counts, "risk": stated}


def change(path: Path, edit: Callable[[Any], Any]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    edit(document)
    write(path, document)


@pytest.fixture
def sealed(tmp_path: Path) -> Callable[..., Path]:
    def make(spoil: Callable[[Path, dict[str, Any]], Any] | None = None) -> Path:
        root = tmp_path / "release"
        predicate = unsealed(root)
        if spoil is not None:
            spoil(root, predicate)
        seal_release(root, predicate, STEWARD)
        return root

    return make


def places(root: Path) -> set[tuple[str, str]]:
    return {(code, place) for code, place, _ in deep_faults(root)}


def test_an_honest_release_has_the_numbers_that_it_states(sealed: Callable[..., Path]) -> None:
    root = sealed()
    assert deep_faults(root) == []
    report = verify_release(root, trust=TRUST, deep=deep_faults)
    assert (report.ok, report.verdict) == (True, "valid, freshness unknown")
    assert report.steps[STEP - 1].skipped is None


def in_sheet(edit: Callable[[Any], Any]) -> Callable[[Path, Any], Any]:
    return lambda root, _: change(root / "datasheet.json", edit)


def in_risk(edit: Callable[[Any], Any]) -> Callable[[Path, Any], Any]:
    return lambda root, _: change(root / "reports" / "risk.json", edit)


SHEET, RISK = "datasheet.json#/facts", "reports/risk.json#"
DIFFERENT: dict[str, tuple[Callable[[Path, Any], Any], set[str]]] = {
    "persons": (
        in_sheet(lambda d: d["facts"]["values"].update(persons="at least 40")),
        {f"{SHEET}/values/persons"},
    ),
    "rows": (in_sheet(lambda d: d["facts"]["tables"][0].update(rows=10)), {f"{SHEET}/tables/0/rows"}),
    "a fact more": (in_sheet(lambda d: d["facts"]["values"].update({"a/b": 1})), {f"{SHEET}/values/a~1b"}),
    "a fact less": (in_sheet(lambda d: d["facts"]["values"].pop("tables")), {f"{SHEET}/values/tables"}),
    "missing cells": (in_sheet(lambda d: d["facts"].update(missing=[])), {f"{SHEET}/missing"}),
    "subpopulations": (
        in_sheet(lambda d: d["facts"]["subpopulations"]["participants.band"].update({"band 0": 50})),
        {f"{SHEET}/subpopulations/participants.band/band 0"},
    ),
    "an answer": (
        in_sheet(lambda d: d["answers"][0].update(text="There are at least 900 persons.")),
        {"datasheet.json#/answers/composition.2"},
    ),
    "persons at risk": (in_risk(lambda d: d.update(persons=50)), {f"{RISK}/persons"}),
    "a measure": (in_risk(lambda d: d["unique_tier1"].update(persons=10)), {f"{RISK}/unique_tier1/persons"}),
    "a gate": (
        in_risk(lambda d: d["gate"][0].update(limit=1)),
        {f"{RISK}/gate/persons/limit", f"{SHEET}/gate/persons/limit"},
    ),
    "a gate that nobody measures": (
        in_risk(lambda d: d["gate"].append({"name": "luck", "value": 1, "limit": 1, "ok": True})),
        {f"{RISK}/gate/luck", f"{SHEET}/gate/luck"},
    ),
    "a number more": (in_risk(lambda d: d["suda"].update(extra=1)), {f"{RISK}/suda/extra"}),
    "the verdict": (
        in_risk(lambda d: d.update(ok=False)),
        {f"{RISK}/ok", f"{SHEET}/values/gate_verdict", "manifest.json#/predicate/risk/ok"},
    ),
    "counts": (lambda _, p: p["counts"].update(persons=50), {"manifest.json#/predicate/counts/persons"}),
    "k of the manifest": (lambda _, p: p["risk"].update(k_min=11), {"manifest.json#/predicate/risk/k_min"}),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_wrong_number_is_named_by_its_place(sealed: Callable[..., Path], name: str) -> None:
    spoil, expected = DIFFERENT[name]
    root = sealed(spoil)
    assert places(root) == {("facts.differ", place) for place in expected}
    report = verify_release(root, trust=TRUST)
    # The manifest repeats the gates, so that a difference in them is found without counting anything.
    assert report.ok is ("gate" not in name and name != "the verdict")
    if not report.ok:
        return
    report = verify_release(root, trust=TRUST, deep=deep_faults)
    assert (report.ok, report.verdict) == (False, "invalid")
    assert "before signing" in report.explanation


def test_changed_tables_are_noticed_and_no_count_of_them_is_shown(sealed: Callable[..., Path]) -> None:
    def fewer(root: Path, _: Any) -> None:
        for name, table in TABLES.items():
            write_parquet(table.slice(0, 37), root / "data" / name / "part-00000.parquet")

    root = sealed(fewer)
    found = deep_faults(root)
    assert {place for _, place, _ in found} >= {f"{SHEET}/values/persons", f"{RISK}/persons"}
    assert {message for _, _, message in found} == {
        "is not what the tables of the release give",
        "states another number than its facts give",
    }


def test_what_needs_more_than_this_release_is_left_as_it_is(sealed: Callable[..., Path]) -> None:
    def beyond(document: Any) -> None:
        failed = {"name": "series_k_min", "value": 1, "limit": 5, "ok": False}
        document["series"] = {"gate": [failed], "k": 5, "releases": [], "together": None}
        del document["suda"]
        document["ok"] = False

    def spoil(root: Path, predicate: Any) -> None:
        change(root / "reports" / "risk.json", beyond)
        predicate["risk"]["ok"] = False

    found = places(sealed(spoil))
    # The datasheet speaks of the gate too, and must be of the same mind as the report.
    assert found == {("facts.differ", f"{SHEET}/values/gate_verdict")}


def test_sums_may_differ_in_their_last_digits(sealed: Callable[..., Path]) -> None:
    def nearly(document: Any) -> None:
        document["unique_tier1"]["share"] += 1e-13
        document["k_min"] += 0.0

    assert deep_faults(sealed(in_risk(nearly))) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: (root / "datasheet.json").unlink(),
        lambda root: (root / "datasheet.json").write_text("[]"),
        lambda root: (root / "datasheet.json").write_text("{}"),
        lambda root: (root / "datasheet.json").write_text("[" * 100_000),
        lambda root: change(root / "datasheet.json", lambda d: d["facts"].update(minimum="10")),
        lambda root: change(root / "datasheet.json", lambda d: d.update(facts=[])),
        lambda root: (root / "reports" / "risk.json").unlink(),
        lambda root: (root / "reports" / "risk.json").write_text('{"gate": 1}'),
        lambda root: (root / "reports" / "policy.json").write_text("{}"),
        lambda root: (root / "data" / "scores" / "part-00000.parquet").write_bytes(b"PAR1"),
        lambda root: change(root / "schemas" / "participants.json", lambda d: d.update(columns=[{}])),
    ],
)
def test_what_cannot_be_counted_is_a_problem_and_no_crash(tmp_path: Path, spoil: Callable[[Path], Any]) -> None:
    root = tmp_path / "release"
    write(root / "manifest.json", {"predicate": unsealed(root)})
    assert deep_faults(root) == []
    spoil(root)
    found = deep_faults(root)
    assert {code for code, _, _ in found} == {"facts.unreadable"}
    assert str(tmp_path) not in repr(found)


def test_nothing_is_counted_in_a_release_that_was_changed(sealed: Callable[..., Path]) -> None:
    def never(_: Path) -> Any:
        raise AssertionError("the bytes come first")

    root = sealed()
    (root / "README.md").write_text("x")
    step = verify_release(root, trust=TRUST, deep=never).steps[STEP - 1]
    assert (step.ok, step.problems) == (False, ())
    assert step.skipped
