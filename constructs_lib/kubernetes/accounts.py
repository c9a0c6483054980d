"""Which roles ServiceAccounts have, and which pods hold a token of theirs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from constructs_lib.kubernetes.manifest import entries, inner, mapping, mappings
from constructs_lib.kubernetes.objects import Object
from constructs_lib.kubernetes.workloads import Pods

GROUP = "rbac.authorization.k8s.io"
BINDINGS = ("RoleBinding", "ClusterRoleBinding")
ROLES = ("Role", "ClusterRole")

Item = TypeVar("Item", bound=Object)


@dataclass(frozen=True, eq=False)
class Grant(Generic[Item]):
    """A role that a binding gives to a ServiceAccount: its kind and name, and itself if it is known."""

    binding: Item
    kind: str
    name: str
    role: Item | None

    @property
    def rules(self) -> list[Mapping[str, Any]]:
        """What the role permits, as far as that is known."""
        return mappings(self.role.manifest.get("rules")) if self.role else []


class Accounts(Generic[Item]):
    """The roles of ServiceAccounts.

    https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects
    """

    def __init__(self, objects: Iterable[Item]) -> None:
        """Take in roles, bindings and ServiceAccounts; other objects are left out."""
        known = [item for item in objects if item.kind in (*BINDINGS, *ROLES, "ServiceAccount")]
        self._accounts = {(item.namespace, item.name): item for item in known if item.kind == "ServiceAccount"}
        roles = {(item.kind, item.namespace, item.name): item for item in known if item.kind in ROLES}
        self._grants: dict[tuple[str, str], list[Grant[Item]]] = defaultdict(list)
        self._for_all: dict[str, list[Grant[Item]]] = defaultdict(list)
        for binding in (item for item in known if item.kind in BINDINGS):
            reference = mapping(binding.manifest.get("roleRef"))
            kind, name = str(reference.get("kind")), str(reference.get("name"))
            grant = Grant(binding, kind, name, roles.get((kind, binding.namespace if kind == "Role" else "", name)))
            for _, namespace, account in subjects_of(binding):
                if account:
                    self._grants[namespace, account].append(grant)
                else:
                    self._for_all[namespace].append(grant)

    def get(self, namespace: str, name: str) -> Item | None:
        """Return a ServiceAccount, or None if it is not known."""
        return self._accounts.get((namespace, name))

    def grants(self, pods: Pods[Any]) -> list[Grant[Item]]:
        """Return the roles that the ServiceAccount of pods has by its name."""
        return self._grants.get((pods.namespace, pods.account), [])

    def has_role(self, pods: Pods[Any]) -> bool:
        """Tell whether the ServiceAccount of pods has a role, by its name or as one of all ServiceAccounts."""
        return bool(self.grants(pods) or self._for_all.get(pods.namespace) or self._for_all.get(""))

    def mounts_token(self, pods: Pods[Any]) -> bool:
        """Tell whether the token of their ServiceAccount is mounted into pods that do not ask for one.

        https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#opt-out-of-api-credential-automounting
        """
        mounts = pods.spec.get("automountServiceAccountToken")
        if mounts is None and (account := self.get(pods.namespace, pods.account)):
            mounts = account.manifest.get("automountServiceAccountToken")
        return mounts is not False

    def holds_token(self, pods: Pods[Any]) -> bool:
        """Tell whether pods have a token for the API server; one for somebody else names its audience."""
        sources = (source for _, volume in pods.volumes for source in mappings(inner(volume, "projected", "sources")))
        tokens = (mapping(source.get("serviceAccountToken")) for source in sources)
        return self.mounts_token(pods) or any(token and not token.get("audience") for token in tokens)


def subjects_of(binding: Object) -> Iterator[tuple[str, str, str]]:
    """Yield field, namespace and name of each ServiceAccount of a binding; name or both are empty for all of them."""
    for at, subject in entries(binding.manifest.get("subjects"), "subjects"):
        name = str(subject.get("name"))
        if subject.get("kind") == "ServiceAccount":
            yield at, str(subject.get("namespace") or binding.namespace), name
        elif name.startswith("system:serviceaccount:"):
            namespace, _, account = name.removeprefix("system:serviceaccount:").partition(":")
            yield at, namespace, account
        elif name in ("system:serviceaccounts", "system:authenticated"):
            yield at, "", ""
        elif name.startswith("system:serviceaccounts:"):
            yield at, name.removeprefix("system:serviceaccounts:"), ""
