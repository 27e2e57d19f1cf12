"""Holds the strongest attacker against the limits, table by table, for all tables joined and for groups of columns.

A *set* of columns is attacked as a whole and through every set and every single column inside it; the strongest counts.
Whether data of this size could pass at all is read from permuted identities, with the same strongest of the same
attackers. Passing means that these attackers found little. It does not mean that nobody can be recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sensai_release.privacy.actions import Floats
from sensai_release.privacy.linkability import attackers
from sensai_release.privacy.linkability.attackers import Layout, Outcomes
from sensai_release.privacy.linkability.features import FeatureColumn, SessionFeatures
from sensai_release.privacy.linkability.intervals import Rates, draws, equal_error_rate, never_seen, rates
from sensai_release.privacy.linkability.limits import Limits
from sensai_release.privacy.linkability.report import LinkabilityReport
from sensai_release.privacy.masking import MINIMUM, mask_counts

Json = dict[str, Any]
GATED = ("A", "B", "C")
"""Classes whose columns the gate looks at. Clinical columns are reported: what others know of them is k's affair."""
_NULL_SHARE = 0.95
_PROOF_SHARE = 0.9875
"""Of permutations that a proof must beat: two measures share an error of 2.5 %, as either can fail a release."""
_ENOUGH_TO_FAIL = 80
"""Permutations where so few people cannot pass: to beat all eighty is to beat 98.75 %, and no more is asked of them."""
_WHOLE = ("cosine", "distance", "wccn", "plda")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is computed: permutations for the null (0: none), draws of the bootstrap, and the seed of both."""

    permutations: int = 100
    bootstraps: int = 400
    seed: int = 20260101


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSet:
    """Columns of the matrix (`members`, indices) attacked together. `kind` is joined, table, class, group or all."""

    kind: str
    name: str
    members: tuple[int, ...]
    gated: bool = False
    idclass: str = ""


def column_sets(features: SessionFeatures, gated: tuple[str, ...] = GATED) -> tuple[ColumnSet, ...]:
    """Joined, every table, every class, every group, and all columns with the clinical ones; the gated ones first."""
    columns = features.columns

    def chosen(test: Callable[[FeatureColumn], bool]) -> tuple[int, ...]:
        return tuple(number for number, column in enumerate(columns) if test(column))

    sets = [ColumnSet(kind="joined", name="joined", members=chosen(lambda c: c.idclass in gated), gated=True)]
    for table in sorted({column.table for column in columns}):
        members = chosen(lambda c, t=table: c.table == t and c.idclass in gated)  # type: ignore[misc]
        sets.append(ColumnSet(kind="table", name=table, members=members, gated=True))
    for idclass in sorted({column.idclass for column in columns}):
        members = chosen(lambda c, i=idclass: c.idclass == i)  # type: ignore[misc]
        sets.append(ColumnSet(kind="class", name=f"class {idclass}", members=members, idclass=idclass))
    for number, group in enumerate(features.groups):
        members = chosen(lambda c, n=number: c.group == n)  # type: ignore[misc]
        sets.append(ColumnSet(kind="group", name=group.name, members=members, idclass=group.idclass))
    sets.append(ColumnSet(kind="all", name="all released columns", members=tuple(range(len(columns)))))
    return tuple(entry for entry in sets if entry.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attacker on some columns, and how well it did. `key` names it in a report."""

    key: str
    members: frozenset[int]
    rates: Mapping[str, Rates]


def can_audit(features: SessionFeatures) -> bool:
    """Whether a person has several sessions, there is another person, and there is something to compare."""
    sizes = np.bincount(features.persons) if len(features.persons) else np.zeros(1, dtype=np.int64)
    return bool(sizes.max() > 1 and len(sizes) > 1 and features.columns)


