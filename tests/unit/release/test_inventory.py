"""What lies in a release directory, by name."""

from __future__ import annotations

from sensai_release.release.inventory import folders_of


def test_folders_of_paths() -> None:
    assert folders_of(["a", "b/c/d/e", "b/c/f", "g/h"]) == {"b", "b/c", "b/c/d", "g"}
    assert folders_of([]) == frozenset()
