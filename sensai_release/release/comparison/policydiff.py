"""How the policy of two releases differs, and which of the changes let more out than before.

Reads the policy documents that lie in releases (`reports/policy.json`). What cannot be ordered counts as looser: a
recipient must be told once too often rather than once too little. Columns that come and go are `tablediff`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]

# For each limit of a profile: whether a larger one lets more out.
_LIMITS = {"k": False, "l": False, "t": True, "max_suppressed": True}
_CLASSES = {"C": 0, "clinical": 1, "B": 1, "A": 2, "X": 3}
_ROLES = {"insensitive": 0, "sensitive": 1, "quasi_identifier": 2, "direct_identifier": 3}
_TIERS = {None: 0, 2: 1, 1: 2}
_FIELDS = ("class", "role", "tier", "action", "missing")


def policy_changes(old: Json, new: Json) -> tuple[dict[str, Any], ...]:
    """Each change as `table`, `column`, `field`, `old`, `new`, `loosened`; the first two are null for the profile."""
    return tuple(
        {"table": table, "column": column, "field": field, "old": before, "new": after, "loosened": loosened}
        for table, column, field, before, after, loosened in (
            *_profile(old, new), *_levels(old, new), *_columns(old, new))
    )  # fmt: skip


def _profile(old: Json, new: Json) -> Iterator[tuple[Any, ...]]:
    for field in ("profile", "catalogue"):
        if old.get(field) != new.get(field):
            # A catalogue that changed shows in the classes of columns, which are compared one by one.
            yield None, None, field, old.get(field), new.get(field), field == "profile"
    for field, larger in _LIMITS.items():
        yield from _limit(field, old.get(field), new.get(field), larger=larger)
    limits = [document.get("linkability") or {} for document in (old, new)]
    for name in sorted(limits[0].keys() | limits[1].keys()):
        before, after = (side.get(name) for side in limits)
        if all(isinstance(value, int | float) or value is None for value in (before, after)):
            yield from _limit(f"linkability {name}", before, after, larger=True)
        elif before != after:
            yield None, None, f"linkability {name}", before, after, True
    before, after = (document.get("l_exceptions") or {} for document in (old, new))
    for name in sorted(before.keys() ^ after.keys()):
        yield (
            None,
            None,
            "l exception",
            name if name in before else None,
            name if name in after else None,
            name in after,
        )


def _limit(field: str, before: Any, after: Any, *, larger: bool) -> Iterator[tuple[Any, ...]]:
    if before == after:
        return
    # No limit at all is the loosest one.
    loosened = after is None or (before is not None and (after > before) == larger)
    yield None, None, field, before, after, loosened


def _levels(old: Json, new: Json) -> Iterator[tuple[Any, ...]]:
    """Levels of generalisation: a lower one tells more."""
    sides = [
        {
            (table, entry["column"]): entry["level"]
            for table, chosen in (document.get("generalisation") or {}).items()
            for entry in chosen.get("levels", ())
        }
        for document in (old, new)
    ]
    for place in sorted(sides[0].keys() & sides[1].keys()):
        before, after = sides[0][place], sides[1][place]
        if before != after:
            # Where no levels pass, all is at the top.
            finer = after is not None and (before is None or after < before)
            yield (*place, "level", before, after, finer)


def _columns(old: Json, new: Json) -> Iterator[tuple[Any, ...]]:
    for table, after in (new.get("columns") or {}).items():
        before = (old.get("columns") or {}).get(table, {})
        for column in sorted(before.keys() & after.keys()):
            for field in _FIELDS:
                pair = before[column].get(field), after[column].get(field)
                if pair[0] != pair[1]:
                    yield table, column, field, *pair, _loosened(field, *pair)


def _loosened(field: str, before: Any, after: Any) -> bool:
    if field == "missing":
        return False
    if field == "action":
        return not _coarser(str(before), str(after))
    orders: dict[str, Mapping[Any, int]] = {"class": _CLASSES, "role": _ROLES, "tier": _TIERS}
    order = orders[field]
    return before not in order or after not in order or order[after] < order[before]


def _coarser(before: str, after: str) -> bool:
    """Whether an action takes away at least what another did: only where both are the same but for one number."""
    for name, larger in (("digits", False), ("seconds", True), ("level", True)):
        pattern = rf"\b{name}=([0-9.]+)"
        found = [re.search(pattern, text) for text in (before, after)]
        if all(found) and re.sub(pattern, "", before) == re.sub(pattern, "", after):
            values = [float(match[1]) for match in found if match]
            return (values[1] > values[0]) == larger
    return False
