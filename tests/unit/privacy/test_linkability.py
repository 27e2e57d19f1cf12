from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from linkability_kit import column, noise, release

from sensai_release.privacy.linkability.audit import Effort, audit
from sensai_release.privacy.linkability.collusion import Collusion, collusion
from sensai_release.privacy.linkability.features import SessionFeatures, session_features
from sensai_release.privacy.linkability.limits import Limits
from sensai_release.privacy.linkability.report import LinkabilityReport
from sensai_release.privacy.linkability.suggest import DROP, Suggestion, audited, changed, suggest

QUICK = Effort(permutations=30, bootstraps=100)


def features(persons: Any, values: Any, columns: Any = None) -> SessionFeatures:
    return session_features(*release(persons, values, columns))


def gate(report: LinkabilityReport) -> dict[str, Any]:
    return {entry["name"]: entry for entry in report.gate}


def test_harmless_columns_pass() -> None:
    report = audit(features(*noise(70, 3, 6, seed=1)), effort=QUICK)
    assert report.status == "passed"
    assert report.ok is True
    entry = report.of("joined", "joined")
    assert entry["rank1"]["low"] <= entry["rank1"]["value"] <= entry["rank1"]["high"]
    assert entry["rank1"]["p"] > 0.05
    assert 0.4 < entry["eer"]["value"] < 0.6
    assert report.chance == round(2 / 209, 4)


def test_a_constant_person_fails_and_is_found_without_error() -> None:
    persons, values = noise(45, 2, 4, seed=1, person=0.9999)
    report = audit(features(persons, values), effort=QUICK)
    assert report.status == "failed"
    assert report.ok is False
    entry = report.of("joined", "joined")
    assert entry["rank1"]["value"] == 1.0
    assert entry["auc"]["value"] > 0.99
    assert entry["eer"]["value"] < 0.02
    assert entry["rank1"]["p"] == round(1 / 31, 4)


def test_too_few_persons_cannot_be_assessed_unless_the_link_is_plain() -> None:
    assert audit(features(*noise(8, 2, 4, seed=2)), effort=QUICK).status == "cannot_assess"
    plain = audit(features(*noise(12, 3, 12, seed=2, person=0.999)), effort=QUICK)
    assert plain.status == "failed"


def test_centring_each_person_fails_below_one_half() -> None:
    persons, values = noise(70, 2, 6, seed=3)
    means = values.reshape(70, 2, 6).mean(axis=1)
    report = audit(features(persons, values - np.repeat(means, 2, axis=0)), effort=QUICK)
    entry = report.of("joined", "joined")
    assert entry["auc"]["value"] < 0.3
    assert gate(report)["linkability_auc"]["status"] == "failed"


@pytest.mark.parametrize(("option", "ok"), [("report", None), ("refuse", False)])
def test_one_session_a_person_cannot_be_assessed(option: str, ok: bool | None) -> None:
    report = audit(features(*noise(20, 1, 3, seed=1)), cannot_assess=option)
    assert report.status == "cannot_assess"
    assert report.reason == "no_repeated_sessions"
    assert report.ok is ok
    assert report.sets == ()
    assert suggest(features(*noise(20, 1, 3, seed=1))).status == "cannot_assess"


def test_clinical_columns_are_reported_and_not_gated() -> None:
    persons, values = noise(70, 2, 3, seed=4)
    values[:, 2] = persons
    columns = [column("a"), column("b"), column("score", **{"class": "clinical"})]
    report = audit(features(persons, values, columns), effort=QUICK)
    assert report.status == "passed"
    assert report.of("class", "class clinical")["status"] == "failed"
    assert report.of("all", "all released columns")["status"] == "failed"
    assert audit(features(persons, values, columns), effort=QUICK, gated=("A", "B", "C", "clinical")).ok is False


def test_the_group_that_does_it_is_named() -> None:
    persons, values = noise(70, 2, 8, seed=5)
    values[:, 6] = np.random.default_rng(1).standard_normal(70)[persons] + 0.01 * values[:, 6]
    entries = audit(features(persons, values), effort=QUICK).sets
    assert [entry["name"] for entry in entries if entry["kind"] == "group" and entry["status"] == "failed"] == [
        "features: c006"
    ]


def test_order_names_and_repetition_change_nothing() -> None:
    persons, values = noise(30, 2, 5, seed=6, person=0.3)
    expected = audit(features(persons, values), effort=QUICK).to_dict()
    order = np.random.default_rng(2).permutation(60)
    assert audit(features(persons[order], values[order]), effort=QUICK).to_dict() == expected
    renamed = session_features(*release(persons, values, names={n: f"Z{(7 * n) % 30}" for n in range(30)}))
    assert audit(renamed, effort=QUICK).to_dict() == expected


