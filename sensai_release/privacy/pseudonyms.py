"""Pseudonyms: keyed, unlinkable without the key, typed and checkable by eye.

A pseudonym is the prefix letter of its kind, 16 characters of Crockford's base 32 (80 bits of HMAC-SHA256, FIPS 198-1,
over the canonical identifier, under a key of its kind) and one check character over all before it.
Identifiers are never guessed at: what is not plainly one identifier is refused. Whose pseudonyms may be released is
decided elsewhere (`governance`), and the key comes from `privacy.keys`.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Callable, Hashable, Sequence
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.errors import IdentifierError
from sensai_release.privacy.keyfile import RootKey
from sensai_release.privacy.keys import derive, frame
from sensai_release.table.schema import Identifier

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32 (https://www.crockford.com/base32.html): no I, L, O, U."""

_BITS = 80
_CHARACTERS = _BITS // 5
_ALPHABET_BYTES = np.frombuffer(ALPHABET.encode("ascii"), dtype=np.uint8)
# Default-ignorable characters that are no format characters (Cf): fillers, joiners, variation selectors.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
# What a spreadsheet makes of a whole number, where a pattern is lax enough to let it through.
_SPREADSHEET = re.compile(r"(?<=\d)\.0+$")


def pseudonym_pattern(identifier: Identifier) -> str:
    """The regular expression that a pseudonym of this kind matches in full."""
    return f"{identifier.prefix}[0-9A-HJKMNP-TV-Z]{{{_CHARACTERS + 1}}}"


def canonical(raw: str) -> str:
    """The one form under which an identifier is known: Unicode NFKC, trimmed, upper case."""
    return unicodedata.normalize("NFKC", raw).strip().upper()


def verify_check_character(text: str) -> bool:
    """Whether `text` is a pseudonym without a slip of the pen: no one wrong character, no two that changed places."""
    if not looks_like_pseudonym(text):
        return False
    codes = np.array([[ALPHABET.index(character) for character in text[:-1]]], dtype=np.int64)
    return ALPHABET[int(_check_codes(codes)[0])] == text[-1]


def looks_like_pseudonym(text: str) -> bool:
    """Whether `text` has the length and the alphabet of a pseudonym, whatever its check character."""
    return len(text) == _CHARACTERS + 2 and all(character in ALPHABET for character in text)


