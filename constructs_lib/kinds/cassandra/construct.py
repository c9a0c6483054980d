"""Apache Cassandra: a ring with authentication, a keyspace and its tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.component import Component
from constructs_lib.declare.observed import own
from constructs_lib.declare.secret import generated
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Edge, Workload
from constructs_lib.grafana.model import Dashboard
from constructs_lib.kinds.cassandra import saves
from constructs_lib.kinds.parts.objects import autoscaler, disruption_budget, service_account
from constructs_lib.kinds.parts.pods import container, pod_spec, script, variables
from constructs_lib.kinds.parts.saving import late
from constructs_lib.kinds.parts.store import Store, grouped
from constructs_lib.kinds.parts.telemetry import FOLDER, PORT_NAME, SCRIPTS_FOLDER, Jvm
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest

_PASSWORD_FOLDER = "/run/secrets/cassandra"
#: The role as which the Job works.
_SUPERUSER = "schema_owner"
#: The only datacenter name that SimpleSnitch, the image's default, knows.
_DATACENTER = "datacenter1"
_JMX_RULES = "cassandra-jmx.yaml"


class Cassandra(Store):
    """A Cassandra ring on the official image, with one keyspace that every node of the declared ring holds.

    It offers the endpoint ``cql``, which tells ``host``, ``port``, ``address``, ``keyspace``, ``datacenter``,
    ``username`` and ``password``. Authentication is on, and the built-in login is shut by the Job that applies
    the schema. Clients read and write rows of the keyspace, and may do nothing else; the Job is a superuser of its own,
    whose password nobody else has. An autoscaler only ever adds nodes: one that leaves has to be decommissioned by a
    person.
    """

    folder = Path(__file__).parent
    container = "cassandra"
    is_saved = True
    stages = 2
    #: The server reads no password once it holds data; the Job with the schema brings a new one into it.
    restarts_with_secrets = False
    schema_seconds = 600
    #: The Job that applies the schema is called ``…-schema-12345678``, which is a label of its pods: 63 characters.
    longest_name = 47

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        image: str,
        keyspace: str,
        user: str,
        nodes: int | Autoscale,
        storage: str,
        schema: Sequence[Path] = (),
        namespace: str | None = None,
        heap: str = "512M",
        resources: pod.Resources = pod.Resources("500m", "1Gi", "1536Mi"),
        telemetry: Jvm | None = Jvm(),
    ) -> None:
        """Declare a ring.

        Args:
            scope: The service that owns it, a component, or the system for a ring of its own.
            id: Its name.
            image: Official image, with a digest or an exact version.
            keyspace: Name of the keyspace.
            user: Role as which clients log in. It may read and write what is in the keyspace.
            nodes: Size of the ring, or :class:`Autoscale` with the declared size as its minimum.
            storage: Size of each node's volume, such as ``20Gi``.
            schema: CQL files that may be applied again: ``IF NOT EXISTS`` throughout. Default: none.
            namespace: Namespace of its component, if ``scope`` is the system.
            heap: Java heap of a node, in the JVM's notation (``512M``). Default 512M.
            resources: Of a node. Default 500m CPU, 1Gi memory, limit 1536Mi: the heap and as much again beside it.
            telemetry: Agent that reads Cassandra's MBeans in its own process, which is there if the system is
                monitored; None for none. Default: the version that the dashboards and alerts were made for.
        """
        super().__init__(scope, id, namespace=namespace, image=image, storage=storage, resources=resources)
        self.keyspace = keyspace
        self.user = user
        self.nodes = nodes
        self.heap = heap
        self.telemetry = telemetry
        self.check_names(keyspace=keyspace, user=user)
        if user == "cassandra":
            self.report('user: "cassandra" is the built-in login, which is shut; choose another name.')
        if user == _SUPERUSER:
            self.report(f'user: "{user}" is the role of the schema Job; choose another name.')
        if isinstance(nodes, Autoscale):
            for problem in nodes.problems():
                self.report(problem.replace("replicas:", "nodes:"))
        elif nodes < 1:
            self.report(f"nodes: {nodes} is no size of a ring; at least 1, or Autoscale(2, 4).")
        if wrong := validation.java_heap(heap, resources.memory_limit or resources.memory):
            self.report(f"heap: {wrong}")
        for problem in telemetry.problems() if telemetry else ():
            self.report(problem)

        self.schema = self.read_schema(schema, ".cql")
        self.password = self.secret("password", generated(f"password of the Cassandra role {user}"))
        self.superuser_password = self.secret(
            "superuser-password", generated(f"password of the Cassandra role {_SUPERUSER}")
        )
        self.offer("cql", 9042, keyspace=keyspace, datacenter=_DATACENTER, username=user, password=self.password)
        self.needs(self.offer("internode", 7000, internal=True))
        # Bound to the loopback interface of the pod, for nodetool; no policy opens it.
        self.offer("jmx", 7199, internal=True)
        if self.saving:
            self.needs(self.saving.s3, order=False)

    def complete(self) -> None:
        """Serve metrics if the system has Monitoring."""
        if self._agent and PORT_NAME not in self.endpoints:
            with self.system.diagnostics.at(self.location):
                self.offer(PORT_NAME, self._agent.port, metrics=("/metrics",), internal=True)

    @property
    def _agent(self) -> Jvm | None:
        return self.telemetry if self.system.is_monitored else None

    def _agent_variables(self, agent: Jvm) -> dict[str, str]:
        """Return the settings of the agent: nothing but MBeans and the JVM is measured.

        They go to the server alone: from ``JAVA_TOOL_OPTIONS`` nodetool would start an agent on the same port.
        """
        system = self.system
        return {
            **agent.variables(self.name, system.name, system.environment.name, self.image),
            "JVM_EXTRA_OPTS": agent.option,
            "OTEL_INSTRUMENTATION_COMMON_DEFAULT_ENABLED": "false",
            "OTEL_INSTRUMENTATION_RUNTIME_TELEMETRY_ENABLED": "true",
            "OTEL_JMX_CONFIG": f"{SCRIPTS_FOLDER}/{_JMX_RULES}",
        }

    @classmethod
    def placeholders(cls, workloads: Sequence[Self]) -> dict[str, str | float | None]:
        """Return what the placeholders of its files stand for: which rings have fewer nodes than declared."""
        incomplete = (
            f'label_replace(min by (namespace, service) (cassandra_endpoints{{{own(rings)}, state="up"}}) < {nodes}, '
            f'"declared", "{nodes}", "", "")'
            for nodes, rings in grouped(workloads, lambda ring: ring.size)
        )
        late_saves = {"backup_overdue": late(workloads)}
        return {**super().placeholders(workloads), **late_saves, "incomplete": " or ".join(incomplete)}

    @classmethod
    def dashboard(cls, workloads: Sequence[Self]) -> Dashboard:
        """Return the dashboard of all rings, with the row about their runtime."""
        found = super().dashboard(workloads)
        runtimes = dict.fromkeys(row for ring in workloads if ring.telemetry for row in ring.telemetry.rows())
        return replace(found, rows=(*found.rows, *runtimes))

    @property
    def autoscaled(self) -> bool:
        """Whether a HorizontalPodAutoscaler owns the number of nodes."""
        return isinstance(self.nodes, Autoscale)

    @property
    def size(self) -> int:
        """Nodes of the declared ring."""
        return self.nodes.minimum if isinstance(self.nodes, Autoscale) else self.nodes

    def nodes_in_a_row(self, *, first: bool) -> int:
        """Return how many nodes there are: each joins once the one before has."""
        return self.nodes.maximum if isinstance(self.nodes, Autoscale) and not first else self.size

    @property
    def helpers(self) -> Mapping[str, list[Edge]]:
        """The pods of the schema Job and of what restores, which call the ring, and of what looks after saves."""

        def edge(name: str) -> Edge:
            return Edge(self, self.endpoints[name], order=False, location=self.location)

        found = {f"{self.name}-schema": [edge("cql")]}
        if self.saving:
            found[f"{self.name}-backup"] = [self.saving.edge]
            found[f"{self.name}-restore"] = [edge("cql"), edge("internode"), self.saving.edge]
        return found

    def _overrides(self) -> str:
        lines = ["authenticator: PasswordAuthenticator", "authorizer: CassandraAuthorizer"]
        if self.size < 3:
            # A quorum of two nodes is both: with one of them down nobody could log in.
            lines.append("auth_read_consistency_level: LOCAL_ONE")
        return "\n".join(lines) + "\n"

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: the ring with its autoscaler first, then its roles and tables."""
        files = {"overrides.yaml": self._overrides()}
        if self._agent:
            files[_JMX_RULES] = script("cassandra", _JMX_RULES)
        yield 0, service_account(self)
        yield 0, self.manifest("v1", "ConfigMap", data=files)
        if self.schema:
            yield 0, self.manifest("v1", "ConfigMap", "-schema", data=self.schema)
        for service in self.services():
            yield 1, service
        yield 1, self._ring()
        yield 1, disruption_budget(self)
        if isinstance(self.nodes, Autoscale):
            # It comes before the Job, which waits until the autoscaler has enlarged the ring to the declared size.
            yield 1, autoscaler(self, "StatefulSet", self.nodes, scale_down={"selectPolicy": "Disabled"})
        yield 2, self._schema_job()
        if self.saving:
            address = {"HOST": self.host, "PORT": "9042", "STORAGE_HOST": self._nodes_host, "STORAGE_PORT": "7000"}
            # Tables are not the clients' to make.
            passwords = self.secret_files("password", {"password": self.superuser_password})
            yield 2, saves.looking_after(self.saving, self.size)
            yield 2, saves.restore(self.saving, address, passwords, _SUPERUSER, self.keyspace)

    @property
    def _nodes_host(self) -> str:
        return f"{self.name}-nodes.{self.namespace_name}.svc.{self.system.environment.cluster.domain}"

    def _ring(self) -> Manifest:
        agent, saving = self._agent, self.saving
        nodes = self._nodes_host
        # A seed joins without streaming, so only the first nodes of a ring may be seeds.
        seeds = [f"{self.name}-{number}.{nodes}" for number in range(1 if self.size < 3 else 2)]
        settings = {
            "CASSANDRA_CLUSTER_NAME": _DATACENTER,
            "CASSANDRA_SEEDS": ",".join(seeds),
            "HOME": "/tmp",
            "MAX_HEAP_SIZE": self.heap,
            **(dict(sorted(self._agent_variables(agent).items())) if agent else {}),
        }
        mounts = [
            pod.mount("data", "/var/lib/cassandra"),
            pod.mount("conf", "/etc/cassandra"),
            pod.mount("logs", "/var/log/cassandra"),
            pod.mount("tmp", "/tmp"),
        ]
        if agent:
            mounts.append(pod.mount("telemetry", FOLDER, read_only=True))
            mounts.append(pod.mount("overrides", SCRIPTS_FOLDER, read_only=True))
        connects = {"tcpSocket": {"port": "cql"}, "timeoutSeconds": 5}
        node = self.server(
            env=variables(settings),
            resources=self.resources.plus(agent.memory) if agent else self.resources,
            # The port opens once the node has joined the ring; only then may the next node start.
            startupProbe={**connects, "periodSeconds": 10, "failureThreshold": 180},
            readinessProbe={**connects, "periodSeconds": 10},
            livenessProbe={**connects, "periodSeconds": 20, "failureThreshold": 6},
            mounts=mounts,
        )
        prepare = container(
            "prepare",
            self.image,
            command=["/bin/sh", "-c", script("cassandra", "prepare.sh")],
            env=variables({"OVERRIDES": "/overrides/overrides.yaml"}),
            mounts=[pod.mount("conf", "/conf"), pod.mount("overrides", "/overrides", read_only=True)],
        )
        volumes = [*map(pod.empty_volume, ("conf", "logs", "tmp")), pod.config_volume("overrides", self.name)]
        return self.stateful_set(
            replicas=self.size,
            checksum=[self._overrides(), script("cassandra", _JMX_RULES)] if agent else self._overrides(),
            spec=pod_spec(
                self,
                # Cassandra refuses to run with group 0.
                self.user_id,
                containers=[node, *([saves.sidecar(saving, self.keyspace)] if saving else [])],
                before=[
                    prepare,
                    *([agent.init_container()] if agent else []),
                    *([saving.tools()] if saving else []),
                ],
                volumes=[
                    *volumes,
                    *([pod.empty_volume("telemetry")] if agent else []),
                    *(saves.volumes(saving) if saving else []),
                ],
                # Java drains the node on the signal: memory is flushed, and the ring told.
                grace_seconds=self.grace_seconds,
                spread=pod.spread(self.selector, strictly=self._has_nodes(self.size)),
            ),
        )

    def _schema_job(self) -> Manifest:
        mounts = [pod.mount("password", _PASSWORD_FOLDER, read_only=True)]
        passwords = {"password": self.password, "superuser-password": self.superuser_password}
        volumes = [self.secret_files("password", passwords)]
        if self.schema:
            mounts.append(pod.mount("schema", "/schema", read_only=True))
            volumes.append(pod.config_volume("schema", f"{self.name}-schema"))
        files = [f"/schema/{file}" for file in self.schema]
        settings = {
            "HOST": self.host,
            "PORT": "9042",
            "ROLE": self.user,
            "PASSWORD_FILE": f"{_PASSWORD_FOLDER}/password",
            "SUPERUSER": _SUPERUSER,
            "SUPERUSER_PASSWORD_FILE": f"{_PASSWORD_FOLDER}/superuser-password",
            "KEYSPACE": self.keyspace,
            "NODES": str(self.size),
            "DATACENTER": _DATACENTER,
            "HOME": "/tmp",
        }
        command = ["/bin/bash", "-c", script("cassandra", "schema.sh"), "schema", *files]
        template = self.script_pod("-schema", command=command, env=settings, mounts=mounts, volumes=volumes)
        return self.schema_job(template, self.schema)
