"""The pages: complete in themselves, escaped, honest about synthetic data, readable without sight or colour."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
import pytest
import risk_kit

from sensai_release.release.comparison.diff import diff_releases
from sensai_release.release.datasheet.answers import load_answers
from sensai_release.release.datasheet.facts import Facts, compute_facts, study_context
from sensai_release.release.datasheet.pages import render_html
from sensai_release.release.datasheet.sheet import build_datasheet
from sensai_release.release.pages import number, percent, render_page
from sensai_release.release.pages import risk as ordered
from sensai_release.release.pages.plots import bar, histogram, interval, scale, strip, tenths
from sensai_release.release.pages.recordings import SHORT, orders
from sensai_release.release.published import published_risk
from sensai_release.release.tables import ReleasedTables
from sensai_release.table.documents import load_yaml
from sensai_release.table.findings import ColumnRange, Finding, RecordingCount, TableCount, ValidationReport

Tables = dict[str, pa.Table]
Write = Callable[..., Path]

WORKSPACE = Path(__file__).parents[3]
STUDY = {"id": "SENSAI-DBD", "title": "A study"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
VOID = {"meta", "link", "br", "img", "input", "hr", "rect", "line", "circle"}


class Outline(HTMLParser):
    """What a page asks for and how it is built."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def risk(**changes: Any) -> dict[str, Any]:
    gate = [{"name": "k_min", "value": 6, "limit": 5, "ok": True}]
    level = {"column": "age_band", "level": 1, "height": 5, "name": "10 years"}
    report = {
        "ok": True, "persons": 40, "k": 5, "k_min": 6, "k_min_missing_as_wildcard": 6, "tier1": ["age_band"],
        "tier2": [], "below_k": {"persons": 0, "share": 0.0}, "unique_tier1": {"persons": 0, "share": 0.0},
        "unique_all": {"persons": "<10", "share": "<0.25"}, "suppressed": {"persons": 0, "share": 0.0},
        "class_sizes": [{"size": "5 to 9", "persons": "<10"}, {"size": "10 or more", "persons": 31}],
        "attributes": [{"name": "age_band", "tier": 1, "categories": 3, "missing": "<10", "unique": 0}],
        "minimal_sample_uniques": [{"attributes": ["age_band", "sex"], "persons": "<10"}], "gate": gate,
        "generalisation": {"found": True, "loss": 0.25, "suppressed": 0, "nodes": 30, "levels": [level]},
    }  # fmt: skip
    return report | changes


def validation(**changes: Any) -> dict[str, Any]:
    report = ValidationReport(
        findings=(
            Finding(table="t", column="c", file="t.csv", code="value.above", row=3, count=5230, message="Too large."),
            Finding(table="t", code="new.code", severity="warning", message="Look."),
        ),
        tables=(TableCount(table="t", files=1, rows=40, columns_read=3, columns_dropped=2),),
        columns=(
            {"table": "t", "column": "c", "rows": 40, "missing": 10, "out_of_range": None},
            {"table": "t", "column": "d", "rows": 40, "missing": 0, "out_of_range": 0},
            {"table": "t", "column": "e", "rows": 40, "missing": 0, "out_of_range": None},
        ),
        recordings=(
            RecordingCount(table="t", file="t/*.csv#1", read=True, rows=360, seconds=12, lost=0.5, missing=0.25),
            RecordingCount(table="t", file="t/*.csv#2", read=False, rows=0, errors=2, warnings=1),
        ),
        ranges=(
            ColumnRange(
                table="t", column="d", minimum=0, maximum=5, unit="mm", tenths=(60, 40, *["masked"] * 2, *[0] * 6)
            ),
        ),
    )
    return report.to_dict() | changes


def recording(number: int, **facts: Any) -> dict[str, Any]:
    return RecordingCount(table="t", file=f"t/*.csv#{number}", read=True, rows=10).to_dict() | facts


