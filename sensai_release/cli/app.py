"""The Typer application, the global options, and the one place where exit codes are decided.

0 done or passed; 1 the verdict is no; 2 the job could not be done; 101 a bug. Commands live in the modules beside
this one; each imports what it needs when it runs, so that `--help` stays instant.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sensai_release import __version__
from sensai_release.cli import approving, escrow, history, logbook, readers, stages, standing, steward, waivers
from sensai_release.cli.render import Screen
from sensai_release.errors import GateError, SensaiReleaseError, VerificationError
from sensai_release.table.lean import keep_pandas_out

EXIT_OK = 0
EXIT_VERDICT = 1
EXIT_JOB = 2
EXIT_INTERRUPTED = 130
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
    context.obj = Screen(root=workspace, as_json=as_json, quiet=quiet, debug=debug)


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
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    flags = [word for word in arguments[:end] if word in GLOBAL_FLAGS]
    return [*flags, *(word for word in arguments[:end] if word not in GLOBAL_FLAGS), *arguments[end:]]


def _invoke(command: Any, arguments: Sequence[str], *, debug: bool) -> int:
    usage_error: Any = typer._click.exceptions.ClickException  # noqa: SLF001 - Typer carries Click inside itself
    try:
        result = command.main(list(arguments), prog_name="sensai-release", standalone_mode=False)
        sys.stdout.flush()
    except usage_error as error:
        error.show(file=sys.stderr)
        return EXIT_JOB
    except (GateError, VerificationError) as error:
        _say(str(error))
        return EXIT_VERDICT
    except SensaiReleaseError as error:
        _say(str(error))
        return EXIT_JOB
    except (KeyboardInterrupt, typer.Abort):
        _say("stopped: nothing half-written was left. Run the command again when you like.")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); what is left to say has nobody to hear it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_VERDICT
    except OSError as error:
        # The message of an OSError holds paths; its number says enough.
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if debug:
            raise
        _say(f"the file system: {reason}. Nothing half-written was left; mend this and run the command again.")
        return EXIT_JOB
    except Exception as error:
        if debug:
            raise
        _say(f"a bug: {type(error).__name__} in {_where(error)}. Please report this line; --debug shows more.")
        return EXIT_BUG
    return result if isinstance(result, int) else EXIT_OK


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


def _say(line: str) -> None:
    sys.stderr.write(f"sensai-release: {line}\n")


def main() -> None:
    """The console script."""
    # Many small matrices: threads of the linear algebra library would only wait for one another. Set before numpy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if not _NEED_PANDAS & set(sys.argv):
        keep_pandas_out()
    # Loading modules makes many objects and hardly a cycle: looking for some each time took a fifth of a short command.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    sys.exit(run(sys.argv[1:]))
