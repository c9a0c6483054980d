"""All objects of one component, in the order in which Argo CD applies them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from constructs_lib.argocd.objects import WAVE
from constructs_lib.declare.component import Component
from constructs_lib.declare.secret import SecretReference
from constructs_lib.declare.workload import Workload
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.namespace import namespace
from constructs_lib.derive.network import DEFAULT_DENY, DNS, network_policies
from constructs_lib.derive.secrets import external_secret
from constructs_lib.kubernetes.manifest import Manifest, protected
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED

#: Kinds of objects that a data store can lose: it keeps running, with its data, and closed to strangers.
_REPEATABLE = frozenset({"CronJob", "HorizontalPodAutoscaler", "Job"})
#: Kinds that pods may refer to, so they are set up before any pod.
_SET_UP = frozenset({"ConfigMap", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"})


def is_cluster_scoped(manifest: Manifest) -> bool:
    """Tell whether an object of ours, or of a well-known kind, has no namespace."""
    return manifest["kind"] in CLUSTER_SCOPED


@dataclass(frozen=True)
class Derived:
    """An object and what it follows from."""

    manifest: Manifest
    source: Component | Workload


def component_manifests(component: Component, graph: Graph) -> list[Manifest]:
    """Return all objects of a component, as :func:`component_objects` does."""
    return [derived.manifest for derived in component_objects(component, graph)]


def component_objects(component: Component, graph: Graph) -> list[Derived]:
    """Return all objects of a component, each with its sync wave, ordered by wave, kind and name.

    Wave 0 sets up; then come the stages of the workloads, those of what is needed first. A chart's own objects have
    no wave of ours and so are in wave 0: there the set-up comes before, in wave -1.

    What a construct of cdk8s may not make is reported as an error and left out.
    """
    staged: list[tuple[int, Manifest, Component | Workload]] = [*_set_up(component, graph)]
    for workload in component.workloads:
        before = graph.first_stage(workload)
        made = [*workload.manifests()]
        _check_variables(workload, [manifest for _, manifest in made])
        for stage, manifest in made:
            if workload.holds_data and manifest["kind"] not in _REPEATABLE:
                _protect(manifest)
            staged.append((before + stage if stage else 0, manifest, workload))
    last = max(stage for stage, _, _ in staged)
    staged += [(stage, manifest, component) for stage, manifest in _constructs(component, last)]
    # In a component with a chart, stage 1 is the chart.
    late, offset = (2, -1) if component.chart_source else (last + 1, 0)
    staged += [(late, manifest, component) for manifest in component.late_manifests(graph.waves)]
    objects: dict[tuple[str, str, str, str], Derived] = {}
    for stage, manifest, source in staged:
        metadata = manifest["metadata"]
        annotations = metadata.setdefault("annotations", {})
        annotations.setdefault(WAVE, str(stage + offset))
        metadata["annotations"] = dict(sorted(annotations.items()))
        group = manifest["apiVersion"].rpartition("/")[0]
        identity = (group, manifest["kind"], metadata.get("namespace", ""), metadata["name"])
        if identity in objects:
            where = f" in the namespace {namespace}" if (namespace := metadata.get("namespace")) else ""
            component.report(
                f'there are two objects {manifest["kind"]} "{metadata["name"]}"{where}; rename one of them.',
                component.location,
            )
        objects[identity] = Derived(manifest, source)
    return sorted(objects.values(), key=_order)


def _order(derived: Derived) -> tuple[int, str, str, str]:
    metadata = derived.manifest["metadata"]
    return (
        int(metadata["annotations"][WAVE]),
        derived.manifest["kind"],
        metadata.get("namespace", ""),
        metadata["name"],
    )


def _set_up(component: Component, graph: Graph) -> Iterator[tuple[int, Manifest, Component | Workload]]:
    yield 0, namespace(component), component
    stores = {workload.name for workload in component.workloads if workload.holds_data}
    owners = {name: workload for workload in component.workloads for name in (workload.name, *workload.helpers)}
    for policy in network_policies(component, graph):
        name = policy["metadata"]["name"]
        if component.keeps_data and name in {DEFAULT_DENY, DNS, *stores}:
            _protect(policy)
        yield 0, policy, owners.get(name, component)
    secret = external_secret(component)
    if secret is not None:
        yield 0, secret, component


def _check_variables(workload: Workload, manifests: Sequence[Manifest]) -> None:
    """Report variables that a kind written by a user passes on to no container, and whose values it uses nowhere."""
    if type(workload).manifests.__module__.startswith("constructs_lib.") or not workload.environment:
        return
    text = str(manifests)
    for name, value in workload.environment.items():
        if name not in text and (isinstance(value, SecretReference) or str(value) not in text):
            workload.report(
                f"it is told {name}, and no container gets it: manifests() of {type(workload).__name__} has to pass on "
                f"what container_variables(self) returns.",
                workload.location,
            )


def _protect(manifest: Manifest) -> None:
    """Let an object live on with the data store that needs it, when the store's manifests are removed."""
    annotations = manifest["metadata"].setdefault("annotations", {})
    for name, value in protected().items():
        annotations.setdefault(name, value)


def _constructs(component: Component, last: int) -> Iterator[tuple[int, Manifest]]:
    """Yield what cdk8s constructs inside of the component made, in its namespace."""
    for manifest in component.construct_manifests():
        wave = str(manifest["metadata"].get("annotations", {}).get(WAVE, "0"))
        if not wave.lstrip("-").isdecimal():
            component.report(
                f'the {manifest["kind"]} "{manifest["metadata"]["name"]}" has the sync wave {wave!r}; a whole number '
                f"is needed.",
                component.location,
            )
            continue
        if manifest["kind"] == "Secret" and (manifest.get("data") or manifest.get("stringData")):
            component.report(
                f'the Secret "{manifest["metadata"]["name"]}" would put its values into Git; use generated("…") or '
                f'supplied("…").',
                component.location,
            )
        metadata = manifest["metadata"]
        if not is_cluster_scoped(manifest):
            metadata = {"name": metadata["name"], "namespace": component.namespace_name, **metadata}
        yield 0 if manifest["kind"] in _SET_UP else max(last, 1), {**manifest, "metadata": metadata}
