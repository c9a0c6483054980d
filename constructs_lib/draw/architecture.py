"""The architecture of a system as a diagram: who runs where, and who calls whom.

Facts are read from a workload's Kubernetes objects and not from its arguments, so that a kind of the user's own is
drawn as well as ours.
"""

from collections.abc import Iterator, Sequence

from constructs_lib.declare.component import Component
from constructs_lib.declare.role import Role
from constructs_lib.declare.server import Endpoint, Server
from constructs_lib.declare.workload import InternetHost, Workload
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.yields import yielded
from constructs_lib.draw.diagram import Diagram, Edge, Node, Row, Section, Side, Style
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.text import plural

#: Ids of what is outside; a colon is in no name of Kubernetes.
USERS = ":users"
_CONTROLLERS = ("Deployment", "StatefulSet", "DaemonSet")


def architecture(graph: Graph) -> Diagram:
    """Return the architecture of a system."""
    system = graph.system
    edges = (*_edges(graph),)
    nodes = [_node(component) for component in system.components]
    if any(edge.source == USERS for edge in edges):
        nodes.insert(0, Node(USERS, "Users", Role.OUTSIDE, ("from the internet",), side=Side.BEFORE))
    for host in dict.fromkeys(host for workload in system.workloads for host in workload.internet):
        nodes.append(Node(_host_id(host), host.host, Role.OUTSIDE, (f"port {host.port}",), side=Side.BEHIND))
    for server in system.outside:
        if any(edge.target == _server_id(server) for edge in edges):
            ports = (f"{endpoint.name} {endpoint.service_port}" for endpoint in server.endpoints.values())
            facts = (server.host, ", ".join(ports))
            nodes.append(Node(_server_id(server), server.name, Role.OUTSIDE, facts, side=Side.BEHIND))
    environment = system.environment.name
    return Diagram(
        title=f"Architecture of {system.name} in {environment}",
        description=f"{plural(len(system.components), 'component')} in the Kubernetes cluster of {environment}. "
        + " ".join(f"{edge.meaning}." for edge in edges),
        nodes=tuple(nodes),
        edges=edges,
        boundary=f"{system.name} · {environment} · Kubernetes cluster",
    )


def _host_id(host: InternetHost) -> str:
    return f":internet:{host.host}:{host.port}"


def _server_id(server: Server) -> str:
    return f"{server.component.id if server.component else ':outside'}/{server.name}"


def _endpoint_id(endpoint: Endpoint) -> str:
    own = _server_id(endpoint.server)
    # What is outside is one box.
    return f"{own}/{endpoint.name}" if endpoint.server.component else own


def _node(component: Component) -> Node:
    sections = (*map(_section, component.workloads), *_chart_sections(component))
    facts = (f"namespace {component.namespace_name}",)
    return Node(component.id, component.title, role_of_component(component), facts, sections)


def _section(workload: Workload) -> Section:
    own = {edge.endpoint.name for edge in workload.edges if edge.endpoint.server is workload}

    def note(endpoint: Endpoint) -> str:
        """Return who alone uses an endpoint; nothing is said of one that others call, Prometheus among them."""
        if endpoint.name in own:
            return "among its pods"
        return "inside of its pod" if endpoint.internal and not endpoint.metrics else ""

    rows = tuple(
        Row(_endpoint_id(endpoint), endpoint.name, str(endpoint.service_port), note(endpoint))
        for endpoint in workload.endpoints.values()
    )
    kind, role = type(workload).__name__, role_of_workload(workload)
    return Section(_server_id(workload), workload.name, kind, role, facts(workload), rows)


def _chart_sections(component: Component) -> Iterator[Section]:
    if chart := component.chart_source:
        others = [f"pods {access.name}" for access in component.access if not access.scrapes]
        facts = (f"version {chart.version}", *others)
        yield Section(f"{component.id}:", chart.name, chart.what, Role.PLATFORM, facts)
    for server in component.servers:
        rows = tuple(
            Row(_endpoint_id(endpoint), endpoint.name, str(endpoint.service_port), "")
            for endpoint in server.endpoints.values()
        )
        yield Section(_server_id(server), server.name, "Service", Role.PLATFORM, (), rows)
    for access in component.access:
        if access.scrapes:
            yield Section(f"{component.id}:{access.name}", access.name, "pods", Role.PLATFORM, ("reads metrics",))


