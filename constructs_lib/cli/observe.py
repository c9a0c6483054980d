"""The command ``observe``: what is measured, shown and alerted on."""

from pathlib import Path
from typing import Any

import typer

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.completion import environments
from constructs_lib.cli.documents import CHECK, document
from constructs_lib.cli.output import FORMAT, Format, result_console, write_json
from constructs_lib.declare.system import System

#: The version of the document in JSON: increased when an entry is removed or changes its meaning.
VERSION = 1


def command(
    context: typer.Context,
    name: str = typer.Argument(
        None, metavar="[ENVIRONMENT]", autocompletion=environments, help="Default: the last one declared."
    ),
    docs: Path = typer.Option(
        None, "--docs", metavar="FOLDER", help="Write observability.md and the alerts' runbooks there."
    ),
    check: bool = CHECK,
    form: Format = FORMAT,
) -> None:
    """List the dashboards and alerts of the system, or document them.

    Example: python app.py observe production
    """
    app: App = context.obj
    if check and not docs:
        raise CommandError("--check compares what --docs would write; name the folder with --docs FOLDER.")
    if docs:
        document(app, name, docs, _pages, check=check)
        return
    found = app.declare_one(name, _document)
    if form == "json":
        write_json(found)
    else:
        result_console().print("\n".join(_lines(found)))


def _pages(system: System) -> dict[str, str]:
    from constructs_lib.derive.graph import Graph
    from constructs_lib.observe.page import pages

    _demand_monitoring(system)
    return pages(Graph(system))


def _document(system: System) -> dict[str, Any]:
    from constructs_lib.derive.graph import Graph
    from constructs_lib.observe import catalogue

    _demand_monitoring(system)
    dashboards = catalogue.dashboards(system, Graph(system).waves)
    alerts = [alert for group in catalogue.groups(system) for alert in group.alerts]
    return {
        "version": VERSION,
        "environment": system.environment.name,
        "dashboards": [{"uid": dashboard.uid, "title": dashboard.title} for dashboard in dashboards],
        "alerts": [{"name": alert.name, "severity": alert.severity, "after": alert.wait} for alert in alerts],
    }


def _lines(found: dict[str, Any]) -> list[str]:
    dashboards, alerts = found["dashboards"], found["alerts"]
    return [
        f"{found['environment']}: {len(dashboards)} dashboards, {len(alerts)} alerts",
        "",
        *(f"{dashboard['uid']:<42}{dashboard['title']}" for dashboard in dashboards),
        "",
        *(f"{alert['name']:<32}{alert['severity']:<10}after {alert['after']}" for alert in alerts),
    ]


def _demand_monitoring(system: System) -> None:
    if not system.is_monitored:
        raise CommandError(f"Nothing watches {system.environment.name}: declare Monitoring(system, …).")