def public(report: dict[str, Any]) -> dict[str, Any]:
    """As a release carries it: no recordings, no ranges, no places, masked counts."""
    findings = [finding | {"file": None, "row": None, "count": "<10", "message": ""} for finding in report["findings"]]
    tables = [table | {"files": None, "rows": None} for table in report["tables"]]
    return {"ok": report["ok"], "findings": findings, "tables": tables, "columns": []}


@pytest.fixture
def difference(tables: Tables, write_release: Write, shrink: Callable[[Tables, int], Tables]) -> dict[str, Any]:
    old = write_release(tables, risk={"ok": True, "k_min": 6, "gate": risk()["gate"]})
    return diff_releases(old, write_release(shrink(tables, 12), "1.1.0", risk=risk())).to_dict()


@pytest.fixture
def facts(tables: Tables, dictionaries: Any, write_candidate: Write) -> Facts:
    context = study_context(load_yaml(WORKSPACE / "params.yaml", "params.yaml"))
    held = ReleasedTables(write_candidate(tables) / "data", dictionaries)
    return compute_facts(held, context=context, risk=risk())


@pytest.fixture
def datasheet_page(facts: Facts) -> str:
    answers = load_answers(WORKSPACE / "datasheets")
    return render_html(build_datasheet(answers, facts, title="Title", synthetic=True, version="1.0.0"), study=STUDY)


@pytest.fixture(params=["validation", "risk", "whole_risk", "old_risk", "diff", "datasheet"])
def page(request: pytest.FixtureRequest) -> str:
    if request.param == "datasheet":
        text: str = request.getfixturevalue("datasheet_page")
        return text
    reports = {"validation": validation, "risk": risk, "diff": lambda: request.getfixturevalue("difference")}
    reports |= {"whole_risk": risk_kit.report, "old_risk": risk_kit.old_form}
    template = request.param.rpartition("_")[2]
    return render_page(f"{template}.html.j2", report=reports[request.param](), synthetic=True, study=STUDY)


class TestEveryPage:
    def test_loads_nothing_and_runs_nothing(self, page: str) -> None:
        outline = Outline(page)
        assert not {"script", "link", "iframe", "object", "embed", "img", "base", "form"} & {t for t, _ in outline.tags}
        for _, attrs in outline.tags:
            assert not [name for name in attrs if name.startswith("on") or name in ("src", "srcset", "style")]
            assert (attrs.get("href") or "#").startswith("#")
        assert "url(" not in page
        assert "@import" not in page
        assert "default-src 'none'" in page

    def test_is_well_formed(self, page: str) -> None:
        outline = Outline(page)
        assert outline.open == []
        names = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
        assert len(names) == len(set(names))
        for attrs in outline.of("a"):
            assert (attrs["href"] or "").removeprefix("#") in names

    def test_says_that_the_data_are_synthetic(self, page: str) -> None:
        assert page.count('<div class="band" role="note">') == 1
        assert "SYNTHETIC DATA" in page
        assert "(synthetic data)</title>" in page

    def test_tables_have_scoped_headers_and_plots_speak(self, page: str) -> None:
        outline = Outline(page)
        assert outline.of("table")
        assert all(attrs.get("scope") in ("col", "row") for attrs in outline.of("th"))
        for attrs in outline.of("svg"):
            assert attrs.get("aria-hidden") == "true" or (attrs.get("role") == "img" and attrs.get("aria-label"))
        assert outline.of("html")[0]["lang"] == "en"
        assert len(outline.of("h1")) == 1

    def test_has_dark_narrow_and_print_styles(self, page: str) -> None:
        for query in ("prefers-color-scheme: dark", "max-width: 40rem", "@media print"):
            assert query in page


def test_real_data_have_no_band() -> None:
    assert "SYNTHETIC" not in render_page("risk.html.j2", report=risk(), synthetic=False)


def test_synthetic_must_be_said() -> None:
    with pytest.raises(TypeError, match="synthetic"):
        render_page("risk.html.j2", report=risk())  # type: ignore[call-arg]


