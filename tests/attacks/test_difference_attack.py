"""Two releases that differ by one person: what do their documents tell a reader who has no data?

The reader subtracts: cells from totals, one table from another, one release from the other. No difference may come
out as one number of persons from 1 to 9. The same reader is let loose on exact counts first, so that we know it reads.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sensai_release.pipeline.series import read_release
from sensai_release.privacy.links import Links
from sensai_release.privacy.masking import mask_counts, rounded, rounding_base
from sensai_release.privacy.persons import person_keys
from sensai_release.privacy.risk import assess
from sensai_release.privacy.series import assess_series
from sensai_release.release.comparison.diff import diff_releases
from sensai_release.release.datasheet.answers import Answer
from sensai_release.release.datasheet.facts import compute_facts
from sensai_release.release.datasheet.pages import render_html, render_markdown
from sensai_release.release.datasheet.sheet import build_datasheet
from sensai_release.release.pages import render_page
from sensai_release.release.published import published_risk
from sensai_release.release.tables import ReleasedTables
from sensai_release.table.store import write_parquet

Tables = dict[str, pa.Table]
Interval = tuple[int, int]
HUGE = 10**6


def column(name: str, dtype: str, role: str = "insensitive", **more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("unit", "minimum", "maximum", "categories", "pattern", "tier"))
    texts = {"description": name, "class": "clinical", "source": name, "action": "keep", "justification": name}
    return {"name": name, "dtype": dtype, "role": role, "nullable": True} | empty | texts | more


KEYS = {name: column(name, "string", "direct_identifier") for name in ("participant_id", "session_id")}
DICTIONARIES: dict[str, dict[str, Any]] = {
    "participants": {
        "primary_key": ["participant_id"], "person_key": "participant_id", "foreign_keys": [],
        "columns": [
            KEYS["participant_id"],
            column("group", "category", "sensitive", categories=["pain", "control"]),
            column("sex", "category", "quasi_identifier", tier=1, categories=["F", "M"]),
        ],
    },
    "sessions": {
        "primary_key": ["session_id"], "person_key": "participant_id",
        "foreign_keys": [{"column": "participant_id", "references": "participants.participant_id"}],
        "columns": [KEYS["session_id"], KEYS["participant_id"], column("day", "integer")],
    },
    "pain_scores": {
        "primary_key": ["session_id"], "person_key": None,
        "foreign_keys": [{"column": "session_id", "references": "sessions.session_id"}],
        "columns": [KEYS["session_id"], column("nrs", "integer", "sensitive", minimum=0, maximum=10)],
    },
}  # fmt: skip
for table_name, document in DICTIONARIES.items():
    document |= {"table": table_name, "title": table_name, "description": table_name}
LINKS = Links()
CONTEXT: dict[str, int | float | str] = {"sessions_table": "sessions", "k": 5}


def cohort(persons: int) -> Tables:
    """Controls have one session and no pain; two of the others have no pain once."""
    groups = ["control" if n % 5 < 2 else "pain" for n in range(persons)]
    visits = [n for n, group in enumerate(groups) for _ in range(1 if group == "control" else 1 + n % 3)]
    scores = [
        0 if groups[person] == "control" or person in (2, 3) else 3 + row % 4 for row, person in enumerate(visits)
    ]
    sessions = [f"S{row:04d}" for row in range(len(visits))]
    return {
        "participants": pa.table(
            {
                "participant_id": [f"P{n:04d}" for n in range(persons)],
                "group": groups,
                "sex": ["F" if n % 2 else "M" for n in range(persons)],
            }
        ),
        "sessions": pa.table(
            {
                "session_id": sessions,
                "participant_id": [f"P{person:04d}" for person in visits],
                "day": pa.array([0] * len(visits), pa.int64()),
            }
        ),
        "pain_scores": pa.table({"session_id": sessions, "nrs": pa.array(scores, pa.int64())}),
    }


def without(tables: Tables, person: str) -> Tables:
    people = tables["participants"].filter(pc.not_equal(tables["participants"]["participant_id"], person))
    sessions = tables["sessions"].filter(pc.not_equal(tables["sessions"]["participant_id"], person))
    scores = tables["pain_scores"]
    kept = scores.filter(pc.is_in(scores["session_id"], value_set=sessions["session_id"].combine_chunks()))
    return {"participants": people, "sessions": sessions, "pain_scores": kept}


def write(root: Path, version: str, tables: Tables) -> Path:
    for name, table in tables.items():
        (root / "data" / name).mkdir(parents=True)
        write_parquet(table, root / "data" / name / "part-00000.parquet")
        (root / "schemas").mkdir(exist_ok=True)
        (root / "schemas" / f"{name}.json").write_text(json.dumps(DICTIONARIES[name]))
    (root / "reports").mkdir()
    policy = {"pseudonym_key": {"id": "one"}, "generalisation": {}}
    (root / "reports" / "policy.json").write_text(json.dumps(policy))
    predicate = {"series": "s", "version": version, "synthetic": True}
    (root / "manifest.json").write_text(json.dumps({"predicate": predicate}))
    return root


def publish(root: Path, version: str, tables: Tables, previous: Path | None) -> dict[str, Any]:
    """The documents of a release, made by the functions that make them, as JSON; pages and texts under `texts`."""
    write(root, version, tables)
    keys = person_keys(tables, DICTIONARIES, LINKS)
    exact = assess(keys.table, keys.tier1, keys.tier2, k=5, max_suppressed=0.05, suppressed=0).to_dict()
    held = read_release(root, root / "reports" / "policy.json", "candidate", LINKS)
    earlier = [read_release(previous, previous / "reports" / "policy.json", "1.0.0", LINKS)] if previous else []
    exact["series"] = assess_series(held, earlier, k=5).to_dict()
    risk = published_risk(exact, max_suppressed=0.05)
    (root / "reports" / "risk.json").write_text(json.dumps(risk))
    released = ReleasedTables(root / "data", DICTIONARIES)
    facts = compute_facts(released, context=CONTEXT, risk=risk)
    answer = Answer(question="C2", kind="computed", template="{persons} participants, {sessions} sessions.",
                    query=("tables", "labels", "subpopulations", "sessions_per_person", "gate"))  # fmt: skip
    sheet = build_datasheet((answer,), facts, title="Synthetic", synthetic=True)
    documents: dict[str, Any] = {
        "datasheet": sheet.to_dict()["facts"],
        "risk": risk,
        "counts": {
            "persons": rounded(len(released.everyone())),
            "rows": {name: released.masked_rows(name, 10) for name in released.names},
        },
    }
    texts = [
        render_markdown(sheet),
        render_html(sheet),
        render_page("risk.html.j2", report=exact | risk, synthetic=True),
    ]
    if previous:
        documents["diff"] = diff_releases(previous, root, coarse=True).to_dict()
        texts.append(render_page("diff.html.j2", report=documents["diff"], synthetic=True))
    return documents | {"texts": texts}


PERSONS = frozenset({"persons", "missing", "unique", "below_k", "added", "removed"})
GROUPS = ("labels", "subpopulations", "sessions_per_person", "participants")


def counts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, int | str]]:
    """Every number of persons that a document prints."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from counts(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            yield from counts(item, (*path, str(place)))
    elif isinstance(value, int | str) and not isinstance(value, bool):
        of_persons = path[-1] in PERSONS or any(group in path for group in GROUPS)
        if of_persons and (isinstance(value, int) or value[:1] in "<>") and "attributes" not in path[-1]:
            yield "/".join(path), value


