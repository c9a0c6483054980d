"""Who reads which secrets: from the stores of External Secrets, and in pods.

https://external-secrets.io/latest/api/spec/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.manifest import inner, mapping, mappings, sequence
from constructs_lib.kubernetes.workloads import Pods, pods_of
from constructs_lib.plan.rights.tree import Case, State, Widened, widens
from constructs_lib.repository.applications import ALL_OBJECTS, BY_HAND
from constructs_lib.text import listed

_EXTERNAL = ("ExternalSecret", "ClusterExternalSecret")
_STORES = ("SecretStore", "ClusterSecretStore")
#: What in a store says nothing about whose secrets it reads.
_HARMLESS = frozenset({"caBundle", "caProvider", "retrySettings", "refreshInterval", "controller"})
_TOKEN = "kubernetes.io/service-account-token"
_NAME = "app.kubernetes.io/name"


@dataclass(frozen=True, order=True)
class _Read:
    """A value in a store: an entry and what is read of it; all of it if there is no property."""

    store: str
    key: str
    property: str = ""

    def covers(self, other: _Read) -> bool:
        return self.store == other.store and self.key in ("*", other.key) and self.property in ("", other.property)

    def __str__(self) -> str:
        what = "all that it finds" if self.key == "*" else self.key + (f"/{self.property}" if self.property else "")
        return f"{what} from {self.store}"


def _store(reference: Mapping[str, Any], namespace: str) -> str:
    kind, name = str(reference.get("kind") or "SecretStore"), str(reference.get("name"))
    return f"{kind} {name}" if kind.startswith("Cluster") else f"{kind} {namespace}/{name}"


def _spec(item: Object) -> Mapping[str, Any]:
    return mapping(item.spec.get("externalSecretSpec")) if item.kind == "ClusterExternalSecret" else item.spec


def _reads(item: Object) -> Iterator[_Read]:
    spec = _spec(item)
    usual = mapping(spec.get("secretStoreRef"))
    for entry in mappings(spec.get("data")):
        store = _store(mapping(inner(entry, "sourceRef", "storeRef")) or usual, item.namespace)
        reference = mapping(entry.get("remoteRef"))
        yield _Read(store, str(reference.get("key")), str(reference.get("property") or ""))
    for entry in mappings(spec.get("dataFrom")):
        store = _store(mapping(inner(entry, "sourceRef", "storeRef")) or usual, item.namespace)
        if extract := mapping(entry.get("extract")):
            yield _Read(store, str(extract.get("key")), str(extract.get("property") or ""))
        elif entry.get("find") is not None:
            yield _Read(store, "*")


def external_secret_widening(case: Case) -> Widened:
    """Yield what an ExternalSecret reads more, unless it is its component's own."""
    if case.new is None:
        return
    known = [*_reads(case.old)] if case.old else []
    replaced = [each for each in case.gone.of(*_EXTERNAL) if each.namespace == case.new.namespace]
    known += [read for each in replaced for read in _reads(each)]
    more = [read for read in _reads(case.new) if not any(each.covers(read) for each in known)]
    if more := [read for read in dict.fromkeys(more) if not _is_own(read, case)]:
        yield widens("reads-more-secrets", secrets=listed(map(str, more), 4))
    namespaces = ("namespaceSelectors", "namespaceSelector", "namespaces")
    if case.old and any(case.new.spec.get(key) != case.old.spec.get(key) for key in namespaces):
        yield widens("secret-in-more-namespaces")


def _is_beside(item: Object, other: Object) -> bool:
    return item.namespace == other.namespace


def _is_own(read: _Read, case: Case) -> bool:
    """Tell whether a value belongs to the component that reads it: it is called so, or is new as its component is."""
    if case.component in read.key.split("/") and read.key != "*":
        return True
    others = _secrets_in(case.before).readers.get(read.key, set()) - {case.component}
    return case.is_fresh(case.item.namespace) and read.key != "*" and not others


class _Secrets:
    """Who reads and who makes which secrets in a tree."""

    def __init__(self, state: State) -> None:
        self._state = state

    @cached_property
    def readers(self) -> Mapping[str, set[str]]:
        """The components that read an entry of a store, by its key."""
        found: dict[str, set[str]] = defaultdict(set)
        for item in self._state.of(*_EXTERNAL):
            for read in _reads(item):
                found[read.key].add(self._state.owners[item.identity])
        return found

    @cached_property
    def made(self) -> Mapping[tuple[str, str], Object]:
        """What makes the Secrets, by namespace and name."""
        found = {}
        for item in self._state.of("Secret", "SealedSecret", "ExternalSecret"):
            name = inner(item.spec, "target", "name") if item.kind == "ExternalSecret" else None
            found[item.namespace, str(name or item.name)] = item
        return found

    @cached_property
    def mounted(self) -> Mapping[tuple[str, str], str]:
        """The first component whose pods read a Secret, by namespace and name."""
        found: dict[tuple[str, str], str] = {}
        for identity, pods in self._state.pods.items():
            for name in _secrets(pods):
                found.setdefault((pods.namespace, name), self._state.owners[identity])
        return found


