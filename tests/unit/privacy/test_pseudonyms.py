from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import re

import pyarrow as pa
import pytest

from sensai_release.errors import IdentifierError
from sensai_release.privacy.keyfile import RootKey
from sensai_release.privacy.keys import frame
from sensai_release.privacy.pseudonyms import (
    ALPHABET,
    Pseudonymiser,
    canonical,
    looks_like_pseudonym,
    pseudonym_pattern,
    verify_check_character,
)
from sensai_release.table.schema import Identifier

ROOT = RootKey(secret=hashlib.sha256(b"golden root").digest(), key_id="0123456789abcdef")
PERSON = Identifier(kind="participant", prefix="P", pattern=r"[A-Z]{1,8}-?[0-9]{1,8}")
SESSION = Identifier(kind="session", prefix="S", pattern=r"[A-Z]{1,8}-?[0-9]{1,8}(-S[0-9]+)?")
MAKER = Pseudonymiser(ROOT, "STUDY", "series")


def pseudonyms(*ids: str | None, identifier: Identifier = PERSON, maker: Pseudonymiser = MAKER) -> dict[str, str]:
    table = maker.table_for(pa.array(ids, pa.string()), identifier, "people.id")
    return dict(zip(table["raw"].to_pylist(), table["pseudonym"].to_pylist(), strict=True))


def test_golden_pseudonyms() -> None:
    """Fixed for ever: a change here breaks every series that was ever released."""
    assert pseudonyms("SYN0001", "SYN0002") == {"SYN0001": GOLDEN_1, "SYN0002": GOLDEN_2}
    assert pseudonyms("SYN0001", identifier=SESSION) == {"SYN0001": GOLDEN_SESSION}


GOLDEN_1 = "PAF0E1XD4EBN5NGAV8"
GOLDEN_2 = "PFJN9G9A54J378714K"
GOLDEN_SESSION = "SSCKZY5BTVP21N2GFA"


def times(one: int, two: int) -> int:
    """The product in GF(32), by hand: carry-less multiplication, then reduction by a^5 + a^2 + 1."""
    product = 0
    for bit in range(5):
        if two >> bit & 1:
            product ^= one << bit
    for bit in range(8, 4, -1):
        if product >> bit & 1:
            product ^= 0b100101 << (bit - 5)
    return product


def check_character(text: str) -> str:
    """Horner's rule: the polynomial of all characters, this one last, is zero at a = 2."""
    value = 0
    for character in text:
        value = times(value ^ ALPHABET.index(character), 2)
    return ALPHABET[value]


def test_body_is_base32_of_rfc_4648_in_another_alphabet() -> None:
    assert base64.b32encode(b"foobar") == b"MZXW6YTBOI======"  # RFC 4648, section 10
    info = frame([b"sensai-release", b"1", ROOT.key_id.encode(), b"STUDY", b"series", b"pseudonym", b"participant"])
    key = hmac.digest(hmac.digest(bytes(32), ROOT.secret, "sha256"), info + b"\x01", "sha256")
    digest = hmac.digest(key, frame([b"participant", b"SYN0001"]), "sha256")[:10]
    rfc = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", ALPHABET)
    assert GOLDEN_1[1:-1] == base64.b32encode(digest).decode().translate(rfc)


def test_alphabet_has_no_look_alikes() -> None:
    assert sorted(set(ALPHABET)) == list(ALPHABET)
    assert len(ALPHABET) == 32
    assert not set(ALPHABET) & set("ILOU")


def test_shape_and_check_character() -> None:
    made = pseudonyms(*(f"A{n}" for n in range(1, 300)))
    for text in made.values():
        assert re.fullmatch(pseudonym_pattern(PERSON), text)
        assert re.fullmatch(r"P[0-9A-HJKMNP-TV-Z]{17}", text)
        assert text[-1] == check_character(text[:-1])
        assert verify_check_character(text)
    assert len(set(made.values())) == 299


def with_check(body: str) -> str:
    return body + check_character(body)


# The last three: characters whose swap Luhn mod 32 would miss, equal characters, the largest code in every place.
SLIPS = [GOLDEN_1, GOLDEN_SESSION, with_check("P0Z0Z0Z0Z0Z0Z0Z0Z"), with_check("P" + "0" * 16), with_check("Z" * 17)]


