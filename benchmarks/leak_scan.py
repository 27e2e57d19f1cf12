"""Measures the leak scan: recall by kind and encoding, false alarms on feature tables, and speed.

    python benchmarks/leak_scan.py [--each 40] [--cells 4000000] [--tables FOLDER]...

Every planted item is invented. Recall: each kind, hidden in text, in each encoding and container. False alarms: random
tables of numbers, pseudonyms and digests, and every comma-separated file below the folders named, as text. Speed: a
table of features as text against 200 persons x 1,000 sessions of identifiers.
"""

from __future__ import annotations

import argparse
import base64
import bz2
import gzip
import io
import json
import random
import string
import time
import urllib.parse
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sensai_release.privacy.leakscan import Canaries, CanaryBuilder, scan_bytes
from sensai_release.privacy.leakscan.patterns import is_bsn

PERSONS = [f"SYN{number:04d}" for number in range(200)]
NAMES = ("Willemijn van Fictief-Oudenhoven", "Bartje Verzonnen", "Zoë Müllèr-Bedacht", "Noor O'Nepnaam")
FREE_TEXT = "My neighbour Fictiefsma drove me to the clinic because my left shoulder burned all night."


def bsn(dice: random.Random) -> str:
    while True:
        number = str(dice.randrange(100_000_000, 1_000_000_000))
        if is_bsn(number.encode()):
            return number


def iban(dice: random.Random) -> str:
    body = "".join(dice.choices(string.ascii_uppercase, k=4)) + "".join(dice.choices(string.digits, k=10))
    check = 98 - int("".join(str(int(c, 36)) for c in body + "NL00")) % 97
    text = f"NL{check:02d}{body}"
    return text if dice.random() < 0.5 else " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def digits(dice: random.Random, count: int) -> str:
    return "".join(dice.choices(string.digits, k=count))


def address(dice: random.Random) -> str:
    return (
        f"Dorpsstraat {dice.randrange(1, 99)}, {dice.randrange(1000, 9999)} {dice.choice(('AB', 'XZ', 'KR'))} Utrecht"
    )


def identifier(dice: random.Random) -> str:
    person = dice.choice(PERSONS)
    return dice.choice((person, person.lower(), f"{person}-S{dice.randrange(1, 9)}", f"{person[:3]}-{person[3:]}"))


KINDS: dict[str, Callable[[random.Random], str]] = {
    "leak.identifier": identifier,
    "leak.name": lambda dice: dice.choice(NAMES),
    "leak.free_text": lambda dice: dice.choice((FREE_TEXT, "because my left shoulder burned", "Fictiefsma")),
    "leak.bsn": lambda dice: f"{dice.choice(('BSN', 'bsn:', 'burgerservicenummer'))} {bsn(dice)}",
    "leak.iban": iban,
    "leak.phone": lambda dice: dice.choice(
        (f"06-{digits(dice, 8)}", f"+31 6 {digits(dice, 8)}", f"010-{digits(dice, 7)}", f"tel. 030{digits(dice, 7)}")
    ),
    "leak.postcode": address,
    "leak.email": lambda dice: (
        f"{dice.choice(('j.fictief', 'noor_nep', 'info'))}@{dice.choice(('example.org', 'mail.example.nl'))}"
    ),
    "leak.path": lambda dice: dice.choice(
        (
            "/home/fictief/video/a.mp4",
            "C:\\Users\\fictief\\a.csv",
            "/Users/nep/x",
            "\\\\store01\\share\\a",
            "/mnt/vault/p1",
        )
    ),
    "leak.datetime": lambda dice: dice.choice(("2026-03-14T10:32", "2026-03-14 10:32:11", "14-03-2026 9:05")),
    "leak.date": lambda dice: dice.choice(("2026-03-14", "14-03-2026", "14 maart 2026")),
    "leak.ip": lambda dice: dice.choice((f"10.{dice.randrange(11, 250)}.7.33", "2001:db8:0:12::7f")),
    "leak.mac": lambda dice: ":".join(f"{dice.randrange(256):02x}" for _ in range(6)),
    "leak.gps": lambda dice: f"lat {52 + dice.random():.5f}, {4 + dice.random():.5f}",
}


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes.txt", data)
    return out.getvalue()


def in_parquet(data: bytes) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"note": ["plain", data.decode(), None]}), out, compression="zstd")
    return out.getvalue()


