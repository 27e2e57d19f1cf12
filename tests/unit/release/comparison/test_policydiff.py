"""Which changes of a policy let more out; what cannot be ordered counts as looser."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sensai_release.release.comparison.policydiff import policy_changes

COLUMN = {"class": "B", "role": "quasi_identifier", "tier": 2, "action": "round(digits=3)", "missing": "stays"}
POLICY: dict[str, Any] = {
    "profile": "controlled",
    "k": 5,
    "l": 2,
    "t": None,
    "max_suppressed": 0.05,
    "linkability": {"auc": 0.2, "rank1": 0.09, "cannot_assess": "report"},
    "l_exceptions": {},
    "generalisation": {"participants": {"levels": [{"column": "age", "level": 2}]}},
    "columns": {"participants": {"age": COLUMN}},
}


def test_the_same_policy_has_no_changes() -> None:
    assert policy_changes(POLICY, copy.deepcopy(POLICY)) == ()


@pytest.mark.parametrize(
    ("place", "value", "loosened"),
    [
        (("k",), 4, True),
        (("k",), 11, False),
        (("l",), None, True),
        (("t",), 0.3, False),
        (("max_suppressed",), 0.1, True),
        (("max_suppressed",), 0.01, False),
        (("profile",), "frame-level", True),
        (("linkability", "rank1"), 0.5, True),
        (("linkability", "auc"), 0.1, False),
        (("linkability", "cannot_assess"), "ignore", True),
        (("l_exceptions",), {"group": "all have it"}, True),
        (("generalisation", "participants", "levels", 0, "level"), 1, True),
        (("generalisation", "participants", "levels", 0, "level"), 3, False),
        (("columns", "participants", "age", "class"), "C", True),
        (("columns", "participants", "age", "class"), "X", False),
        (("columns", "participants", "age", "class"), "new", True),
        (("columns", "participants", "age", "role"), "insensitive", True),
        (("columns", "participants", "age", "tier"), None, True),
        (("columns", "participants", "age", "tier"), 1, False),
        (("columns", "participants", "age", "action"), "round(digits=4)", True),
        (("columns", "participants", "age", "action"), "round(digits=2)", False),
        (("columns", "participants", "age", "action"), "keep", True),
        (("columns", "participants", "age", "missing"), "goes", False),
    ],
)
def test_each_change_says_whether_more_gets_out(place: tuple[Any, ...], value: Any, loosened: bool) -> None:
    new = copy.deepcopy(POLICY)
    held: Any = new
    for step in place[:-1]:
        held = held[step]
    held[place[-1]] = value
    (change,) = policy_changes(POLICY, new)
    assert change["loosened"] is loosened
    assert (change["table"] is None) == (place[0] not in ("columns", "generalisation"))


def test_columns_that_come_and_go_are_not_the_policys() -> None:
    new = copy.deepcopy(POLICY)
    new["columns"] = {"participants": {"sex": COLUMN}, "sessions": {"day": COLUMN}}
    assert policy_changes(POLICY, new) == ()
