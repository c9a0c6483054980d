"""The command ``init``: begin a repository, and later bring what it wrote there up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from constructs_lib.cli.app import CommandError, print_some
from constructs_lib.cli.output import console, result_console

if TYPE_CHECKING:
    from constructs_lib.init.repository import Update

#: The most files that are named.
_NAMED = 40


def command(
    context: typer.Context,
    folder: Path = typer.Argument(Path(), help="Where the repository is to be.", show_default="this folder"),
    name: str = typer.Option(None, "--name", help="Name of the system. Default: that of the folder."),
    repository: str = typer.Option(
        None, "--repository", metavar="URL", help="Git repository that Argo CD reads. Default: the remote origin."
    ),
    branch: str = typer.Option(
        None, "--branch", help="Branch that is deployed. Default: the one checked out, or main."
    ),
    environment: list[str] = typer.Option(
        None,
        "--environment",
        metavar="NAME:CLUSTER",
        help="An environment and where it runs: k3d, digitalocean or existing. "
        "Default: local:k3d and production:existing.",
    ),
    library: str = typer.Option(
        None, "--library", metavar="REQUIREMENT", help="How pip gets the library. Default: as it is installed here."
    ),
    update: bool = typer.Option(
        False, "--update", help="Bring what init wrote up to this version, but for what you have changed."
    ),
    yes: bool = typer.Option(False, "--yes", help="With --update: write without asking."),
) -> None:
    """Begin a repository: app.py, and all that it needs to be tested, published and deployed.

    Example: constructs-lib init shop --repository https://github.com/example/shop.git
    """
    if update:
        if name is not None or repository is not None or branch is not None:
            raise CommandError(
                "With --update, name, repository and branch stay as they are in .constructs-lib.json; leave them out."
            )
        _update(folder, tuple(environment or ()), library or "", yes=yes)
    elif yes:
        raise CommandError("--yes is for --update; without it nothing is asked that has an option of its own.")
    else:
        _begin(folder, name, repository, branch, environment or [], library or "")


def _begin(
    folder: Path, name: str | None, repository: str | None, branch: str | None, environments: list[str], library: str
) -> None:
    from constructs_lib.init.repository import begin, demand_new
    from constructs_lib.init.settings import DEFAULT_ENVIRONMENTS, https_address, named, settings_of

    demand_new(folder)
    asks = sys.stdin.isatty() and console().is_terminal
    if repository is None:
        repository = https_address(_git(folder, "remote", "get-url", "origin"))
        if not repository and asks:
            repository = typer.prompt("Address of the Git repository that Argo CD reads", err=True)
    if not environments and asks:
        told = typer.prompt(
            "Environments and where they run (k3d, digitalocean, existing)", " ".join(DEFAULT_ENVIRONMENTS), err=True
        )
        environments = told.split()
    settings = settings_of(
        name if name is not None else folder.resolve().name,
        repository,
        branch or _git(folder, "symbolic-ref", "--short", "HEAD") or "main",
        environments or DEFAULT_ENVIRONMENTS,
        library,
    )
    paths = begin(folder, settings)
    out = result_console()
    out.print(f"Wrote {len(paths)} files for {settings.name}: {named(settings.environments.items())}.")
    print_some(paths, out, _NAMED)
    out.print("app.py is the declaration. Next: make synth, make test, and the first commit; README.md tells the rest.")


def _git(folder: Path, *arguments: str) -> str:
    """Return what git says in a folder that is the root of a repository; nothing if it says none, or is not there."""
    if not (folder / ".git").exists():
        return ""
    try:
        result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def _update(folder: Path, environments: tuple[str, ...], library: str, *, yes: bool) -> None:
    from constructs_lib.init.repository import update_of

    update = update_of(folder, environments, library)
    out = result_console()
    _report(update)
    if not update.touches:
        update.apply()
        out.print("What init wrote is up to date.")
    elif yes or (sys.stdin.isatty() and typer.confirm("Write this?", err=True)):
        update.apply()
        out.print("Written; git diff shows it.")
    else:
        console().print("Nothing was written; --yes writes it.")
        raise typer.Exit(1)


def _report(update: Update) -> None:
    out = result_console()
    for sign, paths in (("+", update.added), ("~", update.changed), ("-", update.removed)):
        for path in paths:
            out.print(f"  {sign} {path}")
    for path, reason in update.own.items():
        out.print(f"  ○ {path}: {reason}, and it stays")
    for path, difference in update.offered.items():
        if difference:
            out.print(f"\n{path} has a new text, which you can take over by hand:\n{difference.rstrip()}")
