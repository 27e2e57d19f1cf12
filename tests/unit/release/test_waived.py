"""Step 8 of verify: every failed gate of a release has a waiver that holds, and a steward cannot help it along."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from release_kit import PREDICATE, REVIEWER, STEWARD, STRANGER, Key, fill, make_key, trust_in

from sensai_release.release.readme import render_readme
from sensai_release.release.sealing import seal_release
from sensai_release.release.trust import Trust
from sensai_release.release.verify import VerificationReport, verify_release
from sensai_release.release.waived import predicate_gates, release_facts
from sensai_release.release.waivers import PROFILE_GATE, draft_waiver, sign_waiver

TRUST = trust_in(STEWARD, REVIEWER)
RISK: dict[str, Any] = {
    "ok": False,
    "gate": [{"name": "k_min", "value": 3, "limit": 5, "ok": False}],
    "linkability": {"gate": [{"name": "rank1_upper", "value": 0.31, "limit": 0.09, "ok": False, "scope": "joined"}]},
}
PASSED: dict[str, Any] = {"ok": True, "gate": [{"name": "k_min", "value": 5, "limit": 5, "ok": True}]}
FILE = "waivers/{}-1.0.0.dsse.json"


class Maker:
    """A release folder that is filled, waived and sealed step by step, so that each step can be done wrong."""

    def __init__(self, root: Path, risk: dict[str, Any], *, profile: bool = False) -> None:
        self.root, self.risk, self.profile = root, copy.deepcopy(risk), profile
        fill(root)
        (root / "reports").mkdir()
        self.write_risk()
        self.predicate: dict[str, Any] = copy.deepcopy(PREDICATE) | {"waivers": []}
        self.predicate["risk"]["gates"] = predicate_gates(risk, waiver_required=profile)

    def write_risk(self) -> None:
        (self.root / "reports" / "risk.json").write_text(json.dumps(self.risk))

    def waive(self, gate: str, *, key: Key = REVIEWER, version: str = "1.0.0", expires: str = "2026-12-31") -> Path:
        digests = {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (self.root / "data").rglob("*.parquet")
        }
        facts = release_facts(
            self.predicate | {"version": version},
            digests,
            self.risk,
            waiver_required=self.profile,
            stewards=frozenset(),
        )
        until = date.fromisoformat(expires)
        waiver = draft_waiver(facts, gate, reason="Decided by the board.", issued=date(2026, 1, 15), expires=until)
        path = self.root / FILE.format(gate)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sign_waiver(waiver, key))
        self.predicate["waivers"].append(
            {
                "gate": gate,
                "file": FILE.format(gate),
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "expires": expires,
            }
        )
        return path

    def seal(self, key: Key = STEWARD) -> Path:
        seal_release(self.root, self.predicate, key)
        return self.root


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "release", RISK)


def codes(report: VerificationReport) -> set[str]:
    assert all(not step.problems for step in report.steps if step.step != 8)
    return {problem.code for problem in report.steps[7].problems}


def test_a_release_whose_failed_gates_are_waived_is_valid_and_says_so(maker: Maker) -> None:
    maker.waive("k_min")
    maker.waive("linkability")
    report = verify_release(maker.seal(), trust=TRUST, today=date(2026, 2, 1))
    assert (report.verdict, codes(report)) == ("valid, freshness unknown", set())
    assert report.notes == (
        "The gate k_min was not passed; it is waived by Synthetic Reviewer until 2026-12-31.",
        "The gate linkability was not passed; it is waived by Synthetic Reviewer until 2026-12-31.",
    )


def test_a_waiver_that_expired_after_the_release_is_shown_and_still_holds(maker: Maker) -> None:
    maker.waive("k_min")
    maker.waive("linkability")
    report = verify_release(maker.seal(), trust=TRUST, today=date(2027, 2, 1))
    assert report.verdict == "valid, freshness unknown"
    assert all(note.endswith("until 2026-12-31, which has passed.") for note in report.notes)


def test_without_trust_the_waivers_are_read_and_their_signers_are_not(maker: Maker) -> None:
    maker.waive("k_min", key=STRANGER)
    maker.waive("linkability", key=STRANGER)
    report = verify_release(maker.seal(), trust=None, integrity_only=True)
    assert (report.ok, report.verdict) == (True, "intact, signer unknown")
    assert report.steps[7].skipped is not None
    maker.root.joinpath("waivers", "more").write_text("x")
    assert not verify_release(maker.root, trust=None, integrity_only=True).ok


@pytest.mark.parametrize("trust", [TRUST, None])
def test_a_failed_gate_without_a_waiver_makes_a_release_invalid(maker: Maker, trust: Trust | None) -> None:
    maker.waive("k_min")
    report = verify_release(maker.seal(), trust=trust, integrity_only=True)
    assert (report.verdict, codes(report)) == ("invalid", {"gate.not_waived"})
    assert "no waiver" in report.explanation


@pytest.mark.parametrize(
    ("key", "trust", "code"),
    [
        (STRANGER, TRUST, "waiver.unknown_signer"),
        (REVIEWER, trust_in(STEWARD), "waiver.unknown_signer"),
        (STEWARD, TRUST, "waiver.wrong_role"),
        (make_key("Other Steward"), trust_in(STEWARD, REVIEWER, make_key("Other Steward")), "waiver.wrong_role"),
    ],
)
def test_a_waiver_by_the_wrong_person_is_not_approved(tmp_path: Path, key: Key, trust: Trust, code: str) -> None:
    maker = Maker(tmp_path / "r", PASSED | {"ok": False, "gate": RISK["gate"]})
    maker.waive("k_min", key=key)
    report = verify_release(maker.seal(), trust=trust)
    assert (report.ok, report.verdict, codes(report)) == (False, "not approved", {code})
    assert "waiver is not signed by a reviewer" in report.explanation


def test_a_steward_with_a_second_key_as_reviewer_cannot_waive(tmp_path: Path) -> None:
    second = Key(private=make_key("second").private, role="reviewer", name=STEWARD.name)
    maker = Maker(tmp_path / "r", {"ok": False, "gate": RISK["gate"]})
    maker.waive("k_min", key=second)
    report = verify_release(maker.seal(), trust=trust_in(STEWARD, second))
    assert (report.verdict, codes(report)) == ("not approved", {"waiver.same_person"})


def _other_numbers(maker: Maker) -> None:
    maker.risk["gate"][0]["value"] = 2
    maker.write_risk()
    maker.predicate["risk"]["gates"][0]["value"] = 2


def _other_data(maker: Maker) -> None:
    part = maker.root / "data" / "folds" / "part-00000.parquet"
    part.write_bytes((maker.root / "data" / "folds" / "part-00001.parquet").read_bytes())


def _prettier_report(maker: Maker) -> None:
    maker.risk["gate"][0] |= {"value": 5, "ok": True}
    maker.risk["ok"] = True
    maker.write_risk()


def _not_listed(maker: Maker) -> None:
    maker.predicate["waivers"].clear()


def _not_there(maker: Maker) -> None:
    (maker.root / FILE.format("k_min")).unlink()
    (maker.root / "waivers").rmdir()


def _outside(maker: Maker) -> None:
    secret = maker.root.parent / "outside.json"
    (maker.root / FILE.format("k_min")).rename(secret)
    (maker.root / "waivers").rmdir()
    maker.predicate["waivers"][0]["file"] = "../outside.json"


TAMPERED: dict[str, tuple[Callable[[Maker], object], set[str]]] = {
    "other numbers": (_other_numbers, {"waiver.numbers_differ"}),
    "other data": (_other_data, {"waiver.other_candidate"}),
    "other policy": (lambda maker: maker.predicate.update(policy_sha256="f" * 64), {"waiver.other_candidate"}),
    "other version": (lambda maker: maker.predicate.update(version="1.0.1"), {"waiver.other_release"}),
    "other profile": (lambda maker: maker.predicate.update(profile="strict"), {"waiver.other_release"}),
    "a later day": (lambda maker: maker.predicate.update(as_of="2027-01-01"), {"waiver.expired"}),
    "an earlier day": (lambda maker: maker.predicate.update(as_of="2026-01-14"), {"waiver.not_yet_valid"}),
    "a day in no calendar": (lambda maker: maker.predicate.update(as_of="2026-02-30"), {"waiver.undated"}),
    "no day": (lambda maker: maker.predicate.update(as_of=None), {"waiver.undated"}),
    "a prettier report": (_prettier_report, {"risk.differs", "waiver.gate_not_failing"}),
    "a gate less in the manifest": (lambda maker: maker.predicate["risk"]["gates"].clear(), {"risk.differs"}),
    "not listed": (_not_listed, {"gate.not_waived", "waiver.unlisted"}),
    "listed, not there": (_not_there, {"waiver.malformed", "waiver.unlisted"}),
    "listed outside the release": (_outside, {"waiver.malformed", "waiver.unlisted"}),
    "listed for another gate": (
        lambda maker: maker.predicate["waivers"][0].update(gate="persons"),
        {"gate.not_waived", "waiver.unlisted"},
    ),
    "listed until another day": (
        lambda maker: maker.predicate["waivers"][0].update(expires="2027-01-01"),
        {"waiver.unlisted"},
    ),
    "listed with another digest": (
        lambda maker: maker.predicate["waivers"][0].update(sha256="f" * 64),
        {"waiver.unlisted"},
    ),
    "no risk report in it": (
        lambda maker: (maker.root / "reports" / "risk.json").write_text("[]"),
        {"risk.unreadable"},
    ),
    "NaN in the report": (
        lambda maker: (maker.root / "reports" / "risk.json").write_text('{"ok": false, "gate": NaN}'),
        {"risk.unreadable"},
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_a_steward_changes_after_the_waiver_voids_it(tmp_path: Path, name: str) -> None:
    maker = Maker(tmp_path / "release", {"ok": False, "gate": RISK["gate"]})
    maker.waive("k_min")
    change, expected = TAMPERED[name]
    change(maker)
    report = verify_release(maker.seal(), trust=TRUST, today=date(2026, 2, 1))
    assert (report.ok, report.verdict) == (False, "invalid")
    assert {problem.code for problem in report.steps[7].problems} == expected


def test_a_waiver_of_another_version_does_not_hold(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "release", {"ok": False, "gate": RISK["gate"]})
    maker.waive("k_min", version="0.9.0")
    assert codes(verify_release(maker.seal(), trust=TRUST)) == {"waiver.other_release"}


def test_a_waiver_that_nobody_needs_is_refused(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "release", {"ok": False, "gate": RISK["gate"]})
    maker.waive("k_min")
    maker.risk = copy.deepcopy(PASSED)
    maker.write_risk()
    maker.predicate["risk"]["gates"] = predicate_gates(PASSED, waiver_required=False)
    assert codes(verify_release(maker.seal(), trust=TRUST)) == {"waiver.gate_not_failing"}


def test_a_report_that_fails_without_a_failed_gate_is_refused(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "release", PASSED | {"ok": False})
    assert codes(verify_release(maker.seal(), trust=TRUST)) == {"risk.differs"}


def test_a_profile_under_waiver_needs_one_though_every_measure_is_passed(tmp_path: Path) -> None:
    audit = {"gate": [{"name": "rank1_upper", "value": 0.02, "limit": 0.09, "ok": True}]}
    for waived in (False, True):
        maker = Maker(tmp_path / str(waived), PASSED | {"linkability": audit}, profile=True)
        if waived:
            maker.waive(PROFILE_GATE)
        assert codes(verify_release(maker.seal(), trust=TRUST)) == (set() if waived else {"gate.not_waived"})


def test_a_flipped_byte_of_a_waiver_is_found_by_its_digest_first(maker: Maker) -> None:
    path = maker.waive("k_min")
    maker.waive("linkability")
    maker.seal()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    report = verify_release(maker.root, trust=TRUST)
    found = {step.step: [problem.code for problem in step.problems] for step in report.steps if step.problems}
    assert found == {5: ["digest.mismatch"], 8: ["waiver.malformed"]}


def test_the_readme_lists_the_waivers_in_force(maker: Maker) -> None:
    assert "Waivers in force" not in render_readme("name", "Title", maker.predicate, {})
    maker.waive("k_min")
    text = render_readme("name", "Title", maker.predicate, {})
    assert "- `k_min`, until 2026-12-31: `waivers/k_min-1.0.0.dsse.json`" in text


def test_the_readme_shows_a_title_as_text(maker: Maker) -> None:
    hostile = "<img src=x> ![i](http://example.org) | `c`"
    text = render_readme("name", hostile, maker.predicate, {"a": {"title": hostile, "primary_key": []}})
    shown = "\\<img src=x\\> !\\[i\\](http://example.org) \\| \\`c\\`"
    assert text.count(shown) == 2
    assert hostile not in text
