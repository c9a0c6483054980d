"""What exists without the system: opened, told and awaited, and never taken over."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from network import Network, Outside, Pod
from synthesized import Synthesized
from systems import empty

from constructs_lib import (
    Existing,
    External,
    ExternalSecrets,
    HelmChart,
    Microservice,
    PodAccess,
    Port,
    Postgres,
    System,
    supplied,
    synthesize,
)
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.reachability.can import can
from constructs_lib.check.report.report import look
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.repository.snapshot import Snapshot

WEB = {"app.kubernetes.io/name": "web"}
POLICY = "dist/place/web/NetworkPolicy-web.yaml"


def shop(*provides: str) -> System:
    """Return a shop that calls a managed database, a directory, a mail server, and what others run in its cluster."""
    system = empty("place", *provides)
    ExternalSecrets(system, version="2.9.0")
    orders = External(
        system,
        "orders",
        host="db.example.com",
        ports={"sql": 5432},
        networks=("10.20.0.0/16",),
        attributes={"username": "app", "password": supplied("password of the orders database")},
    )
    directory = External(system, "directory", host="192.168.7.4", ports={"ldap": 389})
    mail = External(system, "mail", host="smtp.example.com", ports={"smtp": 587, "syslog": Port(514, protocol="UDP")})
    kafka = Existing(
        system,
        "kafka",
        namespace="queues",
        service="broker",
        pods={"app": "kafka"},
        ports={"kafka": 9092, "rest": Port(8082, 80)},
    )
    for name in ("web", "worker"):
        service = Microservice(system, name, image="example/service:1.0.0", ports={"http": 8080})
        service.needs(orders.endpoint("sql"), {"DB": "address", "DB_USER": "username", "DB_PASSWORD": "password"})
        if name == "web":
            service.needs(directory.endpoint("ldap"), {"LDAP": "address"})
            service.needs(mail.endpoint("smtp"), {"MAIL_HOST": "host", "MAIL_PORT": "port"}, order=False)
            service.needs(mail.endpoint("syslog"), {"SYSLOG": "host"}, order=False)
            service.needs(kafka.endpoint("kafka"), {"KAFKA": "address"})
            service.needs(kafka.endpoint("rest"), {"REST": "address"}, order=False)
    return system


def files(*provides: str) -> dict[str, bytes]:
    """Return the files of the shop."""
    return dict(synthesize(shop(*provides)).files)


def findings(tree: dict[str, bytes]) -> list[tuple[str, str]]:
    """Return what ``check --tree`` finds, by code and problem, but for images without a digest."""
    looked = look(ClusterModel(Snapshot("place", tree, None), ["argocd/place"]), "place")
    return [(finding.check.code, finding.problem) for finding in looked.findings]


def edited(tree: dict[str, bytes], path: str, edit: Callable[[Any], None]) -> dict[str, bytes]:
    """Return a tree in which an object is changed."""
    manifest = yaml.safe_load(tree[path])
    edit(manifest)
    return {**tree, path: yaml.safe_dump(manifest).encode()}


def test_each_is_opened_where_it_is_and_nowhere_else() -> None:
    tree = Synthesized("place", files())
    network = Network(tree.objects("NetworkPolicy"), {"queues": {}, "web": {}, "worker": {}})
    web, worker = Pod("web", "web", WEB), Pod("worker", "worker", {"app.kubernetes.io/name": "worker"})
    kafka, other = Pod("queues", "kafka", {"app": "kafka"}), Pod("queues", "other", {"app": "other"})
    assert network.open_ports(web, Outside("10.20.3.4")) == {("TCP", 5432)}
    assert network.open_ports(web, Outside("10.21.3.4")) == set()
    assert network.open_ports(web, Outside("192.168.7.4")) == {("TCP", 389)}
    assert network.open_ports(web, Outside("192.168.7.5")) == set()
    assert network.open_ports(web, Outside("93.184.216.34")) == {("TCP", 587), ("UDP", 514)}
    # At the ports of the pods, whatever the Service calls them.
    assert network.open_ports(web, kafka) == {("TCP", 9092), ("TCP", 8082)}
    assert network.open_ports(web, other) == set()
    assert network.open_ports(worker, Outside("10.20.3.4")) == {("TCP", 5432)}
    assert network.open_ports(worker, kafka) == set()


def test_cilium_opens_names_and_not_the_internet() -> None:
    tree = Synthesized("place", files("cilium"))
    named = tree.the("CiliumNetworkPolicy", "web", "web")["spec"]["egress"]
    assert [(rule["toFQDNs"], rule["toPorts"][0]["ports"]) for rule in named[:2]] == [
        ([{"matchName": "smtp.example.com"}], [{"port": "514", "protocol": "UDP"}]),
        ([{"matchName": "smtp.example.com"}], [{"port": "587", "protocol": "TCP"}]),
    ]
    text = str(tree.the("NetworkPolicy", "web", "web")["spec"]["egress"])
    assert "0.0.0.0/0" not in text
    assert "10.20.0.0/16" in text and "192.168.7.4/32" in text


def test_clients_are_told_and_wait() -> None:
    tree = Synthesized("place", files())
    config = tree.the("ConfigMap", "web", "web")["data"]
    assert config == {
        "DB": "db.example.com:5432",
        "DB_USER": "app",
        "KAFKA": "broker.queues.svc.cluster.local:9092",
        "LDAP": "192.168.7.4:389",
        "MAIL_HOST": "smtp.example.com",
        "MAIL_PORT": "587",
        "REST": "broker.queues.svc.cluster.local:80",
        "SYSLOG": "smtp.example.com",
    }
    (wait,) = tree.the("Deployment", "web", "web")["spec"]["template"]["spec"]["initContainers"]
    targets = ["db.example.com:5432", "192.168.7.4:389", "broker.queues.svc.cluster.local:9092"]
    assert wait["command"][-3:] == targets


def test_a_secret_value_is_given_once_and_copied_for_each_client() -> None:
    inputs = json.loads(files()["bootstrap/argocd/place.tfvars.json"])
    (value,) = inputs["secrets"]
    assert (value["component"], value["key"], value["owner"]) == ("orders", "password", "supplied")
    copies = {"orders.password": "orders/password"}
    assert inputs["secret_readers"] == {name: {"namespace": name, "copies": copies} for name in ("web", "worker")}


def test_nothing_is_taken_over() -> None:
    tree = Synthesized("place", files())
    known = {each["metadata"]["name"] for each in tree.objects("Namespace")}
    assert known == {"external-secrets", "web", "worker"}
    assert {each["metadata"].get("namespace", "argocd") for each in tree.objects()} == known | {"argocd"}
    assert not any("queues" in str(project) for project in tree.projects.values())
    assert tree.applications.keys() == known


def test_they_are_drawn_with_who_calls_them() -> None:
    system = shop()
    External(system, "unused", host="unused.example.com", ports={"http": 80})
    diagram = architecture(Graph(system))
    assert [node.title for node in diagram.nodes][-4:] == ["orders", "directory", "mail", "kafka"]
    meanings = [edge.meaning for edge in diagram.edges]
    assert "web needs kafka kafka 9092" in meanings
    assert "worker needs orders sql 5432" in meanings


@pytest.mark.parametrize("provides", [(), ("cilium",)])
def test_check_finds_nothing(provides: tuple[str, ...]) -> None:
    """Not from the tree alone either, which has no object in somebody else's namespace."""
    tree = files(*provides)
    assert findings(tree) == []
    model = ClusterModel(Snapshot("place", tree, None), ["argocd/place"])
    for host, port in (("db.example.com", 5432), ("192.168.7.4", 389), ("smtp.example.com", 587)):
        assert can(model, "web", host, port).allowed
        assert not can(model, "web", host, port + 1).allowed


