from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from release_kit import PREDICATE, REVIEWER, STEWARD, STRANGER, TRUST, Key, fill, make_release, trust_in

from sensai_release.privacy.key_strength import SMALL_ORDER_ENCODINGS
from sensai_release.release import dsse
from sensai_release.release.inventory import is_plain_path
from sensai_release.release.sealing import countersign_release, seal_release
from sensai_release.release.trust import Trust, write_trust
from sensai_release.release.verify import verify_release

SOURCE = Path(dsse.__file__).with_name("standalone") / "verify.py"
VALID = "valid, freshness unknown"


def load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("standalone_verify", SOURCE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


standalone: Any = load()


# Ed25519

RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
            "5141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb0"
            "0d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc0"
            "27beceea1ec40a"
        ),
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9"
            "bef1177331a704"
        ),
    ),
    (  # TEST 1024: a message of 1023 bytes, more than one block of SHA-512
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        (
            "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1e355f6c5"
            "0544e23fb1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d658675fc6ea534e0"
            "810a4432826bf58c941efb65d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82"
            "d522c4feba15452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e06203b33890cc9b832f79ef80560ccb9"
            "a39ce767967ed628c6ad573cb116dbefefd75499da96bd68a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7aff6f6c9"
            "4fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed185ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5"
            "d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88"
            "425de6bde1a9187ebb6092cf67bf2b13fd65f27088d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc"
            "2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a7a569d80"
            "c3414a8d0859dc65a46128bab27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae078"
            "4504df543af8969be3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9"
            "b47acdb751fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb038dda0847dd988d"
            "cda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34dff7310fdc"
            "82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7984a74d371459867"
            "80fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e488acba6b965610b5480109c8"
            "b17b80e1b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac0943bf6686b64b2579376504ccc493d97e"
            "6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5fb93246f6b1116398a346f1a641f3b041e989f791"
            "4f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a45"
            "a96768d40fd9d03412c091c6315cf4fde7cb68606937380db2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac"
            "86aba41c0618983f8741c5ef68d3a101e8a3b8cac60c905c15fc910840b94c00a0b9d0"
        ),
        (
            "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b5e8fcd4f"
            "681e30a6ac00a9704a188a03"
        ),
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_rfc_8032_vectors(public: str, message: str, signature: str) -> None:
    key, text, value = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    assert standalone.ed25519_verifies(key, text, value)
    assert not standalone.ed25519_verifies(key, text + b"x", value)
    for position in range(64):
        changed = bytearray(value)
        changed[position] ^= 1
        assert not standalone.ed25519_verifies(key, text, bytes(changed))


ORDER = standalone.L
PRIME = standalone.P
MESSAGE = b"message"
SIGNED = STEWARD.private.sign(MESSAGE)
S = int.from_bytes(SIGNED[32:], "little")


def little(number: int) -> bytes:
    return number.to_bytes(32, "little")


@pytest.mark.parametrize(
    "signature",
    [
        SIGNED[:32] + little(S + ORDER),  # malleable: S not reduced
        SIGNED[:32] + little(ORDER),
        SIGNED[:32] + little(0),
        SIGNED[:32] + b"\xff" * 32,
        SIGNED[:-1],
        SIGNED + b"\0",
        b"",
        bytes(64),
        little(1) + bytes(32),  # identity and zero
        little(PRIME + 1) + bytes(32),  # the same, not reduced
        SIGNED[32:] + SIGNED[:32],
        SIGNED[:31] + bytes([SIGNED[31] ^ 0x80]) + SIGNED[32:],  # the other sign
        *(little(value) + SIGNED[32:] for value in (0, 1, PRIME - 1, PRIME, PRIME + 1, 2**255 - 1)),
    ],
)
def test_signatures_that_must_not_verify(signature: bytes) -> None:
    assert standalone.ed25519_verifies(STEWARD.public, MESSAGE, SIGNED)
    assert not standalone.ed25519_verifies(STEWARD.public, MESSAGE, signature)


# Points of order 2, 4 and 8, and the identity, to be added to the points of a good key or signature.
TORSION = [point for data in sorted(SMALL_ORDER_ENCODINGS) if (point := standalone.decode_point(data)) is not None]
SECRET = int.from_bytes(hashlib.sha512(b"synthetic").digest(), "little") % ORDER


def encode(point: Any) -> bytes:
    x, y = (value * pow(point[2], -1, PRIME) % PRIME for value in point[:2])
    return little(y | (x & 1) << 255)


def made_signature(public: bytes, nonce: Any, secret: int, number: int, message: bytes) -> bytes:
    """R, and S = number + k * secret: what the owner of the secret can make out of points of their own choice."""
    first = encode(nonce)
    k = int.from_bytes(hashlib.sha512(first + public + message).digest(), "little")
    return first + little((number + k * secret) % ORDER)


def test_there_are_eight_points_of_small_order() -> None:
    assert len({encode(point) for point in TORSION}) == 8


@pytest.mark.parametrize("torsion", TORSION)
def test_a_signature_with_a_part_of_small_order_holds_only_without_the_factor(torsion: Any) -> None:
    """The equation without the factor 8, as OpenSSL has it: both sides must judge alike on what they could judge apart.

    Such signatures fit the equation with the factor 8 always, and the one without only if the parts cancel.
    """
    nonce = standalone.add_points(standalone.multiply(7, standalone.BASE), torsion)
    plain = encode(standalone.multiply(SECRET, standalone.BASE))
    mixed = encode(standalone.add_points(standalone.multiply(SECRET, standalone.BASE), torsion))
    outcomes = set()
    for public in (plain, mixed):
        for number in range(8):
            message = b"message %d" % number
            for start in (nonce, standalone.multiply(7, standalone.BASE)):
                signature = made_signature(public, start, SECRET, 7, message)
                try:
                    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
                    expected = True
                except InvalidSignature:
                    expected = False
                assert standalone.ed25519_verifies(public, message, signature) is expected
                outcomes.add(expected)
    assert outcomes == ({True} if encode(torsion) == little(1) else {True, False})


@pytest.mark.parametrize("public", sorted(SMALL_ORDER_ENCODINGS))
@pytest.mark.parametrize("nonce", TORSION)
def test_a_key_of_small_order_signs_nothing_under_any_nonce(public: bytes, nonce: Any) -> None:
    # S = 0 and R of small order fit one message in eight at least under such a key, were it accepted.
    for number in range(8):
        assert not standalone.ed25519_verifies(public, b"message %d" % number, encode(nonce) + bytes(32))


@pytest.mark.parametrize("y", [0, 1, PRIME - 1, *range(2, 19)])
@pytest.mark.parametrize("sign", [0, 1])
def test_points_have_one_encoding_only(y: int, sign: int) -> None:
    """Section 5.1.3: y below p, and no sign for x = 0; y + p fits into 255 bits for y below 19."""
    point = standalone.decode_point(little(y | sign << 255))
    assert point is None or encode(point) == little(y | sign << 255)
    if y < 19:
        assert standalone.decode_point(little(y + PRIME | sign << 255)) is None
    if y in (1, PRIME - 1):
        assert (point is None) == bool(sign)


@pytest.mark.parametrize("public", sorted(SMALL_ORDER_ENCODINGS))
def test_small_order_keys_verify_nothing(public: bytes) -> None:
    # With the key of order 1, this signature would fit every message.
    assert not standalone.is_safe_key(public)
    assert not standalone.ed25519_verifies(public, MESSAGE, little(1) + bytes(32))


def test_keys_that_are_no_points_are_refused() -> None:
    # About half of all y have no point.
    outcomes = {standalone.is_safe_key(little(number)) for number in range(2, 30)}
    assert outcomes == {True, False}
    assert not standalone.is_safe_key(b"short")
    assert not standalone.is_safe_key(STEWARD.public + b"\0")


@settings(max_examples=60, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200), flip=st.integers(0, 64 * 8 - 1))
def test_it_agrees_with_cryptography(seed: bytes, message: bytes, flip: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    signature = key.sign(message)
    assert standalone.ed25519_verifies(public, message, signature)
    changed = bytearray(signature)
    changed[flip // 8] ^= 1 << flip % 8
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(public).verify(bytes(changed), message)
    assert not standalone.ed25519_verifies(public, message, bytes(changed))


# Names


@pytest.mark.parametrize(
    "path",
    [
        "a", "a/b", "README.md", "a.", "a./b", ".a", "-a", "a//b", "/a", "a/", "", "..", "a/../b", "con", "CON.txt",
        "a/nul.tar.gz", "console", "com1", "a\\b", "a\n", "a\n/b", "\u017fa", "a\u017f", "\u212ba", "a\u212a",
        "a" * 200, "a" * 201, "/".join("a" * 16), "/".join("a" * 17), "a b", "a:b", "aux/b", "b/aux", "auxb", "a\0",
        "lpt9.x/y",
    ],
)  # fmt: skip
def test_the_same_names_are_plain_as_in_the_package(path: str) -> None:
    assert standalone.is_plain_path(path) is is_plain_path(path)


# The file as a whole


@pytest.fixture
def release(tmp_path: Path) -> Path:
    make_release(tmp_path / "release")
    tmp_path.joinpath("steward.pub").write_text(f"sensai-release-key: 1\nname: Synthetic\n{STEWARD.pem}")
    tmp_path.joinpath("stranger.pub").write_text(STRANGER.pem)
    write_trust(TRUST, tmp_path / "trust.json")
    return tmp_path / "release"


def run(release: Path, *arguments: str, interpreter: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [interpreter, str(release / "verify.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=release.parent,
    )


def test_it_is_one_file_of_the_standard_library_for_python_3_8() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= set(sys.stdlib_module_names)
    assert "__future__" not in imported


OLD = sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python"))


@pytest.mark.skipif(not OLD, reason="no Python 3.8 here")
def test_python_3_8_runs_it(release: Path) -> None:
    result = run(release, "--key", "steward.pub", interpreter=str(OLD[-1]))
    assert result.returncode == 0, result.stderr


def test_it_names_the_release_by_the_manifest_and_not_by_the_folder(release: Path) -> None:
    folder = release.rename(release.with_name("synthetic-series-2.0.0"))
    assert "By its manifest this is synthetic-series-1.0.0." in run(folder, "--trust", "trust.json").stdout
    folder.joinpath("manifest.json").write_bytes(b"{}")
    assert "By its manifest" not in run(folder, "--trust", "trust.json").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--key", "steward.pub"], 0, f"Verdict: {VALID}"),
        (["--key", STEWARD.text], 0, f"Verdict: {VALID}"),
        (["--trust", "trust.json"], 0, f"Verdict: {VALID}"),
        (["--integrity-only"], 0, "Verdict: intact, signer unknown"),
        ([], 1, "Verdict: intact, signer unknown"),
        (["--key", "stranger.pub"], 1, "Verdict: not approved"),
        (["--key", "stranger.pub", "--integrity-only"], 1, "Verdict: not approved"),
        (["--key", "steward.pub", "--key", "stranger.pub"], 1, "Verdict: not approved"),
        (["--key", "absent.pub"], 2, "cannot read"),
        (["--key", "trust.json"], 2, "no public key"),
        (["--key", "steward.pub", "--key", STEWARD.text], 2, "twice"),
        (["--key", "A" * 43 + "="], 2, "no Ed25519 public key that can be trusted"),
        (["--trust", "steward.pub"], 2, "--trust"),
        (["--trust", "trust.json", "--key", "steward.pub"], 2, "one of the two"),
        (["--nonsense"], 2, "usage"),
        (["."], 2, "no release directory"),
        (["absent"], 2, "no release directory"),
    ],
)
def test_exit_codes(release: Path, arguments: list[str], code: int, words: str) -> None:
    result = run(release, *arguments)
    assert result.returncode == code
    assert words in (result.stderr if code == 2 else result.stdout)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["--key", "steward.pub"], ["--key", "stranger.pub"], ["--integrity-only"]])
