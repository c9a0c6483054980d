"""The order in which Argo CD applies the objects of a component, and what changes with what.

Numbers are issues of argoproj/argo-cd.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthesized import WAVE, PodTemplate, Synthesized, identity, wave
from systems import empty

from constructs_lib import (
    Autoscale,
    Cassandra,
    Microservice,
    Postgres,
    RabbitMQ,
    synthesize,
)

# Order within a component


def test_waves_are_whole_numbers(tree: Synthesized) -> None:
    """Argo CD takes whatever else stands there for wave 0."""
    for manifest in tree.objects():
        text = manifest["metadata"]["annotations"][WAVE]
        assert isinstance(text, str)
        assert re.fullmatch(r"-?\d+", text)


def test_waves_of_a_component_follow_each_other(tree: Synthesized) -> None:
    """No wave is skipped; each costs two seconds."""
    for name, objects in tree.components.items():
        waves = {wave(manifest) for manifest in objects}
        # The objects of a chart are in wave 0.
        waves |= {0} if name in tree.charts else set()
        assert waves == set(range(min(waves), max(waves) + 1))


def test_set_up_comes_before_every_pod(tree: Synthesized) -> None:
    """Namespace, permissions, network and configuration, then whatever runs; what a chart runs is in wave 0."""
    secrets = ("ExternalSecret", "Role", "RoleBinding", "SecretStore", "ServiceAccount")
    set_up = ("ConfigMap", "Namespace", "NetworkPolicy", *secrets)
    for name, objects in tree.components.items():
        if name in tree.charts:
            # What the chart's own custom kinds need comes after the chart, and so do dashboards, which Grafana's
            # sidecar takes up at any time.
            before = [
                manifest
                for manifest in objects
                if manifest["kind"] in set_up and "grafana_dashboard" not in manifest["metadata"]["labels"]
            ]
            assert {wave(manifest) for manifest in before} <= {-2, -1}
            assert all(wave(manifest) > 0 for manifest in objects if manifest not in before)
        else:
            last = max(wave(manifest) for manifest in objects if manifest["kind"] in set_up)
            assert last < min(wave(manifest) for manifest in objects if manifest["kind"] not in set_up)


def test_secrets_come_before_their_users(tree: Synthesized) -> None:
    """A pod whose Secret is missing cannot start."""
    for template in tree.pods():
        sources = {
            source["spec"]["target"]["name"]: wave(source)
            for source in tree.objects("ExternalSecret", template.namespace)
        }
        for name in template.secret_names():
            assert sources[name] < wave(template.owner), identity(template.owner)
    (grafana,) = tree.objects("ExternalSecret", "monitoring")
    admin = tree.applications["monitoring"]["spec"]["sources"][0]["helm"]["valuesObject"]["grafana"]["admin"]
    assert grafana["spec"]["target"]["name"] == admin["existingSecret"]
    assert wave(grafana) < 0


def test_config_maps_come_before_their_users(tree: Synthesized) -> None:
    """A pod whose ConfigMap is missing cannot start either."""
    for template in tree.pods():
        # Kubernetes puts the certificate of its API into every namespace by itself.
        for name in template.config_map_names() - {"kube-root-ca.crt"}:
            assert wave(tree.the("ConfigMap", template.namespace, name)) < wave(template.owner)


def test_no_volume_waits_for_a_later_pod(tree: Synthesized) -> None:
    """A volume that binds with its first consumer would stay Pending, and its wave with it (12840, 29201)."""
    for claim in tree.objects("PersistentVolumeClaim"):
        users = [
            wave(template.owner)
            for template in tree.pods(claim["metadata"]["namespace"], ["Deployment", "StatefulSet", "Job"])
            for volume in template.spec["volumes"]
            if volume.get("persistentVolumeClaim", {}).get("claimName") == claim["metadata"]["name"]
        ]
        assert users, "a CronJob alone would let the volume wait for its first run"
        assert min(users) <= wave(claim)


def test_no_load_balancer_gates_anything(tree: Synthesized) -> None:
    """One without an address stays Progressing for ever: neither an object nor an Application may wait for it."""
    waves = {name: wave(application) for name, application in tree.applications.items()}
    for name, objects in tree.components.items():
        for manifest in objects:
            if manifest["kind"] == "Service" and manifest["spec"].get("type") == "LoadBalancer":
                assert wave(manifest) == max(wave(other) for other in objects)
                assert waves[name] == max(waves.values())
                assert [other for other, number in waves.items() if number == waves[name]] == [name]


def test_that_of_traefik_gates_nothing_either(trees: dict[str, Synthesized]) -> None:
    """It is there in the first wave; the Ingress, which has no address before it has one, is the last of all."""
    tree = trees["production"]
    values = tree.applications["traefik"]["spec"]["sources"][0]["helm"]["valuesObject"]
    assert values["service"]["spec"]["type"] == "LoadBalancer"
    assert values["service"]["annotations"]["argocd.argoproj.io/ignore-healthcheck"] == "true"
    (ingress,) = tree.objects("Ingress")
    waves = {name: wave(application) for name, application in tree.applications.items()}
    assert [name for name, number in waves.items() if number == max(waves.values())] == ["gateway"]
    assert wave(ingress) == max(wave(other) for other in tree.components["gateway"])


def test_autoscalers_come_with_what_they_scale(tree: Synthesized) -> None:
    """Services' last but for what leads to them, so that nothing waits for them; those of rings before the Job."""
    for objects in tree.components.values():
        for manifest in objects:
            if manifest["kind"] == "HorizontalPodAutoscaler":
                scaled = manifest["spec"]["scaleTargetRef"]
                (target,) = (
                    other
                    for other in objects
                    if (other["kind"], other["metadata"]["name"]) == (scaled["kind"], scaled["name"])
                )
                assert wave(manifest) == wave(target)
                if scaled["kind"] == "Deployment":
                    # Who leads users to it comes once it is there.
                    others = [other for other in objects if other["kind"] not in ("Certificate", "Ingress")]
                    assert wave(manifest) == max(wave(other) for other in others)
                else:
                    assert all(wave(manifest) < wave(other) for other in objects if other["kind"] == "Job")
                assert manifest["metadata"]["annotations"]["argocd.argoproj.io/ignore-healthcheck"] == "true"


