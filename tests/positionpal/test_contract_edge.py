"""How users come to PositionPal's gateway in the cloud: by HTTPS alone, and for as long as they stay."""

from __future__ import annotations

from contract import SERVICES
from synthesized import Synthesized


def test_connections_of_websockets_stay(trees: dict[str, Synthesized]) -> None:
    """In the cloud, who says nothing for minutes is still connected; a pod that goes lets what is open end."""
    assert SERVICES["gateway"]["websockets"]
    chart = trees["production"].applications["traefik"]["spec"]["sources"][0]
    values = chart["helm"]["valuesObject"]
    told = values["service"]["annotations"]
    prefix = "service.beta.kubernetes.io/do-loadbalancer-"
    # The most that DigitalOcean takes, of load balancers that have connections of their own.
    assert (told[f"{prefix}type"], told[f"{prefix}http-idle-timeout-seconds"]) == ("REGIONAL", "600")
    secured = values["ports"]["websecure"]
    assert secured["transport"]["respondingTimeouts"]["idleTimeout"] == "600s"
    assert secured["transport"]["lifeCycle"]["graceTimeOut"] == "30s"
    # Who calls is told to the gateway, and believed of the load balancer alone.
    assert told[f"{prefix}enable-proxy-protocol"] == "true"
    assert "0.0.0.0/0" not in secured["proxyProtocol"]["trustedIPs"]


def test_the_cloud_speaks_no_plain_http(trees: dict[str, Synthesized]) -> None:
    """Who comes to port 80 is sent to HTTPS, by more than one pod."""
    values = trees["production"].applications["traefik"]["spec"]["sources"][0]["helm"]["valuesObject"]
    redirection = values["ports"]["web"]["http"]["redirections"]["entryPoint"]
    assert redirection == {"to": "websecure", "scheme": "https", "permanent": True}
    assert values["deployment"]["replicas"] == 2
