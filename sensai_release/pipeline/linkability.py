"""The linkability audit of a candidate or a release on disk, from its own bytes.

Tables of row-by-row recordings are read a part at a time. What is attacked, and how, is `privacy.linkability`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from sensai_release.privacy.linkability.audit import audit
from sensai_release.privacy.linkability.collusion import collusion
from sensai_release.privacy.linkability.features import session_features
from sensai_release.privacy.linkability.limits import Limits
from sensai_release.privacy.linkability.suggest import suggest
from sensai_release.privacy.links import Links
from sensai_release.release.tables import ReleasedTables

_MATCHED_ROWS = 2_000_000
"""Row-by-row recordings are left out of the collusion rate: their rows match, as those of windows show."""


def assess_linkability(
    held: ReleasedTables,
    dictionaries: Mapping[str, Mapping[str, Any]],
    links: Links,
    *,
    limits: Limits,
    cannot_assess: str,
    minimum: int,
) -> dict[str, Any]:
    """The report, JSON-ready; with the mildest change that would pass when the audit fails, and the collusion rate.

    Without a table of sessions there is nothing to match, and the report says that it cannot assess.
    """
    whole = {name: held.read(name) for name in held.names if held.rows(name) <= _MATCHED_ROWS}
    if links.sessions not in whole:
        return _nothing_to_match(limits, cannot_assess)
    batches = {name: whole.get(name, _parts(held, name)) for name in held.names}
    features = session_features(batches, dictionaries, links)
    report = audit(features, limits=limits, cannot_assess=cannot_assess, minimum=minimum)
    matched = collusion(whole, dictionaries, links, minimum=minimum).to_dict()
    changes = suggest(features, limits=limits).to_dict() if report.ok is False else None
    return _opened(report.completed(suggestion=changes, collusion=matched).to_dict())


def _opened(document: dict[str, Any]) -> dict[str, Any]:
    """A gate that may be passed unassessed is open, and keeps saying that nothing was assessed."""
    gate = [{**entry, "ok": True if entry["ok"] is None else entry["ok"]} for entry in document["gate"]]
    return {**document, "gate": gate, "ok": all(entry["ok"] for entry in gate)}


def _nothing_to_match(limits: Limits, cannot_assess: str) -> dict[str, Any]:
    gate = [
        {"name": f"linkability_{name}", "value": None, "limit": limit, "ok": cannot_assess == "report"}
        | {"status": "cannot_assess"}
        for name, limit in (("rank1", limits.rank1), ("auc", limits.auc))
    ]
    return {
        "ok": all(entry["ok"] for entry in gate),
        "status": "cannot_assess",
        "reason": "no_repeated_sessions",
        "limits": {"rank1": limits.rank1, "auc": limits.auc},
        "sets": [],
        "gate": gate,
        "suggestion": None,
        "collusion": None,
    }


def _parts(held: ReleasedTables, name: str) -> Iterator[pa.RecordBatch]:
    for part in held.parts(name):
        yield from held.read_part(name, part).to_batches()
