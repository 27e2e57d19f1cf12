"""The leak scan's parts: the search for many texts, the rules of canaries, and what is taken apart."""

from __future__ import annotations

import base64
import gzip
import io
import os
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensai_release.privacy.leakscan import KINDS, Canaries, CanaryBuilder, ScanLimits, scan_bytes, scan_tree
from sensai_release.privacy.leakscan.matching import Hit, Matcher, fold


def identifiers(*values: str, column: str | None = None) -> Canaries:
    builder = CanaryBuilder()
    builder.add_identifiers(values, column=column)
    return builder.build()


def codes(data: bytes, canaries: Canaries | None = None, *, patterns: bool = True) -> set[str]:
    return {finding.code for finding in scan_bytes(data, canaries=canaries or identifiers(), patterns=patterns)}


def parquet(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def zipped(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


# --- matching --------------------------------------------------------------------------------------------------------


@given(
    texts=st.lists(st.binary(min_size=4, max_size=12).map(fold).filter(lambda t: len(t) >= 4), min_size=1, max_size=8),
    data=st.binary(max_size=80),
    place=st.integers(0, 80),
)
@settings(max_examples=150, deadline=None)
def test_the_matcher_agrees_with_a_plain_search(texts: list[bytes], data: bytes, place: int) -> None:
    data = data[:place] + texts[0] + data[place:]
    folded = fold(data)
    unique = list(dict.fromkeys(texts))
    expected = {begin for begin in range(len(folded)) for text in unique if folded[begin:].startswith(text)}
    hits = list(Matcher(unique).find(data))
    assert len(hits) == len(expected) > 0
    assert all(fold(data[hit.start : hit.end]) == unique[hit.text] for hit in hits)


def test_a_text_across_two_blocks_is_found_once() -> None:
    size = 1 << 22
    data = bytearray(b"," * (2 * size))
    data[size - 4 : size + 6] = b"SYN0001-S1"
    assert list(Matcher([b"syn0001s1"]).find(bytes(data))) == [Hit(text=0, start=size - 4, end=size + 6)]


def test_a_text_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="too short"):
        Matcher([b"abc"])


# --- the rules of canaries -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "text", "found"),
    [
        ("SYN0001", b"the file SYN0001.csv", True),
        ("SYN0001", b"syn-0001", True),
        ("SYN0001", b"face_SYN_0001_left", True),
        ("SYN0001", b"SYN00012", False),
        ("SYN0001", b"XSYN0001", False),
        ("SYN0001-S12", b"xSYN0001S12x", True),
        ("P001", b"P = 0.01, P 0.01", False),
        ("P001", b"(P001)", True),
        ("1023", b"1023 frames were read", False),
        ("1023", b"participant 1023 was", True),
        ("1023", b'"participant_id": 1023', True),
        ("1023", b"participant_id,age\n7,50\n1023,51\n", True),
        ("1023", b"frame,age\n1023,51\n", False),
        ("20231023", b"0.20231023", False),
        ("20231023", b"seen: 20231023.", True),
    ],
)
def test_when_an_identifier_counts(identifier: str, text: bytes, found: bool) -> None:
    assert ("leak.identifier" in codes(text, identifiers(identifier), patterns=False)) is found


def test_a_number_counts_as_a_whole_cell_of_text() -> None:
    table = pa.table({"note": ["1023", "x"], "frames": pa.array([1023, 4])})
    assert codes(parquet(table), identifiers("1023")) == {"leak.identifier"}
    assert codes(parquet(table.select(["frames"])), identifiers("1023")) == set()


def test_typed_numbers_count_under_the_name_of_a_key() -> None:
    data = parquet(pa.table({"participant_id": pa.array([1023, 1024])}))
    assert codes(data, identifiers("1023", column="participant_id")) == {"leak.identifier"}


def test_identifiers_too_short_to_be_looked_for_are_told() -> None:
    assert identifiers("12").too_short
    assert not identifiers("1234").too_short


