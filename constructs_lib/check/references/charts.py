"""What charts make, compared with what their AppProjects permit."""

from collections.abc import Iterable, Iterator, Mapping

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, grouped
from constructs_lib.text import listed

_MOST = 8


def prove_charts(model: ClusterModel) -> Iterator[Finding]:
    """Yield the Applications whose charts make kinds that their projects refuse."""
    projects = {item.name: project for item, project in model.projects.items()}
    made = grouped((id(known), item) for known, item in model.deployed if item.path in model.homes and item.phases)
    for application in model.applications:
        own = application.item
        project = projects.get(str(own.spec.get("project"))) if own else None
        if own is None or project is None:
            continue
        refused = [item for item in made.get(id(application), ()) if not project.permits_kind(item)]
        if refused:
            kinds = sorted({f"{item.group}/{item.kind}".strip("/") for item in refused})
            problem = f"The AppProject {project.name} does not permit what its chart makes: {listed(kinds, _MOST)}."
            fix = f"Add {to_write(refused)} to the chart in the declaration."
            yield Finding.of("chart-kinds-refused", own, problem, at="spec.project", fix=fix)


def to_write(items: Iterable[Object]) -> str:
    """Return the arguments of a chart that permit some objects."""
    namespaced: set[tuple[str, str]] = set()
    cluster: dict[tuple[str, str], set[str]] = {}
    for item in items:
        if item.namespace:
            namespaced.add((item.group, item.kind))
        else:
            cluster.setdefault((item.group, item.kind), set()).add(item.name)
    parts = {
        "kinds": [_kind(*kind) for kind in sorted(namespaced)],
        "cluster_kinds": [_kind(*kind, names) for kind, names in sorted(cluster.items())],
    }
    return " and ".join(f"{argument}=[{', '.join(kinds)}]" for argument, kinds in parts.items() if kinds)


def _kind(group: str, kind: str, names: Iterable[str] = ()) -> str:
    quoted = [f'"{name}"' for name in sorted(names)]
    tail = f", ({', '.join(quoted)}{',' * (len(quoted) == 1)})" if quoted else ""
    return f'Kind("{group}", "{kind}"{tail})'


def needless(model: ClusterModel, given: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield the kinds that the projects of charts permit, and nothing has that these deploy.

    Args:
        model: What is looked at.
        given: Kinds that a project may permit whatever its Application deploys, by group.
    """
    usual = {(group, kind) for group, kinds in given.items() for kind in kinds}
    for application in model.applications:
        if not application.looked_into or application.unseen or application.item is None:
            continue
        made = {(item.group, item.kind) for known, item in model.deployed if known is application}
        for item in model.kind("AppProject"):
            if item.name == application.item.spec.get("project"):
                listed_kinds = [
                    (str(entry.get("group") or ""), str(entry.get("kind")))
                    for scope in ("cluster", "namespace")
                    for entry in item.spec.get(f"{scope}ResourceWhitelist") or ()
                ]
                found = sorted({"/".join(kind).strip("/") for kind in listed_kinds if kind not in made | usual})
                if found:
                    yield f"{application.name} may deploy kinds that its chart does not make: {listed(found, _MOST)}."
