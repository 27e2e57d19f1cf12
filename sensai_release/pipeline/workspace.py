"""A workspace on disk: params.yaml, the folders, the lock; and how a new one is made from the template.

Knows where things lie and what params.yaml means; what is done with them is for the other modules of the package.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensai_release.errors import ConfigurationError, OutputExistsError
from sensai_release.privacy.linkability.limits import Limits
from sensai_release.privacy.links import Links
from sensai_release.table.documents import check_document, load_yaml
from sensai_release.table.schema import SchemaSet, load_schemas

if TYPE_CHECKING:
    from sensai_release.release.metadata.terms_of_use import Terms

TEMPLATE_PARTS = ("params.yaml", "dvc.yaml", "schemas", "datasheets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The thresholds of one release profile.

    `k`, `l`, `t` and `l_exceptions` as in `privacy.risk.assess`; `population` is how many persons could have been in
    the release, `None` where nobody has said. `linkability` bounds the audit; `cannot_assess` says what becomes of its
    gate where the cohort is too small to tell: `report` lets it pass, and says so, `refuse` closes it.
    """

    name: str
    description: str
    k: int
    max_suppressed: float
    waiver_required: bool
    l: int = 2  # noqa: E741 - the letter that the literature uses
    t: float | None = None
    l_exceptions: Mapping[str, str] = field(default_factory=dict)
    population: int | None = None
    linkability: Limits = field(default_factory=Limits)
    cannot_assess: str = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """params.yaml, checked. `raw` is the document as it was parsed."""

    raw: Mapping[str, Any]

    @property
    def study(self) -> Mapping[str, Any]:
        study: Mapping[str, Any] = self.raw["study"]
        return study

    @property
    def catalogue(self) -> Mapping[str, Any]:
        """What only catalogues need to know; empty where the steward states nothing."""
        stated: Mapping[str, Any] = self.raw.get("catalogue", {})
        return stated

    @property
    def recipients(self) -> str:
        return str(self.raw["datasheet"]["recipients"])

    @property
    def terms(self) -> Terms:
        """The data-use terms as codes. Raises `ConfigurationError` when they contradict each other."""
        from sensai_release.release.metadata.terms_of_use import read_terms

        return read_terms(self.catalogue.get("terms", {}), public=self.recipients == "public")

    @property
    def series(self) -> str:
        return str(self.raw["series"])

    @property
    def masking_minimum(self) -> int:
        return int(self.raw["masking"]["minimum"])

    @property
    def person_table(self) -> str:
        return str(self.raw["persons"]["table"])

    @property
    def person_key(self) -> str:
        return str(self.raw["persons"]["key"])

    @property
    def session_table(self) -> str:
        return str(self.raw["sessions"]["table"])

    @property
    def session_key(self) -> str:
        return str(self.raw["sessions"]["key"])

    @property
    def links(self) -> Links:
        return Links(
            persons=self.person_table,
            person_key=self.person_key,
            sessions=self.session_table,
            session_key=self.session_key,
        )

    @property
    def profile(self) -> Profile:
        """The profile in force. Raises `ConfigurationError` when `profile` names none of `profiles`."""
        name = self.raw["profile"]
        entry = self.raw["profiles"].get(name)
        if entry is None:
            raise ConfigurationError(
                "params.yaml: profile", "names no entry of 'profiles'", f"Accepted: {', '.join(self.raw['profiles'])}."
            )
        return Profile(
            name=name,
            description=entry["description"],
            k=entry["k"],
            max_suppressed=entry["max_suppressed"],
            waiver_required=entry.get("waiver") == "required",
            l=entry.get("l", 2),
            t=entry.get("t"),
            l_exceptions=entry.get("l_exceptions", {}),
            population=entry.get("population"),
            linkability=Limits(
                **{name: value for name, value in entry.get("linkability", {}).items() if name != "cannot_assess"}
            ),
            cannot_assess=entry.get("linkability", {}).get("cannot_assess", "report"),
        )


