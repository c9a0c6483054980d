"""Proof that every Secret is made once, from values that somebody gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.bootstrap import Store
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.selectors import selects
from constructs_lib.kubernetes.manifest import mapping, sequence
from constructs_lib.text import hint

_EXTERNAL_SECRETS = "https://external-secrets.io/latest/api/"


_GROUP = "external-secrets.io"


class SecretSources:
    """Which Secrets a tree makes, and with which keys."""

    def __init__(self, model: ClusterModel) -> None:
        """Read what makes Secrets."""
        #: Every object that makes a Secret, with the Secret's name.
        self.producers: list[tuple[Object, str]] = list(_producers(model))
        self._made: dict[tuple[str, str], list[Object]] = defaultdict(list)
        self._names: dict[str, set[str]] = defaultdict(set)
        for item, name in self.producers:
            self._made[item.namespace, name].append(item)
            self._names[item.namespace].add(name)

    def makes(self, namespace: str, name: str) -> list[Object]:
        """Return what makes a Secret."""
        return self._made.get((namespace, name), [])

    def names(self, namespace: str) -> set[str]:
        """Return the names of all Secrets in a namespace."""
        return self._names.get(namespace, set())

    def keys(self, namespace: str, name: str) -> set[str] | None:
        """Return the keys of a Secret, or None if they are not known."""
        found: set[str] = set()
        makers = self.makes(namespace, name)
        for item in makers:
            keys = _keys(item)
            if keys is None:
                return None
            found |= keys
        return found if makers else None


def _producers(model: ClusterModel) -> Iterator[tuple[Object, str]]:
    for item in model.kind("Secret"):
        if not item.group:
            yield item, item.name
    for item in model.kind("ExternalSecret"):
        if item.group == _GROUP:
            yield item, str(mapping(item.spec.get("target")).get("name") or item.name)
    for item in model.kind("SealedSecret"):
        metadata = mapping(mapping(item.spec.get("template")).get("metadata"))
        yield item, str(metadata.get("name") or item.name)
    for item in model.kind("Certificate"):
        if isinstance(item.spec.get("secretName"), str):
            yield item, item.spec["secretName"]
    for item in model.kind("Ingress"):
        if any(annotation.startswith("cert-manager.io/") for annotation in item.annotations):
            for entry in map(mapping, sequence(item.spec.get("tls"))):
                yield item, str(entry.get("secretName"))


def _keys(item: Object) -> set[str] | None:
    if item.kind == "Secret":
        return {*mapping(item.manifest.get("data")), *mapping(item.manifest.get("stringData"))}
    if item.kind == "SealedSecret":
        return {*mapping(item.spec.get("encryptedData"))}
    if item.kind != "ExternalSecret":
        return {"ca.crt", "tls.crt", "tls.key"}
    if item.spec.get("dataFrom"):
        return None
    keys = {str(mapping(entry).get("secretKey")) for entry in sequence(item.spec.get("data"))}
    template = mapping(mapping(item.spec.get("target")).get("template"))
    if template.get("templateFrom"):
        return None
    if "data" not in template:
        return keys
    written = set(mapping(template["data"]))
    return keys | written if template.get("mergePolicy") == "Merge" else written


def prove_secret_sources(model: ClusterModel) -> Iterator[Finding]:
    """Yield Secrets that are made twice, from no store, or from values that nobody gives."""
    sources = SecretSources(model)
    seen: dict[tuple[str, str], Object] = {}
    for item, name in sources.producers:
        first = seen.setdefault((item.namespace, name), item)
        merges = mapping(item.spec.get("target")).get("creationPolicy") in ("Merge", "None")
        if first.identity != item.identity and not merges:
            yield Finding.of(
                "secret-made-twice",
                item,
                f"The Secret {name} is made by the {first.kind} {first.name} already.",
                at="spec.target.name" if item.kind == "ExternalSecret" else "metadata.name",
            )
    external = [item for item in model.kind("ExternalSecret") if item.group == _GROUP]
    closed = model.closed_namespaces
    for item in external:
        yield from _store_of(model, item, closed)
    yield from _values(model, external)


def _reference(item: Object, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the store from which a value comes: its own, or that of the whole ExternalSecret."""
    own = mapping(mapping(entry.get("sourceRef")).get("storeRef"))
    return own or mapping(item.spec.get("secretStoreRef"))


