"""README.md of a release: what it is, the terms in short, how to verify it in three ways, how to load it.

Everything in it comes from the manifest's predicate and the data dictionaries; it states no number of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensai_release.release.datasheet.pages import escaped
from sensai_release.release.dsse import openssl_recipe


def render_readme(
    name: str, title: str, predicate: Mapping[str, Any], dictionaries: Mapping[str, Mapping[str, Any]]
) -> str:
    """The whole text; `name` is the release directory's, `dictionaries` are the data dictionaries by table."""
    synthetic = (
        "> **SYNTHETIC DATA.** Made by a program to try the tool. No participant stands behind any value.\n\n"
        if predicate["synthetic"]
        else ""
    )
    as_of = f", as of {predicate['as_of']}" if predicate["as_of"] else ""
    tables = "\n".join(
        f"| `data/{table}/` | {escaped(dictionary['title'])} | "
        f"{', '.join(f'`{key}`' for key in dictionary['primary_key'])} |"
        for table, dictionary in sorted(dictionaries.items())
    )
    previous = predicate["previous"]
    before = f"It follows version {previous['version']}; `reports/diff.html` says what changed." if previous else ""
    recipe = "".join(f"    {line}\n" if line else "\n" for line in openssl_recipe().splitlines())
    waivers = "".join(
        f"- `{waiver['gate']}`, until {waiver['expires']}: `{waiver['file']}`\n"
        for waiver in predicate.get("waivers", [])
    )
    if waivers:
        waivers = (
            "## Waivers in force\n\nThis release failed a gate. A reviewer let it pass, for reasons that "
            f"`reports/waivers.html` gives:\n\n{waivers}\n"
        )
    return f"""# {name}

{synthetic}{escaped(title)}. Version {predicate["version"]} of the series {predicate["series"]}{as_of}, profile
`{predicate["profile"]}`. {before}

De-identified features, derived from recordings that never left the hospital, with clinical and questionnaire
variables. Identifiers are keyed pseudonyms. These are still personal data: they are shared under an agreement, and
`TERMS.md` governs every use. In short: only for the research that was approved, never for commerce, never to find out
who a participant is, never linked with other data about persons, never passed on.

## What is here

| Folder | Table | Key |
|---|---|---|
{tables}

`schemas/` describes every column, its source, its action and why it may be shared;
[the policy in force](reports/policy.html) tells the same for people, with what was dropped and why. `DATASHEET.md`
answers what a user should ask of a data set. `reports/` holds validation, disclosure risk, the policy and the change
since the version before. `metadata/README.md` lists what catalogues read; `CITATION.cff` says how to cite.

{waivers}## Verify it

The signer's public key (`steward.pub`) and the trust file come from the data steward by another way than this
directory: a key that travels with the data proves nothing.

1. With the tool: `sensai-release verify . --trust trust.json`
2. With Python alone: `python3 verify.py --trust trust.json`, or open `verify.html` in a browser, offline.
3. With standard tools, in this directory:

{recipe}
## Load it

    import sensai_release as sr
    release = sr.open_release("{name}", trust="trust.json")
    folds = release.table("folds").to_pandas()

or any Parquet reader: `pandas.read_parquet("data/sessions")`, `arrow::open_dataset("data/sessions")` in R. Split by
person: the table `folds` keeps all sessions of a person together, and random splits make a model look good that is not.
"""
