"""Names: honest ones of many languages pass, and those that hide or imitate something do not."""

from __future__ import annotations

import unicodedata
from itertools import combinations

import pytest

from sensai_release.privacy.names import identity, looks, name_fault

HONEST = [
    "\u0141ukasz", "\u00d3lafur", "van der Berg", "\u03a3\u03bf\u03c6\u03af\u03b1", "\u674e \u4f1f", "O'Brien",
    "O\u2019Hara", "M\u00fcller-L\u00fcdenscheidt", "S\u00f8ren \u00c6r\u00f8", "\u0130pek I\u015f\u0131k",
    "\u0412\u043b\u0430\u0434\u0438\u043c\u0438\u0440", "\u0645\u062d\u0645\u062f", "\u05e2\u05de\u05d9\u05ea",
    "\u0905\u092e\u093f\u0924 \u0936\u0930\u094d\u092e\u093e", "\u0e2a\u0e21\u0e0a\u0e32\u0e22", "\uae40\ubbfc\uc218",
    "\u7530\u4e2d\u3055\u304f\u3089", "\u30b8\u30e7\u30f3\u30fb\u30b9\u30df\u30b9", "Nguy\u1ec5n Th\u1ecb \u00c1nh",
    "\u02bb\u014ckina", "Dr. J. Smit (UMC) 2", "Anna-\u041c\u0430\u0440\u0438\u044f", "Demonstration data steward",
]  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_honest_names_pass(name: str, form: str) -> None:
    assert name_fault(unicodedata.normalize(form, name)) is None  # type: ignore[arg-type]


def test_no_two_honest_names_look_alike() -> None:
    assert [pair for pair in combinations(HONEST, 2) if looks(pair[0]) & looks(pair[1])] == []


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Paul\u200b", "not seen"), ("Pa\u00adul", "not seen"), ("\u202eluaP", "not seen"), ("\u2066Paul", "not seen"),
        ("Pa\nul", "not seen"), ("Paul\x00", "not seen"), ("Paul\ufeff", "not seen"), ("Paul\u3164", "not seen"),
        ("Paul\ufe0f", "not seen"), ("Pa\u034ful", "not seen"), ("Paul\u2800", "not seen"), ("Paul\u00a0B", "not seen"),
        ("Paul\U000e0100", "not seen"), ("Paul\ue000", "not seen"), ("Paul\ud800", "not seen"),
        ("", "empty"), ("   ", "empty"),
        ("\u0301Paul", "accent"), ("Paul \u0301", "accent"), ("E\u0301\u0301va", "accent"),
        ("\u00c9\u0301va", "accent"),
        ("P\u0430ul", "alphabets"), ("\u0391nna", "alphabets"), ("\u041enno", "alphabets"),
        ("O'H\u0430ra", "alphabets"), ("Jan Sm\u0456t", "alphabets"), ("\u674eLi", "alphabets"),
    ],
)  # fmt: skip
def test_names_that_hide_or_imitate_something_are_refused(name: str, fault: str) -> None:
    assert fault in str(name_fault(name))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Anna Kos", "ANNA  kos"), ("Anna", "\uff21nna"), ("Stra\u00dfe", "STRASSE"), ("Jos\u00e9", "Jose\u0301"),
        ("\ufb01ona", "Fiona"), ("O'Brien", "O\u2019Brien"), ("Jan-Piet", "Jan\u2011Piet"), ("Iris", "lris"),
        ("Bill", "Bi11"),
        ("Oca", "\u041e\u0441\u0430"), ("AHHA", "\u0410\u041d\u041d\u0410"), ("coco", "\u0441\u043e\u0441\u043e"),
        ("Pop", "\u03a1\u03bf\u03c1"), ("TOM", "\u03a4\u039f\u039c"), ("\u00cb", "\u0401"), ("i", "\u0131"),
        ("i", "i\u0307"),
        ("\u0421\u041e\u041d", "\u03f9\u039f\u0397"),
    ],
)  # fmt: skip
def test_names_that_nobody_can_tell_apart_share_a_look(one: str, other: str) -> None:
    assert looks(one) & looks(other)
    assert looks(other) & looks(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ian", "Lan"), ("Mia", "Mla"), ("Ali", "All"), ("\u0141ukasz", "Lukasz"), ("Jos\u00e9", "Jose"),
        ("Anna 1", "Anna 2"),
        ("\u03a3\u03bf\u03c6\u03af\u03b1", "Sofia"), ("\u674e \u4f1f", "\u674e\u4f1f"), ("Anna Kos", "Annakos"),
    ],
)  # fmt: skip
def test_names_that_differ_to_the_eye_share_none(one: str, other: str) -> None:
    assert not looks(one) & looks(other)


def test_an_identity_is_settled_once() -> None:
    for name in (*HONEST, "\u0390", "\u1e9e", "\u0345\u03b1", "\u01f0", "\ufb05"):
        assert identity(identity(name)) == identity(name)
