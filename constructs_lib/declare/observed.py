"""What a kind of workload shows and alerts on: the defaults, which a kind overrides as far as it has more to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from constructs_lib.declare.queue import Queue
from constructs_lib.declare.role import Role
from constructs_lib.grafana import panels
from constructs_lib.grafana.model import Dashboard, Panel
from constructs_lib.prometheus import rules
from constructs_lib.prometheus.rules import Group, one_of
from constructs_lib.user_error import UserError

_DASHBOARD = "dashboard.yaml"


def own(workloads: Sequence[Observed]) -> str:
    """Return the matchers of the metrics of workloads.

    The monitors of the library give all that they scrape the name of the workload as the label ``service``.
    """
    names = one_of(sorted({workload.name for workload in workloads}))
    return f"{in_namespaces(workloads)}, service{names}"


def in_namespaces(workloads: Sequence[Observed]) -> str:
    """Return the matcher of the namespaces of workloads."""
    return f"namespace{one_of(sorted({workload.namespace_name for workload in workloads}))}"


class Observed:
    """The part of a workload that is about Prometheus, Grafana and pictures.

    A kind with metrics names a :attr:`folder`. What stands there is shown and alerted on in every system that has
    ``Monitoring``:

    - ``dashboard.yaml``: its dashboard, and its panel on the overview (:mod:`constructs_lib.grafana.panels`);
    - ``alerts.yaml``: its rules, as Prometheus reads them;
    - ``runbooks/<alert>.md``: what to do about each alert.

    In both files ``$own`` stands for the matchers of the workloads that they are about, and what :meth:`placeholders`
    adds for that. Whoever needs more overrides the methods.
    """

    name: str
    namespace_name: str
    holds_data: bool

    #: Where ``dashboard.yaml``, ``alerts.yaml`` and ``runbooks`` of the kind are; None if it has none of them.
    folder: ClassVar[Path | None] = None
    #: Whether its pods come and go by themselves, so that dashboards say nothing of them.
    transient: ClassVar[bool] = False
    #: Exchanges and queues at its message broker that it publishes to and consumes from.
    publishes: Sequence[str] = ()
    consumes: Sequence[str] = ()
    #: The queues with what they are bound to, those among them that the broker names.
    queues: Sequence[Queue] = ()

    @property
    def own_metrics(self) -> frozenset[str]:
        """Metrics that others of its kind may have under other names, such as those of its agent. Default: none."""
        return frozenset()

    @property
    def measured_by(self) -> str:
        """In words, whose agents count the requests that it serves. Default: empty, for what serves none."""
        return ""

    @property
    def role(self) -> Role:
        """What it is for. Default: a data store if it holds data, else a service."""
        return Role.STORE if self.holds_data else Role.SERVICE

    @property
    def container(self) -> str:
        """Name of the container that does the work. Default: that of the workload."""
        return self.name

    @property
    def is_measured(self) -> bool:
        """Whether it serves metrics."""
        raise NotImplementedError

    @property
    def dashboard_name(self) -> str:
        """Name of the dashboard that shows it, a part of its address; workloads with the same name share one.

        Empty for none. Default: one for all workloads of the kind that are measured, by the title that it has.
        """
        file = self._file(_DASHBOARD)
        return f"all-{panels.title(file).lower().replace(' ', '-')}" if file and self.is_measured else ""

    @classmethod
    def placeholders(cls, workloads: Sequence[Self]) -> dict[str, str | float | None]:
        """Return what the placeholders of the kind's files stand for, when they are about some workloads.

        Default: ``$own``, the matchers of their own metrics, and ``$stateful_sets``, those of their StatefulSets in the
        namespace that is chosen on the dashboard.
        """
        names = one_of(sorted({workload.name for workload in workloads}))
        return {"own": own(workloads), "stateful_sets": f'namespace="$namespace", statefulset{names}'}

    @classmethod
    def dashboard(cls, workloads: Sequence[Self]) -> Dashboard:
        """Return the dashboard that some workloads share, all but its last row, which is about their pods.

        Default: what ``dashboard.yaml`` says.

        Raises:
            UserError: There is no such file, or it is written wrongly.
        """
        file = cls._file(_DASHBOARD)
        if file is None:
            raise UserError(f"{type(workloads[0]).__name__} names a dashboard and has no {_DASHBOARD} in its folder.")
        return panels.dashboard(file, cls.placeholders(workloads))

    @classmethod
    def rules(cls, workloads: Sequence[Self]) -> Group | None:
        """Return the recording rules and alerts about some workloads that are measured; None for none.

        Default: what ``alerts.yaml`` says.
        """
        file = cls._file("alerts.yaml")
        return rules.rules(file, cls.placeholders(workloads)) if file else None

    def signals(self) -> Sequence[Panel]:
        """Return its traffic, errors, latency and saturation for the overview, one query each; none if it is unknown.

        Default: the ``signals`` of ``dashboard.yaml``.
        """
        file = self._file(_DASHBOARD)
        return panels.signals(file, self.placeholders([self])) if file and self.is_measured else ()

    def business(self) -> Sequence[Panel]:
        """Return what the overview shows of what people do by means of this workload. Default: nothing."""
        return ()

    def panels_for(self, client: Observed) -> Sequence[Panel]:
        """Return what the dashboard of a client shows of this workload. Default: nothing."""
        return ()

    @classmethod
    def _file(cls, name: str) -> Path | None:
        return file if cls.folder is not None and (file := cls.folder / name).exists() else None
