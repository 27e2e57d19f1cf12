"""How the tables of a study lead to its persons."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """How tables lead to persons: the tables of persons and of sessions, and the names of their keys."""

    persons: str = "participants"
    person_key: str = "participant_id"
    sessions: str = "sessions"
    session_key: str = "session_id"
