"""What README.md, the guides and the decision records say must be what the program does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from sensai_release.cli import app as application
from sensai_release.release.dsse import openssl_recipe
from sensai_release.release.verify import STEP_NAMES

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
RECORDS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
DOCUMENTS = sorted([README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
GUIDES = ("guide-steward.md", "guide-reviewer.md", "guide-researcher.md")

SET_UP = "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt "
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_INVOCATION = re.compile(r"(?:^|(?<=[\s(/]))sensai-release +(.*)")


def command_tree() -> Any:
    return typer.main.get_command(application.app)


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def code_of(text: str) -> Iterator[str]:
    """Every line of code: fenced, indented by four, or between backticks."""
    for block in _FENCE.findall(text):
        yield from block.splitlines()[1:-1]
    prose = _FENCE.sub("", text)
    yield from (line.strip() for line in prose.splitlines() if line.startswith("    "))
    yield from _INLINE.findall(prose)


def invocations(text: str) -> list[list[str]]:
    """The arguments of each `sensai-release …` in the code of a document, up to the end of that command."""
    found = []
    for line in code_of(text):
        for match in _INVOCATION.finditer(line):
            words = shlex.split(match[1], comments=True)
            end = next((i for i, word in enumerate(words) if word in ("&&", "||", "|", ";", ">")), len(words))
            found.append(words[:end])
    return found


def fault_of(words: list[str]) -> str | None:
    """Why the program would not understand a command line that a document shows, or None."""
    command = command_tree()
    options = options_of(command)
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            name = word.partition("=")[0]
            if name in application.GLOBAL_FLAGS:
                continue
            if name not in options:
                return f"has no option {name}"
            if not options[name] and "=" not in word and rest:
                rest.pop(0)
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"has no command {word}"
            command = command.commands[word]
            options = options_of(command)
    return None


def options_of(command: Any) -> dict[str, bool]:
    """The options of a command, and whether each is a flag."""
    named = {
        name: bool(getattr(parameter, "is_flag", False))
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("-")
    }
    return named | {"--help": True}


def visible_commands(command: Any, prefix: str = "") -> set[str]:
    found = set()
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            found |= visible_commands(child, f"{prefix}{name} ")
        elif not child.hidden:
            found.add(prefix + name)
    return found


def heading_anchors(text: str) -> set[str]:
    """The anchors that a forge gives to headings: lower case, without punctuation, spaces as hyphens."""
    headings = re.findall(r"^#{1,6} +(.*)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- the two lines of the set-up -------------------------------------------------------------------------------------


def test_readme_has_exactly_the_two_set_up_lines() -> None:
    lines = [line for line in README.read_text(encoding="utf-8").splitlines() if "python3 -m venv" in line]
    assert lines == [
        f"    {SET_UP}. && .venv/bin/sensai-release demo sensai-release-demo",
        f"    {SET_UP}-e '.[test]' && .venv/bin/pytest",
    ]


def test_ci_finds_exactly_one_test_line() -> None:
    pattern = re.compile(r"^    (python3 -m venv .*pytest.*)$", re.MULTILINE)
    assert len(pattern.findall(README.read_text(encoding="utf-8"))) == 1
    assert r"s/^    \(python3 -m venv .*pytest.*\)$/\1/p" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


# --- commands and options --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_shown_exists(document: Path) -> None:
    faults = {" ".join(words): fault_of(words) for words in invocations(document.read_text(encoding="utf-8"))}
    assert {words: fault for words, fault in faults.items() if fault} == {}


@pytest.mark.parametrize("document", [README, *(ROOT / "docs" / name for name in GUIDES)], ids=name_of)
def test_the_documents_for_users_show_commands(document: Path) -> None:
    assert len(invocations(document.read_text(encoding="utf-8"))) >= 3


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("verify PATH --trust FILE", None),
        ("-C my-study --json validate --table face", None),
        ("trust add TRUST PUB", None),
        ("keygen PATH --role=root", None),
        ("verify PATH --json", None),
        ("publish 1.0.0", "has no command publish"),
        ("trust remove TRUST", "has no command remove"),
        ("verify PATH --trusted FILE", "has no option --trusted"),
        ("build --table face", "has no option --table"),
        ("--verbose build", "has no option --verbose"),
    ],
)
def test_a_wrong_command_line_would_be_noticed(line: str, fault: str | None) -> None:
    assert fault_of(line.split()) == fault


def test_code_is_found_in_all_its_forms() -> None:
    text = "`sensai-release a`\n\n    .venv/bin/sensai-release b && x\n\n```sh\nsensai-release c 'd e'  # f\n```\n"
    assert sorted(invocations(text)) == [["a"], ["b"], ["c", "d e"]]


def test_the_readme_lists_every_command() -> None:
    table = re.findall(r"^\| `sensai-release ([a-z -]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(table) == len(set(table))
    assert set(table) == visible_commands(command_tree())


def test_the_readme_lists_every_exit_code() -> None:
    codes = re.findall(r"^\| (\d+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    constants = {value for name, value in vars(application).items() if name.startswith("EXIT_")}
    assert {int(code) for code in codes} == constants


def test_the_readme_shows_the_stages_in_their_order() -> None:
    from sensai_release.pipeline.versioning import STAGES

    shown = re.findall(r"^ +│ +([a-z]+) {2,}\S", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert shown == [*STAGES, "release", "approve"]


def test_the_researchers_recipe_is_the_one_that_a_release_carries() -> None:
    guide = (ROOT / "docs" / "guide-researcher.md").read_text(encoding="utf-8")
    assert f"```sh\n{openssl_recipe()}```" in guide


def test_the_researchers_guide_counts_the_steps_of_verify() -> None:
    words = {8: "Eight", 9: "Nine", 10: "Ten", 11: "Eleven", 12: "Twelve"}
    guide = (ROOT / "docs" / "guide-researcher.md").read_text(encoding="utf-8")
    assert f"{words[len(STEP_NAMES)]} steps, and one of these verdicts" in guide


# --- links, records, words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_resolves(document: Path) -> None:
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    broken = []
    for link in _LINK.findall(text):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (document.parent / path).resolve() if path else document
        known = target.exists() and (not anchor or anchor in heading_anchors(target.read_text(encoding="utf-8")))
        if not known or not target.is_relative_to(ROOT):
            broken.append(link)
    assert broken == []


def test_roles_and_words_are_linked_from_the_readme() -> None:
    links = set(_LINK.findall(README.read_text(encoding="utf-8")))
    assert {f"docs/{name}" for name in GUIDES} | {"docs/glossary.md", "docs/adr/README.md"} <= links


def test_every_decision_record_is_in_the_index_under_its_title() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+?) \|$", index, re.MULTILINE)
    titles = [
        (record.name[:4], record.name, record.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")[6:])
        for record in RECORDS
    ]
    assert rows == titles
    assert [row[0] for row in rows] == [f"{number:04}" for number in range(1, len(RECORDS) + 1)]


@pytest.mark.parametrize("record", RECORDS, ids=name_of)
def test_a_decision_record_has_its_sections(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert text.startswith(f"# {record.name[:4]}. ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert re.search(r"^Status: (accepted|superseded by \[\d{4}\]\(.+\))$", text, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_document_promises_that_nobody_can_be_recognised(document: Path) -> None:
    assert not re.search(r"\banonymous|\banonymi[sz]", document.read_text(encoding="utf-8"), re.IGNORECASE)


def test_the_readme_and_the_guides_say_that_the_data_remain_personal() -> None:
    for document in (README, ROOT / "docs" / "guide-steward.md", ROOT / "docs" / "guide-researcher.md"):
        assert "personal data" in document.read_text(encoding="utf-8"), name_of(document)
