"""A datasheet as people read it: Markdown, one self-contained HTML page with plots, PDF, and a card for a catalogue.

Every text of an author goes through the escaping of its format. What a datasheet says is `datasheet`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from sensai_release.errors import ConfigurationError
from sensai_release.release.datasheet.answers import Answer, Question, questions, reference
from sensai_release.release.datasheet.facts import Facts
from sensai_release.release.datasheet.sheet import Datasheet
from sensai_release.release.pages import render_page

Table = tuple[str, tuple[str, ...], list[tuple[Any, ...]]]

_CARD = ("C1", "C14", "C15", "U3", "U5", "D1", "D4")
"""What a catalogue asks first: instances, identifiability, sensitivity, uses and not, access and terms."""

_HISTOGRAM_WIDTH = 48
_CELL = str.maketrans({"\\": "\\\\", "|": "\\|", "<": "&lt;", "[": "\\[", "`": "\\`"})
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>#|~"})


def render_markdown(datasheet: Datasheet) -> str:
    """DATASHEET.md: the whole datasheet as GitHub-flavoured Markdown."""
    lines = _markdown_head("Datasheet", datasheet)
    lines += [
        f"Questions: {reference()}. Counts of fewer than {datasheet.facts.minimum} persons are masked.",
        "All other counts are rounded down, so that the datasheets of two releases do not tell of a few persons.",
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


def _markdown_head(kind: str, datasheet: Datasheet) -> list[str]:
    version = f", version {datasheet.version}" if datasheet.version else ""
    lines = [f"# {kind}: {escaped(datasheet.title)}{version}", ""]
    if datasheet.synthetic:
        lines += ["> **SYNTHETIC DATA.** Made by a program. No participant stands behind any value.", ""]
    return lines


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no link, no picture to fetch."""
    return text.translate(_MARKDOWN)


def provenance(answer: Answer) -> str:
    """Where an answer comes from, in one line."""
    if answer.kind == "open":
        return f"open, knowingly: {answer.reason}" if answer.reason else "open"
    if answer.kind == "attested":
        return f"attested by the {answer.author}" + (f" on {answer.attested['as_of']}" if answer.attested else "")
    return f"recorded in {answer.source}" if answer.kind == "recorded" else "computed from the release"


def _markdown_answer(answer: Answer, facts: Facts) -> list[str]:
    lines = [escaped(answer.text), ""] if answer.text else []
    if answer.kind == "open":
        lines += [f"**Open.** What would settle it: {escaped(answer.settle or 'an answer.')}", ""]
    for query in answer.query:
        for caption, header, rows in fact_tables(facts, query):
            lines += [f"{escaped(caption)}:", "", _markdown_row(header), _markdown_row(("---",) * len(header))]
            lines += [_markdown_row(row) for row in rows]
            lines.append("")
    return [*lines, f"_({escaped(provenance(answer))})_", ""]


def _markdown_row(cells: tuple[Any, ...]) -> str:
    texts = (str(cell).translate(_CELL) for cell in cells)
    return f"| {' | '.join(' '.join(text.split()) for text in texts)} |"


def fact_tables(facts: Facts, query: str) -> list[Table]:
    """The tables that a query stands for: caption, header, rows."""
    if query == "tables":
        rows: list[tuple[Any, ...]] = [(e["table"], e["title"], e["rows"], e["columns"]) for e in facts.tables]
        return [("Tables", ("Table", "Title", "Rows", "Columns"), rows)]
    if query == "missing":
        rows = [(e["table"], e["column"], e["missing"], _percent(e["share"])) for e in facts.missing]
        return [("Columns with missing cells", ("Table", "Column", "Missing", "Share"), rows)] if rows else []
    if query == "errors":
        rows = [(e["table"], e["what"], e["rows"], _percent(e["share"]) if e["rows"] else "0 %") for e in facts.errors]
        return [("Known errors", ("Table", "What", "Number", "Share"), rows)] if rows else []
    if query == "gate":
        rows = [(e["name"], e["value"], e["limit"], "passed" if e["ok"] else "not passed") for e in facts.gate]
        return [("Risk gate", ("Check", "Value", "Limit", "Verdict"), rows)] if rows else []
    if query in ("sessions_per_person", "splits"):
        name, cells = ("sessions", facts.sessions_per_person) if query != "splits" else ("fold", facts.splits)
        caption = "Persons by number of sessions" if query != "splits" else "Persons by fold"
        return [(caption, (name.capitalize(), "Persons"), list(cells.items()))] if cells else []
    groups = facts.labels if query == "labels" else facts.subpopulations
    return [(f"Persons by {name}", ("Value", "Persons"), list(cells.items())) for name, cells in groups.items()]


