"""PositionPal's NetworkPolicies let through what the contract's ``talks_to`` and ``internet`` ask for, and no more."""

from __future__ import annotations

from contract import (
    CLIENT_PORT,
    INFRASTRUCTURE,
    NAMESPACES,
    PEER_PORTS,
    SERVICES,
    contract_tree,  # noqa: F401 - the fixture tree
    metrics_ports,
    needed_ports,
    own_ports,
    pod_ports,
    service_pods,
    store_pods,
)
from network import Network, Outside, Pod
from synthesized import PodTemplate, Synthesized

#: The pods of the charts at the versions that are pinned, with the labels that they carry.
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
CHART_PODS = {
    "cert-manager": {
        "cert-manager": {NAME: "cert-manager", COMPONENT: "controller"},
        "webhook": {NAME: "webhook", COMPONENT: "webhook"},
        "cainjector": {NAME: "cainjector", COMPONENT: "cainjector"},
    },
    "external-secrets": {"external-secrets": {NAME: "external-secrets"}},
    "metrics-server": {"metrics-server": {NAME: "metrics-server"}},
    "monitoring": {
        "prometheus": {NAME: "prometheus"},
        "alertmanager": {NAME: "alertmanager"},
        "grafana": {NAME: "grafana"},
        "kube-state-metrics": {NAME: "kube-state-metrics"},
        "operator": {"app": "kube-prometheus-stack-operator", NAME: "kube-prometheus-stack-prometheus-operator"},
    },
    "traefik": {"traefik": {NAME: "traefik"}},
}
#: What cert-manager makes in the gateway's namespace for a minute, to answer for its host.
SOLVER = Pod(NAMESPACES["gateway"], "acme-solver", {"acme.cert-manager.io/http01-solver": "true"})
#: What the way in takes in the cloud: who answers for the host, and who looks whether it does, is there too.
WAY_IN = {
    ("traefik/traefik", f"{NAMESPACES['gateway']}/Deployment/gateway", 3000),
    ("traefik/traefik", str(SOLVER), 8089),
    ("cert-manager/cert-manager", "traefik/traefik", 8000),
    ("cert-manager/cert-manager", "traefik/traefik", 8443),
    ("monitoring/prometheus", "cert-manager/cert-manager", 9402),
}
#: What the monitoring stack exchanges within itself: 8080 is where operators, exporters and reloaders have metrics.
STACK = {
    ("prometheus", "prometheus", 9090),
    ("prometheus", "prometheus", 8080),
    ("prometheus", "alertmanager", 9093),
    ("prometheus", "alertmanager", 8080),
    ("prometheus", "grafana", 3000),
    ("prometheus", "kube-state-metrics", 8080),
    ("prometheus", "operator", 8080),
    ("grafana", "prometheus", 9090),
    ("grafana", "alertmanager", 9093),
}
#: Which pods of charts call the Kubernetes API, and which the nodes themselves (kubelet, node-exporter).
CHARTS_WITH_API = {
    *("cert-manager/cert-manager", "cert-manager/webhook", "cert-manager/cainjector", "traefik/traefik"),
    "external-secrets/external-secrets",
    "metrics-server/metrics-server",
    "monitoring/prometheus",
    "monitoring/grafana",
    "monitoring/kube-state-metrics",
    "monitoring/operator",
}
API_PORTS = (443, 6443)
NODE_PORTS = {"monitoring/prometheus": (9101, 10250), "metrics-server/metrics-server": (10250,)}
#: What the API server calls, from addresses that no policy can name.
CALLED_BY_API = {"cert-manager/webhook": (10250,), "metrics-server/metrics-server": (10250,)}
#: Where users come in, in the cloud, and whom cert-manager calls: the certificate authority, and the host itself.
DOORS = {"traefik/traefik": (8000, 8443)}
CALLED_BY_CERT_MANAGER = (80, 443)
INTERNET = Outside("203.0.113.7")
DNS = Pod("kube-system", "coredns", {"k8s-app": "kube-dns"}, "10.244.9.9")
#: Pods of Argo CD, which the bootstrap installs with policies of its own; the first one's metrics are scraped.
ARGOCD = Pod("argocd", "application-controller", {NAME: "argocd-application-controller"}, "10.244.9.8")
ARGOCD_SERVER = Pod("argocd", "server", {NAME: "argocd-server"}, "10.244.9.7")
ARGOCD_METRICS = 8082


def connection(source: str, target: str, port: int, protocol: str = "TCP") -> str:
    """Return a connection as a message shows it."""
    return f"{source} → {target} {port}/{protocol}"


