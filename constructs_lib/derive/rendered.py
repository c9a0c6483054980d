"""What charts and folders of others hold, where the repository keeps it: the pattern of rendered manifests.

Nobody but Helm, or Kustomize, knows it. So this is the only consequence that asks a program, and, for what is not in
the user's cache, the network; the same declaration gives the same bytes all the same.
"""

from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.declare.component import Component
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, texts
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.repository.rendering import Charts, NotRenderedError, Release
from constructs_lib.text import within

_DEFINITION = "CustomResourceDefinition"


def rendered_objects(component: Component) -> list[tuple[int, Manifest]]:
    """Return the objects of a component whose manifests are rendered and committed, each with its stage.

    Definitions of kinds come in stage 0, everything else in stage 1; hooks keep what they say. What cannot be rendered,
    and what may not be in Git, is reported as an error.
    """
    source = component.chart_source
    if source is None or not source.is_committed:
        return []
    release = Release(component.id, component.namespace_name, component.system.environment.cluster.kubernetes)
    try:
        files = Charts().render(source.source(component.id), release, twice=True)
    except NotRenderedError as reason:
        problem = f"rendered=True: synth renders the {source.what} {source.name}, and cannot: {reason}."
        component.report(problem, component.location)
        return []
    manifests = [*_read(component, files)]
    cluster = {
        (str(inner(made, "spec", "group")), str(inner(made, "spec", "names", "kind")))
        for made in manifests
        if made["kind"] == _DEFINITION and inner(made, "spec", "scope") == "Cluster"
    } | {(kind.group, kind.kind) for kind in component.cluster_kinds}
    placed: list[tuple[int, Manifest]] = []
    for made in manifests:
        kind, metadata = made["kind"], made["metadata"]
        if kind not in CLUSTER_SCOPED and (made["apiVersion"].rpartition("/")[0], kind) not in cluster:
            made["metadata"] = {"name": metadata["name"], "namespace": component.namespace_name, **metadata}
        if kind == "Secret" and (made.get("data") or made.get("stringData")):
            where = within(made["metadata"].get("namespace", ""))
            remedy = "have its values name a Secret that exists, such as that of secrets={…}, or leave rendered out"
            name = f'the Secret "{metadata["name"]}"{where}'
            problem = f"rendered=True: the chart makes {name} with its values, which would be in Git; {remedy}."
            component.report(problem, component.location)
        _check_pods(component, made)
        placed.append((0 if kind == _DEFINITION else 1, made))
    return placed


def _check_pods(component: Component, made: Manifest) -> None:
    """Report pods that no policy would be about but that which closes their namespace."""
    namespace = made["metadata"].get("namespace", "")
    pods = pods_of(Object(made, "", namespace))
    if pods is None or namespace != component.namespace_name or pods.spec.get("hostNetwork") is True:
        return
    if any(access.pods.items() <= pods.labels.items() for access in component.access):
        return
    labels = texts(inner(made, "spec", "selector", "matchLabels")) or pods.labels
    name = made["metadata"]["name"]
    written = ", ".join(f'"{key}": "{value}"' for key, value in labels.items())
    problem = (
        f"rendered=True: no PodAccess is about the pods of the {made['kind']} {name}, so that they could neither be "
        f'called nor call anybody; add PodAccess("{name}", {{{written}}}) to access=[…], with what else they exchange.'
    )
    component.report(problem, component.location)


def holds_data(manifest: Manifest) -> bool:
    """Tell whether an object is a volume, or makes some."""
    kind = manifest["kind"]
    return kind == "PersistentVolumeClaim" or (
        kind == "StatefulSet" and bool(inner(manifest, "spec", "volumeClaimTemplates"))
    )


def _read(component: Component, files: dict[str, bytes]) -> Iterator[Manifest]:
    for path, content in files.items():
        manifests = Cache().manifests(path, content)
        if isinstance(manifests, str):
            component.report(f"rendered=True: {path} of the chart cannot be read: {manifests}.", component.location)
            continue
        for made in manifests:
            if mapping(made.get("metadata")).get("name"):
                yield made
            else:
                problem = f"rendered=True: {path} of the chart has a {made['kind']} without a name."
                component.report(problem, component.location)
