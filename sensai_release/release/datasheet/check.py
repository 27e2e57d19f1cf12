"""What is wrong with a datasheet: answers that are absent, open, stale or contradicted, and numbers nobody counted.

Findings say which question, where, and how to settle it. Those of the severity `error` stop a release
(`pipeline.publish`); an answer that params.yaml lists as knowingly open is a warning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from sensai_release.errors import ConfigurationError
from sensai_release.release.datasheet.answers import Answer, bind, facts_named_in, questions, without_placeholders
from sensai_release.release.datasheet.attestation import staleness
from sensai_release.release.datasheet.contradictions import claims, find_contradictions
from sensai_release.release.datasheet.facts import Facts
from sensai_release.release.datasheet.sheet import Datasheet
from sensai_release.table.findings import Finding, sort_findings

# A number by itself: digits that belong to a name (NCT07262632, Apache-2.0) are part of a word.
# "One" and "two" count nothing in most sentences ("one may", "the two groups"), so only larger numbers are looked for.
_NUMBER = re.compile(
    r"(?<!\w)(?<!\w[-./])(?<!\d,)\d|(?-i:\bn\d)"
    r"|\b(?:three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|twenty"
    r"|thirty|forty|fifty|sixty|seventy|eighty|ninety|dozens?|hundreds?|thousands?|millions?)\b",
    re.IGNORECASE,
)
# What a release counts itself, right behind a number that was marked as none of its counts.
_STATED = re.compile(r"\{=([^{}]*)\}(\s+\w+)?")
_COUNTED = re.compile(
    r"\b(?:participants?|patients?|persons?|people|individuals?|subjects?|sessions?|recordings?)\b", re.IGNORECASE
)
_UNDETERMINED = re.compile(
    r"\bto be (?:determined|decided|confirmed|announced|defined|completed|added|established)\b|\bt\.?b\.?[acd]\b"
    r"|\bnot (?:yet |been )+(?:determined|decided|confirmed|announced|defined|known)\b|\b(?:TODO|FIXME)\b"
    r"|\A\s*unknown\b",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(r"\s*(yes|no)\s*(?:[,.;:!]|\Z)", re.IGNORECASE)
_RENDER = "The datasheet states other numbers than the release holds; render it again."


def check_datasheet(datasheet: Datasheet, facts: Facts | None = None) -> tuple[Finding, ...]:
    """The findings; `column` of each is the id of the question, or the name of the group of facts.

    `datasheet.unanswered`, `.question` (belongs to none), `.open` (a warning when it is so knowingly), `.not_open`,
    `.undetermined` (says itself that it is open), `.stale`, `.not_computed` (says that it is, and names no count),
    `.typed_number`, `.stated_count` (a warning: a number of persons marked as no count of the data), `.claim`
    (unknown, or of another question), `.claim_missing`, `.claim_text` (the text says yes and the claim no, or the
    reverse), `.contradiction.<rule>`, `.number`. With `facts`, counted anew from the release, every number that the
    datasheet states must equal them, and rules and attestations are held against them.
    """
    known = [question.id for question in questions()]
    given = Counter(answer.question for answer in datasheet.answers)
    findings = [_finding("unanswered", name, "The question has no answer.") for name in known if name not in given]
    findings += [
        _finding("question", name, "The answer belongs to no question, or stands twice.")
        for name in sorted(given)
        if name not in known or given[name] > 1
    ]
    held = datasheet.facts if facts is None else facts
    for answer in datasheet.answers:
        findings += [*_openness(answer), *_typed_numbers(answer), *_stated_counts(answer), *_claims(answer)]
        if answer.kind == "attested":
            findings += _stale(answer, held)
        if answer.kind == "computed":
            findings += _not_computed(answer, held)
    contradicted = list(find_contradictions(datasheet.answers, held))
    blamed = {finding.column for finding in contradicted}
    findings += contradicted
    findings += [
        found for answer in datasheet.answers if answer.question not in blamed for found in _claims_of_text(answer)
    ]
    if facts is not None:
        findings += _numbers(datasheet, facts)
    return sort_findings(findings)


def _openness(answer: Answer) -> Iterator[Finding]:
    if answer.kind == "open" and answer.reason is not None:
        yield _finding("open", answer.question, f"The answer is open, knowingly: {answer.reason}", warning=True)
    elif answer.kind == "open":
        cure = (
            f"Get {answer.settle} Then answer it; or list it with a reason under datasheet.open in params.yaml."
            if answer.settle
            else "Answer it, or list it with a reason under datasheet.open in params.yaml."
        )
        yield _finding("open", answer.question, f"The answer is open. {cure}")
    else:
        if answer.reason is not None:
            message = "params.yaml lists the question as knowingly open, but it has an answer. Take it off that list."
            yield _finding("not_open", answer.question, message, place=f"params.yaml#/datasheet/open/{answer.question}")
        if _UNDETERMINED.search(answer.template):
            message = "The answer says itself that nothing is decided. Give it the kind 'open' and say what settles it."
            yield _finding("undetermined", answer.question, message, entry="text")


def _stale(answer: Answer, facts: Facts) -> Iterator[Finding]:
    try:
        why = staleness(answer, facts)
    except ConfigurationError as error:
        why = f"'about' {error.cause}"
    if why is not None:
        message = f"The answer is stale: {why}. Read it again, and mend it or attest it: 'datasheet --attest'."
        yield _finding("stale", answer.question, message)


def _not_computed(answer: Answer, facts: Facts) -> Iterator[Finding]:
    if not answer.query and facts.values.keys().isdisjoint(facts_named_in(answer.template)):
        message = (
            "The answer is of the kind 'computed' and names nothing that was counted. Name a fact or a query, or give "
            "it the kind 'recorded' and its source."
        )
        yield _finding("not_computed", answer.question, message)


def _typed_numbers(answer: Answer) -> Iterator[Finding]:
    text = without_placeholders(answer.template)
    places = [len(text[: match.start()].split()) + 1 for match in _NUMBER.finditer(text)]
    if places:
        words = ", ".join(map(str, places[:5]))
        message = (
            f"Numbers were typed by hand (word {words} of the text). Name a fact, such as {{persons}}; a number that "
            "is no count of the data is marked so: {=60 seconds}."
        )
        yield _finding("typed_number", answer.question, message, entry="text", count=len(places))


def _stated_counts(answer: Answer) -> Iterator[Finding]:
    """A plan may say so many persons; whether it is the plan or the data that are meant, a reader has to tell."""
    for match in _STATED.finditer(answer.template):
        if _NUMBER.search(match[1]) and _COUNTED.search(f"{match[1]}{match[2] or ''}"):
            message = (
                "A number of persons, sessions or recordings is marked as no count of the data. If it is one, name the "
                "fact, such as {persons}."
            )
            yield _finding("stated_count", answer.question, message, entry="text", warning=True)


def _claims(answer: Answer) -> Iterator[Finding]:
    known = claims()
    for name in answer.claims:
        if name not in known or known[name]["question"] != answer.question:
            accepted = [claim for claim, entry in known.items() if entry["question"] == answer.question]
            message = f"The answer cannot claim this. Accepted here: {', '.join(accepted) or 'none'}."
            yield _finding("claim", answer.question, message, entry="claims")
    asked = [
        name
        for name, entry in known.items()
        if entry.get("ask") and entry["question"] == answer.question and name not in answer.claims
    ]
    for name in asked if answer.kind != "open" else ():
        says = known[name]["says"]
        message = f"Say under 'claims' whether {says} ({name}: true or false), so that it can be checked."
        yield _finding("claim_missing", answer.question, message, entry="claims")


def _claims_of_text(answer: Answer) -> Iterator[Finding]:
    """A "No." above a claim that is true: the rules see the claim, readers the text."""
    word = None if answer.kind == "open" else _YES_OR_NO.match(answer.template)
    for name, claimed in answer.claims.items():
        if word and claims().get(name, {}).get("ask") and claimed != (word[1].lower() == "yes"):
            message = (
                f"The text begins with '{word[1].capitalize()}', but claims {name}: {str(claimed).lower()}. Mend one."
            )
            yield _finding("claim_text", answer.question, message, entry="claims")


def _numbers(datasheet: Datasheet, facts: Facts) -> Iterator[Finding]:
    stated, counted = datasheet.facts.to_dict(), facts.to_dict()
    for group in counted:
        if stated[group] != counted[group]:
            yield _finding("number", group, _RENDER, place=f"datasheet.json#/facts/{group}")
    named = facts.named()
    for answer in datasheet.answers:
        try:
            same = answer.text == bind(answer.template, named, answer.question)
        except ConfigurationError:
            same = False
        if not same:
            yield _finding("number", answer.question, _RENDER, place="datasheet.json#/answers")


def _finding(
    code: str,
    question: str,
    message: str,
    *,
    entry: str | None = None,
    place: str | None = None,
    warning: bool = False,
    count: int = 1,
) -> Finding:
    inside = f"datasheets/answers.yaml#/answers/{question}" + (f"/{entry}" if entry else "")
    return Finding(
        table="datasheet",
        column=question,
        file=place or inside,
        code=f"datasheet.{code}",
        severity="warning" if warning else "error",
        count=count,
        message=message,
    )
