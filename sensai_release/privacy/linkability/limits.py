"""How much linkability a release may have. Kept apart from the audit, so that reading params.yaml loads no attacker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds for rank-1 and for |AUC - 0.5|."""

    rank1: float = 0.09
    auc: float = 0.20
