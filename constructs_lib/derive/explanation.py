"""Why things are as they are: the chain behind a wave, and the line behind an object."""

from collections.abc import Iterator
from dataclasses import dataclass

from constructs_lib.declare.component import Component
from constructs_lib.declare.diagnostics import Location
from constructs_lib.declare.patch import Patch
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.derive.applications import app_project, application, root_application, root_project
from constructs_lib.derive.graph import Dependency, Graph
from constructs_lib.derive.manifests import component_objects
from constructs_lib.derive.network import called, is_by_name, openings
from constructs_lib.derive.patches import Source, patches_of
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.patching import comes_of


@dataclass(frozen=True)
class Origin:
    """What an object follows from: a construct, as ``Microservice gateway``, and the line that declares it.

    The edges of a NetworkPolicy are what it opens, in words, each with the line that wants it; the patches are those
    that were applied to it, in their order.
    """

    manifest: Manifest
    subject: str
    location: Location
    edges: tuple[tuple[str, Location], ...] = ()
    patches: tuple[Patch, ...] = ()

    def location_of(self, field: str) -> Location:
        """Return the line that a field follows from: that of the last patch that sets it, or else that of the object.

        Args:
            field: The field, such as ``spec.ports[0].name``; empty for all of the object.
        """
        setting = (patch.location for patch in reversed(self.patches) if comes_of(patch.change, self.manifest, field))
        return next(setting, self.location)


def explain_order(component: Component, graph: Graph) -> tuple[list[Dependency], list[Dependency], list[Dependency]]:
    """Return why a component is in its wave.

    That is the longest chain of dependencies below it, one for each wave (of several, the one declared first), what
    else it comes after, and what comes after it.
    """
    chain: list[Dependency] = []
    current = component
    while below := graph.dependencies[current.id]:
        # Waves are lengths of longest chains, so one of those below is exactly one wave lower.
        dependency = next(found for found in below if graph.waves[found.target.id] == graph.waves[current.id] - 1)
        chain.append(dependency)
        current = dependency.target
    others = [dependency for dependency in graph.dependencies[component.id] if dependency not in chain]
    every = (dependency for found in graph.dependencies.values() for dependency in found)
    return chain, others, [dependency for dependency in every if dependency.target is component]


def origins(system: System, graph: Graph) -> Iterator[Origin]:
    """Yield every object of a system with what it follows from."""
    for component in system.components:
        manifests: list[Manifest] = []
        for derived in component_objects(component, graph):
            manifests.append(derived.manifest)
            source = derived.source
            edges: tuple[tuple[str, Location], ...] = ()
            if isinstance(source, Workload) and derived.manifest["kind"] in ("CiliumNetworkPolicy", "NetworkPolicy"):
                edges = tuple(_opened(source, graph, derived.manifest))
            yield Origin(derived.manifest, _subject(source), source.location, edges, derived.patches)
        for manifest in (app_project(component, manifests), application(component, graph)):
            patches = tuple(patches_of(manifest, component))
            yield Origin(manifest, _subject(component), component.location, patches=patches)
    for manifest in (root_project(system), root_application(system)):
        patches = tuple(patches_of(manifest, system))
        yield Origin(manifest, f"System {system.name}", system.location, patches=patches)


def _subject(source: Source) -> str:
    name = source.id if isinstance(source, Component) else source.subject
    return f"{type(source).__name__} {name}"


def _opened(workload: Workload, graph: Graph, policy: Manifest) -> dict[tuple[str, Location], None]:
    """Return what a policy opens to and from the pods that it is about, each once."""
    name, cluster = policy["metadata"]["name"], graph.system.environment.cluster
    every = called(workload.helpers[name]) if name in workload.helpers else openings(workload, graph)
    found = [each for each in every if is_by_name(cluster, each) is (policy["kind"] == "CiliumNetworkPolicy")]
    return dict.fromkeys((opening.reason, opening.location) for opening in found)
