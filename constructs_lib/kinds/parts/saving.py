"""Saves outside of the cluster: what sends the data of a store to the bucket of its environment, and brings it back.

A save is two containers of one pod, one after the other: the store's own image writes what it holds to a volume, and
restic sends that to the bucket. A restore is the same in the opposite order, as a CronJob that is suspended: it is
reviewed, has its secrets and its place in the network, and runs once somebody makes a Job from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constructs_lib.declare.bucket import S3Bucket
from constructs_lib.declare.outside import External
from constructs_lib.declare.secret import SecretReference, supplied
from constructs_lib.declare.server import Endpoint
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Edge, Workload
from constructs_lib.kinds.parts import images
from constructs_lib.kinds.parts.jobs import cron_job, overdue
from constructs_lib.kinds.parts.pods import container, pod_spec, script, variables
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest

#: The entry of the store that holds the key and the password, and how pictures name the bucket.
BUCKET = "saves"
FILES = "/run/secrets/bucket"
#: Of restic: it holds the index of the repository, and grows with it.
RESOURCES = pod.Resources("50m", "128Mi", "512Mi")
#: The same, for a container that waits most of the time.
WAITING_RESOURCES = pod.Resources("10m", "16Mi", "512Mi")
#: The names of CronJobs have at most 52 characters, and the longest of them ends with this.
RESTORE = "-restore"
LONGEST_NAME = 52 - len(RESTORE)
#: Hours that a save may take, its repetitions included, before it counts as missing.
HOURS = 2
#: Of a CronJob that nobody runs: a schedule has to be there.
_NEVER = "0 0 29 2 *"


class Bucket(External):
    """The bucket of an environment as its stores call it: one for a system, which the first store declares."""

    def __init__(self, scope: System, declared: S3Bucket) -> None:
        """Declare it; what is wrong with it is told where the environment is declared."""
        # What is wrong with it by itself is told of the environment.
        is_sound = not any(declared.problems())
        with scope.diagnostics.at(declared.location):
            super().__init__(
                scope,
                BUCKET,
                host=declared.host if is_sound else "invalid.example.com",
                ports={"s3": declared.port},
                networks=declared.networks if is_sound else (),
                attributes={
                    "access-key-id": supplied(f"id of a key to the bucket {declared.bucket} at {declared.host}"),
                    "secret-access-key": supplied(f"the key to the bucket {declared.bucket} at {declared.host}"),
                    "password": supplied("encrypts the saves of all data; without it nobody can read them"),
                },
            )
        self.declared = declared
        self.location = declared.location

    @property
    def s3(self) -> Endpoint:
        """Where it is called."""
        return self.endpoints["s3"]


def bucket(system: System) -> Bucket | None:
    """Return the bucket to which the stores of a system save; None if its environment has none."""
    declared = system.environment.backups
    if declared is None:
        return None
    known = next((each for each in system.outside if isinstance(each, Bucket)), None)
    return known or Bucket(system, declared)


@dataclass(frozen=True)
class Step:
    """What a store's own image does for a save or a restore.

    Attributes:
        command: What it runs.
        env: Its variables.
        mounts: What it mounts, beside ``/tmp``.
        resources: What it may use. Default: what a short script needs.
    """

    command: Sequence[str]
    env: Sequence[Mapping[str, Any]] = ()
    mounts: Sequence[Mapping[str, Any]] = ()
    resources: pod.Resources = pod.SCRIPT_RESOURCES

    def container(self, name: str, image: str) -> dict[str, Any]:
        """Return the container that does it."""
        mounts = [*self.mounts, pod.mount("tmp", "/tmp")]
        return container(name, image, command=self.command, env=self.env, resources=self.resources, mounts=mounts)


def late(stores: Sequence[Workload]) -> str | None:
    """Return what is true of stores whose last save is too old, where the environment says when; None if none saves."""
    saved = [store for store in stores if getattr(store, "saving", None)]
    if not saved:
        return None
    declared = saved[0].system.environment.backups
    return overdue((declared.every_hours if declared else 0) + HOURS, saved, "-backup")


class Saving:
    """What a store needs in order to be saved to the bucket of its environment, and restored from there."""

    def __init__(self, store: Workload, image: str, user: int, to: Bucket) -> None:
        """Take in who is saved: its component reads the key from now on.

        Args:
            store: The store.
            image: Its image, whose programs write and read what is saved.
            user: Numeric user as which they run.
            to: The bucket.
        """
        self._store, self._image, self._user, self._bucket = store, image, user, to
        if len(store.name) > LONGEST_NAME:
            store.report(
                f'the name "{store.name}" has {len(store.name)} characters; at most {LONGEST_NAME} leave room for '
                f'"{RESTORE}", with which its CronJobs end where the environment has backups.'
            )
        for reference in self._secrets.values():
            store.component.secret_key(reference)

    @cached_property
    def _secrets(self) -> dict[str, SecretReference]:
        told = self._bucket.s3.attributes
        return {name: value for name, value in told.items() if isinstance(value, SecretReference)}

    @property
    def edge(self) -> Edge:
        """The call of the bucket, for :attr:`Workload.helpers`."""
        return Edge(self._store, self._bucket.s3, order=False, location=self._store.location)

    @property
    def bucket(self) -> S3Bucket:
        """The bucket, as the environment declares it."""
        return self._bucket.declared

    @property
    def s3(self) -> Endpoint:
        """The endpoint of the bucket, which pods that call it need."""
        return self._bucket.s3

    @property
    def schedule(self) -> str:
        """When saves begin."""
        return self.bucket.schedule()

    def helpers(self, *calls: Edge) -> dict[str, list[Edge]]:
        """Return what the pods that save and restore call: the bucket, and the store as given."""
        return {f"{self._store.name}{suffix}": [*calls, self.edge] for suffix in ("-backup", RESTORE)}

    def variables(self) -> dict[str, str]:
        """Return the variables of a container that calls the bucket."""
        store, declared = self._store, self._bucket.declared
        path = f"{store.system.name}/{store.system.environment.name}/{store.component.id}/{store.id}"
        return {
            "RESTIC_REPOSITORY": f"s3:{declared.endpoint}/{declared.bucket}/{path}",
            "RESTIC_CACHE_DIR": "/tmp/restic",
            "AWS_DEFAULT_REGION": declared.region,
            "BUCKET_FILES": FILES,
            "PATIENCE": "120",
        }

    @property
    def kept(self) -> str:
        """Which saves are kept, as options of ``restic forget``."""
        return " ".join(self._bucket.declared.kept)

    def volume(self) -> dict[str, Any]:
        """Return the volume ``bucket``, with the key and the password."""
        component = self._store.component
        keys = {component.secret_key(reference): name for name, reference in self._secrets.items()}
        return pod.secret_volume("bucket", component.id, keys)

    def beside(
        self, name: str, text: str, env: Sequence[Mapping[str, Any]], *mounts: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return a container of the store's own image that calls the bucket for as long as the store runs.

        Its pods have the volumes ``bucket``, ``tools`` and ``saving``, and :meth:`tools` before.

        Args:
            name: Its name.
            text: Its script, for bash.
            env: Variables beside those of the bucket.
            mounts: What it mounts, beside ``/tmp``.
        """
        told = {"TOOLS": "/tools", "SSL_CERT_FILE": "/tools/ca-certificates.crt", "HOME": "/tmp"}
        shared = [pod.mount("tools", "/tools", read_only=True), pod.mount("bucket", FILES, read_only=True)]
        return container(
            name,
            self._image,
            command=["/bin/bash", "-c", script("parts", "bucket.sh") + text],
            env=[*env, *variables({**self.variables(), **told})],
            resources=WAITING_RESOURCES,
            mounts=[*mounts, *shared, pod.mount("saving", "/tmp")],
        )

    @staticmethod
    def tools() -> dict[str, Any]:
        """Return the init container that puts restic, which is static, and certificates on the volume ``tools``."""
        return container(
            "tools",
            images.RESTIC,
            command=["cp", "/usr/bin/restic", "/etc/ssl/certs/ca-certificates.crt", "/tools/"],
            mounts=[pod.mount("tools", "/tools")],
        )

    def looking_after(self, schedule: str, text: str, env: Mapping[str, str]) -> Manifest:
        """Return the CronJob that looks after saves which others make, by a script."""
        told = {**self.variables(), "KEEP_SAVES": self.kept, **env}
        last = self._restic("look-after", script("parts", "bucket.sh") + text, told, [])
        template = self._pod("-backup", [], last, [])
        return cron_job(
            self._store, "-backup", self._labels("-backup"), schedule, {"backoffLimit": 3, "template": template}
        )

    def cron_job(
        self,
        schedule: str,
        write: Step,
        files: str,
        *volumes: Mapping[str, Any],
        before: Sequence[Mapping[str, Any]] = (),
        more: Sequence[Mapping[str, Any]] = (),
    ) -> Manifest:
        """Return the CronJob that saves.

        Args:
            schedule: When it begins.
            write: Writes the files.
            files: Path of what is saved, with a pattern: of several files it is the last by name.
            volumes: What is mounted, beside ``tmp`` and ``bucket``. The container that saves mounts all but those with
                secrets under ``/`` and their names.
            before: Further init containers.
            more: Volumes that are not for the container that saves.
        """
        env = {**self.variables(), "STORE": self._store.name, "SAVED": files, "KEEP_SAVES": self.kept}
        text = script("parts", "bucket.sh") + script("parts", "save.sh")
        saves = self._restic("save", text, env, volumes)
        writes = write.container("write", self._image)
        template = self._pod("-backup", [*before, writes], saves, [*volumes, *more])
        return cron_job(
            self._store, "-backup", self._labels("-backup"), schedule, {"backoffLimit": 3, "template": template}
        )

    def restore_job(
        self,
        read: Step,
        *volumes: Mapping[str, Any],
        before: Sequence[Mapping[str, Any]] = (),
        fetch: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Manifest:
        """Return the CronJob that restores, which is suspended.

        Args:
            read: Takes the files, which are below ``/fetched``.
            volumes: What is mounted, beside ``tmp``, ``bucket`` and ``fetched``.
            before: Further init containers.
            fetch: Script that fetches. Default: of the one host that saves.
            env: Its further variables.
        """
        told = {**self.variables(), "SAVE": "latest", "FETCHED": "/fetched", **(env or {"STORE": self._store.name})}
        fetched = pod.empty_volume("fetched")
        text = script("parts", "bucket.sh") + (fetch or script("parts", "fetch.sh"))
        fetches = self._restic("fetch", text, told, [fetched])
        template = self._pod(RESTORE, [*before, fetches], read.container("restore", self._image), [fetched, *volumes])
        # Nobody is helped by a restore that is tried again by itself.
        job = {"backoffLimit": 0, "template": template}
        return cron_job(self._store, RESTORE, self._labels(RESTORE), _NEVER, job, suspend=True)

    def _restic(
        self, name: str, text: str, env: Mapping[str, str], volumes: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        mounts = [pod.mount(each["name"], f"/{each['name']}") for each in volumes if "secret" not in each]
        return container(
            name,
            images.RESTIC,
            command=["/bin/sh", "-c", text],
            env=variables(env),
            resources=RESOURCES,
            mounts=[*mounts, pod.mount("bucket", FILES, read_only=True), pod.mount("tmp", "/tmp")],
        )

    def _labels(self, suffix: str) -> dict[str, str]:
        return {**self._store.labels, "app.kubernetes.io/name": f"{self._store.name}{suffix}"}

    def _pod(
        self,
        suffix: str,
        before: Sequence[Mapping[str, Any]],
        last: Mapping[str, Any],
        volumes: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """Return the template of a pod under a name of its own, to which the network opens the store and the bucket."""
        spec = pod_spec(
            self._store,
            self._user,
            before=before,
            containers=[last],
            volumes=[*volumes, self.volume(), pod.empty_volume("tmp")],
            restart="OnFailure" if suffix != RESTORE else "Never",
        )
        return {"metadata": {"labels": self._labels(suffix)}, "spec": spec}
