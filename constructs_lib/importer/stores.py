"""Databases and brokers of Compose files that the library knows, where its kinds keep their data and behaviour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from constructs_lib.declare import validation
from constructs_lib.kubernetes import names

#: Size of a volume of which nothing is said.
SIZE = "10Gi"


@dataclass(frozen=True)
class Store:
    """A service as one of the kinds.

    Attributes:
        kind: The kind.
        arguments: Its arguments, beside the image.
        endpoint: Its endpoint.
        port: Its port.
        password: The text of its password in the file, with marks for variables.
        facts: What clients may be told, beside the password, by attribute.
        why_not: Why it is none of the kinds, though its image is known; then all else is empty.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    endpoint: str = ""
    port: int = 0
    password: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    why_not: str = ""


def store_of(reference: str, env: Mapping[str, str], words: list[str], *, has_volume: bool) -> Store | None:
    """Return what a service is by its image; None if the image is none of those that are known.

    Args:
        reference: Its image.
        env: Its variables, with marks for secrets.
        words: Its command.
        has_volume: Whether its data outlives it.
    """
    image = names.image(reference)
    official = {*_KINDS, "valkey/valkey"}
    if image is None or image.registry not in ("", "docker.io") or image.path.removeprefix("library/") not in official:
        return None
    kind, make = _KINDS[image.name]
    if validation.image(reference):
        return Store(kind, why_not=f"{reference} has no exact version; pin it, and it can be a {kind}")
    return make(image.tag, env, words, has_volume)


def _postgres(tag: str, env: Mapping[str, str], words: list[str], has_volume: bool) -> Store:
    user = env.get("POSTGRES_USER", "postgres")
    database = env.get("POSTGRES_DB", user)
    wrong = next((each for each in (user, database) if validation.sql_name(each)), None)
    if wrong is not None:
        return Store("Postgres", why_not=f'"{wrong}" is no plain name in a database')
    if words:
        return Store("Postgres", why_not="it has a command of its own")
    unknown = sorted(
        name for name in env if name.startswith(("POSTGRES_", "PG")) and name not in _OF_POSTGRES and env[name]
    )
    if unknown:
        return Store("Postgres", why_not=f"no argument says {', '.join(unknown)}")
    if env.get("POSTGRES_HOST_AUTH_METHOD"):
        return Store("Postgres", why_not="it lets in whoever comes, and a Postgres has a password")
    arguments = {"database": database, "user": user, "storage": SIZE}
    facts = {"database": database, "username": user}
    return Store("Postgres", arguments, "sql", 5432, env.get("POSTGRES_PASSWORD", ""), facts)


_OF_POSTGRES = ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE", "PGDATA")


def _rabbitmq(tag: str, env: Mapping[str, str], words: list[str], has_volume: bool) -> Store:
    version = re.match(r"(\d+)\.(\d+)", tag)
    user = env.get("RABBITMQ_DEFAULT_USER", "guest")
    why = ""
    if "management" not in tag:
        why = "the kind needs a management image"
    elif version and (int(version[1]), int(version[2])) < (4, 1):
        why = "the kind needs RabbitMQ 4.1 or later"
    elif user == "guest":
        why = 'its user is "guest", and the kind has none of that name'
    elif env.get("RABBITMQ_DEFAULT_VHOST", "/") != "/":
        why = "it has a virtual host of its own"
    elif words:
        why = "it has a command of its own"
    if why:
        return Store("RabbitMQ", why_not=why)
    arguments = {"user": user, "storage": SIZE}
    return Store("RabbitMQ", arguments, "amqp", 5672, env.get("RABBITMQ_DEFAULT_PASS", ""), {"username": user})


def _valkey(tag: str, env: Mapping[str, str], words: list[str], has_volume: bool) -> Store:
    text = " ".join(words)
    password = re.search(r"--requirepass\s+(\S+)", text)
    if not password:
        return Store("Valkey", why_not="it has no password, and a Valkey has one that its clients would not send")
    rest = re.sub(r"--requirepass\s+\S+|--appendonly\s+yes|(?:redis|valkey)-server", "", text).strip(" -c\"'")
    if rest and not re.fullmatch(r"(?:\s*(?:sh|exec|/bin/sh)\s*)*", rest):
        return Store("Valkey", why_not=f"no argument says {rest}")
    if has_volume and "--appendonly yes" not in text:
        return Store("Valkey", why_not="its volume has snapshots, which a Valkey does not read")
    arguments = {"storage": SIZE} if has_volume else {}
    return Store("Valkey", arguments, "resp", 6379, password[1], {"username": "default"})


def _cassandra(tag: str, env: Mapping[str, str], words: list[str], has_volume: bool) -> Store:
    return Store("Cassandra", why_not="it lets in whoever comes, and a Cassandra has a password and a keyspace")


_KINDS = {
    "postgres": ("Postgres", _postgres),
    "rabbitmq": ("RabbitMQ", _rabbitmq),
    "redis": ("Valkey", _valkey),
    "valkey": ("Valkey", _valkey),
    "cassandra": ("Cassandra", _cassandra),
}
