"""Proof that what leads into the cluster is encrypted."""

from collections.abc import Iterator

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.manifest import mappings, sequence
from constructs_lib.text import listed

#: Words in annotations by which controllers are told of certificates or of encryption that is not in the Ingress.
_ELSEWHERE = ("cert", "ssl", "tls", "https")
#: Domains of hosts that are somebody's own machine: RFC 6761, and names of addresses.
_LOCAL = (".localhost", ".local", ".test", ".internal", ".nip.io", ".sslip.io")


def edge_findings(model: ClusterModel) -> Iterator[Finding]:
    """Yield the Ingresses and Gateways that serve hosts in plain HTTP, but for those of a laptop."""
    if not model.has_applications or model.cluster.kind == "k3d":
        return
    covered = [
        {str(host) for entry in mappings(item.spec.get("tls")) for host in sequence(entry.get("hosts"))}
        for item in model.kind("Ingress")
    ]
    secured = set().union(*covered)
    for item in model.kind("Ingress"):
        if not _is_told_elsewhere(item) and (plain := _plain(item, secured)):
            problem = f"It serves {listed(plain)} without a certificate."
            yield Finding.of("plain-http-at-edge", item, problem, at="spec.tls")
    for item in model.kind("Gateway"):
        listeners = mappings(item.spec.get("listeners"))
        hosts = [str(each.get("hostname") or "") for each in listeners]
        is_local = all(host.endswith(_LOCAL) for host in hosts)
        if listeners and all(each.get("protocol") == "HTTP" for each in listeners) and not is_local:
            at, problem = "spec.listeners", "It listens for HTTP alone."
            if item.group == "gateway.networking.k8s.io" and not _is_told_elsewhere(item):
                yield Finding.of("plain-http-at-edge", item, problem, at=at)


def _plain(item: Object, secured: set[str]) -> list[str]:
    """Return the hosts of an Ingress for which neither it nor another one has a certificate."""
    tls = mappings(item.spec.get("tls"))
    # Without hosts, an entry is for all of them.
    if any(not sequence(entry.get("hosts")) for entry in tls):
        return []
    hosts = dict.fromkeys(str(rule.get("host") or "") for rule in mappings(item.spec.get("rules")))
    return [
        host or "all hosts"
        for host in hosts
        if host not in secured and f"*.{host.partition('.')[2]}" not in secured and not host.endswith(_LOCAL)
    ]


def _is_told_elsewhere(item: Object) -> bool:
    return any(word in name.lower() for name in item.annotations for word in _ELSEWHERE)
