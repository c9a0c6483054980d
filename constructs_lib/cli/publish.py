"""The command ``publish``: commit, pin and push an environment."""

from __future__ import annotations

import typer
from rich.console import Console

from constructs_lib.cli.app import App
from constructs_lib.publish.checkout import open_checkout
from constructs_lib.publish.publish import carry_out, prepare
from constructs_lib.repository.git import Git


def register(cli: typer.Typer, app: App) -> None:
    """Add the command to the command line of an app."""

    @cli.command("publish")
    def command(
        name: str = typer.Argument(metavar="ENVIRONMENT"),
        only: list[str] = typer.Option([], "--only", metavar="COMPONENT"),
        allow: list[str] = typer.Option([], "--allow", metavar="KIND/NAME"),
        dry_run: bool = typer.Option(False, "--dry-run"),
    ) -> None:
        """Commit, pin and push.

        Example: python app.py publish production --dry-run
        """
        publish(app, name, only, allow, dry_run=dry_run)


def publish(app: App, name: str, only: list[str], allow: list[str], *, dry_run: bool) -> None:
    """Publish."""
    out = Console(highlight=False, soft_wrap=True, markup=False)
    (environment,) = app.choose([name])
    checkout = open_checkout(Git(app.root), environment.repository.branch)
    (tree,) = app.synthesize([environment])
    publication = prepare(checkout, tree)
    if publication.is_empty:
        out.print("Nothing to publish.")
        return
    for message in publication.messages:
        out.print(message)
    if not dry_run:
        out.print(carry_out(publication, app.root))
