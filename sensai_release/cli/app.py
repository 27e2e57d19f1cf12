"""The Typer application, the global options, and the one place where exit codes are decided.

0 done or passed; 1 the verdict is no; 2 the job could not be done; 101 a bug. Commands live in the modules beside
this one; each imports what it needs when it runs, so that `--help` stays instant.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sensai_release import __version__
from sensai_release.cli import approving, escrow, history, logbook, readers, stages, standing, steward, usage, waivers
from sensai_release.cli.render import Answer, Screen
from sensai_release.errors import GateError, SensaiReleaseError, VerificationError
from sensai_release.table.lean import keep_pandas_out

EXIT_OK = 0
EXIT_VERDICT = 1
EXIT_JOB = 2
EXIT_INTERRUPTED = 130
EXIT_UNHEARD = 141
EXIT_BUG = 101

GLOBAL_FLAGS = ("--json", "--quiet", "--debug")

# pandera and great-expectations work on data frames; no other command does.
_NEED_PANDAS = {"validate", "package"}

app = typer.Typer(
    name="sensai-release",
    help="Cut, audit and verify governed releases of derived features about people.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"sensai-release {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    workspace: Annotated[Path, typer.Option("-C", metavar="WORKSPACE", help="The workspace to work in.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for scripts.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only verdicts and errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a bug (it may hold values).")] = False,
    version: Annotated[  # noqa: ARG001 - the callback does the work
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Cut, audit and verify governed releases of derived features about people."""
    quiet = quiet or os.environ.get("SENSAI_RELEASE_QUIET") == "1"
    context.obj = Screen(root=workspace, as_json=as_json, quiet=quiet, debug=debug, answer=context.obj)


steward.register(app)
stages.register(app)
readers.register(app)
escrow.register(app)
waivers.register(app)
approving.register(app)
standing.register(app)
logbook.register(app)
history.register(app)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; the only place that catches everything."""
    command: Any = typer.main.get_command(app)
    arguments = _with_flags_first(arguments)
    debug = "--debug" in arguments
    stage = next((word for word in arguments if word in stages.NAMES), None)
    code = _invoke(command, arguments, debug=debug)
    if stage is not None:
        stages.note(stage, code)
    return code


def _with_flags_first(arguments: Sequence[str]) -> list[str]:
    """`verify PATH --json` is what people type, so the global flags may stand behind the command too."""
    end = _end_of_options(arguments)
    flags = [word for word in arguments[:end] if word in GLOBAL_FLAGS]
    return [*flags, *(word for word in arguments[:end] if word not in GLOBAL_FLAGS), *arguments[end:]]


def _end_of_options(arguments: Sequence[str]) -> int:
    return list(arguments).index("--") if "--" in arguments else len(arguments)


def _invoke(command: Any, arguments: Sequence[str], *, debug: bool) -> int:
    usage_error: Any = typer._click.exceptions.ClickException  # noqa: SLF001 - Typer carries Click inside itself
    answer = Answer(wanted="--json" in arguments[: _end_of_options(arguments)])
    try:
        result = command.main(list(arguments), prog_name="sensai-release", standalone_mode=False, obj=answer)
        sys.stdout.flush()
        if result == EXIT_INTERRUPTED:  # Typer makes this of a KeyboardInterrupt
            raise KeyboardInterrupt
    except usage_error as error:
        return _refuse_usage(error, answer)
    except SensaiReleaseError as error:
        code = EXIT_VERDICT if isinstance(error, (GateError, VerificationError)) else EXIT_JOB
        return _refuse(answer, code, str(error))
    except (KeyboardInterrupt, typer.Abort):
        said = "stopped: nothing half-written was left. Run the command again when you like."
        return _refuse(answer, EXIT_INTERRUPTED, said)
    except BrokenPipeError:
        return _unheard()
    except SystemExit as end:
        # Typer ends the process by itself, with the code of a verdict, when it meets a pipe that nobody reads.
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return _unheard()
    except OSError as error:
        # The message of an OSError holds paths; its number says enough.
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if debug:
            raise
        said = f"the file system: {reason}. Nothing half-written was left; mend this and run the command again."
        return _refuse(answer, EXIT_JOB, said)
    except Exception as error:
        if debug:
            raise
        said = f"a bug: {type(error).__name__} in {_where(error)}. Please report this line; --debug shows more."
        return _refuse(answer, EXIT_BUG, said)
    return result if isinstance(result, int) else EXIT_OK


def _unheard() -> int:
    """The reader of our output has gone (`| head`). What is left to say has nobody to hear it: that is no verdict."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_UNHEARD


def _where(error: BaseException) -> str:
    """Module and line of the innermost frame of ours: no values, no paths of this machine."""
    place = "an unknown place"
    trace = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("sensai_release"):
            place = f"{module}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _refuse_usage(error: Any, answer: Answer) -> int:
    """A usage error. A group that was named alone shows its help instead, as people expect."""
    said = usage.one_line(error)
    if said is None:
        error.show(file=sys.stderr)
        answer.refuse(EXIT_JOB, "the command line: names no command. --help lists them.")
        return EXIT_JOB
    return _refuse(answer, EXIT_JOB, said)


def _refuse(answer: Answer, code: int, line: str) -> int:
    """Says in one line why there is no result, and in the JSON document that was asked for; returns the exit code."""
    # Names that somebody typed can hold line ends and what a terminal obeys.
    shown = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
    # Nobody may be there to hear it; the exit code stands all the same.
    with contextlib.suppress(OSError):
        sys.stderr.write(f"sensai-release: {shown}\n")
    with contextlib.suppress(OSError):
        answer.refuse(code, shown)
    return code


def _open_closed_streams() -> None:
    """Gives each standard stream that the caller has closed to nobody (`command >&-`).

    Otherwise the next file opened takes its number, and what is meant for a reader, or for a program that is started,
    lands there. What the verdict is, the exit code says.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nobody = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free is this one
            setattr(sys, name, open(nobody, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115, PTH123


def main() -> None:
    """The console script."""
    _open_closed_streams()
    # Many small matrices: threads of the linear algebra library would only wait for one another. Set before numpy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if not _NEED_PANDAS & set(sys.argv):
        keep_pandas_out()
    # Loading modules makes many objects and hardly a cycle: looking for some each time took a fifth of a short command.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    sys.exit(run(sys.argv[1:]))
