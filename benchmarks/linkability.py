"""The linkability audit of 200 participants with 5 sessions and 150 columns, with null, bootstrap and suggestion.

    PYTHONPATH=tests python benchmarks/linkability.py [PARTICIPANTS] [SESSIONS] [COLUMNS]

Every fifth column of thirty groups is partly constant in a person, so that the suggestion has something to search for.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from linkability_kit import column, noise, release

from sensai_release.privacy.linkability.audit import audit
from sensai_release.privacy.linkability.features import session_features
from sensai_release.privacy.linkability.suggest import suggest


def main() -> None:
    people, sessions, columns = (int(text) for text in (*sys.argv[1:], *("200", "5", "150")[len(sys.argv) - 1 :]))
    persons, values = noise(people, sessions, columns, seed=1)
    _, telling = noise(people, sessions, columns, seed=2, person=0.4)
    values[:, ::5] = telling[:, ::5]
    entries = [
        column(f"c{number:03d}", description=f"Group {number % 30}.", **{"class": "ABC"[number % 3]})
        for number in range(columns)
    ]
    tables, dictionaries = release(persons, np.round(values, 4), entries)
    start = time.perf_counter()
    features = session_features(tables, dictionaries)
    made = time.perf_counter()
    report = audit(features)
    audited = time.perf_counter()
    suggestion = suggest(features)
    end = time.perf_counter()
    print(f"features {made - start:.1f} s, audit {audited - made:.1f} s, suggestion {end - audited:.1f} s")
    print(f"{report.status}; suggestion {suggestion.status}, {len(suggestion.changes)} groups changed")
    print(f"in all {end - start:.1f} s")


if __name__ == "__main__":
    main()
