"""The checklist: a fixed list with a version, and a file of ticks that fits one manifest of one release."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sensai_release.errors import ConfigurationError, GateError
from sensai_release.release.checklist import (
    MAXIMUM_BYTES,
    blank,
    checklist,
    parse_checklist,
    read_checklist,
)
from sensai_release.release.documents import canonical_json

RELEASE, MANIFEST = "sensai-dbd-2.0.0", "ab" * 32
DIGESTS = {1: "15c1affefd71ee291f22db5ffeea19eaa83e83eef666bb592cf38e56e0f1ae83"}
ITEMS = checklist().for_release({"previous": {"version": "1.0.0"}, "waivers": [{}]})


def filled(**changes: Any) -> dict[str, Any]:
    return blank(checklist().version, RELEASE, MANIFEST, {item.id: True for item in ITEMS}) | changes


def parse(document: Any) -> Any:
    data = document if isinstance(document, bytes) else canonical_json(document)
    return parse_checklist(data, release=RELEASE, manifest_sha256=MANIFEST, items=ITEMS)


def test_a_changed_list_has_a_new_version() -> None:
    known = checklist()
    assert known.sha256 == DIGESTS[known.version]


def test_the_list_is_short_and_each_point_is_a_sentence() -> None:
    assert 8 <= len(ITEMS) <= 10
    assert len({item.id for item in ITEMS}) == len(ITEMS) == len(checklist().items)
    assert all(item.text.endswith(".") and len(item.text) < 120 for item in ITEMS)


@pytest.mark.parametrize(
    ("predicate", "left_out"),
    [
        ({"previous": None, "waivers": []}, {"changed", "waivers"}),
        ({"previous": {"version": "1.0.0"}}, {"waivers"}),
        ({"previous": None, "waivers": [{}]}, {"changed"}),
    ],
)
def test_what_does_not_apply_is_not_asked(predicate: dict[str, Any], left_out: set[str]) -> None:
    asked = {item.id for item in checklist().for_release(predicate)}
    assert {item.id for item in checklist().items} - asked == left_out


def test_a_complete_list_and_its_digest() -> None:
    done = parse(filled())
    assert done.items == tuple(sorted(item.id for item in ITEMS))
    assert done.to_dict() == filled()
    # Another spelling of the same document is the same list.
    assert parse(json.dumps(filled(), indent=2).encode()).sha256 == done.sha256
    again = parse_checklist(
        canonical_json(filled(release="sensai-dbd-2.0.1")), release="sensai-dbd-2.0.1", manifest_sha256=MANIFEST,
        items=ITEMS,
    )  # fmt: skip
    assert again.sha256 != done.sha256


def ticks(**changes: Any) -> dict[str, Any]:
    return {"items": {item.id: True for item in ITEMS} | changes}


def without(name: str) -> dict[str, Any]:
    return {"items": {item.id: True for item in ITEMS if item.id != name}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"release": "sensai-dbd-1.0.0"}, "another release"),
        ({"manifest_sha256": "cd" * 32}, "another manifest"),
        ({"checklist": 2}, "another version"),
        ({"checklist": True}, "breaks the rule"),
        (ticks(secret=True), "is not asked for"),
        (without("people"), "lacks the items people"),
        (ticks(people="yes"), "breaks the rule"),
        (ticks(people=1), "breaks the rule"),
        (ticks(people=None), "breaks the rule"),
        ({"items": []}, "breaks the rule"),
        ({"note": "by somebody"}, "breaks the rule"),
        ({"release": "=1+1"}, "breaks the rule"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_cure(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        parse(filled(**changes))
    assert caught.value.place == "--checklist"
    assert "review" in caught.value.cure
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{}",
        b"[" * 5000,
        b'{"checklist":1,"checklist":1}',
        b'{"checklist":NaN}',
        canonical_json(filled()) + b"{}",
        canonical_json(filled()).replace(b'"people":true', b'"people":false,"people":true'),
    ],
)
def test_what_is_no_strict_json_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        parse(data)


@pytest.mark.parametrize("name", [item.id for item in ITEMS])
def test_one_open_point_is_a_verdict_and_no_error_in_the_file(name: str) -> None:
    with pytest.raises(GateError, match=f"not complete: {name}"):
        parse(filled(**ticks(**{name: False})))


def test_reading_a_file(tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    good.write_bytes(b"{}")
    assert read_checklist(good) == b"{}"
    (tmp_path / "huge.json").write_bytes(b" " * (MAXIMUM_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    for name in ("huge.json", "pipe", "nowhere", "."):
        with pytest.raises(ConfigurationError, match="--checklist"):
            read_checklist(tmp_path / name)
