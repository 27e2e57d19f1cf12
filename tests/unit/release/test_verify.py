from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from release_kit import (
    PREDICATE,
    REVIEWER,
    STEWARD,
    STRANGER,
    TABLES,
    TRUST,
    dictionary,
    fill,
    make_release,
    trust_in,
)

from sensai_release.errors import OutputExistsError, ReleaseFormatError
from sensai_release.release.documents import canonical_json
from sensai_release.release.dsse import Envelope, sign
from sensai_release.release.sealing import countersign_release, seal_release
from sensai_release.release.trust import Trust
from sensai_release.release.verify import STEP_NAMES, VerificationReport, verify_release


@pytest.fixture
def release(tmp_path: Path) -> Path:
    make_release(tmp_path / "release")
    return tmp_path / "release"


def codes(report: VerificationReport) -> dict[int, list[str]]:
    return {step.step: [problem.code for problem in step.problems] for step in report.steps if step.problems}


def test_an_untouched_release_is_valid(release: Path) -> None:
    report = verify_release(release, trust=TRUST)
    assert (report.ok, report.verdict) == (True, "valid, freshness unknown")
    assert [step.step for step in report.steps] == list(range(1, len(STEP_NAMES) + 1))
    assert all(step.ok and not step.problems for step in report.steps)
    # Facts, log and status: nobody asked, there is no proof, there is no document.
    assert [step.step for step in report.steps if step.skipped] == [9, 10, 11]
    assert report.signers == (STEWARD.name,)
    assert report.statement is not None
    assert report.statement.predicate["version"] == "1.0.0"


def test_the_report_is_json_of_the_agreed_form(release: Path) -> None:
    release.joinpath("extra").write_text("x")
    document = json.loads(json.dumps(verify_release(release, trust=TRUST).to_dict()))
    assert document["ok"] is False
    assert document["verdict"] == "invalid"
    for step in document["steps"]:
        assert {"step": int, "name": str, "ok": bool}.items() <= {key: type(step[key]) for key in step}.items()
    assert {"code": "file.extra", "path": "extra"}.items() <= document["steps"][3]["problems"][0].items()


def test_the_report_names_the_release_by_the_manifest_and_not_by_the_folder(release: Path) -> None:
    folder = release.rename(release.with_name("synthetic-series-2.0.0"))
    assert verify_release(folder, trust=TRUST).to_dict()["release"] == "synthetic-series-1.0.0"
    assert verify_release(folder, trust=trust_in(STRANGER)).to_dict()["release"] is None


@pytest.mark.parametrize("integrity_only", [False, True])
def test_without_trust_the_signer_is_unknown(release: Path, *, integrity_only: bool) -> None:
    report = verify_release(release, trust=None, integrity_only=integrity_only)
    assert report.verdict == "intact, signer unknown"
    assert report.ok is integrity_only
    assert report.steps[1].ok is integrity_only
    assert report.steps[1].skipped is not None
    assert all(step.ok for step in report.steps if step.step != 2)


@pytest.mark.parametrize("integrity_only", [False, True])
def test_without_trust_changes_are_still_found(release: Path, *, integrity_only: bool) -> None:
    release.joinpath("README.md").unlink()
    report = verify_release(release, trust=None, integrity_only=integrity_only)
    assert (report.ok, report.verdict) == (False, "invalid")
    assert codes(report)[4] == ["file.missing"]


# Step 1: the envelope


def test_step_1_envelope_missing(release: Path) -> None:
    release.joinpath("manifest.dsse.json").unlink()
    report = verify_release(release, trust=TRUST)
    assert codes(report) == {1: ["envelope.unreadable"]}
    assert report.verdict == "invalid"
    assert all(step.skipped and not step.ok for step in report.steps[1:])


def test_step_1_envelope_malformed(release: Path) -> None:
    path = release / "manifest.dsse.json"
    path.write_bytes(path.read_bytes() + b"\n")
    assert codes(verify_release(release, trust=TRUST)) == {1: ["envelope.malformed"]}


