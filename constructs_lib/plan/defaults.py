"""What the API server fills in, by ``defaults.yaml``."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.kubernetes.manifest import Manifest, mapping

_DATA = yaml.load(Path(__file__).with_name("defaults.yaml").read_bytes(), Loader=yaml.CSafeLoader)
#: Mappings that are not stored if they are empty.
MAPS = frozenset(_DATA["maps"])
_FIELD = re.compile(r"(?P<name>[^+? ]+)(?P<made>\+?)(?P<zero>\??)(?: if (?P<other>\w+)=(?P<values>\S+))?")


class Filled(dict[str, Any]):
    """A mapping with what the API server fills in.

    Attributes:
        written: The mapping without it.
    """

    def __init__(self, written: Manifest) -> None:
        """Copy a mapping into which nothing is filled yet."""
        super().__init__(written)
        self.written = written

    def holds(self, key: str) -> bool:
        """Tell whether a field was written down."""
        return self.written.get(key) is not None


def written(value: Any) -> Any:
    """Return a value, or the entries of a list, without what the API server fills in."""
    if isinstance(value, list):
        return [written(item) for item in value]
    return value.written if isinstance(value, Filled) else value


@dataclass(frozen=True)
class _Default:
    """A row of ``defaults.yaml``, which explains it."""

    name: str
    value: Any
    made: bool
    zero: bool
    other: str
    values: frozenset[str]
    below: "tuple[_Default, ...]"


def filled_in(kind: str, manifest: Manifest) -> Manifest:
    """Return an object with what the API server fills in; what other objects share with it is not changed.

    Args:
        kind: Its kind with its group, such as ``apps/Deployment``.
        manifest: The object.
    """
    return _filled(manifest, _rules(kind)) if kind in _DATA["kinds"] else manifest


@cache
def _rules(kind: str) -> tuple[_Default, ...]:
    return _read(_DATA["kinds"][kind])


def _read(table: Mapping[str, Any]) -> tuple[_Default, ...]:
    return tuple(_row(str(field), value) for field, value in table.items())


def _row(field: str, value: Any) -> _Default:
    match = _FIELD.fullmatch(field)
    assert match, field
    made, is_list = bool(match["made"]), isinstance(value, list)
    below: tuple[_Default, ...] = ()
    if isinstance(value, dict):
        below, value = _read(value), {}
    elif is_list and not made:
        below, value = _read(value[0]), []
    values = frozenset((match["values"] or "").split("|"))
    return _Default(match["name"], value, made, bool(match["zero"]), match["other"] or "", values, below)


def _filled(part: Manifest, rules: tuple[_Default, ...]) -> Manifest:
    part = Filled(part)
    for rule in rules:
        if rule.name == "$":
            _COMPUTED[rule.value](part)
            continue
        if rule.other and str(part.get(rule.other)) not in rule.values:
            continue
        value = part.get(rule.name)
        if isinstance(rule.value, dict | list):
            if (rule.made and value is None) or (isinstance(rule.value, list) and value == []):
                part[rule.name] = value = rule.value
            if isinstance(value, dict):
                part[rule.name] = _filled(value, rule.below)
            elif isinstance(value, list) and rule.below:
                part[rule.name] = [_filled(item, rule.below) if isinstance(item, dict) else item for item in value]
        elif value is None or value == "" or (rule.zero and value == 0 and value is not False):
            copied = isinstance(rule.value, str) and rule.value.startswith("=")
            part[rule.name] = part.get(rule.value[1:]) if copied else rule.value
    return part


# What is no data.


def _container(part: Manifest) -> None:
    """``SetDefaults_Container`` and ``SetDefaults_Pod``."""
    image, digest, _ = str(part.get("image") or "").partition("@")
    newest = image.endswith(":latest") or (not digest and ":" not in image.rpartition("/")[2])
    if not part.get("imagePullPolicy"):
        part["imagePullPolicy"] = "Always" if newest else "IfNotPresent"
    resources = part["resources"]
    if not isinstance(resources, Filled):
        return
    limits, requests = mapping(resources.get("limits")), resources.get("requests") or {}
    if limits and isinstance(requests, dict):
        resources["requests"] = {**limits, **requests}


def _pod(part: Manifest) -> None:
    """``Convert_v1_PodSpec_To_core_PodSpec``: the field with the longer name wins, and the other one follows."""
    part["serviceAccount"] = part["serviceAccountName"] = part["serviceAccountName"] or part["serviceAccount"]


def _volume(part: Manifest) -> None:
    """``SetDefaults_Volume``."""
    if all(key == "name" or value is None for key, value in part.items()):
        part["emptyDir"] = {"medium": ""}


def _job(part: Manifest) -> None:
    """``SetDefaults_Job``."""
    if part.get("completions") is None and part.get("parallelism") is None:
        part["completions"] = 1
    if part.get("parallelism") is None:
        part["parallelism"] = 1


def _service(part: Manifest) -> None:
    """Addresses that are left out stay as they are; a Service without any has them listed as well."""
    if part.get("clusterIP") == "None" and not part.get("clusterIPs"):
        part["clusterIPs"] = ["None"]


def _policy(part: Manifest) -> None:
    """``SetDefaults_NetworkPolicy``."""
    if not part.get("policyTypes"):
        part["policyTypes"] = ["Ingress", "Egress"] if part.get("egress") else ["Ingress"]


def _limits(part: Manifest) -> None:
    """``SetDefaults_LimitRangeItem``."""
    if part.get("type") == "Container":
        default = {**mapping(part.get("max")), **mapping(part.get("default"))}
        part["defaultRequest"] = {**mapping(part.get("min")), **default, **mapping(part.get("defaultRequest"))}
        part["default"] = default


def _names(part: Manifest) -> None:
    """``SetDefaults_CustomResourceDefinitionSpec``."""
    kind = str(part.get("kind") or "")
    part["singular"], part["listKind"] = part.get("singular") or kind.lower(), part.get("listKind") or f"{kind}List"


_COMPUTED: Mapping[str, Callable[[Manifest], None]] = {
    "container": _container,
    "pod": _pod,
    "volume": _volume,
    "job": _job,
    "service": _service,
    "policy": _policy,
    "limits": _limits,
    "names": _names,
}