@pytest.mark.parametrize(
    ("rule", "address"),
    [
        (0, "broker.queues.svc.cluster.local:9092"),
        (1, "smtp.example.com"),
        (2, "db.example.com:5432"),
        (3, "192.168.7.4:389"),
    ],
)
def test_check_finds_a_rule_that_is_missing(rule: int, address: str) -> None:
    tree = edited(files(), POLICY, lambda policy: policy["spec"]["egress"].pop(rule))
    found = findings(tree)
    assert {code for code, _ in found} == {"call-blocked"}
    assert any(address in problem for _, problem in found)


def test_check_finds_rules_that_lead_elsewhere() -> None:
    """To other networks, other pods, and with Cilium to another name."""

    def narrowed(policy: Any) -> None:
        kafka, _, orders, *_ = policy["spec"]["egress"]
        kafka["to"][0]["podSelector"]["matchLabels"]["app"] = "kafak"
        orders["to"][0]["ipBlock"]["cidr"] = "10.21.0.0/16"

    found = findings(edited(files(), POLICY, narrowed))
    assert [code for code, problem in found if "9092" in problem or "5432" in problem] == ["call-blocked"] * 2

    def renamed(policy: Any) -> None:
        policy["spec"]["egress"][1]["toFQDNs"] = [{"matchName": "mail.example.com"}]

    path = "dist/place/web/CiliumNetworkPolicy-web.yaml"
    ((code, problem),) = findings(edited(files("cilium"), path, renamed))
    assert code == "call-blocked"
    assert "smtp.example.com" in problem