@pytest.mark.parametrize("text", SLIPS)
def test_check_character_finds_every_single_slip(text: str) -> None:
    assert verify_check_character(text)
    for position in range(len(text)):
        for character in ALPHABET:
            if character != text[position]:
                assert not verify_check_character(text[:position] + character + text[position + 1 :])
    for bad in ("", "P", text[:-1], text + "0", "U" + text[1:], text[:-1] + "\n", text[:-1] + " "):
        assert not verify_check_character(bad)
    assert text == text.lower() or not verify_check_character(text.lower())


@pytest.mark.parametrize("text", SLIPS)
def test_check_character_finds_every_two_that_changed_places(text: str) -> None:
    for one, two in itertools.combinations(range(len(text)), 2):
        letters = list(text)
        letters[one], letters[two] = letters[two], letters[one]
        assert verify_check_character("".join(letters)) is (text[one] == text[two])


def test_everything_that_should_separate_pseudonyms_does() -> None:
    here = pseudonyms("A1")["A1"]
    assert pseudonyms("A1")["A1"] == here
    assert pseudonyms("A1", maker=Pseudonymiser(ROOT, "OTHER", "series"))["A1"] != here
    assert pseudonyms("A1", maker=Pseudonymiser(ROOT, "STUDY", "recipient"))["A1"] != here
    other = RootKey(secret=hashlib.sha256(b"other").digest(), key_id=ROOT.key_id)
    assert pseudonyms("A1", maker=Pseudonymiser(other, "STUDY", "series"))["A1"] != here
    assert pseudonyms("A1", identifier=SESSION)["A1"][1:] != here[1:]


def test_recipients_share_nothing() -> None:
    """Not a pseudonym, not an order, not with the series, and no recipient can be mistaken for a series."""
    ids = [f"A{n}" for n in range(1, 200)]
    makers = [
        MAKER,
        Pseudonymiser(ROOT, "STUDY", "series", recipient="lab"),
        Pseudonymiser(ROOT, "STUDY", "series", recipient="clinic"),
        Pseudonymiser(ROOT, "STUDY", "lab"),
        Pseudonymiser(ROOT, "STUDY", "serieslab"),
    ]
    made = [pseudonyms(*ids, maker=maker) for maker in makers]
    assert len({text[1:-1] for each in made for text in each.values()}) == len(ids) * len(makers)
    assert len({tuple(each) for each in made}) == len(makers)  # the mapping is ordered by pseudonym
    assert pseudonyms("SYN0001", maker=Pseudonymiser(ROOT, "STUDY", "series", recipient="")) == {"SYN0001": GOLDEN_1}


def test_one_pseudonym_is_that_of_the_table() -> None:
    assert MAKER.pseudonym_of(" syn0001", PERSON) == GOLDEN_1
    assert looks_like_pseudonym(GOLDEN_1)
    assert looks_like_pseudonym(GOLDEN_1[:-1] + "0")
    assert not looks_like_pseudonym("SYN0001")


