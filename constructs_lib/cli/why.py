"""The command ``why``: explain the wave of a component, or where an object comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from constructs_lib.cli.app import App, CommandError
from constructs_lib.cli.completion import components, environments
from constructs_lib.cli.output import FORMAT, Format, result_console, write_json
from constructs_lib.declare.declaration import run_all
from constructs_lib.declare.system import System
from constructs_lib.text import nearest

if TYPE_CHECKING:
    from constructs_lib.declare.component import Component
    from constructs_lib.declare.server import Server
    from constructs_lib.derive.explanation import Origin
    from constructs_lib.derive.graph import Dependency, Graph

#: The version of the document in JSON: increased when an entry is removed or changes its meaning.
VERSION = 1


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
    form: Format = FORMAT,
) -> None:
    """Explain the wave of a component, or which line of the declaration an object comes from.

    Example: python app.py why gateway

    Example: python app.py why NetworkPolicy/rabbitmq production
    """
    from constructs_lib.derive.graph import Graph

    app: App = context.obj
    name = name.removeprefix("Component/")
    find = _objects if "/" in name else _order
    # Environments that have the same answer share it.
    answers: list[dict[str, Any]] = []
    known: set[str] = set()

    def answer(system: System) -> None:
        found, names = find(system, Graph(system), name, app.root)
        known.update(names)
        same = next((each for each in answers if each.items() >= found.items()), None)
        if same:
            same["environments"].append(system.environment.name)
        elif found:
            answers.append({"environments": [system.environment.name], **found})

    run_all(app.declaration, app.choose(names or []), answer)
    if not answers:
        kind, slash, _ = name.partition("/")
        alike = {other for other in known if other.startswith(f"{kind}{slash}")} if slash else known
        missing = "object" if slash else "component"
        raise CommandError(f'There is no {missing} "{name}"; {nearest(name, alike or known)}')
    if form == "json":
        write_json({"version": VERSION, "name": name, "answers": answers})
        return
    out = result_console()
    for each in answers:
        text = "\n".join(_lines(each))
        out.print(f"{', '.join(each['environments'])}: {text}")


def _order(system: System, graph: Graph, name: str, root: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the answer about a component or what is outside, empty if there is none, and the names that there are."""
    components = {name: each for each in system.components for name in (each.id, each.title)}
    outside = {server.name: server for server in system.outside}
    found: dict[str, Any] = {}
    if name in components:
        found = {"component": _component(components[name], graph, root)}
    elif name in outside:
        found = {"outside": _outside(outside[name], graph, root)}
    return found, [*components, *outside]


def _outside(server: Server, graph: Graph, root: Path) -> dict[str, Any]:
    edges = [caller.edge for caller in graph.callers.get(server, ())]
    return {
        "name": server.name,
        "construct": type(server).__name__,
        "host": server.host,
        "declared": server.location.relative_to(root),
        "needed_by": [
            {
                "workload": edge.source.subject,
                "endpoint": edge.endpoint.name,
                "port": edge.endpoint.service_port,
                "declared": edge.location.relative_to(root),
            }
            for edge in edges
        ],
    }


def _component(component: Component, graph: Graph, root: Path) -> dict[str, Any]:
    from constructs_lib.derive.explanation import explain_order

    def steps(found: Iterable[tuple[Component, Dependency]]) -> list[dict[str, Any]]:
        return [
            {
                "wave": graph.waves[each.id],
                "component": each.title,
                "reason": dependency.reason,
                "declared": dependency.location.relative_to(root),
            }
            for each, dependency in found
        ]

    chain, others, followers = explain_order(component, graph)
    return {
        "name": component.title,
        "id": component.id,
        "wave": graph.waves[component.id],
        "declared": component.location.relative_to(root),
        "chain": steps((each.source, each) for each in chain),
        "first": {"component": chain[-1].target.title, "declared": chain[-1].target.location.relative_to(root)}
        if chain
        else None,
        "also_after": sorted(steps((each.target, each) for each in others), key=itemgetter("component")),
        "before": sorted(steps((each.source, each) for each in followers), key=itemgetter("component")),
    }


def _objects(system: System, graph: Graph, name: str, root: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the answer about objects, empty if there is none, and the names that there are."""
    from constructs_lib.derive.explanation import origins

    found: list[dict[str, Any]] = []
    names: list[str] = []
    for origin in origins(system, graph):
        kind, metadata = origin.manifest["kind"], origin.manifest["metadata"]
        short = f"{kind}/{metadata['name']}"
        names.append(short)
        if name in (short, f"{kind}/{metadata.get('namespace', '')}/{metadata['name']}"):
            found.append(_origin(origin, root))
    return {"objects": found} if found else {}, names


def _origin(origin: Origin, root: Path) -> dict[str, Any]:
    metadata = origin.manifest["metadata"]
    return {
        "kind": origin.manifest["kind"],
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
        "construct": origin.subject,
        "declared": origin.location.relative_to(root),
        "opens": [{"what": words, "declared": location.relative_to(root)} for words, location in origin.edges],
        "patched": [patch.location.relative_to(root) for patch in origin.patches],
    }


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield an answer as people read it."""
    if "component" in answer:
        yield from _component_lines(answer["component"])
    elif "outside" in answer:
        yield from _outside_lines(answer["outside"])
    for each in answer.get("objects", ()):
        yield from _object_lines(each)


def _outside_lines(server: Mapping[str, Any]) -> Iterator[str]:
    where = f"{server['construct']}, {server['host']}, declared at {server['declared']}"
    yield f"{server['name']} is outside of the system and in no wave ({where})."
    width = max((len(edge["workload"]) for edge in server["needed_by"]), default=0)
    for edge in server["needed_by"]:
        yield f"  {edge['workload']:{width}}  needs {edge['endpoint']} {edge['port']}  ({edge['declared']})"


def _component_lines(component: Mapping[str, Any]) -> Iterator[str]:
    name, chain, first = component["name"], component["chain"], component["first"]
    if not first:
        yield f"{name} is in wave 0: it comes after nothing ({component['declared']})."
    else:
        yield f"{name} is in wave {component['wave']}, because of the longest chain below it:"
        last = {"wave": 0, "component": first["component"], "reason": "declared", "declared": first["declared"]}
        yield from _steps([*chain, last])
    if name != component["id"]:
        yield f"In the cluster and the repository it is called {component['id']}, as it was formerly."
    for title, found in (
        ("It also comes after", component["also_after"]),
        ("After it come", component["before"]),
    ):
        if found:
            yield f"{title}:"
            yield from _steps(found)


def _steps(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    width = max(len(step["component"]) for step in steps)
    for step in steps:
        yield f"  wave {step['wave']}  {step['component']:{width}}  {step['reason']} ({step['declared']})"


def _object_lines(found: Mapping[str, Any]) -> Iterator[str]:
    where = f" in {found['namespace']}" if found["namespace"] else ""
    yield f"{found['kind']} {found['name']}{where} comes from {found['construct']} ({found['declared']})"
    width = max((len(opening["what"]) for opening in found["opens"]), default=0)
    for opening in found["opens"]:
        yield f"  it opens  {opening['what']:{width}}  ({opening['declared']})"
    for place in found["patched"]:
        yield f"  patched   ({place})"