def test_a_report_that_lacks_something_is_refused() -> None:
    report = risk()
    del report["k_min"]
    with pytest.raises(jinja2.UndefinedError):
        render_page("risk.html.j2", report=report, synthetic=True)


def test_hostile_text_is_escaped(difference: dict[str, Any]) -> None:
    finding = validation()["findings"][0] | {"table": HOSTILE, "column": HOSTILE, "file": HOSTILE, "message": HOSTILE}
    columns = [{"table": HOSTILE, "column": HOSTILE, "rows": 3, "missing": 1}]
    ranges = [validation()["ranges"][0] | {"table": HOSTILE, "column": HOSTILE, "unit": HOSTILE}]
    recordings = [recording(1, table=HOSTILE, file=HOSTILE, lost=0.5)]
    hostile_cells = [{"size": HOSTILE, "persons": HOSTILE}]
    pages = [
        render_page(
            "validation.html.j2",
            report=validation(findings=[finding], columns=columns, ranges=ranges, recordings=recordings),
            synthetic=True,
            study={"id": HOSTILE, "title": HOSTILE},
        ),
        render_page("risk.html.j2", report=risk(class_sizes=hostile_cells, tier1=[HOSTILE]), synthetic=True),
        render_page(
            "diff.html.j2",
            report=difference
            | {
                "series": HOSTILE,
                "old": HOSTILE,
                "tables": {HOSTILE: difference["tables"]["sessions"] | {"cells_changed": {HOSTILE: 12}}},
                "labels": {HOSTILE: {"gained": {HOSTILE: 0}, "lost": {HOSTILE: "<10"}}},
                "files": difference["files"] | {"added": [HOSTILE]},
            },
            synthetic=True,
        ),
    ]
    for text in pages:
        assert "&lt;script&gt;" in text
        assert "<script" not in text
        assert "<img" not in text


class TestValidationPage:
    def test_groups_by_cause_errors_first(self) -> None:
        text = render_page("validation.html.j2", report=validation(), synthetic=True)
        assert text.index("A value lies above its range") < text.index("new.code")
        assert "5\u202f230" in text
        assert "Too large." in text
        assert "25.0 %" in text

    @pytest.mark.parametrize(
        ("findings", "verdict"),
        [([], "Every table agrees"), (validation()["findings"][1:], "Valid, with warnings"), (None, "Not valid")],
    )
    def test_verdict(self, findings: list[Any] | None, verdict: str) -> None:
        report = validation() if findings is None else validation(findings=findings, ok=True)
        assert verdict in render_page("validation.html.j2", report=report, synthetic=True)

    def test_the_copy_in_a_release_has_no_places_recordings_and_ranges(self) -> None:
        text = render_page("validation.html.j2", report=public(validation()), synthetic=True)
        assert "&lt;10" in text
        for absent in ("First row", "<h2>Recordings", "<h2>Columns", "locate", "radio"):
            assert absent not in text

    def test_many_places_of_one_cause_are_folded_and_say_once_what_to_do(self) -> None:
        one = validation()["findings"][0]
        findings = [one | {"file": f"t/*.csv#{number}"} for number in range(1, 601)]
        text = render_page("validation.html.j2", report=validation(findings=findings, recordings=[]), synthetic=True)
        assert text.count("Too large.") == 1
        assert "in 600 files" in text
        assert "594 more places" in text
        assert "100 more stand in the JSON report" in text
        assert text.index("t/*.csv#6<") < text.index("<details>") < text.index("t/*.csv#7<")
        assert "t/*.csv#501<" not in text

    def test_recordings_come_in_several_orders(self) -> None:
        text = render_page("validation.html.j2", report=validation(), synthetic=True)
        assert re.findall(r"</?label[^>]*>([A-Z][^<]+)</label>", text) == [
            "Findings first", "Most lost", "Most missing", "Shortest first", "All, by number",
        ]  # fmt: skip
        assert text.count('<div class="panel">') == text.count('type="radio"') == 5
        assert text.count(" checked>") == 1
        assert "1 not usable" in text
        assert "2 errors" in text
        assert "50.0 %" in text

    def test_a_plot_of_recordings_without_anything_to_show_is_left_out(self) -> None:
        report = validation(recordings=[recording(1, seconds=4, lost=0.0, missing=None)])
        text = render_page("validation.html.j2", report=report, synthetic=True)
        assert "Seconds, from 0 to 4" in text
        assert "Rows lost by the tracker" not in text
        assert "Missing cells, from" not in text

    def test_columns_show_missing_cells_and_ranges(self) -> None:
        text = render_page("validation.html.j2", report=validation(), synthetic=True)
        assert "0 to 5 mm" in text
        assert "1 of 3 columns with missing cells" in text
        assert "The other 1 have no missing cells" in text
        assert "60 %, 40 %, masked, masked, 0 %" in text