@dataclass(frozen=True)
class Workspace:
    """A folder with params.yaml, schemas/, datasheets/ and dvc.yaml. Nothing is read before it is asked for."""

    root: Path

    @cached_property
    def params(self) -> Params:
        document = load_yaml(self.root / "params.yaml", "params.yaml")
        text = files("sensai_release.pipeline").joinpath("params.schema.json").read_text(encoding="utf-8")
        check_document(document, json.loads(text), "params.yaml")
        params = Params(raw=document)
        _ = params.profile, params.terms
        return params

    @cached_property
    def schemas(self) -> SchemaSet:
        schemas = load_schemas(self.root / "schemas")
        for role in ("persons", "sessions", "consent"):
            entry = self.params.raw[role]
            if entry["table"] not in schemas:
                raise ConfigurationError(
                    f"params.yaml: {role}.table", "names a table without a schema", f"Accepted: {', '.join(schemas)}."
                )
            columns = [entry.get("key"), entry.get("person"), entry.get("withdrawn")]
            columns.append(entry.get("grant", {}).get("column"))
            known = {column.name for column in schemas[entry["table"]].columns}
            for column in filter(None, columns):
                if column not in known:
                    raise ConfigurationError(
                        f"params.yaml: {role}",
                        f"names a column that {entry['table']} does not have",
                        f"Describe it in schemas/{entry['table']}.yaml or mend params.yaml.",
                    )
        return schemas

    @property
    def source(self) -> Path:
        return self.root / str(self.params.raw["source"])

    @property
    def work(self) -> Path:
        """Private intermediates: raw identifiers live here, so only their owner may look (0700), and git never."""
        path = self.root / "work"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def validated(self) -> Path:
        return self.work / "validated"

    @property
    def pseudonymised(self) -> Path:
        return self.work / "pseudonymised"

    @property
    def candidate(self) -> Path:
        return self.work / "candidate"

    @property
    def datasheet(self) -> Path:
        return self.work / "datasheet"

    @property
    def package(self) -> Path:
        return self.work / "package"

    @property
    def reports(self) -> Path:
        path = self.root / "reports"
        (path / "metrics").mkdir(parents=True, exist_ok=True)
        return path

    @property
    def releases(self) -> Path:
        path = self.root / "releases"
        path.mkdir(exist_ok=True)
        return path

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One command at a time changes a workspace; a second one is told so at once."""
        with (self.work / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigurationError(
                    "the workspace", "another command is at work in it", "Wait until it has ended, then try again."
                ) from None
            yield


def open_workspace(root: Path) -> Workspace:
    """Raises `ConfigurationError` when the folder is no workspace."""
    if not (root / "params.yaml").is_file():
        raise ConfigurationError(
            "params.yaml", "is not here: this folder is no workspace", "Name one with -C, or make one with 'init DIR'."
        )
    return Workspace(root=root)


def template_root() -> Path:
    """The workspace that comes with the package: inside the wheel, or the repository root of a source checkout."""
    package = Path(str(files("sensai_release")))
    for candidate in (package / "template", package.parent):
        if all((candidate / part).exists() for part in TEMPLATE_PARTS):
            return candidate
    raise ConfigurationError("the installed package", "lacks its workspace template", "Install it again.")


GITIGNORE = """\
# The private side of the workspace: never in git.
/data/
/work/
/keys/
/release-store/
/releases/*/
/reports/*.html
/reports/*.json
"""


def init_workspace(target: Path, *, force: bool = False) -> tuple[list[str], list[str]]:
    """Makes a workspace in `target`; returns the files made and the files kept as they were.

    Without `force` the folder must be new or empty. With it, what is missing is added and nothing is overwritten.
    Raises `OutputExistsError` for a folder in use.
    """
    if target.exists() and not target.is_dir():
        raise OutputExistsError("DIR", "is a file", "Name a new folder.")
    if target.exists() and any(target.iterdir()) and not force:
        raise OutputExistsError(
            "DIR",
            "is not empty",
            "Name a new folder, or add what is missing with --force (nothing is overwritten).",
        )
    target.mkdir(parents=True, exist_ok=True)
    template = template_root()
    made: list[str] = []
    kept: list[str] = []
    for part in TEMPLATE_PARTS:
        source = template / part
        paths = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        for path in paths:
            name = path.relative_to(template)
            destination = target / name
            if destination.exists():
                kept.append(name.as_posix())
                continue
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, destination)
            made.append(name.as_posix())
    ignore = target / ".gitignore"
    if ignore.exists():
        kept.append(".gitignore")
    else:
        ignore.write_text(GITIGNORE, encoding="utf-8")
        made.append(".gitignore")
    return made, kept


_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")


def parse_version(text: str) -> tuple[int, int, int]:
    """`MAJOR.MINOR.PATCH` as in Semantic Versioning 2.0.0, without pre-release parts."""
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ConfigurationError("VERSION", "is not of the form MAJOR.MINOR.PATCH", "Write for example 1.0.0.")
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def earlier_releases(workspace: Workspace) -> list[tuple[tuple[int, int, int], Path]]:
    """The releases of the workspace's series that lie in releases/, lowest version first."""
    prefix = f"{workspace.params.series}-"
    return sorted(
        (parse_version(path.name.removeprefix(prefix)), path)
        for path in workspace.releases.iterdir()
        if path.is_dir() and path.name.startswith(prefix) and _VERSION.fullmatch(path.name.removeprefix(prefix))
    )


def replace_tree(temporary: Path, target: Path) -> None:
    """Puts a finished intermediate folder in the place of an old one. For `work/` only: releases are never replaced."""
    old = target.with_name(f".old-{target.name}")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its place when the block succeeds, and is gone when it fails."""
    temporary = target.with_name(f".new-{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o700)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    replace_tree(temporary, target)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """A report for people and scripts: sorted, indented, replaced in one step."""
    write_text(path, json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """A file of the workspace's own, replaced in one step. Releases are brought to disk by `release.publish`."""
    temporary = path.with_name(f".new-{path.name}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
