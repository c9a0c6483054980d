"""What every program can be told, whatever keeps it running."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Required, TypedDict

from constructs_lib.declare.container import Container
from constructs_lib.declare.load_balancer import LoadBalancer
from constructs_lib.declare.placement import Placement
from constructs_lib.declare.port import Port
from constructs_lib.declare.probe import Probe
from constructs_lib.declare.rule import Rule
from constructs_lib.declare.secret import Field, Plain, Secret
from constructs_lib.declare.volume import Volume
from constructs_lib.declare.workload import InternetHost
from constructs_lib.kubernetes import pod


class ProgramArguments(TypedDict, total=False):
    """Arguments of every program: what it is, what it is told, what it may use.

    Attributes:
        namespace: Namespace of its component, if ``scope`` is the system. Default: the id.
        image: Image with a digest or an exact version.
        command: What runs in the container. Default: what the image says.
        args: Its arguments. Default: what the image says.
        env: Environment variables: texts, ``generated("…")``, ``supplied("…")``, ``field("…")``, ``plain("…")``. What
            an edge tells comes from ``needs``.
        files: Files by their absolute path: a text, a ``Path`` to a file of the repository, or a secret. A folder holds
            nothing else. A change replaces the pods.
        volumes: Volumes by the absolute path at which they are mounted: ``Empty()``, ``Memory(size)``,
            ``Claim(size)``, ``HostPath(path)``. ``/tmp`` is writable in any case.
        resources: Of the container. Default 100m CPU, 256Mi memory, limit 512Mi.
        init_containers: Containers that run to their end before the program starts, one after the other.
        sidecars: Containers that start before it, run as long as it does, and end after it.
        placement: On which nodes it runs. Default: any, its pods spread over them.
        labels: Further labels of the pods.
        selector: Labels by which its pods are selected, for a program that runs already: Kubernetes lets nobody change
            them. Default: ``app.kubernetes.io/name``, with its name.
        annotations: Annotations of the pods.
        user: Numeric user that it runs as. Default 10001.
        pull_secret: The login with which its images are pulled, as ``.dockerconfigjson`` has it. Default: the system's.
        internet: Hosts outside of the cluster that it calls.
        rbac: Permissions in the Kubernetes API; without any, the pods get no token.
        wait_image: Image, with a shell, that waits for what the program needs. Default: one of the library's.
    """

    namespace: str | None
    image: Required[str]
    command: Sequence[str]
    args: Sequence[str]
    env: Mapping[str, str | Secret | Field | Plain]
    files: Mapping[str, str | Path | Secret]
    volumes: Mapping[str, Volume]
    resources: pod.Resources
    init_containers: Sequence[Container]
    sidecars: Sequence[Container]
    placement: Placement
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    annotations: Mapping[str, str]
    user: int
    pull_secret: Secret | None
    internet: Sequence[InternetHost]
    rbac: Sequence[Rule]
    wait_image: str | None


class LongRunningArguments(ProgramArguments, total=False):
    """Arguments of every program that keeps running: where it listens, and how the kubelet knows that it is well.

    Attributes:
        ports: Ports by name, as numbers or ``Port(container=8080, service=80)``; each is an endpoint. Of one that is
            ``balanced``, clients are told all pods, by a headless Service with ``-pods`` at the end of its name.
            Default: none, as of a worker.
        metrics: Name of the port that serves Prometheus metrics. Default: none.
        exposed: What the world reaches: a port or several, and then the Service is of type LoadBalancer (a further one,
            with ``-external`` at the end of its name, if there are other ports too); or ``LoadBalancer({"http": 80})``,
            which is always a further one. Default: nothing.
        readiness: When it takes traffic. Default: its first port accepts connections; without ports, once it runs.
        liveness: When it is left alive. Default: as readiness.
        startup: When it has started, within ``start_seconds``. Default: as liveness.
        start_seconds: Seconds that it may take to start. Default 180.
        drain_seconds: Seconds that open connections (WebSockets, gRPC streams) get to end. Default 30.
    """

    ports: Mapping[str, int | Port]
    metrics: str | None
    exposed: str | Sequence[str] | LoadBalancer | None
    readiness: Probe | None
    liveness: Probe | None
    startup: Probe | None
    start_seconds: int
    drain_seconds: int
