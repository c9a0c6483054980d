"""A shop whose programs and stores are measured, or not."""

from __future__ import annotations

from typing import Any

from synthesized import Manifest, PodTemplate, Synthesized
from systems import empty

from constructs_lib import Microservice, Monitoring, System, Telemetry, synthesize

IMAGE = f"example/web:1.2.3@sha256:{'0' * 64}"
STORES: dict[str, Any] = {"image": IMAGE, "user": "shop", "storage": "1Gi"}


class Python(Telemetry):
    """Another runtime, as the docstring of Telemetry says."""

    option_variable = "PYTHONPATH"
    option = "/telemetry/opentelemetry/instrumentation/auto_instrumentation:/telemetry"
    copy = ("-r", "/autoinstrumentation/.", "/telemetry/")


def shop(*, monitored: bool = True) -> System:
    """Return an empty system, or one with nothing but Monitoring."""
    system = empty("local", "external-secrets")
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
