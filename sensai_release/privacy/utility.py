"""What a release is still good for: its source and the released data side by side, in four measures.

Cross-validated models of the declared targets; the overlap of confidence intervals of means and slopes (Karr et al.
2006, https://doi.org/10.1198/000313006X124640); the propensity score measure pMSE and its ratio to the value expected
of data from the same distribution, S_pMSE (Snoke et al. 2018, https://doi.org/10.1111/rssa.12358); and the information
lost per column. All over arrays in memory; reading source and release is `pipeline.utility`'s. Reports hold no mean, no
coefficient and no value of a person, and nothing that fewer than ten persons stand behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from sensai_release.privacy.classes import encode
from sensai_release.privacy.masking import MINIMUM, rounding_base
from sensai_release.privacy.models import (
    Codes,
    Floats,
    Kind,
    Scale,
    area_under_curve,
    bootstrap,
    cross_validated,
    logistic,
    predict,
    r_squared,
)

Json = Mapping[str, Any]
_Z = 1.959963984540054
_ROWS_PER_COLUMN = 10
_SEED = 20060601
_DRAWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a model is to predict, one value a session: a number (ridge, R²), or 0 and 1 (logistic, AUC)."""

    name: str
    kind: Kind
    values: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionData:
    """Sessions of the release in one order. `source` and `released` are features by name, one value a session (NaN is
    missing). `comparable` are the names that mean the same in both. `persons` and `folds` are codes per session.
    """

    persons: Codes
    folds: Codes
    source: Mapping[str, Floats]
    released: Mapping[str, Floats]
    comparable: tuple[str, ...]
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPair:
    """A released column beside its source, row for row; numbers if both are numbers, else categories."""

    table: str
    column: str
    source: pa.ChunkedArray
    released: pa.ChunkedArray
    persons: Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityReport:
    """What may be published of a release's utility.

    `models`: `target`, `kind`, `score` (r2 or auc), and for `source` and `released` the number of `columns` and
    `grouped` and `random` folds, each `value`, `low`, `high` (95 %, bootstrap over persons). `intervals`: `estimate`
    (mean, or slope of a target), `column`, `overlap` from 0 to 1. `propensity`: `pmse`, `s_pmse`, `columns`, `rows`.
    `loss`: `table`, `column`, `measure` (`nrmse` or `entropy`), `value` (0 nothing lost). `skipped`: what could not be
    measured and why. `warnings`: sentences for users of the data.
    """

    persons: int | str
    sessions: int | str
    folds: int
    models: tuple[Json, ...] = ()
    intervals: tuple[Json, ...] = ()
    propensity: Json | None = None
    loss: tuple[Json, ...] = ()
    skipped: tuple[Json, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, tuple):
                value = [dict(entry) if isinstance(entry, Mapping) else entry for entry in value]
            result[name] = value
        return result

    @classmethod
    def from_dict(cls, data: Json) -> UtilityReport:
        """The inverse of `to_dict`."""
        values = {name: data[name] for name in cls.__dataclass_fields__}
        lists: dict[str, Any] = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values | lists)


def assess_utility(
    data: SessionData, columns: Sequence[ColumnPair] = (), *, minimum: int = MINIMUM, seed: int = _SEED
) -> UtilityReport:
    """The utility report. With fewer than `minimum` persons nothing is measured, and the report says so.

    `seed` draws the bootstrap samples and the random folds; the same input gives the same report.
    """
    persons = len(np.unique(data.persons))
    folds = len(np.unique(data.folds))
    if persons < minimum:
        nothing = {"what": "everything", "reason": f"fewer than {minimum} persons"}
        return UtilityReport(persons=f"<{minimum}", sessions=f"<{minimum}", folds=folds, skipped=(nothing,))
    models: list[Json] = []
    skipped: list[Json] = []
    for target in data.targets:
        if unfit := _unfit(target, data, minimum):
            skipped.append({"what": target.name, "reason": unfit})
        else:
            models.append(_model(target, data, seed))
    losses = [_loss(pair, minimum) for pair in columns]
    return UtilityReport(
        persons=persons,
        sessions=_sessions(data.persons, minimum),
        folds=folds,
        models=tuple(models),
        intervals=tuple(_intervals(data, minimum)),
        propensity=_propensity_of(data),
        loss=tuple(entry for entry in losses if "value" in entry),
        skipped=(*skipped, *(entry for entry in losses if "value" not in entry)),
        warnings=tuple(_warnings(models)),
    )


