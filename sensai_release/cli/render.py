"""What people see: tables, verdicts and progress bars in the terminal, or one JSON document for scripts.

With `--json`, stdout holds exactly one document and everything for people goes to stderr.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Progress = Callable[[int, int], None]
_NAME_WIDTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """The global options of one run, and how it speaks."""

    root: Path
    as_json: bool = False
    quiet: bool = False
    debug: bool = False

    def document(self, document: Mapping[str, Any]) -> None:
        """The JSON document of this run, if one was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")

    def say(self, text: str) -> None:
        """A line of progress or advice, left out by `--quiet`."""
        if not self.quiet:
            self._console().print(text, markup=False, highlight=False, soft_wrap=True)

    def verdict(self, text: str, *, ok: bool) -> None:
        """The last word; shown even with `--quiet`."""
        self._console().print(text, markup=False, highlight=False, soft_wrap=True, style="green" if ok else "bold red")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        if self.quiet or not rows:
            return
        from rich import box
        from rich.table import Table

        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        numeric = [all(isinstance(row[index], (int, float)) for row in rows) for index in range(len(columns))]
        # The first column names the row: a short name cut in two is not found again.
        named = max(len(_cell(row[0])) for row in rows) <= _NAME_WIDTH
        for index, (name, right) in enumerate(zip(columns, numeric, strict=True)):
            justify: Literal["left", "right"] = "right" if right else "left"
            table.add_column(name, justify=justify, overflow="fold", no_wrap=named and index == 0)
        for row in rows:
            table.add_row(*(_cell(value) for value in row))
        self._console().print(table, markup=False)

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


def passed(gate: Mapping[str, Any]) -> object:
    """What the column `passed` says of an entry of a gate: cannot be assessed is not passed."""
    return "cannot be assessed" if gate["ok"] and gate.get("status") == "cannot_assess" else gate["ok"]


def _cell(value: object) -> Any:
    from rich.text import Text

    if isinstance(value, bool):
        return Text("yes" if value else "NO", style="green" if value else "bold red")
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    return Text("" if value is None else str(value))
