"""The order of deployment, computed from the declared edges."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.chains import cycles, longest_chains
from constructs_lib.declare.component import Component
from constructs_lib.declare.diagnostics import Location
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Edge, Workload


@dataclass(frozen=True)
class Dependency:
    """One component comes after another.

    Attributes:
        source: The one that waits.
        target: The one that must be healthy first.
        reason: Why, in words.
        location: Line of the declaration from which it follows.
    """

    source: Component
    target: Component
    reason: str
    location: Location


@dataclass(frozen=True)
class Caller:
    """Pods that call a workload.

    Attributes:
        labels: Labels that select them.
        edge: What they call; they are in the namespace of its source.
    """

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
        self._providers = self._find_providers()
        self._check_providers()
        for workload in system.workloads:
            workload.complete()
        self.dependencies = {component.id: self._dependencies_of(component) for component in system.components}
        self.waves = self._waves()
        self._stages: dict[Workload, int] = {}
        for component in system.components:
            self._stages.update(self._stages_of(component))
        system.diagnostics.raise_if_any()
        self.callers = self._callers()

    def first_stage(self, workload: Workload) -> int:
        """Return the stages that lie before a workload's own: those of what it needs in the same component."""
        return self._stages[workload]

    def _find_providers(self) -> dict[str, Component]:
        """Return the component that brings each capability, and report every further one."""
        found: dict[str, Component] = {}
        for component in self.system.components:
            for capability in component.brings:
                if (first := found.setdefault(capability, component)) is not component:
                    component.report(
                        f"{type(component).__name__} is already declared as {first.id}; one is enough.",
                        component.location,
                    )
        return found

    def _check_providers(self) -> None:
        """Report, for the first that needs it, what neither the system nor the cluster brings."""
        provided = (*self._providers, *self.system.environment.cluster.provides)
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
                target = edge.endpoint.workload.component
                if edge.order and target.id != component.id:
                    add(
                        target,
                        f"{workload.name} needs {edge.endpoint.workload.name} {edge.endpoint.name}",
                        edge.location,
                    )
            if workload.autoscaled:
                add(self._providers.get("metrics-api"), f"{workload.name} is scaled by metrics", workload.location)
        for predecessor in component.predecessors:
            add(predecessor.component, predecessor.reason, predecessor.location)
        if component.secrets:
            add(self._providers.get("external-secrets"), "its secrets come from External Secrets", component.location)
        return list(found.values())

    def _waves(self) -> dict[str, int]:
        targets = {id: [dependency.target.id for dependency in found] for id, found in self.dependencies.items()}
        found = cycles(targets)
        for cycle in found:
            self._report_cycle(
                [
                    next(dependency for dependency in self.dependencies[source] if dependency.target.id == target)
                    for source, target in zip(cycle, cycle[1:] + cycle[:1], strict=True)
                ]
            )
        return {} if found else longest_chains(targets)

    def _report_cycle(self, path: Sequence[Dependency]) -> None:
        chain = " → ".join([*(dependency.source.id for dependency in path), path[0].source.id])
        edges = "; ".join(f"{dependency.reason} ({dependency.location})" for dependency in path)
        self.system.diagnostics.report(
            path[-1].source.id,
            f"these components wait for each other: {chain}. {edges}. Take one of the edges away, or declare it with "
            f"order=False.",
            path[-1].location,
        )

    def _stages_of(self, component: Component) -> dict[Workload, int]:
        inner: dict[Workload, list[Edge]] = {
            workload: [edge for edge in workload.edges if edge.order and edge.endpoint.workload.component is component]
            for workload in component.workloads
        }
        targets = {workload: [edge.endpoint.workload for edge in edges] for workload, edges in inner.items()}
        found = cycles(targets)
        for cycle in found:
            path = [
                next(edge for edge in inner[source] if edge.endpoint.workload is target)
                for source, target in zip(cycle, cycle[1:] + cycle[:1], strict=True)
            ]
            names = " → ".join(workload.name for workload in [*cycle, cycle[0]])
            edges = "; ".join(
                f"{edge.source.name} needs {edge.endpoint.workload.name} {edge.endpoint.name} ({edge.location})"
                for edge in path
            )
            self.system.diagnostics.report(
                component.id,
                f"these workloads wait for each other: {names}. {edges}. Take one of the edges away, or declare it "
                f"with order=False.",
                path[-1].location,
            )
        if found:
            return dict.fromkeys(component.workloads, 0)
        levels = longest_chains(targets)
        first: dict[Workload, int] = {}
        for workload in sorted(component.workloads, key=lambda workload: levels[workload]):
            first[workload] = max(
                (first[target] + target.stages for target in targets[workload]),
                default=0,
            )
        return first

    def _callers(self) -> Mapping[Workload, list[Caller]]:
        callers: dict[Workload, list[Caller]] = defaultdict(list)
        for workload in self.system.workloads:
            pods = [(workload.selector, workload.edges)]
            pods += [({"app.kubernetes.io/name": name}, edges) for name, edges in workload.helpers.items()]
            for labels, edges in pods:
                for edge in edges:
                    callers[edge.endpoint.workload].append(Caller(tuple(labels.items()), edge))
        return callers
