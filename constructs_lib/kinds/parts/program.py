"""A program in a container, whatever keeps it running: the base of the kinds for programs of one's own."""

from collections.abc import Iterator, Mapping
from typing import Any, Unpack

from constructs_lib.declare import validation
from constructs_lib.declare.component import Component
from constructs_lib.declare.container import Container
from constructs_lib.declare.placement import Placement
from constructs_lib.declare.probe import Probe
from constructs_lib.declare.role import Role
from constructs_lib.declare.secret import Field, Plain, Secret, SecretReference
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import Workload
from constructs_lib.kinds.parts import images
from constructs_lib.kinds.parts.arguments import ProgramArguments
from constructs_lib.kinds.parts.client import container_variables, referring, variable, wait_containers
from constructs_lib.kinds.parts.mounted import Mounted
from constructs_lib.kinds.parts.objects import service_account
from constructs_lib.kinds.parts.permissions import permissions
from constructs_lib.kinds.parts.pods import container, pod_spec
from constructs_lib.kinds.parts.telemetry import FOLDER, SCRIPTS_FOLDER, Telemetry, script_files
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest, digest
from constructs_lib.text import nearest, shown

_DEFAULT_RESOURCES = pod.Resources("100m", "256Mi", "512Mi")
#: Where the login for a registry stands in a Secret that the kubelet reads.
#: https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
_PULL_TYPE, _PULL_KEY = "kubernetes.io/dockerconfigjson", ".dockerconfigjson"

