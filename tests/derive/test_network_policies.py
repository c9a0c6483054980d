"""What the library derives from a declaration, where PositionPal's own does not show it."""

from __future__ import annotations

from network import Network, Pod
from synthesized import Synthesized
from systems import empty

from constructs_lib import HelmChart, Microservice, PodAccess, synthesize

NAME = "app.kubernetes.io/name"


def test_every_chart_that_scrapes_reaches_every_metrics_port() -> None:
    """A second scraper, such as one that ships metrics to somebody else, is let in like the first."""
    system = empty("laptop", nodes=1)
    scrapers = []
    for name in ("prometheus", "agent"):
        HelmChart(
            system,
            name,
            repository="https://charts.example.org",
            chart=name,
            version="1.0.0",
            access=[PodAccess(name, {NAME: name}, scrapes=True), PodAccess("other", {NAME: "other"})],
        )
        scrapers.append(Pod(name, name, {NAME: name}))
    others = [Pod(scraper.namespace, "other", {NAME: "other"}) for scraper in scrapers]
    for name in ("web", "stock"):
        Microservice(
            system,
            name,
            image="registry.example.org/web:1.0.0",
            ports={"http": 8080, "metrics": 9464},
            metrics="metrics",
        )
    tree = Synthesized("laptop", synthesize(system).files)
    network = Network(
        tree.objects("NetworkPolicy"),
        {namespace["metadata"]["name"]: namespace["metadata"]["labels"] for namespace in tree.objects("Namespace")},
    )
    for template in tree.pods():
        service = Pod(template.namespace, template.name, template.labels)
        assert all(network.open_ports(scraper, service) == {("TCP", 9464)} for scraper in scrapers)
        assert not any(network.open_ports(other, service) for other in others)
