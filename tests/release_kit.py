"""A small signed release with fixed keys, for tests that tamper with one. Everything in it is synthetic."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sensai_release.release.manifest import Statement
from sensai_release.release.sealing import seal_release
from sensai_release.release.trust import Person, Trust
from sensai_release.table.store import write_parquet


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key with a seed that everybody knows: for tests only."""

    private: Ed25519PrivateKey
    role: str
    name: str

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def raw(self) -> bytes:
        return self.public

    @property
    def pem(self) -> str:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    @property
    def text(self) -> str:
        return base64.b64encode(self.public).decode("ascii")


def make_key(name: str, role: str = "steward") -> Key:
    seed = hashlib.sha256(name.encode()).digest()
    return Key(private=Ed25519PrivateKey.from_private_bytes(seed), role=role, name=name)


STEWARD = make_key("Synthetic Steward")
REVIEWER = make_key("Synthetic Reviewer", "reviewer")
STRANGER = make_key("Synthetic Stranger")


def trust_in(*keys: Key, **threshold: int) -> Trust:
    people = tuple(Person(name=key.name, roles=(key.role,), public_key=key.public) for key in keys)
    return Trust(threshold=threshold or {"steward": 1}, people=people)


TRUST = trust_in(STEWARD)

PREDICATE: dict[str, Any] = {
    "study": "SYNTHETIC",
    "series": "synthetic-series",
    "version": "1.0.0",
    "as_of": "2026-01-31",
    "previous": None,
    "profile": "controlled",
    "policy_sha256": "0" * 64,
    "risk": {"k_min": 5, "gates": [{"name": "k", "value": 5, "limit": 5, "ok": True}]},
    "synthetic": True,
    "tool": {"name": "sensai-release", "version": "0.1.0"},
    "dependencies": {"pyarrow": "26.0.1"},
    "pseudonym_key": {"id": "0011223344556677", "check_value": "SYNTHETIC"},
    "counts": {"persons": 20, "rows": {"participants": 20, "folds": "<10"}},
    "terms_sha256": "1" * 64,
}

TABLES = {
    "participants": pa.table({"participant_id": [f"P{n:017d}" for n in range(20)], "age_band": ["[40,50)"] * 20}),
    "folds": pa.table({"participant_id": [f"P{n:017d}" for n in range(20)], "fold": [n % 5 for n in range(20)]}),
}
_DTYPES = {pa.string(): "string", pa.int64(): "integer", pa.float64(): "number"}


def dictionary(name: str, table: pa.Table) -> dict[str, Any]:
    columns = [{"name": field.name, "dtype": _DTYPES[field.type]} for field in table.schema]
    return {"table": name, "primary_key": ["participant_id"], "columns": columns}


def fill(root: Path) -> None:
    """The payload, as the pipeline would leave it; folds has two parts."""
    for name, table in TABLES.items():
        parts = [table.slice(0, 10), table.slice(10)] if name == "folds" else [table]
        root.joinpath("data", name).mkdir(parents=True)
        for number, part in enumerate(parts):
            write_parquet(part, root / "data" / name / f"part-{number:05d}.parquet")
        root.joinpath("schemas").mkdir(exist_ok=True)
        root.joinpath("schemas", f"{name}.json").write_text(json.dumps(dictionary(name, table)))
    root.joinpath("README.md").write_text("# Synthetic release\n\nSYNTHETIC DATA: no person is described here.\n")
    root.joinpath("TERMS.md").write_text("# Terms\n\nFor tests.\n")


def make_release(root: Path, key: Key = STEWARD) -> Statement:
    root.mkdir(parents=True, exist_ok=True)
    fill(root)
    return seal_release(root, PREDICATE, key)
