"""The texts that containers get: their commands, and the ConfigMaps that are mounted into them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.kubernetes.containers import Container, Variable, expanded
from constructs_lib.kubernetes.manifest import mapping, sequence

_SHELL_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")


def command(container: Container, known: Mapping[str, Variable]) -> list[str]:
    """Return the words of a container's command and arguments, with variables replaced by their values."""
    return [expanded(word, known) for _, word in container.words]


def apart(words: Iterable[str], separator: str = "\n") -> Iterator[str]:
    """Yield the words of a command as texts: each script alone, and all words between two scripts together.

    Words belong together because an option and its value may be two words. A script is a word of its own, and the same
    in many pods, so that what is read from it can be remembered.
    """
    for is_script, group in groupby(words, lambda word: "\n" in word):
        if is_script:
            yield from group
        else:
            yield separator.join(group)


def mounted(model: ClusterModel, pods: Pods) -> Iterator[tuple[str, str]]:
    """Yield the texts of the ConfigMaps that are mounted into pods, each with the field of its volume."""
    for at, volume in pods.volumes:
        parts = [volume, *map(mapping, sequence(mapping(volume.get("projected")).get("sources")))]
        for source in (mapping(part.get("configMap")) for part in parts):
            items = [mapping(item).get("key") for item in sequence(source.get("items"))]
            for key, text in model.config_map(pods.namespace, str(source.get("name"))).items():
                if not items or key in items:
                    yield at, text


def expanded_by_shell(text: str, known: Mapping[str, Variable]) -> str:
    """Return a script with the values of known variables in place of ``$NAME`` and ``${NAME}``."""

    def value(match: re.Match[str]) -> str:
        variable = known.get(match[1] or match[2])
        return variable.value if variable else match[0]

    return _SHELL_REFERENCE.sub(value, text)
