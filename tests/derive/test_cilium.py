"""Where there is Cilium, hosts outside, the API server and the nodes are opened by their names, and no wider."""

from __future__ import annotations

from typing import Any

import pytest
from synthesized import Synthesized
from systems import environment

from constructs_lib import (
    ExternalSecrets,
    InternetHost,
    K3d,
    Microservice,
    Monitoring,
    Slack,
    System,
    Webhook,
    supplied,
    synthesize,
)
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.reachability.can import can
from constructs_lib.check.report.report import look
from constructs_lib.declare.environment import Environment
from constructs_lib.repository.snapshot import Snapshot


def shop(place: Environment) -> Synthesized:
    """Return a shop that calls hosts of the internet, the API server and the nodes."""
    system = System(place, "shop")
    ExternalSecrets(system, version="2.9.0")
    Monitoring(system, version="88.5.3", storage="2Gi", retention_days=2)
    hosts = [InternetHost("b.example.com"), InternetHost("a.example.com"), InternetHost("c.example.com", 8443)]
    Microservice(system, "web", image="example/web:1.0.0", ports={"http": 8080}, internet=hosts)
    return Synthesized(place.name, synthesize(system).files)


def egress(tree: Synthesized, kind: str, namespace: str, name: str) -> list[dict[str, Any]]:
    """Return what a policy lets out."""
    found: list[dict[str, Any]] = tree.the(kind, namespace, name)["spec"].get("egress", [])
    return found


def test_cilium_opens_by_name_what_no_network_policy_opens() -> None:
    """What a NetworkPolicy lets through is open, whatever a CiliumNetworkPolicy says: so it must not be in both."""
    tree = shop(environment("place", "cilium"))
    outside, nodes = (
        egress(tree, "CiliumNetworkPolicy", *names) for names in (("web", "web"), ("monitoring", "prometheus"))
    )
    assert outside[:2] == [
        {
            "toFQDNs": [{"matchName": "a.example.com"}, {"matchName": "b.example.com"}],
            "toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}],
        },
        {
            "toFQDNs": [{"matchName": "c.example.com"}],
            "toPorts": [{"ports": [{"port": "8443", "protocol": "TCP"}]}],
        },
    ]
    # Without a rule about names that are asked for, Cilium knows no addresses of hosts.
    assert outside[2]["toPorts"][0]["rules"] == {"dns": [{"matchPattern": "*"}]}
    assert [rule["toEntities"] for rule in nodes] == [["host", "remote-node"], ["kube-apiserver"]]
    rules = [rule for policy in tree.objects("NetworkPolicy") for rule in policy["spec"].get("egress", [])]
    assert all("to" in rule and "ipBlock" not in str(rule) for rule in rules)


@pytest.mark.parametrize(
    ("provides", "host", "is_by_name"),
    [("cilium", "hooks.slack.com", True), ("cilium", "", False), ("metrics-api", "hooks.slack.com", False)],
)
def test_alertmanager_calls_the_hosts_that_are_known(provides: str, host: str, is_by_name: bool) -> None:
    """With one that is not, it may call all of the internet, as everywhere without Cilium."""
    system = System(environment("place", provides), "shop")
    ExternalSecrets(system, version="2.9.0")
    receivers: dict[str, Slack | Webhook] = {
        "critical": Webhook(supplied("address of the people on call"), "alerts.example.com"),
        "warning": Slack("#ops", supplied("address of the channel"), host),
    }
    Monitoring(system, version="88.5.3", storage="2Gi", retention_days=2, receivers=receivers)
    tree = Synthesized("place", synthesize(system).files)
    found = [policy for policy in tree.objects("CiliumNetworkPolicy") if policy["metadata"]["name"] == "alertmanager"]
    wide = [rule for rule in egress(tree, "NetworkPolicy", "monitoring", "alertmanager") if "ipBlock" in str(rule)]
    assert (len(found), len(wide)) == ((1, 0) if is_by_name else (0, 1))
    for policy in found:
        names = [{"matchName": "alerts.example.com"}, {"matchName": "hooks.slack.com"}]
        assert policy["spec"]["egress"][0]["toFQDNs"] == names


def test_check_reads_what_the_library_writes() -> None:
    """The proofs hold, and a host is reached by its name alone."""
    tree = shop(environment("place", "cilium"))
    model = ClusterModel(Snapshot("place", tree.files, None), ["argocd/place"])
    looked = look(model, "place")
    assert [finding for finding in looked.findings if finding.check.proof in ("schemas", "reachability")] == []
    assert len(looked.remarks) == 1 and looked.unproven == {"capacity"}
    assert not any("Kubernetes API" in note for note in looked.notes)
    answers = {name: can(model, "web", name, 443).allowed for name in ("a.example.com", "example.com", "internet")}
    assert answers == {"a.example.com": True, "example.com": False, "internet": False}
    assert not can(model, "web", "a.example.com", 80).allowed


def test_addresses_of_the_cluster() -> None:
    """Where they are known, NetworkPolicies name them; without, any address is open, and check notes it."""
    known: dict[str, Any] = {"api_networks": ("203.0.113.9/32",), "node_networks": ("10.1.0.0/24", "10.2.0.0/24")}
    place = environment("place")
    tree = shop(
        Environment(name="place", repository=place.repository, cluster=K3d(kubernetes="1.36", nodes=3, **known))
    )
    *_, nodes, api = egress(tree, "NetworkPolicy", "monitoring", "prometheus")
    assert api["to"] == [{"ipBlock": {"cidr": "203.0.113.9/32"}}]
    assert nodes["to"] == [{"ipBlock": {"cidr": "10.1.0.0/24"}}, {"ipBlock": {"cidr": "10.2.0.0/24"}}]
    for cluster, is_noted in ((tree, False), (shop(place), True)):
        looked = look(ClusterModel(Snapshot("place", cluster.files, None), ["argocd/place"]), "place")
        assert any("Kubernetes API" in note for note in looked.notes) is is_noted
        assert [finding for finding in looked.findings if finding.check.proof == "reachability"] == []
