from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.folds import fold_balance, folds_table

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


def three_releases(seed: int) -> list[tuple[dict[str, str], dict[str, int]]]:
    """Persons with stratum and fold, over three releases: some leave, some come, one leaves as one comes."""
    random = np.random.default_rng(seed)
    label = {f"P{n:03d}": "pain" if random.random() < 0.6 else "control" for n in range(140)}
    names = sorted(label)
    people = [names[:100], [*names[7:100], *names[100:120]], [*names[8:100], *names[100:121]]]
    previous, result = EMPTY, []
    for chosen in people:
        found = folds(chosen, previous, [label[name] for name in chosen])
        # The next release is made from the table of the last one alone, as the pipeline does.
        previous = pa.table({"participant_id": sorted(found), "fold": pa.array([found[n] for n in sorted(found)])})
        result.append(({name: label[name] for name in chosen}, found))
    return result


@pytest.mark.parametrize("seed", range(20))
def test_nobody_changes_fold_over_three_releases_and_folds_stay_even(seed: int) -> None:
    releases = three_releases(seed)
    ever: dict[str, int] = {}
    for strata, found in releases:
        assert strata.keys() == found.keys()
        assert all(ever.setdefault(name, fold) == fold for name, fold in found.items())
        for stratum in ("pain", "control"):
            sizes = np.bincount([fold for name, fold in found.items() if strata[name] == stratum], minlength=6)[1:]
            # Seven who leave may all be of one fold; those who come fill the gaps.
            assert sizes.max() - sizes.min() <= 4


def test_one_leaves_and_one_comes() -> None:
    """The newcomer takes the place that is free, and nobody else notices."""
    names = [f"P{n}" for n in range(50)]
    first = folds(names, EMPTY, ["pain"] * 50)
    previous = pa.table({"participant_id": list(first), "fold": pa.array(list(first.values()))})
    for gone in names[:10]:
        stay = [name for name in names if name != gone]
        later = folds([*stay, "NEW"], previous, ["pain"] * 50)
        assert {name: later[name] for name in stay} == {name: first[name] for name in stay}
        assert later["NEW"] == first[gone]


def test_who_comes_back_is_new() -> None:
    """A person who was absent from one release has no fold in it to keep; nothing is remembered of who has left."""
    names = [f"P{n}" for n in range(30)]
    first = folds(names, EMPTY)
    second = folds(names[1:], pa.table({"participant_id": list(first), "fold": pa.array(list(first.values()))}))
    third = folds(names, pa.table({"participant_id": list(second), "fold": pa.array(list(second.values()))}))
    assert {name: third[name] for name in names[1:]} == {name: first[name] for name in names[1:]}
    assert np.ptp(np.bincount(list(third.values()), minlength=6)[1:]) <= 1


def test_balance_says_how_uneven_folds_are() -> None:
    table = pa.table({"participant_id": [f"P{n:02d}" for n in range(40)], "fold": pa.array([1] * 25 + [2] * 15)})
    strata = pa.array(["pain"] * 40)
    assert fold_balance(table["fold"], strata, 2) == {
        "folds": 2,
        "strata": [{"stratum": "pain", "smallest": 10, "largest": 20, "uneven": True}],
    }
    few = fold_balance(table["fold"], pa.array(["pain"] * 31 + ["control"] * 9), 2)
    assert few["strata"][0] == {"stratum": "control", "smallest": 0, "largest": "<10", "uneven": True}
    even = fold_balance(pa.array([1, 2] * 20), strata, 2)
    assert even["strata"][0]["uneven"] is False
