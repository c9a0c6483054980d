"""The command ``observe``: what is measured, shown and alerted on."""

from __future__ import annotations

from pathlib import Path

import typer

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.documents import demand_folder, document
from constructs_lib.cli.report import result_console
from constructs_lib.declare.system import System


def register(cli: typer.Typer, app: App) -> None:
    """Add the command to the command line of an app."""

    @cli.command("observe")
    def command(
        name: str = typer.Argument(None, metavar="[ENVIRONMENT]", help="Default: the last one declared."),
        docs: Path = typer.Option(
            None, "--docs", metavar="FOLDER", help="Write observability.md and the alerts' runbooks there."
        ),
        check: bool = typer.Option(
            False, "--check", help="With --docs: write nothing; exit 1 if the files are not up to date."
        ),
    ) -> None:
        """List the dashboards and alerts of the system, or document them.

        Example: python app.py observe production
        """
        observe(app, name, docs=docs, check=check)


def observe(app: App, name: str | None, *, docs: Path | None, check: bool) -> None:
    """List the dashboards and alerts of the system in one environment, or write their pages.

    Args:
        app: The app.
        name: The environment. Default: the last one declared.
        docs: A folder for the pages, which is created if necessary.
        check: Only compare the pages, and exit with 1 if they would be written.

    Raises:
        CommandError: The environment is unknown, the system has no monitoring, or a file cannot be written.
        DeclarationError: The declaration has errors.
    """
    from constructs_lib.derive.graph import Graph
    from constructs_lib.observe import catalogue
    from constructs_lib.observe.page import pages

    if check and not docs:
        raise CommandError("--check compares what --docs would write; name the folder with --docs FOLDER.")
    if docs:
        demand_folder(docs if docs.exists() else docs.parent)
    environment = app.choose([name])[0] if name is not None else app.environments[-1]

    def read(system: System) -> tuple[dict[str, str], list[str]]:
        graph = Graph(system)
        if not system.is_monitored:
            return {}, []
        if docs:
            return pages(graph), []
        dashboards = catalogue.dashboards(system, graph.waves)
        alerts = [alert for group in catalogue.groups(system) for alert in group.alerts]
        lines = [f"{environment.name}: {len(dashboards)} dashboards, {len(alerts)} alerts"]
        lines += ["", *(f"{dashboard.uid:<42}{dashboard.title}" for dashboard in dashboards)]
        lines += ["", *(f"{alert.name:<32}{alert.severity:<10}after {alert.wait}" for alert in alerts)]
        return {}, lines

    [(files, lines)] = app.declare([environment], read)
    if not files and not lines:
        raise CommandError(f"Nothing watches {environment.name}: declare Monitoring(system, …).")
    if docs:
        document({docs / file: text for file, text in files.items()}, check=check)
    else:
        result_console().print("\n".join(lines))
