"""verify.html in a real browser, with releases handed over as bytes and, as people do it, as a chosen folder."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from browser_kit import CHROMIUM, Browser, browser
from release_kit import PREDICATE, REVIEWER, STEWARD, STRANGER, TRUST, fill, make_release, trust_in

from sensai_release.release import dsse
from sensai_release.release.documents import canonical_json
from sensai_release.release.dsse import Envelope, sign
from sensai_release.release.sealing import countersign_release, seal_release
from sensai_release.release.trust import Trust

PAGE = Path(dsse.__file__).with_name("standalone") / "verify.html"
Files = dict[str, bytes]
VALID = "valid, freshness unknown"


def files_of(root: Path) -> Files:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def trust_text(trust: Trust) -> str:
    return canonical_json(trust.to_dict()).decode()


def changed(files: Files, **contents: bytes | None) -> Files:
    new = dict(files)
    for name, data in contents.items():
        path = name.replace("__", "/").replace("_", ".")
        if data is None:
            del new[path]
        else:
            new[path] = data
    return new


def resigned(files: Files, change: Callable[[bytes], bytes]) -> Files:
    """A manifest of another byte form, properly signed."""
    payload = change(files["manifest.json"])
    envelope = Envelope(payload=payload, signatures=(sign(payload, STEWARD),))
    return {**files, "manifest.json": payload, "manifest.dsse.json": envelope.to_bytes()}


SHEET: dict[str, Any] = {
    "title": "Synthetic title",
    "open": ["M3", "U5"],
    "facts": {
        "values": {"persons": "at least 120", "sessions": 340, "tables": 2, "columns": 7, "rows.scores": 9},
        "tables": [
            {"table": "participants", "title": "Participants", "rows": 120, "columns": 4},
            {"table": "scores", "rows": "<10"},
        ],
    },
    "answers": [
        {"question": "M1", "kind": "recorded", "text": "Made to test.\n\nNothing else."},
        {"question": "M2", "kind": "recorded", "text": "Not in the short form."},
        {"question": "C1", "kind": "computed", "text": "Invented persons."},
        {"question": "C2", "kind": "computed", "text": "120 of them."},
        {"question": "U5", "kind": "open", "text": "", "settle": "A decision."},
        {"question": "D4", "kind": "attested", "text": "Under TERMS.md."},
    ],
}
HOSTILE_SHEET: dict[str, Any] = {
    "title": "<b id=owned>x</b>",
    "open": 3,
    "facts": {"values": [1], "tables": [None, {"table": "<i id=owned>t</i>", "rows": {"a": 1}}, "x"]},
    "answers": [{"question": "M1", "text": "<script>document.title='OWNED'</script>\u202egnp\u001b[2J"}, 5, None, {}],
}


NO_SHEETS = ["", "{", "[]", "null", "7", '"x"', "{}", '{"answers": {"M1": 1}, "facts": [], "open": {}}']


def with_sheet(root: Path, text: str) -> Files:
    fill(root)
    root.joinpath("datasheet.json").write_text(text)
    seal_release(root, PREDICATE, STEWARD)
    return files_of(root)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("cases")
    make_release(folder / "good")
    good = files_of(folder / "good")
    countersign_release(folder / "good", REVIEWER)
    both = files_of(folder / "good")
    make_release(folder / "forged", STRANGER)
    forged = files_of(folder / "forged")
    fill(folder / "hostile")
    folder.joinpath("hostile", "README.md").write_text("<img src=x onerror=\"document.title='OWNED'\">")
    seal_release(folder / "hostile", {**PREDICATE, "study": "<b id=owned>x</b>"}, STEWARD)
    hostile = files_of(folder / "hostile")

    sheet = with_sheet(folder / "sheet", json.dumps(SHEET))
    hostile_sheet = with_sheet(folder / "hostile-sheet", json.dumps(HOSTILE_SHEET))
    altered = sheet["datasheet.json"].replace(b"at least 120", b"at least 121")

    envelope = good["manifest.dsse.json"]
    middle = len(envelope) // 2
    other = b"B" if envelope[middle : middle + 1] == b"A" else b"A"
    flipped = envelope[:middle] + other + envelope[middle + 1 :]
    four_eyes = trust_text(trust_in(STEWARD, REVIEWER, steward=1, reviewer=1))
    revoked = Trust(threshold={"steward": 1}, people=(replace(TRUST.people[0], revoked=date(2020, 1, 1)),))
    text = trust_text(TRUST)
    small_order = base64.b64encode(bytes([1]) + bytes(31)).decode()
    small_order_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa")
    readme = good["README.md"]
    return {
        "trust file": {"files": good, "trust": text, "expect": VALID},
        "pem": {"files": good, "trust": f"name: X\n{STEWARD.pem}", "expect": VALID},
        "base64": {"files": good, "trust": f" {STEWARD.text}\n", "expect": VALID},
        "no trust": {"files": good, "trust": "", "expect": "intact, signer unknown", "ok": False},
        "integrity": {"files": good, "trust": "", "integrity": True, "expect": "intact, signer unknown", "ok": True},
        "stranger": {"files": good, "trust": STRANGER.pem, "integrity": True, "expect": "not approved"},
        "forged": {"files": forged, "trust": text, "expect": "not approved"},
        "four eyes lacking": {"files": good, "trust": four_eyes, "expect": "not approved"},
        "proof": {"files": {**good, "manifest.tlog-proof": b"x"}, "trust": text, "expect": VALID},
        "proof elsewhere": {"files": {**good, "data/manifest.tlog-proof": b"x"}, "trust": text, "expect": "invalid"},
        "proof misspelt": {"files": {**good, "Manifest.tlog-proof": b"x"}, "trust": text, "expect": "invalid"},
        "four eyes": {"files": both, "trust": four_eyes, "expect": VALID},
        "revoked": {"files": good, "trust": trust_text(revoked), "expect": "not approved"},
        "hostile text": {"files": hostile, "trust": text, "expect": VALID},
        "datasheet": {"files": sheet, "trust": text, "expect": VALID},
        "datasheet, no trust": {"files": sheet, "trust": "", "expect": "intact, signer unknown", "ok": False},
        "datasheet changed": {"files": changed(sheet, datasheet_json=altered), "trust": text, "expect": "invalid"},
        "hostile datasheet": {"files": hostile_sheet, "trust": text, "expect": VALID},
        **{
            f"no datasheet {number}": {
                "files": with_sheet(folder / f"no-sheet-{number}", data),
                "trust": text,
                "expect": VALID,
            }
            for number, data in enumerate(NO_SHEETS)
        },
        "changed": {"files": changed(good, README_md=readme[:-1] + b"x"), "trust": text, "expect": "invalid"},
        "cut": {"files": changed(good, README_md=readme[:-1]), "trust": text, "expect": "invalid"},
        "missing": {"files": changed(good, TERMS_md=None), "trust": text, "expect": "invalid"},
        "extra": {"files": changed(good, extra_txt=b"x"), "trust": text, "expect": "invalid"},
        "checksums": {"files": changed(good, SHA256SUMS=b""), "trust": text, "expect": "invalid"},
        "manifest": {
            "files": changed(good, manifest_json=good["manifest.json"] + b" "),
            "trust": text,
            "expect": "invalid",
        },
        "no manifest": {"files": changed(good, manifest_json=None), "trust": text, "expect": "invalid"},
        "no envelope": {"files": changed(good, manifest_dsse_json=None), "trust": text, "expect": "invalid"},
        "flipped payload": {"files": changed(good, manifest_dsse_json=flipped), "trust": text, "expect": "invalid"},
        "newline": {"files": changed(good, manifest_dsse_json=envelope + b"\n"), "trust": text, "expect": "invalid"},
        "signed twin keys": {
            "files": resigned(good, lambda data: data.replace(b'{"_type"', b'{"_type":"x","_type"', 1)),
            "trust": text,
            "expect": "invalid",
        },
        "signed escape": {
            "files": resigned(good, lambda data: data.replace(b'"name":"TERMS.md"', b'"name":"../TERMS.md"')),
            "trust": text,
            "expect": "invalid",
        },
        "no release": {"files": {"a": b"x"}, "trust": text, "expect": "not checked"},
        "odd trust": {"files": good, "trust": "hello", "expect": "not checked"},
        "threshold 0": {"files": good, "trust": text.replace('"steward":1', '"steward":0'), "expect": "not checked"},
        "no threshold": {"files": good, "trust": text.replace('{"steward":1}', "{}"), "expect": "not checked"},
        "small order": {"files": good, "trust": small_order, "expect": "not checked"},
        "order 8": {"files": good, "trust": base64.b64encode(small_order_8).decode(), "expect": "not checked"},
    }


RUN = """
(async (test) => {
  const files = new Map(Object.entries(test.files).map(([path, text]) =>
    [path, new Blob([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))])]));
  await sensaiRelease.check(files, test.trust, Boolean(test.integrity));
  const shown = document.getElementById("verdict");
  return {
    verdict: shown.dataset.verdict, ok: shown.dataset.ok, text: document.getElementById("result").textContent,
    band: !document.getElementById("band").hidden, owned: Boolean(document.getElementById("owned")),
    title: document.title,
    brief: [...document.querySelectorAll("#in-short tr")].map((row) => [...row.children].map((one) => one.textContent)),
    said: document.getElementById("in-short")?.textContent ?? null,
  };
})(CASE)
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    folder = tmp_path_factory.mktemp("browser")
    # A copy without neighbours: a page that needed another file would not work.
    copy = Path(shutil.copy(PAGE, folder))
    with browser(folder / "profile") as page:
        page.open(copy)
        yield page


