"""Patches, applied to what was derived: before AppProjects permit it, and before anything is pinned.

What a patch may not change is what makes an object this one, what Kubernetes refuses to change, and what the order and
the pins rest on.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from constructs_lib.argocd.objects import WAVE
from constructs_lib.declare.component import Addition, Component
from constructs_lib.declare.patch import Patch
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.kubernetes.manifest import Manifest, digest, inner, mapping, mappings, texts_in
from constructs_lib.kubernetes.objects import Object
from constructs_lib.kubernetes.patching import PatchError, merged
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.text import joined, nearest

#: Kinds that are made of a component and not in it.
ARGOCD_KINDS = ("Application", "AppProject")
#: Of a Job whose name changes with what it does.
_DIGEST = re.compile(r"-([0-9a-f]{8,10})$")
_PATCHED = "checksum/patched"
_NAME = "app.kubernetes.io/name"

_OTHER_OBJECT = "that would be another object: make one of your own with cdk8s.ApiObject, and leave this one"
_SELECTOR = "Kubernetes changes no selector, and policies and Services know the pods by it: add labels beside it"
_ORDER = "the wave follows from needs() and after(): declare there what it comes after"
_IN_NAMESPACE = "say namespace=… where its component is declared"
_SELECTING = frozenset(
    {"DaemonSet", "Deployment", "Job", "PodDisruptionBudget", "ReplicaSet", "Service", "StatefulSet"}
)
_FIXED = (
    (("apiVersion",), _OTHER_OBJECT),
    (("kind",), _OTHER_OBJECT),
    (("metadata", "name"), "it is named by its id: declare it under another one"),
    (("metadata", "namespace"), _IN_NAMESPACE),
    (("metadata", "annotations", WAVE), _ORDER),
)
_FIXED_OF = {
    **dict.fromkeys(_SELECTING, ((("spec", "selector"), _SELECTOR),)),
    "NetworkPolicy": ((("spec", "podSelector"), _SELECTOR),),
    "CiliumNetworkPolicy": ((("spec", "endpointSelector"), _SELECTOR),),
    "Application": (
        (("spec", "project"), "a component has a project of its own: patch the AppProject"),
        (("spec", "destination"), _IN_NAMESPACE),
    ),
    "AppProject": ((("spec", "sourceIntegrity"), "say signed_by=… of the Environment"),),
}
#: What the guard of the bootstrap lets no AppProject have, and what names of repositories and kinds it lets have.
_UNGUARDED = ("destinationServiceAccounts", "roles", "sourceNamespaces")
_BY_BOOTSTRAP = "the guard of the bootstrap refuses it: rights of people and accounts are the bootstrap's"
_WITHOUT_STARS = "the guard of the bootstrap refuses patterns: name each"
#: What publish pins, and what says where an Application reads.
_SOURCE = ("repoURL", "path", "chart", "targetRevision")
_SOURCES = (
    "publish pins what it reads, and plan reads it there: the repository and the branch are those of "
    "GitRepository(…), and a chart's are arguments of HelmChart"
)


#: What an object follows from.
Source = Component | Workload | Addition


@dataclass(frozen=True)
class Derived:
    """An object, what it follows from, and what changed it."""

    manifest: Manifest
    source: Source
    patches: tuple[Patch, ...] = ()


def patched_objects(component: Component, objects: Sequence[Derived]) -> list[Derived]:
    """Return the objects of a component with their patches applied; what is wrong with one is reported."""
    result = [*objects]
    for patch in component.patches:
        if patch.kind in ARGOCD_KINDS and patch.source is component:
            continue
        if (number := _meant(patch, result)) is not None:
            each = result[number]
            if after := _applied(patch, each.manifest):
                result[number] = replace(each, manifest=after, patches=(*each.patches, patch))
    return _rolled(result) if any(each.patches for each in result) else result


def patched(manifest: Manifest, source: Component | System) -> Manifest:
    """Return an Application or AppProject of a component, or the root Application, with its patches applied."""
    for patch in patches_of(manifest, source):
        name = manifest["metadata"]["name"]
        if patch.name not in (None, name):
            _report(patch, f'its {patch.kind} is called "{name}", and not "{patch.name}".')
        else:
            manifest = _applied(patch, manifest) or manifest
    return manifest


def patches_of(manifest: Manifest, source: Component | System) -> list[Patch]:
    """Return the patches of an Application or AppProject."""
    return [patch for patch in source.patches if patch.source is source and patch.kind == manifest["kind"]]


def _report(patch: Patch, problem: str) -> None:
    patch.source.report(f"patch(): {problem}", patch.location)


def _meant(patch: Patch, objects: Sequence[Derived]) -> int | None:
    """Return the place of the object that a patch is meant for; that there is none, or several, is reported."""
    own = [each for each in objects if patch.source is each.source or isinstance(patch.source, Component)]
    kinds = {_object(each).full_kind if "/" in patch.kind else each.manifest["kind"] for each in own}
    if not (alike := [each for each in own if patch.kind in (each.manifest["kind"], _object(each).full_kind)]):
        others = [each for each in objects if patch.kind in (each.manifest["kind"], _object(each).full_kind)]
        if others or patch.kind in ARGOCD_KINDS:
            _report(patch, f"the {patch.kind} is the component's: say component.patch(…) in the place of this.")
        else:
            known = f"it has no {patch.kind}; {nearest(patch.kind, kinds | {*ARGOCD_KINDS})}"
            _report(patch, f"{known}{_unseen(patch)}")
        return None
    called = patch.name or (patch.source.id if isinstance(patch.source, Component) else patch.source.name)
    found = [
        each
        for each in alike
        if (_is_called(each.manifest, called) or (patch.name is None and len(alike) == 1))
        and patch.namespace in (None, _object(each).namespace)
    ]
    if len(found) == 1:
        return objects.index(found[0])
    names = sorted({each.manifest["metadata"]["name"] for each in alike})
    if found:
        places = joined(sorted({f'namespace="{_object(each).namespace}"' for each in found}), "or")
        groups = joined(sorted({f'"{_object(each).full_kind}"' for each in found}), "or")
        _report(patch, f"there are several {patch.kind} {called}; say which: {places if ' or ' in places else groups}.")
    elif patch.name is None:
        _report(patch, f"there are several {patch.kind}; say which with name=…: {joined(names, 'or')}.")
    elif patch.name in names:
        places = joined(sorted({_object(each).namespace for each in alike}), "or")
        _report(patch, f'{patch.kind} "{patch.name}" is in {places}, and not in {patch.namespace}.')
    else:
        _report(patch, f'it has no {patch.kind} "{patch.name}"; {nearest(patch.name, names)}{_unseen(patch)}')
    return None


def _unseen(patch: Patch) -> str:
    """Return why an object may be none here, as a further sentence: Argo CD renders the charts that are not kept."""
    chart = patch.source.chart_source if isinstance(patch.source, Component) else None
    if chart is None or chart.is_committed:
        return ""
    return " What Argo CD renders of its chart is out of reach: say it in values=…, or declare it with rendered=True."


def _object(derived: Derived) -> Object:
    return Object(derived.manifest, "", str(derived.manifest["metadata"].get("namespace", "")))


def _is_called(manifest: Manifest, name: str) -> bool:
    """Tell whether an object has a name; a Job may be called without what changes with its content."""
    own = manifest["metadata"]["name"]
    return own == name or (manifest["kind"] == "Job" and _DIGEST.sub("", own) == name)


def _applied(patch: Patch, manifest: Manifest) -> Manifest | None:
    """Return an object with a patch applied; None if the patch is wrong, which is reported."""
    what = f'the {manifest["kind"]} "{manifest["metadata"]["name"]}"'
    try:
        after = merged(manifest, patch.change)
    except PatchError as error:
        _report(patch, f"of {what}, {error}")
        return None
    if after == manifest:
        _report(patch, f"it changes nothing in {what}; take it away.")
        return None
    problems = [*_other_object(manifest, after)] or [*_other_ground(manifest, after)]
    for path, advice in problems:
        _report(patch, f"{path} of {what} cannot be patched: {advice}.")
    return None if problems else after


def _other_object(before: Manifest, after: Manifest) -> Iterator[tuple[str, str]]:
    """Yield what a patch has changed and may not, of any object, each with what to use in its place."""
    return ((".".join(path), advice) for path, advice in _FIXED if inner(before, *path) != inner(after, *path))


def _other_ground(before: Manifest, after: Manifest) -> Iterator[tuple[str, str]]:
    """Yield what a patch has changed and may not, of an object of some kind, each with what to use in its place."""
    for path, advice in _FIXED_OF.get(before["kind"], ()):
        if inner(before, *path) != inner(after, *path):
            yield ".".join(path), advice
    if before["kind"] == "AppProject":
        yield from _beyond_the_guard(mapping(after.get("spec")))
    elif before["kind"] == "Application":
        if _sources(before) != _sources(after):
            yield "what spec.source names", _SOURCES
    elif labels := _selecting_labels(before):
        template = pods_of(Object(after, "", ""))
        if template is None or not labels.items() <= template.labels.items():
            yield f"the label {joined(labels, 'or')} of the pods", _SELECTOR


def _beyond_the_guard(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what an AppProject may not have: ``bootstrap/argocd/guard.yaml`` would keep Argo CD from applying it."""
    for field in _UNGUARDED:
        if spec.get(field):
            yield f"spec.{field}", _BY_BOOTSTRAP
    for field in ("destinations", "namespaceResourceWhitelist", "sourceRepos"):
        if any("*" in text or text.startswith("!") for text in texts_in(spec.get(field))):
            yield f"spec.{field}", _WITHOUT_STARS
    if "namespaceResourceWhitelist" not in spec:
        yield "spec.namespaceResourceWhitelist", _WITHOUT_STARS