class TestOrders:
    def test_unusable_recordings_lead_the_findings(self) -> None:
        entries = [recording(1), recording(2, warnings=1), recording(3, errors=1), recording(4, read=False, errors=1)]
        assert [entry["file"][-1] for entry in orders(entries)[0].entries] == ["4", "3", "2"]

    def test_lists_are_short_but_for_the_whole_one(self) -> None:
        entries = [recording(number, lost=number / 100, seconds=number) for number in range(1, 51)]
        found = {order.label: order for order in orders(entries)}
        assert list(found) == ["Most lost", "Shortest first", "All, by number"]
        assert [entry["lost"] for entry in found["Most lost"].entries[:2]] == [0.5, 0.49]
        assert found["Shortest first"].entries[0]["seconds"] == 1
        assert len(found["Most lost"].entries) == SHORT
        assert found["Most lost"].of == len(found["All, by number"].entries) == 50

    def test_equal_recordings_stay_by_number(self) -> None:
        entries = [recording(number, missing=0.5) for number in (1, 2, 3)]
        assert [entry["file"][-1] for entry in orders(entries)[0].entries] == ["1", "2", "3"]


def risk_page(report: dict[str, Any]) -> str:
    return render_page("risk.html.j2", report=report, synthetic=True)


def section(page: str, name: str) -> str:
    """What stands below a heading of the second level."""
    return page.split(f'<h2 id="{name}">')[1].split("<h2 ")[0]