def test_step_1_envelope_of_another_type(release: Path) -> None:
    payload = release.joinpath("manifest.json").read_bytes()
    other = "application/json"
    envelope = Envelope(payload=payload, payload_type=other, signatures=(sign(payload, STEWARD, other),))
    release.joinpath("manifest.dsse.json").write_bytes(envelope.to_bytes())
    assert codes(verify_release(release, trust=TRUST)) == {1: ["envelope.type"]}


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(path.read_bytes() + b" ")])
def test_step_1_manifest_is_not_what_was_signed(release: Path, change: Callable[[Path], Any]) -> None:
    change(release / "manifest.json")
    report = verify_release(release, trust=TRUST)
    assert report.verdict == "invalid"
    assert codes(report)[1][0] in ("manifest.changed", "manifest.unreadable")
    # What was signed is still known from the envelope, so the other steps say what else differs.
    assert report.steps[4].ok
    assert report.statement is not None


# Step 2: the signatures


def test_step_2_a_stranger_signed(tmp_path: Path) -> None:
    make_release(tmp_path / "r", STRANGER)
    report = verify_release(tmp_path / "r", trust=TRUST)
    assert (report.ok, report.verdict) == (False, "not approved")
    assert codes(report) == {2: ["approval.missing"]}
    assert report.statement is None
    assert report.steps[2].skipped is not None
    assert len(report.notes) == 1


def test_step_2_nothing_is_interpreted_that_nobody_signed(tmp_path: Path) -> None:
    payload = b"not even JSON"
    tmp_path.joinpath("manifest.json").write_bytes(payload)
    for signer, expected in ((STRANGER, {2: ["approval.missing"]}), (STEWARD, {3: ["manifest.malformed"]})):
        envelope = Envelope(payload=payload, signatures=(sign(payload, signer),))
        tmp_path.joinpath("manifest.dsse.json").write_bytes(envelope.to_bytes())
        assert codes(verify_release(tmp_path, trust=TRUST)) == expected


def test_step_2_a_signature_from_another_release(release: Path, tmp_path: Path) -> None:
    fill(tmp_path / "other")
    seal_release(tmp_path / "other", {**PREDICATE, "version": "2.0.0"}, STEWARD)
    envelope = Envelope.from_bytes(release.joinpath("manifest.dsse.json").read_bytes(), "x")
    other = Envelope.from_bytes(tmp_path.joinpath("other", "manifest.dsse.json").read_bytes(), "x")
    mixed = replace(other, signatures=envelope.signatures)
    tmp_path.joinpath("other", "manifest.dsse.json").write_bytes(mixed.to_bytes())
    report = verify_release(tmp_path / "other", trust=TRUST)
    assert report.verdict == "invalid"
    assert codes(report)[2] == ["approval.missing", "signature.broken"]


FOUR_EYES = trust_in(STEWARD, REVIEWER, steward=1, reviewer=1)


def test_step_2_the_threshold_needs_the_reviewer(release: Path) -> None:
    report = verify_release(release, trust=FOUR_EYES)
    assert (report.ok, report.verdict) == (False, "not approved")
    assert report.signers == (STEWARD.name,)
    assert all(step.ok for step in report.steps if step.step != 2)
    countersign_release(release, REVIEWER)
    report = verify_release(release, trust=FOUR_EYES)
    assert (report.ok, report.verdict) == (True, "valid, freshness unknown")
    assert report.signers == (REVIEWER.name, STEWARD.name)


def test_step_2_not_approved_and_changed_is_invalid(release: Path) -> None:
    release.joinpath("README.md").write_text("changed")
    assert verify_release(release, trust=FOUR_EYES).verdict == "invalid"


def with_days(**days: Any) -> Trust:
    return Trust(threshold=TRUST.threshold, people=(replace(TRUST.people[0], **days),))


@pytest.mark.parametrize(
    ("days", "code"),
    [
        ({"revoked": date(2026, 1, 1)}, "signature.revoked"),
        ({"valid_until": date(2026, 1, 1)}, "signature.no_longer_valid"),
        ({"valid_from": date(2027, 1, 1)}, "signature.not_valid_yet"),
    ],
)
def test_step_2_keys_out_of_time(release: Path, days: dict[str, date], code: str) -> None:
    report = verify_release(release, trust=with_days(**days), today=date(2026, 6, 1))
    assert (report.ok, report.verdict) == (False, "not approved")
    assert codes(report) == {2: ["approval.missing", code]}


