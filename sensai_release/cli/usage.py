"""What a usage error says: one line, and nothing of what was typed that could be a value or a path.

Which errors there are is Typer's business; its words quote the command line, and are several lines long.
"""

from __future__ import annotations

import re
from typing import Any

import typer

_ERRORS: Any = typer._click.exceptions  # noqa: SLF001 - Typer carries Click inside itself
_OPTION = re.compile(r"--?[a-z][a-z-]{0,30}", re.IGNORECASE)
_COMMAND = re.compile(r"No such command '([a-z][a-z-]{0,30})'\.")

# How Typer's sentences end; what stands before is what was typed.
_REASONS = {
    "unable to parse string as an integer": "is no whole number",
    "is not readable": "cannot be read",
    "is not writable": "cannot be written",
}


def one_line(error: Any) -> str | None:
    """Place, cause and next step of an error of Typer's; `None` when it is the help of a group named alone."""
    if isinstance(error, _ERRORS.NoArgsIsHelpError):
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "sensai-release"
    place, cause = _told(error)
    return f"{place}: {cause}. '{path} --help' says what there is."


def _told(error: Any) -> tuple[str, str]:
    if isinstance(error, _ERRORS.NoSuchOption):
        near = f"; near it: {', '.join(sorted(error.possibilities))}" if error.possibilities else ""
        if _OPTION.fullmatch(error.option_name):
            return error.option_name, f"is no option here{near}"
        return "the command line", "has an option that is none here"
    if isinstance(error, _ERRORS.MissingParameter):
        return _hint(error), f"is missing{_choices(error.format_message())}"
    if isinstance(error, _ERRORS.BadParameter):
        return _hint(error), _reason(error.message)
    if isinstance(error, _ERRORS.BadOptionUsage):
        return error.option_name, "needs a value" if "requires an argument" in error.message else "takes no value"
    message = error.format_message()
    if command := _COMMAND.match(message):
        return command[1], "is no command here"
    if message.startswith("No such command"):
        return "the command line", "names no command that is here"
    if message.startswith("Missing command"):
        return "the command line", "names no command"
    if "unexpected extra argument" in message:
        return "the command line", "has more words than the command takes"
    return "the command line", "is not of the form that the command takes"


def _hint(error: Any) -> str:
    parameter = error.param
    if parameter is None:
        return "the command line"
    options = [name for name in parameter.opts if name.startswith("-")]
    return str(options[0] if options else parameter.metavar or parameter.name.upper()).strip("[]")


def _reason(message: str) -> str:
    # The value stands first, and could hold these words too.
    _, found, choices = message.rpartition(" is not one of ")
    if found:
        return f"is not one of {choices.strip().rstrip('.')}"
    if "greater than or equal to" in message or "less than or equal to" in message:
        return f"must be {message.rpartition('should be ')[2].strip().rstrip('.')}"
    for words, said in _REASONS.items():
        if message.rstrip(".").endswith(words):
            return said
    return "is not of the form that it must have"


def _choices(message: str) -> str:
    _, found, choices = message.partition("Choose from:")
    return f": one of {' '.join(choices.split())}".rstrip(".") if found else ""
