"""Whether monitors, rules and dashboards are picked up, every endpoint is scraped, and what it gives is kept."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.monitors import OPERATOR_GROUP, Monitor
from constructs_lib.check.observability.metrics import Exposed, Stack
from constructs_lib.kubernetes.bounds import parse_json
from constructs_lib.kubernetes.manifest import inner, mapping, sequence, texts
from constructs_lib.kubernetes.quantity import quantity
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.prometheus.promql import seconds

_KEYS = {"PodMonitor": "podMonitor", "ServiceMonitor": "serviceMonitor", "PrometheusRule": "rule"}
_METRICS_PORT = re.compile(r"(?:[\w-]{1,253}-)?(?:metrics|prometheus|prom)(?:-[\w-]{1,253})?")
#: A lower bound of the bytes that Prometheus writes in a day: kube-prometheus-stack alone has about 100,000 series,
#: which are scraped twice a minute, and a sample takes 1.3 bytes. That is 0.37 GB, of which this is half.
_LEAST_BYTES_A_DAY = 200_000_000
#: https://prometheus.io/docs/prometheus/latest/storage/#right-sizing-retention-size: 80 to 85 % of the volume at most.
_FULL = 0.85
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)i?B")


def prove_selected(model: ClusterModel, exposed: Exposed, rules: Sequence[Object]) -> Iterator[Finding]:
    """Yield the monitors and rules that no Prometheus selects: of those of charts, and those of the tree itself."""
    operated = [item for item in model.kind("Prometheus", "PrometheusAgent") if item.group == OPERATOR_GROUP]
    rulers = [item for item in model.kind("ThanosRuler") if item.group == OPERATOR_GROUP]
    # Without Applications, several of the same name are variants, of which any may be deployed.
    if not (exposed.stacks or operated) or any(map(model.has_several, operated)):
        return
    for item in (*(monitor.item for monitor in exposed.monitors), *rules):
        if item.kind == "PrometheusRule" and rulers:
            continue
        reasons = [
            *(_selected_instead(model, item, stack) for stack in exposed.stacks),
            *(_chosen_instead(model, item, prometheus) for prometheus in operated),
        ]
        if all(reasons):
            yield Finding.of("monitoring-not-selected", item, f"Prometheus selects {reasons[0]}.", at="metadata.labels")


def _chosen_instead(model: ClusterModel, item: Object, prometheus: Object) -> str:
    """Return what a Prometheus of the tree selects instead of an object; empty if it selects the object.

    Without a selector it selects nothing, and without one of namespaces only in its own.
    """
    key, namespaces = _KEYS[item.kind], prometheus.spec.get(f"{_KEYS[item.kind]}NamespaceSelector")
    selector = prometheus.spec.get(f"{key}Selector")
    if not isinstance(selector, dict):
        return f"no {item.kind}s: it has no {key}Selector"
    if not Selector(selector).matches(item.labels):
        return f"{item.kind}s with {Selector(selector)}"
    if not isinstance(namespaces, dict):
        return "" if item.namespace == prometheus.namespace else f"{item.kind}s in {prometheus.namespace} alone"
    if namespaces and not Selector(namespaces).matches(model.namespaces.get(item.namespace, {})):
        return f"{item.kind}s in namespaces with {Selector(namespaces)}"
    return ""


def prove_timeouts(model: ClusterModel, exposed: Exposed) -> Iterator[Finding]:
    """Yield the monitors that the operator refuses: a scrape may not take longer than the time to the next."""
    specs = [stack.prometheus for stack in exposed.stacks]
    specs += [item.spec for item in model.kind("Prometheus") if item.group == OPERATOR_GROUP]
    usual = min((found for spec in specs if (found := seconds(spec.get("scrapeInterval")))), default=None)
    for monitor in exposed.monitors:
        for at, endpoint in monitor.endpoints.items():
            timeout, own = seconds(endpoint.get("scrapeTimeout")), seconds(endpoint.get("interval"))
            # Without any, the operator lets Prometheus scrape every 30 seconds.
            interval = own or usual or 30.0
            if timeout and timeout > interval:
                problem = f"A scrape may take {timeout:g} s, and the next one comes after {interval:g} s."
                yield Finding.of("scrape-timeout-above-interval", monitor.item, problem, at=f"{at}.scrapeTimeout")


def _selected_instead(model: ClusterModel, item: Object, stack: Stack) -> str:
    """Return what a Prometheus selects instead of an object; empty if it selects the object."""
    spec, key = stack.prometheus, _KEYS[item.kind]
    selector = mapping(spec.get(f"{key}Selector"))
    if not selector and spec.get(f"{key}SelectorNilUsesHelmValues", True) is not False:
        selector = {"matchLabels": {"release": stack.release}}
    if not Selector(selector).matches(item.labels):
        return f"{item.kind}s with {Selector(selector)}"
    namespaces = mapping(spec.get(f"{key}NamespaceSelector"))
    if namespaces and not Selector(namespaces).matches(model.namespaces.get(item.namespace, {})):
        return f"{item.kind}s in namespaces with {Selector(namespaces)}"
    return ""


def prove_loaded(model: ClusterModel, dashboards: Sequence[Object], stack: Stack) -> Iterator[Finding]:
    """Yield the ConfigMaps that Grafana's sidecar passes over."""
    if inner(stack.values, "grafana", "enabled") is False:
        return
    sidecar = mapping(inner(stack.values, "grafana", "sidecar", "dashboards"))
    label, value = str(sidecar.get("label", "grafana_dashboard")), str(sidecar.get("labelValue", "1"))
    searched = str(sidecar.get("searchNamespace") or stack.namespace)
    namespaces = {part.strip() for part in searched.split(",")}
    for item in (*dashboards, *_unlabelled(model, dashboards)):
        labels = item.labels
        if sidecar.get("enabled") is False:
            problem = f"The sidecar is not there: Application {stack.application.name} has it disabled."
            yield Finding.of("dashboard-not-loaded", item, problem, at="metadata.labels")
        elif label not in labels or (value and labels[label] != value):
            wanted, own = json.dumps(value), json.dumps(labels.get(label, ""))
            problem = f"The sidecar looks for the label {label}: {wanted}, and this has {own}."
            yield Finding.of("dashboard-not-loaded", item, problem, at=f"metadata.labels.{label}")
        elif searched != "ALL" and item.namespace not in namespaces:
            where = ", ".join(sorted(namespaces))
            problem = f"The sidecar searches in {where}, and this is in {item.namespace}."
            yield Finding.of("dashboard-not-loaded", item, problem, at="metadata.namespace")