#: How often a probe asks, and how patient it is, where it does not say so.
TIMINGS: Mapping[str, Mapping[str, int]] = {
    "startup": {"periodSeconds": 5, "failureThreshold": 36},
    "readiness": {"periodSeconds": 5, "timeoutSeconds": 3},
    "liveness": {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
}


class Program(Workload):
    """The pods of a program: what :class:`ProgramArguments` says, and what follows from the edges.

    A kind inherits, says with :meth:`container_fields` what its container has beside that, and puts
    :meth:`pod_template` into its Deployment, Job or the like.
    """

    passes_all_on = True
    telemetry: Telemetry | None = None

    def __init__(self, scope: System | Component | Workload, id: str, **given: Unpack[ProgramArguments]) -> None:
        """Declare a program; the kind says what the arguments are."""
        super().__init__(scope, id, namespace=given.get("namespace"))
        self.image = given["image"]
        self.command = [*given.get("command", ())]
        self.args = [*given.get("args", ())]
        self.resources = given.get("resources", _DEFAULT_RESOURCES)
        self.init_containers = [*given.get("init_containers", ())]
        self.sidecars = [*given.get("sidecars", ())]
        self.placement = given.get("placement", Placement())
        self.pod_labels: dict[str, str] = {}
        self.pod_annotations: dict[str, str] = {}
        self.user = given.get("user", 10001)
        self.internet = [*given.get("internet", ())]
        self.rbac = [*given.get("rbac", ())]
        self.uses_kubernetes_api = bool(self.rbac)
        self.selecting = dict(given.get("selector", {}))
        self.wait_image = given.get("wait_image") or images.WAIT
        self.mounted = Mounted(self)
        #: Names of the variables for an agent. They stand with the pods and not in the ConfigMap: one of them has the
        #: version of the program, and a new image is to change nothing but the pods.
        self.agent_variables: set[str] = set()
        #: Name of the Secret with the login for its images; empty for none.
        self._pull_name = ""
        self._container_env: dict[str, dict[str, object]] = {}
        self._missed: set[tuple[str, str]] = set()
        #: Names of the sidecars that listen at ports, by the names of these.
        self.port_owners: dict[str, str] = {}

        for name, value in given.get("env", {}).items():
            self._take_variable(name, value)
        self.mounted.take_files(given.get("files", {}))
        self.mounted.take_volumes(given.get("volumes", {}))
        for name, text in given.get("labels", {}).items():
            self._take_label(name, text)
        for name, text in given.get("selector", {}).items():
            if problem := validation.label(name, text):
                self.report(f"selector: {problem}")
        for name, text in given.get("annotations", {}).items():
            if problem := validation.label(name, ""):
                self.report(f"annotations: {problem.replace('a label', 'an annotation')}")
            self.pod_annotations[name] = text
        for each in (*self.init_containers, *self.sidecars):
            values = {name: self._own_value(each, name, value) for name, value in each.env.items()}
            self._container_env[each.name] = {name: value for name, value in values.items() if value is not None}
        if (login := given.get("pull_secret")) and (problem := validation.pull_secret(login.owner)):
            self.report(problem)
        elif login:
            self._pull_by(f"{self.name}-pull", self.secret("pull-secret", login))
        elif self.system.pull_secret:
            self._pull_by(f"{self.component.id}-registry", self.system.pull_secret)
        for problem in self._program_problems(given.get("wait_image")):
            self.report(problem)

    @property
    def role(self) -> Role:
        """A service, even where it has a volume."""
        return Role.SERVICE

    def _pull_by(self, name: str, login: SecretReference) -> None:
        self._pull_name = name
        self.component.secret_key(login)
        self.component.typed_secret(name, _PULL_TYPE, {_PULL_KEY: login})

    def _program_problems(self, wait_image: str | None) -> Iterator[str]:
        tags = self.system.environment.image_tags
        if problem := validation.image(self.image, tags):
            yield problem
        if wait_image is not None and (problem := validation.image(wait_image, tags)):
            yield f"wait_image: {problem}"
        yield from self.resources.problems()
        for argument, containers in (("init_containers", self.init_containers), ("sidecars", self.sidecars)):
            for each in containers:
                for problem in each.problems(self.mounted.paths, tags):
                    yield f"{argument}, {each.name}: {problem}"
        names = [self.container, "wait", "telemetry", *(each.name for each in (*self.init_containers, *self.sidecars))]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"two containers would be called {shown(name)}; rename one of them."
        for problem in self.placement.problems():
            yield f"placement, {problem}"
        for rule in self.rbac:
            yield from rule.problems()
        for host in self.internet:
            yield from (f"internet: {problem}" for problem in host.problems(self.system.environment.cluster))
        if not 1 <= self.user <= 2**31 - 1:
            yield f"user: {self.user} is no user to run as; 1 to {2**31 - 1} are allowed, and 0 is root."

    def _take_label(self, name: str, value: str) -> None:
        if name.startswith("app.kubernetes.io/"):
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

    def _own_value(self, each: Container, name: str, value: str | Secret | Field | Plain) -> object:
        """Return the value of a variable of a further container, with the place of a secret; None if it is wrong."""
        problem = validation.environment_variable(name)
        if isinstance(value, str):
            problem = problem or validation.plain_secret(name, value)
        if problem:
            self.report(f"{each.name}, env: {problem}")
            return None
        return self.secret(f"{each.name}-{name}", value) if isinstance(value, Secret) else value

    def complete(self) -> None:
        """Report containers that get variables, or ask ports, which there are not once all is declared."""
        super().complete()
        for each in (*self.init_containers, *self.sidecars):
            if each.probes and (each.name, "") not in self._missed:
                self._missed.add((each.name, ""))
                with self.system.diagnostics.at(self.location):
                    self._check_probes(each)
            for name in () if isinstance(each.with_variables, bool) else each.with_variables:
                if name not in self.environment and (each.name, name) not in self._missed:
                    self._missed.add((each.name, name))
                    self.report(
                        f"{each.name}, with_variables: the program has no variable {shown(name)}; "
                        f"{nearest(name, self.environment)}",
                        self.location,
                    )

    def _check_probes(self, each: Container) -> None:
        for argument, probe in each.probes.items():
            if each in self.init_containers:
                self.report(f"init_containers, {each.name}: only a sidecar has a {argument} probe; leave it out.")
            else:
                self.check_asked(f"sidecars, {each.name}, {argument}", probe)

    def check_port(self, argument: str, name: str) -> None:
        """Report that an argument names a port that there is not."""
        if not self.may_offer(name):
            self.report(f"{argument}: there is no port {shown(name)}; {nearest(name, self.endpoints)}")

    def check_asked(self, argument: str, probe: Probe) -> None:
        """Report that a probe asks a port that there is not, or that no probe asks."""
        if (name := probe.port_name) is not None:
            self.check_port(argument, name)
            if name in self.endpoints and (protocol := self.endpoints[name].protocol) != "TCP":
                self.report(
                    f'{argument}: the port "{name}" is {protocol}, which no probe asks; ask another one, or take Exec.'
                )

    @property
    def config(self) -> dict[str, str]:
        """The variables in its ConfigMap."""
        apart = self.agent_variables | referring(self)
        return {
            name: value.text if isinstance(value, Plain) else value
            for name, value in sorted(self.environment.items())
            if isinstance(value, str | Plain) and name not in apart
        }

    def set_up(self) -> Iterator[tuple[int, Manifest]]:
        """Yield what its pods refer to, with the stage of each: account, configuration, permissions, claims."""
        yield 0, service_account(self)
        if config := self.config:
            yield 0, self.manifest("v1", "ConfigMap", data=config)
        if self.telemetry and self.telemetry.scripts:
            yield 0, self.manifest("v1", "ConfigMap", "-telemetry", data=script_files(self.telemetry))
        for permission in permissions(self, self.rbac):
            yield 0, permission
        yield from self.mounted.objects()

    def container_fields(self) -> dict[str, Any]:
        """Return what the container has beside what all programs have: ports, probes and the like. Default: nothing."""
        return {}

    def sidecar_fields(self, sidecar: Container) -> dict[str, Any]:
        """Return what a sidecar has beside what it says: its probes."""
        return {
            f"{name}Probe": self.asked(probe, TIMINGS[name], sidecar.name)
            for name, probe in self.probes_of(sidecar).items()
        }

    def probes_of(self, sidecar: Container) -> Mapping[str, Probe]:
        """Return the probes of a sidecar, by their argument. Default: those that it says."""
        return sidecar.probes

    def asked(self, probe: Probe, timings: Mapping[str, int], container: str = "") -> dict[str, Any]:
        """Return a probe of a container (default: the program's), which has no names for the ports of the others."""
        numbers = {name: endpoint.port for name, endpoint in self.endpoints.items()}
        found = probe.manifest(numbers, **timings)
        name = probe.port_name
        if name is not None and self.port_owners.get(name, "") != container:
            for how in ("httpGet", "tcpSocket"):
                if how in found:
                    found[how]["port"] = numbers[name]
        return found

    def pod_template(
        self, *, restart: str = "", grace_seconds: int | None = None, spread: bool = True
    ) -> dict[str, Any]:
        """Return the template of its pods; what they read from ConfigMaps is in a checksum that restarts them.

        Args:
            restart: Restart policy. Default: ``Always``.
            grace_seconds: Seconds that it gets to end. Default: as Kubernetes, 30.
            spread: Whether its pods are spread as :class:`Placement` says.
        """
        annotations = dict(self.pod_annotations)
        if read := self._read_at_start():
            annotations["checksum/config"] = digest(read)
        spec = self._pod_spec(restart=restart, grace_seconds=grace_seconds, spread=spread)
        return {
            "metadata": {
                "labels": {**self.labels, **self.pod_labels},
                **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
            },
            "spec": spec,
        }

    def _read_at_start(self) -> dict[str, object]:
        read: dict[str, object] = {**self.config}
        if self.telemetry and self.telemetry.scripts:
            read["telemetry"] = script_files(self.telemetry)
        if self.mounted.texts:
            read["files"] = self.mounted.texts
        return read

    def _pod_spec(self, *, restart: str, grace_seconds: int | None, spread: bool) -> dict[str, Any]:
        config = self.config
        volumes, mounts = [pod.empty_volume("tmp")], [pod.mount("tmp", "/tmp")]
        for volume, mount in self.mounted.file_volumes():
            volumes.append(volume)
            mounts.append(mount)
        for data, mount in self.mounted.data_volumes():
            volumes += [data] if data else []
            mounts.append(mount)
        shared = {each["mountPath"]: each for each in mounts}
        if self.uses_kubernetes_api:
            # Only for this container: the others call no API.
            volumes.append(pod.token_volume("token"))
            mounts.append(pod.mount("token", pod.TOKEN_FOLDER, read_only=True))
        resources, before = self.resources, [*wait_containers(self, self.wait_image)]
        if self.telemetry:
            before.insert(0, self.telemetry.init_container())
            resources = resources.plus(self.telemetry.memory)
            volumes.append(pod.empty_volume("telemetry"))
            mounts.append(pod.mount("telemetry", FOLDER, read_only=True))
            if self.telemetry.scripts:
                volumes.append(pod.config_volume("telemetry-metrics", f"{self.name}-telemetry"))
                mounts.append(pod.mount("telemetry-metrics", SCRIPTS_FOLDER, read_only=True))
        # https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
        before += [self._further(each, shared, restartPolicy="Always") for each in self.sidecars]
        before += [self._further(each, shared) for each in self.init_containers]
        program = container(
            self.container,
            self.image,
            command=self.command,
            args=self.args,
            config_map=self.name if config else "",
            env=container_variables(self, self.environment.keys() - config.keys()),
            resources=resources,
            mounts=mounts,
            **self.container_fields(),
        )
        placement = self.placement
        over = pod.spread(self.selector, over=placement.spread, strictly=placement.strictly)
        return {
            **pod_spec(
                self,
                self.user,
                containers=[program],
                before=before,
                volumes=volumes,
                grace_seconds=grace_seconds,
                spread=over if spread else (),
                restart=restart,
            ),
            **({"imagePullSecrets": [{"name": self._pull_name}]} if self._pull_name else {}),
            **placement.manifest(),
        }

    def _further(self, each: Container, shared: Mapping[str, Mapping[str, Any]], **more: Any) -> dict[str, Any]:
        """Return an init container or a sidecar, which shares some of what is mounted."""
        config, chosen = self.config, each.with_variables
        # The agent is in the program's container alone: another one would not start with what it is told.
        names = self.environment.keys() - self.agent_variables
        inherits = names - config.keys() if chosen is True else names & set(chosen or ())
        own_env = self._container_env[each.name]
        inherited = container_variables(self, inherits - own_env.keys())
        own = [variable(self, name, value) for name, value in sorted(own_env.items())]
        fields = self.sidecar_fields(each) if more else {}
        return container(
            each.name,
            each.image,
            command=each.command,
            args=each.args,
            config_map=self.name if config and chosen is True else "",
            env=[*inherited, *own],
            resources=each.resources,
            mounts=[pod.mount("tmp", "/tmp"), *(shared[path] for path in each.mounts if path in shared)],
            **fields,
            **more,
        )
