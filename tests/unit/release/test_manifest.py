from __future__ import annotations

import copy
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from release_kit import PREDICATE, fill, make_release

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.documents import canonical_json
from sensai_release.release.inventory import is_plain_path, printable
from sensai_release.release.layout import CHECKSUMS, MANIFEST, UNLISTED
from sensai_release.release.manifest import build_statement, check_schema, checked_bytes, parse_statement, sha256sums


def files_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_every_file_but_three_is_listed_with_digest_and_size(tmp_path: Path) -> None:
    statement = make_release(tmp_path)
    assert {resource.name for resource in statement.subject} == files_below(tmp_path) - UNLISTED
    for resource in statement.subject:
        data = tmp_path.joinpath(resource.name).read_bytes()
        assert (resource.digest, resource.size) == (hashlib.sha256(data).hexdigest(), len(data))
    names = [resource.name for resource in statement.subject]
    assert names == sorted(names)
    assert statement.resources["data/folds/part-00001.parquet"].media_type == "application/vnd.apache.parquet"


def test_the_same_release_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_release(tmp_path / name)
    for name in files_below(tmp_path / "a"):
        assert tmp_path.joinpath("a", name).read_bytes() == tmp_path.joinpath("b", name).read_bytes()


def test_a_statement_survives_the_round_trip(tmp_path: Path) -> None:
    statement = make_release(tmp_path)
    assert parse_statement(tmp_path.joinpath(MANIFEST).read_bytes()) == statement


def test_it_is_an_in_toto_statement(tmp_path: Path) -> None:
    make_release(tmp_path)
    document = json.loads(tmp_path.joinpath(MANIFEST).read_text())
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "urn:sensai-release:predicate:release:1"
    assert set(document["subject"][0]) == {"name", "digest", "mediaType", "annotations"}


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    fill(tmp_path)
    seen: list[tuple[int, int]] = []
    statement = build_statement(tmp_path, PREDICATE, lambda done, total: seen.append((done, total)))
    total = sum(resource.size for resource in statement.subject)
    assert seen[-1] == (total, total)
    assert len(seen) == len(statement.subject)


def test_sha256sum_itself_agrees_and_covers_the_manifest(tmp_path: Path) -> None:
    statement = make_release(tmp_path)
    text = sha256sums(statement, tmp_path.joinpath(MANIFEST).read_bytes())
    assert tmp_path.joinpath(CHECKSUMS).read_text() == text
    covered = {line.split("  ", 1)[1] for line in text.splitlines()}
    assert covered == files_below(tmp_path) - {CHECKSUMS, "manifest.dsse.json"}
    subprocess.run(["sha256sum", "--check", "--strict", CHECKSUMS], cwd=tmp_path, check=True, capture_output=True)


def test_a_file_larger_than_one_read_is_hashed_whole(tmp_path: Path) -> None:
    data = os.urandom(1000) * 5000
    tmp_path.joinpath("big.bin").write_bytes(data)
    assert build_statement(tmp_path, PREDICATE).subject[0].digest == hashlib.sha256(data).hexdigest()


def add_link(root: Path) -> None:
    root.joinpath("link").symlink_to("README.md")


def add_folder_link(root: Path) -> None:
    root.joinpath("other").symlink_to("data", target_is_directory=True)


def add_pipe(root: Path) -> None:
    os.mkfifo(root / "pipe")


def add_empty_folder(root: Path) -> None:
    root.joinpath("empty").mkdir()


def add_file(name: str) -> Callable[[Path], None]:
    def add(root: Path) -> None:
        root.joinpath(name).write_text("x")

    return add


@pytest.mark.parametrize(
    "spoil",
    [
        add_link, add_folder_link, add_pipe, add_empty_folder, add_file("two words"), add_file(".hidden"),
        add_file("-rf"), add_file("a\nb"), add_file("naïve"), add_file("readme.MD"), add_file("CON.txt"),
        add_file("dot."), add_file("a" * 201),
    ],
)  # fmt: skip
def test_building_refuses_what_must_not_be_released(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    fill(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ReleaseFormatError) as caught:
        build_statement(tmp_path, PREDICATE)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a/../b", "../b", "/b", "a//b", "a/./b", "", "a/", "con", "a\\b", "a:b", "x" * 201, "/".join("a" * 17)]
)
def test_paths_that_are_not_plain(name: str) -> None:
    assert not is_plain_path(name)


@pytest.mark.parametrize("name", ["README.md", "data/t/part-00000.parquet", "a_b/c-d.e", "console", "_a"])
def test_paths_that_are_plain(name: str) -> None:
    assert is_plain_path(name)


def test_printable_escapes_what_a_terminal_would_obey() -> None:
    for hostile in ("a\x1b[2Jb", "a\nb", "a\u202eb", "a\udcffb", "a\x00b"):
        shown = printable(hostile)
        assert shown.isascii()
        assert shown.isprintable()
    assert len(printable("x" * 5000)) == 200


@pytest.mark.parametrize("missing", sorted(PREDICATE))
def test_the_predicate_is_complete(tmp_path: Path, missing: str) -> None:
    fill(tmp_path)
    predicate = {name: value for name, value in PREDICATE.items() if name != missing}
    with pytest.raises(ReleaseFormatError, match="predicate breaks the rule 'required'"):
        build_statement(tmp_path, predicate)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", "1.0"), ("version", "latest"), ("series", "Synthetic Series"), ("as_of", "31-01-2026"),
        ("previous", {"version": "1.0.0"}), ("policy_sha256", "0" * 63), ("synthetic", "no"),
        ("counts", {"persons": -1}),
        ("counts", {"persons": "few"}), ("risk", {"k_min": 5}), ("terms_sha256", None),
    ],
)  # fmt: skip
def test_the_predicate_is_checked_and_not_quoted(tmp_path: Path, name: str, value: Any) -> None:
    fill(tmp_path)
    with pytest.raises(ReleaseFormatError, match=f"predicate.{name}") as caught:
        build_statement(tmp_path, {**PREDICATE, name: value})
    assert str(value) not in str(caught.value)


