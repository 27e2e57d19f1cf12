"""The datasheet of a release: the 57 questions of Gebru et al. with authored answers and computed facts.

Follows "Datasheets for Datasets", arXiv 1803.09010 v8 (https://arxiv.org/abs/1803.09010). The questions are part of the
package, the answers are the study's own (`datasheets/answers.yaml`). An answer is *attested* by a role, *recorded* in a
named document, *computed* from the release, or *open*; an open answer is printed as open, with what would settle it.
This module binds facts to answers and checks a datasheet; `facts` counts, `pages` makes the HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

from sensai_release.errors import ConfigurationError
from sensai_release.release.facts import Facts, Value
from sensai_release.release.pages import render_page
from sensai_release.table.documents import check_document, load_yaml
from sensai_release.table.findings import Finding, sort_findings

Kind = Literal["attested", "recorded", "computed", "open"]

QUERIES = ("tables", "missing", "labels", "subpopulations", "sessions_per_person", "gate")
_PLACE = "datasheets/answers.yaml"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_TEXT = {"type": "string", "minLength": 1}
_ANSWERS_JSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["answers"],
    "properties": {
        "answers": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["kind"],
                "properties": {
                    "kind": {"enum": ["attested", "recorded", "computed", "open"]},
                    "text": _TEXT,
                    "query": {"type": "array", "items": {"enum": list(QUERIES)}, "uniqueItems": True},
                    "author": _TEXT,
                    "source": _TEXT,
                    "settle": _TEXT,
                },
                "allOf": [
                    {"if": {"properties": {"kind": {"const": kind}}}, "then": {"required": required}}
                    for kind, required in (
                        ("attested", ["text", "author"]),
                        ("recorded", ["text", "source"]),
                        ("computed", ["text"]),
                        ("open", ["settle"]),
                    )
                ],
            },
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One of the 57: our id, the section that it stands in, and its full wording."""

    id: str
    section: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as authored (`template`) and as printed (`text`).

    `author` is a role, never a person; `source` the document in which it is recorded; `settle` what would close an open
    answer; `query` names the fact tables printed below it.
    """

    question: str
    kind: Kind
    template: str = ""
    text: str = ""
    query: tuple[str, ...] = ()
    author: str | None = None
    source: str | None = None
    settle: str | None = None

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return values | {"query": list(self.query)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Answer:
        return cls(**{**{name: data[name] for name in cls.__dataclass_fields__}, "query": tuple(data["query"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasheet:
    """All 57 answers of one release, in the order of the questions. `version` is `None` for a candidate."""

    title: str
    version: str | None
    synthetic: bool
    facts: Facts
    answers: tuple[Answer, ...]

    @property
    def open_questions(self) -> tuple[str, ...]:
        return tuple(answer.question for answer in self.answers if answer.kind == "open")

    def to_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "version": self.version,
            "synthetic": self.synthetic,
            "questions": reference(),
            "open": list(self.open_questions),
            "facts": self.facts.to_dict(),
            "answers": [answer.to_dict() for answer in self.answers],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Datasheet:
        """The inverse of `to_dict`. Raises `ConfigurationError` when the document is none of ours."""
        try:
            return cls(
                title=data["title"],
                version=data["version"],
                synthetic=data["synthetic"],
                facts=Facts.from_dict(data["facts"]),
                answers=tuple(Answer.from_dict(answer) for answer in data["answers"]),
            )
        except (KeyError, TypeError, AttributeError):
            raise ConfigurationError("datasheet.json", "is no datasheet of this tool", "Render it again.") from None


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, Any]:
    with as_file(files("sensai_release.release").joinpath("gebru2021.yaml")) as path:
        document: dict[str, Any] = load_yaml(path, path.name)
    return document


def reference() -> str:
    """What the questions are taken from."""
    return f"{_catalogue()['title']} ({_catalogue()['reference']})"


def questions() -> tuple[Question, ...]:
    """The 57 questions in their order."""
    return tuple(
        Question(id=identifier, section=section["name"], text=text)
        for section in _catalogue()["sections"]
        for identifier, text in section["questions"].items()
    )


def load_answers(folder: Path) -> tuple[Answer, ...]:
    """The authored answers of a workspace (`<folder>/answers.yaml`) in the order of the questions, with no fact bound.

    Raises `ConfigurationError` for a malformed file, a question without an answer, or an answer without a question.
    """
    document = load_yaml(folder / "answers.yaml", _PLACE)
    check_document(document, _ANSWERS_JSON_SCHEMA, _PLACE)
    answers: Mapping[str, Mapping[str, Any]] = document["answers"]
    known = [question.id for question in questions()]
    unknown = sorted(set(answers) - set(known))
    if unknown:
        raise ConfigurationError(_PLACE, f"answers {', '.join(unknown)}, which is no question", "Correct the id.")
    absent = [identifier for identifier in known if identifier not in answers]
    if absent:
        raise ConfigurationError(
            _PLACE,
            f"has no answer to {', '.join(absent)}",
            "Answer it, or give it the kind 'open' with what would settle it.",
        )
    return tuple(_authored(identifier, answers[identifier]) for identifier in known)


def _authored(identifier: str, entry: Mapping[str, Any]) -> Answer:
    return Answer(
        question=identifier,
        kind=entry["kind"],
        template=entry.get("text", "").strip(),
        query=tuple(entry.get("query", ())),
        author=entry.get("author"),
        source=entry.get("source"),
        settle=entry.get("settle"),
    )


def build_datasheet(
    answers: tuple[Answer, ...], facts: Facts, *, title: str, synthetic: bool, version: str | None = None
) -> Datasheet:
    """Binds the facts to the answers.

    Raises `ConfigurationError` naming file and question when an answer names a fact that there is not.
    """
    named = facts.named()
    bound = tuple(
        replace(
            answer,
            text=_bind(answer.template, named, answer.question),
            source=None if answer.source is None else _bind(answer.source, named, answer.question),
        )
        for answer in answers
    )
    return Datasheet(title=title, version=version, synthetic=synthetic, facts=facts, answers=bound)


def _bind(template: str, named: Mapping[str, Value], question: str) -> str:
    unknown = sorted({name for name in _PLACEHOLDER.findall(template) if name not in named})
    if unknown:
        raise ConfigurationError(
            f"{_PLACE}: {question}", f"names the unknown fact {{{unknown[0]}}}", f"Facts: {', '.join(sorted(named))}."
        )
    return _PLACEHOLDER.sub(lambda match: str(named[match[1]]), template)


def check_datasheet(datasheet: Datasheet, facts: Facts | None = None) -> tuple[Finding, ...]:
    """What is wrong with a datasheet: `datasheet.unanswered`, `.question`, `.open` (a warning), `.number`.

    With `facts`, counted anew from the release, every number that the datasheet states must equal them; `column` of a
    finding is the id of the question, or the name of the group of facts.
    """
    known = [question.id for question in questions()]
    given = [answer.question for answer in datasheet.answers]
    findings = [_finding("unanswered", name, "The question has no answer.") for name in known if name not in given]
    findings += [
        _finding("question", name, "The answer belongs to no question, or stands twice.")
        for name in sorted(set(given))
        if name not in known or given.count(name) > 1
    ]
    for answer in datasheet.answers:
        if answer.kind == "open":
            cause = "The answer is open; datasheets/answers.yaml says what would settle it."
            findings.append(_finding("open", answer.question, cause, warning=True))
    if facts is not None:
        findings += _check_numbers(datasheet, facts)
    return sort_findings(findings)


def _check_numbers(datasheet: Datasheet, facts: Facts) -> list[Finding]:
    stated, counted = datasheet.facts.to_dict(), facts.to_dict()
    cause = "The datasheet states other numbers than the release holds; render it again."
    findings = [_finding("number", group, cause) for group in counted if stated[group] != counted[group]]
    named = facts.named()
    for answer in datasheet.answers:
        try:
            same = answer.text == _bind(answer.template, named, answer.question)
        except ConfigurationError:
            same = False
        if not same:
            findings.append(_finding("number", answer.question, cause))
    return findings


def _finding(code: str, place: str, message: str, *, warning: bool = False) -> Finding:
    return Finding(
        table="datasheet",
        column=place,
        code=f"datasheet.{code}",
        severity="warning" if warning else "error",
        message=message,
    )


def render_markdown(datasheet: Datasheet) -> str:
    """DATASHEET.md: the whole datasheet as GitHub-flavoured Markdown."""
    version = f", version {datasheet.version}" if datasheet.version else ""
    lines = [f"# Datasheet: {datasheet.title}{version}", ""]
    if datasheet.synthetic:
        lines += ["> **SYNTHETIC DATA.** Made by a program. No participant stands behind any value.", ""]
    lines += [
        f"Questions: {reference()}. Counts of fewer than {datasheet.facts.minimum} persons are masked.",
        f"Open answers: {', '.join(datasheet.open_questions) or 'none'}.",
        "",
    ]
    answers = {answer.question: answer for answer in datasheet.answers}
    section = None
    for question in questions():
        if question.section != section:
            section = question.section
            lines += [f"## {section}", ""]
        lines += [f"### {question.id}. {question.text}", ""]
        if question.id in answers:
            lines += _markdown_answer(answers[question.id], datasheet.facts)
    return "\n".join(lines).rstrip() + "\n"


def provenance(answer: Answer) -> str:
    """Where an answer comes from, in one line."""
    if answer.kind == "open":
        return "open"
    by = {"attested": f"attested by the {answer.author}", "recorded": f"recorded in {answer.source}"}
    return by.get(answer.kind, "computed from the release")


def _markdown_answer(answer: Answer, facts: Facts) -> list[str]:
    lines = [answer.text, ""] if answer.text else []
    if answer.kind == "open":
        lines += [f"**Open.** What would settle it: {answer.settle}", ""]
    for query in answer.query:
        for caption, header, rows in fact_tables(facts, query):
            lines += [f"{caption}:", "", _markdown_row(header), _markdown_row(("---",) * len(header))]
            lines += [_markdown_row(row) for row in rows]
            lines.append("")
    return [*lines, f"_({provenance(answer)})_", ""]


def _markdown_row(cells: tuple[Any, ...]) -> str:
    texts = (str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"| {' | '.join(' '.join(text.split()) for text in texts)} |"


def fact_tables(facts: Facts, query: str) -> list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    """The tables that a query stands for: caption, header, rows."""
    if query == "tables":
        rows: list[tuple[Any, ...]] = [(e["table"], e["title"], e["rows"], e["columns"]) for e in facts.tables]
        return [("Tables", ("Table", "Title", "Rows", "Columns"), rows)]
    if query == "missing":
        rows = [(e["table"], e["column"], e["missing"], _percent(e["share"])) for e in facts.missing]
        return [("Columns with missing cells", ("Table", "Column", "Missing", "Share"), rows)] if rows else []
    if query == "gate":
        rows = [(e["name"], e["value"], e["limit"], "passed" if e["ok"] else "not passed") for e in facts.gate]
        return [("Risk gate", ("Check", "Value", "Limit", "Verdict"), rows)] if rows else []
    if query == "sessions_per_person":
        rows = list(facts.sessions_per_person.items())
        return [("Persons by number of sessions", ("Sessions", "Persons"), rows)] if rows else []
    groups = facts.labels if query == "labels" else facts.subpopulations
    return [(f"Persons by {name}", ("Value", "Persons"), list(cells.items())) for name, cells in groups.items()]


def _percent(share: float | None) -> str:
    return "masked" if share is None else f"{100 * share:.2f} %"


def render_html(datasheet: Datasheet, *, study: Mapping[str, Any] | None = None) -> str:
    """datasheet.html: the whole datasheet as one self-contained page; `study` has `id` and `title`."""
    answers = {answer.question: answer for answer in datasheet.answers}
    sections: dict[str, list[dict[str, Any]]] = {}
    for question in questions():
        sections.setdefault(question.section, []).append(
            _page_entry(question, answers.get(question.id), datasheet.facts)
        )
    return render_page(
        "datasheet.html.j2",
        synthetic=datasheet.synthetic,
        study=study,
        report=datasheet.to_dict(),
        total=len(questions()),
        sections=[
            {"name": name, "entries": entries, "open": sum(entry["open"] for entry in entries)}
            for name, entries in sections.items()
        ],
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _page_entry(question: Question, answer: Answer | None, facts: Facts) -> dict[str, Any]:
    head, _, rest = question.text.partition("? ")
    tables = [table for query in answer.query for table in fact_tables(facts, query)] if answer else []
    return {
        "id": question.id,
        "head": f"{head}?" if rest else question.text,
        "rest": rest,
        "answer": answer,
        "open": answer is not None and answer.kind == "open",
        "paragraphs": [part.strip() for part in answer.text.split("\n\n") if part.strip()] if answer else [],
        "provenance": _sentence(provenance(answer)) if answer else "",
        "tables": tables,
    }
