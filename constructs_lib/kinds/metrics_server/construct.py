"""metrics-server, for clusters that come without a metrics API."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.system import System
from constructs_lib.kinds.helm_chart.construct import HelmChart, described, merged, release_names
from constructs_lib.template import Template

_HERE = Path(__file__).parent


class MetricsServer(HelmChart):
    """metrics-server by its chart: what autoscalers and ``kubectl top`` read."""

    brings = ("metrics-api",)

    @checked
    def __init__(
        self, scope: System, id: str = "metrics-server", *, version: str, values: Mapping[str, Any] | None = None
    ) -> None:
        """Declare the server.

        Args:
            scope: The system.
            id: Its name. Default ``metrics-server``.
            version: Version of the chart; the values were checked against 3.13.1.
            values: Further values, over the library's own.
        """
        own = merged(Template(_HERE / "values.yaml", {}).whole(), values)
        names = {
            "roles": [*release_names(id, own, "system:{}"), "system:metrics-server-aggregated-reader"],
            "bindings": [*release_names(id, own, "system:{}"), *release_names(id, own, "{}:system:auth-delegator")],
        }
        super().__init__(scope, id, version=version, values=own, **described(_HERE, **names))