def test_step_2_a_revoked_signature_beside_enough_others_is_a_note(release: Path) -> None:
    countersign_release(release, REVIEWER)
    trust = trust_in(STEWARD, REVIEWER)
    people = (trust.people[0], replace(trust.people[1], revoked=date(2026, 1, 1)))
    report = verify_release(release, trust=replace(trust, people=people), today=date(2026, 6, 1))
    assert report.ok
    assert "revoked" in report.notes[0]


# Step 3: the manifest


def test_step_3_a_signed_manifest_can_still_be_wrong(release: Path) -> None:
    document = json.loads(release.joinpath("manifest.json").read_text())
    document["subject"][0]["name"] = "../outside"
    payload = canonical_json(document)
    release.joinpath("manifest.json").write_bytes(payload)
    envelope = Envelope(payload=payload, signatures=(sign(payload, STEWARD),))
    release.joinpath("manifest.dsse.json").write_bytes(envelope.to_bytes())
    report = verify_release(release, trust=TRUST)
    assert codes(report) == {3: ["manifest.malformed"]}
    assert report.verdict == "invalid"


# Step 4: the file set


def replace_by_link(path: Path) -> None:
    copy = path.parent.parent / f"{path.name}.copy"
    copy.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(copy)


def swap_folder_for_link(root: Path) -> None:
    root.joinpath("data").rename(root.parent / "elsewhere")
    root.joinpath("data").symlink_to(root.parent / "elsewhere", target_is_directory=True)


def file_for_folder(root: Path) -> None:
    root.joinpath("README.md").unlink()
    root.joinpath("README.md").mkdir()


def bind_socket(root: Path) -> None:
    before = Path.cwd()
    os.chdir(root)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket")
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda root: root.joinpath("extra.txt").write_text("x"), {"file.extra"}),
        (lambda root: root.joinpath("data", "folds", "part-00002.parquet").write_text("x"), {"file.extra"}),
        (lambda root: root.joinpath("extra").mkdir(), {"folder.extra"}),
        (lambda root: root.joinpath("TERMS.md").unlink(), {"file.missing"}),
        (lambda root: root.joinpath("SHA256SUMS").unlink(), {"file.missing"}),
        (lambda root: root.joinpath("verify.py").unlink(), {"file.missing"}),
        (lambda root: root.joinpath("README.md").rename(root / "readme.md"), {"file.missing", "name.case"}),
        (lambda root: root.joinpath("README.md").rename(root / "OTHER.md"), {"file.missing", "file.extra"}),
        (lambda root: root.joinpath("TERMS.md ").write_text("x"), {"name.odd"}),
        (lambda root: root.joinpath(".hidden").write_text("x"), {"name.odd"}),
        (lambda root: root.joinpath("a\x1b[2J\n").write_text("x"), {"name.odd"}),
        (lambda root: Path(os.fsdecode(os.fsencode(root) + b"/\xff")).write_text("x"), {"name.odd"}),
        (lambda root: root.joinpath("link").symlink_to("README.md"), {"file.link"}),
        (lambda root: root.joinpath("link").symlink_to("/etc/passwd"), {"file.link"}),
        (lambda root: root.joinpath("link").symlink_to("."), {"file.link"}),
        (lambda root: replace_by_link(root / "README.md"), {"file.link", "file.missing"}),
        (swap_folder_for_link, {"file.link", "file.missing"}),
        (file_for_folder, {"file.missing", "name.case"}),
        (lambda root: os.mkfifo(root / "pipe"), {"file.special"}),
        (bind_socket, {"file.special"}),
    ],
)
def test_step_4_the_file_set_is_exact(release: Path, spoil: Callable[[Path], Any], expected: set[str]) -> None:
    spoil(release)
    report = verify_release(release, trust=TRUST)
    assert report.verdict == "invalid"
    assert set(codes(report)[4]) == expected
    shown = json.dumps(report.to_dict(), ensure_ascii=False)
    assert shown.isprintable()
    assert str(release.parent) not in shown


@pytest.mark.parametrize(
    "name", ["README.md", "manifest.json", "manifest.dsse.json", "SHA256SUMS", "data/folds/part-00000.parquet"]
)
def test_a_link_to_the_same_bytes_is_refused_for_every_file(release: Path, name: str) -> None:
    replace_by_link(release / name)
    report = verify_release(release, trust=TRUST)
    assert not report.ok


