"""Every code that the package gives a finding about source tables is in the public list, and in its page in docs/."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from sensai_release.table.causes import CAUSES, FAMILIES, cause

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "sensai_release"
SOURCES = sorted(
    [
        *(PACKAGE / "table").rglob("*.py"),
        PACKAGE / "pipeline" / "source.py",
        PACKAGE / "pipeline" / "validate.py",
        PACKAGE / "privacy" / "windows.py",
    ]
)
NO_CODES = re.compile(r".*\.(ya?ml|json|csv|parquet|arrow|html|py)")


def codes(path: Path) -> set[str]:
    """Texts that look like a code, where a code is told: as `code=`, beside a message, as a key or in a tuple."""
    texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    found = {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z]+\.[a-z0-9_]+", text)}
    return {text for text in found if not NO_CODES.fullmatch(text)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_code_in_use_is_listed(path: Path) -> None:
    if path.name == "causes.py":
        return
    unlisted = {code for code in codes(path) if code not in CAUSES and code.partition(".")[0] not in FAMILIES}
    assert not unlisted


def test_the_search_finds_codes() -> None:
    assert {"row.ragged", "value.type", "time.short", "source.unclaimed"} <= set().union(*map(codes, SOURCES))


def test_the_page_in_docs_lists_the_same_codes() -> None:
    text = (ROOT / "docs" / "validation-report.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_0-9.*]+)` \| (.+) \|$", text, re.MULTILINE))
    assert rows == {**CAUSES, **{f"{name}.*": title for name, title in FAMILIES.items()}}


@pytest.mark.parametrize(
    ("code", "text"),
    [("row.ragged", CAUSES["row.ragged"]), ("stowaway.wav", FAMILIES["stowaway"]), ("new.one", "new.one")],
)
def test_a_cause_in_words(code: str, text: str) -> None:
    assert cause(code) == text
