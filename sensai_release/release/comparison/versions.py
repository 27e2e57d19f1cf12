"""Which step of the version number a change asks for: a release must not look smaller than it is.

MAJOR.MINOR.PATCH as in Semantic Versioning 2.0.0 (https://semver.org): major where a recipient has to act, because
persons have left, the policy lets more out, or a program that read the last release fails on this one; minor where data
differ; patch where only texts do. Whether a version is free is `pipeline.publish`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from sensai_release.release.comparison.diff import ReleaseDiff

Bump: TypeAlias = Literal["major", "minor", "patch"]
Version: TypeAlias = tuple[int, int, int]

_STEPS: tuple[Bump, ...] = ("major", "minor", "patch")


def required_bump(diff: ReleaseDiff) -> Bump:
    """The smallest step that does not understate the difference."""
    return reasons(diff)[0]


def reasons(diff: ReleaseDiff) -> tuple[Bump, str]:
    """`required_bump`, and in words what asks for it."""
    for bump, found in (("major", _major(diff)), ("minor", _minor(diff))):
        if what := list(dict.fromkeys(found)):
            return bump, " and ".join(what)  # type: ignore[return-value]
    return "patch", "nothing but texts changed"


def bump_of(old: Version, new: Version) -> Bump:
    """Which number of a version rose first; `new` is above `old`."""
    return next(step for step, before, after in zip(_STEPS, old, new, strict=True) if before != after)


def understates(old: Version, new: Version, required: Bump) -> bool:
    """Whether a version above the last one says less than `required`."""
    return _STEPS.index(bump_of(old, new)) > _STEPS.index(required)


def smallest(old: Version, required: Bump) -> str:
    """The lowest version above `old` that makes the step."""
    place = _STEPS.index(required)
    return ".".join(map(str, (*old[:place], old[place] + 1, *(0,) * (2 - place))))


def _major(diff: ReleaseDiff) -> Iterator[str]:
    if diff.participants["removed"] != 0:
        yield "persons were removed"
    if any(change["loosened"] for change in diff.policy):
        yield "the policy was loosened"
    for table in diff.tables.values():
        if table.status == "removed":
            yield "a table was removed"
        elif table.columns_removed or table.columns_retyped:
            yield "columns were removed or have another type"


def _minor(diff: ReleaseDiff) -> Iterator[str]:
    if diff.participants["added"] != 0:
        yield "persons were added"
    if not diff.same_data:
        yield "rows, columns, cells or their declarations changed"
    if diff.policy:
        yield "the policy changed"
