"""A component: one namespace, one folder of manifests, one Argo CD Application, one owner of its objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from constructs_lib.declare import on_demand, validation
from constructs_lib.declare.arguments import checked, misfits
from constructs_lib.declare.calls import explained
from constructs_lib.declare.chart import ChartSource, Kind, PodAccess
from constructs_lib.declare.diagnostics import Location
from constructs_lib.declare.patch import Patch, patch_of
from constructs_lib.declare.role import Role
from constructs_lib.declare.secret import SecretReference
from constructs_lib.declare.server import Server
from constructs_lib.declare.system import System
from constructs_lib.text import shown

if TYPE_CHECKING:
    from constructs_lib.declare.workload import Workload

#: Seconds that the pods of a chart may take.
_UNTOLD_SECONDS = 300

PodSecurity = Literal["restricted", "baseline", "privileged"]


@dataclass(frozen=True)
class Predecessor:
    """A component that must be healthy first, with no traffic between the two."""

    component: Component
    reason: str
    location: Location


@dataclass(frozen=True)
class TypedSecret:
    """A Secret of its own, for values that Kubernetes reads by its type.

    Attributes:
        type: Its type, such as ``kubernetes.io/tls``.
        values: The values by their keys in it.
    """

    type: str
    values: Mapping[str, SecretReference]


class Addition:
    """What makes objects in a component and is no workload, such as a route or an issuer; they come last in it."""

    system: System
    location: Location
    name: str

    @property
    def kind(self) -> str:
        """The name of its class, which is also that of its kind in Kubernetes."""
        return type(self).__name__

    @property
    def subject(self) -> str:
        """How messages name it."""
        raise NotImplementedError

    def report(self, problem: str, location: Location | None = None) -> None:
        """Report an error that concerns it, at ``location`` (default: the line being run)."""
        self.system.diagnostics.report(self.subject, problem, location, construct=self)

    def manifests(self, component: Component) -> Iterator[dict[str, Any]]:
        """Yield its objects in a component."""
        raise NotImplementedError


class Component(on_demand.Chart):
    """A namespace with everything in it.

    It is a real cdk8s chart: whatever cdk8s or cdk8s-plus construct is created inside of it is synthesized with it.
    A :class:`~constructs_lib.declare.workload.Workload` that is declared directly in a system makes its component
    itself, so most declarations never name this class.
    """

    #: Whether the component itself has volumes, beside those of its workloads.
    holds_data = False
    #: Its role in pictures; None: the most visible of its workloads decides.
    role: ClassVar[Role | None] = None
    #: What it brings for the whole cluster, of :attr:`Cluster.CAPABILITIES`.
    brings: ClassVar[tuple[str, ...]] = ()
    #: ServiceAccount in its namespace that reads secrets for all components; empty if it brings no External Secrets.
    reads_secrets_as: str = ""
    #: ServiceAccount in its namespace that restarts programs whose secrets changed; empty if it brings no Reloader.
    restarts_as: str = ""
    #: What pods that are no workloads of ours may exchange, such as those of a chart, and what these offer.
    access: Sequence[PodAccess] = ()
    servers: Sequence[Server] = ()
    #: Kinds of objects that Argo CD makes for it beside those that it yields itself, and further namespaces for them.
    kinds: Sequence[Kind] = ()
    cluster_kinds: Sequence[Kind] = ()
    other_namespaces: Sequence[str] = ()
    #: Namespaces beside its own that are also its own, with the Pod Security level that each enforces.
    further_namespaces: Mapping[str, PodSecurity] = {}
    #: Whether it is there for routes: a controller, a Gateway, what makes their certificates.
    serves_routes: ClassVar[bool] = False
    #: Arguments that were wrong and have placeholders in their place.
    replaced: frozenset[str] = frozenset()
    #: Derives its objects. The package sets it, because this room must not import ``derive``.
    derivation: ClassVar[Callable[[Component], list[dict[str, Any]]]]

    @checked
    def __init__(
        self,
        scope: System,
        id: str,
        *,
        namespace: str | None = None,
        pod_security: PodSecurity = "restricted",
        prefix: bool = True,
    ) -> None:
        """Declare a component.

        Args:
            scope: The system.
            id: Name of the component, of its folder and of its Application.
            namespace: Its namespace. Default: the id.
            pod_security: Pod Security level that the namespace enforces. Default ``restricted``
                (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
            prefix: Whether the names of its workloads begin with its id. False is for programs that run already under
                names of their own. Default True.
        """
        self.location = scope.diagnostics.here(self)
        problem = validation.dns_label(id)
        if not problem and scope.environment.prefix:
            problem = validation.dns_label(f"{scope.environment.prefix}{id}")
        self.system = scope
        #: What the declaration and pictures call it, and the lasting name of its objects, folder and Application.
        self.title = scope.placeholder_id() if problem else id
        self.id = self.title if problem else scope.lasting_id(id)
        self.namespace_name = f"{scope.environment.prefix}{namespace if namespace is not None else self.id}"
        self.pod_security: PodSecurity = pod_security
        self.prefix = prefix
        self.predecessors: list[Predecessor] = []
        self.secrets: dict[str, SecretReference] = {}
        #: Of its objects, those of its workloads among them.
        self.patches: list[Patch] = []
        #: Secrets of their own beside the component's, by name.
        self.typed_secrets: dict[str, TypedSecret] = {}
        #: Routes, issuers and certificates.
        self.additions: list[Addition] = []
        self._workloads: dict[str, Workload] = {}
        if problem:
            scope.diagnostics.report("component", problem, self.location)
        elif namespace is not None and (problem := validation.dns_label(self.namespace_name)):
            self.report(f"namespace: {problem}")
        scope.register(self)

    def make_in_cdk8s(self) -> None:
        """Make the chart and, in the order of their declaration, the workloads: what comes later is made at once."""
        super().__init__(self.id)
        for workload in self._workloads.values():
            workload.make_in_cdk8s()

    @property
    def application_name(self) -> str:
        """The name of its Application, and of its folder: the id behind the environment's prefix."""
        return f"{self.system.environment.prefix}{self.id}"

    @property
    def workloads(self) -> Sequence[Workload]:
        """The workloads, in the order of their declaration."""
        return tuple(self._workloads.values())

    @property
    def chart_source(self) -> ChartSource | None:
        """The Helm chart that Argo CD renders for it. Default: none."""
        return None

    @property
    def scrapes(self) -> bool:
        """Whether pods of it collect the metrics of the whole system."""
        return any(access.scrapes for access in self.access)

    def late_manifests(self, waves: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """Yield objects that need everything else in the component to be healthy, such as those of its custom kinds.

        Args:
            waves: The wave of each component of the system, by its id.
        """
        yield from ()

    def rollout_seconds(self, *, first: bool) -> int:
        """Return how many seconds a sync waits for all of its workloads at most, as these tell.

        What else is in it, such as a chart, does not tell; there is room for it where there are no workloads.
        """
        return sum(workload.rollout_seconds(first=first) for workload in self.workloads) or _UNTOLD_SECONDS

    @property
    def keeps_data(self) -> bool:
        """Whether something in it must outlive the component's removal."""
        return self.holds_data or any(workload.holds_data for workload in self._workloads.values())

    @property
    def restarts(self) -> bool:
        """Whether there are programs in it that a changed secret restarts, where there is a Reloader."""
        return bool(self.secrets and self._workloads)

    @property
    def tells(self) -> str:
        """In words, who is told about alerts. Default: empty, for what sends none."""
        return ""

    @explained
    def report(self, problem: str, location: Location | None = None) -> None:
        """Report an error that concerns this component, at ``location`` (default: the line being run)."""
        self.system.diagnostics.report(self.title, problem, location, construct=self)

    def after(self, *others: Component | Workload, reason: str = "declared with after()") -> None:
        """Roll out only once ``others``, or their components, are healthy; ``reason`` is for the command ``why``."""
        for problem in misfits("reason", reason, str):
            self.report(f"after(): {problem}")
        for other in others:
            component = getattr(other, "component", None) or other
            if not isinstance(component, Component):
                self.report(f"after() takes components and workloads, not {shown(other)}.")
            elif component.system is not self.system:
                self.report(f"after(): {component.id} belongs to another system; the order is that of one system.")
            elif component is self:
                self.report("after(): a component cannot come after itself; name another one.")
            else:
                self.predecessors.append(Predecessor(component, reason, self.system.diagnostics.here(self)))

    @explained
    def patch(
        self, kind: str, change: Mapping[str, object], *, name: str | None = None, namespace: str | None = None
    ) -> None:
        """Change an object of the component, or its Application or AppProject, in a way that no argument does.

        Args:
            kind: Its kind, such as ``"Namespace"``; with its group if that leaves a choice: ``"apps/Deployment"``.
            change: What is merged into it: mappings key by key, lists of named things by name, None takes away, and
                everything else is replaced (``docs/constructs.md#patches``).
            name: Its name. Default: the only one of its kind, or the one with the id of the component.
            namespace: Its namespace, where several have the name.
        """
        location = self.system.diagnostics.here(self)
        if patch := patch_of(self, kind, change, name, namespace, location, self.report):
            self.patches.append(patch)

    def add_workload(self, workload: Workload) -> None:
        """Take in a workload; called by its constructor."""
        self._workloads[workload.id] = workload
        if self.in_cdk8s:
            workload.make_in_cdk8s()

    def workload(self, id: str) -> Workload | None:
        """Return the workload with this id, or None."""
        return self._workloads.get(id)

    def secret_key(self, reference: SecretReference) -> str:
        """Return the key under which this component's Secret holds a value, adding it if it is new."""
        own = reference.component == self.id
        key = reference.key if own else f"{reference.component}.{reference.key}"
        self.secrets.setdefault(key, reference)
        return key

    def typed_secret(self, name: str, type: str, values: Mapping[str, SecretReference]) -> None:
        """Have values in a Secret with a name and a type of its own, rather than in the component's."""
        self.typed_secrets[name] = TypedSecret(type, values)

    def to_json(self) -> list[Any]:
        """Return all Kubernetes objects of the component, those of cdk8s constructs inside of it included.

        Raises:
            DeclarationError: The system's declaration has errors.
        """
        return Component.derivation(self)

    def construct_manifests(self) -> list[dict[str, Any]]:
        """Return the objects of the cdk8s constructs that were created inside of the component.

        What cdk8s refuses is reported as an error. Nothing can be inside of a component that cdk8s was never asked for.
        """
        if not self.in_cdk8s:
            return []
        try:
            return list(super().to_json())
        except RuntimeError as refusal:
            reason = str(refusal).splitlines()[0].removeprefix("Error: ")
            self.report(f"cdk8s refuses what was created inside of it: {reason}.", self.location)
            return []
