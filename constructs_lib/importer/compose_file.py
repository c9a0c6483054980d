"""Reads Compose files: anchors and merges, variables, ``include`` and ``extends``.

https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.credentials import holds_secret
from constructs_lib.importer.words import FILE, SERVICE
from constructs_lib.kubernetes.bounds import MOST_REPEATED, MOST_VALUES, nodes
from constructs_lib.text import nearest
from constructs_lib.user_error import UserError

#: Stands around the name of a variable whose value is a secret, in the place of the value.
MARK = "\0"
_MARKED = re.compile(f"{MARK}([^{MARK}]+){MARK}")
_VARIABLE = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])((?:[^{}]|\$\{[^{}]*\})*))?\})")
#: Keys whose values are lists of ``NAME=value`` or mappings.
_PAIRS = ("environment", "labels", "annotations", "extra_hosts", "sysctls")


class Located(dict[str, Any]):
    """A mapping that knows the lines of its keys."""

    def __init__(self, file: Path) -> None:
        """Begin empty."""
        super().__init__()
        self.file = file
        self.lines: dict[str, int] = {}

    def at(self, key: str) -> str:
        """Return where a key stands, for messages."""
        return f"{self.file}:{self.lines[key]}" if key in self.lines else str(self.file)


@dataclass
class ComposeFile:
    """A Compose file with all that it names.

    Attributes:
        file: The file.
        services: The services, by name, with what they extend.
        secrets: The secrets, by name.
        configs: The configs, by name.
        volumes: The named volumes.
        used: Values of variables that came from ``.env`` or a default, by name, for what is told.
        missing: Variables that nobody sets.
    """

    file: Path
    services: dict[str, Located] = field(default_factory=dict)
    secrets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    configs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    volumes: dict[str, Any] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


def load(file: Path) -> ComposeFile:
    """Return what a Compose file says.

    Raises:
        UserError: It cannot be read, or has mistakes; all of them are in it.
    """
    found = ComposeFile(file)
    problems: list[str] = []
    _take(found, file, _environment(file.parent / ".env"), problems, [])
    if not found.services and not problems:
        problems.append(f"{file}: it has no services.")
    if problems:
        raise UserError("\n".join((*problems, "Nothing was written.")))
    return found


def _take(found: ComposeFile, file: Path, variables: dict[str, str], problems: list[str], taken: list[Path]) -> None:
    if file in taken:
        problems.append(f"{file}: it includes itself.")
        return
    document = _read(file)
    resolved = _interpolated(document, lambda text: _filled(text, variables, found))
    for key in resolved:
        if key not in FILE and not key.startswith("x-"):
            problems.append(f'{document.at(key)}: a Compose file has no "{key}"; {nearest(key, FILE)}')
    services = resolved.get("services")
    for each in _listed(resolved.get("include")):
        for path in _listed(each.get("path") if isinstance(each, dict) else each):
            if not (file.parent / path).is_file():
                problems.append(f"{document.at('include')}: there is no file {path}.")
                continue
            _take(found, file.parent / path, variables, problems, [*taken, file])
    if services is not None and not isinstance(services, dict):
        problems.append(f"{document.at('services')}: services is a mapping by their names.")
        services = {}
    for name, service in (services or {}).items():
        if not isinstance(service, Located):
            problems.append(f"{services.at(name)}: the service {name} is a mapping, such as image: nginx:1.27.")
            continue
        for key in service:
            if key not in SERVICE and not key.startswith("x-"):
                problems.append(f'{service.at(key)}: the service {name}: there is no "{key}"; {nearest(key, SERVICE)}')
        try:
            found.services[name] = _extended(file, services, name, service, variables, found, [])
        except UserError as error:
            problems.append(str(error))
    for target, key in ((found.secrets, "secrets"), (found.configs, "configs"), (found.volumes, "volumes")):
        if isinstance(said := resolved.get(key), dict):
            target |= {name: each or {} for name, each in said.items()}


def _extended(
    file: Path,
    services: Mapping[str, Any],
    name: str,
    service: Located,
    variables: dict[str, str],
    found: ComposeFile,
    seen: list[tuple[Path, str]],
) -> Located:
    """Return a service merged into the one that it extends."""
    service = _paired(service)
    extends = service.pop("extends", None)
    if extends is None:
        return service
    said = {"service": extends} if isinstance(extends, str) else dict(extends)
    other, base = str(said.get("service", "")), file
    at = service.at("extends")
    if said.get("file"):
        base = file.parent / str(said["file"])
        if not base.is_file():
            raise UserError(f"{at}: the service {name} extends one of {said['file']}, and there is no such file.")
        document = _interpolated(_read(base), lambda text: _filled(text, variables, found))
        services = document.get("services") or {}
    if other not in services:
        raise UserError(f'{at}: the service {name} extends "{other}", which there is not; {nearest(other, services)}')
    if (base, other) in seen:
        raise UserError(f"{at}: the service {name} extends itself.")
    parent = _extended(base, services, other, services[other], variables, found, [*seen, (base, other)])
    return _merged(parent, service)


def _merged(parent: Located, own: Located) -> Located:
    """Return a service with what it takes over: mappings key by key, lists one after the other, else its own.

    https://github.com/compose-spec/compose-spec/blob/main/spec.md#extends
    """
    result = Located(own.file)
    result.lines = {**parent.lines, **own.lines}
    result.update({key: each for key, each in parent.items() if key not in ("depends_on", "links", "volumes_from")})
    for key, value in own.items():
        before = result.get(key)
        if key in ("command", "entrypoint", "test"):
            result[key] = value
        elif isinstance(before, Located) and isinstance(value, Located):
            result[key] = _merged(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            result[key] = [*(each for each in before if _target(each) not in map(_target, value)), *value]
        else:
            result[key] = value
    return result


def _target(entry: Any) -> str:
    """Return by what an entry of volumes and the like overrides another one."""
    if isinstance(entry, dict):
        return str(entry.get("target", entry.get("source", entry)))
    parts = str(entry).split(":")
    return parts[1] if len(parts) > 1 and parts[1].startswith("/") else str(entry)


def _paired(service: Located) -> Located:
    """Return a service whose variables and labels are mappings."""
    result = Located(service.file)
    result.lines = service.lines
    for key, value in service.items():
        if key in _PAIRS and isinstance(value, list):
            pairs = Located(service.file)
            for each in value:
                name, mark, text = str(each).partition("=")
                pairs[name] = text if mark else None
            value = pairs
        result[key] = value
    return result


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


# YAML.


def _read(file: Path) -> Located:
    try:
        found = [*nodes(file.read_bytes())]
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}.") from error
    except yaml.MarkedYAMLError as error:
        at = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{file}{at}: this is no YAML: {error.problem}. Nothing was written.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: this cannot be read: {error}. Nothing was written.") from error
    if len(found) != 1 or not isinstance(found[0], yaml.MappingNode):
        what = "empty" if not found else "several documents" if len(found) > 1 else "no mapping"
        raise UserError(
            f"{file}: a Compose file is one mapping with services, and this is {what}. Nothing was written."
        )
    counter = iter(range(MOST_VALUES))
    result = _built(file, found[0], counter)
    assert isinstance(result, Located)
    return result


def _built(file: Path, node: yaml.Node, counter: Iterator[int]) -> Any:
    """Return the value of a node: texts, lists, mappings and None, as Compose leaves the types to who reads them."""
    if next(counter, None) is None:
        raise UserError(f"{file}: its anchors repeat too many values. Nothing was written.")
    if isinstance(node, yaml.ScalarNode):
        is_null = node.style is None and node.value in ("", "~", "null", "Null", "NULL")
        return None if is_null else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_built(file, each, counter) for each in node.value]
    result = Located(file)
    own = []
    for key, value in node.value:
        if key.value == "<<":
            for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                for name, merged in _built(file, each, counter).items():
                    result.setdefault(name, merged)
        else:
            own.append((key, value))
    for key, value in own:
        result[str(key.value)] = _built(file, value, counter)
        result.lines[str(key.value)] = key.start_mark.line + 1
    if len(result) > MOST_REPEATED:
        raise UserError(f"{file}: it is too large.")
    return result


# Variables.


def _interpolated(value: Any, fill: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return fill(value) if "$" in value else value
    if isinstance(value, list):
        return [_interpolated(each, fill) for each in value]
    if isinstance(value, Located):
        result = Located(value.file)
        result.lines = value.lines
        result.update({key: _interpolated(each, fill) for key, each in value.items()})
        return result
    return value


def _filled(text: str, variables: Mapping[str, str], found: ComposeFile) -> str:
    """Return a text with the values of variables; a secret stays a marked name."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name is None:
            return "$"
        operator, rest = match[3] or "", match[4] or ""
        if holds_secret(name, variables=True):
            return f"{MARK}{name}{MARK}"
        known = variables.get(name)
        is_set = bool(known) if operator.startswith(":") else known is not None
        if operator.endswith("+"):
            return _filled(rest, variables, found) if is_set else ""
        if is_set:
            found.used[name] = str(known)
            return str(known)
        if operator.endswith("-"):
            found.used[name] = rest
            return _filled(rest, variables, found)
        found.missing.add(name)
        return ""

    return _VARIABLE.sub(value, text)


def marks(text: str) -> list[str]:
    """Return the names of the secrets that stand in a text."""
    return _MARKED.findall(text)


def unmarked(text: str) -> str:
    """Return a text whose secrets are as Kubernetes refers to variables."""
    return _MARKED.sub(r"$(\1)", text)


def _environment(file: Path) -> dict[str, str]:
    return read_env(file) if file.is_file() else {}


def read_env(file: Path) -> dict[str, str]:
    """Return the variables in a file such as ``.env``.

    Raises:
        UserError: It cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: it cannot be read: {error}") from error
    found = {}
    for line in text.splitlines():
        name, mark, value = line.strip().removeprefix("export ").partition("=")
        if mark and not name.startswith("#"):
            value = value.strip()
            quote = value[:1]
            if quote in ("'", '"') and value.endswith(quote) and len(value) > 1:
                value = value[1:-1]
            else:
                value = value.partition(" #")[0].rstrip()
            found[name.strip()] = value
    return found
