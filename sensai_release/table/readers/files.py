"""Opens one source file safely, and says by its bytes what it is: text, Parquet, a workbook, or nothing for a reader.

Knows nothing of columns. A file that cannot or must not be opened is an `InputError`; a file that holds something
else than a table is a finding.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sensai_release.errors import InputError
from sensai_release.table.stowaways import HEAD_BYTES, TAIL_BYTES, in_words, kind_inside, media_kind

Container = Literal["text", "parquet", "xlsx"]

UTF8_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """Bounds that no honest file reaches, and that keep a hostile one below 1 GiB of memory.

    Bytes in a file, bytes in a line, columns in a header, cells to be read from text, bytes of a file in UTF-16, and
    the bytes that the content of a compressed container (Parquet) and the parts of a workbook may unfold to.
    """

    file_bytes: int = 256 << 20
    line_bytes: int = 64 << 20
    columns: int = 20_000
    cells: int = 16_000_000
    utf16_bytes: int = 64 << 20
    unfolded_bytes: int = 256 << 20
    workbook_bytes: int = 64 << 20


_REASONS = {
    errno.ENOENT: ("is not there", "Put the file in the source folder."),
    errno.ELOOP: ("is a symbolic link", "Put the file itself in the source folder."),
    errno.EACCES: ("may not be read", "Give yourself the right to read it."),
}


def read_bytes(path: Path, place: str, limits: ReadLimits) -> bytes:
    """The whole content of a regular file; symbolic links are not followed.

    Raises `InputError`, named `place`, when the file is absent, not regular, too large, unreadable, or when it
    changes while it is read.
    """
    # O_NONBLOCK: opening a named pipe must not wait for a writer that never comes.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        with io.FileIO(os.open(path, flags)) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise InputError(place, "is not a regular file", "Put a plain file in its place.")
            if before.st_size > limits.file_bytes:
                raise InputError(
                    place, f"is larger than {limits.file_bytes} bytes", "Split the file, or check what it is."
                )
            data = file.readall()
            after = os.fstat(file.fileno())
    except OSError as error:
        cause, cure = _REASONS.get(error.errno or 0, ("cannot be read", "Check the disk and the file."))
        raise InputError(place, cause, cure) from None
    if len(data) != before.st_size or _state(before) != _state(after):
        raise InputError(place, "changed while it was read", "Run again when nothing writes to it.")
    return data


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_OTHER_ENCODINGS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"+/v8", b"+/v9")


def container(data: bytes) -> Container:
    """What the bytes are by their own signature; all that is neither Parquet nor a workbook may be text."""
    if data[:4] == b"PAR1" and data[-4:] == b"PAR1":
        return "parquet"
    # A workbook is a zip archive whose first entries say so.
    if data[:4] == b"PK\x03\x04" and (b"xl/workbook.xml" in data or b"xl/worksheets/" in data):
        return "xlsx"
    return "text"


def text_of(data: bytes, limits: ReadLimits) -> bytes | tuple[str, str]:
    """The text as UTF-8 without a byte order mark, or the code and message of the finding when it is none.

    UTF-16 is taken with its byte order mark only: without one its order is a guess.
    """
    encoding = _UTF16.get(data[:2])
    if encoding is not None and not data.startswith(_OTHER_ENCODINGS) and media_kind(data[:HEAD_BYTES]) is None:
        # The text stands in memory three times while it is turned.
        if len(data) > limits.utf16_bytes:
            return "file.encoding", f"UTF-16 text may be {limits.utf16_bytes} bytes long. Save the file as UTF-8."
        try:
            data = data[2:].decode(encoding).encode("utf-8")
        except UnicodeDecodeError:
            return "file.not_text", "The file says that it is UTF-16 text and is not. Save it as UTF-8."
    problem = text_problem(data)
    if problem is not None:
        return problem
    return data.removeprefix(UTF8_BOM)


def text_problem(data: bytes) -> tuple[str, str] | None:
    """The code and message of the finding when `data` is not UTF-8 text (with or without a byte order mark)."""
    if not data or data == UTF8_BOM:
        return "file.empty", "The file is empty. Export it again, or take it away."
    kind = media_kind(data[:HEAD_BYTES], data[-TAIL_BYTES:])
    if kind is not None:
        return "file.media", f"The file is {in_words(kind)} and no table. Take it away."
    if data.startswith(_OTHER_ENCODINGS):
        return "file.encoding", "The text is in an unusual Unicode form. Save it as UTF-8."
    if b"\0" in data:
        inside = kind_inside(data)
        if inside is not None:
            return "file.media", f"The file has {in_words(inside)} inside. Take it away."
        return "file.not_text", "The file holds NUL bytes: it is no text, or a damaged one. Export it again."
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return "file.not_text", "The file is not UTF-8 text. Save it as UTF-8."
    return None
