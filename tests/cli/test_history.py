"""`history`: what it tells of a folder of releases, to whom, and that it writes nothing but the page asked for."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from browser_kit import CHROMIUM, browser
from release_kit import PREDICATE, REVIEWER, STEWARD, STRANGER, Key, fill, trust_in

from sensai_release.cli.app import run
from sensai_release.pipeline.logbook import record
from sensai_release.pipeline.workspace import init_workspace, open_workspace
from sensai_release.release.dsse import Envelope, sign
from sensai_release.release.sealing import countersign_release, seal_release
from sensai_release.release.status import ReleaseState, Standing, StatusDocument
from sensai_release.release.trust import write_trust

from .conftest import Story, run_tool

SERIES = str(PREDICATE["series"])
GATES = [
    {"name": "k_min", "value": 10, "limit": 5, "ok": True},
    {"name": "linkability_rank1", "value": 0.067, "limit": 0.09, "ok": True},
    {"name": "l_min", "value": 2, "limit": 2, "ok": True, "status": "cannot_assess"},
]
SINCE = date(2026, 3, 10)


def manifest_sha256(release: Path) -> str:
    return hashlib.sha256((release / "manifest.json").read_bytes()).hexdigest()


def add_release(folder: Path, version: str, previous: Path | None = None, **stated: Any) -> Path:
    """A small signed and approved release in `folder`; `previous` is the one that it says it follows."""
    series = stated.get("series", SERIES)
    path = folder / str(stated.pop("name", f"{series}-{version}"))
    path.mkdir(parents=True)
    fill(path)
    for page in ("datasheet.html", "card.html", "verify.html"):
        (path / page).write_text("<!doctype html><title>SYNTHETIC</title>", encoding="utf-8")
    if previous is not None:
        before = json.loads((previous / "manifest.json").read_bytes())["predicate"]["version"]
        stated["previous"] = {"version": before, "manifest_sha256": manifest_sha256(previous)}
    seal_release(path, {**PREDICATE, "risk": {"k_min": 10, "gates": GATES}, "version": version, **stated}, STEWARD)
    countersign_release(path, REVIEWER)
    return path


@dataclass(frozen=True)
class Shelf:
    """A folder with releases 9.0.0 and 10.0.0 of one series, and a trust file beside it. No workspace anywhere."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "shelf"

    @property
    def trust(self) -> Path:
        return self.root / "trust.json"

    def release(self, version: str) -> Path:
        return self.folder / f"{SERIES}-{version}"

    def announce(self, states: dict[str, ReleaseState], *keys: Key, number: int = 1) -> Path:
        """A status document where `history` looks for one by itself; it lists the releases that are named."""
        entries = [
            Standing(
                version=version,
                manifest_sha256=manifest_sha256(self.release(version)),
                state=state,
                reason={"active": None, "superseded": "replaced", "withdrawn": "error_in_data"}[state],
                since=SINCE,
            )
            for version, state in states.items()
        ]
        today = datetime.now(UTC).date()
        document = StatusDocument(
            study="SYNTHETIC",
            series=SERIES,
            version=number,
            issued=today,
            expires=today + timedelta(days=9),
            releases=tuple(entries),
        )
        payload = document.to_bytes()
        path = self.folder / f"{SERIES}-status.json"
        path.write_bytes(Envelope(payload=payload, signatures=tuple(sign(payload, key) for key in keys)).to_bytes())
        return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("history"))
    first = add_release(shelf.folder, "9.0.0")
    add_release(shelf.folder, "10.0.0", first)
    write_trust(trust_in(STEWARD, REVIEWER, steward=1, reviewer=1), shelf.trust)
    return shelf


@pytest.fixture
def shelf(made: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made.root, tmp_path / "copy")
    return Shelf(tmp_path / "copy")


Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    def call(*words: object) -> tuple[int, Any]:
        capsys.readouterr()
        code = run(["--json", "history", *map(str, words)])
        return code, answered(json.loads(capsys.readouterr().out))

    return call


def answered(document: Any) -> Any:
    """The document of an answer; `None` for that of a refusal, which says why and nothing else."""
    return None if document.keys() == {"ok", "exit", "error"} else document