def _sessions(persons: Codes, minimum: int) -> int | str:
    """The number of sessions, rounded down as in every document."""
    base = rounding_base(np.unique(persons, return_counts=True)[1], minimum)
    return len(persons) - len(persons) % base if len(persons) >= base else f"<{base}"


def interval_overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The mean of the shares that the intersection of two intervals is of each; 1 for equal ones, 0 for disjoint ones.

    An interval of no width counts as wholly covered when it lies in the other.
    """
    shared = min(one[1], other[1]) - max(one[0], other[0])
    if shared < 0:
        return 0.0
    widths = (one[1] - one[0], other[1] - other[0])
    return sum(shared / width if width > 0 else 1.0 for width in widths) / 2


def mean_interval(values: Floats, persons: Codes) -> tuple[float, float]:
    """The 95 % interval of a mean over sessions, its error clustered by person (Liang and Zeger 1986)."""
    mean = float(values.mean())
    error = _clustered(values - mean, persons) / len(values)
    return mean - _Z * error, mean + _Z * error


def slope_interval(values: Floats, target: Floats, persons: Codes) -> tuple[float, float]:
    """The 95 % interval of the least-squares slope of a target on one column, its error clustered by person."""
    x = values - values.mean()
    spread = float(x @ x)
    slope = float(x @ target) / spread
    residual = target - target.mean() - slope * x
    error = _clustered(x * residual, persons) / spread
    return slope - _Z * error, slope + _Z * error


def _clustered(scores: Floats, persons: Codes) -> float:
    _, person = np.unique(persons, return_inverse=True)
    sums = np.bincount(person, scores)
    count = len(sums)
    return float(np.sqrt((sums**2).sum() * count / max(count - 1, 1)))


def propensity(source: Floats, released: Floats) -> tuple[float, float]:
    """The pMSE and S_pMSE of two tables with the same columns: can a logistic model tell the table of a row?

    S_pMSE is pMSE over its expectation for rows drawn anew from the distribution of the source, (k - 1)(1 - c)² c / N
    with k coefficients and the share c of released rows among N: about 1 then, and about 2 for a second sample of the
    population, as the source's own sampling error comes on top. Released rows are the source's own, changed a little,
    so that values far below 1 are usual here.
    """
    x = np.vstack([source, released])
    label = np.r_[np.zeros(len(source)), np.ones(len(released))]
    features = Scale.of(x)(x)
    share = float(label.mean())
    chance = predict(features, logistic(features, label, 0.0), "logistic")
    pmse = float(((chance - share) ** 2).mean())
    expected = features.shape[1] * (1 - share) ** 2 * share / len(label)
    return pmse, pmse / expected


def entropy_loss(source: pa.ChunkedArray, released: pa.ChunkedArray) -> float:
    """The share of the source's entropy that the released column does not tell: H(source | released) / H(source)."""
    before, after = encode(source), encode(released)
    whole = _entropy(before)
    joint = before * (int(after.max(initial=0)) + 1) + after
    return max(0.0, (_entropy(joint) - _entropy(after)) / whole) if whole > 0 else 0.0


def normalised_rmse(source: Floats, released: Floats) -> float:
    """The root mean square difference over the source's standard deviation, rows missing in either left out."""
    both = np.isfinite(source) & np.isfinite(released)
    difference = released[both] - source[both]
    deviation = float(source[both].std()) if both.any() else 0.0
    error = float(np.sqrt((difference**2).mean())) if both.any() else 0.0
    return error / deviation if deviation > 0 else float(error > 0)


def _entropy(codes: Codes) -> float:
    counts = np.unique(codes, return_counts=True)[1]
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0


def _unfit(target: Target, data: SessionData, minimum: int) -> str | None:
    known = np.isfinite(target.values)
    if len(np.unique(data.persons[known])) < minimum:
        return f"fewer than {minimum} persons have a value"
    if target.kind == "logistic":
        for value in (0.0, 1.0):
            if len(np.unique(data.persons[target.values == value])) < minimum:
                return f"fewer than {minimum} persons are in one of the groups"
    elif np.ptp(target.values[known]) == 0:
        return "all have the same value"
    if len(np.unique(data.folds[known])) < 2:
        return "all persons are in one fold"
    return None


