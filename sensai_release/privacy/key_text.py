"""The text of a key file: four header lines, then the key.

    sensai-release-key: 1
    role: root|steward|reviewer|recipient
    name: TEXT
    key-id: HEX
    -----BEGIN ... -----

One RFC 7468 block (https://www.rfc-editor.org/rfc/rfc7468) follows the headers: 32 random bytes under a label of our
own for a root key, PKCS#8 or SubjectPublicKeyInfo (RFC 8410) for the others. An escrow key is a file of age
(https://age-encryption.org/v1), whose `age` command reads it as it is: there the headers are comments, each after `# `,
and one line `AGE-SECRET-KEY-1...` or `age1...` follows. What the content is worth is for `keyfile` to judge.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from sensai_release.errors import KeyFileError
from sensai_release.privacy.key_storage import RESTORE

KeyRole = Literal["root", "steward", "reviewer", "recipient", "escrow"]
ROLES: tuple[KeyRole, ...] = get_args(KeyRole)

ROOT_LABEL = "SENSAI RELEASE ROOT KEY"
PRIVATE_LABEL = "PRIVATE KEY"
PUBLIC_LABEL = "PUBLIC KEY"

_MAGIC = "sensai-release-key: 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyText:
    """What a key file says. `content` is what its block encodes; of an age file it is the line itself, in ASCII."""

    role: KeyRole
    name: str
    key_id: str
    label: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHeader:
    """What the headers of a file claim; nothing has been checked."""

    role: str
    key_id: str


def format_key(key: KeyText) -> bytes:
    headers = [_MAGIC, f"role: {key.role}", f"name: {key.name}", f"key-id: {key.key_id}"]
    if key.role == "escrow":
        lines = [*(f"# {header}" for header in headers), key.content.decode("ascii")]
    else:
        text = base64.b64encode(key.content).decode("ascii")
        body = [text[start : start + 64] for start in range(0, len(text), 64)]
        lines = [*headers, f"-----BEGIN {key.label}-----", *body, f"-----END {key.label}-----"]
    return "\n".join([*lines, ""]).encode("utf-8")


_BLOCK = re.compile(
    r"sensai-release-key: 1\nrole: (?P<role>[a-z]+)\nname: (?P<name>[^\n]+)\nkey-id: (?P<key_id>[0-9a-f]{16})\n"
    r"-----BEGIN (?P<label>[A-Z ]+)-----\n(?P<body>(?:[A-Za-z0-9+/]{64}\n)*(?:[A-Za-z0-9+/]{1,64}={0,2}\n))"
    r"-----END (?P=label)-----\n?"
)
_AGE = re.compile(
    r"# sensai-release-key: 1\n# role: (?P<role>escrow)\n# name: (?P<name>[^\n]+)\n# key-id: (?P<key_id>[0-9a-f]{16})\n"
    r"(?P<body>AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]+|age1[02-9ac-hj-np-z]+)\n?"
)


def parse_key(data: bytes, place: str) -> KeyText:
    """Reads the one form that `format_key` writes (line ends may be CR LF). Raises `KeyFileError` for any other."""
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        text = ""
    match = _BLOCK.fullmatch(text) or _AGE.fullmatch(text)
    if match is None or match["role"] not in ROLES or not match["name"].isprintable():
        raise KeyFileError(place, "is not a key file of this tool, or is damaged", RESTORE)
    role = cast("KeyRole", match["role"])
    if match.re is _AGE:
        content = match["body"].encode("ascii")
        label = PUBLIC_LABEL if content.startswith(b"age1") else PRIVATE_LABEL
    elif role == "escrow":
        raise KeyFileError(place, "is damaged: an escrow key is an age identity", RESTORE)
    else:
        content, label = _decode(match["body"].replace("\n", ""), place), match["label"]
    return KeyText(role=role, name=match["name"], key_id=match["key_id"], label=label, content=content)


def _decode(body: str, place: str) -> bytes:
    try:
        content = base64.b64decode(body, validate=True)
    except binascii.Error:
        raise KeyFileError(place, "is damaged", RESTORE) from None
    if base64.b64encode(content).decode("ascii") != body:
        raise KeyFileError(place, "is damaged", RESTORE)
    return content


_HEAD = re.compile(
    rb"(?:# )?sensai-release-key: 1\r?\n(?:# )?role: ([a-z]+)\r?\n(?:# )?name: [^\n]*\n"
    rb"(?:# )?key-id: ([0-9a-f]{16})\r?\n"
)


def parse_head(head: bytes) -> KeyHeader | None:
    """What the first bytes of a file claim to be; `None` for no key file."""
    match = _HEAD.match(head)
    return KeyHeader(role=match[1].decode("ascii"), key_id=match[2].decode("ascii")) if match else None
