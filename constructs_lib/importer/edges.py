"""Edges between programs, found in their variables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from constructs_lib.importer.model import GUESSED, Imported, Need, Program

_HOST = re.compile(r"(?<![\w.-])([a-z](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9-]+){0,5})(?::([0-9]{1,5}))?(?![\w.-]|:[0-9])")


def find_edges(imported: Imported) -> None:
    """Add the edges that variables tell, and take out of the environment what an edge gives."""
    for program in imported.programs:
        env = program.arguments.get("env", {})
        for variable, value in list(env.items()):
            if not isinstance(value, str):
                continue
            for server, port, is_whole in _servers(imported, program, variable, value):
                if server is program:
                    continue
                attribute = _attribute(server, port, value, is_whole)
                endpoint = server.hosts[_host(value, server)].get(port or 0) if port else None
                endpoint = endpoint or next(iter(server.ports), "")
                if not endpoint:
                    continue
                need = _need(program, server, endpoint)
                if attribute:
                    need.variables[variable] = attribute
                    env.pop(variable, None)
        _ports_beside_hosts(imported, program)
        if not env:
            program.arguments.pop("env", None)
    _dangling(imported)
    break_circles(imported)


def _ports_beside_hosts(imported: Imported, program: Program) -> None:
    """Have ``DB_PORT`` come from the endpoint that ``DB_HOST`` comes from."""
    env = program.arguments.get("env", {})
    for need in program.needs:
        port = imported.program(need.server).ports.get(need.endpoint)
        for host in [name for name, attribute in need.variables.items() if attribute == "host"]:
            beside = re.sub(r"(HOSTNAME|HOST|SERVER|ADDR|ADDRESS)$", "PORT", host)
            if beside != host and env.get(beside) == str(port):
                need.variables[beside] = "port"
                del env[beside]


def _need(program: Program, server: Program, endpoint: str) -> Need:
    for each in program.needs:
        if each.server == server.key and each.endpoint == endpoint:
            return each
    program.needs.append(Need(server.key, endpoint))
    return program.needs[-1]


def _host(value: str, server: Program) -> str:
    for match in _HOST.finditer(value):
        if (name := match[1].partition(".")[0]) in server.hosts:
            return name
    return next(iter(server.hosts))


def _servers(
    imported: Imported, program: Program, variable: str, value: str
) -> Iterator[tuple[Program, int | None, bool]]:
    """Yield the programs whose Services a text names, with the port, and whether it names nothing else."""
    for match in _HOST.finditer(value):
        host, port = match[1], int(match[2]) if match[2] else None
        name, _, domain = host.partition(".")
        namespace, _, further = domain.partition(".")
        if further and not re.fullmatch(r"svc(\.[a-z0-9-]+)*", further):
            continue
        # A word is the name of a host only where it is all of the value, or has a port or a scheme beside it.
        before = value[: match.start()]
        is_whole = match[0] == value
        if not (is_whole or port or before.endswith(("://", "@"))):
            continue
        for other in imported.programs:
            group = imported.groups[other.group]
            if name in other.hosts and (group.namespace == namespace if namespace else other.group == program.group):
                if is_whole and port is None and not _names_host(imported, program, variable, name):
                    continue
                yield other, port, is_whole


#: What variables are called that hold the name of a host and nothing else.
_MEANS_HOST = re.compile(r"(HOST|HOSTNAME|SERVER|ADDR|ADDRESS|ENDPOINT|URL|SERVICE|BROKER|NODE)S?\d*$", re.IGNORECASE)


def _names_host(imported: Imported, program: Program, variable: str, name: str) -> bool:
    """Tell whether a variable with a bare word means the host of that name."""
    if _MEANS_HOST.search(variable):
        return True
    text = f'{program.id}: {variable} is "{name}", which is a Service, too; it is taken for another word.'
    imported.note(GUESSED, text)
    return False


def _attribute(server: Program, port: int | None, value: str, is_whole: bool) -> str:
    """Return the attribute of an endpoint that a variable has; empty if it has more than that."""
    if not is_whole or (name := _host(value, server)) != server.id:
        return ""
    if port is None:
        return "host"
    return "address" if server.hosts[name].get(port) else ""


def _dangling(imported: Imported) -> None:
    """Tell of addresses that lead to no Service of the source."""
    known = {name for program in imported.programs for name in program.hosts}
    for program in imported.programs:
        for variable, value in program.arguments.get("env", {}).items():
            if not isinstance(value, str):
                continue
            match = _HOST.fullmatch(value)
            if match and match[2] and "." not in match[1] and match[1] not in known and match[1] != "localhost":
                imported.note(
                    GUESSED, f"{program.id}: {variable} leads to {value}, and there is no Service {match[1]}."
                )


def break_circles(imported: Imported) -> None:
    """Take the order out of edges that would close a circle, the later ones of the source first."""
    orders: dict[tuple[str, str], set[tuple[str, str]]] = {}

    def reaches(start: tuple[str, str], goal: tuple[str, str]) -> bool:
        seen, todo = {start}, [start]
        while todo:
            here = todo.pop()
            if here == goal:
                return True
            for each in orders.get(here, ()):
                if each not in seen:
                    seen.add(each)
                    todo.append(each)
        return False

    def across(one: tuple[str, str], other: tuple[str, str]) -> bool:
        """Tell whether two components would wait for each other."""
        components: dict[str, set[str]] = {}
        for key, servers in orders.items():
            components.setdefault(key[0], set()).update(each[0] for each in servers if each[0] != key[0])
        seen, todo = {other[0]}, [other[0]]
        while todo:
            here = todo.pop()
            if here == one[0]:
                return True
            for each in components.get(here, set()) - seen:
                seen.add(each)
                todo.append(each)
        return False

    for program in imported.programs:
        for need in program.needs:
            closes = reaches(need.server, program.key) or (
                need.server[0] != program.group and across(program.key, need.server)
            )
            if closes:
                need.order = False
                text = f"{program.id} and {need.server[1]} wait for each other; {program.id} does not wait."
                imported.note(GUESSED, text)
            else:
                orders.setdefault(program.key, set()).add(need.server)
