"""The command line on the app itself: ``python app.py`` synthesizes, ``python app.py --help`` tells the rest.

A command imports what it needs when it runs: the help, and every other command, does without.
"""

import atexit
import gc
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import typer

from constructs_lib.cli import check as check_command
from constructs_lib.cli import graph, observe, plan, publish, rehearse, synth, why
from constructs_lib.cli.app import NOT_JUDGED, WRONG_USAGE, App, CommandError, NotJudgedError
from constructs_lib.cli.output import console, take_any_sign
from constructs_lib.declare.declaration import Declaration, check, root_of
from constructs_lib.declare.diagnostics import DeclarationError, here
from constructs_lib.declare.environment import Environment, declared_environments
from constructs_lib.user_error import UserError

#: Exit codes: mistakes in what is declared, findings and refusals; faults of the library (EX_SOFTWARE of sysexits.h);
#: Ctrl-C.
USER_MISTAKE, INTERNAL_FAULT, INTERRUPTED = 1, 70, 130


def main(declaration: Declaration, environments: Sequence[Environment]) -> None:
    """Run the command line of an app, a function that declares the system for one of all environments, and exit."""
    location = here()
    # Garbage is left until the end of the process: nearly all that is made stays, and to look for it takes long. Nor is
    # anything gained by taking apart what is left, piece by piece, when the process ends.
    collects = gc.isenabled()
    gc.disable()
    atexit.register(gc.freeze)
    root = Path(location.file).resolve().parent
    take_any_sign()
    cli = typer.Typer(
        add_completion=False, rich_markup_mode="rich", help="Synthesizes the repository that Argo CD deploys from."
    )

    @cli.callback(invoke_without_command=True)
    def default(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            synth.synth(context.obj, [], check=False)

    for module in (synth, plan, check_command, publish, rehearse, graph, observe, why):
        cli.command(module.__name__.rpartition(".")[2])(module.command)

    try:
        check(declaration, environments, location)
        root = root_of(declaration)
        # Without its standalone mode, Typer returns the code of typer.Exit.
        if code := cli(standalone_mode=False, obj=App(declaration, environments, root)):
            sys.exit(code)
    except DeclarationError as error:
        console().print(error.report(root))
        sys.exit(USER_MISTAKE)
    except UserError as error:
        console().print(str(error))
        codes = {CommandError: WRONG_USAGE, NotJudgedError: NOT_JUDGED}
        sys.exit(next((code for kind, code in codes.items() if isinstance(error, kind)), USER_MISTAKE))
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except Exception as fault:
        if hasattr(fault, "format_message"):
            console().print(fault.format_message().replace("Value error, ", ""))
            sys.exit(WRONG_USAGE)
        console().print(traceback.format_exc().rstrip())
        console().print("This is a fault of constructs_lib, not of your declaration; nothing was written.")
        sys.exit(INTERNAL_FAULT)
    finally:
        # Whoever goes on after this, such as a test, may declare for others.
        declared_environments.set(())
        if collects:
            gc.enable()
