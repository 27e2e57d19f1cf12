"""Who attested an answer, when, and to which facts; and whether those facts are still what they were.

The authored text stays in `datasheets/answers.yaml`, which only people write. What `datasheet --attest` notes stands in
`datasheets/attested.json`: the facts as they were, which are as coarse as the published datasheet, and a digest over
them and the answer. An answer goes stale when what it speaks of has moved further than rounding can move it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensai_release.errors import ConfigurationError, ReleaseFormatError
from sensai_release.release.datasheet.answers import ANSWERS, Answer, facts_named_in
from sensai_release.release.datasheet.contradictions import facts_behind, rule_facts
from sensai_release.release.datasheet.facts import QUERIES, Facts
from sensai_release.release.documents import canonical_json
from sensai_release.release.tables import read_json_object

ATTESTED = "datasheets/attested.json"
_TOLERANCE = 0.2
_SHARE_TOLERANCE = 0.1
_COUNT = re.compile(r"(<|>=|at least )?(\d+)\Z")
_CURE = "Take it back from git, or attest the answer again: 'datasheet --attest QUESTION --by ROLE --as-of DATE'."


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """`by` is a role, `as_of` an ISO date, `facts` what the answer spoke of; `digest` is the SHA-256 over all of it."""

    by: str
    as_of: str
    facts: Mapping[str, Any]
    text_sha256: str
    digest: str

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"facts": dict(self.facts)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Attestation:
        """Raises `KeyError` or `TypeError` for another document."""
        if data.keys() != set(cls.__dataclass_fields__) or not isinstance(data["facts"], Mapping):
            raise TypeError
        return cls(**data)


def attest(answer: Answer, facts: Facts, *, by: str, as_of: str) -> Attestation:
    """Raises `ConfigurationError` for an answer that is not of the kind `attested`, or of another author."""
    place = f"{ANSWERS}: {answer.question}"
    if answer.kind != "attested":
        raise ConfigurationError(place, f"is of the kind '{answer.kind}'", "Only an 'attested' answer is attested.")
    if answer.author != by:
        raise ConfigurationError(place, "names another author", "Give the role named there, or change it there.")
    spoken, text = facts_spoken_of(answer, facts), _text_digest(answer)
    return Attestation(by=by, as_of=as_of, facts=spoken, text_sha256=text, digest=_digest(by, as_of, text, spoken))


def facts_spoken_of(answer: Answer, facts: Facts) -> dict[str, Any]:
    """The facts that an answer names: placeholders, queries, `about`, and what the rules on its claims look at.

    Raises `ConfigurationError` when `about` names none.
    """
    held = {**facts.signals, **facts.named(), **{name: facts.to_dict().get(name) for name in QUERIES}}
    placeholders = {**facts.signals, **facts.named()}
    names = [name for text in (answer.template, answer.source or "") for name in facts_named_in(text)]
    spoken = {name: placeholders[name] for name in names if name in placeholders}
    for name in answer.about:
        if name not in held:
            place = f"{ANSWERS}: {answer.question}.about"
            raise ConfigurationError(place, "names an unknown fact", f"Facts: {', '.join(sorted(held))}.")
    # `tables` is a number among the named facts and a list among the queries.
    spoken |= {f"query {name}": facts.to_dict()[name] for name in answer.query}
    spoken |= {name: held[name] for name in answer.about}
    behind = rule_facts(facts)
    spoken |= {f"rule {name}": behind[name] for name in facts_behind(answer) if name in behind}
    return dict(sorted(spoken.items()))


def staleness(answer: Answer, facts: Facts) -> str | None:
    """Why an attested answer no longer stands, in words; `None` while it does."""
    if answer.attested is None:
        return "nobody has attested it yet"
    try:
        held = Attestation.from_dict(answer.attested)
        if held.digest != _digest(held.by, held.as_of, held.text_sha256, held.facts):
            return f"its entry in {ATTESTED} was edited"
    except (KeyError, TypeError, ValueError):
        return f"its entry in {ATTESTED} is damaged"
    if held.by != answer.author:
        return "it was attested in another role"
    if held.text_sha256 != _text_digest(answer):
        return "its text or its claims have changed since it was attested"
    now = facts_spoken_of(answer, facts)
    moved = sorted(
        name
        for name in held.facts.keys() | now.keys()
        if name not in now or name not in held.facts or any(_moved(held.facts[name], now[name], facts.minimum))
    )
    return f"what it speaks of has changed: {', '.join(moved)}" if moved else None


def load_attestations(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The notes of `<folder>/attested.json` by question; empty when there is no such file."""
    path = folder / "attested.json"
    if not path.exists():
        return {}
    try:
        held = read_json_object(path, ATTESTED).get("attested")
    except ReleaseFormatError as error:
        raise ConfigurationError(ATTESTED, error.cause, _CURE) from None
    if not isinstance(held, dict) or not all(isinstance(entry, dict) for entry in held.values()):
        raise ConfigurationError(ATTESTED, "is not what this tool wrote", _CURE)
    return held


def _text_digest(answer: Answer) -> str:
    stated = {"text": " ".join(answer.template.split()), "claims": dict(answer.claims)}
    return hashlib.sha256(canonical_json(stated)).hexdigest()


def _digest(by: str, as_of: str, text: str, facts: Mapping[str, Any]) -> str:
    stated = {"by": by, "as_of": as_of, "text_sha256": text, "facts": dict(facts)}
    return hashlib.sha256(canonical_json(stated)).hexdigest()


def _moved(before: Any, now: Any, minimum: int, name: str = "") -> Iterator[bool]:
    """Whether a fact has moved: names and words must be equal, counts and shares near."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        if before.keys() != now.keys():
            yield True
            return
        for key in before:
            yield from _moved(before[key], now[key], minimum, key)
    elif isinstance(before, list) and isinstance(now, list):
        one, other = ({_label(entry, place): entry for place, entry in enumerate(part)} for part in (before, now))
        yield from _moved(one, other, minimum)
    elif isinstance(before, bool) or isinstance(now, bool) or before is None or now is None:
        # A share is absent where it is masked, which the count beside it says.
        yield name != "share" and before is not now
    elif isinstance(before, float) and isinstance(now, float):
        yield abs(before - now) > _SHARE_TOLERANCE + 1e-9
    else:
        yield _count_moved(before, now, minimum)


def _label(entry: Any, place: int) -> str:
    if not isinstance(entry, Mapping):
        return str(place)
    return "/".join(str(entry[key]) for key in ("table", "column", "what", "name") if key in entry) or str(place)


def _count_moved(before: Any, now: Any, minimum: int) -> bool:
    ranges = [_range(value, minimum) for value in (before, now)]
    if ranges[0] is None or ranges[1] is None:
        return bool(before != now)
    (low, high), (other_low, other_high) = ranges[0], ranges[1]
    gap = max(other_low - high, low - other_high)
    # The range of a rounded count reaches to the next multiple, so neighbours have a gap of 1.
    return gap > max(1.0, _TOLERANCE * max(low, other_low))


def _range(value: Any, minimum: int) -> tuple[float, float] | None:
    """The numbers that a count may stand for: small ones are exact, larger ones rounded down."""
    match = _COUNT.match(str(value)) if isinstance(value, int | str) else None
    if match is None:
        return None
    sign, number = match[1], int(match[2])
    if sign == "<":
        return (1, number - 1)
    if sign == ">=":
        return (number, math.inf)
    rounded = number >= minimum and number % minimum == 0
    return (number, number + minimum - 1 if rounded else number)
