"""The evaluator of NetworkPolicies, against what the Kubernetes documentation says of them."""

from __future__ import annotations

from typing import Any

import pytest
from network import Network, Outside, Pod, selects

NAMESPACES = {"shop": {"team": "a"}, "other": {}}
WEB = Pod("shop", "web", {"app": "web", "tier": "front"}, "10.244.0.2")
DATABASE = Pod("shop", "database", {"app": "database"}, "10.244.0.3", {"sql": 5432})
STRANGER = Pod("other", "web", {"app": "web"}, "10.244.0.4")
INTERNET = Outside("203.0.113.7")


def policy(namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    """Return a NetworkPolicy."""
    return {"metadata": {"namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def network(*policies: dict[str, Any]) -> Network:
    """Return a network in which the ports 80 and 5432 are looked at."""
    return Network(policies, NAMESPACES).with_ports([80, 5432])


def everything(net: Network) -> set[tuple[str, int]]:
    """Return all ports that are looked at."""
    return set(net.ports)


def test_pods_that_no_policy_selects_are_open() -> None:
    net = network(policy(podSelector={"matchLabels": {"app": "database"}}, ingress=[]))
    assert net.open_ports(DATABASE, WEB) == everything(net)
    assert net.open_ports(WEB, DATABASE) == set()


@pytest.mark.parametrize(
    ("spec", "directions"),
    [
        ({}, {"Ingress"}),
        ({"ingress": [{}]}, {"Ingress"}),
        ({"egress": [{}]}, {"Ingress", "Egress"}),
        ({"policyTypes": ["Egress"]}, {"Egress"}),
        ({"policyTypes": ["Ingress", "Egress"]}, {"Ingress", "Egress"}),
    ],
)
def test_policy_types_close_a_direction(spec: dict[str, Any], directions: set[str]) -> None:
    net = network(policy(**spec))
    assert {direction for direction in ("Ingress", "Egress") if net.isolated(WEB, direction)} == directions
    assert not net.isolated(STRANGER, "Ingress")


def test_both_sides_have_to_let_a_connection_through() -> None:
    deny = policy(policyTypes=["Ingress", "Egress"])
    out = policy(policyTypes=["Egress"], podSelector={"matchLabels": {"app": "web"}}, egress=[{}])
    into = policy(podSelector={"matchLabels": {"app": "database"}}, ingress=[{"ports": [{"port": 5432}]}])
    assert network(deny, out).open_ports(WEB, DATABASE) == set()
    assert network(deny, into).open_ports(WEB, DATABASE) == set()
    assert network(deny, out, into).open_ports(WEB, DATABASE) == {("TCP", 5432)}


def test_rules_of_several_policies_add_up() -> None:
    net = network(policy(ingress=[{"ports": [{"port": 80}]}]), policy(ingress=[{"ports": [{"port": 5432}]}]))
    assert net.open_ports(STRANGER, WEB) == {("TCP", 80), ("TCP", 5432)}


@pytest.mark.parametrize(
    ("peer", "who"),
    [
        ({"podSelector": {"matchLabels": {"app": "web"}}}, {WEB}),
        ({"podSelector": {}}, {WEB, DATABASE}),
        ({"namespaceSelector": {}}, {WEB, DATABASE, STRANGER}),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, {WEB, DATABASE}),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}, {STRANGER}),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}, {WEB, STRANGER}),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, {INTERNET}),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, {INTERNET, WEB, DATABASE, STRANGER}),
    ],
)
def test_a_peer_is_chosen_by_namespace_pod_or_address(peer: dict[str, Any], who: set[Pod | Outside]) -> None:
    net = network(policy(ingress=[{"from": [peer]}]))
    assert {source for source in (WEB, DATABASE, STRANGER, INTERNET) if net.open_ports(source, DATABASE)} == who


@pytest.mark.parametrize(
    ("ports", "opened"),
    [
        ([{"port": 80}], {("TCP", 80)}),
        ([{"port": 80, "protocol": "UDP"}], {("UDP", 80)}),
        ([{"port": "sql"}], {("TCP", 5432)}),
        ([{"port": "unknown"}], set()),
        ([{"port": 79, "endPort": 81}], {("TCP", 79), ("TCP", 80), ("TCP", 81)}),
        ([{"protocol": "TCP"}], {("TCP", 1), ("TCP", 80), ("TCP", 5432)}),
    ],
)
def test_ports_by_number_name_range_and_protocol(ports: list[dict[str, Any]], opened: set[tuple[str, int]]) -> None:
    assert network(policy(ingress=[{"ports": ports}])).open_ports(WEB, DATABASE) == opened


@pytest.mark.parametrize(
    ("operator", "values", "matches"),
    [
        ("In", ["web"], True),
        ("In", ["x"], False),
        ("NotIn", ["web"], False),
        ("NotIn", ["x"], True),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_selectors_with_expressions(operator: str, values: list[str], matches: bool) -> None:
    selector = {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}
    assert selects(selector, WEB.labels) is matches


def test_a_label_that_is_not_there_is_not_in_any_list() -> None:
    assert selects({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}, DATABASE.labels)


def test_both_parts_of_a_selector_have_to_match() -> None:
    selector = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [{"key": "tier", "operator": "In", "values": ["back"]}],
    }
    assert not selects(selector, WEB.labels)
    assert not selects({"matchLabels": {"app": "web", "tier": "back"}}, WEB.labels)
