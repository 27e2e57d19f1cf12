"""What people see: tables, verdicts and progress bars in the terminal, or one JSON document for scripts.

With `--json`, stdout holds exactly one document and everything for people goes to stderr.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sensai_release.release.visible import visible

Progress = Callable[[int, int], None]
_NAME_WIDTH = 24
# What a table draws between two columns, and at its edges.
_BETWEEN, _EDGES = 3, 2


@dataclass(slots=True, kw_only=True)
class Answer:
    """The one JSON document that `--json` promises on stdout, whatever becomes of the command."""

    wanted: bool = False
    given: bool = False

    def give(self, document: Mapping[str, Any]) -> None:
        """Writes the document if one was asked for, and none was written before."""
        if self.wanted and not self.given:
            self.given = True
            text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
            sys.stdout.write(text + "\n")

    def refuse(self, code: int, line: str) -> None:
        """The document of a command that came to no result: its exit code, and the line that people get."""
        self.give({"ok": False, "exit": code, "error": line})
        sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """The global options of one run, and how it speaks."""

    root: Path
    as_json: bool = False
    quiet: bool = False
    debug: bool = False
    answer: Answer = field(default_factory=Answer)

    def document(self, document: Mapping[str, Any]) -> None:
        """The JSON document of this run, if one was asked for."""
        self.answer.give(document)

    def say(self, text: str) -> None:
        """A line of progress or advice, left out by `--quiet`."""
        if not self.quiet:
            self._console().print(visible(text), markup=False, highlight=False, soft_wrap=True)

    def verdict(self, text: str, *, ok: bool) -> None:
        """The last word; shown even with `--quiet`."""
        self._console().print(
            visible(text), markup=False, highlight=False, soft_wrap=True, style="green" if ok else "bold red"
        )

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        if self.quiet or not rows:
            return
        console = self._console()
        named = max(len(_cell(row[0])) for row in rows) <= _NAME_WIDTH
        widths = _widths(columns, rows, console.width, named=named)
        told = [index for index in range(len(columns)) if any(str(_cell(row[index])) for row in rows)]
        if widths is None and 0 < len(told) < len(columns):
            self.table(title, [columns[index] for index in told], [[row[index] for index in told] for row in rows])
            return
        if widths is None:
            # Side by side they would stand letter by letter, so each row gets lines of its own.
            console.print(title, markup=False, highlight=False, style="bold")
            for row in rows:
                for name, value in zip(columns, row, strict=True):
                    if str(cell := _cell(value)):
                        console.print(f"  {name}: ", cell, sep="", markup=False, highlight=False, soft_wrap=True)
                console.print()
            return
        from rich import box
        from rich.table import Table

        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        numeric = [all(isinstance(row[index], (int, float)) for row in rows) for index in range(len(columns))]
        for index, (name, right) in enumerate(zip(columns, numeric, strict=True)):
            justify: Literal["left", "right"] = "right" if right else "left"
            table.add_column(name, justify=justify, overflow="fold", no_wrap=named and index == 0, width=widths[index])
        for row in rows:
            table.add_row(*(_cell(value) for value in row))
        console.print(table, markup=False)

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Progress | None]:
        """A progress bar on stderr while the block runs; nothing when nobody watches."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        with Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bar:
            task = bar.add_task(label, total=None)

            def update(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            yield update

    def _console(self) -> Any:
        from rich.console import Console

        return Console(stderr=self.as_json, emoji=False)


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[object]], room: int, *, named: bool
) -> list[int | None] | None:
    """How wide each column is, so that words stay whole; all `None` when there is room, `None` when that cannot be.

    With `named`, the first column names the row: a short name cut in two is not found again.
    """
    cells = [[name, *(str(_cell(row[index])) for row in rows)] for index, name in enumerate(columns)]
    natural = [max(map(len, column)) for column in cells]
    least = [min(_NAME_WIDTH, max(len(word) for cell in column for word in [*cell.split(), ""])) for column in cells]
    if named:
        least[0] = natural[0]
    room -= _BETWEEN * (len(columns) - 1) + _EDGES
    if sum(natural) <= room:
        return [None] * len(columns)
    if sum(least) > room:
        return None
    widths = list(natural)
    while sum(widths) > room:
        # What is short stays on one line; the widest column gives way.
        widest = max(range(len(columns)), key=lambda index: (widths[index] > least[index], widths[index]))
        widths[widest] -= 1
    return list(widths)


def passed(gate: Mapping[str, Any]) -> object:
    """What the column `passed` says of an entry of a gate: cannot be assessed is not passed."""
    return "cannot be assessed" if gate["ok"] and gate.get("status") == "cannot_assess" else gate["ok"]


def _cell(value: object) -> Any:
    from rich.text import Text

    if isinstance(value, bool):
        return Text("yes" if value else "NO", style="green" if value else "bold red")
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    return Text("" if value is None else visible(str(value)))
