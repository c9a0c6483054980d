"""A kind that a user writes has all that the library's own kinds have: the one of docs/constructs.md, and a client."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from page_samples import samples
from systems import monitored

from constructs_lib import (
    Component,
    DeclarationError,
    Jvm,
    Microservice,
    Postgres,
    System,
    Workload,
    api,
    synthesize,
)
from constructs_lib.declare.role import Role
from constructs_lib.derive.graph import Graph
from constructs_lib.draw.architecture import architecture
from constructs_lib.grafana.model import Dashboard
from constructs_lib.kinds.parts.client import container_variables, wait_containers
from constructs_lib.kinds.parts.objects import service_account
from constructs_lib.kinds.parts.pods import container, pod_spec
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.observe import catalogue
from constructs_lib.observe.page import pages
from constructs_lib.user_error import UserError

IMAGE = "example/worker:1.2.3"


class Worker(Workload):
    """A program without ports that a user runs."""

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        program = container(self.name, IMAGE, env=container_variables(self))
        spec = pod_spec(self, 10001, containers=[program], before=wait_containers(self, IMAGE), volumes=[])
        template = {"metadata": {"labels": self.labels}, "spec": spec}
        pods = {"replicas": 1, "selector": {"matchLabels": self.selector}, "template": template}
        yield 0, service_account(self)
        yield 1, self.manifest("apps/v1", "Deployment", spec=pods)


class Forgetful(Workload):
    """A kind that gives its container nothing."""

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        yield 0, service_account(self)


@pytest.fixture
def folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder ``keydb`` of the samples, beside ``keydb.py``."""
    for sample in samples(root / "docs" / "constructs.md"):
        if sample.file.startswith("keydb"):
            (tmp_path / sample.file).parent.mkdir(exist_ok=True)
            (tmp_path / sample.file).write_text(sample.text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "keydb", raising=False)
    return tmp_path / "keydb"


@pytest.fixture
def shop(folder: Path) -> System:
    """A shop with a cache, a service and a worker that need it, and Monitoring."""
    kind: Any = import_module("keydb").KeyDB
    system = monitored("laptop")
    cache = kind(system, "cache", image="example/keydb:6.3.4")
    web = Microservice(system, "web", image="example/web:1.2.3", ports={"http": 8080}, exposed="http", replicas=2)
    for client in (web, Worker(system, "worker")):
        client.needs(cache.endpoint("resp"), {"CACHE": "address", "CACHE_PASSWORD": "password"})
    return system


def objects(system: System) -> dict[str, Manifest]:
    """Return the objects of a system as ``Kind/name``."""
    graph = Graph(system)
    found = {}
    for component in system.components:
        for made in component.to_json():
            found[f"{made['kind']}/{made['metadata']['name']}"] = made
    assert graph.waves == {"external-secrets": 0, "monitoring": 1, "cache": 1, "web": 2, "worker": 2}
    return found


def dashboard(system: System, title: str) -> Dashboard:
    [found] = [each for each in catalogue.dashboards(system, Graph(system).waves) if each.title == title]
    return found


def test_nothing_is_wrong_with_it(shop: System) -> None:
    assert api.check(shop) == []


def test_is_shown(shop: System) -> None:
    own = dashboard(shop, "KeyDB")
    assert [row.title for row in own.rows] == ["Health", "Pods"]
    assert [variable.name for variable in own.variables] == ["namespace", "pod"]
    [panel] = [panel for panel in dashboard(shop, "shop: overview").panels() if panel.title == "cache"]
    assert [query.legend for query in panel.queries] == ["Commands", "Refused", "Memory"]
    assert panel.queries[2].expression == 'sum(redis_memory_used_bytes{namespace="cache", service="cache"})'
    assert panel.link == own.uid == "shop-all-keydb"
    assert ("cache", own.uid) in dashboard(shop, "web").links


def test_is_alerted_on(shop: System) -> None:
    [group] = objects(shop)["PrometheusRule/keydb"]["spec"]["groups"]
    [alert] = group["rules"]
    assert alert["expr"] == 'max by (namespace, service) (redis_up{namespace="cache", service="cache"}) == 0'
    assert alert["annotations"]["runbook_url"].endswith("/docs/runbooks/KeyDBDown.md")
    written = pages(Graph(shop))
    assert "cannot log in" in written["runbooks/KeyDBDown.md"]
    [row] = [line for line in written["observability.md"].splitlines() if "(runbooks/KeyDBDown.md)" in line]
    assert row.endswith("| KeyDB | documented |")


def test_is_scraped_by_prometheus_alone(shop: System) -> None:
    found = objects(shop)
    monitor = found["PodMonitor/cache"]
    assert monitor["metadata"]["annotations"]["constructs-lib/metrics"] == "redis_*"
    [metrics] = [rule for rule in found["NetworkPolicy/cache"]["spec"]["ingress"] if rule["ports"][0]["port"] == 9121]
    [peer] = metrics["from"]
    assert peer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}


