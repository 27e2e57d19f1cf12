"""Which keys are too weak to be used: roots that are not random, Ed25519 public keys that anybody can sign for.

Says why, as the end of a sentence about the key, and never shows the key. Reading key files is `privacy.keyfile`'s.
"""

from __future__ import annotations

import itertools
from collections import Counter

ROOT_BYTES = 32
_DISTINCT_BYTES = 16
_REPEATS = 10


def root_fault(secret: bytes) -> str | None:
    """Why these bytes cannot have come from a random source. A random key fails here less than once in 10^10 times.

    Refused: few different bytes, one byte ten times or more (padding, UTF-16), a count in equal steps, a half that is
    repeated, and text in ASCII or UTF-8, which somebody thought of.
    """
    if len(secret) != ROOT_BYTES:
        return f"is not {ROOT_BYTES} bytes long"
    steps = {(after - before) % 256 for before, after in itertools.pairwise(secret)}
    half = ROOT_BYTES // 2
    repeated = secret[:half] == secret[half:] or max(Counter(secret).values()) >= _REPEATS
    if len(set(secret)) < _DISTINCT_BYTES or len(steps) == 1 or repeated or _is_text(secret):
        return "is not random"
    return None


def _is_text(secret: bytes) -> bool:
    """Readable UTF-8, perhaps with white space, zeros after it, or a last character cut in the middle."""
    body = secret.rstrip(b"\0")
    for cut in range(3):
        try:
            text = body[: len(body) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return all(character.isprintable() or character in "\t\r\n" for character in text)
    return False


_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P

SMALL_ORDER_ENCODINGS: frozenset[bytes] = frozenset(
    bytes.fromhex(text)
    for text in (
        # order 1, 2 and 4, with both signs
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        # order 8
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        # the same points with y not reduced: p and p + 1
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
)


def ed25519_fault(raw: bytes) -> str | None:
    """Why these bytes must not be trusted as an Ed25519 public key; `None` when they may."""
    if len(raw) != 32:
        return "is not 32 bytes long"
    if raw in SMALL_ORDER_ENCODINGS:
        return "is a point of small order"
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    if y >= _P:
        return "is not in canonical form"
    # Euler's criterion: y belongs to a point exactly when x^2 = (y^2 - 1) / (d y^2 + 1) is a square.
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return None if pow(x_squared, (_P - 1) // 2, _P) == 1 else "is not a point of the curve"
