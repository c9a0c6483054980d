"""The command line on the app itself: ``python app.py`` synthesizes, ``python app.py --help`` tells the rest.

A command imports what it needs when it runs: the help, and every other command, does without.
"""

import atexit
import gc
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from constructs_lib.cli import check as check_command
from constructs_lib.cli import graph, observe, plan, publish, synth, why
from constructs_lib.cli.app import App
from constructs_lib.cli.report import console, print_diagnostics
from constructs_lib.declare.declaration import Declaration, check, root_of
from constructs_lib.declare.diagnostics import DeclarationError, Location, here
from constructs_lib.declare.environment import Environment
from constructs_lib.user_error import UserError

#: Exit codes: mistakes of the user and refusals; faults of the library (EX_SOFTWARE of sysexits.h); Ctrl-C.
USER_MISTAKE, INTERNAL_FAULT, INTERRUPTED = 1, 70, 130


def main(declaration: Declaration, environments: Sequence[Environment]) -> None:
    """Run the command line of an app and exit.

    Args:
        declaration: Function that declares the system for one environment and returns it.
        environments: All environments.
    """
    with _without_collecting():
        _main(declaration, environments, here())


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Leave garbage until the end of the process: nearly all that is made stays, and to look for it takes long."""
    enabled = gc.isenabled()
    gc.disable()
    # Nor is anything gained by taking apart what is left, piece by piece, when the process ends.
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _main(declaration: Declaration, environments: Sequence[Environment], location: Location) -> None:
    root = Path(location.file).resolve().parent
    try:
        check(declaration, environments, location)
    except DeclarationError as error:
        print_diagnostics(error, root)
        sys.exit(USER_MISTAKE)
    root = root_of(declaration)
    cli = typer.Typer(
        add_completion=False,
        rich_markup_mode="rich",
        help="Synthesizes the repository that Argo CD deploys from.",
    )
    app = App(declaration, environments, root)

    @cli.callback(invoke_without_command=True)
    def default(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            synth.synth(app, [], check=False)

    for command in (synth, plan, check_command, publish, graph, observe, why):
        command.register(cli, app)

    try:
        # Without its standalone mode, Typer returns the code of typer.Exit.
        if code := cli(standalone_mode=False):
            sys.exit(code)
    except DeclarationError as error:
        print_diagnostics(error, root)
        sys.exit(USER_MISTAKE)
    except UserError as error:
        console().print(str(error))
        sys.exit(USER_MISTAKE)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except Exception as fault:
        if hasattr(fault, "format_message"):
            console().print(fault.format_message())
            sys.exit(USER_MISTAKE)
        traceback.print_exc()
        console().print("This is a fault of constructs_lib, not of your declaration; nothing was written.")
        sys.exit(INTERNAL_FAULT)
