"""How well persons hide in a release: class sizes over what others know of them, and the gate that they must pass.

Counted in persons, one row each (`privacy.persons`). k is the size of the smallest class over the tier-1
quasi-identifiers, with missing as a category of its own; k with missing as a wildcard is shown beside it (Templ's
convention in sdcMicro, https://doi.org/10.18637/jss.v067.i04). Counts below ten persons are masked in all that is
reported, while the gate compares exact ones. Risk across releases, linkability and l-diversity are not looked at here,
and no result here says that nobody can be recognised.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from sensai_release.privacy.classes import MISSING, Codes, class_sizes, combine, encode
from sensai_release.privacy.masking import MINIMUM, mask_counts, masked

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskReport:
    """What may be published of a release's risk. Counts of persons are integers or masked texts such as `<10`.

    A measure of persons is `{"persons": count, "share": number or text}`. `minimal_sample_uniques` are persons alone in
    one or two tier-1 attributes, though in no part of them (Elliot et al.'s SUDA). `gate` entries hold `name`,
    `value`, `limit`, `ok`.
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
        """The inverse of `to_dict`. `ok` is computed again, never read."""
        stored = {name: data[name] for name in cls.__dataclass_fields__}
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
        }
        return cls(**fields)


def assess(
    persons: pa.Table,
    tier1: Sequence[str],
    tier2: Sequence[str],
    *,
    k: int,
    max_suppressed: float,
    suppressed: int,
    generalisation: Json | None = None,
    minimum: int = MINIMUM,
) -> RiskReport:
    """The risk report of a table with one row a person.

    `tier1` and `tier2` name its quasi-identifiers; `suppressed` is the number of persons whose tier-1 cells were
    suppressed; `generalisation` (`Choice.describe`) is passed on. The gate: at least k persons; k reached; at most the
    share `max_suppressed` of persons suppressed; no minimal sample unique of one or two tier-1 attributes.
    """
    count = persons.num_rows
    codes = {name: encode(persons[name]) for name in (*tier1, *tier2)}
    sizes = class_sizes(combine([codes[name] for name in tier1], count))
    sizes_all = class_sizes(combine(list(codes.values()), count))
    k_min = int(sizes.min()) if count else 0
    uniques = _minimal_uniques({name: codes[name] for name in tier1}, count)
    allowed = int(max_suppressed * count + 1e-9)
    return RiskReport(
        persons=count,
        k=k,
        k_min=k_min,
        k_min_missing_as_wildcard=wildcard_k([codes[name] for name in tier1], count),
        tier1=tuple(tier1),
        tier2=tuple(tier2),
        below_k=_measure(int((sizes < k).sum()), count, minimum),
        unique_tier1=_measure(int((sizes == 1).sum()), count, minimum),
        unique_all=_measure(int((sizes_all == 1).sum()), count, minimum),
        suppressed=_measure(suppressed, count, minimum),
        class_sizes=_histogram(sizes, k, minimum),
        attributes=tuple(_attribute(name, codes[name], 1 if name in tier1 else 2, minimum) for name in codes),
        minimal_sample_uniques=tuple(
            {"attributes": list(names), "persons": masked(number, minimum)} for names, number in uniques if number
        ),
        gate=(
            _limit("persons", count, k, ok=count >= k),
            _limit("k_min", k_min, k, ok=k_min >= k),
            _limit("suppressed_persons", masked(suppressed, minimum), allowed, ok=suppressed <= allowed),
            _limit(
                "minimal_sample_uniques",
                masked(sum(number for _, number in uniques), minimum),
                0,
                ok=not any(number for _, number in uniques),
            ),
        ),
        generalisation=generalisation,
    )


def wildcard_k(columns: Sequence[Codes], rows: int) -> int:
    """The smallest number of persons, oneself included, that a person agrees with when a missing cell fits anything.

    Exact: persons are grouped by which cells they lack, and each pair of groups is compared on what both have.
    """
    if rows == 0:
        return 0
    patterns = combine([(codes == MISSING).astype(np.int64) for codes in columns], rows)
    groups = [np.flatnonzero(patterns == pattern) for pattern in np.unique(patterns)]
    smallest = rows
    for own in groups:
        agreeing = np.zeros(len(own), dtype=np.int64)
        for other in groups:
            shared = [codes for codes in columns if codes[own[0]] != MISSING and codes[other[0]] != MISSING]
            both = np.r_[own, other]
            ids = combine([codes[both] for codes in shared], len(both))
            sizes = np.bincount(ids[len(own) :], minlength=int(ids.max()) + 1)
            agreeing += sizes[ids[: len(own)]]
        smallest = min(smallest, int(agreeing.min()))
    return smallest


def _minimal_uniques(columns: Mapping[str, Codes], rows: int) -> list[tuple[tuple[str, ...], int]]:
    alone = {name: class_sizes(combine([codes], rows)) == 1 for name, codes in columns.items()}
    found: list[tuple[tuple[str, ...], int]] = [((name,), int(single.sum())) for name, single in alone.items()]
    for first, second in itertools.combinations(columns, 2):
        together = class_sizes(combine([columns[first], columns[second]], rows)) == 1
        found.append(((first, second), int((together & ~alone[first] & ~alone[second]).sum())))
    return found


def _histogram(sizes: Codes, k: int, minimum: int) -> tuple[Json, ...]:
    """Persons by the size of their class; the cells partition all persons, so small ones are masked together."""
    steps = sorted({1, 2, k, 2 * k, 4 * k, 8 * k})
    bounds = [*itertools.pairwise(steps), (steps[-1], None)]
    counts = {_range(low, high): int(((sizes >= low) & (sizes < (high or np.inf))).sum()) for low, high in bounds}
    return tuple({"size": name, "persons": number} for name, number in mask_counts(counts, minimum).items())


def _range(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} or more"
    return str(low) if high == low + 1 else f"{low} to {high - 1}"


def _attribute(name: str, codes: Codes, tier: int, minimum: int) -> Json:
    alone = int((class_sizes(combine([codes], len(codes))) == 1).sum())
    return {
        "name": name,
        "tier": tier,
        "categories": len(np.unique(codes[codes != MISSING])),
        "missing": masked(int((codes == MISSING).sum()), minimum),
        "unique": masked(alone, minimum),
    }


def _measure(number: int, total: int, minimum: int) -> Json:
    """Count and share. The total is published, so the rest must not be small either."""
    if 0 < number < minimum:
        return {"persons": f"<{minimum}", "share": f"<{min(minimum / total, 1):.2f}"}
    if 0 < total - number < minimum:
        return {"persons": f">{max(total - minimum, 0)}", "share": f">{max(total - minimum, 0) / total:.2f}"}
    return {"persons": number, "share": round(number / total, 4) if total else 0.0}


def _limit(name: str, value: int | str, limit: int, *, ok: bool) -> Json:
    return {"name": name, "value": value, "limit": limit, "ok": ok}
