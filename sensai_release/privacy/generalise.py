"""The least lossy generalisation that reaches k, found by exhausting the lattice of levels.

Samarati's lattice of full-domain generalisation with suppression (https://doi.org/10.1109/69.971193), pruned by the
subset property of LeFevre et al.'s Incognito (https://doi.org/10.1145/1066157.1066164): levels under which a subset of
the columns leaves too many persons in small classes fail with every other column as well. Pruning never decides between
nodes that pass, so the result equals that of trying every node. Counted in persons, one row each; missing is a value.
Only k is looked at here: what else a gate asks for is `privacy.risk`'s.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.actions import TOP, generalise_column
from sensai_release.privacy.classes import MISSING, Codes, class_sizes, combine, encode
from sensai_release.privacy.masking import masked
from sensai_release.table.schema import Hierarchy

MAXIMUM_NODES = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralisedColumn:
    """A column to be generalised: `source` in the table that is searched, `output` in the one that is made."""

    source: str
    output: str
    hierarchy: Hierarchy


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The outcome of a search.

    `levels` by output name (0 is the finest declared); `None` when no choice passes. `suppressed` are the row indices
    of the persons whose generalised cells become missing. `loss` is the sum over the columns of level / (height - 1).
    """

    levels: Mapping[str, int] | None
    suppressed: tuple[int, ...] = field(default=(), repr=False)
    loss: float | None = None
    nodes: int = 0
    checked: int = 0

    @property
    def found(self) -> bool:
        return self.levels is not None

    def describe(self, columns: Sequence[GeneralisedColumn], minimum: int = 10) -> dict[str, Any]:
        """What was chosen and given up, for reports; small counts are masked."""
        return {
            "found": self.found,
            "loss": None if self.loss is None else round(self.loss, 6),
            "suppressed": masked(len(self.suppressed), minimum),
            "nodes": self.nodes,
            "levels": [
                {
                    "column": column.output,
                    "level": (self.levels or {}).get(column.output),
                    "height": column.hierarchy.height,
                    "name": _level_name(column.hierarchy, (self.levels or {}).get(column.output)),
                }
                for column in columns
            ],
        }


def search(
    persons: pa.Table, columns: Sequence[GeneralisedColumn], *, fixed: Sequence[str] = (), k: int, max_suppressed: float
) -> Choice:
    """The least lossy levels under which every class has at least `k` persons.

    `persons` has one row a person, with the sources of `columns` and the `fixed` columns, which are in their released
    form and count towards the classes too. Under given levels all persons in classes smaller than `k` are suppressed;
    that must be at most `max_suppressed` (a share) of all, and the classes that they then form, all generalised cells
    missing, must have at least `k` persons too. Ties go to fewer suppressed persons, then to the lower level of the
    first column that differs. Raises `ConfigurationError` when there are more than two million nodes.
    """
    lattice = _lattice([column.hierarchy.height for column in columns])
    problem = _Problem(persons, columns, fixed, k, int(max_suppressed * persons.num_rows + 1e-9))
    alive = problem.unpruned(lattice)
    loss = _loss(lattice, [column.hierarchy.height for column in columns])
    best: tuple[int, tuple[int, ...]] | None = None
    best_loss, checked = 0, 0
    # A stable sort: among equals the lattice's own order stands, which is that of the levels.
    for node in np.flatnonzero(alive)[np.argsort(loss[alive], kind="stable")].tolist():
        if best is not None and loss[node] > best_loss:
            break
        checked += 1
        levels = tuple(lattice[node].tolist())
        given_up = problem.suppressed_at(levels)
        if given_up is not None and (best is None or given_up < best[0]):
            best, best_loss = (given_up, levels), int(loss[node])
    if best is None:
        return Choice(levels=None, nodes=len(lattice), checked=checked)
    return Choice(
        levels={column.output: level for column, level in zip(columns, best[1], strict=True)},
        suppressed=problem.rows_to_suppress(best[1]),
        loss=math.fsum(level / (c.hierarchy.height - 1) for c, level in zip(columns, best[1], strict=True)),
        nodes=len(lattice),
        checked=checked,
    )


