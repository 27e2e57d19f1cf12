"""Names of persons and offices that a reader can tell apart: what a name may not hold, and which names look alike.

Follows the restrictions of Unicode Technical Standard 39 (https://www.unicode.org/reports/tr39/, sections 4 and 5.1)
as far as a name on a screen needs them; the letters that look alike are those of Latin, Cyrillic, Greek and Armenian
type. What a name stands for, and what is refused because of it, is for `keyfile` and `release.trust`.
"""

from __future__ import annotations

import re
import unicodedata

# What shows nothing and is no format character: fillers, joiners, blanks, variation selectors (UAX 44, 5.7.3).
_UNSEEN = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d159\U00016fe4"
    r"\U000e0100-\U000e01ef]"
)
# Scripts that one word may mix: Japanese, Korean and Chinese are written so.
_TOGETHER = (
    frozenset({"CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"CJK", "HANGUL"}),
    frozenset({"CJK", "BOPOMOFO"}),
)
_LATIN = str.maketrans(
    {
        # Cyrillic
        "\u0410": "A", "\u0412": "B", "\u0415": "E", "\u0417": "3", "\u041a": "K", "\u041c": "M", "\u041d": "H",
        "\u041e": "O", "\u0420": "P", "\u0421": "C", "\u0422": "T", "\u0423": "Y", "\u0425": "X", "\u0405": "S",
        "\u0406": "I", "\u0408": "J", "\u04ae": "Y", "\u04c0": "I", "\u051a": "Q", "\u051c": "W", "\u0430": "a",
        "\u0435": "e", "\u043e": "o", "\u0440": "p", "\u0441": "c", "\u0443": "y", "\u0445": "x", "\u0455": "s",
        "\u0456": "i", "\u0458": "j", "\u0475": "v", "\u04ab": "c", "\u04af": "y", "\u04bb": "h", "\u04cf": "l",
        "\u0501": "d", "\u050c": "G", "\u051b": "q", "\u051d": "w", "\u0433": "r", "\u043f": "n", "\u044c": "b",
        # Greek
        "\u0391": "A", "\u0392": "B", "\u0395": "E", "\u0396": "Z", "\u0397": "H", "\u0399": "I", "\u039a": "K",
        "\u039c": "M", "\u039d": "N", "\u039f": "O", "\u03a1": "P", "\u03a4": "T", "\u03a5": "Y", "\u03a7": "X",
        "\u03b1": "a", "\u03b3": "y", "\u03b9": "i", "\u03ba": "k", "\u03bd": "v", "\u03bf": "o", "\u03c1": "p",
        "\u03c3": "o", "\u03c5": "u", "\u03c7": "x", "\u03f2": "c", "\u03f3": "j", "\u03b7": "n",
        "\u03c9": "w", "\u03f9": "C",
        # Armenian
        "\u0555": "O", "\u054d": "U", "\u054f": "S", "\u0585": "o", "\u057d": "u", "\u0570": "h", "\u0578": "n",
        "\u0581": "g", "\u0584": "p", "\u0566": "q", "\u056c": "l",
        # Latin
        "\u0131": "i", "\u0237": "j", "\u0251": "a", "\u0261": "g", "\u0269": "i", "\u028b": "u",
        "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2212": "-", "\u2019": "'", "\u2018": "'",
        "\u02bc": "'", "\u02b9": "'", "\u0060": "'", "\u00b4": "'",
    }
)  # fmt: skip
_STROKES = str.maketrans({"I": "l", "1": "l", "|": "l", "0": "O"})


def identity(name: str) -> str:
    """Whom a name stands for: two spellings that differ in case, in spaces or in their encoding are one."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def looks(name: str) -> frozenset[tuple[str, str]]:
    """What a reader may take a name for. Two names that share a look cannot be told apart; so UTS 39, section 4."""
    # Some of the letters would become others in NFKC, so they are looked at before it too.
    spaced = unicodedata.normalize("NFD", " ".join(unicodedata.normalize("NFKC", name.translate(_LATIN)).split()))
    folded = unicodedata.normalize("NFD", identity(spaced.translate(_LATIN)))
    return frozenset({("as written", _plain(spaced).translate(_STROKES)), ("in any case", _plain(folded))})


def _plain(text: str) -> str:
    """Decomposed text in Latin letters that look the same; a dot above a letter that has one is not seen."""
    return unicodedata.normalize("NFC", re.sub("(?<=[ij])\u0307", "", text.translate(_LATIN)))


def name_fault(name: str) -> str | None:
    """Why a name cannot be read for what it is, or None. The answer completes "has a name that ..."."""
    if not name.isprintable() or _UNSEEN.search(name):
        return "holds a character that is not seen, or that turns the text around"
    if not identity(name):
        return "is empty"
    decomposed = unicodedata.normalize("NFD", name)
    if any(
        unicodedata.category(mark) in ("Mn", "Me") and (not before.strip() or before == mark)
        for before, mark in zip(" " + decomposed, decomposed, strict=False)
    ):
        return "has an accent that stands on no letter, or twice on one"
    words = re.split(r"[\s\u2010-\u2015-]+", unicodedata.normalize("NFKC", name))
    if any(len(found) > 1 and not any(found <= fine for fine in _TOGETHER) for found in map(_scripts, words)):
        return "mixes alphabets within a word"
    return None


def _scripts(word: str) -> frozenset[str]:
    """The scripts of the letters in a word, as the names of the characters begin; marks and signs belong to any."""
    return frozenset(
        unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0] for letter in word if letter.isalpha()
    ) - {"MODIFIER", "FEMININE", "MASCULINE", "IDEOGRAPHIC", "MICRO"}
