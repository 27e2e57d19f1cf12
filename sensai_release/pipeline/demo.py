"""`demo`: the whole story on a synthetic cohort, told by the same functions that the commands call.

Two releases with a withdrawal between them, each approved by a second person; a status document that two people sign;
verification, the difference, an index of the series, and a tampered copy that must be refused.
Nothing in it is special to the demonstration but the data, which are invented.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sensai_release.errors import OutputExistsError, ToolError
from sensai_release.pipeline import versioning
from sensai_release.pipeline.approving import approve, review
from sensai_release.pipeline.build import build
from sensai_release.pipeline.comparing import compare
from sensai_release.pipeline.history import history
from sensai_release.pipeline.history import write_page as write_index
from sensai_release.pipeline.publish import release
from sensai_release.pipeline.reviewing import review_release, write_page
from sensai_release.pipeline.standing import announce, countersign
from sensai_release.pipeline.trusting import KEY_DIR_VARIABLE, add_people
from sensai_release.pipeline.workspace import Workspace, init_workspace
from sensai_release.privacy.keyfile import write_private_key
from sensai_release.release.layout import ENVELOPE
from sensai_release.release.trust import load_trust
from sensai_release.release.verify import StatusFile, verify_release
from sensai_release.table.synthetic import generate_source

Say = Callable[[str], None]


def demo(folder: Path, *, participants: int, seed: int, say: Say, quiet: bool = True) -> dict[str, Any]:
    """Tells the story in `folder`, which must be new; returns what held and what to open.

    Raises `OutputExistsError` when the folder is in use.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputExistsError("DIR", "is already there", "Name a new folder for the demonstration.")
    folder.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(root=folder / "workspace")
    keys = folder / "keys"
    say("1  A workspace, and keys that stay outside it")
    init_workspace(workspace.root)
    versioning.set_up(workspace.root, name=workspace.params.series)
    keys.mkdir(mode=0o700)
    write_private_key(keys / "root.key", role="root", name="Demonstration root key")
    write_private_key(keys / "steward.key", role="steward", name="Demonstration data steward")
    write_private_key(keys / "reviewer.key", role="reviewer", name="Demonstration reviewer")
    write_private_key(keys / "escrow.key", role="escrow", name="Demonstration escrow key")
    trust_file = folder / "trust.json"
    add_people(trust_file, [keys / "steward.key.pub", keys / "reviewer.key.pub"])

    say(f"2  A synthetic cohort of {participants} invented participants, in the tools' own dialects")
    workspace.source.parent.mkdir(exist_ok=True)
    generate_source(workspace.source, workspace.schemas, participants=participants, sessions=3, seconds=12, seed=seed)
    first = _cut(workspace, keys, "1.0.0", "3  Build, release and approve 1.0.0", say, quiet=quiet)
    say("4  One participant withdraws consent")
    _withdraw(workspace)
    second = _cut(workspace, keys, "2.0.0", "5  Build, release and approve 2.0.0", say, quiet=quiet)

    trust = load_trust(trust_file)
    status = _announce(workspace, keys, say)
    today = datetime.now(UTC).date()
    checked = StatusFile(data=status.read_bytes())
    verdicts = {path.name: verify_release(path, trust=trust, today=today, status=checked) for path in (first, second)}
    for name, report in verdicts.items():
        say(f"7  verify {name} --status: {report.verdict}")
    difference = compare(first, second, html=folder / "difference.html")
    say(f"8  diff: participants removed {difference['tables'][workspace.params.person_table]['rows_removed']}")
    listed = history(workspace.releases, trust=trust, today=today)
    write_index(listed, workspace.releases, folder / "history.html")
    say(f"9  history: {sum(map(len, listed.series.values()))} releases, each follows the one before it")
    tampered = _tamper(second, folder / "tampered")
    refused = verify_release(tampered, trust=trust, today=today)
    say(f"10 verify a copy with one changed byte: {refused.verdict}")
    fresh = [report.verdict for report in verdicts.values()] == ["superseded", "valid and current"]
    held = fresh and listed.ok and not refused.ok and not difference["identical"]
    return {
        "ok": held,
        "synthetic": True,
        "verified": {name: report.verdict for name, report in verdicts.items()},
        "tampered": refused.verdict,
        "open": {
            "The page that a reviewer reads": str(folder / "review.html"),
            "The index of the releases": str(folder / "history.html"),
            "The validation report": str(workspace.root / "reports" / "validation.html"),
            "The disclosure risk": str(workspace.root / "reports" / "risk.html"),
            "The newest release": str(second),
            "Its datasheet": str(second / "datasheet.html"),
            "The difference of the two": str(folder / "difference.html"),
            "Whom to trust": str(trust_file),
            "Which release is current": str(status),
            "The copy that verify refuses": str(tampered),
        },
    }