class Pseudonymiser:
    """Makes the pseudonyms of one study and release series, or of one recipient. Holds the root key, never shows it."""

    __slots__ = ("_recipient", "_root", "_series", "_study")

    def __init__(self, root: RootKey, study: str, series: str, *, recipient: str = "") -> None:
        self._root = root
        self._study = study
        self._series = series
        self._recipient = recipient

    def __repr__(self) -> str:
        return f"Pseudonymiser(study={self._study!r}, series={self._series!r})"

    def table_for(self, identifiers: pa.Array | pa.ChunkedArray, identifier: Identifier, place: str) -> pa.Table:
        r"""The mapping `raw`, `pseudonym` (both string), one row per distinct identifier, ordered by pseudonym.

        `place` is `table.column`, for messages. Raises `IdentifierError`, naming how many identifiers and the first row
        (1-based), never an identifier, for: missing cells, control, bidirectional or invisible characters, a pattern
        not matched (its `\d` and `\w` are ASCII), two raw forms of one canonical form, and identifiers that differ in
        leading zeros or in a final `.0` only.
        """
        _refuse_type_and_missing(identifiers, place)
        distinct: list[str] = pc.unique(identifiers).to_pylist()
        check = _Check(identifiers, distinct, place)
        check.each(is_visible, "hold control or invisible characters")
        forms = [canonical(raw) for raw in distinct]
        # ASCII: `\d` in a pattern means 0 to 9, not the digits of all scripts, some of which look alike.
        pattern = re.compile(identifier.pattern, re.ASCII)
        check.each_of(forms, lambda form: pattern.fullmatch(form) is not None, "do not match their declared pattern")
        check.no_two_alike(forms, "are two spellings of one identifier")
        check.no_two_alike([_LEADING_ZEROS.sub("", form) for form in forms], "differ in leading zeros only")
        check.no_two_alike([_SPREADSHEET.sub("", form) for form in forms], "differ in a final .0 only")
        pseudonyms = self._pseudonyms(forms, identifier)
        check.no_two_alike(pseudonyms, "share a pseudonym by chance, so a new root key is needed")
        table = pa.table({"raw": pa.array(distinct, pa.string()), "pseudonym": pa.array(pseudonyms, pa.string())})
        return table.sort_by("pseudonym")

    def replace(
        self, column: pa.Array | pa.ChunkedArray, mapping: pa.Table, place: str = "identifiers"
    ) -> pa.Array | pa.ChunkedArray:
        """The column with every raw identifier replaced. Raises `IdentifierError` for cells missing in `mapping`."""
        _refuse_type_and_missing(column, place)
        positions = pc.index_in(column, value_set=mapping["raw"].combine_chunks())
        if positions.null_count:
            first = pc.index(pc.is_null(positions), True).as_py() + 1
            cause = f"{positions.null_count} cells (first row {first}) hold an identifier that is not registered"
            raise IdentifierError(place, cause, "Register it in the table of its kind, or correct it.")
        return pc.take(mapping["pseudonym"].combine_chunks(), positions)

    def pseudonym_of(self, raw: str, identifier: Identifier) -> str:
        """The pseudonym of one identifier, for looking it up where it was released. Nothing is refused here: what
        `table_for` would refuse has no pseudonym in any release.
        """
        return self._pseudonyms([canonical(raw)], identifier)[0]

    def _pseudonyms(self, forms: Sequence[str], identifier: Identifier) -> list[str]:
        key = derive(
            self._root,
            study=self._study,
            series=self._series,
            purpose="pseudonym",
            kind=identifier.kind,
            recipient=self._recipient,
        )
        kind = identifier.kind.encode("utf-8")
        digests = b"".join(
            hmac.digest(key, frame((kind, form.encode("utf-8"))), "sha256")[: _BITS // 8] for form in forms
        )
        return _encode(np.frombuffer(digests, dtype=np.uint8).reshape(len(forms), _BITS // 8), identifier.prefix)


def _encode(digests: npt.NDArray[np.uint8], prefix: str) -> list[str]:
    bits = np.unpackbits(digests, axis=1).reshape(len(digests), _CHARACTERS, 5)
    body = bits.astype(np.int64) @ np.array([16, 8, 4, 2, 1])
    first = np.full((len(digests), 1), ALPHABET.index(prefix), dtype=np.int64)
    codes = np.hstack([first, body])
    codes = np.hstack([codes, _check_codes(codes)[:, None]])
    text = _ALPHABET_BYTES[codes].tobytes().decode("ascii")
    width = _CHARACTERS + 2
    return [text[start : start + width] for start in range(0, len(text), width)]


def _powers() -> npt.NDArray[np.int64]:
    """Row i: each of the 32 codes times a^(n - i), in GF(32) = GF(2)[a] / (a^5 + a^2 + 1), for n characters."""
    rows = [np.arange(32, dtype=np.int64)]
    for _ in range(_CHARACTERS + 1):
        doubled = rows[-1] << 1
        rows.append(np.where(doubled & 32, doubled ^ 0b100101, doubled))
    return np.stack(rows[:0:-1])


_POWERS = _powers()


def _check_codes(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The check symbol of each row: a Reed-Solomon code over GF(32) with one of them, shortened to 18 characters.

    As a generates the field, every wrong character and every two characters that changed places are found, next to each
    other or not (Reed and Solomon 1960, https://doi.org/10.1137/0108018). Luhn mod 32 would miss 0Z for Z0.
    """
    check: npt.NDArray[np.int64] = np.bitwise_xor.reduce(_POWERS[np.arange(codes.shape[1]), codes], axis=1)
    return check


def is_visible(text: str) -> bool:
    """Whether an identifier shows all that it is made of: no control, bidirectional, unassigned or invisible one."""
    return (text.isascii() and text.isprintable()) or not (
        _INVISIBLE.search(text)
        or any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in text)
    )


def _refuse_type_and_missing(column: pa.Array | pa.ChunkedArray, place: str) -> None:
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        raise IdentifierError(place, "identifiers were read as numbers, not as texts", "Declare the column a string.")
    if column.null_count:
        first = pc.index(pc.is_null(column), True).as_py() + 1
        raise IdentifierError(
            place, f"{column.null_count} identifiers are missing (first row {first})", "Fill them in at the source."
        )


class _Check:
    """Refusals over the distinct identifiers of one column."""

    def __init__(self, column: pa.Array | pa.ChunkedArray, distinct: Sequence[str], place: str) -> None:
        self._column = column
        self._distinct = distinct
        self._place = place

    def each(self, passes: Callable[[str], bool], complaint: str) -> None:
        self.each_of(self._distinct, passes, complaint)

    def each_of(self, forms: Sequence[str], passes: Callable[[str], bool], complaint: str) -> None:
        wrong = [position for position, form in enumerate(forms) if not passes(form)]
        if wrong:
            self._refuse(wrong, complaint)

    def no_two_alike(self, forms: Sequence[Hashable], complaint: str) -> None:
        if len(set(forms)) == len(forms):
            return
        seen: dict[Hashable, int] = {}
        first_of = [seen.setdefault(form, position) for position, form in enumerate(forms)]
        self._refuse([position for position, first in enumerate(first_of) if first != position], complaint)

    def _refuse(self, wrong: Sequence[int], complaint: str) -> NoReturn:
        # `distinct` stands in order of first appearance, so the first wrong one has the first row.
        row = pc.index(self._column, pa.scalar(self._distinct[wrong[0]], self._column.type)).as_py() + 1
        raise IdentifierError(
            self._place, f"{len(wrong)} identifiers (first row {row}) {complaint}", "Correct them at the source."
        )
