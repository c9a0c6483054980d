"""Whether Grafana can load dashboards, and what their panels read."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.observability.exposed import Stack
from constructs_lib.check.observability.expressions import Expression, dropped_labels, parsed
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, texts
from constructs_lib.prometheus.promql import without_variables

_LEGEND_LABEL = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_LABEL_VALUES = re.compile(r"label_values\(\s*([a-zA-Z_:][\w:]*)\s*(?:\{[^}]*\})?\s*,")


class Dashboards:
    """The dashboards of a tree: what their panels read, and what is wrong with them in themselves.

    Attributes:
        expressions: The expressions of their panels.
        metrics: The metrics that their variables read: the ConfigMap, the field and the name.
        findings: What is wrong.
    """

    def __init__(self, model: ClusterModel) -> None:
        """Read every file of every ConfigMap that is labelled as a dashboard."""
        self.expressions: list[Expression] = []
        self.metrics: list[tuple[Object, str, str]] = []
        self.findings: list[Finding] = []
        self._items = [
            item for item in model.kind("ConfigMap") if "grafana_dashboard" in item.labels and item.manifest.get("data")
        ]
        uids: dict[str, str] = {}
        for item in self._items:
            for key, text in texts(item.manifest.get("data")).items():
                self.findings += self._file(item, key, text, uids)

    def _file(self, item: Object, key: str, text: str, uids: dict[str, str]) -> Iterator[Finding]:
        at = f"data[{key}]"
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            problem = f"{key} is no JSON: {str(error).partition(chr(10))[0]}."
            yield Finding.of("dashboard-invalid", item, problem, at=at)
            return
        if not isinstance(content, dict) or not content.get("title"):
            yield Finding.of("dashboard-invalid", item, f"{key} is no dashboard: it has no title.", at=at)
            return
        uid = content.get("uid")
        if isinstance(uid, str) and uid:
            if uid in uids:
                problem = f"{uids[uid]} has the uid {uid} as well."
                yield Finding.of("dashboard-duplicate", item, problem, at=f"{at}.uid")
            uids.setdefault(uid, f"ConfigMap {item.name}")
        panels = list(_panels(at, content))
        if not panels:
            problem = f"The dashboard {content['title']} has no panels."
            yield Finding.of("dashboard-invalid", item, problem, at=f"{at}.panels")
        for path, panel in panels:
            for target in mappings(panel.get("targets")):
                yield from self._target(item, path, panel, target)
        for variable in mappings(inner(content, "templating", "list")):
            query = variable.get("query")
            query = query if isinstance(query, str) else str(mapping(query).get("query", ""))
            for metric in _LABEL_VALUES.findall(query):
                self.metrics.append((item, f"{at}.templating.list[{variable.get('name', '')}]", metric))

    def _target(
        self, item: Object, path: str, panel: Mapping[str, Any], target: Mapping[str, Any]
    ) -> Iterator[Finding]:
        datasource = mapping(target.get("datasource")) or mapping(panel.get("datasource"))
        text, legend = target.get("expr"), target.get("legendFormat")
        if datasource.get("type", "prometheus") != "prometheus" or not isinstance(text, str) or not text.strip():
            return
        at = f"{path}.targets[{target.get('refId', '')}]"
        expression = parsed(item, f"{at}.expr", without_variables(text))
        if isinstance(expression, Finding):
            yield expression
            return
        self.expressions.append(expression)
        if isinstance(legend, str):
            labels = (name for name in _LEGEND_LABEL.findall(legend) if name != "__name__")
            yield from dropped_labels(expression, f"{at}.legendFormat", labels)

    def prove_loaded(self, stack: Stack) -> Iterator[Finding]:
        """Yield the ConfigMaps that Grafana's sidecar passes over."""
        sidecar = mapping(inner(stack.values, "grafana", "sidecar", "dashboards"))
        label, value = str(sidecar.get("label", "grafana_dashboard")), str(sidecar.get("labelValue", "1"))
        searched = str(sidecar.get("searchNamespace") or stack.namespace)
        namespaces = {part.strip() for part in searched.split(",")}
        for item in self._items:
            labels = item.labels
            if label not in labels or (value and labels[label] != value):
                wanted, own = json.dumps(value), json.dumps(labels.get(label, ""))
                problem = f"The sidecar looks for the label {label}: {wanted}, and this has {own}."
                yield Finding.of("dashboard-not-loaded", item, problem, at=f"metadata.labels.{label}")
            elif searched != "ALL" and item.namespace not in namespaces:
                where = ", ".join(sorted(namespaces))
                problem = f"The sidecar searches in {where}, and this is in {item.namespace}."
                yield Finding.of("dashboard-not-loaded", item, problem, at="metadata.namespace")


def _panels(at: str, dashboard: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the panels of a dashboard with their fields, also those inside of rows and other panels."""
    queue = [(f"{at}.panels", panel) for panel in mappings(dashboard.get("panels"))]
    for row in mappings(dashboard.get("rows")):
        queue += [(f"{at}.rows.panels", panel) for panel in mappings(row.get("panels"))]
    while queue:
        path, panel = queue.pop(0)
        here = f"{path}[{panel.get('title') or panel.get('id') or ''}]"
        yield here, panel
        queue += [(f"{here}.panels", inside) for inside in mappings(panel.get("panels"))]
