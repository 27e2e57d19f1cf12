"""What catalogues and data loaders read: one release in six formats, all made from the same facts.

`describe_release` gathers the facts, `documents` writes every format. Nothing here knows one study, counts a person or
makes up an address; what a standard demands and nobody stated is named in metadata/README.md (`gaps`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sensai_release.release.metadata import citation, croissant, data_package, datacite, health_dcat, overview, ro_crate
from sensai_release.release.metadata.description import Description, describe_release
from sensai_release.release.metadata.overview import Gap, gaps

__all__ = ["Description", "Gap", "describe_release", "documents", "gaps"]


def documents(release: Description) -> dict[str, str]:
    """The text of every file by its path in the release. The same facts give the same bytes."""
    return {
        croissant.PATH: _json(croissant.croissant(release)),
        data_package.PATH: _json(data_package.data_package(release)),
        datacite.PATH: _json(datacite.datacite(release)),
        citation.PATH: citation.citation(release),
        ro_crate.PATH: _json(ro_crate.ro_crate(release)),
        health_dcat.PATH: _json(health_dcat.health_dcat(release)),
        overview.PATH: overview.overview(release),
    }


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
