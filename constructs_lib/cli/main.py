"""The command line on the app itself: ``python app.py`` synthesizes, ``python app.py --help`` tells the rest.

A command imports what it needs when it runs: the help, and every other command, does without.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from constructs_lib.cli import synth
from constructs_lib.cli.app import App, taking
from constructs_lib.cli.commands import COMMANDS, DEBUG, SHOW_VERSION, command_line, reported
from constructs_lib.declare.declaration import Declaration, check, root_of
from constructs_lib.declare.diagnostics import here
from constructs_lib.declare.environment import Environment


def main(declaration: Declaration, environments: Sequence[Environment]) -> None:
    """Run the command line of an app, a function that declares the system for one of all environments, and exit."""
    location = here()
    if (taken := taking.get()) is not None:
        check(declaration, environments, location)
        taken.append(App(declaration, environments, root_of(declaration), Path(location.file)))
        return
    cli = command_line(COMMANDS, "Synthesizes the repository that Argo CD deploys from.")

    @cli.callback(invoke_without_command=True)
    def default(context: typer.Context, version: bool = SHOW_VERSION, debug: bool = DEBUG) -> None:
        if context.invoked_subcommand is None:
            synth.synth(context.obj, [], check=False)

    with reported(Path(location.file).resolve().parent):
        check(declaration, environments, location)
        root = root_of(declaration)
        # Without its standalone mode, Typer returns the code of typer.Exit.
        with reported(root):
            if code := cli(standalone_mode=False, obj=App(declaration, environments, root, Path(location.file))):
                sys.exit(code)
