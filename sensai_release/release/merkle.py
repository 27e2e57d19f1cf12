"""The Merkle tree over a log: root, inclusion proof, consistency proof, and their verification.

RFC 6962, section 2.1, with SHA-256 (https://www.rfc-editor.org/rfc/rfc6962#section-2.1); proofs are verified as RFC
9162, sections 2.1.3.2 and 2.1.4.2, lays down, which shares no code with their making. What an entry means is `log`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; that of an empty log is the hash of nothing."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    # A node without a sibling rises as it is: the same tree as splitting at the largest power of two.
    while len(level) > 1:
        paired = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of leaf `index`, from the leaf upwards. Raises `ValueError` when there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise ValueError("no such leaf")
    if len(leaves) == 1:
        return ()
    split = _split(len(leaves))
    if index < split:
        return (*inclusion_proof(leaves[:split], index), root_hash(leaves[split:]))
    return (*inclusion_proof(leaves[split:], index - split), root_hash(leaves[:split]))


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """The proof that the first `old_size` leaves (1 to all) are a prefix. Raises `ValueError` for other sizes."""
    if not 0 < old_size <= len(leaves):
        raise ValueError("no such size")
    return _subproof(leaves, old_size, known=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, known: bool) -> tuple[bytes, ...]:
    if old_size == len(leaves):
        return () if known else (root_hash(leaves),)
    split = _split(len(leaves))
    if old_size <= split:
        return (*_subproof(leaves[:split], old_size, known=known), root_hash(leaves[split:]))
    return (*_subproof(leaves[split:], old_size - split, known=False), root_hash(leaves[:split]))


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` leads from the leaf hash at `index` to the root of `size` leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = _node(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = _node(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `size` leaves begins with that of `old_size` (RFC 9162, 2.1.4.2); any begins with none."""
    if not 0 <= old_size <= size:
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    if old_size == size:
        return not proof and old_root == root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    found_old = found = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            found_old, found = _node(node, found_old), _node(node, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = _node(found, node)
        place, last = place >> 1, last >> 1
    return last == 0 and found_old == old_root and found == root
