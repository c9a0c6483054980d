"""A chart that workloads need: variables, order, wait, secrets and both policies, with what Helm renders of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from charts import REGISTRY, archive, push, registry
from systems import empty

from constructs_lib import (
    ChartEndpoint,
    DeclarationError,
    ExternalSecrets,
    HelmChart,
    Microservice,
    PodAccess,
    Postgres,
    System,
    generated,
)
from constructs_lib.api import model_of
from constructs_lib.check.proofs import prove
from constructs_lib.derive.graph import Graph
from constructs_lib.repository.rendering import Charts, find_helm, looking_with
from constructs_lib.synth.pipeline import synthesize

IMAGE = "example/web:1.2.3"
LABELS = {"app": "valkey"}
ENDPOINT = ChartEndpoint("cache-valkey", 6380, LABELS, target_port=6379, attributes={"scheme": "redis"})
VALKEY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache-valkey}
spec:
  selector: {matchLabels: {app: valkey}}
  template:
    metadata: {labels: {app: valkey}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: valkey
          image: valkey/valkey:8.1.0
          ports: [{containerPort: 6379}]
          env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: {{ .Values.secret }}, key: password}}}]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: cache-valkey}
spec: {selector: {app: valkey}, ports: [{port: 6380, targetPort: 6379}]}
"""


def declared(repository: str = "https://charts.example.com", **more: Any) -> tuple[System, HelmChart, Microservice]:
    """Return a system with a chart that a service needs."""
    system = empty()
    ExternalSecrets(system, version="2.9.0")
    given = {
        "endpoints": {"redis": ENDPOINT},
        "secrets": {"password": generated("what clients of the cache log in with")},
        "values": {"secret": "cache"},
        **more,
    }
    cache = HelmChart(system, "cache", repository=repository, chart="cache", version="8.1.0", **given)
    web = Microservice(system, "web", image=IMAGE, ports={"http": 8080})
    return system, cache, web


def objects(system: System) -> dict[str, Mapping[str, Any]]:
    """Return the objects of a system by kind, namespace and name."""
    tree = synthesize(system, keep_manifests=True)
    found = (tree.manifests or {}).values()
    return {"/".join((m["kind"], m["metadata"].get("namespace", ""), m["metadata"]["name"])): m for m in found}


def test_from_one_line_follows_everything() -> None:
    system, cache, web = declared()
    web.needs(cache.endpoint("redis"), {"CACHE": "address", "SCHEME": "scheme", "CACHE_PASSWORD": "password"})
    made = objects(system)
    assert Graph(system).waves["cache"] < Graph(system).waves["web"]
    pods = made["Deployment/web/web"]["spec"]["template"]["spec"]
    variables = {each["name"]: each for each in pods["containers"][0]["env"]}
    told = made["ConfigMap/web/web"]["data"]
    assert (told["CACHE"], told["SCHEME"]) == ("cache-valkey.cache.svc.cluster.local:6380", "redis")
    assert variables["CACHE_PASSWORD"]["valueFrom"]["secretKeyRef"]["key"] == "cache.password"
    assert "cache-valkey.cache.svc.cluster.local" in str(pods["initContainers"])
    assert made["ExternalSecret/cache/cache"]["spec"]["data"][0]["secretKey"] == "password"
    ingress = made["NetworkPolicy/cache/redis"]["spec"]
    assert ingress["podSelector"] == {"matchLabels": LABELS}
    (rule,) = ingress["ingress"]
    assert rule["from"][0]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "web"}}
    assert rule["ports"] == [{"port": 6379, "protocol": "TCP"}]
    assert any(
        peer.get("podSelector") == {"matchLabels": LABELS}
        for rule in made["NetworkPolicy/web/web"]["spec"]["egress"]
        for peer in rule["to"]
    )


@pytest.mark.skipif(REGISTRY is None or find_helm() is None, reason="docker-registry or helm is not installed")
def test_what_follows_is_right_for_what_helm_renders(tmp_path: Path) -> None:
    charts = Charts(folder=tmp_path / "cache")
    with registry(tmp_path / "registry") as address:
        push(
            charts.helm or "",
            address,
            archive("cache", "8.1.0", {"templates/a.yaml": VALKEY}),
            "cache",
            "8.1.0",
            tmp_path,
        )

        def found(*, secret: str = "cache", port: int = 6379) -> set[str]:
            endpoint = ChartEndpoint("cache-valkey", 6380, LABELS, target_port=port)
            repository = f"oci://{address}/charts"
            more = {"values": {"secret": secret}, "endpoints": {"redis": endpoint}}
            system, cache, web = declared(repository, **more)
            web.needs(cache.endpoint("redis"), {"CACHE": "address", "CACHE_PASSWORD": "password"})
            with looking_with(charts):
                model = model_of(synthesize(system, keep_manifests=True))
            assert not any("cache" in key for key in model.warnings)
            return {each.check.code for each in prove(model)}

        assert found() == set()
        # Nobody makes that Secret.
        assert "secret-missing" in found(secret="cahce")
        # Its pods do not listen there.
        assert "call-blocked" in found(port=6380)


def test_pods_of_a_chart_call_what_the_system_offers() -> None:
    system, cache, _ = declared(
        access=[PodAccess("agent", {"app": "agent"}, from_world=(443,), from_namespaces=(("probes", (8080,)),))]
    )
    database = Postgres(system, "database", image="postgres:18.6", database="shop", user="shop", storage="1Gi")
    sql = database.endpoint("sql")
    access = PodAccess("agent", {"app": "agent"}, to_endpoints=(sql, cache.endpoint("redis")))
    HelmChart(system, "agent", repository="https://charts.example.com", chart="agent", version="1.0.0", access=[access])
    made = objects(system)
    world, probes = made["NetworkPolicy/cache/agent"]["spec"]["ingress"]
    assert world == {"ports": [{"port": 443, "protocol": "TCP"}]}
    assert probes["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "probes"}}}]
    out = made["NetworkPolicy/agent/agent"]["spec"]["egress"]
    assert [rule["ports"][0]["port"] for rule in out] == [5432, 6379]
    for name, port in (("NetworkPolicy/database/database", 5432), ("NetworkPolicy/cache/redis", 6379)):
        rules = [rule for rule in made[name]["spec"]["ingress"] if "agent" in str(rule)]
        assert [rule["ports"] for rule in rules] == [[{"port": port, "protocol": "TCP"}]]


def test_mistakes_are_told() -> None:
    system, cache, _ = declared(
        endpoints={
            "redis": ChartEndpoint("Cache", 6379, {}),
            "port": ChartEndpoint("cache", 1, {"a": "b"}, attributes={"host": "c"}),
        }
    )
    cache.endpoint("redsi")
    with pytest.raises(DeclarationError) as told:
        synthesize(system)
    said = [diagnostic.problem for diagnostic in told.value.diagnostics]
    assert any(problem.startswith('endpoint redis: service: "Cache" is no DNS label') for problem in said)
    assert any(problem.startswith("endpoint redis: pods: no label would select") for problem in said)
    assert any(problem.startswith('endpoint port: every endpoint tells its "host" anyway') for problem in said)
    assert any(problem.startswith('there is no endpoint "redsi"') for problem in said)
