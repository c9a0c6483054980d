"""External Secrets Operator, and the store from which it reads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.system import System
from constructs_lib.kinds.helm_chart.construct import HelmChart, described, merged, release_names
from constructs_lib.template import Template

_HERE = Path(__file__).parent


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
        own = merged(Template(_HERE / "values.yaml", {}).whole(), values)
        store = scope.environment.secret_store_namespace
        super().__init__(
            scope, id, version=version, values=own, **described(_HERE, store=store, names=release_names(id, own))
        )

    def late_manifests(self, waves: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """Yield the store and the account that reads for it."""
        components = [component for component in self.system.components if component.secrets]
        # By name, so that nothing else in the store can be read. An empty list of names would mean all Secrets.
        names = sorted({reference.component for each in components for reference in each.secrets.values()})
        rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]}
        values = {
            "own_namespace": self.namespace_name,
            "store": self.system.environment.secret_store_namespace,
            "system": self.system.name,
            "rules": [rule] if names else [],
            "namespaces": sorted(component.namespace_name for component in components),
        }
        yield from Template(_HERE / "store.yaml", values).whole().values()
