"""How well persons hide in a release: class sizes over what others know of them, and the gate that they must pass.

Counted in persons, one row each (`privacy.persons`). k is the size of the smallest class over the tier-1
quasi-identifiers, with missing as a category of its own; k with missing as a wildcard is shown beside it (Templ's
convention in sdcMicro, https://doi.org/10.18637/jss.v067.i04). What classes give away is `diversity`'s, special uniques
are `suda`'s, attackers and the population `population`'s; this module puts them into one report and draws the
Counts below ten persons are masked in all that is reported, while the gate compares exact ones. Risk across releases
and linkability are not looked at here, and no result here says that nobody can be recognised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import pyarrow as pa

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.classes import Codes, class_sizes, combine, encode
from sensai_release.privacy.diversity import AttributeDiversity, measure_diversity
from sensai_release.privacy.masking import MINIMUM, masked
from sensai_release.privacy.population import UNKNOWN, attack_risk, sampling_fraction, uniqueness
from sensai_release.privacy.sizes import describe_attribute, histogram, measure, pair_uniques, wildcard_k
from sensai_release.privacy.suda import ASSUMED_FRACTION, special_uniques

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskReport:
    """What may be published of a release's risk. Counts of persons are integers or masked texts such as `<10`.

    A measure of persons is `{"persons": count, "share": number or text}`. `minimal_sample_uniques` are persons alone in
    one or two tier-1 attributes, though in no part of them (Elliot et al.'s SUDA). `gate` entries hold `name`,
    `value`, `limit`, `ok`. `diversity`, `suda`, `attack_risk` and `population` are as release/risk.schema.json says.
    """

    persons: int
    k: int
    k_min: int
    k_min_missing_as_wildcard: int
    tier1: tuple[str, ...]
    tier2: tuple[str, ...]
    below_k: Json
    unique_tier1: Json
    unique_all: Json
    suppressed: Json
    class_sizes: tuple[Json, ...]
    attributes: tuple[Json, ...]
    minimal_sample_uniques: tuple[Json, ...]
    gate: tuple[Json, ...]
    generalisation: Json | None = field(default=None)
    diversity: Json | None = field(default=None)
    suda: Json | None = field(default=None)
    attack_risk: Json | None = field(default=None)
    population: Json | None = field(default=None)

    @property
    def ok(self) -> bool:
        return all(entry["ok"] for entry in self.gate)

    def to_dict(self) -> dict[str, Any]:
        return {"ok": self.ok} | {
            name: [dict(entry) if isinstance(entry, Mapping) else entry for entry in value]
            if isinstance(value := getattr(self, name), tuple)
            else value
            for name in self.__dataclass_fields__
        }

    @classmethod
    def from_dict(cls, data: Json) -> RiskReport:
        """The inverse of `to_dict`. `ok` is computed again, never read; sections of others are left aside."""
        known = [entry.name for entry in fields(cls) if entry.default is MISSING or entry.name in data]
        values: dict[str, Any] = {
            name: tuple(data[name]) if isinstance(data[name], list) else data[name] for name in known
        }
        return cls(**values)


def assess(
    persons: pa.Table,
    tier1: Sequence[str],
    tier2: Sequence[str],
    *,
    k: int,
    max_suppressed: float,
    l: int = 1,  # noqa: E741 - the letter that the literature uses
    t: float | None = None,
    l_exceptions: Mapping[str, str] | None = None,
    suppressed: int | None = None,
    sensitive: Sequence[str] = (),
    labels: Sequence[str] = (),
    order: Mapping[str, Sequence[str]] | None = None,
    population: int | None = None,
    generalisation: Json | None = None,
    minimum: int = MINIMUM,
) -> RiskReport:
    """The risk report of a table with one row a person.

    `tier1` and `tier2` name its quasi-identifiers, `sensitive` those of tier 2 that the limits `l` and `t` hold for,
    save for the `l_exceptions` (with their reasons), `labels` further columns whose diversity is shown. `suppressed` is
    the number of persons who lost tier-1 cells; without it `generalisation` (`Choice.describe`), which is passed on,
    says so. `order` gives the values of ordered columns. `population` is how many persons could have been in the
    release. The gate: at least k persons; k reached; at most the share `max_suppressed` of persons suppressed; no
    minimal sample unique of one or two tier-1 attributes; l values of each sensitive attribute in a class; and, where
    `t` is given, no class further than that from all persons. Raises `ConfigurationError` when a quasi-identifier is
    named twice, an exception names none, or the population is smaller than the release.
    """
    _refuse_doubled([*tier1, *tier2])
    count = persons.num_rows
    fraction = sampling_fraction(count, population)
    codes = {name: encode(persons[name]) for name in (*tier1, *tier2)}
    over = {"tier1": {name: codes[name] for name in tier1}, "all": codes}
    sizes = {name: class_sizes(combine(list(columns.values()), count)) for name, columns in over.items()}
    k_min = int(sizes["tier1"].min()) if count else 0
    uniques = pair_uniques(over["tier1"], count)
    diversity = measure_diversity(
        persons,
        tier1,
        sensitive,
        shown=(*(name for name in tier2 if name not in sensitive), *labels),
        exceptions=l_exceptions,
        order=order,
    )
    return RiskReport(
        persons=count,
        k=k,
        k_min=k_min,
        k_min_missing_as_wildcard=wildcard_k(list(over["tier1"].values()), count),
        tier1=tuple(tier1),
        tier2=tuple(tier2),
        below_k=measure(int((sizes["tier1"] < k).sum()), count, minimum),
        unique_tier1=measure(int((sizes["tier1"] == 1).sum()), count, minimum),
        unique_all=measure(int((sizes["all"] == 1).sum()), count, minimum),
        suppressed=_suppressed(suppressed, generalisation, count, minimum),
        class_sizes=histogram(sizes["tier1"], k, minimum),
        attributes=tuple(describe_attribute(name, codes[name], 1 if name in tier1 else 2, minimum) for name in codes),
        minimal_sample_uniques=tuple(
            {"attributes": list(names), "persons": masked(number, minimum)} for names, number in uniques if number
        ),
        gate=(
            _limit("persons", count, k, ok=count >= k),
            _limit("k_min", k_min, k, ok=k_min >= k),
            _suppression_gate(suppressed, generalisation, int(max_suppressed * count + 1e-9), minimum),
            _limit(
                "minimal_sample_uniques",
                masked(sum(number for _, number in uniques), minimum),
                0,
                ok=not any(number for _, number in uniques),
            ),
            *_diversity_gate(diversity, l, t),
        ),
        generalisation=generalisation,
        diversity={"l": l, "t": t, "attributes": [entry.to_dict() for entry in diversity]},
        suda={
            name: special_uniques(columns, count, fraction=fraction or ASSUMED_FRACTION).describe(minimum)
            for name, columns in over.items()
        },
        attack_risk={name: _attack_risk(sizes[name], 1 / k, population, minimum) for name in over},
        population=_population(over, count, population, minimum),
    )


def _refuse_doubled(names: Sequence[str]) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigurationError(
            "schemas", f"name the quasi-identifier {', '.join(doubled)} twice", "Keep one of each, or rename with 'as'."
        )


def _suppressed(suppressed: int | None, generalisation: Json | None, count: int, minimum: int) -> Json:
    if suppressed is not None:
        return measure(suppressed, count, minimum)
    stated = (generalisation or {}).get("suppressed", 0)
    return measure(stated if isinstance(stated, int) else 1, count, minimum)


def _suppression_gate(suppressed: int | None, generalisation: Json | None, allowed: int, minimum: int) -> Json:
    """A count that is masked already was compared when it was known (`Choice.describe`)."""
    if suppressed is not None:
        return _limit("suppressed_persons", masked(suppressed, minimum), allowed, ok=suppressed <= allowed)
    stated = (generalisation or {}).get("suppressed", 0)
    within = bool((generalisation or {}).get("suppressed_within_limit", not stated))
    return _limit("suppressed_persons", stated, allowed, ok=within)


def _diversity_gate(diversity: Sequence[AttributeDiversity], least: int, furthest: float | None) -> list[Json]:
    limited = [entry for entry in diversity if entry.limited]
    if not limited:
        return []
    distinct, distance = min(entry.distinct for entry in limited), max(entry.t for entry in limited)
    found = [_limit("l_min", distinct, least, ok=distinct >= least)]
    if furthest is not None:
        found.append(_limit("t_max", round(distance, 2), furthest, ok=distance <= furthest + 1e-9))
    return found


def _attack_risk(sizes: Codes, threshold: float, population: int | None, minimum: int) -> Json:
    found = attack_risk(sizes, threshold=threshold, population=population)
    journalist = None
    if found.journalist_maximum is not None and found.journalist_mean is not None:
        journalist = {"max": round(found.journalist_maximum, 2), "mean": round(found.journalist_mean, 2)}
    # Among many who are alone, the number of classes would tell how few are not.
    mean = measure(int((sizes == 1).sum()), len(sizes), minimum)["share"]
    within = mean if isinstance(mean, str) and mean.startswith(">") else round(found.mean, 2)
    return {
        "threshold": round(threshold, 4),
        "prosecutor": {
            "max": round(found.maximum, 4),
            "mean": within,
            "above_threshold": measure(found.above, len(sizes), minimum)["persons"],
        },
        "journalist": journalist,
        "marketer": {"within_release": within, "in_population": None if journalist is None else journalist["mean"]},
        "note": None if population is not None else UNKNOWN,
    }


def _population(over: Mapping[str, Mapping[str, Codes]], count: int, population: int | None, minimum: int) -> Json:
    if population is None:
        return {"population": None, "sampling_fraction": None, "note": UNKNOWN, "tier1": None, "all": None}
    estimates = {name: uniqueness(list(columns.values()), count, population) for name, columns in over.items()}
    return {
        "population": population,
        # Of the rounded count: the exact one would follow from it and the population.
        "sampling_fraction": float(f"{min(max(count - count % minimum, minimum) / population, 1):.1e}"),
        "note": None,
        **{name: found.to_dict() for name, found in estimates.items()},
    }


def _limit(name: str, value: float | str, limit: float, *, ok: bool) -> Json:
    return {"name": name, "value": value, "limit": limit, "ok": ok}
