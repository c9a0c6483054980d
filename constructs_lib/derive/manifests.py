"""All objects of one component, in the order in which Argo CD applies them."""

import re
from collections.abc import Iterator, Mapping, Sequence

from constructs_lib.argocd.objects import HELM_HOOK, HOOK_WEIGHT, WAVE
from constructs_lib.declare.component import Component, PodSecurity
from constructs_lib.derive.cilium import cilium_policies
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.images import loosened
from constructs_lib.derive.network import DEFAULT_DENY, DNS, closed, network_policies
from constructs_lib.derive.patches import Derived, Source, patched_objects
from constructs_lib.derive.places import check_place
from constructs_lib.derive.promises import check_promises
from constructs_lib.derive.rendered import holds_data, rendered_objects
from constructs_lib.derive.rotation import ask_for_restart, reload_rights
from constructs_lib.derive.secrets import external_secrets, store_manifests
from constructs_lib.derive.yields import yielded, yielded_late
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import Manifest, manifest, mapping, protected
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED
from constructs_lib.text import within

#: Kinds of objects that a data store can lose: it keeps running, with its data, and closed to strangers.
_REPEATABLE = frozenset({"CronJob", "HorizontalPodAutoscaler", "Job"})
_WHOLE = re.compile(r"[-+]?[0-9]{1,9}")
#: Kinds that pods may refer to, so they are set up before any pod.
_SET_UP = frozenset({"ConfigMap", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"})


def component_manifests(component: Component, graph: Graph) -> list[Manifest]:
    """Return all objects of a component, as :func:`component_objects` does."""
    return [derived.manifest for derived in component_objects(component, graph)]


def component_objects(component: Component, graph: Graph) -> list[Derived]:
    """Return all objects of a component, each with its sync wave, ordered by wave, kind and name.

    Wave 0 sets up, and before it comes what secrets are read with; then come the stages of the workloads, those of what
    is needed first. A chart's own objects have no wave of ours and so are in wave 0: there all of that comes before.

    What a construct of cdk8s may not make is reported as an error and left out.
    """
    rendered = rendered_objects(component)
    if any(holds_data(each) for _, each in rendered):
        component.holds_data = True
    staged: list[tuple[int, Manifest, Source]] = [*_set_up(component, graph)]
    for stage, each in rendered:
        if holds_data(each):
            _protect(each)
        staged.append((stage, each, component))
    for workload in component.workloads:
        before = graph.stages[workload]
        found = yielded(workload)
        if found is not None:
            check_promises(workload, [each for _, each in found])
        for stage, each in found or ():
            if workload.holds_data and each["kind"] not in _REPEATABLE:
                _protect(each)
            staged.append((before + stage if stage else 0, each, workload))
    last = max(stage for stage, _, _ in staged)
    staged += [(stage, each, component) for stage, each in _constructs(component, last)]
    # In a component with a chart, stage 1 is the chart.
    chart = component.chart_source
    late, offset = (2, -1) if chart and not chart.is_committed else (last + 1, 0)
    staged += [(late, each, component) for each in yielded_late(component, graph.waves)]
    # What a route leads to is there before it.
    staged += [(late, each, made) for made in component.additions for each in made.manifests(component)]
    objects: dict[tuple[str, str, str, str], Derived] = {}
    for stage, each, source in staged:
        ask_for_restart(component, graph, each, source)
        kind, metadata = each["kind"], each["metadata"]
        annotations = metadata.setdefault("annotations", {})
        annotations.setdefault(WAVE, _weight(annotations) or str(stage + offset))
        metadata["annotations"] = dict(sorted(annotations.items()))
        identity = (each["apiVersion"].rpartition("/")[0], kind, metadata.get("namespace", ""), metadata["name"])
        if identity in objects:
            where = within(metadata.get("namespace", ""))
            problem = f'there are two objects {kind} "{metadata["name"]}"{where}; rename one of them.'
            component.report(problem, component.location)
        objects[identity] = Derived(each, source)
        check_place(component, objects[identity])
    environment = component.system.environment
    patched = (loosened(each, environment) for each in patched_objects(component, [*objects.values()]))
    return sorted(patched, key=_order)


def _weight(annotations: Mapping[str, str]) -> str:
    """Return the weight of a hook of Helm, which is its wave for Argo CD; empty for what is no such hook.

    One without a weight has 0, among the others of its phase: a wave of ours would put it behind them.
    """
    weight = annotations.get(HOOK_WEIGHT, "0" if HELM_HOOK in annotations else "")
    return weight if _WHOLE.fullmatch(weight) else ""


def _order(derived: Derived) -> tuple[int, str, str, str]:
    kind, metadata = derived.manifest["kind"], derived.manifest["metadata"]
    return int(metadata["annotations"][WAVE]), kind, metadata.get("namespace", ""), metadata["name"]


def _set_up(component: Component, graph: Graph) -> Iterator[tuple[int, Manifest, Source]]:
    # An ExternalSecret that comes before its store fails, and the sync with it.
    first = -1 if component.secrets else 0
    namespace = _namespace(component, component.namespace_name, component.pod_security, component.keeps_data)
    yield first, namespace, component
    for name, level in component.further_namespaces.items():
        yield 0, _namespace(component, name, level, False), component
        yield 0, closed(component, name), component
    stores = {workload.name for workload in component.workloads if workload.holds_data}
    owners = {name: workload for workload in component.workloads for name in (workload.name, *workload.helpers)}
    for policy in (*network_policies(component, graph), *cilium_policies(component, graph)):
        name = policy["metadata"]["name"]
        if component.keeps_data and name in {DEFAULT_DENY, DNS, *stores}:
            _protect(policy)
        yield 0, policy, owners.get(name, component)
    for each in reload_rights(component, graph):
        yield first, each, component
    if component.secrets:
        for each in store_manifests(component, graph):
            yield first, each, component
        for each in external_secrets(component):
            yield 0, each, component


def _namespace(component: Component, name: str, level: PodSecurity, keeps_data: bool) -> Manifest:
    """Return a Namespace with its Pod Security level, protected if something in it holds data.

    https://kubernetes.io/docs/concepts/security/pod-security-admission/
    """
    version = f"v{component.system.environment.cluster.kubernetes}"
    return manifest(
        "v1",
        "Namespace",
        name,
        None,
        {
            "app.kubernetes.io/part-of": component.system.name,
            platform.ENFORCE: level,
            f"{platform.ENFORCE}-version": version,
            "pod-security.kubernetes.io/warn": level,
            "pod-security.kubernetes.io/warn-version": version,
        },
        annotations=protected() if keeps_data else None,
    )


def _protect(manifest: Manifest) -> None:
    """Let an object live on with the data store that needs it, when the store's manifests are removed."""
    annotations = manifest["metadata"].setdefault("annotations", {})
    for name, value in protected().items():
        annotations.setdefault(name, value)


def _unfolded(component: Component, manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    """Yield objects, and in the place of lists (of YAML that is included, for instance) what is in them.

    As with kubectl, the items of a list such as a ConfigMapList need not say what they are.
    """
    for made in manifests:
        items = made.get("items")
        if not isinstance(items, list):
            yield made
            continue
        kind, version = made["kind"], made["apiVersion"]
        implied = {} if kind == "List" else {"apiVersion": version, "kind": kind.removesuffix("List")}
        for number, item in enumerate(items):
            whole = {**implied, **mapping(item)}
            listed = isinstance(whole.get("items"), list)
            known = (whole.get("apiVersion"), whole.get("kind"), listed or mapping(whole.get("metadata")).get("name"))
            if all(known):
                yield from _unfolded(component, [whole])
            else:
                problem = f"items[{number}] of a {kind} inside of it lacks its apiVersion, its kind or its name."
                component.report(problem, component.location)


def _constructs(component: Component, last: int) -> Iterator[tuple[int, Manifest]]:
    """Yield what cdk8s constructs inside of the component made, in its namespace."""
    for made in _unfolded(component, component.construct_manifests()):
        kind, metadata = made["kind"], made["metadata"]
        wave = str(metadata.get("annotations", {}).get(WAVE, "0"))
        if not wave.lstrip("-").isdecimal():
            problem = f'the {kind} "{metadata["name"]}" has the sync wave {wave!r}; a whole number is needed.'
            component.report(problem, component.location)
            continue
        if kind == "Secret" and (made.get("data") or made.get("stringData")):
            remedy = 'use generated("…") or supplied("…").'
            problem = f'the Secret "{metadata["name"]}" would put its values into Git; {remedy}'
            component.report(problem, component.location)
        if kind not in CLUSTER_SCOPED:
            metadata = {"name": metadata["name"], "namespace": component.namespace_name, **metadata}
        yield 0 if kind in _SET_UP else max(last, 1), {**made, "metadata": metadata}