def _unlabelled(model: ClusterModel, dashboards: Sequence[Object]) -> Iterator[Object]:
    """Yield the ConfigMaps with a dashboard that lack the label, where no pods and no values mount them."""
    read = {(pods.namespace, each.name) for pods in model.pods for each in pods.references if each.kind == "ConfigMap"}
    for item in model.kind("ConfigMap"):
        data = texts(item.manifest.get("data"))
        is_read = (item.namespace, item.name) in read or model.is_named_by_chart(item.name)
        if item not in dashboards and not is_read and any(map(_is_dashboard, data.items())):
            yield item


def _is_dashboard(file: tuple[str, str]) -> bool:
    name, text = file
    if not name.endswith(".json") or '"panels"' not in text:
        return False
    try:
        content = parse_json(text)
    except ValueError:
        return False
    return isinstance(content, dict) and isinstance(content.get("panels"), list) and "title" in content


def prove_scraped(model: ClusterModel, exposed: Exposed) -> Iterator[Finding]:
    """Yield the pods that offer metrics and that no monitor selects."""
    if not exposed.watches or any(model.by_kind.get(kind) for kind in ("ScrapeConfig", "Probe")):
        return
    scraped: dict[int, set[object]] = defaultdict(set)
    for monitor in exposed.monitors:
        for pods in monitor.pods:
            scraped[id(pods.owner)] |= monitor.container_ports
    # There is a finding about a monitor that selects nothing. Most likely it is the one that these pods lack.
    idle = [monitor for monitor in exposed.monitors if not monitor.pods]
    for pods in model.pods:
        known = scraped.get(id(pods.owner), set())
        if None in known or pods.namespace in model.open_namespaces or _is_meant(idle, pods):
            continue
        declared = [(port.name, port.number) for port in pods.ports]
        if known - {entry for port in declared for entry in port}:
            # There is a finding about an endpoint for a port that does not exist. Most likely it is the missing one.
            continue
        ports = (name for name, number in declared if not {name, number} & known)
        port = next((name for name in ports if _METRICS_PORT.fullmatch(name)), None)
        field = f"{pods.path}.containers"
        annotations = texts(inner(pods.owner.spec, "template", "metadata", "annotations"))
        if port and known:
            problem = f"The PodMonitor of the pods has no endpoint for their port {port}."
        elif port:
            problem = f"No PodMonitor and no ServiceMonitor selects the pods with the port {port}."
        elif not known and annotations.get("prometheus.io/scrape") == "true":
            annotation = "the annotation prometheus.io/scrape is not read by the operator"
            problem, field = f"No monitor selects the pods, and {annotation}.", "spec.template.metadata.annotations"
        else:
            continue
        yield Finding.of("metrics-unscraped", pods.owner, problem, at=field)


