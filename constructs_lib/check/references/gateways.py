"""Whether what routes name is there and lets them: grants of other namespaces, middlewares, subsets, Istio's Gateways.

Services and Gateways of the Gateway API are looked at in :mod:`constructs_lib.check.references.routes`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.routes import GATEWAY
from constructs_lib.kubernetes.manifest import entries, inner, mappings, sequence
from constructs_lib.text import hint

_ISTIO = "networking.istio.io"
_CODE = "route-reference-missing"


def prove_gateways(model: ClusterModel) -> Iterator[Finding]:
    """Yield what routes name that is not there, or does not permit it."""
    for item in model.kind("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"):
        if item.group == GATEWAY:
            for at, rule in entries(item.spec.get("rules"), "spec.rules"):
                for here, backend in entries(rule.get("backendRefs"), f"{at}.backendRefs"):
                    yield from _grant(model, item, here, backend)
    for item in model.kind("IngressRoute", "IngressRouteTCP"):
        for at, route in entries(item.spec.get("routes"), "spec.routes"):
            for here, each in entries(route.get("middlewares"), f"{at}.middlewares"):
                kind = "MiddlewareTCP" if item.kind.endswith("TCP") else "Middleware"
                if "@" not in str(each.get("name")):
                    yield from _named(model, item, here, kind, str(each.get("namespace") or item.namespace), each)
    for item in model.kind("VirtualService"):
        if item.group == _ISTIO:
            yield from _virtual_service(model, item)


def _named(
    model: ClusterModel, item: Object, at: str, kind: str, namespace: str, reference: Mapping[str, Any]
) -> Iterator[Finding]:
    name = str(reference.get("name"))
    if model.get(kind, namespace, name, item.group) is None and model.lacks(kind, namespace, name):
        yield Finding.missing(_CODE, item, f"{at}.name", kind, name, model.names(kind, namespace), namespace)


def _grant(model: ClusterModel, item: Object, at: str, backend: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a backend in another namespace that does not permit it."""
    namespace, name = str(backend.get("namespace") or item.namespace), str(backend.get("name"))
    kind = str(backend.get("kind") or "Service")
    if namespace == item.namespace or not model.lacks("ReferenceGrant", namespace, name):
        return
    for grant in model.kind("ReferenceGrant"):
        froms, tos = mappings(grant.spec.get("from")), mappings(grant.spec.get("to"))
        if (
            grant.namespace == namespace
            and any((each.get("kind"), each.get("namespace")) == (item.kind, item.namespace) for each in froms)
            and any(each.get("kind") == kind and each.get("name", name) == name for each in tos)
        ):
            return
    problem = f"No ReferenceGrant of the namespace {namespace} lets it lead to the {kind} {name}."
    yield Finding.of("route-not-granted", item, problem, at=at)


def _virtual_service(model: ClusterModel, item: Object) -> Iterator[Finding]:
    for number, named in enumerate(map(str, sequence(item.spec.get("gateways")))):
        namespace, _, name = named.rpartition("/")
        if named != "mesh":
            reference = {"name": name}
            at = f"spec.gateways[{number}]"
            yield from _named(model, item, at, "Gateway", namespace or item.namespace, reference)
    subsets: dict[str, set[str]] = {}
    for each in model.kind("DestinationRule"):
        names = {str(subset.get("name")) for subset in mappings(each.spec.get("subsets"))}
        subsets.setdefault(_full(str(each.spec.get("host")), each.namespace), set()).update(names)
    for kind in ("http", "tls", "tcp"):
        for at, rule in entries(item.spec.get(kind), f"spec.{kind}"):
            for here, route in entries(rule.get("route"), f"{at}.route"):
                host, subset = inner(route, "destination", "host"), inner(route, "destination", "subset")
                known = subsets.get(_full(str(host), item.namespace))
                if isinstance(subset, str) and subset not in (known or ()) and (known is not None):
                    problem = f"No DestinationRule for {host} has a subset {subset}."
                    fix, field = hint("subset", subset, known), f"{here}.destination.subset"
                    yield Finding.of(_CODE, item, problem, at=field, fix=fix)


def _full(host: str, namespace: str) -> str:
    labels = host.split(".")
    return f"{labels[0]}.{labels[1] if len(labels) > 1 else namespace}"
