"""Whether Alertmanager can load its configuration, and tells somebody of every alert.

Of AlertmanagerConfigs, of the file in a Secret or ConfigMap, and of the values of kube-prometheus-stack.
https://prometheus.io/docs/alerting/latest/configuration/
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.monitors import OPERATOR_GROUP
from constructs_lib.check.observability.expressions import Rule
from constructs_lib.check.observability.metrics import STACK
from constructs_lib.check.references.readers import MAKING, OtherReaders
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, sequence, texts
from constructs_lib.kubernetes.manifest_reader import Cache
from constructs_lib.text import closest, hint, listed

_FILES = ("alertmanager.yaml", "alertmanager.yml")
#: Severities of alerts that are there to be told to nobody, by the rules of kube-prometheus.
_SILENT = frozenset({"none", "info"})
#: Severities that alerts of charts have.
_SEVERITIES = frozenset({*_SILENT, "critical", "error", "page", "warning"})
_MATCHER = re.compile(r"(?<!\w)(\w+)\"?\s*(=~|!~|!=|=)\s*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([^\s,\"'}]*))")
_WORD = re.compile(r"[\w-]*")
_SELECTOR = frozenset({"name", "key", "optional"})
#: What a route says of an alert if all of its matchers are about labels that are known.
_SURELY = 2
#: What the chart has where the values have nothing else.
_DEFAULT_ROUTE: Mapping[str, Any] = {
    "receiver": "null",
    "routes": [{"receiver": "null", "matchers": ['alertname = "Watchdog"']}],
}


@dataclass(frozen=True)
class _Configuration:
    """One tree of routes.

    Attributes:
        item: The object that holds it.
        at: The field of it.
        namespace: The only namespace whose alerts it is for; empty for all.
    """

    item: Object
    at: str
    content: Mapping[str, Any]
    namespace: str = ""

    @property
    def receivers(self) -> Mapping[str, Mapping[str, Any]]:
        """The receivers by their names."""
        return {str(receiver.get("name")): receiver for receiver in mappings(self.content.get("receivers"))}


def prove_alertmanager(model: ClusterModel, rules: Sequence[Rule]) -> Iterator[Finding]:
    """Yield the receivers that are not there, what they read that is not there, and the alerts that nobody gets."""
    found = [*_configurations(model)]
    for configuration in found:
        yield from _unknown(configuration)
        yield from _misspelled(configuration, rules)
        if configuration.item.kind == "AlertmanagerConfig":
            yield from _secrets(model, configuration)
    if any(not each.namespace for each in found):
        yield from _without_receiver(found, rules)


def _configurations(model: ClusterModel) -> Iterator[_Configuration]:
    for item in model.kind("AlertmanagerConfig"):
        if item.group == OPERATOR_GROUP:
            yield _Configuration(item, "spec", item.spec, item.namespace)
    for item in model.kind("Secret", "ConfigMap"):
        plain, encoded = ("stringData", "data") if item.kind == "Secret" else ("data", "")
        for key in _FILES:
            text = texts(item.manifest.get(plain)).get(key)
            if text is None and encoded:
                text = _decoded(texts(item.manifest.get(encoded)).get(key, ""))
            content = Cache().document(text.encode()) if text else None
            if isinstance(content, dict) and "route" in content:
                yield _Configuration(item, f"{plain}.{key}", content)
    for application in model.all_applications:
        for chart in application.charts:
            content = inner(chart.helm, "valuesObject", "alertmanager", "config")
            if chart.name == STACK and isinstance(content, dict) and application.item is not None:
                route = {**_DEFAULT_ROUTE, **mapping(content.get("route"))}
                receivers = content.get("receivers") or [{"name": "null"}]
                merged = {**content, "route": route, "receivers": receivers}
                yield _Configuration(application.item, "spec.sources", merged)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=False).decode()
    except (binascii.Error, ValueError):
        return ""


def _unknown(configuration: _Configuration) -> Iterator[Finding]:
    known = {*configuration.receivers}
    for at, route in _routes(configuration):
        name = route.get("receiver")
        if isinstance(name, str) and name not in known:
            problem, fix = f"There is no receiver {name}.", hint("receiver", name, known)
            at = f"{at}.receiver" if configuration.item.kind == "AlertmanagerConfig" else configuration.at
            yield Finding.of("receiver-unknown", configuration.item, problem, at=at, fix=fix)


def _misspelled(configuration: _Configuration, rules: Sequence[Rule]) -> Iterator[Finding]:
    """Yield routes for a severity that no alert has, and that is almost one which alerts have."""
    known = {texts(rule.content.get("labels")).get("severity", "") for rule in rules} | _SEVERITIES
    for at, route in _routes(configuration):
        for name, operator, value in _matchers(route):
            for word in value.split("|") if name == "severity" and operator in ("=", "=~") else ():
                close = closest(word, known, 0.75) if _WORD.fullmatch(word) and word not in known else None
                if close:
                    problem, fix = f"No alert has the severity {word}.", f"Did you mean {close}?"
                    at = f"{at}.matchers" if configuration.item.kind == "AlertmanagerConfig" else configuration.at
                    yield Finding.of("route-without-alerts", configuration.item, problem, at=at, fix=fix)


def _routes(configuration: _Configuration) -> Iterator[tuple[str, Mapping[str, Any]]]:
    queue = [(f"{configuration.at}.route", mapping(configuration.content.get("route")))]
    while queue:
        at, route = queue.pop()
        yield at, route
        queue += entries(route.get("routes"), f"{at}.routes")


def _secrets(model: ClusterModel, configuration: _Configuration) -> Iterator[Finding]:
    item, sources, others = configuration.item, model.once(SecretSources), model.once(OtherReaders)
    for at, receiver in entries(item.spec.get("receivers"), "spec.receivers"):
        for here, reference in _references(receiver, at):
            name, key = str(reference["name"]), str(reference["key"])
            if reference.get("optional") is True or others.may(MAKING, "Secret", item.namespace, name):
                continue
            known, keys = sources.names(item.namespace), sources.keys(item.namespace, name)
            if not sources.makes(item.namespace, name) and model.lacks("Secret", item.namespace, name):
                yield Finding.missing("receiver-secret-missing", item, here, "Secret", name, known, item.namespace)
            elif keys is not None and key not in keys:
                problem, fix = f"The Secret {name} has no key {key}.", hint("key", key, keys)
                yield Finding.of("receiver-secret-missing", item, problem, at=here, fix=fix)


def _references(part: object, at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the selectors of keys of Secrets in a receiver."""
    if isinstance(part, dict):
        is_of_map = at.endswith(".configMap")
        if isinstance(part.get("name"), str) and isinstance(part.get("key"), str) and {*part} <= _SELECTOR:
            if not is_of_map:
                yield at, part
            return
        for key, value in part.items():
            yield from _references(value, f"{at}.{key}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from _references(value, f"{at}[{number}]")


def _without_receiver(found: Sequence[_Configuration], rules: Sequence[Rule]) -> Iterator[Finding]:
    """Yield the alerts that every configuration leads to nobody, by what is known of their labels; one a severity."""
    if rules and not any(_tells(receiver) for each in found for receiver in each.receivers.values()):
        first = next(each for each in found if not each.namespace)
        problem = f"None of its receivers ({listed(first.receivers)}) tells anybody."
        yield Finding.of("alert-without-receiver", first.item, problem, at=first.at)
        return
    seen: set[str] = set()
    for rule in rules:
        labels = texts(rule.content.get("labels"))
        severity = labels.get("severity", "")
        if rule.alert is None or severity in _SILENT or "{{" in severity or severity in seen:
            continue
        known = {**labels, "alertname": rule.alert}
        ways = [way for each in found for way in _ways(each, known)]
        if ways and all(ways):
            seen.add(severity)
            names = listed(sorted({way for way in ways if way}))
            what = f"with the severity {severity}" if severity else "without a severity"
            problem = f"The alert {rule.alert} {what} goes to {names}, which tells nobody."
            yield Finding.of("alert-without-receiver", rule.item, problem, at=rule.at)


def _ways(configuration: _Configuration, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield the receiver of each route that may take an alert if it tells nobody, and an empty text if it may tell."""
    root = mapping(configuration.content.get("route"))
    # Whether an alert is about the namespace of an AlertmanagerConfig is seldom known.
    if not configuration.namespace or _may_match(root, labels):
        yield from _taken(configuration, root, labels, "")


def _taken(
    configuration: _Configuration, route: Mapping[str, Any], labels: Mapping[str, str], inherited: str
) -> Iterator[str]:
    receiver = str(route.get("receiver") or inherited)
    for child in mappings(route.get("routes")):
        match = _may_match(child, labels)
        if match:
            yield from _taken(configuration, child, labels, receiver)
            if match == _SURELY and child.get("continue") is not True:
                return
    content = configuration.receivers.get(receiver)
    yield "" if content is None or _tells(content) else receiver


def _tells(receiver: Mapping[str, Any]) -> bool:
    return any(value for key, value in receiver.items() if key != "name")


def _may_match(route: Mapping[str, Any], labels: Mapping[str, str]) -> int:
    """Return whether a route takes an alert: 0 for no, 1 for perhaps, 2 for surely."""
    surely = _SURELY
    for name, operator, value in _matchers(route):
        if name not in labels and name != "severity":
            # Most labels come from the series.
            surely = 1
            continue
        own = labels.get(name, "")
        equal = own == value if operator in ("=", "!=") else _fits(value, own)
        if equal is None:
            surely = 1
        elif equal is (operator in ("!=", "!~")):
            return 0
    return surely


def _fits(pattern: str, text: str) -> bool | None:
    """Tell whether alternatives match a text; None for a pattern that is more than a list of words."""
    words = pattern.strip("^$").removeprefix("(").removesuffix(")").split("|")
    return text in words if all(map(_WORD.fullmatch, words)) else None


def _matchers(route: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, value in texts(route.get("match")).items():
        yield name, "=", value
    for name, value in texts(route.get("match_re")).items():
        yield name, "=~", value
    for matcher in sequence(route.get("matchers")):
        if isinstance(matcher, dict):
            operator = str(matcher.get("matchType") or ("=~" if matcher.get("regex") is True else "="))
            yield str(matcher.get("name")), operator, str(matcher.get("value") or "")
        elif isinstance(matcher, str):
            for name, operator, *values in _MATCHER.findall(matcher):
                yield name, operator, next(filter(None, values), "")
