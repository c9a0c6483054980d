"""What the command ``check`` does."""

from __future__ import annotations

import dataclasses
import datetime
import gc
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from constructs_lib.api import lines_of, model_of
from constructs_lib.argocd.objects import Cache
from constructs_lib.check.finding import Severity
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.proofs import PROOFS
from constructs_lib.check.reachability.can import can
from constructs_lib.check.report import checks_page as page
from constructs_lib.check.report import github, sarif, terminal
from constructs_lib.check.report import json_report as json
from constructs_lib.check.report.report import Looked, Report, located, look, report
from constructs_lib.check.waivers.waivers import WAIVERS_FILE, Waiver, parse_waivers
from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.check import TERMINAL, Options
from constructs_lib.declare.cluster import Cluster
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.synth.tree import Tree
from constructs_lib.text import nearest, plural

FORMATS: dict[str, Callable[[Report], str]] = {"json": json.render, "sarif": sarif.render, "github": github.render}
_APPLICATION = re.compile(rb"""^[ ]*["']?kind["']?:[ ]*["']?Application\b""", re.MULTILINE)


def check(app: App, options: Options) -> None:
    """Check some environments, or the folder of another tool.

    Args:
        app: The app.
        options: What the command was called with.

    Raises:
        CommandError: It was called with something that it does not take.
        DeclarationError: The declaration has mistakes.
        UserError: The waivers have mistakes.
        typer.Exit: With 1: something is wrong.
    """
    if options.docs:
        _write_page(options.docs)
        return
    if options.format not in (TERMINAL, *FORMATS):
        raise CommandError(f'There is no format "{options.format}"; {nearest(options.format, (TERMINAL, *FORMATS))}')
    if options.kubernetes is not None and options.kubernetes not in Cluster.SUPPORTED_VERSIONS:
        first, last = Cluster.SUPPORTED_VERSIONS[0], Cluster.SUPPORTED_VERSIONS[-1]
        raise CommandError(
            f'--kubernetes: "{options.kubernetes}" is not known; give a version from "{first}" to "{last}".'
        )
    waivers, file = _waivers(options.waivers, options.tree or app.root)
    with _without_collecting():
        models = _of_folder(options.tree, options) if options.tree else _of_declaration(app, options)
        if options.can:
            _answer(models, *options.can)
            return
        found = _look(models)
    if not options.tree:
        found = _with_lines(app, found)
    told = report(
        found, waivers, datetime.date.today(), file, complete=not options.environments, base=_base(options.tree)
    )
    _show(told, options)
    if told.count(Severity.ERROR) or (options.strict and told.count(Severity.WARNING)):
        raise typer.Exit(1)


def refuse_errors(app: App, tree: Tree) -> None:
    """Let nothing be published of an environment in which check finds an error.

    Args:
        app: The app.
        tree: Its synthesized files, with their manifests.

    Raises:
        CommandError: There are errors; they are on the standard output.
        UserError: The waivers have mistakes.
    """
    waivers, file = _waivers(None, app.root)
    with _without_collecting():
        found = _with_lines(app, _look({tree.environment: model_of(tree)}))
    told = report(found, waivers, datetime.date.today(), file, complete=False)
    if errors := told.count(Severity.ERROR):
        terminal.show(told, _console())
        raise CommandError(f"Nothing was published: check finds {plural(errors, 'error')}.")


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Leave garbage for a while: nearly all that is made stays, and to look through it takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _write_page(file: Path) -> None:
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    file.write_text(page.render(page.judges_of(before)), encoding="utf-8")


def _waivers(given: Path | None, root: Path) -> tuple[list[Waiver], str]:
    file = given or root / WAIVERS_FILE
    name = str(given) if given else WAIVERS_FILE
    if not file.is_file():
        if given:
            raise CommandError(f"--waivers: {given} is no file.")
        return [], name
    return parse_waivers(file.read_bytes(), [check.code for proof in PROOFS for check in proof.checks], name), name


def _of_declaration(app: App, options: Options) -> dict[str, ClusterModel]:
    trees = app.synthesize(app.choose(options.environments), keep_manifests=True)
    return {tree.environment: _at_version(model_of(tree), options) for tree in trees}


def _of_folder(folder: Path, options: Options) -> dict[str, ClusterModel]:
    if not folder.is_dir():
        raise CommandError(f"--tree: {folder} is no folder.")
    snapshot = Snapshot.of_folder(folder)
    if not snapshot.files:
        raise CommandError(f"--tree: {folder} holds no YAML and no JSON.")
    known = sorted({*_environments(snapshot)})
    for name in options.environments:
        if name not in known:
            raise CommandError(f'{folder} has no environment "{name}"; {nearest(name, known)}')
    cache = Cache()
    chosen = list(dict.fromkeys(options.environments)) or known or [""]
    return {
        name: _at_version(ClusterModel(snapshot, [f"argocd/{name}"] if name else [], cache=cache), options)
        for name in chosen
    }


def _environments(snapshot: Snapshot) -> Iterator[str]:
    """Yield the folders in ``argocd/`` that hold Applications."""
    for path, content in snapshot.files.items():
        top, _, rest = path.partition("/")
        name, slash, _ = rest.partition("/")
        if top == "argocd" and slash and _APPLICATION.search(content):
            yield name


def _at_version(model: ClusterModel, options: Options) -> ClusterModel:
    if options.kubernetes:
        model.cluster = dataclasses.replace(model.cluster, kubernetes=options.kubernetes)
    return model


def _look(models: dict[str, ClusterModel]) -> list[Looked]:
    with Console(stderr=True, highlight=False).status("reading the tree") as status:

        def tell(environment: str) -> Callable[[str], None]:
            return lambda proof: status.update(f"{environment}: {proof}" if environment else proof)

        return [look(model, name, tell(name)) for name, model in models.items()]


def _with_lines(app: App, found: Sequence[Looked]) -> list[Looked]:
    """Return the same with the line of the declaration that each object comes from.

    The declaration runs once more for it, unless nothing is wrong.
    """
    if not any(looked.findings for looked in found):
        return [*found]

    environments = app.choose([looked.environment for looked in found])
    locations = app.declare(environments, lambda system: lines_of(system, app.root))
    return [located(looked, known) for looked, known in zip(found, locations, strict=True)]


def _base(tree: Path | None) -> str:
    """Return the folder of the tree as seen from the working directory, which is where others read the report."""
    if tree is None:
        return ""
    try:
        relative = tree.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return tree.as_posix()
    return "" if relative == "." else relative


def _show(told: Report, options: Options) -> None:
    if options.format == TERMINAL and not options.output:
        terminal.show(told, _console())
        return
    if options.format == TERMINAL:
        stream = io.StringIO()
        terminal.show(told, _console(stream))
        text = stream.getvalue()
    else:
        text = FORMATS[options.format](told)
    if options.output:
        try:
            options.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"--output: {options.output} cannot be written: {error.strerror}.") from error
    else:
        typer.echo(text, nl=False)


def _console(stream: io.StringIO | None = None) -> Console:
    return Console(file=stream, highlight=False, soft_wrap=True, markup=False, emoji=False)


def _answer(models: dict[str, ClusterModel], source: str, target: str, port: str) -> None:
    """Print whether one workload may reach another; exit with 1 if it may not in one of the environments."""
    out = _console()
    allowed = True
    for name, model in models.items():
        answer = can(model, source, target, port)
        allowed &= answer.allowed
        out.print(f"{name}: {answer}" if name else str(answer))
    if not allowed:
        raise typer.Exit(1)