def _model(target: Target, data: SessionData, seed: int) -> dict[str, Any]:
    known = np.isfinite(target.values)
    y, persons, folds = target.values[known], data.persons[known], data.folds[known]
    shuffled = np.random.default_rng(seed).permutation(len(y)) % len(np.unique(data.folds))
    score = r_squared if target.kind == "ridge" else area_under_curve
    entry: dict[str, Any] = {
        "target": target.name,
        "kind": target.kind,
        "score": "r2" if target.kind == "ridge" else "auc",
    }
    for side, features in (("source", data.source), ("released", data.released)):
        x = _matrix(features, tuple(features), len(data.persons))[known]
        entry[side] = {"columns": x.shape[1]}
        for way, split in (("grouped", folds), ("random", shuffled)):
            predicted = cross_validated(x, y, split, target.kind)
            there = np.isfinite(predicted)
            low, high = bootstrap(score, y[there], predicted[there], persons[there], draws=_DRAWS, seed=seed)
            value = score(y[there], predicted[there], np.ones(int(there.sum())))
            entry[side][way] = {"value": _short(value), "low": _short(low), "high": _short(high)}
    return entry


def _intervals(data: SessionData, minimum: int) -> list[Json]:
    found: list[Json] = []
    for name in data.comparable:
        source, released = data.source[name], data.released[name]
        there = np.isfinite(source) & np.isfinite(released)
        if len(np.unique(data.persons[there])) < minimum or np.ptp(source[there]) == 0:
            continue
        pair = [mean_interval(side[there], data.persons[there]) for side in (source, released)]
        found.append({"estimate": "mean", "column": name, "overlap": round(interval_overlap(*pair), 3)})
        for target in data.targets:
            both = there & np.isfinite(target.values)
            if len(np.unique(data.persons[both])) < minimum or min(np.ptp(s[both]) for s in (source, released)) == 0:
                continue
            pair = [slope_interval(s[both], target.values[both], data.persons[both]) for s in (source, released)]
            estimate = f"slope of {target.name}"
            found.append({"estimate": estimate, "column": name, "overlap": round(interval_overlap(*pair), 3)})
    return found


def _propensity_of(data: SessionData) -> dict[str, Any] | None:
    """Over the columns that changed most: the expectation needs many rows for each coefficient."""
    rows = len(data.persons)
    loss = {name: normalised_rmse(data.source[name], data.released[name]) for name in data.comparable}
    chosen = sorted(loss, key=lambda name: (-loss[name], name))[: max(1, 2 * rows // _ROWS_PER_COLUMN)]
    if not chosen:
        return None
    source, released = (_matrix(side, tuple(chosen), rows) for side in (data.source, data.released))
    varying = [n for n in range(len(chosen)) if np.nanstd(np.r_[source[:, n], released[:, n]]) > 0]
    if not varying:
        return None
    pmse, ratio = propensity(source[:, varying], released[:, varying])
    return {"pmse": _short(pmse, 6), "s_pmse": _short(ratio), "columns": len(varying), "of": len(data.comparable)}


def _loss(pair: ColumnPair, minimum: int) -> dict[str, Any]:
    place = {"table": pair.table, "column": pair.column}
    if len(np.unique(pair.persons)) < minimum:
        return {"what": f"{pair.table}.{pair.column}", "reason": f"fewer than {minimum} persons"}
    if all(_is_number(side.type) for side in (pair.source, pair.released)):
        source, released = (_floats(side) for side in (pair.source, pair.released))
        return place | {"measure": "nrmse", "value": _short(normalised_rmse(source, released))}
    return place | {"measure": "entropy", "value": _short(entropy_loss(pair.source, pair.released))}


def _warnings(models: Sequence[Json]) -> list[str]:
    """What a user of the data must know of random folds: they put sessions of one person on both sides."""
    return [
        f"{entry['target']}: random folds give {entry['score']} {entry['released']['random']['value']}, folds that keep"
        f" a person together {entry['released']['grouped']['value']}. Use the folds of the release; random ones test on"
        " persons whom the model has seen."
        for entry in models
        if _flattering(entry["released"])
    ]


def _flattering(folds: Json) -> bool:
    random, grouped = folds["random"]["value"], folds["grouped"]["value"]
    return random is not None and grouped is not None and bool(random > grouped)


def _matrix(features: Mapping[str, Floats], names: tuple[str, ...], rows: int) -> Floats:
    return np.column_stack([features[name] for name in names]) if names else np.zeros((rows, 0))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _short(value: float, digits: int = 3) -> float | None:
    return round(float(value), digits) + 0.0 if np.isfinite(value) else None
