"""The least lossy generalisation that meets the gate, found by exhausting the lattice of levels.

Every node is either looked at or ruled out by a proof: a column, a pair or a triple that leaves too many persons in
small classes does so with every other column as well (the subset property of LeFevre et al.'s Incognito,
https://doi.org/10.1145/1066157.1066164), and a node that leaves too many rules out all finer ones. So the result
equals that of trying every node. Losses are whole numbers, so that equal ones compare equal. Classes are `lattice`'s,
which cells are blanked is `suppression`'s, other demands of the gate are `privacy.risk`'s. Counted in persons, one row
each; missing is a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.actions import TOP, generalise_column
from sensai_release.privacy.classes import Codes, combine, encode
from sensai_release.privacy.lattice import Levels, Problem, all_nodes, blankable
from sensai_release.privacy.masking import masked
from sensai_release.privacy.suppression import Demand, blanks
from sensai_release.table.schema import Hierarchy

_LARGEST = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralisedColumn:
    """A column to be generalised: `source` in the table that is searched, `output` in the one that is made.

    `weight` says how much its detail is worth beside that of the others.
    """

    source: str
    output: str
    hierarchy: Hierarchy
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a column gave up: `loss` is weight times level / (height - 1); `entropy_loss` the share of the finest
    level's information that levels and blanks took, from 0 to 1 (non-uniform entropy, Gionis and Tassa,
    https://doi.org/10.1109/TKDE.2008.129); `blanked` the persons whose cell is blank for it.
    """

    loss: float
    entropy_loss: float
    blanked: int = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The outcome of a search.

    `levels` by output name (0 is the finest declared); `None` when no choice passes. `suppressed` are the row indices
    of the persons who lose cells, `blanked` those of each output name; where that is empty, every cell of theirs goes.
    At most `allowed` persons may lose cells. `loss` is the sum over the columns of weight times level / (height - 1).
    `kept`: the levels are those of an earlier release, not the least lossy ones.
    """

    levels: Mapping[str, int] | None
    suppressed: tuple[int, ...] = field(default=(), repr=False)
    blanked: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    loss: float | None = None
    nodes: int = 0
    checked: int = 0
    allowed: int = 0
    kept: bool = False
    costs: Mapping[str, Cost] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        return self.levels is not None

    def describe(self, columns: Sequence[GeneralisedColumn], minimum: int = 10) -> dict[str, Any]:
        """What was chosen and given up, for reports; small counts are masked."""
        return {
            "found": self.found,
            "kept": self.kept,
            "loss": None if self.loss is None else round(self.loss, 6),
            "suppressed": masked(len(self.suppressed), minimum),
            "suppressed_within_limit": len(self.suppressed) <= self.allowed,
            "nodes": self.nodes,
            "levels": [self._describe(column, minimum) for column in columns],
        }

    def _describe(self, column: GeneralisedColumn, minimum: int) -> dict[str, Any]:
        level = (self.levels or {}).get(column.output)
        cost = self.costs.get(column.output)
        return {
            "column": column.output,
            "level": level,
            "height": column.hierarchy.height,
            "name": _level_name(column.hierarchy, level),
            "weight": column.weight,
            "loss": None if cost is None else round(cost.loss, 6),
            "entropy_loss": None if cost is None else round(cost.entropy_loss, 2),
            "blanked": None if cost is None else masked(cost.blanked, minimum),
        }


def search(
    persons: pa.Table,
    columns: Sequence[GeneralisedColumn],
    *,
    fixed: Sequence[str] = (),
    k: int,
    max_suppressed: float,
    sensitive: Sequence[str] = (),
    l: int = 1,  # noqa: E741 - the letter that the literature uses
    keep: Mapping[str, int] | None = None,
) -> Choice:
    """The least lossy levels under which every class has `k` persons and `l` values of each `sensitive` column.

    `persons` has one row a person, with the sources of `columns`, the `fixed` columns, which are in their released form
    and count towards the classes too, and the `sensitive` ones, also as released. Under given levels the persons in
    other classes may lose cells; they must be at most `max_suppressed` (a share) of all, and blanking cells of theirs
    must be able to bring them into sound classes. Ties go to fewer such persons, then to the lower level of the first
    column that differs. With `keep`, the levels of an earlier release, these are taken while they pass: two coarsenings
    of one person, joined by pseudonym, are finer than either. Raises `ConfigurationError` when there are more than two
    million nodes, when an output is named twice, or when a hierarchy does not cover a column.
    """
    _refuse_doubled(columns, fixed)
    heights = [column.hierarchy.height for column in columns]
    lattice = all_nodes(heights)
    units = _units(columns)
    codes, others = _encoded(persons, columns, fixed)
    demand = Demand(k=k, l=l)
    values = [encode(persons[name]) for name in sensitive]
    allowed = int(max_suppressed * persons.num_rows + 1e-9)
    problem = Problem(codes, others, values, demand, allowed=allowed, costs=[column.weight for column in columns])
    kept = _kept(problem, columns, keep, allowed)
    found, checked = (kept, 1) if kept is not None else _best(problem, lattice, units, allowed)
    if found is None:
        return Choice(levels=None, nodes=len(lattice), checked=checked, allowed=allowed)
    suppressed, blanked = _suppress(problem, codes, columns, found, demand)
    levels = {column.output: level for column, level in zip(columns, found, strict=True)}
    return Choice(
        levels=levels,
        suppressed=suppressed,
        blanked=blanked,
        loss=math.fsum(c.weight * levels[c.output] / (c.hierarchy.height - 1) for c in columns),
        nodes=len(lattice),
        checked=checked,
        allowed=allowed,
        kept=kept is not None,
        costs={
            column.output: _cost(
                column, levels[column.output], finest[0], finest[level], blanked.get(column.output, ())
            )
            for column, level, finest in zip(columns, found, codes, strict=True)
        },
    )


def generalised(persons: pa.Table, columns: Sequence[GeneralisedColumn], choice: Choice) -> pa.Table:
    """The output columns at the chosen levels, blanked cells missing. Raises `ValueError` when none passed."""
    if choice.levels is None:
        raise ValueError("no choice of levels passes")
    arrays = {}
    for column in columns:
        whole = generalise_column(persons[column.source], column.hierarchy, choice.levels[column.output])
        keep = np.ones(persons.num_rows, dtype=bool)
        keep[list(choice.blanked.get(column.output, ()) if choice.blanked else choice.suppressed)] = False
        arrays[column.output] = pa.array(
            np.where(keep, whole.to_numpy(zero_copy_only=False), None), pa.string(), from_pandas=True
        )
    return pa.table(arrays)


def _refuse_doubled(columns: Sequence[GeneralisedColumn], fixed: Sequence[str]) -> None:
    names = [*(column.output for column in columns), *fixed]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigurationError("schemas", f"name the attribute {', '.join(doubled)} twice", "Keep one of each.")


def _encoded(
    persons: pa.Table, columns: Sequence[GeneralisedColumn], fixed: Sequence[str]
) -> tuple[list[list[Codes]], Codes]:
    codes = [
        [encode(generalise_column(persons[c.source], c.hierarchy, level)) for level in range(c.hierarchy.height)]
        for c in columns
    ]
    return codes, combine([encode(persons[name]) for name in fixed], persons.num_rows)


def _units(columns: Sequence[GeneralisedColumn]) -> list[int]:
    """What one level costs in each column, in whole units."""
    unit = math.lcm(*(column.hierarchy.height - 1 for column in columns))
    if unit * sum(column.weight for column in columns) >= _LARGEST:
        raise ConfigurationError("schemas", "have weights too large to be added exactly", "Use smaller weights.")
    return [column.weight * unit // (column.hierarchy.height - 1) for column in columns]


def _best(
    problem: Problem, lattice: npt.NDArray[np.int16], units: Sequence[int], allowed: int
) -> tuple[Levels | None, int]:
    """The best node, and how many were looked at. Each other one fails by proof, or loses more than the best."""
    loss = np.zeros(len(lattice), dtype=np.int64)
    room = np.zeros(len(lattice))
    for column, unit in enumerate(units):
        loss += lattice[:, column].astype(np.int64) * unit
        room += np.log1p(lattice[:, column])
    alive = np.flatnonzero(problem.unpruned(lattice))
    # A stable sort: among equals the lattice's own order stands, which is that of the levels.
    left = alive[np.argsort(loss[alive], kind="stable")]
    best: tuple[int, int, Levels] | None = None
    checked = 0
    while len(left):
        # The node of the cheaper half with most finer ones below it: it rules out many if it fails, and much that is
        # dearer if it passes.
        half = left[: len(left) // 2 + 1]
        node = int(half[np.argmax(room[half])])
        levels: Levels = tuple(lattice[node].tolist())
        checked += 1
        count = problem.given_up(levels)
        if count > allowed:
            left = left[(lattice[left] > lattice[node]).any(axis=1)]
            continue
        left = left[left != node]
        if best is not None and (int(loss[node]), count, levels) >= best:
            continue
        more = problem.companions(levels)
        if more is not None and (best is None or (int(loss[node]), count + more, levels) < best):
            best = (int(loss[node]), count + more, levels)
            left = left[loss[left] <= best[0]]
    return (None if best is None else best[2]), checked


def _kept(
    problem: Problem, columns: Sequence[GeneralisedColumn], keep: Mapping[str, int] | None, allowed: int
) -> Levels | None:
    """The levels to keep, when there are some for exactly these columns and they pass."""
    if keep is None or set(keep) != {column.output for column in columns} or not problem.distinct:
        return None
    levels: Levels = tuple(keep[column.output] for column in columns)
    if not all(0 <= level < column.hierarchy.height for level, column in zip(levels, columns, strict=True)):
        return None
    return levels if problem.given_up(levels) <= allowed and problem.companions(levels) is not None else None


def _suppress(
    problem: Problem,
    codes: Sequence[Sequence[Codes]],
    columns: Sequence[GeneralisedColumn],
    levels: Levels,
    demand: Demand,
) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """Who loses cells, and in which columns."""
    rows, faulty, company = problem.leaving(levels)
    cells = blanks(rows, faulty, demand, problem.costs(levels), company)
    if cells is None:
        raise AssertionError("a node that can be mended was not")
    losing = np.flatnonzero(faulty | cells.any(axis=1))
    used = blankable(codes, levels)
    blanked = {columns[column].output: tuple(np.flatnonzero(cells[:, n]).tolist()) for n, column in enumerate(used)}
    return tuple(losing.tolist()), blanked if len(losing) else {}


def _cost(column: GeneralisedColumn, level: int, finest: Codes, chosen: Codes, blanked: tuple[int, ...]) -> Cost:
    released = chosen.copy()
    released[list(blanked)] = 0
    before = _entropy(finest)
    kept = _entropy(released)
    given_up = _entropy(combine([finest, released], len(finest))) - kept
    return Cost(
        loss=column.weight * level / (column.hierarchy.height - 1),
        entropy_loss=given_up / before if before else 0.0,
        blanked=len(blanked),
    )


def _entropy(codes: Codes) -> float:
    shares = np.bincount(codes) / max(len(codes), 1)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def _level_name(hierarchy: Hierarchy, level: int | None) -> str | None:
    if level is None:
        return None
    return TOP if level == hierarchy.height - 1 else hierarchy.level_names[level]