@pytest.mark.parametrize("name", ["manifest.json", "manifest.dsse.json", "SHA256SUMS", "README.md"])
def test_a_pipe_in_place_of_a_file_does_not_hang(release: Path, name: str) -> None:
    release.joinpath(name).unlink()
    os.mkfifo(release / name)
    assert not verify_release(release, trust=TRUST).ok


def test_thousands_of_extra_files_give_a_short_report(release: Path) -> None:
    for number in range(1000):
        release.joinpath(f"extra{number}").touch()
    problems = verify_release(release, trust=TRUST).steps[3].problems
    assert len(problems) == 201
    assert problems[-1].code == "more"


# Step 5: sizes and digests


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda data: data[:-1], "size.shorter", "cut off"),
        (lambda data: b"", "size.shorter", "cut off"),
        (lambda data: data + b"x", "size.longer", "other bytes"),
        (lambda data: data[:-2] + b"x\n", "digest.mismatch", "other bytes"),
        (lambda data: data.replace(b"\n", b"\r\n"), "digest.line_ends", "line ends"),
        (lambda data: data * 1000, "size.longer", "other bytes"),
    ],
)
def test_step_5_changed_bytes(release: Path, change: Callable[[bytes], bytes], code: str, words: str) -> None:
    path = release / "README.md"
    path.write_bytes(change(path.read_bytes()))
    report = verify_release(release, trust=TRUST)
    assert report.verdict == "invalid"
    assert codes(report) == {5: [code]}
    assert report.steps[4].problems[0].path == "README.md"
    assert words in report.explanation


def overwrite(name: str, data: bytes) -> Callable[[Path, Path], object]:
    return lambda release, _: release.joinpath(name).write_bytes(data)


