"""Key files: how private and public keys lie on disk, and what is refused when one is read.

A key file is text: four header lines, then one RFC 7468 block (https://www.rfc-editor.org/rfc/rfc7468):

    sensai-release-key: 1
    role: root|steward|reviewer|recipient
    name: TEXT
    key-id: HEX
    -----BEGIN ... -----

Root keys are 32 random bytes of our own label; signing keys are Ed25519 and recipients' keys X25519, as PKCS#8 and
SubjectPublicKeyInfo (RFC 8410). This module leaves to others where keys are kept (`cli`), what is derived from a root
key (`privacy.keys`), signing (`release.dsse`), and whom a public key speaks for (`release.trust`).
No message holds a key or the folder of a key file.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, cast, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sensai_release.errors import KeyFileError, OutputExistsError, TrustError
from sensai_release.privacy.key_strength import ROOT_BYTES, ed25519_fault, root_fault

KeyRole = Literal["root", "steward", "reviewer", "recipient"]
SIGNING_ROLES: tuple[KeyRole, ...] = ("steward", "reviewer")

_ROLES: tuple[KeyRole, ...] = get_args(KeyRole)
_MAGIC = "sensai-release-key: 1"
_ROOT_LABEL = "SENSAI RELEASE ROOT KEY"
_PRIVATE_LABEL = "PRIVATE KEY"
_PUBLIC_LABEL = "PUBLIC KEY"
_LIMIT = 16 * 1024
_NAME_LENGTH = 100
_RESTORE = "Restore it from its backup, or make a new key with 'keygen'."


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What may be told about a key that was made: `public` is the raw public key, `None` for a root key."""

    role: KeyRole
    name: str
    key_id: str
    public: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeyInfo:
    """A public key file: `raw` is the 32-byte Ed25519 key (steward, reviewer) or X25519 key (recipient)."""

    role: KeyRole
    name: str
    raw: bytes
    key_id: str


class _Secret:
    """Keeps a secret out of pickles and copies, and so out of worker processes and caches."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a key is never pickled or copied")


@dataclass(frozen=True, slots=True, kw_only=True)
class RootKey(_Secret):
    """The root of all pseudonyms of a study: 32 random bytes. Raises `ValueError` for a short or patterned secret."""

    secret: bytes = field(repr=False)
    key_id: str
    name: str = ""

    def __post_init__(self) -> None:
        fault = root_fault(self.secret)
        if fault is not None:
            raise ValueError(f"a root key {fault}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey(_Secret):
    """A steward's or reviewer's Ed25519 key; `public` is the raw 32-byte public key."""

    private: Ed25519PrivateKey = field(repr=False)
    public: bytes
    role: KeyRole
    name: str
    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeyFile:
    role: KeyRole
    name: str
    key_id: str
    label: str
    content: bytes = field(repr=False)


def public_key_id(raw: bytes) -> str:
    """The key id of a public key: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(raw).hexdigest()[:16]


def write_private_key(path: Path, *, role: KeyRole, name: str) -> KeyInfo:
    """Makes a new key and writes it to `path` (0600), and its public half to `path`.pub, where it has one.

    Both files are created exclusively and synced with their folder; after a failure neither is left. A root key's id is
    made at random and says nothing about the key. Raises `OutputExistsError` when one of the files is there, and
    `KeyFileError` for a bad name, role or folder.
    """
    if role not in _ROLES:
        raise KeyFileError("--role", "is not a role of a key", f"Choose one of: {', '.join(_ROLES)}.")
    _check_name(name)
    public_path = path.with_name(path.name + ".pub")
    for target in (path, public_path):
        if os.path.lexists(target):
            raise OutputExistsError(f"key file {target.name}", "is already there", "Choose another path.")
    info, private_text, public_text = _new_key(role, name)
    outputs = [(path, private_text, 0o600)]
    if public_text is not None:
        outputs.append((public_path, public_text, 0o644))
    _create_files(outputs)
    return info


def load_root_key(path: Path) -> RootKey:
    """Reads a root key. Raises `KeyFileError` when the file is unsafe, malformed, of another role, or its key weak."""
    found = _read_private(path, ("root",), _ROOT_LABEL)
    fault = root_fault(found.content)
    if fault is not None:
        raise KeyFileError(_place(path), f"holds a root key that {fault}", _RESTORE)
    return RootKey(secret=found.content, key_id=found.key_id, name=found.name)


