"""Where an answer says one thing and the data, or another answer, say another.

What can be claimed and what contradicts it is data (`datasheet_rules.yaml`); this module reads and applies it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

from sensai_release.release.datasheet.answers import Answer
from sensai_release.release.datasheet.facts import Facts
from sensai_release.table.documents import load_yaml
from sensai_release.table.findings import Finding

CODE = "datasheet.contradiction"
_COUNT = re.compile(r"(?:<|>=|at least )?(\d+)\Z")


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    with as_file(files(__package__).joinpath("rules.yaml")) as path:
        document: dict[str, Any] = load_yaml(path, path.name)
    return document


def claims() -> Mapping[str, Mapping[str, Any]]:
    """What can be claimed: `question`, `says`, and whether the question's answer must claim it (`ask`)."""
    known: Mapping[str, Mapping[str, Any]] = _document()["claims"]
    return known


def rules() -> tuple[Mapping[str, Any], ...]:
    return tuple(_document()["rules"])


def facts_behind(answer: Answer) -> tuple[str, ...]:
    """The facts that the rules on an answer's claims look at."""
    return tuple(
        dict.fromkeys(
            condition["fact"]
            for rule in rules()
            if any(condition.get("claim") in answer.claims for condition in rule["when"])
            for condition in rule["when"]
            if "fact" in condition
        )
    )


def find_contradictions(answers: Iterable[Answer], facts: Facts) -> Iterator[Finding]:
    """One finding for every rule that holds, blamed on its question."""
    claimed = {name: value for answer in answers for name, value in answer.claims.items()}
    held = rule_facts(facts)
    for rule in rules():
        if all(_holds(condition, claimed, held) for condition in rule["when"]):
            named = [condition["claim"] for condition in rule["when"] if "claim" in condition]
            yield Finding(
                table="datasheet",
                column=rule["question"],
                file=f"datasheets/answers.yaml#/answers/{rule['question']}/claims/{named[0]}",
                code=f"{CODE}.{rule['code']}",
                severity=rule.get("severity", "error"),
                message=f"{rule['message'].strip()} Correct the answer or the data.",
            )


def rule_facts(facts: Facts) -> dict[str, Any]:
    """Every fact that a rule may name."""
    errors = sum(entry["rows"] != 0 for entry in facts.errors)
    groups = {"labels": len(facts.labels), "subpopulations": len(facts.subpopulations), "splits": len(facts.splits)}
    return {**facts.signals, **facts.named(), **groups, "known_errors": errors}


def _holds(condition: Mapping[str, Any], claimed: Mapping[str, bool], held: Mapping[str, Any]) -> bool:
    if "claim" in condition:
        value = claimed.get(condition["claim"])
        return value is condition["is"] if "is" in condition else value is not condition["is_not"]
    fact = held.get(condition["fact"])
    if "is" in condition:
        return fact is not None and type(fact) is type(condition["is"]) and fact == condition["is"]
    number = _number(fact)
    return number is not None and number > condition["above"]


def _number(value: Any) -> float | None:
    """A count as a number: itself, 1 for `<10`, the bound of `>=10` and `at least 20`."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return value
    match = _COUNT.match(str(value))
    return None if match is None else 1 if str(value).startswith("<") else int(match[1])