@pytest.fixture(scope="module")
def results(cases: dict[str, dict[str, Any]], page: Browser) -> dict[str, dict[str, Any]]:
    found = {}
    for name, case in cases.items():
        files = {path: base64.b64encode(data).decode() for path, data in case["files"].items()}
        found[name] = page.evaluate(RUN.replace("CASE", json.dumps({**case, "files": files})))
    return found


def test_every_case_has_its_verdict(cases: dict[str, dict[str, Any]], results: dict[str, dict[str, Any]]) -> None:
    assert {name: result["verdict"] for name, result in results.items()} == {
        name: case["expect"] for name, case in cases.items()
    }
    for name, case in cases.items():
        assert results[name]["ok"] == str(case.get("ok", case["expect"] == VALID)).lower(), name


def test_what_the_page_says(results: dict[str, dict[str, Any]]) -> None:
    assert "synthetic-series" in results["trust file"]["text"]
    assert "Synthetic Steward" in results["trust file"]["text"]
    assert "cut off" in results["cut"]["text"]
    assert "README.md" in results["changed"]["text"]
    assert "synthetic-series" not in results["changed"]["text"]


def test_synthetic_data_say_so_and_only_once_verified(results: dict[str, dict[str, Any]]) -> None:
    assert results["trust file"]["band"] is True
    assert results["changed"]["band"] is False