def test_it_says_what_it_does_not_check(release: Path, arguments: list[str]) -> None:
    said = " ".join(run(release, *arguments).stdout.split("Verdict:")[1].partition("Not checked here")[2].split())
    for words in (
        "data dictionaries",
        "waivers",
        "numbers of the datasheet",
        "log",
        "withdrawn",
        "sensai-release verify",
    ):
        assert words in said


def test_a_manifest_with_a_name_beyond_ascii_is_refused_without_a_traceback(release: Path) -> None:
    manifest = release.joinpath("manifest.json").read_text().replace('"TERMS.md"', '"TERM\u017f.md"').encode()
    release.joinpath("manifest.json").write_bytes(manifest)
    envelope = dsse.Envelope(payload=manifest, signatures=(dsse.sign(manifest, STEWARD),))
    release.joinpath("manifest.dsse.json").write_bytes(envelope.to_bytes())
    result = run(release, "--integrity-only")
    assert (result.returncode, result.stderr) == (1, "")
    assert "manifest.malformed" in result.stdout


def test_it_writes_nothing(release: Path) -> None:
    before = sorted(release.rglob("*"))
    assert run(release, "--key", "steward.pub").returncode == 0
    assert sorted(release.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["json", "hashlib", "__future__", "argparse", "encodings", "typing", "unicodedata", "stat"]
)
def test_a_planted_module_is_reported_and_never_run(release: Path, name: str) -> None:
    release.joinpath(f"{name}.py").write_text("open('planted', 'w').close()\nprint('PLANTED')\n")
    result = run(release, "--key", "steward.pub")
    assert result.returncode == 1
    assert f"{name}.py is not in the manifest" in result.stdout
    assert "PLANTED" not in result.stdout + result.stderr
    assert not release.parent.joinpath("planted").exists()


