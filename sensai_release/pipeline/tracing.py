"""Who is behind a pseudonym, and which releases hold a person: what a steward needs to honour a withdrawal.

Searches the escrows of a workspace, and with root keys the releases that have none. Escrows are decrypted in memory;
nothing is written, and what is found is for the steward's screen alone. How an escrow comes to be is for
`pipeline.escrow`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError, IdentifierError, InputError, KeyFileError, ReleaseFormatError
from sensai_release.pipeline.escrow import FOLDER, SealedRelease, identifiers_of, pseudonymiser_of, read_release
from sensai_release.pipeline.trusting import key_path
from sensai_release.pipeline.workspace import Workspace
from sensai_release.privacy.age import MAXIMUM_BYTES, decrypt
from sensai_release.privacy.escrow import Escrow, EscrowPrivateKey, Pair, escrow_name, load_escrow_private_key
from sensai_release.privacy.pseudonyms import canonical, is_visible, looks_like_pseudonym, verify_check_character
from sensai_release.release.documents import parse_strict
from sensai_release.release.layout import MANIFEST
from sensai_release.table.schema import Identifier

LONGEST_IDENTIFIER = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A release that holds the person or session. `by` tells how that is known: `escrow`, `root key`, or `both` when
    the root key confirmed what the escrow says. `here` is false for a release that no longer lies in releases/.
    """

    release: str
    kind: str
    pseudonym: str
    by: str
    here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Who was meant, which releases hold them, and what could not be searched (name and reason)."""

    pairs: tuple[Pair, ...] = field(repr=False)
    releases: tuple[Held, ...]
    not_searched: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": bool(self.releases),
            "pairs": [pair.to_dict() for pair in self.pairs],
            "releases": [{name: getattr(held, name) for name in Held.__dataclass_fields__} for held in self.releases],
            "not_searched": [{"name": name, "reason": reason} for name, reason in self.not_searched],
        }


def look_up(workspace: Workspace | None, target: str, identifier: str, *, key: Path | None = None) -> Lookup:
    """Finds who a raw identifier or a pseudonym stands for, and every release that holds them.

    `target` is a release of the workspace (its name or directory) or an escrow file. All escrows in its folder that
    the key opens are searched. Releases in releases/ whose escrow is missing are searched with their root key. Where
    that key lies in `SENSAI_RELEASE_KEY_DIR`, it also confirms what an escrow says: age does not tell who wrote a file.

    Raises `InputError` when the target's escrow does not open, is damaged, is another release's or is contradicted by
    the root key; `KeyFileError` for an unusable key; `IdentifierError` for an identifier with a slip of the pen.
    """
    _check_identifier(identifier)
    releases = _releases(workspace)
    named, folder = _target(workspace, target, releases)
    problems: dict[str, str] = {}
    escrows = _open_all(folder, named, key, problems)
    pairs = _pairs(escrows, identifier)
    held: list[Held] = []
    for escrow in escrows:
        try:
            held += _held_by_escrow(escrow, pairs, here=escrow.manifest_sha256 in releases)
        except InputError as error:
            if escrow.file_name == named:
                raise
            problems[escrow.file_name] = error.cause
    known = {escrow.manifest_sha256 for escrow in escrows}
    if workspace is not None:
        rest = [release for digest, release in releases.items() if digest not in known]
        held += _held_by_root_key(rest, identifiers_of(workspace), pairs, identifier, problems)
    form = canonical(identifier)
    if not held and looks_like_pseudonym(form) and not verify_check_character(form):
        cause = "has the form of a pseudonym, but its check character does not fit"
        raise IdentifierError("the identifier", cause, "Compare it with the release, letter by letter.")
    held.sort(key=lambda each: (each.release, each.kind, each.pseudonym))
    found = pairs or [Pair(kind=each.kind, raw=identifier, pseudonym=each.pseudonym) for each in held]
    return Lookup(pairs=tuple(found), releases=tuple(held), not_searched=tuple(sorted(problems.items())))


def _check_identifier(identifier: str) -> None:
    if not identifier or len(identifier) > LONGEST_IDENTIFIER or not is_visible(identifier):
        cause = f"is not one line of 1 to {LONGEST_IDENTIFIER} visible characters"
        raise IdentifierError("the identifier", cause, "Give one raw identifier or pseudonym on standard input.")


def _target(workspace: Workspace | None, target: str, releases: Mapping[str, SealedRelease]) -> tuple[str | None, Path]:
    """The name of the escrow file that was asked for (`None`: a release without one), and the folder to search."""
    path = Path(target)
    if path.suffix == ".age" or path.is_file():
        if not path.is_file():
            raise InputError(f"escrow {path.name}", "is not there", "Name the file, or its release.")
        return path.name, path.parent
    if workspace is None:
        raise ConfigurationError("RELEASE_OR_FILE", "is no file, and this folder is no workspace", "Name one with -C.")
    folder = workspace.root / FOLDER
    name = path.resolve().name if path.name in ("", "..") else path.name
    here = [escrow_name(name, found.manifest_sha256) for found in releases.values() if found.folder.name == name]
    own = re.compile(re.escape(name) + r"\.[0-9a-f]{16}\.age")
    files = [file.name for file in sorted(folder.glob("*.age")) if own.fullmatch(file.name)]
    if here:
        return (here[0] if here[0] in files else None), folder
    if len(files) > 1:
        raise ConfigurationError("RELEASE_OR_FILE", f"stands for {len(files)} escrow files", "Name one file.")
    if not files:
        raise ConfigurationError("RELEASE_OR_FILE", "names no release and no escrow file", "See 'status' for releases.")
    return files[0], folder


def _open_all(folder: Path, named: str | None, key: Path | None, problems: dict[str, str]) -> list[Escrow]:
    """The escrows of a folder, the one that was asked for first; what does not open is added to `problems`."""
    files = sorted(folder.glob("*.age"), key=lambda file: (file.name != named, file.name))
    if not files:
        return []
    private = load_escrow_private_key(key_path("escrow", key))
    escrows = []
    for file in files:
        try:
            escrows.append(_open(file, private))
        except InputError as error:
            if file.name == named:
                raise
            problems[file.name] = error.cause
    return escrows


def _open(file: Path, private: EscrowPrivateKey) -> Escrow:
    """Raises `InputError` for everything but the escrow that the name of the file promises."""
    place = f"escrow {file.name}"
    plain = decrypt(_read(file, place), private.identity, place)
    try:
        document = parse_strict(plain, place)
    except ReleaseFormatError as error:
        raise InputError(place, error.cause, "Restore it from its backup.") from None
    escrow = Escrow.from_dict(document, place)
    if escrow.file_name != file.name:
        raise InputError(place, f"is the escrow of {escrow.release}: its name is not its own", "Restore both files.")
    return escrow


def _read(file: Path, place: str) -> bytes:
    cure = "Name the escrow file itself, or restore it from its backup."
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise InputError(place, "cannot be read", cure) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(place, "is not a regular file", cure)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(MAXIMUM_BYTES + 1)
    finally:
        os.close(descriptor)


def _pairs(escrows: Sequence[Escrow], identifier: str) -> list[Pair]:
    """Who is meant, by the first escrow that knows: a pseudonym belongs to a release, and the target comes first."""
    return next((found for escrow in escrows if (found := list(escrow.find(identifier)))), [])


def _held_by_escrow(escrow: Escrow, pairs: Sequence[Pair], *, here: bool) -> Iterator[Held]:
    found = [each for pair in pairs for each in escrow.find(pair.raw) if each.kind == pair.kind]
    if not found:
        return
    try:
        pseudonymiser = pseudonymiser_of(escrow.study, escrow.series, escrow.key_id, escrow.check_value)
    except KeyFileError:
        pseudonymiser = None
    for pair in found:
        identifier = Identifier(kind=pair.kind, prefix=pair.pseudonym[0], pattern="")
        if pseudonymiser is not None and not (
            verify_check_character(pair.pseudonym)
            and pseudonymiser.pseudonym_of(pair.raw, identifier) == pair.pseudonym
        ):
            cause = "is contradicted by the root key: it was not written by 'release'"
            raise InputError(f"escrow {escrow.file_name}", cause, "Restore it from its backup.")
        by = "escrow" if pseudonymiser is None else "both"
        yield Held(release=escrow.release, kind=pair.kind, pseudonym=pair.pseudonym, by=by, here=here)


def _held_by_root_key(
    releases: Sequence[SealedRelease],
    identifiers: Mapping[str, Identifier],
    pairs: Sequence[Pair],
    identifier: str,
    problems: dict[str, str],
) -> Iterator[Held]:
    """Makes the pseudonym anew, with the root key of each release, and looks whether it is there."""
    kinds = {each.kind: each for each in identifiers.values()}
    asked = {(pair.kind, pair.raw) for pair in pairs} or {(kind, identifier) for kind in kinds}
    for release in releases:
        try:
            pseudonymiser = release.pseudonymiser()
            released = release.pseudonyms(identifiers)
        except (KeyFileError, ReleaseFormatError) as error:
            problems[release.name] = f"has no escrow that opens, and {error.place} {error.cause}"
            continue
        for kind, raw in sorted(asked):
            if kind in kinds:
                pseudonym = pseudonymiser.pseudonym_of(raw, kinds[kind])
                if pc.is_in(pa.scalar(pseudonym), value_set=released).as_py():
                    yield Held(release=release.name, kind=kind, pseudonym=pseudonym, by="root key", here=True)


def _releases(workspace: Workspace | None) -> dict[str, SealedRelease]:
    """Every release directory of the workspace, of all its series, by the digest of its manifest."""
    if workspace is None:
        return {}
    folders = sorted(workspace.releases.glob(f"[!.]*/{MANIFEST}"))
    return {release.manifest_sha256: release for release in (read_release(path.parent) for path in folders)}
