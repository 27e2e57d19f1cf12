"""The manifest of a release: every payload file with its SHA-256 and size, and what was released, as one statement.

An in-toto Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) in canonical JSON.
Signing it is left to `dsse`; comparing it with a directory is left to `verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.documents import canonical_json, parse_strict
from sensai_release.release.inventory import (
    Entry,
    Progress,
    folders_of,
    hash_files,
    is_plain_path,
    list_entries,
    open_folder,
    printable,
)

MANIFEST = "manifest.json"
ENVELOPE = "manifest.dsse.json"
CHECKSUMS = "SHA256SUMS"
UNLISTED = frozenset({MANIFEST, ENVELOPE, CHECKSUMS})
"""The files that no manifest lists: itself, its signatures, and the checksums that cover it."""

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:sensai-release:predicate:release:1"

_MEDIA_TYPES = {
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".txt": "text/plain",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDescriptor:
    """One file: its path in the release (`/` between folders), SHA-256 in lower-case hex, size in bytes, media type."""

    name: str
    digest: str
    size: int
    media_type: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "digest": {"sha256": self.digest},
            "mediaType": self.media_type,
            "annotations": {"size": self.size},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ResourceDescriptor:
        return cls(
            name=data["name"],
            digest=data["digest"]["sha256"],
            size=data["annotations"]["size"],
            media_type=data["mediaType"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is signed. `subject` is sorted by name.

    `predicate` holds (manifest.schema.json is the exact form): `study`, `series`, `version`; `as_of`, the day that
    the release speaks for, or None; `previous`, the `version` and `manifest_sha256` of the release before it, or None;
    `profile`; `policy_sha256` of the policy applied; `risk` with `k_min` and the `gates`; `synthetic`; `tool` and
    `dependencies` with versions; `pseudonym_key` with `id` and `check_value`; `counts`, masked; `terms_sha256`.
    """

    subject: tuple[ResourceDescriptor, ...]
    predicate: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {
            "_type": STATEMENT_TYPE,
            "subject": [resource.to_dict() for resource in self.subject],
            "predicateType": PREDICATE_TYPE,
            "predicate": dict(self.predicate),
        }

    def to_bytes(self) -> bytes:
        """The bytes of manifest.json. Raises `ReleaseFormatError` when they would break the schema."""
        document = self.to_dict()
        data = canonical_json(document)
        check_schema(document, "manifest.schema.json", MANIFEST)
        return data

    @property
    def resources(self) -> dict[str, ResourceDescriptor]:
        return {resource.name: resource for resource in self.subject}


def build_statement(root: Path, predicate: Mapping[str, Any], on_progress: Progress | None = None) -> Statement:
    """Hashes every file below `root` but the three unlisted ones.

    Raises `ReleaseFormatError` for a link, a special file, an empty folder, a name that not every file system keeps,
    two names that differ in case only, or a file that cannot be read; and when the predicate breaks the schema.
    """
    with open_folder(root) as folder:
        try:
            entries = list_entries(folder)
        except OSError:
            raise ReleaseFormatError("release", "cannot be listed", "Check the permissions of its folders.") from None
        _check_entries(entries)
        sizes = {entry.path: entry.size for entry in entries if entry.kind == "file" and entry.path not in UNLISTED}
        subject = []
        for digest in hash_files(folder, sizes, on_progress):
            if digest.sha256 is None or digest.size != sizes[digest.path]:
                raise ReleaseFormatError(digest.path, "could not be read, or changed while it was read", "Build again.")
            subject.append(
                ResourceDescriptor(
                    name=digest.path,
                    digest=digest.sha256,
                    size=digest.size,
                    media_type=_MEDIA_TYPES.get(Path(digest.path).suffix, "application/octet-stream"),
                )
            )
    statement = Statement(subject=tuple(subject), predicate=dict(predicate))
    check_schema(statement.to_dict(), "manifest.schema.json", MANIFEST)
    return statement


def _check_entries(entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        if entry.kind in ("link", "other"):
            raise ReleaseFormatError(printable(entry.path), "is a link or a special file", "Put a plain file there.")
    paths = [entry.path for entry in entries if entry.kind == "file"]
    if empty := {entry.path for entry in entries if entry.kind == "folder"} - folders_of(paths):
        raise ReleaseFormatError(printable(min(empty)), "is an empty folder", "Remove it, or put a file there.")
    _check_names([path for path in paths if path not in UNLISTED])


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not is_plain_path(name):
            raise ReleaseFormatError(
                printable(name), "is no name that every file system keeps", "Use letters, digits, '.', '_' and '-'."
            )
        if name.casefold() in seen:
            raise ReleaseFormatError(printable(name), "stands there twice but for upper and lower case", "Rename one.")
        seen.add(name.casefold())
    if clash := seen & {folder.casefold() for folder in folders_of(names)}:
        raise ReleaseFormatError(printable(min(clash)), "is both a file and a folder", "Rename one.")


def parse_statement(data: bytes) -> Statement:
    """Reads the bytes of manifest.json; call it only once a signature over them holds, or knowing that none does.

    Raises `ReleaseFormatError` unless the bytes are the canonical form of a statement that fulfils the schema, with
    plain, distinct names in order.
    """
    document = parse_strict(data, MANIFEST)
    check_schema(document, "manifest.schema.json", MANIFEST)
    if canonical_json(document) != data:
        raise ReleaseFormatError(MANIFEST, "is not in canonical form (RFC 8785)", "Get the release again.")
    statement = Statement(
        subject=tuple(ResourceDescriptor.from_dict(item) for item in document["subject"]),
        predicate=document["predicate"],
    )
    names = [resource.name for resource in statement.subject]
    _check_names(names)
    if names != sorted(names) or UNLISTED & set(names):
        raise ReleaseFormatError(MANIFEST, "lists its files out of order, or lists itself", "Get the release again.")
    return statement


def sha256sums(statement: Statement, manifest: bytes) -> str:
    """The text of SHA256SUMS for `sha256sum -c`: every file but itself and the envelope, sorted by path.

    `manifest` holds the bytes of manifest.json, which is one of the files covered.
    """
    digests = {resource.name: resource.digest for resource in statement.subject}
    digests[MANIFEST] = hashlib.sha256(manifest).hexdigest()
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def check_schema(document: Any, schema: str, place: str) -> None:
    """Raises `ReleaseFormatError`, naming the path inside the document, when it breaks one of our JSON Schemas."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema).iter_errors(document))
    if error is not None:
        # The message of jsonschema quotes the document; the path and the broken rule are enough to find it.
        raise ReleaseFormatError(
            place,
            f"{printable(error.json_path)} breaks the rule '{error.validator}' of {schema}",
            "Correct that entry.",
        )


@lru_cache(maxsize=8)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    text = files("sensai_release.release").joinpath(schema).read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))
