"""Working keys: one root key, and from it a separate key for every purpose.

HKDF-SHA256 (RFC 5869, https://www.rfc-editor.org/rfc/rfc5869) with an empty salt, as the root is uniformly random.
Every field of `info` is preceded by its length, so that no two lists of fields give the same bytes. Reading the root
key is `privacy.keyfile`'s, using a working key is its user's (`pseudonyms`, `folds`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sensai_release.privacy.keyfile import RootKey

TOOL = "sensai-release"
VERSION = "1"
"""The version of this derivation, not of the package: it changes only when old pseudonyms shall change."""

KEY_BYTES = 32


def frame(fields: Sequence[bytes]) -> bytes:
    """The fields one after another, each preceded by its length in four bytes (big endian)."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def derive(root: RootKey, *, study: str, series: str, purpose: str, kind: str = "", recipient: str = "") -> bytes:
    """The 32-byte working key of one purpose.

    `series` is the release series; `purpose` is for example `pseudonym` or `folds`; `kind` is the kind of entity
    (`participant`, `session`) where the purpose has one. `recipient` names whom a package is made for, by an id that
    stays when that person gets a new key: two recipients' keys have nothing in common, and neither has the series' key.
    """
    fields = [TOOL, VERSION, root.key_id, study, series, purpose, kind]
    # A list of eight framed fields is no list of seven, so no recipient meets a series of the same name.
    fields += [recipient] if recipient else []
    return hkdf_sha256(root.secret, info=frame([text.encode("utf-8") for text in fields]))


def hkdf_sha256(secret: bytes, *, info: bytes, salt: bytes | None = None, length: int = KEY_BYTES) -> bytes:
    """RFC 5869 extract-and-expand with SHA-256; no salt means 32 zero bytes."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


def check_value(root: RootKey, study: str, series: str) -> str:
    """16 hexadecimal digits that tell whether two releases used the same root key; they say nothing about the key."""
    return derive(root, study=study, series=series, purpose="check")[:8].hex()
