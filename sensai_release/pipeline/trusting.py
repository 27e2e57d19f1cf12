"""Trust files and key files by path: which key a command uses, and who is put on a trust file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sensai_release.errors import KeyFileError
from sensai_release.privacy.escrow import EscrowPublicKey, load_escrow_public_key
from sensai_release.privacy.key_rotation import find_root_key
from sensai_release.privacy.keyfile import (
    KeyRole,
    RootKey,
    find_key,
    is_retired,
    key_files,
    load_public_key_file,
    load_root_key,
    public_key_id,
)
from sensai_release.release.trust import Trust, add_person, load_trust, write_trust

KEY_DIR_VARIABLE = "SENSAI_RELEASE_KEY_DIR"


def key_path(role: KeyRole, given: Path | None) -> Path:
    """The key file for a role: as given, else the one key of that role in `SENSAI_RELEASE_KEY_DIR`.

    Raises `KeyFileError` when there is none, or more than one.
    """
    if given is not None:
        return given
    folder = os.environ.get(KEY_DIR_VARIABLE)
    if not folder:
        raise KeyFileError(
            f"the {role} key",
            "was not named",
            f"Set {KEY_DIR_VARIABLE} to the folder that holds it; 'keygen FILE --role {role}' makes one.",
        )
    return find_key(Path(folder), role)


def root_key_of(key_id: str) -> RootKey:
    """The root key with this id in `SENSAI_RELEASE_KEY_DIR`, in use or kept. Raises `KeyFileError` when there is none.

    An id is only what a file claims; whoever uses the key compares its check value.
    """
    folder = os.environ.get(KEY_DIR_VARIABLE)
    if not folder:
        raise KeyFileError(f"the root key {key_id}", "was not named", f"Set {KEY_DIR_VARIABLE} to its folder.")
    return load_root_key(find_root_key(Path(folder), key_id))


def escrow_public_key() -> EscrowPublicKey | None:
    """Whom escrows are encrypted to: the one public escrow key in `SENSAI_RELEASE_KEY_DIR`; `None` when there is none.

    Raises `KeyFileError` when there is more than one, or an unsafe one.
    """
    folder = os.environ.get(KEY_DIR_VARIABLE)
    headed = key_files(Path(folder), "escrow", public=True) if folder else ()
    found = [path for path, header in headed if not is_retired(path, header.key_id)]
    if len(found) > 1:
        raise KeyFileError("the key folder", f"holds {len(found)} public escrow keys", "Move the others away.")
    return load_escrow_public_key(found[0]) if found else None


def add_people(trust_file: Path, public_keys: Sequence[Path]) -> list[dict[str, Any]]:
    """Registers the people of some public key files and returns all people of the trust file.

    Who names a reviewer wants releases to be approved: a role that somebody fills is asked for from then on.
    """
    trust = load_trust(trust_file) if trust_file.exists() else Trust(threshold={"steward": 1})
    for path in public_keys:
        trust = add_person(trust, load_public_key_file(path))
    filled = {role: 1 for person in trust.people for role in person.roles}
    trust = replace(trust, threshold=filled | dict(trust.threshold))
    write_trust(trust, trust_file)
    return [{"name": p.name, "roles": list(p.roles), "key_id": public_key_id(p.public_key)} for p in trust.people]
