"""Takes files apart, down to passages of text: containers, compressed members, Parquet columns, encodings.

Archives inside archives are followed to a depth and a size; what lies beyond is reported as not scanned, never passed
over. Typed numbers of a Parquet file are left out: chance makes any number, so numbers alone prove nothing. Nothing is
executed or unpickled. What the passages say is for `canaries` and `patterns`.
"""

from __future__ import annotations

import binascii
import bz2
import gzip
import html
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_to_bytes

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sensai_release.privacy.leakscan.patterns import without_plain_numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Bytes to be searched, and the way there.

    `view` says how they were come by ("" for the file's own bytes), `column` which column of a table they are from.
    `form`: running text; the cells of a column, one a line; scraps of printable bytes; or nothing, when it is a part
    that could not be looked into.
    """

    data: bytes
    view: str = ""
    column: str | None = None
    form: Literal["text", "cells", "scraps", "unscanned"] = "text"
    thin: bytes | None = None
    """The same `without_plain_numbers`, where that has been made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanLimits:
    """Bounds of one file: its size, the size of all that comes out of it, and how deep containers lie in each other."""

    file_bytes: int = 2 << 30
    expanded_bytes: int = 512 << 20
    depth: int = 5


@dataclass(slots=True)
class _Budget:
    left: int
    depth: int
    columns: frozenset[str] = field(default_factory=frozenset)


class _TooLargeError(Exception):
    pass


_CHUNK = 1 << 20
_CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x1b") + b"\x7f"
_BLOCK = 1 << 24
_OVERLAP = 256
_PRINTABLE: npt.NDArray[np.bool_] = (np.arange(256) >= 0x20) & (np.arange(256) <= 0x7E)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{10,}")
_WRAPPED = re.compile(rb"(?:[A-Za-z0-9+/]{40,80}\r?\n){1,1000000}[A-Za-z0-9+/]{2,80}={0,2}")
# Words, numbers, digests and pseudonyms: no base64 of a text looks like them.
_DULL = re.compile(
    rb"[a-z_/-]+|[0-9A-Z]{18}|[0-9a-f]{32,}|[A-Z_-]+|[0-9_-]+|(?:[A-Z][a-z]+)+|[A-Za-z]?[a-z]*(?:[_/-][a-z0-9]+)+"
)
_HEX = re.compile(rb"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}){5,}(?![0-9A-Fa-f])")
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}|\\[ux][0-9A-Fa-f]{2}|&#?[A-Za-z0-9]{2,8};")
_CODE = re.compile(rb"\\u00([0-9A-Fa-f]{2})|\\x([0-9A-Fa-f]{2})")
_TEXT_ENOUGH = 0.97


def unwrap(data: bytes, limits: ScanLimits, key_columns: frozenset[str] = frozenset()) -> Iterator[Passage]:
    """Every passage of a file's bytes. `key_columns` are columns whose typed numbers are wanted as texts too."""
    budget = _Budget(left=limits.expanded_bytes, depth=limits.depth, columns=key_columns)
    try:
        yield from _parts(data, budget, "", 0)
    except _TooLargeError:
        yield Passage(data=b"", form="unscanned")


def _parts(data: bytes, budget: _Budget, view: str, depth: int) -> Iterator[Passage]:
    if depth > budget.depth:
        yield Passage(data=b"", view=view, form="unscanned")
        return
    opener = _opener(data)
    if opener is not None:
        name, members = opener
        try:
            for member in members(data, budget):
                if isinstance(member, Passage):
                    yield member
                else:
                    yield from _parts(member, budget, _joined(view, name), depth + 1)
        except (OSError, EOFError, ValueError, KeyError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError):
            yield Passage(data=b"", view=_joined(view, name), form="unscanned")
        except (zipfile.BadZipFile, pa.ArrowException):
            yield Passage(data=b"", view=_joined(view, name), form="unscanned")
        yield from _scraps(data, view)
        return
    wide = _wide_text(data)
    if wide is not None:
        yield from _text(wide, budget, _joined(view, "UTF-16"), depth)
    elif _is_text(data):
        yield from _text(data, budget, view, depth)
    else:
        yield from _scraps(data, view)
        yield from _appended(data, budget, view, depth)


def _joined(view: str, step: str) -> str:
    return f"{view}, {step}" if view else step


def _is_text(data: bytes) -> bool:
    head = data[: 1 << 20]
    return b"\0" not in head and len(head) - len(head.translate(None, _CONTROL)) <= len(head) // 200


def _wide_text(data: bytes) -> bytes | None:
    """UTF-16 text, with or without its mark, as UTF-8."""
    sample = data[: 1 << 16]
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not marked and not (len(sample) >= 8 and sample.count(0) * 5 >= len(sample) * 2):
        return None
    little = data.startswith(b"\xff\xfe") or (not marked and sample[1::2].count(0) > sample[::2].count(0))
    text = data.decode("utf-16-le" if little else "utf-16-be", "ignore").encode("utf-8", "ignore")
    return text if _is_text(text) else None


