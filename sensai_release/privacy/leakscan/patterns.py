"""What numbers, addresses and places of people look like, and how much proof each needs.

A form is never enough where chance makes it too: one random number of nine digits in eleven passes the test of the
Dutch citizen service number (BSN), so it needs its word beside it; a post code of Dutch form needs a place, a street or
a form that prose does not have. IBAN by ISO 13616 (mod 97 of ISO/IEC 7064), BSN by its eleven-proof, telephone numbers
by ITU-T E.164 and the Dutch numbering plan, IP addresses by `ipaddress`. Everything here works on text; what is text is
for `unwrap` to say.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

_WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2, -1)
# Length of an IBAN by country (SWIFT IBAN registry): the countries from which patients of a Dutch hospital come most.
_IBAN_LENGTH = {
    b"AD": 24, b"AT": 20, b"BE": 16, b"BG": 22, b"CH": 21, b"CY": 28, b"CZ": 24, b"DE": 22, b"DK": 18, b"EE": 20,
    b"ES": 24, b"FI": 18, b"FR": 27, b"GB": 22, b"GR": 27, b"HR": 21, b"HU": 28, b"IE": 22, b"IS": 26, b"IT": 27,
    b"LI": 21, b"LT": 20, b"LU": 20, b"LV": 21, b"MC": 27, b"MT": 31, b"NL": 18, b"NO": 15, b"PL": 28, b"PT": 25,
    b"RO": 24, b"SE": 24, b"SI": 19, b"SK": 24, b"SM": 27, b"TR": 26,
}  # fmt: skip
# Two capitals after a number and a space that are far more often a unit or a word than the letters of a post code.
_NO_POST_CODE = frozenset(
    b"HZ KB MB GB TB MS CM MM KG EU UK US NL EN AD BC IN IS OF ON AT TO BY OR AS AN IF NO SO WE HE DO AM PM AU LL ID "
    b"CE CC VS ET AL SD SE CI SA SS".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """`accepts` decides on a match (of the whole text); `certain` patterns hold even in scraps of binary data."""

    kind: str
    expression: re.Pattern[bytes]
    accepts: Callable[[re.Match[bytes]], bool] = lambda _: True
    needs: tuple[bytes, ...] = ()
    """One of these must stand in the text (in lower case) at all: a quick way out."""
    certain: bool = False
    only_scraps: bool = False
    decimals: bool = False
    """Looks for decimal fractions, so it needs the text before `without_plain_numbers`."""


def is_bsn(digits: bytes) -> bool:
    """The eleven-proof over eight or nine digits. About one number in eleven passes."""
    digits = digits.rjust(9, b"0")
    total = sum(weight * (digit - 48) for weight, digit in zip(_WEIGHTS, digits, strict=True))
    return total % 11 == 0 and digits.count(digits[0]) < 9


def is_iban(text: bytes) -> bool:
    """Country, length and check digits (the rest modulo 97 is 1)."""
    text = text.replace(b" ", b"").upper()
    if _IBAN_LENGTH.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(chr(byte), 36)) for byte in text[4:] + text[:4])) % 97 == 1


def _before(match: re.Match[bytes], reach: int = 48) -> bytes:
    return match.string[max(0, match.start() - reach) : match.start()]


_BSN_WORD = re.compile(
    rb"(?i)\b(?:bsn|burger ?service ?nummer|sofi(?: ?-?nummer)?|citizen service number)\b[^\n]{0,24}$"
)
_PHONE_WORD = re.compile(rb"(?i)\b(?:tel|telefoon|telephone|phone|mobile|mobiel|gsm|call|bel|fax)\b[^\n]{0,16}$")
_POST_WORD = re.compile(rb"(?i)(?:post ?code|zip|adres|address)\b[^\n]{0,16}$|\b\d{1,4}[a-zA-Z]{0,2}\s*,\s*$")
_PLACE_WORD = re.compile(rb"[ ,]+(?-i:[A-Z][a-z]{2,}|'[st][- ][A-Z])")
_DATE_WORD = re.compile(
    rb"(?i)\b(?:as[_ ]of|date\w*|published|modified|created|issued|version|accessed|retrieved|valid\w*|since|until|"
    rb"from|released?|approved|updated|snapshot)\b[^\n]{0,16}$"
)


def _bsn(match: re.Match[bytes]) -> bool:
    digits = re.sub(rb"\D", b"", match[0])
    # `1234.56.782` is written so on letters of the tax office and nowhere else.
    return is_bsn(digits) and (b"." in match[0] or _BSN_WORD.search(_before(match)) is not None)


def _phone(match: re.Match[bytes]) -> bool:
    text = match[0]
    digits = sum(48 <= byte <= 57 for byte in text)
    if text.startswith((b"+", b"00")):
        return 9 <= digits <= 15
    if text.startswith(b"(") and text[4:5] == b")" and digits == 10:
        return True
    if digits != 10:
        return False
    return text.startswith(b"06") or not text.isdigit() or _PHONE_WORD.search(_before(match)) is not None


def _post_code(match: re.Match[bytes]) -> bool:
    letters = match[0][-2:]
    if _POST_WORD.search(_before(match)) or _PLACE_WORD.match(match.string, match.end()):
        return letters not in (b"SA", b"SD", b"SS") and not (
            letters in _NO_POST_CODE and not _POST_WORD.search(_before(match))
        )
    spaced = match[0][4:5] == b" "
    return spaced and letters not in _NO_POST_CODE


def _ip4(match: re.Match[bytes]) -> bool:
    if re.search(rb"(?i)(?:\bv|version|release|[=<>~^]=?|openface|opensmile)[ \"':=]{0,4}$", _before(match, 16)):
        return False
    octets = [int(part) for part in match[0].split(b".")]
    return max(octets) < 256 and octets[0] not in (0, 127) and sum(octet > 9 for octet in octets) >= 2


def _ip6(match: re.Match[bytes]) -> bool:
    text = match[0].decode()
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return not address.is_loopback and sum(bool(part) for part in text.split(":")) >= 3


def _mac(match: re.Match[bytes]) -> bool:
    return re.search(rb"[A-Fa-f]", match[0]) is not None or b":" in match[0]


def _date(match: re.Match[bytes]) -> bool:
    return _DATE_WORD.search(_before(match)) is None


_NAME = rb"[A-Za-z0-9_.%+$~-]"
_DAY = rb"(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])[-/](?:0[1-9]|[12]\d|3[01])"
_DUTCH_DAY = rb"(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|1[0-2])[-/.](?:19|20)\d\d"
_MONTH = (
    rb"(?:jan(?:uar[iy])?|feb(?:ruar[iy])?|m(?:aart|arch|rt)|apr(?:il)?|mei|may|jun[ei]?|jul[yi]?|aug(?:ust(?:us)?)?|"
    rb"sep(?:tember)?|o[kc]t(?:ober)?|nov(?:ember)?|de[ce](?:ember)?)"
)
_HOME = (
    rb"(?:/(?:home|Users|export/home|data/home)/|[A-Za-z]:(?:\\{1,2}|/)(?:Users|Gebruikers|Documents and Settings)"
    rb"(?:\\{1,2}|/))[\w.$~-]{2,}"
)
_ROOTS = rb"(?:root|mnt|media|tmp|var|srv|opt|Volumes|scratch|net|nfs|private|usr|etc|export|vol|archive|project)"

PATTERNS = (
    Pattern(
        kind="leak.bsn",
        expression=re.compile(rb"(?<![\w.,+-])(?:\d{9}|\d{4}[. ]\d{2}[. ]\d{3})(?![\w,+-]|\.\d)"),
        accepts=_bsn,
    ),
    Pattern(
        kind="leak.iban",
        expression=re.compile(
            rb"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,6}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
        ),
        accepts=lambda match: is_iban(match[0]),
        certain=True,
    ),
    Pattern(
        kind="leak.phone",
        expression=re.compile(
            rb"(?<![\w.,+-])(?:(?:\+|00)[1-9]\d{0,2}[ .-]?(?:\(0\)[ .-]?)?\d(?:[ -]?\d){6,11}"
            rb"|\(?0[1-9]\d{0,2}\)?(?:[ -]{0,3}\d){6,8}|\(\d{3}\) ?\d{3}-\d{4})(?![\w+-]|[.,]\d)"
        ),
        accepts=_phone,
    ),
    Pattern(
        kind="leak.postcode",
        expression=re.compile(rb"(?<![\w.,+-])[1-9]\d{3} ?[A-Z]{2}(?![\w-])"),
        accepts=_post_code,
    ),
    Pattern(
        kind="leak.email",
        expression=re.compile(rb"(?<![\w.@+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![\w-])"),
        needs=(b"@",),
    ),
    Pattern(
        kind="leak.email",
        expression=re.compile(
            rb"(?<![\w.@+-])[\w.%+-]{3,64}@(?:[A-Za-z0-9-]{3,63}\.){1,5}(?:nl|com|org|net|eu|be|de)(?![\w-])"
        ),
        needs=(b"@",),
        certain=True,
        only_scraps=True,
    ),
    Pattern(
        kind="leak.path",
        expression=re.compile(_HOME),
        needs=(b"users", b"/home/", b"gebruikers", b"settings"),
        certain=True,
    ),
    Pattern(
        kind="leak.path",
        expression=re.compile(rb"(?<![\w/.:<*!-])/" + _ROOTS + rb"/" + _NAME + rb"+|file:/{2,3}[\w/]" + _NAME + rb"+"),
        needs=(b"/",),
    ),
    Pattern(
        kind="leak.path",
        expression=re.compile(
            rb"(?<![\w\\])(?![A-Za-z]:\\{1,2}(?:Users|Gebruikers|Documents and)\\)"
            rb"[A-Za-z]:\\{1,2}[\w .$~-]{2,64}(?:\\{1,2}[\w .$~-]{2,}|\.\w{2,4}\b)"
            rb"|(?<!\\)\\{2}(?:\\\\)?[A-Za-z0-9][\w.-]{2,}\\{1,2}[A-Za-z0-9][\w$ .-]{2,}"
        ),
        needs=(b"\\",),
    ),
    Pattern(
        kind="leak.datetime",
        expression=re.compile(
            rb"(?<![\w.-])(?:" + _DAY + rb"|" + _DUTCH_DAY + rb")(?:T|,? {1,2}|_)(?:om )?[012]?\d[:.h][0-5]\d(?!\d)"
        ),
    ),
    Pattern(
        kind="leak.date",
        expression=re.compile(
            rb"(?<![\w./-])(?:" + _DAY + rb"|" + _DUTCH_DAY + rb"|(?i:[0-3]?\d " + _MONTH + rb" (?:19|20)\d\d))"
            rb"(?![\w/-]|\.\d|T|,? {1,2}(?:om )?[012]?\d[:.h][0-5]\d)"
        ),
        accepts=_date,
    ),
    Pattern(kind="leak.ip", expression=re.compile(rb"(?<![\w.+-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)"), accepts=_ip4),
    Pattern(
        kind="leak.ip",
        expression=re.compile(rb"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}(?::{1,2})){2,7}[0-9A-Fa-f]{1,4}(?![\w:.])"),
        accepts=_ip6,
        needs=(b":",),
    ),
    Pattern(
        kind="leak.mac",
        expression=re.compile(rb"(?<![\w:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])"),
        accepts=_mac,
    ),
    Pattern(
        kind="leak.gps",
        expression=re.compile(
            rb"(?i:\b(?:gps|lat(?:itude)?|lng|lon(?:gitude)?|geo|coord\w*|loca\w*)\b[^\n]{0,12}?)"
            rb"[-+]?\d{1,3}\.\d{3,}[\"'}]*\s*[,;/ ]\s*[^\n\d]{0,16}?[-+]?\d{1,3}\.\d{3,}"
            rb"|\d{1,3}\xc2?\xb0 ?[0-5]?\d(?:'|\xe2\x80\xb2)[^\n]{0,10}?[NS](?![a-z])"
        ),
        needs=(b"gps", b"lat", b"lng", b"lon", b"geo", b"coord", b"loca", b"\xb0"),
        decimals=True,
    ),
)
"""Every pattern, in the order in which they are tried."""

_BSN_COLUMN = re.compile(r"(?i)(?:^|_)(?:bsn|burgerservicenummer|sofinummer)(?:$|_)")
_LATITUDE = re.compile(r"(?i)(?:^|_)(?:lat|latitude)(?:$|_)")
_LONGITUDE = re.compile(r"(?i)(?:^|_)(?:lon|lng|long|longitude)(?:$|_)")
# Whole fields of a table only: a space before may stand inside a telephone number, a comma and a space do not.
_PLAIN_NUMBERS = re.compile(rb"(?<=[,\n])(?: {0,2}[-+]?\d{1,7}(?:\.\d+)?(?:[eE][-+]?\d+)?[,\r\n])++")
_COMMA_NUMBERS = re.compile(rb"(?<=[;\t\n])(?: {0,2}[-+]?\d{1,7}(?:[.,]\d+)?(?:[eE][-+]?\d+)?[;\t\r\n])++")


def is_bsn_column(name: str) -> bool:
    """Whether a column says that it holds BSNs; then its bare numbers count."""
    return _BSN_COLUMN.search(name) is not None


def holds_places(names: list[str]) -> bool:
    """Whether a table has a column of latitudes and one of longitudes: the numbers alone could not say so."""
    return any(map(_LATITUDE.search, names)) and any(map(_LONGITUDE.search, names))


def without_plain_numbers(data: bytes) -> bytes:
    """A large table without its fields of plain numbers, in which no pattern but that of places can begin."""
    sample = data[: 1 << 16]
    digits = len(sample) - len(sample.translate(None, b"0123456789"))
    if len(data) < 1 << 14 or digits * 3 < len(sample):
        return data
    header = sample.partition(b"\n")[0]
    # Where semicolons or tabs part the fields, a comma may be the decimal sign.
    numbers = _COMMA_NUMBERS if header.count(b",") < header.count(b";") + header.count(b"\t") else _PLAIN_NUMBERS
    return numbers.sub(b"\n", data)


def count_patterns(
    data: bytes, *, thin: bytes | None = None, scraps: bool = False, declared: frozenset[bytes] = frozenset()
) -> dict[str, int]:
    """How often each kind stands in a text, or in scraps of binary data, where only certain patterns count.

    `thin` is the text `without_plain_numbers`, when the caller has it. `declared` texts are left out, for the
    workspace may release them.
    """
    counts: dict[str, int] = {}
    lower = data.lower()
    thin = without_plain_numbers(data) if thin is None else thin
    for pattern in PATTERNS:
        fits = pattern.certain if scraps else not pattern.only_scraps
        if not fits or (pattern.needs and not any(word in lower for word in pattern.needs)):
            continue
        matches = pattern.expression.finditer(data if pattern.decimals else thin)
        found = sum(1 for match in matches if pattern.accepts(match) and match[0] not in declared)
        if found:
            counts[pattern.kind] = counts.get(pattern.kind, 0) + found
    return counts


def texts_of(data: bytes) -> frozenset[bytes]:
    """What the patterns find in a declared document, for `declared`. The result holds values: it is never printed."""
    return frozenset(
        match[0] for pattern in PATTERNS for match in pattern.expression.finditer(data) if pattern.accepts(match)
    )


def count_bsn_cells(data: bytes) -> int:
    """Lines of `data`, the cells of a column that says it holds BSNs, that are one."""
    return sum(is_bsn(match[1]) for match in re.finditer(rb"(?m)^\"?(\d{8,9})\"?\r?$", data))
