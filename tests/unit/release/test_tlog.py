"""Checkpoints and proofs: one byte form, worked vectors of the specification, and no changed byte that still holds."""

from __future__ import annotations

import base64

import pytest
from release_kit import REVIEWER, STEWARD

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.merkle import inclusion_proof, leaf_hash, root_hash
from sensai_release.release.tlog import Checkpoint, LogProof, SignedCheckpoint, key_hash, sign_checkpoint

ENTRIES = [b'{"event":"release","index":%d}' % number for number in range(6)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
HEAD = sign_checkpoint(Checkpoint(origin="sensai-release/test", size=6, root=root_hash(LEAVES)), STEWARD)
PROOF = LogProof(entry=ENTRIES[3], index=3, hashes=inclusion_proof(LEAVES, 3), head=HEAD)
KEYS = (STEWARD.public, REVIEWER.public)

# The example of https://c2sp.org/signed-note: a key of the Go checksum database, and the hash of that key.
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def test_the_key_hash_of_a_published_key() -> None:
    name, digest, key = GO_KEY.split("+", 2)
    assert key_hash(name, base64.b64decode(key)[1:]).hex() == digest


def test_a_proof_reads_back_and_holds() -> None:
    data = PROOF.to_bytes()
    found = LogProof.from_bytes(data)
    assert found == PROOF
    assert found.holds()
    assert found.head.signers(KEYS) == {STEWARD.public}
    assert data.decode().splitlines()[:3] == [
        "c2sp.org/tlog-proof@v1",
        f"extra {base64.b64encode(ENTRIES[3]).decode()}",
        "index 3",
    ]


def test_no_changed_byte_leaves_a_proof_that_holds() -> None:
    data = PROOF.to_bytes()
    for position in range(len(data)):
        for bit in (1, 32):
            changed = bytearray(data)
            changed[position] ^= bit
            try:
                found = LogProof.from_bytes(bytes(changed))
            except ReleaseFormatError:
                continue
            assert not (found.holds() and found.head.signers(KEYS)), position


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"\xff", b"x" * 70_000, PROOF.to_bytes() + b"\n", PROOF.to_bytes()[:-1]]
)
def test_what_is_no_proof(data: bytes) -> None:
    with pytest.raises(ReleaseFormatError, match="is no "):
        LogProof.from_bytes(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n6\n", "\n06\n"),
        ("\n6\n", "\n-6\n"),
        ("sensai-release/test", "sensai release"),
        ("\u2014 ", "- "),
        ("=\n", "\n"),
    ],
)
def test_other_forms_of_one_checkpoint(old: str, new: str) -> None:
    text = HEAD.to_text()
    assert old in text
    with pytest.raises(ReleaseFormatError):
        SignedCheckpoint.from_text(text.replace(old, new), "log/checkpoint")


def test_another_log_has_another_key_hash_so_a_signature_is_bound_to_its_log() -> None:
    moved = HEAD.to_text().replace("sensai-release/test", "sensai-release/other")
    assert SignedCheckpoint.from_text(moved, "log/checkpoint").signers(KEYS) == frozenset()
