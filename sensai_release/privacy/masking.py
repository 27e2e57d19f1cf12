"""Small counts of persons are not published: masking, and complementary suppression within one partition.

A count below the minimum becomes the text `<10`. Where counts are published beside their total, a lone masked cell
could be had by subtraction; then further cells are masked too. Counts that can be subtracted across tables, documents
or releases are `rounded` down as well: two neighbours then differ by nothing or by an unknown number.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

MINIMUM = 10


def masked(count: int, minimum: int = MINIMUM) -> int | str:
    """The count as it may be published: 0 stays 0, and 1 to `minimum` - 1 become `<minimum`."""
    return f"<{minimum}" if 0 < count < minimum else count


def masked_of(count: int, total: int, minimum: int = MINIMUM) -> int | str:
    """The count beside its total, which the reader knows: a larger count reads `>=minimum` where the rest is small."""
    shown = masked(count, minimum)
    return f">={minimum}" if isinstance(shown, int) and 0 < total - count < minimum <= count else shown


def rounded(count: int | str, minimum: int = MINIMUM) -> int | str:
    """The count as a document may print it that others can be held against: masked, else down to a multiple.

    14 and 19 both read 10: at least ten, fewer than twenty. A masked text stays as it is, and so does a rounded count.
    """
    if isinstance(count, str):
        return count
    return masked(count, minimum) if count < minimum else count - count % minimum


def rounding_base(rows_per_person: Sequence[int] | npt.NDArray[np.int64], minimum: int = MINIMUM) -> int:
    """To which multiple a number of rows is rounded down, so that it tells as little as a rounded number of persons.

    The first of `minimum` times 1, 2, 5, 10, 20, 50, … that the `minimum` persons with the most rows do not exceed:
    one person can have hundreds of rows.
    """
    most = int(np.sort(np.asarray(rows_per_person, dtype=np.int64))[-minimum:].sum())
    base = minimum
    for step in itertools.cycle((2.0, 2.5, 2.0)):
        if base >= most:
            return base
        base = int(base * step)
    raise AssertionError


def mask_counts(counts: Mapping[str, int], minimum: int = MINIMUM, *, total_known: bool = True) -> dict[str, int | str]:
    """The cells of one partition of persons, masked so that no small cell follows from the others and their total.

    With `total_known` the reader is taken to know the exact sum and this rule. While a small cell could then take one
    value only, the smallest published cell is masked as well (ties by name; zeros last): a larger count reads
    `>=minimum`, a zero reads `<minimum`. Where all cells are small and their sum leaves no choice (one cell alone, all
    of them 1) nothing is left to hide among: the caller masks the total. The order of the cells is kept.
    """
    small = {name for name, count in counts.items() if 0 < count < minimum}
    hidden = set(small)
    if total_known and small:
        rest = sorted((name for name in counts if name not in small), key=lambda n: (counts[n] == 0, counts[n], n))
        while rest and _determined({name: counts[name] for name in hidden}, minimum):
            hidden.add(rest.pop(0))
    texts = {True: f"<{minimum}", False: f">={minimum}"}
    return {name: texts[count < minimum] if name in hidden else count for name, count in counts.items()}


def _determined(hidden: Mapping[str, int], minimum: int) -> bool:
    """Whether the sum of the hidden cells and their texts leave one value only for a small cell."""
    total = sum(hidden.values())
    lowest_small = 0 if 0 in hidden.values() else 1
    small = sum(count < minimum for count in hidden.values())
    large = len(hidden) - small
    others_at_least = lowest_small * (small - 1) + minimum * large
    highest = min(minimum - 1, total - others_at_least)
    # A hidden large cell has no upper bound, so only small cells alone can force one of them upwards.
    lowest = lowest_small if large else max(lowest_small, total - (minimum - 1) * (small - 1))
    return highest <= lowest
