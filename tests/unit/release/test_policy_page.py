"""The policy in force, for people: every rule once, every drop with its reason, complete in itself."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from sensai_release.privacy.in_force import grouped
from sensai_release.release.pages import render_page

HOSTILE = '"><script>alert(1)</script>'
VOID = {"meta"}


class Outline(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def rule(source: str, **changes: Any) -> dict[str, Any]:
    entry = {
        "source": source, "role": "insensitive", "tier": None, "class": "B", "action": "round(digits=3)",
        "justification": "Behaviour.", "in_words": "rounded to 3 significant digits",
        "missing": "a missing cell stays missing",
    }  # fmt: skip
    return entry | changes


def policy(**changes: Any) -> dict[str, Any]:
    level = {"column": "age_band", "level": 1, "height": 4, "name": "twenty_years"}
    document = {
        "profile": "controlled", "description": "For a test.", "k": 5, "max_suppressed": 0.05,
        "generalisation": {"people": {"levels": [level]}},
        "columns": {
            "face": {f"f{number}": rule(f"f{number}") for number in range(700)},
            "people": {
                "age_band": rule("age", tier=1, role="quasi_identifier", in_words="generalised"),
                "score": rule("score", missing="a missing cell stops the build", justification="Why."),
            },
        },
        "dropped": {"face": [{"columns": "x_[0-9]+", "many": True, "description": "Landmarks.", "role": "insensitive",
                              "class": "X", "justification": "A template of the face."}], "people": []},
        "kept_back": [{"table": "consent", "title": "Consent", "description": "Never released."}],
    }  # fmt: skip
    return document | changes


def page(document: dict[str, Any]) -> str:
    return render_page("policy.html.j2", report=document, synthetic=True, study={"id": "S", "title": "T"})


def test_columns_of_one_rule_are_one_line() -> None:
    found = grouped(policy()["columns"]["face"])
    assert [len(group["names"]) for group in found] == [700]
    text = page(policy())
    assert text.count("rounded to 3 significant digits") == 2
    assert "700 columns" in text
    other = {"a": rule("a"), "b": rule("b", **{"class": "C"}), "c": rule("a")}
    assert [(group["names"], group["sources"]) for group in grouped(other)] == [(["a", "c"], ["a"]), (["b"], ["b"])]


def test_it_tells_reason_level_missing_rule_and_what_stays() -> None:
    text = page(policy())
    for words in ("A template of the face.", "x_[0-9]+", "generalised: twenty years", "a missing cell stops the build",
                  "Never released.", "5.0 %", "SYNTHETIC DATA"):  # fmt: skip
        assert words in text


def test_complete_in_itself_escaped_and_the_same_every_time() -> None:
    document = policy(description=HOSTILE)
    document["columns"]["people"]["score"]["justification"] = HOSTILE
    text = page(document)
    assert text == page(document)
    outline = Outline(text)
    assert outline.open == []
    assert not {"script", "link", "img", "iframe", "form"} & {tag for tag, _ in outline.tags}
    for tag, attributes in outline.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style")]
        assert tag != "th" or attributes.get("scope") in ("col", "row")
        assert (attributes.get("href") or "#").startswith("#")
