"""The console command ``constructs-lib``: what ``python app.py`` does, and the commands that need no app.

A command that asks for the declaration starts the app of the current folder, in this process, with the same arguments.
One that does not ask runs no code but the library's: ``check --tree`` and ``plan --from --to`` judge what others wrote,
beside whose manifests any ``app.py`` may lie.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import typer

from constructs_lib.cli import import_, init
from constructs_lib.cli.app import App, CommandError, NoDeclarationError
from constructs_lib.cli.commands import COMMANDS, DEBUG, SHOW_VERSION, command_line, name_of, reported
from constructs_lib.cli.output import write_result

#: Commands of the console command alone, which begin a declaration or need none: modules as those of ``COMMANDS``.
ALONE: tuple[ModuleType, ...] = (init, import_)

#: The file that holds the declaration, in the current folder.
APP_FILE = "app.py"
_PURPOSE = (
    f"Generates the repository that Argo CD deploys from, by the {APP_FILE} of this folder; and judges any other."
)


def default(
    context: typer.Context,
    app: Path = typer.Option(
        None, "--app", metavar="FILE", help=f"The app, which every command is given to then. Default: {APP_FILE}."
    ),
    version: bool = SHOW_VERSION,
    debug: bool = DEBUG,
) -> None:
    """Look for what is before the command, and do what an app does without one."""
    if app and context.invoked_subcommand not in [name_of(each) for each in ALONE]:
        raise NoDeclarationError(app)
    if context.invoked_subcommand is None:
        if Path(APP_FILE).is_file():
            raise NoDeclarationError
        write_result(f"{context.get_help()}\n")


def run() -> None:
    """Run the console command with the arguments of this process, and exit."""
    cli = command_line([*COMMANDS, *ALONE], _PURPOSE, completes=True)
    cli.callback(invoke_without_command=True, help=_PURPOSE)(default)
    with reported(Path.cwd()):
        try:
            sys.exit(cli(prog_name="constructs-lib", standalone_mode=False, obj=App(None, (), Path.cwd())))
        except NoDeclarationError as error:
            file = _app_file(error.app)
    _run_app(file, _without_app(sys.argv[1:]))


def _app_file(chosen: Path | None) -> Path:
    """Return the app that is to run.

    Raises:
        CommandError: There is none.
    """
    if chosen:
        if not chosen.is_file():
            raise CommandError(f"--app: there is no file {chosen}.")
        return chosen
    file = Path(APP_FILE)
    if not file.is_file():
        raise CommandError(
            f"There is no {APP_FILE} here, which declares the system that this is about. Go to its folder, or name it: "
            f"constructs-lib --app FILE …"
        )
    if not re.search(rb"\bconstructs_lib\b", file.read_bytes()):
        raise CommandError(
            f"The {APP_FILE} here does not use constructs_lib, and was not run. If it declares the system all the "
            f"same, name it: constructs-lib --app {APP_FILE} …"
        )
    return file


def _without_app(arguments: Iterable[str]) -> list[str]:
    """Return the arguments that are the app's: all but ``--app FILE`` before the command."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            return [*kept, word, *words]
        if word == "--app":
            next(words)
        elif not word.startswith("--app="):
            kept.append(word)
    return kept


def _run_app(file: Path, arguments: list[str]) -> None:
    """Run an app as ``python FILE`` does, in this process: it has loaded the library, which takes longest."""
    path = os.path.abspath(file)  # noqa: PTH100 - a link stays one in what Python tells of a script
    main = ModuleType("__main__")
    main.__file__ = path
    # Processes that the app starts look for it there.
    sys.modules["__main__"] = main
    sys.argv = [str(file), *arguments]
    # Before, its first entry is the folder of the console command, or the current one.
    sys.path[: 0 if sys.flags.safe_path else 1] = [str(file.resolve().parent)]
    try:
        exec(compile(file.read_bytes(), path, "exec"), main.__dict__)
    except SystemExit:
        # Mistakes in a declaration are one, too.
        raise
    except Exception as error:
        traceback = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        sys.exit(1)
