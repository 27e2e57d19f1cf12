"""Who may be in a release: the consent ledger read as a set of persons.

Works on raw identifiers, inside the hospital, and gives back row masks and masked counts only. It does not decide
what is released of a person; `privacy.policy` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.privacy.masking import masked


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRule:
    """How a consent table says yes: `grant_column` equals `grant_value` and `withdrawn_column` is empty."""

    person: str
    grant_column: str
    grant_value: str
    withdrawn_column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """The persons who may be released, and how many may not, by reason (counts of persons)."""

    persons: pa.Array
    no_record: int
    refused: int
    withdrawn: int

    def counts(self, minimum: int) -> dict[str, int | str]:
        """The excluded persons by reason, each count below `minimum` masked."""
        return {name: masked(getattr(self, name), minimum) for name in ("no_record", "refused", "withdrawn")}


def included_persons(persons: pa.ChunkedArray, ledger: pa.Table, rule: ConsentRule) -> Inclusion:
    """The persons with a consent record that grants sharing and was never withdrawn.

    `persons` are the study's persons (n), `ledger` the consent table. A person with several records is included only
    when every one of them grants and none is withdrawn: a later form never silently revives an earlier refusal. Any
    entry in the withdrawal column excludes, whatever its date, so that no clock decides.
    """
    everyone = pc.unique(persons)
    grant = pc.fill_null(pc.equal(ledger[rule.grant_column], rule.grant_value), False)
    withdrawn = pc.is_valid(ledger[rule.withdrawn_column])
    holders = ledger[rule.person]
    has_record = pc.is_in(everyone, value_set=pc.unique(holders))
    has_refusal = pc.is_in(everyone, value_set=pc.unique(holders.filter(pc.invert(grant))))
    has_withdrawal = pc.is_in(everyone, value_set=pc.unique(holders.filter(withdrawn)))
    included = pc.and_(has_record, pc.and_not(pc.invert(has_refusal), has_withdrawal))
    return Inclusion(
        persons=everyone.filter(included),
        no_record=_count(pc.invert(has_record)),
        refused=_count(pc.and_not(has_refusal, has_withdrawal)),
        withdrawn=_count(has_withdrawal),
    )


def exclusion_reasons(persons: pa.Array, ledger: pa.Table, rule: ConsentRule) -> pa.Array:
    """Why each of n persons is not released: `no_record`, `withdrawn` or `refused`; null where the ledger lets them be.

    Who refused and withdrew has withdrawn, as in `Inclusion`.
    """
    holders = ledger[rule.person]
    refusal = pc.invert(pc.fill_null(pc.equal(ledger[rule.grant_column], rule.grant_value), False))
    withdrawal = pc.is_valid(ledger[rule.withdrawn_column])
    return pc.case_when(
        pc.make_struct(
            pc.invert(pc.is_in(persons, value_set=pc.unique(holders))),
            pc.is_in(persons, value_set=pc.unique(holders.filter(withdrawal))),
            pc.is_in(persons, value_set=pc.unique(holders.filter(refusal))),
        ),
        "no_record",
        "withdrawn",
        "refused",
    )


def _count(mask: pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)