@pytest.mark.parametrize("spelling", ["SYN0001", " syn0001 ", "SYN\uff10001", "Syn0001\u00a0"])
def test_canonical_form_decides(spelling: str) -> None:
    assert canonical(spelling) == "SYN0001"
    assert pseudonyms(spelling) == {spelling: GOLDEN_1}


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["A1", "A\u200b2"], r"1 identifiers \(first row 2\) hold control or invisible"),
        (["A1", "A2", "A\u00ad3"], r"first row 3"),
        (["A1", "\u202eA2"], "invisible"),
        (["A1\n"], "invisible"),
        (["A1\t", "A2"], "invisible"),
        (["A\ufe0f1"], "invisible"),
        (["A\u034f1"], "invisible"),
        (["\ufeffA1"], "invisible"),
        (["A\x001"], "invisible"),
        (["A1", "a1"], r"1 identifiers \(first row 2\) are two spellings"),
        (["A1", "A1 "], "two spellings"),
        (["A1", "\uff211"], "two spellings"),
        (["A1", "A2", "A2", "A01"], r"1 identifiers \(first row 4\) differ in leading zeros"),
        (["A-10", "A-010", "A-0010"], "2 identifiers"),
        (["A1", "17.0"], "do not match"),
        (["A1", ""], "do not match"),
        (["A1", "A1B"], "do not match"),
        (["A1 A2"], "do not match"),
        (["A1", "A1", "\u0391" + "1"], r"first row 3\) do not match"),
        (["A1", "\uff21\uff11"], "two spellings"),
        (["A2", "A\u00b2"], "two spellings"),  # superscript two
        (["A1", "A\u2460"], "two spellings"),  # circled one
        (["K1", "\u212a1"], "two spellings"),  # Kelvin sign
        (["I1", "\u01311"], "two spellings"),  # dotless i, whose upper case is I
        (["S1", "\u017f1"], "two spellings"),  # long s
        (["FI1", "\ufb011"], "two spellings"),  # ligature
        (["SS1", "\u00df1"], "two spellings"),
        (["A1", "\u00a0A1\u3000"], "two spellings"),
        (["A-0", "A-00"], "differ in leading zeros"),
        (["A001", "A1"], "differ in leading zeros"),
        (["\u04101"], "do not match"),  # Cyrillic A
        (["A\u0661"], "do not match"),  # an Arabic digit
        (["A1\u0301"], "do not match"),
        (["A\u200d1"], "invisible"),
        (["A\u20601"], "invisible"),
        (["A1\u2066"], "invisible"),
        (["A\u31641"], "invisible"),
        (["A\ue0001"], "invisible"),  # private use
        (["A1\u2028"], "invisible"),
        (["A1\r"], "invisible"),
        (["A" + "1" * 100_000], "do not match"),
        (["A1.0"], "do not match"),
        (["1E5"], "do not match"),
        (["   "], "do not match"),
        (["A1", None, "A2", None], r"2 identifiers are missing \(first row 2\)"),
    ],
)
def test_whatever_is_not_plainly_one_identifier_is_refused(ids: list[str | None], words: str) -> None:
    with pytest.raises(IdentifierError, match=words) as caught:
        pseudonyms(*ids)
    assert caught.value.place == "people.id"
    for raw in ids:
        if raw and raw.strip():
            assert raw not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "ids", "words"),
    [
        (r"[0-9.]+", ["17", "17.0"], "differ in a final .0"),
        (r"[0-9.]+", ["17", "17.00"], "differ in a final .0"),
        (r"[0-9.]+", ["017", "17"], "differ in leading zeros"),
        (r"\d+", ["1", "\u0662"], "do not match"),
        (r"\w+", ["A", "\u0410"], "do not match"),
    ],
)
def test_a_lax_pattern_lets_no_two_look_alikes_through(pattern: str, ids: list[str], words: str) -> None:
    with pytest.raises(IdentifierError, match=words):
        pseudonyms(*ids, identifier=Identifier(kind="participant", prefix="P", pattern=pattern))


def test_a_dot_is_no_fault_in_itself() -> None:
    made = pseudonyms("1.1", "1.10", "10.1", identifier=Identifier(kind="p", prefix="P", pattern=r"[0-9.]+"))
    assert len(set(made.values())) == 3


def test_numbers_are_no_identifiers() -> None:
    with pytest.raises(IdentifierError, match="read as numbers"):
        MAKER.table_for(pa.array([1, 2]), PERSON, "people.id")


def test_zeros_inside_do_not_count() -> None:
    assert len(pseudonyms("A10", "A100", "A1000", "B1", "B11", identifier=PERSON)) == 5


def test_repeats_and_chunks_make_one_row_and_order_is_that_of_pseudonyms() -> None:
    column = pa.chunked_array([["A2", "A1"], ["A2"], []], pa.string())
    table = MAKER.table_for(column, PERSON, "people.id")
    assert table.num_rows == 2
    assert table["pseudonym"].to_pylist() == sorted(table["pseudonym"].to_pylist())
    assert MAKER.table_for(pa.array([], pa.string()), PERSON, "people.id").num_rows == 0


def test_replace() -> None:
    mapping = MAKER.table_for(pa.array(["A1", "A2"]), PERSON, "people.id")
    column = pa.chunked_array([["A2", "A1"], ["A2"]])
    made = pseudonyms("A1", "A2")
    assert MAKER.replace(column, mapping).to_pylist() == [made["A2"], made["A1"], made["A2"]]
    assert column.to_pylist() == ["A2", "A1", "A2"]
    for wrong in (["A1", "A3", "A3"], ["A1", None], ["a1"]):
        with pytest.raises(IdentifierError) as caught:
            MAKER.replace(pa.array(wrong), mapping, "sessions.id")
        assert "A3" not in str(caught.value)
        assert "sessions.id" in str(caught.value)


def test_a_pseudonymiser_shows_nothing() -> None:
    assert ROOT.secret.hex() not in repr(MAKER)
    assert repr(MAKER) == "Pseudonymiser(study='STUDY', series='series')"
