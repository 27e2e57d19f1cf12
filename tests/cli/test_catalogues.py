"""The catalogue documents of a real release before their standards' packages. Needs the extra `metadata`."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import catalogue_kit as kit
import pytest

from .conftest import Story

FILES = (
    "metadata/croissant.json",
    "metadata/datacite.json",
    "metadata/health-dcat-ap.jsonld",
    "metadata/README.md",
    "datapackage.json",
    "ro-crate-metadata.json",
    "CITATION.cff",
)


def test_a_release_holds_every_format_and_signs_it(story: Story) -> None:
    for release in story.releases:
        listed = {entry["name"] for entry in json.loads((release / "manifest.json").read_text())["subject"]}
        assert listed >= set(FILES)


def test_no_day_of_the_making_and_no_place_is_in_them(story: Story) -> None:
    today = date.today().isoformat()  # noqa: DTZ011 - the day on this machine is what must not be in them
    for release in story.releases:
        for name in FILES:
            text = (release / name).read_text(encoding="utf-8")
            assert today not in text
            assert str(story.root) not in text
            assert not re.search(r"(?<![a-z]:)//(?!\S)|/home/|/tmp/", text), name


@pytest.mark.metadata
@pytest.mark.filterwarnings("default")
def test_the_packages_find_what_the_release_says_is_missing_and_nothing_else(story: Story) -> None:
    release: Path = story.releases[1]
    missing = kit.stated(release)
    with kit.no_network():
        assert kit.data_package_problems(release) == set()
        assert kit.crate_problems(release) == set()
        assert kit.shacl_problems(release, kit.ODRL) == set()
        assert kit.shacl_problems(release, kit.HEALTHDCAT_AP) == missing.get("HealthDCAT-AP release 8", set())
        assert kit.shacl_problems(release, kit.HEALTH_RI) == missing.get("Health-RI core 2", set())
        croissant, datacite = kit.croissant_problems(release), kit.datacite_problems(release)
    # `demo` gives no day of publication.
    assert "date of publication" in missing["Croissant 1.1 with RAI 1.0"]
    assert len(croissant) == 1
    assert "datePublished" in croissant.pop()
    assert datacite == {"'publicationYear' is a required property"}
