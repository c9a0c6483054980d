"""Whether what resources of the Prometheus operator name is there: accounts, Alertmanagers, Secrets and ConfigMaps.

https://prometheus-operator.dev/docs/api-reference/api/
"""

from collections.abc import Iterator

from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.monitors import OPERATOR_GROUP
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.kubernetes.manifest import entries, inner

_CODE = "operator-reference-missing"


def prove_operated(model: ClusterModel) -> Iterator[Finding]:
    """Yield what they name and is not there."""
    named: list[tuple[str, str, str, object]]
    for item in model.kind("Alertmanager", "Prometheus", "PrometheusAgent", "ThanosRuler"):
        if item.group != OPERATOR_GROUP:
            continue
        named = [("spec.serviceAccountName", "ServiceAccount", item.namespace, item.spec.get("serviceAccountName"))]
        for at, each in entries(inner(item.spec, "alerting", "alertmanagers"), "spec.alerting.alertmanagers"):
            named.append((f"{at}.name", "Service", str(each.get("namespace") or item.namespace), each.get("name")))
        for field, kind in (("configSecret", "Secret"), ("secrets", "Secret"), ("configMaps", "ConfigMap")):
            value = item.spec.get(field)
            for name in value if isinstance(value, list) else [value]:
                named.append((f"spec.{field}", kind, item.namespace, name))
        for field in ("additionalScrapeConfigs", "additionalAlertManagerConfigs", "additionalAlertRelabelConfigs"):
            if inner(item.spec, field, "optional") is not True:
                named.append((f"spec.{field}.name", "Secret", item.namespace, inner(item.spec, field, "name")))
        for at, kind, namespace, name in named:
            known = model.names(kind, namespace)
            if kind == "Secret":
                known = known | model.once(SecretSources).names(namespace)
            if isinstance(name, str) and name and name not in known and model.lacks(kind, namespace, name):
                yield Finding.missing(_CODE, item, at, kind, name, known, namespace)
