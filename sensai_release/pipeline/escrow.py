"""The escrow of a release on disk: sealed when the release is made, for the steward's escrow key alone.

An escrow lies in `escrow/` of the workspace, which git and DVC never see. Nothing of it enters a release, a report or a
log. What an escrow says, and how it is sealed, is for `privacy.escrow` and `privacy.age`; `pipeline.tracing` looks
somebody up in it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError, KeyFileError, ReleaseFormatError
from sensai_release.pipeline.pseudonymise import mappings_of
from sensai_release.pipeline.trusting import escrow_public_key, root_key_of
from sensai_release.pipeline.workspace import Workspace
from sensai_release.privacy.age import encrypt
from sensai_release.privacy.escrow import Escrow, escrow_name
from sensai_release.privacy.keys import check_value
from sensai_release.privacy.pseudonyms import Pseudonymiser
from sensai_release.release.documents import canonical_json
from sensai_release.release.layout import MANIFEST
from sensai_release.release.manifest import parse_statement
from sensai_release.release.publish import write_atomic
from sensai_release.release.tables import ReleasedTables
from sensai_release.table.schema import Identifier

FOLDER = "escrow"
NOT_WRITTEN = (
    "No escrow was written: SENSAI_RELEASE_KEY_DIR holds no public escrow key ('keygen --role escrow' makes one). "
    "A withdrawal from this release can be traced with its root key and the source alone."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowOutcome:
    """Where the escrow of a release lies, as the workspace names it, and the id of the key that opens it; both `None`
    when none was written (`NOT_WRITTEN` says what that means).
    """

    file: str | None = None
    key_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"file": self.file, "key_id": self.key_id}

    @property
    def said(self) -> str:
        return NOT_WRITTEN if self.file is None else f"Escrow for key {self.key_id}: {self.file}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRelease:
    """A release directory, and what its manifest says. It is not verified: that is `verify`'s."""

    folder: Path
    manifest_sha256: str
    predicate: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.predicate['series']}-{self.predicate['version']}"

    def pseudonymiser(self) -> Pseudonymiser:
        """With the root key that the release was made with. Raises `KeyFileError` when it is not in the key folder."""
        study, series, key = self.predicate["study"], self.predicate["series"], self.predicate["pseudonym_key"]
        return pseudonymiser_of(study, series, key["id"], key["check_value"])

    def pseudonyms(self, identifiers: Mapping[str, Identifier]) -> pa.Array:
        """All that stand in its identifier columns, each once."""
        tables = ReleasedTables(self.folder / "data", {})
        found = [
            pc.unique(tables.column(table, column).cast(pa.string()).drop_null())
            for table in tables.names
            for column in tables.schema(table).names
            if column in identifiers
        ]
        return pc.unique(pa.chunked_array(found, pa.string()))


def write_escrow(workspace: Workspace, version: str, *, folder: Path | None = None) -> EscrowOutcome:
    """Writes the escrow of a release of the workspace's series, unless it is there; needs work/validated/.

    `folder` is the finished release, where it does not lie in releases/ yet. Without a public escrow key in
    `SENSAI_RELEASE_KEY_DIR` nothing is written. Raises `KeyFileError` when the release's root key is not there, and
    `ConfigurationError` when the source no longer explains every pseudonym of the release.
    """
    public = escrow_public_key()
    if public is None:
        return EscrowOutcome()
    name = f"{workspace.params.series}-{version}"
    release = read_release(folder or workspace.releases / name)
    target = _own_folder(workspace) / escrow_name(name, release.manifest_sha256)
    if not os.path.lexists(target):
        key = release.predicate["pseudonym_key"]
        escrow = Escrow(
            study=release.predicate["study"],
            series=release.predicate["series"],
            version=release.predicate["version"],
            manifest_sha256=release.manifest_sha256,
            key_id=key["id"],
            check_value=key["check_value"],
            kinds=_released_pairs(workspace, release),
        )
        write_atomic(target, encrypt(canonical_json(escrow.to_dict()), public.recipient), mode=0o600)
    return EscrowOutcome(file=f"{FOLDER}/{target.name}", key_id=public.key_id)


def _released_pairs(workspace: Workspace, release: SealedRelease) -> dict[str, tuple[tuple[str, str], ...]]:
    """Of those who are in the release alone: an escrow tells nothing about anybody else."""
    released = release.pseudonyms(identifiers_of(workspace))
    kinds, explained = {}, 0
    for kind, mapping in sorted(mappings_of(workspace, release.pseudonymiser()).items()):
        held = mapping.filter(pc.is_in(mapping["pseudonym"], value_set=released)).sort_by("raw")
        kinds[kind] = tuple(zip(held["raw"].to_pylist(), held["pseudonym"].to_pylist(), strict=True))
        explained += held.num_rows
    if explained != len(released):
        raise ConfigurationError(
            "the escrow", "cannot be complete: the source no longer explains the release", "Build again, then release."
        )
    return kinds


def _own_folder(workspace: Workspace) -> Path:
    """Made so that git ignores it in every workspace, also in one that was set up before there were escrows."""
    folder = workspace.root / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        write_atomic(ignore, b"*\n", mode=0o600)
    return folder


def read_release(folder: Path) -> SealedRelease:
    """Raises `ReleaseFormatError` for a folder whose manifest cannot be read."""
    try:
        data = (folder / MANIFEST).read_bytes()
    except OSError:
        raise ReleaseFormatError(f"releases/{folder.name}", "has no manifest", "Restore the release.") from None
    return SealedRelease(
        folder=folder,
        manifest_sha256=hashlib.sha256(data).hexdigest(),
        predicate=parse_statement(data).predicate,
    )


def identifiers_of(workspace: Workspace) -> dict[str, Identifier]:
    """What identifiers look like, by the name of their column."""
    return {
        column.name: column.identifier
        for schema in workspace.schemas.values()
        for column in schema.columns
        if column.name is not None and column.identifier is not None
    }


def pseudonymiser_of(study: str, series: str, key_id: str, value: str) -> Pseudonymiser:
    """With the root key of this id, in use or kept. Raises `KeyFileError` when it is not there or is not that key."""
    root = root_key_of(key_id)
    if check_value(root, study, series) != value:
        cause = "is not the one that the release was made with, though its id is the same"
        raise KeyFileError(f"the root key {key_id}", cause, "Restore the key from its backup.")
    return Pseudonymiser(root, study, series)
