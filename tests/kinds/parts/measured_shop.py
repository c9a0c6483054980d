"""A shop whose programs and stores are measured, or not."""

from __future__ import annotations

from typing import Any

from synthesized import Manifest, PodTemplate, Synthesized

from constructs_lib import Environment, GitRepository, K3d, Microservice, Monitoring, System, Telemetry, synthesize

IMAGE = f"example/web:1.2.3@sha256:{'0' * 64}"
STORES: dict[str, Any] = {"image": IMAGE, "user": "shop", "storage": "1Gi"}


class Python(Telemetry):
    """Another runtime, as the docstring of Telemetry says."""

    option_variable = "PYTHONPATH"
    option = "/telemetry/opentelemetry/instrumentation/auto_instrumentation:/telemetry"
    copy = ("-r", "/autoinstrumentation/.", "/telemetry/")


def shop(*, monitored: bool = True) -> System:
    """Return an empty system, or one with nothing but Monitoring."""
    cluster = K3d(kubernetes="1.36", nodes=3, provides=("external-secrets", "metrics-api"))
    repository = GitRepository("https://github.com/example/shop.git")
    system = System(Environment(name="local", repository=repository, cluster=cluster), "shop")
    if monitored:
        Monitoring(system, version="88.5.3", storage="10Gi", retention_days=3)
    return system


def web(system: System, name: str = "web", **more: Any) -> Microservice:
    return Microservice(system, name, image=IMAGE, **{"ports": {"http": 8080}, **more})


def tree_of(system: System) -> Synthesized:
    return Synthesized("local", synthesize(system).files)


def the_pods(tree: Synthesized, kind: str = "Deployment") -> PodTemplate:
    (template,) = tree.pods(kinds=[kind])
    return template


def named(entries: list[Manifest]) -> dict[str, Manifest]:
    assert len({entry["name"] for entry in entries}) == len(entries)
    return {entry["name"]: entry for entry in entries}
