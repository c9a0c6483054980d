"""What is called and what gets through, in small trees of other people's making."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from small_trees import Manifest, deployment, model_of, policy, service

from constructs_lib.check.model import ClusterModel
from constructs_lib.check.reachability.proof import prove
from constructs_lib.check.traffic import Traffic
from constructs_lib.kubernetes.selectors import Selector

DENY = policy("deny", policyTypes=["Ingress"])


def found(model: ClusterModel) -> list[tuple[str, str]]:
    """Return the codes of what is wrong, and with what."""
    return [(finding.check.code, finding.subject) for finding in prove(model)]


DATABASE = deployment("db", kind="StatefulSet", ports={"sql": 5432}, serviceName="db")


def test_calls_that_a_mounted_config_map_tells() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "shop"}}
    data = {"application.yaml": "database:\n  url: postgres://db.shop.svc.cluster.local:5432/shop\n"}
    web = deployment("web", pod={"volumes": [{"name": "config", "configMap": {"name": "web"}}]})
    tree = model_of(web, {**config, "data": data}, DATABASE, service("db", port=5432, target="sql"), DENY)
    (finding,) = prove(tree)
    assert finding.check.code == "call-blocked"
    assert finding.field == "spec.template.spec.volumes[config]"


def test_a_headless_service_leads_to_every_port_of_its_pods() -> None:
    nodes = service("db", port=5432, target="sql", clusterIP="None")
    tree = model_of(deployment("web", env={"METRICS": "http://db-0.db.shop.svc:9187"}), DATABASE, nodes)
    assert [call.ports for call in Traffic(tree).calls] == [(("TCP", 9187),)]


def test_a_named_target_port_is_another_number_in_each_pod() -> None:
    blue, green = deployment("blue", ports={"http": 8080}), deployment("green", ports={"http": 9090})
    for one in (blue, green):
        one["spec"]["template"]["metadata"]["labels"]["role"] = "api"
    api = service("api", target="http")
    api["spec"]["selector"] = {"role": "api"}
    opened = policy(
        "api", ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 8080}]}]
    )
    tree = model_of(deployment("web", env={"API": "http://api"}), blue, green, api, opened)
    problems = [finding.problem for finding in prove(tree) if finding.check.code == "call-blocked"]
    assert len(problems) == 1
    assert "port 9090 of shop/green" in problems[0]


def test_a_tree_without_policies_is_told_once_per_namespace() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    tree = model_of(
        namespace, deployment("a", env={"B": "http://b"}), deployment("b"), service("b"), deployment("c", "other")
    )
    assert found(tree) == [
        ("namespace-without-policies", "Namespace/shop"),
        ("namespace-without-policies", "tree"),
    ]


def test_a_chart_may_bring_policies_of_its_own() -> None:
    web = deployment("web", env={"DB": "postgres://db"})
    database, leads = DATABASE, service("db", port=5432, target="sql")
    assert ("call-blocked", "Deployment/shop/web") in found(model_of(web, database, leads, DENY))
    assert found(model_of(web, database, leads, DENY, charts=("shop",))) == []
    own = policy("db", pods="db")
    assert ("call-blocked", "Deployment/shop/web") in found(model_of(web, database, leads, DENY, own, charts=("shop",)))


def cluster(replicas: int, *opened: int) -> ClusterModel:
    """Return a StatefulSet whose pods know each other by name, and may call each other at some ports."""
    nodes = deployment(
        "db",
        kind="StatefulSet",
        env={"SEEDS": "db-0.nodes.shop.svc"},
        ports={"sql": 5432, "raft": 7000},
        serviceName="nodes",
        replicas=replicas,
    )
    headless = service("nodes", port=5432, target="sql", clusterIP="None", selector={"app": "db"})
    peers = [{"from": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": port}]} for port in opened]
    return model_of(nodes, headless, service("db", port=5432, target="sql"), policy("db", pods="db", ingress=peers))


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (cluster(3), [("peers-blocked", "StatefulSet/shop/db")]),
        (cluster(3, 7000), []),
        # The port for clients is not the one by which they find each other.
        (cluster(3, 5432), [("peers-blocked", "StatefulSet/shop/db")]),
        # A pod always reaches itself.
        (cluster(1), []),
    ],
    ids=["closed", "open", "open-for-clients", "alone"],
)
def test_peers(tree: ClusterModel, expected: list[tuple[str, str]]) -> None:
    assert found(tree) == expected


def test_a_pod_may_call_itself_through_its_service() -> None:
    tree = model_of(deployment("web", env={"SELF": "http://web"}, ports={"http": 80}), service("web"), DENY)
    assert found(tree) == []
    several = model_of(
        deployment("web", env={"SELF": "http://web"}, ports={"http": 80}, replicas=2), service("web"), DENY
    )
    assert found(several) == [("call-blocked", "Deployment/shop/web")]


def test_what_both_sides_open_is_told_once() -> None:
    out = policy(
        "web", pods="web", policyTypes=["Egress"], egress=[{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}]}]
    )
    into = policy("db", pods="db", ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}])
    assert found(model_of(deployment("web"), DATABASE, out, into, DENY)) == [
        ("traffic-without-reason", "NetworkPolicy/shop/db")
    ]


def test_a_call_is_reason_enough_for_all_ports_of_pods_that_declare_none() -> None:
    into = policy("api", pods="api", ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}])
    assert (
        found(model_of(deployment("web", env={"API": "http://api"}), deployment("api"), service("api"), into, DENY))
        == []
    )
    assert found(model_of(deployment("web"), deployment("api"), service("api"), into, DENY)) == [
        ("traffic-without-reason", "NetworkPolicy/shop/api")
    ]


def test_pods_with_the_network_of_their_node_are_beyond_policies() -> None:
    agent = deployment("agent", kind="DaemonSet", ports={"http": 80}, pod={"hostNetwork": True})
    tree = model_of(agent, deployment("web", env={"AGENT": "http://agent"}), service("agent"), DENY)
    assert found(tree) == []


@pytest.mark.parametrize(
    "backend",
    [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "spec": {
                "rules": [{"http": {"paths": [{"backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]
            },
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "spec": {"defaultBackend": {"service": {"name": "web", "port": {"name": "main"}}}},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "webhooks": [{"clientConfig": {"service": {"name": "web", "namespace": "shop", "port": 80}}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "spec": {"service": {"name": "web", "namespace": "shop", "port": 80}},
        },
    ],
    ids=lambda backend: backend["kind"],
)
def test_what_controllers_call_may_be_open_to_everybody(backend: Manifest) -> None:
    opened = policy("web", pods="web", ingress=[{"ports": [{"port": 8080}]}])
    tree = [deployment("web", ports={"http": 8080}), service("web", target="http"), opened, DENY]
    metadata = {"name": "web", "namespace": "shop"}
    assert found(model_of(*tree)) == [("open-to-everybody", "NetworkPolicy/shop/web")]
    assert found(model_of(*tree, {**backend, "metadata": metadata})) == []


def monitor(kind: str, **spec: Any) -> Manifest:
    """Return a monitor of all that is called web."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec},
    }


