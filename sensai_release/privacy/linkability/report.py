"""What may be published of a linkability audit: rates with intervals, never a session, a person or a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkabilityReport:
    """`status` is passed, failed or cannot_assess (`reason`: no_repeated_sessions, too_few_sessions or
    no_gated_columns). `persons` are counts, masked. `chance` is the rank-1 of a guess. Each entry of `sets` has `kind`,
    `name`, `class`, `columns`, `gated`, `status`, `rank1`, `auc`, `eer`; `gate` entries hold `name`, `value` (upper
    95 % bound), `limit`, `ok` (`None` where nothing can be told), `status`. `suggestion` is the mildest change that
    would pass, `collusion` what two recipients could match.
    """

    status: str
    reason: str | None
    persons: Json
    chance: float | None
    limits: Json
    gated_classes: tuple[str, ...]
    permutations: int
    bootstraps: int
    sets: tuple[Json, ...]
    gate: tuple[Json, ...]
    left_out: tuple[str, ...] = ()
    suggestion: Json | None = None
    collusion: Json | None = None

    @property
    def ok(self) -> bool | None:
        """False when a gate is closed, `None` when one cannot tell, else True."""
        states = [entry["ok"] for entry in self.gate]
        return False if False in states else None if None in states else True

    def of(self, kind: str, name: str) -> Json:
        """The entry of one set of columns. Raises `KeyError` when it was not audited."""
        for entry in self.sets:
            if (entry["kind"], entry["name"]) == (kind, name):
                return entry
        raise KeyError(name)

    def completed(self, *, suggestion: Json | None = None, collusion: Json | None = None) -> LinkabilityReport:
        """The same report with what other parts have found."""
        return replace(self, suggestion=suggestion or self.suggestion, collusion=collusion or self.collusion)

    def to_dict(self) -> dict[str, Any]:
        return {"ok": self.ok} | {
            name: list(value) if isinstance(value := getattr(self, name), tuple) else value
            for name in self.__dataclass_fields__
        }

    @classmethod
    def from_dict(cls, data: Json) -> LinkabilityReport:
        """The inverse of `to_dict`. `ok` is computed again, never read."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value := data[name], list) else value for name in cls.__dataclass_fields__
        }
        return cls(**fields)
