"""Every exception of the package, on one page.

An exception means that the job could not be done; bad data is a *result* (`table.findings`), never an
exception. Each error is one line that names the place, the cause and the next step, and never holds a
cell value, a raw identifier, a key or the path of a source folder. Exit codes are decided in `cli` alone.
"""

from __future__ import annotations


class SensaiReleaseError(Exception):
    """The job could not be done (exit code 2).

    `place` is a name the reader can act on (a declared file name, a path inside a document, an option);
    `cause` says what was found and what was expected; `cure` says what to do next.
    """

    def __init__(self, place: str, cause: str, cure: str) -> None:
        super().__init__(f"{place}: {cause.rstrip('.')}. {cure}")
        self.place = place
        self.cause = cause
        self.cure = cure


class ConfigurationError(SensaiReleaseError):
    """params.yaml, dvc.yaml, a schema, a hierarchy or a datasheet answer is missing or wrong."""


class InputError(SensaiReleaseError):
    """An input cannot be read at all: absent, not a regular file, hostile, or changed while it was read."""


class KeyFileError(SensaiReleaseError):
    """A key file is missing, readable by others, short, malformed, or made for another role."""


class IdentifierError(SensaiReleaseError):
    """An identifier breaks its pattern, or two raw identifiers would merge into one person."""


class OutputExistsError(SensaiReleaseError):
    """The output is already there; nothing is ever overwritten silently."""


class ReleaseFormatError(SensaiReleaseError):
    """A path that should be a release directory is not one, or one of its documents is malformed."""


class TrustError(SensaiReleaseError):
    """The trust file, or a public key to be registered in it, is malformed or unsafe."""


class ToolError(SensaiReleaseError):
    """git or DVC could not do what was asked of it."""


class GateError(SensaiReleaseError):
    """A release was asked for that a gate has refused (exit code 1: the verdict is no)."""


class VerificationError(SensaiReleaseError):
    """A release did not verify (exit code 1: the verdict is no)."""