@pytest.mark.parametrize(
    "scraper",
    [
        monitor("ServiceMonitor", endpoints=[{"port": "main"}]),
        monitor("PodMonitor", podMetricsEndpoints=[{"port": "http"}]),
        monitor("PodMonitor", podMetricsEndpoints=[{"portNumber": 8080}], namespaceSelector={"any": True}),
    ],
    ids=lambda scraper: scraper["kind"],
)
def test_prometheus_of_another_tree_needs_a_port_that_is_open_to_somebody(scraper: Manifest) -> None:
    web, leads = deployment("web", ports={"http": 8080}), service("web", target="http")
    assert found(model_of(web, leads, DENY, scraper)) == [("metrics-blocked", f"{scraper['kind']}/shop/web")]
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "watch"}}}]
    opened = policy("web", pods="web", ingress=[{"from": peers, "ports": [{"port": "http"}]}])
    assert found(model_of(web, leads, DENY, scraper, opened)) == []


@pytest.mark.parametrize(
    ("egress", "codes"),
    [
        ([], {"dns-blocked"}),
        ([{"to": [{"namespaceSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}], set()),
        ([{"ports": [{"port": 53, "protocol": "UDP"}]}], {"dns-over-tcp-blocked"}),
        (
            [
                {
                    "to": [{"ipBlock": {"cidr": "10.96.0.10/32"}}],
                    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}],
                }
            ],
            set(),
        ),
        # Who knows which labels the namespace has?
        (
            [
                {
                    "to": [{"namespaceSelector": {"matchLabels": {"name": "kube-system"}}}],
                    "ports": [{"port": 53, "protocol": "UDP"}],
                }
            ],
            set(),
        ),
        (
            [
                {
                    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}}],
                    "ports": [{"port": 5353, "protocol": "UDP"}],
                }
            ],
            set(),
        ),
    ],
    ids=str,
)
def test_dns(egress: list[Manifest], codes: set[str]) -> None:
    web = deployment("web", env={"DB": "postgres://db"})
    call = {"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": 5432}]}
    closed = policy("closed", pods="web", policyTypes=["Egress"], egress=[call, *egress])
    tree = model_of(
        web,
        DATABASE,
        service("db", port=5432, target="sql"),
        closed,
        policy("db", pods="db", policyTypes=["Egress"], egress=[{"ports": [{"port": 53}]}]),
    )
    assert {code for code, _ in found(tree)} == codes


