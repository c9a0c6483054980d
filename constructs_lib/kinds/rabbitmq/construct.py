"""RabbitMQ: a broker of one node, or a cluster of an odd number of them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.component import Component
from constructs_lib.declare.observed import Observed, in_namespaces, own
from constructs_lib.declare.role import Role
from constructs_lib.declare.secret import SecretReference, generated
from constructs_lib.declare.server import Endpoint
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Edge, Workload
from constructs_lib.grafana import panels
from constructs_lib.grafana.model import Panel
from constructs_lib.kinds.parts.objects import disruption_budget, service_account
from constructs_lib.kinds.parts.pods import container, pod_spec, script, variables
from constructs_lib.kinds.parts.saving import Saving, Step, late
from constructs_lib.kinds.parts.store import Store, grouped
from constructs_lib.kinds.rabbitmq.permissions import permissions
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.kubernetes.names import image as image_of
from constructs_lib.kubernetes.quantity import parse_quantity
from constructs_lib.prometheus.rules import none_of, one_of
from constructs_lib.text import shown

#: Who makes users where each client has its own.
_ADMINISTRATOR = "administrator"
#: Names that no client's user may have, and whose they are.
_NOT_OF_CLIENTS = {_ADMINISTRATOR: "the broker's own administrator", "guest": "the login that everybody knows"}
_SECRETS_FOLDER = "/run/secrets/rabbitmq"
_USERS_FOLDER = "/etc/rabbitmq-users"
_PLUGINS = "[rabbitmq_management,rabbitmq_peer_discovery_k8s,rabbitmq_prometheus].\n"


class RabbitMQ(Store):
    """RabbitMQ 4 on the official image.

    It offers ``amqp``, ``management`` and ``metrics`` (Prometheus; per object at ``/metrics/per-object``); ``amqp``
    tells ``host``, ``port``, ``address``, ``username``, ``password`` and ``virtual_host``. Users are put in place at
    every start, so that a rotated password holds after a restart: one for all clients, or one for each, which a Job
    puts in place at a broker that runs before the client starts. ``guest`` never exists.
    """

    folder = Path(__file__).parent
    container = "rabbitmq"
    is_saved = True
    role = Role.MESSAGING

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        image: str,
        user: str | None = None,
        storage: str,
        nodes: int = 1,
        namespace: str | None = None,
        resources: pod.Resources = pod.Resources("250m", "512Mi", "1Gi"),
        permit_deprecated: Sequence[str] = (),
    ) -> None:
        """Declare a broker.

        Args:
            scope: The system for a broker of its own, or the component or workload beside which it lives.
            id: Its name.
            image: Official ``management`` image of RabbitMQ 4.1 or later, with a digest or an exact version.
            user: User as whom all clients log in, who may do everything. Default: none; then each client has a user of
                its own, with its name, who may do what it declares with ``publishes`` and ``consumes``.
            storage: Size of each node's volume, such as ``5Gi``.
            nodes: 1, or an odd number: a cluster of two loses its majority with either of them. Default 1.
            namespace: Namespace of its component, if ``scope`` is the system.
            resources: Of a node. Default 250m CPU, 512Mi memory, limit 1Gi.
            permit_deprecated: Deprecated features that the programs still use
                (https://www.rabbitmq.com/docs/deprecated-features).
        """
        super().__init__(scope, id, namespace=namespace, image=image, storage=storage, resources=resources)
        self.user = user
        # With one login, it takes the password of that at its start; else the Job for the logins does.
        self.restarts_with_secrets = user is not None
        self.nodes = nodes
        self.permit_deprecated = tuple(permit_deprecated)
        #: Who is put in place at every start.
        self.first_user = user or _ADMINISTRATOR
        self.stages = 1 if user else 2
        self.schema_seconds = 0 if user else 300
        if user == "guest":
            self.report('user: "guest" is the login that everybody knows; choose another name.')
        elif user is not None and not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]{0,63}", user):
            self.report(f"user: {shown(user)} is no plain user name; letters, digits and . _ -, a letter first.")
        if nodes < 1 or nodes % 2 == 0:
            self.report(f"nodes: {nodes} nodes have no majority once one is away; use 1, 3 or 5.")
        for feature in self.permit_deprecated:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", feature):
                self.report(f'permit_deprecated: {shown(feature)} is no name of a feature, such as "global_qos".')
        if _is_old(image):
            self.report(
                f"image: {shown(image)} is too old: nodes find each other from RabbitMQ 4.1 on; write a later one."
            )
        # Not the password of whoever was all clients' user before.
        key = "password" if user else f"{_ADMINISTRATOR}-password"
        self.password = self.secret(key, generated(f"password of the RabbitMQ user {self.first_user}"))
        self._mute: set[Workload] = set()
        self.cookie = self.secret("erlang-cookie", generated("cookie that the RabbitMQ nodes share"))
        if user:
            self.offer("amqp", 5672, username=user, password=self.password, virtual_host="/")
        else:
            self.offer("amqp", 5672, virtual_host="/")
        self.offer("management", 15672)
        self.offer("metrics", 15692, metrics=("/metrics/per-object",))
        peers = [self.offer("epmd", 4369, internal=True), self.offer("clustering", 25672, internal=True)]
        for endpoint in peers:
            self.needs(endpoint)

    def told(self, endpoint: Endpoint, client: Workload) -> Mapping[str, str | SecretReference]:
        """Return what a client may be told about an endpoint: of ``amqp`` its own login, if each has one."""
        if self.user is not None or endpoint is not self.endpoints["amqp"]:
            return super().told(endpoint, client)
        return {**endpoint.attributes, "username": client.name, "password": self._password_of(client)}

    def _password_of(self, client: Workload) -> SecretReference:
        return self.secret(f"{client.name}-password", generated(f"password of the RabbitMQ user {client.name}"))

    @property
    def clients(self) -> Mapping[str, Workload]:
        """Who logs in, by the name of its user, where each client has its own."""
        return {each.name: each for each in self._needing}

    @property
    def _needing(self) -> list[Workload]:
        """What logs in as a user of its own, by name."""
        if self.user is not None:
            return []
        amqp = self.endpoints["amqp"]
        needing = (each for each in self.system.workloads if any(edge.endpoint == amqp for edge in each.edges))
        return sorted(needing, key=lambda each: (each.name, each.namespace_name))

    def complete(self) -> None:
        """Report clients whose users would be somebody else's, or could do nothing as nothing is said of them."""
        super().complete()
        first: dict[str, Workload] = {}
        for client in self._needing:
            name = client.name
            other = first.setdefault(name, client)
            if other is not client and client not in self._mute:
                self._mute.add(client)
                client.report(
                    f"its user {name} of {self.subject} would be that of {other.subject}, too, declared at "
                    f"{other.location}: choose another id, or let the broker have one user for all, user=….",
                    client.location,
                )
            elif name in _NOT_OF_CLIENTS and client not in self._mute:
                self._mute.add(client)
                client.report(
                    f"its user {name} of {self.subject} would be {_NOT_OF_CLIENTS[name]}: choose another id, or let "
                    f"the broker have one user for all, user=….",
                    client.location,
                )
            elif not (client.publishes or client.queues or client in self._mute):
                self._mute.add(client)
                client.report(
                    f"its user {name} of {self.subject} could do nothing there: say what the program publishes and "
                    f"consumes, or let the broker have one user for all, user=….",
                    client.location,
                )

    @property
    def helpers(self) -> Mapping[str, list[Edge]]:
        """The pods of the Job that makes users, and those that save and restore definitions.

        The first call the management API, the others the nodes, as these call each other.
        """

        def edge(name: str) -> Edge:
            return Edge(self, self.endpoints[name], order=False, location=self.location)

        users = {} if self.user is not None else {f"{self.name}-users": [edge("management")]}
        return {**users, **(self.saving.helpers(edge("epmd"), edge("clustering")) if self.saving else {})}

    @classmethod
    def placeholders(cls, workloads: Sequence[Self]) -> dict[str, str | float | None]:
        """Return what the placeholders of its files stand for: what is true of nodes and of consumed queues."""
        clusters = grouped([broker for broker in workloads if broker.nodes > 1], lambda broker: broker.nodes)
        consumed = _consumed(workloads)
        queues = sorted({queue for each in consumed.values() for queue in each})
        return {
            **super().placeholders(workloads),
            "nodes_missing": " or ".join(_fewer(nodes, nodes, alike) for nodes, alike in clusters) or None,
            "majority_lost": " or ".join(_fewer(nodes // 2 + 1, nodes, alike) for nodes, alike in clusters) or None,
            "backup_overdue": late(workloads),
            "unconsumed": " or ".join(_not_consumed(broker, queues) for broker, queues in consumed.items()) or None,
            "others": f"{own(workloads)}, queue{none_of(queues)}" if queues else own(workloads),
        }

    def panels_for(self, client: Observed) -> Sequence[Panel]:
        """Return what a client publishes and consumes."""
        file, namespace = self.folder / "dashboard.yaml", in_namespaces([self])
        found: list[Panel] = []
        if client.publishes:
            chosen = {"chosen": f"{namespace}, exchange{one_of(client.publishes)}"}
            found += panels.panels(file, chosen, "published")
        if client.consumes:
            chosen = {"chosen": f"{namespace}, queue{one_of(client.consumes)}"}
            found += (panel.wide(8) for panel in panels.panels(file, chosen, "queued", "consumed", "consumers"))
        return found

    def business(self) -> Sequence[Panel]:
        """Return what is published to each exchange, and delivered from each queue."""
        found = panels.panels(self.folder / "dashboard.yaml", {"chosen": own([self])}, "published", "consumed")
        return [replace(each, title=f"{self.name}: {each.title}", width=8) for each in found]

    def nodes_in_a_row(self, *, first: bool) -> int:
        """Return how many nodes start one after the other: at first all of them do at once."""
        return 1 if first else self.nodes

    def _configuration(self) -> str:
        limit = parse_quantity(self.resources.memory_limit or self.resources.memory)
        lines = [
            "log.console = true",
            "load_definitions = /definitions/definitions.json",
            # The image has a file that opens guest to the network; this one replaces it.
            "loopback_users.guest = true",
            "anonymous_login_user = none",
            "auth_mechanisms.1 = PLAIN",
            "auth_mechanisms.2 = AMQPLAIN",
            # The server sees the node's memory, not the container's limit.
            f"vm_memory_high_watermark.absolute = {int(limit * 6 / 10)}",
            "disk_free_limit.absolute = 200MB",
            "cluster_formation.peer_discovery_backend = k8s",
            f"cluster_formation.target_cluster_size_hint = {self.nodes}",
            *(f"deprecated_features.permit.{feature} = true" for feature in self.permit_deprecated),
        ]
        return "\n".join(lines) + "\n"

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: configuration first, then the broker."""
        files = {"10-rabbitmq.conf": self._configuration(), "enabled_plugins": _PLUGINS}
        yield 0, service_account(self)
        yield 0, self.manifest("v1", "ConfigMap", data=files)
        yield 0, self.manifest("v1", "ConfigMap", "-users", data=(users := self._users()))
        for service in self.services():
            yield 1, service
        yield 1, self._broker(files)
        yield 1, disruption_budget(self)
        if self.user is None:
            yield 2, self._users_job(users)
        if self.saving:
            yield from ((1, each) for each in self._saved(self.saving))

    def _users(self) -> dict[str, str]:
        """Return the files that say who is a user beside the first one, and what all users may do."""
        everything = dict.fromkeys(("configure", "write", "read"), ".*")
        rights = [{"user": self.first_user, "vhost": "/", **everything}]
        lines = []
        for name, client in self.clients.items():
            rights.append({"user": name, "vhost": "/", **permissions(client.publishes, client.queues)})
            lines.append(f"{name} {self.component.secret_key(self._password_of(client))}\n")
        listed = ",\n".join(json.dumps(each) for each in rights)
        return {"users": "".join(lines), "permissions.json": f"[{listed}]\n"}

    @property
    def _login(self) -> dict[str, str]:
        return {
            "USERNAME": self.first_user,
            "TAGS": "management" if self.user else "administrator",
            "PASSWORD_KEY": self.component.secret_key(self.password),
            "SECRETS": _SECRETS_FOLDER,
            "USERS": _USERS_FOLDER,
        }

    def _users_job(self, users: Mapping[str, str]) -> Manifest:
        """Return the Job that makes the users of a broker that runs; another list of clients is another Job."""
        references = [self.password, *map(self._password_of, self.clients.values())]
        template = self.script_pod(
            "-users",
            command=["/bin/bash", "-c", script("rabbitmq", "definitions.sh") + script("rabbitmq", "users.sh")],
            env={"HOST": self.host, "PORT": str(self.endpoints["management"].service_port), **self._login},
            mounts=[
                pod.mount("secrets", _SECRETS_FOLDER, read_only=True),
                pod.mount("users", _USERS_FOLDER, read_only=True),
            ],
            volumes=[
                self.secret_files("secrets", {self.component.secret_key(each): each for each in references}),
                pod.config_volume("users", f"{self.name}-users"),
            ],
        )
        return self.schema_job(template, users, "-users")

    def _node(self, pod: str) -> str:
        domain = self.system.environment.cluster.domain
        return f"rabbit@{pod}.{self.name}-nodes.{self.namespace_name}.svc.{domain}"

    def _saved(self, saving: Saving) -> Iterator[Manifest]:
        """Yield what saves the definitions outside of the cluster, and what restores them."""
        nodes = " ".join(self._node(f"{self.name}-{number}") for number in range(self.nodes))
        env = variables({"NODES": nodes, "DEFINITIONS": "/saved/definitions.json"})
        prepare, volumes = self._prepared()
        home = pod.mount("home", "/var/lib/rabbitmq")
        saved = pod.empty_volume("saved", memory=True)

        def step(file: str, env: Sequence[Mapping[str, Any]], *mounts: Mapping[str, Any]) -> Step:
            return Step(["/bin/sh", "-c", script("rabbitmq", file)], env, [home, *mounts])

        write = step("backup.sh", env, pod.mount("saved", "/saved"))
        yield saving.cron_job(saving.schedule, write, "/saved/definitions.json", saved, before=[prepare], more=volumes)
        files = {"FETCHED": "/fetched", "DECLARED": "/definitions/definitions.json"}
        env = variables({"NODES": nodes, "PATIENCE": "600", **files})
        mounts = [pod.mount("fetched", "/fetched"), pod.mount("definitions", "/definitions", read_only=True)]
        yield saving.restore_job(step("restore.sh", env, *mounts), *volumes, before=[prepare])

    def _prepared(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the init container that writes the cookie and who may log in, and the volumes that it needs."""
        prepare = container(
            "prepare",
            self.image,
            command=["/bin/sh", "-c", script("rabbitmq", "definitions.sh") + script("rabbitmq", "prepare.sh")],
            env=variables({**self._login, "COOKIE_KEY": self.component.secret_key(self.cookie)}),
            mounts=[
                pod.mount("home", "/var/lib/rabbitmq"),
                pod.mount("definitions", "/definitions"),
                pod.mount("secrets", _SECRETS_FOLDER, read_only=True),
                pod.mount("users", _USERS_FOLDER, read_only=True),
            ],
        )
        volumes = [
            pod.empty_volume("home"),
            pod.empty_volume("definitions", memory=True),
            self._secrets_volume(),
            pod.config_volume("users", f"{self.name}-users"),
        ]
        return prepare, volumes

    def _broker(self, files: dict[str, str]) -> Manifest:
        settings = {
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": self._node("$(POD_NAME)"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": "/plugins/enabled_plugins",
        }
        connects = {"tcpSocket": {"port": "amqp"}}
        answers = {"exec": {"command": ["rabbitmq-diagnostics", "--quiet", "ping"]}}
        home, definitions = pod.mount("home", "/var/lib/rabbitmq"), "/definitions"
        starts = self.start_seconds // 5
        broker = self.server(
            env=[pod.field_variable("POD_NAME", "metadata.name"), *variables(settings)],
            startupProbe={**connects, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": starts},
            readinessProbe={**connects, "periodSeconds": 10, "timeoutSeconds": 5},
            livenessProbe={**answers, "periodSeconds": 60, "timeoutSeconds": 20, "failureThreshold": 5},
            lifecycle={"preStop": {"exec": {"command": ["/bin/sh", "-c", self._drain()]}}},
            mounts=[
                home,
                pod.mount("data", "/var/lib/rabbitmq/mnesia"),
                pod.mount("definitions", definitions, read_only=True),
                pod.mount("conf", "/etc/rabbitmq/conf.d", read_only=True),
                pod.mount("plugins", "/plugins", read_only=True),
                pod.mount("tmp", "/tmp"),
            ],
        )
        prepare, prepared = self._prepared()
        volumes = [
            *prepared[:2],
            pod.empty_volume("tmp"),
            *prepared[2:],
            self._config_items("conf", "10-rabbitmq.conf"),
            self._config_items("plugins", "enabled_plugins"),
        ]
        return self.stateful_set(
            replicas=self.nodes,
            parallel=True,
            checksum=files,
            # Discovery needs no token: from RabbitMQ 4.1 on, nodes find each other by the number in their names.
            spec=pod_spec(
                self,
                self.user_id,
                containers=[broker],
                before=[prepare],
                volumes=volumes,
                grace_seconds=self.grace_seconds,
                spread=pod.spread(self.selector, strictly=self._has_nodes(self.nodes)),
            ),
        )

    def _secrets_volume(self) -> dict[str, Any]:
        if self.name == self.component.id:
            # All that there is, so that another client changes nothing here and restarts no broker.
            return {"name": "secrets", "secret": {"secretName": self.name, "defaultMode": 0o440}}
        # It lives beside others, whose secrets are none of its business.
        references = [self.cookie, self.password, *map(self._password_of, self.clients.values())]
        return self.secret_files("secrets", {self.component.secret_key(each): each for each in references})

    def _config_items(self, volume: str, file: str) -> dict[str, object]:
        return {"name": volume, "configMap": {"name": self.name, "items": [{"key": file, "path": file}]}}

    def _drain(self) -> str:
        drain = "rabbitmq-upgrade drain --timeout 60 || true"
        if self.nodes < 3:
            # With fewer than three nodes none can be spared: the command would always wait until its timeout.
            return drain
        return f"rabbitmq-upgrade await_online_quorum_plus_one --timeout 60 || true; {drain}"


def _is_old(reference: str) -> bool:
    """Tell whether an image is by its tag a RabbitMQ before 4.1.

    Tags without a version tell nothing, and those of images of one's own number something else.

    From 4.1 on, nodes find each other by the number in their names: https://www.rabbitmq.com/docs/cluster-formation.
    """
    found = image_of(reference)
    if not found or found.registry not in ("", "docker.io") or found.path.removeprefix("library/") != "rabbitmq":
        return False
    version = re.match(r"(\d+)(?:\.(\d+))?(?:[.-]|$)", found.tag)
    return version is not None and (int(version[1]), int(version[2] or 1)) < (4, 1)


def _consumed(brokers: Sequence[RabbitMQ]) -> Mapping[RabbitMQ, Sequence[str]]:
    """Return the queues of each broker that must have a consumer, because somebody declares to be one."""
    found: dict[RabbitMQ, set[str]] = {}
    consumers = [workload for workload in brokers[0].system.workloads if workload.consumes]
    for consumer in sorted(consumers, key=lambda workload: (workload.namespace_name, workload.name)):
        for edge in consumer.edges:
            for broker in brokers:
                if edge.endpoint.server is broker:
                    found.setdefault(broker, set()).update(consumer.consumes)
    return {broker: sorted(queues) for broker, queues in found.items()}


def _not_consumed(broker: RabbitMQ, queues: Sequence[str]) -> str:
    brokers = own([broker])
    consumers = f"sum by (namespace, service, queue) (rabbitmq_queue_consumers{{{brokers}, queue{one_of(queues)}}})"
    # A queue may be deleted with its last consumer. That it is absent counts only if all nodes report their queues.
    complete = f"count(count by (rabbitmq_node) (rabbitmq_identity_info{{{brokers}}})) >= {broker.nodes}"
    absent = " or ".join(f'absent(rabbitmq_queue_consumers{{{brokers}, queue="{queue}"}})' for queue in queues)
    return f"({consumers} == 0 or 0 * ({absent}) and on () ({complete}))"


def _fewer(least: int, declared: int, brokers: Sequence[RabbitMQ]) -> str:
    nodes = f"count by (namespace, service, rabbitmq_node) (rabbitmq_identity_info{{{own(brokers)}}})"
    return f'label_replace(count by (namespace, service) ({nodes}) < {least}, "declared", "{declared}", "", "")'
