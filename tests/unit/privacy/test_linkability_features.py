from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from linkability_kit import column, dictionary, noise, release

from sensai_release.errors import ConfigurationError
from sensai_release.privacy.linkability.features import SessionFeatures, last_digits, session_features
from sensai_release.privacy.links import Links


def named(features: SessionFeatures) -> dict[str, list[float]]:
    return {entry.name: features.values[:, n].tolist() for n, entry in enumerate(features.columns)}


def windows(
    values: list[float | None], sessions: list[str], **entries: Any
) -> tuple[dict[str, pa.Table], dict[str, dict[str, Any]]]:
    """Four sessions of two persons and a table of windows with the column `au`."""
    tables, dictionaries = release([0, 0, 1, 1], np.zeros((4, 0)))
    tables["windows"] = pa.table({"session_id": sessions, "au": pa.array(values, pa.float64())})
    dictionaries["windows"] = dictionary("windows", [column("au", **entries)])
    return tables, dictionaries


def test_several_rows_become_mean_and_standard_deviation() -> None:
    tables, dictionaries = windows([1.0, 3.0, 5.0, 5.0, 2.0, None, 4.0], ["S0", "S0", "S1", "S1", "S2", "S2", "S3"])
    found = named(session_features(tables, dictionaries))
    assert sorted(found["windows.au:mean"]) == [2.0, 2.0, 4.0, 5.0]
    assert min(found["windows.au:sd"]) == 0.0
    assert np.isclose(max(found["windows.au:sd"]), np.sqrt(2))
    assert sorted(found["windows.au:sd_missing"]) == [0.0, 0.0, 1.0, 1.0]
    assert sorted(found["windows.:rows"]) == [1.0, 2.0, 2.0, 2.0]


def test_batches_give_what_the_whole_table_gives() -> None:
    rng = np.random.default_rng(1)
    sessions = [f"S{n}" for n in rng.integers(0, 4, 60)]
    cells = [None if rng.random() < 0.1 else float(v) for v in rng.standard_normal(60).round(3)]
    tables, dictionaries = windows(cells, sessions, action="window(digits=3)")
    whole = session_features(tables, dictionaries)
    pieces = session_features(tables | {"windows": iter(tables["windows"].to_batches(7))}, dictionaries)
    assert np.array_equal(whole.values, pieces.values)
    assert np.array_equal(whole.digits, pieces.digits)
    assert np.allclose(whole.digits.sum(axis=2), 1.0)


def test_categories_booleans_and_missing_cells() -> None:
    columns = [
        column("prompt", dtype="category", categories=["a", "b", "c"], **{"class": "C"}),
        column("flag", dtype="boolean", **{"class": "C"}),
        column("note", dtype="string", **{"class": "C"}),
        column("hidden", **{"class": "X"}),
        column("score", dtype="integer", **{"class": "clinical"}),
    ]
    tables, dictionaries = release([0, 0, 1, 2], np.zeros((4, 0)))
    tables["features"] = tables["features"].append_column("prompt", pa.array(["a", "b", None, "a"]))
    tables["features"] = tables["features"].append_column("flag", pa.array([True, False, True, True]))
    tables["features"] = tables["features"].append_column("note", pa.array(["x", "y", "z", "w"]))
    tables["features"] = tables["features"].append_column("hidden", pa.array([1.0, 2.0, 3.0, 4.0]))
    tables["features"] = tables["features"].append_column("score", pa.array([1, None, 3, 6]))
    dictionaries["features"] = dictionary("features", columns)
    features = session_features(tables, dictionaries)
    found = named(features)
    assert set(found) == {
        "features.prompt=1",
        "features.prompt=2",
        "features.prompt:category_missing",
        "features.flag",
        "features.score",
        "features.score:value_missing",
    }
    assert sorted(found["features.prompt=1"]) == [0.0, 2 / 3, 1.0, 1.0]
    assert sorted(found["features.score"]) == [1.0, 3.0, 10 / 3, 6.0]
    assert features.left_out == ("features.note",)


def test_columns_of_one_entry_are_one_group() -> None:
    columns = [
        column("F0_mean", description="Pitch."),
        column("F0_sd", description="Pitch."),
        column("AU01_mean", description="Brow. Here: mean in a window of 5 s."),
        column("AU01_sd", description="Brow. Here: standard deviation (n - 1) in a window of 5 s."),
        column("loud", description="Loudness."),
    ]
    tables, dictionaries = release([0, 0, 1], np.random.default_rng(0).random((3, 5)), columns)
    groups = {group.name: group.columns for group in session_features(tables, dictionaries).groups}
    assert groups == {
        "features: AU01* (2 columns)": ("AU01_mean", "AU01_sd"),
        "features: F0_mean and 1 more": ("F0_mean", "F0_sd"),
        "features: loud": ("loud",),
    }


def test_keys_and_tables_of_persons_are_left_out() -> None:
    tables, dictionaries = release([0, 0, 1], np.random.default_rng(0).random((3, 1)))
    dictionaries["participants"]["columns"].append(column("age", **{"class": "clinical"}))
    tables["participants"] = tables["participants"].append_column("age", pa.array([1.0, 2.0]))
    assert [entry.name for entry in session_features(tables, dictionaries).columns] == ["features.c000"]


def test_rows_without_a_session_are_refused() -> None:
    tables, dictionaries = windows([1.0], ["S9"])
    with pytest.raises(ConfigurationError, match="has rows that do not lead to a session"):
        session_features(tables, dictionaries)
    with pytest.raises(ConfigurationError, match="table of sessions"):
        session_features(tables, dictionaries, Links(sessions="visits"))


@pytest.mark.parametrize(
    ("rule", "values", "digits"),
    [
        (("significant", 4), [12.34, 0.1234, 0.123, 1234.0, -5.001, 0.0], [4, 4, 0, 4, 1, 0]),
        (("decimals", 2), [12.34, 0.1, 100.0, -1.05], [4, 0, 0, 5]),
        (("decimals", 0), [7.0, 13.0, -20.0], [7, 3, 0]),
    ],
)
def test_last_digits(rule: tuple[str, int], values: list[float], digits: list[int]) -> None:
    assert last_digits(np.array(values), rule).tolist() == digits


def test_order_and_names_change_nothing() -> None:
    persons, values = noise(9, 3, 5, seed=3)
    tables, dictionaries = release(persons, values)
    expected = session_features(tables, dictionaries)
    rng = np.random.default_rng(1)
    order = rng.permutation(27)
    mixed = {name: table if name == "participants" else table.take(order) for name, table in tables.items()}
    mixed["features"] = mixed["features"].select(mixed["features"].column_names[::-1])
    renamed, _ = release(persons, values, names={n: f"Q{(n * 5) % 9}" for n in range(9)})
    for other in (mixed, renamed):
        found = session_features(other, dictionaries)
        assert np.array_equal(found.values, expected.values)
        assert np.array_equal(found.persons, expected.persons)
        assert np.array_equal(found.digits, expected.digits)
        assert found.columns == expected.columns
