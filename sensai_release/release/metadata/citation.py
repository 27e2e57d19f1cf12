"""How to cite a release: Citation File Format 1.2.0 (https://citation-file-format.github.io), at CITATION.cff."""

from __future__ import annotations

from typing import Any

import yaml

from sensai_release.release.metadata.description import Description

PATH = "CITATION.cff"


def citation(release: Description) -> str:
    """The file's text. The author is the institution: no person is named who has not asked for it."""
    document: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use these data, please cite the series and the version, as below.",
        "type": "dataset",
        "title": release.title,
        "abstract": release.text,
        "version": release.version,
        "doi": release.doi,
        "date-released": release.published,
        "url": release.landing_page,
        "keywords": release.keywords,
    }
    if release.publisher:
        author = {"name": release.publisher.name, "website": release.publisher.homepage}
        document["authors"] = [{key: value for key, value in author.items() if value}]
    identifiers = [{"type": "other", "value": release.name, "description": "Series and version."}]
    if release.registration:
        identifiers.append(
            {"type": "other", "value": release.registration, "description": "Registration of the study."}
        )
    document["identifiers"] = identifiers
    filled = {key: value for key, value in document.items() if value}
    return yaml.safe_dump(filled, sort_keys=False, allow_unicode=True, width=110)
