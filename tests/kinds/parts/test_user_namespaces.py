"""Where the nodes run pods in user namespaces, the pods of the library are, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from synthesized import Synthesized
from systems import empty

from constructs_lib import (
    Cassandra,
    Environment,
    ExternalSecrets,
    K3d,
    Microservice,
    Monitoring,
    Postgres,
    RabbitMQ,
    System,
    synthesize,
)
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.report.report import look
from constructs_lib.declare.diagnostics import DeclarationError
from constructs_lib.repository.snapshot import Snapshot


def shop(*provides: str) -> Synthesized:
    """Return a shop with all kinds of pods."""
    system = empty("place", *provides)
    ExternalSecrets(system, version="2.9.0")
    Monitoring(system, version="88.5.3", storage="2Gi", retention_days=2)
    Microservice(system, "web", image="example/web:1.0.0", ports={"http": 8080})
    store: dict[str, Any] = {"user": "shop", "storage": "1Gi"}
    Postgres(system, "sql", image="postgres:18.6", database="shop", backup_storage="1Gi", **store)
    Cassandra(system, "cql", image="cassandra:5.0.6", keyspace="shop", nodes=1, **store)
    RabbitMQ(system, "amqp", image="rabbitmq:4.2.1-management", **store)
    return Synthesized("place", synthesize(system).files)


def test_pods_and_those_of_charts() -> None:
    """Each says so, and those of the chart by its values; node-exporter has the network of its node and cannot."""
    with_them, without = shop("user-namespaces"), shop()
    assert len(with_them.pods()) > 5
    assert all(template.spec["hostUsers"] is False for template in with_them.pods())
    assert not any("hostUsers" in template.spec for template in without.pods())
    values = with_them.applications["monitoring"]["spec"]["sources"][0]["helm"]["valuesObject"]
    assert str(values).count("'hostUsers': False") == 4
    assert "hostUsers" not in values["prometheus-node-exporter"]
    assert "hostUsers" not in str(without.applications["monitoring"])
    found = look(ClusterModel(Snapshot("place", with_them.files, None), ["argocd/place"]), "place").findings
    assert [finding for finding in found if finding.check.proof in ("policy", "schemas")] == []


def test_a_version_without_them() -> None:
    """Kubernetes has them on by default since 1.33."""
    place = empty().environment
    for version, is_right in (("1.32", False), ("1.33", True)):
        cluster = K3d(kubernetes=version, nodes=3, provides=("metrics-api", "user-namespaces"))
        system = System(Environment(name="place", repository=place.repository, cluster=cluster), "shop")
        Microservice(system, "web", image="example/web:1.0.0", ports={"http": 8080})
        if is_right:
            assert synthesize(system).files
        else:
            with pytest.raises(DeclarationError, match=r"user-namespaces: Kubernetes 1\.32"):
                synthesize(system)
