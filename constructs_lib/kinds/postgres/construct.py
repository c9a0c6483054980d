"""PostgreSQL: one database on one volume, with its schema, a role that owns that alone, and scheduled dumps."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.component import Component
from constructs_lib.declare.observed import Observed, in_namespaces
from constructs_lib.declare.secret import SecretReference, generated
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Edge, Workload
from constructs_lib.grafana import panels
from constructs_lib.grafana.model import Panel
from constructs_lib.kinds.parts import images
from constructs_lib.kinds.parts.jobs import overdue
from constructs_lib.kinds.parts.objects import disruption_budget, service_account
from constructs_lib.kinds.parts.pods import container, pod_spec, script, variables
from constructs_lib.kinds.parts.ports import container_ports
from constructs_lib.kinds.parts.saving import Saving, Step
from constructs_lib.kinds.parts.store import Store, grouped
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.cron import longest_pause
from constructs_lib.kubernetes.manifest import Manifest, digest
from constructs_lib.kubernetes.names import image
from constructs_lib.kubernetes.quantity import quantity_problem
from constructs_lib.prometheus.rules import one_of

_PASSWORD_FOLDER = "/run/secrets/postgres"
_SUPERUSER_PASSWORD_FILE = f"{_PASSWORD_FOLDER}/superuser-password"
#: Of the images before version 18.
_OLD_FOLDER = "/var/lib/postgresql/data"
_METRICS_FOLDER = "/run/secrets/metrics"
#: The role as which the exporter logs in; it may read statistics and nothing else.
_METRICS_ROLE = "metrics_exporter"
#: What no client may be called: who has that name.
_OTHER_ROLES = {
    _METRICS_ROLE: "the role of the exporter",
    "role_conversion": "the role that brings old databases up to date",
}
#: Hours that a dump may take, its repetitions included, before it counts as missing.
_DUMP_HOURS = 2


#: When a database is dumped of which nothing is said.
_DAILY = "17 3 * * *"


class Postgres(Store):
    """A PostgreSQL server on the official image, with one database and the role that owns what is in it.

    It offers the endpoint ``sql``, which tells ``host``, ``port``, ``address``, ``database``, ``username`` and
    ``password``. Its schema is applied by a Job after the server is up and before whoever needs it starts. The Job also
    makes the role, which is no superuser: that is another one, whose password only the server and the Job have.
    """

    folder = Path(__file__).parent
    container = "postgres"
    is_saved = True
    stages = 2
    #: The server reads no password once it holds data; the Job with the schema brings a new one into it.
    restarts_with_secrets = False
    grace_seconds = 120
    #: It dumps the database first.
    schema_seconds = 900
    #: The CronJob that dumps is called ``…-backup``, and a CronJob's name has at most 52 characters.
    longest_name = 45

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        image: str,
        database: str,
        user: str,
        storage: str,
        schema: Path | None = None,
        namespace: str | None = None,
        resources: pod.Resources = pod.Resources("250m", "512Mi", "1Gi"),
        backup_schedule: str | None = None,
        backup_storage: str | None = None,
        backups_kept: int = 14,
        exporter: str | None = images.POSTGRES_EXPORTER,
    ) -> None:
        """Declare a PostgreSQL server.

        Args:
            scope: The service that owns it, a component, or the system for a server of its own.
            id: Its name.
            image: Official image, with a digest or an exact version.
            database: Name of the database.
            user: Role as which clients log in. It owns the schema ``public`` and whatever the schema file makes, and
                may do nothing else.
            storage: Size of its volume, such as ``10Gi``.
            schema: SQL file that may be applied again: ``IF NOT EXISTS`` throughout. It is applied as ``user``, who may
                then make schemas and trusted extensions, too. Default: none.
            namespace: Namespace of its component, if ``scope`` is the system.
            resources: Of the server. Default 250m CPU, 512Mi memory, limit 1Gi.
            backup_schedule: Cron expression (UTC) of the dumps. Default: when the saves of the environment's
                ``backups`` begin; without these, daily at 03:17.
            backup_storage: Size of the volume that keeps the dumps. Default: as ``storage``.
            backups_kept: Number of dumps that are kept. Default 14.
            exporter: Image of postgres_exporter, which is there if the system is monitored; None for none. Default: the
                version that the dashboards and alerts were made for.
        """
        super().__init__(scope, id, namespace=namespace, image=image, storage=storage, resources=resources)
        self.database = database
        self.user = user
        self._backup_schedule = backup_schedule
        self.backup_storage = backup_storage or storage
        self.backups_kept = backups_kept
        self.exporter = exporter
        self.check_names(database=database, user=user)
        if user in _OTHER_ROLES:
            self.report(f'user: "{user}" is {_OTHER_ROLES[user]}; choose another name.')
        if exporter is not None and (problem := validation.image(exporter)):
            self.report(f"exporter: {problem}")
        if backup_schedule is not None and (problem := validation.cron(backup_schedule)):
            self.report(f"backup_schedule: {problem}")
        if backup_storage and (problem := quantity_problem(backup_storage, "10Gi")):
            self.report(f"backup_storage: {problem}")
        if backups_kept < 1:
            self.report(f"backups_kept: {backups_kept} is no number of dumps; at least 1 is kept.")
        self.schema = self.read_schema([schema] if schema else [], ".sql")
        #: Who makes roles, and owns nothing of what clients are told.
        self.superuser = "administrator" if user == "postgres" else "postgres"
        self.password = self.secret("password", generated(f"password of the PostgreSQL user {user}"))
        self.superuser_password = self.secret(
            "superuser-password", generated(f"password of the PostgreSQL superuser {self.superuser}")
        )
        self.offer("sql", 5432, database=database, username=user, password=self.password)

    @property
    def backup_schedule(self) -> str:
        """When it is dumped, as a CronJob has it, in UTC."""
        return self._backup_schedule or (self.saving.schedule if self.saving else _DAILY)

    @property
    def _is_measured(self) -> bool:
        return self.exporter is not None and self.system.is_monitored

    def complete(self) -> None:
        """Serve metrics if the system has Monitoring."""
        if self._is_measured and "metrics" not in self.endpoints:
            self.offer("metrics", 9187, metrics=("/metrics",), internal=True)
            with self.system.diagnostics.at(self.location):
                self._metrics_password = self.secret(
                    "metrics-password", generated(f"password of the PostgreSQL role {_METRICS_ROLE}")
                )

    @classmethod
    def placeholders(cls, workloads: Sequence[Self]) -> dict[str, str | float | None]:
        """Return what the placeholders of its files stand for: the dumps, and which are older than their schedule."""
        by_pause = grouped(workloads, lambda server: int(longest_pause(server.backup_schedule).total_seconds()) // 60)
        late = " or ".join(overdue(minutes / 60 + _DUMP_HOURS, alike, "-backup") for minutes, alike in by_pause)
        return {**super().placeholders(workloads), "backups": _dumps(workloads), "backup_overdue": late}

    def panels_for(self, client: Observed) -> Sequence[Panel]:
        """Return what its tables hold and how they change: the business of a client, as the database sees it."""
        chosen = {"chosen": in_namespaces([self])}
        return panels.panels(self.folder / "dashboard.yaml", chosen, "rows", "changes")

    @property
    def helpers(self) -> Mapping[str, list[Edge]]:
        """The pods of the schema Job, of the dumps and of what restores them, which call the server."""
        edge = Edge(self, self.endpoints["sql"], order=False, location=self.location)
        saving = self.saving.helpers(edge) if self.saving else {f"{self.name}-backup": [edge]}
        return {**saving, f"{self.name}-schema": [edge]}

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: the server first, then its schema and its dumps."""
        yield 0, service_account(self)
        if self.schema:
            yield 0, self.manifest("v1", "ConfigMap", "-schema", data=self.schema)
        for service in self.services():
            yield 1, service
        yield 1, self._server()
        yield 1, disruption_budget(self)
        # A volume that waits for its first consumer must be in the same wave, or Argo CD waits for ever (argo-cd issue
        # 12840). The consumer is the schema Job, which dumps first; the first scheduled dump comes much later.
        yield 2, self.manifest("v1", "PersistentVolumeClaim", "-backups", spec=self.claim(self.backup_storage))
        yield 2, self._schema_job()
        if self.saving:
            yield from ((2, each) for each in self._saved(self.saving))
        else:
            kept = self._client_pod("-backup", "backup.sh", self._kept)
            yield 2, self.cron_job("-backup", self.backup_schedule, kept)

    def _server(self) -> Manifest:
        # It logs nobody in.
        ready = ["pg_isready", "--quiet", "--host", "127.0.0.1", "--dbname", self.database]
        probe = {"exec": {"command": ready}, "timeoutSeconds": 5}
        settings = {
            "POSTGRES_DB": self.database,
            # Both count for an empty volume alone; the Job brings older ones to where a new one begins.
            "POSTGRES_USER": self.superuser,
            "POSTGRES_PASSWORD_FILE": _SUPERUSER_PASSWORD_FILE,
            # Without it, PostgreSQL lets everybody in the pod log in without a password.
            "POSTGRES_INITDB_ARGS": "--auth-local=scram-sha-256 --auth-host=scram-sha-256",
        }
        if self._data_folder == _OLD_FOLDER:
            # A volume may have a folder lost+found, and the server wants an empty one.
            settings["PGDATA"] = f"{_OLD_FOLDER}/pgdata"
        server = self.server(
            ["sql"],
            env=variables(settings),
            # After a crash the server replays its log; a kill would begin that anew.
            startupProbe={**probe, "periodSeconds": 5, "failureThreshold": 360},
            readinessProbe={**probe, "periodSeconds": 10},
            livenessProbe={**probe, "periodSeconds": 20, "failureThreshold": 6},
            mounts=[
                pod.mount("data", self._data_folder),
                pod.mount("run", "/var/run/postgresql"),
                pod.mount("tmp", "/tmp"),
                pod.mount("password", _PASSWORD_FOLDER, read_only=True),
            ],
        )
        passwords = self.secret_files("password", {"superuser-password": self.superuser_password})
        volumes = [pod.empty_volume("run"), pod.empty_volume("tmp"), passwords, *self._metrics_volumes]
        return self.stateful_set(
            replicas=1,
            # With OrderedReady, a broken pod would not be replaced when its template is fixed. There is only one pod.
            parallel=True,
            spec=pod_spec(
                self,
                self.user_id,
                containers=[server, *self._exporters()],
                volumes=volumes,
                grace_seconds=self.grace_seconds,
            ),
        )

    @property
    def _data_folder(self) -> str:
        """Where the volume is mounted.

        The images up to version 17 declare a volume of their own at the folder of their data, which would go with the
        container; that of version 18 keeps its data two folders below the one that it declares.
        https://github.com/docker-library/docs/blob/master/postgres/README.md#pgdata
        """
        found = image(self.image)
        version = re.match(r"[0-9]{1,5}", found.tag) if found else None
        return _OLD_FOLDER if version and int(version[0]) < 18 else "/var/lib/postgresql"

    @property
    def _metrics_volumes(self) -> list[dict[str, Any]]:
        return [self.secret_files("metrics", {"password": self._metrics_password})] if self._is_measured else []

    def _exporters(self) -> list[dict[str, Any]]:
        """Return the container of postgres_exporter, if there is one.

        https://github.com/prometheus-community/postgres_exporter. It has no probes: the database is ready whether it is
        measured or not.
        """
        if not self.exporter or not self._is_measured:
            return []
        settings = {
            "DATA_SOURCE_URI": f"127.0.0.1:5432/{self.database}?sslmode=disable",
            "DATA_SOURCE_USER": _METRICS_ROLE,
            "DATA_SOURCE_PASS_FILE": f"{_METRICS_FOLDER}/password",
        }
        exporter = container(
            "exporter",
            self.exporter,
            ports=container_ports(self, {"metrics"}),
            env=variables(settings),
            resources=pod.Resources("10m", "32Mi", "64Mi"),
            mounts=[pod.mount("metrics", _METRICS_FOLDER, read_only=True)],
        )
        return [exporter]

    @property
    def _kept(self) -> dict[str, str]:
        return {"KEEP": str(self.backups_kept)}

    @property
    def _login(self) -> dict[str, str]:
        """Variables of scripts that log in as the role of the clients, beside the dumps."""
        return {
            "PGHOST": self.host,
            "PGPORT": "5432",
            "PGDATABASE": self.database,
            "PGUSER": self.user,
            "PASSWORD_FILE": f"{_PASSWORD_FOLDER}/password",
            "BACKUPS": "/backups",
        }

    def _passwords(self, more: Mapping[str, SecretReference] | None = None) -> dict[str, Any]:
        return self.secret_files("password", {"password": self.password, **(more or {})})

    @property
    def _dumps_volume(self) -> dict[str, Any]:
        return {"name": "backups", "persistentVolumeClaim": {"claimName": f"{self.name}-backups"}}

    def _saved(self, saving: Saving) -> Iterator[Manifest]:
        """Yield what dumps the database and saves the dump outside of the cluster, and what restores one."""
        mounts = [pod.mount("password", _PASSWORD_FOLDER, read_only=True), pod.mount("backups", "/backups")]

        def step(file: str, settings: Mapping[str, str], *more: Mapping[str, Any]) -> Step:
            command = ["/bin/sh", "-c", script("postgres", file)]
            return Step(command, variables({**self._login, **settings}), [*mounts, *more])

        write = step("backup.sh", self._kept)
        files = f"/backups/{self.database}-[0-9]*.dump"
        yield saving.cron_job(self.backup_schedule, write, files, self._passwords(), self._dumps_volume)
        settings = {
            "FETCHED": "/fetched",
            "SUPERUSER": self.superuser,
            "SUPERUSER_PASSWORD_FILE": _SUPERUSER_PASSWORD_FILE,
        }
        read = step("restore.sh", settings, pod.mount("fetched", "/fetched"))
        passwords = self._passwords({"superuser-password": self.superuser_password})
        yield saving.restore_job(read, passwords, self._dumps_volume)

    def _client_pod(
        self,
        suffix: str,
        file: str,
        settings: Mapping[str, str],
        mounts: Sequence[Mapping[str, Any]] = (),
        volumes: Sequence[Mapping[str, Any]] = (),
        passwords: Mapping[str, SecretReference] | None = None,
    ) -> dict[str, Any]:
        """Return the template of a pod that runs a script beside the dumps, as the role of the clients.

        It has the password of that role, and ``passwords`` by the names of their files.
        """
        own = [pod.mount("password", _PASSWORD_FOLDER, read_only=True), pod.mount("backups", "/backups")]
        return self.script_pod(
            suffix,
            command=["/bin/sh", "-c", script("postgres", file)],
            env={**self._login, **settings},
            mounts=[*own, *mounts],
            volumes=[self._passwords(passwords), self._dumps_volume, *volumes],
        )

    def _schema_job(self) -> Manifest:
        settings = {
            "SCHEMA_DIGEST": digest(self.schema, 8),
            "SUPERUSER": self.superuser,
            "SUPERUSER_PASSWORD_FILE": _SUPERUSER_PASSWORD_FILE,
        }
        mounts = []
        volumes = self._metrics_volumes
        if self.schema:
            settings["SCHEMA"] = f"/schema/{next(iter(self.schema))}"
        if self._is_measured:
            settings |= {"METRICS_ROLE": _METRICS_ROLE, "METRICS_PASSWORD_FILE": f"{_METRICS_FOLDER}/password"}
            mounts.append(pod.mount("metrics", _METRICS_FOLDER, read_only=True))
        if self.schema:
            mounts.append(pod.mount("schema", "/schema", read_only=True))
            volumes.append(pod.config_volume("schema", f"{self.name}-schema"))
        passwords = {"superuser-password": self.superuser_password}
        return self.schema_job(
            self._client_pod("-schema", "schema.sh", settings, mounts, volumes, passwords), self.schema
        )


def _dumps(servers: Sequence[Postgres]) -> str:
    """Return the operator and the value of a matcher for the CronJobs that dump."""
    return one_of(sorted({f"{server.name}-backup" for server in servers}))
