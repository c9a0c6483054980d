"""External Secrets Operator, and the store from which it reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.chart import CLUSTER_RBAC, RBAC, PodAccess, named
from constructs_lib.declare.system import System
from constructs_lib.kinds.helm_chart.construct import HelmChart, merged
from constructs_lib.kubernetes.manifest import manifest
from constructs_lib.template import Template

_VALUES = Path(__file__).parent / "values.yaml"
_READER = "secret-store-reader"


class ExternalSecrets(HelmChart):
    """External Secrets Operator by its chart, and a ClusterSecretStore over the namespace that the bootstrap fills.

    The store serves the namespaces of this system alone, and its account may read that one namespace alone.
    """

    brings = ("external-secrets",)

    @checked
    def __init__(
        self, scope: System, id: str = "external-secrets", *, version: str, values: Mapping[str, Any] | None = None
    ) -> None:
        """Declare the operator.

        Args:
            scope: The system.
            id: Its name. Default ``external-secrets``.
            version: Version of the chart; the values were checked against 2.9.0.
            values: Further values, over the library's own.
        """
        super().__init__(
            scope,
            id,
            repository="https://charts.external-secrets.io",
            chart="external-secrets",
            version=version,
            values=merged(Template(_VALUES, {}).whole(), values),
            kinds=(*named("", "ServiceAccount"), *named("apps", "Deployment"), *RBAC),
            cluster_kinds=(*named("apiextensions.k8s.io", "CustomResourceDefinition"), *CLUSTER_RBAC),
            other_namespaces=(scope.environment.secret_store_namespace,),
            access=(
                PodAccess("external-secrets", {"app.kubernetes.io/name": "external-secrets"}, kubernetes_api=True),
            ),
        )

    def late_manifests(self, waves: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """Yield the store and the account that reads for it."""
        store = self.system.environment.secret_store_namespace
        labels = {"app.kubernetes.io/name": _READER, "app.kubernetes.io/part-of": self.system.name}
        account = {"name": _READER, "namespace": self.namespace_name}
        yield manifest("v1", "ServiceAccount", _READER, self.namespace_name, labels, automountServiceAccountToken=False)
        entries = sorted(
            {reference.component for component in self.system.components for reference in component.secrets.values()}
        )
        yield manifest(
            "rbac.authorization.k8s.io/v1",
            "Role",
            _READER,
            store,
            labels,
            # By name, so that nothing else in the store can be read. An empty list of names would mean all Secrets.
            rules=[{"apiGroups": [""], "resources": ["secrets"], "resourceNames": entries, "verbs": ["get"]}]
            if entries
            else [],
        )
        yield manifest(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            _READER,
            store,
            labels,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": _READER},
            subjects=[{"kind": "ServiceAccount", **account}],
        )
        yield manifest(
            "external-secrets.io/v1",
            "ClusterSecretStore",
            store,
            None,
            labels,
            spec={
                "conditions": [
                    {
                        "namespaces": sorted(
                            component.namespace_name for component in self.system.components if component.secrets
                        )
                    }
                ],
                "provider": {
                    "kubernetes": {
                        "remoteNamespace": store,
                        "server": {
                            "url": "https://kubernetes.default.svc",
                            "caProvider": {
                                "type": "ConfigMap",
                                "name": "kube-root-ca.crt",
                                "key": "ca.crt",
                                "namespace": self.namespace_name,
                            },
                        },
                        "auth": {"serviceAccount": account},
                    }
                },
            },
        )
