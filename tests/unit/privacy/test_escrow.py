from __future__ import annotations

import base64
import copy
import json
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sensai_release.errors import InputError, KeyFileError
from sensai_release.privacy.age import decrypt, encrypt, parse_recipient, raw_public_key, recipient_of
from sensai_release.privacy.escrow import Escrow, Pair, load_escrow_private_key, load_escrow_public_key
from sensai_release.privacy.key_strength import SMALL_ORDER_ENCODINGS
from sensai_release.privacy.keyfile import write_private_key

AGE = shutil.which("age")

ESCROW = Escrow(
    study="SYNTHETIC",
    series="synthetic",
    version="1.0.0",
    manifest_sha256="ab" * 32,
    key_id="0123456789abcdef",
    check_value="fedcba9876543210",
    kinds={
        "session": (("A1-S1", "S1111111111111111A"),),
        "participant": (("A2", "P2222222222222222B"), ("A1", "P1111111111111111A")),
    },
)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    write_private_key(tmp_path / "escrow.key", role="escrow", name="Data Office")
    return tmp_path


def test_round_trip(keys: Path) -> None:
    public, private = load_escrow_public_key(keys / "escrow.key.pub"), load_escrow_private_key(keys / "escrow.key")
    assert (public.key_id, public.name) == (private.key_id, "Data Office")
    sealed = encrypt(b"who is who", public.recipient)
    assert b"who is who" not in sealed
    assert encrypt(b"who is who", public.recipient) != sealed
    assert decrypt(sealed, private.identity, "escrow") == b"who is who"


def test_the_key_file_is_one_that_age_knows(keys: Path) -> None:
    private = (keys / "escrow.key").read_text().splitlines()
    assert all(line.startswith("# ") for line in private[:-1])
    assert private[-1].startswith("AGE-SECRET-KEY-1")
    assert recipient_of(private[-1], "key") == (keys / "escrow.key.pub").read_text().splitlines()[-1]


@pytest.mark.skipif(AGE is None, reason="the command age is not installed")
def test_the_command_age_opens_it_and_is_opened(keys: Path) -> None:
    sealed = keys / "sealed.age"
    sealed.write_bytes(encrypt(b"from here", load_escrow_public_key(keys / "escrow.key.pub").recipient))
    opened = subprocess.run(["age", "-d", "-i", keys / "escrow.key", sealed], capture_output=True, check=True)
    assert opened.stdout == b"from here"
    theirs = subprocess.run(
        ["age", "-R", keys / "escrow.key.pub"], input=b"from there", capture_output=True, check=True
    )
    identity = load_escrow_private_key(keys / "escrow.key").identity
    assert decrypt(theirs.stdout, identity, "escrow") == b"from there"


def test_whatever_was_changed_does_not_open(keys: Path) -> None:
    """Every byte of the file, and the file cut anywhere; the message quotes nothing, and nothing is returned."""
    public, private = load_escrow_public_key(keys / "escrow.key.pub"), load_escrow_private_key(keys / "escrow.key")
    sealed = encrypt(b"who is who", public.recipient)
    wrong = [sealed[:length] for length in range(len(sealed))]
    wrong += [sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :] for n in range(len(sealed))]
    wrong += [sealed + b"x", sealed + sealed, sealed.replace(b"\n", b"\r\n"), b"x" * 300, b"\xff" * 300]
    for data in wrong:
        with pytest.raises(InputError, match="does not open: it was made for another key") as caught:
            decrypt(data, private.identity, "escrow x.age")
        assert caught.value.__cause__ is None
    write_private_key(keys / "other.key", role="escrow", name="Other")
    with pytest.raises(InputError, match="another key"):
        decrypt(sealed, load_escrow_private_key(keys / "other.key").identity, "escrow")


def test_an_ephemeral_share_of_small_order_does_not_open(keys: Path) -> None:
    private = load_escrow_private_key(keys / "escrow.key")
    share = base64.b64encode(bytes(32)).rstrip(b"=")
    lines = [b"age-encryption.org/v1", b"-> X25519 " + share, b"A" * 43, b"--- " + b"A" * 43, b"x" * 60]
    with pytest.raises(InputError, match="does not open"):
        decrypt(b"\n".join(lines), private.identity, "escrow")


def bech32(raw: bytes) -> str:
    """BIP 173, by hand, with the prefix `age`."""
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    number = int.from_bytes(raw, "big") << 4
    data = [number >> 5 * place & 31 for place in range(51, -1, -1)]
    check = 1
    prefix = [ord(c) >> 5 for c in "age"] + [0] + [ord(c) & 31 for c in "age"]
    for value in [*prefix, *data, 0, 0, 0, 0, 0, 0]:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    data += [(check ^ 1) >> 5 * place & 31 for place in range(5, -1, -1)]
    return "age1" + "".join(letters[value] for value in data)


