"""What changed between two releases of one series, told so that the report itself reveals no one.

Compares files byte by byte and tables by their primary keys (a table without a usable one as a multiset of rows).
Counts that stand for fewer than `minimum` persons are masked, whatever their size: 600 changed windows of one person
read `<10`, and so does one. It trusts neither release: whether their bytes are those that were signed is for `verify`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.comparison.policydiff import policy_changes
from sensai_release.release.comparison.tablediff import Comparer, TableDiff
from sensai_release.release.conformance import ARROW_TYPES
from sensai_release.release.layout import CANDIDATE, ENVELOPE, MANIFEST, PROOF
from sensai_release.release.tables import Count, ReleasedTables, load_dictionaries, read_json_object
from sensai_release.release.told_links import told_links

_ABOUT = {CANDIDATE, ENVELOPE, PROOF}
_BLOCK = 1 << 20
_CURE = "Run 'verify' on it."
_KINDS = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesDiff:
    """Payload files by path. `signatures_changed` speaks of the envelope, which is about the release and not in it.

    So is the proof that the release is in the log, which is left out.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    signatures_changed: bool

    def to_dict(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDiff:
    """The difference of two releases. `identical`: every payload file is the same, byte for byte.

    `sessions` counts rows of the table of sessions, empty where there is none. `policy`: see `policydiff`. `answers`:
    questions of the datasheet whose answer is another, with its `kind` before and after. `shifts`: see
    `Comparer.shifts`. `risk`: the checks of both, risk and linkability.
    """

    series: str
    old: str
    new: str
    synthetic: bool
    minimum: int
    files: FilesDiff
    tables: Mapping[str, TableDiff]
    participants: Mapping[str, Count]
    sessions: Mapping[str, Count]
    policy: tuple[Mapping[str, Any], ...]
    answers: tuple[Mapping[str, Any], ...]
    shifts: Mapping[str, Any]
    labels: Mapping[str, Mapping[str, Mapping[str, Count]]]
    risk: Mapping[str, Mapping[str, Any]]

    @property
    def identical(self) -> bool:
        return not (self.files.added or self.files.removed or self.files.changed)

    @property
    def same_data(self) -> bool:
        """No table differs, though other files may."""
        return all(table.same for table in self.tables.values())

    def to_dict(self) -> dict[str, Any]:
        return {
            "identical": self.identical,
            "same_data": self.same_data,
            "series": self.series,
            "old": self.old,
            "new": self.new,
            "synthetic": self.synthetic,
            "minimum": self.minimum,
            "files": self.files.to_dict(),
            "tables": {name: table.to_dict() for name, table in self.tables.items()},
            "participants": dict(self.participants),
            "sessions": dict(self.sessions),
            "policy": [dict(change) for change in self.policy],
            "answers": [dict(change) for change in self.answers],
            "shifts": dict(self.shifts),
            "labels": {name: {way: dict(cells) for way, cells in label.items()} for name, label in self.labels.items()},
            "risk": {name: dict(side) for name, side in self.risk.items()},
        }


def diff_releases(old: Path, new: Path, *, minimum: int = 10, coarse: bool = False, tests: bool = True) -> ReleaseDiff:
    """Compares two release directories of one series; `minimum` persons must stand behind a printed count.

    NEW may be a package that is not released yet (`payload.json` in place of a manifest): its version reads
    `candidate`. Without `tests` distributions are not compared, which is faster.
    `coarse` rounds all counts down, for the report that becomes part of a release: it is read beside other documents
    by people who have no data. Whoever compares two releases holds both.
    Raises `ReleaseFormatError` when a path is no release directory, when the two are of different series, or when a
    document or a table of one cannot be read.
    """
    names = [_identity(root, place) for root, place in ((old, "OLD"), (new, "NEW"))]
    if names[0]["series"] != names[1]["series"]:
        raise ReleaseFormatError("NEW", "belongs to another series than OLD", "Name two releases of one series.")
    files, bytes_same = _diff_files(old, new)
    sides = [ReleasedTables(root / "data", load_dictionaries(root / "schemas")) for root in (old, new)]
    for side in sides:
        for name in side.names:
            _check_table(side, name)
    before, after = sides
    documents = [_document(root, "reports/policy.json") for root in (old, new)]
    sheets = [_document(root, "datasheet.json") for root in (old, new)]
    targets = _shaped("datasheet.json", _told_labels, *sheets)
    comparer = Comparer(before, after, minimum, coarse=coarse, tests=tests, targets=targets)
    tables = {
        name: comparer.table(name, unchanged=name in bytes_same)
        for name in sorted(set(before.names) | set(after.names))
    }
    return ReleaseDiff(
        series=names[0]["series"],
        old=names[0]["version"],
        new=names[1]["version"],
        synthetic=any(name["synthetic"] for name in names),
        minimum=minimum,
        files=files,
        tables=tables,
        participants=comparer.participants(),
        sessions=_sessions(tables, [_session_table(*pair) for pair in ((old, before), (new, after))]),
        policy=_shaped("reports/policy.json", policy_changes, *documents) if all(documents) else (),
        answers=_shaped("datasheet.json", _answers, *sheets),
        shifts=comparer.shifts(),
        labels=comparer.labels(),
        risk={way: _shaped("reports/risk.json", _risk, root) for way, root in (("before", old), ("after", new))},
    )


def restate(found: ReleaseDiff, old: Path, new: Path, *, version: str) -> ReleaseDiff:
    """A candidate's difference, told of the release that it becomes: the same tables, another number and datasheet.

    `new` is that release, which may lack its manifest still. `files` remain the candidate's.
    """
    return replace(found, new=version, answers=_changed_answers(old, new))


def _identity(root: Path, place: str) -> dict[str, Any]:
    if place == "NEW" and (root / CANDIDATE).is_file() and not (root / MANIFEST).exists():
        held = read_json_object(root / CANDIDATE, CANDIDATE, "predicate")["predicate"]
        if not isinstance(held, dict) or not isinstance(held.get("series"), str):
            raise ReleaseFormatError(CANDIDATE, "names no series", "Run 'build' again.")
        return {"series": held["series"], "version": "candidate", "synthetic": held.get("synthetic") is True}
    if not root.is_dir() or not (root / MANIFEST).is_file():
        raise ReleaseFormatError(place, "is not a release directory", "Name a folder that holds a manifest.json.")
    predicate = read_json_object(root / "manifest.json", f"{place}: {MANIFEST}").get("predicate")
    if not isinstance(predicate, dict) or not all(isinstance(predicate.get(k), str) for k in ("series", "version")):
        raise ReleaseFormatError(f"{place}: {MANIFEST}", "names no series and version", "Run 'verify' on it.")
    return {
        "series": predicate["series"],
        "version": predicate["version"],
        "synthetic": predicate.get("synthetic") is True,
    }


def _walk(root: Path) -> dict[str, Path]:
    """Every file of a release by its path below it. Links and devices are refused, never followed."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                place = ascii(path.relative_to(root).as_posix()).strip("'")
                raise ReleaseFormatError(place, "is a link or a device", "Take a fresh copy of the release.")
            if stat.S_ISREG(mode):
                found[path.relative_to(root).as_posix()] = path
    return found


def _same_bytes(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while block := left.read(_BLOCK):
            if block != right.read(_BLOCK):
                return False
    return True


def _diff_files(old: Path, new: Path) -> tuple[FilesDiff, set[str]]:
    """The files, and the names of the tables whose bytes and data dictionary are all the same."""
    before, after = _walk(old), _walk(new)
    both = sorted(before.keys() & after.keys())
    changed = {name for name in both if not _same_bytes(before[name], after[name])}
    only = {*(before.keys() ^ after.keys()), *changed}
    differing = {name.split("/")[1].removesuffix(".json") for name in only if name.startswith(("data/", "schemas/"))}
    files = FilesDiff(
        added=tuple(sorted(after.keys() - before.keys() - _ABOUT)),
        removed=tuple(sorted(before.keys() - after.keys() - _ABOUT)),
        changed=tuple(sorted(changed - _ABOUT)),
        unchanged=len(set(both) - changed - _ABOUT),
        signatures_changed=ENVELOPE in only,
    )
    return files, {name.split("/")[1] for name in both if name.startswith("data/")} - differing


def _session_table(root: Path, side: ReleasedTables) -> str | None:
    links = told_links(root, {name: side.dictionaries[name] for name in side.names})
    return links.sessions if links is not None else None


def _sessions(tables: Mapping[str, TableDiff], names: Sequence[str | None]) -> dict[str, Count]:
    """Rows of the table of sessions, which may be another one in each release."""
    lost, come = (tables.get(name or "") for name in names)
    if lost is None and come is None:
        return {}
    return {
        "added": come.rows_added if come is not None else 0,
        "removed": lost.rows_removed if lost is not None else 0,
    }


def _check_table(side: ReleasedTables, name: str) -> None:
    """Refuses a table without a data dictionary, with one of another shape, or with cells that no release holds."""
    if name not in side.dictionaries:
        raise ReleaseFormatError(f"data/{name}", "has no data dictionary in schemas/", _CURE)
    about = side.dictionaries[name]
    keys, links = about.get("primary_key") or [], about.get("foreign_keys") or []
    entries = [entry if isinstance(entry, dict) else {} for entry in about["columns"]]
    texts = (
        *(entry.get("name") for entry in entries),
        *(keys if isinstance(keys, list) else [None]),
        *(link.get(key) if isinstance(link, dict) else None
          for link in (links if isinstance(links, list) else [None]) for key in ("column", "references")),
        about.get("person_key") or "",
    )  # fmt: skip
    if not all(isinstance(text, str) for text in texts) or not all(map(_is_column, entries)):
        raise ReleaseFormatError(f"schemas/{name}.json", "is not a data dictionary", _CURE)
    schema = side.schema(name)
    if len(set(schema.names)) < len(schema.names):
        raise ReleaseFormatError(f"data/{name}", "has two columns of one name", _CURE)
    for kind in schema.types:
        if not any(fits(kind) for fits in _KINDS):
            raise ReleaseFormatError(f"data/{name}", "has a column of a type that no release holds", _CURE)


def _is_column(entry: Mapping[str, Any]) -> bool:
    """Whether what is read of a column has the form that dictionary.schema.json gives it; jsonschema loads slowly."""
    ends, categories = (entry.get("minimum"), entry.get("maximum")), entry.get("categories")
    return (
        isinstance(entry.get("dtype"), str)
        and entry["dtype"] in ARROW_TYPES
        and all(end is None or isinstance(end, (int, float)) for end in ends)
        and (categories is None or isinstance(categories, list))
        and all(isinstance(category, (str, int, float)) for category in categories or ())
    )


def _shaped(place: str, read: Callable[..., Any], *documents: Any) -> Any:
    """What `read` makes of documents of a release, which may be of any shape: they are not trusted."""
    try:
        return read(*documents)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ReleaseFormatError(place, "is of another shape than this tool writes", _CURE) from None


def _changed_answers(old: Path, new: Path) -> tuple[dict[str, Any], ...]:
    sheets = [_document(root, "datasheet.json") for root in (old, new)]
    found: tuple[dict[str, Any], ...] = _shaped("datasheet.json", _answers, *sheets)
    return found


def _document(root: Path, name: str) -> dict[str, Any]:
    """A document of a release; empty where it has none."""
    return read_json_object(root / name, name) if (root / name).exists() else {}


def _answers(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The questions whose answer is another in kind or text, in the order of the newer datasheet."""
    before, after = ({entry["question"]: entry for entry in sheet.get("answers", ())} for sheet in (old, new))
    if not before or not after:
        return ()
    return tuple(
        {"question": question, "old": before.get(question, {}).get("kind"), "new": after.get(question, {}).get("kind")}
        for question in dict.fromkeys((*after, *before))
        if any(
            before.get(question, {}).get(key) != after.get(question, {}).get(key) for key in ("kind", "text", "source")
        )
    )


def _told_labels(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """The labels whose distributions both datasheets tell, as `table.column`."""
    told = [frozenset(sheet.get("facts", {}).get("labels", {})) for sheet in (old, new)]
    return told[0] & told[1]


def _risk(root: Path) -> dict[str, Any]:
    """What a release's own risk report says, in the few numbers that a reader compares; empty without a report."""
    path = root / "reports" / "risk.json"
    if not path.exists():
        return {}
    report = read_json_object(path, "reports/risk.json")
    found = {key: report[key] for key in ("ok", "k_min") if key in report}
    # Numbers of persons before and after would undo the mask over those who came and went.
    gates = [
        {"name": gate["name"], "ok": gate["ok"], "value": gate["value"] if gate["name"] == "k_min" else None}
        for gate in report.get("gate", ())
    ]
    audit = report.get("linkability") or {}
    linkability = [
        {key: gate.get(key) for key in ("name", "ok", "status", "value", "limit")} for gate in audit.get("gate", ())
    ]
    return found | {"gate": gates} | ({"linkability": linkability} if linkability else {})