def known(count: int | str) -> Interval:
    """What a reader who knows the rules takes from a printed count."""
    if isinstance(count, str):
        return (int(count[1:]), HUGE) if count[0] == ">" and count[1] != "=" else _masked(count)
    return (0, 0) if count == 0 else (count, count if count % 10 else count + 9)


def _masked(count: str) -> Interval:
    return (1, 9) if count == "<10" else (10, HUGE)


def revealed(printed: Mapping[str, int | str]) -> list[tuple[str, str]]:
    """Pairs of counts whose difference the reader knows to be one number from 1 to 9."""
    found = []
    for (one, a), (other, b) in itertools.permutations(printed.items(), 2):
        (alow, ahigh), (blow, bhigh) = known(a), known(b)
        low, high = alow - bhigh, ahigh - blow
        # Zero is printed as it is, so that a count minus zero is the count itself.
        if low == high and 1 <= low <= 9:
            found.append((one, other))
    return found


def printed(*releases: Mapping[str, Any]) -> dict[str, int | str]:
    return {
        f"{number}/{name}": count
        for number, release in enumerate(releases)
        for name, count in counts({name: release[name] for name in release if name != "texts"})
    }


@pytest.mark.parametrize("persons", [24, 31, 50, 60, 61, 101])
def test_no_difference_of_two_counts_is_a_small_number(tmp_path: Path, persons: int) -> None:
    tables = cohort(persons)
    first = publish(tmp_path / "1", "1.0.0", tables, None)
    second = publish(tmp_path / "2", "2.0.0", without(tables, "P0002"), tmp_path / "1")
    everything = printed(first, second)
    assert len(everything) > 40
    assert revealed(everything) == []
    for name, count in everything.items():
        assert isinstance(count, str) or count % 10 == 0, name


