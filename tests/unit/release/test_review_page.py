"""The review page: whole in itself, every field shown as text, a search, a checklist, and no way out."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import risk_kit
from browser_kit import CHROMIUM, Browser, browser

from sensai_release.release.checklist import checklist, parse_checklist
from sensai_release.release.comparison.diff import diff_releases
from sensai_release.release.datasheet.answers import questions
from sensai_release.release.pages import render_page
from sensai_release.release.pages import review as ordered
from sensai_release.release.published import published_risk

Tables = dict[str, pa.Table]

NAME, MANIFEST = "sensai-dbd-1.1.0", "5a" * 32
PREVIOUS = {"version": "1.0.0", "manifest_sha256": "6b" * 32}
HOSTILE = (
    "=HYPERLINK(\"http://example.invalid\",1)</style></script></textarea><script>document.title='OWNED'</script>"
    "<img src=http://example.invalid/x onerror=\"document.title='OWNED'\"><b id=owned>'\"`${1}{{7*7}}&lt;"
)
LOOKED_UP = {
    "status", "kind", "severity", "state", "name", "id", "look", "verdict", "code", "class", "manifest_sha256",
    "sha256", "issued", "expires", "measure", "reason_kind", "release_name", "measures",
}  # fmt: skip


def rule(**changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "class": "B", "role": "insensitive", "tier": None, "action": "round(digits=3)", "source": "AU04_r",
        "in_words": "rounded to 3 significant digits", "justification": "Behaviour over time.", "changes": [],
    }  # fmt: skip
    return {"table": "face_windows", "column": "AU04_r_mean"} | entry | changes


def waiver(**changes: Any) -> dict[str, Any]:
    numbers = [
        {"name": "linkability_rank1", "value": 0.2, "limit": 0.09, "ok": False, "scope": "joined"},
        {"name": "minimal_sample_uniques", "value": 3, "limit": 0, "ok": False},
    ]
    return {
        "gate": "linkability", "reason": "Needed for a study.\n\nAgreed with the officer.", "issued": "2026-01-01",
        "expires": "2026-12-31", "numbers": numbers, "file": "waivers/linkability.dsse.json", "expired": False,
    } | changes  # fmt: skip


def refused(**changes: Any) -> dict[str, Any]:
    step = {"step": 5, "name": "Every file has its SHA-256", "ok": False, "skipped": None,
            "problems": [{"code": "digest.mismatch", "path": "TERMS.md", "message": "holds other bytes"}]}  # fmt: skip
    return {
        "ok": False, "refused": "sensai-dbd-1.1.0 does not verify: invalid", "cure": "Do not approve it.",
        "candidate": False, "name": NAME, "manifest_sha256": MANIFEST, "previous": None, "difference": None,
        "gates": [], "signers": [], "notes": [], "synthetic": False,
        "verification": {"verdict": "invalid", "explanation": "", "steps": [step]},
    } | changes  # fmt: skip


@pytest.fixture
def content(tables: Tables, write_release: Callable[..., Path], shrink: Any) -> dict[str, Any]:
    """A release with a bit of everything, as `pipeline.reviewing` gathers it."""
    difference = diff_releases(write_release(tables), write_release(shrink(tables, 12), "1.1.0")).to_dict()
    changed = {"table": "face_windows", "column": "AU04_r_mean", "field": "action", "old": "drop",
               "new": "round(digits=3)", "loosened": True}  # fmt: skip
    attack = {"ok": True, "gate": [{"name": "series_k_min", "value": 12, "limit": 5, "ok": True}], "findings": []}
    difference |= {"reasons": None, "attack": attack, "intact": {}, "policy": [changed]}
    risk = published_risk(risk_kit.report())
    finding = {"code": "value.above", "severity": "warning", "table": "t", "column": "c", "count": "<10", "message": ""}
    before = {"kind": "open", "text": "Nobody knows.", "source": None, "settle": "A letter."}
    after = {"kind": "recorded", "text": "Everybody knows.", "source": "a letter", "settle": None}
    known = checklist()
    items = known.for_release({"previous": PREVIOUS, "waivers": [1]})
    return {
        "ok": True, "refused": None, "candidate": False, "name": NAME, "manifest_sha256": MANIFEST,
        "previous": PREVIOUS, "difference": difference, "gates": [], "signers": ["Synthetic Steward"],
        "notes": ["Look here."], "trusted": True, "series": "sensai-dbd", "version": "1.1.0", "study": "S",
        "profile": "controlled", "as_of": "2026-01-31", "synthetic": True, "minimum": 10, "waivers": [waiver()],
        "verification": {"verdict": "valid, freshness unknown", "explanation": "", "steps": [
            {"step": 1, "name": "The envelope", "ok": True, "problems": [], "skipped": None},
            {"step": 9, "name": "The facts", "ok": True, "problems": [], "skipped": "nobody asked"}]},
        "checklist": {"version": known.version, "sha256": known.sha256,
                      "items": [{"id": i.id, "text": i.text, "look": i.look} for i in items]},
        "people": {"participants": difference["participants"], "sessions": difference["sessions"], "changed": "<10",
                   "groups": {"participants.group": {"pain": dict.fromkeys(("added", "removed", "changed"), "<10")}},
                   "not_counted": ["face_frames"], "reasons": {"withdrawn": "<10"}},
        "risk": {"before": risk, "after": risk},
        "answers": {"changed": [{"question": "M1", "asks": questions()[0].text, "before": before, "after": after}],
                    "open": [{"question": "M3", "asks": None, "settle": "A contract.", "reason": "not signed yet"}]},
        "findings": {"validation": [finding], "series": risk["series"]["findings"], "scan": None, "datasheet": [
            {"code": "datasheet.claim", "severity": "error", "question": "C1", "message": "Cannot be claimed."}]},
        "policy": {"columns": [rule(), rule(column="AU06_r_mean", changes=[changed]),
                               rule(table="participants", column="sex", **{"class": "clinical"}, tier=1)],
                   "dropped": [{"table": "face", "columns": "x_[0-9]+", "class": "X", "justification": "A face."}],
                   "gone": [{"table": "face_windows", "column": "AU01"}],
                   "profile": [changed | {"table": None, "column": None, "field": "k", "old": 11, "new": 5}],
                   "kept_back": [{"table": "consent", "title": "Consent"}]},
        "terms": {"text": "No linking.", "sha256": "7c" * 32, "same": False},
    }  # fmt: skip


def page_of(content: dict[str, Any]) -> str:
    return render_page("review.html.j2", report=content, synthetic=content["synthetic"])


def hostile(value: Any, key: str = "") -> Any:
    """Every text replaced, but for those that the page looks up; masked counts and column names of rules too."""
    if isinstance(value, dict):
        return {name: hostile(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, key) for item in value]
    return HOSTILE if isinstance(value, str) and key not in LOOKED_UP and value[:1] not in "<>" else value


class TestEveryFieldIsText:
    def test_in_the_markup(self, content: dict[str, Any]) -> None:
        text = page_of(hostile(content) | {"name": HOSTILE})
        assert text.count("<script") == text.count("</script>") == 1
        assert "<img" not in text
        assert "id=owned" in text
        assert "<b id=owned" not in text
        assert text.count("{{7*7}}") > 30

    @pytest.mark.parametrize("place", ["refused", "name", "cure"])
    def test_of_a_release_that_is_refused(self, place: str) -> None:
        text = page_of(hostile(refused(**{place: HOSTILE})))
        assert "<script" not in text
        assert "<img" not in text
        assert "&lt;img" in text

    def test_also_in_words_that_are_compared(self) -> None:
        old, new = ordered.compared(f"a {HOSTILE} b", "a c b")
        assert "<del>=HYPERLINK" in old
        assert "<img" not in old + new
        assert new == "a <ins>c</ins> b"


class TestTheOrder:
    def test_sections_and_headings(self, content: dict[str, Any]) -> None:
        text = page_of(content)
        named = re.findall(r'<h2 id="(\w+)"', text)
        assert named == [
            "verification", "changed", "people", "risk", "linkability", "answers", "findings", "policy", "terms",
            "checklist",
        ]  # fmt: skip
        levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)
        assert all('scope="' in header for header in re.findall(r"<th\b[^>]*>", text))
        assert text.count("<table") == text.count("<caption")
        assert text.count('class="scroll" role="region" tabindex="0" aria-label="') == text.count('class="scroll"')

    def test_the_verdict_comes_first_and_worst_first(self, content: dict[str, Any]) -> None:
        assert ordered.verdict(refused()).headline == "Do not approve"
        assert ordered.verdict(content | {"trusted": False, "waivers": []}).kind != "good"
        passed = content | {"risk": {"before": None, "after": {"gate": [self.gate()]}}, "waivers": []}
        assert ordered.verdict(passed).headline == "It verifies, and every gate is passed"
        assert ordered.verdict(passed | {"waivers": [waiver()]}).kind == "bad"
        assert ordered.verdict(passed | {"trusted": False}).headline == "Intact, signer unknown"
        assert ordered.verdict(passed | {"candidate": True}).kind == "note"
        unknown = {"gate": [self.gate(status="cannot_assess")]}
        assert ordered.verdict(passed | {"risk": {"before": None, "after": unknown}}).kind == "note"
        failed = {"gate": [self.gate(ok=False, value=3)]}
        assert ordered.verdict(passed | {"risk": {"before": None, "after": failed}}).headline == "Gates not passed: 1"

    @staticmethod
    def gate(**changes: Any) -> dict[str, Any]:
        return {"name": "k_min", "value": 6, "limit": 5, "ok": True} | changes

    def test_what_asks_for_attention(self, content: dict[str, Any]) -> None:
        points = {text: (kind, section) for kind, text, section in ordered.attention(content)}
        assert points["1 policy change that may let more out"] == ("note", "policy")
        assert points["1 finding against the datasheet"] == ("bad", "findings")
        assert points["The terms changed"] == ("note", "terms")
        quiet = content | {
            "risk": {"before": None, "after": {"gate": [self.gate()]}}, "waivers": [], "difference": None,
            "answers": {"changed": [], "open": []}, "terms": content["terms"] | {"same": True},
            "findings": {"validation": [], "series": [], "scan": {"ok": True, "findings": 0}, "datasheet": []},
        }  # fmt: skip
        assert ordered.attention(quiet) == []
        assert "Nothing stands out." in page_of(quiet)
        expired = quiet | {"waivers": [waiver(expired=True)]}
        assert ordered.attention(expired) == [("bad", "1 waiver expired since", "waivers")]

    def test_a_gate_is_told_with_the_one_before(self, content: dict[str, Any]) -> None:
        sides = {"before": {"gate": [self.gate(value=12)]}, "after": {"gate": [self.gate()]}}
        pair = ordered.find(content | {"risk": sides}, "k_min")
        assert pair is not None
        assert pair.numbers == (12.0, 6.0, 5.0)
        assert 'aria-label="Smallest class (k): now 6, limit at least 5, before 12"' in ordered.movement(pair)
        alone = ordered.find(content | {"risk": sides | {"before": None}}, "k_min")
        assert alone is not None
        assert "before" not in ordered.movement(alone)

    def test_few_persons_are_masked_where_a_gate_was_not_passed(self, content: dict[str, Any]) -> None:
        gate: dict[str, Any] = {"name": "minimal_sample_uniques", "value": 3, "limit": 0, "ok": False}
        pair = ordered.find(content | {"risk": {"before": None, "after": {"gate": [gate]}}}, gate["name"])
        assert pair is not None
        assert pair.now.value == "<10"
        assert ordered.movement(pair) == ""
        quoted = re.findall(r"minimal sample uniques</th>.*?</tr>", page_of(content))
        assert quoted
        assert "&lt;10" in quoted[0]

    def test_of_a_refused_release_nothing_else_is_shown(self) -> None:
        text = page_of(refused())
        assert "Do not approve" in text
        assert "TERMS.md" in text
        assert re.findall(r'<h2 id="(\w+)"', text) == ["verification"]
        assert "<form" not in text

    def test_a_first_release(self, content: dict[str, Any]) -> None:
        text = page_of(content | {"previous": None, "difference": None, "people": None})
        assert "This is the first release of its series" in text
        assert 'id="search-changed"' not in text

    def test_a_candidate_cannot_be_ticked(self, content: dict[str, Any]) -> None:
        text = page_of(content | {"candidate": True, "manifest_sha256": None, "verification": None})
        assert "<form" not in text
        assert "nothing to tick yet" in text

    def test_without_any_report(self, content: dict[str, Any]) -> None:
        bare: dict[str, Any] = {"risk": {"before": None, "after": None}, "policy": None, "terms": None, "waivers": []}
        gates = [self.gate(), {"name": "k", "value": 5, "limit": 5, "ok": True}]
        text = page_of(content | bare | {"gates": gates})
        assert "The release holds no policy." in text
        assert "There is no TERMS.md." in text


class TestNothingGetsOut:
    def test_the_policy_names_the_one_script(self, content: dict[str, Any]) -> None:
        text = page_of(content)
        found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
        assert found is not None
        assert found[1] == (
            f"default-src 'none'; style-src 'unsafe-inline'; script-src '{ordered.script_hash()}'; "
            "form-action 'none'; base-uri 'none'"
        )
        assert f"<script>{ordered.script()}</script>" in text

    def test_no_way_out(self, content: dict[str, Any]) -> None:
        text = page_of(content)
        for way in (
            "src=",
            "@import",
            "url(",
            "fetch(",
            "XMLHttpRequest",
            "innerHTML",
            "eval(",
            "import(",
            "http:",
            "https:",
        ):
            assert way not in text
        assert not re.search(r"<[^>]+\son\w+=", text)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with browser(tmp_path_factory.mktemp("profile")) as page:
        page.call("Runtime.enable")
        page.call("Log.enable")
        yield page


@pytest.fixture
def opened(chromium: Browser, content: dict[str, Any], tmp_path: Path) -> Callable[..., Browser]:
    def show(text: str | None = None) -> Browser:
        path = tmp_path / "review.html"
        path.write_text(page_of(content) if text is None else text, encoding="utf-8")
        chromium.requests.clear()
        chromium.complaints.clear()
        chromium.call("Emulation.setEmulatedMedia", media="", features=[])
        chromium.open(path)
        return chromium

    return show


VISIBLE = (
    "[...document.querySelectorAll('#policy-rows tr')].filter(r => !r.hidden)"
    ".map(r => r.querySelector('code').textContent)"
)
TYPE = "{{const e = document.getElementById('{0}'); e.{1} = {2}; e.dispatchEvent(new Event('input'));}}"


class TestInTheBrowser:
    def test_hostile_fields_do_nothing_and_ask_for_nothing(self, opened: Any, content: dict[str, Any]) -> None:
        page = opened(page_of(hostile(content)))
        assert "OWNED" not in page.evaluate("document.title").split("=HYPERLINK")[0]
        assert page.evaluate("document.title !== 'OWNED'")
        assert page.evaluate("document.getElementById('owned')") is None
        assert page.evaluate("document.scripts.length") == 1
        assert page.evaluate("document.images.length") == 0
        assert page.evaluate("document.body.innerText.includes('=HYPERLINK(\"http://example.invalid\",1)</style>')")
        assert [url for url in page.requests if not url.startswith("file:")] == []

    @pytest.mark.parametrize("width", [768, 1280])
    def test_a_name_without_a_break_pushes_nothing_out_of_sight(
        self, opened: Any, content: dict[str, Any], width: int
    ) -> None:
        long = {"column": "a_name_without_any_break_" * 8, "old": "x" * 200, "new": "y" * 200}
        content["difference"]["policy"] = [change | long for change in content["difference"]["policy"]]
        wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
        page = opened(render_page("diff.html.j2", report=content["difference"], synthetic=True))
        page.screenshot(width, 900)
        assert long["column"] in page.evaluate("document.body.textContent")
        assert page.evaluate(wide) == 0

    def test_a_script_that_got_in_all_the_same_does_not_run(self, opened: Any, content: dict[str, Any]) -> None:
        text = page_of(content).replace("<main", "<script>document.title='OWNED'</script><main", 1)
        page = opened(text)
        assert page.evaluate("document.title") != "OWNED"
        assert any("Content Security Policy" in complaint for complaint in page.complaints)

    @pytest.mark.parametrize(
        ("attempt", "directive"),
        [
            ("const i = new Image(); i.src = 'http://example.invalid/x'", "img-src"),
            ("fetch('http://example.invalid/x').catch(() => 0)", "connect-src"),
            ("const f = document.createElement('iframe'); f.src = 'http://example.invalid'; document.body.append(f)",
             "frame-src"),
        ],
    )  # fmt: skip
    def test_what_tries_to_get_out_is_stopped(self, opened: Any, attempt: str, directive: str) -> None:
        page = opened()
        stopped = f"""new Promise((done) => {{
            document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
            {attempt};
        }})"""
        assert page.evaluate(stopped) == directive

    def test_the_console_has_nothing_to_say(self, opened: Any) -> None:
        page = opened()
        page.evaluate(TYPE.format("search", "value", "'face'"))
        page.evaluate("document.querySelector('#checklist-form input').click()")
        assert page.evaluate("document.querySelector('[data-tally]').textContent") == "1 of 10 ticked"
        assert page.complaints == []

    def test_the_search_filters_rows(self, opened: Any) -> None:
        page = opened()
        assert len(page.evaluate(VISIBLE)) == 3
        assert page.evaluate("document.getElementById('search-count').textContent") == "3 of 3 columns"
        for words, found in [("au06", ["AU06_r_mean"]), ("face round", ["AU06_r_mean", "AU04_r_mean"]), ("zzz", [])]:
            page.evaluate(TYPE.format("search", "value", json.dumps(words)))
            assert page.evaluate(VISIBLE) == found
        page.evaluate(TYPE.format("search", "value", "''"))
        page.evaluate(TYPE.format("search-class", "value", "'clinical'"))
        assert page.evaluate(VISIBLE) == ["sex"]
        page.evaluate(TYPE.format("search-class", "value", "''"))
        page.evaluate(TYPE.format("search-changed", "checked", "true"))
        assert page.evaluate(VISIBLE) == ["AU06_r_mean"]

    def test_the_checklist_is_saved_and_accepted(self, opened: Any, content: dict[str, Any], tmp_path: Path) -> None:
        page = opened()
        page.evaluate(
            "globalThis.saved = []; const make = URL.createObjectURL;"
            "URL.createObjectURL = (blob) => { saved.push(blob); return make(blob); };"
        )
        page.call("Page.setDownloadBehavior", behavior="deny")
        boxes = "document.querySelectorAll('#checklist-form input')"
        page.evaluate(f"for (const box of [...{boxes}].slice(1)) box.click()")
        page.evaluate("document.getElementById('save').click()")
        assert "not complete (1 not ticked)" in page.evaluate("document.getElementById('saved').textContent")
        page.evaluate(f"{boxes}[0].click()")
        page.evaluate("document.getElementById('save').click()")
        assert "Saved as sensai-dbd-1.1.0-checklist.json" in page.evaluate(
            "document.getElementById('saved').textContent"
        )
        data = page.evaluate("saved[1].text()").encode()
        items = checklist().for_release({"previous": PREVIOUS, "waivers": [1]})
        done = parse_checklist(data, release=NAME, manifest_sha256=MANIFEST, items=items)
        assert len(done.items) == len(content["checklist"]["items"])
        assert json.loads(page.evaluate("saved[0].text()"))["items"]["verified"] is False
        # The file is in canonical form, so its own SHA-256 is the one that is recorded.
        assert hashlib.sha256(data).hexdigest() == done.sha256

    @pytest.mark.parametrize("width", [360, 768, 1280])
    def test_no_page_is_wider_than_the_screen(self, opened: Any, width: int) -> None:
        page = opened()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        page.call("Emulation.setDeviceMetricsOverride", **size)
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_stands_out_from_what_is_behind_it(self, opened: Any, scheme: str) -> None:
        page = opened()
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        assert page.evaluate(LOW_CONTRAST) == []

    def test_paper_shows_everything(self, opened: Any) -> None:
        page = opened()
        page.evaluate(TYPE.format("search", "value", "'zzz'"))
        page.call("Emulation.setEmulatedMedia", media="print", features=[])
        shown = "(s) => getComputedStyle(document.querySelector(s)).display"
        for selector in (".search", "nav", "#save"):
            assert page.evaluate(f"({shown})({json.dumps(selector)})") == "none"
        for selector in ("#policy-rows tr", "#checklist-form input"):
            assert page.evaluate(f"({shown})({json.dumps(selector)})") != "none"

    def test_it_can_be_read_without_a_script(self, opened: Any, chromium: Browser) -> None:
        chromium.call("Emulation.setScriptExecutionDisabled", value=True)
        try:
            page = opened()
            assert page.evaluate("getComputedStyle(document.querySelector('.search')).display") == "none"
            assert page.evaluate("document.querySelector('#save').closest('[hidden]') !== null")
            assert len(page.evaluate(VISIBLE)) == 3
            assert page.evaluate("document.body.innerText.includes('Searching and saving need JavaScript')")
        finally:
            chromium.call("Emulation.setScriptExecutionDisabled", value=False)


LOW_CONTRAST = """(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (rgb) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const part of document.querySelectorAll('details')) part.open = true;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent.trim();
    if (!text || element.closest('script, noscript, style, svg, .band')) continue;
    const lights = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const [one, other] = lights.sort((a, b) => b - a);
    if ((one + 0.05) / (other + 0.05) < 4.5) found.add(`${element.tagName}.${element.className}: ${text.slice(0, 40)}`);
  }
  return [...found];
})()"""
