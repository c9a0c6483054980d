"""Who is told about an alert, by its severity; alerts that belong together are told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.observe import catalogue

if TYPE_CHECKING:
    from constructs_lib.kinds.monitoring.construct import Monitoring

#: After how long somebody is told again of an alert that still fires.
_REPEATED = {"critical": "1h", "warning": "1d"}


def alertmanager_config(monitoring: Monitoring) -> Manifest:
    """Return the tree of routes; a severity without a receiver is grouped and shown, and notifies nobody.

    https://prometheus-operator.dev/docs/developer/alerting/#alertmanagerconfig-resource
    """
    receivers: list[dict[str, Any]] = [{"name": "nobody"}]
    for severity in _REPEATED:
        receiver: dict[str, Any] = {"name": severity}
        if declared := monitoring.receivers.get(severity):
            key = monitoring.receiver_keys[severity]
            receiver |= declared.manifest({"name": monitoring.id, "key": key})
        receivers.append(receiver)
    return manifest(
        "monitoring.coreos.com/v1alpha1",
        "AlertmanagerConfig",
        "severity",
        monitoring.namespace_name,
        {"app.kubernetes.io/part-of": monitoring.system.name},
        spec={
            "route": {
                "receiver": "nobody",
                "groupBy": ["alertname", "namespace", "service"],
                "groupWait": "30s",
                "groupInterval": "5m",
                "repeatInterval": "12h",
                "routes": [
                    {
                        "receiver": severity,
                        "matchers": [{"name": "severity", "value": severity, "matchType": "="}],
                        "repeatInterval": repeated,
                    }
                    for severity, repeated in _REPEATED.items()
                ],
            },
            "receivers": receivers,
            "inhibitRules": [
                {
                    "sourceMatch": [{"name": "alertname", "value": rule.source, "matchType": "="}],
                    "targetMatch": [{"name": "alertname", "value": rule.target, "matchType": "="}],
                    "equal": list(rule.equal),
                }
                for group in catalogue.groups(monitoring.system)
                for rule in group.inhibitions
            ],
        },
    )
