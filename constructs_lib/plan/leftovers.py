"""What stays of an object that a cluster has beside what is declared, when Argo CD applies it on the server's side.

The API server takes away what was applied before under the same name, and nothing else: what kubectl or another
Application applied on the client's side, and what the API server filled in then, stays. Where two fields exclude each
other, it refuses the object in Argo CD's comparison already, before Argo CD migrates what kubectl has applied.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import inner, mapping, mappings
from constructs_lib.kubernetes.workloads import pods_of
from constructs_lib.plan.change import Change, Verdict, reason
from constructs_lib.text import listed

#: The name under which Argo CD applies on the server's side.
_MANAGER = "argocd-controller"
#: Where a client that applies keeps what it has applied.
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_HANDLERS = ("exec", "grpc", "httpGet", "sleep", "tcpSocket")
#: Where the strategy stands whose type excludes the fields of another; OnDelete of a DaemonSet excludes none.
_STRATEGIES = {"apps/Deployment": "strategy", "apps/StatefulSet": "updateStrategy"}
_ALONE = ("OnDelete", "Recreate")


def with_leftovers(change: Change, live: Object | None) -> Change:
    """Return the change of an object with what stays beside what is declared, and is refused together with it."""
    if live is None or change.action != "change" or not change.new or "uid" not in live.metadata:
        return change
    if not (left := clashing(live, Object(change.new, change.file, live.namespace))):
        return change
    by_hand = f"kubectl {in_namespace(live)}edit {live.kind.lower()} {live.name}"
    told = reason("stays-beside", fields=listed(left))
    fix = handover(live) or f"Set it by hand to what is declared, without {listed(left)}: {by_hand}"
    return replace(change, reasons=(told, *change.reasons), fix=change.fix or fix, dangerous=True)


def clashing(live: Object, declared: Object) -> list[str]:
    """Return the fields of a live object that may not stand beside what is declared, and stay all the same."""
    wanted = dict(_alternatives(declared))
    owned = next((each for each in _managers(live) if _is(each, _MANAGER, "Apply")), {})
    return [
        f"{path}.{field}"
        for path, fields in _alternatives(live)
        for field in sorted(fields)
        if wanted.get(path) and field not in wanted[path] and field != "type"
        # What was filled in is of nobody, even if all that was applied is Argo CD's.
        if not owned or (field == "rollingUpdate" and not _owns_strategy(owned, path))
    ]


def tell_what_was_filled_in(verdict: Verdict, old: Object, new: Object) -> None:
    """Tell of a strategy that nobody declared and the API server filled in: it stays beside one that excludes it."""
    at = _STRATEGIES.get(new.full_kind, "")
    before, after = mapping(old.spec.get(at)), mapping(new.spec.get(at))
    if not at or before.get("rollingUpdate") or before.get("type") not in (None, "RollingUpdate"):
        return
    if after.get("type") in _ALONE and not after.get("rollingUpdate"):
        verdict.because("filled-in-stays", field=f"spec.{at}.rollingUpdate", type=after["type"])


def handover(live: Object) -> str:
    """Return how Argo CD gets the fields that were applied on the client's side; empty if none were.

    It changes nothing but who has them, as Argo CD does itself for what kubectl has applied, once it syncs.
    """
    found = [number for number, each in enumerate(_managers(live)) if _has_applied(each)]
    if not found and (_managers(live) or APPLIED not in live.annotations):
        return ""
    number = found[0] if found else 0
    by_argocd = "argocd.argoproj.io/tracking-id" in live.annotations.get(APPLIED, "")
    manager = _managers(live)[number]["manager"] if found else _MANAGER if by_argocd else "kubectl-client-side-apply"
    at = f"/metadata/managedFields/{number}"
    patch = [
        {"op": "test", "path": f"{at}/manager", "value": manager},
        {"op": "replace", "path": f"{at}/manager", "value": _MANAGER},
        {"op": "replace", "path": f"{at}/operation", "value": "Apply"},
    ]
    patched = f"patch {live.kind.lower()} {live.name} --type json --patch '{json.dumps(patch)}'"
    command = f"kubectl {in_namespace(live)}{patched}"
    return f"Give Argo CD the fields that {manager} has, which changes nothing else: {command}"


def in_namespace(item: Object) -> str:
    """Return the option by which kubectl finds an object, with a blank after it; nothing if it has no namespace."""
    return f"--namespace {item.namespace} " if item.namespace else ""


def owned(live: Object) -> Any:
    """Return what an Argo CD has applied of an object on the server's side, as far as kubectl tells it."""
    found = [mapping(each.get("fieldsV1")) for each in _managers(live) if _is(each, _MANAGER, "Apply")]
    return _part(live.manifest, found[0]) if found else {}


def _part(value: Any, fields: Mapping[str, Any]) -> Any:
    """Return what some fields name of a value (https://kubernetes.io/docs/reference/using-api/server-side-apply/)."""
    if isinstance(value, dict) and fields:
        return {
            key: _part(each, fields[f"f:{key}"])
            for key, each in value.items()
            # Without an entry, they are Argo CD's and what is in them is not.
            if fields.get(f"f:{key}") or (f"f:{key}" in fields and key not in ("annotations", "labels"))
        }
    if isinstance(value, list) and fields:
        keyed = [(json.loads(key[2:]), inside) for key, inside in fields.items() if key.startswith("k:")]
        return [
            _part(each, inside)
            for each in value
            for key, inside in keyed
            if isinstance(each, dict) and key.items() <= each.items()
        ]
    return value


def _alternatives(item: Object) -> Iterator[tuple[str, set[str]]]:
    """Yield where only one of several fields may be, and which are there."""
    if at := _STRATEGIES.get(item.full_kind):
        strategy = mapping(item.spec.get(at))
        # Of the other types, the name is all there is.
        other = {"type"} if strategy.get("type") in _ALONE else set()
        yield f"spec.{at}", {"rollingUpdate"} & strategy.keys() or other
    pods = pods_of(item)
    for path, volume in pods.volumes if pods else ():
        yield path, _set(volume, *(volume.keys() - {"name"}))
    for container in pods.containers if pods else ():
        for name, handler in container.handlers:
            yield f"{container.path}.{name}", _set(handler, *_HANDLERS)
        for variable in mappings(container.get("env")):
            path, source = f"{container.path}.env[{variable.get('name')}]", mapping(variable.get("valueFrom"))
            yield path, _set(variable, "value", "valueFrom")
            yield f"{path}.valueFrom", _set(source, *source)


def _set(item: Mapping[str, Any], *fields: str) -> set[str]:
    return {field for field in fields if item.get(field) not in (None, "")}


def _managers(live: Object) -> list[Mapping[str, Any]]:
    """Return who has which fields, which kubectl tells with ``--show-managed-fields``."""
    return [*mappings(live.metadata.get("managedFields"))]


def _is(entry: Mapping[str, Any], manager: str, operation: str) -> bool:
    return (entry.get("manager"), entry.get("operation")) == (manager, operation)


def _has_applied(entry: Mapping[str, Any]) -> bool:
    return entry.get("operation") == "Update" and f"f:{APPLIED}" in mapping(
        inner(entry, "fieldsV1", "f:metadata", "f:annotations")
    )


def _owns_strategy(entry: Mapping[str, Any], path: str) -> bool:
    return inner(entry, "fieldsV1", "f:spec", f"f:{path.rpartition('.')[2]}", "f:rollingUpdate") is not None
