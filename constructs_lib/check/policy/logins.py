"""As whom services log in to their servers of data: not as who administrates them, and not as each other."""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.argocd.objects import Object
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.credentials import logins, names_password
from constructs_lib.kubernetes.manifest import Manifest, inner, mapping, mappings, sequence, texts
from constructs_lib.kubernetes.names import image
from constructs_lib.kubernetes.workloads import Container
from constructs_lib.text import listed

#: The variables by which an image is told the password of who administrates the server, by the image's name. What a
#: file holds has "_FILE" behind its name.
_SUPERUSERS = {
    **dict.fromkeys(("postgres", "postgis", "pgvector", "timescaledb"), ("POSTGRES_PASSWORD",)),
    "postgresql": ("POSTGRESQL_POSTGRES_PASSWORD", "POSTGRES_POSTGRES_PASSWORD"),
    **dict.fromkeys(("mysql", "mariadb"), ("MYSQL_ROOT_PASSWORD", "MARIADB_ROOT_PASSWORD")),
    **dict.fromkeys(("mongo", "mongodb"), ("MONGO_INITDB_ROOT_PASSWORD", "MONGODB_ROOT_PASSWORD")),
    "rabbitmq": ("RABBITMQ_DEFAULT_PASS", "RABBITMQ_PASSWORD"),
}
#: Images of servers that can tell their clients apart. Caches have one login by their nature.
_SERVERS = frozenset({*_SUPERUSERS, "cassandra"})
#: Workloads that run to their end: they set up, move and dump.
_ENDING = frozenset({"Job", "CronJob"})
#: How keys end of what servers and clients may have alike.
_NO_PASSWORD = re.compile(
    r"(?:^|[._-])(?:ca|cert|cookie|crt|database|db|dbname|host(?:name)?|jks|key|p12|pem|port|ur[il]|user(?:name)?)$",
    re.IGNORECASE,
)
#: Any key: of a Secret that is taken whole, and of which the tree does not tell the keys.
_ANY = "*"

#: Where a value comes from, whatever Secrets carry it; its key is last.
Value = tuple[str, ...]


@dataclass(frozen=True)
class _Held:
    """A secret value that pods have, and the field by which they have it."""

    value: Value
    at: str


def login_findings(model: ClusterModel) -> Iterator[Finding]:
    """Yield services that log in as superusers, and logins that several services share, but for those of a laptop."""
    if model.cluster.is_laptop:
        return
    servers = [pods for pods in model.pods if _is_server(pods)]
    if not servers:
        return
    origins = _Origins(model)
    services = [pods for pods in model.pods if pods.owner.kind not in _ENDING and not _is_server(pods)]
    held = [(pods, [*origins.held(pods)]) for pods in services]
    told: set[Value] = set()
    for server in servers:
        superusers = [*origins.superusers(server)] if server.owner.kind not in _ENDING else []
        told.update(superusers)
        for pods, values in held:
            found = next((each for each in values if any(_same(each.value, value) for value in superusers)), None)
            if found:
                problem = f"It has the password of who administrates {server.owner.kind}/{server.owner.name}."
                yield Finding.of("superuser-in-service", pods.owner, problem, at=found.at)
    yield from _shared(origins, servers, held, told)


def _shared(
    origins: "_Origins",
    servers: Sequence[Pods],
    held: Sequence[tuple[Pods, Sequence[_Held]]],
    superusers: set[Value],
) -> Iterator[Finding]:
    """Yield each password of a server that services of several workloads have."""
    # Those that run come first: a Job that sets a server up knows its passwords, too.
    known: dict[Value, Pods] = {}
    for server in sorted(servers, key=lambda pods: pods.owner.kind in _ENDING):
        for each in origins.held(server):
            if _is_password(each.value) and each.value not in superusers:
                known.setdefault(each.value, server)
    for value, server in known.items():
        clients = {f"{pods.owner.kind}/{pods.owner.name}": pods for pods, has in held if _has(has, value)}
        if len(clients) > 1:
            problem = f"{listed(sorted(clients))} have the same password of it."
            yield Finding.of("shared-login", server.owner, problem)


def _is_password(value: Value) -> bool:
    """Tell whether a value may be one by its name: servers and clients share certificates, too."""
    return value[-1] != _ANY and (value[0] == "text" or not _NO_PASSWORD.search(value[-1] or value[-2]))


def _has(held: Sequence[_Held], value: Value) -> bool:
    return any(_same(each.value, value) for each in held)


def _same(one: Value, other: Value) -> bool:
    return one == other or (one[:-1] == other[:-1] and _ANY in (one[-1], other[-1]))


def _image(container: Container) -> str:
    found = image(str(container.get("image")))
    return found.name if found else ""


def _is_server(pods: Pods) -> bool:
    return any(_image(container) in _SERVERS for container in pods.containers)