def _percent(share: float | None) -> str:
    return "masked" if share is None else f"{100 * share:.0f} %"


def render_html(datasheet: Datasheet, *, study: Mapping[str, Any] | None = None) -> str:
    """datasheet.html: the whole datasheet as one self-contained page; `study` has `id` and `title`."""
    answers = {answer.question: answer for answer in datasheet.answers}
    sections: dict[str, list[dict[str, Any]]] = {}
    for question in questions():
        entry = _page_entry(question, answers.get(question.id), datasheet.facts)
        sections.setdefault(question.section, []).append(entry)
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
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


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
        "tables": [(*table, is_plot(table)) for table in tables],
    }


def is_plot(table: Table) -> bool:
    """Whether a table of counts can be drawn: its labels fit below the columns, and there is something to compare."""
    _, header, rows = table
    labels = [str(row[0]) for row in rows]
    compared = len({row[-1] for row in rows}) > 1
    return len(header) == 2 and compared and max(map(len, labels)) * len(labels) <= _HISTOGRAM_WIDTH


def card(datasheet: Datasheet) -> dict[str, Any]:
    """What the card of a data set holds: `size`, and a name and a text for each of a few questions."""
    names = {
        "C1": "What it holds",
        "C14": "Identifiable",
        "C15": "Sensitive",
        "U3": "For",
        "U5": "Not for",
        "D1": "Access",
        "D4": "Terms",
    }
    answers = {answer.question: answer for answer in datasheet.answers}
    values = datasheet.facts.values
    counted = (("Participants", "persons"), ("Sessions", "sessions"), ("Tables", "tables"), ("Columns", "columns"))
    return {
        "size": [(name, values[key]) for name, key in counted if key in values],
        "entries": [
            (names[name], "Open." if answers[name].kind == "open" else " ".join(answers[name].text.split()))
            for name in _CARD
            if name in answers
        ],
        "open": len(datasheet.open_questions),
        "total": len(questions()),
    }


def render_card_markdown(datasheet: Datasheet) -> str:
    """CARD.md: half a page for a catalogue."""
    content = card(datasheet)
    lines = _markdown_head("Data card", datasheet)
    lines += [", ".join(f"{name}: {value}" for name, value in content["size"]).replace("<", "\\<") + ".", ""]
    lines += [f"- **{name}.** {escaped(text)}" for name, text in content["entries"]]
    lines += [
        "",
        f"{content['open']} of {content['total']} answers of the datasheet are open. The whole: DATASHEET.md.",
    ]
    return "\n".join(lines) + "\n"


def render_card_html(datasheet: Datasheet, *, study: Mapping[str, Any] | None = None) -> str:
    """card.html: the card as one self-contained page."""
    report = card(datasheet) | {"title": datasheet.title, "version": datasheet.version}
    return render_page("card.html.j2", synthetic=datasheet.synthetic, study=study, report=report)


def render_pdf(datasheet: Datasheet) -> bytes:
    """The whole datasheet as PDF, the same bytes for the same datasheet and version of typst.

    The texts go to the template as data, never as markup. Raises `ConfigurationError` without the extra `pdf`.
    """
    try:
        import typst
    except ImportError:
        cure = "Install it: pip install 'sensai-release[pdf]'. All other forms need no extra."
        raise ConfigurationError("the PDF", "needs the package typst, which is not installed", cure) from None
    answers = {answer.question: answer for answer in datasheet.answers}
    entries = [
        {
            "section": question.section,
            "id": question.id,
            "question": question.text,
            "text": answers[question.id].text,
            "settle": answers[question.id].settle if answers[question.id].kind == "open" else None,
            "provenance": _sentence(provenance(answers[question.id])),
            "tables": [
                {"caption": caption, "header": list(header), "rows": [[str(cell) for cell in row] for row in rows]}
                for query in answers[question.id].query
                for caption, header, rows in fact_tables(datasheet.facts, query)
            ],
        }
        for question in questions()
        if question.id in answers
    ]
    sheet = {
        "title": datasheet.title,
        "version": datasheet.version,
        "synthetic": datasheet.synthetic,
        "reference": reference(),
        "minimum": datasheet.facts.minimum,
        "entries": entries,
    }
    template = files("sensai_release.release.pages").joinpath("templates/datasheet.typ").read_bytes()
    data: bytes = typst.compile(template, sys_inputs={"sheet": json.dumps(sheet)}, ignore_system_fonts=True)
    return data