def audit(
    features: SessionFeatures,
    *,
    limits: Limits | None = None,
    effort: Effort | None = None,
    gated: tuple[str, ...] = GATED,
    cannot_assess: str = "report",
    minimum: int = MINIMUM,
) -> LinkabilityReport:
    """The report of one release. `cannot_assess` says what becomes of the gate where nothing can be told: `report`
    leaves `ok` open (`None`), `refuse` closes it.
    """
    limits, effort = limits or Limits(), effort or Effort()
    sizes = np.bincount(features.persons) if len(features.persons) else np.zeros(0, dtype=np.int64)
    persons = mask_counts({"one_session": int((sizes == 1).sum()), "several_sessions": int((sizes > 1).sum())}, minimum)
    common: Json = {
        "persons": persons,
        "limits": {"rank1": limits.rank1, "auc": limits.auc},
        "gated_classes": tuple(gated),
        "permutations": effort.permutations,
        "bootstraps": effort.bootstraps,
        "left_out": features.left_out,
    }
    if not can_audit(features):
        gate = _gate({"rank1": (None, "cannot_assess"), "auc": (None, "cannot_assess")}, limits, cannot_assess)
        return LinkabilityReport(
            **common, status="cannot_assess", reason="no_repeated_sessions", chance=None, sets=(), gate=gate
        )
    several = int((sizes > 1).sum())
    if never_seen(several) > limits.rank1:
        effort = replace(effort, permutations=min(effort.permutations, _ENOUGH_TO_FAIL))
        common["permutations"] = effort.permutations
    plan = attackers.layout(features.persons, permutations=effort.permutations, seed=effort.seed)
    drawn = draws(plan, count=effort.bootstraps, seed=effort.seed)
    sets = column_sets(features, gated)
    attacks = all_attacks(features, sets, plan, drawn)
    # Sets with the same columns have the same error rate, which is slow to compute.
    error_rates: dict[frozenset[int], Json | None] = {}
    entries = tuple(_entry(one, features, attacks, plan, drawn, limits, error_rates) for one in sets)
    joined = next((entry for entry in entries if entry["kind"] == "joined"), None)
    measures: dict[str, tuple[float | None, str]] = dict.fromkeys(("rank1", "auc"), (None, "cannot_assess"))
    if joined is not None:
        measures = {
            "rank1": (joined["rank1"]["high"], joined["rank1"]["status"]),
            "auc": (joined["auc"]["distance_high"], joined["auc"]["status"]),
        }
    status = _worst([state for _, state in measures.values()])
    return LinkabilityReport(
        **common,
        status=status,
        reason=("too_few_sessions" if joined else "no_gated_columns") if status == "cannot_assess" else None,
        chance=round(plan.chance(), 4),
        sets=entries,
        gate=_gate(measures, limits, cannot_assess),
    )


def all_attacks(
    features: SessionFeatures, sets: tuple[ColumnSet, ...], plan: Layout, drawn: Floats
) -> tuple[Attack, ...]:
    """Every attacker on every column and on every set; sets with the same columns are attacked once."""
    made: list[Attack] = []

    def add(key: str, members: frozenset[int], outcomes: Outcomes) -> None:
        made.append(Attack(key=key, members=members, rates=rates(outcomes, plan, drawn)))

    for number, column in enumerate(features.columns):
        outcomes = attackers.nearest_in_column(features.values[:, number], plan)
        add(f"nearest in {column.name}", frozenset([number]), outcomes)
    homes = digit_homes(features)
    for number, column in enumerate(features.digit_columns):
        if homes[number]:
            outcomes = attackers.nearest_in_digits(features.digits[:, number], plan)
            add(f"last digit of {column.name.removesuffix(':digit')}", homes[number], outcomes)
    seen: set[frozenset[int]] = set()
    for one in sets:
        members = frozenset(one.members)
        if members in seen:
            continue
        seen.add(members)
        whole = one.kind != "group"
        for key, outcomes in set_attacks(features.values[:, one.members], plan, whole=whole).items():
            add(f"{key}: {one.name}", members, outcomes)
        inside = [number for number, home in enumerate(homes) if home and home <= members]
        if whole and inside:
            low = attackers.circular(features.digits[:, inside], digit_bases(features)[inside])
            for key, outcomes in digit_attacks(low, len(inside), plan).items():
                add(f"{key} of last digits: {one.name}", members, outcomes)
    return tuple(made)


