"""A real Alertmanager takes the routes, sends by severity, and is silent about what a worse alert says already."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import free_port
from systems import empty

from constructs_lib import (
    ExternalSecrets,
    Microservice,
    Monitoring,
    Nodejs,
    Slack,
    Webhook,
    supplied,
)
from constructs_lib.derive.graph import Graph
from constructs_lib.derive.manifests import component_manifests
from constructs_lib.kubernetes.manifest import Manifest

SERVER, TOOL = "/usr/bin/prometheus-alertmanager", "/usr/bin/amtool"


def objects(**arguments: Any) -> list[Manifest]:
    """Return the objects of the monitoring of a small system."""
    system = empty("laptop", nodes=1)
    ExternalSecrets(system, version="2.9.0")
    monitoring = Monitoring(system, version="88.5.3", storage="2Gi", retention_days=2, **arguments)
    Microservice(system, "web", image="example/web:1.0.0", ports={"http": 8080}, telemetry=Nodejs())
    return component_manifests(monitoring, Graph(system))


def config(found: list[Manifest]) -> Manifest:
    """Return the AlertmanagerConfig."""
    [manifest] = [manifest for manifest in found if manifest["kind"] == "AlertmanagerConfig"]
    return manifest


def native(manifest: Manifest, address: str) -> dict[str, Any]:
    """Return an AlertmanagerConfig as the operator writes it for Alertmanager, with every secret address the same.

    The waits are a second, for the test's sake.
    """
    spec = manifest["spec"]

    def matchers(found: list[Mapping[str, str]]) -> list[str]:
        return [f'{matcher["name"]}{matcher["matchType"]}"{matcher["value"]}"' for matcher in found]

    def receiver(found: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {"name": found["name"]}
        if "webhookConfigs" in found:
            result["webhook_configs"] = [
                {"url": address, "send_resolved": webhook["sendResolved"]} for webhook in found["webhookConfigs"]
            ]
        if "slackConfigs" in found:
            result["slack_configs"] = [
                {
                    "api_url": address,
                    "channel": slack["channel"],
                    "title": slack["title"],
                    "title_link": slack["titleLink"],
                    "text": slack["text"],
                    "send_resolved": slack["sendResolved"],
                }
                for slack in found["slackConfigs"]
            ]
        return result

    route = spec["route"]
    return {
        "route": {
            "receiver": route["receiver"],
            "group_by": route["groupBy"],
            "group_wait": "1s",
            "group_interval": "1s",
            "repeat_interval": route["repeatInterval"],
            "routes": [
                {
                    "receiver": inner["receiver"],
                    "matchers": matchers(inner["matchers"]),
                    "repeat_interval": inner["repeatInterval"],
                }
                for inner in route["routes"]
            ],
        },
        "receivers": [receiver(found) for found in spec["receivers"]],
        "inhibit_rules": [
            {
                "source_matchers": matchers(rule["sourceMatch"]),
                "target_matchers": matchers(rule["targetMatch"]),
                "equal": rule["equal"],
            }
            for rule in spec["inhibitRules"]
        ],
    }


class Told(HTTPServer):
    """What was sent, as ``(path, body)``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[Mapping[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Told)
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def told() -> Iterator[Told]:
    """A server that remembers what it is sent."""
    server = Told()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Alertmanager:
    """A real Alertmanager on the loopback interface."""

    def __init__(self, configuration: Mapping[str, Any], folder: Path) -> None:
        if not shutil.which(SERVER) or not shutil.which(TOOL):
            pytest.skip("Debian's prometheus-alertmanager is not installed")
        file = folder / "alertmanager.yml"
        file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        subprocess.run([TOOL, "check-config", file], check=True, capture_output=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        options = [f"--config.file={file}", f"--storage.path={folder}", "--cluster.listen-address="]
        options.append(f"--web.listen-address={self.url.removeprefix('http://')}")
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen([SERVER, *options], stdout=log, stderr=log)
        for _ in range(100):
            with suppress(OSError):
                self.get("/-/ready")
                return
            time.sleep(0.1)
        self.close()
        pytest.fail((folder / "log").read_text())

    def get(self, path: str) -> str:
        """Return what is at a path."""
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            return str(response.read().decode())

    def fire(self, *alerts: Mapping[str, str]) -> None:
        """Let alerts with these labels fire."""
        body = [
            {"labels": labels, "annotations": {"summary": "s", "description": "d", "runbook_url": "https://r.invalid"}}
            for labels in alerts
        ]
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5):
            pass

    def states(self) -> dict[str, str]:
        """Return the state of every alert by its name."""
        alerts = json.loads(self.get("/api/v2/alerts"))
        return {alert["labels"]["alertname"]: alert["status"]["state"] for alert in alerts}

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def _until(condition: Any) -> None:
    for _ in range(100):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("it did not happen within 10 seconds")


def test_each_severity_reaches_its_receiver(told: Told, tmp_path: Path) -> None:
    receivers = {"critical": Webhook(supplied("pager")), "warning": Slack("#ops", supplied("chat"))}
    address = f"http://127.0.0.1:{told.server_port}/"
    configuration = native(config(objects(receivers=receivers)), address)
    with closing(Alertmanager(configuration, tmp_path)) as server:
        server.fire(
            {"alertname": "A", "severity": "critical", "namespace": "n"},
            {"alertname": "B", "severity": "warning", "namespace": "n"},
            {"alertname": "Watchdog", "severity": "none"},
        )
        _until(lambda: len(told.bodies) >= 2)
        time.sleep(1.5)
    pages = [body for body in told.bodies if "alerts" in body]
    chats = [body for body in told.bodies if "attachments" in body]
    assert [body["receiver"] for body in pages] == ["critical"]
    assert [alert["labels"]["alertname"] for body in pages for alert in body["alerts"]] == ["A"]
    [chat] = chats
    assert chat["channel"] == "#ops"
    assert chat["attachments"][0]["title"] == "[FIRING] B (warning)"
    assert chat["attachments"][0]["title_link"] == "https://r.invalid"
    assert len(told.bodies) == 2


def test_the_watchdog_is_called_beside_the_others(told: Told, tmp_path: Path) -> None:
    """As long as it fires: its end is silence."""
    found = config(objects(watchdog=Webhook(supplied("silence")), receivers={"critical": Webhook(supplied("pager"))}))
    with closing(Alertmanager(native(found, f"http://127.0.0.1:{told.server_port}/"), tmp_path)) as server:
        server.fire({"alertname": "Watchdog", "severity": "none"}, {"alertname": "A", "severity": "critical"})
        _until(lambda: len(told.bodies) >= 2)
    heard = {body["receiver"]: [alert["labels"]["alertname"] for alert in body["alerts"]] for body in told.bodies}
    assert heard == {"watchdog": ["Watchdog"], "critical": ["A"]}
    route = found["spec"]["route"]["routes"][0]
    assert (route["receiver"], route["groupInterval"], route["repeatInterval"]) == ("watchdog", "1m", "5m")
    [watchdog] = [entry for entry in found["spec"]["receivers"] if entry["name"] == "watchdog"]
    assert [each["sendResolved"] for each in watchdog["webhookConfigs"]] == [False]


def test_nobody_is_told_by_default(tmp_path: Path) -> None:
    found = objects()
    assert all(set(receiver) == {"name"} for receiver in config(found)["spec"]["receivers"])
    with closing(Alertmanager(native(config(found), "unused"), tmp_path)) as server:
        server.fire({"alertname": "A", "severity": "critical"})
        assert server.states() == {"A": "active"}


@pytest.mark.parametrize(
    ("worse", "lesser", "same"),
    [
        ("AvailabilityBurningFast", "AvailabilityBurningSlow", {"namespace": "n", "service": "s"}),
        ("LatencyBurningFast", "LatencyBurningSlow", {"namespace": "n", "service": "s"}),
        ("WorkloadUnavailable", "WorkloadDegraded", {"namespace": "n", "workload": "w"}),
        ("VolumeAlmostFull", "VolumeFilling", {"namespace": "n", "persistentvolumeclaim": "v"}),
    ],
)
def test_the_worse_alert_silences_the_lesser(tmp_path: Path, worse: str, lesser: str, same: dict[str, str]) -> None:
    with closing(Alertmanager(native(config(objects()), "unused"), tmp_path)) as server:
        server.fire(
            {"alertname": worse, "severity": "critical", **same},
            {"alertname": lesser, "severity": "warning", **same},
        )
        _until(lambda: server.states() == {worse: "active", lesser: "suppressed"})
        server.fire({"alertname": lesser, "severity": "warning", **same, "namespace": "other"})
        _until(
            lambda: "active" in json.loads(server.get("/api/v2/alerts?filter=namespace=other"))[0]["status"].values()
        )


def test_names_that_are_silenced_are_those_of_alerts() -> None:
    found = objects()
    rules = [rule for manifest in found if manifest["kind"] == "PrometheusRule" for rule in _rules(manifest)]
    severities = {rule["alert"]: rule["labels"]["severity"] for rule in rules if "alert" in rule}
    requests = {"AvailabilityBurningFast", "AvailabilityBurningSlow", "LatencyBurningFast", "LatencyBurningSlow"}
    for rule in config(found)["spec"]["inhibitRules"]:
        worse, lesser = rule["sourceMatch"][0]["value"], rule["targetMatch"][0]["value"]
        if worse not in requests:
            assert (severities[worse], severities[lesser]) == ("critical", "warning")


def _rules(manifest: Manifest) -> list[Mapping[str, Any]]:
    return [rule for group in manifest["spec"]["groups"] for rule in group["rules"]]


def test_address_is_a_secret_that_is_named() -> None:
    found = objects(receivers={"critical": Webhook(supplied("pager"))})
    receiver = next(entry for entry in config(found)["spec"]["receivers"] if entry["name"] == "critical")
    [webhook] = receiver["webhookConfigs"]
    assert webhook["urlSecret"] == {"name": "monitoring", "key": "critical-receiver"}
    [secret] = [manifest for manifest in found if manifest["kind"] == "ExternalSecret"]
    assert "critical-receiver" in [entry["secretKey"] for entry in secret["spec"]["data"]]


def test_alertmanager_may_call_out_only_if_somebody_is_to_be_told() -> None:
    def egress(found: list[Manifest]) -> list[Any]:
        [policy] = [
            manifest
            for manifest in found
            if manifest["kind"] == "NetworkPolicy" and manifest["metadata"]["name"] == "alertmanager"
        ]
        return list(policy["spec"].get("egress", []))

    assert egress(objects()) == []
    [rule] = egress(objects(receivers={"critical": Webhook(supplied("pager"))}))
    assert rule["to"][0]["ipBlock"]["cidr"] == "0.0.0.0/0"
    assert rule["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert egress(objects(watchdog=Webhook(supplied("silence")))) == [rule]
