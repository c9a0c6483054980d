"""The order of deployment, computed from the declared edges."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from constructs_lib.chains import cycles, longest_chains
from constructs_lib.declare.chart import PodAccess
from constructs_lib.declare.component import Component
from constructs_lib.declare.diagnostics import Location
from constructs_lib.declare.server import Endpoint, Server
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Edge, Workload


@dataclass(frozen=True)
class Dependency:
    """One component waits until another is healthy: why, in words, and the line of the declaration that has it so."""

    source: Component
    target: Component
    reason: str
    location: Location


@dataclass(frozen=True)
class Caller:
    """Pods that call a server, in the namespace of the edge's source, with the labels that select them."""

    labels: tuple[tuple[str, str], ...]
    edge: Edge


class Graph:
    """Everything that follows from the edges of a system: waves, stages and callers. Linear in their number."""

    def __init__(self, system: System) -> None:
        """Compute the order.

        Raises:
            DeclarationError: The declaration has errors, cycles among them.
        """
        self.system = system
        self.scrapers = [component for component in system.components if component.scrapes]
        #: The component that brings each capability of :attr:`Cluster.CAPABILITIES`, where the system has one.
        self.providers = self._find_providers()
        self._check_providers()
        system.report_stale_names()
        for workload in system.workloads:
            with system.diagnostics.at(workload.location):
                workload.complete()
        self.dependencies = {component.id: self._dependencies_of(component) for component in system.components}
        self.waves = self._waves()
        #: The stages that lie before a workload's own: those of what it needs in the same component.
        self.stages: dict[Workload, int] = {}
        for component in system.components:
            self.stages.update(self._stages_of(component))
        system.diagnostics.raise_if_any()
        self.callers = self._callers()
        #: The components with pods that are no workloads of ours and call an endpoint, with what these may exchange.
        self.chart_callers: dict[Endpoint, list[tuple[Component, PodAccess]]] = defaultdict(list)
        for component in system.components:
            for access in component.access:
                for endpoint in access.to_endpoints:
                    self.chart_callers[endpoint].append((component, access))

    def _find_providers(self) -> dict[str, Component]:
        """Return the component that brings each capability, and report every further one."""
        found: dict[str, Component] = {}
        for component in self.system.components:
            for capability in component.brings:
                if (first := found.setdefault(capability, component)) is not component:
                    problem = f"{type(component).__name__} is already declared as {first.id}; one is enough."
                    component.report(problem, component.location)
        return found

    def _check_providers(self) -> None:
        """Report, for the first that needs it, what neither the system nor the cluster brings."""
        provided = (*self.providers, *self.system.environment.cluster.provides)
        scaled = next((workload for workload in self.system.workloads if workload.autoscaled), None)
        if scaled and "metrics-api" not in provided:
            scaled.report(
                "it is autoscaled, and nothing brings the metrics API: declare MetricsServer(system, version=…), or "
                'the cluster with provides=("metrics-api",).',
                scaled.location,
            )
        secretive = next((component for component in self.system.components if component.secrets), None)
        if secretive and "external-secrets" not in provided:
            secretive.report(
                "it has secrets, and nothing brings External Secrets: declare ExternalSecrets(system, version=…), or "
                'the cluster with provides=("external-secrets",).',
                secretive.location,
            )

    def _dependencies_of(self, component: Component) -> list[Dependency]:
        found: dict[str, Dependency] = {}

        def add(target: Component | None, reason: str, location: Location) -> None:
            if target is not None:
                found.setdefault(target.id, Dependency(component, target, reason, location))

        for workload in component.workloads:
            for edge in workload.edges:
                target: Component | None = edge.endpoint.server.component
                if edge.order and target is not component:
                    add(target, _reason(edge), edge.location)
            if workload.autoscaled:
                add(self.providers.get("metrics-api"), f"{workload.name} is scaled by metrics", workload.location)
        for predecessor in component.predecessors:
            add(predecessor.component, predecessor.reason, predecessor.location)
        if component.secrets:
            add(self.providers.get("external-secrets"), "its secrets come from External Secrets", component.location)
        return list(found.values())

    def _waves(self) -> dict[str, int]:
        reasons = {
            id: {dependency.target.id: (dependency.reason, dependency.location) for dependency in found}
            for id, found in self.dependencies.items()
        }
        return {} if self._has_cycles("components", reasons) else longest_chains(reasons)

    def _stages_of(self, component: Component) -> dict[Workload, int]:
        workloads = {workload.name: workload for workload in component.workloads}
        reasons: dict[str, dict[str, tuple[str, Location]]] = {name: {} for name in workloads}
        for workload in component.workloads:
            for edge in workload.edges:
                target: Server = edge.endpoint.server
                if edge.order and isinstance(target, Workload) and target.component is component:
                    reasons[workload.name].setdefault(target.name, (_reason(edge), edge.location))
            for target, reason, location in workload.predecessors:
                reasons[workload.name].setdefault(target.name, (reason, location))
        if self._has_cycles("workloads", reasons, component.id):
            return dict.fromkeys(component.workloads, 0)
        levels = longest_chains(reasons)
        first: dict[str, int] = {}
        for name in sorted(workloads, key=lambda name: levels[name]):
            first[name] = max((first[target] + workloads[target].stages for target in reasons[name]), default=0)
        return {workload: first[name] for name, workload in workloads.items()}

    def _has_cycles(
        self, what: str, reasons: Mapping[str, Mapping[str, tuple[str, Location]]], subject: str = ""
    ) -> bool:
        """Report who waits for each other: ``reasons`` has, by who waits, for whom, and why, with the line."""
        found = cycles(reasons)
        for cycle in found:
            path = [reasons[source][target] for source, target in zip(cycle, cycle[1:] + cycle[:1], strict=True)]
            chain = " → ".join([*cycle, cycle[0]])
            edges = "; ".join(f"{reason} ({location})" for reason, location in path)
            # What comes after something without calling it has no order to leave out.
            or_without = ", or declare it with order=False" if any(" needs " in reason for reason, _ in path) else ""
            problem = f"these {what} wait for each other: {chain}. {edges}. Take one of the edges away{or_without}."
            self.system.diagnostics.report(subject or cycle[-1], problem, path[-1][1])
        return bool(found)

    def _callers(self) -> Mapping[Server, list[Caller]]:
        callers: dict[Server, list[Caller]] = defaultdict(list)
        for workload in self.system.workloads:
            pods = [(workload.selector, workload.edges)]
            pods += [({"app.kubernetes.io/name": name}, edges) for name, edges in workload.helpers.items()]
            for labels, edges in pods:
                for edge in edges:
                    callers[edge.endpoint.server].append(Caller(tuple(labels.items()), edge))
        return callers


def _reason(edge: Edge) -> str:
    return f"{edge.source.name} needs {edge.endpoint.server.name} {edge.endpoint.name}"