def rows_of(document: Any, series: str = SERIES) -> dict[str, Any]:
    entry = next(entry for entry in document["series"] if entry["series"] == series)
    return {row["version"]: row for row in entry["releases"]}


def snapshot(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in [folder, *folder.rglob("*")])


# What is told


def test_two_releases_with_counts_risk_signers_and_status(shelf: Shelf, ask: Ask) -> None:
    shelf.announce({"9.0.0": "superseded", "10.0.0": "active"}, STEWARD, REVIEWER)
    before = snapshot(shelf.root)
    code, document = ask(shelf.folder, "--trust", shelf.trust)
    assert (code, document["ok"], document["checked"], document["trusted"]) == (0, True, "files", True)
    assert list(rows_of(document)) == ["9.0.0", "10.0.0"]
    row = rows_of(document)["10.0.0"]
    assert (row["persons"], row["rows"]) == (20, {"folds": "<10", "participants": 20})
    assert (row["profile"], row["synthetic"], row["signatures"], row["checklist"]) == ("controlled", True, 2, None)
    assert row["risk"] == {
        "k_min": 10,
        "k_limit": 5,
        "gates": {"passed": ["k_min", "linkability_rank1"], "failed": [], "waived": [], "cannot_assess": ["l_min"]},
        "linkability": {"rank1": 0.067, "limit": 0.09, "assessed": True},
    }
    assert row["signers"] == [
        {"name": REVIEWER.name, "roles": ["reviewer"]},
        {"name": STEWARD.name, "roles": ["steward"]},
    ]
    assert row["manifest_sha256"] == manifest_sha256(shelf.release("10.0.0"))
    verdicts = {version: (row["verdict"], row["standing"]["state"]) for version, row in rows_of(document).items()}
    assert verdicts == {"9.0.0": ("superseded", "superseded"), "10.0.0": ("valid and current", "active")}
    assert row["standing"]["believed"] is True
    chains = {version: row["chain"]["state"] for version, row in rows_of(document).items()}
    assert chains == {"9.0.0": "first", "10.0.0": "linked"}
    assert document["series"][0]["status"]["status_version"] == 1
    assert snapshot(shelf.root) == before
    assert not Path(os.environ["XDG_STATE_HOME"]).exists()


