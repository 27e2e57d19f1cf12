"""From problem codes to a verdict, and to plain words on what probably happened. Finding the problems is `verify`'s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from sensai_release.release.status import Freshness
from sensai_release.release.waivers import WaiverCode

Verdict = Literal[
    "valid and current",
    "valid, freshness unknown",
    "superseded",
    "withdrawn",
    "intact, signer unknown",
    "not approved",
    "invalid",
]
GOOD: frozenset[Verdict] = frozenset({"valid and current", "valid, freshness unknown", "superseded"})
"""The verdicts for data that were approved; only "valid and current" says that nothing has taken their place."""

_OUT_OF_TIME = ("signature.not_valid_yet", "signature.no_longer_valid")
_WAIVER_SIGNER = frozenset({"waiver.unknown_signer", "waiver.wrong_role", "waiver.same_person"})
_APPROVAL_CODES = frozenset(
    {"approval.missing", "signer.unknown", "log.signer", "signature.revoked", *_OUT_OF_TIME, *_WAIVER_SIGNER}
)
_STATUS_REFUSED = frozenset(
    {
        "status.malformed",
        "status.rollback",
        "status.signature_broken",
        "status.two_documents",
        "status.unknown_signer",
    }
)
_FRESHNESS: Mapping[Freshness, Verdict] = {
    "current": "valid and current",
    "unknown": "valid, freshness unknown",
    "superseded": "superseded",
    "withdrawn": "withdrawn",
}
_WAIVER_VOID = frozenset({"waiver.unlisted", *(f"waiver.{code}" for code in get_args(WaiverCode))}) - _WAIVER_SIGNER


def decide(codes: set[str], trusted: bool, freshness: Freshness = "unknown") -> Verdict:
    """`trusted`: somebody gave a trust file. Anything but a question of who signed makes a release invalid.

    A status document that is refused says nothing about the bytes, so it leaves a release valid, freshness unknown.
    """
    if codes - _APPROVAL_CODES - _STATUS_REFUSED:
        return "invalid"
    if not trusted:
        return "intact, signer unknown"
    if codes & {"approval.missing", "log.signer", *_WAIVER_SIGNER}:
        return "not approved"
    return _FRESHNESS[freshness]


_EXPLANATIONS = (
    (
        {"envelope.malformed", "envelope.type"},
        (
            "The file with the signatures was cut off, or an editor or another program changed it, so nothing can be "
            "said about who made this. Get the release again."
        ),
    ),
    (
        {"signature.broken"},
        (
            "The signatures do not fit this manifest: one of the two was changed or damaged after signing. Do not use "
            "the data; get the release again, and tell the steward if it happens twice."
        ),
    ),
    (
        {"envelope.unreadable"},
        (
            "The signatures are missing or cannot be read, so nothing can be said about who made this. Probably not "
            "everything was copied, or you do not have the right to read it."
        ),
    ),
    (
        {"manifest.other_version", "digest.other_version"},
        (
            "Files of two versions of the release lie in one folder: most likely one was copied over the other. Get "
            "the release again, into an empty folder."
        ),
    ),
    (
        {"manifest.shorter", "manifest.unreadable"},
        ("manifest.json is missing or not whole: most likely a download or a copy was cut off. Get the release again."),
    ),
    (
        {"manifest.changed", "manifest.malformed"},
        (
            "manifest.json is not the one that was signed. An editor or a copying tool may have rewritten it, it may "
            "be that of another version, or somebody changed it on purpose. Get the release again."
        ),
    ),
    (
        {"file.link", "file.special", "name.odd"},
        "Something lies in the directory that no release tool puts there. Do not open it; get the release again.",
    ),
    (
        {"name.case"},
        (
            "Names have other capital letters than were signed: a copying program, an archive or a disk changed them. "
            "Get the release again, and copy it another way."
        ),
    ),
    (
        {"digest.spreadsheet"},
        (
            "A file was opened and saved again by a spreadsheet program, which writes other bytes and may change "
            "values. The data are not those that were released; get them again, and open copies only."
        ),
    ),
    (
        {"digest.mismatch", "digest.rewritten", "size.longer"},
        (
            "Files hold other bytes than were signed: opened and saved again by a program such as a spreadsheet, mixed "
            "with those of another version, damaged on disk, or changed on purpose. The data are not those that were "
            "released; get them again."
        ),
    ),
    (
        {"file.missing", "size.shorter"},
        "Files are missing or too short: most likely a download or a copy was cut off. Get the release again.",
    ),
    (
        {"digest.line_ends"},
        (
            "Text files have other line ends than were signed: git, an editor or a mail program converted them. Get "
            "the release again in a way that leaves files as they are, for example as one archive."
        ),
    ),
    (
        {"checksums.changed", "checksums.unreadable"},
        (
            "SHA256SUMS, the list for people without this tool, is not the one that belongs to the release: cut off, "
            "changed, or that of another version. Get the release again."
        ),
    ),
    (
        {"file.unreadable", "folder.unreadable"},
        (
            "Files or folders are there and cannot be read: you may not have the right to, or the disk is failing. "
            "Copy the release to a folder of your own, or ask whoever gave it to you, and check again."
        ),
    ),
    (
        {"file.extra", "folder.extra"},
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
        {"gate.not_waived", "risk.differs", "risk.unreadable", *_WAIVER_VOID},
        (
            "The bytes are those that were signed, but a gate was failed and no waiver that holds lets it pass. Tell "
            "the steward: this must not have been released."
        ),
    ),
    (
        {"facts.differ", "facts.unreadable"},
        (
            "The bytes are those that were signed, but the datasheet or the risk report states other numbers than the "
            "tables give. Tell the steward: this went wrong before signing."
        ),
    ),
    (
        {"log.malformed", "log.broken", "log.other_release"},
        (
            "The proof that this release is in the governance log does not fit it: damaged, or taken from another "
            "release. The data are those that were signed; get manifest.tlog-proof again, or ask the steward."
        ),
    ),
    (
        {"status.other_release"},
        (
            "Two releases with one version number exist, and the status document speaks of the other one. Do not use "
            "the data before the steward has said which of the two was released."
        ),
    ),
    (
        {"signature.revoked", *_OUT_OF_TIME},
        "It is signed with a key that counts no more, or not yet. Ask the steward for a signature with a valid key.",
    ),
    (
        _WAIVER_SIGNER,
        (
            "A gate was failed, and the waiver is not signed by a reviewer whom your trust file names, other than the "
            "steward. Get the reviewer's public key another way, or ask the steward."
        ),
    ),
    (
        {"approval.missing"},
        (
            "Not all the people whose signature you ask for have signed. Either the approval is still to come, or your "
            "trust file does not name the signers."
        ),
    ),
    (
        {"log.signer"},
        (
            "The governance log's head is signed by somebody whom your trust file does not name, or whose key counts "
            "no more. Where a release was approved, that is its reviewer: get the public keys of the steward and the "
            "reviewer another way, and name both in your trust file."
        ),
    ),
)
_STATUS_EXPLANATIONS = (
    (
        {"status.rollback"},
        (
            "The data are those that were approved, but a newer status document was seen here before: an old copy, or "
            "somebody holds back the newer one. Get the newest from the steward."
        ),
    ),
    (
        {"status.two_documents"},
        (
            "The data are those that were approved, but two different status documents with one number exist, so one "
            "of them was not issued by the people you trust. Ask the steward which one is theirs, by another way."
        ),
    ),
    (
        _STATUS_REFUSED,
        (
            "The data are those that were approved, but the status document is not one that the people you trust have "
            "signed, or it was changed. Get the newest from the steward."
        ),
    ),
)
_STANDING_EXPLANATIONS: Mapping[Verdict, str] = {
    "valid and current": (
        "This is the release that was signed, complete and unchanged, and the people you trust say that it is the one "
        "to use."
    ),
    "valid, freshness unknown": (
        "This is the release that was signed, complete and unchanged, and the people you trust have signed it. Whether "
        "it has been withdrawn since, only a new status document tells (--status)."
    ),
    "superseded": (
        "This is the release that was signed, complete and unchanged, but there is a newer one. Use this one only to "
        "repeat what was done with it."
    ),
    "withdrawn": (
        "This release has been taken back. Do not use the data, delete your copies as the terms ask, and ask the "
        "steward for a newer release."
    ),
}


def explain(verdict: Verdict, codes: set[str]) -> str:
    """One or two plain sentences on what probably happened, the most serious cause first."""
    if verdict in _STANDING_EXPLANATIONS:
        doubts = _STATUS_EXPLANATIONS if verdict != "withdrawn" else ()
        found = next((words for causes, words in doubts if causes & codes), None)
        return found or _STANDING_EXPLANATIONS[verdict]
    found = next((words for causes, words in _EXPLANATIONS if causes & codes), None)
    return found or (
        "The files fit their manifest, but nobody can say who made it: anybody could have written both. Give a trust "
        "file that you received another way (--trust)."
    )


def is_refused(codes: set[str]) -> bool:
    """Whether a status document was given and cannot be believed."""
    return bool(codes & _STATUS_REFUSED)
