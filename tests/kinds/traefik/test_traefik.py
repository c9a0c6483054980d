"""How Traefik and the load balancer in front of it are told to treat connections that last."""

from __future__ import annotations

from typing import Any

from edge_shop import cloud, told
from systems import empty

from constructs_lib import System, Traefik


def values(system: System, **given: Any) -> dict[str, Any]:
    """Return the values of its chart."""
    found = Traefik(system, version="41.3.0", **given).chart_source.values
    assert found is not None
    return dict(found)


def test_connections_on_which_nothing_is_sent_stay() -> None:
    found = values(System(cloud(), "shop"), idle_seconds=600)
    assert told(found["service"]["annotations"]) == {"type": "REGIONAL", "http-idle-timeout-seconds": "600"}
    for port in ("web", "websecure"):
        assert found["ports"][port]["transport"]["respondingTimeouts"] == {"idleTimeout": "600s"}
        assert found["ports"][port]["proxyProtocol"] == {"trustedIPs": []}


def test_it_waits_no_shorter_than_by_itself() -> None:
    found = values(System(cloud(), "shop"), idle_seconds=60)
    assert found["ports"]["websecure"]["transport"]["respondingTimeouts"] == {"idleTimeout": "180s"}


def test_addresses_of_clients() -> None:
    """A load balancer with connections of its own says them, and one that passes packets on leaves them."""
    system = System(cloud(), "shop")
    found = values(system, idle_seconds=600, keeps_client_address=True, source_ranges=["203.0.113.0/24"])
    assert told(found["service"]["annotations"])["enable-proxy-protocol"] == "true"
    assert found["service"]["spec"] == {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "loadBalancerSourceRanges": ["203.0.113.0/24"],
    }
    trusted = list(system.environment.cluster.cluster_networks)
    assert all(found["ports"][port]["proxyProtocol"] == {"trustedIPs": trusted} for port in ("web", "websecure"))
    for other in (System(cloud(), "shop"), empty("local")):
        found = values(other, keeps_client_address=True)
        assert told(found["service"]["annotations"]) == {}
        assert found["ports"]["web"]["proxyProtocol"] == {"trustedIPs": []}


def test_a_pod_that_goes_ends_what_is_open() -> None:
    """It takes connections until it is known to go, then ends those that are open, and is killed after both."""
    found = values(empty("local"), drain_seconds=90)
    assert found["ports"]["websecure"]["transport"]["lifeCycle"] == {
        "requestAcceptGraceTimeout": "10s",
        "graceTimeOut": "90s",
    }
    assert found["deployment"]["terminationGracePeriodSeconds"] > 10 + 90
