"""What all data stores share: a StatefulSet whose volumes outlive it, Services, and Jobs that run scripts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from constructs_lib.declare import validation
from constructs_lib.declare.component import Component
from constructs_lib.declare.secret import SecretReference
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.parts.jobs import cron_job
from constructs_lib.kinds.parts.pods import container, pod_spec, variables
from constructs_lib.kinds.parts.ports import container_ports, service_ports
from constructs_lib.kinds.parts.saving import Saving, bucket
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest, digest
from constructs_lib.kubernetes.quantity import quantity_problem

Kind = TypeVar("Kind", bound=Workload)


def grouped(workloads: Sequence[Kind], number: Callable[[Kind], int]) -> list[tuple[int, list[Kind]]]:
    """Return workloads by a number that each one has, the smallest first."""
    return [(key, [*group]) for key, group in groupby(sorted(workloads, key=number), number)]


def stateful_set(
    workload: Workload,
    *,
    replicas: int,
    parallel: bool,
    template: Mapping[str, Any],
    claims: Sequence[Mapping[str, Any]],
) -> Manifest:
    """Return a StatefulSet whose volumes outlive it, with a headless Service ``…-nodes``."""
    # The API server fills in fields of the claims; only a server-side comparison knows them.
    compared = {"argocd.argoproj.io/compare-options": "IgnoreExtraneous,ServerSideDiff=true"}
    return workload.manifest(
        "apps/v1",
        "StatefulSet",
        annotations=compared if claims else None,
        spec={
            "replicas": replicas,
            "serviceName": f"{workload.name}-nodes",
            "podManagementPolicy": "Parallel" if parallel else "OrderedReady",
            "revisionHistoryLimit": 3,
            "updateStrategy": {"type": "RollingUpdate"},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "selector": {"matchLabels": workload.selector},
            "template": dict(template),
            **({"volumeClaimTemplates": [*claims]} if claims else {}),
        },
    )


class Store(Workload):
    """A data store on an official image: the base of :class:`Postgres`, :class:`Cassandra` and the like."""

    holds_data = True
    #: Whether its kind saves what it holds to the bucket of the environment: by :attr:`saving`, if that is not None.
    is_saved = False
    #: In a rollout. After a crash, or while data is moved, its startup probe leaves a node more time than that.
    start_seconds = 300
    #: Seconds that a node gets to end.
    grace_seconds = 180
    #: Seconds that the Job with its schema may take; 0 if there is none.
    schema_seconds = 0
    #: User and group of the official images.
    user_id = 999
    #: A usual size of its volume, for messages.
    usual_storage = "10Gi"

    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        namespace: str | None,
        image: str,
        storage: str | None,
        resources: pod.Resources,
    ) -> None:
        """Declare a store; its kind says what the arguments mean. Without ``storage``, all goes with its pod."""
        super().__init__(scope, id, namespace=namespace)
        self.image = image
        self.storage = storage
        self.resources = resources
        # Whatever the environment permits programs: a tag that moves would one day be one that cannot read the data.
        if problem := validation.image(image):
            self.report(problem)
        self.holds_data = storage is not None
        if storage is not None and (problem := quantity_problem(storage, self.usual_storage)):
            self.report(f"storage: {problem}")
        for problem in resources.problems():
            self.report(problem)
        to = bucket(self.system) if self.is_saved and self.holds_data else None
        self.saving = Saving(self, image, self.user_id, to) if to else None

    def nodes_in_a_row(self, *, first: bool) -> int:
        """Return how many nodes start one after the other, at first or when they are replaced."""
        return 1

    def rollout_seconds(self, *, first: bool) -> int:
        """Return how many seconds its nodes, which end before they start anew, and its schema may take."""
        node = self.pod_seconds + (0 if first else self.grace_seconds)
        return node * self.nodes_in_a_row(first=first) + self.schema_seconds

    def check_names(self, **names: str) -> None:
        """Report names that a database takes only in quotes."""
        for argument, name in names.items():
            if problem := validation.sql_name(name):
                self.report(f"{argument}: {problem}")

    def read_schema(self, files: Sequence[Path], suffix: str) -> dict[str, str]:
        """Return the text of schema files by their name; what cannot be read is reported as an error."""
        if problem := validation.file_names(files):
            self.report(f"schema: {problem}")
        texts: dict[str, str] = {}
        for file in files:
            try:
                text = Path(file).read_text(encoding="utf-8")
            except FileNotFoundError:
                beside = [entry.name for entry in sorted(Path(file).parent.glob(f"*{suffix}"))]
                self.report(f'there is no schema file "{file}"; in its folder: {", ".join(beside) or "none"}.')
            except (OSError, UnicodeDecodeError) as problem:
                self.report(f'the schema file "{file}" cannot be read as UTF-8 text: {problem}')
            else:
                if not text.strip():
                    self.report(f'the schema file "{file}" is empty.')
                texts[Path(file).name] = text.replace("\r\n", "\n")
        return texts

    def services(self) -> tuple[Manifest, Manifest]:
        """Return the Service for clients and the headless one that gives every pod a name of its own."""
        ports = service_ports(self, internal=True)
        clients = {"type": "ClusterIP", "selector": self.selector, "ports": service_ports(self)}
        # Nodes look each other up before they are ready.
        peers = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": self.selector, "ports": ports}
        return self.manifest("v1", "Service", spec=clients), self.manifest("v1", "Service", "-nodes", spec=peers)

    def server(self, names: Sequence[str] = (), **more: Any) -> dict[str, Any]:
        """Return the container of the store, with all its ports or those named, and what :func:`container` takes."""
        resources = more.pop("resources", self.resources)
        ports = container_ports(self, names or None)
        return container(self.container, self.image, ports=ports, resources=resources, **more)

    def stateful_set(
        self, *, replicas: int, spec: Mapping[str, Any], parallel: bool = False, checksum: object = None
    ) -> Manifest:
        """Return a StatefulSet whose volumes outlive it; ``checksum`` is what restarts the pods when it changes."""
        template: dict[str, Any] = {"metadata": {"labels": self.labels}, "spec": dict(spec)}
        if checksum is not None:
            template["metadata"]["annotations"] = {"checksum/config": digest(checksum)}
        claims = [{"metadata": {"name": "data"}, "spec": self.claim(self.storage)}] if self.storage else []
        return stateful_set(self, replicas=replicas, parallel=parallel, template=template, claims=claims)

    def claim(self, storage: str) -> dict[str, Any]:
        """Return the spec of a claim for a volume of the cluster's storage class."""
        return pod.volume_claim(storage, self.system.environment.cluster.storage_class)

    def secret_files(self, volume: str, files: Mapping[str, SecretReference]) -> dict[str, Any]:
        """Return a volume with secret values as files, by their names."""
        keys = {self.component.secret_key(reference): name for name, reference in files.items()}
        return pod.secret_volume(volume, self.component.id, keys)

    def script_pod(
        self,
        suffix: str,
        *,
        command: Sequence[str],
        env: Mapping[str, str],
        mounts: Iterable[Mapping[str, Any]],
        volumes: Iterable[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """Return the template of a pod that runs a script against the store, under a name of its own.

        The name is its label, so that the network opens the store to it and to nobody who looks like it.
        """
        script = container(
            "script", self.image, command=command, env=variables(env), mounts=[*mounts, pod.mount("tmp", "/tmp")]
        )
        return {
            "metadata": {"labels": self._labels(suffix)},
            "spec": pod_spec(
                self,
                self.user_id,
                containers=[script],
                volumes=[*volumes, pod.empty_volume("tmp")],
                restart="OnFailure",
            ),
        }

    def _labels(self, suffix: str) -> dict[str, str]:
        return {**self.labels, "app.kubernetes.io/name": f"{self.name}{suffix}"}

    def schema_job(self, template: Mapping[str, Any], inputs: object, suffix: str = "-schema") -> Manifest:
        """Return a Job under a name that changes with what it does, because a Job cannot be changed.

        https://kubernetes.io/docs/concepts/workloads/controllers/job/ and argo-cd issues 7430 and 27407. It has no time
        to live: Argo CD would find it missing and run it again for ever.
        """
        return self.manifest(
            "batch/v1",
            "Job",
            f"{suffix}-{digest([template, inputs], 8)}",
            labels=self._labels(suffix),
            # In the end it must fail: only then does Argo CD take up the commit that fixes it.
            spec={"backoffLimit": 10, "activeDeadlineSeconds": self.schema_seconds, "template": dict(template)},
        )

    def cron_job(self, suffix: str, schedule: str, template: Mapping[str, Any]) -> Manifest:
        """Return a CronJob in UTC that never runs twice at once."""
        return cron_job(self, suffix, self._labels(suffix), schedule, {"backoffLimit": 3, "template": dict(template)})
