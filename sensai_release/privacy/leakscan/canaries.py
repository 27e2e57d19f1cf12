"""Canaries: the texts of the source that no released byte may hold, and the rule by which a hit of each counts.

A text proves nothing when it could stand there for another reason. So: words of the workspace's own declared texts
(the vocabulary) are no canaries; a word of free text counts alone only when it looks like a name or a number and is
rare; all free text counts as runs of three words; a short text counts between word boundaries only; and a number of
fewer than eight digits counts only as a whole cell or beside a word such as "participant". Reading the source is for
`pipeline.scan`, the search itself for `matching`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sensai_release.privacy.leakscan.matching import SHORTEST, Hit, Matcher, fold

Rule = Literal["anywhere", "edges", "word", "number", "short_number"]

IDENTIFIER = "leak.identifier"
NAME = "leak.name"
FREE_TEXT = "leak.free_text"
MACHINE = "leak.machine"

_LONG = 10
_LONG_NUMBER = 8
_PHRASE_WORDS = 3
_PHRASE_LETTERS = 12
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_DIGITS = frozenset(b"0123456789")
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") | frozenset(range(128, 256))
_CONTEXT = re.compile(
    rb"(?i)(?:\bid|_id|participant|subject|person|patient|session|pati[e\xc3\xab]+nt|proefpersoon|deelnemer|study|studie)"
    rb"[\w ]{0,12}[\"' :=#.-]{0,4}$"
)
_KEY_HEADER = re.compile(rb"(?i)\"?[^,;\t\n]{0,40}(?:id|nr|number|nummer|participant|subject|patient)\"?[,;\t\r\n]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Canary:
    kind: str
    rule: Rule


class Canaries:
    """A finished set of canaries. Shows neither them nor their number, which would tell how many persons there are."""

    __slots__ = ("_canaries", "_matcher", "key_columns", "too_short")

    def __init__(self, texts: dict[bytes, _Canary], key_columns: frozenset[str], *, too_short: bool) -> None:
        self._matcher = Matcher(list(texts))
        self._canaries = tuple(texts.values())
        self.key_columns = key_columns
        """Columns of the source that hold identifiers: a typed number under such a name is compared as a text."""
        self.too_short = too_short
        """Whether some identifier has too few characters to be looked for."""

    def __repr__(self) -> str:
        return "Canaries()"

    def __bool__(self) -> bool:
        return bool(self._canaries)

    def count(self, data: bytes, *, cells: bool = False) -> dict[str, int]:
        """How often each kind of canary stands in `data`; with `cells`, each line of it is one whole cell."""
        counts: Counter[str] = Counter()
        keyed = not cells and _KEY_HEADER.match(data) is not None
        for hit in self._matcher.find(data):
            canary = self._canaries[hit.text]
            if _counts(canary.rule, data, hit, cells=cells, keyed=keyed):
                counts[canary.kind] += 1
        return dict(counts)


def _counts(rule: Rule, data: bytes, hit: Hit, *, cells: bool, keyed: bool) -> bool:
    first, last = data[hit.start], data[hit.end - 1]
    before = data[hit.start - 1] if hit.start else 10
    after = data[hit.end] if hit.end < len(data) else 10
    inside = data[hit.start : hit.end]
    if rule == "anywhere":
        return len(inside) <= 2 * len(fold(inside))
    if _joined(before, first) or _joined(last, after):
        return False
    if rule == "word":
        return len(inside) == len(fold(inside))
    if rule == "edges":
        # Runs of words may be wrapped and indented; "P 0.01" is a probability, not the person P001.
        return len(inside) <= len(fold(inside)) + 8 and re.search(rb"\d\.\d", inside) is None
    # A number within a longer number, before or after a decimal point, is another number.
    starts_line, ends_line = before in b"\r\n\"'", after in b"\r\n\"'"
    fraction = rb"\.\d" if keyed and starts_line else rb"[.,]\d"
    if re.search(rb"\d[.,]$", data[max(0, hit.start - 2) : hit.start]) or re.match(
        fraction, data[hit.end : hit.end + 2]
    ):
        return False
    if b"\n" in inside or len(inside) > len(fold(inside)) + 3:
        return False
    if rule == "number":
        return True
    if cells:
        return starts_line and ends_line
    return (keyed and starts_line) or _CONTEXT.search(data[max(0, hit.start - 40) : hit.start]) is not None


def _joined(one: int, other: int) -> bool:
    """Whether two neighbouring bytes belong to one word; a letter beside a digit does not end an identifier."""
    return (one in _DIGITS and other in _DIGITS) or (
        one in _LETTERS | _DIGITS and other in _LETTERS | _DIGITS and (one in _LETTERS or other in _LETTERS)
    )


class CanaryBuilder:
    """Collects canaries. `vocabulary` is every text that the workspace itself declares and may therefore release."""

    def __init__(self, vocabulary: Iterable[str] = ()) -> None:
        words = [word for text in vocabulary for word in _words(text)]
        self._words = frozenset(words)
        self._running = " " + " ".join(words) + " "
        self._texts: dict[bytes, _Canary] = {}
        self._keys: set[str] = set()
        self._too_short = False

    def add_identifiers(self, values: Iterable[str], *, column: str | None = None) -> None:
        """Raw identifiers: each is looked for in every spelling of its letters and separators."""
        if column is not None:
            self._keys.add(column)
        for value in values:
            if len(fold(value.encode())) < SHORTEST:
                self._too_short = True
            elif any(c.isdigit() for c in value) or not self._is_declared(value):
                self._add(value, IDENTIFIER)

    def add_names(self, values: Iterable[str]) -> None:
        """Names, addresses and the like: each word of four letters or more, and the whole."""
        for value in values:
            words = _words(value)
            for word in words:
                if len(word) >= SHORTEST and word not in self._words:
                    self._add(word, NAME, word=True)
            whole = "".join(words)
            if len(whole) >= 6 and not self._is_declared(value):
                self._add(whole, NAME)

    def add_free_text(self, values: Iterable[str]) -> None:
        """Cells of free text: runs of three words, and rare words that look like names or numbers."""
        cells = [value for value in dict.fromkeys(values) if value]
        seen = Counter(word for cell in cells for word in set(_words(cell)))
        most = max(3, len(cells) // 20)
        for cell in cells:
            for word in _telling(cell):
                if word.lower() not in self._words and seen[word.lower()] <= most:
                    self._add(word, FREE_TEXT, word=True)
            words = _words(cell)
            runs = [words[at : at + _PHRASE_WORDS] for at in range(max(1, len(words) - _PHRASE_WORDS + 1))]
            for run in runs:
                phrase = "".join(run)
                if len(phrase) >= _PHRASE_LETTERS and not self._is_declared(" ".join(run)):
                    self._add(phrase, FREE_TEXT)

    def add_machine(self, values: Iterable[str]) -> None:
        """What tells of the machine at work: folders, a user's name, a host's name."""
        for value in values:
            if len(fold(value.encode())) >= 6 and value.lower() not in self._words:
                self._add(value, MACHINE)

    def build(self) -> Canaries:
        return Canaries(dict(self._texts), frozenset(self._keys), too_short=self._too_short)

    def _is_declared(self, text: str) -> bool:
        return f" {' '.join(_words(text))} " in self._running

    def _add(self, text: str, kind: str, *, word: bool = False) -> None:
        for form in _forms(text):
            if len(form) >= SHORTEST:
                rule = _rule(form)
                # "no or" is not the name Noor: separators are overlooked in codes and in runs of words alone.
                self._texts.setdefault(form, _Canary(kind=kind, rule="word" if word and form.isalpha() else rule))


def _rule(form: bytes) -> Rule:
    if form.isdigit():
        return "number" if len(form) >= _LONG_NUMBER else "short_number"
    digits = any(byte in _DIGITS for byte in form)
    # In 100 MB of base 32 text a given set of 200,000 mixed texts of ten characters turns up by chance in 1 of 50 runs.
    return "anywhere" if digits and len(form) >= _LONG else "edges"


def _forms(text: str) -> set[bytes]:
    """The bytes that a text can take: UTF-8, Latin-1, JSON escapes, without accents; case and separators folded."""
    if text.isascii():
        return {fold(text.encode())}
    forms = set()
    for spelling in {text, text.lower(), text.upper(), unicodedata.normalize("NFD", text), _plain(text)}:
        forms.add(fold(spelling.encode("utf-8", "replace")))
        forms.add(fold(spelling.encode("latin-1", "replace")))
        forms.add(fold(json.dumps(spelling)[1:-1].encode()))
    return {form for form in forms if b"?" not in form}


def _plain(text: str) -> str:
    """Without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _telling(cell: str) -> list[str]:
    """Words of a cell that can point to somebody by themselves: numbers, codes, and capitals within a sentence."""
    found = []
    for match in _WORD.finditer(cell):
        word = match[0]
        digits = sum(c.isdigit() for c in word)
        opening = not cell[: match.start()].rstrip(" \"'(") or cell[: match.start()].rstrip(" \"'(")[-1] in ".!?:\n"
        if (digits and len(word) >= 5 and (digits < len(word) or digits >= 7)) or (
            not digits and len(word) >= SHORTEST and word[0].isupper() and not opening
        ):
            found.append(word)
    return found
