"""The command ``why``: explain the wave of a component, or where an object comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.completion import components, environments
from constructs_lib.cli.output import result_console
from constructs_lib.declare.declaration import run_all
from constructs_lib.declare.system import System
from constructs_lib.text import nearest

if TYPE_CHECKING:
    from constructs_lib.declare.component import Component
    from constructs_lib.declare.server import Server
    from constructs_lib.derive.explanation import Origin
    from constructs_lib.derive.graph import Dependency, Graph


def command(
    context: typer.Context,
    name: str = typer.Argument(
        metavar="COMPONENT|KIND/NAME",
        autocompletion=components,
        help="A component, what is outside, or an object: Kind/name or Kind/namespace/name.",
    ),
    names: list[str] = typer.Argument(
        None, metavar="[ENVIRONMENT]...", autocompletion=environments, help="Default: all of them."
    ),
) -> None:
    """Explain the wave of a component, or which line of the declaration an object comes from.

    Example: python app.py why gateway

    Example: python app.py why NetworkPolicy/rabbitmq production
    """
    from constructs_lib.derive.graph import Graph

    app: App = context.obj
    chosen = app.choose(names or [])
    # The environments by the explanation that is the same for them.
    answers: dict[str, list[str]] = {}
    known: set[str] = set()

    def answer(system: System) -> None:
        graph = Graph(system)
        found, names = _objects(system, graph, name, app.root) if "/" in name else _order(system, graph, name, app.root)
        known.update(names)
        if found:
            answers.setdefault(found, []).append(system.environment.name)

    run_all(app.declaration, chosen, answer)
    if not answers:
        kind, slash, _ = name.partition("/")
        alike = {other for other in known if other.startswith(f"{kind}{slash}")} if slash else known
        missing = "object" if slash else "component"
        raise CommandError(f'There is no {missing} "{name}"; {nearest(name, alike or known)}')
    out = result_console()
    for text, where in answers.items():
        out.print(f"{', '.join(where)}: {text}")


def _order(system: System, graph: Graph, name: str, root: Path) -> tuple[str, list[str]]:
    components = {name: each for each in system.components for name in (each.id, each.title)}
    outside = {server.name: server for server in system.outside}
    lines: Iterator[str] = iter(())
    if name in components:
        lines = _order_lines(components[name], graph, root)
    elif name in outside:
        lines = _outside_lines(outside[name], graph, root)
    return "\n".join(lines), [*components, *outside]


def _outside_lines(server: Server, graph: Graph, root: Path) -> Iterator[str]:
    where = f"{type(server).__name__}, {server.host}, declared at {server.location.relative_to(root)}"
    yield f"{server.name} is outside of the system and in no wave ({where})."
    edges = [caller.edge for caller in graph.callers.get(server, ())]
    width = max((len(edge.source.subject) for edge in edges), default=0)
    for edge in edges:
        what = f"needs {edge.endpoint.name} {edge.endpoint.service_port}"
        yield f"  {edge.source.subject:{width}}  {what}  ({edge.location.relative_to(root)})"


def _order_lines(component: Component, graph: Graph, root: Path) -> Iterator[str]:
    from constructs_lib.derive.explanation import explain_order

    chain, others, followers = explain_order(component, graph)
    name = component.title
    if not chain:
        yield f"{name} is in wave 0: it comes after nothing ({component.location.relative_to(root)})."
    else:
        yield f"{name} is in wave {graph.waves[component.id]}, because of the longest chain below it:"
        width = max(len(name), *(len(dependency.target.title) for dependency in chain))
        for dependency in chain:
            wave = graph.waves[dependency.source.id]
            yield f"  wave {wave}  {dependency.source.title:{width}}  {_reason(dependency, root)}"
        last = chain[-1].target
        yield f"  wave 0  {last.title:{width}}  declared ({last.location.relative_to(root)})"
    if name != component.id:
        yield f"In the cluster and the repository it is called {component.id}, as it was formerly."
    for title, found in (
        ("It also comes after", [(dependency.target, dependency) for dependency in others]),
        ("After it come", [(dependency.source, dependency) for dependency in followers]),
    ):
        if found:
            yield f"{title}:"
            width = max(len(other.title) for other, _ in found)
            for other, dependency in sorted(found, key=lambda pair: pair[0].title):
                yield f"  wave {graph.waves[other.id]}  {other.title:{width}}  {_reason(dependency, root)}"


def _reason(dependency: Dependency, root: Path) -> str:
    return f"{dependency.reason} ({dependency.location.relative_to(root)})"


def _objects(system: System, graph: Graph, name: str, root: Path) -> tuple[str, list[str]]:
    from constructs_lib.derive.explanation import origins

    found: list[str] = []
    names: list[str] = []
    for origin in origins(system, graph):
        metadata = origin.manifest["metadata"]
        short = f"{origin.manifest['kind']}/{metadata['name']}"
        full = f"{origin.manifest['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"
        names.append(short)
        if name in (short, full):
            found.append("\n".join(_origin_lines(origin, root)))
    return "\n".join(found), names


def _origin_lines(origin: Origin, root: Path) -> Iterator[str]:
    metadata = origin.manifest["metadata"]
    where = f" in {metadata['namespace']}" if "namespace" in metadata else ""
    yield (
        f"{origin.manifest['kind']} {metadata['name']}{where} comes from {origin.subject} "
        f"({origin.location.relative_to(root)})"
    )
    width = max((len(words) for words, _ in origin.edges), default=0)
    for words, location in origin.edges:
        yield f"  it opens  {words:{width}}  ({location.relative_to(root)})"
    for location in origin.patches:
        yield f"  patched   ({location.relative_to(root)})"
