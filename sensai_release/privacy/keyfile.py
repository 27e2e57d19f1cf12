"""Keys and their files: how each kind of key is made, and what is refused when one is read.

Root keys are 32 random bytes, signing keys Ed25519, recipients' keys X25519, escrow keys X25519 in the form of age.
This module leaves to others what a key file looks like (`key_text`), how it lies on disk (`key_storage`), which keys
are weak (`key_strength`), the change to a new root key (`key_rotation`), escrow keys when they are read
(`escrow`), what is derived from a root key (`keys`), signing (`release.dsse`), and whom a public key speaks for
(`release.trust`). No message holds a key or the folder of a key file.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sensai_release.errors import KeyFileError, OutputExistsError, TrustError
from sensai_release.privacy.age import new_identity, parse_recipient, recipient_of
from sensai_release.privacy.key_storage import (
    RESTORE,
    create_files,
    locked_folder,
    place_of,
    read_head,
    read_private_file,
    read_public_file,
)
from sensai_release.privacy.key_strength import ROOT_BYTES, ed25519_fault, root_fault
from sensai_release.privacy.key_text import (
    PRIVATE_LABEL,
    PUBLIC_LABEL,
    ROLES,
    ROOT_LABEL,
    KeyHeader,
    KeyText,
    format_key,
    parse_head,
    parse_key,
)
from sensai_release.privacy.key_text import KeyRole as KeyRole
from sensai_release.privacy.names import name_fault

SIGNING_ROLES: tuple[KeyRole, ...] = ("steward", "reviewer")

_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What may be told about a key that was made: `public` is the raw public key, `None` for a root key.

    `completed`: the private key was there already, and only its missing public half was written.
    """

    role: KeyRole
    name: str
    key_id: str
    public: bytes | None = None
    completed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeyInfo:
    """A public key file: `raw` is the 32-byte Ed25519 key (steward, reviewer) or X25519 key (recipient)."""

    role: KeyRole
    name: str
    raw: bytes
    key_id: str


class Secret:
    """Keeps a secret out of pickles and copies, and so out of worker processes and caches."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key is never pickled or copied")


@dataclass(frozen=True, slots=True, kw_only=True)
class RootKey(Secret):
    """The root of all pseudonyms of a study: 32 random bytes. Raises `ValueError` for a short or patterned secret."""

    secret: bytes = field(repr=False)
    key_id: str
    name: str = ""

    def __post_init__(self) -> None:
        fault = root_fault(self.secret)
        if fault is not None:
            raise ValueError(f"a root key {fault}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey(Secret):
    """A steward's or reviewer's Ed25519 key; `public` is the raw 32-byte public key."""

    private: Ed25519PrivateKey = field(repr=False)
    public: bytes
    role: KeyRole
    name: str
    key_id: str


def public_key_id(raw: bytes) -> str:
    """The key id of a public key: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:16]


def write_private_key(path: Path, *, role: KeyRole, name: str) -> KeyInfo:
    """Makes a new key and writes it to `path` (0600), and its public half to `path`.pub, where it has one.

    Both files are created exclusively and synced with their folder; after a failure neither is left. A private key of
    that role without its public half (a process died between the two) gets it, and stays as it is. A root key's id is
    made at random and says nothing about the key. Raises `OutputExistsError` when one of the files is there otherwise,
    and `KeyFileError` for a bad name, role or folder.
    """
    if role not in ROLES:
        raise KeyFileError("--role", "is not a role of a key", f"Choose one of: {', '.join(ROLES)}.")
    check_name(name)
    public_path = path.with_name(path.name + ".pub")
    # Between its two files, a key that is being made looks like one that was left without its public half.
    with locked_folder(path.parent):
        if role != "root" and os.path.lexists(path) and not os.path.lexists(public_path):
            # Anything but a sound key of that role is somebody's file that is in the way: see below.
            with suppress(KeyFileError):
                return _complete(path, public_path, role)
        for target in (path, public_path):
            if os.path.lexists(target):
                raise OutputExistsError(f"key file {target.name}", "is already there", "Choose another path.")
        info, private_text, public_text = _new_key(role, name)
        outputs = [(path, private_text, 0o600)]
        if public_text is not None:
            outputs.append((public_path, public_text, 0o644))
        create_files(outputs)
    return info


