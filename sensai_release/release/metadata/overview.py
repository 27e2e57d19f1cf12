"""What each catalogue format still lacks, and a page that says so: metadata/README.md.

A format is written with what is known. Where its standard demands what nobody has stated, the release says which fact
that is and where the steward can state it, so that a reader does not take the document for more than it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sensai_release.release.metadata import citation, croissant, data_package, datacite, health_dcat, ro_crate
from sensai_release.release.metadata.description import Description, Organisation

PATH = "metadata/README.md"
_DAY = "--as-of of `release`, or `published.<version>.date`"
_STANDARDS = {
    croissant.PATH: "Croissant 1.1 with RAI 1.0",
    data_package.PATH: "Data Package 2.0",
    datacite.PATH: "DataCite 4.5",
    citation.PATH: "Citation File Format 1.2.0",
    ro_crate.PATH: "RO-Crate 1.2",
    health_dcat.PATH: "HealthDCAT-AP release 8 (not public data)",
}
HEALTH_RI = "Health-RI core 2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A fact that a standard demands and nobody has stated, and the key of `catalogue` that states it."""

    standard: str
    fact: str
    fill: str

    def __str__(self) -> str:
        return f"{self.standard}: {self.fact} ({self.fill})"

    @property
    def of_version(self) -> bool:
        """Whether the fact belongs to one version, and is stated only when that is released."""
        return "<version>" in self.fill


Needs = Mapping[str, tuple[str, Callable[[Description], object]]]

_PUBLISHER: Needs = {"publisher": ("`study.institution`", lambda release: release.publisher)}
_PUBLISHED: Needs = {"date of publication": (_DAY, lambda release: release.published)}
_CATALOGUED: Needs = {
    "applicable legislation": ("`legislation`", lambda release: release.stated.get("legislation")),
    "theme": ("`themes`", lambda release: release.stated.get("themes")),
    "keyword": ("`keywords`", lambda release: release.keywords),
}
_DEMANDS: dict[str, Needs] = {
    _STANDARDS[croissant.PATH]: {
        "creator": _PUBLISHER["publisher"],
        "url": ("`landing_page`", lambda release: release.landing_page),
        **_PUBLISHED,
    },
    _STANDARDS[datacite.PATH]: {
        "creator and publisher": _PUBLISHER["publisher"],
        "publication year": _PUBLISHED["date of publication"],
        "DOI, before it is registered": ("`published.<version>.doi`", lambda release: release.doi),
    },
    _STANDARDS[citation.PATH]: {"author": _PUBLISHER["publisher"]},
    _STANDARDS[ro_crate.PATH]: _PUBLISHED,
    _STANDARDS[health_dcat.PATH]: {
        **_CATALOGUED,
        "health category": ("`health_categories`", lambda release: release.stated.get("health_categories")),
        "contact point": (
            "`study.contact` with `contact.page` or `contact.email`",
            lambda release: _has_contact(release),
        ),
        "contact point of the publisher": (
            "`contact.page` or `contact.email`",
            lambda release: not release.publisher or _reachable(release),
        ),
        "distribution": ("`access_page`", lambda release: release.stated.get("access_page")),
        "provenance": ("datasheet: L1 and P1", lambda release: release.answered("L1", "P1")),
        "health data access body": (
            "`access_body` with `name` and `page` or `email`",
            lambda release: (
                release.public or (release.access_body and (release.access_body.page or release.access_body.email))
            ),
        ),
    },
    HEALTH_RI: {
        **_CATALOGUED,
        "publisher and creator": _PUBLISHER["publisher"],
        "e-mail of every agent": (
            "`publisher.email`, `access_body.email`",
            lambda release: all(agent.email for agent in _agents(release)),
        ),
        "home page of every agent": (
            "`publisher.homepage`, `access_body.homepage`",
            lambda release: all(agent.homepage for agent in _agents(release)),
        ),
        "identifier of every agent": (
            "`publisher.identifier`, `access_body.identifier`",
            lambda release: all(agent.identifier for agent in _agents(release)),
        ),
        "contact point": ("`study.contact` with `contact.email`", lambda release: _has_contact(release)),
        "e-mail of the contact point": (
            "`contact.email`",
            lambda release: not _has_contact(release) or (release.contact and release.contact.email),
        ),
    },
}


def _agents(release: Description) -> list[Organisation]:
    return [agent for agent in (release.publisher, release.access_body) if agent]


def _has_contact(release: Description) -> bool:
    return release.contact is not None and bool(release.contact.page or release.contact.email)


def _reachable(release: Description) -> bool:
    reached = (release.publisher, release.contact)
    return any(one is not None and bool(one.page or one.email) for one in reached)


def gaps(release: Description) -> tuple[Gap, ...]:
    """What the standards demand and the release cannot say, in the order of the standards. Empty: all are complete."""
    return tuple(
        Gap(standard=standard, fact=name, fill=fill)
        for standard, needs in _DEMANDS.items()
        for name, (fill, stated) in needs.items()
        if not stated(release)
    )


def overview(release: Description) -> str:
    """The page: which file follows which standard, and what is missing."""
    missing = gaps(release)
    lacking = {gap.standard for gap in missing}
    rows = "\n".join(
        f"| `{path}` | {standard} | {'no: see below' if standard in lacking else 'yes'} |"
        for path, standard in _STANDARDS.items()
    )
    health_ri = "no: see below" if HEALTH_RI in lacking else "yes"
    page = f"""# For catalogues

Descriptions of {release.name} for programs. Paths are relative to the release. All say the same facts; `TERMS.md` and
the data sharing agreement govern, whatever a description leaves out. Numbers of persons are rounded down.

| File | Standard | Complete |
|---|---|---|
{rows}
| `{health_dcat.PATH}` | {HEALTH_RI} | {health_ri} |

`frictionless validate datapackage.json` (release 5) counts no bytes of Parquet files and takes a missing number for one
below its minimum. Sizes and hashes are checked by `verify`, and by `sha256sum -c SHA256SUMS`.
"""
    if not release.terms:
        page += """
No document carries the data-use terms for programs (codes of the Data Use Ontology, prohibitions in ODRL): nobody has
stated them. The data steward states them in params.yaml under `catalogue.terms`; until then `TERMS.md` alone tells.
"""
    if missing:
        table = "\n".join(f"| {gap.standard} | {gap.fact} | {gap.fill} |" for gap in missing)
        page += f"""
## What is missing

The standards ask for these facts and nobody has stated them, so they are left out. The data steward states them in
params.yaml under `catalogue`, and they are in the next release.

| Standard | Asks for | Stated in |
|---|---|---|
{table}
"""
    return page
