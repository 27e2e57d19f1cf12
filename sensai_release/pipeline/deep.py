"""`verify --deep`: the numbers of the datasheet, the manifest and the risk report, counted anew from the tables.

Only says where a number differs, never which number was found: an exact count beside a rounded one tells of persons.
Whether the bytes are those that were signed is `release.verify`'s to say, and said before. One column of one table is
in memory at a time, and the small tables that an acquaintance could know whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from sensai_release.errors import SensaiReleaseError
from sensai_release.pipeline.risk import POLICY, all_gates, assess_release
from sensai_release.privacy.masking import rounded
from sensai_release.release.datasheet.check import check_datasheet
from sensai_release.release.datasheet.facts import compute_facts
from sensai_release.release.datasheet.sheet import Datasheet
from sensai_release.release.inventory import printable
from sensai_release.release.layout import MANIFEST
from sensai_release.release.published import published_risk
from sensai_release.release.tables import ReleasedTables, load_dictionaries, read_json_object

Fault = tuple[str, str, str]
"""A code, the place (`file#/path/inside`), and a sentence."""

DATASHEET = "datasheet.json"
RISK = "reports/risk.json"
_POLICY = f"reports/{POLICY}"
_DIFFERS = "is not what the tables of the release give"
_NEARLY = 1e-9
"""Relative and absolute: the last digits of a sum depend on the version of the library that adds."""
_NEARLY_IN = {"linkability": 0.005}
"""Absolute: attackers are trained, and linear algebra differs a little between processors."""


def deep_faults(release: Path) -> list[Fault]:
    """What differs: `facts.differ`, naming the path of the number, or `facts.unreadable` where nothing can be counted.

    Parts of the risk report that cannot come from one release alone (the risk across releases, the utility beside the
    source) are left as they are; so is what an older version of this tool did not measure. A release without risk
    report or datasheet is unreadable.
    """
    try:
        return [*_datasheet_faults(release), *_risk_faults(release)]
    except SensaiReleaseError as error:
        return [("facts.unreadable", error.place, f"{error.cause}, so its numbers cannot be counted anew")]
    except (KeyError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError, pa.ArrowException):
        # Their messages may quote what was read.
        return [("facts.unreadable", DATASHEET, "or another document has a form in which nothing can be counted")]


def _datasheet_faults(release: Path) -> Iterator[Fault]:
    sheet = Datasheet.from_dict(read_json_object(release / DATASHEET, DATASHEET))
    minimum = sheet.facts.minimum
    tables = ReleasedTables(release / "data", load_dictionaries(release / "schemas"))
    risk = read_json_object(release / RISK, RISK)
    facts = compute_facts(tables, context=sheet.facts.context, risk=risk, minimum=minimum)
    for path in _differences(sheet.facts.to_dict(), facts.to_dict()):
        yield "facts.differ", f"{DATASHEET}#/facts{path}", _DIFFERS
    groups = set(facts.to_dict())
    for finding in check_datasheet(sheet, facts):
        if finding.code == "datasheet.number" and finding.column not in groups:
            yield "facts.differ", f"{DATASHEET}#/answers/{finding.column}", "states another number than its facts give"
    stated = read_json_object(release / MANIFEST, MANIFEST)["predicate"]["counts"]
    counts = {
        "persons": rounded(len(tables.everyone()), minimum),
        "rows": {name: tables.masked_rows(name, minimum) for name in tables.names},
    }
    for path in _differences(stated, counts):
        yield "facts.differ", f"{MANIFEST}#/predicate/counts{path}", _DIFFERS


def _risk_faults(release: Path) -> Iterator[Fault]:
    stated = read_json_object(release / RISK, RISK)
    policy = read_json_object(release / _POLICY, _POLICY)
    minimum = read_json_object(release / DATASHEET, DATASHEET)["facts"]["minimum"]
    found = published_risk(assess_release(release), max_suppressed=float(policy["max_suppressed"]), minimum=minimum)
    for name in sorted(stated.keys() & found.keys() - {"ok"}):
        near = _NEARLY_IN.get(name, _NEARLY)
        for path in _differences(stated[name], found[name], f"/{name}", near=near, stated_only=True):
            yield "facts.differ", f"{RISK}#{path}", _DIFFERS
    # Every gate that can be counted was compared; the verdict over all of them must follow from the gates.
    if stated["ok"] is not all(entry["ok"] is True for entry in all_gates(stated)):
        yield "facts.differ", f"{RISK}#/ok", "is not what its own gates say"
    predicate = read_json_object(release / MANIFEST, MANIFEST)["predicate"]
    for name in ("ok", "k_min"):
        if name in predicate["risk"] and predicate["risk"][name] != stated[name]:
            yield "facts.differ", f"{MANIFEST}#/predicate/risk/{name}", "is not what the risk report says"


def _differences(
    stated: Any, found: Any, path: str = "", *, near: float = _NEARLY, stated_only: bool = False
) -> Iterator[str]:
    """The JSON Pointers at which two documents differ; with `stated_only`, what only `found` has is no difference."""
    if _is_named(stated) and _is_named(found):
        stated, found = ({entry["name"]: entry for entry in entries} for entries in (stated, found))
    if isinstance(stated, Mapping) and isinstance(found, Mapping):
        for name in sorted(stated.keys() if stated_only else stated.keys() | found.keys()):
            below = f"{path}/{printable(str(name)).replace('~', '~0').replace('/', '~1')}"
            if name in stated and name in found:
                yield from _differences(stated[name], found[name], below, near=near, stated_only=stated_only)
            else:
                yield below
    elif _is_list(stated) and _is_list(found) and len(stated) == len(found):
        for index, (one, other) in enumerate(zip(stated, found, strict=True)):
            yield from _differences(one, other, f"{path}/{index}", near=near, stated_only=stated_only)
    elif not _same(stated, found, near):
        yield path


def _is_named(value: Any) -> bool:
    """Whether this is a list of entries that each have a name of their own, such as the gates."""
    if not _is_list(value) or not all(isinstance(entry, Mapping) and "name" in entry for entry in value):
        return False
    return len({str(entry["name"]) for entry in value}) == len(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _same(stated: Any, found: Any, near: float) -> bool:
    if isinstance(stated, bool) or isinstance(found, bool):
        return stated is found
    if isinstance(stated, int | float) and isinstance(found, int | float):
        return math.isclose(stated, found, rel_tol=_NEARLY, abs_tol=near)
    return _is_list(stated) == _is_list(found) and stated == found