def cut_off(name: str) -> Callable[[Path, Path], object]:
    return lambda release, _: os.truncate(release / name, release.joinpath(name).stat().st_size // 2)


def from_other(*names: str) -> Callable[[Path, Path], object]:
    return lambda release, other: [shutil.copyfile(other / name, release / name) for name in names]


def save_again(name: str) -> Callable[[Path, Path], object]:
    """As a program does that writes fewer bytes than were there, and all of them."""

    def run(release: Path, _: Path) -> None:
        path = release / name
        if path.suffix == ".parquet":
            path.write_bytes(b"PAR1PAR1")
        else:
            path.write_bytes(path.read_bytes().replace(b" ", b""))

    return run


PART = "data/participants/part-00000.parquet"


@pytest.mark.parametrize(
    ("spoil", "found", "words"),
    [
        (cut_off(PART), {"size.shorter"}, "a download or a copy was cut off"),
        (cut_off("schemas/folds.json"), {"size.shorter"}, "a download or a copy was cut off"),
        (cut_off("manifest.json"), {"manifest.shorter"}, "a download or a copy was cut off"),
        (cut_off("manifest.dsse.json"), {"envelope.malformed"}, "signatures was cut off"),
        (cut_off("SHA256SUMS"), {"checksums.changed"}, "SHA256SUMS"),
        (save_again(PART), {"digest.rewritten"}, "saved again by a program such as a spreadsheet"),
        (save_again("schemas/folds.json"), {"digest.rewritten"}, "such as a spreadsheet"),
        (overwrite(PART, b"PK\x03\x04" + bytes(50)), {"digest.spreadsheet"}, "by a spreadsheet program"),
        (overwrite(PART, b"PK\x03\x04" + bytes(9_000)), {"digest.spreadsheet"}, "by a spreadsheet program"),
        (overwrite("notes.xlsx", b"PK"), {"file.extra"}, "do not belong to the release"),
        (overwrite(".~lock.part-00000.csv#", b"x"), {"file.extra"}, "do not belong to the release"),
        (overwrite("~$part-00000.xlsx", b"x"), {"file.extra"}, "do not belong to the release"),
        (from_other("manifest.json"), {"manifest.other_version"}, "Files of two versions"),
        (from_other("manifest.json", "manifest.dsse.json", "SHA256SUMS"), {"digest.other_version"}, "two versions"),
    ],
)
def test_plain_words_on_what_probably_happened(
    tmp_path: Path, spoil: Callable[[Path, Path], object], found: set[str], words: str
) -> None:
    release, other = tmp_path / "r-1.1.0", tmp_path / "r-1.0.0"
    make_release(other)
    fill(release)
    for path in (*release.glob("*.md"), *release.glob("schemas/*")):
        path.write_text(path.read_text() + "\n\n")
    for path in release.glob("data/*/*"):
        pq.write_table(pq.read_table(path), path, compression="gzip", store_schema=False)
    digest = hashlib.sha256(other.joinpath("manifest.json").read_bytes()).hexdigest()
    previous = {"version": "1.0.0", "manifest_sha256": digest}
    seal_release(release, {**PREDICATE, "version": "1.1.0", "previous": previous}, STEWARD)
    assert verify_release(release, trust=TRUST).ok
    spoil(release, other)
    report = verify_release(release, trust=TRUST)
    assert report.verdict == "invalid"
    told = {problem.code for step in report.steps for problem in step.problems}
    assert told == found or (told > found and "two versions" in words)
    assert words in report.explanation


def test_step_5_two_files_swapped(release: Path) -> None:
    one, other = (release / "data" / "folds" / f"part-0000{number}.parquet" for number in (0, 1))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert set(codes(verify_release(release, trust=TRUST))[5]) <= {"digest.mismatch", "digest.rewritten", "size.longer"}


@pytest.mark.parametrize("name", [".DS_Store", "data/._folds", "data/Thumbs.db", "desktop.ini"])
def test_step_4_files_of_the_desktop_are_named_as_such(release: Path, name: str) -> None:
    (release / name).write_bytes(b"x")
    report = verify_release(release, trust=TRUST)
    assert codes(report) == {4: ["file.extra"]}
    assert "macOS or Windows" in report.steps[3].problems[0].message
    assert "Do not open it" not in report.explanation


def test_step_4_a_name_in_other_letters_is_explained(release: Path) -> None:
    release.joinpath("README.md").rename(release / "readme.md")
    assert "capital letters" in verify_release(release, trust=TRUST).explanation


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_step_4_what_cannot_be_listed_is_not_called_missing(release: Path) -> None:
    (release / "data").chmod(0)
    report = verify_release(release, trust=TRUST)
    (release / "data").chmod(0o755)
    assert codes(report)[4] == ["folder.unreadable"]
    assert "cannot be read" in report.explanation


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_step_5_an_unreadable_file_is_a_problem(release: Path) -> None:
    release.joinpath("README.md").chmod(0)
    assert codes(verify_release(release, trust=TRUST)) == {5: ["file.unreadable"]}


def test_progress_counts_bytes(release: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = verify_release(release, trust=TRUST, on_progress=lambda done, total: seen.append((done, total)))
    assert report.statement is not None
    assert seen[-1] == (sum(item.size for item in report.statement.subject),) * 2


# Step 6: SHA256SUMS


@pytest.mark.parametrize(
    "change",
    [lambda text: text[1:], lambda text: text.replace("  ", " *", 1), lambda text: "", lambda text: text + "\n",
     lambda text: "".join(reversed(text.splitlines(keepends=True))), lambda text: text.replace("\n", "\r\n")],
)  # fmt: skip
def test_step_6_checksums(release: Path, change: Callable[[str], str]) -> None:
    path = release / "SHA256SUMS"
    path.write_text(change(path.read_text()), newline="")
    report = verify_release(release, trust=TRUST)
    assert report.verdict == "invalid"
    assert codes(report).keys() == {6}


# Step 7: tables


def sealed_with(root: Path, spoil: Callable[[Path], Any]) -> VerificationReport:
    """A release that was wrong before it was signed."""
    fill(root)
    spoil(root)
    seal_release(root, PREDICATE, STEWARD)
    return verify_release(root, trust=TRUST)


def rewrite(**columns: Any) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        pq.write_table(pa.table(columns), root / "data" / "folds" / "part-00001.parquet", store_schema=False)

    return spoil


def add_metadata(root: Path) -> None:
    table = TABLES["folds"].replace_schema_metadata({"pandas": "hidden"})
    pq.write_table(table, root / "data" / "folds" / "part-00001.parquet", store_schema=True)


def write_schema(root: Path, table: str, text: str) -> None:
    root.joinpath("schemas", f"{table}.json").write_text(text)


IDS = [f"P{n:017d}" for n in range(3)]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (rewrite(participant_id=IDS, fold=[0, 1, 2]), []),
        (rewrite(participant_id=IDS, fold=[0.5, 1, 2]), ["table.types"]),
        (rewrite(participant_id=IDS, fold=pa.array([0, 1, 2], pa.int32())), ["table.types"]),
        (rewrite(fold=[0, 1, 2], participant_id=IDS), ["table.columns"]),
        (rewrite(participant_id=IDS, fold=[0, 1, 2], more=[0, 1, 2]), ["table.columns"]),
        (rewrite(participant_id=IDS), ["table.columns"]),
        (add_metadata, ["table.metadata"]),
        (lambda root: root.joinpath("data", "folds", "part-00001.parquet").write_bytes(b"PAR1"), ["table.unreadable"]),
        (lambda root: root.joinpath("data", "folds", "notes.txt").write_text("x"), ["table.unreadable"]),
        (lambda root: root.joinpath("schemas", "folds.json").unlink(), ["dictionary.malformed"]),
        (lambda root: root.joinpath("schemas", "folds.json").write_text("{"), ["dictionary.malformed"]),
        (lambda root: write_schema(root, "folds", '{"table":"x","columns":[]}'), ["dictionary.malformed"]),
        (lambda root: root.joinpath("schemas", "folds.json").write_text("[]"), ["dictionary.malformed"]),
        (lambda root: write_schema(root, "ghost", json.dumps(dictionary("ghost", TABLES["folds"]))), ["table.missing"]),
    ],
)  # fmt: skip
def test_step_7_tables_keep_their_promise(tmp_path: Path, spoil: Callable[[Path], Any], expected: list[str]) -> None:
    report = sealed_with(tmp_path, spoil)
    assert codes(report).get(7, []) == expected
    assert report.ok is not bool(expected)
    if expected:
        assert "before signing" in report.explanation