# RFC 7748: the points of X25519 whose multiples are few; with them, the shared secret is 0 for everybody.
SMALL_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


def test_recipients(keys: Path) -> None:
    recipient = load_escrow_public_key(keys / "escrow.key.pub").recipient
    assert bech32(raw_public_key(recipient)) == recipient
    assert parse_recipient(recipient, "key") == raw_public_key(recipient)
    wrong = [bech32(raw) for raw in SMALL_ORDER]
    wrong += [recipient[:-1], recipient + "q", recipient.upper(), "age1", "", recipient[:-1] + "b", recipient[:20]]
    wrong += ["age1pq" + recipient[6:], "ssh-ed25519 AAAA"]
    for text in wrong:
        with pytest.raises(KeyFileError, match="holds no safe X25519 public key"):
            parse_recipient(text, "key")
    assert bytes(32) in SMALL_ORDER_ENCODINGS


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_public_key_that_others_can_exchange_is_refused(keys: Path, mode: int) -> None:
    (keys / "escrow.key.pub").chmod(mode)
    with pytest.raises(KeyFileError, match="can be changed by others"):
        load_escrow_public_key(keys / "escrow.key.pub")


def test_exchanged_parts_are_refused(keys: Path) -> None:
    write_private_key(keys / "other.key", role="escrow", name="Data Office")
    for name, load in (("escrow.key", load_escrow_private_key), ("escrow.key.pub", load_escrow_public_key)):
        mine = (keys / name).read_text().splitlines()
        theirs = (keys / name.replace("escrow", "other")).read_text().splitlines()
        (keys / name).write_text("\n".join([*mine[:-1], theirs[-1], ""]))
        with pytest.raises(KeyFileError, match="key-id that is not that of its key"):
            load(keys / name)
        (keys / name).write_text("\n".join([*mine[:-1], mine[-1][:-1], ""]))
        with pytest.raises(KeyFileError):
            load(keys / name)
    shutil.copy(keys / "other.key.pub", keys / "copy")
    (keys / "copy").chmod(0o600)
    with pytest.raises(KeyFileError, match="does not hold a private key"):
        load_escrow_private_key(keys / "copy")
    with pytest.raises(KeyFileError, match="not the public half"):
        load_escrow_public_key(keys / "other.key")


def test_nothing_secret_shows(keys: Path) -> None:
    private = load_escrow_private_key(keys / "escrow.key")
    assert "AGE-SECRET-KEY" not in repr(private)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            attempt(private)
    assert "A1" not in repr(ESCROW)
    assert "A1" not in repr(next(ESCROW.find("A1")))


def test_content_round_trip_and_order() -> None:
    document = ESCROW.to_dict()
    assert document["kinds"]["participant"] == [["A1", "P1111111111111111A"], ["A2", "P2222222222222222B"]]
    assert list(document["kinds"]) == ["participant", "session"]
    again = Escrow.from_dict(json.loads(json.dumps(document)), "escrow")
    assert again.to_dict() == document
    assert again.file_name == "synthetic-1.0.0.abababababababab.age"


@pytest.mark.parametrize("identifier", ["A1", " a1 ", "\uff21\uff11", "P1111111111111111A", "p1111111111111111a"])
def test_one_is_found_in_either_direction(identifier: str) -> None:
    assert list(ESCROW.find(identifier)) == [Pair(kind="participant", raw="A1", pseudonym="P1111111111111111A")]


@pytest.mark.parametrize("identifier", ["A", "A3", "A1-S", "1", "", "P111111111111111", "participant"])
def test_nothing_but_the_whole_identifier_is_found(identifier: str) -> None:
    assert list(ESCROW.find(identifier)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"format_version": 2},
        {"format_version": None},
        {"extra": 1},
        {"series": "Not a series"},
        {"series": 3},
        {"version": "1.0"},
        {"manifest_sha256": "ab"},
        {"key_id": "0123456789ABCDEF"},
        {"check_value": ""},
        {"kinds": []},
        {"kinds": {"participant": {}}},
        {"kinds": {"participant": [["A1"]]}},
        {"kinds": {"participant": [["A1", "P", "x"]]}},
        {"kinds": {"participant": [["A1", 3]]}},
        {"kinds": {"participant": [["A1", ""]]}},
        {"kinds": {"participant": ["A1"]}},
    ],
)
def test_malformed_content_is_refused_without_quoting_it(change: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        Escrow.from_dict(ESCROW.to_dict() | change, "escrow")
    assert "A1" not in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "text", 1, {}])
def test_what_is_no_escrow_is_refused(document: object) -> None:
    with pytest.raises(InputError, match="holds no escrow of this tool"):
        Escrow.from_dict(document, "escrow")
