"""What runs in a cluster and was deployed by something else, as a folder of manifests or a dump of kubectl tells it.

Argo CD takes over what has the same group, kind, namespace and name, and leaves alone what nobody declares. Of an
object that a cluster has, it changes what is declared, and takes away what was applied before and is declared no more.
"""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.argocd.objects import Object, parse
from constructs_lib.kubernetes.manifest import Manifest, mapping, mappings
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.kubernetes.objects import CLUSTER_SCOPED, Identity
from constructs_lib.plan.change import Change, Reason
from constructs_lib.plan.fields import by_name
from constructs_lib.plan.leftovers import APPLIED, handover, in_namespace, owned, with_leftovers
from constructs_lib.repository.applications import ALL_OBJECTS, Application, Reader
from constructs_lib.repository.snapshot import Snapshot

_APPLICATION = "argoproj.io/Application"
_TRACKING = "argocd.argoproj.io/tracking-id"
_INSTANCE = "app.kubernetes.io/instance"
#: Who else has an object, by the mark that it leaves there, and what is to be done about it.
_OWNERS = yaml.load(Path(__file__).with_name("owners.yaml").read_bytes(), Loader=yaml.CSafeLoader)
#: Groups of Kubernetes' own whose kinds have namespaces unless they are known to have none.
_BUILTIN = {"discovery.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io"}
#: What Kubernetes makes by itself: kinds, and objects by kind and name.
_MADE_KINDS = {"ControllerRevision", "Endpoints", "EndpointSlice", "Event", "Lease", "Node", "PodMetrics"}
_MADE = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
_MADE_SECRETS = {"helm.sh/release.v1", "kubernetes.io/service-account-token"}


def is_foreign(old: Snapshot, folder: str | None) -> bool:
    """Tell whether a tree is what runs, and was made by something else: it has no Applications where ours are."""
    return bool(folder and old.files and not old.environments)


def running(
    old: Snapshot, wanted: Sequence[Application], cache: Cache
) -> tuple[list[Application], Mapping[Identity, Object]]:
    """Return what runs by who deploys it, and the objects as they are in the tree, by their identity.

    Namespaces of which nothing is declared are left out, and what Kubernetes or a controller makes by itself.

    Args:
        old: Manifests, or what ``kubectl get --output yaml`` prints.
        wanted: What is to be deployed.
        cache: Remembers what was read.
    """
    declared = {
        item.identity: item
        for each in wanted
        for path, content in each.files.items()
        for item in each.read(path, content)
    }
    namespaces = {namespace for _, _, namespace, _ in declared}
    found = [_placed(item) for path in sorted(old.files) for item in parse(path, old.files[path], cache)]
    found = [
        item
        for item in found
        if (item.identity in declared or (item.namespace and item.namespace in namespaces)) and not _is_made(item)
    ]
    applications = {item.name: item for item in found if item.full_kind == _APPLICATION}
    parts: dict[str, dict[str, bytes]] = {}
    for number, item in enumerate(found):
        owner = "" if item.full_kind == _APPLICATION else _tracked_by(item, applications.keys())
        known = _told(item, declared.get(item.identity))
        parts.setdefault(owner, {})[f"{item.path}#{number}.yaml"] = json.dumps(known).encode()
    reader = Reader({path: content for files in parts.values() for path, content in files.items()}, cache)
    group = Application(name=ALL_OBJECTS, item=None, parent=None, reader=reader, files=parts.pop("", {}))
    groups = [group]
    for name in dict.fromkeys([*applications, *parts]):
        item = applications.get(name) or _unknown(name)
        groups.append(Application(name=name, item=item, parent=group, reader=reader, files=parts.get(name, {})))
    return groups, {item.identity: item for item in found}


def with_owners(change: Change, items: Mapping[Identity, Object], server_side: Set[str]) -> Change:
    """Return the change of an object with who else has it, which is dangerous: they change it back, or delete it.

    What others have applied stays beside what an Application applies on the server's side; ``server_side`` names those
    that do.
    """
    item = items.get(change.identity)
    if change.component in server_side:
        change = with_leftovers(change, item)
    if item is None or change.action != "change":
        return change
    known = {each.name for each in items.values() if each.full_kind == _APPLICATION}
    for entry in _OWNERS:
        mark = item.labels.get(entry["label"]) if "label" in entry else item.annotations.get(entry["annotation"])
        if entry.get("annotation") == _TRACKING:
            mark = _tracked_by(item, known)
        if mark and mark != change.component:
            names = {"name": mark, "namespace": item.namespace, "kind": item.kind.lower(), "object": item.name}
            names["handover"] = f"{given}. " if (given := handover(item)) and given != change.fix else ""
            names["home"] = _home(item, items)
            names["where"] = in_namespace(item)
            told = Reason(entry["text"].format(**names), entry["source"])
            fix = ". ".join(filter(None, (change.fix, entry["fix"].format(**names))))
            change = replace(change, reasons=(*change.reasons, told), fix=fix, dangerous=True)
    return change


