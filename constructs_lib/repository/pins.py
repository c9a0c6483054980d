"""Pins: the commit from which Argo CD reads each component's manifests.

Argo CD syncs Applications in the order of their waves only if the Applications themselves change. So each of them is
pinned to a commit, and publishing moves the pin when, and only when, the component's manifests have changed: then the
root Application sees which components change, and rolls them out in order (argo-cd issue 8778). The pins of an
environment are in ``pins/<environment>.json``, which ``publish`` writes and synthesis reads.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from constructs_lib.kubernetes.bounds import parse_json
from constructs_lib.kubernetes.names import is_label
from constructs_lib.text import shown
from constructs_lib.user_error import UserError

_REVISION = re.compile(r"[0-9a-f]{40}")


class PinsError(UserError):
    """A file of pins cannot be read."""


@dataclass(frozen=True)
class Pin:
    """Where Argo CD reads a component's manifests, and where it deploys them.

    Attributes:
        revision: Id of the commit.
        content: Id of the component's folder in that commit, as in
            ``git rev-parse <revision>:dist/<environment>/<component>``. With it, the manifests can be compared with the
            pinned ones without Git.
        namespace: The component's namespace.
        autoscaled: Workloads in these manifests whose number of pods is an autoscaler's, as ``Kind/name``. As long as
            the manifests are deployed, the Application leaves that number alone, whatever is declared since.
    """

    revision: str
    content: str
    namespace: str
    autoscaled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pins:
    """What is published of an environment.

    Attributes:
        components: The pin of every component.
        retired: Namespaces that a component has left and no other has taken, by component. They stay permitted to it,
            because Argo CD deletes what is in them last, and a later publication may come first.
        kept: What objects keep open until the next publication though it is declared no more, by the path of the
            file and the place of the entry in it. It holds for the manifests, pinned or not.
    """

    components: Mapping[str, Pin]
    retired: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def namespaces(self, component: str) -> set[str]:
        """Return all namespaces that a component uses in the cluster, or did."""
        pin = self.components.get(component)
        return {*self.retired.get(component, ()), *([pin.namespace] if pin else [])}


def pins_file(environment: str) -> str:
    """Return the path of an environment's pins, relative to the repository."""
    return f"pins/{environment}.json"


def read_pins(root: Path, environment: str) -> Pins | None:
    """Return the pins of an environment, or None if it was never published.

    Raises:
        PinsError: The file cannot be read.
    """
    try:
        content = (root / pins_file(environment)).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PinsError(f"{pins_file(environment)} cannot be read: {error.strerror}.") from error
    return parse_pins(content, pins_file(environment))


def parse_pins(content: bytes, name: str) -> Pins:
    """Return the pins that a file holds.

    Raises:
        PinsError: It is not what :func:`dump_pins` writes, after a merge with conflicts for instance.
    """
    advice = f"restore it with git checkout HEAD -- {name}, and leave it to publish."
    try:
        file = parse_json(content)
    except ValueError as error:
        raise PinsError(f"{name} is no JSON ({error}); {advice}") from error
    found = file if isinstance(file, dict) else {}
    entries, retired, kept = found.get("components"), found.get("retired"), found.get("kept", {})
    if isinstance(retired, list):
        # Of a time when all components had one project: it is not known whose they were.
        retired = {}
    if not isinstance(entries, dict) or not isinstance(retired, dict) or not all(map(_are_names, retired.values())):
        raise PinsError(f"{name} does not hold an object with components and their retired namespaces; {advice}")
    if not isinstance(kept, dict) or not all(isinstance(places, dict) for places in kept.values()):
        raise PinsError(f"{name}: what is kept open is no object of places by file; {advice}")
    pins: dict[str, Pin] = {}
    for component, entry in entries.items():
        if not is_label(component):
            raise PinsError(f"{name}: {shown(component)} can be no component; {advice}")
        fields = entry if isinstance(entry, dict) else {}
        for key in ("revision", "content"):
            if not isinstance(fields.get(key), str) or not _REVISION.fullmatch(fields[key]):
                raise PinsError(f"{name}: {component}: the {key} is no id of Git's, of 40 hex digits; {advice}")
        if not _is_name(fields.get("namespace")):
            raise PinsError(f"{name}: {component}: the namespace is missing; {advice}")
        scaled = fields.get("autoscaled", [])
        if not _are_names(scaled):
            raise PinsError(f"{name}: {component}: what is autoscaled is no list of workloads; {advice}")
        pins[component] = Pin(fields["revision"], fields["content"], fields["namespace"], tuple(scaled))
    return Pins(pins, {component: tuple(names) for component, names in retired.items()}, kept)


def _are_names(values: object) -> bool:
    return isinstance(values, list) and all(map(_is_name, values))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def dump_pins(pins: Pins) -> bytes:
    """Return the content of a file with these pins."""
    entries = {
        component: {key: value for key, value in asdict(pin).items() if value}
        for component, pin in sorted(pins.components.items())
    }
    kept = {"kept": dict(sorted(pins.kept.items()))} if pins.kept else {}
    retired = {component: sorted(names) for component, names in sorted(pins.retired.items()) if names}
    content = {"components": entries, "retired": retired, **kept}
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def folder_id(files: Mapping[str, bytes]) -> str:
    """Return the id that Git gives to a folder of these files, which has no folders inside.

    https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    """
    entries = (
        b"100644 " + name + b"\0" + _object_id(b"blob", content)
        for name, content in sorted((name.encode(), content) for name, content in files.items())
    )
    return _object_id(b"tree", b"".join(entries)).hex()


def _object_id(kind: bytes, content: bytes) -> bytes:
    header = kind + b" " + str(len(content)).encode() + b"\0"
    return hashlib.sha1(header + content, usedforsecurity=False).digest()