def load_signing_key(path: Path, roles: Sequence[KeyRole] = SIGNING_ROLES) -> SigningKey:
    """Reads an Ed25519 private key made for one of `roles`. Raises `KeyFileError` otherwise."""
    found = _read_private(path, roles, _PRIVATE_LABEL)
    private = _private_from_der(found.content)
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(_place(path), "does not hold an Ed25519 private key", _RESTORE)
    public = private.public_key().public_bytes_raw()
    if public_key_id(public) != found.key_id:
        raise KeyFileError(_place(path), "has a key-id that is not that of its key", _RESTORE)
    return SigningKey(private=private, public=public, role=found.role, name=found.name, key_id=found.key_id)


def load_public_key_file(path: Path) -> PublicKeyInfo:
    """Reads a `.pub` file. Others may read it. Raises `KeyFileError` when it is malformed or its key unsafe."""
    found = _parse(_read(path, private=False), path)
    place = _place(path)
    if found.role == "root" or found.label != _PUBLIC_LABEL:
        raise KeyFileError(place, "is not a public key file", "Give the file that ends in .pub.")
    public = _public_from_der(found.content)
    expected = X25519PublicKey if found.role == "recipient" else Ed25519PublicKey
    if not isinstance(public, expected):
        raise KeyFileError(place, f"does not hold a public key for the role {found.role}", _RESTORE)
    raw = public.public_bytes_raw()
    if public_key_id(raw) != found.key_id:
        raise KeyFileError(place, "has a key-id that is not that of its key", _RESTORE)
    fault = ed25519_fault(raw) if found.role in SIGNING_ROLES else None
    if fault is not None:
        raise KeyFileError(place, f"holds an unsafe public key: it {fault}", "Ask its owner for a new key.")
    return PublicKeyInfo(role=found.role, name=found.name, raw=raw, key_id=found.key_id)


def find_key(directory: Path, role: KeyRole) -> Path:
    """The one private key file of `role` in a folder, told by its headers. Links, `.pub` and other files are ignored.

    Raises `KeyFileError` unless there is exactly one. The file is not checked further: the loaders do that.
    """
    place = "the key folder"
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        raise KeyFileError(place, "cannot be read", "Set SENSAI_RELEASE_KEY_DIR, or name the key by path.") from None
    found = [path for path in paths if path.suffix != ".pub" and _headed_role(path) == role]
    if not found:
        raise KeyFileError(place, f"holds no {role} key", f"Make one with 'keygen --role {role}', or name it by path.")
    if len(found) > 1:
        raise KeyFileError(place, f"holds {len(found)} {role} keys", "Name one by path, or move the others away.")
    return found[0]


def check_public_key(raw: bytes, place: str = "public key") -> None:
    """Refuses an Ed25519 public key that must not be trusted; raises `TrustError`.

    Refused: not 32 bytes, no canonical encoding of a curve point (RFC 8032, 5.1.3), or a point of small order, for
    which one signature fits many messages (Chalkias et al. 2020, https://eprint.iacr.org/2020/1244).
    """
    fault = ed25519_fault(raw)
    if fault is not None:
        raise TrustError(place, f"is no safe Ed25519 public key: it {fault}", "Ask its owner for a new key.")


# --- writing ---------------------------------------------------------------------------------------------------------


def _new_key(role: KeyRole, name: str) -> tuple[KeyInfo, bytes, bytes | None]:
    if role == "root":
        info = KeyInfo(role=role, name=name, key_id=secrets.token_hex(8))
        return info, _format(info, _ROOT_LABEL, secrets.token_bytes(ROOT_BYTES)), None
    private: Ed25519PrivateKey | X25519PrivateKey
    private = X25519PrivateKey.generate() if role == "recipient" else Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes_raw()
    info = KeyInfo(role=role, name=name, key_id=public_key_id(raw), public=raw)
    return info, _format(info, _PRIVATE_LABEL, _to_der(private)), _format(info, _PUBLIC_LABEL, _to_spki(raw, role))