def _edges(graph: Graph) -> Iterator[Edge]:
    metrics = []
    for workload in graph.system.workloads:
        yield from _workload_edges(workload)
        metrics += [endpoint for endpoint in workload.endpoints.values() if endpoint.metrics]
    for scraper in graph.scrapers:
        for access in scraper.access:
            if access.scrapes:
                for endpoint in metrics:
                    meaning = f"{access.name} reads metrics of {_named(endpoint)}"
                    yield Edge(f"{scraper.id}:{access.name}", _endpoint_id(endpoint), Style.SCRAPES, meaning)


def _workload_edges(workload: Workload) -> Iterator[Edge]:
    source = _server_id(workload)
    for endpoint in workload.endpoints.values():
        if endpoint.port in workload.ports_of_users:
            yield Edge(USERS, _endpoint_id(endpoint), Style.REACHES, f"Users reach {_named(endpoint)}")
    for edge in workload.edges:
        if edge.endpoint.server is not workload:
            verb, style = ("needs", Style.NEEDS) if edge.order else ("calls", Style.LATER)
            meaning = f"{workload.name} {verb} {_named(edge.endpoint)}"
            yield Edge(source, _endpoint_id(edge.endpoint), style, meaning)
    for host in dict.fromkeys(workload.internet):
        yield Edge(source, _host_id(host), Style.REACHES, f"{workload.name} calls {host.host} {host.port}")


def _named(endpoint: Endpoint) -> str:
    return f"{endpoint.server.name} {endpoint.name} {endpoint.service_port}"


def role_of_workload(workload: Workload) -> Role:
    """Return what a workload is for."""
    return Role.ENTRY if workload.ports_of_users else workload.role


def role_of_component(component: Component) -> Role:
    """Return what a component is for: its most visible workload decides."""
    roles = {role_of_workload(workload) for workload in component.workloads}
    visible = (Role.ENTRY, Role.SERVICE, Role.MESSAGING, Role.STORE)
    return component.role or next((role for role in visible if role in roles), Role.SERVICE)


def facts(workload: Workload) -> tuple[str, ...]:
    """Return what runs a workload, what stands before it, what it stores on and what serves it, a line each."""
    objects = [manifest for _, manifest in yielded(workload) or ()]
    return (*_chains(objects), *_services(objects), *_volumes(workload, objects), *_tasks(workload, objects))


def _of(objects: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in objects if manifest["kind"] in kinds]


def _chains(objects: Sequence[Manifest]) -> Iterator[str]:
    specs = [scaler["spec"] for scaler in _of(objects, "HorizontalPodAutoscaler")]
    scales = {(spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]): spec for spec in specs}
    for controller in _of(objects, *_CONTROLLERS):
        kind = controller["kind"]
        scale = scales.get((kind, controller["metadata"]["name"]))
        chain = [f"HPA {scale.get('minReplicas', 1)}–{scale['maxReplicas']}"] if scale else []
        chain += [kind, "ReplicaSet"] if kind == "Deployment" else [kind]
        chain.append("pods" if scale or kind == "DaemonSet" else plural(controller["spec"].get("replicas", 1), "pod"))
        yield " → ".join(chain)


def _services(objects: Sequence[Manifest]) -> Iterator[str]:
    specs = [service["spec"] for service in _of(objects, "Service")]
    if specs:
        types = ("headless" if spec.get("clusterIP") == "None" else spec.get("type", "ClusterIP") for spec in specs)
        yield f"Service {' + '.join(types)}"


def _volumes(workload: Workload, objects: Sequence[Manifest]) -> Iterator[str]:
    for controller in _of(objects, *_CONTROLLERS):
        for claim in controller["spec"].get("volumeClaimTemplates", ()):
            yield f"volume {_size(claim)} a pod"
    for claim in _of(objects, "PersistentVolumeClaim"):
        yield f"volume {_size(claim)} {claim['metadata']['name'].removeprefix(f'{workload.name}-')}"


def _size(claim: Manifest) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def _tasks(workload: Workload, objects: Sequence[Manifest]) -> Iterator[str]:
    tasks = []
    for task in _of(objects, "Job", "CronJob"):
        metadata = task["metadata"]
        name = metadata.get("labels", {}).get("app.kubernetes.io/name", metadata["name"])
        if own := name.removeprefix(workload.name).removeprefix("-"):
            tasks.append(f"{task['kind']} {own}")
        elif schedule := task["spec"].get("schedule"):
            tasks.append(f"at {schedule}")
    if tasks:
        yield ", ".join(tasks)
