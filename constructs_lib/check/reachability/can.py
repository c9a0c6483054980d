"""Whether one pod can call another: a question to the policies of a tree."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from constructs_lib.argocd.objects import Object
from constructs_lib.check.areas import INTERNET, Area, block_of
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.network import Connection, End, Outside, Pod, Side
from constructs_lib.check.traffic import DNS, Traffic
from constructs_lib.text import closest, nearest
from constructs_lib.user_error import UserError

_T = TypeVar("_T", Pod, Object)

#: What stands for all addresses outside.
WORLD = "internet"
#: What controllers add to the names of their pods: an ordinal, or one or two texts by chance.
_OF_A_POD = re.compile(r"(?:-[a-z0-9]{5,10})?-[a-z0-9]{5}|-\d+")


@dataclass(frozen=True)
class Answer:
    """Whether one can call another, and why.

    Attributes:
        source: Who calls, as people know it.
        target: Who is called.
        protocol: The protocol of the port.
        port: The port of the target's pods.
        connection: The policies and rules that decide on each side.
    """

    source: str
    target: str
    protocol: str
    port: int
    connection: Connection

    @property
    def allowed(self) -> bool:
        """Whether it can."""
        return self.connection.allowed

    def lines(self) -> Iterator[str]:
        """Yield the answer, and a line for each side, as a terminal shows them."""
        verb = "can" if self.allowed else "cannot"
        yield f"{self.source} {verb} reach {self.target} at port {self.port}/{self.protocol}."
        for side in (self.connection.egress, self.connection.ingress):
            yield f"  {side.direction.lower()} of {side.end}: {_verdict(side)}"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _verdict(side: Side) -> str:
    if isinstance(side.end, Outside):
        return "no policy is about it"
    if not side.policies:
        return "open, no policy isolates it" + (" (it has the network of its node)" if side.end.host_network else "")
    if not side.rules:
        return f"closed by {_policies(policy.name for policy in side.policies)}, none of whose rules lets it through"
    rules = dict.fromkeys(f"{rule.path} of {policy.name}" for policy, rule, _ in side.rules)
    return f"opened by {', '.join(rules)}"


def _policies(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def can(model: ClusterModel, source: str, target: str, port: str | int) -> Answer:
    """Tell whether the policies of a tree let one call another.

    Args:
        model: The tree.
        source: Who calls: a workload, a Service for the pods behind it, one of the pods, each by its name or as
            ``namespace/name``; an address, or ``internet`` for some address outside.
        target: Who is called, likewise.
        port: The number or the name of a port of the target's pods, or of the Service if that is what was named;
            ``/udp`` or ``/sctp`` behind it for other protocols than TCP.

    Raises:
        UserError: One of them is not known; the message tells the nearest that is.
    """
    traffic = model.once(Traffic)
    names = _Names(traffic)
    caller, _ = names.find(source)
    called, service = names.find(target)
    number, protocol = _port(traffic, target, called, service, str(port))
    connection = traffic.network.connection(caller, called, (protocol, number))
    return Answer(str(caller), str(called), protocol, number, connection)


class _Names:
    """What pods are called by: their workloads and Services, and for those of charts their policies."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._pods: dict[str, list[Pod]] = defaultdict(list)
        for pod in (*traffic.pods, *traffic.guests, DNS):
            self._pods[pod.name].append(pod)
        self._services: dict[str, list[Object]] = defaultdict(list)
        for service in traffic.model.kind("Service"):
            self._services[service.name].append(service)

    def find(self, name: str) -> tuple[End, Object | None]:
        """Return what a name means, and the Service by which it does."""
        if name == WORLD:
            return Outside("the internet", INTERNET), None
        if (block := block_of(name)) is not None:
            return Outside(name, Area((block,))), None
        namespace, _, short = name.rpartition("/")
        if (pod := self._in(self._pods, namespace, short)) is not None:
            return pod, None
        if (service := self._in(self._services, namespace, short)) is not None:
            behind = self._traffic.behind(service)
            if not behind:
                raise UserError(f'the Service "{name}" selects no pods of the tree.')
            return behind[0], service
        if (pod := self._pod_of(namespace, short)) is not None:
            return pod, None
        raise UserError(self._unknown(name))

    def _in(self, known: Mapping[str, list[_T]], namespace: str, name: str) -> _T | None:
        found = [item for item in known.get(name, ()) if namespace in ("", item.namespace)]
        if len({item.namespace for item in found}) > 1:
            every = ", ".join(sorted(f"{item.namespace}/{item.name}" for item in found))
            raise UserError(f'"{name}" is in several namespaces; one of {every}.')
        return found[0] if found else None

    def _pod_of(self, namespace: str, name: str) -> Pod | None:
        """Return what a pod's own name, such as ``rabbitmq-0``, is made from."""
        for known in sorted(self._pods, key=len, reverse=True):
            if name.startswith(f"{known}-") and _OF_A_POD.fullmatch(name[len(known) :]):
                return self._in(self._pods, namespace, known)
        return None

    def _unknown(self, name: str) -> str:
        full = [str(pod) for pods in self._pods.values() for pod in pods]
        hint = None if "/" in name else closest(name, [*self._pods, *self._services, WORLD])
        near = f'did you mean "{hint}"?' if hint else nearest(name, full)
        return f'no workload and no Service is called "{name}"; {near}'


def _port(traffic: Traffic, target: str, called: End, service: Object | None, written: str) -> tuple[int, str]:
    """Return the number of a port of the pods that are called, and its protocol."""
    text, _, protocol = written.partition("/")
    protocol = (protocol or "TCP").upper()
    if protocol not in ("TCP", "UDP", "SCTP"):
        raise UserError(f'"{written}": {protocol} is no protocol of a port; one of tcp, udp, sctp.')
    number = int(text) if text.isdecimal() else None
    if number is not None and not 1 <= number <= 65535:
        raise UserError(f"{number} is no port; a whole number from 1 to 65535 is needed.")
    if service is not None:
        found = [port for _, port in traffic.called_at(service, number or text) if port[0] == protocol]
        if not found:
            raise UserError(f'the Service "{target}" has no port "{written}".')
        return found[0][1], protocol
    if number is None:
        known = {name: own for name, kind, own in called.ports if kind == protocol} if isinstance(called, Pod) else {}
        if text not in known:
            hint = nearest(text, known) if known else "give its number."
            raise UserError(f'{called} has no port "{text}" for {protocol}; {hint}')
        number = known[text]
    return number, protocol
