"""Risk across releases: what a candidate and every earlier release of its series tell together, and by what differs.

Whoever holds two releases joins them by pseudonym: levels of generalisation that each hide a person can single one out
together, and a person who comes, goes or changes alone is seen in what differs. Measured here over persons
(`privacy.persons`) and their rows; which releases there are, and whether their bytes are right, is `pipeline.series`'s.
Counts are masked in all that is reported, and where the rest of a known total is small the larger count hides too.
From ten on the steward's report prints exact counts; a release rounds them. Background: sequential release, in Fung et
al. 2010, "Privacy-preserving data publishing", ACM Computing Surveys 42(4), https://doi.org/10.1145/1749603.1749605.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensai_release.privacy.classes import Codes, class_sizes, combine, encode
from sensai_release.privacy.masking import MINIMUM, masked, masked_of
from sensai_release.privacy.persons import PersonKeys

Json = Mapping[str, Any]
Flags = npt.NDArray[np.bool_]

GATE = "series_k_min"
_HOLD = "Hold the change back until it concerns more persons, or release it together with others."


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRows:
    """A table, and the pseudonym of the person behind each of its rows (null where a row leads to nobody)."""

    table: pa.Table
    person: pa.ChunkedArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRelease:
    """What the measure needs of one release: its name, the id of its pseudonym key, its persons, some of its tables.

    `forms` says in which form a tier-1 column was released (its action and level): equal texts mean that cells of two
    releases can be compared as they are.
    """

    name: str
    key_id: str | None
    keys: PersonKeys
    forms: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, PersonRows] = field(default_factory=dict)

    @property
    def pseudonyms(self) -> pa.Array:
        """The person behind each row of the person table, whose first column is the key."""
        column: pa.Array = self.keys.table.column(0).combine_chunks()
        return column


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesReport:
    """What may be published of the risk across releases.

    `releases`: for every earlier release `release`, `joined_by` (`pseudonym` or `values`) and what was measured (see
    `assess_series`). `together`: k over all releases that can be joined. `gate`: the entry `series_k_min`, or none
    where nothing could be joined. `findings`: `code`, `severity`, `release`, `table`, `column`, `count`, `message`,
    `advice`; a finding never stops a release, because a withdrawal must be honoured.
    """

    candidate: str
    k: int
    releases: tuple[Json, ...] = ()
    together: Json | None = None
    gate: tuple[Json, ...] = ()
    findings: tuple[Json, ...] = ()

    @property
    def ok(self) -> bool:
        return all(entry["ok"] for entry in self.gate)

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "candidate": self.candidate,
            "k": self.k,
            "releases": [dict(entry) for entry in self.releases],
            "together": None if self.together is None else dict(self.together),
            "gate": [dict(entry) for entry in self.gate],
            "findings": [dict(entry) for entry in self.findings],
        }

    @classmethod
    def from_dict(cls, data: Json) -> SeriesReport:
        """The inverse of `to_dict`. `ok` is computed again, never read."""
        values = {name: data[name] for name in cls.__dataclass_fields__}
        return cls(**values | {name: tuple(values[name]) for name in ("releases", "gate", "findings")})


def finding(code: str, release: str, message: str, advice: str, **place: Any) -> dict[str, Any]:
    """A warning of this report; `place` may give `table`, `column` and a masked `count`."""
    entry: dict[str, Any] = {"code": f"series.{code}", "severity": "warning", "release": release}
    entry |= {name: place.get(name) for name in ("table", "column", "count")}
    return entry | {"message": message, "advice": advice}


def assess_series(
    candidate: SeriesRelease, earlier: Sequence[SeriesRelease], *, k: int, minimum: int = MINIMUM
) -> SeriesReport:
    """Compares the candidate with each earlier release, and with all of them that share its pseudonym key together.

    Union: a person of the candidate hides among those who agree with it on all tier-1 cells of every release that both
    are in; who is not in a release could be anyone there. The smallest such crowd is gated. `k_min_in_both` counts
    only the persons who are in both releases. Difference: those who appeared or vanished, and the smallest class
    among them. Changes: persons whose tier-1 cells or rows changed. Fewer than the larger of `k` and `minimum` persons
    who appear, vanish or change is a finding.
    """
    alarm = max(k, minimum)
    joinable = [held for held in earlier if held.key_id is not None and held.key_id == candidate.key_id]
    releases: list[Json] = []
    findings: list[Json] = []
    for held in earlier:
        if held in joinable:
            entry, found = _joined(held, candidate, k, alarm, minimum)
        else:
            entry, found = _by_values(held, candidate, alarm, minimum)
        releases.append(entry)
        findings += found
    together = _together([*joinable, candidate], k, minimum) if joinable else None
    gate: tuple[Json, ...] = ()
    if together is not None:
        worst = min([together["k_min"], *(entry["k_min"] for entry in releases if entry["joined_by"] == "pseudonym")])
        gate = ({"name": GATE, "value": worst, "limit": k, "ok": worst >= k},)
    return SeriesReport(
        candidate=candidate.name,
        k=k,
        releases=tuple(releases),
        together=together,
        gate=gate,
        findings=tuple(findings),
    )


def crowd_sizes(releases: Sequence[tuple[Codes, Flags]]) -> Codes:
    """For every person the number of persons, oneself included, who agree with it in each release that both are in.

    A release is a class id per person and a flag whether the person is in it; ids of absent persons count for nothing.
    Exact: persons are grouped by the releases they are in, and each pair of groups is compared on what both have.
    """
    count = len(releases[0][0])
    patterns = combine([present.astype(np.int64) for _, present in releases], count)
    groups = [np.flatnonzero(patterns == pattern) for pattern in np.unique(patterns)]
    crowd = np.zeros(count, dtype=np.int64)
    for own, other in itertools.product(groups, groups):
        shared = [codes for codes, present in releases if present[own[0]] and present[other[0]]]
        both = np.r_[own, other]
        ids = combine([codes[both] for codes in shared], len(both))
        sizes = np.bincount(ids[len(own) :], minlength=int(ids.max()) + 1)
        crowd[own] += sizes[ids[: len(own)]]
    return crowd


@dataclass(frozen=True, slots=True, kw_only=True)
class _Members:
    """Persons of several releases in one order: for each release where a person stands in its table, or -1."""

    places: tuple[Codes, ...]

    @classmethod
    def of(cls, releases: Sequence[SeriesRelease]) -> _Members:
        everyone = pc.unique(pa.chunked_array([held.pseudonyms for held in releases], pa.string()))
        found = (pc.fill_null(pc.index_in(everyone, value_set=held.pseudonyms), -1) for held in releases)
        return cls(places=tuple(place.to_numpy(zero_copy_only=False).astype(np.int64) for place in found))

    def classes(self, number: int, held: SeriesRelease) -> tuple[Codes, Flags]:
        """The tier-1 class of every person in one release, and whether the person is in it."""
        place = self.places[number]
        ids = combine([encode(held.keys.table[name]) for name in held.keys.tier1], held.keys.table.num_rows)
        present = place >= 0
        return (np.where(present, ids[place], 0) if len(ids) else np.zeros(len(place), dtype=np.int64)), present


def _together(releases: Sequence[SeriesRelease], k: int, minimum: int) -> dict[str, Any]:
    members = _Members.of(releases)
    classes = [members.classes(number, held) for number, held in enumerate(releases)]
    crowd = crowd_sizes(classes)[classes[-1][1]]
    return {
        "releases": [held.name for held in releases],
        "k_min": int(crowd.min()) if len(crowd) else 0,
        "below_k": masked_of(int((crowd < k).sum()), len(crowd), minimum),
    }


def _joined(
    old: SeriesRelease, new: SeriesRelease, k: int, alarm: int, minimum: int
) -> tuple[dict[str, Any], list[Json]]:
    members = _Members.of([old, new])
    before, after = members.classes(0, old), members.classes(1, new)
    both, appeared, vanished = before[1] & after[1], after[1] & ~before[1], before[1] & ~after[1]
    in_both = class_sizes(combine([before[0][both], after[0][both]], int(both.sum())))
    union = _together([old, new], k, minimum)
    entry: dict[str, Any] = {
        "release": old.name,
        "joined_by": "pseudonym",
        "k_min": union["k_min"],
        "below_k": union["below_k"],
        "k_min_in_both": _smallest(in_both, minimum),
    }
    findings: list[Json] = []
    for name, who, ids in (("appeared", appeared, after[0]), ("vanished", vanished, before[0])):
        sizes = class_sizes(combine([ids[who]], int(who.sum())))
        everyone = int((after if name == "appeared" else before)[1].sum())
        entry[name] = {"persons": masked_of(int(who.sum()), everyone, minimum), "k_min": _smallest(sizes, minimum)}
        findings += _differing(name, old.name, int(who.sum()), sizes, k, alarm, minimum)
    if union["k_min"] >= k and len(in_both) and int(in_both.min()) < k:
        findings.append(
            finding(
                "thinned",
                old.name,
                f"persons who are in both releases share what an acquaintance can know with fewer than {k} others who"
                " are in both, because some have left or come",
                "Nothing in this release can undo it: the earlier one is out. Recall it where that is possible.",
                count=masked_of(int((in_both < k).sum()), len(in_both), minimum),
            )
        )
    for kind, measured in (
        ("changed", _changed_columns(old, new, members, both)),
        ("rows_changed", _changed_rows(old, new, members, both)),
    ):
        entry[kind] = []
        for place, count in measured:
            entry[kind].append(place | {"persons": masked_of(count, int(both.sum()), minimum)})
            findings += _few_changed(kind, old.name, place, count, alarm, minimum)
    return entry, findings


def _differing(
    name: str, release: str, count: int, sizes: Codes, k: int, alarm: int, minimum: int
) -> Iterator[dict[str, Any]]:
    if 0 < count < alarm:
        yield finding(
            f"{name}_few",
            release,
            f"fewer than {alarm} persons {name} since this release: whoever holds both sees which rows are theirs",
            _HOLD if name == "appeared" else f"A withdrawal must be honoured at once. Otherwise: {_HOLD}",
            count=masked(count, minimum),
        )
    elif count and int(sizes.min()) < k:
        yield finding(
            f"{name}_k",
            release,
            f"among the persons who {name} since this release some share what an acquaintance can know with fewer"
            f" than {k} others who did",
            "Release them with more persons like them, or in a coarser form.",
            count=masked_of(int((sizes < k).sum()), count, minimum),
        )


def _changed_columns(
    old: SeriesRelease, new: SeriesRelease, members: _Members, both: Flags
) -> Iterator[tuple[dict[str, Any], int]]:
    """Persons in both releases whose cell in a tier-1 column of both is not what the change of form explains."""
    places = [place[both] for place in members.places]
    for name in (name for name in new.keys.tier1 if name in old.keys.tier1):
        codes = _codes([held.keys.table[name].take(pa.array(at)) for held, at in zip((old, new), places, strict=True)])
        before, after = codes[: len(places[0])], codes[len(places[0]) :]
        same_form = old.forms.get(name) == new.forms.get(name)
        changed = before != after if same_form else _unexplained(before, after)
        yield {"column": name, "same_form": same_form}, int(changed.sum())


def _codes(columns: Sequence[pa.ChunkedArray]) -> Codes:
    """One code per cell of several columns under each other; values are compared as texts."""
    texts = [chunk for column in columns for chunk in column.cast(pa.string()).chunks]
    return encode(pa.chunked_array(texts, pa.string()))


def _unexplained(before: Codes, after: Codes) -> Flags:
    """Pairs that are neither the commonest one of their old value nor of their new one: nested levels explain all."""
    pairs = combine([before, after], len(before))
    sizes = class_sizes(pairs)
    result = np.ones(len(before), dtype=bool)
    for side in (before, after):
        most = np.zeros(int(side.max(initial=0)) + 1, dtype=np.int64)
        np.maximum.at(most, side, sizes)
        result &= sizes < most[side]
    return result


def _changed_rows(
    old: SeriesRelease, new: SeriesRelease, members: _Members, both: Flags
) -> Iterator[tuple[dict[str, Any], int]]:
    """Persons in both releases whose rows of a table, in the columns of one form in both, are not the same."""
    kept = new.pseudonyms.take(pa.array(members.places[1][both]))
    for name in sorted(set(old.rows) & set(new.rows)):
        sides = [old.rows[name], new.rows[name]]
        columns = [
            column
            for column in sides[1].table.column_names
            if column in sides[0].table.column_names
            and sides[0].table.schema.field(column).type == sides[1].table.schema.field(column).type
            and old.forms.get(_label(name, column)) == new.forms.get(_label(name, column))
        ]
        persons = [pc.fill_null(pc.index_in(side.person, value_set=kept), -1) for side in sides]
        person = np.concatenate([column.to_numpy() for column in persons]).astype(np.int64)
        codes = [_codes([side.table[column] for side in sides]) for column in columns]
        ids = np.unique(combine([person + 1, *codes], len(person)), return_inverse=True)[1]
        split = sides[0].table.num_rows
        size = int(ids.max(initial=-1)) + 1
        surplus = np.bincount(ids[split:], minlength=size) - np.bincount(ids[:split], minlength=size)
        changed = len(np.unique(person[(surplus[ids] != 0) & (person >= 0)]))
        yield {"table": name}, changed


def _label(table: str, column: str) -> str:
    return f"{table}.{column}"


def _few_changed(
    kind: str, release: str, place: Json, count: int, alarm: int, minimum: int
) -> Iterator[dict[str, Any]]:
    if 0 < count < alarm:
        what = "a value that an acquaintance can know" if kind == "changed" else "rows"
        yield finding(
            f"{kind}_few",
            release,
            f"{what} changed since this release for fewer than {alarm} persons and for nobody else",
            _HOLD,
            table=place.get("table"),
            column=place.get("column"),
            count=masked(count, minimum),
        )


def _smallest(sizes: Codes, minimum: int) -> int | str | None:
    """The smallest class, masked as a count of persons; `None` without any person."""
    return masked(int(sizes.min()), minimum) if len(sizes) else None


def _by_values(old: SeriesRelease, new: SeriesRelease, alarm: int, minimum: int) -> tuple[dict[str, Any], list[Json]]:
    """Without common pseudonyms: classes over the tier-1 columns of one form, counted in both; and who stands alone in
    both releases on the same quasi-identifiers of both tiers, and so can be joined all the same.
    """
    entry: dict[str, Any] = {"release": old.name, "joined_by": "values"}
    findings: list[Json] = [
        finding(
            "not_joinable",
            old.name,
            "it was made with another pseudonym key, so it cannot be joined by pseudonym; what follows goes by values",
            "Keep one key for a series where the same persons must be followed; nothing to do otherwise.",
        )
    ]
    tier1 = _comparable(old, new, old.keys.tier1, new.keys.tier1)
    every = _comparable(old, new, old.keys.tier1 + old.keys.tier2, new.keys.tier1 + new.keys.tier2)
    before, after = _shared_classes(old, new, tier1)
    differ = np.abs(before - after)
    few = int(((differ > 0) & (differ < alarm)).sum())
    whole = _shared_classes(old, new, every)
    joined = int(((whole[0] == 1) & (whole[1] == 1)).sum()) if every else 0
    # Both totals are known: few who are not alone in the smaller release would follow from either.
    alone = masked_of(joined, min(held.keys.table.num_rows for held in (old, new)), minimum)
    if alone == joined:
        alone = masked_of(joined, max(held.keys.table.num_rows for held in (old, new)), minimum)
    entry |= {
        "columns": list(tier1),
        "classes": len(before),
        "classes_differing_by_few": few,
        "alone_in_both": alone,
    }
    if tier1 and few:
        findings.append(
            finding(
                "classes_differ_few",
                old.name,
                f"the sizes of some classes differ by fewer than {alarm} persons: their subtraction tells of those few",
                _HOLD,
            )
        )
    if joined:
        findings.append(
            finding(
                "joined_by_values",
                old.name,
                "persons stand alone in both releases with the same quasi-identifiers, so they can be joined without"
                " pseudonyms",
                "Coarsen tier 2 before data go to recipients who must not join them.",
                count=alone,
            )
        )
    return entry, findings


def _comparable(old: SeriesRelease, new: SeriesRelease, before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in after if name in before and old.forms.get(name) == new.forms.get(name))


def _shared_classes(old: SeriesRelease, new: SeriesRelease, columns: Sequence[str]) -> tuple[Codes, Codes]:
    """The size of every class over some columns, in the old and in the new release."""
    tables = [held.keys.table for held in (old, new)]
    total = tables[0].num_rows + tables[1].num_rows
    codes = [_codes([table[name] for table in tables]) for name in columns]
    ids = np.unique(combine(codes, total), return_inverse=True)[1]
    size = int(ids.max(initial=-1)) + 1
    split = tables[0].num_rows
    return np.bincount(ids[:split], minlength=size), np.bincount(ids[split:], minlength=size)
