"""What hides in a table: files under a table's name, bytes written as text, samples written as numbers."""

from __future__ import annotations

import base64
import hashlib
import io
import pickle
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_kit import PARTICIPANT, column, table_schema

from sensai_release.table.findings import Finding
from sensai_release.table.stowaways import hidden_in_text, kind_inside, media_kind, stowaway_findings
from sensai_release.table.stowaways.signatures import KINDS
from sensai_release.table.stowaways.walls import SHORTEST_WALL

TEXTS = table_schema(
    column("note", "string"),
    column("id", "string", identifier=PARTICIPANT, action="pseudonymise", role="direct_identifier"),
)
NUMBERS = table_schema(column("v"), column(r"pixel_\d+", "integer"), column(r"s\d+"))
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + hashlib.shake_256(b"a picture").digest(1500)
NOISE = hashlib.shake_256(b"bytes of nothing known").digest(3000)


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("sound.wav", b"RIFF")
    return target.getvalue()


def opendocument(kind: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        archive.writestr("content.xml", "<x/>")
    return target.getvalue()


def tarred() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    return target.getvalue()


def saved(array: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def look(cells: list[Any], name: str = "note") -> list[Finding]:
    return list(stowaway_findings(pa.table({name: pa.array(cells, pa.string())}), TEXTS, place="thing.csv"))


def numbers(values: Any, name: str = "v") -> list[str]:
    return [found.code for found in stowaway_findings(pa.table({name: values}), NUMBERS, place="thing.csv")]


def wide(matrix: Any, stem: str = "s") -> list[str]:
    table = pa.table({f"{stem}{number}": matrix[:, number] for number in range(matrix.shape[1])})
    return [found.code for found in stowaway_findings(table, NUMBERS, place="thing.csv")]


class TestSignatures:
    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (b"\0" * 128 + b"DICM\x02\0", "medical"),
            (b"x" * 128 + b"DICM\x02\0", "medical"),
            *((pickle.dumps({"a": [1, 2.5]}, protocol), "pickle") for protocol in (2, 3, 4, 5)),
            *((pickle.dumps(made(), 2), "pickle") for made in (list, dict, tuple, str, int, float, bool)),
            (b"cos\nsystem\n(S'true'\ntR.", "pickle"),
            (saved(np.zeros(3)), "array"),
            (b"\x89HDF\r\n\x1a\n\0", "array"),
            (b"MATLAB 5.0 MAT-file, Platform", "array"),
            (zipped(), "archive"),
            (tarred(), "archive"),
            (b"\x1f\x8b\x08\0\0\0\0\0", "archive"),
            (b"\x78\x9c\x4b\x4c", "archive"),
            (b"BZh91AY&SY", "archive"),
            (b"\xfd7zXZ\0\0\x04", "archive"),
            (b"\x28\xb5\x2f\xfd\x04", "archive"),
            (b"7z\xbc\xaf\x27\x1c\0\x04", "archive"),
            (b"SQLite format 3\0", "database"),
            (b"\x7fELF\x02\x01\x01", "executable"),
            (b"MZ" + b"\x90" * 58 + struct.pack("<I", 128), "executable"),
            (b"#!/bin/sh\n", "executable"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "document"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504 + b"\x09\x08\x10\0\0\x06\x05\0", "spreadsheet"),
            (opendocument("spreadsheet"), "spreadsheet"),
            (opendocument("text"), "archive"),
            (b"{\\rtf1\\ansi", "document"),
            (b"an odd line\n%PDF-1.7\n", "document"),
            (b"PAR1\x15\x04", "columnar"),
            (b"ARROW1\0\0", "columnar"),
            (b"\0\0\0\x18ftypheic", "image"),
            (b"P2\n# made\n64 64\n255\n0 1 2", "image"),
            (b"<?xml version='1.0'?>\n<svg xmlns='x'>", "image"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image"),
            (b"RIFF\x24\0\0\0AVI LIST", "video"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "audio"),
            (b"\xff\xfb\x90\x64", "audio"),
            (b"G\x40\0\x10" + b"\xff" * 184 + b"G\x40\0\x11" + b"\xff" * 184 + b"G", "video"),
        ],
    )
    def test_a_file_is_known_by_its_first_bytes(self, content: bytes, kind: str) -> None:
        assert media_kind(content[:1024], content[-65_557:]) == kind
        assert kind in KINDS

    @pytest.mark.parametrize(
        "header",
        [
            "id,x",
            "ID3,age",
            "BM,x",
            "PAR1,PAR2",
            "GIF,n",
            "MZ,x",
            "cos",
            "PK,name",
            "P1\t12\t10",
            "P2 30 40 5",
            "II,MM",
            "FEA1,x",
            "ORC,x",
            "RIFF,x",
            "Obj,1",
            "x,y",
            "x^2,\u00f6",
            "begin,end",
            "OggS,y",
            "G,lines",
            "fLaC,z",
            "0       ,1",
            "CDF,x",
            "MATLAB,x",
            "\ufeffid;x",
            "frame, face_id, timestamp",
            "@relation x",
            "\u00fcbung,x",
            "'name';frameTime",
            "#!x,y",
            "STIM,ftyp",
        ],
    )
    def test_an_honest_header_is_no_file_of_another_kind(self, header: str) -> None:
        content = (header + "\nG,1,2\n" + "a,1\n" * 200).encode()
        assert media_kind(content[:1024], content[-65_557:]) is None

    @pytest.mark.parametrize(
        ("appended", "kind"),
        [(zipped(), "archive"), (PNG + b"\0\0\0\0IEND\xaeB`\x82", "image"), (b"\0\xff\xd9", "image")],
    )
    def test_what_is_appended_to_a_text_is_seen_at_its_end(self, appended: bytes, kind: str) -> None:
        polyglot = b"id,x\n" + b"a,1\n" * 1000 + appended
        assert media_kind(polyglot[:1024], polyglot[-65_557:]) == kind

    def test_four_bytes_at_the_end_are_no_archive_by_themselves(self) -> None:
        assert media_kind(b"id,x\n", b"PK\x05\x06" + b"\0" * 16 + struct.pack("<H", 40) + b"a,1\n") is None

    def test_a_file_in_the_middle_of_bytes_is_seen(self) -> None:
        assert kind_inside(b"id,x\na,1\n" + PNG + b"\nb,2\n") == "image"
        assert kind_inside(NOISE) is None


def spelt(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data[:300])


def wrapped(data: bytes) -> str:
    return base64.encodebytes(data).decode().strip()


ENCODINGS: dict[str, tuple[Callable[[bytes], str], str]] = {
    "base64": (lambda data: base64.b64encode(data).decode(), "stowaway.image"),
    "base64url": (lambda data: base64.urlsafe_b64encode(data).decode(), "stowaway.image"),
    "base64 after a word": (lambda data: "see " + base64.b64encode(data).decode(), "stowaway.image"),
    "base64 off its beat": (lambda data: "xy" + base64.b64encode(data).decode(), "stowaway.image"),
    "base64 in lines": (wrapped, "stowaway.image"),
    "hexadecimal": (lambda data: data.hex(), "stowaway.image"),
    "hexadecimal in capitals": (lambda data: data.hex().upper(), "stowaway.image"),
    "hexadecimal in pairs": (lambda data: data.hex(" "), "stowaway.image"),
    "escapes": (spelt, "stowaway.image"),
    "base85": (lambda data: base64.b85encode(data).decode(), "stowaway.encoded"),
    "a data address": (lambda data: "data:image/png;base64," + base64.b64encode(data).decode(), "stowaway.data_uri"),
    "raw bytes": (lambda data: data.decode("latin-1"), "stowaway.binary"),
    "a list": (lambda data: str(list(data[:400])), "stowaway.array"),
    "a list without spaces": (lambda data: str(list(data[:400])).replace(" ", ""), "stowaway.array"),
    "a nested list": (lambda data: str([[byte, 1] for byte in data[:400]]), "stowaway.array"),
    "numbers with spaces": (lambda data: " ".join(str(byte / 255) for byte in data[:400]), "stowaway.array"),
    "a drawing": (lambda data: '<svg width="9"><path/></svg>', "stowaway.markup"),
    "a document": (lambda data: "%PDF-1.4 1 0 obj", "stowaway.markup"),
    "a key": (lambda data: "-----BEGIN PRIVATE KEY-----", "stowaway.markup"),
}


class TestCells:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_a_file_in_one_cell_is_found(self, encoding: str) -> None:
        encode, code = ENCODINGS[encoding]
        blob = encode(PNG)
        (found,) = look(["Pijn bij lopen.", None, blob, "-"])
        assert (found.code, found.column, found.row, found.count) == (code, "note", 3, 1)
        assert blob[:12] not in found.message

    def test_bytes_of_no_known_kind_are_encoded_bytes(self) -> None:
        assert [found.code for found in look([base64.b64encode(NOISE).decode()])] == ["stowaway.encoded"]

    @pytest.mark.parametrize("length", [8, 12, 16, 40, 76, 100, 160])
    @pytest.mark.parametrize("before", [0, 1, 3])
    def test_a_file_cut_into_cells_is_put_together(self, length: int, before: int) -> None:
        text = base64.b64encode(PNG).decode()
        pieces = [text[at : at + length] for at in range(0, len(text), length)]
        codes = [found.code for found in look(["A" * length] * before + pieces)]
        assert codes == ["stowaway.image"]

    @pytest.mark.parametrize("length", [16, 32, 64])
    def test_a_file_cut_into_hexadecimal_cells_is_put_together(self, length: int) -> None:
        text = PNG.hex()
        assert [f.code for f in look([text[at : at + length] for at in range(0, len(text), length)])] == [
            "stowaway.image"
        ]

    @pytest.mark.parametrize("encode", [base64.b64encode, base64.b85encode])
    def test_pieces_of_no_known_kind_are_told_by_their_density(self, encode: Callable[[bytes], bytes]) -> None:
        text = encode(NOISE).decode()
        codes = [found.code for found in look([text[at : at + 40] for at in range(0, len(text), 40)])]
        assert codes == ["stowaway.encoded"]

    @pytest.mark.parametrize(
        "make",
        [
            lambda n: hashlib.sha256(b"%d" % n).hexdigest(),
            lambda n: hashlib.sha512(b"%d" % n).hexdigest(),
            lambda n: str(n * 7919),
            lambda n: f"P{hashlib.sha256(b'%d' % n).hexdigest()[:17].upper()}",
            lambda n: base64.b32encode(hashlib.sha256(b"%d" % n).digest()).decode()[:18],
            lambda n: f"/data/opnames/deelnemer_{n:04d}/bezoek-{n % 5}/opname_van_de_ochtend_{n}_links_gefilterd.wav",
            lambda n: f"https://example.org/study/participants/{n}/sessions/{n % 5}?view=table&sort=name&page={n}",
            lambda n: (
                f"Deelnemer {n} zegt: 'de pijn is {n % 10} van 10; ik slaap \u00e9\u00e9n nacht slecht, daarna beter'."
            ),
            lambda n: (
                "\u75bc\u75db\u5728\u665a\u4e0a\u66f4\u4e25\u91cd\uff0c\u4f46\u662f\u65e9\u4e0a\u597d\u4e00\u4e9b\u3002"
                * 3
            ),
            lambda n: f"2025-{n % 12 + 1:02d}-11T10:{n % 60:02d}:00+02:00",
            lambda n: f"0 days 00:00:{n % 60:02d}.375562500",
            lambda n: "; ".join(["paracetamol 1000 mg", "morfine 10 mg"] * (n % 4 + 1)),
            lambda n: "1, 2, 3, 5, 8",
            lambda n: "-" * 300,
            lambda n: "regel een\x0bregel twee\nregel drie",
            lambda n: None,
            lambda n: "",
        ],
    )
    def test_honest_text_is_left_alone(self, make: Callable[[int], str | None]) -> None:
        assert look([make(number) for number in range(400)]) == []

    def test_identifiers_may_be_dense(self) -> None:
        cells = [base64.urlsafe_b64encode(hashlib.sha256(b"%d" % n).digest()).decode()[:26] for n in range(200)]
        assert look(cells, "id") == []
        assert [found.code for found in look(cells)] == ["stowaway.encoded"]

    def test_a_long_column_of_pieces_is_put_together_from_its_first_rows(self) -> None:
        text = base64.b64encode(PNG + NOISE * 4000).decode()
        pieces = [text[at : at + 100] for at in range(0, len(text), 100)]
        assert [found.code for found in look(pieces)] == ["stowaway.image"]

    def test_a_table_without_rows(self) -> None:
        assert look([]) == []

    def test_a_long_table_without_numbers(self) -> None:
        assert look(["rustig"] * 5000) == []


class TestWalls:
    TABLE = ("frame, x, y\n" + "".join(f"{n}, {n / 7:.3f}, -nan(ind), nan,\t1e-05\n" for n in range(3000))).encode()

    @pytest.mark.parametrize("at", [30, 4_000, 60_000])
    @pytest.mark.parametrize(
        ("encode", "kind"),
        [
            (base64.b64encode, "image"),
            (base64.urlsafe_b64encode, "image"),
            (lambda data: data.hex().encode(), "image"),
            (lambda data: base64.b64encode(NOISE), "encoded"),
        ],
    )
    def test_a_run_in_a_file_of_numbers_is_found(self, encode: Callable[[bytes], bytes], kind: str, at: int) -> None:
        cut = self.TABLE.index(b"\n", at)
        assert hidden_in_text(self.TABLE[:cut] + b"," + encode(PNG) + self.TABLE[cut:], 12) == kind

    def test_a_file_of_numbers_holds_none(self) -> None:
        assert hidden_in_text(self.TABLE, 12) is None

    def test_paths_and_times_are_no_runs(self) -> None:
        row = b"/recordings/synthetic/of_a_long_name_with_many_letters/SYN0001-S1.wav,0 days 00:00:00.18,0.5\n"
        assert hidden_in_text(row * 500) is None

    def test_a_drawn_line_is_no_run(self) -> None:
        assert hidden_in_text(b"a,b\n" * 100 + b"=" * (4 * SHORTEST_WALL) + b"\n" + b"a,b\n" * 100) is None

    @pytest.mark.parametrize("content", [b"", b"a", b"abc,d\n", b"A" * 100])
    def test_short_files(self, content: bytes) -> None:
        assert hidden_in_text(content) is None


def voice(count: int = 6000, seed: int = 5) -> Any:
    """A made-up voice: harmonics of a gliding pitch under syllables, with breath noise, as 16-bit samples at 16 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(count) / 16_000
    phase = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.5 * time)) / 16_000
    tone = sum(np.sin(order * phase + rng.uniform(0, 6)) / order for order in range(1, 12))
    syllables = 0.2 + np.abs(np.sin(2 * np.pi * 4 * time))
    return np.rint(5000 * syllables * (tone + 0.02 * rng.normal(size=count))).clip(-32768, 32767).astype(int)


def speech(count: int = 24_000, seed: int = 5) -> Any:
    """The made-up voice with pauses between its syllables, in a room that hums: one and a half seconds at 16 kHz."""
    syllables = np.clip(np.sin(2 * np.pi * 3 * np.arange(count) / 16_000), 0, None) ** 3
    room = np.random.default_rng(seed).normal(0, 60, count)
    return np.rint(voice(count, seed) * syllables + room).astype(int)


def resampled(samples: Any, rate: float) -> Any:
    """Samples at another rate by straight lines, after a moving mean where the rate is lower."""
    width = max(1, round(1 / rate))
    smooth = np.convolve(samples, np.ones(width) / width, "same")
    return np.interp(np.arange(0, len(samples) - 1, 1 / rate), np.arange(len(samples)), smooth)


def companded(samples: Any) -> Any:
    share = samples / 32768
    return np.sign(share) * np.log1p(255 * np.abs(share)) / np.log(256)


def telephone(samples: Any, *, a_law: bool = False) -> Any:
    """Samples as the bytes of ITU-T G.711, each by the nearest of the 256 levels."""
    code = np.arange(256)
    if a_law:
        plain = code ^ 0x55
        segment, low = (plain >> 4) & 7, (plain & 15) << 4
        level = np.where(segment > 0, (low + 264) << np.maximum(segment - 1, 0), low + 8)
        signed = np.where(plain & 128, level, -level)
    else:
        plain = code ^ 0xFF
        level = ((((plain & 15) << 3) + 132) << ((plain >> 4) & 7)) - 132
        signed = np.where(plain & 128, -level, level)
    order = np.argsort(signed, kind="stable")
    return order[np.clip(np.searchsorted(signed[order], samples), 0, 255)]


def pulse(count: int, rate: int, rng: Any) -> Any:
    """A pulse wave as a finger clip counts it; no beat is as long as the one before."""
    drift = np.convolve(rng.normal(0, 0.06, count // rate + 4), np.ones(2) / 2, "valid")
    beats = np.cumsum(1.15 + np.interp(np.arange(count) / rate, np.arange(len(drift)), drift)) / rate
    return np.rint(110 + 90 * np.exp(3 * (np.cos(2 * np.pi * beats) - 1)) + rng.normal(0, 1, count)).astype(int)


def heart(count: int, rate: int, rng: Any) -> Any:
    """An electrocardiogram in microvolt: three waves a beat, on a baseline that breathes."""
    phase = np.cumsum((1.15 + rng.normal(0, 0.01, count)) / rate) % 1
    waves = ((0.4, 0.012, 1000), (0.43, 0.012, -200), (0.65, 0.05, 200), (0.2, 0.03, 120))
    beats = sum(height * np.exp(-(((phase - at) / width) ** 2)) for at, width, height in waves)
    return np.rint(beats + 80 * np.sin(2 * np.pi * 0.25 * np.arange(count) / rate)).astype(int)


def breath(count: int, rate: int, rng: Any) -> Any:
    phase = 2 * np.pi * 0.25 * np.arange(count) / rate + np.cumsum(rng.normal(0, 0.3 / rate, count))
    return np.rint(500 * np.sin(phase)).astype(int)


def landmarks(rows: int, rng: Any) -> Any:
    """Pixels of a face in a small video: 68 points from left to right, then their heights, as the head drifts."""
    points = np.r_[np.linspace(60, 190, 68), 100 + 60 * np.sin(np.linspace(0, 3, 68))]
    drift = np.cumsum(rng.normal(0, 0.2, (rows, 1)), axis=0)
    return np.rint(points + drift + rng.normal(0, 0.4, (rows, 136))).clip(0, 255).astype(int)


def portrait(height: int = 64, width: int = 64) -> Any:
    """A made-up grey picture: a light oval with two dark spots before a shaded ground, with sensor noise."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    ground = 60 + 40 * x
    face = np.where((x / 0.6) ** 2 + (y / 0.8) ** 2 < 1, 190 - 30 * y, ground)
    for side in (-0.25, 0.25):
        face = np.where((x - side) ** 2 + (y + 0.2) ** 2 < 0.01, 30, face)
    return np.rint(face + rng.normal(0, 3, face.shape)).clip(0, 255).astype(int)


class TestSamples:
    @pytest.mark.parametrize(
        "scaled",
        [
            lambda v: v,
            lambda v: v // 256 + 128,
            lambda v: v / 32768,
            lambda v: np.round(v / 32768, 6),
            lambda v: (v / 32768).astype(np.float32),
            lambda v: (v // 256) / 128,
        ],
        ids=["16-bit", "8-bit", "float", "six decimals", "single", "8-bit float"],
    )
    def test_sound_in_one_column_is_found(self, scaled: Callable[[Any], Any]) -> None:
        assert numbers(scaled(voice())) == ["stowaway.samples"]

    @pytest.mark.parametrize(
        "form",
        [
            lambda v, rng: v * 0.000731,
            lambda v, rng: (v - v.min()) / np.ptp(v),
            lambda v, rng: np.round((v - v.min()) / np.ptp(v) * 5, 3),
            lambda v, rng: v * 256 + rng.integers(-100, 100, len(v)),
            lambda v, rng: resampled(v, 0.5),
            lambda v, rng: resampled(v, 0.689),
            lambda v, rng: resampled(v, 2.756),
            lambda v, rng: v + rng.normal(0, v.std() / 10, len(v)),
            lambda v, rng: np.diff(v) / 7,
            lambda v, rng: companded(v),
            lambda v, rng: telephone(v),
            lambda v, rng: telephone(v, a_law=True),
        ],
        ids=[
            "odd factor",
            "from 0 to 1",
            "as an action unit",
            "24-bit",
            "8 kHz",
            "11 kHz",
            "44 kHz",
            "noise",
            "differences",
            "companded",
            "mu-law bytes",
            "A-law bytes",
        ],
    )
    def test_sound_off_the_lattice_is_found_by_its_structure(self, form: Callable[[Any, Any], Any]) -> None:
        assert numbers(form(speech(), np.random.default_rng(9))) == ["stowaway.samples"]

    @pytest.mark.parametrize("width", [64, 400])
    def test_scaled_sound_cut_into_lines_is_found(self, width: int) -> None:
        samples = speech() * 0.000731
        assert wide(samples[: len(samples) // width * width].reshape(-1, width)) == ["stowaway.samples"]

    def test_missing_cells_do_not_hide_scaled_sound(self) -> None:
        cells = speech() * 0.000731
        cells[::97] = np.nan
        assert numbers(cells) == ["stowaway.samples"]

    def test_lines_of_samples_are_found_wherever_they_stand_in_the_table(self) -> None:
        quiet = np.random.default_rng(1).integers(90, 110, (64, 64))
        assert wide(np.vstack([quiet, np.tile(portrait(), (6, 1))])) == ["stowaway.samples"]

    @pytest.mark.parametrize("rate", [50, 125, 500])
    @pytest.mark.parametrize("make", [pulse, heart, breath], ids=["pulse", "heart", "breath"])
    def test_signals_of_the_body_are_no_sound(self, make: Callable[[int, int, Any], Any], rate: int) -> None:
        signal = make(8000, rate, np.random.default_rng(4))
        assert numbers(signal) == []
        assert numbers(signal * 0.00137) == []

    def test_landmarks_in_whole_pixels_are_no_picture(self) -> None:
        assert wide(landmarks(600, np.random.default_rng(6))) == []

    def test_pixels_that_never_leave_are_not_judged(self) -> None:
        table = pa.table({f"s{number}": column for number, column in enumerate(portrait().T)})
        schema = table_schema(column(r"s\d+", "integer", action="drop", role="direct_identifier", **{"class": "X"}))
        assert stowaway_findings(table, schema, place="thing.csv") == ()

    def test_standardised_spectra_side_by_side_are_no_sound(self) -> None:
        rng = np.random.default_rng(8)
        level = np.convolve(rng.normal(size=1019), np.ones(20), "valid")[:, None]
        bands = level + np.apply_along_axis(np.convolve, 1, rng.normal(size=(1000, 68)), np.ones(5), "valid")
        assert wide((bands - bands.mean(axis=0)) / bands.std(axis=0)) == []

    @pytest.mark.parametrize("width", [64, 160])
    @pytest.mark.parametrize("scale", [1, 32768])
    def test_sound_cut_into_lines_is_found(self, width: int, scale: int) -> None:
        samples = voice()
        lines = samples[: len(samples) // width * width].reshape(-1, width)
        assert wide(lines if scale == 1 else lines / scale) == ["stowaway.samples"]

    @pytest.mark.parametrize("divided", [1, 255])
    def test_a_picture_is_found_in_lines_and_in_one_column(self, divided: int) -> None:
        picture = portrait() if divided == 1 else portrait() / divided
        assert wide(picture) == ["stowaway.samples"]
        assert numbers(picture.ravel()) == ["stowaway.samples"]

    @pytest.mark.parametrize("people", [1, 6])
    def test_one_pixel_a_column_is_found(self, people: int) -> None:
        assert wide(np.tile(portrait().ravel(), (people, 1)), "pixel_") == ["stowaway.samples"]

    def test_missing_cells_do_not_hide_sound(self) -> None:
        samples = [None if number % 97 == 0 else int(value) for number, value in enumerate(voice())]
        assert numbers(pa.array(samples, pa.int64())) == ["stowaway.samples"]

    def test_the_finding_quotes_no_number(self) -> None:
        samples = voice()
        (found,) = stowaway_findings(pa.table({"v": samples}), NUMBERS, place="thing.csv")
        assert (found.column, found.row, found.count) == ("v", 1, len(samples))
        assert not any(character.isdigit() for character in found.message)

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize(
        "make",
        [
            lambda rng, n: np.arange(n),
            lambda rng, n: np.clip(np.cumsum(rng.integers(-3, 4, n)) + 90, 40, 200),
            lambda rng, n: np.rint(np.convolve(rng.normal(0, 60, n + 8), np.ones(9) / 9, "valid")),
            lambda rng, n: np.rint(rng.normal(0, 80, n)),
            lambda rng, n: np.repeat(rng.integers(18, 95, n), 5)[:n],
            lambda rng, n: np.sort(rng.integers(0, 250, (n // 5, 5)), axis=1).ravel(),
            lambda rng, n: rng.integers(0, 2, n),
            lambda rng, n: np.round(np.sin(np.arange(n) / 20) * 0.4 + rng.normal(0, 0.02, n), 3),
            lambda rng, n: np.round(np.cumsum(rng.normal(0, 0.01, n)), 2),
            lambda rng, n: rng.normal(0, 0.3, n).astype(np.float32),
            lambda rng, n: np.full(n, np.nan),
            lambda rng, n: np.zeros(n),
        ],
        ids=[
            "counter",
            "pulse",
            "smoothed",
            "noise",
            "ages",
            "days",
            "truth",
            "gaze",
            "drift",
            "single",
            "missing",
            "nought",
        ],
    )
    def test_honest_columns_are_left_alone(self, make: Callable[[Any, int], Any], seed: int) -> None:
        # "smoothed" is the hard one: whole numbers about nought that follow each other without any oscillation.
        assert numbers(make(np.random.default_rng(seed), 4000)) == []

    def test_honest_questionnaires_are_left_alone(self) -> None:
        rng = np.random.default_rng(3)
        level = rng.normal(50, 20, (200, 1))
        assert wide(np.rint(level + rng.normal(0, 12, (200, 60))).clip(0, 100).astype(int)) == []
        assert wide(rng.integers(0, 101, (200, 60))) == []
        assert wide(rng.integers(0, 11, (200, 60))) == []

    @settings(max_examples=50, deadline=None)
    @given(
        decimals=st.integers(1, 4),
        rows=st.integers(1, 2000),
        columns=st.integers(1, 70),
        seed=st.integers(0, 2**32 - 1),
        smooth=st.integers(1, 9),
    )
    def test_rounded_features_are_never_samples(
        self, decimals: int, rows: int, columns: int, seed: int, smooth: int
    ) -> None:
        cells = np.random.default_rng(seed).normal(0, 0.3, (rows + smooth - 1, columns))
        moving = np.stack([np.convolve(column, np.ones(smooth) / smooth, "valid") for column in cells.T], axis=1)
        assert wide(np.round(moving, decimals)) == []


def test_nothing_here_imports_pickle() -> None:
    loaded = [name for name in sys.modules if name.startswith("sensai_release.table.stowaways")]
    assert loaded
    assert not any(hasattr(sys.modules[name], "pickle") for name in loaded)
