"""A release as a researcher uses it: verified when it is opened, and again, file by file, when a table is read.

Reading is all it does; how to verify is `verify`'s business, whom to trust the caller's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sensai_release.errors import ConfigurationError, ReleaseFormatError, VerificationError
from sensai_release.release.conformance import dictionary_path, read_dictionary, table_parts
from sensai_release.release.hashing import Progress
from sensai_release.release.inventory import open_folder, read_file
from sensai_release.release.manifest import Statement
from sensai_release.release.status import read_status
from sensai_release.release.trust import Trust, load_trust
from sensai_release.release.verify import StatusFile, VerificationReport, verify_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A verified release directory. `report` says how it was verified, `statement` what was signed."""

    path: Path
    statement: Statement
    report: VerificationReport

    @property
    def manifest(self) -> dict[str, Any]:
        """The content of manifest.json, an in-toto Statement; what was released is under `predicate`."""
        return self.statement.to_dict()

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables, sorted."""
        return tuple(table_parts(list(self.statement.resources)))

    def table(self, name: str) -> pa.Table:
        """One table, all its parts in order of their names.

        The bytes parsed are the bytes hashed, so a file that was changed after `open_release` is refused with
        `VerificationError`. Raises `ReleaseFormatError` for a table that the release does not hold.
        """
        parts = table_parts(list(self.statement.resources)).get(name)
        if parts is None:
            raise ReleaseFormatError("table", "is not in this release", f"It holds: {', '.join(self.tables)}.")
        return pa.concat_tables([self._read_part(part) for part in parts])

    def dictionary(self, name: str) -> Mapping[str, Any]:
        """The data dictionary of a table: its columns with type, unit, range, meaning and origin."""
        if name not in self.tables:
            raise ReleaseFormatError("table", "is not in this release", f"It holds: {', '.join(self.tables)}.")
        return read_dictionary(self._read(dictionary_path(name)), name)

    def _read(self, name: str) -> bytes:
        resource = self.statement.resources[name]
        try:
            with open_folder(self.path) as folder:
                data = read_file(folder, name, limit=resource.size)
        except OSError:
            data = b""
        if hashlib.sha256(data).hexdigest() != resource.digest:
            raise VerificationError(name, "has changed since the release was opened", "Get the release again.")
        return data

    def _read_part(self, name: str) -> pa.Table:
        try:
            return pq.read_table(
                pa.BufferReader(self._read(name)), page_checksum_verification=True, use_threads=False, partitioning=None
            )
        except (OSError, pa.ArrowException):
            # pyarrow's own message may quote what it read.
            raise VerificationError(name, "is no Parquet file that can be read", "Tell the steward.") from None


def open_release(
    path: str | Path,
    *,
    trust: str | Path | Trust | None = None,
    integrity_only: bool = False,
    on_progress: Progress | None = None,
    today: date | None = None,
    status: str | Path | None = None,
    require_current: bool = False,
) -> Release:
    """Verifies a release directory and opens it.

    `trust` is a trust file (or its path) that you did not take from the release itself; without it the release is
    refused unless `integrity_only` says that the signer does not matter. `today` (UTC, default: now) decides which keys
    are valid. `status` is the path of the series' newest status document: a release that it withdraws is refused, and
    `report.verdict` and `report.freshness` say how the others stand; `require_current` refuses all but the one to use.
    Which documents were seen before is neither looked up nor remembered, as the command `verify` does.
    Raises `VerificationError` when the verdict is no, `TrustError`, `ConfigurationError` and `ReleaseFormatError` when
    the trust file, the status document's path or the release's is not what it should be.
    """
    root = Path(path)
    known = load_trust(Path(trust)) if isinstance(trust, str | Path) else trust
    if status is not None and known is None:
        raise ConfigurationError("status", "means nothing without a trust file", "Name one with trust=.")
    report = verify_release(
        root,
        trust=known,
        integrity_only=integrity_only,
        on_progress=on_progress,
        today=today or datetime.now(tz=UTC).date(),
        status=StatusFile(data=read_status(Path(status), "status")) if status is not None else None,
        require_current=require_current,
    )
    if not report.ok or report.statement is None:
        raise VerificationError(root.name or "release", f"is {report.verdict}", report.explanation)
    return Release(path=root.absolute(), statement=report.statement, report=report)
