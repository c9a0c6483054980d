"""Proof that every Secret is made once, from values that somebody gives."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.bootstrap import Store
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, sequence
from constructs_lib.kubernetes.selectors import Selector
from constructs_lib.text import hint

_GROUP = "external-secrets.io"
_CHART = "external-secrets"
_OWN_SERVER = "kubernetes.default"


class SecretSources:
    """Which Secrets a tree makes, and with which keys."""

    def __init__(self, model: ClusterModel) -> None:
        """Read what makes Secrets."""
        #: Every object that makes a Secret, with the Secret's name.
        self.producers: list[tuple[Object, str]] = list(_producers(model))
        self._made: dict[tuple[str, str], list[Object]] = defaultdict(list)
        self._merged: dict[tuple[str, str], list[Object]] = defaultdict(list)
        self._names: dict[str, set[str]] = defaultdict(set)
        for item, name in self.producers:
            policy = inner(item.spec, "target", "creationPolicy")
            if policy not in ("Merge", "None"):
                self._made[item.namespace, name].append(item)
                self._names[item.namespace].add(name)
            elif policy == "Merge":
                self._merged[item.namespace, name].append(item)

    def makes(self, namespace: str, name: str) -> list[Object]:
        """Return what makes a Secret; an ExternalSecret that merges into one, or makes none, does not.

        https://external-secrets.io/latest/guides/ownership-deletion-policy/
        """
        return self._made.get((namespace, name), [])

    def names(self, namespace: str) -> set[str]:
        """Return the names of all Secrets in a namespace."""
        return self._names.get(namespace, set())

    def keys(self, namespace: str, name: str) -> set[str] | None:
        """Return the keys of a Secret, or None if they are not known."""
        keys = [_keys(item) for item in (*self.makes(namespace, name), *self._merged.get((namespace, name), ()))]
        known = [found for found in keys if found is not None]
        return set().union(*known) if keys and len(known) == len(keys) else None


def _producers(model: ClusterModel) -> Iterator[tuple[Object, str]]:
    for item in model.kind("Secret"):
        if not item.group:
            yield item, item.name
    for item in external_secrets(model):
        yield item, str(inner(item.spec, "target", "name") or item.name)
    for item in model.kind("SealedSecret"):
        yield item, str(inner(item.spec, "template", "metadata", "name") or item.name)
    for item in model.kind("Certificate"):
        if isinstance(item.spec.get("secretName"), str):
            yield item, item.spec["secretName"]
    for item in model.kind("Ingress", "Gateway"):
        if any(annotation.startswith("cert-manager.io/") for annotation in item.annotations):
            for entry in mappings(item.spec.get("tls")):
                yield item, str(entry.get("secretName"))
            for listener in mappings(item.spec.get("listeners")):
                for entry in mappings(inner(listener, "tls", "certificateRefs")):
                    yield item, str(entry.get("name"))


def external_secrets(model: ClusterModel) -> Iterator[Object]:
    """Return the objects of External Secrets that make a Secret."""
    return (item for item in model.kind("ExternalSecret") if item.group == _GROUP)


def _keys(item: Object) -> set[str] | None:
    if item.kind == "Secret":
        return {*mapping(item.manifest.get("data")), *mapping(item.manifest.get("stringData"))}
    if item.kind == "SealedSecret":
        return {*mapping(item.spec.get("encryptedData"))}
    if item.kind != "ExternalSecret":
        return {"ca.crt", "tls.crt", "tls.key"}
    template = mapping(inner(item.spec, "target", "template"))
    if item.spec.get("dataFrom") or template.get("templateFrom"):
        return None
    keys = {str(entry.get("secretKey")) for entry in mappings(item.spec.get("data"))}
    if "data" not in template:
        return keys
    written = set(mapping(template["data"]))
    return keys | written if template.get("mergePolicy") == "Merge" else written


def prove_secret_sources(model: ClusterModel) -> Iterator[Finding]:
    """Yield Secrets that are made twice, from no store, or from values that nobody gives."""
    seen: dict[tuple[str, str], Object] = {}
    for item, name in model.once(SecretSources).producers:
        first = seen.setdefault((item.namespace, name), item)
        merges = inner(item.spec, "target", "creationPolicy") in ("Merge", "None")
        if first.identity != item.identity and not merges:
            problem = f"The Secret {name} is made by the {first.kind} {first.name} already."
            at = "spec.target.name" if item.kind == "ExternalSecret" else "metadata.name"
            yield Finding.of("secret-made-twice", item, problem, at=at)
    for item in external_secrets(model):
        for at, reference in stores(item):
            yield from _store(model, item, at, reference)
    if model.bootstrap.store is not None:
        yield from _values(model, model.bootstrap.store)


def stores(item: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the stores that an ExternalSecret names, for all of its values and for single ones."""
    if isinstance(item.spec.get("secretStoreRef"), dict):
        yield "spec.secretStoreRef", item.spec["secretStoreRef"]
    for field in ("data", "dataFrom"):
        for at, entry in entries(item.spec.get(field), f"spec.{field}"):
            own = inner(entry, "sourceRef", "storeRef")
            if isinstance(own, dict):
                yield f"{at}.sourceRef.storeRef", own


