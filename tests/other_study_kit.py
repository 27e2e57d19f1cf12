"""A study that has nothing to do with the one of the template: other tables, keys, words and profile. All synthetic."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sensai_release.release.datasheet.answers import questions
from sensai_release.release.datasheet.contradictions import claims

PERSONS, SECONDS = 24, 20
RECORDED = "the protocol"
PARAMS: dict[str, Any] = {
    "study": {"id": "GAIT-AT-HOME", "title": "Walking at home", "institution": "Institute of Movement"},
    "series": "gait-home",
    "source": "data/export",
    "profile": "open_windows",
    "profiles": {"open_windows": {"description": "Windows for universities.", "k": 3, "max_suppressed": 0.1,
                                  "linkability": {"rank1": 1, "auc": 0.5}}},
    "persons": {"table": "patients", "key": "subject"},
    "sessions": {"table": "visits", "key": "visit", "person": "subject"},
    "consent": {"table": "permissions", "person": "subject", "grant": {"column": "sharing", "equals": "granted"},
                "withdrawn": "revoked_on"},
    "folds": {"count": 3},
    "utility": {"targets": ["ratings.motor_score"]},
    "masking": {"minimum": 10},
    "datasheet": {"recipients": "outside", "open": {}},
    "catalogue": {},
}  # fmt: skip


def column(name: str, dtype: str, role: str, idclass: str, action: Any, **more: Any) -> dict[str, Any]:
    entry = {"name": name, "dtype": dtype, "description": name, "role": role, "class": idclass, "action": action}
    return entry | {"justification": "Synthetic."} | more


def key(name: str, kind: str, prefix: str, pattern: str, **more: Any) -> dict[str, Any]:
    identifier = {"kind": kind, "prefix": prefix, "pattern": pattern}
    return column(name, "string", "direct_identifier", "X", "pseudonymise", identifier=identifier, **more)


SUBJECT = key("subject", "subject", "Q", "[A-Z]{2}-[0-9]{3}")
VISIT = key("visit", "visit", "V", "[A-Z]{2}-[0-9]{3}-[0-9]")
OF_SUBJECT = [{"column": "subject", "references": "patients.subject"}]
OF_VISIT = [{"column": "visit", "references": "visits.visit"}]


def table(name: str, primary: Sequence[str], columns: Sequence[Any], **more: Any) -> dict[str, Any]:
    plain = {"source": {"file": f"{name}.csv", "reader": "delimited", "row": name}}
    release = {"release": {name: {"profiles": ["open_windows"]}}}
    head = {"table": name, "title": name.capitalize(), "description": name, "primary_key": list(primary)}
    document = head | plain | release | more | {"columns": list(columns)}
    return {entry: value for entry, value in document.items() if value is not None}


def window(*statistics: str) -> dict[str, Any]:
    return {"wrist_windows": {"do": "window", "statistics": list(statistics), "digits": 3}}


SCHEMAS = (
    table("patients", ["subject"], [
        SUBJECT,
        column("arm", "category", "sensitive", "clinical", "keep", categories=["tablet", "pump"]),
        column("gender", "category", "quasi_identifier", "clinical", {"do": "generalise", "hierarchy": "gender"},
               tier=1, categories=["woman", "man"]),
    ]),
    table("visits", ["visit"], [
        VISIT,
        SUBJECT,
        column("started", "datetime", "quasi_identifier", "X",
               {"do": "ordinal", "within": "subject", "as": "visit_number"}, tier=2),
    ], foreign_keys=OF_SUBJECT, rules=[{"rule": "after", "column": "started", "after": "permissions.signed_on"}]),
    table("ratings", ["visit"], [
        VISIT,
        column("motor_score", "integer", "sensitive", "clinical", "keep", minimum=0, maximum=130, nullable=True),
    ], foreign_keys=OF_VISIT),
    table("wrist", ["visit", "second"], [
        VISIT | {"required": False},
        column("second", "number", "insensitive", "C", "drop", unit="s"),
        column("worn", "integer", "insensitive", "C", "drop", minimum=0, maximum=1),
        column("sway", "number", "insensitive", "B", window("mean", "sd"), nullable=True),
    ], foreign_keys=OF_VISIT,
        source={"file": "wrist/*.csv", "reader": "delimited", "row": "second", "recording_key": "visit"},
        release={"wrist_windows": {
            "profiles": ["open_windows"], "title": "Wrist",
            "window": {"seconds": 10, "time": "second", "valid": "worn", "minimum_valid": 0.5},
        }}),
    table("permissions", ["subject"], [
        SUBJECT,
        column("signed_on", "date", "quasi_identifier", "X", "drop"),
        column("sharing", "category", "sensitive", "clinical", "drop", categories=["granted", "refused"]),
        column("revoked_on", "date", "sensitive", "X", "drop", nullable=True),
    ], foreign_keys=OF_SUBJECT, release=None),
    table("splits", ["subject"], [SUBJECT, column("fold", "integer", "insensitive", "C", "keep", minimum=1)],
          foreign_keys=OF_SUBJECT, source=None, generated="folds"),
)  # fmt: skip
GENDER = {
    "hierarchy": "gender",
    "kind": "categories",
    "description": "Gender.",
    "levels": [{"name": "as recorded"}],
    "values": {"woman": ["woman"], "man": ["man"]},
}


def answers() -> dict[str, Any]:
    """An answer to every question, which claims all that can be asked for."""
    found: dict[str, Any] = {q.id: {"kind": "recorded", "source": RECORDED, "text": "See there."} for q in questions()}
    for name, entry in claims().items():
        if entry.get("ask"):
            found[entry["question"]].setdefault("claims", {})[name] = True
    text = "It holds {persons} patients, {sessions} visits and {rows.wrist_windows} windows."
    found["C2"] = {"kind": "computed", "text": text, "query": ["tables", "sessions_per_person"]}
    for question, query in (("C5", "labels"), ("C6", "missing"), ("C8", "splits"), ("C13", "subpopulations")):
        found[question] |= {"query": [query]}
    return found


def make_study(workspace: Path) -> None:
    """Puts the study into a workspace that `init` has made: params.yaml, schemas/, datasheets/ and the source alone."""
    shutil.rmtree(workspace / "schemas")
    (workspace / "schemas" / "hierarchies").mkdir(parents=True)
    for document in SCHEMAS:
        write(workspace / "schemas" / f"{document['table']}.yaml", document)
    write(workspace / "schemas" / "hierarchies" / "gender.yaml", GENDER)
    write(workspace / "params.yaml", PARAMS)
    write(workspace / "datasheets" / "answers.yaml", {"answers": answers()})
    (workspace / "datasheets" / "terms.md").write_text("# Terms\n\nFor universities.\n", encoding="utf-8")
    make_source(workspace / "data" / "export")


def write(path: Path, document: Any) -> None:
    """JSON is YAML too."""
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def make_source(folder: Path) -> None:
    random = np.random.default_rng(7)
    (folder / "wrist").mkdir(parents=True)
    (folder / "SYNTHETIC.txt").write_text("SYNTHETIC DATA\n", encoding="utf-8")
    people = [f"SY-{number:03d}" for number in range(1, PERSONS + 1)]
    visits = [(f"{person}-{n}", person, n) for person in people for n in range(1, 2 + int(random.integers(2)))]
    csv_file(
        folder / "patients.csv",
        "subject,arm,gender",
        ((person, ("tablet", "pump")[n % 2], ("woman", "man")[n // 2 % 2]) for n, person in enumerate(people)),
    )
    csv_file(
        folder / "permissions.csv",
        "subject,signed_on,sharing,revoked_on",
        (
            (person, "2025-02-01", "refused" if n == 2 else "granted", "2025-06-01" if n == 9 else "")
            for n, person in enumerate(people)
        ),
    )
    csv_file(
        folder / "visits.csv",
        "visit,subject,started",
        ((visit, person, f"2025-03-{5 * n:02d}T10:00:00") for visit, person, n in visits),
    )
    csv_file(folder / "ratings.csv", "visit,motor_score", ((visit, int(random.integers(131))) for visit, *_ in visits))
    for visit, *_ in visits:
        csv_file(folder / "wrist" / f"{visit}.csv", "second,worn,sway", (
            (second, int(random.random() > 0.05), round(float(random.gamma(2)), 4)) for second in range(SECONDS)
        ))  # fmt: skip


def csv_file(path: Path, header: str, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)
