"""A shop that the world reaches through a controller, with certificates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import yaml
from systems import empty, environment, monitored

from constructs_lib import (
    Acme,
    CertManager,
    ClusterIssuer,
    DigitalOcean,
    Environment,
    ExistingController,
    ExternalSecrets,
    Http01,
    Microservice,
    System,
    Traefik,
    synthesize,
)
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.proofs import prove
from constructs_lib.kubernetes.manifest_yaml import dump
from constructs_lib.repository.snapshot import Snapshot

NGINX = ExistingController(
    "ingress-nginx", {"app": "nginx"}, ingress_class="nginx", gateway_class="nginx", http_port=80, https_port=443
)


#: Beginning of the annotations by which load balancers of DigitalOcean are told.
DIGITALOCEAN = "service.beta.kubernetes.io/do-loadbalancer-"


def cloud() -> Environment:
    """Return an environment in a cluster of DigitalOcean."""
    cluster = DigitalOcean(name="a", region="fra1", kubernetes="1.36", pool="a", size="s-2vcpu-4gb", nodes=2)
    return replace(environment("production"), cluster=cluster)


def told(annotations: dict[str, str]) -> dict[str, str]:
    """Return what DigitalOcean's load balancers are told, by the ends of the annotations' names."""
    return {
        name.removeprefix(DIGITALOCEAN): text for name, text in annotations.items() if name.startswith(DIGITALOCEAN)
    }


@dataclass
class EdgeShop:
    """Two services, a controller and an issuer."""

    system: System
    traefik: Traefik
    manager: CertManager
    issuer: ClusterIssuer
    web: Microservice
    orders: Microservice


def edge_shop(*, gateways: bool = False, is_monitored: bool = False) -> EdgeShop:
    """Declare the shop."""
    system = monitored() if is_monitored else empty()
    if not is_monitored:
        ExternalSecrets(system, version="2.9.0")
    traefik = Traefik(system, version="41.3.0", gateways=gateways)
    manager = CertManager(system, version="v1.21.1")
    issuer = ClusterIssuer(manager, "letsencrypt", Acme("ops@example.com", Http01(traefik)))
    orders = Microservice(system, "orders", image="example/orders:1.4.0", ports={"http": 8080})
    web = Microservice(system, "web", image="example/web:2.0.1", ports={"http": 3000})
    web.needs(orders.endpoint("http"))
    return EdgeShop(system, traefik, manager, issuer, web, orders)


def files_of(system: System) -> dict[str, dict[str, Any]]:
    """Return the objects that are deployed from Git, by the names of their folders and files."""
    files = synthesize(system).files
    return {
        path.split("/", 2)[2].removesuffix(".yaml"): yaml.safe_load(content)
        for path, content in files.items()
        if path.startswith("dist/")
    }


def found_without(system: System, path: str, drop: Callable[[dict[str, Any]], object]) -> list[str]:
    """Return the codes of what check finds in the tree of a system in which something is missing in a file."""
    files = dict(synthesize(system).files)
    where = f"dist/{system.environment.name}/{path}.yaml"
    content = yaml.safe_load(files[where])
    drop(content)
    files[where] = dump(content)
    return sorted({finding.check.code for finding in prove(ClusterModel(Snapshot.of_files("tree", files)))})
