"""Proof that what pods read, mount and run as exists: ConfigMaps, Secrets, volumes, claims and service accounts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.addresses import texts_of_container
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel, Pods
from constructs_lib.check.references.secret_sources import SecretSources
from constructs_lib.check.storage import claims, class_of, is_shared, known_classes, storage_classes
from constructs_lib.kubernetes.manifest import mapping, sequence, texts
from constructs_lib.text import hint, within

_PODS = "https://kubernetes.io/docs/concepts/"


#: ConfigMaps that controllers of Kubernetes put into every namespace.
_GIVEN_CONFIG_MAPS = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
_PRIORITY_CLASSES = frozenset({"system-cluster-critical", "system-node-critical"})
#: Variables whose reference is not escaped; ``$$(NAME)`` stands for the text ``$(NAME)``.
_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)")
#: Variables that the kubelet sets for the Services of a namespace, and always for that of the API server.
_SERVICE_LINK = re.compile(r"[A-Z0-9_]+_(?:SERVICE_HOST|SERVICE_PORT|PORT)(?:_[A-Z0-9_]+)?")


def prove_configuration(model: ClusterModel) -> Iterator[Finding]:
    """Yield everything that pods need and do not get, and everything that is made for nobody."""
    yield from _Configuration(model).prove()
    yield from _storage(model)


def references(pods: Pods) -> Iterator[tuple[str, str, str, str | None, bool]]:
    """Yield what pods read: kind, name, field, key (None for all of them), and whether they can do without it."""
    for path, container in pods.containers:
        for variable in map(mapping, sequence(container.get("env"))):
            source = mapping(variable.get("valueFrom"))
            at = f"{path}.env[{variable.get('name')}].valueFrom"
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if isinstance(source.get(field), dict):
                    read = source[field]
                    yield kind, str(read.get("name")), f"{at}.{field}", str(read.get("key")), _optional(read)
        for number, source in enumerate(map(mapping, sequence(container.get("envFrom")))):
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if isinstance(source.get(field), dict):
                    read = source[field]
                    yield kind, str(read.get("name")), f"{path}.envFrom[{number}].{field}", None, _optional(read)
    for volume in map(mapping, sequence(pods.spec.get("volumes"))):
        at = f"{pods.path}.volumes[{volume.get('name')}]"
        yield from _volume_references(volume, at)
        for number, source in enumerate(map(mapping, sequence(mapping(volume.get("projected")).get("sources")))):
            yield from _volume_references(source, f"{at}.projected.sources[{number}]")
    for number, entry in enumerate(map(mapping, sequence(pods.spec.get("imagePullSecrets")))):
        yield "Secret", str(entry.get("name")), f"{pods.path}.imagePullSecrets[{number}]", None, False


def _volume_references(volume: Mapping[str, Any], at: str) -> Iterator[tuple[str, str, str, str | None, bool]]:
    for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
        source = volume.get(field)
        if not isinstance(source, dict):
            continue
        # A projected Secret is called name, one of its own secretName.
        name = str(source.get("secretName", source.get("name")))
        items = list(map(mapping, sequence(source.get("items"))))
        for number, item in enumerate(items):
            yield kind, name, f"{at}.{field}.items[{number}].key", str(item.get("key")), _optional(source)
        if not items:
            yield kind, name, f"{at}.{field}", None, _optional(source)


def _optional(source: Mapping[str, Any]) -> bool:
    return source.get("optional") is True


def claim_names(pods: Pods) -> Iterator[tuple[str, str]]:
    """Yield name and field of every claim that pods mount."""
    for volume in map(mapping, sequence(pods.spec.get("volumes"))):
        name = mapping(volume.get("persistentVolumeClaim")).get("claimName")
        if isinstance(name, str):
            yield name, f"{pods.path}.volumes[{volume.get('name')}].persistentVolumeClaim.claimName"


def service_account(pods: Pods) -> str:
    """Return the name of the ServiceAccount that pods run as."""
    return str(pods.spec.get("serviceAccountName") or pods.spec.get("serviceAccount") or "default")


class _Configuration:
    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._closed = model.closed_namespaces
        self._secrets = SecretSources(model)
        self._names: dict[tuple[str, str], set[str]] = defaultdict(set)
        for item in model.kind("ConfigMap", "ServiceAccount", "PersistentVolumeClaim"):
            self._names[item.kind, item.namespace].add(item.name)
        self._read: set[tuple[str, str, str]] = set()

    def prove(self) -> Iterator[Finding]:
        for pods in self._model.pods:
            for kind, name, at, key, optional in references(pods):
                self._read.add((kind, pods.namespace, name))
                if not optional:
                    check = self._config_map if kind == "ConfigMap" else self._secret
                    yield from check(pods.owner, name, at, key)
            yield from self._volumes(pods)
            yield from self._service_account(pods)
            yield from self._variables(pods)
            yield from self._priority(pods)
        yield from self._others()
        yield from self._unused()

    def _config_map(self, owner: Object, name: str, at: str, key: str | None) -> Iterator[Finding]:
        found = self._model.get("ConfigMap", owner.namespace, name)
        if found is not None:
            keys = mapping(found.manifest.get("data")).keys() | mapping(found.manifest.get("binaryData")).keys()
            if key is not None and key not in keys:
                yield Finding.of(
                    "config-map-key-missing",
                    owner,
                    f'The ConfigMap {name} has no key "{key}".',
                    at=at,
                    fix=hint("key", key, keys),
                )
        elif owner.namespace in self._closed and name not in _GIVEN_CONFIG_MAPS:
            yield Finding.of(
                "config-map-missing",
                owner,
                f"There is no ConfigMap {name}{within(owner.namespace)}.",
                at=at,
                fix=hint("ConfigMap", name, self._names["ConfigMap", owner.namespace]),
            )

    def _secret(self, owner: Object, name: str, at: str, key: str | None) -> Iterator[Finding]:
        if self._secrets.makes(owner.namespace, name):
            keys = self._secrets.keys(owner.namespace, name)
            if key is not None and keys is not None and key not in keys:
                yield Finding.of(
                    "secret-key-missing",
                    owner,
                    f'The Secret {name} gets no key "{key}".',
                    at=at,
                    fix=hint("key", key, keys),
                )
        elif owner.namespace in self._closed and not self._is_mentioned(owner.namespace, name):
            yield Finding.of(
                "secret-missing",
                owner,
                f"Nothing makes a Secret {name}{within(owner.namespace)}.",
                at=at,
                fix=hint("Secret", name, self._secrets.names(owner.namespace)),
            )

    def _volumes(self, pods: Pods) -> Iterator[Finding]:
        volumes = {str(volume.get("name")) for volume in map(mapping, sequence(pods.spec.get("volumes")))}
        templates = {name for _, name, _ in claims(pods.owner)}
        mounted: set[str] = set()
        for path, container in pods.containers:
            for field in ("volumeMounts", "volumeDevices"):
                for number, mount in enumerate(map(mapping, sequence(container.get(field)))):
                    name = str(mount.get("name"))
                    mounted.add(name)
                    if name not in volumes | templates:
                        yield Finding.of(
                            "mount-without-volume",
                            pods.owner,
                            f'The pods have no volume "{name}".',
                            at=f"{path}.{field}[{number}].name",
                            fix=hint("volume", name, volumes | templates),
                        )
        for name in sorted((volumes | templates) - mounted):
            yield Finding.of(
                "volume-not-mounted",
                pods.owner,
                f'No container mounts the volume "{name}".',
                at=f"{pods.path}.volumes[{name}]",
            )
        for name, at in claim_names(pods):
            if at.partition(".volumes[")[2].partition("]")[0] in templates:
                # The controller puts its own claim into the place of a volume that is called like a template.
                continue
            known = self._names["PersistentVolumeClaim", pods.namespace]
            if (
                name not in known
                and pods.namespace in self._closed
                and not self._is_of_a_template(name, pods.namespace)
            ):
                yield Finding.of(
                    "claim-missing",
                    pods.owner,
                    f"There is no PersistentVolumeClaim {name}{within(pods.namespace)}.",
                    at=at,
                    fix=hint("claim", name, known),
                )

    def _is_of_a_template(self, name: str, namespace: str) -> bool:
        """Tell whether a claim is one that a StatefulSet makes: its template, its name and a number."""
        base, _, number = name.rpartition("-")
        return number.isdecimal() and any(
            f"{template}-{item.name}" == base
            for item in self._model.kind("StatefulSet")
            if item.namespace == namespace
            for _, template, _ in claims(item)
        )

    def _service_account(self, pods: Pods) -> Iterator[Finding]:
        name, known = service_account(pods), self._names["ServiceAccount", pods.namespace]
        if name != "default" and name not in known and pods.namespace in self._closed:
            yield Finding.of(
                "service-account-missing",
                pods.owner,
                f"There is no ServiceAccount {name}{within(pods.namespace)}.",
                at=f"{pods.path}.serviceAccountName",
                fix=hint("ServiceAccount", name, known),
            )

    def _variables(self, pods: Pods) -> Iterator[Finding]:
        links = pods.spec.get("enableServiceLinks") is not False
        for path, container in pods.containers:
            seen = self._from_maps(pods, container)
            if seen is None:
                continue
            variables = list(map(mapping, sequence(container.get("env"))))
            names = {str(variable.get("name")) for variable in variables}
            for variable in variables:
                at = f"{path}.env[{variable.get('name')}].value"
                yield from _undefined(pods.owner, variable.get("value"), _Scope(seen, names, links), at)
                seen.add(str(variable.get("name")))
            for field in ("command", "args"):
                for number, argument in enumerate(sequence(container.get(field))):
                    # A script has $( … ) of its own, which Kubernetes leaves alone as well.
                    if isinstance(argument, str) and not re.search(r"\s", argument):
                        at = f"{path}.{field}[{number}]"
                        yield from _undefined(pods.owner, argument, _Scope(seen, names, links), at)

    def _from_maps(self, pods: Pods, container: Mapping[str, Any]) -> set[str] | None:
        """Return the variables that whole ConfigMaps and Secrets define, or None if not all of them are known."""
        found: set[str] = set()
        for source in map(mapping, sequence(container.get("envFrom"))):
            prefix = str(source.get("prefix") or "")
            keys: set[str] | None = None
            if isinstance(source.get("configMapRef"), dict):
                read = self._model.get("ConfigMap", pods.namespace, str(source["configMapRef"].get("name")))
                keys = set(mapping(read.manifest.get("data"))) if read else None
            elif isinstance(source.get("secretRef"), dict):
                keys = self._secrets.keys(pods.namespace, str(source["secretRef"].get("name")))
            if keys is None:
                return None
            found |= {f"{prefix}{key}" for key in keys}
        return found

    def _priority(self, pods: Pods) -> Iterator[Finding]:
        name = pods.spec.get("priorityClassName")
        if not isinstance(name, str) or not name or self._model.is_named_by_chart(name):
            return
        known = {item.name for item in self._model.kind("PriorityClass")} | _PRIORITY_CLASSES
        if name not in known:
            yield Finding.of(
                "priority-class-missing",
                pods.owner,
                f"There is no PriorityClass {name}.",
                at=f"{pods.path}.priorityClassName",
                fix=hint("class", name, known),
            )

    def _others(self) -> Iterator[Finding]:
        """Yield Secrets that others than pods read and nobody makes."""
        for ingress in self._model.kind("Ingress"):
            for number, entry in enumerate(map(mapping, sequence(ingress.spec.get("tls")))):
                name = entry.get("secretName")
                if isinstance(name, str):
                    self._read.add(("Secret", ingress.namespace, name))
                    yield from self._secret(ingress, name, f"spec.tls[{number}].secretName", None)
        for account in self._model.kind("ServiceAccount"):
            for number, entry in enumerate(map(mapping, sequence(account.manifest.get("imagePullSecrets")))):
                name = str(entry.get("name"))
                self._read.add(("Secret", account.namespace, name))
                yield from self._secret(account, name, f"imagePullSecrets[{number}].name", None)

    def _unused(self) -> Iterator[Finding]:
        for item in self._model.kind("ConfigMap"):
            if not self._is_read(item, "ConfigMap", item.name):
                yield Finding.of("config-map-unused", item, f"Nothing{within(item.namespace)} reads it.")
        for item, name in self._secrets.producers:
            if not self._is_read(item, "Secret", name):
                yield Finding.of("secret-unused", item, f"Nothing{within(item.namespace)} reads the Secret {name}.")

    def _is_mentioned(self, namespace: str, name: str) -> bool:
        """Tell whether a program is told a name: it may read or make the object through the API."""
        word = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
        return any(
            word.search(written.text)
            for pods in self._model.pods_by_namespace.get(namespace, ())
            for path, container in pods.containers
            for written in texts_of_container(pods.owner, path, container)
        )

    def _is_read(self, item: Object, kind: str, name: str) -> bool:
        if (kind, item.namespace, name) in self._read or item.namespace not in self._closed:
            return True
        if self._is_mentioned(item.namespace, name):
            return True
        # Sidecars and controllers find objects by labels and annotations of their own, such as grafana_dashboard.
        marks = [*texts(item.metadata.get("labels")), *item.annotations]
        own = ("app.kubernetes.io/", "argocd.argoproj.io/", "kubectl.kubernetes.io/", "helm.sh/")
        standard = ("app", "component", "name", "part-of", "tier", "version")
        return any(not mark.startswith(own) and mark not in standard for mark in marks)


@dataclass(frozen=True)
class _Scope:
    """The variables that a value can refer to.

    Attributes:
        defined: Those that are defined before it.
        container: All that its container has.
        links: Whether the kubelet adds variables for the Services of the namespace.
    """

    defined: set[str]
    container: set[str]
    links: bool

    def has(self, name: str) -> bool:
        """Tell whether a value can refer to a variable."""
        linked = self.links or name.startswith("KUBERNETES_")
        return name in self.defined or (linked and _SERVICE_LINK.fullmatch(name) is not None)


def _undefined(owner: Object, value: object, scope: _Scope, at: str) -> Iterator[Finding]:
    for match in _REFERENCE.finditer(value if isinstance(value, str) else ""):
        name = match[1]
        if name and not scope.has(name):
            yield Finding.of(
                "variable-undefined",
                owner,
                f"$({name}) is not defined before it is used.",
                at=at,
                fix=f"Put {name} above it." if name in scope.container else hint("variable", name, scope.defined),
            )


def _storage(model: ClusterModel) -> Iterator[Finding]:
    classes, known = storage_classes(model), known_classes(model)
    for item in model.kind("PersistentVolumeClaim", "StatefulSet"):
        for at, _, spec in claims(item):
            name = class_of(model, spec)
            # The empty name is that of no class: such a claim takes a volume that somebody made.
            if classes is not None and name and name not in classes:
                yield Finding.of(
                    "storage-class-missing",
                    item,
                    f"A cluster of the kind {model.cluster.kind} has no storage class {name}.",
                    at=f"{at}.storageClassName",
                    fix=hint("class", name, classes),
                )
            elif name is not None and name in known and known[name].shared is False and is_shared(spec):
                yield Finding.of(
                    "access-mode-unsupported",
                    item,
                    f"The storage class {name} has no volumes that pods on several nodes can use.",
                    at=f"{at}.accessModes",
                )
