"""The source folder: which file belongs to which table, and whether it has changed since the last look.

Lists and claims files; `pipeline.validate` opens them. Names of files per recording hold raw identifiers, so
nothing here lets one out: a file is called by its table's pattern and its place in name order.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sensai_release import __version__
from sensai_release.errors import InputError
from sensai_release.pipeline.workspace import Workspace, write_json
from sensai_release.table.catalogue import catalogue_digest
from sensai_release.table.findings import Finding
from sensai_release.table.readers import check_marked, marked_identifiers
from sensai_release.table.schema import TableSchema
from sensai_release.table.stowaways import HEAD_BYTES, TAIL_BYTES, in_words, media_kind
from sensai_release.table.synthetic import MARKER

# Coarsest time stamp of the usual local file systems; a file changed within it could change again unseen.
_TIMESTAMP_GRAIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One claimed file. `place` is its name for people, `unit` its keyed name in work/, `signature` its keyed state."""

    table: str
    path: Path
    place: str
    unit: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceListing:
    """The claimed files of every table (in name order) and the findings about the folder itself."""

    files: dict[str, tuple[SourceFile, ...]]
    findings: tuple[Finding, ...]
    synthetic: bool


def workspace_secret(workspace: Workspace) -> bytes:
    """32 random bytes that never leave work/: they key the names and states of source files, so that neither DVC
    files nor intermediates let anyone confirm a guess about a file.
    """
    path = workspace.work / ".secret"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        data = path.read_bytes()
        if len(data) == 32:
            return data
        path.unlink()
        return workspace_secret(workspace)
    with os.fdopen(handle, "wb") as out:
        data = secrets.token_bytes(32)
        out.write(data)
    return data


def list_source(workspace: Workspace) -> SourceListing:
    """Claims every file below the source folder for a table, or reports it.

    Raises `InputError` when the folder itself is missing or unreadable.
    """
    root = workspace.source
    if not root.is_dir():
        raise InputError(
            "the source folder",
            "is not there or is no folder",
            "Set 'source' in params.yaml, or make one with 'synth'.",
        )
    secret = workspace_secret(workspace)
    entries = sorted(_walk(root, ""), key=lambda entry: entry[0].encode())
    claims: dict[str, list[tuple[str, os.stat_result]]] = {}
    findings: list[Finding] = []
    unclaimed = odd = 0
    synthetic = False
    dictionaries = _dictionaries(workspace)
    patterns = {table.name: _pattern(table) for table in workspace.schemas.values() if table.source is not None}
    for name, status in entries:
        owner = next((table for table, pattern in patterns.items() if pattern.fullmatch(name)), None)
        if not stat.S_ISREG(status.st_mode):
            odd += 1
            findings.append(_odd_entry(odd))
        elif name == MARKER:
            synthetic = True
        elif owner is None and name in dictionaries.values():
            continue
        elif owner is None:
            unclaimed += 1
            findings.append(_unclaimed(unclaimed, name, _kind(root / name)))
        else:
            claims.setdefault(owner, []).append((name, status))
    files = {
        table: tuple(
            _source_file(workspace.schemas[table], root, name, status, number, secret)
            for number, (name, status) in enumerate(named, start=1)
        )
        for table, named in sorted(claims.items())
    }
    findings += [
        Finding(
            table=table.name,
            file=table.source.file,
            code="file.missing",
            message="The source folder has no such file. Add it, or mark the table optional in its schema.",
        )
        for table in workspace.schemas.values()
        if table.source is not None and not table.source.optional and table.name not in files
    ]
    for table, dictionary in dictionaries.items():
        findings += _marked(workspace.schemas[table], root / dictionary, dictionary)
    return SourceListing(files=files, findings=tuple(findings), synthetic=synthetic)


def _dictionaries(workspace: Workspace) -> dict[str, str]:
    """By table, the data dictionary of REDCap that its schema names."""
    sources = {table.name: table.source for table in workspace.schemas.values()}
    return {name: source.dictionary for name, source in sources.items() if source is not None and source.dictionary}


def _marked(schema: TableSchema, path: Path, place: str) -> tuple[Finding, ...]:
    try:
        marked = marked_identifiers(path, place=place)
    except InputError as error:
        message = f"{error.cause}. {error.cure}"
        return (Finding(table=schema.name, file=place, code="file.refused", message=message),)
    return tuple(replace(finding, file=place) for finding in check_marked(schema, marked))