def _sources(application: Manifest) -> list[tuple[Any, ...]]:
    spec = mapping(application.get("spec"))
    sources = mappings(spec.get("sources")) if "sources" in spec else [mapping(spec.get("source"))]
    return [tuple(source.get(field) for field in _SOURCE) for source in sources]


def _selecting_labels(manifest: Manifest) -> dict[str, str]:
    """Return those labels of a workload's pods by which it, policies and Services know them."""
    pods = pods_of(Object(manifest, "", ""))
    if pods is None or pods.owner.kind == "Pod":
        return {}
    selected = {*mapping(inner(manifest, "spec", "selector", "matchLabels")), _NAME}
    return {name: value for name, value in pods.labels.items() if name in selected}


def _rolled(objects: Sequence[Derived]) -> list[Derived]:
    """Return objects in which pods start anew once a ConfigMap that they read is patched.

    They have a checksum of what is patched beside the one that their kind gives them. A Job cannot be changed: one that
    has a digest in its name has another one.
    """
    maps = {
        (_object(each).namespace, _object(each).name): each.manifest.get("data")
        for each in objects
        if each.manifest["kind"] == "ConfigMap" and each.patches
    }
    result = []
    for each in objects:
        pods = pods_of(_object(each))
        read = [
            [name, data]
            for (namespace, name), data in sorted(maps.items())
            if pods
            and namespace == pods.namespace
            and any((reference.kind, reference.name) == ("ConfigMap", name) for reference in pods.references)
        ]
        manifest = each.manifest
        if pods and read and pods.owner.kind != "Pod":
            note: Any = {"metadata": {"annotations": {_PATCHED: digest(read)}}}
            for field in reversed(pods.path.removesuffix(".spec").split(".")):
                note = {field: note}
            manifest = merged(manifest, note)
        if manifest["kind"] == "Job" and (each.patches or read) and isinstance(each.source, Workload):
            name = manifest["metadata"]["name"]
            if found := _DIGEST.search(name):
                length = len(found[1])
                name = f"{name[:-length]}{digest([name, manifest['spec']], length)}"
                manifest = merged(manifest, {"metadata": {"name": name}})
        result.append(replace(each, manifest=manifest))
    return result