def set_attacks(values: Floats, plan: Layout, *, whole: bool = True) -> dict[str, Outcomes]:
    """The attackers that look at several columns; for a group that is not `whole`, one learnt metric is enough."""
    found: dict[str, Outcomes] = {}
    if values.shape[1] > 1:
        if attackers.can_learn(plan):
            found = attackers.learned(values, plan, names=("wccn", "plda") if whole else ("plda",))
        found |= {"cosine": attackers.cosine(values, plan), "distance": attackers.distance(values, plan)}
    return found


def digit_attacks(low: Floats, columns: int, plan: Layout) -> dict[str, Outcomes]:
    """Cosine over parity and circle of the last digits, and a metric learnt on the parities."""
    found = {"cosine": attackers.cosine(low, plan)}
    if columns > 1 and attackers.can_learn(plan):
        found["plda"] = attackers.learned(low[:, :columns], plan, names=("plda",))["plda"]
    return found


def digit_homes(features: SessionFeatures) -> list[frozenset[int]]:
    """For every column of last digits, the columns of the matrix that the same released column made."""
    place: dict[tuple[str, str], set[int]] = {}
    for number, column in enumerate(features.columns):
        place.setdefault((column.table, column.column), set()).add(number)
    return [frozenset(place.get((column.table, column.column), ())) for column in features.digit_columns]


def digit_bases(features: SessionFeatures) -> Floats:
    """10 for decimal digits, 16 where the last bits were taken."""
    return np.where(features.digits[:, :, 10:].max(axis=(0, 2), initial=0.0) > 0, 16.0, 10.0)


def _entry(
    one: ColumnSet,
    features: SessionFeatures,
    attacks: tuple[Attack, ...],
    plan: Layout,
    drawn: Floats,
    limits: Limits,
    error_rates: dict[frozenset[int], Json | None],
) -> Json:
    """What the report says of one set: the strongest attackers inside it, held against permuted identities."""
    members = frozenset(one.members)
    inside = [attack for attack in attacks if attack.members <= members]
    rank1, auc = strongest_rank1(inside), strongest_auc(inside)
    entry: Json = {
        "kind": one.kind,
        "name": one.name,
        "class": one.idclass or None,
        "columns": len({(features.columns[number].table, features.columns[number].column) for number in members}),
        "gated": one.gated,
        "rank1": rank1.describe(limits.rank1),
        "auc": auc.describe(limits.auc),
        "eer": None,
    }
    entry["status"] = _worst([entry["rank1"]["status"], entry["auc"]["status"]])
    if one.kind != "group":
        if members not in error_rates:
            error_rates[members] = _error_rate(one, features, inside, plan, drawn)
        entry["eer"] = error_rates[members]
    return entry


