r"""Says by its bytes what a file is, when it is no table: sound, video, picture, document, archive, program and so on.

Looks at signatures alone and decodes, unpacks or unpickles nothing. Whether a Parquet file or a workbook may be read
as a table is for the readers; bytes written as text are for `walls` and `cells`.
The signatures are those of the formats' own specifications, as listed by PRONOM
(https://www.nationalarchives.gov.uk/PRONOM) and in `file(1)`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping

HEAD_BYTES = 1024
"""How much of a file's beginning `media_kind` wants to see: a PDF may start within the first 1,024 bytes."""
TAIL_BYTES = 65_557
"""How much of its end: the end record of a ZIP archive is 22 bytes and a comment of up to 65,535."""

KINDS: Mapping[str, str] = {
    "audio": "sound",
    "video": "a video",
    "image": "a picture",
    "spreadsheet": "a spreadsheet (ODS or XLS; save it as XLSX or CSV)",
    "document": "a document",
    "medical": "a medical image",
    "archive": "an archive or compressed file",
    "executable": "a program",
    "pickle": "a Python pickle",
    "array": "a file of arrays",
    "database": "a database",
    "columnar": "a columnar table file",
    "encoded": "encoded bytes",
}
"""Every kind that this package tells apart, with its words for people."""

# Two or more fixed bytes that no UTF-8 text starts with, or a longer magic word: right wherever a blob starts.
_STRONG: Mapping[str, bytes] = {
    # Before documents and archives, which its two formats are as well: XLS in a compound file, ODS in a ZIP archive.
    "spreadsheet": rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1[\0-\xff]{504}\x09\x08"
    rb"|PK\x03\x04[\0-\xff]{26}mimetypeapplication/vnd\.oasis\.opendocument\.spreadsheet",
    "audio": rb"RIF[FX]....WAVE|RF64....WAVE|FORM....AIF[FC]|OggS\0|fLaC\0|#!AMR|#!SILK|ID3[\x02-\x04].[\0-\xf0]"
    rb"|\.snd\0\0\0|MThd\0\0\0\x06|caff\0|wvpk....|MAC \x96|....ftypM4[AB] |NIST_1A\n",
    "image": rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff[\xc0-\xfe]|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*\0"
    rb"|\0...ftyp(?:hei[cfmsx]|hev[cx]|mif1|msf1|avi[fs])|\0\0\0\x0cjP  \r\n|\xffO\xffQ\0|\xff\x0a[\0-\xff]{2}\0"
    rb"|8BPS\0\x01|gimp xcf|\0\0\x01\0[\x01-\x20]\0|v/1\x01|BM....\0\0\0\0|qoif\0|BPG\xfb"
    rb"|P[1-6]\n(?:#[^\n]{0,200}\n)*[0-9]{1,5} [0-9]{1,5}\n"
    rb"|/\* XPM \*/|(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--[^>]{0,200}-->\s*)?<svg[\s>]",
    "video": rb"RIFF....AVI |\x1a\x45\xdf\xa3|\0...(?:ftyp|moov|mdat|wide)|\0\0\x01[\xb3\xba]|FLV\x01"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\.RMF\0",
    "document": rb"%PDF-[0-9]|%!PS-|\{\\rtf|\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|AT&TFORM|-----BEGIN |MIME-Version:"
    rb"|begin [0-7]{3} \S|=ybegin |(?i:<!doctype html|<html[\s>])",
    "medical": rb"[\0-\xff]{128}DICM|[\x5c]\x01\0\0[\0-\xff]{340}n[i+]1\0|NRRD000[1-5]|\xffBIOSEMI",
    "archive": rb"PK(?:\x03\x04|\x05\x06|\x07\x08)|\x1f\x8b[\x08]|BZh[1-9](?:1AY&SY|\x17rE8P\x90)|\xfd7zXZ\0"
    rb"|7z\xbc\xaf\x27\x1c|[\x28\x22-\x27]\xb5\x2f\xfd|\x04\x22\x4d\x18|Rar!\x1a\x07|\x1f\x9d|LZIP\x01|MSCF\0|!<arch>\n"
    rb"|xar!\0|age-encryption\.org/|[\0-\xff]{257}ustar",
    "executable": rb"\x7fELF[\x01\x02]|MZ[\0-\xff]{58}..\0\0|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe"
    rb"|\xca\xfe\xba\xbe|\0asm\x01|#![ ]?/|dex\n03|.\x0d\x0d\x0a[\0-\x03]\0\0\0",
    "pickle": rb"\x80[\x04\x05]\x95|\x80[\x02\x03][\](}cXKJGMNU\x88-\x8c]"
    rb"|(?:\(dp0|\(lp0|c(?:__builtin__|builtins|copy_reg|os|posix|nt|numpy[\w.]{0,40})\n\w{1,40})\n",
    "array": rb"\x93NUMPY|\x89HDF\r\n\x1a\n|CDF[\x01\x02\x05]|MATLAB 5\.0|#ASDF|SIMPLE  =|GGUF[\x01-\x04]\0",
    "database": rb"SQLite format 3\0|\0\x01\0\0Standard (?:Jet|ACE) DB",
    "columnar": rb"PAR[1E][\0-\x08\x0e-\x1f]|ARROW1\0\0|FEA1[\0-\x08]|ORC[\0-\x08]|Obj\x01|RDX[23]\n|\$FL[23]@"
    rb"|<stata_dta>",
}
# Right only where a whole file starts: one text in many thousands of decoded runs would start so by chance.
_WEAK: Mapping[str, bytes] = {
    "audio": rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xfd][\0-\xfe]|\xff[\xf0\xf1\xf8\xf9][\x40-\xbf]"
    rb"|RIF[FX](?=[\0-\xff]{0,3}\0)",
    "video": rb"(?=[ -~]{0,186}[^ -~])G[\0-\xff]{187}G[\0-\xff]{187}G",
    "medical": rb"0 {7}[ -~]{160}",
    "archive": rb"\x78(?:[\x01\x9c]|\xda[^\x80-\xbf])",
    "database": rb"\x03[\0-\x7f][\x01-\x0c][\x01-\x1f]",
    "pickle": rb"\x80[\x01-\x05]",
}
# Six fixed bytes and more: rare enough by chance to be looked for at every place of decoded or binary bytes.
_ANYWHERE: Mapping[str, bytes] = {
    "audio": rb"RIFF....WAVEfmt |FORM....AIF[FC](?:COMM|FVER)|OggS\0\x02\0\0\0|fLaC\0\0\0\x22"
    rb"|ID3[\x03\x04]\0[\0-\x0f]\0\0",
    "image": rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff[\xe0\xe1]..(?:JFIF|Exif)\0|GIF89a[\0-\xff]{4}[\x80-\xff]|RIFF....WEBPVP8"
    rb"|ftyp(?:heic|avif|mif1)",
    "video": rb"RIFF....AVI LIST|\0\0\0.ftyp(?:isom|iso[2-9]|mp4[12]|qt  |M4[AV] )"
    rb"|\x1a\x45\xdf\xa3[\0-\xff]{1,12}\x42\x86",
    "document": rb"%PDF-[12]\.[0-9]",
    "medical": rb"\0\0\0\0DICM\x02\0",
    "archive": rb"PK\x03\x04[\x0a\x14\x2d]\0[\0-\xff]\x08?[\0\x08]\0|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\xfd7zXZ\0\0",
    "array": rb"\x93NUMPY[\x01-\x03]\0|\x89HDF\r\n\x1a\n",
    "database": rb"SQLite format 3\0",
}


