"""Actions in words, for people who read a policy: one short clause each. Machines read `ActionSpec.describe`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sensai_release.table.schema import ActionSpec

MISSING = {"keep": "a missing cell stays missing", "refuse": "a missing cell stops the build"}
"""What the missing rule of an action means."""


def in_words(action: ActionSpec) -> str:
    """What an action does, for example `rounded to 4 significant digits`."""
    return _WORDS[action.do](action.parameters)


def _bands(parameters: Mapping[str, Any]) -> str:
    edges = parameters["edges"]
    return f"put into {len(edges) + 1} bands, cut at {_listed(edges)}"


def _coded(parameters: Mapping[str, Any]) -> str:
    parts = [
        f"what is {side} {parameters[name]} becomes {parameters[name]}"
        for name, side in (("lower", "below"), ("upper", "above"))
        if name in parameters
    ]
    return ", ".join(parts)


def _suppressed(parameters: Mapping[str, Any]) -> str:
    when = parameters["when"]
    parts = [f"fewer than {when['fewer_than']} persons share the value"] if "fewer_than" in when else []
    parts += [f"the value is {' or '.join(map(str, when['values']))}"] if "values" in when else []
    parts += [f"it is {side} {when[side]}" for side in ("below", "above") if side in when]
    return f"left out where {' or '.join(parts)}"


def _difference(parameters: Mapping[str, Any]) -> str:
    reference = parameters["reference"]
    condition = "" if reference == "first" else " with " + " and ".join(f"{k} = {v}" for k, v in reference.items())
    return f"difference from the person's own first session{condition}, {_digits(parameters)}"


def _window(parameters: Mapping[str, Any]) -> str:
    rounded = f", {_digits(parameters)}" if "digits" in parameters else ""
    return f"{_listed(parameters['statistics'])} in each window{rounded}"


def _digits(parameters: Mapping[str, Any]) -> str:
    count = parameters["digits"]
    return f"rounded to {count} significant digit{'s' if count > 1 else ''}"


def _listed(items: list[Any]) -> str:
    texts = [str(item) for item in items]
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "drop": lambda _: "dropped",
    "keep": lambda _: "kept as it is",
    "pseudonymise": lambda _: "replaced by a keyed pseudonym",
    "round": _digits,
    "bin": _bands,
    "map": lambda p: f"mapped to level {p.get('level', 1)} of the hierarchy {p['hierarchy']}",
    "generalise": lambda p: f"generalised along the hierarchy {p['hierarchy']}, as far as the risk gate demands",
    "ordinal": lambda p: f"replaced by its rank in time within each {p['within']}",
    "relative_day": lambda p: f"replaced by days since the first of each {p['within']}, in bins of {p['days']}",
    "noise": lambda p: f"Gaussian noise of standard deviation {p['sigma']:g} added, {_digits(p)}",
    "top_bottom_code": _coded,
    "suppress_local": _suppressed,
    "difference_from_reference": _difference,
    "window": _window,
}