def _text(data: bytes, budget: _Budget, view: str, depth: int) -> Iterator[Passage]:
    thin = without_plain_numbers(data)
    yield Passage(data=data, view=view, thin=thin)
    yield from _encodings(thin, budget, view, depth)


def _encodings(data: bytes, budget: _Budget, view: str, depth: int) -> Iterator[Passage]:
    """What stands encoded in a text: base64 (RFC 4648, both alphabets), hexadecimal, escapes of URLs, JSON and HTML."""
    if depth >= budget.depth:
        return
    for name, pieces in (("base64", _base64_pieces(data)), ("hexadecimal", _hex_pieces(data))):
        texts = []
        for piece in pieces:
            if _opener(piece) is not None or len(piece) > _CHUNK:
                _spend(budget, len(piece))
                yield from _parts(piece, budget, _joined(view, name), depth + 1)
            else:
                texts.append(piece)
        if texts:
            joined = b"\n".join(texts)
            _spend(budget, len(joined))
            yield from _text(joined, budget, _joined(view, name), depth + 1)
    if _ESCAPE.search(data):
        plain = _without_escapes(data)
        if plain != data:
            _spend(budget, len(plain))
            yield from _text(plain, budget, _joined(view, "escapes"), depth + 1)


def _spend(budget: _Budget, size: int) -> None:
    budget.left -= size
    if budget.left < 0:
        raise _TooLargeError


def _base64_pieces(data: bytes) -> Iterator[bytes]:
    for match in _WRAPPED.finditer(data):
        yield from _decoded(re.sub(rb"\s", b"", match[0]))
    for match in _BASE64.finditer(data):
        if _DULL.fullmatch(match[0]) is None:
            yield from _decoded(match[0])


