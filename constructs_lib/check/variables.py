"""What containers read: their variables, and the ConfigMaps that are mounted into them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.manifest import Manifest, mapping, sequence, texts

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_SHELL_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")


@dataclass(frozen=True)
class Variable:
    """A variable whose value the tree tells.

    Attributes:
        name: Its name.
        value: Its value.
        at: The field of the workload that it comes from.
    """

    name: str
    value: str
    at: str


def variables(model: ClusterModel, pods: Pods, path: str, container: Manifest) -> dict[str, Variable]:
    """Return the variables of a container by name; those from Secrets and fields of the pod are left out.

    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/: ``$(NAME)``
    stands for the value of a variable before it.

    Args:
        model: The tree.
        pods: The container's pods.
        path: Where the container stands.
        container: The container.
    """
    found: dict[str, Variable] = {}
    for number, source in enumerate(map(mapping, sequence(container.get("envFrom")))):
        prefix = str(source.get("prefix") or "")
        name = mapping(source.get("configMapRef")).get("name")
        for key, value in _data(model, pods.namespace, name).items():
            found[prefix + key] = Variable(prefix + key, value, f"{path}.envFrom[{number}]")
    for entry in map(mapping, sequence(container.get("env"))):
        name = str(entry.get("name"))
        at = f"{path}.env[{name}]"
        found.pop(name, None)
        if isinstance(entry.get("value"), str):
            found[name] = Variable(name, expanded(entry["value"], found), at)
        elif reference := mapping(mapping(entry.get("valueFrom")).get("configMapKeyRef")):
            read = _data(model, pods.namespace, reference.get("name")).get(str(reference.get("key")))
            if read is not None:
                found[name] = Variable(name, read, at)
    return found


def command(container: Manifest, known: Mapping[str, Variable]) -> list[str]:
    """Return the command and the arguments of a container, with the values of its variables."""
    parts = [*sequence(container.get("command")), *sequence(container.get("args"))]
    return [expanded(part, known) for part in parts if isinstance(part, str)]


def apart(words: Iterable[str], separator: str = "\n") -> Iterator[str]:
    """Yield the words of a command as texts: every script for itself, and the words between two of them as one.

    An option and its value may be two words. A script is one, and what follows it are its own arguments; for itself, it
    is the same text in many pods.
    """
    for is_script, group in groupby(words, lambda word: "\n" in word):
        if is_script:
            yield from group
        else:
            yield separator.join(group)


def mounted(model: ClusterModel, pods: Pods) -> Iterator[tuple[str, str]]:
    """Yield the texts of the ConfigMaps that are mounted into pods, each with the field that names it."""
    for volume in map(mapping, sequence(pods.spec.get("volumes"))):
        parts = [volume, *map(mapping, sequence(mapping(volume.get("projected")).get("sources")))]
        for source in (mapping(part.get("configMap")) for part in parts):
            items = [mapping(item).get("key") for item in sequence(source.get("items"))]
            for key, text in _data(model, pods.namespace, source.get("name")).items():
                if not items or key in items:
                    yield f"{pods.path}.volumes[{volume.get('name')}]", text


def _data(model: ClusterModel, namespace: str, name: object) -> dict[str, str]:
    item = model.get("ConfigMap", namespace, str(name))
    return texts(item.manifest.get("data")) if item else {}


def expanded(text: str, known: Mapping[str, Variable]) -> str:
    """Return a text in which ``$(NAME)`` is replaced by the value of a known variable."""

    def value(match: re.Match[str]) -> str:
        variable = known.get(match[1] or "")
        return variable.value if variable else match[0]

    return _REFERENCE.sub(value, text) if "$(" in text else text


def expanded_by_shell(text: str, known: Mapping[str, Variable]) -> str:
    """Return a script in which ``$NAME`` and ``${NAME}`` are replaced by the values of known variables."""

    def value(match: re.Match[str]) -> str:
        variable = known.get(match[1] or match[2])
        return variable.value if variable else match[0]

    return _SHELL_REFERENCE.sub(value, text)