def _compiled(signatures: Mapping[str, bytes]) -> re.Pattern[bytes]:
    """One alternation; the group that took part in the match is the kind."""
    groups = (b"(?P<%b>%b)" % (kind.encode(), pattern) for kind, pattern in signatures.items())
    return re.compile(b"|".join(groups), re.DOTALL)


_BLOB = _compiled(_STRONG)
_FILE_ONLY = _compiled(_WEAK)
_INSIDE = _compiled(_ANYWHERE)
_LATE_PDF = re.compile(rb"%PDF-[12]\.[0-9]")
_ZIP_END = b"PK\x05\x06"
_ENDS: tuple[tuple[bytes, str], ...] = (
    (b"IEND\xaeB`\x82", "image"),
    (b"\xff\xd9", "image"),
    (b"PAR1", "columnar"),
    (b"ARROW1", "columnar"),
)


def media_kind(head: bytes, tail: bytes = b"") -> str | None:
    """The kind (a key of `KINDS`) of a file that starts with `head` and ends with `tail`; `None` when it may be text.

    `head` is the first `HEAD_BYTES` and `tail` the last `TAIL_BYTES` of the file, or all of a shorter one; what comes
    before a ZIP archive at the end does not hide it. A workbook (XLSX) is an `archive`, a Parquet file is `columnar`.
    """
    match = _BLOB.match(head) or _FILE_ONLY.match(head)
    if match is not None:
        return match.lastgroup
    if _LATE_PDF.search(head, 0, HEAD_BYTES):
        return "document"
    return _kind_of_end(tail)


def _kind_of_end(tail: bytes) -> str | None:
    at = tail.rfind(_ZIP_END)
    # The end record says how long its comment is; by chance the two lengths do not agree.
    if at >= 0 and len(tail) >= at + 22 and struct.unpack_from("<H", tail, at + 20)[0] == len(tail) - at - 22:
        return "archive"
    return next((kind for end, kind in _ENDS if tail.endswith(end)), None)


def blob_kind(blob: bytes) -> str | None:
    """The kind of a run of bytes that were decoded from text, by its first bytes; `None` when they tell nothing."""
    match = _BLOB.match(blob)
    return match.lastgroup if match else None


def kind_inside(data: bytes) -> str | None:
    """The kind of the first file that lies anywhere inside binary `data`, as in one appended to a text."""
    match = _INSIDE.search(data)
    return match.lastgroup if match else None


def in_words(kind: str) -> str:
    return KINDS[kind]
