"""Which pods a selector means.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import mapping, sequence, texts


def selects(selector: object, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector matches labels; an empty one matches all, and one that is no selector none."""
    if not isinstance(selector, dict):
        return False
    wanted = texts(selector.get("matchLabels"))
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(mapping(expression), labels) for expression in sequence(selector.get("matchExpressions"))
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = str(expression.get("key")), [str(value) for value in sequence(expression.get("values"))]
    match expression.get("operator"):
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
    return False


def shown(selector: object) -> str:
    """Return a selector as messages show it."""
    parts = [f"{key}={value}" for key, value in texts(mapping(selector).get("matchLabels")).items()]
    for expression in map(mapping, sequence(mapping(selector).get("matchExpressions"))):
        values = ", ".join(map(str, sequence(expression.get("values"))))
        parts.append(" ".join(map(str, (expression.get("key"), expression.get("operator"), values))).strip())
    return ", ".join(parts) or "everything"


class PodIndex:
    """The pods of a tree by their labels, so that no selector has to look at all of them."""

    def __init__(self, model: ClusterModel) -> None:
        """Index the pods of a tree."""
        self._all = model.pods_by_namespace
        self._labelled: dict[tuple[str, str, str], list[Pods]] = defaultdict(list)
        for pods in model.pods:
            for key, value in pods.labels.items():
                self._labelled[pods.namespace, key, value].append(pods)

    def selected(self, namespace: str, selector: object) -> list[Pods]:
        """Return the pods in a namespace that a label selector matches."""
        candidates = self._all.get(namespace, [])
        for key, value in texts(mapping(selector).get("matchLabels")).items():
            labelled = self._labelled.get((namespace, key, value), [])
            if len(labelled) < len(candidates):
                candidates = labelled
        return [pods for pods in candidates if selects(selector, pods.labels)]

    def of_service(self, service_spec: Mapping[str, Any], namespace: str) -> list[Pods]:
        """Return the pods behind a Service; none if it has no selector."""
        labels = texts(service_spec.get("selector"))
        return self.selected(namespace, {"matchLabels": labels}) if labels else []


def container_ports(pods: Pods) -> Iterator[tuple[str, int, str]]:
    """Yield name, number and protocol of every port that the containers of pods declare.

    Init containers count as far as they go on running beside the others (sidecars).
    """
    for path, container in pods.containers:
        if ".initContainers[" in path and container.get("restartPolicy") != "Always":
            continue
        for port in map(mapping, sequence(container.get("ports"))):
            number = port.get("containerPort")
            if isinstance(number, int):
                yield str(port.get("name") or ""), number, str(port.get("protocol") or "TCP")