def test_text_of_a_release_stays_text(results: dict[str, dict[str, Any]]) -> None:
    hostile = results["hostile text"]
    assert (hostile["owned"], hostile["title"]) == (False, "Verify this release")
    assert "<b id=owned>" in hostile["text"]
    assert "onerror" in hostile["text"]


def test_the_datasheet_in_short(results: dict[str, dict[str, Any]]) -> None:
    assert results["datasheet"]["brief"] == [
        ["Title", "Synthetic title"],
        ["Made for", "Made to test. Nothing else."],
        ["What it holds", "Invented persons."],
        ["How much", "120 of them."],
        ["Counts", "persons: at least 120, sessions: 340, tables: 2, columns: 7"],
        ["Tables", "participants (120 rows, 4 columns); scores (<10 rows)"],
        ["Not to be used for", "Open: nobody has answered this yet."],
        ["Terms", "Under TERMS.md."],
        ["Open questions", "2; see the whole datasheet below."],
    ]
    assert results["trust file"]["said"] is None


def test_a_datasheet_that_is_not_verified_is_not_shown(results: dict[str, dict[str, Any]]) -> None:
    for name in ("datasheet, no trust", "datasheet changed"):
        assert results[name]["said"] is None, name
        assert "Invented persons" not in results[name]["text"], name


def test_a_hostile_datasheet_stays_text(results: dict[str, dict[str, Any]]) -> None:
    result = results["hostile datasheet"]
    assert (result["owned"], result["title"]) == (False, "Verify this release")
    assert result["brief"] == [
        ["Title", "<b id=owned>x</b>"],
        ["Made for", "<script>document.title='OWNED'</script> gnp [2J"],
        ["Tables", "<i id=owned>t</i> ()"],
    ]


