"""What a reviewer is compared with: the last release that somebody approved, not one that slipped by."""

from __future__ import annotations

import hashlib
import shutil
from datetime import date
from pathlib import Path

import pytest
from release_kit import PREDICATE, REVIEWER, STEWARD, fill, trust_in

from sensai_release.errors import GateError
from sensai_release.pipeline.approving import Review, review
from sensai_release.release.sealing import countersign_release, seal_release
from sensai_release.release.trust import write_trust

TODAY = date(2026, 2, 1)


def name(version: int) -> str:
    return f"synthetic-series-{version}.0.0"


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Three releases, one after the other; each says of its gate k what its number is. Nobody approved any."""
    previous = None
    for version in (1, 2, 3):
        root = tmp_path / name(version)
        fill(root)
        gates = [{"name": "k", "value": 10 * version, "limit": 5, "ok": True}]
        risk = {"k_min": 10 * version, "gates": gates}
        predicate = {**PREDICATE, "version": f"{version}.0.0", "previous": previous, "risk": risk}
        statement = seal_release(root, predicate, STEWARD)
        previous = {
            "version": f"{version}.0.0",
            "manifest_sha256": hashlib.sha256(statement.to_bytes()).hexdigest(),
        }
    write_trust(trust_in(STEWARD, REVIEWER, steward=1, reviewer=1), tmp_path / "trust.json")
    return tmp_path


def shown(series: Path, *, trusted: bool = True) -> Review:
    return review(series / name(3), trust=series / "trust.json" if trusted else None, today=TODAY)


@pytest.mark.parametrize(
    ("approved", "trusted", "since"),
    [([1, 2], True, 2), ([1], True, 1), ([2], True, 2), ([], True, 2), ([1], False, 2)],
)
def test_the_difference_is_that_to_the_last_approved_release(
    series: Path, approved: list[int], trusted: bool, since: int
) -> None:
    for version in approved:
        countersign_release(series / name(version), REVIEWER)
    found = shown(series, trusted=trusted)
    assert found.before == series / name(since)
    assert [gate["before"] for gate in found.gates] == [10 * since]
    assert any(f"since {name(1)}" in note for note in found.notes) is (since == 1)
    assert any(f"{name(2)}, was not approved" in note for note in found.notes) is (trusted and 2 not in approved)


def test_a_gap_in_the_series_is_said(series: Path) -> None:
    shutil.rmtree(series / name(1))
    found = shown(series)
    assert found.before == series / name(2)
    assert any(f"{name(1)}, does not lie beside it" in note for note in found.notes)


def test_a_release_put_in_the_place_of_an_earlier_one_is_refused(series: Path) -> None:
    shutil.rmtree(series / name(1))
    shutil.copytree(series / name(2), series / name(1))
    with pytest.raises(GateError, match="is not the release that this one says it follows"):
        shown(series)
