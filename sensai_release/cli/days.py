"""Days as people type them after an option."""

from __future__ import annotations

from datetime import date

from sensai_release.errors import ConfigurationError


def day(text: str, option: str) -> date:
    """Raises `ConfigurationError`, naming the option, for anything but a date of the calendar."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(option, "is no date", "Write it as YYYY-MM-DD.") from None


def day_or_none(text: str | None, option: str) -> date | None:
    return None if text is None else day(text, option)
