"""Who is told about alerts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.declare.calls import explained
from constructs_lib.declare.secret import Secret
from constructs_lib.text import shown


@explained
@dataclass(frozen=True)
class Webhook:
    """An HTTPS address that is sent Alertmanager's JSON, as most services for people on call take it.

    https://prometheus.io/docs/alerting/latest/configuration/#webhook_config

    Attributes:
        url: The address, which is a secret: who knows it can send alerts.
        host: The host in it, so that Alertmanager may call no other where the cluster provides ``cilium``.
            Default: any.
    """

    url: Secret
    host: str = ""

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the receiver."""
        yield from _host_problems(self.host)

    def manifest(self, secret: dict[str, str]) -> dict[str, Any]:
        """Return its part of an AlertmanagerConfig, with the name and key of the Secret that has the address."""
        return {"webhookConfigs": [{"urlSecret": secret, "sendResolved": True}]}


@explained
@dataclass(frozen=True)
class Slack:
    """A channel of Slack, or of what understands its incoming webhooks.

    https://prometheus.io/docs/alerting/latest/configuration/#slack_config

    Attributes:
        channel: Name of the channel, such as ``#on-call``.
        url: The address of the incoming webhook, which is a secret.
        host: The host in it, such as ``hooks.slack.com``, as for :class:`Webhook`. Default: any.
    """

    channel: str
    url: Secret
    host: str = ""

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with the receiver."""
        if not re.fullmatch(r"[#@]?[\w.-]{1,80}", self.channel):
            yield f'{shown(self.channel)} is no channel; write it like "#on-call".'
        yield from _host_problems(self.host)

    def manifest(self, secret: dict[str, str]) -> dict[str, Any]:
        """Return its part of an AlertmanagerConfig, with the name and key of the Secret that has the address."""
        each = '{{ if eq .Status "resolved" }}Over: {{ end }}{{ .Annotations.summary }} {{ .Annotations.description }}'
        return {
            "slackConfigs": [
                {
                    "apiURL": secret,
                    "channel": self.channel,
                    "sendResolved": True,
                    "title": "[{{ .Status | toUpper }}] {{ .CommonLabels.alertname }} ({{ .CommonLabels.severity }})",
                    "titleLink": "{{ .CommonAnnotations.runbook_url }}",
                    "text": f"{{{{ range .Alerts }}}}{each}\n{{{{ end }}}}",
                }
            ]
        }


def _host_problems(host: str) -> Iterator[str]:
    if host and (problem := validation.host_name(host)):
        yield f"host: {problem}"


Receiver = Webhook | Slack