def with_role(**pod: Any) -> list[Manifest]:
    """Return a workload whose ServiceAccount has a role, and which may call nothing."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "web", "namespace": "shop"},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "shop"}}
    closed = policy("closed", policyTypes=["Egress"])
    return [deployment("web", pod={"serviceAccountName": "web", **pod}), binding, account, closed]


def test_the_api_is_called_with_a_token_and_a_role() -> None:
    blocked = [("api-blocked", "Deployment/shop/web")]
    assert found(model_of(*with_role())) == blocked
    assert found(model_of(*with_role(automountServiceAccountToken=False))) == []
    web, binding, account, closed = with_role()
    assert found(model_of(web, binding, {**account, "automountServiceAccountToken": False}, closed)) == []
    assert found(model_of(web, account, closed)) == []
    for token, expected in (({"path": "token"}, blocked), ({"path": "token", "audience": "vault"}, [])):
        volume = {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}}
        assert found(model_of(*with_role(automountServiceAccountToken=False, volumes=[volume]))) == expected


@pytest.mark.parametrize(
    "rule",
    [
        {"ports": [{"port": 443}]},
        {"ports": [{"port": 6443}]},
        {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 443}]},
    ],
    ids=str,
)
def test_ways_to_the_api(rule: Manifest) -> None:
    opened = policy("api", pods="web", policyTypes=["Egress"], egress=[rule])
    assert found(model_of(*with_role(), opened)) == []


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"kind": "NetworkPolicy", "spec": None}, None),
        ({"kind": "NetworkPolicy", "spec": {"podSelector": [], "ingress": ["all"], "egress": {"to": 1}}}, None),
        (
            {
                "kind": "NetworkPolicy",
                "spec": {"ingress": [{"from": [{"podSelector": 1}], "ports": ["http", {"port": []}]}]},
            },
            None,
        ),
        (
            {
                "kind": "Deployment",
                "spec": {"template": {"spec": {"containers": [{"env": [{"name": None}], "ports": "80"}]}}},
            },
            None,
        ),
        ({"kind": "Service", "spec": {"selector": "web", "ports": [{"port": "80"}], "type": "NodePort"}}, None),
        ({"kind": "PodMonitor", "spec": {"podMetricsEndpoints": [None], "namespaceSelector": []}}, None),
        ({"kind": "RoleBinding", "roleRef": "x", "subjects": ["y"]}, None),
        ({"kind": "Ingress", "spec": {"rules": [{"http": []}], "defaultBackend": "web"}}, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_odd_objects_of_other_people_break_nothing(broken: Manifest, code: str | None) -> None:
    versions = {
        "NetworkPolicy": "networking.k8s.io/v1",
        "Deployment": "apps/v1",
        "PodMonitor": "monitoring.coreos.com/v1",
        "RoleBinding": "rbac.authorization.k8s.io/v1",
        "Ingress": "networking.k8s.io/v1",
    }
    odd = {"apiVersion": versions.get(broken["kind"], "v1"), "metadata": {"name": "odd", "namespace": "odd"}, **broken}
    tree = model_of(odd, deployment("web", env={"DB": "postgres://db"}), DATABASE, service("db", port=5432), DENY)
    assert ("call-blocked", "Deployment/shop/web") in found(tree)


def chain(length: int, *, broad: bool) -> ClusterModel:
    """Return components in a row, each of which calls the next and the first."""

    def peer(number: int) -> Manifest:
        namespace = {"matchLabels": {"kubernetes.io/metadata.name": f"n{number}"}}
        return {"namespaceSelector": namespace, "podSelector": {"matchLabels": {"app": f"s{number}"}}}

    everybody = {"namespaceSelector": {}, "podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}
    manifests: list[Manifest] = []
    for number in range(length):
        name, namespace = f"s{number}", f"n{number}"
        called = sorted({0, (number + 1) % length})
        callers = range(length) if number == 0 else [number - 1]
        ingress = [everybody] if broad else [peer(caller) for caller in callers]
        env = {f"S{other}": f"http://s{other}.n{other}.svc" for other in called}
        manifests += [
            deployment(name, namespace, env=env, ports={"http": 80}),
            service(name, namespace),
            policy("deny", namespace, policyTypes=["Ingress", "Egress"]),
            policy("in", namespace, name, ingress=[{"from": [source], "ports": [{"port": 80}]} for source in ingress]),
            policy(
                "out",
                namespace,
                name,
                policyTypes=["Egress"],
                egress=[
                    {"to": [peer(other) for other in called], "ports": [{"port": 80}]},
                    {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]},
                ],
            ),
        ]
    return model_of(*manifests)


@pytest.mark.parametrize("broad", [False, True], ids=["by-name", "by-a-common-label"])
def test_the_work_grows_with_the_tree_and_not_with_its_pairs(monkeypatch: pytest.MonkeyPatch, broad: bool) -> None:
    matches = Selector.matches
    count = 0

    def counting(self: Selector, labels: Mapping[str, str]) -> bool:
        nonlocal count
        count += 1
        return matches(self, labels)

    monkeypatch.setattr(Selector, "matches", counting)
    work = []
    for length in (60, 120):
        tree = chain(length, broad=broad)
        count = 0
        assert found(tree) == []
        work.append(count)
    assert work[1] < 2.5 * work[0]


def test_what_names_no_namespace_is_called_by_its_name_alone() -> None:
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "a:1", "ports": [{"containerPort": 8080}]}]},
        }
        for name in ("a", "b")
    ]
    peers: list[Manifest] = [{"podSelector": {}}]
    wide = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "wide"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "a"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": peers, "ports": [{"port": 8080}]}],
        },
    }
    said = [finding.problem for finding in prove(model_of(*pods, wide))]
    assert "by ingress[0].from[0], a can be called by every pod of its own namespace at port 8080." in said
    assert "what names no namespace has policies, and none of them is about b." in said
    assert not any("/a" in text or "/b" in text or "  " in text for text in said)
