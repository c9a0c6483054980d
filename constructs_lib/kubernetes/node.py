"""What the nodes of a cluster have for pods, where nothing else in a tree tells of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from constructs_lib.kubernetes.names import is_label_key, is_label_value
from constructs_lib.kubernetes.quantity import quantity_problem
from constructs_lib.text import shown

#: The annotation with it, in JSON, at the Application that deploys the others.
NODES = "constructs-lib/nodes"


@dataclass(frozen=True, kw_only=True)
class Node:
    """What each node has for pods.

    That is ``Allocatable`` of ``kubectl describe node``, without what the cluster's own pods there ask for.

    Attributes:
        cpu: Processor, such as ``"4"`` or ``"3500m"``.
        memory: Memory, such as ``"15Gi"``.
        pods: How many pods it takes. Default 110, as the kubelet's.
        labels: Labels that all of them have, beside those that begin with ``kubernetes.io`` or a part of it. Default:
            not known, so that pods may ask for any.
        extended: What devices they have, by name: ``{"nvidia.com/gpu": 1}``. Default: none.
    """

    cpu: str
    memory: str
    pods: int = 110
    labels: Mapping[str, str] | None = field(default=None, hash=False)
    extended: Mapping[str, int] = field(default_factory=dict, hash=False)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        for name, text, example in (("cpu", self.cpu, "4"), ("memory", self.memory, "15Gi")):
            if problem := quantity_problem(text, example):
                yield f"{name}: {problem}"
        if self.pods < 1:
            yield f"pods: {self.pods} is no number of pods; at least 1, and 110 as a rule."
        for label, value in (self.labels or {}).items():
            if not is_label_key(label):
                yield f'labels: {shown(label)} is no name of a label; write it like "pool" or "example.com/pool".'
            elif not is_label_value(value):
                yield f"labels: {label}: {shown(value)} is no value of a label; letters, digits and . _ - are allowed."
        for name, amount in self.extended.items():
            if "/" not in name or not is_label_key(name):
                yield f'extended, {shown(name)}: it is no name of such a resource; write "nvidia.com/gpu".'
            elif amount < 1:
                yield f"extended, {name}: {amount} is too little; at least 1, or leave it out."


def written(count: int, node: Node) -> str:
    """Return the text of the annotation about so many nodes."""
    labels = {} if node.labels is None else {"labels": dict(node.labels)}
    extended = {"extended": dict(node.extended)} if node.extended else {}
    told = {"count": count, "cpu": node.cpu, "memory": node.memory, "pods": node.pods, **labels, **extended}
    return json.dumps(told, ensure_ascii=False)
