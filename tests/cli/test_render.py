"""Tables on narrow terminals: words stay whole, whatever it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensai_release.cli.render import Screen

GATES = (
    ("gate", "of", "value", "before", "limit", "passed"),
    [
        ("minimal_sample_uniques", None, 0, 0, 0, True),
        ("linkability_rank1", None, 0.35, 0.3, 0.09, "cannot be assessed"),
    ],
)


def shown(
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    gates: tuple[object, object] = GATES,
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    Screen(root=Path()).table("Gates", *gates)  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [30, 40, 50, 60, 70, 80, 120])
def test_words_stay_whole(columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(shown(columns, monkeypatch, capsys)).replace(":", "").split()
    for word in ("gate", "value", "before", "limit", "passed", "minimal_sample_uniques", "cannot", "assessed", "0.35"):
        assert word in words


@pytest.mark.parametrize("columns", [50, 60, 70, 80])
def test_a_table_is_no_wider_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(columns, monkeypatch, capsys)
    assert max(map(len, lines)) <= columns
    assert len(lines) > 4


def test_where_columns_do_not_fit_each_row_has_lines_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(30, monkeypatch, capsys)[:6] == [
        "Gates", "  gate: minimal_sample_uniques", "  value: 0", "  before: 0", "  limit: 0", "  passed: yes",
    ]  # fmt: skip


def test_columns_without_content_give_way_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "of" in " ".join(shown(80, monkeypatch, capsys)).split()
    narrow = shown(62, monkeypatch, capsys)
    assert "of" not in " ".join(narrow).split()
    assert any("minimal_sample_uniques" in line and "yes" in line for line in narrow)