@pytest.mark.parametrize("name", ["Zoë Müllèr", "Willemijn van den Fictief", "Ng Verzonnen"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_a_name_is_found_in_each_spelling(name: str, encoding: str) -> None:
    builder = CanaryBuilder()
    builder.add_names([name])
    for spelling in (name, name.upper(), name.lower(), name.replace(" ", "_")):
        assert "leak.name" in codes(f"seen by {spelling} here".encode(encoding), builder.build()), spelling


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("shift", [0, 1])
def test_a_name_with_accents_is_found_in_binary_data(encoding: str, shift: int) -> None:
    builder = CanaryBuilder()
    builder.add_names(["Zo\u00eb M\u00fcll\u00e8r"])
    noise = bytes(range(1, 32)) * 40
    data = noise + bytes(shift) + "by Zo\u00eb M\u00fcll\u00e8r too".encode(encoding) + noise
    assert codes(data, builder.build()) == {"leak.name"}


def test_two_words_are_not_one_name() -> None:
    builder = CanaryBuilder()
    builder.add_names(["Noor"])
    assert codes(b"painted no or affixed", builder.build()) == set()
    assert codes(b"painted by noor.", builder.build()) == {"leak.name"}


def test_declared_words_are_no_canaries() -> None:
    builder = CanaryBuilder(["The page describes pain that is worse when moving."])
    builder.add_names(["Page"])
    builder.add_free_text(["pain that is worse when Page visits Fictiefsma"])
    canaries = builder.build()
    assert codes(b"This page: pain that is worse when moving.", canaries) == set()
    assert codes(b"asked fictiefsma", canaries) == {"leak.free_text"}
    assert codes(b"worse when\n   page visits", canaries) == {"leak.free_text"}


def test_frequent_words_of_free_text_count_in_runs_only() -> None:
    cells = [f"The ward of Groenveld, bed {number}" for number in range(40)]
    builder = CanaryBuilder()
    builder.add_free_text(cells)
    assert codes(b"Groenveld", builder.build()) == set()
    assert codes(b"ward of Groenveld", builder.build()) == {"leak.free_text"}


def test_canaries_show_nothing() -> None:
    assert repr(identifiers("SYN0001")) == "Canaries()"


# --- taking apart ----------------------------------------------------------------------------------------------------

SECRET = b"recorded for SYN0001 today"
WRAPPINGS = {
    "gzip": gzip.compress(SECRET, mtime=0),
    "zip": zipped("a.txt", SECRET),
    "name in a zip": zipped("SYN0001.txt", b"nothing"),
    "zip in gzip": gzip.compress(zipped("a.txt", SECRET), mtime=0),
    "zip behind a picture": b"\x89PNG\r\n\x1a\n\0\0" + bytes(50) + zipped("a.txt", gzip.compress(SECRET, mtime=0)),
    "zstd": pa.compress(SECRET, codec="zstd", asbytes=True),
    "base64": b"data:text/plain;base64," + base64.b64encode(SECRET),
    "base64 behind letters": b"key_" + base64.b64encode(SECRET),
    "base64 of gzip": base64.b64encode(gzip.compress(SECRET, mtime=0)),
    "base64 in JSON in zip": zipped("a.json", b'{"v":"' + base64.urlsafe_b64encode(SECRET) + b'"}'),
    "hexadecimal": SECRET.hex().encode(),
    "URL escapes": b"q=%53%59%4e0001",
    "JSON escapes": rb'"\u0053\u0059\u004e0001"',
    "HTML escapes": b"<p>&#83;YN0001</p>",
    "UTF-16 without a mark": SECRET.decode().encode("utf-16-be"),
    "bytes of a program": b"\x7fELF\0\1" + bytes(range(32)) * 4 + b"\0" + SECRET + b"\0\2",
    "a text cell": parquet(pa.table({"note": [SECRET.decode()]})),
    "a dictionary cell": parquet(pa.table({"note": pa.array([SECRET.decode()]).dictionary_encode()})),
    "a nested cell": parquet(pa.table({"note": [[{"a": {"b": SECRET.decode()}}]]})),
    "a map cell": parquet(pa.table({"note": pa.array([[("k", "SYN0001")]], pa.map_(pa.string(), pa.string()))})),
    "a binary cell": parquet(pa.table({"note": [gzip.compress(SECRET, mtime=0)]})),
    "base64 cell": parquet(pa.table({"note": [base64.b64encode(SECRET).decode()]})),
    "a column name": parquet(pa.table({"SYN0001": [1.0]})),
    "metadata": parquet(pa.table({"x": [1.0]}).replace_schema_metadata({"from": SECRET})),
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_what_is_wrapped_is_found(name: str) -> None:
    assert "leak.identifier" in codes(WRAPPINGS[name], identifiers("SYN0001"))


@pytest.mark.parametrize("name", WRAPPINGS)
def test_what_is_wrapped_is_no_finding_for_another_study(name: str) -> None:
    assert codes(WRAPPINGS[name], identifiers("SYN0002")) == set()


def test_a_damaged_container_is_said_to_be_unscanned() -> None:
    whole = parquet(pa.table({"note": ["a"] * 50}))
    for data in (whole[:-9], gzip.compress(SECRET, mtime=0)[:-12], zipped("a", SECRET)[:-5], b"PAR1"):
        assert "leak.unscanned" in codes(data)


def test_a_bomb_is_said_to_be_unscanned_and_not_expanded() -> None:
    bomb = gzip.compress(gzip.compress(bytes(8 << 20), mtime=0))
    found = scan_bytes(bomb, limits=ScanLimits(expanded_bytes=1 << 20))
    assert [finding.code for finding in found] == ["leak.unscanned"]
    nested = SECRET
    for _ in range(8):
        nested = gzip.compress(nested, mtime=0)
    assert codes(nested) == {"leak.unscanned"}


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_scanned_without_an_error(data: bytes) -> None:
    for head in (b"", b"PAR1", b"PK\x03\x04", b"\x1f\x8b\x08", b"\xff\xfe", b"BZh9", b"\x28\xb5\x2f\xfd"):
        assert codes(head + data) <= set(KINDS)


# --- folders ---------------------------------------------------------------------------------------------------------


def test_a_tree_is_scanned_with_its_names(tmp_path: Path) -> None:
    (tmp_path / "data" / "face").mkdir(parents=True)
    (tmp_path / "data" / "face" / "part-00000.parquet").write_bytes(WRAPPINGS["a text cell"])
    (tmp_path / "SYN0001.txt").write_text("nothing")
    (tmp_path / "clean.txt").write_text("nothing")
    (tmp_path / "link").symlink_to("clean.txt")
    os.mkfifo(tmp_path / "pipe")
    found = scan_tree(tmp_path, canaries=identifiers("SYN0001"))
    assert {(item.file, item.table, item.column, item.code) for item in found} == {
        ("data/face/part-00000.parquet", "face", "note", "leak.identifier"),
        ("file #1 in name order", "", None, "leak.identifier"),
        ("link", "", None, "leak.unscanned"),
        ("pipe", "", None, "leak.unscanned"),
    }
    assert all(item.severity == "error" for item in found)
    assert "SYN0001" not in repr(found)


def test_a_column_whose_name_leaks_is_not_named() -> None:
    data = parquet(pa.table({"SYN0001": ["jan@example.org"]}))
    found = scan_bytes(data, canaries=identifiers("SYN0001"))
    assert {item.code for item in found} == {"leak.identifier", "leak.email"}
    assert "SYN0001" not in repr(found)


def test_the_same_tree_gives_the_same_findings(tmp_path: Path) -> None:
    names = [f"{number}.txt" for number in range(9)]
    random.Random(1).shuffle(names)  # noqa: S311 - the order in which files were made must not matter
    for name in names:
        (tmp_path / name).write_text("see SYN0001 and jan@example.org")
    found = scan_tree(tmp_path, canaries=identifiers("SYN0001"))
    assert found == scan_tree(tmp_path, canaries=identifiers("SYN0001"))
    assert len(found) == 18
    assert [item.file for item in found] == sorted(str(item.file) for item in found)
