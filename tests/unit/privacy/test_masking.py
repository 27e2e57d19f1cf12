from __future__ import annotations

import itertools

import pytest

from sensai_release.privacy.masking import mask_counts, masked, masked_of


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, "<10"), (9, "<10"), (10, 10), (1234, 1234)])
def test_masked(count: int, shown: int | str) -> None:
    assert masked(count) == shown


@pytest.mark.parametrize(
    ("count", "total", "shown"),
    [(0, 54, 0), (3, 54, "<10"), (50, 54, ">=10"), (44, 54, 44), (45, 54, ">=10"), (54, 54, 54), (9, 9, "<10")],
)
def test_a_count_beside_its_total(count: int, total: int, shown: int | str) -> None:
    assert masked_of(count, total) == shown


def test_masked_with_another_minimum() -> None:
    assert [masked(n, 3) for n in range(5)] == [0, "<3", "<3", 3, 4]


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"a": 20, "b": 30}, {"a": 20, "b": 30}),
        ({"a": 0, "b": 30}, {"a": 0, "b": 30}),
        ({"a": 5, "b": 30, "c": 40}, {"a": "<10", "b": ">=10", "c": 40}),
        ({"c": 40, "b": 30, "a": 5}, {"c": 40, "b": ">=10", "a": "<10"}),
        ({"a": 5, "b": 6, "c": 40}, {"a": "<10", "b": "<10", "c": 40}),
        # 1 + 1 and 9 + 9 give themselves away, so a third cell is needed.
        ({"a": 1, "b": 1, "c": 40, "d": 50}, {"a": "<10", "b": "<10", "c": ">=10", "d": 50}),
        ({"a": 9, "b": 9, "c": 40}, {"a": "<10", "b": "<10", "c": ">=10"}),
        # The other cell is exactly the minimum: it cannot give the small one more than one value.
        ({"a": 1, "b": 10, "c": 40}, {"a": "<10", "b": ">=10", "c": ">=10"}),
        ({"a": 5, "b": 0}, {"a": "<10", "b": "<10"}),
        ({}, {}),
    ],
)
def test_complementary_suppression(counts: dict[str, int], shown: dict[str, int | str]) -> None:
    result = mask_counts(counts)
    assert result == shown
    assert list(result) == list(counts)


def test_without_a_known_total_only_small_cells_are_masked() -> None:
    assert mask_counts({"a": 5, "b": 30}, total_known=False) == {"a": "<10", "b": 30}


def possible(shown: dict[str, int | str], total: int, minimum: int) -> dict[str, set[int]]:
    """Every value that each cell can have, by trying all."""
    choices = []
    for cell in shown.values():
        if isinstance(cell, int):
            choices.append([cell])
        elif cell.startswith("<"):
            choices.append(list(range(minimum)))
        else:
            choices.append(list(range(minimum, total + 1)))
    found: dict[str, set[int]] = {name: set() for name in shown}
    for values in itertools.product(*choices):
        if sum(values) == total:
            for name, value in zip(shown, values, strict=True):
                found[name].add(value)
    return found


def test_no_small_cell_can_be_recovered_by_trying_everything() -> None:
    minimum = 4
    for values in itertools.product(range(7), repeat=3):
        counts = dict(zip("abc", values, strict=True))
        shown = mask_counts(counts, minimum)
        for name, options in possible(shown, sum(values), minimum).items():
            assert counts[name] in options
            nothing_to_hide_among = set(values) in ({1}, {minimum - 1})
            if 0 < counts[name] < minimum and not nothing_to_hide_among:
                assert len(options) > 1, (counts, shown)
