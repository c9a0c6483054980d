"""External Secrets Operator, which reads each component's secrets as that component."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constructs_lib.declare.arguments import checked
from constructs_lib.declare.system import System
from constructs_lib.kinds.helm_chart.construct import HelmChart, described, merged, release_names
from constructs_lib.template import Template

_HERE = Path(__file__).parent


class ExternalSecrets(HelmChart):
    """External Secrets Operator by its chart.

    It processes no store that serves several namespaces: each component with secrets has a SecretStore of its own, and
    an account that may read that component's values alone.
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
        super().__init__(scope, id, version=version, values=own, **described(_HERE, names=release_names(id, own)))
        account = own["serviceAccount"]
        self.reads_secrets_as = str(account.get("name") or "") if isinstance(account, Mapping) else ""
