"""Why a person is not released, by the ledger."""

from __future__ import annotations

import pyarrow as pa

from sensai_release.governance.consent import ConsentRule, exclusion_reasons, included_persons

RULE = ConsentRule(person="person", grant_column="share", grant_value="yes", withdrawn_column="withdrawn")
LEDGER = pa.table(
    {
        "person": ["a", "b", "c", "d", "d", "e"],
        "share": ["yes", "no", "yes", "yes", None, "no"],
        "withdrawn": [None, None, "2026-01-01", None, None, "2026-01-01"],
    }
)


def test_every_person_has_one_reason_or_none() -> None:
    persons = pa.array(["a", "b", "c", "d", "e", "f"])
    found = exclusion_reasons(persons, LEDGER, RULE).to_pylist()
    assert found == [None, "refused", "withdrawn", "refused", "withdrawn", "no_record"]
    # The counts that the same ledger gives elsewhere.
    held = included_persons(pa.chunked_array([persons]), LEDGER, RULE)
    assert held.persons.to_pylist() == ["a"]
    assert (held.no_record, held.refused, held.withdrawn) == tuple(
        map(found.count, ("no_record", "refused", "withdrawn"))
    )


def test_nobody_and_an_empty_ledger() -> None:
    assert exclusion_reasons(pa.array([], pa.string()), LEDGER, RULE).to_pylist() == []
    assert exclusion_reasons(pa.array(["a"]), LEDGER.slice(0, 0), RULE).to_pylist() == ["no_record"]
