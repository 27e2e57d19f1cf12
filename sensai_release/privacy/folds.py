"""Cross-validation folds that keep all rows of a person together and that a person never leaves.

A fold is a keyed hash of the person's pseudonym, under a key of its own, so it tells nothing of enrolment and needs no
memory. `fold_balance` says how evenly a study's strata lie; `pipeline.utility` warns of it.
"""

from __future__ import annotations

import hmac
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.keys import frame
from sensai_release.privacy.masking import MINIMUM, rounded


def folds_table(
    persons: pa.Array | pa.ChunkedArray,
    strata: pa.Array | pa.ChunkedArray | None,
    count: int,
    key: bytes,
    *,
    previous: pa.Table | None = None,
    person_key: str = "participant_id",
) -> pa.Table:
    """The fold (int64, 1 to `count`) of every person, ordered by person; `persons` must be distinct.

    Without `previous` the hash alone decides: only that is the same in every release without looking at another, and
    `strata` then balances nothing. With `previous` (an earlier result, or an empty one for the first release) everyone
    in it keeps the fold, and each new person, in the order of the hash, joins the fold that has fewest persons of the
    same stratum, then fewest persons. Raises `ConfigurationError` for fewer than two folds.
    """
    if count < 2:
        raise ConfigurationError("params.yaml: folds.count", "must be at least 2", "Give a whole number from 2.")
    names: list[str] = persons.to_pylist()
    if len(set(names)) != len(names) or persons.null_count:
        raise ValueError("persons must be distinct and present")
    hashes = {name: _hash(key, name) for name in names}
    if previous is None:
        folds = {name: number % count + 1 for name, number in hashes.items()}
    else:
        labels = [None] * len(names) if strata is None else strata.to_pylist()
        kept = dict(zip(previous[person_key].to_pylist(), previous["fold"].to_pylist(), strict=True))
        folds = _balanced(hashes, dict(zip(names, labels, strict=True)), kept, count)
    table = pa.table(
        {
            person_key: pa.array(names, pa.string()),
            "fold": pa.array([folds[name] for name in names], pa.int64()),
        }
    )
    return table.take(pc.sort_indices(table, sort_keys=[(person_key, "ascending")]))


def fold_balance(
    folds: pa.Array | pa.ChunkedArray, strata: pa.Array | pa.ChunkedArray | None, count: int, minimum: int = MINIMUM
) -> dict[str, Any]:
    """For each stratum the persons of its smallest and its largest fold, masked and rounded, and whether they differ.

    `uneven`: by more than one person. Who has a fold keeps it, so those who leave make folds uneven until others come.
    """
    number = np.asarray(folds.to_numpy(zero_copy_only=False) if isinstance(folds, pa.Array) else folds.to_numpy())
    labels = np.array([str(label) for label in (["all"] * len(number) if strata is None else strata.to_pylist())])
    shown = []
    for label in np.unique(labels).tolist():
        sizes = np.bincount(number[labels == label], minlength=count + 1)[1:]
        low, high = int(sizes.min()), int(sizes.max())
        entry = {"stratum": label, "smallest": rounded(low, minimum), "largest": rounded(high, minimum)}
        shown.append(entry | {"uneven": high - low > 1})
    return {"folds": count, "strata": shown}


def _hash(key: bytes, name: str) -> int:
    # 64 bits taken modulo a small count: the bias is below 2^-50.
    return int.from_bytes(hmac.digest(key, frame((b"fold", name.encode("utf-8"))), "sha256")[:8], "big")


def _balanced(hashes: dict[str, int], strata: dict[str, object], kept: dict[str, int], count: int) -> dict[str, int]:
    if any(not 1 <= fold <= count for fold in kept.values()):
        raise ConfigurationError(
            "params.yaml: folds.count", "is smaller than in the previous release", "Keep it for the whole series."
        )
    folds = {name: kept[name] for name in hashes if name in kept}
    sizes = np.zeros(count, dtype=np.int64)
    by_stratum: dict[object, np.ndarray[tuple[int], np.dtype[np.int64]]] = {
        stratum: np.zeros(count, dtype=np.int64) for stratum in dict.fromkeys(strata.values())
    }
    for name, fold in folds.items():
        sizes[fold - 1] += 1
        by_stratum[strata[name]][fold - 1] += 1
    for name in sorted((name for name in hashes if name not in folds), key=lambda name: (hashes[name], name)):
        own = by_stratum[strata[name]]
        best = int(np.lexsort((sizes, own))[0])
        folds[name] = best + 1
        sizes[best] += 1
        own[best] += 1
    return folds
