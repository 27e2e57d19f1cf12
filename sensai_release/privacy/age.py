"""Encryption to a public key in the format of age (https://age-encryption.org/v1), through pyrage.

Writing needs no secret; only the identity opens what was written. age proves who can read, not who wrote: what the
content says must be checked against something else. Everything happens in memory. Key files are `keyfile`'s and
`escrow`'s.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sensai_release.errors import InputError, KeyFileError

MAXIMUM_BYTES = 64 << 20

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM = 6
_END_OF_HEADER = b"\n--- "
_MAXIMUM_HEADER = 16 << 10


def new_identity() -> tuple[str, str, bytes]:
    """A new X25519 identity: `AGE-SECRET-KEY-1...`, its recipient `age1...`, and the raw 32-byte public key."""
    identity = _x25519().Identity.generate()
    recipient = str(identity.to_public())
    return str(identity), recipient, raw_public_key(recipient)


def raw_public_key(recipient: str) -> bytes:
    """The 32 bytes in a well-formed `age1...` (BIP 173, without its checksum, which `parse_recipient` has checked)."""
    number = 0
    for character in recipient[len("age1") : -_CHECKSUM]:
        number = number << 5 | _BECH32.index(character)
    return (number >> 4).to_bytes(32, "big")


def parse_recipient(text: str, place: str) -> bytes:
    """The raw public key of a recipient. Raises `KeyFileError` for a malformed one and for a point of small order.

    With such a point everybody could read what is encrypted to it (RFC 7748, 6.1); pyrage would panic.
    """
    try:
        _x25519().Recipient.from_str(text)
        raw = raw_public_key(text)
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(raw))
    except (ValueError, OverflowError, _pyrage().RecipientError):
        raise KeyFileError(
            place, "holds no safe X25519 public key of age", "Copy the file again from its owner."
        ) from None
    return raw


def recipient_of(identity: str, place: str) -> str:
    """The recipient `age1...` that belongs to an identity. Raises `KeyFileError` for a malformed one."""
    try:
        return str(_x25519().Identity.from_str(identity).to_public())
    except _pyrage().IdentityError:
        raise KeyFileError(place, "holds no age identity, or is damaged", "Restore it from its backup.") from None


def encrypt(data: bytes, recipient: str) -> bytes:
    """`data` for the holder of the identity alone; other bytes every time. `recipient` has been through
    `parse_recipient`.
    """
    return bytes(_pyrage().encrypt(data, [_x25519().Recipient.from_str(recipient)]))


def decrypt(data: bytes, identity: str, place: str) -> bytes:
    """What was encrypted. Raises `InputError` for another key, for a file cut short or changed, and for one too large;
    nothing of a damaged file is returned.
    """
    if len(data) > MAXIMUM_BYTES:
        raise InputError(place, "is too large", "Name the file that 'release' wrote.")
    try:
        # The header of ours has 200 bytes; the library takes minutes over one of some hundred thousand.
        if _END_OF_HEADER in data[:_MAXIMUM_HEADER]:
            return bytes(_pyrage().decrypt(data, [_x25519().Identity.from_str(identity)]))
    except _pyrage().DecryptError:
        pass
    cause = "does not open: it was made for another key, was cut short or was changed"
    raise InputError(place, cause, "Name the key it was made for, or restore the file from its backup.")


def _pyrage() -> Any:
    import pyrage  # a native library that most commands do not need

    return pyrage


def _x25519() -> Any:
    from pyrage import x25519

    return x25519
