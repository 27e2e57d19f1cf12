"""README.md of a release: what it is, the terms in short, how to verify it in three ways, how to load it.

Everything in it comes from the manifest's predicate and the data dictionaries; it states no number of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensai_release.release.datasheet.pages import escaped
from sensai_release.release.dsse import openssl_recipe
from sensai_release.release.metadata.terms_of_use import Terms
from sensai_release.release.tables import splits_table

_NO_TERMS = Terms()


def render_readme(
    name: str,
    title: str,
    predicate: Mapping[str, Any],
    dictionaries: Mapping[str, Mapping[str, Any]],
    *,
    terms: Terms = _NO_TERMS,
    public: bool = False,
) -> str:
    """The whole text; `name` is the release directory's, `dictionaries` are the data dictionaries by table.

    `terms` are the data-use terms as codes, `public` says whether anybody may have the release.
    """
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
    agreement = "" if public else "They are shared under an agreement, and "
    access = "\n".join((f"{agreement}`TERMS.md` governs every use.", *terms.in_short))
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

De-identified features about people, without the recordings and records that they were derived from. Identifiers are
keyed pseudonyms. These are still personal data. {access}

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

In this directory, with both beside it:

1. With the tool: `sensai-release verify . --trust ../trust.json`
2. With Python alone: `python3 verify.py --trust ../trust.json`, or open `verify.html` in a browser, offline. Whoever
   could change this release could change these too, so that they always say yes: use a copy from elsewhere, 1 or 3.
3. With standard tools, which do not notice files that were added:

{recipe}
{_how_to_load(name, dictionaries)}"""


def _how_to_load(name: str, dictionaries: Mapping[str, Mapping[str, Any]]) -> str:
    """How to open a table that this release has, and what splits to use where it recommends some."""
    if not dictionaries:
        return ""
    splits = splits_table(dictionaries)
    first = splits or min(dictionaries)
    other = min((table for table in dictionaries if table != first), default=first)
    advice = (
        f" Split by\nperson: the table `{splits}` keeps all rows of a person together, and random splits make a model "
        "look good that is not."
        if splits
        else ""
    )
    return f"""## Load it

    import sensai_release as sr
    release = sr.open_release("{name}", trust="trust.json")
    {first} = release.table("{first}").to_pandas()

or any Parquet reader: `pandas.read_parquet("data/{other}")`, `arrow::open_dataset("data/{other}")` in R.{advice}
"""
