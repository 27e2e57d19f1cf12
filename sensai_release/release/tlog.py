"""Checkpoints and proofs of the governance log, in the text forms of the C2SP specifications.

A checkpoint (https://c2sp.org/tlog-checkpoint) is the head of a log, as a signed note (https://c2sp.org/signed-note)
with Ed25519; a proof (https://c2sp.org/tlog-proof) shows that an entry is in the log, to somebody who does not hold it.
Signed text is read only in the one form in which it is written here. The log itself is `governance.log`'s.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.dsse import SigningKey, verifies
from sensai_release.release.layout import PROOF
from sensai_release.release.merkle import leaf_hash, verify_inclusion

_MAXIMUM_BYTES = 64 << 10
_MAXIMUM_SIGNATURES = 16
_ED25519 = b"\x01"
_PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_CURE = "Get the file again from where it was published."


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The head of a log: its name, number of entries, and root hash (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One line below a note. `key_hash` (4 bytes) is a hint: name and public key decide."""

    name: str
    key_hash: bytes
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint with its signatures, none of which has been checked."""

    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    def to_text(self) -> str:
        lines = (f"\u2014 {item.name} {_encode(item.key_hash + item.value)}\n" for item in self.signatures)
        return f"{self.checkpoint.to_text()}\n{''.join(lines)}"

    @classmethod
    def from_text(cls, text: str, place: str) -> SignedCheckpoint:
        """Raises `ReleaseFormatError` for anything but the form that `to_text` gives."""
        try:
            found = _parse_checkpoint(text)
        except ValueError:
            raise ReleaseFormatError(place, "is no signed checkpoint of a log", _CURE) from None
        return found

    def signers(self, public_keys: Iterable[bytes]) -> frozenset[bytes]:
        """The raw public keys, out of those given, by which the checkpoint is signed."""
        message = self.checkpoint.to_text().encode()
        return frozenset(
            public
            for public in public_keys
            if any(
                item.key_hash == key_hash(item.name, public) and verifies(public, item.value, message)
                for item in self.signatures
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """That `entry` (the bytes of a leaf) stands at `index` of the log that the checkpoint is the head of."""

    entry: bytes
    index: int
    hashes: tuple[bytes, ...]
    head: SignedCheckpoint

    def to_bytes(self) -> bytes:
        hashes = "".join(f"{_encode(value)}\n" for value in self.hashes)
        head = f"{_PROOF_HEADER}\nextra {_encode(self.entry)}\nindex {self.index}\n{hashes}"
        return f"{head}\n{self.head.to_text()}".encode()

    @classmethod
    def from_bytes(cls, data: bytes, place: str = PROOF) -> LogProof:
        """Raises `ReleaseFormatError` for anything but the form that `to_bytes` gives."""
        try:
            found = _parse_proof(data, place)
        except ValueError:
            raise ReleaseFormatError(place, "is no proof of an entry in a log", _CURE) from None
        return found

    def holds(self) -> bool:
        """Whether the hashes lead from the entry to the root of the checkpoint. Says nothing about its signatures."""
        head = self.head.checkpoint
        return verify_inclusion(leaf_hash(self.entry), self.index, head.size, self.hashes, head.root)


def key_hash(name: str, public: bytes) -> bytes:
    """The key id of a signed note: 4 bytes of the SHA-256 over name, newline, type of signature and public key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> SignedCheckpoint:
    """Signs under the log's own name, as the specification asks of the log's operator."""
    signature = NoteSignature(
        name=checkpoint.origin,
        key_hash=key_hash(checkpoint.origin, key.public),
        value=key.private.sign(checkpoint.to_text().encode()),
    )
    return SignedCheckpoint(checkpoint=checkpoint, signatures=(signature,))


def _parse_checkpoint(text: str) -> SignedCheckpoint:
    body, separator, below = text.partition("\n\n")
    origin, size, root = body.split("\n")
    if not separator or not _ORIGIN.fullmatch(origin) or not below.endswith("\n"):
        raise ValueError
    lines = below[:-1].split("\n")
    if len(lines) > _MAXIMUM_SIGNATURES:
        raise ValueError
    found = SignedCheckpoint(
        checkpoint=Checkpoint(origin=origin, size=_number(size), root=_decode(root, 32)),
        signatures=tuple(_parse_signature(line) for line in lines),
    )
    if found.to_text() != text:
        raise ValueError
    return found


def _parse_signature(line: str) -> NoteSignature:
    dash, name, value = line.split(" ")
    raw = _decode(value, 4 + 64)
    if dash != "\u2014" or not _ORIGIN.fullmatch(name):
        raise ValueError
    return NoteSignature(name=name, key_hash=raw[:4], value=raw[4:])


def _parse_proof(data: bytes, place: str) -> LogProof:
    if len(data) > _MAXIMUM_BYTES:
        raise ValueError
    head, separator, checkpoint = data.decode("utf-8").partition("\n\n")
    header, extra, index, *hashes = head.split("\n")
    if not separator or header != _PROOF_HEADER or not extra.startswith("extra ") or not index.startswith("index "):
        raise ValueError
    found = LogProof(
        entry=_decode(extra.removeprefix("extra ")),
        index=_number(index.removeprefix("index ")),
        hashes=tuple(_decode(value, 32) for value in hashes),
        head=SignedCheckpoint.from_text(checkpoint, place),
    )
    if found.to_bytes() != data:
        raise ValueError
    return found


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return int(text)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str, length: int | None = None) -> bytes:
    data = base64.b64decode(text.encode("ascii"), validate=True)
    if length is not None and len(data) != length:
        raise ValueError
    return data
