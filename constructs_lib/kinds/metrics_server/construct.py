"""metrics-server, for clusters that come without a metrics API."""

from collections.abc import Mapping
from typing import Any

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.chart import CLUSTER_RBAC, PodAccess, named
from constructs_lib.declare.system import System
from constructs_lib.kinds.helm_chart.construct import HelmChart, merged

_RESOURCES = {"requests": {"cpu": "100m", "memory": "200Mi"}, "limits": {"memory": "400Mi"}}


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
        super().__init__(
            scope,
            id,
            repository="https://kubernetes-sigs.github.io/metrics-server",
            chart="metrics-server",
            version=version,
            values=merged({"resources": _RESOURCES}, values),
            kinds=(
                *named("", "Service", "ServiceAccount"),
                *named("apps", "Deployment"),
                *named("rbac.authorization.k8s.io", "RoleBinding"),
            ),
            cluster_kinds=(*named("apiregistration.k8s.io", "APIService"), *CLUSTER_RBAC),
            # The RoleBinding for extension-apiserver-authentication has to be in kube-system.
            other_namespaces=("kube-system",),
            access=(
                PodAccess(
                    "metrics-server",
                    {"app.kubernetes.io/name": "metrics-server"},
                    kubernetes_api=True,
                    from_kubernetes_api=(10250,),
                    to_nodes=(10250,),
                ),
            ),
        )
