"""Prometheus, Alertmanager and Grafana, by the chart kube-prometheus-stack."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.arguments import checked
from constructs_lib.declare.environment import GitRepository
from constructs_lib.declare.secret import SecretReference, generated
from constructs_lib.declare.system import System
from constructs_lib.grafana.model import FOLDER_ANNOTATION
from constructs_lib.kinds.helm_chart.construct import HelmChart, described, merged, release_names
from constructs_lib.kinds.monitoring.receiver import Receiver, Webhook
from constructs_lib.kubernetes import pod
from constructs_lib.kubernetes.manifest import Manifest, manifest
from constructs_lib.kubernetes.quantity import parse_quantity, quantity_problem
from constructs_lib.prometheus.rules import Group
from constructs_lib.template import Template
from constructs_lib.text import nearest, shown

_HERE = Path(__file__).parent
#: By the severity of an alert, after how long somebody is told again of one that still fires: a critical one wakes
#: somebody up, a warning waits for the morning.
_REPEATED = {"critical": "1h", "warning": "1d"}
#: The chart's alert that always fires, and how often that is sent on: who is to be told of silence must hear something.
_WATCHDOG, _WATCHDOG_EVERY = "Watchdog", "5m"
#: Values of the chart under which that alert is not there.
_WITHOUT_WATCHDOG = (
    (("create",), False),
    (("rules", "general"), False),
    (("disabled", _WATCHDOG), True),
)
#: The port of every node at which node-exporter listens: not the usual 9100, so that it starts beside one that is there
#: already. That may be one of before, in the namespace of Grafana: Argo CD deletes it only once the new one is healthy
#: (PruneLast), which it would never become while the old one holds its port.
_NODE_PORT = 9101


def _runbooks(repository: GitRepository) -> str:
    """Return where a repository shows its folder ``docs/runbooks``, as GitHub, GitLab and Gitea do."""
    url = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", repository.url).removesuffix(".git")
    host = url.partition("://")[2].partition("/")[0]
    folder = posixpath.join(repository.path, "docs/runbooks")
    if "gitlab" in host:
        return f"{url}/-/blob/{repository.branch}/{folder}"
    if "gitea" in host or "codeberg" in host or "forgejo" in host:
        return f"{url}/src/branch/{repository.branch}/{folder}"
    return f"{url}/blob/{repository.branch}/{folder}"


def _retention_size(storage: str) -> str:
    """Return four fifths of a volume, which leaves room for the write-ahead log and compactions.

    https://prometheus.io/docs/prometheus/latest/storage/#right-sizing-retention-size
    """
    try:
        return f"{int(parse_quantity(storage) * 4 / 5 / 2**20)}MB"
    except ValueError:
        # The constructor has reported it.
        return "1MB"


class Monitoring(HelmChart):
    """kube-prometheus-stack. Prometheus scrapes the cluster and every metrics endpoint of the system."""

    holds_data = True

    @checked
    def __init__(
        self,
        scope: System,
        id: str = "monitoring",
        *,
        storage: str,
        retention_days: int,
        version: str,
        receivers: Mapping[str, Receiver] | None = None,
        watchdog: Webhook | None = None,
        runbooks: str | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Declare the stack.

        Args:
            scope: The system.
            id: Its name. Default ``monitoring``.
            storage: Size of Prometheus' volume, such as ``20Gi``.
            retention_days: Days of history.
            version: Version of the chart; the values were checked against 88.5.3.
            receivers: Who is told about alerts, by severity, ``critical`` and ``warning``, such as
                ``{"critical": Webhook(supplied("…"))}``.
                Default: nobody; Alertmanager and Grafana show them.
            watchdog: Address that is called every five minutes as long as Prometheus and Alertmanager work, of a
                service outside of the cluster that tells somebody when the calls stop (a dead man's switch). Default:
                none, and nobody is told when monitoring itself stops.
            runbooks: Address of the folder in which the alerts' runbooks can be read. Default: ``docs/runbooks`` of the
                environment's repository, where ``python app.py observe --docs docs`` writes them.
            values: Further values, over the library's own.
        """
        called_out = [*(receivers or {}).values(), *([watchdog] if watchdog else [])]
        called = [receiver.host for receiver in called_out]
        are_known = all(called) and not any(True for each in called_out for _ in each.problems())
        told = {"receiver_ports": (443,) if called else (), "receiver_hosts": called if are_known else ()}
        names = release_names(id, merged(Template(_HERE / "values.yaml", {}).content, values))
        nodes = {"nodes_namespace": f"{id}-nodes", "node_port": _NODE_PORT}
        super().__init__(scope, id, version=version, **described(_HERE, names=names, **told, **nodes))
        if problem := quantity_problem(storage, "20Gi"):
            self.report(f"storage: {problem}")
        if retention_days < 1:
            self.report(f"retention_days: {retention_days} is no number of days; at least 1 is kept.")
        if problem := validation.chart_values(values or {}):
            self.report(f"values: {problem}")
        self.receivers = dict(receivers or {})
        self.receiver_keys = {
            severity: self.secret_key(SecretReference(self.id, f"{severity}-receiver", receiver.url))
            for severity, receiver in self.receivers.items()
        }
        for severity, receiver in self.receivers.items():
            if severity not in _REPEATED:
                self.report(f"receivers: no alert has the severity {shown(severity)}; {nearest(severity, _REPEATED)}")
            for problem in receiver.problems():
                self.report(f"receivers, {severity}: {problem}")
        self.watchdog = watchdog
        if watchdog:
            address = SecretReference(self.id, "watchdog-receiver", watchdog.url)
            self.receiver_keys["watchdog"] = self.secret_key(address)
            for problem in (*watchdog.problems(), *_watchdog_problems(values or {})):
                self.report(f"watchdog: {problem}")
        if runbooks is not None and not re.fullmatch(r"https?://[^\s/]\S*", runbooks):
            self.report(f'runbooks: {shown(runbooks)} is no address; write it like "https://…".')
        self.runbooks = (runbooks or _runbooks(scope.environment.repository)).rstrip("/")
        login = {"user": "user name of Grafana's administrator", "password": "password of Grafana's administrator"}
        placeholders = {
            **nodes,
            **{
                name: self.secret_key(SecretReference(self.id, f"grafana-{name}", generated(purpose)))
                for name, purpose in login.items()
            },
            "retention_days": retention_days,
            "retention_size": _retention_size(storage),
            "volume_claim": pod.volume_claim(storage, scope.environment.cluster.storage_class),
            "secret": self.id,
            "own_namespace": self.namespace_name,
            "folder_annotation": FOLDER_ANNOTATION,
        }
        own = Template(_HERE / "values.yaml", placeholders).whole()
        if "user-namespaces" in scope.environment.cluster.provides:
            own = merged(own, Template(_HERE / "user_namespaces.yaml", {}).whole())
        self.values = merged(own, values)

    @property
    def tells(self) -> str:
        """Who is told about alerts, and when there are none because monitoring stopped."""
        told = [f"`{severity}` goes to {type(each).__name__}." for severity, each in self.receivers.items()]
        told += [f"Nobody is told about `{severity}`." for severity in _REPEATED if severity not in self.receivers]
        if self.watchdog:
            told.append(
                f"A webhook is called every {_WATCHDOG_EVERY} as long as Prometheus and Alertmanager work; whoever has "
                "it tells when the calls stop."
            )
        else:
            told.append(
                "Nobody is told when monitoring itself stops: no alert can. `Monitoring(…, watchdog=Webhook(…))` calls "
                "a service outside of the cluster, which notices that the calls stop."
            )
        return " ".join(told)

    def late_manifests(self, waves: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        """Yield the monitors, rules, routes and dashboards of the whole system."""
        # Imported here, because it takes long with Grafana's builders, and most commands ask for other components.
        from constructs_lib.observe import catalogue
        from constructs_lib.observe.objects import observability

        yield from observability(self, waves, self.runbooks)
        yield self._alertmanager_config(catalogue.groups(self.system))

    def _alertmanager_config(self, groups: Iterable[Group]) -> Manifest:
        """Return who is told about alerts, by their severity; those that belong together, by the rules, are told once.

        In the tree of routes, a severity without a receiver is grouped and shown, and notifies nobody.
        https://prometheus-operator.dev/docs/developer/alerting/#alertmanagerconfig-resource
        """
        receivers: list[dict[str, Any]] = [{"name": "nobody"}]
        for severity in _REPEATED:
            receiver: dict[str, Any] = {"name": severity}
            if declared := self.receivers.get(severity):
                key = self.receiver_keys[severity]
                receiver |= declared.manifest({"name": self.id, "key": key})
            receivers.append(receiver)
        routes = [
            {
                "receiver": severity,
                "matchers": [{"name": "severity", "value": severity, "matchType": "="}],
                "repeatInterval": repeated,
            }
            for severity, repeated in _REPEATED.items()
        ]
        if self.watchdog:
            [webhook] = self.watchdog.manifest({"name": self.id, "key": self.receiver_keys["watchdog"]})[
                "webhookConfigs"
            ]
            # That it is over would be one call more, once Prometheus is silent.
            receivers.append({"name": "watchdog", "webhookConfigs": [{**webhook, "sendResolved": False}]})
            routes.insert(
                0,
                {
                    "receiver": "watchdog",
                    "matchers": [{"name": "alertname", "value": _WATCHDOG, "matchType": "="}],
                    "groupWait": "0s",
                    "groupInterval": "1m",
                    "repeatInterval": _WATCHDOG_EVERY,
                },
            )
        return manifest(
            "monitoring.coreos.com/v1alpha1",
            "AlertmanagerConfig",
            "severity",
            self.namespace_name,
            {"app.kubernetes.io/part-of": self.system.name},
            spec={
                "route": {
                    "receiver": "nobody",
                    "groupBy": ["alertname", "namespace", "service"],
                    "groupWait": "30s",
                    "groupInterval": "5m",
                    "repeatInterval": "12h",
                    "routes": routes,
                },
                "receivers": receivers,
                "inhibitRules": [
                    {
                        "sourceMatch": [{"name": "alertname", "value": rule.source, "matchType": "="}],
                        "targetMatch": [{"name": "alertname", "value": rule.target, "matchType": "="}],
                        "equal": list(rule.equal),
                    }
                    for group in groups
                    for rule in group.inhibitions
                ],
            },
        )


def _watchdog_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield which values of the chart take the alert away that the watchdog is told of."""
    for path, off in _WITHOUT_WATCHDOG:
        found: Any = values.get("defaultRules")
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        if found is off:
            name = ".".join(("defaultRules", *path))
            yield f"the value {name} takes the chart's alert {_WATCHDOG} away, so that nobody is called; leave it out."