def _cut(workspace: Workspace, keys: Path, version: str, title: str, say: Say, *, quiet: bool) -> Path:
    say(title)
    before = os.environ.get(KEY_DIR_VARIABLE)
    os.environ[KEY_DIR_VARIABLE] = str(keys.resolve())
    try:
        outcome = build(workspace, quiet=quiet)
        if outcome.exit_code:
            raise ToolError("build", outcome.verdict, "See the lines above; try --participants with a larger number.")
        done = release(workspace, version, key=keys / "steward.key")
        _approve(workspace, workspace.releases / done.name, keys)
    finally:
        if before is None:
            del os.environ[KEY_DIR_VARIABLE]
        else:
            os.environ[KEY_DIR_VARIABLE] = before
    say(f"   {done.files} files, signed by key {done.signer}, approved by the reviewer")
    return workspace.releases / done.name


def _approve(workspace: Workspace, path: Path, keys: Path) -> None:
    """The second person looks at what changed, ticks the checklist, and signs; the page of the last release stays."""
    today = datetime.now(UTC).date()
    trust = keys.parent / "trust.json"
    write_page(review_release(path, trust=trust, today=today), keys.parent / "review.html")
    shown = review(path, trust=trust, today=today)
    key = keys / "reviewer.key"
    approve(path, shown, key=key, trust=trust, workspace=workspace, today=today, completed=shown.ticked())


def _announce(workspace: Workspace, keys: Path, say: Say) -> Path:
    """Two people say which release is the one to use, each with their own key; returns what recipients are given."""
    announce(workspace, key=keys / "steward.key", as_of=datetime.now(UTC).date())
    made = countersign(workspace, key=keys / "reviewer.key")
    say(f"6  announce: status {made.document.version}, signed by the steward and the reviewer")
    return workspace.root / made.path


def _withdraw(workspace: Workspace) -> None:
    """Writes a withdrawal into the synthetic consent ledger: the first person who is in the release leaves."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv

    entry = workspace.params.raw["consent"]
    source = workspace.schemas[entry["table"]].source
    if source is None:
        raise ToolError("demo", "the consent table has no source file", "Describe it in schemas/.")
    path = workspace.source / source.file
    text = pa.csv.ConvertOptions(column_types=dict.fromkeys(_header(path), pa.string()), strings_can_be_null=True)
    ledger = pa.csv.read_csv(path, convert_options=text)
    granted = pc.equal(ledger[entry["grant"]["column"]], entry["grant"]["equals"])
    active = pc.and_(pc.fill_null(granted, False), pc.is_null(ledger[entry["withdrawn"]]))
    first = pc.index(active, True).as_py()
    index = ledger.column_names.index(entry["withdrawn"])
    rows = pa.array(range(len(ledger)))
    dates = pc.if_else(pc.equal(rows, first), "2026-06-30", ledger[entry["withdrawn"]])
    ledger = ledger.set_column(index, entry["withdrawn"], dates)
    pa.csv.write_csv(ledger, path, pa.csv.WriteOptions(quoting_style="none", quoting_header="none"))


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return file.readline().strip().split(",")


def _tamper(release_folder: Path, copy: Path) -> Path:
    """A copy of a release in which one byte of one data file has changed."""
    shutil.copytree(release_folder, copy)
    victim = min(path for path in (copy / "data").rglob("*.parquet") if path.name != ENVELOPE)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    return copy
