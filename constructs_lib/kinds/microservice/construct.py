"""A program of one's own: stateless pods behind a Service."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.autoscale import Autoscale
from constructs_lib.declare.component import Component
from constructs_lib.declare.probe import Http, Probe, Tcp
from constructs_lib.declare.role import Role
from constructs_lib.declare.secret import Field, Plain, Secret, SecretReference
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import InternetHost, Workload
from constructs_lib.grafana.model import Dashboard, Panel
from constructs_lib.kinds.microservice import dashboard, requests
from constructs_lib.kinds.microservice.program import AkkaCluster, Objective, Program, Rule, permissions
from constructs_lib.kinds.parts.client import container_variables, wait_containers
from constructs_lib.kinds.parts.objects import autoscaler, disruption_budget, service_account
from constructs_lib.kinds.parts.pods import container, pod_spec
from constructs_lib.kinds.parts.ports import container_ports, service_ports
from constructs_lib.kinds.parts.telemetry import FOLDER, PORT_NAME, SCRIPTS_FOLDER, Telemetry, script_files
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest, digest
from constructs_lib.prometheus.rules import Group
from constructs_lib.text import shown

#: Folders that are not empty in most images: a volume would hide what is in them.
_FULL_FOLDERS = frozenset(
    ("/", "/app", "/bin", "/etc", "/home", "/lib", "/opt", "/root", "/run", "/sbin", "/tmp", "/usr", "/var")
)

#: Seconds that a pod has to stay ready before the next one is replaced.
_STAYS_READY = 5


class Microservice(Program):
    """A program of one's own. What follows from a declaration of three lines is listed in ``docs/constructs.md``."""

    @checked
    def __init__(
        self,
        scope: System | Component | Workload,
        id: str,
        *,
        image: str,
        ports: Mapping[str, int],
        namespace: str | None = None,
        env: Mapping[str, str | Secret | Field | Plain] | None = None,
        files: Mapping[str, Secret] | None = None,
        replicas: int | Autoscale = 1,
        resources: pod.Resources = pod.Resources("100m", "256Mi", "512Mi"),
        readiness: Probe | None = None,
        liveness: Probe | None = None,
        start_seconds: int = 180,
        drain_seconds: int = 30,
        exposed: str | None = None,
        internet: Sequence[InternetHost] = (),
        metrics: str | None = None,
        telemetry: Telemetry | None = None,
        objective: Objective = Objective(),
        publishes: Sequence[str] = (),
        consumes: Sequence[str] = (),
        rbac: Sequence[Rule] = (),
        akka: AkkaCluster | None = None,
        labels: Mapping[str, str] | None = None,
        user: int = 10001,
        wait_image: str | None = None,
    ) -> None:
        """Declare a microservice.

        Args:
            scope: The system, or a component or workload beside which it lives.
            id: Its name.
            image: Image with a digest or an exact version.
            ports: TCP ports by name.
            namespace: Namespace of its component, if ``scope`` is the system. Default: the id.
            env: Environment variables: texts, ``generated("…")``, ``supplied("…")``, ``field("…")``, ``plain("…")``.
                What an edge tells comes from :meth:`needs`.
            files: Secrets as files, by their absolute path; the folder holds nothing else.
            replicas: A number, or :class:`Autoscale`. Default 1.
            resources: Of the container. Default 100m CPU, 256Mi memory, limit 512Mi.
            readiness: When it takes traffic. Default: its first port accepts connections.
            liveness: When it is left alive. Default: as readiness.
            start_seconds: Seconds that it may take to start. Default 180.
            drain_seconds: Seconds that open connections (WebSockets, gRPC streams) get to end. Default 30.
            exposed: Name of the port that the world reaches, by a Service of type LoadBalancer. Default: none.
            internet: Hosts outside of the cluster that it calls.
            metrics: Name of the port that serves Prometheus metrics. Default: none.
            telemetry: Agent that measures the program from outside, by its runtime: ``Jvm()`` or ``Nodejs()``. Default:
                none, and then only what Kubernetes knows of its pods is measured.
            objective: What it promises, if it is measured by ``telemetry``. Default: 99.5 % of the requests succeed,
                and 95 % are answered within half a second.
            publishes: RabbitMQ exchanges that it publishes to; they are shown with it.
            consumes: RabbitMQ queues that it consumes; each must have a consumer, or an alert fires.
            rbac: Permissions in the Kubernetes API; without any, the pods get no token.
            akka: Form an Akka cluster.
            labels: Further labels of the pods, where a program needs them.
            user: Numeric user that the program runs as. Default 10001.
            wait_image: Image that waits for what the program needs, where the program's own has no shell, such as
                busybox. Default: the program's own.
        """
        super().__init__(scope, id, namespace=namespace)
        self.image = image
        self.replicas = replicas
        self.resources = resources
        self.start_seconds = start_seconds
        self.drain_seconds = drain_seconds
        self.exposed = exposed
        self.rbac = [*rbac]
        self.akka = akka
        self.pod_labels = {}
        self.user = user
        self.wait_image = wait_image
        self.internet = list(internet)
        self.files: dict[str, SecretReference] = {}
        self.telemetry = telemetry
        #: Names of the variables for the agent. They are in the Deployment and not in the ConfigMap: one of them has
        #: the version of the program, and a new image is to change nothing but the Deployment.
        self._agent_variables: set[str] = set()
        self.objective = objective
        self._missed_broker = False
        self.publishes = tuple(publishes)
        self.consumes = tuple(consumes)

        if problem := validation.image(image):
            self.report(problem)
        if wait_image is not None and (problem := validation.image(wait_image)):
            self.report(f"wait_image: {problem}")
        internal = {*akka.ports} if akka else set()
        if not ports.keys() - internal:
            beside = " beside those of Akka" if akka else ""
            self.report(f'ports: a microservice offers at least one port{beside}; write ports={{"http": 8080}}.')
        for name, number in ports.items():
            self.offer(name, number, metrics=("/metrics",) if name == metrics else (), internal=name in internal)
        for variable, value in (env or {}).items():
            self._take_variable(variable, value)
        for path, secret in (files or {}).items():
            self._take_file(path, secret)
        for label, text in (labels or {}).items():
            self._take_label(label, text)
        if akka:
            akka.join(self)
        if telemetry:
            self._take_telemetry(telemetry)
        default = Tcp(next(iter(self.endpoints), "none"))
        ready, alive = akka.probes if akka else (default, readiness or default)
        self.readiness = readiness or ready
        self.liveness = liveness or alive
        if exposed is not None and exposed in self.endpoints:
            self.exposed_ports.append(self.endpoints[exposed].port)
        self.uses_kubernetes_api = bool(self.rbac)
        self._check_ports(exposed, metrics, {"readiness": readiness, "liveness": liveness})
        for wrong in self._problems():
            self.report(wrong)

    def _check_ports(self, exposed: str | None, metrics: str | None, probes: Mapping[str, Probe | None]) -> None:
        for argument, name in (("exposed", exposed), ("metrics", metrics)):
            if name is not None:
                self.check_port(argument, name)
        if exposed in self.endpoints and self.endpoints[exposed].internal:
            whom = "Prometheus" if exposed == PORT_NAME else "the pods of its Akka cluster"
            self.report(f'exposed: the port "{exposed}" is for {whom} only; choose another.')
        for argument, probe in probes.items():
            if probe is not None:
                self.check_port(argument, probe.port)
            if isinstance(probe, Http) and not probe.path.startswith("/"):
                self.report(f'{argument}: the path {shown(probe.path)} must begin with "/".')

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong with the values of the arguments."""
        yield from self.resources.problems()
        if isinstance(self.replicas, Autoscale):
            yield from self.replicas.problems()
        elif self.replicas < 1:
            yield f"replicas: {self.replicas} is no number of pods; at least 1, or Autoscale(2, 6)."
        yield from (unkept := [*self.objective.problems()])
        if self.objective != Objective() and not unkept and not self.telemetry:
            yield "objective: nothing measures whether it is kept; give it telemetry=Jvm() or Nodejs() as well."
        for argument, names in (("publishes", self.publishes), ("consumes", self.consumes)):
            if problem := validation.broker_names(names):
                yield f"{argument}: {problem}"
        for rule in self.rbac:
            yield from rule.problems()
        for host in self.internet:
            if problem := validation.host_name(host.host) or validation.port_number(host.port):
                yield f"internet: {problem}"
        for argument, seconds in (("start_seconds", self.start_seconds), ("drain_seconds", self.drain_seconds)):
            if not 1 <= seconds <= 3600:
                yield f"{argument}: {seconds} is out of range; 1 to 3600 seconds are allowed."
        if not 1 <= self.user <= 2**31 - 1:
            yield f"user: {self.user} is no user to run as; 1 to {2**31 - 1} are allowed, and 0 is root."

    def _take_label(self, name: str, value: str) -> None:
        if name.startswith("app.kubernetes.io/") or (name == "app" and self.akka):
            self.report(f'labels: "{name}" is set by the library; choose another label.')
        elif problem := validation.label(name, value):
            self.report(f"labels: {problem}")
        else:
            self.pod_labels[name] = value

    def _take_variable(self, name: str, value: str | Secret | Field | Plain) -> None:
        if isinstance(value, Secret):
            self.set_variable(name, self.secret(name, value))
        elif isinstance(value, Field | Plain):
            self.set_variable(name, value)
        elif problem := validation.plain_secret(name, value):
            self.report(f"env: {problem}")
        else:
            self.set_variable(name, value)

    def _take_file(self, path: str, secret: Secret) -> None:
        folder, name = posixpath.split(path)
        if not path.startswith("/") or posixpath.normpath(path) != path or not name:
            self.report(f'files: {shown(path)} is no absolute path of a file; write it like "/etc/service/key.json".')
        elif folder in _FULL_FOLDERS:
            self.report(
                f'files: "{path}": a volume would hide what {folder} holds; give the file a folder of its own, for '
                f'instance "{folder.rstrip("/")}/{self.id}/{name}".'
            )
        elif problem := validation.file_names([path]):
            self.report(f"files: {problem}")
        else:
            self.files[path] = self.secret(name, secret)

    def _take_telemetry(self, telemetry: Telemetry) -> None:
        problems = [*telemetry.problems()]
        for problem in problems:
            self.report(problem)
        if problems:
            return
        if PORT_NAME in self.endpoints:
            self.report(f"ports: the agent's port is called {PORT_NAME}; choose another name.")
            return
        self.offer(PORT_NAME, telemetry.port, metrics=("/metrics",), internal=True)
        option = self.environment.pop(telemetry.option_variable, "")
        if isinstance(option, Plain):
            option = option.text
        if not isinstance(option, str):
            self.report(
                f"telemetry: the agent is started by {telemetry.option_variable}, so that it must be a plain text."
            )
            option = ""
        self.set_variable(telemetry.option_variable, f"{option} {telemetry.option}".lstrip())
        self._agent_variables.add(telemetry.option_variable)
        if "OTEL_EXPORTER_PROMETHEUS_PORT" in self.environment:
            self.report(
                f"OTEL_EXPORTER_PROMETHEUS_PORT: Prometheus would look for the metrics at {telemetry.port} all the "
                f"same; say telemetry={type(telemetry).__name__}(port=…)."
            )
        told = telemetry.variables(self.name, self.system.name, self.system.environment.name, self.image)
        for variable, value in told.items():
            # A variable that is declared wins: it may set the agent up in another way.
            if variable not in self.environment:
                self.set_variable(variable, value)
                self._agent_variables.add(variable)

    def complete(self) -> None:
        """Report exchanges and queues without a broker that would have them."""
        has_broker = any(edge.endpoint.server.role is Role.MESSAGING for edge in self.edges)
        if not has_broker and not self._missed_broker:
            for argument, names in (("publishes", self.publishes), ("consumes", self.consumes)):
                if names:
                    self._missed_broker = True
                    self.report(
                        f"{argument}: it needs no RabbitMQ that would have {shown(names[0])}; add "
                        f'needs(broker.endpoint("amqp"), …).',
                        self.location,
                    )

    @property
    def pod_seconds(self) -> int:
        """Seconds until one of its pods counts as available."""
        return super().pod_seconds + _STAYS_READY

    def rollout_seconds(self, *, first: bool) -> int:
        """Return how many seconds its pods may take: at first all at once, and then one by one."""
        if first:
            return self.pod_seconds
        return self.pod_seconds * (self.replicas.maximum if isinstance(self.replicas, Autoscale) else self.replicas)

    @property
    def dashboard_name(self) -> str:
        """Its own name: each service has a dashboard of its own."""
        return self.name

    @classmethod
    def dashboard(cls, workloads: Sequence[Self]) -> Dashboard:
        """Return the dashboard of a service."""
        service = workloads[0]
        needed = [edge.endpoint for edge in service.edges if edge.endpoint.server is not service]
        return dashboard.dashboard(service, [each for each in needed if isinstance(each.server, Microservice)])

    @classmethod
    def rules(cls, workloads: Sequence[Self]) -> Group | None:
        """Return the rules about the requests of services, and the alerts about what they promise."""
        return requests.group(workloads)

    def signals(self) -> Sequence[Panel]:
        """Return its traffic, errors, latency and saturation."""
        return dashboard.signals(self)

    @property
    def own_metrics(self) -> frozenset[str]:
        """The histograms of its agent."""
        return self.telemetry.metrics if self.telemetry else frozenset()

    def manifests(self) -> Iterator[tuple[int, Manifest]]:
        """Yield the objects: configuration first, then the pods with all that surrounds them."""
        config = {
            name: value.text if isinstance(value, Plain) else value
            for name, value in sorted(self.environment.items())
            if isinstance(value, str | Plain) and name not in self._agent_variables
        }
        yield 0, service_account(self)
        if config:
            yield 0, self.manifest("v1", "ConfigMap", data=config)
        if self.telemetry and self.telemetry.scripts:
            yield 0, self.manifest("v1", "ConfigMap", "-telemetry", data=script_files(self.telemetry))
        for permission in permissions(self, self.rbac):
            yield 0, permission
        yield 1, self._service()
        yield 1, self._deployment(config)
        if isinstance(self.replicas, Autoscale):
            # One pod a minute, after 5 minutes of low load: each pod that goes has connections to drain.
            one_by_one = [{"type": "Pods", "value": 1, "periodSeconds": 60}]
            scale_down = {"stabilizationWindowSeconds": 300, "policies": one_by_one}
            yield 1, autoscaler(self, "Deployment", self.replicas, scale_down=scale_down)
        yield 1, disruption_budget(self)

    def _service(self) -> Manifest:
        kind = "LoadBalancer" if self.exposed else "ClusterIP"
        annotations = self.system.environment.cluster.load_balancer_annotations if self.exposed else {}
        spec = {"type": kind, "selector": self.selector, "ports": service_ports(self)}
        return self.manifest("v1", "Service", annotations=annotations, spec=spec)

    def _deployment(self, config: Mapping[str, str]) -> Manifest:
        """Return the Deployment; variables that are not in the ConfigMap ``config`` stand with the pods."""
        template: dict[str, Any] = {
            "metadata": {"labels": {**self.labels, **self.pod_labels}},
            "spec": self._pods(config),
        }
        read: dict[str, object] = {**config}
        if self.telemetry and self.telemetry.scripts:
            read["telemetry"] = script_files(self.telemetry)
        if read:
            # Pods read ConfigMaps when they start: the checksum restarts them when one changes.
            template["metadata"]["annotations"] = {"checksum/config": digest(read)}
        return self.manifest(
            "apps/v1",
            "Deployment",
            spec={
                "replicas": self.replicas.minimum if isinstance(self.replicas, Autoscale) else self.replicas,
                "revisionHistoryLimit": 3,
                # What cannot progress must turn Degraded: only then does Argo CD take up the commit that fixes it.
                "progressDeadlineSeconds": self.pod_seconds,
                "minReadySeconds": _STAYS_READY,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "selector": {"matchLabels": self.selector},
                "template": template,
            },
        )

    def _pods(self, config: Mapping[str, str]) -> dict[str, Any]:
        volumes = [pod.empty_volume("tmp")]
        mounts = [pod.mount("tmp", "/tmp")]
        for number, (folder, items) in enumerate(self._files_by_folder().items()):
            volumes.append(pod.secret_volume(f"files-{number}", self.component.id, items))
            mounts.append(pod.mount(f"files-{number}", folder, read_only=True))
        if self.uses_kubernetes_api:
            # Only for this container: the init containers call no API.
            volumes.append(pod.token_volume("token"))
            mounts.append(pod.mount("token", pod.TOKEN_FOLDER, read_only=True))
        before: list[dict[str, Any]] = []
        resources = self.resources
        if self.telemetry:
            before.append(self.telemetry.init_container())
            resources = resources.plus(self.telemetry.memory)
            volumes.append(pod.empty_volume("telemetry"))
            mounts.append(pod.mount("telemetry", FOLDER, read_only=True))
            if self.telemetry.scripts:
                volumes.append(pod.config_volume("telemetry-metrics", f"{self.name}-telemetry"))
                mounts.append(pod.mount("telemetry-metrics", SCRIPTS_FOLDER, read_only=True))
        alive = self.liveness.manifest()
        starts = -(-self.start_seconds // 5)
        program = container(
            self.name,
            self.image,
            ports=container_ports(self),
            config_map=self.name if config else "",
            env=container_variables(self, self.environment.keys() - config.keys()),
            resources=resources,
            startupProbe={**alive, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": starts},
            readinessProbe={**self.readiness.manifest(), "periodSeconds": 5, "timeoutSeconds": 3},
            livenessProbe={**alive, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
            lifecycle={"preStop": {"sleep": {"seconds": pod.DEREGISTRATION_SECONDS}}},
            mounts=mounts,
        )
        return pod_spec(
            self,
            self.user,
            containers=[program],
            before=[*before, *wait_containers(self, self.wait_image or self.image)],
            volumes=volumes,
            grace_seconds=pod.DEREGISTRATION_SECONDS + self.drain_seconds,
            spread=pod.spread(self.selector),
        )

    def _files_by_folder(self) -> dict[str, dict[str, str]]:
        folders: dict[str, dict[str, str]] = {}
        for path, reference in sorted(self.files.items()):
            folder, name = posixpath.split(path)
            folders.setdefault(folder, {})[self.component.secret_key(reference)] = name
        return folders
