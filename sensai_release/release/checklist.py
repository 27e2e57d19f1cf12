"""What a reviewer confirms before signing: a short list with a version, and the file in which it is filled in.

The list is data (`checklist.yaml`). A filled-in list holds ticks and nothing that anybody typed, so that no name can
get into a record. Showing the list is for `release.pages`, recording it for `pipeline.approving`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from sensai_release.errors import ConfigurationError, GateError, ReleaseFormatError
from sensai_release.release.documents import canonical_json, parse_strict
from sensai_release.release.manifest import check_schema
from sensai_release.table.documents import load_yaml

MAXIMUM_BYTES = 64 << 10
NOT_GIVEN = "not given"
"""What is recorded of an approval without a checklist."""

_PLACE = "--checklist"
_CURE = "Fill it in anew on the page that 'sensai-release review' makes of this release."


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line to tick. `look` names the section of the review page that it is about."""

    id: str
    text: str
    look: str
    applies: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    """The list of one version. `sha256` is over its canonical JSON, wording included."""

    version: int
    sha256: str
    items: tuple[Item, ...]

    def for_release(self, predicate: Mapping[str, Any]) -> tuple[Item, ...]:
        """The items that apply to a release, by what its manifest says (`predicate`) and nothing else."""
        there = {
            "always": True,
            "previous": predicate.get("previous") is not None,
            "waivers": bool(predicate.get("waivers")),
        }
        return tuple(item for item in self.items if there[item.applies])


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A list with every item ticked, for one release: what an approval records."""

    version: int
    release: str
    manifest_sha256: str
    items: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The document of checklist.schema.json."""
        return blank(self.version, self.release, self.manifest_sha256, dict.fromkeys(self.items, True))

    @property
    def sha256(self) -> str:
        """Over the canonical JSON: whoever knows the release can compute it again."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()


@lru_cache(maxsize=1)
def checklist() -> Checklist:
    """The list of this version of the tool."""
    with as_file(files("sensai_release.release").joinpath("checklist.yaml")) as path:
        document = load_yaml(path, path.name)
    items = tuple(Item(**entry) for entry in document["items"])
    digest = hashlib.sha256(canonical_json(document)).hexdigest()
    return Checklist(version=document["version"], sha256=digest, items=items)


def blank(version: int, release: str, manifest_sha256: str, items: Mapping[str, bool]) -> dict[str, Any]:
    """The document of checklist.schema.json for these ticks."""
    return {"checklist": version, "release": release, "manifest_sha256": manifest_sha256, "items": dict(items)}


def read_checklist(path: Path) -> bytes:
    """The bytes of a checklist file. Raises `ConfigurationError` when it cannot be read, or is absurdly large."""
    try:
        if not path.is_file():
            raise OSError
        with path.open("rb") as file:
            data = file.read(MAXIMUM_BYTES + 1)
    except (OSError, ValueError):
        raise ConfigurationError(_PLACE, "cannot be read", "Give the file that the review page saved.") from None
    if len(data) > MAXIMUM_BYTES:
        raise ConfigurationError(_PLACE, "is too large for a checklist", "Give the file that the review page saved.")
    return data


def parse_checklist(data: bytes, *, release: str, manifest_sha256: str, items: tuple[Item, ...]) -> Completed:
    """A filled-in checklist for this release, with all of `items` ticked.

    Raises `ConfigurationError` when it is no such file, or is for another release, manifest or version of the list, or
    for other items; `GateError` when an item is not ticked.
    """
    try:
        document = parse_strict(data, _PLACE, maximum_bytes=MAXIMUM_BYTES)
        check_schema(document, "checklist.schema.json", _PLACE)
    except ReleaseFormatError as error:
        raise ConfigurationError(_PLACE, error.cause, _CURE) from None
    version = checklist().version
    if document["checklist"] != version:
        raise ConfigurationError(_PLACE, f"is of another version of the list than {version}", _CURE)
    if document["release"] != release:
        raise ConfigurationError(_PLACE, f"was filled in for another release than {release}", _CURE)
    if document["manifest_sha256"] != manifest_sha256:
        raise ConfigurationError(_PLACE, f"was filled in for another manifest of {release}", _CURE)
    ticks, known = document["items"], [item.id for item in items]
    if missing := [name for name in known if name not in ticks]:
        raise ConfigurationError(_PLACE, f"lacks the items {', '.join(missing)}", _CURE)
    if len(ticks) > len(known):
        raise ConfigurationError(_PLACE, "has items that this release is not asked for", _CURE)
    refuse_open([name for name in known if not ticks[name]])
    return Completed(version=version, release=release, manifest_sha256=manifest_sha256, items=tuple(sorted(known)))


def refuse_open(names: list[str]) -> None:
    """Raises `GateError` when there is an item that was not ticked."""
    if names:
        raise GateError(
            "the checklist",
            f"is not complete: {', '.join(names)}",
            "Nothing was signed. Settle what keeps you from ticking it, or do not approve.",
        )
