"""What a schema says of one column, and the words that it says it with.

`table.schema` reads it from YAML; the catalogue of known columns speaks with the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sensai_release.errors import ConfigurationError

Dtype = Literal["string", "category", "integer", "number", "boolean", "date", "datetime"]
Role = Literal["direct_identifier", "quasi_identifier", "sensitive", "insensitive"]
IdentifiabilityClass = Literal["X", "A", "B", "C", "clinical", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """One transformation of one column: its name, the name of the column it makes, its parameters."""

    do: str
    output: str | None = None
    missing: Literal["keep", "refuse"] = "keep"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """A short, stable text for data dictionaries and reports, for example `bin(edges=[0, 5])`."""
        inside = ", ".join(f"{key}={self.parameters[key]}" for key in sorted(self.parameters))
        return f"{self.do}({inside})" if inside else self.do


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """What identifiers of one kind look like: `pattern` must match the whole canonical form (NFKC, trimmed, upper)."""

    kind: str
    prefix: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSpec:
    """Everything declared about one column, or about all columns whose name a pattern matches in full.

    `actions` maps `default`, a released table, or `<released table>@<profile>` to the actions taken there; several
    actions make several released columns. `step` means that values are whole multiples of it above `minimum`.
    Range and unit are those in force: `from_catalogue` names those of `unit`, `minimum`, `maximum` and `step` that the
    schema leaves to the file `catalogue` of the catalogue of known columns.
    """

    dtype: Dtype
    description: str
    role: Role
    idclass: IdentifiabilityClass
    actions: Mapping[str, tuple[ActionSpec, ...]]
    justification: str
    name: str | None = None
    pattern: str | None = None
    expression: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    categories: tuple[str, ...] = ()
    nullable: bool = False
    required: bool = True
    identifier: Identifier | None = None
    tier: Literal[1, 2] | None = None
    synthetic: Mapping[str, Any] = field(default_factory=dict)
    catalogue: str | None = None
    from_catalogue: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name or the pattern, for messages."""
        return self.name or self.pattern or "?"

    @property
    def range_text(self) -> str:
        """The range in force with its unit, for messages, for example `0 to 10 NRS`."""
        return range_text(self.minimum, self.maximum, self.step, self.unit)

    @property
    def is_derived(self) -> bool:
        return self.expression is not None

    def matches(self, column: str) -> bool:
        if self.is_derived:
            return False
        return column == self.name if self.name is not None else bool(re.fullmatch(self.pattern or "", column))

    def actions_for(self, released_table: str, profile: str) -> tuple[ActionSpec, ...] | None:
        """The most specific actions declared for a released table under a profile; `None` means: refuse."""
        for key in (f"{released_table}@{profile}", released_table, "default"):
            if key in self.actions:
                return self.actions[key]
        return None


def range_text(minimum: float | None, maximum: float | None, step: float | None, unit: str | None) -> str:
    """A range in words: `0 to 5 FACS intensity`, `at least 0 s`, `0 to 100 percent in steps of 10`, `any number`."""
    low, high = (None if bound is None else f"{bound:g}" for bound in (minimum, maximum))
    if low is not None and high is not None:
        text = f"{low} to {high}"
    elif low is not None or high is not None:
        text = f"at least {low}" if low is not None else f"at most {high}"
    else:
        text = "any number"
    text += f" {unit}" if unit is not None else " (no unit)"
    return text if step is None else f"{text} in steps of {step:g}"


def parse_column(entry: Mapping[str, Any], place: str) -> ColumnSpec:
    """One checked entry of a schema as it stands there.

    Raises `ConfigurationError` for a broken pattern and for an identifier that would not be read as text.
    """
    if "pattern" in entry:
        try:
            re.compile(entry["pattern"])
        except re.error:
            raise ConfigurationError(f"{place}.pattern", "is not a regular expression", "Mend the pattern.") from None
    derive = entry.get("derive")
    identifier = entry.get("identifier")
    if identifier and entry["dtype"] not in ("string", "category"):
        cause = "declares an identifier that is no text: a number loses its leading zeros"
        raise ConfigurationError(f"{place}.dtype", cause, "Declare it a string.")
    return ColumnSpec(
        name=derive["name"] if derive else entry.get("name"),
        pattern=entry.get("pattern"),
        expression=derive["expression"] if derive else None,
        dtype=entry["dtype"],
        unit=entry.get("unit"),
        minimum=entry.get("minimum"),
        maximum=entry.get("maximum"),
        step=entry.get("step"),
        categories=tuple(entry.get("categories", ())),
        nullable=entry.get("nullable", False),
        required=entry.get("required", "pattern" not in entry),
        identifier=Identifier(**identifier) if identifier else None,
        description=entry["description"],
        role=entry["role"],
        tier=entry.get("tier"),
        idclass=entry["class"],
        actions=_actions(entry["action"]),
        justification=entry["justification"],
        synthetic=entry.get("synthetic", {}),
    )


def _actions(entry: Any) -> dict[str, tuple[ActionSpec, ...]]:
    if isinstance(entry, (str, list)) or "do" in entry:
        return {"default": _action_list(entry)}
    return {key: _action_list(value) for key, value in entry.items()}


def _action_list(entry: Any) -> tuple[ActionSpec, ...]:
    if isinstance(entry, list):
        return tuple(spec for item in entry for spec in _action_list(item))
    if isinstance(entry, str):
        return (ActionSpec(do=entry),)
    parameters = {key: value for key, value in entry.items() if key not in ("do", "as", "missing")}
    return (
        ActionSpec(do=entry["do"], output=entry.get("as"), missing=entry.get("missing", "keep"), parameters=parameters),
    )
