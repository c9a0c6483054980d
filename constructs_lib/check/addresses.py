"""Addresses in texts, and the Services that they name in the DNS of a cluster.

https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from constructs_lib.argocd.objects import Object
from constructs_lib.check.model import ClusterModel

#: The default ports of schemes.
_SCHEMES = {
    "amqp": 5672,
    "amqps": 5671,
    "http": 80,
    "https": 443,
    "kafka": 9092,
    "mongodb": 27017,
    "mysql": 3306,
    "nats": 4222,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
    "ws": 80,
    "wss": 443,
}
_LABEL = r"_?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ADDRESS = re.compile(
    # pg_isready -h host, redis-cli --host=host: the option says that the word is a host.
    r"(?:(?<![\w-])(?P<option>-h|--host(?:name)?)[\s=]+|(?<![\w.$-]))"
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^\s/@\"']*@)?)?"
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*)\.?(?![\w-])"
    # nc -z host 80, /dev/tcp/host/80, psql -h host -p 80: the number after the host is its port.
    r"(?::(?P<port>\d{1,5})(?!\d)|(?:\s+(?:(?:-p|-P|--port)[\s=]*)?|/)(?P<loose>\d{2,5})(?![\w.]))?"
)
_UNKNOWN = re.compile(r"\$\([^)]*\)|\$\{[^}]*\}")
#: Replaces an unexpanded variable such as ``$(POD_NAME)``, so that the host still parses.
_PLACEHOLDER = "unknown"
#: What may come before and after an address that is alone: a login or another scheme (``jdbc:``), and a path.
_BEFORE = re.compile(r"(?:[a-z][a-z0-9+.:-]*:|[^\s/@]*@)?")
_BEHIND = re.compile(r"(?:[/?]\S*)?")
#: How far to look around an address, so that the time does not grow with the square of the text.
_FAR = 1000
_WORD_BREAKS = frozenset(" \t\r\n\"'`=@,(")


@dataclass(frozen=True)
class Address:
    """An address in a text.

    Attributes:
        scheme: Its scheme; empty if it has none.
        port: Its port, or the default port of its scheme; None if there is neither.
        is_loose: Whether the port is a number after the host, which may also be something else.
        is_host: Whether it is the value of an option for a host.
        is_alone: Whether it makes up the whole text, or the whole part between two commas.
        is_word: Whether it is a whole word, and not the end of a path.
    """

    scheme: str
    host: str
    port: int | None
    is_loose: bool
    is_host: bool
    is_alone: bool
    is_word: bool

    def __str__(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


# Many pods have the same scripts.
@lru_cache(maxsize=4096)
def addresses(text: str) -> tuple[Address, ...]:
    """Return everything in a text that may be an address."""
    text = _UNKNOWN.sub(_PLACEHOLDER, text) if "$" in text else text
    return tuple(_address(text, match) for match in _ADDRESS.finditer(text))


def _address(text: str, match: re.Match[str]) -> Address:
    scheme, number, loose = match["scheme"] or "", match["port"], match["loose"]
    start, end = match.start(), match.end()
    before = text[max(0, start - _FAR) : start].rpartition(",")[2].strip()
    behind = text[end : end + _FAR].partition(",")[0].strip()
    port = int(number or loose) if number or loose else _SCHEMES.get(scheme)
    is_alone = not loose and bool(_BEFORE.fullmatch(before) and _BEHIND.fullmatch(behind))
    is_word = start == 0 or text[start - 1] in _WORD_BREAKS
    return Address(scheme, match["host"], port, loose is not None, match["option"] is not None, is_alone, is_word)


@dataclass(frozen=True)
class Name:
    """What a host names in a cluster.

    Attributes:
        namespace: The namespace of the Service; empty if the host lacks one.
        pod: The pod of a StatefulSet behind the Service, if the host names one that is known.
        domain: The domain after ``svc``; empty if there is none.
        is_certain: Whether the host contains ``svc``, so that it names a Service and nothing else.
        is_full: Whether the host contains the namespace.
    """

    service: str
    namespace: str
    pod: str = ""
    domain: str = ""
    is_certain: bool = False
    is_full: bool = False

    def of(self, model: ClusterModel) -> Object | None:
        """Return the Service, if the tree has it."""
        return model.get("Service", self.namespace, self.service)


def resolve(model: ClusterModel, host: str, namespace: str) -> Name | None:
    """Return what a host names for the pods of a namespace; None if it names no Service that is known.

    A host with ``svc`` names a Service whether or not it exists. Any other host names one only if the tree has it.
    """
    if "." not in host:
        # Most are words of a script.
        return Name(host, namespace) if model.get("Service", namespace, host) else None
    labels = host.split(".")
    if "svc" in labels:
        return _certain(labels)
    candidates = []
    if len(labels) in (2, 3):
        candidates.append(Name(labels[-2], labels[-1], labels[0] if len(labels) == 3 else "", is_full=True))
    if len(labels) == 2:
        candidates.append(Name(labels[-1], namespace, labels[0]))
    return next((name for name in candidates if name.of(model)), None)


def _certain(labels: list[str]) -> Name | None:
    place = labels.index("svc")
    domain = ".".join(labels[place + 1 :])
    # The name of an SRV record begins with _port._protocol.
    names = [label for label in labels[:place] if not label.startswith("_")]
    if len(names) >= 2 and not any(_PLACEHOLDER in name for name in names[-2:]):
        pod = names[-3] if len(names) == 3 and _PLACEHOLDER not in names[-3] else ""
        return Name(names[-2], names[-1], pod, domain, is_certain=True, is_full=True)
    if len(names) == 1 and "." in domain and _PLACEHOLDER not in names[0]:
        return Name(names[0], "", "", domain, is_certain=True)
    return None