def _decoded(run: bytes) -> Iterator[bytes]:
    """A run may begin inside other letters, so all four alignments are tried; only text and containers are of use."""
    run = run.replace(b"-", b"+").replace(b"_", b"/")
    for shift in range(4 if len(run) >= 14 else 1):
        part = run[shift:]
        part = part[: len(part) - (len(part) % 4 == 1)]
        piece = binascii.a2b_base64(part + b"=" * (-len(part) % 4))
        if _useful(piece):
            yield piece
            return
    # An odd end spoils the share of printable bytes of a short run only; a long one is looked through as it is.
    if len(run) >= 64:
        for passage in _scraps(binascii.a2b_base64(run[: len(run) // 4 * 4]), ""):
            yield passage.data


def _hex_pieces(data: bytes) -> Iterator[bytes]:
    for match in _HEX.finditer(data):
        piece = binascii.a2b_hex(match[0])
        if _useful(piece):
            yield piece


def _useful(piece: bytes) -> bool:
    if _opener(piece) is not None or piece.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    plain = piece.replace(b"\0", b"") if piece.count(0) * 5 >= len(piece) * 2 else piece
    controls = len(plain) - len(plain.translate(None, _CONTROL))
    high = len(plain) - len(plain.translate(None, bytes(range(128, 256))))
    if controls > len(plain) * (1 - _TEXT_ENOUGH):
        return False
    if high == 0:
        return len(plain) >= 4
    try:
        plain.decode("utf-8")
    except UnicodeDecodeError:
        return high <= len(plain) // 8
    return True


def _without_escapes(data: bytes) -> bytes:
    if b"%" in data:
        data = unquote_to_bytes(data)
    if b"\\" in data:
        data = _CODE.sub(lambda match: chr(int(match[1] or match[2], 16)).encode(), data)
    if b"&" in data:
        data = html.unescape(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return data


def _scraps(data: bytes, view: str) -> Iterator[Passage]:
    """Printable runs of binary data, of one-byte and of two-byte letters, as `strings` shows them."""
    found: list[bytes] = []
    for start in range(0, len(data), _BLOCK):
        block = np.frombuffer(data[start : start + _BLOCK + _OVERLAP], dtype=np.uint8)
        printable = _PRINTABLE[block]
        # The accented letters of Latin 1 take two bytes in UTF-8, of which the first is 0xC3.
        accent = block == 0xC3
        found += _runs(block, printable | accent | ((block & 0xC0 == 0x80) & np.roll(accent, 1)), 6)
        zero = block == 0
        for first in (0, 1):
            letters, others = block[first::2], zero[first + 1 :: 2]
            size = min(len(letters), len(others))
            found += _runs(letters[:size], (printable | (block >= 0xC0))[first::2][:size] & others[:size], 5)
    if found:
        yield Passage(data=b"\n".join(found), view=view, form="scraps")


def _runs(block: npt.NDArray[np.uint8], wanted: npt.NDArray[np.bool_], least: int) -> list[bytes]:
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= least
    return [block[start:end].tobytes() for start, end in zip(starts[long].tolist(), ends[long].tolist(), strict=True)]


def _appended(data: bytes, budget: _Budget, view: str, depth: int) -> Iterator[Passage]:
    """An archive behind other bytes: zip readers look at the end of a file only."""
    if b"PK\x05\x06" in data[-(1 << 16) :]:
        try:
            for member in _zip_members(data, budget):
                yield from _parts(member, budget, _joined(view, "zip"), depth + 1)
        except (OSError, ValueError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile):
            yield Passage(data=b"", view=view, form="unscanned")


# --- containers ------------------------------------------------------------------------------------------------------

_Members = Callable[[bytes, _Budget], Iterator["bytes | Passage"]]


def _opener(data: bytes) -> tuple[str, _Members] | None:
    for magic, name, members in _OPENERS:
        if data.startswith(magic):
            return name, members
    return None


def _drain(stream: io.BufferedIOBase | pa.NativeFile, budget: _Budget) -> bytes:
    parts = []
    while chunk := stream.read(_CHUNK):
        _spend(budget, len(chunk))
        parts.append(bytes(chunk))
    return b"".join(parts)


def _gzip_members(data: bytes, budget: _Budget) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        yield _drain(stream, budget)


def _bz2_members(data: bytes, budget: _Budget) -> Iterator[bytes]:
    with bz2.BZ2File(io.BytesIO(data)) as stream:
        yield _drain(stream, budget)


def _xz_members(data: bytes, budget: _Budget) -> Iterator[bytes]:
    with lzma.LZMAFile(io.BytesIO(data)) as stream:
        yield _drain(stream, budget)


def _zstd_members(data: bytes, budget: _Budget) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        yield _drain(stream, budget)


def _zip_members(data: bytes, budget: _Budget) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        yield b"\n".join(entry.filename.encode() + b"\n" + entry.comment for entry in entries) + archive.comment
        for entry in entries:
            if not entry.is_dir():
                with archive.open(entry) as member:
                    yield _drain(member, budget)


def _parquet_members(data: bytes, budget: _Budget) -> Iterator[bytes | Passage]:
    """Names, key-value metadata, and the distinct cells of every column that is no plain number."""
    source = pa.BufferReader(data)
    texts = [field.name for field in pq.read_schema(source) if pa.types.is_string(field.type)]
    with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True, read_dictionary=texts) as file:
        schema = file.schema_arrow
        metadata = file.metadata.metadata or {}
        yield b"\n".join(
            [name.encode() for name in schema.names] + [part for pair in metadata.items() for part in pair]
        )
        wanted = [
            field.name
            for field in schema
            if _holds_text(field.type) or (field.name in budget.columns and pa.types.is_integer(field.type))
        ]
        for group in range(file.num_row_groups if wanted else 0):
            about = file.metadata.row_group(group)
            # Keys of a few bytes can stand for a thousand million rows: the rows count too, one group at a time.
            if about.num_rows * 4 > budget.left:
                raise _TooLargeError
            for name in dict.fromkeys(wanted):
                _spend(budget, _packed(about, name))
                cells = file.read_row_group(group, columns=[name], use_threads=False)
                for values in (leaf for column in cells.columns for leaf in _flattened(column)):
                    yield from _cell_passages(values, name, budget)


def _packed(about: pq.RowGroupMetaData, name: str) -> int:
    """The size of a column's pages before compression, in bytes."""
    chunks = (about.column(position) for position in range(about.num_columns))
    return sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.partition(".")[0] == name)


def _holds_text(kind: pa.DataType) -> bool:
    return not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _flattened(cells: pa.ChunkedArray) -> Iterator[pa.Array]:
    """The leaves of nested columns; of dictionaries every entry, used or not."""
    for chunk in cells.chunks:
        kind = chunk.type
        if pa.types.is_dictionary(kind):
            yield from _flattened(pa.chunked_array([chunk.dictionary]))
        elif pa.types.is_struct(kind):
            for child in chunk.flatten():
                yield from _flattened(pa.chunked_array([child]))
        elif pa.types.is_map(kind) or pa.types.is_nested(kind):
            children = [chunk.keys, chunk.items] if pa.types.is_map(kind) else [pc.list_flatten(chunk)]
            for child in children:
                yield from _flattened(pa.chunked_array([child]))
        else:
            yield chunk


def _cell_passages(values: pa.Array, label: str, budget: _Budget) -> Iterator[Passage]:
    values = pc.unique(values).drop_null()
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        for cell in values.to_pylist():
            for passage in _parts(cell, budget, "binary cell", 1):
                yield Passage(data=passage.data, view=passage.view, column=label, form=passage.form)
        return
    if not pa.types.is_string(values.type):
        values = pc.cast(values, pa.string())
    # A line break within a cell must not make two cells of it; joining and splitting leave the other letters alone.
    lines = pc.replace_substring(pc.replace_substring(values, "\n", " "), "\r", " ").to_pylist()
    data = "\n".join(lines).encode()
    yield Passage(data=data, column=label, form="cells")
    for passage in _encodings(data, budget, "", 1):
        yield Passage(data=passage.data, view=passage.view, column=label, form=passage.form)


_OPENERS: tuple[tuple[bytes, str, _Members], ...] = (
    (b"PAR1", "Parquet", _parquet_members),
    (b"\x1f\x8b\x08", "gzip", _gzip_members),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd_members),
    (b"PK\x03\x04", "zip", _zip_members),
    (b"BZh", "bzip2", _bz2_members),
    (b"\xfd7zXZ\0", "xz", _xz_members),
)
