"""The datasheet: 57 questions, no number typed by hand, no count that points at a few people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pytest
import yaml

from sensai_release.errors import ConfigurationError, GateError
from sensai_release.pipeline.describe import refuse_unsettled
from sensai_release.release.datasheet.answers import Answer, load_answers, questions
from sensai_release.release.datasheet.attestation import attest, load_attestations
from sensai_release.release.datasheet.check import check_datasheet
from sensai_release.release.datasheet.contradictions import claims, rule_facts, rules
from sensai_release.release.datasheet.facts import Facts, compute_facts, study_context
from sensai_release.release.datasheet.pages import (
    fact_tables,
    is_plot,
    render_card_html,
    render_card_markdown,
    render_html,
    render_markdown,
    render_pdf,
)
from sensai_release.release.datasheet.sheet import Datasheet, build_datasheet
from sensai_release.release.tables import ReleasedTables
from sensai_release.table.documents import load_yaml

Tables = dict[str, pa.Table]
Write = Callable[..., Path]

WORKSPACE = Path(__file__).parents[4]
SCHEMA = Path(str(files("sensai_release.release"))) / "datasheet.schema.json"
HOSTILE = "<script>alert()</script> =cmd|' /C calc'!A0 [x](http://example.org) #eval(1) $x$ `y`"
RISK = {
    "ok": True,
    "persons": 24,
    "k_min": 12,
    "gate": [{"name": "k", "value": 12, "limit": 5, "ok": True, "more": 1}],
}


def column(name: str, dtype: str) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "categories": None, "role": "insensitive", "tier": None, "class": "C",
            "action": "keep"}  # fmt: skip


@pytest.fixture
def context() -> dict[str, Any]:
    return study_context(load_yaml(WORKSPACE / "params.yaml", "params.yaml"))


@pytest.fixture
def facts(tables: Tables, dictionaries: Any, write_candidate: Write, context: dict[str, Any]) -> Facts:
    data = write_candidate(tables) / "data"
    counted = compute_facts(ReleasedTables(data, dictionaries), context=context, risk=RISK)
    # The cohort at hand has no folds; the study's answers promise them.
    return replace(counted, splits={"1": 10, "2": 10})


@pytest.fixture
def datasheet(facts: Facts) -> Datasheet:
    params = load_yaml(WORKSPACE / "params.yaml", "params.yaml")
    return build_datasheet(
        load_answers(WORKSPACE / "datasheets"),
        facts,
        title="SENSAI-DBD",
        synthetic=True,
        knowingly_open=params["datasheet"]["open"],
    )


def changed(sheet: Datasheet, question: str, **values: Any) -> Datasheet:
    """The datasheet with one answer changed."""
    return replace(
        sheet,
        answers=tuple(replace(answer, **values) if answer.question == question else answer for answer in sheet.answers),
    )


def errors(sheet: Datasheet, facts: Facts | None = None) -> list[tuple[str, str | None]]:
    return [(f.code, f.column) for f in check_datasheet(sheet, facts) if f.severity == "error"]


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
        assert facts.values["persons"] == "at least 20"
        assert facts.values["sessions"] == "at least 40"
        assert facts.values["rows.face_windows"] == "at least 100"
        assert facts.values["k_min"] == 10
        assert facts.labels["participants.group"] == {"pain": 10, "control": 10}
        assert facts.sessions_per_person == {"1": 0, "2": 20}
        assert facts.gate == ({"name": "k", "value": 12, "limit": 5, "ok": True},)

    def test_missing_cells_are_counted_by_persons(self, facts: Facts) -> None:
        found = {(entry["table"], entry["column"]): (entry["missing"], entry["share"]) for entry in facts.missing}
        # One age is missing: one person. `tracked` is missing in every fifth window: someone of everybody.
        assert found == {
            ("participants", "age_band"): ("<10", None),
            ("face_windows", "tracked"): ("<100", 0.2),
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

    def test_folds_and_known_errors_are_counted(
        self, tables: Tables, dictionaries: Any, write_candidate: Write, context: dict[str, Any]
    ) -> None:
        people = tables["participants"]["participant_id"]
        tables["folds"] = pa.table({"participant_id": people, "fold": pa.array([n % 2 + 1 for n in range(24)])})
        dictionaries["folds"] = dictionaries["participants"] | {"table": "folds", "columns": [
            dictionaries["participants"]["columns"][0], column("fold", "integer"),
        ]}  # fmt: skip
        # The last of 48 sessions lost its recording, and one window in three was not tracked.
        windows = tables["face_windows"].slice(0, 47 * 3)
        share = pa.array([(0.1, 0.5, 1.0)[n % 3] for n in range(47 * 3)])
        tables["face_windows"] = windows.append_column("valid_share", share)
        dictionaries["face_windows"]["columns"].append(column("valid_share", "number"))
        facts = compute_facts(
            ReleasedTables(write_candidate(tables) / "data", dictionaries), context=context, risk=RISK
        )
        assert facts.splits == {"1": 10, "2": 10}
        assert [(entry["table"], entry["rows"], entry["share"]) for entry in facts.errors] == [
            ("face_windows", "<10", None),
            ("face_windows", "<100", 0.35),
        ]
        assert rule_facts(facts)["known_errors"] == 2
        assert [row[-1] for row in fact_tables(facts, "errors")[0][2]] == ["masked", "35 %"]

    def test_signals_say_what_the_tables_hold(self, facts: Facts) -> None:
        assert facts.signals["feature_columns"] == 1
        assert facts.signals["quasi_identifier_columns"] == 1
        assert facts.signals["several_sessions"] is True
        assert facts.signals["zero_filled"] == 0
        assert facts.signals["linkable"] is None

    @pytest.mark.parametrize(("low", "linkable"), [(0.03, False), (0.2, True)])
    def test_linkable_is_better_than_chance(
        self, tables: Tables, dictionaries: Any, write_candidate: Write, low: float, linkable: bool
    ) -> None:
        risk = RISK | {"linkability": {"chance": 0.05, "sets": [{"rank1": {"low": low}}, {"rank1": None}]}}
        released = ReleasedTables(write_candidate(tables) / "data", dictionaries)
        assert compute_facts(released, context={}, risk=risk).signals["linkable"] is linkable

    def test_a_gate_that_could_not_be_assessed_is_not_said_to_be_passed(
        self, tables: Tables, dictionaries: Any, write_candidate: Write
    ) -> None:
        released = ReleasedTables(write_candidate(tables) / "data", dictionaries)
        gates = [{"name": "linkability_rank1", "value": 0.3, "limit": 0.09, "ok": True, "status": "cannot_assess"}]
        said = {
            words: compute_facts(released, context={}, risk=RISK | {"ok": ok, "linkability": {"gate": gates}}).values
            for words, ok in (
                ("passed, as far as it could be assessed (1 measure could not)", True),
                ("not passed", False),
            )
        }
        assert {words: values["gate_verdict"] for words, values in said.items()} == {words: words for words in said}

    def test_round_trip(self, facts: Facts) -> None:
        assert Facts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts


class TestDatasheet:
    def test_markdown_holds_every_question_and_bound_facts(self, datasheet: Datasheet) -> None:
        text = render_markdown(datasheet)
        for question in questions():
            assert f"### {question.id}. {question.text}\n" in text
        assert "at least 20 participants with at least 40 recording sessions" in text
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
    def test_answers_that_are_open_knowingly_are_warnings(self, datasheet: Datasheet, facts: Facts) -> None:
        findings = check_datasheet(datasheet, facts)
        assert [f.column for f in findings if f.code == "datasheet.open"] == sorted(datasheet.open_questions)
        assert {finding.severity for finding in findings} == {"warning"}
        assert len(datasheet.open_questions) == 13

    def test_an_open_answer_that_nobody_listed_is_an_error(self, datasheet: Datasheet) -> None:
        assert errors(changed(datasheet, "M3", reason=None)) == [("datasheet.open", "M3")]

    def test_a_listed_question_with_an_answer(self, datasheet: Datasheet) -> None:
        assert errors(changed(datasheet, "M1", reason="later")) == [("datasheet.not_open", "M1")]

    def test_a_list_of_unknown_questions_is_refused(self, facts: Facts) -> None:
        with pytest.raises(ConfigurationError, match=r"datasheet\.open: answers M9, which is no question"):
            build_datasheet((), facts, title="T", synthetic=True, knowingly_open={"M9": "x"})

    def test_a_missing_and_a_doubled_answer(self, datasheet: Datasheet) -> None:
        doubled = replace(datasheet, answers=(*datasheet.answers[1:], datasheet.answers[-1]))
        assert errors(doubled) == [("datasheet.unanswered", "M1"), ("datasheet.question", "T8")]

    @pytest.mark.parametrize("question", [question.id for question in questions()])
    def test_each_question_must_be_answered(self, datasheet: Datasheet, question: str) -> None:
        answers = tuple(answer for answer in datasheet.answers if answer.question != question)
        assert ("datasheet.unanswered", question) in errors(replace(datasheet, answers=answers))

    def test_a_number_changed_by_hand_is_found(self, datasheet: Datasheet, facts: Facts) -> None:
        text = next(answer.text for answer in datasheet.answers if answer.question == "C2")
        other = changed(datasheet, "C2", text=text.replace("20 participants", "240 participants"))
        assert errors(other, facts) == [("datasheet.number", "C2")]

    def test_a_datasheet_of_other_data_is_found(self, datasheet: Datasheet, facts: Facts) -> None:
        other = replace(facts, values={**facts.values, "persons": 25})
        assert {column for _, column in errors(datasheet, other)} == {"values", "C2"}

    @pytest.mark.parametrize(
        ("text", "typed"),
        [
            ("There are 29 patients.", 1),
            ("29", 1),
            ("About 12 % of 1,400 frames.", 2),
            ("(n=29)", 1),
            ("Minus -3.", 1),
            ("With n40.", 1),
            ("The N400 of a recording.", 0),
            ("{=60 seconds} of {persons} people, under Apache-2.0 and NCT07262632, AU04_r.", 0),
            ("Since {=2025}, by ISO/IEC {=20889}.", 0),
            ("Forty persons, thirty-one of them twice, in seven folds.", 3),
            ("One may split the two groups at {=five} years; often, someone weighs more.", 0),
        ],
    )
    def test_numbers_typed_by_hand(self, datasheet: Datasheet, text: str, typed: int) -> None:
        findings = check_datasheet(changed(datasheet, "M1", template=text))
        assert [(f.column, f.count) for f in findings if f.code == "datasheet.typed_number"] == [("M1", typed)][:typed]

    @pytest.mark.parametrize(("text", "doubted"), [
        ("It holds {=40 participants}.", True),
        ("It holds {=40} patients with cancer.", True),
        ("It holds {=forty} recordings.", True),
        ("Enrolment is planned at {=200}. Participants give consent.", False),
        ("At most {=60 seconds} of {persons} people.", False),
        ("At most {=60}. Sessions are repeated.", False),
    ])  # fmt: skip
    def test_a_stated_number_of_persons_is_pointed_out(self, datasheet: Datasheet, text: str, doubted: bool) -> None:
        found = check_datasheet(changed(datasheet, "M1", template=text))
        assert [f.severity for f in found if f.code == "datasheet.stated_count"] == ["warning"] * doubted

    def test_a_stated_number_is_printed_as_it_is(self, facts: Facts) -> None:
        answer = Answer(question="C1", kind="computed", template="At most {= 60 seconds} for {persons}.")
        sheet = build_datasheet((answer,), facts, title="T", synthetic=True)
        assert sheet.answers[0].text == "At most 60 seconds for at least 20."

    @pytest.mark.parametrize("text", [
        "To be determined, by the board.", "TBD", "Unknown.", "It is to be decided.", "Not yet decided.",
        "This has not been determined.", "TODO",
    ])  # fmt: skip
    def test_an_answer_that_decides_nothing(self, datasheet: Datasheet, text: str) -> None:
        assert errors(changed(datasheet, "D2", template=text)) == [("datasheet.undetermined", "D2")]

    def test_a_claim_that_is_not_made_is_asked_for(self, datasheet: Datasheet) -> None:
        assert errors(changed(datasheet, "C15", claims={})) == [("datasheet.claim_missing", "C15")]

    @pytest.mark.parametrize(("text", "query", "found"), [
        ("It is so.", (), [("datasheet.not_computed", "C2")]),
        ("The profile is {profile}.", (), [("datasheet.not_computed", "C2")]),
        ("{persons} of them.", (), []),
        ("See below.", ("tables",), []),
    ])  # fmt: skip
    def test_a_computed_answer_names_what_was_counted(
        self, datasheet: Datasheet, text: str, query: tuple[str, ...], found: list[tuple[str, str]]
    ) -> None:
        assert errors(changed(datasheet, "C2", template=text, query=query)) == found

    @pytest.mark.parametrize(("text", "claimed", "found"), [
        ("No.", True, [("datasheet.claim_text", "C15")]),
        ("no, nothing of that kind", True, [("datasheet.claim_text", "C15")]),
        ("Yes. Health data.", True, []),
        ("Not only health data.", True, []),
        ("No names; health data.", True, []),
        ("Yes.", False, [("datasheet.contradiction.sensitive", "C15")]),
    ])  # fmt: skip
    def test_the_text_says_what_the_claim_says(
        self, datasheet: Datasheet, text: str, claimed: bool, found: list[tuple[str, str]]
    ) -> None:
        assert errors(changed(datasheet, "C15", template=text, claims={"sensitive": claimed})) == found

    def test_terms_cannot_be_denied(self, datasheet: Datasheet) -> None:
        assert errors(changed(datasheet, "D4", claims={"terms": False})) == [("datasheet.contradiction.terms", "D4")]

    def test_a_claim_of_another_question(self, datasheet: Datasheet) -> None:
        assert ("datasheet.claim", "M1") in errors(changed(datasheet, "M1", claims={"sensitive": True}))

    def test_findings_say_where(self, datasheet: Datasheet) -> None:
        findings = check_datasheet(changed(datasheet, "C15", claims={"sensitive": False}))
        assert [(f.code, f.file) for f in findings if f.severity == "error"] == [
            ("datasheet.contradiction.sensitive", "datasheets/answers.yaml#/answers/C15/claims/sensitive")
        ]


class TestRules:
    def test_each_speaks_of_claims_and_facts_that_there_are(self, facts: Facts) -> None:
        held = rule_facts(facts)
        known = {question.id for question in questions()}
        assert {entry["question"] for entry in claims().values()} <= known
        for rule in rules():
            assert rule["question"] in known
            for condition in rule["when"]:
                assert condition.get("claim", "sensitive") in claims()
                assert condition.get("fact", "sensitive") in {*held, "sensitive"}
                assert {"is", "is_not", "above"} & condition.keys()
        assert len({rule["code"] for rule in rules()}) == len(rules())

    @pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["code"]))
    def test_each_fires_when_its_conditions_hold_and_not_otherwise(
        self, datasheet: Datasheet, facts: Facts, rule: dict[str, Any]
    ) -> None:
        """The facts and claims are made to fit one condition after the other; only with the last does it fire."""
        code = f"datasheet.contradiction.{rule['code']}"
        for broken in [None, *rule["when"]]:
            sheet, held = datasheet, facts
            for condition in rule["when"]:
                if "claim" in condition:
                    value = condition.get("is", not condition.get("is_not"))
                    question = claims()[condition["claim"]]["question"]
                    before = next(answer for answer in sheet.answers if answer.question == question)
                    stated = {**before.claims, condition["claim"]: value if condition is not broken else not value}
                    sheet = changed(sheet, question, claims=stated)
                else:
                    held = with_fact(held, condition, holds=condition is not broken)
            fired = code in {finding.code for finding in check_datasheet(replace(sheet, facts=held))}
            assert fired is (broken is None), broken


def with_fact(facts: Facts, condition: dict[str, Any], *, holds: bool) -> Facts:
    name = condition["fact"]
    if name in ("labels", "subpopulations"):
        cells: dict[str, dict[str, int]] = {"t.c": {"x": 10}} if holds is ("above" in condition) else {}
        return replace(facts, labels=cells) if name == "labels" else replace(facts, subpopulations=cells)
    if name == "splits":
        return replace(facts, splits={"1": 10} if holds is ("above" in condition) else {})
    if name == "known_errors":
        return replace(facts, errors=({"table": "t", "what": "w", "rows": "<10", "share": None},) if holds else ())
    wanted = condition.get("is", "<10")
    other = {bool: None, str: "else", int: 7}[type(wanted)] if "is" in condition else 0
    value: Any = wanted if holds else other
    if name in facts.signals:
        return replace(facts, signals={**facts.signals, name: value})
    return replace(facts, values={**facts.values, name: value})


ROLE, DAY = "data steward", "2026-06-30"


class TestAttestation:
    @pytest.fixture
    def attested(self, datasheet: Datasheet) -> Datasheet:
        """C13 is attested, with a table of subpopulations and the number of persons."""
        text = "It holds {persons} persons."
        sheet = changed(datasheet, "C13", kind="attested", author=ROLE, template=text, about=("k_min",))
        answer = next(answer for answer in sheet.answers if answer.question == "C13")
        note = attest(answer, sheet.facts, by=ROLE, as_of=DAY)
        return changed(sheet, "C13", attested=note.to_dict())

    def stale(self, sheet: Datasheet, facts: Facts) -> list[str]:
        return [f.message for f in check_datasheet(replace(sheet, facts=facts)) if f.code == "datasheet.stale"]

    def test_it_stands_while_nothing_has_changed(self, attested: Datasheet, facts: Facts) -> None:
        assert self.stale(attested, facts) == []

    def test_nobody_attested_it(self, attested: Datasheet, facts: Facts) -> None:
        (message,) = self.stale(changed(attested, "C13", attested=None), facts)
        assert "nobody has attested it yet" in message

    @pytest.mark.parametrize(
        ("persons", "stale"),
        [("at least 30", False), ("at least 10", False), ("at least 60", True), ("<10", True)],
    )
    def test_it_outlives_rounding_and_no_more(
        self, attested: Datasheet, facts: Facts, persons: str, stale: bool
    ) -> None:
        moved = replace(facts, values={**facts.values, "persons": persons})
        assert [("persons" in message) for message in self.stale(attested, moved)] == [True][: int(stale)]

    def test_another_group_makes_it_stale(self, attested: Datasheet, facts: Facts) -> None:
        groups = {name: {**cells, "[120,200)": "<10"} for name, cells in facts.subpopulations.items()}
        assert self.stale(attested, replace(facts, subpopulations=groups))

    def test_facts_that_it_does_not_speak_of_may_change(self, attested: Datasheet, facts: Facts) -> None:
        assert self.stale(attested, replace(facts, missing=(), values={**facts.values, "columns": 999})) == []

    @pytest.mark.parametrize("change", [{"template": "Other {persons}."}, {"claims": {"subpopulations": False}}])
    def test_a_changed_answer_is_stale(self, attested: Datasheet, facts: Facts, change: dict[str, Any]) -> None:
        (message,) = self.stale(changed(attested, "C13", **change), facts)
        assert "text or its claims have changed" in message

    @pytest.mark.parametrize(
        "edit", [{"as_of": "2027-01-01"}, {"facts": {}}, {"digest": "0" * 64}, {"by": "somebody"}, {"facts": 3}]
    )
    def test_an_edited_note_is_found(self, attested: Datasheet, facts: Facts, edit: dict[str, Any]) -> None:
        answer = next(answer for answer in attested.answers if answer.question == "C13")
        assert answer.attested is not None
        (message,) = self.stale(changed(attested, "C13", attested={**answer.attested, **edit}), facts)
        assert "was edited" in message or "is damaged" in message

    def test_only_its_author_attests_an_answer(self, datasheet: Datasheet, facts: Facts) -> None:
        recorded = next(answer for answer in datasheet.answers if answer.question == "C15")
        with pytest.raises(ConfigurationError, match="Only an 'attested' answer"):
            attest(recorded, facts, by=ROLE, as_of=DAY)
        with pytest.raises(ConfigurationError, match="names another author"):
            attest(replace(recorded, kind="attested", author="nurse"), facts, by=ROLE, as_of=DAY)

    def test_about_names_facts(self, datasheet: Datasheet, facts: Facts) -> None:
        answer = Answer(question="C15", kind="attested", author=ROLE, about=("nothing",))
        with pytest.raises(ConfigurationError, match=r"C15\.about: names an unknown fact"):
            attest(answer, facts, by=ROLE, as_of=DAY)

    def test_the_file_is_optional_and_checked(self, tmp_path: Path) -> None:
        assert load_attestations(tmp_path) == {}
        (tmp_path / "attested.json").write_text('{"attested": {"C13": 1}}')
        with pytest.raises(ConfigurationError, match="not what this tool wrote"):
            load_attestations(tmp_path)


class TestGate:
    def write(self, folder: Path, sheet: Datasheet) -> Path:
        (folder / "datasheet.json").write_text(json.dumps(sheet.to_dict()), encoding="utf-8")
        return folder

    def test_a_settled_datasheet_passes(self, tmp_path: Path, datasheet: Datasheet) -> None:
        refuse_unsettled(self.write(tmp_path, datasheet))

    @pytest.mark.parametrize(
        ("question", "change", "named"),
        [
            ("M3", {"reason": None}, r"\(open: M3\)"),
            ("C15", {"claims": {"sensitive": False}}, r"\(contradiction: C15\)"),
            ("C16", {"kind": "attested", "author": ROLE}, r"\(stale: C16\)"),
            ("M1", {"template": "It has 29 patients."}, r"\(typed number: M1\)"),
        ],
    )
    def test_each_fault_stops_a_release(
        self, tmp_path: Path, datasheet: Datasheet, question: str, change: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(GateError, match=named):
            refuse_unsettled(self.write(tmp_path, changed(datasheet, question, **change)))


class TestForms:
    def test_the_document_keeps_to_its_schema(self, datasheet: Datasheet, facts: Facts) -> None:
        schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        answer = replace(datasheet.answers[0], kind="attested", author=ROLE)
        note = attest(answer, facts, by=ROLE, as_of=DAY).to_dict()
        attested = changed(datasheet, "M1", kind="attested", author=ROLE, attested=note)
        for sheet in (datasheet, attested):
            assert [error.json_path for error in validator.iter_errors(json.loads(json.dumps(sheet.to_dict())))] == []
        short = replace(datasheet, answers=datasheet.answers[1:])
        assert not validator.is_valid(json.loads(json.dumps(short.to_dict())))

    def test_a_card_is_half_a_page(self, datasheet: Datasheet) -> None:
        text = render_card_markdown(datasheet)
        assert "Participants: at least 20" in text
        assert "13 of 57 answers of the datasheet are open" in text
        assert "SYNTHETIC DATA" in text
        assert len(text.split()) < 400
        page = render_card_html(datasheet)
        assert "at least 20" in page
        assert "<script" not in page

    def test_an_open_answer_says_so_and_why(self, datasheet: Datasheet) -> None:
        assert "open, knowingly: the study is still recruiting" in render_markdown(datasheet)
        assert "Open, knowingly: the study is still recruiting." in render_html(datasheet)

    def test_a_page_draws_what_can_be_compared(self, facts: Facts, datasheet: Datasheet) -> None:
        assert is_plot(("Caption", ("Value", "Persons"), [("a", 10), ("b", 20)]))
        assert not is_plot(("Caption", ("Value", "Persons"), [("a", 10), ("b", 10)]))
        assert not is_plot(("Caption", ("Value", "Persons"), [("a very long label" * 3, 10), ("b", 20)]))
        drawn = replace(facts, labels={"t.c": {"a": 10, "b": "<10"}})
        assert 'aria-label="Persons by t.c. a: 10; b: &lt;10"' in render_html(replace(datasheet, facts=drawn))

    def test_hostile_text_stays_text(self, datasheet: Datasheet, facts: Facts) -> None:
        hostile = replace(
            changed(changed(datasheet, "C1", text=HOSTILE), "M3", settle=HOSTILE, reason=HOSTILE),
            title=HOSTILE,
            facts=replace(facts, labels={HOSTILE: {HOSTILE: 10, "x": "<10"}}),
        )
        for page in (render_html(hostile), render_card_html(hostile)):
            assert "<script" not in page
        for text in (render_markdown(hostile), render_card_markdown(hostile)):
            assert "<script" not in text.replace("\\<script", "")
            assert "[x](http" not in text.replace("\\[x", "")

    def test_a_pdf_is_the_same_twice_and_shows_hostile_text_as_text(self, datasheet: Datasheet) -> None:
        pytest.importorskip("typst", reason="the extra 'pdf' is not installed")
        hostile = changed(datasheet, "C1", text=HOSTILE)
        first = render_pdf(hostile)
        assert first.startswith(b"%PDF")
        assert render_pdf(hostile) == first
        assert render_pdf(datasheet) != first

    def test_without_the_extra_a_pdf_is_refused(self, datasheet: Datasheet, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "typst", None)
        with pytest.raises(ConfigurationError, match="the PDF: needs the package typst"):
            render_pdf(datasheet)
