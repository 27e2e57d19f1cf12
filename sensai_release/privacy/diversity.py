"""How much a class of look-alikes gives away: l-diversity and t-closeness of the sensitive attributes.

Distinct and entropy l-diversity are Machanavajjhala et al.'s (https://doi.org/10.1145/1217299.1217302), t-closeness is
Li et al.'s (https://doi.org/10.1109/ICDE.2007.367856). Classes are those over the tier-1 attributes, counted in
persons, one row each. A missing value is a value of its own. Which attributes are sensitive, and what the gate makes of
the figures, is for the callers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.classes import MISSING, Cells, Codes, combine, cross, encode

Floats = npt.NDArray[np.float64]
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeDiversity:
    """The diversity of one attribute in the class where it is worst.

    `distinct` is the least number of values, `entropy` the exponential of the least entropy (so at most `distinct`),
    `t` the largest distance between a class and the whole, from 0 to 1. `ordered` says how the distance was measured:
    along the order of the values, or value by value. `exception` is the reason why no limit holds.
    """

    name: str
    distinct: int
    entropy: float
    t: float
    ordered: bool
    limited: bool
    exception: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "distinct_l": self.distinct,
            "entropy_l": round(self.entropy, 2),
            "t": round(self.t, 2),
            "distance": "ordered" if self.ordered else "variational",
            "limited": self.limited,
            "exception": self.exception,
        }


CONSTANT = "the same for everybody, so that no class tells more than the release as a whole"


def is_constant(codes: Codes) -> bool:
    """Whether everybody has one value, or none has any."""
    return len(codes) > 0 and bool((codes == codes[0]).all())


def measure_diversity(
    persons: pa.Table,
    tier1: Sequence[str],
    limited: Sequence[str],
    *,
    shown: Sequence[str] = (),
    exceptions: Mapping[str, str] | None = None,
    order: Mapping[str, Sequence[str]] | None = None,
) -> tuple[AttributeDiversity, ...]:
    """The diversity of every attribute of `limited` (subject to the limits) and of `shown` (only reported).

    `persons` has one row a person. `exceptions` names attributes of `limited` that no limit holds for, with the reason;
    `order` gives the values of ordered attributes, lowest first; numbers are ordered as they are. Raises
    `ConfigurationError` when an exception or an order names an attribute that is not measured, or a column holds values
    that its order lacks. An attribute that is the same for everybody is not limited: no class can be diverse in it, and
    none tells more than the release as a whole.
    """
    exceptions, order = exceptions or {}, order or {}
    names = (*limited, *(name for name in shown if name not in limited))
    for name in sorted(exceptions.keys() - set(limited)):
        raise ConfigurationError(
            "params.yaml: l_exceptions", f"names {name}, which is no tier 2 attribute of the release", "Mend its name."
        )
    ids = combine([encode(persons[name]) for name in tier1], persons.num_rows)
    found = []
    for name in names:
        ranks = value_ranks(persons[name], order.get(name), name)
        codes = encode(persons[name]) if ranks is None else ranks
        cells = cross(ids, codes)
        found.append(
            AttributeDiversity(
                name=name,
                distinct=distinct_l(cells),
                entropy=entropy_l(cells),
                t=t_closeness(cells, ordered=ranks is not None),
                ordered=ranks is not None,
                limited=name in limited and name not in exceptions and not is_constant(codes),
                exception=exceptions.get(name) or (CONSTANT if name in limited and is_constant(codes) else None),
            )
        )
    return tuple(found)


def value_ranks(column: pa.Array | pa.ChunkedArray, order: Sequence[str] | None, name: str = "order") -> Codes | None:
    """Codes from 1 in the order of the values that occur, 0 for missing; `None` for a column without an order."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if order is not None:
        position = pc.index_in(pc.cast(column, pa.string()), value_set=pa.array(list(order), pa.string()))
        if position.null_count != column.null_count:
            cause = f"has {position.null_count - column.null_count} values outside its declared order"
            raise ConfigurationError(name, cause, "Declare every value.")
        column = position
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    ranks = pc.rank(column, tiebreaker="dense")
    codes: Codes = np.where(pc.is_null(column).to_numpy(zero_copy_only=False), MISSING, ranks.to_numpy())
    return codes.astype(np.int64)


def distinct_l(cells: Cells) -> int:
    """The least number of different values in a class; 0 without persons. `cells` are of classes by values."""
    return int(_of_classes(cells, None).min()) if len(cells.owner) else 0


def entropy_l(cells: Cells) -> float:
    """The exponential of the least Shannon entropy of a class, in values; 0 without persons."""
    if not len(cells.owner):
        return 0.0
    share = cells.weight / np.bincount(cells.owner, cells.weight)[cells.owner]
    # Shares of 1 would give -0.0.
    return float(np.exp(max(_of_classes(cells, -share * np.log(share)).min(), 0.0)))


def t_closeness(cells: Cells, *, ordered: bool) -> float:
    """The largest distance between the values in a class and the values of all, from 0 to 1.

    Unordered: half the sum of absolute differences. `ordered`: Li et al.'s earth mover's distance where two values are
    as far apart as ranks lie between them, from 0 to 1 (codes are the ranks, from 1). Missing has no place in an order;
    it is moved at the full distance of 1, and the values that both have are moved among themselves. Where cells are
    missing that is the cost of one way to move them, so it errs to the safe side.
    """
    if not len(cells.owner):
        return 0.0
    if ordered:
        return _ordered_distance(cells)
    whole = np.bincount(cells.value, cells.weight)
    share = cells.weight / np.bincount(cells.owner, cells.weight)[cells.owner]
    excess = np.maximum(share - whole[cells.value] / whole.sum(), 0.0)
    return float(np.clip(_of_classes(cells, excess).max(), 0.0, 1.0))


def _of_classes(cells: Cells, terms: Floats | None) -> Floats:
    """The sum of the terms (their number without) over each class that has persons."""
    present = np.bincount(cells.owner) > 0
    sums: Floats = np.bincount(cells.owner, terms)[present].astype(np.float64)
    return sums


def _ordered_distance(cells: Cells) -> float:
    classes, owner = np.unique(cells.owner, return_inverse=True)
    values, rank = np.unique(cells.value, return_inverse=True)
    first = int(values[0] == MISSING)
    width = len(values)
    whole = np.bincount(rank, cells.weight, minlength=width) / cells.weight.sum()
    rows = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[rows], np.arange(len(classes) + 1))
    worst = 0.0
    step = max(1, _BLOCK // width)
    for low in range(0, len(classes), step):
        part = rows[starts[low] : starts[min(low + step, len(classes))]]
        counts = np.zeros((min(step, len(classes) - low), width))
        counts[owner[part] - low, rank[part]] = cells.weight[part]
        worst = max(worst, float(_moves(counts / counts.sum(axis=1, keepdims=True), whole, first).max()))
    return min(worst, 1.0)


def _moves(shares: Floats, whole: Floats, first: int) -> Floats:
    """The distance of each row from `whole`; columns from `first` on are ordered, one before them is missing."""
    steps = max(whole.size - first - 1, 1)
    here, there = shares[:, first:].sum(axis=1), float(whole[first:].sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.where(here[:, None] > 0, shares[:, first:] / here[:, None], 0.0)
    other = whole[first:] / there if there > 0 else np.zeros(whole.size - first)
    moved = np.abs(np.cumsum(own - other, axis=1)).sum(axis=1) / steps
    both = np.minimum(here, there)
    distances: Floats = np.abs(here - there) + both * np.where(both > 0, moved, 0.0)
    return distances
