"""The manifest of a release: every payload file with its SHA-256 and size, and what was released, as one statement.

An in-toto Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) in canonical JSON.
Signing it is left to `dsse`; comparing it with a directory is left to `verify`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.documents import canonical_json, parse_strict
from sensai_release.release.hashing import Progress, hash_files
from sensai_release.release.inventory import (
    Entry,
    folders_of,
    is_plain_path,
    list_entries,
    open_folder,
    printable,
)
from sensai_release.release.layout import MANIFEST, UNLISTED

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:sensai-release:predicate:release:1"

_STATEMENT_KEYS = {"_type", "subject", "predicateType", "predicate"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")
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
    `profile`; `policy_sha256` of the policy applied; `risk` with `k_min` and the `gates`; `waivers`, for each gate that
    was failed the `gate`, the `file` with its `sha256`, and when it `expires`; `synthetic`; `tool` and `dependencies`
    with versions; `pseudonym_key` with `id` and `check_value`; `counts`, masked; `terms_sha256`.
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
        return checked_bytes(self.to_dict())

    @property
    def resources(self) -> dict[str, ResourceDescriptor]:
        return {resource.name: resource for resource in self.subject}


def build_statement(root: Path, predicate: Mapping[str, Any], on_progress: Progress | None = None) -> Statement:
    """Hashes every file below `root` but the unlisted ones.

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
    checked_bytes(statement.to_dict())
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
    if checked_bytes(document) != data:
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
    """The text of SHA256SUMS for `sha256sum -c`: every file but itself, the envelope and the proof.

    `manifest` holds the bytes of manifest.json, which is one of the files covered.
    """
    digests = {resource.name: resource.digest for resource in statement.subject}
    digests[MANIFEST] = hashlib.sha256(manifest).hexdigest()
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def checked_bytes(document: Any) -> bytes:
    """A statement in canonical form. Raises `ReleaseFormatError` when it breaks manifest.schema.json.

    For each file, jsonschema and rfc8785 together take far longer than hashing a small one. Entries that plainly fulfil
    the schema hold ASCII keys, text and integers only, for which the standard library writes what RFC 8785 asks for; as
    soon as one is not plain, the two read them all.
    """
    if not _is_plain(document):
        check_schema(document, "manifest.schema.json", MANIFEST)
        return canonical_json(document)
    check_schema({**document, "subject": document["subject"][:1]}, "manifest.schema.json", MANIFEST)
    rest = canonical_json({**document, "subject": []})
    subject = json.dumps(document["subject"], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    # "subject" is the last key of a statement, in the order of RFC 8785 too.
    return rest.removesuffix(b"[]}") + subject.encode("utf-8") + b"}"


def _is_plain(document: Any) -> bool:
    """Whether a statement has the four keys of its schema, and nothing but entries that fulfil theirs."""
    if type(document) is not dict or document.keys() != _STATEMENT_KEYS or type(document["subject"]) is not list:
        return False
    try:
        return bool(document["subject"]) and all(map(_is_plain_resource, document["subject"]))
    except (KeyError, TypeError, AttributeError):
        return False


def _is_plain_resource(item: Any) -> bool:
    name, digest, media_type, annotations = item["name"], item["digest"], item["mediaType"], item["annotations"]
    size = annotations["size"]
    return (
        len(item) == 4
        and len(digest) == 1
        and len(annotations) == 1
        and is_plain_path(name)
        and len(name) <= 1000
        and _SHA256.fullmatch(digest["sha256"]) is not None
        and _MEDIA_TYPE.fullmatch(media_type) is not None
        and type(size) is int
        and 0 <= size < 2**53
    )


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