@pytest.mark.parametrize("number", range(len(NO_SHEETS)))
def test_what_is_no_datasheet_is_said_to_be_none(results: dict[str, dict[str, Any]], number: int) -> None:
    assert "not in a form that this page can show" in results[f"no datasheet {number}"]["said"]


WHILE_SHOWN = """
(async (test) => {
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const files = new Map(Object.entries(test.files).map(([path, text]) => [path, new Blob([bytes(text)])]));
  const first = files.get("datasheet.json"), second = new Blob([bytes(test.second)]);
  let reads = 0;
  files.set("datasheet.json", { size: first.size, arrayBuffer: () => (reads++ ? second : first).arrayBuffer() });
  const report = await sensaiRelease.check(files, test.trust, false);
  return { reads, verdict: report.verdict, said: document.getElementById("in-short")?.textContent ?? null };
})(CASE)
"""


def test_a_datasheet_that_changes_after_the_check_is_not_shown(cases: dict[str, dict[str, Any]], page: Browser) -> None:
    files = cases["datasheet"]["files"]
    case = {
        "files": {path: base64.b64encode(data).decode() for path, data in files.items()},
        "second": base64.b64encode(cases["datasheet changed"]["files"]["datasheet.json"]).decode(),
        "trust": cases["datasheet"]["trust"],
    }
    assert page.evaluate(WHILE_SHOWN.replace("CASE", json.dumps(case))) == {"reads": 2, "verdict": VALID, "said": None}


def test_the_page_says_what_it_does_not_check(results: dict[str, dict[str, Any]]) -> None:
    for name in ("trust file", "changed", "integrity"):
        for words in ("links", "dictionaries", "waivers", "numbers of the datasheet", "log", "withdrawn"):
            assert words in results[name]["text"].split("Not checked here")[1], (name, words)


def wait_for_verdict(page: Browser) -> str:
    for _ in range(200):
        if found := page.evaluate("document.getElementById('verdict')?.dataset.verdict ?? ''"):
            return str(found)
        time.sleep(0.05)
    raise AssertionError("no verdict")


def test_a_chosen_folder_and_a_chosen_key_file(page: Browser, tmp_path: Path) -> None:
    make_release(tmp_path / "release")
    tmp_path.joinpath("steward.pub").write_text(STEWARD.pem)
    for name, expected in (("release", VALID), ("tampered", "invalid")):
        if name == "tampered":
            shutil.copytree(tmp_path / "release", tmp_path / name)
            tmp_path.joinpath(name, "README.md").write_text("changed")
        page.call("Page.reload")
        for _ in range(200):
            if page.evaluate("document.readyState === 'complete' && Boolean(globalThis.sensaiRelease)"):
                break
            time.sleep(0.05)
        assert page.evaluate("document.getElementById('check').disabled") is True
        page.choose_files("#folder", tmp_path / name)
        page.choose_files("#trust-file", tmp_path / "steward.pub")
        for _ in range(200):
            if page.evaluate("document.getElementById('trust').value !== ''"):
                break
            time.sleep(0.05)
        page.evaluate("document.getElementById('check').click()")
        assert wait_for_verdict(page) == expected


def test_nothing_was_asked_for_but_the_page(page: Browser, results: dict[str, dict[str, Any]]) -> None:
    assert results
    assert page.requests
    assert all(url.startswith("file:") and url.endswith("/verify.html") for url in page.requests)


def test_the_page_asks_nobody_for_anything() -> None:
    text = PAGE.read_text()
    assert "default-src 'none'" in text
    assert "connect-src 'none'" in text
    # The only address is the name of the statement type, which is compared and never fetched.
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"https://in-toto.io/Statement/v1"}
    for way_out in ("src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest", "innerHTML", "eval(", "import("):
        assert way_out not in text


def test_the_page_can_be_operated_without_seeing_or_pointing() -> None:
    text = PAGE.read_text()
    assert '<html lang="en">' in text
    for control in re.findall(r'<(?:input|textarea)[^>]*id="([^"]+)"', text):
        assert f'for="{control}"' in text or control == "integrity", control
    assert 'aria-live="polite"' in text
    assert "prefers-color-scheme: dark" in text
