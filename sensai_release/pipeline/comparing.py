"""The difference of two releases, or of the candidate and the release before it, as people are shown it.

Beside what `release.diff` finds: whether both are intact, what the two tell together about few persons, and for the
candidate why persons who were released are not in it. Reasons come from the consent ledger, inside the hospital.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import ConfigurationError, KeyFileError, ReleaseFormatError
from sensai_release.governance.consent import exclusion_reasons
from sensai_release.pipeline.pseudonymise import consent_of, load_root, mappings_of
from sensai_release.pipeline.series import read_release
from sensai_release.pipeline.waiving import candidate_payload
from sensai_release.pipeline.workspace import Workspace, earlier_releases, write_text
from sensai_release.privacy.masking import MINIMUM, mask_counts
from sensai_release.privacy.pseudonyms import Pseudonymiser
from sensai_release.privacy.series import assess_series
from sensai_release.release.comparison.diff import diff_releases
from sensai_release.release.pages import render_page
from sensai_release.release.tables import ReleasedTables, load_dictionaries, read_json_object
from sensai_release.release.verify import verify_release

REASONS = ("withdrawn", "refused", "no_record", "not_in_source", "other")
"""Why a person has left: three by the consent ledger, gone from the source, or left out by a rule (suppression)."""


def compare(old: Path, new: Path, *, html: Path | None = None, check: bool = True) -> dict[str, Any]:
    """The difference of two releases as JSON-ready data; also as a page when `html` names one.

    `intact` says of each whether its bytes are those that its manifest names; without `check` nobody looked (null).
    """
    document = _difference(old, new, MINIMUM)
    document["intact"] = {name: _intact(path) if check else None for name, path in (("old", old), ("new", new))}
    return _finished(document, html)


def compare_candidate(workspace: Workspace, old: Path | None = None, *, html: Path | None = None) -> dict[str, Any]:
    """The difference of the workspace's candidate and `old`, by default the last release of its series.

    Raises `ConfigurationError` when there is no release, no candidate, or one that is out of date.
    """
    candidate_payload(workspace)
    earlier = earlier_releases(workspace)
    if old is None and not earlier:
        raise ConfigurationError("OLD", "is not given, and there is no release yet", "Name a release, or make one.")
    before = old if old is not None else earlier[-1][1]
    minimum = workspace.params.masking_minimum
    document = _difference(before, workspace.package, minimum)
    document["intact"] = {"old": _intact(before), "new": None}
    # A candidate lacks what a release gets with its version, so only its tables can be the same files.
    for way in ("added", "removed", "changed"):
        named = document["files"][way]
        document["files"][way] = [path for path in named if path.startswith(("data/", "schemas/"))]
    document["files"]["signatures_changed"] = False
    document["identical"] = document["same_data"] and not document["policy"] and not document["answers"]
    document["reasons"] = _reasons(workspace, before, minimum) if document["participants"]["removed"] != 0 else {}
    return _finished(document, html)


def _difference(old: Path, new: Path, minimum: int) -> dict[str, Any]:
    document = diff_releases(old, new, minimum=minimum).to_dict()
    return document | {"reasons": None, "attack": _attack(old, new, document, minimum)}


def _finished(document: dict[str, Any], html: Path | None) -> dict[str, Any]:
    if html is not None:
        write_text(html, render_page("diff.html.j2", report=document, synthetic=document["synthetic"]))
    return document


def _intact(path: Path) -> bool:
    return verify_release(path, trust=None, integrity_only=True).ok


def _attack(old: Path, new: Path, document: Mapping[str, Any], minimum: int) -> dict[str, Any] | None:
    """What somebody who holds both learns of few persons (`privacy.series`); `None` where that cannot be told."""
    try:
        sides = [
            read_release(path, path / "reports" / "policy.json", name)
            for path, name in ((old, document["old"]), (new, document["new"]))
        ]
        k = int(read_json_object(new / "reports" / "policy.json", "policy.json", "k")["k"])
        report = assess_series(sides[1], sides[:1], k=k, minimum=minimum).to_dict()
    except (ReleaseFormatError, ConfigurationError, KeyError, TypeError, ValueError, AttributeError):
        return None  # Neither release is trusted: its policy and dictionaries may be of any shape.
    return {"ok": report["ok"] and not report["findings"], "gate": report["gate"], "findings": report["findings"]}


def _reasons(workspace: Workspace, old: Path, minimum: int) -> dict[str, int | str] | None:
    """How many of the persons who have left did so for which reason, masked; `None` without the root key."""
    params = workspace.params
    try:
        pseudonymiser = Pseudonymiser(load_root(), str(params.study["id"]), params.series)
    except KeyFileError:
        return None
    gone = [
        ReleasedTables(path / "data", load_dictionaries(path / "schemas")).everyone()
        for path in (old, workspace.package)
    ]
    lost = pa.array(sorted(gone[0] - gone[1]), pa.string())
    known = mappings_of(workspace, pseudonymiser).values()
    pairs = pa.concat_tables([mapping.select(["raw", "pseudonym"]) for mapping in known])
    mine = pairs.filter(pc.is_in(pairs["pseudonym"], value_set=lost))
    ledger, rule = consent_of(workspace)
    found = exclusion_reasons(mine["raw"].combine_chunks(), ledger, rule).to_pylist()
    counts = {name: found.count(name) for name in REASONS[:3]}
    counts |= {"not_in_source": len(lost) - len(found), "other": found.count(None)}
    return {
        name: count
        for name, count in mask_counts(counts, minimum, total_known=len(lost) >= minimum).items()
        if count != 0
    }
