"""What is gathered for a review: from releases with and without reports, under waivers, and with odd documents."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from release_kit import PREDICATE, REVIEWER, STEWARD, fill, make_release, trust_in

from sensai_release.errors import ReleaseFormatError
from sensai_release.pipeline.reviewing import review_release, write_page
from sensai_release.release.sealing import seal_release
from sensai_release.release.trust import write_trust
from sensai_release.release.waived import predicate_gates, release_facts
from sensai_release.release.waivers import draft_waiver, sign_waiver

RISK: dict[str, Any] = {
    "ok": False,
    "k": 5,
    "gate": [{"name": "k_min", "value": 3, "limit": 5, "ok": False}],
    "linkability": {"gate": [{"name": "linkability_rank1", "value": 0.31, "limit": 0.09, "ok": False}]},
}
TODAY = date(2026, 2, 1)


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    write_trust(trust_in(STEWARD, REVIEWER), tmp_path / "trust.json")
    return tmp_path / "trust.json"


def sealed(root: Path, documents: dict[str, Any], *waived: str, risk: dict[str, Any] | None = None) -> Path:
    """A release with these documents, and a waiver for each gate named."""
    fill(root)
    predicate: dict[str, Any] = copy.deepcopy(PREDICATE) | {"waivers": []}
    if risk is not None:
        documents = documents | {"reports/risk.json": risk}
        predicate["risk"]["gates"] = predicate_gates(risk, waiver_required=False)
    for name, document in documents.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    digests = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "data").rglob("*.parquet")
    }
    for gate in waived:
        assert risk is not None
        facts = release_facts(predicate, digests, risk, waiver_required=False, stewards=frozenset())
        waiver = draft_waiver(
            facts, gate, reason="=1+1 <b>Decided</b>.", issued=date(2026, 1, 15), expires=date(2026, 12, 31)
        )
        path = root / "waivers" / f"{gate}-1.0.0.dsse.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sign_waiver(waiver, REVIEWER))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entry = {"gate": gate, "file": f"waivers/{path.name}", "sha256": digest, "expires": "2026-12-31"}
        predicate["waivers"].append(entry)
    seal_release(root, predicate, STEWARD)
    return root


def test_a_release_without_any_report(tmp_path: Path, trust: Path) -> None:
    make_release(tmp_path / "release")
    content = review_release(tmp_path / "release", trust=trust, today=TODAY)
    assert content["ok"] is True
    assert content["risk"] == {"before": None, "after": None}
    assert content["policy"] is None
    write_page(content, tmp_path / "page.html")
    assert "The release holds no policy." in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("day", "expired"), [(TODAY, False), (date(2027, 1, 1), True)])
def test_waivers_are_told_with_their_reasons(tmp_path: Path, trust: Path, day: date, expired: bool) -> None:
    release = sealed(tmp_path / "release", {}, "k_min", "linkability", risk=RISK)
    content = review_release(release, trust=trust, today=day)
    assert [(waiver["gate"], waiver["expired"]) for waiver in content["waivers"]] == [
        ("k_min", expired), ("linkability", expired),
    ]  # fmt: skip
    assert [item["id"] for item in content["checklist"]["items"]].count("waivers") == 1
    assert content["verdict"]["headline"] == "Intact, with gates waived: 2"
    assert ({"kind": "bad", "text": "2 waivers expired since", "section": "waivers"} in content["attention"]) is expired
    write_page(content, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "=1+1 &lt;b&gt;Decided&lt;/b&gt;." in text
    assert "a reviewer waived it" in text
    assert ("expired</span>" in text) is expired


@pytest.mark.parametrize("name", ["datasheet.json", "reports/policy.json", "reports/validation.json"])
@pytest.mark.parametrize(
    "document",
    [
        "{", "[]", "null", '{"a":1,"a":2}', {"answers": 5}, {"answers": [5]}, {"answers": [{"question": ["x"]}]},
        {"columns": 5, "dropped": {}}, {"columns": {"t": {"c": 5}}, "dropped": {}}, {"columns": {}, "dropped": []},
        {"findings": 7}, {"findings": [7]}, {"findings": [{"severity": 3}]}, {"findings": {"a": 1}},
    ],
)  # fmt: skip
def test_an_odd_document_is_one_line_and_never_a_bug(tmp_path: Path, trust: Path, name: str, document: Any) -> None:
    release = sealed(tmp_path / "release", {name: document})
    page = tmp_path / "page.html"
    refusal = None
    try:
        write_page(review_release(release, trust=trust, today=TODAY), page)
    except ReleaseFormatError as error:
        refusal = str(error)
    assert page.exists() is (refusal is None)
    assert refusal is None or "\n" not in refusal


def test_text_that_is_no_unicode_does_not_stop_the_page(tmp_path: Path, trust: Path) -> None:
    root = tmp_path / "release"
    fill(root)
    (root / "TERMS.md").write_bytes(b"Terms \xff\xfe <script>")
    seal_release(root, PREDICATE, STEWARD)
    content = review_release(root, trust=trust, today=TODAY)
    write_page(content, tmp_path / "page.html")
    assert "Terms \ufffd\ufffd &lt;script&gt;" in (tmp_path / "page.html").read_text(encoding="utf-8")