class _Origins:
    """Where the secret values of pods come from."""

    def __init__(self, model: ClusterModel) -> None:
        """Find what makes Secrets."""
        self._model = model
        self._made: dict[tuple[str, str], list[Object]] = {}
        for item in model.kind("ExternalSecret"):
            name = str(inner(item.spec, "target", "name") or item.name)
            self._made.setdefault((item.namespace, name), []).append(item)

    def superusers(self, pods: Pods) -> Iterator[Value]:
        """Yield the passwords of who administrates a server, of those that it has when it is set up."""
        for container in pods.containers:
            names = _SUPERUSERS.get(_image(container), ())
            files = self._files(pods, container)
            for name, each in self._variables(pods, container):
                if name in names:
                    yield each.value
            for name, variable in self._model.variables(pods, container).items():
                if name.removesuffix("_FILE") in names and name.endswith("_FILE"):
                    yield from (each.value for path, each in files if path == variable.value)

    def held(self, pods: Pods) -> Iterator[_Held]:
        """Yield the secret values that pods have, in variables and in files."""
        for container in pods.containers:
            yield from (each for _, each in self._variables(pods, container))
            yield from (each for _, each in self._files(pods, container))

    def _variables(self, pods: Pods, container: Container) -> Iterator[tuple[str, _Held]]:
        for variable in mappings(container.get("env")):
            name = str(variable.get("name"))
            at = f"{container.path}.env[{name}]"
            if isinstance(reference := inner(variable, "valueFrom", "secretKeyRef"), dict):
                yield name, _Held(self._value(pods, reference.get("name"), str(reference.get("key"))), at)
            elif isinstance(text := variable.get("value"), str) and "$(" not in text:
                if text and names_password(name) and not name.endswith("_FILE"):
                    yield name, _Held(("text", text), at)
                yield from ((name, _Held(("text", password), at)) for _, password in logins(text))
        for number, source in enumerate(mappings(container.get("envFrom"))):
            if isinstance(reference := source.get("secretRef"), dict):
                at, prefix = f"{container.path}.envFrom[{number}]", str(source.get("prefix") or "")
                for key in self._keys(pods, reference.get("name")):
                    yield f"{prefix}{key}", _Held(self._value(pods, reference.get("name"), key), at)

    def _files(self, pods: Pods, container: Container) -> Iterator[tuple[str, _Held]]:
        volumes = {str(volume.get("name")): (at, volume) for at, volume in pods.volumes}
        for mount in mappings(container.get("volumeMounts")):
            at, volume = volumes.get(str(mount.get("name")), ("", {}))
            folder, below = str(mount.get("mountPath")).rstrip("/"), str(mount.get("subPath") or "")
            sources = [
                mapping(each.get("secret")) for each in mappings(mapping(volume.get("projected")).get("sources"))
            ]
            for source in (mapping(volume.get("secret")), *sources):
                name = source.get("secretName", source.get("name"))
                items = {str(item.get("path")): str(item.get("key")) for item in mappings(source.get("items"))}
                if name:
                    for path, key in (items or {key: key for key in self._keys(pods, name)}).items():
                        if below in ("", path, key):
                            file = folder if below else f"{folder}/{path}"
                            yield file, _Held(self._value(pods, name, key), at)

    def _keys(self, pods: Pods, name: object) -> Sequence[str]:
        """Return the keys of a Secret; any, if the tree does not tell them."""
        made = self._made.get((pods.namespace, str(name)), [])
        keys = [str(entry.get("secretKey")) for item in made for entry in mappings(item.spec.get("data"))]
        if any(sequence(item.spec.get("dataFrom")) for item in made):
            keys.append(_ANY)
        if secret := self._secret(pods.namespace, name):
            keys += secret
        return keys or [_ANY]

    def _secret(self, namespace: str, name: object) -> Mapping[str, str]:
        """Return the values of a Secret that is in the tree."""
        item = self._model.get("Secret", namespace, str(name))
        manifest: Manifest = item.manifest if item else {}
        plain = texts(manifest.get("stringData"))
        return {**{key: _decoded(value) for key, value in texts(manifest.get("data")).items()}, **plain}

    def _value(self, pods: Pods, name: object, key: str) -> Value:
        for item in self._made.get((pods.namespace, str(name)), []):
            for entry in mappings(item.spec.get("data")):
                if entry.get("secretKey") == key and isinstance(remote := entry.get("remoteRef"), dict):
                    return self._remote(item, str(remote.get("key")), str(remote.get("property") or ""))
            for source in mappings(item.spec.get("dataFrom")):
                if extracted := inner(source, "extract", "key"):
                    return self._remote(item, str(extracted), key)
        if text := self._secret(pods.namespace, name).get(key):
            return ("text", text)
        return ("secret", pods.namespace, str(name), key)

    def _remote(self, item: Object, key: str, name: str) -> Value:
        """Return a value of a store; what the bootstrap copies there is the value that it is a copy of."""
        if (store := self._model.bootstrap.store) and (origin := store.values.get((key, name))):
            key, _, name = origin.partition("/")
        reference = mapping(item.spec.get("secretStoreRef"))
        kind, called = str(reference.get("kind") or "SecretStore"), str(reference.get("name"))
        namespace = item.namespace if kind == "SecretStore" else ""
        found = self._model.get(kind, namespace, called, "external-secrets.io")
        if found is None:
            return ("remote", kind, namespace, called, key, name)
        # Several stores may read from one place, each as somebody else.
        provider = {
            each: {field: value for field, value in mapping(told).items() if field != "auth"}
            for each, told in mapping(found.spec.get("provider")).items()
        }
        return ("remote", json.dumps(provider, sort_keys=True, default=str), key, name)


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError:
        return value
