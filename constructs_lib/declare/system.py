"""A system: all components of one environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import misfits
from constructs_lib.declare.calls import explained
from constructs_lib.declare.diagnostics import DeclarationError, Diagnostic, Location, here, new_diagnostics
from constructs_lib.declare.environment import Environment
from constructs_lib.declare.patch import Patch, patch_of
from constructs_lib.declare.secret import Secret, SecretReference
from constructs_lib.declare.server import Server
from constructs_lib.text import nearest, shown

if TYPE_CHECKING:
    from constructs_lib.declare.component import Addition, Component
    from constructs_lib.declare.workload import Workload


@explained
class System:
    """The root of a declaration: ``System(environment, "positionpal")``. It holds the components together."""

    def __init__(
        self,
        environment: Environment,
        name: str,
        *,
        pull_secret: Secret | None = None,
        formerly: Mapping[str, str] | None = None,
    ) -> None:
        """Declare a system.

        Args:
            environment: Where it runs.
            name: Its name; also that of the AppProject, and the value of ``app.kubernetes.io/part-of``.
            pull_secret: The login with which the images of its programs are pulled, as ``.dockerconfigjson`` has it; a
                program may have another one. Default: none.
            formerly: What components, and workloads inside of them (``component/workload``), were called when they were
                published first, by their ids in the declaration. They keep that name in the cluster and in the
                repository, so that renaming them in the declaration moves nothing. Default: nothing was renamed.

        Raises:
            DeclarationError: The environment is none, so that nothing can be declared in it.
        """
        if not isinstance(environment, Environment):
            raise DeclarationError(
                Diagnostic(here(), "system", problem) for problem in misfits("environment", environment, Environment)
            )
        if problems := [*environment.misfits()]:
            raise DeclarationError(Diagnostic(place, "environment", problem) for place, problem in problems)
        self.environment = environment
        self.name = name
        self.pull_secret: SecretReference | None = None
        self.location = here()
        self.diagnostics = new_diagnostics()
        self.patches: list[Patch] = []
        self._formerly: dict[str, str] = {}
        #: The ids that the declaration gives, which may differ from the lasting ones.
        self._declared: set[str] = set()
        self._components: dict[str, Component] = {}
        self._owners: dict[str, Component] = {}
        self._outside: dict[str, Server] = {}
        #: The namespaces that others own, by the first that names each.
        self._left: dict[str, Server] = {}
        self.routes: list[Addition] = []
        #: Whether routes lead into it, or a component is there for them.
        self.has_edge = False
        #: By who serves it, the host and the path, the route that has it.
        self.claims: dict[tuple[str, str, str], Addition] = {}
        if problem := validation.dns_label(name):
            self.diagnostics.report("system", problem)
        for problem in misfits("formerly", formerly, Mapping[str, str] | None):
            self.diagnostics.report("system", problem)
            formerly = None
        for called, lasting in (formerly or {}).items():
            problem = validation.dns_label(lasting)
            if called.rpartition("/")[2] == lasting:
                problem = "that is what it is called; leave it out."
            if problem:
                self.diagnostics.report("system", f"formerly: {shown(called)}: {problem}")
            else:
                self._formerly[called] = lasting
        for problem in misfits("pull_secret", pull_secret, Secret | None):
            self.diagnostics.report("system", problem)
        if isinstance(pull_secret, Secret) and (problem := validation.pull_secret(pull_secret.owner)):
            self.diagnostics.report("system", problem)
        elif isinstance(pull_secret, Secret):
            self.pull_secret = SecretReference(name, "registry-login", pull_secret)
        for location, problem in environment.problems():
            self.diagnostics.report(f"environment {environment.name}", problem, location)

    @property
    def application_name(self) -> str:
        """The name of its root Application: its own behind the environment's prefix."""
        return f"{self.environment.prefix}{self.name}"

    @property
    def components(self) -> tuple[Component, ...]:
        """The components, in the order of their declaration."""
        return tuple(self._components.values())

    @property
    def outside(self) -> tuple[Server, ...]:
        """What exists without the system, in the order of its declaration."""
        return tuple(self._outside.values())

    @property
    def workloads(self) -> Iterator[Workload]:
        """The workloads of all components, in the order of their declaration."""
        return (workload for component in self.components for workload in component.workloads)

    @property
    def is_monitored(self) -> bool:
        """Whether a component collects the metrics of the others, so that exporters are worth their memory."""
        return any(component.scrapes for component in self.components)

    def lasting_id(self, id: str, component: str = "") -> str:
        """Return the id that lasts of a component, or of a workload inside of one, by what the declaration calls it."""
        called = f"{component}/{id}" if component else id
        self._declared.add(called)
        return self._formerly.get(called, id)

    def report_stale_names(self) -> None:
        """Report former names of what is not declared."""
        for called in self._formerly.keys() - self._declared:
            what = "workload" if "/" in called else "component"
            near = nearest(called, {each for each in self._declared if ("/" in each) is ("/" in called)})
            problem = f"formerly: there is no {what} {shown(called)}; {near}"
            self.diagnostics.report("system", problem, self.location)

    def component(self, name: str) -> Component:
        """Return a component by its id.

        Raises:
            DeclarationError: There is no such component.
        """
        found = {component.title: component for component in self.components}
        if name not in found:
            problem = f"there is no component {shown(name)}; {nearest(str(name), found)}"
            raise DeclarationError([Diagnostic(here(), "system", problem)])
        return found[name]

    @explained
    def patch(self, kind: str, change: Mapping[str, object], *, name: str | None = None) -> None:
        """Change the root Application, whose kind is ``"Application"``, in a way that no argument does.

        Args:
            kind: ``"Application"``: all else is of a component, and the root's AppProject belongs to the bootstrap.
            change: What is merged into it (``docs/constructs.md#patches``).
            name: Its name, which is that of the system.
        """
        patch = patch_of(self, kind, change, name, None, self.diagnostics.here(self), self.report)
        if patch is None:
            return
        if kind == "Application":
            self.patches.append(patch)
        else:
            whose = "the root's belongs to the bootstrap" if kind == "AppProject" else "it is a component's"
            self.report(f"patch(): a system has its root Application to patch, and no {kind}: {whose}.")

    def report(self, problem: str, location: Location | None = None) -> None:
        """Report an error that concerns the system itself, at ``location`` (default: the line being run)."""
        self.diagnostics.report(self.name, problem, location, construct=self)

    def placeholder_id(self) -> str:
        """Return an id that is free, for a component whose own cannot be used."""
        number = 1
        while {f"unnamed-{number}"} & (self._components.keys() | self._outside.keys()):
            number += 1
        return f"unnamed-{number}"

    def register(self, component: Component) -> None:
        """Take in a component; called by its constructor."""
        if self._is_taken(component.id, component.location):
            return
        if component.id in (self.name, "root"):
            what = "root Application" if component.id == self.name else "root Application's project"
            component.report(f"that is the name of the {what}; choose another for the component.")
        self._components[component.id] = component
        self.has_edge = self.has_edge or component.serves_routes
        self.own(component.namespace_name, component)

    def owner_of(self, namespace: str) -> Component | None:
        """Return the component whose a namespace is; None if it is none's."""
        return self._owners.get(namespace)

    def take_in(self, server: Server) -> None:
        """Take in what exists without the system; called by its constructor."""
        if not self._is_taken(server.name, server.location):
            self._outside[server.name] = server

    def _is_taken(self, id: str, location: Location) -> bool:
        """Tell whether an id has been given away, and report it then: the store has an entry for each."""
        known = self._components.get(id) or self._outside.get(id)
        if known is not None:
            what = type(known).__name__ if id in self._outside else "component"
            problem = f"the id is taken by the {what} declared at {known.location}; choose another, ids are unique."
            self.diagnostics.report(id, problem, location)
        return known is not None

    def leave(self, namespace: str, server: Server) -> None:
        """Note that somebody else owns a namespace, and report it if it is a component's."""
        if (owner := self._owners.get(namespace)) is not None:
            server.report(
                f'the namespace "{namespace}" belongs to {owner.id}, declared at {owner.location}: what runs there is '
                f"no one else's. Need an endpoint of {owner.id}, or name the namespace of the other owner."
            )
        self._left.setdefault(namespace, server)

    def own(self, namespace: str, component: Component) -> None:
        """Note whose a namespace is, and report it if it is somebody else's already."""
        if namespace in self.environment.reserved_namespaces:
            component.report(f'the namespace "{namespace}" has another owner already; choose one that is new.')
        elif (server := self._left.get(namespace)) is not None:
            component.report(
                f'the namespace "{namespace}" is somebody else\'s, by {server.name} at {server.location}; choose one '
                f"that is new."
            )
        elif (owner := self._owners.setdefault(namespace, component)) is not component:
            self.diagnostics.report(
                component.id,
                f'the namespace "{namespace}" already belongs to {owner.id}: a namespace has one '
                f"owner. Choose another, or declare the workload inside of {owner.id}.",
                component.location,
            )
