"""The escrow of a release: which raw identifier became which pseudonym, sealed for the steward's escrow key alone.

GDPR Art. 4(5) calls it additional information; without it, or the root key, a withdrawal cannot be traced to a
release. Holds the content, its check and the look-up, and reads escrow keys. How the bytes are encrypted is `age`'s;
where the file lies, and what is true of a release, is `pipeline.escrow`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensai_release.errors import InputError, KeyFileError
from sensai_release.privacy.age import parse_recipient, recipient_of
from sensai_release.privacy.key_storage import RESTORE, place_of, read_public_file
from sensai_release.privacy.key_text import PRIVATE_LABEL, PUBLIC_LABEL, parse_key
from sensai_release.privacy.keyfile import Secret, public_key_id, read_private
from sensai_release.privacy.pseudonyms import canonical

FORMAT = "sensai-release-escrow"
FORMAT_VERSION = 1

_TEXTS = {
    "study": r".{1,500}",
    "series": r"[a-z0-9][a-z0-9-]{0,99}",
    "version": r"\d+\.\d+\.\d+",
    "manifest_sha256": r"[0-9a-f]{64}",
    "key_id": r"[0-9a-f]{16}",
    "check_value": r"[0-9a-f]{16}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowPublicKey:
    """Whom an escrow is encrypted to: `recipient` is `age1...`."""

    name: str
    key_id: str
    recipient: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EscrowPrivateKey(Secret):
    """What opens an escrow: `identity` is `AGE-SECRET-KEY-1...`."""

    name: str
    key_id: str
    identity: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One person or session (`kind`) under its raw identifier and its pseudonym."""

    kind: str
    raw: str = field(repr=False)
    pseudonym: str

    def to_dict(self) -> dict[str, str]:
        return {"kind": self.kind, "raw": self.raw, "pseudonym": self.pseudonym}


@dataclass(frozen=True, slots=True, kw_only=True)
class Escrow:
    """What one release's escrow says. `kinds` maps a kind of identifier to pairs (raw, pseudonym), sorted; it holds
    those who are in the release and nobody else. `manifest_sha256` tells which release of that name is meant.
    """

    study: str
    series: str
    version: str
    manifest_sha256: str
    key_id: str
    check_value: str
    kinds: Mapping[str, tuple[tuple[str, str], ...]] = field(repr=False)

    @property
    def release(self) -> str:
        return f"{self.series}-{self.version}"

    @property
    def file_name(self) -> str:
        return escrow_name(self.release, self.manifest_sha256)

    def find(self, identifier: str) -> Iterator[Pair]:
        """The pairs with this raw identifier, in any spelling of one canonical form, or with this pseudonym."""
        form = canonical(identifier)
        for kind, pairs in self.kinds.items():
            for raw, pseudonym in pairs:
                if form in (pseudonym, canonical(raw)):
                    yield Pair(kind=kind, raw=raw, pseudonym=pseudonym)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **{name: getattr(self, name) for name in _TEXTS},
            "kinds": {kind: [list(pair) for pair in sorted(pairs)] for kind, pairs in sorted(self.kinds.items())},
        }

    @classmethod
    def from_dict(cls, document: Any, place: str) -> Escrow:
        """Raises `InputError`, without quoting the document, for anything but what `to_dict` writes."""
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise InputError(place, "holds no escrow of this tool", "Name a file that 'release' wrote.")
        if document.get("format_version") != FORMAT_VERSION:
            raise InputError(place, "was written by a later version of this tool", "Install that version.")
        texts: dict[str, Any] = {name: document.get(name) for name in _TEXTS}
        kinds = document.get("kinds")
        sound = (
            document.keys() == _TEXTS.keys() | {"format", "format_version", "kinds"}
            and all(isinstance(text, str) and re.fullmatch(_TEXTS[name], text) for name, text in texts.items())
            and isinstance(kinds, dict)
            and all(isinstance(pairs, list) and all(map(_is_pair, pairs)) for pairs in kinds.values())
        )
        if not sound:
            raise InputError(place, "holds an escrow that is not well-formed", "Restore it from its backup.")
        found = {kind: tuple((raw, pseudonym) for raw, pseudonym in pairs) for kind, pairs in document["kinds"].items()}
        return cls(**texts, kinds=found)


def escrow_name(release: str, manifest_sha256: str) -> str:
    """The name of a release's escrow file. A release that was made anew, with other bytes, gets a file of its own."""
    return f"{release}.{manifest_sha256[:16]}.age"


def load_escrow_public_key(path: Path) -> EscrowPublicKey:
    """Reads `PATH.pub` of an escrow key. Raises `KeyFileError`, also when others could have put their own key there."""
    place = place_of(path)
    found = parse_key(read_public_file(path, guarded=True), place)
    if found.role != "escrow" or found.label != PUBLIC_LABEL:
        raise KeyFileError(place, "is not the public half of an escrow key", "Give its file that ends in .pub.")
    recipient = found.content.decode("ascii")
    if public_key_id(parse_recipient(recipient, place)) != found.key_id:
        raise KeyFileError(place, "has a key-id that is not that of its key", RESTORE)
    return EscrowPublicKey(name=found.name, key_id=found.key_id, recipient=recipient)


def load_escrow_private_key(path: Path) -> EscrowPrivateKey:
    """Reads an escrow key. Raises `KeyFileError` when the file is unsafe, malformed or of another role."""
    found = read_private(path, ("escrow",), PRIVATE_LABEL)
    place = place_of(path)
    identity = found.content.decode("ascii")
    if public_key_id(parse_recipient(recipient_of(identity, place), place)) != found.key_id:
        raise KeyFileError(place, "has a key-id that is not that of its key", RESTORE)
    return EscrowPrivateKey(name=found.name, key_id=found.key_id, identity=identity)


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(isinstance(text, str) and text for text in entry)