def test_it_checks_its_own_digest(release: Path) -> None:
    path = release / "verify.py"
    path.write_text(path.read_text() + "\n# one more line\n")
    result = run(release, "--key", "steward.pub")
    assert result.returncode == 1
    assert "verify.py has" in result.stdout


def test_a_hostile_name_does_not_reach_the_terminal(release: Path) -> None:
    release.joinpath("a\x1b[2J\u202eb").write_text("x")
    result = run(release, "--key", "steward.pub")
    assert result.returncode == 1
    assert result.stdout.replace("\n", "").isprintable()
    assert result.stdout.isascii()


def verdict(release: Path, trust: Any, *, integrity_only: bool = False) -> str:
    return str(standalone.verify(str(release), trust, integrity_only)[0])


def both(release: Path, trust: Trust) -> tuple[str, str]:
    path = release.parent / "both.json"
    write_trust(trust, path)
    return verify_release(release, trust=trust).verdict, verdict(release, standalone.load_trust(str(path)))


def swap(release: Path) -> None:
    one, other = release / "README.md", release / "TERMS.md"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def link(release: Path) -> None:
    release.joinpath("README.md").rename(release.parent / "aside")
    release.joinpath("README.md").symlink_to(release.parent / "aside")


def link_folder(release: Path) -> None:
    release.joinpath("data").rename(release.parent / "elsewhere")
    release.joinpath("data").symlink_to(release.parent / "elsewhere", target_is_directory=True)