def store_of(model: ClusterModel, item: Object, reference: Mapping[str, Any]) -> tuple[str, str, str, Object | None]:
    """Return kind, namespace and name of the store that an ExternalSecret names, and the store if the tree has it."""
    kind, name = str(reference.get("kind") or "SecretStore"), str(reference.get("name"))
    namespace = "" if kind == "ClusterSecretStore" else item.namespace
    return kind, namespace, name, model.get(kind, namespace, name, _GROUP)


def _store(model: ClusterModel, item: Object, at: str, reference: Mapping[str, Any]) -> Iterator[Finding]:
    kind, namespace, name, found = store_of(model, item, reference)
    if kind == "ClusterSecretStore" and model.once(_ignores_cluster_stores):
        problem = f"The operator of this tree processes no {kind}."
        yield Finding.of("secret-store-missing", item, problem, at=f"{at}.kind")
    elif found is None:
        # A tree without any store of the kind relies on one that exists in the cluster.
        known = model.names(kind, namespace)
        if known or model.lacks(kind, namespace, name):
            yield Finding.missing("secret-store-missing", item, f"{at}.name", kind, name, known, hinted="store")
    elif not _serves(model, found, item.namespace):
        problem = f"The {kind} {name} does not serve the namespace {item.namespace}."
        yield Finding.of("secret-store-refuses-namespace", item, problem, at=at)


def _ignores_cluster_stores(model: ClusterModel) -> bool:
    """Tell whether the chart of External Secrets is told to leave alone what belongs to a ClusterSecretStore."""
    charts = (chart for application in model.all_applications for chart in application.charts)
    told = (inner(chart.helm, "valuesObject", "processClusterStore") for chart in charts if chart.name == _CHART)
    return any(value is False for value in told)


def _serves(model: ClusterModel, store: Object, namespace: str) -> bool:
    conditions = mappings(store.spec.get("conditions"))
    if not conditions or store.kind != "ClusterSecretStore":
        return True
    labels = model.namespaces.get(namespace, {})
    return any(
        condition.get("namespaceRegexes")
        or namespace in sequence(condition.get("namespaces"))
        or Selector(condition.get("namespaceSelector")).matches(labels)
        for condition in conditions
    )


def _values(model: ClusterModel, store: Store) -> Iterator[Finding]:
    """Yield values of the bootstrap's store that are read and not listed, or listed and not read."""
    read: set[tuple[str, str]] = set()
    # Components of which a Secret takes all values.
    whole: set[str] = set()
    for item in external_secrets(model):
        for at, entry in entries(item.spec.get("data"), "spec.data"):
            if not _is_in(model, store, item, entry):
                continue
            component, key = str(inner(entry, "remoteRef", "key")), inner(entry, "remoteRef", "property")
            if not isinstance(key, str):
                whole.add(component)
                continue
            read.add((component, key))
            if (component, key) not in store.values:
                value, known = f"{component}/{key}", {f"{place}/{name}" for place, name in store.values}
                problem, fix = f"{store.file} does not list the value {value}.", hint("value", value, known)
                yield Finding.of("secret-value-missing", item, problem, at=f"{at}.remoteRef", fix=fix)
        for entry in mappings(item.spec.get("dataFrom")):
            extract = inner(entry, "extract", "key")
            whole |= {extract} if isinstance(extract, str) else {component for component, _ in store.values}
    for component, key in sorted(store.values.keys() - read):
        if component not in whole:
            problem, at = f"Nothing reads the value {component}/{key}.", f"secrets.{component}/{key}"
            yield Finding.of("secret-value-unread", None, problem, at=at, file=store.file)


def _is_in(model: ClusterModel, store: Store, item: Object, entry: Mapping[str, Any]) -> bool:
    """Tell whether a value comes from the store that the bootstrap fills."""
    return place_of(model, item, entry) == store.namespace


def place_of(model: ClusterModel, item: Object, entry: Mapping[str, Any]) -> str | None:
    """Return from which namespace of the cluster an entry of an ExternalSecret is read; None if it is from elsewhere.

    https://external-secrets.io/latest/provider/kubernetes/
    """
    own = mapping(inner(entry, "sourceRef", "storeRef"))
    _, _, name, found = store_of(model, item, own or mapping(item.spec.get("secretStoreRef")))
    if found is None:
        # The bootstrap gives the store that it fills the name of its namespace.
        return name if model.bootstrap.store and name == model.bootstrap.store.namespace else None
    read = inner(found.spec, "provider", "kubernetes")
    if not isinstance(read, dict) or "kubernetes.default" not in str(inner(read, "server", "url") or _OWN_SERVER):
        return None
    return str(read.get("remoteNamespace") or "default")
