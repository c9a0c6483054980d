"""Proof that no component reads the secret values of another, beyond what its edges give it copies of."""

from collections.abc import Iterator, Mapping
from typing import Any

from constructs_lib.argocd.objects import Object
from constructs_lib.check.calls import Calls
from constructs_lib.check.finding import Finding
from constructs_lib.check.model import ClusterModel
from constructs_lib.check.references.secret_sources import external_secrets, place_of
from constructs_lib.kubernetes.accounts import BINDINGS, subjects_of
from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings, sequence
from constructs_lib.text import listed

_READING = frozenset({"get", "list", "watch", "*"})
#: ClusterRoles of Kubernetes that may read Secrets, beside the one that may do anything.
_READERS = ("admin", "edit")


def prove_secret_readers(model: ClusterModel) -> Iterator[Finding]:
    """Yield ExternalSecrets that read, and bindings that let read, what belongs to another component."""
    readers = _Readers(model)
    for item in external_secrets(model):
        for at, entry, secret in _reads(item):
            if (place := place_of(model, item, entry)) is not None:
                yield from readers.read(item, at, place, secret)
    for binding in model.kind(*BINDINGS):
        yield from readers.bound(binding)


def _reads(item: Object) -> Iterator[tuple[str, Mapping[str, Any], str | None]]:
    """Yield what an ExternalSecret reads: the field, its content, and the Secret's name; None for any that fits."""
    for at, entry in entries(item.spec.get("data"), "spec.data"):
        yield f"{at}.remoteRef", entry, str(inner(entry, "remoteRef", "key"))
    for at, entry in entries(item.spec.get("dataFrom"), "spec.dataFrom"):
        if isinstance(entry.get("extract"), dict):
            yield f"{at}.extract", entry, str(inner(entry, "extract", "key"))
        elif isinstance(entry.get("find"), dict):
            yield f"{at}.find", entry, None


class _Readers:
    """Who may read which Secret of the cluster."""

    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        store = model.bootstrap.store
        self._store = store.namespace if store else ""
        # Before the bootstrap told the readers, a Secret had the name of the component that it was for.
        named = {known.name: known.namespace for known in model.applications}
        self._owners = (store.readers or named) if store else {}
        self._is_told = bool(store and store.readers)

    def read(self, item: Object, at: str, place: str, secret: str | None) -> Iterator[Finding]:
        """Yield that an ExternalSecret reads a Secret that is for another namespace; None is any Secret that fits."""
        if place == item.namespace:
            return
        if place != self._store:
            what = f"the Secret {secret}" if secret else "every Secret that fits"
            if place in self._model.names("Namespace") and not self._calls(item.namespace, place):
                yield Finding.of("secret-of-another", item, f"It reads {what} of the namespace {place}.", at=at)
            return
        owners = {secret: self._owners.get(secret, item.namespace)} if secret else self._owners
        others = {name: owner for name, owner in owners.items() if owner != item.namespace}
        if not self._is_told:
            others = {name: owner for name, owner in others.items() if not self._calls(item.namespace, owner)}
        if others:
            whose = listed(sorted({*others.values()}))
            problem = f"It reads the values of {listed(sorted(others))} in {place}, which are for {whose} alone."
            yield Finding.of("secret-of-another", item, problem, at=at)

    def bound(self, binding: Object) -> Iterator[Finding]:
        """Yield the accounts that a binding lets read Secrets of the bootstrap's store that are not for them."""
        if not self._is_told or binding.namespace not in ("", self._store):
            return
        names = self._readable(binding)
        for at, namespace, account in subjects_of(binding):
            others = sorted(name for name in names if self._owners[name] != namespace)
            if others:
                who = f"the ServiceAccount {account} of {namespace}" if account else "all ServiceAccounts"
                problem = f"It lets {who} read the values of {listed(others)} in {self._store}."
                yield Finding.of("secret-of-another", binding, problem, at=at)

    def _readable(self, binding: Object) -> set[str]:
        """Return the Secrets of the store that the role of a binding may read."""
        reference = mapping(binding.manifest.get("roleRef"))
        kind, name = str(reference.get("kind")), str(reference.get("name"))
        role = self._model.get(kind, binding.namespace if kind == "Role" else "", name, "rbac.authorization.k8s.io")
        if role is None:
            return {*self._owners} if kind == "ClusterRole" and name in _READERS else set()
        found: set[str] = set()
        for rule in mappings(role.manifest.get("rules")):
            groups, resources = sequence(rule.get("apiGroups")), sequence(rule.get("resources"))
            if not (
                {"", "*"}.isdisjoint(groups)
                or {"secrets", "*"}.isdisjoint(resources)
                or _READING.isdisjoint(sequence(rule.get("verbs")))
            ):
                found |= {*sequence(rule.get("resourceNames"))} or {*self._owners}
        return found & {*self._owners}

    def _calls(self, source: str, target: str) -> bool:
        """Tell whether pods of a namespace call a Service of another."""
        calls = self._model.once(_called_namespaces)
        return target in calls.get(source, ())


def _called_namespaces(model: ClusterModel) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for call in model.once(Calls).inside:
        found.setdefault(call.source.namespace, set()).add(call.service.namespace)
    return found
