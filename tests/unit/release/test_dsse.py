from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from release_kit import REVIEWER, STEWARD, STRANGER, Key, make_release

from sensai_release.errors import OutputExistsError, ReleaseFormatError
from sensai_release.privacy.keyfile import public_key_id
from sensai_release.release.documents import canonical_json
from sensai_release.release.dsse import (
    PAYLOAD_TYPE,
    Envelope,
    Signature,
    add_signature,
    openssl_recipe,
    pae,
    sign,
    verify_signatures,
)
from sensai_release.release.sealing import countersign_release

# RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


def key_of(seed: str) -> Key:
    return Key(private=Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)), role="steward", name="RFC 8032")


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_the_library_signs_as_rfc_8032_says(seed: str, public: str, message: str, signature: str) -> None:
    key = key_of(seed)
    assert key.public.hex() == public
    assert key.private.sign(bytes.fromhex(message)).hex() == signature


def test_pae_known_answer() -> None:
    # DSSE protocol.md, "Test Vectors"
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@pytest.mark.parametrize(
    ("payload_type", "payload", "expected"),
    [
        ("application/vnd.exämple+json", b"x", b"DSSEv1 29 application/vnd.ex\xc3\xa4mple+json 1 x"),
        (PAYLOAD_TYPE, b"", b"DSSEv1 28 application/vnd.in-toto+json 0 "),
    ],
)
def test_pae_counts_bytes(payload_type: str, payload: bytes, expected: bytes) -> None:
    assert pae(payload_type, payload) == expected


# DSSE's own vectors (testvectors/vectors.json of the specification), with the keys A and B of RFC 8032 tests 1 and 2.
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'
SIGNED_BY_A = "2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA=="
SIGNED_BY_B = "c1+67/aT0yqEpwx8PsVY3MLHsj9D0CZ014/Fv/QlG59P+9CobUZ7xECJ/V3USG0Ob9CiE5LjReEZUzNF2l7eBw=="
EMPTY_SIGNED_BY_A = "gSggCAaTLTYyRH6FIDBem6meyIynsYy8RTHVzwx9tnTb7Bg/1jMWnuVgI/gffqmbsC2VX5/jHfkkDqsj7CDbDg=="
A, B = key_of(RFC_8032[0][0]), key_of(RFC_8032[1][0])


def signature(key: Key, text: str) -> Signature:
    return Signature(key_id=public_key_id(key.public), value=base64.b64decode(text))


def test_dsse_vector_single_signature() -> None:
    assert sign(PAYLOAD, A) == signature(A, SIGNED_BY_A)
    envelope = Envelope(payload=PAYLOAD, signatures=(signature(A, SIGNED_BY_A),))
    assert verify_signatures(envelope, [A.public]) == {A.public}


def test_dsse_vector_empty_payload() -> None:
    assert sign(b"", A) == signature(A, EMPTY_SIGNED_BY_A)


def test_dsse_vector_payload_type_swapped() -> None:
    envelope = Envelope(
        payload=PAYLOAD, payload_type="application/vnd.example.other+json", signatures=(signature(A, SIGNED_BY_A),)
    )
    assert verify_signatures(envelope, [A.public]) == frozenset()


def test_dsse_vector_two_keys() -> None:
    envelope = Envelope(payload=PAYLOAD, signatures=(signature(A, SIGNED_BY_A), signature(B, SIGNED_BY_B)))
    assert verify_signatures(envelope, [A.public, B.public]) == {A.public, B.public}


def test_one_key_under_two_key_ids_is_one_key() -> None:
    first = signature(A, SIGNED_BY_A)
    envelope = Envelope(
        payload=PAYLOAD, signatures=(first, Signature(key_id=public_key_id(B.public), value=first.value))
    )
    assert verify_signatures(envelope, [A.public, B.public]) == {A.public}
    assert verify_signatures(Envelope(payload=PAYLOAD, signatures=(first, first)), [A.public]) == {A.public}


def test_a_key_id_that_is_not_the_keys_is_refused() -> None:
    envelope = Envelope(
        payload=PAYLOAD, signatures=(Signature(key_id="0" * 16, value=signature(A, SIGNED_BY_A).value),)
    )
    assert verify_signatures(envelope, [A.public]) == frozenset()


def test_only_this_payload_type_verifies_even_when_signed() -> None:
    other = "application/json"
    envelope = Envelope(payload=b"{}", payload_type=other, signatures=(sign(b"{}", A, other),))
    assert verify_signatures(envelope, [A.public]) == frozenset()


def test_strangers_do_not_verify() -> None:
    envelope = Envelope(payload=PAYLOAD, signatures=(sign(PAYLOAD, A),))
    assert verify_signatures(envelope, [B.public, b"short", bytes(32)]) == frozenset()
    assert verify_signatures(envelope, []) == frozenset()


def test_byte_form_is_stable_and_round_trips() -> None:
    one = Envelope(payload=PAYLOAD, signatures=(sign(PAYLOAD, A), sign(PAYLOAD, B)))
    other = Envelope(payload=PAYLOAD, signatures=(sign(PAYLOAD, B), sign(PAYLOAD, A)))
    assert one.to_bytes() == other.to_bytes()
    again = Envelope.from_bytes(one.to_bytes(), "x")
    assert again.to_bytes() == one.to_bytes()
    assert set(again.signatures) == set(one.signatures)


def test_add_signature_once() -> None:
    envelope = Envelope(payload=PAYLOAD, signatures=(sign(PAYLOAD, A),))
    both = add_signature(envelope, sign(PAYLOAD, B))
    assert len(envelope.signatures) == 1
    assert verify_signatures(both, [A.public, B.public]) == {A.public, B.public}
    with pytest.raises(OutputExistsError):
        add_signature(both, sign(PAYLOAD, A))