def by_the_libraries(document: Any) -> bytes:
    check_schema(document, "manifest.schema.json", MANIFEST)
    return canonical_json(document)


def outcome(check: Callable[[Any], bytes], document: Any) -> bytes | str:
    try:
        return check(document)
    except ReleaseFormatError as error:
        return str(error)


NO_DIGESTS: list[Any] = [{}, None, "0" * 64, ["sha256"]]
ODD_ENTRIES: list[Callable[[dict[str, Any]], Any]] = [
    lambda item: None,
    *(lambda item, name=name: item.update(name=name)
      for name in ["é", "\u017f", '"', "\\", "\n", "\x7f", "\u2028", "a//b", "", "x" * 1001, 5, None, True, ["a"], {}]),
    *(lambda item, digest=digest: item.update(digest={"sha256": digest})
      for digest in ["A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", "\u0660" * 64, None, 5]),
    *(lambda item, digest=digest: item.update(digest=digest) for digest in NO_DIGESTS),
    *(lambda item, size=size: item["annotations"].update(size=size)
      for size in [-1, 0, 1.0, 1.5, 1e16, 2**53 - 1, 2**53, True, "1", None]),
    *(lambda item, kind=kind: item.update(mediaType=kind) for kind in ["text/é", "text/csv;x", "text/csv\n", None]),
    lambda item: item.update(extra=1),
    lambda item: item["annotations"].update(extra=1),
    lambda item: item["digest"].update(md5="0"),
    lambda item: item.pop("mediaType"),
]  # fmt: skip


@pytest.mark.parametrize("position", [0, 3])
@pytest.mark.parametrize("change", ODD_ENTRIES)
def test_the_short_way_says_what_the_libraries_say(position: int, change: Callable[[Any], Any], tmp_path: Path) -> None:
    fill(tmp_path)
    document = build_statement(tmp_path, {**PREDICATE, "note": {"b": [1e21, "é\x7f\u2028"], "a": 0.5}}).to_dict()
    change(document["subject"][position])
    assert outcome(checked_bytes, document) == outcome(by_the_libraries, document)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(subject=[]), lambda d: d.update(subject={}), lambda d: d.update(subject="x"),
        lambda d: d.update(subject=[1]), lambda d: d.pop("subject"), lambda d: d.update(zz=1),
        lambda d: d.update(_type=1),
        lambda d: d.update(predicate=None), lambda d: d["predicate"].update(note=float("nan")),
        lambda d: d["predicate"].update(note=2**53), lambda d: d["predicate"].update(version="1"),
    ],
)  # fmt: skip
def test_the_short_way_refuses_what_the_libraries_refuse(change: Callable[[Any], Any], tmp_path: Path) -> None:
    fill(tmp_path)
    document = build_statement(tmp_path, PREDICATE).to_dict()
    change(document)
    assert outcome(checked_bytes, document) == outcome(by_the_libraries, document)


@pytest.mark.parametrize("document", [None, [], "x", 1, {}])
def test_what_is_no_statement_is_refused(document: Any) -> None:
    assert outcome(checked_bytes, document) == outcome(by_the_libraries, document)


def changed(document: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> bytes:
    document = copy.deepcopy(document)
    change(document)
    return canonical_json(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda d: d.update(predicateType="urn:other"),
        lambda d: d.update(extra=1),
        lambda d: d.update(subject=[]),
        lambda d: d["subject"].reverse(),
        lambda d: d["subject"].append(d["subject"][-1]),
        lambda d: d["subject"][0].update(name="../outside"),
        lambda d: d["subject"][0].update(name="/etc/passwd"),
        lambda d: d["subject"][0].update(name="a\nb"),
        lambda d: d["subject"][0].update(name="manifest.json"),
        lambda d: d["subject"][0].update(digest={"sha256": "A" * 64}),
        lambda d: d["subject"][0].update(digest={"sha256": "0" * 64, "md5": "0"}),
        lambda d: d["subject"][0]["annotations"].update(size=-1),
        lambda d: d["subject"][0]["annotations"].update(size=1.5),
        lambda d: d["predicate"].pop("version"),
    ],
)
def test_parsing_refuses_other_statements(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = make_release(tmp_path).to_dict()
    assert parse_statement(canonical_json(document))
    with pytest.raises(ReleaseFormatError):
        parse_statement(changed(document, change))


def test_parsing_refuses_names_that_collide(tmp_path: Path) -> None:
    document = make_release(tmp_path).to_dict()
    for name in ("readme.md", "README.md/below"):
        twin = {**document["subject"][0], "name": name}
        subject = sorted([*document["subject"], twin], key=lambda item: item["name"])
        with pytest.raises(ReleaseFormatError):
            parse_statement(canonical_json({**document, "subject": subject}))


def test_parsing_refuses_another_byte_form(tmp_path: Path) -> None:
    document = make_release(tmp_path).to_dict()
    with pytest.raises(ReleaseFormatError, match="canonical"):
        parse_statement(json.dumps(document).encode())
