from __future__ import annotations

import hashlib
import hmac

import pytest

from sensai_release.privacy.keyfile import RootKey
from sensai_release.privacy.keys import check_value, derive, frame, hkdf_sha256

ROOT = RootKey(secret=hashlib.sha256(b"golden root").digest(), key_id="0123456789abcdef")


@pytest.mark.parametrize(
    ("secret", "salt", "info", "length", "expected"),
    [  # RFC 5869, appendix A.1 to A.3
        (
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x50)).hex(),
            bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(),
            82,
            (
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                "cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ),
        ),
        (
            "0b" * 22,
            "",
            "",
            42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_hkdf_known_answers(secret: str, salt: str, info: str, length: int, expected: str) -> None:
    found = hkdf_sha256(
        bytes.fromhex(secret), info=bytes.fromhex(info), salt=bytes.fromhex(salt) or None, length=length
    )
    assert found.hex() == expected


@pytest.mark.parametrize(
    ("key", "data", "expected"),
    [  # RFC 4231, cases 1, 2, 3, 4, 6 and 7
        ("0b" * 20, b"Hi There".hex(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe".hex(),
            b"what do ya want for nothing?".hex(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        ("aa" * 20, "dd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            bytes(range(1, 26)).hex(),
            "cd" * 50,
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            "aa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First".hex(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            "aa" * 131,
            (
                b"This is a test using a larger than block-size key and a larger than block-size data. "
                b"The key needs to be hashed before being used by the HMAC algorithm."
            ).hex(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ],
)
def test_hmac_known_answers(key: str, data: str, expected: str) -> None:
    assert hmac.digest(bytes.fromhex(key), bytes.fromhex(data), "sha256").hex() == expected


def test_hmac_is_cut_from_the_left() -> None:
    """RFC 4231, case 5: a truncated output is the beginning of the whole one, as in a pseudonym."""
    whole = hmac.digest(b"\x0c" * 20, b"Test With Truncation", "sha256")
    assert whole[:16].hex() == "a3b6167473100ee06e0c796c2955552b"


def test_every_field_makes_another_key() -> None:
    keys = [
        derive(ROOT, study="A", series="b", purpose="pseudonym", kind="participant"),
        derive(ROOT, study="B", series="b", purpose="pseudonym", kind="participant"),
        derive(ROOT, study="A", series="c", purpose="pseudonym", kind="participant"),
        derive(ROOT, study="A", series="b", purpose="folds", kind="participant"),
        derive(ROOT, study="A", series="b", purpose="pseudonym", kind="session"),
        # Without lengths these would run together with the first.
        derive(ROOT, study="Ab", series="", purpose="pseudonym", kind="participant"),
        derive(ROOT, study="A", series="b", purpose="pseudonymparticipant", kind=""),
        derive(ROOT, study="A", series="b", purpose="pseudonym", kind="participant", recipient="lab"),
        derive(ROOT, study="A", series="b", purpose="pseudonym", kind="participantlab"),
        derive(ROOT, study="A", series="b", purpose="pseudonym", kind="", recipient="participant"),
        derive(
            RootKey(secret=ROOT.secret, key_id="f" * 16), study="A", series="b", purpose="pseudonym", kind="participant"
        ),
    ]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 32 for key in keys)


def test_derivation_is_frozen() -> None:
    """Computed by hand from RFC 5869 and the documented info, so a change of the layout cannot go unseen."""
    fields = [b"sensai-release", b"1", ROOT.key_id.encode(), b"S", b"s", b"folds", b""]
    info = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    extracted = hmac.digest(bytes(32), ROOT.secret, "sha256")
    assert derive(ROOT, study="S", series="s", purpose="folds") == hmac.digest(extracted, info + b"\x01", "sha256")


def test_check_value_tells_keys_apart_only() -> None:
    value = check_value(ROOT, "S", "s")
    assert len(bytes.fromhex(value)) == 8
    assert value == check_value(ROOT, "S", "s") != check_value(ROOT, "S", "t")


def test_frame() -> None:
    assert frame([b"ab", b""]) == b"\0\0\0\2ab\0\0\0\0"
