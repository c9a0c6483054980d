"""A system: all components of one environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.declare import validation
from constructs_lib.declare.environment import Environment
from constructs_lib.declare.mistake import here, nearest, new_ledger

if TYPE_CHECKING:
    from constructs_lib.declare.component import Component


class System:
    """The root of a declaration: ``System(environment, "positionpal")``.

    Every component becomes a chart of its own under a cdk8s app of its own, because ``App.synth`` walks the whole
    app once per chart; the system is what holds them together.
    """

    def __init__(self, environment: Environment, name: str) -> None:
        """Declare a system.

        Args:
            environment: Where it runs.
            name: Its name; also that of the AppProject, and the value of ``app.kubernetes.io/part-of``.
        """
        self.environment = environment
        self.name = name
        self.location = here()
        self.ledger = new_ledger()
        self._components: dict[str, Component] = {}
        if problem := validation.dns_label(name):
            self.ledger.report("system", problem)
        for location, problem in environment.mistakes():
            self.ledger.report(f"environment {environment.name}", problem, location)

    @property
    def components(self) -> tuple[Component, ...]:
        """The components, in the order of their declaration."""
        return tuple(self._components.values())

    def component(self, name: str) -> Component:
        """Return a component by its id.

        Raises:
            KeyError: There is no such component.
        """
        try:
            return self._components[name]
        except KeyError:
            raise KeyError(f'no component "{name}"; {nearest(name, self._components)}') from None

    def register(self, component: Component) -> None:
        """Take in a component; called by its constructor."""
        known = self._components.get(component.id)
        if known is not None:
            self.ledger.report(
                component.id,
                f"the id is taken by the component declared at {known.location.relative_to(None)}; ids are unique.",
                component.location,
            )
            return
        if component.id == self.name:
            self.ledger.report(
                component.id, "a component cannot have the name of its system: that is the root Application."
            )
        for other in self._components.values():
            if other.namespace_name == component.namespace_name:
                self.ledger.report(
                    component.id,
                    f'the namespace "{component.namespace_name}" already belongs to {other.id}: a namespace has one '
                    f"owner. Choose another, or declare the workload inside of {other.id}.",
                    component.location,
                )
        self._components[component.id] = component