def pods(tree: Synthesized) -> list[Pod]:
    """Return one pod of each workload of the system, those of charts included."""
    own = [
        Pod(template.namespace, f"{template.kind}/{template.name}", template.labels, ports=pod_ports(template))
        for template in tree.pods()
    ]
    charts = [
        Pod(component, name, labels)
        for component, found in CHART_PODS.items()
        if component in tree.applications
        for name, labels in found.items()
    ]
    return own + charts + ([SOLVER] if "cert-manager" in tree.applications else [])


def network(tree: Synthesized) -> Network:
    """Return the network that the policies of the tree make, with some namespaces that are not ours."""
    namespaces = {
        manifest["metadata"]["name"]: manifest["metadata"]["labels"] for manifest in tree.objects("Namespace")
    }
    ports = {port for template in tree.pods() for port in pod_ports(template).values()}
    ports |= {port for _, _, port in WAY_IN} | {*CALLED_BY_CERT_MANAGER}
    policies = [dict(policy) for policy in tree.objects("NetworkPolicy")]
    return Network(policies, {"argocd": {}, "default": {}, "kube-system": {}, **namespaces}).with_ports(ports)


def pod_name(template: PodTemplate) -> str:
    """Return how the network names the pods of a workload."""
    return f"{template.namespace}/{template.kind}/{template.name}"


def wanted_connections(tree: Synthesized) -> set[str]:
    """Return every connection between pods of the system that the contract or a chart needs."""
    wanted: set[tuple[str, str, int]] = set()
    for service, facts in SERVICES.items():
        own = pod_name(service_pods(tree, service))
        wanted |= {(own, pod_name(target), port) for target, port in needed_ports(tree, service)}
        wanted |= {(own, own, facts["ports"][name]) for name in own_ports(service)}
    for kind, client_port in CLIENT_PORT.items():
        ports = INFRASTRUCTURE[kind]["ports"]
        for owner in INFRASTRUCTURE[kind].get("one_per", [kind]):
            store = pod_name(store_pods(tree, owner))
            wanted |= {(store, store, ports[name]) for name in PEER_PORTS[kind]}
            # The schema and the dumps; what restores a ring sends files to its nodes, as these do, and what asks for
            # RabbitMQ's definitions is one of its own tools. A ring is saved from within.
            for helper in tree.pods(NAMESPACES[owner], ["Job", "CronJob"]):
                needed = {"management" if kind == "rabbitmq" else client_port}
                if helper.kind == "CronJob" and kind == "rabbitmq":
                    needed = {*PEER_PORTS[kind]}
                elif helper.kind == "CronJob" and kind == "cassandra":
                    needed = set() if helper.name.endswith("-backup") else {client_port, *PEER_PORTS[kind]}
                wanted |= {(pod_name(helper), store, ports[name]) for name in needed}
    wanted |= {("monitoring/prometheus", pod_name(template), port) for template, _, port in metrics_ports(tree)}
    wanted |= {(f"monitoring/{source}", f"monitoring/{target}", port) for source, target, port in STACK}
    wanted |= WAY_IN if "traefik" in tree.applications else set()
    # A port that is open to the API server is open to whoever may call that port anywhere.
    for target, called in CALLED_BY_API.items():
        if target.split("/")[0] in tree.applications:
            wanted |= {(source, target, port) for source, ports in NODE_PORTS.items() for port in {*ports} & {*called}}
    return {connection(*entry) for entry in wanted}


def test_exactly_the_needed_connections_are_open(tree: Synthesized) -> None:
    """Between any two pods of the system: what the contract names, and not one port more."""
    net, own = network(tree), pods(tree)
    opened = {
        connection(str(source), str(target), port, protocol)
        for source in own
        for target in own
        for protocol, port in net.open_ports(source, target)
    }
    wanted = wanted_connections(tree)
    assert opened - wanted == set(), "these connections are open and nobody needs them"
    assert wanted - opened == set(), "these connections are needed and closed"


def test_every_namespace_begins_with_a_policy_that_closes_it(tree: Synthesized) -> None:
    """Closed both ways by a policy of its own, not by the accident that others select every pod as well."""
    for namespace in tree.objects("Namespace"):
        policies = tree.objects("NetworkPolicy", namespace["metadata"]["name"])
        assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in [policy["spec"] for policy in policies]


def test_every_pod_is_closed_by_default(tree: Synthesized) -> None:
    """A pod that nobody thought of reaches the cluster's DNS and nothing else, and nothing of ours calls it."""
    net, own = network(tree), pods(tree)
    for namespace in {pod.namespace for pod in own}:
        unknown = Pod(namespace, "unknown", {})
        targets: list[Pod | Outside] = [*own, Pod("default", "stranger", {}), INTERNET]
        assert {str(target) for target in targets if net.open_ports(unknown, target)} == set()
        assert net.open_ports(unknown, DNS) == {("UDP", 53), ("TCP", 53)}
        sources: list[Pod | Outside] = [*own, Pod("default", "stranger", {}), INTERNET]
        assert {str(source) for source in sources if net.open_ports(source, unknown)} == set()


