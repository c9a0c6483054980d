"""Valkey: a cache in memory, or, with a volume, a store that outlives restarts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.component import Component
from constructs_lib.declare.observed import own
from constructs_lib.declare.role import Role
from constructs_lib.declare.secret import generated
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.parts import images
from constructs_lib.kinds.parts.objects import disruption_budget, service_account
from constructs_lib.kinds.parts.pods import container, pod_spec, script
from constructs_lib.kinds.parts.ports import container_ports
from constructs_lib.kinds.parts.store import Store
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.quantity import parse_quantity

_PASSWORD_FOLDER = "/run/secrets/valkey"
#: Share of the memory limit that keys may take: buffers, fragmentation and the rewriting of the log need the rest.
_KEYS = 0.7


class Valkey(Store):
    """A Valkey server on the official image, of one node; Redis' images are taken as well.

    It offers the endpoint ``resp``, which tells ``host``, ``port``, ``address``, ``username`` and ``password``. Without
    a volume it is a cache: a restart empties it.
    """

    folder = Path(__file__).parent
    container = "valkey"
    start_seconds = 120
    grace_seconds = 60
    #: The headless Service is called ``…-nodes``.
    longest_name = 46
    usual_storage = "5Gi"

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        image: str,
        storage: str | None = None,
        eviction: Literal["allkeys-lru", "allkeys-lfu", "volatile-lru", "volatile-ttl", "noeviction"] | None = None,
        namespace: str | None = None,
        resources: pod.Resources = pod.Resources("100m", "256Mi"),
        exporter: str | None = images.REDIS_EXPORTER,
    ) -> None:
        """Declare a Valkey server.

        Args:
            scope: The service that owns it, a component, or the system for a server of its own.
            id: Its name.
            image: Official image, with a digest or an exact version.
            storage: Size of its volume, such as ``5Gi``, to which every write is logged. Default: none, a cache.
            eviction: What goes when its memory is full (https://valkey.io/topics/lru-cache/). Default: the keys that
                were not used for longest, ``allkeys-lru``; with ``storage`` nothing, ``noeviction``, and writes fail.
            namespace: Namespace of its component, if ``scope`` is the system.
            resources: Of the server; keys may take 70 % of the memory limit. Default 100m CPU, 256Mi memory.
            exporter: Image of redis_exporter, which is there if the system is monitored; None for none. Default: one
                that the library pins.
        """
        super().__init__(scope, id, namespace=namespace, image=image, storage=storage, resources=resources)
        self.eviction = eviction or ("noeviction" if storage else "allkeys-lru")
        self.exporter = exporter
        if exporter is not None and (problem := validation.image(exporter)):
            self.report(f"exporter: {problem}")
        self.password = self.secret("password", generated("password of the Valkey server"))
        self.offer("resp", 6379, username="default", password=self.password)

    @property
    def role(self) -> Role:
        """A store, even of what can be had again."""
        return Role.STORE

    @property
    def _is_exported(self) -> bool:
        return self.exporter is not None and self.system.is_monitored

    def complete(self) -> None:
        """Serve metrics if the system has Monitoring."""
        if self._is_exported and "metrics" not in self.endpoints:
            self.offer("metrics", 9121, metrics=("/metrics",), exposes=("redis_*",), internal=True)

    @classmethod
    def placeholders(cls, workloads: Sequence[Self]) -> dict[str, str | float | None]:
        """Return what the placeholders of its files stand for: also servers whose writes fail when they are full."""
        full = [each for each in workloads if each.eviction == "noeviction"]
        return {**super().placeholders(workloads), "keeping": own(full) if full else None}

    def _configuration(self) -> str:
        limit = parse_quantity(self.resources.memory_limit or self.resources.memory)
        lines = [
            "bind * -::*",
            "port 6379",
            "dir /data",
            f"maxmemory {int(float(limit) * _KEYS)}",
            f"maxmemory-policy {self.eviction}",
            # Snapshots need as much memory again; the log of writes is what outlives a restart.
            'save ""',
            f"appendonly {'yes' if self.storage else 'no'}",
        ]
        return "\n".join(lines) + "\n"

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: configuration first, then the server."""
        files = {"valkey.conf": self._configuration()}
        yield 0, service_account(self)
        yield 0, self.manifest("v1", "ConfigMap", data=files)
        for service in self.services():
            yield 1, service
        # With OrderedReady, a broken pod would not be replaced when its template is fixed. There is only one pod.
        yield 1, self.stateful_set(replicas=1, parallel=True, spec=self._pods(), checksum=files)
        yield 1, disruption_budget(self)

    def _pods(self) -> dict[str, Any]:
        answers = {"exec": {"command": ["/bin/sh", "-c", script("valkey", "ping.sh")]}, "timeoutSeconds": 5}
        password = pod.mount("password", _PASSWORD_FOLDER, read_only=True)
        server = self.server(
            ["resp"],
            command=["/bin/sh", "-c", script("valkey", "start.sh")],
            # A log of writes is replayed before it answers; a kill would begin that anew.
            startupProbe={**answers, "periodSeconds": 5, "failureThreshold": 120},
            readinessProbe={**answers, "periodSeconds": 10},
            livenessProbe={**answers, "periodSeconds": 20, "failureThreshold": 6},
            mounts=[
                pod.mount("data", "/data"),
                pod.mount("config", "/etc/valkey", read_only=True),
                pod.mount("login", "/run/valkey"),
                password,
                pod.mount("tmp", "/tmp"),
            ],
        )
        volumes = [
            pod.config_volume("config", self.name),
            # What is secret must not reach the node's disk.
            pod.empty_volume("login", memory=True),
            self.secret_files("password", {"password": self.password}),
            pod.empty_volume("tmp"),
            *([] if self.storage else [pod.empty_volume("data")]),
        ]
        return pod_spec(
            self,
            self.user_id,
            containers=[server, *self._exporters()],
            volumes=volumes,
            grace_seconds=self.grace_seconds,
        )

    def _exporters(self) -> list[dict[str, Any]]:
        """Return the container of redis_exporter, if there is one: https://github.com/oliver006/redis_exporter."""
        if not self.exporter or not self._is_exported:
            return []
        login = pod.secret_variable("REDIS_PASSWORD", self.component.id, self.component.secret_key(self.password))
        return [
            container(
                "exporter",
                self.exporter,
                ports=container_ports(self, {"metrics"}),
                env=[{"name": "REDIS_ADDR", "value": "redis://127.0.0.1:6379"}, login],
                resources=pod.Resources("10m", "32Mi", "64Mi"),
            )
        ]