# What is no release at all, and what verification must not do


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: None])
def test_what_is_no_release_is_an_error(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    make(tmp_path / "thing")
    with pytest.raises(ReleaseFormatError) as caught:
        verify_release(tmp_path / "thing", trust=TRUST)
    assert str(tmp_path) not in str(caught.value)


def snapshot(root: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for path in sorted([root, *root.rglob("*")]):
        status = path.stat()
        found[str(path)] = (status.st_mode, status.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


def test_nothing_is_written_and_a_read_only_release_verifies(release: Path) -> None:
    for path in [*release.rglob("*"), release]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(release)
    assert verify_release(release, trust=TRUST).ok
    assert snapshot(release) == before


def test_a_link_to_the_release_itself_may_be_given(release: Path) -> None:
    link = release.parent / "latest"
    link.symlink_to(release.name)
    assert verify_release(link, trust=TRUST).ok


def test_the_report_is_the_same_each_time(release: Path) -> None:
    for name in ("x", "y", "z"):
        release.joinpath(name).write_text(name)
    assert verify_release(release, trust=TRUST).to_dict() == verify_release(release, trust=TRUST).to_dict()


def test_countersigning_twice_or_over_another_manifest_is_refused(release: Path) -> None:
    before = release.joinpath("manifest.dsse.json").read_bytes()
    with pytest.raises(OutputExistsError):
        countersign_release(release, STEWARD)
    release.joinpath("manifest.json").write_bytes(b"{}")
    with pytest.raises(ReleaseFormatError):
        countersign_release(release, REVIEWER)
    assert release.joinpath("manifest.dsse.json").read_bytes() == before


# Not getrusage: a child's maximum there begins with its parent's, so that it could never grow.
LARGE = """
import re, sys
from pathlib import Path
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
sys.path[:0] = sys.argv[2:]
from release_kit import TRUST
from sensai_release.release.verify import verify_release
before = peak()
assert verify_release(Path(sys.argv[1]), trust=TRUST).ok
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    root = tmp_path / "release"
    fill(root)
    with root.joinpath("large.bin").open("wb") as file:
        file.truncate(160 << 20)
    seal_release(root, PREDICATE, STEWARD)
    paths = [str(Path(__file__).parents[2]), *(path for path in sys.path if path)]
    result = subprocess.run(
        [sys.executable, "-c", LARGE, str(root), *paths], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 60 << 10  # KiB
