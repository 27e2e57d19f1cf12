"""A risk report with every section, measured on made-up data by the functions that measure real ones."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import linkability_kit
import numpy as np
import pyarrow as pa

from sensai_release.privacy.linkability.audit import Effort, audit
from sensai_release.privacy.linkability.collusion import collusion
from sensai_release.privacy.linkability.features import session_features
from sensai_release.privacy.linkability.suggest import suggest
from sensai_release.privacy.persons import PersonKeys
from sensai_release.privacy.risk import assess
from sensai_release.privacy.series import PersonRows, SeriesRelease, assess_series
from sensai_release.privacy.utility import ColumnPair, SessionData, Target, assess_utility

_EFFORT = Effort(permutations=19, bootstraps=40)
_PEOPLE, _SESSIONS, _COLUMNS = 80, 3, 6
_SECTIONS = ("diversity", "suda", "attack_risk", "population")
_NEW_IN_LEVELS = ("weight", "loss", "entropy_loss", "blanked")


def report() -> dict[str, Any]:
    """As `pipeline.risk` writes it: failed linkability, two earlier releases, two models. A fresh copy each time."""
    copy: dict[str, Any] = json.loads(_measured())
    return copy


def old_form() -> dict[str, Any]:
    """As the first version of the tool wrote it."""
    document = report()
    for name in (*_SECTIONS, "linkability", "series", "utility"):
        del document[name]
    document["ok"] = True
    for name in ("kept", "suppressed_within_limit"):
        del document["generalisation"][name]
    document["generalisation"]["nodes"] = 96
    document["gate"] = [entry for entry in document["gate"] if entry["name"] not in ("l_min", "t_max")]
    for entry in document["generalisation"]["levels"]:
        for name in _NEW_IN_LEVELS:
            del entry[name]
    return document


def unassessed() -> dict[str, Any]:
    """A release with one session a person: nothing failed, and linkability cannot be assessed."""
    found = report()
    gate = [
        {"name": f"linkability_{name}", "value": None, "limit": limit, "ok": True, "status": "cannot_assess"}
        for name, limit in (("rank1", 0.09), ("auc", 0.2))
    ]
    found["linkability"] = {
        "ok": True,
        "status": "cannot_assess",
        "reason": "no_repeated_sessions",
        "limits": {"rank1": 0.09, "auc": 0.2},
        "sets": [],
        "gate": gate,
        "suggestion": None,
        "collusion": None,
    }
    return found | {"ok": True}


@lru_cache(maxsize=1)
def _measured() -> str:
    document = _disclosure() | {"linkability": _linkability(), "series": _series(), "utility": _utility()}
    document["ok"] = False
    return json.dumps(document, allow_nan=False)


def _persons(count: int = _PEOPLE) -> pa.Table:
    rng = np.random.default_rng(7)
    stages = [f"stage {number}" for number in rng.integers(1, 5, count)]
    return pa.table(
        {
            "participant_id": [f"P{number:04d}" for number in range(count)],
            "age_band": [("<60", "60+")[number % 2] for number in range(count)],
            "sex": [("F", "M")[number // 2 % 2] for number in range(count)],
            "tumour_stage": stages,
            "treatment_class": [("chemo", "radiation", "surgery")[number] for number in rng.integers(0, 3, count)],
            "sessions.relative_day": [str(day) for day in rng.integers(0, 60, count)],
        }
    )


def _disclosure() -> dict[str, Any]:
    levels = [
        {"column": "age_band", "level": 2, "height": 4, "name": "sixty", "weight": 2, "loss": 1.333333}
        | {"entropy_loss": 0.61, "blanked": "<10"},
        {"column": "sex", "level": 0, "height": 2, "name": "as recorded", "weight": 2, "loss": 0.0}
        | {"entropy_loss": 0.0, "blanked": 0},
        {"column": "bmi_band", "level": 3, "height": 4, "name": "*", "weight": 1, "loss": 1.0}
        | {"entropy_loss": 1.0, "blanked": 0},
    ]
    chosen = {"found": True, "kept": True, "loss": 2.333333, "suppressed": "<10", "suppressed_within_limit": True}
    return assess(
        _persons(),
        ["age_band", "sex"],
        ["tumour_stage", "treatment_class", "sessions.relative_day"],
        k=5,
        max_suppressed=0.05,
        l=2,
        t=0.4,
        l_exceptions={"tumour_stage": "Known to the recipients already."},
        sensitive=["tumour_stage", "treatment_class"],
        population=4000,
        generalisation=chosen | {"nodes": 1, "levels": levels},
    ).to_dict()


def _linkability() -> dict[str, Any]:
    persons, values = linkability_kit.noise(_PEOPLE, _SESSIONS, _COLUMNS, 3, person=0.0)
    values[:, 0] = persons + values[:, 0] / 100
    columns = [
        linkability_kit.column(f"feature_{number}", description=f"The feature {number}.", **{"class": "ABCBBB"[number]})
        for number in range(_COLUMNS)
    ]
    tables, dictionaries = linkability_kit.release(persons, values, columns)
    features = session_features(tables, dictionaries)
    return (
        audit(features, effort=_EFFORT)
        .completed(
            suggestion=suggest(features, effort=_EFFORT).to_dict(),
            collusion=collusion(tables, dictionaries).to_dict(),
        )
        .to_dict()
    )


def _series() -> dict[str, Any]:
    def held(name: str, table: pa.Table, key: str = "one", score: int = 0) -> SeriesRelease:
        keys = PersonKeys(table=table, tier1=("age_band", "sex"), tier2=("tumour_stage", "sessions.relative_day"))
        scores = [score if number < 2 else 0 for number in range(table.num_rows)]
        rows = PersonRows(table=pa.table({"score": scores}), person=table["participant_id"])
        return SeriesRelease(name=name, key_id=key, keys=keys, rows={"pain_scores": rows})

    everyone = _persons()
    earlier = [held("s-1.0.0", everyone.slice(3), score=4), held("s-0.9.0", everyone.slice(1), key="two")]
    return assess_series(held("candidate", everyone), earlier, k=5).to_dict()


def _utility() -> dict[str, Any]:
    persons, values = linkability_kit.noise(_PEOPLE, _SESSIONS, 3, 5, person=0.5)
    source = {f"features.feature_{number}": values[:, number] for number in range(3)}
    released = {name: np.round(column, 1 - number) for number, (name, column) in enumerate(source.items())}
    data = SessionData(
        persons=persons,
        folds=persons % 5,
        source=source,
        released=released,
        comparable=tuple(source),
        targets=(
            Target(name="pain_scores.nrs", kind="ridge", values=values[:, 0] + values[:, 1]),
            Target(name="participants.group", kind="logistic", values=(persons % 2).astype(np.float64)),
        ),
    )
    pairs = [
        ColumnPair(
            table="features",
            column=name.partition(".")[2],
            source=pa.chunked_array([source[name]]),
            released=pa.chunked_array([released[name]]),
            persons=persons,
        )
        for name in source
    ]
    bands = pa.chunked_array([pa.array([str(person % 20) for person in persons])])
    halves = pa.chunked_array([pa.array([str(person % 2) for person in persons])])
    pairs.append(ColumnPair(table="participants", column="age_band", source=bands, released=halves, persons=persons))
    return assess_utility(data, pairs).to_dict()
