"""The datasheet: 57 questions, no number typed by hand, no count that points at a few people."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from sensai_release.errors import ConfigurationError
from sensai_release.release.datasheet import (
    Answer,
    Datasheet,
    build_datasheet,
    check_datasheet,
    load_answers,
    questions,
    render_markdown,
)
from sensai_release.release.facts import Facts, compute_facts, study_context
from sensai_release.release.tables import ReleasedTables
from sensai_release.table.documents import load_yaml

Tables = dict[str, pa.Table]
Write = Callable[..., Path]

WORKSPACE = Path(__file__).parents[3]
RISK = {
    "ok": True,
    "persons": 24,
    "k_min": 12,
    "gate": [{"name": "k", "value": 12, "limit": 5, "ok": True, "more": 1}],
}


@pytest.fixture
def context() -> dict[str, Any]:
    return study_context(load_yaml(WORKSPACE / "params.yaml", "params.yaml"))


@pytest.fixture
def facts(tables: Tables, dictionaries: Any, write_candidate: Write, context: dict[str, Any]) -> Facts:
    data = write_candidate(tables) / "data"
    return compute_facts(ReleasedTables(data, dictionaries), context=context, risk=RISK)


@pytest.fixture
def datasheet(facts: Facts) -> Datasheet:
    return build_datasheet(load_answers(WORKSPACE / "datasheets"), facts, title="SENSAI-DBD", synthetic=True)


class TestQuestions:
    def test_there_are_57_in_seven_sections(self) -> None:
        counts: dict[str, int] = {}
        for question in questions():
            counts[question.section] = counts.get(question.section, 0) + 1
        assert counts == {
            "Motivation": 4,
            "Composition": 16,
            "Collection Process": 12,
            "Preprocessing/cleaning/labeling": 4,
            "Uses": 6,
            "Distribution": 7,
            "Maintenance": 8,
        }
        assert len({question.id for question in questions()}) == 57

    def test_each_section_ends_with_room_for_comments(self) -> None:
        last = {question.section: question for question in questions()}
        assert {question.text for question in last.values()} == {"Any other comments?"}

    def test_the_wording_is_that_of_version_8(self) -> None:
        texts = " ".join(question.text for question in questions())
        # Version 7 asked twice whether the dataset relates to people, and spoke of users.
        assert "Does the dataset relate to people?" not in texts
        assert texts.count("dataset consumer") == 6
        assert "other users" not in texts


class TestAnswers:
    def test_the_study_answers_every_question(self) -> None:
        answers = load_answers(WORKSPACE / "datasheets")
        assert [answer.question for answer in answers] == [question.id for question in questions()]
        for answer in answers:
            assert answer.text == ""
            assert answer.settle if answer.kind == "open" else answer.template

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda answers: answers.pop("C2"), "no answer to C2"),
            (lambda answers: answers.update(C17={"kind": "open", "settle": "x"}), "C17, which is no question"),
            (lambda answers: answers["C2"].update(kind="guessed"), "accepted words"),
            (lambda answers: answers["C2"].update(typo="x"), "unknown entry typo"),
            (lambda answers: answers["C2"].update(query=["everything"]), "accepted words"),
            (lambda answers: answers.update(C2={"kind": "open", "text": "x"}), "lacks settle"),
            (lambda answers: answers.update(C2={"kind": "attested", "text": "x"}), "lacks author"),
            (lambda answers: answers.update(C2={"kind": "recorded", "text": "x"}), "lacks source"),
            (lambda answers: answers.update(C2={"kind": "computed"}), "lacks text"),
        ],
    )
    def test_a_wrong_file_is_refused(self, tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
        document = yaml.safe_load((WORKSPACE / "datasheets" / "answers.yaml").read_text(encoding="utf-8"))
        change(document["answers"])
        (tmp_path / "answers.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        with pytest.raises(ConfigurationError, match=message) as error:
            load_answers(tmp_path)
        assert "datasheets/answers.yaml" in str(error.value)
        assert str(tmp_path) not in str(error.value)

    def test_an_absent_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="is not there"):
            load_answers(tmp_path)

    def test_an_unknown_fact_names_file_and_question(self, facts: Facts) -> None:
        answer = Answer(question="C2", kind="computed", template="There are {people} people.")
        with pytest.raises(ConfigurationError, match=r"answers\.yaml: C2: names the unknown fact \{people\}"):
            build_datasheet((answer,), facts, title="T", synthetic=True)


class TestFacts:
    def test_counts(self, facts: Facts) -> None:
        assert facts.values["persons"] == 24
        assert facts.values["sessions"] == 48
        assert facts.values["rows.face_windows"] == 144
        assert facts.values["k_min"] == 12
        assert facts.labels["participants.group"] == {"pain": 12, "control": 12}
        assert facts.sessions_per_person == {"1": 0, "2": 24}
        assert facts.gate == ({"name": "k", "value": 12, "limit": 5, "ok": True},)

    def test_missing_cells_are_counted_by_persons(self, facts: Facts) -> None:
        found = {(entry["table"], entry["column"]): (entry["missing"], entry["share"]) for entry in facts.missing}
        # One age is missing: one person. `tracked` is missing in every fifth window: someone of everybody.
        assert found == {
            ("participants", "age_band"): ("<10", None),
            ("face_windows", "tracked"): (29, 0.2014),
        }

    def test_small_subpopulations_are_masked(self, facts: Facts) -> None:
        # One person without an age: printing the other 23 of 24 would reveal it.
        assert facts.subpopulations == {"participants.age_band": {"[18,60)": 0, "[60,120)": ">=10", "(missing)": "<10"}}
        assert set(facts.labels["pain_scores.nrs_self"]) == {str(score) for score in range(11)}
        assert not any(
            isinstance(count, int) and 0 < count < 10
            for group in (facts.labels, facts.subpopulations)
            for cells in group.values()
            for count in cells.values()
        )

    def test_a_cohort_of_nine_has_no_number(
        self,
        tables: Tables,
        dictionaries: Any,
        shrink: Callable[[Tables, int], Tables],
        write_candidate: Write,
        context: dict[str, Any],
    ) -> None:
        data = write_candidate(shrink(tables, 15)) / "data"
        facts = compute_facts(ReleasedTables(data, dictionaries), context=context)
        assert facts.values["persons"] == "<10"
        assert {entry["rows"] for entry in facts.tables} == {"<10"}
        assert facts.sessions_per_person == {"1": "<10", "2": "<10"}

    def test_round_trip(self, facts: Facts) -> None:
        assert Facts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


class TestDatasheet:
    def test_markdown_holds_every_question_and_bound_facts(self, datasheet: Datasheet) -> None:
        text = render_markdown(datasheet)
        for question in questions():
            assert f"### {question.id}. {question.text}\n" in text
        assert "24 participants with 48 recording sessions" in text
        assert "SYNTHETIC DATA" in text
        assert "{" not in text
        assert text.count("**Open.** What would settle it:") == len(datasheet.open_questions) > 0

    def test_markdown_of_real_data_does_not_say_synthetic(self, datasheet: Datasheet) -> None:
        assert "SYNTHETIC" not in render_markdown(replace(datasheet, synthetic=False))

    def test_a_table_cell_cannot_break_out_of_its_row(self, datasheet: Datasheet) -> None:
        hostile = replace(datasheet.facts, labels={"t.c": {"a|b\n# c<script>": 12}})
        text = render_markdown(replace(datasheet, facts=hostile))
        assert "| a\\|b # c&lt;script> | 12 |" in text

    def test_round_trip(self, datasheet: Datasheet) -> None:
        assert Datasheet.from_dict(json.loads(json.dumps(datasheet.to_dict()))) == datasheet

    @pytest.mark.parametrize("data", [{}, {"title": "x"}, {"facts": None}])
    def test_another_document_is_refused(self, data: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match="no datasheet"):
            Datasheet.from_dict(data)


class TestCheck:
    def test_open_answers_are_warnings(self, datasheet: Datasheet, facts: Facts) -> None:
        findings = check_datasheet(datasheet, facts)
        assert [finding.column for finding in findings] == sorted(datasheet.open_questions)
        assert {(finding.code, finding.severity) for finding in findings} == {("datasheet.open", "warning")}

    def test_a_missing_and_a_doubled_answer(self, datasheet: Datasheet) -> None:
        changed = replace(datasheet, answers=(*datasheet.answers[1:], datasheet.answers[-1]))
        errors = [finding for finding in check_datasheet(changed) if finding.severity == "error"]
        assert [(finding.code, finding.column) for finding in errors] == [
            ("datasheet.unanswered", "M1"),
            ("datasheet.question", "T8"),
        ]

    def test_a_number_changed_by_hand_is_found(self, datasheet: Datasheet, facts: Facts) -> None:
        answers = tuple(
            replace(answer, text=answer.text.replace("24 participants", "240 participants"))
            for answer in datasheet.answers
        )
        errors = [f for f in check_datasheet(replace(datasheet, answers=answers), facts) if f.severity == "error"]
        assert [(finding.code, finding.column) for finding in errors] == [("datasheet.number", "C2")]

    def test_a_datasheet_of_other_data_is_found(self, datasheet: Datasheet, facts: Facts) -> None:
        other = replace(facts, values={**facts.values, "persons": 25})
        errors = {f.column for f in check_datasheet(datasheet, other) if f.severity == "error"}
        assert errors == {"values", "C2"}