def test_report_survives_json_and_masks_persons() -> None:
    persons = np.r_[noise(8, 2, 1, seed=1)[0], np.arange(8, 40)]
    report = audit(features(persons, np.random.default_rng(1).standard_normal((48, 3))), effort=QUICK)
    assert report.persons == {"one_session": ">=10", "several_sessions": "<10"}
    text = json.dumps(report.to_dict())
    assert LinkabilityReport.from_dict(json.loads(text)).to_dict() == json.loads(text)
    assert "anonym" not in text


def test_suggestion_gives_up_the_telling_group_only() -> None:
    persons, values = noise(70, 2, 8, seed=7)
    own = np.random.default_rng(3).standard_normal((70, 2))[persons]
    values[:, :2] = own + 0.05 * values[:, :2]
    columns = [
        column(f"c{n}", **{"class": "A" if n < 4 else "C"}, description="F." if n < 2 else f"{n}") for n in range(8)
    ]
    made = features(persons, values, columns)
    found = suggest(made, effort=QUICK)
    assert found.status == "found"
    assert [change["columns"] for change in found.changes] == [["c0", "c1"]]
    assert found.rank1_high is not None
    assert found.rank1_high <= 0.09
    assert Suggestion.from_dict(json.loads(json.dumps(found.to_dict()))).to_dict() == found.to_dict()
    assert suggest(made, effort=QUICK) == found


def test_suggestion_is_minimal() -> None:
    persons, values = noise(60, 3, 10, seed=8, person=0.35)
    made = features(persons, values)
    limits = Limits()
    found = suggest(made, effort=QUICK)
    assert found.status == "found"
    place = {group.name: number for number, group in enumerate(made.groups)}
    changes = {place[change["group"]]: change["change"] for change in found.changes}
    assert audited(changed(made, changes), QUICK, ("A", "B", "C"))[1] <= limits.auc
    for group in changes:
        fewer = {other: change for other, change in changes.items() if other != group}
        rank1, auc = audited(changed(made, fewer), QUICK, ("A", "B", "C"))
        assert rank1 > limits.rank1 or auc > limits.auc


def test_no_suggestion_where_none_is_needed_or_possible() -> None:
    assert suggest(features(*noise(70, 3, 5, seed=1)), effort=QUICK).status == "not_needed"
    assert suggest(features(*noise(10, 3, 5, seed=1)), effort=QUICK).status == "cannot_assess"


def test_groups_left_out_leave_no_column() -> None:
    made = features(*noise(10, 2, 4, seed=1))
    left = changed(made, {0: DROP, 2: DROP})
    assert [entry.column for entry in left.columns] == ["c001", "c003"]
    assert [entry.column for entry in left.digit_columns] == ["c001", "c003"]


def test_two_recipients_match_values_counts_and_gaps() -> None:
    persons = np.repeat(np.arange(30), [2] * 14 + [3] * 15 + [5])
    values = np.random.default_rng(1).standard_normal((len(persons), 2))
    values[:20] = 0.0
    tables, dictionaries = release(persons, values)
    found = collusion(tables, dictionaries, minimum=1)
    assert found.rows["features"]["share"] == round((len(persons) - 20) / len(persons), 4)
    assert found.persons["values"]["share"] == round(20 / 30, 4)
    assert found.persons["counts"]["share"] == round(1 / 30, 4)
    assert found.persons["gaps"]["share"] == 0.0
    assert found.persons["all"]["share"] == found.persons["values"]["share"]
    assert collusion(tables, dictionaries).persons["counts"]["share"] == "<0.33"
    assert Collusion.from_dict(json.loads(json.dumps(found.to_dict()))).to_dict() == found.to_dict()


def test_noise_of_each_recipient_leaves_counts_alone() -> None:
    persons = np.repeat(np.arange(12), [1] * 5 + [2] * 6 + [4])
    values = np.random.default_rng(1).standard_normal((21, 2))
    ours, dictionaries = release(persons, values)
    theirs, _ = release(persons, values + 0.1, names={n: f"R{(n * 5) % 12:02d}" for n in range(12)})
    found = collusion(ours, dictionaries, other=theirs, minimum=1)
    assert found.rows["features"]["share"] == 0.0
    assert found.persons["all"]["share"] == round(1 / 12, 4)