_KNOWN: WeakKeyDictionary[State, _Secrets] = WeakKeyDictionary()


def _secrets_in(state: State) -> _Secrets:
    if state not in _KNOWN:
        _KNOWN[state] = _Secrets(state)
    return _KNOWN[state]


def store_widening(case: Case) -> Widened:
    """Yield that a store reads from elsewhere, or is open to more namespaces."""
    store = case.new
    if store is None:
        return
    provider, before = (_provider(item) if item else None for item in (store, case.old))
    known = [before, *(_provider(each) for each in case.gone.of(*_STORES))]
    if not case.is_fresh(store.namespace) and provider not in known:
        yield widens("store-reads-elsewhere" if case.old else "store-new")
    if store.kind == "ClusterSecretStore" and case.old:
        conditions, former = (mappings(item.spec.get("conditions")) for item in (store, case.old))
        opened = [*_opened(conditions, former, case)]
        if former and not conditions:
            opened = ["all namespaces"]
        if opened:
            yield widens("store-open-to-more", namespaces=listed(opened))


def _provider(store: Object) -> Any:
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(each) for key, each in value.items() if key not in _HARMLESS}
        return value

    return without(store.spec.get("provider"))


def _opened(new: list[Mapping[str, Any]], old: list[Mapping[str, Any]], case: Case) -> Iterator[str]:
    known = {name for each in old for name in map(str, sequence(each.get("namespaces")))}
    for condition in new if old else ():
        for name in map(str, sequence(condition.get("namespaces"))):
            if name not in known and not case.is_fresh(name):
                yield name
        for field in ("namespaceSelector", "namespaceRegexes"):
            if condition.get(field) and all(each.get(field) != condition[field] for each in old):
                yield f"those of its {field}"


def push_widening(case: Case) -> Widened:
    """Yield that a Secret is written to a store."""
    if case.new and (case.old is None or case.new.spec != case.old.spec):
        yield widens("secret-is-pushed")


def token_widening(case: Case) -> Widened:
    """Yield that a Secret holds a token of a ServiceAccount, which does not expire."""
    name = "kubernetes.io/service-account.name"
    if case.new and case.new.manifest.get("type") == _TOKEN:
        account = case.new.annotations.get(name, "")
        if case.old is None or case.old.annotations.get(name) != account:
            yield widens("lasting-token", account=f"{case.new.namespace}/{account}")


# Pods.


def reference_widening(case: Case) -> Widened:
    """Yield that pods read a Secret of another component."""
    new = pods_of(case.new) if case.new else None
    if new is None:
        return
    old = pods_of(case.old) if case.old else None
    known = _secrets(old) if old else {}
    for replaced in case.gone.pods(new.namespace):
        known |= _secrets(replaced)
    for name in _secrets(new):
        if name not in known and (owner := _owner(new.namespace, name, case, new)):
            yield widens("reads-secret-of-another", secret=name, owner=owner)


def _secrets(pods: Pods[Object]) -> dict[str, None]:
    pulled = {str(entry.get("name")) for entry in mappings(pods.spec.get("imagePullSecrets"))}
    names = [each.name for each in pods.references if each.kind == "Secret" and each.name not in pulled]
    return dict.fromkeys(names)


def _owner(namespace: str, name: str, case: Case, pods: Pods[Object]) -> str:
    """Return the component that a Secret belongs to, unless it is the one that reads it."""
    item = _secrets_in(case.after).made.get((namespace, name))
    if item is None:
        # Nobody knows where it comes from: then it belongs to those who read it.
        owner = _secrets_in(case.before).mounted.get((namespace, name), "")
        return owner if owner != case.component else ""
    if (owner := case.after.owners[item.identity]) != case.component:
        return owner
    # In a group, labels tell components apart.
    label, own = item.labels.get(_NAME), pods.owner.labels.get(_NAME) or pods.labels.get(_NAME)
    is_group = case.component in (ALL_OBJECTS, BY_HAND)
    return label if is_group and label and own and label != own else ""


SECRET_KINDS: Mapping[str, Any] = {
    **dict.fromkeys((f"external-secrets.io/{kind}" for kind in _EXTERNAL), external_secret_widening),
    **dict.fromkeys((f"external-secrets.io/{kind}" for kind in _STORES), store_widening),
    "external-secrets.io/PushSecret": push_widening,
    "external-secrets.io/ClusterPushSecret": push_widening,
    "Secret": token_widening,
}