def exposed_pods(tree: Synthesized) -> dict[str, set[int]]:
    """Return the pods that everybody may call, with the ports: the way in, and what the API server calls.

    The way in is the gateway, or in the cloud Traefik, which is alone in calling the gateway.
    """
    if "traefik" in tree.applications:
        return {name: set(ports) for name, ports in (DOORS | CALLED_BY_API).items()}
    found = {
        pod_name(service_pods(tree, service)): set(facts["ports"].values())
        for service, facts in SERVICES.items()
        if facts.get("exposed")
    }
    assert not {port for _, _, port in metrics_ports(tree)} & {port for ports in found.values() for port in ports}
    names = {str(pod) for pod in pods(tree)}
    return found | {name: set(ports) for name, ports in CALLED_BY_API.items() if name in names}


def api_and_nodes(tree: Synthesized, pod: Pod) -> set[tuple[str, int]]:
    """Return the ports that a pod may call anywhere, because no policy can name the API server or a node."""
    with_api = {pod_name(service_pods(tree, service)) for service, facts in SERVICES.items() if "rbac" in facts}
    ports = set(NODE_PORTS.get(str(pod), ()))
    if str(pod) in with_api | CHARTS_WITH_API:
        ports |= set(API_PORTS)
    return {("TCP", port) for port in ports}


def test_strangers_reach_what_is_exposed(tree: Synthesized) -> None:
    """Other namespaces and the internet reach the gateway's port; looking like one of our pods helps nobody."""
    net, own = network(tree), pods(tree)
    strangers: list[Pod | Outside] = [Pod("default", "stranger", {}), ARGOCD, ARGOCD_SERVER, INTERNET]
    strangers += [Pod("default", f"looks like {pod}", pod.labels) for pod in own]
    exposed = exposed_pods(tree)
    for stranger in strangers:
        reached = {str(pod): {port for _, port in net.open_ports(stranger, pod)} for pod in own}
        assert {name: ports for name, ports in reached.items() if ports} == exposed, stranger


def internet_ports(tree: Synthesized) -> dict[str, set[tuple[str, int]]]:
    """Return the ports on which the contract's services, who gets certificates, and what saves call the internet."""
    manager = {"cert-manager/cert-manager": {("TCP", port) for port in CALLED_BY_CERT_MANAGER}}
    bucket = {
        pod_name(template): {("TCP", 443)}
        for template in tree.pods()
        if any(volume["name"] == "bucket" for volume in template.spec.get("volumes", []))
    }
    return (
        bucket
        | manager
        | {
            pod_name(service_pods(tree, service)): {("TCP", host["port"]) for host in facts.get("internet", [])}
            for service, facts in SERVICES.items()
        }
    )


def test_pods_reach_outside_what_is_declared(tree: Synthesized) -> None:
    """The internet where the contract names hosts, the API where there are permissions, and the DNS for everybody."""
    net, internet = network(tree), internet_ports(tree)
    elsewhere: list[Pod | Outside] = [
        Outside(address) for address in ("10.0.0.5", "100.64.0.5", "169.254.169.254", "172.20.0.5", "192.168.0.5")
    ]
    elsewhere += [Pod("default", "stranger", {}), Pod("default", "looks like DNS", DNS.labels)]
    elsewhere += [ARGOCD_SERVER, Pod("default", "looks like Argo CD", ARGOCD.labels)]
    for pod in pods(tree):
        anywhere = api_and_nodes(tree, pod)
        assert net.open_ports(pod, INTERNET) == anywhere | internet.get(str(pod), set()), pod
        for target in elsewhere:
            assert net.open_ports(pod, target) == anywhere, (pod, target)
        names = {("UDP", 53), ("TCP", 53)}
        is_prometheus = str(pod) == "monitoring/prometheus"
        assert net.open_ports(pod, DNS) == anywhere | names | ({("TCP", 9153)} if is_prometheus else set()), pod
        assert net.open_ports(pod, ARGOCD) == anywhere | ({("TCP", ARGOCD_METRICS)} if is_prometheus else set()), pod


def test_the_internet_is_open_by_rules_of_its_own(tree: Synthesized) -> None:
    """No program lives off the rule for the API server, which is as wide as it is only because it must be."""
    net, internet = network(tree), internet_ports(tree)
    for policy in net.policies:
        rules = policy["spec"].get("egress", [])
        policy["spec"] = {**policy["spec"], "egress": [rule for rule in rules if "to" in rule]}
    for pod in pods(tree):
        assert net.open_ports(pod, INTERNET) == internet.get(str(pod), set()), pod
