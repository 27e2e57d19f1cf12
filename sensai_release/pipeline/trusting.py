"""Trust files and key files by path: which key a command uses, and who is put on a trust file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sensai_release.errors import KeyFileError
from sensai_release.privacy.keyfile import KeyRole, find_key, load_public_key_file, public_key_id
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


def add_people(trust_file: Path, public_keys: Sequence[Path]) -> list[dict[str, Any]]:
    """Registers the people of some public key files and returns all people of the trust file."""
    trust = load_trust(trust_file) if trust_file.exists() else Trust(threshold={"steward": 1})
    for path in public_keys:
        trust = add_person(trust, load_public_key_file(path))
    write_trust(trust, trust_file)
    return [{"name": p.name, "roles": list(p.roles), "key_id": public_key_id(p.public_key)} for p in trust.people]