def generalised(persons: pa.Table, columns: Sequence[GeneralisedColumn], choice: Choice) -> pa.Table:
    """The output columns at the chosen levels, suppressed cells missing. Raises `ValueError` when none passed."""
    if choice.levels is None:
        raise ValueError("no choice of levels passes")
    keep = np.ones(persons.num_rows, dtype=bool)
    keep[list(choice.suppressed)] = False
    arrays = {}
    for column in columns:
        whole = generalise_column(persons[column.source], column.hierarchy, choice.levels[column.output])
        arrays[column.output] = pa.array(
            np.where(keep, whole.to_numpy(zero_copy_only=False), None), pa.string(), from_pandas=True
        )
    return pa.table(arrays)


class _Problem:
    """The persons, folded into distinct rows at the finest levels: coarser classes are unions of those."""

    def __init__(
        self, persons: pa.Table, columns: Sequence[GeneralisedColumn], fixed: Sequence[str], k: int, allowed: int
    ) -> None:
        self._k = k
        self._allowed = allowed
        self._count = persons.num_rows
        everyone = [
            [
                encode(generalise_column(persons[column.source], column.hierarchy, level))
                for level in range(column.hierarchy.height)
            ]
            for column in columns
        ]
        ids = combine([encode(persons[name]) for name in fixed], self._count)
        fixed_codes = np.unique(ids, return_inverse=True)[1].astype(np.int64)
        self._everyone, self._everyone_fixed = everyone, fixed_codes
        finest = combine([fixed_codes, *(codes[0] for codes in everyone)], self._count)
        _, first, weights = np.unique(finest, return_index=True, return_counts=True)
        self._weights: Codes = weights.astype(np.int64)
        self._codes = [[codes[first] for codes in levels] for levels in everyone]
        self._fixed = fixed_codes[first]

    def unpruned(self, lattice: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """The nodes that no single column and no pair of columns rules out."""
        alive = np.full(len(lattice), self._count > 0)
        for size in (1, 2):
            for chosen in itertools.combinations(range(len(self._codes)), size):
                heights = [len(self._codes[column]) for column in chosen]
                passes = np.zeros(heights, dtype=bool)
                for levels in itertools.product(*map(range, heights)):
                    passes[levels] = self._in_small_classes(chosen, levels).sum() <= self._allowed
                alive &= passes[tuple(lattice[:, column] for column in chosen)]
        return alive

    def suppressed_at(self, levels: tuple[int, ...]) -> int | None:
        """The number of persons to suppress under these levels; `None` when they do not pass."""
        every = range(len(self._codes))
        small = self._in_small_classes(every, levels)
        given_up = int(small.sum())
        if given_up > self._allowed:
            return None
        if given_up:
            empty = np.all([self._codes[column][levels[column]] == MISSING for column in every], axis=0)
            # All persons that end with every generalised cell missing: suppressed ones, and those who were so before.
            together = np.bincount(self._fixed, np.where(empty, self._weights, small))
            if (together[self._fixed[small > 0]] < self._k).any():
                return None
        return given_up

    def rows_to_suppress(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        codes = [column[level] for column, level in zip(self._everyone, levels, strict=True)]
        sizes = class_sizes(combine([self._everyone_fixed, *codes], self._count))
        return tuple(np.flatnonzero(sizes < self._k).tolist())

    def _in_small_classes(self, columns: Sequence[int], levels: Sequence[int]) -> Codes:
        """The weight of each distinct row that lies in a class of fewer than k persons, else 0."""
        codes = [self._codes[column][level] for column, level in zip(columns, levels, strict=True)]
        ids = combine([self._fixed, *codes], len(self._weights))
        return np.where(class_sizes(ids, self._weights) < self._k, self._weights, 0)


def _lattice(heights: Sequence[int]) -> npt.NDArray[np.int64]:
    """All nodes, one a row, in the order of their levels."""
    nodes = math.prod(heights)
    if nodes > MAXIMUM_NODES:
        cause = f"their levels combine in {nodes} ways, more than the {MAXIMUM_NODES} that are searched"
        raise ConfigurationError("schemas/hierarchies", cause, "Declare fewer levels, or fewer columns to generalise.")
    return np.indices(tuple(heights), dtype=np.int64).reshape(len(heights), nodes).T


def _loss(lattice: npt.NDArray[np.int64], heights: Sequence[int]) -> npt.NDArray[np.int64]:
    """The loss of each node in whole units, so that equal losses compare equal."""
    unit = math.lcm(*(height - 1 for height in heights))
    return lattice @ np.array([unit // (height - 1) for height in heights], dtype=np.int64)


def _level_name(hierarchy: Hierarchy, level: int | None) -> str | None:
    if level is None:
        return None
    return TOP if level == hierarchy.height - 1 else hierarchy.level_names[level]
