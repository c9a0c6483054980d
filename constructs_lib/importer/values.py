"""Arguments that Compose files and manifests have in common: images, variables, resources, files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, count

from constructs_lib.credentials import holds_login, holds_secret, is_well_known
from constructs_lib.declare import validation
from constructs_lib.declare.component import PodSecurity
from constructs_lib.importer.code import Call, Name, call
from constructs_lib.importer.model import GUESSED, SUPPLIED, Imported
from constructs_lib.importer.words import BASELINE
from constructs_lib.kubernetes.quantity import parse_quantity, quantity

#: What is no secret whatever its variable is called: a number, a switch, a path, a duration.
_PLAIN = re.compile(r"[0-9.]*[a-z]{0,2}|true|false|yes|no|on|off|(?:/[\w.-]+)+/?", re.IGNORECASE)
#: Lines of a text up to which it stands in the declaration.
_SHORT = 2
#: A limit, where there is only a request: so many times that.
_HEADROOM = 2


def level_of(capabilities: Iterable[str]) -> PodSecurity:
    """Return the Pod Security level that permits some added capabilities."""
    added = {each.upper() for each in capabilities}
    return "restricted" if added <= {"NET_BIND_SERVICE"} else "baseline" if added <= BASELINE else "privileged"


def variable(imported: Imported, program: str, name: str, value: str) -> str | Call:
    """Return the value of a variable in the declaration: never one that is, or may be, a secret."""
    looks_secret = validation.plain_secret(name, value) is not None
    if holds_secret_text(value):
        return secret(imported, program, name, is_address=holds_login(value))
    if not looks_secret and not holds_secret(name, variables=True):
        return value
    if _PLAIN.fullmatch(value):
        return call("plain", value) if looks_secret else value
    return secret(imported, program, name)


def holds_secret_text(text: str) -> bool:
    """Tell whether a text holds a login with its password, a key or a token."""
    return is_well_known(text) or holds_login(text)


def secret(imported: Imported, program: str, name: str, *, is_address: bool = False) -> Call:
    """Return a secret in the place of a value that is left out, and have a person told what to supply."""
    purpose = f"{name} of {program}"
    more = ", an address with a login" if is_address else ""
    imported.note(SUPPLIED, f"{purpose}{more}")
    return call("supplied", purpose)


def image(imported: Imported, program: str, reference: str) -> str:
    """Return an image; one whose tag may move is told."""
    if validation.image(reference):
        imported.note(GUESSED, f'{program}: {reference} has no exact version; image_tags="any" permits it. Pin it.')
    return reference


def resources(imported: Imported, program: str, requests: dict[str, object], limits: dict[str, object]) -> Call | None:
    """Return what a container asks for; None if nothing is said. What is not said is told.

    Requests that are left out are as great as the limits, which is what Kubernetes makes of them.
    """
    wanted = {**limits, **requests}
    extended = {str(name): int(str(value)) for name, value in limits.items() if "/" in str(name)}
    cpu, memory, limit = (
        str(each) for each in (wanted.get("cpu", ""), wanted.get("memory", ""), limits.get("memory", ""))
    )
    if not (cpu or memory or extended):
        return None
    if not cpu:
        cpu = "100m"
        imported.note(GUESSED, f"{program}: it asks for 100m of CPU, of which nothing is said.")
    if not memory:
        memory, limit = "256Mi", "512Mi"
        imported.note(GUESSED, f"{program}: it asks for 256Mi of memory and gets 512Mi, of which nothing is said.")
    elif not limit and quantity(memory):
        limit = _mebibytes(float(parse_quantity(memory)) * _HEADROOM)
        imported.note(
            GUESSED, f"{program}: its memory is limited to {limit}, twice what it asks for; there is no limit."
        )
    named = {"cpu_limit": str(limits["cpu"])} if "cpu" in limits else {}
    arguments = (cpu, memory) if limit == memory else (cpu, memory, limit)
    return Call("Resources", arguments, {**named, **({"extended": extended} if extended else {})})


def _mebibytes(size: float) -> str:
    return f"{max(1, round(size / 2**20))}Mi"


def file(imported: Imported, owner: str, name: str, text: str) -> str | Name:
    """Return the content of a file: as it stands where it is short, else as a file beside the declaration."""
    if text.count("\n") < _SHORT and len(text) <= 80:
        return text
    paths = chain((f"files/{name}", f"files/{owner}/{name}"), (f"files/{owner}-{number}/{name}" for number in count(2)))
    return Name(f'HERE / "{_beside(imported, text, paths)}"')


def word(imported: Imported, program: str, text: str) -> str | Name:
    """Return a word of a command: a script of several lines is a file beside the declaration."""
    if text.count("\n") < _SHORT and len(text) <= 100:
        return text
    paths = chain((f"files/{program}.sh",), (f"files/{program}-{number}.sh" for number in count(2)))
    return Name(f'(HERE / "{_beside(imported, text, paths)}").read_text()')


def _beside(imported: Imported, text: str, paths: Iterable[str]) -> str:
    """Have a file beside the declaration hold a text, and return its path: the first at which no other text is."""
    path = next(path for path in paths if imported.files.get(path, text) == text)
    imported.files[path] = text
    return path