def test_metric_that_it_does_not_expose_is_found(shop: System, folder: Path) -> None:
    file = folder / "alerts.yaml"
    file.write_text(file.read_text().replace("redis_up", "rediss_up"))
    assert [finding.check.code for finding in api.check(shop)] == ["metric-unknown"]


def test_is_drawn_as_what_it_is(shop: System) -> None:
    nodes = {node.id: node for node in architecture(Graph(shop)).nodes}
    assert nodes["cache"].role == Role.STORE
    [section] = nodes["cache"].sections
    assert (section.kind, section.role) == ("KeyDB", Role.STORE)
    assert nodes["worker"].role == Role.SERVICE


@pytest.mark.parametrize("client", ["web", "worker"])
def test_clients_wait_for_it_and_are_told_of_it(shop: System, client: str) -> None:
    found = objects(shop)
    spec = found[f"Deployment/{client}"]["spec"]["template"]["spec"]
    [wait] = spec["initContainers"]
    assert wait["command"][-2:] == ["wait", "cache.cache.svc.cluster.local:6379"]
    told = {each["name"]: each.get("value") for each in spec["containers"][0]["env"]}
    told |= found.get(f"ConfigMap/{client}", {}).get("data", {})
    assert told == {"CACHE": "cache.cache.svc.cluster.local:6379", "CACHE_PASSWORD": None}


def test_variable_that_no_container_gets_is_told(shop: System) -> None:
    Forgetful(shop, "deaf").needs(shop.component("cache").workloads[0].endpoint("resp"), {"CACHE": "address"})
    with pytest.raises(DeclarationError) as failure:
        synthesize(shop)
    [told] = failure.value.diagnostics
    assert (told.subject, told.location.file) == ("deaf", __file__)
    assert told.problem == (
        "it is told CACHE, and no container gets it: manifests() of Forgetful has to pass on what "
        "container_variables(self) returns."
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("alerts.yaml", "$own", "$mine", "{file}: nothing defines the placeholder $mine."),
        ("alerts.yaml", "    labels: {severity: critical}\n", "", "{file}: it needs one group with rules"),
        ("alerts.yaml", "groups:", "groups: [", "{file} cannot be read: "),
        ("dashboard.yaml", "$chosen", "$chosn", "{file}: nothing defines the placeholder $chosn."),
        ("dashboard.yaml", "falling:", "faling:", "{file}, panel up: "),
        ("dashboard.yaml", "title: KeyDB", "- title", "{file} cannot be read: "),
    ],
)
def test_mistake_in_its_files_is_told(shop: System, folder: Path, file: str, old: str, new: str, told: str) -> None:
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError) as failure:
        synthesize(shop)
    assert told.format(file=path) in str(failure.value)


def test_missing_runbook_is_told(shop: System, folder: Path) -> None:
    (folder / "runbooks" / "KeyDBDown.md").unlink()
    with pytest.raises(UserError, match=r"There is no .*/KeyDBDown\.md; say there what to do when KeyDBDown fires\."):
        pages(Graph(shop))


def test_may_have_no_files_at_all(shop: System) -> None:
    Component(shop, "empty")
    assert Worker(shop, "quiet").dashboard_name == ""
    assert all("quiet" not in dashboard.title for dashboard in catalogue.dashboards(shop, Graph(shop).waves))


def test_subclass_of_a_kind_is_shown_with_it(shop: System) -> None:
    class Site(Microservice):
        """A service with a default of its own."""

        def __init__(self, scope: System, id: str) -> None:
            super().__init__(scope, id, image=IMAGE, ports={"http": 8080}, telemetry=Jvm())

    class Database(Postgres):
        """The same."""

    for kind, id in ((Postgres, "first"), (Database, "second")):
        kind(shop, id, image="postgres:18.6", database="shop", user="shop", storage="1Gi")
    Site(shop, "site")
    Microservice(shop, "mail", image=IMAGE, ports={"http": 8080}, telemetry=Jvm())
    assert synthesize(shop).files
    groups = {group.name: group for group in catalogue.groups(shop)}
    assert 'service=~"mail|site"' in groups["requests"].records[0].expression
    assert 'namespace=~"first|second"' in groups["postgres"].alerts[0].expression
    assert dashboard(shop, "site").uid == "shop-site"
    assert dashboard(shop, "PostgreSQL").variables[0].values == ("first", "second")


def test_dashboard_that_nothing_describes_is_told(shop: System) -> None:
    class Named(Worker):
        dashboard_name = "mine"

    Named(shop, "named")
    with pytest.raises(UserError, match=r"Named names a dashboard and has no dashboard\.yaml in its folder\."):
        catalogue.dashboards(shop, Graph(shop).waves)