def in_metadata(data: bytes) -> bytes:
    out = io.BytesIO()
    table = pa.table({"x": [1.0]}).replace_schema_metadata({"origin": data.decode()})
    pq.write_table(table, out)
    return out.getvalue()


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda data: data,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "base64": base64.b64encode,
    "base64 wrapped": lambda data: base64.encodebytes(data * 3),
    "base64 in a URL": lambda data: b"https://example.org/?q=" + base64.urlsafe_b64encode(data),
    "base64 twice": lambda data: base64.b64encode(base64.b64encode(data)),
    "hexadecimal": lambda data: data.hex().encode(),
    "URL escapes": lambda data: urllib.parse.quote(data, safe="").encode(),
    "JSON": lambda data: json.dumps({"note": data.decode()}).encode(),
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "zip": zipped,
    "gzip in zip": lambda data: zipped(gzip.compress(data, mtime=0)),
    "Parquet cell": in_parquet,
    "Parquet base64 cell": lambda data: in_parquet(base64.b64encode(data)),
    "Parquet metadata": in_metadata,
}


def canaries(sessions: int = 8) -> Canaries:
    builder = CanaryBuilder(["The participant reported pain and the clinic visit was recorded."])
    builder.add_identifiers(PERSONS, column="participant_id")
    builder.add_identifiers(f"{person}-S{number}" for person in PERSONS for number in range(1, sessions + 1))
    builder.add_names(NAMES)
    builder.add_free_text([FREE_TEXT])
    return builder.build()


def recall(each: int) -> dict[str, dict[str, float]]:
    """Found of planted, by encoding and kind."""
    dice = random.Random(7)  # noqa: S311 - the same figures every time
    known = canaries()
    rates: dict[str, dict[str, float]] = {}
    for encoding, encode in ENCODINGS.items():
        rates[encoding] = {}
        for kind, make in KINDS.items():
            found = 0
            for _ in range(each):
                text = f"The recording was checked: {make(dice)} and then closed."
                found += any(item.code == kind for item in scan_bytes(encode(text.encode()), canaries=known))
            rates[encoding][kind] = found / each
    return rates


def random_tables(cells: int) -> dict[str, bytes]:
    """Numbers, pseudonyms and digests by chance, as text; each holds about the same number of cells."""
    source = np.random.default_rng(3)
    rows, width = cells // 20, 20
    tables = {}
    for name, values, form in (
        ("decimal fractions", source.normal(0, 100, (rows, width)), "%.5f"),
        ("nine-digit numbers", source.integers(10**8, 10**9, (rows, width)), "%d"),
        ("eight-digit numbers", source.integers(10**7, 10**8, (rows, width)), "%d"),
        ("small numbers", source.integers(0, 10_000, (rows, width)), "%d"),
    ):
        out = io.BytesIO()
        np.savetxt(out, values, fmt=form, delimiter=",")
        tables[name] = out.getvalue()
    alphabet = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", dtype=np.uint8)
    letters = alphabet[source.integers(0, 32, (cells // 4, 18))]
    tables["pseudonyms"] = b"\n".join(row.tobytes() for row in letters)
    tables["SHA-256 digests"] = b"\n".join(source.bytes(32).hex().encode() for _ in range(cells // 40))
    return tables


def report_false_alarms(cells: int, folders: list[Path]) -> None:
    known = canaries()
    print(f"\n{'false alarms':<44}{'cells':>12}{'alarms':>9}{'MB/s':>8}")
    named = list(random_tables(cells).items())
    named += [(path.name, path.read_bytes()) for folder in folders for path in sorted(folder.rglob("*.csv"))]
    total = alarms = 0
    for name, data in named:
        start = time.perf_counter()
        found = scan_bytes(data, canaries=known)
        seconds = time.perf_counter() - start
        count = data.count(b",") + data.count(b";") + data.count(b"\n") + 1
        hits = sum(item.count for item in found)
        total, alarms = total + count, alarms + hits
        kinds = " ".join(f"{item.code}={item.count}" for item in found)
        print(f"{name[:43]:<44}{count:>12,}{hits:>9}{len(data) / seconds / 1e6:>8.0f}  {kinds}")
    print(f"{'together':<44}{total:>12,}{alarms:>9}   {alarms / total * 1e6:.3f} per million cells")


def report_speed() -> None:
    known = canaries(sessions=1000)
    table = next(iter(random_tables(2_000_000).values()))
    data = table * (100_000_000 // len(table) + 1)
    for label, size in (("10 MB", 10_000_000), ("100 MB", 100_000_000)):
        start = time.perf_counter()
        scan_bytes(data[:size], canaries=known)
        print(f"speed: {label} of features as text, 200,200 identifiers: {time.perf_counter() - start:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=40)
    parser.add_argument("--cells", type=int, default=4_000_000)
    parser.add_argument("--tables", type=Path, action="append", default=[])
    options = parser.parse_args()
    rates = recall(options.each)
    print(f"{'recall':<22}" + "".join(f"{kind.removeprefix('leak.')[:9]:>11}" for kind in KINDS))
    for encoding, by_kind in rates.items():
        print(f"{encoding:<22}" + "".join(f"{rate:>11.2f}" for rate in by_kind.values()))
    report_false_alarms(options.cells, options.tables)
    report_speed()


if __name__ == "__main__":
    main()