def test_deployments_tell_when_they_fail(tree: Synthesized) -> None:
    """Only a Degraded Deployment lets go of the root's operation, and so lets in the commit that mends it."""
    for manifest in tree.objects("Deployment"):
        deadline = manifest["spec"]["progressDeadlineSeconds"]
        probe = manifest["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
        assert deadline > probe["failureThreshold"] * probe["periodSeconds"]


def test_jobs_are_never_changed(tree: Synthesized) -> None:
    """A Job is immutable (7430, 27407): it carries a hash, and no time to live after which it would run again."""
    for manifest in tree.objects("Job"):
        assert re.fullmatch(r".+-[0-9a-f]{8}", manifest["metadata"]["name"])
        assert "ttlSecondsAfterFinished" not in manifest["spec"]
        assert not [key for key in manifest["metadata"]["annotations"] if "hook" in key]


def test_pods_restart_with_their_configuration(tree: Synthesized) -> None:
    """Programs read a ConfigMap when they start, so its checksum is part of every pod that has one for long."""
    for template in tree.pods(kinds=["Deployment", "StatefulSet"]):
        assert bool(template.config_map_names()) == ("checksum/config" in template.annotations)


# What changes with what


def variant(folder: Path, **changes: Any) -> Synthesized:
    """Return a small system; ``changes`` say in what it differs from the usual one."""
    chosen = {
        "variable": "one",
        "image": "registry.example.org/web:1.0.0",
        "store_image": "registry.example.org/store:1.0.0",
        "sql": "CREATE TABLE IF NOT EXISTS t (id VARCHAR PRIMARY KEY);",
        "cql": "CREATE TABLE IF NOT EXISTS t (id text PRIMARY KEY);",
        "nodes": 2,
        "features": (),
        **changes,
    }
    folder.mkdir(exist_ok=True)
    for suffix in ("sql", "cql"):
        (folder / f"schema.{suffix}").write_text(chosen[suffix])
    system = empty("laptop", "external-secrets", nodes=1)
    web = Microservice(
        system,
        "web",
        image=chosen["image"],
        ports={"http": 80},
        env={"VARIABLE": chosen["variable"]},
        replicas=Autoscale(1, 2),
    )
    image, storage = chosen["store_image"], "1Gi"
    Postgres(web, "sql", image=image, database="shop", user="shop", storage=storage, schema=folder / "schema.sql")
    Cassandra(
        web,
        "cql",
        image=image,
        keyspace="shop",
        user="shop",
        storage=storage,
        nodes=chosen["nodes"],
        schema=[folder / "schema.cql"],
    )
    RabbitMQ(system, "broker", image=image, user="shop", storage=storage, permit_deprecated=chosen["features"])
    return Synthesized("laptop", synthesize(system).files)


def checksum(kind: str, namespace: str, name: str) -> Callable[[Synthesized], str]:
    """Return how to read the checksum that a workload's pods carry."""

    def read(tree: Synthesized) -> str:
        manifest = tree.the(kind, namespace, name)
        return str(manifest["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    return read


def job(store: str) -> Callable[[Synthesized], str]:
    """Return how to read the name of a store's schema Job."""

    def read(tree: Synthesized) -> str:
        names = [manifest["metadata"]["name"] for manifest in tree.objects("Job", "web")]
        (name,) = (name for name in names if name.startswith(f"web-{store}-schema-"))
        return str(name)

    return read


#: Everything that has to change with something, by what it is.
READERS: dict[str, Callable[[Synthesized], str]] = {
    "pods of web": checksum("Deployment", "web", "web"),
    "pods of cassandra": checksum("StatefulSet", "web", "web-cql"),
    "pods of rabbitmq": checksum("StatefulSet", "broker", "broker"),
    "job of postgres": job("sql"),
    "job of cassandra": job("cql"),
}


@pytest.mark.parametrize(
    ("change", "affected"),
    [
        ({}, set()),
        ({"variable": "two"}, {"pods of web"}),
        ({"image": "registry.example.org/web:2.0.0"}, set()),
        ({"store_image": "registry.example.org/store:2.0.0"}, {"job of postgres", "job of cassandra"}),
        ({"sql": "CREATE TABLE IF NOT EXISTS u (id VARCHAR PRIMARY KEY);"}, {"job of postgres"}),
        ({"cql": "CREATE TABLE IF NOT EXISTS u (id text PRIMARY KEY);"}, {"job of cassandra"}),
        ({"nodes": 3}, {"pods of cassandra", "job of cassandra"}),
        ({"features": ("global_qos",)}, {"pods of rabbitmq"}),
    ],
    ids=lambda value: "-".join(sorted(value)) or "nothing",
)
def test_what_a_change_affects(change: dict[str, Any], affected: set[str], tmp_path: Path) -> None:
    """Pods restart and Jobs run again if what they read has changed, and only then."""
    before, after = variant(tmp_path), variant(tmp_path, **change)
    assert {name for name, read in READERS.items() if read(before) != read(after)} == affected
    moved = {
        identity(manifest) for manifest in after.objects("ConfigMap") if manifest not in before.objects("ConfigMap")
    }
    stale = [
        template.name
        for template in after.pods(kinds=["Deployment", "StatefulSet"])
        if moved & {("", "ConfigMap", template.namespace, name) for name in template.config_map_names()}
        and same_annotations(before, template)
    ]
    assert stale == []


def same_annotations(before: Synthesized, template: PodTemplate) -> bool:
    """Tell whether a workload's pods carried the same annotations before."""
    (old,) = (other for other in before.pods(template.namespace, [template.kind]) if other.name == template.name)
    return dict(old.annotations) == dict(template.annotations)
