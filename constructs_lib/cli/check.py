"""The command ``check``: prove that a tree of manifests will work, before it is pushed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from constructs_lib.cli.app import App

TERMINAL = "terminal"


@dataclass(frozen=True)
class Options:
    """What the command was called with.

    Attributes:
        environments: Environments; none means all.
        tree: A folder to read instead of the declaration.
        kubernetes: Minor version of Kubernetes, whatever the tree says.
        format: How findings are shown.
        output: A file to write instead of the standard output.
        can: A workload, another one and its port: may the first reach it?
        waivers: The file with waivers.
        strict: Whether warnings fail.
        docs: Write the page of all checks to this file, and do nothing else.
    """

    environments: Sequence[str] = ()
    tree: Path | None = None
    kubernetes: str | None = None
    format: str = TERMINAL
    output: Path | None = None
    can: tuple[str, str, str] | None = None
    waivers: Path | None = None
    strict: bool = False
    docs: Path | None = None


def register(cli: typer.Typer, app: App) -> None:
    """Add the command to the command line of an app."""

    @cli.command("check")
    def command(
        names: list[str] = typer.Argument(None, metavar="[ENVIRONMENT]...", help="Default: all of them."),
        tree: Path | None = typer.Option(
            None, "--tree", metavar="DIR", help="Check the manifests in a folder instead, whatever made them."
        ),
        kubernetes: str | None = typer.Option(
            None, "--kubernetes", metavar="VERSION", help="Minor version of Kubernetes. Default: the cluster's."
        ),
        format: str = typer.Option(TERMINAL, "--format", metavar="FORMAT", help="terminal, json, sarif or github."),
        output: Path | None = typer.Option(
            None, "--output", metavar="FILE", help="Write there. Default: to the standard output."
        ),
        can: tuple[str, str, str] | None = typer.Option(
            None, "--can", metavar="FROM TO PORT", help="Only tell whether one workload may reach a port of another."
        ),
        waivers: Path | None = typer.Option(
            None,
            "--waivers",
            metavar="FILE",
            help="Findings that do not count. Default: waivers.yaml, if it is there.",
        ),
        strict: bool = typer.Option(False, "--strict", help="Fail on warnings, too."),
        docs: Path | None = typer.Option(
            None, "--docs", metavar="FILE", help="Write the page of all checks there, and do nothing else."
        ),
    ) -> None:
        """Prove that the manifests will work, before they are pushed; exit 1 if something is wrong.

        Example: python app.py check production

        Example: python app.py check --tree . --format sarif --output check.sarif

        Example: python app.py check production --can gateway user-service grpc
        """
        from constructs_lib.cli.checking import check

        check(app, Options(names or [], tree, kubernetes, format, output, can, waivers, strict, docs))
