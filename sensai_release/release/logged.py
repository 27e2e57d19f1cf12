"""Whether a release is in the governance log, by the proof that lies beside its manifest (manifest.tlog-proof).

The proof comes after the signatures, so no manifest lists it and it may be absent; when it is there, it must hold. What
a proof is, is for `tlog` to say; the log itself is `governance.log`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.documents import canonical_json, parse_strict
from sensai_release.release.layout import PROOF
from sensai_release.release.tlog import LogProof
from sensai_release.release.trust import Trust

MAXIMUM_PROOF_BYTES = 64 << 10

Fault = tuple[str, str, str]
"""A code, the release-relative path it is about, and a sentence."""


def check_proof(
    data: bytes, *, series: str, manifest_sha256: str, trust: Trust | None, today: date | None
) -> Iterator[Fault]:
    """What is wrong with the bytes of a proof for the release with this manifest; without `trust`, not who signed it.

    The entry is interpreted only once the checkpoint's signature holds, unless there is nobody to trust.
    """
    try:
        proof = LogProof.from_bytes(data)
    except ReleaseFormatError:
        yield "log.malformed", PROOF, "is no proof of an entry in a log; it may have been cut short or saved anew"
        return
    if not proof.holds():
        yield "log.broken", PROOF, "does not show what it claims: the entry is not in the log whose head it gives"
        return
    if trust is not None:
        keys = [person.public_key for person in trust.people if person.fault_on(today) is None]
        if not proof.head.signers(keys):
            yield "log.signer", PROOF, "gives a head of the log that nobody signed whom you trust"
            return
    try:
        yield from _entry_faults(proof, series, manifest_sha256)
    except (ReleaseFormatError, KeyError, TypeError):
        yield "log.malformed", PROOF, "holds no entry of a governance log"


def _entry_faults(proof: LogProof, series: str, manifest_sha256: str) -> Iterator[Fault]:
    entry = parse_strict(proof.entry, PROOF, maximum_bytes=MAXIMUM_PROOF_BYTES)
    facts = entry["facts"]
    if canonical_json(entry) != proof.entry or entry["index"] != proof.index:
        raise KeyError
    same = entry["event"] == "release" and facts["manifest_sha256"] == manifest_sha256
    if not same or proof.head.checkpoint.origin != f"sensai-release/{series}":
        yield "log.other_release", PROOF, "is about another release than this one"
