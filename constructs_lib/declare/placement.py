"""On which nodes pods run, and who goes first where there is not room for all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.kubernetes.names import is_subdomain
from constructs_lib.text import shown


@explained
@dataclass(frozen=True)
class Toleration:
    """A taint of nodes that the pods put up with: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/.

    Attributes:
        key: Key of the taint; empty for any.
        value: Value of the taint. Default: any.
        effect: Effect of the taint. Default: any.
        seconds: Seconds until they are evicted by the effect ``NoExecute``. Default: they stay.
    """

    key: str
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    seconds: int | None = None

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        if self.key and (problem := validation.label(self.key, self.value or "")):
            yield problem
        if not self.key and self.value is not None:
            yield "value: a toleration of any taint has no value; name the key."
        if self.seconds is not None and self.effect != "NoExecute":
            yield 'seconds: only the effect "NoExecute" evicts; add it, or leave the seconds out.'

    def manifest(self) -> dict[str, Any]:
        """Return the toleration of a pod."""
        return {
            **({"key": self.key} if self.key else {}),
            "operator": "Exists" if self.value is None else "Equal",
            **({"value": self.value} if self.value is not None else {}),
            **({"effect": self.effect} if self.effect else {}),
            **({"tolerationSeconds": self.seconds} if self.seconds is not None else {}),
        }


@explained
@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where pods run.

    Attributes:
        nodes: Labels that a node must have. Default: any node.
        tolerations: Taints of nodes that they put up with.
        spread: What the pods are spread over: ``nodes`` or ``zones``. Default ``nodes``.
        strictly: Whether a pod rather waits than sits closer to another than the spread allows. Default False.
        priority: Name of a PriorityClass of the cluster. Default: the cluster's own.
    """

    nodes: Mapping[str, str] = field(default_factory=dict, hash=False)
    tolerations: Sequence[Toleration] = ()
    spread: Literal["nodes", "zones"] = "nodes"
    strictly: bool = False
    priority: str | None = None

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it."""
        for name, value in self.nodes.items():
            if problem := validation.label(name, value):
                yield f"nodes: {problem}"
        for toleration in self.tolerations:
            for problem in toleration.problems():
                yield f"tolerations: {problem}"
        if self.priority is not None and not is_subdomain(self.priority):
            yield f"priority: {shown(self.priority)} is no name of a PriorityClass."

    def manifest(self) -> dict[str, Any]:
        """Return the fields of a pod that choose its node, but for the spread."""
        return {
            **({"nodeSelector": dict(self.nodes)} if self.nodes else {}),
            **({"tolerations": [each.manifest() for each in self.tolerations]} if self.tolerations else {}),
            **({"priorityClassName": self.priority} if self.priority else {}),
        }
