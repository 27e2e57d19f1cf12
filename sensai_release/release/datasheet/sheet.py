"""The datasheet of a release: the 57 questions of Gebru et al. with authored answers and computed facts.

Follows "Datasheets for Datasets", arXiv 1803.09010 v8 (https://arxiv.org/abs/1803.09010). An answer is *attested* by a
role for the facts it was written for, *recorded* in a named document, *computed* from the release, or *open*; an open
answer is printed as open, with what would settle it. This module binds facts to answers. Questions and answers as they
stand in files are `answers`'s, what is wrong with a datasheet is for `check` to say, `facts` counts, and
`pages` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sensai_release.errors import ConfigurationError
from sensai_release.release.datasheet.answers import Answer, bind, reference, refuse_unknown
from sensai_release.release.datasheet.facts import Facts

FORM = "urn:sensai-release:datasheet:1"
"""The `$id` of datasheet.schema.json, which describes `Datasheet.to_dict`."""


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
            "form": FORM,
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
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ConfigurationError("datasheet.json", "is no datasheet of this tool", "Render it again.") from None


def build_datasheet(
    answers: tuple[Answer, ...],
    facts: Facts,
    *,
    title: str,
    synthetic: bool,
    version: str | None = None,
    knowingly_open: Mapping[str, str] | None = None,
    attested: Mapping[str, Mapping[str, Any]] | None = None,
) -> Datasheet:
    """Binds the facts to the answers.

    `knowingly_open` gives the reason for which a question may stay open (`datasheet.open` of params.yaml), `attested`
    what is known of attestations (`attestation.load_attestations`), both by question. Raises `ConfigurationError`
    naming file and question when an answer names a fact that there is not, or either names a question that there is
    not.
    """
    reasons, notes = knowingly_open or {}, attested or {}
    refuse_unknown(reasons, "params.yaml: datasheet.open")
    refuse_unknown(notes, "datasheets/attested.json")
    named = facts.named()
    bound = tuple(
        replace(
            answer,
            text=bind(answer.template, named, answer.question),
            source=None if answer.source is None else bind(answer.source, named, answer.question),
            reason=reasons.get(answer.question),
            attested=notes.get(answer.question) if answer.kind == "attested" else None,
        )
        for answer in answers
    )
    return Datasheet(title=title, version=version, synthetic=synthetic, facts=facts, answers=bound)