def unclaimed_paths(workspace: Workspace) -> list[str]:
    """The names behind `unclaimed#1`, `unclaimed#2` …: for the steward's eyes alone (`locate`)."""
    patterns = [_pattern(table) for table in workspace.schemas.values() if table.source is not None]
    known = {MARKER, *_dictionaries(workspace).values()}
    return [
        name
        for name, status in sorted(_walk(workspace.source, ""), key=lambda entry: entry[0].encode())
        if stat.S_ISREG(status.st_mode)
        and name not in known
        and not any(pattern.fullmatch(name) for pattern in patterns)
    ]


def intake(workspace: Workspace) -> None:
    """Writes work/intake.json, the keyed state of the source folder, on which the first DVC stage depends.

    DVC itself would store MD5 sums of the source files in dvc.lock; a committed MD5 of a small file lets anyone
    confirm a guess about its content. Beside it stands the state of the catalogue, which gives schemas their ranges,
    and the version of the tool: another one may make another candidate.
    """
    write_json(workspace.work / "intake.json", intake_document(workspace))
    write_json(workspace.work / "catalogue.json", {"sha256": catalogue_digest(), "tool": __version__})


def intake_document(workspace: Workspace) -> dict[str, object]:
    newest = max((status.st_ctime for _, status in _walk(workspace.source, "")), default=0.0)
    # A file changed within the grain of its time stamp could change again and look the same: wait it out.
    if 0 <= (age := time.time() - newest) < _TIMESTAMP_GRAIN:
        time.sleep(_TIMESTAMP_GRAIN - age)
    listing = list_source(workspace)
    secret = workspace_secret(workspace)
    # One digest, not a list: the number of files is a number of sessions.
    state = hmac.new(secret, digestmod=hashlib.sha256)
    for files in listing.files.values():
        for file in files:
            state.update(f"{file.table}\0{file.unit}\0{file.signature}\n".encode())
    for finding in listing.findings:
        state.update(f"{finding.code}\0{finding.file}\n".encode())
    return {"state": state.hexdigest(), "synthetic": listing.synthetic}


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    yield from _walk(folder / entry.name, f"{prefix}{entry.name}/")
                else:
                    yield prefix + entry.name, status
    except PermissionError:
        raise InputError(
            "the source folder", "has a folder that cannot be read", "Give yourself the right to read it."
        ) from None


def _pattern(table: TableSchema) -> re.Pattern[str]:
    assert table.source is not None  # noqa: S101 - callers pass source tables only
    return re.compile("[^/]+".join(re.escape(part) for part in table.source.file.split("*")), re.DOTALL)


def _source_file(
    table: TableSchema, root: Path, name: str, status: os.stat_result, number: int, secret: bytes
) -> SourceFile:
    assert table.source is not None  # noqa: S101 - callers pass source tables only
    place = f"{table.source.file}#{number}" if table.source.per_recording else table.source.file
    state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
    return SourceFile(
        table=table.name,
        path=root / name,
        place=place,
        unit=hmac.new(secret, b"name\0" + os.fsencode(name), hashlib.sha256).hexdigest()[:32],
        signature=hmac.new(secret, f"state\0{state}".encode(), hashlib.sha256).hexdigest()[:32],
    )


def _odd_entry(number: int) -> Finding:
    return Finding(
        table="",
        file=f"odd#{number}",
        code="source.not_a_file",
        message="A link, device or pipe lies in the source folder. Put the file itself there, or remove it.",
    )


def _kind(path: Path) -> str | None:
    """What an unclaimed file is by its first and last bytes; `None` when they tell nothing or cannot be read."""
    try:
        with io.FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)) as file:
            head = file.read(HEAD_BYTES) or b""
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return media_kind(head, file.read(TAIL_BYTES) or b"")
    except OSError:
        return None


def _unclaimed(number: int, name: str, content: str | None) -> Finding:
    suffix = Path(name).suffix.lower()
    shown = [f"*{suffix}"] if re.fullmatch(r"\.[a-z0-9]{1,5}", suffix) else []
    shown += [f"by its content {in_words(content)}"] if content is not None else []
    kind = f" ({', '.join(shown)})" if shown else ""
    return Finding(
        table="",
        file=f"unclaimed#{number}",
        code="source.unclaimed",
        message=f"No table claims this file{kind}; 'sensai-release locate unclaimed#{number}' shows you its name. "
        "Move it out of the source folder, or describe its table in schemas/.",
    )
