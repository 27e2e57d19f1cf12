"""Is this directory the release that was signed, the whole of it, and nothing else? Eleven numbered steps.

Works offline, writes nothing, and needs no workspace. Decides the verdict; exit codes and printing are left to `cli`.
The order is that of python-tuf: nothing is interpreted that no signature covers, unless there is nobody to trust.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from sensai_release.errors import ReleaseFormatError
from sensai_release.privacy.keyfile import public_key_id
from sensai_release.release.damage import is_whole, is_workbook, read_edges
from sensai_release.release.documents import MAXIMUM_BYTES
from sensai_release.release.dsse import MAXIMUM_ENVELOPE_BYTES, PAYLOAD_TYPE, Envelope, verify_signatures
from sensai_release.release.hashing import Progress, hash_files
from sensai_release.release.inventory import (
    Entry,
    folders_of,
    is_plain_path,
    list_entries,
    open_file,
    open_folder,
    printable,
    read_file,
)
from sensai_release.release.layout import CHECKSUMS, ENVELOPE, MANIFEST, OPTIONAL, PROOF, UNLISTED
from sensai_release.release.logged import MAXIMUM_PROOF_BYTES, check_proof
from sensai_release.release.manifest import Statement, parse_statement, sha256sums
from sensai_release.release.status import PLACE as STATUS
from sensai_release.release.status import FreshnessVerdict, Seen, check_status
from sensai_release.release.trust import Person, Trust, unfilled_roles
from sensai_release.release.verdict import GOOD, Verdict, decide, explain, is_refused
from sensai_release.release.waived import check_waivers

STEP_NAMES = (
    "The envelope can be read and holds manifest.json byte for byte",
    "The people you trust have signed it",
    "The manifest is well formed",
    "The files are those of the manifest: none missing, none added, no links",
    "Every file has its size and SHA-256",
    "SHA256SUMS agrees with the manifest",
    "Every table has the columns that its data dictionary promises",
    "Every gate that was failed has a waiver that holds",
    "The datasheet and the risk report state what the tables give",
    "The governance log holds the release",
    "The status document knows the release",
)

Deep = Callable[[Path], Iterable[tuple[str, str, str]]]
"""Counts the facts of a release anew: what differs, as code, path and sentence. `pipeline.deep` has one."""

_PROBLEMS_SHOWN = 200
_OF_THE_DESKTOP = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini", re.IGNORECASE)
_OF_AN_OPEN_FILE = re.compile(r"\.~lock\..*#|~\$.*")
_TEXT_LIMIT = 4 << 20
_CHANGES = frozenset({"digest.mismatch", "digest.rewritten", "digest.spreadsheet", "size.longer", "size.shorter"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`code` is stable; `path` is relative to the release and safe to print; `message` completes "<path> …"."""

    code: str
    path: str
    message: str

    def to_dict(self) -> dict[str, str]:
        return {"code": self.code, "path": self.path, "message": self.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """`skipped` is the reason why a step was not run; a skipped step is ok only where nobody asked for it."""

    step: int
    name: str
    ok: bool
    problems: tuple[Problem, ...] = ()
    skipped: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "name": self.name,
            "ok": self.ok,
            "problems": [problem.to_dict() for problem in self.problems],
            "skipped": self.skipped,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFile:
    """The bytes of a status document, and the newest one seen before for each series under the same trust."""

    data: bytes
    seen: Mapping[str, Seen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """`signers` are the trusted people whose signature counts; `statement` is what they signed, once it was read.

    `freshness` is what the status document says, when one was given and could be held against the release.
    """

    ok: bool
    verdict: Verdict
    steps: tuple[StepResult, ...]
    explanation: str
    signers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    manifest_sha256: str | None = None
    statement: Statement | None = None
    freshness: FreshnessVerdict | None = None

    @property
    def release(self) -> str | None:
        """Series and version as the manifest has them: the name of the folder is nobody's word."""
        if self.statement is None:
            return None
        return f"{self.statement.predicate['series']}-{self.statement.predicate['version']}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "verdict": self.verdict,
            "release": self.release,
            "explanation": self.explanation,
            "freshness": self.freshness.to_dict() if self.freshness else None,
            "signers": list(self.signers),
            "notes": list(self.notes),
            "manifest_sha256": self.manifest_sha256,
            "steps": [step.to_dict() for step in self.steps],
        }


def verify_release(
    path: Path,
    *,
    trust: Trust | None,
    integrity_only: bool = False,
    on_progress: Progress | None = None,
    today: date | None = None,
    status: StatusFile | None = None,
    require_current: bool = False,
    deep: Deep | None = None,
) -> VerificationReport:
    """Checks a release directory against its signed manifest, and the signatures against `trust`.

    Without `trust` the best verdict is "intact, signer unknown", which is ok only with `integrity_only`; with it,
    `integrity_only` changes nothing. `today` decides which keys are valid (`Person.fault_on`). Without `status` the
    best verdict is "valid, freshness unknown"; with `require_current`, only "valid and current" is ok. `deep` counts
    the facts of the release anew, once all of its bytes are known to be right. But for `deep`, memory is bounded by
    the manifest and the number of cores. Raises `ReleaseFormatError` when `path` is no release directory at all.
    """
    with open_folder(path) as folder:
        _require_release(folder, path)
        run = _Verification(folder, trust, integrity_only, on_progress, today, status, require_current)
        return run.run((lambda: deep(path)) if deep is not None else None)


def _require_release(folder: int, path: Path) -> None:
    for name in (ENVELOPE, MANIFEST):
        try:
            with open_file(folder, name):
                return
        except OSError:
            continue
    raise ReleaseFormatError(
        path.name or "release",
        f"holds neither {MANIFEST} nor {ENVELOPE}, so it is no release directory",
        "Give the path of the folder that holds manifest.json.",
    )


class _Verification:
    """One run: what the steps have found so far. A step returns its problems and never raises for bad input."""

    def __init__(
        self,
        folder: int,
        trust: Trust | None,
        integrity_only: bool,
        on_progress: Progress | None,
        today: date | None,
        status: StatusFile | None,
        require_current: bool,
    ) -> None:
        self._folder = folder
        self._trust = trust
        self._integrity_only = integrity_only
        self._on_progress = on_progress
        self._today = today
        self._status = status
        self._require_current = require_current
        self._freshness: FreshnessVerdict | None = None
        self._steps: list[StepResult] = []
        self._notes: list[str] = []
        self._signers: tuple[str, ...] = ()
        self._stewards: frozenset[str] = frozenset()
        self._intact: set[str] = set()

    def run(self, deep: Callable[[], Iterable[tuple[str, str, str]]] | None) -> VerificationReport:
        # 1. The envelope, and manifest.json beside it. From here on the envelope's payload speaks, not the file.
        envelope, problems = self._read_envelope()
        self._record(problems)
        if envelope is None:
            return self._stop("there is no envelope to check it against")

        # 2. The signatures. Without a trust file nobody can say who signed; that is a step left out, not passed.
        if self._trust is None:
            reason = "no trust file was given, so anybody may have signed"
            self._record([] if self._integrity_only else [_unknown_signer()], skipped=reason)
        else:
            self._record(self._check_signatures(envelope, self._trust))
            if not self._signers:
                return self._stop("no valid signature of a trusted person covers it", envelope)

        # 3. The manifest, interpreted only now.
        try:
            statement = parse_statement(envelope.payload)
        except ReleaseFormatError as error:
            self._record([Problem(code="manifest.malformed", path=error.place, message=error.cause)])
            return self._stop("the manifest cannot be interpreted", envelope)
        self._record([])

        self._recognise_previous(statement)

        # 4. The file set. 5. Sizes and digests. 6. SHA256SUMS. 7. Tables. 8. Waivers.
        entries, problems = self._list()
        # Where nothing could be listed, nobody knows what is missing.
        self._record(problems or _file_set_problems(entries, statement))
        self._record(self._check_digests(entries, statement))
        self._record(self._check_checksums(sha256sums(statement, envelope.payload).encode("ascii")))
        self._record(self._check_tables(statement))
        problems, unchecked = self._check_waivers(statement)
        self._record(problems, skipped=unchecked)

        # 9. The facts, counted anew. 10. The log. 11. The status document, about the manifest that was signed.
        self._check_facts(deep)
        digest = hashlib.sha256(envelope.payload).hexdigest()
        self._check_log(entries, statement, digest)
        self._check_status(statement, digest)
        return self._report(envelope, statement)

    def _read_envelope(self) -> tuple[Envelope | None, list[Problem]]:
        try:
            envelope = Envelope.from_bytes(read_file(self._folder, ENVELOPE, limit=MAXIMUM_ENVELOPE_BYTES), ENVELOPE)
        except OSError:
            return None, [_problem("envelope.unreadable", ENVELOPE, "is missing or cannot be read")]
        except ReleaseFormatError as error:
            return None, [_problem("envelope.malformed", ENVELOPE, error.cause)]
        if envelope.payload_type != PAYLOAD_TYPE:
            return None, [_problem("envelope.type", ENVELOPE, "is an envelope for something other than a manifest")]
        try:
            manifest = read_file(self._folder, MANIFEST, limit=MAXIMUM_BYTES)
        except OSError:
            return envelope, [_problem("manifest.unreadable", MANIFEST, "is missing or cannot be read")]
        if manifest != envelope.payload:
            if envelope.payload.startswith(manifest):
                text = f"is cut off: it has {len(manifest)} bytes of the {len(envelope.payload)} that were signed"
                return envelope, [_problem("manifest.shorter", MANIFEST, text)]
            return envelope, [_problem("manifest.changed", MANIFEST, "is not what was signed")]
        return envelope, []

    def _recognise_previous(self, statement: Statement) -> None:
        """Says so when manifest.json is that of the release before this one, whose digest the signed one holds."""
        previous = statement.predicate["previous"]
        if previous is None or not any(problem.code == "manifest.changed" for problem in self._steps[0].problems):
            return
        try:
            found = hashlib.sha256(read_file(self._folder, MANIFEST, limit=MAXIMUM_BYTES)).hexdigest()
        except OSError:
            return
        if found == previous["manifest_sha256"]:
            text = f"is that of version {previous['version']}, and the signatures are those of another one"
            problem = _problem("manifest.other_version", MANIFEST, text)
            self._steps[0] = replace(self._steps[0], problems=(problem,))

    def _check_signatures(self, envelope: Envelope, trust: Trust) -> list[Problem]:
        signed = verify_signatures(envelope, trust.public_keys)
        counting = [person for person in trust.people if person.public_key in signed and self._counts(person)]
        self._signers = tuple(sorted({person.name for person in counting}))
        self._stewards = frozenset(person.identity for person in counting if "steward" in person.roles)
        missing = unfilled_roles(trust, signed, self._today)
        problems = [
            _problem("approval.missing", ENVELOPE, f"lacks the signature of {count} trusted {role}(s)")
            for role, count in sorted(missing.items())
        ]
        known = {public_key_id(person.public_key): person for person in trust.people}
        for signature in envelope.signatures:
            person = known.get(signature.key_id)
            alone = replace(envelope, signatures=(signature,))
            if person is None:
                self._notes.append("There is a signature by somebody whom your trust file does not name.")
            elif not verify_signatures(alone, [person.public_key]):
                text = f"has a signature under the key of {person.name} that is not theirs"
                problems.append(_problem("signature.broken", ENVELOPE, text))
            elif fault := person.fault_on(self._today):
                text = f"is signed with a key of {person.name} that is {fault}"
                if missing:
                    problems.append(_problem(f"signature.{fault.replace(' ', '_')}", ENVELOPE, text))
                else:
                    self._notes.append(f"The envelope {text}; enough others have signed.")
        return problems

    def _counts(self, person: Person) -> bool:
        return person.fault_on(self._today) is None

    def _list(self) -> tuple[tuple[Entry, ...], list[Problem]]:
        try:
            return list_entries(self._folder), []
        except OSError:
            return (), [_problem("folder.unreadable", ".", "cannot be listed, or holds absurdly many entries")]

    def _check_digests(self, entries: Iterable[Entry], statement: Statement) -> list[Problem]:
        resources = statement.resources
        found = {entry.path: entry.size for entry in entries if entry.kind == "file" and entry.path in resources}
        problems = [
            _problem(*_size_words(size, resources[path].size, path))
            for path, size in found.items()
            if size != resources[path].size
        ]
        same_size = {path: size for path, size in found.items() if size == resources[path].size}
        for digest in hash_files(self._folder, same_size, self._on_progress, meanwhile=_load_arrow):
            if digest.sha256 is None:
                problems.append(_problem("file.unreadable", digest.path, "cannot be read, or changed meanwhile"))
            elif digest.sha256 != resources[digest.path].digest:
                problems.append(_problem("digest.mismatch", digest.path, "holds other bytes than were signed"))
            else:
                self._intact.add(digest.path)
        problems = sorted(
            (self._explain_change(problem, resources) for problem in problems), key=lambda problem: problem.path
        )
        changed = sum(problem.code in _CHANGES for problem in problems)
        if changed > max(2, len(resources) // 2):
            text = f"has {changed} of {len(resources)} files that are not those signed: most likely another version's"
            problems.insert(0, _problem("digest.other_version", ".", text))
        return problems

    def _explain_change(self, problem: Problem, resources: Mapping[str, Any]) -> Problem:
        """Says what probably happened to a file, where its first and last bytes or its line ends tell."""
        if problem.code not in ("size.shorter", "size.longer", "digest.mismatch"):
            return problem
        try:
            with open_file(self._folder, problem.path) as file:
                size = file.seek(0, 2)
                file.seek(0)
                head, tail = read_edges(file, size)
        except OSError:
            return problem
        if is_workbook(head):
            text = "is now a workbook or an archive, as a spreadsheet program saves one"
            return _problem("digest.spreadsheet", problem.path, text)
        if problem.code == "size.shorter" and is_whole(problem.path, head, tail, size):
            text = f"{problem.message}, and is whole: it is another file"
            return _problem("digest.rewritten", problem.path, text)
        return self._explain_text(problem, resources)

    def _explain_text(self, problem: Problem, resources: Mapping[str, Any]) -> Problem:
        """Says so when a text file differs in its line ends alone: the commonest harmless change."""
        if problem.code != "size.longer" or resources[problem.path].size > _TEXT_LIMIT:
            return problem
        try:
            data = read_file(self._folder, problem.path, limit=2 * _TEXT_LIMIT)
        except OSError:
            return problem
        if hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest() != resources[problem.path].digest:
            return problem
        return _problem("digest.line_ends", problem.path, "is the signed text with other line ends")

    def _check_checksums(self, expected: bytes) -> list[Problem]:
        try:
            same = read_file(self._folder, CHECKSUMS, limit=len(expected)) == expected
        except OSError:
            return [_problem("checksums.unreadable", CHECKSUMS, "is missing, unreadable or too long")]
        return [] if same else [_problem("checksums.changed", CHECKSUMS, "does not say what the manifest says")]

    def _check_tables(self, statement: Statement) -> list[Problem]:
        from sensai_release.release.conformance import dictionary_path, table_faults, table_parts

        names = [name for name in statement.resources if name in self._intact]
        faults = table_faults(
            names,
            self._read_intact,
            lambda name: open_file(self._folder, name),
        )
        # Of what is not as it was signed, the step before has said what is wrong with it.
        damaged = {
            dictionary_path(table)
            for table, parts in table_parts(list(statement.resources)).items()
            if {*parts, dictionary_path(table)} & statement.resources.keys() - self._intact
        }
        return [
            _problem(code, path, message)
            for code, path, message in faults
            if path not in damaged or code not in ("table.missing", "dictionary.malformed")
        ]

    def _check_waivers(self, statement: Statement) -> tuple[list[Problem], str | None]:
        """The problems, and why the signatures of the waivers were not looked at, if so."""
        faults, held = check_waivers(
            statement, self._read_intact, trust=self._trust, stewards=self._stewards, today=self._today
        )
        self._notes += [waiver.note(self._today) for waiver in held]
        unchecked = "no trust file was given, so anybody may have signed the waivers"
        problems = [_problem(code, path, message) for code, path, message in faults]
        return problems, unchecked if held and self._trust is None else None

    def _read_intact(self, name: str) -> bytes:
        """A file that is known to be the one that was signed. Raises `OSError` for any other."""
        if name not in self._intact:
            raise OSError("not the file that was signed")
        return read_file(self._folder, name, limit=MAXIMUM_BYTES)

    def _check_facts(self, deep: Callable[[], Iterable[tuple[str, str, str]]] | None) -> None:
        if deep is None:
            self._record([], skipped="nobody asked for it (--deep)")
        elif any(step.problems for step in self._steps[2:]):
            self._record([], skipped="what the steps before it found comes first", ok=False)
        else:
            self._record(_problem(*fault) for fault in deep())

    def _check_log(self, entries: Iterable[Entry], statement: Statement, digest: str) -> None:
        if not any(entry.path == PROOF and entry.kind == "file" for entry in entries):
            self._record([], skipped=f"the release carries no proof of it ({PROOF})")
            return
        try:
            data = read_file(self._folder, PROOF, limit=MAXIMUM_PROOF_BYTES)
        except OSError:
            self._record([_problem("log.malformed", PROOF, "cannot be read, or is too long for a proof")])
            return
        series = str(statement.predicate["series"])
        faults = check_proof(data, series=series, manifest_sha256=digest, trust=self._trust, today=self._today)
        unknown = "no trust file was given, so anybody may have signed the log" if self._trust is None else None
        self._record((_problem(*fault) for fault in faults), skipped=unknown)

    def _check_status(self, statement: Statement, digest: str) -> None:
        if self._status is None:
            self._record([], skipped="no status document was given (--status)")
            return
        if self._trust is None:
            self._record([_problem("status.unknown_signer", STATUS, "means nothing without a trust file (--trust)")])
            return
        series = str(statement.predicate["series"])
        self._freshness = check_status(
            self._status.data,
            trust=self._trust,
            series=series,
            version=str(statement.predicate["version"]),
            manifest_sha256=digest,
            today=self._today,
            seen=self._status.seen.get(series),
        )
        self._notes += self._freshness.notes
        self._record(_problem(code, STATUS, message) for code, message in self._freshness.problems)

    def _record(self, problems: Iterable[Problem], *, skipped: str | None = None, ok: bool = True) -> None:
        found = tuple(problems)
        shown = found[:_PROBLEMS_SHOWN]
        if len(found) > len(shown):
            more = len(found) - len(shown)
            shown = (*shown, _problem("more", ".", f"has {more} more problems of this kind"))
        number = len(self._steps)
        self._steps.append(
            StepResult(step=number + 1, name=STEP_NAMES[number], ok=ok and not found, problems=shown, skipped=skipped)
        )

    def _stop(self, reason: str, envelope: Envelope | None = None) -> VerificationReport:
        for number in range(len(self._steps), len(STEP_NAMES)):
            self._steps.append(StepResult(step=number + 1, name=STEP_NAMES[number], ok=False, skipped=reason))
        return self._report(envelope, None)

    def _report(self, envelope: Envelope | None, statement: Statement | None) -> VerificationReport:
        codes = {problem.code for step in self._steps for problem in step.problems}
        verdict = decide(codes, self._trust is not None, self._freshness.state if self._freshness else "unknown")
        accepted = verdict in GOOD or (verdict == "intact, signer unknown" and self._integrity_only)
        current = verdict == "valid and current"
        return VerificationReport(
            ok=accepted and not is_refused(codes) and (current or not self._require_current),
            verdict=verdict,
            steps=tuple(self._steps),
            explanation=explain(verdict, codes),
            signers=self._signers,
            notes=tuple(self._notes),
            manifest_sha256=hashlib.sha256(envelope.payload).hexdigest() if envelope else None,
            statement=statement,
            freshness=self._freshness,
        )


def _problem(code: str, path: str, message: str) -> Problem:
    return Problem(code=code, path=printable(path), message=message)


def _unknown_signer() -> Problem:
    return _problem("signer.unknown", ENVELOPE, "cannot be tied to anybody without a trust file (--trust)")


def _load_arrow() -> None:
    """Loading Arrow takes a good part of the time of a small release; nothing before the tables needs it."""
    import sensai_release.release.conformance  # noqa: F401 - loaded, and used in a later step


def _size_words(found: int, expected: int, path: str) -> tuple[str, str, str]:
    if found < expected:
        return "size.shorter", path, f"has {found} bytes, {expected - found} fewer than were signed"
    return "size.longer", path, f"has {found} bytes, {found - expected} more than were signed"


def _file_set_problems(entries: Iterable[Entry], statement: Statement) -> list[Problem]:
    expected = {*statement.resources, *UNLISTED}
    folders = folders_of(expected)
    folded = {name.casefold() for name in expected | folders}
    problems: list[Problem] = []
    present: set[str] = set()
    for entry in entries:
        if entry.kind == "link":
            problems.append(_problem("file.link", entry.path, "is a link; a release holds plain files only"))
        elif entry.kind == "other":
            problems.append(_problem("file.special", entry.path, "is neither a file nor a folder"))
        elif entry.path in (expected if entry.kind == "file" else folders):
            present.add(entry.path)
        elif entry.kind == "file" and _OF_THE_DESKTOP.fullmatch(entry.path.rpartition("/")[2]):
            text = "is a file that macOS or Windows makes by itself when a folder is looked at; delete it"
            problems.append(_problem("file.extra", entry.path, text))
        elif entry.kind == "file" and _OF_AN_OPEN_FILE.fullmatch(entry.path.rpartition("/")[2]):
            text = "is what a spreadsheet or an editor leaves while a file is open; close the file there, and delete it"
            problems.append(_problem("file.extra", entry.path, text))
        elif not is_plain_path(entry.path):
            problems.append(_problem("name.odd", entry.path, "is not in the manifest, and has an odd name"))
        elif entry.path.casefold() in folded:
            problems.append(_problem("name.case", entry.path, "differs from a file of the release in case, or in kind"))
        else:
            problems.append(_problem(f"{entry.kind}.extra", entry.path, "is not in the manifest"))
    problems += [
        _problem("file.missing", path, "is in the manifest and not here") for path in expected - present - OPTIONAL
    ]
    return sorted(problems, key=lambda problem: (problem.path, problem.code))
