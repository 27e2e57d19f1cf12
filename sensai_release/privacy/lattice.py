"""The lattice of levels, and which of its nodes leave whom in a class that is too small or too uniform.

Samarati's lattice of full-domain generalisation (https://doi.org/10.1109/69.971193). Two facts make it fast, and both
hold for any number of persons k and of values l that a class must have, because both only grow when classes unite:
persons are folded into distinct rows, and the classes of a node are unions of those of any finer one, so they are
rolled up from it (LeFevre et al.'s Incognito, https://doi.org/10.1145/1066157.1066164). Which node is best is
`privacy.generalise`'s to say.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.classes import Codes, class_sizes, combine, cross, dense
from sensai_release.privacy.companions import companions
from sensai_release.privacy.suppression import Demand, Flags, Rows, can_be_mended

MAXIMUM_NODES = 2_000_000
Levels = tuple[int, ...]
_CACHED_ROWS = 4_000_000
# Sets of columns that are tried beforehand: by threes there are few enough, and most failing nodes fail there.
_TRIED = 3


def all_nodes(heights: Sequence[int]) -> npt.NDArray[np.int16]:
    """All nodes, one a row, in the order of their levels. Raises `ConfigurationError` above two million."""
    nodes = math.prod(heights)
    if nodes > MAXIMUM_NODES:
        cause = f"their levels combine in {nodes} ways, more than the {MAXIMUM_NODES} that are searched"
        raise ConfigurationError("schemas/hierarchies", cause, "Declare fewer levels, or fewer columns to generalise.")
    return np.indices(tuple(heights), dtype=np.int16).reshape(len(heights), nodes).T


@dataclass(frozen=True, slots=True)
class _Fold:
    """Distinct rows: for each the base row that stands for it, and its persons."""

    first: Codes
    weights: Codes


class Problem:
    """The persons of a search, folded into distinct rows. `codes[c][level]` are the codes of column c, one a person.

    `fixed` are codes of what is released as it is and counts too. `allowed` is the largest number of persons who may
    lose cells, `costs` what a blank costs in each column.
    """

    def __init__(
        self,
        codes: Sequence[Sequence[Codes]],
        fixed: Codes,
        sensitive: Sequence[Codes],
        demand: Demand,
        *,
        allowed: int,
        costs: Sequence[int],
    ) -> None:
        self._demand = demand
        self._allowed = allowed
        self._costs = costs
        self._persons = (codes, fixed, sensitive)
        count = len(fixed)
        finest, _ = dense(combine([fixed, *(levels[0] for levels in codes)], count))
        _, first, weights = np.unique(finest, return_index=True, return_counts=True)
        self._codes = [[codes[first] for codes in levels] for levels in codes]
        self._fixed = fixed[first]
        self._sensitive = [cross(finest, values)[:2] for values in sensitive] if demand.l > 1 else []
        self._base = _Fold(np.arange(len(first)), weights.astype(np.int64))
        self._folds: dict[Levels, _Fold] = {(0,) * len(codes): self._base}
        self._cached = 0

    @property
    def distinct(self) -> int:
        return len(self._fixed)

    def unpruned(self, lattice: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
        """The nodes that no one, two or three columns rule out on their own: too few persons share just those."""
        alive = np.full(len(lattice), len(self._fixed) > 0)
        for size in range(1, min(_TRIED, len(self._codes)) + 1):
            for chosen in itertools.combinations(range(len(self._codes)), size):
                heights = [len(self._codes[column]) for column in chosen]
                base = self._fold(self._base, chosen, (0,) * size)
                passes = np.zeros(heights, dtype=bool)
                for levels in itertools.product(*map(range, heights)):
                    ids = self._ids(base, chosen, levels)
                    small = class_sizes(ids, base.weights) < self._demand.k
                    passes[levels] = base.weights[small].sum() <= self._allowed
                if not passes.all():
                    alive &= passes[tuple(lattice[:, column] for column in chosen)]
        return alive

    def given_up(self, levels: Levels) -> int:
        """The number of persons in faulty classes. It never grows from a node to a coarser one."""
        every = range(len(self._codes))
        fold = self._folded(levels)
        small = fold.weights < self._demand.k
        count = int(fold.weights[small].sum())
        if count > self._allowed or not self._sensitive:
            return count
        rows = self._rows(levels)
        ids = self._ids(self._base, every, levels)
        return int(self._base.weights[rows.faulty(ids, self._demand)].sum())

    def companions(self, levels: Levels) -> int | None:
        """How many others must lose cells with those persons, so that every class is sound; `None` where none can be.

        With them no more than the allowed number may lose cells.
        """
        rows = self._rows(levels)
        faulty = rows.faulty(self._ids(self._base, range(len(self._codes)), levels), self._demand)
        if can_be_mended(rows, faulty, self._demand):
            return 0
        if max(self._demand.k, int(rows.weights[faulty].sum()) + 1) > self._allowed:
            return None
        found = self.leaving(levels)[2]
        return None if found is None else int(found.sum())

    def leaving(self, levels: Levels) -> tuple[Rows, Flags, Flags | None]:
        """One row a person at a node, who is in faulty classes, and who has to lose cells with them if that can be."""
        codes, fixed, sensitive = self._persons
        used = blankable(codes, levels)
        every = np.arange(len(fixed))
        rows = Rows(
            columns=[codes[column][levels[column]] for column in used],
            fixed=fixed,
            weights=np.ones(len(fixed), dtype=np.int64),
            sensitive=[(every, values) for values in sensitive],
        )
        faulty = rows.faulty(rows.classes(), self._demand)
        room = self._allowed - int(faulty.sum())
        return rows, faulty, companions(rows, faulty, self._demand, self.costs(levels), room)

    def costs(self, levels: Levels) -> list[int]:
        """What a blank costs in each column that says something at a node."""
        return [self._costs[column] for column in blankable(self._codes, levels)]

    def _rows(self, levels: Levels) -> Rows:
        columns = [self._codes[column][levels[column]] for column in blankable(self._codes, levels)]
        return Rows(columns=columns, fixed=self._fixed, weights=self._base.weights, sensitive=self._sensitive)

    def _folded(self, levels: Levels) -> _Fold:
        """The distinct rows at a node, rolled up from the smallest finer node at hand."""
        finer = [node for node in self._folds if all(a <= b for a, b in zip(node, levels, strict=True))]
        source = min(finer, key=lambda node: len(self._folds[node].first))
        if source == levels:
            return self._folds[levels]
        fold = self._fold(self._folds[source], range(len(levels)), levels)
        if self._cached + len(fold.first) > _CACHED_ROWS:
            self._folds = {(0,) * len(self._codes): self._base}
            self._cached = 0
        self._folds[levels] = fold
        self._cached += len(fold.first)
        return fold

    def _fold(self, source: _Fold, columns: Sequence[int], levels: Sequence[int]) -> _Fold:
        ids, count = dense(self._ids(source, columns, levels))
        weights = np.bincount(ids, source.weights, minlength=count).astype(np.int64)
        first = np.empty(count, dtype=np.int64)
        # Any of the rows may stand for its class.
        first[ids] = source.first
        return _Fold(first, weights)

    def _ids(self, fold: _Fold, columns: Sequence[int], levels: Sequence[int]) -> Codes:
        codes = [self._codes[column][level][fold.first] for column, level in zip(columns, levels, strict=True)]
        return combine([self._fixed[fold.first], *codes], len(fold.first))


def blankable(codes: Sequence[Sequence[Codes]], levels: Levels) -> list[int]:
    """The columns whose cells say something at a node: at its top a column is the same for everybody."""
    return [column for column, level in enumerate(levels) if level < len(codes[column]) - 1]
