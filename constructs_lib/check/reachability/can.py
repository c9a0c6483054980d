"""Whether the policies of a tree let one pod call another."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from constructs_lib.argocd.objects import Object
from constructs_lib.check.areas import CLUSTER, INTERNET, Area, block_of
from constructs_lib.check.model import ClusterModel, grouped
from constructs_lib.check.network import Connection, End, Outside, Pod, Port, Side
from constructs_lib.check.traffic import DNS, Traffic, end_of
from constructs_lib.text import closest, nearest
from constructs_lib.user_error import UserError

_T = TypeVar("_T", Pod, Object)

#: The name for any address outside of the cluster.
WORLD = "internet"
#: A full name of a host outside.
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
#: What controllers append to the names of their pods: an ordinal, or one or two random texts.
_OF_A_POD = re.compile(r"(?:-[a-z0-9]{5,10})?-[a-z0-9]{5}|-\d+")


@dataclass(frozen=True)
class Answer:
    """Whether one end can call another, and why.

    Attributes:
        port: The protocol and the number of the port of the target's pods.
        connection: The policies and rules that decide on each side.
    """

    port: Port
    connection: Connection

    @property
    def allowed(self) -> bool:
        """Whether both sides let the call through."""
        return self.connection.allowed

    def __str__(self) -> str:
        """Return the answer as text, with a line for each side."""
        protocol, number = self.port
        sides = self.connection.egress, self.connection.ingress
        source, target = (side.end for side in sides)
        first = f"{source} {'can' if self.allowed else 'cannot'} reach {target} at port {number}/{protocol}."
        return "\n".join([first, *(f"  {side.direction.lower()} of {side.end}: {_verdict(side)}" for side in sides)])


def _verdict(side: Side) -> str:
    if isinstance(side.end, Outside):
        return "no policy is about it"
    if not side.policies:
        return "open, no policy isolates it" + (" (it has the network of its node)" if side.end.host_network else "")
    if not side.rules:
        names = dict.fromkeys(policy.name for policy in side.policies)
        return f"closed by {', '.join(names)}, none of whose rules lets it through"
    rules = dict.fromkeys(f"{rule.path} of {policy.name}" for policy, rule, _ in side.rules)
    return f"opened by {', '.join(rules)}"


def can(model: ClusterModel, source: str, target: str, port: str | int) -> Answer:
    """Tell whether the policies of a tree let one end call another.

    Args:
        model: The tree.
        source: The caller: a workload, a pod, or a Service for the pods behind it, each as ``name`` or
            ``namespace/name``; an IP address; the full name of a host outside, for policies that know names; or
            ``internet`` for any address outside of the cluster.
        target: The other end, in the same way.
        port: The number or the name of a port of the target's pods, or of the Service if that is what was named;
            ``/udp`` or ``/sctp`` behind it for other protocols than TCP.

    Raises:
        UserError: There is no such end or port; the message names the closest one.
    """
    traffic = model.once(Traffic)
    names = _Names(traffic)
    caller, _ = names.find(source)
    called, service = names.find(target)
    found = _port(traffic, target, called, service, str(port))
    return Answer(found, traffic.network.connection(caller, called, found))


class _Names:
    """The names of pods: those of their workloads and Services, and for pods of charts those of their policies."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._pods = grouped((pod.name, pod) for pod in (*traffic.pods, *traffic.foreign, DNS))
        self._services = grouped((service.name, service) for service in traffic.model.kind("Service"))

    def find(self, name: str) -> tuple[End, Object | None]:
        """Return the end with a name, and the Service if the name is that of a Service."""
        if name == WORLD:
            return Outside("the internet", INTERNET), None
        if (told := self._traffic.model.elsewhere.get(name)) is not None:
            return end_of(told), None
        if (block := block_of(name)) is not None:
            area = Area((block,))
            is_world = not any(area.may_lie_in(own, ()) for own in CLUSTER.blocks if own.version == block.version)
            return Outside(name, area, "world" if is_world else ""), None
        namespace, _, short = name.rpartition("/")
        if (pod := self._in(self._pods, namespace, short)) is not None:
            return pod, None
        if (service := self._in(self._services, namespace, short)) is not None:
            if behind := self._traffic.behind(service):
                return behind[0], service
            raise UserError(f'The Service "{name}" selects no pods of the tree.')
        if (pod := self._pod_of(namespace, short)) is not None:
            return pod, None
        if _HOST.fullmatch(name):
            return Outside(name, INTERNET), None
        raise UserError(self._unknown(name))

    def _in(self, known: Mapping[str, list[_T]], namespace: str, name: str) -> _T | None:
        found = [item for item in known.get(name, ()) if namespace in ("", item.namespace)]
        if len({item.namespace for item in found}) > 1:
            every = ", ".join(sorted(f"{item.namespace}/{item.name}" for item in found))
            raise UserError(f'"{name}" is in several namespaces; one of {every}.')
        return found[0] if found else None

    def _pod_of(self, namespace: str, name: str) -> Pod | None:
        """Return the workload of a pod with a name of its own, such as ``rabbitmq-0``."""
        for known in sorted(self._pods, key=len, reverse=True):
            if name.startswith(f"{known}-") and _OF_A_POD.fullmatch(name[len(known) :]):
                return self._in(self._pods, namespace, known)
        return None

    def _unknown(self, name: str) -> str:
        full = [str(pod) for pods in self._pods.values() for pod in pods]
        hint = None if "/" in name else closest(name, [*self._pods, *self._services, WORLD])
        near = f'did you mean "{hint}"?' if hint else nearest(name, full)
        return f'No workload and no Service is called "{name}"; {near}'


def _port(traffic: Traffic, target: str, called: End, service: Object | None, written: str) -> Port:
    """Return a port of the pods that are called."""
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
            raise UserError(f'The Service "{target}" has no port "{written}".')
        return found[0]
    if number is None:
        ports = called.ports if isinstance(called, Pod) else ()
        known = {port.name: port.number for port in ports if port.protocol == protocol}
        if text not in known:
            hint = nearest(text, known) if known else "give its number."
            raise UserError(f'{called} has no port "{text}" for {protocol}; {hint}')
        number = known[text]
    return protocol, number
