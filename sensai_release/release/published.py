"""The risk report as a release may hold it: so coarse that two of them, side by side, do not tell of a few persons.

A steward's report has exact counts, because gates compare them. Its copy in a release is read beside that of the next
release by people who hold no data: numbers of persons are rounded down, and what follows from them is computed from the
rounded ones. Gates that were not passed keep their numbers, which a waiver has to quote. Nothing is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sensai_release.privacy.masking import MINIMUM, rounded

Json = Mapping[str, Any]

_COUNTS = frozenset(
    {
        "persons",
        "missing",
        "unique",
        "sessions",
        "suppressed",
        "blanked",
        "below_k",
        "alone_in_both",
        "above_threshold",
        "one_session",
        "several_sessions",
        "count",
    }
)
_STEPS = 20
# As many persons with several sessions make a share of two digits the share of many numbers.
_MANY = 100
_RATES = frozenset({"value", "low", "high", "distance_high"})
_SMALLEST = frozenset({"k_min", "k_min_missing_as_wildcard"})


def published_risk(report: Json, *, max_suppressed: float | None = None, minimum: int = MINIMUM) -> dict[str, Any]:
    """A copy of a risk report (`RiskReport.to_dict`) without exact counts; a published report stays as it is.

    `max_suppressed` is the profile's share, of which the limit of the gate `suppressed_persons` is computed anew.
    """
    everyone = report.get("persons", f"<{minimum}")
    gate = report.get("gate", ())
    k = report.get("k") or next((entry["limit"] for entry in gate if entry["name"] == "k_min"), 1)
    result: dict[str, Any] = _coarse(report, minimum)
    for name, value in report.items():
        if isinstance(value, Mapping) and value.keys() == {"persons", "share"}:
            result[name] = _measure(value, everyone, minimum)
    for name in _SMALLEST & report.keys():
        result[name] = _smallest(report[name], k, minimum)
    total = rounded(everyone, minimum)
    result["gate"] = [_gate(entry, k, total, max_suppressed, minimum) for entry in gate]
    for over in (result.get("attack_risk") or {}).values():
        _attack_risk(over, k, total, minimum)
    population = result.get("population")
    if population and population["population"] and isinstance(total, int):
        population["sampling_fraction"] = float(f"{max(total, minimum) / population['population']:.1e}")
    audit = result.get("linkability")
    if isinstance(audit, dict) and isinstance(audit.get("chance"), float):
        # A guess is right once in so many persons: with all its digits it would tell how many.
        audit["chance"] = round(audit["chance"], 2)
    if isinstance(audit, dict):
        _audit(audit, result["gate"])
    if isinstance(audit, dict) and isinstance(audit.get("collusion"), Mapping):
        audit["collusion"] = {
            way: {name: {"share": _matched(entry["share"], total, minimum)} for name, entry in entries.items()}
            for way, entries in audit["collusion"].items()
        }
    if isinstance(report.get("series"), Mapping):
        result["series"] = _series(report["series"], minimum)
    return result


def _coarse(value: Any, minimum: int, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _coarse(item, minimum, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_coarse(item, minimum) for item in value]
    if name in _COUNTS and isinstance(value, int) and not isinstance(value, bool):
        return rounded(value, minimum)
    return value


def _measure(measure: Json, everyone: int | str, minimum: int) -> dict[str, Any]:
    """Count and share, the share as an upper bound where the count is rounded: risk is never shown too small."""
    number, total = measure["persons"], rounded(everyone, minimum)
    if isinstance(total, str) or number == 0:
        return {"persons": rounded(number, minimum), "share": 0.0 if number == 0 else "<1.00"}
    if number == everyone:
        return {"persons": total, "share": 1.0}
    if isinstance(number, str) and number.startswith(">"):
        return {"persons": f">{max(total - minimum, 0)}", "share": f">{max(total - minimum, 0) / total:.2f}"}
    if isinstance(number, str):
        return {"persons": number, "share": f"<{min(minimum / total, 1):.2f}"}
    down = number - number % minimum
    # A published share has no digits left to lose, and comes back the same.
    again = measure["share"] if isinstance(measure["share"], str) else None
    return {"persons": down, "share": again or f"<{min((down + minimum) / total, 1):.2f}"}


def _matched(share: float | str, total: int | str, minimum: int) -> float | str:
    """What two recipients could match, as coarse as an attacker's chance: 11 of 36 with four digits tells the 36.

    A masked share is that of the persons of one table, who can be fewer than all: it is told of all.
    """
    if isinstance(share, str):
        few, most = (
            ("<1.00", ">0.00") if isinstance(total, str) else (f"<{_up(minimum / max(total, minimum)):.2f}", ">0.00")
        )
        return few if share.startswith("<") else most
    return _up(share)


def _up(share: float) -> float:
    return round(math.ceil(_STEPS * share - 1e-9) / _STEPS, 2)


def _smallest(value: Any, k: int, minimum: int) -> Any:
    """The size of the smallest class: below ten it says no more than that `k` is reached."""
    if not isinstance(value, int) or value < k:
        return value
    return max(k, value - value % minimum)


def _audit(audit: dict[str, Any], gate: list[dict[str, Any]]) -> None:
    """How well sessions are matched, so coarse that the share of right guesses does not tell out of how many."""
    several = (audit.get("persons") or {}).get("several_sessions")
    steps = 100 if isinstance(several, int) and several >= _MANY else _STEPS
    limits = audit.get("limits") or {}
    for entry in audit.get("sets") or ():
        for name in ("rank1", "auc", "eer"):
            measure = entry.get(name) or {}
            places: list[dict[str, Any]] = [place for place in (measure, measure.get("null")) if place]
            for place in places:
                for bound in _RATES & place.keys():
                    # The error rate is the one that gets better as it falls.
                    down = bound == "low" or (name == "eer" and bound == "value")
                    place[bound] = _rate(place[bound], bound, steps, limits.get(name), down=down)
    for entry in (*(audit.get("gate") or ()), *gate):
        if entry["name"].startswith("linkability_") and entry["ok"]:
            entry["value"] = _rate(entry["value"], "high", steps, entry["limit"], down=False)


def _rate(value: Any, bound: str, steps: int, limit: Any, *, down: bool) -> Any:
    """A rate in steps, away from what would flatter; an upper bound within its limit stays within it."""
    if not isinstance(value, float):
        return value
    if down:
        return math.floor(100 * value + 1e-9) / 100
    coarse = round(math.ceil(steps * value - 1e-9) / steps, 2)
    within = bound in ("high", "distance_high") and isinstance(limit, float) and value <= limit
    return min(coarse, limit) if within else coarse


def _attack_risk(over: dict[str, Any], k: int, total: int | str, minimum: int) -> None:
    """Chances follow from class sizes and the number of persons, so they are rounded up; a masked one stays a bound."""
    few = f">{max(total - minimum, 0) / total:.2f}" if isinstance(total, int) else ">0.00"
    prosecutor, journalist, marketer = over["prosecutor"], over["journalist"] or {}, over["marketer"]
    if str(prosecutor["above_threshold"]).startswith(">"):
        prosecutor["above_threshold"] = f">{max(total - minimum, 0)}" if isinstance(total, int) else f">={minimum}"
    prosecutor["max"] = _most(prosecutor["max"], k, minimum)
    places = ((prosecutor, "mean"), (journalist, "max"), (journalist, "mean"))
    for place, name in (*places, (marketer, "within_release"), (marketer, "in_population")):
        value = place.get(name)
        if isinstance(value, str) and value.startswith(">"):
            place[name] = few
        elif isinstance(value, float):
            place[name] = round(math.ceil(_STEPS * value - 1e-9) / _STEPS, 2)


def _most(chance: Any, k: int, minimum: int) -> Any:
    """The chance in the smallest class, as coarse as the size of that class."""
    if not isinstance(chance, float) or chance in (0.0, 1.0):
        return chance
    size = round(1 / chance)
    return f">{1 / k:.2f}" if size < k else round(1 / _smallest(size, k, minimum), 4)


def _gate(entry: Json, k: int, total: int | str | None, share: float | None, minimum: int) -> dict[str, Any]:
    result = dict(entry)
    if not entry["ok"]:
        return result
    if entry["name"] in ("k_min", "series_k_min"):
        result["value"] = _smallest(entry["value"], k, minimum)
    elif entry["name"] in ("persons", "suppressed_persons"):
        result["value"] = rounded(entry["value"], minimum)
        if entry["name"] == "suppressed_persons" and isinstance(total, int) and share is not None:
            result["limit"] = int(share * total + 1e-9)
    return result


def _series(series: Json, minimum: int) -> dict[str, Any]:
    """The risk across releases: gated sizes as above, classes of a few as masked counts."""
    result: dict[str, Any] = _coarse(series, minimum)
    result["gate"] = [_gate(entry, series["k"], None, None, minimum) for entry in series["gate"]]
    parts = [*result["releases"], *([result["together"]] if result["together"] else [])]
    for part in parts:
        if "k_min" in part:
            part["k_min"] = _smallest(part["k_min"], series["k"], minimum)
        if isinstance(part.get("k_min_in_both"), int):
            part["k_min_in_both"] = rounded(part["k_min_in_both"], minimum)
        for way in ("appeared", "vanished"):
            if isinstance(part.get(way), Mapping) and isinstance(part[way]["k_min"], int):
                part[way]["k_min"] = rounded(part[way]["k_min"], minimum)
    return result