def _complete(path: Path, public_path: Path, role: KeyRole) -> KeyInfo:
    """Writes the public half of a private key. Raises `KeyFileError` when there is no sound key of that role."""
    place = place_of(path)
    found = read_private(path, (role,), PRIVATE_LABEL)
    if role == "escrow":
        recipient = recipient_of(found.content.decode("ascii"), place)
        raw, content = parse_recipient(recipient, place), recipient.encode()
    else:
        private = _private_from_der(found.content)
        if not isinstance(private, X25519PrivateKey if role == "recipient" else Ed25519PrivateKey):
            raise KeyFileError(place, f"does not hold a key for the role {role}", RESTORE)
        raw, content = private.public_key().public_bytes_raw(), _to_spki(private.public_key())
    if public_key_id(raw) != found.key_id:
        raise KeyFileError(place, "has a key-id that is not that of its key", RESTORE)
    info = KeyInfo(role=role, name=found.name, key_id=found.key_id, public=raw, completed=True)
    create_files([(public_path, _text(info, PUBLIC_LABEL, content), 0o644)])
    return info


def load_root_key(path: Path) -> RootKey:
    """Reads a root key. Raises `KeyFileError` when the file is unsafe, malformed, of another role, or its key weak."""
    found = read_private(path, ("root",), ROOT_LABEL)
    fault = root_fault(found.content)
    if fault is not None:
        raise KeyFileError(place_of(path), f"holds a root key that {fault}", RESTORE)
    return RootKey(secret=found.content, key_id=found.key_id, name=found.name)


def load_signing_key(path: Path, roles: Sequence[KeyRole] = SIGNING_ROLES) -> SigningKey:
    """Reads an Ed25519 private key made for one of `roles`. Raises `KeyFileError` otherwise."""
    found = read_private(path, roles, PRIVATE_LABEL)
    private = _private_from_der(found.content)
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(place_of(path), "does not hold an Ed25519 private key", RESTORE)
    public = private.public_key().public_bytes_raw()
    if public_key_id(public) != found.key_id:
        raise KeyFileError(place_of(path), "has a key-id that is not that of its key", RESTORE)
    return SigningKey(private=private, public=public, role=found.role, name=found.name, key_id=found.key_id)


def load_public_key_file(path: Path) -> PublicKeyInfo:
    """Reads the `.pub` file of a person. Others may read it. Raises `KeyFileError` when it is malformed or its key
    unsafe, and for an escrow key, which speaks for nobody.
    """
    place = place_of(path)
    found = parse_key(read_public_file(path), place)
    if found.role == "root" or found.label != PUBLIC_LABEL:
        raise KeyFileError(place, "is not a public key file", "Give the file that ends in .pub.")
    if found.role == "escrow":
        raise KeyFileError(place, "was made for the role escrow, not for a person", "Name another key.")
    public = _public_from_der(found.content)
    expected = X25519PublicKey if found.role == "recipient" else Ed25519PublicKey
    if not isinstance(public, expected):
        raise KeyFileError(place, f"does not hold a public key for the role {found.role}", RESTORE)
    raw = public.public_bytes_raw()
    if public_key_id(raw) != found.key_id:
        raise KeyFileError(place, "has a key-id that is not that of its key", RESTORE)
    fault = ed25519_fault(raw) if found.role in SIGNING_ROLES else None
    if fault is not None:
        raise KeyFileError(place, f"holds an unsafe public key: it {fault}", "Ask its owner for a new key.")
    return PublicKeyInfo(role=found.role, name=found.name, raw=raw, key_id=found.key_id)


def find_key(directory: Path, role: KeyRole) -> Path:
    """The one private key file of `role` in a folder, told by its headers. Links, `.pub` and other files are ignored,
    and so are keys that were kept under a name with their key id (`is_retired`).

    Raises `KeyFileError` unless there is exactly one. The file is not checked further: the loaders do that.
    """
    found = [path for path, header in key_files(directory, role) if not is_retired(path, header.key_id)]
    if not found:
        if (directory / f"{role}.key").is_file():
            raise KeyFileError(f"key file {role}.key", "is no key file of this tool in use, or is damaged", RESTORE)
        cause = f"holds no {role} key"
        raise KeyFileError("the key folder", cause, f"Make one with 'keygen --role {role}', or name it by path.")
    if len(found) > 1:
        cause = f"holds {len(found)} {role} keys"
        raise KeyFileError("the key folder", cause, "Name one by path, or move the others away.")
    return found[0]


