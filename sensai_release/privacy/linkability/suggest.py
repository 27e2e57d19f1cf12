"""The mildest change of columns under which the audit would pass, found greedily and checked to be minimal.

A change is made to a group of columns, since that is what a schema's entry decides: ten or three bins of equal numbers
of sessions, or leaving the group out. Loss is the sum over the changed groups of their number of released columns times
the strength of the change times the worth of their class (A gives way before B, B before C). Inside the search the
upper bounds are computed without a null; the answer is then audited whole, as a release would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sensai_release.privacy.actions import Floats
from sensai_release.privacy.linkability import attackers
from sensai_release.privacy.linkability.attackers import Layout
from sensai_release.privacy.linkability.audit import (
    GATED,
    Attack,
    Effort,
    all_attacks,
    can_audit,
    column_sets,
    digit_attacks,
    digit_bases,
    digit_homes,
    set_attacks,
    strongest_auc,
    strongest_rank1,
)
from sensai_release.privacy.linkability.features import SessionFeatures
from sensai_release.privacy.linkability.intervals import draws, never_seen, rates
from sensai_release.privacy.linkability.limits import Limits

KEEP, TEN, THREE, DROP = "keep", "ten_bins", "three_bins", "drop"
CHANGES = (KEEP, TEN, THREE, DROP)
"""From mild to severe."""
_STRENGTH = {KEEP: 0.0, TEN: 0.2, THREE: 0.5, DROP: 1.0}
_WORTH = {"A": 1.0, "B": 2.0, "C": 4.0, "clinical": 8.0}
_BINS = {TEN: 10, THREE: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """`status`: not_needed, found, none_found or cannot_assess. `changes` holds group, class, columns and change;
    `rank1_high` and `auc_distance_high` are the upper bounds after them, `loss` the share of the columns' worth that is
    given up.
    """

    status: str
    changes: tuple[Mapping[str, Any], ...] = ()
    rank1_high: float | None = None
    auc_distance_high: float | None = None
    loss: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "changes": [dict(change) for change in self.changes],
            "rank1_high": self.rank1_high,
            "auc_distance_high": self.auc_distance_high,
            "loss": self.loss,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Suggestion:
        return cls(**{**data, "changes": tuple(data["changes"])})


def suggest(
    features: SessionFeatures,
    *,
    limits: Limits | None = None,
    effort: Effort | None = None,
    gated: tuple[str, ...] = GATED,
) -> Suggestion:
    """The changes that would pass, none of which can be taken back or made milder while the others stay.

    Deterministic: equal gains go to the smaller loss, then to the group's name. `cannot_assess` where there are no
    repeated sessions, or so few people that no data of this size could pass.
    """
    limits = limits or Limits()
    effort = replace(effort or Effort(), permutations=0)
    if not can_audit(features):
        return Suggestion(status="cannot_assess")
    search = _Search(features, limits, effort, gated)
    if search.too_few:
        return Suggestion(status="cannot_assess")
    if search.passes({}):
        return Suggestion(status="not_needed")
    changes = search.grown()
    if changes is None:
        return Suggestion(status="none_found")
    changes = search.eased(changes)
    rank1, auc = audited(changed(features, changes), effort, gated)
    if rank1 > limits.rank1 or auc > limits.auc:
        return Suggestion(status="none_found")
    total = sum(search.loss(group, DROP) for group in search.groups)
    return Suggestion(
        status="found",
        changes=tuple(
            {
                "group": features.groups[group].name,
                "class": features.groups[group].idclass,
                "columns": list(features.groups[group].columns),
                "change": changes[group],
            }
            for group in sorted(changes, key=lambda group: features.groups[group].name)
        ),
        rank1_high=round(rank1, 4),
        auc_distance_high=round(auc, 4),
        loss=round(sum(search.loss(group, change) for group, change in changes.items()) / total, 4),
    )


def audited(features: SessionFeatures, effort: Effort, gated: tuple[str, ...]) -> tuple[float, float]:
    """The upper bounds that the gate looks at, from all attackers; 0 where no gated column is left."""
    sets = column_sets(features, gated)
    if not can_audit(features) or not sets or sets[0].kind != "joined":
        return 0.0, 0.0
    plan = attackers.layout(features.persons, permutations=0, seed=effort.seed)
    found = all_attacks(features, sets, plan, draws(plan, count=effort.bootstraps, seed=effort.seed))
    inside = [attack for attack in found if attack.members <= frozenset(sets[0].members)]
    return strongest_rank1(inside).distance_high, strongest_auc(inside).distance_high


def changed(features: SessionFeatures, changes: Mapping[int, str]) -> SessionFeatures:
    """The features with groups left out or in bins. Bins have no last digits; what is left keeps its own."""
    keep = [number for number, column in enumerate(features.columns) if changes.get(column.group) != DROP]
    values = features.values[:, keep].copy()
    for at, number in enumerate(keep):
        change = changes.get(features.columns[number].group, KEEP)
        if change != KEEP:
            values[:, at] = binned(values[:, at], _BINS[change])
    alive = np.ptp(values, axis=0) > 0 if values.shape[1] else np.zeros(0, dtype=bool)
    low = [n for n, column in enumerate(features.digit_columns) if changes.get(column.group, KEEP) == KEEP]
    return replace(
        features,
        values=values[:, alive],
        columns=tuple(features.columns[number] for number, live in zip(keep, alive, strict=True) if live),
        digits=features.digits[:, low],
        digit_columns=tuple(features.digit_columns[number] for number in low),
    )


def binned(values: Floats, bins: int) -> Floats:
    """The number of the bin of each value; bins hold about equal numbers of sessions, and equal values share one."""
    edges = np.quantile(values, np.linspace(0.0, 1.0, bins + 1)[1:-1])
    return np.searchsorted(np.unique(edges), values, side="right").astype(np.float64)


class _Search:
    """Quick bounds: attackers on single columns and on groups are computed once for each change of a group."""

    def __init__(self, features: SessionFeatures, limits: Limits, effort: Effort, gated: tuple[str, ...]) -> None:
        self._features = features
        self._limits = limits
        self._gated = gated
        self._plan: Layout = attackers.layout(features.persons, permutations=0, seed=effort.seed)
        self._drawn = draws(self._plan, count=effort.bootstraps, seed=effort.seed)
        self._alone: dict[tuple[int, str], float] = {}
        self._together: dict[tuple[tuple[int, str], ...], bool] = {}
        used = {column.group for column in features.columns if column.idclass in gated}
        self.groups = sorted(used, key=lambda group: features.groups[group].name)

    @property
    def too_few(self) -> bool:
        return never_seen(self._plan.people) > self._limits.rank1

    def loss(self, group: int, change: str) -> float:
        entry = self._features.groups[group]
        return max(len(entry.columns), 1) * _STRENGTH[change] * _WORTH[entry.idclass]

    def passes(self, changes: Mapping[int, str]) -> bool:
        left = [group for group in self.groups if changes.get(group) != DROP]
        return (
            bool(left)
            and all(self.alone(group, changes.get(group, KEEP)) <= 0 for group in left)
            and self.together(changes)
        )

    def alone(self, group: int, change: str) -> float:
        """By how much the strongest attacker inside one group exceeds a limit (in shares of it; below 0: passes)."""
        if (group, change) not in self._alone:
            rest = dict.fromkeys(range(len(self._features.groups)), DROP) | {group: change}
            part = changed(self._features, rest)
            made = self._attacks(set_attacks(part.values, self._plan, whole=False))
            self._alone[group, change] = self._excess(self._singles(part) + made)
        return self._alone[group, change]

    def together(self, changes: Mapping[int, str]) -> bool:
        """Whether what several groups tell together stays below the limits: all of them, each table, each class.

        The likeliest to fail come first, and the first failure ends it.
        """
        key = tuple(sorted((group, change) for group, change in changes.items() if change != KEEP))
        if key not in self._together:
            others = [group for group in range(len(self._features.groups)) if group not in self.groups]
            part = changed(self._features, dict.fromkeys(others, DROP) | dict(changes))
            self._together[key] = all(self._excess([attack]) <= 0 for attack in self._sets(part))
        return self._together[key]

    def grown(self) -> dict[int, str] | None:
        """Changes that pass: first what fails alone, then groups one by one, the most telling for their loss first.

        `None` when nothing is left before the rest passes.
        """
        changes: dict[int, str] = {}
        for group in self.groups:
            change = next(change for change in CHANGES if change == DROP or self.alone(group, change) <= 0)
            if change != KEEP:
                changes[group] = change
        rest = [group for group in self.groups if changes.get(group) != DROP]
        rest.sort(key=lambda g: ((1.0 + self.alone(g, KEEP)) / -self.loss(g, DROP), self._features.groups[g].name))
        for group in rest:
            if self.passes(changes):
                break
            changes[group] = DROP
        return changes if self.passes(changes) else None

    def eased(self, changes: dict[int, str]) -> dict[int, str]:
        """Takes changes back, or makes them milder, as long as the rest passes; the costliest first, until none can."""
        before: dict[int, str] | None = None
        while before != changes:
            before = changes
            for group in sorted(before, key=lambda g: (-self.loss(g, before[g]), self._features.groups[g].name)):
                changes = next((trial for trial in self._milder(changes, group) if self.passes(trial)), changes)
        return changes

    @staticmethod
    def _milder(changes: dict[int, str], group: int) -> list[dict[int, str]]:
        steps = CHANGES[: CHANGES.index(changes[group])]
        others = {other: change for other, change in changes.items() if other != group}
        return [others | ({group: step} if step != KEEP else {}) for step in steps]

    def _singles(self, part: SessionFeatures) -> list[Attack]:
        made = [
            self._attack(attackers.nearest_in_column(part.values[:, n], self._plan)) for n in range(len(part.columns))
        ]
        homes = digit_homes(part)
        made += [
            self._attack(attackers.nearest_in_digits(part.digits[:, n], self._plan))
            for n in range(len(part.digit_columns))
            if homes[n]
        ]
        return made

    def _sets(self, part: SessionFeatures) -> Iterator[Attack]:
        subsets = [tuple(range(len(part.columns)))]
        for attribute in ("table", "idclass"):
            names = sorted({getattr(column, attribute) for column in part.columns})
            subsets += [tuple(n for n, c in enumerate(part.columns) if getattr(c, attribute) == name) for name in names]
        homes = digit_homes(part)
        for members in dict.fromkeys(subsets):
            yield from self._attacks(set_attacks(part.values[:, members], self._plan))
            inside = [n for n, home in enumerate(homes) if home and home <= set(members)]
            if inside:
                low = attackers.circular(part.digits[:, inside], digit_bases(part)[inside])
                yield from self._attacks(digit_attacks(low, len(inside), self._plan))

    def _attacks(self, found: Mapping[str, attackers.Outcomes]) -> list[Attack]:
        return [self._attack(outcomes) for outcomes in found.values()]

    def _attack(self, outcomes: attackers.Outcomes) -> Attack:
        return Attack(key="", members=frozenset(), rates=rates(outcomes, self._plan, self._drawn))

    def _excess(self, attacks: list[Attack]) -> float:
        if not attacks:
            return -1.0
        rank1, auc = strongest_rank1(attacks).distance_high, strongest_auc(attacks).distance_high
        return max(rank1 / max(self._limits.rank1, 1e-9), auc / max(self._limits.auc, 1e-9)) - 1.0