def test_the_reader_finds_exact_counts_out() -> None:
    """Exact counts above nine, each rightly printed alone: 25 without pain less 23 controls are two of the others."""
    assert revealed({"nrs 0": 25, "controls": 23}) == [("nrs 0", "controls")]
    assert revealed({"persons before": 54, "persons after": 53}) == [("persons before", "persons after")]
    assert revealed({name: rounded(count) for name, count in {"nrs 0": 25, "controls": 23}.items()}) == []


@pytest.mark.parametrize("persons", [24, 61])
def test_pages_and_texts_hold_no_exact_count(tmp_path: Path, persons: int) -> None:
    tables = cohort(persons)
    first = publish(tmp_path / "1", "1.0.0", tables, None)
    second = publish(tmp_path / "2", "2.0.0", without(tables, "P0002"), tmp_path / "1")
    for release, number in ((first, persons), (second, persons - 1)):
        rows = {
            name: ReleasedTables(tmp_path / str(1 + (release is second)) / "data", DICTIONARIES).rows(name)
            for name in DICTIONARIES
        }
        for text in release["texts"]:
            visible = text.split("</style>")[-1]
            for exact in {number, *rows.values()}:
                if exact % 10:
                    assert f">{exact}<" not in visible
                    assert f" {exact} " not in visible.replace("|", " ")


@pytest.mark.parametrize(("before", "left"), [(n, m) for n in range(20, 45) for m in (1, 4, 9)])
def test_how_many_left_is_never_determined(before: int, left: int) -> None:
    """All that is printed of the persons of two releases, and every pair of exact numbers that fits it."""
    shown = (rounded(before), rounded(before - left))
    fitting = {
        one - two
        for one, two in itertools.product(range(before + 30), repeat=2)
        if (rounded(one), rounded(two)) == shown and 1 <= one - two <= 9
    }
    assert left in fitting
    assert len(fitting) > 1


def test_cells_of_a_partition_are_never_determined() -> None:
    """Total and cells of one partition, masked and rounded, in a small world where all can be tried."""
    minimum = 3
    for cells in itertools.product(range(7), repeat=3):
        names = dict(zip("abc", cells, strict=True))
        shown = {name: rounded(count, minimum) for name, count in mask_counts(names, minimum).items()}
        total = rounded(sum(cells), minimum)
        fits = [
            other
            for other in itertools.product(range(14), repeat=3)
            if rounded(sum(other), minimum) == total
            and all(_reads(count, shown[name], minimum) for name, count in zip("abc", other, strict=True))
        ]
        assert cells in fits
        for place, count in enumerate(cells):
            alone = sum(cells) < minimum or (max(cells) < minimum and set(cells) - {0} <= {minimum - 1})
            if 0 < count < minimum and not alone:
                assert len({other[place] for other in fits}) > 1, cells


def _reads(count: int, text: int | str, minimum: int) -> bool:
    if text == f"<{minimum}":
        return count < minimum
    if text == f">={minimum}":
        return count >= minimum
    return rounded(count, minimum) == text


@pytest.mark.parametrize(
    ("rows", "base"), [([1] * 30, 10), ([1] * 5, 10), ([3] * 30, 50), ([36] * 60, 500), ([400] + [1] * 50, 500)]
)
def test_rows_are_rounded_by_what_ten_persons_can_have(rows: list[int], base: int) -> None:
    assert rounding_base(rows) == base