def pipe(release: Path) -> None:
    release.joinpath("README.md").unlink()
    os.mkfifo(release / "README.md")


def cut(name: str) -> Callable[[Path], Any]:
    return lambda release: release.joinpath(name).write_bytes(release.joinpath(name).read_bytes()[:-1])


TAMPERING: list[Callable[[Path], Any]] = [
    lambda release: None,
    swap, link, link_folder, pipe, *map(cut, ["README.md", "manifest.json", "manifest.dsse.json", "SHA256SUMS"]),
    *(lambda release, name=name: release.joinpath(name).unlink()
      for name in ["README.md", "manifest.json", "manifest.dsse.json", "SHA256SUMS", "data/folds/part-00000.parquet"]),
    lambda release: release.joinpath("extra").touch(),
    lambda release: release.joinpath("extra").mkdir(),
    lambda release: release.joinpath("README.md").rename(release / "readme.md"),
    lambda release: shutil.rmtree(release / "data"),
    lambda release: os.mkfifo(release / "data" / "pipe"),
    lambda release: release.joinpath("link").symlink_to("/etc/passwd"),
    lambda release: release.joinpath("manifest.tlog-proof").mkdir(),
    lambda release: release.joinpath("manifest.tlog-proof").symlink_to("README.md"),
    lambda release: release.joinpath("manifest.tlog-proof2").touch(),
    lambda release: release.joinpath("data", "manifest.tlog-proof").touch(),
    lambda release: release.joinpath("Manifest.tlog-proof").touch(),
]  # fmt: skip


