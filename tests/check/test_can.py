"""The question whether one pod may reach another, and its answers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from small_trees import deployment, model_of
from synthesized import Synthesized

from constructs_lib.check.model import ClusterModel
from constructs_lib.check.reachability.can import can
from constructs_lib.repository.snapshot import Snapshot
from constructs_lib.user_error import UserError


def production(trees: Mapping[str, Synthesized]) -> ClusterModel:
    """Return PositionPal in production."""
    return ClusterModel(Snapshot("production", trees["production"].files, None), ["argocd/production"])


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed"),
    [
        ("gateway", "user-service", "grpc", True),
        ("pp-gws/gateway", "pp-us/user-service", 5052, True),
        ("gateway", "user-service-database", "sql", False),
        ("internet", "gateway", "3000", False),
        ("internet", "traefik", "8443", True),
        ("traefik", "gateway", "http", True),
        ("internet", "user-service", "5052", False),
        ("203.0.113.7", "gateway", "http", False),
        ("notification-service", "internet", "443", True),
        ("notification-service", "10.0.0.1", "443", False),
        ("notification-service", "internet", "443/udp", False),
        ("prometheus", "rabbitmq-0", "metrics", True),
        ("gateway-7d9f8b6c5d-x2kqp", "chat-service", "http", True),
        ("chat-service", "chat-service-database-nodes", "cql", True),
        ("chat-service", "kube-dns", "53/udp", True),
        ("chat-service", "chat-service", "remoting", True),
    ],
)
def test_can(trees: Mapping[str, Synthesized], source: str, target: str, port: str | int, allowed: bool) -> None:
    assert can(production(trees), source, target, port).allowed is allowed


def test_an_answer_tells_the_policies_and_rules_of_each_side(trees: Mapping[str, Synthesized]) -> None:
    assert str(can(production(trees), "gateway", "user-service-database", "sql")).splitlines() == [
        "pp-gws/gateway cannot reach pp-us/user-service-database at port 5432/TCP.",
        "  egress of pp-gws/gateway: closed by default-deny, dns, gateway, none of whose rules lets it through",
        "  ingress of pp-us/user-service-database: closed by default-deny, user-service-database, none of whose rules "
        "lets it through",
    ]
    assert str(can(production(trees), "gateway", "user-service", "grpc")).splitlines()[1:] == [
        "  egress of pp-gws/gateway: opened by egress[3] of gateway",
        "  ingress of pp-us/user-service: opened by ingress[1] of user-service",
    ]


@pytest.mark.parametrize(
    ("source", "target", "port", "problem"),
    [
        ("gatewy", "user-service", "grpc", 'No workload and no Service is called "gatewy"; did you mean "gateway"?'),
        ("pp-gw/gateway", "user-service", "1", 'called "pp-gw/gateway"; did you mean "pp-gws/gateway"?'),
        ("gateway", "user-service", "grcp", 'pp-us/user-service has no port "grcp" for TCP; did you mean "grpc"?'),
        ("gateway", "user-service", "grpc/udp", 'no port "grpc" for UDP; give its number.'),
        ("gateway", "internet", "https", 'the internet has no port "https" for TCP; give its number.'),
        ("gateway", "user-service", "0", "0 is no port; a whole number from 1 to 65535 is needed."),
        ("gateway", "user-service", "53/icmp", "ICMP is no protocol of a port"),
        ("gateway", "chat-service-database-nodes", "sql", 'has no port "sql".'),
    ],
)
def test_questions_that_cannot_be_answered(
    trees: Mapping[str, Synthesized], source: str, target: str, port: str, problem: str
) -> None:
    with pytest.raises(UserError) as raised:
        can(production(trees), source, target, port)
    assert problem in str(raised.value)


def test_a_name_in_several_namespaces_has_to_be_told_with_its_namespace() -> None:
    tree = model_of(deployment("web"), deployment("web", "other"))
    with pytest.raises(UserError, match="one of other/web, shop/web"):
        can(tree, "web", "internet", 443)
    assert can(tree, "shop/web", "other/web", 80).allowed