def _placed(item: Object) -> Object:
    """Return an object in the namespace in which kubectl makes it."""
    if item.namespace or item.kind in CLUSTER_SCOPED or (item.group not in _BUILTIN and "." in item.group):
        return item
    return Object(item.manifest, item.path, "default")


def _is_made(item: Object) -> bool:
    """Tell whether Kubernetes, a controller or Helm has made an object for itself."""
    secret = item.kind == "Secret" and item.manifest.get("type") in _MADE_SECRETS
    owned = mappings(item.metadata.get("ownerReferences"))
    return bool(owned) or secret or item.kind in _MADE_KINDS or (item.kind, item.name) in _MADE


def _tracked_by(item: Object, known: Set[str]) -> str:
    """Return the name of the Application that has an object; empty if none has.

    The label is what Helm's charts have as well, so that it counts only if there is such an Application.
    """
    if tracking := item.annotations.get(_TRACKING):
        return tracking.partition(":")[0].rpartition("_")[2]
    label = item.labels.get(_INSTANCE, "")
    return label if label in known else ""


def _home(item: Object, items: Mapping[Identity, Object]) -> str:
    """Return the namespace of the Application that has an object, which its mark names if it is not Argo CD's own."""
    owner = item.annotations.get(_TRACKING, "").partition(":")[0]
    namespace, _, name = owner.rpartition("_")
    known = (each.namespace for each in items.values() if each.full_kind == _APPLICATION and each.name == name)
    return namespace or next(known, "argocd")


def _unknown(name: str) -> Object:
    """Return an Application of which nothing is known."""
    metadata = {"name": name, "namespace": "argocd"}
    return Object({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata}, "", "argocd")


def _told(item: Object, declared: Object | None) -> Manifest:
    """Return of an object of a cluster what is declared, and what was applied before; of any other, all of it."""
    if declared is None or "uid" not in item.metadata:
        return item.manifest
    try:
        applied = json.loads(item.annotations[APPLIED]) if APPLIED in item.annotations else owned(item)
    except ValueError:
        applied = {}
    # Argo CD's own mark is none of what was applied.
    marks = {key: mark for key, mark in item.annotations.items() if key != _TRACKING}
    live = {**item.manifest, "metadata": {**item.metadata, "annotations": marks}}
    told = _part(live, declared.manifest, mapping(applied))
    # What identifies it is there in any case, whatever version of the API is declared.
    identity = {"name": item.name, **({"namespace": item.namespace} if item.namespace else {})}
    metadata = {**mapping(told.get("metadata")), **identity}
    return {**told, "apiVersion": declared.manifest["apiVersion"], "kind": item.kind, "metadata": metadata}


def _part(live: Any, declared: Any, applied: Any) -> Any:
    """Return what there is of the fields that are declared, or were applied; items of lists by what identifies them."""
    if isinstance(live, dict) and (isinstance(declared, dict) or (declared is None and isinstance(applied, dict))):
        wanted, before = mapping(declared), mapping(applied)
        parts = {
            key: _part(value, wanted.get(key), before.get(key))
            for key, value in live.items()
            if key in wanted or key in before
        }
        # Of what only others have put there, nothing is left.
        return {key: part for key, part in parts.items() if part or not live[key] or key in wanted}
    if isinstance(live, list) and (isinstance(declared, list) or (declared is None and isinstance(applied, list))):
        pairs = [by_name(live, each) if isinstance(each, list) else None for each in (declared, applied)]
        if there := next((found[0] for found in pairs if found), None):
            wanted, before = (found[1] if found else {} for found in pairs)
            return [
                _part(value, wanted.get(key), before.get(key))
                for key, value in there.items()
                if key in {**wanted, **before}
            ]
    return live
