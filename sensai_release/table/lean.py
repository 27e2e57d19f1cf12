"""Keeps pandas out of processes that never use it.

Arrow looks for pandas when it makes its first array, and importing pandas takes longer than most commands work. A
process that calls `keep_pandas_out` first tells Arrow that there is none; nothing else changes. Not for library use:
whoever calls `open_release` may want data frames.
"""

from __future__ import annotations

import sys


class _WithoutPandas:
    """An import hook, placed before all others: there is no pandas here."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG002 - the protocol's
        if name == "pandas":
            raise ModuleNotFoundError(name)


def keep_pandas_out() -> None:
    """From now on this process cannot import pandas, unless it has already done so."""
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _WithoutPandas())
