"""From problem codes to a verdict, and to plain words on what probably happened. Finding the problems is `verify`'s."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["valid", "intact, signer unknown", "not approved", "invalid"]

_OUT_OF_TIME = ("signature.not_valid_yet", "signature.no_longer_valid")
_APPROVAL_CODES = frozenset({"approval.missing", "signer.unknown", "signature.revoked", *_OUT_OF_TIME})


def decide(codes: set[str], trusted: bool) -> Verdict:
    """`trusted`: somebody gave a trust file. Anything but a question of who signed makes a release invalid."""
    if codes - _APPROVAL_CODES:
        return "invalid"
    if not trusted:
        return "intact, signer unknown"
    return "not approved" if "approval.missing" in codes else "valid"


_EXPLANATIONS = (
    (
        {"signature.broken", "envelope.malformed", "envelope.type"},
        (
            "The signatures do not fit this manifest: one of the two was changed or damaged after signing. Do not use "
            "the data; get the release again, and tell the steward if it happens twice."
        ),
    ),
    (
        {"envelope.unreadable"},
        "The signatures are missing, so nothing can be said about who made this. Probably not everything was copied.",
    ),
    (
        {"manifest.changed", "manifest.unreadable", "manifest.malformed"},
        (
            "manifest.json is not the one that was signed. An editor or a copying tool may have rewritten it, or "
            "somebody changed it on purpose."
        ),
    ),
    (
        {"file.link", "file.special", "name.odd", "name.case"},
        "Something lies in the directory that no release tool puts there. Do not open it; get the release again.",
    ),
    (
        {"file.missing", "size.shorter"},
        "Files are missing or too short: most likely a download or a copy was cut off. Get the release again.",
    ),
    (
        {"digest.line_ends"},
        "Text files have other line ends than were signed: git, an editor or a mail program converted them.",
    ),
    (
        {"digest.mismatch", "size.longer", "file.unreadable", "checksums.changed", "checksums.unreadable"},
        (
            "Files hold other bytes than were signed: opened and saved again by a program, damaged on disk, or changed "
            "on purpose. The data are not those that were released."
        ),
    ),
    (
        {"file.extra", "folder.extra", "folder.unreadable"},
        (
            "There are files that do not belong to the release, for example notes or results saved into it. If "
            "everything else is in order, move them elsewhere and check again."
        ),
    ),
    (
        {"table.missing", "table.unreadable", "table.metadata", "table.columns", "table.types", "dictionary.malformed"},
        (
            "The bytes are those that were signed, but a table is not what its data dictionary says. Tell the steward: "
            "this went wrong before signing."
        ),
    ),
    (
        {"signature.revoked", *_OUT_OF_TIME},
        "It is signed with a key that counts no more, or not yet. Ask the steward for a signature with a valid key.",
    ),
    (
        {"approval.missing"},
        (
            "Not all the people whose signature you ask for have signed. Either the approval is still to come, or your "
            "trust file does not name the signers."
        ),
    ),
)


def explain(verdict: Verdict, codes: set[str]) -> str:
    """One or two plain sentences on what probably happened, the most serious cause first."""
    if verdict == "valid":
        return "This is the release that was signed, complete and unchanged, and the people you trust have signed it."
    found = next((words for causes, words in _EXPLANATIONS if causes & codes), None)
    return found or (
        "The files fit their manifest, but nobody can say who made it: anybody could have written both. Give a trust "
        "file that you received another way (--trust)."
    )
