"""Signatures over a manifest: the Dead Simple Signing Envelope, with Ed25519.

Follows DSSE v1 (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md) and RFC 8032. Stricter in one
point: base64 is of the standard alphabet with canonical padding, and an envelope has exactly one byte form, so that
an envelope with a changed byte is never a valid one. Whose keys count, and how many, is left to `trust`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sensai_release.errors import OutputExistsError, ReleaseFormatError
from sensai_release.privacy.keyfile import public_key_id
from sensai_release.release.documents import MAXIMUM_BYTES, canonical_json, parse_strict

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAXIMUM_ENVELOPE_BYTES = 2 * MAXIMUM_BYTES
_MAXIMUM_SIGNATURES = 64
_KEY_ID = re.compile(r"[0-9a-f]{16}")


class SigningKey(Protocol):
    """A loaded private key, as `privacy.keyfile` gives it; `public` is the raw public key (32 bytes)."""

    @property
    def private(self) -> Ed25519PrivateKey: ...
    @property
    def public(self) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """`key_id` is a hint that nobody has signed; `value` is the Ed25519 signature (64 bytes)."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    payload_type: str = PAYLOAD_TYPE
    payload: bytes
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """The only byte form: canonical JSON, signatures in order of key id."""
        ordered = sorted(self.signatures, key=lambda signature: (signature.key_id, signature.value))
        return canonical_json(
            {
                "payload": _encode(self.payload),
                "payloadType": self.payload_type,
                "signatures": [{"keyid": item.key_id, "sig": _encode(item.value)} for item in ordered],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, place: str) -> Envelope:
        """Raises `ReleaseFormatError` for anything but the byte form that `to_bytes` gives."""
        document = parse_strict(data, place, maximum_bytes=MAXIMUM_ENVELOPE_BYTES)
        try:
            envelope = _from_document(document)
        except (KeyError, TypeError, ValueError):
            raise ReleaseFormatError(place, "is no DSSE envelope", "Get the release again.") from None
        if envelope.to_bytes() != data:
            raise ReleaseFormatError(place, "is not in its canonical byte form", "Get the release again.")
        return envelope


def _from_document(document: Any) -> Envelope:
    signatures = document["signatures"]
    if not 1 <= len(signatures) <= _MAXIMUM_SIGNATURES:
        raise ValueError
    return Envelope(
        payload_type=_text(document["payloadType"]),
        payload=_decode(document["payload"]),
        signatures=tuple(Signature(key_id=_key_id(item["keyid"]), value=_decode(item["sig"])) for item in signatures),
    )


def _key_id(value: Any) -> str:
    """DSSE leaves its form open; ours is that of `public_key_id`, and nothing else is carried along."""
    if not _KEY_ID.fullmatch(_text(value)):
        raise ValueError
    return str(value)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _decode(value: Any) -> bytes:
    """Standard alphabet, padding required, no spare bits set (RFC 4648, sections 3.5 and 4)."""
    text = _text(value)
    data = base64.b64decode(text.encode("ascii"), validate=True)
    if _encode(data) != text:
        raise binascii.Error("not canonical")
    return data


def pae(payload_type: str, payload: bytes) -> bytes:
    """The Pre-Authentication Encoding: the bytes that are signed. Lengths are in bytes."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, key: SigningKey, payload_type: str = PAYLOAD_TYPE) -> Signature:
    return Signature(key_id=public_key_id(key.public), value=key.private.sign(pae(payload_type, payload)))


def add_signature(envelope: Envelope, signature: Signature) -> Envelope:
    """Raises `OutputExistsError` when there is a signature under the same key id already."""
    if any(existing.key_id == signature.key_id for existing in envelope.signatures):
        raise OutputExistsError("envelope", "has a signature by this key already", "Nothing needs to be done.")
    together = sorted((*envelope.signatures, signature), key=lambda item: item.key_id)
    return replace(envelope, signatures=tuple(together))


def verify_signatures(envelope: Envelope, public_keys: Iterable[bytes]) -> frozenset[bytes]:
    """The raw public keys, out of those given, by which the envelope is signed.

    Counts raw keys, so that one key under two key ids is one key. A key id that is not that of the key which verifies
    is refused: it would be a byte that somebody changed. A payload type other than `PAYLOAD_TYPE` never verifies.
    """
    if envelope.payload_type != PAYLOAD_TYPE:
        return frozenset()
    message = pae(envelope.payload_type, envelope.payload)
    return frozenset(
        public
        for public in public_keys
        if any(
            signature.key_id == public_key_id(public) and verifies(public, signature.value, message)
            for signature in envelope.signatures
        )
    )


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature holds. A key or a signature that is none at all does not."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def openssl_recipe() -> str:
    """Shell lines for README.md that check a release with sha256sum and OpenSSL (1.1.1 or later) alone.

    They are to be run inside the release directory, with the signer's public key in `../steward.pub`. They write to a
    temporary folder only, and stop with an error at the first thing that is wrong. Nobody has signed SHA256SUMS, so it
    is held against the manifest, and that is verified last: whoever reads "Successfully" need not have read the rest.
    """
    return r"""set -e
sha256sum --check --strict --quiet SHA256SUMS
scratch=$(mktemp -d)
id=$(openssl pkey -pubin -in ../steward.pub -outform DER | tail -c 32 | sha256sum | cut -c 1-16)
sed -n "s/.*\"keyid\":\"$id\",\"sig\":\"\([^\"]*\)\".*/\1/p" manifest.dsse.json | base64 -d > "$scratch/sig.bin"
printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c < manifest.json)" > "$scratch/pae.bin"
cat manifest.json >> "$scratch/pae.bin"
grep -o '"sha256":"[0-9a-f]*"},"mediaType":"[^"]*","name":"[^"]*"' "$scratch/pae.bin" |
  sed 's/"sha256":"\([0-9a-f]*\)".*"name":"\(.*\)"/\1  \2/' > "$scratch/sums"
sha256sum manifest.json >> "$scratch/sums"
LC_ALL=C sort -k 2 "$scratch/sums" | cmp - SHA256SUMS
openssl pkeyutl -verify -pubin -inkey ../steward.pub -rawin -in "$scratch/pae.bin" -sigfile "$scratch/sig.bin"
"""
