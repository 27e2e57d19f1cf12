from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.folds import folds_table

KEY = hashlib.sha256(b"folds").digest()
EMPTY = pa.table({"participant_id": pa.array([], pa.string()), "fold": pa.array([], pa.int64())})


def folds(names: list[str], previous: pa.Table | None = None, strata: list[str] | None = None) -> dict[str, int]:
    labels = None if strata is None else pa.array(strata)
    table = folds_table(pa.array(names, pa.string()), labels, 5, KEY, previous=previous)
    assert table.schema.names == ["participant_id", "fold"]
    assert table["participant_id"].to_pylist() == sorted(names)
    return dict(zip(table["participant_id"].to_pylist(), table["fold"].to_pylist(), strict=True))


def test_nobody_ever_changes_fold() -> None:
    names = [f"P{n}" for n in range(300)]
    whole = folds(names)
    assert set(whole.values()) == {1, 2, 3, 4, 5}
    some = folds(names[::-3])
    assert some == {name: whole[name] for name in names[::-3]}
    assert folds(names, strata=["a"] * 300) == whole


def test_folds_are_near_even_and_keyed() -> None:
    names = [f"P{n}" for n in range(5000)]
    sizes = np.bincount(list(folds(names).values()))[1:]
    assert sizes.min() > 900
    assert sizes.max() < 1100
    other = folds_table(pa.array(names), None, 5, b"x" * 32)
    assert other["fold"].to_pylist() != folds_table(pa.array(names), None, 5, KEY)["fold"].to_pylist()


def test_with_memory_new_persons_fill_up_and_old_ones_stay() -> None:
    names = [f"P{n}" for n in range(40)]
    strata = ["pain" if n % 4 else "control" for n in range(40)]
    first = folds(names, EMPTY, strata)
    for stratum in ("pain", "control"):
        sizes = np.bincount([first[n] for n, s in zip(names, strata, strict=True) if s == stratum], minlength=6)[1:]
        assert sizes.max() - sizes.min() <= 1
    assert folds(names[::-1], EMPTY, strata[::-1]) == first
    previous = pa.table({"participant_id": list(first), "fold": pa.array(list(first.values()))})
    later = folds([*names[5:], "Q1", "Q2", "Q3"], previous, [*strata[5:], "pain", "pain", "new"])
    assert {name: later[name] for name in names[5:]} == {name: first[name] for name in names[5:]}


def test_refusals() -> None:
    with pytest.raises(ConfigurationError, match="at least 2"):
        folds_table(pa.array(["a"]), None, 1, KEY)
    with pytest.raises(ValueError, match="distinct"):
        folds(["a", "a"])
    previous = pa.table({"participant_id": ["a"], "fold": pa.array([6])})
    with pytest.raises(ConfigurationError, match="previous release"):
        folds(["a"], previous)