def key_files(directory: Path, role: KeyRole, *, public: bool = False) -> Iterator[tuple[Path, KeyHeader]]:
    """The key files of a role in a folder, by name, with what their headers claim; hidden files and links left out."""
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        cure = "Set SENSAI_RELEASE_KEY_DIR, or name the key by path."
        raise KeyFileError("the key folder", "cannot be read", cure) from None
    for path in paths:
        if path.name.startswith(".") or (path.suffix == ".pub") is not public:
            continue
        header = parse_head(read_head(path))
        if header is not None and header.role == role:
            yield path, header


def is_retired(path: Path, key_id: str) -> bool:
    """Whether a key file has a name for old keys, `root.<key id>.key`: kept for what was made with it, not in use."""
    return key_id in path.name.split(".")


def check_public_key(raw: bytes, place: str = "public key") -> None:
    """Refuses an Ed25519 public key that must not be trusted; raises `TrustError`.

    Refused: not 32 bytes, no canonical encoding of a curve point (RFC 8032, 5.1.3), or a point of small order, for
    which one signature fits many messages (Chalkias et al. 2020, https://eprint.iacr.org/2020/1244).
    """
    fault = ed25519_fault(raw)
    if fault is not None:
        raise TrustError(place, f"is no safe Ed25519 public key: it {fault}", "Ask its owner for a new key.")


def check_name(name: str) -> None:
    """Refuses (`KeyFileError`) a name that would not stay on its own line of a key file, or not be read as it is."""
    if not name.strip() or name != name.strip() or len(name) > _NAME_LENGTH or not name.isprintable():
        cause = f"must be 1 to {_NAME_LENGTH} printable characters on one line, without spaces around it"
        raise KeyFileError("--name", cause, "Give a person's or an office's name.")
    if fault := name_fault(name):
        raise KeyFileError("--name", fault, "Give a person's or an office's name.")


def new_root_text(name: str) -> tuple[KeyInfo, bytes]:
    """A new root key, and the text of its file."""
    info = KeyInfo(role="root", name=name, key_id=secrets.token_hex(8))
    return info, _text(info, ROOT_LABEL, secrets.token_bytes(ROOT_BYTES))


def read_private(path: Path, roles: Sequence[KeyRole], label: str) -> KeyText:
    """A private key file made for one of `roles`. Raises `KeyFileError` otherwise; its key is not judged."""
    found = parse_key(read_private_file(path), place_of(path))
    if found.role not in roles:
        wanted = " or ".join(roles)
        raise KeyFileError(place_of(path), f"was made for the role {found.role}, not for {wanted}", "Name another key.")
    if found.label != label:
        raise KeyFileError(place_of(path), "does not hold a private key", "Name the file without .pub.")
    return found


def _new_key(role: KeyRole, name: str) -> tuple[KeyInfo, bytes, bytes | None]:
    if role == "root":
        return *new_root_text(name), None
    if role == "escrow":
        identity, recipient, raw = new_identity()
        info = KeyInfo(role=role, name=name, key_id=public_key_id(raw), public=raw)
        return info, _text(info, PRIVATE_LABEL, identity.encode()), _text(info, PUBLIC_LABEL, recipient.encode())
    private: Ed25519PrivateKey | X25519PrivateKey
    private = X25519PrivateKey.generate() if role == "recipient" else Ed25519PrivateKey.generate()
    public = private.public_key()
    raw = public.public_bytes_raw()
    info = KeyInfo(role=role, name=name, key_id=public_key_id(raw), public=raw)
    return info, _text(info, PRIVATE_LABEL, _to_der(private)), _text(info, PUBLIC_LABEL, _to_spki(public))


def _text(info: KeyInfo, label: str, content: bytes) -> bytes:
    return format_key(KeyText(role=info.role, name=info.name, key_id=info.key_id, label=label, content=content))


def _to_der(private: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _to_spki(public: Ed25519PublicKey | X25519PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private_from_der(content: bytes) -> object:
    """The key, or `None` when the bytes are not its one DER encoding."""
    try:
        key = serialization.load_der_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PrivateKey | X25519PrivateKey) and _to_der(key) == content else None


def _public_from_der(content: bytes) -> Ed25519PublicKey | X25519PublicKey | None:
    try:
        key = serialization.load_der_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey | X25519PublicKey) and _to_spki(key) == content else None