def _stores(item: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(item.spec.get("secretStoreRef"), dict):
        yield "spec.secretStoreRef", item.spec["secretStoreRef"]
    for field in ("data", "dataFrom"):
        for number, entry in enumerate(map(mapping, sequence(item.spec.get(field)))):
            own = mapping(entry.get("sourceRef")).get("storeRef")
            if isinstance(own, dict):
                yield f"spec.{field}[{number}].sourceRef.storeRef", own


def _store_of(model: ClusterModel, item: Object, closed: frozenset[str]) -> Iterator[Finding]:
    for at, reference in _stores(item):
        kind, name = str(reference.get("kind") or "SecretStore"), str(reference.get("name"))
        namespace = "" if kind == "ClusterSecretStore" else item.namespace
        found = model.get(kind, namespace, name, _GROUP)
        if found is None:
            # A tree that has no store of the kind at all counts on one that somebody else made.
            known = [known.name for known in model.kind(kind) if known.namespace == namespace]
            if known or namespace in closed:
                yield Finding.of(
                    "secret-store-missing",
                    item,
                    f"There is no {kind} {name}.",
                    at=f"{at}.name",
                    fix=hint("store", name, known),
                )
        elif not _serves(model, found, item.namespace):
            yield Finding.of(
                "secret-store-refuses-namespace",
                item,
                f"The {kind} {name} does not serve the namespace {item.namespace}.",
                at=at,
            )


def _serves(model: ClusterModel, found: Object, namespace: str) -> bool:
    conditions = list(map(mapping, sequence(found.spec.get("conditions"))))
    if not conditions or found.kind != "ClusterSecretStore":
        return True
    for condition in conditions:
        if condition.get("namespaceRegexes") or namespace in sequence(condition.get("namespaces")):
            return True
        if selects(condition.get("namespaceSelector"), model.namespaces.get(namespace, {})):
            return True
    return False


def _values(model: ClusterModel, external: list[Object]) -> Iterator[Finding]:
    """Yield values in the bootstrap's own store that are read and not listed, or listed and not read."""
    listed = model.bootstrap.store()
    if listed is None:
        return
    read: set[tuple[str, str]] = set()
    whole: set[str] = set()
    for item in external:
        for number, entry in enumerate(map(mapping, sequence(item.spec.get("data")))):
            if not _is_in(model, listed, item, entry):
                continue
            remote = mapping(entry.get("remoteRef"))
            component, key = str(remote.get("key")), remote.get("property")
            if not isinstance(key, str):
                whole.add(component)
                continue
            read.add((component, key))
            if (component, key) not in listed.values:
                known = {f"{place}/{name}" for place, name in listed.values}
                yield Finding.of(
                    "secret-value-missing",
                    item,
                    f"{listed.file} does not list the value {component}/{key}.",
                    at=f"spec.data[{number}].remoteRef",
                    fix=hint("value", f"{component}/{key}", known),
                )
        for entry in map(mapping, sequence(item.spec.get("dataFrom"))):
            extract = mapping(entry.get("extract")).get("key")
            whole |= {extract} if isinstance(extract, str) else {component for component, _ in listed.values}
    for component, key in sorted(listed.values - read):
        if component not in whole:
            yield Finding.of(
                "secret-value-unread",
                None,
                f"Nothing reads the value {component}/{key}.",
                at=f"secrets.{component}/{key}",
                file=listed.file,
            )


def _is_in(model: ClusterModel, listed: Store, item: Object, entry: Mapping[str, Any]) -> bool:
    """Tell whether a value comes from the store that the bootstrap fills."""
    reference = _reference(item, entry)
    kind = str(reference.get("kind") or "SecretStore")
    namespace = "" if kind == "ClusterSecretStore" else item.namespace
    found = model.get(kind, namespace, str(reference.get("name")), _GROUP)
    if found is None:
        # The bootstrap gives the store that it fills the name of its namespace.
        return reference.get("name") == listed.namespace
    kubernetes = mapping(mapping(found.spec.get("provider")).get("kubernetes"))
    return kubernetes.get("remoteNamespace") == listed.namespace