def _error_rate(
    one: ColumnSet, features: SessionFeatures, inside: list[Attack], plan: Layout, drawn: Floats
) -> Json | None:
    """The equal error rate of the strongest attacker on all columns of a set together; none on a single column."""
    members = frozenset(one.members)
    own = [attack for attack in inside if attack.members == members and attack.key.split(":")[0] in _WHOLE]
    if not own:
        return None
    best = strongest_auc(own)
    scores = attackers.scores_of(best.attacker.split(":")[0], features.values[:, one.members], plan)
    rate = equal_error_rate(-scores if best.value < 0.5 else scores, plan, drawn)
    return {
        "attacker": best.attacker,
        "value": round(rate.value, 4),
        "low": round(rate.low, 4),
        "high": round(rate.high, 4),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Strongest:
    """The attacker with the highest upper bound, and the null of such strongest attackers.

    `distance` and its bounds are what the limit is for: rank-1 itself, or |AUC - 0.5|. `sure` is the highest lower
    bound of an attacker that beats 98.75 % of the permutations.
    """

    attacker: str
    value: float
    low: float
    high: float
    distance: float
    distance_high: float
    sure: float
    null: float
    null_high: float
    p: float | None
    measure: str

    def status(self, limit: float) -> str:
        """Passed below the limit. Above it: failed, unless harmless data of this size would be as well and the lower
        bound does not prove the contrary.
        """
        if self.distance_high <= limit:
            return "passed"
        if self.sure > limit or self.null_high <= limit:
            return "failed"
        return "cannot_assess"

    def describe(self, limit: float) -> Json:
        entry: Json = {
            "attacker": self.attacker,
            "value": round(self.value, 4),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
        }
        if self.measure == "auc":
            entry["distance_high"] = round(self.distance_high, 4)
        has_null = self.p is not None
        entry["null"] = {"value": round(self.null, 4), "high": round(self.null_high, 4)} if has_null else None
        entry["p"] = round(self.p, 4) if self.p is not None else None
        entry["status"] = self.status(limit)
        return entry


def strongest_rank1(attacks: list[Attack]) -> Strongest:
    """The nearest session, or with the sign flipped the farthest one."""
    named = [
        (attack.key if side == "nearest" else f"{attack.key} (flipped)", attack.rates[side])
        for attack in attacks
        for side in ("nearest", "farthest")
    ]
    value, low, high = (np.stack([getattr(rate, part) for _, rate in named]) for part in ("value", "low", "high"))
    return _strongest([key for key, _ in named], value, low, high, (value, low, high), "rank1")


def strongest_auc(attacks: list[Attack]) -> Strongest:
    """Two-sided: an AUC below 0.5 is as much use to an attacker, who flips the sign."""
    found = [attack.rates["auc"] for attack in attacks]
    value, low, high = (np.stack([getattr(rate, part) for rate in found]) for part in ("value", "low", "high"))
    distance = np.abs(value - 0.5)
    nearest = np.maximum(np.maximum(low - 0.5, 0.5 - high), 0.0)
    farthest = np.maximum(high - 0.5, 0.5 - low)
    return _strongest([attack.key for attack in attacks], distance, nearest, farthest, (value, low, high), "auc")


def _strongest(
    names: list[str],
    distance: Floats,
    nearest: Floats,
    farthest: Floats,
    shown: tuple[Floats, Floats, Floats],
    measure: str,
) -> Strongest:
    best = min(range(len(names)), key=lambda at: (-farthest[at, 0], -distance[at, 0], names[at]))
    strongest, upper = distance.max(axis=0), farthest.max(axis=0)
    null, bounds = strongest[1:], upper[1:]
    needed = float(np.quantile(null, _PROOF_SHARE, method="higher")) if len(null) else np.inf
    proved = nearest[distance[:, 0] > needed, 0]
    return Strongest(
        attacker=names[best],
        value=float(shown[0][best, 0]),
        low=float(shown[1][best, 0]),
        high=float(shown[2][best, 0]),
        distance=float(distance[best, 0]),
        distance_high=float(farthest[best, 0]),
        sure=float(proved.max(initial=0.0)),
        null=float(np.quantile(null, _NULL_SHARE, method="higher")) if len(null) else np.nan,
        # Without a null nothing excuses a bound above the limit.
        null_high=float(np.quantile(bounds, _NULL_SHARE, method="higher")) if len(null) else 0.0,
        p=float((1 + (null >= strongest[0] - 1e-12).sum()) / (1 + len(null))) if len(null) else None,
        measure=measure,
    )


def _worst(states: list[str]) -> str:
    return next((state for state in ("failed", "cannot_assess") if state in states), "passed")


def _gate(measures: Mapping[str, tuple[float | None, str]], limits: Limits, cannot_assess: str) -> tuple[Json, ...]:
    outcome = {"passed": True, "failed": False, "cannot_assess": None if cannot_assess == "report" else False}
    bounds = {"rank1": limits.rank1, "auc": limits.auc}
    return tuple(
        {"name": f"linkability_{name}", "value": value, "limit": bounds[name], "ok": outcome[state], "status": state}
        for name, (value, state) in measures.items()
    )
