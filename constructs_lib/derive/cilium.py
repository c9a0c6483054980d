"""CiliumNetworkPolicies: hosts of the internet, the API server and the nodes by their names, where there is Cilium.

https://docs.cilium.io/en/stable/security/policy/language/
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from constructs_lib.declare.component import Component
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.network import API, Opening, beyond_pods, called, is_by_name, openings
from constructs_lib.kubernetes import platform
from constructs_lib.kubernetes.manifest import Manifest, manifest

#: What Cilium calls the API server, wherever it runs, and the node of a pod and all others.
_API, _NODES = ("kube-apiserver",), ("host", "remote-node")
#: Cilium learns the addresses of a host from the answers that pods get, which its proxy reads where a rule is about
#: names. All may be asked for: the NetworkPolicy for DNS opens the port for all names already, and were only some
#: answered, programs that try search domains first would stop at the first refusal.
_DNS_RULE: Mapping[str, Any] = {
    "toEndpoints": [
        {
            "matchLabels": {
                "k8s:io.kubernetes.pod.namespace": platform.DNS_NAMESPACE,
                **{f"k8s:{name}": value for name, value in platform.DNS_LABELS.items()},
            }
        }
    ],
    "toPorts": [
        {
            "ports": [{"port": str(platform.DNS_PORT), "protocol": protocol} for protocol in platform.DNS_PROTOCOLS],
            "rules": {"dns": [{"matchPattern": "*"}]},
        }
    ],
}


def cilium_policies(component: Component, graph: Graph) -> Iterator[Manifest]:
    """Yield the CiliumNetworkPolicies of a component: one for every kind of pods that calls something by its name."""
    pods: list[tuple[str, Mapping[str, str], Iterable[Opening]]] = [
        *((each.name, each.selector, openings(each, graph)) for each in component.workloads),
        *(
            (name, {"app.kubernetes.io/name": name}, called(edges))
            for each in component.workloads
            for name, edges in each.helpers.items()
        ),
        *((each.name, each.pods, beyond_pods(component, each)) for each in component.access),
    ]
    cluster = component.system.environment.cluster
    for name, labels, every in pods:
        if found := [opening for opening in every if is_by_name(cluster, opening)]:
            yield manifest(
                "cilium.io/v2",
                "CiliumNetworkPolicy",
                name,
                component.namespace_name,
                {"app.kubernetes.io/part-of": component.system.name},
                spec={"endpointSelector": {"matchLabels": dict(labels)}, "egress": [*_rules(found)]},
            )


def _rules(found: Iterable[Opening]) -> Iterator[dict[str, Any]]:
    hosts: dict[tuple[tuple[int, ...], str], set[str]] = {}
    for opening in found:
        if opening.host:
            hosts.setdefault((opening.ports, opening.protocol), set()).add(opening.host)
        else:
            yield {"toEntities": [*(_API if opening.peer == API else _NODES)], "toPorts": _ports(opening.ports)}
    for (ports, protocol), names in sorted(hosts.items()):
        yield {"toFQDNs": [{"matchName": name} for name in sorted(names)], "toPorts": _ports(ports, protocol)}
    if hosts:
        yield dict(_DNS_RULE)


def _ports(ports: Iterable[int], protocol: str = "TCP") -> list[dict[str, Any]]:
    return [{"ports": [{"port": str(port), "protocol": protocol} for port in ports]}]
