"""Reloader, which restarts programs whose secrets changed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.chart import ChartSource
from constructs_lib.declare.system import System
from constructs_lib.kinds.helm_chart.construct import HelmChart, described, merged
from constructs_lib.kubernetes.manifest import inner
from constructs_lib.template import Template

_HERE = Path(__file__).parent


class Reloader(HelmChart):
    """Reloader by its chart: a changed Secret restarts the programs that read it, as their rollouts go.

    Programs read secrets when they start. It notes the change in an annotation of the pods' template, and Kubernetes
    replaces the pods one by one; Jobs, which bring passwords into data stores, run again. It watches the namespaces of
    the components with secrets, and each of these grants it what it needs there; elsewhere it may do nothing.

    https://github.com/stakater/Reloader
    """

    brings = ("reloader",)

    @checked
    def __init__(
        self, scope: System, id: str = "reloader", *, version: str, values: Mapping[str, Any] | None = None
    ) -> None:
        """Declare the controller.

        Args:
            scope: The system.
            id: Its name. Default ``reloader``.
            version: Version of the chart; the values were checked against 2.2.16, and namespaces can be named since
                2.2.15.
            values: Further values, over the library's own.
        """
        super().__init__(scope, id, version=version, values=values, **described(_HERE))
        if "reloader" in scope.environment.cluster.provides:
            self.report('the cluster brings a Reloader already, with provides=("reloader",); one is enough.')
        account = inner(self._whole_values(), "reloader", "serviceAccount")
        self.restarts_as = str(account.get("name") or "") if isinstance(account, Mapping) else ""

    def _whole_values(self) -> dict[str, Any]:
        watched = [component.namespace_name for component in self.system.components if component.restarts]
        placeholders = {"id": self.id, "namespaces": sorted({*watched})}
        return merged(Template(_HERE / "values.yaml", placeholders).whole(), self.values)

    @property
    def chart_source(self) -> ChartSource:
        """The chart that Argo CD renders, with the namespaces of the whole declaration."""
        return replace(super().chart_source, values=self._whole_values())
