"""The tree of RFC 6962: worked vectors, and every proof of every small tree, right and broken."""

from __future__ import annotations

import hashlib

import pytest

from sensai_release.release.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

# The leaves that the reference implementation of RFC 6962 (certificate-transparency) tests with, and their roots.
ENTRIES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
ENTRIES.append(bytes(range(0x60, 0x70)))
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(b"entry %d" % number) for number in range(count)]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_of_the_reference_tree(size: int) -> None:
    assert root_hash([leaf_hash(entry) for entry in ENTRIES[:size]]).hex() == ROOTS[size - 1]


def test_the_root_of_nothing() -> None:
    assert root_hash([]) == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", [*range(1, 20), 64, 65])
def test_every_inclusion_proof_holds_and_holds_nowhere_else(size: int) -> None:
    tree = leaves(size)
    root = root_hash(tree)
    for index, leaf in enumerate(tree):
        proof = inclusion_proof(tree, index)
        assert verify_inclusion(leaf, index, size, proof, root)
        wrong = [place for place in range(-1, size + 2) if place != index]
        assert not any(verify_inclusion(leaf, place, size, proof, root) for place in wrong)
        assert not verify_inclusion(leaf_hash(b"another"), index, size, proof, root)
        assert not verify_inclusion(leaf, index, size, (*proof, leaf), root)
        for at in range(len(proof)):
            assert not verify_inclusion(leaf, index, size, (*proof[:at], leaf_hash(b"x"), *proof[at + 1 :]), root)
            assert not verify_inclusion(leaf, index, size, proof[:at] + proof[at + 1 :], root)


@pytest.mark.parametrize("size", [*range(1, 18), 33])
def test_every_consistency_proof_holds_and_holds_nowhere_else(size: int) -> None:
    tree = leaves(size)
    root = root_hash(tree)
    for old in range(1, size + 1):
        old_root, proof = root_hash(tree[:old]), consistency_proof(tree, old)
        assert verify_consistency(old, old_root, size, root, proof)
        assert not verify_consistency(old, leaf_hash(b"another"), size, root, proof)
        assert not verify_consistency(old, old_root, size, leaf_hash(b"another"), proof)
        assert not verify_consistency(old, old_root, size, root, (*proof, old_root))
        assert not any(
            verify_consistency(other, old_root, size, root, proof) for other in range(size + 1) if other != old
        )
        for at in range(len(proof)):
            changed = (*proof[:at], leaf_hash(b"x"), *proof[at + 1 :])
            assert not verify_consistency(old, old_root, size, root, changed)


def test_a_rewritten_past_is_no_prefix() -> None:
    tree = leaves(9)
    rewritten = [tree[0], leaf_hash(b"rewritten"), *tree[2:]]
    proof = consistency_proof(rewritten, 5)
    assert not verify_consistency(5, root_hash(tree[:5]), 9, root_hash(rewritten), proof)


def test_no_proof_of_what_is_not_there() -> None:
    for index in (-1, 3):
        with pytest.raises(ValueError, match="no such leaf"):
            inclusion_proof(leaves(3), index)
    for size in (0, 4):
        with pytest.raises(ValueError, match="no such size"):
            consistency_proof(leaves(3), size)