def test_check_finds_a_value_that_is_missing() -> None:
    tree = files()
    path = "bootstrap/argocd/place.tfvars.json"
    inputs = json.loads(tree[path])
    inputs["secret_readers"]["web"]["copies"] = {}
    ((code, problem),) = findings({**tree, path: json.dumps(inputs).encode()})
    assert code == "secret-value-missing"
    assert "web/orders.password" in problem


def test_without_the_annotation_an_unknown_namespace_is_still_found() -> None:
    def forgotten(application: Any) -> None:
        del application["metadata"]["annotations"]["constructs-lib/outside"]

    found = findings(edited(files(), "argocd/place/Application-web.yaml", forgotten))
    assert "policy-namespace-unknown" in {code for code, _ in found}


@pytest.mark.parametrize("text", ["[", "{}", "[1, {}]", '[{"host": 1}]', '[{"host": "a.example", "ports": [{}, "x"]}]'])
def test_an_annotation_that_is_written_wrongly_tells_nothing(text: str) -> None:
    def garbled(application: Any) -> None:
        application["metadata"]["annotations"]["constructs-lib/outside"] = text

    assert findings(edited(files(), "argocd/place/Application-web.yaml", garbled))


def test_any_object_of_a_tree_of_others_may_tell() -> None:
    """There are no Applications in it, and the annotation stands at the Deployment that calls."""
    calls = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: web
  annotations:
    constructs-lib/outside: '[{"host": "db.example.com", "ports": [{"port": 5432}], "networks": ["10.20.0.0/16"]}]'
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: example/web:1.0.0
        env: [{name: DB_HOST, value: db.example.com}, {name: DB_PORT, value: "5432"}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress:
  - ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
  - to: [{ipBlock: {cidr: 10.20.0.0/16}}]
    ports: [{port: 5432, protocol: TCP}]
"""
    for network, expected in (("10.20.0.0/16", 0), ("10.21.0.0/16", 1)):
        tree = {"all.yaml": calls.replace("cidr: 10.20.0.0/16", f"cidr: {network}").encode()}
        looked = look(ClusterModel(Snapshot("all", tree, None)), "")
        assert [finding.check.code for finding in looked.findings].count("call-blocked") == expected


def test_what_the_tree_has_is_judged_whatever_is_told_of_it() -> None:
    """Else an annotation would silence what is found about a Service of the tree."""

    def claimed(application: Any) -> None:
        host = "worker.worker.svc.cluster.local"
        told = [{"host": host, "ports": [{"port": 8080}], "namespace": "worker", "pods": {"app": "none"}}]
        application["metadata"]["annotations"]["constructs-lib/outside"] = json.dumps(told)

    def calling(config: Any) -> None:
        config["data"]["WORKER"] = "worker.worker.svc.cluster.local:9090"

    tree = edited(files(), "argocd/place/Application-worker.yaml", claimed)
    tree = edited(tree, "dist/place/web/ConfigMap-web.yaml", calling)
    assert "address-port-unknown" in {code for code, _ in findings(tree)}


def test_a_chart_may_call_what_is_outside() -> None:
    """As it calls endpoints of the system."""
    for provides, opened in (((), "ipBlock"), (("cilium",), "toFQDNs")):
        system = empty("place", *provides)
        stats = External(system, "stats", host="stats.example.com", ports={"statsd": Port(8125, protocol="UDP")})
        HelmChart(
            system,
            "cache",
            repository="https://charts.example.com",
            chart="cache",
            version="1.0.0",
            access=[PodAccess("cache", {"app": "cache"}, to_endpoints=(stats.endpoint("statsd"),))],
        )
        tree = Synthesized("place", dict(synthesize(system).files))
        kinds = ("NetworkPolicy", "CiliumNetworkPolicy")
        policies = [each for kind in kinds for each in tree.objects(kind) if each["metadata"]["name"] == "cache"]
        (rule,) = [rule for each in policies for rule in each["spec"].get("egress", []) if opened in str(rule)]
        assert "8125" in str(rule) and "UDP" in str(rule)


def test_pods_of_a_store_may_call_each_other() -> None:
    """Only pods without data of their own have no reason to call themselves."""
    system = empty()
    database = Postgres(system, "db", image="postgres:18.6", database="shop", user="shop", storage="1Gi")
    database.needs(database.endpoint("sql"))
    assert not system.diagnostics.found
