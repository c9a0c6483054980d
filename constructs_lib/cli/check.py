"""The command ``check``: prove that a tree of manifests will work, before it is pushed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from constructs_lib.cli.app import CHARTS, App, CommandError, look_into_charts
from constructs_lib.cli.completion import environments
from constructs_lib.cli.documents import refuse_strangers
from constructs_lib.cli.exit_codes import ExitCode
from constructs_lib.cli.output import harmless, result_console, write_result
from constructs_lib.text import nearest
from constructs_lib.user_error import UserError

if TYPE_CHECKING:
    from constructs_lib.check.model import ClusterModel
    from constructs_lib.check.report.report import Report


def command(
    context: typer.Context,
    names: list[str] = typer.Argument(
        None, metavar="[ENVIRONMENT]...", autocompletion=environments, help="Default: all of them."
    ),
    tree: Path | None = typer.Option(
        None, "--tree", metavar="DIR", help="Check the manifests in a folder instead, whatever made them."
    ),
    kubernetes: str | None = typer.Option(
        None, "--kubernetes", metavar="VERSION", help="Minor version of Kubernetes. Default: the cluster's."
    ),
    format: str = typer.Option("terminal", "--format", metavar="FORMAT", help="terminal, json, sarif or github."),
    output: Path | None = typer.Option(
        None, "--output", metavar="FILE", help="Write there. Default: to the standard output."
    ),
    can: tuple[str, str, str] | None = typer.Option(
        None, "--can", metavar="FROM TO PORT", help="Only tell whether one workload may reach a port of another."
    ),
    waivers: Path | None = typer.Option(
        None, "--waivers", metavar="FILE", help="Findings that do not count. Default: waivers.yaml of this repository."
    ),
    strict: bool = typer.Option(False, "--strict", help="Fail on warnings, too."),
    charts: bool = CHARTS,
    docs: Path | None = typer.Option(
        None, "--docs", metavar="FILE", help="Write the page of all checks there, and do nothing else."
    ),
) -> None:
    """Prove that the manifests will work, before they are pushed.

    It exits with 0 if all proofs hold, 1 if something is wrong, 2 if it was called in a wrong way, 3 if there is
    nothing that it can look at, such as charts alone, and 70 for a fault of its own.

    Example: python app.py check production

    Example: python app.py check --tree . --format sarif --output check.sarif

    Example: python app.py check production --can gateway user-service grpc
    """
    from constructs_lib.check.report.formats import FORMATS

    if docs:
        from constructs_lib.check.report import checks_page

        refuse_strangers([docs])
        before = docs.read_text(encoding="utf-8") if docs.exists() else ""
        docs.write_text(checks_page.render(checks_page.judges_of(before)), encoding="utf-8")
        return
    if format not in FORMATS:
        raise CommandError(f'There is no format "{format}"; {nearest(format, FORMATS)}')
    app: App = context.obj
    look_into_charts(charts)
    models = _models(app, names or [], tree, kubernetes)
    if can:
        _answer(models, *can)
        return
    report = app.check(models, waivers, tree, complete=not names)
    _show(report, format, output)
    if report.errors or (strict and report.warnings):
        raise typer.Exit(ExitCode.REFUSED)
    if not report.is_judged:
        raise typer.Exit(ExitCode.NOT_JUDGED)


def _models(app: App, names: Sequence[str], tree: Path | None, kubernetes: str | None) -> dict[str, ClusterModel]:
    """Return the objects that are checked, by environment."""
    from constructs_lib.api import model_of
    from constructs_lib.declare.cluster import Cluster

    versions = Cluster.SUPPORTED_VERSIONS
    if kubernetes is not None and kubernetes not in versions:
        raise CommandError(
            f'--kubernetes: "{kubernetes}" is not known; give a version from "{versions[0]}" to "{versions[-1]}".'
        )
    if tree:
        models = _models_of_folder(tree, names)
    else:
        trees = app.synthesize(app.choose(names), keep_manifests=True)
        models = {each.environment: model_of(each) for each in trees}
    if kubernetes:
        for model in models.values():
            model.cluster = dataclasses.replace(model.cluster, kubernetes=kubernetes)
    return models


def _models_of_folder(folder: Path, names: Sequence[str]) -> dict[str, ClusterModel]:
    from constructs_lib.check.model import ClusterModel
    from constructs_lib.kubernetes.manifest_reader import Cache
    from constructs_lib.repository.snapshot import Snapshot, applications_folder

    if not folder.is_dir():
        raise CommandError(f"--tree: {folder} is no folder.")
    snapshot = Snapshot.of_folder(folder)
    if not snapshot.files:
        raise CommandError(f"--tree: {folder} holds no YAML and no JSON.")
    known = snapshot.environments
    for name in names:
        if name not in known:
            raise CommandError(f'{folder} has no environment "{name}"; {nearest(name, known)}')
    cache = Cache()
    chosen = list(dict.fromkeys(names)) or known or [""]
    return {name: ClusterModel(snapshot, [applications_folder(name)] if name else [], cache=cache) for name in chosen}


def _answer(models: dict[str, ClusterModel], source: str, target: str, port: str) -> None:
    """Print whether one workload may reach another; exit with 1 if it may not in one of the environments."""
    from constructs_lib.check.reachability.can import can

    out = result_console()
    answers = {name: can(model, source, target, port) for name, model in models.items()}
    for name, answer in answers.items():
        out.print(f"{name}: {answer}" if name else str(answer))
    if not all(answer.allowed for answer in answers.values()):
        raise typer.Exit(ExitCode.REFUSED)


def _show(report: Report, format: str, output: Path | None) -> None:
    from constructs_lib.check.report.formats import FORMATS, show

    if output:
        try:
            output.write_text(harmless(FORMATS[format](report), format), encoding="utf-8")
        except OSError as error:
            raise UserError(f"--output: {output} cannot be written: {error.strerror}.") from error
    elif format == "terminal":
        show(report, result_console())
    else:
        write_result(FORMATS[format](report), format)
