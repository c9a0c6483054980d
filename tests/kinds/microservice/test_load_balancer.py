"""What a load balancer in front of a program does beside passing connections on, as its provider is told."""

from __future__ import annotations

from edge_shop import cloud, told
from sound import one, sound_tree
from synthesized import Manifest
from systems import empty

from constructs_lib import LoadBalancer, Microservice, System


def outside(system: System, balancer: LoadBalancer) -> Manifest:
    """Return the Service that the world reaches."""
    Microservice(system, "web", image="example/web:1.0.0", ports={"http": 8080}, exposed=balancer)
    return one(sound_tree(system), "Service", "web-external")


def test_it_ends_tls_and_waits_for_who_says_nothing() -> None:
    """Users of port 80 are told of 443; connections on which nothing is sent live as long as they may."""
    balancer = LoadBalancer({"http": 443}, idle_seconds=600, certificate="shop", redirect=True)
    service = outside(System(cloud(), "shop"), balancer)
    assert [(each["name"], each["port"], each["targetPort"]) for each in service["spec"]["ports"]] == [
        ("http", 443, "http"),
        ("redirect", 80, "http"),
    ]
    assert told(service["metadata"]["annotations"]) == {
        # Its default passes packets on, and has neither time-outs nor TLS.
        "type": "REGIONAL",
        "protocol": "http",
        "tls-ports": "443",
        "certificate-name": "shop",
        "redirect-http-to-https": "true",
        "http-idle-timeout-seconds": "600",
    }


def test_what_is_annotated_wins() -> None:
    balancer = LoadBalancer(
        {"http": 443}, idle_seconds=600, annotations={"service.beta.kubernetes.io/do-loadbalancer-type": "OTHER"}
    )
    service = outside(System(cloud(), "shop"), balancer)
    assert told(service["metadata"]["annotations"]) == {"type": "OTHER", "http-idle-timeout-seconds": "600"}


def test_that_of_a_laptop_has_no_time_outs() -> None:
    service = outside(empty("local"), LoadBalancer({"http": 80}, idle_seconds=600))
    assert told(service["metadata"]["annotations"]) == {}
