"""A program that keeps running: its ports, its Service, its probes, and how it ends."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Protocol, Self, Unpack

from constructs_lib.declare.arguments import field_misfits
from constructs_lib.declare.component import Component
from constructs_lib.declare.container import Container
from constructs_lib.declare.load_balancer import LoadBalancer
from constructs_lib.declare.port import Port
from constructs_lib.declare.probe import Probe, Tcp
from constructs_lib.declare.system import System
from constructs_lib.declare.workload import PODS, Workload
from constructs_lib.grafana.model import Dashboard
from constructs_lib.kinds.parts.arguments import LongRunningArguments
from constructs_lib.kinds.parts.ports import container_ports, service_ports
from constructs_lib.kinds.parts.program import TIMINGS, Program
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest
from constructs_lib.text import nearest, shown


class Trait(Protocol):
    """What a program as a whole can be given, such as :class:`AkkaCluster`, by :meth:`LongRunning.add`."""

    def add_to(self, program: "LongRunning") -> None:
        """Change the program, which is declared by now; what is wrong is reported to it."""


class LongRunning(Program):
    """A program that keeps running, as :class:`LongRunningArguments` says; the kind says in what number."""

    def __init__(self, scope: System | Component | Workload, id: str, **given: Unpack[LongRunningArguments]) -> None:
        """Declare a program; the kind says what the arguments are."""
        super().__init__(scope, id, **given)  # type: ignore[misc]
        self.start_seconds = given.get("start_seconds", 180)
        self.drain_seconds = given.get("drain_seconds", 30)
        self.load_balancer: LoadBalancer | None = None
        self._startup = given.get("startup")
        metrics, exposed = given.get("metrics"), given.get("exposed")
        for name, value in given.get("ports", {}).items():
            port = value if isinstance(value, Port) else Port(value)
            self._take_port(name, port, ("/metrics",) if name == metrics else ())
        own = (each for name, each in self.endpoints.items() if name not in self.port_owners)
        first = next((each.name for each in own if each.protocol == "TCP"), None)
        default = Tcp(first) if first else None
        #: When it is ready and alive; None if nobody asks it.
        self.readiness: Probe | None = given.get("readiness") or default
        self.liveness: Probe | None = given.get("liveness") or (self.readiness.untimed if self.readiness else None)
        self._chose_probes = bool(given.get("readiness")), bool(given.get("liveness"))
        self.offer_more()
        if metrics is not None:
            self.check_port("metrics", metrics)
        self._expose(exposed)
        for argument in ("readiness", "liveness", "startup"):
            if (probe := given.get(argument)) is not None:
                self._check_probe(argument, probe)  # type: ignore[arg-type]
        for argument, seconds in (("start_seconds", self.start_seconds), ("drain_seconds", self.drain_seconds)):
            if not 1 <= seconds <= 3600:
                self.report(f"{argument}: {seconds} is out of range; 1 to 3600 seconds are allowed.")

    def offer_more(self) -> None:
        """Offer endpoints that follow from other arguments of the kind. Default: none."""

    def _take_port(self, name: str, port: Port, metrics: tuple[str, ...]) -> None:
        for problem in port.problems():
            self.report(f"ports, {name}: {problem}")
        self.offer(
            name,
            port.container,
            metrics=metrics,
            internal=port.internal,
            service_port=port.service_port,
            protocol=port.protocol,
            balanced=port.balanced,
        )
        if port.sidecar:
            names = [each.name for each in self.sidecars]
            if port.sidecar not in names:
                self.report(f"ports, {name}: there is no sidecar {shown(port.sidecar)}; {nearest(port.sidecar, names)}")
            self.port_owners[name] = port.sidecar

    def _expose(self, exposed: str | list[str] | tuple[str, ...] | LoadBalancer | Any) -> None:
        if isinstance(exposed, LoadBalancer):
            self.load_balancer = exposed
            for problem in exposed.problems(self.system.environment.cluster):
                self.report(f"exposed: {problem}")
            names = [*exposed.ports]
        else:
            names = [exposed] if isinstance(exposed, str) else [*(exposed or ())]
        #: Names of the ports that the world reaches.
        self.exposed = names
        for name in names:
            self.check_port("exposed", name)
            if name in self.endpoints:
                if self.endpoints[name].internal:
                    whom = "Prometheus" if self.endpoints[name].metrics else "its own pods"
                    self.report(f'exposed: the port "{name}" is for {whom} only; choose another.')
                self.exposed_ports.append(self.endpoints[name].port)

    def _check_probe(self, argument: str, probe: Probe) -> None:
        for problem in probe.problems():
            self.report(f"{argument}: {problem}")
        self.check_asked(argument, probe)

    def add(self, *traits: Trait) -> None:
        """Add what changes the program as a whole, such as :class:`AkkaCluster`."""
        for trait in traits:
            problems = [problem for _, problem in field_misfits(trait)] if is_dataclass(trait) else []
            if not hasattr(trait, "add_to"):
                problems.append(f"add() takes something like AkkaCluster(…), not {shown(trait)}.")
            for problem in problems:
                self.report(problem)
            if not problems:
                trait.add_to(self)

    def ask(self, ready: Probe, alive: Probe) -> None:
        """Have a trait say by which probes the program is asked, where the declaration does not."""
        chose_readiness, chose_liveness = self._chose_probes
        if not chose_readiness:
            self.readiness = ready
        if not chose_liveness:
            self.liveness = alive

    def services(self) -> Iterator[Manifest]:
        """Yield its Service, and that of its load balancer; none without a port."""
        cluster = self.system.environment.cluster
        annotations = cluster.load_balancer_annotations
        ports, found = service_ports(self), self.load_balancer
        if found is None and self.exposed and any(each["name"] not in self.exposed for each in ports):
            # A load balancer would open all ports of its Service.
            found = LoadBalancer({each["name"]: each["port"] for each in ports if each["name"] in self.exposed})
        if self._is_called:
            is_open = bool(self.exposed) and found is None
            spec = {"type": "LoadBalancer" if is_open else "ClusterIP", "selector": self.selector, "ports": ports}
            yield self.manifest("v1", "Service", annotations=annotations if is_open else {}, spec=spec)
        if balanced := [endpoint for endpoint in self.endpoints.values() if endpoint.balanced]:
            # Beside the other, whose address could not be taken away: clients move when they are told the new name.
            own = [
                {"name": each.name, "port": each.port, "targetPort": each.name, "protocol": each.protocol}
                for each in balanced
            ]
            pods = {"clusterIP": "None", "selector": self.selector, "ports": own}
            yield self.manifest("v1", "Service", PODS, spec=pods)
        if found:
            at = [
                {**each, "port": found.ports[each["name"]]}
                for each in (service_ports(self, internal=True))
                if each["name"] in found.ports
            ]
            at += [{**at[0], "name": name, "port": number} for name, number in found.further_ports.items()]
            outside: dict[str, Any] = {
                "type": "LoadBalancer",
                "selector": self.selector,
                "ports": at,
                **({"externalTrafficPolicy": "Local"} if found.keeps_client_address else {}),
                **({"loadBalancerSourceRanges": [*found.source_ranges]} if found.source_ranges else {}),
            }
            annotations = {**annotations, **found.balancing.annotations(cluster), **found.annotations}
            yield self.manifest("v1", "Service", "-external", annotations=annotations, spec=outside)

    @property
    def dashboard_name(self) -> str:
        """Its own name: each program has a dashboard of its own."""
        return self.name

    @classmethod
    def dashboard(cls, workloads: Sequence[Self]) -> Dashboard:
        """Return the dashboard of a program, which shows its pods; a kind that knows more overrides it."""
        name = workloads[0].name
        return Dashboard("program", name, f"What the pods of {name} use, and whether they are ready.", ())

    def _ports_of(self, sidecar: str) -> dict[str, Any]:
        names = [name for name in self.endpoints if self.port_owners.get(name, "") == sidecar]
        ports = container_ports(self, names) if names else []
        return {"ports": ports} if ports else {}

    def container_fields(self) -> dict[str, Any]:
        """Return its ports and probes, and a pause before it is told to end."""
        fields = self._ports_of("")
        if alive := self._startup or self.liveness:
            period = alive.period_seconds if self._startup and alive.period_seconds else 5
            if not self._startup:
                alive = alive.untimed
            patient = {"periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": -(-self.start_seconds // period)}
            fields["startupProbe"] = self.asked(alive, patient)
        if self.readiness:
            fields["readinessProbe"] = self.asked(self.readiness, TIMINGS["readiness"])
        if self.liveness:
            fields["livenessProbe"] = self.asked(self.liveness, TIMINGS["liveness"])
        # A worker is told at once: nobody sends it anything.
        pause = {"preStop": {"sleep": {"seconds": pod.DEREGISTRATION_SECONDS}}}
        return {**fields, **({"lifecycle": pause} if self._is_called else {})}

    @property
    def _is_called(self) -> bool:
        return any(not endpoint.internal for endpoint in self.endpoints.values())

    @property
    def grace_seconds(self) -> int:
        """Seconds that a pod gets to end: until nothing reaches it any more, and then to end what is open."""
        return (pod.DEREGISTRATION_SECONDS if self._is_called else 0) + self.drain_seconds

    def sidecar_fields(self, sidecar: Container) -> dict[str, Any]:
        """Return the ports of a sidecar, and its probes."""
        return {**self._ports_of(sidecar.name), **super().sidecar_fields(sidecar)}

    def probes_of(self, sidecar: Container) -> Mapping[str, Probe]:
        """Return the probes of a sidecar: what a Service sends to it, it gets once it is ready."""
        offered = [
            Tcp(name)
            for name, endpoint in self.endpoints.items()
            if self.port_owners.get(name) == sidecar.name and endpoint.protocol == "TCP" and not endpoint.internal
        ]
        if not offered:
            return sidecar.probes
        return {"readiness": sidecar.startup.untimed if sidecar.startup else offered[0], **sidecar.probes}
