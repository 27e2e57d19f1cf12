"""The proof beside a manifest: absent, or whole, about this release, and signed by somebody trusted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from release_kit import PREDICATE, REVIEWER, STEWARD, STRANGER, TRUST, Key, fill, make_release

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.documents import canonical_json
from sensai_release.release.layout import PROOF
from sensai_release.release.manifest import Statement, build_statement, parse_statement
from sensai_release.release.merkle import inclusion_proof, leaf_hash, root_hash
from sensai_release.release.tlog import Checkpoint, LogProof, sign_checkpoint
from sensai_release.release.trust import Trust
from sensai_release.release.verify import verify_release

STEP = 10
ORIGIN = f"sensai-release/{PREDICATE['series']}"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    make_release(tmp_path / "release")
    return tmp_path / "release"


def leaf(release: Path, index: int = 1, **named: Any) -> bytes:
    digest = hashlib.sha256((release / "manifest.json").read_bytes()).hexdigest()
    entry = {"event": "release", "facts": {"manifest_sha256": digest}, "index": index, "previous": "0" * 64}
    return canonical_json(entry | {"time_sha256": "1" * 64} | named)


def proof_of(entry: bytes, *, key: Key = STEWARD, origin: str = ORIGIN, index: int = 1) -> LogProof:
    leaves = [leaf_hash(b"before"), leaf_hash(entry), leaf_hash(b"after")]
    head = sign_checkpoint(Checkpoint(origin=origin, size=3, root=root_hash(leaves)), key)
    return LogProof(entry=entry, index=index, hashes=inclusion_proof(leaves, 1), head=head)


def codes(release: Path, data: bytes, trust: Trust | None = TRUST, **named: Any) -> tuple[str, list[str]]:
    (release / PROOF).write_bytes(data)
    report = verify_release(release, trust=trust, integrity_only=trust is None, **named)
    step = report.steps[STEP - 1]
    assert report.ok is (report.verdict in {"valid, freshness unknown", "intact, signer unknown"})
    assert all(other.ok for other in report.steps if other is not step)
    return report.verdict, [problem.code for problem in step.problems]


def test_a_proof_that_holds_is_accepted_and_changes_nothing_else(release: Path) -> None:
    sums = (release / "SHA256SUMS").read_bytes()
    assert codes(release, proof_of(leaf(release)).to_bytes()) == ("valid, freshness unknown", [])
    assert verify_release(release, trust=TRUST).steps[STEP - 1].skipped is None
    assert (release / "SHA256SUMS").read_bytes() == sums


def test_without_a_proof_the_step_says_so(release: Path) -> None:
    step = verify_release(release, trust=TRUST).steps[STEP - 1]
    assert step.ok
    assert PROOF in str(step.skipped)


def test_without_a_trust_file_all_but_the_signer_is_checked(release: Path) -> None:
    good = proof_of(leaf(release), key=STRANGER)
    assert codes(release, good.to_bytes(), None) == ("intact, signer unknown", [])
    assert verify_release(release, trust=None, integrity_only=True).steps[STEP - 1].skipped
    assert codes(release, proof_of(b"{}").to_bytes(), None) == ("invalid", ["log.malformed"])


def test_a_head_that_nobody_trusted_signed(release: Path) -> None:
    data = proof_of(leaf(release), key=REVIEWER).to_bytes()
    assert codes(release, data) == ("not approved", ["log.signer"])
    revoked = replace(TRUST.people[0], name="Was trusted", public_key=REVIEWER.public, revoked=date(2026, 1, 1))
    both = replace(TRUST, people=(*TRUST.people, revoked))
    assert codes(release, data, both, today=date(2026, 1, 1)) == ("not approved", ["log.signer"])
    assert codes(release, data, both, today=date(2025, 12, 31)) == ("valid, freshness unknown", [])


WRONG: dict[str, tuple[Callable[[Path], LogProof], str]] = {
    "another manifest": (
        lambda r: proof_of(leaf(r, facts={"manifest_sha256": "0" * 64})),
        "log.other_release",
    ),
    "another event": (lambda r: proof_of(leaf(r, event="release.intent")), "log.other_release"),
    "another log": (lambda r: proof_of(leaf(r), origin="sensai-release/another"), "log.other_release"),
    "another index": (lambda r: proof_of(leaf(r, index=2)), "log.malformed"),
    "another place": (lambda r: proof_of(leaf(r), index=0), "log.broken"),
    "another entry": (lambda r: replace(proof_of(leaf(r)), entry=leaf(r, event="build")), "log.broken"),
    "no hashes": (lambda r: replace(proof_of(leaf(r)), hashes=()), "log.broken"),
    "no facts": (lambda r: proof_of(leaf(r, facts=None)), "log.malformed"),
    "no digest": (lambda r: proof_of(leaf(r, facts={})), "log.malformed"),
    "a list": (lambda r: proof_of(b"[]"), "log.malformed"),
    "no JSON": (lambda r: proof_of(b"{"), "log.malformed"),
    "twice": (lambda r: proof_of(b'{"event":1,"event":1}'), "log.malformed"),
    "spaces": (lambda r: proof_of(leaf(r).replace(b":", b": ", 1)), "log.malformed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_proof_of_something_else(release: Path, name: str) -> None:
    make, code = WRONG[name]
    assert codes(release, make(release).to_bytes()) == ("invalid", [code])


@pytest.mark.parametrize("change", [lambda d: b"", lambda d: d[:-1], lambda d: d + b"\n", lambda d: d * 100])
def test_a_proof_in_another_form(release: Path, change: Callable[[bytes], bytes]) -> None:
    assert codes(release, change(proof_of(leaf(release)).to_bytes())) == ("invalid", ["log.malformed"])


def test_every_byte_flip_of_a_proof_is_refused(release: Path) -> None:
    data = proof_of(leaf(release)).to_bytes()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << (position % 8)
        assert codes(release, bytes(changed))[1], position


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.mkdir(), "name.case"),
        (lambda path: path.symlink_to("README.md"), "file.link"),
        (lambda path: os.mkfifo(path), "file.special"),
        (lambda path: path.with_name("manifest.tlog-proof.bak").touch(), "file.extra"),
        (lambda path: path.with_name("Manifest.tlog-proof").touch(), "name.case"),
        (lambda path: (path.parent / "data" / path.name).touch(), "file.extra"),
    ],
)
def test_nothing_else_may_come_after_the_signatures(release: Path, spoil: Callable[[Path], Any], code: str) -> None:
    spoil(release / PROOF)
    report = verify_release(release, trust=TRUST)
    assert (report.verdict, [p.code for p in report.steps[3].problems]) == ("invalid", [code])


def test_no_manifest_lists_a_proof(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / PROOF).write_bytes(b"x")
    statement = build_statement(tmp_path, PREDICATE)
    assert PROOF not in statement.resources
    listing = Statement(
        subject=tuple(
            sorted((*statement.subject, replace(statement.subject[0], name=PROOF)), key=lambda resource: resource.name)
        ),
        predicate=PREDICATE,
    )
    with pytest.raises(ReleaseFormatError):
        parse_statement(listing.to_bytes())
