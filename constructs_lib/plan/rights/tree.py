"""What rights depend on beside the object that changes: what else is deployed, before and afterwards."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from constructs_lib.argocd.objects import Object
from constructs_lib.kubernetes.accounts import BINDINGS, ROLES, Accounts
from constructs_lib.kubernetes.manifest_reader import may_hold
from constructs_lib.kubernetes.objects import Identity
from constructs_lib.kubernetes.platform import NAMESPACES
from constructs_lib.kubernetes.workloads import TEMPLATED, Pods, pods_of
from constructs_lib.plan.change import Reason, reason
from constructs_lib.repository.applications import Application

_NAMESPACE = re.compile(rb"""[nN]amespace["']?[ ]*:[ ]*["']?([a-z0-9-]+)""")


class State:
    """What is deployed from one tree; parsed when it is asked for."""

    def __init__(self, applications: Sequence[Application]) -> None:
        """Parse nothing yet."""
        self.applications = applications
        #: The Application or group that deploys an object, for those that were asked for.
        self.owners: dict[Identity, str] = {}
        self._known: dict[str, list[Object]] = {}
        self._named: dict[str, frozenset[str] | None] = {}

    def of(self, *kinds: str) -> list[Object]:
        """Return the objects of some kinds."""
        return [item for kind in kinds for item in self._of(kind)]

    def _of(self, kind: str) -> list[Object]:
        if kind not in self._known:
            word = kind.encode()
            for application in self.applications:
                for path, content in application.files.items():
                    if may_hold(content, word):
                        for item in application.read(path, content):
                            if item.kind == kind and item.identity not in self.owners:
                                self.owners[item.identity] = application.name
                                self._known.setdefault(kind, []).append(item)
        return self._known.setdefault(kind, [])

    @cached_property
    def accounts(self) -> Accounts[Object]:
        """The roles of ServiceAccounts."""
        return Accounts(self.of(*ROLES, *BINDINGS, "ServiceAccount"))

    @cached_property
    def pods(self) -> dict[Identity, Pods[Object]]:
        """The pods of all workloads."""
        every = ((item.identity, pods_of(item)) for item in self.of("Pod", *sorted(TEMPLATED)))
        return {identity: pods for identity, pods in every if pods is not None}

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """The namespaces that any object is in or names, those of the cluster among them."""
        found = {application.namespace for application in self.applications}
        found |= {item.name for item in self.of("Namespace")}
        for application in self.applications:
            for content in application.files.values():
                found.update(name.decode() for name in _NAMESPACE.findall(content))
        return NAMESPACES | found

    def namespaces_of(self, component: str) -> frozenset[str] | None:
        """Return the namespaces that the objects of an Application or group name; None if there is no such one."""
        if component not in self._named:
            found = [each for each in self.applications if each.name == component]
            names = {each.namespace for each in found} | {
                name.decode()
                for each in found
                for content in each.files.values()
                for name in _NAMESPACE.findall(content)
            }
            self._named[component] = frozenset(names) if found else None
        return self._named[component]

    @cached_property
    def created_namespaces(self) -> frozenset[str]:
        """The namespaces that are made from the tree."""
        creating = {application.namespace for application in self.applications if application.creates_namespace}
        return frozenset(creating | {item.name for item in self.of("Namespace")})


class Gone:
    """The objects that go in a plan, in whose place others may come."""

    def __init__(self, items: Iterable[Object]) -> None:
        """Index them."""
        self._of: dict[str, list[Object]] = defaultdict(list)
        self._pods: dict[str, list[Pods[Object]]] = defaultdict(list)
        for item in items:
            self._of[item.kind].append(item)
            if pods := pods_of(item):
                self._pods[item.namespace].append(pods)

    def of(self, *kinds: str) -> list[Object]:
        """Return those of some kinds."""
        return [item for kind in kinds for item in self._of.get(kind, ())]

    def pods(self, namespace: str) -> Sequence[Pods[Object]]:
        """Return the pods of workloads of a namespace that go."""
        return self._pods.get(namespace, ())


@dataclass(frozen=True)
class Case:
    """An object that comes, changes or goes, and what is deployed before and afterwards.

    Attributes:
        old: As it was; None if it is new.
        new: As it will be; None if it goes.
        component: The Application or group that deploys it.
        gone: What goes in the same plan.
    """

    old: Object | None
    new: Object | None
    component: str
    before: State = field(repr=False)
    after: State = field(repr=False)
    gone: Gone = field(repr=False)

    @property
    def item(self) -> Object:
        """The object, as it will be if it stays."""
        found = self.new or self.old
        assert found is not None
        return found

    def is_fresh(self, namespace: str) -> bool:
        """Tell whether a namespace is created and nothing was in it before, so that it is that of a new component."""
        return namespace in self.after.created_namespaces and namespace not in self.before.namespaces


#: What is widened, as sentences with their sources.
Widened = Iterator[Reason]
#: Names a reason and the values of its texts.
widens = reason