def hostile(value: Any) -> Any:
    """Every text of a report made hostile, save those that the page looks up."""
    if isinstance(value, dict):
        looked_up = ("status", "kind", "score", "joined_by", "measure", "reason", "change")
        return {key: item if key in looked_up else hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return value + HOSTILE if isinstance(value, str) and value[:1] not in "<>" else value


class TestRiskPage:
    def test_tells_both_verdicts(self) -> None:
        assert "at least 6 persons" in risk_page(risk())
        choice: dict[str, Any] = {"found": False, "nodes": 30, "loss": None, "suppressed": 0, "levels": []}
        text = risk_page(risk(ok=False, generalisation=choice))
        assert "The gate is not passed" in text
        assert "No choice of levels passes" in text

    @pytest.mark.parametrize("make", [risk, risk_kit.report, risk_kit.old_form, risk_kit.unassessed])
    def test_never_promises_too_much(self, make: Callable[[], dict[str, Any]]) -> None:
        for report in (make(), make() | {"waived": ["linkability"]}):
            assert "anonymous" not in risk_page(report).lower()

    def test_every_gate_has_its_value_limit_and_verdict_in_words(self) -> None:
        report = risk_kit.report()
        rows = section(risk_page(report), "gates").split("<tr>")[2:]
        gates = [*report["gate"], *report["linkability"]["gate"], *report["series"]["gate"]]
        assert len(rows) == len(gates) == 9
        for row, gate in zip(rows, gates, strict=True):
            assert ("not passed" in row) is (gate["ok"] is False)
            assert f" {number(gate['limit'])}<" in row
            assert gate["name"].replace("_", " ") not in row
        assert rows[-1].count("at least 5") == 1
        assert rows[-2].count("at most 0.2") == 1

    def test_what_cannot_be_assessed_is_never_passed(self) -> None:
        text = risk_page(risk_kit.unassessed())
        assert "The gate is passed" not in text
        assert "not all could be assessed" in text
        lines = [line for line in ordered.gates(risk_kit.unassessed()) if line.state == "cannot_assess"]
        assert [line.verdict for line in lines] == ["cannot be assessed"] * 2
        assert section(text, "gates").count("cannot be assessed") == 2
        assert "passed" not in section(text, "linkability")
        assert "no person has several sessions" in section(text, "linkability")

    def test_a_gate_may_stop_what_cannot_be_assessed(self) -> None:
        report = risk_kit.unassessed()
        for gate in report["linkability"]["gate"]:
            gate["ok"] = False
        text = risk_page(report | {"ok": False})
        assert "The gate is not passed" in text
        assert section(text, "gates").count("stops the release") == 2
        assert "not passed" not in section(text, "gates")

    def test_earlier_releases_that_cannot_be_joined_are_not_passed(self) -> None:
        report = risk_kit.report()
        report["series"] |= {"releases": report["series"]["releases"][1:], "gate": [], "together": None}
        assert [line.state for line in ordered.gates(report)][-1] == "cannot_assess"
        report["series"] |= {"releases": [], "findings": []}
        assert len(ordered.gates(report)) == 8
        assert "no earlier release" in section(risk_page(report), "series")

    def test_waivers_stand_beside_their_gates_alone(self) -> None:
        text = risk_page(risk_kit.report() | {"waived": ["linkability"]})
        assert "Not all gates are passed" in text
        assert section(text, "gates").count("a reviewer waived it") == 2
        assert "a reviewer waived it" not in risk_page(risk_kit.report())

    def test_column_groups_come_most_telling_first(self) -> None:
        found = section(risk_page(risk_kit.report()), "linkability").split("Which columns do it")[1]
        names = re.findall(r'<th scope="row">features: (feature_[0-9])<small>', found)
        assert names[0] == "feature_0"
        assert sorted(names) == [f"feature_{n}" for n in range(6)]
        rates = [entry["rank1"]["value"] for entry in ordered.sets_of(risk_kit.report()["linkability"], "group")]
        assert rates == sorted(rates, reverse=True)

    def test_many_column_groups_are_folded(self) -> None:
        report = risk_kit.report()
        group = next(entry for entry in report["linkability"]["sets"] if entry["kind"] == "group")
        report["linkability"]["sets"] += [group | {"name": f"t: more {n}"} for n in range(20)]
        assert "14 more column groups" in risk_page(report)

    def test_says_what_was_given_up_and_what_would_pass(self) -> None:
        text = risk_page(risk_kit.report())
        met = section(text, "met")
        assert "those of the last release" in met
        assert "61.0 %" in met
        assert "&lt;10" in met
        assert "leave out" in section(text, "linkability")

    def test_collusion_is_told_by_way_and_by_table(self) -> None:
        text = section(risk_page(risk_kit.report()), "linkability").split("Two recipients")[1]
        rows = re.findall(r'<th scope="row">([^<]+)</th>', text)
        assert [row.split()[1] for row in rows[:4]] == ["the", "the", "the", "all"]
        assert rows[4:] == ["features"]

    def test_an_old_report_says_what_it_lacks(self) -> None:
        text = risk_page(risk_kit.old_form())
        assert "This report says nothing of: " + ", ".join(ordered.SECTIONS.values()) in text
        for absent in ("attack", "linkability", "series", "utility"):
            assert f'id="{absent}"' not in text
        assert "Information gone" not in text.replace("Information gone is", "")
        assert "Linkability was not measured" in text

    @pytest.mark.parametrize("name", sorted(ordered.SECTIONS))
    def test_any_section_may_be_missing_or_empty(self, name: str) -> None:
        for report in ({k: v for k, v in risk_kit.report().items() if k != name}, risk_kit.report() | {name: None}):
            assert ordered.SECTIONS[name] in section(risk_page(report), "gates")

    def test_the_copy_in_a_release_can_be_shown(self) -> None:
        text = risk_page(published_risk(risk_kit.report(), max_suppressed=0.05))
        assert "&gt;70" in section(text, "alone")

    def test_every_text_of_a_report_is_escaped(self) -> None:
        text = risk_page(hostile(risk_kit.report()))
        assert text.count("&lt;script&gt;") > 100
        assert "<script" not in text
        assert "<img" not in text

    def test_utility_is_told_in_few_lines(self) -> None:
        report = risk_kit.report()
        text = section(risk_page(report), "utility")
        assert text.count("<caption>") == 2
        assert "4 of 4 columns lost something" in text
        found = {entry.estimate: entry for entry in ordered.overlaps(report["utility"]["intervals"])}
        assert list(found) == ["mean", "slope of pain_scores.nrs", "slope of participants.group"]
        assert sum(found["mean"].tenths) == pytest.approx(100, abs=3)
        assert found["mean"].least == min(
            e["overlap"] for e in report["utility"]["intervals"] if e["estimate"] == "mean"
        )

    def test_a_model_without_a_number_is_a_dash(self) -> None:
        report = risk_kit.report()
        report["utility"]["models"][0]["source"]["random"] = {"value": None, "low": None, "high": None}
        report["utility"]["propensity"] = None
        assert risk_page(report)


@pytest.mark.parametrize(
    ("values", "span"),
    [
        ([], (0.0, 0.05)), ([0.0, None], (0.0, 0.05)), ([0.06], (0.0, 0.1)), ([0.3], (0.0, 0.5)), ([0.9], (0.0, 1.0)),
        ([-0.2, 0.4], (-0.5, 0.5)), ([-7.0, 0.6], (-1.0, 1.0)),
    ],
)  # fmt: skip
def test_a_span_holds_its_values(values: list[float | None], span: tuple[float, float]) -> None:
    assert ordered.reach(values) == span


def test_diff_page_without_a_list_of_files(difference: dict[str, Any]) -> None:
    del difference["files"]
    text = render_page("diff.html.j2", report=difference, synthetic=True)
    assert "Files unchanged" not in text
    assert "Participants removed</dt><dd>12<" in text


def test_datasheet_page_holds_57_questions(datasheet_page: str) -> None:
    assert len(re.findall('<article class="question"', datasheet_page)) == 57
    assert "at least 20 participants with at least 40 recording sessions" in datasheet_page
    assert "Recorded in the registration NCT07262632." in datasheet_page


class TestPlots:
    def test_a_masked_bar_shows_no_share(self) -> None:
        assert 'class="masked"' in bar(None)
        assert 'class="mark"' not in bar(None)

    @pytest.mark.parametrize(("share", "width"), [(0.0, "0.00"), (0.123, "12.30"), (1.0, "100.00"), (7.0, "100.00")])
    def test_a_bar_is_as_wide_as_its_share(self, share: float, width: str) -> None:
        assert f'class="mark" width="{width}"' in bar(share)

    def test_an_interval_keeps_its_places_and_its_words(self) -> None:
        drawn = interval(0.5, 0.25, 0.75, title="T", band=(0.1, 0.3), marks=[("limit", 0.9)], kind="bad")
        assert '<circle class="dot" cx="50.00%"' in drawn
        assert '<line class="whisker" x1="25.00%" x2="75.00%"' in drawn
        assert '<rect class="band" x="10.00%" y="8%" width="20.00%"' in drawn
        assert '<line class="limit" x1="90.00%" x2="90.00%"' in drawn
        assert 'class="interval is-bad" role="img" aria-label="T"' in drawn

    def test_what_lies_outside_a_span_is_drawn_at_its_end(self) -> None:
        drawn = interval(-3.0, -9.0, 0.5, title="T", span=(-1.0, 1.0))
        assert '<circle class="dot" cx="0.00%"' in drawn
        assert '<line class="whisker" x1="0.00%" x2="75.00%"' in drawn

    def test_an_interval_without_a_value_has_no_dot(self) -> None:
        assert "dot" not in interval(None, title="T")
        assert "whisker" not in interval(0.5, title="T")

    def test_a_scale_has_three_numbers(self) -> None:
        assert re.findall(">([^<]+)</text>", scale((-0.5, 1.0))) == ["-0.5", "0.25", "1"]
        assert re.findall(">([^<]+)</text>", scale((0.0, 0.05), percent=True)) == ["0 %", "2.5 %", "5 %"]

    def test_masked_columns_are_all_of_one_height(self) -> None:
        drawn = histogram([("a", "<10"), ("b", ">=10"), ("c", 40)], title="T", axis="A")
        assert re.findall(r'class="masked"[^>]* height="([0-9.]+)"', drawn) == ["16.0", "16.0"]
        assert 'aria-label="T. a: &lt;10; b: &gt;=10; c: 40"' in drawn

    def test_masked_tenths_are_all_of_one_height(self) -> None:
        drawn = tenths(["masked", 90, 1, "masked", 0, 0, 0, 0, 0, 9], title="T")
        assert re.findall(r'class="masked"[^>]* height="([0-9.]+)"', drawn) == ["5.0", "5.0"]
        heights = [float(text) for text in re.findall(r'class="mark"[^>]* height="([0-9.]+)"', drawn)]
        assert heights[0] == 23.0
        assert heights[1] == 1.0  # one per cent stays visible beside ninety
        assert heights[2:7] == [0.0] * 5
        assert 'aria-label="T: masked, 90 %, 1 %, masked, 0 %' in drawn

    def test_tenths_with_nothing_to_compare_are_a_word(self) -> None:
        assert "too few persons" in tenths(["masked"] * 2 + [0] * 8, title="T")

    def test_a_strip_has_a_column_per_value_and_gaps(self) -> None:
        drawn = strip([0.5, None, 0.0, 1.0], title="T", axis="A", most=1)
        assert re.findall(r'<rect class="mark" x="([0-9.]+)"[^>]* height="([0-9.]+)"', drawn) == [
            ("0.00", "22.00"), ("270.00", "44.00"),
        ]  # fmt: skip

    def test_a_long_strip_keeps_the_largest_of_neighbours(self) -> None:
        values = [0.1] * 1000
        values[500] = 1.0
        drawn = strip(values, title="T", axis="A", most=1)
        assert len(re.findall('class="mark"', drawn)) == 167
        assert len(re.findall(r'height="44.00"', drawn)) == 1

    @pytest.mark.parametrize("values", [[], [None], [0.0]])
    def test_an_empty_strip_is_no_error(self, values: list[float | None]) -> None:
        assert 'class="mark"' not in strip(values, title="T", axis="A")

    @pytest.mark.parametrize("cells", [[], [("a", 0)], [("a", "<10")]])
    def test_nothing_to_draw_is_no_error(self, cells: list[tuple[str, int | str]]) -> None:
        assert histogram(cells, title="T", axis="A").startswith("<figure>")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1\u202f234\u202f567"),
        ("<10", "<10"),
        (None, "\u2013"),
        (True, "yes"),
        (0.12345, "0.1235"),
        (2.0, "2"),
    ],
)
def test_numbers_for_reading(value: Any, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.256, "25.6 %"), ("<0.42", "<42 %"), (">0.58", ">58 %"), ("masked", "masked")]
)
def test_shares_for_reading(value: Any, text: str) -> None:
    assert percent(value) == text
