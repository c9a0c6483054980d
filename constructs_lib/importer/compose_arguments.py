"""Arguments of a program from the keys of a service of Compose."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.importer.code import Call
from constructs_lib.importer.compose_file import unmarked
from constructs_lib.importer.words import STORES
from constructs_lib.kubernetes import names

_HTTP = frozenset({80, 3000, 4000, 4200, 5000, 8000, 8080, 8081, 8888, 9000})
#: What asks by HTTP in a health check.
_ASKS = re.compile(
    r"\b(?:curl|wget)\b.{0,200}?\bhttp://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::([0-9]+))?(/[^\s'\"|;&]*)?"
)
#: Defaults of Compose for health checks, in seconds, and their failures.
_PERIOD, _TIMEOUT, _FAILURES = 30, 30, 3


@dataclass(frozen=True)
class Listens:
    """A port of a service; ``published`` is its number outside, 0 for none."""

    number: int
    protocol: str = "TCP"
    published: int = 0


@dataclass(frozen=True)
class Mount:
    """What is mounted: a ``volume`` by its name, a ``bind`` of a path, or ``tmpfs``."""

    kind: str
    source: str
    target: str
    read_only: bool = False


def listed(value: Any) -> list[Any]:
    """Return a list, or the one value that stands for it."""
    return value if isinstance(value, list) else [] if value is None else [value]


def whole(value: Any) -> int | None:
    """Return a whole number; None for what is none."""
    return int(value) if isinstance(value, str | int) and str(value).isdigit() else None


def words(value: Any) -> list[str]:
    """Return the words of a command, which is a list or a text as a shell reads it."""
    if isinstance(value, list):
        return [str(each) for each in value]
    try:
        return shlex.split(value) if value else []
    except ValueError:
        return ["/bin/sh", "-c", value]


def seconds(value: Any) -> int:
    """Return a duration such as ``1m30s`` in whole seconds, at least one; 0 for none."""
    factors = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
    found = re.findall(r"([0-9.]+)(us|ms|s|m|h)", str(value or ""))
    return max(1, round(sum(float(number) * factors[unit] for number, unit in found))) if found else 0


def published(service: Mapping[str, Any]) -> bool:
    """Tell whether a port of a service is published to more than the machine."""
    return any(each.published for each in _declared(service))


def _declared(service: Mapping[str, Any]) -> list[Listens]:
    found = []
    for each in listed(service.get("ports")):
        if isinstance(each, dict):
            host = str(each.get("host_ip") or "")
            said = (str(each.get("published") or ""), str(each.get("target")), str(each.get("protocol") or "tcp"))
        else:
            text, _, protocol = str(each).partition("/")
            *front, target = text.rsplit(":", 1)
            outer = front[0] if front else ""
            host, _, number = outer.rpartition(":")
            said = (number, target, protocol or "tcp")
        outside, inside = _range(said[0]), _range(said[1])
        is_local = host.strip("[]") in ("127.0.0.1", "::1", "localhost")
        for place, inner in enumerate(inside):
            at = outside[place] if len(outside) == len(inside) and not is_local else 0
            found.append(Listens(inner, said[2].upper(), at))
    for each in listed(service.get("expose")):
        text, _, protocol = str(each).partition("/")
        found += [Listens(inner, (protocol or "tcp").upper()) for inner in _range(text)]
    return found


def _range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        return []
    return [*range(int(first), int(last or first) + 1)][:20]


def ports(service: Mapping[str, Any], reference: str, called: set[int]) -> dict[str, Listens]:
    """Return the ports of a service by name: those it declares, those others call, and those of its image."""
    declared = _declared(service)
    image = names.image(unmarked(reference))
    known = STORES.get(image.name, {}) if image else {}
    numbers = [each.number for each in declared]
    declared += [Listens(number) for number in sorted({*called, *known.values()} - {*numbers})]
    asked, _ = asked_at(service)
    found: dict[str, Listens] = {}
    by_number = {number: name for name, number in known.items()}
    for each in declared:
        name = by_number.get(each.number) or (
            "http" if each.number in _HTTP or each.number == asked else each.protocol.lower()
        )
        name = name if name not in found else f"{name}-{each.number}"
        if (each.number, each.protocol) in {(one.number, one.protocol) for one in found.values()}:
            continue
        found[name] = each
    return found


def asked_at(service: Mapping[str, Any]) -> tuple[int, str]:
    """Return the port and the path at which a health check asks by HTTP; 0 for none."""
    match = _ASKS.search(" ".join(_test(service)))
    return (int(match[1] or 80), match[2] or "/") if match else (0, "")


def _test(service: Mapping[str, Any]) -> list[str]:
    check = service.get("healthcheck") or {}
    test = check.get("test")
    if str(check.get("disable", "")).lower() == "true" or test in (None, ["NONE"], "NONE"):
        return []
    return ["CMD-SHELL", test] if isinstance(test, str) else [str(each) for each in test]


def probe(service: Mapping[str, Any], listening: Mapping[str, Listens], env: dict[str, str]) -> dict[str, Any]:
    """Return the probes of a health check, and how long a program may take to start; nothing without one.

    Compose leaves a container alone that is not healthy: so it tells when one takes traffic.
    """
    check, test = service.get("healthcheck") or {}, _test(service)
    if not test:
        return {}
    timings = {
        "period_seconds": seconds(check.get("interval")) or _PERIOD,
        "timeout_seconds": seconds(check.get("timeout")) or _TIMEOUT,
        "failures": whole(check.get("retries")) or _FAILURES,
    }
    number, path = asked_at(service)
    port = next((name for name, each in listening.items() if each.number == number), "")
    if port:
        made = Call("Http", (path, port), timings)
    else:
        command = test[1:] if test[0] == "CMD" else ["/bin/sh", "-c", *test[1:]] if test[0] == "CMD-SHELL" else test
        made = Call("Exec", ([_in_shell(each) for each in command],), timings)
    start = seconds(check.get("start_period"))
    return {"readiness": made, **({"start_seconds": start} if start > 180 else {})}


def _in_shell(text: str) -> str:
    """Return a word of a command that the container runs, where secrets are variables of the shell."""
    return re.sub("\0([^\0]+)\0", r"$\1", text)


def sizes(service: Mapping[str, Any]) -> tuple[dict[str, object], dict[str, object]]:
    """Return what a service asks for and what it is limited to, as Kubernetes writes quantities."""
    said = (service.get("deploy") or {}).get("resources") or {}
    parts: list[dict[str, object]] = []
    for key, cpus, memory in (("reservations", None, "mem_reservation"), ("limits", "cpus", "mem_limit")):
        part = said.get(key) or {}
        amount = part.get("cpus") or (service.get(cpus) if cpus else None)
        size = part.get("memory") or service.get(memory)
        parts.append({**({"cpu": _cores(amount)} if amount else {}), **({"memory": _bytes(size)} if size else {})})
    return parts[0], parts[1]


def _cores(value: Any) -> str:
    cores = float(str(value))
    return str(int(cores)) if cores == int(cores) else f"{round(cores * 1000)}m"


def _bytes(value: Any) -> str:
    """Return a size, whose units are powers of 1024 in Compose."""
    match = re.fullmatch(r"([0-9.]+)\s*([bkmgt]?)b?", str(value).strip().lower())
    if not match:
        return str(value)
    number = float(match[1])
    unit = {"": "", "b": "", "k": "Ki", "m": "Mi", "g": "Gi", "t": "Ti"}[match[2]]
    return (
        f"{int(number)}{unit}"
        if number == int(number)
        else f"{round(number * 1024)}{ {'Mi': 'Ki', 'Gi': 'Mi', 'Ti': 'Gi'}.get(unit, '') }"
    )


def mounts(service: Mapping[str, Any]) -> list[Mount]:
    """Return what a service mounts."""
    found = []
    for each in listed(service.get("volumes")):
        if isinstance(each, dict):
            kind, source = str(each.get("type") or "volume"), str(each.get("source") or "")
            read_only = str(each.get("read_only", "")).lower() == "true"
            found.append(
                Mount(kind if source or kind == "tmpfs" else "anonymous", source, str(each.get("target")), read_only)
            )
            continue
        source, _, rest = str(each).partition(":")
        target, _, mode = rest.partition(":")
        if not rest:
            found.append(Mount("anonymous", "", source))
        else:
            kind = "bind" if source.startswith((".", "/", "~")) else "volume"
            found.append(Mount(kind, source, target, "ro" in mode.split(",")))
    found += [Mount("tmpfs", "", str(each).partition(":")[0]) for each in listed(service.get("tmpfs"))]
    return found


def may_repeat(text: str) -> bool:
    """Tell whether a script of SQL changes nothing when it is run again, as far as its words tell."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    for statement in filter(None, (each.strip() for each in text.split(";"))):
        is_safe = re.match(r"create\s+(or\s+replace\b|[\w\s]*?\bif\s+not\s+exists\b)", statement, re.IGNORECASE)
        is_upsert = re.match(r"insert\b", statement, re.IGNORECASE) and re.search(
            r"\bon\s+conflict\b", statement, re.IGNORECASE
        )
        if not (is_safe or is_upsert):
            return False
    return True
