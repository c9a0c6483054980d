"""What objects say, in few words: the same for those of the original and for ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Facts = dict[str, dict[str, Any]]


def facts(objects: Iterable[Mapping[str, Any]], registry: str) -> Facts:
    """Return what objects say, by ``kind/name``; of a Deployment with what its ConfigMap tells it.

    In images, ``…`` stands for the ``registry``.
    """
    objects = [*objects]
    texts = {each["metadata"]["name"]: each.get("data", {}) for each in objects if each["kind"] == "ConfigMap"}
    numbers = {
        each["metadata"]["name"]: _numbers(each["spec"]["template"]) for each in objects if each["kind"] == "Deployment"
    }
    found: Facts = {}
    for each in objects:
        says: dict[str, Any] = {}
        if each["kind"] == "Deployment":
            says = _deployment(each, texts, registry)
        elif each["kind"] == "Service":
            says = _service(each, numbers)
        found[f"{each['kind']}/{each['metadata']['name']}"] = says
    return found


def _deployment(deployment: Mapping[str, Any], texts: Mapping[str, Mapping[str, str]], registry: str) -> dict[str, Any]:
    spec, template = deployment["spec"], deployment["spec"]["template"]
    pods, numbers = template["spec"], _numbers(template)
    (program,) = pods["containers"]
    volumes = {each["name"]: next(kind for kind in each if kind != "name") for each in pods.get("volumes", ())}
    before = {each["name"]: _container(each, texts, numbers, volumes) for each in pods.get("initContainers", ())}
    says = _container(program, texts, numbers, volumes)
    return _said(
        replicas=spec.get("replicas"),
        annotations=template["metadata"].get("annotations"),
        account=pods.get("serviceAccountName"),
        grace_seconds=pods.get("terminationGracePeriodSeconds"),
        security=pods.get("securityContext"),
        before=before,
        program={"name": program["name"], **says, "image": says["image"].replace(registry, "…")},
    )


def _container(
    each: Mapping[str, Any],
    texts: Mapping[str, Mapping[str, str]],
    numbers: Mapping[object, int],
    volumes: Mapping[str, str],
) -> dict[str, Any]:
    env: dict[str, str] = {}
    for source in each.get("envFrom", ()):
        env |= texts[source["configMapRef"]["name"]]
    env |= {variable["name"]: variable["value"] for variable in each.get("env", ())}
    shell, *_ = each.get("command", [None])
    return _said(
        image=each["image"],
        shell=shell,
        ports=[port["containerPort"] for port in each.get("ports", ())],
        env=env,
        requests=each.get("resources", {}).get("requests"),
        limits=each.get("resources", {}).get("limits"),
        volumes={mount["mountPath"]: volumes[mount["name"]] for mount in each.get("volumeMounts", ())},
        security=each.get("securityContext"),
        **{kind: _probe(each[f"{kind}Probe"], numbers) for kind in _PROBES if f"{kind}Probe" in each},
        **({"pre_stop": each["lifecycle"]["preStop"]} if "lifecycle" in each else {}),
    )


_PROBES = ("readiness", "liveness", "startup")


def _probe(probe: Mapping[str, Any], numbers: Mapping[object, int]) -> dict[str, Any]:
    said = {name: value for name, value in probe.items() if not isinstance(value, Mapping)}
    for how in ("grpc", "httpGet", "tcpSocket"):
        if how in probe:
            said[how] = numbers.get(probe[how]["port"], probe[how]["port"])
            said |= {name: value for name, value in probe[how].items() if name not in ("port", "httpHeaders")}
            said |= {each["name"]: each["value"] for each in probe[how].get("httpHeaders", ())}
    return said


def _service(service: Mapping[str, Any], numbers: Mapping[str, Mapping[object, int]]) -> dict[str, Any]:
    spec = service["spec"]
    # In the original and in ours, a label of the pods has the name of the Deployment.
    (of,) = {value for key, value in spec["selector"].items() if key in ("app", "app.kubernetes.io/name")}
    return {
        "type": spec["type"],
        "of": of,
        "ports": {
            port["name"]: f"{port['port']} → {numbers[of].get(port['targetPort'], port['targetPort'])}"
            for port in spec["ports"]
        },
    }


def _numbers(template: Mapping[str, Any]) -> dict[object, int]:
    (program,) = template["spec"]["containers"]
    return {port.get("name"): port["containerPort"] for port in program.get("ports", ())}


def _said(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value not in (None, {}, [])}