def test_a_proof_of_the_log_may_lie_beside_the_manifest(release: Path) -> None:
    found = standalone.list_directory(str(release))
    listed = {path for path, (kind, _) in found.items() if kind == "file"}
    assert standalone.file_set_problems({**found, "manifest.tlog-proof": ("file", 10)}, listed) == []
    assert standalone.file_set_problems(found, listed) == []


@pytest.mark.parametrize("tamper", TAMPERING)
def test_it_agrees_with_the_package(release: Path, tamper: Callable[[Path], Any]) -> None:
    tamper(release)
    ours, theirs = both(release, TRUST)
    assert ours == theirs
    assert (ours == VALID) is (tamper is TAMPERING[0])


@pytest.mark.parametrize(
    "trust",
    [
        TRUST,
        trust_in(STRANGER),
        trust_in(STEWARD, REVIEWER, steward=1, reviewer=1),
        trust_in(STEWARD, STRANGER, steward=2),
        trust_in(STEWARD, replace(REVIEWER, name=STEWARD.name, role="steward"), steward=2),
        replace(TRUST, people=(replace(TRUST.people[0], revoked=date(2020, 1, 1)),)),
    ],
)
@pytest.mark.parametrize("signers", [[], [REVIEWER]])
def test_it_counts_signatures_as_the_package_does(release: Path, trust: Trust, signers: list[Key]) -> None:
    for key in signers:
        countersign_release(release, key)
    ours, theirs = both(release, trust)
    assert ours == theirs


def test_a_forged_release_is_refused(tmp_path: Path) -> None:
    make_release(tmp_path / "r", STRANGER)
    assert both(tmp_path / "r", TRUST) == ("not approved", "not approved")


def test_every_sampled_flip_is_refused(release: Path) -> None:
    trust = standalone.load_trust(str(release.parent / "trust.json"))
    generator = random.Random(3)  # noqa: S311 - a test must be the same every time
    for path in sorted(path for path in release.rglob("*") if path.is_file()):
        data = path.read_bytes()
        for position in {0, len(data) - 1, *generator.choices(range(len(data)), k=6)}:
            changed = bytearray(data)
            changed[position] ^= 1 << generator.randrange(8)
            path.write_bytes(changed)
            assert verdict(release, trust) != VALID, (path.name, position)
        path.write_bytes(data)
    assert verdict(release, trust) == VALID


@pytest.mark.parametrize(
    "data", [b"", b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"null", b'{"payload":1}', b'"' * 99_999]
)
def test_hostile_envelopes_are_refused_without_a_traceback(release: Path, data: bytes) -> None:
    release.joinpath("manifest.dsse.json").write_bytes(data)
    result = run(release, "--key", "steward.pub")
    assert result.returncode == 1
    assert "envelope.malformed" in result.stdout
    assert result.stderr == ""


def test_files_are_hashed_to_the_end(tmp_path: Path) -> None:
    fill(tmp_path)
    data = os.urandom(1000) * 3000
    tmp_path.joinpath("big.bin").write_bytes(data)
    seal_release(tmp_path, PREDICATE, STEWARD)
    assert standalone.sha256_below(str(tmp_path), "big.bin", len(data)) == hashlib.sha256(data).hexdigest()
    tmp_path.joinpath("big.bin").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert verdict(tmp_path, None, integrity_only=True) == "invalid"
