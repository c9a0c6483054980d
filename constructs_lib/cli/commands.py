"""What the two command lines share, that of an app and the console command: their commands, options, and exit codes."""

from __future__ import annotations

import atexit
import gc
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType

import typer

from constructs_lib.cli import check, graph, observe, plan, promote, publish, rehearse, synth, why
from constructs_lib.cli.app import CommandError, NotJudgedError
from constructs_lib.cli.exit_codes import ExitCode
from constructs_lib.cli.output import choose_format, console, result_console, take_any_sign
from constructs_lib.declare.diagnostics import DeclarationError
from constructs_lib.declare.environment import declared_environments
from constructs_lib.user_error import UserError
from constructs_lib.version import VERSION

#: Commands of an app. Each is a module of that name with a function ``command``.
COMMANDS = (synth, plan, check, publish, promote, rehearse, graph, observe, why)

#: Whether the traceback behind a message is shown, too.
_debugging: ContextVar[bool] = ContextVar("debugging", default=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        result_console().print(f"constructs-lib {VERSION}")
        raise typer.Exit


def _debug(wanted: bool) -> None:
    _debugging.set(wanted)


#: Options of both command lines, before the command.
SHOW_VERSION = typer.Option(
    False, "--version", callback=_show_version, is_eager=True, help="Show the version of the library and exit."
)
DEBUG = typer.Option(
    False, "--debug", callback=_debug, envvar="CONSTRUCTS_LIB_DEBUG", help="Show the traceback behind a message, too."
)


def name_of(command: ModuleType) -> str:
    """Return the name of the command that a module holds; one that Python keeps for itself ends in ``_`` there."""
    return command.__name__.rpartition(".")[2].rstrip("_")


def command_line(commands: Sequence[ModuleType], purpose: str, *, completes: bool = False) -> typer.Typer:
    """Return a command line of some commands; ``completes`` gives it the options that install shell completion."""
    cli = typer.Typer(
        add_completion=completes,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        help=purpose,
    )
    for each in commands:
        cli.command(name_of(each))(each.command)
    return cli


@contextmanager
def reported(root: Path) -> Iterator[None]:
    """End the process with one clear message, and the exit code for it, if what runs in the context fails.

    Args:
        root: The folder to which files in messages are relative.
    """
    # Garbage is left until the end of the process: nearly all that is made stays, and to look for it takes long. Nor is
    # anything gained by taking apart what is left, piece by piece, when the process ends.
    collects = gc.isenabled()
    gc.disable()
    atexit.register(gc.freeze)
    take_any_sign()
    _debugging.set(False)
    choose_format("terminal")
    try:
        yield
    except DeclarationError as error:
        _show_traceback(error.__cause__)
        console().print(error.report(root))
        sys.exit(ExitCode.REFUSED)
    except UserError as error:
        _show_traceback(error)
        console().print(str(error))
        codes = {CommandError: ExitCode.WRONG_USAGE, NotJudgedError: ExitCode.NOT_JUDGED}
        sys.exit(next((code for kind, code in codes.items() if isinstance(error, kind)), ExitCode.REFUSED))
    except typer.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as fault:
        if hasattr(fault, "format_message"):
            console().print(fault.format_message().replace("Value error, ", ""))
            sys.exit(ExitCode.WRONG_USAGE)
        console().print(traceback.format_exc().rstrip())
        console().print("This is a fault of constructs_lib, not of your declaration; nothing was written.")
        sys.exit(ExitCode.INTERNAL_FAULT)
    finally:
        # Whoever goes on after this, such as a test, may declare for others.
        declared_environments.set(())
        if collects:
            gc.enable()


def _show_traceback(error: BaseException | None) -> None:
    if error and _debugging.get():
        console().print("".join(traceback.format_exception(error)).rstrip())
