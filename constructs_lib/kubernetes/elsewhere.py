"""What exists without the tree that calls it: hosts elsewhere, and Services of somebody else in the same cluster.

Nothing in a tree is that host or that Service, so an annotation tells of it. Whoever reads the tree knows then which
calls are meant, and what has to be open for them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.kubernetes.bounds import parse_json
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence, texts

#: A list in JSON, of which each entry is one host or Service. It may stand at any object, and is about the whole tree.
OUTSIDE = "constructs-lib/outside"


@dataclass(frozen=True)
class Elsewhere:
    """A host elsewhere, or a Service that somebody else owns.

    Attributes:
        host: Its name or its address: what clients are told.
        ports: Protocol, number, and number at the pods, of each port; of a host elsewhere the numbers are the same.
        networks: CIDR blocks in which a host is; none if it is in the internet.
        namespace: The namespace of a Service; empty for a host.
        pods: Labels of the pods behind a Service.
    """

    host: str
    ports: tuple[tuple[str, int, int], ...]
    networks: tuple[str, ...] = ()
    namespace: str = ""
    pods: tuple[tuple[str, str], ...] = ()

    @property
    def service(self) -> tuple[str, str] | None:
        """The namespace and the name of the Service; None for a host."""
        return (self.namespace, self.host.partition(".")[0]) if self.namespace else None

    def entry(self) -> Mapping[str, Any]:
        """Return what the annotation says of it."""
        ports = [
            {"port": port, **({"targetPort": target} if target != port else {}), "protocol": protocol}
            for protocol, port, target in self.ports
        ]
        networks = {"networks": [*self.networks]} if self.networks else {}
        service = {"namespace": self.namespace, "pods": dict(self.pods)} if self.namespace else {}
        return {"host": self.host, "ports": ports, **networks, **service}


def written(found: Iterable[Elsewhere]) -> str:
    """Return the text of the annotation, with a line for each host or Service."""
    lines = ",\n".join(f" {json.dumps(each.entry(), ensure_ascii=False)}" for each in found)
    return f"[\n{lines}\n]"


def outside_of(manifest: Mapping[str, Any]) -> Iterator[Elsewhere]:
    """Yield what the annotation of an object tells; what is wrongly written tells nothing."""
    text = inner(manifest, "metadata", "annotations", OUTSIDE)
    try:
        entries = mappings(parse_json(text.encode())) if isinstance(text, str) else []
    except ValueError:
        return
    for entry in entries:
        if not isinstance(entry.get("host"), str):
            continue
        ports = tuple(
            (str(port.get("protocol") or "TCP"), port["port"], target)
            for port in mappings(entry.get("ports"))
            if isinstance(port.get("port"), int) and isinstance(target := port.get("targetPort", port["port"]), int)
        )
        pods = tuple(sorted(texts(mapping(entry.get("pods"))).items()))
        networks = tuple(map(str, sequence(entry.get("networks"))))
        yield Elsewhere(entry["host"], ports, networks, str(entry.get("namespace") or ""), pods)