def _to_der(private: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _to_spki(raw: bytes, role: KeyRole) -> bytes:
    kind = X25519PublicKey if role == "recipient" else Ed25519PublicKey
    return kind.from_public_bytes(raw).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _format(info: KeyInfo, label: str, content: bytes) -> bytes:
    text = base64.b64encode(content).decode("ascii")
    lines = [_MAGIC, f"role: {info.role}", f"name: {info.name}", f"key-id: {info.key_id}", f"-----BEGIN {label}-----"]
    lines += [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([*lines, f"-----END {label}-----", ""]).encode("utf-8")


def _create_files(outputs: Sequence[tuple[Path, bytes, int]]) -> None:
    created: list[Path] = []
    try:
        for path, data, mode in outputs:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
            created.append(path)
            with os.fdopen(descriptor, "wb") as out:
                os.fchmod(descriptor, mode)  # a lax or odd umask must not decide who reads a key
                out.write(data)
                out.flush()
                os.fsync(descriptor)
        _sync_folder(outputs[0][0].parent)
    except BaseException as error:
        for path in created:
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            raise OutputExistsError("key file", "is already there", "Choose another path.") from None
        if isinstance(error, OSError):
            place = _place(outputs[0][0])
            raise KeyFileError(place, "cannot be written", "Give a path in a folder that is there.") from None
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_name(name: str) -> None:
    if not name.strip() or name != name.strip() or len(name) > _NAME_LENGTH or not name.isprintable():
        cause = f"must be 1 to {_NAME_LENGTH} printable characters on one line, without spaces around it"
        raise KeyFileError("--name", cause, "Give a person's or an office's name.")


# --- reading ---------------------------------------------------------------------------------------------------------


def _place(path: Path) -> str:
    return f"key file {path.name}"


def _read(path: Path, *, private: bool) -> bytes:
    """The bytes of a small regular file. O_NONBLOCK: a named pipe must not hang the open."""
    place = _place(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        cause = {errno.ENOENT: "is not there", errno.ELOOP: "is a symbolic link"}.get(error.errno or 0, "is unreadable")
        raise KeyFileError(place, cause, "Name the key file itself, or make one with 'keygen'.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(place, "is not a regular file", "Name the key file itself.")
        if private and status.st_mode & 0o077:
            raise KeyFileError(place, "can be read by others", "Run chmod 600 on it; if others had access, replace it.")
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(_LIMIT + 1)
    except OSError:
        raise KeyFileError(place, "is unreadable", _RESTORE) from None
    finally:
        os.close(descriptor)
    if len(data) > _LIMIT:
        raise KeyFileError(place, "is too large for a key file", _RESTORE)
    return data


def _read_private(path: Path, roles: Sequence[KeyRole], label: str) -> _KeyFile:
    found = _parse(_read(path, private=True), path)
    if found.role not in roles:
        wanted = " or ".join(roles)
        raise KeyFileError(_place(path), f"was made for the role {found.role}, not for {wanted}", "Name another key.")
    if found.label != label:
        raise KeyFileError(_place(path), "does not hold a private key", "Name the file without .pub.")
    return found


_LAYOUT = re.compile(
    r"sensai-release-key: 1\nrole: (?P<role>[a-z]+)\nname: (?P<name>[^\n]+)\nkey-id: (?P<key_id>[0-9a-f]{16})\n"
    r"-----BEGIN (?P<label>[A-Z ]+)-----\n(?P<body>(?:[A-Za-z0-9+/]{64}\n)*(?:[A-Za-z0-9+/]{1,64}={0,2}\n))"
    r"-----END (?P=label)-----\n?"
)


def _parse(data: bytes, path: Path) -> _KeyFile:
    place = _place(path)
    try:
        match = _LAYOUT.fullmatch(data.decode("utf-8").replace("\r\n", "\n"))
    except UnicodeDecodeError:
        match = None
    if match is None or match["role"] not in _ROLES or not match["name"].isprintable():
        raise KeyFileError(place, "is not a key file of this tool, or is damaged", _RESTORE)
    body = match["body"].replace("\n", "")
    try:
        content = base64.b64decode(body, validate=True)
    except binascii.Error:
        raise KeyFileError(place, "is damaged", _RESTORE) from None
    if base64.b64encode(content).decode("ascii") != body:
        raise KeyFileError(place, "is damaged", _RESTORE)
    role = cast("KeyRole", match["role"])
    return _KeyFile(role=role, name=match["name"], key_id=match["key_id"], label=match["label"], content=content)


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
    if not isinstance(key, Ed25519PublicKey | X25519PublicKey):
        return None
    again = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key if again == content else None


def _headed_role(path: Path) -> str | None:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as stream:
            head = stream.read(128)
    except OSError:
        return None
    match = re.match(rb"sensai-release-key: 1\r?\nrole: ([a-z]+)\r?\n", head)
    return match[1].decode("ascii") if match else None