def _is_meant(idle: Sequence[Monitor], pods: Pods) -> bool:
    """Tell whether a monitor that selects nothing looks as if it were for these pods."""
    return any(
        monitor.item.name == pods.owner.name
        or pods.namespace == monitor.item.namespace
        or pods.namespace in sequence(inner(monitor.item.spec, "namespaceSelector", "matchNames"))
        for monitor in idle
    )


def prove_kept(model: ClusterModel, exposed: Exposed) -> Iterator[Finding]:
    """Yield what is wrong with the volumes of Prometheus."""
    for stack in exposed.stacks:
        if inner(stack.values, "prometheus", "enabled") is not False:
            yield from _kept(stack.application, "spec.sources", stack.prometheus, "storageSpec")
    for item in model.kind("Prometheus"):
        if item.group == OPERATOR_GROUP:
            yield from _kept(item, "spec", item.spec, "storage")


def _kept(item: Object, at: str, spec: Mapping[str, Any], key: str) -> Iterator[Finding]:
    storage = mapping(spec.get(key))
    if not storage:
        problem = f"{key} is not set, so that Prometheus writes to an emptyDir."
        yield Finding.of("metrics-not-kept", item, problem, at=at)
        return
    asked = inner(storage, "volumeClaimTemplate", "spec", "resources", "requests", "storage")
    volume, size = float(quantity(asked) or 0), _retention_size(spec.get("retentionSize"))
    least = (seconds(spec.get("retention")) or 0) / 86400 * _LEAST_BYTES_A_DAY
    if volume and size and size > _FULL * volume:
        problem = f"retentionSize is {spec['retentionSize']}, and the volume has {asked}."
        yield Finding.of("retention-size-exceeds-volume", item, problem, at=f"{at}.retentionSize")
    elif volume and not size and least > volume:
        problem = f"{spec['retention']} take {least / 2**30:.0f}Gi at the very least, and the volume has {asked}."
        yield Finding.of("retention-exceeds-volume", item, problem, at=f"{at}.retention")


def _retention_size(text: object) -> float:
    """Return a size of Prometheus such as ``20GB`` in bytes, 0 for none; ``GB`` and ``GiB`` are both powers of two."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    return float(match[1]) * 2.0 ** (10 * " KMGTPE".index(match[2] or " ")) if match else 0
