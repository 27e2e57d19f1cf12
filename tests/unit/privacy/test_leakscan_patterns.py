"""Which texts are numbers, addresses and places of people, and which only look like them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sensai_release.privacy.leakscan import scan_bytes
from sensai_release.privacy.leakscan.patterns import (
    count_patterns,
    holds_places,
    is_bsn,
    is_iban,
    texts_of,
    without_plain_numbers,
)

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
FEATURES = ("openface", "opensmile", "mediapipe", "librosa", "odbm_derived")

FOUND = [
    ("leak.bsn", "BSN: 111222333"),
    ("leak.bsn", "her burgerservicenummer is 123456782"),
    ("leak.bsn", "1234.56.782"),
    ("leak.iban", "NL91ABNA0417164300"),
    ("leak.iban", "GB82 WEST 1234 5698 7654 32"),
    ("leak.phone", "06-12345678"),
    ("leak.phone", "0612345678"),
    ("leak.phone", "+31 (0)6 1234 5678"),
    ("leak.phone", "010-1234567"),
    ("leak.phone", "(010) 123 45 67"),
    ("leak.phone", "tel. 0101234567"),
    ("leak.phone", "+49 30 1234567"),
    ("leak.phone", "(405) 321-1111"),
    ("leak.postcode", "Dorpsstraat 1, 1234AB Utrecht"),
    ("leak.postcode", "3015 GD"),
    ("leak.postcode", "postcode: 1234AB"),
    ("leak.email", "mail j.fictief+x@mail.example.nl."),
    ("leak.path", "/home/fictief/a.csv"),
    ("leak.path", "C:\\Users\\fictief"),
    ("leak.path", '"C:\\\\Users\\\\fictief\\\\a.csv"'),
    ("leak.path", "D:\\video\\a.mp4"),
    ("leak.path", "\\\\store01\\patients\\a"),
    ("leak.path", "file:///scratch/a"),
    ("leak.path", "(/mnt/vault/a.wav)"),
    ("leak.datetime", "2026-03-14T10:32:00Z"),
    ("leak.datetime", "14-03-2026 om 9:05"),
    ("leak.date", "on 2026-03-14 she"),
    ("leak.date", "14/3/2026"),
    ("leak.date", "14 maart 2026"),
    ("leak.ip", "145.5.22.10"),
    ("leak.ip", "2001:db8::8a2e:370:7334"),
    ("leak.mac", "00:1B:44:11:3A:B7"),
    ("leak.gps", '{"lat": 51.910622, "lon": 4.469217}'),
    ("leak.gps", "51\u00b054'38\" N"),
]

NOT_FOUND = [
    "111222333",  # a number alone proves nothing
    "BSN: 111222334",
    "NL92ABNA0417164300",
    "0.0612345678",
    "1234567890",
    "in 2016 LL, 1000 HZ, 1999 EN",
    "1234ABC 12345 AB",
    "@media print",
    "user@localhost",
    "https://example.org/home",
    "data/participants/part-00000.parquet",
    "#!/usr/bin/env python3",
    "version 2.2.0.14",
    "127.0.0.1 and 1.2.3.4.5.6",
    "10:32:11",
    "as of 2026-03-14",
    '"datePublished": "2026-03-14"',
    "51.910622, 4.469217",
    "a::before { }",
    "P3XK7Q0A9M2B4C6D8E",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "regex \\d{4}\\.\\w+",
]


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_what_is_found(kind: str, text: str) -> None:
    assert kind in count_patterns(f"She said {text} and left".encode())


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_is_not_found(text: str) -> None:
    assert count_patterns(f"It says {text} here".encode()) == {}


@pytest.mark.parametrize(("number", "valid"), [("111222333", True), ("123456782", True), ("123456789", False)])
def test_the_eleven_proof(number: str, valid: bool) -> None:
    assert is_bsn(number.encode()) is valid


def test_one_number_in_eleven_passes_the_eleven_proof() -> None:
    share = np.mean([is_bsn(b"%d" % number) for number in range(200_000_000, 200_011_000)])
    assert 0.08 < share < 0.10


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("NL91ABNA0417164300", True),
        ("DE89370400440532013000", True),
        ("BE68 5390 0754 7034", True),
        ("NL91ABNA0417164301", False),
        ("NL91ABNA041716430", False),
        ("ZZ91ABNA0417164300", False),
    ],
)
def test_the_iban_registry_s_examples(text: str, valid: bool) -> None:
    assert is_iban(text.encode()) is valid


def test_a_column_that_says_it_holds_bsns() -> None:
    import io

    import pyarrow.parquet as pq

    for name, found in (("patient_bsn", {"leak.bsn"}), ("counter", set())):
        out = io.BytesIO()
        pq.write_table(pa.table({name: ["111222333", "123456782"]}), out)
        assert {item.code for item in scan_bytes(out.getvalue())} == found


def test_columns_of_places() -> None:
    assert holds_places(["x", "gps_lat", "gps_lon"])
    assert not holds_places(["latency", "longest", "flat"])


def test_declared_texts_are_left_out() -> None:
    declared = texts_of(b"contact: data@example.org")
    assert count_patterns(b"write to data@example.org", declared=declared) == {}
    assert count_patterns(b"write to jan@example.org", declared=declared) == {"leak.email": 1}


@pytest.mark.parametrize(
    ("delimiter", "number", "hidden"),
    [(",", "-0.51234", "0612345678"), (";", "0,0612345678", "06-12345678"), ("\t", "12.5", "2026-03-14T10:32")],
)
def test_a_leak_in_a_table_of_numbers_is_found_where_its_numbers_are_not(
    delimiter: str, number: str, hidden: str
) -> None:
    row = delimiter.join([number] * 30)
    table = "\n".join([delimiter.join(f"c{n}" for n in range(30)), *[row] * 200, ""])
    assert len(without_plain_numbers(table.encode())) < len(table) // 10
    assert count_patterns(table.encode()) == {}
    leaky = table.replace(number, hidden, 1)
    assert sum(count_patterns(leaky.encode()).values()) == 1


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real tool output is not here")
@pytest.mark.parametrize("tool", FEATURES)
def test_no_false_alarm_on_real_feature_tables(tool: str) -> None:
    paths = sorted((SHARED / tool).glob("*.csv"))
    assert paths
    assert [(path.name, found.code) for path in paths for found in scan_bytes(path.read_bytes())] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real tool output is not here")
def test_a_real_home_folder_is_found() -> None:
    found = scan_bytes((SHARED / "pyfeat" / "fex_v0_home_path_in_input.csv").read_bytes())
    assert [item.code for item in found] == ["leak.path"]