def test_people_see_the_same(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.announce({"9.0.0": "superseded", "10.0.0": "active"}, STEWARD, REVIEWER)
    assert run(["history", str(shelf.folder), "--trust", str(shelf.trust)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("Releases of synthetic-series", "10 (5)", "0.067 (0.09)", "2 passed", "2 of 2 releases hold."):
        assert words in said
    assert run(["history", str(shelf.folder)]) == 0
    assert "signer unknown: give the trust file" in capsys.readouterr().out


def test_a_stranger_without_trust_learns_that_the_signer_is_unknown(shelf: Shelf, ask: Ask) -> None:
    shelf.announce({"9.0.0": "superseded", "10.0.0": "active"}, STEWARD, REVIEWER)
    code, document = ask(shelf.folder)
    row = rows_of(document)["10.0.0"]
    assert (code, row["verdict"], row["signers"], row["signatures"]) == (0, "intact, signer unknown", [], 2)
    assert (row["standing"]["state"], row["standing"]["believed"]) == ("active", False)
    assert document["series"][0]["status"]["checked"] is False
    assert (document["ok"], document["trusted"], row["ok"]) == (True, False, False)


def test_nobody_trusted_has_signed(shelf: Shelf, ask: Ask) -> None:
    write_trust(trust_in(STRANGER), shelf.trust)
    for words in ((), ("--quick",)):
        code, document = ask(shelf.folder, "--trust", shelf.trust, *words)
        assert (code, document["series"]) == (1, [])
        assert {entry["verdict"] for entry in document["refused"]} == {"not approved"}


@pytest.mark.parametrize("quick", [False, True])
def test_a_missing_approval_is_said(shelf: Shelf, ask: Ask, quick: bool) -> None:
    write_trust(trust_in(STEWARD, REVIEWER, steward=1, reviewer=2), shelf.trust)
    code, document = ask(shelf.folder, "--trust", shelf.trust, *(["--quick"] if quick else []))
    assert (code, {row["verdict"] for row in rows_of(document).values()}) == (0, {"not approved"})


def test_a_changed_file_is_found_and_quick_says_that_it_did_not_look(shelf: Shelf, ask: Ask) -> None:
    (shelf.release("9.0.0") / "TERMS.md").write_text("changed", encoding="utf-8")
    code, document = ask(shelf.folder, "--trust", shelf.trust)
    rows = rows_of(document)
    assert (code, rows["9.0.0"]["verdict"], rows["10.0.0"]["ok"]) == (1, "invalid", True)
    assert rows["9.0.0"]["problems"]
    assert rows["10.0.0"]["chain"]["state"] == "linked"
    code, document = ask(shelf.folder, "--trust", shelf.trust, "--quick")
    assert (code, document["checked"]) == (0, "signatures")
    assert {row["verdict"] for row in rows_of(document).values()} == {"signed"}


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", ["manifest.json", "manifest.dsse.json"])
def test_a_changed_manifest_or_envelope_is_never_shown_as_good(shelf: Shelf, ask: Ask, name: str, quick: bool) -> None:
    path = shelf.release("9.0.0") / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    code, document = ask(shelf.folder, "--trust", shelf.trust, *(["--quick"] if quick else []))
    assert code == 1
    assert list(rows_of(document)) == ["10.0.0"] or not rows_of(document)["9.0.0"]["ok"]


def test_a_withdrawn_release_is_told_with_its_reason(
    shelf: Shelf, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.announce({"9.0.0": "superseded", "10.0.0": "withdrawn"}, REVIEWER)
    for words in ((), ("--quick",)):
        code, document = ask(shelf.folder, "--trust", shelf.trust, *words)
        row = rows_of(document)["10.0.0"]
        assert (code, row["ok"], row["verdict"]) == (0, False, "withdrawn")
        told = {name: row["standing"][name] for name in ("state", "reason", "since", "believed")}
        assert told == {"state": "withdrawn", "reason": "error_in_data", "since": "2026-03-10", "believed": True}
        assert rows_of(document)["9.0.0"]["standing"]["state"] == "unknown"
    assert run(["history", str(shelf.folder), "--trust", str(shelf.trust)]) == 0
    assert "2 of 2 releases hold; 1 withdrawn." in capsys.readouterr().out


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 100])
def test_a_status_document_that_is_none_is_refused(shelf: Shelf, ask: Ask, data: bytes, quick: bool) -> None:
    (shelf.folder / f"{SERIES}-status.json").write_bytes(data)
    code, document = ask(shelf.folder, "--trust", shelf.trust, *(["--quick"] if quick else []))
    assert code == 1
    assert all("status.malformed" in row["problems"] for row in rows_of(document).values())
    assert ask(shelf.folder)[0] == 0


def test_a_status_document_given_counts_instead_of_the_one_there(shelf: Shelf, ask: Ask) -> None:
    path = shelf.announce({"10.0.0": "active"}, STEWARD, REVIEWER)
    path.rename(shelf.root / "newest.json")
    shelf.announce({"10.0.0": "withdrawn"}, STEWARD)
    code, document = ask(shelf.folder, "--trust", shelf.trust, "--status", shelf.root / "newest.json")
    assert (code, rows_of(document)["10.0.0"]["standing"]["state"]) == (0, "active")
    assert rows_of(document)["9.0.0"]["standing"]["state"] == "unknown"


def test_an_older_document_than_verify_has_seen_is_refused(shelf: Shelf, ask: Ask) -> None:
    states: dict[str, ReleaseState] = {"9.0.0": "superseded", "10.0.0": "active"}
    path = shelf.announce(states, STEWARD, REVIEWER, number=5)
    words = ["verify", str(shelf.release("10.0.0")), "--trust", str(shelf.trust), "--status", str(path)]
    assert run(words) == 0
    memory = Path(os.environ["XDG_STATE_HOME"]) / "sensai-release" / "seen.json"
    known = memory.read_bytes()
    shelf.announce(states, STEWARD, REVIEWER, number=4)
    code, document = ask(shelf.folder, "--trust", shelf.trust)
    assert (code, rows_of(document)["10.0.0"]["problems"]) == (1, ["status.rollback"])
    shelf.announce(states, STEWARD, REVIEWER, number=6)
    assert ask(shelf.folder, "--trust", shelf.trust)[0] == 0
    assert memory.read_bytes() == known
    memory.write_bytes(b"{}")
    assert ask(shelf.folder, "--trust", shelf.trust) == (2, None)


# The chain, the series


def test_a_release_before_that_is_not_here_is_said_and_is_no_fault(shelf: Shelf, ask: Ask) -> None:
    shutil.rmtree(shelf.release("9.0.0"))
    code, document = ask(shelf.folder, "--trust", shelf.trust)
    chain = rows_of(document)["10.0.0"]["chain"]
    assert (code, chain["state"], chain["previous"]) == (0, "missing", "9.0.0")
    assert "is not here" in chain["reason"]


def test_another_release_under_the_number_before_breaks_the_chain(shelf: Shelf, ask: Ask) -> None:
    shutil.rmtree(shelf.release("9.0.0"))
    add_release(shelf.folder, "9.0.0", study="ANOTHER")
    code, document = ask(shelf.folder, "--trust", shelf.trust)
    rows = rows_of(document)
    assert (code, rows["9.0.0"]["ok"], rows["10.0.0"]["ok"]) == (1, True, True)
    assert (rows["10.0.0"]["chain"]["state"], document["ok"]) == ("broken", False)


def test_two_releases_with_one_number_contradict_each_other_and_copies_do_not(shelf: Shelf, ask: Ask) -> None:
    shutil.copytree(shelf.release("9.0.0"), shelf.folder / "a copy")
    assert ask(shelf.folder, "--trust", shelf.trust)[0] == 0
    add_release(shelf.folder, "9.0.0", study="ANOTHER", name="another")
    code, document = ask(shelf.folder, "--trust", shelf.trust)
    assert code == 1
    entries = document["series"][0]["releases"]
    assert [row["chain"]["state"] for row in entries if row["version"] == "9.0.0"] == ["broken"] * 3


def test_two_series_are_told_apart(shelf: Shelf, ask: Ask) -> None:
    add_release(shelf.folder, "1.0.0", series="another-series")
    shelf.announce({"9.0.0": "superseded", "10.0.0": "active"}, STEWARD, REVIEWER)
    code, document = ask(shelf.folder, "--trust", shelf.trust)
    assert (code, [entry["series"] for entry in document["series"]]) == (0, ["another-series", SERIES])
    assert rows_of(document, "another-series")["1.0.0"]["standing"]["state"] == "unknown"
    assert document["series"][0]["status"] is None


# Folders of all kinds


def test_an_empty_folder_says_so(tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = ask(tmp_path)
    assert (code, document["ok"], document["series"], document["refused"]) == (0, True, [], [])
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    assert run(["history", str(tmp_path)]) == 0
    assert "No release is here." in capsys.readouterr().out


def test_what_is_no_folder_of_releases_ends_with_2(shelf: Shelf, ask: Ask, tmp_path: Path) -> None:
    for wrong in (shelf.trust, tmp_path / "absent", shelf.release("9.0.0"), Path("\0")):
        assert ask(wrong) == (2, None)
    assert ask() == (2, None)
    assert ask(shelf.folder, "--status", shelf.trust) == (2, None)
    assert ask(shelf.folder, "--trust", shelf.folder) == (2, None)
    assert ask(shelf.folder, "--trust", shelf.trust, "--status", tmp_path / "absent") == (2, None)


HOSTILE = ["<script>alert(1)<", "\x1b[31mred", "\u202edlrow", "line\nbreak", "'\"&", "javascript:x", "n" * 250]


def test_folders_that_are_no_release_are_named_and_harmless(
    shelf: Shelf, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [*HOSTILE, os.fsdecode(b"\xff\xfe")]:
        (shelf.folder / name).mkdir()
    (shelf.folder / ".hidden").mkdir()
    (shelf.folder / "link").symlink_to("/")
    (shelf.folder / "half").mkdir()
    (shelf.folder / "half" / "manifest.json").write_text("{}", encoding="utf-8")
    page = shelf.root / "index.html"
    code, document = ask(shelf.folder, "--trust", shelf.trust, "--html", page)
    assert code == 1
    assert len(document["refused"]) == len(HOSTILE) + 3
    assert {row["ok"] for row in rows_of(document).values()} == {True}
    assert any("1 hidden" in note for note in document["notes"])
    assert run(["history", str(shelf.folder), "--trust", str(shelf.trust)]) == 1
    text = page.read_text(encoding="utf-8")
    for said in (capsys.readouterr().out, text, json.dumps(document, ensure_ascii=False)):
        assert not set(said) & {"\x1b", "\u202e"}
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_release_in_a_folder_of_another_name_says_so_and_has_no_bad_link(shelf: Shelf, ask: Ask) -> None:
    for number, name in enumerate(["javascript:alert(1)", "a b%20c", "\u202eodd"]):
        add_release(shelf.folder, "1.0.0", series=f"named-{number}", name=name)
    page = shelf.folder / "index.html"
    code, document = ask(shelf.folder, "--trust", shelf.trust, "--html", page)
    assert (code, rows_of(document, "named-2")["1.0.0"]["folder"]) == (0, "\\u202eodd")
    for link in links_of(page):
        assert link.startswith(("#", "./"))
        assert link.startswith("#") or (page.parent / unquote(link)).is_file()


def test_as_somebody_with_no_rights_at_all(shelf: Shelf) -> None:
    aside = Path(tempfile.mkdtemp())
    try:
        shutil.copytree(shelf.folder, aside / "shelf")
        shutil.copyfile(shelf.trust, aside / "trust.json")
        (aside / "closed").mkdir()
        for path in [*aside.rglob("*"), aside]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        (aside / "shelf" / f"{SERIES}-9.0.0").chmod(0)
        (aside / "closed").chmod(0)
        code, document = unprivileged(aside, "shelf", "--trust", "trust.json")
        assert (code, list(rows_of(document))) == (1, ["10.0.0"])
        assert [entry["verdict"] for entry in document["refused"]] == ["not a release"]
        assert unprivileged(aside, "closed") == (2, None)
        assert unprivileged(aside, "shelf", "--trust", "trust.json", "--html", "shelf/index.html") == (2, None)
    finally:
        for path in [aside, aside / "closed", *(aside / "shelf").glob("*"), *aside.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(aside)


def unprivileged(folder: Path, *words: str) -> tuple[int, Any]:
    code = "import sys; from sensai_release.cli.app import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--json", "history", *words]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv to give up root's rights")
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *command]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG")}
    environment |= {"HOME": "/nonexistent", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if "ermission denied" in done.stderr and "sensai-release:" not in done.stderr:
        pytest.skip("another user may not read this Python")
    return done.returncode, answered(json.loads(done.stdout))


# The page


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [str(value) for name, value in attrs if name in ("href", "src")]


def links_of(page: Path) -> list[str]:
    parser = Links()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.found


@pytest.mark.parametrize("above", ["shelf", ""])
def test_the_page_leads_to_the_pages_of_each_release(shelf: Shelf, ask: Ask, above: str) -> None:
    page = shelf.root / above / "index.html"
    assert ask(shelf.folder, "--trust", shelf.trust, "--html", page)[0] == 0
    found = [link for link in links_of(page) if not link.startswith("#")]
    assert len(found) == 8
    assert all((page.parent / link).is_file() for link in found)
    assert {Path(link).name for link in found} == {"README.md", "datasheet.html", "card.html", "verify.html"}
    first = page.read_bytes()
    assert ask(shelf.folder, "--trust", shelf.trust, "--html", page)[0] == 0
    assert page.read_bytes() == first


def test_no_link_leads_from_elsewhere_or_to_a_changed_release(shelf: Shelf, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    page = tmp_path / "elsewhere" / "index.html"
    ask(shelf.folder, "--trust", shelf.trust, "--html", page)
    assert links_of(page) == ["#content"]
    (shelf.release("9.0.0") / "card.html").write_text("changed", encoding="utf-8")
    page = shelf.folder / "index.html"
    assert ask(shelf.folder, "--trust", shelf.trust, "--html", page)[0] == 1
    assert not [link for link in links_of(page) if "9.0.0" in link]
    assert [link for link in links_of(page) if "10.0.0" in link]


def test_the_page_is_never_written_into_a_release(shelf: Shelf, ask: Ask) -> None:
    release = shelf.release("9.0.0")
    (shelf.root / "way-in").symlink_to(release / "data")
    before = snapshot(release)
    for place in (release / "index.html", release / "data" / "x.html", shelf.root / "way-in" / "x.html"):
        assert ask(shelf.folder, "--trust", shelf.trust, "--html", place) == (2, None)
    (shelf.root / "loop").symlink_to(shelf.root / "loop")
    for place in (shelf.folder, shelf.root / "absent" / "x.html", shelf.root / "loop" / "x.html", Path("..")):
        assert ask(shelf.folder, "--trust", shelf.trust, "--html", place) == (2, None)
    assert snapshot(release) == before
    (shelf.root / "out.html").symlink_to(release / "card.html")
    assert ask(shelf.folder, "--trust", shelf.trust, "--html", shelf.root / "out.html")[0] == 0
    assert not (shelf.root / "out.html").is_symlink()
    assert snapshot(release) == before


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_in_a_browser(shelf: Shelf, ask: Ask, tmp_path: Path) -> None:
    shelf.announce({"9.0.0": "superseded", "10.0.0": "withdrawn"}, STEWARD, REVIEWER)
    add_release(shelf.folder, "10.1.0", shelf.release("9.0.0"), study="S" * 120, profile="P" * 120)
    (shelf.folder / ("n" * 120)).mkdir()
    page = shelf.folder / "index.html"
    ask(shelf.folder, "--trust", shelf.trust, "--html", page)
    with browser(tmp_path / "profile") as view:
        for width in (360, 820, 1400):
            for dark in (False, True):
                view.open(page)
                view.screenshot(width, 900, dark=dark)
                wide = view.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, width
                assert view.evaluate("document.querySelectorAll('table').length") >= 2
        assert {url for url in view.requests if not url.startswith("data:")} == {page.as_uri()}


# A workspace


@pytest.fixture
def workspace(shelf: Shelf, tmp_path: Path) -> Path:
    init_workspace(tmp_path / "workspace")
    shutil.copytree(shelf.folder, tmp_path / "workspace" / "releases")
    return tmp_path / "workspace"


def test_a_workspace_lists_its_own_and_knows_of_checklists(
    shelf: Shelf, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = open_workspace(workspace)
    for version, ticked in (("9.0.0", {"checklist": "not given"}), ("10.0.0", {"checklist_sha256": "0" * 64})):
        facts = {"name": f"{SERIES}-{version}", "manifest_sha256": manifest_sha256(shelf.release(version))}
        record(opened, "approve", facts | ticked)
    capsys.readouterr()
    assert run(["--json", "-C", str(workspace), "history", "--trust", str(shelf.trust)]) == 0
    rows = rows_of(json.loads(capsys.readouterr().out))
    assert {version: row["checklist"] for version, row in rows.items()} == {"9.0.0": False, "10.0.0": True}
    (workspace / "log" / "log.jsonl").write_text("x\n", encoding="utf-8")
    assert run(["--json", "-C", str(workspace), "history", "--trust", str(shelf.trust)]) == 0
    assert "log is not whole" in capsys.readouterr().out


def test_the_demonstration_leaves_an_index(story: Story) -> None:
    page = story.root / "history.html"
    assert len([link for link in links_of(page) if (page.parent / link).is_file()]) == 8
    outcome = run_tool("-C", story.workspace, "--json", "history", "--trust", story.trust)
    assert outcome.code == 0
    found = {row["version"]: row["verdict"] for row in outcome.document["series"][0]["releases"]}
    assert found == {"1.0.0": "superseded", "2.0.0": "valid and current"}
    assert all(row["chain"]["state"] in ("first", "linked") for row in outcome.document["series"][0]["releases"])
    status = run_tool("-C", story.workspace, "--json", "status").document
    assert {name: entry["state"] for name, entry in status["standing"].items()} == {
        "sensai-dbd-1.0.0": "superseded",
        "sensai-dbd-2.0.0": "active",
    }
    assert (sorted(status["standing"]), status["status_document"]["version"]) == (status["releases"], 1)
