"""The tool against the datasheet of a published data set: it must find what that one says against its own data.

The answers are those of the publication, shortened (tests/data/sibling). Its data are not public, so tables of the
same shape stand in for them: 29 synthetic patients with scores, of whom one has zeros for all nine that were never
given, and features of their faces.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.release.datasheet.answers import load_answers, questions
from sensai_release.release.datasheet.check import check_datasheet
from sensai_release.release.datasheet.facts import Facts, compute_facts
from sensai_release.release.datasheet.sheet import build_datasheet
from sensai_release.release.tables import ReleasedTables
from sensai_release.table.findings import Finding

SIBLING = Path(__file__).parents[3] / "data" / "sibling"
PATIENTS, VIDEOS, SCORES, LOST = 29, 4, 9, 15
# What its author statement says: researchers outside may be given access. Its consent form lets patients leave.
CONTEXT = {
    "sessions_table": "videos",
    "consent_recorded": "yes",
    "withdrawal_recorded": "yes",
    "recipients": "outside",
}


def column(name: str, dtype: str, **more: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": name, "dtype": dtype, "categories": None, "minimum": None, "maximum": None, "role": "insensitive",
        "tier": None, "class": "clinical", "action": "keep",
    }  # fmt: skip
    return entry | more


def dictionary(table: str, key: list[str], foreign: dict[str, str], columns: list[Any]) -> dict[str, Any]:
    return {
        "table": table,
        "title": table,
        "person_key": "patient" if "patient" in [entry["name"] for entry in columns] else None,
        "primary_key": key,
        "foreign_keys": [{"column": name, "references": target} for name, target in foreign.items()],
        "columns": columns,
    }


def pseudonym(name: str) -> dict[str, Any]:
    return column(name, "string", role="direct_identifier", **{"class": "X"})


SCORE_NAMES = [f"score_{number}" for number in range(SCORES)]
DICTIONARIES = {
    "patients": dictionary("patients", ["patient"], {}, [
        pseudonym("patient"),
        column("cohort", "category", role="quasi_identifier", tier=1),
        column("sex", "category", role="quasi_identifier", tier=1),
        column("worst_pain", "category", role="sensitive", categories=["low", "high"]),
        column("fold", "integer"),
    ]),
    "videos": dictionary("videos", ["video"], {"patient": "patients.patient"}, [
        pseudonym("video"),
        pseudonym("patient"),
        *(column(name, "integer", role="sensitive", minimum=0, maximum=10) for name in SCORE_NAMES),
    ]),
    "frames": dictionary("frames", ["video", "frame"], {"video": "videos.video"}, [
        pseudonym("video"),
        column("frame", "integer", **{"class": "C"}),
        column("landmark_x", "number", action="crop", **{"class": "X"}),
    ]),
}  # fmt: skip


def sibling_tables(lost: list[int | None]) -> dict[str, pa.Table]:
    """`lost` is what stands for the scores of the patient who gave none."""
    random = np.random.default_rng(1)
    patients = [f"P{number:02d}" for number in range(PATIENTS)]
    videos = [f"V{number:03d}" for number in range(PATIENTS * VIDEOS)]
    owner = [number // VIDEOS for number in range(len(videos))]
    scores: dict[str, pa.Array] = {
        name: pa.array([lost[place] if person == LOST else int(random.integers(1, 11)) for person in owner], pa.int64())
        for place, name in enumerate(SCORE_NAMES)
    }
    return {
        "patients": pa.table({
            "patient": patients,
            "cohort": ["1A" if number % 2 else "2B" for number in range(PATIENTS)],
            "sex": ["F" if number < 15 else "M" for number in range(PATIENTS)],
            "worst_pain": ["low" if number < 14 else "high" for number in range(PATIENTS)],
            "fold": pa.array([number % 10 for number in range(PATIENTS)], pa.int64()),
        }),
        "videos": pa.table({"video": videos, "patient": [patients[person] for person in owner], **scores}),
        "frames": pa.table({
            "video": videos,
            "frame": pa.array([0] * len(videos), pa.int64()),
            "landmark_x": pa.array(random.uniform(0, 1, len(videos))),
        }),
    }  # fmt: skip


@pytest.fixture
def facts_of(write_candidate: Callable[..., Path]) -> Callable[..., Facts]:
    def facts(lost: list[int | None]) -> Facts:
        data = write_candidate(sibling_tables(lost), "sibling", DICTIONARIES) / "data"
        return compute_facts(ReleasedTables(data, DICTIONARIES), context=CONTEXT)

    return facts


def findings_of(facts: Facts) -> tuple[Finding, ...]:
    sheet = build_datasheet(load_answers(SIBLING), facts, title="A published data set", synthetic=True)
    return check_datasheet(sheet, facts)


def test_its_contradictions_are_found(facts_of: Callable[..., Facts]) -> None:
    found = {
        (finding.column, finding.code.removeprefix("datasheet.contradiction."))
        for finding in findings_of(facts_of([0] * SCORES))
        if finding.code.startswith("datasheet.contradiction.") and finding.severity == "error"
    }
    assert found == {
        ("C15", "sensitive"),
        ("C14", "identifiable_features"),
        ("C14", "identifiable_known"),
        ("C6", "missing_as_zero"),
        ("D1", "third_parties"),
        ("C7", "related"),
        ("L3", "sampling"),
        ("U4", "caveats"),
    }


def test_its_six_undetermined_answers_are_found_and_the_one_that_nobody_knows(facts_of: Callable[..., Facts]) -> None:
    found = {f.column for f in findings_of(facts_of([0] * SCORES)) if f.code == "datasheet.undetermined"}
    assert found == {"D2", "D3", "D4", "T4", "T6", "T7"} | {"C12"}


def test_its_numbers_typed_by_hand_are_found(facts_of: Callable[..., Facts]) -> None:
    found = {f.column for f in findings_of(facts_of([0] * SCORES)) if f.code == "datasheet.typed_number"}
    assert found == {"C1", "C2", "C3", "C8"}


def test_nothing_else_is_held_against_it(facts_of: Callable[..., Facts]) -> None:
    codes = {f.code.split(".")[1] for f in findings_of(facts_of([0] * SCORES)) if f.severity == "error"}
    assert codes == {"contradiction", "undetermined", "typed_number"}


@pytest.mark.parametrize("lost", [[None] * SCORES, [0] * (SCORES - 1) + [3]], ids=["missing", "answered"])
def test_scores_that_are_missing_or_answered_are_no_zeros(
    facts_of: Callable[..., Facts], lost: list[int | None]
) -> None:
    assert not [f for f in findings_of(facts_of(lost)) if f.code.endswith("missing_as_zero")]


def test_no_finding_holds_an_answer(facts_of: Callable[..., Facts]) -> None:
    words = " ".join(finding.message for finding in findings_of(facts_of([0] * SCORES)))
    texts = {answer.template for answer in load_answers(SIBLING) if len(answer.template.split()) > 4}
    assert texts
    assert not [text for text in texts if text in words]
    assert len(load_answers(SIBLING)) == len(questions()) == 57
