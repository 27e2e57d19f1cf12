"""The facts that every catalogue format is made from, gathered once from a release folder and what the steward states.

Numbers are those of the manifest's predicate and the datasheet, masked and rounded there; nothing is counted here. What
nobody has stated is `None` or empty: no address, date, identifier or name is made up. How a format says these facts is
for the other modules of this package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.metadata.terms_of_use import Terms, read_terms
from sensai_release.release.tables import Count, load_dictionaries, read_json_object

SYNTHETIC = "SYNTHETIC DATA: made by a program, no participant stands behind any value."
ACCESS = "Controlled access under the data-use terms in TERMS.md and a data sharing agreement."
OPEN_ACCESS = "Access under the data-use terms in TERMS.md."
PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One Parquet file: its path in the release, its size in bytes and its SHA-256 in hexadecimal."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A released table: its data dictionary and its files in order."""

    name: str
    dictionary: Mapping[str, Any]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """The institution that publishes, or the body that grants access. `identifier` is a ROR address, `type` an IRI."""

    name: str
    homepage: str | None = None
    identifier: str | None = None
    type: str | None = None
    email: str | None = None
    page: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A role that answers questions, never a person."""

    name: str
    email: str | None = None
    page: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One release as a catalogue sees it.

    `title` says when the data are synthetic. `published` is a day (ISO 8601), `previous` the version before. `persons`
    and `records` are rounded down, or a text such as `<10`. `answers` are the texts of the datasheet by question, those
    left open are not in it. `stated` is `catalogue` of params.yaml, checked by its schema.
    """

    series: str
    version: str
    title: str
    registration: str | None
    synthetic: bool
    public: bool
    publisher: Organisation | None
    contact: Contact | None
    access_body: Organisation | None
    published: str | None
    doi: str | None
    previous: str | None
    persons: Count | None
    records: Count | None
    answers: Mapping[str, str]
    tables: tuple[Table, ...]
    terms: Terms
    stated: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.series}-{self.version}"

    @property
    def identifier(self) -> str:
        """The DOI as an address, or else a name of our own that no other release has."""
        if self.doi:
            return f"https://doi.org/{self.doi}"
        return f"urn:sensai-release:release:{self.series}:{self.version}"

    @property
    def text(self) -> str:
        said = [SYNTHETIC] if self.synthetic else []
        said.append("De-identified features about people, for research.")
        if self.registration:
            said.append(f"From the study registered as {self.registration}.")
        return " ".join([*said, *self.answered("C1")])

    @property
    def conditions(self) -> str:
        return OPEN_ACCESS if self.public else ACCESS

    @property
    def citation(self) -> str:
        """As DataCite recommends: who (year): title, version, what, identifier; without what is not known."""
        year = f"({self.published[:4]})" if self.published else None
        first = " ".join(filter(None, (self.publisher.name if self.publisher else None, year)))
        what = f"{self.title}. Version {self.version}. Dataset. {self.identifier}"
        return f"{first}: {what}" if first else what

    @property
    def keywords(self) -> list[str]:
        return list(self.stated.get("keywords", ()))

    @property
    def languages(self) -> list[str]:
        """ISO 639-1 codes of the languages that participants spoke or answered in."""
        return list(self.stated.get("languages", ()))

    @property
    def landing_page(self) -> str | None:
        return self.stated.get("landing_page")

    def answered(self, *questions: str) -> list[str]:
        """The datasheet's answers to these questions, without those that are open.

        A leading "Yes." goes: the question does not stand beside it.
        """
        return [self.answers[question].removeprefix("Yes. ") for question in questions if question in self.answers]


def describe_release(
    folder: Path,
    *,
    study: Mapping[str, Any],
    catalogue: Mapping[str, Any],
    predicate: Mapping[str, Any],
    recipients: str = "outside",
    records: str | None = None,
) -> Description:
    """Reads a payload that has its tables, its data dictionaries and datasheet.json.

    `study`, `catalogue` and `recipients` (`datasheet.recipients`) are params.yaml's, `predicate` is that of the
    manifest; `records` names the table whose rows a catalogue would call records. Raises `ReleaseFormatError` when a
    table has no file and `ConfigurationError` when the stated terms contradict each other.
    """
    sheet = read_json_object(folder / "datasheet.json", "datasheet.json", "answers")
    published = catalogue.get("published", {}).get(predicate["version"], {})
    counts = predicate.get("counts", {})
    return Description(
        series=str(predicate["series"]),
        version=str(predicate["version"]),
        title=f"[Synthetic data] {study['title']}" if predicate.get("synthetic") else str(study["title"]),
        registration=study.get("registration"),
        synthetic=bool(predicate.get("synthetic")),
        public=recipients == "public",
        publisher=_organisation(study.get("institution"), catalogue.get("publisher", {})),
        contact=_contact(study.get("contact"), catalogue.get("contact", {})),
        access_body=_organisation(None, catalogue.get("access_body", {})),
        published=published.get("date") or predicate.get("as_of"),
        doi=published.get("doi"),
        previous=(predicate.get("previous") or {}).get("version"),
        persons=counts.get("persons"),
        records=counts.get("rows", {}).get(records),
        answers={
            answer["question"]: answer["text"]
            for answer in sheet["answers"]
            if answer["kind"] != "open" and answer["text"]
        },
        tables=_tables(folder),
        terms=read_terms(catalogue.get("terms", {}), public=recipients == "public"),
        stated=catalogue,
    )


def _organisation(name: str | None, stated: Mapping[str, Any]) -> Organisation | None:
    name = name or stated.get("name")
    return Organisation(**{**stated, "name": name}) if name else None


def _contact(name: str | None, stated: Mapping[str, Any]) -> Contact | None:
    return Contact(name=name, **stated) if name else None


def _tables(folder: Path) -> tuple[Table, ...]:
    found = []
    for name, dictionary in load_dictionaries(folder / "schemas").items():
        paths = sorted((folder / "data" / name).glob("*.parquet"))
        if not paths:
            raise ReleaseFormatError(f"data/{name}", "holds no Parquet file", "Build the candidate again.")
        parts = tuple(_part(path, folder) for path in paths)
        found.append(Table(name=name, dictionary=dictionary, parts=parts))
    return tuple(found)


def _part(path: Path, folder: Path) -> Part:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=digest)
