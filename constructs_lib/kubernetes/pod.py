"""Parts of pods that every workload shares: security, probes, resources, volumes, spread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from constructs_lib.kubernetes.names import is_label_key
from constructs_lib.kubernetes.quantity import parse_quantity, quantity_problem
from constructs_lib.text import shown

#: Seconds between the end of a pod's life in the Service and the signal to its program: endpoints, kube-proxy and
#: load balancers need them to stop sending (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/).
DEREGISTRATION_SECONDS = 10


@dataclass(frozen=True)
class Resources:
    """What a container asks for and may use.

    By default there is no CPU limit: it throttles a program while the node idles, and requests already share the
    processor fairly (https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/).

    Attributes:
        cpu: Processor that is reserved, such as ``500m``.
        memory: Memory that is reserved, such as ``256Mi``.
        memory_limit: Memory above which it is killed. Default: what is reserved.
        cpu_limit: Processor above which it is throttled. Default: none.
        extended: What else it gets of a node, by name: ``{"nvidia.com/gpu": 1}``. Default: nothing.
    """

    cpu: str
    memory: str
    memory_limit: str | None = None
    cpu_limit: str | None = field(default=None, kw_only=True)
    extended: Mapping[str, int] = field(default_factory=dict, hash=False, kw_only=True)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the resources."""
        limit = self.memory if self.memory_limit is None else self.memory_limit
        given = {"cpu": (self.cpu, "500m"), "memory": (self.memory, "256Mi")}
        if self.memory_limit is not None:
            given["memory_limit"] = limit, "512Mi"
        if self.cpu_limit is not None:
            given["cpu_limit"] = self.cpu_limit, "1"
        problems = {name: quantity_problem(*quantity) for name, quantity in given.items()}
        for name, amount in self.extended.items():
            if "/" not in name or not is_label_key(name):
                problems[f"extended, {shown(name)}"] = 'it is no name of such a resource; write "nvidia.com/gpu".'
            elif amount < 1:
                problems[f"extended, {name}"] = f"{amount} is too little; at least 1, or leave it out."
        if any(problems.values()):
            yield from (f"resources, {name}: {problem}" for name, problem in problems.items() if problem)
            return
        if self.cpu_limit is not None and parse_quantity(self.cpu) > parse_quantity(self.cpu_limit):
            yield (
                f"resources: the CPU request {self.cpu} is above its limit {self.cpu_limit}; "
                f"raise the limit or lower the request."
            )
        if parse_quantity(self.memory) > parse_quantity(limit):
            yield (
                f"resources: the memory request {self.memory} is above its limit {limit}; "
                f"raise the limit or lower the request."
            )

    def plus(self, memory: str) -> Resources:
        """Return these resources with so much more memory, both reserved and allowed."""

        def more(quantity: str) -> str:
            size = parse_quantity(quantity) + parse_quantity(memory)
            return f"{size / 2**20:.0f}Mi" if size % 2**20 == 0 else str(int(size))

        return replace(self, memory=more(self.memory), memory_limit=more(self.memory_limit or self.memory))

    def manifest(self) -> dict[str, Any]:
        """Return the container's ``resources``."""
        # Kubernetes wants as much of an extended resource to be asked for as is allowed.
        return {
            "requests": {"cpu": self.cpu, "memory": self.memory, **self.extended},
            "limits": {
                **({"cpu": self.cpu_limit} if self.cpu_limit else {}),
                "memory": self.memory_limit or self.memory,
                **self.extended,
            },
        }


#: For containers that only run a short script.
SCRIPT_RESOURCES = Resources("50m", "64Mi", "256Mi")


def container_security() -> dict[str, Any]:
    """Return the security context that Pod Security ``restricted`` asks of a container, and a read-only root."""
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def pod_security(user: int, group: int | None = None) -> dict[str, Any]:
    """Return the security context of a pod whose program runs as ``user``; its volumes belong to ``group``."""
    group = user if group is None else group
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": group,
        "fsGroup": group,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


#: Labels of nodes by which pods are spread.
TOPOLOGY_KEYS = {"nodes": "kubernetes.io/hostname", "zones": "topology.kubernetes.io/zone"}


def spread(selector: Mapping[str, str], *, over: str = "nodes", strictly: bool = False) -> list[dict[str, Any]]:
    """Return constraints that spread pods over nodes or zones; strictly: one rather waits than share one needlessly."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": TOPOLOGY_KEYS[over],
            "whenUnsatisfiable": "DoNotSchedule" if strictly else "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(selector)},
        }
    ]


def secret_variable(name: str, secret: str, key: str) -> dict[str, Any]:
    """Return an environment variable that comes from a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def field_variable(name: str, path: str) -> dict[str, Any]:
    """Return an environment variable that comes from the pod's own fields."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def empty_volume(name: str, *, memory: bool = False, size: str | None = None) -> dict[str, Any]:
    """Return a volume that lives as long as the pod, in memory if it holds what must not reach the node's disk."""
    limit = {"sizeLimit": size} if size else {}
    return {"name": name, "emptyDir": {"medium": "Memory", **limit} if memory else limit}


def secret_volume(name: str, secret: str, items: Mapping[str, str]) -> dict[str, Any]:
    """Return a volume with keys of a Secret as files, readable by the pod's group alone."""
    return {
        "name": name,
        "secret": {
            "secretName": secret,
            "defaultMode": 0o440,
            "items": [{"key": key, "path": path} for key, path in items.items()],
        },
    }


def config_volume(name: str, config_map: str) -> dict[str, Any]:
    """Return a volume with the files of a ConfigMap."""
    return {"name": name, "configMap": {"name": config_map}}


#: Where client libraries look for the token of the pod's account.
TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


def token_volume(name: str) -> dict[str, Any]:
    """Return a volume with what the kubelet would mount for the account of the pod into all of its containers."""
    return {
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            ]
        },
    }


def mount(name: str, path: str, *, read_only: bool = False) -> dict[str, Any]:
    """Return a volume mount."""
    return {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}


def volume_claim(storage: str, storage_class: str | None, access: str = "ReadWriteOnce") -> dict[str, Any]:
    """Return the spec of a PersistentVolumeClaim, by default for one node at a time."""
    return {
        "accessModes": [access],
        **({"storageClassName": storage_class} if storage_class else {}),
        "resources": {"requests": {"storage": storage}},
    }
