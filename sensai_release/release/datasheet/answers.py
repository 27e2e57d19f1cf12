"""The 57 questions of a datasheet and their authored answers, as they stand in files.

The questions are part of the package (`gebru2021.yaml`); the answers are the study's own (`datasheets/answers.yaml`). A
number in an answer is a placeholder, `{persons}`, or marked as stated and not counted, `{=60 seconds}`. What an answer
claims in a form that a program can read stands under `claims`. Binding facts to answers is for `datasheet`, finding
fault with them for `check`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

from sensai_release.errors import ConfigurationError
from sensai_release.release.datasheet.facts import QUERIES, Value
from sensai_release.table.documents import check_document, load_yaml

Kind = Literal["attested", "recorded", "computed", "open"]

ANSWERS = "datasheets/answers.yaml"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_TEXT = {"type": "string", "minLength": 1}
_REQUIRED = (
    ("attested", ["text", "author"]),
    ("recorded", ["text", "source"]),
    ("computed", ["text"]),
    ("open", ["settle"]),
)
_ANSWER_JSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind"],
    "properties": {
        "kind": {"enum": [kind for kind, _ in _REQUIRED]},
        "text": _TEXT,
        "query": {"type": "array", "items": {"enum": list(QUERIES)}, "uniqueItems": True},
        "about": {"type": "array", "items": _TEXT, "uniqueItems": True},
        "claims": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "author": _TEXT,
        "source": _TEXT,
        "settle": _TEXT,
    },
    "allOf": [
        {"if": {"properties": {"kind": {"const": kind}}}, "then": {"required": required}}
        for kind, required in _REQUIRED
    ],
}
_ANSWERS_JSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["answers"],
    "properties": {"answers": {"type": "object", "additionalProperties": _ANSWER_JSON_SCHEMA}},
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
    answer; `query` names the fact tables printed below it, `about` further facts that it speaks of; `claims` is what it
    says in words that rules know (`datasheet_rules.yaml`). `reason` says why an open answer stays open knowingly
    (params.yaml); `attested` is who attested it, when, and to which facts (`attestation.Attestation.to_dict`).
    """

    question: str
    kind: Kind
    template: str = ""
    text: str = ""
    query: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    claims: Mapping[str, bool] = field(default_factory=dict)
    author: str | None = None
    source: str | None = None
    settle: str | None = None
    reason: str | None = None
    attested: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        lists = {"query": list(self.query), "about": list(self.about)}
        return values | lists | {"claims": dict(self.claims)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Answer:
        values = {name: data[name] for name in cls.__dataclass_fields__}
        values |= {name: tuple(data[name]) for name in ("query", "about")}
        return cls(**values | {"claims": dict(data["claims"])})


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, Any]:
    with as_file(files(__package__).joinpath("gebru2021.yaml")) as path:
        document: dict[str, Any] = load_yaml(path, path.name)
    return document


def reference() -> str:
    """What the questions are taken from."""
    return f"{_catalogue()['title']} ({_catalogue()['reference']})"


@lru_cache(maxsize=1)
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
    document = load_yaml(folder / "answers.yaml", ANSWERS)
    check_document(document, _ANSWERS_JSON_SCHEMA, ANSWERS)
    answers: Mapping[str, Mapping[str, Any]] = document["answers"]
    known = [question.id for question in questions()]
    refuse_unknown(answers, ANSWERS)
    absent = [identifier for identifier in known if identifier not in answers]
    if absent:
        raise ConfigurationError(
            ANSWERS,
            f"has no answer to {', '.join(absent)}",
            "Answer it, or give it the kind 'open' with what would settle it.",
        )
    return tuple(_authored(identifier, answers[identifier]) for identifier in known)


def refuse_unknown(named: Mapping[str, Any], place: str) -> None:
    """Raises `ConfigurationError` for a key that is the id of no question."""
    known = {question.id for question in questions()}
    unknown = sorted(str(name) for name in named if name not in known)
    if unknown:
        raise ConfigurationError(place, f"answers {', '.join(unknown)}, which is no question", "Correct the id.")


def _authored(identifier: str, entry: Mapping[str, Any]) -> Answer:
    return Answer(
        question=identifier,
        kind=entry["kind"],
        template=entry.get("text", "").strip(),
        query=tuple(entry.get("query", ())),
        about=tuple(entry.get("about", ())),
        claims=dict(entry.get("claims", {})),
        author=entry.get("author"),
        source=entry.get("source"),
        settle=entry.get("settle"),
    )


def facts_named_in(template: str) -> tuple[str, ...]:
    """The facts that a text asks for, without those that it states itself (`{=60 seconds}`)."""
    return tuple(dict.fromkeys(name for name in _PLACEHOLDER.findall(template) if not name.startswith("=")))


def without_placeholders(template: str) -> str:
    """The text with nothing where a placeholder or a stated number stands, for looking at what was typed."""
    return _PLACEHOLDER.sub("\N{HORIZONTAL ELLIPSIS}", template)


def bind(template: str, named: Mapping[str, Value], question: str) -> str:
    """The text with its facts. Raises `ConfigurationError` naming file and question for a fact that there is not."""
    unknown = sorted(name for name in facts_named_in(template) if name not in named)
    if unknown:
        raise ConfigurationError(
            f"{ANSWERS}: {question}", f"names the unknown fact {{{unknown[0]}}}", f"Facts: {', '.join(sorted(named))}."
        )
    return _PLACEHOLDER.sub(lambda m: m[1][1:].strip() if m[1].startswith("=") else str(named[m[1]]), template)
