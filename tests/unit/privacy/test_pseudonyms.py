from __future__ import annotations

import hashlib
import re

import pyarrow as pa
import pytest

from sensai_release.errors import IdentifierError
from sensai_release.privacy.keyfile import RootKey
from sensai_release.privacy.pseudonyms import (
    ALPHABET,
    Pseudonymiser,
    canonical,
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


GOLDEN_1 = "PAF0E1XD4EBN5NGAV4"
GOLDEN_2 = "PFJN9G9A54J3787149"
GOLDEN_SESSION = "SSCKZY5BTVP21N2GFF"


def luhn32(text: str) -> str:
    """The textbook algorithm, one character at a time."""
    total = 0
    for position, character in enumerate(reversed(text)):
        code = ALPHABET.index(character) * (2 if position % 2 == 0 else 1)
        total += code // 32 + code % 32
    return ALPHABET[-total % 32]


def test_shape_and_check_character() -> None:
    made = pseudonyms(*(f"A{n}" for n in range(1, 300)))
    for text in made.values():
        assert re.fullmatch(pseudonym_pattern(PERSON), text)
        assert re.fullmatch(r"P[0-9A-HJKMNP-TV-Z]{17}", text)
        assert text[-1] == luhn32(text[:-1])
        assert verify_check_character(text)
    assert len(set(made.values())) == 299


def test_check_character_finds_every_single_slip() -> None:
    text = GOLDEN_1
    for position in range(len(text)):
        for character in ALPHABET:
            if character != text[position]:
                assert not verify_check_character(text[:position] + character + text[position + 1 :])
    for bad in ("", "P", text[:-1], text + "0", text.lower(), text.replace(text[3], "U"), text[:-1] + "\n"):
        assert not verify_check_character(bad)


def test_everything_that_should_separate_pseudonyms_does() -> None:
    here = pseudonyms("A1")["A1"]
    assert pseudonyms("A1")["A1"] == here
    assert pseudonyms("A1", maker=Pseudonymiser(ROOT, "OTHER", "series"))["A1"] != here
    assert pseudonyms("A1", maker=Pseudonymiser(ROOT, "STUDY", "recipient"))["A1"] != here
    other = RootKey(secret=hashlib.sha256(b"other").digest(), key_id=ROOT.key_id)
    assert pseudonyms("A1", maker=Pseudonymiser(other, "STUDY", "series"))["A1"] != here
    assert pseudonyms("A1", identifier=SESSION)["A1"][1:] != here[1:]


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
