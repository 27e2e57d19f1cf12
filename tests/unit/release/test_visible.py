"""What would hide in a text, reorder it or steer a terminal is written out; scripts that need marks keep theirs."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from sensai_release.release.pages import render_page
from sensai_release.release.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with\ttab and\nline", "plain, with\ttab and\nline"),
        ("photo\u202egnp.exe", "photo\\u202egnp.exe"),
        ("\u2066a\u2069\u200f\u061c", "\\u2066a\\u2069\\u200f\\u061c"),
        ("a\u200bb\ufeff\u00ad", "a\\u200bb\\ufeff\\xad"),
        ("\x1b[31mred\x9b\x00\x7f", "\\x1b[31mred\\x9b\\x00\\x7f"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("é 中 ع ש \u202f 👩\u200d🔬 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None),
    ],
)
def test_what_is_written_out(text: str, shown: str | None) -> None:
    assert visible(text) == (text if shown is None else shown)


def test_markup_stays_markup() -> None:
    found = visible(Markup("<b>a\u202eb</b>"))
    assert isinstance(found, Markup)
    assert found == "<b>a\\u202eb</b>"


def test_a_page_writes_it_out_and_escapes_the_rest() -> None:
    reason = "<script>\u2066x</script>"
    stated = {"gate": "k_min", "reason": reason, "issued": "2026-01-01", "expires": "2026-12-31", "numbers": []}
    waiver = {"predicate": stated}
    page = render_page("waivers.html.j2", report={"name": "s-1.0.0\u202e", "waivers": [waiver]}, synthetic=True)
    assert "s-1.0.0\\u202e" in page
    assert "&lt;script&gt;\\u2066x&lt;/script&gt;" in page
    assert not {"\u202e", "\u2066"} & set(page)