def document(**changes: Any) -> bytes:
    base = {
        "payload": "aGVsbG8=",
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": "0" * 16, "sig": base64.b64encode(bytes(64)).decode()}],
    }
    return canonical_json(base | changes)


@pytest.mark.parametrize(
    "payload",
    [
        "aGVsbG8",
        "aGVsbG9=",
        "aGVsbG8=\n",
        "aGVs bG8=",
        "-_-_Pj8=",
        "aGVsbG8==",
        "aGVsbG8=aGVsbG8=",
        "aGVsbG\u00e9=",
        "=",
        5,
        None,
        ["a"],
    ],
)
def test_base64_is_strict(payload: Any) -> None:
    assert Envelope.from_bytes(document(), "x").payload == b"hello"
    with pytest.raises(ReleaseFormatError):
        Envelope.from_bytes(document(payload=payload), "x")


@pytest.mark.parametrize(
    "data",
    [
        document(signatures=[]), document(signatures={}), document(signatures=[{"sig": "AA=="}]),
        document(signatures=[{"keyid": "0", "sig": "AA==", "x": 1}]), document(signatures=[{"keyid": "0", "sig": 1}]),
        document(signatures=[{"keyid": 0, "sig": "AA=="}]), document(signatures=["x"]), document(payloadType=1),
        document(signatures=[{"keyid": f"{n:016x}", "sig": "AA=="} for n in range(65)]),
        document(signatures=[{"keyid": "b", "sig": "AA=="}, {"keyid": "a", "sig": "AA=="}]),
        document(extra=1), b"[]", b"null", b'"x"', b"{}", document() + b"\n",
        json.dumps(json.loads(document())).encode(),
    ],
)  # fmt: skip
def test_from_bytes_refuses(data: bytes) -> None:
    with pytest.raises(ReleaseFormatError):
        Envelope.from_bytes(data, "manifest.dsse.json")


def test_a_key_id_of_another_type_is_refused() -> None:
    with pytest.raises(ReleaseFormatError):
        Envelope.from_bytes(document(signatures=[{"keyid": None, "sig": "AA=="}]), "x")


def test_url_safe_base64_is_refused_on_purpose() -> None:
    # DSSE lets verifiers accept both alphabets; two alphabets would give one envelope several byte forms.
    text = document().replace(b"aGVsbG8=", b"-_-_Pj8=")
    with pytest.raises(ReleaseFormatError):
        Envelope.from_bytes(text, "x")


def run_recipe(release: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", openssl_recipe()], cwd=release, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("signer", [STEWARD, REVIEWER])
def test_the_openssl_recipe_verifies_each_signer(tmp_path: Path, signer: Key) -> None:
    release = tmp_path / "release"
    make_release(release)
    countersign_release(release, REVIEWER)
    before = sorted(path.name for path in release.iterdir())
    # Key files carry header lines before the BEGIN line.
    tmp_path.joinpath("steward.pub").write_text(
        f"sensai-release-key: 1\nrole: steward\nname: X\nkey-id: 0\n{signer.pem}"
    )
    result = run_recipe(release)
    assert result.returncode == 0, result.stderr
    assert "Signature Verified Successfully" in result.stdout
    assert sorted(path.name for path in release.iterdir()) == before


@pytest.mark.parametrize("file", ["manifest.json", "README.md"])
def test_the_openssl_recipe_refuses_a_changed_file(tmp_path: Path, file: str) -> None:
    release = tmp_path / "release"
    make_release(release)
    tmp_path.joinpath("steward.pub").write_text(STEWARD.pem)
    data = release.joinpath(file).read_bytes()
    release.joinpath(file).write_bytes(data.replace(b"e", b"f", 1))
    assert run_recipe(release).returncode != 0


def test_the_openssl_recipe_refuses_changed_data_under_changed_checksums(tmp_path: Path) -> None:
    """Nobody has signed SHA256SUMS: who changes a file can change its line there."""
    release = tmp_path / "release"
    make_release(release)
    tmp_path.joinpath("steward.pub").write_text(STEWARD.pem)
    old = hashlib.sha256(release.joinpath("TERMS.md").read_bytes()).hexdigest()
    release.joinpath("TERMS.md").write_text("Anything goes.")
    sums = release / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(old, hashlib.sha256(b"Anything goes.").hexdigest()))
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=release, check=True)
    result = run_recipe(release)
    assert result.returncode != 0
    assert "SHA256SUMS differ" in result.stdout
    assert "Successfully" not in result.stdout


@pytest.mark.parametrize("change", [lambda text: "", lambda text: text.partition("\n")[2]])
def test_the_openssl_recipe_wants_every_file_in_the_checksums(tmp_path: Path, change: Callable[[str], str]) -> None:
    release = tmp_path / "release"
    make_release(release)
    tmp_path.joinpath("steward.pub").write_text(STEWARD.pem)
    sums = release / "SHA256SUMS"
    sums.write_text(change(sums.read_text()))
    assert run_recipe(release).returncode != 0


@pytest.mark.parametrize("key_id", ["", "zz", "0" * 15, "0" * 17, "0123456789ABCDEF", "\u00e9" * 16, "0" * 16 + "\n"])
def test_a_key_id_of_another_form_is_refused(key_id: str) -> None:
    with pytest.raises(ReleaseFormatError):
        Envelope.from_bytes(document(signatures=[{"keyid": key_id, "sig": "AA=="}]), "x")


def test_the_openssl_recipe_refuses_a_forged_release(tmp_path: Path) -> None:
    release = tmp_path / "release"
    make_release(release, STRANGER)
    tmp_path.joinpath("steward.pub").write_text(STEWARD.pem)
    result = run_recipe(release)
    assert result.returncode != 0
    assert "Successfully" not in result.stdout
