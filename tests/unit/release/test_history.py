"""The rows of a history: versions in their order, gates and waivers, the chain, and who signed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from release_kit import PREDICATE, REVIEWER, STEWARD, STRANGER, make_release, trust_in

from sensai_release.errors import ReleaseFormatError
from sensai_release.release.history import (
    Row,
    Signed,
    chain_of,
    in_series,
    read_signed,
    row_of,
    shown_claim,
    tables_of,
)
from sensai_release.release.manifest import Statement
from sensai_release.release.sealing import countersign_release
from sensai_release.release.status import Standing, StatusDocument

DAY = date(2026, 3, 10)
A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def row(version: str, digest: str = A, previous: tuple[str, str] | None = None, **stated: Any) -> Row:
    before = {"version": previous[0], "manifest_sha256": previous[1]} if previous else None
    predicate = {**PREDICATE, "version": version, "previous": before, **stated}
    return row_of(
        f"synthetic-series-{version}",
        Signed(manifest_sha256=digest),
        Statement(subject=(), predicate=predicate),
        ok=True,
        verdict="valid, freshness unknown",
        explanation="",
    )


def gate(name: str, ok: bool | None = True, value: Any = 1, **more: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "limit": 2, "ok": ok, **more}


def with_gates(*gates: dict[str, Any], waived: tuple[str, ...] = ()) -> Row:
    waivers = [{"gate": name, "file": "w", "sha256": A, "expires": "2026-12-31"} for name in waived]
    return row("1.0.0", risk={"k_min": None, "gates": list(gates)}, waivers=waivers)


def test_versions_are_in_the_order_of_their_numbers() -> None:
    ordered = [
        *("0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1"),
        *("1.0.0", "1.0.9", "1.0.10", "1.9.0", "1.10.0", "9.0.0", "10.0.0", "1" + "0" * 90 + ".0.0"),
    ]
    assert [found.version for found in in_series(map(row, reversed(ordered)))["synthetic-series"]] == ordered


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (with_gates(gate("k_min"), gate("l_min")), "2 passed"),
        (with_gates(gate("k_min", ok=False)), "1 failed"),
        (with_gates(gate("k_min", ok=None)), "1 failed"),
        (with_gates(gate("k_min", ok=False), waived=("k_min",)), "1 failed and waived"),
        (with_gates(gate("linkability_rank1", ok=False), waived=("linkability",)), "1 failed and waived"),
        (with_gates(gate("k_minimum", ok=False), waived=("k_min",)), "1 failed"),
        (with_gates(gate("k_min", status="cannot_assess")), "1 not assessed"),
        (with_gates(gate("k_min", ok=False, status="cannot_assess")), "1 failed"),
        (with_gates(), ""),
    ],
)
def test_what_is_not_plainly_passed_has_failed(found: Row, words: str) -> None:
    assert found.gates == words


def test_the_headline_is_the_worst_bound() -> None:
    found = with_gates(*(gate("linkability_rank1", value=value) for value in (0.01, 0.3, 0.2)))
    assert found.stated["risk"]["linkability"] == {"rank1": 0.3, "limit": 2, "assessed": True}
    found = with_gates(gate("linkability_rank1", value=0.9, status="cannot_assess"))
    assert found.stated["risk"]["linkability"]["assessed"] is False
    assert with_gates(gate("k_min")).stated["risk"]["linkability"] is None


@pytest.mark.parametrize("value", [None, True, [], {"a": 1}, "\x1b[31m", "<0.5"])
def test_values_of_any_kind_in_a_manifest_are_harmless(value: Any) -> None:
    found = with_gates(gate("linkability_rank1", value=value), gate("\x1b[31m", limit=value))
    shown = found.to_dict()
    assert "\x1b" not in str(shown)
    assert shown["risk"]["linkability"]["rank1"] in (None, "<0.5", "\\x1b[31m")
    odd = row("1.0.0", counts={"persons": {"a": 1}, "rows": 3}, profile="\x1b", study="\u202e")
    assert (odd.stated["persons"], odd.stated["rows"], odd.stated["profile"]) == (None, {}, "\\x1b")
    assert row("1.0.0", counts={}).stated["persons"] is None


FIRST, SECOND = row("1.0.0", A), row("2.0.0", B, ("1.0.0", A))


@pytest.mark.parametrize(
    ("of", "others", "state", "words"),
    [
        (FIRST, [], "first", ""),
        (FIRST, [SECOND], "first", ""),
        (SECOND, [FIRST], "linked", ""),
        (SECOND, [FIRST, replace(FIRST, folder="copy")], "linked", ""),
        (SECOND, [], "missing", "1.0.0, is not here"),
        (SECOND, [row("0.9.0", C)], "missing", "1.0.0, is not here"),
        (SECOND, [row("1.0.0", C)], "broken", "its manifest is another"),
        (SECOND, [FIRST, row("1.5.0", C)], "broken", "1.5.0 lies between"),
        (SECOND, [row("1.5.0", C)], "broken", "1.5.0 lies between"),
        (SECOND, [FIRST, row("2.0.0", C)], "broken", "Two different releases"),
        (row("2.0.0", B), [FIRST], "broken", "the first, but synthetic-series-1.0.0"),
        (row("2.0.0", B, ("2.0.0", B)), [FIRST], "broken", "not before it"),
        (row("2.0.0", B, ("3.0.0", C)), [row("3.0.0", C)], "broken", "not before it"),
    ],
)
def test_the_chain(of: Row, others: list[Row], state: str, words: str) -> None:
    chain = chain_of(of, [of, *others])
    assert chain.state == state
    assert words in (chain.reason or "")
    assert chain.previous == (of.previous[0] if of.previous else None)


def test_rows_of_tables_stand_side_by_side() -> None:
    rows = [row("1.0.0", counts={"rows": {"b": 20}}), row("2.0.0", counts={"rows": {"a": "<10", "b": 30}})]
    assert tables_of(rows) == [("a", [None, "<10"]), ("b", [20, 30])]


def test_who_signed_in_which_role(tmp_path: Path) -> None:
    release = tmp_path / "release"
    make_release(release)
    countersign_release(release, REVIEWER)
    both = trust_in(STEWARD, REVIEWER, steward=1, reviewer=1)
    found = read_signed(release, trust=both, today=DAY)
    assert {signer.name: signer.roles for signer in found.signers} == {
        STEWARD.name: ("steward",),
        REVIEWER.name: ("reviewer",),
    }
    assert (found.missing, found.fault, found.signatures) == ((), None, 2)
    assert read_signed(release, trust=None, today=DAY).signers == ()
    more = read_signed(release, trust=trust_in(STEWARD, steward=1, reviewer=1), today=DAY)
    assert (more.missing, more.statement is None) == (("reviewer",), False)
    unknown = read_signed(release, trust=trust_in(STRANGER), today=DAY)
    assert (unknown.statement, unknown.fault is None) == (None, False)
    people = tuple(replace(person, revoked=DAY) for person in both.people)
    assert read_signed(release, trust=replace(both, people=people), today=DAY).statement is None


def test_a_signature_that_does_not_fit_is_a_fault(tmp_path: Path) -> None:
    release, other = tmp_path / "release", tmp_path / "other"
    make_release(release)
    make_release(other, REVIEWER)
    text = (other / "manifest.dsse.json").read_text()
    # The reviewer's signature under the steward's key id.
    ids = [read["keyid"] for path in (release, other) for read in _signatures(path)]
    (other / "manifest.dsse.json").write_text(text.replace(ids[1], ids[0]))
    found = read_signed(other, trust=trust_in(STEWARD, REVIEWER), today=DAY)
    assert (found.statement, "does not fit" in str(found.fault)) == (None, True)


def _signatures(release: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((release / "manifest.dsse.json").read_text())["signatures"]
    return found


def test_what_is_no_release_is_a_fault_or_an_error(tmp_path: Path) -> None:
    assert read_signed(tmp_path, trust=None, today=DAY).fault is not None
    with pytest.raises(ReleaseFormatError):
        read_signed(tmp_path / "absent", trust=None, today=DAY)


@pytest.mark.parametrize(
    ("series", "version", "digest", "state"),
    [
        ("synthetic-series", "1.0.0", A, "withdrawn"),
        ("another", "1.0.0", A, "unknown"),
        ("synthetic-series", "2.0.0", A, "unknown"),
        ("synthetic-series", "1.0.0", B, "unknown"),
    ],
)
def test_what_nobody_has_checked_is_never_believed(series: str, version: str, digest: str, state: str) -> None:
    entry = Standing(version="1.0.0", manifest_sha256=A, state="withdrawn", reason="other", since=DAY)
    document = StatusDocument(
        study="SYNTHETIC", series="synthetic-series", version=1, issued=DAY, expires=DAY, releases=(entry,)
    )
    shown = shown_claim(document, series, version, digest)
    assert (shown.state, shown.believed) == (state, False)
